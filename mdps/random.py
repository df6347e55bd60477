"""Random models.  Every function draws from a `numpy.random.Generator` or a seed; the same seed gives the same model on every machine.

garnet          a few random successors for every pair (Archibald, McKinnon, Thomas 1995), dense or compressed
dirichlet       every row Dirichlet distributed: concentration 1 is uniform on the simplex, 0.1 nearly deterministic
deterministic   every pair leads to one state
rational        probabilities and rewards are multiples of 1/denominator, exactly
bandit          one state, discount 0
birth_death     a queue: up or down by one, with random rates
grid            a grid with random costs and slips; large ones are compressed
hard            one of the zoo's hard instances with random parameters

What is common: `rewards` is "uniform" (on [0, 1]), "binary" (0 or 1), "normal", "sparse" (one pair in ten pays 1) or an array; `start` is
"uniform", "random" (Dirichlet(1)) or a distribution.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP

Array = np.ndarray
Seed = Any
"""An integer, a SeedSequence or a Generator (which is then advanced)."""
REWARDS = ("uniform", "binary", "normal", "sparse")


def generator(seed: Seed) -> np.random.Generator:
    """The Generator itself, or a new one from a seed; a missing seed is refused, because no figure could be repeated."""
    if seed is None:
        raise ModelError("seed is None; give a number or a numpy Generator, so that the model can be made again")
    return np.random.default_rng(seed)


def garnet(
    num_states: int,
    num_actions: int,
    branching: int,
    seed: Seed,
    *,
    discount: Any = 0.95,
    rewards: Any = "uniform",
    start: Any = "uniform",
    sparse: bool = False,
) -> MDP:
    """Each pair has `branching` distinct successors, with probabilities cut at branching - 1 uniform points.

    sparse   compressed rows: 10^6 states fit
    """
    rng, pairs = _checked(seed, num_states, num_actions)
    if not 1 <= branching <= num_states:
        raise ModelError(f"branching is {branching}; it must be between 1 and the number of states, {num_states}")
    successors = _distinct(rng, pairs, num_states, branching)
    cuts = np.sort(rng.random((pairs, branching - 1)), axis=1)
    probabilities = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
    choices = _rows(successors, probabilities, num_states, sparse)
    return _model(rng, choices, num_states, num_actions, discount, rewards, start, f"garnet({num_states}, {num_actions}, {branching})")


def dirichlet(
    num_states: int,
    num_actions: int,
    seed: Seed,
    *,
    concentration: float = 1.0,
    discount: Any = 0.95,
    rewards: Any = "uniform",
    start: Any = "uniform",
) -> MDP:
    """Each row is Dirichlet(concentration, ..., concentration)."""
    rng, pairs = _checked(seed, num_states, num_actions)
    if not concentration > 0:
        raise ModelError(f"concentration is {concentration}; it must be positive")
    rows = _simplex(rng, concentration, pairs, num_states)
    return _model(rng, rows, num_states, num_actions, discount, rewards, start, f"dirichlet({num_states}, {num_actions})")


def deterministic(num_states: int, num_actions: int, seed: Seed, *, discount: Any = 0.95, rewards: Any = "uniform", start: Any = "uniform") -> MDP:
    """Each pair leads to one uniformly drawn state."""
    rng, pairs = _checked(seed, num_states, num_actions)
    rows = np.zeros((pairs, num_states))
    rows[np.arange(pairs), rng.integers(num_states, size=pairs)] = 1.0
    return _model(rng, rows, num_states, num_actions, discount, rewards, start, f"deterministic({num_states}, {num_actions})")


def rational(num_states: int, num_actions: int, seed: Seed, *, denominator: int = 12, discount: Any = "9/10", start: Any = "uniform") -> MDP:
    """Probabilities and rewards (in [0, 1]) are multiples of 1/denominator, exactly; `mdp.exact` is lossless.

    discount   exact: a Fraction or text, or a float, which is read as the simplest fraction beside it
    """
    rng, pairs = _checked(seed, num_states, num_actions)
    rows = rng.multinomial(denominator, _simplex(rng, 1.0, pairs, num_states))
    paid = rng.integers(0, denominator + 1, size=pairs)
    exact = [[Fraction(int(k), denominator) for k in row] for row in rows]
    weights = rng.multinomial(denominator, np.full(num_states, 1 / num_states)) if _is(start, "random") else None
    first = [Fraction(int(k), denominator) for k in weights] if weights is not None else None if _is(start, "uniform") else start
    choices = np.array(exact, dtype=object)
    paid_exact = np.array([Fraction(int(k), denominator) for k in paid], dtype=object)
    from mdps.rational import simplest

    gamma = simplest(discount) if isinstance(discount, float) else discount
    name = f"rational({num_states}, {num_actions})"
    return MDP.from_choices(np.arange(num_states + 1) * num_actions, choices, paid_exact, gamma, first, name=name)


def bandit(num_arms: int, seed: Seed, *, rewards: Any = "uniform") -> MDP:
    """One state, `num_arms` actions with random mean rewards, discount 0."""
    rng, _ = _checked(seed, 1, num_arms)
    return _model(rng, np.ones((num_arms, 1)), 1, num_arms, 0.0, rewards, "uniform", f"bandit({num_arms})")


def birth_death(num_states: int, num_actions: int, seed: Seed, *, discount: Any = 0.95, rewards: Any = "uniform", start: Any = "uniform") -> MDP:
    """A queue: each pair goes up, stays or goes down with random probabilities; at an end the impossible move stays."""
    rng, pairs = _checked(seed, num_states, num_actions)
    moves = _simplex(rng, 1.0, pairs, 3)
    here = np.repeat(np.arange(num_states), num_actions)
    rows = np.zeros((pairs, num_states))
    for k, step in enumerate((-1, 0, 1)):
        np.add.at(rows, (np.arange(pairs), np.clip(here + step, 0, num_states - 1)), moves[:, k])
    return _model(rng, rows, num_states, num_actions, discount, rewards, start, f"birth_death({num_states}, {num_actions})")


def grid(rows: int, columns: int, seed: Seed, *, slip: float = 0.1, discount: Any = 0.99, start: Any = "uniform", sparse: bool | None = None) -> MDP:
    """A grid whose cells cost between 1/2 and 3/2 a step until the absorbing goal in the lower right corner; actions up, right, down, left.

    rows, columns   cells: rows * columns states
    slip     probability of each of the two sideways moves, at most 1/2
    sparse   compressed rows; by default for grids of more than 1,000 cells
    """
    if not 0 <= slip <= 0.5:
        raise ModelError(f"slip is {slip}; it must be in [0, 1/2]")
    num_states = rows * columns
    rng, pairs = _checked(seed, num_states, 4)
    row, column = np.divmod(np.arange(num_states), columns)
    near = np.stack(
        [np.clip(row + dr, 0, rows - 1) * columns + np.clip(column + dc, 0, columns - 1) for dr, dc in ((-1, 0), (0, 1), (1, 0), (0, -1))], axis=1
    )
    near[-1] = num_states - 1
    a = np.arange(4)
    successors = np.stack((near[:, a], near[:, (a + 1) % 4], near[:, (a + 3) % 4]), axis=2).reshape(pairs, 3)
    probabilities = np.broadcast_to([1 - 2 * slip, slip, slip], successors.shape)
    choices = _rows(successors, probabilities, num_states, num_states > 1000 if sparse is None else sparse)
    costs = np.repeat(-rng.uniform(0.5, 1.5, num_states)[:, None], 4, axis=1)
    costs[-1] = 0.0
    return _model(rng, choices, num_states, 4, discount, costs, start, f"grid({rows}, {columns})")


def hard(seed: Seed, max_states: int = 10) -> MDP:
    """A hard instance of the zoo (loop, chain, domino, btpair, lure, vanish, blind) with random simple parameters, of at most `max_states` states."""
    from mdps import zoo

    rng = generator(seed)
    if max_states < 2:
        raise ModelError(f"max_states is {max_states}; the hard instances have at least 2 states")
    discounts = ("1/10", "3/10", "1/2", "3/5", "4/5", "9/10", "19/20", "97/100", "99/100")
    g = discounts[rng.integers(len(discounts))]
    size = int(rng.integers(1, max_states - 1)) if max_states > 2 else 0
    makers = [lambda: zoo.loop(g), lambda: zoo.btpair(g, 1)]
    makers += [lambda: zoo.chain(size, g), lambda: zoo.domino(size, g), lambda: zoo.lure(size, g), lambda: zoo.vanish(size)] if size else []
    makers += [lambda: zoo.blind(Fraction(int(rng.integers(1, 20)), 10), g)] if max_states >= 4 else []
    return makers[rng.integers(len(makers))]()


def _is(value: Any, word: str) -> bool:
    return isinstance(value, str) and value == word


def _checked(seed: Seed, num_states: int, num_actions: int) -> tuple[np.random.Generator, int]:
    for what, number in (("num_states", num_states), ("num_actions", num_actions)):
        if number != int(number) or number < 1:
            raise ModelError(f"{what} is {number}; it must be a whole number, at least 1")
    return generator(seed), num_states * num_actions


def _simplex(rng: np.random.Generator, concentration: float, rows: int, size: int) -> Array:
    """Dirichlet rows.  Small concentrations underflow to 0/0 when drawn as gammas, so the logarithms are drawn: log G = log G' + log(U)/c."""
    shifted = np.log(rng.standard_gamma(concentration + 1.0, size=(rows, size)))
    logs = shifted + np.log1p(-rng.random((rows, size))) / concentration
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _distinct(rng: np.random.Generator, rows: int, size: int, count: int) -> Array:
    """(rows, count) sorted distinct numbers below `size`, uniform over the subsets."""
    if 2 * count > size:
        return np.sort(rng.permuted(np.broadcast_to(np.arange(size), (rows, size)), axis=1)[:, :count], axis=1)
    drawn = np.sort(rng.integers(size, size=(rows, count)), axis=1)
    while (again := np.flatnonzero((np.diff(drawn, axis=1) == 0).any(axis=1))).size:
        drawn[again] = np.sort(rng.integers(size, size=(again.size, count)), axis=1)
    return drawn


