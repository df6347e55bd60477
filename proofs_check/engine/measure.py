"""Both sides of a statement, measured in float64 on a batch of instances and along the run of the claim's method on each.

A statement about every t is looked at for the recorded t; the record holds log-spaced pairs (t, t + 1), or every step where a quantity looks
back at all of them.  Where the bound is not a number (t = 0 in 1/t) or the condition `where` does not hold, nothing is claimed.

The *excess* is by how much a statement fails: left - right for <=, right - left for >=, |left - right| for =.  What float64 can say is limited
by the solve (I - gamma P) V = r and by the differences taken afterwards, so an excess counts as a candidate only above
`tolerance` = 1e3 S eps (max|r| + tau log A) max(1, 1/tau) / (1 - gamma)^3: rounding 8 S eps times the condition (1 + gamma)/(1 - gamma) times
|V| <= max|r|/(1 - gamma), one more 1/(1 - gamma) for gradients, and a factor of about 60 for the few operations that follow.  A candidate is no
verdict: exact arithmetic decides.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any

import numpy as np

from mdps.errors import ModelError
from proofs_check.claim import Case
from proofs_check.context import Context, Optimum
from proofs_check.domains import free_settings
from proofs_check.expression import ExpressionError, check_exact, evaluate
from proofs_check.instance import Batch, Instance, float_context
from proofs_check.quantities import quantity

Array = np.ndarray
EPS = float(np.finfo(np.float64).eps)
SMALLEST_BOUND = 1e-9
"""Bounds below this are left to exact arithmetic: a ratio to them would be rounding."""
ROLES = {"eta": "step_size", "tau": "temperature"}
"""What a class that makes methods calls the settings."""
LOGARITHMIC = {"divergence_drop", "divergence_spent", "log_normaliser", "log_normaliser_optimal"}
"""Quantities that are small differences of log probabilities."""
WATCHED = {"c_inf", "least_probability"}
"""Quantities that look back at every step through the running minima of pi, which a run takes anyway."""
HISTORY_LIMIT = 2000
"""Steps up to which every single one is recorded, where a quantity asks for all of them and no running minimum serves."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Both sides on a batch: (B, R, K) arrays, and what follows from them."""

    times: Array  # (R,): the t of each record looked at
    left: Array
    right: Array
    excess: Array  # (B, R, K): positive where the statement fails; NaN where it says nothing
    tolerance: Array  # (B,)
    ratio: Array | None  # (B, R): measured / bound (bound / measured for >=), where both are numbers
    informative: Array  # (B,): whether the bound fell below the trivial one somewhere
    says: Array  # (B,): whether the statement said anything

    def scores(self) -> Array:
        """(B,): what the search maximises: log(measured/bound), or the excess in units of its tolerance on a scale that joins it at 0."""
        return self._scores

    @functools.cached_property
    def _scores(self) -> Array:
        if self.ratio is not None:
            with np.errstate(all="ignore"):
                return _worst(np.log(self.ratio))
        flat = self.excess.reshape(len(self.excess), -1)
        scaled = np.arcsinh(flat / self.tolerance[:, None])
        return _worst(scaled)

    def candidates(self) -> Array:
        """(B,): instances whose excess is above rounding."""
        flat = self.excess.reshape(len(self.excess), -1)
        return _worst(flat - self.tolerance[:, None]) > 0

    def violations(self, k: int) -> list[int]:
        """The t at which instance k fails by more than rounding, the clearest first: largest ratio, else largest excess."""
        over = np.nan_to_num(self.excess[k], nan=-np.inf).max(axis=-1)
        merit = over if self.ratio is None else np.nan_to_num(self.ratio[k], nan=-np.inf)
        order = np.argsort(-merit, kind="stable")
        return [int(self.times[r]) for r in order if over[r] > self.tolerance[k]]


def _worst(values: Array) -> Array:
    """Largest entry of each row, -inf where there is none."""
    filled = np.where(np.isnan(values), -np.inf, values)
    return filled.max(axis=1) if filled.shape[1] else np.full(len(filled), -np.inf)


def measure(case: Case, batch: Batch, horizon: int) -> Measurement:
    """Runs the method on every instance for up to `horizon` steps and measures both sides of the statement."""
    context = trajectory(case, batch, horizon)
    return compare(case, context)


