"""Small stochastic models of operations research and exploration; V* in exact rationals for the published parameters."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mdps.errors import ModelError
from mdps.model import MDP
from mdps.zoo.build import Outcome, build
from mdps.zoo.registry import count, instance, number


def _two_state_optimum(discount: Any = "19/20", ragged: bool = False) -> list[Fraction]:
    g = number(discount, "discount")
    second = -1 / (1 - g)
    return [max((5 + g / 2 * second) / (1 - g / 2), 10 + g * second), second]


@instance("Puterman 2005, Section 3.1 (Figure 3.1.1)", _two_state_optimum)
def two_state(discount: Any = "19/20", ragged: bool = False) -> MDP:
    """Puterman's two-state example: 5 now and a coin flip, or 10 now and -1 a step for ever.

    s1: the first action pays 5 and stays with probability 1/2, the second pays 10; both else lead to s2, which pays -1 and is absorbing.
    V*(s2) = -1/(1-g); V*(s1) = max((5 + g/2 V*(s2))/(1 - g/2), 10 + g V*(s2)), which is -60/7 at g = 19/20.

    ragged   s2 has its one action only; otherwise it is listed twice, so that every state has two
    """
    g = number(discount, "discount")
    stay: Outcome = ({1: 1}, -1)
    pairs = [[({0: Fraction(1, 2), 1: Fraction(1, 2)}, 5), ({1: 1}, 10)], [stay] if ragged else [stay, stay]]
    return build(pairs, g, state_names=("s1", "s2"), name=f"two_state({g})")


@instance("Dadashi, Taiga, Le Roux, Schuurmans, Bellemare 2019, Figure 2 (d)")
def polytope(discount: Any = "9/10") -> MDP:
    """Two states, two actions, whose set of values is the polytope of Dadashi et al. 2019, Figure 2 (d)."""
    g = number(discount, "discount")
    rows = [[("7/10", "3/10", "-9/20"), ("99/100", "1/100", "-1/10")], [("1/5", "4/5", "1/2"), ("99/100", "1/100", "1/2")]]
    return build([[({0: Fraction(p), 1: Fraction(q)}, Fraction(r)) for p, q, r in state] for state in rows], g, name=f"polytope({g})")


_RIVER_SWIM = (10761680250, 14747487750, 21538122750, 31778750250, 46962200250, 69416757750)


def _river_swim_optimum(num_states: int = 6, discount: Any = "9/10") -> list[Fraction] | None:
    known = num_states == 6 and number(discount, "discount") == Fraction(9, 10)
    return [Fraction(v, 7029349) for v in _RIVER_SWIM] if known else None


@instance("Strehl and Littman 2008 (RiverSwim)", _river_swim_optimum)
def river_swim(num_states: int = 6, discount: Any = "9/10") -> MDP:
    """River swim: reward 5 for drifting at the left bank, 10,000 for reaching the right one against the current.

    left moves left for sure.  right moves right with 3/10, stays with 6/10, drifts back with 1/10; at the left bank it stays with 7/10, at the
    right bank it stays with 3/10 (and is paid) and drifts back with 7/10.  V* is known for six states at discount 9/10: always swim right.
    """
    n, g = count(num_states, "num_states", least=2), number(discount, "discount")
    move, stay, back = Fraction(3, 10), Fraction(6, 10), Fraction(1, 10)
    pairs: list[list[Outcome]] = [[({0: 1}, 5), ({0: 1 - move, 1: move}, 0)]]
    pairs += [[({s - 1: 1}, 0), ({s - 1: back, s: stay, s + 1: move}, 0)] for s in range(1, n - 1)]
    pairs += [[({n - 2: 1}, 0), ({n - 1: move, n - 2: 1 - move}, 10000 * move)]]
    return build(pairs, g, action_names=("left", "right"), name=f"river_swim({n}, {g})")


def _forest_optimum(num_states: int = 3, old: Any = 4, cut: Any = 2, fire: Any = "1/10", discount: Any = "24/25") -> list[Fraction] | None:
    """The best threshold policy (cut below an age, wait from it on), returned only where it satisfies Bellman's equation: then it is V*."""
    if num_states > 50:
        return None
    r1, r2, p, g = number(old, "old"), number(cut, "cut"), number(fire, "fire"), number(discount, "discount")
    last, q = num_states - 1, 1 - p
    paid = [Fraction(0), *[Fraction(1)] * (num_states - 2), r2]
    for threshold in range(1, num_states + 1):
        # V(s) = constant[s] + slope[s] V(0); waiting at the last age is a loop.
        constant, slope = [Fraction(0)] * num_states, [Fraction(0)] * num_states
        for s in range(last, -1, -1):
            if 0 < s < threshold:
                constant[s], slope[s] = paid[s], g
            elif s == last:
                constant[s], slope[s] = r1 / (1 - g * q), g * p / (1 - g * q)
            else:
                constant[s], slope[s] = g * q * constant[s + 1], g * p + g * q * slope[s + 1]
        first = constant[0] / (1 - slope[0])
        values = [c + m * first for c, m in zip(constant, slope, strict=True)]
        waiting = [(r1 if s == last else 0) + g * (p * values[0] + q * values[min(s + 1, last)]) for s in range(num_states)]
        cutting = [paid[s] + g * values[0] for s in range(num_states)]
        if all(v == max(w, c) for v, w, c in zip(values, waiting, cutting, strict=True)):
            return values
    return None


