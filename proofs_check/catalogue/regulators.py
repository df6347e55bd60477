"""Linear-quadratic regulators: gradient, domination, average cost, and the rates of Gauss-Newton and natural gradient.

Derivation: docs/theory/control.md
"""

from sympy import Rational

from proofs_check import quantities as q
from proofs_check.by_hand import ALONE, alone
from proofs_check.claim import Claim, Control, Form, Source
from proofs_check.domains import Between, Extra
from proofs_check.statement import equal

PLANTS = {
    "loop": Extra((2, 2), low=Rational(-9, 20), high=Rational(9, 20), meaning="A - BK up to a scaling, with rows that sum to less than 1"),
    "skew": Extra((), low=1, high=2, meaning="scaling of the corners of A - BK, which makes it less normal"),
    "inflow": Extra((2, 2), low=-1, high=1, meaning="B"),
    "gain": Extra((2, 2), low=-1, high=1, meaning="K"),
    "cost_root": Extra((2, 2), low=-1, high=1, meaning="Q = LL' + 1/10"),
    "control_root": Extra((2, 2), low=-1, high=1, meaning="R = MM' + 1/10"),
    "start_root": Extra((2, 2), low=-1, high=1, meaning="S0 = NN' + 1/10, of the first state or of the noise"),
}
CHANGED = PLANTS | {"change": Extra((2, 2), low=Rational(-1, 4), high=Rational(1, 4), meaning="a second gain less the first")}
LOOPS = {name: Extra((2, 2), low=-10, high=10, meaning="A - BK of a gain") for name in ("first_loop", "second_loop")}
WIDE = PLANTS | {
    "skew": Extra((), low=1, high=4, meaning="scaling of the corners of A - BK, which makes it less normal"),
    "inflow": Extra((2, 2), low=-2, high=2, meaning="B"),
    "gain": Extra((2, 2), low=-2, high=2, meaning="K"),
}
REGULATORS, TWO_GAINS = ALONE.replace(extras=PLANTS), ALONE.replace(extras=CHANGED)


def _corner(number):
    """Only the first direction is there."""
    return [[number, 0], [0, 0]]


REST, ALL = _corner(0), [[1, 0], [0, 1]]
WEAK, HALF, BACK = _corner("1/50"), _corner("1/2"), _corner("-1/4")


def _plant(name, loop=REST, inflow=WEAK, gain=HALF, cost=REST, control=REST, start=REST, change=BACK):
    arrays = {"loop": loop, "skew": 1, "inflow": inflow, "gain": gain, "cost_root": cost, "control_root": control, "start_root": start}
    return alone(name, arrays | {"change": change}, {"eta": "1/2", "fraction": 1})


DEAR = _plant("a regulator whose control hardly acts")
DEARER = _plant("a regulator whose dear control hardly acts", control=ALL, start=ALL)
STRETCHED = _plant("a regulator with a large gain", _corner("9/20"), _corner(1), _corner("9/20"), cost=ALL, start=ALL)
UNSEEN = _plant("a regulator whose error lies where it hardly starts", start=[[0, 0], [0, 1]])
AT_REST = _plant("a plant that is at rest by itself", _corner("-1/4"), _corner(1), _corner("1/4"), cost=ALL)
UNLIKE = _plant(
    "a gain far from the optimum",
    *([["9/20", "-9/20"], ["2/25", "9/20"]], [[-1, -2], ["167/100", "87/100"]], [[2, 2], [-2, -2]]),
    cost=[[-1, -1], ["-85/100", "-87/100"]],
    control=[[1, 1], [-1, -1]],
    start=[[1, 1], [1, 1]],
    change=REST,
)
SHEARS = alone("two shears", {"first_loop": [[0, 10], [0, 0]], "second_loop": [[0, 0], [10, 0]]})

domination = Claim(
    id="lqr-gradient-and-domination",
    title="Linear-quadratic regulators with two controls: cost difference, gradient, average cost, gradient domination",
    source=Source("fazel2018global", where="Lemmas 1, 3, 10 and 11; as recalled", version="arXiv:1801.05039v3"),
    domain=REGULATORS,
    forms=[
        Form("gradient", equal(q.lqr_derivative, q.lqr_gradient)),
        Form("average cost", equal(q.average_cost_derivative, q.lqr_gradient)),
        Form(
            "cost difference",
            equal(q.lqr_cost_increase, q.lqr_cost_increase_formula),
            domain=TWO_GAINS,
            where=((Rational(1, 10), q.changed_margin),),
        ),
        Form("any other gain", q.lqr_cost_decrease <= q.lqr_gain_in_sight, domain=TWO_GAINS, where=((0, q.changed_margin),)),
        Form("by the residual", q.lqr_least_control_cost * q.lqr_gap <= q.lqr_optimal_moments * q.lqr_residual_square),
        Form("domination", 4 * q.lqr_least_control_cost * q.lqr_least_start**2 * q.lqr_gap <= q.lqr_optimal_moments * q.lqr_gradient_square),
        Form("without the optimum", q.lqr_least_state_cost * q.lqr_gap <= q.lqr_computable_bound),
    ],
    departs="Domination is recalled without the factor 4, which completing the square gives. Policy iteration stands for the optimum; both bounds "
    "hold for any stabilising gain in its place (docs).",
    negative_controls=[
        Control(
            "later states left out",
            equal(q.lqr_derivative, q.lqr_gradient_without_moments),
            because="a gain acts on every state that follows, not on the first alone",
        ),
        Control(
            "moments of the old gain",
            equal(q.lqr_cost_increase, q.lqr_cost_increase_old_moments),
            domain=TWO_GAINS,
            because="the difference is summed along the trajectory of the new gain; the old moments give its first order only",
        ),
        Control(
            "domination a hundredth stronger",
            Rational(404, 100) * q.lqr_least_control_cost * q.lqr_least_start**2 * q.lqr_gap <= q.lqr_optimal_moments * q.lqr_gradient_square,
            because="where the next state is 0 whatever is done and the control hardly acts, the bound is attained but for a thousandth",
        ),
        Control(
            "largest in place of smallest excitation",
            4 * q.lqr_least_control_cost * q.lqr_largest_start**2 * q.lqr_gap <= q.lqr_optimal_moments * q.lqr_gradient_square,
            because="where the error lies in a direction that the first state hardly has, the gradient hardly sees it",
        ),
        Control(
            "the mean of two stabilising gains stabilises",
            q.mean_margin >= 0,
            domain=ALONE.replace(extras=LOOPS),
            where=((0, q.first_margin), (0, q.second_margin)),
            instances=(SHEARS,),
            because="two shears [[0, 10], [0, 0]] and [[0, 0], [10, 0]] have no eigenvalue but 0, and their mean has 5 and -5",
        ),
    ],
    instances=(DEAR, DEARER, STRETCHED, UNSEEN, AT_REST, "arms([1])"),
    kind="upper",
)

