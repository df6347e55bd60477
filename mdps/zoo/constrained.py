"""Constrained problems with their optima in closed form: `constrained_cases()` holds C1 to C18, `constrained_case("C7")` one of them.

Each case is a `ConstrainedMDP` with its exact optimum, all optimal multipliers, and the optimal policy where it is unique and worth knowing.  Most
are bandits (one state, discount 0), bandits with contexts (several states, discount 0), or two or three states at discount 1/2.

Some cases are one problem seen by another method: C12 and C13 regularise C1, C16 penalises it, C17 conditions on the return instead of optimising.
Their extra figures are in `figures`; those with logarithms are functions that return balls (`flint.arb`) at the present precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mdps.constrained import ConstrainedMDP
from mdps.errors import ModelError, nearest
from mdps.rational import rational, rational_array
from mdps.zoo.build import Outcome, build
from mdps.zoo.registry import number

F = Fraction
HALF = F(1, 2)
Interval = tuple[Fraction, Fraction | None]
"""All optimal multipliers of one constraint: from, to (None: no end, Slater's condition fails)."""


@dataclass(frozen=True)
class ConstrainedCase:
    """One row of the table.

    value           V_r*(rho) under the constraints
    multipliers     one `Interval` for each constraint
    policy          {state: probabilities of its actions} where the optimal one is unique
    deterministic   the best value of a deterministic stationary policy, where the table names it
    curve           {threshold: value} at the ends and kinks of b -> V_r*(b), the first constraint's
    figures         what other methods give on it: {words: Fraction, or a function that returns a ball}
    """

    id: str
    about: str
    problem: ConstrainedMDP
    value: Fraction
    multipliers: tuple[Interval, ...]
    policy: Mapping[int, Sequence[Fraction]] = field(default_factory=dict)
    deterministic: Fraction | None = None
    curve: Mapping[Fraction, Fraction] = field(default_factory=dict)
    figures: Mapping[str, Fraction | Callable[[], Any]] = field(default_factory=dict)
    source: str = "elementary"


def constrained_cases() -> dict[str, ConstrainedCase]:
    """C1 to C18 by name, several of some: C6a, C6b, ..."""
    cases = [*_bandit_cases(), *_context_cases(), *_chain_cases(), *_other_views()]
    return {case.id: case for case in sorted(cases, key=lambda case: (int(case.id[1:].rstrip("abc")), case.id))}


def constrained_case(name: str) -> ConstrainedCase:
    """One case; an unknown name raises ModelError with the nearest known ones."""
    known = constrained_cases()
    lowered = {key.lower(): case for key, case in known.items()}
    if name.strip().lower() not in lowered:
        raise ModelError(f"there is no constrained case {name!r}.{nearest(name, list(known)) or ' There are ' + ', '.join(known) + '.'}")
    return lowered[name.strip().lower()]


def _unique(*multipliers: Any) -> tuple[Interval, ...]:
    return tuple((F(x), F(x)) for x in multipliers)


# Bandits: one state, discount 0


def constrained_bandit(rewards: Sequence[Any], costs: Sequence[Sequence[Any]], budgets: Sequence[Any], discount: Any = 0) -> ConstrainedMDP:
    """One state; arm k pays rewards[k] and costs costs[i][k] of resource i, each with a budget for its discounted sum."""
    arms: list[Outcome] = [({0: 1}, number(r, "reward")) for r in rewards]
    mdp = build([arms], number(discount, "discount"), name="constrained_bandit")
    names = None if len(costs) == 1 else [f"cost {i + 1}" for i in range(len(costs))]
    tables = [rational_array([[number(c, "cost") for c in row]]) for row in costs]
    return ConstrainedMDP(mdp, tables, rational_array([number(b, "budget") for b in budgets]), names)


def one_price(budget: Any, discount: Any = 0) -> ConstrainedMDP:
    """C1: two arms, reward = cost = (1, 0).  At the multiplier 1 the Lagrangian is the same for every policy."""
    return constrained_bandit((1, 0), [(1, 0)], [budget], discount)


def _bandit_cases() -> list[ConstrainedCase]:
    def arms(
        name: str, about: str, rewards: Any, costs: Any, budgets: Any, value: Any, multipliers: Any, policy: Any, **more: Any
    ) -> ConstrainedCase:
        problem = constrained_bandit(rewards, costs, budgets)
        return ConstrainedCase(name, about, problem, F(value), multipliers, {0: [F(p) for p in policy]}, **more)

    line = {F(0): F(0), F(1): F(1), F(2): F(1)}
    return [
        arms("C1", "reward and cost are one: any threshold is spent", (1, 0), [(1, 0)], ["3/10"], "3/10", _unique(1), ("3/10", "7/10"),
             deterministic=F(0), curve=line),
        arms("C2", "three arms, the worst left out", (1, "3/5", 0), [(1, HALF, 0)], ["3/4"], "4/5", _unique("4/5"), (HALF, HALF, 0)),
        arms("C3", "the middle arm is the best deterministic choice, and unused", (1, "2/5", 0), [(1, HALF, 0)], [HALF], HALF, _unique(1),
             (HALF, 0, HALF), deterministic=F(2, 5)),
        arms("C4", "two budgets", (1, 1, 0), [(1, 0, 0), (0, 1, 0)], ["1/3", "1/4"], "7/12", _unique(1, 1), ("1/3", "1/4", "5/12"),
             deterministic=F(0)),
        arms("C14", "a budget that nobody needs", (1, 0), [(1, 0)], [2], 1, _unique(0), (1, 0), deterministic=F(1), curve=line),
        arms("C15", "no slack: every multiplier from 1 up is optimal", (1, 0), [(1, 0)], [0], 0, ((F(1), None),), (0, 1),
             deterministic=F(0), curve=line),
    ]  # fmt: skip


# Contexts: the start is spread over states, discount 0


def contexts(rewards: Sequence[Any], costs: Sequence[Any], budget: Any) -> ConstrainedMDP:
    """Equally likely contexts; in context k, take (reward, cost) or skip (0, 0)."""
    pairs = [[({k: 1}, number(r, "reward")), ({k: 1}, 0)] for k, r in enumerate(rewards)]
    mdp = build(pairs, F(0), action_names=("take", "skip"), name="contexts")
    return ConstrainedMDP(mdp, [rational_array([[number(c, "cost"), 0] for c in costs])], rational_array([number(budget, "budget")]))


def _context_cases() -> list[ConstrainedCase]:
    def two(name: str, about: str, budget: str, value: str, multiplier: Interval, take: Sequence[Any]) -> ConstrainedCase:
        problem = contexts((1, HALF), (1, "1/4"), budget)
        return ConstrainedCase(name, about, problem, F(value), (multiplier,), _takes(take), curve=kinks)

    kinks = {F(0): F(0), F(1, 8): F(1, 4), F(5, 8): F(3, 4), F(1): F(3, 4)}
    knapsack = contexts((HALF, "5/6", 1), ("1/3", "2/3", 1), "5/9")
    return [
        ConstrainedCase(
            "C5", "a fractional knapsack: the best ratio first", knapsack, F(2, 3), _unique(1), _takes((1, 1, "2/3")),
            curve={F(0): F(0), F(1, 9): F(1, 6), F(1, 3): F(4, 9), F(2, 3): F(7, 9)},
        ),
        two("C6a", "cheap context first, then half of the dear one", "3/8", "1/2", (F(1), F(1)), (HALF, 1)),
        two("C6b", "a budget for part of the cheap context only", "1/16", "1/8", (F(2), F(2)), (0, HALF)),
        two("C6c", "at the kink: every multiplier between both", "1/8", "1/4", (F(1), F(2)), (0, 1)),
    ]  # fmt: skip


def _takes(take: Sequence[Any]) -> dict[int, Sequence[Fraction]]:
    return {k: (F(p), 1 - F(p)) for k, p in enumerate(take)}


# Chains


def go_or_rest(budget: Any) -> ConstrainedMDP:
    """C7: go (reward 1, cost 1) stays; rest leads to a state that pays 1/2 and back.  Discount 1/2."""
    go: list[Outcome] = [({0: 1}, 1), ({1: 1}, 0)]
    mdp = build([go, [({0: 1}, HALF)]], HALF, start=0, action_names=("go", "rest"), name="go_or_rest")
    return ConstrainedMDP(mdp, [rational_array([1, 0, 0])], rational_array([number(budget, "budget")]))


def fatigue(budget: Any) -> ConstrainedMDP:
    """C8: work pays 1 and tires with probability 1/2; work while tired costs 1; rest refreshes.  Discount 1/2."""
    fresh: list[Outcome] = [({0: HALF, 1: HALF}, 1), ({0: 1}, 0)]
    tired: list[Outcome] = [({1: 1}, 1), ({0: 1}, 0)]
    mdp = build([fresh, tired], HALF, start=0, state_names=("fresh", "tired"), action_names=("work", "rest"), name="fatigue")
    return ConstrainedMDP(mdp, [rational_array([[0, 0], [1, 0]])], rational_array([number(budget, "budget")]))


def queue(budget: Any) -> ConstrainedMDP:
    """C9: a queue of 0 to 2 that pays 1 - length / 2; serving costs 1 and shortens it with probability 1/2; idle, it grows with probability 1/2."""
    pairs: list[list[Outcome]] = []
    for length in range(3):
        pays, longer = 1 - F(length, 2), min(length + 1, 2)
        idle = {length: HALF, longer: HALF} if longer != length else {length: F(1)}
        serve = {length: HALF, length - 1: HALF} if length else {0: F(1)}
        pairs.append([(idle, pays), (serve, pays)])
    mdp = build(pairs, HALF, start=2, action_names=("idle", "serve"), name="queue")
    return ConstrainedMDP(mdp, [rational_array([[0, 1]] * 3)], rational_array([number(budget, "budget")]))


def routes(budget: Any, discount: Any = HALF) -> ConstrainedMDP:
    """C10: to a goal that pays 1 once: by a short way (one step, cost 1) or a long one (three steps)."""
    g = number(discount, "discount")
    pairs: list[list[Outcome]] = [[({3: 1}, 0), ({1: 1}, 0)], [({2: 1}, 0)], [({3: 1}, 0)], [({4: 1}, 1)], [({4: 1}, 0)]]
    names = ("fork", "way", "last step", "goal", "done")
    mdp = build(pairs, g, start=0, state_names=names, action_names=("short", "long"), name="routes")
    return ConstrainedMDP(mdp, [rational_array([1, 0, 0, 0, 0, 0])], rational_array([number(budget, "budget")]))


def two_goals(least: Any, discount: Any = "3/4") -> ConstrainedMDP:
    """C11: two states with full control; the first pays reward, the second a gain that must be at least `least` in all.  Start in the first."""
    g = number(discount, "discount")
    pairs: list[list[Outcome]] = [[({0: 1}, 1), ({1: 1}, 1)], [({0: 1}, 0), ({1: 1}, 0)]]
    mdp = build(pairs, g, start=0, name="two_goals")
    return ConstrainedMDP(mdp, [rational_array([[0, 0], [1, 1]])], rational_array([number(least, "least")]), ["gain"], ">=")


def _chain_cases() -> list[ConstrainedCase]:
    served = {F(0): F(0), F(11, 6): F(5, 12), F(2): F(4, 9), F(3): F(4, 9)}
    tired = {F(0): F(8, 5), F(2, 3): F(2), F(1): F(2)}
    copy = one_price("6/5", "3/4")
    return [
        ConstrainedCase(
            "C7", "going is worth 5/6 of its cost", go_or_rest(1), F(7, 6), _unique("5/6"), curve={F(0): F(1, 3), F(2): F(2), F(3): F(2)}
        ),
        ConstrainedCase("C8a", "fatigue with a binding budget", fatigue("1/3"), F(9, 5), _unique("3/5"), curve=tired),
        ConstrainedCase("C8b", "fatigue with enough of it", fatigue(1), F(2), _unique(0), {0: (F(1), F(0)), 1: (F(1), F(0))}, curve=tired),
        ConstrainedCase("C9a", "a queue that is served now and then", queue(1), F(5, 22), _unique("5/22"), curve=served),
        ConstrainedCase("C9b", "the same queue beyond the kink", queue("23/12"), F(31, 72), _unique("1/6"), curve=served),
        ConstrainedCase("C9c", "the same queue, always served", queue(3), F(4, 9), _unique(0), curve=served),
        ConstrainedCase(
            "C10", "a short way for a toll", routes("1/4"), F(7, 32), _unique("3/8"), {0: (F(1, 4), F(3, 4))}, deterministic=F(1, 8),
            curve={F(0): F(1, 8), F(1): HALF, F(2): HALF},
        ),
        ConstrainedCase("C11", "a gain of at least 2", two_goals(2), F(2), _unique(1), curve={F(0): F(4), F(3): F(1)}),
        ConstrainedCase(
            "C18", "C1 in every step for ever: thresholds are discounted sums", copy, F(6, 5), _unique(1), {0: (F(3, 10), F(7, 10))},
            curve={F(0): F(0), F(4): F(4), F(5): F(4)},
        ),
    ]  # fmt: skip


# One problem, other methods


def entropy_regularised(budget: Any, temperature: Any) -> tuple[Any, Any]:
    """(probability of the first arm, multiplier) of C1 with temperature * entropy added to the reward, as balls.

    pi_1 = b and lambda = 1 - tau log(b / (1 - b)) where b <= 1 / (1 + exp(-1 / tau)); beyond, the constraint is slack and lambda = 0.

    raises   ModelError: b not in (0, 1), or temperature not above 0
    """
    from flint import arb

    b, tau = number(budget, "budget"), number(temperature, "temperature")
    if not 0 < b < 1 or tau <= 0:
        raise ModelError(f"budget {b} must be in (0, 1) and temperature {tau} above 0")
    t, share = arb(rational(tau)), arb(rational(b))
    free = 1 / (1 + (-1 / t).exp())
    if not share.overlaps(free) and share > free:
        return free, arb(0)
    return share, 1 - t * (share / (1 - share)).log()


def _other_views() -> list[ConstrainedCase]:
    def c1(name: str, about: str, budget: Fraction, **figures: Any) -> ConstrainedCase:
        words = {key.replace("_", " "): value for key, value in figures.items()}
        return ConstrainedCase(name, about, one_price(budget), budget, _unique(1), {0: (budget, 1 - budget)}, figures=words)

    lottery = constrained_bandit((HALF, 1), [(0, HALF)], ["1/4"])
    return [
        c1("C12", "with entropy: the policy stays, the multiplier moves", F(1, 4), temperature=F(1, 2),
           regularised_first_arm=lambda: entropy_regularised("1/4", HALF)[0], regularised_multiplier=lambda: entropy_regularised("1/4", HALF)[1]),
        c1("C13", "regularised twice: biased by the temperature, even in the policy", F(1, 4), temperature=F(1, 4), regularised_first_arm=HALF,
           regularised_multiplier=F(1), regularised_violation=F(1, 4)),
        c1("C16", "an exact penalty from the multiplier on", F(3, 10), penalty_below=HALF, penalised_below=F(13, 20), penalty_above=F(2),
           penalised_above=F(3, 10)),
        ConstrainedCase(
            "C17", "conditioning on reward 1 and cost 0 takes the risky arm always", lottery, F(3, 4), _unique(1), {0: (HALF, HALF)},
            curve={F(0): HALF, HALF: F(1), F(1): F(1)}, figures={"conditioned cost": HALF, "cost probability": HALF},
            source="after Brandfonbrener et al. 2022",
        ),
    ]  # fmt: skip
