"""Random numbers by position: draw k of stream j of a seed is a pure function of (seed, j, k).

    draw(seed, j, k) = mix(key_j + k gamma_j)          key_j, gamma_j = mixes of the seed and of j, gamma_j odd

is the split generator of Steele, Lea and Flood (2014): each stream walks the 64-bit integers with a step of its own, so streams do not run into
each other by an offset.  A chain of a simulation owns the stream of its number.  So its path does not depend on how many chains are simulated
beside it, in which order, on how many threads or machines, or on whether the run was interrupted: the same seed gives the same figures.

A uniform takes the highest 53 bits: a multiple of 2^-53 in [0, 1).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.compiled import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
THIRD, FOURTH = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
ALTERNATING = np.uint64(0xAAAAAAAAAAAAAAAA)
S11, S27, S30, S31, S33 = np.uint64(11), np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(33)
ZERO, ONE = np.uint64(0), np.uint64(1)
UNIT = 2.0**-53
FEWEST_CHANGES = 24
"""A step whose bits change fewer times than this walks too regularly (Steele, Lea and Flood, section 5): it is replaced."""


def lean(function: Any) -> Any:
    """A kernel without checks for divisions by zero."""
    return kernel(function, error_model="numpy")


def inlined(function: Any) -> Any:
    """A kernel whose code goes into its callers."""
    return kernel(function, inline="always")


@inlined
def mix(z):  # type: ignore[no-untyped-def]
    """64 bits that look like no function of the 64 bits z, one to one (variant 13 of the finaliser of MurmurHash3)."""
    z = (z ^ (z >> S30)) * FIRST
    z = (z ^ (z >> S27)) * SECOND
    return z ^ (z >> S31)


@kernel
def step_of(z):  # type: ignore[no-untyped-def]
    """An odd step from the 64 bits z."""
    z = (z ^ (z >> S33)) * THIRD
    z = (z ^ (z >> S33)) * FOURTH
    z = (z ^ (z >> S33)) | ONE
    changes, left = 0, z ^ (z >> ONE)
    while left:
        left &= left - ONE
        changes += 1
    return z ^ ALTERNATING if changes < FEWEST_CHANGES else z


@kernel
def stream(seed, number):  # type: ignore[no-untyped-def]
    """(key, step) of stream `number` of `seed`."""
    own = mix(mix(seed) + (np.uint64(number) + ONE) * GOLDEN)
    return mix(own), step_of(own + GOLDEN)


@kernel
def uniforms(seed, number, first, count):  # type: ignore[no-untyped-def]
    """Draws first .. first + count - 1 of a stream as uniforms in [0, 1)."""
    key, step = stream(seed, number)
    out = np.empty(count)
    for k in range(count):
        out[k] = (mix(key + np.uint64(first + k) * step) >> S11) * UNIT
    return out


def checked_seed(seed: Any) -> np.uint64:
    """`seed` as 64 bits.  raises ModelError: no whole number in 0 .. 2^64 - 1."""
    try:
        value = operator.index(seed)
    except TypeError:
        raise ModelError(f"seed is {seed!r}, a {type(seed).__name__}; it must be a whole number") from None
    if isinstance(seed, bool | np.bool_):
        raise ModelError(f"seed is {seed!r}; it must be a whole number")
    if not 0 <= value < 2**64:
        raise ModelError(f"seed is {value}; it must lie in 0 .. 2^64 - 1")
    return np.uint64(value)
