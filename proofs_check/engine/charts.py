"""Statements proved for whole classes of MDPs: the claim's own code run on variables, then inequalities between polynomials.

A class: every MDP with S states and A actions (any discount in [0, 1), or a given one), any start distributions, any policy, any setting of the
method.  Its instances are described by a *chart*, that is, by numbers that range over a product of simplices, half-lines and lines:

    "rewards"   transitions, policies, rewards as they are
    "optimum"   V* and the losses g(s, a) = V*(s) - Q*(s, a) >= 0 in place of the rewards, r = V* - gamma P V* - g, with g(s, 0) = 0: action 0 is
                optimal in every state, which a renaming of each state's actions achieves
    "policy"    V and the advantages of the current policy in place of the rewards, r = V - gamma P V + A, with A(s, 0) - A(s, a) = d(s, a) >= 0
                and sum_a pi A = 0: action 0 is greedy in every state, again by renaming

All quantities are blind to the names of actions, and so must be the step of a method (`renaming`); then each chart reaches every instance of the
class.  Where a method breaks ties by name, "optimum" is refused, "rewards" goes through all optimal policies if the optimum is asked for, and
"policy" serves if the step commutes with moving the first greedy action to the front.  What the claim demands (rewards in a range, positive start
probabilities, policies without zeros, its conditions) is demanded of the class, and `scope` names it.  The code runs on `ordered.Ordered` functions
of these numbers, on every path through its comparisons; a method's step is the method's own code.  A statement about the current policy of a run is
proved for an arbitrary policy, whatever run it comes from, and one about two consecutive steps for an arbitrary policy and its successor.  Where a
quantity is not defined (a state without visits, gamma = 1) nothing is claimed.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any, cast

import numpy as np

from mdps.errors import ModelError, plural
from mdps.rational import rational
from proofs_check.claim import Case
from proofs_check.context import Context
from proofs_check.domains import Between
from proofs_check.engine.measure import method_settings, needed
from proofs_check.engine.multipliers import follows
from proofs_check.engine.ordered import Ordered, Path, Root, Unprovable, every_path, signed_square
from proofs_check.engine.polynomials import Region, Signs, name_of
from proofs_check.engine.renaming import breaks_ties_by_name, follows_the_first
from proofs_check.expression import evaluate, text
from proofs_check.quantities import quantity

Array = np.ndarray
CHARTS = ("rewards", "optimum", "policy")
MOST_COMBINED = 3_000
"""Inequalities of more terms are not tried in sums with those that are known: each try takes seconds."""
SPARE = 4
"""Fresh variables of each kind for the exponentials of a step."""


@dataclasses.dataclass(frozen=True)
class ClassProof:
    """How the proof for a class ended: paths through the comparisons, all of them proved, or the reason why not."""

    proved: bool
    paths: int
    reason: str = ""


def prove_everywhere(
    case: Case, states: int, actions: int, chart: str = "rewards", discount: Any = None, *, missing: list[Any] | None = None
) -> ClassProof:
    """Whether the statement holds for every instance with that many states and actions.

    chart     how the instances are described: one of `CHARTS`
    discount  a number in [0, 1); None: all of them
    missing   takes (polynomial, those known to be nonnegative with it, region) for the inequality that was not shown
    raises    ModelError: a class or chart that the claim does not speak of
    """
    made = _Variables(case, states, actions, chart, None if discount is None else rational(discount))
    by_name = _steps(case) and breaks_ties_by_name(case)
    if by_name and (chart == "optimum" or (chart == "policy" and not follows_the_first(case))):
        raise ModelError(f"{case.claim}:{case.name}: the chart {chart!r} renames actions, and the method breaks ties by their names")
    total, asked, signs = 0, False, Signs(made.region, nonzero=made.nonzero())
    for best in itertools.product(range(actions), repeat=states):
        optima: list[_Optimum] = []

        def follow(path: Path, best: tuple[int, ...] = best, optima: list[_Optimum] = optima) -> bool:
            return _holds(case, made, path, best, optima)

        try:
            paths = every_path(signs, made.spare("up"), made.spare("down"), follow)
        except (Unprovable, ModelError, TypeError, AttributeError, ZeroDivisionError) as error:
            return ClassProof(False, total, str(error))
        if paths is None:
            if missing is not None:
                missing.extend((polynomial, conditions, made.region) for polynomial, conditions in signs.open)
            return ClassProof(False, total, "a polynomial inequality was not shown")
        total += paths
        asked = asked or any(optimum.used for optimum in optima)
        if not asked or (chart != "policy" and not by_name):  # elsewhere action 0 is optimal: the names of actions do not matter
            break
    return ClassProof(True, total)


def scope(case: Case, states: int, actions: int, chart: str = "rewards", discount: Any = None) -> str:
    """The class in words, with every assumption that the proof may use."""
    domain = case.domain
    if case.domain.bandit:
        words = f"all bandits with {actions} arms"
    else:
        patience = "any discount" if discount is None else f"discount {discount}"
        words = f"all MDPs with {plural(states, 'state')} and {plural(actions, 'action')}, {patience}"
    words += ", any rewards" if domain.rewards is None else f", rewards in [{domain.rewards[0]}, {domain.rewards[1]}]"
    if domain.mu == "positive" and states > 1:
        words += ", mu positive in every state"
    if domain.rho == "mu" and states > 1:
        words += ", rho = mu"
    if _interior(case):
        words += ", policies without zeros"
    for label, extra in domain.extras:
        words += f", {label} in [{extra.low}, {extra.high}]" if extra.kind == "real" else f", {label}: distributions"
    if case.process is not None and _settings_used(case):
        words += f", any {' and '.join(_settings_used(case))} > 0"
    conditions = [f"{text(small)} < {text(large)}" for small, large in case.where]
    return f"{words}, where {' and '.join(conditions)}" if conditions else words


def _steps(case: Case) -> bool:
    """Whether the statement looks at a step of the method."""
    return case.process is not None and case.statement.over == "pair"


def _interior(case: Case) -> bool:
    """Whether the class leaves out policies that never take some action."""
    return case.domain.policy in ("interior", "uniform") and case.process is None


def _settings_used(case: Case) -> list[str]:
    """The free settings, which the proof lets be any positive number."""
    return [name for name, rule in case.settings.items() if isinstance(rule, Between | tuple)]


class _Variables:
    """The ring, the region, and instances on a path."""

    def __init__(self, case: Case, states: int, actions: int, chart: str, discount: Any) -> None:
        from flint import Ordering, fmpq_mpoly_ctx

        domain = case.domain
        if chart not in CHARTS:
            raise ModelError(f"unknown chart {chart!r}; it is one of {', '.join(CHARTS)}")
        if discount is not None and not 0 <= discount < 1:
            raise ModelError(f"the discount {discount} is not in [0, 1)")
        if domain.bandit and states != 1:
            raise ModelError(f"{case.claim}:{case.name} speaks of bandits, not of {plural(states, 'state')}")
        if case.statement.relation == "=" or any(quantity(name).history for name in needed(case)) or "t" in needed(case):
            raise ModelError(f"{case.claim}:{case.name}: a class is proved for inequalities at one step, not over a whole run")
        self.case, self.states, self.actions, self.chart = case, states, actions, chart
        self.discount = rational(0) if domain.bandit else discount
        names: list[str] = []
        self.simplices: list[tuple[int, ...]] = []
        self.half_lines: list[int] = []

        def group(*labels: str) -> None:
            if labels:
                self.simplices.append(tuple(range(len(names), len(names) + len(labels))))
                names.extend(labels)

        def half_line(label: str) -> None:
            self.half_lines.append(len(names))
            names.append(label)

        pairs = list(itertools.product(range(states), range(actions)))
        for s, a in pairs:
            group(*(f"p{s}_{a}_{u}" for u in range(states - 1)))
        for kind in ("x", "y", "z"):
            for s in range(states):
                group(*(f"{kind}{s}_{a}" for a in range(actions - 1)))
        for kind in ("mu", "rho"):
            group(*(f"{kind}{s}" for s in range(states - 1)))
        if self.discount is None:
            group("gamma")
        if chart == "rewards":
            for s, a in pairs:
                names.append(f"r{s}_{a}") if domain.rewards is None else group(f"r{s}_{a}")
        else:
            names.extend(f"v{s}" for s in range(states))
            for s, a in itertools.product(range(states), range(1, actions)):
                half_line(f"g{s}_{a}")
        for name in _settings_used(case):
            half_line(name)
        for label, extra in domain.extras:
            if extra.kind == "choice":
                raise ModelError(f"{case.claim}:{case.name}: {label} is a choice, not a number that may vary")
            shape = extra.shape(states, actions)
            if extra.kind == "real":
                for index in np.ndindex(shape):
                    group(_label(label, *index))
            else:
                for index in np.ndindex(shape[:-1]):
                    group(*(_label(label, *index, k) for k in range(shape[-1] - 1)))
        for k in range(SPARE * bool(case.process is not None)):
            half_line(f"up{k}")
            group(f"down{k}")
        ring = fmpq_mpoly_ctx.get(tuple(names), Ordering.degrevlex)
        self.gens = dict(zip(names, ring.gens(), strict=True))
        self.one = ring.constant(1)
        self.region = Region(ring, tuple(self.simplices), tuple(self.half_lines))

    def spare(self, kind: str) -> list[Any]:
        """Fresh variables, for exponentials on that side of 1."""
        return [variable for name, variable in self.gens.items() if name.startswith(kind)]

    def nonzero(self) -> list[str]:
        """Polynomials that vanish nowhere in the class: 1 - gamma, and the probabilities that the claim assumes to be positive."""
        domain, out = self.case.domain, [] if self.discount is not None else [self.gens["gamma"] - 1]
        kinds = ["mu"] * (domain.mu == "positive") + ["x"] * _interior(self.case)
        for group in self.simplices:
            names = [self.region.ring.names()[k] for k in group]
            if names[0].rstrip("0123456789_") in kinds:
                out += [*(self.gens[name] for name in names), sum(self.gens[name] for name in names) - 1]
        return [name_of(polynomial) for polynomial in out]

    # On a path

    def number(self, path: Path, p: Any, q: Any = 1) -> Ordered:
        return Ordered.of(self.one * rational(f"{p}/{q}"), path)

    def context(self, path: Path, best: tuple[int, ...]) -> Context:
        """The instances of the class in which the actions `best` are optimal, with the records that the statement looks at."""
        case, states, actions = self.case, self.states, self.actions

        def named(name: str) -> Ordered:
            return Ordered.of(self.gens[name], path)

        def rows(shape: tuple[int, ...], entry: Any) -> Array:
            out = np.empty(shape, dtype=object)
            for index in np.ndindex(shape[:-1]):
                rest = self.number(path, 1)
                for k in range(shape[-1] - 1):
                    out[(*index, k)] = named(entry(*index, k))
                    rest = rest - out[(*index, k)]
                out[(*index, shape[-1] - 1)] = rest
            return out

        transitions = rows((states, actions, states), lambda s, a, u: f"p{s}_{a}_{u}")
        policy, other, start = (rows((states, actions), lambda s, a, k=kind: f"{k}{s}_{a}") for kind in ("x", "y", "z"))
        mu, rho = (rows((states,), lambda u, k=kind: f"{k}{u}") for kind in ("mu", "rho"))
        if case.domain.rho == "mu":
            rho = mu
        gamma = named("gamma") if self.discount is None else self.number(path, self.discount)
        rewards = self.rewards(path, named, transitions, policy, gamma)
        settings = {name: named(name) for name in _settings_used(case)}
        sizes = {"gamma": gamma, "S": self.number(path, states), "A": self.number(path, actions)}
        for name, rule in case.settings.items():
            if name not in settings:
                settings[name] = evaluate(rule, sizes | settings, lambda p, q: self.number(path, p, q)) if hasattr(rule, "free_symbols") else (
                    self.number(path, rational(rule))
                )  # fmt: skip
        extras = {}
        for label, extra in case.domain.extras:
            shape = extra.shape(states, actions)
            if extra.kind == "real":
                low, high = (self.number(path, rational(end)) for end in (extra.low, extra.high))
                extras[label] = np.empty(shape, dtype=object)
                for index in np.ndindex(shape):
                    extras[label][index] = low + (high - low) * named(_label(label, *index))
            else:
                extras[label] = rows(shape, functools.partial(_label, label))
        records, now = [policy], [0]
        pairs = case.statement.over == "pair"
        if case.process is not None:
            records, now = [start, policy], [1]
            if pairs:
                records.append(self.successor(path, policy, (transitions, rewards, gamma, mu), sizes | settings))
        context = _ClassContext(
            "symbolic", transitions[None], rewards[None], _one(gamma), mu[None], rho[None], {k: _one(v) for k, v in settings.items()},
            np.arange(len(records)), np.stack(records)[None], other=None if case.domain.other is None else other[None], pairs=pairs,
            given_optimum=cast(Any, _Optimum(self, path, transitions, rewards, gamma, best)), extras={k: v[None] for k, v in extras.items()},
        )  # fmt: skip
        context.__dict__["now"] = np.array(now)
        return context

    def rewards(self, path: Path, named: Any, transitions: Array, policy: Array, gamma: Ordered) -> Array:
        """(S, A): the variables, or made of values and losses or advantages."""
        states, actions, domain = self.states, self.actions, self.case.domain
        out = np.empty((states, actions), dtype=object)
        if self.chart == "rewards":
            for s, a in np.ndindex(states, actions):
                out[s, a] = named(f"r{s}_{a}")
                if domain.rewards is not None:
                    low, high = domain.rewards
                    out[s, a] = low + out[s, a] * (high - low)
            return out
        values = [named(f"v{s}") for s in range(states)]
        for s in range(states):
            losses = [self.number(path, 0), *(named(f"g{s}_{a}") for a in range(1, actions))]
            level = self.number(path, 0)
            if self.chart == "policy":
                level = (policy[s] * np.array(losses, dtype=object)).sum()
            for a in range(actions):
                ahead = sum((transitions[s, a, u] * values[u] for u in range(states)), self.number(path, 0))
                out[s, a] = values[s] - gamma * ahead + level - losses[a]
        if domain.rewards is not None:
            low, high = domain.rewards
            for reward in out.reshape(-1):
                path.assume(reward - low, of_range=True)
                path.assume(high - reward, of_range=True)
        return out

    def successor(self, path: Path, policy: Array, problem: tuple[Any, ...], names: dict[str, Any]) -> Array:
        """The policy after one step of the method, from any parameters that give `policy`."""
        method = self.case.process
        settings = method_settings(self.case, names, lambda p, q: self.number(path, p, q))
        params = policy if method.parameters == "policy" else np.frompyfunc(lambda x: x.log(), 1, 1)(policy)
        return method.policy_of(method.plain_step(params, *problem, *settings))


def _label(name: str, *index: int) -> str:
    """The variable of an extra's entry."""
    return f"extra_{name}_" + "_".join(map(str, index))


