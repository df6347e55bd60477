"""Many runs of a stochastic policy gradient on a small model, each from its first step to its last in compiled code.

    method = StochasticPG(Fresh(RewardToGo(20), batch=10), step_size=0.5)
    runs = run_sampled(mdp, method, iterations=500, runs=10_000, seed=1)           # comes here where `serves(mdp, method)`

Served are fresh batches of `Reinforce` or `RewardToGo` without a baseline, any update, a constant step size, models of at most `MOST_ENTRIES`
entries.  Step t of a run draws a batch under p = softmax(theta),

    theta += eta d,      d = sum of w (e_{s,a} - p(.|s) e_s) over the steps of all paths / batch,      w the whole return, or the rewards to go

with the random numbers of the runs in Python: path k of run r is stream r 2^40 + k, walked by the same alias tables.  So run r is run r of
`run_sampled(..., compiled=False)`, in whichever block of runs it is computed.  The two add in different orders and agree to rounding, except after
a normalised step along a direction that is 0 but for rounding.

Regret.  On a bandit (one state, discount 0, paths of one step) `regret` sums over the pulls so far the gap of the distribution that they came from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.compiled import gate
from pgtheory.kernels import policy_values_and_visits
from pgtheory.sampling.directions import Fresh
from pgtheory.sampling.estimators import Reinforce, RewardToGo
from pgtheory.sampling.stochastic import STREAMS_A_RUN, UPDATES, SampledRuns
from pgtheory.sampling.streams import ONE, S11, UNIT, ZERO, checked_seed, lean, mix, stream
from pgtheory.sampling.tables import count_outcomes, csr_parts, fill_alias, fill_tables, law_table, shift_of
from pgtheory.sampling.walks import pick

Array = np.ndarray
MOST_ENTRIES = 2**16
"""States times actions times states up to which a model counts as small: its tables are filled anew in every step."""
PLAIN, NORMALISED, NATURAL = range(3)


def serves(mdp: MDP, method: Any) -> bool:
    """Whether `replicate_gradients` takes this method on this model."""
    rule = getattr(method, "direction", None)
    if type(rule) is not Fresh or type(rule.estimator) not in (Reinforce, RewardToGo) or getattr(rule.estimator, "baseline", None) is not None:
        return False
    return mdp.is_rectangular and mdp.num_states**2 * mdp.num_actions <= MOST_ENTRIES and not callable(method.step_size)


def is_bandit(mdp: MDP) -> bool:
    """One state and discount 0: every step is a pull."""
    return mdp.num_states == 1 and float(mdp.discount) == 0.0


def replicate_gradients(mdp: MDP, method: Any, logits: Array, runs: int, seed: int, times: Array, first: int = 0) -> SampledRuns:
    """Runs first .. first + runs - 1 of the seed, from `logits` (S, A) on, recorded at `times`; on a bandit with their regret.

    Arguments as `run_sampled` has checked them.  raises  ModelError: logits that become infinite, which names the step"""
    shape = (mdp.num_states, mdp.num_actions)
    rule, bandit = method.direction, is_bandit(mdp) and method.direction.estimator.horizon == 1
    indptr, indices, data = csr_parts(mdp)
    choices = np.repeat(np.tile(np.arange(shape[1]), shape[0]), np.diff(indptr))[data > 0]
    first_pair, indptr, indices, ticks, choices = gate(mdp.first_pair, indptr, indices, times, choices, dtype=np.int64)
    rewards, transitions = np.asarray(mdp.rewards, dtype=np.float64), np.asarray(mdp.transitions, dtype=np.float64)
    losses = rewards.max() - rewards[0] if bandit else np.empty(0)
    data, law, rewards, transitions, begin, losses, chances = gate(data, mdp.start, rewards, transitions, logits, losses, data[data > 0])
    (started,) = gate(law_table(law))
    policies, regret = np.empty((runs, times.size, *shape)), np.zeros((runs, times.size))
    model = (first_pair, indptr, indices, data, choices, chances, transitions, rewards, float(mdp.discount), law, started, losses)
    whole = type(rule.estimator) is Reinforce
    own = (float(method.step_size), UPDATES.index(method.update), whole, rule.batch, rule.estimator.horizon)
    failed = gradient_runs(model, own, begin, checked_seed(seed), first, ticks, policies, regret)
    if failed:
        raise ModelError(f"the logits are not finite after step {failed}: the step size is too long")
    paths = np.broadcast_to(times * rule.batch, (runs, times.size))
    return SampledRuns(mdp, method, times, policies, paths, regret if bandit else None)


@lean
def gradient_runs(model, rule, begin, seed, run, times, policies, regret):  # type: ignore[no-untyped-def]
    """Runs run .. run + n - 1 into `policies` (n, R, S, A) and `regret` (n, R); returns the step after which logits were not finite, else 0.

    model   the rows of the model; choices and chances: action and probability of every positive entry, in the order of the tables of a positive
            policy; the dense model; its start distribution and that one's table; losses (A,): gaps of the arms of a bandit, else empty
    rule    step size, update, whether the whole return is the weight, paths a step, steps a path
    begin   (S, A) first logits"""
    first_pair, indptr, indices, data, choices, chances, transitions, rewards, discount, law, started, losses = model
    eta, update, whole, batch, horizon = rule
    states, actions = rewards.shape
    shift = shift_of(actions)
    mask = (ONE << shift) - ONE
    logits, p, sums, visits = np.empty((states, actions)), np.empty((states, actions)), np.empty((states, actions)), np.ones(states)
    first, table = np.empty(states + 1, np.int64), np.empty((data.size, 3))
    most = 0
    for s in range(states):
        most = max(most, indptr[first_pair[s + 1]] - indptr[first_pair[s]])
    weights, small, large = np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    codes, powers = np.empty(horizon, np.uint64), np.empty(horizon)
    power = 1.0
    for k in range(horizon):
        powers[k] = power
        power *= discount
    counted = False
    for c in range(policies.shape[0]):
        for s in range(states):
            for a in range(actions):
                logits[s, a] = begin[s, a]
        own = np.uint64(run + c) * np.uint64(STREAMS_A_RUN)
        drawn, record, lost = np.uint64(0), 0, 0.0
        for t in range(times[-1] + 1):
            positive = True
            for s in range(states):
                largest, total = logits[s, 0], 0.0
                for a in range(1, actions):
                    largest = max(largest, logits[s, a])
                for a in range(actions):
                    p[s, a] = np.exp(logits[s, a] - largest)
                    total += p[s, a]
                for a in range(actions):
                    p[s, a] /= total
                    positive = positive and p[s, a] > 0.0
            if t == times[record]:
                for s in range(states):
                    for a in range(actions):
                        policies[c, record, s, a] = p[s, a]
                regret[c, record] = lost
                record += 1
            if t == times[-1]:
                break
            for a in range(losses.size):
                lost += batch * p[0, a] * losses[a]
            if positive and counted:  # the outcomes are those of the last time: only their weights have changed
                for s in range(states):
                    begins, count = first[s], first[s + 1] - first[s]
                    for k in range(count):
                        weights[k] = p[s, choices[begins + k]] * chances[begins + k]
                    fill_alias(weights, table, begins, count, small, large)
            else:
                count_outcomes(first_pair, indptr, data, p, first)
                fill_tables(first_pair, indptr, indices, data, p, first, table, weights, small, large)
                counted = positive
            for s in range(states):
                for a in range(actions):
                    sums[s, a] = 0.0
            for _ in range(batch):
                key, step = stream(seed, own + drawn)
                drawn += ONE
                s = pick(started, ZERO, started.shape[0], (mix(key) >> S11) * UNIT)
                key += step
                gain = 0.0
                for k in range(horizon):
                    key += step
                    outcome = pick(table, np.uint64(first[s]), first[s + ONE] - first[s], (mix(key) >> S11) * UNIT)
                    codes[k] = (s << shift) | (outcome & mask)
                    gain += powers[k] * rewards[s, outcome & mask]
                    s = outcome >> shift
                togo = gain if whole else 0.0
                for back in range(horizon):
                    k = horizon - 1 - back
                    at, a = codes[k] >> shift, codes[k] & mask
                    if not whole:
                        togo += powers[k] * rewards[at, a]
                    sums[at, a] += togo
            for s in range(states):
                total = 0.0
                for a in range(actions):
                    total += sums[s, a]
                total /= batch
                for a in range(actions):
                    sums[s, a] = sums[s, a] / batch - p[s, a] * total
            scale = eta
            if update == NORMALISED:
                square = 0.0
                for s in range(states):
                    for a in range(actions):
                        square += sums[s, a] * sums[s, a]
                scale = eta / np.sqrt(square) if square > 0.0 else 0.0
            elif update == NATURAL and states > 1:
                visits = policy_values_and_visits(p, transitions, rewards, discount, law)[1]
                scale = eta / (1.0 - discount)
            for s in range(states):
                for a in range(actions):
                    moved = sums[s, a]
                    if update == NATURAL:
                        weight = visits[s] * p[s, a]
                        moved = moved / weight if weight > 0.0 else 0.0
                    logits[s, a] += scale * moved
                    if not np.isfinite(logits[s, a]):
                        return t + 1
    return 0
