"""Instances of risk-averse decisions with their optima in closed form: laws, decision trees, Markov decision processes.

`risk_cases()` holds twenty of them, K1 to K20: each with what it shows and its `answers`, from a question such as ("static", "cvar:1/2") to an exact
number.  Rewards are good when large; CVaR_a is the mean of the worst fraction a; a cost is a negative reward.

    law           the risk of one finite law of rewards
    static        the best risk of the total reward over history-dependent policies;  "markov": over Markov policies, randomised ones included
    nested        the best nested risk: every step rated by the measure
    decomposition the value of the programme over risk levels
    entropic      the best entropic risk of the discounted sum;  "constant": the recursion with a constant level
    ecrm          expected conditional risk measures (level, weight), minus costs;  "ecrm-markov": without the threshold in the state
    normal        a normal law, mean 1 and variance 1

Irrational answers are functions that return a ball (`flint.arb`) at the present precision.

`survival`, `fading_caution` and `gamble_on_luck` are Markov decision processes of the table that `mdps.zoo.load` knows by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from mdps.errors import ModelError, nearest
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import rational_array
from mdps.zoo.build import Outcome, build
from mdps.zoo.registry import instance, number

Array = np.ndarray
Answer = Fraction | Callable[[], Any]


@dataclass(frozen=True)
class RiskCase:
    """One instance of the table.

    law       (probabilities, outcomes), rational;  laws: several of them, by name
    problem   FiniteHorizon or MDP
    answers   {(question, measure): exact value}
    """

    id: str
    about: str
    answers: Mapping[tuple[str, Any], Answer]
    law: tuple[Array, Array] | None = None
    laws: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    problem: Any = None
    source: str = "elementary"


def finite_law(outcomes: Mapping[Any, Any]) -> tuple[Array, Array]:
    """(probabilities, outcomes) of {outcome: probability}, rational."""
    return rational_array([Fraction(p) for p in outcomes.values()]), rational_array([Fraction(x) for x in outcomes])


def layered(layers: Sequence[Sequence[Sequence[tuple[Mapping[int, Any], Any]]]], terminal: Sequence[Any], discount: Any = 1) -> FiniteHorizon:
    """A decision tree in layers: layers[h][s] lists the actions of state s at step h as ({state of the next layer: probability}, reward).

    It starts in state 0 of the first layer; the last layer is `terminal`, one final reward a state."""
    sizes = [*(len(layer) for layer in layers), len(terminal)]
    parts = []
    for h, layer in enumerate(layers):
        actions = [action for state in layer for action in state]
        rows = rational_array([[Fraction(to.get(t, 0)) for t in range(sizes[h + 1])] for to, _ in actions])
        first = np.concatenate(([0], np.cumsum([len(state) for state in layer])))
        parts.append((first, rows, rational_array([Fraction(paid) for _, paid in actions])))
    start = [Fraction(int(s == 0)) for s in range(sizes[0])]
    return FiniteHorizon.from_stages(parts, rational_array([Fraction(x) for x in terminal]), rational_array(start), discount=discount)


def uniform_law(n: int) -> tuple[Array, Array]:
    """Uniform on 1 .. n: CVaR_{k/n} = (k + 1) / 2."""
    return finite_law({k: Fraction(1, n) for k in range(1, n + 1)})


_HALF = Fraction(1, 2)
_COIN: Mapping[int, Fraction] = {0: _HALF, 1: _HALF}


def two_coins() -> FiniteHorizon:
    """The sum of two fair coins, seen one after the other."""
    return layered([[[(_COIN, 0)]], [[({0: _HALF, 1: _HALF}, 0)], [({1: _HALF, 2: _HALF}, 0)]]], [0, 1, 2])


def two_stage(weights: Sequence[Any], laws: Sequence[Mapping[Any, Any]]) -> FiniteHorizon:
    """Y with the given probabilities, then X with the law that belongs to Y; no decisions."""
    final = sorted({Fraction(x) for law in laws for x in law})
    place = {x: k for k, x in enumerate(final)}
    after = [[({place[Fraction(x)]: p for x, p in law.items()}, 0)] for law in laws]
    return layered([[[(dict(enumerate(weights)), 0)]], after], final)


def split_levels() -> FiniteHorizon:
    """The instance on which the programme over risk levels promises -1/4 at level 3/5 and the best policy has -2/3."""
    fair: Mapping[int, Any] = _COIN
    first: list[Outcome] = [(fair, 0), ({2: 1}, 0)]
    second: list[Outcome] = [({3: Fraction(3, 4), 4: Fraction(1, 4)}, 0), ({5: 1}, 0)]
    return layered([[[(fair, 0)]], [first, second]], [-3, 3, -1, 2, -2, 1])


def gamble_after_luck() -> FiniteHorizon:
    """R1 in {0, 2} by a fair coin, then a safe 1 or a fair {0, 4}: the best choice for CVaR_{1/2} depends on R1, which the state does not show.

    R1 is paid on the way to the one state of choice, so that a policy of (step, state) cannot see it."""
    paid = [[({0: 1}, 0)], [({0: 1}, 2)]]
    return layered([[[(_COIN, 0)]], paid, [[({0: 1}, 0), ({1: _HALF, 2: _HALF}, 0)]]], [1, 0, 4])


def joint_bandit() -> FiniteHorizon:
    """One step, rewards 1 and 0: the risk of the reward under a randomised policy, the draw of the action included."""
    return layered([[[({0: 1}, 1), ({0: 1}, 0)]]], [0])


def conditional_cost() -> FiniteHorizon:
    """A first step without cost, then a cost of 1 with probability 1/4: stationary states, two steps, one action."""
    rows = [[[0, Fraction(3, 4), Fraction(1, 4)]], [[0, 1, 0]], [[0, 1, 0]]]
    return _repeated(rows, [[0], [0], [-1]], [1, 0, 0], 2)


def remembered_origin() -> FiniteHorizon:
    """ECRM needs to remember where it came from: x leads to u, y to u or v; at u pay 0 and then 1/2, or 3/4 and then 0; v costs 1."""
    names = {"x": 0, "y": 1, "u": 2, "v": 3, "half": 4, "end": 5}

    def to(**moves: Any) -> list[Any]:
        return [moves.get(name, 0) for name in names]

    stay: Any = [to(end=1), to(end=1)]
    rows: Any = [[to(u=1), to(u=1)], [to(u=_HALF, v=_HALF)] * 2, [to(half=1), to(end=1)], stay, stay, stay]
    costs: Any = [[0, 0], [0, 0], [0, Fraction(3, 4)], [1, 1], [_HALF, _HALF], [0, 0]]
    return _repeated(rows, [[-Fraction(c) for c in row] for row in costs], [_HALF, _HALF, 0, 0, 0, 0], 3)


def _repeated(rows: Any, rewards: Any, start: Sequence[Any], steps: int) -> FiniteHorizon:
    transitions, paid = rational_array(rows), rational_array(rewards)
    return FiniteHorizon(np.stack([transitions] * steps), np.stack([paid] * steps), rational_array([0] * len(start)), rational_array(start))


def _survival_optimum(keep: Any = "9/10", discount: Any = "1/2") -> list[Fraction]:
    p, g = number(keep, "keep"), number(discount, "discount")
    return [1 / (1 - g * p), Fraction(0)]


@instance("elementary; nested CVaR of a geometric lifetime", _survival_optimum)
def survival(keep: Any = "9/10", discount: Any = "1/2") -> MDP:
    """Reward 1 a step while alive, which each step is survived with probability `keep`: risk neutral 1/(1 - g keep).

    Nested CVaR_a has 1/(1 - g (1 - (1 - keep)/a)) where 1 - keep <= a: nature divides the chance of death by a.  Level 1/2 at the defaults: 5/3."""
    p, g = number(keep, "keep"), number(discount, "discount")
    if not 0 <= p <= 1:
        raise ModelError(f"keep is {p}; a probability is in [0, 1]")
    return build([[({0: p, 1: 1 - p}, 1)], [({1: 1}, 0)]], g, 0, state_names=("alive", "dead"), name=f"survival({p}, {g})")


def _caution_optimum(discount: Any = "1/4") -> list[Fraction]:
    g = number(discount, "discount")
    best = g * max(Fraction(3, 10), _HALF)
    return [best * g, best, Fraction(3, 10), Fraction(0), Fraction(1), Fraction(0)]


@instance("elementary; the entropic risk of a discounted sum needs a schedule of levels", _caution_optimum)
def fading_caution(discount: Any = "1/4") -> MDP:
    """A safe 3/10 or a fair coin for {0, 1}, chosen now (state 1) or one step later (state 0 waits) and paid a step after.

    With beta = 16 and discount 1/4 a choice at t = 0 is rated at level 4 (safe: 3/10 against 0.1687), at t = 1 at level 1 (risky: 0.3799).
    States: wait, choose, safe (pays 3/10), lost, won (pays 1), end."""
    g = number(discount, "discount")
    end = ({5: 1}, 0)
    pairs = [
        [({1: 1}, 0), ({1: 1}, 0)],
        [({2: 1}, 0), ({3: _HALF, 4: _HALF}, 0)],
        [({5: 1}, Fraction(3, 10))] * 2,
        [end, end],
        [({5: 1}, 1)] * 2,
        [end, end],
    ]
    names = ("wait", "choose", "safe", "lost", "won", "end")
    return build(pairs, g, 1, state_names=names, action_names=("safe", "risky"), name=f"fading_caution({g})")


def _luck_optimum(discount: Any = "1/2") -> list[Fraction]:
    g = _positive(discount)
    return [Fraction(3), 2 / g, 4 / g, 2 / g**2, 1 / g**3, Fraction(0), 4 / g**3, Fraction(0)]


@instance("elementary; K9 of the table of risk instances as a discounted model", _luck_optimum)
def gamble_on_luck(discount: Any = "1/2") -> MDP:
    """A coin pays 0 or 2, then a safe 1 or a fair {0, 4}: what is best for CVaR_{1/2} of the return depends on the coin, which the state forgets.

    Rewards are divided by g^t so that the discounted return is the plain sum: risk neutral 3, static CVaR_{1/2} 3/2 (gamble after 0, not after 2),
    Markov policies at most 1.  Four steps are the whole story."""
    g = _positive(discount)
    choose: Outcome = ({3: 1}, 0)
    pairs = [
        [({1: _HALF, 2: _HALF}, 0)] * 2,
        [choose, choose],
        [({3: 1}, 2 / g)] * 2,
        [({4: 1}, 0), ({5: _HALF, 6: _HALF}, 0)],
        [({7: 1}, 1 / g**3)] * 2,
        [({7: 1}, 0)] * 2,
        [({7: 1}, 4 / g**3)] * 2,
        [({7: 1}, 0)] * 2,
    ]
    names = ("coin", "unlucky", "lucky", "choose", "safe", "lost", "won", "end")
    return build(pairs, g, 0, state_names=names, action_names=("safe", "gamble"), name=f"gamble_on_luck({g})")


def _positive(discount: Any) -> Fraction:
    g = number(discount, "discount")
    if not g > 0:
        raise ModelError(f"discount is {g}; this instance divides by it: it must be above 0")
    return g


def _kl_of_quarter() -> Any:
    """log 2 - H(1/4), the divergence of (3/4, 1/4) from a fair coin."""
    return arb(2).log() + (arb(3) / 4) * (arb(3) / 4).log() + (arb(1) / 4) * (arb(1) / 4).log()


def risk_cases() -> dict[str, RiskCase]:
    """The twenty instances by id, K1 to K20."""
    fair = finite_law(_COIN)
    losses = {0: Fraction(24, 25), -100: Fraction(1, 25)}
    both = {0: Fraction(24, 25) ** 2, -100: 2 * Fraction(24, 25) * Fraction(1, 25), -200: Fraction(1, 25) ** 2}
    tosses = {k: Fraction(1, 2**k) for k in range(1, 7)} | {7: Fraction(1, 64)}
    risky = finite_law({0: _HALF, 10: _HALF})
    quarter = finite_law({4: Fraction(1, 4), 0: Fraction(3, 4)})
    F = Fraction
    cases = [
        RiskCase(
            "K1", "CVaR of a uniform law", {("law", "cvar:3/10"): F(2), ("law", "cvar:1"): F(11, 2), ("law", "cvar:1/10"): F(1)}, uniform_law(10)
        ),
        RiskCase(
            "K2",
            "a safe 2 or a fair {0, 10}: the best arm changes at level 5/8",
            {("static", "cvar:1/2"): F(2), ("static", "cvar:5/8"): F(2), ("static", "cvar:3/4"): F(10, 3), ("static", "cvar:1"): F(5)},
            problem=layered([[[({0: 1}, 0), ({1: _HALF, 2: _HALF}, 0)]]], [2, 0, 10]),
        ),
        RiskCase("K3", "entropic risk of a coin at beta = log 3", {("law", _log_three): lambda: 1 - arb(2).log() / arb(3).log()}, fair),
        RiskCase(
            "K4",
            "a normal law",
            {
                ("normal", "entropic:1"): F(1, 2),
                ("normal", "evar:e^-2"): F(-1),
                ("normal", "cvar:1/2"): lambda: 1 - 2 / (2 * arb.pi()).sqrt(),
            },
        ),
        RiskCase("K5", "EVaR of a coin with the level at which the tilted coin is (3/4, 1/4)", {("law", _tilted_coin): F(1, 4)}, fair),
        RiskCase("K6", "two coins: nested below static", {("nested", "cvar:1/2"): F(0), ("static", "cvar:1/2"): F(1, 2)}, problem=two_coins()),
        RiskCase(
            "K7",
            "nested above static: 5, or {0: 1/4, 10: 3/4}",
            {("nested", "cvar:1/2"): F(5), ("static", "cvar:1/2"): F(15, 4)},
            problem=two_stage([_HALF, _HALF], [{5: 1}, {0: F(1, 4), 10: F(3, 4)}]),
        ),
        RiskCase(
            "K7b",
            "nested above static at level 2/5",
            {("nested", "cvar:2/5"): F(2), ("static", "cvar:2/5"): F(17, 12)},
            problem=two_stage([F(1, 12), F(1, 3), F(7, 12)], [{4: F(9, 10), 1: F(1, 10)}, {2: F(4, 5), 3: F(1, 5)}, {0: F(1, 5), 4: F(4, 5)}]),
        ),
        RiskCase(
            "K8",
            "the programme over risk levels promises more than any policy has",
            {("static", "cvar:3/5"): F(-2, 3), ("decomposition", "cvar:3/5"): F(-1, 4)},
            problem=split_levels(),
        ),
        RiskCase("K9", "CVaR needs the history", {("static", "cvar:1/2"): F(3, 2), ("markov", "cvar:1/2"): F(1)}, problem=gamble_after_luck()),
        RiskCase(
            "K10", "at level 7/8 it does not", {("static", "cvar:7/8"): F(18, 7), ("markov", "cvar:7/8"): F(18, 7)}, problem=gamble_after_luck()
        ),
        RiskCase(
            "K11", "i.i.d. normal rewards, discount 1/2: the schedule and the constant level", {("entropic", 1): F(4, 3), ("constant", 1): F(1)}
        ),
        RiskCase(
            "K12",
            "a coin at the levels 4 and 1: below and above a safe 3/10; cautious now, bold a step later",
            {
                ("erm", 4): lambda: -((1 + (arb(-4)).exp()) / 2).log() / 4,
                ("erm", 1): lambda: -((1 + (arb(-1)).exp()) / 2).log(),
            },
            fair,
            problem=fading_caution(),
        ),
        RiskCase(
            "K13",
            "value at risk is not superadditive: two independent losses",
            {("var", "one"): F(0), ("var", "both"): F(-100)},
            laws={"one": finite_law(losses), "both": finite_law(both)},
        ),
        RiskCase("K14", "a lifetime under nested CVaR", {("nested", "cvar:1/2"): F(5, 3)}, problem=survival()),
        RiskCase("K15", "tosses to the first head (cut at 7)", {("law", "cvar:1/2"): F(1), ("law", "cvar:3/4"): F(4, 3)}, finite_law(tosses)),
        RiskCase(
            "K16",
            "the risk of a randomised choice is flat where the second arm has more than the level",
            {("policy", F(1, 4)): _HALF, ("policy", _HALF): F(0), ("policy", F(3, 4)): F(0), ("policy", F(0)): F(1)},
            problem=joint_bandit(),
        ),
        RiskCase("K17", "one conditional cost, level and weight 1/2", {("ecrm", (_HALF, _HALF)): F(-3, 8)}, problem=conditional_cost()),
        RiskCase(
            "K18",
            "an ECRM that needs its threshold",
            {("ecrm", (_HALF, F(1))): F(-3, 4), ("ecrm-markov", (_HALF, F(1))): F(-7, 8)},
            problem=remembered_origin(),
        ),
        RiskCase(
            "K19",
            "alternating minimisation stops at 3, the optimum is 2 (costs, CVaR_{1/2})",
            {("alternating", F(3)): F(3), ("scoring", _HALF): F(2)},
            laws={"first": finite_law({3: 1}), "second": quarter},
        ),
        RiskCase("K20", "the mean below VaR is not CVaR", {("law", "cvar:3/4"): F(10, 3), ("conditional mean", F(3, 4)): F(5)}, risky),
    ]
    return {case.id: case for case in cases}


def risk_case(name: str) -> RiskCase:
    """One of them; an unknown id raises ModelError with the nearest known ones."""
    cases = risk_cases()
    key = name.strip().upper() if name.strip()[-1:].isdigit() else name.strip()
    if key not in cases:
        raise ModelError(f"there is no risk case {name!r}.{nearest(key, list(cases)) or ' There are K1 to K20 and K7b.'}")
    return cases[key]


def _log_three() -> Any:
    """beta = log 3 of K3."""
    return arb(3).log()


def _tilted_coin() -> Any:
    """The level exp(-(log 2 - H(1/4))) of K5."""
    return (-_kl_of_quarter()).exp()
