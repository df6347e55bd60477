"""Every quantity against an independent computation, and in the three arithmetics against itself."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from flint import fmpq
from plain import Plain
from scipy.optimize import linprog
from small import contexts, random_instances, random_policies

from mdps.rational import rational, rational_array, to_float
from pgtheory import arithmetic
from proofs_check.domains import Domain
from proofs_check.instance import Batch, float_context
from proofs_check.quantities import quantities
from tests import tolerances

SHAPES = ((1, 1), (1, 3), (2, 2), (3, 2), (2, 3))
NO_RATIONAL = {"largest_logit", 
    "gradient_norm", "hessian_norm", "log_normaliser", "log_normaliser_optimal", "divergence_drop", "divergence_spent", "soft_q_gap", "log_policy_gap", "C1",
}  # fmt: skip
"""Roots, logarithms and exponentials leave the rationals."""


def plain(instance, policies) -> Plain:
    x = instance.as_float()
    return Plain(x.transitions, x.rewards, x.discount, x.mu, x.rho, to_float(policies), x.other, x.settings["eta"], x.settings["tau"])


def each(function):
    """A quantity of one policy, for all records: (R, K)."""
    return lambda p: np.stack([np.atleast_1d(function(p, pi)).reshape(-1) for pi in p.policies])


def once(function):
    """A quantity of the instance: (1, K)."""
    return lambda p: np.atleast_1d(function(p)).astype(float)[None]


def pair(function):
    """A quantity of two consecutive policies: (R - 1, K)."""
    return lambda p: np.stack([np.atleast_1d(function(p, one, two)).reshape(-1) for one, two in zip(p.policies[:-1], p.policies[1:], strict=True)])


def running(function, combine):
    """Running extreme of a figure of each policy."""
    return lambda p: combine.accumulate([function(p, pi) for pi in p.policies])[:, None]


def norm(x):
    return np.sqrt((x**2).sum())


def log_normaliser(p, pi, weights=None):
    return (p.rho if weights is None else weights) @ np.log((pi * np.exp(p.eta / (1 - p.g) * p.advantage(pi))).sum(axis=1))


def smallest_size(logits):
    """The least largest size of these numbers less a constant: half way between two of them is best."""
    return min(np.abs(logits - (a + b) / 2).max() for a in logits for b in logits)


def ideal(p):
    """Where the optimal policy goes from rho."""
    return p.visits(p.optimum[1], p.rho)


def divergence(p, pi):
    """Mean over the optimal visits of KL(pi* || pi), summed as its definition says (0 log 0 = 0)."""
    best = p.optimum[1]
    logs = np.where(best > 0, np.log(np.where(best > 0, best, 1) / pi), 0)
    return ideal(p) @ (best * logs).sum(axis=1)


def soft_gap(p, pi):
    return np.abs(p.soft[1] - p.soft_action_value(pi)).max()


def log_gap(p, pi):
    return np.abs(np.log(p.soft[2]) - np.log(pi)).max()


REFERENCE = {
    "gamma": once(lambda p: p.g),
    "S": once(lambda p: p.S),
    "A": once(lambda p: p.A),
    "t": lambda p: np.arange(len(p.policies), dtype=float)[:, None],
    "zero": once(lambda p: 0),
    "eta": once(lambda p: p.eta),
    "tau": once(lambda p: p.tau),
    "inverse_mu": once(lambda p: 1 / p.mu.min()),
    "rho_over_mu": once(lambda p: (p.rho / p.mu).max()),
    "gap_rho": each(lambda p, pi: p.rho @ (p.optimum[0] - p.value(pi))),
    "gap_mu": each(lambda p, pi: p.mu @ (p.optimum[0] - p.value(pi))),
    "gap_mu_0": once(lambda p: p.mu @ (p.optimum[0] - p.value(p.policies[0]))),
    "gap_sup": each(lambda p, pi: (p.optimum[0] - p.value(pi)).max()),
    "gap_sup_0": once(lambda p: (p.optimum[0] - p.value(p.policies[0])).max()),
    "state_values": each(lambda p, pi: p.value(pi)),
    "next_state_values": pair(lambda p, one, two: p.value(two)),
    "action_values": each(lambda p, pi: p.action_value(pi)),
    "next_action_values": pair(lambda p, one, two: p.action_value(two)),
    "bellman_values": each(lambda p, pi: p.action_value(pi).max(axis=1)),
    "next_policy_advantage": pair(lambda p, one, two: (two * p.advantage(one)).sum(axis=1)),
    "squared_moves": pair(lambda p, one, two: ((two - one) ** 2).sum(axis=1)),
    "largest_logit": once(lambda p: max(smallest_size(row) for row in np.log(p.policies[0]))),
    "value_increase_rho": pair(lambda p, one, two: p.rho @ (p.value(two) - p.value(one))),
    "mismatch": once(lambda p: (p.visits(p.optimum[1], p.mu) / p.mu).max()),
    "mismatch_rho_policy": each(lambda p, pi: (p.visits(p.optimum[1], p.rho) / p.visits(pi, p.mu)).max()),
    "largest_mismatch": running(lambda p, pi: (p.visits(pi, p.mu) / p.mu).max(), np.maximum),
    "c_inf": running(lambda p, pi: (pi * p.optimum[1]).sum(axis=1).min(), np.minimum),
    "min_optimal_probability": each(lambda p, pi: (pi * p.optimum[1]).sum(axis=1).min()),
    "direct_gradient": each(lambda p, pi: p.derivative(pi, "direct")),
    "direct_derivative": each(lambda p, pi: p.derivative(pi, "direct")),
    # the direct gradient less its part along the rows' sums: d(s) V(s) / (1 - gamma)
    "direct_gradient_with_advantages": each(
        lambda p, pi: p.derivative(pi, "direct").reshape(p.S, p.A) - (p.visits(pi, p.mu) * p.value(pi))[:, None] / (1 - p.g)
    ),
    "softmax_gradient": each(lambda p, pi: p.derivative(pi, "softmax")),
    "softmax_derivative": each(lambda p, pi: p.derivative(pi, "softmax")),
    "softmax_gradient_sums": each(lambda p, pi: np.zeros(p.S)),
    "gradient_norm": each(lambda p, pi: norm(p.derivative(pi, "softmax"))),
    "hessian_norm": each(lambda p, pi: np.linalg.norm(p.hessian(pi), 2)),
    "other_value_difference": each(lambda p, pi: p.mu @ (p.value(p.other) - p.value(pi))),
    "advantage_under_other_visits": each(lambda p, pi: p.visits(p.other, p.mu) @ (p.other * p.advantage(pi)).sum(axis=1)),
    "advantage_under_own_visits": each(lambda p, pi: p.visits(pi, p.mu) @ (p.other * p.advantage(pi)).sum(axis=1)),
    "policy_change_under_other_values": each(lambda p, pi: p.visits(pi, p.mu) @ ((p.other - pi) * p.action_value(p.other)).sum(axis=1)),
    "log_normaliser": pair(lambda p, one, two: log_normaliser(p, one)),
    "soft_q_gap": each(soft_gap),
    "log_policy_gap": each(log_gap),
    "C1": once(lambda p: soft_gap(p, p.policies[0]) + 2 * p.tau * (1 - p.eta * p.tau / (1 - p.g)) * log_gap(p, p.policies[0])),
    "next_gap_sup": pair(lambda p, one, two: (p.optimum[0] - p.value(two)).max()),
    "bellman_gap_sup": each(lambda p, pi: (p.optimum[0] - p.action_value(pi).max(axis=1)).max()),
    "value_increase_mu": pair(lambda p, one, two: p.mu @ (p.value(two) - p.value(one))),
    "visits": each(lambda p, pi: p.visits(pi, p.mu)),
    "start_probabilities": once(lambda p: p.mu),
    "mismatch_mu_policy": each(lambda p, pi: (p.visits(p.optimum[1], p.mu) / p.visits(pi, p.mu)).max()),
    "policy_mismatch": each(lambda p, pi: (p.visits(pi, p.mu) / p.mu).max()),
    "value_increase_optimal": pair(lambda p, one, two: ideal(p) @ (p.value(two) - p.value(one))),
    "value_rise_optimal": each(lambda p, pi: ideal(p) @ (p.value(pi) - p.value(p.policies[0]))),
    "log_normaliser_optimal": pair(lambda p, one, two: log_normaliser(p, one, ideal(p))),
    "divergence_drop": pair(lambda p, one, two: divergence(p, one) - divergence(p, two)),
    "divergence_spent": each(lambda p, pi: divergence(p, p.policies[0]) - divergence(p, pi)),
    "fraction": once(lambda p: 0.75),
}


def problem(shape, seed, records=4):
    """An exact instance and records; numbers of few digits, discount at most 9/10, eta <= (1 - gamma)/tau."""
    states, actions = shape
    (instance,) = random_instances(seed, states, actions)
    settings = {**instance.settings, "fraction": rational("3/4")}
    return dataclasses.replace(instance, settings=settings), random_policies(seed + 1, records, states, actions)


def reached(instance, name):
    """How far rounding may take a quantity: see the functions of `tests.tolerances`."""
    x = instance.as_float()
    largest = np.abs(x.rewards).max() + x.settings["tau"] * np.log(1e6)
    return tolerances.quantity(*x.shape, x.discount, largest, smallest_start=x.mu.min(), temperature=x.settings["tau"])


def test_every_quantity_has_an_independent_computation_or_a_claim_that_would_notice():
    """The general ones have a plain twin here; each of the others is part of a claim whose two sides are computed in different ways, or of its control."""
    import pathlib

    import proofs_check.catalogue

    assert set(REFERENCE) <= set(quantities())
    spoken = " ".join(path.read_text() for path in pathlib.Path(proofs_check.catalogue.__file__).parent.glob("*.py"))
    assert set(quantities()) - set(REFERENCE) - set(re.findall(r"\bq\.(\w+)", spoken)) == set()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_quantity_is_what_its_definition_says(name, shape):
    for seed in (1, 2):
        instance, policies = problem(shape, seed)
        context = contexts(instance, policies, pairs=quantities()[name].varies == "pair", kinds=("float",))["float"]
        measured = quantities()[name].code(context)
        expected = REFERENCE[name](plain(instance, policies))
        assert measured.shape == (1, *expected.shape)
        varies = quantities()[name].varies
        assert expected.shape[0] == {"instance": 1, "step": len(policies), "pair": len(policies) - 1}[varies]
        np.testing.assert_allclose(measured[0], expected, rtol=tolerances.quantity_relative(), atol=reached(instance, name))


@pytest.mark.exact
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_arithmetics_agree(name, shape):
    """The ball holds the rational (at 200 bits), is small, and the float is near; entries have the type that was asked for."""
    instance, policies = problem(shape, 3)
    pairs = quantities()[name].varies == "pair"
    with arithmetic.precision(200):
        made = contexts(instance, policies, pairs=pairs)
        ball = quantities()[name].code(made["ball"])
        assert arithmetic.kind(ball) == "ball"
        floats = quantities()[name].code(made["float"])
        assert floats.shape == ball.shape
        width = 1e-13 if name == "hessian_norm" else 1e-50  # eigenvectors are float64 whatever the precision
        assert all(x.rad() < width * (1 + abs(x).abs_upper()) for x in ball.reshape(-1))
        np.testing.assert_allclose(floats, to_float_of_balls(ball), rtol=tolerances.quantity_relative(), atol=reached(instance, name))
        if name in NO_RATIONAL:
            with pytest.raises((TypeError, AttributeError)):
                quantities()[name].code(made["rational"])
            return
        exact = quantities()[name].code(made["rational"])
        assert exact.shape == ball.shape and all(isinstance(x, fmpq) for x in exact.reshape(-1))
        assert all(b.overlaps(arithmetic.balls(x)) for b, x in zip(ball.reshape(-1), exact.reshape(-1).tolist(), strict=True))


def to_float_of_balls(values):
    from proofs_check.numbers import to_float as floats

    return floats(values)


@pytest.mark.parametrize("shape", SHAPES)
def test_gaps_against_the_linear_program(shape):
    """V* minimises sum V subject to V >= r + gamma P V (HiGHS); its own tolerance is 1e-7 a constraint, so V is good to 1e-7/(1 - gamma)."""
    instance, policies = problem(shape, 5)
    x = instance.as_float()
    states, actions = shape
    rows = np.concatenate([x.discount * x.transitions[:, a] - np.eye(states) for a in range(actions)])
    answer = linprog(np.ones(states), A_ub=rows, b_ub=-np.concatenate([x.rewards[:, a] for a in range(actions)]), bounds=(None, None), method="highs")
    value = plain(instance, policies).value(to_float(policies[0]))
    context = contexts(instance, policies, kinds=("float",))["float"]
    within = 2e-7 / (1 - x.discount)
    assert abs(quantities()["gap_rho"].code(context)[0, 0, 0] - x.rho @ (answer.x - value)) <= within
    assert abs(quantities()["gap_sup_0"].code(context)[0, 0, 0] - (answer.x - value).max()) <= within


@pytest.mark.exact
def test_units_on_one_state():
    """One state, two actions paying 1 and 0, discount 1/2, pi = (3/4, 1/4): V = 3/2, Q = (7/4, 3/4), A = (1/4, -3/4), d = 1;
    dV/dpi = d Q/(1 - gamma) = (7/2, 3/2); dV/dtheta = d pi A/(1 - gamma) = (3/8, -3/8); |.| = 3 sqrt2/8; V* = 2, gap 1/2."""
    transitions, ones = rational_array(np.ones((1, 2, 1), dtype=int)), rational_array([1])
    (base,) = random_instances(1, 1, 2)
    instance = dataclasses.replace(
        base,
        transitions=transitions,
        rewards=rational_array([[1, 0]]),
        discount=rational("1/2"),
        mu=ones,
        rho=ones,
        policy=rational_array([["3/4", "1/4"]]),
    )
    made = contexts(instance, instance.policy[None])
    expected = {
        "state_values": ["3/2"], "action_values": ["7/4", "3/4"], "direct_gradient": ["7/2", "3/2"], "direct_derivative": ["7/2", "3/2"],
        "softmax_gradient": ["3/8", "-3/8"], "softmax_derivative": ["3/8", "-3/8"], "gap_rho": ["1/2"], "gap_sup": ["1/2"], "mismatch": ["1"],
        "direct_gradient_with_advantages": ["1/2", "-3/2"], "bellman_values": ["7/4"], "min_optimal_probability": ["3/4"], "t": ["0"],
    }  # fmt: skip
    for name, figures in expected.items():
        assert quantities()[name].code(made["rational"])[0, 0].tolist() == rational_array(figures).tolist(), name
    assert quantities()["gradient_norm"].code(made["float"])[0, 0, 0] == pytest.approx(3 * np.sqrt(2) / 8, rel=tolerances.quantity_relative())


def tied(shape=(2, 2)):
    """Both actions of every state are the same action: everything is optimal."""
    instance, policies = problem(shape, 7)
    transitions, rewards = instance.transitions.copy(), instance.rewards.copy()
    transitions[:, 1], rewards[:, 1] = transitions[:, 0], rewards[:, 0]
    return dataclasses.replace(instance, transitions=transitions, rewards=rewards), policies


@pytest.mark.exact
def test_among_ties_the_selection_is_the_one_that_makes_the_bound_smallest():
    instance, _ = tied()
    policies = rational_array([[["1/2", "1/2"], ["1/2", "1/2"]], [["1/5", "4/5"], ["3/5", "2/5"]]])
    for made in contexts(instance, policies).values():
        assert np.all(np.asarray(made.optimum.mask))
        assert to_float_of_balls(made.selection)[0].tolist() == [[0, 1], [1, 0]]
        assert to_float_of_balls(quantities()["c_inf"].code(made))[0, :, 0] == pytest.approx([0.5, 0.5])
        assert to_float_of_balls(quantities()["min_optimal_probability"].code(made))[0, 1, 0] == pytest.approx(0.6)
        assert to_float_of_balls(quantities()["gap_sup"].code(made))[0, :, 0] == pytest.approx([0, 0], abs=reached(instance, "gap_sup"))


def test_running_minima_are_used_where_the_run_recorded_them():
    """c_t looks at every step, recorded or not."""
    instance, policies = problem((2, 2), 9)
    batch = Batch.of([instance.as_float()])
    floats = to_float(policies)
    low = np.minimum.accumulate(floats, axis=0) * 0.5
    watched = float_context(batch, np.arange(4), floats[None], minima=low[None], pairs=False)
    best = plain(instance, policies).optimum[1]
    assert quantities()["c_inf"].code(watched)[0, :, 0] == pytest.approx((low * best).sum(axis=-1).min(axis=-1))


@pytest.mark.exact
def test_unreachable_states_and_no_discount():
    """gamma = 0: visits are the start, values the rewards; a state that nothing reaches changes no figure under mu."""
    instance, policies = problem((3, 2), 11)
    zero = dataclasses.replace(instance, discount=rational(0))
    made = contexts(zero, policies)["rational"]
    assert (made.visits_mu[0] == zero.mu).all() and (made.action_values[0] == zero.rewards).all()
    assert quantities()["mismatch"].code(made)[0, 0, 0] == 1
    moves = instance.transitions.copy()
    moves[:, :, 2] = 0
    moves[:, :, :2] = 0
    moves[:, :, 0] = rational("1/3")
    moves[:, :, 1] = rational("2/3")
    lonely = dataclasses.replace(instance, transitions=moves, mu=rational_array(["1/2", "1/2", 0]), rho=rational_array(["1/4", "3/4", 0]))
    smaller = dataclasses.replace(
        lonely,
        transitions=moves[:2, :, :2],
        rewards=lonely.rewards[:2],
        mu=lonely.mu[:2],
        rho=lonely.rho[:2],
        policy=lonely.policy[:2],
        other=lonely.other[:2],
    )
    big, little = contexts(lonely, policies)["rational"], contexts(smaller, policies[:, :2])["rational"]
    for name in ("gap_rho", "gap_mu", "other_value_difference", "advantage_under_other_visits", "policy_change_under_other_values"):
        assert (quantities()[name].code(big) == quantities()[name].code(little)).all(), name


def test_a_quantity_of_two_policies_needs_two():
    from proofs_check.expression import ExpressionError

    instance, policies = problem((2, 2), 13)
    alone = contexts(dataclasses.replace(instance, other=None), policies, kinds=("float",))["float"]
    with pytest.raises(ExpressionError, match="two policies"):
        quantities()["other_value_difference"].code(alone)
    bare = contexts(dataclasses.replace(instance, settings={}), policies, kinds=("float",))["float"]
    for name in ("eta", "tau", "soft_q_gap", "C1"):
        with pytest.raises(ExpressionError, match="settings do not say"):
            quantities()[name].code(bare)


def test_domain_of_the_helper_is_what_the_tests_assume():
    """Positive mu, interior policies: what divisions and logarithms above need."""
    for seed in range(10):
        for instance in random_instances(seed, 3, 2):
            assert not Domain(policy="interior", other="any").broken(instance) and 0 <= instance.discount <= rational("9/10")
