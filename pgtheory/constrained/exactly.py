"""The constrained optimum in rationals: HiGHS proposes a vertex, the simplex method finishes it without rounding, a separate check proves it.

Columns of the program: the pairs (s, a), then a slack for each constraint, then (where feasibility is in question) a violation for each:

    sum_a x(s, a) - gamma sum P(s | s', a') x(s', a') = (1 - gamma) rho(s)              S rows
    <x, c_i> + slack_i - violation_i = (1 - gamma) b_i                                  m rows

A basis of this program is easily found: one action in every state (a deterministic policy; I - gamma P is invertible) and for each constraint its
slack, or its violation where the policy misses the threshold.  It is feasible for the program with violations, which is how the search begins where
HiGHS's vertex is of no use.  At HiGHS's vertex, further actions of a state take the places of slacks that are 0: in terms of the policy's cost
advantages this is elimination in a matrix of m rows.

For data in rationals the optimum, the policy and the multipliers are rational.  Source: Altman (1999), chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError
from mdps.rational import to_float
from pgtheory.constrained.certificate import ConstrainedCertificate, check_constrained
from pgtheory.constrained.program import checked, evaluate_constrained
from pgtheory.exact.certificate import sparse_rows
from pgtheory.exact.evaluation import action_values, spread, state_values
from pgtheory.exact.simplex import Program, Ray, SingularBasisError, Vertex, gains, is_feasible, maximise, repair, vertex

Array = np.ndarray
MOST_ROWS = 400
"""States plus constraints up to which the program is solved in rationals: a pivot then takes seconds, and memory stays small."""
PRESENT = 1e-9
"""What HiGHS's figure must exceed to be taken for a positive one when the first basis is chosen; a wrong guess costs pivots, nothing else."""


@dataclass(frozen=True)
class ExactConstrainedSolution:
    """The constrained optimum in rationals; all numbers are `flint.fmpq`.

    value            V_r*(rho) under the constraints
    policy           (S, A) optimal; greedy for the Lagrangian in states that it does not visit
    occupancy        (S, A) sums to 1, a vertex of the polytope
    multipliers      (m,) at least 0: an optimal choice (`multiplier_ranges` has all)
    cost_values      (m,) of `policy`, as given
    state_values     (S,) with V >= r - <lambda, c> + gamma P V
    extra_actions    actions in use beyond one in every visited state: at most m
    certificate      what `check_constrained(model, certificate)` verifies without trusting the solver; it has been
    """

    value: Any
    policy: Array = field(repr=False)
    occupancy: Array = field(repr=False)
    multipliers: Array
    cost_values: Array
    state_values: Array = field(repr=False)
    extra_actions: int
    certificate: ConstrainedCertificate = field(repr=False)
    model: ConstrainedMDP = field(repr=False)
    basis: tuple[int, ...] = field(repr=False)
    pivots: int = 0


def solve_constrained_exactly(model: ConstrainedMDP) -> ExactConstrainedSolution:
    """The optimum of `model.exact` in rationals, with a certificate that has been checked.

    raises   InfeasibleError: no policy meets all thresholds, with a checked certificate of the conflict.
             ModelError: more than MOST_ROWS states and constraints together, or no ConstrainedMDP
    """
    model = checked(model)
    refuse_large(model)
    program = occupancy_program(model.exact)
    at = optimal_vertex(model, program)
    if at is None:
        from pgtheory.constrained.feasibility import refuse_infeasible

        refuse_infeasible(model)
    return read_vertex(model, program, at)


def refuse_large(model: ConstrainedMDP) -> None:
    rows = model.num_states + model.num_constraints
    if rows > MOST_ROWS:
        raise ModelError(f"the program has {rows:,} rows, too many for rationals (at most {MOST_ROWS}); solve_constrained works in floats")


