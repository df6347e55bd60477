"""Balanced draws, derivatives along sampled actions, and perturbed parameters.  Derivation: docs/theory/corrected_gradients.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, bandits
from proofs_check.statement import equal

ARMS = bandits(policy="any", mu="any", max_actions=4, rewards=(-1, 1))
MEASURED = ARMS.replace(extras={"frequencies": Extra(("A",), "distribution", meaning="frequencies of the arms")})
PULLS = {q.rounds: (1, 2, 3, 7, 24)}


def _arms(name, policy, rewards=None, rounds=7, frequencies=None):
    count = len(policy)
    return by_hand(
        name,
        transitions=[[[1]] * count],
        rewards=[[0] * count if rewards is None else rewards],
        discount=0,
        policy=[policy],
        settings={"rounds": rounds},
        extras={} if frequencies is None else {"frequencies": frequencies},
    )


LARGE_AND_SMALL = _arms("one large share and five small ones", ["3/5", *["2/25"] * 5])
NEARLY_EVEN = _arms("shares 1/2 - 1/100 and 1/2 + 1/100", ["49/100", "51/100"], rounds=24)
ALL_BUT_ONE = _arms("three equal shares", ["1/3"] * 3, rounds=1)
CERTAIN = _arms("one arm", [1], rewards=[1], frequencies=[1])
OFF = _arms("half the draws too few", ["1/2", "1/2"], rewards=[1, 1], frequencies=[1, 0])
OPPOSITE = _arms("rewards 1 and -1 at equal shares", ["1/2", "1/2"], rewards=[1, -1], frequencies=[1, 0])

balanced = Claim(
    id="sampling-error-and-corrected-sampling",
    title="Pulling the arm with the largest deficit keeps the frequencies within (2A - 2)(1 - 1/A)/t of the policy",
    source=Source("corrado2023policy", where="the sampling error it corrects, as recalled; rule and bounds derived here", version="arXiv:2311.08290"),
    domain=ARMS,
    settings=PULLS,
    forms=[
        Form("surplus", q.balanced_surplus <= 1 - 1 / q.A),
        Form("distance", q.balanced_distance <= 2 * (q.A - 1) * (1 - 1 / q.A) / q.rounds),
        Form("what it costs", q.sampling_error_square <= 2 * q.frequency_distance**2 * q.largest_reward_size**2, domain=MEASURED, settings={}),
    ],
    negative_controls=[
        Control(
            "largest ratio of share to count",
            q.ratio_surplus <= 1 - 1 / q.A,
            domain=ARMS.replace(max_actions=6),
            because="one arm with share 3/5 among five with 2/25 is pulled seven times in a row",
        ),
        Control(
            "without the pull itself",
            q.late_surplus <= 1 - 1 / q.A,
            because="at two nearly equal shares the deficits before a pull are nearly equal, and the wrong arm may come twice",
        ),
        Control(
            "half the error",
            q.sampling_error_square <= q.frequency_distance**2 * q.largest_reward_size**2 / 4,
            domain=MEASURED,
            settings={},
            because="with equal rewards and one of two even arms missing the estimate is one score, of squared length 1/2, and the distance is 1",
        ),
    ],
    instances=(LARGE_AND_SMALL, NEARLY_EVEN, ALL_BUT_ONE, CERTAIN, OFF, OPPOSITE),
)

NORMAL = ALONE.replace(
    extras={
        "quadratic": Extra((3,), low=-2, high=2, meaning="coefficients of Q(a)"),
        "centre": Extra((), low=-1, high=1, meaning="mean of the action"),
        "width": Extra((), low=Rational(1, 20), high=3, meaning="standard deviation"),
    }
)
WAVE = ALONE.replace(extras={"frequency": Extra((), low=Rational(1, 10), high=5, meaning="frequency of Q(a) = sin wa")})
LINE = alone("a line", {"quadratic": [1, 1, 0], "centre": "1/2", "width": 1})
FLAT = alone("a constant", {"quadratic": [1, 0, 0], "centre": 0, "width": 2})
PARABOLA = alone("a parabola at its vertex", {"quadratic": [0, 0, 1], "centre": 0, "width": "1/2"})
FAST = alone("sin 3a", {"frequency": 3})

pathwise = Claim(
    id="reparametrised-versus-score-gradient",
    title="For every quadratic the derivative along the sampled action has less variance than the score with its best baseline",
    source=Source("vasan2024deep", where="the two estimators, as recalled; variances derived here", version="NeurIPS 2024"),
    domain=NORMAL,
    forms=[
        Form("unbiased", equal(q.score_and_pathwise_means, q.quadratic_slope_at_centre)),
        Form("along the action", equal(q.pathwise_variance, 4 * q.bend_times_width_square)),
        Form("score", equal(q.score_variance, 2 * q.quadratic_slope_at_centre**2 + 6 * q.bend_times_width_square)),
        Form("score, mean as baseline", equal(q.score_variance_mean, 2 * q.quadratic_slope_at_centre**2 + 10 * q.bend_times_width_square)),
        Form("order", q.pathwise_variance <= Rational(2, 3) * q.score_variance),
    ],
    negative_controls=[
        Control(
            "every smooth function",
            q.wave_pathwise_variance <= q.wave_score_variance,
            domain=WAVE,
            instances=(FAST,),
            because="sin 3a is bounded and its derivative three times as large: 4.50 against .50",
        ),
        Control("half", q.pathwise_variance <= q.score_variance / 2, because="at the vertex of a parabola the ratio is 2/3"),
    ],
    instances=(LINE, FLAT, PARABOLA),
    kind="equal",
)

CLOUD = ALONE.replace(
    extras={
        "curvature": Extra((3, 3), low=-2, high=2, meaning="its symmetric part is H"),
        "slope": Extra((3,), low=-2, high=2, meaning="slope at 0"),
        "level_at_zero": Extra((), low=-2, high=2, meaning="value at 0"),
        "width": Extra((), low=Rational(1, 100), high=2, meaning="sigma"),
    }
)


def _cloud(name, level, width, slope, curvature):
    return alone(name, {"curvature": curvature, "slope": slope, "level_at_zero": level, "width": width})


ZERO = [[0] * 3] * 3
LEVEL = _cloud("value 7/10 and sigma 1/100, no slope", "7/10", "1/100", [0, 0, 0], ZERO)
SLOPED = _cloud("a slope alone", 0, 1, [1, -1, 1], ZERO)
ROUND = _cloud("a round bowl", 1, 1, [1, 0, 0], [[1, 0, 0], [0, 1, 0], [0, 0, 1]])

evolution = Claim(
    id="evolution-strategy-moments",
    title="Evolution strategies on a quadratic: both estimates are unbiased, and the antithetic one forgets the level",
    source=Source("nesterov2017random", where="Gaussian smoothing, as recalled; moments derived here", version="Found. Comput. Math. 17"),
    domain=CLOUD,
    forms=[
        Form("unbiased", equal(q.evolution_means, q.slope_twice)),
        Form("antithetic", equal(q.antithetic_square, 5 * q.slope_square_at_zero)),
        Form("one-sided", equal(q.one_sided_square, q.one_sided_square_closed)),
    ],
    negative_controls=[
        Control(
            "the same noise",
            q.one_sided_square <= 100 * (1 + q.antithetic_square),
            because="a value of 7/10 that is not subtracted counts with its square over sigma^2: 14700 at sigma = 1/100",
        ),
        Control(
            "antithetic: the dimension alone",
            equal(q.antithetic_square, 3 * q.slope_square_at_zero),
            because="the estimate is e(g.e), whose squared length has the mean (d + 2)|g|^2",
        ),
    ],
    instances=(LEVEL, SLOPED, ROUND),
    kind="equal",
    departs="Three parameters",
)
