"""Makes the certificates that `certificate.py` checks, from bounds and policies that a solver found.

What a solver proves by the rounding of floats (bounds.py, transient.py) is turned into inequalities between fractions that anybody can check again:
floats are rationals, and bounds that were rounded outwards satisfy the inequalities as they are, or not at all.

    discounted        V + c with  c = max (TV - V)/(1 - gamma)  is above its own Bellman update:  T(V + c) = TV + gamma c <= V + c
    average           the same with span bounds: W with g = max (TW - W); where the gain differs between states, the exact gain and bias
    reachability,     the bounds themselves; ranks are distances to the end, along the policy (breadth first) or whatever is done (the step at which
    total reward      the last action of a state can hit the states found before)
    finite horizon    the bounds themselves

Where the inequalities fail the caller computes the exact optimum instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.model import MDP
from mdps.rational import meant_array, rational_array
from pgtheory.exact.certificate import Bounds
from pgtheory.exact.graph import Graph
from pgtheory.exact.undiscounted_certificate import AverageCertificate, ReachabilityCertificate, TotalRewardCertificate

Array = np.ndarray


def bounds_around(mdp: MDP, values: Array, discount: Any = None) -> tuple[Bounds, Any, Any]:
    """(Bounds around V*, the least and the largest residual) from values (S,) of fmpq; discount 1 gives span bounds on the gain in the residuals."""
    from flint import fmpq

    from pgtheory.exact.rational import ExactRows

    rows = ExactRows(mdp.exact, discount)
    above, below, common = rows.gains(values)
    first = mdp.first_pair.tolist()
    low = high = None
    actions = np.zeros(mdp.num_states, dtype=np.int64)
    for s in range(mdp.num_states):
        best = first[s]
        for k in range(first[s] + 1, first[s + 1]):
            if above[k] * below[best] > above[best] * below[k]:
                best = k
        actions[s] = best - first[s]
        residual = fmpq(above[best], below[best] * common)
        low = residual if low is None or residual < low else low
        high = residual if high is None or residual > high else high
    assert low is not None and high is not None
    if rows.discount == 1:
        return Bounds(values, values, actions), low, high
    scale = 1 / (1 - rows.discount)
    lower, upper = (_short(c * scale, up) for c, up in ((low, False), (high, True)))
    return Bounds(values + lower, values + upper, actions), low, high


def _short(value: Any, up: bool) -> Any:
    """A fraction of few digits just beyond `value`: half a relative 2^-50 further out, a multiple of a power of two."""
    from flint import fmpq, fmpz

    if value == 0:
        return value
    shift = 50 - int(abs(value.p).bit_length()) + int(value.q.bit_length())
    scaled = value * fmpq(fmpz(2) ** shift) if shift >= 0 else value / fmpq(fmpz(2) ** -shift)
    whole = -((-scaled.p) // scaled.q) if up else scaled.p // scaled.q
    return fmpq(whole, fmpz(2) ** shift) if shift >= 0 else fmpq(whole * fmpz(2) ** -shift)


def average_certificate(mdp: MDP, bias: Array) -> tuple[AverageCertificate, Any, Any]:
    """Span bounds from any vector `bias` (S,) of floats: the same gain in every state."""
    W = rational_array(bias)
    found, low, high = bounds_around(mdp, W, 1)
    gains = [np.full(mdp.num_states, g, dtype=object) for g in (low, high)]
    return AverageCertificate(gains[0], W, gains[1], W, found.actions), low, high


def certificate_of(mdp: MDP, question: dict[str, Any], lower: Array, upper: Array, actions: Array) -> Any:
    """The certificate for the answer to a question of `undiscounted.py` (what is kept in `Solution.details`)."""
    graph = Graph.of_mdp(mdp)
    goal, maximise = question["targets"], question["direction"] == "max"
    infinite = np.array([isinstance(v, float) and np.isinf(v) for v in lower.tolist()])
    same = lower is upper
    low = rational_array(np.where(infinite, 0, lower))
    high = low if same else rational_array(np.where(infinite, 0, upper))
    if question["criterion"] == "reachability":
        way = question["through"]
        ends = goal | ~way | (low <= 0)
        rank = _policy_rank(graph, ends, actions) if maximise else _every_rank(graph, ends)
        return ReachabilityCertificate(goal, way, question["direction"], low, high, actions, rank)
    paid = exact_rewards(mdp, question["rewards"])
    signed = paid if maximise else -paid
    gains = bool(np.any(signed[~goal[graph.owner]] > 0))
    rank = _every_rank(graph, goal) if gains else _policy_rank(graph, goal, actions)
    rank[infinite] = (_gain_layers(graph, goal) if gains else _cost_layers(graph, goal))[infinite]
    return TotalRewardCertificate(goal, paid, question["direction"], low, high, infinite, actions, rank)


def exact_rewards(mdp: MDP, rewards: Any) -> Array:
    """(pairs,) of fmpq: the model's own rewards, or those given as (S, A) or (pairs,)."""
    if rewards is None:
        return mdp.exact.pair_rewards
    given = np.asarray(rewards)
    given = given if given.shape == (mdp.num_pairs,) else given[mdp.action_mask]
    return rational_array(given) if given.dtype.kind in "OUS" else meant_array(given)


