"""Constrained MDPs with entropy: the doubly regularised saddle point and its recursion, causal entropy with a price of the constraint.

Extras signal (S, A) = g, saddle_price = lambda* >= 0 and slackness.  The saddle is chosen first and the threshold after it, so that it is known
without a search: pi* is soft-optimal for r + lambda* g, and b = V_g(pi*) + tau lambda*, less the slackness where lambda* = 0.  price_now is another
price, the instance's policy any other one.  For causal entropy the extras are costs (S, A), first_price and second_price.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.constrained import attained, best_mixture, corners, once
from proofs_check.quantities.registry import define, define_setting, given, per_instance
from proofs_check.robust import twin_of

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 6
define_setting("step_factor", "f", "step size in units of 4 tau/sp(c)^2")


@dataclasses.dataclass
class Soft:
    """A soft-optimal policy for one reward: V_tau*(rho) (B,), log pi (B, S, A), pi."""

    value: Array
    log_policy: Array

    @property
    def policy(self) -> Array:
        return arithmetic.exp(self.log_policy)


def soft(c: Context, rewards: Array) -> Soft:
    """The soft-optimal policy for the rewards (B, S, A)."""
    from proofs_check.soft import soft_optimum

    if c.kind == "rational":
        raise TypeError("a soft optimum is no rational number")
    values, action_values = soft_optimum(dataclasses.replace(c, rewards=rewards, given_optimum=c.optimum))
    return Soft((values * c.rho).sum(axis=-1), arithmetic.log_softmax(action_values / given(c, "tau")[:, None, None]))


def priced(c: Context, price: Array, signal: Array) -> Array:
    """r + price g."""
    return c.rewards + price[:, None, None] * signal


def entropy_rewards(c: Context, log_policy: Array) -> Array:
    """-tau log pi, whose discounted sum is tau times the entropy."""
    return -given(c, "tau")[:, None, None] * log_policy


def own_log(c: Context) -> Array:
    """log pi of the instance's policy, (B, S, A)."""
    return arithmetic.log(c.policies[:, 0])


def signal_of(c: Context, policy: Array, signal: Array) -> Array:
    return attained(c, signal, policy[:, None])[:, 0]


# The doubly regularised Lagrangian L = V_r + lambda (V_g - b) + tau H + tau lambda^2/2


@dataclasses.dataclass
class Saddle:
    """lambda* (B,), the policy, the threshold b (B,) that makes them the saddle, the visits of the policy (B, S)."""

    price: Array
    soft: Soft
    level: Array
    visits: Array


def saddle(c: Context) -> Saddle:
    """The saddle that the instance chooses, with its threshold."""
    return once(c, "_saddle", lambda: _saddle(c))


def _saddle(c: Context) -> Saddle:
    price, signal = c.extra("saddle_price"), c.extra("signal")
    found = soft(c, priced(c, price, signal))
    at = dataclasses.replace(c, policies=found.policy[:, None], logits=None, minima=None)
    free = np.asarray(price == 0, dtype=bool)
    level = signal_of(c, found.policy, signal) + given(c, "tau") * price - np.where(free, c.extra("slackness"), price * 0)
    return Saddle(price, found, level, at.visits(c.rho, at.discounted)[:, 0])


def _divergence(c: Context, log_policy: Array) -> Array:
    """E_(s ~ d*) KL(pi* | pi) / (1 - gamma), (B,)."""
    at = saddle(c)
    away = (at.soft.policy * (at.soft.log_policy - log_policy)).sum(axis=-1)
    return (at.visits * away).sum(axis=-1) / (1 - c.discount)


def _potential(c: Context, log_policy: Array, price: Array) -> Array:
    away = price - saddle(c).price
    return _divergence(c, log_policy) + away * away / 2


def _step(c: Context, log_policy: Array, price: Array) -> tuple[Array, Array, Array]:
    """(log pi, lambda) after a step, and C^2 of the step."""
    eta, tau, at, signal = given(c, "eta"), given(c, "tau"), saddle(c), c.extra("signal")
    policy = arithmetic.exp(log_policy)
    discount, pays = c.discount[:, None, None], priced(c, price, signal)
    values = arithmetic.policy_values(policy, c.transitions, pays + entropy_rewards(c, log_policy), discount)
    drive = arithmetic.lookahead(c.transitions, pays, discount, values) + entropy_rewards(c, log_policy)
    spread = arithmetic.maximum(drive, axis=-1) - arithmetic.minimum(drive, axis=-1)
    slope = signal_of(c, policy, signal) - at.level + tau * price
    noise = (at.visits * spread * spread).sum(axis=-1) / (8 * (1 - c.discount)) + slope * slope / 2
    new = larger(price - eta * slope, price * 0)
    return arithmetic.log_softmax(log_policy + eta[:, None, None] * drive), new, noise


