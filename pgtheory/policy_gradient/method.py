"""What all methods share: a step on arrays, a compiled loop over a batch of models, and the protocol that a user's own method follows.

A method is a frozen dataclass; its fields are its settings (step size, temperature), each a number or a function of the model.

    plain_step(params, transitions, rewards, discount, start, *settings)     one step: the one source, for floats, rationals and balls
    run_arrays(...)                                                          the same step, compiled, on many models of one shape
    start(mdp), step(state, mdp), policy(state)                              the protocol: anything with these three can be run

`step` is deterministic and sees exact arrays: there is no sampling here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Literal

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import fraction, rational, rational_array
from pgtheory.compiled import gate
from pgtheory.policies import direct, softmax

Array = np.ndarray
Setting = Any
"""A number, or a function of the model that returns one."""


class NoEnclosure(ArithmeticError):
    """The step is found numerically in float64 and has no form in rationals or balls."""


@dataclasses.dataclass(frozen=True)
class Method:
    """Base of the methods of this package.  Subclasses set the class attributes and write the step and its loop."""

    name: ClassVar[str]
    parameters: ClassVar[Literal["logits", "policy"]]
    rational_step: ClassVar[bool] = False
    """Whether `plain_step` is rational in its parameters (stays in the rationals)."""
    small_rationals: ClassVar[bool] = False
    """Whether iterates in rationals keep their size (deterministic policies), so that long runs in rationals are cheap."""
    norm: ClassVar[Literal["sup", "two"]] = "sup"
    """The norm in which `lipschitz` bounds the step."""
    plain_step: ClassVar[Callable[..., Array]]
    _loop: ClassVar[Callable[..., Any]]

    @property
    def setting_names(self) -> tuple[str, ...]:
        """The numeric fields, in the order in which the step takes them."""
        return tuple(field.name for field in dataclasses.fields(self) if field.name != "geometry")

    def settings(self, mdp: MDP) -> tuple[Any, ...]:
        """The numbers behind the fields, in the arithmetic of the model (floats, or rationals for `mdp.exact`).

        raises ModelError: one is negative, not finite or no number"""
        return tuple(resolved(name, getattr(self, name), mdp) for name in self.setting_names)

    # Parameters and policies

    @property
    def _parametrisation(self) -> Any:
        return softmax if self.parameters == "logits" else direct

    def policy_of(self, params: Any) -> Array:
        """Parameters (..., S, A) -> policies (..., S, A)."""
        return self._parametrisation.policy_of(params)

    def params_of(self, policy: Any) -> Array:
        """A policy (S, A) -> parameters that give it."""
        return self._parametrisation.params_of(policy)

    # The protocol

    def start(self, mdp: MDP) -> Array:
        """Parameters of the uniform policy, in the arithmetic of the model."""
        check_rectangular(mdp)
        params = self._parametrisation.uniform(mdp.num_states, mdp.num_actions)
        if not mdp.is_exact:
            return params
        return rational_array(np.vectorize(str)(params) if self.parameters == "logits" else np.full(params.shape, f"1/{mdp.num_actions}"))

    def step(self, state: Array, mdp: MDP) -> Array:
        """One step in the arithmetic of `mdp` (plain array code; `run` uses the compiled one)."""
        check_rectangular(mdp)
        return self.plain_step(state, mdp.transitions, mdp.rewards, mdp.discount, mdp.start, *self.settings(mdp))

    def policy(self, state: Array) -> Array:
        return self.policy_of(state)

    # Compiled

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
        """Runs a batch of B models of one shape from given parameters.  Figures do not depend on the number of threads.

        transitions (B, S, A, S), rewards (B, S, A), discount (B,), start (B, S), initial (B, S, A) parameters,
        settings    one (B,) array for each of `setting_names`; what is no number (features, a reference) as (B, ...)
        times       (R,) increasing integers >= 0: the iterations that are recorded
        watch       also return the running minimum of pi, taken at every step
        returns     records (B, R, S, A) of the parameters, and the minima over steps 0 .. times[r] (B, R, S, A) or None
        """
        batch = np.shape(initial)[0]
        numbers = (x if np.ndim(x) > 1 else np.broadcast_to(x, (batch,)) for x in map(np.float64, settings))
        arrays = gate(transitions, rewards, discount, start, initial, *numbers)
        when = np.asarray(times, dtype=np.int64)
        if when.size and (when[0] < 0 or (np.diff(when) < 0).any()):
            raise ModelError("times must be increasing integers, none below 0")
        when = gate(when, dtype=np.int64)[0]
        records = np.empty((batch, when.size, *arrays[4].shape[1:]))
        minima = np.empty_like(records) if watch else np.empty((batch, 0, 0, 0))

        def part(low: int, high: int) -> None:
            self._loop(*(x[low:high] for x in arrays[:5]), when, watch, records[low:high], minima[low:high], *(x[low:high] for x in arrays[5:]))

        workers = max(1, min(threads, batch))
        if workers == 1:
            part(0, batch)
        else:
            chunks = min(batch, 4 * workers)
            edges = [batch * k // chunks for k in range(chunks + 1)]
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(part, edges[:-1], edges[1:]))
        return records, minima if watch else None

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        """A ball above the Lipschitz constant of the step in `norm`; None: not known.

        problem    (transitions, rewards, discount, start) as balls; settings as balls
        enclosure  where: a convex set, as an array of balls; None asks for a constant that holds everywhere
        """
        return None


def check_rectangular(mdp: MDP) -> None:
    """ModelError where states have different numbers of actions: the methods take rectangular models."""
    if not mdp.is_rectangular:
        counts = np.diff(mdp.first_pair)
        low, high = int(counts.argmin()), int(counts.argmax())
        raise ModelError(
            f"policy gradient methods need the same number of actions in every state; {mdp.state_label(low)} has {counts[low]}, "
            f"{mdp.state_label(high)} has {counts[high]}.\n  Repeat an action of the shorter states: the optimum stays."
        )


def resolved(name: str, value: Setting, mdp: MDP) -> Any:
    """The number behind a setting, in the arithmetic of the model; raises ModelError where it is none, negative or not finite."""
    number = value(mdp) if callable(value) else value
    try:
        exact = rational(number)
    except ModelError:
        exact = None
    if exact is None or exact < 0:
        raise ModelError(f"{name} is {number!r}; it must be a number >= 0 (or a function of the model that returns one)")
    return exact if mdp.is_exact else float(fraction(exact))


def whole_number(value: Any, name: str) -> int:
    """A setting that counts something as an integer, in every arithmetic; raises ModelError where it is none."""
    if hasattr(value, "unique_fmpz"):
        whole = value.unique_fmpz()
        if whole is not None and value.is_exact():
            return int(whole)
    elif fraction(value).denominator == 1:
        return int(fraction(value))
    raise ModelError(f"{name} is {value!r}; it must be a whole number")
