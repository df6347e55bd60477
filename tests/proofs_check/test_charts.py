"""Proofs over whole classes of MDPs: true statements are proved, false ones never, and the charts reach every instance."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from small import random_instances, random_policies

from mdps.errors import ModelError
from pgtheory import (
    AdaptiveMirrorDescent,
    ConservativePI,
    MirrorDescent,
    NaturalPG,
    PolicyIteration,
    ProjectedPG,
    SimplexIteration,
    SoftmaxPG,
)
from proofs_check import quantities as q
from proofs_check.catalogue import claims, get_claim
from proofs_check.claim import Case, Claim
from proofs_check.domains import Between, Extra, bandits, random_mdps
from proofs_check.engine.charts import _Variables, prove_everywhere, scope
from proofs_check.engine.ordered import Ordered, Path, Root, Unprovable
from proofs_check.engine.polynomials import Signs
from proofs_check.engine.renaming import breaks_ties_by_name
from proofs_check.instance import exact_context, exact_optimum
from proofs_check.quantities import gap, quantity
from proofs_check.statement import Statement

POLYNOMIAL = [(c.id, f.name) for c in claims().values() for f in c.forms if c.case(f).polynomial]


def case_of(identifier: str, form: str, **changes: object) -> Case:
    claim = get_claim(identifier)
    return dataclasses.replace(claim.case(claim.form(form)), **changes)


def stating(case: Case, statement: object) -> Case:
    return dataclasses.replace(case, statement=Statement.of(statement))


@pytest.mark.exact
def test_there_are_inequalities_proved_for_whole_classes():
    assert len(POLYNOMIAL) >= 5


@pytest.mark.exact
@pytest.mark.parametrize(("identifier", "form"), POLYNOMIAL)
def test_the_catalogues_classes_are_proved(identifier, form):
    """The quickest class of each form; `pgtheory verify` proves all of them."""
    case = case_of(identifier, form)
    smallest = min(case.polynomial, key=lambda size: (size[0] * size[1], size[0]))
    ended = prove_everywhere(case, *smallest)
    assert ended.proved and ended.paths >= 1, ended.reason


VISITS = case_of("visits-at-least-start", "states")
MISMATCH = case_of("visits-at-least-start", "mismatch")
CONTRACTION = case_of("bellman-contraction", "contraction")
LOJASIEWICZ = case_of("softmax-lojasiewicz", "bandit")
REVERSE = case_of("softmax-reverse-lojasiewicz", "bandit")
RANGE = case_of("values-in-range", "most")
MEASURE = case_of("change-of-measure", "gap")
ASCENT = case_of("softmax-pg-any-step-monotone", "state values")
NATURAL = case_of("npg-one-over-T", "monotone")
GREEDY = case_of("policy-iteration-monotone-geometric-finite", "better than a Bellman backup")


@pytest.mark.exact
@pytest.mark.parametrize(
    ("case", "statement", "size"),
    [
        (VISITS, q.visits >= (1 - q.gamma**2) * q.start_probabilities, (2, 2)),
        (VISITS, q.visits >= (1 - q.gamma) * q.start_probabilities * 1001 / 1000, (2, 2)),
        (VISITS, q.visits >= q.start_probabilities, (2, 2)),
        (MISMATCH, q.mismatch_mu_policy <= q.mismatch / (1 - q.gamma**2), (2, 2)),
        (CONTRACTION, q.bellman_gap_sup <= q.gamma**2 * q.gap_sup, (2, 2, "optimum")),
        (CONTRACTION, q.bellman_gap_sup <= q.gamma * q.gap_sup * 999 / 1000, (2, 2, "optimum")),
        (LOJASIEWICZ, q.gradient_norm >= gap(q.mu, q.T), (1, 2, "optimum")),
        (LOJASIEWICZ, q.gradient_norm >= 2 * q.min_optimal_probability * gap(q.mu, q.T), (1, 2, "optimum")),
        (REVERSE, q.gradient_norm <= gap(q.mu, q.T), (1, 2, "optimum")),
        (REVERSE, q.gradient_norm <= gap(q.mu, q.T), (1, 3, "optimum")),
        (RANGE, q.state_values <= 1, (2, 2)),
        (RANGE, q.state_values <= 1 / (1 - q.gamma) - q.gamma / 10**6, (2, 2)),
        (MEASURE, gap(q.rho, q.T) <= gap(q.mu, q.T), (2, 2, "optimum")),
        (ASCENT, q.next_state_values >= q.bellman_values, (2, 2, "policy")),
        (ASCENT, q.state_values >= q.next_state_values, (2, 2, "policy")),
        (NATURAL, q.state_values >= q.next_state_values, (2, 2, "policy")),
        (GREEDY, q.bellman_values >= q.next_state_values, (2, 2, "policy")),
    ],
)
def test_false_variants_are_not_proved(case, statement, size):
    """Constants changed, factors dropped, sides exchanged: no certificate is accepted for any of them."""
    assert not prove_everywhere(stating(case, statement), *size).proved


SEARCHING = "bellman-contraction-and-vi-error"
"""Its controls take ten seconds; those of the other claims half a second each."""


@pytest.mark.exact
@pytest.mark.parametrize("identifier", [pytest.param(name, marks=pytest.mark.slow if name == SEARCHING else ()) for name in dict(POLYNOMIAL)])
def test_the_negative_controls_of_the_catalogue_are_not_proved(identifier):
    claim = get_claim(identifier)
    smallest = {min(claim.case(claim.form(form)).polynomial, key=lambda s: s[0] * s[1]) for owner, form in POLYNOMIAL if owner == identifier}
    for size, control in itertools.product(sorted(smallest, key=str), claim.controls):
        case = claim.case(control)
        if case.domain.bandit != (size[0] == 1):  # with one state a control about several may be true
            continue
        try:
            assert not prove_everywhere(case, *size).proved, f"{identifier}: {control.name}"
        except ModelError as error:  # an equation, or a statement about a whole run
            if "inequalities at one step" not in str(error) and "no number that may vary" not in str(error):
                raise


@pytest.mark.exact
def test_a_setting_is_any_positive_number():
    case = stating(ASCENT, q.next_state_values >= q.state_values * q.eta)
    assert not prove_everywhere(case, 1, 2, "policy").proved


def test_what_charts_are_not_for_is_refused():
    with pytest.raises(ModelError, match="unknown chart"):
        prove_everywhere(VISITS, 2, 2, "values")
    with pytest.raises(ModelError, match="not of 2 states"):
        prove_everywhere(LOJASIEWICZ, 2, 2)
    with pytest.raises(ModelError, match="not over a whole run"):
        prove_everywhere(case_of("npg-one-over-T", "rate"), 2, 2)
    with pytest.raises(ModelError, match="not in"):
        prove_everywhere(VISITS, 2, 2, "rewards", 1)
    ended = prove_everywhere(case_of("softmax-smoothness-sharp", "derived"), 1, 2)
    assert not ended.proved and ended.reason


def test_the_scope_says_what_is_covered():
    assert scope(LOJASIEWICZ, 1, 3, "optimum") == "all bandits with 3 arms, rewards in [0, 1], policies without zeros"
    full = "all MDPs with 2 states and 2 actions, any discount"
    assert scope(VISITS, 2, 2) == f"{full}, any rewards, rho = mu"
    assert scope(RANGE, 2, 2) == f"{full}, rewards in [0, 1], any eta > 0"
    assert scope(MEASURE, 2, 2).startswith(f"{full}, any rewards, mu positive in every state")
    assert scope(ASCENT, 2, 2, "policy", "1/2").startswith("all MDPs with 2 states and 2 actions, discount 1/2")
    assert scope(ASCENT, 2, 2, "policy").endswith(", any eta > 0")
    narrow = Extra(("S",), low=-1, high=2)
    case = dataclasses.replace(RANGE, where=((q.gamma, q.rho_over_mu),), domain=random_mdps(mu="any", rho="mu", policy="any", extras={"V": narrow}))
    assert scope(case, 2, 2) == f"{full}, rewards in [0, 1], rho = mu, V in [-1, 2], any eta > 0, where gamma < rho_over_mu"


def test_what_the_scope_leaves_out_is_not_used():
    """Dropping an assumption that the scope names loses the proof; one that it does not name cannot matter."""
    assert prove_everywhere(case_of("change-of-measure", "ratio"), 2, 2).proved
    assert not prove_everywhere(case_of("values-in-range", "most", domain=random_mdps(rewards=None)), 2, 2).proved


# Ties between actions


def stepping(method: Any, **settings: Any) -> Case:
    """A true statement about any step: values of the successor are at most the optimum's."""
    claim = Claim("a-step", "test", random_mdps(), q.next_state_values >= q.state_values, process=method, settings=settings)
    return claim.cases()[0]


