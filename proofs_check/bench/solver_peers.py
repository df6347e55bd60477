"""The programs that the exact solvers are raced against: those that are installed, and what a careful user writes in NumPy and SciPy.

A peer takes a case and returns its programs by label; an empty dictionary where it does not offer what is asked.  The model in the peer's own
form is made outside the clock; `Program.prepare`, also outside, is called before every run of a program that would start warm a second time.
None of the peers proves bounds for a discounted model; of the programs here only "numpy MPI with bounds", Storm's interval and
optimistic value iteration have bounds at all, in floats without regard to rounding.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from proofs_check.bench.instances import Array, Case

TOLERANCE = 1e-8
REACH_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Program:
    """run() -> values, the figure that is timed; prepare() is called before it, off the clock."""

    run: Callable[[], Any]
    prepare: Callable[[], Any] | None = None


def _quantecon(case: Case) -> dict[str, Program]:
    if case.asked != "discounted":
        return {}
    from quantecon.markov import DiscreteDP

    states, actions = case.rewards.shape
    if case.sparse:
        pairs = np.arange(states * actions)
        model = DiscreteDP(case.rewards.ravel(), case.rows, case.discount, pairs // actions, pairs % actions)
    else:
        model = DiscreteDP(case.rewards, case.cube, case.discount)

    def program(method: str) -> Program:
        options = {"epsilon": TOLERANCE, "max_iter": 10**6} if method == "mpi" else {"max_iter": 250}
        return Program(lambda: model.solve(method=method, **options).v)

    direct = not case.sparse or states <= 2000
    return {f"quantecon {method}": program(method) for method in (["mpi", "pi"] if direct else ["mpi"])}


def _numpy(case: Case) -> dict[str, Program]:
    if case.asked == "reach":
        return {"numpy value iteration, no bounds": Program(lambda: numpy_reachability(case))}
    if case.asked == "average":
        return {"numpy relative value iteration": Program(lambda: numpy_relative_value_iteration(case))}
    return {"numpy MPI with bounds": Program(lambda: numpy_modified_policy_iteration(case))}


def numpy_modified_policy_iteration(case: Case, sweeps: int = 60) -> Array:
    """Modified policy iteration with the two-sided bound, in NumPy and SciPy; half width at most TOLERANCE / 2."""
    gamma, P, r = case.discount, case.rows, case.rewards
    states, actions = r.shape
    here = np.arange(states)
    V = np.full(states, r.min() / (1 - gamma))
    for _ in range(100_000):
        Q = r + gamma * (P @ V).reshape(states, actions)
        policy = Q.argmax(1)
        T = Q[here, policy]
        low, high = ((T - V).min() * gamma / (1 - gamma), (T - V).max() * gamma / (1 - gamma))
        if (high - low) / 2 <= TOLERANCE / 2:
            return T + (low + high) / 2
        rows, paid = P[here * actions + policy], r[here, policy]
        V = T
        for _ in range(sweeps):
            V = paid + gamma * (rows @ V)
    raise RuntimeError("no convergence")


def numpy_reachability(case: Case) -> Array:
    """Value iteration from below until nothing moves by 1e-9: what is written where nobody asks for bounds."""
    x = np.zeros(case.rewards.shape[0])
    x[case.goal] = 1
    while True:
        y = (case.rows @ x).reshape(case.rewards.shape).max(1)
        if np.abs(y - x).max() < 1e-9:
            return y
        x = y


def numpy_relative_value_iteration(case: Case) -> Array:
    """Relative value iteration until the span is below twice the tolerance."""
    h = np.zeros(case.rewards.shape[0])
    while True:
        t = (case.rewards + (case.rows @ h).reshape(case.rewards.shape)).max(1)
        d = t - h
        if d.max() - d.min() < 2 * TOLERANCE:
            return np.full(h.size, (d.max() + d.min()) / 2)
        h = t - t[0]


def _mdpsolver(case: Case) -> dict[str, Program]:
    if case.asked != "discounted" or case.rewards.size > 10**6:
        return {}
    import mdpsolver

    states, actions = case.rewards.shape
    fields: dict[str, Any] = {"discount": case.discount, "rewards": case.rewards.tolist()}
    if case.sparse:
        cut = case.rows.indptr.tolist()
        p, columns = case.rows.data.tolist(), case.rows.indices.tolist()
        rows = [range(s * actions, (s + 1) * actions) for s in range(states)]
        fields["tranMatProbs"] = [[p[cut[k] : cut[k + 1]] for k in group] for group in rows]
        fields["tranMatColumns"] = [[columns[cut[k] : cut[k + 1]] for k in group] for group in rows]
    else:
        fields["tranMatWithZeros"] = case.cube.tolist()
    box: list[Any] = [None]

    def prepare() -> None:
        box[0] = mdpsolver.model()
        box[0].mdp(**fields)

    def program(algorithm: str) -> Program:
        def run() -> Array:
            box[0].solve(algorithm=algorithm, tolerance=TOLERANCE, parallel=False)
            return np.array(box[0].getValueVector())

        return Program(run, prepare)

    return {f"mdpsolver {algorithm}": program(algorithm) for algorithm in (("mpi", "pi") if states <= 2000 else ("mpi",))}


def _hiive(case: Case) -> dict[str, Program]:
    if case.asked == "reach" or case.rewards.size > 10**6:
        return {}
    import hiive.mdptoolbox.mdp as toolbox

    states, actions = case.rewards.shape
    parts = [case.rows[a::actions].tocsr() if case.sparse else np.ascontiguousarray(case.cube[:, a]) for a in range(actions)]
    model = tuple(parts) if case.sparse else np.array(parts)

    def average() -> Array:
        solver = toolbox.RelativeValueIteration(model, case.rewards, epsilon=TOLERANCE, max_iter=10**5, skip_check=True)
        solver.gamma = 1  # as released it asks for an attribute that it never sets
        solver.run()
        return np.full(states, solver.average_reward)

    def value() -> Array:
        solver = toolbox.ValueIteration(model, case.rewards, case.discount, epsilon=TOLERANCE, max_iter=10**5, skip_check=True)
        solver.run()
        return np.array(solver.V)

    def policy() -> Array:
        solver = toolbox.PolicyIteration(model, case.rewards, case.discount, max_iter=1000, skip_check=True)
        solver.run()
        return np.array(solver.V)

    def quiet(run: Callable[[], Array]) -> Program:
        def program() -> Array:
            with contextlib.redirect_stdout(io.StringIO()):
                return run()

        return Program(program)

    if case.asked == "average":
        return {"hiive relative VI": quiet(average)}
    small = {"hiive PI": quiet(policy)} if states <= 1000 else {}  # it makes a dense (S, S) matrix
    return {"hiive VI": quiet(value), **small}


def _storm(case: Case) -> dict[str, Program]:
    if not case.sparse:
        return {}
    import stormpy
    import stormpy.environments as environments

    model = _storm_model(case)
    question = {
        "discounted": f'R{{"r"}}max=? [Cdiscount={round(case.discount * 1000)}/1000]',
        "reach": 'Pmax=? [F "goal"]',
        "average": 'R{"r"}max=? [LRA]',
    }[case.asked]
    formula = stormpy.parse_properties(question)[0]
    precision = {"discounted": "1/100000000", "reach": "1/1000000", "average": "1/100000000"}[case.asked]

    def program(method: str) -> Program:
        environment = environments.default(model)
        solver = environment.solver() if callable(environment.solver) else environment.solver
        settings = solver.min_max() if callable(solver.min_max) else solver.min_max
        settings.method = getattr(environments.MinMaxMethod, method)
        settings.precision = environments.Rational(precision)
        settings.relative_termination_criterion = False
        settings.maximal_number_of_iterations = 10**7

        def run() -> Array:
            found = stormpy.model_checking(model, formula, environment=environment, extract_scheduler=False)
            return np.array(found.get_value_vector())

        return Program(run)

    if case.asked == "reach":
        return {
            "Storm optimistic VI": program("OPTIMISTIC_VALUE_ITERATION"),
            "Storm topological": program("TOPOLOGICAL"),
            "Storm interval iteration": program("INTERVAL_ITERATION"),
        }
    return {f"Storm {'LRA' if case.asked == 'average' else 'VI'}": program("VALUE_ITERATION")}


def _storm_model(case: Case) -> Any:
    from stormpy.datastructures import SparseMatrixBuilder
    from stormpy.models import SparseMdp, SparseModelComponents, SparseRewardModel, StateLabeling

    states, actions = case.rewards.shape
    rows = case.rows.tocsr().sorted_indices()
    builder = SparseMatrixBuilder[float](rows=rows.shape[0], columns=states, entries=rows.nnz, has_custom_row_grouping=True, row_groups=states)
    owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    builder.add_next_values(owner.tolist(), rows.indices.tolist(), rows.data.tolist(), list(range(0, rows.shape[0], actions)))
    labels = StateLabeling(states)
    labels.add_label("init")
    labels.add_label_to_state("init", 0)
    labels.add_label("goal")
    if case.goal >= 0:
        labels.add_label_to_state("goal", case.goal)
    paid = SparseRewardModel[float](optional_state_action_reward_vector=case.rewards.ravel().tolist())
    return SparseMdp[float](SparseModelComponents[float](transition_matrix=builder.build(), state_labeling=labels, reward_models={"r": paid}))


PEERS: dict[str, tuple[str, Callable[[Case], dict[str, Program]]]] = {
    "quantecon": ("quantecon", _quantecon),
    "numpy": ("numpy", _numpy),
    "mdpsolver": ("mdpsolver", _mdpsolver),
    "hiive": ("hiive", _hiive),
    "storm": ("stormpy", _storm),
}
"""Name -> (module that must be importable, programs of a case)."""
