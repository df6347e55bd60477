"""Bregman divergences and the potentials of mirror descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pgtheory import arithmetic
from proofs_check.numbers import larger
from proofs_check.quantities.natural_gradient import optimal_visits
from proofs_check.quantities.policy_pairs import second_policy
from proofs_check.quantities.registry import define, define_setting, given, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("growth", "w", "factor by which the step size grows at every step")
define_setting("slack", "c_0", "by how much the first adaptive step may fall behind a Bellman backup, over gamma squared, in reward units")
define_setting("beta", r"\beta", "weight of a divergence penalty, in reward units")
define_setting("order", "q", "order of a Tsallis divergence, above 1")


# Divergence of the optimal policy from the start policy


@define("start_divergence_kl", r"\mathbb{E}_{d^{\pi^*}_\rho}\mathrm{KL}(\pi^*\Vert\pi_0)", "instance")
def _start_divergence_kl(c: Context) -> Array:
    """KL divergence of the optimal policy from the start policy, averaged over the optimal visits from rho."""
    return _start_average(c, -(c.log_policies[:, :1] * c.selection[:, None]).sum(axis=-1))


@define("start_divergence_euclidean", r"\mathbb{E}_{d^{\pi^*}_\rho}\tfrac12\|\pi^*-\pi_0\|_2^2", "instance")
def _start_divergence_euclidean(c: Context) -> Array:
    """Half the squared distance of the optimal policy from the start policy, averaged over the optimal visits from rho."""
    difference = c.selection[:, None] - c.policies[:, :1]
    return _start_average(c, (difference * difference).sum(axis=-1) / 2)


@define("start_divergence_root", r"\mathbb{E}_{d^{\pi^*}_\rho}B_{1/2}(\pi^*,\pi_0)", "instance")
def _start_divergence_root(c: Context) -> Array:
    """Bregman divergence of order 1/2 (potential -4 sqrt p) of the optimal policy from the start policy, averaged over the optimal visits."""
    roots = arithmetic.sqrt(c.policies[:, :1])
    chosen = (roots * c.selection[:, None]).sum(axis=-1)
    return _start_average(c, 2 * roots.sum(axis=-1) + 2 / chosen - 4)


def _start_average(c: Context, divergence: Array) -> Array:
    return per_record((optimal_visits(c) * divergence).sum(axis=-1))


@define("next_gap_mu", r"V^*(\mu) - V^{\pi_{t+1}}(\mu)", "pair")
def _next_gap_mu(c: Context) -> Array:
    """Optimality gap under mu after the next step, in reward units."""
    return per_record(((c.optimum.values[:, None] - c.values[:, c.then]) * c.mu[:, None]).sum(axis=-1))


# DOMINO, whose optimality travels one state a step


LENGTH = 4
"""Length of the dominoes: with three steps in rationals."""


@define("domino_gaps_pi", r"\|V^*-V^k\|_\infty\text{ of policy iteration on DOMINO}(4,\gamma)", "instance", "iterations")
def _domino_gaps_pi(c: Context) -> Array:
    """Largest gap of policy iteration after 0, 1, ... 4 steps on the dominoes of length 4 at the instance's discount, from every action a1."""
    return _domino_gaps(c, None)


@define("domino_gaps_euclidean", r"\|V^*-V^k\|_\infty\text{ of Euclidean mirror descent on DOMINO}(4,\gamma)", "instance", "iterations")
def _domino_gaps_euclidean(c: Context) -> Array:
    """Largest gap of Euclidean mirror descent with step eta after 0, 1, ... 4 steps on the dominoes of length 4, started with every action a1."""
    return _domino_gaps(c, given(c, "eta"))


@define("domino_floor", r"\tfrac12\gamma^k\|V^*-V^0\|_\infty", "instance", "iterations")
def _domino_floor(c: Context) -> Array:
    """Half of gamma^k times the first gap on the dominoes, k = 0, 1, ... 4."""
    return _powers(c, 1)


@define("domino_floor_doubled", r"\gamma^{k}\|V^*-V^0\|_\infty", "instance", "iterations")
def _domino_floor_whole(c: Context) -> Array:
    """gamma^k times the first gap on the dominoes, k = 0, 1, ... 4."""
    return 2 * _powers(c, 1)


def _powers(c: Context, exponent: int) -> Array:
    first = 1 / (1 - c.discount)
    out = [first / 2]
    for _ in range(LENGTH):
        out.append(out[-1] * c.discount**exponent)
    return np.stack(out, axis=-1)[:, None]


