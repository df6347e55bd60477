"""Counts that double, and vectors that teach less and less.  Derivation: docs/theory/exploration.md"""

from sympy import Integer, Rational, log, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

VISITS = 24
COUNTERS = ALONE.replace(max_actions=4, extras={"visits": Extra((VISITS, "A"), "choice", meaning="which counter is visited in every round")})
SOME = {q.rounds: (1, 2, 3, 4, 6, 8, 12, 24)}


def _visited(name, sequence, counters, width=1):
    """The given visits, then the first counter; as many count as are given."""
    rows = [[int(i == k) for k in range(counters)] for i in [*sequence, *([0] * (VISITS - len(sequence)))]]
    return by_hand(
        name,
        transitions=[[[1]] * counters],
        rewards=[[0] * counters],
        discount=0,
        settings={"rounds": len(sequence), "width": width},
        extras={"visits": rows},
    )


ONCE = _visited("one visit", [0], 1)
EIGHT = _visited("one counter, eight visits", [0] * 8, 1)
THREE = _visited("one counter, three visits", [0] * 3, 1)
IN_TURN = _visited("three counters, each doubled before the next", [0, 1, 2, 0, 1, 2, 0, 0, 1, 1, 2, 2], 3)
ALWAYS = _visited("one counter, 24 visits", [0] * VISITS, 1)
SPREAD = _visited("four counters by turns", [0, 1, 2, 3] * 6, 4)
MANY = _visited("one visit, eight counters", [0], 8)
FEWER = _visited("one visit, seven counters", [0], 7)

doubling = Claim(
    id="doubling-episodes",
    title="Episodes that end when a count doubles: at most A log2(2T/A) finished ones",
    source=Source("jaksch2010near", where="Proposition 18, as recalled; the sharper form derived here", version="JMLR 11"),
    domain=COUNTERS,
    settings=SOME,
    where=((q.A, 7 * q.rounds + 1),),
    forms=[
        Form("derived", Integer(2) ** q.finished_episodes <= (2 * q.rounds / q.A) ** q.A, where=((q.A, q.rounds + 1),)),
        Form("derived, every sequence", Integer(2) ** q.most_finished_episodes <= (2 * q.rounds / q.A) ** q.A, where=((q.A, q.rounds + 1),)),
        Form("printed", q.begun_episodes <= q.A * log(8 * q.rounds / q.A) / log(2)),
        Form("printed, every sequence", q.most_begun_episodes <= q.A * log(8 * q.rounds / q.A) / log(2)),
    ],
    negative_controls=[
        Control(
            "one visit more is enough",
            q.eager_episodes <= q.A * log(8 * q.rounds / q.A) / log(2),
            because="an episode that ends as soon as some count exceeds its old one has one visit: T episodes",
        ),
        Control(
            "the unfinished episode counts too",
            Integer(2) ** q.begun_episodes <= (2 * q.rounds / q.A) ** q.A,
            where=((q.A, q.rounds + 1),),
            because="three visits to one counter: two episodes end, the third has begun, and log2(6) is 2.58",
        ),
        Control(
            "without the first visits",
            Integer(2) ** q.finished_episodes <= (q.rounds / q.A) ** q.A,
            where=((q.A, q.rounds + 1),),
            because="the first visit of a counter ends an episode too, and it doubles nothing",
        ),
    ],
    instances=(ONCE, EIGHT, THREE, IN_TURN, ALWAYS, SPREAD, MANY, FEWER),
    departs="The printed bound counts the unfinished episode, and holds from T = A/7 on; the finished ones are at most A log2(2T/A) for "
    "T >= A, attained where every count is the same power of two.  Every sequence: up to 24 visits, four counters",
)

LONGEST = 8
VECTORS = ALONE.replace(max_actions=3, extras={"vectors": Extra((LONGEST, "A"), low=-1, high=1, meaning="the vector of every round")})
EXPERTS = VECTORS.replace(
    max_actions=2,
    extras={
        "vectors": Extra((LONGEST, "A"), low=-1, high=1, meaning="the vector of every round"),
        "expert_losses": Extra((LONGEST, 4), meaning="loss of every expert in every round"),
    },
)
DRAWN = {q.rounds: (1, 2, 4, 8), q.ridge: Between(Rational(1, 10), 4)}
HALVES = ["1/2"] * 4


