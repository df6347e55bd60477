"""Statements about sampled methods, judged statistically.  Derivation: docs/theory/sampling.md"""

from sympy import Integer, Rational, exp, log, sqrt

from proofs_check import quantities as q
from proofs_check.claim import Source
from proofs_check.statistics.claims import At, Expected, SampledClaim, SampledControl, SampledForm
from proofs_check.statistics.learners import ABOVE_LESS_BELOW, LEAST_LESS_ABOVE, OPTIMISTIC_REGRET, TSALLIS_DRAWN
from proofs_check.statistics.samplers import (
    DEVIATION,
    GRADIENT,
    GRADIENT_WITH_NEXT_VALUES,
    GRADIENT_WITH_VALUES,
    REGRET,
    SQUARED_ERROR,
    WRONG_STREAK,
    WRONG_STREAK_WITH_VALUES,
)

LEAVE = (((("9/10", "1/10"),), (("0", "1"),)), (("1",), ("0",)))
"""A state that pays 1 and is left with probability 1/10 for one that pays nothing, for ever."""
SWITCH = (((("1/2", "1/2"), ("1", "0")), (("1/4", "3/4"), ("0", "1"))), (("1", "0"), ("0", "1/2")))

reinforce = SampledClaim(
    id="reinforce-random-horizon-unbiased",
    title="The score at a random state times a value sampled at a random horizon is an unbiased policy gradient",
    source=Source("williams1992simple", where="section 4; random horizons derived: docs", version="Machine Learning 8"),
    instances=(
        At("loop(1/2)", policy=("1/3", "2/3")),
        At("arms([1, 9/10, 1/10])", policy=("1/5", "3/10", "1/2")),
        At(transitions=SWITCH[0], rewards=SWITCH[1], discount="1/2", policy=("2/5", "3/5")),
        At(transitions=SWITCH[0], rewards=SWITCH[1], discount="0", policy=("1/10", "9/10")),
    ),
    forms=[
        SampledForm("no baseline", Expected(GRADIENT, "=", q.softmax_gradient)),
        SampledForm("value of the state as baseline", Expected(GRADIENT_WITH_VALUES, "=", q.softmax_gradient)),
    ],
    negative_controls=[
        SampledControl(
            "factor 1/(1-gamma) dropped",
            Expected(GRADIENT, "=", (1 - q.gamma) * q.softmax_gradient),
            because="the visits are normalised to 1, and the gradient is 1/(1-gamma) times the mean over them",
        ),
        SampledControl(
            "value of the next state as baseline",
            Expected(GRADIENT_WITH_NEXT_VALUES, "=", q.softmax_gradient),
            because="the next state depends on the action, so that its value takes away part of what the action earns",
        ),
    ],
    resolution=0.03,
    uses=["pg-theorem-direct-and-softmax"],
    kind="equal",
)

plug_in = SampledClaim(
    id="plug-in-evaluation-mean-square",
    title="Plug-in values: mean squared error from the variance of the next value",
    source=Source("unpublished", where="derived: docs"),
    instances=(
        At(transitions=LEAVE[0], rewards=LEAVE[1], discount="1/2", settings={"samples": 2}),
        At(transitions=LEAVE[0], rewards=LEAVE[1], discount="1/2", settings={"samples": 5}),
        At(transitions=SWITCH[0], rewards=SWITCH[1], discount="1/2", settings={"samples": 4}, policy=("2/5", "3/5")),
        At(transitions=SWITCH[0], rewards=SWITCH[1], discount="3/4", settings={"samples": 3}),
    ),
    forms=[
        SampledForm("sup norm", Expected(SQUARED_ERROR, "<=", q.gamma**2 * q.successor_variance / ((1 - q.gamma) ** 2 * q.samples))),
    ],
    negative_controls=[
        SampledControl(
            "constant quartered",
            Expected(SQUARED_ERROR, "<=", q.gamma**2 * q.successor_variance / (4 * (1 - q.gamma) ** 2 * q.samples)),
            because="one noisy state that is hardly ever left keeps nearly the whole factor 1/(1-gamma)^2",
        ),
        SampledControl(
            "no horizon",
            Expected(SQUARED_ERROR, "<=", q.gamma**2 * q.successor_variance / q.samples),
            because="an error in one transition is made again at every visit",
        ),
    ],
)

