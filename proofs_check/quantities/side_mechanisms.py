"""Beliefs, tilted laws and mixtures: adaptive management, goals read off a path, recourse, PAC-Bayes, importance sampling, asking, inventories.

Adaptive management: extras outcomes (2, 2, 2, 4) = P_m(s', o | s, a) with (s', o) in one axis, beliefs (2,) and second_belief (2,), fixed_plan
(2, 2, 2); two steps.  Goals: edges (3, 3) = e^(r/tau), goal_ends (2, 3), goal_prior (2,); the paths 0-1-2-0 and 0-2-1-0.  Recourse: tilts (S, A) =
e^(r/tau), moves (S, A, S), other_law (A,).  PAC-Bayes: losses (2, 3), outcome_law (3,), predictor_prior (2,), posterior (2,), the setting beta; four
samples.  Mixtures: target_law (4,), values (4,), surrogate_laws (2, 4), mixing (2,), second_mixing (2,).  Asking: believed, right, right_other.
Inventory: form, trade_cost, stock, spread, wealth (5,).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.control.beliefs import bayes_values, desirabilities, informed_values, markov_values, path_probability, value_of_asking
from pgtheory.control.variational import gibbs_posterior, mixture_moment, sample_counts, tilted_recursion
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 3
LEARNING = 2
SAMPLES = 4
define_setting("failure_level", r"\delta", "probability with which a bound may fail")


# Adaptive management


def _outcomes(c: Context) -> Array:
    law = c.extra("outcomes")
    return law.reshape(*law.shape[:4], 2, 2)


def _weighted(c: Context, values: Array) -> Array:
    """(B, M, S) -> the mean over the belief, from the first state: (B,)."""
    return (c.extra("beliefs") * values[:, :, 0]).sum(axis=-1)


@define("fixed_plan_worst", r"\min_mV_m^\pi", "instance")
def _fixed_plan_worst(c: Context) -> Array:
    """Expected number of paid steps of a Markov policy in the model that is worst for it."""
    return per_instance(arithmetic.minimum(markov_values(_outcomes(c), c.extra("fixed_plan"), LEARNING)[:, :, 0], axis=-1))


@define("fixed_plan_mean", r"\mathbb{E}_bV_m^\pi", "instance")
def _fixed_plan_mean(c: Context) -> Array:
    """The same, on average over the belief."""
    return per_instance(_weighted(c, markov_values(_outcomes(c), c.extra("fixed_plan"), LEARNING)))


@define("bayes_value", r"V_{\mathrm{Bayes}}(b)", "instance")
def _bayes_value(c: Context) -> Array:
    """Expected number of paid steps of the policy that learns optimally."""
    return per_instance(bayes_values(_outcomes(c), c.extra("beliefs"), LEARNING)[:, 0])


@define("informed_value", r"\mathbb{E}_bV_m^*", "instance")
def _informed_value(c: Context) -> Array:
    """The same where the model is told first, on average over the belief."""
    return per_instance(_weighted(c, informed_values(_outcomes(c), LEARNING)))


@define("bayes_value_between", r"V_{\mathrm{Bayes}}(\tfrac{b+b'}{2})", "instance")
def _bayes_value_between(c: Context) -> Array:
    """The Bayes-optimal value at the mean of two beliefs."""
    mean = (c.extra("beliefs") + c.extra("second_belief")) / 2
    return per_instance(bayes_values(_outcomes(c), mean, LEARNING)[:, 0])


@define("bayes_values_mean", r"\tfrac{1}{2}[V_{\mathrm{Bayes}}(b)+V_{\mathrm{Bayes}}(b')]", "instance")
def _bayes_values_mean(c: Context) -> Array:
    """The mean of the Bayes-optimal values at two beliefs."""
    both = [bayes_values(_outcomes(c), c.extra(name), LEARNING)[:, 0] for name in ("beliefs", "second_belief")]
    return per_instance((both[0] + both[1]) / 2)


# Goals read off a path

PATHS = ((0, 1, 2, 0), (0, 2, 1, 0))
FULL = 5


def _edges(c: Context) -> Array:
    return c.extra("edges")[:, None]  # one graph for all goals


def _posterior(c: Context, path: tuple[int, ...]) -> Array:
    likelihood = c.extra("goal_prior") * path_probability(_edges(c), c.extra("goal_ends"), path, FULL)
    return (likelihood / likelihood.sum(axis=-1)[:, None])[:, None]


@define("path_probabilities", r"P(0,1,2,0|G)", "instance", "goals")
def _path_probabilities(c: Context) -> Array:
    """Probability of the first three moves for each goal, multiplied up from the agent's policy."""
    return path_probability(_edges(c), c.extra("goal_ends"), PATHS[0], FULL)[:, None]


