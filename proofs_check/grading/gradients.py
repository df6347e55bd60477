"""Exercises on policy gradients: occupancy, the softmax gradient, projected, natural and regularised steps, and a theorem to refute."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import pgtheory
from mdps import strategies
from mdps.errors import ModelError
from mdps.model import MDP
from pgtheory.arithmetic import log_softmax, policy_values, project_simplex, softmax
from proofs_check.grading.judging import TOLERANCE, compare, distribution_error, in_words, plain
from proofs_check.grading.planning import ARRAYS, model, models
from proofs_check.grading.questions import Case, Check, Exercise

Array = np.ndarray
THEOREM, RATES, ENTROPY = "2 The policy gradient theorem", "3 Why softmax is slow and NPG is not", "4 Regularisation"
OWN = "6 A theorem of your own"


def _logits(draw: st.DrawFn, mdp: MDP) -> Array:
    return np.array([[float(draw(strategies.fractions(-2, 2))) for _ in range(mdp.num_actions)] for _ in range(mdp.num_states)])


def _visits(mdp: MDP, policy: Array) -> Array:
    """sum_t gamma^t Pr(s_t = s), (S,)."""
    return pgtheory.state_occupancy(mdp, policy) / (1 - mdp.discount)


@st.composite
def _occupancies(draw: st.DrawFn) -> Case:
    mdp = draw(models())
    policy = draw(strategies.policies(mdp))
    right = pgtheory.occupancy(mdp, policy)
    hints = {
        "the factor 1 - discount is missing: these sum to 1 / (1 - discount)": right / (1 - mdp.discount),
        "the policy's probabilities are missing": np.repeat(right.sum(axis=1)[:, None], mdp.num_actions, axis=1),
    }
    arguments = (mdp.transitions, mdp.start, mdp.discount, policy)
    return Case(arguments, in_words(mdp, start=mdp.start, policy=policy), lambda got: compare(got, right, hints))


@st.composite
def _gradients(draw: st.DrawFn) -> Case:
    mdp = draw(models())
    logits = _logits(draw, mdp)
    policy = softmax(logits)
    visits, gains = _visits(mdp, policy)[:, None], pgtheory.advantages(mdp, policy)
    right = visits * policy * gains
    hints = {
        "the sign is flipped": -right,
        "the factor 1 / (1 - discount) is missing: visits are normalised to 1": (1 - mdp.discount) * right,
        "action values stand where advantages belong": visits * policy * pgtheory.action_values(mdp, policy),
        "only the first state is counted": mdp.start[:, None] * policy * gains,
        "the policy's probabilities are missing": visits * gains,
    }
    scale = 1 / (1 - mdp.discount) ** 2
    arguments = (*model(mdp), mdp.start, logits)
    return Case(arguments, in_words(mdp, start=mdp.start, logits=logits), lambda got: compare(got, right, hints, scale))


@st.composite
def _points(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 5))
    x = np.array([float(draw(strategies.fractions(-3, 3))) for _ in range(size)])
    right = project_simplex(x[None])[0]
    clipped = np.maximum(x, 0)
    hints = {
        "negative entries are cut off and the rest divided by its sum": clipped / clipped.sum() if clipped.sum() > 0 else clipped,
        "the sum is corrected by a shift, and negative entries remain": x + (1 - x.sum()) / size,
        "softmax is taken": softmax(x[None])[0],
    }

    def judge(got: Any) -> str:
        return compare(got, right, hints) or distribution_error(got, right.shape)

    return Case((x,), (f"x = {plain(x)}",), judge)


@st.composite
def _natural_steps(draw: st.DrawFn) -> Case:
    mdp = draw(models(discount=strategies.discounts("19/20")))
    policy = softmax(_logits(draw, mdp))
    eta = draw(st.sampled_from((0.1, 0.5, 2.0)))
    gains = pgtheory.advantages(mdp, policy)

    def after(exponent: Array) -> Array:
        return softmax(np.log(policy) + exponent)

    right = after(eta / (1 - mdp.discount) * gains)
    hints = {
        "the factor 1 / (1 - discount) is missing": after(eta * gains),
        "the gradient itself is taken, not the natural one": after(eta * _visits(mdp, policy)[:, None] * policy * gains),
        "the step goes downhill": after(-eta / (1 - mdp.discount) * gains),
    }
    return Case((*model(mdp), policy, eta), in_words(mdp, policy=policy, step_size=eta), lambda got: compare(got, right, hints))


@st.composite
def _soft_values(draw: st.DrawFn) -> Case:
    mdp = draw(models(discount=strategies.discounts("19/20")))
    logits, tau = _logits(draw, mdp), draw(st.sampled_from((0.1, 0.5, 1.0)))
    policy, logs = softmax(logits), log_softmax(logits)
    arrays = (mdp.transitions, mdp.rewards)
    right = policy_values(policy, arrays[0], arrays[1] - tau * logs, mdp.discount)
    hints = {
        "the entropy has the wrong sign": policy_values(policy, arrays[0], arrays[1] + tau * logs, mdp.discount),
        "the entropy of the first state only is added": pgtheory.state_values(mdp, policy) - tau * (policy * logs).sum(axis=1),
        "the entropy is missing": pgtheory.state_values(mdp, policy),
    }
    scale = 1 / (1 - mdp.discount)
    return Case((*model(mdp), policy, tau), in_words(mdp, policy=policy, temperature=tau), lambda got: compare(got, right, hints, scale))


@st.composite
def _soft_optima(draw: st.DrawFn) -> Case:
    mdp = draw(models(discount=strategies.discounts("9/10")))
    tau = draw(st.sampled_from((0.2, 1.0)))
    values, change = np.zeros(mdp.num_states), 1.0
    while change > 1e-11:
        q = mdp.rewards + mdp.discount * mdp.transitions @ values
        top = q.max(axis=1)
        backup = top + tau * np.log(np.exp((q - top[:, None]) / tau).sum(axis=1))
        values, change = backup, np.abs(backup - values).max()
    right = softmax((mdp.rewards + mdp.discount * mdp.transitions @ values) / tau)
    hints = {"the softmax of the optimal values without entropy is taken": softmax(pgtheory.action_values(mdp, values=_best(mdp)) / tau)}
    return Case((*model(mdp), tau), in_words(mdp, temperature=tau), lambda got: compare(got, right, hints, 1 / (1 - mdp.discount)))


def _best(mdp: MDP) -> Array:
    return np.array([float(x) for x in pgtheory.solve_exactly(mdp).values])


def _refutation(got: Any) -> str:
    """'' where the answer is an MDP, a step size and a number of steps for which gap <= log(A) / (eta T) fails."""
    form = "a tuple (transitions, rewards, discount, start, step_size, steps) was asked for"
    if not isinstance(got, list) or len(got) != 6:
        return form
    transitions, rewards, discount, start, eta, steps = got
    if transitions.ndim != 3 or max(transitions.shape) > 6 or any(part.ndim for part in (discount, eta, steps)):
        return f"{form}: arrays (S, A, S), (S, A), a number, (S,), two numbers, with at most 6 states and actions"
    if not (0 < eta <= 1e6 and 1 <= steps <= 1000 and steps == int(steps)):
        return f"step_size is {float(eta):g} and steps {float(steps):g}; they must be above 0 and a whole number from 1 to 1000"
    try:
        mdp = MDP(transitions, rewards, float(discount), start)
    except ModelError as error:
        return str(error)
    if rewards.min() < 0 or rewards.max() > 1:
        return f"rewards lie in [{rewards.min():g}, {rewards.max():g}]; the theorem is about rewards in [0, 1]"
    gap = float(pgtheory.run(mdp, pgtheory.NaturalPG(step_size=float(eta)), iterations=int(steps)).gap()[-1])
    bound = float(np.log(mdp.num_actions) / (eta * steps))
    return "" if gap > bound + TOLERANCE else f"here the gap is {gap:.6g} and the bound {bound:.6g}: the inequality holds"


EXERCISES = (
    Exercise(
        "occupancy",
        "The discounted occupancy",
        THEOREM,
        "Write occupancy(transitions, start, discount, policy): d(s, a) = (1 - discount) sum_t discount^t Pr(s_t = s, a_t = a), an array (S, A) that "
        "sums to 1.\ntransitions (S, A, S); start (S,) law of the first state; policy (S, A).",
        "import numpy as np\n\n\ndef occupancy(transitions, start, discount, policy):\n    return np.zeros(policy.shape)\n",
        (Check("occupancies of random policies", 4, "occupancy", _occupancies()),),
    ),
    Exercise(
        "softmax-gradient",
        "The policy gradient theorem, softmax",
        THEOREM,
        "Write gradient(transitions, rewards, discount, start, logits): the partial derivatives of V(start) = E[sum_t discount^t r_t] in the logits "
        f"of a softmax policy, an array (S, A).\n{ARRAYS}\nstart (S,): law of the first state; logits (S, A).",
        "import numpy as np\n\n\ndef gradient(transitions, rewards, discount, start, logits):\n    return np.zeros(logits.shape)\n",
        (Check("gradients at random logits", 6, "gradient", _gradients()),),
    ),
    Exercise(
        "projection",
        "Projection onto the simplex",
        RATES,
        "Write project(x): the distribution nearest to x (n,) in Euclidean distance, an array (n,).",
        "import numpy as np\n\n\ndef project(x):\n    return x\n",
        (Check("nearest distributions to random points", 4, "project", _points(), examples=80),),
    ),
    Exercise(
        "natural-step",
        "One natural policy gradient step",
        RATES,
        "Write step(transitions, rewards, discount, policy, step_size): the policy after theta <- theta + step_size / (1 - discount) * A, an array "
        f"(S, A) of probabilities.\n{ARRAYS}\npolicy (S, A), all positive.",
        "import numpy as np\n\n\ndef step(transitions, rewards, discount, policy, step_size):\n    return policy\n",
        (Check("steps from random policies", 5, "step", _natural_steps()),),
    ),
    Exercise(
        "soft-values",
        "Values with entropy",
        ENTROPY,
        "Write evaluate(transitions, rewards, discount, policy, temperature): V(s) = E[sum_t discount^t (r_t - temperature * log pi(a_t | s_t))], an "
        f"array (S,).\n{ARRAYS}",
        "import numpy as np\n\n\ndef evaluate(transitions, rewards, discount, policy, temperature):\n    return np.zeros(len(rewards))\n",
        (Check("regularised values of random policies", 4, "evaluate", _soft_values()),),
    ),
    Exercise(
        "soft-optimum",
        "The optimal policy with entropy",
        ENTROPY,
        f"Write solve(transitions, rewards, discount, temperature): the policy that maximises the values with entropy, an array (S, A).\n{ARRAYS}",
        "import numpy as np\n\n\ndef solve(transitions, rewards, discount, temperature):\n    return np.ones(rewards.shape) / rewards.shape[1]\n",
        (Check("soft-optimal policies", 5, "solve", _soft_optima(), examples=25),),
    ),
    Exercise(
        "counterexample",
        "Refute a theorem",
        OWN,
        "Somebody claims: natural policy gradient from the uniform policy, rewards in [0, 1], has V*(start) - V_T(start) <= log(A) / (step_size * T) "
        "for every step size.\nWrite counterexample(): a tuple (transitions, rewards, discount, start, step_size, T), with at most 6 states "
        "and actions and T <= 1000, for which this is false.",
        "import numpy as np\n\n\ndef counterexample():\n    return np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), 0.0, np.ones(1), 1.0, 1\n",
        (Check("the inequality fails", 6, "counterexample", st.just(Case((), (), _refutation)), examples=1),),
    ),
)
