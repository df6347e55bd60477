"""The landscape of V: smoothness, gradient domination, vanishing gradients.  Derivation: docs/theory/landscape.md"""

from sympy import Rational, log, sqrt

from mdps.rational import rational, rational_array
from proofs_check import quantities as q
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, bandits, random_mdps
from proofs_check.instance import Instance
from proofs_check.instances import BANDITS, HARD, REAL, SMALL, model_of
from proofs_check.quantities import gap

AGARWAL, AGARWAL_VERSION = "agarwal2021theory", "arXiv:1908.00261v5"
RECALLED = "the printed constants are as recalled; the text was not at hand"

direct_smoothness = Claim(
    id="smoothness-direct",
    title="Values are smooth in the probabilities themselves",
    source=Source(AGARWAL, where="Lemma D.3", version=AGARWAL_VERSION),
    domain=random_mdps(policy="any", mu="any", rho="mu", max_states=3),
    forms=[
        Form("derived", q.direct_tangent_curvature <= q.gamma * q.A / (1 - q.gamma) ** 3),
        Form("printed", q.direct_tangent_curvature <= 2 * q.gamma * q.A / (1 - q.gamma) ** 3),
    ],
    negative_controls=[
        Control(
            "one power of the horizon less",
            q.direct_tangent_curvature <= 2 * q.gamma * q.A / (1 - q.gamma) ** 2,
            because="stay-or-leave has curvature gamma/(1-gamma)^3 along (-1, 1) at the policy that stays: 900 at gamma = 9/10, against 360",
        ),
    ],
    instances=SMALL,
    departs="the derived form is half the printed one, along directions that keep the rows' sums: all that stay in the simplex",
)

entropy_smoothness = Claim(
    id="entropy-smoothness",
    title="The discounted entropy is smooth in the logits",
    source=Source("mei2020global", where="Lemma 14", version="arXiv:2005.06392v3"),
    domain=random_mdps(mu="any", rho="mu", max_states=3),
    forms=[
        Form("derived", q.entropy_hessian_norm <= log(q.A) * (4 - 3 * q.gamma) / (1 - q.gamma) ** 2),
        Form("printed", q.entropy_hessian_norm <= (4 + 8 * log(q.A)) / (1 - q.gamma) ** 3),
    ],
    negative_controls=[
        Control(
            "a quarter",
            q.entropy_hessian_norm <= Rational(1, 4),
            domain=bandits(),
            instances=BANDITS,
            because="two actions at equal logits: the entropy has a Hessian of norm exactly 1/2",
        ),
    ],
    instances=SMALL,
    departs=f"the derived form has one power of 1/(1-gamma) less; {RECALLED}",
)

RUNGS = 8
"""Moves of the ladder: in state s < 8 action 0 climbs, action 1 falls into the last state; the last climb pays 1."""
LADDER = Instance(
    rational_array([[[int(t == (s + 1 if a == 0 and s < RUNGS else RUNGS)) for t in range(RUNGS + 1)] for a in (0, 1)] for s in range(RUNGS + 1)]),
    rational_array([[int(a == 0 and s == RUNGS - 1) for a in (0, 1)] for s in range(RUNGS + 1)]),
    rational("9/10"),
    rational_array([int(s == 0) for s in range(RUNGS + 1)]),
    rational_array([int(s == 0) for s in range(RUNGS + 1)]),
    rational_array([["3/20", "17/20"]] * (RUNGS + 1)),
    name="ladder of 8 rungs, each climbed with probability 3/20",
)

nonuniform_smoothness = Claim(
    id="non-uniform-smoothness",
    title="Where the softmax gradient is small, so is the curvature",
    source=Source("mei2021leveraging", where="Lemmas 2 and 6", version="arXiv:2105.06072"),
    domain=random_mdps(rho="mu", max_states=3),
    forms=[
        Form("bandit", q.hessian_norm <= 3 * q.gradient_norm, domain=bandits(), instances=BANDITS),
        Form("derived", q.hessian_norm <= (3 + 2 * sqrt(2) * (q.policy_mismatch / (1 - q.gamma) - 1)) * q.gradient_norm),
        Form(
            "printed",
            q.hessian_norm <= (3 + (2 * q.largest_visit_ratio - (1 - q.gamma)) / ((1 - q.gamma) * q.gamma)) * sqrt(q.S) * q.gradient_norm,
            where=((0, q.gamma),),
        ),
    ],
    negative_controls=[
        Control(
            "constant 1",
            q.hessian_norm <= q.gradient_norm,
            domain=bandits(),
            instances=BANDITS,
            because="two arms near a vertex have a Hessian of about sqrt 2 times the gradient",
        ),
        Control(
            "the bandit constant for every model",
            q.hessian_norm <= 3 * q.gradient_norm,
            domain=random_mdps(rho="mu", mu="any", max_states=3),
            instances=(LADDER,),
            because="a reward behind n unlikely moves is worth about their product, whose Hessian is sqrt(2n) times its gradient",
        ),
    ],
    instances=SMALL,
    departs=f"the derived form has no sqrt S and the visits of the present policy only; {RECALLED}",
)

