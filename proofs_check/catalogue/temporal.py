"""Temporal differences: expected and sampled, by several agents; Q-learning beside its noise.  Derivation: docs/theory/temporal_differences.md"""

from sympy import Max, Rational, exp, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

CHAINS = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=2)


def _extras(size):
    return {
        "features": Extra(("S", size), low=-1, high=1, meaning="features of the states"),
        "first_weights": Extra((size,), low=-10, high=10, meaning="weights before the first step"),
        "restart": Extra((), low=Rational(1, 100), meaning="probability of starting anew from mu after a step"),
    }


ONE, TWO = CHAINS.replace(extras=_extras(1)), CHAINS.replace(extras=_extras(2), max_actions=1)
SPREAD = ((Rational(1, 1000), q.feature_spread),)
NEAR, F, T, x = 1 - q.gamma, q.largest_feature, q.rounds, q.stride


def _chain(name, transitions, rewards, discount, features, weights, restart="1/100", mu=None, **settings):
    return by_hand(
        name,
        transitions=[[row] for row in transitions],
        rewards=[[r] for r in rewards],
        discount=discount,
        mu=mu,
        settings=settings,
        extras={"features": features, "first_weights": weights, "restart": restart},
    )


LOOP = _chain("one state, nothing to learn from elsewhere", [[1]], [1], "9/10", [[1]], [0], rounds=20, stride=1)
LOOP_NOW = _chain("one state, no future", [[1]], [1], 0, [[1]], [0], rounds=1, stride=1)
LOOP_LONG = _chain("one state, steps that overshoot twice", [[1]], [1], "9/10", [[1]], [0], rounds=5, stride=21)
SWAP = _chain("two states that take turns, valued alike but for the sign", [[0, 1], [1, 0]], [0, 0], "9/10", [[1], [-1]], [1], rounds=5, stride="3/2")
SWAP_TWO = _chain(
    "turns, nearly parallel features, too long a step", [[0, 1], [1, 0]], [0, 0], "9/10", [[1, 0], ["-9/10", "1/10"]], [1, 0], rounds=5, stride=2
)
FAINT = _chain("a feature that is hardly seen", [[1, 0], [0, 1]], [0, 0], 0, [[1, 0], [0, "1/4"]], [0, 1], rounds=20, stride=1)

EXPECTED = {q.rounds: (1, 2, 5, 20), q.stride: Between(Rational(1, 100), 1)}
PRINTED = {q.rounds: (1, 2, 5, 20), q.stride: NEAR / 4}
GAIN = x * NEAR * (2 - x * NEAR) / F

