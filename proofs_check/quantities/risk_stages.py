"""Three stages under risk: entropic risk of the discounted return with its schedule of levels, and expected conditional risk measures of costs.

Policies are enumerated (every decision after every history that matters) on one side; the other side is the dynamic programme of the theorem.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from pgtheory.risk import tail as tails
from pgtheory.risk.tail import positive
from proofs_check.numbers import widen
from proofs_check.quantities.registry import define, define_setting, flat, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("fade", r"\gamma", "weight of the next stage's cost against this one's, in (0, 1]")
define_setting("risk_share", r"\lambda", "share of CVaR, against the mean, in the risk of a stage's cost, in (0, 1]")


def _rules(c: Context) -> Array:
    """All deterministic decision rules, (A^S, S) whole numbers."""
    states, actions = c.rewards.shape[1:]
    return np.array(list(itertools.product(range(actions), repeat=states)))


# Entropic risk of r(s0,a0) + gamma r(s1,a1) + gamma^2 w(s2)


def _tree_returns(c: Context) -> tuple[Array, Array]:
    """For every first state, first action and second rule, the law of the return: probabilities and returns (B, S, A, F, S, S')."""
    rules, states = _rules(c), np.arange(c.rewards.shape[1])
    gamma = c.discount[:, None, None]
    second_moves = c.transitions[:, states, rules]  # (B, F, S, S')
    second = gamma * c.rewards[:, states, rules]  # (B, F, S)
    last = c.discount[:, None] * c.discount[:, None] * c.extra("final")
    chance = c.transitions[:, :, :, None, :, None] * second_moves[:, None, None]
    returns = c.rewards[:, :, :, None, None, None] + second[:, None, None, :, :, None] + last[:, None, None, None, None]
    return chance, np.broadcast_to(returns, chance.shape)


@define("tree_entropic_values", r"\max_\pi\mathrm{ERM}_\beta(G^\pi)", "instance", "states")
def _tree_entropic_values(c: Context) -> Array:
    """Largest entropic risk of the return over all policies from each first state, every policy and path enumerated, in reward units."""
    chance, returns = _tree_returns(c)
    shape = (*chance.shape[:4], -1)
    each = exponential.entropic(chance.reshape(shape), returns.reshape(shape), given(c, "aversion")[:, None, None, None])
    return arithmetic.maximum(each.reshape(*each.shape[:2], -1), axis=-1)[:, None]


@define("stationary_entropic_values", r"\max_{\pi\text{ stationary}}\mathrm{ERM}_\beta(G^\pi)", "instance", "states")
def _stationary_entropic_values(c: Context) -> Array:
    """The same over policies that take one action in each state, whatever the stage, in reward units."""
    chance, returns = _tree_returns(c)
    shape = (*chance.shape[:4], -1)
    each = exponential.entropic(chance.reshape(shape), returns.reshape(shape), given(c, "aversion")[:, None, None, None])
    rules, states = _rules(c), np.arange(c.rewards.shape[1])
    same = each[:, states[:, None], rules.T, np.arange(len(rules))[None]]  # the first action is what the second rule takes in the first state
    return arithmetic.maximum(same, axis=-1)[:, None]


def _schedule(c: Context, levels: tuple[Array, Array]) -> Array:
    """V_0 (B, 1, S) of V_t = max_a r + gamma ERM_{levels[t]}(V_{t+1}), V_2 = the final rewards."""
    values = c.extra("final")
    live = np.asarray(c.discount > 0, dtype=bool)
    for level in reversed(levels):
        moves, ahead = np.broadcast_arrays(c.transitions, values[:, None, None])
        level = np.where(live, level, level * 0 + 1)  # without a future its level does not matter
        rho = exponential.entropic(moves, ahead, level[:, None, None])
        values = arithmetic.maximum(c.rewards + c.discount[:, None, None] * rho, axis=-1)
    return values[:, None]


@define("scheduled_entropic_values", r"V_t=\max_ar+\gamma\mathrm{ERM}_{\beta\gamma^{t+1}}(V_{t+1})", "instance", "states")
def _scheduled_entropic_values(c: Context) -> Array:
    """The recursion with the levels beta gamma and beta gamma^2, in reward units."""
    beta = given(c, "aversion")
    return _schedule(c, (beta * c.discount, beta * c.discount * c.discount))


@define("late_entropic_values", r"V_t=\max_ar+\gamma\mathrm{ERM}_{\beta\gamma^{t}}(V_{t+1})", "instance", "states")
def _late_entropic_values(c: Context) -> Array:
    """The recursion with the levels beta and beta gamma: one power of the discount late, in reward units."""
    beta = given(c, "aversion")
    return _schedule(c, (beta, beta * c.discount))


@define("constant_entropic_values", r"V_t=\max_ar+\gamma\mathrm{ERM}_{\beta}(V_{t+1})", "instance", "states")
def _constant_entropic_values(c: Context) -> Array:
    """The recursion with the level beta at every stage, in reward units."""
    beta = given(c, "aversion")
    return _schedule(c, (beta, beta))


# Independent normal rewards X_0, X_1, X_2, X_2, ... without an end


MOMENTS = 90
"""Terms of the moment series of a normal law; with an exponent of at most 2^2 * 2 / (2 (1 - 0.9^2)) = 21 the rest is below 1e-25 of the sum."""


@define("normal_return_erm", r"\mathrm{ERM}_\beta\left(\textstyle\sum_t\gamma^tX_t\right)", "instance")
def _normal_return_erm(c: Context) -> Array:
    """Entropic risk of the discounted sum of independent normal rewards, from its moments: linear equations for its mean and variance, and

    E e^{-b Y} = e^{-b m} sum_k b^{2k} E(Y - m)^{2k} / (2k)!,  E(Y - m)^{2k} = (2k - 1)!! v^k.  In reward units."""
    if c.kind == "rational":
        raise TypeError("the logarithm of a rational is irrational")
    gamma, beta = c.discount, given(c, "aversion")
    mean = _along(c, gamma, c.extra("means"))
    power = beta * beta * _along(c, gamma * gamma, c.extra("variances"))
    term = total = power * 0 + 1
    for k in range(1, MOMENTS):
        term = term * power * (2 * k - 1) / ((2 * k - 1) * (2 * k))
        total = total + term
    if c.kind == "ball":
        ratio = power / (2 * MOMENTS)  # of two following terms, falling
        total = widen(total, term * ratio / (1 - ratio))
    return per_instance(mean - arithmetic.log(total) / beta)


def _along(c: Context, factor: Array, paid: Array) -> Array:
    """x of x = paid + factor x' at the first of three places, the last of which leads to itself: (B,)."""
    one, following = c.constant(np.eye(3, dtype=np.int64)), c.constant(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 1]]))
    return arithmetic.solve(one - factor[:, None, None] * following, paid)[:, 0]


