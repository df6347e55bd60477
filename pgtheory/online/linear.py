"""Policy optimisation with linear features: least squares for the next values, an elliptical bonus, exponential weights.

    P_h(s' | s, a) = phi(s, a) . mu_h(s'),      |phi| <= 1,      |sum_s' mu_h(s') V(s')| <= R max V for 0 <= V

For each step h, with the pairs met so far:

    Lambda = ridge I + sum phi phi^T,     P_hat V = phi^T Lambda^-1 sum phi V(s'),     bonus = beta_h |phi|_{Lambda^-1}
    beta_h = (c_h / 2) sqrt(d log(1 + K / (d ridge)) + 2 S log 2 + 2 log(H / delta)) + sqrt(ridge) R c_h,      c_h = H - 1 - h

and then as `OptimisticNPG`.  The set holds for all V in [0, c_h]^S at once: the error is convex in V, so the worst one is a vertex, and 2^S vertices
need 2^S self-normalised bounds (Abbasi-Yadkori, Pal and Szepesvari 2011).  With potential D = 2 d log(1 + T / (d ridge)),

    E Regret_T <= (exponential weights, as for OptimisticNPG) + sum_h 2 beta_h sqrt(T D) + delta K H

and sqrt 2 times the middle term where the critic is refreshed only once a determinant has doubled, at most H d log2(1 + K / (d ridge)) times.  With
inner = I > 0 a policy is searched inside the fitted model at each refresh (`low_switching.py`) and played until the next, so that policies change as
rarely as the determinants double; the first term is then T (H (H + 1) / 2) sqrt(log A / (2 I)).  The
term 2 S log 2 is the price of a union over values; the rates in the literature, without S, come from coverings whose constants are not derived here.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.online.counts import checked_refresh
from pgtheory.online.guarantees import Guarantee, hedged, ranges
from pgtheory.online.low_switching import checked_inner, search_error, search_steps, searched
from pgtheory.online.optimistic import exponential_steps, softmax
from pgtheory.online.planning import optimistic_values
from pgtheory.online.runner import Episode, Plan
from pgtheory.online.task import Episodic, Told

Array = np.ndarray
MOST_VERTICES = 12
"""Up to so many states the largest |sum mu V| is found among all 2^S vertices; above, it is bounded by the sum of the |mu(s')|."""


@dataclasses.dataclass(eq=False)
class Fitted:
    """gram (N, H, d, d) and targets (N, H, d, S); estimate (N, H, S, A, S) and width (N, H, S, A) of the last refresh; logits (N, H, S, A);
    held (N, H, S, A), where policies are searched: the one that is played."""

    features: Array
    gram: Array
    targets: Array
    estimate: Array
    width: Array
    volume: Array
    logits: Array
    told: Told
    steps: Array
    betas: Array
    held: Array | None = None


@dataclasses.dataclass(frozen=True)
class LinearNPG:
    """Exponential weights on optimistic action values that are linear in features (module docstring).

    features   (S, A, d), or the name of an .npy file of it, or "one-hot": a feature for each pair
    ridge      > 0;  radius R > 0, None: sqrt d
    scale      factor of the bonus, at least 0;  step_size factor of the steps;  delta as for the other learners
    refresh    "every" episode, or at a "doubling" of a determinant
    rewards    "known" beforehand, or "revealed" after each episode
    inner      0: one step of the weights an episode; I > 0: searches of I steps at the refreshes, for known rewards
    guarantee  module docstring; none where scale is not 1, or the transitions of the task are not linear in the features within the radius
    source     Jin, Yang, Wang and Jordan (2020), Cai, Yang, Jin and Wang (2020), as recalled; constants derived in docs/theory/online.md
    """

    features: Any = "one-hot"
    ridge: float = 1.0
    radius: float | None = None
    scale: float = 1.0
    step_size: float = 1.0
    delta: float | None = None
    refresh: str = "every"
    rewards: str = "known"
    inner: int = 0
    name: ClassVar[str] = "linear-npg"

    def __post_init__(self) -> None:
        for key in ("ridge", "step_size", "radius"):
            value = getattr(self, key)
            if value is not None and not (float(value) > 0 and np.isfinite(value)):
                raise ModelError(f"{key} is {value}; it must be a finite number above 0")
        if not (float(self.scale) >= 0 and np.isfinite(self.scale)):
            raise ModelError(f"the scale of the bonus is {self.scale}; it must be a finite number, at least 0")
        if self.delta is not None and not 0 < float(self.delta) < 1:
            raise ModelError(f"delta is {self.delta}; it must lie strictly between 0 and 1")
        if self.rewards not in ("known", "revealed"):
            raise ModelError(f"rewards is {self.rewards!r}; it is 'known' or 'revealed'")
        checked_refresh(self.refresh)
        if checked_inner(self.inner, 0) and self.rewards != "known":
            raise ModelError("a search inside the model needs rewards that are known: leave inner at 0, or give rewards='known'")

    @property
    def knows(self) -> frozenset[str]:
        return frozenset({"rewards"}) if self.rewards == "known" else frozenset()

    def failure(self, told: Told) -> float:
        """delta."""
        return float(self.delta) if self.delta is not None else 1.0 / (told.episodes * told.shape[0])

    def table(self, shape: tuple[int, int, int]) -> Array:
        """(S, A, d).  raises ModelError: another shape, a figure that is not finite, a feature longer than 1, with its place"""
        _, S, A = shape
        if isinstance(self.features, str):
            if self.features == "one-hot":
                return np.eye(S * A).reshape(S, A, S * A)
            return checked_features(_loaded(self.features), S, A)
        return checked_features(self.features, S, A)

    def betas(self, told: Told, dimension: int) -> Array:
        """(H,): beta_h."""
        H, S, _ = told.shape
        width = self.radius if self.radius is not None else np.sqrt(dimension)
        log = dimension * np.log1p(told.episodes / (dimension * self.ridge)) + 2 * S * np.log(2) + 2 * np.log(H / self.failure(told))
        return np.asarray(ranges(told.shape) * (np.sqrt(log) / 2 + np.sqrt(self.ridge) * width))

    def start(self, told: Told, runs: int) -> Fitted:
        if self.rewards == "revealed" and not told.revealed:
            raise ModelError("rewards are not revealed after the episodes here: linear-npg needs them known or revealed")
        H, S, A = told.shape
        features = self.table(told.shape)
        d = features.shape[2]
        gram = np.broadcast_to(self.ridge * np.eye(d), (runs, H, d, d)).copy()
        state = Fitted(
            features,
            gram,
            np.zeros((runs, H, d, S)),
            np.zeros((runs, H, S, A, S)),
            np.zeros((runs, H, S, A)),
            np.full((runs, H), d * np.log(self.ridge)),
            np.zeros((runs, H, S, A)),
            told,
            exponential_steps(told, self.step_size),
            self.betas(told, d),
        )
        if self.inner:
            state.steps, state.held = search_steps(told, self.inner), np.zeros((runs, H, S, A))
        self._refit(state, np.arange(runs))
        return state

    def plan(self, state: Fitted, k: int) -> Plan:
        return Plan(softmax(state.logits) if state.held is None else state.held)

    def update(self, state: Fitted, k: int, plan: Plan, episode: Episode) -> Fitted:
        if state.held is None:
            known = state.told.rewards if episode.table is None else episode.table
            rewards = np.broadcast_to(known, plan.policies.shape)  # type: ignore[arg-type]
            Q, _, _ = optimistic_values(rewards, state.estimate, self._bonus(state.betas, state.width), plan.policies)
            state.logits += state.steps[:, None, None] * Q
        n, H = episode.actions.shape
        every, due = np.arange(n), np.zeros(n, dtype=bool)
        for h in range(H):
            phi = state.features[episode.states[:, h], episode.actions[:, h]]
            state.gram[:, h] += phi[:, :, None] * phi[:, None, :]
            state.targets[every, h, :, episode.states[:, h + 1]] += phi
            if self.refresh == "doubling":
                due |= np.linalg.slogdet(state.gram[:, h])[1] > state.volume[:, h] + np.log(2)
        self._refit(state, every if self.refresh == "every" else np.flatnonzero(due))
        return state

    def _bonus(self, betas: Array, width: Array) -> Array:
        return np.asarray(self.scale * betas[:, None, None] * width)

    def _refit(self, state: Fitted, due: Array) -> None:
        """Least squares, widths and, where they are searched, policies of the runs `due`."""
        if not due.size:
            return
        _least_squares(state, due)
        if state.held is not None:
            bonus = self._bonus(state.betas, state.width[due])
            rewards = np.broadcast_to(state.told.rewards, bonus.shape)  # type: ignore[arg-type]
            state.held[due] = searched(rewards, state.estimate[due], bonus, state.told.start, state.steps)

    def assumption(self, task: Episodic) -> str:
        """Why the task is not linear in the features within the radius; empty where it is."""
        features = self.table(task.shape)
        residual, needed = linear_fit(task, features)
        have = self.radius if self.radius is not None else float(np.sqrt(features.shape[2]))
        if residual > 1e-9:
            return f"the transitions are not linear in the features: the best fit is off by {residual:.2g}"
        return f"the transitions need radius {needed:.4g}, above {have:.4g}" if needed > have * (1 + 1e-9) else ""

    def guarantee(self, told: Told, times: Array) -> Guarantee | None:
        if self.scale != 1:
            return None
        d = self.table(told.shape).shape[2]
        potential = 2 * d * np.log1p(times / (d * self.ridge))
        stale = np.sqrt(2.0) if self.refresh == "doubling" else 1.0
        leaders = times * search_error(told.shape, self.inner) if self.inner else hedged(told.shape, told.episodes, times, float(self.step_size))
        total = leaders + 2 * stale * self.betas(told, d).sum() * np.sqrt(times * potential) + self.failure(told) * told.episodes * told.shape[0]
        return Guarantee(total, f"expected regret, transitions linear in {d} features")


def _least_squares(state: Fitted, due: Array) -> None:
    """Estimates, widths and determinants of the runs `due`."""
    gram, H = state.gram[due], state.gram.shape[1]
    S, A, d = state.features.shape
    flat = state.features.reshape(S * A, d)
    solved = np.linalg.solve(gram, np.broadcast_to(flat.T, (len(due), H, d, S * A)))  # Lambda^-1 phi, a column a pair
    state.estimate[due] = np.matmul(np.swapaxes(solved, -1, -2), state.targets[due]).reshape(len(due), H, S, A, -1)
    state.width[due] = np.sqrt(np.maximum((solved * flat.T).sum(axis=-2), 0.0)).reshape(len(due), H, S, A)
    state.volume[due] = np.linalg.slogdet(gram)[1]


def checked_features(features: Any, states: int, actions: int) -> Array:
    """The features as (S, A, d) floats.  raises ModelError: shape, a figure that is not finite, a length above 1, with its place"""
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 3 or table.shape[:2] != (states, actions) or table.shape[2] == 0:
        raise ModelError(f"features have shape {table.shape}; they must be (states, actions, dimension) = ({states}, {actions}, d)")
    if not np.isfinite(table).all():
        s, a, i = (int(k) for k in np.argwhere(~np.isfinite(table))[0])
        raise ModelError(f"features[{s}, {a}, {i}] is {table[s, a, i]}; it must be a finite number")
    length = np.sqrt((table**2).sum(axis=2))
    if length.max() > 1 + 1e-12:
        s, a = (int(k) for k in np.unravel_index(np.argmax(length), length.shape))
        raise ModelError(f"the feature of state {s}, action {a} has length {length[s, a]:g}; it must be at most 1: divide all by the largest length")
    return table


def linear_fit(task: Episodic, features: Array) -> tuple[float, float]:
    """(largest error of the best linear fit of the transition probabilities, the radius R that the fit of least length needs)."""
    H, S, A = task.shape
    flat, needed, residual = features.reshape(S * A, -1), 0.0, 0.0
    for h in range(H):
        rows = task.transitions[h].reshape(S * A, S)
        mu = np.linalg.lstsq(flat, rows, rcond=None)[0]
        residual = max(residual, float(np.abs(flat @ mu - rows).max()))
        if S <= MOST_VERTICES:
            vertices = (np.arange(2**S)[:, None] >> np.arange(S)) & 1
            needed = max(needed, float(np.linalg.norm(vertices @ mu.T, axis=1).max()))
        else:
            needed = max(needed, float(np.linalg.norm(mu, axis=0).sum()))
    return residual, needed


def _loaded(path: str) -> Array:
    if not path.endswith(".npy"):
        raise ModelError(f"features is {path!r}; it is 'one-hot', an array, or the name of an .npy file")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except OSError as error:
        raise ModelError(f"features {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"features {path}: {error}") from error
