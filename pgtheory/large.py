"""Policy gradient on models too large for a direct solve: iterative evaluation, and a gap known as an interval.

Values of the present policy solve (I - gamma P_pi) V = r_pi.  On CSR models that is done by BiCGSTAB from the last policy's values, to a residual of
`tol` (1 - gamma): a policy moves little in a step, so few products suffice.  For any vector V, with res = r_pi + gamma P_pi V - V,

    V + min(res) / (1 - gamma)  <=  V^pi  <=  V + max(res) / (1 - gamma),

because I - gamma P_pi has a nonnegative inverse with row sums 1/(1 - gamma).  The residual is computed anew and widened by its own rounding,
(k + 4) eps (max|r| + 2 max|V|) for rows of at most k entries.  So the value of every recorded policy lies in a proved interval, whatever the solver
did, and with the bounds of `pgtheory.solve` for V* so does its gap.  The steps themselves use the inexact values: the run is that of an inexact
gradient, and its record is true of the policies that it passed through.

Steps (the states' logits, or probabilities, all at once):

    softmax    theta += eta d pi A / (1 - gamma)              d solves the transposed equation in the same way
    natural    theta += eta A / (1 - gamma)
    mirror     theta += eta A                                  (KL)
    projected  pi = project(pi + eta d Q / (1 - gamma))

Source of the bounds: Puterman (2005), Theorem 6.6.3; BiCGSTAB: van der Vorst (1992).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import project_simplex, softmax

Array = np.ndarray
EPS = 2.0**-52
TWIN = 2.0**-44
"""How far, relatively, the exact twin of a model in floats may be from it: 2^-46 an entry, a few entries a row."""
MOST_PRODUCTS = 2000
"""Iterations of one evaluation after which it is taken as it is; its interval says what it is worth."""


@dataclasses.dataclass(frozen=True)
class LargeTrajectory:
    """What a run on a large model passed through, at R recorded iterations.

    times         (R,) iterations
    value_lower, value_upper    (R,) bounds of V^{pi_t}(start), in reward units, proved
    gap_lower, gap_upper        (R,) bounds of V*(start) - V^{pi_t}(start)
    products      (R,) products with P_pi so far;  seconds (R,) since the start
    policy        (S, A) the last policy;  values (S,) its approximate values
    """

    mdp: MDP
    method: Any
    times: Array
    value_lower: Array
    value_upper: Array
    gap_lower: Array
    gap_upper: Array
    products: Array
    seconds: Array
    policy: Array
    values: Array

    def gap(self) -> Array:
        """(R,): the middle of the interval."""
        return (self.gap_lower + self.gap_upper) / 2


class Evaluator:
    """Values and visits of policies (S, A) on one rectangular model, each started from the last."""

    def __init__(self, mdp: MDP, tol: float) -> None:
        from scipy import sparse

        if not mdp.is_rectangular:
            raise ModelError("policy gradient takes the same number of actions in every state; this model has states that differ")
        if not tol > 0:
            raise ModelError(f"tol is {tol!r}; it must be above 0")
        self.mdp = mdp.float
        self.states, self.actions = self.mdp.num_states, self.mdp.num_actions
        self.rows = sparse.csr_array(self.mdp.choices)
        self.rewards = np.asarray(self.mdp.pair_rewards).reshape(self.states, self.actions)
        self.gamma, self.tol, self.products = float(self.mdp.discount), tol, 0
        self.values, self.visits = np.zeros(self.states), np.asarray(self.mdp.start, dtype=np.float64).copy()
        self._longest = int(np.diff(self.rows.indptr).max()) * self.actions
        self._first = np.arange(0, self.states * self.actions + 1, self.actions)

    def chain(self, policy: Array) -> Any:
        """P_pi as CSR: the average of the rows of each state."""
        from scipy import sparse

        weights = sparse.csr_array((policy.reshape(-1), np.arange(policy.size), self._first), shape=(self.states, policy.size))
        return weights @ self.rows

    def evaluate(self, policy: Array) -> tuple[Array, Array, tuple[float, float]]:
        """(V, Q, (low, high)) with V + low <= V^pi <= V + high in every state."""
        moves, paid = self.chain(policy), (policy * self.rewards).sum(axis=1)
        self.values = self._solve(moves, paid, self.values, self.tol * (1 - self.gamma))
        residual = paid + self.gamma * (moves @ self.values) - self.values
        self.products += 1
        size = np.abs(self.values).max()
        rounding = (self._longest + 4) * EPS * (np.abs(self.rewards).max() + 2 * size)
        # rows that sum to 1 but for rounding stand for rows that do exactly, and numbers for the simplest fractions beside them (`mdp.exact`)
        defect = np.abs(moves.sum(axis=1) - 1).max() + np.abs(policy.sum(axis=1) - 1).max() + TWIN
        rounding += 2 * defect * size + TWIN * np.abs(self.rewards).max()
        low, high = ((residual.min() - rounding) / (1 - self.gamma), (residual.max() + rounding) / (1 - self.gamma))
        ahead = self.rewards + self.gamma * (self.rows @ self.values).reshape(self.states, self.actions)
        self._moves = moves
        return self.values, ahead, (float(low), float(high))

    def state_visits(self) -> Array:
        """d of the policy evaluated last, (S,), to a residual of `tol` in sum; sums to 1 but for that."""
        start = np.asarray(self.mdp.start, dtype=np.float64)
        self.visits = self._solve(self._moves.T, (1 - self.gamma) * start, self.visits, self.tol * (1 - self.gamma) / self.states)
        return np.maximum(self.visits, 0.0)

    def _solve(self, moves: Any, right: Array, guess: Array, target: float) -> Array:
        """x with |right + gamma moves x - x|_inf <= target, or the best that was found: BiCGSTAB (the shadow residual is that of the start)."""
        x = guess.copy()
        residual = right + self.gamma * (moves @ x) - x
        shadow, direction, moved = residual.copy(), np.zeros_like(x), np.zeros_like(x)
        rho = alpha = omega = 1.0
        best, best_size = x, float(np.abs(residual).max())
        for _ in range(MOST_PRODUCTS):
            if best_size <= target:
                break
            new_rho = float(shadow @ residual)
            if new_rho == 0 or omega == 0:  # breakdown: begin again from the best
                x = best.copy()
                residual = right + self.gamma * (moves @ x) - x
                shadow, direction, moved, rho, alpha, omega = residual.copy(), np.zeros_like(x), np.zeros_like(x), 1.0, 1.0, 1.0
                new_rho = float(shadow @ residual)
            direction = residual + (new_rho / rho) * (alpha / omega) * (direction - omega * moved)
            moved = direction - self.gamma * (moves @ direction)
            rho, scale = new_rho, float(shadow @ moved)
            if scale == 0:
                break
            alpha = rho / scale
            half = residual - alpha * moved
            second = half - self.gamma * (moves @ half)
            self.products += 2
            square = float(second @ second)
            omega = float(second @ half) / square if square > 0 else 0.0
            x = x + alpha * direction + omega * half
            residual = half - omega * second
            size = float(np.abs(residual).max())
            if not np.isfinite(size):
                break
            if size < best_size:
                best, best_size = x, size
        return best


def run_large(
    mdp: MDP,
    method: Any,
    iterations: int,
    *,
    record: Any = "log",
    tol: float = 1e-8,
    initial: Any = "uniform",
    optimum: Any = None,
    progress: Callable[[int, float, float], None] | None = None,
) -> LargeTrajectory:
    """Runs `SoftmaxPG`, `NaturalPG`, `MirrorDescent(geometry="kl")` or `ProjectedPG` on a large, usually sparse model.

    record    "log", "all" or the iterations to keep;  tol  what an evaluation aims at: V is off by at most about `tol`
    initial   (S, A), or "uniform";  optimum  a `Solution` of the model, solved to `tol` if left out
    progress  called with (iteration, gap_lower, gap_upper) at every recorded iteration
    raises    ModelError: a method that is none of these, bad times, a policy that is none, a model with ragged actions
    """
    from pgtheory.exact import solve
    from pgtheory.run import recorded_times

    update, start_of = _step_of(method, mdp)
    times = recorded_times(record, iterations)
    began = time.perf_counter()
    evaluator = Evaluator(mdp, tol)
    solution = solve(mdp, tol=tol) if optimum is None else optimum
    rho = np.asarray(mdp.float.start, dtype=np.float64)
    best = (float(rho @ solution.lower), float(rho @ solution.upper))
    policy = np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions) if isinstance(initial, str) else _checked(initial, mdp)
    params = start_of(policy)
    settings = tuple(float(x) for x in method.settings(mdp.float))
    rows: list[tuple[float, ...]] = []
    for t in range(int(times[-1]) + 1):
        values, ahead, (low, high) = evaluator.evaluate(policy)
        if t in times:
            middle = float(rho @ values)
            largest = max(np.abs(values).max(), np.abs(solution.upper).max(), np.abs(solution.lower).max())
            slack = 4 * EPS * mdp.num_states * float(largest)
            lower, upper = middle + low - slack, middle + high + slack
            rows.append((t, lower, upper, max(best[0] - upper, 0.0), best[1] - lower, evaluator.products, time.perf_counter() - began))
            if progress is not None:
                progress(t, rows[-1][3], rows[-1][4])
        if t < times[-1]:
            params, policy = update(params, policy, values, ahead, evaluator, *settings)
    t_of, lower_of, upper_of, near, far, products, seconds = (np.array(column) for column in zip(*rows, strict=True))
    return LargeTrajectory(mdp, method, t_of, lower_of, upper_of, near, far, products, seconds, policy, values)


def _step_of(method: Any, mdp: MDP) -> tuple[Callable[..., tuple[Array, Array]], Callable[[Array], Array]]:
    """(step, parameters of a policy) for the methods that need one evaluation a step."""
    name = getattr(method, "name", type(method).__name__)
    horizon = 1 / (1 - float(mdp.float.discount))

    def logits(gain: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
        def step(params: Array, policy: Array, values: Array, ahead: Array, evaluator: Evaluator, eta: float) -> tuple[Array, Array]:
            moved = params + eta * gain(policy, ahead - values[:, None], evaluator)
            moved -= moved.max(axis=1, keepdims=True)
            return moved, softmax(moved)

        return step

    def projected(params: Array, policy: Array, values: Array, ahead: Array, evaluator: Evaluator, eta: float) -> tuple[Array, Array]:
        moved = project_simplex(policy + eta * horizon * evaluator.state_visits()[:, None] * ahead)
        return moved, moved

    steps = {
        "softmax-pg": logits(lambda policy, gap, evaluator: horizon * evaluator.state_visits()[:, None] * policy * gap),
        "natural-pg": logits(lambda policy, gap, evaluator: horizon * gap),
        "mirror-descent-kl": logits(lambda policy, gap, evaluator: gap),
        "projected-pg": projected,
    }
    if name not in steps:
        raise ModelError(f"run_large runs {', '.join(steps)}; {name} is not among them")
    return steps[name], (lambda policy: policy) if name == "projected-pg" else np.log


def _checked(policy: Any, mdp: MDP) -> Array:
    given = np.asarray(policy, dtype=np.float64)
    if given.shape != (mdp.num_states, mdp.num_actions):
        raise ModelError(f"initial has shape {given.shape}; it must be ({mdp.num_states}, {mdp.num_actions})")
    off = np.abs(given.sum(axis=1) - 1)
    if (given < 0).any() or off.max() > 1e-9:
        state = int(off.argmax()) if off.max() > 1e-9 else int(np.argwhere(given < 0)[0, 0])
        raise ModelError(f"initial is no policy in state {state}: {given[state].tolist()}")
    return given
