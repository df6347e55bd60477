"""Methods for constrained MDPs and what entropy does to them: primal-dual, CRPO, the regularised saddle, causal entropy.
Derivation: docs/theory/constrained.md"""

from sympy import Min, Rational, exp, log, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.constrained import ROOM
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.statement import equal

SIGNAL = Extra(("S", "A"), low=0, high=1, meaning="g, the reward whose discounted sum must reach b")
SHARE = Extra((), low=0, high=1, meaning="where b lies between the least and the largest V_g")
RUNS = random_mdps(
    policy="uniform", mu="any", rho="mu", max_states=2, max_actions=3, max_discount=Rational(9, 10), extras={"signal": SIGNAL, "share": SHARE}
)


def _arms(name, rewards, signal, share, **settings):
    return by_hand(
        name, transitions=[[[1]] * len(rewards)], rewards=[rewards], discount=0, settings=settings, extras={"signal": [signal], "share": share}
    )


SEVEN = _arms("an arm that pays and one that keeps the constraint", ["9/10", "1/10"], ["1/10", 1], "4/9", rounds=40, cap_factor=1)
LAST = _arms("an arm that pays and one that keeps the constraint, T = 150", ["9/10", 0], [0, 1], "7/10", rounds=150, cap_factor=1)
CAPPED = _arms("one arm that pays 1 and costs 1, budget 2/5, T = 150", [1, 0], [0, 1], "3/5", rounds=150, cap_factor="1/50")
ZOO = ("loop(9/10)", "polytope(9/10)")
SEVEN_LONG = _arms("an arm that pays and one that keeps the constraint, T = 200", ["9/10", "1/10"], ["1/10", 1], "4/9", rounds=200, cap_factor=1)
FEW = {q.rounds: (1, 4, 16, 40), q.cap_factor: 1}
PER_ROOT = 1 / ((1 - q.gamma) ** 2 * sqrt(q.rounds))

primal_dual = Claim(
    id="npg-primal-dual-rate",
    title="Natural gradient primal-dual: averages approach at 1/sqrt(T)",
    source=Source("ding2020natural", where="Theorem 1, as recalled; constants derived here", version="NeurIPS 2020"),
    domain=RUNS,
    settings=FEW,
    where=ROOM,
    trivial=1 / (1 - q.gamma),
    departs="The proof gives 4 for the 7 of the gap, and 4(1-gamma)xi for 4 xi in what is missing; the printed constants follow. T up to 40, and "
    "200 in bandits: V_g >= 0, so at most b <= 1/(1-gamma) - xi is missing anyway, and the bound is below that only from T = 120 on.",
    forms=[
        Form("gap", q.primal_dual_gap <= 4 * PER_ROOT),
        Form("what is missing", q.primal_dual_missing <= (2 / q.room + 4 * (1 - q.gamma) * q.room) * PER_ROOT),
        Form(
            "what is missing, long runs",
            q.primal_dual_missing <= (2 / q.room + 4 * q.room) * PER_ROOT,
            domain=RUNS.replace(max_states=1, max_actions=2, max_discount=Rational(0)),
            settings={q.rounds: (200,), q.cap_factor: 1},
            trivial=q.constraint_level,
            instances=(SEVEN_LONG,),
        ),
        Form("gap, as printed", q.primal_dual_gap <= 7 * PER_ROOT, settings={q.rounds: (1, 4, 16, 64), q.cap_factor: 1}),
        Form("what is missing, as printed", q.primal_dual_missing <= (2 / q.room + 4 * q.room) * PER_ROOT),
    ],
    negative_controls=[
        Control(
            "the last iterate",
            q.primal_dual_missing_at_end <= (2 / q.room + 4 * q.room) * PER_ROOT,
            settings={q.rounds: (150,), q.cap_factor: 1},
            instances=(LAST,),
            because="the iterates circle around the optimum, from nearly always one arm to nearly always the other, and only averages settle",
        ),
        Control(
            "a cap below the multiplier",
            q.primal_dual_missing <= (2 / q.room + 4 * q.room) * PER_ROOT,
            settings={q.rounds: (150,), q.cap_factor: Rational(1, 50)},
            where=((q.cap_factor, 1), *ROOM),
            instances=(CAPPED,),
            because="a price that may not rise to lambda* = 1 cannot make the constraint worth keeping",
        ),
    ],
    uses=["cmdp-strong-duality", "performance-difference"],
    instances=(SEVEN, *ZOO),
)

