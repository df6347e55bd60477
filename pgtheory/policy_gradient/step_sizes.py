"""Step sizes by rule, shared by all directions of ascent.

    params_+ = retract(params + eta_t G),       G = direction at the present policy,       g = gradient of V(start),     <g, G> >= 0

    direction     parameters    G                               retract
    softmax       logits        g = d pi A                      -
    natural       logits        A / (1 - gamma)                 -
    projected     policy        g = d (Q - mean_a Q)            projection on the simplex (which does not see a constant added to a row)

    rule          eta_t                                                          source
    Decreasing    eta / (t + 1)^power                                            Robbins, Monro (1951)
    Normalised    eta / |G|_2                       (geometry-aware)             Mei, Gao, Dai, Szepesvari, Schuurmans (2021)
    Polyak        eta (V* - V)(start) / <g, G>      (V* known)                   Polyak (1969)
    Adaptive      eta / sqrt(sum_{k<=t} |G_k|_2^2)                               Ward, Wu, Bottou (2019)
    Armijo        the largest eta 2^-k, k = 0, 1, ..., with V(params_+) - V >= <g, params_+ - params> / 2

A long step multiplies whatever is left of an advantage that should be nearly 0, so advantages are computed as A(a) = sum_b pi(b) (Q(a) - Q(b)), which
keeps its relative accuracy where one action has nearly all probability; Q - V does not.

A constant step is `SoftmaxPG`, `NaturalPG`, `ProjectedPG`.  Where the direction is 0 (an optimal or a deterministic policy) nothing moves.  The
softmax direction with any of these rules never lowers the value of any state: claim softmax-pg-any-step-monotone.  `Decreasing` and `Adaptive`
remember the past, so one step of theirs is no function of the parameters: they have runs, no `step`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic, kernels
from pgtheory.arithmetic import less_equal, lookahead, maximum, policy_values, policy_values_and_visits, project_simplex
from pgtheory.compiled import gate
from pgtheory.kernels import keep, keep_minimum, rounding_of_values
from pgtheory.policy_gradient.batched import Batched, _column
from pgtheory.policy_gradient.method import Method, NoEnclosure, Setting
from pgtheory.policy_gradient.rows import numeric

Array = np.ndarray
HALVINGS = 60
"""Halvings after which a line search gives up and stays: by then a float64 step changes nothing."""
LARGEST = float(np.finfo(np.float64).max)
DIRECTIONS = ("softmax", "natural", "projected")
COMPILED = ("normalised-pg", "polyak-pg", "decreasing-pg", "adaptive-pg", "armijo-pg")
"""The rules with a compiled loop, by name; a rule of one's own runs on its plain step."""


@dataclasses.dataclass(frozen=True)
class Ascent:
    """Where a step starts from: value V(start), direction G, gradient g, slope <g, G>; shapes (...), (..., S, A), (..., S, A), (...)."""

    value: Any
    direction: Array
    gradient: Array
    slope: Any
    square: Any  # |G|_2^2


@numeric
def _ascent(params, P, r, gamma, mu, direction):
    """(V(start), G, g), the compiled form of `Ruled.ascent`."""
    states, actions = params.shape
    policy = params if direction == 2 else kernels.softmax(params)
    values, visits = kernels.policy_values_and_visits(policy, P, r, gamma, mu)
    along = kernels.lookahead(P, r, gamma, values)
    gradient, row = np.empty((states, actions)), np.empty(actions)
    for s in range(states):
        for a in range(actions):
            row[a] = along[s, a]
        mean = row.sum() / actions
        for a in range(actions):
            if direction == 2:
                along[s, a] = gradient[s, a] = visits[s] * (row[a] - mean)
            else:
                ahead = 0.0
                for b in range(actions):
                    ahead += policy[s, b] * (row[a] - row[b])
                gradient[s, a] = visits[s] * policy[s, a] * ahead
                along[s, a] = gradient[s, a] if direction == 0 else ahead / (1 - gamma)
    return kernels.dot(values, mu), along, gradient


@numeric
def _moved(params, along, step, direction):
    """retract(params + step G)."""
    ahead = params + step * along
    return kernels.project_simplex(ahead) if direction == 2 else ahead


@numeric
def _bounded_ratio(above, below):
    """above / below, at most the largest float, and 0 where below is 0."""
    return min(above / below, LARGEST) if below > 0.0 else 0.0


@numeric
def _armijo(params, value, along, gradient, P, r, gamma, mu, step, direction):
    """The first of step, step / 2, ... that gains half of the first order; the parameters as they are where none does."""
    for _ in range(HALVINGS):
        trial = _moved(params, along, step, direction)
        policy = trial if direction == 2 else kernels.softmax(trial)
        gained = kernels.dot(kernels.policy_values(policy, P, r, gamma), mu) - value
        if (gradient * (trial - params)).sum() / 2 <= gained:
            return trial
        step = step / 2
    return params.copy()


