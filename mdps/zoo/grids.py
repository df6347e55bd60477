"""Grid worlds with their own tables: no gymnasium needed.  Where the moves are certain, V* is a closed form in the distance to the goal.

An episode that ends is an absorbing state of reward 0.  In frozen_lake and cliff_walking that is the last cell itself; in taxi, where
every state can be left, it is one added state.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.zoo.build import Outcome, build
from mdps.zoo.registry import count, instance, number

LAKES = {
    4: ("SFFF", "FHFH", "FFFH", "HFFG"),
    8: ("SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"),
}


def _step(cell: tuple[int, int], move: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    """The neighbouring cell, or the same one where the border is in the way."""
    return min(max(cell[0] + move[0], 0), rows - 1), min(max(cell[1] + move[1], 0), columns - 1)


def _distances(successors: list[list[int]], goals: list[int]) -> list[int | None]:
    """Fewest steps to a goal in the directed graph; None where there is no way."""
    arriving: list[list[int]] = [[] for _ in successors]
    for s, targets in enumerate(successors):
        for t in targets:
            arriving[t].append(s)
    steps: list[int | None] = [None] * len(successors)
    queue = deque(goals)
    for g in goals:
        steps[g] = 0
    while queue:
        t = queue.popleft()
        for s in arriving[t]:
            if steps[s] is None:
                steps[s] = (steps[t] or 0) + 1
                queue.append(s)
    return steps


# Frozen lake

_LAKE_MOVES = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}


def _lake(size: int) -> tuple[str, ...]:
    if not isinstance(size, int) or size not in LAKES:
        raise ModelError(f"size is {size}; the frozen lake comes in the sizes 4 and 8")
    return LAKES[int(size)]


def _frozen_lake_optimum(size: int = 4, slippery: bool = True, discount: Any = "99/100") -> list[Fraction] | None:
    if slippery:
        return None
    grid, g = "".join(_lake(size)), number(discount, "discount")
    ends = [s for s, letter in enumerate(grid) if letter in "HG"]
    near = [[s] if s in ends else _lake_neighbours(s, int(size)) for s in range(len(grid))]
    steps = _distances(near, [grid.index("G")])
    return [g ** (d - 1) if d else Fraction(0) for d in steps]


def _lake_neighbours(s: int, size: int) -> list[int]:
    cells = [_step(divmod(s, size), move, size, size) for move in _LAKE_MOVES.values()]
    return [row * size + column for row, column in cells]


@instance("gymnasium FrozenLake-v1 (maps 4x4 and 8x8)", _frozen_lake_optimum)
def frozen_lake(size: int = 4, slippery: bool = True, discount: Any = "99/100") -> MDP:
    """Frozen lake: cross to the goal (reward 1 on arrival) without falling into a hole.

    slippery   the move goes as meant or to either side, each with probability 1/3; otherwise always as meant
    Holes and goal are absorbing with reward 0.  Starts in the upper left corner.  Not slippery: V*(s) = g^(d(s)-1), d = steps to the goal.
    """
    if not isinstance(slippery, bool):
        raise ModelError(f"slippery is {slippery!r}; it must be True or False (the discount is the third argument)")
    grid, g = _lake(size), number(discount, "discount")
    letters, n = "".join(grid), int(size)
    pairs: list[list[Outcome]] = []
    for s, letter in enumerate(letters):
        if letter in "HG":
            pairs.append([({s: 1}, 0)] * 4)
            continue
        near = _lake_neighbours(s, n)
        actions: list[Outcome] = []
        for a in range(4):
            to: dict[int, Fraction] = {}
            for b in ((a - 1) % 4, a, (a + 1) % 4) if slippery else (a,):
                to[near[b]] = to.get(near[b], Fraction(0)) + Fraction(1, 3 if slippery else 1)
            actions.append((to, sum((p for t, p in to.items() if letters[t] == "G"), Fraction(0))))
        pairs.append(actions)
    kinds = {"S": "start", "F": "ice", "H": "hole", "G": "goal"}
    names = [f"{kinds[letter]} ({s // n},{s % n})" for s, letter in enumerate(letters)]
    name = f"frozen_lake({n}{'' if slippery else ', slippery=False'})"
    return build(pairs, g, letters.index("S"), state_names=names, action_names=tuple(_LAKE_MOVES), name=name)


# Cliff walking

_CLIFF_MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}
_CLIFF_START, _CLIFF_GOAL, _CLIFF = 36, 47, range(37, 47)


def _cliff_step(s: int, move: tuple[int, int]) -> tuple[int, int]:
    """(successor, reward) of one move of cliff walking."""
    row, column = _step(divmod(s, 12), move, 4, 12)
    target = row * 12 + column
    return (_CLIFF_START, -100) if target in _CLIFF else (target, -1)


def _cliff_optimum(slippery: bool = False, discount: Any = "99/100") -> list[Fraction] | None:
    if slippery:
        return None
    g = number(discount, "discount")
    safe = [[t for t, paid in (_cliff_step(s, move) for move in _CLIFF_MOVES.values()) if paid == -1] for s in range(48)]
    return [-(1 - g ** (d or 0)) / (1 - g) for d in _distances(safe, [_CLIFF_GOAL])]


@instance("Sutton and Barto 2018, Example 6.6; gymnasium CliffWalking", _cliff_optimum)
def cliff_walking(slippery: bool = False, discount: Any = "99/100") -> MDP:
    """Cliff walking: from the lower left to the lower right corner at -1 a step; stepping off the cliff between costs 100 and starts again.

    slippery   the move goes as meant or to either side, each with probability 1/3
    4 x 12 cells, the goal is absorbing.  Not slippery: V*(s) = -(1 - g^d(s))/(1-g), d = fewest steps to the goal along safe cells.
    """
    g, moves = number(discount, "discount"), list(_CLIFF_MOVES.values())
    pairs: list[list[Outcome]] = []
    for s in range(48):
        actions: list[Outcome] = []
        for a in range(4):
            to: dict[int, Fraction] = {}
            paid = Fraction(0)
            p = Fraction(1, 3 if slippery else 1)
            for b in ((a - 1) % 4, a, (a + 1) % 4) if slippery else (a,):
                target, reward = _cliff_step(s, moves[b])
                to[target] = to.get(target, Fraction(0)) + p
                paid += p * reward
            actions.append(({_CLIFF_GOAL: 1}, 0) if s == _CLIFF_GOAL else (to, paid))
        pairs.append(actions)
    special = {_CLIFF_START: "start", _CLIFF_GOAL: "goal", **dict.fromkeys(_CLIFF, "cliff")}
    names = [f"{special.get(s, 'cell')} ({s // 12},{s % 12})" for s in range(48)]
    name = f"cliff_walking({'slippery=True' if slippery else ''})"
    return build(pairs, g, _CLIFF_START, state_names=names, action_names=tuple(_CLIFF_MOVES), name=name)


# Taxi

_STANDS = {"red": (0, 0), "green": (0, 4), "yellow": (4, 0), "blue": (4, 3)}
_WALLS_EAST_OF = {(0, 1), (1, 1), (3, 0), (4, 0), (3, 2), (4, 2)}
_TAXI_END = 500


def _taxi_move(cell: tuple[int, int], action: int) -> tuple[int, int]:
    move = ((1, 0), (-1, 0), (0, 1), (0, -1))[action]
    target = _step(cell, move, 5, 5)
    return cell if min(cell, target) in _WALLS_EAST_OF and move[0] == 0 else target


def _taxi_states() -> list[tuple[tuple[int, int], int, int]]:
    """(cell, passenger, destination) in the order of gymnasium's encoding; passenger 4 is in the taxi."""
    return [((row, column), p, d) for row in range(5) for column in range(5) for p in range(5) for d in range(4)]


