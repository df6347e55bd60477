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

from pgtheory.compiled import kernel
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
        return _rows_of_policy(self.best, self.indptr, self.indices, self.data, self.rewards, self.sinks)

    def evaluate(self, target: float = 0.0) -> Array:
        """Value of the greedy rows, from V: near-exact, or where `target` is given with a residual of about that."""
        ptr, successors, probabilities, paid = self.rows_of_policy()
        x = self.V.copy()
        x[self.classes :] = paid[self.classes :]
        if self._relaxes and _relax(self._order(), ptr, successors, probabilities, paid, x, RELAXATIONS, target):
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
            self._postorder = _postorder(self.first, self.indptr, self.indices)
        return self._postorder

    def _search(self) -> tuple[Array, Array]:
        """(classes in the order in which a search from the sinks finds them, those of the largest value first; the row by which each was found)."""
        if self._found is None:
            width = self.classes + self.sinks.size
            into_ptr, into = _backwards(self.first, self.indptr, self.indices, width)
            begin = self.classes + np.argsort(-np.abs(self.sinks), kind="stable")
            self._found = _outwards(self.first, into_ptr, into, begin, self.classes, width)
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
        moved, size = _optimal_sweeps(order, *rows, self.V, self.best, slack, APPROACH_SWEEPS)
        return float(moved / max(size, 1e-300))

    def iterate(self, rounds: int = ROUNDS) -> None:
        """Policy iteration from the present greedy rows (which must reach the sinks) until no row gains more than rounding."""
        for _ in range(rounds):
            self.rounds += 1
            self.V = self.evaluate()
            self.V[self.classes :] = self.sinks
            slack = 4 * self.epsilon(float(np.max(np.abs(self.V), initial=0.0)))
            if improve(self.first, self.indptr, self.indices, self.data, self.rewards, self.V, self.best, slack) == 0:
                return

    def steps(self, tight: float, rough: bool = False) -> Array:
        """h: the largest expected number of steps over rows whose residual is at least -tight; rough: its residual may be a fifth of a step."""
        if tight > -np.inf:
            kept = _residuals(self.first, self.indptr, self.indices, self.data, self.rewards, self.V) >= -tight
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
            above, below = _factors(self.first, self.indptr, self.indices, self.data, self.rewards, self.V, h, self.best, own, others)
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
            _interval(self._order(), self.first, self.indptr, self.indices, self.data, lower, upper, error, tol, INTERVAL_SWEEPS)
        return lower, upper


@kernel
def _postorder(first, indptr, indices):  # type: ignore[no-untyped-def]
    """Classes in the order in which a depth-first search leaves them: successors before predecessors, cycles apart."""
    classes = first.size - 1
    order, count = np.empty(classes, dtype=np.int64), 0
    seen = np.zeros(classes, dtype=np.bool_)
    stack, place = np.empty(classes, dtype=np.int64), np.empty(classes, dtype=np.int64)
    for root in range(classes):
        if seen[root]:
            continue
        seen[root] = True
        stack[0], place[0], top = root, indptr[first[root]], 1
        while top > 0:
            x = stack[top - 1]
            end = indptr[first[x + 1]]
            j = place[top - 1]
            while j < end and (indices[j] >= classes or seen[indices[j]]):
                j += 1
            if j < end:
                place[top - 1] = j + 1
                y = indices[j]
                seen[y] = True
                stack[top], place[top] = y, indptr[first[y]]
                top += 1
            else:
                order[count] = x
                count += 1
                top -= 1
    return order


def _unsigned(index: Array) -> Array:
    """Indices as unsigned 32-bit integers where these suffice: half the memory, and numba omits the test for negative ones."""
    return index if index.dtype.kind == "u" else index.astype(np.uint32 if index.size == 0 or int(index.max()) < 2**32 else np.uint64)


