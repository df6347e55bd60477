"""Descent and ascent on the Lagrangian: spirals, optimism, the bandit on which no fixed price works.  Derivation: docs/theory/constrained.md"""

from sympy import Min, Rational, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

RELOAD = "moskovitz2023reload"
RELOAD_VERSION = "arXiv:2302.01275"
ALONE = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Rational(0))
CORNER = Extra((2,), low=-1, high=1, meaning="the start")
GAME = {
    "coupling": Extra((2, 2), low=-2, high=2, meaning="B"),
    "corners": Extra((2, 2), low=-1, high=1, meaning="x and y"),
}
ARMS = {
    "arm_costs": Extra((3,), low=0, high=1, meaning="what each arm costs"),
    "balance": Extra((3,), "interior", meaning="pi*, whose mean cost is the budget"),
    "weights": Extra((3,), "interior", meaning="pi"),
    "price": Extra((), low=0, high=3, meaning="lambda"),
    "balance_price": Extra((), low=0, high=2, meaning="lambda*"),
}
RIVALS = ARMS | {
    "rival": Extra((3,), "interior", meaning="any other choice"),
    "rival_price": Extra((), low=0, high=3, meaning="any other price"),
}
TURNING, GAMES, BANDITS = (ALONE.replace(extras=extras) for extras in ({"corner": CORNER}, GAME, ARMS))
ANY_STEP = {q.eta: Between(Rational(1, 100), 2)}


def _spins(low, high):
    return {q.spin: Between(low, high)}


def _alone(name, extras, **settings):
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, extras=extras, settings=settings)


def _bandit(name, weights, price, eta):
    extras = {
        "arm_costs": [1, 0, 0],
        "balance": ["1/2", "1/4", "1/4"],
        "weights": weights,
        "price": price,
        "balance_price": 1,
        "rival": ["1/2", "1/4", "1/4"],
        "rival_price": 1,
    }
    return _alone(name, extras, eta=eta)


UNIT, GENTLE, DOUBLE_EIGENVALUE, FAST, OVERSHOT, SLOW = (
    _alone(f"from (1, 0) with eta sigma = {spin}", {"corner": [1, 0]}, spin=spin) for spin in ("1/2", "3/10", 2, "13/20", "29/50", "11/20")
)
SPIRAL = _bandit("one arm pays 1 and costs 1, budget 1/2, from 3/5 at price 13/10", ["3/5", "1/5", "1/5"], "13/10", "1/10")
FLOOR = _bandit("the same bandit at price 0, where the price would fall further", ["1/10", "9/20", "9/20"], 0, "1/10")
TURN = _alone("a turn of the plane", {"coupling": [[0, 1], [-1, 0]], "corners": [[1, 0], [0, 1]]}, eta="1/2")
ROOT = sqrt(1 - 4 * q.spin**2)
SLOPE = sqrt(4 * q.spin**2 - 1)
FAR, NEAR = (1 + (2 * q.spin + SLOPE) ** 2) / 4, (1 + (2 * q.spin - SLOPE) ** 2) / 4
"""Squared moduli of the two roots beyond x = 1/2."""

