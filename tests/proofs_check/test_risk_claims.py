"""The closed forms and the figures of the risk pages, measured through the claims' own quantities, and those quantities against plain loops."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from small import ball, exact, floats, settled

from mdps.rational import rational_array
from proofs_check.catalogue import get_claim, risk_control, risk_gradients, risk_measures, risk_stages
from proofs_check.context import Context
from proofs_check.engine.certify import confirm
from proofs_check.instance import float_context
from proofs_check.quantities import quantity
from proofs_check.quantities.risk_measures import least_over_vertices
from proofs_check.quantities.risk_samples import samples_of

F = Fraction
CLAIMS = (
    "cvar-three-forms", "entropic-risk-two-sided", "evar-kl-ball", "nested-cvar-is-robust-and-incomparable", "plug-in-risk-is-optimistic",
    "kl-plug-in-is-optimistic", "soft-robust-equals-entropic", "soft-robust-gradient-and-domination", "markov-risk-not-gradient-dominated",
    "static-cvar-needs-history", "convex-scoring-two-stage", "cvar-decomposition-evaluates-but-does-not-optimise",
    "entropic-risk-needs-a-schedule", "ecrm-augmented-equivalence", "ecrm-projected-gradient-rate", "cvar-policy-gradient",
    "scoring-rule-policy-gradient", "distributional-bellman-and-quantiles",
)  # fmt: skip


# The table of closed forms


def test_cvar_of_uniform_laws_and_of_a_coin():
    """K1, K2, K20: (k+1)/2; the switch at 5/8; 10/3 at 3/4, where the conditional mean is 5."""
    assert exact(risk_measures.UNIFORM, "cvar_sorted") == [F(3, 2)]
    assert exact(risk_measures.SAFE_SWITCH, "cvar_density_ball") == [2]
    for name in ("cvar_sorted", "cvar_sup_form", "cvar_density_ball", "cvar_at_quantile"):
        assert exact(risk_measures.SWITCH, name) == [F(10, 3)]
    assert exact(risk_measures.SWITCH, "mean_below_quantile") == [5]


def test_entropic_risk_of_a_coin():
    """K3, and the three levels of K12."""
    coin = risk_measures.QUARTER
    assert floats(coin, "law_erm", aversion=math.log(3))[0] == pytest.approx(1 - math.log(2) / math.log(3), abs=1e-14)
    assert floats(coin, "law_erm", aversion=4.0)[0] == pytest.approx(0.168749, abs=5e-7)
    assert floats(coin, "law_erm", aversion=1.0)[0] == pytest.approx(0.379885, abs=5e-7)


def test_normal_law():
    """K4 by quadrature: entropic risk 1/2, EVaR -1, CVaR 1 - 2/sqrt(2 pi) of N(1, 1)."""
    x = np.linspace(-14.0, 16.0, 600_001)
    weight = np.exp(-((x - 1) ** 2) / 2) / math.sqrt(2 * math.pi) * (x[1] - x[0])
    assert -math.log((weight * np.exp(-x)).sum()) == pytest.approx(0.5, abs=1e-10)
    tail = x < 1
    (density,), (level,) = (_at_z(0.0, name) for name in ("normal_density", "normal_level"))
    assert 1 - density / level == pytest.approx((weight * x)[tail].sum() / 0.5, abs=1e-4)
    assert 1 - density / level == pytest.approx(0.202115, abs=5e-7)
    assert 1 - math.sqrt(-2 * math.log(math.exp(-2))) == -1


def _at_z(z, name):
    context = Context(
        "float", *[np.zeros((1, 1))] * 2, np.zeros(1), *[np.ones((1, 1))] * 2, {}, np.zeros(1), np.ones((1, 1, 1, 1)), extras={"z": np.array([z])}
    )
    return quantity(name).code(context).reshape(-1).tolist()


def test_evar_of_a_coin():
    """K5: 1/4 at exp(-0.130812036); the wrong radius gives 0."""
    assert ball(risk_measures.QUARTER, "law_evar")[0] == pytest.approx(0.25, abs=1e-7)
    assert floats(risk_measures.QUARTER, "evar_scalar_search")[0] == pytest.approx(0.25, abs=1e-7)
    assert ball(risk_measures.QUARTER, "evar_wrong_radius") == [0.0]


def test_nested_against_static():
    """K6, K7: neither is always larger."""
    for instance, nested, static in (
        (risk_measures.TWO_COINS, 0, F(1, 2)),
        (risk_measures.SURE_OR_SPREAD, 5, F(15, 4)),
        (risk_measures.THREE_BRANCHES, 2, F(17, 12)),
    ):
        assert exact(instance, "nested_cvar") == [nested] and exact(instance, "static_cvar") == [static]
    assert exact(risk_measures.SURE_OR_SPREAD, "worst_conditional_cvar") == [5]


def test_decomposition_and_the_true_optimum():
    """K8: -1/4 against -2/3."""
    assert exact(risk_control.FLAW, "split_programme") == [F(-1, 4)]
    assert exact(risk_control.FLAW, "best_branch_cvar") == [F(-2, 3)]


def test_history_pays():
    """K9, K10: 3/2 against 1; at level 7/8 both 18/7."""
    for instance, best, blind in ((risk_control.GAMBLE, F(3, 2), 1), (risk_control.MILD, F(18, 7), F(18, 7))):
        assert exact(instance, "history_cvar") == exact(instance, "threshold_cvar") == [best]
        assert exact(instance, "blind_best_cvar") == [blind]


def test_quantiles_are_not_superadditive():
    """K13: a loss of 100 with probability 1/25, and two of them."""
    assert exact(risk_measures.RARE_LOSS, "law_quantile") == [0]
    both = [F(1, 625), F(48, 625), F(576, 625)]
    two = risk_measures._law("both", [str(p) for p in both], [-200, -100, 0], {"tail": "1/20"})
    assert exact(two, "law_quantile") == [-100]


def test_alive():
    """K14: 5/3, by both ways."""
    for name in ("nested_cvar_values", "density_robust_values"):
        assert exact(risk_measures.ALIVE, name) == [F(5, 3), 0]


def test_tosses_to_the_first_head():
    """K15: the outcomes beyond the fourth do not count at these levels."""
    law = risk_measures._law("tosses", ["1/2", "1/4", "1/8", "1/8"], [1, 2, 3, 4], {"tail": "1/2"})
    assert exact(law, "cvar_sorted") == [1] and exact(settled(law, tail="3/4"), "cvar_sorted") == [F(4, 3)]


def test_risk_over_the_arm():
    """K16, and J at six policies."""
    assert [exact(instance, "joint_value")[0] for instance in risk_control.FLAT] == [0, 0, 0, F(1, 5), F(1, 2), 1]
    assert [exact(instance, "joint_improvement")[0] for instance in risk_control.FLAT] == [0, 0, 0, F(4, 5), F(1, 2), 0]


def test_expected_conditional_risk():
    """K17: 3/8; K18: 3/4, and 7/8 if the second action looks at the second state alone."""
    for name in ("ecrm_values", "ecrm_augmented_values"):
        assert exact(risk_stages.ONE_STAGE, name)[0] == F(3, 8)
        assert exact(risk_stages.REMEMBER, name)[:2] == [F(1, 2), 1]
    assert exact(risk_stages.REMEMBER, "ecrm_mu") == [F(3, 4)]
    assert exact(risk_stages.REMEMBER, "ecrm_forgetful_mu") == [F(7, 8)]


def test_alternating_minimisation_stops_too_early():
    """K19: 3 against 2, strictly: at v = 3 the other action has 7/2."""
    assert exact(risk_control.STUCK, "alternating_score") == exact(risk_control.STUCK, "first_score") == [3]
    assert exact(risk_control.STUCK, "least_action_cvar") == [2]


# Figures of the pages


def test_plug_in_figures():
    """A fair 0 or 1 at level 1/2."""
    sixteen = settled(risk_measures.COIN_SAMPLES[0], samples=16)
    found = [exact(instance, "plug_in_cvar")[0] for instance in (*risk_measures.COIN_SAMPLES, sixteen)]
    assert found[:4] == [F(1, 2), F(1, 4), F(3, 16), F(35, 256)]
    assert float(found[4]) == pytest.approx(0.0981903, abs=5e-8)
    assert exact(risk_measures.BIASED_QUANTILE, "plug_in_quantile") == [F(1, 2)] and exact(risk_measures.BIASED_QUANTILE, "law_quantile") == [1]


def test_bias_figures():
    """One sample of a coin at beta 1: 0.1201 against 0.1068 to first order."""
    one = risk_measures.COIN_SAMPLES[0]
    bias = ball(one, "plug_in_erm")[0] - ball(one, "law_erm")[0]
    assert bias == pytest.approx(0.1201, abs=5e-5)
    assert ball(one, "plug_in_bias_first_order")[0] == pytest.approx(0.1068, abs=5e-5)


def test_hoeffding_is_nearly_attained():
    assert 0.5 - ball(risk_measures.COIN, "law_erm")[0] == pytest.approx(0.012495, abs=5e-7)


def test_penalty_figures():
    """The penalty is discounted: two states at beta 2."""
    assert ball(risk_control.FLIP, "entropic_state_values") == pytest.approx([1.2087, 0.1251], abs=5e-5)
    assert ball(risk_control.FLIP, "penalised_values_at_tilt") == pytest.approx([1.2087, 0.1251], abs=5e-5)
    assert ball(risk_control.FLIP, "penalised_values_without_discount") == pytest.approx([1.3454, 0.2122], abs=5e-5)


def test_nominal_mismatch_is_too_small_by_nine_sevenths():
    gap, mismatch, promise = (exact(risk_control.LURED, name)[0] for name in ("nested_gap_rho", "neutral_mismatch", "nested_improvement"))
    assert gap / (mismatch * promise) == F(9, 7)
    assert gap <= exact(risk_control.LURED, "nested_mismatch")[0] * promise


def test_schedule_figures():
    """0.09497 with the schedule, 0.04219 a power late; the sure option first, then the coin."""
    assert ball(risk_stages.LATE, "scheduled_entropic_values")[0] == pytest.approx(0.09497, abs=5e-6)
    assert ball(risk_stages.LATE, "late_entropic_values")[0] == pytest.approx(0.04219, abs=5e-6)
    assert ball(risk_stages.SWITCH, "tree_entropic_values")[0] > ball(risk_stages.SWITCH, "stationary_entropic_values")[0] + 1e-3


def test_medians_jump():
    found = [exact(risk_gradients.NEARLY_EVEN, name)[0] for name in ("two_laws_distance_1", "projected_distance_1", "projection_mean_error")]
    assert found == [F(1, 50), 1, F(49, 100)]


# The named hard instances refute the controls that they were made for


@pytest.mark.parametrize(
    ("claim", "control", "instance"),
    [
        ("cvar-three-forms", "conditional mean below the quantile", risk_measures.SWITCH),
        ("evar-kl-ball", "radius -log(1 - alpha)", risk_measures.QUARTER),
        ("nested-cvar-is-robust-and-incomparable", "nested is always more cautious", risk_measures.THREE_BRANCHES),
        ("nested-cvar-is-robust-and-incomparable", "nested is always less cautious", risk_measures.TWO_COINS),
        ("nested-cvar-is-robust-and-incomparable", "static above the worst conditional", risk_measures.SURE_OR_SPREAD),
        ("plug-in-risk-is-optimistic", "quantiles too", risk_measures.BIASED_QUANTILE),
        ("soft-robust-equals-entropic", "penalty not discounted", risk_control.FLIP),
        ("soft-robust-equals-entropic", "risk over the action too", risk_control.CHOICE),
        ("soft-robust-gradient-and-domination", "mismatch of the nominal kernel", risk_control.LURED),
        ("static-cvar-needs-history", "nothing need be remembered", risk_control.GAMBLE),
        ("convex-scoring-two-stage", "alternating finds the optimum", risk_control.STUCK),
        ("cvar-decomposition-evaluates-but-does-not-optimise", "optimisation", risk_control.FLAW),
        ("entropic-risk-needs-a-schedule", "one power of the discount late", risk_stages.LATE),
        ("entropic-risk-needs-a-schedule", "a stationary policy is optimal", risk_stages.SWITCH),
        ("ecrm-augmented-equivalence", "the state alone suffices", risk_stages.REMEMBER),
        ("ecrm-projected-gradient-rate", "best of the iterates before T", risk_stages.SHORT_SIGHTED),
        ("ecrm-projected-gradient-rate", "one over T squared", risk_stages.CROSSED),
        ("cvar-policy-gradient", "no baseline", risk_gradients.FIVE_ARMS),
        ("distributional-bellman-and-quantiles", "projection in W_1", risk_gradients.NEARLY_EVEN),
        ("distributional-bellman-and-quantiles", "mean within a quarter", risk_gradients.NEARLY_EVEN),
    ],
)
def test_the_hard_instance_refutes(claim, control, instance):
    found = get_claim(claim)
    case = found.case(next(c for c in found.controls if c.name == control))
    extras = {name: instance.extras[name] for name, _ in case.domain.extras}
    outcome = confirm(case, dataclasses.replace(instance, extras=extras), [0])
    assert outcome.status == "violated", outcome.reason


# Quantities against plain loops


def test_every_sample_is_counted_once():
    for count, outcomes in itertools.product((1, 3, 6), (1, 2, 3)):
        counts, orders = samples_of(count, outcomes)
        assert (counts.sum(axis=1) == count).all() and sum(orders) == outcomes**count
        assert len({tuple(row) for row in counts.tolist()}) == len(counts)


def test_expected_plug_in_is_a_mean_over_all_samples():
    """All 3^4 samples in order, one by one."""
    p, x = [F(1, 2), F(1, 3), F(1, 6)], [F(0), F(1), F(-1, 2)]
    level, total = F(2, 5), F(0)
    for sample in itertools.product(range(3), repeat=4):
        worst = sorted(x[i] for i in sample)
        cvar = (worst[0] * F(1, 4) + worst[1] * (level - F(1, 4))) / level
        total += math.prod(p[i] for i in sample) * cvar
    law = dataclasses.replace(
        risk_measures.COIN_SAMPLES[0], extras={"p": rational_array([str(v) for v in p]), "x": rational_array([str(v) for v in x])}
    )
    assert exact(settled(law, samples=4, tail="2/5"), "plug_in_cvar") == [total]


def test_vertices_of_the_density_ball_are_a_linear_program():
    """Against HiGHS, with zero probabilities, ties and the levels 1 and nearly 0."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(3)
    for trial in range(40):
        p = rng.dirichlet(np.full(4, 0.5))
        p[rng.random(4) < 0.2] = 0
        p = p / p.sum() if p.sum() > 0 else np.eye(4)[0]
        x, level = rng.integers(-3, 4, 4).astype(float), (1.0, 0.01, rng.uniform(0.05, 1))[trial % 3]
        solved = linprog(x, A_eq=np.ones((1, 4)), b_eq=[1], bounds=[(0, v / level) for v in p])
        # HiGHS stops at violations of 1e-7
        assert least_over_vertices(p[None], x[None], np.array([level]))[0] == pytest.approx(solved.fun, abs=1e-6)


