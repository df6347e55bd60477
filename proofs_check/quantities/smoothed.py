"""Smoothed agents under attack, and advice that is followed sometimes.

Smoothing: extras observe (S,) and threshold of the agent's observations (two actions), good (S,) with a single 1, settings noise_scale (sigma) and
attack_unit; three steps; attacks of -2, ..., 2 units at each step, of total energy at most 4 units squared (a budget B of two units).

Advice: the person's own policy is the instance's policy; extras adherence (S, A) and retained (S, A): the second adherence is the first times it;
advice_price a number; reactions (S, A, A) what the person does when the advice a is not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.control.advice import advice_arrays, priced_arrays
from pgtheory.control.smoothing import SmoothedAgent, certificate
from proofs_check.numbers import larger
from proofs_check.quantities.bellman_operators import optimal_values
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 3
ATTACKS = (-2, -1, 0, 1, 2)
ENERGY = 4
define_setting("noise_scale", r"\sigma", "standard deviation of the noise on each observation")
define_setting("attack_unit", r"b", "size of the smallest attack, in units of the observation; the budget is B = 2 b")


# Smoothing


def _agent(c: Context) -> SmoothedAgent:
    if "smoothed_agent" not in c.__dict__:
        if c.kind == "rational":
            raise TypeError("the normal distribution leaves the rationals")
        cut = c.extra("threshold")[:, None]
        c.__dict__["smoothed_agent"] = SmoothedAgent(c.transitions, c.extra("observe"), cut, c.mu, given(c, "noise_scale"), given(c, "attack_unit"))
    return c.__dict__["smoothed_agent"]


def _budget(c: Context) -> Array:
    return 2 * given(c, "attack_unit")


@define("attacked_success", r"p_{\mathrm{attack}}", "instance")
def _attacked_success(c: Context) -> Array:
    """Probability that the third state is the good one under the worst attack of the budget, chosen from everything so far."""
    return per_instance(_agent(c).worst_success(c.extra("good"), STEPS, ATTACKS, ENERGY))


@define("attacked_success_each_step", r"p_{\mathrm{attack\ each\ step}}", "instance")
def _attacked_success_each_step(c: Context) -> Array:
    """The same where the budget is one of every single step."""
    return per_instance(_agent(c).worst_success(c.extra("good"), STEPS, ATTACKS, None))


@define("success_certificate", r"\Phi(\Phi^{-1}(p)-B/\sigma)", "instance")
def _success_certificate(c: Context) -> Array:
    """What the certificate promises of a success."""
    return per_instance(_certified(c, _agent(c).success(c.extra("good"), STEPS), 1))


@define("success_certificate_each_step", r"\Phi(\Phi^{-1}(p)-\sqrt3B/\sigma)", "instance")
def _success_certificate_each_step(c: Context) -> Array:
    """What it promises against the budget B at each of three steps."""
    root = arithmetic.sqrt(c.constant(np.array([STEPS])))[0]
    return per_instance(_certified(c, _agent(c).success(c.extra("good"), STEPS), root))


@define("success_certificate_strong", r"\Phi(\Phi^{-1}(p)-\tfrac{9}{10}B/\sigma)", "instance")
def _success_certificate_strong(c: Context) -> Array:
    """A certificate that counts nine tenths of the budget."""
    return per_instance(_certified(c, _agent(c).success(c.extra("good"), STEPS), c.constant(np.array([9]))[0] / 10))


def _certified(c: Context, probability: Array, scale: object) -> Array:
    return certificate(probability, _budget(c) * scale, given(c, "noise_scale"))


@define("attacked_count", r"\mathbb{E}_{\mathrm{attack}}N", "instance")
def _attacked_count(c: Context) -> Array:
    """Least expected number of the three states that are good, under attack."""
    return per_instance(_agent(c).worst_count(c.extra("good"), STEPS, ATTACKS, ENERGY))


@define("count_certificate", r"\sum_{v=1}^3\Phi(\Phi^{-1}(P(N\ge v))-B/\sigma)", "instance")
def _count_certificate(c: Context) -> Array:
    """The certificates of the three thresholds, added up."""
    tails = _agent(c).count_tails(c.extra("good"), STEPS)
    return per_instance(np.asarray(sum(_certified(c, p, 1) for p in tails)))


@define("count_certificate_of_mean", r"3\,\Phi(\Phi^{-1}(\mathbb{E}N/3)-B/\sigma)", "instance")
def _count_certificate_of_mean(c: Context) -> Array:
    """The certificate of the mean share of good states."""
    tails = _agent(c).count_tails(c.extra("good"), STEPS)
    return per_instance(STEPS * _certified(c, np.asarray(sum(tails)) / STEPS, 1))


@define("count_certificate_of_one", r"3\,\Phi(\Phi^{-1}(P(N\ge1))-B/\sigma)", "instance")
def _count_certificate_of_one(c: Context) -> Array:
    """The certificate of the lowest threshold, for each of the three states."""
    return per_instance(STEPS * _certified(c, _agent(c).count_tails(c.extra("good"), STEPS)[0], 1))


# Advice


def _human(c: Context) -> Array:
    return c.policies[:, 0]


def _advised(c: Context, adherence: Array) -> Array:
    """V*_theta, (B, S)."""
    return optimal_values(c, *advice_arrays(c.transitions, c.rewards, _human(c), adherence))


def _values(c: Context, policy: Array, transitions: Array, rewards: Array) -> Array:
    return arithmetic.policy_values(policy, transitions, rewards, c.discount[:, None, None])


@define("advice_values", r"V^*_\theta(s)", "instance", "states")
def _advice_values(c: Context) -> Array:
    """Optimal values of the advisor, in reward units."""
    return _advised(c, c.extra("adherence"))[:, None]


@define("less_advice_values", r"V^*_{\theta'}(s)", "instance", "states")
def _less_advice_values(c: Context) -> Array:
    """Optimal values of the advisor where every advice is followed less often, theta' = theta times `retained`."""
    return _advised(c, c.extra("adherence") * c.extra("retained"))[:, None]


