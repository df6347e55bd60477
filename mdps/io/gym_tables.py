"""Gymnasium's tabular environments (toy text) as exact models.

An environment with a table `P[s][a] = [(probability, successor, reward, done), ...]` is read as it stands, except for the end of an
episode, which the table marks by `done` and not by an absorbing state.  A transition with `done` pays its reward and then nothing more:

    - if every transition into a state is marked `done`, that state itself becomes absorbing with reward 0 (holes and goal of FrozenLake);
    - otherwise such transitions lead to one added, absorbing state "end" (the drop-off of Taxi).

Time limits are no part of the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.io.files import choice_matrix
from mdps.model import MDP


def from_gymnasium(env: Any, discount: Any = 0.99, **kwargs: Any) -> MDP:
    """The model behind a gymnasium environment or its id ("FrozenLake8x8-v1"; kwargs go to `gymnasium.make`).

    env      the environment, or its id
    start    the environment's initial state distribution, uniform where it has none
    raises   ModelError: gymnasium is not installed, unknown id (lists the nearest), an environment without a transition table

    "Taxi" or "CliffWalking" without a version means the newest registered one.
    """
    env_id = env if isinstance(env, str) else getattr(getattr(env, "spec", None), "id", type(env).__name__)
    unwrapped = (_make(env, kwargs) if isinstance(env, str) else env).unwrapped
    table = getattr(unwrapped, "P", None)
    if table is None:
        raise ModelError(f"gym:{env_id} has no transition table P; only tabular environments (FrozenLake, CliffWalking, Taxi, ...) can be read")
    try:
        return _from_table(table, discount, getattr(unwrapped, "initial_state_distrib", None), f"gym:{env_id}")
    finally:
        if isinstance(env, str):
            unwrapped.close()


def _make(env_id: str, kwargs: dict[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise ModelError(f'gym:{env_id} needs the package gymnasium: pip install "pgtheory[gym]"') from error
    known = list(gymnasium.registry)
    if env_id not in known:
        versions = [k for k in known if k.rpartition("-v")[0] == env_id]
        if not versions:
            raise ModelError(f"gymnasium has no environment {env_id!r}.{nearest(env_id, known)}")
        env_id = max(versions, key=lambda k: int(k.rpartition("-v")[2]))
    try:
        return gymnasium.make(env_id, **kwargs)
    except (TypeError, gymnasium.error.Error) as error:
        raise ModelError(f"gym:{env_id} could not be made: {error}") from error


def _from_table(table: Any, discount: Any, initial: Any, name: str) -> MDP:
    num_states = len(table)
    actions = [len(table[s]) for s in range(num_states)]
    rows = [(s, a, table[s][a]) for s in range(num_states) for a in range(actions[s])]
    left = {t for _, _, outcomes in rows for p, t, _, done in outcomes if p > 0 and not done}
    ends = {int(t) for _, _, outcomes in rows for p, t, _, done in outcomes if p > 0 and done} - {int(t) for t in left}
    extra = int(any(done and p > 0 and int(t) not in ends for _, _, outcomes in rows for p, t, _, done in outcomes))
    if initial is not None:  # a state in which an episode may start is no end, whatever leads there
        starts = {int(s) for s in np.flatnonzero(np.asarray(initial) > 0)}
        extra, ends = int(bool(extra or ends & starts)), ends - starts
    total = num_states + extra
    most = max(actions)
    first_pair = np.concatenate(([0], np.cumsum([*actions, *[most] * extra])))
    at, to, probabilities = [], [], []
    rewards = np.zeros(first_pair[-1])
    for s, a, outcomes in rows:
        pair = int(first_pair[s]) + a
        if s in ends:
            at.append(pair), to.append(s), probabilities.append(1.0)
            continue
        for p, t, reward, done in outcomes:
            at.append(pair), to.append(num_states if done and int(t) not in ends else int(t)), probabilities.append(float(p))
            rewards[pair] += float(p) * float(reward)
    if extra:
        pairs = range(int(first_pair[num_states]), int(first_pair[-1]))
        at.extend(pairs), to.extend([num_states] * most), probabilities.extend([1.0] * most)
    choices = choice_matrix(np.array(at), np.array(to), np.array(probabilities), int(first_pair[-1]), total)
    start = None if initial is None else np.concatenate((np.asarray(initial, dtype=np.float64), np.zeros(extra)))
    names = [str(s) for s in range(num_states)] + ["end"] if extra else None
    return MDP.from_choices(first_pair, choices, rewards, discount, start, state_names=names, name=name)
