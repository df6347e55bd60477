"""All paths of a small model, with their probabilities: what makes the mean and the covariance of an estimator exact.

A path of horizon H is s_0, a_0, s_1, ..., a_{H-1}, s_H; its probability is start(s_0) prod_t pi(a_t|s_t) P(s_{t+1}|s_t, a_t).  Only paths of
positive probability are listed, at most `MOST_PATHS`.  On `mdp.exact` with a rational policy the probabilities are rational.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, model_like

Array = np.ndarray
MOST_PATHS = 2**20


@dataclasses.dataclass(frozen=True)
class AllPaths:
    """The N paths of positive probability.

    states         (N, H + 1) int64, or (N, H) where the last state was left out
    actions        (N, H) int64
    probabilities  (N,), sum 1: float64 or rational
    """

    states: Array
    actions: Array
    probabilities: Array

    def __len__(self) -> int:
        return self.probabilities.size


def all_paths(mdp: MDP, policy: Array, horizon: int, last: bool = True) -> AllPaths:
    """Every path of `horizon` steps that `policy` (S, A) can take.

    last     whether paths tell the state after the last action (without it there are fewer)
    raises   ModelError: horizon below 1, more than 2^20 paths (the message says how many, at least), a bad policy
    """
    if horizon < 1:
        raise ModelError(f"horizon is {horizon}; it must be at least 1")
    policy = check_policy(mdp, policy)
    choices, _, _, start = model_like(mdp, kind(policy))
    rows = choices.toarray() if hasattr(choices, "toarray") else choices
    positive = rows > 0 if rows.dtype != object else np.array([[x > 0 for x in row] for row in rows], dtype=bool)
    states = np.array([[s] for s in range(mdp.num_states) if start[s] > 0], dtype=np.int64)
    probabilities = start[states[:, 0]]
    actions = np.empty((len(states), 0), np.int64)
    chosen = np.array([[policy[s, a] > 0 for a in range(policy.shape[1])] for s in range(policy.shape[0])], dtype=bool)
    for t in range(horizon):
        path, action = np.nonzero(chosen[states[:, -1]])
        _refuse_too_many(path.size, t)
        probabilities = probabilities[path] * policy[states[path, -1], action]
        states, actions = states[path], np.concatenate([actions[path], action[:, None]], axis=1)
        if t == horizon - 1 and not last:
            break
        pair = np.asarray(mdp.first_pair)[states[:, -1]] + action
        _refuse_too_many(int(positive[pair].sum()), t)
        path, after = np.nonzero(positive[pair])
        probabilities = probabilities[path] * rows[pair[path], after]
        states, actions = np.concatenate([states[path], after[:, None]], axis=1), actions[path]
    return AllPaths(states, actions, probabilities)


def _refuse_too_many(count: int, step: int) -> None:
    if count > MOST_PATHS:
        raise ModelError(f"after {step + 1} steps there are {count:,} paths; at most {MOST_PATHS:,} are listed. Take a shorter horizon, or sample")