mean_path = Claim(
    id="td0-mean-path",
    title="Expected temporal differences: the average of the values approaches at 1/T, the weights linearly, with steps of any length up to 1/F",
    source=Source(
        "bhandari2018finite", where="Theorem 1, as recalled; longer steps and constants that are attained derived here", version="arXiv:1806.02450"
    ),
    domain=ONE,
    settings=EXPECTED,
    where=SPREAD,
    forms=[
        Form("average", GAIN * T * q.td_average_square <= q.first_error),
        Form("squared errors", GAIN * T * q.td_mean_value_square <= q.first_error),
        Form("squared errors, two features", GAIN * T * q.td_mean_value_square <= q.first_error, domain=TWO, instances=(FAINT, SWAP_TWO)),
        Form("last", q.td_last_square <= (1 - GAIN * q.feature_spread) ** T * q.first_error),
        Form("last, two features", q.td_last_square <= (1 - GAIN * q.feature_spread) ** T * q.first_error, domain=TWO, instances=(FAINT, SWAP_TWO)),
        Form("never farther", q.td_last_square <= q.first_error, settings={**EXPECTED, q.stride: Between(Rational(1, 100), 2 / (1 + q.gamma))}),
        Form("average, printed", q.td_average_square <= 4 * F * q.first_error / (T * NEAR**2), settings=PRINTED),
        Form("last, printed", q.td_last_square <= exp(-q.feature_spread * NEAR**2 * T / (4 * F)) * q.first_error, settings=PRINTED),
    ],
    negative_controls=[
        Control(
            "steps that overshoot twice",
            q.td_last_square <= 2 * q.first_error,
            settings={**EXPECTED, q.stride: Rational(21, 10) / NEAR},
            instances=(LOOP_LONG,),
            because="one state with a self-loop: the error is multiplied by -1.1 in every step",
        ),
        Control(
            "steps as long as one state allows",
            q.td_last_square <= 2 * q.first_error,
            settings={**EXPECTED, q.stride: Between(1, 2 / NEAR)},
            instances=(SWAP,),
            because="where values change their sign from state to state the update is 1 + gamma times the error, not 1 - gamma times",
        ),
        Control(
            "the average without the horizon",
            x * T * q.td_average_square <= F * q.first_error,
            because="at a self-loop an update is only 1 - gamma times the error: nothing forgets faster than that",
        ),
        Control(
            "last, forgotten as if all features were seen alike",
            q.td_last_square <= (1 - x * NEAR * (2 - x * NEAR)) ** T * q.first_error,
            because="a direction that is hardly seen is hardly learned: omega, the smallest eigenvalue, is the rate",
        ),
    ],
    instances=(LOOP, LOOP_NOW, SWAP, FAINT),
    departs="Features of any size (F = 1 is printed); the printed step is (1-gamma)/(4F) and its rate 1/(1-gamma)^2, here any step up to 1/F has "
    "1/(1-gamma^2) and attains it; stationary laws of chains that start anew now and then",
)

SAMPLED = {q.rounds: (1, 2, 10, 100, 1000), q.stride: Between(Rational(1, 1000), 1), q.learners: (1,)}
SHORT = {q.rounds: (0, 1, 2, 10, 100, 1000), q.stride: Between(Rational(1, 100), 1), q.learners: (1,)}
FADING = {q.rounds: (0, 1, 2, 10), q.learners: (1,)}
SHRINK = GAIN * q.feature_spread
FLOOR = x * q.td_noise / (F * NEAR * (2 - x * NEAR) * q.feature_spread)
LEFT = (1 - SHRINK) ** T
MIXED_TERM = 4 * x * (1 + q.gamma) * sqrt(q.td_noise * q.first_error * (1 - SHRINK) ** (T - 1)) / (NEAR * (2 - x * NEAR) * q.feature_spread)
ANYWHERE = {**SAMPLED, q.rounds: (1, 2, 10), q.stride: Between(Rational(1, 100), 1)}
SHORT_SHRINK = x * q.feature_spread**2 * NEAR**2 / (8 * F**2)
SHORT_FLOOR = x * q.td_noise / (4 * F**2)
LATE = 16 * F / (NEAR**2 * q.feature_spread)
FADED = Max(8 * q.td_noise / (NEAR**2 * q.feature_spread**2), LATE * q.first_error)


def _paired(name, pay, discount, feature=1, **settings):
    return by_hand(
        name,
        transitions=[[[1], [1]]],
        rewards=[[pay, f"-{pay}"]],
        discount=discount,
        settings={"learners": 1, **settings},
        extras={"features": [[feature]], "first_weights": [0], "restart": 1},
    )


def _coins(name, pay, discount, features=((1, 0), (0, 1)), **settings):
    return by_hand(
        name,
        transitions=[[["1/2", "1/2"]] * 2] * 2,
        rewards=[[pay, f"-{pay}"]] * 2,
        discount=discount,
        settings={"learners": 1, **settings},
        extras={"features": [list(row) for row in features], "first_weights": [0, 0], "restart": 1},
    )


