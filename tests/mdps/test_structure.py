"""The graph of a model, against brute force over all deterministic policies."""

from __future__ import annotations

import itertools
from math import gcd

import numpy as np
import pytest
from hypothesis import given

from mdps import MDP, random, strategies, zoo
from mdps.structure import describe, reachable, structure


def closure(edges: np.ndarray) -> np.ndarray:
    """reach[s, t]: a path of any length, also 0, leads from s to t."""
    reach = edges | np.eye(len(edges), dtype=bool)
    for k in range(len(edges)):
        reach |= reach[:, [k]] & reach[[k], :]
    return reach


def recurrent_classes(edges: np.ndarray) -> int:
    """Number of closed strongly connected sets."""
    reach = closure(edges)
    return len({tuple(np.flatnonzero(reach[s])) for s in range(len(edges)) if all(reach[t, s] for t in np.flatnonzero(reach[s]))})


def any_action(mdp: MDP) -> np.ndarray:
    return (mdp.transitions > 0).any(axis=1)


@given(strategies.mdps(max_states=4, max_actions=2, ragged=True))
def test_structure_is_what_brute_force_finds(mdp):
    found = structure(mdp)
    edges = any_action(mdp)
    reach = closure(edges)
    assert found.communicating == reach.all()
    assert found.components == len({tuple(row & column) for row, column in zip(reach, reach.T, strict=True)})
    assert found.closed == recurrent_classes(edges)
    assert set(found.unreachable) == {t for t in range(mdp.num_states) if not reach[mdp.start > 0, t].any()}
    assert set(found.absorbing) == {s for s in range(mdp.num_states) if edges[s].sum() == 1 and edges[s, s]}
    assert set(found.terminal) == {s for s in found.absorbing if (mdp.rewards[s] == 0).all()}
    assert found.entries == (mdp.choices > 0).sum()
    assert found.smallest_probability == mdp.choices[mdp.choices > 0].min()
    assert found.condition == pytest.approx((1 + mdp.discount) / (1 - mdp.discount), rel=4 * np.finfo(float).eps)


@given(strategies.mdps(max_states=4, max_actions=2, ragged=True))
def test_unichain_is_right_where_it_is_decided(mdp):
    counts = np.diff(mdp.first_pair)
    classes = [
        recurrent_classes(mdp.transitions[np.arange(mdp.num_states), list(policy)] > 0) for policy in itertools.product(*(range(k) for k in counts))
    ]
    found = structure(mdp).unichain
    assert found in (None, max(classes) == 1)


def test_unichain_is_decided_on_common_models():
    assert structure(zoo.river_swim()).unichain is True
    assert structure(zoo.loop()).unichain is False
    assert structure(zoo.chain()).unichain is False
    assert structure(zoo.two_state()).unichain is True
    assert structure(random.dirichlet(5, 3, 0)).unichain is True
    assert structure(zoo.frozen_lake()).unichain is False


@given(strategies.mdps(max_states=5, max_actions=1))
def test_periods_are_those_of_the_return_times(mdp):
    """Period of a closed class: gcd of the n with a return in n steps; n up to S^2 is enough for graphs of 5 states."""
    edges = any_action(mdp)
    reach = closure(edges)
    expected = []
    for s in range(mdp.num_states):
        members = np.flatnonzero(reach[s])
        if s == min(members) and all(reach[t, s] for t in members):
            power, period = np.eye(mdp.num_states, dtype=bool), 0
            for n in range(1, mdp.num_states**2 + 1):
                power = (power.astype(int) @ edges.astype(int)) > 0
                period = gcd(period, n) if power[s, s] else period
            expected.append(period)
    assert sorted(structure(mdp).periods) == sorted(expected)


def test_a_cycle_has_its_length_as_period():
    for length in (1, 2, 6):
        mdp = MDP(np.roll(np.eye(length), 1, axis=1)[:, None], np.zeros((length, 1)), 0.5)
        assert structure(mdp).periods == (length,)
        assert structure(mdp).communicating


def test_dense_and_compressed_storage_have_one_structure():
    dense, sparse = (random.garnet(60, 2, 2, 3, sparse=kind) for kind in (False, True))
    a, b = structure(dense), structure(sparse)
    for field in a.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    np.testing.assert_array_equal(reachable(dense), reachable(sparse))
    assert reachable(dense, np.eye(60)[0]).sum() <= 60
    assert structure(dense.exact).entries == a.entries


def test_describe_is_a_few_lines_for_people():
    text = zoo.frozen_lake(8).describe()
    assert text.splitlines()[0] == "frozen_lake(8): 64 states, 4 actions, discount 99/100"
    assert "(1 + gamma)/(1 - gamma) = 199" in text
    assert "11 states (11 states without reward): hole (2,3)" in text
    assert "communicating, unichain, aperiodic" in describe(zoo.river_swim())
    assert "1 to 2 actions" in describe(zoo.two_state(ragged=True))
    assert "unreachable   100 states" in describe(zoo.taxi())
    assert "period 2" in describe(MDP([[[0, 1]], [[1, 0]]], [[0], [0]], 0.5))


def test_a_long_corridor_is_examined_in_time_linear_in_its_length():
    """A wave that touched every transition once a state would take 10^10 steps here."""
    n = 30_000
    found = structure(zoo.chain(n, "1/2"))
    assert found.communicating
    assert found.unichain is False
