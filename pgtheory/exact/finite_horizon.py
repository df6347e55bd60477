"""Finite horizon: backward induction, with models, rewards and actions that may change from stage to stage.

    V_H = terminal values,        V_t(s) = max_a r_t(s, a) + gamma sum_s' P_t(s' | s, a) V_{t+1}(s'),        t = H - 1, ..., 0

There is nothing to converge: H sweeps give the optimum.  In floats stage t inherits the error of stage t + 1, times gamma, and adds that of one
sweep (bounds.py): e_t <= gamma e_{t+1} + epsilon(max|V_{t+1}| + e_{t+1}), so  V_t - e_t <= V_t* <= V_t + e_t  with e_t added up, outwards.
 With exact=True
every stage is computed in rationals.

The discount of an `MDP` is below 1; `discount=1` (the default) counts all stages alike.  Source: Puterman (2005), chapter 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational, rational_array
from pgtheory.exact.bounds import KAPPA, TINY, UNIT

Array = np.ndarray


@dataclass(frozen=True)
class StageSolution:
    """values[t] (S_t,) for t = 0 .. H, actions[t] (S_t,) for t < H; lower[t] <= V_t* <= upper[t].  Rationals where computed exactly."""

    values: list[Array]
    actions: list[Array]
    lower: list[Array]
    upper: list[Array]
    optimal_actions: list[Array]
    models: tuple[MDP, ...] = field(repr=False, default=())

    @property
    def horizon(self) -> int:
        return len(self.actions)

    @property
    def error(self) -> float:
        """Largest half width of the bounds over all stages; 0 where exact."""
        return max((float(np.max(u - low)) / 2 for low, u in zip(self.lower, self.upper, strict=True)), default=0.0)


def solve_finite_horizon(
    models: MDP | Sequence[MDP], horizon: int | None = None, terminal: Any = None, *, discount: Any = 1, exact: bool = False
) -> StageSolution:
    """Optimal values and actions of every stage.

    models     one MDP for all stages (then give `horizon` >= 0), or one for each stage; their own discounts play no part
    terminal   (S,) values after the last stage; 0 by default
    discount   one number in [0, 1], applied between stages
    exact      rationals (`mdp.exact`) instead of floats
    raises     ModelError: horizon, terminal values or stages do not fit
    """
    stages = _stages(models, horizon)
    states = stages[-1].num_states if stages else (models.num_states if isinstance(models, MDP) else 0)
    final = _terminal(terminal, states, exact)
    gamma = rational(discount) if exact else float(fraction(discount))
    if not 0 <= gamma <= 1:
        raise ModelError(f"discount is {discount}; it must be in [0, 1]")
    values, errors = [final], [0.0]
    actions: list[Array] = []
    masks: list[Array] = []
    for stage in reversed(stages):
        if stage.num_states != values[0].size:
            raise ModelError(f"a stage has {stage.num_states} states and the next one {values[0].size}; they must be equal")
        Q = _stage_values(stage, values[0], gamma, exact)
        error: Any = 0 if exact else gamma * errors[0] + _rounding(stage, values[0], errors[0])
        top = np.maximum.reduceat(Q, stage.first_pair[:-1])
        near = Q >= np.repeat(top, np.diff(stage.first_pair)) - 2 * error
        mask = np.zeros((stage.num_states, stage.num_actions), dtype=bool)
        mask[stage.action_mask] = near
        best = np.zeros_like(mask)
        best[stage.action_mask] = np.repeat(top, np.diff(stage.first_pair)) == Q
        values.insert(0, top)
        errors.insert(0, 0.0 if exact else error * (1 + 8 * UNIT))
        actions.insert(0, best.argmax(axis=1))
        masks.insert(0, mask)
    if exact:
        return StageSolution(values, actions, values, values, masks, stages)
    lower = [np.nextafter(v - e, -np.inf) if e else v for v, e in zip(values, errors, strict=True)]
    upper = [np.nextafter(v + e, np.inf) if e else v for v, e in zip(values, errors, strict=True)]
    return StageSolution(values, actions, lower, upper, masks, stages)


def _stages(models: MDP | Sequence[MDP], horizon: int | None) -> tuple[MDP, ...]:
    if isinstance(models, MDP):
        if horizon is None or int(horizon) != horizon or horizon < 0:
            raise ModelError(f"horizon is {horizon!r}; with one model for all stages it must be a whole number of stages")
        return (models,) * int(horizon)
    stages = tuple(models)
    if horizon is not None and horizon != len(stages):
        raise ModelError(f"horizon is {horizon}, but {len(stages)} stages are given")
    wrong = [type(m).__name__ for m in stages if not isinstance(m, MDP)]
    if wrong or not stages:
        raise ModelError(f"every stage must be an mdps.MDP; got {wrong[0] if wrong else 'none'}")
    return stages


def _terminal(terminal: Any, states: int, exact: bool) -> Array:
    if terminal is None:
        return rational_array([0] * states) if exact else np.zeros(states)
    values = rational_array(terminal) if exact else np.asarray(terminal, dtype=np.float64)
    if values.shape != (states,) or (not exact and not np.all(np.isfinite(values))):
        raise ModelError(f"terminal must hold one finite value for each of the {states} states; it has shape {values.shape}")
    return values


def _stage_values(stage: MDP, values: Array, gamma: Any, exact: bool) -> Array:
    if not exact:
        model = stage.float
        return model.pair_rewards + gamma * (model.choices @ values)
    model = stage.exact
    rows = model.choices
    if hasattr(rows, "indptr"):
        zero = rational(0)
        spans = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
        expected = np.array([sum((rows.data[k] * values[rows.indices[k]] for k in range(b, e)), zero) for b, e in spans], dtype=object)
        return model.pair_rewards + gamma * expected
    return model.pair_rewards + gamma * (rows @ values)


def _rounding(stage: MDP, values: Array, error: float) -> float:
    """epsilon of bounds.py for one stage."""
    model = stage.float
    longest = int(np.diff(model.choices.indptr).max()) if stage.is_sparse else stage.num_states
    defect = float(np.max(np.abs(model.choices @ np.ones(stage.num_states) - 1)))
    size = float(np.max(np.abs(values))) + error
    terms = longest + 2
    slope = 2 * terms * UNIT + 3 * UNIT + 2 * KAPPA + 2 * defect
    return (slope * size + (2 * UNIT + KAPPA) * float(np.max(np.abs(model.pair_rewards))) + TINY) * (1 + 2**-10)
