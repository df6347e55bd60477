"""The bias of estimating a risk by the risk of the empirical law of n samples, exactly: all samples are enumerated.

    E rho(P_n) = sum over counts k_1 + ... + k_m = n of  n! / (k_1! ... k_m!) p_1^{k_1} ... p_m^{k_m} rho(k / n)

A risk of rewards that is convex in the law (CVaR, spectral, entropic, EVaR: suprema of linear functions of it) has E rho(P_n) >= rho(P), decreasing
in n: the plug-in is optimistic (Jensen; P_n is the mean of its leave-one-out laws).  For the entropic risk 0 <= E ERM_n - ERM <=
Var(Z) / (2 beta n z0^2), Z = exp(-beta X), z0 its smallest value.  VaR is not convex in the law and has no such order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.arithmetic import kind
from pgtheory.risk.measures import Measure, check_law, parse
from pgtheory.risk.tail import _number

Array = np.ndarray
MOST_SAMPLES = 1_000_000
"""Different empirical laws that are enumerated."""


def expected_plug_in(measure: Measure | str, probabilities: Any, rewards: Any, samples: int) -> Any:
    """E rho(P_n) for n i.i.d. samples of a finite law (m,): exact in rationals where the measure is, else in floats.

    raises   ModelError: n below 1, no law, or more than MOST_SAMPLES empirical laws
    """
    measure = parse(measure)
    p, x = check_law(probabilities, rewards)
    if p.ndim != 1:
        raise ModelError(f"probabilities have shape {p.shape}; the law of one sample is (m,)")
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 1:
        raise ModelError(f"the number of samples is {samples!r}; it must be a whole number of at least 1")
    count = math.comb(int(samples) + p.size - 1, p.size - 1)
    if count > MOST_SAMPLES:
        raise ModelError(f"{samples} samples of {p.size} outcomes have {count:,} empirical laws; enumeration goes to {MOST_SAMPLES:,}")
    counts = np.array(list(compositions(int(samples), p.size)), dtype=object)
    n = _number(int(samples), p)
    if kind(p) == "float":
        laws = counts.astype(np.float64) / n
        logs = [math.lgamma(samples + 1) - sum(math.lgamma(k + 1) for k in row) for row in counts.tolist()]
        with np.errstate(divide="ignore"):
            powers = np.where(counts.astype(float) > 0, counts.astype(float) * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(axis=1)
        weights = np.where(((counts > 0) & (p == 0)).any(axis=1), 0.0, np.exp(np.array(logs) + powers))
        return float((weights * measure.value(laws, x)).sum())
    total = _number(0, p)
    for row in counts.tolist():
        weight = _number(math.factorial(int(samples)), p)
        for k, q in zip(row, p.tolist(), strict=True):
            weight = weight * q**k / math.factorial(k)
        if not weight == 0:
            law = np.array([_number(k, p) / n for k in row], dtype=object)
            total = total + weight * measure.value(law, x)
    return total


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All (k_1, ..., k_parts) of non-negative integers with the given sum."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in compositions(total - first, parts - 1):
            yield (first, *rest)
