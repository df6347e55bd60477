"""Policy gradients of risk, and laws of returns: CVaR and scoring rules on paths, distributional backups.  Derivation: docs/theory/risk_control.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.catalogue.risk_measures import ALONE, ANOTHER, BELOW_ONE, INTERIOR, QUARTER, UNIT_LAW
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.statement import equal

PATHS = random_mdps(policy="interior", mu="any", rho="mu", max_states=2, max_actions=3, rewards=None)
LEVEL = {q.tail: Between(Rational(1, 50), 1)}
APART = Rational(1, 10**9)
"""How far the level must be from every value of the distribution function: far enough for float64 to see which outcome is the quantile."""
FIVE_ARMS = by_hand(
    "five arms at level 37/100",
    transitions=[[[1]] * 5],
    rewards=[[0, "3/10", "1/2", "7/10", 1]],
    discount=0,
    policy=[["1/10", "3/20", "1/4", "3/10", "1/5"]],
    settings={"tail": "37/100", "aversion": 1},
    extras={"eta": 0},
)
TIED = by_hand(
    "three arms, two of which pay the same, at level 2/5",
    transitions=[[[1]] * 3],
    rewards=[[1, 1, 3]],
    discount=0,
    policy=[["1/4", "1/2", "1/4"]],
    settings={"tail": "2/5", "aversion": 1},
    extras={"eta": 0},
)
MODELS = ("loop(1/2)", "chain(1, 9/10)", "arms([1, 0])")

cvar_gradient = Claim(
    id="cvar-policy-gradient",
    departs="Trees of two steps; the proof is for any finite tree",
    title="Policy gradient of CVaR: the shortfall below the quantile times the score function",
    source=Source("tamar2015optimizing", where="the likelihood-ratio formula, as recalled; derived here", version="AAAI 2015"),
    domain=PATHS,
    settings=LEVEL,
    where=((APART, q.level_distance),),
    forms=[Form("main", equal(q.path_cvar_derivative, q.path_cvar_gradient))],
    negative_controls=[
        Control(
            "no baseline",
            equal(q.path_cvar_derivative, q.path_cvar_gradient_plain),
            because="the score function has mean 0 over all paths, but not over those below the quantile: the quantile must be subtracted",
        ),
    ],
    instances=(FIVE_ARMS, TIED, *MODELS),
    kind="equal",
)

AROUND = {"eta": Extra((), low=-3, high=3, meaning="any v")}
scoring_gradient = Claim(
    id="scoring-rule-policy-gradient",
    departs="Trees of two steps; the proof is for any finite tree",
    title="Policy gradient of a risk by scoring rule: the derivative of the best v never enters",
    source=Source("han2025risk", where="policy gradient of a scoring rule, as recalled; derived here for four measures", version="2025"),
    domain=PATHS,
    forms=[
        Form("variance", equal(q.path_variance_derivative, q.path_variance_gradient)),
        Form("variance from two returns", equal(q.path_variance_derivative, q.path_pair_gradient)),
        Form(
            "CVaR of a cost",
            equal(q.path_cost_cvar_derivative, q.path_cost_cvar_gradient),
            settings=LEVEL,
            where=((APART, q.level_distance_upper),),
        ),
        Form("entropic", equal(q.path_entropic_derivative, q.path_entropic_gradient), settings={q.aversion: Between(Rational(1, 20), 5)}),
        Form(
            "EVaR of a cost, as the only supergradient",
            q.other_cost_evar <= q.cost_evar_tangent,
            domain=ALONE.replace(extras={**UNIT_LAW, "p": INTERIOR["p"], **ANOTHER}),
            settings=BELOW_ONE,
            where=((q.largest_outcome_mass, q.tail),),
            instances=(QUARTER, "arms([1])"),
        ),
    ],
    negative_controls=[
        Control(
            "any v",
            equal(q.path_variance_derivative, q.path_score_gradient_at_v),
            domain=PATHS.replace(extras=AROUND),
            because="around another v than the mean it is the gradient of another objective, the mean squared distance from v",
        ),
        Control(
            "half the pairs",
            equal(q.path_variance_derivative, q.path_pair_gradient / 2),
            because="(X1 - X2)^2/2 has the variance as its mean, and both returns carry a score: one of them gives half of the gradient",
        ),
        Control(
            "half of EVaR's derivative",
            q.other_cost_evar <= q.cost_evar_half_tangent,
            domain=ALONE.replace(extras={**UNIT_LAW, "p": INTERIOR["p"], **ANOTHER}),
            settings=BELOW_ONE,
            where=((q.largest_outcome_mass, q.tail),),
            instances=(QUARTER, "arms([1])"),
            because="EVaR of a cost is concave in the law, and only the gradient is above it in every direction",
        ),
    ],
    instances=(FIVE_ARMS, TIED, *MODELS),
    kind="equal",
)

TABLE = {
    "chance": Extra(("S", 3), "distribution", meaning="probabilities of a law for each state"),
    "atoms": Extra(("S", 3), low=-5, high=5, meaning="its outcomes"),
}
TABLES = TABLE | {
    "other_chance": Extra(("S", 3), "distribution", meaning="probabilities of another law for each state"),
    "other_atoms": Extra(("S", 3), low=-5, high=5, meaning="its outcomes"),
}
PAIR = {
    "p": Extra((3,), "distribution", meaning="probabilities of a law"),
    "x": Extra((3,), low=-5, high=5, meaning="its outcomes"),
    "q": Extra((3,), "distribution", meaning="probabilities of another law"),
    "y": Extra((3,), low=-5, high=5, meaning="its outcomes"),
}
POLICIES = random_mdps(policy="any", mu="any", rho="mu", max_states=2, max_actions=2)
COUNTS = {q.quantiles: (1, 2, 3, 5)}
NEARLY_EVEN = by_hand(
    "0 or 1, 51 to 49 against 49 to 51",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"quantiles": 1},
    extras={"p": ["51/100", "49/100", 0], "x": [0, 1, 1], "q": ["49/100", "51/100", 0], "y": [0, 1, 1]},
)
WITHIN = random_mdps(policy="any", mu="any", rho="mu", max_states=2, max_actions=2, max_discount=Rational(9, 10))
LAWS = ALONE.replace(extras=PAIR)

distributional = Claim(
    id="distributional-bellman-and-quantiles",
    title="Laws of returns: contraction of the backup, what quantile projection keeps and loses, second moments",
    source=Source(
        "dabney2018distributional", where="Proposition 2; Bellemare et al. (2017), Sobel (1982); the bias derived here", version="AAAI 2018"
    ),
    domain=POLICIES.replace(extras=TABLES),
    forms=[
        Form("contraction in W_1", q.law_distance_1_after <= q.gamma * q.law_distance_1),
        Form("contraction in W_2", q.law_distance_2_squared_after <= q.gamma**2 * q.law_distance_2_squared),
        Form("contraction in W_inf", q.law_distance_inf_after <= q.gamma * q.law_distance_inf),
        Form("projection in W_inf", q.projected_distance_inf <= q.two_laws_distance_inf, domain=LAWS, settings=COUNTS),
        Form("mean of the projection", q.projection_mean_error <= q.law_range / (2 * q.quantiles), domain=LAWS, settings=COUNTS),
        Form(
            "quantile critic",
            q.quantile_critic_error <= q.gamma**q.backups * q.value_size + q.quantile_critic_range / (2 * q.quantiles * (1 - q.gamma)),
            domain=WITHIN,
            settings={q.quantiles: (1, 2, 3), q.backups: (1, 2, 4, 16)},
        ),
        Form("second moment", equal(q.second_moments_after, q.second_moments_formula), domain=POLICIES.replace(extras=TABLE)),
        Form("variance of the return", equal(q.return_variance, q.summed_variance), domain=POLICIES),
    ],
    negative_controls=[
        Control(
            "projection in W_1",
            q.projected_distance_1 <= q.two_laws_distance_1,
            domain=LAWS,
            settings=COUNTS,
            because="a quantile jumps over a gap of the law when a little mass moves: 51 to 49 against 49 to 51 are .02 apart, the medians 1",
        ),
        Control(
            "mean within a quarter",
            q.projection_mean_error <= q.law_range / (4 * q.quantiles),
            domain=LAWS,
            settings=COUNTS,
            because="a median may lie at one end of the range while the mean is nearly in the middle",
        ),
        Control(
            "variance discounted once",
            equal(q.return_variance, q.summed_variance_plain),
            domain=POLICIES,
            because="a variance scales with the square of the discount",
        ),
        Control(
            "W_1 contracts by the discount squared",
            q.law_distance_1_after <= q.gamma**2 * q.law_distance_1,
            because="distances scale with the discount: two sure returns that differ by 1 differ by gamma after a step",
        ),
    ],
    instances=(NEARLY_EVEN, *MODELS, "arms([1])"),
    kind="upper",
)
