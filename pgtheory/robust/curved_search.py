"""Compiled searches for s-rectangular sets with curved sides (KL, chi2, L2): nature's tilt of every row at a common level, or at a common price.

Row a has one tilt, q(theta) = argmin q . y + D(q, p) / theta, with mean m(theta) = q . y falling and divergence D(theta) growing:

    KL      q ~ p exp(-theta y)               chi2    q = p (e - theta y / 2)_+               L2     q = (p + e - theta y / 2)_+

e such that q sums to 1: Newton from the right on a convex, rising, piecewise linear function, which ends after finitely many steps.  As a function of
the mean w the divergence is convex with dD/dw = -theta, so that

    level u of the best policy      sum_a D_a((u - base_a) / gain) = budget,      slope -sum_a theta_a / gain
    price mu of a given policy      sum_a D_a(pi_a mu) = budget,                  slope sum_a pi_a theta_a |m'|

are solved by Newton's method in a bracket.  What is found is judged by bounds that do not depend on it (`blocks.best_curved`, `worst_curved`); the
plain form of a row is `blocks._tilt`.
"""

from __future__ import annotations

import numpy as np

from pgtheory.compiled import kernel

EPS = 2.0**-52
KINDS = {"kl": 0, "chi2": 1, "l2": 2}
SATURATED = 1e15
"""The tilt that stands for all mass on the smallest values."""
ROUNDS = 100
"""Most steps of each search; Newton's method takes some six."""


@kernel
def tilted_row(kind, everywhere, p, y, theta):
    """(mean, divergence, minus the slope of the mean in theta) of the row at this tilt; y >= 0, with a 0 on the support."""
    n = p.size
    if kind == 0:
        shortfall, first, second, total = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            if p[i] > 0.0:
                less = np.expm1(-theta * y[i])
                weight = p[i] * (1.0 + less)
                shortfall += p[i] * less
                total += weight
                first += weight * y[i]
                second += weight * y[i] * y[i]
        mean = first / total
        log_mass = np.log1p(shortfall) if shortfall > -0.5 else np.log(total)
        return mean, max(-theta * mean - log_mass, 0.0), max(second / total - mean * mean, 0.0)
    half, level, before = theta / 2, np.inf, np.inf
    mean, weight, moment, square, divergence = 0.0, 0.0, 0.0, 0.0, 0.0
    for _ in range(n + 2):
        mass, weight, moment, square, mean, divergence = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            if p[i] > 0.0 or (kind == 2 and everywhere):
                scale = p[i] if kind == 1 else 1.0
                shift = p[i] if kind == 2 else 0.0
                if level == np.inf or shift + scale * (level - half * y[i]) > 0.0:
                    mass += shift
                    weight += scale
                    moment += scale * y[i]
                    square += scale * y[i] * y[i]
                    if level < np.inf:
                        q = shift + scale * (level - half * y[i])
                        mean += q * y[i]
                        divergence += (q - p[i]) * (q - p[i]) / scale
                else:
                    divergence += p[i] if kind == 1 else p[i] * p[i]
        if level <= before and level == (1.0 - mass + half * moment) / weight and before < np.inf:
            break
        before = level
        level = (1.0 - mass + half * moment) / weight
        if before < np.inf and level >= before:  # rounding: it only falls
            break
    return mean, divergence, max(square - moment * moment / weight, 0.0) / 2


@kernel
def flattened_row(kind, everywhere, p, y):
    """The divergence of the nearest row that has all of its mass on the smallest values."""
    mass, count, rest = 0.0, 0, 0.0
    for i in range(p.size):
        if p[i] > 0.0 or (kind == 2 and everywhere):
            if y[i] == 0.0:
                mass += p[i]
                count += 1
            else:
                rest += p[i] * p[i]
    if kind == 0:
        return -np.log(mass)
    return 1.0 / mass - 1.0 if kind == 1 else (1.0 - mass) ** 2 / count + rest


@kernel
def tilt_to(kind, everywhere, p, y, wanted, begin):
    """theta at which the row's mean is `wanted`, strictly between its ends."""
    low, high, theta = 0.0, np.inf, begin
    for _ in range(ROUNDS):
        mean, _, slope = tilted_row(kind, everywhere, p, y, theta)
        if mean > wanted:
            low = theta
        else:
            high = theta
        following = theta + (mean - wanted) / slope if slope > 0.0 else np.inf
        if abs(mean - wanted) <= 2 * EPS * wanted or theta >= SATURATED or following == theta:
            break
        if high == np.inf:
            following = min(max(following, low), max(8 * theta, 1e-8))
        if not low < following < high:
            following = (low + high) / 2 if low > 0.0 or high < 1e-200 else high / 8
        if high < np.inf and high - low <= 2 * EPS * high:
            break
        theta = min(following, SATURATED)
    return theta


