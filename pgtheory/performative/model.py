"""An environment that answers: deploying the occupancy d makes the model (P_d, r_d).

Occupancies here are not normalised: d(s, a) = sum_t gamma^t Pr(s_t = s, a_t = a), which sums to 1 / (1 - gamma) where nothing ends.  Rows of P may
sum to less than 1; what is missing ends the process.  Sensitivities are Lipschitz constants in the Euclidean norm of all entries:

    |r_d - r_d'| <= eps_r |d - d'|,      |P_d - P_d'| <= eps_p |d - d'|

`linear_response` has fixed transitions and r_d = r - M d, so eps_r is the largest singular value of M.  `seesaw` is the chain on which repeated
optimisation goes round for ever whatever the regulariser: one action, two states, both rows (q, 1 - q) with q = 3/2 - d(0).
Mandal, Triantafyllou, Radanovic (2023).  Derivation: docs/theory/performative.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP

Array = np.ndarray
ROUNDING = 1e-9
"""By how much rows and starts may exceed 1, or be negative."""


@dataclasses.dataclass(frozen=True)
class Performative:
    """An answering environment.

    respond    occupancy (S, A) -> (transitions (S, A, S), rewards (S, A));   discount in [0, 1);   start (S,)
    reward_sensitivity, transition_sensitivity   eps_r and eps_p; None where nobody knows
    raises     ModelError: a discount outside [0, 1), a start that is no distribution or sub-distribution"""

    respond: Callable[[Array], tuple[Array, Array]]
    discount: float
    start: Array
    num_actions: int
    reward_sensitivity: float | None = None
    transition_sensitivity: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise ModelError(f"discount is {self.discount}; it must lie in [0, 1)")
        start = np.asarray(self.start, dtype=np.float64)
        if start.ndim != 1 or (start < -ROUNDING).any() or not 0 < start.sum() <= 1 + ROUNDING:
            raise ModelError(f"start must be one distribution over the states; it has shape {start.shape} and sums to {start.sum():.12g}")
        object.__setattr__(self, "start", start)

    @property
    def shape(self) -> tuple[int, int]:
        return self.start.size, self.num_actions

    def answer(self, occupancy: Any) -> tuple[Array, Array]:
        """(P_d (S, A, S), r_d (S, A)), checked.

        raises   ModelError: an occupancy or an answer of the wrong shape, with NaN, or with rows that are no (sub-)distributions"""
        deployed = np.asarray(occupancy, dtype=np.float64)
        if deployed.shape != self.shape:
            raise ModelError(f"the occupancy has shape {deployed.shape}; it must be {self.shape}")
        if not np.isfinite(deployed).all():
            raise ModelError("the occupancy holds NaN or infinity")
        transitions, rewards = (np.asarray(x, dtype=np.float64) for x in self.respond(deployed))
        check_answer(transitions, rewards, self.shape)
        return transitions, rewards


def check_answer(transitions: Array, rewards: Array, shape: tuple[int, int]) -> None:
    """Raises ModelError where the arrays are no model with (S, A) = shape; names the first bad row."""
    if transitions.shape != (*shape, shape[0]) or rewards.shape != shape:
        raise ModelError(f"transitions {transitions.shape} and rewards {rewards.shape} must be {(*shape, shape[0])} and {shape}")
    if not np.isfinite(rewards).all():
        s, a = np.argwhere(~np.isfinite(rewards))[0]
        raise ModelError(f"rewards[{s}, {a}] is {rewards[s, a]}")
    sums = transitions.sum(axis=-1)
    bad = ~(sums <= 1 + ROUNDING) | ~(transitions >= -ROUNDING).all(axis=-1)
    if bad.any():
        s, a = np.argwhere(bad)[0]
        low = transitions[s, a].min()
        raise ModelError(f"transitions[{s}, {a}] sums to {sums[s, a]:.12g} with least entry {low:.3g}: no distribution, nor part of one")


def policy_of(occupancy: Array) -> Array:
    """(S, A): d(s, a) / d(s); uniform in states that are never visited."""
    visits = occupancy.sum(axis=-1, keepdims=True)
    return np.where(visits > 0, occupancy / np.where(visits > 0, visits, 1), 1 / occupancy.shape[-1])


def occupancy_of(policy: Array, transitions: Array, discount: float, start: Array) -> Array:
    """(S, A): d(s, a) = x(s) pi(a|s) with x = start + gamma P_pi' x, not normalised."""
    chain = np.einsum("sa,sat->st", policy, transitions)
    return np.linalg.solve(np.eye(len(start)) - discount * chain.T, start)[:, None] * policy


def linear_response(mdp: MDP, matrix: Any) -> Performative:
    """The model with its own transitions and r_d = r - M d.

    matrix   (S A, S A), or a number eps for M = eps I: what is done more often pays less
    raises   ModelError: a matrix of another shape, states with different numbers of actions"""
    if not mdp.is_rectangular:
        raise ModelError("the states have different numbers of actions: an answering model needs the same in every state")
    size, given = mdp.num_states * mdp.num_actions, np.asarray(matrix, dtype=np.float64)
    slope = float(given) * np.eye(size) if given.ndim == 0 else given
    if slope.shape != (size, size) or not np.isfinite(slope).all():
        raise ModelError(f"matrix has shape {slope.shape}; it must be {(size, size)} and finite")
    transitions, rewards = np.asarray(mdp.float.transitions), np.asarray(mdp.float.rewards)

    def respond(occupancy: Array) -> tuple[Array, Array]:
        return transitions, rewards - (slope @ occupancy.reshape(-1)).reshape(rewards.shape)

    steepest = float(np.linalg.norm(slope, 2))
    start = np.asarray(mdp.float.start)
    return Performative(respond, float(mdp.discount), start, rewards.shape[1], steepest, 0.0, f"answering {mdp.name or 'model'}")


def seesaw() -> Performative:
    """One action, two states, gamma = 1/2, start (1/2, 1/2), both rows (q, 1 - q) with q = 3/2 - d(0) clipped to [0, 1]: d(0) -> 2 - d(0).

    On occupancies, which sum to 2, |P_d - P_d'| = 2 |d(0) - d'(0)| = sqrt(2) |d - d'|."""

    def respond(occupancy: Array) -> tuple[Array, Array]:
        q = min(max(1.5 - occupancy[0, 0], 0.0), 1.0)
        return np.array([[[q, 1 - q]], [[q, 1 - q]]]), np.zeros((2, 1))

    return Performative(respond, 0.5, np.array([0.5, 0.5]), 1, 0.0, float(np.sqrt(2)), "seesaw")
