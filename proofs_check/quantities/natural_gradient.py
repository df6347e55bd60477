"""The natural gradient's potential and normaliser, and the entropy-regularised problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from proofs_check.quantities.registry import define, flat, given, per_instance, per_record

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@define("log_normaliser", r"\mathbb{E}_{s\sim\rho}\left[\log Z_t(s)\right]", "pair")
def _log_normaliser(c: Context) -> Array:
    """Mean under rho of log sum_a pi_t(a|s) exp(eta A(s,a)/(1 - gamma)), the normaliser of a natural gradient step."""
    rate = given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return per_record((c.rho[:, None] * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@define("value_increase_rho", r"V^{\pi_{t+1}}(\rho) - V^{\pi_t}(\rho)", "pair")
def _value_increase_rho(c: Context) -> Array:
    """Increase of the value under rho in one step, in reward units."""
    return per_record(((c.values[:, c.then] - c.values[:, c.now]) * c.rho[:, None]).sum(axis=-1))


@define("value_increase_optimal", r"V^{\pi_{t+1}}(d^{\pi^*}_\rho) - V^{\pi_t}(d^{\pi^*}_\rho)", "pair")
def _value_increase_optimal(c: Context) -> Array:
    """Increase in one step of the value averaged over the optimal policy's visits from rho, in reward units."""
    return per_record(((c.values[:, c.then] - c.values[:, c.now]) * optimal_visits(c)).sum(axis=-1))


@define("value_rise_optimal", r"V^{\pi_t}(d^{\pi^*}_\rho) - V^{\pi_0}(d^{\pi^*}_\rho)", "step")
def _value_rise_optimal(c: Context) -> Array:
    """Increase since the start of the value averaged over the optimal policy's visits from rho, in reward units."""
    return per_record(((c.values[:, c.now] - c.values[:, :1]) * optimal_visits(c)).sum(axis=-1))


@define("log_normaliser_optimal", r"\mathbb{E}_{s\sim d^{\pi^*}_\rho}\log Z_t(s)", "pair")
def _log_normaliser_optimal(c: Context) -> Array:
    """Mean of log Z_t (see log_normaliser) over the optimal policy's visits from rho."""
    rate = given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return per_record((optimal_visits(c) * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@define("divergence_drop", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_t) - \mathrm{KL}(\pi^*\Vert\pi_{t+1})\right]", "pair")
def _divergence_drop(c: Context) -> Array:
    """By how much one step lowers the divergence of the (deterministic) optimal policy from the current one, averaged over the optimal visits."""
    return _divergence_between(c, c.now, c.then)


@define("divergence_spent", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_0) - \mathrm{KL}(\pi^*\Vert\pi_t)\right]", "step")
def _divergence_spent(c: Context) -> Array:
    """By how much the divergence of the optimal policy from the current one fell since the start, averaged over the optimal visits."""
    return _divergence_between(c, np.zeros(1, dtype=np.int64), c.now)


def _divergence_between(c: Context, earlier: Array, later: Array) -> Array:
    """KL(pi* || pi) = -log pi(a*(s)|s), as pi* is deterministic; averaged over the visits of pi* from rho."""
    gained = c.log_policies[:, later] - c.log_policies[:, earlier]
    return per_record((optimal_visits(c) * (gained * c.selection[:, None]).sum(axis=-1)).sum(axis=-1))


def optimal_visits(c: Context) -> Array:
    """d^{pi*}_rho, (B, 1, S)."""
    return c.visits(c.rho, c.optimal_discounted)


@define("soft_q_gap", r"\|Q^*_\tau - Q^{\pi_t}_\tau\|_\infty", "step")
def _soft_q_gap(c: Context) -> Array:
    """Largest error of the current policy's soft action values, in reward units."""
    return soft_q_error(c, c.now)