@kernel
def _rows_of_policy(best, indptr, indices, data, rewards, sinks):  # type: ignore[no-untyped-def]
    ptr = np.zeros(best.size + sinks.size + 1, dtype=np.uint32)
    paid = np.empty(best.size + sinks.size)
    at = np.int64(0)
    for x in range(best.size):
        at += np.int64(indptr[best[x] + 1]) - np.int64(indptr[best[x]])
        ptr[x + 1] = at
        paid[x] = rewards[best[x]]
    for i in range(sinks.size):
        ptr[best.size + i + 1] = at
        paid[best.size + i] = sinks[i]
    successors, probabilities = np.empty(at, dtype=np.uint32), np.empty(at)
    at = 0
    for x in range(best.size):
        for j in range(indptr[best[x]], indptr[best[x] + 1]):
            successors[at], probabilities[at] = indices[j], data[j]
            at += 1
    return ptr, successors, probabilities, paid


@kernel
def _backwards(first, indptr, indices, width):  # type: ignore[no-untyped-def]
    """For every column the rows that hold it: (ptr (width + 1,), rows)."""
    ptr = np.zeros(width + 1, dtype=np.int64)
    for j in range(indices.size):
        ptr[np.int64(indices[j]) + 1] += 1
    for x in range(width):
        ptr[x + 1] += ptr[x]
    at, rows = ptr[:-1].copy(), np.empty(indices.size, dtype=np.int64)
    for k in range(first[first.size - 1]):
        for j in range(indptr[k], indptr[k + 1]):
            y = indices[j]
            rows[at[y]] = k
            at[y] += 1
    return ptr, rows


@kernel
def _outwards(first, into_ptr, into, begin, classes, width):  # type: ignore[no-untyped-def]
    """Breadth-first search backwards from the columns `begin`, each searched to its end before the next: (order, row by which each was found)."""
    owner = np.empty(first[classes], dtype=np.int64)
    for x in range(classes):
        owner[first[x] : first[x + 1]] = x
    order, rows = np.empty(classes, dtype=np.int64), np.full(classes, -1, dtype=np.int64)
    count, head = 0, 0
    for b in range(begin.size):
        y = begin[b]
        while True:
            for i in range(into_ptr[y], into_ptr[y + 1]):
                k = into[i]
                x = owner[k]
                if rows[x] < 0:
                    rows[x] = k
                    order[count] = x
                    count += 1
            if head == count:
                break
            y = order[head]
            head += 1
    return order[:count], rows


@kernel
def _optimal_sweeps(order, first, indptr, indices, data, rewards, V, best, slack, sweeps):  # type: ignore[no-untyped-def]
    """Bellman sweeps in place, self-loops solved for; best changes where another row is better by more than slack.  (largest change of the last
    sweep, largest |V|)."""
    moved, size = 0.0, 0.0
    for _ in range(sweeps):
        moved, size = 0.0, 0.0
        for o in range(order.size):
            x = order[o]
            top, kept, argument = -np.inf, -np.inf, -1
            current = best[x]
            for k in range(first[x], first[x + 1]):
                value, stay = rewards[k], 0.0
                for j in range(indptr[k], indptr[k + 1]):
                    if indices[j] == x:
                        stay += data[j]
                    else:
                        value += data[j] * V[indices[j]]
                if stay >= 1.0:
                    continue
                if stay > 0.0:
                    value /= 1.0 - stay
                if value > top:
                    top, argument = value, k
                if k == current:
                    kept = value
            if not kept >= top - slack:
                best[x] = argument
            moved = max(moved, abs(top - V[x]))
            size = max(size, abs(top))
            V[x] = top
        if moved == 0.0:
            break
    return moved, size


@kernel
def _interval(order, first, indptr, indices, data, lower, upper, error, tol, sweeps):  # type: ignore[no-untyped-def]
    """Interval iteration in place: both bounds by Gauss-Seidel sweeps, rounded outwards; neither ever gets worse."""
    for _ in range(sweeps):
        width, moved = 0.0, 0.0
        for o in range(order.size):
            x = order[o]
            low, high = -np.inf, -np.inf
            for k in range(first[x], first[x + 1]):
                a, b = 0.0, 0.0
                for j in range(indptr[k], indptr[k + 1]):
                    a += data[j] * lower[indices[j]]
                    b += data[j] * upper[indices[j]]
                low, high = max(low, a), max(high, b)
            low, high = max(low - error, lower[x]), min(high + error, upper[x])
            moved = max(moved, low - lower[x], upper[x] - high)
            lower[x], upper[x] = low, high
            width = max(width, high - low)
        if width <= 2.0 * tol or moved == 0.0:
            break


