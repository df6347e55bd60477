"""How far sums stray from their means, exactly, against the inequalities that say so.  Derivation: docs/theory/concentration.md"""

from sympy import Integer, Rational, exp

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra

LAW = ALONE.replace(extras={"lattice_law": Extra((3,), "distribution", meaning="probabilities of 0, 1/2 and 1")})
DRAWS = {q.samples: (1, 2, 5, 12, 200), q.rank: (1, 2, 3, 6, 26, 40)}
FEWER = {q.samples: (1, 2, 4, 6, 20), q.rank: (1, 2, 4, 8, 230)}


def _law(name, law, samples, rank=1):
    return alone(name, {"lattice_law": law}, settings={"samples": samples, "rank": rank})


FAIR = _law("a fair coin once", ["1/2", 0, "1/2"], 1)
RARE = _law("a one in a thousand draws, twelve draws", ["999/1000", 0, "1/1000"], 12)
OFTEN = _law("a one in 50 draws, one draw", ["49/50", 0, "1/50"], 1)
SURE = _law("always 1/2", [0, 1, 0], 5)
SIX = _law("three symbols, six draws", ["1/3", "1/3", "1/3"], 6)
MANY_FAIR = _law("a fair coin 200 times, 120 ones", ["1/2", 0, "1/2"], 200, 40)
MANY_RARE = _law("a one in a hundred draws, fifteen among 200", ["99/100", 0, "1/100"], 200, 26)
TWENTY = _law("a fair coin twenty times, next to its mean", ["1/2", 0, "1/2"], 20, 230)
FOUR = _law("a fair coin four times", ["1/2", 0, "1/2"], 4)

sums = Claim(
    id="concentration-toolbox",
    title="Means of independent draws in [0, 1]: Hoeffding's and Bernstein's bounds, and distances of empirical distributions",
    source=Source("hoeffding1963probability", where="Theorems 1 and 2; Bernstein's and Weissman's as recalled", version="JASA 58"),
    domain=LAW,
    settings=DRAWS,
    forms=[
        Form("Hoeffding", q.lattice_tail <= exp(-2 * q.samples * q.lattice_excess**2)),
        Form(
            "Bernstein, derived",
            q.lattice_tail <= exp(-q.samples * q.lattice_excess**2 / (2 * (q.lattice_variance + q.lattice_excess * (1 - q.lattice_mean) / 3))),
            where=((q.lattice_mean, 1),),
        ),
        Form("Bernstein, printed", q.lattice_tail <= exp(-q.samples * q.lattice_excess**2 / (2 * (q.lattice_variance + q.lattice_excess / 3)))),
        Form("Weissman", q.distance_tail <= (Integer(2) ** q.symbols - 2) * exp(-q.samples * q.cell_distance**2 / 2), settings=FEWER),
    ],
    negative_controls=[
        Control(
            "twice Hoeffding's exponent",
            q.lattice_tail <= exp(-4 * q.samples * q.lattice_excess**2),
            because="a fair coin tossed once is 1 with probability 1/2, and exp(-1) is less",
        ),
        Control(
            "the variance alone",
            q.lattice_tail <= exp(-q.samples * q.lattice_excess**2 / (2 * q.lattice_variance)),
            where=((0, q.lattice_variance),),
            because="rare ones come in jumps: their number is nearly Poisson, with tails that are heavier than the normal law's of that variance",
        ),
        Control(
            "half of the variance",
            q.lattice_tail <= exp(-q.samples * q.lattice_excess**2 / (q.lattice_variance + 2 * q.lattice_excess / 3)),
            because="the normal law has twice the variance in its exponent: 200 fair tosses have 120 ones with probability .0028",
        ),
        Control(
            "a sixth for the third",
            q.lattice_tail <= exp(-q.samples * q.lattice_excess**2 / (2 * (q.lattice_variance + q.lattice_excess / 6))),
            because="a third is what the skewness of Poisson's law asks for: fifteen ones among 200 draws with chance 1/100",
        ),
        Control(
            "without the half in Weissman's exponent",
            q.distance_tail <= (Integer(2) ** q.symbols - 2) * exp(-q.samples * q.cell_distance**2),
            settings=FEWER,
            because="a fair coin tossed once is always at distance 1, and 2/e is less",
        ),
    ],
    instances=(FAIR, RARE, OFTEN, SURE, SIX, FOUR, MANY_FAIR, MANY_RARE, TWENTY),
    departs="Draws of 0, 1/2 and 1; judged at the points of the lattice of their means.  Derived: Bernstein's third of the largest excess of a draw "
    "over its mean in place of 1; the number of symbols is that of the law's support",
)

COIN = ALONE.replace(extras={"coin": Extra((), low=Rational(1, 100), high=Rational(99, 100), meaning="chance of a one")})
DELTA = Between(Rational(1, 100), Rational(99, 100))
EMPIRICAL = {q.samples: (2, 10, 40), q.failure: DELTA}
MIXED = {q.samples: (1, 5, 30), q.failure: DELTA, q.prior: Between(Rational(1, 10), 30)}


def _coin(name, coin, samples, failure, prior=1):
    return alone(name, {"coin": coin}, settings={"samples": samples, "failure": failure, "prior": prior})


SELDOM = _coin("a one in a hundred tosses, ten tosses", "1/100", 10, "1/2")
NEARLY_SURE = _coin("failure allowed with probability .99, forty fair tosses", "1/2", 40, "99/100")
LOPSIDED = _coin("failure allowed with probability .99, forty tosses with chance 1/10", "1/10", 40, "99/100")
THIRTY = _coin("thirty fair tosses", "1/2", 30, "1/2", 10)
SINGLE = _coin("one fair toss", "1/2", 1, "99/100", "1/10")

