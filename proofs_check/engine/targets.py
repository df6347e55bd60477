"""Which claims a call means: ids, families, "id:form", files, `Claim` objects; and the changes that a call makes to them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import sympy

from mdps.errors import ModelError
from proofs_check.claim import Claim
from proofs_check.engine.claim_files import checked, claims_of_file
from proofs_check.engine.measure import ROLES
from proofs_check.statistics.claims import SampledClaim


def resolve(targets: Iterable[Any] | Any | None, sampled: bool = False) -> list[tuple[Any, str | None]]:
    """Claims with the form that was asked for (None: all); `sampled` ones among them only where that is said.

    raises  ModelError: an unknown name, nothing named, or a sampled claim where only exact ones can be judged"""
    from proofs_check.catalogue import all_claims, claims, get_claim, unknown

    known = all_claims() if sampled else claims()
    if targets is None:
        return [(claim, None) for claim in known.values()]
    if isinstance(targets, str | Claim | pathlib.Path):
        targets = [targets]
    out: list[tuple[Claim, str | None]] = []
    families = {claim.family for claim in known.values()}
    for target in targets:
        if isinstance(target, Claim):
            out.append((target, None))
        elif isinstance(target, SampledClaim):
            out.append((_if(sampled, target), None))
        elif isinstance(target, pathlib.Path) or str(target).endswith(".py"):
            out.extend((_if(sampled, claim), None) for claim in claims_of_file(pathlib.Path(target)))
        elif target in families:
            out.extend((claim, None) for claim in known.values() if claim.family == target)
        else:
            identifier, _, form = str(target).partition(":")
            if identifier not in all_claims():
                raise unknown(identifier, families=True)
            out.append((_if(sampled, get_claim(identifier)), form or None))
    if not out:
        raise ModelError("nothing to verify: no claim was named")
    return out


def _if(sampled: bool, claim: Any) -> Any:
    if isinstance(claim, SampledClaim) and not sampled:
        raise ModelError(f"{claim.id} is about a sampled quantity: `pgtheory verify {claim.id}` judges it, on its own instances and as it is written")
    return claim


def changed(claim: Any, form: str | None, bound: str | None, settings: dict[str, Any] | None, method: Any) -> Any:
    """The claim with another bound, other settings or another method, or reduced to one form: without its controls then."""
    if isinstance(claim, SampledClaim):
        _if(bound is None and not settings and method is None, claim)
        return claim if form is None else dataclasses.replace(claim, forms=(claim.form(form),), negative_controls=())
    if isinstance(method, type) and hasattr(method, "run_arrays"):  # one of ours: its fields are the claim's settings
        roles = {role: name for name, role in ROLES.items()}
        method = method(**{field.name: sympy.Symbol(roles[field.name]) for field in dataclasses.fields(method) if field.name in roles})
    if bound is not None or settings or method is not None:
        if method is not None and bound is None and not settings and form is None:
            forms = tuple(dataclasses.replace(f, process=method) for f in claim.forms if claim.case(f).process is not None)
            if not forms:
                raise ModelError(f"{claim.id} has no method to replace: it is no statement about a run")
            return dataclasses.replace(claim, statement=None, forms=forms, negative_controls=())
        return checked(claim.replace(form=form, bound=bound, settings=settings, process=method))
    if form is not None:
        return dataclasses.replace(claim, statement=None, forms=(claim.form(form),), negative_controls=())
    return claim
