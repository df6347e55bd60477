"""Constrained MDPs: the program over visits, its dual, exact penalties, what conditioning on a return does to a budget.
Derivation: docs/theory/constrained.md"""

from typing import Any

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

ALTMAN = "altman1999constrained"
SIGNAL = Extra(("S", "A"), low=0, high=1, meaning="g, the reward whose discounted sum must reach b")
SHARE = Extra((), low=0, high=1, meaning="where b lies between the least and the largest V_g")
PRICE = Extra((), low=0, high=20, meaning="a price of the constraint")
ONE = {"signal": SIGNAL, "share": SHARE}
TWO = {
    "signals": Extra((2, "S", "A"), low=0, high=1, meaning="the rewards of two constraints"),
    "shares": Extra((2,), low=0, high=1, meaning="b_i in units of what the instance's policy reaches"),
}
SMALL = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=3, max_discount=Rational(19, 20), extras=ONE)
DOUBLE = SMALL.replace(max_actions=2, extras=TWO)
PAIR = SMALL.replace(other="any", extras={})

MULTIPLIER = {"multiplier": 3, "second_share": "1/4"}


def _arms(name, rewards, signal, share, policy=None, **settings):
    extras = {"signal": [signal], "share": share, **MULTIPLIER}
    return by_hand(
        name, transitions=[[[1]] * len(rewards)], rewards=[rewards], discount=0, policy=policy and [policy], settings=settings, extras=extras
    )


LEVER = _arms("one arm that pays 1 and costs 1, budget 3/10", [1, 0], [0, 1], "7/10", [0, 1], price_factor=1)
FULL_PULL = _arms("the same bandit, at the arm that pays", [1, 0], [0, 1], "7/10", [1, 0], price_factor=1)
HALF_PRICE = _arms("the same bandit, half the price", [1, 0], [0, 1], "7/10", [0, 1], price_factor="1/2")
NO_ROOM = _arms("the same bandit without a budget", [1, 0], [0, 1], 1, [0, 1], price_factor=1)
NO_ROOM_DEAR = by_hand(
    "the same bandit without a budget, price 20",
    transitions=[[[1]] * 2],
    rewards=[[1, 0]],
    discount=0,
    extras={"signal": [[0, 1]], "share": 1, "multiplier": 20},
)
MIDDLE_ARM = _arms("a middle arm that mixing beats", [1, "2/5", 0], [0, "1/2", 1], "1/2", [0, 0, 1], price_factor=1)
DEAR = _arms("an arm that pays 1 for a hundredth of the constraint's range", [1, 0], [0, "1/100"], "1/2", [0, 1], price_factor=1)
TWO_CONTEXTS: dict[str, Any] = {"transitions": [[[1, 0]] * 2, [[0, 1]] * 2], "rewards": [[1, 0], ["1/2", 0]], "discount": 0}
KINK = by_hand(
    "two contexts, budget at the kink of the front",
    **TWO_CONTEXTS,
    policy=[[0, 1], [0, 1]],
    settings={"price_factor": "9/10"},
    extras={"signal": [[0, 1], ["3/4", 1]], "share": "4/5", **MULTIPLIER},
)
FATIGUE = by_hand(
    "work tires, and tired work costs 1",
    transitions=[[["1/2", "1/2"], [1, 0]], [[0, 1], [1, 0]]],
    rewards=[[1, 0], [1, 0]],
    discount="1/2",
    mu=[1, 0],
    policy=[[0, 1], [0, 1]],
    settings={"price_factor": 2},
    extras={"signal": [[1, 1], [0, 1]], "share": "1/2", **MULTIPLIER},
)
TWO_BUDGETS = by_hand(
    "two arms with a budget each",
    transitions=[[[1]] * 3],
    rewards=[[1, 1, 0]],
    discount=0,
    policy=[[0, 0, 1]],
    extras={"signals": [[[0, 1, 1]], [[1, 0, 1]]], "shares": ["2/3", "3/4"]},
)
TWO_DOORS = by_hand(
    "two doors in a row, and a wall behind each that stays shut",
    transitions=[[[0, 0, 0, 1], [0, 1, 0, 0]], [[0, 0, 0, 1], [0, 0, 1, 0]], [[0, 0, 1, 0]] * 2, [[0, 0, 0, 1]] * 2],
    rewards=[[0, 0], [0, 0], [1, 1], [0, 0]],
    discount="9/10",
    mu=[1, 0, 0, 0],
    policy=[[0, 1], [0, 1], [1, 0], [1, 0]],
    other=[[1, 0]] * 4,
)
"""One policy opens both doors and one opens none; the mean of their probabilities opens both a quarter of the time."""
ZOO = ("loop(9/10)", "chain(1, 9/10)", "polytope(9/10)")
CASES = (LEVER, FULL_PULL, MIDDLE_ARM, DEAR, NO_ROOM, KINK, FATIGUE, *ZOO)

