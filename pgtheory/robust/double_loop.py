"""Double-loop robust policy gradient (DRPG): nature's projected gradient inside, the agent's outside.  Wang, Ho, Petrik (2023).

    inner      P <- a step within U along -dV^{pi,P}(mu)/dP     until P is eps_t-worst for the present policy (`nature_steps`)
    outer      pi <- project(pi + eta dV^{pi,P}(mu)/dpi)       at the kernel that the inner loop left behind
    tolerance  eps_{t+1} = decay eps_t

The kernel is kept from one outer step to the next.  That it is eps-worst is not hoped for but known: with T^pi the robust backup of the policy,

    0 <= V^{pi,P} - V_rob^pi <= max_s (V^{pi,P} - T^pi V^{pi,P})(s) / (1 - gamma)

because T^pi is a monotone gamma-contraction with fixed point V_rob^pi.  Where the policy hardly comes nature's gradient is small, and the inner loop
slow; after `inner_steps` steps the rows that are still not good enough are answered exactly.  Rate: drpg-outer-rate, with the sum of the tolerances.

`DRPG` has the rectangular sets: L1 balls and total variation around the rows ("sa") or with one budget a state ("s"), by projection, and KL balls
around the rows through the parametric form that their worst rows have, by mirror descent on its exponents.  For "s" the outer gradient is a
supergradient at the worst block, as in `RobustPG`.  `TiltedDRPG` has kernels with a few parameters (`nature.tilted_kernel`), a set that is no
product: nature's gradient is then only known to come to rest, the inner loop ends when the value no longer moves, and no bound is claimed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory import arithmetic
from pgtheory.policies import direct
from pgtheory.policy_gradient.method import NoEnclosure, Setting, check_rectangular, resolved, whole_number
from pgtheory.robust.gradient import RobustMethod
from pgtheory.robust.nature import kernel_gradient, tilted_kernel, tilted_kernel_gradient, worst_kernel
from pgtheory.robust.nature_steps import STEPS

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class DRPG(RobustMethod):
    """The double loop against a rectangular ball (`nature_steps.STEPS`).

    step_size    of the agent, on the full gradient of V(mu);  inner_step  of nature, on the full gradient with respect to the kernel
    tolerance    eps_0, in reward units;  decay  eps_{t+1} / eps_t
    inner_steps  after how many steps of nature what is left is answered exactly
    """

    inner_step: Setting = 0.1
    tolerance: Setting = 1.0
    decay: Setting = 0.95
    inner_steps: Setting = 100
    name = "drpg"
    parameters = "double"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.ambiguity, self.rectangular) not in STEPS:
            known = ", ".join(f"{name} ({kind})" for name, kind in STEPS)
            raise ModelError(f"drpg has no inner loop for {self.ambiguity!r} with rectangular={self.rectangular!r}; it knows {known}")

    @property
    def rational_step(self) -> bool:  # type: ignore[override]
        return False

    # The state (..., S, A + A S + 1): the policy, nature's kernel (-1 before the first step: the nominal one), and decay^t

    def policy_of(self, params: Any) -> Array:
        params = np.asarray(params)
        return params[..., : _actions(params)]

    def params_of(self, policy: Any) -> Array:
        policy = np.asarray(policy)
        if policy.dtype == object:
            raise NoEnclosure("nature's projection is found numerically, in float64")
        states, actions = policy.shape[-2:]
        kernel = np.full((*policy.shape[:-1], actions * states), -1.0)
        return np.concatenate([direct.params_of(policy), kernel, np.ones((*policy.shape[:-1], 1))], axis=-1)

    def start(self, mdp: MDP) -> Array:
        check_rectangular(mdp)
        return self.params_of(np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions))

    def kernel_of(self, params: Any) -> Array:
        """Nature's kernel (..., S, A, S') in a state after at least one step."""
        params = np.asarray(params)
        actions = _actions(params)
        return params[..., actions:-1].reshape(*params.shape[:-1], actions, params.shape[-2])

    def plain_step(self, state: Array, transitions: Array, rewards: Array, discount: Any, start: Array, *settings: Any) -> Array:  # type: ignore[override]
        """One outer step with the inner loop that it needs."""
        if arithmetic.kind(state) != "float" or arithmetic.kind(rewards) != "float":
            raise NoEnclosure("nature's projection is found numerically, in float64")
        step_size, radius, inner_step, tolerance, decay, inner_steps = settings
        policy, kernels, factor = self.policy_of(state), self.kernel_of(state), state[..., -1:]
        kernels = np.where(kernels < 0, transitions, kernels)
        radius = np.broadcast_to(radius, rewards.shape if self.rectangular == "sa" else (*rewards.shape[:-1], 1))
        most = whole_number(float(np.max(inner_steps)), "inner_steps")
        kernels = self._inner(policy, kernels, transitions, rewards, discount, start, radius, inner_step, (tolerance * factor)[..., 0, 0], most)
        values, visits = arithmetic.policy_values_and_visits(policy, kernels, rewards, discount, start)
        ahead = arithmetic.lookahead(kernels, rewards, discount, values)
        policy = arithmetic.project_simplex(policy + step_size * visits[..., None] * ahead)
        return np.concatenate([policy, kernels.reshape(*policy.shape[:-1], -1), factor * decay], axis=-1)

    def _inner(
        self,
        policy: Array,
        kernels: Array,
        nominal: Array,
        rewards: Array,
        discount: Any,
        start: Array,
        radius: Array,
        step: Any,
        eps: Any,
        most: int,
    ) -> Array:
        """Kernels that are eps-worst for the policy, in every state; models of a batch that are done wait for the others."""
        batch = policy.shape[:-2]
        parts = [np.broadcast_to(x, (*batch, *np.shape(x)[-k:])) for x, k in ((policy, 2), (nominal, 3), (rewards, 2), (start, 1), (radius, 2))]
        numbers = [np.broadcast_to(x, (*batch, 1, 1)) for x in (discount, step)]
        policy, nominal, rewards, start, radius, discount, step = (x.reshape(-1, *x.shape[len(batch) :]) for x in (*parts, *numbers))
        eps, kernels = np.broadcast_to(eps, batch).reshape(-1), kernels.reshape(-1, *kernels.shape[len(batch) :]).copy()
        waiting = np.arange(len(kernels))
        for k in range(most + 1):
            pi, rows, P, r, gamma = policy[waiting], kernels[waiting], nominal[waiting], rewards[waiting], discount[waiting]
            answer = self.answer(radius[waiting], r)
            values = arithmetic.policy_values(pi, rows, r, gamma)
            open_ = excess(pi, rows, P, values, gamma, answer) > eps[waiting]
            waiting = waiting[open_]
            if not waiting.size:
                break
            pi, rows, P, r, gamma = (x[open_] for x in (pi, rows, P, r, gamma))
            if k == most:
                kernels[waiting] = worst_kernel(pi, P, r, gamma, self.answer(radius[waiting], r))[1]
                break
            slopes = kernel_gradient(pi, rows, r, gamma, start[waiting])
            kernels[waiting] = STEPS[self.ambiguity, self.rectangular](rows, step[waiting][..., None] * slopes, P, radius[waiting])
        return kernels.reshape(*batch, *kernels.shape[1:])


def _actions(params: Array) -> int:
    states, width = params.shape[-2:]
    return (width - 1) // (1 + states)


def excess(policy: Array, kernels: Array, nominal: Array, values: Array, discount: Any, answer: Any) -> Any:
    """By how much V^{pi,P} can lie above V_rob^pi, (...): the largest fall of a robust backup over 1 - gamma."""
    other = answer(policy, nominal, values)
    fall = (policy * (arithmetic.expect(kernels, values) - arithmetic.expect(other, values))).sum(axis=-1).max(axis=-1)
    gamma = discount[..., 0, 0] if isinstance(discount, np.ndarray) and discount.ndim else discount
    return gamma * fall / (1 - gamma)


@dataclasses.dataclass(frozen=True)
class TiltedDRPG:
    """The double loop against kernels P ~ nominal exp(theta . f(s') / (weights . g(s, a))); theta and weights within L1 balls around their centres.

    state_features (n, S), pair_features (m, S, A); centres theta (n,), weights (m,); radii one number each; weights stay at least `least`
    stop           the inner loop ends when a step changes V(mu) by less, or after inner_steps
    paid           (S, A, S') rewards that transitions pay beside those of the model, or None
    The state is (policy, theta, weights).
    """

    step_size: float
    inner_step: float
    state_features: Array
    pair_features: Array
    theta: Array
    weights: Array
    theta_radius: float
    weights_radius: float
    least: float = 1e-5
    stop: float = 1e-4
    inner_steps: int = 1000
    paid: Any = None
    name = "tilted-drpg"

    def start(self, mdp: MDP) -> tuple[Array, Array, Array]:
        check_rectangular(mdp)
        for what in ("step_size", "inner_step", "theta_radius", "weights_radius", "stop"):
            resolved(what, getattr(self, what), mdp)
        if np.shape(self.state_features)[1:] != (mdp.num_states,) or np.shape(self.pair_features)[1:] != (mdp.num_states, mdp.num_actions):
            raise ModelError(f"features have shapes {np.shape(self.state_features)} and {np.shape(self.pair_features)}; see TiltedDRPG")
        return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions), np.array(self.theta, float), np.array(self.weights, float)

    def kernel(self, mdp: MDP, theta: Array, weights: Array) -> Array:
        """The kernel (S, A, S') of these parameters."""
        return tilted_kernel(mdp.transitions, self.state_features, self.pair_features, theta, weights)

    def means(self, mdp: MDP, rows: Array) -> Array:
        """Expected rewards (S, A) in a kernel."""
        return mdp.rewards if self.paid is None else mdp.rewards + (rows * self.paid).sum(axis=-1)

    def worst(self, mdp: MDP, policy: Array, theta: Array, weights: Array) -> tuple[Array, Array, float]:
        """Nature's parameters after its projected gradient descent from the given ones, and V(mu) there: a stationary point, the best one passed."""
        best = (np.inf, theta, weights)
        before = np.inf
        for _ in range(self.inner_steps):
            rows = self.kernel(mdp, theta, weights)
            value = float(mdp.start @ arithmetic.policy_values(policy, rows, self.means(mdp, rows), mdp.discount))
            if value < best[0]:
                best = (value, theta, weights)
            if abs(before - value) <= self.stop:
                break
            before = value
            slopes = kernel_gradient(policy, rows, mdp.rewards, mdp.discount, mdp.start, self.paid)
            by_theta, by_weights = tilted_kernel_gradient(rows, self.state_features, self.pair_features, theta, weights, slopes)
            theta = project_l1_ball(theta - self.inner_step * by_theta, np.asarray(self.theta, float), self.theta_radius)
            weights = project_l1_ball(weights - self.inner_step * by_weights, np.asarray(self.weights, float), self.weights_radius)
            weights = np.maximum(weights, self.least)
        return best[1], best[2], best[0]

    def step(self, state: tuple[Array, Array, Array], mdp: MDP) -> tuple[Array, Array, Array]:
        policy, theta, weights = state
        theta, weights, _ = self.worst(mdp, policy, theta, weights)
        rows = self.kernel(mdp, theta, weights)
        means = self.means(mdp, rows)
        values, visits = arithmetic.policy_values_and_visits(policy, rows, means, mdp.discount, mdp.start)
        ahead = arithmetic.lookahead(rows, means, mdp.discount, values)
        return arithmetic.project_simplex(policy + self.step_size * visits[:, None] * ahead), theta, weights

    def policy(self, state: tuple[Array, Array, Array]) -> Array:
        return state[0]


def project_l1_ball(point: Array, centre: Array, radius: float) -> Array:
    """The nearest point (n,) with |x - centre|_1 <= radius."""
    away = point - centre
    size = np.abs(away)
    if size.sum() <= radius:
        return point
    return centre + np.sign(away) * radius * arithmetic.project_simplex(size / radius) if radius > 0 else centre
