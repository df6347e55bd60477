"""Average reward: the gain g*(s) = sup over policies of lim (1/T) E sum_{t < T} r(s_t, a_t), with proved bounds.

**Span bounds.**  For any W let d = TW - W with the undiscounted T.  T is monotone and T(W + c) = TW + c, so W + n min d <= T^n W <= W + n
max d, hence

    min d <= g*(s) <= max d        in every state                  (Odoni 1969)

whatever W is.  The two ends meet only if the optimal gain is the same in every state, as it is within an end component (there every state can be
reached from every other).  A damped sweep W <- W + tau (t - W), tau < 1, keeps the gain, up to the factor tau, and removes periods.

**Any model.**  Every policy ends in an end component, so the model is cut into its maximal end components (graph.py); the gain of each is enclosed by
relative value iteration; and g* is the best expected gain of the component in which one decides to stay: a transient problem whose sinks pay
those gains, monotone in them (transient.py).  One component that everything can reach is the unichain case and needs one relative value
iteration only.

**Policies in between.**  As in modified policy iteration the next W is found by sweeps of the greedy policy, or from its gain and bias

    g + h(s) = r_pi(s) + (P_pi h)(s),     h(reference) = 0

by sparse LU when the sweeps contract slowly.  No bound rests on that.

**Rationals.**  `solve_average_exactly` runs Howard's multichain policy iteration (Puterman 2005, section 9.2) without rounding; it ends at
(g, h) with
g >= P_a g for all actions and g + h >= r_a + P_a h for those with equality in the first, which proves that g is the optimal gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.graph import Graph, quotient, steer
from pgtheory.exact.storage import Compressed, Dense, storage
from pgtheory.exact.transient import Transient
from pgtheory.solution import NotConverged

Array = np.ndarray
DAMPING = 0.9
LIMIT = 100_000
DENSE_STATES = 200
"""States up to which a policy's bias is solved for in a dense matrix, which takes less time than to put a sparse one together."""
EXACT_STATES = 200
"""States up to which the gain is computed in rationals where floats cannot prove it as closely as asked: a few seconds."""


@dataclass(frozen=True)
class AverageSolution:
    """gain (S,) midpoint of lower <= g* <= upper; bias (S,) relative values of the policy, up to a constant in each component; actions (S,);
    certificate and optimal_actions (see `ExactAverage`), once they are known: from `certify`, or where floats alone proved too little."""

    gain: Array
    lower: Array
    upper: Array
    bias: Array
    actions: Array
    iterations: int
    stopped: str
    method: str
    mdp: Any = field(repr=False)
    certificate: Any = field(repr=False, default=None)
    optimal_actions: Array | None = field(repr=False, default=None)

    @property
    def error(self) -> float:
        return float(np.max(np.maximum(self.upper - self.gain, self.gain - self.lower)))

    @property
    def policy(self) -> Array:
        """(S, A) probability 1 on `actions`."""
        table = np.zeros((self.actions.size, self.mdp.num_actions))
        table[np.arange(self.actions.size), self.actions] = 1.0
        return table

    def __repr__(self) -> str:
        known = f"{self.iterations} iterations, error <= {self.error:.2g}, stopped: {self.stopped}"
        return f"AverageSolution({self.gain.size} states, {self.method}, {known})"


def solve_average(
    mdp: MDP, tol: float = 1e-8, *, start: Array | AverageSolution | None = None, limit: int = LIMIT, on_limit: str = "raise"
) -> AverageSolution:
    """The optimal long-run average reward from every state; the discount of the model plays no part.

    tol       |gain - g*| <= tol in every state, proved by the bounds
    start     relative values (S,) or an earlier solution of a similar model to begin with; never changes what the bounds are worth
    limit     most Bellman sweeps in a component
    raises    ModelError: bad arguments.  NotConverged: limit or the precision of floats reached first (with bounds that hold); models of up to
              EXACT_STATES states are then solved in rationals
    source    Puterman (2005), chapters 8 and 9
    """
    if not isinstance(mdp, MDP):
        raise ModelError(f"solve_average takes an mdps.MDP; this is a {type(mdp).__name__}")
    if not tol > 0:
        raise ModelError(f"tol is {tol}; it must be a positive number")
    if on_limit not in ("raise", "return"):
        raise ModelError(f"on_limit is {on_limit!r}; it must be 'raise' or 'return'")
    W = np.asarray(start.bias if isinstance(start, AverageSolution) else start, dtype=np.float64) if start is not None else np.zeros(mdp.num_states)
    if W.shape != (mdp.num_states,) or not np.all(np.isfinite(W)):
        raise ModelError(f"start must hold one finite value for each of the {mdp.num_states} states; it has shape {W.shape}")
    found = _enclosed(mdp, tol, limit, W)
    if found.stopped == "rounding" and mdp.num_states <= EXACT_STATES:
        found = _exactly(found, tol)
    if found.error <= tol or on_limit == "return":
        return found
    raise NotConverged(
        f"the gain is known to {found.error:.1e}, not {tol:g}, after {found.iterations:,} sweeps.\n"
        "  The bounds so far hold: error.solution.lower, .upper",
        found,
    )


