"""Sampled steps that commit to a wrong arm, variances that do not tell, and draws that belong together.  Derivation: docs/theory/committal.md"""

from sympy import Integer, Rational, exp, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits
from proofs_check.statement import equal

ARMS = ("arms([1, 0])", "arms([1, 9/10])", "arms([1, 1/2, 0])", "arms([1])")
TWO = bandits(policy="uniform", mu="any", min_actions=2, max_actions=2)
RUN = {q.backups: (1, 2, 5, 20, 100), q.eta: Between(Rational(1, 10), 3)}
SHORT = {q.backups: (1, 2, 3), q.eta: Between(Rational(1, 10), 1)}
C = q.eta * q.second_reward
BASELINE = {"baseline": Extra((), low=0, high=1, meaning="the baseline")}


def _two_arms(name, rewards, **more):
    return by_hand(name, transitions=[[[1]] * len(rewards)], rewards=[rewards], discount=0, **more)


NINE_TENTHS = _two_arms("rewards 1 and 9/10, step 1", [1, "9/10"], settings={"backups": 100, "eta": 1}, extras={"baseline": "19/20"})
HALF = _two_arms("rewards 1 and 1/2, step 1/2", [1, "1/2"], settings={"backups": 100, "eta": "1/2"}, extras={"baseline": "3/4"})

commits = Claim(
    id="npg-wrong-arm-for-ever",
    title="Natural steps on sampled rewards without a baseline draw the wrong arm for ever with positive probability",
    source=Source("mei2021understanding", where="Theorem 3, as recalled; the product and its bounds derived here", version="NeurIPS 2021"),
    domain=TWO,
    settings=RUN,
    where=((0, q.second_reward), (q.A, 3)),
    forms=[
        Form("product", q.wrong_run >= q.logistic_product),
        Form("for ever", q.wrong_run >= exp(-exp(-C) / (1 - exp(-C))) / 2),
        Form(
            "a baseline from the wrong arm's reward on",
            q.wrong_run_baseline <= Rational(1, 2) ** q.backups,
            domain=TWO.replace(extras=BASELINE),
            settings=SHORT,
            where=((q.second_reward, q.baseline), (q.A, 3)),
        ),
    ],
    negative_controls=[
        Control(
            "it learns in the end",
            q.wrong_run <= 4 / q.backups,
            because="with rewards 1 and 9/10 and step 1 the first hundred draws are all wrong with probability .39, and so are all after them",
        ),
        Control(
            "a baseline never lets it commit",
            q.wrong_run_baseline <= Rational(1, 2) ** q.backups,
            domain=TWO.replace(extras=BASELINE),
            settings=SHORT,
            where=((q.A, 3),),
            because="below the wrong arm's reward a baseline changes the size of what reinforces it, not the sign",
        ),
    ],
    instances=(NINE_TENTHS, HALF, *ARMS),
    kind="lower",
    departs="For every number of draws, so for ever; two arms",
)

BOOSTED = bandits(policy="interior", mu="any", rewards=None, max_actions=3).replace(
    extras={"boosts": Extra(("A",), low=Rational(1, 20), high=20, meaning="factor of the weight of each arm, were it drawn")}
)
STEPS = bandits(policy="interior", mu="any", rewards=(-1, 1), max_actions=3)
ETA = {q.eta: Between(Rational(1, 100), 10)}
SELDOM_BETTER = _two_arms(
    "an arm that is hardly ever drawn and much worse on average",
    ["-993/1000", "-103/5000"],
    policy=[["973/100000", "99027/100000"]],
    settings={"eta": 10},
    extras={"boosts": [2, 3]},
)
OFTEN_BETTER = _two_arms("1 nine times in ten, else 9/10", [1, "9/10"], policy=[["9/10", "1/10"]], settings={"eta": 1}, extras={"boosts": [2, "1/2"]})