def _normal_recursion(c: Context, fade: Array) -> Array:
    """V_t(b) = m_t - b v_t / 2 + gamma V_{t+1}(fade b), backwards from the last place.

    There V(b) = A + B b with A = m + gamma A and B = gamma fade B - v / 2."""
    means, halves, gamma = c.extra("means"), c.extra("variances") / 2, c.discount
    level, sure, slope = given(c, "aversion"), means[:, 2] / (1 - gamma), -halves[:, 2] / (1 - gamma * fade)
    for place in (1, 0):
        sure, slope = means[:, place] + gamma * sure, gamma * fade * slope - halves[:, place]
    return per_instance(sure + level * slope)


@define("normal_scheduled_value", r"V(b)=m_t-\tfrac b2v_t+\gamma V(\gamma b)", "instance")
def _normal_scheduled_value(c: Context) -> Array:
    """The recursion with levels that fade with the discount, for normal rewards, in reward units."""
    return _normal_recursion(c, c.discount)


@define("normal_constant_value", r"V=m_t-\tfrac\beta2v_t+\gamma V", "instance")
def _normal_constant_value(c: Context) -> Array:
    """The recursion with the same level at every stage, for normal rewards, in reward units."""
    return _normal_recursion(c, c.discount * 0 + 1)


# Expected conditional risk: c_1 + gamma E rho(c_2 | s1,a1) + gamma^2 E rho(c_3 | s2,a2), rho = (1 - lambda) E + lambda CVaR of the largest costs


def _stage_risks(c: Context) -> Array:
    """rho of the next stage's cost after (s, a) for every decision rule of that stage: (B, S, A, F)."""
    rules, states = _rules(c), np.arange(c.rewards.shape[1])
    costs = c.rewards[:, states, rules]  # (B, F, S)
    moves, paid = np.broadcast_arrays(c.transitions[:, :, :, None], costs[:, None, None])
    share = given(c, "risk_share")[:, None, None, None]
    worst = -tails.cvar(moves, -paid, given(c, "tail")[:, None, None, None])
    return (1 - share) * (moves * paid).sum(axis=-1) + share * worst


