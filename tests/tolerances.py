"""How far rounding may take a figure: the few tolerances there are, each with its reason.  u = 2^-53 = eps / 2."""

from __future__ import annotations

import numpy as np

EPS = float(np.finfo(np.float64).eps)


def linear_solve(states: int, discount: float, largest_reward: float) -> float:
    """V = (I - gamma P)^-1 r: 8 S eps cond max|V| with cond = (1 + gamma)/(1 - gamma) and max|V| = max|r|/(1 - gamma)."""
    return 8 * states * EPS * (1 + discount) / (1 - discount) * max(largest_reward, EPS) / (1 - discount)


def quantity(states: int, actions: int, discount: float, largest_reward: float, smallest_start: float = 1.0, temperature: float = 1.0) -> float:
    """A figure of `proofs_check.quantities`: sums over state-action pairs of products of values, visits and probabilities.

    Each product with visits, or difference taken for a derivative, multiplies an error by at most 1/(1 - gamma) (a Hessian has two of them); a ratio
    to mu by 1/min mu; a logarithm of a softmax by 1/tau.  The second computation has errors of the same size, hence the 2."""
    return 2 * states * actions * linear_solve(states, discount, largest_reward) / (1 - discount) ** 2 / smallest_start * max(1.0, 1 / temperature)


def quantity_relative() -> float:
    """The same figures where they are large: a few dozen operations, one rounding each."""
    return 64 * EPS


def method_step(states: int, actions: int, discount: float, largest_reward: float, spread: float, step_size: float) -> float:
    """One step of a policy gradient method from given parameters, `spread` their largest size.

    A probability has a relative error of (2 spread + A + 4) eps (the argument of exp, the sum, the division; less for direct policies), which moves V
    by that times 2 max|r| / (1 - gamma)^2, on top of `linear_solve`.  Advantages double it, visits have the condition (1 + gamma)/(1 - gamma) once
    more, and the step multiplies by step_size / (1 - gamma); the addition to the parameters rounds once more."""
    probability = (2 * spread + actions + 4) * EPS
    values = linear_solve(states, discount, largest_reward) + 2 * probability * largest_reward / (1 - discount) ** 2
    return 4 * step_size / (1 - discount) * (1 + discount) / (1 - discount) * values + 4 * EPS * (1 + spread)
