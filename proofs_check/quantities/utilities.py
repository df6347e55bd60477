"""Concave functions F of the occupancy d(s,a) = d(s) pi(a|s), which sums to 1: gradients, what they promise, Frank and Wolfe's method.

Utilities: "quadratic" <r,d> - (bend/2) |d - target|^2 (extras target (S, A) and bend), "entropy" -sum d log d, "product" <r,d><r',d> (extra
second_rewards (S, A)), and "smoothed" -sum d log(d + sigma).  `derivative` quantities differentiate the linear solve for d by dual numbers;
`gradient` quantities are the policy gradient of the frozen reward grad F(d).  The best of a linear function over all occupancies is found among
the deterministic policies, all of which are listed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check import expression
from proofs_check.dual import Dual, occupancy_along, policy_slopes
from proofs_check.numbers import to_float
from proofs_check.quantities.iteration import repeat
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, define_setting, flat, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
MOST_VERTICES = 729
"""Deterministic policies that are listed at most (six states with three actions)."""
define_setting("smoothing", r"\sigma", "what is added to an occupancy before its logarithm is taken")


# Occupancies and utilities


def occupancy(c: Context) -> Array:
    """d(s) pi(a|s) from mu, normalised to 1: (B, R, S, A)."""
    return c.visits_mu[:, c.now][..., None] * c.policies[:, c.now]


def _total(values: Array) -> Array:
    return values.sum(axis=(-2, -1))


def _quadratic(c: Context, d: Dual) -> Dual:
    apart = Dual(d.value - c.extra("target")[:, None], d.slope)
    square = apart * apart
    bend, paid = c.extra("bend")[:, None], c.rewards[:, None]
    value = _total(paid * d.value) - bend / 2 * _total(square.value)
    return Dual(value, (paid[..., None] * d.slope).sum(axis=(2, 3)) - bend[..., None] / 2 * square.slope.sum(axis=(2, 3)))


def _entropy(c: Context, d: Dual) -> Dual:
    each = d * Dual(arithmetic.log(d.value), d.slope / d.value[..., None])
    return Dual(-_total(each.value), -each.slope.sum(axis=(2, 3)))


def _product(c: Context, d: Dual) -> Dual:
    first, second = (
        Dual(_total(paid * d.value), (paid[..., None] * d.slope).sum(axis=(2, 3)))
        for paid in (c.rewards[:, None], c.extra("second_rewards")[:, None])
    )
    return first * second


def _quadratic_reward(c: Context, d: Array) -> Array:
    """grad F(d) = r - bend (d - target)."""
    return c.rewards[:, None] - c.extra("bend")[:, None, None, None] * (d - c.extra("target")[:, None])


def _product_reward(c: Context, d: Array) -> Array:
    first, second = c.rewards[:, None], c.extra("second_rewards")[:, None]
    return _total(second * d)[..., None, None] * first + _total(first * d)[..., None, None] * second


def _value(utility: Callable[[Context, Dual], Dual], c: Context, d: Array) -> Array:
    """F(d): (B, R, S, A) -> (B, R)."""
    return utility(c, Dual(d, d[..., None])).value


def _derivative(c: Context, utility: Callable[[Context, Dual], Dual], parameters: str) -> Array:
    """dF(d^pi) in the probabilities or in the logits, by differentiating the linear solve: (B, R, S*A)."""
    return utility(c, occupancy_along(c, policy_slopes(c, parameters))).slope


def _frozen(c: Context, reward: Array) -> tuple[Array, Array]:
    """V (B, R, S) and Q (B, R, S, A) of the current policy at a reward (B, R, S, A) that is held fixed."""
    values = arithmetic.solve(c.discounted[:, c.now], (c.policies[:, c.now] * reward).sum(axis=-1))
    moved = np.einsum("bsat,brt->brsa", c.transitions, values)
    return values, reward + c.discount[:, None, None, None] * moved


def _direct(c: Context, reward: Array) -> Array:
    """d(s) Q_w(s,a)."""
    return flat(c.visits_mu[:, c.now][..., None] * _frozen(c, reward)[1])


def _softmax(c: Context, reward: Array) -> Array:
    """d(s) pi(a|s) A_w(s,a)."""
    values, action_values = _frozen(c, reward)
    return flat(occupancy(c) * (action_values - values[..., None]))


@define("frozen_reward_derivative", r"\langle w,\partial d^{\pi_\theta}/\partial\theta(s,a)\rangle", "step", "state-action pairs")
def _frozen_reward_derivative(c: Context) -> Array:
    """Derivatives of the occupancy in the logits, by differentiating the linear solve, each weighed by a given reward."""
    slope = occupancy_along(c, policy_slopes(c, "softmax")).slope
    return (c.extra("other_reward")[:, None, ..., None] * slope).sum(axis=(2, 3))


@define("frozen_reward_gradient", r"d^\pi(s)\,\pi(a|s)\,A_w(s,a)", "step", "state-action pairs")
def _frozen_reward_gradient(c: Context) -> Array:
    """The softmax policy gradient at a given reward, for visits that sum to 1."""
    return _softmax(c, c.extra("other_reward")[:, None] + c.policies[:, c.now] * 0)


@define("utility_derivative", r"\partial F(d^\pi)/\partial\pi(a|s)", "step", "state-action pairs")
def _utility_derivative(c: Context) -> Array:
    """Derivatives of a quadratic utility in the probabilities, by differentiating the linear solve for the occupancy."""
    return _derivative(c, _quadratic, "direct")


@define("utility_gradient", r"d^\pi(s)\,Q_w(s,a),\ w=\nabla F(d^\pi)", "step", "state-action pairs")
def _utility_gradient(c: Context) -> Array:
    """The direct policy gradient at the frozen reward of a quadratic utility, for visits that sum to 1."""
    return _direct(c, _quadratic_reward(c, occupancy(c)))


@define("utility_softmax_derivative", r"\partial F(d^{\pi_\theta})/\partial\theta(s,a)", "step", "state-action pairs")
def _utility_softmax_derivative(c: Context) -> Array:
    """Derivatives of a quadratic utility in the logits, by differentiating the linear solve for the occupancy."""
    return _derivative(c, _quadratic, "softmax")


@define("utility_softmax_gradient", r"d^\pi(s)\,\pi(a|s)\,A_w(s,a),\ w=\nabla F(d^\pi)", "step", "state-action pairs")
def _utility_softmax_gradient(c: Context) -> Array:
    """The softmax policy gradient at the frozen reward of a quadratic utility, for visits that sum to 1."""
    return _softmax(c, _quadratic_reward(c, occupancy(c)))


@define("utility_shifted_gradient", r"d^\pi(s)\,\pi(a|s)\,A_{w+z}(s,a)", "step", "state-action pairs")
def _utility_shifted_gradient(c: Context) -> Array:
    """The same with one number added to the reward of every pair."""
    return _softmax(c, _quadratic_reward(c, occupancy(c)) + c.extra("shift_of_all")[:, None, None, None])


@define("utility_summand_gradient", r"d^\pi(s)\,\pi(a|s)\,A_f(s,a),\ F=\textstyle\sum f(d)", "step", "state-action pairs")
def _utility_summand_gradient(c: Context) -> Array:
    """The softmax policy gradient with the utility's own summand r d - (bend/2)(d - target)^2 as the reward."""
    d = occupancy(c)
    return _softmax(c, c.rewards[:, None] * d - c.extra("bend")[:, None, None, None] / 2 * (d - c.extra("target")[:, None]) ** 2)


