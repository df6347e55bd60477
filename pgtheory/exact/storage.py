"""A model as the sweeping solvers see it: one object for dense and one for compressed rows, with the same five operations.

    sweep(W)          t = TW over the pairs still active, the greedy pair of each state, extremes of t - W
    drop(threshold)   forgets pairs whose q lies more than threshold below t (they were proved not optimal)
    select()          collects the rows of the greedy pairs
    follow(W, t)      one sweep of that policy
    relax(W, order)   one Gauss-Seidel Bellman sweep in place

With `threads` above 1 the first four but `drop` run on ranges of states, one a thread, outside the interpreter lock; the figures are the same
for any number of threads (sweeps.py).

Memory beyond the model: for each pair one number and one index; for compressed rows the rows of one policy as well.  The rows of a policy stand in
places as long as the longest row of their state, so that only those of changed actions are copied; where that would cost half as much again, they
are packed anew each time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact import sweeps
from pgtheory.exact.bounds import Allowance, allowance
from pgtheory.exact.linear import sealed

Array = np.ndarray
THREADED_ENTRIES = 2**20
"""Entries of the choice matrix from which all cores are used unless `threads` says otherwise: below, starting a thread costs what it saves."""
REUSED_STATES = 100
"""States from which the factors of a dense policy are kept: below, new ones take less time than loading scipy.linalg."""
CHANGED_ROWS = 4
"""A dense policy is factored anew when more than one row in this many differs from the last one that was."""
PLAIN_ITERATIONS = 100
"""Iterations of BiCGSTAB before it takes incomplete factors: on the slippery grid with discount 0.99 these are needed for few policies."""
WASTE = 1.5
"""Largest ratio of the places of a policy's rows to the rows themselves."""


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count(threads: int | None, entries: int) -> int:
    """`threads`, or all cores for models of THREADED_ENTRIES entries and more, else 1."""
    if threads is None:
        return usable_cores() if entries >= THREADED_ENTRIES else 1
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or threads < 1:
        raise ModelError(f"threads is {threads!r}; it must be a whole number of at least 1, or None for all cores where that helps")
    return int(threads)


class _Rows:
    """What both storages share."""

    def __init__(self, mdp: MDP, threads: int) -> None:
        model = mdp.float
        self.mdp = mdp
        self.states, self.pairs = mdp.num_states, mdp.num_pairs
        self.discount = float(model.discount)
        (self.rewards,) = sealed(model.pair_rewards)
        self.first = np.array(mdp.first_pair, dtype=np.int64)
        self.active = np.arange(self.pairs, dtype=np.uint32 if self.pairs < 2**32 else np.uint64)
        self.t, self.q = np.empty(self.states), np.empty(self.pairs)
        self.best = np.full(self.states, -1, dtype=np.int64)
        self.work = 0.0
        self.allowed: Allowance | None = None
        self._before: Array | None = None
        self._pool, threads = None, min(threads, self.states)
        if threads > 1:
            cuts = np.searchsorted(mdp.first_pair, np.linspace(0, self.pairs, threads + 1)[1:-1])
            self._ranges = list(itertools.pairwise([0, *(int(cut) for cut in cuts), self.states]))
            self._pool = ThreadPoolExecutor(threads)

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _each(self, kernel: Callable[..., Any], *arguments: Any) -> list[Any]:
        """The results of `kernel` on every range of states."""
        if self._pool is None:
            return [kernel(0, self.states, *arguments)]
        jobs = [self._pool.submit(kernel, begin, end, *arguments) for begin, end in self._ranges]
        return [job.result() for job in jobs]

    def _drift(self, W: Array) -> float:
        """How much an action value may have risen since the last sweep, rounding included; infinite before the first."""
        if self._before is None or self.allowed is None:
            self._before = W.copy()
            return np.inf
        high, size = sweeps.rise(W, self._before)
        return float(self.discount * high + 4 * self.allowed.epsilon(size))

    @property
    def actions(self) -> Array:
        return self.best - self.mdp.first_pair[:-1]

    def start_with(self, actions: Array) -> None:
        self.best[:] = self.mdp.first_pair[:-1] + actions

    def start_greedy(self) -> None:
        """The policy that is greedy for the rewards alone."""
        table = self.rewards
        if self.mdp.is_rectangular:
            self.best[:] = self.mdp.first_pair[:-1] + table.reshape(self.states, -1).argmax(axis=1)
        else:
            top = np.repeat(np.maximum.reduceat(table, self.mdp.first_pair[:-1]), np.diff(self.mdp.first_pair))
            hit = np.flatnonzero(table == top)
            self.best[np.repeat(np.arange(self.states), np.diff(self.mdp.first_pair))[hit][::-1]] = hit[::-1]

    def drop(self, threshold: float) -> int:
        return int(sweeps.eliminate_actions(self.first, self.active, self.q, self.t, threshold))


