"""See them fail: every planted error is found, and by which test."""

import math

import numpy as np
import pytest
import test_reinforce as tests
import torch
from planted import BUGS, BaselineThatLooksAhead, ForgottenDiscount, ForgottenTime, NormalisedVisits

from pgtheory.sampling import all_paths

OF_PATHS = (tests.test_estimator_is_unbiased, tests.test_reference_values, tests.test_sampled_gradient)
FINDS = {
    ForgottenDiscount: OF_PATHS,
    BaselineThatLooksAhead: OF_PATHS,
    ForgottenTime: OF_PATHS,
    NormalisedVisits: (tests.test_expected_gradient, tests.test_reference_values),
}


@pytest.mark.parametrize(("bug", "test"), [(bug, test) for bug in BUGS for test in FINDS[bug]])
def test_the_error_is_found(bug, test):
    with pytest.raises(AssertionError):
        test(make=bug)


def test_the_reason_is_named():
    with pytest.raises(AssertionError, match=r"the factor 1/\(1 - gamma\) is missing"):
        tests.test_expected_gradient(make=NormalisedVisits)


@pytest.mark.parametrize("bug", BUGS[:3])
def test_power_of_the_statistical_test(bug):
    """The exact error of the planted estimator, by listing its paths, and from it the chance that a sample does not show it (Hoeffding)."""
    mdp, logits, expected, _, distance = tests.statistical_setting()
    agent = tests.agent_of(bug, mdp, 4)
    paths = all_paths(mdp, tests.softmax(logits), 4)
    states, actions, one = torch.tensor(paths.states), torch.tensor(paths.actions), torch.ones(1)
    each = np.array([agent.path_gradient(logits, states[[k]], actions[[k]], one).numpy() for k in range(len(paths))])
    error = np.abs(np.tensordot(paths.probabilities, each, 1) - expected).max()
    spread = (each.max(axis=0) - each.min(axis=0)).max()
    assert error > distance
    assert math.exp(-2 * tests.PATHS * ((error - distance) / spread) ** 2) < 1e-6
