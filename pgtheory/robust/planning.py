"""The best policy against the worst model of the set: V = T V, T W = max_pi min_q (r_pi + gamma q_pi W).

T is monotone and T(W + c 1) = TW + gamma c 1, so one application at any W encloses the optimum (as for an ordinary MDP):

    t + gamma / (1 - gamma) min (t - W)  <=  V_rob  <=  t + gamma / (1 - gamma) max (t - W),          t = T W,

with the rounding of the sweep and of the step to exact numbers included (`operator`).

**Value iteration** applies T, centred: only the span of t - W has to become small.  **Policy iteration** takes the greedy policy, lets nature answer
until nothing gets worse (`evaluation.settle`), and starts again from those values; they never fall, and finitely many policies are met.  The inner
loop is run to its end because alternating single steps of the two players may cycle.

**s-rectangular sets**: the greedy policy may have to be random; `blocks` and `hulls` find it without a linear program for balls, with one for hulls.

**Exactly**: for sets with flat sides the same policy iteration in rationals, started where the floats ended.  It stops at T V = V, and the answer is
checked by `certificate.check_robust`, which shares no code with the solver.  (s, a)-rectangular optima with flat sides are rational, because both
players have finitely many rows to choose from.  s-rectangular ones need not be: where random policies pay, the weights depend on the values they
earn, a stochastic game, whose value is algebraic.  There the iteration ends if it meets the optimum soon, and says so if not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mdps.errors import ModelError, plural
from mdps.robust import RobustMDP
from pgtheory.exact.evaluation import spread
from pgtheory.robust.evaluation import kernel_array, settle
from pgtheory.robust.operator import Operator, Step
from pgtheory.solution import NotConverged

Array = np.ndarray
MOST_BY_POLICY = 2000
"""States up to which method="auto" is policy iteration: each evaluation factorises a dense system."""
MIXED_ROUNDS = 12
MIXED_BITS = 4096
"""Rounds, and bits of the values, after which an s-rectangular optimum is taken to be irrational: digits double in every round that does not end."""
BETWEEN_BOUNDS = 4
"""Compiled sweeps of value iteration between two looks at the bounds."""
METHODS = ("auto", "value", "policy")


@dataclass(frozen=True)
class RobustSolution:
    """The optimum of a robust MDP between proved bounds.

    values          (S,) midpoint of the bounds
    lower, upper    (S,) lower <= V_rob* <= upper, rounding included, for the model and set in the fractions they were meant for
    policy          (S, A), greedy for `values`: worth at least V_rob* - 2 gamma / (1 - gamma) error; random where the set asks for it
    kernel          (S, A, S') the worst kernel against `values`, None where it was too large to store; rewards (S, A) paid in the worst case
    stopped         "tolerance" | "rounding" | "limit"
    """

    values: Array
    lower: Array
    upper: Array
    policy: Array
    kernel: Array | None = field(repr=False)
    rewards: Array = field(repr=False)
    iterations: int
    stopped: str
    method: str
    robust: RobustMDP = field(repr=False)

    @property
    def error(self) -> float:
        return float(np.max(np.maximum(self.upper - self.values, self.values - self.lower)))


@dataclass(frozen=True)
class ExactRobustSolution:
    """The optimum in rationals: values (S,), policy (S, A), kernel (S, A, S') and rewards (S, A) of nature, a saddle point that was checked."""

    values: Array
    policy: Array
    kernel: Array = field(repr=False)
    rewards: Array = field(repr=False)
    iterations: int
    robust: RobustMDP = field(repr=False)


def solve_robust(robust: RobustMDP, method: str = "auto", tol: float = 1e-8, *, limit: int = 100_000, on_limit: str = "raise") -> RobustSolution:
    """The robust optimum within `tol`, proved.

    method   "policy", "value", or "auto": policy iteration up to 2,000 states
    limit    applications of the operator;  on_limit "raise" or "return"
    raises   ModelError: bad arguments, a set that is not rectangular.  NotConverged: the limit, or the rounding of floats, came first; its
             .solution holds bounds that are true
    """
    if method not in METHODS:
        raise ModelError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be above 0")
    operator = Operator(robust)
    if method == "auto":
        method = "policy" if robust.num_states <= MOST_BY_POLICY else "value"
    found = _by_policies(operator, tol, limit) if method == "policy" else _by_values(operator, tol, limit)
    solution = _finish(operator, *found, method)
    if solution.stopped != "tolerance" and on_limit == "raise":
        why = f"{solution.iterations:,} steps" if solution.stopped == "limit" else "the rounding of floats left nothing more to gain"
        raise NotConverged(
            f"the robust optimum is known to {solution.error:.1e}, not {tol:g}: {why}. The bounds so far hold: error.solution", solution
        )
    return solution


Found = tuple[Array, Step, Array, Array, int, str]


def _by_values(operator: Operator, tol: float, limit: int, start: Array | None = None) -> Found:
    W = np.zeros(operator.first.size - 1) if start is None else start
    stale, width, sweeps = 0, np.inf, 0
    while sweeps < limit:
        sweeps += 1
        step = operator.greedy(W, kernel=False)
        lower, upper = operator.enclosure(W, step)
        now = float((upper - lower).max())
        if now <= 2 * tol:
            return W, step, lower, upper, sweeps, "tolerance"
        stale = 0 if now < width else stale + 1
        width = min(width, now)
        if stale > 30 or (now <= 4 * operator.floor(W) and stale > 2):
            return W, step, lower, upper, sweeps, "rounding"
        W = lower + (upper - lower) / 2  # centred: the constant by which t is shifted is the middle of the bounds
        if operator.repeats and sweeps + BETWEEN_BOUNDS < limit:
            W, sweeps = operator.repeated(W, BETWEEN_BOUNDS), sweeps + BETWEEN_BOUNDS
    return W, step, lower, upper, sweeps, "limit"


def _by_policies(operator: Operator, tol: float, limit: int) -> Found:
    W, _, _, _, sweeps, _ = _by_values(operator, np.inf, 1)
    width = np.inf
    for rounds in range(sweeps, limit + 1):
        step = operator.greedy(W)
        lower, upper = operator.enclosure(W, step)
        now = float((upper - lower).max())
        if now <= 2 * tol:
            return W, step, lower, upper, rounds, "tolerance"
        if now >= width:  # rounding, or ties that policy iteration cannot tell apart: sweeps go on from here
            W, step, lower, upper, more, stopped = _by_values(operator, tol, max(limit - rounds, 1), W)
            return W, step, lower, upper, rounds + more, stopped
        width = now
        W, _, _ = settle(operator, step.weights)
    return W, step, lower, upper, limit, "limit"


def _finish(operator: Operator, W: Array, step: Step, lower: Array, upper: Array, rounds: int, stopped: str, method: str) -> RobustSolution:
    robust = operator.robust
    middle = lower + (upper - lower) / 2
    if step.kernel is None and operator.first[-1] * middle.size <= 2**26:
        step = operator.greedy(middle)
    kernel = None if step.kernel is None else kernel_array(robust, step.kernel)
    return RobustSolution(
        middle, lower, upper, spread(robust.nominal, step.weights), kernel, spread(robust.nominal, step.paid), rounds, stopped, method, robust
    )  # fmt: skip


def solve_robust_exactly(robust: RobustMDP) -> ExactRobustSolution:
    """The robust optimum in rationals, with its saddle point checked; sets with flat sides.

    raises   ModelError: a set with curved sides, one that is not rectangular, or an s-rectangular one whose optimum was not met: it may be irrational
    """
    from pgtheory.robust.certificate import check_robust

    operator = Operator(robust, exact=True)
    guess = solve_robust(robust, tol=1e-9, on_limit="return")
    weights = _sharpened(operator, guess)
    rounds = 0
    while True:
        rounds += 1
        values, _, tried = settle(operator, weights)
        step = operator.greedy(values)
        if all(a == b for a, b in zip(step.below, values, strict=True)):
            break
        if not operator.by_pairs and (rounds >= MIXED_ROUNDS or max(int(x.q).bit_length() for x in values) > MIXED_BITS):
            raise ModelError(
                f"no rational optimum was met in {plural(rounds, 'round')}: where nature has one budget for a state, the optimum may be irrational; "
                f"in float64 it is known to {guess.error:.0e}, proved"
            )
        weights = step.weights
    mask = robust.nominal
    found = ExactRobustSolution(
        values, spread(mask, step.weights), kernel_array(robust, step.kernel if step.kernel is not None else operator.rows),
        spread(mask, step.paid), rounds + tried, robust,
    )  # fmt: skip
    check_robust(robust, found.values, found.policy, found.kernel, found.rewards)
    return found


def _sharpened(operator: Operator, guess: RobustSolution) -> Array:
    """A first policy in rationals: the greedy one for the float values, read as simple fractions."""
    from mdps.rational import simplest_array

    return operator.greedy(simplest_array(guess.values)).weights
