"""The policy gradient theorem and its kin: performance difference, log-linear policies, visits, the natural gradient.

Derivation: docs/theory/gradient_theorem.md
"""

from sympy import Rational

from pgtheory.policy_gradient import NaturalPG
from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.instances import REAL, SMALL
from proofs_check.statement import equal

gradient_theorem = Claim(
    id="pg-theorem-direct-and-softmax",
    title="Policy gradient theorem, direct and softmax",
    source=Source(
        "sutton2000policy", where="Theorem 1; Agarwal et al. (2021), Lemma C.1 and equation (7)", version="NIPS 1999 proceedings; arXiv:1908.00261v5"
    ),
    domain=random_mdps(policy="any", mu="any", rho="mu", rewards=None),
    forms=[
        Form("direct", equal(q.direct_derivative, q.direct_gradient), symbolic=((1, 2), (2, 2), (2, 3))),
        Form("softmax", equal(q.softmax_derivative, q.softmax_gradient), symbolic=((1, 2), (2, 2), (2, 3))),
        Form("softmax sums to zero", equal(q.softmax_gradient_sums, q.zero), symbolic=((1, 2), (2, 2), (2, 3))),
    ],
    negative_controls=[
        Control(
            "factor 1/(1-gamma) dropped",
            equal(q.direct_derivative, (1 - q.gamma) * q.direct_gradient),
            because="visits are normalised to 1, so the gradient needs the factor 1/(1 - gamma): the effective horizon",
        ),
        Control(
            "advantages for unconstrained partial derivatives",
            equal(q.direct_derivative, q.direct_gradient_with_advantages),
            because="without the constraint that each row sums to 1 the derivative sees Q, not A; they agree on tangent directions only",
        ),
    ],
    instances=SMALL + REAL,
    kind="equal",
)

performance_difference = Claim(
    id="performance-difference",
    title="Performance difference lemma",
    source=Source("kakade2002approximately", where="Lemma 6.1", version="ICML 2002 proceedings"),
    domain=random_mdps(policy="any", other="any", mu="any", rho="mu", rewards=None),
    forms=[
        Form("visits of the new policy", equal((1 - q.gamma) * q.other_value_difference, q.advantage_under_other_visits), symbolic=((1, 2), (2, 2))),
        Form(
            "visits of the old policy", equal((1 - q.gamma) * q.other_value_difference, q.policy_change_under_other_values), symbolic=((1, 2), (2, 2))
        ),
    ],
    negative_controls=[
        Control(
            "visits of the wrong policy",
            equal((1 - q.gamma) * q.other_value_difference, q.advantage_under_own_visits),
            because="the advantage of the new policy must be averaged where the new policy goes",
        ),
    ],
    instances=SMALL + REAL,
    kind="equal",
)
FEATURES = Extra(("S", "A", 2), low=-2, high=2, meaning="features of the pairs")
ONE_FEATURE = Extra(("S", "A", 1), low=-3, high=3, meaning="one feature of the pairs")
LINEAR = random_mdps(policy="interior", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3)
THREE_ARMS = by_hand(
    "arms([1, 0, 0]) with the feature (0, 1, 3)",
    "arms([1, 0, 0])",
    policy=[["7/10", "2/10", "1/10"]],
    extras={"feature": [[[0], [1], [3]]]},
)

