"""Deterministic policies with a number as action, and linear-quadratic regulators.

Deterministic policy gradient: the action of state s is a_s in [0, 1] (extra `controls`), and

    P(.|s, a) = (1 - a) P(s, 0, .) + a P(s, 1, .),   r(s, a) = (1 - a) r(s, 0) + a r(s, 1) + a^2 b(s)      (extra `bend`: b)

so that everything is rational.  The average-reward forms take P0, P1 from the extras `rows0`, `rows1`, half of them mixed with a uniform jump, so
that every chain is ergodic.

Regulators: extras closed (2, 2) = A - B K, inflow (2, 1) = B, gain (1, 2) = K, so that A = closed + inflow gain and K stabilises it;
Q = L L' + 1/10, S0 = N N' + 1/10 from `cost_root`, `start_root` (2, 2), and R = `control_cost`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.linear_quadratic import LinearQuadratic, product, transpose
from proofs_check.dual import Dual, solve
from proofs_check.quantities.registry import define, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDS = 7
"""Steps of policy iteration that stand for the optimum of a regulator: each squares the error of the last."""


# Deterministic policies


def _rows(c: Context, average: bool = False) -> tuple[Array, Array]:
    """P(.|s, 0) and P(.|s, 1), (B, S, S)."""
    if not average:
        return c.transitions[:, :, 0], c.transitions[:, :, 1]
    states = c.rewards.shape[1]
    zero, one = ((c.extra(name) + c.constant(np.ones(1, dtype=np.int64)) / states) / 2 for name in ("rows0", "rows1"))
    return zero, one


def _chain(c: Context, average: bool = False) -> Array:
    zero, one = _rows(c, average)
    a = c.extra("controls")[..., None]
    return (1 - a) * zero + a * one


def _paid(c: Context) -> Array:
    a = c.extra("controls")
    return (1 - a) * c.rewards[:, :, 0] + a * c.rewards[:, :, 1] + a * a * c.extra("bend")


def _paid_slope(c: Context) -> Array:
    return c.rewards[:, :, 1] - c.rewards[:, :, 0] + 2 * c.extra("controls") * c.extra("bend")


def _identity_minus(matrix: Array) -> Array:
    out = -matrix
    states = np.arange(out.shape[-1])
    out[..., states, states] = out[..., states, states] + 1
    return out


def _action_slopes(c: Context) -> Array:
    """dQ(s, a)/da at a_s, discounted, (B, S)."""
    gamma = c.discount[:, None]
    values = arithmetic.solve(_identity_minus(gamma[..., None] * _chain(c)), _paid(c))
    zero, one = _rows(c)
    return _paid_slope(c) + gamma * np.einsum("bst,bt->bs", one - zero, values)


def _visits(c: Context) -> Array:
    """d_mu, (B, S)."""
    matrix = _identity_minus(c.discount[:, None, None] * _chain(c))
    return (1 - c.discount)[:, None] * arithmetic.solve(np.swapaxes(matrix, -1, -2), c.mu)


@define("deterministic_gradient", r"\tfrac{1}{1-\gamma}\,d_\mu(s)\,\partial_a Q(s,a)|_{a_s}", "instance", "states")
def _deterministic_gradient(c: Context) -> Array:
    """The deterministic policy gradient theorem's formula for the derivatives of J in the actions, in reward units."""
    return (_visits(c) * _action_slopes(c) / (1 - c.discount)[:, None])[:, None]


@define("deterministic_gradient_without_visits", r"\tfrac{1}{1-\gamma}\,\partial_a Q(s,a)|_{a_s}", "instance", "states")
def _without_visits(c: Context) -> Array:
    """The formula without the visits."""
    return (_action_slopes(c) / (1 - c.discount)[:, None])[:, None]


@define("deterministic_derivative", r"\partial J/\partial a_s", "instance", "states")
def _deterministic_derivative(c: Context) -> Array:
    """Derivatives of J = V(mu) in the actions, by dual numbers through the linear solve, in reward units."""
    zero, one = _rows(c)
    eye = c.constant(np.eye(c.rewards.shape[1], dtype=np.int64))
    matrix = _identity_minus(c.discount[:, None, None] * _chain(c))
    moved = -c.discount[:, None, None, None] * (one - zero)[..., None] * eye[:, None, :]
    right = Dual(_paid(c), _paid_slope(c)[..., None] * eye)
    return np.einsum("bs,bsk->bk", c.mu, solve(Dual(matrix, moved), right).slope)[:, None]


@define("off_policy_error", r"\|\tfrac{1}{1-\gamma}(d^b - d_\mu)(s)\,\partial_a Q(s,a)\|_1", "instance")
def _off_policy_error(c: Context) -> Array:
    """Sum over the states of the error of the gradient that weights states by the behaviour's visits (extra `behaviour`), in reward units."""
    error = np.abs((c.extra("behaviour") - _visits(c)) * _action_slopes(c)) / (1 - c.discount)[:, None]
    return per_instance(error.sum(axis=-1))


