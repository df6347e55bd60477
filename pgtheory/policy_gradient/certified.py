"""Runs whose iterates are enclosed with certainty: an exact midpoint and a radius that is proved.

Putting balls through a step again and again loses about 6 bits a step, because each use of an entry is taken for an independent unknown.  So each
iterate x_t is kept as an exact centre c_t and a radius e_t with |x_t - c_t| <= e_t in the norm of the method, and

    c_{t+1} = middle of F(c_t) in balls,        e_{t+1} = Lip e_t + |F(c_t) - c_{t+1}|

where Lip bounds the Lipschitz constant of the step F on a convex set that holds x_t and c_t (`Method.lipschitz`).  The price is log2(Lip) bits a
step.  A constant that holds everywhere is taken where the whole run then needs few bits; otherwise Lip is evaluated around each centre, at 64 bits.

A run whose radius outgrows `accuracy` is repeated with more bits.  Parameters that are policies keep centres that are policies: fixed-point
numbers, row sums exactly 1, since the Lipschitz constants hold between policies.  A method with a rational step and no Lipschitz constant (policy
iteration) runs in exact rationals, and any other method without one in plain balls."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpz

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational, rational_array
from pgtheory import arithmetic
from pgtheory.arithmetic import Undecided, balls, exactly, precision, radius
from pgtheory.policy_gradient.method import Method, check_rectangular

Array = np.ndarray
LIPSCHITZ_BITS = 64
MOST_BITS = 2**20
"""Beyond this many bits a step takes seconds even on one state."""
FEW_BITS = 2000
"""Up to this many a step in balls costs less than an evaluation of the Lipschitz constant."""


class NotEnclosed(Undecided):
    """A run whose radius outgrows the accuracy at every precision that is tried."""


def certified_run(
    method: Method,
    mdp: MDP,
    initial: Any,
    settings: Sequence[Any],
    times: Sequence[int],
    start: Any = None,
    bits: int | None = None,
    accuracy: Any = fmpq(1, 2**40),
    on_progress: Callable[[int, int, int], None] | None = None,
    most_bits: int | None = None,
) -> list[Array]:
    """Enclosures of the parameters of `method` at the iterations `times`.

    mdp          its rationals (`mdp.exact`) are the model
    initial      (S, A) parameters: rationals, floats (bit by bit) or balls; or a function that returns balls at the present precision, for
                 logits such as log 9; or "uniform"
    settings     the method's settings as rationals, in the order of `setting_names`
    times        increasing iterations
    start        (S,) distribution of the gradient, rationals; the model's if left out
    bits         first precision to try; by default from the Lipschitz constant
    accuracy     the largest radius that will do, at every one of `times`
    on_progress  called with (iteration, last iteration, bits) now and then
    most_bits    precision at which to give up: a million bits if left out
    returns      object arrays (S, A) of `flint.arb`, one for each of `times`
    raises       NotEnclosed: not reached with so many bits.  Main thread only (the precision of balls is global).
    """
    model = mdp.exact
    check_rectangular(model)
    when = [int(t) for t in times]
    if any(t < 0 for t in when) or any(b < a for a, b in itertools.pairwise(when)):
        raise ModelError("times must be increasing integers, none below 0")
    mu = model.start if start is None else rational_array(start)
    problem = (model.transitions, model.rewards, model.discount, mu)
    chosen = tuple(rational_array(x) if isinstance(x, np.ndarray) else rational(x) for x in settings)
    if len(chosen) != len(method.setting_names):
        raise ModelError(f"{method.name} has the settings {', '.join(method.setting_names) or '(none)'}; {len(chosen)} were given")
    if isinstance(initial, str) and initial == "uniform":
        initial = method.start(model)
    if not when:
        return []
    bound = _bound(method, problem, chosen, initial, when[-1])
    if bound is None and method.rational_step:
        return _exact_run(method, problem, chosen, initial, when)
    if bits is None:
        bits = 64 + max(0, math.ceil(-_log2(accuracy))) + (bound.bits if bound is not None else 8 * min(when[-1], 100))
    most = MOST_BITS if most_bits is None else most_bits
    while True:
        reached, out = _attempt(bound, method, problem, chosen, initial, when, bits, accuracy, on_progress)
        if out is not None:
            return out
        if bits >= most:
            raise NotEnclosed(f"{method.name}: after {reached:,} of {when[-1]:,} steps the radius passes {accuracy} even at {bits:,} bits")
        bits = min(_more_bits(bits, reached, when[-1]), most)


def has_lipschitz(method: Method, mdp: MDP, initial: Any, settings: Sequence[Any]) -> bool:
    """Whether a Lipschitz constant of the step is known for this model and these settings, so that long runs can be enclosed."""
    model = mdp.exact
    return _bound(method, (model.transitions, model.rewards, model.discount, model.start), tuple(settings), initial, 1) is not None


def _more_bits(bits: int, reached: int, last: int) -> int:
    """What the bits used up so far would take for the whole run, at least twice and at most four times as many."""
    wanted = int(1.1 * bits * last / max(reached, 1)) + 64
    return min(max(2 * bits, min(wanted, 4 * bits)), MOST_BITS)


class _Bound:
    """The Lipschitz constant in use: one for the whole run, or None for one around each iterate; and the bits that it will cost."""

    def __init__(self, constant: Any, bits: int) -> None:
        self.constant, self.bits = constant, bits


def _bound(method: Method, problem: tuple[Any, ...], settings: tuple[Any, ...], initial: Any, steps: int) -> _Bound | None:
    with precision(LIPSCHITZ_BITS):
        arguments = (tuple(balls(x) for x in problem), tuple(balls(x) for x in settings))
        anywhere = method.lipschitz(*arguments, None)
        here = method.lipschitz(*arguments, balls(initial() if callable(initial) else initial))
        if anywhere is None:
            return None if here is None else _Bound(None, 0)
        constant = anywhere.upper().mid()
    bits = math.ceil(steps * max(0.0, _log2(constant)))
    return _Bound(constant, bits) if bits <= FEW_BITS or not here < anywhere else _Bound(None, 0)


def _log2(x: Any) -> float:
    with precision(LIPSCHITZ_BITS):
        return float(arb(x if isinstance(x, (arb, fmpq)) else rational(x)).log() / arb(2).log())


def _attempt(
    bound: _Bound | None,
    method: Method,
    problem: Any,
    settings: Any,
    initial: Any,
    times: list[int],
    bits: int,
    accuracy: Any,
    on_progress: Any,
) -> tuple[int, list[Array] | None]:
    """(iterations done, None) where the radius outgrew the accuracy, else (last, enclosures)."""
    with precision(bits):
        limit = arb(accuracy if isinstance(accuracy, (arb, fmpq)) else rational(accuracy))
        state = _start(method, initial, limit)
        if state is None:
            return 0, None
        ball_problem = tuple(balls(x) for x in problem)
        ball_settings = tuple(balls(x) for x in settings)
        move = _plain_balls(method, ball_problem, ball_settings) if bound is None else _recentred(bound, method, ball_problem, ball_settings)
        out: list[Array] = []
        t = 0
        for when in times:
            while t < when:
                try:
                    state = move(state)
                except (Undecided, ZeroDivisionError):
                    return t, None
                t += 1
                if not state[1] < limit:
                    return t, None
                if on_progress is not None and t % 64 == 0:
                    on_progress(t, times[-1], bits)
            out.append(_enclosure(*state))
        if on_progress is not None:
            on_progress(t, times[-1], bits)
        return t, out


def _enclosure(centre: Array, error: Any) -> Array:
    """The box that holds the iterate: every entry its centre, give or take the radius."""
    return centre + error * arb(0, 1)


def _start(method: Method, initial: Any, limit: Any) -> tuple[Array, Any] | None:
    given = initial() if callable(initial) else np.asarray(initial)
    params = balls(given)
    centre, error = _recentre(method, params)
    return (centre, error) if error < limit else None


def _recentre(method: Method, params: Array) -> tuple[Array, Any]:
    """An exact centre near the balls `params`, and how far (in the method's norm) any point of them may be from it."""
    if method.parameters == "policy":
        centre = balls(_policy_near(exactly(params), ctx.prec - 2))
        return centre, _upper(_norm(method, params - centre))
    return arithmetic.midpoint(params), _upper(_norm(method, radius(params)))


def _policy_near(params: Array, bits: int) -> Array:
    """Fixed-point numbers below 2^-bits from `params` (but for the largest of a row), none negative, rows summing to exactly 1."""
    one = fmpz(1) << bits
    out = np.empty(params.shape, dtype=object)
    for s, row in enumerate(params):
        fixed = [max(fmpz((x.p << bits) // x.q), fmpz(0)) for x in row]
        largest = max(range(len(fixed)), key=lambda a: fixed[a])
        fixed[largest] += one - sum(fixed, fmpz(0))
        out[s] = [fmpq(k, one) for k in fixed]
    return out


def _norm(method: Method, values: Array) -> Any:
    return arithmetic.norm2(values) if method.norm == "two" else arithmetic.maximum(arithmetic.absolute(values))


def _upper(x: Any) -> Any:
    """An exact number above the ball, of few bits: radii need no more."""
    with precision(LIPSCHITZ_BITS):
        return arb(x).upper().mid()


def _recentred(bound: _Bound, method: Method, problem: tuple[Any, ...], settings: tuple[Any, ...]) -> Callable[[Any], Any]:
    def move(state: tuple[Array, Any]) -> tuple[Array, Any]:
        centre, error = state
        following, rounding = _recentre(method, method.plain_step(centre, *problem, *settings))
        with precision(LIPSCHITZ_BITS):
            constant = bound.constant
            if constant is None:
                constant = method.lipschitz(problem, settings, _enclosure(centre, error)).upper()
            return following, (constant * error + rounding).upper().mid()

    return move


def _plain_balls(method: Method, problem: tuple[Any, ...], settings: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Without a Lipschitz constant: the balls themselves go through the step; the state is (balls, largest radius)."""

    def move(state: tuple[Array, Any]) -> tuple[Array, Any]:
        following = method.plain_step(state[0], *problem, *settings)
        return following, arithmetic.maximum(radius(following))

    return move


def _exact_run(method: Method, problem: tuple[Any, ...], settings: tuple[Any, ...], initial: Any, times: list[int]) -> list[Array]:
    params = exactly(initial() if callable(initial) else initial)
    out, t = [], 0
    for when in times:
        while t < when:
            params = method.plain_step(params, *problem, *settings)
            t += 1
        out.append(balls(params))
    return out
