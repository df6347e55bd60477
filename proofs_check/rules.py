"""The few ways in which lemmas about one step become a theorem about all steps, each proved once.

A rule's docstring is its proof.  The algebra of the proof is returned as facts, expressions that must vanish or be >= 0 on their range, and
decided exactly (`Rule.check`); `Rule.trial` draws a random rational sequence that meets the hypothesis, often with equality, and compares the
conclusion in exact fractions.  Used by `proofs_check.composition`, which instantiates the rules with the statements of claims.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import sympy

from proofs_check.signs import nonnegative, same

Facts = list[tuple[str, sympy.Expr, str]]
"""(what it says, expression, "zero" or "nonnegative")."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """hypothesis => conclusion, with the algebra of the proof and a random trial."""

    name: str
    hypothesis: str
    conclusion: str
    facts: Callable[[], Facts]
    trial: Callable[[np.random.Generator], bool]

    @property
    def proof(self) -> str:
        return self.facts.__doc__ or ""

    @functools.cached_property
    def failures(self) -> list[str]:
        """The facts that do not hold."""
        return [says for says, expression, kind in self.facts() if not (same(expression, sympy.S(0)) if kind == "zero" else nonnegative(expression))]

    def check(self) -> bool:
        """Whether all facts of the proof hold."""
        return not self.failures


RULES: dict[str, Rule] = {}


def _rule(
    name: str, hypothesis: str, conclusion: str, trial: Callable[[np.random.Generator], bool]
) -> Callable[[Callable[[], Facts]], Callable[[], Facts]]:
    def register(facts: Callable[[], Facts]) -> Callable[[], Facts]:
        RULES[name] = Rule(name, hypothesis, conclusion, facts, trial)
        return facts

    return register


def _positive(names: str) -> tuple[sympy.Symbol, ...]:
    return sympy.symbols(names, positive=True)


def _between(rng: np.random.Generator, low: Fraction | int, high: Fraction | int) -> Fraction:
    """A random fraction in [low, high], an end now and then."""
    share = Fraction(int(rng.choice([0, 1, *range(2, 99)])), 98) if rng.random() < 0.5 else Fraction(int(rng.integers(0, 1000)), 999)
    return low + (high - low) * min(share, Fraction(1))


# Recursions


def _square_sequence(rng: np.random.Generator) -> tuple[list[Fraction], Fraction]:
    a, kappa = [_between(rng, 0, 3)], Fraction(int(rng.integers(0, 200)), 100)
    for _ in range(int(rng.integers(1, 7))):
        most = a[-1] - kappa * a[-1] ** 2
        if most < 0:
            break
        a.append(_between(rng, 0, most) if rng.random() < 0.4 else most)
    return a, kappa


def _square_trial(rng: np.random.Generator) -> bool:
    a, kappa = _square_sequence(rng)
    t = len(a) - 1
    tight = a[0] == 0 or a[t] * (1 / a[0] + kappa * t) <= 1
    from_start = kappa * a[0] > 1 or a[t] * kappa * (t + 1) <= 1
    return tight and a[t] * kappa * t <= 1 and from_start


@_rule(
    "square recursion",
    "0 <= a_(k+1) <= a_k - kappa a_k^2 for k < t, with kappa >= 0",
    "a_t <= 1/(1/a_0 + kappa t) <= 1/(kappa t); and <= 1/(kappa (t+1)) where kappa a_0 <= 1",
    _square_trial,
)
def square_recursion() -> Facts:
    """Proof.  The sequence does not grow, so if some a_k = 0 then a_t = 0.  Otherwise put a = a_k and b = a_(k+1) with 0 < b <= a - kappa a^2, so
    that x = kappa a < 1.  As 1/y falls in y, 1/b - 1/a >= 1/(a - kappa a^2) - 1/a = kappa/(1 - x) >= kappa.  Sum over k < t:
    1/a_t >= 1/a_0 + kappa t, which is at least kappa t, and at least kappa (t+1) where 1/a_0 >= kappa.
    """
    a, u, t, d = _positive("a u t d")
    x = u / (1 + u)  # any number in [0, 1)
    kappa = x / a
    gain = 1 / (a - kappa * a**2) - 1 / a
    return [
        ("1/(a - kappa a^2) - 1/a = kappa/(1 - kappa a)", gain - kappa / (1 - x), "zero"),
        ("kappa/(1 - kappa a) >= kappa", kappa / (1 - x) - kappa, "nonnegative"),
        ("1/(1/a_0 + kappa t) <= 1/(kappa t)", 1 / (d * t) - 1 / (1 / a + d * t), "nonnegative"),
        ("1/(kappa + s + kappa t) <= 1/(kappa (t+1)) for s >= 0", 1 / (d * (t + 1)) - 1 / (d + a + d * t), "nonnegative"),
    ]


def _lower_square_trial(rng: np.random.Generator) -> bool:
    first = _between(rng, Fraction(1, 50), 2)
    c = _between(rng, 0, Fraction(99, 100)) / first
    a = [first]
    for _ in range(int(rng.integers(1, 7))):
        least = a[-1] - c * a[-1] ** 2
        a.append(_between(rng, least, a[-1]) if rng.random() < 0.4 else least)
    slack, t = 1 - c * first, len(a) - 1
    return a[t] * (slack + c * first * t) >= first * slack


@_rule(
    "lower square recursion",
    "a_k - C a_k^2 <= a_(k+1) <= a_k for k < t, with a_0 > 0, C >= 0 and C a_0 < 1",
    "a_t >= a_0 (1 - C a_0) / ((1 - C a_0) + C a_0 t)",
    _lower_square_trial,
)
def lower_square_recursion() -> Facts:
    """Proof.  C a_k <= C a_0 < 1, so a_(k+1) >= a_k (1 - C a_k) > 0 by induction, and 1/a_(k+1) <= 1/(a_k (1 - C a_k)) = 1/a_k + C/(1 - C a_k)
    <= 1/a_k + C/(1 - C a_0).  Sum over k < t: 1/a_t <= 1/a_0 + C t/(1 - C a_0), which is the conclusion upside down.
    """
    b, d, u, t, v = _positive("b d u t v")
    a = b + d  # a_0 and a_k = b <= a_0
    c = u / ((1 + u) * a)
    start = 1 - c * a
    return [
        ("1/(b (1 - C b)) = 1/b + C/(1 - C b)", 1 / (b * (1 - c * b)) - 1 / b - c / (1 - c * b), "zero"),
        ("C/(1 - C b) <= C/(1 - C a_0) for b <= a_0", c / start - c / (1 - c * b), "nonnegative"),
        ("the conclusion is 1/(1/a_0 + C t/(1 - C a_0))", a * start / (start + c * a * t) - 1 / (1 / a + c * t / start), "zero"),
        ("b (1 - C b) > 0 where C b < 1", b * (1 - v / (1 + v)), "nonnegative"),
    ]


def _contraction_trial(rng: np.random.Generator) -> bool:
    q, b = _between(rng, 0, Fraction(199, 100)), _between(rng, 0, 2)
    plain, drift = [_between(rng, 0, 3)], [_between(rng, 0, 3)]
    for _ in range(int(rng.integers(1, 7))):
        plain.append(q * plain[-1] * (1 if rng.random() < 0.6 else _between(rng, 0, 1)))
        drift.append((q * drift[-1] + b) * (1 if rng.random() < 0.6 else _between(rng, 0, 1)))
    t = len(plain) - 1
    summed = b * sum((q**k for k in range(t)), Fraction(0))
    return plain[t] <= q**t * plain[0] and drift[t] <= q**t * drift[0] + summed


@_rule("contraction", "0 <= a_(k+1) <= q a_k for k < t, with q >= 0", "a_t <= q^t a_0", _contraction_trial)
def contraction() -> Facts:
    """Proof.  Induction on t: a_(t+1) <= q a_t <= q q^t a_0, since q >= 0.  With a drift, a_(k+1) <= q a_k + b, likewise
    a_t <= q^t a_0 + b (1 + q + ... + q^(t-1)), by a_(t+1) <= q (q^t a_0 + b sum_(k<t) q^k) + b.
    """
    q, a, t, s, b = _positive("q a t s b")
    return [
        ("q q^t a_0 = q^(t+1) a_0", sympy.powsimp(q * q**t * a - q ** (t + 1) * a), "zero"),
        (
            "q (q^t a_0 + b s) + b = q^(t+1) a_0 + b (1 + q s)",
            sympy.powsimp(sympy.expand(q * (q**t * a + b * s) + b - q ** (t + 1) * a - b * (1 + q * s))),
            "zero",
        ),
    ]


# Sums


def _geometric_trial(rng: np.random.Generator) -> bool:
    q, t = _between(rng, 0, Fraction(99, 100)), int(rng.integers(0, 30))
    plain, weighted = sum((q**k for k in range(t)), Fraction(0)), sum(((k + 1) * q**k for k in range(t)), Fraction(0))
    return plain * (1 - q) == 1 - q**t and weighted * (1 - q) ** 2 == 1 - (t + 1) * q**t + t * q ** (t + 1) and weighted <= 1 / (1 - q) ** 2


@_rule(
    "geometric sums",
    "0 <= q < 1",
    "sum_(k<t) q^k = (1 - q^t)/(1 - q) <= 1/(1 - q); sum_(k<t) (k+1) q^k = (1 - (t+1) q^t + t q^(t+1))/(1 - q)^2 <= 1/(1 - q)^2",
    _geometric_trial,
)
def geometric_sums() -> Facts:
    """Proof.  Both sides vanish at t = 0, and the right sides grow by q^t and (t+1) q^t when t grows by 1.  The bounds: q^t >= 0, and
    (t+1) q^t - t q^(t+1) = q^t (1 + t (1 - q)) >= 0; in the limit both are attained.
    """
    u, t, power = _positive("u t power")  # power stands for q^t
    q = u / (1 + u)
    plain = (1 - power) / (1 - q)
    weighted = (1 - (t + 1) * power + t * power * q) / (1 - q) ** 2
    following = (1 - (t + 2) * power * q + (t + 1) * power * q**2) / (1 - q) ** 2
    return [
        ("the first sum grows by q^t", (1 - power * q) / (1 - q) - plain - power, "zero"),
        ("the second sum grows by (t+1) q^t", following - weighted - (t + 1) * power, "zero"),
        ("both are 0 at t = 0", weighted.subs({t: 0, power: 1}) + plain.subs(power, 1), "zero"),
        ("the first stays below 1/(1-q)", 1 / (1 - q) - plain, "nonnegative"),
        ("the second stays below 1/(1-q)^2", 1 / (1 - q) ** 2 - weighted, "nonnegative"),
    ]


def _telescoping_trial(rng: np.random.Generator) -> bool:
    t = int(rng.integers(1, 8))
    gaps = [_between(rng, 0, 2)]
    for _ in range(t):
        gaps.append(_between(rng, 0, gaps[-1]))
    weights = [_between(rng, 0, 2) for _ in range(2)]
    potentials = [[_between(rng, 0, 5)], [_between(rng, 0, 5)]]
    for k in range(t):  # the second potential is what makes the hypothesis an equality, or less
        potentials[0].append(_between(rng, 0, 5))
        drop = gaps[k] - weights[0] * (potentials[0][k] - potentials[0][k + 1])
        if weights[1] == 0 and drop > 0:
            return True  # the hypothesis fails: nothing is claimed
        extra = _between(rng, 0, 1) if rng.random() < 0.4 else Fraction(0)
        potentials[1].append(potentials[1][k] - (drop / weights[1] if weights[1] else 0) - extra)
    spent = sum(w * (p[0] - p[t]) for w, p in zip(weights, potentials, strict=True))
    return t * gaps[t] <= spent


@_rule(
    "telescoping",
    "a_k <= sum_j w_j (F_j(k) - F_j(k+1)) and a_(k+1) <= a_k for k < t, with w_j fixed",
    "a_t <= (1/t) sum_j w_j (F_j(0) - F_j(t))",
    _telescoping_trial,
)
def telescoping() -> Facts:
    """Proof.  Add the inequalities for k < t: on the right everything between F_j(0) and F_j(t) cancels.  As the sequence does not grow, each of the
    t terms on the left is at least a_t.  (The signs of w_j and F_j do not matter here; they do when the ends are bounded afterwards.)
    """
    first, middle, last, a, d = sympy.symbols("first middle last a d", positive=True)
    t = sympy.Symbol("t", positive=True)
    return [
        ("two neighbours add up to the ends", (first - middle) + (middle - last) - (first - last), "zero"),
        ("if the sum of t terms is at least t a and at most b = t a + d, then a <= b/t", (t * a + d) / t - a, "nonnegative"),
    ]


# One step of gradient ascent


def _ascent_trial(rng: np.random.Generator) -> bool:
    """A cubic along the ray: its second derivative is linear, so its largest size on [0, eta] is at an end."""
    eta = _between(rng, Fraction(1, 100), 3)
    slope = Fraction(int(rng.integers(0, 40)), 7)
    second, third = (Fraction(int(rng.integers(-40, 41)), 9) for _ in range(2))
    rise = slope * eta + second * eta**2 / 2 + third * eta**3 / 6
    curvature = max(abs(second), abs(second + third * eta))
    return slope * eta - curvature * eta**2 / 2 <= rise <= slope * eta + curvature * eta**2 / 2


@_rule(
    "gradient step",
    "the Hessian of V has norm at most L everywhere, and theta_(t+1) = theta_t + eta g with g the gradient and eta >= 0",
    "(eta - L eta^2/2) |g|^2 <= V(theta_(t+1)) - V(theta_t) <= (eta + L eta^2/2) |g|^2",
    _ascent_trial,
)
def gradient_step() -> Facts:
    """Proof.  Let f(x) = V(theta_t + x g) on [0, eta].  f'(0) = |g|^2 and |f''(x)| = |g' (Hessian) g| <= L |g|^2.  Taylor's formula
    f(eta) = f(0) + eta f'(0) + integral over [0, eta] of (eta - x) f''(x) dx, with the integral of (eta - x) equal to eta^2/2, gives both sides.
    With eta = 1/L the gain is at least |g|^2/(2L).
    """
    eta, x, curve, g = _positive("eta x L g")
    weight = sympy.integrate(eta - x, (x, 0, eta))
    return [
        ("the integral of eta - x is eta^2/2", weight - eta**2 / 2, "zero"),
        ("at eta = 1/L: eta - L eta^2/2 = 1/(2L)", ((eta - curve * eta**2 / 2) * g**2).subs(eta, 1 / curve) - g**2 / (2 * curve), "zero"),
    ]
