"""Decisions under risk: soft-robust and nested values, static risk and its state, schedules, expected conditional risk, scoring functions.

Derivation: docs/theory/risk_control.md
"""

import dataclasses
from fractions import Fraction

from sympy import Rational

from mdps.rational import rational_array
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.risk_measures import ALONE, ANOTHER, AVERSE, INTERIOR, LAW, LEVEL, MODELS, QUARTER, REWEIGHTED, SMALL
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits
from proofs_check.instance import Instance
from proofs_check.statement import equal

ZHANG, ZHANG_VERSION = "zhang2024regularized", "ICLR 2024"
GIVEN = {name: Extra(("S",), low=-20, high=20, meaning="a vector of values") for name in "VW"}

FLIP = by_hand(
    "two states, one action, penalty in view",
    transitions=[[["1/2", "1/2"]], [["1/4", "3/4"]]],
    rewards=[[1], [0]],
    discount="1/2",
    mu=["1/2", "1/2"],
    settings={"aversion": 2},
    extras={"reweighting": [[[1, 1]], [[1, 1]]]},
)
CHOICE = by_hand(
    "a sure half or a fair coin, drawn evenly",
    transitions=[[[0, 1, 0], ["1/2", 0, "1/2"]], [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], ["1/2", "1/2"], [1, 1]],
    discount="1/2",
    mu=[1, 0, 0],
    settings={"aversion": 2},
    extras={"reweighting": [[[1, 1, 1]] * 2] * 3},
)

FIRM = {q.aversion: Between(Rational(1, 5), 10)}
"""Where a divergence is divided by beta: its rounding, some 1e-16, must stay below what float64 is trusted with when all rewards are 0."""

soft_robust = Claim(
    id="soft-robust-equals-entropic",
    title="Entropic risk of the next state is a minimum over kernels with a divergence penalty",
    source=Source(ZHANG, where="equivalence of regularised robust and risk-sensitive MDPs, as recalled; derived here", version=ZHANG_VERSION),
    domain=MODELS,
    settings=FIRM,
    forms=[
        Form(
            "one step, any law",
            q.any_law_objective >= q.law_erm,
            domain=ALONE.replace(extras={**INTERIOR, **ANOTHER}),
            instances=(QUARTER, "arms([1])"),
        ),
        Form("one step, the tilted law", equal(q.law_erm, q.tilted_objective), domain=ALONE.replace(extras=LAW), instances=(QUARTER, "arms([1])")),
        Form("attained at the tilted kernel", equal(q.entropic_state_values, q.penalised_values_at_tilt)),
        Form("no kernel is worse", q.penalised_values_anywhere >= q.entropic_state_values, domain=MODELS.replace(extras=REWEIGHTED)),
        Form("contraction", q.entropic_backup_difference <= q.gamma * q.vector_difference, domain=MODELS.replace(extras=GIVEN)),
        Form("a deterministic policy is optimal", equal(q.entropic_optimal_values, q.entropic_best_deterministic_values)),
        Form("and no policy is better", q.entropic_state_values <= q.entropic_optimal_values),
    ],
    negative_controls=[
        Control(
            "penalty not discounted",
            equal(q.entropic_state_values, q.penalised_values_without_discount),
            because="nature pays when the next state comes, so that the divergence counts gamma/beta",
        ),
        Control(
            "risk over the action too",
            equal(q.entropic_state_values, q.joint_entropic_values),
            because="the actions are averaged outside of the risk measure; inside, a random choice would itself be a risk",
        ),
        Control(
            "a smaller modulus",
            q.entropic_backup_difference <= Rational(9, 10) * q.gamma * q.vector_difference,
            domain=MODELS.replace(extras=GIVEN),
            because="a constant added to all values is discounted by gamma and nothing less: the risk is translation equivariant",
        ),
    ],
    instances=(FLIP, CHOICE, *SMALL),
    kind="equal",
)

