"""Gradients from elsewhere, corrected; sampled ascent with its noise.  Derivation: docs/theory/corrected_gradients.md"""

from sympy import Rational, sqrt

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone, by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.statement import equal

ALONG = {"direction": Extra(("S", "A"), low=-1, high=1, meaning="change of the logits")}
PATHS = random_mdps(policy="interior", mu="any", max_states=2, max_actions=2, rewards=None).replace(extras=ALONG)
STAGES = {q.H: (1, 2, 3)}
ARMS = bandits(policy="interior", mu="any", max_actions=3).replace(extras=ALONG)


def _arms(name, rewards, policy, direction=None, **settings):
    return by_hand(
        name,
        transitions=[[[1]] * len(rewards)],
        rewards=[rewards],
        discount=0,
        policy=[policy],
        settings=settings,
        extras={} if direction is None else {"direction": [direction]},
    )


CROSSING = _arms("from equal arms along (1, -1)", [1, 0], ["1/2", "1/2"], [1, -1], H=1, refresh="1/2")
ALONE_ARM = _arms("one arm", [1], [1], [1], H=1, refresh="1/2")
TWO_STAGES = by_hand(
    "two states that pay for going back and forth",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [1, 0]]],
    rewards=[[0, 1], [0, 1]],
    discount="1/2",
    policy=[["1/2", "1/2"], ["1/4", "3/4"]],
    settings={"H": 3},
    extras={"direction": [[1, -1], ["-1/2", "1/2"]]},
)

TINY = Rational(1, 10**12)

difference = Claim(
    id="hessian-corrected-difference",
    title="Gradients of two policies differ by a Hessian estimate from a random policy between them, without importance weights",
    source=Source("fatkhullin2023stochastic", where="the estimator of (N)-HARPG, as recalled; derived here", version="ICML 2023"),
    domain=PATHS,
    settings=STAGES,
    forms=[
        Form("Hessian", equal(q.path_hessian_product, q.stage_gradient_along)),
        Form("along the segment", q.segment_mean <= q.gradient_change + TINY, domain=ARMS, settings={}, instances=(CROSSING, ALONE_ARM)),
    ],
    negative_controls=[
        Control(
            "without second derivatives of the logarithms",
            equal(q.path_score_product, q.stage_gradient_along),
            because="the scores themselves change with the policy",
        ),
        Control(
            "at the far end",
            q.segment_far_end <= q.gradient_change + TINY,
            domain=ARMS,
            settings={},
            instances=(CROSSING,),
            because="the Hessian changes along the segment: -.160 in place of -.145 for two arms",
        ),
    ],
    instances=(TWO_STAGES, CROSSING, ALONE_ARM),
    kind="equal",
    departs="Paths of up to three steps; mean over the segment by twenty nodes of Gauss and Legendre, to 1e-12 (both sides sum to 0)",
)

REFRESH = {q.refresh: Between(Rational(1, 10), 1)}
SPACE = ALONE.replace(
    extras={
        "curvature": Extra((3, 3), low=-3, high=3, meaning="the function is theta'C theta/2"),
        "place": Extra((3,), low=-1, high=1, meaning="parameters before the step"),
        "move": Extra((3,), low=-1, high=1, meaning="the step"),
        "offset": Extra((3,), low=-1, high=1, meaning="error of the average before the step"),
    }
)
BOWL = alone(
    "curvatures -1, -2, -3",
    {"curvature": [[-1, 0, 0], [0, -2, 0], [0, 0, -3]], "place": [1, 1, 1], "move": ["-1/2", "1/4", 1], "offset": [0, "1/3", 0]},
    settings={"refresh": "1/4"},
)
MIDDLE = _arms("a short step at equal arms", [1, 0], ["1/2", "1/2"], ["1/10", "-1/10"], refresh=1)
BENT = _arms("a short step and a gradient from a little ahead", [1, 0], ["1/2", "1/2"], ["1/10", "-1/10"], refresh="1/2")
TWO = ARMS.replace(max_actions=2)
REST = (1 - q.refresh) / q.refresh * q.direction_square

transport = Claim(
    id="igt-transport",
    title="A gradient taken ahead of the point carries a running average along without bias, up to third derivatives",
    source=Source("fatkhullin2023stochastic", where="the estimator of N-PG-IGT, as recalled; constants derived here", version="ICML 2023"),
    domain=ARMS,
    settings=REFRESH,
    forms=[
        Form("two arms", q.transport_miss <= sqrt(2) / 8 * REST, domain=TWO, where=((q.A, 3),)),
        Form("any number of arms", q.transport_miss <= Rational(5, 8) * REST),
        Form("quadratic", equal(q.transported_error, q.faded_error), domain=SPACE, instances=(BOWL,)),
    ],
    negative_controls=[
        Control(
            "gradient at the point",
            equal(q.momentum_error, q.faded_error),
            domain=SPACE,
            instances=(BOWL,),
            because="the gradients that the average remembers are of the point before, and nothing makes up for the step",
        ),
        Control(
            "half the constant",
            q.transport_miss <= sqrt(2) / 16 * REST,
            domain=TWO,
            where=((q.A, 3),),
            because="at equal arms the third derivative is the largest one, 1/(2 sqrt 2)",
        ),
    ],
    instances=(CROSSING, MIDDLE, BENT, ALONE_ARM),
    departs="Without noise of the new gradient; 5/4 bounds the third derivative for any number of arms, the largest found is 1/(2 sqrt 2)",
)

TREES = bandits(policy="interior", mu="any", max_actions=3)
FEW = {q.rounds: (1, 2, 4), q.eta: Between(Rational(1, 20), Rational(39, 10))}
EVEN = _arms("equal arms, one step", [1, 0], ["1/2", "1/2"], rounds=1, eta=2)
SURE = _arms("one arm, four steps", [1], [1], rounds=4, eta=2)
TIED = _arms("two equally good arms", [1, 1, 0], ["1/3", "1/3", "1/3"], rounds=4, eta=2)
TOO_LONG = _arms("equal arms, one step of length 8", [1, 0], ["1/2", "1/2"], rounds=1, eta=8)

ascent = Claim(
    id="softmax-bandit-sampled-ascent",
    title="Sampled softmax ascent on a bandit: squared gradients sum to at most the gap and the noise, at steps below 4",
    source=Source("ghadimi2013stochastic", where="Theorem 2.1 with L = 1/2, as recalled", version="SIAM J. Optim. 23(4)"),
    domain=TREES,
    settings=FEW,
    statement=q.eta * (1 - q.eta / 4) * q.ascent_squares <= q.gap_mu + q.eta**2 / 4 * q.ascent_noise,
    negative_controls=[
        Control(
            "divided by the factor, steps of 8",
            q.ascent_squares <= (q.gap_mu + q.eta**2 / 4 * q.ascent_noise) / (q.eta * (1 - q.eta / 4)),
            settings={q.rounds: (1, 2, 4), q.eta: Between(Rational(41, 10), 9)},
            because="beyond 2/L the factor is negative: nothing bounds the gradients",
        ),
        Control(
            "a tenth of the gap, no noise",
            q.eta * q.ascent_squares <= q.gap_mu / 10,
            because="one step of length 2 from equal arms: 2/8 against a tenth of a gap of 1/2",
        ),
    ],
    instances=(EVEN, SURE, TIED, TOO_LONG),
    departs="Every sequence of draws, up to four rounds and three arms; part (ii) of the list's claim, part (i) is `softmax-smoothness-sharp`",
)