def _after_first(c: Context) -> Array:
    """Cost of all that follows (s, a) in the first stage, for every rule of the second one, the third chosen after each history: (B, S, A, F)."""
    risks, fade = _stage_risks(c), given(c, "fade")[:, None, None, None]
    third = arithmetic.minimum(risks, axis=-1)  # (B, S, A): a rule of its own after each (s2, a2)
    rules, states = _rules(c), np.arange(c.rewards.shape[1])
    later = np.einsum("bsat,bft->bsaf", c.transitions, third[:, states, rules])
    return fade * (risks + fade * later)


@define("ecrm_values", r"\min_\pi\ c_1+\gamma\mathbb{E}\rho(c_2|h_1)+\gamma^2\mathbb{E}\rho(c_3|h_2)", "instance", "states")
def _ecrm_values(c: Context) -> Array:
    """Least expected conditional risk of three stages of costs from each state, over all policies that remember the history, in cost units."""
    least = arithmetic.minimum(c.rewards + arithmetic.minimum(_after_first(c), axis=-1), axis=-1)
    return least[:, None]


@define("ecrm_mu", r"\mathbb{E}_{s\sim\mu}\min_\pi\mathrm{ECRM}", "instance")
def _ecrm_mu(c: Context) -> Array:
    """The same, averaged over the start distribution mu, in cost units."""
    return per_instance((_ecrm_values(c)[:, 0] * c.mu).sum(axis=-1))


@define("ecrm_forgetful_mu", r"\min_{\pi:\ a_2\text{ a function of }s_2}\mathrm{ECRM}", "instance")
def _ecrm_forgetful_mu(c: Context) -> Array:
    """The same if the second action may depend on the second state alone, in cost units."""
    each = arithmetic.minimum(c.rewards[..., None] + _after_first(c), axis=2)  # (B, S, F): the first action chosen for each rule
    return per_instance(arithmetic.minimum((each * c.mu[..., None]).sum(axis=1), axis=-1))


def _augmented(c: Context, weight: Array) -> Array:
    """Optimal cost (B, 1, S) of the ordinary problem on (s, eta) with actions (a, eta'); weight = lambda/alpha; eta runs over the costs."""
    costs = c.rewards
    share, fade = given(c, "risk_share")[:, None, None, None], given(c, "fade")
    levels = costs.reshape(len(costs), -1)  # (B, K)
    over = positive(costs[..., None] - levels[:, None, None])
    stage = weight[:, None, None, None] * over + (1 - share) * costs[..., None]  # (B, S, A, K)
    announced = (fade * given(c, "risk_share"))[:, None] * levels  # gamma lambda eta'
    last = arithmetic.minimum(stage, axis=2)  # (B, S, K): the third stage announces nothing
    ahead = np.einsum("bsat,btk->bsak", c.transitions, last) * fade[:, None, None, None]
    second = arithmetic.minimum(stage + arithmetic.minimum(announced[:, None, None] + ahead, axis=-1)[..., None], axis=2)
    ahead = np.einsum("bsat,btk->bsak", c.transitions, second) * fade[:, None, None, None]
    return arithmetic.minimum(costs + arithmetic.minimum(announced[:, None, None] + ahead, axis=-1), axis=-1)[:, None]


@define("ecrm_augmented_values", r"\min\text{ over }(a,\eta')\text{ on }(s,\eta)", "instance", "states")
def _ecrm_augmented_values(c: Context) -> Array:
    """Optimal cost of the augmented ordinary problem with the stage cost lambda/alpha (c - eta)_+ + (1 - lambda) c + gamma lambda eta'."""
    return _augmented(c, given(c, "risk_share") / given(c, "tail"))


@define("ecrm_augmented_values_other_tail", r"\text{the same with }\lambda/(1-\alpha)", "instance", "states")
def _ecrm_augmented_values_other_tail(c: Context) -> Array:
    """The same with lambda/(1 - alpha) in the stage cost."""
    return _augmented(c, given(c, "risk_share") / (1 - given(c, "tail")))


@define("ecrm_stage_costs", r"\tfrac\lambda\alpha(c-\eta)_++(1-\lambda)c+\gamma\lambda\eta'", "instance", "states")
def _ecrm_stage_costs(c: Context) -> Array:
    """Stage cost of the augmented problem for given costs and announced levels eta, eta', in cost units."""
    share, fade = given(c, "risk_share")[:, None, None], given(c, "fade")[:, None, None]
    levels = c.extra("announced")
    over = positive(c.rewards[:, :, 0] - levels[:, :, 0])[:, None]
    values = share / given(c, "tail")[:, None, None] * over + (1 - share) * c.rewards[:, None, :, 0] + fade * share * levels[:, None, :, 1]
    return flat(values)