@numeric
def _run(transitions, rewards, discount, start, initial, times, watch, records, minima, step_size, power, target, rule, direction):
    """The compiled loop of all rules, which are numbered as in COMPILED."""
    for b in range(initial.shape[0]):
        P, r, gamma, mu, best = transitions[b], rewards[b], discount[b], start[b], target[b]
        params, t, memory = initial[b].copy(), 0, 0.0
        lowest = params.copy() if direction == 2 else kernels.softmax(params)
        for k in range(times.size):
            while t < times[k]:
                value, along, gradient = _ascent(params, P, r, gamma, mu, direction)
                if rule == 4:
                    params = _armijo(params, value, along, gradient, P, r, gamma, mu, step_size[b], direction)
                else:
                    size = 1.0
                    if rule == 0:
                        size = _bounded_ratio(1.0, np.sqrt((along * along).sum()))
                    elif rule == 1:
                        short = kernels.dot(best, mu) - value
                        rounding = rounding_of_values(best.size, gamma, np.abs(best).max())
                        size = _bounded_ratio(short if short > rounding else 0.0, (gradient * along).sum())
                    elif rule == 2:
                        size = 1.0 / (t + 1.0) ** power[b]
                    else:
                        memory += (along * along).sum()
                        size = _bounded_ratio(1.0, np.sqrt(memory))
                    params = _moved(params, along, step_size[b] * size, direction)
                t += 1
                if watch:
                    keep_minimum(lowest, params if direction == 2 else kernels.softmax(params))
            keep(records[b, k], params)
            if watch:
                keep(minima[b, k], lowest)


@dataclasses.dataclass(frozen=True)
class Ruled(Batched):
    """Base of the rules.  step_size is eta of the table; direction one of `DIRECTIONS`."""

    step_size: Setting = 1
    direction: Literal["softmax", "natural", "projected"] = "softmax"
    _step_size: ClassVar[Callable[..., tuple[Any, Any]]]
    """(ascent, settings, problem, target, t, memory) -> eta_t and the memory for the next step."""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ModelError(f"direction is {self.direction!r}; a step-size rule goes along one of {', '.join(DIRECTIONS)}")

    @property
    def setting_names(self) -> tuple[str, ...]:
        return tuple(field.name for field in dataclasses.fields(self) if field.name != "direction")

    @property
    def parameters(self) -> Any:  # type: ignore[override]
        return "policy" if self.direction == "projected" else "logits"

    def plain_step(self, params: Array, transitions: Array, rewards: Array, discount: Any, start: Array, *settings: Any) -> Array:  # type: ignore[override]
        """One step of a rule that needs no memory; any arithmetic in which the rule stays."""
        return self._move(params, (transitions, rewards, discount, start), settings, self.target(transitions, rewards, discount), 0, 0)[0]

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
        """As `Method.run_arrays`; a rule of one's own runs the whole batch at once, on its plain step."""
        batch = np.shape(initial)[0]
        if self.name in COMPILED:
            P, r, gamma = (np.asarray(x, dtype=np.float64) for x in (transitions, rewards, discount))
            target = self.target(P, r, np.broadcast_to(gamma, (batch,))[:, None, None])
            best = np.zeros(np.shape(start)) if target is None else target
            power = settings[1] if len(settings) > 1 else 0.0
            return Method.run_arrays(self, P, r, gamma, start, initial, (settings[0], power, best), times, watch, threads)
        P, r, gamma, mu, params = gate(transitions, rewards, discount, start, initial)
        when = np.asarray(times, dtype=np.int64)
        if when.size and (when[0] < 0 or (np.diff(when) < 0).any()):
            raise ModelError("times must be increasing integers, none below 0")
        gamma = np.broadcast_to(gamma, (batch,))[:, None, None]
        numbers = tuple(_column(x, batch) for x in settings)
        target = self.target(P, r, gamma)
        lowest = self.policy_of(params)
        out, minima, t, memory = np.empty((batch, when.size, *params.shape[1:])), [], 0, np.zeros((batch, 1, 1))
        for k in range(when.size):
            while t < when[k]:
                params, memory = self._move(params, (P, r, gamma, mu), numbers, target, t, memory)
                t += 1
                if watch:
                    lowest = np.minimum(lowest, self.policy_of(params))
            out[:, k] = params
            minima.append(lowest)
        return out, np.stack(minima, axis=1) if watch and minima else None

    def _loop(self, *arguments: Any) -> None:  # type: ignore[override]
        _run(*arguments, COMPILED.index(self.name), DIRECTIONS.index(self.direction))

    def target(self, transitions: Array, rewards: Array, discount: Any) -> Any:
        """What a rule must know of the model beforehand: nothing, but for V*."""
        return None

    def _move(self, params: Array, problem: tuple[Any, ...], settings: tuple[Any, ...], target: Any, t: int, memory: Any) -> tuple[Array, Any]:
        ascent = self.ascent(params, problem)
        step, memory = self._step_size(ascent, settings, problem, target, t, memory)
        return self.moved(params, ascent, step), memory

    def ascent(self, params: Array, problem: tuple[Any, ...]) -> Ascent:
        """The table's G and g at `params`."""
        transitions, rewards, discount, start = problem
        policy = self.policy_of(params)
        values, visits = policy_values_and_visits(policy, transitions, rewards, discount, start)
        action_values = lookahead(transitions, rewards, discount, values)
        if self.direction == "projected":
            centred = action_values - action_values.sum(axis=-1)[..., None] / action_values.shape[-1]
            gradient = direction = visits[..., None] * centred
        else:
            apart = 1 - np.eye(action_values.shape[-1], dtype=np.int64)  # an action is no better than itself, also where Q is a ball
            differences = (action_values[..., :, None] - action_values[..., None, :]) * apart
            ahead = (policy[..., None, :] * differences).sum(axis=-1)
            gradient = visits[..., None] * policy * ahead
            direction = gradient if self.direction == "softmax" else ahead / (1 - discount)
        return Ascent((values * start).sum(axis=-1), direction, gradient, _inner(gradient, direction), _inner(direction, direction))

    def moved(self, params: Array, ascent: Ascent, step: Any) -> Array:
        """retract(params + step G)."""
        ahead = params + step * ascent.direction
        return project_simplex(ahead) if self.direction == "projected" else ahead


