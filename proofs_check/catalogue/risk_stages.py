"""Three stages under risk: the schedule of entropic risk, expected conditional risk measures.  Derivation: docs/theory/risk_control.md"""

import dataclasses

from sympy import Rational, sqrt

from mdps.rational import rational_array
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.risk_measures import ALONE, LAW
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.instance import Instance
from proofs_check.statement import equal

SMALL = ("loop(1/2)", "loop(9/10)", "arms([1, 0], 9/10)")
AVERSE = {q.aversion: Between(Rational(1, 20), 10)}
FINAL = {"final": Extra(("S",), low=-1, high=1, meaning="what the last state pays")}
STAGED = random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, max_actions=2, extras=FINAL)
LATE = by_hand(
    "a fair 0 or 1, paid one step later",
    transitions=[[["1/2", "1/2"]], [["1/2", "1/2"]]],
    rewards=[[0], [1]],
    discount="1/4",
    mu=[1, 0],
    settings={"aversion": 4},
    extras={"final": [0, 0]},
)
SWITCH = by_hand(
    "3/10 for sure or a fair 0 or 1, twice",
    transitions=[[[1, 0, 0], [0, "1/2", "1/2"]]] * 3,
    rewards=[["3/10"] * 2, [1, 1], [0, 0]],
    discount="1/4",
    mu=[1, 0, 0],
    settings={"aversion": 16},
    extras={"final": ["3/10", 1, 0]},
)
NORMALS = {
    "means": Extra((3,), low=-2, high=2, meaning="means of the first rewards, the last one of all that follow"),
    "variances": Extra((3,), low=0, high=2, meaning="their variances"),
}
NORMAL = random_mdps(policy="uniform", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Rational(9, 10), extras=NORMALS)
GENTLE = {q.aversion: Between(Rational(1, 20), 2)}
EVER_NORMAL = by_hand(
    "N(1, 1) for ever at discount 1/2, level 1",
    transitions=[[[1]]],
    rewards=[[0]],
    discount="1/2",
    settings={"aversion": 1},
    extras={"means": [1, 1, 1], "variances": [1, 1, 1]},
)
"""Worth 4/3; with a constant level 1."""

schedule = Claim(
    id="entropic-risk-needs-a-schedule",
    title="Entropic risk of a discounted return: the level falls with the discount, and the optimum changes with time",
    source=Source(
        "hau2023entropic", where="the dynamic programme of discounted entropic risk, as recalled; instances derived here", version="AISTATS 2023"
    ),
    domain=STAGED,
    settings=AVERSE,
    forms=[
        Form("recursion", equal(q.scheduled_entropic_values, q.tree_entropic_values)),
        Form("a constant level is too cautious", q.constant_entropic_values <= q.scheduled_entropic_values),
        Form(
            "a factor goes into the level",
            equal(q.scaled_law_erm, q.factor * q.law_erm_at_scaled_level),
            domain=ALONE.replace(extras=LAW),
            settings={**AVERSE, q.factor: Between(Rational(1, 20), 1)},
            instances=("arms([1])",),
        ),
        Form(
            "more aversion, less worth",
            q.law_erm <= q.law_erm_at_scaled_level,
            domain=ALONE.replace(extras=LAW),
            settings={**AVERSE, q.factor: Between(Rational(1, 20), 1)},
            instances=("arms([1])",),
        ),
        Form(
            "independent normal rewards, without an end",
            equal(q.normal_return_erm, q.normal_scheduled_value),
            domain=NORMAL,
            settings=GENTLE,
            instances=(EVER_NORMAL,),
        ),
        Form(
            "there too a constant level is too cautious",
            q.normal_constant_value <= q.normal_scheduled_value,
            domain=NORMAL,
            settings=GENTLE,
            instances=(EVER_NORMAL,),
        ),
    ],
    negative_controls=[
        Control(
            "constant level, normal rewards",
            equal(q.normal_constant_value, q.normal_return_erm),
            domain=NORMAL,
            settings=GENTLE,
            instances=(EVER_NORMAL,),
            because="the risk of a reward at t weighs with gamma^2t, not gamma^t: 4/3 against 1 for N(1, 1) at gamma = 1/2 and beta = 1",
        ),
        Control(
            "one power of the discount late",
            equal(q.late_entropic_values, q.tree_entropic_values),
            because="what comes after step t is multiplied by gamma^(t+1) in the return: a fair 0 or 1 a step later is worth .0950, not .0422",
        ),
        Control(
            "constant level",
            equal(q.constant_entropic_values, q.tree_entropic_values),
            because="entropic risk is not positively homogeneous: late rewards are small, and towards small risks one is nearly neutral",
        ),
        Control(
            "a stationary policy is optimal",
            q.stationary_entropic_values >= q.tree_entropic_values,
            because="the level falls with time: of 3/10 for sure and a fair 0 or 1 the first choice is the sure one and the second the other",
        ),
    ],
    departs="Stated for two decisions and a final reward, and for normal rewards without decisions; the proof is for any horizon.",
    instances=(LATE, SWITCH, *SMALL),
    kind="equal",
)