def _taxi_number(cell: tuple[int, int], passenger: int, destination: int) -> int:
    return ((cell[0] * 5 + cell[1]) * 5 + passenger) * 4 + destination


def _taxi_optimum(discount: Any = "99/100") -> list[Fraction]:
    g, stands = number(discount, "discount"), list(_STANDS.values())
    near = [[row * 5 + column for row, column in (_taxi_move(divmod(c, 5), a) for a in range(4))] for c in range(25)]
    to = [[int(d or 0) for d in _distances(near, [row * 5 + column])] for row, column in stands]
    values = []
    for (row, column), p, d in _taxi_states():
        here = row * 5 + column
        waits = 0 if p == 4 else to[p][here] + 1  # steps until the passenger is in the taxi
        carries = to[d][here] if p == 4 else to[d][stands[p][0] * 5 + stands[p][1]]
        before = waits + carries
        values.append(-(1 - g**before) / (1 - g) + 20 * g**before)
    return [*values, Fraction(0)]


@instance("Dietterich 2000; gymnasium Taxi", _taxi_optimum)
def taxi(discount: Any = "99/100") -> MDP:
    """Taxi: fetch the passenger at one stand, bring him to another; -1 a step, -10 for a wrong pick-up or drop-off, +20 for the right one.

    500 states in gymnasium's order and one absorbing state for the end of the ride.  V* = -(1 - g^k)/(1-g) + 20 g^k with k the steps before the
    drop-off on the shortest ride.  Starts anywhere with the passenger waiting at a stand that is not his destination.
    """
    g, stands = number(discount, "discount"), list(_STANDS.values())
    pairs: list[list[Outcome]] = []
    for cell, p, d in _taxi_states():
        actions: list[Outcome] = [({_taxi_number(_taxi_move(cell, a), p, d): 1}, -1) for a in range(4)]
        here = _taxi_number(cell, p, d)
        actions.append(({_taxi_number(cell, 4, d): 1}, -1) if p < 4 and cell == stands[p] else ({here: 1}, -10))
        if p == 4 and cell == stands[d]:
            actions.append(({_TAXI_END: 1}, 20))
        elif p == 4 and cell in stands:
            actions.append(({_taxi_number(cell, stands.index(cell), d): 1}, -1))
        else:
            actions.append(({here: 1}, -10))
        pairs.append(actions)
    pairs.append([({_TAXI_END: 1}, 0)] * 6)
    waiting = [int(p < 4 and p != d) for _, p, d in _taxi_states()] + [0]
    start = [Fraction(w, sum(waiting)) for w in waiting]
    places = [*_STANDS, "taxi"]
    names = [f"({row},{column}) {places[p]} to {places[d]}" for (row, column), p, d in _taxi_states()] + ["end"]
    actions_names = ("south", "north", "east", "west", "pick up", "drop off")
    return build(pairs, g, start, state_names=names, action_names=actions_names, name="taxi()")


