"""Proofs for what a solver found in floats: `certify`; and the refinement of a float solution below the rounding of floats.

Nothing about how a solution was found is trusted.  `certify` reads its numbers as fractions, looks for inequalities between them that prove bounds on
the optimum of the exact model (proofs.py), has them checked by code that shares nothing with the solvers (certificate.py), and hands back the
solution with those bounds and the certificate.  Where no bounds can be proved from the numbers, the exact optimum is computed from the solution's
policy, and proved.

**Discounted models.**  For any vector V of exact numbers, with d = TV - V,

    V + min d / (1 - gamma)  <=  V*  <=  V + max d / (1 - gamma)

(MacQueen 1966).

**Refinement.**  A float V carries the error u |V| of its own representation, hence a residual that no float can bring below u |V| and an error
bound of u |V| / (1 - gamma).  `refine` therefore keeps V as an exact sum of floats, with residuals in balls (`flint.arb`): it solves
(I - gamma P_pi) e = d_pi in floats for the correction e and adds it exactly.  Each round multiplies the error by about u / (1 - gamma), so two or
three rounds reach the spacing of floats near V, which is the least half width that float bounds can have.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational, rational_array, to_float
from mdps.rows import SparseRows
from pgtheory.exact.linear import solve_resolvent
from pgtheory.solution import ExactSolution, Solution

Array = np.ndarray
BITS = 256
"""Working precision: values, corrections and probabilities fit with room for sums over 10^6 states."""
ROUNDS = 12


def certify(problem: Any, solution: Any, tol: float | None = None) -> Any:
    """Proved bounds around the optimum from a float solution of any criterion, with a certificate that has been checked.

    problem    the MDP, FiniteHorizon, or for a game (transitions, rewards, discount)
    solution   what a solver of this package returned for it; for a discounted model also just values (S,) from any source
    tol        discounted models: the values are also refined until the bounds are that close (half width), as far as floats can show
    returns    the solution with rigorous lower and upper, method "certified"; `certificate` is what `check_certificate(problem, ...)` takes.
               A solution that has its certificate comes back as it is, after that was checked and the solution's figures were compared with it
               (agreement.py); a discounted float solution is proved anew from its values
    raises     ModelError: values of the wrong shape or not finite; steps that do not fit.  CertificateError: a solution that its own certificate
               does not prove: another question, other figures, or an exact solution that is none
    source     McConnell, Mehlhorn, Naeher & Schweitzer (2011), Certifying algorithms
    """
    from pgtheory.exact.agreement import check_exact_average, check_exact_solution
    from pgtheory.exact.average import AverageSolution, ExactAverage
    from pgtheory.exact.certificate import check_certificate
    from pgtheory.exact.finite_horizon import StageSolution
    from pgtheory.exact.games import GameSolution, certified_game

    if isinstance(solution, StageSolution):
        return _certified_horizon(problem, solution)
    if isinstance(solution, GameSolution):
        transitions, rewards, discount = problem
        return certified_game(transitions, rewards, discount, solution)
    if isinstance(solution, ExactSolution | ExactAverage):
        agrees = check_exact_solution if isinstance(solution, ExactSolution) else check_exact_average
        agrees(solution, check_certificate(problem, solution.certificate))
        return solution
    if isinstance(solution, AverageSolution):
        return _certified_average(problem, solution)
    if isinstance(solution, Solution) and "criterion" in solution.details:
        return _certified_answer(problem, solution)
    values = np.asarray(solution.values if isinstance(solution, Solution) else solution, dtype=np.float64)
    if values.shape != (problem.num_states,) or not np.all(np.isfinite(values)):
        raise ModelError(f"certify needs one finite value for each of the {problem.num_states} states; it got shape {values.shape}")
    return _certified_discounted(problem, values, tol)


def _certified_discounted(mdp: MDP, values: Array, tol: float | None) -> Solution:
    from pgtheory.exact import proofs
    from pgtheory.exact.certificate import check_certificate

    exact = rational_array(values)
    if tol is not None:
        refined, V = _enclose(mdp, values, tol, "certified")
        values, exact[:] = refined.values, [_dyadic(v) for v in V]
    certificate, _, _ = proofs.bounds_around(mdp, exact)
    mask = check_certificate(mdp, certificate)
    lower, upper = floats_below(certificate.lower), floats_above(certificate.upper)
    values = np.clip(values, lower, upper)
    error = float(np.max(np.maximum(upper - values, values - lower)))
    stopped = "tolerance" if tol is None or error <= tol else "rounding"
    details = {"certificate": certificate, "optimal_actions": mask}
    return Solution(values, lower, upper, certificate.actions, 0, stopped, "certified", mdp, details)


def _certified_average(mdp: MDP, solution: Any) -> Any:
    """Span bounds from the bias; where they are worse than what the solver claims, the exact optimum."""
    from pgtheory.exact import proofs
    from pgtheory.exact.agreement import check_average
    from pgtheory.exact.average import solve_average_exactly
    from pgtheory.exact.certificate import check_certificate

    if solution.certificate is not None:
        check_average(solution, check_certificate(mdp, solution.certificate))
        return solution
    certificate, low, high = proofs.average_certificate(mdp, solution.bias)
    if float(high - low) > 4 * solution.error:
        best = solve_average_exactly(mdp, solution.actions)
        lower, upper = floats_below(best.gain), floats_above(best.gain)
        gain, actions, bias, certificate = (lower + upper) / 2, best.actions, to_float(best.bias), best.certificate
    else:
        check_certificate(mdp, certificate)
        lower, upper = floats_below(certificate.lower), floats_above(certificate.upper)
        gain, actions, bias = (lower + upper) / 2, certificate.actions, solution.bias
    changed = {"gain": np.clip(gain, lower, upper), "lower": lower, "upper": upper, "actions": actions, "bias": bias}
    return dataclasses.replace(solution, **changed, method="certified", certificate=certificate)


def _certified_answer(mdp: MDP, solution: Solution) -> Solution:
    """Reachability and total reward: the solver's own bounds if they satisfy the inequalities, else the exact optimum."""
    from pgtheory.exact import proofs, undiscounted
    from pgtheory.exact.agreement import check_answer
    from pgtheory.exact.certificate import CertificateError, check_certificate

    question = solution.details
    if solution.certificate is not None:
        check_answer(mdp, solution, check_certificate(mdp, solution.certificate))
        return solution
    try:
        certificate = proofs.certificate_of(mdp, question, solution.lower, solution.upper, solution.actions)
        mask = check_certificate(mdp, certificate)
        lower, upper, actions = solution.lower, solution.upper, solution.actions
    except (CertificateError, ModelError):
        if question["criterion"] == "reachability":
            best = undiscounted.reachability(mdp, question["targets"], question["direction"], through=question["through"], exact=True)
        else:
            best = undiscounted.total_reward(mdp, question["targets"], question["direction"], rewards=question["rewards"], exact=True)
        certificate, actions, mask = best.certificate, best.actions, best.optimal_actions
        lower, upper = floats_below(best.values), floats_above(best.values)
    values = np.clip(solution.values, lower, upper)
    details = {**question, "certificate": certificate, "optimal_actions": mask}
    return dataclasses.replace(solution, values=values, lower=lower, upper=upper, actions=actions, method="certified", details=details)


