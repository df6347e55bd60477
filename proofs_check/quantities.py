"""Named quantities: what statements are made of.  Each has a symbol, a LaTeX form, a meaning with units, and the code that measures it.

    from proofs_check import quantities as q
    q.gamma, q.eta, q.gap_rho            sympy symbols without assumptions
    gap(q.rho, q.t)                      the optimality gap under a start distribution: the symbol gap_rho

The code of a quantity takes a `Context` and returns an array (B, R, K): B instances, R records, K entries (1 for a number).  It is plain
array code over the four operations, `np.einsum`, `arithmetic.solve` and the few functions of `arithmetic`, so that it runs on floats,
rationals and balls alike.  V is in reward units, visits are normalised to 1, gradients include 1/(1 - gamma).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy

from mdps.errors import nearest
from pgtheory import arithmetic
from proofs_check import expression
from proofs_check.numbers import larger, smaller

if TYPE_CHECKING:
    from proofs_check.context import Context

Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A symbol with its meaning and its code."""

    name: str
    latex: str
    meaning: str
    code: Callable[[Context], Array] | None
    varies: str  # "instance", "step" (with t) or "pair" (compares t with t + 1)
    entries: str = "number"  # or what the K entries run over
    history: bool = False  # whether it looks at every step up to t, so that all of them must be recorded


_REGISTRY: dict[str, Quantity] = {}


def _quantity(name: str, latex: str, varies: str, entries: str = "number", history: bool = False) -> Callable[..., Any]:
    def register(code: Callable[[Context], Array]) -> Callable[[Context], Array]:
        _REGISTRY[name] = Quantity(name, latex, " ".join((code.__doc__ or "").split()).removesuffix("."), code, varies, entries, history)
        return code

    return register


def _instance(numbers: Array) -> Array:
    """(B,) -> (B, 1, 1)."""
    return numbers[:, None, None]


def _number(values: Array) -> Array:
    """(B, R) -> (B, R, 1)."""
    return values[..., None]


def _flat(values: Array) -> Array:
    """(B, R, ...) -> (B, R, K)."""
    return values.reshape(*values.shape[:2], -1)


def _norm(values: Array) -> Array:
    """Euclidean norm over the entries: (B, R, K) -> (B, R, 1)."""
    return arithmetic.sqrt((values * values).sum(axis=-1, keepdims=True))


# The problem


@_quantity("gamma", r"\gamma", "instance")
def _gamma(c: Context) -> Array:
    """Discount factor, in [0, 1)."""
    return _instance(c.discount)


@_quantity("S", "S", "instance")
def _states(c: Context) -> Array:
    """Number of states."""
    return c.constant(np.full((c.discount.size, 1, 1), c.rewards.shape[1]))


@_quantity("A", "A", "instance")
def _actions(c: Context) -> Array:
    """Number of actions."""
    return c.constant(np.full((c.discount.size, 1, 1), c.rewards.shape[2]))


@_quantity("t", "t", "step")
def _time(c: Context) -> Array:
    """Number of steps taken since the start."""
    return c.constant(c.times[c.now][None, :, None])


@_quantity("inverse_mu", r"\|1/\mu\|_\infty", "instance")
def _inverse_mu(c: Context) -> Array:
    """Largest reciprocal of a start probability."""
    return _instance(arithmetic.maximum(1 / c.mu, axis=-1))


@_quantity("rho_over_mu", r"\|\rho/\mu\|_\infty", "instance")
def _rho_over_mu(c: Context) -> Array:
    """Largest ratio of the evaluation start distribution to the gradient's."""
    return _instance(arithmetic.maximum(c.rho / c.mu, axis=-1))


# Values and gaps


@_quantity("gap_rho", r"V^*(\rho) - V^{\pi_t}(\rho)", "step")
def _gap_rho(c: Context) -> Array:
    """Optimality gap of the current policy under rho, in reward units, at most (max r - min r)/(1 - gamma)."""
    return _gap(c, c.rho)


@_quantity("gap_mu", r"V^*(\mu) - V^{\pi_t}(\mu)", "step")
def _gap_mu(c: Context) -> Array:
    """Optimality gap of the current policy under mu, in reward units."""
    return _gap(c, c.mu)


@_quantity("gap_mu_0", r"\left(V^*(\mu) - V^{\pi_0}(\mu)\right)", "instance")
def _gap_mu_start(c: Context) -> Array:
    """Optimality gap of the start policy under mu, in reward units."""
    return _gap(c, c.mu, records=slice(0, 1))


