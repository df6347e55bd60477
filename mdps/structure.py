"""The graph of a model: which states can reach which, and what follows from that.

All notions but the last two concern the graph with an edge s -> s' where some action has P(s' | s, a) > 0:

    reachable       from a state where the start distribution is positive
    communicating   the graph is strongly connected: every state can be reached from every other under some policy
    absorbing       no action leaves the state
    terminal        absorbing and paying 0 for every action
    period          greatest common divisor of the lengths of all cycles, of each strongly connected set that cannot be left
    unichain        every stationary policy has one recurrent class.  Deciding that is NP-hard (Tsitsiklis 2007), so the answer is True, False or
                    None (not decided): False where a policy with two classes was found, True where some state is reached for sure under
                    every policy or one set of states cannot be avoided
    deterministic   every row is certain

Solvers use it to choose a method; people read `describe(mdp)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps.errors import plural
from mdps.model import MDP

Array = np.ndarray


@dataclass(frozen=True)
class Structure:
    """What `structure(mdp)` found; states are indices.

    components      number of strongly connected components of the graph
    closed          of these, those that no action leaves
    unreachable     (k,) states that the start distribution never leads to
    absorbing       (k,) states that no action leaves
    terminal        (k,) absorbing states in which every action pays 0
    periods         one period for each closed component, in the order of its first state
    density         share of entries of the choice matrix that are positive
    condition       (1 + gamma)/(1 - gamma): how much a solve of (I - gamma P) v = r may magnify relative errors, in the max norm
    """

    num_states: int
    num_pairs: int
    entries: int
    density: float
    components: int
    closed: int
    communicating: bool
    unichain: bool | None
    deterministic: bool
    unreachable: Array
    absorbing: Array
    terminal: Array
    periods: tuple[int, ...]
    reward_range: tuple[float, float]
    smallest_probability: float
    condition: float


def structure(mdp: MDP) -> Structure:
    """The structure of the model's graph, in time proportional to the number of its transitions."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    mdp = mdp.float
    pair, successor, probability = _entries(mdp)
    state = np.searchsorted(mdp.first_pair, pair, side="right") - 1
    S = mdp.num_states
    graph = csr_array((np.ones(state.size, dtype=np.int8), (state, successor)), shape=(S, S))
    graph.sum_duplicates()
    components, label = connected_components(graph, directed=True, connection="strong")
    leaves = np.zeros(components, dtype=bool)
    leaves[label[state[label[state] != label[successor]]]] = True
    closed = np.flatnonzero(~leaves)
    absorbing = np.ones(S, dtype=bool)
    absorbing[state[state != successor]] = False
    pays = np.zeros(S, dtype=bool)
    pays[np.repeat(np.arange(S), np.diff(mdp.first_pair))[mdp.pair_rewards != 0]] = True
    order = closed[np.argsort([int(np.argmax(label == c)) for c in closed])] if closed.size <= 1000 else closed
    gamma = float(mdp.discount)
    return Structure(
        num_states=S,
        num_pairs=mdp.num_pairs,
        entries=pair.size,
        density=pair.size / (mdp.num_pairs * S),
        components=int(components),
        closed=int(closed.size),
        communicating=bool(components == 1),
        unichain=_unichain(mdp, graph, label, closed, pair, state, successor),
        deterministic=bool(pair.size == mdp.num_pairs),
        unreachable=np.flatnonzero(~reachable(mdp)),
        absorbing=np.flatnonzero(absorbing),
        terminal=np.flatnonzero(absorbing & ~pays),
        periods=tuple(_period(graph, np.flatnonzero(label == c)) for c in order[:1000]),
        reward_range=(float(mdp.pair_rewards.min()), float(mdp.pair_rewards.max())),
        smallest_probability=float(probability.min()),
        condition=(1 + gamma) / (1 - gamma),
    )