PAIRED = _paired("two equally likely rewards", 1, "9/10", rounds=1000, stride="1/100")
TEAM = _paired("two equally likely rewards, fifty agents", 1, "9/10", rounds=1000, stride="1/100", learners=50)
LOUD = _paired("two equally likely large rewards", 20, 0, rounds=1000, stride="1/100")
TEAM_TEN = _paired("two equally likely rewards, ten steps of a tenth, fifty agents", 1, "1/2", rounds=10, stride="1/10", learners=50)
LOUD_SOON = _paired("two equally likely large rewards, ten steps", 20, 0, rounds=10)
TEAM_SOON = _paired("two equally likely rewards, ten steps, fifty agents", 20, 0, rounds=10, learners=50)
SMALL_SOON = _paired("two equally likely rewards, a tenth of a feature, ten steps", 1, 0, "1/10", rounds=10)
QUIET = _paired("two equally likely small rewards, a small feature", "1/20", 0, "1/2", rounds=1000, stride="1/100")
SMALL_FEATURE = _paired("two equally likely rewards, a tenth of a feature", 1, 0, "1/10", rounds=1000, stride=1)
CORRELATED = by_hand(
    "a state that is rare, pays well, and corrects most",
    transitions=[[["9/10", "1/10"]]] * 2,
    rewards=[[0], [1]],
    discount=0,
    mu=["9/10", "1/10"],
    settings={"rounds": 1, "stride": "1/2", "learners": 1},
    extras={"features": [["1/10"], [1]], "first_weights": [0], "restart": 1},
)
TEAM_SHORT = _paired("two equally likely rewards, short steps, fifty agents", 1, 0, rounds=1000, stride=1, learners=50)
COINS = _coins("rewards by chance in two states", 1, 0, rounds=1000, stride="1/100")
COINS_SMALL = _coins("small rewards by chance, small features", "1/20", 0, (("1/2", 0), (0, "1/2")), rounds=1000, stride="1/100")
COINS_TEAM = _coins("rewards by chance in two states, five agents", 1, "1/2", rounds=10, stride="1/2", learners=5)
FAR = _chain("far from the fixed point", [[1]], [1], "9/10", [[1]], [10], rounds=1, stride="1/1000", learners=1)
FAINT_SHORT = _chain(
    "a feature that is hardly seen, short steps",
    [[1, 0], [0, 1]],
    [0, 0],
    0,
    [[1, 0], [0, "1/2"]],
    [0, 1],
    rounds=100,
    stride=1,
    learners=1,
)
LEANING = _chain(
    "nearly parallel features, far from the fixed point",
    [[1, 0], [0, 1]],
    [1, 0],
    "9/10",
    [[1, 0], ["9/10", "1/10"]],
    [5, 40],
    restart="1/5",
    rounds=1000,
    stride=1,
    learners=1,
)

