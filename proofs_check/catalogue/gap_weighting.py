"""Inverse gap weighting, mixtures of baselines, and what the Fisher matrix says about the gap.  Derivation: docs/theory/gap_weighting.md"""

from sympy import Min, Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.quantities import gap
from proofs_check.statement import equal

ARMS = ("arms([1, 0])", "arms([1, 9/10])", "arms([1, 1/2, 0])", "arms([1])")
LAWS = bandits(policy="interior", mu="any", max_actions=4).replace(
    extras={
        "truth": Extra(("A",), low=-3, high=3, meaning="true values, or any estimates"),
        "shortfalls": Extra(("A",), low=0, high=5, meaning="gaps of the estimates; the first is taken to be 0"),
    }
)
SCALE = {q.scale_of_gaps: Between(Rational(1, 10), 10)}


def _arms(name, count, **more):
    return by_hand(name, transitions=[[[1]] * count], rewards=[[0] * count], discount=0, **more)


QUARTERS = _arms(
    "shares 1/2, 1/4, 1/4",
    3,
    policy=[["1/2", "1/4", "1/4"]],
    settings={"scale_of_gaps": 1},
    extras={"truth": [0, "1/2", 0], "shortfalls": [0, "1/2", "1/2"]},
)
FAR_BEHIND = _arms(
    "two equally good estimates and eight far behind",
    10,
    policy=[["1/10"] * 10],
    settings={"scale_of_gaps": 10},
    extras={"truth": ["-1/20", "9/20"] + ["-2001/20"] * 8, "shortfalls": [0, 0] + [100] * 8},
)
FAR_OFF = _arms(
    "two estimates alike, and both off by 200",
    2,
    policy=[["1/2", "1/2"]],
    settings={"scale_of_gaps": "1/10"},
    extras={"truth": [200, -200], "shortfalls": [0, 0]},
)
WORST_TRUTH = _arms(
    "the truth that is worst for the simple form",
    2,
    policy=[["1/2", "1/2"]],
    settings={"scale_of_gaps": 10},
    extras={"truth": ["-1/5", "6/5"], "shortfalls": [0, 1]},
)
WIDE = LAWS.replace(
    extras={
        "truth": Extra(("A",), low=-300, high=300, meaning="true values"),
        "shortfalls": Extra(("A",), low=0, high=100, meaning="gaps of the estimates; the first is taken to be 0"),
    }
)

weighting = Claim(
    id="igw-equaliser",
    title="Inverse gap weighting makes every arm worth the same to the worst truth, and no law does better",
    source=Source("foster2020beyond", where="Lemma 3; sharp forms derived here", version="arXiv:2002.04926"),
    domain=LAWS,
    settings=SCALE,
    forms=[
        Form("equaliser", equal(q.gap_law_worth, (q.A - 1) / (4 * q.scale_of_gaps))),
        Form("every truth", q.gap_law_regret <= (q.A - 1) / (4 * q.scale_of_gaps)),
        Form("no law is better", q.any_law_worth >= (q.A - 1) / (4 * q.scale_of_gaps)),
        Form("half the weight", equal(q.half_gap_law_worth, (2 * q.A - q.least_denominator - 1) / (4 * q.scale_of_gaps))),
        Form(
            "simple form",
            q.simple_law_regret <= 2 * (q.A - 1) / q.scale_of_gaps + q.scale_of_gaps / 4 * q.simple_law_error,
            domain=WIDE,
        ),
    ],
    negative_controls=[
        Control(
            "twice the weight",
            q.double_gap_law_worth <= (q.A - 1) / (4 * q.scale_of_gaps),
            because="an arm with a large gap is then drawn too rarely, and a truth that is wrong about it costs more than it shows",
        ),
        Control(
            "K over gamma for the simple form",
            q.simple_law_regret <= q.A / q.scale_of_gaps + q.scale_of_gaps * q.simple_law_error,
            domain=WIDE,
            because="many arms far behind cost nearly (K - 1)/gamma by themselves: the estimates' own regret is in the bound too",
        ),
    ],
    instances=(QUARTERS, FAR_BEHIND, FAR_OFF, WORST_TRUTH, *ARMS),
    kind="equal",
    departs="The law is the variable and the estimates follow from it, so that all is rational",
)

BASELINES = {
    "first_baseline": Extra((), low=-3, high=3, meaning="a baseline"),
    "second_baseline": Extra((), low=-3, high=3, meaning="another, or an error of the first"),
}
NEAR_AND_FAR = by_hand(
    "one baseline near the best, one far off",
    "arms([1, 1/2, 0])",
    policy=[["3/5", "3/10", "1/10"]],
    extras={"first_baseline": "53/100", "second_baseline": 2},
)

