"""Where a bound loses: the looseness of a theorem on one run, as a product of one factor for each link of its chain.

With a = the quantity that the chain bounds, and P_1, ..., P_m the right sides that the links in front of the recursion give for one step, the bounds

    measured <= F(a_t) = F(B_0) <= F(B_1) <= ... <= F(B_n) = the theorem's bound

are all evaluated along the run; F is the last lemma ("under"; without one F(x) = x), and each B comes from the one before by one link:

    square recursion    B_1 = 1/(1/a_0 + sum_k (a_k - a_(k+1))/a_k^2),  B_(1+j) = 1/(1/a_0 + sum_k P_j(k)/a_k^2),  last without 1/a_0
    lower recursion     the same with 1/a_0 + sum_k P_j(k)/(a_k (a_k - P_j(k)))
    contraction         B_j = a_0 product_k P_j(k)/a_k
    telescoping         B_j = (1/t) sum_k P_j(k), and B_0 = a_t: the difference is monotonicity
    no recursion        B_j = P_j(t)

and where the last lemma bounds the next step's quantity ("one later") everything before it is taken at t - 1.

A link's factor is the quotient of neighbours (at least 1 where the lemma holds), so that the product is bound/measured by construction up to
rounding;
that the last B is the theorem's own bound is the composition, and is tested.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import sympy

from mdps.errors import ModelError
from proofs_check.claim import Case
from proofs_check.composition import DIFFERENCES, NEXT, RECURSIONS, Composition, Stage, compose_case, lemma_statement
from proofs_check.context import Context
from proofs_check.engine.measure import compare, tolerance, trajectory
from proofs_check.expression import evaluate
from proofs_check.instance import Batch, Instance
from proofs_check.quantities import quantity

Array = np.ndarray
LONGEST = 50_000
"""Steps of a run up to which every one is looked at; on larger models as many as keep (steps, S, S) arrays of this size for five states."""


@dataclasses.dataclass(frozen=True)
class Factor:
    """By how much one link is loose on this run, and what it says."""

    link: str
    factor: float
    text: str


@dataclasses.dataclass(frozen=True)
class Slack:
    """The looseness of a bound at one step of one run, taken apart."""

    claim: str
    form: str
    t: int
    measured: float
    bound: float
    factors: tuple[Factor, ...]

    @property
    def looseness(self) -> float:
        """bound/measured (measured/bound for a lower bound)."""
        return math.prod(f.factor for f in self.factors)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self) | {"looseness": self.looseness}

    def rows(self) -> list[tuple[str, str, str]]:
        """(link, factor, what it says), and the product last."""
        each = [(f.link, f"{f.factor:.4g}", f.text) for f in self.factors]
        return [*each, ("product", f"{self.looseness:.4g}", f"measured {self.measured:.4g}, bound {self.bound:.4g} at t = {self.t}")]


def attribute(claim: Any, form: str | None, instance: Instance, t: int) -> Slack:
    """The slack of every link of a claim's chain on `instance` after t steps.

    claim    an id or a `Claim`;  form  the first that has a chain by default
    raises   ModelError: no chain, or a side that is 0 or no number there
    """
    from proofs_check.catalogue import get_claim

    chosen = get_claim(claim) if isinstance(claim, str) else claim
    if not chosen.chain:
        raise ModelError(f"{chosen.id} has no chain")
    case = chosen.case(chosen.form(form or next(iter(chosen.chain))))
    return attribute_case(case, instance, t)


def attribute_case(case: Case, instance: Instance, t: int) -> Slack:
    """`attribute` for a form with everything filled in."""
    longest = min(LONGEST, 25 * LONGEST // instance.shape[0] ** 2)
    if not 0 <= t <= longest:
        raise ModelError(f"slack is taken apart up to {longest:,} steps on {instance.shape[0]} states; t = {t:,}")
    composition = compose_case(case)
    pairs = case.process is not None
    with np.errstate(all="ignore"):
        context = trajectory(case, Batch.of([instance.as_float()]), t + 1, times=np.arange(t + 2) if pairs else None)
        run = _Run(dataclasses.replace(context, pairs=pairs), t, case)
        measured, bound = run.theorem()
        values = run.bounds(composition)
    if case.statement.relation == ">=":
        values, quotient = [measured, *values, bound], lambda a, b: a / b
    else:
        values, quotient = [measured, *values, bound], lambda a, b: b / a
    if abs(measured) < float(tolerance(context)[0]):
        raise ModelError(
            f"{case.claim}:{case.name} at t = {t}: {measured:.3g} is 0 or no number that float64 can tell from 0, so its looseness is not known"
        )
    if not all(math.isfinite(x) and x > 0 for x in values):
        raise ModelError(f"{case.claim}:{case.name} at t = {t}: a side is 0 or no number, so there is no looseness to take apart")
    named = [*run.names, ("the statement", "what the theorem gives away against its own chain" if not composition.exact else "")]
    factors = [Factor(name, quotient(a, b), text) for (name, text), a, b in zip(named, values[:-1], values[1:], strict=True)]
    if composition.exact:  # the last factor is 1 up to rounding; it belongs to the link in front of it
        last = factors.pop()
        factors[-1] = dataclasses.replace(factors[-1], factor=factors[-1].factor * last.factor)
    return Slack(case.claim, case.name, t, measured, bound, tuple(factors))


class _Run:
    """Expressions evaluated along one run; what looks back at all steps is taken at t, as the recursion takes it."""

    def __init__(self, context: Context, t: int, case: Case) -> None:
        self.context, self.t, self.case = context, t, case
        self.known: dict[str, Array] = {}
        self.names: list[tuple[str, str]] = []

    def value(self, name: str) -> Array:
        """(t + 1,): the quantity at every step up to t (one entry where it does not change)."""
        if name not in self.known:
            code = quantity(name).code
            assert code is not None
            found = np.asarray(code(self.context), dtype=np.float64)
            if found.shape[-1] > 1:
                raise ModelError(f"{name} is no single number")
            series = found[0, :, 0]
            recursive = name in NEXT or name in NEXT.values()  # what a recursion runs over, even where its code looks back
            self.known[name] = series[-1:] if quantity(name).history and not recursive else series
        return self.known[name]

    def series(self, tree: sympy.Expr, end: int) -> Array:
        """(end,): the expression at the steps before `end`."""
        names = {s.name: self.value(s.name) for s in tree.free_symbols}
        whole = np.broadcast_to(np.asarray(evaluate(tree, names, lambda p, q: p / q), dtype=np.float64), (self.t + 1,))
        return whole[:end]

    def at_t(self, tree: sympy.Expr) -> float:
        names = {s.name: self.value(s.name)[-1:] for s in tree.free_symbols}
        return float(np.asarray(evaluate(tree, names, lambda p, q: p / q), dtype=np.float64).reshape(-1)[-1])

    def theorem(self) -> tuple[float, float]:
        """Both sides of the theorem at t, by the code that verifies it."""
        seen = compare(self.case, self.context)
        k = -1 if seen.left.shape[1] > 1 else 0
        return float(seen.left[0, k, 0]), float(seen.right[0, k, 0])

    def bounds(self, composition: Composition) -> list[float]:
        """F(B_0), ..., F(B_n), with `names` filled in: one for each, in front of it."""
        stages = list(composition.stages)
        position = next((i for i, stage in enumerate(stages) if stage.link.rule in RECURSIONS), None)
        before = stages if position is None else stages[:position]
        after = [] if position is None else stages[position:]
        outer = next((stage for stage in after if stage.link.rule in ("under", "one later")), None)
        if outer is not None and outer.link.rule == "one later":
            return self.one_later(composition, before, after, outer)
        inner = self.steps(before, after[0] if after else None)
        if outer is None:
            out = inner
        else:
            wrapped = _outer(composition, outer)
            self.names.insert(0, (outer.name, outer.statement.text()))
            a = self.at_t(sympy.Symbol(after[0].link.quantity))
            out = [self.under(wrapped, b) for b in [a, *inner]]
        for stage in after[1:]:
            if stage.link.rule == "weaken":
                self.names.append((stage.name, stage.statement.text()))
                out.append(self.at_t(stage.statement.right))
        return out

    def one_later(self, composition: Composition, before: list[Stage], after: list[Stage], outer: Stage) -> list[float]:
        """The same where the last lemma bounds the quantity at t by what the recursion gives at t - 1."""
        records, context = self.t + 1, self.context
        logits = None if context.logits is None else context.logits[:, :records]
        minima = None if context.minima is None else context.minima[:, :records]
        earlier = dataclasses.replace(
            context, times=context.times[:records], policies=context.policies[:, :records], logits=logits, minima=minima, parameters=None
        )
        run = _Run(earlier, self.t - 1, self.case)
        inner = run.steps(before, after[0])
        wrapped = _outer(composition, outer)
        out = [run.under(wrapped, b) for b in [run.at_t(sympy.Symbol(after[0].link.quantity)), *inner]]
        self.names += [(outer.name, outer.statement.text()), *run.names]
        for stage in after[after.index(outer) + 1 :]:
            self.names.append((stage.name, stage.statement.text()))
            out.append(self.at_t(stage.statement.right))
        return out

    def under(self, wrapped: tuple[sympy.Expr, sympy.Symbol], b: float) -> float:
        tree, a = wrapped
        names = {s.name: self.value(s.name)[-1:] for s in tree.free_symbols - {a}} | {a.name: np.array([b])}
        return float(np.asarray(evaluate(tree, names, lambda p, q: p / q)).reshape(-1)[-1])

    def steps(self, before: list[Stage], rule: Stage | None) -> list[float]:
        """B_1, ..., B_n of the links before the recursion and of the recursion itself."""
        out: list[float] = []
        if rule is None:
            for stage in before:
                self.names.append((stage.name, stage.statement.text()))
                out.append(self.at_t(stage.statement.right))
            return out
        name, t = rule.link.quantity, self.t
        a = self.series(sympy.Symbol(name), t + 1)
        rights = [(stage.name, stage.statement.text(), self.series(stage.statement.right, t)) for stage in before]
        now = a[:t]
        kind = rule.link.rule

        def add(label: str, text: str, b: float) -> None:
            self.names.append((label, text))
            out.append(b)

        if kind == "telescoping":
            for k, (label, text, right) in enumerate(rights):
                if k == 0:
                    add("monotone", f"{name} never grows: its average is at least its last", float(now.mean()))
                add(label, text, float(right.mean()))
            return out
        if kind == "contraction":
            for label, text, right in rights:
                add(label, text, float(a[0] * np.prod(right / now)))
            return out
        drops = self.series(sympy.Symbol(DIFFERENCES[name]), t)
        if kind == "square recursion":
            add(kind, "1/a_(t+1) - 1/a_t is at least (a_t - a_(t+1))/a_t^2", 1 / (1 / a[0] + float((drops / now**2).sum())))
            for label, text, right in rights:
                add(label, text, 1 / (1 / a[0] + float((right / now**2).sum())))
            what = "1/a_0 + kappa t against kappa t" if not rule.link.lemma else "1/a_0 against kappa"
            what = "1/a_0 is kept: nothing is lost" if rule.link.also else what
            add("start", what, self.at_t(rule.statement.right))
            return out
        for label, text, right in rights:
            add(label, text, 1 / (1 / a[0] + float((right / (now * (now - right))).sum())))
        add(kind, "1 - C a_t against 1 - C a_0", self.at_t(rule.statement.right))
        return out


def _outer(composition: Composition, outer: Stage) -> tuple[sympy.Expr, sympy.Symbol]:
    """The last lemma's right side, and the symbol in it that the chain bounds."""
    before = composition.stages[composition.stages.index(outer) - 1].statement.left
    return lemma_statement(composition.case, outer.link).right, before
