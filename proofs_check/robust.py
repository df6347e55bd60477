"""What judges of robust claims rest on: worst-case values of policies and the robust optimum for L1 balls around the rows, in every arithmetic.

The sets are (s, a)-rectangular: |q - P(.|s,a)|_1 <= radii(s, a), with the extra `radii` (S, A) of the instance; mass may move to any state.

    V_rob^pi = min over kernels of V^pi,      V_rob* = max over policies of V_rob^pi

Both are found by policy iteration, nature's inside the agent's, and believed because they satisfy their Bellman equations, which have one solution
each: V = T^pi V, V = T V.  In rationals the equations hold exactly; in float64 to rounding; balls are the rationals of the exact instance, enclosed.
A recorded policy that is known as a ball only is replaced by a rational policy inside it, at the price that V_rob^pi is Lipschitz in the policy:

    |V_rob^pi - V_rob^pi'| <= max|r| / (1 - gamma)^2  max_s |pi(.|s) - pi'(.|s)|_1
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pgtheory import arithmetic
from pgtheory.robust.nature import Answer, ball_answer, worst_kernel
from proofs_check.context import Context
from proofs_check.numbers import widen

Array = np.ndarray
ROUNDS = 1000
"""Rounds of the agent's policy iteration; it takes a handful."""
SLACK = 1e3
"""By how many roundings of a policy evaluation a Bellman equation may fail in float64 before the answer is refused."""


@dataclasses.dataclass(frozen=True)
class Robust:
    """A policy against the kernel that is worst for it: values (B, R, S), kernels (B, R, S, A, S'), action values (B, R, S, A) there."""

    values: Array
    kernels: Array
    action_values: Array


@dataclasses.dataclass(frozen=True)
class RobustOptimum:
    """The robust optimum: values (B, S), action values (B, S, A), a deterministic optimal policy (B, S, A), its worst kernel (B, S, A, S')."""

    values: Array
    action_values: Array
    policy: Array
    kernels: Array


def beside(discount: Array) -> Array:
    """(B,) -> (B, 1, 1, 1): a discount beside tables (B, R, S, A)."""
    return discount[:, None, None, None]


def radii_answer(c: Context) -> Answer:
    """Nature's answer in the L1 balls of the instance, for arrays (B, R, ...)."""
    return ball_answer("l1", c.extra("radii")[:, None])


def against(c: Context, policies: Array, answer: Answer) -> Robust:
    """The policies (B, R, S, A) against the kernels that are worst for them; floats and rationals."""
    rewards, nominal, discount = c.rewards[:, None], c.transitions[:, None], beside(c.discount)
    values, rows = worst_kernel(policies, nominal, rewards, discount, answer)
    ahead = arithmetic.lookahead(rows, rewards, discount, values)
    _believe(c, (policies * ahead).sum(axis=-1), values, "V = T^pi V")
    return Robust(values, rows, ahead)


def optimum(c: Context, answer: Answer) -> RobustOptimum:
    """The robust optimum over (s, a)-rectangular sets by policy iteration of the agent; floats and rationals."""
    best = np.argmax(c.rewards, axis=-1)
    rounding = SLACK * _rounding(c)[:, None] if c.kind == "float" else c.discount[0] * 0
    for _ in range(ROUNDS):
        policy = c.constant(np.eye(c.rewards.shape[-1], dtype=np.int64)[best])
        seen = against(c, policy[:, None], answer)
        values, ahead = seen.values[:, 0], seen.action_values[:, 0]
        better = ahead.max(axis=-1) > values + rounding
        if not better.any():
            _believe(c, ahead.max(axis=-1), values, "V = TV")
            return RobustOptimum(values, ahead, policy, seen.kernels[:, 0])
        best = np.where(better, ahead.argmax(axis=-1), best)
    raise ArithmeticError(f"the robust optimum was not found in {ROUNDS} rounds")


def _rounding(c: Context) -> Array:
    """(B,): the rounding of a policy evaluation."""
    from pgtheory.kernels import rounding_of_values

    largest = np.abs(c.rewards).max(axis=(1, 2)) / (1 - c.discount)
    return rounding_of_values.py_func(c.rewards.shape[1], c.discount, largest)


