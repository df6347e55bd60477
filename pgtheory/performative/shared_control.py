"""A gridworld under shared control: a principal chooses a move, followers may take over, and they answer the principal's policy.

In each cell the principal draws a move from pi.  A follower who believes that the cells pay w_k either lets it happen or makes a move of their own
for `cost` more, and is optimal for themselves given pi: Q_k(s, b), b one of the moves or "let it happen", from

    Q_k(s, move) = w_k(s') - cost + gamma max_b Q_k(s', b),      Q_k(s, let it happen) = sum_a pi(a|s) [w_k(s'_a) + gamma max_b Q_k(s'_a, b)]

Together they answer with the softmax of beta times the mean of Q_k over the followers.  The principal then faces the model in which a move is
overruled that often: it pays the true value of the cell that is entered.  The goal ends the process (it is no state of the model), moves against a
wall stay.  How strongly this answers, eps_r and eps_p, grows with beta and is not known in closed form.
Mandal, Triantafyllou, Radanovic (2023), experiments.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.performative.model import Performative, policy_of

Array = np.ndarray
MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""Left, right, up, down as steps (row, column)."""
SETTLED = 1e-13
"""Change of the followers' values, in reward units, below which value iteration stops; the error left is at most gamma / (1 - gamma) times that."""


@dataclasses.dataclass(frozen=True, eq=False)
class SharedControl:
    """grid (rows, columns), what entering a cell pays; believed (K, rows, columns), what the followers think it pays; the goal is the last cell.

    raises   ModelError: shapes that do not fit, no follower, a discount outside [0, 1), a negative cost or beta"""

    grid: Array
    believed: Array
    beta: float
    discount: float = 0.9
    cost: float = 0.05

    def __post_init__(self) -> None:
        grid, believed = np.asarray(self.grid, dtype=np.float64), np.asarray(self.believed, dtype=np.float64)
        if grid.ndim != 2 or believed.shape[1:] != grid.shape or not len(believed) or grid.size < 2:
            raise ModelError(f"grid has shape {grid.shape} and believed {believed.shape}; it must be (rows, columns) and (followers, rows, columns)")
        if not 0 <= self.discount < 1 or not self.cost >= 0 or not self.beta >= 0:
            raise ModelError(f"discount {self.discount} must lie in [0, 1), cost {self.cost} and beta {self.beta} must not be negative")
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "believed", believed)

    @property
    def goal(self) -> int:
        return self.grid.size - 1

    def successors(self) -> Array:
        """(cells, 4): where each move leads; the goal is left by none."""
        rows, columns = self.grid.shape
        row, column = np.divmod(np.arange(self.grid.size), columns)
        down, right = np.array(MOVES).T
        ahead = np.stack([row[:, None] + down, column[:, None] + right])
        inside = (ahead[0] >= 0) & (ahead[0] < rows) & (ahead[1] >= 0) & (ahead[1] < columns)
        found = np.where(inside, ahead[0] * columns + ahead[1], np.arange(self.grid.size)[:, None])
        found[self.goal] = self.goal
        return found

    def start(self) -> Array:
        """(cells - 1,): uniform on the first row and the first column."""
        first = np.zeros(self.grid.shape)
        first[0], first[:, 0] = 1, 1
        first.reshape(-1)[self.goal] = 0
        return first.reshape(-1)[: self.goal] / first.sum()

    def first_policy(self, doubt: float = 0.1) -> Array:
        """(cells - 1, 4): the best move without followers with probability 1 - doubt, the others equally."""
        ahead = self.successors()
        pay, values = self._pay(self.grid[None])[0], np.zeros(self.grid.size)
        for _ in range(self._sweeps(np.abs(pay).max())):
            values = (pay + self.discount * values[ahead]).max(axis=1)
            values[self.goal] = 0
        best = (pay + self.discount * values[ahead]).argmax(axis=1)[: self.goal]
        policy = np.full((self.goal, 4), doubt / 3)
        policy[np.arange(self.goal), best] = 1 - doubt
        return policy

    def _sweeps(self, largest: float) -> int:
        """Sweeps after which values of rewards up to `largest` are known to SETTLED."""
        if self.discount == 0 or largest == 0:
            return 1
        return int(np.ceil(np.log(SETTLED * (1 - self.discount) / largest) / np.log(self.discount)))

    def _pay(self, cells: Array) -> Array:
        """(K, cells, 4): what a move pays, 0 at the goal."""
        pay = cells.reshape(len(cells), -1)[:, self.successors()]
        pay[:, self.goal] = 0
        return pay

    def followers(self, policy: Array) -> Array:
        """(cells - 1, 5): how often each move is made for the principal, and (last) how often none is."""
        ahead, pay = self.successors(), self._pay(self.believed)
        moves = np.vstack([policy, np.full((1, 4), 0.25)])
        values = np.zeros(pay.shape[:2])
        while True:
            own = pay + self.discount * values[:, ahead]
            action_values = np.concatenate([own - self.cost, (moves * own).sum(axis=-1, keepdims=True)], axis=-1)
            action_values[:, self.goal] = 0
            new = action_values.max(axis=-1)
            settled, values = np.abs(new - values).max() < SETTLED, new
            if settled:
                break
        tilt = self.beta * action_values.mean(axis=0)[: self.goal]
        weight = np.exp(tilt - tilt.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def answer(self, occupancy: Array) -> tuple[Array, Array]:
        """(transitions (cells - 1, 4, cells - 1), rewards (cells - 1, 4)) that the principal faces; it depends on the policy alone."""
        share, ahead = self.followers(policy_of(occupancy)), self.successors()[: self.goal]
        pay, cells = self._pay(self.grid[None])[0, : self.goal], np.arange(self.goal)
        taken = np.zeros((self.goal, self.grid.size))
        for b in range(4):
            np.add.at(taken, (cells, ahead[:, b]), share[:, b])
        transitions = np.repeat(taken[:, None], 4, axis=1)
        for a in range(4):
            transitions[cells, a, ahead[:, a]] += share[:, 4]
        rewards = (share[:, :4] * pay).sum(axis=1)[:, None] + share[:, 4:] * pay
        return transitions[..., : self.goal], rewards

    def model(self) -> Performative:
        """The answering environment of the principal."""
        return Performative(self.answer, self.discount, self.start(), 4, name=f"shared control, beta {self.beta:g}")


def from_json(data: dict[str, Any], beta: float) -> SharedControl:
    """The released instance: fields "grid" and "perturbed_grids" (followers, cells)."""
    grid = np.asarray(data["grid"], dtype=np.float64)
    return SharedControl(grid, np.asarray(data["perturbed_grids"], dtype=np.float64).reshape(-1, *grid.shape), beta)