empirical = Claim(
    id="empirical-bernstein",
    title="Bernstein's bound with the sample's own variance in place of the true one",
    source=Source("maurer2009empirical", where="Theorem 4, as recalled; derived here by another way", version="COLT 2009"),
    domain=COIN,
    settings=EMPIRICAL,
    statement=q.empirical_bernstein_failure <= q.failure,
    negative_controls=[
        Control(
            "without the second term",
            q.variance_only_failure <= q.failure,
            because="ten tosses of a coin with one in a hundred are all zeros nine times in ten: the sample sees no variance at all",
        ),
        Control(
            "a hundredth of the failures",
            q.empirical_bernstein_failure <= q.failure / 100,
            because="at delta near 1 the bound is less than two standard deviations",
        ),
    ],
    instances=(SELDOM, NEARLY_SURE, LOPSIDED),
    departs="Coins, up to 40 tosses",
)

mixtures = Claim(
    id="method-of-mixtures",
    title="A bound for all times at once: exponential martingales of every slope, mixed by a normal law",
    source=Source(
        "delapena2004self",
        where="Corollary 2.2 and the normal mixture, as recalled; the form for draws in [0, 1] derived here",
        version="Annals of Probability 32",
    ),
    domain=COIN,
    settings=MIXED,
    forms=[
        Form("mean", q.mixture_mean <= 1),
        Form("all times", q.mixture_failure <= q.failure),
    ],
    negative_controls=[
        Control(
            "without the price of mixing",
            q.unpaid_mixture_failure <= q.failure,
            because="one fair toss is always 1/2 away from its mean, and at delta = .99 the bound would be .07",
        ),
        Control(
            "twice the exponent",
            q.mixture_mean_doubled <= 1,
            because="the normalisation pays for one exponent: the normal law's mean of exp(4 D^2/(n + rho)) is larger, and infinite from n = rho on",
        ),
    ],
    instances=(THIRTY, SINGLE, NEARLY_SURE),
    departs="Coins, up to thirty tosses",
)

NODES = 31
TREES = ALONE.replace(
    extras={
        "branch_chance": Extra((NODES,), meaning="chance of the larger outcome after every past"),
        "branch_scale": Extra((NODES,), meaning="range of the next draw after every past"),
        "reach_level": Extra((), low=Rational(1, 20), high=4, meaning="level that the sum may reach"),
        "calm_variance": Extra((), low=0, high=2, meaning="what the conditional variances may add up to"),
    }
)


def _tree(name, chance, scale, level, calm):
    return alone(name, {"branch_chance": chance, "branch_scale": scale, "reach_level": level, "calm_variance": calm})


HALF_STEPS = _tree("five fair draws", ["1/2"] * NODES, [1] * NODES, "5/2", "5/4")
LOW = _tree("five fair draws, and a low level", ["1/2"] * NODES, [1] * NODES, "1/2", "1/100")
ONE_JUMP = _tree("a jump that comes once in 50 draws", ["1/50"] * NODES, [1] + ["1/20"] * (NODES - 1), "49/50", "1/40")
ONE_FAIR = _tree("one fair draw", ["1/2"] * NODES, [1] + ["1/20"] * (NODES - 1), "1/2", "1/4")
WILD = _tree(
    "wide draws after a first success only",
    ["1/2"] * NODES,
    [1 if k in {0, 1, 3, 4, 7, 8, 9, 10} or 15 <= k <= 22 else "1/20" for k in range(NODES)],
    "5/2",
    "5/4",
)

martingales = Claim(
    id="martingale-concentration",
    title="Sums of dependent draws of mean 0: Azuma's bound by their ranges, Freedman's by their conditional variances",
    source=Source(
        "freedman1975tail", where="Theorem 1.6, as recalled; Azuma's inequality for ranges, as recalled", version="Annals of Probability 3"
    ),
    domain=TREES,
    forms=[
        Form("Azuma", q.reach_probability <= exp(-2 * q.reach_level**2 / q.widest_squares), where=((0, q.widest_squares),)),
        Form(
            "Freedman",
            q.calm_reach_probability <= exp(-(q.reach_level**2) / (2 * (q.calm_variance + q.reach_level / 3))),
        ),
    ],
    negative_controls=[
        Control(
            "ranges of a quiet past",
            q.reach_probability <= exp(-2 * q.reach_level**2 / q.narrowest_squares),
            where=((0, q.narrowest_squares),),
            because="a draw may be as wide as the widest that some past allows",
        ),
        Control(
            "the variances alone",
            q.calm_reach_probability <= exp(-(q.reach_level**2) / (2 * q.calm_variance)),
            where=((0, q.calm_variance),),
            because="a jump of .98 that comes once in 50 draws has a variance of .0196 only",
        ),
        Control(
            "whatever the variances",
            q.reach_probability <= exp(-(q.reach_level**2) / (2 * (q.calm_variance + q.reach_level / 3))),
            because="five fair draws reach 1/2 with probability .69, whatever is said of their variances",
        ),
        Control(
            "twice the exponent",
            q.reach_probability <= exp(-4 * q.reach_level**2 / q.widest_squares),
            where=((0, q.widest_squares),),
            because="one fair draw reaches 1/2 with probability 1/2",
        ),
    ],
    instances=(HALF_STEPS, LOW, ONE_JUMP, ONE_FAIR, WILD),
    departs="Five rounds, every path; at any time, not at the last one only",
)
