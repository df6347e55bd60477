"""Regret against given losses, by runs and by trees of all draws.  Derivation: docs/theory/regret.md"""

from sympy import Rational, log, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits

ARMS = bandits(policy="uniform", mu="any", rewards=None, max_actions=3)
SEEN, DRAWN = 12, 6
STEP = Between(Rational(1, 10), 3)


def _losses(high, low=0, rounds=SEEN, **changes):
    return ARMS.replace(extras={"losses": Extra((rounds, "A"), low=low, high=high, meaning="loss of every arm in every round")}, **changes)


def _rows(name, rows, count, eta=1):
    """Losses given for the first rounds, 0 afterwards; as many count as are given."""
    arms = len(rows[0])
    return by_hand(
        name,
        transitions=[[[1]] * arms],
        rewards=[[0] * arms],
        discount=0,
        settings={"rounds": len(rows), "eta": eta},
        extras={"losses": [*rows, *([[0] * arms] * (count - len(rows)))]},
    )


ONE_HIT = _rows("one loss in one round", [[1, 0]], SEEN, eta="12/5")
STEADY = _rows("the same arm loses in all twelve rounds", [[0, 1]] * 12, SEEN, eta="2/3")
DOUBLED = _rows("one loss of 2 in one round", [[2, 0]], SEEN)
ONE_ARM = _rows("one arm", [[1]] * 6, SEEN)
CROWD_ONCE = _rows("nine of ten arms lose in one round", [[1] * 9 + [0]], SEEN, eta="14/5")
CROWD = _rows("nine of ten arms lose in all twelve rounds", [[1] * 9 + [0]] * 12, SEEN, eta="1/5")
EVERY = {q.rounds: (1, 2, 3, 6, 12)}

hedge = Claim(
    id="hedge-regret",
    title="Exponential weights: regret at most sqrt(T log A/2) for losses in [0, 1], whatever their order",
    source=Source("cesabianchi2006prediction", where="Theorem 2.2, as recalled", version="Cambridge University Press 2006"),
    domain=_losses(1),
    settings=EVERY,
    forms=[
        Form("balanced step", q.tuned_hedge_regret <= sqrt(q.rounds * log(q.A) / 2)),
        Form("any step", q.hedge_regret <= log(q.A) / q.eta + q.eta * q.rounds / 8, settings={**EVERY, q.eta: STEP}),
        Form(
            "squares",
            q.hedge_regret <= log(q.A) / q.eta + q.eta / 2 * q.hedge_square,
            domain=_losses(5),
            settings={**EVERY, q.eta: STEP},
        ),
    ],
    negative_controls=[
        Control(
            "losses up to 2",
            q.tuned_hedge_regret <= sqrt(q.rounds * log(q.A) / 2),
            domain=_losses(2),
            because="the bound is in units of the losses' range: a loss of 2 on one of two equal weights costs 1, and the bound is .589",
        ),
        Control(
            "half the square",
            q.tuned_hedge_regret <= sqrt(q.rounds * log(q.A) / 4),
            because="the first loss falls on one of two equal weights whatever the step: .5 against .416",
        ),
        Control(
            "an eighth of the mean square",
            q.hedge_regret <= log(q.A) / q.eta + q.eta / 8 * q.hedge_square,
            domain=_losses(5),
            settings={**EVERY, q.eta: STEP},
            because="an eighth belongs to the square of the range, not to the mean square, which may be half of it",
        ),
    ],
    instances=(ONE_HIT, STEADY, DOUBLED, ONE_ARM, CROWD_ONCE, CROWD),
    departs="Losses fixed in advance: against a learner whose weights are no secret and not drawn, an adversary that answers can do no more",
)

FEW = {q.rounds: (1, 2, 3, 6)}
SIX = _rows("the same arm loses in all six rounds", [[0, 1]] * 6, DRAWN, eta="1/2")
TENFOLD = _rows("a loss of 10 in all six rounds", [[0, 10]] * 6, DRAWN)
HIT = _rows("one loss in one round, drawn", [[1, 0]], DRAWN)
ALONE = _rows("one arm, drawn", [[1]] * 6, DRAWN)
TURNS = _rows("three arms, two of which lose by turns", [[0, 1, 1], [0, 1, 0], [0, 0, 1]], DRAWN, eta="1/2")
BANDIT = _losses(1, rounds=DRAWN)

