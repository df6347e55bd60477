"""Quantities of mirror descent and of the operators, once more by plain means; and their claims, retyped from the derivations."""

from __future__ import annotations

import numpy as np
import pytest

from proofs_check.catalogue import claims
from proofs_check.instance import Batch, Instance, float_context
from proofs_check.quantities import parse, quantity
from proofs_check.statement import parse_statement
from tests import tolerances

RNG = np.random.default_rng(11)
S, A, G, ETA, TAU, FRACTION = 3, 2, 0.7, 0.4, 0.3, 0.6
P, R = RNG.dirichlet(np.ones(S), (S, A)), RNG.random((S, A))
MU, RHO = RNG.dirichlet(np.ones(S)), RNG.dirichlet(np.ones(S))
POLICIES = RNG.dirichlet(np.ones(A), (3, S))
OTHER = RNG.dirichlet(np.ones(A), S)
EXTRAS = {
    "first": RNG.uniform(-3, 3, (S, A)), "second": RNG.uniform(-3, 3, (S, A)), "share": np.array(0.35), "height": RNG.random((S, A)),
    "payoffs": RNG.uniform(-2, 2, (S, A)), "features": RNG.uniform(-2, 2, (S, A, 2)), "directions": RNG.uniform(-3, 3, (4, 2)),
    "channel_rewards": RNG.uniform(-1, 1, (2, S, A)), "weights": RNG.uniform(-1, 1, 2),
}  # fmt: skip
SETTINGS = {"eta": ETA, "tau": TAU, "fraction": FRACTION, "beta": 0.8, "radius": 0.2, "order": 3.0, "reward_rate": 0.6, "map_rate": 0.3}
CLOSE = tolerances.quantity(S, A, G, 4.0, MU.min(), TAU)


def measured(name):
    instance = Instance(P, R, G, MU, RHO, POLICIES[0], other=OTHER, settings=SETTINGS, extras=EXTRAS)
    pairs = quantity(name).varies == "pair"
    context = float_context(Batch.of([instance]), np.arange(3), POLICIES[None], pairs=pairs)
    return quantity(name).code(context)[0]


def value(pi, rewards=R):
    return np.linalg.solve(np.eye(S) - G * np.einsum("sa,sat->st", pi, P), (pi * rewards).sum(axis=1))


def visits(pi, start):
    return (1 - G) * np.linalg.solve((np.eye(S) - G * np.einsum("sa,sat->st", pi, P)).T, start)


def gains(pi):
    v = value(pi)
    return R + G * P @ v - v[:, None]


def iterated(backup, steps=400):
    """The fixed point of a gamma-contraction from 0: 0.7^400 = 1e-62."""
    q = np.zeros((S, A))
    for _ in range(steps):
        q = R + G * P @ backup(q)
    return q


def lse(q):
    return TAU * np.log(np.exp(q / TAU).sum(axis=1))


BEST = iterated(lambda q: q.max(axis=1))
IDEAL = np.eye(A)[BEST.argmax(axis=1)]
SOFT = iterated(lse)
SOFT_POLICY = np.exp((SOFT - lse(SOFT)[:, None]) / TAU)


def soft_value(pi):
    return value(pi, R - TAU * np.log(pi))


def kl(p, q):
    return (p * np.log(p / q)).sum(axis=1)


def tilted(pi, exponents):
    weights = pi * np.exp(exponents)
    return weights / weights.sum(axis=1, keepdims=True)


def start_average(divergences):
    return visits(IDEAL, RHO) @ divergences


def stationary(pi):
    return np.linalg.matrix_power(np.einsum("sa,sat->st", pi, P), 2000)[0]


def potential(pi, weight):
    nu = stationary(SOFT_POLICY)
    return nu @ (lse(SOFT) - soft_value(pi) + weight * kl(SOFT_POLICY, pi))


def root_divergence(s):
    """B of order 1/2 by its definition: phi = -4 sqrt p, phi' = -2 / sqrt p."""
    pi, e = POLICIES[0][s], IDEAL[s]
    return (-4 * np.sqrt(e) + 4 * np.sqrt(pi) + 2 / np.sqrt(pi) * (e - pi)).sum()


