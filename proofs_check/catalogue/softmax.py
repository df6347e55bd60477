"""Softmax policy gradient with exact gradients: curvature, gradient domination, rates from both sides.

Derivation: docs/theory/softmax_smoothness.md, docs/theory/softmax_rates.md
"""

from sympy import Expr, Integer, Rational, sqrt

from pgtheory.policy_gradient import SoftmaxPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import cite, lower_square_recursion, square_recursion, under, weaken
from proofs_check.domains import Between, bandits, random_mdps
from proofs_check.instances import BANDITS, COPIES, HARD, PATIENT, REAL, SMALL
from proofs_check.quantities import gap

MEI = "mei2020global"
AGARWAL = "agarwal2021theory"
MEI_VERSION, AGARWAL_VERSION = "arXiv:2005.06392v3", "arXiv:1908.00261v5"
TWO_ARMS = ((1, 2, 0),)
FEW_ARMS = (*TWO_ARMS, (1, 3, 0))
SMALL_CLASS = ((2, 2, "policy"),)

smoothness = Claim(
    id="softmax-smoothness-sharp",
    title="Softmax values are smooth, with a sharper constant than printed",
    source=Source(
        AGARWAL, where="Lemma D.4; Mei et al. (2020), Lemmas 2 and 7; the order also in Yuan, Gower, Lazaric (2022)", version=AGARWAL_VERSION
    ),
    domain=random_mdps(mu="any", rho="mu"),
    forms=[
        Form("derived", q.hessian_norm <= Rational(7, 20) / (1 - q.gamma) ** 2),
        Form("printed", q.hessian_norm <= 8 / (1 - q.gamma) ** 3),
        Form("bandit derived", q.hessian_norm <= Rational(1, 4), domain=bandits(), instances=BANDITS, boxes=TWO_ARMS),
        Form("bandit printed", q.hessian_norm <= Rational(5, 2), domain=bandits(), instances=BANDITS, boxes=FEW_ARMS),
        Form("gradient", q.gradient_norm <= 1 / (2 * sqrt(2) * (1 - q.gamma) ** Rational(3, 2))),
    ],
    negative_controls=[
        Control(
            "bandit constant 0.19",
            q.hessian_norm <= Rational(19, 100),
            domain=bandits(),
            instances=BANDITS,
            because="two arms at p = (3 - sqrt 3)/6 have a Hessian of norm sqrt(3)/9 = 0.19245",
        ),
        Control(
            "no horizon in the constant",
            q.hessian_norm <= Rational(19245, 100000),
            because="stay-or-leave at discount g has a Hessian of norm (sqrt(3)/9)/(1-g): curvature grows with the horizon",
        ),
        Control(
            "gradient without horizon",
            q.gradient_norm <= 1 / (2 * sqrt(2)),
            because="stay-or-leave at discount g has V = sigmoid(x + log(1-g))/(1-g): its gradient grows with the horizon too",
        ),
    ],
    instances=SMALL,
    departs="the derived constant 7/(20(1-gamma)^2) is smaller than the printed 8/(1-gamma)^3 by 160/(7(1-gamma)), that of bandits by 10",
)

lojasiewicz = Claim(
    id="softmax-lojasiewicz",
    title="Softmax gradient domination (non-uniform Lojasiewicz inequality)",
    source=Source(MEI, where="Lemmas 3 and 8", version=MEI_VERSION),
    domain=random_mdps(),
    forms=[
        Form("mdp", q.gradient_norm >= q.min_optimal_probability * gap(q.rho, q.T) / (sqrt(q.S) * q.mismatch_rho_policy)),
        Form(
            "bandit",
            q.gradient_norm >= q.min_optimal_probability * gap(q.mu, q.T),
            domain=bandits(),
            instances=BANDITS,
            polynomial=((1, 2, "optimum"), (1, 3, "optimum")),
        ),
    ],
    negative_controls=[
        Control(
            "probability of the optimal action dropped",
            q.gradient_norm >= gap(q.mu, q.T),
            domain=bandits(),
            instances=BANDITS,
            because="where the optimal action is rare the gradient is as small as its probability, and the gap is not",
        ),
        Control(
            "mismatch dropped",
            q.gradient_norm >= q.min_optimal_probability * gap(q.rho, q.T) / sqrt(q.S),
            because="states that the policy visits rarely contribute little gradient, and the gap may lie there",
        ),
    ],
    instances=SMALL + HARD,
    kind="lower",
)

