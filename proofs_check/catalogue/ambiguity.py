"""The least mean over a ball of distributions, ball by ball: sorting, norms, duals.  Derivation: docs/theory/ambiguity.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

V = Extra(("S",), low=-3, high=3, meaning="values v")
SHARE = Extra((), low=0, high=1, meaning="the radius as a share of what is allowed")
ROWS = random_mdps(policy="any", mu="any", rho="mu", max_states=4, max_actions=2, max_discount=Rational(1, 2))
L1 = ROWS.replace(extras={"v": V, "radii": Extra(("S", "A"), low=0, high=2, meaning="radius of each row's ball")})
ROW = ROWS.replace(max_actions=1)
INSIDE = ROW.replace(extras={"v": V, "p": Extra(("S",), "interior", meaning="a nominal row"), "share": SHARE})
THREE = [[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]]
TWO = [[[1, 0]], [[0, 1]]]
MIXED = by_hand(
    "p = (1/6, 1/3, 1/2), values 0, 1, 2",
    transitions=[[["1/6", "1/3", "1/2"]]] * 3,
    rewards=[[0]] * 3,
    discount=0,
    extras={"v": [0, 1, 2], "radii": [["1/4"]] * 3, "rows": [[[1, 0, 0]]] * 3},
)
"""Total variation 1/4: 5/6.  L1 distance 1/4: 13/12."""

sorting = Claim(
    id="inner-l1-tv-sort",
    title="L1 and total variation: move mass from the largest values to the smallest",
    source=Source(
        "strehl2008analysis", where="the sorting argument, as recalled; Iyengar (2005); dual derived here", version="J. Comput. Syst. Sci. 74(8)"
    ),
    domain=L1,
    forms=[
        Form("equals its dual", equal(q.l1_minimum, q.l1_dual)),
        Form("the row attains it", equal(q.l1_row_value, q.l1_dual)),
        Form("the row lies in the ball", q.l1_row_distance <= q.row_radii),
        Form("the row is a distribution", equal(q.l1_row_defect, q.zero)),
        Form(
            "no other row is lower",
            q.l1_other_value >= q.l1_dual,
            domain=L1.replace(extras={**dict(L1.extras), "rows": Extra(("S", "A", "S"), "distribution", meaning="other rows")}),
        ),
        Form("total variation", equal(q.tv_minimum, q.tv_dual)),
    ],
    negative_controls=[
        Control(
            "total variation read as L1",
            equal(q.l1_minimum, q.tv_dual),
            because="a total variation of delta lets delta of mass move, an L1 distance of delta half of that",
        ),
        Control(
            "the dual moves twice the mass",
            q.l1_row_value <= q.tv_dual,
            because="an L1 distance of beta lets only beta/2 of mass move",
        ),
    ],
    instances=(MIXED, "loop(9/10)", "chain(1, 9/10)", "polytope(9/10)", "arms([1, 0], 1/2)"),
    kind="equal",
)

FLAT = by_hand(
    "p uniform on the values 0, 1, 2",
    transitions=THREE,
    rewards=[[0]] * 3,
    discount=0,
    extras={"v": [0, 1, 2], "p": ["1/3", "1/3", "1/3"], "share": "3/10", "direction": [1, 0, 0], "turn": 1},
)

norms = Claim(
    id="inner-lp-ball-kappa",
    title="A ball inside the simplex costs its radius times the dual norm of the values, up to a constant",
    source=Source(
        "derman2021twice", where="support functions of Lp balls, as recalled; Kumar et al. (2022); derived here", version="arXiv:2110.06267"
    ),
    domain=INSIDE,
    forms=[
        Form("L1: half the span", equal(q.l1_inside_minimum, q.l1_span_formula)),
        Form("largest norm: distances from the median", equal(q.linf_inside_minimum, q.linf_median_formula)),
        Form("Euclidean: deviations from the mean", equal(q.l2_inside_minimum, q.l2_deviation_formula)),
        Form("Euclidean, without a root: attained", equal(q.l2_row_value, q.l2_square_formula)),
        Form(
            "Euclidean, without a root: nothing is lower",
            q.l2_other_value >= q.l2_square_formula,
            domain=INSIDE.replace(
                extras={
                    **dict(INSIDE.extras),
                    "direction": Extra(("S",), low=-1, high=1, meaning="where the minimiser is reflected"),
                    "turn": Extra((), low=-1, high=1, meaning="how far to the edge"),
                }
            ),
        ),
    ],
    negative_controls=[
        Control(
            "however large the radius",
            q.l2_far_formula >= q.least_value,
            because="the ball leaves the simplex, and the formula falls below the least value",
        ),
        Control(
            "Euclidean price for the largest norm",
            q.linf_inside_minimum >= q.l2_deviation_formula,
            because="a ball of the largest norm holds the Euclidean one of the same radius and more",
        ),
    ],
    instances=(FLAT, "loop(9/10)", "chain(1, 9/10)", "domino(1, 9/10)"),
    kind="equal",
)

KL = L1.replace(extras={"v": V, "radii": Extra(("S", "A"), low=0, high=3, meaning="radius of each row's ball, in nats")})
PAIR = ROW.replace(extras={"v": V, "p": Extra(("S",), "interior", meaning="a nominal row"), "q": Extra(("S",), "interior", meaning="another row")})
TAU = {q.tau: Between(Rational(1, 10), 10)}

divergence = Claim(
    id="inner-kl-dual",
    title="KL balls: one number tau, and the row p exp(-v/tau)",
    source=Source("nilim2005robust", where="KL balls, as recalled; Iyengar (2005); Hu and Hong (2013); derived here", version="Oper. Res. 53(5)"),
    domain=KL,
    forms=[
        Form("equals its dual", equal(q.kl_minimum, q.kl_dual_maximum)),
        Form("every tau is a lower bound", q.other_row_value >= q.kl_dual, domain=PAIR, settings=TAU),
    ],
    negative_controls=[
        Control(
            "the divergence the other way round",
            q.other_row_value >= q.kl_dual_reverse,
            domain=PAIR,
            settings=TAU,
            because="KL(p || q) <= delta is another set: it reaches further where p is small",
        ),
        Control(
            "anything more",
            q.other_row_value >= q.kl_dual + q.tau,
            domain=PAIR,
            settings=TAU,
            because="the row p exp(-v/tau) attains the bound: nothing can be added to it",
        ),
    ],
    instances=("loop(9/10)", "chain(1, 9/10)", "polytope(9/10)", "arms([1, 0], 1/2)"),
    kind="equal",
)

CHI2 = L1.replace(extras={"v": V, "radii": Extra(("S", "A"), low=0, high=3, meaning="radius of each row's ball")})
FAR = by_hand(
    "p = (1/10, 9/10), values 0 and 1, delta = 100",
    transitions=TWO,
    rewards=[[0]] * 2,
    discount=0,
    extras={"v": [0, 1], "p": ["1/10", "9/10"], "radius": 100, "share": 1, "q": ["1/2", "1/2"], "cap": 1},
)
"""E v - sqrt(delta Var v) = -2.1."""

squares = Claim(
    id="inner-chi2-dual",
    title="chi2 balls: cap the values, then mean less standard deviation",
    source=Source("iyengar2005robust", where="the chi2 ball, as recalled; Duchi and Namkoong (2019); derived here", version="Math. Oper. Res. 30(2)"),
    domain=CHI2,
    forms=[
        Form("equals its dual", equal(q.chi2_minimum, q.chi2_dual_maximum)),
        Form(
            "every cap is a lower bound",
            q.other_row_value >= q.chi2_dual,
            domain=PAIR.replace(extras={**dict(PAIR.extras), "cap": Extra((), low=-3, high=3, meaning="cap c")}),
        ),
        Form("small radius: attained", equal(q.chi2_row_value, q.chi2_variance_formula), domain=INSIDE),
        Form("small radius: in the ball", equal(q.chi2_row_distance, q.chi2_row_radius), domain=INSIDE),
    ],
    negative_controls=[
        Control(
            "however large the radius",
            q.chi2_far_formula >= q.least_value,
            domain=ROW.replace(extras={"v": V, "p": INSIDE.extras[1][1], "radius": Extra((), low=0, high=100, meaning="radius delta")}),
            because="the row that would attain it has negative entries, and the formula falls below the least value",
        ),
        Control(
            "rows outside the ball too",
            q.other_row_value >= q.chi2_variance_formula,
            domain=PAIR.replace(extras={**dict(PAIR.extras), "share": SHARE}),
            because="a row outside the ball has a lower mean than the ball's minimum",
        ),
    ],
    instances=(FAR, "loop(9/10)", "chain(1, 9/10)", "polytope(9/10)", "arms([1, 0], 1/2)"),
    kind="equal",
)

MOVED = ROW.replace(
    max_states=3,
    extras={
        "v": V,
        "p": Extra(("S",), "distribution", meaning="a nominal row"),
        "cost": Extra(("S", "S"), low=0, high=2, meaning="price of a unit from i to j; staying is free"),
        "radius": Extra((), low=0, high=2, meaning="radius delta"),
    },
)
LINE = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
ON_A_LINE = tuple(
    by_hand(
        f"all mass at the value 4 of 0, 1, 4 on a line, delta = {radius}",
        transitions=THREE,
        rewards=[[0]] * 3,
        discount=0,
        extras={
            "v": [0, 1, 4], "p": [0, 0, 1], "cost": LINE, "radius": radius,
            "plan": [[1, 0, 0], [0, 1, 0], [0, "1/2", "1/2"]], "price": 1,
        },
    )
    for radius in ("1/2", "3/2")
)  # fmt: skip

transport = Claim(
    id="inner-wasserstein-dual",
    title="Transport balls: one price, and finitely many to try",
    source=Source("gao2023distributionally", where="finite support, as recalled; derived here", version="arXiv:1604.02199"),
    domain=MOVED,
    forms=[
        Form("equals its dual", equal(q.transport_minimum, q.transport_dual_maximum)),
        Form(
            "every price is a lower bound",
            q.transport_plan_value >= q.transport_dual,
            domain=MOVED.replace(
                extras={
                    **dict(MOVED.extras),
                    "plan": Extra(("S", "S"), "distribution", meaning="where the mass at i goes"),
                    "price": Extra((), low=0, high=5, meaning="price lambda"),
                }
            ),
        ),
    ],
    negative_controls=[
        Control(
            "slope times radius",
            equal(q.transport_minimum, q.transport_lipschitz_formula),
            because="no mass can be moved below the least value, and the steepest move is not always open",
        ),
        Control(
            "the price 1 is enough",
            equal(q.transport_minimum, q.transport_dual_at_one),
            because="the best price depends on the values: it is the slope of the last move that the radius pays for",
        ),
    ],
    instances=(*ON_A_LINE, "loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 1/2)"),
    kind="equal",
)