def _believe(c: Context, backed: Array, values: Array, equation: str) -> None:
    """ArithmeticError where a Bellman equation does not hold: exactly, or to rounding."""
    if c.kind == "float":
        error = np.abs(backed - values).reshape(len(values), -1).max(axis=1)
        if not (error <= 2 * SLACK * _rounding(c) + 1e-300).all():
            raise ArithmeticError(f"{equation} fails by {error.max():.1e}")
    elif not (backed == values).all():
        raise ArithmeticError(f"{equation} fails in exact arithmetic")


# One answer for every arithmetic


def robust(c: Context) -> Robust:
    """The records of the context against their worst kernels; computed once."""
    return robust_against(c, "radii", radii_answer)


def robust_against(c: Context, name: str, answer_of: Callable[[Context], Answer]) -> Robust:
    """The same for other sets; `name` is what the result is remembered by."""
    return _known(c, f"_robust_{name}", lambda: _lifted(c, lambda twin: against(twin, twin.policies, answer_of(twin)), Robust))


def robust_optimum(c: Context) -> RobustOptimum:
    """The robust optimum of the context's instances; computed once."""
    return _known(c, "_robust_optimum", lambda: _lifted(c, lambda twin: optimum(twin, radii_answer(twin)), RobustOptimum))


def _known(c: Context, name: str, make: Callable[[], Any]) -> Any:
    if name not in c.__dict__:
        c.__dict__[name] = make()
    return c.__dict__[name]


def _lifted(c: Context, make: Callable[[Context], Any], kind: type) -> Any:
    """The rational twin's answer in balls.  Where policies are known in balls only, `values` and, for (s, a)-rectangular sets, `action_values` are
    widened; with one budget a state only `values` may be read then, and `kernels` never: worst rows jump."""
    if c.kind != "ball":
        return make(c)
    twin, away = twin_of(c)
    found = make(twin)
    out = {field.name: arithmetic.balls(getattr(found, field.name)) for field in dataclasses.fields(kind)}
    if kind is Robust and away is not None:
        largest = arithmetic.maximum(np.abs(c.rewards)) / ((1 - c.discount[0]) * (1 - c.discount[0]))
        out["values"] = widen(out["values"], (away * largest)[..., None])
        out["action_values"] = widen(out["action_values"], (away * largest)[..., None, None])
    return kind(**out)


def twin_of(c: Context) -> tuple[Context, Array | None]:
    """(The rational context of a context in balls, how far its policies may be from the true ones in the 1-norm of a row, (1, R), or None: not at
    all)."""
    if "_twin" not in c.__dict__:
        from proofs_check.instance import exact_context

        source = c.source
        given = source.policy[None] if c.policies.shape[1] == 1 and c.times[0] == 0 else None
        policies, away = (given, None) if given is not None else _inside(c.policies[0])
        twin = exact_context(source, "rational", c.times, policies, pairs=c.pairs)
        if "now" in c.__dict__:
            twin.__dict__["now"] = c.now
        c.__dict__["_twin"] = (twin, away)
    return c.__dict__["_twin"]


def _inside(policies: Array) -> tuple[Array, Array]:
    """Rational policies (R, S, A) near balls, and the largest 1-norm of a row's distance, (1, R)."""
    centre = arithmetic.exactly(policies)
    centre = np.maximum(centre, centre * 0)
    centre = centre / centre.sum(axis=-1, keepdims=True)
    distance = np.abs(policies - arithmetic.balls(centre)).sum(axis=-1)
    return centre, arithmetic.maximum(distance, axis=-1)[None]


def exactly_known(code: Callable[[Context], Array]) -> Callable[[Context], Array]:
    """Code of a quantity for floats and rationals, made to serve balls: evaluated in the rationals of the exact instance, for its own policy."""

    @functools.wraps(code)
    def lifted(c: Context) -> Array:
        if c.kind != "ball":
            return code(c)
        twin, away = twin_of(c)
        if away is not None:
            raise arithmetic.Undecided("the quantity is known for a policy that is given exactly, not for one that a run encloses")
        return arithmetic.balls(code(twin))

    return lifted