@define("telescoped_probabilities", r"\prod_t w(s_t,s_{t+1})\,Z_G(s_3)/Z_G(s_0)", "instance", "goals")
def _telescoped_probabilities(c: Context) -> Array:
    """The same by what is left after telescoping."""
    edges, levels = c.extra("edges"), desirabilities(_edges(c), c.extra("goal_ends"), FULL)
    weight = edges[:, 0, 1] * edges[:, 1, 2] * edges[:, 2, 0]
    return (weight[:, None] * levels[FULL - 3][..., 0] / levels[FULL][..., 0])[:, None]


@define("goal_posterior", r"P(G|0,1,2,0)", "instance", "goals")
def _goal_posterior(c: Context) -> Array:
    """Posterior over the goals after the first path."""
    return _posterior(c, PATHS[0])


@define("goal_posterior_elsewhere", r"P(G|0,2,1,0)", "instance", "goals")
def _goal_posterior_elsewhere(c: Context) -> Array:
    """Posterior over the goals after another path with the same end."""
    return _posterior(c, PATHS[1])


@define("goal_posterior_early", r"P(G|0,1)", "instance", "goals")
def _goal_posterior_early(c: Context) -> Array:
    """Posterior over the goals after the first move."""
    return _posterior(c, PATHS[0][:2])


# Recourse


def _tilted(c: Context, moves: Array) -> Array:
    return tilted_recursion(c.policies[:, 0], c.extra("tilts"), moves, STEPS)


@define("recourse_path", r"\prod_t\pi_t(a_t|s_t)", "instance")
def _recourse_path(c: Context) -> Array:
    """Probability of three fixed actions from the first state under the tilted policy, pi_0(a|s) w(s,a) Z_{t+1}(s') over its sum over a."""
    policy, tilts, moves = c.policies[:, 0], c.extra("tilts"), c.extra("moves")
    levels = [tilted_recursion(policy, tilts, moves, k) for k in range(STEPS + 1)]
    out = 1
    for t, (here, action) in enumerate(_walked(c)):
        worth = policy * tilts * np.einsum("bsat,bt->bsa", moves, levels[STEPS - t - 1])
        out = out * (here * worth[:, :, action] / worth.sum(axis=-1)).sum(axis=-1)
    return per_instance(np.asarray(out))


@define("recourse_gibbs", r"p_0(a_0,a_1,a_2)\,e^{R/\tau}/Z(s_0)", "instance")
def _recourse_gibbs(c: Context) -> Array:
    """The same by tilting the law of trajectories as a whole: the weight of the sequence over the sum of the weights of all."""
    actions = c.rewards.shape[2]
    total = sum(_weight_of(c, sequence) for sequence in itertools.product(range(actions), repeat=STEPS))
    return per_instance(_weight_of(c, (0, actions - 1, 0)) / total)


def _weight_of(c: Context, actions: tuple[int, ...]) -> Array:
    """Probability of the actions under the reference times e^(R / tau) along them, from the first state."""
    weight = c.policies[:, 0] * c.extra("tilts")
    here = weight[:, :, 0] * 0
    here[:, 0] = here[:, 0] + 1
    for action in actions:
        here = np.einsum("bs,bst->bt", here * weight[:, :, action], c.extra("moves")[:, :, action])
    return here.sum(axis=-1)


