"""Nature: the worst kernel of a policy, and how the value changes when the kernel does.

Against a fixed policy nature solves a Markov decision process of its own: in state s it chooses the rows q_a of a kernel from the set U_s and pays
sum_a pi(a|s) (r(s, a) + gamma q_a . V).  So its policy iteration finds the worst kernel: evaluate the present kernel, answer the values with the rows
that are worst for them, and stop where no row is better.  Every round lowers the values in every state.  Where the set is a polytope and the answers
are vertices of it (L1, total variation, contamination, ...) it ends after finitely many rounds with the exact minimum, in rationals too; elsewhere
it is Newton's method for V = T^pi V and squares its error.

    answer(policy, nominal, values) -> kernels      the rows that are worst for `values`: (..., S, A), (..., S, A, S'), (..., S) -> (..., S, A, S')

The adversary's gradient (Wang, Ho, Petrik 2023; derived in docs/theory/robust_gradient.md), with d the visits from mu normalised to 1:

    dV(mu) / dP(s' | s, a) = gamma / (1 - gamma) d(s) pi(a | s) V(s')

All functions take leading batch dimensions and work in float64 and in rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mdps.errors import ModelError
from pgtheory import arithmetic, kernels

Array = np.ndarray
Answer = Callable[[Array, Array, Array], Array]
ROUNDS = 1000
"""Rounds of nature's policy iteration; it takes a handful."""


def worst_kernel(policy: Array, nominal: Array, rewards: Array, discount: Any, answer: Answer, paid: Any = None) -> tuple[Array, Array]:
    """The worst-case values of a policy (..., S), and a kernel (..., S, A, S') that attains them in every state at once.

    policy    (..., S, A); nominal (..., S, A, S'), a member of the set; rewards (..., S, A); discount a number or (..., 1, 1)
    paid      (..., S, A, S'): further rewards that a transition pays, which nature moves along with the mass (`answer` must know them: `ball_answer`)
    raises    ArithmeticError: nature did not come to rest, so `answer` does not minimise over a fixed set
    """
    shape = (*np.broadcast_shapes(policy.shape, rewards.shape, nominal.shape[:-1]), nominal.shape[-1])
    rows = np.broadcast_to(nominal, shape).copy()
    policy = np.broadcast_to(policy, shape[:-1])
    rounding = _rounding(rewards if paid is None else np.abs(rewards) + np.abs(paid).max(axis=-1), discount, shape[-1])
    for _ in range(ROUNDS):
        values = arithmetic.policy_values(policy, rows, rewards if paid is None else rewards + (rows * paid).sum(axis=-1), discount)
        other = answer(policy, nominal, values)
        # per state, because one budget may serve several rows: the whole block is exchanged where the state gains
        ends = values[..., None, None, :] if paid is None else paid + discount_beside(discount) * values[..., None, None, :]
        gain = (policy * ((rows - other) * ends).sum(axis=-1)).sum(axis=-1)
        better = gain > rounding
        if not better.any():
            return values, other  # not `rows`: of actions that are never taken too, the rows that are worst for these values
        rows = np.where(better[..., None, None], other, rows)
    raise ArithmeticError(f"nature found better kernels {ROUNDS} times: the answer does not minimise over a fixed set")


def _rounding(rewards: Array, discount: Any, num_states: int) -> Any:
    """A gain that float64 cannot tell from 0, (..., 1) beside states: the rounding of a policy evaluation.  Exact arithmetic: 0."""
    if arithmetic.kind(rewards) != "float" or arithmetic.kind(discount) != "float":
        return arithmetic._constant(rewards, 0)
    gamma = discount[..., 0] if isinstance(discount, np.ndarray) and discount.ndim else discount
    largest = np.abs(rewards).max(axis=(-1, -2))[..., None] / (1 - gamma)
    return kernels.rounding_of_values.py_func(num_states, gamma, largest)


