"""Risk of a whole return on small trees, by enumeration of policies against programmes over one scalar.

Two stages: a first outcome i with probability `first` is received, then one of two actions draws the second outcome.  A history policy looks at i.
Rewards and costs are the same numbers; which of the two is meant says the quantity.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk import tail as tails
from pgtheory.risk.tail import positive
from proofs_check.quantities.registry import define, given, per_instance, per_record
from proofs_check.quantities.risk_measures import ROUNDING, mean

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


# Two stages


def _returns(c: Context) -> Array:
    """r_i + y(a, k): (B, I, A, K)."""
    return c.extra("received")[:, :, None, None] + c.extra("payoffs")[:, None]


def _law_under(c: Context, shares: Array) -> tuple[Array, Array]:
    """The law of the return if the second action is taken with probability `shares` (B, R, I) after each first outcome: (B, R, I A K) each."""
    mixture = np.stack([1 - shares, shares], axis=-1)  # (B, R, I, A)
    joint = c.extra("first")[:, None, :, None, None] * mixture[..., None] * c.extra("laws")[:, None, None]
    values = np.broadcast_to(_returns(c)[:, None], joint.shape)
    return joint.reshape(*joint.shape[:2], -1), values.reshape(*joint.shape[:2], -1)


def _all_choices(c: Context) -> Array:
    """The shares of every deterministic history policy: (B, 2^I, I)."""
    count = c.extra("first").shape[1]
    choices = np.array(list(itertools.product((0, 1), repeat=count)))
    return np.broadcast_to(c.constant(choices), (len(c.discount), *choices.shape))


def _same_choice(c: Context, share: Array) -> Array:
    """(B, R) shares that do not look at the first outcome, as (B, R, I)."""
    return np.broadcast_to(share[..., None], (*share.shape, c.extra("first").shape[1]))


def _cvars(c: Context, shares: Array) -> Array:
    p, x = _law_under(c, shares)
    return tails.cvar(p, x, given(c, "tail")[:, None])


@define("history_cvar", r"\max_\pi\mathrm{CVaR}_\alpha(G^\pi)", "instance")
def _history_cvar(c: Context) -> Array:
    """Largest static CVaR of the return over all policies that look at the first outcome, by enumeration, in reward units."""
    return per_instance(arithmetic.maximum(_cvars(c, _all_choices(c)), axis=-1))


@define("threshold_cvar", r"\max_\eta\left\{\eta-\tfrac1\alpha\min_\pi\mathbb{E}(\eta-G^\pi)_+\right\}", "instance")
def _threshold_cvar(c: Context) -> Array:
    """Largest over the attainable returns eta of eta minus the least expected shortfall over alpha, a dynamic programme for each eta."""
    returns = _returns(c)
    levels = returns.reshape(len(returns), -1)
    short = positive(levels[:, :, None, None, None] - returns[:, None])
    least = arithmetic.minimum((short * c.extra("laws")[:, None, None]).sum(axis=-1), axis=-1)  # (B, E, I): the action chosen after each outcome
    total = (least * c.extra("first")[:, None]).sum(axis=-1)
    return per_instance(arithmetic.maximum(levels - total / given(c, "tail")[:, None], axis=-1))


@define("randomised_history_cvar", r"\mathrm{CVaR}_\alpha(G^\pi)", "instance")
def _randomised_history_cvar(c: Context) -> Array:
    """Static CVaR of the return of one randomised policy that looks at the first outcome, in reward units."""
    return per_instance(_cvars(c, c.extra("shares")[:, None])[:, 0])


@define("blind_cvar", r"\mathrm{CVaR}_\alpha(G^\pi),\ \pi\text{ Markov}", "instance")
def _blind_cvar(c: Context) -> Array:
    """Static CVaR of the return of one randomised policy that does not look at the first outcome, in reward units."""
    return per_instance(_cvars(c, _same_choice(c, c.extra("share")[:, None]))[:, 0])


@define("blind_best_cvar", r"\max_{\pi\text{ Markov}}\mathrm{CVaR}_\alpha(G^\pi)", "instance")
def _blind_best_cvar(c: Context) -> Array:
    """Largest static CVaR of the return over the policies that do not look at the first outcome, in reward units."""
    ends = np.stack([c.discount * 0, c.discount * 0 + 1], axis=-1)
    return per_instance(arithmetic.maximum(_cvars(c, _same_choice(c, ends)), axis=-1))


# Convex scoring functions: risk of a cost as a minimum over v


def _scored(c: Context, levels: Array, score: Callable[[Array, Array], Array]) -> Array:
    """min over v in `levels` (B, E) of the least expected score over the policies, a dynamic programme for each v: (B, 1, 1)."""
    costs = _returns(c)[:, None]
    expected = (score(costs, levels[:, :, None, None, None]) * c.extra("laws")[:, None, None]).sum(axis=-1)
    least = (arithmetic.minimum(expected, axis=-1) * c.extra("first")[:, None]).sum(axis=-1)
    return per_instance(arithmetic.minimum(least, axis=-1))


def _policy_laws(c: Context) -> tuple[Array, Array]:
    return _law_under(c, _all_choices(c))


@define("least_variance", r"\min_\pi\mathrm{Var}(X^\pi)", "instance")
def _least_variance(c: Context) -> Array:
    """Least variance of the total cost over all policies, by enumeration, in squared cost units."""
    p, x = _policy_laws(c)
    centre = mean(p, x)
    return per_instance(arithmetic.minimum(mean(p, x * x) - centre * centre, axis=-1))


@define("least_scored_variance", r"\min_v\min_\pi\mathbb{E}(X^\pi-v)^2", "instance")
def _least_scored_variance(c: Context) -> Array:
    """The same with the two minima exchanged; v runs over the means of the policies, among which the best v is."""
    return per_instance(_scored(c, mean(*_policy_laws(c)), lambda x, v: (x - v) * (x - v))[:, 0, 0])


@define("least_cost_cvar", r"\min_\pi\mathrm{CVaR}^+_\alpha(X^\pi)", "instance")
def _least_cost_cvar(c: Context) -> Array:
    """Least upper-tail CVaR of the total cost over all policies, by enumeration, in cost units."""
    p, x = _policy_laws(c)
    return per_instance(-arithmetic.maximum(tails.cvar(p, -x, given(c, "tail")[:, None]), axis=-1))


@define("least_scored_cvar", r"\min_v\min_\pi\left\{v+\tfrac1\alpha\mathbb{E}(X^\pi-v)_+\right\}", "instance")
def _least_scored_cvar(c: Context) -> Array:
    """The same with the two minima exchanged; v runs over the attainable costs."""
    returns = _returns(c)
    level = given(c, "tail")[:, None, None, None, None]
    return _scored(c, returns.reshape(len(returns), -1), lambda x, v: v + positive(x - v) / level)


def _entropic_costs(c: Context) -> Array:
    p, x = _policy_laws(c)
    return -exponential.entropic(p, -x, given(c, "aversion")[:, None])


@define("least_entropic_cost", r"\min_\pi\tfrac1\beta\log\mathbb{E}e^{\beta X^\pi}", "instance")
def _least_entropic_cost(c: Context) -> Array:
    """Least entropic risk of the total cost over all policies, by enumeration, in cost units."""
    return per_instance(arithmetic.minimum(_entropic_costs(c), axis=-1))


@define("least_scored_entropic", r"\min_v\min_\pi\left\{v+\tfrac1\beta(\mathbb{E}e^{\beta(X^\pi-v)}-1)\right\}", "instance")
def _least_scored_entropic(c: Context) -> Array:
    """The same with the two minima exchanged; v runs over the entropic risks of the policies, among which the best v is."""
    beta = given(c, "aversion")[:, None, None, None, None]
    return _scored(c, _entropic_costs(c), lambda x, v: v + (arithmetic.exp((x - v) * beta) - 1) / beta)


def _choice_scores(c: Context, v: Array) -> Array:
    """v + E(Y_a - v)_+ / alpha of both actions at v (B,): (B, A)."""
    payoffs, level = c.extra("payoffs"), given(c, "tail")[:, None]
    return v[:, None] + (c.extra("laws") * positive(payoffs - v[:, None, None])).sum(axis=-1) / level


ROUNDS = 6
"""Rounds of alternating minimisation: each changes the action, lowers the score, or is at rest; there are two actions."""


@define("alternating_score", r"f(X_{a_k},v_k)\text{ of alternating minimisation}", "instance")
def _alternating_score(c: Context) -> Array:
    """Score after minimising in turn over the action and over v, from the given threshold, in cost units."""
    v, values = c.extra("eta"), c.extra("eta")
    payoffs = c.extra("payoffs")
    for _ in range(ROUNDS):
        scores = _choice_scores(c, v)
        action = np.asarray(scores[:, 1] < scores[:, 0], dtype=bool)
        law = np.where(action[:, None], c.extra("laws")[:, 1], c.extra("laws")[:, 0])
        costs = np.where(action[:, None], payoffs[:, 1], payoffs[:, 0])
        each = costs + (law[:, None] * positive(costs[:, None] - costs[:, :, None])).sum(axis=-1) / given(c, "tail")[:, None]
        best = each.argmin(axis=-1)
        values = np.take_along_axis(each, best[:, None], axis=-1)[:, 0]
        v = np.take_along_axis(costs, best[:, None], axis=-1)[:, 0]
    return per_instance(values)


@define("first_score", r"\min_af(X_a,v_0)", "instance")
def _first_score(c: Context) -> Array:
    """Least score of an action at the given threshold, in cost units."""
    return per_instance(arithmetic.minimum(_choice_scores(c, c.extra("eta")), axis=-1))


@define("least_action_cvar", r"\min_a\mathrm{CVaR}^+_\alpha(X_a)", "instance")
def _least_action_cvar(c: Context) -> Array:
    """Least upper-tail CVaR of the costs of the two actions, in cost units."""
    return per_instance(-arithmetic.maximum(tails.cvar(c.extra("laws"), -c.extra("payoffs"), given(c, "tail")[:, None]), axis=-1))


# The decomposition of CVaR by risk levels


def _lines(c: Context, state: int, actions: tuple[int, ...]) -> tuple[Array, Array]:
    """y CVaR_y = max over lines slope y - height: slopes and heights (B, L) of the lines of one action each, largest over the outcomes."""
    payoffs, laws = c.extra("branch_payoffs")[:, state], c.extra("branch_laws")[:, state]
    heights = (laws[:, :, None] * positive(payoffs[:, :, :, None] - payoffs[:, :, None])).sum(axis=-1)
    return payoffs[:, actions], heights[:, actions]


def _worth(slopes: Array, heights: Array, y: Array) -> Array:
    """max over the actions of y CVaR_y, at y (B, E): slopes and heights (B, A, K) -> (B, E)."""
    lines = slopes[:, None] * y[..., None, None] - heights[:, None]
    return arithmetic.maximum(arithmetic.maximum(lines, axis=-1), axis=-1)


def _kinks(slopes: Array, heights: Array) -> Array:
    """0, 1 and every crossing of two lines, where it lies between them: (B, E)."""
    slope, height = slopes.reshape(len(slopes), -1), heights.reshape(len(heights), -1)
    zero = slope[:, 0] * 0
    found = [zero, zero + 1]
    for k, j in itertools.combinations(range(slope.shape[1]), 2):
        steep = slope[:, k] - slope[:, j]
        parallel = np.asarray(steep == 0, dtype=bool)
        at = np.where(parallel, zero, (height[:, k] - height[:, j]) / np.where(parallel, zero + 1, steep))
        found.append(np.where(np.asarray((at >= 0) & (at <= 1), dtype=bool), at, zero))
    return np.stack(found, axis=-1)


def _split(c: Context, actions: tuple[int, ...]) -> Array:
    """min over risk levels y with sum p_i y_i = alpha of sum p_i max_a y_i CVaR_{y_i}, over alpha: convex and piecewise linear, least at a kink."""
    chance, level = c.extra("branch"), given(c, "tail")
    lines = [_lines(c, state, actions) for state in (0, 1)]
    slack = ROUNDING if c.kind == "float" else 0
    best = None
    for fixed, free in ((0, 1), (1, 0)):
        y = _kinks(*lines[fixed])
        rest = (level[:, None] - chance[:, fixed, None] * y) / chance[:, free, None]
        possible = np.asarray((rest >= -slack) & (rest <= 1 + slack), dtype=bool)
        rest = np.where(possible, rest, y * 0)
        total = chance[:, fixed, None] * _worth(*lines[fixed], y) + chance[:, free, None] * _worth(*lines[free], rest)
        each = [np.where(possible[:, k], total[:, k], _far(total)) for k in range(y.shape[1])]
        least = functools.reduce(np.minimum, each)
        best = least if best is None else np.minimum(best, least)
    return per_instance(best / level)


def _far(like: Array) -> Array:
    """A number above every objective: 10^6."""
    return like[:, 0] * 0 + 10**6


def _branch_cvar(c: Context, choice: tuple[int, ...]) -> Array:
    laws, payoffs = (np.stack([c.extra(name)[:, i, a] for i, a in enumerate(choice)], axis=1) for name in ("branch_laws", "branch_payoffs"))
    joint = c.extra("branch")[:, :, None] * laws
    return tails.cvar(joint.reshape(len(joint), -1), payoffs.reshape(len(joint), -1), given(c, "tail"))


@define("fixed_policy_cvar", r"\mathrm{CVaR}_\alpha(G^\pi)", "instance")
def _fixed_policy_cvar(c: Context) -> Array:
    """Static CVaR of the return if the first action is taken in both branches, in reward units."""
    return per_instance(_branch_cvar(c, (0, 0)))


@define("fixed_policy_split", r"\tfrac1\alpha\min_{\sum p_iy_i=\alpha}\textstyle\sum_ip_iy_i\mathrm{CVaR}_{y_i}(G^\pi|i)", "instance")
def _fixed_policy_split(c: Context) -> Array:
    """The same by splitting the risk level over the branches, in reward units."""
    return _split(c, (0,))


@define("best_branch_cvar", r"\max_\pi\mathrm{CVaR}_\alpha(G^\pi)", "instance")
def _best_branch_cvar(c: Context) -> Array:
    """Largest static CVaR over the four deterministic policies, in reward units."""
    return per_instance(functools.reduce(np.maximum, [_branch_cvar(c, choice) for choice in itertools.product((0, 1), repeat=2)]))


@define("split_programme", r"\tfrac1\alpha\min_{\sum p_iy_i=\alpha}\textstyle\sum_ip_i\max_ay_i\mathrm{CVaR}_{y_i}(G^a|i)", "instance")
def _split_programme(c: Context) -> Array:
    """The splitting programme with the best action chosen inside, for each branch and risk level, in reward units."""
    return _split(c, (0, 1))


# Risk over the choice of an arm


@define("joint_value", r"\mathrm{CVaR}_\alpha(r(a)),\ a\sim\pi", "step")
def _joint_value(c: Context) -> Array:
    """CVaR of the reward of a bandit, over the choice of the arm too, in reward units."""
    policies = c.policies[:, c.now, 0]
    rewards = np.broadcast_to(c.rewards[:, None, 0], policies.shape)
    return per_record(tails.cvar(policies, rewards, given(c, "tail")[:, None]))


def _two_arms(c: Context) -> tuple[Array, Array, Array]:
    """(reward of the better arm, of the worse one (B, 1), probability of the worse one (B, R)) of two arms."""
    rewards, policies = c.rewards[:, 0], c.policies[:, c.now, 0]
    second = np.asarray(rewards[:, 1] < rewards[:, 0], dtype=bool)[:, None]
    worse = np.where(second, policies[..., 1], policies[..., 0])
    return arithmetic.maximum(rewards, axis=-1)[:, None], arithmetic.minimum(rewards, axis=-1)[:, None], worse


@define("joint_closed_form", r"r_2+(r_1-r_2)\max(0,1-\pi_2/\alpha)", "step")
def _joint_closed_form(c: Context) -> Array:
    """The same for two arms, in closed form, in reward units."""
    top, low, worse = _two_arms(c)
    return per_record(low + (top - low) * positive(1 - worse / given(c, "tail")[:, None]))


@define("worse_probability", r"\pi_2", "step")
def _worse_probability(c: Context) -> Array:
    """Probability of the worse of two arms."""
    return per_record(_two_arms(c)[2])


@define("joint_gap", r"r_1-\mathrm{CVaR}_\alpha(r(a))", "step")
def _joint_gap(c: Context) -> Array:
    """How far CVaR over the choice of the arm is below the better arm, in reward units."""
    return per_record(_two_arms(c)[0]) - _joint_value(c)


@define("joint_improvement", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla\mathrm{CVaR}_\alpha\rangle", "step")
def _joint_improvement(c: Context) -> Array:
    """Largest promise to first order: all weight of the worse arm moved, at the slope of a step that stays on one linear piece; 0 at the kink."""
    top, low, worse = _two_arms(c)
    step = np.minimum(arithmetic.absolute(worse - given(c, "tail")[:, None]), worse) / 2
    rewards = np.broadcast_to(np.stack([top, low], axis=-1), (*worse.shape, 2))
    here, there = (tails.cvar(np.stack([1 - part, part], axis=-1), rewards, given(c, "tail")[:, None]) for part in (worse, worse - step))
    none = np.asarray(step == 0, dtype=bool)
    return per_record(np.where(none, worse * 0, worse * (there - here) / np.where(none, step * 0 + 1, step)))
