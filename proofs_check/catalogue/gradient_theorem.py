"""The policy gradient theorem and the performance difference lemma.  Derivation: docs/theory/gradient_theorem.md"""

from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import random_mdps
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
