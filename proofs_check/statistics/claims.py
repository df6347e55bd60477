"""Statements about an expectation or a probability of something sampled, as data.

    E[X] <= B,   E[X] >= B,   E[X] = B          for the replications X that a sampler draws on an instance, entry by entry where X is a vector

The left side is a `Sampler`: how one independent, bounded replication is drawn, and what it is known to lie in.  The right side is an expression
over exact quantities, as in any other claim: what can be computed is never sampled.  The instances are fixed in the claim before anything is drawn.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import sympy

from mdps.errors import nearest, plural
from mdps.rational import rational, rational_array
from pgtheory.sources import digest_of, judges, zoo_modules
from proofs_check import expression
from proofs_check.claim import Source
from proofs_check.expression import ExpressionError
from proofs_check.instance import Instance
from proofs_check.quantities import defining_modules, latex_names, parse, quantity

Array = np.ndarray
SIGN = {"<=": r"\le", ">=": r"\ge", "=": "="}


@dataclasses.dataclass(frozen=True)
class Sampler:
    """Something sampled: a name, its LaTeX, its meaning with units, and how it is drawn.

    draw     (float instance, generator, count) -> (count, K) independent replications; 0 and 1 for an event
    limits   float instance -> (low, high), numbers or (K,): what every replication lies in, proved and not estimated
    event    whether it is an event, so that its expectation is a probability
    """

    name: str
    latex: str
    meaning: str
    draw: Callable[[Instance, np.random.Generator, int], Array]
    limits: Callable[[Instance], tuple[Any, Any]]
    event: bool = False


@dataclasses.dataclass(frozen=True)
class Expected:
    """The statement E[sampler] relation bound (P[...] for an event)."""

    sampler: Sampler
    relation: str
    right: sympy.Expr

    def __post_init__(self) -> None:
        if self.relation not in SIGN:
            raise ExpressionError(f"{self.relation!r}: a statement about an expectation uses <=, >= or =")
        right = parse(self.right) if isinstance(self.right, str) else expression.check_exact(self.right)
        object.__setattr__(self, "right", right)
        for name in self.names():
            quantity(name)

    def names(self) -> set[str]:
        """Names of the exact quantities in the bound."""
        return {symbol.name for symbol in self.right.free_symbols}

    def text(self) -> str:
        """'E[squared_error] <= ...'."""
        return f"{'P' if self.sampler.event else 'E'}[{self.sampler.name}] {self.relation} {expression.text(self.right)}"

    def latex(self) -> str:
        """LaTeX of the statement."""
        letter = r"\mathbb{P}" if self.sampler.event else r"\mathbb{E}"
        return rf"{letter}\left[{self.sampler.latex}\right] {SIGN[self.relation]} {expression.latex(self.right, latex_names())}"

    def mathml(self) -> str:
        """Presentation MathML."""
        from proofs_check.mathml import from_latex

        return from_latex(self.latex())


@dataclasses.dataclass(frozen=True)
class At:
    """An instance as data: a zoo expression, or transitions, rewards and discount; the policy's rows (one row serves every state); settings."""

    model: str = ""
    policy: Any = "uniform"
    settings: tuple[tuple[str, Any], ...] | dict[str, Any] = ()
    transitions: Any = None
    rewards: Any = None
    discount: Any = 0

    def text(self) -> str:
        """'arms([1, 0]), eta = 1'."""
        name = self.model or f"{plural(len(self.transitions), 'state')}, gamma {self.discount}"
        return ", ".join([name, *(f"{key} = {value}" for key, value in dict(self.settings).items())])

    def instance(self) -> Instance:
        """The exact instance; start distributions are the model's own (uniform where the model is written out)."""
        from mdps import zoo
        from mdps.model import MDP

        made = zoo.load(self.model) if self.model else MDP(rational_array(self.transitions), rational_array(self.rewards), rational(self.discount))
        exact = made.exact
        shape = (exact.num_states, exact.num_actions)
        rows = [f"1/{shape[1]}"] * shape[1] if self.policy == "uniform" else self.policy
        policy = np.broadcast_to(rational_array(rows), shape).copy()
        settings = {str(key): rational(value) for key, value in dict(self.settings).items()}
        return Instance(exact.transitions, exact.rewards, exact.discount, exact.start, exact.start, policy, settings=settings, name=self.text())


