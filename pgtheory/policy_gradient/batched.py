"""Methods whose plain step takes a whole batch at once: steps with inner loops, root finding or a user's functions.

A method with a compiled loop runs on that; one without (a user's drift, say) on its plain step, which takes arrays with leading dimensions:
parameters (..., S, A), transitions (..., S, A, S'), start (..., S), and discount and settings as numbers or as (..., 1, 1).  One model without
leading dimensions is the same code."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from pgtheory.compiled import gate
from pgtheory.policy_gradient.method import Method

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Batched(Method):
    """Base of the methods whose plain step serves batches."""

    _loop: ClassVar[Any] = None
    """The compiled loop, as in `Method`; None where the step holds functions that are not compiled."""

    def run_arrays(
        self,
        transitions: Any,
        rewards: Any,
        discount: Any,
        start: Any,
        initial: Any,
        settings: tuple[Any, ...],
        times: Any,
        watch: bool = False,
        threads: int = 1,
    ) -> tuple[Array, Array | None]:
        """As `Method.run_arrays`; without a compiled loop, `threads` changes nothing."""
        if self._loop is not None:
            return super().run_arrays(transitions, rewards, discount, start, initial, settings, times, watch, threads)
        batch = np.shape(initial)[0]
        P, r, gamma, mu, params = gate(transitions, rewards, discount, start, initial)
        when = np.asarray(times, dtype=np.int64)
        if when.size and (when[0] < 0 or (np.diff(when) < 0).any()):
            raise ModelError("times must be increasing integers, none below 0")
        numbers = [_column(x, batch) for x in settings]
        out = np.empty((batch, when.size, *params.shape[1:]))
        lowest = self.policy_of(params) if watch else None
        minima, t = [], 0
        for k in range(when.size):
            while t < when[k]:
                params = self.plain_step(params, P, r, gamma[:, None, None], mu, *numbers)
                t += 1
                if lowest is not None:
                    lowest = np.minimum(lowest, self.policy_of(params))
            out[:, k] = params
            minima.append(lowest)
        return out, np.stack(minima, axis=1) if watch else None  # type: ignore[arg-type]


def _column(setting: Any, batch: int) -> Array:
    """(B, 1, 1) for a number, (B, ...) for an array of its own."""
    values = np.asarray(setting, dtype=np.float64)
    return values if values.ndim > 1 else np.broadcast_to(values, (batch,))[:, None, None]


def rowwise(number: Any) -> Any:
    """A setting (a number, or (..., 1, 1)) as it stands beside rows (..., S)."""
    return number[..., 0] if isinstance(number, np.ndarray) and number.ndim else number
