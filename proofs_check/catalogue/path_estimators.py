"""Estimators from paths: gradients, variances, baselines, importance weights, truncation.  Derivation: docs/theory/path_estimators.md"""

from sympy import exp, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, random_mdps
from proofs_check.instances import REAL, SMALL
from proofs_check.statement import equal

MODELS = ("loop(1/2)", "chain(1, 9/10)", "arms([1, 0])", "arms([1])")
STAGES = {q.H: (1, 2, 3)}
PATHS = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=2, max_actions=2)
PAID = PATHS.replace(rewards=(0, 1))
LATE = by_hand(
    "two states, three steps, discount 1/2",
    transitions=[[["4/5", "1/5"], ["1/10", "9/10"]], [["1/2", "1/2"], ["3/10", "7/10"]]],
    rewards=[[1, 0], ["1/5", "3/5"]],
    discount="1/2",
    mu=[1, 0],
    policy=[["3/4", "1/4"], ["1/4", "3/4"]],
    settings={"H": 3},
)

path_gradients = Claim(
    id="reinforce-gpomdp-unbiased",
    title="Scores times the whole return, or times the return from the step on: both are the gradient on average",
    source=Source(
        "williams1992simple", where="Theorem 1, and Baxter and Bartlett (2001) for the return from the step on; derived here", version="journal"
    ),
    domain=PATHS,
    settings=STAGES,
    forms=[
        Form("whole return", equal(q.whole_return_mean, q.path_derivative)),
        Form("return from the step on", equal(q.future_return_mean, q.path_derivative)),
        Form("advantages", equal(q.path_advantage_gradient, q.path_derivative)),
    ],
    negative_controls=[
        Control(
            "return from the step after",
            equal(q.late_return_mean, q.path_derivative),
            because="an action's own reward depends on it, and the score of a step may forget only what was paid before",
        ),
    ],
    instances=(LATE, *MODELS),
    kind="equal",
    departs="Paths of at most three steps; the proof is for any number",
)

EARLY_LOSS = by_hand(
    "1 is lost and then nearly all of it won back",
    transitions=[[[0, 1], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[-1, -1], [1, 1]],
    discount="99/100",
    mu=[1, 0],
    settings={"H": 2},
)
STAY_FOR_LESS = by_hand(
    "stay for 1 or end for 8, in units of 8",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[["1/8", 1], [0, 0]],
    discount="99/100",
    mu=[1, 0],
    policy=[["1/4", "3/4"], [1, 0]],
    settings={"H": 2},
)

path_variance = Claim(
    id="gpomdp-dominates-reinforce",
    title="Leaving past rewards out lowers the variance where rewards have one sign and stages their own parameters, and not otherwise",
    source=Source(
        "peters2008reinforcement", where="Section 3 says so without conditions, as recalled; conditions derived here", version="Neural Networks 21"
    ),
    domain=PAID,
    settings=STAGES,
    forms=[
        Form("rewards of one sign, parameters of each stage", q.future_staged_variance <= q.whole_staged_variance),
    ],
    negative_controls=[
        Control(
            "any rewards",
            q.future_staged_variance <= q.whole_staged_variance,
            domain=PATHS.replace(rewards=(-1, 1)),
            because="where a loss is followed by as large a gain the whole return is nearly 0 on every path, and its second half is not",
        ),
        Control(
            "shared parameters",
            q.future_shared_variance <= q.whole_shared_variance,
            because="the scores of two visits of a state are added, and their product with the past rewards may be negative on average",
        ),
    ],
    instances=(EARLY_LOSS, STAY_FOR_LESS, LATE, *MODELS),
    departs="Paths of at most three steps; the proof is for any number",
)

TABLE = {"stage_baseline": Extra((3, "S"), low=-3, high=3, meaning="a baseline for each stage and state")}
ENDS = by_hand(
    "one action pays 1 and stays, the other ends",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[1, 0], [0, 0]],
    discount="99/100",
    mu=[1, 0],
    policy=[["1/2", "1/2"], [1, 0]],
    settings={"H": 2},
    extras={"stage_baseline": [[1, 0], [1, 0], [1, 0]]},
)
SKEWED = by_hand(
    "the better arm nine times in ten",
    "arms([1, 0])",
    policy=[["9/10", "1/10"]],
    settings={"H": 1},
    extras={"stage_baseline": [[0], [0], [0]]},
)

