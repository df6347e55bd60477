"""Whether anybody can meet the thresholds, by how much, and if not: who is in conflict, how little relaxation would do, what is best.

    slater gap    xi = max over policies of min_i (b_i - V_(c_i)(rho)) / w_i

is one more linear program.  xi > 0: Slater's condition holds, and every optimal multiplier is at most (V_r* - V_r(pi)) / (xi w_i) for the policy pi
that attains xi (its Lagrangian is at most the optimum).  xi = 0: only just feasible; multipliers may be unbounded.  xi < 0: infeasible, and raising
every threshold by -xi w_i is the least common relaxation that helps.

Infeasible thresholds are explained by a *conflict*: constraints that cannot be met together although every one of them could be dropped to make the
rest possible.  Its proof is a Farkas certificate, weights y >= 0 with  sum_i y_i V_(c_i) > sum_i y_i b_i  for every policy
(`certificate.check_farkas`).  The least relaxation in sum, minimise sum_i w_i v_i with V_(c_i) <= b_i + v_i, says where to give way; `alone` says
how far one threshold would have to move if all others stay.  Everything is computed in rationals.  Source: Farkas (1902); Chinneck (2008) for the
deletion of constraints one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, NoReturn

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import rational_array
from pgtheory.constrained.certificate import FarkasCertificate, check_farkas
from pgtheory.constrained.exactly import feasible_basis, from_floats, least_violation, occupancy_program, optimal_vertex, refuse_large
from pgtheory.constrained.program import checked, evaluate_constrained
from pgtheory.exact.evaluation import spread
from pgtheory.exact.simplex import Program, Vertex, maximise

Array = np.ndarray


class InfeasibleError(ModelError):
    """No policy meets the thresholds; `infeasibility` says why, with certificate, and what would do (None where the model is too large for that)."""

    def __init__(self, message: str, infeasibility: Infeasibility | None) -> None:
        super().__init__(message)
        self.infeasibility = infeasibility


@dataclass(frozen=True)
class SlaterGap:
    """xi = gap (fmpq), attained by policy (S, A); cost_values (m,) and reward of that policy."""

    gap: Any
    policy: Array = field(repr=False)
    cost_values: Array
    reward: Any


@dataclass(frozen=True)
class Infeasibility:
    """Why no policy meets all thresholds.  All numbers are `flint.fmpq`, in the units of the thresholds.

    conflict        names of constraints that cannot be met together; without any one of them the others of the conflict can
    certificate     weights of a sum of costs whose least value exceeds the same sum of thresholds (0 outside the conflict); checked
    margin          by how much it does
    best            (m,) the best value of every cost on its own, whatever the others and the reward
    alone           (m,) what each threshold would have to be, all others kept; None where no value of it helps
    common          the least amount by which all thresholds must give way together (times the weights)
    relaxation      (m,) the changes of least weighted sum that make the thresholds feasible, as positive amounts
    """

    model: ConstrainedMDP = field(repr=False)
    conflict: tuple[str, ...]
    certificate: FarkasCertificate = field(repr=False)
    margin: Any
    best: Array
    alone: tuple[Any, ...]
    common: Any
    relaxation: Array

    def explain(self) -> str:
        """The whole story in sentences."""
        exact = self.model.exact
        told = [_written(exact, exact.index(name)) for name in self.conflict]
        if len(told) == 1:
            i = exact.index(self.conflict[0])
            lines = [f"no policy meets {told[0]}: the best achievable is {figure(self.best[i])}"]
        else:
            fewer = "either" if len(told) == 2 else f"any {len(told) - 1} of them"
            lines = [f"no policy meets {' and '.join(told)} together, though it could meet {fewer}"]
            lines.append(self._combined(exact))
        single = [f"{_written(exact, i, b)}" for i, b in enumerate(self.alone) if b is not None]
        if single and exact.num_constraints > 1:
            lines.append(f"one of these changes would do: {'; '.join(single)}")
        changed = [_written(exact, i, _moved(exact, i, v)) for i, v in enumerate(self.relaxation) if v > 0]
        if exact.num_constraints > 1 and (len(changed) > 1 or not single):
            lines.append(f"or together, with the least sum of changes: {'; '.join(changed)}")
        if exact.num_constraints > 1:
            lines.append(f"all thresholds relaxed by {figure(self.common, 1)} would do, and nothing less")
        return ".\n  ".join(lines) + "."

    def _combined(self, exact: ConstrainedMDP) -> str:
        """'every policy has a + 2 b >= 3, the thresholds ask for at most 5/2', with small weights, and the other way round where all are ">="."""
        weights = [(self.certificate.multipliers[i], exact.directions[i], exact.names[i]) for i in map(exact.index, self.conflict)]
        scale = min(w for w, _, _ in weights)
        allowed = sum((y * b for y, b in zip(self.certificate.multipliers, exact.upper_thresholds, strict=True)), 0 * scale) / scale
        least = allowed + self.margin / scale
        lowered = all(direction == ">=" for _, direction, _ in weights)
        if lowered:
            least, allowed = -least, -allowed
        signed = sorted((("+" if lowered or direction == "<=" else "-"), k) for k, (_, direction, _) in enumerate(weights))
        words = " ".join(f"{sign} {_times(weights[k][0] / scale)}{weights[k][2]}" for sign, k in signed).removeprefix("+ ")
        ends = ("<=", "least") if lowered else (">=", "most")
        return f"every policy has {words} {ends[0]} {figure(least)}, the thresholds ask for at {ends[1]} {figure(allowed)}"


def slater_gap(model: ConstrainedMDP, weights: Any = None) -> SlaterGap:
    """xi in rationals, above 0 if some policy meets all thresholds strictly.

    weights   (m,) above 0: units in which the slacks are compared, 1 if left out
    raises    ModelError: a weight that is not above 0; a model too large for rationals
    """
    from flint import fmpq

    refuse_large(checked(model))
    exact = model.exact
    scale = _weights(model, weights)
    pairs, count, states = exact.mdp.num_pairs, exact.num_constraints, exact.num_states
    plain = occupancy_program(exact)
    common = [(states + i, (1 - exact.discount) * w) for i, w in enumerate(scale)]
    columns = [*plain.columns, common, [(i, -w) for i, w in common]]
    objective = [fmpq(0)] * (pairs + count) + [fmpq(1), fmpq(-1)]
    program = Program(columns, objective, plain.rhs)
    found = from_floats(exact, program)
    at = found if isinstance(found, Vertex) else maximise(program, _start_of_slater(exact, scale))
    gap = at.value(pairs + count) - at.value(pairs + count + 1)
    frequencies = np.array([at.value(k) for k in range(pairs)], dtype=object)
    policy = _normalised(exact, frequencies)
    reached = evaluate_constrained(exact, policy)
    return SlaterGap(gap, policy, reached.costs, reached.reward)


def best_achievable(model: ConstrainedMDP) -> Array:
    """(m,) the best value of every cost that any policy reaches from the start, in rationals: least for "<=", largest for ">="."""
    from pgtheory.exact.rational import solve_exactly

    exact = checked(model).exact
    best = []
    for i, direction in enumerate(exact.directions):
        sign = 1 if direction == ">=" else -1
        solved = solve_exactly(_signed(exact.cost_model(i), sign))
        best.append(sign * (exact.start * solved.values).sum())
    return np.array(best, dtype=object)


def diagnose(model: ConstrainedMDP, weights: Any = None) -> Infeasibility | None:
    """Why no policy meets the thresholds, or None if one does.

    weights   (m,) above 0: what a unit of relaxation of each threshold costs, 1 if left out
    raises    ModelError: a weight that is not above 0; a model too large for rationals
    """
    refuse_large(checked(model))
    exact = model.exact
    prices = _weights(model, weights)
    at = least_violation(exact, prices)
    conflict = _in_conflict(exact, at.prices[exact.num_states :])
    if not conflict:
        return None
    horizon = 1 / (1 - exact.discount)
    violation = exact.mdp.num_pairs + exact.num_constraints
    relaxation = [at.value(violation + i) * horizon for i in range(exact.num_constraints)]
    chosen, certificate = _smallest_conflict(exact, conflict)
    margin = check_farkas(exact, certificate)
    alone = tuple(_alone(exact, i) for i in range(exact.num_constraints))
    names = tuple(exact.names[i] for i in chosen)
    return Infeasibility(
        model, names, certificate, margin, best_achievable(exact), alone, -slater_gap(exact, weights).gap, np.array(relaxation, dtype=object)
    )


def refuse_infeasible(model: ConstrainedMDP) -> NoReturn:
    """InfeasibleError with the diagnosis of a model that a solver found infeasible."""
    try:
        found = diagnose(model)
    except ModelError as error:
        raise InfeasibleError(f"HiGHS finds no policy that meets all thresholds ({error})", None) from error
    if found is None:
        raise ModelError("HiGHS finds no policy that meets all thresholds, within its tolerance, but there are such; use solve_constrained_exactly")
    raise InfeasibleError(found.explain(), found)


def _start_of_slater(exact: ConstrainedMDP, weights: list[Any]) -> list[int]:
    """The first action of every state, the slacks of all constraints but the tightest, and xi (or -xi) with its sign there."""
    states, pairs, count = exact.num_states, exact.mdp.num_pairs, exact.num_constraints
    first = exact.mdp.first_pair[:-1].tolist()
    table = np.full(pairs, 0 * exact.discount, dtype=object)
    table[first] = 1 + 0 * exact.discount
    met = evaluate_constrained(exact, spread(exact.mdp, table))
    upper = [-v if d == ">=" else v for v, d in zip(met.costs, exact.directions, strict=True)]
    slack = [(b - v) / w for b, v, w in zip(exact.upper_thresholds, upper, weights, strict=True)]
    tightest = min(range(count), key=lambda i: slack[i])
    basis = [*first, *(pairs + i for i in range(count))]
    basis[states + tightest] = pairs + count + (0 if slack[tightest] >= 0 else 1)
    return basis


def _weights(model: ConstrainedMDP, weights: Any) -> list[Any]:
    given = rational_array([1] * model.num_constraints if weights is None else weights)
    if given.shape != (model.num_constraints,):
        raise ModelError(f"weights has shape {given.shape}; it must hold one number for each of the {model.num_constraints} constraints")
    for i, w in enumerate(given):
        if w <= 0:
            raise ModelError(f"weights[{i}] is {w}; it must be above 0")
    return given.tolist()


def _in_conflict(exact: ConstrainedMDP, prices: list[Any]) -> list[int]:
    return [i for i in range(exact.num_constraints) if prices[i] > 0]


def _smallest_conflict(exact: ConstrainedMDP, conflict: list[int]) -> tuple[list[int], FarkasCertificate]:
    """Drops one constraint after the other as long as the rest stays infeasible; what is left is in conflict and none of it can be spared."""
    kept = list(conflict)
    for i in conflict:
        rest = [k for k in kept if k != i]
        if rest and feasible_basis(exact.keep(rest)) is None:
            kept = rest
    at = least_violation(exact.keep(kept))
    prices = np.array(at.prices, dtype=object)
    weights = np.array([prices[0] * 0] * exact.num_constraints, dtype=object)
    weights[kept] = prices[exact.num_states :]
    # the prices bound sum -w v from above: -<rho, V> with V = -prices of the flow rows is the least combined cost
    return kept, FarkasCertificate(weights, -prices[: exact.num_states])


def _alone(exact: ConstrainedMDP, i: int) -> Any:
    """The nearest threshold of constraint i that some policy meets together with all the others, or None."""
    others = [k for k in range(exact.num_constraints) if k != i]
    cost = exact.cost_model(i)
    sign = 1 if exact.directions[i] == ">=" else -1
    if not others:
        return best_achievable(exact)[i]
    rest = exact.keep(others)
    rest = rest.replace(mdp=_signed(cost, sign))
    at = optimal_vertex(rest, occupancy_program(rest.exact))
    if at is None:
        return None
    value = sum((at.value(k) * c for k, c in enumerate(exact.costs[i])), exact.discount * 0) / (1 - exact.discount)
    return value


def _signed(cost: Any, sign: int) -> Any:
    """The MDP with its reward times `sign`; exact stays exact."""
    from mdps.model import MDP

    return MDP.from_choices(cost.first_pair, cost.choices, sign * cost.pair_rewards, cost.discount, cost.start).exact


def _normalised(exact: ConstrainedMDP, frequencies: Array) -> Array:
    """(S, A) the policy of an occupancy in rationals; the first action where the state is not visited."""
    first = exact.mdp.first_pair
    table = frequencies * 0
    for s in range(exact.num_states):
        part = slice(int(first[s]), int(first[s + 1]))
        total = frequencies[part].sum()
        if total > 0:
            table[part] = frequencies[part] / total
        else:
            table[int(first[s])] = table[int(first[s])] + 1
    return spread(exact.mdp, table)


def _moved(exact: ConstrainedMDP, i: int, amount: Any) -> Any:
    return exact.thresholds[i] - amount if exact.directions[i] == ">=" else exact.thresholds[i] + amount


def _written(exact: ConstrainedMDP, i: int, bound: Any = None) -> str:
    """'cost <= 3/10'; another bound than the model's is rounded to the side on which it does what is said of it."""
    shown = figure(exact.thresholds[i] if bound is None else bound, 1 if exact.directions[i] == "<=" else -1)
    return f"{exact.names[i]} {exact.directions[i]} {shown}"


def _times(weight: Any) -> str:
    return "" if weight == 1 else f"{figure(weight)} "


def figure(number: Any, side: int = 0) -> str:
    """A fraction as it is where it is short, else a decimal of ten places: the nearest, or the next above (side 1) or below (side -1)."""
    text = str(number)
    if len(text) <= 12:
        return text
    exact = Decimal(int(number.p)) / Decimal(int(number.q))
    with localcontext(prec=10, rounding={0: ROUND_HALF_EVEN, 1: ROUND_CEILING, -1: ROUND_FLOOR}[side]):
        return f"{(+exact).normalize():f}"