@kernel
def _relax(order, ptr, successors, probabilities, paid, x, sweeps, target):  # type: ignore[no-untyped-def]
    """Gauss-Seidel sweeps of one policy in place; whether they came to rest (changes of a few units in the last place, or of at most target / 4)."""
    before = np.inf
    for sweep in range(sweeps):
        moved, size = 0.0, 0.0
        for o in range(order.size):
            s = order[o]
            value, stay = paid[s], 0.0
            for j in range(ptr[s], ptr[s + 1]):
                if successors[j] == s:
                    stay += probabilities[j]
                else:
                    value += probabilities[j] * x[successors[j]]
            if stay >= 1.0:  # a row that never leaves its class; the caller finds the system singular
                return False
            if stay > 0.0:
                value /= 1.0 - stay
            moved = max(moved, abs(value - x[s]))
            size = max(size, abs(value))
            x[s] = value
        if moved <= max(4e-16 * size, target / 4):
            return True
        if sweep >= 2 and moved > 0.3 * before:
            return False
        before = moved
    return False


@kernel
def improve(first, indptr, indices, data, rewards, V, best, slack):  # type: ignore[no-untyped-def]
    """Switches best[x] to the maximiser where it gains more than slack; returns the number of switches."""
    changes = 0
    for x in range(first.size - 1):
        top, argument, kept = -np.inf, -1, -np.inf
        for k in range(first[x], first[x + 1]):
            value = rewards[k]
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
            if value > top:
                top, argument = value, k
            if k == best[x]:
                kept = value
        if top > kept + slack:
            best[x] = argument
            changes += 1
    return changes


@kernel
def _residuals(first, indptr, indices, data, rewards, V):  # type: ignore[no-untyped-def]
    out = np.empty(rewards.size)
    for x in range(first.size - 1):
        for k in range(first[x], first[x + 1]):
            value = 0.0
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
            out[k] = rewards[k] + value - V[x]
    return out


@kernel
def _factors(first, indptr, indices, data, rewards, V, h, best, own, others):  # type: ignore[no-untyped-def]
    """(c for the upper bound, c for the lower bound), infinite where there is none; rounding of x_k is at most own, of y_k at most others."""
    above, ceiling, below = 0.0, np.inf, 0.0
    for x in range(first.size - 1):
        for k in range(first[x], first[x + 1]):
            value, steps = 0.0, 0.0
            for j in range(indptr[k], indptr[k + 1]):
                value += data[j] * V[indices[j]]
                steps += data[j] * h[indices[j]]
            gain = rewards[k] + value - V[x]
            fall = h[x] - steps - others
            if fall > 0.0:
                above = max(above, (gain + own) / fall)
            elif gain + own >= 0.0:
                ceiling = -1.0
            elif fall < 0.0:
                ceiling = min(ceiling, (gain + own) / fall)
            if k == best[x]:
                if fall > 0.0:
                    below = max(below, (own - gain) / fall)
                else:
                    below = np.inf
    above *= 1.0 + 1e-12
    if above > ceiling * (1.0 - 1e-12):
        above = np.inf
    return above, below * (1.0 + 1e-12)


def _subset(first: Array, indptr: Array, indices: Array, data: Array, kept: Array) -> tuple[Array, Array, Array, Array]:
    """The rows that are kept, in the same order."""
    counts = np.concatenate([[0], np.cumsum(kept)])
    lengths = np.diff(indptr)
    entries = np.repeat(kept, lengths)
    return counts[first], np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64), indices[entries], data[entries]


def _product(ptr: Array, successors: Array, probabilities: Array, x: Array) -> Any:
    from scipy.sparse import csr_array

    return csr_array((probabilities, successors.astype(np.int32), ptr.astype(np.int32)), shape=(x.size, x.size)) @ x
