"""Exact softmax PG and natural PG: steps per second of this library, numpy, jax and torch, on the same dense Garnet models.

Every program does the same arithmetic in float64: one softmax, one LU factorisation (two substitutions for PG), one pass for the advantages.  The
last parameters of all programs are compared before the times are.  One thread each; the last case lets ours use two.  A second table has every method
of the library: its step against one policy evaluation and against its plain numpy form (`step_costs`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from proofs_check.bench import step_costs
from proofs_check.bench.clock import OURS, Row, race, table
from proofs_check.bench.step_costs import Cost

DISCOUNT, STEP_SIZE, BATCH_STEPS = 0.9, 0.2, 30
PEERS = ("numpy", "jax", "torch")
AGREE = 1e-7
"""Largest difference of the last logits: rounding of 10^4 steps at most (they agree to about 1e-10), far below what a wrong formula leaves."""

Array = np.ndarray
Program = Callable[[], Array]


def bench(peers: Sequence[str] | None = None, quick: bool = False) -> list[Row | Cost]:
    """Runs all cases and prints both tables.  peers: names from PEERS; by default those that are installed.  quick: seconds instead of a minute."""
    from rich.console import Console

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    chosen = [name for name in (peers or PEERS) if _installed(name)]
    seconds = 1.0 if quick else 6.0
    rows: list[Row] = []
    for states, actions, steps in ((10, 4, 2000), (100, 5, 200)):
        model = _garnet(states, actions, seed=7)
        for natural in (False, True):
            case = f"{'natural' if natural else 'softmax'} PG, S={states} A={actions}"
            programs = {OURS: _ours(*model, steps, natural)}
            for peer in chosen:
                programs.update(_SINGLE[peer](*model, steps, natural))
            rows += _checked(race, case, "steps/s", steps, programs, seconds)
    count = 200 if quick else 1000
    batch = [np.stack(parts) for parts in zip(*(_garnet(10, 4, seed) for seed in range(count)), strict=True)]
    case = f"softmax PG on {count:,} models, S=10 A=4"
    peers_batch: dict[str, Program] = {}
    for peer in chosen:
        peers_batch.update(_BATCH[peer](batch[0], batch[1]))
    work = count * BATCH_STEPS
    rows += _checked(race, case, "model steps/s", work, {OURS: _ours_batch(batch[0], batch[1], 1), **peers_batch}, seconds)
    rows += race(case, "model steps/s", work, {f"{OURS}, 2 threads": _ours_batch(batch[0], batch[1], 2), **peers_batch}, seconds, wall=True)
    Console().print(table(rows, "Exact policy gradients"))
    measured = step_costs.costs(0.05 if quick else 0.5)
    Console().print(step_costs.table(measured))
    return [*rows, *measured]


def _checked(timer: Any, case: str, unit: str, work: float, programs: dict[str, Program], seconds: float) -> list[Row]:
    results = {name: np.asarray(program()) for name, program in programs.items()}
    for name, result in results.items():
        if not np.allclose(result, results[OURS], rtol=0, atol=AGREE):
            raise AssertionError(f"{case}: {name} ends {np.abs(result - results[OURS]).max():.1e} away from {OURS}")
    return timer(case, unit, work, programs, seconds)


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def _garnet(states: int, actions: int, seed: int) -> tuple[Array, Array]:
    """Dense Garnet: every row Dirichlet(1, ..., 1), rewards uniform in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_exponential((states, actions, states))
    return rows / rows.sum(axis=-1, keepdims=True), rng.random((states, actions))


# Ours


def _ours(P: Array, r: Array, steps: int, natural: bool) -> Program:
    from pgtheory import NaturalPG, SoftmaxPG

    method = NaturalPG(STEP_SIZE) if natural else SoftmaxPG(STEP_SIZE)
    states = P.shape[0]
    uniform, zeros = np.full((1, states), 1 / states), np.zeros((1, *r.shape))
    return lambda: method.run_arrays(P[None], r[None], [DISCOUNT], uniform, zeros, (STEP_SIZE,), [steps])[0][0, 0]


def _ours_batch(P: Array, r: Array, threads: int) -> Program:
    from pgtheory import SoftmaxPG

    method, count, states = SoftmaxPG(STEP_SIZE), P.shape[0], P.shape[1]
    uniform, zeros, discounts = np.full((count, states), 1 / states), np.zeros(r.shape), np.full(count, DISCOUNT)
    return lambda: method.run_arrays(P, r, discounts, uniform, zeros, (STEP_SIZE,), [BATCH_STEPS], threads=threads)[0][:, 0]


# numpy


