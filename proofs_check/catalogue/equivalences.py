"""One step under several names: natural gradient, mirror descent, soft policy iteration, dual program.  Derivation: docs/theory/mirror_descent.md"""

from sympy import Rational, log

from pgtheory.policy_gradient import (
    EntropyNPG,
    MirrorDescent,
    NaturalPG,
    RegularisedMirrorDescent,
)
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, random_mdps
from proofs_check.instances import HARD, SMALL
from proofs_check.quantities import gap
from proofs_check.statement import equal

XIAO, XIAO_VERSION = "xiao2022convergence", "JMLR 23 (2022)"

INTERIOR = random_mdps(policy="interior", mu="any", max_states=3)

mirror_is_natural = Claim(
    id="pmd-kl-is-npg",
    title="Mirror descent with the KL divergence is natural policy gradient",
    source=Source("agarwal2021theory", where="Lemma 5.1 and the remark on multiplicative weights", version="arXiv:1908.00261v5"),
    domain=random_mdps(policy="interior", rho="mu", max_states=3, max_actions=3, rewards=None),
    process=MirrorDescent(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 10)},
    horizon=1,
    forms=[
        Form("mirror descent", equal(q.next_policy, q.natural_step_policy)),
        Form(
            "natural gradient",
            equal(q.next_policy, q.natural_step_policy_undiscounted),
            process=NaturalPG(step_size=q.eta),
            settings={q.eta: Between(Rational(1, 100), 1)},
        ),
        Form("multiplicative weights on Q", equal(q.next_policy, q.exponential_weights)),
    ],
    negative_controls=[
        Control(
            "same step size",
            equal(q.next_policy, q.natural_step_policy_undiscounted),
            because="the gradient carries 1/(1 - gamma): mirror descent with eta is natural gradient with (1 - gamma) eta",
        ),
    ],
    uses=["softmax-npg-closed-form"],
    instances=SMALL,
    kind="equal",
)

large_steps = Claim(
    id="large-steps-are-policy-iteration",
    title="With long steps mirror descent becomes policy iteration",
    source=Source(XIAO, where="remark on large step sizes; explicit forms derived", version=XIAO_VERSION),
    domain=INTERIOR.replace(rewards=None),
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 100)},
    horizon=3,
    forms=[
        Form("natural gradient, exponentially close", q.next_weight_off_greedy <= q.greedy_limit),
        Form(
            "Euclidean, exactly",
            equal(q.next_weight_off_greedy, 0),
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
            domain=INTERIOR.replace(policy="any", rewards=None),
            settings={q.eta: Between(Rational(1, 10), 10**6)},
            where=((2, q.eta * q.least_lead),),
        ),
    ],
    negative_controls=[
        Control(
            "Euclidean, half the step",
            equal(q.next_weight_off_greedy, 0),
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
            domain=INTERIOR.replace(policy="any", rewards=None),
            settings={q.eta: Between(Rational(1, 10), 10**6)},
            where=((1, q.eta * q.least_lead),),
            because="from the worst action for certain, a step of size eta moves eta lead / 2 of the probability",
        ),
    ],
    uses=["softmax-npg-closed-form"],
    instances=SMALL + HARD[:1],
)

SOFT_STEPS = random_mdps(policy="interior", rho="mu", mu="any", max_states=3, max_actions=3, rewards=None, max_discount=Rational(19, 20))

soft_is_natural = Claim(
    id="soft-policy-iteration-is-npg",
    title="Soft policy iteration is natural policy gradient with the step 1/tau",
    source=Source("cen2022fast", where="section 2, the special case of the largest step", version="arXiv:2007.06558v5"),
    domain=SOFT_STEPS,
    process=EntropyNPG(step_size=(1 - q.gamma) / q.tau, temperature=q.tau),
    settings={q.tau: Between(Rational(1, 10), 4)},
    horizon=5,
    forms=[
        Form("Gibbs policy", equal(q.next_policy, q.soft_gibbs_policy)),
        Form("natural step on the soft value", equal(q.next_policy, q.soft_natural_step_policy), domain=SOFT_STEPS.replace(mu="positive")),
    ],
    negative_controls=[
        Control(
            "regularised mirror descent with that step",
            equal(q.next_policy, q.soft_gibbs_policy),
            process=RegularisedMirrorDescent(step_size=1 / q.tau, temperature=q.tau),
            because="a divergence from the last policy on top of the entropy holds half of it back: pi^(1/2) exp(Q/(2 tau))",
        ),
    ],
    uses=["entropy-npg-linear"],
    instances=SMALL[:3],
    kind="equal",
)

exact_inner = Claim(
    id="mdpo-exact-step-is-npg",
    title="Mirror descent policy optimisation with an exact inner step is natural policy gradient",
    source=Source("tomar2022mirror", where="on-policy objective; the remark on closed forms, as recalled", version="arXiv:2005.09814"),
    domain=random_mdps(policy="interior", other="interior", rho="mu", mu="any", max_states=3, max_actions=3, rewards=None),
    settings={q.eta: Between(Rational(1, 100), 10)},
    forms=[
        Form("what another policy loses", equal(q.objective_at_natural_step - q.objective_at_second, q.divergence_to_natural_step)),
        Form("never beaten", q.objective_at_natural_step - q.objective_at_second >= 0),
        Form("one step", equal(q.next_policy, q.entropic_maximiser), process=NaturalPG(step_size=(1 - q.gamma) * q.eta), horizon=5),
    ],
    negative_controls=[
        Control(
            "natural step of size eta",
            equal(q.next_policy, q.entropic_maximiser),
            process=NaturalPG(step_size=q.eta),
            horizon=2,
            because="the objective has A where the natural gradient has A/(1 - gamma): its maximiser is the step of size (1 - gamma) eta",
        ),
    ],
    uses=["softmax-npg-closed-form"],
    instances=SMALL,
    kind="equal",
)

dual = Claim(
    id="npg-limit-solves-the-dual",
    title="Along natural policy gradient the occupancy is dual feasible, and its duality gap is the gap",
    source=Source("unpublished", where="d'Epenoux (1963) for the linear programs; derived here"),
    domain=random_mdps(policy="interior", rho="mu", mu="any", max_states=3),
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 10), 100)},
    forms=[
        Form("duality gap", equal(q.dual_slack, (1 - q.gamma) * gap(q.mu, q.T)), horizon=50),
        Form(
            "mass off the optimal face",
            q.least_suboptimality * q.occupancy_off_optimal <= (1 - q.gamma) * gap(q.mu, q.T),
            horizon=50,
        ),
        Form(
            "vanishes",
            q.least_suboptimality * q.occupancy_off_optimal <= (1 - q.gamma) * log(q.A) / (q.eta * q.T) + 1 / ((1 - q.gamma) * q.T),
            domain=random_mdps(policy="uniform", rho="mu", mu="any", max_states=3),
            trivial=1,
        ),
    ],
    negative_controls=[
        Control(
            "without the factor",
            equal(q.dual_slack, gap(q.mu, q.T)),
            horizon=5,
            because="the occupancy is normalised to 1, so its worth is 1 - gamma times the value",
        ),
    ],
    uses=["npg-one-over-T", "performance-difference"],
    instances=SMALL,
    kind="equal",
)
