"""The common core of total reward and reachability: maximise reward until a sink is reached, every policy that pays being sure to get there.

    V(x) = max_k  r_k + sum_y P_k(y) V(y)          classes x of a quotient (graph.py);  V given on the sinks

**Bounds.**  Let h > 0 with h = 0 on the sinks, and for every row k of class x

    x_k = r_k + P_k V - V(x)      (Bellman residual, at most 0 for a solved problem),          y_k = h(x) - P_k h.

If c >= 0 satisfies  c y_k >= x_k  for all rows, then U = V + c h has  U >= r_k + P_k U  for all rows, so U bounds the value of every policy that
reaches the sinks (and of every policy at all if r >= 0).  If c satisfies  c y_k >= -x_k  on the rows of the greedy policy, that policy is
worth at least
V - c h, provided that it reaches the sinks, which y_k > 0 on its rows proves (h falls by a positive amount each step, so steps are finite in
expectation).  With h the expected number of steps this is the residual bound of the discounted case in a weighted norm; the sizes of h are what
1 / (1 - gamma) was.  It asks nothing of the method that found V and h.

**Which h.**  The largest expected number of steps over rows that are nearly optimal: the other rows have x_k far below 0 and need not have y_k > 0.
(The largest over all rows would do where no policy can avoid the sinks for ever, but a policy that dawdles may take astronomically long.)

Where no such h is found and nothing is paid on the way, the bounds come from interval iteration (Haddad & Monmege 2018): V between the least and
the largest sink value is kept on both sides by Bellman sweeps that are rounded outwards.

**Rounding.**  x_k and y_k are floats with an error of at most  epsilon(w) = ((n + 2) u + 2 kappa + defect) w + (2 u + kappa) R
(bounds.py); the inequalities are tested
with that much to spare, and the final sums are rounded outwards.  So the bounds hold for `mdp.exact`.

The first h that is tried counts the steps of the greedy policy, and only roughly: its residual y_k - 1 may be a fifth, since any y_k > 0 will do.

**Method.**  Policy iteration from a policy that reaches the sinks.  Where every policy does, rounds of an inexact evaluation and a few Bellman sweeps
in place come first, nearest classes first (in the order in which a search from the sinks finds them, so that a sweep carries a value outwards as far
as the greedy rows lead); the residual allowed to an evaluation is a thirtieth of the last change.  Evaluation is by Gauss-Seidel in the order of
a depth-first search where that is exact (successors first: parts without cycles), else by sparse LU for few classes, BiCGSTAB with incomplete
factors for many.  The last rounds switch only where the gain exceeds the rounding, so ties do not cycle.  Where the bounds are then wider than asked,
the same is done once more with an evaluation to the last digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pgtheory.exact import transient_loops as loops
from pgtheory.exact.bounds import KAPPA, SECOND_ORDER, TINY, UNIT
from pgtheory.exact.krylov import bicgstab

Array = np.ndarray
DIRECT_LIMIT = 3_000
"""Classes up to which the policy is evaluated by sparse LU without trying BiCGSTAB first."""
KRYLOV_LIMIT = 400
LARGEST_DIRECT = 200_000
RELAXATIONS = 40
"""Gauss-Seidel sweeps, successors first, that are tried before a linear solver: one is exact where the policy has no cycle."""
ROUNDS = 1_000
STEP_ROUNDS = 30
APPROACH_ROUNDS = 50
APPROACH_SWEEPS = 3
"""Bellman sweeps in place between two inexact evaluations."""
INEXACT = 0.03
"""Residual allowed to an inexact evaluation, in units of the last change of a value."""
INTERVAL_SWEEPS = 20_000
"""Sweeps of interval iteration where no h serves (a policy that waits almost for ever costs almost nothing)."""


@dataclass
class Transient:
    """A transient problem in compressed rows over classes + sinks columns, and what is found about it."""

    classes: int
    first: Array
    indptr: Array
    indices: Array
    data: Array
    rewards: Array
    sinks: Array

    def __post_init__(self) -> None:
        self.rewards = np.ascontiguousarray(self.rewards, dtype=np.float64)
        self.indptr, self.indices = _unsigned(self.indptr), _unsigned(self.indices)
        self.V = np.concatenate([np.zeros(self.classes), self.sinks])
        self.best = self.first[:-1].copy()
        self.rounds = 0
        self._postorder: Array | None = None
        self._relaxes = True
        self._found: tuple[Array, Array] | None = None
        self.accuracy = 1e-13
        lengths = np.diff(self.indptr)
        mass = np.add.reduceat(self.data, self.indptr[:-1]) if self.data.size else np.ones(0)
        terms = int(lengths.max(initial=0)) + 2
        self._slope = (
            terms * UNIT / (1 - terms * UNIT) + 2 * UNIT + 2 * KAPPA + float(np.max(np.abs(mass - 1), initial=0.0)) + terms * UNIT
        ) * SECOND_ORDER
        self._constant = ((2 * UNIT + KAPPA) * float(np.max(np.abs(self.rewards), initial=0.0)) + TINY) * SECOND_ORDER

    def epsilon(self, size: float) -> float:
        return self._constant + self._slope * size

    def rows_of_policy(self) -> tuple[Array, ...]:
        """(ptr, successors, probabilities, paid) of the greedy rows, sinks as rows of their own value."""
        return loops.rows_of_policy(self.best, self.indptr, self.indices, self.data, self.rewards, self.sinks)

    def evaluate(self, target: float = 0.0) -> Array:
        """Value of the greedy rows, from V: near-exact, or where `target` is given with a residual of about that."""
        ptr, successors, probabilities, paid = self.rows_of_policy()
        x = self.V.copy()
        x[self.classes :] = paid[self.classes :]
        if self._relaxes and loops.relax(self._order(), ptr, successors, probabilities, paid, x, RELAXATIONS, target):
            return x
        self._relaxes = False
        scale = max(float(np.max(np.abs(paid))), 1e-300)
        if self.classes > DIRECT_LIMIT or target > 0:
            goal = max(target, self.accuracy * scale)
            used = bicgstab(ptr, successors, probabilities, paid, 1.0, x, goal, KRYLOV_LIMIT, 0)
            if target > 0 and used < KRYLOV_LIMIT:
                return x
            residual = np.max(np.abs(paid + _product(ptr, successors, probabilities, x) - x))
            if residual <= max(1e-9 * scale, 10 * goal) or self.classes > LARGEST_DIRECT:
                return x
        return self._direct(ptr, successors, probabilities, paid)

    def _order(self) -> Array:
        if self._postorder is None:
            self._postorder = loops.postorder(self.first, self.indptr, self.indices)
        return self._postorder

    def _search(self) -> tuple[Array, Array]:
        """(classes in the order in which a search from the sinks finds them, those of the largest value first; the row by which each was found)."""
        if self._found is None:
            width = self.classes + self.sinks.size
            into_ptr, into = loops.backwards(self.first, self.indptr, self.indices, width)
            begin = self.classes + np.argsort(-np.abs(self.sinks), kind="stable")
            self._found = loops.outwards(self.first, into_ptr, into, begin, self.classes, width)
        return self._found

    def start(self) -> None:
        """Greedy rows that surely reach the sinks: each class takes a row that may come one step nearer."""
        if self.classes:
            order, rows = self._search()
            assert order.size == self.classes, "every class of the quotient reaches a sink"
            self.best = rows.copy()

    def _direct(self, ptr: Array, successors: Array, probabilities: Array, paid: Array) -> Array:
        from scipy.sparse import csr_array, eye_array
        from scipy.sparse.linalg import splu

        width = paid.size
        P = csr_array((probabilities, successors.astype(np.int32), ptr.astype(np.int32)), shape=(width, width))
        matrix = (eye_array(width) - P).tocsc()
        return splu(matrix).solve(paid)

    def approach(self) -> None:
        """V near the optimum, and its greedy rows, for problems in which every policy reaches the sinks."""
        if not self.classes:
            return
        fine = self.accuracy
        if self._sweep_in_place(self._order()) <= fine:
            return
        order, _ = self._search()
        aim, before = 0.1, np.inf
        for _ in range(APPROACH_ROUNDS):
            self.rounds += 1
            self.V = self.evaluate(aim * (float(np.max(np.abs(self.V))) + 1e-300))
            self.V[self.classes :] = self.sinks
            moved = self._sweep_in_place(order)
            if moved <= max(30 * fine, 1e-12):
                return
            aim = max(INEXACT * min(moved, before), fine)
            before = moved

    def _sweep_in_place(self, order: Array) -> float:
        """A few Bellman sweeps of V; the largest change of the last, in units of max|V|."""
        slack = 4 * self.epsilon(float(np.max(np.abs(self.V), initial=0.0)))
        rows = (self.first, self.indptr, self.indices, self.data, self.rewards)
        moved, size = loops.optimal_sweeps(order, *rows, self.V, self.best, slack, APPROACH_SWEEPS)
        return float(moved / max(size, 1e-300))

    def iterate(self, rounds: int = ROUNDS) -> None:
        """Policy iteration from the present greedy rows (which must reach the sinks) until no row gains more than rounding."""
        for _ in range(rounds):
            self.rounds += 1
            self.V = self.evaluate()
            self.V[self.classes :] = self.sinks
            slack = 4 * self.epsilon(float(np.max(np.abs(self.V), initial=0.0)))
            if loops.improve(self.first, self.indptr, self.indices, self.data, self.rewards, self.V, self.best, slack) == 0:
                return

    def steps(self, tight: float, rough: bool = False) -> Array:
        """h: the largest expected number of steps over rows whose residual is at least -tight; rough: its residual may be a fifth of a step."""
        if tight > -np.inf:
            kept = loops.residuals(self.first, self.indptr, self.indices, self.data, self.rewards, self.V) >= -tight
        else:
            kept = np.zeros(self.rewards.size, dtype=np.bool_)
        kept[self.best] = True
        helper = Transient(
            self.classes, *_subset(self.first, self.indptr, self.indices, self.data, kept), np.ones(int(kept.sum())), np.zeros(self.sinks.size)
        )
        position = np.cumsum(kept) - 1
        helper.best = position[self.best]
        helper._postorder, helper._relaxes = self._postorder, self._relaxes
        if rough:
            return helper.evaluate(0.2)
        helper.accuracy = 1e-6
        helper.iterate(STEP_ROUNDS if tight >= 0 else 1)
        return helper.V

    def bounds(self, all_proper: bool, tol: float = 0.0) -> tuple[Array, Array]:
        """(lower, upper) on classes and sinks; infinite where the inequalities could not be proved.  Tries several h until they are within tol."""
        if self.classes == 0:
            return self.sinks.copy(), self.sinks.copy()
        size = float(np.max(np.abs(self.V)))
        lower, upper = np.full(self.V.size, -np.inf), np.full(self.V.size, np.inf)
        choices = [(-np.inf, True), *((tight, False) for tight in (-np.inf, 1e-9 * (1 + size), 1e-6 * (1 + size), 1e-12 * (1 + size), 0.0))]
        if all_proper:
            choices.append((np.inf, False))
        for k, (tight, rough) in enumerate(choices):
            try:
                if k == 1 and self.accuracy > 1e-13:  # V was not as good as had been hoped
                    self.accuracy = 1e-13
                    self.iterate()
                h = self.steps(tight, rough)
            except RuntimeError:  # rows that never leave their class are nearly optimal: this h is infinite
                continue
            if not np.all(np.isfinite(h)) or np.any(h[: self.classes] <= 0):
                continue
            own, others = self.epsilon(size), self.epsilon(float(np.max(h))) + 1.0 * UNIT
            above, below = loops.factors(self.first, self.indptr, self.indices, self.data, self.rewards, self.V, h, self.best, own, others)
            for c, sign, out in ((above, 1.0, upper), (below, -1.0, lower)):
                if np.isfinite(c):
                    edge = self.V + sign * (c * (1 + 4 * UNIT)) * h
                    edge += sign * 4 * UNIT * (np.abs(edge) + np.abs(self.V))
                    out[:] = np.minimum(out, edge) if sign > 0 else np.maximum(out, edge)
            if np.max(upper - lower) <= 2 * tol:
                break
        lower[self.classes :], upper[self.classes :] = self.sinks, self.sinks
        if all_proper and not self.rewards.any() and np.max(upper - lower) > 2 * tol:
            lower, upper = np.maximum(lower, self.sinks.min()), np.minimum(upper, self.sinks.max())
            error = self.epsilon(float(np.max(np.abs(self.sinks))))
            loops.interval(self._order(), self.first, self.indptr, self.indices, self.data, lower, upper, error, tol, INTERVAL_SWEEPS)
        return lower, upper


def _unsigned(index: Array) -> Array:
    """Indices as unsigned 32-bit integers where these suffice: half the memory, and numba omits the test for negative ones."""
    return index if index.dtype.kind == "u" else index.astype(np.uint32 if index.size == 0 or int(index.max()) < 2**32 else np.uint64)


def _subset(first: Array, indptr: Array, indices: Array, data: Array, kept: Array) -> tuple[Array, Array, Array, Array]:
    """The rows that are kept, in the same order."""
    counts = np.concatenate([[0], np.cumsum(kept)])
    lengths = np.diff(indptr)
    entries = np.repeat(kept, lengths)
    return counts[first], np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64), indices[entries], data[entries]


def _product(ptr: Array, successors: Array, probabilities: Array, x: Array) -> Any:
    from scipy.sparse import csr_array

    return csr_array((probabilities, successors.astype(np.int32), ptr.astype(np.int32)), shape=(x.size, x.size)) @ x