def _walked(c: Context) -> list[tuple[Array, int]]:
    """Where one is (a law of the state, certain where moves are) and what one does: the first action, the last, the first."""
    moves, last = c.extra("moves"), c.rewards.shape[2] - 1
    here, out = moves[:, 0, 0] * 0, []
    here[:, 0] = here[:, 0] + 1
    for action in (0, last, 0):
        out.append((here, action))
        here = np.einsum("bs,bst->bt", here, moves[:, :, action])
    return out


def _mean_at(c: Context, scale: int) -> Array:
    weights = c.policies[:, 0, 0] * arithmetic.exp(scale * given(c, "beta")[:, None] * c.rewards[:, 0])
    return per_instance((weights * c.rewards[:, 0]).sum(axis=-1) / weights.sum(axis=-1))


@define("tilted_mean", r"\mathbb{E}_{p_\beta}r", "instance")
def _tilted_mean(c: Context) -> Array:
    """Mean reward of the first state's actions where the reference is tilted by e^{beta r}."""
    return _mean_at(c, 1)


@define("tilted_mean_colder", r"\mathbb{E}_{p_{2\beta}}r", "instance")
def _tilted_mean_colder(c: Context) -> Array:
    """The same at half the temperature."""
    return _mean_at(c, 2)


@define("one_step_gibbs", r"\log\sum_a\pi_0(a)e^{r_a}", "instance")
def _one_step_gibbs(c: Context) -> Array:
    """Free energy of the actions of the first state at temperature 1, in reward units."""
    return per_instance(arithmetic.log((c.policies[:, 0, 0] * arithmetic.exp(c.rewards[:, 0])).sum(axis=-1)))


@define("one_step_other", r"\mathbb{E}_\pi r-\mathrm{KL}(\pi|\pi_0)", "instance")
def _one_step_other(c: Context) -> Array:
    """What another law of the actions of the first state makes of it, in reward units."""
    law, reference = c.extra("other_law"), c.policies[:, 0, 0]
    return per_instance((law * (c.rewards[:, 0] - arithmetic.log(law / reference))).sum(axis=-1))


@define("stochastic_tilt", r"\log\mathbb{E}_{p_0}e^{V(s')}", "instance")
def _stochastic_tilt(c: Context) -> Array:
    """Free energy over laws of the next state from the first, in reward units: it tilts the transitions too."""
    worth = arithmetic.exp(c.rewards[:, :, 0])
    moves = np.einsum("ba,bat->bt", c.policies[:, 0, 0], c.transitions[:, 0])
    return per_instance(arithmetic.log((moves * worth).sum(axis=-1)))


@define("stochastic_control", r"\log\sum_a\pi_0(a)e^{\mathbb{E}V(s')}", "instance")
def _stochastic_control(c: Context) -> Array:
    """What a policy can make of the next state from the first, in reward units."""
    ahead = np.einsum("bat,bt->ba", c.transitions[:, 0], c.rewards[:, :, 0])
    return per_instance(arithmetic.log((c.policies[:, 0, 0] * arithmetic.exp(ahead)).sum(axis=-1)))


# PAC-Bayes


def _samples(c: Context) -> tuple[Array, Array, Array]:
    """Probability of each count (B, N), empirical losses (B, N, K), true losses (B, K)."""
    counts, orders = sample_counts(3, SAMPLES)
    law, losses = c.extra("outcome_law"), c.extra("losses")
    masses = []
    for row, order in zip(counts, orders, strict=True):
        mass = law[:, 0] * 0 + int(order)
        for k, times in enumerate(row):
            for _ in range(int(times)):
                mass = mass * law[:, k]
        masses.append(mass)
    empirical = np.einsum("no,bko->bnk", c.constant(counts), losses) / SAMPLES
    return np.stack(masses, axis=-1), empirical, np.einsum("bo,bko->bk", law, losses)


@define("exponential_moment", r"\mathbb{E}_{\mathrm{sample}}\mathbb{E}_Pe^{\beta(L-\hat L)}", "instance")
def _exponential_moment(c: Context) -> Array:
    """Exponential moment of the gap between true and empirical loss, over all samples of four."""
    mass, empirical, true = _samples(c)
    tilt = arithmetic.exp(given(c, "beta")[:, None, None] * (true[:, None] - empirical))
    return per_instance((mass * (c.extra("predictor_prior")[:, None] * tilt).sum(axis=-1)).sum(axis=-1))


