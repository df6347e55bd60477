"""Any model as a gymnasium environment, one chain or many at once.

    env = environment(mdp, horizon=200)                     # gymnasium.Env, passes gymnasium's own checker
    envs = vector_environment(mdp, count=1000, horizon=200)  # gymnasium.vector.VectorEnv, stepped in compiled code

Observations are state numbers, actions action numbers.  A state in which every action stays with reward 0 is terminal; an episode that reaches it
is `terminated`, one that is cut at `horizon` is `truncated`.  The discount is in `env.discount` and in no reward.  The vector environment resets a
chain in the step after its end (gymnasium's autoreset mode "next step"): the action of that step is not looked at, its reward is 0.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.compiled import gate
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import ONE, S11, UNIT, ZERO, lean, mix, stream
from pgtheory.sampling.tables import csr_parts, joint_tables, law_table
from pgtheory.sampling.walks import pick

try:
    import gymnasium
except ImportError as error:
    raise ModelError('environments need the package gymnasium: pip install "pgtheory[gym]"') from error

Array = np.ndarray


@lean
def advance(first, table, at, pairs, keys, steps):  # type: ignore[no-untyped-def]
    """Every chain c moves from the pair pairs[c] to `at[c]`, with the next number of its stream; a pair of -1 moves nothing."""
    for c in range(np.uint64(at.size)):
        if pairs[c] >= 0:
            pair = np.uint64(pairs[c])
            keys[c] += steps[c]
            at[c] = pick(table, np.uint64(first[pair]), first[pair + ONE] - first[pair], (mix(keys[c]) >> S11) * UNIT)


@lean
def advance_one(first, table, pair, key):  # type: ignore[no-untyped-def]
    """The state after `pair`, with the number at `key`."""
    return np.int64(pick(table, np.uint64(first[pair]), first[pair + 1] - first[pair], (mix(key) >> S11) * UNIT))


@lean
def begin(start, at, chosen, keys, steps):  # type: ignore[no-untyped-def]
    """The chains that are `chosen` draw a first state."""
    for c in range(np.uint64(at.size)):
        if chosen[c]:
            keys[c] += steps[c]
            at[c] = pick(start, ZERO, start.shape[0], (mix(keys[c]) >> S11) * UNIT)


class _Chains:
    """`count` chains of a rectangular model, moved by actions from outside."""

    def __init__(self, mdp: MDP, count: int, horizon: int | None) -> None:
        if not mdp.is_rectangular:
            raise ModelError("an environment has the same number of actions in every state; this model has states that differ")
        self.mdp = mdp = mdp.float
        self.horizon = None if horizon is None else _count("horizon", horizon, 1)
        indptr, indices, data = csr_parts(mdp)
        pairs = mdp.num_pairs
        (indptr, indices, each), (data, sure) = gate(indptr, indices, np.arange(pairs + 1), dtype=np.int64), gate(data, np.ones((pairs, 1)))
        first, table = joint_tables(each, indptr, indices, data, sure)
        (self.first,), (self.table, self.start) = gate(first, dtype=np.int64), gate(table, law_table(gate(mdp.start)[0]))
        self.rewards = np.asarray(mdp.pair_rewards, dtype=np.float64)
        self.actions = mdp.num_actions
        self.terminal = terminal_states(mdp)
        self.at, self.age = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.keys, self.steps = np.zeros(count, np.uint64), np.ones(count, np.uint64)

    def seed(self, seed: int) -> None:
        for c in range(self.at.size):
            self.keys[c], self.steps[c] = stream(np.uint64(seed), c)

    def reset(self, chosen: Array) -> None:
        begin(self.start, self.at, chosen, self.keys, self.steps)
        self.age[chosen] = 0

    def step(self, actions: Array, moving: Array) -> tuple[Array, Array, Array]:
        """(rewards, terminated, truncated) of the chains that are `moving`; the others rest with reward 0."""
        if actions.shape != self.at.shape or ((actions < 0) | (actions >= self.actions))[moving].any():
            raise ModelError(f"actions must be {self.at.size} whole numbers in 0 .. {self.actions - 1}; got {actions!r}")
        pairs = np.where(moving, self.at * self.actions + actions, -1)
        rewards = np.where(moving, self.rewards[pairs], 0.0)
        advance(self.first, self.table, self.at, pairs, self.keys, self.steps)
        self.age[moving] += 1
        terminated = moving & self.terminal[self.at]
        over = np.zeros_like(moving) if self.horizon is None else moving & (self.age >= self.horizon)
        return rewards, terminated, over & ~terminated


def terminal_states(mdp: MDP) -> Array:
    """(S,): the states in which every action stays with reward 0."""
    rows = mdp.float.choices
    own = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    stays = np.asarray(rows[np.arange(mdp.num_pairs), own]).reshape(-1) == 1
    still = stays & (np.asarray(mdp.float.pair_rewards) == 0)
    return np.logical_and.reduceat(still, np.asarray(mdp.first_pair[:-1]))


class TabularEnv(gymnasium.Env[Any, Any]):
    """One chain of a model."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, mdp: MDP, horizon: int | None = None) -> None:
        self._chains = chains = _Chains(mdp, 1, horizon)
        self.mdp, self.discount, self.horizon = mdp, float(mdp.discount), horizon
        self.observation_space = gymnasium.spaces.Discrete(mdp.num_states)
        self.action_space = gymnasium.spaces.Discrete(mdp.num_actions)
        self._rewards, self._terminal = chains.rewards.tolist(), chains.terminal.tolist()
        self._state, self._age, self._key, self._step = -1, 0, 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A first state, drawn from the model's start distribution.  seed: begins a new stream; without one the present stream goes on."""
        super().reset(seed=seed)
        chains = self._chains
        if seed is not None or self._state < 0:
            chains.seed(int(self.np_random.integers(2**63)))
            self._key, self._step = int(chains.keys[0]), int(chains.steps[0])
        self._key = (self._key + self._step) % 2**64
        start = chains.start
        self._state = int(advance_one(np.array([0, start.shape[0]]), start, 0, np.uint64(self._key)))
        self._age = 0
        return self._state, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """(next state, reward, terminated, truncated, {}).  raises ModelError: no such action, or no `reset` yet."""
        if self._state < 0:
            raise ModelError("step before the first reset")
        chosen, chains = int(action), self._chains
        if not 0 <= chosen < chains.actions:
            raise ModelError(f"action is {action!r}; it must lie in 0 .. {chains.actions - 1}")
        pair = self._state * chains.actions + chosen
        self._key = (self._key + self._step) % 2**64
        self._state = advance_one(chains.first, chains.table, pair, np.uint64(self._key))
        self._age += 1
        terminated = self._terminal[self._state]
        return self._state, self._rewards[pair], terminated, not terminated and self._age == self.horizon, {}