@define("largest_action_slope", r"\max_s|\partial_a Q(s,a_s)|", "instance")
def _largest_action_slope(c: Context) -> Array:
    """Largest derivative of the action value in the action, over the states."""
    return per_instance(arithmetic.maximum(np.abs(_action_slopes(c)), axis=-1))


@define("behaviour_distance", r"\|d^b - d_\mu\|_1", "instance")
def _behaviour_distance(c: Context) -> Array:
    """Sum of the differences between the behaviour's visits and the policy's, at most 2."""
    return per_instance(np.abs(c.extra("behaviour") - _visits(c)).sum(axis=-1))


def _poisson(c: Context) -> Array:
    """I - P + 1 mu', invertible because P is unichain."""
    return _identity_minus(_chain(c, True)) + c.mu[:, None, :]


def _stationary(c: Context) -> Array:
    """(B, S)."""
    return arithmetic.solve(np.swapaxes(_poisson(c), -1, -2), c.mu)


def _average_slopes(c: Context) -> Array:
    """Derivative in the action of what it pays and leads to, by differential values, (B, S)."""
    zero, one = _rows(c, True)
    bias = arithmetic.solve(_poisson(c), _paid(c))  # h with mu'h equal to the average reward
    return _paid_slope(c) + np.einsum("bst,bt->bs", one - zero, bias)


@define("average_gradient", r"d(s)\,\partial_a\!\left[r(s,a) + P(\cdot|s,a)h\right]_{a_s}", "instance", "states")
def _average_gradient(c: Context) -> Array:
    """The deterministic policy gradient theorem for average reward: d stationary, h the bias; in reward units."""
    return (_stationary(c) * _average_slopes(c))[:, None]


@define("average_gradient_discounted", r"d(s)\,\partial_a\!\left[r(s,a) + \gamma P(\cdot|s,a)V_\gamma\right]_{a_s}", "instance", "states")
def _average_gradient_discounted(c: Context) -> Array:
    """The same formula with discounted values in place of the bias, in reward units."""
    zero, one = _rows(c, True)
    values = arithmetic.solve(_identity_minus(c.discount[:, None, None] * _chain(c, True)), _paid(c))
    ahead = c.discount[:, None] * np.einsum("bst,bt->bs", one - zero, values)
    return (_stationary(c) * (_paid_slope(c) + ahead))[:, None]


@define("average_off_policy_error", r"\|(d^b - d)(s)\,\partial_a Q(s,a)\|_1", "instance")
def _average_off_policy_error(c: Context) -> Array:
    """Sum over the states of the error of the average-reward gradient that weights states by the behaviour's visits, in reward units."""
    return per_instance(np.abs((c.extra("behaviour") - _stationary(c)) * _average_slopes(c)).sum(axis=-1))


@define("largest_average_slope", r"\max_s|\partial_a Q(s,a_s)|", "instance")
def _largest_average_slope(c: Context) -> Array:
    """Largest derivative, over the states, of the differential action value in the action."""
    return per_instance(arithmetic.maximum(np.abs(_average_slopes(c)), axis=-1))


@define("stationary_distance", r"\|d^b - d\|_1", "instance")
def _stationary_distance(c: Context) -> Array:
    """Sum of the differences between the behaviour's visits and the stationary law, at most 2."""
    return per_instance(np.abs(c.extra("behaviour") - _stationary(c)).sum(axis=-1))


@define("average_derivative", r"\partial\rho/\partial a_s", "instance", "states")
def _average_derivative(c: Context) -> Array:
    """Derivatives of the average reward in the actions, by dual numbers through the Poisson equation, in reward units."""
    zero, one = _rows(c, True)
    eye = c.constant(np.eye(c.rewards.shape[1], dtype=np.int64))
    moved = -(one - zero)[..., None] * eye[:, None, :]
    right = Dual(_paid(c), _paid_slope(c)[..., None] * eye)
    return np.einsum("bs,bsk->bk", c.mu, solve(Dual(_poisson(c), moved), right).slope)[:, None]


# Linear-quadratic regulators


def regulator(c: Context) -> tuple[LinearQuadratic, Array]:
    """The regulators and their gains (B, 1, 2)."""
    gain, inflow = c.extra("gain"), c.extra("inflow")
    roots = (c.extra("cost_root"), c.extra("start_root"))
    tenth = c.constant(np.eye(2, dtype=np.int64)) / 10
    cost, start = (product(root, transpose(root)) + tenth for root in roots)
    return LinearQuadratic(c.extra("closed") + product(inflow, gain), inflow, cost, c.extra("control_cost")[:, None, None], start), gain


def _improved(c: Context, rounds: int) -> tuple[LinearQuadratic, Array]:
    """The regulator and its gain after policy iteration, not in rationals: their digits grow threefold a step."""
    problem, gain = regulator(c)
    if c.kind == "rational" and rounds:
        raise TypeError("policy iteration of a regulator is run in balls")
    for _ in range(rounds):
        gain = problem.gauss_newton(gain)
    return problem, gain


def _largest_eigenvalue(matrix: Array) -> Array:
    """Largest eigenvalue of symmetric (B, 2, 2)."""
    return _eigenvalue(matrix, 1)


def _smallest_eigenvalue(matrix: Array) -> Array:
    return _eigenvalue(matrix, -1)


