"""Maximisers over the simplex as kernels, a row at a time: the compiled forms of `potentials` and of the rows of mirror learning.

Both families of `potentials` lead to one equation for a level y,

    f(y) = sum_a w_a [y - d_a]_+^e = 1

    Bregman, order q      w = 1,   d = (q - 1) g,                    e = 1 / (q - 1),     y = z^(q - 1),    p_a = [y - d_a]_+^e
    Tsallis, order q      w = mu,  d = (q - 1)(max Q - Q)/(tau q),   e = 1 / (q - 1),                       p_a = mu_a [y - d_a]_+^e

with g_a >= 0 the distance of phi'(pi_a) + eta Q_a from the largest.  F = f^(1/e) is a norm of the vector [y - d]_+ and so nearly a straight line in
y: convex for e >= 1, concave for e < 0.  Newton's iteration on F = 1,

    y <- y - (1 - f^(-1/e)) e f / f',

takes a handful of steps where bisection takes 64; a bracket guards it for 0 < e < 1, where f has kinks of infinite slope.  It ends when y moves by
less than a rounding, and the row is divided by its sum, as in the plain form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.compiled import kernel

NEWTON = 200
"""Steps after which a level is taken as it is: more than bisection needs, whose steps are among them."""
CLOSE = 2.0**-51
"""Relative move of the level at which Newton's iteration ends: two units in the last place."""
LEAST = 1e-200
"""A sum of tilted weights below this has lost digits to underflow: the row is computed from logarithms."""


def numeric(function: Any) -> Any:
    """A kernel in which a division by 0 is an infinity, as in numpy."""
    return kernel(function, error_model="numpy")


@numeric
def tilted(policy, exponents):
    """policy exp(exponents), normalised in each row; an action of probability 0 stays at 0."""
    out = np.empty_like(policy)
    for s in range(policy.shape[0]):
        pi, x, row = policy[s], exponents[s], out[s]
        best = -np.inf
        for a in range(pi.size):
            if pi[a] > 0.0:
                best = max(best, x[a])
        total = 0.0
        for a in range(pi.size):
            row[a] = pi[a] * np.exp(x[a] - best) if pi[a] > 0.0 else 0.0
            total += row[a]
        if not total > LEAST:
            best = -np.inf
            for a in range(pi.size):
                row[a] = np.log(pi[a]) + x[a]
                best = max(best, row[a])
            total = 0.0
            for a in range(pi.size):
                row[a] = np.exp(row[a] - best)
                total += row[a]
        for a in range(pi.size):
            row[a] /= total
    return out


@numeric
def power(x, exponent):
    """x^exponent for x >= 0: the common ones without a logarithm."""
    if exponent == 1.0:
        return x
    if exponent == 2.0:
        return x * x
    if exponent == 0.5:
        return np.sqrt(x)
    if exponent == -1.0:
        return 1.0 / x
    if exponent == -2.0:
        return 1.0 / (x * x)
    if exponent == -0.5:
        return 1.0 / np.sqrt(x)
    return x**exponent


@numeric
def level_row(weights, gaps, exponent, low, high, first, out):
    """out = w [y - d]_+^e, divided by its sum, at the level y in [low, high] where the sum is 1; `first` is where Newton's iteration begins."""
    rising = exponent > 0.0
    y = min(max(first, low), high)
    for _ in range(NEWTON):
        total, slope = 0.0, 0.0
        for a in range(gaps.size):
            base = y - gaps[a]
            out[a] = weights[a] * power(base, exponent) if base > 0.0 else 0.0
            total += out[a]
            if out[a] > 0.0:
                slope += out[a] / base
        if total == 1.0:
            break
        if (total > 1.0) == rising:
            high = min(high, y)
        else:
            low = max(low, y)
        following = y - (1.0 - power(total, -1.0 / exponent)) * total / slope
        if not low < following < high:
            if abs(following - y) <= CLOSE * y:
                break
            following = (low + high) / 2
        if abs(following - y) <= CLOSE * y:
            break
        y = following
    total = 0.0
    for a in range(gaps.size):
        total += out[a]
    for a in range(gaps.size):
        out[a] /= total


