"""Natural policy gradient with exact gradients, plain and entropy-regularised.  Derivation: docs/theory/natural_pg.md"""

from sympy import Rational, log

from pgtheory.policy_gradient import EntropyNPG, NaturalPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import Link, cite, contraction, one_later, telescoping, weaken
from proofs_check.domains import Between, random_mdps
from proofs_check.instances import HARD, LARGE, LONG, MANY, REAL, SMALL
from proofs_check.quantities import gap

npg_rate = Claim(
    id="npg-one-over-T",
    title="Softmax NPG: dimension-free O(1/T)",
    source=Source("agarwal2021theory", where="Theorem 5.3 and Lemma 5.2", version="arXiv:1908.00261v5"),
    domain=random_mdps(policy="uniform", mu="any"),
    process=NaturalPG(step_size=q.eta),
    settings={q.eta: Between(Rational(1, 100), 10**6)},
    trivial=1 / (1 - q.gamma),
    forms=[
        Form("rate", gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T) + 1 / ((1 - q.gamma) ** 2 * q.T)),
        Form(
            "ascent",
            q.value_increase_rho >= (1 - q.gamma) / q.eta * q.log_normaliser,
            domain=random_mdps(policy="interior", mu="any"),
            settings={q.eta: Between(Rational(1, 100), 100)},
            trivial=0,
        ),
        Form(
            "monotone",
            q.next_state_values >= q.state_values,
            domain=random_mdps(policy="interior", mu="any"),
            settings={q.eta: Between(Rational(1, 100), 100)},
            polynomial=((2, 2, "policy"),),
        ),
    ],
    negative_controls=[
        Control(
            "second term dropped",
            gap(q.rho, q.T) <= log(q.A) / (q.eta * q.T),
            because="as eta grows a step becomes policy iteration, and one step does not solve every MDP",
        ),
        Control(
            "any start",
            domain=random_mdps(policy="interior", mu="any"),
            because="the first term is the divergence of the optimal policy from the start policy, which may exceed log A",
        ),
        Control(
            "first term dropped",
            gap(q.rho, q.T) <= 1 / ((1 - q.gamma) ** 2 * q.T),
            because="for small eta the policy hardly moves",
        ),
    ],
    chain={
        "rate": (
            cite("npg-potential:identity"),
            weaken("log_normaliser_optimal", "npg-one-over-T:ascent", start="optimal visits"),
            telescoping("gap_rho", "npg-one-over-T:monotone"),
            weaken("divergence_spent", "npg-potential:ends"),
            weaken("value_rise_optimal", "values-in-range:rise"),
        ),
    },
    uses=["performance-difference", "npg-potential", "values-in-range"],
    instances=SMALL + MANY + HARD + REAL + LARGE + LONG,
)


def _chain(name: str, form: str) -> tuple[Link, ...]:
    """The errors' sum contracts, and bounds the quantity one step later."""
    errors = "entropy-npg-errors"
    return (
        cite(f"{errors}:contraction"),
        contraction("soft_error_sum"),
        one_later(name, f"{errors}:{form}"),
        weaken("soft_error_sum_0", f"{errors}:start"),
    )


LINEAR = {q.tau: Between(Rational(1, 100), 1), q.fraction: Between(Rational(1, 20), 1), q.eta: q.fraction * (1 - q.gamma) / q.tau}

entropy_rate = Claim(
    id="entropy-npg-linear",
    title="Entropy-regularised NPG converges linearly, free of dimension",
    source=Source("cen2022fast", where="Theorem 1", version="arXiv:2007.06558v5"),
    domain=random_mdps(policy="interior", mu="any", rho="mu", max_discount=Rational(19, 20)),
    process=EntropyNPG(step_size=q.eta, temperature=q.tau),
    settings=LINEAR,
    forms=[
        Form("action values", q.soft_q_gap <= q.C1 * q.gamma * (1 - q.eta * q.tau) ** (q.T - 1), where=((0, q.T),)),
        Form("log policies", q.log_policy_gap <= 2 * q.C1 / q.tau * (1 - q.eta * q.tau) ** (q.T - 1), where=((0, q.T),)),
    ],
    negative_controls=[
        Control(
            "faster contraction",
            q.soft_q_gap <= q.C1 * q.gamma * (1 - q.eta * q.tau / (1 - q.gamma)) ** (q.T - 1),
            where=((0, q.T),),
            because="at the longest allowed step this would be exact after two steps; soft policy iteration contracts by gamma",
        ),
        Control(
            "constant halved twice",
            q.soft_q_gap <= q.C1 * q.gamma * (1 - q.eta * q.tau) ** (q.T - 1) / 4,
            where=((0, q.T),),
            because="short steps from a start far from the soft optimum come closer to the bound than that",
        ),
    ],
    chain={"action values": _chain("soft_q_gap", "action values"), "log policies": _chain("log_policy_gap", "log policies")},
    uses=["entropy-npg-errors"],
    instances=SMALL[:2] + ("chain(1, 9/10)",),
)
