"""Softmax policy gradient with other steps, parametrisations and regularisers.  Derivation: docs/theory/softmax_variants.md"""

from sympy import Rational, exp, log, sqrt

from mdps.rational import rational, rational_array
from pgtheory.policy_gradient import NaturalPG, Normalised, Polyak, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import cite, square_recursion, weaken
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.instances import BANDITS, SMALL, model_of
from proofs_check.quantities import gap
from proofs_check.statement import equal

MEI, MEI_VERSION = "mei2020global", "arXiv:2005.06392v3"
ARMS = bandits(policy="interior")
TWO_ARMS = bandits(policy="interior", max_actions=2)
PAIRS = ("arms([1, 0])", "arms([1, 9/10])", "arms([1/2])")
UP_TO_TWO = (q.A, 3)
"""At most two actions: said as a condition too, because a named or a user's model may have more."""
LEVEL = bandits(policy="interior", max_actions=2, extras={"share_of_the_way": Extra((), low=Rational(1, 128), high=Rational(127, 128))})
RECALLED = "printed constants are as recalled"


# Softmax policy gradient on bandits

TWO_FIFTHS = {q.eta: Rational(2, 5)}
GREAT_SECOND = Instance(
    model_of("arms([1, 9/10, 1/10])").exact.transitions,
    model_of("arms([1, 9/10, 1/10])").exact.rewards,
    rational(0),
    rational_array([1]),
    rational_array([1]),
    rational_array([["1/100", "9/10", "9/100"]]),
    name="arms([1, 9/10, 1/10]), the second arm nearly always",
)

ASCENT = (
    cite("softmax-sufficient-increase:at least"),
    weaken("gradient_norm", "softmax-lojasiewicz:bandit"),
    weaken("min_optimal_probability", "extremes-so-far:optimal probability"),
)

bandit_rate = Claim(
    id="softmax-bandit-one-over-t",
    title="Softmax policy gradient on bandits converges as 1/t",
    source=Source(MEI, where="Theorems 2 and 3, Lemma 4; sharper form derived", version=MEI_VERSION),
    domain=ARMS,
    process=SoftmaxPG(step_size=q.eta),
    settings=TWO_FIFTHS,
    trivial=1,
    forms=[
        Form(
            "derived",
            gap(q.mu, q.T) <= gap(q.mu, 0) / (1 + gap(q.mu, 0) * q.eta * (1 - 7 * q.eta / 40) * q.c_inf**2 * q.T),
            settings={q.eta: Between(Rational(1, 100), Rational(399, 100))},
            where=((0, q.T),),
        ),
        Form("printed", gap(q.mu, q.T) <= 5 / (q.c_inf**2 * (q.T + 1))),
        Form("regret, root", q.regret_mu <= sqrt(5 * (q.T + 1)) / q.c_inf, trivial=q.T + 1, horizon=400),
        Form("regret, logarithm", q.regret_mu <= 5 * log(q.T + 1) / q.c_inf**2 + 1, trivial=q.T + 1, horizon=400),
        Form("uniform start", gap(q.mu, q.T) <= 5 * q.A**2 / (q.T + 1), domain=bandits(policy="uniform")),
        Form(
            "the best arm never loses from a uniform start",
            q.next_min_optimal_probability >= q.min_optimal_probability,
            domain=bandits(policy="uniform"),
            settings={q.eta: Between(Rational(1, 100), 1000)},
            trivial=0,
        ),
    ],
    negative_controls=[
        Control(
            "c dropped",
            gap(q.mu, q.T) <= 5 / (q.T + 1),
            because="where the best arm is rare its gradient is as small as its probability: the run stands still for as long as one likes",
        ),
        Control(
            "the best arm never loses from any start",
            q.next_min_optimal_probability >= q.min_optimal_probability,
            instances=(GREAT_SECOND,),
            because="a second-best arm that is played nearly always gains more, and the normaliser takes it from the best",
        ),
    ],
    chain={
        "derived": (*ASCENT, square_recursion("gap_mu", keep=True)),
        "printed": (*ASCENT, square_recursion("gap_mu", "values-in-range:gap at the start")),
    },
    uses=["softmax-sufficient-increase", "softmax-lojasiewicz", "extremes-so-far", "values-in-range"],
    instances=BANDITS,
    departs="c is the minimum so far, which is larger than the infimum over the run: the statement checked is stronger; the start is number 1",
)