stage_baselines = Claim(
    id="optimal-baseline-by-stage",
    title="The best baseline of every stage and state, and what any other adds to the variance",
    source=Source("greensmith2004variance", where="Theorems 8 and 11 for the average reward; by stage and exactly: derived here", version="JMLR 5"),
    domain=PATHS.replace(extras=TABLE),
    settings=STAGES,
    forms=[
        Form("parabola", equal(q.stage_baseline_variance, q.best_stage_baseline_variance + q.baseline_penalty)),
        Form("never below", q.best_stage_baseline_variance <= q.stage_baseline_variance),
    ],
    negative_controls=[
        Control(
            "the value is best",
            q.value_stage_baseline_variance <= q.stage_baseline_variance,
            because="with (9/10, 1/10) the rare action's score is nine times as long, and its reward 0 is what the baseline should be near",
        ),
        Control(
            "shared parameters",
            q.best_shared_baseline_variance <= q.shared_baseline_variance,
            because="two visits of a state on one path add their scores, and the cross terms are linear in the baseline",
        ),
    ],
    instances=(ENDS, SKEWED, *MODELS),
    kind="equal",
    departs="Paths of at most three steps; the proof is for any number",
)

EXACT_CRITIC = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3).replace(
    extras={"decay": Extra((), meaning="decay of the estimate")}
)
LONGER = EXACT_CRITIC.replace(
    extras={
        "decay": Extra((), meaning="decay of the estimate"),
        "further": Extra((), meaning="share of the way from the decay to 1"),
    }
)
WRONG_CRITIC = LONGER.replace(extras=dict(LONGER.extras) | {"error": Extra(("S",), low=-2, high=2, meaning="errors of the critic")})
FORKED = by_hand(
    "a fork whose ends the critic tells apart for nothing",
    transitions=[[[0, "1/2", "1/2", 0]], [[0, 0, 0, 1]], [[0, 0, 0, 1]], [[0, 0, 0, 1]]],
    rewards=[[0]] * 4,
    discount="9/10",
    mu=[1, 0, 0, 0],
    extras={"decay": 0, "further": 1, "error": [0, 1, -1, 0]},
)

advantage_variance = Claim(
    id="gae-variance-identity",
    title="The variance of generalised advantage estimates: exactly, and rising with lambda where the critic is exact",
    source=Source(
        "schulman2016high", where="Section 3 says that lambda below 1 lowers the variance; identity derived here", version="arXiv:1506.02438v6"
    ),
    domain=EXACT_CRITIC,
    forms=[
        Form("identity", equal(q.gae_variance, q.gae_variance_closed)),
        Form("rises with lambda", q.gae_variance <= q.longer_gae_variance, domain=LONGER),
        Form(
            "lambda 1: the return's",
            equal(q.gae_variance, q.pair_return_variance),
            domain=EXACT_CRITIC.replace(extras={"decay": Extra((), low=1, high=1, meaning="decay of the estimate")}),
            instances=SMALL + REAL,
        ),
    ],
    negative_controls=[
        Control(
            "a critic that errs",
            q.wrong_gae_variance <= q.longer_wrong_gae_variance,
            domain=WRONG_CRITIC,
            because="errors of opposite sign behind a fork are noise that only lambda = 1 cancels",
        ),
        Control(
            "discounted once",
            equal(q.gae_variance, q.gae_variance_once),
            because="a variance scales with the square of the discount",
        ),
    ],
    instances=(FORKED, *SMALL),
    kind="equal",
)

TWO_POLICIES = random_mdps(policy="interior", other="any", mu="any", rho="mu", max_states=2, max_actions=2)
SAME_EVERYWHERE = by_hand(
    "two states that differ in name, drawn 1/4 against 1/2",
    transitions=[[["1/2", "1/2"], ["1/2", "1/2"]]] * 2,
    rewards=[[1, 0]] * 2,
    discount="9/10",
    policy=[["1/4", "3/4"]] * 2,
    other=[["1/2", "1/2"]] * 2,
    settings={"H": 3},
)

