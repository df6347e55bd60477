"""Softmax policy gradient with a log barrier or with entropy.  Derivation: docs/theory/softmax_variants.md"""

from sympy import Rational, exp, log

from mdps.rational import rational, rational_array
from pgtheory.policy_gradient import EntropyPG, LogBarrierPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.instances import BANDITS, SMALL, model_of
from proofs_check.quantities import gap

MEI, MEI_VERSION = "mei2020global", "arXiv:2005.06392v3"
ARMS = bandits(policy="interior")
RECALLED = "printed constants are as recalled"

# Log barrier

BARRIER_STEP = {q.lam: Between(Rational(1, 1000), 10), q.eta: 1 / (1 / (2 * (1 - q.gamma) ** 2) + q.lam / (2 * q.S))}
NEARLY_STATIONARY = ((q.barrier_gradient_norm, q.lam / (2 * q.S * q.A)),)
FROZEN = Instance(
    model_of("arms([1, 0])").exact.transitions,
    model_of("arms([1, 0])").exact.rewards,
    rational(0),
    rational_array([1]),
    rational_array([1]),
    rational_array([["1/1000000000", "999999999/1000000000"]]),
    settings={"lam": rational("1/10")},
    name="two arms, the better one with probability 1e-9",
)

log_barrier = Claim(
    id="log-barrier-stationarity",
    title="With a log barrier, nearly stationary means nearly optimal",
    source=Source("agarwal2021theory", where="Theorem 5.2 and Corollary 5.1", version="arXiv:1908.00261v5"),
    domain=random_mdps(policy="interior", max_states=3),
    settings={q.lam: Between(Rational(1, 1000), 10)},
    forms=[
        Form(
            "derived",
            gap(q.rho, q.T) <= (1 - 1 / (2 * q.A)) * q.lam / (1 - q.gamma) * q.mismatch_rho_mu,
            process=LogBarrierPG(step_size=q.eta, barrier=q.lam),
            settings=BARRIER_STEP,
            where=NEARLY_STATIONARY,
            domain=random_mdps(policy="uniform", max_states=3),
            trivial=1 / (1 - q.gamma),
        ),
        Form(
            "printed",
            gap(q.rho, q.T) <= 2 * q.lam / (1 - q.gamma) * q.mismatch_rho_mu,
            process=LogBarrierPG(step_size=q.eta, barrier=q.lam),
            settings=BARRIER_STEP,
            where=NEARLY_STATIONARY,
            domain=random_mdps(policy="uniform", max_states=3),
            trivial=1 / (1 - q.gamma),
        ),
        Form("smooth, derived", q.barrier_hessian_norm <= 1 / (2 * (1 - q.gamma) ** 2) + q.lam / (2 * q.S)),
        Form("smooth, printed", q.barrier_hessian_norm <= 8 / (1 - q.gamma) ** 3 + 2 * q.lam / q.S),
    ],
    negative_controls=[
        Control(
            "tolerance lambda",
            gap(q.rho, q.T) <= 2 * q.lam / (1 - q.gamma) * q.mismatch_rho_mu,
            where=((q.barrier_gradient_norm, q.lam),),
            instances=(FROZEN,),
            because="at a vertex the barrier pulls with lambda/sqrt 2 for two arms: that is within lambda, and the policy may be the worst",
        ),
        Control(
            "no barrier in the curvature",
            q.barrier_hessian_norm <= 1 / (2 * (1 - q.gamma) ** 2),
            because="the barrier bends the objective by lambda/(2 S) at equal logits of two actions",
        ),
    ],
    uses=["softmax-smoothness-sharp"],
    instances=SMALL + BANDITS,
    departs="the derived constant is 1 - 1/(2A) for 2; nearly stationary points are tried where ascent from the uniform policy finds them, not"
    f" everywhere; {RECALLED}",
)

# Entropy

RARE_BEST = Instance(
    model_of("arms([1, 0, 0, 0, 0])").exact.transitions,
    model_of("arms([1, 0, 0, 0, 0])").exact.rewards,
    rational(0),
    rational_array([1]),
    rational_array([1]),
    rational_array([["1/160004", "1/160004", "1/160004", "1/160004", "160000/160004"]]),
    settings={"tau": rational("1/20"), "eta": rational(20)},
    name="five arms, a worse one nearly always",
)
WARM = {q.tau: Between(Rational(1, 20), 2), q.eta: Between(1 / (100 * q.tau), 1 / q.tau)}
CONTRACTED = exp(-2 * q.tau * q.eta * q.sum_of_min_probabilities)
PRINTED_L = 8 + q.tau * (4 + 8 * log(q.A))
DERIVED_L = Rational(1, 2) + q.tau * log(q.A) * (4 - 3 * q.gamma)