def _gap(c: Context, distribution: Array, records: Any = None) -> Array:
    behind = c.optimum.values[:, None] - c.values[:, c.now if records is None else records]
    return _number((behind * distribution[:, None]).sum(axis=-1))


@_quantity("gap_sup", r"\|V^* - V^{\pi_t}\|_\infty", "step")
def _gap_sup(c: Context) -> Array:
    """Largest optimality gap of any state, in reward units."""
    return _number(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, c.now], axis=-1))


@_quantity("gap_sup_0", r"\|V^* - V^{\pi_0}\|_\infty", "instance")
def _gap_sup_start(c: Context) -> Array:
    """Largest optimality gap of any state at the start, in reward units."""
    return _number(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, :1], axis=-1))


@_quantity("state_values", r"V^{\pi_t}", "step", "states")
def _state_values(c: Context) -> Array:
    """Value of the current policy in each state, in reward units."""
    return c.values[:, c.now]


@_quantity("next_state_values", r"V^{\pi_{t+1}}", "pair", "states")
def _next_state_values(c: Context) -> Array:
    """Value of the next policy in each state, in reward units."""
    return c.values[:, c.then]


@_quantity("action_values", r"Q^{\pi_t}", "step", "state-action pairs")
def _action_values(c: Context) -> Array:
    """Action values of the current policy, in reward units."""
    return _flat(c.action_values[:, c.now])


@_quantity("next_action_values", r"Q^{\pi_{t+1}}", "pair", "state-action pairs")
def _next_action_values(c: Context) -> Array:
    """Action values of the next policy, in reward units."""
    return _flat(c.action_values[:, c.then])


@_quantity("bellman_values", r"T V^{\pi_t}", "step", "states")
def _bellman_values(c: Context) -> Array:
    """One application of the Bellman optimality operator to the current values, in reward units."""
    return arithmetic.maximum(c.action_values[:, c.now], axis=-1)


@_quantity("next_policy_advantage", r"\mathbb{E}_{a\sim\pi_{t+1}} A^{\pi_t}(\cdot,a)", "pair", "states")
def _next_policy_advantage(c: Context) -> Array:
    """Expected advantage, under the current policy, of the next policy's actions in each state, in reward units."""
    return (c.policies[:, c.then] * c.advantages[:, c.now]).sum(axis=-1)


@_quantity("next_gap_sup", r"\|V^* - V^{\pi_{t+1}}\|_\infty", "pair")
def _next_gap_sup(c: Context) -> Array:
    """Largest optimality gap of any state after the next step, in reward units."""
    return _number(arithmetic.maximum(c.optimum.values[:, None] - c.values[:, c.then], axis=-1))


@_quantity("bellman_gap_sup", r"\|V^* - T V^{\pi_t}\|_\infty", "step")
def _bellman_gap_sup(c: Context) -> Array:
    """Largest distance of any state from the optimal values after one application of the Bellman optimality operator, in reward units."""
    return _number(arithmetic.maximum(c.optimum.values[:, None] - _bellman_values(c), axis=-1))