MIXED = {q.tail: Between(Rational(1, 10), 1), q.risk_share: Between(Rational(1, 20), 1), q.fade: Between(Rational(1, 4), 1)}
COSTLY = random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, max_actions=2)
REMEMBER = by_hand(
    "what to do at u depends on where one came from",
    transitions=[
        [[0, 0, 1, 0, 0, 0]] * 2,
        [[0, 0, "1/2", "1/2", 0, 0]] * 2,
        [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]],
        [[0, 0, 0, 0, 0, 1]] * 2,
        [[0, 0, 0, 0, 0, 1]] * 2,
        [[0, 0, 0, 0, 0, 1]] * 2,
    ],
    rewards=[[0, 0], [0, 0], [0, "3/4"], [1, 1], ["1/2", "1/2"], [0, 0]],
    discount=0,
    mu=["1/2", "1/2", 0, 0, 0, 0],
    settings={"tail": "1/2", "risk_share": 1, "fade": 1},
    extras={},
)
ONE_STAGE = by_hand(
    "a cost of 1 with probability 1/4",
    transitions=[[[0, "1/4", "3/4"]], [[0, 0, 1]], [[0, 0, 1]]],
    rewards=[[0], [1], [0]],
    discount=0,
    mu=[1, 0, 0],
    settings={"tail": "1/2", "risk_share": "1/2", "fade": 1},
)

augmented = Claim(
    id="ecrm-augmented-equivalence",
    title="Expected conditional CVaR is an ordinary problem whose actions announce the next threshold",
    source=Source("yu2023global", where="ECRM and its augmented problem, as recalled; statement derived here", version="ICML 2023"),
    domain=COSTLY,
    settings=MIXED,
    forms=[
        Form("three stages", equal(q.ecrm_values, q.ecrm_augmented_values)),
        Form("forgetting does not help", q.ecrm_forgetful_mu >= q.ecrm_mu),
        Form(
            "range of the stage cost",
            q.ecrm_stage_costs <= q.risk_share / q.tail + 1 - q.risk_share + q.fade * q.risk_share,
            domain=COSTLY.replace(extras={"announced": Extra(("S", 2), meaning="eta and eta'")}),
        ),
    ],
    negative_controls=[
        Control(
            "the state alone suffices",
            equal(q.ecrm_forgetful_mu, q.ecrm_mu),
            because="the risk of the second cost is taken given the first state and action: a bad branch beside it makes a large cost at u free",
        ),
        Control(
            "tail of the other side",
            equal(q.ecrm_values, q.ecrm_augmented_values_other_tail),
            settings={**MIXED, q.tail: Between(Rational(1, 10), Rational(9, 10))},
            because="alpha is the mass of the tail; 1 - alpha stands where alpha is the level of the quantile",
        ),
    ],
    departs="Stated for three stages, the first and the last of which differ from the others; the proof is for any number.",
    instances=(REMEMBER, ONE_STAGE, "loop(1/2)", "arms([1, 0], 9/10)"),
    kind="equal",
)