RARE_RIGHT = Instance(
    model_of("chain(6, 9/10)").exact.transitions,
    model_of("chain(6, 9/10)").exact.rewards,
    model_of("chain(6, 9/10)").exact.discount,
    rational_array([1, 0, 0, 0, 0, 0, 0]),
    rational_array([1, 0, 0, 0, 0, 0, 0]),
    rational_array([["1/10", "9/10"]] * 7),
    name="chain(6, 9/10), right with probability 1/10, from state 0",
)

gradient_domination = Claim(
    id="gradient-domination-direct",
    title="The best first-order improvement dominates the gap",
    source=Source(AGARWAL, where="Lemma 4.1", version=AGARWAL_VERSION),
    domain=random_mdps(policy="any", rewards=None),
    forms=[
        Form("visits", gap(q.rho, q.T) <= q.mismatch_rho_policy * q.best_improvement),
        Form("start", gap(q.rho, q.T) <= q.mismatch_rho_mu / (1 - q.gamma) * q.best_improvement),
    ],
    negative_controls=[
        Control(
            "mismatch dropped",
            gap(q.rho, q.T) <= q.best_improvement / (1 - q.gamma),
            domain=random_mdps(policy="any", rewards=None, mu="any"),
            instances=(*SMALL, RARE_RIGHT),
            because="what a rarely visited state could gain hardly shows in the gradient, and the gap may lie there",
        ),
        Control(
            "horizon dropped",
            gap(q.rho, q.T) <= q.mismatch_rho_mu * q.best_improvement,
            because="visits may be as few as (1-gamma) times the start: a policy that leaves for good sees little of where it starts",
        ),
    ],
    instances=SMALL + HARD + REAL,
)

VANISHING = (4 * q.chain_length * (q.chain_length + 1) ** Rational(5, 2)) / (3 ** (q.chain_length + 2) - q.chain_length - 5)
SMALL_VALUE = q.chain_length * (q.chain_length + 1) / (3 ** (q.chain_length + 2) - q.chain_length - 5)

vanishing_gradient = Claim(
    id="vanishing-gradient-chain",
    title="A chain on which gradients vanish exponentially while the gap stays",
    source=Source(AGARWAL, where="Proposition 4.1", version=AGARWAL_VERSION),
    domain=bandits(
        max_actions=1,
        extras={"rightward": Extra((13,), low=Rational(1, 128), high=Rational(4095, 4096), meaning="four times pi(right|s), so pi(right|s) < 1/4")},
    ),
    settings={q.chain_length: (1, 2, 3, 4, 6, 8, 12)},
    forms=[
        Form("gradient, derived", q.chain_gradient_norm <= VANISHING),
        Form("gradient, printed", q.chain_gradient_norm <= 3 ** (-q.chain_length / 4)),
        Form("gap, derived", q.chain_gap >= (q.chain_length + 1) / 4 - SMALL_VALUE),
        Form("gap, printed", q.chain_gap >= (q.chain_length + 1) / 8 - (q.chain_length + 1) ** 2 / 3**q.chain_length),
    ],
    negative_controls=[
        Control(
            "start spread over all states",
            q.chain_gradient_norm_spread <= 3 ** (-q.chain_length / 4),
            because="from a start near the rewarding end the gradient is not small: exploration is what is missing at the other end",
        ),
    ],
    instances=("arms([1/2])",),
    kind="upper",
    departs="first derivatives only (the source bounds those of order up to H/(40 log 2H) - 1 as well); instances are the chain's H and its policy",
)