@define("regularised_potential", r"\Phi_t", "instance")
def _regularised_potential(c: Context) -> Array:
    """E_(d*) KL(pi*|pi)/(1-gamma) + (lambda - lambda*)^2/2 at the instance's policy and price, in reward units."""
    return per_instance(_potential(c, own_log(c), c.extra("price_now")))


@define("regularised_potential_next", r"\Phi_{t+1}", "instance")
def _regularised_potential_next(c: Context) -> Array:
    """The same after a step of the regularised primal-dual method."""
    return per_instance(_potential(c, *_step(c, own_log(c), c.extra("price_now"))[:2]))


@define("regularised_noise", r"C_t^2", "instance")
def _regularised_noise(c: Context) -> Array:
    """E_(d*) sp(Q - tau log pi)^2/(8(1-gamma)) + (V_g - b + tau lambda)^2/2."""
    return per_instance(_step(c, own_log(c), c.extra("price_now"))[2])


def _run(c: Context) -> tuple[Array, Array]:
    """(Phi after six steps, the largest C^2 on the way)."""
    log_policy, price = own_log(c), c.extra("price_now")
    most = price * 0
    for _ in range(STEPS):
        log_policy, price, noise = _step(c, log_policy, price)
        most = larger(most, noise)
    return _potential(c, log_policy, price), most


@define("regularised_potential_end", r"\Phi_6", "instance")
def _regularised_potential_end(c: Context) -> Array:
    """The potential after six steps."""
    return per_instance(once(c, "_regularised_run", lambda: _run(c))[0])


@define("regularised_noise_most", r"\max_{t<6}C_t^2", "instance")
def _regularised_noise_most(c: Context) -> Array:
    """The largest C^2 of those steps."""
    return per_instance(once(c, "_regularised_run", lambda: _run(c))[1])


# What regularisation costs


def _dual_at(c: Context, price: Array) -> Array:
    """max over policies of the regularised Lagrangian at a price, from soft optimal values."""
    value = soft(c, priced(c, price, c.extra("signal"))).value
    return value - price * saddle(c).level + given(c, "tau") * price * price / 2


def lagrangian_at_saddle_price(c: Context, log_policy: Array) -> Array:
    """The regularised Lagrangian of a policy at lambda*, (B,)."""
    at = saddle(c)
    pays = priced(c, at.price, c.extra("signal")) + entropy_rewards(c, log_policy)
    value = signal_of(c, arithmetic.exp(log_policy), pays)
    return value - at.price * at.level + given(c, "tau") * at.price * at.price / 2


@define("saddle_price", r"\lambda_\tau", "instance")
def _saddle_price(c: Context) -> Array:
    """Price at the saddle point of the doubly regularised Lagrangian."""
    return per_instance(saddle(c).price)


@define("price_now", r"\lambda", "instance")
def _price_now(c: Context) -> Array:
    """Another price, nonnegative."""
    return per_instance(c.extra("price_now"))


@define("regularised_dual", r"\max_\pi L_\tau(\pi,\lambda)", "instance")
def _regularised_dual(c: Context) -> Array:
    """The regularised Lagrangian at that price, maximised over policies, in reward units."""
    return per_instance(_dual_at(c, c.extra("price_now")))


@define("regularised_dual_at_saddle", r"\max_\pi L_\tau(\pi,\lambda_\tau)", "instance")
def _regularised_dual_at_saddle(c: Context) -> Array:
    """The same at the price of the saddle, in reward units."""
    return per_instance(_dual_at(c, saddle(c).price))


@define("lagrangian_of_policy", r"L_\tau(\pi,\lambda_\tau)", "instance")
def _lagrangian_of_policy(c: Context) -> Array:
    """The regularised Lagrangian of the instance's policy at the price of the saddle, in reward units."""
    return per_instance(lagrangian_at_saddle_price(c, own_log(c)))


@define("lagrangian_at_saddle", r"L_\tau(\pi_\tau,\lambda_\tau)", "instance")
def _lagrangian_at_saddle(c: Context) -> Array:
    """The regularised Lagrangian at the saddle by policy evaluation, in reward units."""
    return per_instance(lagrangian_at_saddle_price(c, saddle(c).soft.log_policy))