@define("entropy_utility_derivative", r"\partial H(d^{\pi_\theta})/\partial\theta(s,a)", "step", "state-action pairs")
def _entropy_utility_derivative(c: Context) -> Array:
    """Derivatives of the entropy of the occupancy in the logits, by differentiating the linear solve."""
    return _derivative(c, _entropy, "softmax")


@define("entropy_utility_gradient", r"d^\pi(s)\,\pi(a|s)\,A_w(s,a),\ w=-\log d^\pi", "step", "state-action pairs")
def _entropy_utility_gradient(c: Context) -> Array:
    """The softmax policy gradient at the frozen reward -log d, for visits that sum to 1."""
    return _softmax(c, -arithmetic.log(occupancy(c)))


@define("entropy_summand_gradient", r"d^\pi(s)\,\pi(a|s)\,A_f(s,a),\ f=-d^\pi\log d^\pi", "step", "state-action pairs")
def _entropy_summand_gradient(c: Context) -> Array:
    """The same with the entropy's own summand as the reward."""
    d = occupancy(c)
    return _softmax(c, -d * arithmetic.log(d))


@define("product_utility_derivative", r"\partial(J_1J_2)/\partial\theta(s,a)", "step", "state-action pairs")
def _product_utility_derivative(c: Context) -> Array:
    """Derivatives of the product of two mean rewards in the logits, by differentiating the linear solve."""
    return _derivative(c, _product, "softmax")


