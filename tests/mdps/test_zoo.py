"""Named instances: their tables, their closed-form optima, and how their text is read."""

from __future__ import annotations

import inspect
from fractions import Fraction

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from mdps import MDP, ModelError, zoo
from mdps.rational import fraction

VARIANTS = [
    *("arms([0, -1/2, 3])", "arms([5])", "blind(3, 1/2)", "blind(-1, 1/2)", "blind(1, 0)", "btpair(1/2, 1)", "btpair(9/10, 1, tie=0)"),
    *("btpair(1/2, 0, tie=1/3)", "chain(1, 0)", "chain(7, 99/100)", "cliff_walking(discount=0)", "cliff_walking(discount=1/2)"),
    *("domino(1, 3/10)", "domino(12, 1/2)", "domino(8, 0)", "forest_management(2)", "forest_management(3, 4, 2, 1/10, 1/2)"),
    *("forest_management(10, 4, 2, 1/10, 24/25)", "forest_management(5, 1, 9, 1/2, 0)", "forest_management(12, 40, 2, 1/100, 9/10)"),
    *("forest_management(4, 4, 2, 0)", "frozen_lake(8, slippery=False)", "frozen_lake(4, False, 0)", "gravity_well(2)", "gridworld(2, 5)"),
    *("gridworld(1, 1)", "gridworld(3, 3, 0, -1/10, 0)", "loop(0)", "loop(999/1000)", "lure(20, 9/10, 1)", "lure(3, 1/2, 0)"),
    *(
        "lure(3, 1/2, 1, tie=10)",
        "taxi(0)",
        "taxi(1/2)",
        "two_state(0)",
        "two_state(1/2, ragged=True)",
        "two_state(999/1000)",
        "vanish(1)",
        "vanish(9)",
    ),
]


def bellman(mdp: MDP, values: np.ndarray) -> list[Fraction]:
    """T V in rationals: the optimal values are its only fixed point (discount below 1)."""
    exact = mdp.exact
    rows = exact.choices.toarray() if mdp.is_sparse and mdp.num_states < 100 else exact.choices
    if isinstance(rows, np.ndarray):
        expected = rows @ values
    else:
        owner = np.repeat(np.arange(mdp.num_pairs), np.diff(rows.indptr))
        expected = np.full(mdp.num_pairs, fmpq(0), dtype=object)
        np.add.at(expected, owner, rows.data * values[rows.indices])
    backed_up = exact.pair_rewards + exact.discount * expected
    return [max(backed_up[low:high]) for low, high in zip(mdp.first_pair[:-1], mdp.first_pair[1:], strict=True)]


@pytest.mark.exact
@pytest.mark.parametrize("expression", [*zoo.names(), *VARIANTS])
def test_closed_form_optimum_is_the_fixed_point_of_bellmans_equation(expression):
    mdp, values = zoo.load(expression), zoo.optimum(expression)
    if values is None:
        assert expression in ("frozen_lake", "inventory", "polytope", "forest_management(12, 40, 2, 1/100, 9/10)")
        return
    assert values.shape == (mdp.num_states,)
    assert bellman(mdp, values) == values.tolist()


@pytest.mark.parametrize("name", zoo.names())
def test_every_instance_is_documented_and_exact(name):
    found, mdp = zoo.entry(name), zoo.load(name)
    assert mdp.given_exactly
    assert mdp.name.startswith(name)
    assert found.source
    assert found.about.endswith((".", ":")) or ":" in found.about
    assert found.function is getattr(zoo, name)
    assert zoo.load(mdp.name).digest() == mdp.digest() or "discount" not in inspect.signature(found.function).parameters or name in mdp.name
    for parameter in inspect.signature(found.function).parameters.values():
        assert parameter.default is not parameter.empty


@pytest.mark.parametrize("name", zoo.names())
def test_a_discount_can_be_given_on_loading(name):
    mdp = zoo.load(name, "1/2")
    assert mdp.exact.discount == fmpq(1, 2)


def test_the_figures_of_the_papers():
    """Puterman 2005, Table 6.3.1 ends at -8.566 for s1, a sweep before -60/7 = -8.571; the others are the definitions of the claims file."""
    assert zoo.optimum("two_state").tolist() == [fmpq(-60, 7), fmpq(-20)]
    assert zoo.optimum("loop(9/10)")[0] == 10
    assert zoo.optimum("vanish(4)")[0] == fmpq(4**5, 5**4)
    domino = zoo.domino(8, "9/10").exact
    assert domino.rewards[8, 1] == fmpq(9, 10) ** 8 / 2
    assert domino.transitions[8, 0, 7] == 1
    lure = zoo.lure(60, "9/10", 1).exact
    assert abs(-lure.rewards[60, 0] / (1 - lure.discount) - fmpq(1797, 10)) < fmpq(1, 10)  # the claims file: 179.7
    assert zoo.btpair("9/10", 1).exact.rewards[0, 0] == fmpq(-18, 10) + fmpq(1, 10**9)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("env_id", "expression"),
    [
        ("FrozenLake-v1", "frozen_lake"),
        ("FrozenLake8x8-v1", "frozen_lake(8)"),
        ("CliffWalking", "cliff_walking"),
        ("CliffWalkingSlippery", "cliff_walking(True)"),
        ("Taxi", "taxi"),
    ],
)
def test_tables_equal_gymnasiums(env_id, expression):
    pytest.importorskip("gymnasium")
    from mdps.io import from_gymnasium

    assert from_gymnasium(env_id).exact.digest() == zoo.load(expression).exact.digest()


