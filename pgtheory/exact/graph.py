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
PRUNINGS = 5
"""Passes that drop pairs which may leave, before strongly connected components are computed: often none is left."""


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
        return _staying(inside, self.indptr, self.indices)

    def end_components(self, allowed: Array) -> tuple[Array, Array]:
        """(component (S,) or -1, pairs (bool) that stay in their component): the maximal end components using `allowed` pairs only."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        pairs = allowed.copy()
        lengths = np.diff(self.indptr)
        for _ in range(PRUNINGS):  # pairs that may leave the states that still have one belong to no end component
            alive = np.zeros(self.states, dtype=np.bool_)
            alive[self.owner[pairs]] = True
            kept = pairs & self.staying(alive)
            done = np.array_equal(kept, pairs)
            pairs = kept
            if done or not pairs.any():
                break
        if not pairs.any():
            return np.full(self.states, -1), pairs
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
def _staying(inside, indptr, indices):  # type: ignore[no-untyped-def]
    out = np.empty(indptr.size - 1, dtype=np.bool_)
    for k in range(out.size):
        stays = True
        for j in range(indptr[k], indptr[k + 1]):
            if not inside[indices[j]]:
                stays = False
                break
        out[k] = stays
    return out


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
    begin = np.flatnonzero(~inner)
    begin = begin[np.argsort(-sink[begin], kind="stable")]
    group, classes = _number(begin, inner, component, graph.owner, graph.into_ptr, graph.into)
    group[~inner] = classes + sink[~inner]
    rows = np.flatnonzero(usable & inner[graph.owner] & ~inside)
    staying = np.flatnonzero(stay >= 0)
    leaders = np.array([group[np.flatnonzero(component == c)[0]] for c in staying], dtype=np.int64)
    home = np.concatenate([group[graph.owner[rows]], leaders])
    first, order = _grouped(home, classes)
    pairs = np.concatenate([rows, np.full(staying.size, -1)])[order]
    ends = np.concatenate([np.zeros(rows.size, dtype=np.int64), classes + stay[staying]])[order]
    return Quotient(group, classes, sinks, first, pairs, *_rows(pairs, ends, graph.indptr, graph.indices, graph.data, group))


@kernel
def _grouped(home, classes):  # type: ignore[no-untyped-def]
    """(first (classes + 1,), order): the positions of class c in `home` are order[first[c] : first[c + 1]], in increasing order."""
    first = np.zeros(classes + 1, dtype=np.int64)
    for k in range(home.size):
        first[home[k] + 1] += 1
    for c in range(classes):
        first[c + 1] += first[c]
    at, order = first[:-1].copy(), np.empty(home.size, dtype=np.int64)
    for k in range(home.size):
        order[at[home[k]]] = k
        at[home[k]] += 1
    return first, order


@kernel
def _rows(pairs, ends, indptr, indices, data, group):  # type: ignore[no-untyped-def]
    """(indptr, indices, data) of the rows `pairs` between classes; where the pair is -1, of the row that leads to ends[k]."""
    ptr = np.zeros(pairs.size + 1, dtype=np.int64)
    for k in range(pairs.size):
        ptr[k + 1] = ptr[k] + (indptr[pairs[k] + 1] - indptr[pairs[k]] if pairs[k] >= 0 else 1)
    targets, weights = np.empty(ptr[pairs.size], dtype=np.int64), np.empty(ptr[pairs.size])
    for k in range(pairs.size):
        at = ptr[k]
        if pairs[k] < 0:
            targets[at], weights[at] = ends[k], 1.0
        else:
            for j in range(indptr[pairs[k]], indptr[pairs[k] + 1]):
                targets[at], weights[at] = group[indices[j]], data[j]
                at += 1
    return ptr, targets, weights


@kernel
def _number(begin, inner, component, owner, into_ptr, into):  # type: ignore[no-untyped-def]
    """(class of every state of `inner`, number of classes): in the order in which a search backwards from the states `begin`, each searched to its
    end before the next, finds them; states that it does not find come last."""
    group, of_component = np.full(inner.size, -1, dtype=np.int64), np.full(inner.size, -1, dtype=np.int64)
    queue = np.empty(inner.size, dtype=np.int64)
    classes, head, tail = 0, 0, 0
    for b in range(begin.size + inner.size):
        if b < begin.size:
            queue[tail] = begin[b]
            tail += 1
        elif inner[b - begin.size] and group[b - begin.size] < 0:
            classes = _join(b - begin.size, component, group, of_component, classes)
            queue[tail] = b - begin.size
            tail += 1
        while head < tail:
            s = queue[head]
            head += 1
            for i in range(into_ptr[s], into_ptr[s + 1]):
                x = owner[into[i]]
                if inner[x] and group[x] < 0:
                    classes = _join(x, component, group, of_component, classes)
                    queue[tail] = x
                    tail += 1
    return group, classes


@kernel
def _join(x, component, group, of_component, classes):  # type: ignore[no-untyped-def]
    """Gives state x its class, that of its component if it has one; returns the number of classes."""
    c = component[x]
    if c >= 0 and of_component[c] >= 0:
        group[x] = of_component[c]
        return classes
    group[x] = classes
    if c >= 0:
        of_component[c] = classes
    return classes + 1


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
