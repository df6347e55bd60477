"""Mirror descent on the action values of a Markov risk.  Derivation: docs/theory/risk_control.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.risk_measures import MODELS, SMALL
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between
from proofs_check.statement import equal

SIZES = {q.eta: Between(Rational(1, 10), 100)}
SOFT = {**SIZES, q.aversion: Between(Rational(1, 5), 10)}
TAIL = {**SIZES, q.tail: Between(Rational(1, 20), 1)}
WRONG_ARM = by_hand(
    "two arms 1/eta apart, all on the wrong one",
    transitions=[[[1], [1]]],
    rewards=[[1, 0]],
    discount=0,
    policy=[[0, 1]],
    settings={"eta": 1, "tail": "1/2", "aversion": 1},
)
AFRAID = by_hand(
    "a sure half or a fair coin, at first the coin",
    transitions=[[[0, 1, 0], ["1/2", 0, "1/2"]], [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], ["1/2", "1/2"], [1, 1]],
    discount="1/2",
    mu=[1, 0, 0],
    policy=[[0, 1], [1, 0], [1, 0]],
    settings={"eta": 10, "tail": "1/2", "aversion": 2},
)
TENTH = Rational(1, 10)

descent = Claim(
    id="soft-robust-euclidean-pmd",
    title="Euclidean mirror descent under Markov risk: monotone, gamma a step, and 1/(2 eta) behind",
    source=Source("xiao2022convergence", where="the Euclidean step, carried over to risk; derived here", version="arXiv:2201.07443v3"),
    domain=MODELS,
    settings=SOFT,
    forms=[
        Form("entropic values never fall", q.entropic_values_after >= q.entropic_state_values),
        Form("entropic, one step", q.entropic_gap_sup_after <= q.gamma * q.entropic_gap_sup + 1 / (2 * q.eta)),
        Form(
            "entropic, four steps",
            q.entropic_gap_sup_after_steps <= q.gamma**4 * q.entropic_gap_sup + (1 - q.gamma**4) / (2 * q.eta * (1 - q.gamma)),
        ),
        Form("values of nested CVaR never fall", q.nested_values_after >= q.nested_cvar_values, settings=TAIL),
        Form("nested CVaR, one step", q.nested_gap_sup_after <= q.gamma * q.nested_gap_sup + 1 / (2 * q.eta), settings=TAIL),
    ],
    negative_controls=[
        Control(
            "half as far behind",
            q.entropic_gap_sup_after <= q.gamma * q.entropic_gap_sup + 1 / (4 * q.eta),
            because="two arms 1/eta apart, all on the wrong one: one step reaches the middle, half of the difference behind",
        ),
        Control(
            "never behind",
            q.nested_gap_sup_after <= q.gamma * q.nested_gap_sup,
            settings=TAIL,
            because="a short step stays near the policy it came from, whatever the discount",
        ),
        Control(
            "nothing is gained",
            equal(q.nested_values_after, q.nested_cvar_values),
            settings=TAIL,
            because="from the coin a long step goes to the sure half, which nested CVaR prefers",
        ),
    ],
    uses=["soft-robust-equals-entropic", "robust-euclidean-pmd"],
    instances=(WRONG_ARM, AFRAID, *SMALL),
)
