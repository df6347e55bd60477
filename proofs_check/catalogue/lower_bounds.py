"""What no learner can avoid, and what a fit costs.  Derivation: docs/theory/corrected_gradients.md"""

from sympy import Rational, exp

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

COIN = ALONE.replace(extras={"mean_of_coin": Extra((), low=Rational(1, 100), high=Rational(99, 100), meaning="mean of the arm that pays 1 or -1")})
RUN = {q.rounds: (1, 2, 4, 7), q.streak: (0, 1, 2, 3, 5), q.eta: Between(Rational(1, 10), 8)}


def _coin(name, mean, rounds, streak, eta):
    return alone(name, {"mean_of_coin": mean}, settings={"rounds": rounds, "streak": streak, "eta": eta})


FIRST = _coin("the first round", "1/5", 1, 0, 4)
STUCK = _coin("a long step, one loss", "1/5", 7, 1, 4)
STILL = _coin("a short step, no loss", "1/5", 7, 0, "1/10")
RUIN = q.mean_of_coin / 2 * ((1 - q.mean_of_coin) / 2) ** q.streak

stuck = Claim(
    id="sgb-large-step-polynomial-regret",
    title="Sampled ascent with a long step: a few losses in a row, and the better arm is hardly ever tried again",
    source=Source("baudry2025does", where="Theorem 2; the bound for every number of rounds derived here", version="NeurIPS 2025"),
    domain=COIN,
    settings=RUN,
    statement=q.ascent_regret >= RUIN * q.stuck_rounds,
    negative_controls=[
        Control(
            "as if the losses were sure",
            q.ascent_regret >= q.mean_of_coin / 2 * q.stuck_rounds,
            because="the n losses come with probability ((1 - D)/2)^n only",
        ),
        Control(
            "half of the rounds",
            q.ascent_regret >= q.mean_of_coin * q.rounds / 2,
            because="on average a pull of the better arm makes it likelier",
        ),
    ],
    instances=(FIRST, STUCK, STILL),
    kind="lower",
    departs="Every sequence of pulls and outcomes, up to seven rounds; the published rate T^(1 - lambda/eta) is not verified here",
)

COINS = ALONE.replace(
    extras={
        "one_coin": Extra((), low=Rational(1, 1000), high=Rational(999, 1000), meaning="probability of one under the first law"),
        "other_coin": Extra((), low=Rational(1, 1000), high=Rational(999, 1000), meaning="probability of one under the second"),
    }
)
TOSSES = {q.samples: (0, 1, 2, 5, 20)}


def _coins(name, one, other, samples):
    return alone(name, {"one_coin": one, "other_coin": other}, settings={"samples": samples})


NEAR = _coins("1/2 and 3/5, one toss", "1/2", "3/5", 1)
SAME = _coins("the same coin twice", "1/3", "1/3", 5)
FAR = _coins("1/100 and 1/2, twenty tosses", "1/100", "1/2", 20)
APART = _coins("1/10 and 9/10, twenty tosses", "1/10", "9/10", 20)
BLIND = _coins("no toss", "1/2", "3/5", 0)

two_point = Claim(
    id="two-point-lower-bound",
    title="Two laws that are hard to tell apart: the two errors of any test sum to at least exp(-KL)/2",
    source=Source("bretagnolle1979estimation", where="the inequality, as recalled", version="Z. Wahrscheinlichkeitstheorie 47"),
    domain=COINS,
    settings=TOSSES,
    forms=[
        Form("divergence", q.least_test_error >= exp(-q.samples * q.coin_divergence) / 2),
        Form("affinity", q.least_test_error >= q.affinity**2 / 2),
        Form("affinity, sharp", q.least_test_error * (2 - q.least_test_error) >= q.affinity**2),
    ],
    negative_controls=[
        Control(
            "without the half",
            q.least_test_error >= exp(-q.samples * q.coin_divergence),
            because="one toss of coins with 1/2 and 3/5: the best test errs with .9 in sum, and exp(-KL) is .98",
        ),
        Control(
            "an eighth of the divergence",
            q.least_test_error >= exp(-q.samples * q.coin_divergence / 8) / 2,
            because="twenty tosses of coins with 1/10 and 9/10: the best test hardly errs, and their divergence counts twenty times",
        ),
    ],
    instances=(NEAR, SAME, FAR, APART, BLIND),
    kind="lower",
    departs="Independent tosses of two coins, up to twenty",
)