STARTED = MODELS.replace(mu="positive", rho="any")
LURED = dataclasses.replace(
    by_hand(
        "leave for a sure reward, or stay and risk it",
        transitions=[[[1, 0]] * 2, [["1/2", "1/2"], [1, 0]]],
        rewards=[[1, 1], [1, 0]],
        discount="1/2",
        mu=["1/2", "1/2"],
        policy=[[1, 0], ["1/2", "1/2"]],
        settings={"tail": "1/10", "aversion": 1},
    ),
    rho=rational_array([0, 1]),
)
soft_gradient = Claim(
    id="soft-robust-gradient-and-domination",
    title="Policy gradient and gradient domination under Markov risk",
    source=Source(ZHANG, where="policy gradient and its global convergence, as recalled; derived here", version=ZHANG_VERSION),
    domain=STARTED,
    settings=AVERSE,
    forms=[
        Form("gradient", equal(q.entropic_derivative, q.entropic_gradient)),
        Form("domination, entropic", q.entropic_gap_rho <= q.entropic_mismatch * q.entropic_improvement),
        Form("domination, nested CVaR", q.nested_gap_rho <= q.nested_mismatch * q.nested_improvement, settings={q.tail: Between(Rational(1, 20), 1)}),
    ],
    negative_controls=[
        Control(
            "visits of the nominal kernel",
            equal(q.entropic_derivative, q.entropic_gradient_nominal_visits),
            because="a state counts as often as the tilted kernel leads to it; the nominal one leads to bad states less often",
        ),
        Control(
            "mismatch of the nominal kernel",
            q.nested_gap_rho <= q.neutral_mismatch * q.nested_improvement,
            settings={q.tail: Between(Rational(1, 20), 1)},
            because="the optimal policy must be followed in the kernel that is worst for the current one, which leads to the states that matter "
            "more often than the nominal kernel does",
        ),
        Control(
            "mismatch dropped",
            q.entropic_gap_rho <= q.entropic_improvement,
            because="states that the optimal policy visits often and the current one hardly ever weigh too little in the gradient",
        ),
    ],
    instances=(LURED, FLIP, CHOICE, *SMALL),
    kind="upper",
)

TWO_ARMS = bandits(min_actions=2, max_actions=2, policy="any", mu="any")


def _arms(name: str, worse: str, level: str) -> Instance:
    return by_hand(name, "arms([1, 0])", policy=[[f"{1 - Fraction(worse)}", worse]], settings={"tail": level})


FLAT = tuple(_arms(f"two arms, the worse one with probability {worse}", worse, "1/2") for worse in ("3/4", "3/5", "1/2", "2/5", "1/4", "0"))

joint_risk = Claim(
    id="markov-risk-not-gradient-dominated",
    title="Risk over the choice of the action too: flat where the worse arm is likely",
    source=Source(ZHANG, where="contrast with Markov coherent risk (Huang et al. 2021); instance derived here", version=ZHANG_VERSION),
    domain=TWO_ARMS,
    settings={q.tail: Between(Rational(1, 10), 1)},
    forms=[
        Form("closed form", equal(q.joint_value, q.joint_closed_form)),
        Form("no slope above the level", equal(q.joint_improvement, q.zero), where=((q.tail, q.worse_probability),)),
        Form("and nothing gained", equal(q.joint_gap, q.arm_gap), where=((q.tail, q.worse_probability),)),
        Form("below the level, the slope is the gap", equal(q.joint_gap, q.joint_improvement), where=((q.worse_probability, q.tail),)),
        Form("averaged outside, the slope is the gap", equal(q.gap_mu, q.best_improvement)),
    ],
    negative_controls=[
        Control(
            "dominated with a constant of 1000",
            q.joint_gap <= 1000 * q.joint_improvement,
            where=((q.tail, q.worse_probability),),
            because="with more than alpha of the probability on the worse arm, the worst alpha consists of it whatever the rest does: no slope",
        ),
        Control(
            "flat everywhere",
            equal(q.joint_improvement, q.zero),
            because="a start with less than alpha on the worse arm has a slope, and ascent from there reaches the better arm",
        ),
    ],
    instances=(*FLAT, "arms([1, 0])"),
    kind="equal",
)

STAGES = {
    "first": Extra((3,), "distribution", meaning="law of the first outcome"),
    "received": Extra((3,), low=-5, high=5, meaning="the first outcomes"),
    "laws": Extra((2, 3), "distribution", meaning="law of the second outcome, by action"),
    "payoffs": Extra((2, 3), low=-5, high=5, meaning="the second outcomes, by action"),
}
DECIDE = ALONE.replace(extras=STAGES)
SHARE = {"share": Extra((), meaning="probability of the second action, whatever came first")}
SHARES = {"shares": Extra((3,), meaning="probability of the second action after each first outcome")}


def _decision(name: str, level: str) -> Instance:
    extras = {
        "first": ["1/2", "1/2", 0],
        "received": [0, 2, 2],
        "laws": [[1, 0, 0], ["1/2", "1/2", 0]],
        "payoffs": [[1, 1, 1], [0, 4, 4]],
        "share": "1/2",
        "shares": [1, 0, 0],
    }
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, settings={"tail": level}, extras=extras)


GAMBLE = _decision("0 or 2, then a sure 1 or a fair 0 or 4", "1/2")
MILD = _decision("the same at level 7/8", "7/8")