def occupancy_program(exact: ConstrainedMDP, violations: bool = False) -> Program:
    """The program above for a model in rationals, with or without violations (whose objective is 0)."""
    from flint import fmpq

    mdp, gamma, zero = exact.mdp, exact.discount, fmpq(0)
    rows, states, count = sparse_rows(mdp), exact.num_states, exact.num_constraints
    owner = np.repeat(np.arange(states), np.diff(mdp.first_pair)).tolist()
    costs, paid = exact.upper_costs.tolist(), mdp.pair_rewards.tolist()
    columns = []
    for pair, row in enumerate(rows):
        entries = {owner[pair]: fmpq(1)}
        for successor, p in row:
            entries[successor] = entries.get(successor, zero) - gamma * p
        entries |= {states + i: cost[pair] for i, cost in enumerate(costs)}
        columns.append([(i, v) for i, v in entries.items() if v != 0])
    signs = (1, -1) if violations else (1,)
    columns += [[(states + i, fmpq(sign))] for sign in signs for i in range(count)]
    rhs = [((1 - gamma) * p,) for p in mdp.start.tolist()] + [((1 - gamma) * b,) for b in exact.upper_thresholds.tolist()]
    return Program(columns, [*paid, *[zero] * (count * len(signs))], rhs)


def optimal_vertex(model: ConstrainedMDP, program: Program) -> Vertex | None:
    """An optimal vertex of `occupancy_program(model.exact)`, or None where nothing is feasible."""
    found = from_floats(model, program)
    if found is not None:
        return found if isinstance(found, Vertex) else None
    start = feasible_basis(model)
    return None if start is None else maximise(program, start)


def feasible_basis(model: ConstrainedMDP) -> list[int] | None:
    """A basis of `occupancy_program` whose point is >= 0, or None where there is none: the sum of violations is minimised first."""
    at = least_violation(model)
    slack, violation = model.mdp.num_pairs, model.mdp.num_pairs + model.num_constraints
    if any(at.value(violation + i) > 0 for i in range(model.num_constraints)):
        return None
    return [j - violation + slack if j >= violation else j for j in at.basis]  # a violation of 0 and its slack are the same column


def least_violation(model: ConstrainedMDP, weights: Any = None) -> Vertex:
    """The vertex at which sum_i weights_i violation_i is least (weights 1 if left out); its prices prove it.

    In the units of normalised occupancies: divide by 1 - gamma for discounted sums.
    """
    from flint import fmpq

    exact = model.exact
    program = occupancy_program(exact, violations=True)
    pairs, count = model.mdp.num_pairs, model.num_constraints
    price = [fmpq(1)] * count if weights is None else list(weights)
    objective = [fmpq(0)] * (pairs + count) + [-w for w in price]
    program = Program(program.columns, objective, program.rhs)
    found = from_floats(exact, program)
    return found if isinstance(found, Vertex) else maximise(program, policy_basis(exact))


def policy_basis(exact: ConstrainedMDP) -> list[int]:
    """The first action of every state, and for each constraint its slack, or its violation where those actions miss the threshold."""
    from flint import fmpq

    pairs, count = exact.mdp.num_pairs, exact.num_constraints
    first = exact.mdp.first_pair[:-1].tolist()
    table = np.full(pairs, fmpq(0), dtype=object)
    table[first] = fmpq(1)
    missed = evaluate_constrained(exact, spread(exact.mdp, table)).violations
    return [*first, *(pairs + i + (count if missed[i] > 0 else 0) for i in range(count))]


def read_vertex(model: ConstrainedMDP, program: Program, at: Vertex) -> ExactConstrainedSolution:
    """The solution that an optimal vertex of the program stands for, certificate checked."""
    exact = model.exact
    mdp, states, pairs = exact.mdp, exact.num_states, exact.mdp.num_pairs
    frequencies = np.array([at.prices[0] * 0] * pairs, dtype=object)
    for j, x in zip(at.basis, at.point, strict=True):
        if j < pairs:
            frequencies[j] = x[0]
    prices = np.array(at.prices, dtype=object)
    certificate = ConstrainedCertificate(frequencies, prices[states:], prices[:states])
    value = check_constrained(model, certificate)
    gain = np.array(gains(program, at)[:pairs], dtype=object)
    policy = np.array([at.prices[0] * 0] * pairs, dtype=object)
    extra = 0
    for s in range(states):
        part = slice(int(mdp.first_pair[s]), int(mdp.first_pair[s + 1]))
        total = frequencies[part].sum()
        if total > 0:
            policy[part] = frequencies[part] / total
            extra += sum(1 for x in frequencies[part] if x > 0) - 1
        else:
            best = int(mdp.first_pair[s]) + max(range(part.stop - part.start), key=lambda a, at=part.start: gain[at + a])  # type: ignore[misc]
            policy[best] = policy[best] + 1
    costs = np.array([(frequencies * c).sum() / (1 - exact.discount) for c in exact.costs], dtype=object)
    return ExactConstrainedSolution(
        value, spread(mdp, policy), spread(mdp, frequencies), certificate.multipliers, costs, certificate.values, extra, certificate, model,
        tuple(at.basis), at.pivots,
    )  # fmt: skip