@dataclasses.dataclass(frozen=True)
class SampledForm:
    """One statement with its instances (the claim's where None).

    resolution   what the test must be able to see before it may say `supported`: for <= and >= the relative excess over the bound that is seen with
                 probability 0.9; for = the largest half width of the intervals, in parts of the range
    """

    name: str
    statement: Expected | None = None
    instances: tuple[At, ...] | None = None
    resolution: float | None = None
    departs: str = ""


@dataclasses.dataclass(frozen=True)
class SampledControl(SampledForm):
    """A false form with the reason why it is false."""

    because: str = ""


@dataclasses.dataclass(frozen=True)
class SampledCase:
    """A form with everything filled in: what the statistical engine works on."""

    claim: str
    name: str
    kind: str  # "statement" or "control"
    statement: Expected
    instances: tuple[At, ...]
    resolution: float
    because: str = ""

    def canonical(self) -> str:
        """The content that evidence depends on, as text."""
        places = [repr(dataclasses.astuple(at)) for at in self.instances]
        return repr((self.claim, self.name, self.kind, self.statement.text(), places, self.resolution))

    def digest(self) -> str:
        """Digest of the content and of the sources that draw and judge it."""
        draw = self.statement.sampler.draw
        modules = ("proofs_check.statistics.examination", *zoo_modules(), draw.__module__, *sorted(defining_modules(self.statement.names())))
        sources = digest_of(modules, judges(), without=("proofs_check.catalogue", "proofs_check.quantities"))
        return hashlib.sha256(f"{sources} {self.canonical()}".encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class SampledClaim:
    """A claim about sampled quantities.  Its forms, controls and cases are read like those of any other claim."""

    id: str
    title: str
    forms: tuple[SampledForm, ...] | list[SampledForm]
    instances: tuple[At, ...] = ()
    source: Source = dataclasses.field(default_factory=lambda: Source("unpublished"))
    negative_controls: tuple[SampledControl, ...] | list[SampledControl] = ()
    resolution: float = 1.0
    uses: tuple[str, ...] | list[str] = ()
    departs: str = ""
    family: str = "sampled"
    kind: str = "upper"

    def __post_init__(self) -> None:
        if not self.forms:
            raise ExpressionError(f"claim {self.id!r} needs forms")
        names = [form.name for form in (*self.forms, *self.negative_controls)]
        if len(set(names)) < len(names):
            raise ExpressionError(f"claim {self.id!r} has two forms or controls of the same name: {names}")
        for field in ("forms", "negative_controls", "uses"):
            object.__setattr__(self, field, tuple(getattr(self, field)))

    @property
    def controls(self) -> tuple[SampledControl, ...]:
        return tuple(self.negative_controls)  # type: ignore[arg-type]

    @property
    def chain(self) -> dict[str, tuple[Any, ...]]:
        """No rules compose lemmas about samples."""
        return {}

    def form(self, name: str) -> SampledForm:
        """The form of that name; raises ExpressionError with the known ones."""
        for form in self.forms:
            if form.name == name:
                return form
        known = [form.name for form in self.forms]
        raise ExpressionError(f"claim {self.id!r} has no form {name!r}; it has {', '.join(known)}.{nearest(name, known)}")

    def case(self, form: SampledForm) -> SampledCase:
        """The form with everything that it leaves out filled in from the claim."""
        statement = form.statement if form.statement is not None else self.forms[0].statement
        instances = form.instances if form.instances is not None else self.instances
        if statement is None or not instances:
            raise ExpressionError(f"claim {self.id!r}, form {form.name!r} needs a statement and an instance")
        kind = "control" if isinstance(form, SampledControl) else "statement"
        resolution = self.resolution if form.resolution is None else form.resolution
        return SampledCase(self.id, form.name, kind, statement, tuple(instances), resolution, getattr(form, "because", ""))

    def cases(self) -> list[SampledCase]:
        """All forms, then all controls."""
        return [self.case(form) for form in (*self.forms, *self.controls)]