static_history = Claim(
    id="static-cvar-needs-history",
    departs="Two decisions, the second reward independent of the first; the proof is for any horizon",
    title="Static CVaR of a return: a search over one threshold, and policies that remember the rewards so far",
    source=Source("bauerle2011markov", where="the outer problem over the threshold, as recalled; instance derived here", version="MMOR 74(3)"),
    domain=DECIDE,
    settings=LEVEL,
    forms=[
        Form("one threshold", equal(q.history_cvar, q.threshold_cvar)),
        Form("randomising does not help", q.randomised_history_cvar <= q.history_cvar, domain=DECIDE.replace(extras=STAGES | SHARES)),
        Form("nor where nothing is remembered", q.blind_cvar <= q.blind_best_cvar, domain=DECIDE.replace(extras=STAGES | SHARE)),
        Form("remembering does no harm", q.blind_best_cvar <= q.history_cvar),
        Form("at level 1 nothing need be remembered", equal(q.blind_best_cvar, q.history_cvar), settings={q.tail: (1,)}),
    ],
    negative_controls=[
        Control(
            "nothing need be remembered",
            q.history_cvar <= q.blind_best_cvar,
            because="after a 0 the worst half is ahead and worth a gamble, after a 2 it is behind: the optimum is 3/2, without memory 1",
        ),
    ],
    instances=(GAMBLE, MILD, "arms([1])"),
    kind="equal",
)

COSTS = {name: Extra(extra.axes, extra.kind, -2, 2, meaning=extra.meaning) for name, extra in STAGES.items()}
FEW_ACTIONS = {name: STAGES[name] for name in ("laws", "payoffs")} | {"eta": Extra((), low=-5, high=5, meaning="the first v")}
STUCK = by_hand(
    "a sure 3, or 4 with probability 1/4 and else 0, from v = 3",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"tail": "1/2"},
    extras={"laws": [[1, 0, 0], ["1/4", "3/4", 0]], "payoffs": [[3, 3, 3], [4, 0, 0]], "eta": 3},
)

scoring = Claim(
    id="convex-scoring-two-stage",
    departs="Two decisions; the proof is for any horizon",
    title="Risk by a convex scoring function: two minima exchanged, and alternating between them",
    source=Source("han2025risk", where="two-stage form, as recalled; the instance of alternating minimisation is derived here", version="2025"),
    domain=ALONE.replace(extras=COSTS),
    forms=[
        Form("variance", equal(q.least_variance, q.least_scored_variance)),
        Form("CVaR", equal(q.least_cost_cvar, q.least_scored_cvar), settings=LEVEL),
        Form("entropic", equal(q.least_entropic_cost, q.least_scored_entropic), settings={q.aversion: Between(Rational(1, 20), 2)}),
        Form("alternating never rises", q.alternating_score <= q.first_score, domain=ALONE.replace(extras=FEW_ACTIONS), settings=LEVEL),
        Form("alternating is never below", q.alternating_score >= q.least_action_cvar, domain=ALONE.replace(extras=FEW_ACTIONS), settings=LEVEL),
    ],
    negative_controls=[
        Control(
            "alternating finds the optimum",
            equal(q.alternating_score, q.least_action_cvar),
            domain=ALONE.replace(extras=FEW_ACTIONS),
            settings=LEVEL,
            because="the score is convex in v for each action, its minimum over the actions is not: at v = 3 both halves rest with 3, not 2",
        ),
    ],
    instances=(STUCK, "arms([1])"),
    kind="equal",
)

BRANCHED = {
    "branch": Extra((2,), "interior", meaning="law of the first transition"),
    "branch_laws": Extra((2, 2, 2), "distribution", meaning="law of the reward, by branch and action"),
    "branch_payoffs": Extra((2, 2, 2), low=-5, high=5, meaning="the rewards, by branch and action"),
}
FLAW = by_hand(
    "two branches at level 3/5",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"tail": "3/5"},
    extras={
        "branch": ["1/2", "1/2"],
        "branch_laws": [[["1/2", "1/2"], [1, 0]], [["3/4", "1/4"], [1, 0]]],
        "branch_payoffs": [[[-3, 3], [-1, -1]], [[2, -2], [1, 1]]],
    },
)

decomposition = Claim(
    id="cvar-decomposition-evaluates-but-does-not-optimise",
    departs="Two branches with two outcomes each",
    title="Splitting the level of CVaR over the branches: right for a policy, too high for the best one",
    source=Source(
        "hau2023dynamic", where="the flaw of the dynamic programme of Chow et al. (2015), as recalled; instance derived here", version="NeurIPS 2023"
    ),
    domain=ALONE.replace(extras=BRANCHED),
    settings=LEVEL,
    forms=[
        Form("evaluation", equal(q.fixed_policy_cvar, q.fixed_policy_split)),
        Form("an upper bound", q.split_programme >= q.best_branch_cvar),
    ],
    negative_controls=[
        Control(
            "optimisation",
            equal(q.split_programme, q.best_branch_cvar),
            because="inside the programme an action may depend on the level that nature gives to its branch, and the policy never sees that level",
        ),
        Control(
            "a lower bound",
            q.split_programme <= q.best_branch_cvar,
            because="min max is at least max min, and here it is more: -1/4 against -2/3",
        ),
    ],
    instances=(FLAW, "arms([1])"),
    kind="upper",
)
