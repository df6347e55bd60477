"""The lemmas between an inequality about one step and a rate: what the chains of the rates cite.  Derivation: docs/theory/lemmas.md"""

from sympy import Rational, log, sqrt

from pgtheory.policy_gradient import EntropyNPG, NaturalPG, PolicyIteration, SoftmaxPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import gradient_step
from proofs_check.domains import Between, bandits, random_mdps
from proofs_check.instances import BANDITS, HARD, REAL, SMALL
from proofs_check.quantities import gap
from proofs_check.statement import equal

FOLKLORE = "unpublished"
SMOOTH = "softmax-smoothness-sharp"

sufficient_increase = Claim(
    id="softmax-sufficient-increase",
    title="One softmax policy gradient step gains about eta times the squared gradient",
    source=Source("mei2020global", where="proof of Theorem 4 (printed constant); derived constant: docs", version="arXiv:2005.06392v3"),
    domain=random_mdps(policy="interior", mu="any", rho="mu"),
    process=SoftmaxPG(step_size=q.eta),
    settings={q.eta: Between((1 - q.gamma) ** 3 / 1000, Rational(19, 10) * (1 - q.gamma) ** 2)},
    horizon=60,
    trivial=0,
    forms=[
        Form("at least", q.value_increase_mu >= q.eta * (1 - 7 * q.eta / (40 * (1 - q.gamma) ** 2)) * q.gradient_norm**2),
        Form("at least, printed", q.value_increase_mu >= q.eta * (1 - 4 * q.eta / (1 - q.gamma) ** 3) * q.gradient_norm**2),
        Form("at most", q.value_increase_mu <= q.eta * (1 + 7 * q.eta / (40 * (1 - q.gamma) ** 2)) * q.gradient_norm**2, trivial=1 / (1 - q.gamma)),
    ],
    negative_controls=[
        Control(
            "first order as a lower bound",
            q.value_increase_mu >= q.eta * q.gradient_norm**2,
            because="near its maximum the value bends down, so a step gains less than its first order",
        ),
        Control(
            "first order as an upper bound",
            q.value_increase_mu <= q.eta * q.gradient_norm**2,
            because="far from its maximum the value bends up, so a step gains more than its first order",
        ),
    ],
    chain={
        "at least": (gradient_step(f"{SMOOTH}:derived"),),
        "at least, printed": (gradient_step(f"{SMOOTH}:printed"),),
        "at most": (gradient_step(f"{SMOOTH}:derived", "most"),),
    },
    uses=[SMOOTH],
    instances=SMALL + BANDITS,
    kind="lower",
)

reverse_lojasiewicz = Claim(
    id="softmax-reverse-lojasiewicz",
    title="The softmax gradient is small where the gap is",
    source=Source("mei2020global", where="Lemma 17 (with the factor 1/Delta); form without it derived", version="arXiv:2005.06392v3"),
    domain=random_mdps(policy="interior", rho="mu"),
    forms=[
        Form(
            "bandit",
            q.gradient_norm <= sqrt(2) * gap(q.mu, q.T),
            domain=bandits(),
            instances=BANDITS,
            polynomial=((1, 2, "optimum"), (1, 3, "optimum")),
        ),
        Form("mdp", q.gradient_norm <= sqrt(2) / (1 - q.gamma) * q.policy_mismatch * gap(q.mu, q.T)),
    ],
    negative_controls=[
        Control(
            "constant 1",
            q.gradient_norm <= gap(q.mu, q.T),
            domain=bandits(),
            instances=BANDITS,
            because="two arms close to the better one have a gradient of norm sqrt 2 times the gap",
        ),
    ],
    instances=SMALL,
    departs="no factor 1/Delta",
)

visits = Claim(
    id="visits-at-least-start",
    title="Visits are at least (1-gamma) times the start distribution",
    source=Source(FOLKLORE, where="folklore"),
    domain=random_mdps(policy="any", mu="any", rho="mu", rewards=None),
    forms=[
        Form("states", q.visits >= (1 - q.gamma) * q.start_probabilities, polynomial=((2, 2, "rewards"), (3, 2, "rewards"))),
        Form(
            "mismatch",
            q.mismatch_mu_policy <= q.mismatch / (1 - q.gamma),
            domain=random_mdps(policy="any", rho="mu", rewards=None),
            polynomial=((2, 2, "rewards"),),
        ),
    ],
    negative_controls=[
        Control("factor dropped", q.visits >= q.start_probabilities, because="what is spent in later states is missing in the first"),
        Control(
            "mismatch without the factor",
            q.mismatch_mu_policy <= q.mismatch,
            domain=random_mdps(policy="any", rho="mu", rewards=None),
            because="a policy that leaves for good hardly visits where it starts",
        ),
    ],
    instances=SMALL + REAL,
    kind="lower",
)

change_of_measure = Claim(
    id="change-of-measure",
    title="The gap under one start distribution bounds it under another",
    source=Source(FOLKLORE, where="folklore"),
    domain=random_mdps(policy="any", rewards=None),
    forms=[
        Form("gap", gap(q.rho, q.T) <= q.rho_over_mu * gap(q.mu, q.T), polynomial=((2, 2, "optimum"),)),
        Form("ratio", q.rho_over_mu <= q.inverse_mu, polynomial=((2, 2, "rewards"),)),
    ],
    negative_controls=[
        Control("no ratio", gap(q.rho, q.T) <= gap(q.mu, q.T), because="the gap may lie in the states that rho has and mu hardly has"),
    ],
    instances=SMALL + REAL,
)

