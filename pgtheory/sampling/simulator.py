"""Simulating a model under a policy: many chains, reproducible figures, on any number of threads.

    from pgtheory.sampling import simulate, sampled_returns
    paths = simulate(mdp, policy, chains=1000, horizon=50, seed=1)      # states, actions, rewards
    gains = sampled_returns(mdp, policy, chains=10**5, horizon=2000, seed=1)

Chain c uses stream c of the seed (`pgtheory.sampling.streams`): the first 1,000 chains of 10^5 are the same as those of a run of 1,000, and
`first=` continues where another run or another machine stopped.

Truncation.  A return of `horizon` steps has the mean E sum_{t < horizon} gamma^t r_t, off the value by at most
gamma^horizon max|r| / (1 - gamma).  With `stop="discount"` a chain ends after step t with probability 1 - gamma and the plain sum of its rewards
is unbiased for the value, up to the cut at `horizon`.
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.compiled import gate
from pgtheory.sampling.parts import in_parts
from pgtheory.sampling.streams import checked_seed
from pgtheory.sampling.tables import Chain, chain_of

Array = np.ndarray
MOST_KEPT = 2**28
"""States of paths that are kept at most at a time: 2 GiB."""
SLICE = 1024
"""Chains of one job of a thread: a multiple of the block that walks together."""
STOPS = ("horizon", "discount")
EMPTY = np.empty((0, 0), np.int64)


@dataclasses.dataclass(frozen=True)
class Paths:
    """N simulated chains.

    states    (N, horizon + 1) int64: s_0 .. s_T; after the end of a chain -1
    actions   (N, horizon) int64; -1 after the end
    rewards   (N, horizon): r(s_t, a_t), 0 after the end
    lengths   (N,) steps taken: `horizon`, or the random length
    returns   (N,) sum_t gamma^t r_t, or the plain sum with discount stopping
    """

    states: Array
    actions: Array
    rewards: Array
    lengths: Array
    returns: Array

    def __len__(self) -> int:
        return self.lengths.size

    def __repr__(self) -> str:
        return f"Paths({len(self):,} chains of up to {self.actions.shape[1]:,} steps, mean return {self.returns.mean():.6g})"


def simulate(
    mdp: MDP,
    policy: Array,
    chains: int,
    horizon: int,
    seed: int = 0,
    *,
    start: Array | None = None,
    stop: str = "horizon",
    first: int = 0,
    threads: int = 1,
) -> Paths:
    """Paths of `chains` chains.

    policy   (S, A), rows sum to 1;  start (S,) distribution of the first state, the model's if left out
    stop     "horizon": every chain takes `horizon` steps; "discount": it ends after each step with probability 1 - discount
    first    number of the first chain: chains first .. first + chains - 1 of the seed
    raises   ModelError: no chain, horizon below 1, a seed that is no whole number, more than 2^28 states to keep, a bad policy or start
    """
    chains, horizon, first = _count("chains", chains, 1), _count("horizon", horizon, 1), _count("first", first, 0)
    if chains * (horizon + 1) > MOST_KEPT:
        raise ModelError(
            f"{chains:,} chains of {horizon:,} steps have {chains * (horizon + 1):,} states; at most {MOST_KEPT:,} are kept. "
            "`sampled_returns` keeps none, or simulate in parts with `first`"
        )
    chain = chain_of(mdp, policy, start)
    states, actions = np.full((chains, horizon + 1), -1, np.int64), np.full((chains, horizon), -1, np.int64)
    returns, lengths = _walk(chain, mdp, seed, first, chains, horizon, stop, threads, states, actions)
    rewards = chain.rewards[states[:, :-1], actions]
    rewards[actions < 0] = 0.0
    return Paths(states, actions, rewards, lengths, returns)


def sampled_returns(
    mdp: MDP,
    policy: Array,
    chains: int,
    horizon: int,
    seed: int = 0,
    *,
    start: Array | None = None,
    stop: str = "horizon",
    first: int = 0,
    threads: int = 1,
) -> Array:
    """(chains,): the returns of `simulate`, the same figures, without keeping the paths."""
    chains, horizon, first = _count("chains", chains, 1), _count("horizon", horizon, 1), _count("first", first, 0)
    return _walk(chain_of(mdp, policy, start), mdp, seed, first, chains, horizon, stop, threads, EMPTY, EMPTY)[0]


def reward_to_go_gradient(
    mdp: MDP,
    policy: Array,
    chains: int,
    horizon: int,
    seed: int = 0,
    *,
    baseline: Any = None,
    start: Array | None = None,
    first: int = 0,
    threads: int = 1,
) -> Array:
    """(S, A): the mean over `chains` chains of the reward-to-go gradient of a tabular softmax policy, without keeping a path.

    baseline   (S,) of the state, or None: b(s) is taken off the reward to go that is counted from the step, gamma^-t R_t
    raises     ModelError: as `simulate`; a baseline of another shape or not finite
    """
    from pgtheory.sampling.gradients import reward_to_go

    chains, horizon, first = _count("chains", chains, 1), _count("horizon", horizon, 1), _count("first", first, 0)
    chain, number, discount = chain_of(mdp, policy, start), checked_seed(seed), float(mdp.discount)
    off = np.zeros(mdp.num_states) if baseline is None else np.array(baseline, dtype=np.float64)
    if off.shape != (mdp.num_states,) or not np.isfinite(off).all():
        raise ModelError(f"baseline must be {mdp.num_states} finite numbers, one a state; it has shape {off.shape}")
    (off,) = gate(off)

    def job(begin: int) -> Array:
        sums = np.zeros(chain.policy.shape)
        reward_to_go(
            chain.first, chain.table, chain.start, chain.first_pair, chain.indptr, chain.indices, chain.data, chain.policy, chain.rewards,
            number, first + begin, min(SLICE, chains - begin), horizon, discount, off, sums,
        )  # fmt: skip
        return sums

    total = sum(in_parts(job, range(0, chains, SLICE), threads), np.zeros(chain.policy.shape))
    return np.asarray((total - chain.policy * total.sum(axis=1, keepdims=True)) / chains)


def _walk(
    chain: Chain, mdp: MDP, seed: Any, first: int, chains: int, horizon: int, stop: str, threads: int, states: Array, actions: Array
) -> tuple[Array, Array]:
    from pgtheory.sampling.walks import walk

    if stop not in STOPS:
        raise ModelError(f"stop is {stop!r}; it is one of {', '.join(STOPS)}")
    number, stopped, discount = checked_seed(seed), stop == "discount", float(mdp.discount)
    returns, lengths = np.empty(chains), np.full(chains, horizon, np.int64)
    parts = [slice(k, min(k + SLICE, chains)) for k in range(0, chains, SLICE)]

    def job(part: slice) -> None:
        walk(
            chain.first, chain.table, chain.start, chain.first_pair, chain.indptr, chain.indices, chain.data, chain.policy, chain.rewards,
            number, first + part.start, lengths[part], discount, stopped, states[part], actions[part], returns[part],
        )  # fmt: skip

    list(in_parts(job, parts, threads))
    finite = np.isfinite(returns)
    if not finite.all():
        chain_number = int(np.argmin(finite))
        raise ModelError(f"the return of chain {first + chain_number} is {returns[chain_number]}: its rewards add up beyond the largest float")
    return returns, lengths


def _count(field: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ModelError(f"{field} is {value!r}; it must be a whole number") from None
    if number < least:
        raise ModelError(f"{field} is {number}; it must be at least {least}")
    return number
