"""The exact figures of one model, in the order in which the JSON file holds them.

    model      transitions (S, A, S'), rewards (S, A), discount, start (S,); `exists` (S, A): an action that a state does not have is a row of zeros
    optimal    V*, Q*, one optimal action a state, all of them, E_rho V*;  policy iteration in rationals, with its certificate checked
    uniform    the policy with equal probabilities: V, Q, A = Q - V, occupancy d(s, a) (sums to 1), E_rho V, and
                   d E_rho V / d theta(s, a) = d(s, a) A(s, a) / (1 - gamma)        softmax logits theta = 0
                   d E_rho V / d pi(a | s)   = d(s) Q(s, a) / (1 - gamma)           the probabilities themselves
    robust     max_pi min over models of V where nature picks the law of the next state, anew for each pair (s, a), over all states, from
                   contamination e:  (1 - e) P(. | s, a) + e q, any q               l1 c:  |q - P(. | s, a)|_1 <= c
    nested     V = max_a r + gamma CVaR_alpha of V at the next state;  CVaR_alpha is the mean of the worst fraction alpha
    static     the best CVaR_alpha of the whole discounted return over policies that may look at the history, and whether it is exact: only for
               models whose rewards end after a few steps

All numbers are text, "3/10" or "-2"; Puterman (2005), Iyengar (2005), Ruszczynski (2010), Baeuerle and Ott (2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.rational import rational

Array = np.ndarray
SCHEMA = "pgtheory-reference-1"
SETS = ("contamination:1/10", "l1:1/5")
LEVEL = "1/2"
STATIC_HORIZON = 5
"""Steps after which a return must be known for its static CVaR to be given; five list the paths of every model here quickly."""
MOST_STATES = 64
"""Rationals of the uniform policy have some digits for each state: above this the file would be unreadable, and slow to compute."""


def compute(model: str | MDP) -> dict[str, Any]:
    """The reference figures of a model, ready for JSON.

    model    a zoo expression such as "chain(3)", gym:ID, a file name; or an MDP
    returns  the object that the files hold: text for numbers, nested lists for arrays
    raises   ModelError: no such model, more than 64 states
    """
    name, mdp = _named(model)
    if mdp.num_states > MOST_STATES:
        raise ModelError(f"{name} has {mdp.num_states} states; exact reference values are for models of up to {MOST_STATES}")
    exact = mdp.exact
    figures = {
        "schema": SCHEMA,
        "model": name,
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        "discount": exact.discount,
        "start": exact.start,
        "exists": mdp.action_mask.tolist(),
        "transitions": exact.transitions,
        "rewards": exact.rewards,
        "optimal": _optimal(mdp),
        "uniform": _uniform(mdp),
        "robust": {text: _robust(mdp, text) for text in SETS},
        "nested": {f"cvar:{LEVEL}": _nested(mdp)},
        "static": _static(mdp),
    }
    return {key: _text(value) for key, value in figures.items()}


def _named(model: str | MDP) -> tuple[str, MDP]:
    if isinstance(model, MDP):
        return model.name or "model", model
    from mdps.io import load_model

    return model, load_model(model)


def _optimal(mdp: MDP) -> dict[str, Any]:
    import pgtheory

    best = pgtheory.solve_exactly(mdp)
    return {
        "values": best.values,
        "action_values": pgtheory.action_values(mdp, values=best.values),
        "policy": [int(a) for a in best.actions],
        "all_actions": [[int(a) for a in np.flatnonzero(row)] for row in best.optimal_actions],
        "value": (mdp.exact.start * best.values).sum(),
    }


def _uniform(mdp: MDP) -> dict[str, Any]:
    import pgtheory

    counts = mdp.action_mask.sum(axis=1)
    policy: Array = np.array([[rational(int(here)) / int(n) for here in row] for row, n in zip(mdp.action_mask, counts)], dtype=object)
    values, action_values = pgtheory.state_values(mdp, policy), pgtheory.action_values(mdp, policy)
    advantages, occupancy = pgtheory.advantages(mdp, policy), pgtheory.occupancy(mdp, policy)
    effective_horizon = 1 / (1 - mdp.exact.discount)
    return {
        "policy": policy,
        "values": values,
        "action_values": action_values,
        "advantages": advantages,
        "occupancy": occupancy,
        "value": (mdp.exact.start * values).sum(),
        "softmax_gradient": effective_horizon * occupancy * advantages,
        "direct_gradient": effective_horizon * occupancy.sum(axis=1)[:, None] * action_values,
    }


def _robust(mdp: MDP, text: str) -> dict[str, Any]:
    from mdps.ambiguity import read_ambiguity
    from mdps.robust import RobustMDP
    from pgtheory.robust import solve_robust_exactly

    found = solve_robust_exactly(RobustMDP(mdp, read_ambiguity(text, mdp.num_states)))
    return {"values": found.values, "policy": found.policy, "value": (mdp.exact.start * found.values).sum()}


def _nested(mdp: MDP) -> dict[str, Any]:
    from pgtheory.risk.nested import solve_nested_exactly

    found = solve_nested_exactly(mdp, f"cvar:{LEVEL}")
    assert found.actions is not None  # it is, where no policy was given
    return {"values": found.values, "policy": [int(a) for a in found.actions], "value": (mdp.exact.start * found.values).sum()}


def _static(mdp: MDP) -> dict[str, Any]:
    """{} where the return is not known after `STATIC_HORIZON` steps, or where too many returns are possible."""
    from pgtheory.risk.static_cvar import solve_static

    try:
        found = solve_static(mdp, f"cvar:{LEVEL}", horizon=STATIC_HORIZON)
    except ModelError:
        return {}
    return {f"cvar:{LEVEL}": {"value": found.value}} if found.lower == found.upper else {}


def _text(value: Any) -> Any:
    """Exact numbers as text, arrays as nested lists; counts, indices and truth values stay what they are."""
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _text(value.tolist())
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value if isinstance(value, bool | int) else str(value)
