"""What a sampled gradient is on average and how far it strays: baselines, critics, importance weights, exactly.

Derivation: docs/theory/sampled_gradients.md
"""

from sympy import exp, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, bandits, random_mdps
from proofs_check.instances import SMALL
from proofs_check.statement import equal

ARMS = ("arms([1, 0])", "arms([1, 9/10])", "arms([1, 1/2, 0])")
ANY_BANDIT = bandits(policy="any", mu="any", rewards=None, max_actions=4)
WITH_BASELINE = ANY_BANDIT.replace(extras={"baseline": Extra((), low=-3, high=3, meaning="the baseline")}.items())
TWO_ARMS = WITH_BASELINE.replace(max_actions=2)
THREE = by_hand("three arms, probabilities .6 .3 .1", "arms([1, 1/2, 0])", policy=[["3/5", "3/10", "1/10"]], extras={"baseline": "19/36"})
NINE_TENTHS = by_hand("two arms, the better one nine times in ten", "arms([1, 0])", policy=[["9/10", "1/10"]], extras={"baseline": 0})
FAIR = by_hand("two arms, equally likely", "arms([1, 0])", policy=[["1/2", "1/2"]], extras={"baseline": "1/2"})

scalar_baseline = Claim(
    id="optimal-scalar-baseline",
    title="The variance of a one-sample gradient is a parabola in the baseline; the value is not its lowest point",
    source=Source("greensmith2004variance", where="Theorem 8 for one step; form and constants derived: docs", version="JMLR 5"),
    domain=WITH_BASELINE,
    forms=[
        Form("parabola", equal(q.estimate_variance, q.best_baseline_variance + q.score_size * (q.baseline - q.best_baseline) ** 2)),
        Form("never below", q.best_baseline_variance <= q.estimate_variance),
        Form(
            "two arms: each reward with the other's probability",
            equal(q.best_baseline, q.other_arms_reward),
            domain=TWO_ARMS.replace(policy="interior"),
            where=((1, q.A), (q.A, 3)),
        ),
        Form("two arms: no variance is left", q.best_baseline_variance <= 0, domain=TWO_ARMS, where=((q.A, 3),)),
        Form(
            "the value beats no baseline below twice the best one",
            q.value_variance <= q.bare_variance,
            domain=WITH_BASELINE.replace(rewards=(0, 1)),
            where=((0, q.value_now), (q.value_now, 2 * q.best_baseline)),
        ),
    ],
    negative_controls=[
        Control(
            "the value as the lowest point",
            q.value_variance <= q.estimate_variance,
            because="the arm's own score weighs its reward: b* = 19/36 and not 3/4 where pi = (.6, .3, .1)",
        ),
        Control(
            "a value baseline never hurts",
            q.value_variance <= q.bare_variance,
            because="with pi = (9/10, 1/10) and r = (1, 0) the value 9/10 is far from b* = 1/10, and the variance is 64 times larger",
        ),
        Control(
            "a value baseline never helps",
            q.bare_variance <= q.value_variance,
            because="where both arms are equally likely the value is the best baseline",
        ),
        Control(
            "three arms: each reward with the complement's probability",
            equal(q.best_baseline, q.other_arms_reward),
            where=((2, q.A),),
            because="the squared score of an arm is 1 - 2 pi_a + |pi|^2, which only for two arms is twice the other's squared probability",
        ),
    ],
    instances=(THREE, NINE_TENTHS, FAIR, *ARMS),
    departs="one step, rewards certain given the arm; with parameters shared between visits of a state the lowest point is another (docs)",
)

BY_ARM = ANY_BANDIT.replace(extras={"arm_baseline": Extra(("A",), low=-3, high=3, meaning="a baseline of the arm")}.items())
ITSELF = by_hand("the reward as its own baseline", "arms([1, 0])", policy=[["1/2", "1/2"]], extras={"arm_baseline": [1, 0]})

action_baseline = Claim(
    id="action-dependent-baseline-bias",
    title="A baseline that looks at the action takes its own gradient away",
    source=Source("tucker2018mirage", where="Section 3; exact bias derived: docs", version="ICML 2018"),
    domain=BY_ARM,
    forms=[
        Form("mean", equal(q.action_baseline_mean, q.action_baseline_closed)),
        Form("corrected", equal(q.corrected_mean, q.bandit_gradient)),
    ],
    negative_controls=[
        Control(
            "unbiased",
            equal(q.action_baseline_mean, q.bandit_gradient),
            because="with the reward as its own baseline the estimate is 0 whatever is drawn, and the gradient is (1/4, -1/4)",
        ),
    ],
    instances=(ITSELF, *ARMS),
)

PAIRED = bandits(policy="any", mu="any", rewards=None, max_actions=3).replace(
    extras={
        "joint": Extra(("A", 3), low=-2, high=2, meaning="values of the joint action"),
        "partner": Extra((3,), "distribution", meaning="the partner's policy"),
    }.items()
)
MATCHING = by_hand(
    "matching pennies against a fair partner",
    "arms([1, 0])",
    policy=[["1/2", "1/2"]],
    extras={"joint": [[1, 0, 0], [0, 1, 0]], "partner": ["1/2", "1/2", 0]},
)

