"""Large spaces through k linear features of the occupancy, z = Phi' d.

A utility f(z) of k figures (`objectives.OfFeatures`) needs no table of the occupancy: its policy gradient is that of the frozen reward Phi grad f(z),
and z is a mean over paths, known to an accuracy that does not depend on the number of states:

    mean of (1 - gamma) sum_{t < H} gamma^t phi(s_t, a_t) over N paths:     |bias| <= gamma^H max|phi|,    E|z_hat - E z_hat|^2 <= max|phi|^2 / N

(|phi| the 2-norm of a row: a path's own sum is a mean of rows times 1 - gamma^H.)  A utility of the whole occupancy is approached by fitting
d ~ Phi w by least squares: w = (Phi' Phi)^-1 z needs the same k means; the error of the fit is a projection error (bias, 0 where d is in the span)
plus |Phi (Phi' Phi)^-1 (z_hat - z)| (noise), and an L-smooth F has its gradient wrong by at most L times that (Barakat, Fatkhullin and He 2023).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy, state_occupancy, state_values
from pgtheory.utility.base import floats_of, numbers

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class SampledFeatures:
    """means (k,), their standard errors (k,), and a bound on the bias of the truncation in the 2-norm."""

    means: Array
    errors: Array
    bias: float


def feature_expectations(mdp: MDP, policy: Array, features: Any, by: str = "occupancy") -> Array:
    """(k,) z = Phi' d of a policy.

    features   (S, A, k)
    by         "occupancy": one linear solve for the law of the states;  "values": k solves, one a feature taken for a reward
    """
    policy, table = check_policy(mdp, policy), _features(mdp, features)
    if by == "occupancy":
        d = state_occupancy(mdp, policy)[:, None] * policy
        return np.einsum("sa,sak->k", d, table) if d.dtype != object else (d[:, :, None] * numbers(features, "features")).sum(axis=(0, 1))
    if by != "values":
        raise ModelError(f"by is {by!r}; it is 'occupancy' or 'values'")
    model = mdp.float
    worth = [model.start @ state_values(model.replace(rewards=np.ascontiguousarray(table[:, :, k])), policy) for k in range(table.shape[2])]
    return (1 - model.discount) * np.array(worth)


def sampled_features(mdp: MDP, policy: Array, features: Any, paths: int, *, horizon: int | None = None, seed: int = 0) -> SampledFeatures:
    """The same from sampled paths: no array over the states is made beyond the features themselves."""
    from pgtheory.sampling import simulate

    model, table = mdp.float, _features(mdp, features)
    if paths < 2:
        raise ModelError(f"paths is {paths}; a standard error takes at least 2")
    steps = horizon if horizon is not None else max(1, math.ceil(math.log(1e-3) / math.log(model.discount))) if model.discount > 0 else 1
    drawn = simulate(model, check_policy(model, policy), paths, steps, seed=seed)
    worth = (1 - model.discount) * model.discount ** np.arange(steps)
    sums = np.zeros((paths, table.shape[2]))
    for t in range(steps):
        sums += worth[t] * table[drawn.states[:, t], drawn.actions[:, t]]
    longest = float(np.sqrt(np.max(np.sum(table**2, axis=2))))
    return SampledFeatures(sums.mean(axis=0), sums.std(axis=0, ddof=1) / math.sqrt(paths), model.discount**steps * longest)


def fitted_occupancy(features: Any, means: Array) -> Array:
    """(S, A) Phi w with w = (Phi' Phi)^-1 means: the projection of the occupancy on the span of the features if the means are exact.

    It need not be an occupancy: entries may be negative.
    raises   ModelError: features that depend on each other (names the rank), a wrong number of means
    """
    table = np.asarray(features, dtype=float)
    if table.ndim != 3 or np.shape(means) != table.shape[2:]:
        raise ModelError(f"features has shape {table.shape} and means {np.shape(means)}; they must be (S, A, k) and (k,)")
    flat = table.reshape(-1, table.shape[2])
    rank = int(np.linalg.matrix_rank(flat))
    if rank < flat.shape[1]:
        raise ModelError(f"the {flat.shape[1]} features have rank {rank}: drop those that are combinations of others")
    Q, R = np.linalg.qr(flat)
    return (Q @ np.linalg.solve(R.T, np.asarray(means, dtype=float))).reshape(table.shape[:2])


def _features(mdp: MDP, features: Any) -> Array:
    table = floats_of(numbers(features, "features"))
    if table.ndim != 3 or table.shape[:2] != (mdp.num_states, mdp.num_actions):
        raise ModelError(f"features has shape {table.shape}; this model takes ({mdp.num_states}, {mdp.num_actions}, k)")
    return table
