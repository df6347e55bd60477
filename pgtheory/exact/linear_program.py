"""Discounted optimal values as a linear program, primal and dual, by HiGHS.

    primal   minimise    rho . V          subject to  V(s) >= r(s, a) + gamma sum_s' P(s'|s, a) V(s')  for every pair
    dual     maximise    x . r / (1 - gamma)   subject to  sum_a x(s, a) - gamma sum P(s|s', a') x(s', a') = (1 - gamma) rho(s),  x >= 0

With rho > 0 the primal optimum is V* and the dual optimum is the occupancy of an optimal policy (Puterman 2005, section 6.9; de Ghellinck 1960).
HiGHS stops at a feasibility of 1e-7 or so and proves nothing about V*; `solve(mdp, method="linear")` takes its answer as a start, and the
bounds come from Bellman sweeps as always.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.exact.evaluation import spread

Array = np.ndarray


def primal_values(mdp: MDP) -> Array:
    """(S,) the primal solution, good to the tolerance of HiGHS.

    raises   ModelError: HiGHS gives up (its message is passed on)
    """
    from scipy.optimize import linprog

    scale = _scale(mdp)
    found = linprog(np.ones(mdp.num_states), flow(mdp), -mdp.float.pair_rewards / scale, bounds=(None, None), method="highs")
    return _answer(found) * scale


def dual_occupancy(mdp: MDP, start: Array | None = None) -> Array:
    """(S, A) the dual solution: discounted frequencies of the pairs under an optimal policy, sums to 1 within the tolerance of HiGHS.

    start    (S,) distribution of the first state; the model's own if left out
    raises   ModelError: HiGHS gives up (its message is passed on)
    """
    from scipy.optimize import linprog

    rho = mdp.float.start if start is None else np.asarray(start, dtype=np.float64)
    scale = _scale(mdp)
    found = linprog(-mdp.float.pair_rewards / scale, A_eq=-flow(mdp).T, b_eq=(1 - mdp.float.discount) * rho, bounds=(0, None), method="highs")
    return spread(mdp, np.maximum(_answer(found), 0.0))


def _scale(mdp: MDP) -> float:
    return float(np.max(np.abs(mdp.float.pair_rewards))) or 1.0


def flow(mdp: MDP) -> Any:
    """gamma P - E, pairs by states: rows of the primal inequalities (gamma P - E) V <= -r."""
    from scipy.sparse import csr_array

    model = mdp.float
    states = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    own = csr_array((np.ones(mdp.num_pairs), (np.arange(mdp.num_pairs), states)), shape=(mdp.num_pairs, mdp.num_states))
    return csr_array(model.discount * csr_array(model.choices) - own)


def _answer(found: Any) -> Array:
    if found.x is None:
        raise ModelError(f"HiGHS found no solution of the linear program: {found.message}")
    return np.asarray(found.x)