def kernel_gradient(policy: Array, transitions: Array, rewards: Array, discount: Any, start: Array, paid: Any = None) -> Array:
    """dV(mu)/dP, (..., S, A, S'): what a change of the kernel does to the value of `policy` under `start`, in reward units; `paid` as in
    `worst_kernel`."""
    means = rewards if paid is None else rewards + (transitions * paid).sum(axis=-1)
    values, visits = arithmetic.policy_values_and_visits(policy, transitions, means, discount, start)
    ends = discount_beside(discount) * values[..., None, None, :]
    return (visits[..., None] * policy)[..., None] * (ends if paid is None else paid + ends)


def discount_beside(discount: Any) -> Any:
    """A discount (a number, or (..., 1, 1) beside tables (..., S, A)) as it stands beside kernels (..., S, A, S')."""
    return discount[..., None] if isinstance(discount, np.ndarray) and discount.ndim else discount


# Answers

SETS = ("l1", "tv", "contamination", "linf", "l2", "kl", "chi2")
"""The balls that `ball_answer` knows by name; the first four in rationals too."""


def ball_answer(name: str, radius: Any, rectangular: str = "sa", paid: Any = None, discount: Any = None) -> Answer:
    """Nature's answer in a ball around the nominal rows (`mdps.ambiguity`), by its name.

    radius        rectangular="sa": (..., S, A), of each row.  "s" (L1 and total variation): (..., S, 1), shared by the rows of a state
    paid          (..., S, A, S') rewards of transitions, with the discount ("sa" only): a row then minimises q . (paid + discount V)
    raises        ModelError: unknown name, or a set that is not known in that form
    """
    if rectangular == "sa" and name in SETS:
        from pgtheory.robust import worst_case

        worst = getattr(worst_case, f"worst_{name}")
        if paid is None:
            return lambda policy, nominal, values: worst(nominal, values[..., None, None, :], radius)[1]
        return lambda policy, nominal, values: worst(nominal, paid + discount_beside(discount) * values[..., None, None, :], radius)[1]
    if rectangular == "s" and name in ("l1", "tv"):
        return shared_answer(radius if name == "l1" else radius * 2)
    if rectangular not in ("sa", "s"):
        raise ModelError(f"rectangular is {rectangular!r}; it must be 'sa' or 's'")
    raise ModelError(f"no ball {name!r} with rectangular={rectangular!r} here; rectangular='sa' knows {', '.join(SETS)}, rectangular='s' l1 and tv")


def shared_answer(budget: Any) -> Answer:
    """sum_a |q_a - p_a|_1 <= budget (..., S, 1) in every state.

    A unit of mass that moves from s' to the least value costs 2 of the budget and the policy pi(a|s) (V(s') - min V).  That is a fractional knapsack:
    take from where the rate is largest until the budget is spent."""

    def answer(policy: Array, nominal: Array, values: Array) -> Array:
        loss = (values - values.min(axis=-1, keepdims=True))[..., None, None, :]
        shape = np.broadcast_shapes(nominal.shape, (*policy.shape, 1), loss.shape)
        rates, capacity = np.broadcast_to(policy[..., None] * loss, shape), np.broadcast_to(nominal, shape)
        block = (*shape[:-2], shape[-2] * shape[-1])
        moved = greedy(rates.reshape(block), capacity.reshape(block), budget[..., 0] / 2).reshape(shape)
        moved = np.where(rates > 0, moved, moved * 0)  # what costs nothing stays where it is
        lowest = np.eye(shape[-1], dtype=np.int64)[values.argmin(axis=-1)][..., None, None, :]
        return capacity - moved + lowest * moved.sum(axis=-1)[..., None]

    return answer


