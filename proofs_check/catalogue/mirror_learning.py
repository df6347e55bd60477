"""Mirror learning, divergence penalties, Tsallis divergences: what any drift guarantees.  Derivation: docs/theory/mirror_descent.md"""

from sympy import Integer, Rational

from pgtheory.policy_gradient import (
    MirrorDescent,
    MirrorLearning,
    Munchausen,
)
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, random_mdps
from proofs_check.instances import BANDITS, SMALL
from proofs_check.statement import equal

XIAO, XIAO_VERSION = "xiao2022convergence", "JMLR 23 (2022)"

ANY_STEP = {q.eta: Between(Rational(1, 100), 1000)}
ONE_STEP = random_mdps(policy="interior", mu="any", rho="mu", max_states=3, max_actions=3, rewards=None)
GAIN = q.next_state_values - q.state_values

mirror_learning = Claim(
    id="mirror-learning-drift",
    title="Mirror learning: a step against a drift gains at least the drift, in every state",
    source=Source("kuba2022mirror", where="Theorem 1, as recalled; the drifts: Schulman et al. (2017), Lu et al. (2022)", version="arXiv:2201.02373"),
    domain=ONE_STEP,
    process=MirrorDescent(step_size=q.eta),
    settings=ANY_STEP,
    horizon=10,
    forms=[
        Form("KL, values", GAIN >= q.next_policy_advantage),
        Form("KL, drift", q.next_policy_advantage >= q.drift_kl, settings={q.eta: Between(Rational(1, 10), 10)}),
        Form("squared distance, values", GAIN >= q.next_policy_advantage, process=MirrorDescent(step_size=q.eta, geometry="euclidean"), horizon=3),
        Form(
            "squared distance, drift",
            q.next_policy_advantage >= q.drift_euclidean,
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
            horizon=3,
        ),
        Form(
            "clipped ratio, values",
            GAIN >= q.next_policy_advantage,
            process=MirrorLearning(strength=q.radius, drift="ppo"),
            settings={q.radius: Between(Rational(1, 20), Rational(9, 10))},
            horizon=3,
        ),
        Form(
            "clipped ratio, drift",
            q.next_policy_advantage >= q.drift_ppo,
            process=MirrorLearning(strength=q.radius, drift="ppo"),
            settings={q.radius: Between(Rational(1, 20), Rational(9, 10))},
            horizon=3,
        ),
        Form(
            "discovered drift",
            q.next_policy_advantage >= q.drift_discovered,
            process=MirrorLearning(strength=Integer(1), drift="discovered"),
            domain=ONE_STEP.replace(max_states=2),
            settings={},
            horizon=1,
            instances=("loop(1/2)", "arms([1, 0])"),
        ),
        Form(
            "discovered drift, never beaten",
            q.discovered_objective >= q.discovered_objective_other,
            process=MirrorLearning(strength=Integer(1), drift="discovered"),
            domain=ONE_STEP.replace(max_states=2, other="interior"),
            settings={},
            horizon=1,
            instances=("loop(1/2)", "arms([1, 0])"),
        ),
    ],
    negative_controls=[
        Control(
            "the natural step against the discovered drift",
            q.discovered_objective >= q.discovered_objective_other,
            process=MirrorDescent(step_size=Integer(1)),
            domain=ONE_STEP.replace(max_states=2, other="interior"),
            settings={},
            horizon=1,
            because="the discovered drift charges small moves next to nothing, so its maximiser goes further than the natural step",
        ),
        Control(
            "three times the drift",
            q.next_policy_advantage >= 3 * q.drift_euclidean,
            process=MirrorDescent(step_size=q.eta, geometry="euclidean"),
            horizon=1,
            because="inside the simplex the step moves by eta times the centred advantage: the gain is twice the drift, not three times",
        ),
        Control(
            "the whole horizon",
            GAIN >= q.next_policy_advantage / (1 - q.gamma),
            because="a gain in one state counts as often as the state is visited: once at least, not 1/(1-gamma) times",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL,
    kind="lower",
)

penalty = Claim(
    id="kl-penalty-guarantees-trust-region",
    title="A divergence penalty of the right weight keeps to a trust region",
    source=Source("zentner2023guaranteed", where="two-phase penalisation; constants derived", version="arXiv:2312.05405"),
    domain=random_mdps(policy="interior", rho="mu", mu="any", max_states=3, rewards=None),
    settings={q.beta: Between(Rational(1, 20), 20)},
    forms=[
        Form("forward", q.penalised_divergence <= q.largest_advantage_range**2 / (8 * q.beta**2)),
        Form("backward", q.penalised_divergence_back <= q.largest_advantage_range**2 / (8 * q.beta**2)),
        Form("every state", q.penalised_divergences <= q.advantage_ranges**2 / (8 * q.beta**2)),
        Form(
            "enough weight",
            q.safe_divergence <= q.radius,
            settings={q.radius: Between(Rational(1, 1000), 1)},
            where=((Rational(1, 10**6), q.largest_advantage_range),),
        ),
    ],
    negative_controls=[
        Control(
            "16 for 8",
            q.penalised_divergence <= q.largest_advantage_range**2 / (16 * q.beta**2),
            because="two equally likely actions and a small step: the divergence is the variance R^2/4 over 2 beta^2",
        ),
        Control(
            "no square",
            q.penalised_divergence <= q.largest_advantage_range / (8 * q.beta),
            because="when the penalty is weak the divergence grows with the square of range over weight before it saturates",
        ),
    ],
    instances=SMALL + BANDITS,
    departs="explicit weight: beta = max_s R_s / sqrt(8 epsilon). How many doublings reach it is arithmetic (docs), and that the fix-up phase"
    " re-enters the region after finitely many steps is proved in the docs for steps of length 1 and tried in the tests of FixPO; no form says so",
)

TSALLIS = random_mdps(
    policy="interior",
    other="any",
    rho="mu",
    mu="any",
    max_states=2,
    extras={"payoffs": Extra(("S", "A"), low=-2, high=2, meaning="what each action pays")},
)
ORDERS = {q.tau: Between(Rational(1, 10), 4), q.order: (Rational(3, 2), 2, 3)}

tsallis = Claim(
    id="tsallis-kl-policy",
    title="Tsallis divergences give truncated power policies, and what is truncated stays away",
    source=Source("zhu2023generalized", where="policy of the Tsallis regularised step; derived here", version="arXiv:2301.11476"),
    domain=TSALLIS,
    settings=ORDERS,
    forms=[
        Form("never beaten", q.tsallis_objective >= q.tsallis_objective_other),
        Form("above the KL divergence", q.tsallis_from_policy >= q.kl_from_policy),
        Form("chi square at order 2", equal(q.scaled_tsallis, q.scaled_chi_square), settings={}),
        Form(
            "support does not grow",
            equal(q.new_support_mass, 0),
            process=Munchausen(temperature=q.tau),
            domain=random_mdps(policy="any", rho="mu", mu="any", max_states=2, max_actions=3),
            settings={q.tau: Between(Rational(1, 100), 4)},
            horizon=3,
        ),
    ],
    negative_controls=[
        Control(
            "the exponential policy",
            q.tsallis_objective_exponential >= q.tsallis_objective_other,
            because="the maximiser for the KL divergence never truncates; for a Tsallis divergence of order above 1 it is not the maximiser",
        ),
        Control(
            "below the KL divergence",
            q.tsallis_from_policy <= q.kl_from_policy,
            because="ln_q(x) >= log x for q > 1, with equality at x = 1 alone",
        ),
        Control(
            "what was truncated comes back",
            q.gap_sup <= q.gap_sup_0 / 2,
            process=Munchausen(temperature=q.tau),
            domain=random_mdps(policy="deterministic", rho="mu", mu="any", max_states=2, max_actions=3),
            settings={q.tau: (Rational(1, 10),)},
            where=((1, q.T),),
            horizon=3,
            instances=BANDITS,
            because="an action whose probability is 0 stays at 0 for ever, be it the best",
        ),
    ],
    instances=SMALL[:2] + BANDITS,
    kind="equal",
    departs="the orders 3/2, 2 and 3 stand for every q > 1; the iteration, whose support does not grow, is that of order 2",
)