def _domino_gaps(c: Context, step_size: Any) -> Array:
    batch, states = c.discount.size, LENGTH + 2
    transitions = c.constant(np.zeros((batch, states, 2, states), dtype=np.int64))
    rewards = c.constant(np.zeros((batch, states, 2), dtype=np.int64))
    one = c.discount * 0 + 1
    prize = one / 2
    for _ in range(LENGTH):
        prize = prize * c.discount
    for s in range(states):
        for a in range(2):
            to = 0 if s == 0 else s - 1 if s <= LENGTH and a == 0 else states - 1
            transitions[:, s, a, to] = one
            rewards[:, s, a] = (one if a == 0 else one * 0) if s == 0 else prize if s == LENGTH + 1 or a == 1 else one * 0
    discount = c.discount[:, None, None]
    best = [one / (1 - c.discount)]
    for _ in range(LENGTH):
        best.append(best[-1] * c.discount)
    optimal = np.stack([*best, prize / (1 - c.discount)], axis=-1)
    policy = c.constant(np.stack([np.eye(2, dtype=np.int64)[[1] * states]] * batch))
    gaps = []
    for k in range(LENGTH + 1):
        values = arithmetic.policy_values(policy, transitions, rewards, discount)
        gaps.append(arithmetic.maximum(optimal - values, axis=-1))
        if k < LENGTH:
            action_values = arithmetic.lookahead(transitions, rewards, discount, values)
            if step_size is None:
                policy = np.stack([arithmetic.improve(p, x, g) for p, x, g in zip(policy, action_values, c.discount, strict=True)])
            else:
                policy = arithmetic.project_simplex(policy + step_size[:, None, None] * action_values)
    return np.stack(gaps, axis=-1)[:, None]


# Steps with a divergence penalty


@define("penalised_divergence", r"\max_s\mathrm{KL}(\pi'_s\Vert\pi_s)", "step")
def _penalised_divergence(c: Context) -> Array:
    """Largest KL divergence of the maximiser of <p, A> - beta KL(p || pi) from pi."""
    old, new = _penalised(c)
    return _largest_kl(new, old)


@define("penalised_divergence_back", r"\max_s\mathrm{KL}(\pi_s\Vert\pi'_s)", "step")
def _penalised_divergence_back(c: Context) -> Array:
    """Largest KL divergence of pi from the maximiser of <p, A> - beta KL(p || pi)."""
    old, new = _penalised(c)
    return _largest_kl(old, new)


@define("safe_divergence", r"\max_s\mathrm{KL}(\pi'_s\Vert\pi_s),\ \beta=\max_s R_s/\sqrt{8\epsilon}", "step")
def _safe_divergence(c: Context) -> Array:
    """Largest KL divergence of the maximiser of <p, A> - beta KL(p || pi) from pi, with the weight beta that the range of the advantages asks for."""
    largest = arithmetic.maximum(_ranges(c), axis=-1)
    weight = largest / arithmetic.sqrt(8 * given(c, "radius"))[:, None]
    old, new = _penalised(c, weight + (weight == 0) if c.kind == "float" else weight)
    return _largest_kl(new, old)


@define("largest_advantage_range", r"\max_s R_s", "step")
def _largest_advantage_range(c: Context) -> Array:
    """Largest range max_a A - min_a A of the advantages of a state, in reward units."""
    return per_record(arithmetic.maximum(_ranges(c), axis=-1))


@define("penalised_divergences", r"\mathrm{KL}(\pi'_s\Vert\pi_s)", "step", "states")
def _penalised_divergences(c: Context) -> Array:
    """KL divergence, in each state, of the maximiser of <p, A> - beta KL(p || pi) from pi."""
    old, new = _penalised(c)
    return _kl(new, old)


@define("advantage_ranges", r"R_s", "step", "states")
def _advantage_ranges(c: Context) -> Array:
    """Range max_a A - min_a A of the advantages in each state, in reward units."""
    return _ranges(c)


def _ranges(c: Context) -> Array:
    values = c.action_values[:, c.now]
    return arithmetic.maximum(values, axis=-1) - arithmetic.minimum(values, axis=-1)


def _penalised(c: Context, weight: Any = None) -> tuple[Array, Array]:
    """(log pi, log pi'), pi' proportional to pi exp(A / beta)."""
    weight = given(c, "beta")[:, None] if weight is None else weight
    old = c.log_policies[:, c.now]
    return old, arithmetic.log_softmax(old + c.action_values[:, c.now] / weight[..., None, None])


def _kl(log_first: Array, log_second: Array) -> Array:
    return (arithmetic.exp(log_first) * (log_first - log_second)).sum(axis=-1)


def _largest_kl(log_first: Array, log_second: Array) -> Array:
    return per_record(arithmetic.maximum(_kl(log_first, log_second), axis=-1))


# Drifts of mirror learning