@define("largest_exponential_moment", r"\mathbb{E}_{\mathrm{sample}}\max_ke^{\beta(L_k-\hat L_k)}", "instance")
def _largest_exponential_moment(c: Context) -> Array:
    """The same with a prior that is chosen after the sample."""
    mass, empirical, true = _samples(c)
    tilt = arithmetic.exp(given(c, "beta")[:, None, None] * (true[:, None] - empirical))
    return per_instance((mass * arithmetic.maximum(tilt, axis=-1)).sum(axis=-1))


def _hoeffding(c: Context, eight: int) -> Array:
    beta = given(c, "beta")
    return per_instance(arithmetic.exp(beta * beta / (eight * SAMPLES)))


def _fails(c: Context, prior: Array, eight: int) -> Array:
    """Probability that some posterior breaks the bound: log E_P e^(beta (L - L^)) > log(1/delta) + beta^2 / (eight m), by Donsker and Varadhan."""
    mass, empirical, true = _samples(c)
    beta, level = given(c, "beta"), given(c, "failure_level")
    moment = (prior * arithmetic.exp(beta[:, None, None] * (true[:, None] - empirical))).sum(axis=-1)
    limit = arithmetic.exp(beta * beta / (eight * SAMPLES)) / level
    return per_instance((mass * arithmetic.less(limit[:, None], moment).astype(int)).sum(axis=-1))


@define("failure_probability", r"P(\max_Q[L(Q)-\mathrm{bound}(Q)]>0)", "instance")
def _failure_probability(c: Context) -> Array:
    """Probability over the four samples that some posterior's true loss is above its bound."""
    return _fails(c, c.extra("predictor_prior")[:, None], 8)


@define("hoeffding_moment", r"e^{\beta^2/(8m)}", "instance")
def _hoeffding_moment(c: Context) -> Array:
    """Hoeffding's bound of it, with m = 4."""
    return _hoeffding(c, 8)


@define("hoeffding_moment_sharp", r"e^{\beta^2/(16m)}", "instance")
def _hoeffding_moment_sharp(c: Context) -> Array:
    """Half the exponent."""
    return _hoeffding(c, 16)


def _bound_of(c: Context, law: Array) -> Array:
    empirical = c.extra("losses")[:, :, 0]
    divergence = (law * arithmetic.log(law / c.extra("predictor_prior"))).sum(axis=-1)
    return per_instance((law * empirical).sum(axis=-1) + divergence / given(c, "beta"))


@define("gibbs_bound", r"\hat L(Q^*)+\mathrm{KL}(Q^*|P)/\beta", "instance")
def _gibbs_bound(c: Context) -> Array:
    """What the Gibbs posterior makes of the bound, where the losses on the first outcome are the empirical ones."""
    return _bound_of(c, gibbs_posterior(c.extra("predictor_prior"), c.extra("losses")[:, :, 0], given(c, "beta")[:, None]))


@define("other_bound", r"\hat L(Q)+\mathrm{KL}(Q|P)/\beta", "instance")
def _other_bound(c: Context) -> Array:
    """What another posterior makes of it."""
    return _bound_of(c, c.extra("posterior"))


# Mixtures of surrogates


def _target(c: Context) -> Array:
    return c.extra("target_law") * c.extra("values")


def _moment(c: Context, weights: Array) -> Array:
    return mixture_moment(_target(c), c.extra("surrogate_laws"), weights)


@define("mixture_moment", r"\sum(pf)^2/q_w", "instance")
def _mixture_moment(c: Context) -> Array:
    """Second moment of one weighted sample of the mixture."""
    return per_instance(_moment(c, c.extra("mixing")))


@define("mixture_square", r"(\mathbb{E}_pf)^2", "instance")
def _mixture_square(c: Context) -> Array:
    """Square of the mean that is estimated."""
    mean = _target(c).sum(axis=-1)
    return per_instance(mean * mean)