mixtures = Claim(
    id="prior-value-baseline-mixture",
    title="The best mixture of two baselines is never worse than the better one; noise in a baseline costs its variance",
    source=Source("greensmith2004variance", where="Theorem 8 gives the parabola; mixtures derived here", version="JMLR 5"),
    domain=bandits(policy="any", mu="any", rewards=None, max_actions=4).replace(extras=BASELINES),
    forms=[
        Form("best mixture", q.mixed_baseline_variance <= Min(q.first_baseline_variance, q.second_baseline_variance)),
        Form("noise", equal(q.noisy_baseline_variance, q.first_baseline_variance + q.score_size * q.second_baseline_square)),
    ],
    negative_controls=[
        Control(
            "half and half",
            q.halved_baseline_variance <= Min(q.first_baseline_variance, q.second_baseline_variance),
            because="next to a good baseline a bad one is better left out",
        ),
        Control(
            "noise of mean 0 is free",
            q.noisy_baseline_variance <= q.first_baseline_variance,
            because="the variance is a parabola in the baseline, and its mean over an error of mean 0 is higher",
        ),
    ],
    instances=(NEAR_AND_FAR, *ARMS),
    kind="upper",
)

TWO_ACTIONS = random_mdps(policy="interior", mu="positive", rho="mu", rewards=None, min_actions=2, max_actions=2, max_states=3)
PATIENT = by_hand(
    "two states, equally likely actions, discount 19/20",
    transitions=[[["4/5", "1/5"], ["1/10", "9/10"]], [["1/2", "1/2"], ["3/10", "7/10"]]],
    rewards=[[1, 0], ["1/5", "3/5"]],
    discount="19/20",
)
ONE_STATE = ("arms([1, 0])", "arms([1, 9/10])")

fisher = Claim(
    id="fisher-nondegenerate-gradient-domination",
    title="Where the Fisher matrix is not singular the gradient bounds the gap",
    source=Source(
        "fatkhullin2023stochastic", where="Lemma (relaxed gradient domination), as recalled; tabular form derived here", version="arXiv:2302.01734"
    ),
    domain=TWO_ACTIONS,
    where=((q.A, 3),),
    forms=[Form("main", gap(q.mu, q.T) * q.least_fisher_eigenvalue <= q.largest_score * q.free_gradient_norm)],
    negative_controls=[
        Control(
            "one power of the horizon less",
            gap(q.mu, q.T) * q.least_fisher_eigenvalue <= (1 - q.gamma) * q.largest_score * q.free_gradient_norm,
            because="gap and gradient both have the factor 1/(1 - gamma), the Fisher matrix has none",
        ),
    ],
    instances=(PATIENT, "loop(1/2)", "loop(9/10)", "chain(1, 9/10)", *ONE_STATE),
    departs="Two actions, one free logit a state",
)

STEPPED = bandits(policy="interior", mu="any", min_actions=2, max_actions=2).replace(
    extras={"mistake": Extra((), low=-1, high=1, meaning="error of the gradient")}
)
WRONG_WAY = by_hand(
    "an error of twice the gradient, the other way",
    "arms([1, 0])",
    settings={"eta": "1/10"},
    extras={"mistake": "-1/2"},
)

AT_ONCE = by_hand("the exact gradient at equal shares", "arms([1, 0])", settings={"eta": 1}, extras={"mistake": 0})

recursion = Claim(
    id="normalised-pg-gap-recursion",
    title="A step of fixed length along a noisy gradient shrinks the gap up to the noise and the length",
    source=Source("fatkhullin2023stochastic", where="the recursion behind Theorem 1, as recalled; derived here", version="arXiv:2302.01734"),
    domain=STEPPED,
    settings={q.eta: Between(Rational(1, 100), 10)},
    where=((Rational(1, 10**12), q.estimate_size), (q.A, 3)),
    forms=[Form("main", q.free_gap_after <= (1 - q.eta * q.free_rate) * q.free_gap + 2 * q.eta * q.mistake_size + q.eta**2 / 4)],
    negative_controls=[
        Control(
            "without the noise",
            q.free_gap_after <= (1 - q.eta * q.free_rate) * q.free_gap + q.eta**2 / 4,
            because="an error larger than the gradient turns the step round",
        ),
        Control(
            "without the length",
            q.free_gap_after <= (1 - q.eta * q.free_rate) * q.free_gap + 2 * q.eta * q.mistake_size,
            because="at equal shares the gradient is 1/4 and falls at once: a step of any length gains less than its tangent says",
        ),
    ],
    instances=(WRONG_WAY, AT_ONCE, *ONE_STATE),
    uses=["fisher-nondegenerate-gradient-domination"],
    departs="Two arms, one free logit",
)