def greedy(rates: Array, capacity: Array, budget: Any) -> Array:
    """How much is taken of each item (last axis): the items of largest rate first, each up to its capacity, `budget` (...,) in all."""
    order = np.argsort(-rates, axis=-1, kind="stable")
    held = np.take_along_axis(capacity, order, axis=-1)
    left = np.asarray(budget)[..., None] - (held.cumsum(axis=-1) - held)
    taken = np.minimum(held, np.maximum(left, left * 0))
    out = np.empty_like(taken)
    np.put_along_axis(out, order, taken, axis=-1)
    return out


# Projection on an L1 ball within the simplex, for nature's projected gradient

PIECES = 12
"""Rounds of Newton's method on the pieces; a handful settles nearly all rows."""
BISECTIONS = 150
"""Most rounds of a search for the root of a falling, piecewise linear function; it ends when the root is found to rounding."""


def project_l1(rows: Array, nominal: Array, radius: Any) -> Array:
    """The nearest row to each of `rows` (..., n) that is a distribution within L1 distance `radius` (...,) of `nominal`.  Float64.

    With multipliers nu of sum q = 1 and lambda of the distance, q = max(0, p + S(x - nu)) where x = row - p and S(y) = sign(y) max(|y| - lambda, 0):
    sum q falls in nu, the distance falls in lambda, and both are piecewise linear."""
    out = arithmetic.project_simplex(rows)
    radius = np.broadcast_to(radius, rows.shape[:-1])
    far = np.abs(out - nominal).sum(axis=-1) > radius
    if not far.any():
        return out
    p, reach = np.broadcast_to(nominal, rows.shape)[far], radius[far]
    x = rows[far] - p
    low, high = x.min(axis=-1), x.max(axis=-1)
    found, done = _by_pieces(x, p, reach, (low + high) / 2, np.maximum((high - low) / 2 - reach / 2, 0.0))
    found[reach == 0], done = p[reach == 0], done | (reach == 0)
    for rounds in (12, 36, BISECTIONS):
        if not done.all():
            left = ~done
            begin = _nested(x[left], p[left], reach[left], rounds)
            found[left], done[left] = _by_pieces(x[left], p[left], reach[left], *begin)
            if rounds == BISECTIONS:
                found[~done] = _shrunk(x[left], p[left], *begin)[~done[left]]
    found = found / found.sum(axis=-1, keepdims=True)
    distance = np.abs(found - p).sum(axis=-1)
    share = np.where(distance > reach, reach / np.where(distance > 0, distance, 1.0), 1.0)
    out[far] = p + share[:, None] * (found - p)  # within the ball, rounding included
    return out


def _shrunk(x: Array, p: Array, shift: Array, level: Array) -> Array:
    """max(0, p + S(x - shift)), S shrinking by `level`."""
    away = x - shift[:, None]
    return np.maximum(p + np.sign(away) * np.maximum(np.abs(away) - level[:, None], 0.0), 0.0)


def _by_pieces(x: Array, p: Array, reach: Array, shift: Array, level: Array) -> tuple[Array, Array]:
    """(rows, where they are right): Newton's method on the two equations, which are linear as long as the same entries move and the same are 0."""
    scale = np.maximum(np.abs(x).max(axis=-1), 1.0)
    for _ in range(PIECES):
        away = x - shift[:, None]
        sign, moves = np.sign(away), np.abs(away) > level[:, None]
        gone = moves & (p + away - sign * level[:, None] < 0)
        free = moves & ~gone
        lost = np.where(gone, p, 0.0).sum(axis=-1)
        count, balance = free.sum(axis=-1), np.where(free, sign, 0.0).sum(axis=-1)
        first = np.where(free, x, 0.0).sum(axis=-1) - lost
        second = np.where(free, sign * x, 0.0).sum(axis=-1) + lost - reach
        determinant = np.where(count * count > balance * balance, count * count - balance * balance, 1.0)
        solvable = count * count > balance * balance
        shift = np.where(solvable, (count * first - balance * second) / determinant, shift)
        level = np.where(solvable, np.maximum((count * second - balance * first) / determinant, 0.0), level / 2)
    q = _shrunk(x, p, shift, level)
    error = np.abs(q.sum(axis=-1) - 1) + np.abs(np.abs(q - p).sum(axis=-1) - reach)
    return q, error <= 64 * kernels.EPS * scale