@define("saddle_missing", r"[b-V_g(\pi_\tau)]_+", "instance")
def _saddle_missing(c: Context) -> Array:
    """By how much the policy of the saddle misses the constraint."""
    at = saddle(c)
    missing = at.level - signal_of(c, at.soft.policy, c.extra("signal"))
    return per_instance(larger(missing, missing * 0))


def _mixture(c: Context) -> Array:
    """V_r* at the threshold of the saddle.  A ball for the threshold gives one for the optimum, because the front does not rise."""
    level = saddle(c).level
    if c.kind != "ball":
        return best_mixture(c, level)
    twin, _ = twin_of(c)
    centre, wide = arithmetic.exactly(level), arithmetic.exactly(arithmetic.radius(level))
    high, low = (arithmetic.balls(best_mixture(twin, end)) for end in (centre - wide, centre + wide))
    return np.frompyfunc(lambda a, b: a.union(b), 2, 1)(low, high)


@define("saddle_gap", r"V_r^*-V_r(\pi_\tau)", "instance")
def _saddle_gap(c: Context) -> Array:
    """Constrained optimum less the reward of the policy of the saddle, in reward units."""
    return per_instance(_mixture(c) - signal_of(c, saddle(c).soft.policy, c.rewards))


@define("saddle_room", r"\xi", "instance")
def _saddle_room(c: Context) -> Array:
    """max V_g - b at the threshold of the saddle: Slater's condition where it is positive."""
    if c.kind == "ball":
        most = arithmetic.balls(corners(twin_of(c)[0])[0].max(axis=1))
    else:
        most = corners(c)[0].max(axis=1)
    return per_instance(most - saddle(c).level)


# Causal entropy with a price


def _causal(c: Context, name: str) -> Soft:
    return once(c, f"_causal_{name}", lambda: soft(c, priced(c, -c.extra(name), c.extra("costs"))))


def _cost(c: Context, name: str) -> Array:
    return signal_of(c, _causal(c, name).policy, c.extra("costs"))


@define("first_price", r"\lambda", "instance")
def _first_price(c: Context) -> Array:
    """A price of the cost, nonnegative."""
    return per_instance(c.extra("first_price"))


@define("second_price", r"\lambda'", "instance")
def _second_price(c: Context) -> Array:
    """Another one."""
    return per_instance(c.extra("second_price"))


@define("causal_value", r"V^*_\tau(r-\lambda c)", "instance")
def _causal_value(c: Context) -> Array:
    """Soft optimal value at the first price, in reward units."""
    return per_instance(_causal(c, "first_price").value)


@define("causal_value_second", r"V^*_\tau(r-\lambda'c)", "instance")
def _causal_value_second(c: Context) -> Array:
    """Soft optimal value at the second price, in reward units."""
    return per_instance(_causal(c, "second_price").value)


@define("causal_cost", r"V_c(\pi_\lambda)", "instance")
def _causal_cost(c: Context) -> Array:
    """Cost of the soft-optimal policy at the first price."""
    return per_instance(_cost(c, "first_price"))


@define("causal_cost_second", r"V_c(\pi_{\lambda'})", "instance")
def _causal_cost_second(c: Context) -> Array:
    """Cost of the soft-optimal policy at the second price."""
    return per_instance(_cost(c, "second_price"))


def _regularised_reward(c: Context, log_policy: Array) -> Array:
    return signal_of(c, arithmetic.exp(log_policy), c.rewards + entropy_rewards(c, log_policy))


@define("causal_reward", r"V_r(\pi_\lambda)+\tau H(\pi_\lambda)", "instance")
def _causal_reward(c: Context) -> Array:
    """Reward and entropy of the soft-optimal policy at the first price, by policy evaluation, in reward units."""
    return per_instance(_regularised_reward(c, _causal(c, "first_price").log_policy))


@define("own_causal_reward", r"V_r(\pi)+\tau H(\pi)", "instance")
def _own_causal_reward(c: Context) -> Array:
    """Reward and entropy of the instance's policy, in reward units."""
    return per_instance(_regularised_reward(c, own_log(c)))


@define("own_cost", r"V_c(\pi)", "instance")
def _own_cost(c: Context) -> Array:
    """Cost of the instance's policy."""
    return per_instance(attained(c, c.extra("costs"), c.policies[:, :1])[:, 0])
