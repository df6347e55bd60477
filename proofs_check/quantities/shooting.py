"""Open-loop plans of finite linear-quadratic problems: gradients in a wrong model, and the conditioning of shooting.

Wrong model: extras own (2, 2), wrong (2, 2) for powers; for gradients true_loop (2, 2) = A - B K, drift (2, 2) = A^ - A, inflow (2, 1) = B, gain
(1, 2) = K, begin (2,) = x_0, plan (H, 1), cost_root (2, 2) with Q = L L', control_cost = R.

Shooting: scalars a (or held = a - feedback), control_price = lam (setting), feedback; plan (H,) with x' = a x + u and cost sum x^2 + lam u^2; the
horizon H is the length of the plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.control.shooting import Shooting, power_errors, row_sum_norm
from pgtheory.linear_quadratic import product, transpose
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
POWERS = 6
define_setting("error_share", r"\theta", "length of the gradient's error, as a share of the gradient's")
define_setting("control_price", r"\lambda", "cost of a squared control, in units of the cost of a squared state")


# Powers of a matrix and of a wrong one


@define("power_errors", r"\|A^k-\hat A^k\|_\infty", "instance", "iterations")
def _power_errors(c: Context) -> Array:
    """Largest row sums of |A^k - A^^k|, k = 1..6: what a model error becomes after k steps."""
    return power_errors(c.extra("own"), c.extra("wrong"), POWERS)[0][:, None]


@define("power_error_bounds", r"k\|A-\hat A\|_\infty\max(\|A\|_\infty,\|\hat A\|_\infty)^{k-1}", "instance", "iterations")
def _power_error_bounds(c: Context) -> Array:
    """Their bounds."""
    return power_errors(c.extra("own"), c.extra("wrong"), POWERS)[1][:, None]


@define("power_error_bounds_late", r"k\|A-\hat A\|_\infty\max(\|A\|_\infty,\|\hat A\|_\infty)^{\max(k-2,0)}", "instance", "iterations")
def _power_error_bounds_late(c: Context) -> Array:
    """The bounds with one factor fewer."""
    bounds = power_errors(c.extra("own"), c.extra("wrong"), POWERS)[1]
    scaled = [bounds[:, 0], *(bounds[:, k - 1] * (k + 1) / k for k in range(1, POWERS))]
    return np.stack(scaled, axis=-1)[:, None]


# Gradients in a wrong model


def _rooted(c: Context) -> Array:
    root = c.extra("cost_root")
    return product(root, transpose(root))


def tracked(c: Context, feedback: bool = True) -> tuple[Shooting, Array, Array]:
    """The problem, its plan (B, H, 1) and the model (B, 2, 2); without feedback the same plant, controlled by the plan alone."""
    key = "tracked" if feedback else "tracked_open"
    if key not in c.__dict__:
        inflow, gain, plan = c.extra("inflow"), c.extra("gain"), c.extra("plan")
        plant = c.extra("true_loop") + product(inflow, gain)
        used = gain if feedback else gain * 0
        problem = Shooting(plant, inflow, _rooted(c), c.extra("control_cost")[:, None, None], c.extra("begin"), used, plan.shape[1])
        c.__dict__[key] = problem, plan, plant + c.extra("drift")
    return c.__dict__[key]


def _gradients(c: Context) -> tuple[Array, Array]:
    """g and g^, (B, H)."""
    if "tracked_gradients" not in c.__dict__:
        problem, plan, model = tracked(c)
        c.__dict__["tracked_gradients"] = problem.gradient(plan)[..., 0], problem.gradient(plan, model)[..., 0]
    return c.__dict__["tracked_gradients"]


@define("plan_gradient", r"\nabla f(v)", "instance", "steps of the plan")
def _plan_gradient(c: Context) -> Array:
    """Derivatives of the cost in the plan, by costates, in cost units."""
    return _gradients(c)[0][:, None]


@define("plan_differences", r"\tfrac12[f(v+e_t)-f(v-e_t)]", "instance", "steps of the plan")
def _plan_differences(c: Context) -> Array:
    """The same by differences, which are exact because the cost is quadratic."""
    problem, plan, _ = tracked(c)
    eye = c.constant(np.eye(plan.shape[1], dtype=np.int64))
    out = [(problem.cost(plan + eye[t][:, None]) - problem.cost(plan - eye[t][:, None])) / 2 for t in range(plan.shape[1])]
    return np.stack(out, axis=-1)[:, None]


@define("model_gradient_errors", r"|\hat g_t-g_t|", "instance", "steps of the plan")
def _model_gradient_errors(c: Context) -> Array:
    """Errors of the gradient whose costates run through the wrong model, along the true trajectory, in cost units."""
    true, guessed = _gradients(c)
    return arithmetic.absolute(guessed - true)[:, None]


@define("model_gradient_bounds", r"\|B^T\|\,\|\Delta^T\|\sum_kk\rho^{k-1}|c_{t+1+k}|", "instance", "steps of the plan")
def _model_gradient_bounds(c: Context) -> Array:
    """Their bounds, rho the larger norm of the two closed loops."""
    problem, plan, model = tracked(c)
    return problem.gradient_error_bound(plan, model)[:, None]


@define("open_gradient_errors", r"|\hat g_t-g_t|\ (K=0)", "instance", "steps of the plan")
def _open_gradient_errors(c: Context) -> Array:
    """Errors of the gradient in the wrong model where the same plant is driven by the plan alone."""
    problem, plan, model = tracked(c, feedback=False)
    return arithmetic.absolute(problem.gradient(plan, model) - problem.gradient(plan))[..., 0][:, None]


@define("open_gradient_closed_bounds", r"\|B^T\|\,\|\Delta^T\|\sum_kk\rho_K^{k-1}|c_{t+1+k}|\ (K=0)", "instance", "steps of the plan")
def _open_gradient_closed_bounds(c: Context) -> Array:
    """Their bound, but with the norm of the closed loops that the feedback would make."""
    problem, plan, _ = tracked(c, feedback=False)
    closed = tracked(c)[0]
    sizes = arithmetic.maximum(arithmetic.absolute(problem.cost_slopes(plan)), axis=-1)
    own, other = transpose(closed.closed_loop), transpose(closed.closed_loop + c.extra("drift"))
    rho = arithmetic.maximum(np.stack([row_sum_norm(own), row_sum_norm(other)], axis=-1), axis=-1)
    scale, out = row_sum_norm(transpose(problem.B)) * row_sum_norm(own - other), []
    for t in range(problem.horizon):
        terms = [k * rho ** (k - 1) * sizes[:, t + k] for k in range(1, problem.horizon - t)]
        out.append(scale * (sum(terms) if terms else scale * 0))
    return np.stack(out, axis=-1)[:, None]


@define("gradient_size_square", r"|g|^2", "instance")
def _gradient_size_square(c: Context) -> Array:
    """Squared length of the gradient in the plan."""
    return per_instance((_gradients(c)[0] ** 2).sum(axis=-1))


@define("gradient_error_square", r"|\hat g-g|^2", "instance")
def _gradient_error_square(c: Context) -> Array:
    """Squared length of the error of the gradient in the wrong model."""
    true, guessed = _gradients(c)
    return per_instance(((guessed - true) ** 2).sum(axis=-1))


def _smoothness(c: Context) -> Array:
    return row_sum_norm(tracked(c)[0].hessian())


@define("plan_smoothness", r"L=\|\nabla^2f\|_\infty", "instance")
def _plan_smoothness(c: Context) -> Array:
    """Largest row sum of the Hessian of the cost in the plan: a smoothness constant."""
    return per_instance(_smoothness(c))


def _moved_cost(c: Context, size: Array) -> Array:
    problem, plan, _ = tracked(c)
    moved = plan - size[:, None, None] * _gradients(c)[1][..., None]
    return per_instance(problem.cost(plan) - problem.cost(moved))


@define("biased_decrease", r"f(v)-f(v-\tfrac{f}{L}\hat g)", "instance")
def _biased_decrease(c: Context) -> Array:
    """What a step of size f/L along the gradient of the wrong model takes off the cost, in cost units."""
    return _moved_cost(c, given(c, "fraction") / _smoothness(c))


@define("careful_decrease", r"f(v)-f\left(v-\tfrac{1-\theta}{L(1+\theta)^2}\hat g\right)", "instance")
def _careful_decrease(c: Context) -> Array:
    """The same with the step (1 - theta)/(L (1 + theta)^2), theta the setting error_share."""
    share = given(c, "error_share")
    return _moved_cost(c, (1 - share) / (_smoothness(c) * (1 + share) ** 2))


# The conditioning of shooting


def _growth(c: Context) -> Array:
    """a, (B,): an extra, or the closed loop that is an extra plus the feedback."""
    return c.extra("held") + c.extra("feedback") if "held" in c.extras else c.extra("a")


def scalar(c: Context) -> tuple[Shooting, Array]:
    """x' = a x + u with the plan (B, H, 1)."""
    if "scalar_shooting" not in c.__dict__:
        a, feedback, plan = _growth(c), c.extra("feedback"), c.extra("plan")
        one = a * 0 + 1
        begin = c.extra("begin")[:, None]
        matrices = (x[:, None, None] for x in (a, one, one, given(c, "control_price"), feedback))
        flow, inflow, cost, control, gain = matrices
        c.__dict__["scalar_shooting"] = Shooting(flow, inflow, cost, control, begin, gain, plan.shape[1]), plan[..., None]
    return c.__dict__["scalar_shooting"]


