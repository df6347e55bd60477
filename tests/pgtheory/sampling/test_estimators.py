"""Every estimator: its exact mean against the gradient by automatic means, its samples against its exact moments, its bad input."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq
from scipy import stats

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import action_values, state_values
from pgtheory.sampling import GAE, ActorCritic, ImportanceWeighted, Reinforce, RewardToGo, reward_to_go_gradient, truncated_gradient, truncation_bound
from tests.pgtheory.sampling.test_simulator import LEVEL, model_and_policy

HORIZON = 4
OTHER = np.array([[0.3, 0.7], [0.6, 0.4]])


def finite_gradient(mdp: MDP, policy: np.ndarray, horizon: int) -> np.ndarray:
    """The gradient of J_H in logits by backward dynamic programming: sum_t gamma^t Pr(s_t) pi (Q_t - V_t)."""
    P, r, gamma = np.asarray(mdp.transitions), np.asarray(mdp.rewards), float(mdp.discount)
    ahead, tables = np.zeros(mdp.num_states), []
    for _ in range(horizon):
        Q = r + gamma * P @ ahead
        ahead = (policy * Q).sum(axis=1)
        tables.append(Q - ahead[:, None])
    at, out = np.asarray(mdp.start), np.zeros_like(policy)
    for t, advantages in enumerate(reversed(tables)):
        out += gamma**t * at[:, None] * policy * advantages
        at = np.einsum("s,sa,sat->t", at, policy, P)
    return out


def small(seed: int = 1) -> tuple[MDP, np.ndarray]:
    return model_and_policy(seed, states=2, actions=2) if seed != 1 else (model_and_policy(1, 2, 2)[0], np.array([[0.2, 0.8], [0.55, 0.45]]))


UNBIASED = {
    "whole return": Reinforce(HORIZON),
    "whole return, a number off": Reinforce(HORIZON, baseline=0.3),
    "whole return, the first state's": Reinforce(HORIZON, baseline=[0.4, -2.0]),
    "reward to go": RewardToGo(HORIZON),
    "state baseline": RewardToGo(HORIZON, baseline=[0.7, -1.0]),
    "corrected action baseline": RewardToGo(HORIZON, baseline=np.array([[0.7, -1.0], [2.0, 0.1]])),
    "weights of the path": ImportanceWeighted(HORIZON, RewardToGo(HORIZON, baseline=[0.7, -1.0]), OTHER),
    "weights of each decision": ImportanceWeighted(HORIZON, RewardToGo(HORIZON), OTHER, per_decision=True),
    "gae, nothing forgotten": GAE(HORIZON, critic=0, decay=1),
}
BIASED = {
    "uncorrected action baseline": RewardToGo(HORIZON, baseline=np.array([[0.7, -1.0], [2.0, 0.1]]), corrected=False),
    "one-step critic": ActorCritic(HORIZON, critic=[5.0, 0.0]),
    "gae of a wrong critic": GAE(HORIZON, critic=[5.0, 0.0], decay=0.5),
}


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_estimators_have_the_gradient_as_their_mean(name):
    mdp, policy = small()
    np.testing.assert_allclose(UNBIASED[name].expectation(mdp, policy), finite_gradient(mdp, policy, HORIZON), atol=1e-12)


def test_the_bias_is_the_mean_less_the_gradient_by_recursion():
    mdp, policy = small()
    np.testing.assert_allclose(truncated_gradient(mdp, policy, HORIZON), finite_gradient(mdp, policy, HORIZON), atol=1e-14)
    for name, estimator in {**UNBIASED, **BIASED}.items():
        assert (np.abs(estimator.bias(mdp, policy)).max() > 0.01) == (name in BIASED)
    exact = MDP([[["1/2", "1/2"], ["1/4", "3/4"]], [["1", "0"], ["1/3", "2/3"]]], [["1", "0"], ["1/5", "3/5"]], "1/2")
    rational = np.array([[fmpq(1, 3), fmpq(2, 3)], [fmpq(1, 2), fmpq(1, 2)]], dtype=object)
    assert (RewardToGo(3).bias(exact, rational) == 0).all()


@pytest.mark.parametrize("name", BIASED)
def test_biased_estimators_are_seen_to_be(name):
    mdp, policy = small()
    assert np.abs(BIASED[name].expectation(mdp, policy) - finite_gradient(mdp, policy, HORIZON)).max() > 0.01


@pytest.mark.parametrize("name", [*UNBIASED, *BIASED])
def test_samples_agree_with_the_listed_paths(name):
    estimator = {**UNBIASED, **BIASED}[name]
    mdp, policy = small()
    exact, seen = estimator.moments(mdp, policy), estimator.sample(mdp, policy, chains=60_000, seed=4)
    normal = stats.norm.isf(LEVEL / 2 / policy.size)
    assert (np.abs(seen.mean - exact.mean) <= normal * np.sqrt(np.diag(exact.covariance) / seen.chains).reshape(2, 2) + 1e-12).all()
    # the sample variance of n draws is off by a few sqrt((kurtosis - 1) / n): the heaviest tails here have a kurtosis of some hundred
    np.testing.assert_allclose(seen.variance, exact.variance, rtol=0.5 if "weights" in name else 0.06)
    assert seen.extremes[0] <= seen.mean.min() and seen.mean.max() <= seen.extremes[1]


def test_moments_are_rational_on_rational_models():
    mdp = MDP([[["1/2", "1/2"], ["1/4", "3/4"]], [["1", "0"], ["1/3", "2/3"]]], [["1", "0"], ["1/5", "3/5"]], "1/2")
    policy = np.array([[fmpq(1, 3), fmpq(2, 3)], [fmpq(1, 2), fmpq(1, 2)]], dtype=object)
    plain, togo = Reinforce(3).moments(mdp, policy), RewardToGo(3, baseline=["1/2", "1/3"]).moments(mdp, policy)
    assert (plain.mean == togo.mean).all() and isinstance(plain.mean[0, 0], fmpq)
    assert plain.mean[0, 0] == fmpq(313, 1620)
    assert isinstance(togo.variance, fmpq) and togo.variance > 0
    floats = RewardToGo(3, baseline=[0.5, 1 / 3]).moments(mdp, np.array([[1 / 3, 2 / 3], [0.5, 0.5]]))
    np.testing.assert_allclose(floats.covariance, togo.covariance.astype(float), atol=1e-14)


def test_covariance_of_a_bandit_by_hand():
    """One step, pi = (9/10, 1/10), r = (1, 0): variance 9/5000 without a baseline, 72/625 with the value, 0 with the other arm's probability."""
    mdp = MDP([[["1"], ["1"]]], [["1", "0"]], "0")
    policy = np.array([[fmpq(9, 10), fmpq(1, 10)]], dtype=object)
    assert RewardToGo(1).moments(mdp, policy).variance == fmpq(9, 5000)
    assert RewardToGo(1, baseline="9/10").moments(mdp, policy).variance == fmpq(72, 625)
    assert RewardToGo(1, baseline="1/10").moments(mdp, policy).variance == 0