sampled = Claim(
    id="td0-iid-finite-time",
    title="Sampled temporal differences: the mean square error falls linearly to a floor set by the step, or as 1/T with fading steps",
    source=Source(
        "bhandari2018finite", where="Theorem 2(b) and (c), as recalled; any step up to 1/F and its floor derived here", version="arXiv:1806.02450"
    ),
    domain=ONE,
    settings=SAMPLED,
    where=SPREAD,
    forms=[
        Form("from the fixed point", q.td_settled_mean_square <= (1 - LEFT) * FLOOR),
        Form("from the fixed point, two features", q.td_settled_mean_square <= (1 - LEFT) * FLOOR, domain=TWO, instances=(COINS, COINS_SMALL)),
        Form("from anywhere", q.td_mean_square <= LEFT * q.first_error + (1 - LEFT) * FLOOR + MIXED_TERM, settings=ANYWHERE),
        Form(
            "from anywhere, two features", q.td_mean_square <= LEFT * q.first_error + (1 - LEFT) * FLOOR + MIXED_TERM, domain=TWO, instances=(COINS,)
        ),
        Form("constant step, printed", q.td_short_mean_square <= exp(-SHORT_SHRINK * T) * q.first_error + SHORT_FLOOR, settings=SHORT),
        Form("fading steps, printed", q.td_fading_mean_square <= FADED / (LATE + T), settings=FADING, instances=(FAR, LOUD_SOON, SMALL_SOON)),
    ],
    negative_controls=[
        Control(
            "omega dropped in the exponent",
            q.td_short_mean_square <= exp(-x * q.feature_spread * NEAR**2 * T / (8 * F)) * q.first_error + SHORT_FLOOR,
            domain=TWO,
            settings=SHORT,
            instances=(FAINT_SHORT, LEANING),
            because="a direction that is hardly seen is hardly learned",
        ),
        Control(
            "the floor without the horizon",
            q.td_settled_mean_square <= x * q.td_noise / (F * (2 - x * NEAR)),
            because="each step forgets only a share alpha (1-gamma) omega of the noise of those before",
        ),
        Control(
            "no floor",
            q.td_mean_square <= LEFT * q.first_error + MIXED_TERM,
            because="steps of one length never stop to follow the last sample",
        ),
        Control(
            "no mixed term",
            q.td_mean_square <= LEFT * q.first_error + (1 - LEFT) * FLOOR,
            instances=(CORRELATED,),
            because="the sample that surprises most may be the one that would correct most: both then come with one sign",
        ),
    ],
    instances=(PAIRED, LOUD, QUIET, SMALL_FEATURE, FAR, CORRELATED),
    departs="Features of any size (F = 1 is printed); independent samples of the stationary law; the printed step "
    "is at most omega (1-gamma)/(8 F^2), here any step up to 1/F",
)

ANYWHERE_MANY = {**ANYWHERE, q.learners: (1, 2, 5, 50)}
MANY = {**SAMPLED, q.learners: (1, 2, 5, 50)}
SHORT_MANY = {**SHORT, q.learners: (1, 2, 5, 50)}
VARIED = (*SPREAD, (Rational(1, 10**9), q.weight_variance_of_one))
LONG_MANY = {q.rounds: (0, 1, 2, 10, 100), q.stride: Between(Rational(1, 100), 1), q.learners: (1, 2, 5, 50)}

speedup = Claim(
    id="federated-td-speedup",
    title="Agents that average after every step divide the noise by their number, and the variance at least by it",
    source=Source("zhang2024finite", where="the linear speed-up, as recalled; exact forms for evaluation derived here", version="ICLR 2024"),
    domain=ONE,
    settings=MANY,
    where=SPREAD,
    forms=[
        Form("from the fixed point", q.learners * q.td_settled_mean_square <= (1 - LEFT) * FLOOR),
        Form("from anywhere", q.td_mean_square <= LEFT * q.first_error + ((1 - LEFT) * FLOOR + MIXED_TERM) / q.learners, settings=ANYWHERE_MANY),
        Form(
            "from anywhere, two features",
            q.td_mean_square <= LEFT * q.first_error + ((1 - LEFT) * FLOOR + MIXED_TERM) / q.learners,
            domain=TWO,
            instances=(COINS,),
        ),
        Form("variance", q.learners * q.weight_variance <= q.weight_variance_of_one, settings=LONG_MANY, where=VARIED),
        Form(
            "variance, two features",
            q.learners * q.weight_variance <= q.weight_variance_of_one,
            domain=TWO,
            settings=LONG_MANY,
            where=VARIED,
            instances=(COINS_TEAM,),
        ),
        Form(
            "fading steps",
            q.td_fading_mean_square <= Max(8 * q.td_noise / (q.learners * NEAR**2 * q.feature_spread**2), LATE * q.first_error) / (LATE + T),
            settings={**FADING, q.learners: (1, 2, 5, 50)},
            instances=(FAR, LOUD_SOON, TEAM_SOON),
        ),
    ],
    negative_controls=[
        Control(
            "the same sample for all",
            q.td_shared_mean_square <= exp(-SHORT_SHRINK * T) * q.first_error + SHORT_FLOOR / q.learners,
            settings=SHORT_MANY,
            instances=(TEAM_SHORT,),
            because="the mean of one sample with itself is as noisy as the sample",
        ),
        Control(
            "the whole error divided",
            q.learners * q.td_mean_square <= q.td_alone_mean_square,
            settings=LONG_MANY,
            because="what is left of the first error is the same for all agents: averaging mends noise, not distance",
        ),
    ],
    uses=["td0-iid-finite-time"],
    instances=(PAIRED, TEAM, TEAM_TEN, LOUD, QUIET, FAR),
    departs="Evaluation of one policy with independent samples; averages after every step",
)