BY_NAME = [(PolicyIteration(), True), (SimplexIteration(), True), (ConservativePI(q.eta), True), (AdaptiveMirrorDescent(q.eta), True)]
BLIND = [(SoftmaxPG(q.eta), False), (NaturalPG(q.eta), False), (ProjectedPG(q.eta), False), (MirrorDescent(q.eta), False)]


@pytest.mark.parametrize(("method", "expected"), BY_NAME + BLIND, ids=lambda x: getattr(x, "name", ""))
def test_methods_that_break_ties_by_name_are_known(method, expected):
    assert breaks_ties_by_name(stepping(method, eta=Between("1/4", "1/2"))) == expected


def test_charts_that_rename_actions_are_refused_where_names_matter():
    case = stepping(PolicyIteration())
    with pytest.raises(ModelError, match="breaks ties by their names"):
        prove_everywhere(case, 1, 2, "optimum")
    assert prove_everywhere(case, 1, 2, "policy").proved  # the first greedy action comes first
    odd = dataclasses.replace(case, process=OddGreedy())
    with pytest.raises(ModelError, match="breaks ties by their names"):
        prove_everywhere(odd, 1, 2, "policy")
    assert prove_everywhere(dataclasses.replace(case, statement=VISITS.statement, process=PolicyIteration()), 1, 2, "optimum").proved  # no step


