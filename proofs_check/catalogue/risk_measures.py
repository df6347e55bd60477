"""Risk measures of finite laws: CVaR, entropic risk, EVaR, two stages, plug-in estimates.  Derivation: docs/theory/risk_measures.md"""

from sympy import Rational, log, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.statement import equal

ALONE = bandits(max_actions=1, policy="uniform", mu="any")
"""Claims about laws: the model is one state with one action, and everything that counts is in the extras."""
LAW = {
    "p": Extra((4,), "distribution", meaning="probabilities of the outcomes"),
    "x": Extra((4,), low=-10, high=10, meaning="outcomes, rewards"),
}
UNIT_LAW = {"p": LAW["p"], "x": Extra((4,), low=-1, high=1, meaning="outcomes, rewards")}
STAGED = {
    "first": Extra((3,), "distribution", meaning="law of the first stage"),
    "second": Extra((3, 3), "distribution", meaning="law of the second stage, given the first"),
    "outcomes": Extra((3, 3), low=-10, high=10, meaning="what is received in the end"),
}
LEVEL = {q.tail: Between(Rational(1, 50), 1)}
MODELS = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=2, max_discount=Rational(19, 20))
"""Claims about Markov risk; the discount ends at 19/20, where the fixed points are still computed by plain backups."""
SMALL = ("loop(1/2)", "loop(9/10)", "arms([1, 0], 9/10)", "chain(1, 9/10)")
REWEIGHTED = {"reweighting": Extra(("S", "A", "S"), low="1/100", high=1, meaning="relative weights of next states in another kernel")}


def _law(name: str, p: list[object], x: list[object], settings: dict[str, object] | None = None, **extras: object) -> Instance:
    """A law with four outcomes (the last one repeated with probability 0 where there are fewer)."""
    more = 4 - len(x)
    data = {"p": [*p, *[0] * more], "x": [*x, *x[-1:] * more], **extras}
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, settings=settings or {}, extras=data)


SWITCH = _law("fair coin 0, 10 at level 3/4", ["1/2", "1/2"], [0, 10], {"tail": "3/4"}, eta=10)
UNIFORM = _law("uniform 1..4 at level 1/2", ["1/4"] * 4, [1, 2, 3, 4], {"tail": "1/2"}, eta=2)
RARE_LOSS = _law("a loss of 100 with probability 1/25", ["1/25", "24/25"], [-100, 0], {"tail": "1/20"}, eta=0)
SAFE_SWITCH = _law("fair coin 0, 10 at level 5/8, worth the safe 2", ["1/2", "1/2"], [0, 10], {"tail": "5/8"}, eta=0)

cvar_forms = Claim(
    id="cvar-three-forms",
    title="CVaR: sorted tail mean, largest lower bound, smallest mean under a bounded density",
    source=Source("rockafellar2000optimization", where="Theorem 1; the dual set of Artzner et al. (1999)", version="Journal of Risk 2(3)"),
    domain=ALONE.replace(extras={**LAW, "eta": Extra((), low=-12, high=12, meaning="a threshold")}),
    settings=LEVEL,
    forms=[
        Form("the outcomes suffice", equal(q.cvar_sorted, q.cvar_sup_form)),
        Form("density ball", equal(q.cvar_sorted, q.cvar_density_ball)),
        Form("every threshold is below", q.cvar_at_threshold <= q.cvar_sorted),
        Form("a quantile attains it", equal(q.cvar_at_quantile, q.cvar_sorted)),
    ],
    negative_controls=[
        Control(
            "conditional mean below the quantile",
            equal(q.cvar_sorted, q.mean_below_quantile),
            because="of the outcome at the quantile only a part belongs to the worst fraction: 0 or 10 at level 3/4 is worth 10/3, not 5",
        ),
        Control(
            "tails exchanged",
            equal(q.cvar_sorted, q.cvar_upper),
            because="the CVaR of a cost is the mean of its largest outcomes; of a reward it is that of the smallest ones",
        ),
    ],
    instances=(SWITCH, UNIFORM, SAFE_SWITCH, "arms([1])"),
    kind="equal",
)

