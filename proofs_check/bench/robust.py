"""One sweep of the L1-robust Bellman operator: this library, numpy, and one linear program a row or state, on dense Garnets at discount 9/10.

    (s, a)-rectangular   radius 1/5 for every row
    s-rectangular        radius A/5 for the rows of a state together

A call makes `SWEEPS` sweeps, as value iteration does.  All programs compute the same values, which is checked before the times are compared.  Linear
programs are timed on a few rows (states) and scaled.  craam2 (C++, no Python wheel) is not run: its CPU times were measured once, on one machine,
on models of the same size and kind; one row has them as they were, one by way of the numpy program that ran beside it there.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from proofs_check.bench.clock import OURS, Row, race, table

Array = np.ndarray
RADIUS, DISCOUNT = 0.2, 0.9
SIZES = ((100, 5), (500, 10))
SWEEPS = 20
AGREE = 1e-9
"""Values of order 10 from rows of 500 entries: sums in another order differ by some 1e-13; a linear program by its tolerance times 10."""
AGREE_LP = 1e-5
RECORDED = {(100, "sa"): 0.42e-3, (500, "sa"): 31e-3, (100, "s"): 0.89e-3, (500, "s"): 39e-3}
"""CPU seconds of a sweep of craam2, measured on one thread."""
BESIDE = {100: 1.4e-3, 500: 52e-3}
"""CPU seconds of a sweep of a numpy program, (s, a)-rectangular, on that machine in the same session."""


def bench(quick: bool = False) -> list[Row]:
    """Runs the four cases and prints the table.  quick: seconds instead of half a minute."""
    from rich.console import Console

    rows: list[Row] = []
    for states, actions in SIZES:
        for rectangular in ("sa", "s"):
            rows += case(states, actions, rectangular, 0.6 if quick else 4.0, 4 if quick else 20)
    Console().print(table(rows, "Sweeps of the robust Bellman operator, L1"))
    return rows


def case(states: int, actions: int, rectangular: str, seconds: float, programs: int) -> list[Row]:
    """The rows of one case; `programs` linear programs are solved."""
    model, values = instance(states, actions)
    P, r = model.transitions, model.rewards
    name = f"{'(s,a)' if rectangular == 'sa' else 's'}-rectangular, S={states} A={actions}"
    ours = sweep(model, values, rectangular)
    plain = {"numpy, (s,a)-rectangular": lambda: numpy_sweeps(P, r, values)}
    compared = numpy_sweeps(P, r, values) if rectangular == "sa" else None
    if compared is not None and np.abs(ours() - compared).max() > AGREE:
        raise AssertionError(f"{name}: numpy and pgtheory differ by {np.abs(ours() - compared).max():.1e}")
    timed = race(name, "sweeps/s", SWEEPS, {OURS: ours, **plain}, seconds)
    spent = [1 / row.rate for row in timed]
    shown = timed[:1] + ([timed[1]] if rectangular == "sa" else [])
    if (states, rectangular) in RECORDED:
        recorded = RECORDED[states, rectangular]
        scaled = spent[1] * recorded / BESIDE[states]
        for how, seconds_each in (("as recorded", recorded), ("recorded, by way of numpy", scaled)):
            shown.append(Row(name, f"craam2 ({how})", 1 / seconds_each, "sweeps/s", seconds_each / spent[0]))
    slow = _linear_programs(P, r, values, sweep(model, values, rectangular, 1)(), rectangular, programs)
    return [*shown, Row(name, f"HiGHS, one program a {'row' if rectangular == 'sa' else 'state'} (scaled)", 1 / slow, "sweeps/s", slow / spent[0])]


def instance(states: int, actions: int) -> tuple[Any, Array]:
    """A dense Garnet and its nominal optimal values, as a sweep meets them."""
    import mdps
    from pgtheory import solve

    model = mdps.random.dirichlet(states, actions, 5, discount=DISCOUNT)
    return model, solve(model).values


def sweep(model: Any, values: Array, rectangular: str, count: int = SWEEPS) -> Any:
    """() -> T^count values, compiled."""
    from mdps.ambiguity import L1
    from mdps.robust import RobustMDP
    from pgtheory.robust.operator import Operator

    radius = RADIUS * (1 if rectangular == "sa" else model.num_actions)
    operator = Operator(RobustMDP(model, L1(radius, rectangular=rectangular)))
    return lambda: operator.repeated(values, count)


def numpy_sweeps(P: Array, r: Array, v: Array) -> Array:
    """`SWEEPS` times `numpy_sweep`."""
    for _ in range(SWEEPS):
        v = numpy_sweep(P, r, v)
    return v


def numpy_sweep(P: Array, r: Array, v: Array, radius: float = RADIUS, discount: float = DISCOUNT) -> Array:
    """All rows at once: sorted columns, cumulative sums from the most valuable state down."""
    order = np.argsort(v, kind="stable")
    ordered, rows = v[order], P.reshape(-1, v.size)[:, order]
    moved = np.minimum(radius / 2, 1 - rows[:, 0])
    taken = np.minimum(np.cumsum(rows[:, ::-1], axis=1), moved[:, None])
    removed = np.diff(taken, axis=1, prepend=0.0)[:, ::-1]
    sigma = rows @ ordered - removed @ ordered + moved * ordered[0]
    return (r + discount * sigma.reshape(r.shape)).max(axis=1)


def _linear_programs(P: Array, r: Array, v: Array, expected: Array, rectangular: str, count: int) -> float:
    """CPU seconds of a sweep by one linear program a row (or state), from the first `count` of them (for states a tenth as many)."""
    states, actions = r.shape
    begun = time.process_time()
    if rectangular == "sa":
        solved = min(count, states) // actions * actions or actions
        found = np.array([_row_program(P.reshape(-1, states)[k], v) for k in range(solved)])
        spent, parts = time.process_time() - begun, solved / (states * actions)
        worth = (r[: solved // actions] + DISCOUNT * found.reshape(-1, actions)).max(axis=1)
    else:
        solved = max(count // 10, 1)
        worth = np.array([_state_program(P[s], r[s], v) for s in range(solved)])
        spent, parts = time.process_time() - begun, solved / states
    if np.abs(worth - expected[: worth.size]).max() > AGREE_LP:
        raise AssertionError(f"HiGHS and pgtheory differ by {np.abs(worth - expected[: worth.size]).max():.1e}")
    return spent / parts


def _row_program(p: Array, v: Array) -> float:
    """min q . v, q - p <= t, p - q <= t, sum t <= radius."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack, identity, vstack

    n = v.size
    eye = identity(n, format="csr")
    matrix = vstack([hstack([eye, -eye]), hstack([-eye, -eye]), csr_array(np.r_[np.zeros(n), np.ones(n)][None])]).tocsr()
    whole = csr_array(np.r_[np.ones(n), np.zeros(n)][None])
    return linprog(np.r_[v, np.zeros(n)], matrix, np.r_[p, -p, RADIUS], whole, [1.0], (0, None), method="highs").fun


def _state_program(P: Array, r: Array, v: Array) -> float:
    """max over pi, lambda and u of pi . r + gamma (sum_a p_a . u_a - lambda radius), u_ai <= pi_a v_j + lambda c_ij: with equal prices
    u_ai <= pi_a v_i and u_ai <= pi_a min v + 2 lambda."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack, identity, kron, vstack

    actions, n = P.shape
    ones, eye = np.ones((n, 1)), identity(actions * n)
    mine = kron(identity(actions), -v[:, None])
    least = kron(identity(actions), -v.min() * ones)
    nothing, price = csr_array((actions * n, 1)), csr_array(-2.0 * np.ones((actions * n, 1)))
    matrix = vstack([hstack([mine, nothing, eye]), hstack([least, price, eye])]).tocsr()
    worth = -np.r_[r, -DISCOUNT * RADIUS * actions, DISCOUNT * P.ravel()]
    whole = csr_array(np.r_[np.ones(actions), np.zeros(1 + actions * n)][None])
    bounds = [(0, None)] * (actions + 1) + [(None, None)] * (actions * n)
    return -linprog(worth, matrix, np.zeros(matrix.shape[0]), whole, [1.0], bounds, method="highs").fun
