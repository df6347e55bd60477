"""An exact Koopman lift: a nonlinear system that is linear in one more coordinate.

Extras lift_a, lift_b, lift_c, leak (for one control) of x1' = a x1 + leak u, x2' = b x2 + c x1^2 + u; point (2,) the start, pushes (4,) the
controls; the feedback u = -K z has K = (k1, b - lift_loop, k3), so that the lifted closed loop is stable where |a| < 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory.control.koopman import QuadraticSystem
from pgtheory.linear_quadratic import LinearQuadratic, product, transpose
from proofs_check.quantities.registry import define, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 4


def _system(c: Context) -> QuadraticSystem:
    return QuadraticSystem(c.extra("lift_a"), c.extra("lift_b"), c.extra("lift_c"))


def _trail(c: Context, system: QuadraticSystem) -> tuple[Array, list[Array]]:
    """The lifted states of four steps of the system itself under the pushes, and those of the lift."""
    state = c.extra("point")
    flow, inflow = system.lifted()
    own, lifted = [], [system.lift(state)]
    for k in range(STEPS):
        push = c.extra("pushes")[:, k]
        state = system.step(state, push)
        own.append(system.lift(state))
        lifted.append(np.einsum("bij,bj->bi", flow, lifted[-1]) + inflow[..., 0] * push[:, None])
    return np.stack(own, axis=1), lifted[1:]


@define("system_trail", r"z(x_k)", "instance", "coordinates of four steps")
def _system_trail(c: Context) -> Array:
    """Coordinates (x1, x2, x1^2) of four states of the nonlinear system."""
    own = _trail(c, _system(c))[0]
    return own.reshape(len(own), 1, -1)


@define("leaking_trail", r"z(x_k)\ \text{(u enters }x_1)", "instance", "coordinates of four steps")
def _leaking_trail(c: Context) -> Array:
    """The same where the extra `leak` times the control enters x1 too."""
    system = QuadraticSystem(c.extra("lift_a"), c.extra("lift_b"), c.extra("lift_c"), c.extra("leak"))
    own = _trail(c, system)[0]
    return own.reshape(len(own), 1, -1)


@define("lifted_trail", r"A z_{k-1}+B u_{k-1}", "instance", "coordinates of four steps")
def _lifted_trail(c: Context) -> Array:
    """The same coordinates as the linear lift predicts them."""
    lifted = np.stack(_trail(c, _system(c))[1], axis=1)
    return lifted.reshape(len(lifted), 1, -1)


def _lifted_problem(c: Context) -> tuple[LinearQuadratic, Array]:
    """The lifted regulator with cost QQ' of `lift_cost` (3, 3) and R = lift_control_cost, and the feedback (B, 1, 3)."""
    flow, inflow = _system(c).lifted()
    root = c.extra("lift_cost")
    side = c.extra("lift_gain")
    gain = np.stack([side[:, 0], c.extra("lift_b") - c.extra("lift_loop"), side[:, 1]], axis=-1)[:, None]
    control = c.extra("lift_control_cost")[:, None, None]
    return LinearQuadratic(flow, inflow, product(root, transpose(root)), control, product(root, transpose(root))), gain


def _form(matrix: Array, z: Array) -> Array:
    return np.einsum("bi,bij,bj->b", z, matrix, z)


@define("lifted_cost", r"z^T P_Kz", "instance")
def _lifted_cost(c: Context) -> Array:
    """Cost of the feedback from the start, by the Lyapunov equation of the lift."""
    problem, gain = _lifted_problem(c)
    return per_instance(_form(problem.cost_matrix(gain), QuadraticSystem.lift(c.extra("point"))))


def _simulated(c: Context) -> tuple[Array, Array]:
    """What four steps of the nonlinear system cost under the feedback, and the lifted state that they end in."""
    system, (problem, gain) = _system(c), _lifted_problem(c)
    state, paid = c.extra("point"), 0
    for _ in range(STEPS):
        z = system.lift(state)
        push = -np.einsum("bi,bi->b", gain[:, 0], z)
        paid = paid + _form(problem.Q, z) + problem.R[:, 0, 0] * push * push
        state = system.step(state, push)
    return np.asarray(paid), system.lift(state)


