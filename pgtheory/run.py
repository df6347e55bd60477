"""The one driver: run a method on a model and keep what it passed through.

A trajectory is recorded parameters; values, gaps and every other quantity are computed from the record afterwards.  Minima of pi are the
exception: they are taken at every step, recorded or not, because a bound may depend on the smallest probability that a run ever reached.

`record="log"` keeps pairs (t, t + 1) at times spaced by powers of 2^(1/4): enough to draw a rate, and to test a one-step inequality.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.policy_gradient.method import Method, check_rectangular

Array = np.ndarray
BLOCK = 2**23
"""Entries of the stacked matrices P_pi that are evaluated at a time: 64 MB."""


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """What a run passed through, at R recorded iterations.

    times       (R,) iterations; 0 is the initial policy
    parameters  (R, S, A) as the method keeps them (logits or policies); for a user's method without array states, its policies
    policies    (R, S, A)
    minima      (R, S, A) smallest probability over all iterations 0 .. times[r]
    start       (S,) distribution of the first state that the gradient is taken for
    """

    mdp: MDP
    method: Any
    start: Array
    times: Array
    parameters: Array
    policies: Array
    minima: Array

    def __len__(self) -> int:
        return self.times.size

    def __repr__(self) -> str:
        name = getattr(self.method, "name", type(self.method).__name__)
        return f"Trajectory({name} on {self.mdp}, {len(self)} records up to t = {self.times[-1]:,})"

    @functools.cached_property
    def values(self) -> Array:
        """(R, S): V of every recorded policy, in reward units (without any entropy); what the method's own objective says where it has one (worst
        cases)."""
        judge = getattr(self.method, "objective_values", None)
        if judge is not None:
            return judge(self.mdp, self.policies)
        P, r = self.mdp.transitions, self.mdp.rewards
        num_states = self.mdp.num_states
        out = np.empty((len(self), num_states))
        block = max(1, BLOCK // num_states**2)
        for k in range(0, len(self), block):
            pi = self.policies[k : k + block]
            moved = np.matmul(pi.transpose(1, 0, 2), P).transpose(1, 0, 2)  # (R, S, S'): one product a state
            paid = (pi * r).sum(axis=-1)
            out[k : k + block] = np.linalg.solve(np.eye(num_states) - self.mdp.discount * moved, paid[..., None])[..., 0]
        return out

    @functools.cached_property
    def optimal_values(self) -> Array:
        """(S,): V*, by `pgtheory.solve`, or the optimum of the method's own objective."""
        from pgtheory.exact import solve

        judge = getattr(self.method, "objective_optimum", None)
        if judge is not None:
            return judge(self.mdp)

        return solve(self.mdp).values

    def gap(self, distribution: Any = None) -> Array:
        """(R,): V*(rho) - V_t(rho), in reward units; rho is the model's start distribution if left out.  Rounding may leave it below 0."""
        rho = self.mdp.start if distribution is None else _distribution(distribution, self.mdp)
        return (self.optimal_values - self.values) @ rho


def log_times(iterations: int) -> Array:
    """0, 1, ... and pairs (t, t + 1) at t = round(2^(k/4)), up to and with `iterations`."""
    if iterations < 0:
        raise ModelError(f"iterations is {iterations}; it must be at least 0")
    spaced = np.round(2 ** (np.arange(4 * max(iterations, 1).bit_length() + 1) / 4)).astype(np.int64)
    every = np.concatenate([[0, max(iterations - 1, 0), iterations], spaced, spaced + 1])
    return np.unique(every[every <= iterations])


def run(
    mdp: MDP,
    method: Any,
    iterations: int,
    record: str | Sequence[int] | Array = "log",
    initial: Any = "uniform",
    start: Any = None,
) -> Trajectory:
    """Runs `method` for `iterations` steps.

    method   one of `pgtheory.policy_gradient`, or any object with start(mdp) -> state, step(state, mdp) -> state, policy(state) -> (S, A)
             or one with prepared(mdp) -> (model, method, mu), which is run on a model of its own (`pgtheory.risk.methods.ECRMPG`)
    record   "log", "all", or the iterations to keep
    initial  the first policy (S, A), or its name (`pgtheory.starts`): "uniform", "random:7", "adversarial:1/100"; a user's method begins where its
             `start` says, or at this policy if it has begin(mdp, policy)
    start    (S,) distribution mu of the gradient of V(mu); the model's if left out
    raises   ModelError: bad policy, distribution, setting or times; a state of a user's method whose policy is none
    """
    times = recorded_times(record, iterations)
    mdp = mdp.float
    if hasattr(method, "prepared"):
        model, inner, mu = method.prepared(mdp)
        return run(model, inner, iterations, record, initial, mu if start is None else start)
    mu = mdp.start if start is None else _distribution(start, mdp)
    if not isinstance(method, Method):
        return _run_plain(mdp, method, times, mu, initial)
    return run_batch([mdp], method, iterations, record=times, initial=[initial], start=[mu])[0]


