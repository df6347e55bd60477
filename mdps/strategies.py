"""Hypothesis strategies for models and policies, for the tests of this library and of others.

    from hypothesis import given
    from mdps import strategies

    @given(mdp=strategies.mdps(max_states=5, max_actions=3))
    def test_my_solver(mdp): ...

Everything is made of simple rational numbers, so `mdp.exact` is lossless and failing examples shrink to few states, few actions, deterministic
moves to state 0, rewards 0 or 1, discount 0.  With `exact=False` models hold plain floats instead, ill-conditioned ones among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mdps.constrained import ConstrainedMDP
from mdps.finite_horizon import FiniteHorizon
from mdps.model import MDP
from mdps.rational import rational_array
from mdps.total_reward import Labelled

Array = np.ndarray
DISCOUNTS = ("0", "1/2", "1/4", "3/4", "9/10", "1/10", "1/3", "3/5", "4/5", "19/20", "97/100", "99/100")
"""Simplest first, as a failing example shrinks towards the front."""


def discounts(max_value: Any = "99/100", min_value: Any = 0) -> st.SearchStrategy[Fraction]:
    """Simple fractions in [min_value, max_value], below 1; towards 0 when shrinking."""
    low, high = Fraction(min_value), Fraction(max_value)
    simple = [g for g in map(Fraction, DISCOUNTS) if low <= g <= high]
    strategies = [st.sampled_from(simple)] if simple else []
    return st.one_of(*strategies, fractions(low, high).filter(lambda g: g < 1)) if high > 0 else st.just(Fraction(0))


@st.composite
def fractions(draw: st.DrawFn, min_value: Any = 0, max_value: Any = 1) -> Fraction:
    """Fractions of small denominator in [min_value, max_value]; towards the whole number nearest to 0 when shrinking."""
    low, high = Fraction(min_value), Fraction(max_value)
    bottoms = [d for d in (1, 2, 3, 4, 5, 10) if -(-low * d // 1) <= high * d // 1] or [(low.denominator * high.denominator) or 1]
    d = draw(st.sampled_from(bottoms))
    return Fraction(draw(st.integers(int(-(-low * d // 1)), int(high * d // 1))), d)


def distributions(size: int, *, interior: bool = False, exact: bool = False) -> st.SearchStrategy[Array]:
    """(size,) probabilities: small whole weights divided by their sum; towards certainty of the first outcome (interior: towards uniform).

    interior   every probability is positive
    exact      an array of `flint.fmpq`, else float64
    """
    return _codes(size).map(lambda code: _numbers([_row(code, range(size), interior)], exact)[0])


_WEIGHTS = (0, 1, 0, 2, 0, 3, 1, 7)
_INTERIOR_WEIGHTS = (1, 2, 1, 3, 1, 5, 9, 30)


def _codes(size: int) -> st.SearchStrategy[int]:
    """A row of weights is one whole number, its weights are the digits: one draw for a row, which shrinks towards 0."""
    return st.integers(0, 8**size - 1)


def _row(code: int, digits: Sequence[int], interior: bool = False) -> list[Fraction]:
    """Probabilities from the named base-8 digits of `code`; 0 is certainty of the first outcome (interior: uniform)."""
    table = _INTERIOR_WEIGHTS if interior else _WEIGHTS
    weights = [table[(code >> (3 * k)) & 7] for k in digits]
    if not any(weights):
        weights[0] = 1
    total = sum(weights)
    return [Fraction(w, total) for w in weights]


def _numbers(rows: list[list[Fraction]], exact: bool) -> Array:
    return rational_array(rows) if exact else np.array([[float(p) for p in row] for row in rows])


@st.composite
def mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    min_states: int = 1,
    min_actions: int = 1,
    rewards: tuple[Any, Any] = (0, 1),
    discount: st.SearchStrategy[Any] | Any = None,
    start: str = "any",
    ragged: bool = False,
    exact: bool = True,
) -> MDP:
    """Finite discounted MDPs.

    rewards    the smallest and the largest reward
    discount   a strategy or one number; `discounts()` if left out
    start      "any" distribution, "full" support, or "uniform"
    ragged     states may have different numbers of actions
    exact      True: written in fractions, `mdp.exact` is lossless.  False: floats of all sizes, probabilities down to 1e-12, discount up to 0.9999
    """
    # The largest model is drawn, and flags say which of its states and actions are kept: leaving one out changes nothing else, so it shrinks well.
    states, actions = draw(_kept(min_states, max_states)), draw(_kept(min_actions, max_actions))
    gamma = draw(_discount(discount, exact))
    initial = draw(_codes(max_states)) if start != "uniform" else 0
    low, high = rewards
    figures = _simple_fractions(Fraction(low), Fraction(high)) if exact else st.floats(float(low), float(high))
    codes, leaks = _codes(max_states), st.integers(0, 12)
    counts, rows, paid = [], [], []
    for state in range(max_states):
        own = draw(_kept(min_actions, max_actions)) if ragged else actions
        for action in range(max_actions):
            code, reward, leak = draw(codes), draw(figures), 0 if exact else draw(leaks)
            if state in states and action in own:
                row = _row(code, states)
                rows.append(row if exact else _leaking(row, leak))
                paid.append(reward)
        counts.append(len(own))
    first_pair = np.concatenate(([0], np.cumsum([counts[s] for s in states])))
    first = None if start == "uniform" else _numbers([_row(initial, states, start == "full")], exact)[0]
    if exact:
        return MDP.from_choices(first_pair, rational_array(rows), rational_array(paid), gamma, first)
    return MDP.from_choices(first_pair, np.array(rows, dtype=np.float64), np.array(paid), gamma, first)


def _kept(least: int, most: int) -> st.SearchStrategy[list[int]]:
    """The numbers below `most` that are kept: the first `least`, and of the others two thirds; none when shrinking."""
    flags = st.sampled_from((False, True, True))
    return st.tuples(*[flags] * (most - least)).map(lambda kept: [*range(least), *(least + k for k, flag in enumerate(kept) if flag)])


def _leaking(row: list[Fraction], leak: int) -> list[float]:
    """The row with 10^-leak of its mass spread evenly (0: none); nearly reducible chains are the ill-conditioned ones."""
    share = 10.0**-leak if leak else 0.0
    return [(1 - share) * float(p) + share / len(row) for p in row]


def _simple_fractions(low: Fraction, high: Fraction) -> st.SearchStrategy[Fraction]:
    """Fractions of denominator 1, 2, 3, 4, 5 or 10 in [low, high], simplest first."""
    if high - low > 10:
        return fractions(low, high)
    found = {Fraction(k, d) for d in (1, 2, 3, 4, 5, 10) for k in range(-(-low * d // 1), int(high * d // 1) + 1)} | {low, high}
    return st.sampled_from(sorted(found, key=lambda x: (x.denominator, abs(x), x < 0)))


def _discount(given: Any, exact: bool) -> st.SearchStrategy[Any]:
    if given is None:
        floats = st.one_of(discounts().map(float), st.sampled_from((0.999, 0.9999)), st.floats(0.0, 0.9999))
        return discounts() if exact else floats
    strategy = given if isinstance(given, st.SearchStrategy) else st.just(given)
    return strategy.map(_exact_discount) if exact else strategy.map(lambda g: float(Fraction(g) if isinstance(g, str) else g))


def _exact_discount(value: Any) -> Any:
    from mdps.rational import fraction, simplest

    return fraction(simplest(value) if isinstance(value, float) else value)


def policies(mdp: MDP, *, interior: bool = False, exact: bool = False) -> st.SearchStrategy[Array]:
    """(S, A) policies of `mdp`: rows sum to 1 (within rounding), 0 for actions that a state does not have; towards the first action.

    interior   every existing action has positive probability
    exact      an array of `flint.fmpq`, rows sum to exactly 1; else float64
    """
    counts, width = np.diff(mdp.first_pair).tolist(), mdp.num_actions

    def build(codes: tuple[int, ...]) -> Array:
        padded = [_row(code, range(k), interior) + [Fraction(0)] * (width - k) for code, k in zip(codes, counts, strict=True)]
        return _numbers(padded, exact)

    return st.tuples(*(_codes(k) for k in counts)).map(build)


def interior_policies(mdp: MDP, *, exact: bool = False) -> st.SearchStrategy[Array]:
    """Policies that give every action a positive probability: those that a softmax can express.  Towards uniform when shrinking."""
    return policies(mdp, interior=True, exact=exact)


@st.composite
def deterministic_policies(draw: st.DrawFn, mdp: MDP) -> Array:
    """(S,) the number of one action for each state; towards action 0."""
    return np.array([draw(st.integers(0, int(number) - 1)) for number in np.diff(mdp.first_pair)], dtype=np.int64)


@st.composite
def finite_horizon_problems(
    draw: st.DrawFn,
    *,
    max_horizon: int = 4,
    max_states: int = 3,
    max_actions: int = 3,
    rewards: tuple[Any, Any] = (0, 1),
    discount: st.SearchStrategy[Any] | Any = 1,
    stationary: bool = False,
    exact: bool = True,
) -> FiniteHorizon:
    """Problems of up to `max_horizon` steps with ragged actions; transitions and rewards of the steps differ unless `stationary`."""
    horizon = draw(st.integers(1, max_horizon))
    size = draw(st.integers(1, max_states))
    given: dict[str, Any] = {"max_states": size, "min_states": size, "max_actions": max_actions, "rewards": rewards, "ragged": True, "exact": exact}
    stages = draw(st.lists(mdps(discount=0, **given), min_size=1 if stationary else horizon, max_size=1 if stationary else horizon))
    models = [stage.exact if exact else stage for stage in stages]
    low, high = rewards
    figures = _simple_fractions(Fraction(low), Fraction(high)) if exact else st.floats(float(low), float(high))
    terminal = draw(st.lists(figures, min_size=size, max_size=size))
    parts = [(model.first_pair, model.choices, model.pair_rewards) for model in models]
    gamma = draw(discount) if isinstance(discount, st.SearchStrategy) else discount
    return FiniteHorizon.from_stages(parts * horizon if stationary else parts, terminal, models[0].start, discount=gamma)


@st.composite
def labelled_models(draw: st.DrawFn, *, max_states: int = 4, max_actions: int = 3, rewards: tuple[Any, Any] = (0, 1), exact: bool = True) -> Labelled:
    """Models for reachability and total reward: a label "goal" on at least one state, a reward structure "reward", ragged actions."""
    mdp = draw(mdps(max_states=max_states, max_actions=max_actions, rewards=rewards, discount=0, ragged=True, exact=exact))
    flags = draw(st.lists(st.booleans(), min_size=max_states, max_size=max_states))[: mdp.num_states]
    goal = np.array([*flags[:-1], True])
    paid = mdp.exact.pair_rewards if exact else mdp.pair_rewards
    return Labelled(mdp.replace(rewards=np.zeros(mdp.num_pairs)), {"goal": goal}, {"reward": paid})


def bandits(*, max_arms: int = 5, min_arms: int = 1, rewards: tuple[Any, Any] = (0, 1), exact: bool = True) -> st.SearchStrategy[MDP]:
    """One-state models with discount 0."""
    return mdps(max_states=1, min_actions=min_arms, max_actions=max_arms, rewards=rewards, discount=0, start="uniform", exact=exact)


@st.composite
def constrained_mdps(
    draw: st.DrawFn, *, max_states: int = 3, max_actions: int = 3, max_constraints: int = 2, ragged: bool = True, discount: Any = None
) -> ConstrainedMDP:
    """Constrained problems with costs in [0, 1], thresholds anywhere between the least and the largest sum of costs there could be: some of them are
    infeasible.  Both directions; towards one constraint "<=" when shrinking."""
    mdp = draw(mdps(max_states=max_states, max_actions=max_actions, ragged=ragged, discount=discount))
    count = draw(st.integers(1, max_constraints))
    figures = _simple_fractions(Fraction(0), Fraction(1))
    costs = [draw(st.lists(figures, min_size=mdp.num_pairs, max_size=mdp.num_pairs)) for _ in range(count)]
    horizon = 1 / (1 - mdp.exact.discount)
    thresholds = [rational_array([draw(figures)])[0] * horizon for _ in range(count)]
    directions = draw(st.lists(st.sampled_from(("<=", ">=")), min_size=count, max_size=count))
    return ConstrainedMDP(mdp, [rational_array(row) for row in costs], rational_array(thresholds), directions=directions)