PULLED = _arms("one arm pays, the other keeps the constraint at 1/2", [1, 0], [0, 1], "1/2", rounds=48, tolerance_factor=1)
ALL_OR_NOTHING = _arms("only one arm keeps the constraint, and it must be kept", [1, 0], [0, 1], 1, rounds=1, tolerance_factor="1/4")
TOLERANT = {q.rounds: (1, 2, 9, 48), q.tolerance_factor: 1}

rectified = Claim(
    id="crpo-exact-rate",
    title="CRPO with exact values: it improves the reward at least once, and is near-optimal when it does",
    source=Source("xu2021crpo", where="the method, as recalled; this form and its constants derived here", version="arXiv:2011.05869"),
    domain=RUNS.replace(min_actions=2),
    settings=TOLERANT,
    departs="At least two actions (with one the tolerance is 0). The mean gap is at most tol/2, half of what was printed: steps that mend the "
    "constraint are paid for out of the same sum. What is missing at such a step is at most tol by the rule of the method.",
    forms=[
        Form("some step improves the reward", q.crpo_steps >= 1),
        Form("sum of the gaps", q.crpo_gap_sum <= q.crpo_tolerance * (q.crpo_steps - q.rounds / 2)),
        Form("mean gap", q.crpo_gap_sum <= q.crpo_steps * q.crpo_tolerance / 2),
        Form("mean gap, as printed", q.crpo_gap_sum <= q.crpo_steps * q.crpo_tolerance),
        Form("what is missing", q.crpo_missing <= q.crpo_tolerance),
    ],
    negative_controls=[
        Control(
            "half the tolerance is missing at most",
            q.crpo_missing <= q.crpo_tolerance / 2,
            because="whatever misses by less than the tolerance counts as met, and the reward is improved there",
        ),
        Control(
            "a quarter of the tolerance with the same steps",
            q.crpo_steps >= 1,
            settings={q.rounds: (1, 2, 9, 48), q.tolerance_factor: Rational(1, 4)},
            where=((q.tolerance_factor, 1),),
            instances=(ALL_OR_NOTHING,),
            because="the first policy misses the constraint by more, and with one step there is no second policy",
        ),
    ],
    uses=["performance-difference", "cmdp-occupancy-lp"],
    instances=(PULLED, *ZOO),
)

# The doubly regularised Lagrangian

PRICES = {
    "signal": SIGNAL,
    "saddle_price": Extra((), low=0, high=3, meaning="the price at the saddle"),
    "slackness": Extra((), low=0, high=1, meaning="by how much b lies below V_g where that price is 0"),
    "price_now": Extra((), low=0, high=3, meaning="another price"),
}
SOFT = random_mdps(policy="interior", mu="any", rho="mu", max_states=2, max_actions=3, max_discount=Rational(9, 10), extras=PRICES)
WARM = {q.tau: Between(Rational(1, 50), 2), q.eta: Between(Rational(1, 100), 10)}
SHORT = {q.tau: Between(Rational(1, 50), 2), q.eta: Between(Rational(1, 100), 1 / q.tau)}


def _lever(name, policy, price, **settings):
    extras = {"signal": [[0, 1]], "saddle_price": 1, "slackness": 0, "price_now": price}
    return by_hand(name, transitions=[[[1], [1]]], rewards=[[1, 0]], discount=0, policy=[policy], settings=settings, extras=extras)


CERTAIN = _lever("one arm pays 1 and costs 1, nearly always pulled", ["99/100", "1/100"], 1, tau="1/4", eta="1/100")
AT_SADDLE = _lever("the same bandit at its saddle, price 2", ["1/2", "1/2"], 2, tau="1/4", eta="1/10")
DECAY = (1 - q.eta * q.tau) ** 6
UNBOUND = by_hand(
    "one arm pays 1, and the constraint never binds",
    transitions=[[[1], [1]]],
    rewards=[[1, 0]],
    discount=0,
    settings={"tau": "1/4", "eta": "1/10"},
    extras={"signal": [[0, 1]], "saddle_price": 0, "slackness": 1, "price_now": 1},
)