def compare(case: Case, context: Context, values: dict[str, Any] | None = None) -> Measurement:
    """Both sides of the statement on a float64 context, from the quantities in `values` where they are known already."""
    with np.errstate(all="ignore"):
        values = quantities_of(case, context) if values is None else values
        left, right = case.statement.sides(values, _ratio)
        left, right = np.broadcast_arrays(np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64))
        shape = np.broadcast_shapes(left.shape, (context.discount.size, 1, 1))
        left, right = np.broadcast_to(left, shape), np.broadcast_to(right, shape)
        says = np.isfinite(right) & np.isfinite(left)
        for small, large in case.where:
            a, b = (np.asarray(evaluate(side, values, _ratio)) for side in (small, large))
            says = says & (a < b)
        sign = {"<=": left - right, ">=": right - left, "=": np.abs(left - right)}
        excess = np.where(says, sign[case.statement.relation], np.nan)
        ratio = None
        if case.statement.is_ratio:
            above, below = (left, right) if case.statement.relation == "<=" else (right, left)
            known = says & (below > SMALLEST_BOUND) & (above > 0)
            ratio = np.where(known, above / below, np.nan)[..., 0]
        informative = np.ones(len(left), dtype=bool)
        if case.trivial is not None and case.statement.is_ratio:
            limit = np.asarray(evaluate(case.trivial, values, _ratio))
            better = right < limit if case.statement.relation == "<=" else right > limit
            informative = (says & better).reshape(len(left), -1).any(axis=1)
    times = context.times[context.now] if case.statement.over != "instance" else context.times[:1]
    return Measurement(
        times,
        left,
        right,
        excess,
        tolerance(context, logs=bool(needed(case) & LOGARITHMIC)),
        ratio,
        informative,
        says.reshape(len(left), -1).any(axis=1),
    )


def quantities_of(case: Case, context: Context) -> dict[str, Any]:
    """Every quantity that the statement, its trivial bound and its conditions speak of."""
    with np.errstate(all="ignore"):
        return {name: _evaluated(name, context) for name in needed(case)}


def _evaluated(name: str, context: Context) -> Array:
    """The quantity on the batch; NaN for an instance whose matrices have no inverse or eigenvalues, as on the boundary of what it is defined for."""
    try:
        return _code(name)(context)
    except np.linalg.LinAlgError:
        rows: list[Array | None] = []
        for k in range(context.discount.size):
            try:
                rows.append(_code(name)(_only(context, k)))
            except np.linalg.LinAlgError:
                rows.append(None)
        missing = np.full(next((row.shape for row in rows if row is not None), (1, 1, 1)), np.nan)
        return np.concatenate([missing if row is None else row for row in rows])


def _only(context: Context, k: int) -> Context:
    """The context with one of its instances."""
    one = slice(k, k + 1)
    shared = {"kind", "times", "pairs", "source"}
    parts = {field.name: getattr(context, field.name) for field in dataclasses.fields(context) if field.name not in shared}
    return dataclasses.replace(context, **{name: _cut(part, one) for name, part in parts.items()})


def _cut(part: Any, one: slice) -> Any:
    if part is None:
        return None
    if isinstance(part, dict):
        return {name: array[one] for name, array in part.items()}
    if isinstance(part, Optimum):
        return Optimum(part.values[one], part.action_values[one], part.mask[one])
    return part[one]


def needed(case: Case) -> frozenset[str]:
    """Names of the quantities in the statement, its trivial bound and its conditions."""
    return case.names()


def _code(name: str) -> Any:
    code = quantity(name).code
    assert code is not None
    return code


def _ratio(p: int, q: int) -> float:
    try:
        return p / q
    except OverflowError:
        raise ModelError(f"the statement holds a number of {len(str(abs(p) // q))} digits; the search is in float64, which ends at 1.8e308") from None


def tolerance(context: Context, logs: bool = False) -> Array:
    """(B,): see the module's docstring.

    Differences of log probabilities (`logs`) add 60 eps max|log pi|, divided by the step size where it is below 1."""
    states, actions = context.rewards.shape[1:]
    tau = context.settings.get("tau")
    largest = np.maximum(np.abs(context.rewards).max(axis=(1, 2)), 1e-3)
    for values in context.extras.values():
        largest = np.maximum(largest, np.abs(values.reshape(len(values), -1)).max(axis=1))
    if tau is not None:  # log probabilities are of size |Q| / tau
        largest = (largest + tau * np.log(actions)) * np.maximum(1.0, 1 / tau)
    base = 1e3 * states * EPS * largest / (1 - context.discount) ** 3
    if not logs:
        return base
    deepest = np.abs(np.where(np.isfinite(context.log_policies), context.log_policies, 0.0)).max(axis=(1, 2, 3))
    return base + 60 * EPS * deepest / np.minimum(context.settings.get("eta", 1.0), 1.0)


def record_times(case: Case, horizon: int) -> Array:
    """Which steps are recorded for a statement up to `horizon` steps."""
    from pgtheory.run import log_times

    if case.process is None:
        return np.zeros(1, dtype=np.int64)
    horizon = case.horizon if case.horizon is not None else horizon
    if any(quantity(name).history for name in needed(case) - WATCHED):
        return np.arange(min(horizon, HISTORY_LIMIT) + 1)
    return np.asarray(log_times(horizon), dtype=np.int64)