def run_batch(
    mdps: Sequence[MDP],
    method: Method,
    iterations: int,
    record: str | Sequence[int] | Array = "log",
    initial: Any = "uniform",
    start: Any = None,
    threads: int = 1,
) -> list[Trajectory]:
    """`run` on many models of one shape, in parallel; the figures do not depend on `threads`.

    initial  one name of a start policy for all, or one policy (S, A) or name a model
    start    None, or one distribution (S,) a model
    """
    if not mdps:
        return []
    models = [mdp.float for mdp in mdps]
    for mdp in models:
        check_rectangular(mdp)
        if (mdp.num_states, mdp.num_actions) != (models[0].num_states, models[0].num_actions):
            raise ModelError(f"run_batch takes models of one shape; {models[0]} and {mdp} differ")
    times = recorded_times(record, iterations)
    first = [initial] * len(models) if isinstance(initial, str) else list(initial)
    mu = [mdp.start for mdp in models] if start is None else [_distribution(x, mdp) for x, mdp in zip(start, models, strict=True)]
    params = [_initial_parameters(method, policy, mdp) for policy, mdp in zip(first, models, strict=True)]
    chosen = [method.settings(mdp) for mdp in models]
    settings = tuple(np.array([values[k] for values in chosen]) for k in range(len(method.setting_names)))
    records, minima = method.run_arrays(
        _stack([mdp.transitions for mdp in models]),
        _stack([mdp.rewards for mdp in models]),
        np.array([mdp.discount for mdp in models]),
        _stack(mu),
        _stack(params),
        settings,
        times,
        watch=True,
        threads=threads,
    )
    assert minima is not None
    _check_finite(records, times, method)
    policies = method.policy_of(records)
    rows = zip(models, mu, records, policies, minima, strict=True)
    return [Trajectory(mdp, method, rho, times, parameters, policy, low) for mdp, rho, parameters, policy, low in rows]


def _run_plain(mdp: MDP, method: Any, times: Array, mu: Array, initial: Any) -> Trajectory:
    """A user's own method, in Python: step by step, its policy checked at every step."""
    from pgtheory.exact.evaluation import check_policy

    for part in ("start", "step", "policy"):
        if not callable(getattr(method, part, None)):
            raise ModelError(f"{type(method).__name__} is no method: it has no {part}(); needed are start(mdp), step(state, mdp) and policy(state)")
    problem = mdp if np.array_equal(mu, mdp.start) else mdp.replace(start=mu)
    states, policies, minima = [], [], []
    state, t, lowest = _first_state(problem, method, initial), 0, None
    for when in times.tolist():
        while True:
            try:
                policy = check_policy(mdp, np.asarray(method.policy(state), dtype=np.float64))
            except ModelError as error:
                raise ModelError(f"{type(method).__name__} after {t} steps: {error}") from error
            lowest = policy if lowest is None else np.minimum(lowest, policy)
            if t == when:
                break
            state, t = method.step(state, problem), t + 1
        states.append(np.array(state) if isinstance(state, np.ndarray) and state.dtype != object else None)
        policies.append(np.array(policy))
        minima.append(lowest)
    parameters: list[Any] = policies if any(x is None for x in states) else states
    return Trajectory(mdp, method, mu, times, np.stack(parameters), np.stack(policies), np.stack(minima))


def _first_state(mdp: MDP, method: Any, initial: Any) -> Any:
    """Where a method of the plain protocol begins."""
    if isinstance(initial, str) and initial == "uniform":
        return method.start(mdp)
    if not hasattr(method, "begin"):
        raise ModelError(f"initial: {type(method).__name__} begins where its start(mdp) says; to begin elsewhere it needs begin(mdp, policy) as well")
    from pgtheory.exact.evaluation import check_policy
    from pgtheory.starts import start_policy

    return method.begin(mdp, check_policy(mdp, start_policy(initial, mdp) if isinstance(initial, str) else np.asarray(initial, dtype=np.float64)))


def _initial_parameters(method: Method, initial: Any, mdp: MDP) -> Array:
    if initial is None or (isinstance(initial, str) and initial == "uniform"):
        return method.start(mdp)
    if isinstance(initial, str):
        from pgtheory.starts import start_policy

        initial = start_policy(initial, mdp)
    from pgtheory.exact.evaluation import check_policy

    policy = np.asarray(initial)
    return method.params_of(check_policy(mdp, policy if policy.dtype != object else _to_float(policy)))


def recorded_times(record: str | Sequence[int] | Array, iterations: int) -> Array:
    """The iterations that `record` ("log", "all" or a list) keeps, increasing.  raises ModelError: another word, or iterations out of range"""
    if isinstance(record, str):
        if record not in ("log", "all"):
            raise ModelError(f"record is {record!r}; give 'log', 'all' or the iterations to keep")
        times = log_times(iterations)
        return times if record == "log" else np.arange(iterations + 1)
    given = np.asarray(record)
    if given.dtype.kind not in "iu" or given.ndim != 1 or not given.size:
        raise ModelError("record must be 'log', 'all' or a sequence of at least one iteration number")
    times = np.unique(given).astype(np.int64)
    if times[0] < 0 or times[-1] > iterations:
        raise ModelError(f"record holds {times[0] if times[0] < 0 else times[-1]}; the run has the iterations 0 to {iterations}")
    return times


def _distribution(values: Any, mdp: MDP) -> Array:
    """A start distribution, checked by the model's own rules."""
    return mdp.start if values is mdp.start else mdp.replace(start=values).float.start


def _check_finite(records: Array, times: Array, method: Any) -> None:
    if not np.isfinite(records).all():
        _, r, s, a = np.argwhere(~np.isfinite(records))[0]
        raise ModelError(f"{method.name}: state {s}, action {a} is not finite by iteration {times[r]}; the step size is too large for float64")


def _stack(arrays: list[Array]) -> Array:
    """One array of all; of a single one, a view."""
    return arrays[0][None] if len(arrays) == 1 else np.stack(arrays)


def _to_float(values: Array) -> Array:
    from mdps.rational import to_float

    return to_float(values)


class _CallableModule(types.ModuleType):
    """`pgtheory.run` is this module as soon as anything imports it, and the function `run` before: let both be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Trajectory:
        return run(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
