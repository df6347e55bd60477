"""What is believed and what it is worth: adaptive management, goals read off a path, asking.

Adaptive management: extras outcomes (2, 2, 2, 4) = P_m(s', o | s, a) with (s', o) in one axis, beliefs (2,) and second_belief (2,), fixed_plan
(2, 2, 2); two steps.  Goals: edges (3, 3) = e^(r/tau), goal_ends (2, 3), goal_prior (2,); the paths 0-1-2-0 and 0-2-1-0.  Asking: believed, right,
right_other.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.control.beliefs import bayes_values, desirabilities, informed_values, markov_values, path_probability, value_of_asking
from proofs_check.quantities.registry import define, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
LEARNING = 2
"""Steps of adaptive management."""


# Adaptive management


def _outcomes(c: Context) -> Array:
    law = c.extra("outcomes")
    return law.reshape(*law.shape[:4], 2, 2)


def _weighted(c: Context, values: Array) -> Array:
    """(B, M, S) -> the mean over the belief, from the first state: (B,)."""
    return (c.extra("beliefs") * values[:, :, 0]).sum(axis=-1)


@define("fixed_plan_worst", r"\min_mV_m^\pi", "instance")
def _fixed_plan_worst(c: Context) -> Array:
    """Expected number of paid steps of a Markov policy in the model that is worst for it."""
    return per_instance(arithmetic.minimum(markov_values(_outcomes(c), c.extra("fixed_plan"), LEARNING)[:, :, 0], axis=-1))


@define("fixed_plan_mean", r"\mathbb{E}_bV_m^\pi", "instance")
def _fixed_plan_mean(c: Context) -> Array:
    """The same, on average over the belief."""
    return per_instance(_weighted(c, markov_values(_outcomes(c), c.extra("fixed_plan"), LEARNING)))


@define("bayes_value", r"V_{\mathrm{Bayes}}(b)", "instance")
def _bayes_value(c: Context) -> Array:
    """Expected number of paid steps of the policy that learns optimally."""
    return per_instance(bayes_values(_outcomes(c), c.extra("beliefs"), LEARNING)[:, 0])


@define("informed_value", r"\mathbb{E}_bV_m^*", "instance")
def _informed_value(c: Context) -> Array:
    """The same where the model is told first, on average over the belief."""
    return per_instance(_weighted(c, informed_values(_outcomes(c), LEARNING)))


@define("best_plan_mean", r"\max_{\mathrm{plan}}\mathbb{E}_bV_m", "instance")
def _best_plan_mean(c: Context) -> Array:
    """The largest mean over the belief of a plan that looks at the time and the state only: all of them tried."""
    return per_instance(_best_plan(c, _outcomes(c)))


def _best_plan(c: Context, outcomes: Array) -> Array:
    actions = c.constant(np.eye(2, dtype=np.int64))
    means = []
    for picks in itertools.product(range(2), repeat=2 * LEARNING):
        plan = np.broadcast_to(actions[list(picks)].reshape(LEARNING, 2, 2), c.extra("fixed_plan").shape)
        means.append(_weighted(c, markov_values(outcomes, plan, LEARNING)))
    return arithmetic.maximum(np.stack(means, axis=-1), axis=-1)


def _uninformative(c: Context) -> Array:
    """The outcomes with the moves of the first model in both: what is paid depends on the model, where one goes does not."""
    outcomes = _outcomes(c)
    moves, paid = outcomes[:, :1].sum(axis=-1), outcomes[..., 1].sum(axis=-1)
    joint = moves[..., None] * np.stack([1 - paid, paid], axis=-1)[..., None, :]
    return joint + outcomes * 0


@define("unseen_plan_mean", r"\max_{\mathrm{plan}}\mathbb{E}_bV_m,\ P_m=P_0", "instance")
def _unseen_plan_mean(c: Context) -> Array:
    """The same where the models differ in what they pay alone."""
    return per_instance(_best_plan(c, _uninformative(c)))


@define("unseen_bayes_value", r"V_{\mathrm{Bayes}}(b),\ o\ \mathrm{unseen}", "instance")
def _unseen_bayes_value(c: Context) -> Array:
    """Expected number of paid steps of the policy that is best given the states that it sees, where the payments come at the end and the models
    differ in what they pay alone."""
    return per_instance(_unseen(_uninformative(c), c.extra("beliefs"), 0, LEARNING))


def _unseen(outcomes: Array, weights: Array, state: int, left: int) -> Array:
    """The Bayes-optimal recursion over histories of states; weights (B, M) are b times the likelihood of the states seen."""
    if left == 0:
        return weights[:, 0] * 0
    options = []
    for action in range(outcomes.shape[3]):
        law = outcomes[:, :, state, action]
        total = (weights * law[..., 1].sum(axis=-1)).sum(axis=-1)
        for after in range(law.shape[2]):
            total = total + _unseen(outcomes, weights * law[:, :, after].sum(axis=-1), after, left - 1)
        options.append(total)
    return arithmetic.maximum(np.stack(options, axis=-1), axis=-1)


@define("bayes_value_between", r"V_{\mathrm{Bayes}}(\tfrac{b+b'}{2})", "instance")
def _bayes_value_between(c: Context) -> Array:
    """The Bayes-optimal value at the mean of two beliefs."""
    mean = (c.extra("beliefs") + c.extra("second_belief")) / 2
    return per_instance(bayes_values(_outcomes(c), mean, LEARNING)[:, 0])


@define("bayes_values_mean", r"\tfrac{1}{2}[V_{\mathrm{Bayes}}(b)+V_{\mathrm{Bayes}}(b')]", "instance")
def _bayes_values_mean(c: Context) -> Array:
    """The mean of the Bayes-optimal values at two beliefs."""
    both = [bayes_values(_outcomes(c), c.extra(name), LEARNING)[:, 0] for name in ("beliefs", "second_belief")]
    return per_instance((both[0] + both[1]) / 2)


# Goals read off a path

PATHS = ((0, 1, 2, 0), (0, 2, 1, 0))
FULL = 5


def _edges(c: Context) -> Array:
    return c.extra("edges")[:, None]  # one graph for all goals


def _posterior(c: Context, path: tuple[int, ...]) -> Array:
    likelihood = c.extra("goal_prior") * path_probability(_edges(c), c.extra("goal_ends"), path, FULL)
    return (likelihood / likelihood.sum(axis=-1)[:, None])[:, None]


@define("path_probabilities", r"P(0,1,2,0|G)", "instance", "goals")
def _path_probabilities(c: Context) -> Array:
    """Probability of the first three moves for each goal, multiplied up from the agent's policy."""
    return path_probability(_edges(c), c.extra("goal_ends"), PATHS[0], FULL)[:, None]


