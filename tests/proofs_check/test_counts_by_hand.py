"""How many steps policy iteration can take at most: the two enumerations that docs/theory/mutants.md refers to, and steps of real runs beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from mdps import zoo
from mdps.rational import rational, rational_array
from pgtheory import PolicyIteration, arithmetic
from pgtheory.run import run

# Two actions: for i < j some state is switched by step i and has the new action in pi_j and in pi_(j+1)


def longest(states: int) -> int:
    """Length of the longest sequence of that kind that ends in the policy 0, found by trying all, last policy first."""
    best = 0

    def extend(sequence: list[int], pairs: list[tuple[int, int]]) -> None:
        nonlocal best
        best = max(best, len(sequence))
        following = sequence[-1]
        columns = [tuple(p >> s & 1 for p in sequence) for s in range(states)]
        for before in range(2**states):
            switched = before ^ following
            new = [before >> s & 1 for s in range(states)]
            if any(columns[s] == columns[s + 1] and new[s] > new[s + 1] for s in range(states - 1)):
                continue  # the same with two states exchanged
            if switched and all(switched & (before ^ now) & (before ^ later) for now, later in pairs):
                extend([*sequence, before], [*pairs, (before, following)])

    extend([0], [(0, 0)])
    return best


@pytest.mark.parametrize(("states", "policies"), [(1, 2), (2, 3), (3, 5), (4, 8), pytest.param(5, 13, marks=pytest.mark.slow)])
def test_the_longest_sequences_for_two_actions(states, policies):
    assert longest(states) == policies
    assert policies - 1 <= 2**states / 2


# Two states, three actions: five greedy policies along a line, four kinks


class Kinks:
    """One pattern of kinks (1 or 2: the state whose action changes), and the linear forms of the unknowns.

    Unknowns: psi at the first kink, then for each gap j between kinks the slope of piece 0 times its length, and each kink's jump times that length."""

    def __init__(self, pattern: tuple[int, ...]) -> None:
        self.at = {1: [k for k in range(4) if pattern[k] == 1], 2: [k for k in range(4) if pattern[k] == 2]}
        self.greedy = [(sum(k == 1 for k in pattern[:i]), sum(k == 2 for k in pattern[:i])) for i in range(5)]
        self.size = 17  # the last one is the margin of the strict inequalities

    def unit(self, k: int, sign: int = 1) -> np.ndarray:
        return sign * np.eye(self.size)[k]

    def jump(self, kink: int, gap: int) -> np.ndarray:
        return self.unit(4 + 3 * kink + gap)

    def slope(self, pair: tuple[int, int], gap: int) -> np.ndarray:
        down = [-self.jump(k, gap) for k in self.at[1][: pair[0]]]
        return sum(down + [self.jump(k, gap) for k in self.at[2][: pair[1]]], self.unit(1 + gap))

    def lead(self, state: int, i: int, kink: int) -> np.ndarray:
        """At a kink: what action i + 1 of a state is worth more than action i."""
        own = self.at[state][i]
        between = range(min(own, kink), max(own, kink))
        return sum((self.jump(own, j) for j in between), np.zeros(self.size)) * (1 if kink > own else -1)

    def line(self, pair: tuple[int, int], kink: int) -> np.ndarray:
        """The line of a pair of actions at a kink: x less the worth of the first state's action plus that of the second one's."""
        out = self.unit(0)
        for j in range(kink):
            out = out + self.slope(self.greedy[j + 1], j)
        best = self.greedy[kink]
        for state, sign in ((1, -1), (2, 1)):
            low, high = sorted((pair[state - 1], best[state - 1]))
            above = 1 if pair[state - 1] > best[state - 1] else -1
            out = out + sign * above * sum((self.lead(state, i, kink) for i in range(low, high)), np.zeros(self.size))
        return out

    def zero_in(self, pair: tuple[int, int], piece: int) -> list[np.ndarray]:
        """Forms that are >= 0 where the zero of the pair's line lies in a piece."""
        return ([-self.line(pair, piece - 1)] if piece else []) + ([self.line(pair, piece)] if piece < 4 else [])

    def margin(self, order: tuple[int, ...], start: tuple[int, int] | None) -> float:
        """The largest margin with which the pieces follow one another in that order, after the start policy."""
        chain = [(self.greedy[a], b) for a, b in itertools.pairwise((*order, order[-1]))] + ([(start, order[0])] if start else [])
        loose = [-form for pair, piece in chain for form in self.zero_in(pair, piece)]
        strict = [self.slope(pair, j) for j in range(3) for pair in itertools.product(range(3), repeat=2)]
        strict += [self.jump(k, j) for k in range(4) for j in range(3)]
        rows = np.array(loose + [self.unit(16) - form for form in strict])
        total = np.concatenate([[0.0], np.ones(15), [0.0]])[None]
        bounds = [(None, None), *[(0, None)] * 15, (None, 1)]
        solved = linprog(-self.unit(16), A_ub=rows, b_ub=np.zeros(len(rows)), A_eq=total, b_eq=[1], bounds=bounds)
        return -solved.fun if solved.status == 0 else -np.inf


