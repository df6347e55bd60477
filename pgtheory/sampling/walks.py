"""The compiled walks: many chains in step, each with its own stream of random numbers.

Chain c draws from stream c of the seed: draw 0 its first state, draw 1 its length (if it ends at random), draw 2 + t its step t.  Chains walk in
blocks of `BLOCK`, all of them a step at a time: while the next cell of one is on its way from memory, others move.

Ends.  `horizon` steps; or, with discount stopping, a random length T >= 1 with P(T > t) = gamma^t, at most `horizon`: then the plain sum of rewards
has the mean E sum_{t < horizon} gamma^t r_t, and the states visited are a sample of the discounted visits.
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel
from pgtheory.sampling.streams import ONE, S11, UNIT, ZERO, lean, mix, stream
from pgtheory.sampling.tables import shift_of

BLOCK = 128
"""Chains that walk together: their states and keys stay in the nearest cache."""


@lean
def pick(table, first, count, u):  # type: ignore[no-untyped-def]
    """The outcome of alias cells first .. first + count - 1 that the uniform u falls on."""
    x = u * count
    j = np.uint64(x)
    cell = first + j
    return np.uint64(table[cell, 1] if x - np.float64(j) < table[cell, 0] else table[cell, 2])


@kernel
def scan(s, u, first_pair, indptr, indices, data, policy, shift):  # type: ignore[no-untyped-def]
    """The outcome (next state << shift) + action of state s by running sums."""
    pair = first_pair[s]
    last = first_pair[s + 1] - 1
    while pair < last and u >= policy[s, pair - first_pair[s]]:
        u -= policy[s, pair - first_pair[s]]
        pair += 1
    action = pair - first_pair[s]
    while policy[s, action] <= 0.0:  # u was beyond the sum by rounding: back to the last action that can be chosen
        action -= 1
        pair -= 1
    u /= policy[s, action]
    k, last = indptr[pair], indptr[pair + 1] - 1
    while k < last and u >= data[k]:
        u -= data[k]
        k += 1
    while data[k] <= 0.0:
        k -= 1
    return np.uint64((indices[k] << np.int64(shift)) + action)


@kernel
def length_of(u, discount, horizon):  # type: ignore[no-untyped-def]
    """T in 1 .. horizon with P(T > t) = discount^t for t < horizon; u uniform in [0, 1)."""
    if discount <= 0.0:
        return np.int64(1)
    steps = np.floor(np.log(1.0 - u) / np.log(discount))
    return np.int64(horizon) if steps >= horizon - 1 else np.int64(steps) + 1


@lean
def walk(first, table, start, first_pair, indptr, indices, data, policy, rewards, seed, chain, lengths, discount, stopped, states, actions, returns):  # type: ignore[no-untyped-def]
    """Chains chain .. chain + n - 1, n = returns.size.  `states` (n, horizon + 1) and `actions` (n, horizon) are filled unless they are empty.

    lengths   (n,) steps that each chain takes: `horizon` on entry, the random length on return if `stopped`
    returns   (n,) sum_t discount^t r_t (sum_t r_t if `stopped`)
    """
    by_alias, kept = table.shape[0] > 0, states.shape[0] > 0
    shift = shift_of(policy.shape[1])
    mask = (ONE << shift) - ONE
    at, keys, steps = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    sums = np.empty(BLOCK)
    for base in range(0, returns.size, BLOCK):
        size = min(BLOCK, returns.size - base)
        longest, shortest = np.int64(0), np.int64(2**62)
        for c in range(size):
            key, step = stream(seed, chain + base + c)
            at[c] = pick(start, ZERO, start.shape[0], (mix(key) >> S11) * UNIT)
            if stopped:
                lengths[base + c] = length_of((mix(key + step) >> S11) * UNIT, discount, lengths[base + c])
            longest, shortest = max(longest, lengths[base + c]), min(shortest, lengths[base + c])
            keys[c], steps[c] = key + step, step
            sums[c] = 0.0
            if kept:
                states[base + c, 0] = at[c]
        weight = 1.0
        for t in range(longest):
            if by_alias and not kept and t < shortest:
                for c in range(np.uint64(size)):
                    s = at[c]
                    keys[c] += steps[c]
                    outcome = pick(table, np.uint64(first[s]), first[s + ONE] - first[s], (mix(keys[c]) >> S11) * UNIT)
                    sums[c] += weight * rewards[s, outcome & mask]
                    at[c] = outcome >> shift
            else:
                for c in range(np.uint64(size)):
                    if t < lengths[base + c]:
                        s = at[c]
                        keys[c] += steps[c]
                        u = (mix(keys[c]) >> S11) * UNIT
                        if by_alias:
                            outcome = pick(table, np.uint64(first[s]), first[s + ONE] - first[s], u)
                        else:
                            outcome = scan(np.int64(s), u, first_pair, indptr, indices, data, policy, shift)
                        sums[c] += weight * rewards[s, outcome & mask]
                        at[c] = outcome >> shift
                        if kept:
                            actions[base + c, t] = outcome & mask
                            states[base + c, t + 1] = at[c]
            if not stopped:
                weight *= discount
        for c in range(size):
            returns[base + c] = sums[c]
