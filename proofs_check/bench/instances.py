"""The instances on which the exact solvers are raced, generated from a seed.

Dense and sparse Garnets, a dense model that mixes slowly, a slippery grid with an absorbing goal, forest management, FrozenLake and Taxi from
gymnasium, an average-reward Garnet and a reachability grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdps import MDP

Array = np.ndarray
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