@define("log_policy_gap", r"\|\log\pi^*_\tau - \log\pi_t\|_\infty", "step")
def _log_policy_gap(c: Context) -> Array:
    """Largest difference of log probabilities between the soft-optimal and the current policy."""
    return log_policy_error(c, c.now)


@define("C1", "C_1", "instance")
def _first_constant(c: Context) -> Array:
    """||Q*_tau - Q_0||_inf + 2 tau (1 - eta tau/(1 - gamma)) ||log pi*_tau - log pi_0||_inf of the start policy."""
    tau = per_instance(given(c, "tau"))
    contraction = 1 - per_instance(given(c, "eta") * given(c, "tau") / (1 - c.discount))
    start = np.zeros(1, dtype=np.int64)
    return soft_q_error(c, start) + 2 * tau * contraction * log_policy_error(c, start)


def soft_q_error(c: Context, records: Array) -> Array:
    """Largest error of the soft action values of the policies at `records`, (B, R, 1)."""
    values = soft_action_values(c, records)  # first: it says so where the settings have no temperature
    error = np.abs(c.soft_optimum[1][:, None] - values)
    return arithmetic.maximum(flat(error), axis=-1)[..., None]


def soft_action_values(c: Context, records: Array | slice) -> Array:
    """Soft action values of the policies at `records`, (B, R, S, A)."""
    log_policies, policies = c.log_policies[:, records], c.policies[:, records]
    tau = given(c, "tau")[:, None, None, None]
    paid = (policies * (c.rewards[:, None] - tau * _finite_log(c, policies, log_policies))).sum(axis=-1)
    return c.backup(arithmetic.solve(c.discounted[:, records], paid))


def _finite_log(c: Context, policies: Array, log_policies: Array) -> Array:
    """log pi with 0 where pi underflowed to 0 in float64, for pi log pi."""
    return np.where(policies > 0, log_policies, 0.0) if c.kind == "float" else log_policies


def log_policy_error(c: Context, records: Array) -> Array:
    """Largest difference of log probabilities between the soft-optimal policy and those at `records`, (B, R, 1)."""
    tau = given(c, "tau")[:, None, None]
    best = arithmetic.log_softmax(c.soft_optimum[1] / tau)
    return arithmetic.maximum(flat(np.abs(best[:, None] - c.log_policies[:, records])), axis=-1)[..., None]


# Natural gradient steps without a formula for them


@define("natural_step_policy", r"\pi_{\theta+\eta(1-\gamma)F^+\nabla V}", "pair", "state-action pairs")
def _natural_step_policy(c: Context) -> Array:
    """The policy after the natural gradient step of size (1 - gamma) eta, its direction found by solving with the Fisher matrix."""
    return flat(_stepped(c, given(c, "eta") * (1 - c.discount)))


@define("natural_step_policy_undiscounted", r"\pi_{\theta+\eta F^+\nabla V}", "pair", "state-action pairs")
def _natural_step_policy_undiscounted(c: Context) -> Array:
    """The policy after the natural gradient step of size eta, its direction found by solving with the Fisher matrix."""
    return flat(_stepped(c, given(c, "eta")))


@define("exponential_weights", r"\pi_t\exp(\eta Q^{\pi_t})/Z", "pair", "state-action pairs")
def _exponential_weights(c: Context) -> Array:
    """Each probability times exp(eta Q), rows divided by their sums; the largest Q of a state counts as 0, which the sum takes out."""
    values = c.action_values[:, c.now]
    behind = values - arithmetic.maximum(values, axis=-1)[..., None]
    weights = c.policies[:, c.now] * arithmetic.exp(given(c, "eta")[:, None, None, None] * behind)
    return flat(weights / weights.sum(axis=-1)[..., None])


