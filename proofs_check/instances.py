"""Named models put into the form that a claim needs: start distributions, policies and settings around the models of the zoo.

A claim lists models by zoo expressions (`"loop(9/10)"`); each is dressed with a few start distributions (uniform, nearly all on the first or the
last state), start policies (uniform, nearly always or hardly ever one action) and settings (both ends and the middle of each range).  Rewards that
lie outside a claim's range are mapped onto it by the one increasing affine map, and the name says so.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from mdps.model import MDP
from mdps.rational import fraction, rational, rational_array
from proofs_check.claim import Case
from proofs_check.domains import Domain, exact_settings, in_range, is_free
from proofs_check.expression import evaluate
from proofs_check.instance import Instance
from proofs_check.quantities import parse

Array = np.ndarray
BANDITS = ("arms([1, 0])", "arms([1, 9/10, 1/10])", "arms([1, 99/100, 0])", "arms([0, 1, 1])", "arms([1/2])")
MANY = ("arms([1" + ", 0" * 63 + "])",)
"""One good arm among 64: what a factor A or log A is there for."""
PATIENT = ("arms([1, 0], 9/10)", "arms([1, 0], 19/20)")
"""One state with a horizon: what a step size that shrinks with 1-gamma costs in time."""
COPIES = ("8 * arms([1, 0])", "24 * arms([1, 0])")
"""States that are copies of one bandit, with the start spread over them: what a factor S is there for."""
LONG = ("domino(20, 99/100)", "domino(60, 99/100)")
"""Optimality travels one state an improvement: what one more power of 1/(1-gamma) or of 1/t is there for."""
SMALL = (
    "loop(1/2)",
    "loop(9/10)",
    "loop(19/20)",
    "loop(49/50)",
    "loop(99/100)",
    "chain(1, 9/10)",
    "chain(3, 9/10)",
    "domino(1, 9/10)",
    "polytope(9/10)",
)
HARD = ("domino(3, 9/10)", "domino(8, 9/10)", "domino(8, 3/10)", "chain(6, 9/10)")
REAL = ("river_swim(6)", "machine_replacement()", "forest_management(5)", "gridworld(3, 3)", "frozen_lake(4)")
LARGE = ("frozen_lake(8)", "cliff_walking()")
RARE = Fraction(1, 1000)
OFTEN = Fraction(1, 10)


_KNOWN: dict[str, tuple[Any, list[Instance]]] = {}
"""The named instances of the last domains: the forms and controls of a claim share them, and each form asks more than once."""
_KEPT = 24


def named(case: Case) -> Iterator[Instance]:
    """The case's named instances, exact, with everything it quantifies over."""
    key = repr(([entry if isinstance(entry, str) else id(entry) for entry in case.instances], case.domain, case.settings))
    if key not in _KNOWN:
        made = list(_named(case))
        while len(_KNOWN) >= _KEPT:
            del _KNOWN[next(iter(_KNOWN))]
        _KNOWN[key] = (case.instances, made)  # the entries too, so that none of their ids is used again
    yield from _KNOWN[key][1]


def _named(case: Case) -> Iterator[Instance]:
    for entry in case.instances:
        if isinstance(entry, Instance):  # complete as it is
            fitted = _fitted(case, entry)
            settled = None if fitted is None else settle(case, fitted)
            if settled is not None:
                yield settled
        else:
            yield from dressed(case, model_of(entry))


def _fitted(case: Case, entry: Instance) -> Instance | None:
    """The instance without what this form does not speak of; None where it lacks what the form does speak of."""
    domain = case.domain
    lacks = [name for name, rule in case.settings.items() if is_free(rule) and name not in entry.settings]
    lacks += [name for name, _ in domain.extras if name not in entry.extras]
    if lacks or (domain.other is not None and entry.other is None):
        return None
    other = None if domain.other is None else entry.other
    return dataclasses.replace(entry, other=other, extras={name: entry.extras[name] for name, _ in domain.extras})


