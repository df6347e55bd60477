"""Finite horizons: stages, their values, gradients and curvature, and short runs of simultaneous and dynamic policy gradient.

The stages are extras of the instance: stage_transitions (N, S, A, S), stage_rewards (N, S, A), stage_policies (N, S, A), stage_starts (N, S).  Of
the N stages the first H count (a setting, at most N); later ones pay nothing.  mu is the law of the first state.  J is in reward units.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic, horizon_gradient
from proofs_check.numbers import to_float
from proofs_check.quantities.registry import define, define_setting, flat, given, per_instance, per_record, running

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 20
"""Steps of the short run of simultaneous policy gradient."""
COUNTS = (1, 2, 4, 8, 16)
"""Steps an epoch of dynamic policy gradient, each a training of its own."""
MANY_STEPS = 400
"""Steps a stage of the run in the wrong order."""

define_setting("H", "H", "number of stages")


def _length(c: Context) -> int:
    """N, the number of stages that the instance gives arrays for."""
    return c.extra("stage_rewards").shape[1]


def active(c: Context) -> Array:
    """(B, N) booleans: the stages before H."""
    count = given(c, "H")
    return np.arange(_length(c)) < to_float(count)[:, None] - 0.5


def _cut(c: Context) -> Context:
    """The same with no more stages than the largest H of the batch asks for: what comes later pays nothing, and its policies never move."""
    most = int(to_float(given(c, "H")).max() + 0.5)
    return dataclasses.replace(c, extras={name: array[:, :most] for name, array in c.extras.items()})


def _stages(c: Context) -> tuple[Array, Array]:
    """Transitions (B, N, S, A, S) and rewards (B, N, S, A), those from stage H on 0."""
    paid = c.extra("stage_rewards")
    return c.extra("stage_transitions"), np.where(active(c)[:, :, None, None], paid, paid * 0)


def _layers(c: Context) -> Context:
    """The stages as one model with discount 1 whose chain ends; its policy is the stage policies."""
    moves, paid, first = horizon_gradient.layered(*_stages(c), c.mu)
    policies = c.extra("stage_policies").reshape(*paid.shape)
    return dataclasses.replace(
        c, transitions=moves, rewards=paid, discount=c.discount * 0 + 1, mu=first, rho=first, policies=policies[:, None], logits=None, minima=None,
        other=None, extras={}, times=c.times[:1], pairs=False, given_optimum=None, parameters=None,
    )  # fmt: skip


def _selection(c: Context) -> Array:
    """(B, 3, S, A) zeros and ones: an optimal action in every stage and state, by backward induction; exact where the instance is."""
    if c.source is None:
        moves, paid = _stages(c)
    else:
        exact = dataclasses.replace(
            c, kind="rational", extras={key: np.asarray(value)[None, : _length(c)] for key, value in c.source.extras.items()},
            settings={key: np.array([value], dtype=object) for key, value in c.source.settings.items()},
        )  # fmt: skip
        moves, paid = _stages(exact)
    stages, actions = paid.shape[1], paid.shape[3]
    values = paid[:, 0, :, 0] * 0
    chosen = np.zeros(paid.shape, dtype=np.int64)
    for h in reversed(range(stages)):
        ahead = paid[:, h] + np.einsum("bsat,bt->bsa", moves[:, h], values)
        best = ahead.argmax(axis=-1)
        chosen[:, h] = np.eye(actions, dtype=np.int64)[best]
        values = np.take_along_axis(ahead, best[..., None], axis=-1)[..., 0]
    return c.constant(chosen)


def _value(c: Context, policies: Array) -> Array:
    """J of stage policies (B, N, S, A): (B,)."""
    return (horizon_gradient.stage_values(policies, *_stages(c))[0][:, 0] * c.mu).sum(axis=-1)


def _mismatch(c: Context, policies: Array, selection: Array) -> Array:
    """max over stages and states of d*_h(s)/d_h(s), 0/0 = 0: (B,).  Policies are interior, so d_h(s) = 0 only where nothing can be."""
    moves = c.extra("stage_transitions")
    best, own = (horizon_gradient.stage_visits(p, moves, c.mu) for p in (selection, policies))
    empty = own == 0
    ratio = np.where(empty | ~active(c)[:, :, None], own * 0, best / np.where(empty, own + 1, own))
    return arithmetic.maximum(ratio.reshape(len(ratio), -1), axis=-1)


def _least_optimal(c: Context, policies: Array, selection: Array) -> Array:
    """min over stages before H and states of pi_h(a*|s): (B,)."""
    likely = (policies * selection).sum(axis=-1)
    counted = np.where(active(c)[:, :, None], likely, likely * 0 + 1)
    return -arithmetic.maximum(-counted.reshape(len(counted), -1), axis=-1)


@define("stage_gradient", r"P(s_h=s)\,\pi_h(a|s)\,A_h(s,a)", "instance", "stages, states and actions")
def _stage_gradient(c: Context) -> Array:
    """The formula for the derivatives of J in the logits of the stage policies."""
    gradient = horizon_gradient.stage_gradient(c.extra("stage_policies"), *_stages(c), c.mu)
    return flat(gradient.reshape(len(gradient), 1, -1))


@define("stage_derivative", r"\partial J/\partial\theta_h(s,a)", "instance", "stages, states and actions")
def _stage_derivative(c: Context) -> Array:
    """Derivatives of J in the logits of the stage policies, by dual numbers through the linear solve of the layered model."""
    from proofs_check.dual import derivative_of_value

    return derivative_of_value(_layers(c), "softmax")


@define("stage_gradient_without_visits", r"\pi_h(a|s)\,A_h(s,a)", "instance", "stages, states and actions")
def _without_visits(c: Context) -> Array:
    """The gradient's formula without the probability that stage h begins in s."""
    policies = c.extra("stage_policies")
    values, ahead = horizon_gradient.stage_values(policies, *_stages(c))
    return (policies * (ahead - values[:, :-1, :, None])).reshape(len(policies), 1, -1)


