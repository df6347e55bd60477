"""A claim as data: source, domain, process, statement, the lemmas it uses, and the negative controls that must fail.

A claim has one or more *forms* (as printed, as derived, a corollary): a form overrides what differs from the claim.  A *control* is a form
that is false, with the reason.  `Claim.cases` resolves them into `Case`s, each a complete job for the engine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from typing import Any

from mdps.errors import nearest
from pgtheory.sources import digest_of, judges, zoo_modules
from proofs_check import expression
from proofs_check.bibliography import CITATIONS
from proofs_check.domains import Domain
from proofs_check.expression import ExpressionError
from proofs_check.quantities import parse
from proofs_check.statement import Statement

FORM_FIELDS = ("domain", "process", "settings", "trivial", "where", "horizon", "symbolic", "boxes", "polynomial", "instances")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a claim is printed: a key of the bibliography, the place, and the version that has it there."""

    key: str
    where: str = ""
    version: str = ""
    text: str = ""  # the citation in words; filled in for the keys of the bibliography

    def __post_init__(self) -> None:
        if not self.text:
            object.__setattr__(self, "text", CITATIONS.get(self.key, ""))


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of a claim; whatever is None is the claim's.

    trivial   a bound that holds anyway: an instance whose bound never falls below it is no evidence
    where     comparisons "a < b" (pairs of expressions) under which the statement speaks
    horizon   number of steps that the search and the exact instances run instead of the budget's; long certified runs go on
    """

    name: str
    statement: Any
    domain: Domain | None = None
    process: Any = None
    settings: dict[Any, Any] | None = None
    trivial: Any = None
    where: tuple[tuple[Any, Any], ...] | None = None
    horizon: int | None = None
    symbolic: tuple[tuple[int, int], ...] | None = None
    boxes: tuple[tuple[int, int, Any], ...] | None = None  # (S, A, discount): proved by branch and bound over all instances of that class
    polynomial: tuple[tuple[Any, ...], ...] | None = None  # (S, A, chart) or (S, A, chart, discount): proved over that class (`engine.charts`)
    instances: tuple[Any, ...] | None = None
    departs: str = ""


@dataclasses.dataclass(frozen=True)
class Control(Form):
    """A false form with the reason why it is false; `statement=None` keeps the claim's statement."""

    statement: Any = None
    because: str = ""


@dataclasses.dataclass(frozen=True)
class Case:
    """A form with everything filled in: what the engine works on."""

    claim: str
    name: str
    kind: str  # "statement" or "control"
    statement: Statement
    domain: Domain
    process: Any
    settings: dict[str, Any]
    trivial: Any
    where: tuple[tuple[Any, Any], ...]
    horizon: int | None
    symbolic: tuple[tuple[int, int], ...]
    instances: tuple[Any, ...]
    because: str = ""
    chain: tuple[Any, ...] = ()
    boxes: tuple[tuple[int, int, Any], ...] = ()
    polynomial: tuple[tuple[Any, ...], ...] = ()
    conjecture: bool = False

    def canonical(self) -> str:
        """The content that evidence depends on, as text; titles and prose do not count."""
        settings = {name: str(rule) for name, rule in self.settings.items()}
        where = [(str(a), str(b)) for a, b in self.where]
        process = (self.process, _source_of(self.process), "conjecture" if self.conjecture else "")
        parts = (self.claim, self.name, self.kind, self.statement.text(), self.domain, process, settings, self.trivial, where)
        instances = [i if isinstance(i, str) else repr(i.to_json()) for i in self.instances]
        return repr((*parts, self.horizon, self.symbolic, self.boxes, self.polynomial, instances))

    def digest(self) -> str:
        """Digest of the content and of the sources that measure and judge it: the engine, its own quantities, its own method; made once."""
        if "_digest" in self.__dict__:
            return self.__dict__["_digest"]
        from proofs_check.quantities import defining_modules

        method = [] if self.process is None else [(self.process if inspect.isclass(self.process) else type(self.process)).__module__]
        modules = (*ENGINE, *sorted({*defining_modules(self.names()), *method}))
        sources = digest_of(modules, judges(), without=("proofs_check.catalogue", "proofs_check.quantities"))
        self.__dict__["_digest"] = hashlib.sha256(f"{sources} {self.canonical()}".encode()).hexdigest()[:16]
        return self.__dict__["_digest"]

    def names(self) -> frozenset[str]:
        """Names of the quantities in the statement, its trivial bound and its conditions; the search asks for them with every batch."""
        if "_names" not in self.__dict__:
            trees = [self.statement.left, self.statement.right, *(side for pair in self.where for side in pair)]
            trees += [] if self.trivial is None else [self.trivial]
            self.__dict__["_names"] = frozenset(symbol.name for tree in trees for symbol in tree.free_symbols)
        return self.__dict__["_names"]


ENGINE = ("proofs_check.engine.examination", *zoo_modules())
"""What every verdict depends on, with all that it imports, and the named models, which are loaded by their text."""