class Normalised(Ruled):
    """eta / |G|_2: every step has the length eta in the parameters.

    Along the softmax gradient a step is 1 + eta beta Lipschitz in the 2-norm, where |Hessian| <= beta |g| with beta = 3 + 2 sqrt(2) (max d/mu - 1),
    d the visits that sum to 1 / (1 - gamma) (claim non-uniform-smoothness); beta = 3 for one state.  Its derivative is
    I + eta (I - g g^T/|g|^2) H / |g|; and |g| shrinks at most like e^(-beta s) along a segment, so it does not vanish on the way.
    """

    name = "normalised-pg"
    norm = "two"

    def lipschitz(self, problem: Any, settings: tuple[Any, ...], enclosure: Array | None) -> Any:
        transitions, rewards, discount, start = problem
        if self.direction != "softmax" or not all(x > 0 for x in start):
            return None
        if len(start) == 1:
            return 1 + 3 * settings[0]
        most = maximum(1 / start) / (1 - discount)
        if enclosure is not None:
            _, visits = policy_values_and_visits(self.policy_of(enclosure), transitions, rewards, discount, start)
            most = most.min(maximum(visits / start))
        return 1 + settings[0] * (3 + arithmetic.sqrt(arithmetic.balls(8)) * (most - 1))

    def _step_size(self, ascent: Ascent, settings: tuple[Any, ...], problem: Any, target: Any, t: int, memory: Any) -> tuple[Any, Any]:
        return settings[0] * _beside(_ratio(1, arithmetic.sqrt(ascent.square))), memory


class Polyak(Ruled):
    """eta (V* - V)(start) / <g, G>: with eta = 1 the step at which the tangent reaches the optimum.  V* is computed once, exactly or enclosed."""

    name = "polyak-pg"

    def target(self, transitions: Array, rewards: Array, discount: Any) -> Any:
        return optimal_values(transitions, rewards, discount)

    def _step_size(self, ascent: Ascent, settings: tuple[Any, ...], problem: Any, target: Any, t: int, memory: Any) -> tuple[Any, Any]:
        short = (target * problem[3]).sum(axis=-1) - ascent.value
        if arithmetic.kind(short) == "float":  # what is left is no more than rounding: the policy is optimal as far as float64 can tell
            gamma = np.reshape(problem[2], np.shape(short))
            rounding = rounding_of_values.py_func(target.shape[-1], gamma, np.abs(target).max(axis=-1))
            short = np.where(short > rounding, short, 0)
        return settings[0] * _beside(_ratio(short, ascent.slope)), memory


