"""Policy gradients of the risk of the return by finite differences, in three arithmetics; methods to the optimum; where gradients vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdps import MDP, ModelError, zoo
from mdps.rational import to_float
from mdps.strategies import mdps, policies
from mdps.zoo.risk import joint_bandit
from pgtheory import arithmetic, risk, run
from pgtheory.arithmetic import softmax
from pgtheory.risk.gradient import influence, risk_gradient, risk_of_policy, trajectories
from pgtheory.risk.methods import NestedActorCritic, NestedPG, RiskPG
from pgtheory.risk.nested import nested_evaluation, solve_nested
from pgtheory.risk.returns import cut, return_law
from pgtheory.risk.scoring import EntropicScore, MeanVariance, TailScore, variance

MEASURES: tuple[Any, ...] = (
    "mean", "cvar:0.37", "spectral:0.31=1/2,0.62=1/2", "mean-cvar:0.2,0.3", "entropic:2", "entropic:0", "evar:0.4", "semideviation:0.5",
    "semideviation:0.5,2", variance(), MeanVariance("1/2"), TailScore("0.37"), EntropicScore(2),
)  # fmt: skip


def random_model(seed: int = 1) -> MDP:
    rng = np.random.default_rng(seed)
    return MDP(rng.dirichlet(np.ones(3), (3, 2)), rng.random((3, 2)), 0.8)


PATHS = trajectories(random_model(), 2)
LOGITS = np.random.default_rng(5).normal(size=(3, 2))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_gradient_is_the_derivative(measure: Any) -> None:
    """Central differences: the error of h = 1e-5 is h^2 times a third derivative of order 1, plus rounding / h."""
    gradient = risk_gradient(PATHS, softmax(LOGITS), measure)
    for place in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[place] = 1e-5
        up, down = (risk_of_policy(PATHS, softmax(LOGITS + sign * step), measure) for sign in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(gradient[place], abs=1e-9)
    policy = softmax(LOGITS)
    direct = risk_gradient(PATHS, policy, measure, parameters="policy")
    assert np.abs(policy * (direct - (policy * direct).sum(axis=1)[:, None]) - gradient).max() <= 1e-13
    balls = risk_gradient(PATHS, arithmetic.balls(policy), measure)
    assert max(abs(float(b.mid()) - g) - float(b.rad()) for b, g in zip(balls.ravel(), gradient.ravel(), strict=True)) <= 1e-9
    assert max(float(b.rad()) for b in balls.ravel()) <= 1e-9


@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("measure", ["cvar:3/10", "semideviation:1/2", "mean", TailScore("3/10"), variance()], ids=str)
def test_gradients_of_rational_policies_are_rational(measure: Any, data: Any) -> None:
    mdp = data.draw(mdps(max_states=2, max_actions=2, discount="1/2"))
    policy = data.draw(policies(mdp, interior=True, exact=True))
    paths = trajectories(mdp, 2)
    p = paths.probabilities(policy)
    assert p.sum() == 1
    law = return_law(cut(mdp, 2), policy)
    assert risk_of_policy(paths, policy, "cvar:3/10") == law.risk("cvar:3/10")
    exact = risk_gradient(paths, policy, measure)
    assert all(x == 0 for x in exact.sum(axis=1).tolist())  # softmax does not see a constant
    rough = risk_gradient(paths, to_float(policy), measure)
    cumulative = np.cumsum(to_float(law.probabilities))
    if np.abs(cumulative - 0.3).min() > 1e-9:  # at a value of the distribution function either threshold is right
        assert np.abs(to_float(exact) - rough).max() <= 1e-12


def test_dropping_the_threshold_is_another_gradient() -> None:
    """The negative control: (1/a) E[G 1{G <= VaR} score] is not the derivative of CVaR, because the indicator has a mean score."""
    policy = softmax(LOGITS)
    p = PATHS.probabilities(policy)
    returns = PATHS.like("float")[1]
    below = returns <= risk.var(p, returns, 0.37)
    wrong = PATHS.score(policy, p * np.where(below, returns, 0.0) / 0.37)
    assert np.abs(wrong - risk_gradient(PATHS, policy, "cvar:0.37")).max() > 1e-2


def test_a_joint_risk_has_flat_ground_where_nested_risk_has_none() -> None:
    """K16: with pi_2 > a the gradient is 0 although the gap is 1; with the actions averaged outside the risk it never is."""
    paths = trajectories(joint_bandit())
    for second, value, slope in ((0.75, 0.0, 0.0), (0.6, 0.0, 0.0), (0.25, 0.5, 2.0)):
        policy = np.array([[1 - second, second]])
        assert risk_of_policy(paths, policy, "cvar:1/2") == pytest.approx(value)
        gradient = risk_gradient(paths, policy, "cvar:1/2", parameters="policy")
        assert gradient[0, 0] - gradient[0, 1] == pytest.approx(slope)


def test_levels_at_which_risk_does_not_depend_on_the_policy() -> None:
    p, x = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    assert not influence("worst", p, x).any() and not influence("evar:1/4", p, x).any()
    assert np.array_equal(influence("cvar:1", p, x), x) and np.array_equal(influence("evar:1", p, x), x)
    assert np.array_equal(influence("semideviation:1/2,2", np.array([1.0]), np.array([3.0])), [3.0])


@pytest.mark.parametrize("parameters", ["logits", "policy"])
@pytest.mark.parametrize("measure", ["cvar:1/2", "entropic:1", "evar:1/2"])
def test_nested_methods_reach_the_optimum(measure: str, parameters: str) -> None:
    """Gradient domination of nested risk: projected ascent gets there, softmax creeps up on it; no step goes down."""
    mdp = random_model()
    best = solve_nested(mdp, measure).values @ mdp.start
    step = 0.5 if parameters == "policy" else 2.0
    for method in (NestedPG(measure, step, parameters), NestedActorCritic(measure, step, parameters)):
        found = run(mdp, method, 40, record=[0, 1, 10, 40])
        values = [nested_evaluation(pi, mdp.transitions, mdp.rewards, mdp.discount, risk.parse(measure))[0] @ mdp.start for pi in found.policies]
        assert best - values[-1] <= (1e-9 if parameters == "policy" else 0.05)
        assert best - values[-1] < best - values[0]
        if isinstance(method, NestedPG):
            assert (np.diff(values) >= -1e-12).all()


@pytest.mark.parametrize("parameters", ["logits", "policy"])
def test_reinforce_on_the_risk_of_the_return_climbs(parameters: str) -> None:
    mdp = random_model()
    paths = trajectories(mdp, 2)
    found = run(mdp, RiskPG("cvar:0.3", 0.05 if parameters == "policy" else 0.3, parameters, horizon=2), 60, record="all")
    values = np.array([risk_of_policy(paths, pi, "cvar:0.3") for pi in found.policies])
    assert values[-1] > values[0] + 0.05
    assert np.diff(values).min() >= -0.05 * 2  # a kink of CVaR may cost a step, not more than its length times the slope


def test_methods_step_in_rationals_and_balls() -> None:
    mdp = zoo.survival().replace(
        transitions=np.array([[["9/10", "1/10"], ["1/2", "1/2"]], [["0", "1"], ["1/4", "3/4"]]]), rewards=[["1", "3/2"], ["0", "0"]]
    )
    method = NestedPG("cvar:1/2", "1/10", "policy")
    exact = method.step(method.start(mdp.exact), mdp.exact)
    rough = method.step(method.start(mdp), mdp)
    assert np.abs(to_float(exact) - rough).max() <= 1e-14
    assert [row.sum() for row in exact] == [1, 1]
    paths = RiskPG("cvar:1/2", "1/10", "policy", horizon=2)
    assert np.abs(to_float(paths.step(paths.start(mdp.exact), mdp.exact)) - paths.step(paths.start(mdp), mdp)).max() <= 1e-14


def test_bad_input_names_the_figure() -> None:
    mdp = random_model()
    ragged = zoo.two_state("1/2", ragged=True)
    cases: list[tuple[Any, str]] = [
        (lambda: trajectories(mdp), "give one"),
        (lambda: trajectories(ragged, 2), "same number of actions"),
        (lambda: trajectories(mdp, 12), "more than 200,000 trajectories"),
        (lambda: risk_gradient(PATHS, softmax(LOGITS), "mean", parameters="weights"), "parameters is 'weights'"),
        (lambda: risk_gradient(PATHS, np.array([[1.0, 0.0]] * 3), "mean", parameters="policy"), "no probability 0"),
        (lambda: NestedPG("cvar:2", 0.1), "risk level is 2"),
        (lambda: NestedPG("cvar:1/2", 0.1, "weights"), "parameters is 'weights'"),
        (lambda: run(mdp, NestedPG("cvar:1/2", -1.0), 3), "step_size is -1.0"),
        (lambda: run(ragged, NestedPG("cvar:1/2", 1.0), 3), "same number of actions"),
        (lambda: run(mdp, NestedActorCritic("cvar:1/2", 0.1, critic_step=2), 3), "critic_step is 2"),
    ]
    for call, words in cases:
        with pytest.raises(ModelError, match=words):
            call()