def reachable(mdp: MDP, start: Any = None) -> Array:
    """(S,) booleans: the states that some policy can reach from a state where `start` (the model's own if left out) is positive."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    mdp = mdp.float
    pair, successor, _ = _entries(mdp)
    state = np.searchsorted(mdp.first_pair, pair, side="right") - 1
    first = np.flatnonzero(np.asarray(mdp.start if start is None else start, dtype=np.float64) > 0)
    S = mdp.num_states
    rows, columns = np.concatenate((state, np.full(first.size, S))), np.concatenate((successor, first))
    graph = csr_array((np.ones(rows.size, dtype=np.int8), (rows, columns)), shape=(S + 1, S + 1))
    found = np.zeros(S + 1, dtype=bool)
    found[breadth_first_order(graph, S, return_predecessors=False)] = True
    return found[:S]


def describe(mdp: MDP) -> str:
    """A few lines for people: size, sparsity, structure, conditioning."""
    found = structure(mdp)
    counts = np.diff(mdp.first_pair)
    actions = plural(mdp.num_actions, "action") if mdp.is_rectangular else f"{counts.min()} to {counts.max()} actions"
    storage = "compressed" if mdp.is_sparse else "dense"
    numbers = "exact" if mdp.given_exactly else "floats"
    lines = [
        f"{mdp.name or 'MDP'}: {plural(found.num_states, 'state')}, {actions}, discount {mdp.exact.discount if mdp.given_exactly else mdp.discount}",
        f"  transitions   {found.entries:,} ({100 * found.density:.3g}% of the matrix), {storage}, {numbers}"
        + (", deterministic" if found.deterministic else f", smallest probability {found.smallest_probability:.3g}"),
        f"  rewards       {found.reward_range[0]:.6g} to {found.reward_range[1]:.6g}; values within {_value_range(found, float(mdp.discount))}",
        f"  conditioning  (1 + gamma)/(1 - gamma) = {found.condition:.4g}",
        f"  graph         {_graph(found)}",
    ]
    for what, states in (("unreachable", found.unreachable), ("absorbing", found.absorbing)):
        if states.size:
            shown = ", ".join(mdp.state_names[s] if mdp.state_names else str(s) for s in states[:5])
            more = f" and {states.size - 5:,} more" if states.size > 5 else ""
            pays = f" ({plural(found.terminal.size, 'state')} without reward)" if what == "absorbing" else ""
            lines.append(f"  {what:<12}  {plural(states.size, 'state')}{pays}: {shown}{more}")
    return "\n".join(lines)


def _graph(found: Structure) -> str:
    if found.communicating:
        text = "communicating"
    else:
        text = f"{plural(found.components, 'strongly connected set')}, {found.closed:,} of them closed"
    text += {True: ", unichain", False: ", multichain", None: ""}[found.unichain]
    periods = sorted(set(found.periods))
    return text + (", aperiodic" if periods == [1] else f", period {', '.join(map(str, periods))}")


def _value_range(found: Structure, gamma: float) -> str:
    low, high = (x / (1 - gamma) for x in found.reward_range)
    return f"{low:.6g} to {high:.6g}"


def _entries(mdp: MDP) -> tuple[Array, Array, Array]:
    """(pair, successor, probability) of the positive entries."""
    choices = mdp.choices
    if isinstance(choices, np.ndarray):
        pair, successor = np.nonzero(choices)
        return pair, successor, choices[pair, successor]
    pair = np.repeat(np.arange(mdp.num_pairs), np.diff(choices.indptr))
    kept = choices.data != 0
    return pair[kept], choices.indices[kept], choices.data[kept]


UNICHAIN_WORK = 2 * 10**7
"""Transitions that the search for an unavoidable state may look at, about a second: 64 states on small models, one on models of 10^7 transitions."""


def _unichain(mdp: MDP, graph: Any, label: Array, closed: Array, pair: Array, state: Array, successor: Array) -> bool | None:
    """Two closed components: no.  A state that no policy can avoid for ever, so that every recurrent class holds it: yes.  Two disjoint sets in
    each of which some policy can stay: no.  Otherwise undecided."""
    if closed.size > 1:
        return False
    core = np.flatnonzero(label == closed[0])
    trials = int(np.clip(UNICHAIN_WORK // (10 * pair.size), 1, 64))
    for s in core if core.size <= trials else core[:: core.size // trials][:trials]:
        elsewhere = np.ones(mdp.num_states, dtype=bool)
        elsewhere[s] = False
        avoiding = _can_stay(mdp, pair, state, successor, elsewhere)
        if not avoiding.any():
            return True
        if _can_stay(mdp, pair, state, successor, ~_closed_core(graph, avoiding)).any():
            return False
    return None


def _can_stay(mdp: MDP, pair: Array, state: Array, successor: Array, allowed: Array) -> Array:
    """The largest set of allowed states in which some policy stays for ever: states without an action that keeps inside are dropped until none is."""
    into = np.argsort(successor, kind="stable")
    begin = np.searchsorted(successor[into], np.arange(mdp.num_states + 1))
    owner = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    inside, usable = allowed.copy(), np.ones(mdp.num_pairs, dtype=bool)
    choices = np.diff(mdp.first_pair)
    mark = np.empty(max(mdp.num_pairs, mdp.num_states), dtype=np.int64)

    def distinct(numbers: Array) -> Array:
        """Each number once: the last writer of its place, without sorting."""
        turn = np.arange(numbers.size)
        mark[numbers] = turn
        return numbers[mark[numbers] == turn]

    dropped = np.flatnonzero(~allowed)
    while dropped.size:
        sizes = begin[dropped + 1] - begin[dropped]
        places = np.repeat(begin[dropped] - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes) + np.arange(sizes.sum())
        lost = pair[into[places]]
        lost = distinct(lost[usable[lost]])
        usable[lost] = False
        np.subtract.at(choices, owner[lost], 1)
        dropped = distinct(owner[lost])
        dropped = dropped[inside[dropped] & (choices[dropped] == 0)]
        inside[dropped] = False
    return inside


def _closed_core(graph: Any, states: Array) -> Array:
    """One strongly connected set inside `states` that has no way to another one in there: what a policy that stays inside can end in."""
    from scipy.sparse.csgraph import connected_components

    index = np.flatnonzero(states)
    inner = graph[index][:, index]
    count, label = connected_components(inner, directed=True, connection="strong")
    rows, columns = inner.nonzero()
    leaves = np.zeros(count, dtype=bool)
    leaves[label[rows[label[rows] != label[columns]]]] = True
    out = np.zeros(states.size, dtype=bool)
    out[index[label == np.flatnonzero(~leaves)[0]]] = True
    return out


def _period(graph: Any, states: Array) -> int:
    """gcd over the edges u -> v inside a strongly connected set of level(u) + 1 - level(v), levels by breadth first search."""
    from scipy.sparse.csgraph import breadth_first_order

    inner = graph[states][:, states] if states.size < graph.shape[0] else graph
    order, before = breadth_first_order(inner, 0)
    level = np.zeros(states.size, dtype=np.int64)
    for node in order[1:]:
        level[node] = level[before[node]] + 1
    rows, columns = inner.nonzero()
    return int(np.gcd.reduce(level[rows] + 1 - level[columns])) if rows.size else 1
