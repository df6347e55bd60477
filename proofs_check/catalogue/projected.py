"""Projected policy gradient: any step size improves, 1/t, and the optimum after finitely many steps.  Derivation: docs/theory/projected.md"""

import dataclasses
from fractions import Fraction

from sympy import Expr, Max, Min, Rational, sqrt

from mdps.rational import rational, rational_array
from pgtheory.policy_gradient import ProjectedPG, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.instances import BANDITS, SMALL, model_of
from proofs_check.quantities import gap

LIU, LIU_VERSION = "liu2024elementary", "arXiv:2404.03372v2"
AGARWAL, AGARWAL_VERSION = "agarwal2021theory", "arXiv:1908.00261v5"
ANY_STEP = {q.eta: Between(Rational(1, 100), 100)}
ANY = random_mdps(policy="any", max_states=3)
FALLING = Instance(
    model_of("arms([1, 0])").exact.transitions,
    model_of("arms([1, 0])").exact.rewards,
    rational(0),
    rational_array([1]),
    rational_array([1]),
    rational_array([[0, 1]]),
    settings={"eta": rational("1/10")},
    name="two arms, the worse one for certain",
)


def _huber(step: Expr, size: Expr) -> Expr:
    """step size^2/2 up to size = 1/step, then linear with slope 1: the largest x size - x^2/(2 step) over x in [0, 1]."""
    share = Min(1, step * size)
    return share * size - share**2 / (2 * step)