def _spectrum(c: Context) -> tuple[Array, Array]:
    """Smallest and largest eigenvalue of half the Hessian, (B,)."""
    if "shooting_spectrum" in c.__dict__:
        return c.__dict__["shooting_spectrum"]
    half = scalar(c)[0].hessian() / 2
    if c.kind == "float":
        values = np.linalg.eigvalsh(half)
        low, high = values[:, 0], values[:, -1]
    elif c.kind == "ball":
        from flint import arb_mat

        found = [[x.real for x in arb_mat(matrix.tolist()).eig(multiple=True)] for matrix in half]
        spectrum = np.array(found, dtype=object)
        low, high = arithmetic.minimum(spectrum, axis=-1), arithmetic.maximum(spectrum, axis=-1)
    else:
        raise TypeError("eigenvalues leave the rationals")
    c.__dict__["shooting_spectrum"] = low, high
    return low, high


@define("shooting_condition", r"\kappa", "instance")
def _shooting_condition(c: Context) -> Array:
    """Condition number of the Hessian of the cost in the plan."""
    low, high = _spectrum(c)
    return per_instance(high / low)


def _sizes(c: Context) -> tuple[Array, Array, Array]:
    """1/(1 - |m|), 1/(1 + |m|) and lam, with m = a - feedback the closed loop."""
    size = arithmetic.absolute(_growth(c) - c.extra("feedback"))
    return 1 / (1 - size), 1 / (1 + size), given(c, "control_price")


