"""Simulated steps and REINFORCE estimates per second: this library beside numpy, JAX and gymnasium, on the same models and the uniform policy.

Before the clock runs, the mean reward a step (and the norm of the mean gradient) of all programs is compared with the exact one: a program that
simulates another model is not raced.  One thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdps.model import MDP
from proofs_check.bench.clock import OURS, Row, race, table

Array = np.ndarray
Program = Callable[[], float]
PEERS = ("numpy", "jax", "gymnasium")
CHAINS, STEPS, HORIZON, DISCOUNT = 1000, 1000, 50, 0.99
AGREE = 6.0
"""Standard errors (of the slowest mixing of these models: batches of chains) by which a mean may be off."""


def bench(peers: Sequence[str] | None = None, quick: bool = False) -> list[Row]:
    """Runs all cases and prints a table.  peers: names from PEERS; by default those that are installed."""
    from importlib.util import find_spec

    from rich.console import Console

    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    chosen = [name for name in (peers or PEERS) if find_spec(name) is not None]
    seconds = 1.5 if quick else 6.0
    rows: list[Row] = []
    for label, mdp in models():
        for what, unit, work, make in (
            ("steps", "steps/s", CHAINS * STEPS, _STEPS),
            ("REINFORCE, 50 steps", "trajectories/s", CHAINS, _GRADIENTS),
        ):
            programs: dict[str, Program] = {OURS: make[OURS](mdp)}
            for peer in chosen:
                if peer in make:
                    programs[peer] = make[peer](mdp)
            programs = _agreeing(f"{label}, {what}", programs)
            rows += race(f"{label}, {what}", unit, work, dict(programs), seconds)
    if "gymnasium" in chosen:
        rows += _one_environment(seconds)
    Console().print(table(rows, "Sampling"))
    return rows


def models() -> list[tuple[str, MDP]]:
    """A slippery 8x8 grid that begins anew at its goal, and a dense Garnet of 100 states."""
    side = 8
    moves = [(-1, 0), (0, 1), (1, 0), (0, -1)]
    P, r = np.zeros((64, 4, 64)), np.full((64, 4), -1.0)
    for x, y in np.ndindex(side, side):
        for a in range(4):
            for slip in (-1, 0, 1):
                dx, dy = moves[(a + slip) % 4]
                P[x * side + y, a, min(max(x + dx, 0), side - 1) * side + min(max(y + dy, 0), side - 1)] += 1 / 3
    P[63], r[63] = np.eye(64)[0], 0.0
    rng = np.random.default_rng(8)
    rows = rng.standard_exponential((100, 5, 100))
    dense = MDP(rows / rows.sum(axis=-1, keepdims=True), rng.random((100, 5)), DISCOUNT)
    return [("grid 8x8", MDP(P, r, DISCOUNT)), ("Garnet S=100 A=5", dense)]


def _agreeing(case: str, programs: dict[str, Program]) -> dict[str, Program]:
    """`programs`, each called once; raises AssertionError if the figures differ by more than sampling explains."""
    figures = {name: [program() for _ in range(4)] for name, program in programs.items()}
    ours = figures[OURS]
    for name, figure in figures.items():
        spread = np.hypot(np.std(figure, ddof=1), np.std(ours, ddof=1)) / 2
        if abs(np.mean(figure) - np.mean(ours)) > AGREE * spread + 0.02 * abs(np.mean(ours)):
            raise AssertionError(f"{case}: {name} has the mean {np.mean(figure):.5g}, {OURS} {np.mean(ours):.5g}")
    return programs


def _uniform(mdp: MDP) -> Array:
    return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)


def _our_steps(mdp: MDP) -> Program:
    """One chain block after the other; the tables are built anew in every call, as a user's call does."""
    from pgtheory.sampling import sampled_returns

    policy, seeds = _uniform(mdp), iter(range(10**9))
    sums = mdp.replace(discount=1 - 1e-12)  # returns are then the plain sums of rewards
    return lambda: float(sampled_returns(sums, policy, CHAINS, STEPS, seed=next(seeds)).mean() / STEPS)