def interpolated(k):
    return iterated(lambda q: k * q.max(axis=1) + (1 - k) * (POLICIES[0] * q).sum(axis=1))


def backed(q, k):
    return R + G * P @ (k * q.max(axis=1) + (1 - k) * (POLICIES[0] * q).sum(axis=1))


def log_linear():
    theta, gaps, errors = np.zeros(2), [], []
    for w in EXTRAS["directions"]:
        pi = tilted(np.full((S, A), 0.5), EXTRAS["features"] @ theta)
        psi = EXTRAS["features"] - (pi[..., None] * EXTRAS["features"]).sum(axis=1)[:, None]
        gaps.append(RHO @ (BEST.max(axis=1) - value(pi)))
        errors.append(visits(IDEAL, RHO) @ (IDEAL * (gains(pi) - psi @ w)).sum(axis=1))
        theta = theta + ETA * w
    return np.mean(gaps), np.mean(errors)


def mapped(forward, inverse):
    rewards = R + 0.3 * (1 - G)
    q = 0.3 + EXTRAS["height"] / (1 - G)
    y = 0.4 * q + 0.6 * (rewards + G * P @ q.max(axis=1))
    return np.abs(inverse(forward(q) + 0.3 * (forward(y) - forward(q))) - BEST - 0.3).max()


def penalised(weight):
    return tilted(POLICIES[0], gains(POLICIES[0]) / weight)


def tsallis_worth(p):
    return (p * EXTRAS["payoffs"]).sum(axis=1) - TAU * (p * ((p / POLICIES[0]) ** 2 - 1) / 2).sum(axis=1)


def discovered(p):
    """sum pi max(0, u - a tanh(u / a)), by its definition."""
    x, a = p / POLICIES[0], gains(POLICIES[0])
    u, width = np.where(a >= 0, (x - 1) * a, a * np.log(x)), np.where(a >= 0, 2, 0.6)
    return (POLICIES[0] * np.maximum(u - width * np.tanh(u / width), 0)).sum(axis=1)


