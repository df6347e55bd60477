"""Policy iteration.  Derivation: docs/theory/policy_iteration.md"""

from pgtheory.policy_gradient import PolicyIteration
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.composition import cite, contraction, weaken
from proofs_check.domains import random_mdps
from proofs_check.instances import HARD, LARGE, REAL, SMALL
from proofs_check.statement import equal

policy_iteration = Claim(
    id="policy-iteration-monotone-geometric-finite",
    title="Policy iteration: monotone, geometric, finite",
    source=Source("howard1960dynamic", where="chapter 4; Bertsekas (2012), volume II, section 2.3", version="textbook"),
    domain=random_mdps(policy="deterministic", mu="any", rho="mu", rewards=None, max_states=3, max_actions=3),
    process=PolicyIteration(),
    horizon=12,
    forms=[
        Form("geometric", q.gap_sup <= q.gamma**q.T * q.gap_sup_0),
        Form("better than a Bellman backup", q.next_state_values >= q.bellman_values, polynomial=((2, 2, "policy"), (2, 3, "policy"))),
        Form("backup improves", q.bellman_values >= q.state_values, polynomial=((2, 2, "policy"), (2, 3, "policy"))),
        Form("stops only at the optimum", q.gap_sup <= q.value_increase_sup / (1 - q.gamma)),
    ],
    negative_controls=[
        Control(
            "gamma^(4t)",
            q.gap_sup <= q.gamma ** (4 * q.T) * q.gap_sup_0,
            because="optimality may travel one state per improvement, so early steps gain no more than a Bellman backup",
        ),
        Control(
            "no more is left than was gained",
            q.gap_sup <= q.value_increase_sup,
            because="a step that gains little may let the next one gain a lot",
        ),
        Control(
            "one step suffices",
            equal(q.gap_sup, 0),
            horizon=1,
            where=((0, q.T),),
            because="the policy that is greedy for the start policy's values need not be optimal",
        ),
    ],
    chain={
        "geometric": (
            cite("bellman-contraction:policy iteration"),
            weaken("bellman_gap_sup", "bellman-contraction:contraction"),
            contraction("gap_sup"),
        ),
    },
    uses=["bellman-contraction"],
    instances=SMALL + HARD + REAL + LARGE,
)
