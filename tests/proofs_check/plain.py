"""The quantities once more, each by the plainest way there is: sums of series, enumeration of policies, derivatives by nilpotent numbers.

Nothing of `proofs_check` or `pgtheory` is used here.  Numbers are floats unless a function says otherwise.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np


class Plain:
    """One model with R policies and everything that a statement may ask of them."""

    def __init__(self, transitions, rewards, discount, mu, rho, policies, other=None, eta=0.2, tau=0.5):
        self.P, self.r, self.g, self.mu, self.rho = transitions, rewards, float(discount), mu, rho
        self.policies, self.other, self.eta, self.tau = policies, other, eta, tau
        self.S, self.A = rewards.shape

    # Series

    @functools.cached_property
    def terms(self) -> int:
        """How many terms leave less than 1e-18 of reward."""
        largest = np.abs(self.r).max() + self.tau * 50
        return 1 if self.g == 0 else math.ceil(math.log(1e-18 * (1 - self.g) / largest) / math.log(self.g))

    def value(self, pi, rewards=None):
        """sum_k gamma^k P_pi^k r_pi."""
        rewards = self.r if rewards is None else rewards
        chain, paid = np.einsum("sa,sau->su", pi, self.P), (pi * rewards).sum(axis=1)
        total, term = np.zeros(self.S), paid
        for _ in range(self.terms):
            total, term = total + term, self.g * chain @ term
        return total

    def visits(self, pi, start):
        """(1 - gamma) sum_k gamma^k start P_pi^k."""
        chain = np.einsum("sa,sau->su", pi, self.P)
        total, term = np.zeros(self.S), np.array(start)
        for _ in range(self.terms):
            total, term = total + term, self.g * term @ chain
        return (1 - self.g) * total

    def action_value(self, pi):
        return self.r + self.g * self.P @ self.value(pi)

    def advantage(self, pi):
        return self.action_value(pi) - self.value(pi)[:, None]

    # The optimum, by enumeration

    @functools.cached_property
    def optimum(self):
        """(V*, an optimal deterministic policy): the best of all A^S."""
        best, chosen = np.full(self.S, -np.inf), None
        for actions in itertools.product(range(self.A), repeat=self.S):
            pi = np.eye(self.A)[list(actions)]
            value = self.value(pi)
            if value.sum() > best.sum() or chosen is None:
                best, chosen = value, pi
        return best, chosen

    # The softmax optimum, by value iteration

    @functools.cached_property
    def soft(self):
        """(V*_tau, Q*_tau, pi*_tau)."""
        value = np.zeros(self.S)
        for _ in range(self.terms):
            q = (self.r + self.g * self.P @ value) / self.tau
            value = self.tau * (q.max(axis=1) + np.log(np.exp(q - q.max(axis=1, keepdims=True)).sum(axis=1)))
        q = self.r + self.g * self.P @ value
        weights = np.exp((q - value[:, None]) / self.tau)
        return value, q, weights / weights.sum(axis=1, keepdims=True)

    def soft_action_value(self, pi):
        return self.r + self.g * self.P @ self.value(pi, self.r - self.tau * np.log(pi))

    # Derivatives of V(mu): one nilpotent direction for gradients, two for curvature

    def derivative(self, pi, parameters):
        """dV(mu)/dpi(a|s) or dV(mu)/dtheta(s,a), (S*A,)."""
        return np.array([directional(self, pi, [(s, a)], parameters) for s in range(self.S) for a in range(self.A)])

    def hessian(self, pi):
        """Second derivatives of V(mu) in the logits, (S*A, S*A)."""
        pairs = list(itertools.product(range(self.S), range(self.A)))
        return np.array([[directional(self, pi, [one, two], "softmax") for two in pairs] for one in pairs])


class Jet:
    """v + x e1 + y e2 + z e1 e2 with e1^2 = e2^2 = 0: first derivatives in x and y, the mixed second one in z.  Any field."""

    __slots__ = ("v", "x", "y", "z")

    def __init__(self, v, x=0, y=0, z=0):
        self.v, self.x, self.y, self.z = v, x, y, z

    def __add__(self, o):
        o = o if isinstance(o, Jet) else Jet(o)
        return Jet(self.v + o.v, self.x + o.x, self.y + o.y, self.z + o.z)

    __radd__ = __add__

    def __neg__(self):
        return Jet(-self.v, -self.x, -self.y, -self.z)

    def __sub__(self, o):
        return self + (-o)

    def __mul__(self, o):
        o = o if isinstance(o, Jet) else Jet(o)
        return Jet(self.v * o.v, self.v * o.x + self.x * o.v, self.v * o.y + self.y * o.v, self.v * o.z + self.x * o.y + self.y * o.x + self.z * o.v)

    __rmul__ = __mul__

    def inverse(self):
        i = 1 / self.v
        return Jet(i, -self.x * i * i, -self.y * i * i, 2 * self.x * self.y * i * i * i - self.z * i * i)

    def __truediv__(self, o):
        return self * o.inverse()


def directional(problem, pi, places, parameters):
    """The derivative of V(mu) in the parameter at the one place, or the mixed derivative in those at two, by elimination over jets.

    problem   has P, r, g, mu, S, A as numbers of any field, and pi too
    """
    S, A = problem.S, problem.A
    policy = [[Jet(pi[s][a]) for a in range(A)] for s in range(S)]
    first = places[0]
    second = places[1] if len(places) > 1 else None
    if parameters == "direct":
        policy[first[0]][first[1]].x = 1
    else:  # theta + e1 + e2: the weights pi exp(e1 + e2) = pi (1 + e1)(1 + e2), normalised
        for s in {first[0], second[0] if second else first[0]}:
            weights = []
            for a in range(A):
                one, two = int((s, a) == first), int((s, a) == second)
                weights.append(Jet(pi[s][a], pi[s][a] * one, pi[s][a] * two, pi[s][a] * one * two))
            total = sum(weights[1:], weights[0])
            policy[s] = [weight / total for weight in weights]
    rows = []
    for s in range(S):
        row = [Jet(1 if s == u else 0) - sum((problem.g * problem.P[s][a][u] * policy[s][a] for a in range(A)), Jet(0)) for u in range(S)]
        rows.append([*row, sum((problem.r[s][a] * policy[s][a] for a in range(A)), Jet(0))])
    for i in range(S):
        rows[i] = [entry / rows[i][i] for entry in rows[i]]
        for k in range(S):
            if k != i:
                factor = rows[k][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    value = sum((problem.mu[s] * rows[s][S] for s in range(S)), Jet(0))
    return value.z if second else value.x
