"""Changing one's mind: after a switch, in few batches, with few policies at hand.  Derivation: docs/theory/adaptation.md"""

from sympy import Integer, Rational, log

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra
from proofs_check.statement import equal

SWITCHED = ALONE.replace(
    extras={
        "jump": Extra((), low=-2, high=2, meaning="by how much the mean moves"),
        "spread": Extra((), low=0, high=2, meaning="size of the noise"),
    }
)
COUNTS = {q.before: (1, 2, 4), q.after: (1, 2, 4), q.eta: Between(Rational(1, 20), 1)}
STEEP = ALONE.replace(
    extras={
        "newly_best": Extra((), low=Rational(1, 1000), high=Rational(1, 2), meaning="probability of the newly best arm at the switch"),
        "lead": Extra((), low=Rational(1, 10), high=1, meaning="by how much it is better"),
    }
)
STEPS = {q.after: (1, 5, 30), q.eta: Between(Rational(1, 100), 4)}


def _switch(name, before, after, eta, jump=1, spread=1):
    return alone(name, {"jump": jump, "spread": spread}, settings={"before": before, "after": after, "eta": eta})


def _steep(name, share, after, eta, lead=1):
    return alone(name, {"newly_best": share, "lead": lead}, settings={"after": after, "eta": eta})


FOUR_OLD = _switch("four samples before, two after", 4, 2, "1/4")
NEWEST = _switch("step 1 keeps the newest sample only", 4, 1, 1)
SATURATED = _steep("one in a thousand", "1/1000", 30, "1/10")
HUNDREDTH = _steep("one in a hundred", "1/100", 5, "1/10")
EQUAL_ODDS = _steep("equal odds already", "1/2", 1, "1/10")

tracking = Claim(
    id="tracking-after-a-switch",
    title="After a switch a mean forgets like t0/(t0+n), a constant step geometrically, and softmax ascent needs 1/p steps",
    source=Source(
        "steinparz2022reactive", where="reinforcement learning under drift, Section 1; the statements are derived here", version="CoLLAs 2022"
    ),
    domain=SWITCHED,
    settings=COUNTS,
    forms=[
        Form("sample mean", equal(q.sample_mean_bias, q.jump * q.before / (q.before + q.after))),
        Form("constant step", equal(q.constant_step_bias, q.jump * (1 - q.eta) ** q.after)),
        Form(
            "its variance",
            equal((2 - q.eta) * q.constant_step_variance, q.eta * q.spread**2 * (1 - (1 - q.eta) ** (2 * (q.before + q.after)))),
        ),
        Form("softmax ascent", q.switched_reciprocal >= 1 / q.newly_best - 2 * q.eta * q.lead * q.after, domain=STEEP, settings=STEPS),
    ],
    negative_controls=[
        Control(
            "a mean that forgets",
            equal(q.sample_mean_bias, q.jump / (1 + q.after)),
            because="the mean of all samples remembers every one of those before the switch, not the last one only",
        ),
        Control(
            "half as fast",
            q.switched_reciprocal >= 1 / q.newly_best - q.eta * q.lead * q.after,
            domain=STEEP,
            settings=STEPS,
            because="both logits move, so that near saturation the reciprocal falls by nearly 2 eta D a step",
        ),
        Control(
            "with a floor",
            q.floored_reciprocal >= 1 / q.newly_best - 2 * q.eta * q.lead * q.after,
            domain=STEEP,
            settings=STEPS,
            because="a probability that is kept at 1/10 starts at 1/10 after the switch, however long the first phase was",
        ),
    ],
    instances=(FOUR_OLD, NEWEST, SATURATED, HUNDREDTH, EQUAL_ODDS),
    kind="equal",
    departs="Estimates: every outcome of noise of two values, up to eight samples.  Ascent: two arms, exact gradients",
)

ORDERED = {q.hypotheses: (1, 2, 3, 4, 7, 8, 9, 16, 27, 50, 64), q.batches: (1, 2, 3, 4, 6, 8)}


def _asked(name, hypotheses, batches):
    return alone(name, {}, settings={"hypotheses": hypotheses, "batches": batches})


