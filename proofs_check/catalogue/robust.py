"""Robust planning: contraction, saddle points, randomisation, contamination, what robustness costs.  Derivation: docs/theory/robust.md"""

from typing import Any

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, random_mdps
from proofs_check.statement import equal

IYENGAR = Source("iyengar2005robust", where="Theorem 3.2, as recalled; every constant derived here", version="Math. Oper. Res. 30(2)")
RADII = Extra(("S", "A"), low=0, high=2, meaning="radius of each row's L1 ball")
VECTORS = {
    "first": Extra(("S",), low=-3, high=3, meaning="values u"),
    "second": Extra(("S",), low=-3, high=3, meaning="values v"),
}
BALLS = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=3, rewards=None, max_discount=Rational(99, 100))
ONE = BALLS.replace(extras={"radii": RADII, "first": VECTORS["first"]})
TWO = BALLS.replace(extras={"radii": RADII, **VECTORS})
RAISED = BALLS.replace(extras={"radii": RADII, "first": VECTORS["first"], "constant": Extra((), low=-3, high=3, meaning="a constant")})

HALF = [[["1/2", "1/2"]], [["1/2", "1/2"]]]
APART = by_hand(
    "u and v that differ by a constant",
    transitions=HALF,
    rewards=[[1], [0]],
    discount="9/10",
    extras={"radii": [["2/5"], ["2/5"]], "first": [2, 1], "second": [1, 0], "constant": 1},
)
MISLED = by_hand(
    "two copies, one overestimated by 1 and one underestimated",
    transitions=[[[0, 1], [1, 0]]] * 2,
    rewards=[[0, 1]] * 2,
    discount="1/2",
    extras={"radii": [[0, 0]] * 2, "first": [1, 3], "second": [0, 0], "constant": 0},
)
"""Both states are worth 2; going to the second one pays nothing, going to the first pays 1, and the estimate makes the two look alike."""

contraction = Claim(
    id="robust-bellman-contraction",
    departs="L1 balls; for one budget a state the operator of a policy only",
    title="Robust Bellman operators contract by gamma, exactly",
    source=IYENGAR,
    domain=TWO,
    forms=[
        Form("optimality", q.robust_backup_difference <= q.gamma * q.given_difference),
        Form("a policy's", q.robust_policy_backup_difference <= q.gamma * q.given_difference),
        Form("a policy's, one budget a state", q.shared_policy_backup_difference <= q.gamma * q.given_difference),
        Form("constants pass through", equal(q.robust_backup_raised, q.robust_backup + q.gamma * q.constant), domain=RAISED),
        Form("monotone", q.robust_backup_of_larger >= 0),
        Form("stopping", q.robust_distance_after <= q.gamma / (1 - q.gamma) * q.robust_change, domain=ONE),
        Form("greedy policy", q.robust_greedy_loss <= 2 * q.gamma / (1 - q.gamma) * q.robust_distance, domain=ONE),
    ],
    negative_controls=[
        Control(
            "the set helps to contract",
            q.robust_backup_difference <= q.gamma * (1 - q.half_smallest_radius) * q.given_difference,
            because="vectors that differ by a constant stay so, times gamma: every kernel of the set has rows that sum to 1",
        ),
        Control(
            "nature may lose mass",
            equal(q.leaky_backup_raised, q.gamma * q.constant),
            domain=RAISED,
            because="a constant passes through a row with gamma times the row's sum, and here the sum may be 9/10",
        ),
        Control(
            "greedy policy, once",
            q.robust_greedy_loss <= q.gamma / (1 - q.gamma) * q.robust_distance,
            domain=ONE,
            because="the greedy policy may be misled twice a step: by an action that looks better than it is and by one that looks worse",
        ),
    ],
    instances=(APART, MISLED, "loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 9/10)"),
)

SOME = BALLS.replace(
    max_discount=Rational(19, 20),
    extras={"radii": RADII, "first": VECTORS["first"], "share": Extra((), low=0, high=1, meaning="how far the kernel lies towards the edge")},
)

