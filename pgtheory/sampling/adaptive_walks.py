"""The compiled walk of `pgtheory.sampling.adaptive`: batches of paths whose actions make up for what the batch has drawn too rarely so far.

Batch c uses stream c of the seed: for every path one number for the first state, then two a step: action, next state."""

from __future__ import annotations

import numpy as np

from pgtheory.sampling.pulls import draw
from pgtheory.sampling.streams import S11, UNIT, lean, mix, stream


@lean
def behaviour_into(policy, visits, strength, out):  # type: ignore[no-untyped-def]
    """out (A,): the law of the next action of a state whose actions were taken `visits` (A,) times.  policy (A,); strength below 0 means infinite."""
    actions = policy.size
    count = visits.sum() + 1.0
    most, at = -np.inf, 0
    for a in range(actions):
        out[a] = count * policy[a] - visits[a]
        if policy[a] > 0.0 and out[a] > most + 1e-12:
            most, at = out[a], a
    if strength < 0.0:
        out[:] = 0.0
        out[at] = 1.0
        return
    total = 0.0
    for a in range(actions):
        out[a] = policy[a] * np.exp(strength * (out[a] - most))
        total += out[a]
    for a in range(actions):
        out[a] /= total


@lean
def balanced_paths(first_pair, indptr, indices, data, policy, start, strength, seed, stream_number, states, actions):  # type: ignore[no-untyped-def]
    """Fills `states` (N, n, H + 1) and `actions` (N, n, H): batches stream_number .. stream_number + N - 1 of n paths of H steps."""
    batches, paths, horizon = actions.shape
    law = np.empty(policy.shape[1])
    visits = np.empty(policy.shape)
    for c in range(batches):
        key, step = stream(seed, stream_number + c)
        visits[:] = 0.0
        for k in range(paths):
            s = draw(start, (mix(key) >> S11) * UNIT)
            key += step
            states[c, k, 0] = s
            for t in range(horizon):
                behaviour_into(policy[s], visits[s], strength, law)
                a = draw(law, (mix(key) >> S11) * UNIT)
                key += step
                visits[s, a] += 1.0
                pair = first_pair[s] + a
                row = data[indptr[pair] : indptr[pair + 1]]
                s = indices[indptr[pair] + draw(row, (mix(key) >> S11) * UNIT)]
                key += step
                actions[c, k, t] = a
                states[c, k, t + 1] = s
