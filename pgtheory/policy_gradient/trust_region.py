"""Trust region policy optimisation with exact advantages: the surrogate is maximised over the whole region, by its multiplier.

    maximise  sum_s d(s) sum_a p(a|s) A(s, a)      subject to  E_{s~d} D(s) <= radius   ("mean")    or   D(s) <= radius in every state   ("each")

    forward   D(s) = KL(pi_s || p_s):      p_a = nu pi_a / (m - A_a),   m > max A with sum_a p_a = 1      (the divergence of TRPO)
    reverse   D(s) = KL(p_s || pi_s):      p_a proportional to pi_a exp(A_a / nu)                         (a natural gradient step)

The multiplier nu is the one at which the constraint is tight: one for all states ("mean": the visits d weigh both sides and drop out), or one for
each.  The divergence falls in nu, so nu is bisected on a logarithmic scale to the last bit; the end at which the constraint holds is taken.  For
given nu the normaliser m solves sum_a nu pi_a / (m - A_a) = 1, whose left side is convex and falls in m: Newton's iteration from
max_a (A_a + nu pi_a), where it is at least 1, approaches the root from the left.  Where even the greedy policy is inside the region (reverse), the
smallest nu gives it to rounding.  A state whose advantages differ by no more than the rounding of an evaluation keeps its policy, and so does, with
"mean", one that is never visited.

The multiplier is found numerically: a step from exact numbers is the float64 step, its result taken as exact (rows divided by their sums), so that
what is certified about a run is certified about the method as it runs.  Schulman, Levine, Moritz, Jordan, Abbeel (2015); guarantees:
docs/theory/surrogates.md
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.rational import fraction, to_float
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import advantages, policy_values_and_visits
from pgtheory.compiled import kernel
from pgtheory.kernels import keep, keep_minimum
from pgtheory.policy_gradient.method import Method, NoEnclosure, Setting

Array = np.ndarray
HALVINGS = 120
"""Bisections of log nu: the bracket of about 2^10 e-folds shrinks below the spacing of floats.  (Newton's iteration takes about four steps.)"""
CLOSE = 1e-13
"""Relative distance from the radius, from below, at which the compiled search stops."""
WIDEST = 600.0
"""nu is sought in spread(A) e^[-WIDEST/2 .. WIDEST]: below, the step is greedy to rounding; above, it moves less than rounding shows."""
RARE = 10.0
"""Where the first multiplier tried is below spread(A) e^-RARE, almost no probability is left to move: the greedy policy is looked at first."""
RAREST = 1e-300
"""A probability that KL(old || new) lets fall to 0 stays here: below, it would underflow, and the divergence jump from nearly 0 to infinity."""
NEWTON = 100
"""Newton steps for the normaliser: far more than its quadratic convergence takes."""
CLOSEST = 2.0**-50
"""Relative move of the normaliser below which the compiled iteration ends."""


def plain_step(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, radius: Any, forward: bool, mean: bool) -> Array:
    """The maximiser of the surrogate over the trust region, in float64; rationals are rounded to it, and its result is taken as exact."""
    if arithmetic.kind(policy) == "ball":
        raise NoEnclosure("a trust region's multiplier is found numerically in float64: the step has no enclosure")
    if arithmetic.kind(policy) == "rational":
        P, r, mu = to_float(transitions), to_float(rewards), to_float(start)
        gamma, reach = float(fraction(discount)), float(fraction(radius))
        after = arithmetic.exactly(plain_step(to_float(policy), P, r, gamma, mu, reach, forward, mean))
        return after / after.sum(axis=1)[:, None]
    values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
    gains = advantages(transitions, rewards, discount, values)
    slack = kernels.rounding_of_values(len(values), float(discount), np.abs(gains + values[:, None]).max())
    moving = np.array([np.ptp(gains[s][policy[s] > 0]) > slack for s in range(len(values))])
    weights = (1 - discount) * visits
    moving = moving & (weights > 0) if mean else moving
    out = policy.copy()
    groups = [np.flatnonzero(moving)] if mean else [np.array([s]) for s in np.flatnonzero(moving)]
    for states in groups:
        if states.size == 0 or radius <= 0:
            continue
        share = weights[states] if mean else np.ones(1)
        spread = max(float(np.ptp(gains[s][policy[s] > 0])) for s in states)
        low, high = np.log(spread) - WIDEST / 2, np.log(spread) + WIDEST
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            moved = [_moved(policy[s], gains[s], np.exp(middle), forward) for s in states]
            far = sum(w * _divergence(policy[s], p, forward) for w, s, p in zip(share, states, moved, strict=True))
            low, high = (middle, high) if far > radius else (low, middle)
        for s in states:
            out[s] = _moved(policy[s], gains[s], np.exp(high), forward)
    return out


def _moved(pi: Array, gain: Array, nu: float, forward: bool) -> Array:
    """The maximiser of sum p A - nu D in one state."""
    support = pi > 0
    best = gain[support].max()
    p = np.zeros_like(pi)
    if not forward:
        p[support] = pi[support] * np.exp((gain[support] - best) / nu)
        return p / p.sum()
    behind, weight = (best - gain[support]) / nu, pi[support]
    level = (weight - behind).max()  # (m - best) / nu; the largest weight among these puts one term at 1 or above
    for _ in range(NEWTON):
        total, slope = (weight / (level + behind)).sum(), (weight / (level + behind) / (level + behind)).sum()
        following = level + (total - 1) / slope
        if not following > level:
            break
        level = following
    p[support] = np.maximum(weight / (level + behind), np.minimum(weight, RAREST))
    return p / p.sum()


def _divergence(pi: Array, p: Array, forward: bool) -> float:
    """KL(pi || p) or KL(p || pi)."""
    first, second = (pi, p) if forward else (p, pi)
    some = first > 0
    with np.errstate(divide="ignore"):
        return float((first[some] * np.log(first[some] / second[some])).sum())


def _numeric(function: Any) -> Any:
    """A kernel in which a division by 0 is an infinity, as in numpy: probabilities may underflow."""
    return kernel(function, error_model="numpy")


@_numeric
def _moved_kernel(pi, gain, nu, forward, out):
    """The compiled form of `_moved`; returns the divergence D and its slope in log nu, which is 1/T - 1 with T = sum pi / x^2 for x = pi / p
    (forward), and minus the variance of A / nu under p (reverse)."""
    count = pi.size
    best = -np.inf
    for a in range(count):
        if pi[a] > 0.0:
            best = max(best, gain[a])
    level, slope = 0.0, 1.0
    if forward:
        mean = 0.0
        level = -np.inf
        for a in range(count):
            if pi[a] > 0.0:
                behind = (best - gain[a]) / nu
                mean += pi[a] * behind
                level = max(level, pi[a] - behind)
        level = max(level, 1.0 - mean)  # to the left of the root as well, by convexity, and near it where the step is short
        for _ in range(NEWTON):
            total, slope = 0.0, 0.0
            for a in range(count):
                if pi[a] > 0.0:
                    inverse = 1.0 / (level + (best - gain[a]) / nu)
                    total += pi[a] * inverse
                    slope += pi[a] * inverse * inverse
            following = level + (total - 1.0) / slope
            if not following > level + level * CLOSEST:
                break
            level = following
    total, first, second = 0.0, 0.0, 0.0
    for a in range(count):
        out[a] = 0.0
        if pi[a] > 0.0:
            behind = (best - gain[a]) / nu
            if forward:
                out[a] = max(pi[a] / (level + behind), min(pi[a], RAREST))
            else:
                out[a] = pi[a] * np.exp(-behind)
                first += out[a] * behind
                second += out[a] * behind * behind
            total += out[a]
    scale = 1.0 / total
    divergence = 0.0
    for a in range(count):
        out[a] *= scale
        if forward and pi[a] > 0.0:
            divergence += pi[a] * np.log(pi[a] / out[a]) if out[a] > 0.0 else np.inf
    if forward:
        return divergence, 1.0 / slope - 1.0
    first, second = first * scale, second * scale
    return -first - np.log(total), first * first - second


@_numeric
def _spread(pi, gain):
    """Range of the advantages of the actions that are taken."""
    least, most = np.inf, -np.inf
    for a in range(pi.size):
        if pi[a] > 0.0:
            least, most = min(least, gain[a]), max(most, gain[a])
    return most - least


@_numeric
def _total(policy, gains, weights, moving, only, nu, forward, out):
    """Moves every state (or the state `only`, if that is none of -1) with the multiplier nu; returns the mean divergence (or that state's), and its
    slope in log nu."""
    if only >= 0:
        return _moved_kernel(policy[only], gains[only], nu, forward, out[only])
    far, slope = 0.0, 0.0
    for s in range(weights.size):
        if moving[s]:
            apart, falls = _moved_kernel(policy[s], gains[s], nu, forward, out[s])
            far += weights[s] * apart
            slope += weights[s] * falls
    return far, slope


@_numeric
def _mean_variance(policy, gains, weights, moving, only):
    """sum_s weights Var_pi(A) (or the variance in the state `only`)."""
    out = 0.0
    for s in range(policy.shape[0]):
        if s == only or (only < 0 and moving[s]):
            mean, square, mass = 0.0, 0.0, 0.0
            for a in range(policy.shape[1]):
                mass += policy[s, a]
                mean += policy[s, a] * gains[s, a]
            mean /= mass
            for a in range(policy.shape[1]):
                square += policy[s, a] * (gains[s, a] - mean) ** 2
            out += square * (1.0 if only >= 0 else weights[s])
    return out


@_numeric
def _tighten(policy, gains, weights, moving, only, spread, radius, forward, out):
    """Leaves in `out` the policy at the multiplier where the divergence is the radius.

    Newton's iteration on log(divergence / radius) in log nu, which is nearly a straight line of slope -2, from the multiplier at which the divergence
    to second order, variance / (2 nu^2), is the radius.  A bracket guards it, and is bisected where a divergence is 0 or infinite."""
    low, high = np.log(spread) - WIDEST / 2, np.log(spread) + WIDEST
    least, looked = np.exp(low), False
    middle = 0.5 * np.log(_mean_variance(policy, gains, weights, moving, only) / (2 * radius))
    near = CLOSE + 8 * kernels.EPS / radius
    far, slope = 0.0, -np.inf if middle > np.log(spread) - RARE else 0.0
    for _ in range(HALVINGS):
        if not looked and far <= radius and -slope <= 0.5 * far:
            looked = True  # where the greedy policy is inside the region no multiplier is small enough
            if _total(policy, gains, weights, moving, only, least, forward, out)[0] <= radius:
                return
            middle = (low + high) / 2
        if not low < middle < high:
            middle = (low + high) / 2
        far, slope = _total(policy, gains, weights, moving, only, np.exp(middle), forward, out)
        if radius * (1 - near) <= far <= radius:
            return
        if far > radius:
            low = middle
        else:
            high = middle
        if high - low <= CLOSE:
            break
        if -slope < far:  # rare actions dying out: the divergence itself is the straighter line
            middle -= (far - radius * (1 - near / 2)) / slope
        else:
            middle -= (np.log(far / radius) + near / 2) * far / slope
        if not np.isfinite(middle):
            middle = (low + high) / 2
    _total(policy, gains, weights, moving, only, np.exp(high), forward, out)


@_numeric
def _step(policy, transitions, rewards, discount, start, radius, forward, mean):
    values, visits = kernels.policy_values_and_visits(policy, transitions, rewards, discount, start)
    gains = kernels.advantages(transitions, rewards, discount, values)
    slack = kernels.rounding_of_values(values.size, discount, np.abs(gains + values.reshape(-1, 1)).max())
    states = values.size
    moving = np.zeros(states, dtype=np.bool_)
    out = policy.copy()
    if radius <= 0.0:
        return out
    widest = 0.0
    for s in range(states):
        spread = _spread(policy[s], gains[s])
        moving[s] = spread > slack and (visits[s] > 0.0 or not mean)
        if moving[s]:
            widest = max(widest, spread)
            if not mean:
                _tighten(policy, gains, visits, moving, s, spread, radius, forward, out)
    if mean and widest > 0.0:
        _tighten(policy, gains, (1 - discount) * visits, moving, -1, widest, radius, forward, out)
    return out


@_numeric
def _run(transitions, rewards, discount, start, initial, times, watch, records, minima, radius, forward, mean):
    for b in range(initial.shape[0]):
        policy, t = initial[b].copy(), 0
        lowest = policy.copy()
        for k in range(times.size):
            while t < times[k]:
                policy = _step(policy, transitions[b], rewards[b], discount[b], start[b], radius[b], forward, mean)
                t += 1
                if watch:
                    keep_minimum(lowest, policy)
            keep(records[b, k], policy)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class TrustRegion(Method):
    """Maximises the exact surrogate over a trust region.  radius: the largest divergence of a step, in nats."""

    radius: Setting = 0.01
    divergence: Literal["forward", "reverse"] = "forward"
    over: Literal["mean", "each"] = "mean"
    name = "trust-region"
    parameters = "policy"
    rational_step = True
    small_rationals = True

    def __post_init__(self) -> None:
        if self.divergence not in ("forward", "reverse"):
            raise ModelError(f"divergence is {self.divergence!r}; a trust region knows 'forward', KL(old || new), and 'reverse', KL(new || old)")
        if self.over not in ("mean", "each"):
            raise ModelError(f"over is {self.over!r}; the divergence is bounded in the 'mean' over the visits, or in 'each' state")

    @property
    def setting_names(self) -> tuple[str, ...]:
        return ("radius",)

    @property
    def plain_step(self) -> Any:  # type: ignore[override]
        return functools.partial(plain_step, forward=self.divergence == "forward", mean=self.over == "mean")

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, self.divergence == "forward", self.over == "mean")
