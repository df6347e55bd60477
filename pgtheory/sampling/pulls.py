"""The compiled runs of bandit learners (`pgtheory.sampling.bandits` has the rules).

A round draws two numbers of the run's stream: the arm, then what it pays.  Round t reads row t - 1 of the tables, or the only row.  Losses are kept
relative to their least one; Newton's method for the mirror weights rises from the left end of the root's interval without passing the root."""

from __future__ import annotations

import numpy as np

from pgtheory.sampling.streams import S11, UNIT, lean, mix, stream


@lean
def draw(p, u):  # type: ignore[no-untyped-def]
    """The arm that u falls on; never one of probability 0."""
    arm = 0
    while arm < p.size - 1 and u >= p[arm]:
        u -= p[arm]
        arm += 1
    while p[arm] <= 0.0:
        arm -= 1
    return arm


@lean
def outcome(cumulative, u):  # type: ignore[no-untyped-def]
    """The first outcome whose running sum exceeds u."""
    k = 0
    while k < cumulative.size - 1 and u >= cumulative[k]:
        k += 1
    return k


@lean
def softmax_into(logits, p):  # type: ignore[no-untyped-def]
    largest = logits.max()
    total = 0.0
    for a in range(p.size):
        p[a] = np.exp(logits[a] - largest)
        total += p[a]
    for a in range(p.size):
        p[a] /= total


@lean
def note(p, good, total, regret, best, record):  # type: ignore[no-untyped-def]
    """Writes the regret so far and the probability of the good arms as entry `record` of a run."""
    share = 0.0
    for a in range(p.size):
        if good[a]:
            share += p[a]
    regret[record], best[record] = total, share


@lean
def softmax_runs(rewards, cumulative, gaps, good, means, start, eta, rule, number, natural, seed, run, times, regret, best, policy):  # type: ignore[no-untyped-def]
    """Runs run .. run + n - 1 of `SoftmaxGradient`.  rule: 0 the number as baseline, 1 the value, 2 the baseline of least variance."""
    arms = start.size
    logits, p = np.empty(arms), np.empty(arms)
    for c in range(regret.shape[0]):
        key, step = stream(seed, run + c)
        logits[:] = start
        softmax_into(logits, p)
        total, record = 0.0, 0
        for t in range(1, times[-1] + 1):
            row = min(t, gaps.shape[0]) - 1
            for a in range(arms):
                total += p[a] * gaps[row, a]
            arm = draw(p, (mix(key) >> S11) * UNIT)
            key += step
            paid = rewards[row, arm, outcome(cumulative[row, arm], (mix(key) >> S11) * UNIT)]
            key += step
            base = number
            if rule == 1:
                base = 0.0
                for a in range(arms):
                    base += p[a] * means[row, a]
            elif rule == 2:
                square, weight, base, least = 0.0, 0.0, 0.0, 1.0
                for a in range(arms):
                    square += p[a] * p[a]
                    if p[a] > 0.0:
                        least = min(least, p[a])
                for a in range(arms):
                    if p[a] > 0.0:
                        w = least / p[a] if natural else p[a] * (1.0 - 2.0 * p[a] + square)
                        weight += w
                        base += w * means[row, a]
                base = base / weight if weight > 0.0 else 0.0
            gain = eta * (paid - base)
            if natural:
                logits[arm] += gain / p[arm]
            else:
                for a in range(arms):
                    logits[a] -= gain * p[a]
                logits[arm] += gain
            softmax_into(logits, p)
            if t == times[record]:
                note(p, good, total, regret[c], best[c], record)
                record += 1
        policy[c] = p


@lean
def weights_into(losses, least, rate, kind, p):  # type: ignore[no-untyped-def]
    """p_a = (c / (rate (L_a - least + y)))^power with y such that they sum to 1: kind 1 has power 2 and c = 2, kind 2 power 1 and c = 1."""
    scale = 2.0 if kind == 1 else 1.0
    y = scale / rate
    for _ in range(100):
        excess, slope = -1.0, 0.0
        for a in range(p.size):
            x = losses[a] - least + y
            w = scale / (rate * x)
            if kind == 1:
                w *= w
                slope += 2.0 * w / x
            else:
                slope += w / x
            p[a] = w
            excess += w
        y += excess / slope
        if abs(excess) <= 4e-16 * slope * y:
            break


@lean
def gap_runs(rewards, cumulative, gaps, good, scale, growing, prior, weight, seed, run, times, regret, best, policy):  # type: ignore[no-untyped-def]
    """Runs run .. run + n - 1 of `InverseGapWeighting`."""
    arms = gaps.shape[1]
    losses, p, sums, counts = np.empty(arms), np.empty(arms), np.empty(arms), np.empty(arms)
    for c in range(regret.shape[0]):
        key, step = stream(seed, run + c)
        sums[:] = weight * prior
        counts[:] = weight
        total, record = 0.0, 0
        for t in range(1, times[-1] + 2):
            for a in range(arms):
                losses[a] = -sums[a] / counts[a]
            rate = 2.0 * scale
            if growing:
                rate *= np.sqrt(np.float64(t))
            weights_into(losses, losses.min(), rate, 2, p)
            mass = p.sum()
            for a in range(arms):
                p[a] /= mass
            if record < times.size and t - 1 == times[record]:
                note(p, good, total, regret[c], best[c], record)
                record += 1
            if t > times[-1]:
                break
            row = min(t, gaps.shape[0]) - 1
            for a in range(arms):
                total += p[a] * gaps[row, a]
            arm = draw(p, (mix(key) >> S11) * UNIT)
            key += step
            sums[arm] += rewards[row, arm, outcome(cumulative[row, arm], (mix(key) >> S11) * UNIT)]
            counts[arm] += 1.0
            key += step
        policy[c] = p


@lean
def mirror_runs(rewards, cumulative, gaps, good, eta, kind, decreasing, seed, run, times, regret, best, policy):  # type: ignore[no-untyped-def]
    """Runs run .. run + n - 1 of `MirrorDescent`.  kind: 0 Shannon, 1 Tsallis, 2 log-barrier."""
    arms = gaps.shape[1]
    losses, p = np.empty(arms), np.empty(arms)
    for c in range(regret.shape[0]):
        key, step = stream(seed, run + c)
        losses[:] = 0.0
        total, record = 0.0, 0
        for t in range(1, times[-1] + 2):
            rate = eta / np.sqrt(np.float64(t)) if decreasing else eta
            least = losses.min()
            if kind == 0:
                for a in range(arms):
                    p[a] = np.exp(-rate * (losses[a] - least))
            else:
                weights_into(losses, least, rate, kind, p)
            mass = p.sum()
            for a in range(arms):
                p[a] /= mass
            if record < times.size and t - 1 == times[record]:
                note(p, good, total, regret[c], best[c], record)
                record += 1
            if t > times[-1]:
                break
            row = min(t, gaps.shape[0]) - 1
            for a in range(arms):
                total += p[a] * gaps[row, a]
            arm = draw(p, (mix(key) >> S11) * UNIT)
            key += step
            paid = rewards[row, arm, outcome(cumulative[row, arm], (mix(key) >> S11) * UNIT)]
            key += step
            losses[arm] += (1.0 - paid) / p[arm]
        policy[c] = p