recursion = Claim(
    id="regularised-primal-dual-recursion",
    title="Regularised primal-dual: the potential contracts at every step, up to the square of the step",
    source=Source("ding2023last", where="the regularised method, as recalled; this form derived here", version="arXiv:2306.11700"),
    domain=SOFT,
    settings=WARM,
    departs="One step from any policy and price at any step size, and six steps with eta tau <= 1. The threshold is chosen after the saddle, so that "
    "the saddle is known exactly; every threshold is reached that way.",
    forms=[
        Form("one step", q.regularised_potential_next <= (1 - q.eta * q.tau) * q.regularised_potential + q.eta**2 * q.regularised_noise),
        Form(
            "six steps",
            q.regularised_potential_end <= DECAY * q.regularised_potential + q.eta * q.regularised_noise_most * (1 - DECAY) / q.tau,
            settings=SHORT,
        ),
    ],
    negative_controls=[
        Control(
            "twice the contraction",
            q.regularised_potential_next <= (1 - 2 * q.eta * q.tau) * q.regularised_potential + q.eta**2 * q.regularised_noise,
            because="the divergence itself falls at the rate eta tau where a policy is nearly deterministic",
        ),
        Control(
            "without the square of the step",
            q.regularised_potential_next <= (1 - q.eta * q.tau) * q.regularised_potential,
            settings=SHORT,
            because="at the saddle's policy with another price the weights move away from it, by the square of the step",
        ),
    ],
    uses=["performance-difference", "lagrangian-gda-spirals"],
    instances=(CERTAIN, AT_SADDLE, UNBOUND),
)

BIASED = SOFT.replace(max_states=2)
COOL = {q.tau: Between(Rational(1, 100), 1)}
FEASIBLE = ((0, q.saddle_room),)

bias = Claim(
    id="regularised-cmdp-bias",
    title="The regularised saddle misses the constraint by tau lambda, and loses at most tau log A/(1-gamma)",
    source=Source("ding2023last", where="the regularised method, as recalled; this form derived here", version="arXiv:2306.11700"),
    domain=BIASED,
    settings=COOL,
    departs="The threshold is chosen as V_g + tau lambda after a soft-optimal policy. That this is the saddle, and that therefore the saddle of any "
    "threshold misses it by tau lambda, is what the first two forms show. The bound of the price is sharper by tau lambda^2.",
    forms=[
        Form("the price of the saddle", q.regularised_dual >= q.regularised_dual_at_saddle + q.tau / 2 * (q.price_now - q.saddle_price) ** 2),
        Form("the policy of the saddle", q.lagrangian_of_policy <= q.lagrangian_at_saddle),
        Form("what is missing", equal(q.saddle_missing, q.tau * q.saddle_price)),
        Form("gap", q.saddle_gap <= q.tau * log(q.A) / (1 - q.gamma) - q.tau * q.saddle_price**2, where=FEASIBLE),
        Form(
            "price",
            q.saddle_price * q.saddle_room + q.tau * q.saddle_price**2 <= (1 + q.tau * log(q.A)) / (1 - q.gamma),
            where=FEASIBLE,
        ),
        Form("what is missing, bounded", q.saddle_missing * q.saddle_room <= q.tau * (1 + q.tau * log(q.A)) / (1 - q.gamma), where=FEASIBLE),
    ],
    negative_controls=[
        Control(
            "nothing is missing",
            q.saddle_missing <= 0,
            where=FEASIBLE,
            because="a price of 1 is paid for by what is missing: at tau = 1/4 the even choice misses the budget 1/4 by 1/4",
        ),
        Control(
            "no gap",
            q.saddle_gap <= 0,
            where=FEASIBLE,
            because="entropy makes the policy try what pays less, even where the constraint does not bind",
        ),
        Control(
            "the price without the room",
            q.saddle_price <= (1 + q.tau * log(q.A)) / (1 - q.gamma),
            where=FEASIBLE,
            because="where the constraint leaves little room its price is high",
        ),
    ],
    uses=["cmdp-strong-duality"],
    instances=(AT_SADDLE, CERTAIN, UNBOUND, *ZOO),
    kind="upper",
)

# Causal entropy

COSTS = {
    "costs": Extra(("S", "A"), low=0, high=1, meaning="c, whose discounted sum is constrained"),
    "first_price": Extra((), low=0, high=3, meaning="a price of the cost"),
    "second_price": Extra((), low=0, high=3, meaning="another one"),
}
CAUSAL = SOFT.replace(extras=COSTS)
ARMS = bandits(policy="interior", max_actions=4, extras=COSTS)
HEAT = {q.tau: Between(Rational(1, 20), 2)}
STEPS = {q.tau: Between(Rational(1, 20), 2), q.step_factor: Between(Rational(1, 10), 1)}
CHANGE = q.second_price - q.first_price


