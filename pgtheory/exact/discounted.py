"""Optimal discounted values with proved bounds: `solve`.

    V*(s) = max_a r(s, a) + gamma sum_s' P(s' | s, a) V*(s'),          0 <= gamma < 1

All methods repeat a Bellman sweep t = TW and differ in how they choose the next W:

    "value"         W = t                                                       value iteration (Jacobi)
    "gauss-seidel"  W = sweeps in place, every tenth followed by a Bellman sweep
    "modified"      W = t, then sweeps of the greedy policy until their residual is small          (Puterman & Shin 1978)
    "policy"        W = value of the greedy policy, by LU                                          (Howard 1960)
    "krylov"        W = value of the greedy policy by BiCGSTAB, to a tenth of the present residual
    "anderson"      W = combination of the last sweeps of least residual, kept only where it helps
    "linear"        W = solution of the linear program by HiGHS                                    (see linear_program.py)
    "auto"          "modified", which goes over to LU or BiCGSTAB where sweeps of the policy contract slowly

Where sweeps contract slowly a dense policy is solved for directly: its factors serve the next policies as well, by the rows that changed
(Sherman-Morrison-Woodbury, storage.py), until a quarter of the rows differ.  The first policy is the one that is greedy for the rewards.

**Stopping.**  Every sweep gives  t + a <= V* <= t + b  with a, b from the extremes of t - W (bounds.py: the rounding of the sweep and the
step from floats to exact numbers are inside).  `values` is the middle, so |values - V*| <= (b - a) / 2, and a method stops when that is at
most `tol`.  The bounds hold for any W whatever: no property of the inner method enters.  Between sweeps actions are dropped whose q lies
more than b - a below t: they are not optimal (bounds.py), so later sweeps over fewer pairs bound the same V*.

**Precision.**  Floats alone cannot prove less than epsilon / (1 - gamma) (bounds.floor).  Where `tol` is smaller and the model not too large, the
policy found is refined with exact residuals (rigorous.py); otherwise NotConverged says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from pgtheory.exact.bounds import UNIT, enclosure, floor, shifts
from pgtheory.exact.storage import Dense, storage
from pgtheory.solution import NotConverged, Solution

Array = np.ndarray
METHODS = ("auto", "value", "gauss-seidel", "modified", "policy", "krylov", "anderson", "linear")
EXACT_ENTRIES = 200_000
"""Entries of the choice matrix up to which a model is refined with exact residuals: a few seconds."""
LIMITS = {"value": 1_000_000, "gauss-seidel": 1_000_000, "anderson": 1_000_000}
DEFAULT_LIMIT = 10_000
SMALL = 2_000
"""States of a sparse model up to which starting a sweep costs as much as the sweep: BiCGSTAB pays where 8 more would be needed, not 40."""
FINAL = 1.4
"""Span of the residual, in units of tol (1 - gamma) / gamma, to which a policy that did not change is evaluated: 2 would just do."""
SETTLING = 12
"""Most Bellman sweeps between two evaluations by LU or BiCGSTAB; for dense models as many as cost what one LU costs (S / (20 A), measured)."""


def solve(
    mdp: MDP,
    method: str = "auto",
    tol: float = 1e-8,
    *,
    start: Array | Solution | None = None,
    limit: int | None = None,
    on_limit: str = "raise",
    refine: bool = True,
    threads: int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Solution:
    """Optimal values, bounds and a greedy policy of a discounted MDP.

    method     one of METHODS; `Solution.method` says what was run
    tol        |values - V*| <= tol in every state, in reward units, proved by the bounds
    start      values (S,) or an earlier Solution of a similar model to begin with; never changes what the bounds are worth
    limit      most Bellman sweeps (methods "value", "gauss-seidel", "anderson": 1,000,000; others 10,000)
    on_limit   "raise" NotConverged, or "return" the Solution reached
    refine     whether a tolerance below the precision of floats is pursued with exact residuals (models up to EXACT_ENTRIES entries)
    threads    how many share the sweeps; None: all cores for models of a million entries and more, else one.  The figures do not depend on it
    progress   called with (sweeps, present error) after every Bellman sweep
    raises     ModelError: bad arguments.  NotConverged: `limit` or the precision of floats reached first; `.solution` has true bounds
    source     Puterman (2005), chapter 6
    """
    if not isinstance(mdp, MDP):
        raise ModelError(f"solve takes an mdps.MDP; this is a {type(mdp).__name__}")
    if method not in METHODS:
        raise ModelError(f"unknown method {method!r}; known: {', '.join(METHODS)}.{nearest(method, METHODS)}")
    if on_limit not in ("raise", "return"):
        raise ModelError(f"on_limit is {on_limit!r}; it must be 'raise' or 'return'")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number (use solve_exactly for rationals)")
    if limit is not None and limit < 1:
        raise ModelError(f"limit is {limit}; at least one sweep is needed for a bound")
    search = _Search(mdp, tol, limit or LIMITS.get(method, DEFAULT_LIMIT), progress, threads)
    try:
        _RUNNERS[method](search, search.begin(start))
    except KeyboardInterrupt:
        search.stopped = "interrupted"
        if search._best is None:
            raise
    finally:
        search.rows.close()
    return _finish(search, method, on_limit, refine)


class _Search:
    """The state of one solve: the storage, the tightest enclosure so far, and the test whether to go on."""

    def __init__(self, mdp: MDP, tol: float, limit: int, progress: Callable[[int, float], None] | None, threads: int | None = 1) -> None:
        self.mdp, self.tol, self.limit, self.progress = mdp, tol, limit, progress
        self.rows: Any = storage(mdp, threads)  # Compressed or Dense; only the first evaluates by Krylov
        self.sweeps, self.stopped, self.used = 0, "", ""
        self.error = np.inf
        self._best: tuple[Array, float, float, Array] | None = None
        self.low = self.high = self.size = 0.0
        self.changes = -1
        self.fast = True
        self.stalled, self.patience = 0, 8
        self.dropped_at = np.inf

    def begin(self, start: Any) -> Array:
        if start is None:
            return np.zeros(self.rows.states)
        values = start.values if isinstance(start, Solution) else np.asarray(start, dtype=np.float64)
        if values.shape != (self.rows.states,) or not np.all(np.isfinite(values)):
            raise ModelError(f"start must hold one finite value for each of the {self.rows.states} states; it has shape {values.shape}")
        return centred(values)

    def sweep(self, W: Array) -> bool:
        """One Bellman sweep from W with its bounds; True when the search is over."""
        rows = self.rows
        slack = 0.0 if rows.allowed is None else 2 * rows.allowed.epsilon(self.size)
        self.low, self.high, self.size, self.changes = rows.sweep(W, slack)
        self.sweeps += 1
        self.below, self.above = shifts(self.low, self.high, self.size, rows.allowed)
        error = (self.above - self.below) / 2
        self.stalled = 0 if error < 0.9 * self.error else self.stalled + 1
        if error < self.error:
            self.error = error
            self._best = (rows.t.copy(), self.below, self.above, rows.best.copy())
        if self.progress:
            self.progress(self.sweeps, self.error)
        if self.error <= self.tol * (1 - 1e-9):
            self.stopped = "tolerance"
        elif self.stalled > 2 and (
            error <= 4 * floor(self.size, rows.allowed) or (self.stalled > self.patience and (self.changes == 0 or self.stalled > 20 * self.patience))
        ):
            self.stopped = "rounding"
        elif self.sweeps >= self.limit:
            self.stopped = "limit"
        return bool(self.stopped)

    def settle(self, W: Array) -> bool:
        """More Bellman sweeps while each still changes the action of a state in a hundred: cheaper than evaluating a policy that
        will not last.  False when the search is over."""
        rows = self.rows
        for _ in range(min(SETTLING, 1 + rows.states**2 // (20 * rows.pairs)) if rows.dense else SETTLING):
            if self.changes <= self.rows.states / 100:
                break
            np.copyto(W, self.rows.t)
            self.stalled = 0  # these sweeps settle the policy; a lucky earlier error is no measure of their progress
            if self.sweep(W):
                return False
        return True

    def eliminate(self) -> None:
        """Drops actions, where the bounds have come close enough since the last time that some may go: no two action values of a state are
        further apart than 2 max|r| + 2 gamma max|W|."""
        width = self.above - self.below
        if self.rows.first[-1] > self.rows.states and width < min(self.dropped_at / 2, 2 * (self.rows.largest + self.size)):
            self.dropped_at = width
            self.rows.drop(width + 4 * self.rows.allowed.epsilon(self.size))

    def outcome(self, method: str) -> Solution:
        assert self._best is not None
        t, below, above, best = self._best
        lower, upper = np.nextafter(t + below, -np.inf), np.nextafter(t + above, np.inf)
        values = np.clip(t + (below + above) / 2, lower, upper)
        return Solution(
            values, lower, upper, best - self.mdp.first_pair[:-1], self.sweeps, self.stopped, method, self.mdp, {"sweep_equivalents": self.rows.work}
        )


def centred(values: Array) -> Array:
    """values minus the middle of their range: the same vector up to a constant, with the least rounding."""
    return values - (values.min() + values.max()) / 2


def _slow(search: _Search) -> int:
    """Sweeps after which a method that only sweeps must have shrunk the error by a tenth: gamma^k < 0.9, three times over."""
    return 10 + int(3 / (1 - search.rows.discount))


def _value(search: _Search, W: Array) -> None:
    search.patience = _slow(search)
    while not search.sweep(W):
        if search.sweeps % 16 == 0:
            search.eliminate()
        np.subtract(search.rows.t, (search.rows.t[0] if abs(search.rows.t[0]) > 1 else 0.0), out=W)
    search.used = "value"


def _gauss_seidel(search: _Search, W: Array) -> None:
    search.patience = _slow(search)
    forward = np.arange(search.rows.states)
    while not search.sweep(W):
        search.eliminate()
        W[:] = search.rows.t + (search.low + search.high) / 2 * search.rows.discount / (1 - search.rows.discount)
        for k in range(9):
            search.rows.relax(W, forward if k % 2 == 0 else forward[::-1].copy())
    search.used = "gauss-seidel"


def _policy(search: _Search, W: Array) -> None:
    while not search.sweep(W):
        if search.changes == 0 and search.sweeps > 1 and search.error <= 4 * floor(search.size, search.rows.allowed):
            search.stopped = "rounding"
            break
        search.rows.select()
        W[:] = centred(_direct(search, search.rows.t, W))
    search.used = "policy (LU)"


def _direct(search: _Search, W: Array, spare: Array) -> Array:
    """Value of the selected policy, up to a constant: W and the correction that its residual asks for, so that rounding is that of the correction."""
    rows = search.rows
    if not rows.dense:
        from pgtheory.exact.linear import solve_resolvent

        return solve_resolvent(rows.matrix(), rows.discount, rows.paid())
    rows.follow(W, spare, 0.0)
    return W + rows.solve(spare - W)


def _krylov(search: _Search, W: Array) -> None:
    if isinstance(search.rows, Dense):
        raise ModelError('method "krylov" is for sparse models; this one is dense: use "policy" or "auto"')
    while not search.sweep(W):
        search.eliminate()
        if not search.settle(W):
            break
        _krylov_step(search, W, 0.1)
    search.used = "krylov (BiCGSTAB)"


def _krylov_step(search: _Search, W: Array, share: float) -> None:
    rows = search.rows
    rows.select()
    W[:] = rows.t + (search.low + search.high) / 2 * rows.discount / (1 - rows.discount)
    aim = max(share * (search.high - search.low) / 2, 0.5 * search.tol * (1 - rows.discount))
    rows.evaluate(W, aim, 1000)
    W[:] = centred(W)


def _modified(search: _Search, W: Array) -> None:
    search.patience = 8 + _slow(search) // 100
    _inexact(search, W, switch=False)
    search.used = "modified"


def _auto(search: _Search, W: Array) -> None:
    search.used = "modified"
    _inexact(search, W, switch=True)


def _inexact(search: _Search, W: Array, switch: bool) -> None:
    """Modified policy iteration: sweeps of the greedy policy until the span of their residual is a tenth of the Bellman span.

    With `switch`, where the sweeps contract so slowly that reaching the tenth would cost more, the policy is evaluated by LU
    (dense) or BiCGSTAB (compressed) instead."""
    rows = search.rows
    spare = np.empty_like(W)
    if not W.any():
        rows.start_greedy()
        rows.select()
        goal = (1e-4 if rows.dense else 0.1) * float(np.ptp(rows.paid()))  # dense rows: a sweep of one policy costs little beside a Bellman sweep
        W, spare = _follow(search, W, spare, np.inf, goal, switch)
    while not search.sweep(W) and (search.fast or search.settle(W)):
        search.eliminate()
        rows.select()
        span = search.high - search.low
        final = FINAL * search.tol * (1 - rows.discount) / max(rows.discount, 1e-9)
        share = 0.1 if search.changes else 0.0
        np.copyto(W, rows.t)
        W, spare = _follow(search, W, spare, span, max(share * span, final), switch)


def _follow(search: _Search, W: Array, spare: Array, span: float, goal: float, switch: bool) -> tuple[Array, Array]:
    """Sweeps of the selected policy from W until the span of the residual is at most goal; returns (last iterate, the other array)."""
    rows = search.rows
    shift, before = 0.0, span
    if switch and rows.dense and not search.fast:
        W[:] = centred(_direct(search, W, spare))
        return W, spare
    for k in range(1000):
        low, high = rows.follow(W, spare, shift)
        W, spare = spare, W
        now = high - low
        if now <= goal or not now > 8 * UNIT * max(abs(low), abs(high)):
            break
        if switch and k >= 3 and before > 0:
            rate = min(now / before, 1 - 1e-12)
            remaining = np.log(now / goal) / -np.log(rate)
            if remaining > 20 + (rows.states / 10 if rows.dense else (20 if rows.states > SMALL else -12)):
                if rows.dense:
                    W[:] = centred(_direct(search, W, spare))
                    search.used = "modified, LU evaluation"
                elif search.sweeps == 0:  # the policy that is greedy for the rewards is not worth more
                    search.fast = False
                    break
                else:
                    W += (low + high) / 2 / (1 - rows.discount)
                    rows.evaluate(W, goal / 2, 1000)
                    W -= (W.min() + W.max()) / 2
                    search.used = "modified, BiCGSTAB evaluation"
                search.fast = False
                break
        before = now
        shift = (low + high) / 2 if k % 8 == 0 else 0.0
    return W, spare


def _anderson(search: _Search, W: Array, memory: int = 6) -> None:
    """Anderson acceleration of value iteration with a safeguard: a combined iterate whose residual span exceeds the best by more than
    twice is thrown away for the plain sweep."""
    rows = search.rows
    iterates: list[Array] = []
    residuals: list[Array] = []
    best, good = np.inf, W
    search.patience = _slow(search)
    while not search.sweep(W):
        span = search.high - search.low
        t = rows.t.copy()
        if span > 2 * best:
            iterates.clear()
            residuals.clear()
            W = good.copy()
            best = np.inf
            continue
        if span < best:
            best, good = span, centred(t)
        residual = centred(t - W)
        iterates.append(t)
        residuals.append(residual)
        if len(iterates) > memory:
            iterates.pop(0)
            residuals.pop(0)
        W = centred(t)
        if len(iterates) > 1:
            steps = np.array([residual - r for r in residuals[:-1]])
            gram = steps @ steps.T
            gram[np.diag_indices(len(steps))] *= 1 + 1e-10
            try:
                weights = np.linalg.solve(gram, steps @ residual)
            except np.linalg.LinAlgError:
                iterates.clear()
                residuals.clear()
                continue
            moved = t - weights @ np.array([t - x for x in iterates[:-1]])
            if np.all(np.isfinite(moved)):
                W = centred(moved)
    search.used = "anderson"


def _linear(search: _Search, W: Array) -> None:
    from pgtheory.exact.linear_program import primal_values

    W[:] = centred(primal_values(search.mdp))
    if not search.sweep(W):
        _policy(search, centred(search.rows.t))
    search.used = "linear (HiGHS)"


_RUNNERS: dict[str, Callable[[_Search, Array], None]] = {
    "auto": _auto,
    "value": _value,
    "gauss-seidel": _gauss_seidel,
    "modified": _modified,
    "policy": _policy,
    "krylov": _krylov,
    "anderson": _anderson,
    "linear": _linear,
}


def _finish(search: _Search, method: str, on_limit: str, refined: bool) -> Solution:
    used = search.used or method
    solution = search.outcome(f"auto: {used}" if method == "auto" else used)
    if refined and solution.stopped == "rounding" and search.rows.entries <= EXACT_ENTRIES:
        from pgtheory.exact.rigorous import refine

        solution = refine(search.mdp, solution, search.tol)
    if solution.stopped in ("tolerance", "optimal") or on_limit == "return":
        return solution
    raise NotConverged(_explain(search, solution), solution)


def _explain(search: _Search, solution: Solution) -> str:
    known = f"V* known to {solution.error:.1e}, not {search.tol:g} (discount {search.mdp.discount})"
    if solution.stopped == "rounding":
        return (
            f"{solution.method} stopped after {search.sweeps:,} sweeps with {known}: floats cannot prove less for this model.\n"
            f"  Ask for tol >= {1.01 * solution.error:.1e}, or use solve_exactly. The bounds so far hold: error.solution.lower, .upper"
        )
    if solution.stopped == "interrupted":
        return f"{solution.method} was interrupted after {search.sweeps:,} sweeps with {known}. The bounds so far hold: error.solution.lower, .upper"
    gamma = search.rows.discount
    more = int(np.ceil(np.log(max(solution.error / search.tol, 1.0)) / -np.log(gamma))) + 1 if gamma > 0 else 1
    return (
        f"{solution.method} stopped after {search.sweeps:,} sweeps with {known}.\n"
        f'  At most {more:,} more sweeps of value iteration would do; method="policy" needs a handful. '
        "The bounds so far hold: error.solution.lower, .upper"
    )


__all__ = ["METHODS", "enclosure", "solve"]
