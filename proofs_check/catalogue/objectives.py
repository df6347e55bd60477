"""Several objectives: weights, Pareto points, hypervolume, and concave functions of estimated means.  Derivation: docs/theory/utilities.md"""

from sympy import Max, Rational

from proofs_check import quantities as q
from proofs_check.by_hand import by_hand
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Extra, bandits, random_mdps
from proofs_check.statement import equal

MODELS = ("loop(1/2)", "chain(1, 9/10)", "arms([1, 0])", "arms([1])")
SECOND = {"second_rewards": Extra(("S", "A"), meaning="the second objective's rewards")}
WEIGHTS = {"weights": Extra((2,), low=-1, high=1, meaning="weights of the objectives")}
TWO_OBJECTIVES = random_mdps(policy="any", mu="any", rho="mu", max_states=2, max_actions=3).replace(extras=SECOND)
ALONE = bandits(max_actions=1, policy="uniform", mu="any")
THREE = ALONE.replace(extras={"middle": Extra((), meaning="both rewards of the third arm")})
FRONT = {
    "front": Extra((3, 2), meaning="values of three points"),
    "newcomer": Extra((2,), meaning="values of another point"),
}


def _two_rewards(name, first, second, policy, **more):
    return by_hand(
        name,
        transitions=[[[1]] * len(first)],
        rewards=[first],
        discount=0,
        policy=[policy],
        extras={"second_rewards": [second], "weights": ["1/2", "1/2"]},
        **more,
    )


def _alone(name, extras):
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=0, extras=extras)


MISSED = _two_rewards("the arm that no weights find", [1, 0, "2/5"], [0, 1, "2/5"], [0, 0, 1], other=[[1, 0, 0]])
ON_THE_FACE = _two_rewards("half-way between two arms", [1, 0], [0, 1], ["1/2", "1/2"], other=[[1, 0]])
STAY_OR_LEAVE = by_hand(
    "stay for the first reward, or leave for the second",
    transitions=[[[1, 0], [0, 1]], [[0, 1], [0, 1]]],
    rewards=[[1, 0], [0, 0]],
    discount="1/2",
    mu=[1, 0],
    policy=[[1, 0], [1, 0]],
    other=[[0, 1], [1, 0]],
    extras={"second_rewards": [[0, 0], [1, 1]], "weights": [1, 1]},
)
TWO_FIFTHS, THREE_FIFTHS = (_alone(f"third arm ({m}, {m})", {"middle": m}) for m in ("2/5", "3/5"))
UNSEEN = _alone(
    "a point below the line",
    {"front": [[1, "1/5"], ["1/5", 1], [0, 0]], "newcomer": ["1/2", "1/2"]},
)
AT_THE_EDGE = _alone("a point with nothing of the first", {"front": [[0, "1/2"], [0, 0], [0, 0]], "newcomer": [0, 1]})

scalarisation = Claim(
    id="linear-scalarisation-and-pareto",
    title="Weights find every Pareto value of stochastic policies, and miss some of deterministic ones; hypervolume sees them",
    source=Source("roijers2013survey", where="Sections 3 and 4 (convex hulls and Pareto fronts), as recalled; derived here", version="JAIR 48"),
    domain=TWO_OBJECTIVES,
    forms=[
        Form("polytope, from inside", q.weighted_value <= q.best_corner_weighted_value, domain=TWO_OBJECTIVES.replace(extras=SECOND | WEIGHTS)),
        Form("polytope, reached", equal(q.mixture_policy_values, q.mixed_values), domain=TWO_OBJECTIVES.replace(other="any")),
        Form("Pareto values and positive weights", equal(q.pareto_slack, q.weight_excess)),
        Form(
            "never the only best",
            q.mixture_weighted_value <= Max(q.weighted_value, q.other_weighted_value),
            domain=TWO_OBJECTIVES.replace(extras=SECOND | WEIGHTS, other="any"),
        ),
        Form("three arms: no other takes nothing", q.middle_deterministic_slack <= 0, domain=THREE, where=((0, q.middle), (q.middle, 1))),
        Form("three arms: what weights miss", equal(q.middle_shortfall, Max(0, Rational(1, 2) - q.middle)), domain=THREE),
        Form("three arms: stochastic balance", equal(q.balanced_stochastic, Max(Rational(1, 2), q.middle)), domain=THREE),
        Form("three arms: deterministic balance", equal(q.balanced_deterministic, q.middle), domain=THREE),
        Form("hypervolume", equal(q.dominated_area, q.dominated_area_swept), domain=ALONE.replace(extras=FRONT)),
        Form("hypervolume never falls", q.area_gain >= 0, domain=ALONE.replace(extras=FRONT)),
        Form("hypervolume sees every newcomer", q.area_gain >= q.newcomer_cell, domain=ALONE.replace(extras=FRONT)),
    ],
    negative_controls=[
        Control(
            "deterministic policies only",
            equal(q.deterministic_slack, q.weight_excess),
            because="no arm beats (2/5, 2/5) in both, and for all weights one of (1, 0) and (0, 1) is worth at least 1/2 against 2/5",
        ),
        Control(
            "averaged policies reach the polytope",
            equal(q.averaged_policy_values, q.mixed_values),
            domain=TWO_OBJECTIVES.replace(other="any"),
            because="a policy that leaves half the time at every step has left sooner than a coin at the start would have it",
        ),
        Control(
            "the third arm is always missed",
            q.middle_shortfall >= Rational(1, 100),
            domain=THREE,
            because="from (1/2, 1/2) on equal weights find it",
        ),
        Control(
            "weights see what hypervolume sees",
            q.area_gain <= 4 * q.newcomer_lead,
            domain=ALONE.replace(extras=FRONT),
            because="(1/2, 1/2) lies below the line from (1, 1/5) to (1/5, 1), and adds 9/100 to the area",
        ),
        Control(
            "strict at the reference too",
            q.area_gain >= q.newcomer_present_cell,
            domain=ALONE.replace(extras=FRONT),
            because="a point that has nothing of the first objective adds no area, however much of the second",
        ),
    ],
    instances=(MISSED, ON_THE_FACE, STAY_OR_LEAVE, TWO_FIFTHS, THREE_FIFTHS, UNSEEN, AT_THE_EDGE, *MODELS),
    kind="equal",
    departs="Two objectives; Pareto values and weights as one identity between a best improvement and a least excess",
)