commits = SampledClaim(
    id="npg-without-baseline-commits",
    title="The natural gradient bandit without a baseline commits to the worse arm",
    source=Source("mei2021understanding", where="Theorem 3; product and constant derived: docs", version="arXiv:2110.15572"),
    instances=(
        At("arms([1, 9/10])", settings={"eta": 1, "pulls": 40}),
        At("arms([1, 1/2])", settings={"eta": 1, "pulls": 60}),
        At("arms([1, 9/10])", settings={"eta": 2, "pulls": 30}),
    ),
    forms=[
        SampledForm("product", Expected(WRONG_STREAK, "=", q.streak_probability), resolution=0.03),
        SampledForm(
            "at least", Expected(WRONG_STREAK, ">=", exp(-exp(-q.eta * q.worst_reward) / (1 - exp(-q.eta * q.worst_reward))) / 2), resolution=0.5
        ),
    ],
    negative_controls=[
        SampledControl(
            "first pull forgotten",
            Expected(WRONG_STREAK, ">=", exp(-exp(-q.eta * q.worst_reward) / (1 - exp(-q.eta * q.worst_reward)))),
            because="from the uniform policy the first pull takes the worse arm with probability 1/2",
        ),
        SampledControl(
            "with the value as a baseline",
            Expected(WRONG_STREAK_WITH_VALUES, ">=", exp(-exp(-q.eta * q.worst_reward) / (1 - exp(-q.eta * q.worst_reward))) / 2),
            because="with the value as a baseline the worse arm loses by being pulled",
        ),
    ],
    kind="lower",
)

TERM = (exp(2 * q.eta) - 1 - 2 * q.eta) / (2 * q.eta**2)

two_arms = SampledClaim(
    id="sgb-two-arm-log-regret",
    title="Stochastic softmax gradient on two arms: logarithmic regret for small steps",
    source=Source("baudry2025does", where="Theorem 1", version="as printed"),
    instances=(
        At(transitions=((("1",), ("1",)),), rewards=(("1/2", "0"),), settings={"eta": "1077/5000", "pulls": 500}),
        At(transitions=((("1",), ("1",)),), rewards=(("1/2", "0"),), settings={"eta": "1/10", "pulls": 500}),
        At(transitions=((("1",), ("1",)),), rewards=(("4/5", "-1/5"),), settings={"eta": "2/5", "pulls": 200}),
    ),
    forms=[
        SampledForm(
            "rate",
            Expected(
                REGRET,
                "<=",
                log(1 + 4 * q.eta * q.arm_gap * q.pulls) / (2 * q.eta) + q.arm_gap / (2 * q.eta * (q.arm_gap - q.eta * TERM)),
            ),
        ),
    ],
    negative_controls=[
        SampledControl(
            "bound halved",
            Expected(
                REGRET,
                "<=",
                log(1 + 4 * q.eta * q.arm_gap * q.pulls) / (4 * q.eta) + q.arm_gap / (4 * q.eta * (q.arm_gap - q.eta * TERM)),
            ),
            because="the bound is attained to within two thirds",
        ),
        SampledControl(
            "step size in the logarithm only",
            Expected(REGRET, "<=", log(1 + 4 * q.eta * q.arm_gap * q.pulls) / 2),
            because="a small step learns slowly: the regret is that logarithm divided by the step size",
        ),
    ],
)

deviation = SampledClaim(
    id="empirical-distribution-deviation",
    title="An empirical distribution is rarely far from the true one",
    source=Source("weissman2003inequalities", where="Theorem 2.1", version="HPL-2003-97 (R.1)"),
    instances=(
        At(transitions=((("1/2", "1/2"),), (("0", "1"),)), rewards=(("1",), ("0",)), settings={"samples": 1, "distance": "1"}),
        At(transitions=((("1/2", "1/2"),), (("0", "1"),)), rewards=(("1",), ("0",)), settings={"samples": 20, "distance": "2/5"}),
        At(
            transitions=((("1/3", "1/3", "1/3"),), (("0", "1", "0"),), (("0", "0", "1"),)),
            rewards=(("1",), ("0",), ("0",)),
            settings={"samples": 30, "distance": "2/5"},
        ),
    ),
    forms=[SampledForm("Weissman", Expected(DEVIATION, "<=", (2**q.S - 2) * exp(-q.samples * q.distance**2 / 2)))],
    negative_controls=[
        SampledControl(
            "exponent doubled",
            Expected(DEVIATION, "<=", (2**q.S - 2) * exp(-q.samples * q.distance**2)),
            because="one toss of a fair coin is always at distance 1",
        ),
    ],
)