def _stepped(c: Context, size: Array, temperature: Array | None = None) -> Array:
    """Per state (diag pi + pi pi') x = g / d: as g sums to 0, pi x = 0, so F x = g for the Fisher block F = d (diag pi - pi pi'); other solutions
    differ by a constant.  g is the gradient by differentiation, no theorem used; rows are divided by pi, so that rare actions cost no digits."""
    from proofs_check.dual import derivative_of_value

    pi, visits = c.policies[:, c.now], c.visits_mu[:, c.now][..., None]
    gradient = derivative_of_value(c, "softmax", temperature).reshape(pi.shape)
    actions = np.arange(pi.shape[-1])
    matrix = pi[..., None, :] + pi[..., :, None] * 0
    matrix[..., actions, actions] = matrix[..., actions, actions] + 1
    direction = arithmetic.solve(matrix, gradient / (visits * pi))
    return arithmetic.softmax(c.log_policies[:, c.now] + size[:, None, None, None] * direction)


@define("soft_gibbs_policy", r"\mathrm{softmax}(Q^{\pi_t}_\tau/\tau)", "pair", "state-action pairs")
def _soft_gibbs_policy(c: Context) -> Array:
    """The policy of soft policy iteration after the current one."""
    tau = given(c, "tau")[:, None, None, None]
    return flat(arithmetic.softmax(_soft_action_values(c, c.now) / tau))


@define("soft_natural_step_policy", r"\pi_{\theta+F^+\nabla V_\tau\cdot(1-\gamma)/\tau}", "pair", "state-action pairs")
def _soft_natural_step_policy(c: Context) -> Array:
    """The policy after the natural gradient step of size (1 - gamma)/tau on V_tau(mu), differentiated by dual numbers, its direction found by solving
    with the Fisher matrix."""
    tau = given(c, "tau")
    return flat(_stepped(c, (1 - c.discount) / tau, tau))


@define("objective_at_second", r"\mathbb{E}_d[\langle\pi',A\rangle-\mathrm{KL}(\pi'\Vert\pi)/\eta]", "step")
def _objective_at_second(c: Context) -> Array:
    """The mirror descent objective at the second policy, averaged over the visits of the first, in reward units."""
    return _mirror_objective(c, _log_second(c))


@define("objective_at_natural_step", r"\mathbb{E}_d[\langle p,A\rangle-\mathrm{KL}(p\Vert\pi)/\eta]\text{ at }p\propto\pi e^{\eta A}", "step")
def _objective_at_natural_step(c: Context) -> Array:
    """The mirror descent objective at the policy after a natural gradient step of size (1 - gamma) eta, in reward units."""
    return _mirror_objective(c, _natural_log(c))


@define("divergence_to_natural_step", r"\tfrac1\eta\mathbb{E}_d\mathrm{KL}(\pi'\Vert p),\ p\propto\pi e^{\eta A}", "step")
def _divergence_to_natural_step(c: Context) -> Array:
    """KL divergence of the second policy from the one after the natural gradient step, averaged over the first's visits, over eta."""
    second = _log_second(c)
    gap = (arithmetic.exp(second) * (second - _natural_log(c))).sum(axis=-1)
    return per_record((c.visits_mu[:, c.now] * gap).sum(axis=-1)) / per_instance(given(c, "eta"))


def _natural_log(c: Context) -> Array:
    return arithmetic.log_softmax(c.log_policies[:, c.now] + given(c, "eta")[:, None, None, None] * c.advantages[:, c.now])


def _log_second(c: Context) -> Array:
    from proofs_check.quantities.policy_pairs import second_policy

    return arithmetic.log(second_policy(c).policies)


def _mirror_objective(c: Context, log_new: Array) -> Array:
    new = arithmetic.exp(log_new)
    divergence = (new * (log_new - c.log_policies[:, c.now])).sum(axis=-1)
    worth = (new * c.advantages[:, c.now]).sum(axis=-1) - divergence / given(c, "eta")[:, None, None]
    return per_record((c.visits_mu[:, c.now] * worth).sum(axis=-1))


