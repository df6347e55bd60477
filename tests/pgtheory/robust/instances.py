"""Rows and models for the tests of robust problems, boundary cases included: zero probabilities, ties, one state, radius 0 and beyond the simplex."""

from __future__ import annotations

from typing import Any

import numpy as np

import mdps

RADII = (0.0, 1e-3, 0.1, 0.3, 0.7, 1.3, 2.0, 2.5)


def row(rng: np.random.Generator, most: int = 6) -> tuple[Any, Any, float]:
    """(p, v, radius)."""
    n = int(rng.integers(1, most + 1))
    p = rng.dirichlet(np.ones(n) if rng.random() < 0.8 else np.full(n, 0.1))
    if n > 1 and rng.random() < 0.4:
        p[rng.integers(n)] = 0
        p /= p.sum()
    v = rng.normal(size=n)
    return p, np.round(v) if rng.random() < 0.4 else v, float(rng.choice(RADII))


def small_fractions(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """(p, v) in twelfths and whole numbers, as fmpq."""
    parts = rng.multinomial(12, rng.dirichlet(np.ones(n)))
    return mdps.rational.rational_array([f"{k}/12" for k in parts]), mdps.rational.rational_array(rng.integers(-3, 4, n).tolist())


def model(seed: int, states: int = 4, actions: int = 3, discount: Any = "9/10", exact: bool = True) -> mdps.MDP:
    """A random model; exact: probabilities in twelfths, rewards in quarters."""
    rng = np.random.default_rng(seed)
    if not exact:
        return mdps.MDP(rng.dirichlet(np.ones(states), (states, actions)), rng.random((states, actions)), float(mdps.rational.fraction(discount)))
    counts = np.array([[rng.multinomial(12, rng.dirichlet(np.ones(states))) for _ in range(actions)] for _ in range(states)])
    transitions = [[[f"{k}/12" for k in row] for row in block] for block in counts]
    rewards = [[f"{k}/4" for k in row] for row in rng.integers(0, 5, (states, actions))]
    return mdps.MDP(transitions, rewards, discount)
