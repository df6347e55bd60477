"""Optimistic value iteration over three stages: what it promises, what it loses, and how often it can be surprised.

Three stages h = 1, 2, 3 with known rewards, values 0 after the last.  The extra `stage_fit` (2, S, A, S) has fitted transitions of the first two
stages, and a pair may be off by its radius: the true distance in 1-norm plus the extra `spare` (2, S, A), 2 at most, which is what a pair that was
never tried has.

    Q_h = r + min(3 - h, P_fit V_{h+1} + bonus_h),   bonus_h = (3 - h)/2 radius_h,   V_h = max_a Q_h
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import smaller, to_float
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import exactly_known

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
HORIZON = 3
define_setting("width", "w", "factor of 1/sqrt n in a bonus")
define_setting("episodes", "K", "number of episodes")


def _radii(c: Context) -> list[Array]:
    """(B, S, A) of the first two stages."""
    apart = arithmetic.absolute(c.extra("stage_fit") - c.transitions[:, None]).sum(axis=-1)
    radius = smaller(apart + c.extra("spare"), apart * 0 + 2)
    return [radius[:, h] for h in range(HORIZON - 1)]


def _next(kernel: Array, values: Array) -> Array:
    return np.einsum("bsat,bt->bsa", kernel, values)


def _first_best(action_values: Array) -> Array:
    """(B, S) of the first maximisers, exactly where numbers are exact."""
    if action_values.dtype != object:
        return action_values.argmax(axis=-1)
    return np.array([[max(range(len(row)), key=row.__getitem__) for row in rows] for rows in action_values.tolist()])


def _at(table: Array, actions: Array) -> Array:
    """(B, S, A), (B, S) -> (B, S)."""
    return np.take_along_axis(table, actions[..., None], axis=-1)[..., 0]


def _plan(c: Context, scale: int = 1, clip_all: bool = False) -> tuple[list[Array], list[Array]]:
    """(optimistic values (B, S), actions (B, S)) of stages 1, 2, 3 with 1/scale of the bonus (0: none).

    clip_all   whether r + P_fit V + bonus is cut at 4 - h, and not what follows the reward at 3 - h"""
    values, radii = c.rewards[:, :, 0] * 0, _radii(c)
    out: list[tuple[Array, Array]] = []
    for h in (3, 2, 1):
        left = HORIZON - h
        ahead = c.rewards * 0
        if left:
            bonus = radii[h - 1] * left / (2 * scale) if scale else radii[h - 1] * 0
            ahead = _next(c.extra("stage_fit")[:, h - 1], values) + bonus
            ahead = ahead if clip_all else smaller(ahead, ahead * 0 + left)
        table = c.rewards + ahead
        table = smaller(table, table * 0 + left + 1) if clip_all else table
        actions = _first_best(table)
        values = _at(table, actions)
        out.insert(0, (values, actions))
    return [v for v, _ in out], [a for _, a in out]


def _followed(c: Context, actions: list[Array], extra: list[Array]) -> Array:
    """(B, S): expected total of `extra` (B, S, A) by stage along the actions."""
    total = c.rewards[:, :, 0] * 0
    for h in (3, 2, 1):
        total = _at(extra[h - 1] + _next(c.transitions, total), actions[h - 1])
    return total


def _best(c: Context) -> Array:
    """(B, S): optimal values of the three stages."""
    values = c.rewards[:, :, 0] * 0
    for _ in range(HORIZON):
        values = arithmetic.maximum(c.rewards + _next(c.transitions, values), axis=-1)
    return values


def _gap(c: Context, actions: list[Array]) -> Array:
    return (_best(c) - _followed(c, actions, [c.rewards] * HORIZON))[:, None]


def _bonuses(c: Context, share: int) -> list[Array]:
    """min(2 bonus/share, 3 - h) by stage, 0 at the last."""
    out = []
    for h, radius in enumerate(_radii(c), start=1):
        left = HORIZON - h
        out.append(smaller(radius * left / share, radius * 0 + left))
    return [*out, c.rewards * 0]


@define("three_stage_optimum", r"V^*_1", "instance", "states")
@exactly_known
def _three_stage_optimum(c: Context) -> Array:
    """Optimal values over three stages, in reward units."""
    return _best(c)[:, None]


@define("optimistic_values", r"\bar V_1", "instance", "states")
@exactly_known
def _optimistic_values(c: Context) -> Array:
    """Values that optimistic value iteration promises at the first stage."""
    return _plan(c)[0][0][:, None]


@define("plain_values", r"\bar V_1\ \text{(no bonus)}", "instance", "states")
@exactly_known
def _plain_values(c: Context) -> Array:
    """The same without a bonus."""
    return _plan(c, scale=0)[0][0][:, None]


@define("half_optimistic_values", r"\bar V_1\ \text{(half the bonus)}", "instance", "states")
@exactly_known
def _half_optimistic_values(c: Context) -> Array:
    """The same with half of the bonus."""
    return _plan(c, scale=2)[0][0][:, None]


@define("optimistic_loss", r"V^*_1-V^{\bar\pi}_1", "instance", "states")
@exactly_known
def _optimistic_loss(c: Context) -> Array:
    """What the optimistic policy loses against the best one over three stages, in reward units."""
    return _gap(c, _plan(c)[1])


@define("optimistic_credit", r"\mathbb{E}_{\bar\pi}\textstyle\sum_h\min(2b_h,H-h)", "instance", "states")
@exactly_known
def _optimistic_credit(c: Context) -> Array:
    """Expected sum over the stages of twice the bonus, at most what is left, along the optimistic policy."""
    return _followed(c, _plan(c)[1], _bonuses(c, 1))[:, None]


@define("optimistic_credit_once", r"\mathbb{E}_{\bar\pi}\textstyle\sum_h\min(b_h,H-h)", "instance", "states")
@exactly_known
def _optimistic_credit_once(c: Context) -> Array:
    """The same with the bonus itself."""
    return _followed(c, _plan(c)[1], _bonuses(c, 2))[:, None]


@define("late_clip_loss", r"V^*_1-V^{\bar\pi}_1\ \text{(sum clipped)}", "instance", "states")
@exactly_known
def _late_clip_loss(c: Context) -> Array:
    """What is lost if reward, continuation and bonus are cut together, at H - h + 1."""
    return _gap(c, _plan(c, clip_all=True)[1])


@define("late_clip_credit", r"\mathbb{E}_{\bar\pi}\textstyle\sum_h\min(2b_h,H-h)\ \text{(sum clipped)}", "instance", "states")
@exactly_known
def _late_clip_credit(c: Context) -> Array:
    """The credit of that policy."""
    return _followed(c, _plan(c, clip_all=True)[1], _bonuses(c, 1))[:, None]


@define("two_stage_gap", r"\Delta_1", "instance")
def _two_stage_gap(c: Context) -> Array:
    """What the worst action of the first state loses against the best one where two stages are left, in reward units."""
    table = (c.rewards + _next(c.transitions, arithmetic.maximum(c.rewards, axis=-1)))[:, 0]
    return per_instance(arithmetic.maximum(table, axis=-1) - arithmetic.minimum(table, axis=-1))


@define("surprises", r"\textstyle\sum_t\min(1,w/\sqrt{n_t})", "instance")
def _surprises(c: Context) -> Array:
    """Sum over the rounds of w/sqrt n, at most 1, where n counts the earlier visits of what is visited; 1 at a first visit."""
    rows, width = to_float(c.extra("visits")).argmax(axis=-1), given(c, "width")
    rounds = to_float(given(c, "rounds")).astype(int)
    seen, total = np.zeros(c.extra("visits").shape[::2], dtype=int), width * 0
    everyone = np.arange(len(rounds))
    for t in range(int(rounds.max())):
        before = seen[everyone, rows[:, t]]
        part = smaller(width / arithmetic.sqrt(width * 0 + np.maximum(before, 1)), width * 0 + 1)
        part = np.where(before > 0, part, width * 0 + 1)
        total = total + np.where(t < rounds, part, width * 0)
        seen[everyone, rows[:, t]] += 1
    return per_instance(total)
