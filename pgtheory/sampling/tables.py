"""How one random number becomes an action and a next state: alias tables for models that fit, running sums for those that do not.

Alias table (Walker 1977, Vose 1991) of a state: its n outcomes (action, next state) have the probabilities w = pi(a|s) P(s'|s, a).  Cell j of n
holds two outcomes and a threshold: with u uniform, j = floor(n u), the first if n u - j < threshold[j], else the second.  One uniform and one
line of memory a step, whatever n is; building takes n operations.

Running sum: the action by pi(0|s) + pi(1|s) + ... > u, then the next state in the row of that pair with the rest of u, stretched to [0, 1).
Nothing is built, which is what a model of 10^6 states wants.

Which of the two serves is decided by the model alone (`MOST_ENTRIES`), never by how much is simulated: a seed has one meaning.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.compiled import gate, kernel
from pgtheory.exact.evaluation import check_policy
from pgtheory.sampling.streams import ONE

Array = np.ndarray
MOST_ENTRIES = 2**21
"""Entries of a model up to which alias tables are built: 48 MB of them."""


@kernel
def shift_of(actions):  # type: ignore[no-untyped-def]
    """Bits that hold an action: outcomes are (next state << bits) + action."""
    bits = np.uint64(0)
    while (ONE << bits) < np.uint64(actions):
        bits += ONE
    return bits


@kernel
def fill_alias(weights, table, first, count, small, large):  # type: ignore[no-untyped-def]
    """Cells first .. first + count - 1 of `table` from their outcomes (already in column 1) and `weights`; `small`, `large` are work space."""
    total = 0.0
    for j in range(count):
        total += weights[j]
    few, many = 0, 0
    for j in range(count):
        weights[j] *= count / total
        if weights[j] < 1.0:
            small[few] = j
            few += 1
        else:
            large[many] = j
            many += 1
    for j in range(count):
        table[first + j, 0] = 1.0
        table[first + j, 2] = table[first + j, 1]
    while few > 0 and many > 0:
        few -= 1
        poor, rich = small[few], large[many - 1]
        table[first + poor, 0] = weights[poor]
        table[first + poor, 2] = table[first + rich, 1]
        weights[rich] -= 1.0 - weights[poor]
        if weights[rich] < 1.0:
            many -= 1
            small[few] = rich
            few += 1
    for k in range(few):  # what is left over by rounding has weight 1; but never an outcome of weight 0
        j = small[k]
        if weights[j] < 0.5:
            for other in range(count):
                if weights[other] >= 0.5:
                    table[first + j, 0] = 0.0
                    table[first + j, 2] = table[first + other, 1]
                    break


@kernel
def count_outcomes(first_pair, indptr, data, policy, first):  # type: ignore[no-untyped-def]
    """Fills first (S + 1,), the cells at which each state's table begins; returns the most outcomes of one state."""
    longest, states = 0, policy.shape[0]
    first[0] = 0
    for s in range(states):
        n = 0
        for p in range(first_pair[s], first_pair[s + 1]):
            if policy[s, p - first_pair[s]] > 0:
                for k in range(indptr[p], indptr[p + 1]):
                    n += data[k] > 0
        first[s + 1] = first[s] + n
        longest = max(longest, n)
    return longest


@kernel
def fill_tables(first_pair, indptr, indices, data, policy, first, table, weights, small, large):  # type: ignore[no-untyped-def]
    """Fills table (n, 3) where `first` says; weights, small and large are work space for the outcomes of one state."""
    states, actions = policy.shape
    width = np.int64(1) << np.int64(shift_of(actions))
    for s in range(states):
        n = 0
        for p in range(first_pair[s], first_pair[s + 1]):
            chosen = policy[s, p - first_pair[s]]
            if chosen > 0:
                for k in range(indptr[p], indptr[p + 1]):
                    if data[k] > 0:
                        weights[n] = chosen * data[k]
                        table[first[s] + n, 1] = indices[k] * width + (p - first_pair[s])
                        n += 1
        fill_alias(weights, table, first[s], n, small, large)


