"""The driver of the methods under constraints, and what a run hands back: gap and violation, of the last iterate and of the average, kept apart.

    gap        V_r* - V_r(rho)              may be below 0: a policy that breaks a constraint can earn more than the constrained optimum
    violation  max_i [V_(c_i)(rho) - b_i]_+

"last" at t is the policy pi_t.  "average" at t is the mixture that draws one of pi_0 .. pi_(t-1) and plays it for ever; values are linear in the
occupancy, so its values are the averages of theirs, and one stationary policy has them too (`average_policy`).  Most theorems speak about the average
only; primal-dual iterates may circle for ever.  CRPO averages over its reward steps: every method weights its iterates (`weight`).

A method is a frozen dataclass:
    tuned(model, problem, iterations) -> the same method with its settings checked, as numbers, and what was left out filled in
    start(problem, policy, multipliers) -> State;  step(state, seen, problem) -> State;  policy(state);  weight(seen, problem)
    guarantee(run) -> Guarantee or None: what its theorem says about this run
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import fraction
from pgtheory import arithmetic
from pgtheory.constrained.evaluation import Problem, Seen, evaluate, problem_of, uniform_policy
from pgtheory.exact.evaluation import check_policy
from pgtheory.policy_gradient.method import resolved
from pgtheory.run import log_times

Array = np.ndarray
Iterate = Literal["last", "average"]


class State(NamedTuple):
    """params (S, A) logits (-inf where there is no action) or policy, multipliers (m,), memory: what the method remembers."""

    params: Array
    multipliers: Array
    memory: Any = None


@dataclasses.dataclass(frozen=True)
class Guarantee:
    """What a theorem promises after T steps: gap <= `gap` and violation of constraint i <= violations[i] for the "last" or "average" iterate."""

    of: Iterate
    gap: float
    violations: Array


@dataclasses.dataclass(frozen=True)
class ConstrainedMethod:
    """Base of the methods: settings are fields, each a number > 0, None (filled in by `tuned`) or a function of the model."""

    name: ClassVar[str]
    parameters: ClassVar[Literal["logits", "policy"]] = "logits"
    rational_step: ClassVar[bool] = False
    """Whether a step stays in the rationals, so that the method runs on `model.exact`."""
    step: ClassVar[Callable[..., State]]
    """step(state, seen, problem) -> state: what a method is."""

    def tuned(self, model: ConstrainedMDP, problem: Problem, iterations: int) -> Self:
        """The method with its settings as checked numbers.  raises ModelError: a setting is 0, negative, not finite or no number"""
        del problem, iterations
        return self.with_numbers(model)

    def with_numbers(self, model: ConstrainedMDP, **chosen: Any) -> Self:
        """A copy with `chosen` in the place of what was left out, and every numeric setting in the arithmetic of the model."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in self.words}
        values |= {name: value for name, value in chosen.items() if values[name] is None}
        return dataclasses.replace(self, **{name: None if value is None else positive(name, value, model) for name, value in values.items()})

    words: ClassVar[tuple[str, ...]] = ()
    """Settings that are no numbers."""

    def start(self, problem: Problem, policy: Array, multipliers: Array) -> State:
        """The state of a first policy (S, A) and first multipliers (m,)."""
        if self.parameters == "policy":
            return State(policy, multipliers)
        with np.errstate(divide="ignore"):
            return State(np.log(policy), multipliers)

    def policy(self, state: State) -> Array:
        return arithmetic.softmax(state.params) if self.parameters == "logits" else state.params

    def weight(self, seen: Seen, problem: Problem) -> int:
        """How often the average counts an iterate."""
        del seen, problem
        return 1

    def guarantee(self, run: ConstrainedRun) -> Guarantee | None:
        """What the method's theorem promises for this run; None where it promises nothing."""
        del run
        return None


def positive(name: str, value: Any, model: ConstrainedMDP) -> Any:
    """A setting as a number in the arithmetic of the model.  raises ModelError: it is not above 0"""
    if callable(value):
        value = value(model)
    number = resolved(name, value, model.mdp)
    if not number > 0:
        raise ModelError(f"{name} is {value}; it must be above 0")
    return number


