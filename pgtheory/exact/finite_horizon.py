"""Finite horizon: backward induction, with models, rewards, actions and states that may change from step to step.

    V_H = terminal values,        V_t(s) = max_a r_t(s, a) + gamma sum_s' P_t(s' | s, a) V_{t+1}(s'),        t = H - 1, ..., 0

There is nothing to converge: H sweeps give the optimum.  In floats step t inherits the error of step t + 1, times gamma, and adds that of one
sweep: e_t <= gamma e_{t+1} + epsilon(max|V_{t+1}| + e_{t+1}), so  V_t - e_t <= V_t* <= V_t + e_t  with e_t added up, outwards.  epsilon is that of
bounds.py with any gamma >= 0:  gamma ((n + 2) u + 4 u + 4 kappa + 2 defect) w + (2 u + kappa) R + 2 u gamma w  for rows with n entries, where kappa
covers the step from floats to the problem's exact form: for P, for the correction of its rows, for gamma.

With exact=True every step is computed in rationals, and the certificate (U_t = L_t = V_t) is checked.

Source: Puterman (2005), chapter 4.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import fraction, is_exact, meant_array, rational, rational_array, simplest, to_float
from pgtheory.exact.bounds import KAPPA, SECOND_ORDER, TINY, UNIT

Array = np.ndarray


@dataclass(frozen=True)
class StageSolution:
    """values[t] (S_t,) for t = 0 .. H, actions[t] (S_t,) for t < H; lower[t] <= V_t* <= upper[t].  Rationals where computed exactly.

    optimal_actions   for each step (S_t, A_t) booleans: the optimal actions; in floats with those that the bounds cannot tell from them
    problem           the FiniteHorizon that was solved, or (the models of its steps, discount, terminal values), the last two as they were given
    certificate       where computed exactly: what `check_certificate(problem, certificate)` needs
    """

    values: list[Array]
    actions: list[Array]
    lower: list[Array]
    upper: list[Array]
    optimal_actions: list[Array]
    problem: Any = field(repr=False, default=None)
    certificate: Any = field(repr=False, default=None)

    @property
    def horizon(self) -> int:
        return len(self.actions)

    @property
    def error(self) -> float:
        """Largest half width of the bounds over all steps; 0 where exact."""
        return max((float(np.max(u - low)) / 2 for low, u in zip(self.lower, self.upper, strict=True)), default=0.0)

    @property
    def policies(self) -> list[Array]:
        """For each step (S_t, A_t): probability 1 on `actions`."""
        tables = []
        for actions, mask in zip(self.actions, self.optimal_actions, strict=True):
            table = np.zeros(mask.shape)
            table[np.arange(actions.size), actions] = 1.0
            tables.append(table)
        return tables

    def __repr__(self) -> str:
        return f"StageSolution({self.horizon} steps, {self.values[0].size} states at first, error <= {self.error:.2g})"


def solve_finite_horizon(
    problem: FiniteHorizon | MDP | Sequence[MDP], horizon: int | None = None, terminal: Any = None, *, discount: Any = None, exact: bool = False
) -> StageSolution:
    """Optimal values and actions of every step.

    problem    a FiniteHorizon; or one MDP for all steps (then give `horizon` >= 0); or one MDP for each step.  The MDPs' own discounts play no part
    terminal   (S,) values after the last step, 0 by default; part of a FiniteHorizon
    discount   a number of at least 0, applied between steps, 1 by default; part of a FiniteHorizon
    exact      rationals (`problem.exact`) instead of floats, with a certificate that has been checked
    raises     ModelError: horizon, terminal values or steps do not fit
    """
    if isinstance(problem, FiniteHorizon):
        if horizon is not None or terminal is not None or discount is not None:
            raise ModelError("a FiniteHorizon has its own horizon, terminal values and discount; give the problem alone")
        whole = problem.exact if exact else problem.float
        return _exact_induction(problem, whole.stages, whole.terminal, whole.discount) if exact else _induction(problem, *_float_parts(whole))
    stages = _stages(problem, horizon)
    states = stages[-1].num_states if stages else (problem.num_states if isinstance(problem, MDP) else 0)
    gamma = _discount(1 if discount is None else discount, exact)
    final = _terminal(terminal, states, exact)
    for early, late in itertools.pairwise(stages):
        if early.num_states != late.num_states:
            raise ModelError(f"a step has {early.num_states} states, the next {late.num_states}; a FiniteHorizon takes steps of different sizes")
    if not stages:
        return StageSolution([final], [], [final], [final], [], (stages, gamma, final))
    if not exact:
        return _induction((stages, 1 if discount is None else discount, terminal), [stage.float for stage in stages], final, gamma)
    whole = _whole(stages, gamma, final)
    return _exact_induction(whole, whole.exact.stages, whole.exact.terminal, whole.exact.discount)


def as_problem(models: FiniteHorizon | MDP | Sequence[MDP], solution: StageSolution) -> FiniteHorizon:
    """The problem that a solution is said to be of: itself, or made of its models with the solution's discount, terminal values and horizon.

    raises   ModelError: no step, or models that do not fit
    """
    if isinstance(models, FiniteHorizon):
        return models
    if isinstance(solution.problem, FiniteHorizon):
        gamma, final = solution.problem.exact.discount, solution.problem.exact.terminal
    else:
        _, given, terminal = solution.problem
        gamma, final = _discount(given, True), _terminal(terminal, solution.values[-1].size, True)
    stages = _stages(models, solution.horizon)
    if not stages:
        raise ModelError("there is no step; nothing is to be proved")
    return _whole(stages, gamma, final)


def _whole(stages: Sequence[MDP], gamma: Any, terminal: Array) -> FiniteHorizon:
    """The FiniteHorizon of exact models."""
    parts = {id(stage): (stage.exact.first_pair, stage.exact.choices, stage.exact.pair_rewards) for stage in stages}
    return FiniteHorizon.from_stages([parts[id(stage)] for stage in stages], terminal, stages[0].exact.start, discount=gamma)


def _float_parts(whole: FiniteHorizon) -> tuple[Any, Array, float]:
    return whole.stages, whole.terminal, float(whole.discount)


def _induction(problem: Any, stages: Sequence[Any], terminal: Array, gamma: float) -> StageSolution:
    largest = float(np.max(np.abs(terminal)))
    whole = largest < 2**45 and np.array_equal(terminal, np.floor(terminal))
    values, errors = [terminal], [0.0 if whole else 2 * KAPPA * largest]
    actions: list[Array] = []
    masks: list[Array] = []
    known: dict[int, tuple[int, float, float]] = {}
    for stage in reversed(stages):
        if id(stage) not in known:
            known[id(stage)] = _figures(stage)
        with np.errstate(over="ignore", invalid="ignore"):
            Q = stage.pair_rewards + gamma * (stage.choices @ values[0])
        if not np.all(np.isfinite(Q)):
            raise ModelError(f"the values grow beyond float64 within {len(stages)} steps at discount {gamma:g}; solve with exact=True")
        error = _rounding(known[id(stage)], float(np.max(np.abs(values[0]))), errors[0], gamma)
        top, best, mask = _greedy(stage, Q, 2 * error)
        values.insert(0, top)
        errors.insert(0, error)
        actions.insert(0, best)
        masks.insert(0, mask)
    lower = [np.nextafter(v - e, -np.inf) if e else v for v, e in zip(values, errors, strict=True)]
    upper = [np.nextafter(v + e, np.inf) if e else v for v, e in zip(values, errors, strict=True)]
    return StageSolution(values, actions, lower, upper, masks, problem)


def _exact_induction(problem: FiniteHorizon, stages: Sequence[Any], terminal: Array, gamma: Any) -> StageSolution:
    from pgtheory.exact.certificate import check_certificate, sparse_rows
    from pgtheory.exact.undiscounted_certificate import HorizonCertificate

    values = [terminal]
    actions: list[Array] = []
    known: dict[int, Any] = {}
    for stage in reversed(stages):
        if id(stage) not in known:
            known[id(stage)] = sparse_rows(stage)
        zero = rational(0)
        Q = np.empty(stage.num_pairs, dtype=object)
        Q[:] = [
            r + gamma * sum((p * values[0][j] for j, p in row), zero) for r, row in zip(stage.pair_rewards.tolist(), known[id(stage)], strict=True)
        ]
        top, best, _ = _greedy(stage, Q, 0)
        values.insert(0, top)
        actions.insert(0, best)
    certificate = HorizonCertificate(values, values, actions)
    masks = check_certificate(problem, certificate)
    return StageSolution(values, actions, values, values, masks, problem, certificate)


def _greedy(stage: Any, Q: Array, slack: Any) -> tuple[Array, Array, Array]:
    """(largest Q (S,), its first action (S,), actions within slack of it (S, A))."""
    counts = np.diff(stage.first_pair)
    top = np.maximum.reduceat(Q, stage.first_pair[:-1])
    mask = np.zeros((stage.num_states, stage.num_actions), dtype=bool)
    best = np.zeros_like(mask)
    mask[stage.action_mask] = Q >= np.repeat(top, counts) - slack
    best[stage.action_mask] = Q == np.repeat(top, counts)
    return top, best.argmax(axis=1), mask


def _stages(models: MDP | Sequence[MDP], horizon: int | None) -> tuple[MDP, ...]:
    if isinstance(models, MDP):
        if horizon is None or isinstance(horizon, bool) or int(horizon) != horizon or horizon < 0:
            raise ModelError(f"horizon is {horizon!r}; with one model for all steps it must be a whole number of steps")
        return (models,) * int(horizon)
    stages = tuple(models)
    if horizon is not None and horizon != len(stages):
        raise ModelError(f"horizon is {horizon}, but {len(stages)} steps are given")
    wrong = [type(m).__name__ for m in stages if not isinstance(m, MDP)]
    if wrong or not stages:
        raise ModelError(f"every step must be an mdps.MDP; got {wrong[0] if wrong else 'none'}")
    return stages


def _discount(discount: Any, exact: bool) -> Any:
    try:
        gamma = simplest(discount) if isinstance(discount, float) else rational(discount)
    except (ModelError, ValueError, OverflowError):
        gamma = rational(-1)
    if gamma < 0:
        raise ModelError(f"discount is {discount}; it must be a number of at least 0")
    return gamma if exact else float(fraction(discount))


def _terminal(terminal: Any, states: int, exact: bool) -> Array:
    if terminal is None:
        return rational_array([0] * states) if exact else np.zeros(states)
    given = is_exact(terminal)
    values = rational_array(terminal) if given else np.asarray(terminal, dtype=np.float64)
    if values.shape != (states,) or (not given and not np.all(np.isfinite(values))):
        raise ModelError(f"terminal must hold one finite value for each of the {states} states; it has shape {values.shape}")
    if exact:
        return values if given else meant_array(values)
    return to_float(values) if given else values.copy()


def _figures(stage: Any) -> tuple[int, float, float]:
    """(entries of the longest row, largest |row sum - 1|, largest |reward|)."""
    rows = stage.choices
    longest = rows.shape[1] if isinstance(rows, np.ndarray) else int(np.diff(rows.indptr).max())
    defect = float(np.max(np.abs(rows @ np.ones(rows.shape[1]) - 1)))
    return longest, defect, float(np.max(np.abs(stage.pair_rewards)))


def _rounding(figures: tuple[int, float, float], largest: float, error: float, gamma: float) -> float:
    """e_t of the step whose successors' values are at most `largest` in size and `error` off, rounded up."""
    longest, defect, reward = figures
    size, terms = largest + error, longest + 2
    slope = gamma * (terms * UNIT / (1 - terms * UNIT) + (terms + 6) * UNIT + 4 * KAPPA + 2 * defect)
    return gamma * error * (1 + 8 * UNIT) + (slope * size + (2 * UNIT + KAPPA) * reward + TINY) * SECOND_ORDER