ONE, TWO = POLICIES[0], POLICIES[1]
SPREAD = np.ptp(gains(ONE), axis=1)
NATURAL = tilted(ONE, ETA * gains(ONE))
D_ONE = visits(ONE, MU)
REFERENCE = {
    "start_divergence_kl": lambda: start_average(-np.log((ONE * IDEAL).sum(axis=1))),
    "start_divergence_euclidean": lambda: start_average(((IDEAL - ONE) ** 2).sum(axis=1) / 2),
    "start_divergence_root": lambda: start_average(np.array([root_divergence(s) for s in range(S)])),
    "next_gap_mu": lambda: MU @ (BEST.max(axis=1) - value(TWO)),
    "penalised_divergence": lambda: kl(penalised(0.8), ONE).max(),
    "penalised_divergence_back": lambda: kl(ONE, penalised(0.8)).max(),
    "penalised_divergences": lambda: kl(penalised(0.8), ONE),
    "safe_divergence": lambda: kl(penalised(SPREAD.max() / np.sqrt(1.6)), ONE).max(),
    "largest_advantage_range": lambda: SPREAD.max(),
    "advantage_ranges": lambda: SPREAD,
    "drift_kl": lambda: kl(TWO, ONE) / ETA,
    "drift_euclidean": lambda: ((TWO - ONE) ** 2).sum(axis=1) / (2 * ETA),
    "drift_ppo": lambda: (ONE * np.maximum((TWO / ONE - np.clip(TWO / ONE, 0.8, 1.2)) * gains(ONE), 0)).sum(axis=1),
    "drift_discovered": lambda: discovered(TWO),
    "discovered_objective": lambda: (TWO * gains(ONE)).sum(axis=1) - discovered(TWO),
    "discovered_objective_other": lambda: (OTHER * gains(ONE)).sum(axis=1) - discovered(OTHER),
    "exponential_weights": lambda: NATURAL.reshape(-1),
    "tsallis_objective_other": lambda: tsallis_worth(OTHER),
    "tsallis_objective_exponential": lambda: tsallis_worth(tilted(ONE, EXTRAS["payoffs"] / TAU)),
    "tsallis_from_policy": lambda: (OTHER * ((OTHER / ONE) ** 2 - 1) / 2).sum(axis=1),
    "kl_from_policy": lambda: kl(OTHER, ONE),
    "scaled_chi_square": lambda: ONE.min(axis=1) * ((OTHER - ONE) ** 2 / ONE).sum(axis=1),
    "natural_step_policy": lambda: NATURAL.reshape(-1),
    "natural_step_policy_undiscounted": lambda: tilted(ONE, ETA / (1 - G) * gains(ONE)).reshape(-1),
    "soft_gibbs_policy": lambda: tilted(np.ones((S, A)), (R + G * P @ soft_value(ONE)) / TAU).reshape(-1),
    "soft_natural_step_policy": lambda: tilted(np.ones((S, A)), (R + G * P @ soft_value(ONE)) / TAU).reshape(-1),
    "objective_at_second": lambda: D_ONE @ ((OTHER * gains(ONE)).sum(axis=1) - kl(OTHER, ONE) / ETA),
    "objective_at_natural_step": lambda: D_ONE @ ((NATURAL * gains(ONE)).sum(axis=1) - kl(NATURAL, ONE) / ETA),
    "divergence_to_natural_step": lambda: D_ONE @ kl(OTHER, NATURAL) / ETA,
    "dual_slack": lambda: ((D_ONE[:, None] * ONE) * (BEST.max(axis=1)[:, None] - BEST)).sum(),
    "occupancy_off_optimal": lambda: (D_ONE[:, None] * ONE * (1 - IDEAL)).sum(),
    "optimality_odds_0": lambda: ((ONE * (1 - IDEAL)).sum(axis=1) / (ONE * IDEAL).sum(axis=1)).max(),
    "least_lead": lambda: np.abs(np.diff(R + G * P @ value(ONE), axis=1)).min(),
    "soft_gap_sup": lambda: (lse(SOFT) - soft_value(ONE)).max(),
    "next_soft_gap_sup": lambda: (lse(SOFT) - soft_value(TWO)).max(),
    "soft_action_values": lambda: (R + G * P @ soft_value(ONE)).reshape(-1),
    "next_soft_action_values": lambda: (R + G * P @ soft_value(TWO)).reshape(-1),
    "soft_potential": lambda: potential(ONE, TAU / (1 - FRACTION * G)),
    "soft_potential_0": lambda: potential(ONE, TAU / (1 - FRACTION * G)),
    "soft_potential_fixed": lambda: potential(ONE, TAU / (1 - G)),
    "soft_potential_fixed_0": lambda: potential(ONE, TAU / (1 - G)),
    "soft_gap_stationary_0": lambda: potential(ONE, 0),
    "log_linear_mean_gap": lambda: log_linear()[0],
    "log_linear_mean_error": lambda: log_linear()[1],
    "directions_square_max": lambda: max(w @ w for w in EXTRAS["directions"]),
    "directions_square_mean": lambda: np.mean([w @ w for w in EXTRAS["directions"]]),
    "directions_count": lambda: 4,
    "feature_square_max": lambda: (EXTRAS["features"] ** 2).sum(axis=-1).max(),
    "pair_vector_difference": lambda: np.abs(EXTRAS["first"] - EXTRAS["second"]).max(),
    "soft_backup_difference": lambda: G * np.abs(P @ (lse(EXTRAS["first"]) - lse(EXTRAS["second"]))).max(),
    "soft_value_of_each_action": lambda: np.repeat(lse(SOFT), A),
    "soft_optimal_values": lambda: np.repeat(lse(SOFT), A),
    "soft_optimal_state_values": lambda: lse(SOFT),
    "hard_optimal_state_values": lambda: BEST.max(axis=1),
    "soft_bias": lambda: (lse(SOFT) - BEST.max(axis=1)).max(),
    "soft_optimal_policy_gap": lambda: (BEST.max(axis=1) - value(SOFT_POLICY)).max(),
    "soft_gap_mu": lambda: MU @ (lse(SOFT) - soft_value(ONE)),
    "soft_divergence": lambda: D_ONE @ kl(ONE, SOFT_POLICY),
    "soft_divergence_back": lambda: D_ONE @ kl(SOFT_POLICY, ONE),
    "interpolated_difference": lambda: np.abs(backed(EXTRAS["first"], 0.35) - backed(EXTRAS["second"], 0.35)).max(),
    "interpolated_values": lambda: interpolated(0.35).reshape(-1),
    "interpolated_values_more": lambda: interpolated(0.675).reshape(-1),
    "optimal_action_values": lambda: BEST.reshape(-1),
    "mixed_action_values": lambda: (0.35 * BEST + 0.65 * (R + G * P @ value(ONE))).reshape(-1),
    "interpolated_distance": lambda: np.abs(interpolated(0.35) - R - G * P @ value(ONE)).max(),
    "best_over_mean": lambda: gains(ONE).max(),
    "mapped_gap_log": lambda: mapped(np.log, np.exp),
    "mapped_gap_square": lambda: mapped(np.square, np.sqrt),
    "mapped_gap_root": lambda: mapped(np.sqrt, np.square),
    "mapped_gap_0": lambda: np.abs(EXTRAS["height"] / (1 - G) - BEST).max(),
    "box_ratio": lambda: 0.3 / (0.3 + 1 / (1 - G)),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_quantity_is_what_its_definition_says(name):
    found, expected = measured(name)[0], np.atleast_1d(REFERENCE[name]())
    np.testing.assert_allclose(found, expected, rtol=tolerances.quantity_relative(), atol=CLOSE)


def test_the_tsallis_objective_is_the_largest_on_a_grid():
    """Two actions: all policies on a grid of 10^-5, vertices included; the objective bends by tau 3 p / pi^2 < 40 per unit, so less than 1e-8 is missed."""
    p = np.linspace(0, 1, 100_001)
    grid = np.stack([[tsallis_of(x, s) for x in (p, 1 - p)] for s in range(S)])
    best = (grid[:, 0] + grid[:, 1]).max(axis=1)
    found = measured("tsallis_objective")[0]
    assert (found >= best - CLOSE).all()
    np.testing.assert_allclose(found, best, rtol=0, atol=1e-8)


def tsallis_of(p, s):
    """What one action's probability p adds to the objective in state s: actions 0 and 1 by turns."""
    a = 0 if p[0] < 0.5 else 1
    return p * EXTRAS["payoffs"][s, a] - TAU * p * ((p / ONE[s, a]) ** 2 - 1) / 2


def test_the_dominoes_fall_one_a_step():
    """Gaps of policy iteration on DOMINO(4, g): 1/(1-g) at the start, then (g^k - g^4/2)/(1-g); steps of 10^6 are as good."""
    expected = [1 / (1 - G), *((G**k - G**4 / 2) / (1 - G) for k in range(1, 5))]
    np.testing.assert_allclose(measured("domino_gaps_pi")[0], expected, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(measured("domino_floor")[0], [G**k / (1 - G) / 2 for k in range(5)], rtol=0, atol=CLOSE)
    assert (measured("domino_gaps_euclidean")[0] >= np.array(expected) - CLOSE).all()


def test_channels_against_summed_rewards():
    np.testing.assert_allclose(measured("channel_sums"), measured("summed_iteration"), rtol=0, atol=CLOSE)
    total = np.zeros((S, A))
    for _ in range(3):
        total = np.tensordot(EXTRAS["weights"], EXTRAS["channel_rewards"], 1) + G * P @ total.max(axis=1)
    np.testing.assert_allclose(measured("summed_iteration")[0], total.reshape(-1), rtol=0, atol=CLOSE)
    assert np.abs(measured("channelwise_iteration") - measured("summed_iteration")).max() > 0.01


def test_the_bias_of_a_target_under_two_sided_noise():
    noisy = [backed(EXTRAS["first"] + sign * EXTRAS["second"], 0.35) for sign in (1, -1)]
    expected = (noisy[0] + noisy[1]) / 2 - backed(EXTRAS["first"], 0.35)
    np.testing.assert_allclose(measured("target_bias")[0], expected.reshape(-1), rtol=0, atol=CLOSE)
    np.testing.assert_allclose(0.35 * measured("target_bias_of_max")[0], expected.reshape(-1), rtol=0, atol=CLOSE)


STATED = {
    ("pmd-constant-step", "KL"): "gap_rho <= (start_divergence_kl/(eta*(1 - gamma)) + 1/(1 - gamma)**2)/(t + 1)",
    ("pmd-constant-step", "Euclidean"): "gap_rho <= (start_divergence_euclidean/(eta*(1 - gamma)) + 1/(1 - gamma)**2)/(t + 1)",
    ("pmd-geometric-step-linear", "KL, any growth"): "gap_mu <= max(1/growth, 1 - (1 - gamma)/mismatch)**t"
    "*(gap_mu_0 + (1/max(1/growth, 1 - (1 - gamma)/mismatch) - 1)*start_divergence_kl/((1 - gamma)*eta))",
    ("pmd-adaptive-gamma-rate-and-lower-bound", "KL"): "gap_sup <= gamma**t*(gap_sup_0 + slack/(1 - gamma))",
    ("npg-asymptotic-linear", "bandit"): "gap_mu <= optimality_odds_0*exp(-eta*least_suboptimality*t)",
    ("npg-asymptotic-linear", "from any start"): "gap_sup <= optimality_odds_0/(1 - gamma)**2"
    "*exp(-eta/(1 - gamma)*(least_suboptimality - gamma*gap_sup_0)*t)",
    ("npg-regret-lemma-log-linear", "printed"): "log_linear_mean_gap <= (log(A)/(eta*directions_count)"
    " + eta*feature_square_max*directions_square_max/2 + log_linear_mean_error)/(1 - gamma)",
    ("line-search-policy-gradient", "projected"): "next_gap_mu <= (1 - least_mu*(1 - gamma))*gap_mu",
    ("regularised-pmd-gamma-rate", "any long step"): "soft_potential <= gamma**t*soft_potential_0",
    ("regularised-pmd-gamma-rate", "shortest step, from uniform"): "soft_potential <= gamma**t*(soft_gap_stationary_0 + tau*log(A)/(1 - gamma))",
    ("kl-penalty-guarantees-trust-region", "forward"): "penalised_divergence <= largest_advantage_range**2/(8*beta**2)",
    ("soft-policy-iteration-quadratic", "quadratic"): "next_soft_gap_sup <= gamma**2/(8*tau*(1 - gamma))*soft_gap_sup**2",
    ("soft-bellman-facts", "bias"): "soft_bias <= tau*log(A)/(1 - gamma)",
    ("interpolated-bellman-operator", "distance"): "interpolated_distance <= share*gamma/(1 - gamma)*best_over_mean",
    ("orchestrated-mapping-rate", "logarithm"): "mapped_gap_log <= (1 - box_ratio*map_rate*reward_rate*(1 - gamma))*mapped_gap_0",
    ("npg-limit-solves-the-dual", "duality gap"): "dual_slack = (1 - gamma)*gap_mu",
}


@pytest.mark.parametrize(("identifier", "form"), STATED)
def test_claims_say_what_the_derivations_say(identifier, form):
    stated, retyped = claims()[identifier].form(form).statement, parse_statement(STATED[identifier, form])
    assert (stated.relation, stated.left - retyped.left, (stated.right - retyped.right).simplify()) == (retyped.relation, 0, 0)


def test_the_regularised_claim_runs_the_step_it_speaks_of():
    """Entropy-regularised natural gradient with (1 - gamma)(1 - alpha)/tau is mirror descent with 1 + eta tau = 1/alpha."""
    from mdps import MDP
    from pgtheory import EntropyNPG, RegularisedMirrorDescent

    model, alpha = MDP(P, R, G, MU), FRACTION * G
    process = claims()["regularised-pmd-gamma-rate"].process
    assert (process.step_size - parse("(1 - gamma)*(1 - fraction*gamma)/tau")).expand() == 0
    one = EntropyNPG((1 - G) * (1 - alpha) / TAU, TAU).step(np.log(ONE), model)
    two = RegularisedMirrorDescent((1 / alpha - 1) / TAU, TAU).step(np.log(ONE), model)
    np.testing.assert_allclose(tilted(np.ones((S, A)), one), tilted(np.ones((S, A)), two), rtol=0, atol=CLOSE)
