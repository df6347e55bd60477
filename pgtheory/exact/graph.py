"""What can happen in an MDP whatever the probabilities are: attractors, almost-sure reachability, end components, quotients.

All sets are fixpoints of two operators on sets of states, computed by backward search in time linear in the model:

    some(X)    states from which some policy reaches X with positive probability          (backward search through any pair)
    every(X)   states from which every policy reaches X with positive probability         (a state joins when its last pair can hit X)

    no policy reaches X             complement of some(X)
    some policy avoids X for ever   complement of every(X)
    every policy reaches X almost surely     complement of some(states that can avoid X), without passing through X
    some policy reaches X almost surely      greatest Z with  Z = some(X) through pairs that stay in Z

An **end component** is a set of states with, for each, at least one pair, such that the pairs lead nowhere else and connect all the states: where a
policy may stay for ever.  The maximal ones are found by taking away pairs that leave their strongly connected component until none does.
In a **quotient** each is one state that keeps only the pairs that leave it; what is left then cannot stay anywhere but in the sinks.

Source: de Alfaro (1997), chapters 3 and 6; Baier & Katoen (2008), section 10.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.model import MDP
from pgtheory.compiled import kernel

Array = np.ndarray


@dataclass(frozen=True)
class Graph:
    """Successors of every pair, and for every state the pairs that may lead to it."""

    first: Array
    owner: Array
    indptr: Array
    indices: Array
    data: Array
    into_ptr: Array
    into: Array

    @property
    def states(self) -> int:
        return self.first.size - 1

    @classmethod
    def of(cls, first_pair: Array, rows: Any) -> Graph:
        """From the choice matrix; entries that are 0 are no edges."""
        from scipy.sparse import csr_array

        rows = csr_array(rows)
        if np.any(rows.data == 0):
            rows = rows.copy()
            rows.eliminate_zeros()
        back = rows.tocsc()
        first = np.ascontiguousarray(first_pair, dtype=np.int64)
        owner = np.repeat(np.arange(first.size - 1), np.diff(first))
        whole = [np.array(part, dtype=np.int64) for part in (rows.indptr, rows.indices, back.indptr, back.indices)]
        return cls(first, owner, whole[0], whole[1], np.array(rows.data, dtype=np.float64), whole[2], whole[3])

    @classmethod
    def of_mdp(cls, mdp: MDP) -> Graph:
        return cls.of(mdp.first_pair, mdp.float.choices)

    def some(self, goal: Array, allowed: Array | None = None) -> Array:
        """States from which some policy using only `allowed` pairs reaches `goal` with positive probability."""
        allowed = np.ones(self.owner.size, dtype=np.bool_) if allowed is None else allowed
        return _some(goal.copy(), allowed, self.owner, self.into_ptr, self.into)

    def every(self, goal: Array) -> Array:
        """States from which every policy reaches `goal` with positive probability."""
        return _every(goal.copy(), np.diff(self.first), self.owner, self.into_ptr, self.into)

    def certain_for_every(self, goal: Array) -> Array:
        """States from which every policy reaches `goal` with probability 1."""
        return ~self.some(~self.every(goal), ~goal[self.owner])

    def certain_for_some(self, goal: Array) -> Array:
        """States from which some policy reaches `goal` with probability 1."""
        inside = np.ones(self.states, dtype=np.bool_)
        while True:
            reached = self.some(goal, self.staying(inside))
            if np.array_equal(reached, inside):
                return inside
            inside = reached

    def staying(self, inside: Array) -> Array:
        """Pairs all of whose successors lie in `inside`."""
        return np.logical_and.reduceat(inside[self.indices], self.indptr[:-1])

    def end_components(self, allowed: Array) -> tuple[Array, Array]:
        """(component (S,) or -1, pairs (bool) that stay in their component): the maximal end components using `allowed` pairs only."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        pairs = allowed.copy()
        lengths = np.diff(self.indptr)
        while True:
            entries = np.repeat(pairs, lengths)
            source, target = np.repeat(self.owner, lengths)[entries], self.indices[entries]
            graph = csr_array((np.ones(source.size, dtype=np.int8), (source, target)), shape=(self.states, self.states))
            _, label = connected_components(graph, directed=True, connection="strong")
            alive = np.zeros(self.states, dtype=np.bool_)
            alive[self.owner[pairs]] = True
            inside = np.where(alive, label, -1)
            stay = np.logical_and.reduceat(inside[self.indices] == np.repeat(inside[self.owner], lengths), self.indptr[:-1])
            kept = pairs & stay
            if np.array_equal(kept, pairs):
                break
            pairs = kept
        component = np.full(self.states, -1)
        component[alive] = np.unique(label[alive], return_inverse=True)[1]
        return component, pairs


