"""Models that answer what is deployed: when retraining settles, where, and when no regulariser helps.  Derivation: docs/theory/performative.md"""

from fractions import Fraction

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

MANDAL = "mandal2023performative"
ANSWER = {"answer_slope": Extra(("S", "A", "S", "A"), low=-1, high=1, meaning="M, by which rewards answer: r_d = r - M d")}
PAIRS = random_mdps(
    policy="any", other="any", mu="any", rho="mu", rewards=None, max_states=2, max_actions=2, max_discount=Fraction(9, 10), extras=ANSWER
)
TWO_REWARDS = PAIRS.replace(extras={"other_rewards": Extra(("S", "A"), low=-1, high=1, meaning="other rewards")})
ALONE = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Fraction(0))
WEIGHT = {q.regulariser: Between(Rational(1, 10), 5)}


def _two_arms(name, diagonal, regulariser, policy, other, **more):
    slope = [[[[diagonal, 0]], [[0, diagonal]]]]
    return by_hand(
        name,
        transitions=[[[1], [1]]],
        rewards=[[0, 0]],
        discount=0,
        policy=[policy],
        other=[other],
        settings={"regulariser": regulariser, "eta": "1/2", **more},
        extras={"answer_slope": slope, "other_rewards": [["1/4", "-1/4"]], "other_kernel": [[[1], [1]]]},
    )


DAMPED = _two_arms("two arms whose reward falls by half of what is done", "1/2", 1, ["7/10", "3/10"], ["1/2", "1/2"])
CYCLE = _two_arms("two arms that answer as strongly as the regulariser", 1, 1, ["7/10", "3/10"], ["1/2", "1/2"])
THROWN = _two_arms("two arms that answer twice as strongly as the regulariser", 2, 1, ["3/5", "2/5"], ["1/2", "1/2"])
DRAWN = _two_arms("two arms whose reward grows by half of what is done", "-1/2", 1, ["7/10", "3/10"], ["1/2", "1/2"])

contraction = Claim(
    id="performative-reward-contraction",
    title="Rewards that answer: repeated optimisation contracts by the answer over the regulariser",
    source=Source(MANDAL, where="repeated optimisation; the sharp factor for fixed transitions is derived here", version="ICML 2023"),
    domain=PAIRS,
    settings=WEIGHT,
    forms=[
        Form("two rewards", q.regulariser**2 * q.answered_apart <= q.rewards_apart, domain=TWO_REWARDS),
        Form("one round", q.regulariser**2 * q.retrained_apart <= q.answer_size**2 * q.deployed_apart),
        Form("rate", q.regulariser**6 * q.later_unrest <= q.answer_size**6 * q.first_unrest, where=((q.answer_size, q.regulariser),)),
        Form(
            "gradient ascent",
            q.ascended_apart <= (1 - q.eta * q.regulariser + q.eta * q.answer_size) ** 2 * q.deployed_apart,
            settings=WEIGHT | {q.eta: Between(Rational(1, 50), 1 / q.regulariser)},
        ),
    ],
    departs="Fixed transitions, and rewards linear in the occupancy; the sensitivity is measured by row and column sums, at least the largest "
    "singular value. The rate is checked over three rounds.",
    negative_controls=[
        Control(
            "twice the regulariser",
            4 * q.regulariser**2 * q.retrained_apart <= q.answer_size**2 * q.deployed_apart,
            because="two arms with r_d = -d/2 answer every deviation by half of it, the other way",
        ),
        Control(
            "any answer",
            q.retrained_later_apart <= q.deployed_apart,
            because="an answer steeper than the regulariser drives two occupancies apart, round by round, as far as the polytope lets it",
        ),
        Control(
            "an answer only damps",
            q.ascended_apart <= (1 - q.eta * q.regulariser - q.eta * q.answer_size) ** 2 * q.deployed_apart,
            settings=WEIGHT | {q.eta: Between(Rational(1, 50), 1 / q.regulariser)},
            because="where what is done more often pays more, the answer pulls the other way than the regulariser",
        ),
    ],
    instances=(DAMPED, CYCLE, THROWN, DRAWN),
    kind="upper",
)

SPLITS = {
    "bonus": Extra((), low=0, high=2, meaning="a, what the first arm pays more"),
    "answer": Extra((), low=0, high=2, meaning="epsilon, by which an arm pays less the more it is chosen"),
    "elsewhere": Extra((), low=-1, high=1, meaning="another d_1 - d_2"),
}


def _arms(name, bonus, answer, elsewhere, regulariser):
    extras = {"bonus": bonus, "answer": answer, "elsewhere": elsewhere}
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, settings={"regulariser": regulariser}, extras=extras)


APART = _arms("two arms, bonus 1, answer 1/2, regulariser 1", 1, "1/2", "1/2", 1)
SAME = _arms("two arms that do not answer", 1, 0, "1/2", 2)
CORNER = _arms("two arms, stable and optimal at the first", 2, "1/4", 0, "1/2")