@define("dual_slack", r"\textstyle\sum_{s,a}x^{\pi_t}(s,a)\,(V^*(s)-Q^*(s,a))", "step")
def _dual_slack(c: Context) -> Array:
    """Occupancy of the current policy from mu times the slack of the linear program's constraints at V*, in reward units."""
    slack = c.optimum.values[..., None] - c.optimum.action_values
    return per_record((c.visits_mu[:, c.now][..., None] * c.policies[:, c.now] * slack[:, None]).sum(axis=(-1, -2)))


@define("occupancy_off_optimal", r"\textstyle\sum_{s,\,a\notin A^*(s)}x^{\pi_t}(s,a)", "step")
def _occupancy_off_optimal(c: Context) -> Array:
    """Occupancy from mu, normalised to 1, of the pairs that are not optimal."""
    wrong = c.constant((~c.optimum.mask).astype(np.int64))
    return per_record((c.visits_mu[:, c.now][..., None] * c.policies[:, c.now] * wrong[:, None]).sum(axis=(-1, -2)))


@define("optimality_odds_0", r"\max_s\tfrac{\pi_0(\text{not optimal}|s)}{\pi_0(\text{optimal}|s)}", "instance")
def _optimality_odds_start(c: Context) -> Array:
    """Largest odds of the start policy against the optimal actions of a state."""
    right = c.constant(c.optimum.mask.astype(np.int64))[:, None]
    inside, outside = (c.policies[:, :1] * right).sum(axis=-1), (c.policies[:, :1] * (1 - right)).sum(axis=-1)
    return per_record(arithmetic.maximum(outside / inside, axis=-1))


@define("least_lead", r"\min_s\delta_t(s)", "pair")
def _least_lead(c: Context) -> Array:
    """Smallest lead of the greedy actions over the best other action, among the states that have one, in reward units; 0 where none has."""
    from proofs_check.quantities.differentials import greedy_mask

    values, mask = c.action_values[:, c.now], greedy_mask(c)
    behind = arithmetic.maximum(values, axis=-1)[..., None] - values
    out = np.empty(behind.shape[:2], dtype=behind.dtype)
    for index in np.ndindex(out.shape):
        others = behind[index].reshape(-1)[mask[index].reshape(-1) == 0]
        out[index] = arithmetic.minimum(others) if others.size else c.discount[0] * 0
    return per_record(out)


# The entropy-regularised problem along a run


@define("soft_gap_sup", r"\|V^*_\tau - V^{\pi_t}_\tau\|_\infty", "step")
def _soft_gap_sup(c: Context) -> Array:
    """Largest gap of any state in the entropy-regularised value, in reward units."""
    return _soft_gap(c, c.now)


@define("next_soft_gap_sup", r"\|V^*_\tau - V^{\pi_{t+1}}_\tau\|_\infty", "pair")
def _next_soft_gap_sup(c: Context) -> Array:
    """Largest gap of any state in the entropy-regularised value after the next step, in reward units."""
    return _soft_gap(c, c.then)


@define("soft_action_values", r"Q^{\pi_t}_\tau", "step", "state-action pairs")
def _soft_action_values_now(c: Context) -> Array:
    """Entropy-regularised action values of the current policy, in reward units."""
    return flat(_soft_action_values(c, c.now))


@define("next_soft_action_values", r"Q^{\pi_{t+1}}_\tau", "pair", "state-action pairs")
def _soft_action_values_then(c: Context) -> Array:
    """Entropy-regularised action values of the next policy, in reward units."""
    return flat(_soft_action_values(c, c.then))


def soft_values(c: Context, records: Array) -> Array:
    """V_tau of the recorded policies, (B, R, S)."""
    log_policies, policies = c.log_policies[:, records], c.policies[:, records]
    tau = given(c, "tau")[:, None, None, None]
    paid = (policies * (c.rewards[:, None] - tau * _finite_log(c, policies, log_policies))).sum(axis=-1)
    return arithmetic.solve(c.discounted[:, records], paid)