def _costly(name, costs, first, second, **settings):
    extras = {"costs": [costs], "first_price": first, "second_price": second}
    return by_hand(name, transitions=[[[1], [1]]], rewards=[[1, 0]], discount=0, settings={"tau": "1/4", **settings}, extras=extras)


QUARTER = _costly("an arm that pays 1 and costs 1, budget near 1/4", [1, 0], "257/200", "51/40", step_factor=1)
TRIPLE = _costly("the same bandit with three times the step", [1, 0], "257/200", "51/40", step_factor=3)
LEVERS = tuple(
    by_hand("the lever", transitions=[[[1], [1]]], rewards=[[1, 0]], discount=0, settings={"tau": tau}, extras={"lever_budget": budget})
    for tau, budget in (("1/4", "1/4"), ("1/4", "49/50"), (2, "9/10"))
)
"""Binding; nearly slack, 1/(1 + e^-4) being 0.982; slack, 1/(1 + e^-1/2) being 0.622."""
ALIKE = _costly("two arms that cost the same", [1, 1], 0, 1, step_factor=1)

causal_entropy = Claim(
    id="maximum-causal-entropy-with-constraints",
    title="Largest causal entropy under a constraint: a soft-optimal policy at a price, and a smooth convex dual",
    source=Source("ziebart2010modeling", where="the dual of causal entropy, as recalled; derived here", version="ICML 2010"),
    domain=CAUSAL,
    settings=HEAT,
    departs="One cost. Monotone means that a step of the price neither overshoots the optimal one nor ends further from it.",
    forms=[
        Form("no policy of that cost does better", q.own_causal_reward <= q.causal_value + q.first_price * q.own_cost),
        Form("the soft-optimal policy attains it", equal(q.causal_reward, q.causal_value + q.first_price * q.causal_cost)),
        Form("the dual is convex, its slope b - V_c", q.causal_value_second >= q.causal_value - CHANGE * q.causal_cost),
        Form("cost falls with its price", CHANGE * (q.causal_cost_second - q.causal_cost) <= 0),
        Form("slope of the cost", equal(q.cost_slope, -q.cost_variance / q.tau), domain=ARMS),
        Form(
            "smooth",
            q.causal_value_second <= q.causal_value - CHANGE * q.causal_cost + q.cost_spread**2 / (8 * q.tau) * CHANGE**2,
            domain=ARMS,
        ),
        Form(
            "no step overshoots",
            (q.price_after_step - q.second_price) * (q.first_price - q.second_price) >= 0,
            domain=ARMS,
            settings=STEPS,
            where=((0, q.cost_spread),),
        ),
        Form(
            "no step ends further away",
            (q.price_after_step - q.second_price) ** 2 <= (q.first_price - q.second_price) ** 2,
            domain=ARMS,
            settings=STEPS,
            where=((0, q.cost_spread),),
        ),
        Form(
            "two arms",
            equal(q.lever_cost, Min(q.lever_budget, 1 / (1 + exp(-1 / q.tau)))),
            domain=ARMS.replace(extras={"lever_budget": Extra((), low=Rational(1, 50), high=Rational(49, 50), meaning="b")}),
            instances=LEVERS,
        ),
    ],
    negative_controls=[
        Control(
            "three times the step",
            (q.price_after_step - q.second_price) ** 2 <= (q.first_price - q.second_price) ** 2,
            domain=ARMS,
            settings={q.tau: Between(Rational(1, 20), 2), q.step_factor: 3},
            where=((0, q.cost_spread), (1, q.step_factor)),
            instances=(TRIPLE,),
            because="a step longer than twice tau over the variance on its way ends further beyond the optimal price than it began before it",
        ),
        Control(
            "demonstrations tell the price",
            CHANGE * (q.causal_cost_second - q.causal_cost) <= -(CHANGE**2) / 1000,
            domain=CAUSAL.replace(min_actions=2),
            instances=(ALIKE,),
            because="where every arm costs the same the price changes nothing that can be seen",
        ),
        Control(
            "half as smooth",
            q.causal_value_second <= q.causal_value - CHANGE * q.causal_cost + q.cost_spread**2 / (16 * q.tau) * CHANGE**2,
            domain=ARMS,
            because="the variance of a cost reaches a quarter of its squared spread",
        ),
    ],
    uses=["soft-bellman-facts"],
    instances=(QUARTER, ALIKE, *ZOO),
    kind="upper",
)