progress = Claim(
    id="npg-value-baseline-progress",
    title="With the value as baseline a natural step on a certain reward never loses on average, however long it is",
    source=Source("mei2022role", where="Lemma 1, as recalled; derived here", version="NeurIPS 2022"),
    domain=STEPS,
    settings=ETA,
    forms=[
        Form("any factors", equal(q.boosted_progress, q.boosted_progress_closed), domain=BOOSTED, settings={}, symbolic=((1, 1), (1, 2), (1, 3))),
        Form("never loses", q.value_baseline_progress >= 0),
    ],
    negative_controls=[
        Control(
            "noisy rewards",
            q.noisy_progress >= 0,
            because="a draw of 1 from an arm with mean -.993 lifts it as if it were always so good, and the step is long",
        ),
        Control(
            "no baseline",
            q.bare_progress >= 0,
            because="every draw lifts its arm, a rare arm the more, and at (9/10, 1/10) the rare one is the worse one",
        ),
    ],
    instances=(SELDOM_BETTER, OFTEN_BETTER, *ARMS),
    kind="lower",
)

APART = bandits(policy="interior", mu="any", rewards=None, max_actions=3).replace(extras={"apart": Extra((), low=0, high=3, meaning="shift")})
SKEWED = _two_arms(
    "shares .1, .3, .6 and rewards 1, .7, 0", [1, "7/10", 0], policy=[["1/10", "3/10", "3/5"]], extras={"apart": "1/2", "baseline": -1}
)
ONE_ZERO = _two_arms("rewards 1 and 0", [1, 0], settings={"backups": 3, "eta": 1}, extras={"baseline": "-1", "apart": 1})
BELOW = {"baseline": Extra((), low=-2, high=0, meaning="the baseline")}

fates = Claim(
    id="same-variance-baselines-different-fate",
    title="Two baselines with the same variance: with the lower one the wrong arm may be drawn for ever, with the other not",
    source=Source("chung2021beyond", where="Theorem 1 and Figure 1, as recalled; identities derived here", version="ICML 2021"),
    domain=APART,
    forms=[
        Form("the same variance", equal(q.natural_variance_above, q.natural_variance_below), symbolic=((1, 2), (1, 3))),
        Form(
            "parabola",
            equal(q.natural_variance_above, q.natural_variance_best + (1 - 1 / q.A) * q.reciprocal_sum * q.apart**2),
        ),
        Form(
            "below: for ever",
            q.wrong_run_baseline >= exp(-exp(q.eta * (q.baseline - q.second_reward)) / (1 - exp(q.eta * (q.baseline - q.second_reward)))) / 2,
            domain=TWO.replace(extras=BELOW),
            settings=RUN,
            where=((q.baseline, q.second_reward), (q.A, 3)),
        ),
        Form(
            "above: never",
            q.wrong_run_mirrored <= Rational(1, 2) ** q.backups,
            domain=TWO.replace(extras=BELOW),
            settings=SHORT,
            where=((q.A, 3),),
        ),
    ],
    negative_controls=[
        Control(
            "the raw estimate",
            equal(q.raw_variance_above, q.raw_variance_below),
            because="the mean of e_A (r_A - b)/pi_A along (1, ..., 1), which moves no policy, depends on b, and so does its variance",
        ),
        Control(
            "the same fate",
            q.wrong_run_baseline <= q.wrong_run_mirrored,
            domain=TWO.replace(extras=BELOW),
            settings=SHORT,
            where=((q.A, 3),),
            because="what decides whether a draw reinforces itself is the sign of the reward less the baseline, which no variance tells",
        ),
    ],
    instances=(SKEWED, ONE_ZERO, *ARMS),
    kind="equal",
    departs="The variance is that of the shortest natural estimate, e_A - 1/K in place of e_A; the printed one is of the raw estimate, as recalled",
)

SIGNS = bandits(policy="any", mu="any", rewards=(-1, 1), max_actions=4)
TWINS = _two_arms("two equally good arms and one that is never drawn", [1, 1, 0], policy=[["1/2", "1/2", 0]])

FAR_APART = _two_arms("rewards 1 and -1", [1, -1], policy=[["1/3", "2/3"]])

