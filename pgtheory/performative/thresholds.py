"""When does retraining settle, and where?  Constants of docs/theory/performative.md.

    fixed P, |r_d - r_d'| <= eps |d - d'|
        repeated optimisation     |d_{t+1} - d'_{t+1}| <= (eps / lam) |d_t - d'_t|
        repeated gradient ascent  |d_{t+1} - d'_{t+1}| <= (|1 - eta lam| + eta eps) |d_t - d'_t|
        answers that are wrong by at most e (Euclidean)      limsup |d_t - d_S| <= e / (lam - eps)
    one action, rows of P that sum to 1, |P_d - P_d'| <= eps_p |d - d'|
        |d_{t+1} - d'_{t+1}| <= gamma sqrt(S/2) eps_p / (1 - gamma)^2 |d_t - d'_t|,     whatever the regulariser
    P that answers, more actions: no factor is promised, however large lam (`contraction_factor` raises)

Two arms, r_d = (a, 0) - eps d, D = d_1 - d_2:   stable  D = min(1, a / (lam + eps)),   optimal  D = min(1, a / (lam + 2 eps)),   a, eps >= 0.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.performative.model import Performative
from pgtheory.performative.program import check_regularisation


def contraction_factor(model: Performative, regularisation: float) -> float:
    """eps_r / lam: repeated optimisation converges where it is below 1.

    raises   ModelError: sensitivities that nobody knows, transitions that answer (then no lam is enough)"""
    check_regularisation(regularisation)
    return _reward_sensitivity(model) / regularisation


def gradient_factor(model: Performative, regularisation: float, step_size: float) -> float:
    """|1 - eta lam| + eta eps_r."""
    check_regularisation(regularisation)
    return abs(1 - step_size * regularisation) + step_size * _reward_sensitivity(model)


def _reward_sensitivity(model: Performative) -> float:
    if model.reward_sensitivity is None or model.transition_sensitivity is None:
        raise ModelError("the model does not say how strongly it answers: give reward_sensitivity and transition_sensitivity")
    if model.transition_sensitivity > 0:
        raise ModelError(
            f"the transitions answer (transition_sensitivity {model.transition_sensitivity:g}): the regulariser does not damp that, no value of it "
            "promises convergence; with one action see drift_factor"
        )
    return model.reward_sensitivity


def drift_factor(discount: float, num_states: int, transition_sensitivity: float) -> float:
    """gamma sqrt(S/2) eps_p / (1 - gamma)^2: contraction of the occupancy of one policy whose chain answers (0 with one state).

    transition_sensitivity   eps_p: how far the transitions move for one unit of occupancy
    For rows that sum to 1.  Where part of a row ends the process the totals of the occupancies differ too, and only
    gamma sqrt(S) eps_p / (1 - gamma)^2 is promised."""
    if num_states < 2:
        return 0.0
    return float(discount * np.sqrt(num_states / 2) * transition_sensitivity / (1 - discount) ** 2)


def recalled_threshold(num_states: int, discount: float, reward_sensitivity: float, transition_sensitivity: float) -> float:
    """12 S^(3/2) (2 eps_r + 5 S eps_p) / (1 - gamma)^4: the regulariser above which the published theorem, as recalled, promises convergence.

    reward_sensitivity, transition_sensitivity   eps_r, eps_p
    It does so with fixed transitions; with transitions that answer, `model.seesaw` goes round for ever above it."""
    return float(12 * num_states**1.5 * (2 * reward_sensitivity + 5 * num_states * transition_sensitivity) / (1 - discount) ** 4)


def noise_floor(reward_sensitivity: float, regularisation: float, error: float) -> float:
    """e / (lam - eps): how far from the stable occupancy answers that are wrong by at most e (Euclidean) can keep repeated optimisation.

    reward_sensitivity   eps;  regularisation   lam;  error   e
    raises   ModelError: eps >= lam, where there is no such radius"""
    if reward_sensitivity >= regularisation:
        raise ModelError(f"reward_sensitivity {reward_sensitivity:g} is not below the regularisation {regularisation:g}: nothing is promised")
    return error / (regularisation - reward_sensitivity)


@dataclasses.dataclass(frozen=True)
class LinearBandit:
    """Two arms, r_d = (bonus, 0) - response d, objective <d, r_d> - (lam / 2) |d|^2; exact where given exactly.  Occupancies are (d_1, d_2)."""

    bonus: Any
    response: Any
    regularisation: Any

    def __post_init__(self) -> None:
        if not self.regularisation > 0 or not self.response >= 0 or not self.bonus >= 0:
            raise ModelError(f"bonus {self.bonus}, response {self.response} must not be negative, regularisation {self.regularisation} positive")

    def stable(self) -> tuple[Any, Any]:
        """The fixed point of repeated optimisation."""
        return self._split(self.regularisation + self.response)

    def optimal(self) -> tuple[Any, Any]:
        """The best occupancy when the answer is foreseen."""
        return self._split(self.regularisation + 2 * self.response)

    def _split(self, damping: Any) -> tuple[Any, Any]:
        apart = self.bonus / damping
        apart = apart if apart < 1 else apart / apart
        return (1 + apart) / 2, (1 - apart) / 2

    def objective(self, occupancy: Any) -> Any:
        """<d, r_d> - (lam / 2) |d|^2."""
        first, second = occupancy
        square = first * first + second * second
        return self.bonus * first - (self.response + self.regularisation / 2) * square
