"""Control and side mechanisms: gradients in a wrong model, shooting, an exact lift, smoothed policies, advice that may be ignored.

Derivation: docs/theory/control.md
"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

# Gradients in a wrong model

WRONG = {name: Extra((2, 2), low=Rational(-3, 2), high=Rational(3, 2), meaning=what) for name, what in (("own", "A"), ("wrong", "the model of A"))}
TRACKS = {
    "true_loop": Extra((2, 2), low=Rational(-9, 20), high=Rational(9, 20), meaning="A - BK"),
    "drift": Extra((2, 2), low=Rational(-1, 4), high=Rational(1, 4), meaning="the model of A less A"),
    "inflow": Extra((2, 1), low=-2, high=2, meaning="B"),
    "gain": Extra((1, 2), low=-2, high=2, meaning="K"),
    "begin": Extra((2,), low=-1, high=1, meaning="the first state"),
    "plan": Extra((5, 1), low=-1, high=1, meaning="v, what is added to the feedback at each of five steps"),
    "cost_root": Extra((2, 2), low=-1, high=1, meaning="Q = LL'"),
    "control_cost": Extra((), low=Rational(1, 10), high=2, meaning="R"),
}
REST = [[0, 0], [0, 0]]
COMMUTING = alone("a model that is off by a multiple of itself", {"own": [[1, 0], [0, 1]], "wrong": [["999/1000", 0], [0, "999/1000"]]})
GROWING = alone("growth that is guessed too large", {"own": [[1, 0], [0, 0]], "wrong": [["3/2", 0], [0, 0]]})
TRACKED = alone(
    "an unstable plant under feedback",
    {
        **{"true_loop": REST, "drift": [["1/4", 0], [0, 0]], "inflow": [[1], [0]], "gain": [[2, 0]], "begin": [1, 0]},
        **{"plan": [[0]] * 5, "cost_root": [[1, 0], [0, 0]], "control_cost": "1/10"},
    },
    {"fraction": 1, "error_share": "1/2"},
)
MISLED = alone(
    "a plan near the optimum",
    {
        **{"true_loop": [["9/20", 0], [0, 0]], "drift": [["1/4", 0], [0, 0]], "inflow": [[1], [0]], "gain": [[0, 0]], "begin": [1, 0]},
        **{"plan": [["-164/1000"], ["-47/1000"], ["-13/1000"], ["-4/1000"], ["-1/1000"]], "cost_root": [[1, 0], [0, 0]], "control_cost": 2},
    },
    {"fraction": 1, "error_share": "1/2"},
)

bias = Claim(
    id="model-based-gradient-bias",
    title="Gradients taken in a wrong model: exponential without feedback, bounded with it, and still a descent direction",
    source=Source(
        "westenbroek2023feedback", where="why an embedded tracking controller helps, as recalled; derived here", version="arXiv:2307.08168v2"
    ),
    domain=ALONE.replace(extras=TRACKS),
    forms=[
        Form(
            "powers",
            q.power_errors <= q.power_error_bounds,
            domain=ALONE.replace(extras=WRONG),
            instances=(COMMUTING, GROWING, "arms([1])"),
        ),
        Form("costates", equal(q.plan_differences, q.plan_gradient), symbolic=((1, 1),)),
        Form("gradient", q.model_gradient_errors <= q.model_gradient_bounds),
        Form(
            "descent, as recalled",
            2 * q.plan_smoothness * (1 + q.error_share) ** 2 * q.careful_decrease >= (1 - q.error_share) ** 2 * q.gradient_size_square,
            settings={q.error_share: Between(Rational(1, 20), Rational(19, 20))},
            where=((q.gradient_error_square, q.error_share**2 * q.gradient_size_square),),
        ),
        Form(
            "descent",
            2 * q.plan_smoothness * q.biased_decrease >= q.fraction * (q.gradient_size_square - q.gradient_error_square),
            settings={q.fraction: Between(Rational(1, 20), 1)},
        ),
    ],
    departs="Both sides of the descent form are sharper than the recalled one: any step up to 1/L, and (1 - theta^2) in place of (1 - theta).",
    negative_controls=[
        Control(
            "one factor fewer",
            q.power_errors <= q.power_error_bounds_late,
            domain=ALONE.replace(extras=WRONG),
            instances=(COMMUTING, GROWING, "arms([1])"),
            because="the error of the first step goes through all k - 1 others, and for a norm above 1 each of them makes it larger",
        ),
        Control(
            "the feedback's bound without the feedback",
            q.open_gradient_errors <= q.open_gradient_closed_bounds,
            because="driven by the plan alone an unstable plant multiplies the error of the model by its own growth at every step",
        ),
        Control(
            "descent whatever the error",
            q.biased_decrease >= 0,
            settings={q.fraction: 1},
            because="near the optimum the error of the model is larger than what is left of the gradient, and the step is one away from the optimum",
        ),
        Control(
            "descent with a step three times as long",
            q.biased_decrease >= 0,
            settings={q.fraction: 3},
            where=((q.gradient_error_square, q.gradient_size_square / 100),),
            because="beyond 2/L even the true gradient overshoots",
        ),
    ],
    instances=(TRACKED, MISLED, "arms([1])"),
    kind="upper",
)

# Shooting


def _scalar(steps, most, feedback=0):
    growth = {"held": "a - K"} if feedback else {"a": "growth of the state by itself"}
    return {
        **{name: Extra((), low=-most, high=most, meaning=what) for name, what in growth.items()},
        "feedback": Extra((), low=-feedback, high=feedback, meaning="K, the controls are the plan less K times the state"),
        "begin": Extra((), low=-1, high=1, meaning="the first state"),
        "plan": Extra((steps,), low=-1, high=1, meaning="the plan"),
    }


STABLE, ANY_GROWTH = ALONE.replace(extras=_scalar(6, Rational(9, 10))), ALONE.replace(extras=_scalar(4, 2))
TWO_STEPS = ALONE.replace(extras=_scalar(2, 2))
FED_BACK = ALONE.replace(extras=_scalar(6, Rational(9, 10), feedback=2))
PRICES = {q.control_price: Between(Rational(1, 100), 1)}


def _shot(name, a, plan, feedback=0, price="1/10", begin=0):
    return alone(name, {"a": a, "held": a, "feedback": feedback, "begin": begin, "plan": plan}, {"control_price": price})


EXTREMES = _shot("both extreme directions at once", "3/2", [1, "-1/3"], price="1/4")  # M'M has 4 along (2, 1) and 1/4 along (1, -2)
STEEPEST = _shot("the steepest direction", "3/2", [1, "1/2"], price="1/4")
GROWTH = _shot("growth", 2, [1, 0, 0, 0])
DECAY = _shot("decay with alternating signs", "-9/10", [1, -1, 1, -1, 1, -1], price="1/100")
HELD = _shot("growth that is fed back", 0, [1, 0, 0, 0, 0, 0], feedback="3/2")

shooting = Claim(
    id="shooting-gradient-conditioning",
    title="Gradient descent on open-loop plans: conditioning, horizon and feedback",
    source=Source("jyothir2023gradient", where="gradient-based planning; statement derived here", version="arXiv:2312.17227v1"),
    domain=STABLE,
    settings=PRICES,
    forms=[
        Form("from below", q.shooting_smallest * q.plan_size_square <= q.plan_form),
        Form("from above", q.plan_form <= q.shooting_largest * q.plan_size_square),
        Form("bounded in the horizon", q.shooting_condition <= q.shooting_bound),
        Form("exponential in the horizon", q.shooting_condition >= q.shooting_growth, domain=ANY_GROWTH, instances=(GROWTH, "arms([1])")),
        Form(
            "bounded by feedback",
            q.shooting_condition <= q.shooting_feedback_bound,
            domain=FED_BACK,
            instances=(HELD, "arms([1])"),
        ),
        Form(
            "contraction",
            q.plan_gap_after <= ((q.shooting_condition - 1) / (q.shooting_condition + 1)) ** 2 * q.plan_gap,
            domain=ANY_GROWTH,
            instances=(GROWTH, "arms([1])"),
        ),
    ],
    departs="The bounds, and that a feedback in the loop bounds the condition number for every horizon, are derived here.",
    negative_controls=[
        Control(
            "sign of a kept",
            q.shooting_condition <= q.shooting_bound_signed,
            because="a state that alternates is as hard as one that does not: only |a| counts",
        ),
        Control(
            "the same for growth",
            q.shooting_condition <= q.shooting_bound,
            domain=ANY_GROWTH,
            instances=(GROWTH, "arms([1])"),
            because="for |a| > 1 the sum 1 + |a| + a^2 + ... is no 1/(1 - |a|): the condition number grows like a^(2H)",
        ),
        Control(
            "step beyond 2 over the largest eigenvalue",
            q.plan_gap_after_long <= q.plan_gap,
            domain=TWO_STEPS,
            instances=(EXTREMES, STEEPEST, "arms([1])"),
            because="the steepest direction then overshoots by more than it was off",
        ),
        Control(
            "contraction a hundredth faster",
            q.plan_gap_after <= Rational(99, 100) * ((q.shooting_condition - 1) / (q.shooting_condition + 1)) ** 2 * q.plan_gap,
            domain=TWO_STEPS,
            instances=(EXTREMES, STEEPEST, "arms([1])"),
            because="the extreme directions are both multiplied by exactly (kappa - 1)/(kappa + 1)",
        ),
    ],
    instances=(DECAY, "arms([1])"),
    kind="upper",
)

# An exact Koopman lift


def _lifted(high=None, leak=0):
    high = Rational(4, 5) if high is None else high
    return {
        "lift_a": Extra((), low=-high, high=high, meaning="x1' = a x1"),
        "lift_b": Extra((), low=-1, high=1, meaning="x2' = b x2 + c x1^2 + u"),
        "lift_c": Extra((), low=-1, high=1, meaning="c"),
        "point": Extra((2,), low=-1, high=1, meaning="the first state"),
        "pushes": Extra((4,), low=-1, high=1, meaning="controls"),
        "lift_loop": Extra((), low=Rational(-3, 4), high=Rational(3, 4), meaning="b - k2, the closed loop of x2"),
        "lift_gain": Extra((2,), low=-1, high=1, meaning="k1 and k3, the feedback of x1 and of x1^2"),
        "lift_cost": Extra((3, 3), low=-1, high=1, meaning="L: the cost, or the Riccati solution, is LL'"),
        "lift_control_cost": Extra((), low=Rational(1, 10), high=2, meaning="R"),
        **({"leak": Extra((), low=-leak, high=leak, meaning="how much of u enters x1")} if leak else {}),
    }


LIFTS = ALONE.replace(extras=_lifted())


def _curved(name, a, leak=0, point=(1, 1), roots=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    rows = {"lift_a": a, "lift_b": "1/2", "lift_c": "2/5", "leak": leak, "point": list(point), "pushes": [1, -1, 1, 0], "lift_loop": "1/4"}
    return alone(name, {**rows, "lift_gain": ["1/2", "1/3"], "lift_cost": [list(row) for row in roots], "lift_control_cost": 1})


CURVED = _curved("a slow manifold", "4/5")
LEAKY = _curved("a control that enters x1 too", "1/2", leak=1)
RUNAWAY = _curved("a mode that grows", "21/20", roots=((1, 0, 0), (0, 0, 0), (0, 0, 0)))

koopman = Claim(
    id="koopman-exact-lift",
    title="An exact Koopman lift: a nonlinear problem whose optimum is a Riccati equation",
    source=Source(
        "brunton2016koopman", where="the slow manifold with a quadratic observable, as recalled; with control and cost derived here", version="2016"
    ),
    domain=LIFTS,
    forms=[
        Form("lift", equal(q.system_trail, q.lifted_trail), symbolic=((1, 1),)),
        Form("cost of a feedback", equal(q.four_steps_and_the_rest, q.lifted_cost), symbolic=((1, 1),)),
        Form("optimum", equal(q.designed_backup, q.designed_value), symbolic=((1, 1),)),
        Form("no feedback is better", q.designed_value <= q.designed_other_value),
        Form("what the linear part misses", equal(q.linear_part_miss, q.linear_part_bias), symbolic=((1, 1),)),
    ],
    negative_controls=[
        Control(
            "control of x1",
            equal(q.leaking_trail, q.lifted_trail),
            domain=ALONE.replace(extras=_lifted(leak=1)),
            because="x1'^2 then has terms in u x1 and in u^2, which no linear system of these coordinates has",
        ),
        Control(
            "growth of x1",
            q.four_steps <= q.lifted_cost,
            domain=ALONE.replace(extras=_lifted(high=Rational(6, 5))),
            because="x1 is not controlled: with |a| > 1 the cost is infinite, and what solves the Lyapunov equation is no cost",
        ),
        Control(
            "the linear part misses nothing",
            q.linear_part_miss <= 0,
            because="x1^2 drives x2, and what that costs is of fourth order in x1",
        ),
    ],
    instances=(CURVED, LEAKY, RUNAWAY, "arms([1])"),
    kind="equal",
)

# Smoothed policies under attack

OBSERVED = {
    "observe": Extra(("S",), low=-1, high=1, meaning="what is observed in each state, before the noise"),
    "threshold": Extra((), low=-1, high=1, meaning="the second action is taken where the noisy observation is above it"),
    "good": Extra(("S",), "choice", meaning="the good state"),
}
NOISES = {q.noise_scale: Between(Rational(1, 2), 2), q.attack_unit: Between(Rational(1, 20), 1)}
SMOOTHED = random_mdps(policy="any", mu="any", rho="mu", min_actions=2, max_actions=2, max_states=3, extras=OBSERVED)


def _watched(name, transitions, observe, threshold, good, unit="2/5", scale=1):
    states = len(transitions)
    return by_hand(
        name,
        transitions=transitions,
        rewards=[[0, 0]] * states,
        discount=0,
        mu=[1] + [0] * (states - 1),
        extras={"observe": observe, "threshold": threshold, "good": good},
        settings={"noise_scale": scale, "attack_unit": unit},
    )


ONE_LOOK = _watched("one look decides", [[[0, 1, 0], [0, 0, 1]], [[0, 1, 0]] * 2, [[0, 0, 1]] * 2], [0, 0, 0], 0, [0, 0, 1])
EVERY_LOOK = _watched("every look must be right", [[[0, 1], [1, 0]], [[0, 1]] * 2], [0, 0], -1, [1, 0])

smoothing = Claim(
    id="policy-smoothing-certificate",
    title="Noise on the observations certifies a policy against adaptive attacks of bounded energy",
    source=Source(
        "kumar2022policy",
        where="the adaptive Neyman-Pearson lemma and its certificate, as recalled; proof derived here",
        version="arXiv:2106.11420v3",
    ),
    domain=SMOOTHED,
    settings=NOISES,
    forms=[
        Form("success", q.attacked_success >= q.success_certificate),
        Form("a budget for every step", q.attacked_success_each_step >= q.success_certificate_each_step),
        Form("expected return", q.attacked_count >= q.count_certificate),
        Form("expected return by its mean", q.attacked_count >= q.count_certificate_of_mean),
        Form("the mean is the weaker certificate", q.count_certificate >= q.count_certificate_of_mean),
    ],
    negative_controls=[
        Control(
            "each step's budget taken for all",
            q.attacked_success_each_step >= q.success_certificate,
            because="attacks of B at each of three steps have the energy of one of sqrt(3) B; where every look must be right they all count",
        ),
        Control(
            "nine tenths of the budget",
            q.attacked_success >= q.success_certificate_strong,
            because="where one look decides success is a half-space, for which the certificate is exact",
        ),
        Control(
            "one threshold for all",
            q.attacked_count >= q.count_certificate_of_one,
            because="that some state is good says nothing of how many are",
        ),
    ],
    instances=(ONE_LOOK, EVERY_LOOK, "loop(9/10)"),
    kind="lower",
)

# Advice that may be ignored

FOLLOWED = {
    "adherence": Extra(("S", "A"), meaning="probability that an advice is followed"),
    "retained": Extra(("S", "A"), meaning="share of it that is left in the second problem"),
}
ADVISED = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=3, rewards=None, extras=FOLLOWED)
ONE_SHARE = ADVISED.replace(extras={"followed_share": Extra((), meaning="probability that any advice is followed")})
PRICED = ADVISED.replace(extras=FOLLOWED | {"advice_price": Extra((), meaning="price of one advice")})
STUBBORN = ADVISED.replace(extras=FOLLOWED | {"reactions": Extra(("S", "A", "A"), "distribution", meaning="what is done instead of the advice")})


def _person(name, model=None, policy=None, adherence="1/2", retained=0, price="1/10", share="1/2", **arrays):
    states, actions = len(policy), len(policy[0])
    table = [[adherence] * actions] * states
    opposite = [[[int(a != b) for b in range(actions)] for a in range(actions)]] * states
    extras = {"adherence": table, "retained": [[retained] * actions] * states, "followed_share": share, "advice_price": price, "reactions": opposite}
    return by_hand(name, model, policy=policy, other=[[0, 1]] * states if actions == 2 else None, extras=extras, **arrays)


WALK = _person(
    "who stays unless told to go",
    policy=[[1, 0], [1, 0]],
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[0, 0], [1, 1]],
    discount="1/2",
    mu=[1, 0],
)
WRONG_ARM = _person("who takes the wrong arm", "arms([1, 0], 9/10)", policy=[[0, 1]])
CONTRARY = _person("who does the opposite", "arms([1, 0])", policy=[["1/2", "1/2"]])

advice = Claim(
    id="adherence-monotone-and-price",
    title="Advice that is followed sometimes: monotone in the adherence, priced by the person's regret, given only where it matters",
    source=Source(
        "chen2024learning",
        where="the adherence model, monotonicity and the defer option, as recalled; prices derived here",
        version="arXiv:2310.00817v3",
    ),
    domain=ADVISED,
    forms=[
        Form(
            "what the person does", equal(q.advised_policy_values, q.followed_policy_values), domain=ADVISED.replace(other="any"), symbolic=((2, 2),)
        ),
        Form("monotone", q.advice_values >= q.less_advice_values),
        Form("price", (1 - q.gamma) * q.adherence_loss <= q.unfollowed_regret),
        Form("price of one adherence", (1 - q.gamma) * q.share_loss <= (1 - q.followed_share) * q.human_regret, domain=ONE_SHARE),
        Form("threshold", equal(q.priced_values, q.threshold_values), domain=PRICED),
        Form("silence", equal(q.priced_values, q.human_values), domain=PRICED, where=((q.largest_advantage_of_advice, q.advice_price),)),
        Form("price of a price", (1 - q.gamma) * q.price_paid <= q.advice_price, domain=PRICED),
    ],
    departs="Monotone for any adherence theta(s, a), which may depend on the advice; a person whose own action depends on the advice breaks it.",
    negative_controls=[
        Control(
            "horizon dropped",
            q.share_loss <= (1 - q.followed_share) * q.human_regret,
            domain=ONE_SHARE,
            because="what is not followed is lost at every step: in one state with two arms the loss is exactly 1/(1 - gamma) times the regret",
        ),
        Control(
            "somebody who answers back",
            q.reactive_values >= q.less_reactive_values,
            domain=STUBBORN,
            because="who always does the opposite of an advice not followed is steered best when they never follow",
        ),
        Control(
            "silence at a price above half the regret",
            equal(q.priced_values, q.human_values),
            domain=PRICED,
            where=((q.human_regret / 2, q.advice_price),),
            because="advice that is worth more than it costs is given",
        ),
        Control(
            "price halved",
            2 * (1 - q.gamma) * q.adherence_loss <= q.unfollowed_regret,
            because="in one state with two arms and somebody who takes the wrong one the price is exact",
        ),
    ],
    instances=(WALK, WRONG_ARM, CONTRARY, "loop(9/10)", "arms([1, 0])", "chain(1, 9/10)"),
    kind="upper",
)