@numeric
def bregman_rows(policy, gains, order):
    """`potentials.bregman_argmax` for orders other than 1 and 2: argmax_p <gains, p> - B_q(p, policy) in every row."""
    count = policy.shape[1]
    weight, exponent = order - 1.0, 1.0 / (order - 1.0)
    ends = power(float(count), -weight)
    low, high = min(1.0, ends), max(1.0, ends)
    out, ones, gaps = np.empty_like(policy), np.ones(count), np.empty(count)
    for s in range(policy.shape[0]):
        best, at = -np.inf, 0
        for a in range(count):
            gaps[a] = (power(policy[s, a], weight) - 1.0) / weight + gains[s, a]
            if gaps[a] > best:
                best, at = gaps[a], a
        for a in range(count):
            gaps[a] = weight * (best - gaps[a])
        level_row(ones, gaps, exponent, low, high, power(policy[s, at], weight), out[s])
    return out


@numeric
def tsallis_rows(reference, action_values, order, temperature):
    """`potentials.tsallis_argmax`: argmax_p <Q, p> - tau KL_q(p || reference) in every row, q > 1."""
    count = reference.shape[1]
    scale = (order - 1.0) / order / temperature
    out, gaps = np.empty_like(reference), np.empty(count)
    for s in range(reference.shape[0]):
        best = -np.inf
        for a in range(count):
            if reference[s, a] > 0.0:
                best = max(best, action_values[s, a])
        most = 0.0
        for a in range(count):
            gaps[a] = (best - action_values[s, a]) * scale
            if gaps[a] <= 0.0:
                most = max(most, reference[s, a])
        high = power(most, 1.0 - order)
        level_row(reference[s], gaps, 1.0 / (order - 1.0), 1.0, high, high, out[s])
    return out


@numeric
def tsallis_divergences(new, old, order):
    """KL_q(new || old) in every row; terms with new = 0 are 0."""
    out = np.zeros(new.shape[0])
    for s in range(new.shape[0]):
        for a in range(new.shape[1]):
            if new[s, a] > 0.0:
                ratio = new[s, a] / old[s, a]
                out[s] += new[s, a] * (np.log(ratio) if order == 1.0 else (power(ratio, order - 1.0) - 1.0) / (order - 1.0))
    return out


@numeric
def clipped_rows(policy, gains, clip):
    """`mirror_learning.clipped_argmax` in every row."""
    out = np.zeros_like(policy)
    count = policy.shape[1]
    filled = np.empty(count, dtype=np.bool_)
    for s in range(policy.shape[0]):
        pi, gain, row = policy[s], gains[s], out[s]
        whole, mass, some = 0.0, 0.0, False
        for a in range(count):
            whole += pi[a]
            filled[a] = not gain[a] > 0.0
            if gain[a] > 0.0:
                mass += pi[a]
                some = True
        if not some:
            for a in range(count):
                row[a] = pi[a]
            continue
        left = whole
        for _ in range(count):  # falling advantages, the first of equal ones first
            best = -1
            for a in range(count):
                if not filled[a] and (best < 0 or gain[a] > gain[best]):
                    best = a
            if best < 0:
                break
            filled[best] = True
            row[best] = min((1.0 + clip) * pi[best], left)
            left -= row[best]
        wanted = 0.0
        for a in range(count):
            if not gain[a] > 0.0:
                wanted += pi[a] * (1.0 - clip if gain[a] < 0.0 else 1.0)
        share = min(left / wanted, 1.0) if wanted > 0.0 else 0.0
        given = 0.0
        for a in range(count):
            if not gain[a] > 0.0:
                row[a] = share * pi[a] * (1.0 - clip if gain[a] < 0.0 else 1.0)
            given += row[a]
        left, good = whole - given, 0
        for a in range(count):
            good += gain[a] > 0.0
        for a in range(count):
            if gain[a] > 0.0:
                row[a] += left * (pi[a] / mass if mass > 0.0 else whole / good)
    return out
