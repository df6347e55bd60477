"""What a policy is worth against the worst model of the set: V = min over P of V^{pi,P}, the fixed point of T^pi.

For a given policy nature faces an ordinary MDP whose actions are the rows of the set.  **Nature's policy iteration**: take the kernel that is worst
for the present V, solve V = r_pi + gamma P_pi V, repeat.  V falls, and stands still exactly at the worst case: for sets with flat sides after
finitely many rounds (exactly, in rationals), for the others quadratically.  One application of T^pi then proves bounds, rounding included
(`operator`):

    T^pi V + gamma / (1 - gamma) min (T^pi V - V)  <=  V_rob^pi  <=  T^pi V + gamma / (1 - gamma) max (T^pi V - V)

A set of whole kernels (`FiniteSet(..., rectangular="none")`) has no such equation; `evaluate_static` takes the worst of its members for one start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.robust import RobustMDP
from pgtheory import arithmetic
from pgtheory.exact.evaluation import check_policy, spread
from pgtheory.exact.linear import induced, solve_resolvent
from pgtheory.robust.operator import Operator, Step

Array = np.ndarray
ROUNDS = 200
"""Rounds of nature's policy iteration; a handful is the rule."""
NEWTON = 24
"""Newton steps in balls: with the kernel of the float midpoints each gains some fifteen digits, or the precision ends it."""


@dataclass(frozen=True)
class RobustEvaluation:
    """The worst case of one policy.

    values          (S,) midpoint of the bounds (exact: the value)
    lower, upper    (S,) lower <= V_rob^pi <= upper, rounding included
    kernel          (S, A, S') nature's answer; rewards (S, A) what is paid in the worst case
    iterations      kernels that nature tried
    """

    values: Array
    lower: Array
    upper: Array
    kernel: Array = field(repr=False)
    rewards: Array = field(repr=False)
    iterations: int


def evaluate_robustly(robust: RobustMDP, policy: Array) -> RobustEvaluation:
    """The worst-case value of `policy` (S, A) with bounds; a policy in rationals: exactly, for sets with flat sides.

    raises   ModelError: a row of `policy` is no distribution; a set that is not rectangular; rationals with curved sides
    """
    policy = check_policy(robust.nominal, policy)
    exact = policy.dtype == object
    operator = Operator(robust, exact)
    weights = policy[robust.nominal.action_mask]
    values, step, rounds = settle(operator, weights)
    lower, upper = (values, values) if exact else operator.enclosure(values, step)
    middle = values if exact else lower + (upper - lower) / 2
    kernel = step.kernel if step.kernel is not None else operator.rows
    return RobustEvaluation(middle, lower, upper, kernel_array(robust, kernel), spread(robust.nominal, step.paid), rounds)


def settle(operator: Operator, weights: Array, start: Array | None = None) -> tuple[Array, Step, int]:
    """(V, T^pi V with nature's answer, rounds): nature's policy iteration for the policy `weights` (pairs,)."""
    values = start
    if values is None:
        P, r = induced(operator.first, operator.rows, operator.rewards, weights)
        values = solve_resolvent(P, operator.discount, r)
    step = operator.respond(values, weights)
    smallest = np.inf
    for rounds in range(1, ROUNDS + 1):
        P, r = induced(operator.first, step.kernel, step.paid, weights)
        following = solve_resolvent(P, operator.discount, r)
        answer = operator.respond(following, weights)
        if operator.exact:
            if all(a == b for a, b in zip(answer.below, following, strict=True)):
                return following, answer, rounds
        else:
            residual = float(np.abs(answer.below - following).max())
            noise = operator.epsilon(following)
            if residual <= noise or (residual >= smallest / 2 and rounds > 3):
                return following, answer, rounds
            smallest = min(smallest, residual)
        values, step = following, answer
    if operator.exact:
        raise ArithmeticError(f"nature found better kernels {ROUNDS} times")  # pragma: no cover - there are finitely many corners
    return values, step, ROUNDS


