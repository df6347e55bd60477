"""Surrogates and trust regions: conservative policy iteration, TRPO, PPO and its kin.  Derivation: docs/theory/surrogates.md"""

from fractions import Fraction

from sympy import Rational, sqrt

from pgtheory.policy_gradient import PPO, SPO, ConservativePI, FixPO, MirrorDescent, NaturalPG, TrustRegion
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.instances import BANDITS, REAL, SMALL
from proofs_check.statement import equal

PAIR = random_mdps(policy="any", other="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
FULL = PAIR.replace(policy="interior")
ALPHA = {"alpha": Extra((), meaning="weight of the second policy")}
GAP = q.advantage_under_own_visits
SLOWER = by_hand(
    "two states, greedy all at once",
    transitions=[[["1/10", "9/10"], [1, 0]], [["1/2", "1/2"], ["1/5", "4/5"]]],
    rewards=[[1, 0], ["4/5", "2/5"]],
    discount="9/10",
    mu=[1, 0],
    policy=[[0, 1], ["9/10", "1/10"]],
    other=[[1, 0], [1, 0]],
    extras={"alpha": 1},
)

conservative = Claim(
    id="conservative-policy-iteration",
    title="Conservative policy iteration: a small share of a better policy is certain to help",
    source=Source("kakade2002approximately", where="Theorem 4.1 and Corollary 4.2", version="ICML 2002 proceedings"),
    domain=PAIR.replace(extras=ALPHA.items()),
    forms=[
        Form(
            "any share",
            q.mixture_gain >= q.alpha / (1 - q.gamma) * (GAP - 2 * q.alpha * q.gamma * q.largest_expected_advantage / (1 - q.gamma * (1 - q.alpha))),
        ),
        Form(
            "safe share, derived",
            8 * q.largest_expected_advantage * q.safe_mixture_gain >= (2 - q.gamma) * GAP**2,
            domain=PAIR,
            where=((0, GAP),),
        ),
        Form("safe share, printed", 8 * q.largest_expected_advantage * q.safe_mixture_gain >= GAP**2, domain=PAIR, where=((0, GAP),)),
        Form(
            "each safe step",
            8 * q.best_advantage * q.value_increase_mu >= (2 - q.gamma) * q.mean_best_advantage**2,
            domain=random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
            process=ConservativePI(share=1),
            horizon=3,
        ),
    ],
    negative_controls=[
        Control(
            "penalty dropped",
            q.mixture_gain >= q.alpha / (1 - q.gamma) * GAP,
            because="the mixture goes to other states than the old policy, and there the second policy may be bad",
        ),
        Control(
            "penalty halved",
            q.mixture_gain >= q.alpha / (1 - q.gamma) * (GAP - q.alpha * q.gamma * q.largest_expected_advantage / (1 - q.gamma * (1 - q.alpha))),
            because="visits move by up to twice the probability that the mixture has used the second policy: from some states to others",
        ),
    ],
    uses=["performance-difference"],
    instances=(SLOWER, *SMALL, *REAL),
    kind="lower",
    departs="rewards of any sign: the largest expected advantage e stands for R/(1 - gamma), the printed bound with rewards in [0, R], which is"
    " larger: the form called printed is sharper than the text. The derived form gains the factor 2 - gamma",
)

REACH = 2 * q.gamma / (1 - q.gamma) ** 2
ONE_SIDED = by_hand(
    "two states, one policy greedy",
    transitions=[[["9/10", "1/10"], ["1/10", "9/10"]], [["4/5", "1/5"], ["3/5", "2/5"]]],
    rewards=[["1/2", 1], ["2/5", "7/10"]],
    discount="1/2",
    mu=[1, 0],
    policy=[["1/2", "1/2"], ["7/10", "3/10"]],
    other=[[1, 0], ["1/5", "4/5"]],
)
RADII = {q.radius: Between(Rational(1, 10_000), 1)}

surrogate_bound = Claim(
    id="trpo-cpo-surrogate-bound",
    title="How far the surrogate of a trust region step can be off",
    source=Source(
        "schulman2015trust", where="Theorem 1; Achiam, Held, Tamar, Abbeel (2017), Corollaries 1 and 2, Proposition 1", version="arXiv:1502.05477v5"
    ),
    domain=PAIR,
    forms=[
        Form("mean variation", q.surrogate_error <= REACH * q.largest_expected_advantage * q.mean_variation),
        Form("largest variation", q.surrogate_error <= 2 * REACH * q.largest_advantage * q.largest_variation**2),
        Form("divergence", q.surrogate_error <= REACH * q.largest_advantage * q.largest_divergence, domain=FULL),
        Form("divergence, printed", q.surrogate_error <= 2 * REACH * q.largest_advantage * q.largest_divergence, domain=FULL),
        Form(
            "a trust region step gains its surrogate but for the root of the radius",
            q.next_surrogate - q.value_increase_mu <= q.gamma * sqrt(2 * q.radius) / (1 - q.gamma) ** 2 * q.largest_next_advantage,
            domain=random_mdps(policy="interior", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
            process=TrustRegion(radius=q.radius),
            settings=RADII,
            horizon=3,
        ),
        Form(
            "a trust region step gains its surrogate but for the radius",
            q.next_surrogate - q.value_increase_mu <= REACH * q.largest_advantage * q.radius,
            domain=random_mdps(policy="interior", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
            process=TrustRegion(radius=q.radius, over="each"),
            settings=RADII,
            horizon=3,
        ),
    ],
    negative_controls=[
        Control(
            "variation, constant a quarter",
            q.surrogate_error <= REACH / 2 * q.largest_advantage * q.largest_variation**2,
            because="both the visits and the expected advantage move with the policy, each by up to twice the total variation",
        ),
        Control(
            "mean variation, one horizon less",
            q.surrogate_error <= 2 * q.gamma / (1 - q.gamma) * q.largest_expected_advantage * q.mean_variation,
            because="visits move by the horizon times the variation, and the horizon comes once more from the sum over time",
        ),
        Control(
            "surrogate is exact",
            q.surrogate_error <= 0,
            because="the surrogate averages over the old policy's visits, and the new policy goes elsewhere",
        ),
    ],
    uses=["performance-difference", "visitation-perturbation"],
    instances=(ONE_SIDED, *SMALL, *REAL),
    departs="the divergence forms have half the printed constant, by Pinsker's inequality, and KL(new || old); TRPO prints KL(old || new),"
    " for which the same proof serves, as Pinsker's inequality takes either",
)

UPDATES = {q.radius: Between(Rational(1, 100), Rational(99, 100)), q.eta: Between(Rational(1, 100), 100)}

first_order = Claim(
    id="surrogate-first-order-agreement",
    title="Clipped, penalised and mirror descent surrogates start along the policy gradient",
    source=Source(
        "schulman2017proximal",
        where="equations (6) and (7); Tomar et al. (2022), Section 4 (mirror descent); Xie et al. (2025), the objective of SPO; as recalled",
        version="arXiv:1707.06347v2",
    ),
    domain=FULL,
    settings=UPDATES,
    forms=[
        Form("plain", equal(q.surrogate_slope, (1 - q.gamma) * q.softmax_derivative), settings={}),
        Form("clipped", equal(q.clipped_slope, (1 - q.gamma) * q.softmax_derivative)),
        Form("quadratic penalty", equal(q.quadratic_slope, (1 - q.gamma) * q.softmax_derivative)),
        Form("divergence penalty", equal(q.entropic_slope, (1 - q.gamma) * q.softmax_derivative)),
        Form("clipped is below", q.clipped_surrogate <= q.surrogate),
        Form("quadratic penalty is below", q.quadratic_surrogate <= q.surrogate),
        Form("the divergence penalty's maximum", q.entropic_surrogate <= q.entropic_optimum),
        Form(
            "its maximiser is a natural gradient step",
            equal(q.next_policy, q.entropic_maximiser),
            process=NaturalPG(step_size=q.eta * (1 - q.gamma)),
            settings={q.eta: Between(Rational(1, 100), 100)},
            horizon=10,
        ),
        Form(
            "and a mirror descent step",
            equal(q.next_policy, q.entropic_maximiser),
            process=MirrorDescent(step_size=q.eta),
            settings={q.eta: Between(Rational(1, 100), 100)},
            horizon=10,
        ),
    ],
    negative_controls=[
        Control(
            "a clip range without 1",
            equal(q.clipped_elsewhere_slope, (1 - q.gamma) * q.softmax_derivative),
            because="at the old policy the ratio is 1; where the range lies above, the clipped branch is flat and bad actions lose their gradient",
        ),
        Control(
            "the whole gradient",
            equal(q.clipped_slope, q.softmax_derivative),
            because="the surrogate averages over visits normalised to 1, so its gradient lacks the factor 1/(1 - gamma)",
        ),
        Control(
            "clipping raises",
            q.clipped_surrogate >= q.surrogate,
            because="the minimum of the clipped and the plain term is below the plain one once a ratio leaves the range",
        ),
    ],
    uses=["pg-theorem-direct-and-softmax"],
    instances=SMALL + REAL,
    kind="equal",
)

RATIO = random_mdps(policy="any", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
WITH_RATIO = RATIO.replace(extras={"ratio": Extra(("S", "A"), high=4, meaning="ratios of new to old probabilities")}.items())
RADIUS = {q.radius: Between(Rational(1, 100), Rational(99, 100))}
BOTH_ARMS = by_hand("arms([1, 0])", "arms([1, 0])", settings={"radius": "1/5"}, extras={"ratio": [["3/2", "3/2"]]})
RARE_GOOD_ARM = by_hand("arms([1, 0]), the good one with probability 1/4", "arms([1, 0])", policy=[["1/4", "3/4"]], settings={"radius": "1/2"})

ratios = Claim(
    id="spo-keeps-the-ratio-ppo-does-not",
    title="A quadratic penalty holds each ratio and improves every state; clipping holds nothing",
    source=Source(
        "xie2025simple",
        where="the objective of SPO and its comparison with PPO (Schulman et al. 2017), as recalled; constants derived",
        version="arXiv:2401.16025v9",
    ),
    domain=RATIO,
    settings=RADIUS,
    forms=[
        Form(
            "each ratio has one best value",
            equal(2 * q.radius * q.quadratic_at_ratio, 2 * q.radius * (q.quadratic_at_best_ratio - q.quadratic_shortfall)),
            domain=WITH_RATIO,
            instances=(BOTH_ARMS, *SMALL),
        ),
        Form("clipping is flat beyond", equal(q.clipped_past, q.clipped_peak), domain=WITH_RATIO, instances=(BOTH_ARMS, *SMALL)),
        Form("nothing is above the end of the range", q.clipped_at_ratio <= q.clipped_peak, domain=WITH_RATIO, instances=(BOTH_ARMS, *SMALL)),
        Form("the maximiser gains its penalty", q.next_policy_advantage >= q.quadratic_penalty, process=SPO(radius=q.radius), horizon=3),
        Form("the maximiser improves every state", q.next_state_values >= q.state_values, process=SPO(radius=q.radius), horizon=3),
        Form(
            "two-phase steps stay inside",
            q.next_divergence <= q.radius,
            domain=RATIO.replace(policy="interior", rewards=(0, 1), max_discount=Fraction(9, 10), max_states=2),
            process=FixPO(radius=q.radius, penalty=1, step_size=1, inner_steps=3, penalty_rate=Rational(1, 10)),
            settings={q.radius: Between(Rational(1, 100), Rational(1, 2))},
            horizon=1,
        ),
        Form(
            "trust region steps stay inside",
            q.next_mean_divergence <= q.radius * (1 + Rational(1, 10**6)),
            domain=RATIO.replace(policy="interior"),
            process=TrustRegion(radius=q.radius),
            horizon=3,
        ),
    ],
    negative_controls=[
        Control(
            "clipping keeps the ratio",
            q.largest_ratio <= 1 + q.radius,
            domain=RATIO.replace(policy="interior"),
            process=PPO(radius=q.radius, step_size=3, inner_steps=10),
            instances=(BOTH_ARMS,),
            horizon=1,
            because="one long step may jump out of the range, and beyond it the clipped objective is flat: nothing leads back",
        ),
        Control(
            "the maximiser keeps every ratio",
            q.largest_ratio <= 1 + q.radius,
            process=SPO(radius=q.radius),
            instances=(RARE_GOOD_ARM,),
            horizon=1,
            because="probabilities sum to 1: what the others lose goes to actions of small advantage, whose penalty is as small",
        ),
        Control(
            "the maximiser gains twice its penalty",
            q.next_policy_advantage >= 2 * q.quadratic_penalty,
            process=SPO(radius=q.radius),
            horizon=5,
            because="with two arms the step ends where the gain is just the penalty",
        ),
    ],
    uses=["performance-difference"],
    instances=(*BANDITS, *SMALL, *REAL),
    departs="the ratio of the maximiser is held action by action only: over the simplex it may pass 1 + epsilon (second control)",
)
