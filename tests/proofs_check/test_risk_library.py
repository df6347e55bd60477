"""The quantities that the risk claims speak of and the library's functions of the same name are two programs: they agree exactly on random rationals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mdps.rational import fraction
from pgtheory import arithmetic
from pgtheory.risk import CVaR, Entropic, distributional, gradient, nested, plug_in, scoring
from proofs_check.catalogue import get_claim, risk_measures
from proofs_check.engine.certify import exact_contexts
from proofs_check.engine.examination import coarse
from proofs_check.engine.shrink import exactly
from proofs_check.instances import settle
from proofs_check.quantities import quantity
from proofs_check.quantities.return_laws import distance, projected


def drawn(identifier, form, count, states, actions, seed=11):
    """[(exact instance, its context in rationals)] of random instances with numbers of few digits, at least half of those drawn."""
    claim = get_claim(identifier)
    case = claim.case(claim.form(form))
    free = sum(isinstance(rule, tuple) or hasattr(rule, "low") for rule in case.settings.values())
    rng = np.random.default_rng(seed)
    vectors = 0.7 * rng.standard_normal((count, case.domain.length(states, actions, free)))
    batch = case.domain.decode(vectors, states, actions, case.settings)
    settled = [settle(case, exactly(coarse(batch[k]))) for k in range(count)]
    found = [(instance, exact_contexts(case, instance, [0], "rational")) for instance in settled if instance is not None]
    assert len(found) >= count / 2
    return found


def measured(context, name):
    return quantity(name).code(context).reshape(-1).tolist()


def test_nested_values_and_gradient():
    for instance, context in drawn("soft-robust-gradient-and-domination", "domination, nested CVaR", 6, 3, 2):
        measure = CVaR(instance.settings["tail"])
        values, _, _ = nested.nested_evaluation(instance.policy, instance.transitions, instance.rewards, instance.discount, measure)
        assert values.tolist() == measured(context, "nested_cvar_values")
        best = nested.solve_nested_exactly(instance.mdp(), measure)
        gap = ((np.asarray(best.values) - values) * instance.rho).sum()
        assert [gap] == measured(context, "nested_gap_rho")
        slope = nested.nested_gradient(instance.policy, instance.transitions, instance.rewards, instance.discount, instance.mu, measure)
        promise = (slope.max(axis=1) - (instance.policy * slope).sum(axis=1)).sum()
        assert [promise] == measured(context, "nested_improvement")


def test_soft_robust_values_in_balls():
    """Both enclose the same numbers."""
    for instance, _ in drawn("soft-robust-equals-entropic", "attained at the tilted kernel", 4, 2, 2):
        claim = get_claim("soft-robust-equals-entropic")
        case = claim.case(claim.form("attained at the tilted kernel"))
        with arithmetic.precision(128):
            ours = quantity("entropic_state_values").code(exact_contexts(case, instance, [0], "ball")).reshape(-1)
            arrays = (arithmetic.balls(table) for table in (instance.policy, instance.transitions, instance.rewards, instance.discount))
            theirs = nested.nested_evaluation(*arrays, Entropic(instance.settings["aversion"]))[0]
            assert all(a.overlaps(b) and float(a.rad()) < 1e-25 for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_of_cvar(sign):
    """Trajectories of two steps, listed by the library; for costs the library's scoring rule of CVaR."""
    identifier, form = ("cvar-policy-gradient", "main") if sign == 1 else ("scoring-rule-policy-gradient", "CVaR of a cost")
    name = "path_cvar_gradient" if sign == 1 else "path_cost_cvar_gradient"
    for instance, context in drawn(identifier, form, 5, 2, 2):
        paths = gradient.trajectories(instance.mdp() if sign == 1 else instance.mdp().replace(rewards=-instance.rewards), 2)
        level = instance.settings["tail"]
        found = gradient.risk_gradient(paths, instance.policy, CVaR(level) if sign == 1 else scoring.TailScore(level))
        clear = "level_distance" if sign == 1 else "level_distance_upper"
        if quantity(clear).code(context)[0, 0, 0] > 0:
            assert found.reshape(-1).tolist() == measured(context, name)


def test_gradient_of_the_variance():
    for instance, context in drawn("scoring-rule-policy-gradient", "variance", 4, 2, 2):
        paths = gradient.trajectories(instance.mdp(), 2)
        found = gradient.risk_gradient(paths, instance.policy, scoring.variance())
        assert found.reshape(-1).tolist() == measured(context, "path_variance_derivative")


def test_distances_and_projections_of_laws():
    for instance, _ in drawn("distributional-bellman-and-quantiles", "projection in W_inf", 12, 1, 1):
        p, x, q, y = (instance.extras[name] for name in "pxqy")
        for ours, theirs in ((1, 1), (None, np.inf)):
            assert distance((p, x), (q, y), ours) == distributional.wasserstein(p, x, q, y, theirs)
        count = int(fraction(instance.settings["quantiles"]))
        assert projected(p, x, count, instance.rewards).tolist() == distributional.quantile_projection(p, x, count).tolist()


def test_variance_of_the_return():
    for instance, context in drawn("distributional-bellman-and-quantiles", "variance of the return", 6, 2, 2):
        assert distributional.return_variance(instance.mdp(), instance.policy).tolist() == measured(context, "summed_variance")


def test_expected_plug_in():
    for instance in risk_measures.COIN_SAMPLES:
        n, level = (fraction(instance.settings[name]) for name in ("samples", "tail"))
        context = exact_contexts(get_claim("plug-in-risk-is-optimistic").cases()[0], dataclasses.replace(instance), [0], "rational")
        found = plug_in.expected_plug_in(CVaR(str(level)), instance.extras["p"], instance.extras["x"], int(n))
        assert [found] == measured(context, "plug_in_cvar")
