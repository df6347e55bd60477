"""`solve`: every method encloses V* in exact arithmetic, as closely as asked, on well- and ill-conditioned models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mdps import MDP, ModelError, strategies
from pgtheory.exact import NotConverged, Solution, certify, solve, solve_exactly
from pgtheory.exact.discounted import METHODS
from tests.pgtheory.exact.independent import as_fractions, best_of_all_policies, encloses

UNIT = 2.0**-53


def as_sparse(mdp: MDP) -> MDP:
    return MDP.from_choices(mdp.first_pair, csr_array(mdp.choices), mdp.pair_rewards, mdp.discount, mdp.start)


def models(**settings_):
    """Written in fractions, or floats of all sizes with near-reducible chains and discounts up to 0.9999."""
    return st.one_of(strategies.mdps(ragged=True, **settings_), strategies.mdps(ragged=True, exact=False, **settings_))


@given(mdp=models(max_states=3, max_actions=2))
def test_the_exact_optimum_is_the_best_of_all_policies(mdp):
    assert as_fractions(solve_exactly(mdp).values) == best_of_all_policies(mdp)


@settings(max_examples=300)
@given(mdp=models(), sparse=st.booleans(), scale=st.sampled_from((1.0, 1e6, 1e-6, -1.0)))
def test_bounds_hold_in_exact_arithmetic_and_the_accuracy_asked_is_delivered(mdp, sparse, scale):
    mdp = MDP.from_choices(mdp.first_pair, mdp.choices, mdp.pair_rewards * scale, mdp.discount)
    exact = as_fractions(solve_exactly(mdp).values)
    size = max(abs(v) for v in exact)
    for tol in (1e-3 * scale**2, 1e-8):
        found = solve(as_sparse(mdp) if sparse else mdp, tol=tol, on_limit="return")
        assert encloses(found, exact)
        assert found.stopped == "tolerance" or tol < 4 * UNIT * size, "only the spacing of floats may stand in the way"
        assert (found.error <= tol) == (found.stopped == "tolerance")


@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
@settings(max_examples=40)
@given(mdp=strategies.mdps(ragged=True, rewards=(-1, 1)), sparse=st.booleans())
def test_every_method_encloses_the_optimum(method, mdp, sparse):
    if method == "krylov" and not sparse:
        sparse = True
    found = solve(as_sparse(mdp) if sparse else mdp, method, tol=1e-7)
    assert found.error <= 1e-7
    assert encloses(found, as_fractions(solve_exactly(mdp).values))
    assert found.stopped == "tolerance"


@settings(max_examples=60)
@given(mdp=models())
def test_optimal_actions_contain_every_optimal_action_and_none_that_is_clearly_worse(mdp):
    exact, found = solve_exactly(mdp), solve(mdp, on_limit="return")
    assert np.all(found.optimal_actions | ~exact.optimal_actions)
    assert np.all(found.optimal_actions <= mdp.action_mask)
    assert np.all(found.optimal_actions.any(axis=1))
    loss = np.array([[float(v - q) for q in row] for v, row in zip(exact.values, exact.action_values, strict=True)])
    assert np.all(loss[found.optimal_actions] <= 4 * found.error + 1e-9 * (1 + np.max(np.abs(found.values))))


@settings(max_examples=60)
@given(mdp=models(), noise=st.floats(-1, 1))
def test_certify_encloses_the_optimum_whatever_it_is_given(mdp, noise):
    exact = as_fractions(solve_exactly(mdp).values)
    rough = solve(mdp, tol=1e-2, on_limit="return")
    assert encloses(certify(mdp, rough), exact)
    assert encloses(certify(mdp, rough.values + noise * np.arange(mdp.num_states)), exact)
    fine = certify(mdp, rough, tol=1e-12)
    assert encloses(fine, exact)
    assert fine.error <= max(1e-12, 4 * UNIT * float(np.max(np.abs(fine.values))))


def test_ties_end_at_once_and_are_all_reported():
    mdp = MDP(np.full((3, 2, 3), 1 / 3), np.zeros((3, 2)), 0.999)
    for method in ("auto", "policy", "modified", "value"):
        found = solve(mdp, method)
        assert found.iterations <= 3
        assert found.optimal_actions.all()


@example(gamma=0.0)
@example(gamma=0.9999)
@given(gamma=st.floats(0, 0.9999))
def test_one_state_has_its_closed_form(gamma):
    mdp = MDP(np.ones((1, 2, 1)), [[0.25, 0.75]], gamma)
    found = solve(mdp, tol=1e-6)
    assert abs(found.values[0] - 0.75 / (1 - gamma)) <= 1e-6 + 8 * UNIT / (1 - gamma) ** 2
    assert found.actions[0] == 1


@settings(max_examples=30)
@given(mdp=strategies.mdps(min_states=2), order=st.randoms())
def test_renaming_states_renames_the_values(mdp, order):
    turn = np.arange(mdp.num_states)
    order.shuffle(turn)
    turned = MDP(mdp.transitions[turn][:, :, turn], mdp.rewards[turn], mdp.discount)
    np.testing.assert_allclose(solve(turned).values, solve(mdp).values[turn], rtol=0, atol=2e-8)


@settings(max_examples=30)
@given(mdp=strategies.mdps())
def test_a_warm_start_takes_no_more_than_a_few_sweeps_and_any_start_is_right(mdp):
    cold = solve(mdp)
    assert solve(mdp, start=cold).iterations <= 2
    wild = solve(mdp, start=np.linspace(-1e3, 1e3, mdp.num_states), tol=1e-6)
    np.testing.assert_allclose(wild.values, cold.values, rtol=0, atol=1.1e-6)


def test_a_spent_budget_raises_with_bounds_that_hold():
    mdp = MDP(np.eye(2)[:, None, :], [[1.0], [0.0]], 0.99)
    with pytest.raises(NotConverged, match=r"value stopped after 3 sweeps with V\* known to .* not 1e-08 \(discount 0.99\)") as caught:
        solve(mdp, "value", limit=3)
    solution = caught.value.solution
    assert isinstance(solution, Solution)
    assert encloses(solution, as_fractions(solve_exactly(mdp).values))
    assert solve(mdp, "value", limit=3, on_limit="return").stopped == "limit"


def test_a_tolerance_below_the_spacing_of_floats_says_so():
    mdp = MDP(np.ones((1, 1, 1)), [[1e9 / 3]], 0.99)
    with pytest.raises(NotConverged, match="floats cannot prove less") as caught:
        solve(mdp, tol=1e-12)
    assert caught.value.solution.error <= 4 * UNIT * 4e10


def test_interruption_hands_back_the_bounds_so_far():
    mdp = MDP(np.eye(2)[:, None, :], [[1.0], [0.0]], 0.999)

    def interrupt(sweeps: int, error: float) -> None:
        if sweeps == 4:
            raise KeyboardInterrupt

    with pytest.raises(NotConverged, match="was interrupted after 4 sweeps") as caught:
        solve(mdp, "value", progress=interrupt)
    assert encloses(caught.value.solution, as_fractions(solve_exactly(mdp).values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "polcy"}, "unknown method 'polcy'.*Did you mean policy"),
        ({"tol": 0.0}, "tol is 0.0"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"limit": 0}, "limit is 0"),
        ({"on_limit": "ignore"}, "on_limit is 'ignore'"),
        ({"start": np.zeros(3)}, "start must hold one finite value for each of the 2 states"),
        ({"start": np.array([0.0, np.inf])}, "finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    mdp = MDP(np.full((2, 2, 2), 0.5), np.zeros((2, 2)), 0.9)
    with pytest.raises(ModelError, match=message):
        solve(mdp, **arguments)


def test_solve_takes_models_only():
    with pytest.raises(ModelError, match=r"takes an mdps\.MDP"):
        solve(np.zeros((2, 2)))
