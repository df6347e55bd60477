"""Soft, interpolated and mapped Bellman operators, soft policy iteration.  Derivation: docs/theory/operators.md"""

from sympy import Rational, log, sqrt

from pgtheory.policy_gradient import SoftPolicyIteration
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.instances import SMALL
from proofs_check.statement import equal

CEN, CEN_VERSION = "cen2022fast", "arXiv:2007.06558v5"
WARM = {q.tau: Between(Rational(1, 50), 2)}
SOFT = random_mdps(policy="interior", mu="any", rho="mu", max_states=3, max_actions=3, max_discount=Rational(19, 20), rewards=None)

soft_iteration = Claim(
    id="soft-policy-iteration-quadratic",
    title="Soft policy iteration contracts by gamma, and squares its error in the end",
    source=Source(CEN, where="Theorem 3 (local), as recalled; global constant derived", version=CEN_VERSION),
    domain=SOFT,
    process=SoftPolicyIteration(temperature=q.tau),
    settings=WARM,
    horizon=3,
    forms=[
        Form("linear", q.next_soft_gap_sup <= q.gamma * q.soft_gap_sup),
        Form("quadratic", q.next_soft_gap_sup <= q.gamma**2 / (8 * q.tau * (1 - q.gamma)) * q.soft_gap_sup**2),
        Form("action values rise", q.next_soft_action_values >= q.soft_action_values),
    ],
    negative_controls=[
        Control(
            "values without entropy rise",
            q.next_state_values >= q.state_values,
            because="a good deterministic policy is given up for entropy, which the plain value does not count",
        ),
        Control(
            "gamma squared",
            q.next_soft_gap_sup <= q.gamma**2 * q.soft_gap_sup,
            instances=("domino(3, 9/10)", "domino(8, 9/10)"),
            settings={q.tau: Between(Rational(1, 1000), 2)},
            because="from far away one step looks one step ahead, as any policy iteration does",
        ),
        Control(
            "constant divided by 4",
            q.next_soft_gap_sup <= q.gamma**2 / (32 * q.tau * (1 - q.gamma)) * q.soft_gap_sup**2,
            because="two equally likely actions: the divergence of Gibbs policies is the squared range of their exponents over 8",
        ),
    ],
    uses=["soft-bellman-facts"],
    instances=SMALL[:3] + ("chain(1, 9/10)",),
)

PAIR = {
    "first": Extra(("S", "A"), low=-3, high=3, meaning="action values Q"),
    "second": Extra(("S", "A"), low=-3, high=3, meaning="action values Q'"),
}