COIN = _law("fair coin at beta 1/10", ["1/2", "1/2"], [0, 1], {"aversion": "1/10"})
LOSSES = tuple(
    by_hand(
        f"two states, a fair next one, discount {discount}",
        transitions=[[["1/2", "1/2"]], [["1/2", "1/2"]]],
        rewards=[[1], [0]],
        discount=discount,
        settings={"aversion": "1/10"},
        extras={"reweighting": [[[1, 1]]] * 2},
    )
    for discount in ("1/2", "9/10")
)
entropic_range = Claim(
    id="entropic-risk-two-sided",
    title="Entropic risk lies below the mean by at most beta times the squared range over 8",
    source=Source("follmer2016stochastic", where="entropic risk measure, as recalled; Hoeffding's lemma, derived here", version="4th edition"),
    domain=ALONE.replace(extras=LAW),
    settings={q.aversion: Between(Rational(1, 100), 10)},
    forms=[
        Form("below the mean", q.law_erm <= q.law_mean),
        Form("not far below", q.law_mean - q.law_erm <= q.aversion * q.law_range**2 / 8),
        Form("above the least", q.law_erm >= q.law_least),
        Form("in an MDP, below", q.aversion_least_loss >= 0, domain=MODELS, instances=(*LOSSES, *SMALL)),
        Form(
            "in an MDP, not far below",
            q.aversion_loss <= q.gamma * q.aversion * q.value_range**2 / (8 * (1 - q.gamma)),
            domain=MODELS,
            instances=(*LOSSES, *SMALL),
        ),
        Form(
            "in an MDP, by the range of the soft-robust values",
            q.aversion_loss <= q.gamma * q.aversion * q.entropic_value_range**2 / (8 * (1 - q.gamma)),
            domain=MODELS,
            instances=(*LOSSES, *SMALL),
        ),
    ],
    negative_controls=[
        Control(
            "in an MDP, once",
            q.aversion_loss <= q.gamma * q.aversion * q.value_range**2 / 8,
            domain=MODELS,
            instances=(*LOSSES, *SMALL),
            because="what is lost in one step is lost again in every later one: the losses add up over the horizon",
        ),
        Control(
            "a tenth in place of an eighth",
            q.law_mean - q.law_erm <= q.aversion * q.law_range**2 / 10,
            because="a fair coin with a small beta attains an eighth: its variance is a quarter of the squared range",
        ),
        Control(
            "above the mean",
            q.law_erm >= q.law_mean,
            because="-log is convex, so that the certainty equivalent of an averse agent is below the mean",
        ),
    ],
    instances=(COIN, "arms([1])"),
    kind="upper",
)

QUARTER = _law("fair coin whose EVaR is 1/4", ["1/2", "1/2"], [0, 1], {"tail": "8773827/10000000", "aversion": "1099/1000"}, q=["1/4", "3/4", 0, 0])
ANOTHER = {"q": Extra((4,), "distribution", meaning="another law")}
INTERIOR = {**LAW, "p": Extra((4,), "interior", meaning="probabilities of the outcomes")}
BELOW_ONE = {q.tail: Between(Rational(1, 50), Rational(99, 100))}

evar = Claim(
    id="evar-kl-ball",
    departs="Levels below 1; at 1 both sides are the mean",
    title="EVaR: the best entropic lower bound is the worst mean over a divergence ball",
    source=Source("ahmadijavid2012entropic", where="definition, dual representation and comparison with CVaR, as recalled", version="JOTA 155"),
    domain=ALONE.replace(extras=UNIT_LAW),
    settings=BELOW_ONE,
    forms=[
        Form("duality", equal(q.evar_scalar_search, q.evar_tilted_mean)),
        Form("every beta is below", q.evar_at_aversion <= q.law_evar, settings={**BELOW_ONE, q.aversion: Between(Rational(1, 20), 20)}),
        Form(
            "every law of the ball is above",
            q.any_law_mean >= q.law_evar,
            domain=ALONE.replace(extras={**INTERIOR, **ANOTHER}),
            where=((q.any_law_divergence, -log(q.tail)),),
        ),
        Form("above the least", q.law_evar >= q.law_least),
        Form("below CVaR", q.law_evar <= q.law_cvar),
        Form("CVaR below the mean", q.law_cvar <= q.law_mean),
        Form(
            "normal law, every beta",
            q.aversion * q.deviation**2 / 2 - log(q.tail) / q.aversion >= q.deviation * sqrt(-2 * log(q.tail)),
            settings={**BELOW_ONE, q.aversion: Between(Rational(1, 20), 20), q.deviation: Between(Rational(1, 10), 10)},
            domain=ALONE,
        ),
        Form(
            "normal law, EVaR below CVaR",
            q.normal_density <= q.normal_level * sqrt(-2 * log(q.normal_level)),
            domain=ALONE.replace(extras={"z": Extra((), low=-6, high=6, meaning="a quantile of the standard normal law")}),
            settings={},
        ),
    ],
    negative_controls=[
        Control(
            "radius -log(1 - alpha)",
            equal(q.law_evar, q.evar_wrong_radius),
            because="the ball shrinks to the law itself as alpha grows to 1, where EVaR is the mean",
        ),
        Control(
            "above CVaR", q.law_evar >= q.law_cvar, because="a density of at most 1/alpha has a divergence of at most -log alpha, not conversely"
        ),
    ],
    instances=(QUARTER, "arms([1])"),
    kind="equal",
)

