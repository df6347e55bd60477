"""Repeated retraining: deploy, look at the answer, retrain.

    optimisation       d_{t+1} = argmax over the occupancies of P_t of <d, r_t> - (lam / 2) |d|^2
    gradient ascent    d_{t+1} = projection on the occupancies of P_t of (1 - eta lam) d_t + eta r_t

where (P_t, r_t) is the answer to d_t, exact or estimated from n trajectories.  With P fixed and |r_d - r_d'| <= eps |d - d'| the first contracts
by eps / lam and the second by |1 - eta lam| + eta eps (`thresholds`); with P that answers no regulariser promises convergence (`model.seesaw`).  A
fixed point is performatively stable; it is not what a planner who knows the answer would choose (`program.performative_optimum`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.performative.model import Performative, occupancy_of, policy_of
from pgtheory.performative.program import best_occupancy, best_occupancy_program, check_regularisation, project_occupancy
from pgtheory.performative.samples import estimate

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Path:
    """occupancies (T + 1, S, A); changes (T,), |d_{t+1} - d_t| / |d_t|; rewards (T,), <d_{t+1}, r_t> in the true answer that d_{t+1} was made for."""

    occupancies: Array
    changes: Array
    rewards: Array

    @property
    def policy(self) -> Array:
        """The last policy, (S, A)."""
        return policy_of(self.occupancies[-1])

    @property
    def factors(self) -> Array:
        """(T - 1,): how much each step is shorter than the one before (NaN once nothing moves)."""
        steps = np.sqrt((np.diff(self.occupancies, axis=0) ** 2).sum(axis=(1, 2)))
        return np.divide(steps[1:], steps[:-1], out=np.full(max(len(steps) - 1, 0), np.nan), where=steps[:-1] > 0)


def repeated_optimisation(
    model: Performative,
    regularisation: float,
    iterations: int,
    start: Any = None,
    *,
    solver: str = "newton",
    samples: int | None = None,
    seed: Any = 0,
) -> Path:
    """Repeated optimisation.

    start     the first policy (S, A), deployed in the answer to itself; uniform if left out
    solver    "newton" (the dual, to rounding) or "program" (Clarabel)
    samples   number of trajectories from which each answer is estimated; exact if left out
    raises    ModelError: a regularisation that is not positive, an unknown solver, a first policy that is none, negative counts"""
    check_regularisation(regularisation)
    if solver not in ("newton", "program"):
        raise ModelError(f"solver is {solver!r}; it must be 'newton' or 'program'")

    def step(_: Array, transitions: Array, rewards: Array) -> Array:
        if solver == "program":
            return np.maximum(best_occupancy_program(transitions, rewards, model.discount, model.start, regularisation), 0.0)
        return best_occupancy(transitions, rewards, model.discount, model.start, regularisation).occupancy

    return _repeat(model, step, iterations, start, samples, seed)


def repeated_gradient_ascent(
    model: Performative,
    regularisation: float,
    step_size: float,
    iterations: int,
    start: Any = None,
    *,
    samples: int | None = None,
    seed: Any = 0,
) -> Path:
    """Repeated gradient ascent on the occupancy; with step size 1 / lam it is repeated optimisation.

    raises    ModelError: as `repeated_optimisation`; a negative step size"""
    check_regularisation(regularisation)
    if not step_size >= 0 or not np.isfinite(step_size):
        raise ModelError(f"step_size is {step_size}; it must not be negative")

    def step(deployed: Array, transitions: Array, rewards: Array) -> Array:
        target = (1 - step_size * regularisation) * deployed + step_size * rewards
        return project_occupancy(target, transitions, model.discount, model.start)

    return _repeat(model, step, iterations, start, samples, seed)


def _repeat(model: Performative, step: Callable[[Array, Array, Array], Array], iterations: int, start: Any, samples: int | None, seed: Any) -> Path:
    if iterations < 0:
        raise ModelError(f"iterations is {iterations}; it must not be negative")
    policy = np.full(model.shape, 1 / model.num_actions) if start is None else np.asarray(start, dtype=np.float64)
    if policy.shape != model.shape or (policy < 0).any() or not np.allclose(policy.sum(axis=-1), 1):
        raise ModelError(f"start must be a policy of shape {model.shape} with rows that sum to 1")
    generator = np.random.default_rng(seed)
    # The answer may look at the size of the visits: the first occupancy is that of the policy in the answer to its own rows
    transitions, rewards = model.answer(policy)
    occupancy = occupancy_of(policy, transitions, model.discount, model.start)
    transitions, rewards = model.answer(occupancy)
    found, changes, gained = [occupancy], [], []
    for _ in range(iterations):
        seen = (transitions, rewards)
        if samples is not None:
            seen = estimate(transitions, rewards, model.start, policy_of(occupancy), samples, generator).model
        new = step(occupancy, *seen)
        changes.append(np.linalg.norm(new - occupancy) / np.linalg.norm(occupancy))
        gained.append((new * rewards).sum())
        occupancy = new
        found.append(occupancy)
        transitions, rewards = model.answer(occupancy)
    return Path(np.stack(found), np.array(changes, dtype=np.float64), np.array(gained, dtype=np.float64))


def unrest(model: Performative, regularisation: float, occupancy: Any) -> float:
    """|T(d) - d|, T one step of repeated optimisation: 0 exactly where d is performatively stable.

    occupancy   d (S, A)
    """
    deployed = np.asarray(occupancy, dtype=np.float64)
    transitions, rewards = model.answer(deployed)
    best = best_occupancy(transitions, rewards, model.discount, model.start, regularisation)
    return float(np.linalg.norm(best.occupancy - deployed))
