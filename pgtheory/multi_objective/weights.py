"""Which weights to try next.

optimistic_support   two objectives: known points p, q and the lines that support them leave a triangle in which the front may still lie; the next
                     weights are orthogonal to q - p for the triangle of largest area.  At every step  inner <= hypervolume of the front <= outer
                     (Aneja and Nair 1979; optimistic linear support: Roijers, Whiteson and Oliehoek 2014, here with the area as the priority)
hedged_weights       max-min: weights w_i ~ exp(-eta sum of J_i), each answered by a best policy.  With R the range of the values, after T rounds
                     max-min <= min over t of w_t . J_t  and  min_i (mean J_i) >= max-min - R sqrt(log m / (2 T))  (eta = sqrt(8 log m / T) / R)
common_direction     the shortest convex combination of the gradients: ascends every objective, and is 0 exactly at Pareto-stationary points
                     (Desideri 2012)
hypervolume_ascent   N softmax policies; policy k ascends its own values with the weights  d hypervolume / d J_k, so that the set spreads along the
                     front; a policy that adds nothing takes the common direction
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational_array, to_float
from pgtheory import arithmetic
from pgtheory.exact.evaluation import occupancy, state_occupancy
from pgtheory.multi_objective.fronts import Front, best_for, check_rewards, corners, values_of
from pgtheory.multi_objective.hypervolume import hypervolume_of, hypervolume_slopes
from pgtheory.utility.gradient import gradient_of_reward

Array = np.ndarray
MOST_OBJECTIVES = 10
"""`common_direction` looks through the 2^m sets of objectives that can be active."""


@dataclasses.dataclass(frozen=True)
class Support:
    """The rounds of optimistic support: `weights` asked, and the areas known after each, exact."""

    weights: list[tuple[Any, Any]]
    inner: list[Any]
    outer: list[Any]
    front: Front


def optimistic_support(mdp: MDP, rewards: Any, reference: Any, rounds: int = 1000, tolerance: Any = 0) -> Support:
    """Vertices of the front of two objectives in the order of what they can add, in rationals; done when outer - inner <= tolerance.

    reference   (2,) the corner that areas are measured from: at most the smaller end of the front in each coordinate
    raises      ModelError: not two objectives, a reference that a front point does not exceed
    """
    table = rational_array(check_rewards(mdp, rewards))
    if len(table) != 2:
        raise ModelError(f"optimistic support is for two objectives; there are {len(table)}")
    low = rational_array(reference)
    up, right = (best_for(mdp, table, w) for w in ((0, 1), (1, 0)))
    if any(x < y for x, y in zip((up[0][0], right[0][1]), low, strict=True)):
        raise ModelError(f"reference ({low[0]}, {low[1]}) is above an end of the front, ({up[0][0]}, {up[0][1]}) or ({right[0][0]}, {right[0][1]})")
    found = [up, right] if any(up[0] != right[0]) else [up]
    order = itertools.count()
    heap: list[Any] = []

    def corner(p: Array, wp: Any, q: Array, wq: Any) -> Array:
        return arithmetic.solve(rational_array([list(wp), list(wq)]), rational_array([(wp * p).sum(), (wq * q).sum()]))

    def push(p: Array, wp: Array, q: Array, wq: Array) -> None:
        c = corner(p, wp, q, wq)
        size = abs((q[0] - p[0]) * (c[1] - p[1]) - (q[1] - p[1]) * (c[0] - p[0])) / 2
        if size > 0:
            heapq.heappush(heap, (-size, next(order), p, wp, q, wq))

    if len(found) == 2:
        push(up[0], rational_array([0, 1]), right[0], rational_array([1, 0]))
    asked, inner, outer = [(0, 1), (1, 0)], [], []
    inner.append(_area([pair[0] for pair in found], low))
    outer.append(inner[0] - sum(one[0] for one in heap))
    for _ in range(rounds):
        if not heap or outer[-1] - inner[-1] <= tolerance:
            break
        _, _, p, wp, q, wq = heapq.heappop(heap)
        w = rational_array([p[1] - q[1], q[0] - p[0]])
        middle = best_for(mdp, table, w)
        asked.append(tuple(w))
        if (w * middle[0]).sum() > (w * p).sum():
            found.append(middle)
            push(p, wp, middle[0], w)
            push(middle[0], w, q, wq)
        inner.append(_area([pair[0] for pair in found], low))
        outer.append(inner[-1] - sum(one[0] for one in heap))
    found = corners(sorted(found, key=lambda pair: pair[0][0]))
    points, policies = np.array([p for p, _ in found]), np.array([pi for _, pi in found])
    return Support(asked, inner, outer, Front(points, policies, np.ones(len(found), bool), {}))


def _area(points: list[Array], low: Array) -> Any:
    """The area above the reference that the mixtures of the points dominate: trapezes under the chain, and the rectangle left of it."""
    chain = sorted(points, key=lambda p: p[0])
    total = (chain[0][0] - low[0]) * (chain[0][1] - low[1])
    for p, q in itertools.pairwise(chain):
        total += (q[0] - p[0]) * (p[1] + q[1] - 2 * low[1]) / 2
    return total


@dataclasses.dataclass(frozen=True)
class HedgeRun:
    """T rounds: weights (T, m), values (T, m) of the answers, policy (S, A) with the mixture's occupancy, its values (m,).

    upper   proved: no policy has a larger min_i J_i;   bound   R sqrt(log m / (2 T)), the theorem's distance of `worst` from the optimum
    """

    weights: Array
    values: Array
    policy: Array
    mean: Array
    upper: float
    bound: float

    @property
    def worst(self) -> float:
        """min_i of the mixture's values."""
        return float(self.mean.min())

    @property
    def gap(self) -> float:
        return self.upper - self.worst