spirals = Claim(
    id="lagrangian-gda-spirals",
    title="Descent and ascent on a Lagrangian spirals outwards; averages are as good as the step is short",
    source=Source("bailey2018multiplicative", where="the potential of the last iterate, as recalled; constants derived here", version="EC 2018"),
    domain=TURNING,
    settings=_spins(Rational(1, 100), 2),
    departs="The identity of the potential holds for three arms and every equilibrium of the game with r = lambda* c, not only for two arms. The "
    "averages are bounded by the mean second-order term, whether or not the price meets 0.",
    forms=[
        Form("simultaneous steps", equal(q.simultaneous_square, (1 + q.spin**2) ** 12 * q.start_square), settings=_spins(Rational(1, 100), 1)),
        Form("simultaneous steps, a matrix", equal(q.matrix_square, q.matrix_square_formula), domain=GAMES, settings=ANY_STEP, instances=(TURN,)),
        Form("alternating steps keep a form", equal(q.alternating_forms, q.start_form)),
        Form("alternating steps stay bounded", (2 - q.spin) * q.alternating_squares <= (2 + q.spin) * q.start_square),
        Form("alternating steps stay away", (2 + q.spin) * q.alternating_squares >= (2 - q.spin) * q.start_square),
        Form(
            "extragradient",
            equal(q.extragradient_square, (1 - q.spin**2 + q.spin**4) ** 12 * q.start_square),
            settings=_spins(Rational(1, 100), 1),
        ),
        Form(
            "weights and price",
            equal(q.potential_change, q.second_order),
            domain=BANDITS,
            settings=ANY_STEP,
            where=((0, q.price_unprojected),),
            instances=(SPIRAL,),
        ),
        Form(
            "weights and price never approach",
            q.potential_change >= 0,
            domain=BANDITS,
            settings=ANY_STEP,
            where=((0, q.price_unprojected),),
            instances=(SPIRAL,),
        ),
        Form(
            "averages",
            q.average_regret <= q.average_regret_bound,
            domain=ALONE.replace(extras=RIVALS),
            settings=ANY_STEP,
            instances=(SPIRAL, FLOOR),
        ),
    ],
    negative_controls=[
        Control(
            "simultaneous steps stay bounded",
            q.simultaneous_square <= q.start_square,
            because="the step is at a right angle to the position, and lengthens it",
        ),
        Control(
            "alternating steps stay bounded at eta sigma = 2",
            q.alternating_square_end <= 100 * q.start_square,
            settings={q.spin: (2,)},
            instances=(DOUBLE_EIGENVALUE,),
            because="-1 is a double eigenvalue without a second eigenvector: the norm grows in proportion to t",
        ),
        Control(
            "the identity where the price meets 0",
            equal(q.potential_change, q.second_order),
            domain=BANDITS,
            settings=ANY_STEP,
            instances=(FLOOR,),
            because="keeping the price from falling below 0 brings it nearer to lambda* than the gradient step would",
        ),
        Control(
            "no approach in a slack constraint either",
            q.slack_potential_change >= 0,
            domain=BANDITS,
            settings=ANY_STEP,
            instances=(SPIRAL,),
            because="where the equilibrium is a corner the first-order terms do not cancel, and the last iterate can converge",
        ),
    ],
    instances=(UNIT,),
    kind="equal",
)

optimism = Claim(
    id="ogda-bilinear-exact-rate",
    title="Optimistic descent-ascent on a bilinear game: its exact path, rate and limit 1/sqrt(3)",
    source=Source("mokhtari2020unified", where="linear rate, as recalled; the exact roots derived here", version="arXiv:1901.08511"),
    domain=TURNING,
    settings=_spins(Rational(1, 20), Rational(49, 100)),
    departs="Twelve steps from z_(-1) = z_0 in one singular direction; the directions of a matrix do not meet, so the smallest one sets its rate.",
    forms=[
        Form("path", equal(q.optimistic_square, q.optimistic_square_by_roots)),
        Form("rate", ROOT**2 * q.optimistic_square <= ((1 + ROOT) / 2) ** 12 * q.start_square),
        Form("simple rate", (1 - 4 * q.spin**2) * q.optimistic_square <= (1 - q.spin**2) ** 12 * q.start_square),
        Form("double root", equal(4096 * q.optimistic_square, 85 * q.start_square), settings={q.spin: (Rational(1, 2),)}),
        Form(
            "path beyond one half",
            equal(q.optimistic_square / 1000, q.optimistic_square_by_roots / 1000),
            settings=_spins(Rational(51, 100), Rational(7, 10)),
        ),
        Form(
            "rate beyond one half",
            SLOPE**2 * q.optimistic_square <= 4 * q.spin**2 * FAR**12 * q.start_square,
            settings=_spins(Rational(51, 100), Rational(7, 10)),
        ),
        Form(
            "growth",
            SLOPE**2 * q.optimistic_square >= q.spin**2 * (FAR**6 - NEAR**6) ** 2 * q.start_square,
            settings=_spins(Rational(51, 100), Rational(7, 10)),
        ),
    ],
    negative_controls=[
        Control(
            "bounded up to 1/sqrt(2)",
            q.optimistic_square_end <= 100 * q.start_square,
            settings=_spins(Rational(29, 50), Rational(7, 10)),
            because="beyond 1/sqrt(3) one root leaves the unit disc: a norm of 9e6 after a hundred steps at eta sigma = 13/20",
        ),
        Control(
            "the simple rate beyond one half",
            SLOPE**2 * q.optimistic_square_end <= 4 * q.spin**2 * (1 - q.spin**2) ** 100 * q.start_square,
            settings=_spins(Rational(51, 100), Rational(57, 100)),
            instances=(SLOW,),
            because="past the double root the roots part along the imaginary axis, and the larger one grows again",
        ),
        Control(
            "half the exponent less",
            ROOT**2 * q.optimistic_square <= ((1 + ROOT) / 2) ** 24 * q.start_square,
            because="the spectral radius is the root of (1 + sqrt(1 - 4x^2))/2, not that number itself",
        ),
    ],
    uses=["lagrangian-gda-spirals"],
    instances=(GENTLE, UNIT, FAST, OVERSHOT, SLOW),
    kind="equal",
)

