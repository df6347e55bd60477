"""Decisions judged by more than one sum of rewards, with their optima in closed form: `utility_cases()` holds U1 to U21.

U1 to U14   a concave utility of the discounted occupancy (normalised to 1) of a small model: `utility` names it with its exact parameters
            (`pgtheory.utility.utility_of` builds it), `optimum` is its largest value, `occupancy` (S, A) where that is attained
U15         the area that three points dominate
U16         a bandit whose reward responds to the policy: data (base, response, weight), answers ("stable", "optimal")
U17         coverage of sets: data k -> (weights of the elements, sets), in the order in which a greedy rule breaks ties;
            and a choice in two layers with a local optimum at half the best
U18 to U21  control, inventory, advice, two pulls: data are the parameters of the solvers named in `about`

Irrational answers are functions that return a ball (`flint.arb`) at the present precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flint import arb

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.zoo.build import build
from mdps.zoo.registry import instance, number

F = Fraction
HALF = F(1, 2)
Answer = Fraction | Callable[[], Any]


@dataclass(frozen=True)
class UtilityCase:
    """One row of the table.

    problem    MDP, or None where the case is about points or parameters
    utility    (name, {parameter: exact numbers})
    optimum    max of the utility
    occupancy  (S, A) nested Fractions where it is attained; unique unless `about` says otherwise
    answers    further figures by name
    data       what the case is about, exact
    """

    id: str
    about: str
    problem: MDP | None = None
    utility: tuple[str, Mapping[str, Any]] | None = None
    optimum: Answer | None = None
    occupancy: Sequence[Sequence[Fraction]] | None = None
    answers: Mapping[Any, Any] = field(default_factory=dict)
    data: Mapping[Any, Any] = field(default_factory=dict)
    source: str = "elementary"


def utility_cases() -> dict[str, UtilityCase]:
    """U1 to U21 by name, several of some: U2a, U2b, ..."""
    cases = [*_exploring(), *_imitating(), *_several_rewards(), *_concave_others(), *_points_and_responses(), *_elsewhere()]
    return {case.id: case for case in cases}


def utility_case(name: str) -> UtilityCase:
    """One case; an unknown name raises ModelError with the nearest known ones."""
    known = utility_cases()
    if name not in known:
        raise ModelError(f"there is no utility case {name!r}.{nearest(name, list(known)) or ' There are ' + ', '.join(known) + '.'}")
    return known[name]


@instance("elementary; two states with full control, for utilities of the law of the states", lambda discount="1/2": [F(0), F(0)])
def switch(discount: Any = "1/2") -> MDP:
    """Two states, stay or go to the other one; starts in the first; no reward.

    Any law of states with at most `discount` in the second is reached."""
    g = number(discount, "discount")
    return build([[({s: 1}, 0), ({1 - s: 1}, 0)] for s in range(2)], g, 0, action_names=("stay", "go"), name=f"switch({g})")


@instance("elementary; exploration of a line", lambda length=3, discount="1/2": [F(0)] * int(length))
def line(length: int = 3, discount: Any = "1/2") -> MDP:
    """States 0 .. n - 1 in a row, stay or advance (at the end both stay); starts in 0; no reward."""
    g, n = number(discount, "discount"), int(length)
    if n < 1:
        raise ModelError(f"length is {length}; a line has at least one state")
    return build([[({s: 1}, 0), ({min(s + 1, n - 1): 1}, 0)] for s in range(n)], g, 0, action_names=("stay", "advance"), name=f"line({n}, {g})")


def bandit(size: int) -> MDP:
    """One state, discount 0, no reward: its occupancies are the policies."""
    return build([[({0: 1}, 0)] * size], F(0), name=f"bandit({size})")


def coverage(k: int) -> tuple[tuple[Fraction, ...], tuple[frozenset[int], ...]]:
    """(weights, sets): k rows, then k columns of a grid of (k + 1) x k cells; a column weighs 1, row i weighs (1 - 1/k)^(i - 1), i = 1 .. k.

    The k columns cover everything, k in all.  A greedy rule that prefers rows among equals takes the k rows (after i rows the next row and every
    column have the gain (1 - 1/k)^i) and covers k (1 - (1 - 1/k)^k).  No set holds the cells of the last row except the columns."""
    if k < 1:
        raise ModelError(f"k is {k}; it must be at least 1")
    rest = 1 - F(1, k)
    weights = [F(1, k) * rest**i for i in range(k) for _ in range(k)] + [rest**k] * k
    rows = [frozenset(range(i * k, (i + 1) * k)) for i in range(k)]
    columns = [frozenset(i * k + j for i in range(k + 1)) for j in range(k)]
    return tuple(weights), tuple(rows + columns)


def _log(value: Any) -> Callable[[], Any]:
    """log of a fraction, as a ball."""
    q = F(value)
    return lambda: (arb(q.numerator) / arb(q.denominator)).log()


def _exploring() -> list[UtilityCase]:
    entropy_quarter = lambda: -(arb(1) / 4) * (arb(1) / 4).log() - (arb(3) / 4) * (arb(3) / 4).log()  # noqa: E731
    return [
        UtilityCase("U1", "the largest entropy of five arms", bandit(5), ("entropy", {"over": "pairs"}), _log(5), ((F(1, 5),) * 5,)),
        UtilityCase("U2a", "half the time in each of two states; many policies do it", switch("3/4"), ("entropy", {"over": "states"}), _log(2)),
        UtilityCase("U2b", "just reachable: leave at once and stay away", switch("1/2"), ("entropy", {"over": "states"}), _log(2)),
        UtilityCase("U2c", "discount 1/4 holds it in the first state", switch("1/4"), ("entropy", {"over": "states"}), entropy_quarter),
        UtilityCase(
            "U3a", "a line of three states at discount 1/2: law (1/2, 1/4, 1/4)", line(3), ("entropy", {"over": "states"}),
            lambda: 3 * arb(2).log() / 2, answers={"states": (HALF, F(1, 4), F(1, 4))},
        ),
        UtilityCase(
            "U3b", "at discount 9/10 all three states alike", line(3, "9/10"), ("entropy", {"over": "states"}), _log(3),
            answers={"states": (F(1, 3),) * 3},
        ),
    ]  # fmt: skip


def _imitating() -> list[UtilityCase]:
    return [
        UtilityCase(
            "U4", "the point of the simplex nearest to (1, 1/2, 0)", bandit(3),
            ("squared-distance", {"target": ((1, HALF, 0),)}), F(-1, 16), ((F(3, 4), F(1, 4), F(0)),),
        ),
        UtilityCase(
            "U5", "always in the second state, as far as the discount lets it", switch("1/2"),
            ("squared-distance", {"target": (0, 1), "over": "states"}), F(-1, 4), answers={"states": (HALF, HALF)},
        ),
        UtilityCase(
            "U14", "reward (0, tau log 3) minus tau KL to uniform at tau = 1, written as a distance to (1/4, 3/4)", bandit(2),
            ("kl-distance", {"target": ((F(1, 4), F(3, 4)),)}), F(0), ((F(1, 4), F(3, 4)),), answers={"regularised": _log(2)},
        ),
    ]  # fmt: skip


def _several_rewards() -> list[UtilityCase]:
    def arms(*values: Any) -> tuple[tuple[tuple[Fraction, ...], ...], ...]:
        """(m, 1, A) from the vector values of the arms."""
        return tuple((tuple(F(v[i]) for v in values),) for i in range(len(values[0])))

    north, east, half_east = (1, 0), (0, 1), (0, HALF)
    return [
        UtilityCase(
            "U7", "the worst of two values; no deterministic policy has it", bandit(3), ("worst", {"rewards": arms(north, east, (F(2, 5),) * 2)}),
            HALF, ((HALF, HALF, F(0)),), answers={"deterministic": F(2, 5)},
        ),
        UtilityCase(
            "U8", "a third arm that is good at both", bandit(3), ("worst", {"rewards": arms(north, east, (F(3, 5),) * 2)}),
            F(3, 5), ((F(0), F(0), F(1)),), answers={"deterministic": F(3, 5)},
        ),
        UtilityCase(
            "U9", "it beats every mixture of the others", bandit(3), ("worst", {"rewards": arms(north, half_east, (F(2, 5),) * 2)}),
            F(2, 5), ((F(0), F(0), F(1)),), answers={"deterministic": F(2, 5)},
        ),
        UtilityCase(
            "U10", "the largest product of two values", bandit(3), ("nash", {"rewards": arms(north, half_east, (F(2, 5),) * 2)}),
            _log("1/6"), ((F(1, 6), F(0), F(5, 6)),), answers={"product": F(1, 6), "objectives": (HALF, F(1, 3))},
        ),
    ]  # fmt: skip


def _concave_others() -> list[UtilityCase]:
    root = lambda: (arb(1) / 2).sqrt()  # noqa: E731
    return [
        UtilityCase(
            "U6", "weighted logarithms: shares in proportion to the weights", bandit(3), ("log-sum", {"weights": ((1, 2, 3),)}),
            lambda: (arb(1) / 6).log() + 2 * (arb(1) / 3).log() + 3 * (arb(1) / 2).log(), ((F(1, 6), F(1, 3), HALF),),
        ),
        UtilityCase(
            "U11", "weighted square roots: shares in proportion to squared weights", bandit(3),
            ("power-sum", {"weights": ((1, 2, 2),), "power": HALF}), F(3), ((F(1, 9), F(4, 9), F(4, 9)),),
        ),
        UtilityCase(
            "U12", "reward (1, 1/2, 0) minus half the squared length; plus 1/2 it is 17/16", bandit(3),
            ("quadratic", {"linear": (1, HALF, 0), "matrix": 1}), F(9, 16), ((F(3, 4), F(1, 4), F(0)),), answers={"shifted": F(17, 16)},
        ),
        UtilityCase(
            "U13a", "D-optimal: a third direction between two at right angles is not needed", bandit(3), ("log-det", {"features": None}),
            lambda: -2 * arb(2).log(), ((HALF, HALF, F(0)),), data={"features": (((1, 0), (0, 1), (root, root)),)},
        ),
        UtilityCase(
            "U13b", "a longer third direction is", bandit(3), ("log-det", {"features": (((1, 0), (0, 1), (1, 1)),)}), lambda: -arb(3).log(),
            ((F(1, 3), F(1, 3), F(1, 3)),),
        ),
    ]  # fmt: skip


def _points_and_responses() -> list[UtilityCase]:
    points = ((F(1), F(1, 5)), (F(1, 5), F(1)), (HALF, HALF))
    return [
        UtilityCase(
            "U15", "the area dominated by three points, and without the middle one, which no linear weights reach",
            answers={"all": F(9, 20), "without": F(9, 25)}, data={"points": points, "reference": (F(0), F(0))},
        ),
        UtilityCase(
            "U16", "rewards (a, 0) - eps d for the policy d of two arms, weight lam of |d|^2 / 2: retraining stops at `stable`, `optimal` is better",
            answers={"stable": (F(5, 6), F(1, 6)), "optimal": (F(3, 4), F(1, 4))},
            data={"base": (F(1), F(0)), "response": HALF, "weight": F(1)},
        ),
        UtilityCase(
            "U17", "greedy coverage with k sets reaches 1 - (1 - 1/k)^k of the best; a choice in two layers that is best in each alone reaches half",
            answers={2: F(3, 4), 3: F(19, 27), 4: F(175, 256), "layers": HALF},
            data={k: coverage(k) for k in (2, 3, 4)} | {"layers": ((("x",), ("y",)), (("x",), ()))},
            source="Nemhauser, Wolsey and Fisher 1978",
        ),
    ]  # fmt: skip


def _elsewhere() -> list[UtilityCase]:
    return [
        UtilityCase(
            "U18", "scalar linear-quadratic control (pgtheory.LinearQuadratic)", answers={"value": F(1), "gain": HALF},
            data={"a": F(1), "b": F(1), "q": HALF, "r": F(1), "discount": F(1)},
        ),
        UtilityCase(
            "U19", "inventory of a market maker: V = P q^2 + constant, u = share q", answers={"value": F(1), "share": F(1, 3)},
            data={"phi": F(2, 3), "eta": F(1), "discount": HALF},
        ),
        UtilityCase(
            "U20", "advice that is followed half the time (pgtheory.solve_advice): go to a state that pays 1 for ever; the human stays",
            build([[({0: 1}, 0), ({1: 1}, 0)], [({1: 1}, 1)] * 2], HALF, 0, action_names=("stay", "go"), name="adherence"),
            answers={"value": F(2, 3), "best": F(1)}, data={"adherence": HALF, "human": ((F(1), F(0)), (F(1), F(0)))},
        ),
        UtilityCase(
            "U21", "one of two arms pays 1, a fair coin says which; two pulls (pgtheory.control.adaptive_value)",
            answers={"fixed": F(1), "learning": F(3, 2), "informed": F(2), "learning max-min": F(3, 2)}, data={"prior": (HALF, HALF), "pulls": 2},
        ),
    ]  # fmt: skip