# A plain grid


def _gridworld_optimum(rows: int = 4, columns: int = 4, slip: Any = 0, step_reward: Any = -1, discount: Any = "99/100") -> list[Fraction] | None:
    g, cost = number(discount, "discount"), number(step_reward, "step_reward")
    if number(slip, "slip") != 0 or cost > 0:
        return None
    far = [(rows - 1 - r) + (columns - 1 - c) for r in range(rows) for c in range(columns)]
    return [cost * (1 - g**d) / (1 - g) for d in far]


@instance("Sutton and Barto 2018, Example 4.1, with one goal", _gridworld_optimum)
def gridworld(rows: int = 4, columns: int = 4, slip: Any = 0, step_reward: Any = -1, discount: Any = "99/100") -> MDP:
    """A grid with a goal in the lower right corner: `step_reward` a step until there, then nothing.

    slip   probability of going to each of the two sides instead (so 1 - 2 slip as meant), at most 1/2
    Without slipping and for step_reward <= 0: V*(s) = step_reward (1 - g^d)/(1-g), d the Manhattan distance to the goal.
    """
    n, m = count(rows, "rows"), count(columns, "columns")
    g, p, cost = number(discount, "discount"), number(slip, "slip"), number(step_reward, "step_reward")
    if not 0 <= p <= Fraction(1, 2):
        raise ModelError(f"slip is {p}; it must be in [0, 1/2]")
    moves, goal = list(_CLIFF_MOVES.values()), n * m - 1
    pairs: list[list[Outcome]] = []
    for s in range(goal):
        near = [r * m + c for r, c in (_step(divmod(s, m), move, n, m) for move in moves)]
        actions: list[Outcome] = []
        for a in range(4):
            to: dict[int, Fraction] = {}
            for b, q in ((a, 1 - 2 * p), ((a - 1) % 4, p), ((a + 1) % 4, p)):
                to[near[b]] = to.get(near[b], Fraction(0)) + q
            actions.append((to, cost))
        pairs.append(actions)
    pairs.append([({goal: 1}, 0)] * 4)
    names = [f"({s // m},{s % m})" for s in range(goal)] + ["goal"]
    slipping = f", slip={p}" if p else ""
    return build(pairs, g, state_names=names, action_names=tuple(_CLIFF_MOVES), name=f"gridworld({n}, {m}{slipping})")
