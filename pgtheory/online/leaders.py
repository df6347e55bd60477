"""Regularised leaders in every state: policy optimisation that needs no stochastic rewards, and is told nothing but what it was paid.

Episode k = 1, 2, ...; losses 1 - r, m_h = H - h.  u_k(s) is the probability of meeting s at its step under pi_k, with known transitions exactly;
otherwise u_k in [low_k, high_k] over an L1 confidence set, w = high - low and u is replaced by high (with known transitions w = 0).

    L_hat(s, a) = 1{s, a met} (losses from there on) / (u(s) p_a + g_k)                                       p = pi_k(. | s)
    b(s)   = sum_a p_a m (w p_a + g_k + c eta_k m phi(p_a)) / (u(s) p_a + g_k)
    B(s,a) = b(s) + (1 + 1/H) max_P E_{s' ~ P, a' ~ pi_k} B(s', a')                                           the dilated bonus
    pi_{k+1}(. | s) = argmin_p <p, sum_{j <= k} (L_hat_j - B_j)> + psi(p) / eta_{k+1}

                   psi(p)              phi(p)   c    spread D of psi                              sum phi <= F
    shannon        sum p log p         1        1    log A                                        A
    tsallis        -2 sum sqrt p       sqrt p   2    2 sqrt A - 2                                 sqrt A
    log-barrier    -sum log p          p        1    (A - 1) log T, at a comparator mixed by 1/T  1

    eta_k = min(f sqrt(H D / (2 e S c F M2)) / sqrt k, 1 / (4 e H M1)),   g_k = 4 e H c M2 eta_k^2,   M1 = sum m_h, M2 = sum m_h^2

The estimate leans to small losses by g and w; b pays for that and for the leaders' stability, B hands the price on to the states before, so that
states which the best policy meets more often than pi_k does cost nothing.  For any rewards in [0, 1] that were fixed in advance, noise allowed,

    E Regret_T <= H D / eta_T + e S (c F M2 sum_{k<=T} eta_k + A M1 sum_{k<=T} g_k)
                  + e S (H^3 - H) / 3 (S A + 2 sqrt(2 iota S A T)) + delta K H         unknown transitions only
                  + M1 + 1 / (2 eta_T)                                                 log-barrier only

docs/theory/online.md derives it.  For rewards that do not change nothing better is proved here: the logarithmic regret of Jin and Luo (2020) and of
Dann, Wei and Zimmert (2023) needs steps that adapt to the visits.

sources  Luo, Wei and Lee (2021) for dilated bonuses; Dann, Wei and Zimmert (2023) for the three regularisers; as recalled, constants derived here
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory.online.confidence import largest_mean, visit_bounds
from pgtheory.online.counts import Model, Widths, add, empty_model
from pgtheory.online.guarantees import Guarantee, log_l1, visited
from pgtheory.online.optimistic import softmax
from pgtheory.online.planning import expected, visits
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Told
from pgtheory.sampling.bandits import POTENTIALS, weights_of

Array = np.ndarray


@dataclasses.dataclass(eq=False)
class Lead:
    """losses (N, H, S, A): sums of estimates less bonuses; model: counts, where transitions are not known."""

    losses: Array
    model: Model | None
    told: Told
    steps: Array


@dataclasses.dataclass(frozen=True)
class RegularisedLeaders:
    """Follow the regularised leader in every state, with dilated bonuses (module docstring).

    potential    "shannon", "tsallis" or "log-barrier"
    transitions  "known" or "unknown"
    step_size    f > 0
    bonus        factor of b, at least 0; with 0 there is no bonus and no cap on eta
    exploration  factor of g_k, above 0
    delta        probability that a confidence set fails; None: 1 / (K H)
    guarantee    module docstring, with exploration times g_k; none where bonus is not 1 or exploration is below 1
    """

    potential: str = "tsallis"
    transitions: str = "known"
    step_size: float = 1.0
    bonus: float = 1.0
    exploration: float = 1.0
    delta: float | None = None
    name: ClassVar[str] = "leaders"

    def __post_init__(self) -> None:
        if self.potential not in POTENTIALS:
            raise ModelError(f"potential is {self.potential!r}; it is one of {', '.join(POTENTIALS)}.{nearest(str(self.potential), POTENTIALS)}")
        if self.transitions not in ("known", "unknown"):
            raise ModelError(f"transitions is {self.transitions!r}; it is 'known' or 'unknown'")
        for key in ("step_size", "exploration"):
            if not (float(getattr(self, key)) > 0 and np.isfinite(getattr(self, key))):
                raise ModelError(f"{key} is {getattr(self, key)}; it must be a finite number above 0")
        if not (float(self.bonus) >= 0 and np.isfinite(self.bonus)):
            raise ModelError(f"the factor of the bonus is {self.bonus}; it must be a finite number, at least 0")
        if self.delta is not None and not 0 < float(self.delta) < 1:
            raise ModelError(f"delta is {self.delta}; it must lie strictly between 0 and 1")

    @property
    def knows(self) -> frozenset[str]:
        return frozenset({"transitions"}) if self.transitions == "known" else frozenset()

    @property
    def stability(self) -> float:
        """c."""
        return 2.0 if self.potential == "tsallis" else 1.0

    def spread(self, actions: int, times: Array | float) -> Array:
        """D after T episodes."""
        constant = {"shannon": np.log(actions), "tsallis": 2 * np.sqrt(actions) - 2}
        return np.asarray((actions - 1) * np.log(times) if self.potential == "log-barrier" else constant[self.potential] + 0.0 * np.asarray(times))

    def mass(self, actions: int) -> float:
        """F: the largest sum of phi over the actions."""
        return {"shannon": float(actions), "tsallis": float(np.sqrt(actions)), "log-barrier": 1.0}[self.potential]

    def steps(self, told: Told) -> Array:
        """(K + 1,): eta_1 .. eta_{K + 1}."""
        H, S, A = told.shape
        first, second = _moments(H)
        spread = float(self.spread(A, max(told.episodes, 2))) if A > 1 else 1.0  # one action: any step serves
        best = np.sqrt(H * spread / (2 * np.e * S * self.stability * self.mass(A) * second))
        eta = self.step_size * best / np.sqrt(np.arange(1.0, told.episodes + 2))
        return eta if self.bonus == 0 else np.minimum(eta, 1 / (4 * np.e * H * first))

    def explorations(self, told: Told, steps: Array) -> Array:
        """g_k for each eta_k."""
        H = told.shape[0]
        return self.exploration * 4 * np.e * H * self.stability * _moments(H)[1] * steps**2

    def start(self, told: Told, runs: int) -> Lead:
        H, S, A = told.shape
        model = None
        if told.transitions is None:
            model = empty_model(told, runs, Widths(log_l1(told.shape, told.episodes, self.failure(told)), 0.0, 1.0, "known"), "every")
        return Lead(np.zeros((runs, H, S, A)), model, told, self.steps(told))

    def failure(self, told: Told) -> float:
        """delta."""
        return float(self.delta) if self.delta is not None else 1.0 / (told.episodes * told.shape[0])

    def plan(self, state: Lead, k: int) -> Plan:
        return Plan(leader(state.losses, float(state.steps[k]), self.potential))

    def update(self, state: Lead, k: int, plan: Plan, episode: Episode) -> Lead:
        policies, told = plan.policies, state.told
        n, H, _, _ = policies.shape
        m, every = np.arange(H, 0, -1.0), np.arange(n)
        eta = state.steps[k]
        extra = float(self.explorations(told, eta))
        if told.transitions is not None:
            moves, radius = told.transitions[None], None
            low = high = visits(moves, policies, told.start)
        else:
            moves, radius = confidence_set(state.model)
            low, high = visit_bounds(moves, radius, policies, told.start)
        share = high[..., None] * policies + extra
        to_go = np.cumsum((1.0 - episode.rewards)[:, ::-1], axis=1)[:, ::-1]
        phi = {"shannon": np.ones_like(policies), "tsallis": np.sqrt(policies), "log-barrier": policies}[self.potential]
        price = (high - low)[..., None] * policies + extra + self.stability * eta * m[:, None, None] * phi
        b = self.bonus * (policies * m[:, None, None] * price / share).sum(axis=-1)
        later = np.zeros_like(b[:, 0])
        for h in reversed(range(H)):
            if radius is None:
                after = expected(moves[:, h], later)
            else:
                after = largest_mean(moves[:, h], radius[:, h], later[:, None])[:, 0]
            B = b[:, h, :, None] + (1 + 1 / H) * after
            state.losses[:, h] -= B
            later = (policies[:, h] * B).sum(axis=-1)
            s, a = episode.states[:, h], episode.actions[:, h]
            state.losses[every, h, s, a] += to_go[:, h] / share[every, h, s, a]
        if state.model is not None:
            add(state.model, episode.states, episode.actions, episode.rewards)
        return state

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        if self.bonus != 1 or self.exploration < 1:
            return None
        H, S, A = told.shape
        first, second = _moments(H)
        eta = self.steps(told)
        sums, extras, last = np.cumsum(eta)[times - 1], np.cumsum(self.explorations(told, eta))[times - 1], eta[times - 1]
        total = H * self.spread(A, times) / last + np.e * S * (self.stability * self.mass(A) * second * sums + A * first * extras)
        if self.potential == "log-barrier":
            total = total + first + 1 / (2 * last)
        if self.transitions == "unknown":
            log, failed = log_l1(told.shape, told.episodes, self.failure(told)), self.failure(told) * told.episodes * H
            total = total + np.e * S * (H**3 - H) / 3 * visited(told.shape, times, log) + failed
        return Guarantee(total, f"expected regret against the best fixed policy, any rewards; {self.potential}, transitions {self.transitions}")


def leader(losses: Array, eta: float, potential: str) -> Array:
    """argmin_p <p, losses> + psi(p) / eta over the last axis."""
    above = losses - losses.min(axis=-1, keepdims=True)
    if potential == "shannon":
        return softmax(-eta * above)
    rows = above.reshape(-1, above.shape[-1])
    # `weights_of` has psi = -4 sum sqrt p: its eta is twice ours
    w = weights_of(rows, 2 * eta, 2) if potential == "tsallis" else weights_of(rows, eta, 1)
    return np.asarray((w / w.sum(axis=-1, keepdims=True)).reshape(losses.shape))


def confidence_set(model: Model | None) -> tuple[Array, Array]:
    """(P_hat, radius sqrt(2 iota / n)) of the counts; uniform with radius 2 where nothing was seen."""
    assert model is not None
    S = model.estimate.shape[-1]
    seen = model.visits > 0
    radius = np.where(seen, np.minimum(2.0, np.sqrt(2 * model.widths.log / np.maximum(model.visits, 1.0))), 2.0)
    return np.where(seen[..., None], model.estimate, 1.0 / S), radius


def _moments(horizon: int) -> tuple[float, float]:
    """(M1, M2): sums of m and m^2 for m = 1 .. H."""
    return horizon * (horizon + 1) / 2, horizon * (horizon + 1) * (2 * horizon + 1) / 6