def test_frozen_lake_without_slipping_equals_gymnasiums():
    pytest.importorskip("gymnasium")
    from mdps.io import from_gymnasium

    for size in (4, 8):
        theirs = from_gymnasium("FrozenLake-v1", 0.5, map_name=f"{size}x{size}", is_slippery=False)
        assert theirs.exact.digest() == zoo.frozen_lake(size, slippery=False, discount="1/2").exact.digest()


# Text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("LOOP(.9)", "loop(9/10)"),
        (" frozen-lake( 8 ) ", "frozen_lake(8)"),
        ("loop(0.9)", "loop(discount=9/10)"),
        ("loop('0.9')", "loop(1 - 1/10)"),
        ("loop(9e-1)", "loop(3**2/10)"),
        ("chain(3, .3)", "chain(length=3, discount=3*0.1)"),
        ("arms([1, .5, -2/3])", "arms((1, 1/2, -(2/3)))"),
        ("arms", "arms()"),
        ("two_state(ragged=True)", "two_state('19/20', True)"),
    ],
)
def test_spellings_of_one_instance(text, same):
    assert zoo.load(text).exact.digest() == zoo.load(same).exact.digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dominoes(3)", "no instance 'dominoes'. Did you mean domino"),
        ("xyzzy", "It has arms, blind"),
        ("loop(", "not of the form"),
        ("loop(0.9))", "not of the form"),
        ("loop(0.9).exact", "not of the form"),
        ("loop(0.9)(1)", "not of the form"),
        ("loop(__import__('os').getcwd())", "no plain value"),
        ("loop(x)", "'x' is no plain value"),
        ("loop(**{})", r"\*\* is not allowed"),
        ("loop(9/0)", "divides by zero"),
        ("loop(0**-1)", "divides by zero"),
        ("loop(True/2)", "no number"),
        ("loop('a'*3)", "'a' is no number"),
        ("loop(1, 2)", "too many positional"),
        ("loop(gamma=0.9)", "unexpected keyword argument 'gamma'"),
        ("loop([1])", "discount is .*; it must be a finite number"),
        ("loop(1)", r"discount is 1; it must be in \[0, 1\)"),
        ("loop(-1/2)", "discount is -1/2"),
        ("chain(0)", "length is 0; it must be a whole number, at least 1"),
        ("chain(1/2)", "length is 1/2"),
        ("chain('a')", "length is a; it must be a whole number"),
        ("chain(9**9**9)", "no plain value"),
        ("loop(1e999999999)", "exponents go to"),
        ("arms([])", "at least one mean reward"),
        ("arms(3)", "at least one mean reward"),
        ("arms([1, 'x'])", r"rewards\[1\] is 'x'"),
        ("frozen_lake(5)", "sizes 4 and 8"),
        ("gridworld(2, 2, 0.6)", "slip is 3/5"),
        ("forest_management(3, fire=2)", "fire is 2"),
    ],
)
def test_text_that_is_no_instance_says_why(text, message):
    with pytest.raises(ModelError, match=message):
        zoo.load(text)


@given(st.text(alphabet="lop(0.9/)*,[]e-x '\"=", max_size=20))
def test_any_text_is_read_or_refused(text):
    try:
        assert isinstance(zoo.load("loop" + text), MDP)
    except ModelError:
        pass


@given(st.integers(1, 6), st.fractions(0, Fraction(49, 50), max_denominator=50))
def test_random_parameters_keep_the_closed_forms(length, discount):
    for name in ("chain", "domino", "lure"):
        found = zoo.entry(name)
        assert bellman(found.function(length, discount), found.optimum(length, discount)) == found.optimum(length, discount).tolist()


def test_inventory_is_putermans():
    """Table 3.2.1: rewards F(s + a) - order cost - holding cost, with F = 0, 6, 8, 8, and transition probabilities."""
    mdp = zoo.inventory().exact
    assert mdp.first_pair.tolist() == [0, 4, 7, 9, 10]
    assert mdp.pair_rewards.tolist() == [0, -1, -2, -5, 5, 0, -3, 6, -1, 5]
    assert mdp.choices[3].tolist() == [0, fmpq(1, 4), fmpq(1, 2), fmpq(1, 4)]


def test_floats_are_read_as_people_write_them():
    assert zoo.loop(0.9).exact.discount == fmpq(9, 10)
    assert zoo.domino(3, 0.1).exact.rewards[1, 1] == fmpq(1, 2000)
    assert [fraction(x) for x in zoo.arms([0.1, 1 / 3]).exact.pair_rewards] == [Fraction(1, 10), Fraction(1, 3)]


def test_entries_show_their_parameters():
    assert zoo.entry("domino").parameters == "length=8, discount=9/10"
    assert zoo.entry("plateau").parameters == ""
    assert zoo.entry("taxi").optimum().shape == (501,)


def test_large_instances_are_compressed():
    assert zoo.taxi().is_sparse
    assert zoo.forest_management(1000).is_sparse
    assert zoo.gridworld(30, 30).is_sparse
    assert not zoo.frozen_lake(8).is_sparse


def test_known_values_of_river_swim_and_machine_replacement():
    """To three digits as the craam2 library's solver gives them; Bellman's equation above holds them exactly."""
    assert [round(float(fraction(v)), 3) for v in zoo.optimum("river_swim")[[0, 5]]] == [1530.964, 9875.275]
    assert round(float(fraction(zoo.optimum("machine_replacement")[7])), 3) == -16.601
    assert zoo.optimum("river_swim(6, 1/2)") is None
