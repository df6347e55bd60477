"""Soft-robust control: entropic risk of the next state, its policy gradient, and the weight Z = E exp(-beta V) that samples estimate.

Built on `risk_control`, where Markov risk is evaluated and optimised.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.risk import exponential
from proofs_check.quantities.iteration import largest
from proofs_check.quantities.registry import define, flat, given, per_record
from proofs_check.quantities.risk_control import (
    around,
    assess,
    averse_action_values,
    averse_backup,
    averse_gap,
    averse_gradient,
    averse_improvement,
    averse_mismatch,
    averse_optimum,
    averse_values,
    entropic,
    float_twin,
    own,
    own_values,
    polished,
    resolvent,
)

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


def entropic_values(c: Context) -> Array:
    return own_values(c, entropic)


@define("entropic_state_values", r"V^\pi_\beta", "step", "states")
def _entropic_state_values(c: Context) -> Array:
    """Soft-robust values: the fixed point of V = sum_a pi (r + gamma ERM_beta(V(s'))), in reward units."""
    return entropic_values(c)


def _tilted_kernels(c: Context, values: Array) -> Array:
    """q(s'|s,a) proportional to P exp(-beta V), written out: (B, R, S, A, S)."""
    low = arithmetic.minimum(values, axis=-1)[..., None]
    low = arithmetic.midpoint(low) if c.kind == "ball" else low
    weights = c.transitions[:, None] * arithmetic.exp((low - values) * given(c, "aversion")[:, None, None])[:, :, None, None]
    return weights / weights.sum(axis=-1)[..., None]


def _penalised(c: Context, kernels: Array, share: Array) -> Array:
    """Values of the policy in the kernels with the stage reward r + share KL(q|P) / beta, share (B,): (B, R, S)."""
    spent = exponential.kl(kernels, np.broadcast_to(c.transitions[:, None], kernels.shape))
    weight = (share / given(c, "aversion"))[:, None, None, None]
    return arithmetic.solve(resolvent(c, own(c), kernels), (own(c) * (c.rewards[:, None] + weight * spent)).sum(axis=-1))


@define("penalised_values_at_tilt", r"V^{\pi,q_\pi}\text{ with }r+\tfrac\gamma\beta\mathrm{KL}(q_\pi\Vert P)", "step", "states")
def _penalised_values_at_tilt(c: Context) -> Array:
    """Ordinary values in the tilted kernel with gamma/beta times its divergence added to the reward, by one linear solve."""
    return _penalised(c, _tilted_kernels(c, entropic_values(c)), c.discount)


@define("penalised_values_without_discount", r"V^{\pi,q_\pi}\text{ with }r+\tfrac1\beta\mathrm{KL}(q_\pi\Vert P)", "step", "states")
def _penalised_values_without_discount(c: Context) -> Array:
    """The same with the divergence over beta, not discounted."""
    return _penalised(c, _tilted_kernels(c, entropic_values(c)), c.discount * 0 + 1)


@define("penalised_values_anywhere", r"V^{\pi,q}\text{ with }r+\tfrac\gamma\beta\mathrm{KL}(q\Vert P)", "step", "states")
def _penalised_values_anywhere(c: Context) -> Array:
    """Ordinary values in another kernel with the support of P, its divergence paid for, in reward units."""
    weights = c.transitions * c.extra("reweighting")
    kernels = (weights / weights.sum(axis=-1)[..., None])[:, None]
    return _penalised(c, np.broadcast_to(kernels, (*own(c).shape, kernels.shape[-1])), c.discount)


@define("entropic_backup_difference", r"\|T^\pi_\beta V-T^\pi_\beta W\|_\infty", "instance")
def _entropic_backup_difference(c: Context) -> Array:
    """Largest difference of the soft-robust backups of two given vectors, in reward units."""
    first, second = (averse_backup(c, entropic, c.policies[:, :1], c.extra(name)[:, None]) for name in "VW")
    return largest((first - second)[:, 0])


@define("entropic_optimal_values", r"V^*_\beta", "instance", "states")
def _entropic_optimal_values(c: Context) -> Array:
    """Optimal soft-robust values: the fixed point of V = max_a r + gamma ERM_beta(V(s')), in reward units."""
    return averse_optimum(c, entropic)[0]


def _deterministic(c: Context) -> Array:
    """All deterministic policies as records: (B, A^S, S, A)."""
    states, actions = c.rewards.shape[1:]
    choices = np.array(list(itertools.product(range(actions), repeat=states)))
    return np.broadcast_to(c.constant(np.eye(actions, dtype=np.int64)[choices]), (len(c.discount), len(choices), states, actions))


@define("entropic_best_deterministic_values", r"\max_{\pi\text{ deterministic}}V^\pi_\beta", "instance", "states")
def _entropic_best_deterministic_values(c: Context) -> Array:
    """Largest soft-robust value of each state over all deterministic policies, by enumeration, in reward units."""
    return arithmetic.maximum(averse_values(c, entropic, _deterministic(c)), axis=1)[:, None]


@define("joint_entropic_values", r"V=\mathrm{ERM}_\beta(r(s,a)+\gamma V(s')),\ a\sim\pi,\ s'\sim P", "step", "states")
def _joint_entropic_values(c: Context) -> Array:
    """Fixed point with the entropic risk taken over action and next state together, in reward units."""
    (b, r, s, a), beta = own(c).shape, given(c, "aversion")[:, None, None]
    joint = (own(c)[..., None] * c.transitions[:, None]).reshape(b, r, s, a * s)

    def backup(values: Array) -> Array:
        ahead = c.rewards[:, None, :, :, None] + c.discount[:, None, None, None, None] * values[:, :, None, None]
        return exponential.entropic(joint, ahead.reshape(b, r, s, a * s), beta)

    if c.kind == "ball":
        values = arithmetic.balls(_joint_entropic_values(float_twin(c)))
        return around(c, values, backup(values))
    return polished(c, entropic_values(c), backup)


@define("aversion_loss", r"\max_s\left(V^\pi-V^\pi_\beta\right)(s)", "step")
def _aversion_loss(c: Context) -> Array:
    """Largest difference of the risk neutral and the soft-robust values, in reward units."""
    return per_record(arithmetic.maximum(c.values[:, c.now] - entropic_values(c), axis=-1))


@define("aversion_least_loss", r"\min_s\left(V^\pi-V^\pi_\beta\right)(s)", "step")
def _aversion_least_loss(c: Context) -> Array:
    """Smallest difference of the risk neutral and the soft-robust values, in reward units."""
    return per_record(arithmetic.minimum(c.values[:, c.now] - entropic_values(c), axis=-1))


def _range(values: Array) -> Array:
    return per_record(arithmetic.maximum(values, axis=-1) - arithmetic.minimum(values, axis=-1))


@define("value_range", r"\mathrm{sp}(V^\pi)", "step")
def _value_range(c: Context) -> Array:
    """Largest minus smallest value, in reward units."""
    return _range(c.values[:, c.now])


@define("entropic_value_range", r"\mathrm{sp}(V^\pi_\beta)", "step")
def _entropic_value_range(c: Context) -> Array:
    """Largest minus smallest soft-robust value, in reward units."""
    return _range(entropic_values(c))


# Gradient and gradient domination


@define("entropic_gradient", r"\tfrac1{1-\gamma}d^{\pi,q_\pi}_\mu(s)\,Q^\pi_\beta(s,a)", "step", "state-action pairs")
def _entropic_gradient(c: Context) -> Array:
    """Soft-robust policy gradient: visits in the tilted kernel times soft-robust action values, in reward units."""
    return flat(averse_gradient(c, entropic)[0])


@define("entropic_gradient_nominal_visits", r"\tfrac1{1-\gamma}d^{\pi,P}_\mu(s)\,Q^\pi_\beta(s,a)", "step", "state-action pairs")
def _entropic_gradient_nominal_visits(c: Context) -> Array:
    """The same with visits in the nominal kernel, in reward units."""
    action_values = averse_action_values(c, entropic, entropic_values(c))
    return flat(c.visits_mu[:, c.now][..., None] * action_values / (1 - c.discount)[:, None, None, None])


@define("entropic_derivative", r"\partial V^\pi_\beta(\mu)/\partial\pi(a|s)", "step", "state-action pairs")
def _entropic_derivative(c: Context) -> Array:
    """Derivatives of V_beta(mu) in the probabilities, by differentiating -(1/beta) log sum P exp(-beta V) inside the fixed point equation."""
    values = entropic_values(c)
    low = arithmetic.minimum(values, axis=-1)[..., None]
    e = arithmetic.exp((low - values) * given(c, "aversion")[:, None, None])[:, :, None, None]
    inner = (c.transitions[:, None] * e).sum(axis=-1)
    slope = c.transitions[:, None] * e / inner[..., None]  # of the risk in the next values, by the chain rule
    gamma = c.discount[:, None, None, None]
    ahead = c.rewards[:, None] + gamma * (low[..., None] - arithmetic.log(inner) / given(c, "aversion")[:, None, None, None])
    states = ahead.shape[2]
    eye = c.constant(np.eye(states, dtype=np.int64))
    sides = (eye[:, :, None] * ahead[:, :, None]).reshape(*ahead.shape[:2], states, -1)  # d(T_pi V)(s) / d pi(a|x) = 1[s = x] Q(x, a)
    moved = eye - gamma * (own(c)[..., None] * slope).sum(axis=-2)
    return np.einsum("bs,brsk->brk", c.mu, arithmetic.solve(moved, sides))


@define("entropic_gap_rho", r"V^*_\beta(\rho)-V^\pi_\beta(\rho)", "step")
def _entropic_gap_rho(c: Context) -> Array:
    """Soft-robust optimality gap under rho, in reward units."""
    return averse_gap(c, entropic)


@define("entropic_mismatch", r"\left\|d^{\pi^*,q_\pi}_\rho/d^{\pi,q_\pi}_\mu\right\|_\infty", "step")
def _entropic_mismatch(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to the current one's from mu, both in the kernel tilted by the current values."""
    return averse_mismatch(c, entropic)


@define("entropic_improvement", r"\max_{\bar\pi}\langle\bar\pi-\pi,\nabla V^\pi_\beta(\mu)\rangle", "step")
def _entropic_improvement(c: Context) -> Array:
    """What the best policy promises to first order, in reward units."""
    return averse_improvement(c, entropic)


# The weight Z that has to be learned


def _weight_backup(c: Context, logs: Array) -> Array:
    """log E exp(-beta max_a' (r(s', a') - (gamma/beta) logs(s', a'))): (B, S, A) -> (B, S, A)."""
    beta = given(c, "aversion")
    ahead = arithmetic.maximum(c.rewards - (c.discount / beta)[:, None, None] * logs, axis=-1)
    return -beta[:, None, None] * assess(c, entropic, ahead[:, None])[0][:, 0]


def _optimal_logs(c: Context) -> Array:
    """log Z* = log E exp(-beta V*), written out: (B, S, A)."""
    beta, best = given(c, "aversion")[:, None, None], averse_optimum(c, entropic)[0][:, 0]
    low = arithmetic.minimum(best, axis=-1)[:, None, None]
    weights = c.transitions * arithmetic.exp((low[..., None] - best[:, None, None]) * beta[..., None])
    return arithmetic.log(weights.sum(axis=-1)) - beta * low


@define("optimal_log_weights", r"\log Z^*(s,a)", "instance", "state-action pairs")
def _optimal_log_weights(c: Context) -> Array:
    """Logarithm of E exp(-beta V*(s'))."""
    return _optimal_logs(c).reshape(len(c.discount), 1, -1)


@define("optimal_log_weights_backed_up", r"\log(HZ^*)(s,a)", "instance", "state-action pairs")
def _optimal_log_weights_backed_up(c: Context) -> Array:
    """Logarithm of HZ*, with HZ(s,a) = E exp(-beta max_a' (r(s',a') - (gamma/beta) log Z(s',a')))."""
    return _weight_backup(c, _optimal_logs(c)).reshape(len(c.discount), 1, -1)


@define("log_weight_difference", r"\|\log Z-\log Z'\|_\infty", "instance")
def _log_weight_difference(c: Context) -> Array:
    """Largest difference of two given tables of logarithms."""
    return largest((c.extra("log_weights") - c.extra("more_log_weights")).reshape(len(c.discount), -1))


@define("log_weight_backup_difference", r"\|\log HZ-\log HZ'\|_\infty", "instance")
def _log_weight_backup_difference(c: Context) -> Array:
    """Largest difference after the optimality operator of Z."""
    first, second = (_weight_backup(c, c.extra(name)) for name in ("log_weights", "more_log_weights"))
    return largest((first - second).reshape(len(c.discount), -1))
