"""How a sample is drawn: arms by a rule that balances their frequencies, and Gaussian perturbations whose moments are exact.

Balanced draws: pull t = 1, 2, ... takes the arm with the largest t pi_a - n_a.  Gaussian moments of polynomials come from the moments 1, 0, 1, 0, 3,
0, 15 of one variable, or from the rational rule on -3, ..., 3 that shares them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from mdps.rational import fraction
from pgtheory import arithmetic
from proofs_check.numbers import larger, to_float
from proofs_check.quantities.registry import define, given, per_instance
from proofs_check.quantities.regret import of_rounds
from proofs_check.quantities.sampled_scores import arm_scores

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
Rule = Callable[[Array, Array, int], Array]
"""(policy, counts, number of the pull) to the merits of the arms, (B, A) each."""


# Balanced draws


def _balanced(policy: Array, counts: Array, t: int) -> Array:
    return t * policy - counts


def _late(policy: Array, counts: Array, t: int) -> Array:
    return (t - 1) * policy - counts


def _ratio(policy: Array, counts: Array, _: int) -> Array:
    return policy / (counts + 1)


def _largest(merits: Array) -> Array:
    """The first arm with the largest merit, exactly where numbers are exact: (B,)."""
    if arithmetic.kind(merits) == "rational":
        return np.array([max(range(len(row)), key=lambda a: fraction(row[a])) for row in merits.tolist()])
    return to_float(merits).argmax(axis=-1)


def _draws(c: Context, rule: Rule) -> tuple[list[Array], list[Array]]:
    """After each pull: the largest surplus n_a - t pi_a so far (B,), and the surpluses (B, A)."""
    policy = c.policies[:, 0, 0]
    counts = policy * 0
    most: list[Array] = []
    surplus: list[Array] = []
    for t in range(1, int(to_float(given(c, "rounds")).max()) + 1):
        picked = _largest(rule(policy, counts, t))
        counts = counts + np.eye(policy.shape[-1], dtype=int)[picked]
        surplus.append(counts - t * policy)
        worst = arithmetic.maximum(surplus[-1], axis=-1)
        most.append(worst if not most else larger(most[-1], worst))
    return most, surplus


@define("balanced_surplus", r"\max_{t\le T,\,a}n_a(t)-t\pi_a", "instance")
def _balanced_surplus(c: Context) -> Array:
    """Largest surplus of an arm over its share, up to T pulls of the arm with the largest deficit, this pull included."""
    return per_instance(of_rounds(c, _draws(c, _balanced)[0]))


@define("late_surplus", r"\max_{t\le T,\,a}n_a(t)-t\pi_a\ \text{(deficit before)}", "instance")
def _late_surplus(c: Context) -> Array:
    """The same if the deficit leaves the pull itself out."""
    return per_instance(of_rounds(c, _draws(c, _late)[0]))


@define("ratio_surplus", r"\max_{t\le T,\,a}n_a(t)-t\pi_a\ \text{(}\pi_a/(n_a+1)\text{)}", "instance")
def _ratio_surplus(c: Context) -> Array:
    """The same if the arm with the largest pi_a/(n_a + 1) is pulled."""
    return per_instance(of_rounds(c, _draws(c, _ratio)[0]))


@define("balanced_distance", r"\lVert n/T-\pi\rVert_1", "instance")
def _balanced_distance(c: Context) -> Array:
    """Distance of the frequencies after T balanced pulls from the policy."""
    sums = [arithmetic.absolute(s).sum(axis=-1) / (t + 1) for t, s in enumerate(_draws(c, _balanced)[1])]
    return per_instance(of_rounds(c, sums))


def _of_frequencies(c: Context) -> tuple[Array, Array]:
    """(frequencies less policy (B, A), scores times rewards (B, A, A))."""
    policy = c.policies[:, 0, 0]
    return c.extra("frequencies") - policy, arm_scores(policy) * c.rewards[:, 0, :, None]


@define("sampling_error_square", r"\lVert\hat g-\nabla J\rVert^2", "instance")
def _sampling_error_square(c: Context) -> Array:
    """Squared error of the gradient estimate sum_a f_a s_a r_a from frequencies f of the arms, in squared reward units."""
    apart, each = _of_frequencies(c)
    error = (apart[..., None] * each).sum(axis=1)
    return per_instance((error * error).sum(axis=-1))


@define("frequency_distance", r"\lVert f-\pi\rVert_1", "instance")
def _frequency_distance(c: Context) -> Array:
    """Distance of the frequencies from the policy."""
    return per_instance(arithmetic.absolute(_of_frequencies(c)[0]).sum(axis=-1))


@define("largest_reward_size", r"\max_a|r_a|", "instance")
def _largest_reward_size(c: Context) -> Array:
    """Largest absolute reward of a bandit."""
    return per_instance(arithmetic.maximum(arithmetic.absolute(c.rewards[:, 0]), axis=-1))


# One Gaussian action: polynomials in z, by their coefficients

MOMENTS = (1, 0, 1, 0, 3, 0, 15)


def _times(a: list[Array], b: list[Array]) -> list[Array]:
    out = [a[0] * 0] * (len(a) + len(b) - 1)
    for i, j in itertools.product(range(len(a)), range(len(b))):
        out[i + j] = out[i + j] + a[i] * b[j]
    return out


def _mean(a: list[Array]) -> Array:
    return np.asarray(sum(coefficient * moment for coefficient, moment in zip(a, MOMENTS, strict=False)))


def _variance(a: list[Array]) -> Array:
    return _mean(_times(a, a)) - _mean(a) * _mean(a)


def _action_polynomials(c: Context, baseline: str) -> tuple[list[Array], list[Array]]:
    """Coefficients in z of Q'(m + s z), and of z (Q(m + s z) - b)/s with b = E Q, plus 2 q2 s^2 where "best"."""
    q, m, s = c.extra("quadratic"), c.extra("centre"), c.extra("width")
    action = [m, s]
    square = _times(action, action)
    value = [q[:, 0] + q[:, 1] * m + q[:, 2] * square[0], q[:, 1] * s + q[:, 2] * square[1], q[:, 2] * square[2]]
    slope = [q[:, 1] + 2 * q[:, 2] * m, 2 * q[:, 2] * s]
    b = _mean(value) + (2 * q[:, 2] * s * s if baseline == "best" else 0)
    return slope, [m * 0, *[x / s for x in (value[0] - b, *value[1:])]]


