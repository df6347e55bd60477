"""The optimum in rationals: policy iteration without any rounding, and the certificate that proves it.

    evaluate   (I - gamma P_pi) V = r_pi                         exactly (flint: p-adic lifting or fraction-free elimination)
    improve    pi(s) <- a better action wherever one exists      exactly; ties keep the action

In exact arithmetic every round raises V in some state and lowers it in none, so no policy returns and the loop ends at V* (Puterman 2005,
Theorem 6.4.2).  It starts from the policy that is optimal in floats, so one or two rounds are the rule.

The system is solved block by block: the strongly connected components of the policy's graph in topological order, successors first, so that
only states that reach each other share a matrix.  Values are kept over one common denominator; a pair then costs a sum of integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rows import SparseRows
from pgtheory.exact.certificate import Certificate, check_certificate
from pgtheory.solution import ExactSolution, NotConverged

Array = np.ndarray
DUAL_STATES = 200
"""States up to which the certificate holds the dual solution too, a second proof that costs a second solve."""


def solve_exactly(mdp: MDP, start: Array | None = None) -> ExactSolution:
    """V* and all optimal actions of `mdp.exact`, in rationals, with a certificate that has been checked.

    start    (S,) actions to begin with; by default those that `solve` finds optimal in floats
    returns  ExactSolution: values (S,) of `flint.fmpq`, optimal_actions exactly, certificate (Bellman optimality; up to DUAL_STATES the LP dual too)
    raises   ModelError: the model is no MDP
    source   Puterman (2005), section 6.4.  Cost: one exact solve of S equations a round; hundreds of states, thousands if sparse and nearly acyclic
    """
    if not isinstance(mdp, MDP):
        raise ModelError(f"solve_exactly takes an mdps.MDP; this is a {type(mdp).__name__}")
    rows = ExactRows(mdp.exact)
    actions = _float_policy(mdp) if start is None else np.asarray(start, dtype=np.int64).copy()
    if actions.shape != (mdp.num_states,) or np.any(actions < 0) or np.any(actions >= np.diff(mdp.first_pair)):
        raise ModelError("start must name one existing action for each state")
    rounds = 0
    while True:
        rounds += 1
        values = rows.policy_values(actions)
        better = rows.improve(values, actions)
        if better is None:
            break
        actions = better
    certificate = Certificate(values, actions, rows.occupancy(actions) if mdp.num_states <= DUAL_STATES else None)
    mask = check_certificate(mdp, certificate)
    return ExactSolution(values, mask.argmax(axis=1), mask, certificate, mdp, rounds)


def _float_policy(mdp: MDP) -> Array:
    from pgtheory.exact.discounted import solve

    try:
        return solve(mdp.float, tol=1e-6, on_limit="return", refine=False).actions
    except NotConverged as stopped:
        return stopped.solution.actions


class ExactRows:
    """The rows of an exact model as lists of (successor, fmpq), with solves and improvements in integers."""

    def __init__(self, model: MDP, discount: Any = None) -> None:
        from mdps.rational import rational

        choices = model.choices
        self.model, self.first, self.discount = model, model.first_pair, model.discount if discount is None else rational(discount)
        self.rewards = model.pair_rewards.tolist()
        if isinstance(choices, SparseRows):
            spans = list(zip(choices.indptr[:-1].tolist(), choices.indptr[1:].tolist(), strict=True))
            self.rows = [(choices.indices[b:e].tolist(), choices.data[b:e].tolist()) for b, e in spans]
        else:
            kept = [np.flatnonzero(row != 0) for row in choices]
            self.rows = [(k.tolist(), row[k].tolist()) for k, row in zip(kept, choices, strict=True)]
        self._state = np.repeat(np.arange(model.num_states), np.diff(self.first)).tolist()
        self._scaled = [_over_common_denominator(p) for _, p in self.rows]

    def policy_values(self, actions: Array) -> Array:
        """V of the deterministic policy `actions`."""
        pairs = (self.first[:-1] + actions).tolist()
        return _solve_rows([self.rows[k] for k in pairs], [self.rewards[k] for k in pairs], self.discount)

    def occupancy(self, actions: Array) -> Array:
        """(pairs,) discounted frequency of the pairs from the model's start distribution."""
        from flint import fmpq

        pairs = (self.first[:-1] + actions).tolist()
        states = len(pairs)
        reverse: list[tuple[list[int], list[Any]]] = [([], []) for _ in range(states)]
        for s, k in enumerate(pairs):
            for j, p in zip(*self.rows[k], strict=True):
                reverse[j][0].append(s)
                reverse[j][1].append(p)
        visits = _solve_rows(reverse, [(1 - self.discount) * p for p in self.model.start.tolist()], self.discount)
        out = np.full(len(self.rewards), fmpq(0), dtype=object)
        out[pairs] = visits
        return out

    def gains(self, values: Array) -> tuple[list[Any], list[Any], Any]:
        """(n, d, c) with Q - V(s) = n / (d c) for every pair, d, c > 0: integers, not reduced, which is what makes them cheap."""
        numerators, common = _over_common_denominator(values.tolist())
        g, h = self.discount.p, self.discount.q
        above, below = [], []
        for k, ((successors, _), (weights, scale), paid) in enumerate(zip(self.rows, self._scaled, self.rewards, strict=True)):
            total = 0 * common
            for j, w in zip(successors, weights, strict=True):
                total += w * numerators[j]
            fixed = scale * h * (paid.p * common - paid.q * numerators[self._state[k]])
            above.append(fixed + g * paid.q * total)
            below.append(scale * h * paid.q)
        return above, below, common

    def improve(self, values: Array, actions: Array) -> Array | None:
        """The actions with every state switched to its best where some action is strictly better; None where none is."""
        above, below, _ = self.gains(values)
        better, changed = actions.copy(), False
        for s in range(len(actions)):
            top, over, choice = 0, 1, -1
            for k in range(int(self.first[s]), int(self.first[s + 1])):
                if above[k] * over > top * below[k]:
                    top, over, choice = above[k], below[k], k
            if choice >= 0:
                better[s] = choice - int(self.first[s])
                changed = True
        return better if changed else None