class Armijo(Ruled):
    """The largest eta 2^-k that gains at least half of what the first order promises."""

    name = "armijo-pg"

    def _move(self, params: Array, problem: tuple[Any, ...], settings: tuple[Any, ...], target: Any, t: int, memory: Any) -> tuple[Array, Any]:
        ascent = self.ascent(params, problem)
        transitions, rewards, discount, start = problem
        step, chosen, done = settings[0], params, np.zeros(np.shape(ascent.value), dtype=bool)
        for _ in range(HALVINGS):
            trial = self.moved(params, ascent, step)
            gained = (policy_values(self.policy_of(trial), transitions, rewards, discount) * start).sum(axis=-1) - ascent.value
            enough = np.asarray(less_equal(_inner(ascent.gradient, trial - params) / 2, gained)) & ~done
            chosen = np.where(enough[..., None, None], trial, chosen) if enough.ndim else (trial if enough else chosen)
            done = done | enough
            if done.all():
                break
            step = step / 2
        return chosen, memory


class _Remembers(Ruled):
    """A rule whose step depends on the past."""

    def plain_step(self, params: Array, transitions: Array, rewards: Array, discount: Any, start: Array, *settings: Any) -> Array:  # type: ignore[override]
        raise NoEnclosure(f"a step of {self.name} depends on the steps before it: use `run`")


@dataclasses.dataclass(frozen=True)
class Decreasing(_Remembers):
    """eta / (t + 1)^power, t = 0 for the first step."""

    power: Setting = 1
    name = "decreasing-pg"

    def _step_size(self, ascent: Ascent, settings: tuple[Any, ...], problem: Any, target: Any, t: int, memory: Any) -> tuple[Any, Any]:
        return settings[0] / np.float64(t + 1) ** settings[1], memory


class Adaptive(_Remembers):
    """eta / sqrt(sum of the squared lengths of all directions so far)."""

    name = "adaptive-pg"

    def _step_size(self, ascent: Ascent, settings: tuple[Any, ...], problem: Any, target: Any, t: int, memory: Any) -> tuple[Any, Any]:
        memory = memory + _beside(ascent.square)
        return settings[0] * _ratio(1, np.sqrt(memory)), memory


def optimal_values(transitions: Array, rewards: Array, discount: Any) -> Array:
    """V* (..., S): in float64; exact in rationals; in balls an enclosure, for one model.

    The value V of any policy is a lower bound, V + max(T V - V) / (1 - gamma) an upper one; the policy is improved until the two agree (rationals) or
    taken from float64 (balls)."""
    from pgtheory.exact.batch import batch_optimal

    kind = arithmetic.kind(rewards)
    if kind == "float":
        shape = np.shape(rewards)
        flat = np.reshape(transitions, (-1, *shape[-2:], shape[-2])), np.reshape(rewards, (-1, *shape[-2:]))
        return batch_optimal(*flat, np.broadcast_to(np.reshape(discount, -1), (len(flat[0]),)))[0].reshape(shape[:-1])
    plain = [_floats(x) for x in (transitions, rewards, discount)]
    chosen = batch_optimal(plain[0][None], plain[1][None], plain[2].reshape(1))[1][0].argmax(axis=-1)
    states = np.arange(len(chosen))
    while True:
        chain = arithmetic.identity(len(chosen), rewards) - transitions[states, chosen] * discount
        values = arithmetic.solve(chain, rewards[states, chosen])
        ahead = lookahead(transitions, rewards, discount, values)
        gain = maximum(ahead - values[:, None], axis=-1)
        if kind == "ball":
            most = (maximum(gain) / (1 - discount)).abs_upper()
            return np.array([v.union(v + most) for v in values], dtype=object)
        if (gain == 0).all():
            return values
        chosen = np.where(gain > 0, ahead.argmax(axis=-1), chosen)


def _floats(values: Any) -> Array:
    return np.asarray(
        arithmetic.elementwise(lambda x: float(x.mid()) if hasattr(x, "mid") else int(x.p) / int(x.q), np.asarray(values)), dtype=np.float64
    )


def _inner(x: Array, y: Array) -> Any:
    """sum over states and actions, (...)."""
    return (x * y).sum(axis=(-2, -1))


def _ratio(above: Any, below: Any) -> Any:
    """above / below, and 0 where below is 0."""
    if arithmetic.kind(below) == "float":
        positive = np.asarray(below) > 0
        with np.errstate(over="ignore"):
            return np.where(positive, np.minimum(above / np.where(positive, below, 1.0), LARGEST), 0.0)
    if below == 0:
        return below
    if arithmetic.kind(below) == "ball" and not below > 0:
        raise NoEnclosure("the direction may be 0, and then nothing moves; it cannot be told from a short one at this precision")
    return above / below


def _beside(numbers: Any) -> Any:
    """(...) -> (..., 1, 1), so that it stands beside (..., S, A); one number stays."""
    return np.asarray(numbers)[..., None, None] if np.ndim(numbers) else numbers