@define("shooting_bound", r"\frac{\lambda+(1-|a|)^{-2}}{\lambda+(1+|a|)^{-2}}", "instance")
def _shooting_bound(c: Context) -> Array:
    """Bound of the condition number without feedback, for |a| < 1, whatever the horizon."""
    far, near, price = _sizes(c)
    return per_instance((price + far * far) / (price + near * near))


@define("shooting_bound_signed", r"\frac{\lambda+(1-a)^{-2}}{\lambda+(1+a)^{-2}}", "instance")
def _shooting_bound_signed(c: Context) -> Array:
    """The same with the sign of a."""
    a, price = c.extra("a"), given(c, "control_price")
    far, near = 1 / (1 - a), 1 / (1 + a)
    return per_instance((price + far * far) / (price + near * near))


@define("shooting_feedback_bound", r"\left[(1-|m|)^{-2}+\lambda\left(1+\tfrac{|K|}{1-|m|}\right)^2\right](1+|m|)^2", "instance")
def _shooting_feedback_bound(c: Context) -> Array:
    """Bound of the condition number under a feedback K that makes the closed loop m = a - K, |m| < 1."""
    far, near, price = _sizes(c)
    act = 1 + arithmetic.absolute(c.extra("feedback")) * far
    return per_instance((far * far + price * act * act) / (near * near))