@define("telescoped_probabilities", r"\prod_t w(s_t,s_{t+1})\,Z_G(s_3)/Z_G(s_0)", "instance", "goals")
def _telescoped_probabilities(c: Context) -> Array:
    """The same by what is left after telescoping."""
    edges, levels = c.extra("edges"), desirabilities(_edges(c), c.extra("goal_ends"), FULL)
    weight = edges[:, 0, 1] * edges[:, 1, 2] * edges[:, 2, 0]
    return (weight[:, None] * levels[FULL - 3][..., 0] / levels[FULL][..., 0])[:, None]


@define("goal_posterior", r"P(G|0,1,2,0)", "instance", "goals")
def _goal_posterior(c: Context) -> Array:
    """Posterior over the goals after the first path."""
    return _posterior(c, PATHS[0])


@define("goal_posterior_elsewhere", r"P(G|0,2,1,0)", "instance", "goals")
def _goal_posterior_elsewhere(c: Context) -> Array:
    """Posterior over the goals after another path with the same end."""
    return _posterior(c, PATHS[1])


@define("goal_posterior_early", r"P(G|0,1)", "instance", "goals")
def _goal_posterior_early(c: Context) -> Array:
    """Posterior over the goals after the first move."""
    return _posterior(c, PATHS[0][:2])


# Asking


@define("asked_value", r"\sum_{\mathrm{answer}}\max", "instance")
def _asked_value(c: Context) -> Array:
    """Probability of naming the right one of two states after the oracle's answer."""
    return per_instance(value_of_asking(c.extra("believed"), c.extra("right")))


@define("asked_value_two_sided", r"\sum_{\mathrm{answer}}\max\ (q_0\ne q_1)", "instance")
def _asked_value_two_sided(c: Context) -> Array:
    """The same with an oracle that is right in one state more often than in the other."""
    return per_instance(value_of_asking(c.extra("believed"), (c.extra("right"), c.extra("right_other"))))


@define("best_of_three", r"\max(q,b,1-b)", "instance")
def _best_of_three(c: Context) -> Array:
    """The largest of the oracle's, the belief's and the other belief's probability to be right."""
    b = c.extra("believed")
    return per_instance(arithmetic.maximum(np.stack([c.extra("right"), b, 1 - b], axis=-1), axis=-1))


@define("best_guess", r"\max(b,1-b)", "instance")
def _best_guess(c: Context) -> Array:
    """Probability of naming the right state without asking."""
    b = c.extra("believed")
    return per_instance(arithmetic.maximum(np.stack([b, 1 - b], axis=-1), axis=-1))
