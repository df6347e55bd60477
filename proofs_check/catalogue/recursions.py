"""Estimates that remember, functions of estimated means, and backups weighed by values.  Derivation: docs/theory/recursions.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.statement import equal

# Gradient estimates that remember

REMEMBERED = {"last_error": Extra(("S", "A"), low=-2, high=2, meaning="error of the estimate before")}
PATHS = random_mdps(policy="interior", other="any", mu="any", rho="mu", rewards=(-1, 1), max_states=2, max_actions=2).replace(extras=REMEMBERED)
STEPS = {q.H: (1, 2), q.refresh: Between(Rational(1, 100), 1)}
KEEP = 1 - q.refresh


def _two_arms(name, other, error=("0", "0"), refresh="1/2", policy=("1/2", "1/2"), rewards=(1, 0), stages=1):
    return by_hand(
        name,
        transitions=[[[1], [1]]],
        rewards=[list(rewards)],
        discount=0,
        policy=[list(policy)],
        other=[list(other)],
        settings={"H": stages, "refresh": refresh},
        extras={"last_error": [list(error)]},
    )


SURE_BEFORE = _two_arms("a policy that was sure before", (1, 0))
ALIKE = _two_arms("two arms that pay alike, a policy that was sure before", (1, 0), rewards=(1, 1))
LEANT_BEFORE = _two_arms("a policy that leant to the better arm", ("22/25", "3/25"))
UNMOVED = _two_arms("no step, nothing new", ("1/2", "1/2"), error=(1, -1), refresh="1/100")
PAID_TENFOLD = _two_arms("rewards of 10", ("22/25", "3/25"), rewards=(10, -10))
TURNED = by_hand(
    "two states, two steps, a policy turned around",
    transitions=[[["4/5", "1/5"], ["1/10", "9/10"]], [["1/2", "1/2"], ["3/10", "7/10"]]],
    rewards=[[1, 0], ["1/5", "3/5"]],
    discount="1/2",
    mu=[1, 0],
    policy=[["3/4", "1/4"], ["1/4", "3/4"]],
    other=[["1/4", "3/4"], ["3/4", "1/4"]],
    settings={"H": 2, "refresh": "1/2"},
    extras={"last_error": [[1, -1], [0, 0]]},
)
SQUARES = KEEP**2 * q.old_error_square + 2 * q.refresh**2 * q.fresh_path_variance
BETWEEN_POLICIES = 4 * q.return_sum**2 * ((q.weight_cosh - 1) / 4 + q.weight_cosh**q.H - 1)

momentum = Claim(
    id="momentum-variance-reduction-recursion",
    title="A gradient estimate that remembers, reweighted to the new policy: its error fades by 1 - beta and takes up the step's square",
    source=Source("barakat2023reinforcement", where="the recursion of N-VR-PG (STORM), as recalled; one step derived here", version="ICML 2023"),
    domain=PATHS,
    settings=STEPS,
    forms=[
        Form("mean", equal(q.running_error_mean, q.kept_error)),
        Form("size", q.running_error_square <= SQUARES + 2 * KEEP**2 * q.corrected_difference_square),
        Form("difference", q.corrected_difference_square <= BETWEEN_POLICIES, domain=PATHS.replace(other="interior")),
        Form("closed", q.running_error_square <= SQUARES + 2 * KEEP**2 * BETWEEN_POLICIES, domain=PATHS.replace(other="interior")),
    ],
    negative_controls=[
        Control(
            "without importance weights",
            equal(q.running_error_mean_unweighted, q.kept_error),
            because="paths of the new policy do not estimate the old policy's gradient",
        ),
        Control(
            "the two noises added once",
            q.running_error_square <= KEEP**2 * q.old_error_square + q.refresh**2 * q.fresh_path_variance + KEEP**2 * q.corrected_difference_square,
            because="both come from the same path: where the old gradient was sure they are equal, and (1/2 + 1/2)^2 is not 1/4 + 1/4",
        ),
        Control(
            "the difference without the weights' variance",
            q.corrected_difference_square <= q.return_sum**2 * (q.weight_cosh - 1),
            domain=PATHS.replace(other="interior"),
            because="at a constant reward the scores differ by no more than this, but the weights differ from 1 as well",
        ),
    ],
    uses=["reinforce-gpomdp-unbiased", "softmax-weight-variance"],
    instances=(SURE_BEFORE, ALIKE, LEANT_BEFORE, UNMOVED, TURNED, PAID_TENFOLD),
    departs="Paths of one or two steps; the bound on the difference by the policies' own distance derived here, with no assumption on the weights",
)

# Functions of estimated means

PAID_TWICE = bandits(policy="any", mu="any", max_actions=3).replace(
    extras={
        "second_pay": Extra(("S", "A"), meaning="the second reward"),
        "target": Extra((2,), low=-1, high=1, meaning="c, where |J - c| is to be small"),
    }
)
DRAWS = {q.samples: (1, 2, 4)}


def _pays(name, policy, first, second, samples, target=("1/2", "1/2")):
    return by_hand(
        name,
        transitions=[[[1]] * len(first)],
        rewards=[first],
        discount=0,
        policy=[policy],
        settings={"samples": samples},
        extras={"second_pay": [second], "target": list(target)},
    )


THREE = _pays("three arms, two rewards", ["1/2", "3/10", "1/5"], [1, 0, "1/2"], [0, 1, "1/5"], 1)
EVEN = _pays("two arms that pay each its own reward", ["1/2", "1/2"], [1, 0], [0, 1], 2)
ONE_PAY = _pays("one reward is nothing", ["1/2", "1/2"], [1, 0], [0, 0], 4)

plug_in = Claim(
    id="scalarised-plug-in-bias",
    title="Gradients of a function of several estimated means: what the same batch costs, what another mends, and how fast the rest falls",
    source=Source("bai2022joint", where="gradients of functions of estimated values, as recalled; the exact forms derived here", version="JAIR 74"),
    domain=PAID_TWICE,
    settings=DRAWS,
    forms=[
        Form("same batch, quadratic", equal(q.same_batch_gradient, q.distance_gradient - 2 * q.reward_score_covariance / q.samples)),
        Form("other batch, quadratic", equal(q.other_batch_gradient, q.distance_gradient)),
        Form("same batch", q.same_batch_bias_square <= 4 * q.pay_variance * q.mean_gradient_square / q.samples),
        Form("other batch", q.other_batch_bias_square <= 9 * q.spread_times_gradient**2 / q.samples**2),
    ],
    negative_controls=[
        Control(
            "the same batch without bias",
            equal(q.same_batch_gradient, q.distance_gradient),
            because="a draw that raises the mean lowers the slope with which its own score is weighed",
        ),
        Control(
            "another batch without bias, whatever the function",
            q.other_batch_bias_square <= 0,
            because="1/(1 + x)^2 is convex: its mean is above its value at the mean, whatever the second batch is",
        ),
        Control(
            "the bias of the same batch counted once",
            equal(q.same_batch_gradient, q.distance_gradient - q.reward_score_covariance / q.samples),
            because="the second derivative of a square is 2",
        ),
    ],
    instances=(THREE, EVEN, ONE_PAY),
    departs="Two rewards and one step; slopes of -1/(1 + x) stand for functions with second derivatives up to 2 and third ones up to 6",
)

# Backups weighed by values

AHEAD = ALONE.replace(
    extras={
        "next_law": Extra((5,), "distribution", meaning="law of the next state before it is reweighted"),
        "next_values": Extra((5,), low=Rational(1, 20), high=1, meaning="values of the next states"),
    }
)
BOTH = AHEAD.replace(
    extras=dict(AHEAD.extras) | {"other_values": Extra((5,), low=Rational(1, 20), high=1, meaning="other values of the next states")}
)
LARGEST = (1 + q.value_ratio**2) ** 2 / (4 * q.value_ratio * (1 - q.value_ratio**2))
JOINT = (1 + q.joint_value_ratio**2) ** 2 / (4 * q.joint_value_ratio * (1 - q.joint_value_ratio**2))
NOT_ALL_ALIKE, NOT_BOTH_ALIKE = (q.value_ratio, 1), (q.joint_value_ratio, 1)
EIGHTH = alone(
    "one large value in eight",
    {
        "next_law": ["1/8", "7/8", 0, 0, 0],
        "next_values": [1, "1/10", "1/10", "1/10", "1/10"],
        "other_values": ["49/50", "3/25", "3/25", "3/25", "3/25"],
    },
)
ATTAINED = alone(
    "one third of the values, in the worst share",
    {"next_law": ["7/10", "3/10", 0, 0, 0], "next_values": [1, "1/3", "1/3", "1/3", "1/3"], "other_values": ["99/100", *["103/300"] * 4]},
)
BARELY = alone(
    "values 1 and 2/5, nearly all of them large",
    {"next_law": ["377/400", "23/400", 0, 0, 0], "next_values": [1, *["2/5"] * 4], "other_values": ["9999/10000", *["4001/10000"] * 4]},
)
LEVEL = alone("all values alike", {"next_law": ["1/5"] * 5, "next_values": [1] * 5, "other_values": ["1/2"] * 5})

deviation = Claim(
    id="value-deviation-contraction",
    title="Next states weighed by their values: the backup's Lipschitz constant in closed form, and from which ratio of values on it is 1",
    source=Source("jiang2023offline", where="value deviation, gamma < rho/2 as recalled; the constant derived here", version="ECAI 2023"),
    domain=AHEAD,
    forms=[
        Form("slope", q.backup_slope <= LARGEST, where=(NOT_ALL_ALIKE,)),
        Form("slope, values within sqrt 2 - 1", q.backup_slope <= 1, where=((1, q.value_ratio * (q.value_ratio + 2)),)),
        Form("two vectors", q.backup_distance <= JOINT * q.next_value_distance, domain=BOTH, where=(NOT_BOTH_ALIKE,)),
        Form(
            "two vectors, values within sqrt 2 - 1",
            q.backup_distance <= q.next_value_distance,
            domain=BOTH,
            where=((1, q.joint_value_ratio * (q.joint_value_ratio + 2)),),
        ),
        Form("a discount below the ratio is enough", q.value_ratio * q.backup_slope <= 1),
    ],
    negative_controls=[
        Control(
            "a contraction for every discount",
            q.backup_distance <= q.next_value_distance,
            domain=BOTH,
            because="a large value that falls loses weight as well: eight states, one of them with ten times the value: 2.3 times the distance",
        ),
        Control(
            "half of the constant",
            2 * q.backup_slope <= LARGEST,
            where=(NOT_ALL_ALIKE,),
            because="one large and one small value in the share that the proof finds attain it",
        ),
        Control(
            "slope 1 from a third on",
            q.backup_slope <= 1,
            where=((Rational(1, 3), q.value_ratio * Rational(1001, 1000)),),
            because="values 1 and 1/3, the first in seven of ten: 25/24",
        ),
    ],
    instances=(EIGHTH, ATTAINED, BARELY, LEVEL),
    departs="The printed condition gamma < rho/2 is enough; so are gamma < rho, gamma < 1/L(rho), and every gamma < 1 where rho >= sqrt 2 - 1",
)
