"""Robust policy gradient: the envelope gradient, gradient domination on both sides, the methods' rates.  Derivation:
docs/theory/robust_gradient.md"""

from sympy import Max, Rational, Symbol, sqrt

from pgtheory.robust.double_loop import DRPG
from pgtheory.robust.gradient import RobustPG
from pgtheory.robust.mirror_descent import RobustMirrorDescent
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.robust import GRAPH, GRAPHS, RADII, VECTORS
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

WANG = "wang2023policy"
WANG_VERSION = "arXiv:2212.10439"
SHARE = Extra((), low=0, high=1, meaning="how far the kernel lies from one end of its way")
SMOOTH = random_mdps(
    policy="interior", other="any", mu="any", rho="mu", max_states=3, max_actions=3, max_discount=Rational(19, 20), extras={"radii": RADII}
)
WRONG_VISITS = by_hand(
    "two states, a worst kernel far from the nominal one",
    transitions=[[["3/5", "2/5"], ["3/5", "2/5"]], [[0, 1], ["3/5", "2/5"]]],
    rewards=[["1/10", "3/10"], ["9/10", 0]],
    discount="9/10",
    policy=[["9/10", "1/10"], ["4/5", "1/5"]],
    other=[["1", 0], ["4/5", "1/5"]],
    extras={"radii": [["6/5", "6/5"]] * 2},
)
KINK = by_hand(
    "nature leads to the worse of two states, which are equally bad",
    transitions=[[[0, "1/2", "1/2"]] * 2, [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], [1, 0], [1, 0]],
    discount="1/2",
    mu=[1, 0, 0],
    policy=[["1/2", "1/2"]] * 3,
    other=[["1/2", "1/2"], [1, 0], [0, 1]],
    extras={"radii": [[1, 1], [0, 0], [0, 0]]},
)

envelope = Claim(
    id="robust-policy-gradient-envelope",
    title="The robust gradient is the ordinary one at the worst kernel of the policy",
    source=Source(WANG, where="the outer gradient, as recalled; Danskin's theorem; derived here", version=WANG_VERSION),
    domain=SMOOTH,
    forms=[
        Form("directional derivative", equal(q.robust_derivative, q.robust_gradient_along), where=((0, q.kernel_margin),)),
        Form("never more than the gradient says", q.robust_derivative <= q.robust_gradient_along),
        Form("two sides", q.robust_derivative <= q.robust_derivative_away),
        Form(
            "supergradient",
            q.robust_value_rise <= q.robust_gradient_along + q.gamma * q.A / (2 * (1 - q.gamma) ** 3) * q.policy_distance_square,
            domain=SMOOTH.replace(policy="any"),
        ),
        Form(
            "softmax",
            equal(q.robust_softmax_derivative, q.robust_softmax_gradient_along),
            domain=SMOOTH.replace(
                other=None, extras={"radii": RADII, "direction": Extra(("S", "A"), low=-2, high=2, meaning="direction of the logits")}
            ),
            where=((0, q.kernel_margin),),
        ),
    ],
    negative_controls=[
        Control(
            "visits of the nominal kernel",
            equal(q.robust_derivative, q.nominal_visits_gradient_along),
            where=((0, q.kernel_margin),),
            because="the policy is judged where nature sends it, not where the nominal model does",
        ),
        Control(
            "differentiable everywhere",
            equal(q.robust_derivative, q.robust_derivative_away),
            because="where two kernels are equally bad the value has a kink, and falls faster one way than it rises the other",
        ),
        Control(
            "concave",
            q.robust_value_rise <= q.robust_gradient_along,
            domain=SMOOTH.replace(policy="any"),
            because="a minimum of values is concave only up to the curvature of each of them",
        ),
    ],
    uses=["robust-saddle-rectangular", "pg-theorem-direct-and-softmax"],
    instances=(WRONG_VISITS, KINK, "loop(9/10)", "chain(1, 9/10)", "polytope(9/10)"),
    kind="equal",
)

DOMINATED = random_mdps(policy="any", max_states=3, max_actions=3, max_discount=Rational(19, 20), extras={"radii": RADII})
NOT_NOMINAL = by_hand(
    "two states where the nominal kernel hides the mismatch",
    transitions=[[["1/5", "4/5"], ["2/5", "3/5"]], [["3/5", "2/5"], ["3/10", "7/10"]]],
    rewards=[["1/2", "1/2"], [0, "9/10"]],
    discount="9/10",
    policy=[["1/10", "9/10"], ["2/5", "3/5"]],
    extras={"radii": [["6/5", "6/5"]] * 2, "share": 0},
)