FIVE = {"outcomes": [[5, 5, 5], [0, 10, 10], [5, 5, 5]], "first": ["1/2", "1/2", 0], "second": [[1, 0, 0], ["1/4", "3/4", 0], [1, 0, 0]]}
UNEVEN = {
    "first": ["1/12", "1/3", "7/12"],
    "second": [["1/10", "9/10", 0], ["4/5", "1/5", 0], ["1/5", "4/5", 0]],
    "outcomes": [[1, 4, 4], [2, 3, 3], [0, 4, 4]],
}
COINS = {"first": ["1/2", "1/2", 0], "second": [["1/2", "1/2", 0]] * 3, "outcomes": [[0, 1, 1], [1, 2, 2], [1, 2, 2]]}


def _staged(name: str, data: dict[str, object], level: str) -> Instance:
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, settings={"tail": level}, extras=data)


SURE_OR_SPREAD = _staged("5, or 0 and 10", FIVE, "1/2")
THREE_BRANCHES = _staged("three branches at level 2/5", UNEVEN, "2/5")
TWO_COINS = _staged("two fair coins summed", COINS, "1/2")

ALIVE = by_hand(
    "alive with probability 9/10, at level 1/2",
    transitions=[[["9/10", "1/10"]], [[0, 1]]],
    rewards=[[1], [0]],
    discount="1/2",
    mu=[1, 0],
    settings={"tail": "1/2"},
    extras={"reweighting": [[[1, 1]]] * 2},
)
NESTED = (ALIVE, *SMALL)

nested_static = Claim(
    id="nested-cvar-is-robust-and-incomparable",
    title="Nested CVaR is a robust value; against static CVaR it is not ordered",
    source=Source("iancu2015tight", where="bounds between nested and static risk, as recalled; the instances are found here", version="Math. OR 40"),
    domain=ALONE.replace(extras=STAGED),
    settings={q.tail: Between(Rational(1, 10), 1)},
    forms=[
        Form("a robust value", equal(q.nested_cvar_values, q.density_robust_values), domain=MODELS, settings=LEVEL, instances=NESTED),
        Form(
            "no kernel of bounded density is worse",
            q.bounded_density_values >= q.nested_cvar_values,
            domain=MODELS.replace(extras=REWEIGHTED),
            settings=LEVEL,
            instances=NESTED,
        ),
        Form("least below static at the squared level", q.two_stage_least <= q.static_cvar_squared_level),
        Form("static at the squared level below nested", q.static_cvar_squared_level <= q.nested_cvar),
        Form("nested below the mean", q.nested_cvar <= q.two_stage_mean),
        Form("static below the mean of the conditional", q.static_cvar <= q.mean_conditional_cvar),
    ],
    negative_controls=[
        Control(
            "every kernel is allowed",
            q.reweighted_values >= q.nested_cvar_values,
            domain=MODELS.replace(extras=REWEIGHTED),
            settings=LEVEL,
            instances=NESTED,
            because="nature may raise the probability of a next state by the factor 1/alpha at most; a larger one can do more harm",
        ),
        Control(
            "nested is always more cautious",
            q.nested_cvar <= q.static_cvar,
            because="both branches are worth 5 on their own; their mixture has a worst half that lies in the spread branch alone and is worth 15/4",
        ),
        Control(
            "nested is always less cautious",
            q.nested_cvar >= q.static_cvar,
            because="of two fair coins the nested measure looks at the worst quarter, the static one at the worst half",
        ),
        Control(
            "static above the worst conditional",
            q.static_cvar >= q.worst_conditional_cvar,
            because="CVaR of a reward is convex in the law and not quasi-concave: a mixture may be worse than each of its parts",
        ),
    ],
    instances=(SURE_OR_SPREAD, THREE_BRANCHES, TWO_COINS, "arms([1])"),
    kind="upper",
)

FEW = {"p": Extra((3,), "distribution", meaning="probabilities of the outcomes"), "x": Extra((3,), low=-1, high=1, meaning="outcomes, rewards")}
COUNTS = {q.samples: (1, 2, 4, 8)}


def _coin(name: str, **settings: object) -> Instance:
    extras = {"p": ["1/2", "1/2", 0], "x": [0, 1, 1]}
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, settings=settings, extras=extras)