def _rows(successors: Array, probabilities: Array, num_states: int, sparse: bool) -> Any:
    """(pairs, S) from (pairs, k) successors and probabilities; equal successors add up."""
    pairs, k = successors.shape
    if not sparse:
        rows = np.zeros((pairs, num_states))
        np.add.at(rows, (np.arange(pairs)[:, None], successors), probabilities)
        return rows
    from scipy.sparse import csr_array

    matrix = csr_array((probabilities.ravel(), successors.ravel().astype(np.int32), np.arange(0, pairs * k + 1, k)), shape=(pairs, num_states))
    matrix.sum_duplicates()
    return matrix


def _model(rng: np.random.Generator, choices: Any, states: int, actions: int, discount: Any, rewards: Any, start: Any, name: str) -> MDP:
    if isinstance(rewards, str):
        if rewards not in REWARDS:
            raise ModelError(f"rewards is {rewards!r}; it must be an array or one of {', '.join(REWARDS)}.{nearest(rewards, REWARDS)}")
        draw = {
            "uniform": lambda: rng.random(states * actions),
            "binary": lambda: rng.integers(2, size=states * actions).astype(np.float64),
            "normal": lambda: rng.standard_normal(states * actions),
            "sparse": lambda: (rng.random(states * actions) < 0.1).astype(np.float64),
        }
        paid = draw[rewards]()
    else:
        paid = np.asarray(rewards, dtype=np.float64)
        if paid.shape != (states, actions):
            raise ModelError(f"rewards has shape {paid.shape}; it must be (S, A) = {(states, actions)}")
        paid = paid.reshape(-1)
    if isinstance(start, str):
        if start not in ("uniform", "random"):
            raise ModelError(f'start is {start!r}; it must be "uniform", "random" or a distribution')
        start = None if start == "uniform" else _simplex(rng, 1.0, 1, states)[0]
    return MDP.from_choices(np.arange(states + 1) * actions, choices, paid, discount, start, name=name)
