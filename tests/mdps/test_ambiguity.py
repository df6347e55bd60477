"""Ambiguity sets are checked when they are made and when they meet a model: the message names the place and the figure."""

from __future__ import annotations

import numpy as np
import pytest

from mdps import MDP, ModelError, RobustMDP
from mdps.ambiguity import (
    KL,
    L1,
    L2,
    Chi2,
    Contamination,
    FiniteSet,
    Intervals,
    KLPenalty,
    Linf,
    RewardBall,
    RewardBox,
    TotalVariation,
    Wasserstein,
    read_ambiguity,
)
from mdps.rational import rational

NOMINAL = MDP([[["1/2", "1/2"], [1, 0]], [["1/3", "2/3"], [0, 1]]], [[1, 0], [0, 1]], "1/2")
FLAT = np.full((2, 2, 2), 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L1(-0.1), r"radius of L1 is -0\.1; it must be at least 0"),
        (lambda: KL(float("nan")), "radius of KL is nan"),
        (lambda: L2(float("inf")), "radius of L2 is inf"),
        (lambda: L1([[0.1, -1], [0, 0]]), r"radius of L1\[0, 1\] is -1"),
        (lambda: TotalVariation("a lot"), "radius of TotalVariation"),
        (lambda: L1(0.1, rectangular="state"), "rectangular is 'state'; it must be one of 'sa', 's'"),
        (lambda: L1(0.1, support="some"), "support is 'some'"),
        (lambda: KL(0.1, support="all"), "stays unreachable"),
        (lambda: Chi2(0.1, support="all"), "stays unreachable"),
        (lambda: Contamination(1.5), "is 1.5; it is a probability, at most 1"),
        (lambda: L1(0.1, weights=[1, 0]), r"weights\[1\] is 0"),
        (lambda: Wasserstein(0.1), "needs cost"),
        (lambda: Wasserstein(0.1, cost=[[0, 1], [1, 2]]), r"cost\[1, 1\] is 2.0; staying must cost 0"),
        (lambda: Wasserstein(0.1, cost=[[0, -1], [1, 0]]), r"cost\[0, 1\] is -1"),
        (lambda: Intervals(FLAT, FLAT - 0.1), r"low\[0, 0, 0\] is 0.5, above high\[0, 0, 0\] = 0.4: the interval is empty"),
        (lambda: Intervals(FLAT[0], FLAT[0]), "both must be"),
        (lambda: FiniteSet(np.zeros((0, 2, 2, 2))), "kernels is empty"),
        (lambda: FiniteSet(FLAT), r"it must be \(K, S, A, S'\)"),
        (lambda: KLPenalty(-1), "beta is -1"),
        (lambda: RewardBox(-1), "radius of RewardBox is -1"),
        (lambda: RewardBall("x"), "radius of RewardBall"),
        (lambda: RewardBall(1, rectangular="sa"), "rectangular is 'sa'"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize(
    ("ambiguity", "message"),
    [
        (L1([0.1, 0.2, 0.3], rectangular="s"), r"has shape \(3,\)"),
        (L1([0.1, 0.2]), r"it must be one number or have shape \(2, 2\)"),
        (L1(0.1, weights=[1, 1, 1]), "there are 2 states"),
        (Wasserstein(0.1, cost=np.zeros((3, 3))), "there are 2 states"),
        (Intervals(FLAT * 1.5, FLAT * 1.6), "lower ends of state 0, action 0 sum to 1.5, above 1"),
        (Intervals(FLAT * 0, FLAT * 0.5), "upper ends of state 0, action 0 sum to 0.5, below 1"),
        (FiniteSet(FLAT[None] * 0.9), r"kernels\[0, 0, 0\] \(kernel 0, state 0, action 0\) sums to 0.9, not 1"),
        (FiniteSet(np.full((1, 3, 2, 3), 1 / 3)), "must have the shape"),
        (RewardBall([1, 2, 3]), r"has shape \(3,\)"),
        ("l1:0.2", "the ambiguity is a str"),
        ((L1(0.1), KL(0.1)), "one set of kernels, one of rewards"),
        ((L1(0.1, rectangular="s"), RewardBall(0.1)), "both s-rectangular"),
    ],
)
def test_a_set_that_does_not_fit_the_model_is_refused(ambiguity, message):
    with pytest.raises(ModelError, match=message):
        RobustMDP(NOMINAL, ambiguity)


def test_rewards_on_arrival_have_the_nominal_rewards_as_expectation():
    paid = np.zeros((2, 2, 2))
    paid[0, 0], paid[1, 1] = 1, 1
    assert RobustMDP(NOMINAL, L1(0.1), transition_rewards=paid).transition_rewards.shape == (2, 2, 2)
    with pytest.raises(ModelError, match=r"transition_rewards\[0, 0\] has another nominal expectation"):
        RobustMDP(NOMINAL, L1(0.1), transition_rewards=paid * 2)
    with pytest.raises(ModelError, match="go with one"):
        RobustMDP(NOMINAL, L1(0.1, rectangular="s"), transition_rewards=paid)


def test_a_robust_model_does_not_change():
    problem = RobustMDP(NOMINAL, L1(0.1))
    with pytest.raises(AttributeError, match="does not change"):
        problem.nominal = NOMINAL
    with pytest.raises(ModelError, match=r"must be an mdps\.MDP"):
        RobustMDP("river", L1(0.1))


def test_sets_in_words():
    kinds = {"l1": L1, "tv": TotalVariation, "l2": L2, "linf": Linf, "kl": KL, "chi2": Chi2, "contamination": Contamination, "entropic": KLPenalty}
    for word, kind in kinds.items():
        assert type(read_ambiguity(f"{word}:1/5", 3)) is kind
    found = read_ambiguity("L1:0.2,support=nominal", 3, "s")
    assert (found.radius[()], found.support, found.rectangular) == (rational("1/5"), "nominal", "s")
    assert read_ambiguity("wasserstein:1/2", 3).cost.tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert read_ambiguity("wasserstein:1/2,cost=discrete", 2).cost.tolist() == [[0, 1], [1, 0]]
    assert [type(x) for x in read_ambiguity("l1:0.2+reward-box:0.1", 2)] == [L1, RewardBox]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l3:0.1", "there is no ambiguity set 'l3'.* Did you mean"),
        ("l1", "has no radius"),
        ("l1:", "has no radius"),
        ("l1:x", "the radius 'x' is no number"),
        ("l1:-1", "at least 0"),
        ("l1:0.1,weight=2", "is no option of l1"),
        ("entropic:1,support=all", "is no option of entropic"),
        ("wasserstein:1,cost=far", "cost=far is unknown"),
    ],
)
def test_unreadable_words_are_refused(text, message):
    with pytest.raises(ModelError, match=message):
        read_ambiguity(text, 3)
    with pytest.raises(ModelError, match="leave --rectangular out"):
        read_ambiguity("entropic:1", 3, "s")
