"""Which actions an optimal policy may take, as far as float bounds tell, for reachability and total reward.

If L <= V* <= U then  r + P L <= r + P V* <= r + P U.  An action whose best case, r + P_a U plus rounding, is below L(s) is not optimal (maximising;
mirrored for the minimum).  Every other is kept: optimal actions, exact ties, and those that the bounds cannot tell from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pgtheory.exact.bounds import KAPPA, SECOND_ORDER, TINY, UNIT

Array = np.ndarray


def possibly_optimal_undiscounted(solution: Any) -> Array:
    """(S, A) booleans from a Solution of `reachability` or `total_reward`."""
    mdp, question = solution.mdp, solution.details
    model, goal, sign = mdp.float, question["targets"], 1 if question["direction"] == "max" else -1
    owner = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    paid = np.zeros(mdp.num_pairs)
    if question["criterion"] == "total reward":
        given = model.pair_rewards if question["rewards"] is None else np.asarray(question["rewards"], dtype=np.float64)
        paid = given if given.shape == (mdp.num_pairs,) else given[mdp.action_mask]
    best, least = (solution.upper, solution.lower) if sign > 0 else (-solution.lower, -solution.upper)
    endless = np.isinf(best)
    finite = np.where(endless, 0.0, best)
    rows = model.choices
    ahead = sign * paid + rows @ finite
    longest = mdp.num_states if isinstance(rows, np.ndarray) else int(np.diff(rows.indptr).max())
    defect = float(np.max(np.abs(rows @ np.ones(mdp.num_states) - 1)))
    size, reward = float(np.max(np.abs(finite))), float(np.max(np.abs(paid)))
    slack = (((2 * longest + 6) * UNIT + 4 * KAPPA + 2 * defect) * size + (2 * UNIT + KAPPA) * reward + TINY) * SECOND_ORDER
    touches = rows @ endless.astype(np.float64) > 0
    ahead[touches] = np.where(best[endless][:1] > 0, np.inf, -np.inf) if endless.any() else 0.0
    settled = goal | (~question["through"] if question["criterion"] == "reachability" else False)
    out = np.zeros((mdp.num_states, mdp.num_actions), dtype=bool)
    out[mdp.action_mask] = (ahead + slack >= least[owner]) | settled[owner]
    return out