class _Optimum:
    """The optimum of the instances in which the actions `best` are optimal; notes whether anybody asked for it.

    Values are the variables of the chart "optimum", else those of the policy that takes `best`, and that no action is better is known on the path.
    """

    def __init__(self, made: _Variables, path: Path, transitions: Array, rewards: Array, gamma: Ordered, best: tuple[int, ...]) -> None:
        self.made, self.path, self.transitions, self.rewards, self.gamma, self.best = made, path, transitions, rewards, gamma, best
        self.used = False

    @functools.cached_property
    def values(self) -> Array:
        """(1, S)."""
        from pgtheory import arithmetic

        self.used = True
        states = range(self.made.states)
        if self.made.chart == "optimum":
            return np.array([[Ordered.of(self.made.gens[f"v{s}"], self.path) for s in states]], dtype=object)
        chain = self.transitions[states, self.best] * -self.gamma
        for s in states:
            chain[s, s] = chain[s, s] + 1
        values = arithmetic.solve(chain, self.rewards[states, self.best])
        for s, a in np.ndindex(self.rewards.shape):
            if a != self.best[s]:
                self.path.assume(values[s] - self.rewards[s, a] - self.gamma * (self.transitions[s, a] * values).sum())
        return values[None]

    @functools.cached_property
    def action_values(self) -> Array:
        """(1, S, A)."""
        return (self.rewards + self.gamma * (self.transitions * self.values[0]).sum(axis=-1))[None]

    @functools.cached_property
    def mask(self) -> Array:
        """Which actions are optimal besides `best` is not known of a whole class: instances with ties are in it."""
        raise Unprovable("the set of all optimal actions depends on the instance")

    @functools.cached_property
    def chosen(self) -> Array:
        """(1, S, A) booleans: the actions `best`, one optimal action a state."""
        self.used = True
        return np.eye(self.made.actions, dtype=bool)[list(self.best)][None]


