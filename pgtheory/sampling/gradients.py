"""The compiled reward-to-go estimator: many chains of H steps, their gradient summed without keeping a path.

    g = sum_t score(s_t, a_t) (R_t - gamma^t b(s_t)),      R_t = sum_{k >= t} gamma^k r_k,      score(s, a) = e_{s,a} - pi(.|s) e_s

For a tabular softmax policy the sum over chains needs two counts only: the weights by (s, a), and by s.  Chains are those of `simulate` with the
same seed, so the figure equals that of the kept paths.  Sums run over slices of fixed size, added in order: no thread count changes a bit.
Williams (1992), Baxter and Bartlett (2001).
"""

from __future__ import annotations

import numpy as np

from pgtheory.sampling.streams import ONE, S11, UNIT, ZERO, lean, mix, stream
from pgtheory.sampling.tables import shift_of
from pgtheory.sampling.walks import BLOCK, pick, scan


@lean
def reward_to_go(first, table, start, first_pair, indptr, indices, data, policy, rewards, seed, chain, chains, horizon, discount, baseline, sums):  # type: ignore[no-untyped-def]
    """Adds sum over chains of the weight of every (s, a) to `sums` (S, A): the estimate is sums - policy * sums by state, over `chains`."""
    by_alias = table.shape[0] > 0
    shift = shift_of(policy.shape[1])
    mask = (ONE << shift) - ONE
    at, keys, steps = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    codes, togo = np.empty((horizon, BLOCK), np.uint64), np.empty(BLOCK)
    powers = np.empty(horizon)
    power = 1.0
    for t in range(horizon):
        powers[t] = power
        power *= discount
    for base in range(0, chains, BLOCK):
        size = np.uint64(min(BLOCK, chains - base))
        for c in range(size):
            key, step = stream(seed, chain + base + np.int64(c))
            at[c] = pick(start, ZERO, start.shape[0], (mix(key) >> S11) * UNIT)
            keys[c], steps[c] = key + step, step
            togo[c] = 0.0
        for t in range(np.uint64(horizon)):
            for c in range(size):
                s = at[c]
                keys[c] += steps[c]
                u = (mix(keys[c]) >> S11) * UNIT
                if by_alias:
                    outcome = pick(table, np.uint64(first[s]), first[s + ONE] - first[s], u)
                else:
                    outcome = scan(np.int64(s), u, first_pair, indptr, indices, data, policy, shift)
                codes[t, c] = (s << shift) | (outcome & mask)
                at[c] = outcome >> shift
        for back in range(np.uint64(horizon)):
            t = np.uint64(horizon - 1) - back
            for c in range(size):
                s, a = codes[t, c] >> shift, codes[t, c] & mask
                togo[c] += powers[t] * rewards[s, a]
                sums[s, a] += togo[c] - powers[t] * baseline[s]