occupancy_program = Claim(
    id="cmdp-occupancy-lp",
    title="A constrained MDP is a linear program over visits",
    source=Source(ALTMAN, where="chapters 3 and 4, as recalled; derived here", version="Chapman & Hall 1999"),
    domain=SMALL,
    departs="At most nine pairs of state and action when sampled, one constraint or two, both sides by enumeration.",
    forms=[
        Form("value", equal(q.program_value, q.mixture_value)),
        Form("the policy attains it", equal(q.recovered_value, q.program_value)),
        Form("the policy meets the constraint", q.recovered_constraint >= q.constraint_level),
        Form("no policy does better", q.reward_value <= q.program_value, where=((q.constraint_level, q.constraint_value),)),
        Form("at most one extra action", q.extra_actions <= 1),
        Form("two constraints", equal(q.recovered_value_of_two, q.program_value_of_two), domain=DOUBLE, instances=(TWO_BUDGETS, *ZOO)),
        Form("two constraints are met", q.recovered_room_of_two >= 0, domain=DOUBLE, instances=(TWO_BUDGETS, *ZOO)),
        Form("no worse than a policy that meets two", q.reward_value <= q.program_value_of_two, domain=DOUBLE, instances=(TWO_BUDGETS, *ZOO)),
        Form("at most two extra actions", q.extra_actions_of_two <= 2, domain=DOUBLE, instances=(TWO_BUDGETS, *ZOO)),
        Form("visits are convex", equal(q.value_of_mean_visits, q.mean_of_values), domain=PAIR, instances=(TWO_DOORS, *ZOO)),
    ],
    negative_controls=[
        Control(
            "deterministic policies suffice",
            q.program_value <= q.deterministic_value,
            because="an arm that pays 1 and costs 1 under a budget of 3/10: without a coin it is never pulled, with one three times in ten",
        ),
        Control(
            "no more than one extra action for two constraints",
            q.extra_actions_of_two <= 1,
            domain=DOUBLE.replace(max_actions=3, max_states=1),
            instances=(TWO_BUDGETS,),
            because="each constraint may need a mixture of its own: two arms with a budget each and a third that is free",
        ),
        Control(
            "a policy's value is linear in its probabilities",
            equal(q.value_of_mean_policy, q.mean_of_values),
            domain=PAIR,
            instances=(TWO_DOORS, *ZOO),
            because="two doors in a row: half the probabilities at each is a quarter of the way through both; visits mix, policies do not",
        ),
    ],
    instances=CASES,
    kind="equal",
)

DUAL = SMALL.replace(max_actions=2, extras=ONE | {"multiplier": PRICE})
FRONT = SMALL.replace(max_actions=2, extras=ONE | {"second_share": SHARE})
ROOM = ((Rational(1, 1000), q.room),)
"""Room of at least a thousandth: a multiplier is a quotient by room, and float64 is of no use below."""