@define("drift_kl", r"\tfrac1\eta\mathrm{KL}(\pi_{t+1}\Vert\pi_t)", "pair", "states")
def _drift_kl(c: Context) -> Array:
    """KL divergence of the next policy from the current one in each state, over the step size eta."""
    new, old = c.log_policies[:, c.then], c.log_policies[:, c.now]
    pi = c.policies[:, c.then]
    gained = np.where(pi > 0, new - old, 0.0) if c.kind == "float" else new - old
    return (pi * gained).sum(axis=-1) / given(c, "eta")[:, None, None]


@define("drift_euclidean", r"\tfrac1{2\eta}\|\pi_{t+1}-\pi_t\|_2^2", "pair", "states")
def _drift_euclidean(c: Context) -> Array:
    """Half the squared distance of the next policy from the current one in each state, over the step size eta."""
    difference = c.policies[:, c.then] - c.policies[:, c.now]
    return (difference * difference).sum(axis=-1) / (2 * given(c, "eta"))[:, None, None]


@define("drift_ppo", r"\mathbb{E}_{\pi_t}\mathrm{ReLU}\left((x-\mathrm{clip}(x,1-\epsilon,1+\epsilon))A\right)", "pair", "states")
def _drift_ppo(c: Context) -> Array:
    """The drift of the clipped objective from the current to the next policy in each state, x the ratio of probabilities, in reward units."""
    old, new, gains = c.policies[:, c.now], c.policies[:, c.then], c.advantages[:, c.now]
    width = given(c, "radius")[:, None, None, None]
    over = np.maximum((new - (1 + width) * old) * gains, gains * 0)
    under = np.maximum((new - (1 - width) * old) * gains, gains * 0)
    return np.where(gains > 0, over, under).sum(axis=-1)


@define("drift_discovered", r"D_{\pi_t}(\pi_{t+1})", "pair", "states")
def _drift_discovered(c: Context) -> Array:
    """The discovered drift (Lu et al. 2022) from the current to the next policy in each state, in reward units."""
    return _discovered(c, c.policies[:, c.then], c.log_policies[:, c.then])


@define("discovered_objective", r"\langle\pi_{t+1},A\rangle-D_{\pi_t}(\pi_{t+1})", "pair", "states")
def _discovered_objective(c: Context) -> Array:
    """Expected advantage of the next policy less its discovered drift in each state, in reward units."""
    new = c.policies[:, c.then]
    return (new * c.advantages[:, c.now]).sum(axis=-1) - _discovered(c, new, c.log_policies[:, c.then])


@define("discovered_objective_other", r"\langle\pi',A\rangle-D_{\pi_t}(\pi')", "pair", "states")
def _discovered_objective_other(c: Context) -> Array:
    """Expected advantage of the second policy less its discovered drift in each state, in reward units."""
    new = second_policy(c).policies + c.policies[:, c.now] * 0
    return (new * c.advantages[:, c.now]).sum(axis=-1) - _discovered(c, new, arithmetic.log(new))


def _discovered(c: Context, new: Array, log_new: Array) -> Array:
    """sum_a pi max(0, u - a tanh(u/a)):  u = (p/pi - 1) A, a = 2 where A >= 0;  u = A log(p/pi), a = 3/5 where A < 0.  (B, R, S).

    In balls an advantage whose sign is not certain gives no number."""
    old, gains = c.policies[:, c.now], c.advantages[:, c.now]
    with np.errstate(all="ignore"):
        good, bad = (new / old - 1) * gains, (log_new - c.log_policies[:, c.now]) * gains
        up, down = (larger(u - a * _tanh(u / a), u * 0) for u, a in ((good, gains * 0 + 2), (bad, (gains * 0 + 3) / 5)))
        unknown = gains * np.nan
        return (old * np.where(gains >= 0, up, np.where(gains < 0, down, unknown))).sum(axis=-1)


def _tanh(x: Array) -> Array:
    """1 - 2 / (exp(2 x) + 1)."""
    return 1 - 2 / (arithmetic.exp(2 * x) + 1)


# Tsallis divergences


@define("tsallis_objective", r"\langle p,Q\rangle-\tau\mathrm{KL}_q(p\Vert\pi)\text{ at its maximiser}", "step", "states")
def _tsallis_objective(c: Context) -> Array:
    """The objective with a Tsallis divergence from the policy at the truncated power policy, in each state, in reward units."""
    return _objective(c, _by_order(c, lambda mu, values, q, tau: _argmax(mu, values, q, tau)))


