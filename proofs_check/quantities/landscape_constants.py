"""Constants of the landscape of V: curvature in the probabilities, curvature of entropies and barriers, best improvement, visit ratios."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.hessian import softmax_hessian, spectral_norm
from proofs_check.numbers import to_float
from proofs_check.quantities.natural_gradient import optimal_visits
from proofs_check.quantities.registry import define, define_setting, given, norm, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
define_setting("chain_length", "H", "length of the chain of the vanishing gradient: states 0 .. H + 1, discount H/(H + 1)")


# Direct parametrisation


@define("direct_tangent_curvature", r"\sup_{y:\,\sum_a y=0}\left|\nabla^2_\pi V^{\pi}(\mu)[y,y]\right|/\|y\|_2^2", "step")
def _direct_tangent_curvature(c: Context) -> Array:
    """Largest curvature of V(mu) in the probabilities along directions that keep each row's sum, per squared Euclidean norm, in reward units."""
    hessian = direct_hessian(c)
    states, actions = c.rewards.shape[1:]
    rows = hessian.reshape(*hessian.shape[:2], states, actions, states, actions)
    rows = rows - rows.sum(axis=3, keepdims=True) / actions
    rows = rows - rows.sum(axis=5, keepdims=True) / actions
    return per_record(spectral_norm(rows.reshape(hessian.shape), c.kind))


def direct_hessian(c: Context) -> Array:
    """(B, R, S*A, S*A): G + G' with G[(x,b), (z,a)] = gamma w(x) (P M)(x, b, z) Q(z, a), M = (I - gamma P_pi)^-1 and w = mu' M.

    Differentiating V = M r_pi twice along y: V'' = 2 gamma M P_y M (sum_a y Q)."""
    discounted = c.discounted[:, c.now]
    batch, records, states, _ = discounted.shape
    actions = c.rewards.shape[2]
    identity = np.broadcast_to(c.constant(np.eye(states, dtype=np.int64)), discounted.shape)
    resolvent = np.stack([arithmetic.solve(discounted, identity[..., k]) for k in range(states)], axis=-1)
    weights = np.einsum("ns,nrsx->nrx", c.mu, resolvent) * c.discount[:, None, None]
    reach = np.einsum("nxbu,nruz->nrxbz", c.transitions, resolvent)
    half = np.einsum("nrx,nrxbz,nrza->nrxbza", weights, reach, c.action_values[:, c.now])
    half = half.reshape(batch, records, states * actions, states * actions)
    return half + np.swapaxes(half, -1, -2)


@define("best_improvement", r"\max_{p}\,(p-\pi)\cdot\nabla_\pi V^{\pi}(\mu)", "step")
def _best_improvement(c: Context) -> Array:
    """Largest first-order improvement of V(mu) over all policies p: sum_s d(s) max_a A(s,a)/(1 - gamma), in reward units."""
    best = arithmetic.maximum(c.advantages[:, c.now], axis=-1)
    return per_record((c.visits_mu[:, c.now] * best).sum(axis=-1) / (1 - c.discount)[:, None])