def _exactly(found: AverageSolution, tol: float) -> AverageSolution:
    """The same from the exact optimum, rounded outwards: where floats alone prove less than was asked."""
    from pgtheory.exact.rigorous import floats_above, floats_below, to_float

    best = solve_average_exactly(found.mdp, found.actions)
    lower, upper = floats_below(best.gain), floats_above(best.gain)
    gain = np.clip(to_float(best.gain), lower, upper)
    error = float(np.max(np.maximum(upper - gain, gain - lower)))
    stopped, method = "tolerance" if error <= tol else "rounding", f"{found.method}, exact policy iteration"
    return AverageSolution(
        gain, lower, upper, to_float(best.bias), best.actions, found.iterations, stopped, method, found.mdp, best.certificate, best.optimal_actions
    )


def _enclosed(mdp: MDP, tol: float, limit: int, start: Array) -> AverageSolution:
    first = _relative(mdp, tol, min(limit, 50), start)
    if first.error <= tol:
        return first
    graph = Graph.of_mdp(mdp)
    component, inside = graph.end_components(np.ones(mdp.num_pairs, dtype=np.bool_))
    count = int(component.max()) + 1
    if count == 1 and graph.certain_for_some(component >= 0).all() and bool(inside.all()):
        return _relative(mdp, tol, limit, first.bias)
    return _multichain(mdp, graph, component, inside, count, tol, limit, start)


def _relative(mdp: MDP, tol: float, limit: int, start: Array) -> AverageSolution:
    """Relative value iteration with sweeps of the greedy policy in between; bounds valid in every state of any model."""
    rows = storage(mdp)
    rows.discount = 1.0
    W, spare = start - (start.min() + start.max()) / 2, np.empty(rows.states)
    best_low, best_high, sweeps, stalled = -np.inf, np.inf, 0, 0
    kept, h = rows.best.copy(), W.copy()
    slack, direct = 0.0, False
    while True:
        low, high, size, changes = rows.sweep(W, slack)
        sweeps += 1
        # Rounding as in the discounted case with gamma = 1; the difference t - W adds one more.
        assert rows.allowed is not None
        epsilon = rows.allowed.epsilon(size) + 2.0**-53 * max(abs(low), abs(high))
        slack = 2 * epsilon
        better = high - low + 2 * epsilon < 0.9 * (best_high - best_low)
        stalled = 0 if better else stalled + 1
        if high - low + 2 * epsilon <= best_high - best_low:
            kept[:] = rows.best
            h = W.copy()
        best_low, best_high = max(best_low, low - epsilon), min(best_high, high + epsilon)
        error = (best_high - best_low) / 2
        if error <= tol * (1 - 1e-9) or sweeps >= limit or stalled > 300 or (stalled > 40 and high - low <= 4 * epsilon):
            break
        rows.select()
        if direct and changes:
            direct = False
        gain_and_bias = _direct_bias(rows) if direct and rows.states <= 20_000 else None
        if gain_and_bias is not None:
            W = gain_and_bias
            W -= (W.min() + W.max()) / 2
            direct = False
            continue
        W = W + DAMPING * (rows.t - W)
        target = max(0.1 * (high - low), 0.2 * tol)
        span = high - low
        for _ in range(200):
            a, b = rows.follow(W, spare, 0.0)
            now = b - a
            W += DAMPING * (spare - W)
            if now <= target or now > 0.995 * span:
                direct = now > target
                break
            span = now
        W -= (W.min() + W.max()) / 2
    middle = np.full(rows.states, min(max((best_low + best_high) / 2, best_low), best_high))
    stopped = "tolerance" if error <= tol else ("limit" if sweeps >= limit else "rounding")
    n = rows.states
    return AverageSolution(
        middle, np.full(n, best_low), np.full(n, best_high), h, kept - mdp.first_pair[:-1], sweeps, stopped, "relative value iteration", mdp
    )


