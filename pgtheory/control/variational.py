"""Laws tilted by what they pay: recourse as a free energy, PAC-Bayes bounds, and mixtures of surrogates for importance sampling.

Recourse.  Among laws p over finitely many trajectories, with reference p0:  max_p E_p R - tau KL(p | p0) = tau log E_p0 e^(R/tau), attained at
p ~ p0 e^(R/tau).
With deterministic dynamics p is that of a policy, and e^(V/tau) = Z obeys a linear recursion, Z_k(s) = sum_a pi0(a|s) e^(r/tau) Z_{k-1}(s'(s, a)).

PAC-Bayes.  Losses in [0, 1], m i.i.d. samples, a prior P fixed before them:  E_sample E_P e^(beta (L - L^)) <= e^(beta^2 / (8 m)),  so with
probability 1 - delta for all Q at once  L(Q) <= L^(Q) + (KL(Q | P) + log(1/delta)) / beta + beta / (8 m).

Mixtures.  E_p f by samples of q_w = sum_i w_i q_i: unbiased where q_w covers p f; the second moment sum (p f)^2 / q_w is convex in w and at most
1/w_i times that of q_i alone.  Derivation: docs/theory/side_mechanisms.md.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic

Array = np.ndarray


def tilted_recursion(policy: Array, weights: Array, moves: Array, horizon: int) -> Array:
    """Z_horizon (..., S): policy (..., S, A), weights e^(r/tau) (..., S, A), moves (..., S, A, S') with a single 1 in each row."""
    found = policy[..., 0] * 0 + 1
    for _ in range(horizon):
        found = np.einsum("...sa,...sa,...sat,...t->...s", policy, weights, moves, found)
    return found


def free_energy(rewards: Any, reference: Any, temperature: float) -> tuple[float, Array]:
    """(tau log E_p0 e^(R/tau), the law that attains it) for rewards and reference law (N,) over trajectories.

    raises   ModelError: a temperature that is not positive, shapes that do not fit, a reference that is no distribution"""
    pay, law = np.asarray(rewards, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if not (np.isfinite(temperature) and temperature > 0):
        raise ModelError(f"temperature is {temperature}; it must be positive")
    if pay.shape != law.shape or pay.ndim != 1:
        raise ModelError(f"rewards have shape {pay.shape} and the reference {law.shape}; both must be (N,)")
    if (law < 0).any() or not np.isclose(law.sum(), 1):
        raise ModelError(f"the reference sums to {law.sum():g}; it must be a distribution")
    seen = law > 0
    logits = np.where(seen, pay / temperature + np.log(np.where(seen, law, 1)), -np.inf)
    top = logits.max()
    mass = np.exp(logits - top)
    return float(temperature * (top + math.log(mass.sum()))), mass / mass.sum()


def sample_counts(outcomes: int, samples: int) -> tuple[Array, Array]:
    """All counts (N, outcomes) of that many samples and how many orders each has (N,), as whole numbers."""
    counts = [c for c in itertools.product(range(samples + 1), repeat=outcomes) if sum(c) == samples]
    orders = [math.factorial(samples) // math.prod(math.factorial(k) for k in c) for c in counts]
    return np.array(counts), np.array(orders)


def pac_bayes_bound(empirical: Any, divergence: Any, samples: int, beta: float, delta: float) -> Any:
    """L^(Q) + (KL(Q | P) + log(1/delta)) / beta + beta / (8 m).

    empirical   L^(Q);  divergence   KL(Q | P);  samples   m
    raises   ModelError: beta not positive, delta outside (0, 1), no samples, a divergence below 0"""
    if not (np.isfinite(beta) and beta > 0):
        raise ModelError(f"beta is {beta}; it must be positive")
    if not 0 < delta < 1:
        raise ModelError(f"delta is {delta}; it must lie in (0, 1)")
    if samples < 1:
        raise ModelError(f"samples is {samples}; it must be at least 1")
    if not (np.asarray(divergence) >= 0).all():
        raise ModelError(f"the divergence {divergence} is below 0")
    return empirical + (np.asarray(divergence) + math.log(1 / delta)) / beta + beta / (8 * samples)


def gibbs_posterior(prior: Array, empirical: Array, beta: Any) -> Array:
    """Q ~ P e^(-beta L^), the minimiser of that bound; (..., K), floats or balls."""
    weights = prior * arithmetic.exp(-beta * empirical)
    return weights / weights.sum(axis=-1)[..., None]


def mixture_moment(target: Array, surrogates: Array, weights: Array) -> Array:
    """sum (p f)^2 / q_w, (...): target p f (..., N), surrogates (..., I, N), weights (..., I); points where p f is 0 need no mass.

    raises   ZeroDivisionError in rationals, infinite in floats: q_w misses a point of p f"""
    mixed = np.einsum("...i,...in->...n", weights, surrogates)
    if mixed.dtype != object:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(target == 0, 0.0, target * target / mixed).sum(axis=-1)
    return (target * target / mixed).sum(axis=-1)
