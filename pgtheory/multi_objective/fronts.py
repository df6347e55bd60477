"""The values that policies can have at several rewards, J = (J_1, ..., J_m), and the best of them.

Over all stationary stochastic policies the values are a polytope: the image of the occupancies, a linear map.  Every Pareto point of it maximises
<w, J> for some w > 0; an inner point of a face never does so alone.

    two objectives   exact: the two ends by solving one reward and, among its optimal actions, the other; then between neighbours p, q the weights
                     w orthogonal to q - p, until no such w finds more (Aneja and Nair 1979).  Each step is an ordinary decision problem, solved
                     in rationals: the vertices are exact, and their number bounds the work
    m objectives     floats: the facets of the hull of what is known, with normals w >= 0, until none is exceeded

Deterministic policies have finitely many values and their front need not be concave: points below the hull are maximal for no weights at all.
`deterministic_front` says which, with the mixture of others that dominates each.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.errors import ModelError, plural
from mdps.model import MDP
from mdps.rational import rational_array, to_float
from pgtheory.exact.evaluation import check_policy, occupancy
from pgtheory.exact.linear import kind

Array = np.ndarray
MOST_POLICIES = 2**16
"""Deterministic policies that are listed."""
MOST_VERTICES = 10_000


@dataclass(frozen=True)
class Front:
    """N points that no other point dominates, in the order of the first objective.

    points     (N, m): rationals or float64
    policies   (N, S, A), deterministic
    supported  (N,) whether some weights w >= 0 make the point maximal among all points
    mixtures   {k: (N,) law over the points that is at least as good as point k in every objective and better in one}, where it is not
    """

    points: Array
    policies: Array
    supported: Array
    mixtures: dict[int, Array]

    def __len__(self) -> int:
        return len(self.points)


def values_of(mdp: MDP, rewards: Any, policy: Array) -> Array:
    """(m,) discounted values of a policy from the start distribution, in the arithmetic of the policy."""
    table = check_rewards(mdp, rewards)
    policy = check_policy(mdp, policy)
    exact = kind(policy) != "float"
    table = rational_array(table) if exact else _floats(table)
    discount = mdp.exact.discount if exact else mdp.float.discount
    return (occupancy(mdp, policy)[None] * table).sum(axis=(1, 2)) / (1 - discount)


def convex_front(mdp: MDP, rewards: Any, exact: bool = True, tolerance: float = 1e-9) -> Front:
    """The vertices of the Pareto front over all stochastic policies; between neighbouring vertices everything is reached by mixing.

    rewards    (m, S, A), m >= 2
    exact      two objectives only: rationals, with no tolerance at all
    tolerance  floats: how far (in units of the largest value) a facet may be exceeded before it counts
    raises     ModelError: rewards that do not fit, fewer than two of them, exact with more than two
    """
    table = check_rewards(mdp, rewards)
    m = len(table)
    if exact and m > 2:
        raise ModelError(f"exact fronts are for two objectives; there are {m}: exact=False")
    found = _two_objectives(mdp, rational_array(table)) if exact else _by_facets(mdp, _floats(table), tolerance)
    points, policies = np.array([p for p, _ in found]), np.array([pi for _, pi in found])
    return Front(points, policies, np.ones(len(points), bool), {})


def deterministic_front(mdp: MDP, rewards: Any) -> Front:
    """The Pareto front of the deterministic stationary policies, exact, by enumeration; equal values are listed once.

    raises   ModelError: more than 2^16 policies, rewards that do not fit
    """
    table = rational_array(check_rewards(mdp, rewards))
    counts = np.diff(mdp.first_pair)
    total = float(np.prod(counts.astype(float)))
    if total > MOST_POLICIES:
        raise ModelError(f"there are {total:.3g} deterministic policies; at most {MOST_POLICIES:,} are listed. `convex_front` needs no list")
    seen: dict[tuple[Any, ...], Array] = {}
    for choice in itertools.product(*(range(n) for n in counts)):
        policy = np.zeros((mdp.num_states, mdp.num_actions), dtype=int)
        policy[np.arange(mdp.num_states), choice] = 1
        seen.setdefault(tuple(values_of(mdp, table, rational_array(policy))), policy)
    points = np.array(list(seen), dtype=object)
    keep = np.flatnonzero(pareto(points))
    keep = keep[np.argsort([float(to_float(points[k, :1])[0]) for k in keep], kind="stable")]
    points, policies = points[keep], np.array(list(seen.values()))[keep]
    mixtures = {}
    for k in range(len(points)):
        law = _dominating_mixture(points, k)
        if law is not None:
            mixtures[k] = law
    return Front(points, policies, np.array([k not in mixtures for k in range(len(points))]), mixtures)


def pareto(points: Array) -> Array:
    """(N,) booleans: no other point is at least as good everywhere and better somewhere; of equal points each counts."""
    table = np.asarray(points)
    out = np.ones(len(table), bool)
    for k, point in enumerate(table):
        at_least = np.array((table >= point).all(axis=1), dtype=bool)
        better = np.array((table > point).any(axis=1), dtype=bool)
        out[k] = not np.any(at_least & better)
    return out


def check_rewards(mdp: MDP, rewards: Any) -> Array:
    """`rewards` as an (m, S, A) array, m >= 2; ModelError names the shapes."""
    table = np.asarray(rewards)
    shape = (mdp.num_states, mdp.num_actions)
    if table.ndim != 3 or table.shape[1:] != shape or len(table) < 2:
        raise ModelError(f"rewards has shape {table.shape}; several objectives of this model are (m, {shape[0]}, {shape[1]}) with m at least 2")
    return table


def check_weights(weights: Any, count: int) -> Array:
    """Weights (m,) at least 0 and not all 0; ModelError says which is wrong."""
    w = np.asarray(weights)
    if w.shape != (count,):
        raise ModelError(f"weights has shape {w.shape}; there are {plural(count, 'objective')}")
    for i, x in enumerate(w.tolist()):
        if not x >= 0:
            raise ModelError(f"weights[{i}] is {x}; weights are at least 0")
    if not any(x > 0 for x in w.tolist()):
        raise ModelError("weights are all 0: every policy is optimal for them; make one positive")
    return w


def best_for(mdp: MDP, rewards: Any, weights: Any) -> tuple[Array, Array]:
    """(values (m,), deterministic policy (S, A)) of a policy that is optimal for sum w_i r_i, in rationals.

    Where a weight is 0 the policy is the best, among the optimal ones, for the sum of the objectives that got no weight: never dominated."""
    table = rational_array(check_rewards(mdp, rewards))
    w = rational_array(check_weights(weights, len(table)))
    policy = _lexicographic(mdp, [_mixed(w, table), _mixed(rational_array([int(x == 0) for x in w]), table)])
    return values_of(mdp, table, rational_array(policy)), policy


def _lexicographic(mdp: MDP, stages: Sequence[Array]) -> Array:
    """A deterministic policy that is optimal for the first reward, and best for each next one among those.

    The policies that are optimal from every state for a reward are those that use its optimal actions only; the next stage is the model of these."""
    from pgtheory.exact import solve_exactly

    model = mdp.exact
    rows = model.choices.toarray() if hasattr(model.choices, "toarray") else model.choices
    states = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    mask = mdp.action_mask
    kept = np.arange(mdp.num_pairs)
    for reward in stages:
        first = np.concatenate(([0], np.cumsum(np.bincount(states[kept], minlength=mdp.num_states))))
        part = MDP.from_choices(first, rows[kept], reward[mask][kept], model.discount, model.start)
        best = np.asarray(solve_exactly(part).optimal_actions)
        kept = kept[best[part.action_mask]]
    chosen = kept[np.unique(states[kept], return_index=True)[1]]
    policy = np.zeros(mask.shape, dtype=int)
    policy[states[chosen], chosen - np.asarray(mdp.first_pair)[states[chosen]]] = 1
    return policy


def _mixed(weights: Array, table: Array) -> Array:
    return (weights[:, None, None] * table).sum(axis=0)


def _two_objectives(mdp: MDP, table: Array) -> list[tuple[Array, Array]]:
    ends = [best_for(mdp, table, w) for w in ((0, 1), (1, 0))]
    if all(ends[0][0] == ends[1][0]):
        return ends[:1]
    out = [ends[0]]
    stack = [(ends[0], ends[1])]
    while stack:
        left, right = stack.pop()
        (x0, y0), (x1, y1) = left[0], right[0]
        w = np.array([y0 - y1, x1 - x0], dtype=object)
        middle = best_for(mdp, table, w)
        if (w * middle[0]).sum() > (w * left[0]).sum():
            stack += [(middle, right), (left, middle)]
        else:
            out.append(right)
        if len(out) > MOST_VERTICES:
            raise ModelError(f"the front has more than {MOST_VERTICES:,} vertices")
    return corners(out)


def corners(found: list[tuple[Array, Array]]) -> list[tuple[Array, Array]]:
    """Of (values (2,), policy) in the order of the first value, along a concave chain, those where the chain turns.

    A best policy for some weights may lie inside an edge, where others are as good: it is no vertex."""

    def turn(p: Array, q: Array, r: Array) -> Any:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    inner = [b for a, b, c in zip(found, found[1:], found[2:], strict=False) if turn(a[0], b[0], c[0]) != 0]
    return [found[0], *inner, found[-1]] if len(found) > 1 else found


def _by_facets(mdp: MDP, table: Array, tolerance: float) -> list[tuple[Array, Array]]:
    """Vertices from all facets of the hull of the points and their shadows (each coordinate lowered below all of them)."""
    from scipy.spatial import ConvexHull

    m = len(table)
    scale = max(1e-300, float(np.abs(table).max()) / (1 - mdp.float.discount))
    found: dict[tuple[float, ...], tuple[Array, Array]] = {}

    def ask(w: Array) -> float:
        policy = _float_best(mdp, table, w)
        point = values_of(mdp, table, policy)
        if not found or min(np.abs(point - known).max() for known, _ in found.values()) > tolerance * scale:
            found[tuple(point)] = point, policy
        return float(w @ point)

    for w in np.eye(m) + 1e-6:
        ask(w / w.sum())
    ask(np.full(m, 1 / m))
    done: set[tuple[float, ...]] = set()
    while True:
        points = np.array([p for p, _ in found.values()])
        low = points.min(axis=0) - scale
        shadows = [
            np.where(np.isin(np.arange(m), part), low, p) for p in points for r in range(1, m + 1) for part in itertools.combinations(range(m), r)
        ]
        hull = ConvexHull(np.unique(np.round(np.vstack([points, *shadows]) / scale, 14), axis=0) * scale, qhull_options="QJ Pp")
        grown = False
        for normal in hull.equations[:, :-1]:
            if np.any(normal < -1e-9):
                continue
            w = np.maximum(normal, 0) / np.maximum(normal, 0).sum()
            key = tuple(np.round(w, 10))
            if key in done:
                continue
            done.add(key)
            before = float((points @ w).max())
            grown |= ask(w) > before + tolerance * scale
        if not grown or len(found) > MOST_VERTICES:
            break
    points = np.array([p for p, _ in found.values()])
    keep = [k for k in np.flatnonzero(pareto(points))]
    every = list(found.values())
    return sorted((every[k] for k in keep), key=lambda pair: tuple(pair[0]))


def _float_best(mdp: MDP, table: Array, w: Array) -> Array:
    from pgtheory.exact import solve

    return solve(mdp.float.replace(rewards=np.tensordot(w, table, 1)), tol=1e-10, on_limit="return").policy


def _dominating_mixture(points: Array, k: int) -> Array | None:
    """A law over the points that is at least as good as point k in each objective and better in their sum, as floats; None if point k is supported.

    The linear program max sum of the excesses; its optimum is 0 exactly when some weights w > 0 make point k maximal."""
    from scipy.optimize import linprog

    table = to_float(points) if points.dtype == object else points
    count = len(table)
    found = linprog(-(table - table[k]).sum(axis=1), -table.T, -table[k], np.ones((1, count)), [1.0], method="highs-ds")
    if found.x is None or -found.fun <= 1e-9 * max(1.0, float(np.abs(table).max())):
        return None
    return np.maximum(found.x, 0) / np.maximum(found.x, 0).sum()


def _floats(table: Array) -> Array:
    return to_float(table) if table.dtype.kind in "OUS" else table.astype(float)