class OddGreedy(PolicyIteration):
    """Of the best actions the first in the order 0, 2, 1."""

    @staticmethod
    def plain_step(params, transitions, rewards, discount, start, *settings):
        order = [0, 2, 1] if params.shape[1] == 3 else list(range(params.shape[1]))
        return PolicyIteration.plain_step(params[:, order], transitions[:, order], rewards[:, order], discount, start, *settings)[:, order]


# Charts reach every instance, and at each of their points the functions are the quantities


def chart_point(made: _Variables, chart: str, instance) -> dict[str, fmpq]:
    """The coordinates of an instance whose best action (optimal, or greedy for the policy) is 0 in every state."""
    states, actions = instance.shape
    point: dict[str, fmpq] = {name: fmpq(0) for name in made.gens}
    for s, a, u in itertools.product(range(states), range(actions), range(states - 1)):
        point[f"p{s}_{a}_{u}"] = instance.transitions[s, a, u]
    for s, a in itertools.product(range(states), range(actions - 1)):
        point[f"x{s}_{a}"] = instance.policy[s, a]
        point[f"y{s}_{a}"] = instance.other[s, a]
    for s in range(states - 1):
        point[f"mu{s}"], point[f"rho{s}"] = instance.mu[s], instance.rho[s]
    if "gamma" in point:
        point["gamma"] = instance.discount
    if chart == "rewards":
        return point | {f"r{s}_{a}": instance.rewards[s, a] for s, a in np.ndindex(states, actions)}
    values, action_values = levels(chart, instance)
    best = action_values[:, 0]
    point |= {f"v{s}": values[s] for s in range(states)}
    return point | {f"g{s}_{a}": best[s] - action_values[s, a] for s in range(states) for a in range(1, actions)}


def levels(chart: str, instance):
    if chart == "optimum":
        return exact_optimum(instance)
    context = exact_context(instance, "rational", np.zeros(1, dtype=np.int64), instance.policy[None], pairs=False)
    return context.values[0, 0], context.action_values[0, 0]


def relabelled(chart: str, instance):
    """The same instance with the best action of each state called 0."""
    best = levels(chart, instance)[1].argmax(axis=1)
    states, actions = instance.shape
    order = np.array([[b, *(a for a in range(actions) if a != b)] for b in best])
    fields = {name: np.stack([getattr(instance, name)[s][order[s]] for s in range(states)]) for name in ("transitions", "rewards", "policy", "other")}
    return dataclasses.replace(instance, **fields)


NAMES = (
    "gap_rho",
    "gap_sup",
    "bellman_gap_sup",
    "visits",
    "state_values",
    "action_values",
    "policy_mismatch",
    "min_optimal_probability",
    "rho_over_mu",
)


@pytest.mark.exact
@pytest.mark.parametrize("chart", ["rewards", "optimum", "policy"])
@pytest.mark.parametrize("size", [(1, 2), (2, 2)])
def test_charts_reach_every_instance_and_their_functions_are_the_quantities(chart, size):
    """Random exact instances, actions renamed: the coordinates lie in the region, and where the path's conditions hold at them the functions built
    by the quantities' code have the values that the same code computes in rationals."""
    case = dataclasses.replace(VISITS, domain=random_mdps(policy="any", other="any", rewards=None))
    made = _Variables(case, *size, chart, None)
    for instance in random_instances(11, *size, count=5):
        instance = relabelled(chart, instance)
        best = tuple(int(a) for a in exact_optimum(instance)[1].argmax(axis=1))
        context = exact_context(instance, "rational", np.zeros(1, dtype=np.int64), instance.policy[None], pairs=False)
        point = chart_point(made, chart, instance)
        numbers = [point[name] for name in made.gens]
        for group in made.region.simplices:
            assert all(numbers[k] >= 0 for k in group) and sum((numbers[k] for k in group), fmpq(0)) <= 1
        assert all(numbers[k] >= 0 for k in made.region.half_lines)
        for name in NAMES:
            code = quantity(name).code
            measured = code(context).reshape(-1)
            assert any(np.all(found == measured) for found in functions_at(made, code, numbers, best, chart)), (name, instance)