path_weights = Claim(
    id="is-trajectory-second-moment",
    title="Importance weights of paths: unbiased, and exponential in the horizon",
    source=Source(
        "precup2000eligibility", where="Section 3 (per-decision weights), Metelli et al. (2018) for moments; derived here", version="ICML 2000"
    ),
    domain=TWO_POLICIES,
    settings=STAGES,
    forms=[
        Form("one weight for the path", equal(q.weighted_path_mean, q.other_path_derivative)),
        Form("a weight for each decision", equal(q.decision_weighted_mean, q.other_path_derivative)),
        Form("second moment", equal(q.path_weight_moment, q.path_weight_recursion)),
        Form("at most", q.path_weight_moment <= q.largest_weight_moment**q.H),
        Form("at least", q.path_weight_moment >= q.least_weight_moment**q.H),
    ],
    negative_controls=[
        Control(
            "no weight",
            equal(q.unweighted_path_mean, q.other_path_derivative),
            because="the paths of another policy have another law",
        ),
        Control(
            "the divergence in the exponent",
            q.path_weight_moment <= exp(q.H * q.largest_log_weight),
            because="by Jensen's inequality the logarithm of the mean weight under the target is at least the mean logarithm, the divergence",
        ),
        Control(
            "linear in the horizon",
            q.path_weight_moment <= 1 + q.H * (q.largest_weight_moment - 1),
            because="second moments of independent weights multiply",
        ),
    ],
    instances=(SAME_EVERYWHERE, *MODELS),
    kind="equal",
    departs="Paths of at most three steps; the proof is for any number",
)

SIGNED = random_mdps(policy="any", mu="any", rho="mu", rewards=(-1, 1), max_states=2, max_actions=2)
LONG = by_hand(
    "two equally likely arms that always pay 1, sixty steps",
    transitions=[[[1], [1]]],
    rewards=[[1, 1]],
    discount="9/10",
    settings={"backups": 60},
)
ALIVE = by_hand(
    "paid as long as one chance in 120 has not come",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[1, 0], [0, 0]],
    discount="99/100",
    mu=[1, 0],
    policy=[["119/120", "1/120"], [1, 0]],
    settings={"backups": 60},
)
CUT = {q.backups: (1, 2, 4, 8, 60)}

truncation = Claim(
    id="truncation-bias-and-second-moment",
    title="Cutting paths: the bias of the gradient, and the second moment with three powers of the horizon",
    source=Source("yuan2022general", where="Lemmas 4.5 and D.1, as recalled; derived here", version="AISTATS 2022"),
    domain=SIGNED,
    forms=[
        Form(
            "bias",
            q.truncated_gradient_error <= sqrt(q.score_bound_squared) / (1 - q.gamma) * sqrt(1 / (1 - q.gamma) + q.backups) * q.gamma**q.backups,
            settings=CUT,
        ),
        Form("second moment", q.future_second_moment <= q.score_bound_squared / (1 - q.gamma) ** 3, settings=STAGES),
        Form(
            "second moment of a steady reward",
            q.steady_second_moment <= q.score_bound_squared / (1 - q.gamma) ** 3,
            settings=CUT,
            domain=SIGNED.replace(max_states=1),
        ),
    ],
    negative_controls=[
        Control(
            "two powers",
            q.steady_second_moment <= q.score_bound_squared / (1 - q.gamma) ** 2,
            settings=CUT,
            domain=SIGNED.replace(max_states=1),
            because="each of 1/(1 - gamma) scores weighs a return of that size: 261.4 against 50 at discount 9/10",
        ),
        Control(
            "one score's worth",
            q.truncated_gradient_error <= sqrt(q.score_bound_squared) / (1 - q.gamma) * q.gamma**q.backups,
            settings=CUT,
            because="a reward far ahead that every action before it may lose has the scores of all of them: it is missing more than once",
        ),
    ],
    instances=(LONG, ALIVE, *MODELS),
    departs="The second moment is enumerated for at most three steps, and in closed form for steady rewards",
)
