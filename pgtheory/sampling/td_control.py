"""SARSA, expected SARSA and Q-learning along one path of a tabular model: many runs in compiled code, judged exactly.

At (s, a), with reward r and next state s', and n(s, a) the visits of the pair so far, this one included,

    Q(s, a) += alpha_n (r + gamma u - Q(s, a)),      alpha_n = step_size / n^decay

    "sarsa"            u = Q(s', a'), a' the action that is taken next                 (Rummery and Niranjan 1994)
    "expected-sarsa"   u = sum_a b(a|s') Q(s', a)                                      (van Seijen et al. 2009)
    "q-learning"       u = max_a Q(s', a)                                              (Watkins and Dayan 1992)

and actions come from b: with probability exploration any action, else a greedy one, ties shared alike.  A path begins anew from the start
distribution after `horizon` steps; that step's u is taken at s' as any other's: the cut is not an end of the process.

Q-learning with 1/2 < decay <= 1 and exploration > 0 converges to Q* where every state is reached again and again; SARSA to the values of the best
policy among those that explore so, which is why what is recorded is the *greedy* policy of Q, whose value is computed exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from pgtheory.compiled import gate
from pgtheory.run import recorded_times
from pgtheory.sampling.parts import in_parts
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.stochastic import SampledRuns
from pgtheory.sampling.streams import checked_seed
from pgtheory.sampling.tables import csr_parts

Array = np.ndarray
KINDS = ("sarsa", "expected-sarsa", "q-learning")
RUNS_A_JOB = 4


@dataclasses.dataclass(frozen=True)
class TDControl:
    """One learner of action values.

    kind         "sarsa", "expected-sarsa" or "q-learning"
    step_size    alpha in (0, 1];  decay in [0, 1]: 0 is a constant step
    exploration  in [0, 1];  initial value of every pair, in reward units
    """

    kind: str
    step_size: float = 0.5
    decay: float = 0.6
    exploration: float = 0.1
    initial: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(f"kind is {self.kind!r}; it is one of {', '.join(KINDS)}.{nearest(str(self.kind), KINDS)}")
        if not 0 < self.step_size <= 1:
            raise ModelError(f"step_size is {self.step_size}; it must lie in (0, 1]")
        for field, value in (("decay", self.decay), ("exploration", self.exploration)):
            if not 0 <= value <= 1:
                raise ModelError(f"{field} is {value}; it must lie in [0, 1]")
        if not np.isfinite(self.initial):
            raise ModelError(f"initial is {self.initial}; it must be finite")


@dataclasses.dataclass(frozen=True)
class TDRuns(SampledRuns):
    """`SampledRuns` of greedy policies, with the action values (N, R, S, A) that they are greedy for."""

    action_values: Array = dataclasses.field(default_factory=lambda: np.zeros(0))


def run_td(
    mdp: MDP,
    method: TDControl,
    iterations: int,
    runs: int = 1,
    seed: int = 0,
    *,
    steps: int = 1,
    horizon: int = 100,
    record: str | Sequence[int] | Array = "log",
    first: int = 0,
    threads: int = 1,
) -> TDRuns:
    """`runs` independent runs of iterations x steps transitions; run c uses stream first + c of the seed.

    steps    transitions of an iteration, the unit that is recorded;  horizon  steps of a path
    raises   ModelError: a model whose states differ in their actions, bad counts, a seed that is no whole number
    """
    from pgtheory.sampling.td_walks import td_runs

    if not mdp.is_rectangular:
        raise ModelError("TD control takes the same number of actions in every state; this model has states that differ")
    mdp, runs, first = mdp.float, _count("runs", runs, 1), _count("first", first, 0)
    steps, horizon, number = _count("steps", steps, 1), _count("horizon", horizon, 1), checked_seed(seed)
    times = recorded_times(record, iterations)
    values = np.empty((runs, times.size, mdp.num_states, mdp.num_actions))
    indptr, indices, data = csr_parts(mdp)
    (indptr, indices, ticks), (data, start, rewards) = gate(indptr, indices, times * steps, dtype=np.int64), gate(data, mdp.start, mdp.rewards)
    kind, numbers = KINDS.index(method.kind), (float(method.step_size), float(method.decay), float(method.exploration), float(method.initial))

    def part(begin: int) -> None:
        block = values[begin : begin + RUNS_A_JOB]
        td_runs(indptr, indices, data, rewards, start, float(mdp.discount), kind, *numbers, horizon, number, first + begin, ticks, block)

    list(in_parts(part, range(0, runs, RUNS_A_JOB), threads))
    drawn = np.tile(times * steps, (runs, 1))
    return TDRuns(mdp, method, times, greedy(values), drawn, action_values=values)


def greedy(values: Array) -> Array:
    """(..., A) -> (..., A): the best actions share alike; exactly equal values are ties."""
    best = (values == values.max(axis=-1, keepdims=True)).astype(np.float64)
    return np.asarray(best / best.sum(axis=-1, keepdims=True))
