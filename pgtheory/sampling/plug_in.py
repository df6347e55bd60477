"""Plug-in planning from a generative model: draw every pair n times, plan in the model of the frequencies, and what is lost by it.

P^ holds the frequencies of n independent draws of every pair (s, a); rewards are known.  With Q^* and V* of the true model (`plug-in-planning-error`)

    |Q^^* - Q*|_inf  <=  gamma / (1 - gamma)  |(P^ - P) V*|_inf                                              on every outcome of the draws,
    |Q^^* - Q*|_inf  <=  gamma span(V*) / (1 - gamma)  sqrt(log(2 S A / delta) / (2 n))                     with probability 1 - delta (Hoeffding),

and the policy that is greedy for Q^^* loses at most 2 / (1 - gamma) times the left side.  Azar, Munos and Kappen (2013); Agarwal, Kakade and Yang
(2020).  `sampled_models` draws, `run_plug_in` plans along a growing sample, `plug_in_law` lists every outcome of the draws of a small model.

Draw k of pair p in run c is number k of stream c S A + p: a sample of 100 begins with the sample of 50.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.run import recorded_times
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.stochastic import SampledRuns
from pgtheory.sampling.streams import checked_seed, uniforms
from pgtheory.sampling.td_control import greedy

Array = np.ndarray
MOST_OUTCOMES = 2**16
"""Outcomes of the draws that `plug_in_law` looks through."""


@dataclasses.dataclass(frozen=True)
class PlugIn:
    """Planning in the empirical model.  samples: draws of every pair an iteration."""

    samples: int = 10

    def __post_init__(self) -> None:
        _count("samples", self.samples, 1)


@dataclasses.dataclass(frozen=True)
class PlugInRuns(SampledRuns):
    """`SampledRuns` of planned policies.  errors (N, R): |Q^* - Q*|_inf;  pathwise (N, R): the bound that holds on every outcome; inf at t = 0."""

    errors: Array = dataclasses.field(default_factory=lambda: np.zeros(0))
    pathwise: Array = dataclasses.field(default_factory=lambda: np.zeros(0))


def sampled_models(mdp: MDP, samples: Sequence[int] | Array | int, seed: int = 0, *, run: int = 0) -> Array:
    """(R, S, A, S): the frequencies after each of the increasing numbers of `samples` of every pair.

    raises   ModelError: no sample, numbers that do not increase, a seed that is no whole number"""
    counts = np.atleast_1d(np.array([_count("samples", n, 1) for n in np.atleast_1d(np.asarray(samples, dtype=object))], dtype=np.int64))
    if (np.diff(counts) <= 0).any():
        raise ModelError(f"samples must increase; got {counts.tolist()}")
    P, number = _rows(mdp), checked_seed(seed)
    rows = P.reshape(-1, P.shape[-1])
    out = np.empty((counts.size, *rows.shape))
    for p, row in enumerate(rows):
        sums = row.cumsum()
        drawn = np.searchsorted(sums / sums[-1], uniforms(number, run * len(rows) + p, 0, int(counts[-1])), side="right").clip(max=row.size - 1)
        begin, total = 0, np.zeros(row.size)
        for k, n in enumerate(counts):
            total = total + np.bincount(drawn[begin:n], minlength=row.size)
            out[k, p], begin = total / n, n
    return out.reshape(counts.size, *P.shape)


def run_plug_in(
    mdp: MDP,
    method: PlugIn,
    iterations: int,
    runs: int = 1,
    seed: int = 0,
    *,
    record: str | Sequence[int] | Array = "log",
    first: int = 0,
) -> PlugInRuns:
    """Policies planned after t x samples draws of every pair; before the first draw the uniform one.  `paths` counts all draws."""
    from pgtheory.exact import solve

    runs, first, mdp = _count("runs", runs, 1), _count("first", first, 0), mdp.float
    P, r, times = _rows(mdp), np.asarray(mdp.rewards), recorded_times(record, iterations)
    values = solve(mdp, tol=1e-11).values
    action_values = r + mdp.discount * P @ values
    policies = np.full((runs, times.size, *r.shape), 1 / r.shape[1])
    errors, pathwise = np.full((runs, times.size), np.inf), np.full((runs, times.size), np.inf)
    for c in range(runs if times[-1] > 0 else 0):
        models = sampled_models(mdp, times[times > 0] * method.samples, seed, run=first + c)
        planned = _planned(models, r, float(mdp.discount))
        policies[c, times > 0] = greedy(planned)
        errors[c, times > 0] = np.abs(planned - action_values).max(axis=(1, 2))
        pathwise[c, times > 0] = mdp.discount / (1 - mdp.discount) * np.abs((models - P) @ values).max(axis=(1, 2))
    drawn = np.tile(times * method.samples * r.size, (runs, 1))
    return PlugInRuns(mdp, method, times, policies, drawn, errors=errors, pathwise=pathwise)


@dataclasses.dataclass(frozen=True)
class PlugInLaw:
    """Every outcome of n draws of each pair: probabilities (N,), errors |Q^* - Q*|_inf (N,), gaps V*(start) - V(start) of the planned policy (N,)."""

    probabilities: Array
    errors: Array
    gaps: Array

    def failure(self, radius: float) -> float:
        """P(error > radius)."""
        return float(self.probabilities[self.errors > radius].sum())


def plug_in_law(mdp: MDP, samples: int) -> PlugInLaw:
    """All outcomes, by their counts.  raises ModelError: more than 2^16 of them"""
    from pgtheory.control.variational import sample_counts
    from pgtheory.exact import solve

    mdp, samples = mdp.float, _count("samples", samples, 1)
    P, r = _rows(mdp), np.asarray(mdp.rewards)
    rows = P.reshape(-1, P.shape[-1])
    choices, chances = [], []
    size = math.prod(math.comb(samples + int(np.count_nonzero(row)) - 1, samples) for row in rows)
    if size > MOST_OUTCOMES:
        raise ModelError(f"{samples} draws of every pair have {size:,} outcomes; at most {MOST_OUTCOMES:,} are listed. Take fewer")
    for row in rows:
        support = np.flatnonzero(row)
        counts, orders = sample_counts(support.size, samples)
        full = np.zeros((len(counts), row.size))
        full[:, support] = counts / samples
        choices.append(full)
        chances.append(orders * (row[support] ** counts).prod(axis=1))
    picks = list(itertools.product(*(range(len(c)) for c in choices)))
    models = np.array([[choices[p][k] for p, k in enumerate(pick)] for pick in picks]).reshape(-1, *P.shape)
    probabilities = np.array([np.prod([chances[p][k] for p, k in enumerate(pick)]) for pick in picks])
    values = solve(mdp, tol=1e-11).values
    planned = _planned(models, r, float(mdp.discount))
    errors = np.abs(planned - (r + mdp.discount * P @ values)).max(axis=(1, 2))
    runs = SampledRuns(mdp, None, np.zeros(1, np.int64), greedy(planned)[:, None], np.zeros((len(models), 1)))
    return PlugInLaw(probabilities, errors, runs.gaps()[:, 0])


def plug_in_radius(mdp: MDP, samples: int, delta: float) -> float:
    """gamma span(V*) / (1 - gamma) sqrt(log(2 S A / delta) / (2 n)): |Q^* - Q*|_inf exceeds it with probability at most delta."""
    from pgtheory.exact import solve

    if not 0 < delta < 1:
        raise ModelError(f"delta is {delta}; it must lie in (0, 1)")
    values, gamma = solve(mdp.float, tol=1e-11).values, float(mdp.discount)
    span = float(values.max() - values.min())
    return gamma * span / (1 - gamma) * float(np.sqrt(np.log(2 * mdp.num_pairs / delta) / (2 * _count("samples", samples, 1))))


def _planned(models: Array, rewards: Array, discount: float) -> Array:
    """(R, S, A): Q* of every model."""
    from pgtheory.exact.batch import batch_optimal

    count = len(models)
    found: Any = batch_optimal(models, np.tile(rewards, (count, 1, 1)), np.full(count, discount))
    return np.asarray(found[1])


def _rows(mdp: MDP) -> Array:
    """(S, A, S) transitions.  raises ModelError: states that differ in their number of actions"""
    if not mdp.is_rectangular:
        raise ModelError("plug-in planning here takes the same number of actions in every state; this model has states that differ")
    return np.asarray(mdp.float.transitions)
