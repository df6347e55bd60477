"""Random streams by name: the same figures for any number of workers, in any order, without any state that is handed on.

Philox is a counter-based generator: a key and a counter give a block of random bits.  The key is a digest of the seed and of names (claim, form,
instance), the counter's upper words hold the stage of the test and the block of replications.  So block 7 can be drawn without blocks 0 to 6, a
fresh stage shares no bit with an earlier one, and two blocks are 2^128 draws apart.
"""

from __future__ import annotations

import hashlib

import numpy as np

BLOCK = 1000
"""Replications of one block: what is drawn and judged at once."""


def stream(seed: int, *names: object, stage: int = 0, block: int = 0) -> np.random.Generator:
    """The generator for one block of replications; a function of its arguments alone.

    stage, block   0, 1, 2, ...: streams of the same names that do not overlap"""
    if stage < 0 or block < 0:
        raise ValueError(f"stage {stage} and block {block} must not be negative")
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    key = np.frombuffer(digest[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, block, stage]))
