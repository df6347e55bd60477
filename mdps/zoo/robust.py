"""Robust decisions with their optima in closed form: `robust_cases()` holds R1 to R21, `robust_case("R7")` one of them.

Each case is a `RobustMDP` with the exact optimal values of the states that matter, and an optimal policy where it is unique and worth knowing.  Cases
about one worst case (a ball, a row p, next values v) are models of one step: the first state pays nothing and leads to absorbing states that pay v_i
a step, so that at discount 1/2 the first state is worth exactly min q . v.  Some radii are irrational; the model then carries the float next to it,
and `radius` returns the number itself as a ball (`flint.arb`).

`robust_river_swim` and `robust_machine_replacement` are the classics with L1 balls, rewards paid on arrival as in the craam2 library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.ambiguity.balls import KL, L1, L2, Ambiguity, Chi2, Contamination, Linf, TotalVariation, Wasserstein
from mdps.ambiguity.others import FiniteSet, KLPenalty, RewardBall, RewardBox
from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import rational, rational_array
from mdps.robust import RobustMDP
from mdps.zoo.build import Outcome, build
from mdps.zoo.classics import machine_replacement, river_swim
from mdps.zoo.registry import number

Array = np.ndarray
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class RobustCase:
    """One row of the table.

    values   {state: exact optimum}: Fractions, or a function that returns a ball at the present precision
    policy   {state: probabilities of the actions} where the optimal one is unique
    radius   the irrational radius as a ball, or None
    static   the optimum from the start if nature must choose one kernel for the whole model (`evaluate_static`)
    """

    id: str
    about: str
    problem: RobustMDP
    values: Mapping[int, Any] = field(default_factory=dict)
    policy: Mapping[int, Sequence[Fraction]] = field(default_factory=dict)
    radius: Callable[[], Any] | None = None
    static: Fraction | None = None
    source: str = "elementary"


def robust_cases() -> dict[str, RobustCase]:
    """R1 to R21 by name, several of some: R7a, R7b, ..."""
    cases = [*_block_cases(), *_chains(), *_one_step_cases(), *_reward_cases(), *_cut_cases()]
    return {case.id: case for case in cases}


def robust_case(name: str) -> RobustCase:
    """One case; an unknown name raises ModelError with the nearest known ones."""
    known = robust_cases()
    if name not in known:
        raise ModelError(f"there is no robust case {name!r}.{nearest(name, list(known)) or ' There are ' + ', '.join(known) + '.'}")
    return known[name]


def _absorbing(state: int, reward: Any, actions: int = 1) -> list[Outcome]:
    return [({state: 1}, reward)] * actions


# s-rectangular sets: randomising pays


def coin(discount: Any = "1/2") -> RobustMDP:
    """Nature tosses one coin for both actions: P(good | a1) = xi, P(good | a2) = 1 - xi.  A deterministic policy is worth 0, the uniform one half."""
    g = number(discount, "discount")
    nominal = build([[({1: HALF, 2: HALF}, 0)] * 2, _absorbing(1, 1, 2), _absorbing(2, 0, 2)], g, start=0, name=f"coin({g})")
    kernels = np.stack([nominal.exact.transitions.copy() for _ in range(2)])
    for xi, kernel in enumerate(kernels):
        for action, good in enumerate((xi, 1 - xi)):
            kernel[0, action] = rational_array([0, good, 1 - good])
    return RobustMDP(nominal, FiniteSet(kernels, rectangular="s"))


def shared_budget(good: Sequence[Any], budget: Any = "1/2", discount: Any = "1/2") -> RobustMDP:
    """One step to a good or a bad end, P(good | a) = good[a]; nature moves sum_a |q_a - p_a|_1 <= budget in all."""
    g, chances = number(discount, "discount"), [number(p, f"good[{k}]") for k, p in enumerate(good)]
    count = len(chances)
    nominal = build([[({1: p, 2: 1 - p}, 0) for p in chances], _absorbing(1, 1, count), _absorbing(2, 0, count)], g, start=0)
    return RobustMDP(nominal, L1(rational_array([number(budget, "budget"), 0, 0]), rectangular="s"), "shared_budget")


def _block_cases() -> list[RobustCase]:
    wiesemann = "after Wiesemann, Kuhn and Rustem 2013, Section 3"
    return [
        RobustCase("R1", "one coin for two actions: only the fair mixture is worth anything", coin(), {0: HALF}, {0: (HALF, HALF)}, source=wiesemann),
        RobustCase("R2", "a common budget, equal actions", shared_budget(["3/4", "3/4"]), {0: Fraction(5, 8)}, {0: (HALF, HALF)}, source=wiesemann),
        RobustCase(
            "R3", "a common budget, unequal actions", shared_budget(["3/4", "5/8"]), {0: Fraction(9, 16)}, {0: (HALF, HALF)}, source=wiesemann
        ),
        RobustCase(
            "R4", "actions too unequal for mixing to pay", shared_budget(["3/4", "3/8"]), {0: HALF}, {0: (Fraction(1), Fraction(0))}, source=wiesemann
        ),
    ]


# (s, a)-rectangular sets: chains


def good_and_bad(ambiguity: Ambiguity) -> RobustMDP:
    """A good state that pays 1 and a bad one that pays 0; nominally both stay.  Discount 9/10."""
    return RobustMDP(build([_absorbing(0, 1), _absorbing(1, 0)], Fraction(9, 10), name="good_and_bad"), ambiguity)


def risky_or_safe(contamination: Any) -> RobustMDP:
    """Risky: good with 4/5, else bad; safe: 7/10 a step from the next one on.  Only the risky row is contaminated.  Discount 1/2."""
    pairs = [[({1: Fraction(4, 5), 2: Fraction(1, 5)}, 0), ({3: 1}, 0)], *(_absorbing(k, r, 2) for k, r in ((1, 1), (2, 0), (3, Fraction(7, 10))))]
    nominal = build(pairs, HALF, start=0, state_names=("choice", "good", "bad", "safe"), action_names=("risky", "safe"), name="risky_or_safe")
    radius = rational_array(np.zeros((4, 2), dtype=int))
    radius[0, 0] = rational(number(contamination, "contamination"))
    return RobustMDP(nominal, Contamination(radius))


def ladder(contamination: Any = "1/5", discount: Any = "1/2") -> RobustMDP:
    """Three steps: up with probability 1/2, else stay; the top is absorbing and pays 1."""
    pairs = [[({0: HALF, 1: HALF}, 0)], [({1: HALF, 2: HALF}, 0)], _absorbing(2, 1)]
    return RobustMDP(build(pairs, number(discount, "discount"), name="ladder"), Contamination(number(contamination, "contamination")))


def two_rows(stay: Any, radius: Any, discount: Any) -> RobustMDP:
    """Two states that pay 1 and 0 and stay with one probability; an L1 ball in both."""
    p = number(stay, "stay")
    nominal = build([[({0: p, 1: 1 - p}, 1)], [({0: 1 - p, 1: p}, 0)]], number(discount, "discount"), name="two_rows")
    return RobustMDP(nominal, L1(number(radius, "radius")))


def _chains() -> list[RobustCase]:
    ends = {0: Fraction(100, 19), 1: Fraction(0)}
    risky, safe = (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))
    return [
        RobustCase("R5", "contamination lowers the discount", good_and_bad(Contamination("1/10")), ends),
        RobustCase("R6", "the same by an L1 ball of twice the radius", good_and_bad(L1("1/5")), ends),
        RobustCase("R7a", "risky or safe without contamination", risky_or_safe(0), {0: Fraction(4, 5)}, {0: risky}),
        RobustCase("R7b", "risky or safe at the switch", risky_or_safe("1/8"), {0: Fraction(7, 10)}),
        RobustCase("R7c", "risky or safe beyond it", risky_or_safe("1/4"), {0: Fraction(7, 10)}, {0: safe}),
        RobustCase("R15", "a contaminated ladder", ladder(), {0: Fraction(1, 8), 1: Fraction(7, 16), 2: Fraction(27, 16)}),
        RobustCase("R16", "a chain that flips", two_rows("3/4", "1/4", "1/2"), {0: Fraction(3, 2), 1: Fraction(1, 6)}),
        RobustCase(
            "R17", "where the price of robustness meets its bound", two_rows("1/2", "2/5", "9/10"), {0: Fraction(37, 10), 1: Fraction(27, 10)}
        ),
    ]


# One worst case


def one_step(p: Sequence[Any], v: Sequence[Any], ball: Callable[[Any], Ambiguity], radius: Any) -> RobustMDP:
    """First state worth min q . v over ball(radius) around p, by absorbing states that pay v_i; discount 1/2, every other radius 0."""
    chances, paid = [number(x, "p") for x in p], [number(x, "v") for x in v]
    pairs = [[({k + 1: x for k, x in enumerate(chances)}, 0)], *(_absorbing(k + 1, x) for k, x in enumerate(paid))]
    radii = rational_array(np.zeros((len(paid) + 1, 1), dtype=int))
    radii[0, 0] = rational(radius)
    return RobustMDP(build(pairs, HALF, start=0, name="one_step"), ball(radii))


def _line(points: int) -> Array:
    """Transport along a line of absorbing states; the first state is far away."""
    place = np.arange(points)
    cost = np.full((points + 1, points + 1), 100)
    cost[1:, 1:] = abs(place[:, None] - place[None, :])
    np.fill_diagonal(cost, 0)
    return rational_array(cost)


def _root_of_two_sixths() -> Any:
    from flint import arb

    return arb(2).sqrt() / 6


def _kl_to_a_quarter() -> Any:
    """KL((1/4, 3/4) || fair coin) = log 2 - H(1/4)."""
    from flint import arb

    quarter = arb(1) / 4
    return arb(2).log() + quarter * quarter.log() + (1 - quarter) * (1 - quarter).log()


def _half_log_three() -> Any:
    from flint import arb

    return arb(3).log() / 2


def _entropic_coin() -> Any:
    from flint import arb

    return 1 - arb(2).log() / arb(3).log()


def _one_step_cases() -> list[RobustCase]:
    third, fair = ["1/3"] * 3, ["1/2", "1/2"]
    line = _line(3)
    surely_last = [0, 0, 1]
    irrational = {name: float(f().mid()) for name, f in (("l2", _root_of_two_sixths), ("kl", _kl_to_a_quarter), ("log", _half_log_three))}
    return [
        RobustCase(
            "R8", "L2 ball around the uniform law on 0, 1, 2", one_step(third, [0, 1, 2], lambda r: L2(r, support="nominal"), irrational["l2"]),
            {0: Fraction(2, 3)}, radius=_root_of_two_sixths, source="Derman, Geist and Mannor 2021",
        ),
        RobustCase(
            "R9", "Linf ball around the uniform law on 0, 1, 2, 3",
            one_step(["1/4"] * 4, [0, 1, 2, 3], lambda r: Linf(r, support="nominal"), "1/8"), {0: Fraction(1)},
            source="Derman, Geist and Mannor 2021",
        ),
        RobustCase("R10", "chi2 ball around a fair coin", one_step(fair, [0, 1], Chi2, "1/4"), {0: Fraction(1, 4)}, source="Iyengar 2005"),
        RobustCase(
            "R11", "KL ball around a fair coin that just reaches 1/4", one_step(fair, [0, 1], KL, irrational["kl"]), {0: Fraction(1, 4)},
            radius=_kl_to_a_quarter, source="Nilim and El Ghaoui 2005",
        ),
        *(
            RobustCase(
                name, "transport along a line", one_step(surely_last, [0, 1, 4], lambda r: Wasserstein(r, cost=line), radius), {0: worth},
                source="Gao and Kleywegt 2016",
            )
            for name, radius, worth in (("R12a", "1/2", Fraction(5, 2)), ("R12b", "3/2", HALF))
        ),
        RobustCase(
            "R13", "a price on divergence: entropic risk of a fair coin at log 3 (at half of it for values that are doubled)",
            one_step(fair, [0, 1], KLPenalty, irrational["log"]), {0: _entropic_coin}, radius=_half_log_three,
        ),
        RobustCase(
            "R14", "total variation, not L1", one_step(["1/6", "1/3", "1/2"], [0, 1, 2], TotalVariation, "1/4"), {0: Fraction(5, 6)},
            source="Strehl and Littman 2008",
        ),
    ]  # fmt: skip


# Sets of rewards


def _reward_cases() -> list[RobustCase]:
    derman = "Derman, Geist and Mannor 2021"
    arms = build([[({0: 1}, HALF)] * 4], HALF, name="four equal arms")
    two = build([[({0: 1}, Fraction(1, 5)), ({0: 1}, 0)]], Fraction(0), name="two arms")
    steady = build([_absorbing(0, Fraction(3, 4))], Fraction(9, 10), name="steady")
    return [
        RobustCase("R18", "a ball of rewards on equal arms", RobustMDP(arms, RewardBall(HALF)), {0: HALF}, {0: (Fraction(1, 4),) * 4}, source=derman),
        RobustCase(
            "R19", "a ball of rewards makes the best policy random", RobustMDP(two, RewardBall(1)), {0: Fraction(-3, 5)},
            {0: (Fraction(4, 7), Fraction(3, 7))}, source=derman,
        ),
        RobustCase("R21", "a box of rewards takes its radius in every step", RobustMDP(steady, RewardBox("1/4")), {0: Fraction(5)}),
    ]  # fmt: skip


# Sets that are no product: evaluating one policy is as hard as maximum cut


def graph(name: str) -> tuple[int, list[tuple[int, int]]]:
    """(number of nodes, edges) of K3, K4, C5 or petersen."""
    if name == "petersen":
        ring = [(k, (k + 1) % 5) for k in range(5)]
        return 10, [*ring, *((k, k + 5) for k in range(5)), *((5 + k, 5 + (k + 2) % 5) for k in range(5))]
    kind, size = name[:1], name[1:]
    if kind not in ("K", "C") or not size.isdigit() or not 2 < int(size) < 11:
        raise ModelError(f"there is no graph {name!r}; there are K3 to K10 (complete), C3 to C10 (cycles) and petersen")
    nodes = int(size)
    return nodes, list(itertools.combinations(range(nodes), 2)) if kind == "K" else [(k, (k + 1) % nodes) for k in range(nodes)]


def max_cut(name: str = "K3", rectangular: str = "none") -> RobustMDP:
    """Nature colours the nodes of a graph, one kernel a colouring; the process picks an edge and pays 1 in all if both ends have the same colour.

    The worst kernel is a maximum cut: value 1 - maxcut / |E|.  rectangular="sa": colours may differ between visits, and the value is 0.
    The first node may be given its colour, because exchanging the colours changes nothing.
    """
    nodes, edges = graph(name)
    count = len(edges)
    cut, uncut = 1 + 3 * count, 2 + 3 * count

    def visits(colour: Sequence[int]) -> Array:
        """{0, 1}: where each state leads, but the first."""
        kernel = np.zeros((3 * count + 3, 3 * count + 3), dtype=int)
        for e, (i, j) in enumerate(edges):
            kernel[1 + 3 * e, 2 + 3 * e + colour[i]] = 1
            for bit in (0, 1):
                kernel[2 + 3 * e + bit, uncut if colour[j] == bit else cut] = 1
        kernel[cut, cut] = kernel[uncut, uncut] = 1
        return kernel

    colourings = [(0, *rest) for rest in itertools.product((0, 1), repeat=nodes - 1)]
    kernels = np.stack([visits(c) for c in colourings])[:, :, None, :]
    kernels = rational_array(kernels) if nodes <= 5 else kernels.astype(float)  # a thousand kernels of rationals would fill the memory
    kernels[:, 0, 0, 1 : 3 * count : 3] = rational(Fraction(1, count)) if nodes <= 5 else 1 / count
    rewards = np.zeros((3 * count + 3, 1), dtype=int)
    rewards[uncut] = 4
    start = [int(s == 0) for s in range(3 * count + 3)]
    nominal = MDP(kernels[0], rewards, "1/2", rational_array(start), name=f"max_cut({name})")
    return RobustMDP(nominal, FiniteSet(kernels, rectangular=rectangular))


def _cut_cases() -> list[RobustCase]:
    source = "after Wiesemann, Kuhn and Rustem 2013, Theorem 1"
    worth = {"K3": Fraction(1, 3), "K4": Fraction(1, 3), "C5": Fraction(1, 5), "petersen": Fraction(1, 5)}
    return [
        RobustCase(f"R20{k}", f"maximum cut of {g}", max_cut(g), static=w, source=source) for k, (g, w) in zip("abcd", worth.items(), strict=True)
    ]


# Classics


def robust_river_swim(radius: Any = "1/5", support: str = "nominal", num_states: int = 6, discount: Any = "9/10") -> RobustMDP:
    """River swim with an L1 ball around every row; the rewards are paid on arrival, so nature moves them too."""
    nominal = river_swim(num_states, discount)
    paid = nominal.exact.transitions * 0
    paid[0, 0, 0], paid[-1, 1, -1] = rational(5), rational(10_000)
    return RobustMDP(nominal, L1(number(radius, "radius"), support=support), f"robust_river_swim({radius})", transition_rewards=paid)


def robust_machine_replacement(radius: Any = "1/5", support: str = "nominal", discount: Any = "9/10") -> RobustMDP:
    """Machine replacement with an L1 ball around every row; the costs are paid on arrival."""
    nominal = machine_replacement(discount)
    reached = nominal.exact.transitions != 0
    paid = np.where(reached, rational_array([0] * 7 + [-20, -10, -2]), rational(0))
    return RobustMDP(nominal, L1(number(radius, "radius"), support=support), f"robust_machine_replacement({radius})", transition_rewards=paid)