def _our_gradients(mdp: MDP) -> Program:
    from pgtheory.sampling import reward_to_go_gradient

    policy, seeds = _uniform(mdp), iter(range(10**9))
    return lambda: float(np.abs(reward_to_go_gradient(mdp, policy, CHAINS, HORIZON, seed=next(seeds))).sum())


# numpy


def _alias(mdp: MDP) -> tuple[Array, Array]:
    """Dense alias tables (pairs, S), by Vose's rule."""
    rows = np.asarray(mdp.transitions).reshape(-1, mdp.num_states)
    threshold, other = np.ones(rows.shape), np.tile(np.arange(mdp.num_states), (len(rows), 1))
    for k, row in enumerate(rows * mdp.num_states):
        poor, rich = list(np.flatnonzero(row < 1)), list(np.flatnonzero(row >= 1))
        while poor and rich:
            low, high = poor.pop(), rich[-1]
            threshold[k, low], other[k, low] = row[low], high
            row[high] -= 1 - row[low]
            if row[high] < 1:
                poor.append(rich.pop())
    return threshold, other


def _numpy_steps(mdp: MDP) -> Program:
    (threshold, other), r, S, A = _alias(mdp), np.asarray(mdp.rewards), mdp.num_states, mdp.num_actions
    rng = np.random.default_rng(0)

    def program() -> float:
        s, total = rng.integers(0, S, CHAINS), 0.0
        for _ in range(STEPS):
            a, u = rng.integers(0, A, CHAINS), rng.random(CHAINS) * S
            j, row = u.astype(np.int64), s * A + a
            total += r[s, a].sum()
            s = np.where(u - j < threshold[row, j], j, other[row, j])
        return total / (CHAINS * STEPS)

    return program


def _numpy_gradients(mdp: MDP) -> Program:
    (threshold, other), r, S, A = _alias(mdp), np.asarray(mdp.rewards), mdp.num_states, mdp.num_actions
    rng, logits, powers = np.random.default_rng(0), np.zeros((S, A)), DISCOUNT ** np.arange(HORIZON)[:, None]

    def program() -> float:
        policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        sums = policy.cumsum(axis=1)
        s = rng.integers(0, S, CHAINS)
        states, actions, paid = np.empty((HORIZON, CHAINS), np.int64), np.empty((HORIZON, CHAINS), np.int64), np.empty((HORIZON, CHAINS))
        for t in range(HORIZON):
            a = (sums[s] < rng.random((CHAINS, 1))).sum(axis=1).clip(max=A - 1)
            u = rng.random(CHAINS) * S
            j, row = u.astype(np.int64), s * A + a
            states[t], actions[t], paid[t] = s, a, r[s, a]
            s = np.where(u - j < threshold[row, j], j, other[row, j])
        togo = (powers * paid)[::-1].cumsum(axis=0)[::-1]
        out = np.zeros((S, A))
        np.add.at(out, (states.ravel(), actions.ravel()), togo.ravel())
        by_state = np.bincount(states.ravel(), togo.ravel(), S)
        return float(np.abs(out - by_state[:, None] * policy).sum() / CHAINS)

    return program


# JAX