@kernel
def _some(reached, allowed, owner, into_ptr, into):  # type: ignore[no-untyped-def]
    stack = np.empty(reached.size, dtype=np.int64)
    top = 0
    for s in range(reached.size):
        if reached[s]:
            stack[top] = s
            top += 1
    while top > 0:
        top -= 1
        s = stack[top]
        for i in range(into_ptr[s], into_ptr[s + 1]):
            k = into[i]
            if allowed[k] and not reached[owner[k]]:
                reached[owner[k]] = True
                stack[top] = owner[k]
                top += 1
    return reached


@kernel
def _every(reached, waiting, owner, into_ptr, into):  # type: ignore[no-untyped-def]
    hit = np.zeros(owner.size, dtype=np.bool_)
    stack = np.empty(reached.size, dtype=np.int64)
    top = 0
    for s in range(reached.size):
        if reached[s]:
            stack[top] = s
            top += 1
    while top > 0:
        top -= 1
        s = stack[top]
        for i in range(into_ptr[s], into_ptr[s + 1]):
            k = into[i]
            if hit[k]:
                continue
            hit[k] = True
            waiting[owner[k]] -= 1
            if waiting[owner[k]] == 0 and not reached[owner[k]]:
                reached[owner[k]] = True
                stack[top] = owner[k]
                top += 1
    return reached


@dataclass(frozen=True)
class Quotient:
    """A transient problem: classes of states that must be left, and sinks with given values.

    group    (S,) class of each state: 0 .. classes - 1 for classes to be solved, classes + i for sink i
    pairs    (m,) original pair behind each row; -1 for an added "stay" row
    first    (classes + 1,) rows of each class
    """

    group: Array
    classes: int
    sinks: int
    first: Array
    pairs: Array
    indptr: Array
    indices: Array
    data: Array


def quotient(graph: Graph, inner: Array, component: Array, inside: Array, usable: Array, sink: Array, sinks: int, stay: Array) -> Quotient:
    """Merges every component among the states `inner` into one class; its rows are the usable pairs that are not `inside` a component.

    component  (S,) component or -1; inside (pairs,) pairs within a component (dropped); usable (pairs,) pairs that may be taken
    sink       (S,) sink number of every state that is not in `inner`
    stay       (components,) sink that a component may also choose to stay for, or -1
    """
    states = graph.states
    key = np.where(component >= 0, states + component, np.arange(states))[inner]
    _, numbers = np.unique(key, return_inverse=True)
    group = np.empty(states, dtype=np.int64)
    group[inner] = numbers
    classes = int(numbers.max()) + 1 if numbers.size else 0
    group[~inner] = classes + sink[~inner]
    rows = np.flatnonzero(usable & inner[graph.owner] & ~inside)
    staying = np.flatnonzero(stay >= 0)
    leaders = np.array([group[np.flatnonzero(component == c)[0]] for c in staying], dtype=np.int64)
    lengths = np.concatenate([np.diff(graph.indptr)[rows], np.ones(staying.size, dtype=np.int64)])
    home = np.concatenate([group[graph.owner[rows]], leaders])
    pairs = np.concatenate([rows, np.full(staying.size, -1)])
    order = np.argsort(home, kind="stable")
    starts = np.concatenate([graph.indptr[rows], np.arange(staying.size) + graph.indices.size])
    targets = np.concatenate([group[graph.indices], classes + stay[staying]])
    weights = np.concatenate([graph.data, np.ones(staying.size)])
    lengths, starts = lengths[order], starts[order]
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    take = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
    first = np.searchsorted(home[order], np.arange(classes + 1)).astype(np.int64)
    return Quotient(group, classes, sinks, first, pairs[order], indptr, targets[take].astype(np.int64), weights[take])


@kernel
def steer(policy, goal, allowed, owner, first, into_ptr, into):  # type: ignore[no-untyped-def]
    """Sets policy[s] for states that reach a state of `goal` through allowed pairs: a pair that may come nearer.  In place."""
    reached = goal.copy()
    queue = np.empty(reached.size, dtype=np.int64)
    head, tail = 0, 0
    for s in range(reached.size):
        if reached[s]:
            queue[tail] = s
            tail += 1
    while head < tail:
        s = queue[head]
        head += 1
        for i in range(into_ptr[s], into_ptr[s + 1]):
            k = into[i]
            if allowed[k] and not reached[owner[k]]:
                reached[owner[k]] = True
                policy[owner[k]] = k - first[owner[k]]
                queue[tail] = owner[k]
                tail += 1
    return reached
