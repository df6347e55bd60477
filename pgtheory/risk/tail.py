"""Risk measures of the tail of a finite law: CVaR, spectral measures, mean-semideviation.

X takes the value x_i with probability p_i and is a REWARD: the bad outcomes are the small ones.  Costs are turned by `-measure(p, -costs)`.

    CVaR_a(X) = mean of the worst fraction a of the mass                               0 < a <= 1
              = max_eta eta - E(eta - X)_+ / a                   attained at eta = VaR_a, so among the outcomes
              = min { E_q X : 0 <= q <= p / a, sum q = 1 }       worst law: fill the smallest outcomes with p / a until the mass is 1
    CVaR_0 = the smallest outcome of positive probability,  CVaR_1 = E X
    spectral:   sum_k w_k CVaR_{a_k},  w >= 0 of total 1         every law-invariant comonotone coherent measure of a finite law is of this kind
    mean-semideviation:  E X - c |(E X - X)_+|_r,  0 <= c <= 1, r = 1 or 2
              = min E[X (1 + c (g - E g))] over 0 <= g, |g| <= 1 in the dual norm (r = 1: g <= 1; r = 2: E g^2 <= 1)

The three forms of CVaR are one linear program, its dual, and the greedy solution of the dual.  An outcome of probability 0 never counts: laws q are
absolutely continuous with respect to p.  All functions are array code with leading batch dimensions and take float64, rationals and balls.  In balls
values come from the maximum over eta (no order has to be decided); worst laws need the order of the outcomes and raise Undecided without it.

Sources: Rockafellar and Uryasev (2000); Acerbi (2002); Ogryczak and Ruszczynski (1999); Shapiro, Dentcheva and Ruszczynski (2009), chapter 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from mdps.errors import ModelError
from mdps.rational import rational, rational_array, simplest
from pgtheory.arithmetic import balls, kind, less_equal, maximum, sqrt, zeros_like_kind

Array = np.ndarray


def cvar(probabilities: Any, rewards: Any, level: Any) -> Array:
    """(...,) mean of the worst fraction `level` of the mass of each law; 0: the smallest possible outcome, 1: the mean.

    probabilities  (..., n), rows sum to 1;  rewards (..., n);  level in [0, 1], a number or an array (...,)
    returns        in reward units, between the smallest outcome and the mean, increasing in the level
    raises         ModelError: a level below 0 or above 1
    """
    p, x, a = _alike(probabilities, rewards, check_level(level))
    if kind(p) != "ball":
        return cvar_worst(p, x, a)[0]
    if np.ndim(a) == 0 and a == 0:
        return _smallest_possible(p, x)
    return np.asarray(maximum(cvar_sup(p[..., None, :], x[..., None, :], _apart(a), x), axis=-1), dtype=object)[()]


def cvar_worst(probabilities: Any, rewards: Any, level: Any) -> tuple[Array, Array]:
    """(values (...,), worst laws q (..., n)) with value = q . x, q <= p / level, q = 0 where p = 0."""
    p, x, a = _alike(probabilities, rewards, check_level(level))
    p, x = np.broadcast_arrays(p, x)
    order = _order(x)
    sorted_p = np.take_along_axis(p, order, axis=-1)
    above = sorted_p.cumsum(axis=-1)
    below = np.concatenate([zeros_like_kind((*above.shape[:-1], 1), p), above[..., :-1]], axis=-1)
    a = np.broadcast_to(np.asarray(a), p.shape[:-1])[..., None]
    zero = _is(a, 0)
    kept = _smaller(above, a) - _smaller(below, a)
    if zero.any():  # level 0: all mass on the first outcome that is possible
        first = np.arange(p.shape[-1]) == (~_is(sorted_p, 0)).argmax(axis=-1)[..., None]
        one = zeros_like_kind((), p) + 1
        kept = np.where(zero, np.where(first, one, one * 0), kept)
        a = np.where(zero, one, a)
    worst = zeros_like_kind(p.shape, p)
    np.put_along_axis(worst, order, kept / a, axis=-1)
    return (worst * x).sum(axis=-1), worst


def cvar_sup(probabilities: Any, rewards: Any, level: Any, threshold: Any) -> Array:
    """(...,) eta - E(eta - X)_+ / level at the threshold eta (...,): a lower bound of CVaR for every eta; level > 0."""
    p, x, a = _alike(probabilities, rewards, level)
    eta = _number(threshold, p)
    a = np.asarray(a)[..., 0] if np.ndim(a) == np.ndim(p) and np.ndim(a) else a
    return eta - (p * positive(_apart(eta) - x)).sum(axis=-1) / a


def var(probabilities: Any, rewards: Any, level: Any) -> Array:
    """(...,) the lower quantile: the smallest outcome x with P(X <= x) >= level (the smallest possible one at level 0)."""
    p, x, a = _alike(probabilities, rewards, check_level(level))
    p, x = np.broadcast_arrays(p, x)
    order = _order(x)
    sorted_p, sorted_x = np.take_along_axis(p, order, axis=-1), np.take_along_axis(x, order, axis=-1)
    a = np.broadcast_to(np.asarray(a), p.shape[:-1])[..., None]
    slack = 4 * p.shape[-1] * np.finfo(float).eps if kind(p) == "float" else 0  # a cumulative sum may miss the level by its rounding
    enough = less_equal(a - slack, sorted_p.cumsum(axis=-1)) & ~_is(sorted_p, 0)
    return np.take_along_axis(sorted_x, enough.argmax(axis=-1)[..., None], axis=-1)[..., 0][()]


def spectral(probabilities: Any, rewards: Any, levels: Sequence[Any], weights: Sequence[Any]) -> Array:
    """(...,) sum_k weights[k] CVaR_{levels[k]}."""
    p, x = _alike(probabilities, rewards)
    return sum((cvar(p, x, a) * _number(w, p) for a, w in zip(levels, weights, strict=True)), _number(0, p))  # type: ignore[return-value]


def spectral_worst(probabilities: Any, rewards: Any, levels: Sequence[Any], weights: Sequence[Any]) -> tuple[Array, Array]:
    """(values, worst laws): the same mixture of the worst laws of the CVaRs, which is worst because one order serves all levels."""
    p, x = _alike(probabilities, rewards)
    law = sum((cvar_worst(p, x, a)[1] * _number(w, p) for a, w in zip(levels, weights, strict=True)), _number(0, p))
    return (law * x).sum(axis=-1), law  # type: ignore[attr-defined, return-value]


def mean_semideviation(probabilities: Any, rewards: Any, weight: Any, order: int = 1) -> Array:
    """(...,) E X - weight |(E X - X)_+|_order, order 1 or 2 (2: float64 and balls)."""
    p, x = _alike(probabilities, rewards)
    c = _number(weight, p)
    mean = (p * x).sum(axis=-1)
    short = positive(_apart(mean) - x)
    return mean - c * ((p * short).sum(axis=-1) if order == 1 else sqrt((p * short * short).sum(axis=-1)))


def mean_semideviation_worst(probabilities: Any, rewards: Any, weight: Any, order: int = 1) -> tuple[Array, Array]:
    """(values, worst laws q = p (1 + weight (g - E g))): g = 1{X < E X} for order 1, (E X - X)_+ / its norm for order 2."""
    p, x = _alike(probabilities, rewards)
    c = _number(weight, p)
    mean = _apart((p * x).sum(axis=-1))
    short = positive(mean - x)
    if order == 1:
        g = np.where(~less_equal(mean, x), _number(1, p), _number(0, p))
    else:
        size = _apart(sqrt((p * short * short).sum(axis=-1)))
        none = _is(size, 0)
        g = np.where(none, _number(0, p), short / np.where(none, _number(1, p), size))
    worst = p * (1 + c * (g - _apart((p * g).sum(axis=-1))))
    return (worst * x).sum(axis=-1), worst


def positive(values: Any) -> Array:
    """max(x, 0) of every entry, in every arithmetic; for balls a ball that contains it."""
    values = np.asarray(values)
    if kind(values) == "ball":
        return np.frompyfunc(lambda x: arb.max(x, arb(0)), 1, 1)(values)
    return np.maximum(values, zeros_like_kind((), values))


def check_level(level: Any, what: str = "the risk level") -> Any:
    """A level in [0, 1], text read exactly; raises ModelError with the figure."""
    array = np.asarray(level)
    if array.dtype.kind in "OUS" or array.dtype == object:
        values = [x if isinstance(x, arb) else _exact(x, what) for x in array.reshape(-1).tolist()]
        out: Any = np.empty(array.shape, dtype=object)
        out.reshape(-1)[:] = values
        bad = [x for x in values if x < 0 or x > 1]
    else:
        out, values = array, array.reshape(-1).astype(float).tolist()
        bad = [x for x in values if not 0 <= x <= 1]
    if bad:
        raise ModelError(f"{what} is {bad[0]}; it must be in [0, 1]: 1 is the mean, 0 the worst outcome, 1/10 the mean of the worst tenth")
    return out[()]


def _exact(value: Any, what: str) -> Any:
    try:
        return rational(value)
    except (ModelError, ValueError, OverflowError) as error:
        raise ModelError(f"{what} is {value!r}; it must be a number such as 0.1 or 1/10") from error


# Numbers of one kind


def _alike(probabilities: Any, rewards: Any, *numbers: Any) -> tuple[Any, ...]:
    """Probabilities and rewards in one arithmetic (balls win over rationals, both over floats), the numbers in the same one."""
    p, x = _read(probabilities), _read(rewards)
    kinds = {kind(p), kind(x)}
    if kinds == {"float"}:
        p, x = p.astype(np.float64, copy=False), x.astype(np.float64, copy=False)
    elif "ball" in kinds:
        p, x = (v if kind(v) == "ball" else balls(v) for v in (p, x))
    elif "float" in kinds and "rational" in kinds:
        p, x = (v if kind(v) == "rational" else _number(v, np.array(rational(0), dtype=object)) for v in (p, x))
    return (p, x, *(_number(n, p) for n in numbers))


def _read(values: Any) -> Array:
    """An array of numbers; text and Fractions become rationals."""
    array = np.asarray(values)
    if array.dtype.kind in "US" or (array.dtype == object and any(isinstance(v, str | Fraction) for v in array.reshape(-1).tolist())):
        return rational_array(array)
    return array


def _number(value: Any, like: Any) -> Any:
    """A number or an array in the arithmetic of `like`; floats are read as they were meant where it is exact (0.1 is 1/10)."""
    numbers = kind(like)
    if np.ndim(value):
        array = np.asarray(value)
        if numbers == kind(array):
            return array
        out = np.empty(array.shape, dtype=np.float64 if numbers == "float" else object)
        out.reshape(-1)[:] = [_number(x, like) for x in array.reshape(-1).tolist()]
        return out
    item = value.item() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(item, arb):
        return item if numbers == "ball" else float(item.mid())
    if numbers == "float":
        return float(item) if isinstance(item, int | float) else _ratio(rational(item))
    exact = simplest(item) if isinstance(item, float) else rational(item)
    return arb(exact) if numbers == "ball" else exact


def _ratio(exact: Any) -> float:
    return int(exact.p) / int(exact.q)


def _apart(values: Any) -> Any:
    """(...,) as (..., 1), to stand beside outcomes; a plain number as it is."""
    return values[..., None] if isinstance(values, np.ndarray) and values.ndim else values


def _is(values: Any, number: int) -> Array:
    """Where an entry is exactly `number` (a ball that merely touches it is not)."""
    array = np.asarray(values)
    return np.asarray(array == number if array.dtype != object else np.frompyfunc(lambda x: bool(x == number), 1, 1)(array), dtype=bool)


def _smaller(a: Any, b: Any) -> Array:
    if kind(a) == "ball":
        return np.frompyfunc(arb.min, 2, 1)(a, b)
    return np.minimum(a, b)


def _smallest_possible(p: Array, x: Array) -> Array:
    """The smallest outcome whose probability is not exactly 0, of balls."""
    p, x = np.broadcast_arrays(p, x)
    out = np.empty(p.shape[:-1], dtype=object)
    for index in np.ndindex(out.shape):
        if any(not w == 0 and not w > 0 for w in p[index].tolist()):
            from pgtheory.arithmetic import Undecided

            raise Undecided("a probability is a ball around 0; whether its outcome is possible is not known")
        found = [y for w, y in zip(p[index].tolist(), x[index].tolist(), strict=True) if not w == 0]
        low = found[0]
        for y in found[1:]:
            low = low.min(y)
        out[index] = low
    return out[()]


def _order(x: Array) -> Array:
    """Indices that sort the outcomes of each law, ties in their own order; balls raise Undecided where the order is not known."""
    if kind(x) != "ball":
        return np.argsort(x, axis=-1, kind="stable")
    middle = np.frompyfunc(lambda y: float(y.mid()), 1, 1)(x).astype(float)
    order = np.argsort(middle, axis=-1, kind="stable")
    ranked = np.take_along_axis(x, order, axis=-1)
    less_equal(ranked[..., :-1], ranked[..., 1:])
    return order