def from_floats(model: ConstrainedMDP, program: Program) -> Vertex | Ray | None:
    """The optimal vertex of a program with the rows above, from the vertex at which HiGHS stops; None where that leads nowhere.

    program   its first columns are the pairs; the others touch the rows of the constraints only
    """
    basis = _proposed(model, program)
    if basis is None:
        return None
    try:
        at = vertex(program, basis)
    except SingularBasisError:
        return None
    if is_feasible(at):
        return maximise(program, basis)
    return None if any(g > 0 for g in gains(program, at)) else repair(program, basis)


def _proposed(model: ConstrainedMDP, program: Program) -> list[int] | None:
    """The basis at HiGHS's vertex: its main action in every state, and m of the other columns, those in use first."""
    found = _in_floats(program)
    if found.x is None:
        return None
    source, x = model.float, found.x
    first, pairs, states = source.mdp.first_pair, source.mdp.num_pairs, source.num_states
    gain = found.lower.marginals  # by how much less a column would bring: 0 in the basis
    main = []
    for s in range(states):
        part = slice(int(first[s]), int(first[s + 1]))
        main.append(int(first[s]) + int(np.argmax(x[part]) if x[part].max() > PRESENT else np.argmin(gain[part])))
    rest = sorted((j for j in range(x.size) if j not in set(main) and (j >= pairs or x[j] > PRESENT)), key=lambda j: -x[j])
    policy = np.zeros(pairs)
    policy[main] = 1.0
    chosen = _independent(_without_policy(source, program, spread(source.mdp, policy), rest))
    return None if chosen is None else [*main, *(rest[k] for k in chosen)]


def _in_floats(program: Program) -> Any:
    """HiGHS's answer, with every row and the objective scaled to entries of at most 1."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    entries = [(i, j, float(v.p) / float(v.q)) for j, column in enumerate(program.columns) for i, v in column]
    rows, columns, data = (np.array(part) for part in zip(*entries, strict=True))
    size = np.zeros(len(program.rhs))
    np.maximum.at(size, rows, np.abs(data))
    size[size == 0] = 1.0
    objective, right = (to_float(np.array(part, dtype=object)) for part in (list(program.objective), [b[0] for b in program.rhs]))
    matrix = csr_array((data / size[rows], (rows, columns)), shape=(size.size, len(program.columns)))
    return linprog(-objective / (np.max(np.abs(objective)) or 1.0), A_eq=matrix, b_eq=right / size, bounds=(0, None), method="highs")


def _without_policy(model: ConstrainedMDP, program: Program, policy: Array, columns: list[int]) -> Array:
    """(m, columns) what is left of the columns in the rows of the constraints once those of `policy` are eliminated: cost advantages of actions."""
    states, pairs, mask = model.num_states, model.mdp.num_pairs, model.mdp.action_mask
    left = np.zeros((model.num_constraints, len(columns)))
    for i, cost in enumerate(model.upper_costs):
        priced = model.cost_model(i)
        values = state_values(priced, policy)
        advantages = (action_values(priced, values=values) - values[:, None])[mask] * (-1 if model.directions[i] == ">=" else 1)
        size = np.max(np.abs(cost)) or 1.0
        for k, j in enumerate(columns):
            entry = advantages[j] if j < pairs else sum(float(v.p) / float(v.q) for row, v in program.columns[j] if row == states + i)
            left[i, k] = entry / size
    return left


def _independent(left: Array) -> list[int] | None:
    """One column for each row, the first ones that will do, by elimination; None where there are not enough."""
    left = left.copy()
    free, chosen = list(range(left.shape[0])), []
    for column in range(left.shape[1]):
        if not free:
            break
        row = max(free, key=lambda k: abs(left[k, column]))
        if abs(left[row, column]) <= PRESENT:
            continue
        chosen.append(column)
        free.remove(row)
        for k in free:
            left[k] -= left[k, column] / left[row, column] * left[row]
    return None if free else chosen