def _nested(x: Array, p: Array, reach: Array, rounds: int) -> tuple[Array, Array]:
    """(shift, level) by two nested searches of so many rounds."""

    def shift(level: Array) -> Array:
        low, high = x.min(axis=-1) - level - 1, x.max(axis=-1) + level
        return falling_root(lambda at: _shrunk(x, p, at, level).sum(axis=-1) - 1, low, high, rounds)

    half = (x.max(axis=-1) - x.min(axis=-1)) / 2
    level = falling_root(lambda at: np.abs(_shrunk(x, p, shift(at), at) - p).sum(axis=-1) - reach, half * 0, half, rounds)
    return shift(level), level


def falling_root(function: Callable[[Array], Array], low: Array, high: Array, rounds: int) -> Array:
    """Where falling functions, positive at `low` and not at `high`, are 0: false position with halved weights (Illinois), to rounding, or `rounds`
    long."""
    a, b, fa, fb = low.copy(), high.copy(), function(low), function(high)
    root = np.where(fa <= 0, a, b)
    open_ = (fa > 0) & (fb < 0)
    side = np.zeros(low.shape, dtype=np.int64)
    for k in range(rounds):
        if not open_.any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = np.where(open_, (a * fb - b * fa) / (fb - fa), root)
        middle = np.where((middle > a) & (middle < b) & (k % 3 != 2), middle, (a + b) / 2)
        value = function(np.where(open_, middle, root))
        above = value > 0
        root = np.where(open_, middle, root)
        open_ = open_ & (np.abs(value) > 4 * kernels.EPS) & (b - a > 2 * kernels.EPS * np.maximum(np.abs(a), np.abs(b)))
        fb = np.where(above & (side == 1), fb / 2, fb)
        fa = np.where(~above & (side == -1), fa / 2, fa)
        a, fa = np.where(above, middle, a), np.where(above, value, fa)
        b, fb = np.where(above, b, middle), np.where(above, fb, value)
        side = np.where(above, 1, -1)
    return root


# Kernels with parameters


def tilted_kernel(nominal: Array, state_features: Array, pair_features: Array, theta: Array, weights: Array) -> Array:
    """P(s'|s, a) proportional to nominal(s'|s, a) exp(theta . f(s') / (weights . g(s, a))), (S, A, S').

    state_features (n, S'), pair_features (m, S, A), theta (n,), weights (m,).  Wang, Ho, Petrik (2023): the worst kernel of a KL ball has this form,
    and a few numbers describe a model of any size.  Not rectangular: the same numbers rule every row."""
    exponent = (theta @ state_features) / np.tensordot(weights, pair_features, 1)[..., None]
    exponent = np.where(nominal > 0, exponent, -np.inf)
    grown = nominal * np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def tilted_kernel_gradient(
    kernel: Array, state_features: Array, pair_features: Array, theta: Array, weights: Array, slopes: Array
) -> tuple[Array, Array]:
    """(d/dtheta (n,), d/dweights (m,)) of a function of the tilted kernel whose slopes are dJ/dP (S, A, S').

    dP(s')/dtheta_j = P(s') (f_j(s') - E f_j) / b,     dP(s')/dweights_j = -P(s') (x(s') - E x) g_j / b^2,   x = theta . f,  b = weights . g
    """
    pressed = kernel * (slopes - (kernel * slopes).sum(axis=-1, keepdims=True))  # the covariance with any function of s'
    scale = np.tensordot(weights, pair_features, 1)
    by_theta = np.einsum("sat,nt,sa->n", pressed, state_features, 1 / scale)
    by_weights = -np.einsum("sat,t,msa,sa->m", pressed, theta @ state_features, pair_features, 1 / scale**2)
    return by_theta, by_weights
