"""Online learners against given losses, exactly: runs in which all losses are seen, and trees of all draws in which one is.

The extra `losses` (N, A) has the loss of every arm in every round, of which the first `rounds` count; regret is the learner's loss less that of the
best arm.  The laws: exponential weights p ~ exp(-eta L), and the regularised leaders p_i = (c/(L_i - x))^m that sum to 1: m = 2 and c = sqrt t for
the Tsallis entropy, m = 1 and c = 1/eta for the log barrier.  L are the losses seen, or their estimates l_i 1{A = i}/p_i.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from flint import ctx

from pgtheory import arithmetic
from proofs_check.numbers import smaller, to_float
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
Law = Callable[[Array, int], Array]
"""(B, N, A) sums of losses and the round t = 1, 2, ... to (B, N, A) probabilities."""


# The laws


def _exponential(step: Array) -> Law:
    return lambda totals, _: arithmetic.softmax(-step[:, None, None] * totals)


def _leader(scale: Callable[[int], Array], power: int) -> Law:
    """(c/(L - x))^m with the x for which the row sums to 1."""

    def law(totals: Array, t: int) -> Array:
        c = scale(t)[:, None, None] + totals[..., :1] * 0
        least = arithmetic.minimum(totals, axis=-1)[..., None]
        lead = _lead((totals - least) / c, power)
        out = 1 / ((totals - least) / c + lead[..., None])
        return out if power == 1 else out * out

    return law


def _lead(distance: Array, power: int) -> Array:
    """(...): the y in [1, K] with sum_i (d_i + y)^-m = 1, for distances d >= 0 of which one is 0; a ball encloses it."""
    away = to_float(distance)
    y = np.ones(away.shape[:-1])
    for _ in range(40):  # the sum is convex and falls in y: Newton's method from the left climbs to the root
        parts = 1 / (away + y[..., None])
        y = y + np.maximum((parts**power).sum(axis=-1) - 1, 0) / (power * (parts ** (power + 1)).sum(axis=-1))
    if arithmetic.kind(distance) == "float":
        return y
    flat = np.empty(y.size, dtype=object)
    rows = arithmetic.balls(distance).reshape(y.size, -1)
    flat[:] = [_enclosed_lead(row.tolist(), float(start), power) for row, start in zip(rows, y.reshape(-1), strict=True)]
    return flat.reshape(y.shape)


def _enclosed_lead(distance: list[Any], start: float, power: int) -> Any:
    """A ball around the root: the sum is above 1 at its lower end and below 1 at its upper end."""
    y = distance[0] * 0 + start
    for _ in range(6):
        parts = [1 / (d.mid() + y) for d in distance]
        y = (y + (sum(p**power for p in parts) - 1) / (power * sum(p ** (power + 1) for p in parts))).mid()
    width = (distance[0] * 0 + 2) ** (8 - ctx.prec)
    while True:
        low, high = y * (1 - width), y * (1 + width)
        if sum((1 / (d + low)) ** power for d in distance) > 1 > sum((1 / (d + high)) ** power for d in distance):
            return low.union(high)
        width = width * 16
        if width > 1:
            raise arithmetic.Undecided("the sums of losses are not known well enough to solve for the leader's law")


def _root(c: Context, t: int) -> Array:
    """sqrt t in the numbers of the context; rationals are refused."""
    return arithmetic.sqrt(c.discount * 0 + t)


def _tsallis(c: Context) -> Law:
    return _leader(lambda t: _root(c, t), 2)


def _barrier(c: Context) -> Law:
    return _leader(lambda _: 1 / given(c, "eta"), 1)


# Runs that see every loss, and trees of those that see one


def of_rounds(c: Context, each: list[Array]) -> Array:
    """The entry of each instance's own number of rounds, of a list with one (B,) a round: (B,)."""
    wanted = to_float(given(c, "rounds")).astype(int)
    return np.stack(each, axis=-1)[np.arange(len(wanted)), wanted - 1]


def _count(c: Context) -> int:
    return int(to_float(given(c, "rounds")).max())


def _run(c: Context, law: Law) -> tuple[list[Array], list[Array]]:
    """(laws, losses), one (B, A) a round, of a learner that sees all losses."""
    losses = c.extra("losses")
    totals, laws, paid = losses[:, :1] * 0, [], []
    for t in range(_count(c)):
        laws.append(law(totals, t + 1)[:, 0])
        paid.append(losses[:, t])
        totals = totals + losses[:, t : t + 1]
    return laws, paid


