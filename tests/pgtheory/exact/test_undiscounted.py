"""Reachability and total reward: published exact values, enumeration, end components, infinite answers."""

from __future__ import annotations

import itertools
import json
import pathlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mdps import MDP, ModelError, strategies
from mdps.rational import fraction
from pgtheory.exact import reachability, total_reward
from tests.pgtheory.exact.independent import fractions_of, gauss

DATA = pathlib.Path(__file__).parents[2] / "data" / "qvbs"
REFERENCE = json.loads((DATA / "reference.json").read_text())
PROPERTIES = [(name, prop) for name, entry in REFERENCE.items() for prop in entry["properties"]]


def load(name: str) -> tuple[dict, MDP]:
    with np.load(DATA / f"{name}.npz") as z:
        arrays = {key: z[key] for key in z.files}
    shape = (arrays["choice_ptr"].size - 1, arrays["state_ptr"].size - 1)
    rows = csr_array((arrays["prob_table"][arrays["val_idx"]], arrays["col"], arrays["choice_ptr"]), shape=shape)
    return arrays, MDP.from_choices(arrays["state_ptr"], rows, np.zeros(shape[0]), 0.5)


def published(entry: dict) -> Fraction:
    value = entry["published"]
    return Fraction(value["num"], value["den"]) if isinstance(value, dict) else Fraction(int(value))


@pytest.mark.parametrize(("name", "prop"), PROPERTIES)
def test_published_values_lie_within_the_bounds_and_are_met_exactly(name, prop):
    arrays, mdp = load(name)
    entry = REFERENCE[name]["properties"][prop]

    def mask(key: str) -> np.ndarray:
        for order in ("big", "little"):
            bits = np.unpackbits(arrays[key], bitorder=order)[: mdp.num_states].astype(bool)
            if key.startswith("phi") or bits.sum() == entry["targets"]:
                break
        return bits

    targets, direction = mask(f"psi_{prop}"), entry["direction"][:3]
    if entry["kind"].startswith("reach"):
        arguments = {"through": mask(f"phi_{prop}")} if f"phi_{prop}" in arrays else {}
        solver = reachability
    else:
        arguments, solver = {"rewards": arrays[f"rew_{entry['reward']}"]}, total_reward
    first, answer = int(arrays["init"][0]), published(entry)
    found = solver(mdp, targets, direction, tol=1e-6, **arguments)
    assert Fraction(found.lower[first]) <= answer <= Fraction(found.upper[first])
    if mdp.num_states < 1200:
        assert fraction(solver(mdp, targets, direction, exact=True, **arguments).values[first]) == answer


def enumerate_policies(mdp: MDP, targets: np.ndarray, rewards: list[Fraction] | None):
    """For every deterministic policy the vector of reachability probabilities (rewards None) or of total rewards until the target, None if
    infinite."""
    states, _ = fractions_of(mdp)
    n = len(states)
    first = mdp.first_pair.tolist()
    for choice in itertools.product(*(range(len(pairs)) for pairs in states)):
        rows = [states[s][a][0] for s, a in enumerate(choice)]
        can = set(np.flatnonzero(targets).tolist())
        while grown := {s for s in range(n) if s not in can and any(rows[s][j] > 0 for j in can)}:
            can |= grown
        inner = [s for s in range(n) if s in can and not targets[s]]
        place = {s: i for i, s in enumerate(inner)}
        matrix = [[Fraction(int(i == j)) - rows[s][u] for j, u in enumerate(inner)] for i, s in enumerate(inner)]
        hit = gauss(matrix, [sum((rows[s][j] for j in range(n) if targets[j]), Fraction(0)) for s in inner]) if inner else []
        probability = [Fraction(1) if targets[s] else (hit[place[s]] if s in place else Fraction(0)) for s in range(n)]
        if rewards is None:
            yield probability
            continue
        sure = [s for s in inner if probability[s] == 1]
        place = {s: i for i, s in enumerate(sure)}
        matrix = [[Fraction(int(i == j)) - rows[s][u] for j, u in enumerate(sure)] for i, s in enumerate(sure)]
        total = gauss(matrix, [rewards[first[s] + choice[s]] for s in sure]) if sure else []
        yield [Fraction(0) if targets[s] else (total[place[s]] if s in place else None) for s in range(n)]


def target_masks(mdp: MDP):
    return st.integers(0, 2**mdp.num_states - 1).map(lambda code: np.array([bool(code >> s & 1) for s in range(mdp.num_states)]))