STEPS = {q.tail: Between(Rational(1, 10), 1), q.risk_share: Between(Rational(1, 20), 1), q.backups: (1, 2, 4, 8, 16, 40)}
ANNOUNCED = {"announced": Extra((2,), meaning="the two levels eta")}
LEARNT = random_mdps(policy="uniform", mu="positive", rho="any", max_states=2, max_actions=2, max_discount=Rational(9, 10), extras=ANNOUNCED)
RATE = q.ecrm_cost_range * q.ecrm_mismatch * 16 * sqrt(q.gamma * q.S * q.A) / (1 - q.gamma) ** 3
RATE_FROM_MU = q.ecrm_cost_range * q.ecrm_mismatch_from_mu * 16 * sqrt(q.gamma * q.S * q.A) / (1 - q.gamma) ** 3


def _learnt(name: str, discount: str, steps: int) -> Instance:
    return by_hand(
        name,
        transitions=[[["1/2", "1/2"]] * 2] * 2,
        rewards=[[0, 1], [1, 0]],
        discount=discount,
        settings={"tail": "1/2", "risk_share": "1/2", "backups": steps},
        extras={"announced": [0, 1]},
    )


SHORT_SIGHTED = _learnt("short-sighted, one step", "1/10000", 1)
CROSSED = _learnt("costs crossed, 40 steps", "1/2", 40)
NEARLY_EQUAL = by_hand(
    "two actions whose costs differ by 1/100, four steps",
    transitions=[[[1]] * 2],
    rewards=[[0, "1/100"]],
    discount="1/200",
    settings={"tail": 1, "risk_share": 1, "backups": 4},
    extras={"announced": [0, 1]},
)
HARDLY_STARTED = dataclasses.replace(
    by_hand(
        "two states that stay, the second hardly started in, 40 steps",
        transitions=[[[1, 0]] * 2, [[0, 1]] * 2],
        rewards=[[0, 1], [0, 1]],
        discount="1/400",
        mu=["99999/100000", "1/100000"],
        settings={"tail": 1, "risk_share": "1/20", "backups": 40},
        extras={"announced": [0, 0]},
    ),
    rho=rational_array([0, 1]),
)

rate = Claim(
    id="ecrm-projected-gradient-rate",
    title="Projected policy gradient for expected conditional CVaR: one over the root of T",
    source=Source("yu2023global", where="rate in the direct parametrisation; constants by Agarwal et al. (2021), Theorem 4.1", version="ICML 2023"),
    domain=LEARNT,
    settings=STEPS,
    where=((Rational(1, 100_000), q.gamma),),
    trivial=q.ecrm_cost_range / (1 - q.gamma),
    forms=[
        Form("main", q.ecrm_gap <= RATE / sqrt(q.backups)),
        Form("one over T", q.ecrm_gap <= RATE**2 * (1 - q.gamma) / (q.ecrm_cost_range * q.backups)),
    ],
    negative_controls=[
        Control(
            "best of the iterates before T",
            q.ecrm_gap_before <= RATE / sqrt(q.backups),
            because="at T = 1 that is the gap of the start, and at a small discount the bound is far below it: the first step counts",
        ),
        Control(
            "mismatch of mu",
            q.ecrm_gap <= RATE_FROM_MU / sqrt(q.backups),
            because="a state that mu hardly starts in hardly moves; from mu it weighs little, from rho it may be all that counts",
        ),
        Control(
            "one over T squared",
            q.ecrm_gap <= RATE / q.backups**2,
            because="projected gradient at this step size needs many short steps while the horizon is long",
        ),
    ],
    uses=["ppg-one-over-t", "ecrm-augmented-equivalence"],
    departs="Printed constants not seen; the best iterate is the last one, since every step improves; two levels, discount above 1/100000.",
    instances=(SHORT_SIGHTED, CROSSED, NEARLY_EQUAL, HARDLY_STARTED, "loop(1/2)"),
)
