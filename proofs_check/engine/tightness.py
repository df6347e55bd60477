"""How tight a bound is: the constant that it could lose, and the true order in 1/(1 - gamma), S and A beside the theorem's.

kappa     the largest factor by which the bound could be sharpened without any instance against it: 1 over the largest measured/bound found.
          It is checked twice: the bound sharpened by kappa / (1 + MARGIN) survives another search with other random numbers (if not, the
          search goes on from what refuted it), and the bound sharpened by kappa (1 + MARGIN) fails on the limiting instance, exactly.
order     of a term C x^k of the bound (x one of 1/(1 - gamma), S, A, log A): the slope of log W against log x, where W(x) is the worst case,
          over a search at fixed x, of (measured - other terms) / (the term without x^k).  A smallest surviving exponent, empirically: the
          rest of the term (mismatch, c, t) stays inside W.  Points whose worst case lies at the end of the run are cut off by the horizon, and
          are marked; the residuals of the fit say whether a power law is there at all.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from proofs_check.claim import Case
from proofs_check.domains import Domain
from proofs_check.engine import budget as budgets
from proofs_check.engine.budget import Budget
from proofs_check.engine.certify import confirm
from proofs_check.engine.measure import Measurement, measure
from proofs_check.engine.mutants import COMPLEMENT
from proofs_check.engine.search import Found, search
from proofs_check.engine.shrink import confirmable_times, exactly
from proofs_check.engine.targets import resolve
from proofs_check.expression import text
from proofs_check.instance import Batch
from proofs_check.instances import named, settle

Array = np.ndarray
MARGIN = 1e-3
ROUNDS = 4
"""Searches for kappa: each starts with other random numbers and is asked to beat the last."""
HORIZONS = (1.5, 2, 3, 5, 8, 12, 20, 35, 60, 100)
"""Values of 1/(1 - gamma) at which the worst case is taken."""
COUNTS = (1, 2, 3, 4, 5, 6)
ORDER = Budget("order", 64, 12, (4000, 2000, 500), 9, 0, 0)
"""The search at each fixed size: twelve rounds, and long runs, for large horizons are slow."""


@dataclasses.dataclass(frozen=True)
class Order:
    """The empirical order of one factor of one term."""

    factor: str
    term: str
    theorem: float
    empirical: float
    residual: float  # largest distance of log W from the line
    local: float  # slope between the last two points
    sizes: list[float]
    worst: list[float]
    cut_off: list[float]  # sizes whose worst case lies at the end of the run


@dataclasses.dataclass(frozen=True)
class Tightness:
    """How tight one form is."""

    claim: str
    form: str
    statement: str
    kappa: float | None
    sharpened: str  # the statement that survived
    survived: int  # instances of the search that the sharpened bound survived
    confirmed: bool  # whether the bound sharpened a little more fails on the limiting instance, in exact arithmetic
    limiting: dict[str, Any] | None
    orders: list[Order]
    note: str = ""


def tightness(
    targets: Iterable[Any] | Any | None = None, *, budget: str | Budget = "quick", seed: int = 0, orders: bool = True, progress: Any = None
) -> list[Tightness]:
    """kappa and the empirical orders of every form that bounds a number.

    targets   as in `verify`;  orders  whether exponents are fitted too (ten more searches for each factor)
    raises    ModelError: unknown claim, form or budget
    """
    limits = budget if isinstance(budget, Budget) else budgets.budget(budget)
    cases = [claim.case(form) for claim, name in resolve(targets) for form in ((claim.form(name),) if name else claim.forms)]
    out = []
    if progress is not None:
        progress.start(len(cases))
    for case in cases:
        out.append(_of_case(case, limits, seed, orders, progress))
        if progress is not None:
            progress.done(_as_verdict(case, out[-1]))
    return out


def _of_case(case: Case, limits: Budget, seed: int, orders: bool, progress: Any) -> Tightness:
    if not case.statement.is_ratio:
        note = "an equation or a comparison of vectors: it has no bound to sharpen"
        return Tightness(case.claim, case.name, case.statement.text(), None, "", 0, False, None, [], note)

    def say(text: str) -> None:
        if progress is not None:
            progress.stage(case.claim, case.name, text)

    found = _worst(case, limits, seed, say)
    if found.ratio is None or found.instance is None:
        note = "measured/bound was never a number" if found.instances else "no instance met the assumptions"
        return Tightness(case.claim, case.name, case.statement.text(), None, "", found.instances, False, None, [], note)
    ratio, survived, note = found.ratio, 0, f"still growing after {ROUNDS} searches"
    for k in range(1, ROUNDS + 1):
        say(f"the bound sharpened by {1 / ratio:.4g}: search {k}")
        again = _worst(case, limits, seed + k, say)
        if again.ratio is not None and again.ratio > ratio * (1 + MARGIN):
            found, ratio = again, again.ratio
            continue
        survived, note = again.instances, ""
        break
    sharper = sharpened(case, ratio * (1 + MARGIN))
    confirmed, limiting = _limit(case, found, ratio)
    fits = fitted_orders(case, seed, say) if orders else []
    return Tightness(case.claim, case.name, case.statement.text(), 1 / ratio, sharper.statement.text(), survived, confirmed, limiting, fits, note)


def sharpened(case: Case, ratio: float) -> Case:
    """The case with the bound scaled so that measured/bound = `ratio` becomes 1 (rounded outwards to four digits)."""
    scale = Fraction(f"{ratio:.4g}") if case.statement.relation == "<=" else 1 / Fraction(f"{ratio:.4g}")
    bound = sympy.Rational(scale.numerator, scale.denominator) * case.statement.right
    return dataclasses.replace(case, name=f"{case.name}, sharpened", statement=case.statement.replace_bound(bound), trivial=None)


def _worst(case: Case, limits: Budget, seed: int, say: Any, climb: bool = True) -> Found:
    return search(case, limits, seed, lambda *_: None, named(case), say, climb=climb)


def _limit(case: Case, found: Found, ratio: float) -> tuple[bool, dict[str, Any] | None]:
    """Whether the bound sharpened beyond `ratio` fails on the limiting instance for certain, and that instance with both sides."""
    assert found.instance is not None
    seen = measure(case, Batch.of([found.instance]), found.instance_horizon)
    k = _peak(seen)
    data = found.instance.to_json() | {"t": int(seen.times[k]), "measured": float(seen.left[0, k, 0]), "bound": float(seen.right[0, k, 0])}
    beyond = sharpened(case, ratio * (1 - MARGIN))
    exact = settle(case, exactly(found.instance))
    if exact is None:
        return False, data
    again = measure(beyond, Batch.of([exact.as_float()]), found.instance_horizon)
    return any(confirm(beyond, exact, [t], most_bits=1024).status == "violated" for t in confirmable_times(again.violations(0))[:2]), data


def _peak(seen: Measurement) -> int:
    assert seen.ratio is not None
    return int(np.nan_to_num(seen.ratio[0], nan=-np.inf).argmax())


# Orders


@dataclasses.dataclass(frozen=True)
class _Fixed(Domain):
    """A domain of one discount, one number of states or one number of actions."""

    discount: Fraction | None = None
    states: int | None = None

    def sizes(self) -> list[tuple[int, int]]:
        return [size for size in super().sizes() if self.states in (None, size[0])]

    def decode(self, vectors: Array, states: int, actions: int, settings: dict[str, Any]) -> Batch:
        if self.discount is not None:
            vectors = vectors.copy()
            vectors[:, states * actions * (states + 3) + 2 * states] = 10 if self.discount else -10  # the coordinate of the discount at its end
        return super().decode(vectors, states, actions, settings)


def terms(bound: sympy.Expr) -> list[sympy.Expr]:
    """The terms of a bound that is a sum of products; the bound itself where it is none."""
    return list(bound.args) if isinstance(bound, sympy.Add) and bound != COMPLEMENT else [bound]


def factors(term: sympy.Expr) -> list[tuple[str, sympy.Expr, sympy.Rational]]:
    """(name of x, factor x^k, k) of the powers of 1/(1 - gamma), S, A and log A in a product."""
    out = []
    for factor in sympy.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        if not exponent.is_Rational:
            continue
        if base == COMPLEMENT:
            out.append(("1/(1-gamma)", factor, -exponent))
        elif base in (sympy.Symbol("S"), sympy.Symbol("A")):
            out.append((base.name, factor, exponent))
        elif base == sympy.log(sympy.Symbol("A")):
            out.append(("log(A)", factor, exponent))
    return out


def fitted_orders(case: Case, seed: int, say: Any) -> list[Order]:
    """One `Order` for each factor of each term."""
    out = []
    for term in terms(case.statement.right):
        for name, factor, exponent in factors(term):
            rest = case.statement.right - term
            statement = dataclasses.replace(case.statement, left=case.statement.left - rest, right=term / factor)
            bare = dataclasses.replace(case, name=f"{case.name}, order in {name} of {text(term)}", statement=statement, trivial=None, instances=())
            say(f"order in {name}")
            sizes, worst, cut = _worst_cases(bare, name, seed)
            if case.statement.relation == ">=":
                worst = [1 / w for w in worst]
            if len(sizes) >= 3:
                out.append(_fit(name, text(term), float(exponent), sizes, worst, cut))
    return out


def _worst_cases(case: Case, name: str, seed: int) -> tuple[list[float], list[float], list[float]]:
    sizes, worst, cut = [], [], []
    for domain, size in _domains(case.domain, name):
        fixed = dataclasses.replace(case, domain=domain)
        largest = max(s * a for s, a in domain.sizes())
        found = _worst(fixed, dataclasses.replace(ORDER, largest=min(max(largest, ORDER.largest), 12)), seed, lambda _: None)
        if found.ratio is None or found.instance is None or size <= 0:
            continue
        sizes.append(size)
        worst.append(found.ratio)
        seen = measure(fixed, Batch.of([found.instance]), found.instance_horizon)
        if seen.times.size > 2 and _peak(seen) >= seen.times.size - 2 and case.horizon is None:
            cut.append(size)
    return sizes, worst, cut


def _domains(domain: Domain, name: str) -> list[tuple[Domain, float]]:
    """The domain at each size of the factor, with the size; small models, for the search must be good rather than wide."""
    fields = {field.name: getattr(domain, field.name) for field in dataclasses.fields(Domain)}
    small = fields | {"max_states": min(3, domain.max_states), "max_actions": min(3, domain.max_actions)}
    if name == "1/(1-gamma)":
        allowed = [h for h in HORIZONS if 1 - 1 / h <= float(domain.max_discount) + 1e-9]
        return [(_Fixed(**small | {"max_discount": g}, discount=g), h) for h in allowed for g in (1 - 1 / Fraction(str(h)),)]
    if name == "S":
        return [(_Fixed(**small | {"max_states": s, "max_actions": 2}, states=s), float(s)) for s in COUNTS if s <= domain.max_states + 2]
    counts = [a for a in COUNTS if domain.min_actions <= a <= domain.max_actions + 2]
    few = small | {"max_states": min(2, domain.max_states)}
    sized: list[tuple[Domain, float]] = [(_Fixed(**few | {"min_actions": a, "max_actions": a}), float(a)) for a in counts]
    return sized if name == "A" else [(d, math.log(a)) for d, a in sized if a > 1]


def _fit(name: str, term: str, theorem: float, sizes: list[float], worst: list[float], cut: list[float]) -> Order:
    """The line through (log x, log W), by least squares over the sizes that the horizon does not cut off (over all where too few are left)."""
    x, y = np.log(sizes), np.log(worst)
    keep = np.array([size not in cut and size >= 2 for size in sizes])
    if keep.sum() < 3:
        keep[:] = True
    slope, offset = np.polyfit(x[keep], y[keep], 1)
    residual = float(np.abs(y[keep] - slope * x[keep] - offset).max())
    last = np.flatnonzero(keep)[-2:]
    local = float((y[last[1]] - y[last[0]]) / (x[last[1]] - x[last[0]]))
    return Order(name, term, theorem, float(slope), residual, local, sizes, worst, cut)


def _as_verdict(case: Case, done: Tightness) -> Any:
    from proofs_check.verdict import SUPPORTED, FormVerdict

    closest = None if done.kappa is None else 1 / done.kappa
    return FormVerdict(case.claim, case.name, "statement", case.statement.text(), SUPPORTED, tightness=closest, instances=done.survived)


__all__ = ["Order", "Tightness", "factors", "fitted_orders", "sharpened", "terms", "tightness"]