@settings(max_examples=150)
@given(data=st.data(), mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True), direction=st.sampled_from(("max", "min")))
def test_reachability_is_the_best_of_all_deterministic_policies(data, mdp, direction):
    targets = data.draw(target_masks(mdp))
    best = max if direction == "max" else min
    answers = [best(column) for column in zip(*enumerate_policies(mdp, targets, None), strict=True)]
    found = reachability(mdp, targets, direction)
    assert all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(found.lower, answers, found.upper, strict=True))
    assert found.error <= 1e-6
    exact = reachability(mdp, targets, direction, exact=True)
    assert [fraction(v) for v in exact.values] == answers
    attained = next(iter(enumerate_policies(restricted(mdp, found.actions), targets, None)))
    assert attained == answers, "the policy handed back attains the optimum, end components notwithstanding"


def restricted(mdp: MDP, actions: np.ndarray) -> MDP:
    """The model in which only these actions are left."""
    exact = mdp.exact
    pairs = mdp.first_pair[:-1] + actions
    return MDP.from_choices(np.arange(mdp.num_states + 1), exact.choices[pairs], exact.pair_rewards[pairs], exact.discount)


@settings(max_examples=150)
@given(
    data=st.data(),
    mdp=strategies.mdps(max_states=4, max_actions=2, ragged=True),
    direction=st.sampled_from(("max", "min")),
    sign=st.sampled_from((1, -1)),
)
def test_total_reward_is_the_best_of_all_deterministic_policies(data, mdp, direction, sign):
    targets = data.draw(target_masks(mdp))
    rewards = [sign * fraction(r) for r in mdp.exact.pair_rewards]
    vectors = list(enumerate_policies(mdp, targets, rewards))
    paid = any(r != 0 for s, r in zip(np.repeat(~targets, np.diff(mdp.first_pair)), rewards, strict=True) if s)
    endless = sign * np.inf
    better = max if direction == "max" else min
    answers = []
    for column in zip(*vectors, strict=True):
        sure = [v for v in column if v is not None]
        seeks = (direction == "max") == (sign > 0) and paid
        answers.append(None if not sure or (seeks and len(sure) < len(column)) else better(sure))
    found = total_reward(mdp, targets, direction, rewards=np.array([float(r) for r in rewards]))
    for s, value in enumerate(answers):
        if value is None:
            wanted = endless if paid else (-1 if direction == "max" else 1) * np.inf
            assert found.values[s] == wanted
        else:
            assert Fraction(found.lower[s]) <= value <= Fraction(found.upper[s])
            assert found.upper[s] - found.lower[s] <= 2e-6


def test_a_free_loop_that_avoids_the_target_does_not_fool_reachability():
    """States 0 and 1 form an end component; only state 1 can try for the target (2), with a chance of 1/3 against the pit (3)."""
    rows = np.zeros((7, 4))
    rows[[0, 1, 2, 5, 6], [1, 0, 0, 2, 3]] = 1
    rows[3] = [0, 0, 1 / 3, 2 / 3]
    rows[4] = [1 / 2, 1 / 2, 0, 0]
    mdp = MDP.from_choices([0, 2, 5, 6, 7], rows, np.zeros(7), 0.5)
    best = reachability(mdp, [2], "max")
    np.testing.assert_allclose(best.values, [1 / 3, 1 / 3, 1, 0], rtol=0, atol=1e-6)
    assert best.actions[0] == 0
    assert best.actions[1] == 1
    np.testing.assert_array_equal(reachability(mdp, [2], "min").values, [0, 0, 1, 0])


def test_a_target_that_nobody_reaches_costs_infinitely_much():
    mdp = MDP([[[1.0, 0.0]], [[0.0, 1.0]]], [1.0, 1.0], 0.5)
    assert total_reward(mdp, [1], "min").values.tolist() == [np.inf, 0.0]
    assert total_reward(mdp, [1], "max").values.tolist() == [np.inf, 0.0]


def test_rewards_of_both_signs_need_a_sure_target():
    mdp = MDP([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]], [[1.0, -1.0], [0.0, 0.0]], 0.5)
    with pytest.raises(ModelError, match="from state 0 a policy can miss the target"):
        total_reward(mdp, [1])
    sure = MDP([[[0.5, 0.5], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]], [[1.0, -1.0], [0.0, 0.0]], 0.5)
    assert total_reward(sure, [1]).values[0] == pytest.approx(2.0, abs=1e-6)
    assert total_reward(sure, [1], "min").values[0] == pytest.approx(-1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([5],), "targets must be booleans"),
        (([-1],), "targets must be booleans"),
        ((np.zeros(3, dtype=bool),), "targets has shape"),
        (([1], "maximum"), "direction is 'maximum'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    mdp = MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9)
    for solver in (reachability, total_reward):
        with pytest.raises(ModelError, match=message):
            solver(mdp, *arguments)
