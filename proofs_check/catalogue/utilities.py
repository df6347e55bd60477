"""Concave utilities of the occupancy: gradients, domination, Frank and Wolfe's method, normalised steps.  Derivation: docs/theory/utilities.md"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.instances import MANY
from proofs_check.statement import equal

MODELS = ("loop(1/2)", "chain(1, 9/10)", "arms([1, 0])", "arms([1])")
UTILITY = {
    "target": Extra(("S", "A"), low=-1, high=2, meaning="where the quadratic is centred"),
    "bend": Extra((), low=0, high=2, meaning="curvature of the utility"),
}
ANYWHERE = random_mdps(policy="any", rho="mu", max_states=3, max_actions=3)
QUADRATIC = ANYWHERE.replace(extras=UTILITY)
LOGARITHMIC = random_mdps(policy="interior", rho="mu", max_states=3, max_actions=3)
PRODUCT = ANYWHERE.replace(extras={"second_rewards": Extra(("S", "A"), meaning="the second objective's rewards")})
IMITATION = by_hand(
    "imitating the first arm from equal shares",
    transitions=[[[1], [1]]],
    rewards=[[0, 0]],
    discount=0,
    extras={"target": [[1, 0]], "bend": 1, "shift_of_all": 1, "other_reward": [[0, 1]], "second_rewards": [[1, 0]]},
)
PATIENT = by_hand(
    "stay or leave for good, discount 1/2",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[1, 0], [0, 0]],
    discount="1/2",
    mu=["3/4", "1/4"],
    extras={
        **{"target": [["1/2", "1/4"], [0, "1/4"]], "bend": 1, "shift_of_all": -1},
        **{"other_reward": [[1, 0], [0, 1]], "second_rewards": [[0, 0], [0, 1]]},
    },
)

utility_gradient = Claim(
    id="general-utility-policy-gradient",
    title="The gradient of a utility of the occupancy is a policy gradient with the reward frozen at the utility's slope",
    source=Source("zhang2020variational", where="Theorem 3.1, as recalled; derived here", version="NeurIPS 2020"),
    domain=QUADRATIC,
    forms=[
        Form(
            "any frozen reward",
            equal(q.frozen_reward_derivative, q.frozen_reward_gradient),
            domain=ANYWHERE.replace(extras={"other_reward": Extra(("S", "A"), low=-3, high=3, meaning="any reward")}),
            symbolic=((1, 2), (2, 1), (2, 2)),
        ),
        Form("quadratic, direct", equal(q.utility_derivative, q.utility_gradient), symbolic=((1, 2), (2, 1))),
        Form("quadratic, softmax", equal(q.utility_softmax_derivative, q.utility_softmax_gradient), symbolic=((1, 2), (2, 1))),
        Form("entropy", equal(q.entropy_utility_derivative, q.entropy_utility_gradient), domain=LOGARITHMIC),
        Form("product", equal(q.product_utility_derivative, q.product_utility_gradient), domain=PRODUCT, symbolic=((1, 2),)),
        Form(
            "a constant added",
            equal(q.utility_softmax_derivative, q.utility_shifted_gradient),
            domain=QUADRATIC.replace(extras=UTILITY | {"shift_of_all": Extra((), low=-3, high=3, meaning="added to every reward")}),
        ),
        Form(
            "conjugate",
            q.utility <= q.utility_tangent,
            domain=ANYWHERE.replace(
                extras=UTILITY
                | {
                    "bend": Extra((), low=Rational(1, 10), high=2, meaning="curvature of the utility"),
                    "other_reward": Extra(("S", "A"), low=-3, high=3, meaning="any reward"),
                }
            ),
        ),
        Form(
            "conjugate attained",
            equal(q.utility, q.utility_best_tangent),
            domain=ANYWHERE.replace(extras=UTILITY | {"bend": Extra((), low=Rational(1, 10), high=2, meaning="curvature of the utility")}),
        ),
        Form(
            "conjugate of the entropy",
            q.entropy_utility <= q.entropy_tangent,
            domain=LOGARITHMIC.replace(extras={"other_reward": Extra(("S", "A"), low=-3, high=3, meaning="any reward")}),
        ),
    ],
    negative_controls=[
        Control(
            "the summand as the reward",
            equal(q.utility_softmax_derivative, q.utility_summand_gradient),
            because="half-way between two arms both have the same squared distance from (1, 0), and the first arm is nevertheless better",
        ),
        Control(
            "the entropy's summand as the reward",
            equal(q.entropy_utility_derivative, q.entropy_summand_gradient),
            domain=LOGARITHMIC,
            because="the slope of -x log x is -log x - 1, and only the 1 may be left out",
        ),
        Control(
            "visits not normalised",
            equal(q.utility_softmax_derivative, q.utility_softmax_gradient / (1 - q.gamma)),
            because="a utility of the normalised occupancy takes the factor 1 - gamma back that the value's gradient divides by",
        ),
        Control(
            "any reward attains the conjugate",
            equal(q.entropy_utility, q.entropy_tangent),
            domain=LOGARITHMIC.replace(extras={"other_reward": Extra(("S", "A"), low=-3, high=3, meaning="any reward")}),
            because="the bound is the divergence from the law e^-z / Z above the entropy, which is 0 only there",
        ),
    ],
    instances=(IMITATION, PATIENT, *MODELS),
    kind="equal",
)

TWO = ANYWHERE.replace(extras=UTILITY, other="any")
TWO_LOGARITHMIC = LOGARITHMIC.replace(other="any", max_states=2)
CONVEX = TWO.replace(extras=UTILITY | {"bend": Extra((), low=-2, high=0, meaning="curvature of the utility")}, mu="any")
AT_REST = by_hand(
    "two arms equally likely, the square of the occupancy",
    transitions=[[[1], [1]]],
    rewards=[[0, 0]],
    discount=0,
    other=[[1, 0]],
    extras={"target": [[0, 0]], "bend": -2},
)
RARELY_THERE = by_hand(
    "the reward is where the policy hardly goes",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[0, 0], [1, 0]],
    discount="9/10",
    mu=["99/100", "1/100"],
    policy=[["99/100", "1/100"], ["1/10", "9/10"]],
    other=[[0, 1], [1, 0]],
    extras={"target": [[0, 0], [0, 0]], "bend": 0},
)
LINEAR = by_hand(
    "two arms, a linear utility",
    transitions=[[[1], [1]]],
    rewards=[[1, 0]],
    discount=0,
    policy=[["1/2", "1/2"]],
    other=[[1, 0]],
    extras={"target": [[0, 0]], "bend": 0},
)

utility_domination = Claim(
    id="general-utility-gradient-domination",
    title="A concave utility has no spurious stationary policies: what the gradient promises dominates the gap",
    source=Source("zhang2020variational", where="Theorem 4.2 (hidden concavity), as recalled; the constant derived here", version="NeurIPS 2020"),
    domain=TWO,
    forms=[
        Form("quadratic", q.utility_difference <= q.other_visit_ratio * q.utility_promise),
        Form("start", q.utility_difference <= q.other_visit_ratio_mu / (1 - q.gamma) * q.utility_promise),
        Form("entropy", q.entropy_utility_difference <= q.other_visit_ratio * q.entropy_utility_promise, domain=TWO_LOGARITHMIC),
    ],
    negative_controls=[
        Control(
            "convex utility",
            q.utility_difference <= q.other_visit_ratio * q.utility_promise,
            domain=CONVEX,
            because="two equally likely arms are a stationary point of the squared length, which is 1/2 there and 1 at either arm",
        ),
        Control(
            "mismatch dropped",
            q.utility_difference <= q.utility_promise,
            because="what could be gained in a state counts in the gradient only as often as the policy goes there",
        ),
        Control(
            "concave in the policy",
            q.utility_difference <= q.utility_slope_to_other,
            because="the occupancy is no linear function of the policy: leaving one state pays only once the other is used well, and then doubly",
        ),
    ],
    instances=(LINEAR, AT_REST, RARELY_THERE, *MODELS),
    departs="For one pair of policies; F* is the case in which the second is optimal",
)

COUNTS = {q.backups: (1, 2, 3, 5, 10, 32)}
SMOOTH = {q.smoothing: Between(Rational(1, 50), 1)}
FIRST_JUMP = by_hand(
    "a target that is left at the first step",
    transitions=[[[1], [1]]],
    rewards=[[0, 0]],
    discount=0,
    policy=[[0, 1]],
    other=[[0, 1]],
    settings={"backups": 1},
    extras={"target": [[0, 1]], "bend": 1},
)
EQUAL_SHARES = by_hand(
    "equal shares of 64 arms",
    MANY[0],
    policy=[[1] + [0] * 63],
    other=[["1/64"] * 64],
    settings={"backups": 32},
    extras={"target": [["1/64"] * 64], "bend": 1},
)
STAY_OR_LEAVE = by_hand(
    "stay or leave for good",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[1, 0], [0, 0]],
    discount="1/2",
    mu=[1, 0],
    policy=[[1, 0], [1, 0]],
    other=[[0, 1], [1, 0]],
    settings={"backups": 1},
    extras={"target": [[1, 0], [0, 0]], "bend": 1},
)
NEARLY_NEVER = by_hand(
    "an arm that is hardly used",
    transitions=[[[1], [1]]],
    rewards=[[0, 0]],
    discount=0,
    policy=[["1/10000", "9999/10000"]],
    other=[["1/100", "99/100"]],
    settings={"smoothing": "1/10", "backups": 1},
)
FOUND = random_mdps(policy="any", other="any", mu="any", rho="mu", max_states=2, max_actions=3)

frank_wolfe = Claim(
    id="frank-wolfe-occupancy-rate",
    title="Frank and Wolfe over occupancies: 2LD^2/(t+2), the constants of smoothed entropies, and what mixing means",
    source=Source("jaggi2013revisiting", where="Theorem 1; for occupancies Hazan et al. (2019); derived here", version="ICML 2013"),
    domain=FOUND.replace(extras=UTILITY),
    settings=COUNTS,
    forms=[
        Form("printed", q.conditional_gradient_gap <= 2 * q.bend * q.occupancy_diameter_squared / (q.backups + 2)),
        Form("derived", q.conditional_gradient_gap <= 2 * q.bend * q.occupancy_diameter_squared / (q.backups + 3)),
        Form("diameter", q.occupancy_diameter_squared <= 2),
        Form(
            "smoothed entropy",
            q.smoothed_gap <= 4 / q.smoothing * q.occupancy_diameter_squared / (q.backups + 3),
            domain=FOUND,
            settings=COUNTS | SMOOTH,
        ),
        Form(
            "no faster",
            q.uniform_target_gap >= (1 / q.backups - 1 / q.A) / 2,
            domain=bandits(policy="any", mu="any", max_actions=6),
            instances=(EQUAL_SHARES, "arms([1, 0])", "arms([1/2])"),
        ),
        Form("constant of -d log(d + sigma)", q.smoothed_bend <= q.occupancy_apart_squared / q.smoothing, domain=FOUND, settings=SMOOTH),
        Form(
            "constant of -(d + sigma) log(d + sigma)", q.shifted_bend <= q.occupancy_apart_squared / (2 * q.smoothing), domain=FOUND, settings=SMOOTH
        ),
        Form("constant of log(d + sigma)", q.logarithm_bend <= q.occupancy_apart_squared / (2 * q.smoothing**2), domain=FOUND, settings=SMOOTH),
        Form("one policy for the mixture", equal(q.mixture_policy_occupancy, q.mixed_occupancy), domain=FOUND, settings={}),
    ],
    negative_controls=[
        Control(
            "half the constant",
            q.conditional_gradient_gap <= q.bend * q.occupancy_diameter_squared / (q.backups + 2),
            because="the first step goes all the way to a vertex, and may lose L D^2/2 by it",
        ),
        Control(
            "a square faster",
            q.uniform_target_gap <= 8 / (q.backups + 2) ** 2,
            domain=bandits(policy="any", mu="any", max_actions=6),
            instances=(EQUAL_SHARES,),
            because="after t steps at most t arms are in use, and t of 64 arms are 1/t - 1/64 away from equal shares",
        ),
        Control(
            "averaged policies",
            equal(q.averaged_policy_occupancy, q.mixed_occupancy),
            domain=FOUND,
            settings={},
            because="stay or leave, half and half: a coin at the start stays with 3/4 of the visits, a coin at every step with 2/3",
        ),
        Control(
            "half the constant of -d log(d + sigma)",
            q.smoothed_bend <= q.occupancy_apart_squared / (2 * q.smoothing),
            domain=FOUND,
            settings=SMOOTH,
            because="its second derivative at 0 is -2/sigma: the logarithm bends, and its slope is counted twice",
        ),
        Control(
            "half the constant of -(d + sigma) log(d + sigma)",
            q.shifted_bend <= q.occupancy_apart_squared / (4 * q.smoothing),
            domain=FOUND,
            settings=SMOOTH,
            because="its second derivative at 0 is -1/sigma, and two shares that are nearly 0 may change into one another",
        ),
    ],
    instances=(FIRST_JUMP, STAY_OR_LEAVE, NEARLY_NEVER, *MODELS),
    departs="derived has t + 3 for t + 2, which the first step attains; the gap is to any given policy",
)

STEP = {
    "linear": Extra((3,), low=-2, high=2, meaning="linear part of the objective"),
    "curve": Extra((3,), low=-1, high=1, meaning="second derivatives over L"),
    "point": Extra((3,), low=-2, high=2, meaning="the present parameters"),
    "guess": Extra((3,), low=-3, high=3, meaning="what is taken for the gradient"),
}
ALONE = bandits(max_actions=1, policy="uniform", mu="any")
LENGTHS = {q.smoothness: Between(Rational(1, 10), 10), q.step_length: Between(Rational(1, 100), 10)}
WRONG_WAY = by_hand(
    "a guess that points the wrong way",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"smoothness": 1, "step_length": 1},
    extras={"linear": [0, 0, 0], "curve": [-1, 0, 0], "point": [-1, 0, 0], "guess": ["-1/1000", 0, 0]},
)
LONG_GUESS = by_hand(
    "a guess three times too long",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"smoothness": 1, "step_length": 5},
    extras={"linear": [1, 0, 0], "curve": [-1, 0, 0], "point": [0, 0, 0], "guess": [3, 0, 0]},
)
EXACT_GUESS = by_hand(
    "an exact guess on a parabola that bends down",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"smoothness": 1, "step_length": "1/2"},
    extras={"linear": [1, 0, 0], "curve": [-1, 0, 0], "point": [0, 0, 0], "guess": [1, 0, 0]},
)
MEMORY = bandits(policy="interior", other="any", mu="any", rewards=None, max_actions=3).replace(
    extras={"last_error": Extra(("A",), low=-2, high=2, meaning="error of the last estimate")}
)
RENEWAL = {q.renewal: Between(Rational(1, 100), 1)}
SURE_BEFORE = by_hand(
    "a policy that was sure before",
    "arms([1, 0])",
    policy=[["1/2", "1/2"]],
    other=[[1, 0]],
    settings={"renewal": "1/2"},
    extras={"last_error": [0, 0]},
)

normalised_ascent = Claim(
    id="normalised-ascent-step",
    title="A step of fixed length along any estimate of the gradient, and an estimate that remembers",
    source=Source("barakat2023reinforcement", where="normalised policy gradient, as recalled; derived here", version="ICML 2023"),
    domain=ALONE.replace(extras=STEP),
    settings=LENGTHS,
    forms=[
        Form(
            "step",
            q.normalised_rise >= q.step_length * q.slope_norm - 2 * q.step_length * q.guess_error - q.smoothness * q.step_length**2 / 2,
            where=((0, q.guess_squared),),
        ),
        Form(
            "thirds",
            q.normalised_rise >= (q.step_length * q.slope_norm - 8 * q.step_length * q.guess_error) / 3 - q.smoothness * q.step_length**2 / 2,
            where=((0, q.guess_squared),),
        ),
        Form(
            "softmax policy",
            q.normalised_value_rise
            >= q.step_length * q.gradient_norm - 2 * q.step_length * q.offset_norm - q.step_length**2 / (4 * (1 - q.gamma) ** 2),
            domain=random_mdps(policy="interior", mu="any", rho="mu", max_states=2, max_actions=3).replace(
                extras={"offset": Extra(("S", "A"), low=Rational(-1, 50), high=Rational(1, 50), meaning="error of the gradient")}
            ),
            settings={q.step_length: Between(Rational(1, 1000), 1)},
            where=((Rational(1, 10**20), q.noisy_gradient_squared),),
            instances=MODELS,
        ),
        Form("memory, mean", equal(q.memory_error_mean, q.shrunk_error), domain=MEMORY, settings=RENEWAL),
        Form(
            "memory, size",
            q.memory_error_square
            <= (1 - q.renewal) ** 2 * q.last_error_square + 2 * q.renewal**2 * q.fresh_variance + 2 * (1 - q.renewal) ** 2 * q.change_square,
            domain=MEMORY,
            settings=RENEWAL,
        ),
    ],
    negative_controls=[
        Control(
            "the error counted once",
            q.normalised_rise >= q.step_length * q.slope_norm - q.step_length * q.guess_error - q.smoothness * q.step_length**2 / 2,
            where=((0, q.guess_squared),),
            because="a small guess of the wrong sign is as far off as the gradient is long, and the step loses what it should gain",
        ),
        Control(
            "divided by the gradient's length",
            q.rise_by_slope_norm >= q.step_length * q.slope_norm - 2 * q.step_length * q.guess_error - q.smoothness * q.step_length**2 / 2,
            where=((0, q.guess_squared), (0, q.slope_squared)),
            because="a guess three times as long as the gradient then makes three times the step, with nine times the loss by curvature",
        ),
        Control(
            "no importance weight",
            equal(q.memory_error_mean_unweighted, q.shrunk_error),
            domain=MEMORY,
            settings=RENEWAL,
            because="draws of the new policy do not estimate the old policy's gradient",
        ),
        Control(
            "independent noises",
            q.memory_error_square
            <= (1 - q.renewal) ** 2 * q.last_error_square + q.renewal**2 * q.fresh_variance + (1 - q.renewal) ** 2 * q.change_square,
            domain=MEMORY,
            settings=RENEWAL,
            because="both noises come from one draw; where the old gradient was sure they are equal, and (1/2 + 1/2)^2 is not 1/4 + 1/4",
        ),
    ],
    instances=(EXACT_GUESS, WRONG_WAY, LONG_GUESS, SURE_BEFORE, *MODELS),
    kind="lower",
    departs="The printed constants 1/3 and 8/3 follow from 1 and 2; the momentum is shown for one-sample gradients of a bandit",
)
