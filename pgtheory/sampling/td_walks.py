"""The compiled runs of TD control (`pgtheory.sampling.td_control` has the rules).

A run draws from its own stream: one number for every first state, one for every action, one for every next state."""

from __future__ import annotations

import numpy as np

from pgtheory.sampling.pulls import draw
from pgtheory.sampling.streams import S11, UNIT, lean, mix, stream


@lean
def exploring(values, exploration, out):  # type: ignore[no-untyped-def]
    """out (A,): any action with probability `exploration`, else one of the best, ties alike."""
    best, count = values.max(), 0
    for a in range(values.size):
        if values[a] == best:
            count += 1
    for a in range(values.size):
        out[a] = exploration / values.size
        if values[a] == best:
            out[a] += (1.0 - exploration) / count


@lean
def td_runs(indptr, indices, data, rewards, start, discount, kind, eta, decay, exploration, initial, horizon, seed, run, ticks, out):  # type: ignore[no-untyped-def]
    """Fills `out` (N, R, S, A) with Q after ticks (R,) transitions.  kind: 0 SARSA, 1 expected SARSA, 2 Q-learning."""
    actions = rewards.shape[1]
    Q, visits, law = np.empty(rewards.shape), np.empty(rewards.shape), np.empty(actions)
    for c in range(out.shape[0]):
        key, step = stream(seed, run + c)
        Q[:] = initial
        visits[:] = 0.0
        s, a, age, record = 0, 0, horizon, 0
        for t in range(ticks[-1] + 1):
            while record < ticks.size and ticks[record] == t:
                out[c, record] = Q
                record += 1
            if t == ticks[-1]:
                break
            if age == horizon:
                s = draw(start, (mix(key) >> S11) * UNIT)
                key += step
                exploring(Q[s], exploration, law)
                a = draw(law, (mix(key) >> S11) * UNIT)
                key += step
                age = 0
            pair = s * actions + a
            after = indices[indptr[pair] + draw(data[indptr[pair] : indptr[pair + 1]], (mix(key) >> S11) * UNIT)]
            key += step
            exploring(Q[after], exploration, law)
            then = draw(law, (mix(key) >> S11) * UNIT)
            key += step
            worth = Q[after, then]
            if kind == 1:
                worth = 0.0
                for b in range(actions):
                    worth += law[b] * Q[after, b]
            elif kind == 2:
                worth = Q[after].max()
            visits[s, a] += 1.0
            Q[s, a] += eta / visits[s, a] ** decay * (rewards[s, a] + discount * worth - Q[s, a])
            s, a = after, then  # SARSA has chosen its next action; the others keep to it as well
            age += 1