def _solve_rows(rows: list[tuple[list[int], list[Any]]], rhs: list[Any], discount: Any) -> Array:
    """x with x = rhs + discount * rows x, component by component."""
    from flint import fmpq

    states = len(rows)
    x = np.full(states, fmpq(0), dtype=object)
    for block in components(rows):
        place = {s: i for i, s in enumerate(block)}
        right = []
        matrix = [fmpq(0)] * (len(block) * len(block))
        for i, s in enumerate(block):
            total = rhs[s]
            for j, p in zip(*rows[s], strict=True):
                if j in place:
                    matrix[i * len(block) + place[j]] -= discount * p
                else:
                    total += discount * p * x[j]
            matrix[i * len(block) + i] += 1
            right.append(total)
        for s, value in zip(block, _solve_block(matrix, right), strict=True):
            x[s] = value
    return x


def _solve_block(matrix: list[Any], rhs: list[Any]) -> list[Any]:
    """One dense system, its rows cleared of denominators first."""
    from flint import fmpz_mat

    n = len(rhs)
    if n == 1:
        return [rhs[0] / matrix[0]]
    integers, right = [], []
    for i in range(n):
        row, _ = _over_common_denominator([*matrix[i * n : (i + 1) * n], rhs[i]])
        integers.extend(row[:-1])
        right.append(row[-1])
    return list(fmpz_mat(n, n, integers).solve(fmpz_mat(n, 1, right)).entries())


def components(rows: list[tuple[list[int], list[Any]]]) -> list[list[int]]:
    """Strongly connected components of the graph s -> successors, successors before predecessors (Tarjan's order)."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    indptr = np.concatenate([[0], np.cumsum([len(j) for j, _ in rows])])
    indices = np.array([j for js, _ in rows for j in js], dtype=np.int64)
    graph = csr_array((np.ones(indices.size, dtype=np.int8), indices, indptr), shape=(len(rows), len(rows)))
    count, label = connected_components(graph, directed=True, connection="strong")
    blocks: list[list[int]] = [[] for _ in range(count)]
    for s, c in enumerate(label.tolist()):
        blocks[c].append(s)
    return [blocks[c] for c in _successors_first(count, label, indptr, indices)]


def _successors_first(count: int, label: Array, indptr: Array, indices: Array) -> list[int]:
    """The components in an order in which every edge leads to an earlier one or stays inside."""
    sources = np.repeat(label, np.diff(indptr))
    edges = np.unique(np.stack([sources, label[indices]], axis=1)[sources != label[indices]], axis=0)
    waiting = np.bincount(edges[:, 0], minlength=count) if edges.size else np.zeros(count, dtype=np.int64)
    before: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges.tolist():
        before[b].append(a)
    ready = [c for c in range(count) if waiting[c] == 0]
    order = []
    while ready:
        c = ready.pop()
        order.append(c)
        for a in before[c]:
            waiting[a] -= 1
            if waiting[a] == 0:
                ready.append(a)
    return order


def _over_common_denominator(values: list[Any]) -> tuple[list[Any], Any]:
    """(integers, d) with values = integers / d."""
    from flint import fmpz

    common = fmpz(1)
    for v in values:
        if common % v.q != 0:
            common = common.lcm(v.q)
    return [v.p * (common // v.q) for v in values], common


def exact_transient(mdp: MDP, small: Any, best: Array, sinks: Array, sign: int, rewards: Any, paying: bool) -> tuple[Array, Array, int]:
    """Rational policy iteration on a transient problem (graph.Quotient) from rows that reach the sinks; (values on classes and sinks,
    rows, rounds)."""
    from flint import fmpq

    from mdps.rational import meant_array, rational

    model = mdp.exact
    full = ExactRows(model)
    own = np.asarray(full.rewards, dtype=object)
    if rewards is not None:
        given = np.asarray(rewards)
        given = given if given.shape == own.shape else given[mdp.action_mask]
        own = given if given.dtype == object else meant_array(given)
    rows, paid = [], []
    for pair in small.pairs.tolist():
        successors, weights = full.rows[pair]
        rows.append((small.group[successors].tolist(), weights))
        paid.append(sign * own[pair] if paying else fmpq(0))
    fixed = [rational(int(v)) for v in sinks.tolist()]
    best = best.copy()
    rounds = 0
    while True:
        rounds += 1
        chosen = [rows[k] for k in best.tolist()] + [([], [])] * len(fixed)
        values = _solve_rows(chosen, [paid[k] for k in best.tolist()] + fixed, fmpq(1))
        changed = False
        for x in range(small.classes):
            top = values[x]
            for k in range(int(small.first[x]), int(small.first[x + 1])):
                q = paid[k]
                for j, p in zip(*rows[k], strict=True):
                    q += p * values[j]
                if q > top:
                    top, best[x], changed = q, k, True
        if not changed:
            return sign * values, best, rounds