ANY_NEWTON, ANY_NATURAL = {q.eta: Between(Rational(1, 20), Rational(19, 20))}, {q.fraction: Between(Rational(1, 20), 1)}
rates = Claim(
    id="lqr-natural-and-gauss-newton-rates",
    title="Linear-quadratic regulators: linear rates of Gauss-Newton and natural gradient, and stability on the way",
    source=Source("fazel2018global", where="Theorem 7, as recalled; other step sizes derived here", version="arXiv:1801.05039v3"),
    domain=ALONE.replace(extras=WIDE),
    settings=ANY_NEWTON,
    forms=[
        Form(
            "Gauss-Newton of any size",
            q.lqr_optimal_moments * q.newton_gap <= (q.lqr_optimal_moments - 4 * q.eta * (1 - q.eta) * q.lqr_least_start) * q.lqr_gap,
        ),
        Form("policy iteration, four steps", q.newton_gaps <= q.newton_factors * q.lqr_gap, settings={}),
        Form("stability", q.newton_margin >= 0),
        Form("mirror", equal(q.newton_mirror_cost, q.lqr_cost), settings={}),
        Form(
            "natural gradient",
            q.lqr_optimal_moments * q.natural_gap
            <= (q.lqr_optimal_moments - 2 * q.natural_step * q.lqr_least_control_cost * q.lqr_least_start) * q.lqr_gap,
            settings=ANY_NATURAL,
        ),
        Form(
            "natural gradient up to twice the step",
            q.lqr_optimal_moments * q.natural_gap
            <= (q.lqr_optimal_moments - 4 * q.natural_step * (1 - q.natural_step * q.lqr_largest_weight) * q.lqr_least_weight * q.lqr_least_start)
            * q.lqr_gap,
            settings={q.fraction: Between(Rational(1, 20), 2)},
        ),
        Form("natural gradient, four steps", q.natural_gaps <= q.natural_factors * q.lqr_gap, settings=ANY_NATURAL),
        Form("stability of natural gradient", q.natural_margin >= 0, settings={q.fraction: Between(Rational(1, 20), 2)}),
    ],
    uses=["lqr-gradient-and-domination"],
    departs="Printed are Gauss-Newton at step 1/2 (policy iteration) and natural gradient up to 1/(2|W|); the other steps, and the smallest "
    "eigenvalue of W in place of that of R, are derived here.",
    negative_controls=[
        Control(
            "Gauss-Newton twice as long at the rate of policy iteration",
            q.lqr_optimal_moments * q.newton_gap <= (q.lqr_optimal_moments - q.lqr_least_start) * q.lqr_gap,
            settings={q.eta: 1},
            because="the doubled step mirrors the gain at the optimum of the local quadratic and leaves the cost as it was",
        ),
        Control(
            "natural gradient with the doubled step",
            q.lqr_optimal_moments * q.natural_gap_mirrored
            <= (q.lqr_optimal_moments - 2 * q.lqr_least_control_cost * q.lqr_least_start / q.lqr_largest_weight) * q.lqr_gap,
            settings={},
            because="with one control that step is the mirror: no progress at all",
        ),
        Control(
            "natural gradient with four times the step",
            q.natural_gap_beyond <= q.lqr_gap,
            settings={},
            because="beyond the mirror the cost rises",
        ),
        Control(
            "stability at four times the step",
            q.natural_margin_beyond >= 0,
            settings={},
            because="beyond the mirror the old cost-to-go is no Lyapunov function of the new gain, which may leave the stable set",
        ),
        Control(
            "twice the excitation",
            q.lqr_optimal_moments * q.newton_gap <= (q.lqr_optimal_moments - 2 * q.lqr_least_start) * q.lqr_gap,
            settings={q.eta: Rational(1, 2)},
            because="where the plant is at rest by itself the factor would be negative, and a gap is not",
        ),
    ],
    instances=(DEAR, DEARER, STRETCHED, UNSEEN, AT_REST, UNLIKE, "arms([1])"),
    kind="upper",
)