def _hits(graph: Graph, reached: Array) -> Array:
    """Pairs with a successor among `reached`."""
    return np.logical_or.reduceat(reached[graph.indices], graph.indptr[:-1])


def _policy_rank(graph: Graph, ends: Array, actions: Array) -> Array:
    """Steps that the policy needs at least to `ends`; 0 where it cannot get there."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    chosen = graph.first[:-1] + actions
    lengths = np.diff(graph.indptr)[chosen]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    take = np.repeat(graph.indptr[chosen] - indptr[:-1], lengths) + np.arange(indptr[-1])
    onward = csr_array((np.ones(take.size), graph.indices[take], indptr), shape=(graph.states, graph.states))
    if not ends.any():
        return np.zeros(graph.states, dtype=np.int64)
    steps = dijkstra(onward.T.tocsr(), indices=np.flatnonzero(ends), unweighted=True, min_only=True)
    return np.where(np.isfinite(steps), steps, 0).astype(np.int64)


def _every_rank(graph: Graph, ends: Array) -> Array:
    """The step at which the last action of a state can hit `ends` or the states found before; 0 where it never does."""
    rank, reached = np.zeros(graph.states, dtype=np.int64), ends.copy()
    step = 0
    while True:
        step += 1
        new = np.logical_and.reduceat(_hits(graph, reached), graph.first[:-1]) & ~reached
        if not new.any():
            return rank
        rank[new] = step
        reached |= new


def _gain_layers(graph: Graph, goal: Array) -> Array:
    """0 where some policy avoids `goal` for ever; else the steps in which one may get there."""
    layer, reached = np.zeros(graph.states, dtype=np.int64), ~graph.every(goal)
    step = 0
    while True:
        step += 1
        hit = np.logical_or.reduceat(_hits(graph, reached), graph.first[:-1]) & ~reached & ~goal
        if not hit.any():
            return layer
        layer[hit] = step
        reached |= hit


def _cost_layers(graph: Graph, goal: Array) -> Array:
    """The round in which a state is given up, because it cannot reach `goal` through pairs that stay among the states not given up before."""
    layer, inside, step = np.zeros(graph.states, dtype=np.int64), np.ones(graph.states, dtype=np.bool_), 0
    while True:
        reached = graph.some(goal, graph.staying(inside))
        lost = inside & ~reached
        if not lost.any():
            return layer
        layer[lost] = step
        inside, step = reached, step + 1


def infinite_actions(graph: Graph, goal: Array, infinite: Array, actions: Array) -> None:
    """In place: actions by which the target is missed with positive probability, in the states whose total gain is infinite for that reason."""
    layer = _gain_layers(graph, goal)
    layer[~infinite] = np.iinfo(np.int64).max
    stay = graph.staying(infinite & (layer == 0))
    nearest = np.minimum.reduceat(layer[graph.indices], graph.indptr[:-1])
    good = np.where(layer[graph.owner] == 0, stay, nearest < layer[graph.owner]) & infinite[graph.owner]
    pairs = np.flatnonzero(good)[::-1]
    actions[graph.owner[pairs]] = pairs - graph.first[graph.owner[pairs]]