def _joined(parts: list[Any]) -> tuple[float, float, float, int]:
    """(low, high, size, changes or defect) of all ranges."""
    if len(parts) == 1:
        return parts[0]  # type: ignore[no-any-return]
    low, high, size, last = zip(*parts, strict=True)
    return min(low), max(high), max(size), sum(last)


def _extremes(parts: list[Any]) -> tuple[float, float]:
    """(low, high) of all ranges."""
    if len(parts) == 1:
        return parts[0]  # type: ignore[no-any-return]
    low, high = zip(*parts, strict=True)
    return min(low), max(high)


class Compressed(_Rows):
    """CSR rows."""

    dense = False

    def __init__(self, mdp: MDP, threads: int = 1) -> None:
        super().__init__(mdp, threads)
        rows = mdp.float.choices
        self.indptr = _unsigned(rows.indptr)
        self.indices = _unsigned(rows.indices)
        (self.data,) = sealed(rows.data)
        defect, self.longest, self.largest = sweeps.defect_csr(self.indptr, self.data, self.rewards)
        self.allowed = allowance(mdp, self.largest, self.longest, defect)
        self.entries = int(self.data.size)
        self.policy_entries = 0
        self._policy: tuple[Array, ...] | None = None
        self._chosen = np.empty(0, dtype=np.int64)
        self._in_places = True

    def sweep(self, W: Array, slack: float) -> tuple[float, float, float, int]:
        if self._policy is not None and int(self.first[-1]) == self.states:  # one action a state is left
            self.best[:] = self.active[: self.states]
            changes = int(np.count_nonzero(self.best != self._chosen))
            self.select()
            low, high = self.follow(W, self.t, 0.0)
            self.q[: self.states] = self.t
            return low, high, max(-float(W.min()), float(W.max())), changes
        self.work += float(self.first[-1]) / self.pairs
        return _joined(
            self._each(
                sweeps.sweep_csr,
                self._drift(W),
                *(self.first, self.active, self.indptr, self.indices, self.data, self.rewards, self.discount),
                *(W, self.t, self.q, self.best, slack),
            )
        )

    def select(self) -> None:
        if self._policy is None:
            self._make_places()
        assert self._policy is not None
        ptr, successors, probabilities, paid = self._policy
        if not self._in_places:
            np.cumsum(self.indptr[self.best + 1] - self.indptr[self.best], out=ptr[1:])
            self._chosen.fill(-1)
        self.policy_entries = int(ptr[-1])
        self._each(
            sweeps.select_rows,
            *(self.best, self._chosen, self.indptr, self.indices, self.data, self.rewards, ptr, successors, probabilities, paid),
        )
        self.work += 1 / 4

    def _make_places(self) -> None:
        longest = np.maximum.reduceat(np.diff(self.indptr), self.mdp.first_pair[:-1])
        room = int(longest.sum(dtype=np.int64))
        ptr = np.zeros(self.states + 1, dtype=self.indptr.dtype)
        np.cumsum(longest, out=ptr[1:])
        self._in_places = room <= WASTE * self.entries / self.pairs * self.states
        self._chosen = np.full(self.states, -1, dtype=np.int64)
        self._policy = (ptr, np.empty(room, dtype=self.indices.dtype), np.empty(room), np.empty(self.states))

    def follow(self, W: Array, t: Array, shift: float) -> tuple[float, float]:
        assert self._policy is not None
        self.work += self.policy_entries / self.entries
        return _extremes(self._each(sweeps.follow_csr, *self._policy, self.discount, W, t, shift))

    def evaluate(self, W: Array, target: float, limit: int) -> int:
        """Improves W towards the value of the selected policy until max|residual| <= target: BiCGSTAB."""
        from pgtheory.exact import krylov

        assert self._policy is not None
        used = krylov.bicgstab(*self._policy, self.discount, W, target, limit, PLAIN_ITERATIONS)
        self.work += (2 * used + 2 * max(used - PLAIN_ITERATIONS, 0)) * self.policy_entries / self.entries
        return int(used)

    def matrix(self) -> Any:
        """P_pi of the selected policy as a scipy matrix."""
        from scipy.sparse import csr_array

        assert self._policy is not None
        ptr, successors, probabilities, _ = self._policy
        n = self.policy_entries
        signed = np.int32 if ptr.dtype == np.uint32 else np.int64
        return csr_array((probabilities[:n], successors[:n].view(signed), ptr.view(signed)), shape=(self.states, self.states))

    def paid(self) -> Array:
        assert self._policy is not None
        return self._policy[3]

    def relax(self, W: Array, order: Array) -> None:
        self.work += float(self.first[-1]) / self.pairs
        sweeps.relax_csr(self.first, self.active, self.indptr, self.indices, self.data, self.rewards, self.discount, W, order)