domination = Claim(
    id="robust-gradient-domination",
    title="A policy with a small gradient at its worst kernel is nearly robust-optimal",
    source=Source(WANG, where="the gradient dominance lemma, as recalled; constants derived here", version=WANG_VERSION),
    domain=DOMINATED,
    forms=[
        Form("visits", q.robust_gap_rho <= q.robust_mismatch * q.robust_gradient_gap),
        Form("start", q.robust_gap_rho <= q.robust_mismatch_of_start / (1 - q.gamma) * q.robust_gradient_gap),
        Form(
            "inexact kernels",
            q.robust_gap_rho <= q.inexact_excess + q.inexact_mismatch * q.inexact_gradient_gap,
            domain=DOMINATED.replace(extras={"radii": RADII, "share": SHARE}),
        ),
    ],
    negative_controls=[
        Control(
            "mismatch of the nominal kernel",
            q.robust_gap_rho <= q.nominal_mismatch * q.robust_gradient_gap,
            because="the robust-optimal policy is compared in the kernel that is worst for the present one",
        ),
        Control(
            "without a mismatch",
            q.robust_gap_rho <= q.robust_gradient_gap,
            because="the gradient weighs states by the policy's own visits, and may hardly see those that matter",
        ),
        Control(
            "inexact kernels for free",
            q.robust_gap_rho <= q.inexact_mismatch * q.inexact_gradient_gap,
            domain=DOMINATED.replace(extras={"radii": RADII, "share": SHARE}),
            because="a policy may be optimal in a kernel that is not its worst",
        ),
    ],
    uses=["robust-saddle-rectangular", "performance-difference"],
    instances=(NOT_NOMINAL, "loop(9/10)", "chain(1, 9/10)", "domino(1, 9/10)", "polytope(9/10)"),
)

NATURE = random_mdps(
    policy="any", rho="mu", max_states=3, max_actions=2, max_discount=Rational(19, 20),
    extras={"radii": RADII, **VECTORS, "share": SHARE},
)  # fmt: skip

adversary = Claim(
    id="adversary-gradient-domination",
    title="Nature's gradient, and what it dominates in rectangular sets",
    source=Source(WANG, where="the inner loop, as recalled; derived here", version=WANG_VERSION),
    domain=NATURE,
    forms=[
        Form("gradient", equal(q.kernel_derivative, q.kernel_gradient_along)),
        Form("domination", q.adversary_gap <= q.adversary_mismatch * q.adversary_gradient_gap),
    ],
    negative_controls=[
        Control(
            "without the discount",
            equal(q.kernel_derivative, q.kernel_gradient_undiscounted_along),
            because="a move made now pays one step later",
        ),
        Control(
            "without a mismatch",
            q.adversary_gap <= q.adversary_gradient_gap,
            because="nature's gradient weighs states by the visits in the present kernel, and the worst one visits others",
        ),
        Control(
            "a set that is no product",
            q.graph_middle_gap <= 1000 * q.graph_middle_slope,
            domain=GRAPH,
            instances=GRAPHS,
            because="where one number rules several rows the rows cannot be improved one by one: the gradient is 0 and the value is not the least",
        ),
    ],
    uses=["robust-saddle-rectangular"],
    instances=("loop(9/10)", "chain(1, 9/10)", "domino(1, 9/10)", "polytope(9/10)"),
)

RUNS = random_mdps(policy="any", rho="mu", max_states=2, max_actions=3, max_discount=Rational(9, 10), extras={"radii": RADII})
BOTH = RUNS.replace(other="any", extras={})
STEP = {q.eta: Between(Rational(1, 1000), 1)}
FACTOR = q.inverse_mu * sqrt(2 * q.S) / (1 - q.gamma) + (1 - q.gamma) / (4 * q.gamma * sqrt(q.A))
"""D sqrt(2 S) / (1 - gamma) + L / (2 ell), L = sqrt(A) / (2 (1 - gamma)^2) and ell = gamma A / (1 - gamma)^3."""
FLOOR = q.gamma * q.A**2 * q.eta / (4 * (1 - q.gamma) ** 7)
"""ell L^2 eta."""
SPENT = {q.eta: Between(Rational(1, 1000), 1), q.budget: Between(Rational(1, 10), 2)}
ROOT_OF_ENDS = by_hand(
    "chances 3/4 and 3/4 of a good end, one budget of 1/2 for both actions",
    transitions=[[[0, "3/4", "1/4"]] * 2, [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], [1, 1], [0, 0]],
    discount="1/2",
    policy=[[1, 0], ["1/2", "1/2"], ["1/2", "1/2"]],
    other=[["1/2", "1/2"]] * 3,
    settings={"eta": 10000, "budget": "1/2"},
)
"""The iterate jumps from one action to the other and back, and never sees the even choice between them."""

