"""Small models of every kind that solvers find hard, many a second: for sweeps over thousands of them.

Rows: deterministic, simple fractions, floats, nearly reducible (a leak of 1e-3 to 1e-12), cycles, self-loops.  Rewards: simple, scaled by 1e6 and 1e-6,
of both signs, and near-ties: an action copied with a reward that differs in the last places or not at all.  Discounts from 0 to 0.9999.
"""

from __future__ import annotations

import numpy as np

from mdps import MDP

DISCOUNTS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)
SCALES = (1.0, 1.0, 1e6, 1e-6)


def small_mdp(seed: int, *, discount: float | None = None, sparse: bool | None = None, nonnegative: bool = False, max_states: int = 5) -> MDP:
    """The model number `seed`: the same on every machine."""
    rng = np.random.default_rng(seed)
    states = int(rng.integers(1, max_states + 1))
    counts = rng.integers(1, 4, states)
    style = rng.integers(6)
    rows, paid = [], []
    scale = SCALES[rng.integers(len(SCALES))]
    for s in range(states):
        for _ in range(counts[s]):
            if rows and rng.random() < 0.15 and paid:
                rows.append(rows[-1].copy())
                paid.append(paid[-1] + scale * float(rng.choice([0.0, 0.0, 1e-15, -1e-15, 1e-12])))
                continue
            rows.append(_row(rng, states, s, style if rng.random() < 0.7 else rng.integers(6)))
            reward = float(rng.choice([rng.random(), float(rng.integers(0, 4)), rng.integers(0, 11) / 10, 0.0]))
            paid.append(scale * reward * (1 if nonnegative or rng.random() < 0.7 else -1))
    if nonnegative:
        paid = [max(r, 0.0) for r in paid]
    gamma = DISCOUNTS[rng.integers(len(DISCOUNTS))] if discount is None else discount
    table = np.array(rows)
    if sparse if sparse is not None else rng.random() < 0.5:
        from scipy.sparse import csr_array

        table = csr_array(table)
    return MDP.from_choices(np.concatenate([[0], np.cumsum(counts)]), table, np.array(paid), gamma)


def _row(rng: np.random.Generator, states: int, state: int, style: int) -> np.ndarray:
    row = np.zeros(states)
    if style == 0:
        row[rng.integers(states)] = 1.0
    elif style == 1:
        row[(state + 1) % states] = 1.0
    elif style == 2:
        weights = rng.multinomial(int(rng.choice([2, 3, 4, 10])), np.full(states, 1 / states))
        row = weights / weights.sum()
    elif style == 3:
        row = rng.dirichlet(np.full(states, 0.5))
        row /= row.sum()
    elif style == 4:
        leak = 10.0 ** -int(rng.integers(3, 13))
        row[state] = 1.0 - leak if states > 1 else 1.0
        row[rng.integers(states)] += leak if states > 1 else 0.0
    else:
        row[state] = 1.0
    return row


def small_game(seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(transitions (S, A, B, S'), rewards (S, A, B), discount) of a game with 1 to 3 states and up to 3 actions each."""
    rng = np.random.default_rng(seed)
    states, first, second = (int(k) for k in rng.integers(1, 4, 3))
    style = int(rng.integers(6))
    P = np.array([[[_row(rng, states, s, style) for _ in range(second)] for _ in range(first)] for s in range(states)])
    r = rng.choice([rng.integers(-3, 4, (states, first, second)).astype(float), rng.standard_normal((states, first, second))])
    return P, r * SCALES[rng.integers(len(SCALES))], DISCOUNTS[rng.integers(5)]