def robust_values(robust: RobustMDP, policy: Array) -> Array:
    """V_rob^pi (S,) in the arithmetic of the policy: float64, rationals (flat sets), or balls that contain it ((s, a)-rectangular sets).

    Balls: V from the rational midpoint of the policy, then |V_rob^pi - V| <= |T^pi V - V|_inf / (1 - gamma) with T^pi V in balls."""
    if arithmetic.kind(np.asarray(policy)) != "ball":
        return evaluate_robustly(robust, policy).values
    return _enclosed_values(robust, np.asarray(policy))


def _enclosed_values(robust: RobustMDP, policy: Array) -> Array:
    from flint import arb

    from pgtheory.robust.worst_case import worst_case

    if robust.rectangular != "sa":
        raise ModelError("balls around the values of a policy need an (s, a)-rectangular set; use rationals for the others")
    if robust.transition_rewards is not None:
        raise ModelError("balls around the values of a policy take no rewards paid on arrival; use rationals")
    exact = robust.nominal.exact
    centre = np.array([[float(x.mid()) for x in row] for row in policy])
    values = arithmetic.balls(evaluate_robustly(robust, centre / centre.sum(axis=1, keepdims=True)).values)
    rewards = arithmetic.balls(exact.rewards)
    if robust.reward_set is not None:
        rewards = rewards - arithmetic.balls(robust.reward_set.radii(robust.nominal, exact=True))  # type: ignore[attr-defined]
    discount = arb(exact.discount)
    for _ in range(NEWTON):
        sigma, kernel = worst_case(robust, values)
        residual = (policy * (rewards + discount * sigma)).sum(axis=1) - values
        size = max((abs(x).upper() for x in residual), key=float)
        if not size > arb(2) ** (16 - arithmetic.ctx.prec):
            break
        matrix = arithmetic.identity(robust.num_states, policy) - (policy[..., None] * kernel).sum(axis=1) * discount
        values = arithmetic.midpoint(values + arithmetic.solve(arithmetic.midpoint(matrix), arithmetic.midpoint(residual)))
    sigma, _ = worst_case(robust, values)
    after = (policy * (rewards + discount * sigma)).sum(axis=1)
    size = max((abs(x - y).upper() for x, y in zip(after, values, strict=True)), key=float)
    return np.array([x + arb(0, 1) * (discount * size / (1 - discount)) for x in after], dtype=object)


def kernel_array(robust: RobustMDP, rows: Array) -> Array:
    """(pairs, S) rows as (S, A, S'), 0 for actions that a state does not have."""
    mask = robust.nominal.action_mask
    if mask.all():
        return rows.reshape(*mask.shape, rows.shape[-1])
    out = np.empty((*mask.shape, rows.shape[-1]), dtype=rows.dtype)
    out[...] = rows[0, 0] * 0
    out[mask] = rows
    return out


def worst_kernel(robust: RobustMDP, policy: Array) -> Array:
    """A kernel (S, A, S') of the set under which `policy` is worth V_rob^pi in every state."""
    return evaluate_robustly(robust, policy).kernel


def evaluate_static(robust: RobustMDP, policy: Array, start: Any = None) -> tuple[Any, int, Array]:
    """The worst of finitely many whole kernels for one start: (value from the start, number of the kernel, its values (S,)).

    start    (S,) distribution; the model's own if left out
    """
    ambiguity = robust.transition_set
    if ambiguity is None or ambiguity.name != "finite":
        raise ModelError("evaluate_static takes a FiniteSet of kernels")
    policy = check_policy(robust.nominal, policy)
    exact = policy.dtype == object
    nominal = robust.nominal.exact if exact else robust.nominal
    mu = nominal.start if start is None else np.asarray(start)
    best: tuple[Any, int, Array] | None = None
    weights = policy[nominal.action_mask]
    for k, kernel in enumerate(ambiguity.matrices(exact)):  # type: ignore[attr-defined]
        P, r = induced(nominal.first_pair, kernel[nominal.action_mask], nominal.pair_rewards, weights)
        values = solve_resolvent(P, nominal.discount, r)
        value = (mu * values).sum()
        if best is None or value < best[0]:
            best = value, k, values
    assert best is not None
    return best