def trajectory(case: Case, batch: Batch, horizon: int, times: Array | None = None) -> Context:
    """The batch with the recorded policies of the claim's method on it."""
    pairs = case.statement.over == "pair"
    if case.process is None:
        if pairs:
            raise ExpressionError(f"{case.claim}: {case.statement.text()} compares two steps, and the claim has no process to take them")
        return float_context(batch, np.zeros(1, dtype=np.int64), batch.policy[:, None], pairs=False)
    times = record_times(case, horizon) if times is None else times
    if not hasattr(case.process, "run_arrays"):
        return _plain_trajectory(case, batch, times, pairs)
    method = case.process
    settings = tuple(_per_instance(v, batch.size) for v in method_settings(case, float_names(batch), _ratio))
    watch = bool(needed(case) & WATCHED)
    records, minima = method.run_arrays(
        batch.transitions, batch.rewards, batch.discount, batch.mu, method.params_of(batch.policy), settings, times, watch=watch
    )
    logits = records if method.parameters == "logits" else None
    return float_context(batch, times, method.policy_of(records), logits=logits, minima=minima, parameters=records, pairs=pairs)


def _per_instance(value: Any, batch: int) -> Array:
    """A number, or an array with the batch first, as an array with the batch first."""
    array = np.asarray(value, dtype=np.float64)
    return array if array.ndim and array.shape[0] == batch else np.broadcast_to(array, (batch,))


def float_names(batch: Batch) -> dict[str, Any]:
    """The numbers that a setting of a method may be an expression of."""
    states, actions = batch.rewards.shape[1:]
    return {"gamma": batch.discount, "S": float(states), "A": float(actions), **batch.settings, **batch.extras}


def method_settings(case: Case, names: dict[str, Any], number: Any) -> list[Any]:
    """The values of the method's fields: a field may hold a number, an expression over settings, gamma, S and A, or the symbol of an extra."""
    out = []
    for field in case.process.setting_names:
        value = getattr(case.process, field)
        if callable(value):
            raise ExpressionError(
                f"{case.claim}: {field} is a function; a claim writes it as an expression over settings, gamma, S and A, which can be exact"
            )
        out.append(evaluate(check_exact(value), names, number) if hasattr(value, "free_symbols") else value)
    return out


def _plain_trajectory(case: Case, batch: Batch, times: Array, pairs: bool) -> Context:
    """Somebody else's method: `start`, `step`, `policy` in plain Python, one instance after the other."""
    from pgtheory.run import run

    records, lowest = [], []
    for k in range(batch.size):
        instance = batch[k]
        method = bound_method(case, instance.settings)
        trail = run(instance.mdp(), method, int(times[-1]), record=times)
        records.append(trail.policies)
        lowest.append(trail.minima)
    policies = np.stack(records)
    started = dataclasses.replace(batch, policy=policies[:, 0])
    for k in range(batch.size):
        check_own_start(case, started[k])
    return float_context(started, times, policies, minima=np.stack(lowest), pairs=pairs)


def check_own_start(case: Case, started: Instance) -> None:
    """ModelError where somebody else's method begins with a policy that the claim does not speak of: its run would say nothing about the claim."""
    broken = case.domain.broken(started)
    if broken:
        what = "; ".join(assumption.text for assumption in broken)
        raise ModelError(f"{case.claim} ({case.name}) assumes: {what}. The method starts elsewhere: its first policy is {started.policy.tolist()}")


def bound_method(case: Case, settings: dict[str, Any]) -> Any:
    """A user's method for one instance: a class or factory is called with the settings that it names, an object is used as it is."""
    made = case.process
    if not _is_factory(made):
        return made
    named = {ROLES.get(name, name): value for name, value in settings.items()}
    accepted = inspect.signature(made).parameters
    return made(**{name: value for name, value in named.items() if name in accepted})


def _is_factory(made: Any) -> bool:
    return callable(made) and (inspect.isclass(made) or not hasattr(made, "step"))


def check_settings_reach(case: Case) -> None:
    """ModelError where the statement speaks of a step size or temperature that the search chooses and the method does not take: it would be judged
    by another step size than its own."""
    if case.process is None:
        return
    if hasattr(case.process, "run_arrays"):
        trees = [getattr(case.process, name) for name in case.process.setting_names]
        taken = {symbol.name for tree in trees for symbol in getattr(tree, "free_symbols", ())}
    else:
        accepted = inspect.signature(case.process).parameters if _is_factory(case.process) else {}
        taken = {name for name, role in ROLES.items() if role in accepted}
    for name in free_names(case):
        if name in ROLES and name in needed(case) and name not in taken:
            raise ModelError(
                f"{case.claim} ({case.name}) is about every {name} in a range, and the method has a {ROLES[name]} of its own. "
                f"Give a class that takes {ROLES[name]}, or say which it is: settings={{{name!r}: '1/10'}}"
            )


def free_names(case: Case) -> list[str]:
    """Settings that the search chooses."""
    return free_settings(case.settings)