LAW = {
    "p": Extra((4,), "distribution", meaning="probabilities of a return"),
    "x": Extra((4,), meaning="its values"),
}
COUNTS = {q.samples: (1, 2, 4, 8)}
FEW = {q.samples: (1, 2, 3)}
SEEN = bandits(policy="any", mu="any", max_actions=3)
NEARLY_ONE = by_hand(
    "1 nine times in ten, else 0",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"samples": 1},
    extras={"p": ["1/10", "9/10", 0, 0], "x": [0, 1, 1, 1], "second_returns": [1, 0, 0, 0]},
)
FAIR = by_hand(
    "a fair coin near 0",
    transitions=[[[1]]],
    rewards=[[0]],
    discount=0,
    settings={"samples": 1},
    extras={"p": ["1/2", "1/2", 0, 0], "x": [0, "1/100", 0, 0], "second_returns": ["1/100", 0, 0, 0]},
)
PULLS = by_hand("two arms, equally likely", "arms([1, 0])", settings={"samples": 1})

plug_in_gradient = Claim(
    id="nonlinear-scalarisation-gradient-and-bias",
    title="A concave function of several values: its gradient, the bias of estimated means, and what two batches mend",
    source=Source(
        "bai2022joint", where="the gradient of a concave function of values, as recalled; bias and batches derived here", version="JAIR 74"
    ),
    domain=ALONE.replace(extras=LAW),
    settings=COUNTS,
    forms=[
        Form(
            "gradient",
            equal(q.harmonic_derivative, q.harmonic_gradient),
            domain=random_mdps(policy="any", mu="any", rho="mu", max_states=3, max_actions=3).replace(extras=SECOND),
            settings={},
            symbolic=((1, 2),),
        ),
        Form("never above", q.root_bias >= 0),
        Form("one mean", q.root_bias <= q.return_spread / (8 * q.samples)),
        Form("two means, never above", q.harmonic_bias >= 0, domain=ALONE.replace(extras=LAW | {"second_returns": LAW["x"]})),
        Form(
            "two means",
            q.harmonic_bias <= q.return_spreads / (4 * q.samples),
            domain=ALONE.replace(extras=LAW | {"second_returns": LAW["x"]}),
        ),
        Form("parabola", equal(q.parabola_bias, q.return_spread / (2 * q.samples))),
        Form("one batch", equal(q.one_batch_gradient, q.parabola_gradient - q.one_batch_term / q.samples), domain=SEEN, settings=FEW),
        Form("two batches, parabola", equal(q.two_batch_gradient, q.parabola_gradient), domain=SEEN, settings=FEW),
        Form("two batches", equal(q.two_batch_reciprocal_gradient, q.reciprocal_mean_slope_gradient), domain=SEEN, settings=FEW),
    ],
    negative_controls=[
        Control(
            "convex function",
            q.square_bias >= 0,
            because="the mean of a square is above the square of the mean",
        ),
        Control(
            "curvature at the mean",
            q.root_bias <= q.root_curvature_at_mean * q.return_spread / (2 * q.samples),
            because="the root bends more at 0 than at the mean: 1 nine times in ten, else 0",
        ),
        Control(
            "one batch without bias",
            equal(q.one_batch_gradient, q.parabola_gradient),
            domain=SEEN,
            settings=FEW,
            because="the draw that raises the mean lowers the slope that its own score is weighed with",
        ),
        Control(
            "two batches without bias",
            equal(q.two_batch_reciprocal_gradient, q.reciprocal_gradient),
            domain=SEEN,
            settings=FEW,
            because="1/(1 + x)^2 is convex, so that its mean is above its value at the mean, whatever the second batch is",
        ),
    ],
    instances=(NEARLY_ONE, FAIR, PULLS, *MODELS),
    departs="Two objectives, and the curvature bounded on the range of the returns",
)