improvement = Claim(
    id="ppg-improvement-any-step",
    title="A projected gradient step improves every state, by a known amount, whatever the step size",
    source=Source(LIU, where="improvement lower bound of projected policy gradient", version=LIU_VERSION),
    domain=ANY,
    process=ProjectedPG(step_size=q.eta),
    settings=ANY_STEP,
    horizon=1,
    forms=[
        Form("derived", q.next_policy_advantage >= _huber(q.state_steps, q.best_advantages)),
        Form("derived, one fraction", q.next_policy_advantage >= q.best_advantages**2 / (q.best_advantages + 2 / q.state_steps)),
        Form("printed", q.next_policy_advantage >= q.best_advantages**2 / (q.best_advantages + (2 + 5 * q.A) / q.state_steps)),
        Form("squared move", q.state_steps * q.next_policy_advantage >= q.squared_moves),
        Form("values", q.next_state_values >= q.state_values),
    ],
    negative_controls=[
        Control(
            "twice the squared move",
            q.state_steps * q.next_policy_advantage >= 2 * q.squared_moves,
            because="inside the simplex the step moves by eta_s times the centred advantage: its gain is the squared move over eta_s, no more",
        ),
        Control(
            "twice as much for small steps",
            q.next_policy_advantage >= 2 * _huber(q.state_steps, q.best_advantages),
            instances=(FALLING,),
            because="two arms, the worse one for certain: of the step eta half is lost in the projection, so the gain is eta/2",
        ),
        Control(
            "as good as a Bellman backup",
            q.next_state_values >= q.bellman_values,
            because="a short step moves the policy a little, a backup moves it all the way to the best action",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL + BANDITS,
    kind="lower",
    departs="the derived forms are free of the number of actions; the printed one is as recalled",
)

HALF_STEP = q.eta * q.least_mu

DOMINO = model_of("domino(8, 3/10)").exact
SPREAD = [Fraction(9, 10) ** s for s in range(9)] + [Fraction(1, 1000)]
TOPPLED = Instance(
    DOMINO.transitions,
    DOMINO.rewards,
    DOMINO.discount,
    rational_array([weight / sum(SPREAD) for weight in SPREAD]),
    rational_array([weight / sum(SPREAD) for weight in SPREAD]),
    rational_array([[0, 1]] * 10),
    name="domino(8, 3/10), all leave, start shares 9/10 to the power s",
)

recursion = Claim(
    id="ppg-any-step-recursion",
    title="Projected policy gradient: 1/k for every constant step size",
    source=Source(LIU, where="sublinear convergence for any constant step, in spirit; explicit recursion derived", version=LIU_VERSION),
    domain=random_mdps(policy="any", max_states=3, rho="mu"),
    process=ProjectedPG(step_size=q.eta),
    settings=ANY_STEP,
    forms=[
        Form(
            "recursion",
            q.value_increase_rho >= q.coverage * _huber(HALF_STEP, (1 - q.gamma) * gap(q.rho, q.T)),
            domain=random_mdps(policy="any", max_states=3),
            horizon=2,
            trivial=0,
        ),
        Form(
            "rate",
            gap(q.mu, q.T) <= q.mismatch * ((1 - q.gamma) * gap(q.mu, 0) + 2 / HALF_STEP) / ((1 - q.gamma) ** 2 * q.T),
            trivial=1 / (1 - q.gamma),
        ),
        Form(
            "rate from the quadratic phase on",
            gap(q.mu, q.T) <= 2 * q.mismatch / (HALF_STEP * (1 - q.gamma) ** 2 * q.quadratic_steps),
            where=((0, q.quadratic_steps),),
            trivial=1 / (1 - q.gamma),
            horizon=100,
        ),
    ],
    negative_controls=[
        Control(
            "mismatch dropped",
            q.value_increase_rho >= _huber(HALF_STEP, (1 - q.gamma) * gap(q.rho, q.T)),
            domain=random_mdps(policy="any", max_states=3),
            horizon=2,
            instances=(*SMALL, "domino(8, 9/10)"),
            because="optimality travels one state a step, so a start far away gains little at first, however large the step",
        ),
        Control(
            "quadratic phase counted from the start",
            gap(q.mu, q.T) <= 2 * q.mismatch / (HALF_STEP * (1 - q.gamma) ** 2 * q.T),
            settings={q.eta: 3 * 10**8},
            instances=(TOPPLED,),
            horizon=10,
            because="with a large step the bound is tiny at once, but while the gap is above 1/eta it falls geometrically, not to 0 in a step",
        ),
    ],
    uses=["ppg-improvement-any-step", "performance-difference"],
    instances=SMALL + BANDITS,
    departs="explicit constants; counted from the start the rate needs the term (1-gamma) gap_0 beside 2/(eta min mu)",
)

SMOOTH_STEP = {q.eta: (1 - q.gamma) ** 3 / (2 * q.A * Max(q.gamma, Rational(1, 1000)))}
POSITIVE_DISCOUNT = ((Rational(1, 1000), q.gamma),)
SMOOTH = {"process": ProjectedPG(step_size=q.eta), "settings": SMOOTH_STEP, "where": POSITIVE_DISCOUNT}
SHORT_SIGHTED = Instance(
    model_of("arms([1, 0])").exact.transitions,
    model_of("arms([1, 0])").exact.rewards,
    rational("1/500"),
    rational_array([1]),
    rational_array([1]),
    rational_array([[0, 1]]),
    name="two arms at discount 1/500, the worse one for certain",
)
PATIENT_START = Instance(
    model_of("arms([1, 0])").exact.transitions,
    model_of("arms([1, 0])").exact.rewards,
    rational("1/2"),
    rational_array([1]),
    rational_array([1]),
    rational_array([[0, 1]]),
    name="two arms at discount 1/2, the worse one for certain",
)

one_over_t = Claim(
    id="ppg-one-over-t",
    title="Projected policy gradient at the step size of its smoothness: 1/t",
    source=Source(AGARWAL, where="Theorem 4.1; for 1/T see Xiao (2022)", version=AGARWAL_VERSION),
    domain=ANY,
    **SMOOTH,
    trivial=1 / (1 - q.gamma),
    forms=[
        Form("derived", gap(q.mu, q.T) <= 64 * q.gamma * q.S * q.A * q.mismatch**2 / ((1 - q.gamma) ** 5 * q.T)),
        Form("best iterate, printed", gap(q.rho, q.T) <= 8 * sqrt(q.gamma * q.S * q.A / q.T) * q.mismatch_rho_mu / (1 - q.gamma) ** 3),
    ],
    negative_controls=[
        Control(
            "best of the iterates before T",
            gap(q.rho, q.T) <= 8 * sqrt(q.gamma * q.S * q.A / (q.T + 1)) * q.mismatch_rho_mu / (1 - q.gamma) ** 3,
            instances=(SHORT_SIGHTED,),
            because="at T = 1 that is the gap of the start, and at a small discount the bound is far below it: the first step counts",
        ),
        Control(
            "horizon over t",
            gap(q.mu, q.T) <= 1 / ((1 - q.gamma) * q.T),
            instances=(PATIENT_START,),
            because="the step (1-gamma)^3/(2 gamma A) is so short that two arms need 8 steps to the middle at discount 1/2",
        ),
    ],
    uses=["smoothness-direct", "gradient-domination-direct"],
    instances=SMALL,
    departs="printed constants as recalled; the best iterate is the last one, since every step improves every state; discount above 1/1000",
)

SLOW_END = Instance(
    model_of("arms([1, 0])").exact.transitions,
    model_of("arms([1, 0])").exact.rewards,
    rational(0),
    rational_array([1]),
    rational_array([1]),
    rational_array([["2/5", "3/5"]]),
    settings={"eta": rational("1/10")},
    name="two arms, (2/5, 3/5)",
)
HALF_WAY = dataclasses.replace(FALLING, settings={"eta": rational("3/2")})
THRESHOLD = q.least_state_step * q.least_suboptimality**2 / (2 + q.least_state_step * q.least_suboptimality)

finite_termination = Claim(
    id="ppg-finite-termination",
    title="Projected policy gradient reaches an optimal policy in finitely many steps",
    source=Source(LIU, where="finite iteration convergence; explicit threshold derived", version=LIU_VERSION),
    domain=ANY,
    process=ProjectedPG(step_size=q.eta),
    settings=ANY_STEP,
    horizon=60,
    forms=[
        Form("threshold", q.next_suboptimal_mass <= 0, where=((q.gap_sup, THRESHOLD),)),
        Form(
            "bandit",
            q.suboptimal_mass <= 0,
            domain=bandits(policy="any"),
            where=((2, q.eta * q.least_suboptimality * q.T),),
            instances=BANDITS,
            horizon=400,
        ),
    ],
    negative_controls=[
        Control(
            "threshold without the step size",
            q.next_suboptimal_mass <= 0,
            where=((q.gap_sup, q.least_suboptimality),),
            instances=(SLOW_END,),
            because="a short step moves little probability, however close to the optimum",
        ),
        Control(
            "softmax policy gradient",
            q.next_suboptimal_mass <= 0,
            process=SoftmaxPG(step_size=q.eta),
            domain=random_mdps(max_states=3, policy="interior"),
            where=((q.gap_sup, THRESHOLD),),
            because="a softmax policy gives every action a positive probability for ever",
        ),
        Control(
            "half the steps",
            q.suboptimal_mass <= 0,
            domain=bandits(policy="any"),
            where=((1, q.eta * q.least_suboptimality * q.T),),
            instances=(HALF_WAY,),
            because="from the worse of two arms for certain the difference of the probabilities has the way from -1 to 1 to go, eta Delta a step",
        ),
    ],
    instances=SMALL + BANDITS,
    departs="explicit threshold and number of steps",
)