def hedged_weights(mdp: MDP, rewards: Any, rounds: int) -> HedgeRun:
    """Max-min of m values by multiplicative weights against best policies; the mixture is realised by one stationary policy.

    raises   ModelError: rounds below 1, rewards that do not fit
    """
    from pgtheory.utility.program import best_linear, policy_of

    table = check_rewards(mdp, rewards)
    table = to_float(table) if table.dtype.kind in "OUS" else table.astype(float)
    if rounds < 1:
        raise ModelError(f"rounds is {rounds}; it must be at least 1")
    model, m = mdp.float, len(table)
    scale = 1 / (1 - model.discount)
    width = float(table[:, model.action_mask].max() - table[:, model.action_mask].min()) * scale
    eta = math.sqrt(8 * math.log(m) / rounds) / width if width > 0 else 0.0
    total, mixed, upper = np.zeros(m), np.zeros(model.action_mask.shape), math.inf
    weights, values = [], []
    for _ in range(rounds):
        w = np.exp(-eta * (total - total.min()))
        w /= w.sum()
        policy, best = best_linear(model, np.tensordot(w, table, 1))
        d = occupancy(model, policy)
        J = scale * np.einsum("sa,isa->i", d, table)
        upper = min(upper, scale * best)
        total += J
        mixed += d / rounds
        weights.append(w)
        values.append(J)
    final = policy_of(model, mixed)
    return HedgeRun(
        np.array(weights), np.array(values), final, values_of(model, table, final), upper, width * math.sqrt(math.log(m) / (2 * rounds))
    )  # fmt: skip


def common_direction(gradients: Any) -> tuple[Array, Array]:
    """(weights (m,), direction): the shortest point of the convex hull of the gradients (m, ...), <g_i, direction> >= |direction|^2 for every i.

    raises   ModelError: no gradient, more than ten, one that is not finite
    """
    g = np.asarray(gradients, dtype=float)
    m = len(g) if g.ndim >= 1 else 0
    if not 1 <= m <= MOST_OBJECTIVES:
        raise ModelError(f"there are {m} gradients; from 1 to {MOST_OBJECTIVES} are taken")
    if not np.all(np.isfinite(g)):
        raise ModelError(f"gradient {int(np.argwhere(~np.isfinite(g))[0][0])} is not finite")
    flat = g.reshape(m, -1)
    gram = flat @ flat.T
    best, weights = math.inf, np.eye(m)[0]
    for size in range(1, m + 1):
        for part in itertools.combinations(range(m), size):
            inner = gram[np.ix_(part, part)]
            system = np.block([[inner, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            w = np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0][:size]
            if np.any(w < 0) or abs(w.sum() - 1) > 1e-9:
                continue
            length = float(w @ inner @ w)
            if length < best:
                best, weights = length, np.zeros(m)
                weights[list(part)] = w
    return weights, np.tensordot(weights, g, 1)


@dataclasses.dataclass(frozen=True)
class HypervolumeRun:
    """volumes (T + 1,) of the values of the N policies, and the last values (N, m) and policies (N, S, A)."""

    volumes: Array
    points: Array
    policies: Array


def hypervolume_ascent(mdp: MDP, rewards: Any, reference: Any, logits: Array, iterations: int, step_size: float) -> HypervolumeRun:
    """Gradient ascent of the hypervolume of N softmax policies; the weights of each policy are the hypervolume's slopes in its values.

    logits   (N, S, A) where they begin; equal ones stay equal
    raises   ModelError: shapes that do not fit, a step size that is not positive
    """
    table = check_rewards(mdp, rewards)
    table = to_float(table) if table.dtype.kind in "OUS" else table.astype(float)
    theta = np.array(logits, dtype=float)
    if theta.ndim != 3 or theta.shape[1:] != table.shape[1:]:
        raise ModelError(f"logits has shape {theta.shape}; it must be (N, {table.shape[1]}, {table.shape[2]})")
    if not step_size > 0:
        raise ModelError(f"step_size is {step_size}; it must be above 0")
    model, low = mdp.float, np.asarray(reference, dtype=float)
    volumes = []
    for t in range(iterations + 1):
        policies = arithmetic.softmax(theta)
        points = np.array([values_of(model, table, policy) for policy in policies])
        volumes.append(float(hypervolume_of(points, low)))
        if t == iterations:
            break
        slopes = hypervolume_slopes(points, low)
        for k, policy in enumerate(policies):
            visits = state_occupancy(model, policy)[:, None] / (1 - model.discount)
            gradients = np.array([gradient_of_reward(model, reward, policy, visits, "softmax") for reward in table])
            along = np.tensordot(slopes[k], gradients, 1) if np.any(slopes[k] > 0) else common_direction(gradients)[1]
            theta[k] += step_size * along
    return HypervolumeRun(np.array(volumes), points, policies)