@define("tsallis_objective_other", r"\langle\pi',Q\rangle-\tau\mathrm{KL}_q(\pi'\Vert\pi)", "step", "states")
def _tsallis_objective_other(c: Context) -> Array:
    """The objective with a Tsallis divergence from the policy at the second policy, in each state, in reward units."""
    return _objective(c, _second(c))


@define("tsallis_objective_exponential", r"\langle p,Q\rangle-\tau\mathrm{KL}_q(p\Vert\pi)\text{ at }p\propto\pi e^{Q/\tau}", "step", "states")
def _tsallis_objective_exponential(c: Context) -> Array:
    """The objective with a Tsallis divergence from the policy at the policy that would be best for the KL divergence."""
    tau = given(c, "tau")[:, None, None, None]
    return _objective(c, arithmetic.softmax(c.log_policies[:, c.now] + c.extra("payoffs")[:, None] / tau))


@define("tsallis_from_policy", r"\mathrm{KL}_q(\pi'\Vert\pi)", "step", "states")
def _tsallis_from_policy(c: Context) -> Array:
    """Tsallis divergence of the second policy from the first in each state."""
    return _divergences(c, _second(c))


@define("kl_from_policy", r"\mathrm{KL}(\pi'\Vert\pi)", "step", "states")
def _kl_from_policy(c: Context) -> Array:
    """KL divergence of the second policy from the first in each state."""
    new = _second(c)
    with np.errstate(all="ignore"):
        if c.kind == "float":
            return (np.where(new > 0, new * (np.log(np.where(new > 0, new, 1.0)) - c.log_policies[:, c.now]), 0.0)).sum(axis=-1)
        positive = np.array([bool(x > 0) for x in new.reshape(-1)]).reshape(new.shape)
        safe = np.where(positive, new, new * 0 + 1)
        return (new * (arithmetic.log(safe) - arithmetic.log(c.policies[:, c.now]))).sum(axis=-1)


@define("scaled_tsallis", r"\min_a\pi(a|s)\cdot\mathrm{KL}_2(\pi'\Vert\pi)", "step", "states")
def _scaled_tsallis(c: Context) -> Array:
    """Tsallis divergence of order 2 of the second policy from the first in each state, times the first's smallest probability."""
    old, new = c.policies[:, c.now], _second(c)
    return arithmetic.minimum(old, axis=-1) * (new * (new / old - 1)).sum(axis=-1)


@define("scaled_chi_square", r"\min_a\pi(a|s)\cdot\chi^2(\pi'\Vert\pi)", "step", "states")
def _scaled_chi_square(c: Context) -> Array:
    """Chi-square divergence of the second policy from the first in each state, times the first's smallest probability."""
    old = c.policies[:, c.now]
    difference = _second(c) - old
    return arithmetic.minimum(old, axis=-1) * (difference * difference / old).sum(axis=-1)


@define("new_support_mass", r"\textstyle\sum_{a:\,\pi_t(a|s)=0}\pi_{t+1}(a|s)", "pair", "states")
def _new_support_mass(c: Context) -> Array:
    """Probability that the next policy gives to actions whose current probability is exactly 0."""
    gone = c.policies[:, c.now] == 0
    return (c.policies[:, c.then] * c.constant(gone.astype(np.int64))).sum(axis=-1)


def _second(c: Context) -> Array:
    if c.other is None:
        raise ValueError("a second policy is needed")
    return c.other[:, None] + c.policies[:, c.now] * 0


def _objective(c: Context, new: Array) -> Array:
    paid = (new * c.extra("payoffs")[:, None]).sum(axis=-1)
    return paid - given(c, "tau")[:, None, None] * _divergences(c, new)


def _divergences(c: Context, new: Array) -> Array:
    from pgtheory.policy_gradient.munchausen import tsallis_divergence

    old = c.policies[:, c.now]
    parts = [tsallis_divergence(new[b], old[b], order) for b, order in enumerate(_orders(c))]
    return np.stack(parts)


def _by_order(c: Context, code: Any) -> Array:
    values, tau = c.extra("payoffs")[:, None], given(c, "tau")
    return np.stack([code(c.policies[b, c.now], values[b], order, tau[b]) for b, order in enumerate(_orders(c))])


def _argmax(mu: Array, values: Array, order: Any, tau: Any) -> Array:
    from pgtheory.policy_gradient.potentials import tsallis_argmax

    return tsallis_argmax(mu, values + mu * 0, order, tau)


def _orders(c: Context) -> list[Any]:
    """The orders as exact numbers: 2 where the claim's settings name none."""
    from mdps.rational import rational, simplest

    if "order" not in c.settings:
        return [rational(2)] * c.discount.size
    return [simplest(float(x)) if c.kind == "float" else rational(str(x.mid().fmpq() if hasattr(x, "mid") else x)) for x in c.settings["order"]]