def _soft_action_values(c: Context, records: Array) -> Array:
    return c.backup(soft_values(c, records))


def _soft_gap(c: Context, records: Array) -> Array:
    return per_record(arithmetic.maximum(c.soft_optimum[0][:, None] - soft_values(c, records), axis=-1))


@define("soft_potential", r"V^*_\tau(\nu^*)-V^{\pi_t}_\tau(\nu^*)+\tfrac{\tau}{1-\alpha}\mathbb{E}_{\nu^*}\mathrm{KL}(\pi^*_\tau\Vert\pi_t)", "step")
def _soft_potential(c: Context) -> Array:
    """Soft gap plus tau/(1 - alpha) times the divergence of the soft-optimal from the current policy, alpha = fraction gamma, both averaged over the
    stationary distribution of the soft-optimal policy, in reward units."""
    return _potential(c, c.now, given(c, "tau") / (1 - given(c, "fraction") * c.discount))


@define(
    "soft_potential_0", r"V^*_\tau(\nu^*)-V^{\pi_0}_\tau(\nu^*)+\tfrac{\tau}{1-\alpha}\mathbb{E}_{\nu^*}\mathrm{KL}(\pi^*_\tau\Vert\pi_0)", "instance"
)
def _soft_potential_start(c: Context) -> Array:
    """The soft potential of the start policy, in reward units."""
    return _potential(c, np.zeros(1, dtype=np.int64), given(c, "tau") / (1 - given(c, "fraction") * c.discount))


@define(
    "soft_potential_fixed", r"V^*_\tau(\nu^*)-V^{\pi_t}_\tau(\nu^*)+\tfrac{\tau}{1-\gamma}\mathbb{E}_{\nu^*}\mathrm{KL}(\pi^*_\tau\Vert\pi_t)", "step"
)
def _soft_potential_fixed(c: Context) -> Array:
    """The soft potential with the weight tau/(1 - gamma) whatever the step size, in reward units."""
    return _potential(c, c.now, given(c, "tau") / (1 - c.discount))


@define(
    "soft_potential_fixed_0",
    r"V^*_\tau(\nu^*)-V^{\pi_0}_\tau(\nu^*)+\tfrac{\tau}{1-\gamma}\mathbb{E}_{\nu^*}\mathrm{KL}(\pi^*_\tau\Vert\pi_0)",
    "instance",
)
def _soft_potential_fixed_start(c: Context) -> Array:
    """The soft potential of the start policy with the weight tau/(1 - gamma), in reward units."""
    return _potential(c, np.zeros(1, dtype=np.int64), given(c, "tau") / (1 - c.discount))


@define("soft_gap_stationary_0", r"V^*_\tau(\nu^*)-V^{\pi_0}_\tau(\nu^*)", "instance")
def _soft_gap_stationary_start(c: Context) -> Array:
    """Soft gap of the start policy averaged over the stationary distribution of the soft-optimal policy, in reward units."""
    return _potential(c, np.zeros(1, dtype=np.int64), c.discount * 0)


def _potential(c: Context, records: Array, weight: Array) -> Array:
    tau = given(c, "tau")[:, None, None]
    best = arithmetic.log_softmax(c.soft_optimum[1] / tau)
    nu = _stationary(c, arithmetic.exp(best))[:, None]
    behind = c.soft_optimum[0][:, None] - soft_values(c, records)
    divergence = (arithmetic.exp(best)[:, None] * (best[:, None] - c.log_policies[:, records])).sum(axis=-1)
    return per_record((nu * (behind + weight[:, None, None] * divergence)).sum(axis=-1))