outer_rate = Claim(
    id="drpg-outer-rate",
    departs="Any step size and every t. At the horizons that the search runs the bound lies above the first gap; a long run where it lies below "
    "is in the tests (docs)",
    title="Projected gradient of the worst case: the best of t steps is near-optimal, as t^(-1/4)",
    source=Source(WANG, where="Theorem 3.3 (order), as recalled; constants derived here", version=WANG_VERSION),
    domain=RUNS,
    process=RobustPG(q.eta, Symbol("radii")),
    settings=STEP,
    where=((0, q.gamma),),
    horizon=24,
    forms=[
        Form(
            "any step size",
            q.best_robust_gap <= FACTOR * sqrt(2 * (q.robust_gap_mu_0 / (q.eta * (q.T + 1)) + FLOOR)),
        ),
        Form(
            "one budget a state",
            q.best_shared_regret <= FACTOR * sqrt(2 * (1 / ((1 - q.gamma) * q.eta * (q.T + 1)) + FLOOR)),
            domain=BOTH,
            process=RobustPG(q.eta, q.budget, rectangular="s"),
            settings=SPENT,
        ),
        Form(
            "inexact kernels",
            q.best_robust_gap
            <= FACTOR * sqrt(2 * (q.robust_gap_mu_0 / (q.eta * (q.T + 1)) + FLOOR + 2 * q.gamma * q.A * q.tolerance / (1 - q.gamma) ** 3)),
            process=DRPG(q.eta, Symbol("radii"), tolerance=q.tolerance, decay=1, inner_steps=4),
            domain=RUNS.replace(max_actions=2, max_discount=Rational(1, 2)),
            settings={**STEP, q.tolerance: Between(Rational(1, 100), 1)},
            horizon=6,
        ),
    ],
    negative_controls=[
        Control(
            "a constant step arrives",
            q.best_shared_regret <= FACTOR * sqrt(2 / ((1 - q.gamma) * q.eta * (q.T + 1))),
            domain=BOTH,
            process=RobustPG(q.eta, q.budget, rectangular="s"),
            settings={q.eta: Between(1, 10000), q.budget: Between(Rational(1, 10), 2)},
            horizon=60,
            instances=(ROOT_OF_ENDS,),
            because="at a kink the gradient does not shrink, and a step of fixed length passes over the optimum and back for ever",
        ),
    ],
    uses=["robust-policy-gradient-envelope", "robust-gradient-domination"],
    instances=("loop(1/2)", "loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 1/2)"),
)

WRONG_ARM = by_hand(
    "two arms, start on the wrong one",
    transitions=[[[1], [1]]],
    rewards=[[1, 0]],
    discount=0,
    policy=[[0, 1]],
    settings={"eta": 1},
    extras={"radii": [[0, 0]]},
)
OVERSHOT = by_hand(
    "a coin weighed 3 to 2, one budget for both actions",
    transitions=[[[0, "1/2", "1/2"]] * 2, [[0, 1, 0]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], [1, 1], [0, 0]],
    discount="1/2",
    policy=[["3/5", "2/5"], ["1/2", "1/2"], ["1/2", "1/2"]],
    settings={"eta": 10, "budget": "1/2"},
)
LONG_STEPS = {q.eta: Between(Rational(1, 10), 100)}

mirror = Claim(
    id="robust-euclidean-pmd",
    departs="L1 balls; the proof carries over to every monotone evaluation that adds constants, entropic ones too; growth of at most 10 a step",
    title="Robust mirror descent, Euclidean: monotone, gamma a step, and 1/(2 eta) behind",
    source=Source("xiao2022convergence", where="the Euclidean step, carried over to robust values; derived here", version="arXiv:2201.07443v3"),
    domain=RUNS,
    process=RobustMirrorDescent(q.eta, Symbol("radii")),
    settings=LONG_STEPS,
    horizon=8,
    forms=[
        Form("values never fall", q.next_robust_values >= q.robust_values),
        Form("one step", q.next_robust_gap_sup <= q.gamma * q.robust_gap_sup + 1 / (2 * q.eta)),
        Form(
            "constant steps",
            q.robust_gap_sup <= q.gamma**q.T * q.robust_gap_sup_0 + (1 - q.gamma**q.T) / (2 * q.eta * (1 - q.gamma)),
        ),
        Form(
            "steps that grow by 1/gamma",
            q.robust_gap_sup <= Max(q.gamma, Rational(1, 10)) ** (q.T - 1) * (Max(q.gamma, Rational(1, 10)) * q.robust_gap_sup_0 + q.T / (2 * q.eta)),
            process=RobustMirrorDescent(q.eta, Symbol("radii"), growth=1 / Max(q.gamma, Rational(1, 10))),
        ),
    ],
    negative_controls=[
        Control(
            "half as far behind",
            q.next_robust_gap_sup <= q.gamma * q.robust_gap_sup + 1 / (4 * q.eta),
            because="two arms 1/eta apart, all on the wrong one: one step reaches the middle, half of the difference behind",
        ),
        Control(
            "one budget a state",
            q.next_shared_values >= q.shared_values,
            domain=RUNS.replace(extras={}),
            process=RobustMirrorDescent(q.eta, q.budget, rectangular="s"),
            settings={**LONG_STEPS, q.budget: Between(Rational(1, 10), 2)},
            instances=(OVERSHOT,),
            because="nature shifts its budget to the action that has become likelier, so the action values of the present kernel mislead",
        ),
    ],
    uses=["robust-bellman-contraction", "robust-saddle-rectangular"],
    instances=(WRONG_ARM, "loop(1/2)", "loop(9/10)", "chain(1, 9/10)", "arms([1, 0], 1/2)"),
)
