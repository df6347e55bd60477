"""Policy gradient on finite horizons: a softmax policy for each stage, trained all at once or backwards, one stage after the other.

    J(theta) = V_0(mu),   dJ/dtheta_h(s, a) = P(s_h = s) pi_h(a|s) A_h(s, a)

    simultaneous   theta <- theta + eta grad J
    dynamic        for h = H-1, ..., 0: n steps on E_{s ~ mu_h} E_{a ~ pi_h} Q_h(s, a) with the later stages as they were left

A problem of H stages is an MDP with discount 1 on the pairs (h, s) whose chain ends after H steps (`layered`): I - P is triangular, so every linear
solve of the discounted theory works there, in floats, rationals and balls.  Klein, Weissmann, Doering (2024).  Derivation:
docs/theory/structured.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.finite_horizon import FiniteHorizon
from pgtheory import arithmetic

Array = np.ndarray


def layered(transitions: Array, rewards: Array, start: Array) -> tuple[Array, Array, Array]:
    """Stage arrays (B, H, S, A, S), (B, H, S, A), (B, S) as one substochastic model on H S states: (B, HS, A, HS), (B, HS, A), (B, HS)."""
    batch, stages, states, actions = rewards.shape
    zero = rewards.reshape(-1)[0] * 0
    moves = np.full((batch, stages, states, actions, stages, states), zero, dtype=transitions.dtype)
    for h in range(stages - 1):
        moves[:, h, :, :, h + 1] = transitions[:, h]
    first = np.full((batch, stages, states), zero, dtype=rewards.dtype)
    first[:, 0] = start
    size = stages * states
    return moves.reshape(batch, size, actions, size), rewards.reshape(batch, size, actions), first.reshape(batch, size)


def stage_values(policies: Array, transitions: Array, rewards: Array) -> tuple[Array, Array]:
    """(V (B, H + 1, S), Q (B, H, S, A)) of stage policies (B, H, S, A), backwards; V_H = 0."""
    batch, stages, states, _ = rewards.shape
    values = np.empty((batch, stages + 1, states), dtype=rewards.dtype)
    values[:, stages] = rewards.reshape(-1)[0] * 0
    actions = np.empty_like(rewards)
    for h in reversed(range(stages)):
        actions[:, h] = rewards[:, h] + np.einsum("bsat,bt->bsa", transitions[:, h], values[:, h + 1])
        values[:, h] = (policies[:, h] * actions[:, h]).sum(axis=-1)
    return values, actions


def stage_visits(policies: Array, transitions: Array, start: Array) -> Array:
    """P(s_h = s), (B, H, S), forwards."""
    visits = np.empty(policies.shape[:3], dtype=policies.dtype)
    visits[:, 0] = start
    for h in range(policies.shape[1] - 1):
        visits[:, h + 1] = np.einsum("bs,bsa,bsat->bt", visits[:, h], policies[:, h], transitions[:, h])
    return visits


def stage_gradient(policies: Array, transitions: Array, rewards: Array, start: Array) -> Array:
    """dJ/dtheta_h(s, a), (B, H, S, A)."""
    values, actions = stage_values(policies, transitions, rewards)
    return stage_visits(policies, transitions, start)[..., None] * policies * (actions - values[:, :-1, :, None])


def epoch_gradient(policy: Array, actions: Array, weights: Array) -> Array:
    """The gradient of E_{s ~ weights} E_{a ~ policy} Q(s, a) in the logits of one stage, (B, S, A)."""
    gain = (policy * actions).sum(axis=-1, keepdims=True)
    return weights[..., None] * policy * (actions - gain)


def simultaneous_policies(logits: Array, transitions: Array, rewards: Array, start: Array, step_size: Any, steps: int) -> Array:
    """The stage policies (B, steps + 1, H, S, A) of simultaneous policy gradient; step_size (B,) or a number."""
    rate = np.asarray(step_size)
    rate = rate[:, None, None, None] if rate.ndim else rate[()]
    out = [arithmetic.softmax(logits)]
    for _ in range(steps):
        logits = logits + rate * stage_gradient(out[-1], transitions, rewards, start)
        out.append(arithmetic.softmax(logits))
    return np.stack(out, axis=1)


def dynamic_policies(
    transitions: Array, rewards: Array, weights: Array, steps: int, order: str = "backwards", stages_left: Array | None = None
) -> Array:
    """Stage policies (B, H, S, A) after `steps` steps of size 2/(H - h) in every epoch, from uniform ones.

    weights      (B, H, S): mu_h;  order "backwards" is dynamic policy gradient; "forwards" trains stage 0 first, which is not
    stages_left  (B, H): H - h, where it is not what the shape says"""
    stages = rewards.shape[1]
    left = stages - np.arange(stages) if stages_left is None else stages_left
    policies = arithmetic.softmax(rewards * 0)
    for h in reversed(range(stages)) if order == "backwards" else range(stages):
        actions = stage_values(policies, transitions, rewards)[1][:, h]
        logits = actions * 0
        for _ in range(steps):
            logits = logits + epoch_gradient(policies[:, h], actions, weights[:, h]) * (2 / left[..., h])[..., None, None]
            policies[:, h] = arithmetic.softmax(logits)
    return policies


def simultaneous_pg(problem: FiniteHorizon, step_size: float, iterations: int) -> tuple[Array, Array]:
    """Simultaneous softmax policy gradient from uniform policies: (stage policies (H, S, A), values J (iterations + 1,)).

    raises   ModelError: stages of different shapes, step_size not above 0, iterations below 0"""
    moves, paid, start = stacked(problem)
    if not step_size > 0 or iterations < 0:
        raise ModelError(f"step_size is {step_size!r} and iterations {iterations!r}; they must be above 0 and at least 0")
    path = simultaneous_policies(paid[None] * 0, moves[None], paid[None], start[None], step_size, iterations)[0]
    gains = [float(stage_values(p[None], moves[None], paid[None])[0][0, 0] @ start) for p in path]
    return path[-1], np.array(gains)


def dynamic_pg(problem: FiniteHorizon, iterations: int, weights: Any = None) -> Array:
    """Dynamic policy gradient: stage policies (H, S, A), each stage trained for `iterations` steps of size 2/(H - h), the last stage first.

    weights  (H, S) positive start distributions mu_h of the epochs; uniform if left out
    raises   ModelError: stages of different shapes, iterations below 1, a weight that is not positive"""
    moves, paid, _ = stacked(problem)
    if iterations < 1:
        raise ModelError(f"iterations is {iterations!r}; it must be at least 1")
    chosen = np.full(paid.shape[:2], 1 / paid.shape[1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if chosen.shape != paid.shape[:2] or not (chosen > 0).all():
        raise ModelError(f"weights must be positive and of shape {paid.shape[:2]}; they have shape {chosen.shape} and minimum {chosen.min():g}")
    return dynamic_policies(moves[None], paid[None], chosen[None], iterations)[0]


def stacked(problem: FiniteHorizon) -> tuple[Array, Array, Array]:
    """(H, S, A, S), (H, S, A), (S,) in floats; terminal rewards are paid on the way into the last state, the discount is folded in."""
    shapes = {stage.rewards.shape for stage in problem.stages}
    if len(shapes) > 1:
        raise ModelError(f"policy gradient takes stages of one shape; these have {', '.join(map(str, sorted(shapes)))} (states, actions)")
    gamma, last = float(problem.discount), len(problem.stages) - 1
    moves = np.stack([np.asarray(stage.transitions, dtype=np.float64) for stage in problem.stages])
    paid = np.stack([gamma**h * np.asarray(stage.rewards, dtype=np.float64) for h, stage in enumerate(problem.stages)])
    paid[last] += gamma ** (last + 1) * moves[last] @ np.asarray(problem.terminal, dtype=np.float64)
    return moves, paid, np.asarray(problem.start, dtype=np.float64)
