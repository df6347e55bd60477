"""A nonlinear system that is linear in one more coordinate: an exact Koopman lift, its optimal feedback, and what a truncated lift misses.

    x1' = a x1,   x2' = b x2 + c x1^2 + u;          z = (x1, x2, x1^2)

    z' = A z + B u,   A = [[a, 0, 0], [0, b, c], [0, 0, a^2]],   B = (0, 1, 0)',   because (a x1)^2 = a^2 x1^2: no further coordinate is needed

So for a cost z'Qz + R u^2 the feedback u = -K z costs z'P_K z, and the Riccati equation of (A, B, Q, R) gives the optimum of the nonlinear problem,
exactly.  x1 is not controlled: |a| < 1 is needed as soon as the cost sees x1.  Without the coordinate x1^2 (the linear part alone, u = -k x2) the
predicted cost from (x1, 0) misses

    (q2 + R k^2) c^2 x1^4 (1 + m a^2) / ((1 - m^2)(1 - m a^2)(1 - a^4)),   m = b - k.

If the control enters x1, then x1'^2 has terms in u x1 and u^2 and no finite lift of this kind closes.  Derivation: docs/theory/control.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory.linear_quadratic import LinearQuadratic

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class QuadraticSystem:
    """x1' = a x1 + leak u, x2' = b x2 + c x1^2 + u: numbers, or arrays (B,) of one arithmetic.  Only leak = 0 has the lift."""

    a: Any
    b: Any
    c: Any
    leak: Any = 0

    def step(self, state: Array, control: Any) -> Array:
        """The next state (..., 2), of the nonlinear system itself."""
        x1, x2 = state[..., 0], state[..., 1]
        return np.stack([self.a * x1 + self.leak * control, self.b * x2 + self.c * x1 * x1 + control], axis=-1)

    @staticmethod
    def lift(state: Array) -> Array:
        """z = (x1, x2, x1^2), (..., 3)."""
        x1, x2 = state[..., 0], state[..., 1]
        return np.stack([x1, x2, x1 * x1], axis=-1)

    def lifted(self) -> tuple[Array, Array]:
        """A (..., 3, 3) and B (..., 3, 1) of the lift; the leak, which it cannot hold, is left out."""
        zero = (self.a + self.b + self.c) * 0
        one = zero + 1
        rows = [[zero + self.a, zero, zero], [zero, zero + self.b, zero + self.c], [zero, zero, zero + self.a * self.a]]
        flow = np.stack([np.stack([np.asarray(x) for x in row], axis=-1) for row in rows], axis=-2)
        return flow, np.stack([np.asarray(x) for x in (zero, one, zero)], axis=-1)[..., None]

    def regulator(self, Q: Any, R: Any, start: Any = None) -> LinearQuadratic:
        """The lifted regulator in floats, for a cost z'Qz + R u^2, Q (3, 3).

        raises   ModelError: a leak, costs that are none, |a| >= 1 where the cost sees x1 (then it is infinite)"""
        if self.leak != 0:
            raise ModelError(f"the control enters x1 (leak {self.leak}): x1^2 then has no linear dynamics and there is no exact lift")
        q = np.atleast_2d(np.asarray(Q, dtype=np.float64))
        if abs(self.a) >= 1 and (q[0].any() or q[2].any() or (self.c != 0 and q.any())):
            raise ModelError(f"a is {self.a}: x1 is not controlled and does not die out, so a cost that sees it is infinite; it must lie in (-1, 1)")
        flow, inflow = (np.asarray(x, dtype=np.float64) for x in self.lifted())
        return LinearQuadratic.of(flow, inflow, q, R, start)

    def truncation_bias(self, gain: Any, x1: Any, q2: Any, R: Any) -> Any:
        """What the linear part alone misses of the cost of u = -gain x2 from (x1, 0), where a step costs q1 x1^2 + q2 x2^2 + R u^2."""
        loop, fast = self.b - gain, self.a * self.a
        shape = (1 + loop * fast) / ((1 - loop * loop) * (1 - loop * fast) * (1 - fast * fast))
        return (q2 + R * gain * gain) * self.c * self.c * x1 * x1 * x1 * x1 * shape