class _ClassContext(Context):
    """A context whose optimal policy takes the actions that the class names."""

    @functools.cached_property
    def selection(self) -> Array:
        assert self.given_optimum is not None
        return self.constant(self.given_optimum.chosen.astype(np.int64))  # type: ignore[attr-defined]


def _one(number: Any) -> Array:
    out = np.empty(1, dtype=object)
    out[0] = number
    return out


def _holds(case: Case, made: _Variables, path: Path, best: tuple[int, ...], optima: list[Any]) -> bool:
    """Whether the statement holds on this path, where the actions `best` are optimal."""
    context = made.context(path, best)
    optima.append(context.given_optimum)
    values: dict[str, Any] = {}
    for name in sorted(needed(case)):
        code = quantity(name).code
        assert code is not None
        values[name] = code(context)
    for small, large in case.where:
        a, b = (evaluate(side, values, lambda p, q: made.number(path, p, q)) for side in (small, large))
        path.assume(_difference(np.asarray(a, dtype=object).reshape(-1)[0], np.asarray(b, dtype=object).reshape(-1)[0]))
    left, right = case.statement.sides(values, lambda p, q: made.number(path, p, q))
    left, right = np.broadcast_arrays(np.asarray(left, dtype=object), np.asarray(right, dtype=object))
    if case.statement.relation == ">=":
        left, right = right, left
    return all(_below(path, a, b) for a, b in zip(left.reshape(-1), right.reshape(-1), strict=True))


def _difference(a: Any, b: Any) -> Ordered:
    """A function that is nonnegative exactly where a <= b: the difference, or that of the squares with their signs."""
    if isinstance(a, Root) or isinstance(b, Root):
        like = a.factor if isinstance(a, Root) else b.factor
        return signed_square(b, like) - signed_square(a, like)
    return b - a


def _below(path: Path, a: Any, b: Any) -> bool:
    """Whether a <= b everywhere on the path: by its sign, or as a sum of what is nonnegative there."""
    difference = _difference(a, b)
    if path.sign(difference) in (0, 1):
        return True
    if len(difference.above) <= MOST_COMBINED:
        for condition in path.conditions:
            for multiplier in path.multipliers(difference):
                if path.sign(difference - multiplier * condition) in (0, 1):
                    return True
        for first, second in itertools.combinations(path.conditions, 2):
            if path.sign(difference - first - second) in (0, 1):
                return True
    wanted, known = path.cleared(difference), [path.cleared(condition) for condition in (*path.conditions, *path.ranges)]
    if follows(wanted, known, path.signs):
        return True
    path.signs.open.append((wanted, known))
    return False
