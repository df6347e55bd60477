"""What a verification says: verdicts, the evidence behind each, and the run that holds them.  Plain data: `as_dict` gives JSON.

proved      the symbolic derivation was checked for all instances of the class that `scope` names
certified   rational or ball arithmetic confirmed it on each of `certified` instances, and the search found nothing against it
supported   float64 with a stated tolerance over `instances` instances up to step `horizon`; or, where something is sampled, not refuted by a test
            whose level and power `statistics` states
refuted     `counterexample` violates it, confirmed in rational or ball arithmetic; where something is sampled, at the level stated
surviving   a conjecture that the same work found nothing against; nobody has proved it, and it is not said to hold
vacuous     holds, but the bound never fell below the trivial one
undecided   no evidence either way, or numerically unreliable evidence: `evidence` says why
"""

from __future__ import annotations

import dataclasses
from typing import Any

PROVED, CERTIFIED, SUPPORTED, SURVIVING = "proved", "certified", "supported", "surviving"
REFUTED, VACUOUS, UNDECIDED = "refuted", "vacuous", "undecided"
VERDICTS = (PROVED, CERTIFIED, SUPPORTED, SURVIVING, VACUOUS, UNDECIDED, REFUTED)
HOLDS = (PROVED, CERTIFIED, SUPPORTED)


@dataclasses.dataclass(frozen=True)
class FormVerdict:
    """Evidence about one form of a claim, or about one of its negative controls."""

    claim: str
    form: str
    kind: str  # "statement" or "control"
    statement: str
    verdict: str
    tightness: float | None = None
    instances: int = 0
    certified: int = 0
    trivial: int = 0
    horizon: int = 0
    scope: str = ""
    evidence: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    worst: dict[str, Any] | None = None
    curve: dict[str, Any] | None = None
    slack: dict[str, Any] | None = None  # the chain of lemmas: what composing them gives, and each link's factor on the worst instance
    counterexample: dict[str, Any] | None = None
    statistics: dict[str, Any] | None = None  # of a statement about something sampled: levels, replications, what would have been seen, intervals
    because: str = ""
    applies: bool = True  # with --instance: whether the model meets the assumptions; if not, nothing was run
    seconds: float = 0.0
    seed: int = 0
    budget: str = ""

    @property
    def expected(self) -> bool:
        """A control must be refuted; a statement must not be."""
        return (self.verdict == REFUTED) == (self.kind == "control")


@dataclasses.dataclass(frozen=True)
class ClaimVerdict:
    """One claim: its forms, its negative controls, and the verdict that they add up to."""

    id: str
    title: str
    family: str
    source: dict[str, str]
    forms: list[FormVerdict]
    controls: list[FormVerdict]
    hash: str = ""
    departs: str = ""
    uses: list[str] = dataclasses.field(default_factory=list)
    assumptions: list[dict[str, str]] = dataclasses.field(default_factory=list)
    not_met: list[str] = dataclasses.field(default_factory=list)  # with --instance: why the claim does not apply

    @property
    def verdict(self) -> str:
        """The weakest verdict among the forms that apply: refuted, undecided, vacuous, surviving, supported, certified, proved."""
        order = (REFUTED, UNDECIDED, VACUOUS, SURVIVING, SUPPORTED, CERTIFIED, PROVED)
        return min((form.verdict for form in self.forms if form.applies), key=order.index, default=UNDECIDED)

    @property
    def tightness(self) -> float | None:
        """Measured/bound (bound/measured where the claim bounds from below) of the first form that has such a figure: the theorem itself."""
        return next((form.tightness for form in self.forms if form.tightness is not None), None)

    @property
    def instances(self) -> int:
        return sum(form.instances for form in self.forms)

    @property
    def expected(self) -> bool:
        """No form refuted, every control refuted."""
        return all(form.expected for form in (*self.forms, *self.controls))


@dataclasses.dataclass(frozen=True)
class Run:
    """All verdicts of one call, with what is needed to repeat it."""

    verdicts: list[ClaimVerdict]
    seed: int
    budget: str
    seconds: float
    command: str
    version: str
    sources: str  # digest of the compiled sources
    started: str

    @property
    def expected(self) -> bool:
        return all(verdict.expected for verdict in self.verdicts)


def as_dict(value: Any) -> dict[str, Any]:
    """A verdict or a run as plain data for JSON, derived figures (verdict, tightness, expected) included."""
    if isinstance(value, Run):
        extra: dict[str, Any] = {"expected": value.expected, "verdicts": [as_dict(v) for v in value.verdicts]}
    elif isinstance(value, ClaimVerdict):
        extra = {key: getattr(value, key) for key in ("verdict", "tightness", "instances", "expected")}
        extra |= {"forms": [as_dict(f) for f in value.forms], "controls": [as_dict(f) for f in value.controls]}
    else:
        extra = {"expected": value.expected}
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: extra[name] if name in extra else _copied(field) for name, field in fields.items()} | extra


def _copied(value: Any) -> Any:
    """A copy of nested dictionaries and lists; what they hold is never changed."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value


def form_verdict(data: dict[str, Any]) -> FormVerdict:
    """The verdict that `as_dict` wrote."""
    names = {field.name for field in dataclasses.fields(FormVerdict)}
    return FormVerdict(**{key: value for key, value in data.items() if key in names})