@define("product_utility_gradient", r"d^\pi(s)\,\pi(a|s)\,A_w(s,a),\ w=J_2r_1+J_1r_2", "step", "state-action pairs")
def _product_utility_gradient(c: Context) -> Array:
    """The softmax policy gradient at the frozen reward of the product, for visits that sum to 1."""
    return _softmax(c, _product_reward(c, occupancy(c)))


# Conjugates


@define("utility", r"F(d^\pi)", "step")
def _utility(c: Context) -> Array:
    """A quadratic utility of the occupancy."""
    return per_record(_value(_quadratic, c, occupancy(c)))


def _quadratic_tangent(c: Context, z: Array) -> Array:
    """<z,d> - F_*(z) with F_*(z) = inf_x <z,x> - F(x), for bend > 0: the infimum is at x = target - (z - r)/bend."""
    bend, target = c.extra("bend")[:, None, None, None], c.extra("target")[:, None]
    lowest = target - (z - c.rewards[:, None]) / bend
    conjugate = _total(z * lowest) - _value(_quadratic, c, lowest)
    return per_record(_total(z * occupancy(c)) - conjugate)


@define("utility_tangent", r"\langle z,d^\pi\rangle-F_*(z)", "step")
def _utility_tangent(c: Context) -> Array:
    """Value at the reward z less the conjugate of a quadratic utility, its infimum in closed form."""
    return _quadratic_tangent(c, c.extra("other_reward")[:, None])


@define("utility_best_tangent", r"\langle z^*,d^\pi\rangle-F_*(z^*),\ z^*=\nabla F(d^\pi)", "step")
def _utility_best_tangent(c: Context) -> Array:
    """The same at the utility's gradient."""
    return _quadratic_tangent(c, _quadratic_reward(c, occupancy(c)))


@define("entropy_utility", r"H(d^\pi)", "step")
def _entropy_utility(c: Context) -> Array:
    """Entropy of the occupancy, in nats."""
    return per_record(_value(_entropy, c, occupancy(c)))


@define("entropy_tangent", r"\langle z,d^\pi\rangle+\log\textstyle\sum e^{-z}", "step")
def _entropy_tangent(c: Context) -> Array:
    """Value at the reward z less the conjugate of the entropy over all distributions, minus log of sum e^-z."""
    z = c.extra("other_reward")[:, None]
    return per_record(_total(z * occupancy(c)) + arithmetic.log(_total(arithmetic.exp(-z))))


# Domination


@define("utility_difference", r"F(d^{\pi'})-F(d^\pi)", "step")
def _utility_difference(c: Context) -> Array:
    """A quadratic utility of the second policy less that of the first."""
    return per_record(_value(_quadratic, c, occupancy(second_policy(c))) - _value(_quadratic, c, occupancy(c)))


@define("entropy_utility_difference", r"H(d^{\pi'})-H(d^\pi)", "step")
def _entropy_utility_difference(c: Context) -> Array:
    """Entropy of the second policy's occupancy less that of the first, in nats."""
    other = occupancy(second_policy(c))
    used = np.where(np.asarray(other > 0, dtype=bool), other, other * 0 + 1)  # 0 log 0 = 0
    return per_record(-_total(used * arithmetic.log(used)) - _value(_entropy, c, occupancy(c)))


def _promise(c: Context, utility: Callable[[Context, Dual], Dual]) -> Array:
    """max over policies of <policy - pi, derivative>, state by state."""
    slope = _derivative(c, utility, "direct").reshape(c.policies[:, c.now].shape)
    return per_record((arithmetic.maximum(slope, axis=-1) - (c.policies[:, c.now] * slope).sum(axis=-1)).sum(axis=-1))