@define("pathwise_variance", r"\mathrm{Var}\,Q'(m+sz)", "instance")
def _pathwise_variance(c: Context) -> Array:
    """Variance of the derivative along the sampled action, for a quadratic Q, from Gaussian moments."""
    return per_instance(_variance(_action_polynomials(c, "best")[0]))


@define("score_variance", r"\mathrm{Var}\,z(Q(m+sz)-b^*)/s", "instance")
def _score_variance(c: Context) -> Array:
    """Variance of the score-function estimate with the best constant baseline, for a quadratic Q, from Gaussian moments."""
    return per_instance(_variance(_action_polynomials(c, "best")[1]))


@define("score_variance_mean", r"\mathrm{Var}\,z(Q(m+sz)-\mathbb{E}Q)/s", "instance")
def _score_variance_mean(c: Context) -> Array:
    """The same with the mean of Q as the baseline."""
    return per_instance(_variance(_action_polynomials(c, "mean")[1]))


@define("score_and_pathwise_means", r"\left(\mathbb{E}Q',\ \mathbb{E}z(Q-b)/s\right)", "instance", "estimates")
def _score_and_pathwise_means(c: Context) -> Array:
    """Means of the two estimates of the derivative in m."""
    return np.stack([_mean(a) for a in _action_polynomials(c, "best")], axis=-1)[:, None]


@define("quadratic_slope_at_centre", r"q_1+2q_2m", "instance")
def _quadratic_slope_at_centre(c: Context) -> Array:
    """Derivative of the quadratic Q at the centre of the action's law."""
    q = c.extra("quadratic")
    return per_instance(q[:, 1] + 2 * q[:, 2] * c.extra("centre"))


@define("bend_times_width_square", r"(q_2s)^2", "instance")
def _bend_times_width_square(c: Context) -> Array:
    """Square of half the second derivative of Q times the standard deviation of the action."""
    bend = c.extra("quadratic")[:, 2] * c.extra("width")
    return per_instance(bend * bend)


def _wave(c: Context) -> tuple[Array, Array, Array]:
    """(w^2, e^{-2 w^2}, squared mean w^2 e^{-w^2}) for Q(a) = sin wa, m = 0, s = 1."""
    square = c.extra("frequency") * c.extra("frequency")
    return square, arithmetic.exp(-2 * square), square * arithmetic.exp(-square)


@define("wave_pathwise_variance", r"\mathrm{Var}\,w\cos wz", "instance")
def _wave_pathwise_variance(c: Context) -> Array:
    """Variance of the derivative along a standard normal action for Q(a) = sin wa."""
    square, fall, mean = _wave(c)
    return per_instance(square * (1 + fall) / 2 - mean)


@define("wave_score_variance", r"\mathrm{Var}\,z\sin wz", "instance")
def _wave_score_variance(c: Context) -> Array:
    """Variance of the score-function estimate without a baseline, which is the best one, for Q(a) = sin wa."""
    square, fall, mean = _wave(c)
    return per_instance((1 - (1 - 4 * square) * fall) / 2 - mean)