@define("mixture_moment_between", r"\sum(pf)^2/q_{(w+w')/2}", "instance")
def _mixture_moment_between(c: Context) -> Array:
    """The same at the mean of two weightings."""
    return per_instance(_moment(c, (c.extra("mixing") + c.extra("second_mixing")) / 2))


@define("mixture_moments_mean", r"\tfrac{1}{2}\sum(pf)^2(1/q_w+1/q_{w'})", "instance")
def _mixture_moments_mean(c: Context) -> Array:
    """The mean of the second moments of two weightings."""
    return per_instance((_moment(c, c.extra("mixing")) + _moment(c, c.extra("second_mixing"))) / 2)


@define("weighted_single_moments", r"\tfrac{1}{w_i}\sum(pf)^2/q_i", "instance", "surrogates")
def _weighted_single_moments(c: Context) -> Array:
    """Second moment of each surrogate alone, over its weight."""
    return _singles(c) / c.extra("mixing")[:, None]


@define("single_moments", r"\sum(pf)^2/q_i", "instance", "surrogates")
def _single_moments(c: Context) -> Array:
    """Second moment of each surrogate alone."""
    return _singles(c)


def _singles(c: Context) -> Array:
    eye = c.constant(np.eye(2, dtype=np.int64))
    return np.stack([_moment(c, np.broadcast_to(eye[i], (len(c.discount), 2))) for i in range(2)], axis=-1)[:, None]


def _spread(c: Context, first: Array, second: Array) -> Array:
    law = c.extra("target_law")
    return (law * first * second).sum(axis=-1) - (law * first).sum(axis=-1) * (law * second).sum(axis=-1)


@define("regressed_product", r"\mathrm{Var}f\,\mathrm{Var}s-\mathrm{Cov}(f,s)^2", "instance")
def _regressed_product(c: Context) -> Array:
    """Variance of f less the best multiple of a control variate s whose mean is known, times the variance of s."""
    f, s = c.extra("values"), c.extra("surrogate_laws")[:, 0]
    return per_instance(_spread(c, f, f) * _spread(c, s, s) - _spread(c, f, s) ** 2)


@define("corrected_product", r"\mathrm{Var}(f-ws)\,\mathrm{Var}s", "instance")
def _corrected_product(c: Context) -> Array:
    """The same with another multiple."""
    s = c.extra("surrogate_laws")[:, 0]
    rest = c.extra("values") - c.extra("mixing")[:, :1] * s
    return per_instance(_spread(c, rest, rest) * _spread(c, s, s))


@define("plain_product", r"\mathrm{Var}f\,\mathrm{Var}s", "instance")
def _plain_product(c: Context) -> Array:
    """The same without a control variate."""
    f, s = c.extra("values"), c.extra("surrogate_laws")[:, 0]
    return per_instance(_spread(c, f, f) * _spread(c, s, s))


# Asking


@define("asked_value", r"\sum_{\mathrm{answer}}\max", "instance")
def _asked_value(c: Context) -> Array:
    """Probability of naming the right one of two states after the oracle's answer."""
    return per_instance(value_of_asking(c.extra("believed"), c.extra("right")))


@define("asked_value_two_sided", r"\sum_{\mathrm{answer}}\max\ (q_0\ne q_1)", "instance")
def _asked_value_two_sided(c: Context) -> Array:
    """The same with an oracle that is right in one state more often than in the other."""
    return per_instance(value_of_asking(c.extra("believed"), (c.extra("right"), c.extra("right_other"))))


@define("best_of_three", r"\max(q,b,1-b)", "instance")
def _best_of_three(c: Context) -> Array:
    """The largest of the oracle's, the belief's and the other belief's probability to be right."""
    b = c.extra("believed")
    return per_instance(arithmetic.maximum(np.stack([c.extra("right"), b, 1 - b], axis=-1), axis=-1))


@define("best_guess", r"\max(b,1-b)", "instance")
def _best_guess(c: Context) -> Array:
    """Probability of naming the right state without asking."""
    b = c.extra("believed")
    return per_instance(arithmetic.maximum(np.stack([b, 1 - b], axis=-1), axis=-1))