central_critic = Claim(
    id="centralised-critic-variance",
    title="A critic of the joint action adds the partner's noise to an agent's gradient",
    source=Source("lyu2021contrasting", where="Theorem 2; exact difference derived: docs", version="AAMAS 2021"),
    domain=PAIRED,
    forms=[
        Form("difference", equal(q.joint_critic_variance, q.own_critic_variance + q.partner_noise)),
        Form("never less", q.own_critic_variance <= q.joint_critic_variance),
    ],
    negative_controls=[
        Control(
            "the joint critic is better",
            q.joint_critic_variance <= q.own_critic_variance,
            because="averaging over the partner is a conditional expectation, which never raises a variance",
        ),
        Control(
            "the same variance",
            equal(q.joint_critic_variance, q.own_critic_variance),
            because="a partner that plays at random moves the joint value and not its average",
        ),
    ],
    instances=(MATCHING, *ARMS),
)

SHIFTED = bandits(policy="interior", mu="any", max_actions=4).replace(
    extras={"shift": Extra(("A",), low=-3, high=3, meaning="shift of the logits")}.items()
)
ONE_APART = by_hand("equal arms, logits one apart", "arms([1, 0])", policy=[["1/2", "1/2"]], extras={"shift": [0, 1]})

weight_moment = Claim(
    id="softmax-weight-variance",
    title="Importance weights between two softmax policies: their second moment from the span of the logits' difference",
    source=Source("papini2018stochastic", where="Lemma 3.1 assumes the weights' variance bounded; the bound derived: docs", version="ICML 2018"),
    domain=SHIFTED,
    forms=[
        Form("hyperbolic", q.weight_moment <= ((exp(q.shift_span / 2) + exp(-q.shift_span / 2)) / 2) ** 2),
        Form("Gaussian", q.weight_moment <= exp(q.shift_span**2 / 4)),
    ],
    negative_controls=[
        Control(
            "half the exponent",
            q.weight_moment <= exp(q.shift_span**2 / 8),
            because="two factors, E e^d and E e^-d, each take span^2/8 of Hoeffding's lemma",
        ),
        Control(
            "the mean weight",
            q.weight_moment <= 1,
            because="only the mean of the weight is 1",
        ),
    ],
    instances=(ONE_APART, *ARMS),
)

CHAINS = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=2)
LAZY = by_hand(
    "two states that stay with .99, discount .99",
    transitions=[[["99/100", "1/100"]], [["1/100", "99/100"]]],
    rewards=[[1], [0]],
    discount="99/100",
)

noise_sum = Claim(
    id="total-variance",
    title="The standard deviations of the next value add up to (1 - gamma)^(-3/2), not to (1 - gamma)^-2",
    source=Source("azar2013minimax", where="Lemma 8; the constant derived: docs", version="Machine Learning 91"),
    domain=CHAINS,
    forms=[
        Form("derived", q.value_noise_sum <= sqrt(1 / (4 * (1 - q.gamma) ** 3))),
        Form("printed", q.value_noise_sum <= sqrt(2 / (1 - q.gamma) ** 3)),
    ],
    negative_controls=[
        Control(
            "a whole power less",
            q.value_noise_sum <= sqrt(1 / (4 * (1 - q.gamma) ** 2)),
            because="a chain that leaves its state once in 1/(1 - gamma) steps has a next value that strays all the time",
        ),
    ],
    instances=(LAZY, *SMALL),
    departs="derived has 1/4 for 2: discounted once a step, not twice, the variances still sum to a quarter of the squared range of the return",
)

LAWS = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=1).replace(
    extras={
        "offline_law": Extra(("S",), "interior", meaning="law of the offline data"),
        "own_law": Extra(("S",), "distribution", meaning="law of the present policy's data"),
        "comparator_law": Extra(("S",), "distribution", meaning="law of the comparator"),
        "fit_error": Extra(("S",), low=-2, high=2, meaning="error of the fit"),
    }.items()
)
ELSEWHERE = by_hand(
    "offline data almost all in the other state",
    transitions=[[[1, 0]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="1/2",
    extras={"offline_law": ["999/1000", "1/1000"], "own_law": [0, 1], "comparator_law": [1, 0], "fit_error": [0, 1]},
)
UNKNOWN = by_hand(
    "a comparator in the state that the data hardly know",
    transitions=[[[1, 0]], [[0, 1]]],
    rewards=[[0], [0]],
    discount="1/2",
    extras={"offline_law": ["999/1000", "1/1000"], "own_law": [1, 0], "comparator_law": [0, 1], "fit_error": [0, 1]},
)

hybrid = Claim(
    id="hybrid-error-transfer",
    title="A fit to half offline, half own data: its error under the policy needs no coverage, under the comparator it does",
    source=Source("zhou2024offline", where="the two guarantees of one fit; constants derived: docs", version="ICLR 2024"),
    domain=LAWS,
    forms=[
        Form("present policy", q.policy_error <= sqrt(2 * q.hybrid_loss)),
        Form("comparator", q.comparator_error <= sqrt(2 * q.offline_coverage * q.hybrid_loss)),
    ],
    negative_controls=[
        Control(
            "offline data alone",
            q.policy_error <= sqrt(2 * q.offline_loss),
            because="what the policy visits the offline data may hardly know",
        ),
        Control(
            "comparator without coverage",
            q.comparator_error <= sqrt(2 * q.hybrid_loss),
            because="the comparator visits what neither the offline data nor the policy knows",
        ),
    ],
    instances=(ELSEWHERE, UNKNOWN, *SMALL),
)