entropy_linear = Claim(
    id="entropy-pg-linear",
    title="Entropy-regularised softmax policy gradient converges linearly",
    source=Source(MEI, where="Theorems 5 and 6, Lemma 15", version=MEI_VERSION),
    domain=random_mdps(policy="interior", max_states=3),
    settings={q.tau: Between(Rational(1, 20), 2)},
    forms=[
        Form(
            "bandit, derived",
            q.soft_gap_mu <= q.A * (q.tau * q.largest_logit + 1) ** 2 / (4 * q.tau) * CONTRACTED,
            domain=ARMS,
            process=EntropyPG(step_size=q.eta, temperature=q.tau),
            settings=WARM,
            instances=BANDITS,
            horizon=200,
        ),
        Form(
            "bandit, printed",
            q.soft_gap_mu <= 2 * q.A * (q.tau * q.largest_logit + 1) ** 2 / q.tau * CONTRACTED,
            domain=ARMS,
            process=EntropyPG(step_size=q.eta, temperature=q.tau),
            settings=WARM,
            instances=BANDITS,
            horizon=200,
        ),
        Form(
            "gradient domination, derived",
            q.soft_gradient_norm**2 >= 4 * q.tau * q.least_mu * q.min_probability**2 * q.soft_gap_mu / q.soft_mismatch_policy,
            trivial=0,
        ),
        Form(
            "gradient domination, printed",
            q.soft_gradient_norm**2 >= 2 * q.tau * q.least_mu * q.min_probability**2 * q.soft_gap_mu / (q.S * q.soft_mismatch_policy),
            trivial=0,
        ),
        Form(
            "rate, derived",
            q.soft_gap_rho
            <= q.rho_over_mu
            * (1 + q.tau * log(q.A))
            / (1 - q.gamma)
            * exp(-2 * q.eta * q.tau * (1 - q.gamma) * q.least_mu * q.least_probability**2 / q.soft_mismatch * q.T),
            process=EntropyPG(step_size=q.eta, temperature=q.tau),
            settings={
                q.tau: Between(Rational(1, 20), 2),
                q.eta: Between((1 - q.gamma) ** 2 / 100, (1 - q.gamma) ** 2 / (Rational(1, 2) + 6 * q.tau)),
            },
            where=((q.eta * DERIVED_L, (1 - q.gamma) ** 2),),
        ),
        Form(
            "rate, printed",
            q.soft_gap_rho
            <= q.inverse_mu
            * (1 + q.tau * log(q.A))
            / (1 - q.gamma) ** 2
            * exp(-q.eta * q.tau * (1 - q.gamma) * q.least_mu * q.least_probability**2 / (q.S * q.soft_mismatch) * q.T),
            process=EntropyPG(step_size=q.eta, temperature=q.tau),
            settings={q.tau: Between(Rational(1, 20), 2), q.eta: Between((1 - q.gamma) ** 3 / 2000, (1 - q.gamma) ** 3 / (8 + 16 * q.tau))},
            where=((q.eta * PRINTED_L, (1 - q.gamma) ** 3),),
        ),
    ],
    negative_controls=[
        Control(
            "smallest probability dropped",
            q.soft_gap_mu <= 2 * q.A * (q.tau * q.largest_logit + 1) ** 2 / q.tau * exp(-2 * q.tau * q.eta * q.T / q.A),
            domain=bandits(policy="interior"),
            process=EntropyPG(step_size=q.eta, temperature=q.tau),
            settings=WARM,
            instances=(RARE_BEST,),
            horizon=40,
            because="near a vertex the smallest probability is far below 1/A: the gradient hardly sees the other arms, whatever the entropy's weight",
        ),
        Control(
            "gradient domination without the smallest probability",
            q.soft_gradient_norm**2 >= 2 * q.tau * q.least_mu * q.soft_gap_mu / (q.S * q.soft_mismatch_policy),
            because="softmax plateaus stay: where an action is rare its logit has hardly any derivative, with or without entropy",
        ),
    ],
    uses=["entropy-smoothness", "softmax-smoothness-sharp"],
    instances=SMALL,
    departs="rates are stated for step sizes up to the printed one (there they are the printed rates), on bandits from 1/(100 tau), on MDPs from"
    " (1-gamma)^2/100 (derived) or (1-gamma)^3/2000 (printed); theta_1 is log pi plus the constant that makes its size smallest, half its range;"
    f" probabilities so far; {RECALLED}",
)