class Dense(_Rows):
    """Dense rows.  The defect of the row sums is measured by the first sweep."""

    dense = True

    def __init__(self, mdp: MDP, threads: int = 1) -> None:
        super().__init__(mdp, threads)
        (self.rows,) = sealed(mdp.float.choices)
        self.longest, self.largest = self.states, float(np.max(np.abs(self.rewards)))
        self.entries = self.rows.size
        self._factors: tuple[Array, Array] | None = None
        self._factored = np.empty(0, dtype=np.int64)

    def sweep(self, W: Array, slack: float) -> tuple[float, float, float, int]:
        self.work += float(self.first[-1]) / self.pairs
        if self.allowed is None:
            before, self._before = self.best.copy(), W.copy()
            parts = self._each(sweeps.sweep_dense_first, self.first, self.rows, self.rewards, self.discount, W, self.t, self.q, self.best)
            self.allowed = allowance(self.mdp, self.largest, self.longest, max(part[3] for part in parts))
            low, high, size, _ = _joined(parts)
            return low, high, size, int(np.count_nonzero(before != self.best))
        return _joined(
            self._each(
                sweeps.sweep_dense,
                self._drift(W),
                *(self.first, self.active, self.rows, self.rewards, self.discount, W, self.t, self.q, self.best, slack),
            )
        )

    def select(self) -> None:
        pass

    def follow(self, W: Array, t: Array, shift: float) -> tuple[float, float]:
        self.work += self.states / self.pairs
        return _extremes(self._each(sweeps.follow_dense, self.best, self.rows, self.rewards, self.discount, W, t, shift))

    def solve(self, rhs: Array) -> Array:
        """x with (I - gamma P) x = rhs for the selected policy, up to rounding.

        The factors of an earlier policy serve as long as few rows differ.  With A = A_0 + E D, where E picks the changed rows and D is their change,

            x = x_0 - Z (I + D Z)^{-1} D x_0,      x_0 = A_0^{-1} rhs,  Z = A_0^{-1} E      (Sherman-Morrison-Woodbury)

        which costs one substitution for each changed row instead of S / 3 of them for new factors."""
        if self.states < REUSED_STATES:
            return np.asarray(np.linalg.solve(np.eye(self.states) - self.discount * self.rows[self.best], rhs))
        from scipy.linalg import lapack

        changed = np.flatnonzero(self.best != self._factored) if self._factors is not None else np.arange(self.states)
        if self._factors is None or changed.size > self.states // CHANGED_ROWS:
            matrix = self.rows[self.best]
            matrix *= -self.discount
            matrix.reshape(-1)[:: self.states + 1] += 1
            lu, pivots, _ = lapack.dgetrf(matrix.T, overwrite_a=1)  # of the transposed matrix: no copy into column order
            self._factors, self._factored = (lu, pivots), self.best.copy()
            self.work += self.states / self.pairs
            changed = changed[:0]
        lu, pivots = self._factors
        x = lapack.dgetrs(lu, pivots, rhs, trans=1)[0]
        if changed.size:
            change = self.rows[self.best[changed]]
            change -= self.rows[self._factored[changed]]
            change *= -self.discount
            units = np.zeros((self.states, changed.size), order="F")
            units[changed, np.arange(changed.size)] = 1
            Z = lapack.dgetrs(lu, pivots, units, trans=1, overwrite_b=1)[0]
            small = change @ Z
            small.reshape(-1)[:: changed.size + 1] += 1
            x = x - Z @ np.linalg.solve(small, change @ x)
            self.work += 2 * changed.size / self.pairs
        return np.asarray(x)

    def matrix(self) -> Array:
        return self.rows[self.best]

    def paid(self) -> Array:
        return self.rewards[self.best]

    def relax(self, W: Array, order: Array) -> None:
        self.work += float(self.first[-1]) / self.pairs
        sweeps.relax_dense(self.first, self.active, self.rows, self.rewards, self.discount, W, order)


def storage(mdp: MDP, threads: int | None = 1) -> Compressed | Dense:
    """The storage object for `mdp`.  threads: as in `solve`; call `close` at the end where it is not 1."""
    rows = mdp.float.choices
    count = thread_count(threads, int(rows.data.size if mdp.is_sparse else rows.size))
    return Compressed(mdp, count) if mdp.is_sparse else Dense(mdp, count)


def _unsigned(index: Array) -> Array:
    """A view of an index vector as unsigned integers, read-only and contiguous: numba then omits the test for negative indices."""
    view = np.ascontiguousarray(index).view(np.uint32 if index.dtype.itemsize == 4 else np.uint64)
    view.setflags(write=False)
    return view