saddle = Claim(
    id="robust-saddle-rectangular",
    departs="L1 balls; the proof is for every compact (s, a)-rectangular set, convex or not",
    title="Rectangular sets: max min = min max, and a deterministic policy attains it",
    source=Source("nilim2005robust", where="Theorem 1, as recalled; Wiesemann, Kuhn, Rustem (2013), Proposition A.1", version="Oper. Res. 53(5)"),
    domain=SOME,
    forms=[
        Form("a deterministic policy attains it", equal(q.robust_values_of_greedy, q.robust_optimal_values)),
        Form("nothing to gain at the worst kernel", equal(q.optimal_values_at_worst_kernel, q.robust_optimal_values)),
        Form("no policy does better", q.robust_values <= q.robust_optimal_values),
        Form("no kernel is worse", q.optimal_values_at_some_kernel >= q.robust_optimal_values),
        Form("the worst kernel is the worst", q.kernel_values >= q.robust_values),
        Form("one budget a state, randomised", equal(q.coin_max_min, q.coin_min_max), domain=BALLS.replace(max_states=1, max_actions=1, extras={})),
    ],
    negative_controls=[
        Control(
            "one budget a state, deterministic",
            equal(q.coin_max_min_deterministic, q.coin_min_max),
            domain=BALLS.replace(max_states=1, max_actions=1, extras={}),
            because="nature sees which action is taken; a coin of the agent's own hides it",
        ),
        Control(
            "a set that is not convex",
            equal(q.coin_max_min, q.coin_min_max_pure),
            domain=BALLS.replace(max_states=1, max_actions=1, extras={}),
            because="nature that moves first and may not mix either shows its hand",
        ),
        Control(
            "any kernel of the set",
            equal(q.optimal_values_at_some_kernel, q.robust_optimal_values),
            because="only the kernel that is worst for the robust optimum leaves nothing to gain",
        ),
    ],
    uses=["robust-bellman-contraction"],
    instances=("loop(9/10)", "chain(1, 9/10)", "domino(1, 9/10)", "polytope(9/10)", "arms([1, 0], 9/10)"),
    kind="equal",
)

SHARE = {"share": Extra((), low=0, high=Rational(9, 10), meaning="probability R of contamination")}
MIXED = BALLS.replace(extras=SHARE, max_discount=Rational(19, 20))
LADDER = by_hand(
    "ladder of three states, R = 1/5",
    transitions=[[["1/2", "1/2", 0]], [[0, "1/2", "1/2"]], [[0, 0, 1]]],
    rewards=[[0], [0], [1]],
    discount="1/2",
    extras={"share": "1/5"},
)
"""Robust values 1/8, 7/16, 27/16."""

contamination = Claim(
    id="contamination-is-smaller-discount",
    title="Contamination of every row is a smaller discount and a constant",
    source=Source("wang2022policy", where="the contamination model; the identity derived here", version="arXiv:2205.07344"),
    domain=MIXED,
    forms=[
        Form("optimal values", equal(q.contaminated_optimal_values, q.shifted_shorter_values)),
        Form("values of a policy", equal(q.contaminated_values, q.shifted_shorter_policy_values)),
        Form("the same optimal policies", equal(q.contaminated_values_of_shorter_optimal, q.contaminated_optimal_values)),
    ],
    negative_controls=[
        Control(
            "shifted by the shorter problem's minimum",
            equal(q.contaminated_optimal_values, q.wrongly_shifted_values),
            because="what contamination leads to is worth the robust minimum, above that of the shorter problem where rewards are positive",
        ),
        Control(
            "contaminated to a fixed state",
            equal(q.contaminated_to_first, q.shifted_shorter_values),
            because="a state that is not the worst one is worth more",
        ),
    ],
    instances=(LADDER, "loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 9/10)", "arms([1/2])"),
    kind="equal",
)

EVEN = by_hand(
    "every move a fair coin, rewards 1 and 0",
    transitions=HALF,
    rewards=[[1], [0]],
    discount="9/10",
    extras={"radii": [["2/5"], ["2/5"]]},
)
"""V = (11/2, 9/2), V_rob = (37/10, 27/10): the price is 9/5, the bound as well."""