exp3 = Claim(
    id="exp3-regret",
    title="Exponential weights on estimated losses: expected regret at most sqrt(2TA log A)",
    source=Source(
        "lattimore2020bandit", where="Theorem 11.2 for losses, as recalled; auer2002nonstochastic", version="Cambridge University Press 2020"
    ),
    domain=BANDIT,
    settings=FEW,
    forms=[
        Form("balanced step", q.tuned_exp3_regret <= sqrt(2 * q.rounds * q.A * log(q.A))),
        Form(
            "any step, any losses",
            q.exp3_regret <= log(q.A) / q.eta + q.eta / 2 * q.loss_squares,
            domain=_losses(5, rounds=DRAWN),
            settings={**FEW, q.eta: STEP},
        ),
    ],
    negative_controls=[
        Control(
            "losses up to 10",
            q.tuned_exp3_regret <= sqrt(2 * q.rounds * q.A * log(q.A)),
            domain=_losses(10, rounds=DRAWN),
            because="the bound is in units of the losses' range",
        ),
        Control(
            "as if every loss were seen",
            q.tuned_exp3_regret <= sqrt(q.rounds * log(q.A) / 2),
            because="the step must be shorter by a factor of 2 sqrt A, because only one of A losses is seen",
        ),
    ],
    instances=(HIT, SIX, TENFOLD, TURNS, ALONE),
    departs="Every sequence of draws, up to six rounds; losses fixed in advance",
)

STEADY_DRAWN = _rows("the same arm loses .9 in all six rounds", [[0, "9/10"]] * 6, DRAWN)
HUNDRED = _rows("a loss of 100 in one round", [[0, 100]], DRAWN)

tsallis = Claim(
    id="tsallis-inf-adversarial",
    title="The Tsallis leader: expected regret at most 4 sqrt(AT) - 2 sqrt T, with a step that knows no horizon",
    source=Source("zimmert2021tsallis", where="Theorem 1, first part, as recalled; the constant derived here", version="JMLR 22(28)"),
    domain=BANDIT,
    settings=FEW,
    forms=[
        Form(
            "any losses",
            q.tsallis_bandit_regret <= q.harmonic_loss_squares + 2 * sqrt(q.rounds) * (sqrt(q.A) - 1),
            domain=_losses(5, rounds=DRAWN),
        ),
        Form(
            "every estimate",
            q.tsallis_regret <= q.tsallis_stability + q.tsallis_penalty,
            domain=_losses(20),
            settings=EVERY,
            instances=(ONE_HIT, STEADY, DOUBLED, ONE_ARM),
        ),
    ],
    negative_controls=[
        Control(
            "losses up to 100",
            q.tsallis_bandit_regret <= 4 * sqrt(q.A * q.rounds) - 2 * sqrt(q.rounds),
            domain=_losses(100, rounds=DRAWN),
            because="the bound is in units of the losses' range: half of 100 in the first round",
        ),
        Control(
            "the regulariser alone",
            q.tsallis_regret <= q.tsallis_penalty,
            domain=_losses(20),
            settings=EVERY,
            instances=(DOUBLED, ONE_HIT),
            because="a leader that knows only the past pays for the loss that comes next: 1 in the first round, and the regulariser is worth .83",
        ),
    ],
    instances=(HIT, STEADY_DRAWN, HUNDRED, TURNS, ALONE),
    departs="The adversarial half of the printed theorem, in terms of the losses: 4 sqrt(AT) - 2 sqrt T for losses in [0, 1] follows, no news "
    "where it is above T.  The logarithmic bound for losses that are drawn independently: `tsallis-inf-best-of-both`",
)

AGAINST = _rows("the first arm is free of losses", [[0, 1]] * 4, DRAWN)
LATE = _rows("the first arm is free of losses in the last of three rounds", [[1, 0], [1, 0], [0, 1]], DRAWN)

ROUND = ARMS.replace(policy="interior", extras={"losses": Extra((1, "A"), meaning="loss of every arm in the round")})
LATER = {q.rounds: (2, 3, 10, 100)}


def _round(name, law, losses, t):
    return by_hand(
        name, transitions=[[[1]] * len(law)], rewards=[[0] * len(law)], discount=0, policy=[law], settings={"rounds": t}, extras={"losses": [losses]}
    )