def _reactive(c: Context, adherence: Array) -> Array:
    """V* where the person who does not follow the advice a acts by reactions(.|s, a)."""
    moves = np.einsum("bsae,bset->bsat", c.extra("reactions"), c.transitions)
    pay = np.einsum("bsae,bse->bsa", c.extra("reactions"), c.rewards)
    share = adherence[..., None]
    return optimal_values(c, share * c.transitions + (1 - share) * moves, adherence * c.rewards + (1 - adherence) * pay)


@define("reactive_values", r"V^*_\theta(s)\ \text{(answered back)}", "instance", "states")
def _reactive_values(c: Context) -> Array:
    """Optimal values of the advisor of somebody who answers back, in reward units."""
    return _reactive(c, c.extra("adherence"))[:, None]


@define("less_reactive_values", r"V^*_{\theta'}(s)\ \text{(answered back)}", "instance", "states")
def _less_reactive_values(c: Context) -> Array:
    """The same where every advice is followed less often."""
    return _reactive(c, c.extra("adherence") * c.extra("retained"))[:, None]


@define("advised_policy_values", r"V^{\pi}_\theta(s)", "instance", "states")
def _advised_policy_values(c: Context) -> Array:
    """Values of the advice given by the second policy, in the advisor's problem."""
    assert c.other is not None
    moves, pay = advice_arrays(c.transitions, c.rewards, _human(c), c.extra("adherence"))
    return _values(c, c.other, moves, pay)[:, None]


@define("followed_policy_values", r"V^{\theta\pi+(1-\theta)\pi_H}(s)", "instance", "states")
def _followed_policy_values(c: Context) -> Array:
    """Values of what the person then does, in the problem itself."""
    assert c.other is not None
    followed = c.other * c.extra("adherence")
    own = (c.other * (1 - c.extra("adherence"))).sum(axis=-1)[..., None] * _human(c)
    return _values(c, followed + own, c.transitions, c.rewards)[:, None]