@pytest.mark.slow
def test_two_states_and_three_actions_take_no_more_than_four_steps():
    chains = 0
    for twice in itertools.combinations(range(4), 2):
        kinks = Kinks(tuple(1 if k in twice else 2 for k in range(4)))
        others = [pair for pair in itertools.product(range(3), repeat=2) if pair not in kinks.greedy]
        for order in itertools.permutations(range(5)):
            if kinks.margin(order, None) > 1e-9:
                chains += 1
                assert all(kinks.margin(order, start) < 1e-9 for start in others)
    assert chains == 12


def test_a_line_of_pieces_is_what_it_says():
    """Slopes and lengths drawn at random: the forms give the lines of the pairs of actions."""
    rng = np.random.default_rng(3)
    for twice in ((0, 1), (0, 2), (1, 3)):
        kinks = Kinks(tuple(1 if k in twice else 2 for k in range(4)))
        at, jumps, first, level = np.cumsum(rng.exponential(size=4)), rng.exponential(size=4), 5.0, rng.normal()
        lengths = np.diff(at)
        point = np.concatenate([[level], first * lengths, np.outer(jumps, lengths).reshape(-1), [0.0]])

        def worth(state: int, action: int, x: float, kinks: Kinks = kinks, at: np.ndarray = at, jumps: np.ndarray = jumps) -> float:
            return sum(jumps[k] * (x - at[k]) for k in kinks.at[state][:action])

        for kink, (a, b) in itertools.product(range(4), itertools.product(range(3), repeat=2)):
            plain = first * (at[kink] - at[0]) - worth(1, a, at[kink]) + worth(2, b, at[kink])
            shift = level - (-max(worth(1, i, at[0]) for i in range(3)) + max(worth(2, i, at[0]) for i in range(3)))
            assert kinks.line((a, b), kink) @ point == pytest.approx(plain + shift)


@pytest.mark.parametrize(
    ("moves", "pays", "discount", "start", "steps"),
    [
        ([[[1, 0], [1, 0], [0, 1]], [["43/50", "7/50"], [1, 0], [0, 1]]], [[1, 0, "1/5"], ["41/50", "37/50", "27/50"]], "9999/10000", (1, 2), 4),
        (
            [[[0, 0, 1], [1, 0, 0]], [[0, 0, 1], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]],
            [[0, "1/2"], ["9/20", "9/20"], ["1/5", 1]], "99/100", (0, 1, 0), 4,
        ),
        (
            [[[1, 0], ["1/50", "49/50"], ["3/25", "22/25"], [0, 1]], [[0, 1], [1, 0], [1, 0], [0, 1]]],
            [["49/50", "47/50", "24/25", "17/50"], ["22/25", "1/50", 0, 1]], "9999/10000", (0, 0), 5,
        ),
    ],
    ids=["two states, three actions", "three states, two actions", "two states, four actions"],
)  # fmt: skip
def test_small_models_that_take_many_steps(moves, pays, discount, start, steps):
    transitions, rewards, gamma = rational_array(moves), rational_array(pays), rational(discount)
    policies, states = [tuple(start)], range(len(pays))
    while True:
        values = arithmetic.policy_values(rational_array(np.eye(len(pays[0]), dtype=int)[list(policies[-1])].tolist()), transitions, rewards, gamma)
        worth = rewards + gamma * (transitions * values).sum(axis=-1)
        best = worth.argmax(axis=-1)
        changed = tuple(int(best[s]) if worth[s, best[s]] > worth[s, policies[-1][s]] else policies[-1][s] for s in states)
        if changed == policies[-1]:
            break
        policies.append(changed)
    assert len(policies) - 1 == steps
    assert 2 * steps <= len(pays[0]) ** len(pays) - 1 + len(pays) * (len(pays[0]) - 1)


def test_runs_stay_below_half_of_the_policies():
    rng = np.random.default_rng(11)
    for states, actions in ((2, 2), (2, 3), (3, 2)):
        for _ in range(20):
            moves = rng.dirichlet([0.1] * states, (states, actions))
            model = zoo.load("loop(1/2)").replace(
                transitions=moves, rewards=rng.random((states, actions)), discount=0.99, start=np.ones(states) / states
            )
            start = np.eye(actions)[rng.integers(0, actions, states)]
            policies = run(model, PolicyIteration(), 12, initial=start).policies
            changes = int((np.abs(np.diff(policies, axis=0)).max(axis=(1, 2)) > 0).sum())
            assert changes <= actions**states / 2