extremes_so_far = Claim(
    id="extremes-so-far",
    title="A running extreme bounds every step so far",
    source=Source(FOLKLORE, where="definition"),
    domain=random_mdps(policy="interior"),
    process=SoftmaxPG(step_size=q.eta),
    settings={q.eta: Between((1 - q.gamma) ** 3 / 100, 2 * (1 - q.gamma) ** 2)},
    horizon=60,
    forms=[
        Form("optimal probability", q.min_optimal_probability >= q.c_inf),
        Form("mismatch", q.policy_mismatch <= q.largest_mismatch),
    ],
    negative_controls=[
        Control(
            "the other way round",
            q.min_optimal_probability <= q.c_inf,
            because="policies improve, so the current probability passes the smallest one",
        ),
    ],
    instances=SMALL + BANDITS,
)

values_in_range = Claim(
    id="values-in-range",
    title="Values lie between 0 and the effective horizon",
    source=Source(FOLKLORE, where="definition"),
    domain=random_mdps(policy="interior", mu="any"),
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 10**6)},
    horizon=60,
    forms=[
        Form("most", q.state_values <= 1 / (1 - q.gamma), polynomial=((2, 2, "rewards"),)),
        Form("least", q.state_values >= 0, polynomial=((2, 2, "rewards"),)),
        Form(
            "gap at the start",
            gap(q.mu, 0) <= 1 / (1 - q.gamma),
            process=SoftmaxPG(step_size=q.eta),
            settings={q.eta: Between((1 - q.gamma) ** 3 / 8, 2)},
            polynomial=((2, 2, "rewards"),),
        ),
        Form("rise", q.value_rise_optimal <= 1 / (1 - q.gamma), polynomial=((2, 2, "rewards"),)),
    ],
    negative_controls=[
        Control("no horizon", q.value_rise_optimal <= 1, because="rewards up to 1 add up over the effective horizon 1/(1-gamma)"),
    ],
    instances=SMALL,
)

npg_potential = Claim(
    id="npg-potential",
    title="A natural gradient step turns gap into divergence from the optimal policy",
    source=Source("agarwal2021theory", where="proof of Theorem 5.3", version="arXiv:1908.00261v5"),
    domain=random_mdps(policy="interior", mu="any"),
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 10), 100)},
    horizon=60,
    forms=[
        Form("identity", equal(gap(q.rho, q.T), (q.divergence_drop + q.log_normaliser_optimal) / q.eta)),
        Form("ends", q.divergence_spent <= log(q.A), domain=random_mdps(policy="uniform", mu="any")),
    ],
    negative_controls=[
        Control(
            "normaliser dropped",
            gap(q.rho, q.T) <= q.divergence_drop / q.eta,
            because="the normaliser is what the step gains besides approaching the optimal policy",
        ),
        Control(
            "any start",
            q.divergence_spent <= log(q.A),
            because="a start that hardly ever takes the optimal action is farther from it than the uniform policy",
        ),
    ],
    uses=["performance-difference"],
    instances=SMALL + HARD,
    kind="equal",
)

bellman_contraction = Claim(
    id="bellman-contraction",
    title="A Bellman backup contracts the gap by gamma, and a policy iteration step is no worse",
    source=Source("howard1960dynamic", where="chapter 4; Puterman (2005), Proposition 6.2.4", version="textbook"),
    domain=random_mdps(policy="any", mu="any", rho="mu", rewards=None),
    forms=[
        Form("contraction", q.bellman_gap_sup <= q.gamma * q.gap_sup, polynomial=((2, 2, "optimum"),)),
        Form(
            "policy iteration",
            q.next_gap_sup <= q.bellman_gap_sup,
            process=PolicyIteration(),
            horizon=12,
            domain=random_mdps(policy="deterministic", mu="any", rho="mu", rewards=None),
        ),
    ],
    negative_controls=[
        Control("gamma squared", q.bellman_gap_sup <= q.gamma**2 * q.gap_sup, because="a backup looks one step ahead, not two"),
    ],
    instances=SMALL + HARD + REAL,
)

entropy_npg_errors = Claim(
    id="entropy-npg-errors",
    title="An entropy-regularised natural gradient step contracts a sum of errors by 1 - eta tau",
    source=Source("cen2022fast", where="proof of Theorem 1, Lemmas 1 and 2; as one sum with weights: docs", version="arXiv:2007.06558v5"),
    domain=random_mdps(policy="interior", mu="any", rho="mu", max_states=3, max_actions=3, max_discount=Rational(19, 20)),
    process=EntropyNPG(step_size=q.eta, temperature=q.tau),
    settings={q.tau: Between(Rational(1, 100), 1), q.fraction: Between(Rational(1, 20), 1), q.eta: q.fraction * (1 - q.gamma) / q.tau},
    horizon=30,
    forms=[
        Form("contraction", q.next_soft_error_sum <= (1 - q.eta * q.tau) * q.soft_error_sum),
        Form("start", q.soft_error_sum_0 <= q.C1),
        Form("action values", q.next_soft_q_gap <= q.gamma * q.soft_error_sum),
        Form("log policies", q.next_log_policy_gap <= 2 / q.tau * q.soft_error_sum),
    ],
    negative_controls=[
        Control(
            "faster contraction",
            q.next_soft_error_sum <= (1 - q.eta * q.tau / (1 - q.gamma)) * q.soft_error_sum,
            because="the errors of the action values come back by one backup, and shrink by gamma only",
        ),
        Control(
            "action values by gamma squared",
            q.next_soft_q_gap <= q.gamma**2 * q.soft_error_sum,
            because="a backup looks one step ahead, not two",
        ),
    ],
    instances=SMALL[:2] + ("chain(1, 9/10)",),
)
