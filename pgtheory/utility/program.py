"""The optimum of a utility over all occupancies, by a conic program (cvxpy, Clarabel), with a certificate that does not trust it.

The program's answer x gives a policy pi(a | s) = x(s, a) / x(s).  Two figures are then computed from scratch:

    value     F of the occupancy of pi, by a linear solve: attained, whatever the program's tolerance was
    upper     c + (1 - gamma) V*_g(rho) from the tangent (c, g) of F at x; V*_g by `pgtheory.solve` with proved bounds (Frank-Wolfe duality)

so value <= max F <= upper, and `gap` is what is left open; Newton steps (`polish`) make it small where F is smooth.  Where F has corners the tangent
comes from the program's multipliers.  F itself is evaluated in float64; the bounds hold up to its rounding, some units in the last place of the
largest term.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import occupancy
from pgtheory.utility.base import Utility

Array = np.ndarray
UNSEEN = 1e-13
"""A state with less mass than this in the program's answer takes the uniform row: nothing of the value hangs on it."""
NOISE = (0.0, 1e-9, 1e-7)
"""An interior-point answer is never exactly 0: entries up to each of these are tried as 0, and the smallest certified gap wins."""


@dataclasses.dataclass(frozen=True)
class UtilitySolution:
    """A policy with its utility, and what no policy can exceed.

    value       F of `occupancy`
    upper       no occupancy has more
    occupancy   (S, A) of `policy`, sums to 1
    policy      (S, A), stationary
    reward      (S, A) the frozen reward of the certificate: `policy` is nearly optimal for it
    """

    value: float
    upper: float
    occupancy: Array
    policy: Array
    reward: Array
    method: str
    iterations: int
    utility: Utility = dataclasses.field(repr=False)
    mdp: MDP = dataclasses.field(repr=False)

    @property
    def gap(self) -> float:
        """upper - value: how far from optimal the policy can be at most; rounding may leave it below 0."""
        return self.upper - self.value


def solve_utility(mdp: MDP, utility: Utility, tolerance: float = 1e-9, check: bool = True) -> UtilitySolution:
    """The best stationary policy for a concave utility, from the model's start distribution.

    tolerance   of the conic solver (its own, relative); what was reached is in `gap`
    check       look for a violation of concavity first, for a user's function
    raises      ModelError: arrays that do not fit, a function that is not concave, a utility without conic form, a solver that gives up
    """
    from pgtheory.utility.user import check_concave, holds_user_function

    model = mdp.float
    shape = (model.num_states, model.num_actions)
    utility.check(shape)
    if check and holds_user_function(utility):
        check_concave(utility, model)
    import cvxpy as cp

    from pgtheory.utility.polish import polish

    x = cp.Variable(int(np.prod(shape)), nonneg=True)
    looked = x if utility.over == "pairs" else state_sums(shape) @ x
    found = utility.program(cp, looked)
    problem = cp.Problem(cp.Maximize(found.expression), [*_flow(model, x), *found.constraints])
    _solve(problem, utility, tolerance)
    answer = np.asarray(x.value).reshape(shape)
    slope = None if found.slope is None else found.slope()
    steps = int(problem.solver_stats.num_iters or 0)
    tried: list[UtilitySolution] = []
    for noise in NOISE:
        policy = policy_of(model, np.where(answer > noise, answer, 0.0))
        if not tried or np.any(policy != tried[-1].policy):
            tried.append(certified(model, utility, policy, slope, "conic program (Clarabel)", steps))
    best = min(tried, key=lambda one: one.gap)
    return best if slope is not None else polish(model, utility, best, tolerance)


def certified(mdp: MDP, utility: Utility, policy: Array, slope: Array | None = None, method: str = "given", iterations: int = 0) -> UtilitySolution:
    """The utility of a policy and a proved upper bound on that of any, from the tangent there (or from the supergradient `slope` (n,))."""
    d = occupancy(mdp, policy)
    constant, reward = utility.tangent(d, slope)
    return UtilitySolution(utility.value(d), constant + best_linear(mdp, reward)[1], d, policy, reward, method, iterations, utility, mdp)


def best_linear(mdp: MDP, reward: Array) -> tuple[Array, float]:
    """(policy, upper) for the ordinary problem max <d, reward>: a greedy policy (S, A), and a proved upper bound, (1 - gamma) V*(rho) rounded up."""
    from pgtheory.exact import solve

    scale = max(1.0, float(np.max(np.abs(reward))))
    best = solve(mdp.replace(rewards=np.asarray(reward, dtype=float)), tol=1e-11 * scale, on_limit="return")
    return best.policy, (1 - mdp.discount) * math.fsum(mdp.start * best.upper)


def policy_of(mdp: MDP, table: Array) -> Array:
    """pi(a | s) = x(s, a) / x(s): the stationary policy whose occupancy is x, where x is one; the uniform row where x does not come."""
    mass = table.sum(axis=1, keepdims=True)
    even = mdp.action_mask / mdp.action_mask.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        policy = np.where(mass > UNSEEN, table / mass, even)
    return policy / policy.sum(axis=1, keepdims=True)


def state_sums(shape: tuple[int, int]) -> Any:
    """(S, S * A) sums over the actions of a state."""
    from scipy.sparse import csr_array

    states, actions = shape
    return csr_array((np.ones(states * actions), (np.repeat(np.arange(states), actions), np.arange(states * actions))))


def balance_of(mdp: MDP) -> tuple[Any, Array]:
    """(B, b) with B d = b for the occupancies d (pairs,): sum_a d(s, a) - gamma sum P d = (1 - gamma) rho(s); B sparse (S, pairs)."""
    from scipy.sparse import csr_array

    pairs = mdp.num_pairs
    states = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    own = csr_array((np.ones(pairs), (np.arange(pairs), states)), shape=(pairs, mdp.num_states))
    return csr_array((own - mdp.discount * csr_array(mdp.choices)).T), (1 - mdp.discount) * mdp.start


def _flow(mdp: MDP, x: Any) -> list[Any]:
    """The constraints of an occupancy on the flattened (S * A,) variable; pairs that do not exist are 0."""
    mask = mdp.action_mask.reshape(-1)
    balance, right = balance_of(mdp)
    if mdp.is_rectangular:
        return [balance @ x == right]
    return [balance @ x[np.flatnonzero(mask)] == right, x[np.flatnonzero(~mask)] == 0]


def _solve(problem: Any, utility: Utility, tolerance: float) -> None:
    """Runs Clarabel; a looser tolerance where the tight one is out of reach.  ModelError where it gives up."""
    import warnings

    import cvxpy as cp

    if not problem.is_dcp():
        raise ModelError(f"the conic form of the utility {utility.name} is not concave by the rules of cvxpy: {problem.objective}")
    for wanted in (tolerance, 1e2 * tolerance, 1e4 * tolerance):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                problem.solve(solver=cp.CLARABEL, tol_gap_abs=wanted, tol_gap_rel=wanted, tol_feas=wanted)
            except cp.error.SolverError:
                continue
        if problem.status in ("optimal", "optimal_inaccurate"):
            return
        if problem.status in ("infeasible", "unbounded"):
            break
    if problem.status == "infeasible":
        raise ModelError(f"no policy has a finite utility {utility.name}: it is minus infinity for every occupancy of this model")
    raise ModelError(f"the conic solver stopped without an answer ({problem.status}); Frank-Wolfe (pgtheory.utility.frank_wolfe) needs none")
