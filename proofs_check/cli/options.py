"""Options that commands share, and the values that they take; loaded with every command, so it loads nothing but typer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Budget(StrEnum):
    """How long a search may take."""

    quick = "quick"
    standard = "standard"
    deep = "deep"


class Bench(StrEnum):
    """What can be measured."""

    policy_gradient = "policy-gradient"
    solvers = "solvers"
    robust = "robust"
    sampling = "sampling"


class Direction(StrEnum):
    """Which policy."""

    max = "max"
    min = "min"


class Rectangular(StrEnum):
    """How nature's budget is shared out."""

    sa = "sa"
    s = "s"


class SolveMethod(StrEnum):
    """Ways to solve a model."""

    auto = "auto"
    policy = "policy"
    value = "value"
    modified = "modified"
    gauss_seidel = "gauss-seidel"
    krylov = "krylov"
    anderson = "anderson"
    linear = "linear"


class RiskOf(StrEnum):
    """What a risk measure rates."""

    step = "step"
    ret = "return"


def known_ids(incomplete: str) -> list[str]:
    from proofs_check.cli.listing import ids

    return [name for name in ids() if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of a table.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A zoo instance such as 'frozen_lake(8)', gym:ID, or a file.")]
Discount = Annotated[str | None, typer.Option("--discount", metavar="NUMBER", help="Replaces the model's own: 0.99 or 99/100.")]
