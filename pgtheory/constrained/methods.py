"""The methods under constraints by their names, for the command line and for tests that put every one of them through the same."""

from __future__ import annotations

from mdps.errors import ModelError, nearest
from pgtheory.constrained.crpo import CRPO
from pgtheory.constrained.descent_ascent import DescentAscent
from pgtheory.constrained.dual_descent import DualDescent
from pgtheory.constrained.maximum_entropy import CausalEntropyDual
from pgtheory.constrained.optimistic import OptimisticDescentAscent
from pgtheory.constrained.penalty import PenaltyNPG
from pgtheory.constrained.primal_dual import NPGPrimalDual
from pgtheory.constrained.regularised import RegularisedPrimalDual
from pgtheory.constrained.runs import ConstrainedMethod

METHODS: dict[str, type[ConstrainedMethod]] = {
    method.name: method
    for method in (
        NPGPrimalDual,
        CRPO,
        DualDescent,
        DescentAscent,
        OptimisticDescentAscent,
        RegularisedPrimalDual,
        PenaltyNPG,
        CausalEntropyDual,
    )
}


def method_named(name: str) -> type[ConstrainedMethod]:
    """The class of a method; raises ModelError with the nearest known names."""
    if name not in METHODS:
        raise ModelError(f"there is no method {name!r} under constraints.{nearest(name, list(METHODS)) or ' There are ' + ', '.join(METHODS) + '.'}")
    return METHODS[name]