THREE_ARMS = At("arms([1, 7/10, 0])", settings={"eta": "1/2", "pulls": 40, "distance": "1/2"})

fates = SampledClaim(
    id="same-variance-baselines-sampled-fates",
    title="Two baselines with the same variance: the higher one finds the best of three arms far more often",
    source=Source("chung2021beyond", where="Figure 1, as recalled; instance and threshold derived here", version="ICML 2021"),
    instances=(THREE_ARMS,),
    forms=[SampledForm("above against below", Expected(ABOVE_LESS_BELOW, ">=", Rational(1, 2)), resolution=0.2)],
    negative_controls=[
        SampledControl(
            "the same fate",
            Expected(ABOVE_LESS_BELOW, "=", Integer(0)),
            because="the two estimates have the same variance under every policy, and yet one of them reinforces whatever is drawn",
        ),
        SampledControl(
            "least variance is best",
            Expected(LEAST_LESS_ABOVE, ">=", Integer(0)),
            because="from a policy that prefers the worst arm half of the runs with the baseline of least variance stick to a worse one",
        ),
    ],
    uses=["same-variance-baselines-different-fate"],
    kind="lower",
)

TWO_STAGES = {"failure": "1/450", "episodes": 450}
DEPTH = log((2**q.S - 2) * q.A * q.episodes / q.failure)
FAILED = q.two_stage_gap * (1 + q.failure * q.episodes)

optimistic = SampledClaim(
    id="optimistic-value-iteration-mean-regret",
    title="Optimistic value iteration: its mean regret over two stages is at most of the order sqrt(K log K)",
    source=Source("azar2017minimax", where="the argument of Section 5 with 1-norm bonuses; in expectation, derived here", version="ICML 2017"),
    instances=(
        At(transitions=((("1", "0"), ("1/20", "19/20")), (("0", "1"), ("0", "1"))), rewards=(("1/10", "0"), ("1", "1")), settings=TWO_STAGES),
    ),
    forms=[
        SampledForm(
            "two stages",
            Expected(OPTIMISTIC_REGRET, "<=", q.A + 2 * sqrt(2 * q.A * q.episodes * DEPTH) + 2 * q.failure * q.episodes),
        ),
        SampledForm("two actions, by the gap", Expected(OPTIMISTIC_REGRET, "<=", 2 * DEPTH / q.two_stage_gap + FAILED)),
    ],
    negative_controls=[
        SampledControl(
            "first visits alone",
            Expected(OPTIMISTIC_REGRET, "<=", q.A + 2 * q.failure * q.episodes),
            because="an action is tried again until its bonus is below its gap, not once",
        ),
        SampledControl(
            "by the gap, without the logarithm",
            Expected(OPTIMISTIC_REGRET, "<=", 2 / q.two_stage_gap + FAILED),
            because="the square of the bonus has the logarithm in it, and so have the tries until it is too small for the worse action",
        ),
    ],
    uses=["optimistic-value-iteration-regret", "concentration-toolbox"],
)

tsallis = SampledClaim(
    id="tsallis-inf-mean-regret",
    title="The Tsallis leader against losses that are drawn: mean regret at most 16 (1 + log T)/gap on two arms",
    source=Source("zimmert2021tsallis", where="Theorem 1, second part, as recalled; the constant derived here", version="JMLR 22(28)"),
    instances=(At("arms([0, 9/10])", settings={"pulls": 150}),),
    forms=[SampledForm("logarithm", Expected(TSALLIS_DRAWN, "<=", 16 * (1 + log(q.pulls)) / q.arm_gap))],
    negative_controls=[
        SampledControl(
            "a hundredth of it",
            Expected(TSALLIS_DRAWN, "<=", 16 * (1 + log(q.pulls)) / (100 * q.arm_gap)),
            because="the worse arm must be drawn again and again: the first two rounds alone cost nearly as much",
        ),
    ],
    uses=["tsallis-inf-best-of-both"],
    departs="Constant 16 for the printed 4 log T + 20",
)