# Inventories


def _inventory(c: Context) -> tuple[Array, Array, Array, Array, Array, Array]:
    """P, eta, q, s^2, gamma, and the holding cost phi for which P solves its equation."""
    form, trade, gamma = c.extra("form"), c.extra("trade_cost"), c.discount
    held = form - gamma * form * trade / (trade + gamma * form)
    return form, trade, c.extra("stock"), c.extra("spread") ** 2, gamma, held


@define("inventory_value", r"Pq^2+\tfrac{\gamma Ps^2}{1-\gamma}", "instance")
def _inventory_value(c: Context) -> Array:
    """Cost of holding the stock q for ever, in cost units."""
    form, _, stock, noise, gamma, _ = _inventory(c)
    return per_instance(form * stock * stock + gamma * form * noise / (1 - gamma))


def _parabola(c: Context, scaled: bool) -> tuple[Array, Array, Array]:
    """(value, slope, bend) at u = 0 of the right side of the Bellman equation as a function of the trade u."""
    form, trade, stock, noise, gamma, held = _inventory(c)

    def total(trade_size: Array) -> Array:
        left = stock - trade_size
        shock = noise * trade_size * trade_size if scaled else noise
        return held * stock * stock + trade * trade_size * trade_size + gamma * (form * (left * left + shock) + gamma * form * noise / (1 - gamma))

    one = stock * 0 + 1
    low, middle, high = total(-one), total(one * 0), total(one)
    slope, bend = (high - low) / 2, (high + low) / 2 - middle
    return middle, slope, bend


@define("inventory_backup", r"\min_u\phi q^2+\eta u^2+\gamma\mathbb{E}V(q-u+w)", "instance")
def _inventory_backup(c: Context) -> Array:
    """The right side of the Bellman equation, minimised by the parabola through u = -1, 0, 1."""
    middle, slope, bend = _parabola(c, scaled=False)
    return per_instance(middle - slope * slope / (4 * bend))


@define("inventory_trade", r"u^*", "instance")
def _inventory_trade(c: Context) -> Array:
    """The trade that minimises the right side of the Bellman equation, noise included."""
    _, slope, bend = _parabola(c, scaled=False)
    return per_instance(-slope / (2 * bend))


@define("inventory_trade_scaled", r"u^*,\ \mathrm{noise}\ uw", "instance")
def _inventory_trade_scaled(c: Context) -> Array:
    """The same where the noise grows with the trade."""
    _, slope, bend = _parabola(c, scaled=True)
    return per_instance(-slope / (2 * bend))


@define("inventory_rule", r"\tfrac{\gamma Pq}{\eta+\gamma P}", "instance")
def _inventory_rule(c: Context) -> Array:
    """The trade of the formula: it does not depend on the noise."""
    form, trade, stock, _, gamma, _ = _inventory(c)
    return per_instance(gamma * form * stock / (trade + gamma * form))


@define("marked_to_market", r"\sum_t\gamma^t(W_{t+1}-W_t)", "instance")
def _marked_to_market(c: Context) -> Array:
    """Discounted sum of the changes of wealth over the four steps of `wealth` (5,)."""
    wealth, total, factor = c.extra("wealth"), c.discount * 0, c.discount * 0 + 1
    for t in range(4):
        total, factor = total + factor * (wealth[:, t + 1] - wealth[:, t]), factor * c.discount
    return per_instance(total)


@define("undiscounted_changes", r"\sum_t(W_{t+1}-W_t)", "instance")
def _undiscounted_changes(c: Context) -> Array:
    """The changes of wealth over four steps, added up one by one."""
    wealth = c.extra("wealth")
    return per_instance(sum(wealth[:, t + 1] - wealth[:, t] for t in range(1, 4)) + (wealth[:, 1] - wealth[:, 0]))


@define("last_wealth", r"W_4-W_0", "instance")
def _last_wealth(c: Context) -> Array:
    """The last wealth less the first."""
    wealth = c.extra("wealth")
    return per_instance(wealth[:, 4] - wealth[:, 0])