def test_soft_robust_values_by_plain_iteration():
    """The fixed point of the definition, iterated in a loop over states and actions with numbers of the standard library."""
    rng = np.random.default_rng(5)
    claim = get_claim("soft-robust-equals-entropic")
    case = claim.case(claim.form("attained at the tilted kernel"))
    batch = case.domain.decode(rng.standard_normal((4, case.domain.length(3, 2, 1))), 3, 2, case.settings)
    context = float_context(batch, np.zeros(1, dtype=np.int64), batch.policy[:, None], pairs=False)
    found = quantity("entropic_state_values").code(context)[:, 0]
    for k in range(batch.size):
        beta, gamma = float(batch.settings["aversion"][k]), float(batch.discount[k])
        pi, reward, move = batch.policy[k].tolist(), batch.rewards[k].tolist(), batch.transitions[k].tolist()
        values = [0.0] * 3
        for _ in range(700):  # 0.95^700 is below rounding
            least = min(values)
            weights = [math.exp(-beta * (v - least)) for v in values]
            risk = [[least - math.log(sum(p * w for p, w in zip(row, weights, strict=True))) / beta for row in rows] for rows in move]
            values = [sum(pi[s][a] * (reward[s][a] + gamma * risk[s][a]) for a in range(2)) for s in range(3)]
        # values below 20, backups good to 1e-14 of that, added up over a horizon of at most 20
        assert found[k] == pytest.approx(values, abs=1e-11)