@kernel
def joint_tables(first_pair, indptr, indices, data, policy):  # type: ignore[no-untyped-def]
    """(first (S + 1,), table (n, 3)): the alias table of every state over its outcomes of positive probability.

    Column 0 the threshold, 1 and 2 the outcomes as (next state << bits) + action (whole numbers, exact in floats below 2^53)."""
    first = np.zeros(policy.shape[0] + 1, np.int64)
    longest = count_outcomes(first_pair, indptr, data, policy, first)
    table = np.empty((first[-1], 3))
    fill_tables(first_pair, indptr, indices, data, policy, first, table, np.empty(longest), np.empty(longest, np.int64), np.empty(longest, np.int64))
    return first, table


@kernel
def law_table(law):  # type: ignore[no-untyped-def]
    """(n, 3): the alias table of one distribution; outcomes are its positions of positive probability."""
    n = 0
    for j in range(law.size):
        n += law[j] > 0
    table, weights = np.empty((n, 3)), np.empty(n)
    n = 0
    for j in range(law.size):
        if law[j] > 0:
            table[n, 1], weights[n] = j, law[j]
            n += 1
    fill_alias(weights, table, 0, n, np.empty(n, np.int64), np.empty(n, np.int64))
    return table


@dataclasses.dataclass(frozen=True)
class Chain:
    """A model under a policy, ready to be walked.

    first, table       alias tables of the states (empty for a large model);  start  that of the start distribution
    first_pair, indptr, indices, data, policy    the model and the policy themselves (what running sums need)
    rewards            (S, A)
    """

    first: Array
    table: Array
    start: Array
    first_pair: Array
    indptr: Array
    indices: Array
    data: Array
    policy: Array
    rewards: Array

    @property
    def by_alias(self) -> bool:
        return self.table.shape[0] > 0


def csr_parts(mdp: MDP) -> tuple[Array, Array, Array]:
    """(indptr, indices, data) of the rows of `mdp`, int64 and float64; those of a dense model are its full rows."""
    rows = mdp.choices
    if mdp.is_sparse:
        return rows.indptr.astype(np.int64), rows.indices.astype(np.int64), np.asarray(rows.data, dtype=np.float64)
    pairs, states = rows.shape
    indices = np.broadcast_to(np.arange(states), (pairs, states)).reshape(-1)
    return np.arange(0, pairs * states + 1, states), indices, np.asarray(rows, dtype=np.float64).reshape(-1)


def chain_of(mdp: MDP, policy: Array, start: Array | None = None) -> Chain:
    """`mdp` under `policy` (S, A).

    start    (S,) distribution of the first state; the model's if left out
    raises   ModelError: a row of the policy that is no distribution
    """
    mdp = mdp.float
    policy = np.asarray(check_policy(mdp, np.asarray(policy, dtype=np.float64)), dtype=np.float64)
    law = np.asarray(mdp.start if start is None else start, dtype=np.float64)
    if law.shape != (mdp.num_states,) or not np.isfinite(law).all() or (law < 0).any() or abs(law.sum() - 1) > 1e-9:
        raise ModelError(f"start must be a distribution over the {mdp.num_states} states")
    rewards = np.zeros(mdp.action_mask.shape)
    rewards[mdp.action_mask] = mdp.pair_rewards
    (first_pair,) = gate(mdp.first_pair, dtype=np.int64)
    indptr, indices, data = csr_parts(mdp)
    (indptr, indices), (data, policy, rewards, law) = gate(indptr, indices, dtype=np.int64), gate(data, policy, rewards, law)
    if data.size <= MOST_ENTRIES:
        first, table = joint_tables(first_pair, indptr, indices, data, policy)
    else:
        first, table = np.zeros(1, np.int64), np.empty((0, 3))
    (first,), (table, started) = gate(first, dtype=np.int64), gate(table, law_table(law))
    return Chain(first, table, started, first_pair, indptr, indices, data, policy, rewards)