soft_facts = Claim(
    id="soft-bellman-facts",
    title="The entropy-regularised problem: contraction, values from one action, regret as divergence, bias",
    source=Source("haarnoja2018soft", where="Lemmas 1 and 2, Theorem 1; Geist, Scherrer, Pietquin (2019)", version="arXiv:1801.01290v2"),
    domain=SOFT.replace(rewards=(0, 1)),
    settings=WARM,
    forms=[
        Form("contraction", q.soft_backup_difference <= q.gamma * q.pair_vector_difference, domain=SOFT.replace(extras=PAIR)),
        Form("value from any one action", equal(q.soft_value_of_each_action, q.soft_optimal_values), domain=SOFT),
        Form("regret is divergence", equal((1 - q.gamma) * q.soft_gap_mu, q.tau * q.soft_divergence), domain=SOFT),
        Form("no less than without entropy", q.soft_optimal_state_values >= q.hard_optimal_state_values),
        Form("bias", q.soft_bias <= q.tau * log(q.A) / (1 - q.gamma)),
        Form("loss of the soft-optimal policy", q.soft_optimal_policy_gap <= q.tau * log(q.A) / (1 - q.gamma)),
    ],
    negative_controls=[
        Control(
            "bias without horizon",
            q.soft_bias <= q.tau * log(q.A),
            because="with equal rewards everywhere the entropy bonus tau log A is paid in every step",
        ),
        Control(
            "divergence the other way round",
            equal((1 - q.gamma) * q.soft_gap_mu, q.tau * q.soft_divergence_back),
            domain=SOFT,
            because="the regret is the divergence of the policy from the optimum, not of the optimum from the policy",
        ),
        Control(
            "contraction by gamma squared",
            q.soft_backup_difference <= q.gamma**2 * q.pair_vector_difference,
            domain=SOFT.replace(extras=PAIR),
            because="vectors that differ by a constant stay so, times gamma",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL[:3] + ("arms([1/2])", "arms([0, 1, 1])"),
    kind="equal",
)

SHARED = {**PAIR, "share": Extra((), low=0, high=1, meaning="weight k of the best action")}
BETWEEN = random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=3, rewards=None, extras=SHARED)

interpolated = Claim(
    id="interpolated-bellman-operator",
    title="Between evaluation and control: contraction, order, distance, bias",
    source=Source("omura2025gradual", where="the operator; facts derived here", version="arXiv:2506.05968"),
    domain=BETWEEN,
    forms=[
        Form("contraction", q.interpolated_difference <= q.gamma * q.pair_vector_difference),
        Form("above evaluation", q.interpolated_values >= q.action_values),
        Form("below control", q.interpolated_values <= q.optimal_action_values),
        Form("rises with the weight", q.interpolated_values_more >= q.interpolated_values),
        Form("distance", q.interpolated_distance <= q.share * q.gamma / (1 - q.gamma) * q.best_over_mean),
        Form("bias is linear in the weight", equal(q.target_bias, q.share * q.target_bias_of_max)),
        Form("bias is not negative", q.target_bias >= 0),
    ],
    negative_controls=[
        Control(
            "the fixed point interpolates",
            equal(q.interpolated_values, q.mixed_action_values),
            because="what is chosen later counts once for every step in between: the fixed point is convex in k, not linear",
        ),
        Control(
            "distance without horizon",
            q.interpolated_distance <= q.share * q.gamma * q.best_over_mean,
            because="the better action is taken in every step, not once",
        ),
        Control(
            "contraction by k gamma",
            q.interpolated_difference <= q.share * q.gamma * q.pair_vector_difference,
            because="the policy's part of the operator passes differences on as well",
        ),
    ],
    uses=["bellman-contraction"],
    instances=SMALL[:4] + ("chain(1, 9/10)",),
    kind="equal",
)

RATES = {q.reward_rate: Between(Rational(1, 10), 1), q.map_rate: Between(Rational(1, 10), 1)}
HEIGHT = {"height": Extra(("S", "A"), low=0, high=1, meaning="where the start values lie in their interval, as a share")}
BOXED = random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, extras=HEIGHT, max_discount=Rational(19, 20))
CHANNELS = {
    "channel_rewards": Extra((2, "S", "A"), low=-1, high=1, meaning="rewards of two channels"),
    "weights": Extra((2,), low=-1, high=1, meaning="weights of the channels"),
}
STEP = q.map_rate * q.reward_rate * (1 - q.gamma)

orchestrated = Claim(
    id="orchestrated-mapping-rate",
    title="Value iteration on mapped values contracts by the ratio of the mapping's slopes",
    source=Source("fatemi2022orchestrated", where="the update; expected version with its rate derived", version="arXiv:2203.07171"),
    domain=BOXED,
    settings=RATES,
    forms=[
        Form("logarithm", q.mapped_gap_log <= (1 - q.box_ratio * STEP) * q.mapped_gap_0),
        Form("square", q.mapped_gap_square <= (1 - q.box_ratio * STEP) * q.mapped_gap_0),
        Form("square root", q.mapped_gap_root <= (1 - sqrt(q.box_ratio) * STEP) * q.mapped_gap_0),
        Form(
            "channels",
            equal(q.channel_sums, q.summed_iteration),
            domain=random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, extras=CHANNELS, max_discount=Rational(19, 20)),
            settings={},
        ),
    ],
    negative_controls=[
        Control(
            "ratio of slopes dropped",
            q.mapped_gap_log <= (1 - STEP) * q.mapped_gap_0,
            because="a step from a low value in the logarithm is a step by a factor, and stays low",
        ),
        Control(
            "each channel greedy for itself",
            equal(q.channelwise_iteration, q.summed_iteration),
            domain=random_mdps(policy="uniform", mu="any", rho="mu", max_states=3, extras=CHANNELS, max_discount=Rational(19, 20)),
            settings={},
            because="channels that choose for themselves add up to more than any one choice can bring",
        ),
    ],
    uses=["bellman-contraction"],
    instances=SMALL[:4] + ("arms([1, 0])",),
)
