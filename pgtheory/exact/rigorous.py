"""Rigorous bounds on V* from any float solution, by balls; and the refinement of a float solution below the rounding of floats.

For any vector V of exact numbers, with d = TV - V computed in balls (`flint.arb`) on `mdp.exact`,

    V + min d / (1 - gamma)  <=  V*  <=  V + max d / (1 - gamma)

(MacQueen 1966).  The ball of d contains the true d, so its outer ends give bounds that hold in exact arithmetic.  Nothing about how V was found
is trusted.

**Refinement.**  A float V carries the error u |V| of its own representation, hence a residual that no float can bring below u |V| and an
error bound of
u |V| / (1 - gamma).  `refine` therefore keeps V as an exact sum of floats: it solves (I - gamma P_pi) e = d_pi in floats for the
correction e and adds it
exactly.  Each round multiplies the error by about u / (1 - gamma), so two or three rounds reach the spacing of floats near V, which is the
least half width that float bounds can have.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP, SparseRows
from pgtheory.exact.linear import solve_resolvent
from pgtheory.solution import Solution

Array = np.ndarray
BITS = 256
"""Working precision: values, corrections and probabilities fit with room for sums over 10^6 states."""
ROUNDS = 12


def certify(mdp: MDP, solution: Solution | Array, tol: float | None = None) -> Solution:
    """Proved bounds on V* from a float solution (or just a vector of values), by ball arithmetic on `mdp.exact`.

    solution   a Solution, or values (S,) from any source
    tol        if given, the values are also refined until the bounds are that close (half width), as far as floats can show
    returns    Solution with rigorous lower and upper, method "certified"
    raises     ModelError: values of the wrong shape or not finite
    """
    values = np.asarray(solution.values if isinstance(solution, Solution) else solution, dtype=np.float64)
    if values.shape != (mdp.num_states,) or not np.all(np.isfinite(values)):
        raise ModelError(f"certify needs one finite value for each of the {mdp.num_states} states; it got shape {values.shape}")
    return _enclose(mdp, values, np.inf if tol is None else tol, "certified")


def refine(mdp: MDP, solution: Solution, tol: float) -> Solution:
    """`solution` with bounds that are at most tol from its values where floats can show it; otherwise the best bounds found."""
    better = _enclose(mdp, solution.values, tol, f"{solution.method}, exact residuals", solution.iterations)
    return better if better.error < solution.error else solution


def _enclose(mdp: MDP, values: Array, tol: float, method: str, iterations: int = 0) -> Solution:
    from flint import ctx

    before = ctx.prec
    ctx.prec = BITS
    try:
        rows = _BallRows(mdp)
        V = [rows.number(x) for x in values.tolist()]
        best: Solution | None = None
        for _ in range(ROUNDS):
            residual, actions = rows.residual(V)
            low, high = min(float_below(d) for d in residual), max(float_above(d) for d in residual)
            found = rows.solution(V, low, high, actions, method, iterations, tol)
            if best is not None and not found.error < 0.5 * best.error:
                best = found if found.error < best.error else best
                break
            best = found
            if best.error <= tol:
                break
            P = mdp.float.choices[mdp.first_pair[:-1] + actions]
            gap = np.array([float(d.mid()) for d in residual])
            correction = solve_resolvent(P, mdp.float.discount, gap)
            V = [rows.number((v + e).mid()) for v, e in zip(V, correction.tolist(), strict=True)]
        assert best is not None
        return best
    finally:
        ctx.prec = before


class _BallRows:
    """The exact model in balls, row by row, nonzero entries only."""

    def __init__(self, mdp: MDP) -> None:
        from flint import arb

        self.number, self.mdp = arb, mdp
        model = mdp.exact
        choices = model.choices
        if isinstance(choices, SparseRows):
            indptr, indices, data = choices.indptr.tolist(), choices.indices.tolist(), choices.data.tolist()
        else:
            table = choices != 0
            indptr = np.concatenate([[0], np.cumsum(table.sum(axis=1))]).tolist()
            indices, data = np.nonzero(table)[1].tolist(), choices[table].tolist()
        seen: dict[Any, Any] = {}
        balls = [seen[p] if p in seen else seen.setdefault(p, arb(p)) for p in data]
        self.rows = [list(zip(indices[b:e], balls[b:e], strict=True)) for b, e in itertools.pairwise(indptr)]
        self.rewards = [arb(r) for r in model.pair_rewards.tolist()]
        self.discount = arb(model.discount)
        self.first = mdp.first_pair.tolist()

    def residual(self, V: list[Any]) -> tuple[list[Any], Array]:
        """(TV - V as balls, an action of largest midpoint in each state)."""
        out, actions = [], np.zeros(len(V), dtype=np.int64)
        for s, v in enumerate(V):
            top, centre = None, None
            for k in range(self.first[s], self.first[s + 1]):
                expected = self.number(0)
                for j, p in self.rows[k]:
                    expected += p * V[j]
                q = self.rewards[k] + self.discount * expected
                middle = q.mid()
                if top is None or middle > centre:
                    actions[s], centre = k - self.first[s], middle
                top = q if top is None else top.max(q)
            out.append(top - v)
        return out, actions

    def solution(self, V: list[Any], low: float, high: float, actions: Array, method: str, iterations: int, tol: float) -> Solution:
        scale = 1 / (1 - self.discount)
        below, above = self.number(low) * scale, self.number(high) * scale
        lower = np.array([float_below(v + below) for v in V])
        upper = np.array([float_above(v + above) for v in V])
        values = np.clip(np.array([float((v + (below + above) / 2).mid()) for v in V]), lower, upper)
        error = float(np.max(np.maximum(upper - values, values - lower)))
        stopped = "tolerance" if error <= tol else "rounding"
        return Solution(values, lower, upper, actions, iterations, stopped, method, self.mdp)


def float_below(ball: Any) -> float:
    """A float that is certainly not above any point of the ball."""
    return float(np.nextafter(float(ball.lower()), -np.inf))


def float_above(ball: Any) -> float:
    """A float that is certainly not below any point of the ball."""
    return float(np.nextafter(float(ball.upper()), np.inf))
