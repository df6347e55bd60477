"""The policy gradient of a utility of the occupancy, by the chain rule: the gradient of <d, w> at the frozen reward w = grad F(d).

    direct     dF / dpi(a | s)    = d(s) Q_w(s, a)                    Q_w the action values of the reward w under pi, d normalised to 1
    softmax    dF / dtheta(s, a)  = d(s) pi(a | s) A_w(s, a)

The factor 1 / (1 - gamma) of the policy gradient theorem cancels against 1 - gamma of the normalised occupancy.  Freezing F's own summand instead of
its gradient is wrong; a constant added to w changes nothing in the softmax gradient, nor in the direct one along directions that keep rows summing
to 1.

Domination: F concave and d(s) > 0 give F(d') - F(d) <= |d'/d|_inf max over pibar of <pibar - pi, dF/dpi>: no spurious local optimum.

Smoothness of theta -> F(d): with W the range of w (`slope_range`) and L the smoothness of F,

    L / (4 (1 - gamma)) + W / (2 (1 - gamma)).

The second part is a constant of V for rewards in [0, 1], 1 / (2 (1 - gamma)^2) (docs/theory/softmax_smoothness.md has 7/20 for 1/2), times
W (1 - gamma).  The first is L |J|^2 for J = dd/dtheta: the same page bounds |J' w| by sqrt(E[T + 1] / 2) / 2 times the range of w, E[T + 1] = 1 /
(1 - gamma), and a unit vector w has range at most sqrt 2, so |J|^2 <= 1 / (4 (1 - gamma)).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from pgtheory.exact.evaluation import check_policy, occupancy, spread
from pgtheory.exact.linear import induced, kind, model_like, solve_resolvent
from pgtheory.utility.base import Utility

Array = np.ndarray


def utility_gradient(mdp: MDP, utility: Utility, policy: Array, parametrisation: str = "direct") -> Array:
    """(S, A) gradient of F(d^pi) in the policy's probabilities ("direct") or in its logits ("softmax").

    policy   (S, A) floats; rationals where the gradient of the utility is rational
    raises   ModelError: policy that is none, utility whose arrays do not fit, a gradient that is infinite (an entropy at an unvisited pair)
    """
    if parametrisation not in ("direct", "softmax"):
        raise ModelError(f"parametrisation is {parametrisation!r}; it is direct or softmax.{nearest(parametrisation, ['direct', 'softmax'])}")
    policy = check_policy(mdp, policy)
    utility.check(policy.shape)
    d = occupancy(mdp, policy)
    visits = d.sum(axis=1)[:, None]
    return gradient_of_reward(mdp, _frozen(mdp, utility, d), policy, visits, parametrisation)


def gradient_of_reward(mdp: MDP, reward: Array, policy: Array, visits: Array, parametrisation: str) -> Array:
    """visits Q ("direct") or visits pi (Q - V) ("softmax") for any reward (S, A); visits (S, 1) as they are to be scaled."""
    choices, _, discount, _ = model_like(mdp, kind(policy))
    per_pair = reward[mdp.action_mask]
    P, paid = induced(mdp.first_pair, choices, per_pair, policy[mdp.action_mask])
    V = solve_resolvent(P, discount, paid)
    Q = spread(mdp, per_pair + discount * (choices @ V))
    if parametrisation == "direct":
        return visits * Q
    return visits * policy * (Q - V[:, None])


def softmax_smoothness(mdp: MDP, utility: Utility) -> float:
    """L / (4 (1 - gamma)) + W / (2 (1 - gamma)): a Lipschitz constant of the softmax gradient; infinite where the utility is not smooth."""
    spread = utility.slope_range(utility.size((mdp.num_states, mdp.num_actions)))
    if not (math.isfinite(utility.smoothness) and math.isfinite(spread)):
        return math.inf
    return (utility.smoothness / 2 + spread) / (2 * (1 - float(mdp.discount)))


@dataclasses.dataclass(frozen=True)
class Domination:
    """The two sides of gradient domination at one policy: `short` <= `ratio` * `rise`.

    short   F(d') - F(d);   ratio   |d'/d|_inf;   rise   max over pibar of <pibar - pi, grad>"""

    short: Any
    ratio: Any
    rise: Any

    @property
    def bound(self) -> Any:
        return self.ratio * self.rise


def check_domination(mdp: MDP, utility: Utility, policy: Array, other: Array) -> Domination:
    """How far `policy` is from `other` in utility, and what its gradient promises; ModelError where `policy` misses a state of `other`."""
    policy, other = check_policy(mdp, policy), check_policy(mdp, other)
    d, target = occupancy(mdp, policy), occupancy(mdp, other)
    mass, wanted = d.sum(axis=1), target.sum(axis=1)
    missed = [s for s in range(mdp.num_states) if mass[s] <= 0 and wanted[s] > 0]
    if missed:
        raise ModelError(
            f"the policy never visits {mdp.state_label(missed[0])}, which the other one does: the ratio of their occupancies is infinite"
        )
    ratio = max(wanted[s] / mass[s] for s in range(mdp.num_states) if mass[s] > 0)
    gradient = utility_gradient(mdp, utility, policy)
    rise = sum((max(row[mask]) for row, mask in zip(gradient, mdp.action_mask, strict=True)), gradient[0, 0] * 0) - (policy * gradient).sum()
    return Domination(utility.value(target) - utility.value(d), ratio, rise)


def _frozen(mdp: MDP, utility: Utility, d: Array) -> Array:
    """(S, A) the frozen reward grad F(d), in the arithmetic of d."""
    reward = utility.gradient(d)
    if kind(d) != "float":
        return reward
    mass = d.sum(axis=1)
    reward = np.where((mass[:, None] > 0) | np.isfinite(reward), reward, 0.0)  # nothing of the gradient depends on states that are never reached
    bad = np.argwhere(~np.isfinite(reward) & mdp.action_mask)
    if len(bad):
        s, a = (int(k) for k in bad[0])
        raise ModelError(
            f"the gradient of {utility.name} is {reward[s, a]} at {mdp.state_label(s)}, action {a}, where the occupancy is {d[s, a]:.3g}: "
            "take a policy with all probabilities positive, or a smoothed utility"
        )
    return np.where(mdp.action_mask, reward, 0.0)