@define("adherence_loss", r"\max_sV^*(s)-V^*_\theta(s)", "instance")
def _adherence_loss(c: Context) -> Array:
    """Largest loss of value against full control, in reward units."""
    return per_instance(arithmetic.maximum(c.optimum.values - _advised(c, c.extra("adherence")), axis=-1))


def _regret(c: Context) -> Array:
    """V*(s) - E_{pi_H} Q*(s, .), (B, S)."""
    return c.optimum.values - (_human(c) * c.optimum.action_values).sum(axis=-1)


@define("unfollowed_regret", r"\max_s(1-\theta(s,a^*))\left[V^*(s)-\mathbb{E}_{\pi_H}Q^*(s,\cdot)\right]", "instance")
def _unfollowed_regret(c: Context) -> Array:
    """Largest one-step regret of the person's own policy, times how often the best advice is not followed."""
    missed = 1 - (c.selection * c.extra("adherence")).sum(axis=-1)
    return per_instance(arithmetic.maximum(missed * _regret(c), axis=-1))


def _one_share(c: Context) -> Array:
    share = c.extra("followed_share")
    return share[:, None, None] + 0 * c.rewards


@define("followed_share", r"\theta", "instance")
def _followed_share(c: Context) -> Array:
    """Probability with which any advice is followed."""
    return per_instance(c.extra("followed_share"))


@define("share_loss", r"\max_sV^*(s)-V^*_\theta(s)", "instance")
def _share_loss(c: Context) -> Array:
    """Largest loss of value against full control where every advice is followed with the same probability, in reward units."""
    return per_instance(arithmetic.maximum(c.optimum.values - _advised(c, _one_share(c)), axis=-1))


@define("human_regret", r"\max_sV^*(s)-\mathbb{E}_{\pi_H}Q^*(s,\cdot)", "instance")
def _human_regret(c: Context) -> Array:
    """Largest one-step regret of the person's own policy, in reward units."""
    return per_instance(arithmetic.maximum(_regret(c), axis=-1))


@define("advice_price", r"k", "instance")
def _advice_price(c: Context) -> Array:
    """Price of one advice, in reward units."""
    return per_instance(c.extra("advice_price"))


def _priced(c: Context) -> Array:
    return optimal_values(c, *priced_arrays(c.transitions, c.rewards, _human(c), c.extra("adherence"), c.extra("advice_price")))


@define("priced_values", r"V^*_{\theta,k}(s)", "instance", "states")
def _priced_values(c: Context) -> Array:
    """Optimal values where each advice costs its price and silence costs nothing, in reward units."""
    return _priced(c)[:, None]


@define("threshold_values", r"\mathbb{E}_{\pi_H}Q+\max(0,\max_a\theta(Q-\mathbb{E}_{\pi_H}Q)-k)", "instance", "states")
def _threshold_values(c: Context) -> Array:
    """What the threshold rule makes of the person's own Q (with the optimal priced values behind it)."""
    ahead = c.backup(_priced(c)[:, None])[:, 0]
    own = (_human(c) * ahead).sum(axis=-1)
    worth = arithmetic.maximum(c.extra("adherence") * (ahead - own[..., None]), axis=-1) - c.extra("advice_price")[:, None]
    return (own + larger(worth, worth * 0))[:, None]


@define("largest_advantage_of_advice", r"\max_{s,a}\theta\,A^{\pi_H}(s,a)", "instance")
def _largest_advantage_of_advice(c: Context) -> Array:
    """Largest advantage over the person's own policy that an advice brings, in reward units."""
    worth = c.extra("adherence") * c.advantages[:, 0]
    return per_instance(arithmetic.maximum(arithmetic.maximum(worth, axis=-1), axis=-1))


@define("human_values", r"V^{\pi_H}(s)", "instance", "states")
def _human_values(c: Context) -> Array:
    """Values of the person's own policy, in reward units."""
    return c.values[:, :1]


@define("price_paid", r"\max_sV^*_\theta(s)-V^*_{\theta,k}(s)", "instance")
def _price_paid(c: Context) -> Array:
    """Largest loss of value that the price brings, in reward units."""
    return per_instance(arithmetic.maximum(_advised(c, c.extra("adherence")) - _priced(c), axis=-1))