COIN_SAMPLES = tuple(_coin(f"fair coin, {n} samples", samples=n, tail="1/2", aversion=1) for n in (1, 2, 4, 8))
BIASED_QUANTILE = _coin("fair coin at level 3/5, one sample", samples=1, tail="3/5", aversion=1)

plug_in = Claim(
    id="plug-in-risk-is-optimistic",
    departs="EVaR for one and two samples, and without its fall from n to n + 1; CVaR and the entropic risk for all that are listed",
    title="The risk of an empirical law is optimistic, less and less so with more samples",
    source=Source("unpublished", where="convexity in the law and Jensen's inequality; derived here"),
    domain=ALONE.replace(extras=FEW),
    settings={q.samples: COUNTS[q.samples], q.tail: Between(Rational(1, 20), 1)},
    forms=[
        Form("CVaR", q.plug_in_cvar >= q.cvar_sorted),
        Form("CVaR, one more sample", q.plug_in_cvar_more <= q.plug_in_cvar),
        Form("CVaR at level 1", equal(q.plug_in_cvar, q.law_mean), settings={**COUNTS, q.tail: (1,)}),
        Form("entropic", q.plug_in_erm >= q.law_erm, settings={**COUNTS, q.aversion: Between(Rational(1, 20), 10)}),
        Form("entropic, one more sample", q.plug_in_erm_more <= q.plug_in_erm, settings={**COUNTS, q.aversion: Between(Rational(1, 20), 10)}),
        Form("EVaR", q.plug_in_evar >= q.law_evar, settings={q.samples: (1, 2), q.tail: Between(Rational(1, 20), Rational(99, 100))}),
    ],
    negative_controls=[
        Control(
            "quantiles too",
            q.plug_in_quantile >= q.law_quantile,
            because="a quantile is not convex in the law: at level 3/5 that of a fair coin is 1, and one sample gives 1/2 on average",
        ),
        Control(
            "costs with the same sign",
            q.plug_in_cost_cvar >= q.cvar_upper,
            because="the upper-tail CVaR of a cost is concave in the law, so that its estimate is too small: optimistic again",
        ),
        Control(
            "no bias at all",
            equal(q.plug_in_cvar, q.cvar_sorted),
            because="CVaR is not linear in the law; one sample has the mean as its expected CVaR",
        ),
    ],
    instances=(*COIN_SAMPLES, BIASED_QUANTILE, "arms([1])"),
    kind="lower",
)

WEIGHED = {q.samples: (1, 2, 5, 20), q.aversion: Between(Rational(1, 20), 10)}
AVERSE = {q.aversion: Between(Rational(1, 20), 10)}
LOGS = {name: Extra(("S", "A"), low=-10, high=10, meaning="logarithms of weights Z(s,a)") for name in ("log_weights", "more_log_weights")}
kl_plug_in = Claim(
    id="kl-plug-in-is-optimistic",
    title="The plug-in value of a divergence penalty is optimistic, by at most a variance over n",
    source=Source("zhang2024regularized", where="estimation of Z = E exp(-beta V) in the KL case; the bias is derived here", version="ICLR 2024"),
    domain=ALONE.replace(extras=FEW),
    settings=WEIGHED,
    forms=[
        Form("unbiased weight", equal(q.plug_in_weight, q.law_weight)),
        Form("optimistic", q.plug_in_erm >= q.law_erm),
        Form("bias", q.plug_in_erm - q.law_erm <= q.plug_in_bias_bound),
        Form(
            "optimality of the weight",
            equal(q.optimal_log_weights, q.optimal_log_weights_backed_up),
            domain=MODELS,
            settings=AVERSE,
            instances=(*LOSSES, *SMALL),
        ),
        Form(
            "contraction of its operator",
            q.log_weight_backup_difference <= q.gamma * q.log_weight_difference,
            domain=MODELS.replace(extras=LOGS),
            settings=AVERSE,
            instances=SMALL,
        ),
    ],
    negative_controls=[
        Control(
            "pessimistic",
            q.plug_in_erm <= q.law_erm,
            because="-log is convex: one sample of a fair coin gives 1/2 on average, its entropic risk at beta 1 is 0.3799",
        ),
        Control(
            "first order as a bound",
            q.plug_in_erm - q.law_erm <= q.plug_in_bias_first_order,
            because="the second derivative of -log is 1/z^2, and the sample mean may come as far down as the smallest z",
        ),
        Control(
            "one over n squared",
            q.plug_in_erm - q.law_erm <= q.plug_in_bias_bound / q.samples,
            because="the bias is a variance of a mean of n samples, of order 1/n",
        ),
    ],
    instances=(*COIN_SAMPLES, "arms([1])"),
    kind="upper",
)