# Agents with models of their own

SECOND = {
    "second_kernel": Extra(("S", "A", "S"), "distribution", meaning="transitions of the second agent"),
    "second_rewards": Extra(("S", "A"), low=-2, high=2, meaning="rewards of the second agent"),
}
APART = TWO.replace(extras=_extras(2) | SECOND)
APART_ONE = ONE.replace(extras=_extras(1) | SECOND)


def _agents(name, first, second, rewards, second_rewards, features, discount="9/10"):
    return by_hand(
        name,
        transitions=[[row] for row in first],
        rewards=[[r] for r in rewards],
        discount=discount,
        extras={
            "features": features,
            "first_weights": [0] * len(features[0]),
            "restart": "1/5",
            "second_kernel": [[row] for row in second],
            "second_rewards": [[r] for r in second_rewards],
        },
    )


STAYING, SWAPPING = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
PAID_APART = _agents("paid for different states", STAYING, STAYING, [1, 0], [0, 1], [[1], ["1/2"]])
ALIKE = _agents("paid differently in one state", [[1]], [[1]], [1], [0], [[1]])
MOVED_APART = _agents("staying and swapping", STAYING, SWAPPING, [1, 0], [1, 0], [[1, 0], [0, 1]])
HALVES, QUARTERS = [["1/2", "1/2"]] * 2, [["3/16", "13/16"]] * 2
LAWS = _agents("equal rewards in all, states seen in other shares", HALVES, QUARTERS, [1, 0], [2, 0], [[1, 0], [0, 1]], discount=0)
LAWS_SMALL = _agents("the same with small rewards", HALVES, QUARTERS, ["1/4", 0], ["1/2", 0], [[1, 0], [0, 1]], discount=0)
MET = ((Rational(1, 1000), q.least_coercivity),)

heterogeneity = Claim(
    id="federated-heterogeneity-floor",
    title="Agents with different models: their shared weights end within the difference of their models of what each would find alone",
    source=Source("zhang2024finite", where="closeness in proportion to heterogeneity, as recalled; exact form derived here", version="ICLR 2024"),
    domain=APART,
    where=MET,
    forms=[
        Form("distance", q.first_coercivity * q.shared_distance <= q.vector_distance + q.matrix_distance * q.shared_length),
        Form("one feature", q.first_coercivity * q.shared_distance <= q.vector_distance + q.matrix_distance * q.shared_length, domain=APART_ONE),
        Form("coercive", q.first_coercivity >= NEAR * q.feature_spread, where=()),
        Form(
            "equal transitions",
            equal(q.same_moves_mean, q.same_moves_weights),
            where=((Rational(1, 1000), q.first_determinant),),
        ),
    ],
    negative_controls=[
        Control(
            "the mean of the weights",
            equal(q.mean_of_weights, q.shared_weights),
            because="averaging after every step averages the equations; solutions are not linear in their matrices",
        ),
        Control(
            "rewards only",
            q.first_coercivity * q.shared_distance <= q.vector_distance,
            because="staying and swapping: agents with the same rewards and stationary law still value the states differently",
        ),
        Control(
            "half of the sum",
            2 * q.first_coercivity * q.shared_distance <= q.vector_distance + q.matrix_distance * q.shared_length,
            because="where transitions and features agree and there is one of them, the distance is that of the rewards over the slope",
        ),
    ],
    instances=(PAID_APART, ALIKE, MOVED_APART, LAWS, LAWS_SMALL),
    departs="Two agents, expected updates; the floor of the averages, not their path",
)