class TabularVectorEnv(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """Many chains of a model, stepped together in compiled code."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}

    def __init__(self, mdp: MDP, count: int, horizon: int | None = None) -> None:
        self.num_envs = _count("count", count, 1)
        self._chains = _Chains(mdp, self.num_envs, horizon)
        self.mdp, self.discount, self.horizon = mdp, float(mdp.discount), horizon
        self.single_observation_space = gymnasium.spaces.Discrete(mdp.num_states)
        self.single_action_space = gymnasium.spaces.Discrete(mdp.num_actions)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self._ended, self._seeded = np.zeros(self.num_envs, bool), False

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """First states of all chains.  seed: one number; chain c uses stream c of it."""
        if isinstance(seed, list):
            raise ModelError("the chains share one seed, each with a stream of its own: give one number")
        super().reset(seed=seed)
        if seed is not None or not self._seeded:
            self._chains.seed(int(self.np_random.integers(2**63)))
            self._seeded = True
        self._chains.reset(np.ones(self.num_envs, bool))
        self._ended[:] = False
        return self._chains.at.copy(), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """(next states, rewards, terminated, truncated, {}), each (count,).  A chain that ended in the last step begins again."""
        if not self._seeded:
            raise ModelError("step before the first reset")
        moving = ~self._ended
        rewards, terminated, truncated = self._chains.step(np.asarray(actions, dtype=np.int64), moving)
        if self._ended.any():
            self._chains.reset(self._ended)
        self._ended = terminated | truncated
        return self._chains.at.copy(), rewards, terminated, truncated, {}


def environment(mdp: MDP, horizon: int | None = None) -> TabularEnv:
    """`mdp` as a gymnasium environment; episodes are cut after `horizon` steps if one is given.

    raises   ModelError: states that differ in their number of actions, horizon below 1"""
    return TabularEnv(mdp, horizon)


def vector_environment(mdp: MDP, count: int, horizon: int | None = None) -> TabularVectorEnv:
    """`count` chains of `mdp` as a gymnasium vector environment.  raises ModelError: as `environment`, or count below 1"""
    return TabularVectorEnv(mdp, count, horizon)
