"""Linear-quadratic regulators with two states and two controls.

Regulators: extras loop (2, 2), skew, inflow (2, 2) = B, gain (2, 2) = K.  The closed loop A - B K is loop with its corners multiplied and divided by
skew, so that its spectral radius is below 1 and its norm need not be; A = (A - B K) + B K.  Q = L L' + 1/10, R = M M' + 1/10, S0 = N N' + 1/10 from
`cost_root`, `control_root`, `start_root`.  A second gain is K + `change`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.linear_quadratic import LinearQuadratic, lyapunov, product, transpose
from proofs_check.dual import Dual, solve
from proofs_check.quantities.registry import define, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
ROUNDS = 7
"""Steps of policy iteration that stand for the optimum of a regulator: each squares the error of the last."""
STEPS = 4


# Small symmetric matrices


def eigenvalues(matrix: Array) -> tuple[Array, Array]:
    """Smallest and largest eigenvalue (B,) of symmetric (B, 2, 2)."""
    half = (matrix[:, 0, 0] + matrix[:, 1, 1]) / 2
    apart = (matrix[:, 0, 0] - matrix[:, 1, 1]) / 2
    root = arithmetic.sqrt(apart * apart + matrix[:, 0, 1] * matrix[:, 1, 0])
    return half - root, half + root


def _square(matrix: Array) -> Array:
    return (matrix * matrix).sum(axis=(-1, -2))


def schur_margin(matrix: Array) -> Array:
    """min(1 - det, 1 + det - |trace|), (B,): positive exactly where both eigenvalues of (B, 2, 2) lie inside the unit circle; rational."""
    trace = matrix[:, 0, 0] + matrix[:, 1, 1]
    det = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
    return arithmetic.minimum(np.stack([1 - det, 1 + det - arithmetic.absolute(trace)], axis=-1), axis=-1)


# Regulators


def plant(c: Context) -> tuple[LinearQuadratic, Array]:
    """The regulators and their gains (B, 2, 2)."""
    if "lqr" not in c.__dict__:
        closed, skew = c.extra("loop").copy(), c.extra("skew")
        closed[:, 0, 1], closed[:, 1, 0] = closed[:, 0, 1] * skew, closed[:, 1, 0] / skew
        gain, inflow = c.extra("gain"), c.extra("inflow")
        tenth = c.constant(np.eye(2, dtype=np.int64)) / 10
        cost, control, start = (product(c.extra(n), transpose(c.extra(n))) + tenth for n in ("cost_root", "control_root", "start_root"))
        c.__dict__["lqr"] = LinearQuadratic(closed + product(inflow, gain), inflow, cost, control, start), gain
    return c.__dict__["lqr"]


def _newton(c: Context, rounds: int) -> Array:
    """The gain after `rounds` steps of policy iteration; not in rationals, whose digits grow threefold a step."""
    problem, gain = plant(c)
    if rounds > 1 and c.kind != "float" and c.kind != "ball":
        raise TypeError("policy iteration of a regulator is run in balls")
    known = c.__dict__.setdefault("lqr_newton", [gain])
    while len(known) <= rounds:
        known.append(problem.gauss_newton(known[-1]))
    return known[rounds]


def _best(c: Context) -> Array:
    return _newton(c, ROUNDS + STEPS)


def _cost(c: Context, gain: Array) -> Array:
    """C(K), (B,); NaN in floats where the gain does not stabilise."""
    problem = plant(c)[0]
    cost = problem.cost(gain)
    return np.where(problem.is_stable(gain), cost, np.nan) if c.kind == "float" else cost


def _gap(c: Context, gain: Array) -> Array:
    return _cost(c, gain) - _cost(c, _best(c))


@define("lqr_gradient", r"2E_K\Sigma_K", "instance", "gains")
def _lqr_gradient(c: Context) -> Array:
    """The formula for the derivatives of the cost in the gain of a regulator with two controls, in cost units."""
    problem, gain = plant(c)
    return problem.gradient(gain).reshape(len(gain), 1, -1)


@define("lqr_gradient_without_moments", r"2E_K\Sigma_0", "instance", "gains")
def _lqr_gradient_without_moments(c: Context) -> Array:
    """The formula with the first state alone in place of all that follow."""
    problem, gain = plant(c)
    return 2 * product(problem.residual(gain), problem.start).reshape(len(gain), 1, -1)


def _moved(c: Context) -> tuple[Array, Array, Array]:
    """dK, dM, d(Q + K'RK) along the four entries of the gain, each (B or 1, 2, 2, 4)."""
    problem, gain = plant(c)
    directions = c.constant(np.eye(4, dtype=np.int64)).reshape(1, 2, 2, 4)
    loop = -np.einsum("bim,nmjk->bijk", problem.B, directions)
    weighted = product(problem.R, gain)
    stage = np.einsum("nmik,bmj->bijk", directions, weighted) + np.einsum("bmi,nmjk->bijk", weighted, directions)
    return directions, loop, stage


def _dual_lyapunov(step: Array, moved: Array, constant: Array, moved_constant: Array) -> Array:
    """dX (B, 4, K) of X = constant + step X step', by dual numbers through the elimination."""
    batch = len(step)
    kron = np.einsum("bij,bkl->bikjl", step, step).reshape(batch, 4, 4)
    slope = np.einsum("bijp,bkl->bikjlp", moved, step) + np.einsum("bij,bklp->bikjlp", step, moved)
    matrix = -kron
    matrix[:, np.arange(4), np.arange(4)] = matrix[:, np.arange(4), np.arange(4)] + 1
    found = solve(Dual(matrix, -slope.reshape(batch, 4, 4, -1)), Dual(constant.reshape(batch, 4), moved_constant.reshape(batch, 4, -1)))
    return found.slope


@define("lqr_derivative", r"\partial C(K)/\partial K", "instance", "gains")
def _lqr_derivative(c: Context) -> Array:
    """Derivatives of the cost in the gain, by dual numbers through the equation of the cost-to-go, in cost units."""
    problem, gain = plant(c)
    _, loop, stage = _moved(c)
    constant = problem.Q + product(transpose(gain), problem.R, gain)
    slope = _dual_lyapunov(transpose(problem.closed_loop(gain)), np.swapaxes(loop, 1, 2), constant, stage)
    return np.einsum("bp,bpk->bk", problem.start.reshape(-1, 4), slope)[:, None]


@define("average_cost_derivative", r"\partial\bar c(K)/\partial K", "instance", "gains")
def _average_cost_derivative(c: Context) -> Array:
    """Derivatives of the average cost tr((Q+K'RK)X), X = W + MXM' the stationary moment under noise W, by dual numbers through that equation."""
    problem, gain = plant(c)
    _, loop, stage = _moved(c)
    closed = problem.closed_loop(gain)
    moments = lyapunov(closed, problem.start)
    slope = _dual_lyapunov(closed, loop, problem.start, c.constant(np.zeros((1, 2, 2, 4), dtype=np.int64)) + 0 * loop)
    constant = problem.Q + product(transpose(gain), problem.R, gain)
    return (np.einsum("bp,bpk->bk", constant.reshape(-1, 4), slope) + np.einsum("bijk,bij->bk", stage, moments))[:, None]


@define("lqr_cost_increase", r"C(K+\Delta)-C(K)", "instance")
def _lqr_cost_increase(c: Context) -> Array:
    """Cost of the second gain less that of the first, in cost units."""
    problem, gain = plant(c)
    return per_instance(problem.cost(gain + c.extra("change")) - problem.cost(gain))


def _increase(c: Context, moments: Array) -> Array:
    problem, gain = plant(c)
    change, residual = c.extra("change"), problem.residual(gain)
    bracket = 2 * product(transpose(change), residual) + product(transpose(change), problem.weight(problem.cost_matrix(gain)), change)
    return per_instance((moments * bracket).sum(axis=(-1, -2)))


@define("lqr_cost_decrease", r"C(K)-C(K+\Delta)", "instance")
def _lqr_cost_decrease(c: Context) -> Array:
    """Cost of the first gain less that of the second, in cost units."""
    return -_lqr_cost_increase(c)


@define("lqr_cost_increase_formula", r"\mathrm{tr}\,\Sigma_{K+\Delta}(2\Delta^T E_K+\Delta^T W_K\Delta)", "instance")
def _lqr_cost_increase_formula(c: Context) -> Array:
    """What the cost difference formula says, with the moments of the second gain."""
    problem, gain = plant(c)
    return _increase(c, problem.moments(gain + c.extra("change")))


@define("lqr_cost_increase_old_moments", r"\mathrm{tr}\,\Sigma_K(2\Delta^T E_K+\Delta^T W_K\Delta)", "instance")
def _lqr_cost_increase_old_moments(c: Context) -> Array:
    """The formula with the moments of the first gain."""
    problem, gain = plant(c)
    return _increase(c, problem.moments(gain))


@define("changed_margin", r"\min(1-\mathrm{det} M',1+\mathrm{det} M'-|\mathrm{tr}M'|)", "instance")
def _changed_margin(c: Context) -> Array:
    """Positive exactly where the second gain stabilises."""
    problem, gain = plant(c)
    return per_instance(schur_margin(problem.closed_loop(gain + c.extra("change"))))


def _advantage(c: Context, moments: Array) -> Array:
    problem, gain = plant(c)
    residual = problem.residual(gain)
    weighted = arithmetic.solve(problem.weight(problem.cost_matrix(gain)), residual)
    return per_instance((product(residual, moments) * weighted).sum(axis=(-1, -2)))


@define("lqr_gain_in_sight", r"\mathrm{tr}\,\Sigma_{K+\Delta}E_K^T W_K^{-1}E_K", "instance")
def _lqr_gain_in_sight(c: Context) -> Array:
    """The most that the second gain can gain on the first, in cost units."""
    problem, gain = plant(c)
    return _advantage(c, problem.moments(gain + c.extra("change")))


@define("lqr_computable_bound", r"\mathrm{tr}\,E_K^T W_K^{-1}E_K\,C(K)", "instance")
def _lqr_computable_bound(c: Context) -> Array:
    """What bounds the gap without the optimum, times the smallest eigenvalue of Q."""
    problem, gain = plant(c)
    eye = c.constant(np.eye(2, dtype=np.int64))[None]
    return _advantage(c, eye) * per_instance(problem.cost(gain))


@define("lqr_gap", r"C(K)-C(K^*)", "instance")
def _lqr_gap(c: Context) -> Array:
    """Cost above that of eleven steps of policy iteration, which is the optimum to all digits but the last; in cost units."""
    return per_instance(_gap(c, plant(c)[1]))


@define("lqr_gradient_square", r"\|\nabla C(K)\|_F^2", "instance")
def _lqr_gradient_square(c: Context) -> Array:
    """Squared Frobenius norm of the gradient of the cost."""
    return (_lqr_gradient(c) ** 2).sum(axis=-1, keepdims=True)


@define("lqr_residual_square", r"\mathrm{tr}\,E_K^T E_K", "instance")
def _lqr_residual_square(c: Context) -> Array:
    """Squared Frobenius norm of E_K."""
    problem, gain = plant(c)
    return per_instance(_square(problem.residual(gain)))


def _optimal_moment(c: Context) -> Array:
    return eigenvalues(plant(c)[0].moments(_best(c)))[1]


@define("lqr_optimal_moments", r"\|\Sigma_{K^*}\|_2", "instance")
def _lqr_optimal_moments(c: Context) -> Array:
    """Spectral norm of the second moment of the states under the optimal gain."""
    return per_instance(_optimal_moment(c))


@define("lqr_least_start", r"\sigma_{\min}(\Sigma_0)", "instance")
def _lqr_least_start(c: Context) -> Array:
    """Smallest eigenvalue of the second moment of the first state (or of the noise)."""
    return per_instance(eigenvalues(plant(c)[0].start)[0])


@define("lqr_largest_start", r"\|\Sigma_0\|_2", "instance")
def _lqr_largest_start(c: Context) -> Array:
    """Largest eigenvalue of the second moment of the first state (or of the noise)."""
    return per_instance(eigenvalues(plant(c)[0].start)[1])


@define("lqr_least_control_cost", r"\sigma_{\min}(R)", "instance")
def _lqr_least_control_cost(c: Context) -> Array:
    """Smallest eigenvalue of the cost of controls."""
    return per_instance(eigenvalues(plant(c)[0].R)[0])


@define("lqr_least_state_cost", r"\sigma_{\min}(Q)", "instance")
def _lqr_least_state_cost(c: Context) -> Array:
    """Smallest eigenvalue of the cost of states."""
    return per_instance(eigenvalues(plant(c)[0].Q)[0])


# Steps of regulators


def _newton_step(c: Context) -> Array:
    """K - 2 eta W^-1 E with the setting eta."""
    problem, gain = plant(c)
    return problem.gauss_newton(gain, given(c, "eta")[:, None, None])


def _natural_size(c: Context) -> Array:
    """eta = f / (2 |W_K|), (B,), with the setting f."""
    problem, gain = plant(c)
    return given(c, "fraction") / (2 * eigenvalues(problem.weight(problem.cost_matrix(gain)))[1])


def _natural_path(c: Context) -> list[Array]:
    """Gains of natural gradient steps, all of the size that the first gain allows."""
    if "lqr_natural" not in c.__dict__:
        size, path = _natural_size(c)[:, None, None], [plant(c)[1]]
        for _ in range(STEPS):
            path.append(plant(c)[0].natural_gradient(path[-1], size))
        c.__dict__["lqr_natural"] = path
    return c.__dict__["lqr_natural"]


@define("newton_gap", r"C(K-2\eta W_K^{-1}E_K)-C(K^*)", "instance")
def _newton_gap(c: Context) -> Array:
    """Gap after one Gauss-Newton step of size eta, in cost units; NaN where that gain does not stabilise."""
    return per_instance(_gap(c, _newton_step(c)))


@define("newton_gaps", r"C(K_k)-C(K^*)", "instance", "iterations")
def _newton_gaps(c: Context) -> Array:
    """Gaps after 1, 2, 3, 4 steps of policy iteration (Gauss-Newton of size 1/2), in cost units."""
    return np.stack([_gap(c, _newton(c, k)) for k in range(1, STEPS + 1)], axis=-1)[:, None]


@define("newton_factors", r"(1-\sigma_{\min}(\Sigma_0)/\|\Sigma_{K^*}\|)^k", "instance", "iterations")
def _newton_factors(c: Context) -> Array:
    """The factor of policy iteration to the powers 1, 2, 3, 4."""
    factor = 1 - eigenvalues(plant(c)[0].start)[0] / _optimal_moment(c)
    return _powers(factor)


def _powers(factor: Array) -> Array:
    out = [factor]
    for _ in range(STEPS - 1):
        out.append(out[-1] * factor)
    return np.stack(out, axis=-1)[:, None]


@define("newton_mirror_cost", r"C(K-2W_K^{-1}E_K)", "instance")
def _newton_mirror_cost(c: Context) -> Array:
    """Cost after a step of policy iteration that is twice too long, in cost units."""
    problem, gain = plant(c)
    return per_instance(problem.cost(2 * problem.gauss_newton(gain) - gain))


@define("lqr_cost", r"C(K)", "instance")
def _lqr_cost(c: Context) -> Array:
    """Cost of the gain, in cost units."""
    problem, gain = plant(c)
    return per_instance(problem.cost(gain))


@define("newton_margin", r"\min(1-\mathrm{det} M_+,1+\mathrm{det} M_+-|\mathrm{tr}M_+|)", "instance")
def _newton_margin(c: Context) -> Array:
    """Positive exactly where the gain after a Gauss-Newton step of size eta stabilises."""
    return per_instance(schur_margin(plant(c)[0].closed_loop(_newton_step(c))))


@define("natural_margin", r"\min(1-\mathrm{det} M_+,1+\mathrm{det} M_+-|\mathrm{tr}M_+|)", "instance")
def _natural_margin(c: Context) -> Array:
    """Positive exactly where the gain after a natural gradient step of size f / (2 |W|) stabilises."""
    return per_instance(schur_margin(plant(c)[0].closed_loop(_natural_path(c)[1])))


@define("natural_margin_beyond", r"\min(1-\mathrm{det} M_+,1+\mathrm{det} M_+-|\mathrm{tr}M_+|)", "instance")
def _natural_margin_beyond(c: Context) -> Array:
    """The same after a step four times as long as the largest of the printed ones, 2 / |W|."""
    return per_instance(schur_margin(plant(c)[0].closed_loop(_natural_step_of(c, 2))))


@define("natural_step", r"\eta=f/(2\|W_K\|)", "instance")
def _natural_step(c: Context) -> Array:
    """Step size of natural gradient, the fraction f of the largest allowed."""
    return per_instance(_natural_size(c))


@define("natural_gap", r"C(K-2\eta E_K)-C(K^*)", "instance")
def _natural_gap(c: Context) -> Array:
    """Gap after one natural gradient step, in cost units; NaN where that gain does not stabilise."""
    return per_instance(_gap(c, _natural_path(c)[1]))


@define("natural_gap_mirrored", r"C(K-2E_K/\|W_K\|)-C(K^*)", "instance")
def _natural_gap_mirrored(c: Context) -> Array:
    """Gap after a natural gradient step twice as long as the largest allowed, in cost units."""
    return per_instance(_gap(c, _natural_step_of(c, 1)))


@define("natural_gap_beyond", r"C(K-4E_K/\|W_K\|)-C(K^*)", "instance")
def _natural_gap_beyond(c: Context) -> Array:
    """Gap after one four times as long as the largest allowed, in cost units; NaN where that gain does not stabilise."""
    return per_instance(_gap(c, _natural_step_of(c, 2)))


def _natural_step_of(c: Context, scale: int) -> Array:
    problem, gain = plant(c)
    largest = eigenvalues(problem.weight(problem.cost_matrix(gain)))[1]
    return problem.natural_gradient(gain, (scale / largest)[:, None, None])


@define("natural_gaps", r"C(K_k)-C(K^*)", "instance", "iterations")
def _natural_gaps(c: Context) -> Array:
    """Gaps after 1, 2, 3, 4 natural gradient steps of the size that the first gain allows, in cost units."""
    return np.stack([_gap(c, gain) for gain in _natural_path(c)[1:]], axis=-1)[:, None]


@define("natural_factors", r"(1-2\eta\,\sigma_{\min}(R)\sigma_{\min}(\Sigma_0)/\|\Sigma_{K^*}\|)^k", "instance", "iterations")
def _natural_factors(c: Context) -> Array:
    """The factor of natural gradient to the powers 1, 2, 3, 4."""
    problem = plant(c)[0]
    share = eigenvalues(problem.start)[0] / _optimal_moment(c)
    return _powers(1 - 2 * _natural_size(c) * eigenvalues(problem.R)[0] * share)


@define("lqr_least_weight", r"\sigma_{\min}(W_K)", "instance")
def _lqr_least_weight(c: Context) -> Array:
    """Smallest eigenvalue of W_K = R + B'P_K B."""
    problem, gain = plant(c)
    return per_instance(eigenvalues(problem.weight(problem.cost_matrix(gain)))[0])


@define("lqr_largest_weight", r"\|W_K\|_2", "instance")
def _lqr_largest_weight(c: Context) -> Array:
    """Largest eigenvalue of W_K = R + B'P_K B."""
    problem, gain = plant(c)
    return per_instance(eigenvalues(problem.weight(problem.cost_matrix(gain)))[1])


# Closed loops by themselves


@define("first_margin", r"\min(1-\mathrm{det} M_1,1+\mathrm{det} M_1-|\mathrm{tr}M_1|)", "instance")
def _first_margin(c: Context) -> Array:
    """Positive exactly where the first closed loop is stable."""
    return per_instance(schur_margin(c.extra("first_loop")))


@define("second_margin", r"\min(1-\mathrm{det} M_2,1+\mathrm{det} M_2-|\mathrm{tr}M_2|)", "instance")
def _second_margin(c: Context) -> Array:
    """Positive exactly where the second closed loop is stable."""
    return per_instance(schur_margin(c.extra("second_loop")))


@define("mean_margin", r"\min(1-\mathrm{det}\bar M,1+\mathrm{det}\bar M-|\mathrm{tr}\bar M|)", "instance")
def _mean_margin(c: Context) -> Array:
    """Positive exactly where the mean of the two closed loops, that of the mean gain, is stable."""
    return per_instance(schur_margin((c.extra("first_loop") + c.extra("second_loop")) / 2))
