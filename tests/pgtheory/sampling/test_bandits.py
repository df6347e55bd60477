"""Bandit learners: compiled runs against exact trees, published figures, limits, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from mdps.errors import ModelError
from pgtheory.sampling import Bandit, ChangingBandit, InverseGapWeighting, MirrorDescent, SoftmaxGradient, expectations, replicate
from pgtheory.sampling.bandits import POTENTIALS, weights_of
from tests.pgtheory.sampling.test_simulator import LEVEL

LEARNERS = {
    "plain": SoftmaxGradient(0.4),
    "number": SoftmaxGradient(0.4, baseline=-0.5),
    "value": SoftmaxGradient(1.0, baseline="value"),
    "optimal": SoftmaxGradient(0.7, baseline="optimal", logits=[0.0, 0.5, 1.0]),
    "natural": SoftmaxGradient(0.2, natural=True),
    "natural, value": SoftmaxGradient(0.2, natural=True, baseline="value"),
    "natural, optimal": SoftmaxGradient(0.2, natural=True, baseline="optimal"),
    "gap weighting": InverseGapWeighting(2.0),
    "gap weighting, constant": InverseGapWeighting(5.0, growing=False, prior=1.0, weight=0.5),
    **{f"{name}{', decreasing' * falls}": MirrorDescent(name, 0.8, falls) for name in POTENTIALS for falls in (False, True)},
}
THREE = Bandit.bernoulli([0.7, 0.5, 0.2])


@pytest.mark.parametrize("name", LEARNERS)
def test_runs_agree_with_the_tree_of_all_sequences(name):
    horizon, runs = 4, 40_000
    exact = expectations(LEARNERS[name], THREE, horizon)
    seen = replicate(LEARNERS[name], THREE, horizon, runs, seed=5, times=range(1, horizon + 1))
    normal = stats.norm.isf(LEVEL / 2 / 7)
    errors = seen.regret.std(axis=0) / np.sqrt(runs)
    assert (np.abs(seen.regret.mean(axis=0) - exact.regret) <= normal * errors + 1e-12).all()
    assert (np.abs(seen.policy.mean(axis=0) - exact.policy[-1]) <= normal * seen.policy.std(axis=0) / np.sqrt(runs) + 1e-12).all()


CHANGING = ChangingBandit([[1, 0, 0.5], [0, 1, 0.2], [0.3, 0.1, 1], [0, 1, 0]])


@pytest.mark.parametrize("name", ["value", "natural, value", "gap weighting", "shannon, decreasing", "tsallis, decreasing"])
def test_runs_against_an_adversary_agree_with_the_tree(name):
    runs = 20_000
    exact = expectations(LEARNERS[name], CHANGING, 4)
    seen = replicate(LEARNERS[name], CHANGING, 4, runs, seed=5, times=range(1, 5))
    normal = stats.norm.isf(LEVEL / 2 / 7)
    assert (np.abs(seen.regret.mean(axis=0) - exact.regret) <= normal * seen.regret.std(axis=0) / np.sqrt(runs) + 1e-12).all()
    assert (np.abs(seen.policy.mean(axis=0) - exact.policy[-1]) <= normal * seen.policy.std(axis=0) / np.sqrt(runs) + 1e-12).all()
    np.testing.assert_allclose(seen.best[:, -1].mean(), seen.policy[:, 1].mean(), atol=1e-12)


def test_a_changing_bandit_that_does_not_change_is_a_sure_one():
    still, sure = ChangingBandit(np.tile([0.9, 0.4], (30, 1))), Bandit.sure([0.9, 0.4])
    for name in ("value", "gap weighting", "tsallis, decreasing"):
        for field in ("regret", "best", "policy"):
            first, second = (getattr(replicate(LEARNERS[name], bandit, 30, 50, seed=1, times=[7, 30]), field) for bandit in (still, sure))
            np.testing.assert_allclose(first, second, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_exponential_weights_and_tsallis_keep_their_adversarial_bounds(seed):
    """E regret <= sqrt(2 T K log K) with eta = sqrt(2 log K / (T K)) (exp3-regret), <= 4 sqrt(K T) + 1 with 2/sqrt t (tsallis-inf)."""
    rng, T, K = np.random.default_rng(seed), 6, 3
    bandit = ChangingBandit(rng.integers(0, 2, (T, K)))
    eta = np.sqrt(2 * np.log(K) / (T * K))
    assert expectations(MirrorDescent("shannon", eta), bandit, T).regret[-1] <= np.sqrt(2 * T * K * np.log(K))
    assert expectations(MirrorDescent("tsallis", 2.0, True), bandit, T).regret[-1] <= 4 * np.sqrt(K * T) + 1


def test_rewards_out_of_range_break_the_bound():
    """T = 8, K = 2, losses (0, 10) in every round: 10.126 > 4.710."""
    bandit, eta = ChangingBandit(np.tile([1.0, -9.0], (8, 1))), np.sqrt(2 * np.log(2) / 16)
    found = expectations(MirrorDescent("shannon", eta), bandit, 8).regret[-1]
    assert abs(found - 10.126) < 1e-3 and found > np.sqrt(2 * 16 * np.log(2))


@pytest.mark.parametrize("name", ["value", "tsallis, decreasing"])
def test_a_seed_means_the_same_on_any_number_of_threads(name):
    whole = replicate(LEARNERS[name], THREE, 30, 5000, seed=9, times=[10, 30])
    again = replicate(LEARNERS[name], THREE, 30, 5000, seed=9, times=[10, 30], threads=2)
    part = replicate(LEARNERS[name], THREE, 30, 300, seed=9, first=2500)
    np.testing.assert_array_equal(whole.regret, again.regret)
    np.testing.assert_array_equal(whole.regret[2500:2800, 1:], part.regret)
    assert (whole.regret[:, 0] <= whole.regret[:, 1]).all()


@pytest.mark.parametrize("power", [1, 2])
def test_mirror_weights_solve_their_equation(power):
    rng = np.random.default_rng(power)
    for _ in range(30):
        losses = rng.exponential(rng.choice([0.1, 10, 1e4]), (1, rng.integers(1, 6)))
        losses -= losses.min()
        eta = rng.choice([0.01, 1.0, 30.0])
        found = weights_of(losses, eta, power)[0]
        c = 2.0 if power == 2 else 1.0

        def excess(y, losses=losses, eta=eta, c=c):
            return ((c / (eta * (losses[0] + y))) ** power).sum() - 1

        root = optimize.brentq(excess, c / eta * 0.999, c * 6 / eta, xtol=1e-300, rtol=1e-15)
        np.testing.assert_allclose(found, (c / (eta * (losses[0] + root))) ** power, rtol=1e-11)
        assert abs(found.sum() - 1) < 1e-12


def test_published_figures_of_the_two_armed_softmax_gradient():
    """Regret 18.2 at T = 2,000 for means (.5, 0) and 98.5 at T = 3,000 for a long step (Baudry et al. 2025, theorems 1 and 2)."""
    short = replicate(SoftmaxGradient(0.2154), Bandit.signs([0.5, 0]), 2000, 2000, seed=1).regret
    assert abs(short.mean() - 18.38) < 6 * np.hypot(short.std() / np.sqrt(2000), 0.13)
    assert short.mean() <= np.log(1 + 4 * 0.2154 * 0.5 * 2000) / (2 * 0.2154) + 0.5 / (2 * 0.2154 * (0.5 - 0.2154 * 1.16))
    long = replicate(SoftmaxGradient(4.0), Bandit([[1, -1], [0, 0]], [[0.6, 0.4], [1, 0]]), 3000, 1500, seed=1).regret
    assert abs(long.mean() - 98.5) < 6 * np.hypot(long.std() / np.sqrt(1500), 3.4)


def test_the_natural_gradient_without_a_baseline_commits_to_the_worse_arm():
    """P(only arm 2 is pulled for k rounds) = prod sigmoid(x_j) with x_{j+1} = x_j + eta r_2 / sigmoid(x_j), .3908 for ever if r_2 = .9 and eta = 1
    (Mei et al. 2021).  A run that did so is known by its last distribution."""
    x, product, runs = 0.0, 1.0, 20_000
    for _ in range(4):
        worse = 1 / (1 + np.exp(-x))
        product *= worse
        x += 0.9 / worse
    learner, bandit = SoftmaxGradient(1.0, natural=True), Bandit.sure([1.0, 0.9])
    policy = replicate(learner, bandit, 4, runs, seed=3).policy
    alone = np.abs(policy[:, 1] - 1 / (1 + np.exp(-x))) < 1e-9
    error = stats.norm.isf(LEVEL / 2) * np.sqrt(product * (1 - product) / runs)
    assert abs(alone.mean() - product) < error
    stuck = (replicate(learner, bandit, 60, runs, seed=3).policy[:, 1] > 0.999).mean()
    assert stuck > 0.3908 - error  # other runs get stuck there after a pull of arm 1
    value = replicate(SoftmaxGradient(1.0, natural=True, baseline="value"), bandit, 400, 2000, seed=3)
    assert (value.policy[:, 1] > 0.999).mean() == 0


@pytest.mark.parametrize(("shift", "reached"), [(-0.5, 0.188), (0.5, 0.883)])
def test_baselines_of_equal_variance_have_different_fates(shift, reached):
    """Three arms (1, .7, 0), natural step .5 from (0, 3, 5), a constant off the baseline of least variance: 2,000 steps (Chung et al. 2021)."""

    class Shifted(SoftmaxGradient):
        def offset(self, p, means):
            return super().offset(p, means) + shift

    rng, runs = np.random.default_rng(0), 400
    learner = Shifted(0.5, baseline="optimal", natural=True, logits=[0.0, 3.0, 5.0])
    bandit = Bandit.sure([1, 0.7, 0])
    state = np.repeat(learner.start(bandit), runs, axis=0)
    for t in range(1, 501):  # the fate is decided long before
        p = learner.policy(state, t)
        arm = (p.cumsum(axis=1) < rng.random((runs, 1))).sum(axis=1).clip(max=2)
        state = learner.update(state, t, p, arm, bandit.means[arm], bandit.means)
    fraction = (learner.policy(state, 501)[:, 0] > 0.95).mean()
    assert abs(fraction - reached) < 5 * np.sqrt(0.25 / runs)


def test_one_arm_has_no_regret():
    for learner in LEARNERS.values():
        if getattr(learner, "logits", None) is None:
            assert replicate(learner, Bandit.bernoulli([0.4]), 20, 10).regret.max() == 0
            assert expectations(learner, Bandit.bernoulli([0.4]), 3).regret.max() == 0


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: SoftmaxGradient(0.0), "step_size is 0.0"),
        (lambda: SoftmaxGradient(1.0, baseline="valu"), "baseline is 'valu'"),
        (lambda: MirrorDescent("tsalis", 1.0), "Did you mean tsallis"),
        (lambda: MirrorDescent("tsallis", -1.0), "step_size is -1.0"),
        (lambda: InverseGapWeighting(0.0), "scale is 0.0"),
        (lambda: InverseGapWeighting(1.0, weight=0.0), "weight is 0.0"),
        (lambda: InverseGapWeighting(1.0, prior=np.nan), "prior is nan"),
        (lambda: Bandit([[1.0, np.nan]], [[0.5, 0.5]]), "arm 0 has a reward that is not finite"),
        (lambda: Bandit([[1.0, 0.0]], [[0.5, 0.6]]), "probabilities of arm 0"),
        (lambda: Bandit([[1.0]], [[0.5, 0.5]]), r"rewards have shape \(1, 1\)"),
        (lambda: replicate(SoftmaxGradient(1.0), THREE, 0, 10), "horizon is 0"),
        (lambda: replicate(SoftmaxGradient(1.0), CHANGING, 5, 10), "horizon is 5; the rewards are told for 4 rounds"),
        (lambda: ChangingBandit([[1, 2], [np.inf, 0]]), r"rewards\[1, 0\] is not finite"),
        (lambda: ChangingBandit([1, 2]), r"rewards have shape \(2,\)"),
        (lambda: replicate(SoftmaxGradient(1.0), THREE, 10, 0), "runs is 0"),
        (lambda: replicate(SoftmaxGradient(1.0), THREE, 10, 10, seed=0.5), "seed is 0.5"),
        (lambda: replicate(SoftmaxGradient(1.0), THREE, 10, 10, times=[5, 5]), "times must be increasing"),
        (lambda: replicate(SoftmaxGradient(1.0, logits=[0, 1]), THREE, 10, 10), "logits must be 3"),
        (lambda: expectations(SoftmaxGradient(1.0), THREE, 12), "at most 4,194,304"),
        (lambda: replicate(object(), THREE, 10, 10), "no compiled run"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
