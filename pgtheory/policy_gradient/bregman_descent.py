"""Policy mirror descent with a Bregman divergence of any order, or of a potential of one's own.

    pi_+(. | s) = argmax_p  eta <Q(s, .), p> - B(p, pi(. | s)),      B(p, pi) = sum_a phi(p_a) - phi(pi_a) - phi'(pi_a)(p_a - pi_a)

    BregmanDescent      phi''(p) = p^(q - 2): q = 1 is KL, q = 2 half the squared distance, 0 < q < 1 or q > 1 Tsallis entropies, q = 0 log barrier
    PotentialDescent    a potential of one's own, by its slope phi' and the inverse of that slope

For q > 1 an action may reach probability 0 exactly and come back; for q <= 1 it never reaches 0, and a 0 at the start stays.  The maximiser is the
root of one equation a state: bisection in the plain step (`potentials`), Newton's iteration in the compiled one (`rows`); closed for q = 1 and 2.
Lan (2023); Xiao (2022), who states the rates for every Bregman divergence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational
from pgtheory import kernels
from pgtheory.arithmetic import advantages, policy_values
from pgtheory.compiled import kernel
from pgtheory.policies import direct
from pgtheory.policy_gradient.batched import Batched
from pgtheory.policy_gradient.loops import compiled_loop, everywhere, itself
from pgtheory.policy_gradient.method import Setting, check_rectangular
from pgtheory.policy_gradient.potentials import HALVINGS, bregman_argmax
from pgtheory.policy_gradient.rows import bregman_rows, tilted

Array = np.ndarray


@kernel
def _step(policy, P, r, gamma, mu, step_size, order):
    """The compiled form of `BregmanDescent.plain_step`."""
    gains = step_size * kernels.advantages(P, r, gamma, kernels.policy_values(policy, P, r, gamma))
    if order == 1.0:
        return tilted(policy, gains)
    if order == 2.0:
        return kernels.project_simplex(policy + gains)
    return bregman_rows(policy, gains, order)


_run = compiled_loop(_step, settings=2, shown=itself)


@dataclasses.dataclass(frozen=True)
class BregmanDescent(Batched):
    """Mirror descent with the potential of order q (`order`, a rational >= 0)."""

    step_size: Setting
    order: Any = "1/2"
    parameters = "policy"

    def __post_init__(self) -> None:
        if rational(self.order) < 0:
            raise ModelError(f"order is {self.order!r}; the potentials have orders >= 0 (1 is KL, 2 Euclidean)")

    @property
    def name(self) -> str:  # type: ignore[override]
        return "bregman-descent"

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("step_size",)

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, everywhere(float(fraction(rational(self.order))), arguments))

    def plain_step(self, policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, step_size: Any) -> Array:  # type: ignore[override]
        """argmax eta <A, p> - B(p, pi): a constant in a row changes nothing, so advantages serve."""
        values = policy_values(policy, transitions, rewards, discount)
        return bregman_argmax(policy, step_size * advantages(transitions, rewards, discount, values), self.order)


@dataclasses.dataclass(frozen=True)
class PotentialDescent:
    """Mirror descent with a potential of one's own; run it like any method of one's own (floats only).

    slope     phi', increasing, of arrays of probabilities (-inf at 0 is allowed)
    inverse   its inverse; arguments below phi'(0) mean probability 0 and are never passed on
    """

    step_size: float
    slope: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    name: str = "potential-descent"

    def start(self, mdp: MDP) -> Array:
        check_rectangular(mdp)
        return direct.uniform(mdp.num_states, mdp.num_actions)

    def step(self, policy: Array, mdp: MDP) -> Array:
        values = policy_values(policy, mdp.transitions, mdp.rewards, mdp.discount)
        gains = self.step_size * advantages(mdp.transitions, mdp.rewards, mdp.discount, values)
        with np.errstate(all="ignore"):
            high = self.slope(policy) + gains
            gaps = high.max(axis=1, keepdims=True) - high
            bottom = float(self.slope(np.zeros(1))[0])
            low, top = np.full((len(policy), 1), 1 / policy.shape[1]), np.ones((len(policy), 1))
            for _ in range(HALVINGS):
                middle = (low + top) / 2
                over = self._rows(middle, gaps, bottom).sum(axis=1, keepdims=True) >= 1
                low, top = np.where(over, low, middle), np.where(over, middle, top)
            found = self._rows(top, gaps, bottom)
        return found / found.sum(axis=1, keepdims=True)

    def _rows(self, level: Array, gaps: Array, bottom: float) -> Array:
        """p_a = inverse(slope(level) - gap_a): `potentials` for a potential of any kind."""
        at = self.slope(level) - gaps
        inside = at > bottom
        return np.where(inside, self.inverse(np.where(inside, at, self.slope(level))), 0.0)

    def policy(self, state: Array) -> Array:
        return state