DERIVED_STEP = {q.eta: 2 * (1 - q.gamma) ** 2}


def _gain(c: Expr) -> Expr:
    """What one step of the derived size gains at least, for a gap of 1 and an optimal action of probability c."""
    return (1 - q.gamma) ** 4 * c**2 / (q.S * q.mismatch**2)


one_over_t = Claim(
    id="softmax-mdp-one-over-t",
    title="Softmax policy gradient converges as 1/t",
    source=Source(MEI, where="Theorem 4", version=MEI_VERSION),
    domain=random_mdps(policy="interior"),
    trivial=1 / (1 - q.gamma),
    forms=[
        Form(
            "one step, derived",
            q.value_increase_mu >= _gain(q.min_optimal_probability) * gap(q.mu, q.T) ** 2,
            process=SoftmaxPG(step_size=q.eta),
            settings=DERIVED_STEP,
            horizon=60,
            trivial=0,
        ),
        Form(
            "printed",
            gap(q.rho, q.T) <= 16 * q.S * q.mismatch**2 * q.inverse_mu / (q.c_inf**2 * (1 - q.gamma) ** 6 * (q.T + 1)),
            process=SoftmaxPG(step_size=q.eta),
            settings={q.eta: (1 - q.gamma) ** 3 / 8},
            departs="c_t is the minimum up to t, which is larger than the printed infimum over the whole run: the statement checked is stronger",
        ),
    ],
    negative_controls=[
        Control(
            "c replaced by 1",
            q.value_increase_mu >= _gain(Integer(1)) * gap(q.mu, q.T) ** 2,
            process=SoftmaxPG(step_size=q.eta),
            settings=DERIVED_STEP,
            horizon=60,
            because="where the optimal action is rare its logit moves in proportion to its probability, and its probability to that again",
        ),
        Control(
            "printed form with (1-gamma)^2 for (1-gamma)^6",
            gap(q.rho, q.T) <= 16 * q.S * q.mismatch**2 * q.inverse_mu / (q.c_inf**2 * (1 - q.gamma) ** 2 * (q.T + 1)),
            process=SoftmaxPG(step_size=q.eta),
            settings={q.eta: (1 - q.gamma) ** 3 / 8},
            horizon=10_000,
            instances=PATIENT,
            because="with a step of (1-gamma)^3/8 one state alone needs 8/(1-gamma)^3 steps to move its logits by a constant",
        ),
    ],
    chain={
        "one step, derived": (
            cite("softmax-sufficient-increase:at least"),
            weaken("gradient_norm", "softmax-lojasiewicz:mdp", start="mu"),
            weaken("mismatch_mu_policy", "visits-at-least-start:mismatch"),
        ),
        "printed": (
            cite("softmax-sufficient-increase:at least, printed"),
            weaken("gradient_norm", "softmax-lojasiewicz:mdp", start="mu"),
            weaken("mismatch_mu_policy", "visits-at-least-start:mismatch"),
            weaken("min_optimal_probability", "extremes-so-far:optimal probability"),
            square_recursion("gap_mu", "values-in-range:gap at the start"),
            under("change-of-measure:gap"),
            weaken("rho_over_mu", "change-of-measure:ratio"),
        ),
    },
    uses=["softmax-sufficient-increase", "softmax-lojasiewicz", "visits-at-least-start", "extremes-so-far", "change-of-measure", "values-in-range"],
    instances=SMALL + BANDITS + PATIENT + COPIES + REAL,
    departs="the derived form has its own step size 2(1-gamma)^2, and says what one step gains; the rate that follows is in the docs",
)