def _direct_bias(rows: Compressed | Dense) -> Array | None:
    """Bias of the greedy policy from the bordered system, or None where it is singular (several recurrent classes)."""
    from scipy.sparse import block_array, csr_array, eye_array
    from scipy.sparse.linalg import MatrixRankWarning, splu

    n = rows.states
    P = rows.matrix()
    if n <= DENSE_STATES:
        dense = np.zeros((n + 1, n + 1))
        dense[:n, :n] = np.eye(n) - (P if isinstance(P, np.ndarray) else P.toarray())
        dense[:n, n], dense[n, 0] = 1.0, 1.0
        try:
            h = np.linalg.solve(dense, np.append(rows.paid(), 0.0))[:n]
        except np.linalg.LinAlgError:
            return None
        return h if np.all(np.isfinite(h)) and np.max(np.abs(h)) < 1e12 * (1 + rows.largest) else None
    P = csr_array(P)
    reference = csr_array((np.ones(1), ([0], [0])), shape=(1, n))
    system = block_array([[eye_array(n) - P, csr_array(np.ones((n, 1)))], [reference, None]]).tocsc()
    try:
        x = splu(system).solve(np.concatenate([rows.paid(), [0.0]]))
    except (RuntimeError, MatrixRankWarning):
        return None
    h = x[:n]
    return h if np.all(np.isfinite(h)) and np.max(np.abs(h)) < 1e12 * (1 + rows.largest) else None


def _multichain(mdp: MDP, graph: Graph, component: Array, inside: Array, count: int, tol: float, limit: int, start: Array) -> AverageSolution:
    """Gain of every maximal end component, then the best component to stay in."""
    low, high = np.empty(count), np.empty(count)
    actions, bias = np.zeros(mdp.num_states, dtype=np.int64), np.zeros(mdp.num_states)
    sweeps = 0
    for c in range(count):
        states = np.flatnonzero(component == c)
        pairs = np.flatnonzero(inside & (component[graph.owner] == c))
        part = _relative(_restricted(mdp, states, pairs), tol / 4, limit, start[states])
        low[c], high[c] = part.lower[0], part.upper[0]
        sweeps += part.iterations
        bias[states] = part.bias
        starts = np.searchsorted(graph.owner[pairs], states)
        actions[states] = pairs[starts + part.actions] - graph.first[states]
    bounds = [_best_component(mdp, graph, component, inside, count, gains, tol / 8) for gains in (low, high)]
    lower, upper = bounds[0][0], bounds[1][1]
    _follow_quotient(graph, component, inside, bounds[0][2], actions)
    gain = np.clip((lower + upper) / 2, lower, upper)
    error = float(np.max(np.maximum(upper - gain, gain - lower)))
    stopped = "tolerance" if error <= tol else ("limit" if sweeps >= limit else "rounding")
    return AverageSolution(gain, lower, upper, bias, actions, sweeps, stopped, f"multichain: {count} end components", mdp)


def _best_component(mdp: MDP, graph: Graph, component: Array, inside: Array, count: int, gains: Array, tol: float) -> tuple[Array, Array, Any]:
    everything = np.ones(mdp.num_states, dtype=np.bool_)
    usable = np.ones(mdp.num_pairs, dtype=np.bool_)
    small = quotient(graph, everything, component, inside, usable, np.zeros(mdp.num_states, dtype=np.int64), count, np.arange(count))
    core = Transient(small.classes, small.first, small.indptr, small.indices, small.data, np.zeros(small.pairs.size), gains)
    stay = np.flatnonzero(small.pairs < 0)
    owner = np.repeat(np.arange(small.classes), np.diff(small.first))
    core.best = small.first[:-1].copy()
    core.best[owner[stay]] = stay
    core.iterate()
    lower, upper = core.bounds(True, tol)
    worst, best = float(gains.min()), float(gains.max())
    return np.clip(lower, worst, best)[small.group], np.clip(upper, worst, best)[small.group], (small, core)


def _follow_quotient(graph: Graph, component: Array, inside: Array, found: Any, actions: Array) -> None:
    """Where the best component is not one's own: the pair that leaves, and the way to it."""
    small, core = found
    pairs = small.pairs[core.best]
    leaving = pairs[pairs >= 0]
    owners = graph.owner[leaving]
    actions[owners] = leaving - graph.first[owners]
    left = np.isin(component, np.unique(component[owners][component[owners] >= 0]))
    goal = np.zeros(actions.size, dtype=np.bool_)
    goal[owners] = True
    kept = actions.copy()
    steer(actions, goal, inside & left[graph.owner], graph.owner, graph.first, graph.into_ptr, graph.into)
    actions[goal] = kept[goal]


def _restricted(mdp: MDP, states: Array, pairs: Array) -> MDP:
    """The model of one end component."""
    from scipy.sparse import csr_array

    model = mdp.float
    rows = csr_array(model.choices)[pairs][:, states]
    owner = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))[pairs]
    first = np.searchsorted(owner, np.append(states, mdp.num_states))
    return MDP.from_choices(first, rows, model.pair_rewards[pairs], 0.5)


