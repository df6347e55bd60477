"""A relay that softmax policy gradient hardly moves on, enclosed for 17,500 steps in seconds.

The model is `against.relay`: a chain whose last state pays 1 for staying; the first action goes on, the `others` lead back to the first state, and
all of them have the same logit for ever.  So a state is described by one number, the logit x of the first action over that of another one:

    p = 1/(1 + others e^-x),        x_(t+1) = x_t + eta n D p (1-p) (1 + 1/others),

with n the state's discounted visits from mu and D >= 0 what going on is worth more than going back.  One number a state, and moves that are small:
plain balls do where the general certified run, with all logits of all actions, takes minutes.  As long as the moves are at least 0, which is checked
at every step, the probabilities never fall: the smallest one so far is that of the start.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from flint import arb, fmpq

from mdps.errors import ModelError
from pgtheory.arithmetic import precision

Balls = list[Any]
BITS = 256
"""Precision of the run; the radius grows by some 60 bits on the way."""


@dataclasses.dataclass(frozen=True)
class Relay:
    """The figures of a relay; mu has `elsewhere` in each state but the first, and the step size is 2 (1-discount)^2."""

    length: int
    others: int
    discount: fmpq
    on: fmpq
    elsewhere: fmpq

    @property
    def mu(self) -> Balls:
        """The start distribution."""
        return [arb(1 - (self.length - 1) * self.elsewhere), *[arb(self.elsewhere)] * (self.length - 1)]

    def start(self) -> Balls:
        """x of every state at first."""
        return [(arb(self.on) * self.others / (1 - arb(self.on))).log()] * self.length

    def probabilities(self, x: Balls) -> Balls:
        """p of every state."""
        return [1 / (1 + self.others * (-y).exp()) for y in x]

    def values(self, p: Balls) -> Balls:
        """V of every state: V_s = a_s + b_s V_0, from the end of the chain."""
        g, last = arb(self.discount), 1 - arb(self.discount) * p[-1]
        a, b = [p[-1] / last], [(1 - p[-1]) * g / last]
        for q in reversed(p[:-1]):
            a.insert(0, q * g * a[0])
            b.insert(0, q * g * b[0] + (1 - q) * g)
        first = a[0] / (1 - b[0])
        return [u + v * first for u, v in zip(a, b, strict=True)]

    def visits(self, p: Balls) -> Balls:
        """Discounted visits from mu, their sum 1/(1 - discount): n_s = a_s + b_s n_0 along the chain."""
        g, mu = arb(self.discount), self.mu
        a, b = [arb(0)], [arb(1)]
        for s in range(1, self.length):
            a.append(mu[s] + g * p[s - 1] * a[-1])
            b.append(g * p[s - 1] * b[-1])
        a[-1], b[-1] = a[-1] / (1 - g * p[-1]), b[-1] / (1 - g * p[-1])
        back = [1 - q for q in p]
        first = (mu[0] + g * sum(r * u for r, u in zip(back, a, strict=True))) / (1 - g * sum(r * u for r, u in zip(back, b, strict=True)))
        return [u + v * first for u, v in zip(a, b, strict=True)]

    def move(self, x: Balls) -> Balls:
        """f: what one step adds to x."""
        p, g = self.probabilities(x), arb(self.discount)
        values, visits = self.values(p), self.visits(p)
        worth = [g * (v - values[0]) for v in values[1:]] + [1 + g * (values[-1] - values[0])]
        rate = 2 * (1 - g) ** 2 * (1 + arb(1) / self.others)
        return [rate * n * d * q * (1 - q) for n, d, q in zip(visits, worth, p, strict=True)]

    def gap(self, x: Balls) -> Any:
        """V*(mu) - V(mu)."""
        g = arb(self.discount)
        best = [g ** (self.length - 1 - s) / (1 - g) for s in range(self.length)]
        return sum((m * (u - v) for m, u, v in zip(self.mu, best, self.values(self.probabilities(x)), strict=True)), arb(0))

    def after(self, steps: int) -> Balls:
        """x after so many steps.

        raises  ModelError: a probability is not seen to stay or grow"""
        x = self.start()
        for t in range(steps):
            moved = self.move(x)
            if not all(m >= 0 for m in moved):
                raise ModelError(f"after {t} steps a state is not seen to move on")
            x = [y + m for y, m in zip(x, moved, strict=True)]
        return x

    def overshoot(self, steps: int) -> Any:
        """gap over S (rho/mu)/((1-gamma)^4 c^2 t) after `steps` steps, for rho = mu: above 1 the rate 1/t fails without the mismatch."""
        with precision(BITS):
            return self.gap(self.after(steps)) * steps * arb(self.on) ** 2 * (1 - arb(self.discount)) ** 4 / self.length


FIVE = Relay(5, 9, fmpq(23, 50), fmpq(41, 200), fmpq(1, 10**7))
"""The relay of `against.AGAINST`: five states, ten actions."""
BREAKS = 17_500
"""Steps after which the gap of FIVE is above the bound without the mismatch."""
