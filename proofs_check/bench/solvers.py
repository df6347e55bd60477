"""Exact solvers: time to an answer good to 1e-8 in every state, this library and its peers side by side in one process.

The instances are generated from a seed: dense and sparse Garnets, a dense one that mixes slowly, a slippery grid with an absorbing goal, forest
management, FrozenLake and Taxi from gymnasium, an average-reward Garnet and a reachability grid.  Every answer is compared with ours before the
times are: a peer that is off by more than 1e-7 is reported with its error and without a ratio.  Ours carries proved bounds in every row; of the
peers only "numpy MPI with bounds" has bounds at all.

"numpy MPI with bounds" is what a careful user writes in NumPy and SciPy: modified policy iteration, 60 sweeps of the greedy policy between Bellman
sweeps, stopped by the two-sided bound.  A row says how many bytes of the model one second of ours reads, beside the machine's copy bandwidth.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps import MDP
from proofs_check.bench.clock import OURS, Row, race, table

Array = np.ndarray
TOLERANCE = 1e-8
AGREE = 1e-7
PEERS = ("quantecon", "numpy", "mdpsolver", "hiive")
CASES = ("dense500", "slow500", "sparse99", "sparse999", "grid100", "forest1000", "frozenlake8", "taxi", "average", "reach100")
LARGE_CASES = ("dense2000", "grid1000")


@dataclass(frozen=True)
class Case:
    """One instance: choice matrix (S*A, S), rewards (S, A), discount; what is asked of it."""

    name: str
    rows: Any
    rewards: Array
    discount: float
    asked: str = "discounted"
    goal: int = -1

    @property
    def sparse(self) -> bool:
        return not isinstance(self.rows, np.ndarray)

    @property
    def cube(self) -> Array:
        states, actions = self.rewards.shape
        return self.rows.reshape(states, actions, states)

    def mdp(self) -> MDP:
        return MDP(self.rows if self.sparse else self.cube, self.rewards, self.discount, name=self.name)


def bench(cases: Sequence[str] | None = None, peers: Sequence[str] | None = None, seconds: float = 4.0) -> list[Row]:
    """Runs `cases` (by default CASES; LARGE_CASES take minutes) against the installed `peers` and prints a table.  seconds: budget of one case."""
    from rich.console import Console

    console = Console()
    chosen = [name for name in (peers or PEERS) if _installed(name)]
    rows: list[Row] = []
    for name in cases or CASES:
        case = make_case(name)
        mdp = case.mdp()
        programs: dict[str, Callable[[], object]] = {OURS: _ours(case, mdp)}
        values = np.asarray(programs[OURS]())
        for peer in chosen:
            for label, program in _PEERS[peer](case).items():
                error = _error(case, program, values)
                if error <= AGREE:
                    programs[label] = program
                else:
                    console.print(f"{name}: {label} is off by {error:.1e}; not timed", highlight=False)
        found = race(name, "solves/s", 1.0, programs, seconds)
        rows += found
        if case.asked == "discounted":
            console.print(f"{name}: {_traffic(case, mdp, found[0].rate)}", highlight=False, soft_wrap=True)
    console.print(table(rows, "Exact solvers, accuracy 1e-8"))
    return rows


def copy_bandwidth() -> float:
    """Bytes per second that a copy of 64 MB reads and writes, best of five."""
    import time

    source = np.zeros(2**23)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return 2 * source.nbytes / best


def _traffic(case: Case, mdp: MDP, rate: float) -> str:
    from pgtheory.exact import solve

    found = solve(mdp, tol=TOLERANCE, on_limit="return")
    size = case.rows.nbytes if not case.sparse else case.rows.data.nbytes + case.rows.indices.nbytes
    work = found.details.get("sweep_equivalents", float(found.iterations))
    moved = work * size * rate
    return f"{found.method}; {work:.1f} readings of the model, {moved / 1e9:.2f} GB/s (a copy moves {copy_bandwidth() / 1e9:.1f} GB/s)"


def _error(case: Case, program: Callable[[], object], values: Array) -> float:
    answer = np.asarray(program())
    if case.asked == "reach":
        return 0.0 if np.max(np.abs(answer - values)) <= 1e-5 else float(np.max(np.abs(answer - values)))
    return float(np.max(np.abs(answer - values))) if np.all(np.isfinite(answer)) else np.inf


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _ours(case: Case, mdp: MDP) -> Callable[[], object]:
    from pgtheory.exact import reachability, solve, solve_average

    if case.asked == "average":
        return lambda: solve_average(mdp, TOLERANCE).gain
    if case.asked == "reach":
        return lambda: reachability(mdp, [case.goal], "max", tol=1e-6).values
    return lambda: solve(mdp, tol=TOLERANCE).values


# Instances


def make_case(name: str) -> Case:
    """The instance of that name (CASES and LARGE_CASES)."""
    makers: dict[str, Callable[[], Case]] = {
        "dense500": lambda: dense_garnet(name, 500, 10),
        "dense2000": lambda: dense_garnet(name, 2000, 10),
        "slow500": lambda: slow_dense(name, 500, 10),
        "sparse99": lambda: sparse_garnet(name, 100_000, 4, 0.99),
        "sparse999": lambda: sparse_garnet(name, 100_000, 4, 0.999),
        "grid100": lambda: grid(name, 100, 0.99),
        "grid1000": lambda: grid(name, 1000, 0.99),
        "forest1000": lambda: forest(name, 1000),
        "frozenlake8": lambda: from_gymnasium(name, "FrozenLake-v1", map_name="8x8"),
        "taxi": lambda: from_gymnasium(name, "Taxi-v3"),
        "average": lambda: sparse_garnet(name, 10_000, 4, 0.99, asked="average"),
        "reach100": lambda: reach_grid(name, 100),
    }
    if name not in makers:
        raise ValueError(f"unknown case {name!r}; known: {', '.join(makers)}")
    return makers[name]()


def dense_garnet(name: str, states: int, actions: int, discount: float = 0.99, seed: int = 1) -> Case:
    """Rows Dirichlet(1, ..., 1), rewards uniform in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_exponential((states * actions, states))
    rows /= rows.sum(1, keepdims=True)
    return Case(name, rows, rng.random((states, actions)), discount)