@dataclasses.dataclass(frozen=True)
class ConstrainedRun:
    """What T steps of a method passed through.

    values           (T + 1,) V_r(rho) of pi_0 .. pi_T
    excesses         (T + 1, m) V_(c_i)(rho) - b_i in the upper form: above 0 where constraint i is broken
    multipliers      (T + 1, m)
    weights          (T + 1,) how often the average counts each iterate
    times, policies  (R,), (R, S, A): the policies that were kept
    average_policy   (S, A) the stationary policy with the values of the average of pi_0 .. pi_(T-1)
    uniform_start    whether pi_0 was uniform and the first multipliers 0, which the theorems ask for
    """

    model: ConstrainedMDP
    method: Any
    values: Array
    excesses: Array
    multipliers: Array
    weights: Array
    times: Array
    policies: Array
    average_policy: Array
    uniform_start: bool

    def __repr__(self) -> str:
        return f"ConstrainedRun({self.method.name} on {self.model!r}, {self.iterations:,} steps)"

    @property
    def iterations(self) -> int:
        return len(self.values) - 1

    @functools.cached_property
    def solution(self) -> Any:
        """The optimum by linear programming (`solve_constrained`)."""
        from pgtheory.constrained.program import solve_constrained

        return solve_constrained(self.model.float)

    @functools.cached_property
    def slater(self) -> float:
        """The largest slack that all constraints can have at once (`slater_gap`)."""
        from pgtheory.constrained.feasibility import slater_gap

        return float(fraction(slater_gap(self.model.float).gap))

    @property
    def optimum(self) -> float:
        """V_r*: the largest value under the constraints."""
        return float(self.solution.value)

    def gap(self, of: Iterate = "last") -> Array:
        """(T + 1,): V_r* - V_r of the iterate, in reward units; below 0 only where constraints are broken (or by rounding)."""
        return self.optimum - np.asarray(self._of(self.values, of), dtype=float)

    def excess(self, of: Iterate = "last") -> Array:
        """(T + 1, m): V_(c_i) - b_i of the iterate in the upper form, below 0 where there is room."""
        return np.asarray(self._of(self.excesses, of), dtype=float)

    def violations(self, of: Iterate = "last") -> Array:
        """(T + 1, m): [V_(c_i) - b_i]_+ of the iterate, in cost units.  Of the average: what the averages exceed, not an average of excesses."""
        return np.maximum(self.excess(of), 0.0)

    def violation(self, of: Iterate = "last") -> Array:
        """(T + 1,): the largest violation of a constraint."""
        return self.violations(of).max(axis=1)

    def guarantee(self) -> Guarantee | None:
        """What the method's theorem promises for this run; None where it promises nothing or the run does not begin as it asks."""
        return self.method.guarantee(self)

    def _of(self, figures: Array, of: Iterate) -> Array:
        if of == "last":
            return figures
        if of != "average":
            raise ModelError(f"a run has a 'last' and an 'average' iterate, not {of!r}")
        weights = self.weights.reshape(-1, *([1] * (figures.ndim - 1)))
        sums, counts = (weights * figures).cumsum(axis=0)[:-1], weights.cumsum(axis=0)[:-1]
        out = figures.copy()  # before the first iterate that counts, the average is the policy at hand
        counted = counts.reshape(-1) > 0
        out[1:][counted] = sums[counted] / counts[counted]
        return out


def run_constrained(
    model: ConstrainedMDP, method: ConstrainedMethod, iterations: int, initial: Any = "uniform", multipliers: Any = None, record: Any = "log"
) -> ConstrainedRun:
    """Runs `method` for `iterations` steps from a policy and multipliers.

    initial      (S, A) the first policy, or "uniform" over the actions that exist; methods that keep logits need it above 0 on all of them
    multipliers  (m,) at least 0; all 0 if left out
    record       which policies are kept: "log" (`pgtheory.run.log_times`), "all", or the iterations
    raises       ModelError: no step, a bad setting, a negative multiplier (names the place and the figure), a bad first policy
    """
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 1:
        raise ModelError(f"iterations is {iterations!r}; it must be a whole number of at least 1")
    problem = problem_of(model)
    if model.is_exact and not method.rational_step:
        raise ModelError(f"a step of {method.name} takes exponentials or logarithms and leaves the rationals; run it on model.float")
    method = method.tuned(model, problem, int(iterations))
    policy, uniform = _first_policy(model, problem, method, initial)
    first = abs(problem.thresholds) * 0 if multipliers is None else model.checked_multipliers(multipliers) + abs(problem.thresholds) * 0
    kept = set(_times(record, int(iterations)).tolist())
    state = method.start(problem, policy, first)
    values, excesses, prices, weights, policies = [], [], [], [], []
    visited = policy * 0
    for t in range(iterations + 1):
        policy = method.policy(state)
        seen = evaluate(problem, policy)
        weight = method.weight(seen, problem)
        values.append(seen.values[0]), excesses.append(seen.excess), prices.append(state.multipliers), weights.append(weight)
        if t in kept:
            policies.append(policy)
        if t < iterations:
            visited = visited + weight * seen.visits[:, None] * policy
            state = method.step(state, seen, problem)
    return ConstrainedRun(
        model, method, np.array(values), np.array(excesses), np.array(prices), np.array(weights), np.array(sorted(kept)), np.array(policies),
        policy_of_visits(visited, policy), uniform and not np.any(first),
    )  # fmt: skip


def policy_of_visits(visits: Array, otherwise: Array) -> Array:
    """pi(a | s) = visits(s, a) / sum_a visits(s, a), and `otherwise` in states that are not visited."""
    totals = visits.sum(axis=1)[:, None]
    reached = totals > 0
    return np.where(reached, visits / np.where(reached, totals, totals + 1), otherwise)


def _times(record: Any, iterations: int) -> Array:
    if isinstance(record, str):
        if record not in ("log", "all"):
            raise ModelError(f"record is {record!r}; it is 'log', 'all' or the iterations to keep")
        return log_times(iterations) if record == "log" else np.arange(iterations + 1)
    times = np.unique(np.asarray(record, dtype=np.int64))
    if times.size and (times[0] < 0 or times[-1] > iterations):
        raise ModelError(f"record asks for iterations {times[0]} .. {times[-1]}; the run has 0 .. {iterations}")
    return times


def _first_policy(model: ConstrainedMDP, problem: Problem, method: ConstrainedMethod, initial: Any) -> tuple[Array, bool]:
    """(policy, whether it is the uniform one)."""
    if isinstance(initial, str):
        if initial != "uniform":
            raise ModelError(f"initial is {initial!r}; it is 'uniform' or a policy (S, A)")
        return uniform_policy(problem), True
    policy = check_policy(model.mdp, initial)
    if method.parameters == "logits" and np.any((policy <= 0) & problem.mask):
        s, a = (int(k) for k in np.argwhere((policy <= 0) & problem.mask)[0])
        raise ModelError(f"initial[{s}, {a}] is {policy[s, a]}; {method.name} multiplies probabilities, and one that is 0 would stay 0")
    return policy, False
