"""The array conventions of other Python libraries: the MDP toolbox and QuantEcon.

    mdptoolbox    transitions (A, S, S), dense or a list of A sparse matrices; rewards (S, A), (S,), (A, S, S) or a list of A sparse (S, S)
    QuantEcon     product form: R (S, A) with -inf where an action does not exist, Q (S, A, S), beta
                  state-action form: R (L,), Q (L, S) dense or sparse, beta, s_indices (L,), a_indices (L,)

`quantecon.markov.DiscreteDP(*to_quantecon(mdp))` and `mdptoolbox.mdp.ValueIteration(*to_mdptoolbox(mdp), mdp.discount)` take what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.model import MDP

Array = np.ndarray


def from_mdptoolbox(transitions: Any, rewards: Any, discount: Any, start: Any = None) -> MDP:
    """The model of the MDP toolbox's arrays: row a of `transitions` is the (S, S) matrix of action a."""
    matrices = list(transitions)
    if not matrices:
        raise ModelError("transitions has no action; the toolbox wants (A, S, S)")
    states = int(np.shape(matrices[0])[0])
    for a, matrix in enumerate(matrices):
        if np.shape(matrix) != (states, states):
            raise ModelError(f"transitions[{a}] (action {a}) has shape {np.shape(matrix)}; the first action's is {(states, states)}")
    actions = len(matrices)
    if any(hasattr(matrix, "tocsr") for matrix in matrices):
        from scipy.sparse import csr_array, vstack

        stacked = vstack([csr_array(matrix) for matrix in matrices], format="csr")
        choices: Any = csr_array(stacked[np.arange(actions * states).reshape(actions, states).T.reshape(-1)])
    else:
        choices = np.asarray(matrices).transpose(1, 0, 2)
    return MDP(choices, _toolbox_rewards(rewards, matrices, states, actions), discount, start)


def to_mdptoolbox(mdp: MDP, sparse: bool | None = None) -> tuple[Any, Array]:
    """(transitions (A, S, S), rewards (S, A)) in floats; the start distribution has no place there.

    sparse   a list of A csr matrices instead; by default as the model is stored
    raises   ModelError: states have different numbers of actions
    """
    if not mdp.is_rectangular:
        raise ModelError("the MDP toolbox wants the same number of actions in every state; this model's differ")
    mdp = mdp.float
    sparse = mdp.is_sparse if sparse is None else sparse
    if not sparse:
        return np.ascontiguousarray(mdp.transitions.transpose(1, 0, 2)), np.array(mdp.rewards)
    from scipy.sparse import csr_matrix

    choices = csr_matrix(mdp.choices)
    return [choices[a :: mdp.num_actions] for a in range(mdp.num_actions)], np.array(mdp.rewards)


def _toolbox_rewards(rewards: Any, matrices: list[Any], states: int, actions: int) -> Any:
    """(S, A) from the toolbox's three shapes."""
    per_action = isinstance(rewards, list | tuple) and any(hasattr(matrix, "tocsr") for matrix in rewards)
    if per_action or np.shape(rewards) == (actions, states, states):
        if len(rewards) != actions:
            raise ModelError(f"rewards lists {len(rewards)} matrices for {actions} actions")
        return np.stack([_row_means(matrix, paid) for matrix, paid in zip(matrices, rewards, strict=True)], axis=1)
    return rewards


def _row_means(matrix: Any, paid: Any) -> Array:
    if hasattr(matrix, "tocsr") or hasattr(paid, "tocsr"):
        from scipy.sparse import csr_array

        return np.asarray(csr_array(matrix).multiply(csr_array(paid)).sum(axis=1)).reshape(-1)
    return np.asarray((np.asarray(matrix) * np.asarray(paid)).sum(axis=1))