@functools.lru_cache(maxsize=64)
def model_of(expression: str) -> MDP:
    """The model of a zoo expression; "8 * arms([1, 0])" is eight copies of one beside each other, the start spread evenly over them."""
    from mdps import zoo

    times, star, one = expression.partition(" * ")
    return copies(zoo.load(one), int(times)) if star and times.isdigit() else zoo.load(expression)


def copies(model: MDP, times: int) -> MDP:
    """`times` copies of a rectangular model that never lead into one another."""
    states, actions = model.num_states, model.num_actions
    transitions = rational_array(np.zeros((times * states, actions, times * states), dtype=int).tolist())
    for k in range(times):
        block = slice(k * states, (k + 1) * states)
        transitions[block, :, block] = model.exact.transitions
    rewards, start = np.tile(model.exact.rewards, (times, 1)), np.tile(model.exact.start, times) / rational(times)
    return MDP(transitions, rewards, model.exact.discount, start, name=f"{times} copies of {model.name}")


def dressed(case: Case, model: MDP, limit: int | None = None) -> Iterator[Instance]:
    """`model` with the start distributions, policies and settings that the domain allows; at most `limit` (by default fewer for larger ones)."""
    if not model.is_rectangular:
        return
    model = in_reward_range(case.domain, model).exact
    states, actions = model.num_states, model.num_actions
    if limit is None:
        limit = 48 if states <= 3 else 12 if states <= 10 else 3
    transitions, rewards, discount = model.transitions, model.rewards, model.discount  # one object each, so that its float twin is made once
    choices = settings_choices(case, model)
    policies = list(start_policies(case.domain, states, actions))
    others = [second_policy(case.domain, policy) for policy in policies]
    starts = list(start_distributions(case.domain, model))
    variants = [(name, extra.variants(states, actions)) for name, extra in case.domain.extras]
    variants = [(name, values[i % len(values) :] + values[: i % len(values)]) for i, (name, values) in enumerate(variants)]
    fits, settings_of = _Fits(case.domain), dict[int, dict[str, Any] | None]()
    seen = 0
    for k in range(len(choices) * len(policies) * len(starts) * (5 if variants else 1)):
        # walk the three lists at different paces, so that a cut list still varies all of them
        choice, which = k % len(choices), (k // len(choices)) % len(policies)
        mu, rho = starts[(k // (len(choices) * len(policies)) + k) % len(starts)]  # and extras turn with k
        extras = {name: values[k % len(values)] for name, values in variants}

        def made(values: dict[str, Any], mu: Any = mu, rho: Any = rho, which: int = which, extras: Any = extras) -> Instance:
            return Instance(transitions, rewards, discount, mu, rho, policies[which], others[which], values, model.name, extras)

        if choice not in settings_of:
            settings_of[choice] = _settings(case, made(choices[choice]))
        settings = settings_of[choice]
        if settings is not None and fits(instance := made(settings)):
            yield instance
            seen += 1
            if seen >= limit:
                return


class _Fits:
    """Whether an instance lies in the domain, where many instances are made of the same few arrays (which their maker keeps)."""

    def __init__(self, domain: Domain) -> None:
        self.assumptions = domain.assumptions()
        self.known: dict[tuple[int, tuple[int, ...]], bool] = {}

    def __call__(self, instance: Instance) -> bool:
        return all(self.one(k, instance) for k in range(len(self.assumptions)))

    def one(self, k: int, instance: Instance) -> bool:
        if not self.assumptions[k].reads:  # it may look at anything
            return self.assumptions[k].check(instance)
        key = (k, self.assumptions[k].seen(instance))
        if key not in self.known:
            self.known[key] = self.assumptions[k].check(instance)
        return self.known[key]


def _settings(case: Case, instance: Instance) -> dict[str, Any] | None:
    """All settings of an instance from its free ones, discount and size; None where one has no value or is out of its range."""
    try:
        settled = dataclasses.replace(instance, settings=exact_settings(case.settings, instance, instance.settings))
    except ZeroDivisionError:
        return None
    return settled.settings if in_range(case.settings, settled) else None


def settle(case: Case, instance: Instance) -> Instance | None:
    """The instance with its dependent settings computed; None where it is outside the domain."""
    settings = _settings(case, instance)
    return None if settings is None or case.domain.broken(instance) else dataclasses.replace(instance, settings=settings)


def in_reward_range(domain: Domain, model: MDP) -> MDP:
    """The model with rewards inside the domain's range, by an increasing affine map where they are not."""
    if domain.rewards is None:
        return model
    low, high = domain.rewards
    rewards = model.exact.rewards
    least, most = min(rewards.reshape(-1)), max(rewards.reshape(-1))
    if least >= low and most <= high:
        return model
    scaled = (rewards - least) / (most - least) * (high - low) + low
    return model.exact.replace(rewards=scaled, name=f"{model.name}, rewards mapped to [{low}, {high}]")


def start_distributions(domain: Domain, model: MDP) -> Iterator[tuple[Array, Array]]:
    """Pairs (mu, rho), exact."""
    states = model.num_states
    uniform = rational_array([Fraction(1, states)] * states)
    points = [rational_array([int(s == k) for s in range(states)]) for k in dict.fromkeys((0, states - 1))]
    mus = [uniform, *points, model.exact.start]
    if domain.mu == "positive":
        mus = [uniform, *(point * rational(1 - Fraction(1, 100)) + uniform * rational(Fraction(1, 100)) for point in points)]
        mus += [model.exact.start] if (model.exact.start > 0).all() else []
    for mu in mus if states > 1 else mus[:1]:
        for rho in (mu,) if domain.rho == "mu" or states == 1 else (mu, uniform, *points):
            yield mu, rho


def start_policies(domain: Domain, states: int, actions: int) -> Iterator[Array]:
    """Uniform, nearly always one action, hardly ever one action, deterministic: what the domain allows."""
    uniform = rational_array([[Fraction(1, actions)] * actions] * states)
    if domain.policy != "deterministic":
        yield uniform
    if domain.policy == "uniform":
        return
    for a in range(actions):
        one = rational_array([[int(b == a) for b in range(actions)]] * states)
        if domain.policy in ("deterministic", "any"):
            yield one
        if domain.policy in ("interior", "any") and actions > 1:
            for share in (RARE, OFTEN):
                yield one * rational(1 - share) + uniform * rational(share)
                yield (uniform * rational(actions) - one) * rational((1 - share) / (actions - 1)) + one * rational(share)


def second_policy(domain: Domain, policy: Array) -> Array | None:
    """A policy unlike `policy`: its actions turned by one place."""
    return None if domain.other is None else np.roll(policy, 1, axis=1) if policy.shape[1] > 1 else policy


def settings_choices(case: Case, model: MDP) -> list[dict[str, Any]]:
    """Both ends and the middle of each free setting's range, in rationals (the middle on the logarithmic scale, rounded)."""
    free = [(name, rule) for name, rule in case.settings.items() if is_free(rule)]
    if not free:
        return [{}]
    names: dict[str, Any] = {"gamma": fraction(model.exact.discount), "S": Fraction(model.num_states), "A": Fraction(model.num_actions)}
    out: list[dict[str, Any]] = []
    for which in range(3):
        chosen: dict[str, Any] = {}
        for k, (name, rule) in enumerate(free):
            if isinstance(rule, tuple):
                chosen[name] = rational(rule[(which + k) % len(rule)])
                names[name] = fraction(chosen[name])  # a later range may depend on it
                continue
            low, high = (evaluate(parse(end) if isinstance(end, str) else parse(str(end)), names, Fraction) for end in (rule.low, rule.high))
            middle = Fraction((float(low) * float(high)) ** 0.5).limit_denominator(1000) if low > 0 else (low + high) / 2
            chosen[name] = rational((low, high, min(max(middle, low), high))[(which + k) % 3])
            names[name] = fraction(chosen[name])
        out.append(chosen)
    return out
