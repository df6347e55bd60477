"""Functions of several values: the bias of the same batch in fractions, no bias of others for quadratic functions, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from flint import fmpq

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.multi_objective import Scalarisation, scalarised_gradient
from pgtheory.sampling import Fresh, ScalarisedBatch
from tests.pgtheory.sampling.test_simulator import model_and_policy

ARMS = MDP([[["1"], ["1"], ["1"]]], [["0", "0", "0"]], "0")
POLICY = np.array([[fmpq(1, 2), fmpq(3, 10), fmpq(1, 5)]], dtype=object)
REWARDS = [[["1", "0", "1/2"]], [["0", "1", "1/5"]]]
HALF = np.array([fmpq(1, 2)] * 2, dtype=object)


def distance(values):
    """The slope of -|J - (1/2, 1/2)|^2."""
    return -2 * (values - HALF)


def batch(paths: int, independent: bool) -> ScalarisedBatch:
    return ScalarisedBatch(1, REWARDS, distance, paths, independent)


def test_others_leave_no_bias_in_a_quadratic_function():
    for paths in (1, 2):
        assert (batch(paths, True).expectation(ARMS, POLICY) == batch(paths, True).truth(ARMS, POLICY)).all()
        assert (batch(paths, True).bias(ARMS, POLICY) == 0).all()


def test_the_same_batch_has_a_bias_that_halves_when_it_doubles():
    """Norm .24893, .12447, .06223 at n = 1, 2, 4 (scalarised-plug-in-bias)."""
    bias = {n: batch(n, False).expectation(ARMS, POLICY) - batch(n, False).truth(ARMS, POLICY) for n in (1, 2, 4)}
    assert (batch(2, False).bias(ARMS, POLICY) == bias[2]).all()
    assert (bias[1] == 2 * bias[2]).all() and (bias[2] == 2 * bias[4]).all()
    np.testing.assert_allclose(np.linalg.norm(bias[1].astype(float)), 0.24893, atol=5e-6)
    p, r = POLICY[0], np.array([[fmpq(1), fmpq(0), fmpq(1, 2)], [fmpq(0), fmpq(1), fmpq(1, 5)]], dtype=object)
    scores = np.eye(3, dtype=int) - p
    covariance = sum(
        (p[:, None] * scores * (r[i] ** 2)[:, None]).sum(axis=0) - (p * r[i]).sum() * (p[:, None] * scores * r[i][:, None]).sum(axis=0)
        for i in range(2)
    )
    assert (bias[1][0] == -2 * covariance).all()


def test_the_truth_is_the_scalarised_gradient_of_long_paths():
    mdp, policy = model_and_policy(1, 2, 2, discount=0.2)[0], np.array([[0.2, 0.8], [0.55, 0.45]])
    rewards = np.array([[[1.0, 0.0], [0.0, 0.5]], [[0.0, 1.0], [1.0, 0.0]]])
    f = Scalarisation(lambda values: np.log(values + 1).sum(), lambda values: 1 / (values + 1))
    short = ScalarisedBatch(8, rewards, f.slope).truth(mdp, policy)
    np.testing.assert_allclose(short, scalarised_gradient(mdp, rewards, f, policy), atol=40 * 0.2**8)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: ScalarisedBatch(1), "needs rewards"),
        (lambda: ScalarisedBatch(1, REWARDS, distance, 0), "paths is 0"),
        (lambda: ScalarisedBatch(1, [[["1"]]], distance).expectation(ARMS, POLICY), r"rewards have shape \(1, 1, 1\)"),
        (lambda: ScalarisedBatch(1, REWARDS, lambda values: values[:1]).expectation(ARMS, POLICY), "there are 2 values"),
        (lambda: ScalarisedBatch(1, np.ones((2, 1, 3)), lambda v: v * np.nan).expectation(ARMS, POLICY.astype(float)), "the slope is not finite at"),
        (lambda: batch(7, True).expectation(ARMS, POLICY), "too many batches of 7"),
        (lambda: Fresh(batch(2, True)), "no function of single paths"),
    ],
)
def test_bad_input_is_named(use, words):
    with pytest.raises(ModelError, match=words):
        use()
