"""No-regret learning in a game of two players: optimistic, with late feedback, with noise; exactly on short trees and by many runs.

In round t the players hold x_t (A,) and y_t (B,), and learn u_t = U y_t and v_t = V^T x_t, or an unbiased estimate of them.  Dual averaging plays

    x_t = argmax <eta (G_t + optimism g_t), x> - h(x),      G_t the sum of the estimates received so far, g_t the last one received

with h the negative entropy (x ~ exp(eta (G + optimism g)): Hedge, optimistic Hedge) or half the squared norm (the nearest point of the simplex).
optimism 0 is plain, 1 optimistic; other values separate the step of the extrapolation from that of the update.  The estimate of round t is received
before round t + 1 + delay.

    feedback="expected"   U y_t itself, times 1 +- noise with a sign of its own for each player and round if noise > 0
    feedback="actions"    a ~ x_t, b ~ y_t are played and U[:, b], V[a, :] are seen
    feedback="payoffs"    only U[a, b] and V[a, b] are seen: the estimates are U[a, b] / x_t(a) e_a and V[a, b] / y_t(b) e_b

What holds, with U = -V, m = max |U|, `start` 0 and expected feedback, in the first two without noise:
- optimistic Hedge of both with eta m <= 1/2: the regrets add up to at most (log A + log B) / eta + 2 eta m^2, for ever, so the duality gap of the
  averages falls as 1/T (Syrgkanis, Agarwal, Luo and Schapire 2015);
- Hedge with delay d: each regret is at most log A / eta + eta m^2 (1/2 + d) T  (docs/theory/regret.md has the Euclidean form);
- multiplicative noise s: near an interior equilibrium the Euclidean form converges for small steps iff optimism > (1 + s^2) / 2
  (Hsieh, Antonakopoulos, Cevher and Mertikopoulos 2022; `optimistic-step-separation`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from pgtheory import arithmetic
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray
POTENTIALS = ("entropy", "euclidean")
FEEDBACK = ("expected", "actions", "payoffs")
MOST_LEAVES = 2**20


@dataclasses.dataclass(frozen=True)
class MatrixGame:
    """first (A, B): what the first player gets; second (A, B): what the second gets, by default the negative (zero sum)."""

    first: Any
    second: Any = None

    def __post_init__(self) -> None:
        first = np.array(self.first, dtype=np.float64)
        second = -first if self.second is None else np.array(self.second, dtype=np.float64)
        if first.ndim != 2 or first.shape != second.shape or 0 in first.shape:
            raise ModelError(f"payoffs have shapes {first.shape} and {second.shape}; both must be (actions of the first, actions of the second)")
        for name, table in (("first", first), ("second", second)):
            if not np.isfinite(table).all():
                raise ModelError(f"{name}[{', '.join(str(int(k)) for k in np.argwhere(~np.isfinite(table))[0])}] is not finite")
        object.__setattr__(self, "first", first)
        object.__setattr__(self, "second", second)

    @property
    def shape(self) -> tuple[int, int]:
        return self.first.shape


@dataclasses.dataclass(frozen=True)
class DualAveraging:
    """A player.

    step_size  eta > 0, a number or a function of the round 1, 2, ...
    potential  "entropy" or "euclidean";  optimism >= 0;  delay >= 0 rounds;  start (K,) what G is before the first round, 0 if left out
    """

    step_size: float | Callable[[int], float]
    potential: str = "entropy"
    optimism: float = 1.0
    delay: int = 0
    start: Any = None

    def __post_init__(self) -> None:
        if self.potential not in POTENTIALS:
            raise ModelError(f"potential is {self.potential!r}; it is one of {', '.join(POTENTIALS)}.{nearest(str(self.potential), POTENTIALS)}")
        if not callable(self.step_size) and not self.step_size > 0:
            raise ModelError(f"step_size is {self.step_size}; it must be above 0")
        if not self.optimism >= 0:
            raise ModelError(f"optimism is {self.optimism}; it must be at least 0")
        _count("delay", self.delay, 0)

    def begin(self, actions: int) -> Array:
        """(1, 2 + delay, K): G, g, and the estimates that are still under way, the oldest first."""
        out = np.zeros((1, 2 + self.delay, actions))
        if self.start is not None:
            given = np.asarray(self.start, dtype=np.float64)
            if given.shape != (actions,) or not np.isfinite(given).all():
                raise ModelError(f"start must be {actions} finite numbers, one an action; it has shape {given.shape}")
            out[0, 0] = given
        return out

    def strategy(self, state: Array, round_: int) -> Array:
        """(N, K)."""
        eta = float(self.step_size(round_) if callable(self.step_size) else self.step_size)
        aim = eta * (state[:, 0] + self.optimism * state[:, 1])
        return np.asarray(arithmetic.softmax(aim) if self.potential == "entropy" else arithmetic.project_simplex(aim))

    def received(self, state: Array, estimate: Array) -> Array:
        """The state after a round whose estimate (N, K) was sent: the oldest one under way arrives."""
        way = np.concatenate([state[:, 2:], estimate[:, None]], axis=1)
        return np.concatenate([(state[:, 0] + way[:, 0])[:, None], way], axis=1)


@dataclasses.dataclass(frozen=True)
class Play:
    """N runs (or leaves) of T rounds; payoffs are those of the strategies, so only the estimates are random.

    first (N, T, A), second (N, T, B) strategies;  weights (N,) probabilities of the leaves, 1 / N for runs
    """

    game: MatrixGame
    first: Array
    second: Array
    weights: Array

    @property
    def regrets(self) -> tuple[Array, Array]:
        """((N, T), (N, T)): of each player after each round, against the best fixed action."""
        return _regret(self.game.first, self.first, self.second), _regret(self.game.second.T, self.second, self.first)

    @property
    def duality_gap(self) -> Array:
        """(N, T): the most that the players could gain against the average strategies of the other; 0 at an equilibrium of a zero-sum game."""
        rounds = np.arange(1, self.first.shape[1] + 1)[:, None]
        return self._gap(self.first.cumsum(axis=1) / rounds, self.second.cumsum(axis=1) / rounds)

    @property
    def last_gap(self) -> Array:
        """(N, T): the same for the strategies of each round."""
        return self._gap(self.first, self.second)

    def mean(self, values: Array) -> Array:
        """The expectation of (N, ...) over runs or leaves."""
        return np.tensordot(self.weights, values, axes=1)

    def _gap(self, x: Array, y: Array) -> Array:
        U, V = self.game.first, self.game.second
        gain = (y @ U.T).max(axis=-1) - np.einsum("nta,ab,ntb->nt", x, U, y)
        return np.asarray(gain + (x @ V).max(axis=-1) - np.einsum("nta,ab,ntb->nt", x, V, y))


def play(
    game: MatrixGame,
    first: DualAveraging,
    second: DualAveraging,
    rounds: int,
    *,
    feedback: str = "expected",
    noise: float = 0.0,
    runs: int = 1,
    seed: int = 0,
    first_run: int = 0,
) -> Play:
    """`runs` independent runs; run c uses stream first_run + c of the seed, two numbers a round.

    raises   ModelError: an unknown feedback, noise below 0 or beside other feedback than "expected", bad counts, a bad seed"""
    rounds, runs = _count("rounds", rounds, 1), _count("runs", runs, 1)
    _check(feedback, noise)
    number, begin = checked_seed(seed), _count("first_run", first_run, 0)
    u = np.stack([uniforms(number, begin + c, 0, 2 * rounds) for c in range(runs)]).reshape(runs, rounds, 2)
    states = [np.repeat(learner.begin(k), runs, axis=0) for learner, k in zip((first, second), game.shape, strict=True)]
    x, y = np.empty((runs, rounds, game.shape[0])), np.empty((runs, rounds, game.shape[1]))
    for t in range(rounds):
        x[:, t], y[:, t] = first.strategy(states[0], t + 1), second.strategy(states[1], t + 1)
        if feedback == "expected":
            drawn = (u[:, t] < 0.5).astype(np.int64)
        else:
            drawn = np.stack([_fallen(p[:, t], u[:, t, k]) for k, p in enumerate((x, y))], axis=1)
        seen = _estimates(game, x[:, t], y[:, t], drawn, feedback, noise)
        states = [learner.received(state, g) for learner, state, g in zip((first, second), states, seen, strict=True)]
    return Play(game, x, y, np.full(runs, 1 / runs))


def all_plays(game: MatrixGame, first: DualAveraging, second: DualAveraging, rounds: int, *, feedback: str = "expected", noise: float = 0.0) -> Play:
    """Every course that `rounds` rounds can take, with its probability.  raises ModelError: more than 2^20 of them; as `play`"""
    rounds = _count("rounds", rounds, 1)
    _check(feedback, noise)
    A, B = game.shape
    states = [first.begin(A), second.begin(B)]
    x, y, weights = np.empty((1, 0, A)), np.empty((1, 0, B)), np.ones(1)
    pairs = np.array([(a, b) for a in range(2 if feedback == "expected" else A) for b in range(2 if feedback == "expected" else B)])
    if feedback == "expected" and noise == 0:
        pairs = pairs[:1]
    for t in range(rounds):
        p, q = first.strategy(states[0], t + 1), second.strategy(states[1], t + 1)
        x, y = np.concatenate([x, p[:, None]], axis=1), np.concatenate([y, q[:, None]], axis=1)
        if t == rounds - 1:
            break
        if len(weights) * len(pairs) > MOST_LEAVES:
            raise ModelError(f"after {t + 1} rounds there are {len(weights) * len(pairs):,} courses; at most {MOST_LEAVES:,} are followed")
        chance = np.full((len(weights), len(pairs)), 1 / len(pairs)) if feedback == "expected" else p[:, pairs[:, 0]] * q[:, pairs[:, 1]]
        node, branch = np.nonzero(chance > 0)
        weights = weights[node] * chance[node, branch]
        seen = _estimates(game, p[node], q[node], pairs[branch], feedback, noise)
        states = [learner.received(state[node], g) for learner, state, g in zip((first, second), states, seen, strict=True)]
        x, y = x[node], y[node]
    return Play(game, x, y, weights)


def _estimates(game: MatrixGame, x: Array, y: Array, drawn: Array, feedback: str, noise: float) -> tuple[Array, Array]:
    """((N, A), (N, B)): what the players learn; drawn (N, 2) their actions, or their signs of noise."""
    U, V, every = game.first, game.second, np.arange(len(x))
    if feedback == "expected":
        scale = 1 + noise * (2 * drawn - 1)
        return scale[:, :1] * (y @ U.T), scale[:, 1:] * (x @ V)
    a, b = drawn[:, 0], drawn[:, 1]
    if feedback == "actions":
        return U[:, b].T, V[a]
    first, second = np.zeros_like(x), np.zeros_like(y)
    first[every, a], second[every, b] = U[a, b] / x[every, a], V[a, b] / y[every, b]
    return first, second


def _fallen(p: Array, u: Array) -> Array:
    """(N,): the action that each u falls on; never one of probability 0."""
    sums = p.cumsum(axis=1)
    chosen = (sums <= (u * sums[:, -1])[:, None]).sum(axis=1)
    return np.minimum(chosen, p.shape[1] - 1 - (p[:, ::-1] > 0).argmax(axis=1))


def _regret(payoffs: Array, own: Array, other: Array) -> Array:
    """(N, T): of the player whose strategies are `own`, payoffs (own actions, other's)."""
    gains = other @ payoffs.T
    return np.asarray(gains.cumsum(axis=1).max(axis=2) - (gains * own).sum(axis=2).cumsum(axis=1))


def _check(feedback: str, noise: float) -> None:
    if feedback not in FEEDBACK:
        raise ModelError(f"feedback is {feedback!r}; it is one of {', '.join(FEEDBACK)}.{nearest(str(feedback), FEEDBACK)}")
    if not noise >= 0:
        raise ModelError(f"noise is {noise}; it must be at least 0")
    if noise and feedback != "expected":
        raise ModelError(f"noise multiplies expected feedback; {feedback} is random by itself")
