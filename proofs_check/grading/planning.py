"""Exercises on dynamic programming: evaluation, backups, value iteration with a stopping rule, policy iteration, bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import pgtheory
from mdps import strategies
from mdps.model import MDP
from proofs_check.grading.judging import TOLERANCE, compare, in_words, plain, shape_error
from proofs_check.grading.questions import Case, Check, Exercise

Array = np.ndarray
LESSON = "1 Dynamic programming"
ARRAYS = """transitions (S, A, S): probability of the next state; rewards (S, A); discount in [0, 1)."""


def model(mdp: MDP) -> tuple[Array, Array, float]:
    """The arrays that a submission sees."""
    return mdp.transitions, mdp.rewards, mdp.discount


def models(**changes: Any) -> st.SearchStrategy[MDP]:
    return strategies.mdps(max_states=4, max_actions=3, rewards=(-1, 2), **changes)


def optimal(mdp: MDP) -> Array:
    return np.array([float(x) for x in pgtheory.solve_exactly(mdp).values])


@st.composite
def _evaluations(draw: st.DrawFn) -> Case:
    mdp = draw(models())
    policy = draw(strategies.policies(mdp))
    values = pgtheory.state_values(mdp, policy)
    chain, paid = np.einsum("sa,sat->st", policy, mdp.transitions), (policy * mdp.rewards).sum(axis=1)
    hints = {
        "the discount is left out of one step (r + P V of the discounted values)": paid + chain @ values,
        "only the first reward is counted": paid,
        "the best action is taken in place of the policy's": optimal(mdp),
    }
    scale = 1 / (1 - mdp.discount)
    return Case((*model(mdp), policy), in_words(mdp, policy=policy), lambda got: compare(got, values, hints, scale))


@st.composite
def _backups(draw: st.DrawFn) -> Case:
    mdp = draw(models())
    values = np.array([float(draw(strategies.fractions(-2, 2))) for _ in range(mdp.num_states)])
    q = mdp.rewards + mdp.discount * mdp.transitions @ values
    hints = {
        "the minimum is taken": q.min(axis=1),
        "the mean over actions is taken": q.mean(axis=1),
        "the future is not discounted": (mdp.rewards + mdp.transitions @ values).max(axis=1),
        "the future is missing": mdp.rewards.max(axis=1),
    }
    return Case((*model(mdp), values), in_words(mdp, values=values), lambda got: compare(got, q.max(axis=1), hints))


@st.composite
def _tolerances(draw: st.DrawFn) -> Case:
    mdp = draw(models(discount=strategies.discounts("19/20")))
    tolerance = draw(st.sampled_from((0.5, 0.1, 1e-3)))
    best = optimal(mdp)

    def judge(got: Any) -> str:
        wrong = shape_error(got, best.shape)
        if wrong:
            return wrong
        error = np.abs(got - best).max()
        if error <= tolerance * (1 + TOLERANCE):
            return ""
        return (
            f"the error is {error:.6g}, more than the tolerance {tolerance:g}: a small change between two sweeps does not mean a small error; "
            "|V - V*| <= discount / (1 - discount) times the last change"
        )

    return Case((*model(mdp), tolerance), in_words(mdp, tolerance=tolerance, V_star=best), judge)


@st.composite
def _policies(draw: st.DrawFn) -> Case:
    mdp = draw(models())
    best, q = optimal(mdp), pgtheory.action_values(mdp, greedy(mdp))

    def judge(got: Any) -> str:
        wrong = shape_error(got, best.shape)
        if wrong:
            return wrong
        chosen = np.rint(got).astype(int)
        if np.any(chosen != got) or chosen.min() < 0 or chosen.max() >= mdp.num_actions:
            return f"the answer is {plain(got)}; it must hold one action, 0 to {mdp.num_actions - 1}, for each state"
        policy = np.eye(mdp.num_actions)[chosen]
        values = pgtheory.state_values(mdp, policy)
        if np.abs(values - best).max() <= TOLERANCE / (1 - mdp.discount):
            return ""
        state = int(np.argmax(best - values))
        possible = f"{best[state]:.8g} is possible (action values {plain(q[state])})"
        return f"policy {chosen.tolist()} has the value {values[state]:.8g} in state {state}; {possible}"

    return Case(model(mdp), in_words(mdp), judge)


def greedy(mdp: MDP) -> Array:
    """An optimal policy (S, A)."""
    values = optimal(mdp)
    q = mdp.rewards + mdp.discount * mdp.transitions @ values
    return np.eye(mdp.num_actions)[q.argmax(axis=1)]


@st.composite
def _bounds(draw: st.DrawFn) -> Case:
    mdp = draw(models(discount=strategies.discounts("9/10")))
    values = np.array([float(draw(strategies.fractions(-2, 2))) for _ in range(mdp.num_states)])
    best = optimal(mdp)
    change = (mdp.rewards + mdp.discount * mdp.transitions @ values).max(axis=1) - values
    widest = (change.max() - change.min()) / (1 - mdp.discount)

    def judge(got: Any) -> str:
        if not isinstance(got, list) or len(got) != 2:
            return "two arrays were asked for: (lower, upper)"
        for name, part in zip(("lower", "upper"), got, strict=True):
            wrong = shape_error(part, best.shape)
            if wrong:
                return f"{name}: {wrong}"
        lower, upper = got
        slack = TOLERANCE / (1 - mdp.discount)
        if np.any(lower > best + slack) or np.any(upper < best - slack):
            return f"V* = {plain(best)} does not lie between lower = {plain(lower)} and upper = {plain(upper)}"
        width = float((upper - lower).max())
        if width > widest * (1 + 1e-6) + slack:
            return f"the bounds are {width:.6g} apart; those of MacQueen and Porteus {widest:.6g}, (max(TV - V) - min(TV - V)) / (1 - discount)"
        return ""

    return Case((*model(mdp), values), in_words(mdp, values=values, V_star=best), judge)


EXERCISES = (
    Exercise(
        "policy-evaluation",
        "The value of a policy",
        LESSON,
        "Write evaluate(transitions, rewards, discount, policy): the expected discounted return of a policy from every state, an array (S,).\n"
        f"{ARRAYS}\npolicy (S, A): probability of each action.",
        "import numpy as np\n\n\ndef evaluate(transitions, rewards, discount, policy):\n    return np.zeros(len(rewards))\n",
        (Check("values of random policies", 4, "evaluate", _evaluations()),),
    ),
    Exercise(
        "bellman-operator",
        "One Bellman backup",
        LESSON,
        "Write backup(transitions, rewards, discount, values): (T V)(s) = max_a r(s, a) + discount * sum_s' P(s' | s, a) V(s'), an array (S,).\n"
        f"{ARRAYS}",
        "import numpy as np\n\n\ndef backup(transitions, rewards, discount, values):\n    return np.zeros(len(rewards))\n",
        (Check("backups of random values", 3, "backup", _backups()),),
    ),
    Exercise(
        "value-iteration",
        "Value iteration that knows when to stop",
        LESSON,
        f"Write solve(transitions, rewards, discount, tolerance): values within `tolerance` of V*, in every state, an array (S,).\n{ARRAYS}",
        "import numpy as np\n\n\ndef solve(transitions, rewards, discount, tolerance):\n    return np.zeros(len(rewards))\n",
        (Check("the error is at most the tolerance", 5, "solve", _tolerances()),),
    ),
    Exercise(
        "policy-iteration",
        "Howard's policy iteration",
        LESSON,
        "Write solve(transitions, rewards, discount): an optimal action for every state, an array (S,) of whole numbers.\n"
        f"{ARRAYS}\nTies must not keep it running for ever.",
        "import numpy as np\n\n\ndef solve(transitions, rewards, discount):\n    return np.zeros(len(rewards), dtype=int)\n",
        (Check("the policy is optimal", 5, "solve", _policies()),),
    ),
    Exercise(
        "value-bounds",
        "Bounds on V* from any V",
        LESSON,
        "Write bounds(transitions, rewards, discount, values): a tuple (lower, upper) of arrays (S,) with lower <= V* <= upper, no further apart\n"
        f"than (max(TV - V) - min(TV - V)) / (1 - discount).\n{ARRAYS}",
        "import numpy as np\n\n\ndef bounds(transitions, rewards, discount, values):\n    return values - 1.0, values + 1.0\n",
        (Check("V* lies between, and the bounds are near", 5, "bounds", _bounds()),),
    ),
)