@instance("the forest example of the MDP toolbox (Chades, Chapron, Cros, Garcia, Sabbadin 2014)", _forest_optimum)
def forest_management(num_states: int = 3, old: Any = 4, cut: Any = 2, fire: Any = "1/10", discount: Any = "24/25") -> MDP:
    """Forest management: wait and let it grow (a fire may burn it), or cut and start again.

    State = age class.  wait: fire (probability `fire`) leads to age 0, else one class older; waiting in the oldest class pays `old`.  cut: back to
    age 0; pays 0 at age 0, 1 at ages between, `cut` in the oldest class.  V* in closed form where a threshold policy is optimal.
    """
    n, g = count(num_states, "num_states", least=2), number(discount, "discount")
    r1, r2, p = number(old, "old"), number(cut, "cut"), number(fire, "fire")
    if not 0 <= p <= 1:
        raise ModelError(f"fire is {p}; a probability is in [0, 1]")
    last = n - 1
    pairs = [[({0: p, s + 1: 1 - p}, 0), ({0: 1}, min(s, 1))] for s in range(last)] + [[({0: p, last: 1 - p}, r1), ({0: 1}, r2)]]
    return build(pairs, g, action_names=("wait", "cut"), name=f"forest_management({n}, {g})")


@instance("Puterman 2005, Section 3.2 (stochastic inventory control)")
def inventory(capacity: int = 3, discount: Any = "19/20") -> MDP:
    """Inventory control: order up to the capacity, demand 0, 1 or 2 with probability 1/4, 1/2, 1/4, lost where the stock does not meet it.

    State = stock s; action a = 0 .. capacity - s orders a at 4 + 2a (nothing costs nothing).  Holding costs 1 a unit, a sold unit pays 8:
    r(s, a) = 8 E min(demand, s + a) - (4 + 2a) [a > 0] - (s + a).  States have different numbers of actions.
    """
    most, g = count(capacity, "capacity"), number(discount, "discount")
    demand = {0: Fraction(1, 4), 1: Fraction(1, 2), 2: Fraction(1, 4)}

    def order(stock: int, amount: int) -> Outcome:
        level = stock + amount
        to: dict[int, Fraction] = {}
        for wanted, p in demand.items():
            left = max(level - wanted, 0)
            to[left] = to.get(left, Fraction(0)) + p
        sold = sum((p * min(wanted, level) for wanted, p in demand.items()), Fraction(0))
        return to, 8 * sold - (4 + 2 * amount if amount else 0) - level

    pairs = [[order(s, a) for a in range(most - s + 1)] for s in range(most + 1)]
    names = tuple(f"order {a}" for a in range(most + 1))
    return build(pairs, g, action_names=names, name=f"inventory({most}, {g})")


_MACHINE = (
    (-631675863936, -719408622816, -819326487096, -933121832526)
    + (Fraction(-2125444174087, 2), -1254415234916, -1964389856666, -1964389856666, -1478105869166, -612363735956)
)  # fmt: skip


def _machine_optimum(discount: Any = "9/10") -> list[Fraction] | None:
    return [Fraction(v) / 118329103625 for v in _MACHINE] if number(discount, "discount") == Fraction(9, 10) else None


@instance("Delage and Mannor 2010, in the form of the craam2 library's test instance (MIT)", _machine_optimum)
def machine_replacement(discount: Any = "9/10") -> MDP:
    """Machine replacement: ten states of wear and repair, run on or repair; V* known at discount 9/10.

    run wears the machine on with probability 4/5 (at wear 7 it is worn out: -20 a step).  repair works with 6/10 (cost 2, state 9), fails badly with
    1/10 (cost 10, state 8), else wears on.
    """
    g = number(discount, "discount")
    paid = [0] * 7 + [-20, -10, -2]  # on arrival at, or while staying in, the last three states

    def outcome(to: dict[int, str]) -> Outcome:
        moves = {s: Fraction(p) for s, p in to.items()}
        return moves, sum((p * paid[s] for s, p in moves.items()), Fraction(0))

    pairs = [[outcome({s: "1/5", s + 1: "4/5"}), outcome({s + 1: "3/10", 9: "6/10", 8: "1/10"})] for s in range(7)]
    pairs += [[outcome({7: "1"}), outcome({7: "3/10", 9: "6/10", 8: "1/10"})]]
    pairs += [[outcome({8: "1"}), outcome({9: "6/10", 8: "4/10"})]]
    pairs += [[outcome({9: "1/5", 0: "4/5"}), outcome({9: "1"})]]
    names = [*(f"wear {s}" for s in range(8)), "failed repair", "repaired"]
    return build(pairs, g, state_names=names, action_names=("run", "repair"), name=f"machine_replacement({g})")