BUDGET = Extra((), low=Rational(1, 20), high=Rational(19, 20), meaning="b")
CHANCE = Extra((), low=Rational(1, 100), high=Rational(99, 100), meaning="probability of the arm that pays")
CENTRE = {
    "budget": BUDGET,
    "chance": CHANCE,
    "its_price": Extra((), low=0, high=3, meaning="lambda"),
    "chance_before": CHANCE,
    "price_before": Extra((), low=0, high=3, meaning="price where the field was last taken"),
}
CONSTANTS = {"budget": BUDGET, "chance": CHANCE, "a_price": Extra((), low=0, high=3, meaning="any price")}
LINEAR = {"budget": BUDGET, "direction": Extra((2,), low=-1, high=1, meaning="a displacement from the equilibrium")}
COPIES = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Rational(9, 10), extras=CONSTANTS)
SHORT = {q.eta: Between(Rational(1, 100), Rational(7, 10))}
LOCAL = 1 - 4 * q.eta**2 * q.mean_budget * (1 - q.mean_budget)


def _paradox(name, chance, price, b="1/2", eta="1/10"):
    extras = {"budget": b, "chance": chance, "its_price": price, "chance_before": chance, "price_before": price, "a_price": 1, "direction": [1, 0]}
    return _alone(name, extras, eta=eta)


HALF = _paradox("budget 1/2, from 3/5 at price 13/10", "3/5", "13/10")
FIFTH = _paradox("budget 1/5, at the equilibrium", "1/5", 1, b="1/5")
LONG_STEP = _paradox("budget 1/2, a step of 8", "3/5", "13/10", eta=8)

paradox = Claim(
    id="reload-paradox-and-last-iterate",
    title="A bandit that no fixed price solves, and the optimistic method that does",
    source=Source(RELOAD, where="the paradoxical problem and the last iterate, as recalled; derived here", version=RELOAD_VERSION),
    domain=ALONE.replace(extras=CENTRE),
    settings=SHORT,
    departs="The paradox is said of every price, and of copies of the bandit in one state. Instead of one long run the potential of the optimistic "
    "method is shown to fall at every step of at most 7/10, from any two points; that the last iterate converges follows (docs).",
    forms=[
        Form("at the optimal price every choice is as good", equal(q.lagrangian_at_one, q.copies_optimum), domain=COPIES, settings={}),
        Form("the optimum spends the budget", equal(q.copies_optimum, q.mean_budget / (1 - q.gamma)), domain=COPIES, settings={}),
        Form("no price helps", q.greedy_shortfall >= Min(q.mean_budget, 1 - q.mean_budget) / (1 - q.gamma), domain=COPIES, settings={}),
        Form("the optimistic potential falls", q.optimistic_potential_next <= q.optimistic_potential - (1 - q.eta**2) / 2 * q.look_ahead_square),
        Form(
            "local contraction",
            LOCAL * q.linear_end <= ((1 + sqrt(LOCAL)) / 2) ** 12 * q.linear_start,
            domain=ALONE.replace(extras=LINEAR),
        ),
    ],
    negative_controls=[
        Control(
            "some price helps",
            q.greedy_shortfall <= 0,
            domain=COPIES,
            settings={},
            because="below the price 1 the greedy choice always pulls and breaks the budget, above it never pulls, and at 1 it does not know",
        ),
        Control(
            "without optimism",
            q.saddle_distance_plain_step <= q.saddle_distance,
            because="a plain step leaves the equilibrium: its first-order terms cancel and the second-order ones are positive",
        ),
        Control(
            "any step size",
            q.optimistic_potential_next <= q.optimistic_potential,
            settings={q.eta: Between(2, 20)},
            instances=(LONG_STEP,),
            because="the step overshoots: what optimism corrects is of first order in the step size",
        ),
        Control(
            "contraction twice as fast",
            LOCAL * q.linear_end <= ((1 + sqrt(LOCAL)) / 2) ** 24 * q.linear_start,
            domain=ALONE.replace(extras=LINEAR),
            because="near the equilibrium the method is the optimistic one of a bilinear game with sigma = sqrt(b(1-b)), whose rate is exact",
        ),
    ],
    uses=["ogda-bilinear-exact-rate", "lagrangian-gda-spirals"],
    instances=(HALF, FIFTH, _paradox("budget 1/20, from far", "99/100", 3, b="1/20")),
    kind="upper",
)