stable_or_optimal = Claim(
    id="performative-stable-is-not-optimal",
    title="Two arms that answer: what is stable, what is optimal, and what stability costs",
    source=Source(MANDAL, where="stability and optimality; the two formulas are derived here", version="ICML 2023"),
    domain=ALONE.replace(extras=SPLITS),
    settings=WEIGHT,
    forms=[
        Form("stable", equal(q.retrained_split, q.stable_split)),
        Form("optimal", q.elsewhere_objective <= q.optimal_objective),
        Form("retraining goes too far", q.optimal_split <= q.stable_split),
        Form(
            "what stability costs",
            equal(
                4 * (q.optimal_objective - q.stable_objective),
                (2 * q.answer_strength + q.regulariser) * (q.stable_split - q.optimal_split) ** 2,
            ),
        ),
    ],
    negative_controls=[
        Control(
            "stable is optimal",
            equal(q.stable_split, q.optimal_split),
            because="retraining takes the reward as it is and does not see that choosing an arm lowers what the arm pays",
        ),
        Control(
            "nothing beats the stable split",
            q.elsewhere_objective <= q.stable_objective,
            because="with a = lambda = 1 and epsilon = 1/2 the stable (5/6, 1/6) is beaten by (3/4, 1/4)",
        ),
        Control(
            "the answer counted once",
            equal(
                4 * (q.optimal_objective - q.stable_objective),
                (q.answer_strength + q.regulariser) * (q.stable_split - q.optimal_split) ** 2,
            ),
            because="the performative objective bends by lambda + 2 epsilon: the answer changes both what is chosen and what it pays",
        ),
    ],
    instances=(APART, SAME, CORNER),
    kind="equal",
)

# Transitions that answer

KERNELS = {"other_kernel": Extra(("S", "A", "S"), "distribution", meaning="the kernel that is answered")}
ONE_POLICY = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=2, max_discount=Fraction(19, 20), extras=KERNELS)
CHAIN = {
    "mass": Extra((), low=Rational(1, 2), high=Rational(3, 2), meaning="m = d(0), in visits"),
    "second_mass": Extra((), low=Rational(1, 2), high=Rational(3, 2), meaning="another"),
    "mass_rewards": Extra((2,), meaning="what the two states pay"),
}
TWO_KERNELS = PAIRS.replace(other=None, extras=KERNELS)


def _unpaid(name, weight):
    return by_hand(
        name,
        transitions=[[[1, 0], [1, 0]], [[0, 1], [0, 1]]],
        rewards=[[0, 0], [0, 0]],
        discount="1/2",
        mu=["1/2", "1/2"],
        settings={"regulariser": weight},
        extras={"other_kernel": [[[0, 1], [0, 1]], [[0, 1], [0, 1]]]},
    )


UNPAID = _unpaid("two states where nothing pays, told apart by where they lead", 10000)
LIGHT = _unpaid("the same two states under a light regulariser", 5)
LEAK = by_hand(
    "two states that stay, the first of which begins to leak",
    transitions=[[[1, 0]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="1/2",
    mu=[1, 0],
    extras={"other_kernel": [[["999/1000", "1/1000"]], [[0, 1]]]},
)
SEESAW = by_hand(
    "a chain that sends away what it has",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"regulariser": 10000},
    extras={"mass": "6/5", "second_mass": 1, "mass_rewards": [0, 0]},
)

threshold = Claim(
    id="performative-transition-threshold",
    title="Transitions that answer: no regulariser is large enough, and what the answer itself must satisfy",
    source=Source(MANDAL, where="Theorem 1, constants as recalled; what holds is derived here", version="ICML 2023"),
    domain=ONE_POLICY,
    forms=[
        Form("one policy", 2 * (1 - q.gamma) ** 4 * q.drifted_apart <= q.gamma**2 * q.S * q.kernels_apart, instances=(LEAK,)),
        Form(
            "several actions",
            (1 - q.gamma) ** 4 * q.reanswered_apart**2 <= q.gamma**2 * q.S * q.kernels_apart * q.reanswered_pulls,
            domain=TWO_KERNELS,
            settings=WEIGHT,
            instances=(LIGHT,),
        ),
        Form(
            "round for ever",
            equal(q.mass_after_two, q.mass_deployed),
            domain=ALONE.replace(extras=CHAIN),
            settings={q.regulariser: Between(Rational(1, 10), 100000)},
            instances=(SEESAW,),
        ),
    ],
    departs="The theorem as recalled promises a contraction for every lambda above 12 S^(3/2) (2 eps_r + 5 S eps_p) / (1 - gamma)^4. It holds for "
    "transitions that do not answer; for those that do it needs a condition on eps_p itself, and is a control here.",
    negative_controls=[
        Control(
            "a large regulariser is enough",
            q.regulariser * q.answered_mass_apart <= 7680 * q.mass_apart,
            domain=ALONE.replace(extras=CHAIN),
            settings={q.regulariser: Between(7681, 100000)},
            instances=(SEESAW,),
            because="with one action there is nothing to regularise: the next occupancy is that of the answer, whatever lambda; here eps_p is the "
            "root of 2 and the recalled threshold 7680",
        ),
        Control(
            "a large regulariser damps it",
            q.regulariser**2 * (1 - q.gamma) ** 4 * q.reanswered_apart**2 <= q.gamma**2 * q.S * q.kernels_apart * q.reanswered_pulls,
            domain=TWO_KERNELS,
            settings={q.regulariser: Between(1000, 100000)},
            instances=(UNPAID,),
            because="where nothing pays, the best occupancy is the shortest one for every regulariser, and moves with the kernel",
        ),
        Control(
            "discount once",
            2 * (1 - q.gamma) ** 2 * q.drifted_apart <= q.gamma**2 * q.S * q.kernels_apart,
            instances=(LEAK,),
            because="a leak moves what has gathered in a state, 1/(1 - gamma) of it, to where it gathers again",
        ),
    ],
    uses=["performative-reward-contraction"],
    kind="upper",
)