FITTED = random_mdps(max_states=3, max_actions=2, mu="any", rewards=None).replace(
    extras={"fitted_kernel": Extra(("S", "A", "S"), "distribution", meaning="transitions of the fitted model")}
)
LAMP = by_hand(
    "a reward that stays on with probability 1/2, fitted as 3/5",
    transitions=[[["1/2", "1/2"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="9/10",
    extras={"fitted_kernel": [[["3/5", "2/5"]], [[0, 1]]]},
)
FADING = by_hand(
    "a reward that goes on or ends, fitted as going on",
    transitions=[[["99/100", "1/100"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="9/10",
    extras={"fitted_kernel": [[[1, 0]], [[0, 1]]]},
)
MYOPIC = by_hand(
    "no discount factor", transitions=[[["1/2", "1/2"]], [[0, 1]]], rewards=[[1], [0]], discount=0, extras={"fitted_kernel": [[[1, 0]], [[0, 1]]]}
)

SAMPLED = random_mdps(max_states=2, max_actions=2, mu="any", policy="any")
FITS = {q.samples: (1, 2, 3), q.failure: Between(Rational(1, 100), Rational(99, 100))}
LONGER = {q.samples: (5, 10, 20), q.failure: Between(Rational(1, 100), Rational(99, 100))}
LASTING = by_hand(
    "a reward that nearly always goes on, three samples",
    transitions=[[["99/100", "1/100"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="9/10",
    settings={"samples": 3, "failure": "1/100"},
    extras={"fitted_kernel": [[["2/3", "1/3"]], [[0, 1]]]},
)
SHORT = by_hand(
    "hardly any horizon, three samples",
    transitions=[[["2/5", "3/5"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="1/20",
    settings={"samples": 3, "failure": "99/100"},
    extras={"fitted_kernel": [[[1, 0]], [[0, 1]]]},
)
TEN = by_hand(
    "a fair chance to go on, ten samples",
    transitions=[[["1/2", "1/2"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="99/100",
    settings={"samples": 10, "failure": "9/10"},
    extras={"fitted_kernel": [[[1, 0]], [[0, 1]]]},
)

plug_in = Claim(
    id="plug-in-planning-error",
    title="A plan made in a fitted model: its action values miss by at most gamma/(1-gamma) times the fit's error on the true values",
    source=Source("azar2013minimax", where="the crude bound of Section 4, as recalled; agarwal2020model", version="Machine Learning 91"),
    domain=FITTED,
    forms=[
        Form("every fit", q.fitted_plan_error <= q.gamma / (1 - q.gamma) * q.next_value_error),
        Form("samples", q.plan_failure <= q.failure, domain=SAMPLED, settings=FITS),
        Form("samples, by the span", q.plan_failure_by_span <= q.failure, domain=SAMPLED, settings=FITS),
        Form("more samples, one action", q.plan_failure_by_span <= q.failure, domain=SAMPLED.replace(max_actions=1), settings=LONGER),
    ],
    negative_controls=[
        Control(
            "samples, as if errors came once",
            q.plan_failure_one_step <= q.failure,
            domain=SAMPLED,
            settings=FITS,
            because="an error in one transition comes again in every later step: 1/(1-gamma) times as large",
        ),
        Control(
            "without 1/(1-gamma)",
            q.fitted_plan_error <= q.gamma * q.next_value_error,
            because="an error of one step comes again in every later one: .356 against .164",
        ),
        Control(
            "half of it",
            q.fitted_plan_error <= q.gamma / (2 * (1 - q.gamma)) * q.next_value_error,
            because="a reward fitted as going on for ever meets the same error in every step",
        ),
    ],
    instances=(LAMP, FADING, MYOPIC, LASTING, SHORT, TEN),
    departs="By samples: n of each row, every outcome, two states; up to three samples for two actions, twenty for one; by the "
    "span of V*, in place of one 1/(1-gamma), the bound is smaller",
)

LAMPS = ALONE.replace(max_discount=Rational(99, 100))
LOOKS = {q.samples: (1, 5, 20, 100), q.accuracy_share: Between(Rational(1, 100), Rational(99, 100))}
WORTH = Rational(3, 4) + 2 * q.accuracy * (1 - q.gamma)
LEFT = (WORTH - 1 + q.gamma) * (1 - WORTH)


def _lamp(name, discount, samples, share):
    return alone(name, {}, settings={"samples": samples, "accuracy_share": share}, discount=discount)


NEARBY = _lamp("two lamps that are nearly alike", "9/10", 20, "1/10")
UNLIKE = _lamp("two lamps that differ by half of what they can", "9/10", 400, "1/2")
FAR_SIGHTED = _lamp("a long horizon, a hundred looks", "99/100", 100, "1/2")
EDGE = _lamp("a discount just above 1/4", "13/50", 5, "1/2")
GLANCE = _lamp("one look", "1/2", 1, "1/4")

generative = Claim(
    id="generative-lower-bound-instance",
    title="Two lamps whose values differ by 2 eps and whose transitions hardly do: samples grow like (1-gamma)^-3 eps^-2",
    source=Source("azar2013minimax", where="Theorem 3 (order), as recalled; instance and constants derived here", version="Machine Learning 91"),
    domain=LAMPS,
    settings=LOOKS,
    where=((Rational(1, 4), q.gamma),),
    forms=[
        Form("values", equal(q.lamp_gap, 2 * q.accuracy)),
        Form("no estimate is better than the best test", q.lamp_plug_in_error >= q.lamp_error),
        Form("divergence", q.lamp_error >= exp(-q.samples * q.lamp_divergence) / 4),
        Form("horizon", q.lamp_error >= exp(-Rational(64, 9) * q.samples * q.accuracy**2 * (1 - q.gamma) ** 3 / LEFT) / 4),
    ],
    negative_controls=[
        Control(
            "an even chance at every discount",
            q.half_lamp_error >= exp(-Rational(64, 9) * q.samples * q.accuracy**2 * (1 - q.gamma) ** 3 / LEFT) / 4,
            because="a lamp that lasts with probability 1/2 is worth less than 2 however long the horizon, and one worth six more is seen at once",
        ),
        Control(
            "one more power of 1-gamma",
            q.lamp_error >= exp(-Rational(64, 9) * q.samples * q.accuracy**2 * (1 - q.gamma) ** 4 / LEFT) / 4,
            settings={**LOOKS, q.samples: (400,)},
            because="four hundred looks tell two lamps apart at gamma = .9, ten times as many are claimed to be needed",
        ),
        Control(
            "without the half of the two-point bound",
            q.lamp_error >= exp(-q.samples * q.lamp_divergence) / 2,
            because="a distance of laws falls like the root of their divergence, not like the divergence",
        ),
    ],
    instances=(NEARBY, UNLIKE, FAR_SIGHTED, EDGE, GLANCE),
    kind="lower",
    uses=["two-point-lower-bound"],
    departs="An exact two-point version, for every n, eps < 1/(8(1-gamma)) and gamma > 1/4; up to a hundred samples",
)
