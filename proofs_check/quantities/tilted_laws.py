"""Laws tilted by what they pay: recourse near a reference, PAC-Bayes.

Recourse: tilts (S, A) = e^(r/tau), moves (S, A, S), other_law (A,); three steps.  PAC-Bayes: losses (2, 3), outcome_law (3,), predictor_prior (2,),
posterior (2,), the setting beta; four samples.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from pgtheory import arithmetic
from pgtheory.control.variational import gibbs_posterior, sample_counts, tilted_recursion
from proofs_check.quantities.registry import define, define_setting, given, per_instance

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray
STEPS = 3
SAMPLES = 4
define_setting("failure_level", r"\delta", "probability with which a bound may fail")


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


def _divergence_at(c: Context, scale: int) -> Array:
    """KL(p | p_0) of p = p_0 e^(beta r) / Z by its definition, sum p log(p / p_0)."""
    reference = c.policies[:, 0, 0]
    weights = reference * arithmetic.exp(scale * given(c, "beta")[:, None] * c.rewards[:, 0])
    law = weights / weights.sum(axis=-1)[:, None]
    return per_instance((law * arithmetic.log(law / reference)).sum(axis=-1))


@define("tilted_divergence", r"\mathrm{KL}(p_\beta|p_0)", "instance")
def _tilted_divergence(c: Context) -> Array:
    """How far the tilted law of the first state's actions is from the reference."""
    return _divergence_at(c, 1)


@define("tilted_divergence_colder", r"\mathrm{KL}(p_{2\beta}|p_0)", "instance")
def _tilted_divergence_colder(c: Context) -> Array:
    """The same at half the temperature."""
    return _divergence_at(c, 2)


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