def slow_dense(name: str, states: int, actions: int, blocks: int = 10, leak: float = 1e-3, seed: int = 5) -> Case:
    """Blocks that are left with probability 0.001, rows Dirichlet(0.01) inside: slow mixing, no help from averaging."""
    rng = np.random.default_rng(seed)
    rows = rng.gamma(0.01, size=(states * actions, states)) + 1e-300
    block = np.arange(states) * blocks // states
    rows *= np.repeat(block, actions)[:, None] == block[None, :]
    rows /= rows.sum(1, keepdims=True)
    rows = (1 - leak) * rows + leak / states
    return Case(name, rows / rows.sum(1, keepdims=True), rng.random((states, actions)) + block[:, None] / blocks, 0.99)


def sparse_garnet(name: str, states: int, actions: int, discount: float, branches: int = 5, seed: int = 2, asked: str = "discounted") -> Case:
    """`branches` distinct successors a row, probabilities cut at random."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    pairs = states * actions
    successors = np.sort(rng.integers(0, states, (pairs, branches)), axis=1)
    while (again := np.flatnonzero((np.diff(successors, axis=1) == 0).any(1))).size:
        successors[again] = np.sort(rng.integers(0, states, (again.size, branches)), axis=1)
    cuts = np.sort(rng.random((pairs, branches - 1)), axis=1)
    p = np.diff(np.concatenate([np.zeros((pairs, 1)), cuts, np.ones((pairs, 1))], 1), axis=1)
    shape = np.arange(0, pairs * branches + 1, branches, dtype=np.int32)
    rows = csr_matrix((p.ravel(), successors.ravel().astype(np.int32), shape), shape=(pairs, states))
    return Case(name, rows, rng.random((states, actions)), discount, asked)


def _moves(side: int) -> Array:
    """(S, 4) the cell that each of the four moves leads to; walls hold."""
    row, column = np.divmod(np.arange(side * side), side)
    steps = ((-1, 0), (0, 1), (1, 0), (0, -1))
    return np.stack([np.clip(row + a, 0, side - 1) * side + np.clip(column + b, 0, side - 1) for a, b in steps], 1)


def _slippery(after: Array, slip: float) -> Any:
    """Choice matrix: a move goes as meant with 1 - 2 slip, to each side with slip."""
    from scipy.sparse import csr_matrix

    states = after.shape[0]
    a = np.arange(4)
    successors = np.stack([after[:, a], after[:, (a + 1) % 4], after[:, (a + 3) % 4]], 2)
    p = np.broadcast_to(np.array([1 - 2 * slip, slip, slip]), successors.shape)
    rows = csr_matrix(
        (np.ascontiguousarray(p).ravel(), successors.ravel().astype(np.int32), np.arange(0, states * 12 + 1, 3)), shape=(states * 4, states)
    )
    rows.sum_duplicates()
    return rows


def grid(name: str, side: int, discount: float, slip: float = 0.1, seed: int = 3) -> Case:
    """Slippery grid: every step costs U[0.5, 1.5], the last cell is absorbing and free."""
    rng = np.random.default_rng(seed)
    after = _moves(side)
    after[-1] = side * side - 1
    rewards = np.repeat(-rng.uniform(0.5, 1.5, side * side)[:, None], 4, 1)
    rewards[-1] = 0
    return Case(name, _slippery(after, slip), rewards, discount)


def reach_grid(name: str, side: int, slip: float = 0.1, seed: int = 4) -> Case:
    """The grid with one cell in twenty a hole and a crash rate of U[0, 0.002] a step; asked: the largest probability of reaching the last cell."""
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(seed)
    states = side * side
    after = _moves(side)
    ends = rng.random(states) < 0.05
    ends[0], ends[-1] = False, True
    after[ends] = np.flatnonzero(ends)[:, None]
    crash = np.repeat(np.where(ends, 0.0, rng.uniform(0, 0.002, states)), 4)
    hole = int(np.flatnonzero(ends)[0])
    fall = csr_matrix((crash, (np.arange(crash.size), np.full(crash.size, hole))), shape=(crash.size, states))
    moves = _slippery(after, slip)
    moves.data = moves.data * np.repeat(1 - crash, np.diff(moves.indptr))
    rows = csr_matrix(moves + fall)
    rows.eliminate_zeros()
    return Case(name, rows, np.zeros((states, 4)), 0.5, "reach", states - 1)


def forest(name: str, states: int, fire: float = 0.1, old: float = 4.0, cut: float = 2.0) -> Case:
    """Forest management of the MDP toolbox: wait or cut."""
    from scipy.sparse import csr_matrix

    s = np.arange(states)
    row = np.concatenate([2 * s, 2 * s, 2 * s + 1])
    column = np.concatenate([0 * s, np.minimum(s + 1, states - 1), 0 * s])
    rows = csr_matrix(
        (np.concatenate([np.full(states, fire), np.full(states, 1 - fire), np.ones(states)]), (row, column)), shape=(2 * states, states)
    )
    rewards = np.zeros((states, 2))
    rewards[1:, 1] = 1
    rewards[-1] = old, cut
    return Case(name, rows, rewards, 0.99)


def from_gymnasium(name: str, env: str, **options: Any) -> Case:
    """The table of a gymnasium environment; transitions that end the episode lead to one added absorbing state of reward 0."""
    import gymnasium
    from scipy.sparse import csr_matrix

    if env == "Taxi-v3" and env not in gymnasium.registry:
        env = "Taxi-v4"
    outcomes = gymnasium.make(env, **options).unwrapped.P  # type: ignore[attr-defined]
    count, actions = len(outcomes), len(outcomes[0])
    entries = [(s * actions + a, count if done else t, p, r) for s in range(count) for a in range(actions) for p, t, r, done in outcomes[s][a]]
    row, column, p, paid = (np.array(part) for part in zip(*entries, strict=True))
    rewards = np.bincount(row, p * paid, minlength=(count + 1) * actions).reshape(count + 1, actions)
    row, column = np.append(row, count * actions + np.arange(actions)), np.append(column, np.full(actions, count))
    rows = csr_matrix((np.append(p, np.ones(actions)), (row, column)), shape=((count + 1) * actions, count + 1))
    rows.sum_duplicates()
    return Case(name, rows, rewards, 0.99)


# Peers


def _quantecon(case: Case) -> dict[str, Callable[[], object]]:
    if case.asked != "discounted":
        return {}
    from quantecon.markov import DiscreteDP

    states, actions = case.rewards.shape
    if case.sparse:
        pairs = np.arange(states * actions)
        model = DiscreteDP(case.rewards.ravel(), case.rows, case.discount, pairs // actions, pairs % actions)
    else:
        model = DiscreteDP(case.rewards, case.cube, case.discount)
    methods = ["mpi"] if case.sparse else ["mpi", "pi"]

    def program(method: str) -> Callable[[], object]:
        options = {"epsilon": TOLERANCE, "max_iter": 10**6} if method == "mpi" else {"max_iter": 250}
        return lambda: model.solve(method=method, **options).v

    return {f"quantecon {method}": program(method) for method in methods}


def _numpy(case: Case) -> dict[str, Callable[[], object]]:
    if case.asked == "reach":
        return {"numpy value iteration, no bounds": lambda: numpy_reachability(case)}
    if case.asked == "average":
        return {"numpy relative value iteration": lambda: numpy_relative_value_iteration(case)}
    return {"numpy MPI with bounds": lambda: numpy_modified_policy_iteration(case)}


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


def _mdpsolver(case: Case) -> dict[str, Callable[[], object]]:
    if case.asked != "discounted" or case.rewards.size > 10**6:
        return {}
    import mdpsolver

    states, actions = case.rewards.shape

    def program() -> Array:
        model = mdpsolver.model()
        if case.sparse:
            cut = [(case.rows.indptr[k], case.rows.indptr[k + 1]) for k in range(states * actions)]
            p = [[case.rows.data[b:e].tolist() for b, e in cut[s * actions : (s + 1) * actions]] for s in range(states)]
            columns = [[case.rows.indices[b:e].tolist() for b, e in cut[s * actions : (s + 1) * actions]] for s in range(states)]
            model.mdp(discount=case.discount, rewards=case.rewards.tolist(), tranMatProbs=p, tranMatColumns=columns)
        else:
            model.mdp(discount=case.discount, rewards=case.rewards.tolist(), tranMatWithZeros=case.cube.tolist())
        model.solve(algorithm="mpi", tolerance=TOLERANCE, parallel=False)
        return np.array(model.getValueVector())

    return {"mdpsolver mpi, building included": program}


def _hiive(case: Case) -> dict[str, Callable[[], object]]:
    if case.asked == "reach":
        return {}
    import hiive.mdptoolbox.mdp as toolbox

    states, actions = case.rewards.shape
    parts = [case.rows[a::actions].tocsr() if case.sparse else np.ascontiguousarray(case.cube[:, a]) for a in range(actions)]
    model = tuple(parts) if case.sparse else np.array(parts)

    def program() -> Array:
        with contextlib.redirect_stdout(io.StringIO()):
            if case.asked == "average":
                solver = toolbox.RelativeValueIteration(model, case.rewards, epsilon=TOLERANCE, max_iter=10**5)
                solver.run()
                return np.full(states, solver.average_reward)
            solver = toolbox.PolicyIterationModified(model, case.rewards, case.discount, epsilon=TOLERANCE, max_iter=100, skip_check=True)
            solver.run()
        return np.array(solver.V)

    return {"mdptoolbox-hiive": program}


_PEERS: dict[str, Callable[[Case], dict[str, Callable[[], object]]]] = {
    "quantecon": _quantecon,
    "numpy": _numpy,
    "mdpsolver": _mdpsolver,
    "hiive": _hiive,
}


if __name__ == "__main__":
    import sys

    bench(sys.argv[1:] or None)