def _sums(each: list[Array]) -> list[Array]:
    """Running sums."""
    out = [each[0]]
    for values in each[1:]:
        out.append(out[-1] + values)
    return out


def _least_totals(c: Context) -> Array:
    """(B,): loss of the best arm in hindsight."""
    losses = c.extra("losses")
    return of_rounds(c, [arithmetic.minimum(total, axis=-1) for total in _sums([losses[:, t] for t in range(_count(c))])])


def _run_regret(c: Context, law: Law) -> Array:
    laws, paid = _run(c, law)
    return of_rounds(c, _sums([(p * x).sum(axis=-1) for p, x in zip(laws, paid, strict=True)])) - _least_totals(c)


def _tree(c: Context, law: Law, each: Callable[[Array, int], Array] | None = None) -> Array:
    """(B,): expected loss of a learner that sees the loss of the arm it draws, over every sequence of draws; or the expectation of the sum over the
    rounds of `each`(law (B, N, A), t), (B, N)."""
    losses, rounds = c.extra("losses"), _count(c)
    totals, chance = losses[:, :1] * 0, losses[:, :1, 0] * 0 + 1
    unit, paid = np.eye(losses.shape[-1], dtype=int), []
    for t in range(rounds):
        p = law(totals, t + 1)
        counted = (p * losses[:, t, None]).sum(axis=-1) if each is None else each(p, t + 1)
        paid.append((chance * counted).sum(axis=-1))
        if t + 1 == rounds:
            break
        share = np.where(np.asarray(p > 0, dtype=bool), p, p * 0 + 1)
        seen = unit * (losses[:, t, None] / share)[..., None]  # an arm of probability 0 is not drawn
        totals = (totals[:, :, None] + seen).reshape(len(totals), -1, losses.shape[-1])
        chance = (chance[..., None] * p).reshape(len(totals), -1)
    return of_rounds(c, _sums(paid))


def _tuned(c: Context, share: Array) -> Array:
    """sqrt(share log A/T), 0 for one arm."""
    arms = c.discount * 0 + c.rewards.shape[2]
    return arithmetic.sqrt(share * arithmetic.log(arms) / given(c, "rounds"))


# Quantities


@define("hedge_regret", r"R_T(\mathrm{Hedge})", "instance")
def _hedge_regret(c: Context) -> Array:
    """Regret of exponential weights that see all losses, in loss units."""
    return per_instance(_run_regret(c, _exponential(given(c, "eta"))))


@define("tuned_hedge_regret", r"R_T(\mathrm{Hedge},\ \eta=\sqrt{8\log A/T})", "instance")
def _tuned_hedge_regret(c: Context) -> Array:
    """The same with the step size that balances the bound for losses in [0, 1]."""
    return per_instance(_run_regret(c, _exponential(_tuned(c, c.discount * 0 + 8))))


@define("hedge_square", r"\textstyle\sum_t\langle p_t,\ell_t^2\rangle", "instance")
def _hedge_square(c: Context) -> Array:
    """Sum over the rounds of the mean squared loss under exponential weights."""
    laws, paid = _run(c, _exponential(given(c, "eta")))
    return per_instance(of_rounds(c, _sums([(p * x * x).sum(axis=-1) for p, x in zip(laws, paid, strict=True)])))


@define("loss_squares", r"\textstyle\sum_t\lVert\ell_t\rVert^2", "instance")
def _loss_squares(c: Context) -> Array:
    """Sum of all squared losses of all arms over the rounds."""
    losses = c.extra("losses")
    return per_instance(of_rounds(c, _sums([(losses[:, t] * losses[:, t]).sum(axis=-1) for t in range(_count(c))])))


@define("exp3_regret", r"\mathbb{E}R_T(\mathrm{Exp3})", "instance")
def _exp3_regret(c: Context) -> Array:
    """Expected regret of exponential weights on estimated losses, over all sequences of draws, in loss units."""
    return per_instance(_tree(c, _exponential(given(c, "eta"))) - _least_totals(c))