@define("utility_promise", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla_\pi F(d^\pi)\rangle", "step")
def _utility_promise(c: Context) -> Array:
    """Largest first-order rise of a quadratic utility, from its derivatives."""
    return _promise(c, _quadratic)


@define("entropy_utility_promise", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla_\pi H(d^\pi)\rangle", "step")
def _entropy_utility_promise(c: Context) -> Array:
    """Largest first-order rise of the entropy of the occupancy, from its derivatives, in nats."""
    return _promise(c, _entropy)


@define("utility_slope_to_other", r"\langle\pi'-\pi,\nabla_\pi F(d^\pi)\rangle", "step")
def _utility_slope_to_other(c: Context) -> Array:
    """First-order rise of a quadratic utility towards the second policy, from its derivatives."""
    slope = _derivative(c, _quadratic, "direct")
    return per_record((flat(second_policy(c).policies - c.policies[:, c.now]) * slope).sum(axis=-1))


@define("other_visit_ratio", r"\|d^{\pi'}/d^\pi\|_\infty", "step")
def _other_visit_ratio(c: Context) -> Array:
    """Largest ratio of the second policy's visits to the first's, both from mu."""
    return per_record(arithmetic.maximum(second_policy(c).visits_mu / c.visits_mu[:, c.now], axis=-1))


@define("other_visit_ratio_mu", r"\|d^{\pi'}/\mu\|_\infty", "step")
def _other_visit_ratio_mu(c: Context) -> Array:
    """Largest ratio of the second policy's visits to mu."""
    return per_record(arithmetic.maximum(second_policy(c).visits_mu / c.mu[:, None], axis=-1))


# Frank and Wolfe over occupancies


def vertices(c: Context) -> Array:
    """Occupancies of all deterministic policies: (B, N, S, A)."""
    states, actions = c.rewards.shape[1:]
    if actions**states > MOST_VERTICES:
        raise expression.ExpressionError(f"{actions}^{states} deterministic policies are more than the {MOST_VERTICES} that are listed")
    choices = np.array(list(itertools.product(range(actions), repeat=states)))
    policies = np.broadcast_to(c.constant(np.eye(actions, dtype=np.int64)[choices]), (c.discount.size, len(choices), states, actions))
    return occupancy(dataclasses.replace(c, policies=policies, times=np.arange(len(choices)), logits=None, minima=None, pairs=False))


def _first_best(c: Context, scores: Array) -> Array:
    """Position of the largest of (B, N): the first of several in rationals, any of them in floats; balls that overlap are refused."""
    best = to_float(scores).argmax(axis=-1) if c.kind == "ball" else scores.argmax(axis=-1)
    if c.kind == "ball":
        for row, k in zip(scores, best, strict=True):
            if not all(j == k or row[j] < row[k] for j in range(len(row))):
                raise arithmetic.Undecided("which policy is greedy is not known at this precision")
    return best


def _conditional_gradient(c: Context, reward: Callable[[Context, Array], Array], corners: Array) -> Array:
    """x_k (B, S, A) of x_{t+1} = x_t + 2/(t+2) (greedy occupancy - x_t) from the policy's own occupancy, k the setting `backups`."""

    def step(x: Array, t: int) -> Array:
        slope = reward(c, x[:, None])
        best = _first_best(c, _total(corners * slope))
        chosen = np.take_along_axis(corners, best[:, None, None, None], axis=1)[:, 0]
        return x + (chosen - x) * 2 / (t + 2)

    return repeat(c, "backups", occupancy(c)[:, 0], step)


@define("conditional_gradient_gap", r"F(d^{\pi'})-F(x_k)", "instance")
def _conditional_gradient_gap(c: Context) -> Array:
    """What Frank and Wolfe's k-th mixture of occupancies lacks to the second policy, for a quadratic utility."""
    reached = _conditional_gradient(c, _quadratic_reward, vertices(c))
    return per_record(_value(_quadratic, c, occupancy(second_policy(c))) - _value(_quadratic, c, reached[:, None]))


@define("bend", r"L", "instance")
def _bend(c: Context) -> Array:
    """Curvature of a quadratic utility: its smoothness constant in the Euclidean norm."""
    return per_instance(c.extra("bend"))


@define("occupancy_diameter_squared", "D^2", "instance")
def _occupancy_diameter_squared(c: Context) -> Array:
    """Largest squared Euclidean distance of two occupancies, which two deterministic policies attain."""
    corners = vertices(c).reshape(c.discount.size, -1, c.rewards[0].size)
    apart = ((corners[:, :, None] - corners[:, None]) ** 2).sum(axis=-1)
    return per_instance(arithmetic.maximum(apart.reshape(len(apart), -1), axis=-1))


@define("uniform_target_gap", r"\tfrac12|x_k-\tfrac1A|^2", "instance")
def _uniform_target_gap(c: Context) -> Array:
    """What Frank and Wolfe's k-th point lacks in a bandit whose utility is minus half the squared distance from equal shares."""
    actions = c.rewards.shape[-1]
    reached = _conditional_gradient(c, lambda c, x: c.constant(np.ones(x.shape, dtype=np.int64)) / actions - x, vertices(c))
    return per_instance(_total((reached - c.constant(np.ones(reached.shape, dtype=np.int64)) / actions) ** 2) / 2)


def _smoothed(c: Context, d: Array) -> Array:
    return -_total(d * arithmetic.log(d + given(c, "smoothing")[:, None, None, None]))


def _smoothed_reward(c: Context, d: Array) -> Array:
    beyond = d + given(c, "smoothing")[:, None, None, None]
    return -arithmetic.log(beyond) - d / beyond


@define("smoothed_gap", r"F(d^{\pi'})-F(x_k),\ F=-\textstyle\sum d\log(d+\sigma)", "instance")
def _smoothed_gap(c: Context) -> Array:
    """What Frank and Wolfe's k-th mixture lacks to the second policy in the smoothed entropy, in nats."""
    reached = _conditional_gradient(c, _smoothed_reward, vertices(c))
    return per_record(_smoothed(c, occupancy(second_policy(c))) - _smoothed(c, reached[:, None]))


def _bend_of(c: Context, value: Callable[[Context, Array], Array], reward: Callable[[Context, Array], Array]) -> Array:
    """F(d) + <grad F(d), d' - d> - F(d'): what the tangent at the policy's occupancy is above the utility at the second policy's."""
    here, there = occupancy(c), occupancy(second_policy(c))
    return per_record(value(c, here) + _total(reward(c, here) * (there - here)) - value(c, there))


@define("smoothed_bend", r"F(d)+\langle\nabla F(d),d'-d\rangle-F(d'),\ F=-\textstyle\sum d\log(d+\sigma)", "step")
def _smoothed_bend(c: Context) -> Array:
    """How far the tangent of the smoothed entropy at the policy's occupancy is above it at the second policy's."""
    return _bend_of(c, _smoothed, _smoothed_reward)


@define("shifted_bend", r"F(d)+\langle\nabla F(d),d'-d\rangle-F(d'),\ F=-\textstyle\sum(d+\sigma)\log(d+\sigma)", "step")
def _shifted_bend(c: Context) -> Array:
    """The same for the entropy of the occupancy raised by sigma."""

    def value(c: Context, d: Array) -> Array:
        beyond = d + given(c, "smoothing")[:, None, None, None]
        return -_total(beyond * arithmetic.log(beyond))

    return _bend_of(c, value, lambda c, d: -arithmetic.log(d + given(c, "smoothing")[:, None, None, None]) - 1)


@define("logarithm_bend", r"F(d)+\langle\nabla F(d),d'-d\rangle-F(d'),\ F=\textstyle\sum\log(d+\sigma)", "step")
def _logarithm_bend(c: Context) -> Array:
    """The same for the sum of the logarithms."""

    def value(c: Context, d: Array) -> Array:
        return _total(arithmetic.log(d + given(c, "smoothing")[:, None, None, None]))

    return _bend_of(c, value, lambda c, d: 1 / (d + given(c, "smoothing")[:, None, None, None]))


@define("occupancy_apart_squared", r"|d^{\pi'}-d^\pi|^2", "step")
def _occupancy_apart_squared(c: Context) -> Array:
    """Squared Euclidean distance of the two policies' occupancies."""
    return per_record(_total((occupancy(second_policy(c)) - occupancy(c)) ** 2))


@define("mixed_occupancy", r"\tfrac12(d^\pi+d^{\pi'})", "step", "state-action pairs")
def _mixed_occupancy(c: Context) -> Array:
    """Mean of the two policies' occupancies: that of a coin thrown at the start."""
    return flat((occupancy(c) + occupancy(second_policy(c))) / 2)


def _occupancy_of(c: Context, policy: Array) -> Array:
    return flat(occupancy(dataclasses.replace(c, policies=policy, logits=None, minima=None)))


def mixture_policy(c: Context) -> Array:
    """x(s,a)/x(s) for the mean x of the two policies' occupancies, uniform where x(s) = 0: (B, R, S, A)."""
    x = (occupancy(c) + occupancy(second_policy(c))) / 2
    visits = x.sum(axis=-1)[..., None]
    empty = np.asarray(visits == 0, dtype=bool)
    one = c.constant(np.ones(x.shape, dtype=np.int64))
    return np.where(empty, one / x.shape[-1], x / np.where(empty, visits * 0 + 1, visits))


@define("mixture_policy_occupancy", r"d^{\pi_x},\ \pi_x=x(s,a)/x(s)", "step", "state-action pairs")
def _mixture_policy_occupancy(c: Context) -> Array:
    """Occupancy of the policy that is read off the mean of the two occupancies."""
    return _occupancy_of(c, mixture_policy(c))


@define("averaged_policy_occupancy", r"d^{(\pi+\pi')/2}", "step", "state-action pairs")
def _averaged_policy_occupancy(c: Context) -> Array:
    """Occupancy of the policy whose action probabilities are the means of the two."""
    return _occupancy_of(c, (c.policies[:, c.now] + second_policy(c).policies) / 2)


__all__ = ["mixture_policy", "occupancy", "vertices"]
