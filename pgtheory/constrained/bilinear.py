"""The game min_x max_y x^T B y in plain array code: gradient descent-ascent in four forms, and how fast each turns outwards or inwards.

z = (x, y), F z = (B y, -B^T x); every singular value sigma of B turns a plane, on which F is a rotation by 90 degrees times sigma.  With s = eta
sigma:

    simultaneous   z - eta F z                                |z|^2 grows by exactly 1 + s^2 a step, for every eta > 0
    alternating    x first, then y with the new x             a^2 + b^2 - s a b is conserved: bounded iff s < 2
    extragradient  z - eta F(z - eta F z)                     |z|^2 shrinks by 1 - s^2 + s^4: converges iff s < 1
    optimistic     z - 2 eta F z + eta F z_before             converges iff s < 1/sqrt 3, by `optimistic_radius` a step

a, b are the coordinates of x along the left and y along the right singular vector, x moving against B y.  The optimistic step has the characteristic
equation  lambda^2 - (1 - 2 i s) lambda - i s = 0,  lambda = ((1 - 2 i s) +- sqrt(1 - 4 s^2)) / 2:  for s <= 1/2 the larger root has
|lambda|^2 = (1 + sqrt(1 - 4 s^2)) / 2 <= 1 - s^2; for s > 1/2 it has |lambda|^2 = (1 + (2 s + sqrt(4 s^2 - 1))^2) / 4, which is 1 at s = 1/sqrt 3.

All steps are rational.  Bailey, Piliouras (2018); Daskalakis et al. (2018); Mokhtari, Ozdaglar, Pattathil (2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError

Array = np.ndarray
KINDS = ("simultaneous", "alternating", "extragradient", "optimistic")


def simultaneous(x: Array, y: Array, matrix: Array, step_size: Any) -> tuple[Array, Array]:
    """(x - eta B y, y + eta B^T x)."""
    return x - step_size * (matrix @ y), y + step_size * (matrix.T @ x)


def alternating(x: Array, y: Array, matrix: Array, step_size: Any) -> tuple[Array, Array]:
    """x moves first, y answers the new x."""
    x = x - step_size * (matrix @ y)
    return x, y + step_size * (matrix.T @ x)


def extragradient(x: Array, y: Array, matrix: Array, step_size: Any) -> tuple[Array, Array]:
    """From z along the gradient at the point that a plain step would reach."""
    ahead_x, ahead_y = simultaneous(x, y, matrix, step_size)
    return x - step_size * (matrix @ ahead_y), y + step_size * (matrix.T @ ahead_x)


def optimistic(x: Array, y: Array, before_x: Array, before_y: Array, matrix: Array, step_size: Any) -> tuple[Array, Array]:
    """z - 2 eta F z + eta F z_before."""
    return x - step_size * (matrix @ (2 * y - before_y)), y + step_size * (matrix.T @ (2 * x - before_x))


def run_bilinear(kind: str, matrix: Any, x: Any, y: Any, step_size: Any, iterations: int) -> tuple[Array, Array]:
    """(x_0 .. x_T, y_0 .. y_T) as arrays (T + 1, n), (T + 1, k); rational if the arguments are.  The optimistic step begins with z_before = z_0.

    matrix (n, k);  x (n,), y (k,)   the first points
    raises ModelError: an unknown kind, shapes that do not fit, a step size that is not above 0, no iteration"""
    steps = {"simultaneous": simultaneous, "alternating": alternating, "extragradient": extragradient}
    if kind not in KINDS:
        raise ModelError(f"kind is {kind!r}; it is one of {', '.join(KINDS)}")
    matrix, x, y = np.asarray(matrix), np.asarray(x), np.asarray(y)
    if matrix.ndim != 2 or matrix.shape != (x.size, y.size) or x.ndim != 1 or y.ndim != 1:
        raise ModelError(f"the matrix has shape {matrix.shape} and the players {x.shape} and {y.shape}; they must be (n, k), (n,), (k,)")
    if not step_size > 0:
        raise ModelError(f"step_size is {step_size}; it must be above 0")
    if iterations < 1:
        raise ModelError(f"iterations is {iterations}; it must be at least 1")
    xs, ys = [x], [y]
    for t in range(iterations):
        if kind == "optimistic":
            x, y = optimistic(xs[t], ys[t], xs[max(t - 1, 0)], ys[max(t - 1, 0)], matrix, step_size)
        else:
            x, y = steps[kind](xs[t], ys[t], matrix, step_size)
        xs.append(x), ys.append(y)
    return np.array(xs), np.array(ys)


def squared_growth(kind: str, turn: Any) -> Any:
    """|z_(t+1)|^2 / |z_t|^2 on the plane of a singular value, turn = eta sigma: simultaneous 1 + s^2, extragradient 1 - s^2 + s^4; exact."""
    square = turn * turn
    if kind == "simultaneous":
        return 1 + square
    if kind == "extragradient":
        return 1 - square + square * square
    raise ModelError(f"{kind} steps do not multiply |z|^2 by one factor; see conserved_by_alternation and optimistic_radius")


def conserved_by_alternation(a: Any, b: Any, turn: Any) -> Any:
    """a^2 + b^2 - s a b, the same at every step of alternating descent-ascent on a plane with turn s = eta sigma; positive definite iff s < 2.

    From (1, 0): |z|^2 stays between 1 / (1 + s/2) and 1 / (1 - s/2) for s < 2."""
    return a * a + b * b - turn * a * b


def optimistic_roots(turn: float) -> tuple[complex, complex]:
    """The two characteristic roots, the larger first.  raises ModelError: turn is not above 0"""
    if not turn > 0:
        raise ModelError(f"turn = eta sigma is {turn}; it must be above 0")
    root = np.sqrt(complex(1 - 4 * turn * turn))
    pair = sorted((((1 - 2j * turn) + root) / 2, ((1 - 2j * turn) - root) / 2), key=abs, reverse=True)
    return complex(pair[0]), complex(pair[1])


def optimistic_radius(turn: float) -> float:
    """The factor by which |z| shrinks a step in the long run: sqrt((1 + sqrt(1 - 4 s^2)) / 2) for s <= 1/2; 1 at s = 1/sqrt 3, above 1 beyond."""
    return abs(optimistic_roots(turn)[0])