@define("tuned_exp3_regret", r"\mathbb{E}R_T(\mathrm{Exp3},\ \eta=\sqrt{2\log A/(TA)})", "instance")
def _tuned_exp3_regret(c: Context) -> Array:
    """The same with the step size that balances the bound for losses in [0, 1]."""
    step = _tuned(c, c.discount * 0 + 2) / arithmetic.sqrt(c.discount * 0 + c.rewards.shape[2])
    return per_instance(_tree(c, _exponential(step)) - _least_totals(c))


@define("tsallis_regret", r"R_T(\mathrm{Tsallis})", "instance")
def _tsallis_regret(c: Context) -> Array:
    """Regret of the leader regularised by the Tsallis entropy of order 1/2 that sees all losses, in loss units."""
    return per_instance(_run_regret(c, _tsallis(c)))


@define("tsallis_stability", r"\textstyle\sum_t\frac1{\sqrt t}\sum_ip_{t,i}^{3/2}\ell_{t,i}^2", "instance")
def _tsallis_stability(c: Context) -> Array:
    """What the losses' squares cost that leader over the rounds, in loss units."""
    laws, paid = _run(c, _tsallis(c))
    parts = [(p * arithmetic.sqrt(p) * x * x).sum(axis=-1) / _root(c, t + 1) for t, (p, x) in enumerate(zip(laws, paid, strict=True))]
    return per_instance(of_rounds(c, _sums(parts)))


@define("tsallis_penalty", r"2\textstyle\sum_t(\sqrt t-\sqrt{t-1})\left(\sum_i\sqrt{p_{t,i}}-1\right)", "instance")
def _tsallis_penalty(c: Context) -> Array:
    """What its regulariser's growth costs that leader over the rounds, in loss units: nothing where it has settled on one arm."""
    laws, _ = _run(c, _tsallis(c))
    parts = [2 * (_root(c, t + 1) - _root(c, t)) * (arithmetic.sqrt(p).sum(axis=-1) - 1) for t, p in enumerate(laws)]
    return per_instance(of_rounds(c, _sums(parts)))


def _shift(law: Array, losses: Array) -> Array:
    """(..., 1): what may be taken off all losses of a round: the loss, at most 1, of the arm that has more than half of the mass, else 0."""
    favoured = np.asarray(to_float(law) > 0.5, dtype=bool)
    return np.where(favoured, smaller(losses, losses * 0 + 1), losses * 0).sum(axis=-1, keepdims=True)


def _shifted_cost(law: Array, losses: Array, root: Array) -> Array:
    """(...): sum_i p y^2/(sqrt(t/p) + y) for losses y; `root` is sqrt t."""
    return (law * losses * losses / (root / arithmetic.sqrt(law) + losses)).sum(axis=-1)


@define("tsallis_shifted_stability", r"\textstyle\sum_t\sum_i\frac{p_{t,i}(\ell_{t,i}-x_t)^2}{\sqrt{t/p_{t,i}}+\ell_{t,i}-x_t}", "instance")
def _tsallis_shifted_stability(c: Context) -> Array:
    """What the losses less x_t cost that leader, in loss units; x_t is the loss, at most 1, of an arm with more than half of the mass, else 0."""
    laws, paid = _run(c, _tsallis(c))
    parts = [_shifted_cost(p, x - _shift(p, x), _root(c, t + 1)[:, None]) for t, (p, x) in enumerate(zip(laws, paid, strict=True))]
    return per_instance(of_rounds(c, _sums(parts)))


@define("tsallis_first_arm_run", r"\textstyle\sum_t\langle p_t-e_1,\ell_t\rangle", "instance")
def _tsallis_first_arm_run(c: Context) -> Array:
    """Loss of that leader, which sees all losses, less that of the first arm."""
    laws, paid = _run(c, _tsallis(c))
    return per_instance(of_rounds(c, _sums([(p * x).sum(axis=-1) - x[:, 0] for p, x in zip(laws, paid, strict=True)])))


def _round_cost(c: Context, shifted: bool) -> Array:
    """Mean cost of round t for the policy's law and the first row of losses, over the arm drawn, and what the regulariser's growth costs."""
    law, losses, rounds = c.policies[:, 0, 0], c.extra("losses")[:, 0], given(c, "rounds")
    root = arithmetic.sqrt(rounds)[:, None]
    total = 2 * (root[:, 0] - arithmetic.sqrt(rounds - 1)) * (arithmetic.sqrt(law).sum(axis=-1) - 1)
    for arm in range(law.shape[-1]):
        seen = losses * np.eye(law.shape[-1], dtype=int)[arm]
        less = _shift(law, seen) if shifted else losses[:, :1] * 0
        total = total + law[:, arm] * _shifted_cost(law, seen / law - less, root)
    return per_instance(total)