gravity_well = Claim(
    id="softmax-gravity-well",
    title="A rare action needs about 1/pi steps of softmax policy gradient",
    source=Source("mei2020escaping", where="Theorem 1, in spirit; explicit form derived", version="NeurIPS 2020"),
    domain=TWO_ARMS,
    process=SoftmaxPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 10)},
    horizon=400,
    forms=[
        Form(
            "bandit",
            q.T >= q.inverse_probability_drop / (2 * q.eta * q.least_suboptimality),
            where=(UP_TO_TWO, (0, q.least_suboptimality), (0, q.T)),
        ),
        Form(
            "mdp",
            q.T >= (1 - q.gamma) ** 2 * q.inverse_probability_drop / (2 * q.eta),
            domain=random_mdps(policy="interior", mu="any", rho="mu", max_actions=2, max_states=3),
            where=(UP_TO_TWO, (0, q.T)),
            instances=SMALL,
        ),
    ],
    negative_controls=[
        Control(
            "natural gradient",
            q.T >= q.inverse_probability_drop / (2 * q.eta * q.least_suboptimality),
            process=NaturalPG(step_size=q.eta),
            where=((0, q.least_suboptimality), (0, q.T)),
            instances=BANDITS,
            because="in the Fisher metric log odds grow by eta Delta a step, however rare the action",
        ),
        Control(
            "three arms",
            q.T >= q.inverse_probability_drop / (2 * q.eta),
            domain=ARMS,
            where=((0, q.least_suboptimality), (0, q.T)),
            because="when a third arm is unlearnt, what it had is shared by the others, and a rare arm gains with the rest",
        ),
    ],
    instances=BANDITS,
    kind="lower",
    departs="explicit constants; the number of steps to probability 1/2 follows by 1/pi_t = 2",
)

polyak = Claim(
    id="polyak-step-softmax",
    title="Polyak's step size: linear on two arms, monotone everywhere, and what a wrong optimum does",
    source=Source("li2024enhancing", where="Polyak step size for policy gradient; statements derived", version="2024"),
    domain=TWO_ARMS,
    forms=[
        Form(
            "two arms, rate",
            q.value_increase_mu >= (1 - exp(-1)) * gap(q.mu, q.T),
            process=Polyak(step_size=1),
            where=(UP_TO_TWO, (0, gap(q.mu, q.T))),
            horizon=6,
            trivial=0,
        ),
        Form(
            "two arms, recursion of the odds",
            equal(q.least_suboptimality * q.next_optimal_odds, q.least_suboptimality * q.optimal_odds * exp(-1 / q.min_optimal_probability)),
            process=Polyak(step_size=1),
            where=(UP_TO_TWO, (0, gap(q.mu, q.T))),
            horizon=3,
        ),
        Form(
            "monotone",
            q.next_state_values >= q.state_values,
            domain=random_mdps(policy="interior", mu="any"),
            process=Polyak(step_size=1),
            horizon=1,
            instances=SMALL,
        ),
        Form(
            "target too low, no overshoot",
            q.next_level_error >= 0,
            domain=LEVEL,
            where=(UP_TO_TWO, (Rational(1, 2), q.min_optimal_probability), (0, gap(q.mu, q.T))),
        ),
        Form(
            "target too low, quadratic",
            q.next_level_error <= (q.level - Rational(1, 2)) * q.level_error**2,
            domain=LEVEL,
            where=(UP_TO_TWO, (Rational(1, 2), q.min_optimal_probability), (0, gap(q.mu, q.T))),
        ),
    ],
    negative_controls=[
        Control(
            "three arms at the same rate",
            q.value_increase_mu >= (1 - exp(-1)) * gap(q.mu, q.T),
            process=Polyak(step_size=1),
            domain=ARMS,
            where=((0, gap(q.mu, q.T)),),
            horizon=8,
            instances=BANDITS,
            because="with three arms the gradient may point from the worst arm to the second best, and the best gains little",
        ),
        Control(
            "no overshoot from anywhere",
            q.next_level_error >= 0,
            domain=LEVEL,
            where=(
                UP_TO_TWO,
                (q.min_optimal_probability, q.level),
            ),
            because="below 1/2 the sigmoid is convex: the tangent reaches the level too late, far beyond it",
        ),
    ],
    uses=["softmax-pg-any-step-monotone"],
    instances=PAIRS,
    kind="lower",
    departs="statements are ours, for exact gradients; the last two are about one step with the target's value in place of V*",
)