@define("stage_hessian_norm", r"\|\nabla^2_\theta J\|_2", "instance")
def _stage_hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian of J in the logits of the stage policies, in reward units."""
    from proofs_check.hessian import softmax_hessian, spectral_norm

    layers = _layers(c)
    return per_record(spectral_norm(softmax_hessian(layers), c.kind))


@define("stage_gradient_square", r"\|\nabla_\theta J\|_2^2", "instance")
def _stage_gradient_square(c: Context) -> Array:
    """Squared Euclidean norm of the gradient of J."""
    return (_stage_gradient(c) ** 2).sum(axis=-1, keepdims=True)


@define("stage_gap", r"J^* - J", "instance")
def _stage_gap(c: Context) -> Array:
    """Optimality gap of the stage policies under mu, in reward units."""
    return per_instance(_value(c, _selection(c)) - _value(c, c.extra("stage_policies")))


@define("stage_mismatch", r"\max_{h,s} d^*_h(s)/d^\pi_h(s)", "instance")
def _stage_mismatch(c: Context) -> Array:
    """Largest ratio of the probability that an optimal policy is in a state at a stage to that of the stage policies."""
    return per_instance(_mismatch(c, c.extra("stage_policies"), _selection(c)))


@define("stage_optimal_probability", r"\min_{h,s}\pi_h(a^*_h(s)|s)", "instance")
def _stage_optimal_probability(c: Context) -> Array:
    """Smallest probability that the stage policies give to an optimal action."""
    return per_instance(_least_optimal(c, c.extra("stage_policies"), _selection(c)))


# Short runs


@define("simultaneous_gaps", r"J^* - J_n", "instance", "iterations")
def _simultaneous_gaps(c: Context) -> Array:
    """Optimality gap after n = 1 .. 20 steps of simultaneous policy gradient of step 2/H from uniform policies, in reward units."""
    c, path, selection = _simultaneous(c)
    many, policies = _every_step(c, path[:, 1:])
    return _value(c, selection)[:, None, None] - _value(many, policies).reshape(-1, 1, STEPS)


@define("simultaneous_constants", r"D_n^2/(c_n^2\,n)", "instance", "iterations")
def _simultaneous_constants(c: Context) -> Array:
    """D^2/(c^2 n), with D the largest mismatch and c the smallest probability of an optimal action over steps 0 .. n - 1, for n = 1 .. 20."""
    c, path, selection = _simultaneous(c)
    many, policies = _every_step(c, path[:, :-1])
    selection = np.repeat(selection, STEPS, axis=0)
    so_far = functools.partial(running, lambda a, b: arithmetic.maximum(np.stack([a, b], axis=-1), axis=-1))
    worst = so_far(_mismatch(many, policies, selection).reshape(-1, STEPS))
    least = -so_far(-_least_optimal(many, policies, selection).reshape(-1, STEPS))
    return (worst * worst / (least * least) / c.constant(np.arange(1, STEPS + 1)))[:, None]


def _simultaneous(c: Context) -> tuple[Context, Array, Array]:
    """(the instances cut to their stages, stage policies (B, 21, N, S, A) of the run, optimal actions (B, N, S, A)), made once."""
    if "_simultaneous" not in c.__dict__:
        cut = _cut(c)
        moves, paid = _stages(cut)
        path = horizon_gradient.simultaneous_policies(paid * 0, moves, paid, cut.mu, 2 / given(cut, "H"), STEPS)
        c.__dict__["_simultaneous"] = cut, path, _selection(cut)
    return c.__dict__["_simultaneous"]


def _every_step(c: Context, path: Array) -> tuple[Context, Array]:
    """A run (B, n, N, S, A) as n instances each, one for every policy: what these have in common is repeated."""
    steps = path.shape[1]
    extras, settings = ({name: np.repeat(array, steps, axis=0) for name, array in arrays.items()} for arrays in (c.extras, c.settings))
    many = dataclasses.replace(c, extras=extras, settings=settings, mu=np.repeat(c.mu, steps, axis=0))
    return many, path.reshape(-1, *path.shape[2:])


@define(
    "dynamic_epoch_gaps",
    r"\frac{1}{H-h}\,\mathbb{E}_{s\sim\mu_h}\!\left[\max_a Q_h - \mathbb{E}_{\pi_{h,n}} Q_h\right]",
    "instance",
    "stages and iterations",
)
def _dynamic_epoch_gaps(c: Context) -> Array:
    """What epoch h still lacks after n = 1, 2, 4, 8, 16 steps, divided by the H - h stages that are left; later stages trained for as many steps."""
    weights = c.extra("stage_starts")
    out = []
    for n in COUNTS:
        ahead, trained = _trained(c, n)
        short = arithmetic.maximum(ahead, axis=-1) - (trained * ahead).sum(axis=-1)
        out.append((weights * short).sum(axis=-1) / _stages_left(c))
    return np.stack(out, axis=-1).reshape(len(weights), 1, -1)


@define("dynamic_steps", r"n", "instance", "stages and iterations")
def _dynamic_steps(c: Context) -> Array:
    """The number of steps of each entry of the epoch gaps: 1, 2, 4, 8, 16 for every stage."""
    return c.constant(np.tile(COUNTS, _length(c))[None, None])


@define("dynamic_gap", r"\max_s\left[V^*_0(s) - V_0(s)\right]", "instance", "iterations")
def _dynamic_gap(c: Context) -> Array:
    """Largest optimality gap of any first state after n = 1, 2, 4, 8, 16 steps an epoch of dynamic policy gradient, in reward units."""
    return np.stack([_trained_gap(c, _trained(c, n)[1]) for n in COUNTS], axis=-1)[:, None]


@define("dynamic_bellman_errors", r"\sum_h\max_s\left[\max_a Q_h - \mathbb{E}_{\pi_h}Q_h\right]", "instance", "iterations")
def _dynamic_bellman_errors(c: Context) -> Array:
    """Sum over the stages of the largest Bellman error of any state after n = 1, 2, 4, 8, 16 steps an epoch, in reward units."""
    out = []
    for n in COUNTS:
        ahead, trained = _trained(c, n)
        short = arithmetic.maximum(ahead, axis=-1) - (trained * ahead).sum(axis=-1)
        out.append(arithmetic.maximum(short, axis=-1).sum(axis=-1))
    return np.stack(out, axis=-1)[:, None]


@define("dynamic_bounds", r"\sum_h\frac{5\,(H-h)\,S A}{4n\,\min_s\mu_h(s)}", "instance", "iterations")
def _dynamic_bounds(c: Context) -> Array:
    """Sum over the stages of 5 (H - h) S A/(4 n min mu_h), for n = 1, 2, 4, 8, 16."""
    return _bounds(c) / c.constant(np.array(COUNTS))


@define("forward_gap", r"\max_s\left[V^*_0(s) - V^{\mathrm{forwards}}_0(s)\right]", "instance")
def _forward_gap(c: Context) -> Array:
    """Largest optimality gap of any first state after training the stages for 400 steps each in the wrong order, the first stage first."""
    moves, paid = _stages(c)
    trained = horizon_gradient.dynamic_policies(moves, paid, c.extra("stage_starts"), MANY_STEPS, order="forwards", stages_left=_stages_left(c))
    return per_instance(_trained_gap(c, trained))


@define("forward_bound", r"\sum_h\frac{5\,(H-h)\,S A}{1600\,\min_s\mu_h(s)}", "instance")
def _forward_bound(c: Context) -> Array:
    """The bound of dynamic policy gradient after 400 steps an epoch."""
    return _bounds(c) / MANY_STEPS


def _bounds(c: Context) -> Array:
    """sum_h 5/4 (H - h) S A / min mu_h, (B, 1, 1)."""
    least = -arithmetic.maximum(-c.extra("stage_starts"), axis=-1)
    left = np.where(active(c), _stages_left(c), _stages_left(c) * 0)
    states, actions = c.rewards.shape[1:]
    return per_instance((left / least).sum(axis=-1) * (5 * states * actions)) / 4


def _stages_left(c: Context) -> Array:
    """H - h, and 1 from stage H on (where everything is 0): (B, N)."""
    left = given(c, "H")[:, None] - c.constant(np.arange(_length(c)))[None]
    return np.where(active(c), left, left * 0 + 1)


def _trained(c: Context, steps: int) -> tuple[Array, Array]:
    """(Q, stage policies) of dynamic policy gradient with that many steps an epoch; a stage h of H takes steps of size 2/(H - h)."""
    moves, paid = _stages(c)
    weights, left = c.extra("stage_starts"), _stages_left(c)
    policies = arithmetic.softmax(paid * 0)
    values, ahead = paid[:, 0, :, 0] * 0, np.empty_like(paid)
    for h in reversed(range(_length(c))):
        ahead[:, h] = paid[:, h] + np.einsum("bsat,bt->bsa", moves[:, h], values)
        logits, rate = ahead[:, h] * 0, (2 / left[:, h])[:, None, None]
        for _ in range(steps):
            logits = logits + rate * horizon_gradient.epoch_gradient(policies[:, h], ahead[:, h], weights[:, h])
            policies[:, h] = arithmetic.softmax(logits)
        values = (policies[:, h] * ahead[:, h]).sum(axis=-1)
    return ahead, policies


def _trained_gap(c: Context, trained: Array) -> Array:
    """max_s V*_0(s) - V_0(s), (B,)."""
    moves, paid = _stages(c)
    best, own = (horizon_gradient.stage_values(p, moves, paid)[0][:, 0] for p in (_selection(c), trained))
    return arithmetic.maximum(best - own, axis=-1)


@define("first_counts", r"n", "instance", "iterations")
def _first_counts(c: Context) -> Array:
    """The number of steps of each entry of a short run: 1 .. 20."""
    return c.constant(np.arange(1, STEPS + 1)[None, None])