log_linear = Claim(
    id="pg-theorem-log-linear-and-compatible-critic",
    title="Policy gradient theorem for log-linear policies, and the critic that does not bias it",
    source=Source("sutton2000policy", where="Theorem 2; Kakade (2001), Section 3; as recalled", version="NIPS 1999 proceedings"),
    domain=LINEAR.replace(extras={"features": FEATURES, "weights": Extra((2,), low=-3, high=3, meaning="weights of a critic")}.items()),
    forms=[
        Form("action values", equal(q.log_linear_derivative, q.log_linear_gradient)),
        Form("advantages", equal(q.log_linear_derivative, q.log_linear_gradient_with_advantages)),
        Form(
            "any critic is off by half the slope of its loss",
            equal((1 - q.gamma) * (q.log_linear_derivative - q.critic_gradient), -q.critic_loss_slope / 2),
        ),
        Form(
            "the best critic is right",
            equal(q.one_feature_derivative, q.best_critic_derivative),
            domain=LINEAR.replace(extras={"feature": ONE_FEATURE}.items()),
            instances=(THREE_ARMS, *SMALL),
        ),
    ],
    negative_controls=[
        Control(
            "critic fitted with even weights",
            equal(q.one_feature_derivative, q.evenly_fitted_critic_derivative),
            domain=LINEAR.replace(extras={"feature": ONE_FEATURE}.items()),
            instances=(THREE_ARMS, *SMALL),
            because="the error of the fit must be orthogonal to the features under the visits and the policy, not under the plain count",
        ),
        Control(
            "any critic",
            equal(q.log_linear_derivative, q.critic_gradient),
            because="the values of a critic that does not minimise its loss bias the gradient",
        ),
    ],
    instances=SMALL + REAL,
    kind="equal",
)

visitation = Claim(
    id="visitation-perturbation",
    title="Policies that are close visit states about equally often",
    source=Source("achiam2017constrained", where="Lemma 3", version="arXiv:1705.10528"),
    domain=random_mdps(policy="any", other="any", mu="any", rho="mu", rewards=None),
    forms=[Form("visits", q.visitation_difference <= q.gamma / (1 - q.gamma) * q.mean_policy_difference)],
    negative_controls=[
        Control(
            "no horizon",
            q.visitation_difference <= q.gamma * q.mean_policy_difference,
            because="one different action early on changes where the whole rest of the horizon is spent",
        ),
    ],
    trivial=2,
    instances=(by_hand("loop(9/10), leave against stay", "loop(9/10)", mu=[1, 0], policy=[[0, 1], [1, 0]], other=[[1, 0], [1, 0]]), *SMALL, *REAL),
)

natural_gradient = Claim(
    id="softmax-npg-closed-form",
    title="The natural gradient of a softmax policy is its advantage",
    source=Source("kakade2001natural", where="Theorem 1; Agarwal et al. (2021), Lemma 5.1", version="NIPS 2001 proceedings; arXiv:1908.00261v5"),
    domain=random_mdps(policy="interior", rho="mu", rewards=None),
    forms=[
        Form("Fisher times advantages is the gradient", equal(q.fisher_times_advantages, q.softmax_gradient), symbolic=((1, 2), (2, 2), (2, 3))),
        Form("pseudo-inverse", equal(q.natural_direction, q.centred_advantages)),
        Form(
            "multiplicative weights",
            equal(q.next_policy, q.multiplicative_weights),
            process=NaturalPG(step_size=q.eta),
            settings={q.eta: Between(Rational(1, 100), 100)},
            horizon=20,
        ),
        Form(
            "large steps are greedy",
            q.next_weight_off_greedy <= q.greedy_limit,
            process=NaturalPG(step_size=q.eta),
            settings={q.eta: Between(Rational(1, 100), 100)},
            horizon=3,
        ),
    ],
    negative_controls=[
        Control(
            "without centring",
            equal(q.advantage_sums, q.zero),
            because="the pseudo-inverse gives the shortest solution, whose rows sum to 0; advantages average to 0 under the policy only",
        ),
        Control(
            "states that are never visited",
            equal(q.natural_direction, q.centred_advantages),
            domain=random_mdps(policy="interior", mu="any", rho="mu", rewards=None),
            because="where d is 0 the Fisher matrix is 0, and its pseudo-inverse moves nothing; the closed form moves every state",
        ),
    ],
    uses=["pg-theorem-direct-and-softmax"],
    instances=SMALL + REAL,
    kind="equal",
)