@_quantity("value_increase_mu", r"V^{\pi_{t+1}}(\mu) - V^{\pi_t}(\mu)", "pair")
def _value_increase_mu(c: Context) -> Array:
    """Increase of the value under mu in one step, in reward units: by how much the gap under mu shrinks."""
    return _number(((c.values[:, c.then] - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))


# Distribution mismatch and how likely the optimal actions are


@_quantity("visits", r"d^{\pi}_\mu", "step", "states")
def _visits(c: Context) -> Array:
    """Discounted visits of the current policy from mu to each state, normalised to 1."""
    return c.visits_mu[:, c.now]


@_quantity("start_probabilities", r"\mu", "instance", "states")
def _start_probabilities(c: Context) -> Array:
    """Probability of each state under mu."""
    return c.mu[:, None]


@_quantity("mismatch_mu_policy", r"\left\|d^{\pi^*}_\mu/d^{\pi}_\mu\right\|_\infty", "step")
def _mismatch_mu_policy(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from mu to the current policy's visits from mu."""
    best = c.visits(c.mu, c.optimal_discounted)
    return _number(arithmetic.maximum(best / c.visits_mu[:, c.now], axis=-1))


@_quantity("policy_mismatch", r"\left\|d^{\pi}_\mu/\mu\right\|_\infty", "step")
def _policy_mismatch(c: Context) -> Array:
    """Largest ratio of the current policy's visits from mu to mu itself."""
    return _number(arithmetic.maximum(c.visits_mu[:, c.now] / c.mu[:, None], axis=-1))


@_quantity("mismatch", r"\left\|d^{\pi^*}_\mu/\mu\right\|_\infty", "instance")
def _mismatch(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from mu to mu itself."""
    visits = c.visits(c.mu, c.optimal_discounted)
    return _number(arithmetic.maximum(visits / c.mu[:, None], axis=-1))


@_quantity("mismatch_rho_policy", r"\left\|d^{\pi^*}_\rho/d^{\pi}_\mu\right\|_\infty", "step")
def _mismatch_rho_policy(c: Context) -> Array:
    """Largest ratio of the optimal policy's visits from rho to the current policy's visits from mu."""
    best = c.visits(c.rho, c.optimal_discounted)
    return _number(arithmetic.maximum(best / c.visits_mu[:, c.now], axis=-1))


@_quantity("largest_mismatch", r"\sup_{k\le t}\left\|d^{\pi_k}_\mu/\mu\right\|_\infty", "step", history=True)
def _largest_mismatch(c: Context) -> Array:
    """Largest ratio of the visits of any policy so far to the start distribution mu."""
    each = arithmetic.maximum(c.visits_mu / c.mu[:, None], axis=-1)
    return _number(_running(larger, each)[:, c.now])


@_quantity("c_inf", r"c_t", "step", history=True)
def _optimal_probability(c: Context) -> Array:
    """Smallest probability that any state has given to its optimal action at any step so far (prefix minimum)."""
    low = c.minima if c.minima is not None else _running(smaller, c.policies)
    return _chosen(c, low[:, c.now])


@_quantity("min_optimal_probability", r"\min_s \pi(a^*(s)|s)", "step")
def _min_optimal_probability(c: Context) -> Array:
    """Smallest probability that any state gives to its optimal action."""
    return _chosen(c, c.policies[:, c.now])


def _chosen(c: Context, probabilities: Array) -> Array:
    at_optimal = (probabilities * c.selection[:, None]).sum(axis=-1)
    return _number(-arithmetic.maximum(-at_optimal, axis=-1))


def _running(combine: Callable[[Any, Any], Any], values: Array) -> Array:
    """Running extreme along the records."""
    out = values.copy()
    for r in range(1, values.shape[1]):
        out[:, r] = combine(out[:, r - 1], values[:, r])
    return out


# Gradients and curvature


@_quantity("direct_gradient", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\, Q^\pi(s,a)", "step", "state-action pairs")
def _direct_gradient(c: Context) -> Array:
    """The policy gradient theorem's formula for the partial derivatives of V(mu) in the probabilities pi(a|s)."""
    return _flat(c.visits_mu[:, c.now][..., None] * c.action_values[:, c.now] / (1 - c.discount)[:, None, None, None])


@_quantity("direct_gradient_with_advantages", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\, A^\pi(s,a)", "step", "state-action pairs")
def _direct_gradient_with_advantages(c: Context) -> Array:
    """The direct gradient's formula with advantages in place of action values: right along directions that keep the rows' sums, only there."""
    return _flat(c.visits_mu[:, c.now][..., None] * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None])


@_quantity("direct_derivative", r"\partial V^\pi(\mu)/\partial \pi(a|s)", "step", "state-action pairs")
def _direct_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the probabilities pi(a|s), by differentiating the linear solve (dual numbers), no theorem used."""
    from proofs_check.dual import derivative_of_value

    return derivative_of_value(c, "direct")


@_quantity("softmax_gradient", r"\tfrac{1}{1-\gamma}\, d^\pi_\mu(s)\,\pi(a|s)\, A^\pi(s,a)", "step", "state-action pairs")
def _softmax_gradient(c: Context) -> Array:
    """The policy gradient theorem's formula for the derivatives of V(mu) in the logits of a softmax policy."""
    weights = c.visits_mu[:, c.now][..., None] * c.policies[:, c.now]
    return _flat(weights * c.advantages[:, c.now] / (1 - c.discount)[:, None, None, None])


@_quantity("softmax_derivative", r"\partial V^{\pi_\theta}(\mu)/\partial \theta(s,a)", "step", "state-action pairs")
def _softmax_derivative(c: Context) -> Array:
    """Derivatives of V(mu) in the logits, by differentiating the linear solve (dual numbers) through the softmax Jacobian."""
    from proofs_check.dual import derivative_of_value

    return derivative_of_value(c, "softmax")


@_quantity("softmax_gradient_sums", r"\textstyle\sum_a \partial V^{\pi_\theta}(\mu)/\partial\theta(s,a)", "step", "states")
def _softmax_gradient_sums(c: Context) -> Array:
    """Sum over the actions of each state's softmax gradient."""
    gradient = _softmax_derivative(c)
    return gradient.reshape(*gradient.shape[:2], c.rewards.shape[1], -1).sum(axis=-1)


@_quantity("zero", "0", "instance")
def _zero(c: Context) -> Array:
    """Zero, as the side of an equation."""
    return c.constant(np.zeros((1, 1, 1), dtype=np.int64))


@_quantity("gradient_norm", r"\|\nabla_\theta V^{\pi_\theta}(\mu)\|_2", "step")
def _gradient_norm(c: Context) -> Array:
    """Euclidean norm of the softmax policy gradient of V(mu), in reward units."""
    return _norm(_softmax_gradient(c))


@_quantity("hessian_norm", r"\|\nabla^2_\theta V^{\pi_\theta}(\mu)\|_2", "step")
def _hessian_norm(c: Context) -> Array:
    """Spectral norm of the Hessian of V(mu) in the logits, in reward units."""
    from proofs_check.hessian import softmax_hessian, spectral_norm

    return _number(spectral_norm(softmax_hessian(c), c.kind))


# Two policies


@_quantity("other_value_difference", r"V^{\pi'}(\mu) - V^{\pi}(\mu)", "step")
def _other_value_difference(c: Context) -> Array:
    """Value of the second policy minus that of the first from mu, in reward units."""
    second = _second(c)
    return _number(((second.values - c.values[:, c.now]) * c.mu[:, None]).sum(axis=-1))


@_quantity("advantage_under_other_visits", r"\sum_s d^{\pi'}_\mu(s)\sum_a \pi'(a|s)A^{\pi}(s,a)", "step")
def _advantage_under_other_visits(c: Context) -> Array:
    """Advantage of the second policy over the first, averaged over the visits of the second, in reward units."""
    second = _second(c)
    gain = (second.policies * c.advantages[:, c.now]).sum(axis=-1)
    return _number((second.visits_mu * gain).sum(axis=-1))


@_quantity("advantage_under_own_visits", r"\sum_s d^{\pi}_\mu(s)\sum_a \pi'(a|s)A^{\pi}(s,a)", "step")
def _advantage_under_own_visits(c: Context) -> Array:
    """Advantage of the second policy over the first, averaged over the visits of the first, in reward units."""
    gain = (_second(c).policies * c.advantages[:, c.now]).sum(axis=-1)
    return _number((c.visits_mu[:, c.now] * gain).sum(axis=-1))


@_quantity("policy_change_under_other_values", r"\sum_s d^{\pi}_\mu(s)\sum_a (\pi'-\pi)(a|s)\,Q^{\pi'}(s,a)", "step")
def _policy_change_under_other_values(c: Context) -> Array:
    """Change of policy weighted with the second policy's action values, averaged over the visits of the first, in reward units."""
    second = _second(c)
    change = ((second.policies - c.policies[:, c.now]) * second.action_values).sum(axis=-1)
    return _number((c.visits_mu[:, c.now] * change).sum(axis=-1))


def _second(c: Context) -> Context:
    if c.other is None:
        raise expression.ExpressionError('the statement compares two policies and its domain has one; give the domain other="any"')
    return dataclasses.replace(c, policies=c.other[:, None], logits=None, minima=None, times=c.times[:1], pairs=False)


# The natural gradient's potential and the entropy-regularised problem


@_quantity("log_normaliser", r"\mathbb{E}_{s\sim\rho}\left[\log Z_t(s)\right]", "pair")
def _log_normaliser(c: Context) -> Array:
    """Mean under rho of log sum_a pi_t(a|s) exp(eta A(s,a)/(1 - gamma)), the normaliser of a natural gradient step."""
    rate = _given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return _number((c.rho[:, None] * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@_quantity("value_increase_rho", r"V^{\pi_{t+1}}(\rho) - V^{\pi_t}(\rho)", "pair")
def _value_increase_rho(c: Context) -> Array:
    """Increase of the value under rho in one step, in reward units."""
    return _number(((c.values[:, c.then] - c.values[:, c.now]) * c.rho[:, None]).sum(axis=-1))


@_quantity("value_increase_optimal", r"V^{\pi_{t+1}}(d^{\pi^*}_\rho) - V^{\pi_t}(d^{\pi^*}_\rho)", "pair")
def _value_increase_optimal(c: Context) -> Array:
    """Increase in one step of the value averaged over the optimal policy's visits from rho, in reward units."""
    return _number(((c.values[:, c.then] - c.values[:, c.now]) * _optimal_visits(c)).sum(axis=-1))


@_quantity("value_rise_optimal", r"V^{\pi_t}(d^{\pi^*}_\rho) - V^{\pi_0}(d^{\pi^*}_\rho)", "step")
def _value_rise_optimal(c: Context) -> Array:
    """Increase since the start of the value averaged over the optimal policy's visits from rho, in reward units."""
    return _number(((c.values[:, c.now] - c.values[:, :1]) * _optimal_visits(c)).sum(axis=-1))


@_quantity("log_normaliser_optimal", r"\mathbb{E}_{s\sim d^{\pi^*}_\rho}\log Z_t(s)", "pair")
def _log_normaliser_optimal(c: Context) -> Array:
    """Mean of log Z_t (see log_normaliser) over the optimal policy's visits from rho."""
    rate = _given(c, "eta") / (1 - c.discount)
    exponents = c.log_policies[:, c.now] + rate[:, None, None, None] * c.advantages[:, c.now]
    return _number((_optimal_visits(c) * arithmetic.log_sum_exp(exponents)).sum(axis=-1))


@_quantity("divergence_drop", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_t) - \mathrm{KL}(\pi^*\Vert\pi_{t+1})\right]", "pair")
def _divergence_drop(c: Context) -> Array:
    """By how much one step lowers the divergence of the (deterministic) optimal policy from the current one, averaged over the optimal visits."""
    return _divergence_between(c, c.now, c.then)


@_quantity("divergence_spent", r"\mathbb{E}_{d^{\pi^*}_\rho}\left[\mathrm{KL}(\pi^*\Vert\pi_0) - \mathrm{KL}(\pi^*\Vert\pi_t)\right]", "step")
def _divergence_spent(c: Context) -> Array:
    """By how much the divergence of the optimal policy from the current one fell since the start, averaged over the optimal visits."""
    return _divergence_between(c, np.zeros(1, dtype=np.int64), c.now)


def _divergence_between(c: Context, earlier: Array, later: Array) -> Array:
    """KL(pi* || pi) = -log pi(a*(s)|s), as pi* is deterministic; averaged over the visits of pi* from rho."""
    gained = c.log_policies[:, later] - c.log_policies[:, earlier]
    return _number((_optimal_visits(c) * (gained * c.selection[:, None]).sum(axis=-1)).sum(axis=-1))


def _optimal_visits(c: Context) -> Array:
    """d^{pi*}_rho, (B, 1, S)."""
    return c.visits(c.rho, c.optimal_discounted)


@_quantity("soft_q_gap", r"\|Q^*_\tau - Q^{\pi_t}_\tau\|_\infty", "step")
def _soft_q_gap(c: Context) -> Array:
    """Largest error of the current policy's soft action values, in reward units."""
    return _soft_q_error(c, c.now)


@_quantity("log_policy_gap", r"\|\log\pi^*_\tau - \log\pi_t\|_\infty", "step")
def _log_policy_gap(c: Context) -> Array:
    """Largest difference of log probabilities between the soft-optimal and the current policy."""
    return _log_policy_error(c, c.now)


@_quantity("C1", "C_1", "instance")
def _first_constant(c: Context) -> Array:
    """||Q*_tau - Q_0||_inf + 2 tau (1 - eta tau/(1 - gamma)) ||log pi*_tau - log pi_0||_inf of the start policy."""
    tau = _instance(_given(c, "tau"))
    contraction = 1 - _instance(_given(c, "eta") * _given(c, "tau") / (1 - c.discount))
    start = np.zeros(1, dtype=np.int64)
    return _soft_q_error(c, start) + 2 * tau * contraction * _log_policy_error(c, start)


def _soft_q_error(c: Context, records: Array) -> Array:
    log_policies, policies = c.log_policies[:, records], c.policies[:, records]
    tau = _given(c, "tau")[:, None, None, None]
    paid = (policies * (c.rewards[:, None] - tau * _finite_log(c, policies, log_policies))).sum(axis=-1)
    soft_values = arithmetic.solve(c.discounted[:, records], paid)
    error = np.abs(c.soft_optimum[1][:, None] - c.backup(soft_values))
    return arithmetic.maximum(_flat(error), axis=-1)[..., None]


def _finite_log(c: Context, policies: Array, log_policies: Array) -> Array:
    """log pi with 0 where pi underflowed to 0 in float64, for pi log pi."""
    return np.where(policies > 0, log_policies, 0.0) if c.kind == "float" else log_policies


def _log_policy_error(c: Context, records: Array) -> Array:
    tau = _given(c, "tau")[:, None, None]
    best = arithmetic.log_softmax(c.soft_optimum[1] / tau)
    return arithmetic.maximum(_flat(np.abs(best[:, None] - c.log_policies[:, records])), axis=-1)[..., None]


# Settings of methods: their code is the value in the instance


def _setting(name: str, latex: str, meaning: str) -> None:
    _REGISTRY[name] = Quantity(name, latex, meaning, lambda c: _instance(_given(c, name)), "instance")


def _given(c: Context, name: str) -> Array:
    """(B,): a setting of the instance."""
    if name not in c.settings:
        raise expression.ExpressionError(f"the statement depends on {name}, and the claim's settings do not say what it is")
    return c.settings[name]


_setting("eta", r"\eta", "step size of the method")
_setting("tau", r"\tau", "temperature of the entropy regularisation, in reward units")
_setting("fraction", "f", "step size as a fraction of the largest allowed one")


# Lookup

rho, mu = sympy.Symbol("rho"), sympy.Symbol("mu")
T = sympy.Symbol("t")
"""The number of steps taken: the same symbol as `t`."""


def gap(start: sympy.Symbol, time: sympy.Symbol) -> sympy.Symbol:
    """V*(start) - V_t(start): the symbol of the optimality gap under `rho` or `mu` after `time` = t steps (0 for the start)."""
    if start not in (rho, mu) or time not in (T, sympy.Integer(0)):
        raise expression.ExpressionError(f"gap({start}, {time}): the start is rho or mu, the time is t")
    if time == T:
        return sympy.Symbol(f"gap_{start.name}")
    return sympy.Symbol("gap_mu_0") if start == mu else _refuse("gap(rho, 0)")


def _refuse(text: str) -> sympy.Symbol:
    raise expression.ExpressionError(f"{text} is no quantity yet; gap(mu, 0) is")


@contextlib.contextmanager
def temporary(added: Quantity) -> Iterator[None]:
    """The registry with one more quantity, for as long as the block lasts."""
    _REGISTRY[added.name] = added
    try:
        yield
    finally:
        del _REGISTRY[added.name]


def quantities() -> dict[str, Quantity]:
    """All quantities by name."""
    return dict(_REGISTRY)


def quantity(name: str) -> Quantity:
    """The quantity of that name; raises ExpressionError with the nearest names."""
    if name not in _REGISTRY:
        raise expression.ExpressionError(f"unknown quantity {name!r}.{nearest(name, list(_REGISTRY))}")
    return _REGISTRY[name]


def parse(text: str) -> sympy.Expr:
    """An expression over the quantities, read from text."""
    names = {name: sympy.Symbol(name) for name in _REGISTRY} | {"T": T, "rho": rho, "mu": mu}
    tree = expression.parse(text, names, {"gap": gap})
    stray = tree.free_symbols & {rho, mu}
    if stray:
        raise expression.ExpressionError(f"{text!r} uses the distribution {stray.pop()} as a number; gap(rho, t) is the gap under it")
    return tree


def latex_names() -> dict[str, str]:
    """LaTeX of each quantity by name."""
    return {name: q.latex for name, q in _REGISTRY.items()}


def __getattr__(name: str) -> sympy.Symbol:
    if name in _REGISTRY:
        return sympy.Symbol(name)
    raise AttributeError(f"no quantity {name!r}.{nearest(name, list(_REGISTRY))}")
