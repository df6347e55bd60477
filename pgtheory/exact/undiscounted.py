"""Undiscounted criteria that end: the probability of reaching a target, and the total reward or cost until it is reached.

    reachability     sup / inf over policies of  Pr(some s_t in targets)                      (while staying in `through`, if given)
    total_reward     sup / inf over policies of  E sum r(s_t, a_t)  until the target is reached

With discount 1 the Bellman equation has many solutions where a policy can stay for ever without reward (an *end component*: a loop from
which the target
can be avoided), and value iteration converges to one that depends on its start.  So the graph is dealt with first (graph.py):

    max reachability   0 where no policy reaches the target; 1 where some policy reaches it surely; elsewhere every maximal end component
    becomes one state
    min reachability   0 where some policy avoids the target for ever; 1 where none can miss it; no end component is left elsewhere
    max total (r >= 0) infinite where some policy may fail to reach the target; elsewhere every policy reaches it
    min total (r >= 0) infinite where no policy reaches it surely; end components of reward 0 become one state each; others cost infinitely much

What is left is a transient problem with one solution, solved with bounds that hold in exact arithmetic (transient.py), or in rationals.

The discount of the model plays no part.  Source: de Alfaro (1997); Bertsekas & Tsitsiklis (1991); Haddad & Monmege (2018); Baier et al. (2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.bounds import UNIT
from pgtheory.exact.graph import Graph, Quotient, quotient, steer
from pgtheory.exact.transient import Transient
from pgtheory.solution import ExactSolution, NotConverged, Solution

Array = np.ndarray
EXACT_STATES = 200
"""States up to which the optimum is computed in rationals where floats cannot prove it as closely as asked: a few seconds."""


def reachability(
    mdp: MDP, targets: Any, direction: str = "max", *, through: Any = None, tol: float = 1e-6, exact: bool = False, on_limit: str = "raise"
) -> Solution | ExactSolution:
    """The largest or smallest probability of reaching `targets`, from every state.

    targets    (S,) booleans, or a list of states
    through    (S,) booleans or a list: states in which the way to the target must stay; all by default
    tol        |values - P*| <= tol, proved by the bounds
    exact      rationals instead of floats: an ExactSolution, its certificate checked; `optimal_actions` are all that an optimal policy may take
    raises     ModelError: bad arguments.  NotConverged: the bounds stay wider than tol (with bounds that hold)
    """
    goal, way = _mask(mdp, targets, "targets"), _mask(mdp, through, "through") if through is not None else np.ones(mdp.num_states, dtype=np.bool_)
    maximise = _direction(direction)
    graph = Graph.of_mdp(mdp)
    usable = way[graph.owner] & ~goal[graph.owner]
    lost = ~goal & ~way
    if maximise:
        zero = ~graph.some(goal, usable)
        one = _certain(graph, goal, lost)
        inner = ~zero & ~one
        component, inside = graph.end_components(usable & inner[graph.owner])
    else:
        blocked = _closed(graph, goal | lost)
        one = blocked.certain_for_every(goal)
        zero = ~blocked.every(goal)
        inner = ~zero & ~one
        component, inside = np.full(mdp.num_states, -1), np.zeros(graph.owner.size, dtype=np.bool_)
    sink = one.astype(np.int64)
    small = quotient(graph, inner, component, inside, usable, sink, 2, np.full(int(component.max(initial=-1)) + 1, -1))
    rewards = np.zeros(graph.owner.size)
    sign = 1 if maximise else -1
    problem = _Problem(mdp, graph, small, rewards, np.array([0.0, sign * 1.0]), sign, component, inside, True, "reachability")
    problem.question = {"criterion": "reachability", "targets": goal, "through": way, "direction": direction}
    actions = np.zeros(mdp.num_states, dtype=np.int64)
    if maximise:
        loops = graph.staying(one) & ~goal[graph.owner]
        steer(actions, goal, loops, graph.owner, graph.first, graph.into_ptr, graph.into)
    else:
        _stay(graph, zero, actions)
    if exact:
        return problem.solve_exactly(actions)
    return problem.finish(problem.solve(actions, tol, (0.0, 1.0)), tol, on_limit)


def total_reward(
    mdp: MDP, targets: Any, direction: str = "max", *, rewards: Any = None, tol: float = 1e-6, exact: bool = False, on_limit: str = "raise"
) -> Solution | ExactSolution:
    """The largest or smallest expected reward collected before `targets` is reached, from every state; infinite where that is the answer.

    targets    (S,) booleans, or a list of states; what happens in them and afterwards is not counted
    rewards    (S, A) or (pairs,) instead of the model's own
    tol        |values - V*| <= tol where V* is finite, proved by the bounds
    returns    values may be inf (max with r >= 0: some policy may fail to reach the target; min with r >= 0: none reaches it surely) or
    -inf (mirrored)
    raises     ModelError: rewards of both signs where some policy can avoid the target for ever (the sum need not exist): names a state
    """
    goal, maximise = _mask(mdp, targets, "targets"), _direction(direction)
    paid = mdp.float.pair_rewards if rewards is None else _pair_vector(mdp, rewards)
    graph = Graph.of_mdp(mdp)
    sign = 1 if maximise else -1
    outside = ~goal[graph.owner]
    every = graph.certain_for_every(goal)
    least, most = float(np.min((sign * paid)[outside], initial=0.0)), float(np.max((sign * paid)[outside], initial=0.0))
    if least < 0 < most and not every.all():
        state = int(np.flatnonzero(~every)[0])
        raise ModelError(
            f"rewards of both signs, and from {mdp.state_label(state)} a policy can miss the target: the total reward need not exist.\n"
            "  Give rewards of one sign, or a model in which every policy reaches the target."
        )
    free = np.zeros(graph.owner.size, dtype=np.bool_)
    if most > 0 or every.all():
        finite, endless = every, sign * np.inf
        usable = outside
    else:
        finite, endless = graph.certain_for_some(goal), -sign * np.inf
        usable = outside & graph.staying(finite)
        free = usable & (paid == 0)
    component, inside = graph.end_components(free & finite[graph.owner] & usable)
    inner = finite & ~goal
    small = quotient(
        graph, inner, component, inside, usable, np.zeros(mdp.num_states, dtype=np.int64), 1, np.full(int(component.max(initial=-1)) + 1, -1)
    )
    proper = bool(most > 0 or every.all())
    problem = _Problem(mdp, graph, small, sign * paid, np.zeros(1), sign, component, inside, proper, "total reward", rewards)
    problem.question = {"criterion": "total reward", "targets": goal, "rewards": rewards, "direction": direction}
    if exact:
        return problem.solve_exactly(infinite=~finite, endless=float(endless))
    actions = np.zeros(mdp.num_states, dtype=np.int64)
    if endless * sign > 0 and not finite.all():
        from pgtheory.exact.proofs import infinite_actions

        infinite_actions(graph, goal, ~finite, actions)
    span = (0.0, np.inf) if sign * most > 0 or sign * least > 0 or (most == 0 and least == 0) else (-np.inf, 0.0)
    if least < 0 < most:
        span = (-np.inf, np.inf)
    found = problem.solve(actions, tol, span)
    if not finite.all():
        for values in (found.values, found.lower, found.upper):
            values[~finite] = endless
    return problem.finish(found, tol, on_limit)


@dataclass
class _Problem:
    """A transient problem beside the model it came from."""

    mdp: MDP
    graph: Graph
    small: Quotient
    rewards: Array
    sinks: Array
    sign: int
    component: Array
    inside: Array
    proper: bool
    name: str
    given_rewards: Any = None
    question: dict[str, Any] = field(default_factory=dict)

    def float_solution(self, accuracy: float = 1e-13) -> Transient:
        small = self.small
        paid = np.where(small.pairs >= 0, self.rewards[small.pairs], 0.0)
        core = Transient(small.classes, small.first, small.indptr, small.indices, small.data, paid, self.sinks)
        core.accuracy = accuracy
        core.start()
        if self.proper:
            core.approach()
        core.iterate()
        return core

    def solve(self, actions: Array, tol: float, span: tuple[float, float]) -> Solution:
        if not tol > 0:
            raise ModelError(f"tol is {tol}; it must be a positive number")
        core = self.float_solution(max(1e-13, 1e-3 * min(tol, 1e-3)) if self.name == "reachability" else 1e-13)
        lower, upper = core.bounds(self.proper, 0.5 * tol)
        if self.sign < 0:
            lower, upper = -upper, -lower
        lower, upper = np.clip(lower, *span)[self.small.group], np.clip(upper, *span)[self.small.group]
        with np.errstate(invalid="ignore"):
            values = np.where(np.isfinite(lower) & np.isfinite(upper), (lower + upper) / 2, (self.sign * core.V)[self.small.group])
        values = np.clip(values, lower, upper)
        self._spread_actions(core.best, actions)
        width = float(np.max(np.maximum(upper - values, values - lower), initial=0.0))
        stopped = "tolerance" if width <= tol else "rounding"
        method = f"policy iteration ({self.name})"
        return Solution(values + 0.0, lower + 0.0, upper + 0.0, actions, core.rounds, stopped, method, self.mdp, dict(self.question))

    def finish(self, found: Solution, tol: float, on_limit: str) -> Solution:
        """Small models exactly where floats are not enough; otherwise NotConverged, with bounds that hold."""
        found = self.settled_exactly(found, tol)
        if found.stopped == "rounding" and on_limit != "return":
            raise NotConverged(
                f"{self.name}: the optimum is known to {found.error:.1e}, not {tol:g}: steps to the target are too many for floats.\n"
                "  exact=True computes it in rationals. The bounds so far hold: error.solution.lower, .upper",
                found,
            )
        return found

    def settled_exactly(self, found: Solution, tol: float) -> Solution:
        """A small model that floats cannot settle: the exact optimum, rounded outwards."""
        from pgtheory.exact.rigorous import floats_above, floats_below

        if found.stopped != "rounding" or self.mdp.num_states > EXACT_STATES:
            return found
        infinite = np.isinf(found.values) & (found.lower == found.upper)
        endless = float(found.values[infinite][0]) if infinite.any() else 0.0
        best = self.solve_exactly(found.actions, infinite, endless)
        lower, upper = floats_below(best.values), floats_above(best.values)
        values = np.where(infinite, endless, np.clip(found.values, lower, upper))
        details = {**self.question, "certificate": best.certificate, "optimal_actions": best.optimal_actions}
        better = Solution(values, lower, upper, best.actions, found.iterations, "tolerance", f"{found.method}, then exact", self.mdp, details)
        return better if better.error <= tol else replace(better, stopped="rounding")

    def _spread_actions(self, best: Array, actions: Array) -> None:
        """The actions behind the greedy rows; inside a component, the way to the state where its row leaves."""
        pairs = self.small.pairs[best]
        owners = self.graph.owner[pairs[pairs >= 0]]
        actions[owners] = pairs[pairs >= 0] - self.graph.first[owners]
        if np.any(self.component >= 0):
            goal = np.zeros(actions.size, dtype=np.bool_)
            goal[owners] = True
            goal |= self.component < 0
            keep = actions.copy()
            steer(actions, goal, self.inside, self.graph.owner, self.graph.first, self.graph.into_ptr, self.graph.into)
            actions[goal] = keep[goal]

    def solve_exactly(self, start: Array | None = None, infinite: Array | None = None, endless: float = 0.0) -> ExactSolution:
        from pgtheory.exact import proofs
        from pgtheory.exact.certificate import check_certificate
        from pgtheory.exact.rational import exact_transient

        core = self.float_solution()
        values, best, rounds = exact_transient(
            self.mdp, self.small, core.best, self.sinks, self.sign, self.given_rewards, self.name == "total reward"
        )
        out = values[self.small.group]
        if infinite is not None and infinite.any():
            out = out.copy()
            out[infinite] = endless
        actions = np.zeros(self.mdp.num_states, dtype=np.int64)
        if start is not None:
            actions[:] = start
        elif infinite is not None and infinite.any() and endless * self.sign > 0:
            proofs.infinite_actions(self.graph, self.question["targets"], infinite, actions)
        self._spread_actions(best, actions)
        certificate = proofs.certificate_of(self.mdp, self.question, out, out, actions)
        return ExactSolution(out, actions, check_certificate(self.mdp, certificate), certificate, self.mdp, rounds)


def _certain(graph: Graph, goal: Array, lost: Array) -> Array:
    """States from which some policy reaches `goal` surely without entering `lost`."""
    inside = ~lost
    while True:
        reached = graph.some(goal, graph.staying(inside) & inside[graph.owner] & ~goal[graph.owner]) & inside
        if np.array_equal(reached, inside):
            return inside
        inside = reached


def _closed(graph: Graph, ends: Array) -> Graph:
    """The graph with the states of `ends` made absorbing: their rows lead back to themselves."""
    from scipy.sparse import csr_array

    closed = ends[graph.owner]
    lengths = np.where(closed, 1, np.diff(graph.indptr))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    take = np.repeat(graph.indptr[:-1] - indptr[:-1], lengths) + np.arange(indptr[-1])
    targets = graph.indices[take]
    targets[np.repeat(closed, lengths)] = graph.owner[closed]
    rows = csr_array((np.ones(targets.size), targets, indptr), shape=(graph.owner.size, graph.states))
    return Graph.of(graph.first, rows)


def _stay(graph: Graph, zero: Array, actions: Array) -> None:
    """In the states of `zero` an action that never leaves them."""
    pairs = np.flatnonzero(graph.staying(zero) & zero[graph.owner])
    actions[graph.owner[pairs]] = pairs - graph.first[graph.owner[pairs]]


def _mask(mdp: MDP, states: Any, field: str) -> Array:
    given = np.asarray(states)
    if given.dtype == np.bool_:
        if given.shape != (mdp.num_states,):
            raise ModelError(f"{field} has shape {given.shape}; it must hold one boolean for each of the {mdp.num_states} states")
        return given.copy()
    mask = np.zeros(mdp.num_states, dtype=np.bool_)
    if given.size == 0:
        return mask
    numbers = np.atleast_1d(given)
    if numbers.dtype.kind not in "iu" or numbers.min() < 0 or numbers.max() >= mdp.num_states:
        raise ModelError(f"{field} must be booleans (S,) or state numbers 0 .. {mdp.num_states - 1}; it is {given!r}")
    mask[numbers] = True
    return mask


def _direction(direction: str) -> bool:
    if direction not in ("max", "min"):
        raise ModelError(f"direction is {direction!r}; it must be 'max' or 'min'")
    return direction == "max"


def _pair_vector(mdp: MDP, rewards: Any) -> Array:
    given = np.asarray(rewards, dtype=np.float64)
    if given.shape == (mdp.num_pairs,):
        paid = given
    elif given.shape == (mdp.num_states, mdp.num_actions):
        paid = given[mdp.action_mask]
    else:
        raise ModelError(f"rewards has shape {given.shape}; it must be (S, A) = {(mdp.num_states, mdp.num_actions)} or ({mdp.num_pairs},)")
    if not np.all(np.isfinite(paid)):
        raise ModelError(f"the reward of pair {int(np.flatnonzero(~np.isfinite(paid))[0])} is not finite")
    return paid


__all__ = ["UNIT", "reachability", "total_reward"]