monotone = Claim(
    id="softmax-pg-any-step-monotone",
    title="Softmax policy gradient improves every state, whatever the step size",
    source=Source(
        "liu2024elementary",
        where="softmax policy gradient with any constant step; for small steps Agarwal et al. (2021), Lemma C.2",
        version="arXiv:2404.03372v2",
    ),
    domain=random_mdps(policy="interior", mu="any"),
    process=SoftmaxPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 1000), 1000)},
    forms=[
        Form("state values", q.next_state_values >= q.state_values, polynomial=SMALL_CLASS),
        Form("action values", q.next_action_values >= q.action_values, polynomial=SMALL_CLASS),
        Form("one step", q.next_policy_advantage >= 0, horizon=1, polynomial=SMALL_CLASS),
    ],
    negative_controls=[
        Control(
            "first-order gain",
            q.value_increase_rho >= q.eta * q.gradient_norm**2,
            domain=random_mdps(policy="interior", mu="any", rho="mu"),
            because="a step never loses, but it gains less than the first order promises once the value bends down",
        ),
        Control(
            "as good as a Bellman backup",
            q.next_state_values >= q.bellman_values,
            because="a short step moves the policy a little, a backup moves it all the way to the best action",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL + HARD + REAL,
    departs="any step size and any start distribution, from the one-step argument in the docs",
)

RISE = 2 * q.eta * (1 + 7 * q.eta / 40)
MDP_RISE = 2 * q.eta / (1 - q.gamma) ** 2 * (1 + 7 * q.eta / (40 * (1 - q.gamma) ** 2)) * q.largest_mismatch**2


def _floor(c: Expr) -> Expr:
    """gap_0 (1 - C gap_0) / ((1 - C gap_0) + C gap_0 t)."""
    slack = 1 - c * gap(q.mu, 0)
    return gap(q.mu, 0) * slack / (slack + c * gap(q.mu, 0) * q.T)


lower_bound = Claim(
    id="softmax-one-over-t-lower-bound",
    title="Softmax policy gradient is no faster than 1/t",
    source=Source(MEI, where="Theorems 9 and 10 (asymptotic, with the reward gap); non-asymptotic form derived", version=MEI_VERSION),
    domain=bandits(policy="interior"),
    process=SoftmaxPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 1000), 1)},
    forms=[
        Form("bandit", gap(q.mu, q.T) >= _floor(RISE), where=((RISE * gap(q.mu, 0), 1), (0, q.T))),
        Form(
            "mdp",
            gap(q.mu, q.T) >= _floor(MDP_RISE),
            domain=random_mdps(policy="interior", rho="mu"),
            horizon=200,
            where=((MDP_RISE * gap(q.mu, 0), 1), (0, q.T)),
            settings={q.eta: Between((1 - q.gamma) ** 3 / 100, (1 - q.gamma) ** 3)},
            instances=SMALL,
        ),
    ],
    negative_controls=[
        Control(
            "C halved",
            gap(q.mu, q.T) >= _floor(RISE / 2),
            where=((RISE * gap(q.mu, 0) / 2, 1),),
            because="two arms lose 2 eta gap^2 a step near the optimum: the coefficient of the recursion is 2 eta, not eta",
        ),
        Control(
            "no decay",
            gap(q.mu, q.T) >= gap(q.mu, 0) * (1 - RISE * gap(q.mu, 0)),
            where=((RISE * gap(q.mu, 0), 1), (0, q.T)),
            because="the gap does tend to 0",
        ),
    ],
    chain={
        "bandit": (
            cite("softmax-sufficient-increase:at most"),
            weaken("gradient_norm", "softmax-reverse-lojasiewicz:bandit"),
            lower_square_recursion("gap_mu", "softmax-pg-any-step-monotone:state values"),
        ),
        "mdp": (
            cite("softmax-sufficient-increase:at most"),
            weaken("gradient_norm", "softmax-reverse-lojasiewicz:mdp"),
            weaken("policy_mismatch", "extremes-so-far:mismatch"),
            lower_square_recursion("gap_mu", "softmax-pg-any-step-monotone:state values"),
        ),
    },
    uses=["softmax-sufficient-increase", "softmax-reverse-lojasiewicz", "extremes-so-far", "softmax-pg-any-step-monotone"],
    trivial=0,
    instances=BANDITS,
    kind="lower",
    departs="holds from the first step on and without the reward gap; tried for eta from 1/1000 to 1 on bandits, and on MDPs from (1-gamma)^3/100"
    " to (1-gamma)^3, where the condition C gap_0 < 1 holds often enough; the derivation has no such limits",
)
