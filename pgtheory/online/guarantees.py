"""What is proved about the regret of each learner, with its constants: derivations in docs/theory/online.md.

bonus sums    sum over the visits of a stage of min(2 b, c) with b = (c / 2) sqrt(2 iota / n), n visits before:
              the first visit of each of the S A pairs costs c, visit n + 1 at most c sqrt(2 iota / n), and sum_{n < N} 1 / sqrt n <= 2 sqrt N, so
              c (S A + 2 sqrt(2 iota S A T)) by Cauchy and Schwarz                                                        -> `visited`
leaders       H stages of exponential weights on gains in [0, H - h]: (H (H + 1) / 2) sqrt(K log A / 2)                    -> `hedged`
"""

from __future__ import annotations

import dataclasses

import numpy as np

Array = np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Guarantee:
    """values (R,): the expected regret after so many episodes is at most this; text says what the proof needs."""

    values: Array
    text: str


def log_l1(shape: tuple[int, int, int], counts: int, delta: float) -> float:
    """iota = log((2^S - 2) S A H n / delta), n the number of counts in the union; 0 for one state, whose transitions are known.

    Weissman et al. (2003): P(|P_hat - P|_1 >= sqrt(2 iota / n)) <= (2^S - 2) e^-iota."""
    H, S, A = shape
    if S == 1:
        return 0.0
    return float(S * np.log(2) + np.log1p(-(2.0 ** (1 - S))) + np.log(S * A * H * counts / delta))


def log_pairs(shape: tuple[int, int, int], counts: int, delta: float, sides: int = 1) -> float:
    """log(sides S A H n / delta): Hoeffding's inequality for every pair and count."""
    H, S, A = shape
    return float(np.log(sides * S * A * H * counts / delta))


def visited(shape: tuple[int, int, int], times: Array, log: float, stale: float = 1.0) -> Array:
    """(R,): S A + 2 stale sqrt(2 log S A T): at least the sum over the visits of a stage of min(1, stale sqrt(2 log / n)).

    stale   how much a width in use may exceed that of the counts of the day: sqrt 2 where they are taken up at doublings"""
    _, S, A = shape
    return np.asarray(S * A + 2 * stale * np.sqrt(2 * log * S * A * times))


def hedged(shape: tuple[int, int, int], episodes: int, times: Array, scale: float = 1.0) -> Array:
    """(R,): H stages of exponential weights with steps scale sqrt(8 log A / K) / (H - h), after T <= K episodes.

    log A / eta + eta T (H - h)^2 / 8 a stage, and sum_h (H - h) = H (H + 1) / 2.  One action needs no learning."""
    H, _, A = shape
    if A == 1:
        return np.zeros(len(times))
    return np.asarray(H * (H + 1) / 2 * np.sqrt(episodes * np.log(A) / 8) * (1 / scale + scale * times / episodes))


def ranges(shape: tuple[int, int, int]) -> Array:
    """(H,): H - 1 - h, what the steps after h can pay."""
    H = shape[0]
    return np.arange(H - 1, -1, -1.0)