SQUARE = _asked("64 hypotheses, two batches", 64, 2)
CUBE = _asked("64 hypotheses, three batches", 64, 3)
UNEVEN = _asked("50 hypotheses, four batches", 50, 4)
ONE_BATCH = _asked("64 hypotheses, one batch", 64, 1)
HALVED = _asked("64 hypotheses, eight batches", 64, 8)

batched = Claim(
    id="batches-against-adaptivity",
    title="Threshold questions in K batches: about K m^(1/K) of them find one of m ordered hypotheses",
    source=Source(
        "johnson2024sample", where="the levels between offline and fully adaptive; this finite mechanism is derived here", version="ICLR 2024"
    ),
    domain=ALONE,
    settings=ORDERED,
    forms=[
        Form("at least", (1 + q.batched_questions / q.batches) ** q.batches >= q.hypotheses),
        Form("at most", (q.batched_questions / q.batches) ** q.batches <= q.hypotheses),
        Form("one batch", equal(q.batched_questions, q.hypotheses - 1), settings={**ORDERED, q.batches: (1,)}),
        Form("as many batches as questions", Integer(2) ** q.batched_questions <= 2 * q.hypotheses, settings={**ORDERED, q.batches: (6, 8)}),
    ],
    negative_controls=[
        Control(
            "without an order",
            (q.needle_questions / q.batches) ** q.batches <= q.hypotheses,
            because="a question that asks after one hypothesis may be denied until one is left, in however many batches",
        ),
        Control(
            "a batch for nothing",
            (1 + q.batched_questions / (q.batches + 1)) ** (q.batches + 1) <= q.hypotheses,
            because="one batch more would allow fewer questions than are needed: 14 in two batches, of 64 hypotheses",
        ),
    ],
    instances=(SQUARE, CUBE, UNEVEN, ONE_BATCH, HALVED),
    kind="lower",
    departs="A finite mechanism of how the number of batches matters; the published bound for linear function approximation is not verified",
)

GAMES = ALONE.replace(
    max_actions=3,
    extras={
        "payoffs": Extra((3, 4), meaning="payoff of each of four strategies in each of three games"),
        "selection": Extra((3, "A"), "distribution", meaning="what is played in each game"),
    },
)


def _games(name, payoffs, size):
    played = [[int(g == k) for k in range(size)] if g < size else [1, *([0] * (size - 1))] for g in range(3)]
    return by_hand(name, transitions=[[[1]] * size], rewards=[[0] * size], discount=0, extras={"payoffs": payoffs, "selection": played})


EACH_ITS_OWN = [[1, "3/4", "3/4", 0], ["3/4", 1, "3/4", 0], ["3/4", "3/4", 1, 0]]
ONE_FOR_THREE = _games("one strategy for three games", EACH_ITS_OWN, 1)
TWO_FOR_THREE = _games("two strategies for three games", EACH_ITS_OWN, 2)
THREE_FOR_THREE = _games("three strategies for three games", EACH_ITS_OWN, 3)
SHARED = _games("one strategy that is best in all games", [[1, "1/2", 0, 0]] * 3, 1)

capacity = Claim(
    id="policy-set-capacity",
    title="Games that share no optimal strategy: a set of Z strategies leaves all but Z of them with a loss",
    source=Source("zhang2023learning", where="sets of policies for varying populations; the statements are derived here", version="CoLLAs 2023"),
    domain=GAMES,
    forms=[
        Form("losses", q.least_total_loss >= (3 - q.A) * q.second_best_gap, where=((0, q.optima_apart), (q.A, 4))),
        Form("as many as games", equal(q.least_total_loss, 0), where=((2, q.A), (q.A, 4))),
        Form("information", q.latent_information <= log(q.A)),
    ],
    negative_controls=[
        Control(
            "games with a common optimum",
            q.least_total_loss >= (3 - q.A) * q.second_best_gap,
            where=((q.A, 4),),
            because="a strategy that is best in all games is enough for all of them",
        ),
        Control(
            "half of the information",
            q.latent_information <= log(q.A) / 2,
            because="three games that are each answered by a strategy of their own are told apart by what is played",
        ),
    ],
    instances=(ONE_FOR_THREE, TWO_FOR_THREE, THREE_FOR_THREE, SHARED),
    kind="lower",
    departs="Three games, four strategies, every set of them",
)
