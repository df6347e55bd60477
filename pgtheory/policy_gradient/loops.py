"""The loop of a run over a batch of models, written once.

    for each model b:   state = its first parameters;   for each recorded time:   step until then, keep the state (and the lowest probabilities)

`compiled_loop` gives each method a twin of it that calls the method's own step: machine code of its own, kept like that of any kernel.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from pgtheory import kernels
from pgtheory.compiled import gate, kernel
from pgtheory.kernels import keep, keep_minimum

Array = np.ndarray


def _loop(transitions, rewards, discount, start, initial, times, watch, records, minima, *settings):  # type: ignore[no-untyped-def]
    for b in range(initial.shape[0]):
        P, r, gamma, mu = transitions[b], rewards[b], discount[b], start[b]
        state, t = initial[b].copy(), 0
        lowest = shown(state)
        for k in range(times.size):
            while t < times[k]:
                state = step_of(state, P, r, gamma, mu, settings, b)
                t += 1
                if watch:
                    keep_minimum(lowest, shown(state))
            keep(records[b, k], state)
            if watch:
                keep(minima[b, k], lowest)


def _free(state, P, r, gamma, mu, settings, b):  # type: ignore[no-untyped-def]
    return step(state, P, r, gamma, mu)


def _one(state, P, r, gamma, mu, settings, b):  # type: ignore[no-untyped-def]
    return step(state, P, r, gamma, mu, settings[0][b])


def _two(state, P, r, gamma, mu, settings, b):  # type: ignore[no-untyped-def]
    return step(state, P, r, gamma, mu, settings[0][b], settings[1][b])


def _three(state, P, r, gamma, mu, settings, b):  # type: ignore[no-untyped-def]
    return step(state, P, r, gamma, mu, settings[0][b], settings[1][b], settings[2][b])


CALLS = (_free, _one, _two, _three)


def step(*arguments: Any) -> Array:
    """Stands for the step of a method."""
    raise TypeError("a loop runs only as the twin that compiled_loop makes of it")


step_of = shown = step


@kernel
def itself(policy):
    """What is shown of a state that is the policy."""
    return policy.copy()


def compiled_loop(step: Any, settings: int, shown: Any = kernels.softmax) -> Callable[..., None]:
    """The compiled loop of a method, as `Method.run_arrays` calls it.

    step      compiled: (state, transitions, rewards, discount, start, *settings) -> state, for one model
    settings  how many settings the step takes, 0 to 3; of an array (B, ...) it gets the part of its model
    shown     compiled: state -> policy, a new array; the softmax of logits if left out
    """
    inner = _twin(CALLS[settings], step, {"step": step})
    return kernel(_twin(_loop, step, {"step_of": numba.njit(inline="always")(inner), "shown": shown}))


def everywhere(number: float, arguments: tuple[Any, ...]) -> Array:
    """One number for every model of the batch in the `arguments` of a loop, as a further setting."""
    return gate(np.full(len(arguments[4]), number))[0]


def _twin(template: Any, step: Any, names: dict[str, Any]) -> Any:
    """`template` with other globals, named after the module and the name of `step`, by which its machine code is kept."""
    twin = types.FunctionType(template.__code__, {**globals(), **names}, template.__name__)
    twin.__module__ = step.py_func.__module__
    twin.__qualname__ = f"{template.__name__}_{twin.__module__}.{step.py_func.__name__}"
    return twin
