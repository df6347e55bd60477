"""Open statements: searched like any other, reported as surviving, never as true.  What is known: docs/theory/conjectures.md"""

from sympy import Rational, sqrt

from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import random_mdps
from proofs_check.instances import BANDITS, HARD, SMALL

hessian = Claim(
    id="conjecture-softmax-hessian",
    title="Softmax values of MDPs are as smooth as those of two arms, but for the horizon squared",
    source=Source("unpublished", where="observed while the proved constant was checked"),
    domain=random_mdps(mu="any", rho="mu"),
    forms=[Form("main", q.hessian_norm <= sqrt(3) / 9 / (1 - q.gamma) ** 2)],
    negative_controls=[
        Control(
            "one per cent less",
            q.hessian_norm <= Rational(99, 100) * sqrt(3) / 9 / (1 - q.gamma) ** 2,
            because="two arms attain sqrt(3)/9 = 0.19245 at discount 0",
        ),
        Control(
            "half of it, and one horizon less",
            q.hessian_norm <= sqrt(3) / 18 / (1 - q.gamma),
            because="two arms attain sqrt(3)/9, twice that",
        ),
    ],
    instances=BANDITS + SMALL + HARD,
    kind="conjecture",
)
