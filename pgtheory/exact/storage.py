"""A model as the sweeping solvers see it: one object for dense and one for compressed rows, with the same five operations.

    sweep(W)          t = TW over the pairs still active, the greedy pair of each state, extremes of t - W
    drop(threshold)   forgets pairs whose q lies more than threshold below t (they were proved not optimal)
    select()          collects the rows of the greedy pairs
    follow(W, t)      one sweep of that policy
    relax(W, order)   one Gauss-Seidel Bellman sweep in place

Memory beyond the model: for each pair one number and one index; for compressed rows the rows of one policy as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.model import MDP
from pgtheory.exact import krylov, sweeps
from pgtheory.exact.bounds import Allowance, allowance
from pgtheory.exact.linear import sealed

Array = np.ndarray


class _Rows:
    """What both storages share."""

    def __init__(self, mdp: MDP) -> None:
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


class Compressed(_Rows):
    """CSR rows."""

    dense = False

    def __init__(self, mdp: MDP) -> None:
        super().__init__(mdp)
        rows = mdp.float.choices
        self.indptr = _unsigned(rows.indptr)
        self.indices = _unsigned(rows.indices)
        (self.data,) = sealed(rows.data)
        defect, self.longest, self.largest = sweeps.defect_csr(self.indptr, self.data, self.rewards)
        self.allowed: Allowance = allowance(mdp, self.largest, self.longest, defect)
        self.entries = int(self.data.size)
        self.policy_entries = 0
        self._policy: tuple[Array, ...] | None = None

    def sweep(self, W: Array, slack: float) -> tuple[float, float, float, int]:
        self.work += float(self.first[-1]) / self.pairs
        return sweeps.sweep_csr(
            self.first, self.active, self.indptr, self.indices, self.data, self.rewards, self.discount, W, self.t, self.q, self.best, slack
        )

    def select(self) -> None:
        if self._policy is None:
            counts = np.diff(self.indptr)
            room = int(np.maximum.reduceat(counts, self.mdp.first_pair[:-1]).sum())
            self._policy = (
                np.empty(self.states + 1, dtype=self.indptr.dtype),
                np.empty(room, dtype=self.indices.dtype),
                np.empty(room),
                np.empty(self.states),
            )
        self.policy_entries = sweeps.select_rows(self.best, self.indptr, self.indices, self.data, self.rewards, *self._policy)
        self.work += 1 / 4

    def follow(self, W: Array, t: Array, shift: float) -> tuple[float, float]:
        assert self._policy is not None
        self.work += self.policy_entries / self.entries
        return sweeps.follow_csr(*self._policy, self.discount, W, t, shift)

    def evaluate(self, W: Array, target: float, limit: int) -> int:
        """Improves W towards the value of the selected policy until max|residual| <= target: BiCGSTAB."""
        assert self._policy is not None
        used = krylov.bicgstab(*self._policy, self.discount, W, target, limit)
        self.work += 2 * used * self.policy_entries / self.entries
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

    def __init__(self, mdp: MDP) -> None:
        super().__init__(mdp)
        (self.rows,) = sealed(mdp.float.choices)
        self.longest, self.largest = self.states, float(np.max(np.abs(self.rewards)))
        self.entries = self.rows.size
        self.allowed: Allowance | None = None  # type: ignore[assignment]

    def sweep(self, W: Array, slack: float) -> tuple[float, float, float, int]:
        self.work += float(self.first[-1]) / self.pairs
        if self.allowed is None:
            before = self.best.copy()
            low, high, size, defect = sweeps.sweep_dense_first(self.first, self.rows, self.rewards, self.discount, W, self.t, self.q, self.best)
            self.allowed = allowance(self.mdp, self.largest, self.longest, defect)
            return low, high, size, int(np.count_nonzero(before != self.best))
        return sweeps.sweep_dense(self.first, self.active, self.rows, self.rewards, self.discount, W, self.t, self.q, self.best, slack)

    def select(self) -> None:
        pass

    def follow(self, W: Array, t: Array, shift: float) -> tuple[float, float]:
        self.work += self.states / self.pairs
        return sweeps.follow_dense(self.best, self.rows, self.rewards, self.discount, W, t, shift)

    def matrix(self) -> Array:
        return self.rows[self.best]

    def paid(self) -> Array:
        return self.rewards[self.best]

    def relax(self, W: Array, order: Array) -> None:
        self.work += float(self.first[-1]) / self.pairs
        sweeps.relax_dense(self.first, self.active, self.rows, self.rewards, self.discount, W, order)


def storage(mdp: MDP) -> Compressed | Dense:
    """The storage object for `mdp`."""
    return Compressed(mdp) if mdp.is_sparse else Dense(mdp)


def _unsigned(index: Array) -> Array:
    """A view of an index vector as unsigned integers, read-only and contiguous: numba then omits the test for negative indices."""
    view = np.ascontiguousarray(index).view(np.uint32 if index.dtype.itemsize == 4 else np.uint64)
    view.setflags(write=False)
    return view