def from_quantecon(
    rewards: Any, transitions: Any = None, discount: Any = None, s_indices: Any = None, a_indices: Any = None, *, start: Any = None
) -> MDP:
    """The model of a `quantecon.markov.DiscreteDP`, given as the object or as its arrays (R, Q, beta, s_indices, a_indices).

    Actions that do not exist (reward -inf) are left out: action k of a state is its k-th feasible one.
    raises   ModelError: a state without a feasible action, shapes that do not fit
    """
    if hasattr(rewards, "R") and hasattr(rewards, "Q"):
        ddp = rewards
        rewards, transitions, discount = ddp.R, ddp.Q, ddp.beta
        s_indices, a_indices = getattr(ddp, "s_indices", None), getattr(ddp, "a_indices", None)
    if transitions is None or discount is None:
        raise ModelError("give R, Q and beta, or a DiscreteDP")
    if s_indices is None:
        paid = np.asarray(rewards)
        if paid.ndim != 2 or np.shape(transitions) != (*paid.shape, paid.shape[0]):
            raise ModelError(f"R has shape {paid.shape}, Q {np.shape(transitions)}; the product form wants (S, A) and (S, A, S)")
        states, actions = np.indices(paid.shape).reshape(2, -1)
        flat, rows = paid.reshape(-1), np.asarray(transitions).reshape(paid.size, paid.shape[0])
    else:
        flat, rows = np.asarray(rewards), transitions
        states, actions = np.asarray(s_indices), np.asarray(a_indices)
        if flat.ndim != 1 or not flat.shape == states.shape == actions.shape or np.shape(rows)[:1] != flat.shape:
            raise ModelError(f"R {flat.shape}, Q {np.shape(rows)}, s_indices {states.shape} and a_indices {actions.shape} do not fit together")
    kept = np.flatnonzero(flat != -np.inf) if flat.dtype != object else np.arange(flat.size)
    kept = kept[np.lexsort((actions[kept], states[kept]))]
    double = np.flatnonzero((np.diff(states[kept]) == 0) & (np.diff(actions[kept]) == 0))
    if double.size:
        raise ModelError(f"state {states[kept[double[0]]]}, action {actions[kept[double[0]]]} is listed twice")
    num_states = int(np.shape(rows)[1])
    if states.size and (states.min() < 0 or states.max() >= num_states):
        raise ModelError(f"s_indices go from {states.min()} to {states.max()}; there are {num_states} states")
    first_pair = np.searchsorted(states[kept], np.arange(num_states + 1))
    rows = rows.tocsr() if hasattr(rows, "tocsr") else np.asarray(rows)
    return MDP.from_choices(first_pair, rows[kept], flat[kept], discount, start)


def to_quantecon(mdp: MDP, form: str = "auto") -> tuple[Any, ...]:
    """The arguments of `quantecon.markov.DiscreteDP`, in floats: (R, Q, beta), or with s_indices and a_indices.

    form   "product", "pairs", or "auto": pairs where the model is compressed or states differ in their actions
    """
    if form not in ("auto", "product", "pairs"):
        raise ModelError(f'form is {form!r}; it must be "product", "pairs" or "auto"')
    mdp = mdp.float
    if form == "auto":
        form = "pairs" if mdp.is_sparse or not mdp.is_rectangular else "product"
    if form == "product":
        return np.where(mdp.action_mask, mdp.rewards, -np.inf), np.array(mdp.transitions), mdp.discount
    states = np.repeat(np.arange(mdp.num_states), np.diff(mdp.first_pair))
    actions = np.arange(mdp.num_pairs) - mdp.first_pair[states]
    if mdp.is_sparse:
        from scipy.sparse import csr_matrix

        return np.array(mdp.pair_rewards), csr_matrix(mdp.choices), mdp.discount, states, actions
    return np.array(mdp.pair_rewards), np.array(mdp.choices), mdp.discount, states, actions


__all__: Sequence[str] = ("from_mdptoolbox", "from_quantecon", "to_mdptoolbox", "to_quantecon")
