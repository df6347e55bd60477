"""Gradient ascent on a utility in softmax logits theta: plain, and normalised with recursive momentum, exact and sampled.

    plain        theta += grad / L                      F rises by at least |grad|^2 / (2 L), L of `gradient.softmax_smoothness`
    normalised   theta += alpha m / |m|                 for ANY estimate m != 0 of the gradient

        F(theta+) >= F(theta) + alpha |grad| - 2 alpha |m - grad| - L alpha^2 / 2                                  (*)

since <grad, m> / |m| >= |m| - |m - grad| >= |grad| - 2 |m - grad|.  The sampled form estimates occupancy and gradient by recursive momentum
(Barakat, Fatkhullin and He 2023, N-VR-PG), with u(tau) the discounted counts of a path, g(tau; r) its reward-to-go gradient at the frozen reward r:

    lambda_t = mean u(tau) + (1 - eta) (lambda_{t-1} - mean w u(tau)),               r_t = grad F(lambda_t)
    m_t      = mean g_t(tau; r_t) + (1 - eta) (m_{t-1} - mean w g_{t-1}(tau; r_{t-1})),        w = p(tau; theta_{t-1}) / p(tau; theta_t)

Paths have `horizon` steps: they see all but gamma^horizon of the occupancy.  A step has length alpha, so log w is at most sqrt(2) alpha horizon.
Every run keeps both sides of (*) at each step: `slack` is what is left, and is never negative beyond rounding.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic
from pgtheory.exact.evaluation import occupancy
from pgtheory.policies import softmax
from pgtheory.utility.base import Utility
from pgtheory.utility.gradient import softmax_smoothness, utility_gradient

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class AscentRun:
    """What a run passed through, t = 0 .. T.

    values     (T + 1,) F at theta_t, exact also where the method samples
    norms      (T + 1,) |grad F(theta_t)|, exact
    errors     (T,) |m_t - grad F(theta_t)|; 0 for exact methods
    promised   (T,) the lower bound on F(theta_{t+1}) - F(theta_t); minus infinity where the utility is not smooth
    logits     (T + 1, S, A)
    """

    values: Array
    norms: Array
    errors: Array
    promised: Array
    logits: Array
    mdp: MDP = dataclasses.field(repr=False)
    utility: Utility = dataclasses.field(repr=False)

    @property
    def times(self) -> Array:
        return np.arange(self.values.size)

    @property
    def policy(self) -> Array:
        """(S, A) of the last iterate."""
        return softmax.policy_of(self.logits[-1])

    @property
    def average(self) -> Array:
        """(S, A) mean of the occupancies of all iterates: a mixture, whose utility is at least the mean of the values."""
        return np.mean([occupancy(self.mdp, softmax.policy_of(x)) for x in self.logits], axis=0)

    @property
    def slack(self) -> Array:
        """(T,) rise minus what the theorem promises: at least 0."""
        return np.diff(self.values) - self.promised


def utility_gradient_ascent(mdp: MDP, utility: Utility, iterations: int, *, step_size: Any = None, initial: Any = None) -> AscentRun:
    """Plain ascent on the logits.

    step_size  of the full gradient; 1 / L if left out
    initial    logits (S, A); zeros (uniform) if left out
    raises     ModelError: no step size and no smoothness constant; step sizes that are not positive; states with different numbers of actions
    """
    smooth = softmax_smoothness(mdp, utility)
    if step_size is None and not math.isfinite(smooth):
        raise ModelError(f"the utility {utility.name} has no smoothness constant: give a step size, or take a smoothed utility")
    eta = 1 / smooth if step_size is None else _step(step_size)

    def direction(logits: Array, gradient: Array, t: int) -> tuple[Array, Array, float]:
        size = float(np.sum(gradient**2))
        return eta * gradient, gradient, eta * size - smooth * eta**2 * size / 2 if math.isfinite(smooth) else -math.inf

    return _ascend(mdp, utility, iterations, initial, direction)


def normalised_ascent(mdp: MDP, utility: Utility, iterations: int, *, step_size: Any = 0.1, decay: float = 0.0, initial: Any = None) -> AscentRun:
    """theta += alpha_t grad / |grad| with the exact gradient, alpha_t = step_size / (t + 1)^decay; stops moving where the gradient is 0."""
    alpha = _step(step_size)
    if not 0 <= decay <= 1:
        raise ModelError(f"decay is {decay}; it must be in [0, 1]")
    smooth = softmax_smoothness(mdp, utility)

    def direction(logits: Array, gradient: Array, t: int) -> tuple[Array, Array, float]:
        return _normalised(gradient, gradient, alpha / (t + 1) ** decay, smooth)

    return _ascend(mdp, utility, iterations, initial, direction)


def sampled_ascent(
    mdp: MDP,
    utility: Utility,
    iterations: int,
    *,
    step_size: Any = 0.05,
    momentum: float = 0.2,
    batch: int = 32,
    first_batch: int | None = None,
    horizon: int | None = None,
    seed: int = 0,
    initial: Any = None,
) -> AscentRun:
    """Normalised ascent with recursive momentum from sampled paths; the record is exact, the decisions are not.

    momentum      eta in (0, 1]: 1 forgets everything, small values average over 1 / eta steps
    batch         paths a step;  first_batch  of step 0 (10 batches if left out)
    horizon       steps of a path; so many that gamma^horizon <= 1/1000 if left out
    raises        ModelError: parameters out of range, an utility whose gradient is infinite at the boundary (estimates have zeros)
    """
    from pgtheory.sampling import RewardToGo, simulate
    from pgtheory.sampling.directions import path_weights

    alpha, model = _step(step_size), mdp.float
    if not 0 < momentum <= 1:
        raise ModelError(f"momentum is {momentum}; it must be in (0, 1]")
    if batch < 1:
        raise ModelError(f"batch is {batch}; it must be at least 1")
    if not math.isfinite(utility.slope_range(utility.size((model.num_states, model.num_actions)))):
        raise ModelError(f"the gradient of the utility {utility.name} has no bound, and estimated occupancies have zeros: take a smoothed one")
    steps = horizon if horizon is not None else max(1, math.ceil(math.log(1e-3) / math.log(model.discount))) if model.discount > 0 else 1
    smooth = softmax_smoothness(model, utility)
    kept: dict[str, Array] = {}

    def direction(logits: Array, gradient: Array, t: int) -> tuple[Array, Array, float]:
        policy = softmax.policy_of(logits)
        chains = batch if t else (first_batch or 10 * batch)
        paths = simulate(model, policy, chains, steps, seed=_stream(seed, t))
        visits = _counts(model, paths)
        shape = policy.shape
        if t == 0:
            law = visits.mean(axis=0)
        else:
            weights = path_weights(kept["policy"], policy, paths)
            law = visits.mean(axis=0) + (1 - momentum) * (kept["law"] - (weights[:, None, None] * visits).mean(axis=0))
        reward = utility.reward(utility.slope(utility.point(np.maximum(law, 0.0))), shape)
        new = _each(RewardToGo(steps), model, reward, policy, paths)
        m = new.mean(axis=0)
        if t:
            old = _each(RewardToGo(steps), model, kept["reward"], kept["policy"], paths)
            m = m + (1 - momentum) * (kept["m"] - (weights[:, None, None] * old).mean(axis=0))
        kept.update(policy=policy, law=law, reward=reward, m=m)
        return _normalised(m, gradient, alpha, smooth)

    return _ascend(model, utility, iterations, initial, direction)


def _counts(mdp: MDP, paths: Any) -> Array:
    """(N, S, A) discounted counts (1 - gamma) sum gamma^t [s_t = s, a_t = a] of each path."""
    chains, steps = paths.actions.shape
    out = np.zeros((chains, mdp.num_states, mdp.num_actions))
    worth = (1 - mdp.discount) * mdp.discount ** np.arange(steps)
    for t in range(steps):
        out[np.arange(chains), paths.states[:, t], paths.actions[:, t]] += worth[t]
    return out


def _each(estimator: Any, mdp: MDP, reward: Array, policy: Array, paths: Any) -> Array:
    """(N, S, A) gradients of the paths at a frozen reward, normalised like the occupancy."""
    return (1 - mdp.discount) * estimator.of_paths(mdp.replace(rewards=reward), policy, paths.states, paths.actions)


def _stream(seed: int, t: int) -> int:
    """A seed of its own for every step of a run."""
    return int(np.random.SeedSequence([seed, t]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _normalised(m: Array, gradient: Array, alpha: float, smooth: float) -> tuple[Array, Array, float]:
    size = float(np.sqrt(np.sum(m**2)))
    if size == 0:
        return np.zeros_like(m), m, 0.0
    error = float(np.sqrt(np.sum((m - gradient) ** 2)))
    rise = alpha * float(np.sqrt(np.sum(gradient**2))) - 2 * alpha * error - smooth * alpha**2 / 2
    return alpha * m / size, m, rise


def _ascend(mdp: MDP, utility: Utility, iterations: int, initial: Any, direction: Any) -> AscentRun:
    """The one loop: `direction(logits, exact gradient, t)` returns (step, estimate of the gradient, promised rise)."""
    if iterations < 1:
        raise ModelError(f"iterations is {iterations}; it must be at least 1")
    model = mdp.float
    if not model.is_rectangular:
        raise ModelError("ascent in logits takes models whose states have the same number of actions; Frank-Wolfe takes all")
    shape = (model.num_states, model.num_actions)
    utility.check(shape)
    logits = np.zeros(shape) if initial is None else np.asarray(initial, dtype=float)
    if logits.shape != shape or not np.all(np.isfinite(logits)):
        raise ModelError(f"initial must be {shape} finite logits")
    values, norms, errors, promised, record = [], [], [], [], [logits]
    for t in range(iterations + 1):
        policy = arithmetic.softmax(logits)
        gradient = utility_gradient(model, utility, policy, "softmax")
        values.append(float(utility.value(occupancy(model, policy))))
        norms.append(float(np.sqrt(np.sum(gradient**2))))
        if t == iterations:
            break
        step, estimate, rise = direction(logits, gradient, t)
        errors.append(float(np.sqrt(np.sum((estimate - gradient) ** 2))))
        promised.append(rise)
        logits = logits + step
        record.append(logits)
    return AscentRun(np.array(values), np.array(norms), np.array(errors), np.array(promised), np.array(record), model, utility)


def _step(value: Any) -> float:
    from mdps.zoo.registry import number

    size = float(number(value, "step_size"))
    if not (size > 0 and math.isfinite(size)):
        raise ModelError(f"step_size is {value}; it must be a positive number")
    return size