@define("mismatch_rho_mu", r"\left\|d^{\pi^*}_\rho/\mu\right\|_\infty", "instance")
def _mismatch_rho_mu(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to mu."""
    return per_record(arithmetic.maximum(optimal_visits(c) / c.mu[:, None], axis=-1))


@define("least_mu", r"\min_s\mu(s)", "instance")
def _least_mu(c: Context) -> Array:
    """Smallest start probability."""
    return per_instance(arithmetic.minimum(c.mu, axis=-1))


# Projected steps


@define("state_steps", r"\eta_s", "step", "states")
def _state_steps(c: Context) -> Array:
    """Step size that each state's action values are multiplied with: eta d(s)/(1 - gamma)."""
    return c.visits_mu[:, c.now] * per_instance(given(c, "eta") / (1 - c.discount))


@define("squared_moves", r"\|\pi_{t+1}-\pi_t\|_2^2", "pair", "states")
def _squared_moves(c: Context) -> Array:
    """Squared distance of the next policy from the current one in each state."""
    move = c.policies[:, c.then] - c.policies[:, c.now]
    return (move * move).sum(axis=-1)


@define("least_state_step", r"\min_s\eta_s", "step")
def _least_state_step(c: Context) -> Array:
    """Smallest step size of any state: eta min_s d(s)/(1 - gamma)."""
    return per_record(arithmetic.minimum(_state_steps(c), axis=-1))


@define("coverage", r"\min_s\rho(s)/d^{\pi^*}_\rho(s)", "instance")
def _coverage(c: Context) -> Array:
    """Smallest ratio of rho to the optimal policy's visits from rho, over the states that it visits: the reciprocal of the mismatch."""
    visits = optimal_visits(c)[:, 0]
    seen = visits > 0
    ratios = np.where(seen, c.rho / np.where(seen, visits, 1), 1)  # the smallest ratio of two distributions is at most 1
    return per_instance(arithmetic.minimum(ratios, axis=-1))


@define("least_suboptimality", r"\Delta", "instance")
def _least_suboptimality(c: Context) -> Array:
    """Smallest V*(s) - Q*(s,a) of an action that is not optimal, in reward units; 0 where every action of every state is optimal."""
    lost = c.optimum.values[..., None] - c.optimum.action_values
    rows, masks = lost.reshape(len(lost), -1), c.optimum.mask.reshape(len(lost), -1)
    least = [arithmetic.minimum(row[~mask]) if not mask.all() else c.discount[b] * 0 for b, (row, mask) in enumerate(zip(rows, masks, strict=True))]
    return per_instance(np.array(least, dtype=c.discount.dtype))


@define("suboptimal_mass", r"\max_s\sum_{a\notin A^*(s)}\pi_t(a|s)", "step")
def _suboptimal_mass(c: Context) -> Array:
    """Largest probability that any state gives to actions that are not optimal."""
    return _mass(c, c.now)


@define("next_suboptimal_mass", r"\max_s\sum_{a\notin A^*(s)}\pi_{t+1}(a|s)", "pair")
def _next_suboptimal_mass(c: Context) -> Array:
    """Largest probability that any state gives to actions that are not optimal after the next step."""
    return _mass(c, c.then)


def _mass(c: Context, records: Array) -> Array:
    wrong = c.constant((~c.optimum.mask).astype(np.int64))
    return per_record(arithmetic.maximum((c.policies[:, records] * wrong[:, None]).sum(axis=-1), axis=-1))


@define("quadratic_steps", "k-k_0", "step", history=True)
def _quadratic_steps(c: Context) -> Array:
    """Steps since (1 - gamma) times the gap under mu fell to 1/(eta min mu) or below for the first time; -1 before."""
    level = 1 / (given(c, "eta") * arithmetic.minimum(c.mu, axis=-1) * (1 - c.discount))
    behind = ((c.optimum.values[:, None] - c.values) * c.mu[:, None]).sum(axis=-1)
    small = np.asarray(arithmetic.less_equal(behind, level[:, None]), dtype=bool)
    return per_record(c.constant(np.cumsum(np.logical_or.accumulate(small, axis=1), axis=1)[:, c.now] - 1))


# Softmax parametrisation


@define("entropy_hessian_norm", r"\|\nabla^2_\theta \mathbb{H}(\mu,\theta)\|_2", "step")
def _entropy_hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian in the logits of the discounted entropy E sum_t gamma^t H(pi(.|s_t)) from mu."""
    blocks = []
    for r in c.now.tolist():
        alone = dataclasses.replace(
            c, policies=c.policies[:, r : r + 1], rewards=-c.log_policies[:, r], times=c.times[:1], pairs=False, logits=None, minima=None
        )
        blocks.append(softmax_hessian(alone) - _fisher(alone, alone.visits_mu / (1 - c.discount)[:, None, None]))
    return per_record(spectral_norm(np.concatenate(blocks, axis=1), c.kind))


@define("barrier_hessian_norm", r"\|\nabla^2_\theta L_\lambda\|_2", "step")
def _barrier_hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian of V(mu) + lambda/(S A) sum log pi in the logits, in reward units."""
    weight = given(c, "lam")[:, None, None] / c.rewards.shape[1]
    pull = _fisher(c, np.broadcast_to(weight, (weight.shape[0], c.now.size, c.rewards.shape[1])))
    return per_record(spectral_norm(softmax_hessian(c) - pull, c.kind))


def _fisher(c: Context, weights: Array) -> Array:
    """(B, R, S*A, S*A): blocks weights(s) (diag pi_s - pi_s pi_s')."""
    pi = c.policies[:, c.now]
    batch, records, states, actions = pi.shape
    eye_s, eye_a = c.constant(np.eye(states, dtype=np.int64)), c.constant(np.eye(actions, dtype=np.int64))
    blocks = weights[..., None, None] * pi[..., None] * (eye_a - pi[..., None, :])
    return np.einsum("nrsab,sx->nrsaxb", blocks, eye_s).reshape(batch, records, states * actions, states * actions)


@define("largest_visit_ratio", r"C_\infty", "instance")
def _largest_visit_ratio(c: Context) -> Array:
    """Largest ratio d^pi_mu(s)/mu(s) over all policies and states."""
    return per_instance(arithmetic.maximum(_most_visits(c) / c.mu, axis=-1))


def _most_visits(c: Context) -> Array:
    """(B, S): max over policies of d^pi_mu(x), the optimal value of the model that pays 1 in state x, times 1 - gamma."""
    from pgtheory.exact.batch import batch_optimal

    states = c.rewards.shape[1]
    plain, discount = to_float(c.transitions), to_float(c.discount)
    columns = []
    for x in range(states):
        pay = np.zeros(c.rewards.shape)
        pay[:, x] = 1
        values, action_values = batch_optimal(plain, pay, discount)
        if c.kind != "float":
            values = _enclosed_optimum(c, x, action_values[0].argmax(axis=-1))
        columns.append((c.mu * values).sum(axis=-1) * (1 - c.discount))
    return np.stack(columns, axis=-1)


def _enclosed_optimum(c: Context, x: int, chosen: Array) -> Array:
    """(1, S): optimal values of the model that pays 1 in state x.  V of any policy is a lower bound, V + max(T V - V)/(1 - gamma) an upper one."""
    states = np.arange(c.rewards.shape[1])
    pay = c.constant((states == x).astype(np.int64))
    while True:
        discounted = c.transitions[0, states, chosen] * -c.discount[0]
        discounted[states, states] = discounted[states, states] + 1
        values = arithmetic.solve(discounted, pay)
        ahead = pay[:, None] + c.discount[0] * (c.transitions[0] @ values)
        gain = arithmetic.maximum(ahead - values[:, None], axis=-1)
        if c.kind == "rational":
            if (gain == 0).all():
                return values[None]
            chosen = np.where(gain > 0, ahead.argmax(axis=-1), chosen)
            continue
        most = arithmetic.maximum(gain) / (1 - c.discount[0])
        return np.array([v.union(v + most.abs_upper()) for v in values], dtype=object)[None]


# The chain on which gradients vanish


@define("chain_gradient_norm", r"\|\nabla V(s_0)\|_2", "instance")
def _chain_gradient_norm(c: Context) -> Array:
    """Euclidean norm, in three free probabilities a state, of the gradient of the value of the chain's first state, in reward units."""
    return _on_chain(c, "first")


@define("chain_gradient_norm_spread", r"\|\nabla V(\mathrm{unif})\|_2", "instance")
def _chain_gradient_norm_spread(c: Context) -> Array:
    """The same norm for the value under a start spread evenly over all states of the chain, in reward units."""
    return _on_chain(c, "spread")


@define("chain_gap", r"V^*(s_0) - V(s_0)", "instance")
def _chain_gap(c: Context) -> Array:
    """Optimality gap of the chain's first state, in reward units."""
    return _on_chain(c, "gap")


def _on_chain(c: Context, what: str) -> Array:
    lengths = to_float(given(c, "chain_length")).round().astype(int)
    return per_instance(np.array([_one_chain(c, b, int(length), what) for b, length in enumerate(lengths)], dtype=c.discount.dtype))


def _one_chain(c: Context, b: int, length: int, what: str) -> Array:
    """States 0 .. H + 1; right with probability pi(a0|s) = w/4 < 1/4, else left (in state 0: stay); H + 1 absorbs and pays 1.

    All three left actions have the same action values, so of the three free probabilities (the fourth action takes the rest) only the first has
    a derivative other than 0: visits(s) (Q(s, right) - Q(s, left))."""
    states = length + 2
    one = c.discount[b] * 0 + 1
    right = c.extra("rightward")[b, : length + 1] / 4
    gamma = one * length / (length + 1)
    matrix = c.constant(np.eye(states, dtype=np.int64))
    for s in range(length + 1):
        matrix[s, s + 1] = matrix[s, s + 1] - gamma * right[s]
        matrix[s, max(s - 1, 0)] = matrix[s, max(s - 1, 0)] - gamma * (1 - right[s])
    matrix[states - 1, states - 1] = matrix[states - 1, states - 1] - gamma
    pay = c.constant(np.eye(states, dtype=np.int64)[-1])
    values = arithmetic.solve(matrix, pay)
    if what == "gap":
        best = one * (length + 1)
        for _ in range(length + 1):
            best = best * gamma
        return best - values[0]
    start = c.constant(np.eye(states, dtype=np.int64)[0] if what == "first" else np.ones(states, dtype=np.int64))
    visits = arithmetic.solve(matrix.T, start if what == "first" else start / states)
    left = np.concatenate([values[:1], values[:length]])
    slopes = visits[: length + 1] * gamma * (values[1:] - left)
    return norm(slopes[None, None])[0, 0, 0]