@define("four_steps_and_the_rest", r"\sum_{k<4}(z_k^T Qz_k+Ru_k^2)+z_4^T P_Kz_4", "instance")
def _four_steps_and_the_rest(c: Context) -> Array:
    """What four steps of the nonlinear system cost, and the lift's cost of what is left."""
    paid, last = _simulated(c)
    problem, gain = _lifted_problem(c)
    return per_instance(paid + _form(problem.cost_matrix(gain), last))


@define("four_steps", r"\sum_{k<4}(z_k^T Qz_k+Ru_k^2)", "instance")
def _four_steps(c: Context) -> Array:
    """What four steps of the nonlinear system cost."""
    return per_instance(_simulated(c)[0])


def _designed(c: Context) -> tuple[LinearQuadratic, Array, Array]:
    """A regulator whose Riccati solution is P = L L' with L = `lift_cost`: Q = P - A'PA + A'PB W^-1 B'PA.  Returns it with K* (B, 1, 3) and P."""
    problem, _ = _lifted_problem(c)
    best = problem.Q
    through = product(transpose(problem.B), best, problem.A)
    weight = problem.weight(best)
    cost = best - product(transpose(problem.A), best, problem.A) + product(transpose(through), through) / weight
    return LinearQuadratic(problem.A, problem.B, cost, problem.R, problem.start), through / weight, best


@define("designed_value", r"z^T Pz", "instance")
def _designed_value(c: Context) -> Array:
    """The quadratic form of the Riccati solution at the start."""
    return per_instance(_form(_designed(c)[2], QuadraticSystem.lift(c.extra("point"))))


@define("designed_backup", r"\min_u z^T Qz+Ru^2+z(x')^T Pz(x')", "instance")
def _designed_backup(c: Context) -> Array:
    """The right side of the nonlinear system's Bellman equation, minimised by the parabola through u = -1, 0, 1."""
    system, (problem, _, best), state = _system(c), _designed(c), c.extra("point")
    here = _form(problem.Q, system.lift(state))

    def total(push: int) -> Array:
        u = state[:, 0] * 0 + push
        return here + problem.R[:, 0, 0] * u * u + _form(best, system.lift(system.step(state, u)))

    left, middle, right = total(-1), total(0), total(1)
    slope, bend = (right - left) / 2, (right + left) / 2 - middle
    return per_instance(middle - slope * slope / (4 * bend))


@define("designed_other_value", r"z^T P_Kz", "instance")
def _designed_other_value(c: Context) -> Array:
    """Cost of another stable feedback for the same problem."""
    problem, gain = _designed(c)[0], _lifted_problem(c)[1]
    return per_instance(_form(problem.cost_matrix(gain), QuadraticSystem.lift(c.extra("point"))))


def _truncated(c: Context) -> tuple[QuadraticSystem, Array, Array, Array, Array]:
    system = _system(c)
    return system, c.extra("lift_b") - c.extra("lift_loop"), c.extra("point")[:, 0], c.extra("point")[:, 1] ** 2, c.extra("lift_control_cost")


@define("linear_part_miss", r"V(x_1,0)-\hat V(x_1,0)", "instance")
def _linear_part_miss(c: Context) -> Array:
    """Cost of u = -k x2 from (x1, 0), with stage cost x1^2 + q2 x2^2 + R u^2, by the lift, less what the linear part alone predicts."""
    system, gain, x1, q2, price = _truncated(c)
    flow, inflow = system.lifted()
    zero = x1 * 0
    stage = np.zeros((len(x1), 3, 3), dtype=flow.dtype) + zero[:, None, None]
    stage[:, 0, 0], stage[:, 1, 1] = zero + 1, q2
    problem = LinearQuadratic(flow, inflow, stage, price[:, None, None], stage)
    full = problem.cost_matrix(np.stack([zero, gain, zero], axis=-1)[:, None])
    state = np.stack([x1, zero], axis=-1)
    predicted = x1 * x1 / (1 - system.a * system.a)
    return per_instance(_form(full, system.lift(state)) - predicted)


@define("linear_part_bias", r"(q_2+Rk^2)c^2x_1^4\tfrac{1+ma^2}{(1-m^2)(1-ma^2)(1-a^4)}", "instance")
def _linear_part_bias(c: Context) -> Array:
    """The formula for it, of fourth order in x1."""
    system, gain, x1, q2, price = _truncated(c)
    return per_instance(system.truncation_bias(gain, x1, q2, price))