SETTLED = _round("an arm with nearly all of the mass loses 1, as the other does", ["999/1000", "1/1000"], [1, 1], 100)
EVEN = _round("two arms with the same mass", ["1/2", "1/2"], [1, 1], 100)
SETTLED_WRONG = _round("the mass is on another arm than the first", ["1/20", "9/10", "1/20"], [0, 1, 1], 2)
SEVEN = _round("seven arms with the same mass", ["1/7"] * 7, [1] * 7, 100)

best_of_both = Claim(
    id="tsallis-inf-best-of-both",
    title="The Tsallis leader again: against any one arm it pays for the roots of the other probabilities, hence log T where losses are drawn",
    source=Source("zimmert2021tsallis", where="Theorem 1, second part, as recalled; the constant derived here", version="JMLR 22(28)"),
    domain=BANDIT,
    settings={q.rounds: (1, 2, 3, 4)},
    forms=[
        Form("roots", q.tsallis_first_arm_regret <= 4 * q.tsallis_exploration),
        Form(
            "every estimate, less a loss",
            q.tsallis_first_arm_run <= q.tsallis_shifted_stability + q.tsallis_penalty,
            domain=_losses(20),
            settings=EVERY,
            instances=(ONE_HIT, STEADY, DOUBLED, ONE_ARM),
        ),
        Form(
            "every law, one round",
            sqrt(q.rounds) * q.tsallis_round_cost <= Rational(177, 50) * q.other_roots,
            domain=ROUND,
            settings=LATER,
            instances=(SETTLED, EVEN, SETTLED_WRONG, SEVEN),
        ),
    ],
    negative_controls=[
        Control(
            "losses up to 100",
            q.tsallis_first_arm_regret <= 4 * q.tsallis_exploration,
            domain=_losses(100, rounds=DRAWN),
            because="the bound is in units of the losses' range: half of 100 in the first round",
        ),
        Control(
            "probabilities for their roots",
            q.tsallis_first_arm_regret <= q.tsallis_other_draws,
            because="with loss 1 on all other arms the regret is the sum of their probabilities, none of them divided by sqrt t",
        ),
        Control(
            "no loss taken off",
            sqrt(q.rounds) * q.tsallis_round_cost_unshifted <= Rational(177, 50) * q.other_roots,
            domain=ROUND,
            settings=LATER,
            instances=(SETTLED, EVEN, SETTLED_WRONG),
            because="an arm with nearly all of the mass costs about 1/sqrt t whenever it loses, however rare the others are",
        ),
    ],
    instances=(AGAINST, LATE, HIT, HUNDRED, ALONE),
    uses=["tsallis-inf-adversarial"],
    departs="Any losses in [0, 1] and any arm, up to four rounds, where the roots say nothing yet: up to sixteen any law has that bound.  The other "
    "two forms, from which it follows, say something in every round.  Where losses are drawn it gives 16 (1 + log T) times the sum of 1/gap, and the "
    "printed constant is 4 log T + 20.  The mean regret of long runs is `tsallis-inf-mean-regret`",
)

SHORT_STEP = _rows("a step too short to learn", [[0, 1]] * 6, DRAWN, eta="1/20")
GAINS = _rows("gains of 1 in all six rounds", [[-1, 0]] * 6, DRAWN, eta=3)
BARRIER = {**FEW, q.eta: Between(Rational(1, 20), 5)}

barrier = Claim(
    id="log-barrier-first-order",
    title="The log barrier leader: a regret that is small where the losses are",
    source=Source("dann2023best", where="the one-state case of the log barrier's first-order bound; derived here", version="ICML 2023"),
    domain=BANDIT,
    settings=BARRIER,
    forms=[
        Form("derived", q.barrier_regret <= 1 + (q.A - 1) * log(q.rounds) / q.eta + q.eta / 2 * q.barrier_loss),
        Form("printed", q.barrier_regret <= 1 + q.A * log(q.rounds) / q.eta + q.eta / 2 * q.barrier_loss),
    ],
    negative_controls=[
        Control(
            "gains",
            q.barrier_regret <= 1 + q.A * log(q.rounds) / q.eta + q.eta / 2 * q.barrier_loss,
            domain=_losses(0, low=-1, rounds=DRAWN),
            because="the cost of a step is its squares, which the losses bound only where they are between 0 and 1",
        ),
        Control(
            "without the horizon",
            q.barrier_regret <= 1 + q.eta / 2 * q.barrier_loss,
            because="with a step of 1/20 the law hardly leaves the uniform one: half of six losses",
        ),
    ],
    instances=(HIT, SIX, SHORT_STEP, GAINS, TURNS, ALONE),
)