@define("shooting_growth", r"\frac{\lambda+1+a^2+\dots+a^{2H-2}}{\lambda+1}", "instance")
def _shooting_growth(c: Context) -> Array:
    """What the condition number is at least without feedback: exponential in the horizon where |a| > 1."""
    price, square = given(c, "control_price"), c.extra("a") * c.extra("a")
    total, power = square * 0, square * 0 + 1
    for _ in range(c.extra("plan").shape[1]):
        total, power = total + power, power * square
    return per_instance((price + total) / (price + 1))


@define("plan_form", r"v^T(\lambda I+M^T M)v", "instance")
def _plan_form(c: Context) -> Array:
    """Half the Hessian's quadratic form at the plan."""
    problem, plan = scalar(c)
    return per_instance(np.einsum("bi,bij,bj->b", plan[..., 0], problem.hessian() / 2, plan[..., 0]))


@define("plan_size_square", r"|v|^2", "instance")
def _plan_size_square(c: Context) -> Array:
    """Squared length of the plan."""
    return per_instance((c.extra("plan") ** 2).sum(axis=-1))


@define("shooting_largest", r"\lambda+(1-|a|)^{-2}", "instance")
def _shooting_largest(c: Context) -> Array:
    """Bound of the largest eigenvalue of half the Hessian without feedback."""
    far, _, price = _sizes(c)
    return per_instance(price + far * far)


@define("shooting_smallest", r"\lambda+(1+|a|)^{-2}", "instance")
def _shooting_smallest(c: Context) -> Array:
    """Bound of the smallest eigenvalue of half the Hessian without feedback."""
    _, near, price = _sizes(c)
    return per_instance(price + near * near)


def _excess(c: Context, plan: Array) -> Array:
    """f(plan) - min f, (B,), by the Hessian at the distance from the minimiser."""
    problem = scalar(c)[0]
    away = (plan - problem.best_plan())[..., 0]
    return np.einsum("bi,bij,bj->b", away, problem.hessian() / 2, away)


@define("plan_gap", r"f(v)-\min f", "instance")
def _plan_gap(c: Context) -> Array:
    """Cost of the plan above the smallest, in cost units."""
    return per_instance(_excess(c, scalar(c)[1]))


def _after(c: Context, size: Array) -> Array:
    problem, plan = scalar(c)
    return per_instance(_excess(c, plan - size[:, None, None] * problem.gradient(plan)))


@define("plan_gap_after", r"f(v_+)-\min f", "instance")
def _plan_gap_after(c: Context) -> Array:
    """The same after a gradient step with step size 2 over the sum of the extreme eigenvalues."""
    low, high = _spectrum(c)
    return _after(c, 1 / (low + high))  # the Hessian is twice what the eigenvalues are of


@define("plan_gap_after_long", r"f(v-\tfrac{2.1}{e_{\max}}\nabla f)-\min f", "instance")
def _plan_gap_after_long(c: Context) -> Array:
    """The same after a gradient step of size 2.1 over the largest eigenvalue of the Hessian."""
    return _after(c, 21 / (20 * _spectrum(c)[1]))