def _eigenvalue(matrix: Array, sign: int) -> Array:
    half = (matrix[:, 0, 0] + matrix[:, 1, 1]) / 2
    apart = (matrix[:, 0, 0] - matrix[:, 1, 1]) / 2
    root = arithmetic.sqrt(apart * apart + matrix[:, 0, 1] * matrix[:, 1, 0])
    return half + root if sign > 0 else half - root


@define("regulator_gradient", r"2E_K\Sigma_K", "instance", "gains")
def _regulator_gradient(c: Context) -> Array:
    """The formula for the derivatives of the cost in the gain, in cost units."""
    problem, gain = regulator(c)
    return problem.gradient(gain).reshape(len(gain), 1, -1)


@define("regulator_gradient_half", r"E_K\Sigma_K", "instance", "gains")
def _regulator_gradient_half(c: Context) -> Array:
    """The formula without its factor 2."""
    problem, gain = regulator(c)
    return problem.gradient(gain).reshape(len(gain), 1, -1) / 2


@define("regulator_derivative", r"\partial C(K)/\partial K", "instance", "gains")
def _regulator_derivative(c: Context) -> Array:
    """Derivatives of the cost in the gain, by dual numbers through the Lyapunov equation, in cost units."""
    problem, gain = regulator(c)
    batch = len(gain)
    eye = c.constant(np.eye(2, dtype=np.int64))
    closed = problem.closed_loop(gain)
    directions = eye[None, None]  # dK[0, j]/dK_k, (1, 1, j, k)
    moved = -np.einsum("bim,nmjk->bijk", problem.B, directions)  # dM[i, j]/dK_k
    m_value, m_slope = transpose(closed), np.swapaxes(moved, 1, 2)
    kron = np.einsum("bij,bkl->bikjl", m_value, m_value).reshape(batch, 4, 4)
    kron_slope = np.einsum("bijp,bkl->bikjlp", m_slope, m_value) + np.einsum("bij,bklp->bikjlp", m_value, m_slope)
    constant = problem.Q + product(transpose(gain), problem.R, gain)
    weighted = np.einsum("bmn,bnj->bmj", problem.R, gain)
    constant_slope = np.einsum("nmik,bmj->bijk", directions, weighted) + np.einsum("bmi,nmjk->bijk", weighted, directions)
    matrix = Dual(_identity_minus(kron), -kron_slope.reshape(batch, 4, 4, 2))
    found = solve(matrix, Dual(constant.reshape(batch, 4), constant_slope.reshape(batch, 4, 2)))
    return np.einsum("bp,bpk->bk", problem.start.reshape(batch, 4), found.slope)[:, None]


@define("regulator_gap", r"C(K) - C(K^*)", "instance")
def _regulator_gap(c: Context) -> Array:
    """Cost above that of seven more steps of policy iteration, which is the optimum to all digits but the last; in cost units."""
    problem, best = _improved(c, ROUNDS)
    gain = _improved(c, 0)[1]
    return per_instance(problem.cost(gain) - problem.cost(best))


@define("regulator_gap_after", r"C(K_+) - C(K^*)", "instance")
def _regulator_gap_after(c: Context) -> Array:
    """The same after one step of policy iteration (Gauss-Newton with step 1/2), in cost units."""
    problem, best = _improved(c, ROUNDS)
    return per_instance(problem.cost(_improved(c, 1)[1]) - problem.cost(best))


@define("regulator_gap_doubled", r"C(K - 2(K - K_+)) - C(K^*)", "instance")
def _regulator_gap_doubled(c: Context) -> Array:
    """The same after a step of policy iteration that is twice too long, in cost units; NaN where that gain does not stabilise."""
    problem, best = _improved(c, ROUNDS)
    gain = _improved(c, 0)[1]
    twice = 2 * _improved(c, 1)[1] - gain
    gap = problem.cost(twice) - problem.cost(best)
    if c.kind == "float":
        gap = np.where(problem.is_stable(twice), gap, np.nan)
    return per_instance(gap)


@define("regulator_gradient_square", r"\|\nabla C(K)\|_F^2", "instance")
def _regulator_gradient_square(c: Context) -> Array:
    """Squared Frobenius norm of the gradient of the cost."""
    return (_regulator_gradient(c) ** 2).sum(axis=-1, keepdims=True)


@define("optimal_moments", r"\|\Sigma_{K^*}\|_2", "instance")
def _optimal_moments(c: Context) -> Array:
    """Spectral norm of the second moment of the states under the optimal gain."""
    problem, best = _improved(c, ROUNDS)
    return per_instance(_largest_eigenvalue(problem.moments(best)))


@define("least_start_moment", r"\sigma_{\min}(\Sigma_0)", "instance")
def _least_start_moment(c: Context) -> Array:
    """Smallest eigenvalue of the second moment of the first state."""
    return per_instance(_smallest_eigenvalue(regulator(c)[0].start))


@define("control_cost", r"\sigma_{\min}(R)", "instance")
def _control_cost(c: Context) -> Array:
    """Smallest eigenvalue of the cost of controls (a number here)."""
    return per_instance(c.extra("control_cost"))
