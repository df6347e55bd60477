"""Instances on which theorems about policy optimisation are tight or fail; V* in closed form.

loop, chain     stay or leave; walk right to be paid
domino          optimality travels one state per improvement: n + 1 states, n policy-iteration steps
btpair, lure    greedy policies of perturbed values lose as much as the bounds allow
vanish          the policy gradient vanishes exponentially in the horizon (Agarwal, Kakade, Lee, Mahajan 2021, Figure 2 / Proposition 4.1)
blind           two controllers whose mixture has a stationary point that is no maximum
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from mdps.model import MDP
from mdps.zoo.build import Outcome, build
from mdps.zoo.registry import count, instance, number


def _gamma(discount: Any) -> Fraction:
    return number(discount, "discount")


def _loop_optimum(discount: Any = "9/10") -> list[Fraction]:
    return [1 / (1 - _gamma(discount)), Fraction(0)]


@instance("folklore; the smallest instance on which a gradient formula can be wrong", _loop_optimum)
def loop(discount: Any = "9/10") -> MDP:
    """LOOP(g): stay at reward 1, or leave for good.

    s0: a0 stays and pays 1, a1 leads to s1 and pays 0; s1 is absorbing and pays 0.  V*(s0) = 1/(1-g), V*(s1) = 0.
    """
    g = _gamma(discount)
    pairs = [[({0: 1}, 1), ({1: 1}, 0)], [({1: 1}, 0), ({1: 1}, 0)]]
    return build(pairs, g, state_names=("inside", "outside"), action_names=("stay", "leave"), name=f"loop({g})")


def _chain_optimum(length: int = 3, discount: Any = "9/10") -> list[Fraction]:
    g = _gamma(discount)
    return [g ** (length - s) / (1 - g) for s in range(length + 1)]


@instance("folklore", _chain_optimum)
def chain(length: int = 3, discount: Any = "9/10") -> MDP:
    """CHAIN(n,g): a corridor of states 0..n that pays 1 a step at its right end.

    a0 goes right (stays at n), a1 goes left (stays at 0); state n pays 1 for both actions.  V*(s) = g^(n-s)/(1-g).
    """
    n, g = count(length, "length"), _gamma(discount)
    pairs = [[({min(s + 1, n): 1}, int(s == n)), ({max(s - 1, 0): 1}, int(s == n))] for s in range(n + 1)]
    return build(pairs, g, action_names=("right", "left"), name=f"chain({n}, {g})")


def _domino_optimum(length: int = 8, discount: Any = "9/10") -> list[Fraction]:
    g = _gamma(discount)
    return [*(g**s / (1 - g) for s in range(length + 1)), g**length / 2 / (1 - g)]


@instance("worst case of policy iteration, Section 0 of our list of exact claims", _domino_optimum)
def domino(length: int = 8, discount: Any = "9/10") -> MDP:
    """DOMINO(n,g): optimality travels one state per improvement.

    State 0 loops: a0 pays 1, a1 pays 0.  State s in 1..n: a0 leads to s-1 and pays 0, a1 leads to the sink n+1 and pays delta = g^n/2.  The
    sink loops and pays delta.  V*(s) = g^s/(1-g) for s <= n, delta/(1-g) in the sink.  From "always a1" policy iteration changes one state a step.
    """
    n, g = count(length, "length"), _gamma(discount)
    delta = g**n / 2
    pairs: list[list[Outcome]] = [[({0: 1}, 1), ({0: 1}, 0)]]
    pairs += [[({s - 1: 1}, 0), ({n + 1: 1}, delta)] for s in range(1, n + 1)]
    pairs += [[({n + 1: 1}, delta), ({n + 1: 1}, delta)]]
    names = [*(f"domino {s}" for s in range(n + 1)), "sink"]
    return build(pairs, g, state_names=names, action_names=("down", "out"), name=f"domino({n}, {g})")


def _btpair_optimum(discount: Any = "9/10", error: Any = 1, tie: Any = "1e-9") -> list[Fraction]:
    g, e, t = _gamma(discount), number(error, "error"), number(tie, "tie")
    return [max(Fraction(0), (t - 2 * g * e) / (1 - g)), Fraction(0)]


@instance("tightness of the greedy-policy bound, after Bertsekas and Tsitsiklis 1996, Chapter 6", _btpair_optimum)
def btpair(discount: Any = "9/10", error: Any = 1, tie: Any = "1e-9") -> MDP:
    """BTPAIR(g,e): the greedy policy of V* + (e, -e) loses 2 g e/(1-g), all that the bound allows.

    s0: a0 loops and pays -2 g e (plus `tie`, which makes it the greedy one), a1 leads to s1 and pays 0; s1 is absorbing and pays 0.
    V* = (0, 0) while tie <= 2 g e.
    """
    g, e, t = _gamma(discount), number(error, "error"), number(tie, "tie")
    pairs = [[({0: 1}, t - 2 * g * e), ({1: 1}, 0)], [({1: 1}, 0), ({1: 1}, 0)]]
    return build(pairs, g, action_names=("loop", "leave"), name=f"btpair({g}, {e})")


def _lure_rewards(length: int, g: Fraction, e: Fraction, tie: Fraction) -> list[Fraction]:
    cost = [Fraction(0)]
    for _ in range(length):
        cost.append(g * cost[-1] + 2 * g * e)
    return [tie - c for c in cost]


def _lure_optimum(length: int = 4, discount: Any = "9/10", error: Any = 1, tie: Any = "1e-7") -> list[Fraction]:
    g = _gamma(discount)
    values = [Fraction(0)]
    for reward in _lure_rewards(length, g, number(error, "error"), number(tie, "tie"))[1:]:
        values.append(max(reward / (1 - g), g * values[-1]))
    return values


@instance("approximate policy iteration at its worst, after Bertsekas and Tsitsiklis 1996, Chapter 6", _lure_optimum)
def lure(length: int = 4, discount: Any = "9/10", error: Any = 1, tie: Any = "1e-7") -> MDP:
    """LURE(n,g,e): errors e in each evaluation lure approximate policy iteration into loops that cost 2 g e/(1-g)^2.

    State 0 is absorbing and pays 0.  State i: a0 loops and pays -c_i (plus `tie`), c_i = g c_{i-1} + 2 g e, c_0 = 0; a1 leads to i-1 and pays 0.
    V* = 0 everywhere while tie <= c_1.
    """
    n, g, e, t = count(length, "length"), _gamma(discount), number(error, "error"), number(tie, "tie")
    rewards = _lure_rewards(n, g, e, t)
    pairs = [[({0: 1}, 0), ({0: 1}, 0)], *([({i: 1}, rewards[i]), ({i - 1: 1}, 0)] for i in range(1, n + 1))]
    return build(pairs, g, action_names=("loop", "down"), name=f"lure({n}, {g}, {e})")


def _vanish_optimum(horizon: int = 4) -> list[Fraction]:
    g = Fraction(horizon, horizon + 1)
    return [g ** (horizon + 1 - s) * (horizon + 1) for s in range(horizon + 2)]


@instance("Agarwal, Kakade, Lee, Mahajan 2021, Figure 2 and Proposition 4.1", _vanish_optimum)
def vanish(horizon: int = 4) -> MDP:
    """VANISH(H): all derivatives of the value up to high order vanish exponentially in H.

    States 0..H+1, g = H/(H+1), four actions: a0 right, a1, a2 and a3 left (at state 0 they stay); state H+1 is absorbing and pays 1, all else
    pays 0.  V*(s) = (H+1) g^(H+1-s).  Starts in state 0.
    """
    h = count(horizon, "horizon")
    right = [({s + 1: 1}, 0) for s in range(h + 1)]
    left = [({max(s - 1, 0): 1}, 0) for s in range(h + 1)]
    pairs = [[right[s], left[s], left[s], left[s]] for s in range(h + 1)] + [[({h + 1: 1}, 1)] * 4]
    return build(pairs, Fraction(h, h + 1), 0, action_names=("right", "left", "left 2", "left 3"), name=f"vanish({h})")


def _blind_optimum(prize: Any = "9/10", discount: Any = "9/10") -> list[Fraction]:
    x, g = number(prize, "prize"), _gamma(discount)
    return [g * max(Fraction(1), x), Fraction(1), max(x, Fraction(0)), Fraction(0)]


@instance("state-independent mixtures of controllers, Section 0 of our list of exact claims", _blind_optimum)
def blind(prize: Any = "9/10", discount: Any = "9/10") -> MDP:
    """BLIND(x,g): choose a door, then the matching action behind it; mixtures that cannot see the state get stuck between.

    s0: a0 -> s1, a1 -> s2, reward 0; s1: a0 pays 1, a1 pays 0; s2: a1 pays x, a0 pays 0; both then end in s3, absorbing with reward 0.
    V* = (g max(1, x), 1, max(x, 0), 0).  Starts in s0.
    """
    x, g = number(prize, "prize"), _gamma(discount)
    end: dict[int, Any] = {3: 1}
    pairs = [[({1: 1}, 0), ({2: 1}, 0)], [(end, 1), (end, 0)], [(end, 0), (end, x)], [(end, 0), (end, 0)]]
    return build(pairs, g, 0, state_names=("doors", "first room", "second room", "end"), name=f"blind({x}, {g})")