@dataclass(frozen=True)
class ExactAverage:
    """gain and bias (S,) of `flint.fmpq`, actions (S,) of one optimal policy; the certificate holds the multichain optimality inequalities.

    optimal_actions   (S, A) booleans: the actions that keep the gain and attain gain + bias with this bias (others may be as good in the long run)
    """

    gain: Array
    bias: Array
    actions: Array
    iterations: int
    optimal_actions: Array
    certificate: Any = field(repr=False, default=None)
    mdp: Any = field(repr=False, default=None)


def solve_average_exactly(mdp: MDP, start: Array | None = None) -> ExactAverage:
    """The optimal gain in rationals, by multichain policy iteration, with a certificate that has been checked.

    start    (S,) actions to begin with; by default those that `solve_average` finds
    raises   ModelError: bad start
    source   Puterman (2005), Theorem 9.2.4
    """
    from flint import fmpq

    from pgtheory.exact.certificate import check_certificate
    from pgtheory.exact.rational import ExactRows
    from pgtheory.exact.undiscounted_certificate import AverageCertificate

    rows = ExactRows(mdp.exact)
    actions = _enclosed(mdp, 1e-6, 2000, np.zeros(mdp.num_states)).actions if start is None else np.array(start, dtype=np.int64)
    if actions.shape != (mdp.num_states,) or np.any(actions < 0) or np.any(actions >= np.diff(mdp.first_pair)):
        raise ModelError("start must name one existing action for each state")
    rounds = 0
    while True:
        rounds += 1
        pairs = (rows.first[:-1] + actions).tolist()
        gain, bias = _gain_and_bias([rows.rows[k] for k in pairs], [rows.rewards[k] for k in pairs])
        better, changed = actions.copy(), False
        for level in ("gain", "bias"):
            for s in range(mdp.num_states):
                begin, end = int(rows.first[s]), int(rows.first[s + 1])
                top = gain[s] if level == "gain" else gain[s] + bias[s]
                for k in range(begin, end):
                    successors, weights = rows.rows[k]
                    ahead = sum((p * gain[j] for j, p in zip(successors, weights, strict=True)), fmpq(0))
                    if level == "bias":
                        if ahead != gain[s]:
                            continue
                        ahead = rows.rewards[k] + sum((p * bias[j] for j, p in zip(successors, weights, strict=True)), fmpq(0))
                    if ahead > top:
                        top, better[s], changed = ahead, k - begin, True
            if changed:
                break
        if not changed:
            certificate = AverageCertificate(gain, bias, gain, bias, actions)
            mask = check_certificate(mdp, certificate)
            return ExactAverage(gain, bias, actions, rounds, mask, certificate, mdp)
        actions = better


def _gain_and_bias(rows: list[tuple[list[int], list[Any]]], paid: list[Any]) -> tuple[Array, Array]:
    """g and h of one policy: recurrent classes first, then the states that lead to them.

    The stationary mean of h is 0 in every recurrent class: with this bias proper, policy iteration cannot return to a policy."""
    from flint import fmpq

    from pgtheory.exact.rational import _solve_block, components

    n = len(rows)
    gain, bias = np.full(n, fmpq(0), dtype=object), np.full(n, fmpq(0), dtype=object)
    for block in components(rows):
        place = {s: i for i, s in enumerate(block)}
        size = len(block)
        closed = all(j in place for s in block for j in rows[s][0])
        matrix = [[fmpq(int(i == j)) for j in range(size)] for i in range(size)]
        out_gain, out_bias = [fmpq(0)] * size, [fmpq(0)] * size
        for i, s in enumerate(block):
            for j, p in zip(*rows[s], strict=True):
                if j in place:
                    matrix[i][place[j]] -= p
                else:
                    out_gain[i] += p * gain[j]
                    out_bias[i] += p * bias[j]
        if closed and size == 1:
            gain[block[0]] = paid[block[0]]
            continue
        if closed:
            system = [[fmpq(1), *row[1:]] for row in matrix]
            x = _solve_block([v for row in system for v in row], [paid[s] for s in block])
            relative = [fmpq(0), *x[1:]]
            turned = [fmpq(1) if j == 0 else matrix[i][j] for j in range(size) for i in range(size)]
            visits = _solve_block([fmpq(1)] * size + turned[size:], [fmpq(int(i == 0)) for i in range(size)])
            middle = sum((p * h for p, h in zip(visits, relative, strict=True)), fmpq(0))
            for s, value in zip(block, relative, strict=True):
                gain[s], bias[s] = x[0], value - middle
            continue
        flat = [v for row in matrix for v in row]
        for s, value in zip(block, _solve_block(flat, out_gain), strict=True):
            gain[s] = value
        right = [paid[s] - gain[s] + out_bias[i] for i, s in enumerate(block)]
        for s, value in zip(block, _solve_block(flat, right), strict=True):
            bias[s] = value
    return gain, bias