growth = Claim(
    id="sgb-noise-growth-condition",
    title="The noise of a sampled bandit gradient vanishes with the gradient",
    source=Source("mei2023stochastic", where="Lemma 4.3, as recalled", version="ICML 2023"),
    domain=SIGNS,
    forms=[
        Form("derived", q.smallest_gap**2 * q.sign_score_square <= 2 * sqrt(q.A) * q.bandit_gradient_norm),
        Form("printed", q.smallest_gap**2 * q.sign_score_square <= 8 * sqrt(q.A) * q.A * q.bandit_gradient_norm),
        Form(
            "two arms",
            equal(q.smallest_gap**2 * q.sign_score_square**2, 2 * q.bandit_gradient_square),
            where=((q.A, 3),),
            domain=SIGNS.replace(max_actions=2),
        ),
    ],
    negative_controls=[
        Control(
            "the smallest positive gap",
            q.smallest_positive_gap**2 * q.sign_score_square <= 8 * sqrt(q.A) * q.A * q.bandit_gradient_norm,
            because="between two equally good arms the gradient is 0, and each draw moves the policy nevertheless",
        ),
        Control(
            "squared gradient",
            q.smallest_gap**2 * q.sign_score_square <= 8 * sqrt(q.A) * q.A * q.bandit_gradient_square,
            because="near a vertex noise and gradient shrink alike, and the square of the gradient faster",
        ),
    ],
    instances=(TWINS, FAR_APART, *ARMS),
    departs="For rewards of 1 and -1, the worst ones in [-1, 1]; derived is 4K times smaller than the printed bound, and two arms attain it",
)

WILLING = bandits(policy="uniform", mu="any", max_actions=1).replace(
    extras={"willing": Extra((8,), low=Rational(1, 100), high=Rational(99, 100), meaning="each agent's probability to act")}
)
AGENTS = {q.agents: (1, 2, 3, 4, 8)}


def _coins(agents):
    return by_hand(
        f"{agents} fair coins",
        transitions=[[[1]]],
        rewards=[[0]],
        discount=0,
        settings={"agents": agents},
        extras={"willing": ["1/2"] * 8},
    )


COINS = tuple(_coins(n) for n in (1, 2, 8))

agents_direction = Claim(
    id="multi-agent-gradient-direction",
    title="A reward for all acting at once: one sample points the right way with probability 2^-N",
    source=Source("lowe2017multi", where="Proposition 1; any probabilities and the noise derived here", version="NeurIPS 2017"),
    domain=WILLING,
    settings=AGENTS,
    forms=[
        Form("probability", equal(q.right_direction, q.all_willing)),
        Form("signal against noise", equal((1 - q.all_willing) * q.first_estimate_mean_square, q.all_willing * q.first_estimate_variance)),
    ],
    negative_controls=[
        Control(
            "one half for each agent",
            q.right_direction >= Integer(1) / 2 ** (q.agents - 1),
            because="all must act for any of them to learn, which N fair coins do with probability 2^-N",
        ),
        Control(
            "with a baseline",
            equal(q.right_direction_baseline, q.all_willing),
            because="with the mean reward as baseline a failure teaches too: of two fair coins both profiles in which they agree point the right way",
        ),
    ],
    instances=COINS,
    kind="equal",
    departs="Up to eight agents; parameters are the probabilities themselves",
)

ITEMS = bandits(policy="interior", mu="any", max_actions=3, min_actions=3).replace(
    extras={"set_rewards": Extra((3,), low=-2, high=2, meaning="reward of the two items other than each")}
)
HALVES = _two_arms("shares .5, .3, .2", [0, 0, 0], policy=[["1/2", "3/10", "1/5"]], extras={"set_rewards": ["1/2", "1/5", 1]})

without_replacement = Claim(
    id="score-constant-without-replacement-bias",
    title="Items drawn without being put back: the score must forget what is gone",
    source=Source(
        "bandara2023adamae", where="Section 3 sums logarithms of the first draw's probabilities, as recalled; bias derived here", version="CVPR 2023"
    ),
    domain=ITEMS,
    forms=[
        Form("renormalised score", equal(q.renormalised_score_mean, q.set_derivative)),
        Form("plain score of a constant", equal(q.plain_score_alone, q.inclusion_excess)),
        Form("with replacement", equal(q.replaced_score_mean, q.set_derivative_replaced)),
    ],
    negative_controls=[
        Control(
            "plain score",
            equal(q.plain_score_mean, q.set_derivative),
            because="an item is drawn less often than twice its share if its share is large, so that a constant reward already moves the logits",
        ),
    ],
    instances=(HALVES, "arms([1, 1/2, 0])", "arms([0, 1, 1])"),
    kind="equal",
    departs="Three items, two drawn",
)