price = Claim(
    id="price-of-robustness-l1",
    title="What an L1 ball of radius beta costs: at most gamma beta sp(V) / (2 (1 - gamma))",
    source=Source("unpublished", where="a simulation lemma with the sharp constant; derived here"),
    domain=BALLS.replace(extras={"radii": RADII}),
    forms=[
        Form("never a gain", q.state_values >= q.robust_values),
        Form("span of the values", q.robust_price <= q.gamma * q.largest_radius * q.span / (2 * (1 - q.gamma))),
        Form("span of the robust values", q.robust_price <= q.gamma * q.largest_radius * q.robust_span / (2 * (1 - q.gamma))),
    ],
    negative_controls=[
        Control(
            "the same for total variation",
            q.robust_price_of_variation <= q.gamma * q.largest_radius * q.span / (2 * (1 - q.gamma)),
            because="a total variation of beta is an L1 distance of 2 beta, and moves twice the mass",
        ),
        Control(
            "without the horizon",
            q.robust_price <= q.gamma * q.largest_radius * q.span / 2,
            because="nature moves mass in every step, not once",
        ),
    ],
    uses=["robust-bellman-contraction"],
    instances=(EVEN, "loop(9/10)", "chain(1, 9/10)", "polytope(9/10)", "arms([1, 0], 9/10)"),
)

NUMBERS = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Rational(19, 20))
SPENT = NUMBERS.replace(
    extras={
        "chances": Extra((2,), low=0, high=1, meaning="nominal chances p of the good end"),
        "share": Extra((), low=0, high=1, meaning="beta/2 as a share of the smaller chance"),
        "probability": Extra((), low=0, high=1, meaning="probability of the first action"),
    }
)
POINT: dict[str, Any] = {"transitions": [[[1]]], "rewards": [[0]], "discount": "1/2"}
EVEN_CHANCES = by_hand("chances 3/4 and 3/4, beta = 1/2", **POINT, extras={"chances": ["3/4", "3/4"], "share": "1/3", "probability": "1/2"})
CLOSE_CHANCES = by_hand("chances 3/4 and 5/8, beta = 1/2", **POINT, extras={"chances": ["3/4", "5/8"], "share": "2/5", "probability": "1/2"})
APART_CHANCES = by_hand("chances 3/4 and 3/8, beta = 1/2", **POINT, extras={"chances": ["3/4", "3/8"], "share": "2/3", "probability": "1/2"})

randomisation = Claim(
    id="s-rect-needs-randomisation",
    title="One budget for all actions of a state: the best policy tosses a coin",
    source=Source("wiesemann2013robust", where="the example of section 3, as recalled; the values derived here", version="Math. Oper. Res. 38(1)"),
    domain=SPENT,
    forms=[
        Form("a coin against a coin", equal(q.coin_max_min, q.gamma / (2 * (1 - q.gamma))), domain=NUMBERS),
        Form("no coin", equal(q.coin_max_min_deterministic, q.zero), domain=NUMBERS),
        Form("value of a choice", equal(q.budget_value, q.budget_value_formula)),
        Form("best choice", equal(q.budget_best, q.budget_best_formula)),
        Form("with separate budgets", equal(q.budget_best_separate, q.budget_separate_formula)),
    ],
    negative_controls=[
        Control(
            "deterministic policies suffice",
            equal(q.budget_best_deterministic, q.budget_best),
            because="a deterministic choice loses beta/2, an even one only beta/4, which is more than the chances differ by",
        ),
        Control(
            "even choices are always best",
            equal(q.budget_best, q.budget_uniform_formula),
            because="where the chances differ by more than beta/2 the better action alone is best",
        ),
        Control(
            "separate budgets too",
            equal(q.budget_best_separate, q.budget_best_formula),
            because="if each action may lose beta/2 on its own, mixing them saves nothing",
        ),
    ],
    uses=["robust-saddle-rectangular"],
    instances=(EVEN_CHANCES, CLOSE_CHANCES, APART_CHANCES, "arms([1/2], 1/2)", "arms([1/2], 9/10)"),
    kind="equal",
)