def _seen(name, vectors, ridge, losses=()):
    dimension = len(vectors[0])
    rows = [*vectors, *([[0] * dimension] * (LONGEST - len(vectors)))]
    return by_hand(
        name,
        transitions=[[[1]] * dimension],
        rewards=[[0] * dimension],
        discount=0,
        settings={"rounds": len(vectors), "ridge": ridge},
        extras={"vectors": rows, "expert_losses": [*losses, *([HALVES] * (LONGEST - len(losses)))]},
    )


ONE_STEP = _seen("one vector of length 1", [[1]], 1)
JUST_OVER = _seen("a switch after the first of two rounds", [[1], [0]], "9/10", [[0, 1, 1, 1]] * 2)
CROSS = _seen("three directions by turns", [[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 2, "1/10")
AGAIN = _seen("the same vector eight times", [[1]] * 8, "1/4", [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 0, 0]] * 2)
NOTHING = _seen("a vector of length 0", [[0, 0]], 1)
LONG = _seen("vectors of length sqrt 2", [[1, 1], [1, -1], [1, 1], [1, -1]], "1/10", [[0, 1, 1, 1]] * 4)

elliptical = Claim(
    id="elliptical-potential-and-rare-switching",
    title="What new vectors can tell, and how often a learner must switch, grows with the logarithm of the rounds",
    source=Source("abbasi2011improved", where="Lemma 11 and Lemma 12, as recalled; the constant 1/log 2 derived here", version="NeurIPS 2011"),
    domain=VECTORS,
    settings=DRAWN,
    forms=[
        Form("determinants", equal(q.novelty_product / q.gram_growth, 1)),
        Form("potential, derived", q.elliptical_potential <= log(q.gram_growth) / log(2)),
        Form("potential, printed", q.elliptical_potential <= 2 * log(q.gram_growth)),
        Form("growth", q.gram_growth <= (1 + q.squared_lengths / (q.A * q.ridge)) ** q.A),
        Form("printed", q.elliptical_potential <= 2 * q.A * log(1 + q.rounds * q.longest_square / (q.A * q.ridge))),
        Form("switches", Integer(2) ** q.rare_switches <= q.gram_growth),
        Form("restarts", q.restarted_regret <= sqrt((q.rare_switches + 1) * q.rounds * log(4) / 2), domain=EXPERTS),
    ],
    negative_controls=[
        Control(
            "without the 2",
            q.elliptical_potential <= log(q.gram_growth),
            because="one vector of length 1 where the ridge is 1: 1 against log 2",
        ),
        Control(
            "growth without the power",
            q.gram_growth <= 1 + q.squared_lengths / q.ridge,
            because="the determinant is a product over the dimensions, and each of them grows",
        ),
        Control(
            "a fourfold growth for each switch",
            Integer(4) ** q.rare_switches <= q.gram_growth,
            because="a switch asks for a little more than twice the determinant",
        ),
        Control(
            "restarts for nothing",
            q.restarted_regret <= sqrt(q.rounds * log(4) / 2),
            domain=EXPERTS,
            because="every restart forgets what the losses said: two rounds with a switch between them cost 3/4 each, and 1.18 is less",
        ),
    ],
    instances=(ONE_STEP, JUST_OVER, CROSS, AGAIN, NOTHING, LONG),
    departs="Any lengths: the printed bounds are for lengths up to 1.  The factor 2 may be 1/log 2 = 1.443, which one vector of length 1 attains at "
    "ridge 1",
)

PLANS = random_mdps(
    policy="any",
    mu="any",
    rho="mu",
    max_states=3,
    max_actions=2,
    extras={
        "stage_fit": Extra((2, "S", "A", "S"), "distribution", meaning="fitted transitions of the first two stages"),
        "spare": Extra((2, "S", "A"), low=0, high=2, meaning="by how much a radius exceeds the distance of the fit"),
    },
)
STAY, LEAVE = [1, 0], [0, 1]


def _plans(name, transitions, rewards, fit, spare):
    """The same fit and the same spare radius at both stages."""
    return by_hand(name, transitions=transitions, rewards=rewards, discount=0, extras={"stage_fit": [fit] * 2, "spare": [spare] * 2})


UNSEEN = _plans(
    "a state that pays 1 and is thought to be lost for sure",
    [[STAY], [LEAVE]],
    [[1], [0]],
    [[LEAVE], [LEAVE]],
    [[0], [0]],
)
KNOWN = _plans("everything is known", [[STAY, LEAVE], [LEAVE, STAY]], [[1, 0], [0, 1]], [[STAY, LEAVE], [LEAVE, STAY]], [[0, 0], [0, 0]])
EVEN, GOOD, BAD = [0, "1/2", "1/2"], [0, 1, 0], [0, 0, 1]
TEMPTED = _plans(
    "an even chance that is thought to be three in four, beside one that pays .9",
    [[EVEN, EVEN], [GOOD] * 2, [BAD] * 2],
    [["9/10", 0], [1, 1], [0, 0]],
    [[EVEN, [0, "3/4", "1/4"]], [GOOD] * 2, [BAD] * 2],
    [[0, 0]] * 3,
)
NEW_ACTION = _plans(
    "an action that pays nothing and was never tried",
    [[GOOD, BAD], [GOOD] * 2, [BAD] * 2],
    [["1/2", 0], [1, 1], [0, 0]],
    [[GOOD, EVEN], [GOOD] * 2, [BAD] * 2],
    [[0, 2], [0, 0], [0, 0]],
)
COUNTED = {q.rounds: (1, 2, 4, 8, 24), q.width: Between(Rational(1, 10), 6)}
COUNT_ONE = _visited("one counter, 24 visits, width 1", [0] * VISITS, 1, width=1)
COUNT_NEW = _visited("four counters, one visit each", [0, 1, 2, 3], 4, width="1/10")

optimistic = Claim(
    id="optimistic-value-iteration-regret",
    title="Optimistic value iteration: it promises too much, loses at most twice its bonus, and is not surprised for long",
    source=Source(
        "azar2017minimax", where="the argument of Section 5 with 1-norm bonuses, after Jaksch et al. (2010); derived here", version="ICML 2017"
    ),
    domain=PLANS,
    forms=[
        Form("optimism", q.optimistic_values >= q.three_stage_optimum),
        Form("loss", q.optimistic_loss <= q.optimistic_credit),
        Form("surprises", q.surprises <= q.A + 2 * q.width * sqrt(q.A * q.rounds), domain=COUNTERS, settings=COUNTED),
    ],
    negative_controls=[
        Control(
            "no bonus",
            q.plain_values >= q.three_stage_optimum,
            because="a state that pays 1 for ever and is thought to be lost for sure is promised 1, and is worth 3",
        ),
        Control(
            "half the bonus",
            q.half_optimistic_values >= q.three_stage_optimum,
            because="the fit moves all the mass from the best to the worst state, and half the span times the distance is what that costs",
        ),
        Control(
            "one bonus",
            q.optimistic_loss <= q.optimistic_credit_once,
            because="the fit is off by one bonus, and the promise adds another",
        ),
        Control(
            "reward and continuation clipped together",
            q.late_clip_loss <= q.late_clip_credit,
            because="an action that was never tried is promised a reward on top of everything that is left, which no bonus pays for",
        ),
        Control(
            "first visits for nothing",
            q.surprises <= 2 * q.width * sqrt(q.A * q.rounds),
            domain=COUNTERS,
            settings=COUNTED,
            because="a first visit costs everything, however narrow the bonuses: four counters visited once cost 4, and 2 w sqrt(AK) is .8",
        ),
    ],
    instances=(UNSEEN, KNOWN, TEMPTED, NEW_ACTION, COUNT_ONE, COUNT_NEW),
    departs="On every path: fits within their radii, three stages; counts per stage; what follows the reward is clipped, not the sum.  The "
    "probability of a fit within its radius is that of `concentration-toolbox`, the mean regret is `optimistic-value-iteration-mean-regret`",
)