def test_a_static_optimum_by_listing_every_policy():
    """Against a plain list of policies and outcomes, in fractions."""
    first, received = [F(1, 2), F(1, 3), F(1, 6)], [F(0), F(2), F(-1)]
    laws, payoffs = [[F(1, 4), F(3, 4), F(0)], [F(1, 2), F(1, 4), F(1, 4)]], [[F(0), F(1), F(1)], [F(3), F(-2), F(1)]]
    level, best = F(1, 3), None
    for policy in itertools.product((0, 1), repeat=3):
        outcomes = sorted((received[i] + payoffs[a][k], first[i] * laws[a][k]) for i, a in enumerate(policy) for k in range(3))
        left, total = level, F(0)
        for value, mass in outcomes:
            taken = min(left, mass)
            left, total = left - taken, total + taken * value
        best = total / level if best is None else max(best, total / level)
    extras = {"first": first, "received": received, "laws": laws, "payoffs": payoffs}
    made = {name: rational_array([[str(v) for v in row] if isinstance(row, list) else str(row) for row in value]) for name, value in extras.items()}
    instance = settled(dataclasses.replace(risk_control.GAMBLE, extras=made), tail="1/3")
    assert exact(instance, "history_cvar") == exact(instance, "threshold_cvar") == [best]


@pytest.mark.parametrize("identifier", CLAIMS)
def test_every_form_is_judged_on_an_exact_instance(identifier):
    """Each form of each claim has a named instance on which exact arithmetic decides, or balls that overlap because the two sides are equal."""
    from proofs_check.instances import named

    found = get_claim(identifier)
    for form in found.forms:
        case = found.case(form)
        instance = next(iter(named(case)))
        assert confirm(case, instance, [0], most_bits=128).status != "violated"