escort_lojasiewicz = Claim(
    id="escort-lojasiewicz",
    title="The escort gradient dominates the gap with a smaller power of the optimal action's probability",
    source=Source("mei2020escaping", where="Lojasiewicz inequality of the escort transform", version="NeurIPS 2020"),
    domain=ARMS,
    settings={q.power: (Rational(3, 2), 2, 3, 5), q.scale: Between(Rational(1, 10), 10)},
    forms=[
        Form("bandit", q.escort_gradient_norm >= q.power / q.scale * q.min_optimal_probability ** (1 - 1 / q.power) * gap(q.mu, q.T)),
        Form(
            "mdp",
            q.escort_gradient_norm
            >= q.power / (q.scale * sqrt(q.S)) * q.min_optimal_probability ** (1 - 1 / q.power) * gap(q.rho, q.T) / q.mismatch_rho_policy,
            domain=random_mdps(max_states=3),
            instances=SMALL,
        ),
    ],
    negative_controls=[
        Control(
            "no power of the probability",
            q.escort_gradient_norm >= q.power / q.scale * gap(q.mu, q.T),
            because="where the best arm is rare the escort gradient is small too, only less so than the softmax one",
        ),
    ],
    instances=BANDITS,
    kind="lower",
    departs="the form for MDPs is derived",
)


# Normalised gradients

STEEP = 3 + 2 * sqrt(2) * (q.largest_visit_ratio / (1 - q.gamma) - 1)
PRINTED_STEP = (1 - q.gamma) * q.gamma / ((6 * (1 - q.gamma) * q.gamma + 4 * (q.largest_visit_ratio - (1 - q.gamma))) * sqrt(q.S))

normalised = Claim(
    id="geometry-aware-normalised-pg",
    title="Normalised softmax policy gradient converges linearly",
    source=Source("mei2021leveraging", where="Theorems 2 and 3", version="arXiv:2105.06072"),
    domain=random_mdps(policy="interior", rho="mu", max_states=3),
    process=Normalised(step_size=q.eta),
    settings={q.eta: Between((1 - q.gamma) / 1000, (1 - q.gamma) / 6)},
    trivial=1 / (1 - q.gamma),
    forms=[
        Form(
            "bandit, derived",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-(2 - exp(Rational(1, 2))) / 3 * q.c_inf * q.T),
            domain=ARMS,
            settings={q.eta: Rational(1, 6)},
            instances=BANDITS,
            where=((0, q.T),),
            horizon=400,
        ),
        Form(
            "bandit, printed",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-q.c_inf * q.T / 12),
            domain=ARMS,
            settings={q.eta: Rational(1, 6)},
            instances=BANDITS,
            where=((0, q.T),),
            horizon=400,
        ),
        Form(
            "mdp, derived",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-Rational(7, 10) * q.eta * (1 - q.gamma) * q.c_inf / (sqrt(q.S) * q.mismatch) * q.T),
            where=((2 * q.eta * STEEP, 1), (0, q.T)),
        ),
        Form(
            "mdp, printed",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-q.eta * (1 - q.gamma) * q.c_inf / (2 * sqrt(q.S) * q.mismatch) * q.T),
            where=((q.eta, PRINTED_STEP), (0, q.T)),
        ),
    ],
    negative_controls=[
        Control(
            "without normalisation",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-q.c_inf * q.T / 12),
            domain=ARMS,
            process=SoftmaxPG(step_size=q.eta),
            settings={q.eta: Rational(1, 6)},
            instances=BANDITS,
            horizon=1000,
            where=((0, q.T),),
            because="softmax policy gradient with a constant step is no faster than 1/t",
        ),
        Control(
            "c dropped",
            gap(q.mu, q.T) <= gap(q.mu, 0) * exp(-q.T / 12),
            domain=ARMS,
            settings={q.eta: Rational(1, 6)},
            instances=BANDITS,
            horizon=400,
            where=((0, q.T),),
            because="a step has length 1/6 in the logits, so a rare arm needs many steps before it counts at all",
        ),
    ],
    uses=["non-uniform-smoothness", "softmax-lojasiewicz"],
    instances=SMALL,
    departs="for MDPs the rate is stated for every step size from (1-gamma)/1000 up to the printed one, where it is the printed rate; where"
    f" the printed one is shorter than (1-gamma)/1000 nothing is tried; for bandits at eta = 1/6 only, as printed; {RECALLED}",
)
