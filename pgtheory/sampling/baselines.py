"""Control variates: baselines by number, state, stage or pair, and the ones of least variance, exactly.

An estimator g is unbiased; a control variate phi_j is a function of the path with known mean 0.  For any numbers c

    g_c = g - sum_j c_j phi_j        has the mean of g and the total variance   tr Var g - 2 c . v + c^T M c,
    M_jk = E <phi_j, phi_k>,   v_j = E <g, phi_j>                         so it is least where  M c = v.

What c multiplies, with score_t = e_{s_t, a_t} - pi(.|s_t) e_{s_t}:

    by="number"   phi     = sum_t gamma^t score_t                                       one number off every reward to go
    by="state"    phi_s   = sum_t gamma^t 1{s_t = s} score_t                            b(s)
    by="stage"    phi_ts  = gamma^t 1{s_t = s} score_t                                  b_t(s)
    by="pair"     phi_sa  = sum_t gamma^t 1{s_t = s} (1{a_t = a} score_t - grad pi(a|s))    b(s, a), its mean added back

The minimum counts the products of several visits to a state, which the formula E[|score|^2 R | s] / E[|score|^2 | s] leaves out (Greensmith, Bartlett
and Baxter 2004 for the formula; docs/theory/sampled_gradients.md for where it fails).  M may be singular (a state that no path visits, a policy
that is sure of its action): any solution of M c = v is optimal, and floats get the shortest one.

Everything is exact for rationals.  `fitted` lists all paths; `fitted_to_samples` solves the same equations over sampled paths, which must not be
those that the gradient is then taken from (a fit to its own paths looks ahead): they come from streams of their own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, same_kind
from pgtheory.sampling.estimators import Estimator, RewardToGo, add_back, check_below, discounted_rewards, scored
from pgtheory.sampling.paths import all_paths
from pgtheory.sampling.simulator import simulate

Array = np.ndarray
KINDS = ("number", "state", "stage", "pair")
FIT_STREAMS = 2**62
"""The first stream of the paths that a baseline is fitted to: gradients of the same seed use others."""


@dataclasses.dataclass(frozen=True)
class ControlVariates(Estimator):
    """`of` less the control variates of one kind.

    of            an unbiased estimator on paths of the policy itself; the plain rewards to go if left out
    by            "number", "state", "stage" or "pair"
    coefficients  (), (S,), (H, S) or (S, A), in reward units; None: 0
    raises        ModelError: another kind, coefficients of another shape or not finite, an `of` of another horizon
    """

    of: Estimator | None = None
    by: str = "state"
    coefficients: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in KINDS:
            raise ModelError(f"by is {self.by!r}; it is one of {', '.join(KINDS)}.{nearest(str(self.by), KINDS)}")
        if self.of is not None:
            check_below(self.horizon, self.of)

    @property
    def base(self) -> Estimator:
        return RewardToGo(self.horizon) if self.of is None else self.of

    def table(self, mdp: MDP, policy: Array) -> Array:
        """The coefficients in the policy's numbers: (S,) for numbers and states, (H, S) or (S, A)."""
        numbers, (states, actions) = kind(policy), policy.shape
        shape = {"number": (), "state": (states,), "stage": (self.horizon, states), "pair": (states, actions)}[self.by]
        if self.coefficients is None:
            given = same_kind(np.zeros(shape or (1,), dtype=int).tolist(), numbers)
        else:
            given = same_kind(self.coefficients if np.ndim(self.coefficients) else [self.coefficients], numbers)
        if given.shape != (shape or (1,)):
            raise ModelError(f"coefficients by {self.by} have shape {np.shape(self.coefficients)}; they must have {shape}")
        if numbers == "float" and not np.isfinite(given).all():
            place = ", ".join(str(int(k)) for k in np.argwhere(~np.isfinite(given))[0])
            raise ModelError(f"coefficient [{place}] is not finite")
        return given[np.zeros(states, dtype=int)] if self.by == "number" else given

    def behaviour(self, mdp: MDP, policy: Array) -> Array:
        drawn = self.base.behaviour(mdp, policy)
        if drawn is not policy:
            raise ModelError("control variates have the mean 0 on paths of the policy itself: weigh them by ImportanceWeighted(of=...)")
        return policy

    def weights(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): what multiplies the scores; by="pair" the mean of the baseline is added back in `of_paths`, not here."""
        return self.base.weights(mdp, policy, states, actions) - self._off(mdp, policy, states, actions)

    def of_paths(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        policy = check_policy(mdp, policy)
        out = self.base.of_paths(mdp, policy, states, actions) - scored(policy, states, actions, self._off(mdp, policy, states, actions))
        if self.by == "pair" and self.coefficients is not None:
            add_back(out, self.table(mdp, policy), mdp, policy, states, actions)
        return out

    def _off(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, H): gamma^t times the coefficient of each step."""
        table, now = self.table(mdp, policy), states[:, : self.horizon]
        _, powers = discounted_rewards(mdp, policy, states, actions)
        if self.by == "pair":
            return powers * table[now, actions]
        return powers * (table[np.arange(self.horizon), now] if self.by == "stage" else table[now])

    def variates(self, mdp: MDP, policy: Array, states: Array, actions: Array) -> Array:
        """(N, J, S, A): phi_j of every path."""
        _, powers = discounted_rewards(mdp, policy, states, actions)
        now, zero = states[:, : self.horizon], policy[0, 0] * 0
        marks: list[Array] = []
        if self.by == "number":
            marks = [np.ones(now.shape, dtype=int)]
        elif self.by == "state":
            marks = [(now == s).astype(int) for s in range(mdp.num_states)]
        elif self.by == "stage":
            step = np.arange(self.horizon)
            marks = [((now == s) & (step == t)).astype(int) for t in range(self.horizon) for s in range(mdp.num_states)]
        else:
            marks = [((now == s) & (actions == a)).astype(int) for s, a in np.ndindex(policy.shape)]
        out = np.stack([scored(policy, states, actions, mark * powers + zero) for mark in marks], axis=1)
        if self.by == "pair":  # less the mean of the action's part given the state: grad pi(a|s) = pi(a|s) (e_a - pi(.|s))
            for j, (s, a) in enumerate(np.ndindex(policy.shape)):
                slope = policy[s, a] * ((np.arange(policy.shape[1]) == a).astype(int) - policy[s])
                visits = ((now == s).astype(int) * powers + zero).sum(axis=1)
                out[:, j, s] = out[:, j, s] - visits[:, None] * slope
        return out

    def fitted(self, mdp: MDP, policy: Array) -> ControlVariates:
        """This estimator with the coefficients of least total variance, by listing all paths."""
        policy = check_policy(mdp, policy)
        paths = all_paths(mdp, self.behaviour(mdp, policy), self.horizon)
        return self._solved(mdp, policy, paths.states, paths.actions, paths.probabilities)

    def fitted_to_samples(self, mdp: MDP, policy: Array, chains: int, seed: int = 0, *, first: int = 0) -> ControlVariates:
        """The same equations over `chains` simulated paths, path c from stream 2^62 + first + c: gradients of the same seed use others."""
        mdp, policy = mdp.float, np.asarray(check_policy(mdp.float, np.asarray(policy, dtype=np.float64)))
        paths = simulate(mdp, self.behaviour(mdp, policy), chains, self.horizon, seed, first=FIT_STREAMS + first)
        return self._solved(mdp, policy, paths.states, paths.actions, np.full(chains, 1 / chains))

    def equations(self, mdp: MDP, policy: Array, states: Array, actions: Array, shares: Array) -> tuple[Array, Array]:
        """(M (J, J), v (J,)) over paths of the probabilities `shares` (N,)."""
        each = self.base.of_paths(mdp, policy, states, actions).reshape(-1)
        variates = self.variates(mdp, policy, states, actions)
        columns = variates.transpose(1, 0, 2, 3).reshape(variates.shape[1], -1)
        weighted = (shares[:, None, None, None] * variates).transpose(1, 0, 2, 3).reshape(variates.shape[1], -1)
        return columns.dot(weighted.T), weighted.dot(each)

    def _solved(self, mdp: MDP, policy: Array, states: Array, actions: Array, shares: Array) -> ControlVariates:
        found = solutions(*self.equations(mdp, policy, states, actions, shares))
        shape = {"number": (), "state": (-1,), "stage": (self.horizon, -1), "pair": policy.shape}[self.by]
        return dataclasses.replace(self, coefficients=found.reshape(shape) if shape else found[0])


def optimal_baseline(mdp: MDP, policy: Array, horizon: int, by: str = "state") -> Any:
    """The baseline of least total variance of the rewards to go: a number, (S,), (H, S) or (S, A) (`ControlVariates`), by listing all paths."""
    return ControlVariates(horizon, by=by).fitted(mdp, policy).coefficients


def solutions(matrix: Array, right: Array) -> Array:
    """A solution c of M c = v, M positive semidefinite and v in its range: the shortest in floats."""
    if matrix.dtype != object:
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0])
    from flint import fmpq, fmpq_mat

    n = len(right)
    reduced, rank = fmpq_mat(n, n + 1, [fmpq(x) for row, y in zip(matrix, right, strict=True) for x in (*row, y)]).rref()
    out = np.array([fmpq(0)] * n, dtype=object)
    for i in range(rank):
        lead = next(j for j in range(n + 1) if reduced[i, j] != 0)
        out[lead] = reduced[i, n]
    return out