strong_duality = Claim(
    id="cmdp-strong-duality",
    title="Constrained MDPs: no duality gap, bounded multipliers, a concave front",
    source=Source(ALTMAN, where="chapter 3, as recalled; derived here", version="Chapman & Hall 1999"),
    domain=DUAL,
    departs="The bound with a Slater policy takes that policy's own room V_g - b, not the largest one.",
    forms=[
        Form("weak duality", q.program_value <= q.dual_value),
        Form("no gap at the smallest multiplier", equal(q.dual_value_smallest, q.program_value)),
        Form("no gap at the largest multiplier", equal(q.dual_value_largest, q.program_value), where=ROOM),
        Form(
            "multipliers and a Slater policy",
            q.largest_multiplier * (q.constraint_value - q.constraint_level) <= q.program_value - q.reward_value,
            where=((q.constraint_level, q.constraint_value), *ROOM),
        ),
        Form("multipliers and the room", q.largest_multiplier * q.room <= 1 / (1 - q.gamma), where=ROOM),
        Form("far multipliers", q.dual_value - q.program_value >= q.multiplier * q.room - 1 / (1 - q.gamma)),
        Form("the front is concave", 2 * q.mixture_value_between >= q.program_value + q.mixture_value_second, domain=FRONT),
        Form("the front does not rise", q.mixture_value_second <= q.program_value, where=((q.constraint_level, q.second_level),), domain=FRONT),
        Form(
            "slopes",
            q.mixture_value_second <= q.program_value - q.smallest_multiplier * (q.second_level - q.constraint_level),
            domain=FRONT,
        ),
        Form(
            "slopes, the largest",
            q.mixture_value_second <= q.program_value - q.largest_multiplier * (q.second_level - q.constraint_level),
            domain=FRONT,
            where=ROOM,
        ),
    ],
    negative_controls=[
        Control(
            "bounded without room",
            q.dual_value - q.program_value >= q.multiplier - 1 / (1 - q.gamma),
            domain=DUAL.replace(min_actions=2),
            where=((q.room, Rational(1, 10**9)),),
            instances=(NO_ROOM_DEAR,),
            because="an arm that pays 1 and costs 1 without a budget: every price from 1 on is optimal, so none can be ruled out",
        ),
        Control(
            "multipliers without the room",
            q.largest_multiplier <= 1 / (1 - q.gamma),
            where=ROOM,
            because="an arm that pays 1 for a hundredth of the constraint's range costs a hundred a unit",
        ),
        Control(
            "no gap without a coin",
            q.dual_value_smallest <= q.deterministic_value,
            because="a middle arm worth 2/5 at half the cost: the dual is 1/2, the best deterministic policy 2/5",
        ),
        Control(
            "the dual attains a smaller value",
            q.dual_value <= q.program_value,
            because="a price that is not optimal leaves a gap",
        ),
    ],
    uses=["cmdp-occupancy-lp"],
    instances=CASES,
    kind="equal",
)

PENALISED = SMALL.replace(max_actions=2)
AT_LEAST, BELOW, DOUBLED = (
    {q.price_factor: Between(low, high)} for low, high in ((1, 4), (Rational(1, 10), Rational(99, 100)), (2, 8))
)  # fmt: skip
DELTA = q.program_value - q.reward_value + q.penalty_price * q.missing