# Perturbed parameters: three Gaussian directions


def _rule() -> tuple[list[int], list[Fraction]]:
    """Nodes -3, ..., 3 and the weights with which even powers up to 6 have the moments of a standard normal variable."""
    from mdps.rational import rational_array

    even = arithmetic.solve(
        rational_array([[1, 2, 2, 2], [0, 2, 8, 18], [0, 2, 32, 162], [0, 2, 128, 1458]])[None], rational_array([1, 1, 3, 15])[None]
    )[0]
    weights = [fraction(x) for x in even]
    return list(range(-3, 4)), [*reversed(weights[1:]), *weights]


def _evolution(c: Context, antithetic: bool) -> tuple[Array, Array]:
    """(mean (B, 3), second moment (B,)) of the estimate at 0 of c + g.x + x'Hx/2, from all 343 nodes."""
    nodes, weights = _rule()
    places = np.array(list(itertools.product(nodes, repeat=3)))
    share = [Fraction(np.prod([weights[n + 3] for n in place])) for place in places.tolist()]
    half = (c.extra("curvature") + c.extra("curvature").swapaxes(1, 2)) / 2
    sigma, level = c.extra("width")[:, None], c.extra("level_at_zero")[:, None]
    linear = sigma * np.einsum("bi,ni->bn", c.extra("slope"), places)
    bent = sigma * sigma * np.einsum("bij,nij->bn", half, places[:, :, None] * places[:, None, :]) / 2
    size = linear / sigma if antithetic else (level + linear + bent) / sigma
    chance = np.array([_share(c, x) for x in share], dtype=size.dtype)
    each = size[..., None] * places
    return (chance[:, None] * each).sum(axis=1), (chance * (each * each).sum(axis=-1)).sum(axis=1)


def _share(c: Context, number: Fraction) -> Array:
    return (c.discount[0] * 0 + number.numerator) / number.denominator


def _shape_of_evolution(c: Context) -> tuple[Array, Array, Array]:
    """(|g|^2, trace H, trace H^2)."""
    half = (c.extra("curvature") + c.extra("curvature").swapaxes(1, 2)) / 2
    slope = c.extra("slope")
    return (slope * slope).sum(axis=-1), np.einsum("bii->b", half), (half * half).sum(axis=(1, 2))


@define("evolution_means", r"\left(\mathbb{E}g_{\pm},\ \mathbb{E}g_+\right)", "instance", "estimates and coordinates")
def _evolution_means(c: Context) -> Array:
    """Means of the antithetic and of the one-sided estimate of the slope at 0 of a quadratic in three parameters, by a rule of 343 nodes."""
    return np.concatenate([_evolution(c, True)[0], _evolution(c, False)[0]], axis=-1)[:, None]


@define("slope_twice", r"(g,\ g)", "instance", "estimates and coordinates")
def _slope_twice(c: Context) -> Array:
    """The slope at 0, for either estimate."""
    return np.concatenate([c.extra("slope"), c.extra("slope")], axis=-1)[:, None]


@define("antithetic_square", r"\mathbb{E}\lVert g_\pm\rVert^2", "instance")
def _antithetic_square(c: Context) -> Array:
    """Second moment of the antithetic estimate, by the same rule."""
    return per_instance(_evolution(c, True)[1])


@define("one_sided_square", r"\mathbb{E}\lVert g_+\rVert^2", "instance")
def _one_sided_square(c: Context) -> Array:
    """Second moment of the one-sided estimate, by the same rule."""
    return per_instance(_evolution(c, False)[1])


@define("slope_square_at_zero", r"\lVert g\rVert^2", "instance")
def _slope_square_at_zero(c: Context) -> Array:
    """Squared length of the slope at 0."""
    return per_instance(_shape_of_evolution(c)[0])


@define(
    "one_sided_square_closed",
    r"\frac{c^2d}{\sigma^2}+(d+2)\lVert g\rVert^2+\frac{\sigma^2}4(d+4)(\mathrm{tr}^2H+2\mathrm{tr}H^2)+c(d+2)\mathrm{tr}H",
    "instance",
)
def _one_sided_square_closed(c: Context) -> Array:
    """The same in closed form, d = 3."""
    size, trace, square = _shape_of_evolution(c)
    level, sigma = c.extra("level_at_zero"), c.extra("width")
    bent = sigma * sigma / 4 * 7 * (trace * trace + 2 * square)
    return per_instance(3 * level * level / (sigma * sigma) + 5 * size + bent + 5 * level * trace)