def _jax_parts(mdp: MDP) -> tuple[Any, Any, Any]:
    """(jax, next state of (pair, key), rewards)."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    threshold, other = (jnp.asarray(x) for x in _alias(mdp))
    S = mdp.num_states

    def after(row: Any, key: Any) -> Any:
        u = jax.random.uniform(key) * S
        j = u.astype(jnp.int32)
        return jnp.where(u - j < threshold[row, j], j, other[row, j]).astype(jnp.int32)

    return jax, after, jnp.asarray(np.asarray(mdp.rewards))


def _jax_steps(mdp: MDP) -> Program:
    jax, after, r = _jax_parts(mdp)
    jnp, A, seeds = jax.numpy, mdp.num_actions, iter(range(10**9))

    def chain(key: Any) -> Any:
        def step(carry: Any, k: Any) -> Any:
            s, total = carry
            first, second = jax.random.split(k)
            a = jax.random.randint(first, (), 0, A, jnp.int32)
            return (after(s * A + a, second), total + r[s, a]), None

        s = jax.random.randint(key, (), 0, mdp.num_states, jnp.int32)
        return jax.lax.scan(step, (s, 0.0), jax.random.split(key, STEPS))[0][1]

    run = jax.jit(jax.vmap(chain))
    return lambda: float(run(jax.random.split(jax.random.key(next(seeds)), CHAINS)).mean() / STEPS)


def _jax_gradients(mdp: MDP) -> Program:
    jax, after, r = _jax_parts(mdp)
    jnp, seeds = jax.numpy, iter(range(10**9))
    S, A, powers = mdp.num_states, mdp.num_actions, DISCOUNT ** jnp.arange(HORIZON)

    def path(logits: Any, key: Any) -> Any:
        log_policy = jax.nn.log_softmax(logits, 1)
        begin, key = jax.random.split(key)

        def step(s: Any, k: Any) -> Any:
            first, second = jax.random.split(k)
            a = jax.random.categorical(first, log_policy[s]).astype(jnp.int32)
            return after(s * A + a, second), (s, a, r[s, a])

        _, (states, actions, paid) = jax.lax.scan(step, jax.random.randint(begin, (), 0, S, jnp.int32), jax.random.split(key, HORIZON))
        return states, actions, jnp.cumsum((powers * paid)[::-1])[::-1]

    def loss(logits: Any, keys: Any) -> Any:
        states, actions, togo = jax.vmap(path, (None, 0))(jax.lax.stop_gradient(logits), keys)
        return (jax.nn.log_softmax(logits, 1)[states, actions] * togo).sum() / CHAINS

    gradient, logits = jax.jit(jax.grad(loss)), jnp.zeros((S, A))
    return lambda: float(abs(gradient(logits, jax.random.split(jax.random.key(next(seeds)), CHAINS))).sum())


def _one_environment(seconds: float) -> list[Row]:
    """`step` of one environment, called from Python: FrozenLake by gymnasium and by ours from its tables."""
    import gymnasium

    from mdps.zoo import frozen_lake
    from pgtheory.sampling import environment, vector_environment

    steps = 5000
    actions = np.random.default_rng(0).integers(0, 4, steps).tolist()

    def loop(env: Any) -> Program:
        def program() -> float:
            env.reset(seed=0)
            for a in actions:
                if any(env.step(a)[2:4]):
                    env.reset()
            return 0.0

        return program

    theirs = gymnasium.make("FrozenLake-v1", map_name="8x8").unwrapped
    rows = race(
        "FrozenLake 8x8, one environment", "steps/s", steps, {OURS: loop(environment(frozen_lake(8), 200)), "gymnasium": loop(theirs)}, seconds
    )
    count, turns = 100, 50

    def together(envs: Any) -> Program:
        moves = np.random.default_rng(0).integers(0, 4, (turns, count))

        def program() -> float:
            envs.reset(seed=0)
            for row in moves:
                envs.step(row)
            return 0.0

        return program

    vector = gymnasium.make_vec("FrozenLake-v1", num_envs=count, vectorization_mode="sync", map_name="8x8")
    ours = together(vector_environment(frozen_lake(8), count, 200))
    return rows + race(f"FrozenLake 8x8, {count} environments", "steps/s", count * turns, {OURS: ours, "gymnasium": together(vector)}, seconds)


_STEPS: dict[str, Callable[[MDP], Program]] = {OURS: _our_steps, "numpy": _numpy_steps, "jax": _jax_steps}
_GRADIENTS: dict[str, Callable[[MDP], Program]] = {OURS: _our_gradients, "numpy": _numpy_gradients, "jax": _jax_gradients}