def _source_of(process: Any) -> str:
    """The text of somebody else's method, so that a change of it asks for new evidence; ours are in the digest of the compiled sources."""
    made = process if inspect.isclass(process) or inspect.isfunction(process) else type(process)
    if process is None or made.__module__.startswith("pgtheory."):
        return ""
    try:
        return inspect.getsource(made)
    except (OSError, TypeError):
        return ""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A theorem as data.  `statement` alone makes one form named "main"; `forms` gives several."""

    id: str
    title: str
    domain: Domain
    statement: Any = None
    source: Source = Source("unpublished")
    process: Any = None
    settings: dict[Any, Any] = dataclasses.field(default_factory=dict)
    forms: tuple[Form, ...] | list[Form] = ()
    negative_controls: tuple[Control, ...] | list[Control] = ()
    uses: tuple[str, ...] | list[str] = ()
    departs: str = ""
    trivial: Any = None
    where: tuple[tuple[Any, Any], ...] = ()
    horizon: int | None = None
    symbolic: tuple[tuple[int, int], ...] = ()
    boxes: tuple[tuple[int, int, Any], ...] = ()
    polynomial: tuple[tuple[Any, ...], ...] = ()
    instances: tuple[Any, ...] = ()
    family: str = "your own"
    kind: str = "upper"  # upper, lower, equal; or conjecture: searched like any other, and at best "surviving"
    chain: dict[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    """Form -> the rules that make it of lemmas (`proofs_check.composition`); no part of what evidence depends on."""

    def __post_init__(self) -> None:
        if (self.statement is None) == (not self.forms):
            raise ExpressionError(f"claim {self.id!r} needs either a statement or forms")
        forms = [Form("main", self.statement), *()] if self.statement is not None else list(self.forms)
        forms = [dataclasses.replace(form, statement=Statement.of(form.statement)) for form in forms]
        controls = [dataclasses.replace(c, statement=None if c.statement is None else Statement.of(c.statement)) for c in self.negative_controls]
        names = [form.name for form in (*forms, *controls)]
        if len(set(names)) < len(names):
            raise ExpressionError(f"claim {self.id!r} has two forms or controls of the same name: {names}")
        settings = {str(key): rule for key, rule in self.settings.items()}
        for field, value in (("forms", tuple(forms)), ("negative_controls", tuple(controls)), ("settings", settings), ("uses", tuple(self.uses))):
            object.__setattr__(self, field, value)

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(self.negative_controls)

    def form(self, name: str) -> Form:
        """The form of that name; raises ExpressionError with the known ones."""
        for form in self.forms:
            if form.name == name:
                return form
        known = [form.name for form in self.forms]
        raise ExpressionError(f"claim {self.id!r} has no form {name!r}; it has {', '.join(known)}.{nearest(name, known)}")

    def case(self, form: Form) -> Case:
        """The form with everything that it leaves out filled in from the claim."""
        filled = {field: getattr(self, field) if getattr(form, field) is None else getattr(form, field) for field in FORM_FIELDS}
        filled["settings"] = {str(key): rule for key, rule in filled["settings"].items()}
        filled["where"] = tuple((_expression(a), _expression(b)) for a, b in filled["where"])
        if filled["domain"].policy == "default":
            filled["domain"] = filled["domain"].replace(policy="interior" if filled["process"] is None else "uniform")
        kind = "control" if isinstance(form, Control) else "statement"
        statement = form.statement if form.statement is not None else self.forms[0].statement
        because = getattr(form, "because", "")
        if filled["trivial"] is not None:
            filled["trivial"] = _expression(filled["trivial"])
        chain, conjecture = tuple(self.chain.get(form.name, ())), self.kind == "conjecture" and kind == "statement"
        return Case(self.id, form.name, kind, statement, because=because, chain=chain, conjecture=conjecture, **filled)

    def cases(self) -> list[Case]:
        """All forms, then all controls; filled in once."""
        if "_cases" not in self.__dict__:
            self.__dict__["_cases"] = [self.case(form) for form in (*self.forms, *self.controls)]
        return list(self.__dict__["_cases"])

    def replace(self, *, form: str | None = None, bound: Any = None, settings: dict[str, Any] | None = None, process: Any = None) -> Claim:
        """A copy of one form (the first by default) with another bound, settings or process, and without controls."""
        chosen = self.form(form) if form else self.forms[0]
        if bound is not None:
            chosen = dataclasses.replace(chosen, statement=chosen.statement.replace_bound(bound))
        case = self.case(chosen)
        rules = dict(case.settings)
        for name, rule in (settings or {}).items():
            if name not in rules:
                raise ExpressionError(f"{self.id} has no setting {name!r}; it has {', '.join(rules) or 'none'}.{nearest(name, list(rules))}")
            rules[name] = rule
        chosen = dataclasses.replace(chosen, settings=rules, process=process if process is not None else case.process)
        return dataclasses.replace(self, statement=None, forms=(chosen,), negative_controls=())


def _expression(value: Any) -> Any:
    return parse(value) if isinstance(value, str) else expression.check_exact(value)