exact_penalty = Claim(
    id="exact-penalty",
    title="A penalty of at least the smallest multiplier is exact",
    source=Source("bertsekas2016nonlinear", where="exact penalties, as recalled; derived here", version="3rd edition"),
    domain=PENALISED,
    settings=AT_LEAST,
    forms=[
        Form("exact", equal(q.penalised_value, q.program_value)),
        Form(
            "below the multiplier it gains",
            q.penalised_value >= q.program_value + (q.smallest_multiplier - q.penalty_price) * q.edge_length,
            settings=BELOW,
        ),
        Form("what may be missing", q.penalty_price * q.missing <= 2 * DELTA, settings=DOUBLED),
        Form("what may be missing, any price", (q.penalty_price - q.smallest_multiplier) * q.missing <= DELTA),
    ],
    departs="The last form is sharper and holds from C = lambda* on; the printed one follows for C >= 2 lambda*.",
    negative_controls=[
        Control(
            "exact below the multiplier",
            equal(q.penalised_value, q.program_value),
            settings=BELOW,
            where=((0, q.smallest_multiplier),),
            because="at half the price it pays to break the budget: 1 - C(1-b) exceeds b",
        ),
        Control(
            "what may be missing at the multiplier itself",
            q.penalty_price * q.missing <= 2 * DELTA,
            where=((q.price_factor, 2),),
            because="at C = lambda* every policy of the bandit loses nothing, the one that always pulls included, which misses by 1 - b",
        ),
        Control(
            "below the largest multiplier it gains",
            q.penalised_value_below_largest >= q.program_value + Rational(1, 1000) * q.largest_multiplier * q.room,
            settings=BELOW,
            where=((0, q.smallest_multiplier), *ROOM),
            because="at a kink of the front multipliers are an interval, and from its lower end on the penalty is exact",
        ),
    ],
    uses=["cmdp-strong-duality"],
    instances=(LEVER, FULL_PULL, HALF_PRICE, MIDDLE_ARM, DEAR, KINK, FATIGUE, *ZOO),
    kind="equal",
)

RISKS = {
    "risk": Extra((), low=Rational(1, 20), high=Rational(19, 20), meaning="probability with which the risky arm costs 1"),
    "share": Extra((), low=0, high=1, meaning="budget in units of the risk"),
    "behaviour": Extra((2,), "interior", meaning="the policy of the data"),
}
TREES = {
    "tree_behaviour": Extra((3, 2), "interior", meaning="the policy of the data at the root and after each first choice"),
    "tree_pays": Extra((2, 3, 2), low=0, high=1, meaning="reward and cost of each choice"),
    "aim": Extra((4,), "choice", meaning="the path whose totals are asked for"),
}
ALONE = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Rational(0))
COIN = by_hand(
    "the risky arm costs 1 every other time",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    extras={"risk": "1/2", "share": "1/2", "behaviour": ["1/2", "1/2"]},
)
TIED_TREE = by_hand(
    "two paths with the same totals",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    extras={
        "tree_behaviour": [["1/2", "1/2"]] * 3,
        "tree_pays": [[["1/2", 0], ["1/2", 0], [1, 0]], [[0, 1], [0, 1], [0, 1]]],
        "aim": [1, 0, 0, 0],
    },
)

return_conditioning = Claim(
    id="return-conditioning-violates-the-budget",
    title="Conditioning on a return and a cost that were lucky breaks the budget",
    source=Source("brandfonbrener2022when", where="stochastic returns, as recalled; the example derived here", version="arXiv:2206.01079"),
    domain=ALONE.replace(extras=RISKS),
    departs="Two arms, and trees of two deterministic choices. Any policy of the data that tries both arms.",
    forms=[
        Form("the cost of asking for none", equal(q.conditioned_cost, q.risk)),
        Form("deterministic trees", equal(q.tree_achieved, q.tree_targets), domain=ALONE.replace(extras=TREES), instances=(TIED_TREE,)),
        Form("the front", equal(q.risk_front, Rational(1, 2) + q.risk_budget / (2 * q.risk))),
        Form("conditioning pays no attention to the budget", q.conditioned_reward >= q.risk_front),
    ],
    negative_controls=[
        Control(
            "the target is kept",
            q.conditioned_cost <= 0,
            because="the data with return 1 and cost 0 are those in which the risky arm was lucky, and luck is not a choice",
        ),
        Control(
            "within the budget",
            q.conditioned_cost <= q.risk_budget,
            because="the budget allows the risky arm in a share b/q of the cases; conditioning takes it always",
        ),
    ],
    uses=["cmdp-occupancy-lp"],
    instances=(COIN,),
    kind="equal",
)
