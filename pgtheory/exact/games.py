"""Two-player zero-sum discounted stochastic games: values and strategies with proved bounds.

    V*(s) = val_{a, b} [ r(s, a, b) + gamma sum_s' P(s' | s, a, b) V*(s') ],        val = value of the matrix game, the first player maximises

(Shapley 1953).  The operator T on the right is monotone and T(W + c) = TW + gamma c, as in the case of one player, so for any W

    t + gamma / (1 - gamma) min(t - W)  <=  V*  <=  t + gamma / (1 - gamma) max(t - W),         t = TW.

**Matrix games.**  A simplex method finds mixed strategies x, y; whatever they are, min_b (x M)_b <= val M <= max_a (M y)_a.  The lower end
replaces t in the lower
bound, the upper end in the upper bound, each widened by the rounding of its computation, so no bound rests on the simplex method.

**Iteration.**  The next W is what the second player's best answer leaves to the strategy x of the first: the optimum of an MDP (Hoffman & Karp 1966).
These values never fall and stay below V*, since each is at least T of the one before; a few rounds are the rule.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.rational import exact_rows, fraction, is_exact, meant_array, rational, rational_array, simplest, to_float
from pgtheory.compiled import kernel
from pgtheory.exact.bounds import KAPPA, SECOND_ORDER, TINY, UNIT
from pgtheory.exact.linear import sealed
from pgtheory.solution import NotConverged

Array = np.ndarray
EXACT_ENTRIES = 20_000
"""Entries of the transitions up to which bounds are proved with exact residuals where floats alone prove less than was asked: a second."""


@dataclass(frozen=True)
class GameSolution:
    """values (S,) with lower <= V* <= upper; first (S, A) and second (S, B) mixed strategies of the two players; certificate once it is certified."""

    values: Array
    lower: Array
    upper: Array
    first: Array
    second: Array
    iterations: int
    stopped: str
    certificate: Any = field(repr=False, default=None)

    @property
    def error(self) -> float:
        return float(np.max(np.maximum(self.upper - self.values, self.values - self.lower)))


def solve_game(transitions: Any, rewards: Any, discount: float, tol: float = 1e-8, *, limit: int = 100_000, on_limit: str = "raise") -> GameSolution:
    """Value of a zero-sum discounted stochastic game.

    transitions   (S, A, B, S') rows sum to 1
    rewards       (S, A, B) paid by the second player to the first
    discount      in [0, 1)
    tol           |values - V*| <= tol, proved by the bounds
    raises        ModelError: bad arrays.  NotConverged: limit or the precision of floats reached first
    source        Shapley (1953)
    """
    exact_discount, discount = discount, float(fraction(discount))
    floats = [to_float(rational_array(x)) if is_exact(x) else x for x in (transitions, rewards)]
    P, r = _checked(floats[0], floats[1], discount)
    states, first, second, _ = P.shape
    ratio = discount / (1 - discount)
    defect = float(np.max(np.abs(P.sum(axis=3) - 1)))
    W = np.zeros(states)
    best: tuple[Array, Array] | None = None
    error, stalled, sweeps = np.inf, 0, 0
    x, y = np.empty((states, first)), np.empty((states, second))
    kept_x, kept_y = x.copy(), y.copy()
    while True:
        games = r + discount * (P @ W)
        sweeps += 1
        _solve_games(games, x, y)
        below, above = np.min(np.einsum("sa,sab->sb", x, games), axis=1), np.max(np.einsum("sab,sb->sa", games, y), axis=1)
        size, largest = float(np.max(np.abs(W))), float(np.max(np.abs(r)))
        mixing = (first + second + 4) * UNIT * float(np.max(np.abs(games)))
        terms = states + 4
        epsilon = (
            (2 * terms * UNIT + 2 * KAPPA + 2 * defect) * size + (2 * UNIT + KAPPA) * largest + TINY + 2 * mixing + KAPPA * size
        ) * SECOND_ORDER
        low, high = float(np.min(below - W)) - epsilon, float(np.max(above - W)) + epsilon
        own = 8 * UNIT * ratio * max(abs(low), abs(high))
        ratio_error = 4 * KAPPA / (1 - discount)
        drift = ratio * max(abs(low), abs(high)) * ratio_error
        lower = np.nextafter(below + (ratio * low - epsilon - own - drift), -np.inf)
        upper = np.nextafter(above + (ratio * high + epsilon + own + drift), np.inf)
        now = float(np.max(upper - lower)) / 2
        stalled = 0 if now < 0.9 * error else stalled + 1
        if now < error:
            error, best = now, (lower, upper)
            kept_x, kept_y = x.copy(), y.copy()
        finest = (epsilon * (1 + ratio) + own + drift) * 4
        if error <= tol or sweeps >= limit or (stalled > 2 and now <= finest) or stalled > 10 + 3 / (1 - discount):
            break
        W = _best_answer(P, r, discount, x)
        W = W - (W.min() + W.max()) / 2
    lower, upper = best  # type: ignore[misc]
    stopped = "tolerance" if error <= tol else ("limit" if sweeps >= limit else "rounding")
    values = np.clip((lower + upper) / 2, lower, upper)
    found = GameSolution(values, lower, upper, kept_x, kept_y, sweeps, stopped)
    if stopped == "rounding" and P.size <= EXACT_ENTRIES:
        proved = certified_game(transitions, rewards, exact_discount, found)
        if proved.error < found.error:
            found = dataclasses.replace(proved, stopped="tolerance" if proved.error <= tol else "rounding")
    if found.error <= tol * (1 + 1e-9) or on_limit == "return":
        return found
    raise NotConverged(f"the game is known to {found.error:.1e}, not {tol:g}, after {sweeps:,} sweeps; error.solution has bounds that hold", found)


def exact_game(transitions: Any, rewards: Any, discount: Any) -> tuple[Array, Array, Any]:
    """The game in rationals: the fractions that its floats were meant for, rows that sum to exactly 1.  Its value may be irrational all the same."""
    P, r = (rational_array(x) if is_exact(x) else x for x in (transitions, rewards))
    P = P if is_exact(P) else exact_rows(np.asarray(P, dtype=np.float64))
    return P, r if is_exact(r) else meant_array(r), simplest(discount) if isinstance(discount, float) else rational(discount)


def certified_game(transitions: Any, rewards: Any, discount: Any, solution: GameSolution) -> GameSolution:
    """Bounds that the strategies of the solution hold against everybody, in rationals, checked: for `certify`."""
    from pgtheory.exact.certificate import check_certificate
    from pgtheory.exact.rigorous import floats_above, floats_below
    from pgtheory.exact.undiscounted_certificate import GameCertificate

    P, r, gamma = exact_game(transitions, rewards, discount)
    values = rational_array(solution.values)
    mixed = [rational_array(x) for x in (solution.first, solution.second)]
    mixed = [x / x.sum(axis=1)[:, None] for x in mixed]
    games = r + gamma * (P @ values)
    below = min(min((x @ M).tolist()) - v for x, M, v in zip(mixed[0], games, values, strict=True))
    above = max(max((M @ y).tolist()) - v for y, M, v in zip(mixed[1], games, values, strict=True))
    lower, upper = values + below / (1 - gamma), values + above / (1 - gamma)
    certificate = GameCertificate(lower, upper, *mixed)
    check_certificate((P, r, gamma), certificate)
    low, high = floats_below(lower), floats_above(upper)
    return dataclasses.replace(solution, values=np.clip(solution.values, low, high), lower=low, upper=high, certificate=certificate)


def _best_answer(P: Array, r: Array, discount: float, x: Array) -> Array:
    """min over the second player's policies of the value of (x, y): policy iteration on the MDP that x leaves to her."""
    from pgtheory.exact.batch import batch_optimal

    moves, paid = np.einsum("sa,sabt->sbt", x, P), np.einsum("sa,sab->sb", x, r)
    return -batch_optimal(moves[None], -paid[None], np.array([discount]))[0][0]


def _checked(transitions: Any, rewards: Any, discount: float) -> tuple[Array, Array]:
    P, r = sealed(transitions, rewards)
    if P.ndim != 4 or P.shape[0] != P.shape[3] or r.shape != P.shape[:3] or r.size == 0:
        raise ModelError(f"a game has transitions (S, A, B, S') and rewards (S, A, B); got {P.shape} and {r.shape}")
    if not 0 <= discount < 1:
        raise ModelError(f"discount is {discount}; it must be in [0, 1)")
    for name, numbers in (("transitions", P), ("rewards", r)):
        if not np.all(np.isfinite(numbers)):
            place = tuple(int(k) for k in np.argwhere(~np.isfinite(numbers))[0])
            raise ModelError(f"{name}{list(place)} is {numbers[place]}; it must be a finite number")
    off = np.abs(P.sum(axis=3) - 1) > 1e-9
    if np.any(P < 0) or np.any(off):
        place = tuple(int(k) for k in (np.argwhere(P < 0)[0] if np.any(P < 0) else np.argwhere(off)[0]))
        raise ModelError(
            f"transitions{list(place[:3])} is no distribution: entries must be at least 0 and sum to 1; the sum is {P[place[:3]].sum():.12g}"
        )
    return P, r


@kernel
def _solve_games(games, x, y):  # type: ignore[no-untyped-def]
    """Mixed strategies of every matrix game: x (S, A) of the maximiser, y (S, B) of the minimiser.

    With M > 0 (shifted) the minimiser's program  max sum z, M z <= 1, z >= 0  has value 1 / val; its dual is the maximiser's.  Bland's rule."""
    states, m, n = games.shape
    tableau = np.empty((m + 1, n + m + 1))
    basis = np.empty(m, dtype=np.int64)
    for s in range(states):
        low, high = games[s].min(), games[s].max()
        scale = high - low if high > low else 1.0
        tableau[:] = 0.0
        for i in range(m):
            for j in range(n):
                tableau[i, j] = (games[s, i, j] - low) / scale + 1.0
            tableau[i, n + i] = 1.0
            tableau[i, n + m] = 1.0
            basis[i] = n + i
        for j in range(n):
            tableau[m, j] = -1.0
        for _ in range(50 * (m + n)):
            column = -1
            for j in range(n + m):
                if tableau[m, j] < -1e-12:
                    column = j
                    break
            if column < 0:
                break
            row, least = -1, np.inf
            for i in range(m):
                if tableau[i, column] > 1e-12:
                    ratio = tableau[i, n + m] / tableau[i, column]
                    if ratio < least - 1e-15 or (ratio <= least + 1e-15 and row >= 0 and basis[i] < basis[row]):
                        row, least = i, ratio
            if row < 0:
                break
            pivot = tableau[row, column]
            for j in range(n + m + 1):
                tableau[row, j] /= pivot
            for i in range(m + 1):
                if i != row:
                    factor = tableau[i, column]
                    if factor != 0.0:
                        for j in range(n + m + 1):
                            tableau[i, j] -= factor * tableau[row, j]
            basis[row] = column
        x[s] = 0.0
        y[s] = 0.0
        for i in range(m):
            if basis[i] < n:
                y[s, basis[i]] = max(tableau[i, n + m], 0.0)
            x[s, i] = max(tableau[m, n + i], 0.0)
        x[s] /= x[s].sum()
        y[s] /= y[s].sum()
