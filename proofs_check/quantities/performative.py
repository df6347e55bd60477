"""Models that answer the occupancy that is deployed: retraining, what is stable, what is optimal, chains that answer.

Occupancies are not normalised.  The deployed ones are those of the instance's two policies, from mu.  Extras: answer_slope (S, A, S, A) = M with
r_d = r - M d, other_rewards (S, A), other_kernel (S, A, S); bonus, answer, elsewhere for two arms; mass, second_mass and mass_rewards (2,) for the
chain of two states that answers.  The setting regulariser is lam.  The maximiser of <d, r> - (lam / 2) |d|^2 is found by trying every support: a
system of equations for each, of which the one whose signs fit is taken.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDS = 3
"""Rounds of retraining that the rate is checked over."""
define_setting("regulariser", r"\lambda", "weight of |d|^2 / 2 that is taken off the reward of an occupancy d")


def _column(numbers: Array) -> Array:
    return numbers[:, None, None]


def _square(x: Array) -> Array:
    return per_instance((x * x).reshape(len(x), -1).sum(axis=-1))


# The regularised best occupancy, by supports


def _supports(states: int, actions: int) -> list[Array]:
    """Sets of pairs with at least one action in each state, as indices."""
    rows = [row for row in itertools.product((False, True), repeat=actions) if any(row)]
    return [np.flatnonzero(np.array(pick).reshape(-1)) for pick in itertools.product(rows, repeat=states)]


def _outflow(transitions: Array, discount: Array) -> Array:
    """(B, S A, S): the flow equations are outflow' d = start."""
    count, states, actions, _ = transitions.shape
    flow = transitions.reshape(count, states * actions, states) * -_column(discount)
    for pair in range(states * actions):
        flow[:, pair, pair // actions] = flow[:, pair, pair // actions] + 1
    return flow


def _best(transitions: Array, target: Array, discount: Array, start: Array, weight: Array, slope: Array | None = None) -> Array:
    """argmax of <d, target> - (weight / 2) |d|^2 over the occupancies, (B, S, A); with a slope M the point d that answers target - M d with itself.

    On a support the equations weight d + M d + outflow v = target and outflow' d = start are linear in (d, v)."""
    count, states, actions = target.shape
    flow, goal = _outflow(transitions, discount), target.reshape(count, -1)
    size = states * actions
    own = np.zeros((count, size, size), dtype=goal.dtype) + _column(discount) * 0
    for pair in range(size):
        own[:, pair, pair] = own[:, pair, pair] + weight
    bend = own if slope is None else own + slope.reshape(count, size, size)
    margins, found = [], []
    for support in _supports(states, actions):
        k = len(support)
        system = np.zeros((count, k + states, k + states), dtype=goal.dtype) + _column(discount) * 0
        system[:, :k, :k] = bend[:, support][:, :, support]
        system[:, :k, k:] = flow[:, support]
        system[:, k:, :k] = np.swapaxes(flow[:, support], 1, 2)
        solution = arithmetic.solve(system, np.concatenate([goal[:, support], start], axis=1))
        d = goal * 0
        d[:, support] = solution[:, :k]
        left = goal - np.einsum("bpq,bq->bp", bend, d) - np.einsum("bps,bs->bp", flow, solution[:, k:])
        left[:, support] = d[:, support]  # on the support the occupancy must not be negative, off it the reduced reward not positive
        left = left * np.where(np.isin(np.arange(size), support), 1, -1)
        margins.append(arithmetic.minimum(left, axis=-1))
        found.append(d)
    return np.array(_fitting(margins, found)).reshape(count, states, actions)


def _fitting(margins: list[Array], found: list[Array]) -> list[Array]:
    """The solution whose signs fit best, instance by instance."""
    out = []
    for b in range(len(margins[0])):
        best = 0
        for k in range(1, len(margins)):
            if arithmetic.less(margins[best][b], margins[k][b]):
                best = k
        out.append(found[best][b])
    return out


def _deployed(c: Context) -> tuple[Array, Array]:
    """The occupancies (B, S, A) of the two policies."""
    assert c.other is not None
    return _visits(c, c.transitions, c.policies[:, 0]), _visits(c, c.transitions, c.other)


def _visits(c: Context, transitions: Array, policy: Array) -> Array:
    chain = np.einsum("bsa,bsat->bst", policy, transitions) * -_column(c.discount)
    states = np.arange(chain.shape[-1])
    chain[:, states, states] = chain[:, states, states] + 1
    return arithmetic.solve(np.swapaxes(chain, 1, 2), c.mu)[..., None] * policy


def _paid(c: Context, d: Array) -> Array:
    """r_d (B, S, A)."""
    return c.rewards - np.einsum("bsatu,btu->bsa", c.extra("answer_slope"), d)


def _retrained(c: Context, d: Array, rounds: int = 1) -> Array:
    for _ in range(rounds):
        d = _best(c.transitions, _paid(c, d), c.discount, c.mu, given(c, "regulariser"))
    return d


# Rewards that answer


@define("answer_size", r"\epsilon", "instance")
def _answer_size(c: Context) -> Array:
    """Sensitivity of the rewards: the larger of the largest absolute row and column sum of M, which is at least its largest singular value."""
    slope = arithmetic.absolute(c.extra("answer_slope"))
    size = slope.shape[1] * slope.shape[2]
    flat = slope.reshape(-1, size, size)
    return per_instance(arithmetic.maximum(np.concatenate([flat.sum(axis=1), flat.sum(axis=2)], axis=-1), axis=-1))


@define("deployed_apart", r"|d-d'|^2", "instance")
def _deployed_apart(c: Context) -> Array:
    """Squared distance of the two occupancies that are deployed."""
    first, second = _deployed(c)
    return _square(first - second)


@define("retrained_apart", r"|T(d)-T(d')|^2", "instance")
def _retrained_apart(c: Context) -> Array:
    """Squared distance of what repeated optimisation makes of them."""
    first, second = _deployed(c)
    return _square(_retrained(c, first) - _retrained(c, second))


@define("retrained_later_apart", r"|T^3(d)-T^3(d')|^2", "instance")
def _retrained_later_apart(c: Context) -> Array:
    """The same after three rounds."""
    first, second = _deployed(c)
    return _square(_retrained(c, first, ROUNDS) - _retrained(c, second, ROUNDS))


@define("rewards_apart", r"|r-r'|^2", "instance")
def _rewards_apart(c: Context) -> Array:
    """Squared distance of two rewards (S, A)."""
    return _square(c.rewards - c.extra("other_rewards"))


@define("answered_apart", r"|T_r-T_{r'}|^2", "instance")
def _answered_apart(c: Context) -> Array:
    """Squared distance of the regularised best occupancies for two rewards."""
    weight = given(c, "regulariser")
    first, second = (_best(c.transitions, r, c.discount, c.mu, weight) for r in (c.rewards, c.extra("other_rewards")))
    return _square(first - second)


def _stable(c: Context) -> Array:
    """The point that is best for its own answer, where the answer is weaker than the regulariser (elsewhere that of no answer)."""
    weight = given(c, "regulariser")
    weaker = arithmetic.less(_answer_size(c)[:, 0, 0], weight)
    slope = c.extra("answer_slope") * np.asarray(weaker).astype(int)[:, None, None, None, None]
    return _best(c.transitions, c.rewards, c.discount, c.mu, weight, slope)


@define("first_unrest", r"|d-d_S|^2", "instance")
def _first_unrest(c: Context) -> Array:
    """Squared distance of the first occupancy from the stable one, which solves its own equations and is not iterated for."""
    return _square(_deployed(c)[0] - _stable(c))


@define("later_unrest", r"|T^3(d)-d_S|^2", "instance")
def _later_unrest(c: Context) -> Array:
    """The same after three rounds of repeated optimisation."""
    return _square(_retrained(c, _deployed(c)[0], ROUNDS) - _stable(c))


@define("ascended_apart", r"|G(d)-G(d')|^2", "instance")
def _ascended_apart(c: Context) -> Array:
    """Squared distance of what one step of repeated gradient ascent on the occupancy makes of the two."""
    step, weight = _column(given(c, "eta")), _column(given(c, "regulariser"))
    one = c.discount * 0 + 1
    moved = [_best(c.transitions, (1 - step * weight) * d + step * _paid(c, d), c.discount, c.mu, one) for d in _deployed(c)]
    return _square(moved[0] - moved[1])


# Two arms, r_d = (bonus, 0) - answer d, in terms of D = d_1 - d_2


def _limited(x: Array) -> Array:
    return arithmetic.minimum(np.stack([x, x * 0 + 1], axis=-1), axis=-1)


def _split(c: Context, times: int) -> Array:
    return _limited(c.extra("bonus") / (given(c, "regulariser") + times * c.extra("answer")))


def _objective(c: Context, split: Array) -> Array:
    """<d, r_d> - (lam / 2) |d|^2 at d = ((1 + D) / 2, (1 - D) / 2)."""
    d = np.stack([(1 + split) / 2, (1 - split) / 2], axis=-1)
    rewards = -c.extra("answer")[:, None] * d
    rewards[:, 0] = rewards[:, 0] + c.extra("bonus")
    return (d * rewards).sum(axis=-1) - given(c, "regulariser") / 2 * (d * d).sum(axis=-1)


@define("answer_strength", r"\epsilon", "instance")
def _answer_strength(c: Context) -> Array:
    """By how much an arm pays less for each unit of its occupancy."""
    return per_instance(c.extra("answer"))


@define("stable_split", r"\min(1,\tfrac{a}{\lambda+\epsilon})", "instance")
def _stable_split(c: Context) -> Array:
    """d_1 - d_2 of the stable occupancy of two arms that answer, by its formula."""
    return per_instance(_split(c, 1))


@define("optimal_split", r"\min(1,\tfrac{a}{\lambda+2\epsilon})", "instance")
def _optimal_split(c: Context) -> Array:
    """d_1 - d_2 of the best occupancy of two arms when the answer is foreseen, by its formula."""
    return per_instance(_split(c, 2))


@define("retrained_split", r"T(\min(1,\tfrac{a}{\lambda+\epsilon}))", "instance")
def _retrained_split(c: Context) -> Array:
    """What one round of repeated optimisation makes of the stable split: the projection of r_d / lam on the simplex."""
    split = _split(c, 1)
    rewards = -c.extra("answer")[:, None] * np.stack([(1 + split) / 2, (1 - split) / 2], axis=-1)
    rewards[:, 0] = rewards[:, 0] + c.extra("bonus")
    d = arithmetic.project_simplex(rewards / given(c, "regulariser")[:, None])
    return per_instance(d[:, 0] - d[:, 1])


@define("elsewhere_objective", r"J(D)", "instance")
def _elsewhere_objective(c: Context) -> Array:
    """Performative objective <d, r_d> - (lam / 2) |d|^2 of two arms at any D = d_1 - d_2."""
    return per_instance(_objective(c, c.extra("elsewhere")))


@define("stable_objective", r"J(D_S)", "instance")
def _stable_objective(c: Context) -> Array:
    """The same at the stable split."""
    return per_instance(_objective(c, _split(c, 1)))


@define("optimal_objective", r"J(D_O)", "instance")
def _optimal_objective(c: Context) -> Array:
    """The same at the optimal split."""
    return per_instance(_objective(c, _split(c, 2)))


# Chains that answer


@define("kernels_apart", r"|P-P'|^2", "instance")
def _kernels_apart(c: Context) -> Array:
    """Squared Euclidean distance of two kernels, all entries."""
    return _square(c.transitions - c.extra("other_kernel"))


@define("drifted_apart", r"|d_P-d_{P'}|^2", "instance")
def _drifted_apart(c: Context) -> Array:
    """Squared distance of one policy's occupancies under two kernels."""
    policy = c.policies[:, 0]
    return _square(_visits(c, c.transitions, policy) - _visits(c, c.extra("other_kernel"), policy))


def _reanswered(c: Context) -> tuple[Array, Array]:
    """What is best for the instance's rewards under each of the two kernels."""
    weight = given(c, "regulariser")
    kernels = (c.transitions, c.extra("other_kernel"))
    first, second = (_best(kernel, c.rewards, c.discount, c.mu, weight) for kernel in kernels)
    return first, second


@define("reanswered_apart", r"|T_P-T_{P'}|^2", "instance")
def _reanswered_apart(c: Context) -> Array:
    """Squared distance of the regularised best occupancies under two kernels."""
    first, second = _reanswered(c)
    return _square(first - second)


@define("reanswered_pulls", r"|r/\lambda-T_P|^2+|r/\lambda-T_{P'}|^2", "instance")
def _reanswered_pulls(c: Context) -> Array:
    """Squared distances of the two from the point that both are projections of."""
    point = c.rewards / _column(given(c, "regulariser"))
    first, second = _reanswered(c)
    return _square(point - first) + _square(point - second)


def _answered_mass(c: Context, mass: Array) -> Array:
    """d(0) after one round on the chain with both rows (3/2 - d(0), d(0) - 1/2), gamma = 1/2, start (1/2, 1/2), one action, whatever pays."""
    row = np.stack([3 - 2 * mass, 2 * mass - 1], axis=-1) / 2
    kernel = np.stack([row, row], axis=1)[:, :, None]
    half = mass * 0 + (c.discount * 0 + 1) / 2
    return _best(kernel, c.extra("mass_rewards")[..., None], half, np.stack([half, half], axis=-1), given(c, "regulariser"))[:, 0, 0]


@define("mass_after_two", r"T^2(m)", "instance")
def _mass_after_two(c: Context) -> Array:
    """Visits of the first state of the answering chain after two rounds of repeated optimisation."""
    return per_instance(_answered_mass(c, _answered_mass(c, c.extra("mass"))))


@define("mass_deployed", r"m", "instance")
def _mass_deployed(c: Context) -> Array:
    """Visits of the first state of the answering chain that are deployed."""
    return per_instance(c.extra("mass"))


@define("mass_apart", r"|m-m'|", "instance")
def _mass_apart(c: Context) -> Array:
    """Distance of two such deployments."""
    return per_instance(arithmetic.absolute(c.extra("mass") - c.extra("second_mass")))


@define("answered_mass_apart", r"|T(m)-T(m')|", "instance")
def _answered_mass_apart(c: Context) -> Array:
    """Distance of what one round makes of them."""
    return per_instance(arithmetic.absolute(_answered_mass(c, c.extra("mass")) - _answered_mass(c, c.extra("second_mass"))))