def _numpy(P: Array, r: Array, steps: int, natural: bool) -> dict[str, Program]:
    from scipy.linalg import lapack

    def program() -> Array:
        states, actions = r.shape
        theta, eye, start = np.zeros((states, actions)), np.eye(states), np.full(states, 1 / states)
        rows = P.reshape(states * actions, states)
        for _ in range(steps):
            pi = np.exp(theta - theta.max(1, keepdims=True))
            pi /= pi.sum(1, keepdims=True)
            factors, pivots, _ = lapack.dgetrf(eye - DISCOUNT * (pi[:, None, :] @ P)[:, 0])
            V = lapack.dgetrs(factors, pivots, (pi * r).sum(1))[0]
            advantages = r + DISCOUNT * (rows @ V).reshape(states, actions) - V[:, None]
            if natural:
                theta = theta + STEP_SIZE / (1 - DISCOUNT) * advantages
            else:
                visits = lapack.dgetrs(factors, pivots, start, trans=1)[0]
                theta = theta + STEP_SIZE * visits[:, None] * pi * advantages
        return theta

    return {"numpy, one LU": program}


def _numpy_batch(P: Array, r: Array) -> dict[str, Program]:
    def program() -> Array:
        states = P.shape[1]
        theta, eye, start = np.zeros(r.shape), np.eye(states), np.full((P.shape[0], states, 1), 1 / states)
        for _ in range(BATCH_STEPS):
            pi = np.exp(theta - theta.max(2, keepdims=True))
            pi /= pi.sum(2, keepdims=True)
            matrix = eye - DISCOUNT * (pi[:, :, None, :] @ P)[:, :, 0]
            V = np.linalg.solve(matrix, (pi * r).sum(2)[..., None])[..., 0]
            visits = np.linalg.solve(matrix.transpose(0, 2, 1), start)
            theta = theta + STEP_SIZE * visits * pi * (r + DISCOUNT * (P @ V[:, None, :, None])[..., 0] - V[..., None])
        return theta

    return {"numpy, batched": program}


# jax


def _jax_run(natural: bool, steps: int) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.scipy.linalg import lu_factor, lu_solve

    def run(P: Any, r: Any) -> Any:
        states = r.shape[0]

        def step(theta: Any, _: Any) -> Any:
            pi = jax.nn.softmax(theta, 1)
            factors = lu_factor(jnp.eye(states) - DISCOUNT * jnp.einsum("sa,sat->st", pi, P))
            V = lu_solve(factors, (pi * r).sum(1))
            advantages = r + DISCOUNT * P @ V - V[:, None]
            if natural:
                return theta + STEP_SIZE / (1 - DISCOUNT) * advantages, None
            visits = lu_solve(factors, jnp.full(states, 1 / states), trans=1)
            return theta + STEP_SIZE * visits[:, None] * pi * advantages, None

        return jax.lax.scan(step, jnp.zeros(r.shape), None, length=steps)[0]

    return run


def _jax(P: Array, r: Array, steps: int, natural: bool) -> dict[str, Program]:
    import jax

    compiled = jax.jit(_jax_run(natural, steps))
    arrays = jax.numpy.asarray(P), jax.numpy.asarray(r)
    return {"jax, scan": lambda: compiled(*arrays).block_until_ready()}


def _jax_batch(P: Array, r: Array) -> dict[str, Program]:
    import jax

    compiled = jax.jit(jax.vmap(_jax_run(False, BATCH_STEPS)))
    arrays = jax.numpy.asarray(P), jax.numpy.asarray(r)
    return {"jax, vmap of scan": lambda: compiled(*arrays).block_until_ready()}


# torch


def _torch(P: Array, r: Array, steps: int, natural: bool) -> dict[str, Program]:
    import torch

    torch.set_num_threads(1)
    tP, tr = torch.tensor(P), torch.tensor(r)

    def program() -> Array:
        states, actions = r.shape
        double = torch.float64
        theta, eye = torch.zeros((states, actions), dtype=double), torch.eye(states, dtype=double)
        start = torch.full((states, 1), 1 / states, dtype=double)
        with torch.no_grad():
            for _ in range(steps):
                pi = torch.softmax(theta, 1)
                factors, pivots = torch.linalg.lu_factor(eye - DISCOUNT * torch.bmm(pi[:, None], tP)[:, 0])
                V = torch.linalg.lu_solve(factors, pivots, (pi * tr).sum(1, keepdim=True))
                advantages = tr + DISCOUNT * (tP.view(states * actions, states) @ V).view(states, actions) - V
                if natural:
                    theta = theta + STEP_SIZE / (1 - DISCOUNT) * advantages
                else:
                    theta = theta + STEP_SIZE * torch.linalg.lu_solve(factors, pivots, start, adjoint=True) * pi * advantages
        return theta.numpy()

    return {"torch": program}


_SINGLE: dict[str, Any] = {"numpy": _numpy, "jax": _jax, "torch": _torch}
_BATCH: dict[str, Any] = {"numpy": _numpy_batch, "jax": _jax_batch, "torch": lambda P, r: {}}


if __name__ == "__main__":
    bench()