@kernel
def level_tilts(kind, everywhere, p, y, base, gain, budget, theta, held):
    """theta (S, A) at the level of the best policy; held[s]: the budget brings all actions down to the largest base."""
    actions = base.shape[1]
    means = np.empty(actions)
    for s in range(base.shape[0]):
        floor, ceiling, most = -np.inf, -np.inf, 0.0
        for a in range(actions):
            total = 0.0
            for i in range(p.shape[2]):
                total += p[s, a, i] * y[s, a, i]
            means[a] = total
            floor, ceiling = max(floor, base[s, a]), max(ceiling, base[s, a] + gain * total)
            theta[s, a] = 1.0
        for a in range(actions):
            wanted = (floor - base[s, a]) / gain
            if wanted <= 0.0 and means[a] > 0.0:
                most += flattened_row(kind, everywhere, p[s, a], y[s, a])
            elif wanted < means[a]:
                theta[s, a] = tilt_to(kind, everywhere, p[s, a], y[s, a], wanted, 1.0)
                most += tilted_row(kind, everywhere, p[s, a], y[s, a], theta[s, a])[1]
        held[s] = most <= budget[s]
        low, high = floor, ceiling
        level = floor if held[s] else (low + high) / 2
        for _ in range(ROUNDS):
            spent, slope = 0.0, 0.0
            for a in range(actions):
                wanted = (level - base[s, a]) / gain
                if wanted >= means[a]:
                    theta[s, a] = 0.0
                elif wanted <= 0.0:
                    theta[s, a] = SATURATED
                    spent += flattened_row(kind, everywhere, p[s, a], y[s, a])
                else:
                    begin = theta[s, a] if 0.0 < theta[s, a] < SATURATED else 1.0
                    theta[s, a] = tilt_to(kind, everywhere, p[s, a], y[s, a], wanted, begin)
                    spent += tilted_row(kind, everywhere, p[s, a], y[s, a], theta[s, a])[1]
                    slope += theta[s, a] / gain
            if held[s]:
                break
            away = spent - budget[s]
            if away > 0.0:
                low = level
            else:
                high = level
            if abs(away) <= 32 * EPS * budget[s] or budget[s] == 0.0:
                break
            following = level + away / slope if slope > 0.0 else (low + high) / 2
            if following == level or high - low <= 4 * EPS * max(abs(low), abs(high)):
                break
            if not low < following < high:
                following = (low + high) / 2
            level = following
        if budget[s] == 0.0:
            for a in range(actions):
                theta[s, a] = 0.0


@kernel
def prices(kind, everywhere, p, y, policy, budget, price):
    """price[s] = mu with sum_a D_a(pi_a mu) = budget[s]; SATURATED where the budget suffices for the smallest values.  In: where to begin."""
    actions = policy.shape[1]
    for s in range(policy.shape[0]):
        most = 0.0
        for a in range(actions):
            if policy[s, a] > 0.0:
                most += flattened_row(kind, everywhere, p[s, a], y[s, a])
        if budget[s] <= 0.0 or most <= budget[s]:
            price[s] = 0.0 if budget[s] <= 0.0 else SATURATED
            continue
        low, high, mu = 0.0, np.inf, price[s]
        for _ in range(ROUNDS):
            spent, slope = 0.0, 0.0
            for a in range(actions):
                if policy[s, a] > 0.0:
                    _, divergence, fall = tilted_row(kind, everywhere, p[s, a], y[s, a], policy[s, a] * mu)
                    spent += divergence
                    slope += policy[s, a] * policy[s, a] * mu * fall
            away = spent - budget[s]
            if away > 0.0:
                high = mu
            else:
                low = mu
            following = mu - away / slope if slope > 0.0 else 8 * mu
            if abs(away) <= 32 * EPS * budget[s] or mu >= SATURATED or following == mu:
                break
            if high == np.inf:
                following = min(following, 8 * mu)
            if not low < following < high:
                following = (low + high) / 2 if low > 0.0 or high < 1e-200 else high / 8
            if high < np.inf and high - low <= 4 * EPS * high:
                break
            mu = min(following, SATURATED)
        price[s] = mu