def _certified_horizon(given: Any, solution: Any) -> Any:
    """The solver's bounds if they satisfy the inequalities, else backward induction in rationals."""
    from pgtheory.exact.agreement import check_horizon
    from pgtheory.exact.certificate import CertificateError, check_certificate
    from pgtheory.exact.finite_horizon import as_problem, solve_finite_horizon
    from pgtheory.exact.undiscounted_certificate import HorizonCertificate

    problem = as_problem(given, solution)
    if solution.certificate is not None:
        check_horizon(solution, check_certificate(problem, solution.certificate))
        return solution
    sides = [[rational_array(v) for v in side] for side in (solution.lower, solution.upper)]
    try:
        certificate = HorizonCertificate(sides[0], sides[1], solution.actions)
        masks = check_certificate(problem, certificate)
        lower, upper, actions = solution.lower, solution.upper, solution.actions
    except CertificateError:
        best = solve_finite_horizon(problem, exact=True)
        certificate, masks, actions = best.certificate, best.optimal_actions, best.actions
        lower, upper = [floats_below(v) for v in best.values], [floats_above(v) for v in best.values]
    if [v.shape for v in solution.values] != [v.shape for v in lower]:
        raise ModelError(f"the solution's steps have {[v.size for v in solution.values]} states, those of the problem {[v.size for v in lower]}")
    values = [np.clip(v if a.dtype == object else to_float(v), a, b) for v, a, b in zip(solution.values, lower, upper, strict=True)]
    changed = {"values": values, "lower": lower, "upper": upper, "actions": actions, "optimal_actions": masks}
    return dataclasses.replace(solution, **changed, problem=problem, certificate=certificate)


def floats_below(values: Array) -> Array:
    """The largest floats that are not above rationals (infinite values stay)."""
    return _rounded(values, -np.inf)


def floats_above(values: Array) -> Array:
    """The smallest floats that are not below rationals (infinite values stay)."""
    return _rounded(values, np.inf)


def _rounded(values: Array, towards: float) -> Array:
    out = np.empty(len(values))
    for k, exact in enumerate(values):
        if isinstance(exact, float):
            out[k] = exact
            continue
        near = int(exact.p) / int(exact.q)
        gap = rational(near) - exact
        out[k] = near if (gap <= 0 if towards < 0 else gap >= 0) else np.nextafter(near, towards)
    return out


def refine(mdp: MDP, solution: Solution, tol: float) -> Solution:
    """`solution` with bounds that are at most tol from its values where floats can show it; otherwise the best bounds found."""
    better, _ = _enclose(mdp, solution.values, tol, f"{solution.method}, exact residuals", solution.iterations)
    return better if better.error < solution.error else solution


def _dyadic(ball: Any) -> Any:
    """The midpoint of a ball as a rational."""
    from flint import fmpq, fmpz

    mantissa, exponent = ball.mid().man_exp()
    shift = int(exponent)
    return fmpq(mantissa * fmpz(2) ** shift) if shift >= 0 else fmpq(mantissa, fmpz(2) ** -shift)


def _enclose(mdp: MDP, values: Array, tol: float, method: str, iterations: int = 0) -> tuple[Solution, list[Any]]:
    """(the best bounds found, the vector of balls that they were found from)."""
    from flint import ctx

    before = ctx.prec
    ctx.prec = BITS
    try:
        rows = _BallRows(mdp)
        V = [rows.number(x) for x in values.tolist()]
        best: Solution | None = None
        kept = V
        for _ in range(ROUNDS):
            residual, actions = rows.residual(V)
            low, high = min(float_below(d) for d in residual), max(float_above(d) for d in residual)
            found = rows.solution(V, low, high, actions, method, iterations, tol)
            if best is not None and not found.error < 0.5 * best.error:
                best, kept = (found, V) if found.error < best.error else (best, kept)
                break
            best, kept = found, V
            if best.error <= tol:
                break
            P = mdp.float.choices[mdp.first_pair[:-1] + actions]
            gap = np.array([float(d.mid()) for d in residual])
            correction = solve_resolvent(P, mdp.float.discount, gap)
            V = [rows.number((v + e).mid()) for v, e in zip(V, correction.tolist(), strict=True)]
        assert best is not None
        return best, kept
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
