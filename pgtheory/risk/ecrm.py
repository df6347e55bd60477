"""Expected conditional risk measures (ECRM): risk of each reward, seen from one step before; an ordinary problem on augmented states.

    J = E r_1 + sum_{t >= 2} gamma^{t-1} E [ (1 - w) E(r_t | h_t) + w CVaR_a(r_t | h_t) ],        h_t: everything up to and with (s_{t-1}, a_{t-1})

w in [0, 1] is the weight, a in (0, 1] the level; r_t = r(s_t, a_t) is random given h_t through the next state and the next action.  Each CVaR is a
maximum over a threshold that is chosen before the randomness (Rockafellar and Uryasev), so the threshold becomes an action of step t - 1 and a part
of the state of step t:

    state (s, eta), action (a, eta'):    reward (1 - w) r + w (- (eta - r)_+ / a) + gamma w eta'          first step: r + gamma w eta'

Thresholds among the reward values suffice.  The optimum of this problem is the optimum of J over policies of the history, and a policy may need its
eta: knowing s alone is not enough.  The augmented model is an `mdps.MDP`: solvers, policy gradients and `pgtheory.run` take it as it is.

Costs: give the model rewards r = -c; then -J is  E c_1 + sum gamma^{t-1} E[(1 - w) E(c_t | h_t) + w CVaR_a(c_t | h_t)] with the CVaR of the largest
costs, and the augmented reward is minus the cost (w / a)(c - eta)_+ + (1 - w) c + gamma w eta' with eta -> -eta.

Rate (direct parametrisation, K thresholds, A actions, S states, augmented rewards of range C, start distribution mu > 0 on all augmented states):
projected gradient ascent with step (1 - gamma)^3 / (2 gamma A K C) has
min_{1 <= t <= T} J* - J_t <= C D sqrt(64 gamma S' A K / ((1 - gamma)^6 T)),  S' augmented states, D the mismatch of the optimal visits and mu.

Sources: Yu and Ying (2023); Agarwal et al. (2021), Theorem 4.1, on the augmented model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import rational, simplest
from pgtheory.arithmetic import exactly
from pgtheory.risk.measures import MeanCVaR

Array = np.ndarray


@dataclass(frozen=True)
class Augmented:
    """The ordinary problem behind an ECRM.

    model        MDP (or FiniteHorizon) on S (K + 1) states: s * (K + 1) + k; k = K is the first step, k < K the threshold thresholds[k]
                 actions a * K + k': act a, and the threshold for the next reward is thresholds[k']
    thresholds   (K,) rationals, increasing
    """

    model: Any
    thresholds: Array
    level: Any
    weight: Any
    base: Any = field(repr=False)

    @property
    def levels(self) -> int:
        """K, the number of thresholds."""
        return self.thresholds.size

    def state(self, s: int, k: int | None = None) -> int:
        """The number of the augmented state (s, thresholds[k]); of the first step without k."""
        return s * (self.levels + 1) + (self.levels if k is None else k)

    def action(self, a: int, k: int) -> int:
        return a * self.levels + k

    def split_action(self, action: int) -> tuple[int, Any]:
        """(a, threshold) of an augmented action."""
        return int(action) // self.levels, self.thresholds[int(action) % self.levels]

    @property
    def range(self) -> Any:
        """Largest minus smallest augmented reward: at most (w / a + 1 - w + gamma w) times that of the rewards."""
        rewards = self.model.exact.pair_rewards.tolist()
        return max(rewards) - min(rewards)

    def step_size(self) -> Any:
        """(1 - gamma)^3 / (2 gamma A K C): the step of the rate above (discounted models, gamma > 0)."""
        gamma = self.model.exact.discount
        if gamma == 0:
            raise ModelError("at discount 0 the objective is linear in the policy and any step will do; the rate's step divides by it")
        return (1 - gamma) ** 3 / (2 * gamma * self.model.num_actions * self.range)


def augmented(problem: MDP | FiniteHorizon, level: Any, weight: Any, thresholds: Any = None, *, start: Any = None) -> Augmented:
    """The ordinary model whose optimum is the optimal ECRM of `problem`.

    problem      rectangular: an MDP, or a FiniteHorizon with the same states and actions at every step (its terminal value is a last reward)
    level        a in (0, 1];  weight  w in [0, 1]
    thresholds   the values that eta may take: the rewards by default, which is exact; fewer give a lower bound
    start        (S (K + 1),) the start distribution of the augmented model; the problem's own, at the first step, by default
    raises       ModelError: level or weight out of range, states with different numbers of actions
    """
    measure = MeanCVaR(level, weight)
    a, w = _exact(measure.level), _exact(measure.weight)
    if a == 0:
        raise ModelError("the risk level is 0; an ECRM divides by it: take a level in (0, 1]")
    if isinstance(problem, FiniteHorizon):
        return _finite(problem, a, w, thresholds)
    if not problem.is_rectangular:
        raise ModelError("an ECRM takes a model with the same number of actions in every state; repeat an action of the shorter states")
    exact = problem.exact
    eta = _thresholds(exact.rewards, thresholds)
    rewards, rows = _augment(exact.transitions, exact.rewards, exact.discount, a, w, eta, last=False)
    first = np.full(problem.num_states * (eta.size + 1), rational(0), dtype=object)
    first[eta.size :: eta.size + 1] = exact.start
    if start is not None:
        first = np.array([_exact(x) for x in np.asarray(start).tolist()], dtype=object)
    names = [f"{problem.state_names[s] if problem.state_names else s}|{k}" for s in range(problem.num_states) for k in [*map(str, eta), "first"]]
    model = MDP(rows, rewards, exact.discount, first, state_names=names, name=f"{problem.name} augmented".strip())
    return Augmented(model, eta, a, w, problem)


def _finite(problem: FiniteHorizon, a: Any, w: Any, thresholds: Any) -> Augmented:
    exact = problem.exact
    sizes = {stage.transitions.shape for stage in exact.stages}
    if len(sizes) != 1 or any(stage.num_pairs != stage.num_states * stage.num_actions for stage in exact.stages):
        raise ModelError("an ECRM of a finite horizon takes the same states and actions at every step")
    if any(x != 0 for x in exact.terminal.tolist()):
        raise ModelError("an ECRM of a finite horizon takes terminal value 0: add a last step that pays it")
    eta = _thresholds(np.concatenate([stage.pair_rewards for stage in exact.stages]), thresholds)
    states, actions, _ = next(iter(sizes))
    parts = []
    for h, stage in enumerate(exact.stages):
        rewards, rows = _augment(stage.transitions, stage.rewards, exact.discount, a, w, eta, last=h == len(exact.stages) - 1)
        pairs = states * (eta.size + 1) * actions * eta.size
        parts.append((np.arange(0, pairs + 1, actions * eta.size), rows.reshape(pairs, -1), rewards.reshape(pairs)))
    first = np.full(states * (eta.size + 1), rational(0), dtype=object)
    first[eta.size :: eta.size + 1] = exact.start
    model = FiniteHorizon.from_stages(parts, exactly(np.zeros(first.size)), first, discount=exact.discount)
    return Augmented(model, eta, a, w, problem)


def _augment(transitions: Array, rewards: Array, gamma: Any, a: Any, w: Any, eta: Array, last: bool) -> tuple[Array, Array]:
    """(rewards, transitions) of the augmented model, (S (K+1), A K) and (S (K+1), A K, S (K+1))."""
    states, actions, _ = transitions.shape
    count = eta.size
    short = np.maximum(eta[None, :, None] - rewards[:, None, :], rational(0))  # (S, K, A)
    seen = (1 - w) * rewards[:, None, :] - w / a * short
    paid = np.concatenate([seen, rewards[:, None, :]], axis=1)[..., None]  # (S, K + 1, A, 1), the first step last
    bonus = eta * 0 if last else gamma * w * eta
    table = (paid + bonus).reshape(states * (count + 1), actions * count)
    moves = np.full((states, count + 1, actions, count, states, count + 1), rational(0), dtype=object)
    for k in range(count):
        moves[:, :, :, k, :, k] = transitions[:, None]
    return table, moves.reshape(states * (count + 1), actions * count, states * (count + 1))


def _thresholds(rewards: Array, given: Any) -> Array:
    values = sorted(set(rewards.reshape(-1).tolist())) if given is None else sorted({_exact(x) for x in given})
    if not values:
        raise ModelError("thresholds is empty; an ECRM needs at least one")
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _exact(number: Any) -> Any:
    return simplest(number) if isinstance(number, float) else rational(number)


def tree_value(problem: FiniteHorizon, rule: Any, level: Any, weight: Any) -> Any:
    """J of a deterministic policy of the history, from the definition: `rule(history)` -> action, history = (s_1, a_1, ..., s_t).

    Independent of the augmentation: every conditional law of a reward is listed and rated.  Exact; exponential in the horizon."""
    measure, exact = MeanCVaR(level, weight), problem.exact
    total = rational(0)
    layer = {(s,): p for s, p in enumerate(exact.start.tolist()) if p != 0}
    factor = rational(1)
    for h, stage in enumerate(exact.stages):
        laws: dict[Any, list[tuple[Any, Any]]] = {}
        after: dict[Any, Any] = {}
        for history, p in layer.items():
            action = int(rule(history))
            laws.setdefault(history[:-1], []).append((p, stage.rewards[history[-1], action]))
            for t, q in enumerate(stage.transitions[history[-1], action].tolist()):
                if q != 0:
                    after[(*history, action, t)] = p * q
        for before, rows in laws.items():
            mass = sum((p for p, _ in rows), rational(0))
            if not before:
                total = total + factor * sum((p * r for p, r in rows), rational(0))
            else:
                law = np.array([p / mass for p, _ in rows], dtype=object), np.array([r for _, r in rows], dtype=object)
                total = total + factor * mass * measure.value(*law)
        layer, factor = after, factor * exact.discount
        del h
    return total
