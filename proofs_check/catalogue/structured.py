"""Finite horizons and structured policies: mixtures of controllers, internal states, numbers as actions, linear-quadratic regulators.

Derivation: docs/theory/structured.md
"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, random_mdps
from proofs_check.statement import equal

PLAIN = random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, max_actions=3, rewards=None)

# Finite horizons

STAGES = {
    "stage_transitions": Extra((3, "S", "A", "S"), "distribution", meaning="transitions of each stage"),
    "stage_rewards": Extra((3, "S", "A"), meaning="rewards of each stage"),
}
POLICIES = {"stage_policies": Extra((3, "S", "A"), "interior", meaning="a softmax policy for each stage")}
STARTS = {"stage_starts": Extra((3, "S"), "interior", meaning="where each epoch begins")}
MANY_STAGES = {
    "stage_transitions": Extra((16, "S", "A", "S"), "distribution", meaning="transitions of each stage"),
    "stage_rewards": Extra((16, "S", "A"), meaning="rewards of each stage"),
}
HORIZON = random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, max_actions=3)
AT_STAGES = HORIZON.replace(extras=STAGES | POLICIES)

RARE_STATE = by_hand(
    "a good state that is hardly visited",
    transitions=[[[1, 0]] * 2] * 2,
    rewards=[[0, 0]] * 2,
    discount=0,
    mu=[1, 0],
    settings={"H": 2},
    extras={
        "stage_transitions": [[[[0, 1], [1, 0]], [[1, 0]] * 2], [[[1, 0]] * 2] * 2, [[[1, 0]] * 2] * 2],
        "stage_rewards": [[[0, 0]] * 2, [[0, 0], [1, 0]], [[0, 0]] * 2],
        "stage_policies": [[["1/100", "99/100"]] * 2] * 3,
    },
)

SIXTEEN_TIMES = by_hand(
    "two arms, sixteen times",
    transitions=[[[1]] * 2],
    rewards=[[1, 0]],
    discount=0,
    settings={"H": 16},
    extras={"stage_transitions": [[[[1]] * 2]] * 16, "stage_rewards": [[[1, 0]]] * 16},
)

simultaneous = Claim(
    id="finite-horizon-simultaneous-pg",
    title="Finite horizon: all stages at once by softmax policy gradient",
    source=Source("klein2024beyond", where="simultaneous policy gradient, as recalled; constants derived here", version="ICLR 2024"),
    domain=AT_STAGES,
    settings={q.H: (1, 2, 3)},
    forms=[
        Form("gradient", equal(q.stage_derivative, q.stage_gradient)),
        Form("smoothness", q.stage_hessian_norm <= 3 * q.H / 8),
        Form(
            "gradient domination",
            q.S * q.H * q.stage_mismatch**2 * q.stage_gradient_square >= (q.stage_optimal_probability * q.stage_gap) ** 2,
        ),
        Form(
            "rate",
            q.simultaneous_gaps <= q.S * q.H**2 * q.simultaneous_constants,
            domain=HORIZON.replace(extras=MANY_STAGES),
            settings={q.H: (1, 2, 3, 16)},
            instances=(SIXTEEN_TIMES, "loop(9/10)"),
        ),
    ],
    departs="The printed smoothness constant is 5 H^2 R sqrt(N), N the number of pairs of stage and state; 3H/8 is derived here.",
    negative_controls=[
        Control(
            "visits dropped",
            equal(q.stage_derivative, q.stage_gradient_without_visits),
            because="a stage counts only as often as it begins in that state",
        ),
        Control(
            "curvature .19 at H = 1", q.stage_hessian_norm <= Rational(19, 100) * q.H, because="two arms have the curvature 1/(3 sqrt 3) = .19245"
        ),
        Control(
            "square of the mismatch dropped",
            q.S * q.H * q.stage_gradient_square >= (q.stage_optimal_probability * q.stage_gap) ** 2,
            because="what the optimal policy gains in states that the current one hardly visits, the gradient hardly sees",
        ),
        Control(
            "one over n squared",
            q.simultaneous_gaps <= q.S * q.H**2 * q.simultaneous_constants / q.first_counts,
            domain=HORIZON.replace(extras=STAGES),
            because="already with one stage and two arms the gap is of order 1/n",
        ),
    ],
    instances=(RARE_STATE, "loop(9/10)"),
    kind="upper",
)

WRONG_ORDER = by_hand(
    "the later stage decides",
    transitions=[[[1, 0, 0]] * 2] * 3,
    rewards=[[0, 0]] * 3,
    discount=0,
    mu=[1, 0, 0],
    settings={"H": 2},
    extras={
        "stage_transitions": [[[[0, 1, 0], [0, 0, 1]], [[1, 0, 0]] * 2, [[1, 0, 0]] * 2], [[[1, 0, 0]] * 2] * 3, [[[1, 0, 0]] * 2] * 3],
        "stage_rewards": [[[0, 0]] * 3, [[0, 0], [1, 0], ["3/5", "3/5"]], [[0, 0]] * 3],
        "stage_starts": [["1/3"] * 3] * 3,
    },
)

dynamic = Claim(
    id="finite-horizon-dynamic-pg",
    title="Finite horizon: the last stage first, each by softmax policy gradient",
    source=Source("klein2024beyond", where="dynamic policy gradient, as recalled; constants derived here", version="ICLR 2024"),
    domain=HORIZON.replace(extras=STAGES | STARTS),
    settings={q.H: (1, 2, 3)},
    forms=[
        Form("epoch", q.dynamic_epoch_gaps <= 5 * q.S * q.A / (4 * q.dynamic_steps)),
        Form("errors add up", q.dynamic_gap <= q.dynamic_bellman_errors),
        Form("total", q.dynamic_gap <= q.dynamic_bounds),
    ],
    departs="Gradient domination costs 1/c^2, which is A^2 from uniform policies; derived here: the first power is enough, with the factor 5/4.",
    negative_controls=[
        Control(
            "trained forwards",
            q.forward_gap <= q.forward_bound,
            because="the first stage is then trained for a future that does not come: with the later stage still uniform, a sure 3/5 beats 1",
        ),
        Control(
            "one over n squared",
            q.dynamic_epoch_gaps <= 5 * q.S * q.A / (4 * q.dynamic_steps**2),
            because="already with one stage and two arms the gap is of order 1/n",
        ),
    ],
    instances=(WRONG_ORDER, "loop(9/10)"),
    kind="upper",
)

# Mixtures of controllers

MIXED = {"controllers": Extra((3, "S", "A"), "distribution", meaning="fixed policies"), "weights": Extra((3,), "interior", meaning="their weights")}
MIXTURES = random_mdps(policy="uniform", mu="any", rho="mu", max_states=4, max_actions=2, extras=MIXED)


def _blind(weights: list[str], mu: list[object]) -> object:
    return by_hand(
        "blind(9/10, 9/10)",
        "blind(9/10, 9/10)",
        mu=mu,
        extras={"controllers": [[[1, 0]] * 4, [[0, 1]] * 4, [[0, 1]] * 4], "weights": weights},
    )


improper = Claim(
    id="improper-mixture-pg",
    title="Policy gradient over a mixture of controllers: gradient, curvature, and no domination",
    source=Source("zaki2022actor", where="softmax policy gradient over controllers, as recalled", version="ICML 2022"),
    domain=MIXTURES,
    forms=[
        Form("gradient", equal(q.mixture_derivative, q.mixture_gradient), domain=MIXTURES.replace(rewards=None)),
        Form("printed smoothness", q.mixture_hessian_norm <= (7 * q.gamma**2 + 4 * q.gamma + 5) / (2 * (1 - q.gamma) ** 2)),
        Form("smoothness", q.mixture_hessian_norm <= 1 / (2 * (1 - q.gamma) ** 2)),
        Form("domination in one state", q.mixture_gradient_norm >= q.least_weight * q.controller_gap, where=((q.S, 2),)),
    ],
    departs="The O(1/t) rate to the best mixture is recalled for any number of states; it needs more than that; for one state it holds (docs).",
    negative_controls=[
        Control(
            "domination in many states",
            q.mixture_gradient_norm >= q.least_weight * q.controller_gap,
            because="one weight serves all states: where they want different controllers, a mixture can be stationary and bad",
        ),
        Control(
            "weight dropped", equal(q.mixture_derivative, q.mixture_gradient_unweighted), because="the softmax of the weights has the derivative w_m"
        ),
        Control(
            "curvature .19",
            q.mixture_hessian_norm <= Rational(19, 100) / (1 - q.gamma) ** 2,
            because="two controllers that are two arms have the curvature 1/(3 sqrt 3) = .19245",
        ),
    ],
    instances=(
        _blind(["9/19", "5/19", "5/19"], [1, 0, 0, 0]),
        _blind(["7852/16587", "8735/33174", "8735/33174"], ["97/100", "1/100", "1/100", "1/100"]),
        "loop(9/10)",
        "arms([1, 0])",
    ),
    kind="upper",
)

# Policies with an internal state

INNER = {
    "observe": Extra(("S", 2), "distribution", meaning="law of the observation in each state"),
    "inner_start": Extra((2,), "distribution", meaning="law of the first internal state"),
    "act": Extra((2, 2, "A"), "interior", meaning="law of the action by observation and internal state"),
    "move": Extra((2, 2, "A", 2), "interior", meaning="law of the next internal state, by the action too"),
}
MEMORY = by_hand(
    "what to remember",
    transitions=[[[0, 1, 0]] * 2, [[0, 0, 1]] * 2, [[0, 0, 1]] * 2],
    rewards=[[0, 0], [1, 0], [0, 0]],
    discount="9/10",
    mu=[1, 0, 0],
    extras={
        "observe": [[1, 0], [0, 1], [0, 1]],
        "inner_start": [1, 0],
        "act": [[["1/2", "1/2"]] * 2, [["9/10", "1/10"], ["1/10", "9/10"]]],
        "move": [[[["1/2", "1/2"]] * 2] * 2] * 2,
    },
)

stateful = Claim(
    id="stateful-policy-gradient",
    title="Stateful policy gradient theorem",
    source=Source("alhafez2023time", where="the stateful policy gradient theorem", version="NeurIPS 2023"),
    domain=PLAIN.replace(extras=INNER, max_actions=2),
    forms=[Form("main", equal(q.stateful_derivative, q.stateful_gradient))],
    negative_controls=[
        Control(
            "score of the internal transition dropped",
            equal(q.stateful_derivative, q.stateful_gradient_of_actions),
            because="what is remembered now decides what is done later: the choice of the next internal state is an action too",
        ),
    ],
    instances=(MEMORY, "loop(9/10)"),
    kind="equal",
)

# Numbers as actions

NUMBERS = {
    "controls": Extra(("S",), meaning="the action of each state, a number"),
    "bend": Extra(("S",), low=-2, high=2, meaning="curvature of the reward in the action"),
    "behaviour": Extra(("S",), "distribution", meaning="states as somebody else visits them"),
}
ERGODIC = {name: Extra(("S", "S"), "distribution", meaning="half of the chain; the other half jumps anywhere") for name in ("rows0", "rows1")}
BINARY = random_mdps(policy="uniform", mu="any", rho="mu", rewards=None, max_states=4, min_actions=2, max_actions=2, extras=NUMBERS)
ONE_WAY = by_hand(
    "one way",
    transitions=[[[0, 1]] * 2, [[0, 1]] * 2],
    rewards=[[-1, 1], [-1, 1]],
    discount="1/2",
    mu=[1, 0],
    extras={"controls": [0, 0], "bend": [-1, -1], "behaviour": ["1/2", "1/2"]},
)

PAID_ALIKE = by_hand(
    "actions that only pay, alike in both states",
    transitions=[[[1, 0]] * 2, [[0, 1]] * 2],
    rewards=[[0, 1], [0, 1]],
    discount="1/2",
    extras={
        "controls": [0, 0],
        "bend": [0, 0],
        "behaviour": [1, 0],
        "rows0": [["1/2", "1/2"], ["1/2", "1/2"]],
        "rows1": [["1/2", "1/2"], ["1/2", "1/2"]],
    },
)

deterministic = Claim(
    id="deterministic-policy-gradient",
    title="Deterministic policy gradient, discounted and average, and the error of other visits",
    source=Source("silver2014deterministic", where="Theorem 1; the finite-state form and the off-policy bound are derived here", version="ICML 2014"),
    domain=BINARY,
    forms=[
        Form("discounted", equal(q.deterministic_derivative, q.deterministic_gradient)),
        Form("average", equal(q.average_derivative, q.average_gradient), domain=BINARY.replace(extras=NUMBERS | ERGODIC), instances=("loop(9/10)",)),
        Form("off policy", (1 - q.gamma) * q.off_policy_error <= q.largest_action_slope * q.behaviour_distance),
        Form(
            "average, off policy",
            q.average_off_policy_error <= q.largest_average_slope * q.stationary_distance,
            domain=BINARY.replace(extras=NUMBERS | ERGODIC),
            instances=(PAID_ALIKE, "loop(9/10)"),
        ),
    ],
    negative_controls=[
        Control(
            "visits dropped",
            equal(q.deterministic_derivative, q.deterministic_gradient_without_visits),
            because="a state counts as often as it is visited",
        ),
        Control(
            "horizon dropped",
            q.off_policy_error <= q.largest_action_slope * q.behaviour_distance,
            because="visits are normalised to 1; the gradient is 1/(1 - gamma) times as large",
        ),
        Control(
            "discounted values for the average",
            equal(q.average_derivative, q.average_gradient_discounted),
            domain=BINARY.replace(extras=NUMBERS | ERGODIC),
            instances=(PAID_ALIKE, "loop(9/10)"),
            because="discounted values count the far future too little: an error of order 1 - gamma",
        ),
    ],
    instances=(ONE_WAY, "loop(9/10)"),
    kind="equal",
)

REGULATORS = {
    "closed": Extra((2, 2), low=Rational(-9, 20), high=Rational(9, 20), meaning="A - BK, whose rows sum to less than 1"),
    "inflow": Extra((2, 1), low=-2, high=2, meaning="B"),
    "gain": Extra((1, 2), low=-2, high=2, meaning="K"),
    "cost_root": Extra((2, 2), low=-1, high=1, meaning="Q = LL' + 1/10"),
    "start_root": Extra((2, 2), low=-1, high=1, meaning="S0 = NN' + 1/10"),
    "control_cost": Extra((), low=Rational(1, 10), high=2, meaning="R"),
}
LINEAR = random_mdps(policy="uniform", mu="any", rho="mu", max_states=1, max_actions=1, extras=REGULATORS)
DEAR = by_hand(
    "a regulator with a dear control",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    extras={
        "closed": [[0, 0], [0, 0]],
        "inflow": [["1/10"], [0]],
        "gain": [["1/2", 0]],
        "cost_root": [[0, 0], [0, 0]],
        "start_root": [[0, 0], [0, 0]],
        "control_cost": 2,
    },
)
STRETCHED = by_hand(
    "a regulator with a large gain",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    extras={
        "closed": [["9/20", 0], [0, 0]],
        "inflow": [[1], [0]],
        "gain": [["9/20", 0]],
        "cost_root": [[1, 0], [0, 1]],
        "start_root": [[1, 0], [0, 1]],
        "control_cost": "1/10",
    },
)

regulators = Claim(
    id="lqr-gradient-domination-and-newton",
    title="Linear-quadratic regulators: gradient, gradient domination, Gauss-Newton",
    source=Source("fazel2018global", where="Lemmas 1 and 11, Theorem 7", version="arXiv:1801.05039v3"),
    domain=LINEAR,
    forms=[
        Form("gradient", equal(q.regulator_derivative, q.regulator_gradient)),
        Form(
            "gradient domination",
            4 * q.control_cost * q.least_start_moment**2 * q.regulator_gap <= q.optimal_moments * q.regulator_gradient_square,
        ),
        Form("Gauss-Newton", q.optimal_moments * q.regulator_gap_after <= (q.optimal_moments - q.least_start_moment) * q.regulator_gap),
    ],
    departs="Gradient domination is printed without the factor 4, which completing the square gives. Seven more policy iterations stand for the "
    "optimum; both bounds hold for any gain in its place (docs).",
    negative_controls=[
        Control("factor 2 dropped", equal(q.regulator_derivative, q.regulator_gradient_half), because="the cost is quadratic in the gain"),
        Control(
            "domination a hundredth stronger",
            Rational(404, 100) * q.control_cost * q.least_start_moment**2 * q.regulator_gap <= q.optimal_moments * q.regulator_gradient_square,
            because="where the next state is 0 whatever is done and the control is dear, the bound is attained but for 3 in a thousand",
        ),
        Control(
            "step twice as long",
            q.optimal_moments * q.regulator_gap_doubled <= (q.optimal_moments - q.least_start_moment) * q.regulator_gap,
            because="where the cost is quadratic, twice the Newton step only mirrors the gain at the optimum",
        ),
    ],
    instances=(DEAR, STRETCHED, "arms([1])"),
    kind="upper",
)
