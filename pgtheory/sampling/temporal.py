"""Temporal differences from samples: exact mean and mean square error of linear TD(0), Q-learning with its pathwise bounds, federated SARSA.

Linear TD(0).  States s ~ mu, a ~ pi, s' ~ P: with features phi (S, d), theta moves by alpha g(theta) where

    g(theta) = (r + gamma phi(s') . theta - phi(s) . theta) phi(s) = g* - X (theta - theta*),      X = phi(s) (phi(s) - gamma phi(s'))^T

and E g* = 0 at the fixed point A theta* = b, A = E X.  N agents that average every step replace one draw by the mean of N.  Mean m and second
moment M of the error e = theta - theta* follow a linear recursion (derived in docs/theory/temporal_differences.md), so nothing has to be sampled:

    m+ = m - alpha A m
    M+ = M - alpha (A M + M A^T) + alpha^2 [ (1/N) E X M X^T + (1 - 1/N) A M A^T + (1/N) (E g* g*^T - E X m g*^T - (E X m g*^T)^T) ]

Sources: Sutton (1988); Bhandari, Russo and Singal (2018); Wainwright (2019) for the sandwich of Q-learning.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy
from pgtheory.exact.linear import kind, model_like, same_kind, solve_objects
from pgtheory.sampling.simulator import _count
from pgtheory.sampling.streams import checked_seed, uniforms

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class LinearTD:
    """Linear TD(0) for one policy with independent samples.

    policy    (S, A), floats or rationals (on rational models): all figures are of its kind
    features  (S, d)
    states    (S,) the law mu of the sampled state; by default the stationary one
    raises    ModelError: shapes, a policy that is none, a law that is none, A singular (the features say the same of several states)
    """

    mdp: MDP
    policy: Array
    features: Array
    states: Any = None

    def __post_init__(self) -> None:
        policy = check_policy(self.mdp, self.policy)
        numbers = kind(policy)
        features = same_kind(self.features, numbers)
        if features.ndim != 2 or len(features) != self.mdp.num_states:
            raise ModelError(f"features have shape {features.shape}; the model has {self.mdp.num_states} states")
        law = self._stationary(policy) if self.states is None else same_kind(self.states, numbers)
        if law.shape != (self.mdp.num_states,) or any(x < 0 for x in law) or abs(float(law.sum()) - 1) > 1e-9:
            raise ModelError(f"states must be a distribution over the {self.mdp.num_states} states")
        for name, value in (("policy", policy), ("features", features), ("states", law)):
            object.__setattr__(self, name, value)

    def _stationary(self, policy: Array) -> Array:
        """The stationary law of the chain: d (I - P + 1 1^T) = 1^T.  raises ModelError: not unique."""
        choices, _, _, _ = model_like(self.mdp, kind(policy))
        rows = np.asarray(choices.toarray() if hasattr(choices, "toarray") else choices).reshape(self.mdp.num_states, -1, self.mdp.num_states)
        chain = (policy[:, :, None] * rows).sum(axis=1)
        one = policy[0, 0] * 0 + 1
        matrix = (np.eye(len(chain), dtype=int) + np.ones(chain.shape, dtype=int)) * one - chain
        return self._solved(matrix.T, np.array([one] * len(chain)), "the chain has several stationary laws: give `states`")

    @staticmethod
    def _solved(matrix: Array, right: Array, complaint: str) -> Array:
        try:
            out = np.linalg.solve(matrix, right) if matrix.dtype != object else solve_objects(matrix, right)
        except (np.linalg.LinAlgError, ZeroDivisionError) as error:
            raise ModelError(complaint) from error
        return np.asarray(out)

    @functools.cached_property
    def samples(self) -> tuple[Array, Array, Array]:
        """(weights (K,), X (K, d, d), reward times feature (K, d)) of every triple (s, a, s') of positive probability."""
        choices, rewards, discount, _ = model_like(self.mdp, kind(self.policy))
        rows = choices.toarray() if hasattr(choices, "toarray") else choices
        weights, matrices, vectors = [], [], []
        for s in range(self.mdp.num_states):
            for p in range(int(self.mdp.first_pair[s]), int(self.mdp.first_pair[s + 1])):
                chosen = self.states[s] * self.policy[s, p - int(self.mdp.first_pair[s])]
                for after in range(self.mdp.num_states):
                    weight = chosen * rows[p, after]
                    if weight > 0:
                        phi = self.features[s]
                        weights.append(weight)
                        matrices.append(np.outer(phi, phi - discount * self.features[after]))
                        vectors.append(rewards[p] * phi)
        return np.array(weights), np.array(matrices), np.array(vectors)

    @functools.cached_property
    def matrix(self) -> Array:
        """A (d, d) = E X."""
        weights, matrices, _ = self.samples
        return np.asarray((weights[:, None, None] * matrices).sum(axis=0))

    @functools.cached_property
    def vector(self) -> Array:
        """b (d,) = E r phi."""
        weights, _, vectors = self.samples
        return np.asarray((weights[:, None] * vectors).sum(axis=0))

    @functools.cached_property
    def fixed_point(self) -> Array:
        """theta* (d,): A theta* = b."""
        return self._solved(self.matrix, self.vector, "A = E phi (phi - gamma phi')^T is singular: the features are dependent on the sampled states")

    @functools.cached_property
    def noise(self) -> Array:
        """E g* g*^T (d, d): the covariance of a sample at the fixed point; sigma^2 is its trace."""
        weights, matrices, vectors = self.samples
        at = vectors - matrices @ self.fixed_point
        return np.asarray((weights[:, None] * at).T.dot(at))

    def errors(self, start: Any, step_size: Any, steps: int, agents: int = 1) -> tuple[Array, Array]:
        """(m (steps + 1, d), M (steps + 1, d, d)): mean and second moment of theta_t - theta*, exactly.

        start      (d,) theta_0;  step_size alpha, a number or a function of t = 0, 1, ...
        agents     N >= 1 that average after every step
        raises     ModelError: counts below 1, another shape
        """
        steps, agents = _count("steps", steps, 0), _count("agents", agents, 1)
        numbers = kind(self.policy)
        theta = same_kind(start, numbers)
        if theta.shape != self.fixed_point.shape:
            raise ModelError(f"start has shape {theta.shape}; there are {self.fixed_point.size} features")
        rate: Callable[[int], Any] = step_size if callable(step_size) else (lambda t: step_size)
        (share,) = same_kind([f"1/{agents}" if numbers != "float" else 1 / agents], numbers)
        weights, matrices, vectors = self.samples
        at = vectors - matrices @ self.fixed_point
        m = theta - self.fixed_point
        M = np.outer(m, m)
        means, seconds, A = [m], [M], self.matrix
        for t in range(steps):
            (alpha,) = same_kind([rate(t)], numbers)
            spread = (weights[:, None, None] * (matrices @ M @ matrices.transpose(0, 2, 1))).sum(axis=0)
            cross = (weights[:, None] * (matrices @ m)).T.dot(at)
            drift = A @ M
            M = M - alpha * (drift + drift.T) + alpha * alpha * (share * (spread + self.noise - cross - cross.T) + (1 - share) * (A @ M @ A.T))
            m = m - alpha * (A @ m)
            means.append(m)
            seconds.append(M)
        return np.array(means), np.array(seconds)

    def sample(self, start: Any, step_size: Any, steps: int, runs: int, seed: int = 0, agents: int = 1, *, first: int = 0) -> Array:
        """(runs, d): theta after `steps` sampled steps, run c of stream first + c; in floats."""
        steps, runs, agents = _count("steps", steps, 0), _count("runs", runs, 1), _count("agents", agents, 1)
        weights, matrices, vectors = (np.asarray(x, dtype=np.float64) for x in self.samples)
        sums = weights.cumsum() / weights.sum()
        rate: Callable[[int], Any] = step_size if callable(step_size) else (lambda t: step_size)
        draws = np.stack([uniforms(checked_seed(seed), first + c, 0, steps * agents) for c in range(runs)]).reshape(runs, steps, agents)
        chosen = np.minimum(np.searchsorted(sums, draws, side="right"), weights.size - 1)
        theta = np.tile(np.asarray(start, dtype=np.float64), (runs, 1))
        for t in range(steps):
            k = chosen[:, t]
            move = vectors[k] - np.einsum("ranm,rm->ran", matrices[k], theta)
            theta = theta + float(rate(t)) * move.mean(axis=1)
        return theta


@dataclasses.dataclass(frozen=True)
class QLearningRun:
    """A path of synchronous Q-learning beside what bounds it.

    actions_values  (T + 1, S, A) Q_t;  noise (T + 1, S, A) W_t;  radius (T + 1,) D_t:  |Q_t - Q* - W_t| <= D_t at every pair, on every path
    """

    action_values: Array
    noise: Array
    radius: Array
    optimal: Array


def q_learning(mdp: MDP, step_size: float, steps: int, seed: int = 0, *, initial: Array | None = None) -> QLearningRun:
    """Synchronous Q-learning with one sampled next state for every pair and step.

    step_size  eta in (0, 1];  initial (S, A) Q_0, 0 if left out
    raises     ModelError: a step size outside (0, 1], a model whose states differ in their actions, another shape
    """
    from pgtheory.exact import solve

    if not mdp.is_rectangular:
        raise ModelError("Q-learning takes the same number of actions in every state; this model has states that differ")
    if not 0 < step_size <= 1:
        raise ModelError(f"step_size is {step_size}; it must lie in (0, 1]")
    steps, mdp = _count("steps", steps, 0), mdp.float
    P, r, gamma = np.asarray(mdp.transitions), np.asarray(mdp.rewards), float(mdp.discount)
    Q = np.zeros(r.shape) if initial is None else np.array(initial, dtype=np.float64)
    if Q.shape != r.shape:
        raise ModelError(f"initial has shape {Q.shape}; the model has {r.shape}")
    values = solve(mdp, tol=1e-11).values
    optimal = r + gamma * P @ values
    sums = P.reshape(-1, mdp.num_states).cumsum(axis=1)
    path, noise, radius = [Q], [np.zeros(r.shape)], [float(np.abs(Q - optimal).max())]
    number = checked_seed(seed)
    for t in range(steps):
        u = uniforms(number, t, 0, r.size) * sums[:, -1]
        after = (sums <= u[:, None]).sum(axis=1).clip(max=mdp.num_states - 1).reshape(r.shape)
        Q = (1 - step_size) * Q + step_size * (r + gamma * Q.max(axis=1)[after])
        radius.append((1 - step_size * (1 - gamma)) * radius[-1] + step_size * gamma * float(np.abs(noise[-1]).max()))
        noise.append((1 - step_size) * noise[-1] + step_size * (r + gamma * values[after] - optimal))
        path.append(Q)
    return QLearningRun(np.array(path), np.array(noise), np.array(radius), optimal)


@dataclasses.dataclass(frozen=True)
class FederatedRun:
    """weights (rounds + 1, d): the averaged parameters after each round;  policy (S, A) the softmax policy of the last ones."""

    weights: Array
    policy: Array


def federated_sarsa(
    mdps: Sequence[MDP],
    features: Array,
    temperature: float,
    step_size: float,
    rounds: int,
    *,
    local_steps: int = 1,
    seed: int = 0,
    initial: Array | None = None,
) -> FederatedRun:
    """SARSA with linear action values by several agents, each on its own model, that average their parameters after every round.

    features     (S, A, d) of the pairs;  temperature > 0 of the softmax policy of the present action values
    local_steps  sampled steps of an agent between two averages; agent i's chain goes on from round to round
    raises       ModelError: models of other shapes, temperature or step size not above 0
    """
    features = np.asarray(features, dtype=np.float64)
    rounds, local_steps = _count("rounds", rounds, 0), _count("local_steps", local_steps, 1)
    for i, mdp in enumerate(mdps):
        if not mdp.is_rectangular or (mdp.num_states, mdp.num_actions) != features.shape[:2]:
            raise ModelError(f"agent {i} has {mdp.num_states} states and {mdp.num_pairs} pairs; the features have shape {features.shape}")
    for name, value in (("temperature", temperature), ("step_size", step_size)):
        if not value > 0:
            raise ModelError(f"{name} is {value}; it must be above 0")
    theta = np.zeros(features.shape[2]) if initial is None else np.array(initial, dtype=np.float64)
    number, agents = checked_seed(seed), len(mdps)
    P = np.stack([np.asarray(mdp.float.transitions) for mdp in mdps])
    r, gamma = np.stack([np.asarray(mdp.float.rewards) for mdp in mdps]), np.array([float(mdp.discount) for mdp in mdps])
    starts = np.stack([np.asarray(mdp.float.start) for mdp in mdps])
    every, need = np.arange(agents), 2 * rounds * local_steps + 2
    draws = np.stack([uniforms(number, i, 0, need) for i in range(agents)], axis=1)

    def chosen(laws: Array, u: Array) -> Array:
        sums = laws.cumsum(axis=-1)
        return (sums <= (u * sums[:, -1])[:, None]).sum(axis=-1).clip(max=laws.shape[-1] - 1)

    def softly(weights: Array, s: Array) -> Array:
        scores = np.einsum("iad,id->ia", features[s], weights) / temperature
        rows = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))

    own, path, k = np.tile(theta, (agents, 1)), [theta], 2
    s = chosen(starts, draws[0])
    a = chosen(softly(own, s), draws[1])
    for _ in range(rounds):
        for _ in range(local_steps):
            after = chosen(P[every, s, a], draws[k])
            then = chosen(softly(own, after), draws[k + 1])
            k += 2
            now, ahead = features[s, a], features[after, then]
            delta = r[every, s, a] + gamma * (ahead * own).sum(axis=1) - (now * own).sum(axis=1)
            own = own + step_size * delta[:, None] * now
            s, a = after, then
        theta = own.mean(axis=0)
        own = np.tile(theta, (agents, 1))
        path.append(theta)
    last = softly(np.tile(theta, (features.shape[0], 1)), np.arange(features.shape[0]))
    return FederatedRun(np.array(path), last)