def _stationary(c: Context, policy: Array) -> Array:
    """A stationary distribution (B, S) of a policy: the least-squares one in floats where there are several, the only one in balls."""
    moved = (policy[..., None] * c.transitions).sum(axis=-2)
    states = np.arange(moved.shape[-1])
    matrix = -np.swapaxes(moved, -1, -2)
    matrix[..., states, states] = matrix[..., states, states] + 1
    if c.kind == "float":
        tall = np.concatenate([matrix, np.ones((*matrix.shape[:-2], 1, matrix.shape[-1]))], axis=-2)
        nu = np.clip(np.linalg.pinv(tall, rcond=1e-12)[..., -1], 0, None)
        return nu / nu.sum(axis=-1, keepdims=True)
    return arithmetic.solve(matrix + 1, moved[..., 0] * 0 + 1)


# Log-linear policies with any directions


@define("log_linear_mean_gap", r"\tfrac1T\sum_{t<T}\left(V^*(\rho)-V^{\pi_{\theta_t}}(\rho)\right)", "instance")
def _log_linear_mean_gap(c: Context) -> Array:
    """Mean gap under rho of the log-linear policies with theta_0 = 0 and theta_{t+1} = theta_t + eta w_t, in reward units."""
    return _log_linear_run(c)[0]


@define("log_linear_mean_error", r"\tfrac1T\sum_{t<T}\mathbb{E}_{d^{\pi^*}_\rho,\pi^*}\left[A_t-w_t\cdot\psi_t\right]", "instance")
def _log_linear_mean_error(c: Context) -> Array:
    """Mean error of w_t psi_t as a stand-in for the advantage under the optimal policy's visits and actions, in reward units."""
    return _log_linear_run(c)[1]


@define("directions_square_max", r"W^2=\max_t\|w_t\|_2^2", "instance")
def _directions_square_max(c: Context) -> Array:
    """Largest squared norm of a direction."""
    w = c.extra("directions")
    return per_instance(arithmetic.maximum((w * w).sum(axis=-1), axis=-1))


@define("directions_square_mean", r"\tfrac1T\sum_t\|w_t\|_2^2", "instance")
def _directions_square_mean(c: Context) -> Array:
    """Mean squared norm of the directions."""
    w = c.extra("directions")
    return per_instance((w * w).sum(axis=-1).sum(axis=-1) / w.shape[1])


@define("directions_count", "T", "instance")
def _directions_count(c: Context) -> Array:
    """Number of directions, that is of steps."""
    return c.constant(np.full((c.discount.size, 1, 1), c.extra("directions").shape[1]))


@define("feature_square_max", r"B^2=\max_{s,a}\|\phi(s,a)\|_2^2", "instance")
def _feature_square_max(c: Context) -> Array:
    """Largest squared norm of a feature vector."""
    features = c.extra("features")
    squares = (features * features).sum(axis=-1)
    return per_instance(arithmetic.maximum(squares.reshape(len(squares), -1), axis=-1))


def _log_linear_run(c: Context) -> tuple[Array, Array]:
    known = c.__dict__.setdefault("_log_linear_run", [])
    if not known:
        features, directions = c.extra("features"), c.extra("directions")
        visits = optimal_visits(c)[:, 0]
        logits, gaps, errors = features[..., 0] * 0, [], []
        for t in range(directions.shape[1]):
            policy = arithmetic.softmax(logits)
            discount = c.discount[:, None, None]
            values = arithmetic.policy_values(policy, c.transitions, c.rewards, discount)
            gains = arithmetic.advantages(c.transitions, c.rewards, discount, values)
            psi = features - (policy[..., None] * features).sum(axis=-2)[..., None, :]
            modelled = (psi * directions[:, t, None, None, :]).sum(axis=-1)
            gaps.append(((c.optimum.values - values) * c.rho).sum(axis=-1))
            errors.append((visits * (c.selection * (gains - modelled)).sum(axis=-1)).sum(axis=-1))
            logits = logits + given(c, "eta")[:, None, None] * (features * directions[:, t, None, None, :]).sum(axis=-1)
        known.extend(per_instance(sum(series[1:], series[0]) / len(series)) for series in (gaps, errors))
    return known[0], known[1]