def functions_at(made: _Variables, code, numbers, best, chart):
    """The values of a quantity at a point, on each path whose conditions hold there."""
    if chart == "optimum":
        best = (0,) * made.states
    work, signs = [()], Signs(made.region)
    while work:
        path = Path(signs, work.pop(), [], [])
        found = code(made.context(path, best)).reshape(-1)
        work.extend(path.alternatives())
        if all(at(condition, numbers) >= 0 for condition in path.conditions):
            yield np.array([at(x, numbers) for x in found], dtype=object)


def at(x, numbers):
    return x.above(*numbers) / x.below(*numbers) if isinstance(x, Ordered) else fmpq(x)


# Functions with an order


def variables():
    made = _Variables(dataclasses.replace(VISITS, domain=bandits(rewards=None)), 1, 2, "rewards", None)
    return made, Path(Signs(made.region), (), [], [])


@pytest.mark.exact
def test_comparisons_that_are_settled_make_no_path_and_others_two():
    made, path = variables()
    x, r = Ordered.of(made.gens["x0_0"], path), Ordered.of(made.gens["r0_0"], path)
    assert x >= 0 and 1 - x >= 0 and not (x - 1 > 0) and path.taken == []
    assert (r >= x) and path.taken == [True] and r - x >= 0 and path.taken == [True]
    assert list(path.alternatives()) == [(False,)]
    assert x < 1 and path.taken == [True, True]  # x = 1 is another way


@pytest.mark.exact
def test_roots_are_compared_by_squares():
    made, path = variables()
    x = Ordered.of(made.gens["x0_0"], path)
    root = x.sqrt()
    assert isinstance(root * 2, Root) and (root * root) == x and (2 * root / root) == 2 and (root**2) == x
    assert root >= x and root <= 1 and -root <= x and abs(-root) >= x and 1 / (1 + root * root) <= 1
    assert x.half_power(4) == x * x and x.half_power(-2) == 1 / x and isinstance(x.half_power(3), Root)
    assert path.taken == []


@pytest.mark.exact
def test_an_exponential_is_only_known_to_lie_on_its_side_of_one():
    case = case_of("softmax-pg-any-step-monotone", "state values")
    made = _Variables(case, 1, 2, "policy", None)
    path = Path(Signs(made.region), (), made.spare("up"), made.spare("down"))
    x = Ordered.of(made.gens["x0_0"], path)
    up, down = x.exp(), (-x).exp()
    assert up >= 1 and down <= 1 and down >= 0 and x.exp() == up and (x * 0).exp() == 1
    assert path.taken == [] and not (2 * x).exp().same(up)
    policies = random_policies(1, 1, 1, 2)
    assert policies.shape == (1, 1, 2)


@pytest.mark.exact
def test_an_equality_that_only_some_instances_meet_ends_the_proof():
    """Code that asks whether a probability is 0 takes one way on the inside of the class and the other on its boundary."""
    made, _ = variables()
    path = Path(Signs(made.region), (), [], [])
    x = Ordered.of(made.gens["x0_0"], path)
    assert x == x * 1 and x - x == 0
    with pytest.raises(Unprovable):
        bool(x == 0)


@pytest.mark.exact
def test_at_equality_a_strict_comparison_says_nothing_about_factors():
    """Where x = 0, x r > 0 is false whatever r is; x r >= 0 may be answered either way there, so that r may be given the sign it has."""
    for strictly, decision, expected in ((True, True, 1), (True, False, None), (False, True, 1), (False, False, -1)):
        made, _ = variables()
        path = Path(Signs(made.region), (decision,), [], [])
        x, r = Ordered.of(made.gens["x0_0"], path), Ordered.of(made.gens["r0_0"], path)
        assert (x * r > 0 if strictly else x * r >= 0) == decision
        assert path.sign(r) == expected
        assert path.sign(x * r) == expected or expected is None
