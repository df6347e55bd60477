"""Softmax policy gradient seen from the state that lacks most: a rate without the number of states.  Derivation: docs/theory/worst_state.md"""

from sympy import Expr

from pgtheory.policy_gradient import SoftmaxPG
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import cite, square_recursion, under, weaken
from proofs_check.domains import Between, random_mdps
from proofs_check.instances import BANDITS, COPIES, PATIENT, SMALL
from proofs_check.quantities import gap

SHORT_STEPS = {q.eta: Between((1 - q.gamma) ** 3 / 100, 2 * (1 - q.gamma) ** 2)}


def _growth(c: Expr) -> Expr:
    """By how much the reciprocal of the largest gap grows a step."""
    return q.eta * (1 - q.gamma) ** 2 * c**2 / (q.inverse_mu + q.eta * c**2)


worst_state_gain = Claim(
    id="softmax-worst-state-gain",
    title="One softmax policy gradient step lowers the largest gap by its square",
    source=Source("unpublished", where="derived here"),
    domain=random_mdps(policy="interior"),
    process=SoftmaxPG(step_size=q.eta),
    settings=SHORT_STEPS,
    horizon=60,
    trivial=0,
    forms=[
        Form("one step", q.gap_sup_drop >= _growth(q.min_optimal_probability) * q.gap_sup**2),
        Form("gap", gap(q.rho, q.T) <= q.gap_sup, trivial=1 / (1 - q.gamma)),
    ],
    negative_controls=[
        Control(
            "rarest state dropped",
            q.gap_sup_drop >= q.eta * (1 - q.gamma) ** 2 * q.min_optimal_probability**2 / (1 + q.eta) * q.gap_sup**2,
            because="the state that lacks most may be one that is hardly ever visited",
        ),
        Control(
            "first power of the probability",
            q.gap_sup_drop
            >= q.eta * (1 - q.gamma) ** 2 * q.min_optimal_probability / (q.inverse_mu + q.eta * q.min_optimal_probability) * q.gap_sup**2,
            because="the logit of a rare action moves in proportion to its probability, and its probability to that again",
        ),
    ],
    instances=SMALL + BANDITS,
    kind="lower",
)

worst_state_rate = Claim(
    id="softmax-worst-state-one-over-t",
    title="Softmax policy gradient converges as 1/t, whatever the number of states and the mismatch",
    source=Source("unpublished", where="derived here; compare Mei et al. (2020), Theorem 4"),
    domain=random_mdps(policy="interior"),
    process=SoftmaxPG(step_size=q.eta),
    settings=SHORT_STEPS,
    trivial=1 / (1 - q.gamma),
    forms=[
        Form("any short step", gap(q.rho, q.T) <= (q.inverse_mu + q.eta * q.c_inf**2) / (q.eta * (1 - q.gamma) ** 2 * q.c_inf**2 * q.T)),
        Form(
            "step of the theorem",
            gap(q.rho, q.T) <= 3 * q.inverse_mu / (2 * (1 - q.gamma) ** 4 * q.c_inf**2 * q.T),
            settings={q.eta: 2 * (1 - q.gamma) ** 2},
        ),
    ],
    negative_controls=[
        Control(
            "rarest state dropped",
            gap(q.rho, q.T) <= (1 + q.eta * q.c_inf**2) / (q.eta * (1 - q.gamma) ** 2 * q.c_inf**2 * q.T),
            because="a state that is visited once in a thousand times learns a thousand times as slowly",
        ),
        Control(
            "c replaced by 1",
            gap(q.rho, q.T) <= (q.inverse_mu + q.eta) / (q.eta * (1 - q.gamma) ** 2 * q.T),
            because="from a start that hardly ever takes the optimal action the run stands still for as long as one likes",
        ),
    ],
    chain={
        form: (
            cite("softmax-worst-state-gain:one step"),
            weaken("min_optimal_probability", "extremes-so-far:optimal probability"),
            square_recursion("gap_sup"),
            under("softmax-worst-state-gain:gap"),
        )
        for form in ("any short step", "step of the theorem")
    },
    uses=["softmax-worst-state-gain", "extremes-so-far"],
    instances=SMALL + BANDITS + PATIENT + COPIES,
    departs="no number of states and no mismatch: only the smallest probability of a start",
)