@define("tsallis_round_cost", r"\mathbb{E}_A\,\sigma_t+\text{growth}", "instance")
def _tsallis_round_cost(c: Context) -> Array:
    """What round t costs the Tsallis leader at most with the policy as its law: its arm's loss is seen, and may be taken off all estimates."""
    return _round_cost(c, True)


@define("tsallis_round_cost_unshifted", r"\mathbb{E}_A\,\sigma_t+\text{growth}\ (x=0)", "instance")
def _tsallis_round_cost_unshifted(c: Context) -> Array:
    """The same with nothing taken off."""
    return _round_cost(c, False)


@define("other_roots", r"\textstyle\sum_{i>1}\sqrt{p_i}", "instance")
def _other_roots(c: Context) -> Array:
    """Sum of the roots of the policy's probabilities of the other arms."""
    return per_instance(arithmetic.sqrt(c.policies[:, 0, 0, 1:]).sum(axis=-1))


@define("harmonic_loss_squares", r"\textstyle\sum_t\frac1{\sqrt t}\left(\sum_i\ell_{t,i}^4\right)^{1/2}", "instance")
def _harmonic_loss_squares(c: Context) -> Array:
    """Sum over the rounds of the length of the vector of squared losses, the t-th divided by sqrt t: at most 2 sqrt(AT) for losses in [0, 1]."""
    losses = c.extra("losses")
    parts = [arithmetic.norm2(losses[:, t] * losses[:, t], axis=-1) / _root(c, t + 1) for t in range(_count(c))]
    return per_instance(of_rounds(c, _sums(parts)))


@define("tsallis_bandit_regret", r"\mathbb{E}R_T(\mathrm{Tsallis},\ \hat\ell)", "instance")
def _tsallis_bandit_regret(c: Context) -> Array:
    """Expected regret of that leader on estimated losses, over all sequences of draws, in loss units."""
    return per_instance(_tree(c, _tsallis(c)) - _least_totals(c))


@define("tsallis_first_arm_regret", r"\mathbb{E}\textstyle\sum_t\langle p_t-e_1,\ell_t\rangle", "instance")
def _tsallis_first_arm_regret(c: Context) -> Array:
    """Its expected loss less that of the first arm, over all sequences of draws, in loss units."""
    losses = c.extra("losses")
    first = of_rounds(c, _sums([losses[:, t, 0] for t in range(_count(c))]))
    return per_instance(_tree(c, _tsallis(c)) - first)


@define("tsallis_exploration", r"\mathbb{E}\textstyle\sum_t\frac1{\sqrt t}\sum_{i>1}\sqrt{p_{t,i}}", "instance")
def _tsallis_exploration(c: Context) -> Array:
    """Expected roots of the probabilities of the other arms, those of round t divided by sqrt t, over all sequences of draws."""
    return per_instance(_tree(c, _tsallis(c), lambda p, t: arithmetic.sqrt(p[..., 1:]).sum(axis=-1) / _root(c, t)[:, None]))


@define("tsallis_other_draws", r"\mathbb{E}\textstyle\sum_t\frac1{\sqrt t}\sum_{i>1}p_{t,i}", "instance")
def _tsallis_other_draws(c: Context) -> Array:
    """The same with the probabilities themselves."""
    return per_instance(_tree(c, _tsallis(c), lambda p, t: p[..., 1:].sum(axis=-1) / _root(c, t)[:, None]))


@define("barrier_regret", r"\mathbb{E}R_T(\log\text{-barrier},\ \hat\ell)", "instance")
def _barrier_regret(c: Context) -> Array:
    """Expected regret of the leader regularised by a log barrier on estimated losses, over all sequences of draws, in loss units."""
    return per_instance(_tree(c, _barrier(c)) - _least_totals(c))


@define("barrier_loss", r"\mathbb{E}\textstyle\sum_t\ell_{t,A_t}", "instance")
def _barrier_loss(c: Context) -> Array:
    """Expected loss of that learner over the rounds."""
    return per_instance(_tree(c, _barrier(c)))