GRAPH = random_mdps(
    policy="any", mu="any", rho="mu", max_states=4, max_actions=1, max_discount=Rational(19, 20),
    extras={
        "weights": Extra(("S", "S"), low=0, high=1, meaning="weight of the edge i < j; the rest is not read"),
        "bits": Extra(("S",), low=0, high=1, meaning="nature's number of each node"),
    },
)  # fmt: skip
NODES = {
    3: [[0, 1, 1], [0, 0, 1], [0, 0, 0]],
    4: [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    5: [[0, 1, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
}
GRAPHS = tuple(
    by_hand(
        name,
        transitions=[[[int(t == s) for t in range(n)]] for s in range(n)],
        rewards=[[0]] * n,
        discount="1/2",
        extras={"weights": NODES[n], "bits": ["1/2"] * n},
    )
    for n, name in ((3, "the triangle"), (4, "the complete graph of 4 nodes"), (5, "the cycle of 5 nodes"))
)

hardness = Claim(
    id="nonrectangular-maxcut-hardness",
    title="One number used in many places: nature must find a largest cut",
    source=Source("wiesemann2013robust", where="Theorem 1 (NP-hardness), as recalled; this reduction derived here", version="Math. Oper. Res. 38(1)"),
    domain=GRAPH,
    forms=[
        Form("worst value", equal(q.graph_value, q.graph_cut_formula)),
        Form("no numbers between are worse", q.graph_value_at >= q.graph_cut_formula),
        Form("rectangular hull", equal(q.graph_hull_value, q.zero), where=((0, q.graph_weight),)),
        Form("a stationary point", equal(q.graph_middle_slope, q.zero)),
        Form(
            "half the weight there", equal(q.graph_middle_gap, q.gamma**3 / (2 * (1 - q.gamma)) - q.graph_cut_formula), where=((0, q.graph_weight),)
        ),
    ],
    negative_controls=[
        Control(
            "the rectangular hull is as good",
            equal(q.graph_hull_value, q.graph_cut_formula),
            because="copies of a node that choose for themselves cut every edge, and a triangle has an edge that no cut of its nodes has",
        ),
        Control(
            "a stationary point is the worst case",
            q.graph_middle_gap <= 1000 * q.graph_middle_slope,
            because="the set is no product: at even numbers no single number matters, and the value is not the least",
        ),
    ],
    uses=["robust-saddle-rectangular"],
    instances=GRAPHS,
    kind="equal",
)

STRENGTH = {"strength": Extra(("S",), low=0, high=2, meaning="kappa, or the radius alpha of the reward ball of each state")}
PAID = BALLS.replace(rewards=(0, 1), max_discount=Rational(19, 20), extras=STRENGTH)
MIRRORED = PAID.replace(
    extras={
        **STRENGTH,
        "direction": Extra(("S", "A"), low=-1, high=1, meaning="where the policy is reflected"),
        "share": Extra((), low=-1, high=1, meaning="how far to the edge of the ball"),
    }
)
ALPHA = random_mdps(
    policy="any", mu="any", rho="mu", bandit=True, max_actions=4, extras={"alpha": Extra((), low=0, high=2, meaning="radius of the reward ball")}
)

regularisation = Claim(
    id="reward-robustness-is-policy-regularisation",
    title="A ball around the rewards of a state is a penalty on the norm of the policy",
    source=Source("derman2021twice", where="reward-robust MDPs, as recalled; derived here", version="arXiv:2110.06267"),
    domain=PAID,
    forms=[
        Form("attained", equal(q.reward_worst_values, q.reward_penalised_values)),
        Form("no rewards of the ball are worse", q.reward_perturbed_values >= q.reward_penalised_values, domain=MIRRORED),
        Form("with the radius given", q.reward_ball_values >= q.reward_regularised_values, domain=MIRRORED),
        Form("equal arms", q.equal_arms_value <= Rational(1, 2) - q.ball_radius * q.A ** Rational(-1, 2), domain=ALPHA),
    ],
    negative_controls=[
        Control(
            "a box has the same price",
            q.reward_box_values >= q.reward_regularised_values,
            because="rewards that fall each on its own cost a policy the whole radius, however evenly it chooses: the penalty is linear",
        ),
        Control(
            "one arm of many",
            q.equal_arms_value <= Rational(1, 2) - q.ball_radius,
            domain=ALPHA,
            because="that is what a deterministic choice is worth, and an even one among several is worth more",
        ),
    ],
    instances=("loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 1/2)", "arms([1/2, 1/2, 1/2])", "polytope(9/10)"),
    kind="equal",
)