# Q-learning beside its noise

WALKS = random_mdps(policy="uniform", mu="any", rho="mu", rewards=None, max_states=2, max_actions=2).replace(
    extras={
        "draws": Extra((6, "S", "A", "S"), "choice", meaning="next states that each step sees"),
        "first_values": Extra(("S", "A"), low=-5, high=5, meaning="action values before the first step"),
    }
)
MIXED = {q.rounds: (0, 1, 2, 4, 6), q.mixing_step: Between(Rational(1, 100), 1)}
LISTED = random_mdps(policy="uniform", mu="any", rho="mu", max_states=2, max_actions=2)
LEVELS = {q.rounds: (1, 2, 6), q.mixing_step: Between(Rational(1, 100), 1), q.failure_level: (Rational(9, 10), Rational(1, 2), Rational(2, 5))}


def _walk(name, transitions, rewards, discount, draws, values, rounds, step):
    return by_hand(
        name,
        transitions=transitions,
        rewards=rewards,
        discount=discount,
        settings={"rounds": rounds, "mixing_step": step},
        extras={"draws": draws, "first_values": values},
    )


FIRST_, SECOND_ = [1, 0], [0, 1]
EITHER = [[["1/2", "1/2"]], [["1/2", "1/2"]]]
FED = _walk("from the right values, next states by chance", EITHER, [[0], [1]], "1/2", [[[SECOND_], [SECOND_]]] * 6, [["1/2"], ["3/2"]], 2, "1/2")
SHIFTED = _walk("one state, values too high", [[[1]]], [[1]], "9/10", [[[[1]]]] * 6, [[5]], 6, "1/2")
RARELY = by_hand(
    "a rare change, two actions that do the same",
    transitions=[[["39/40", "1/40"]] * 2, [["1/40", "39/40"]] * 2],
    rewards=[[0, 0], [1, 1]],
    discount="1/10",
    settings={"rounds": 6, "mixing_step": 1, "failure_level": "2/5"},
)
ONCE = by_hand(
    "a change once in eight, one step",
    transitions=[[["7/8", "1/8"]], [["1/8", "7/8"]]],
    rewards=[[0], [1]],
    discount="1/100",
    settings={"rounds": 1, "mixing_step": 1, "failure_level": "9/10"},
)

sandwich = Claim(
    id="q-learning-sandwich",
    title="Q-learning beside the running mean of its noise: on every path the two stay within a radius that shrinks and is fed by the noise",
    source=Source(
        "wainwright2019stochastic",
        where="the noise process and its recursion, as recalled; derived here",
        version="arXiv:1905.06265",
    ),
    domain=WALKS,
    settings=MIXED,
    forms=[
        Form("on every path", q.noise_corrected_error <= q.noise_fed_radius),
        Form("from the largest noise", q.q_error <= q.bare_radius + q.largest_noise / NEAR),
        Form("probability", q.noise_failure <= q.failure_level, domain=LISTED, settings=LEVELS, instances=(RARELY, ONCE)),
    ],
    negative_controls=[
        Control(
            "a radius that only shrinks",
            q.noise_corrected_error <= q.bare_radius,
            because="from the right values the first surprise moves W, and the next target is read off values that have moved with it",
        ),
        Control(
            "the noise counted once",
            q.q_error <= q.bare_radius + q.largest_noise,
            because="later targets are read off noisy values: the noise comes again in all of them, 1/(1-gamma) times",
        ),
        Control(
            "one pair, one step",
            q.single_noise_failure <= q.failure_level,
            domain=LISTED,
            settings=LEVELS,
            instances=(RARELY,),
            because="four pairs over six steps have twenty-four chances to see the rare change",
        ),
    ],
    instances=(FED, SHIFTED),
    departs="Rewards certain given the pair; steps of one length, up to six of them; every sequence of next states, possible or not, on the paths",
)