def test_the_exact_critic_leaves_no_bias_but_that_of_the_cut():
    mdp, policy = model_and_policy(5, 2, 2, discount=0.5)
    policy = np.array([[0.3, 0.7], [0.5, 0.5]])
    values = state_values(mdp, policy)
    A = np.asarray(action_values(mdp, policy)) - values[:, None]
    visits = [np.asarray(mdp.start)]
    chain = np.einsum("sa,sat->st", policy, np.asarray(mdp.transitions))
    for _ in range(4):
        visits.append(visits[-1] @ chain)
    wanted = sum(0.5**t * visits[t][:, None] * policy * A for t in range(5))
    for decay in (0, 0.4, 1):
        np.testing.assert_allclose(GAE(5, critic=values, decay=decay).expectation(mdp, policy), wanted, atol=1e-12)
    np.testing.assert_allclose(ActorCritic(5, critic=values).expectation(mdp, policy), wanted, atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 3, 6])
def test_truncation_is_within_its_bound(horizon):
    from pgtheory import occupancy

    for seed in range(20):
        mdp, policy = model_and_policy(seed, 3, 2, discount=0.7)
        A = np.asarray(action_values(mdp, policy)) - state_values(mdp, policy)[:, None]
        whole = np.asarray(occupancy(mdp, policy)) * A / (1 - 0.7)
        assert np.linalg.norm(whole - finite_gradient(mdp, policy, horizon)) <= truncation_bound(mdp, policy, horizon)


@pytest.mark.parametrize("baseline", [None, [0.3, -0.2, 0.5, 0.0, 1.0]])
def test_the_compiled_sum_is_that_of_the_kept_paths(baseline):
    from pgtheory.sampling import simulate

    mdp, policy = model_and_policy(2)
    paths = simulate(mdp, policy, 3000, 20, seed=6)
    each = RewardToGo(20, baseline=baseline).of_paths(mdp, policy, paths.states, paths.actions)
    mean = reward_to_go_gradient(mdp, policy, 3000, 20, seed=6, baseline=baseline)
    np.testing.assert_allclose(mean, each.mean(axis=0), atol=1e-12)
    np.testing.assert_array_equal(reward_to_go_gradient(mdp, policy, 3000, 20, seed=6, baseline=baseline, threads=2), mean)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RewardToGo(0), "horizon is 0"),
        (lambda: RewardToGo(2, baseline=[1, 2, 3]), r"baseline has shape \(3,\); the model has 2 states"),
        (lambda: RewardToGo(2, baseline=np.zeros((2, 3))), r"baseline has shape \(2, 3\)"),
        (lambda: GAE(2, critic=0, decay=1.5), "decay is 1.5"),
        (lambda: ActorCritic(2, critic=[1]), r"critic has shape \(1,\)"),
        (lambda: ImportanceWeighted(2, RewardToGo(2), [[1, 0], [0.5, 0.5]]), "never takes action 1 in state 0"),
        (lambda: ImportanceWeighted(2, Reinforce(2), OTHER, per_decision=True), "rewards to go without a baseline"),
    ],
)
def test_bad_input_is_named(make, words):
    mdp, policy = small()
    with pytest.raises(ModelError, match=words):
        make().expectation(mdp, policy)


def test_a_single_chain_has_no_covariance():
    mdp, policy = small()
    with pytest.raises(ModelError, match="chains is 1"):
        RewardToGo(2).sample(mdp, policy, 1)


def test_a_critic_that_is_not_finite_is_named():
    mdp, policy = small()
    with pytest.raises(ModelError, match="critic is inf in state 0; it must be finite"):
        ActorCritic(2, critic=[np.inf, 0.0]).sample(mdp, policy, 10)
