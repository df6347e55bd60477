"""The catalogue: one module a family, one short block a claim.  `claims()` loads all, `index()` lists them without loading anything heavy."""

from __future__ import annotations

import functools
import importlib
import json
import pathlib
from typing import TYPE_CHECKING, Any

from mdps.errors import ModelError, nearest

if TYPE_CHECKING:
    from proofs_check.claim import Claim
    from proofs_check.statistics.claims import SampledClaim

MODULES = (
    "gradient_theorem",
    "softmax",
    "natural_pg",
    "policy_iteration",
    "lemmas",
    "planning",
    "surrogates",
    "landscape",
    "projected",
    "worst_state",
    "softmax_variants",
    "regularised_softmax",
    "mirror_descent",
    "mirror_learning",
    "equivalences",
    "operators",
    "structured",
    "regulators",
    "control",
    "side_mechanisms",
    "performative",
    "submodular",
    "bellman_errors",
    "estimators",
    "risk_measures",
    "risk_control",
    "risk_stages",
    "risk_descent",
    "risk_gradients",
    "robust",
    "ambiguity",
    "robust_methods",
    "constrained",
    "saddle",
    "constrained_methods",
    "utilities",
    "objectives",
    "sampled_gradients",
    "path_estimators",
    "committal",
    "gap_weighting",
    "regret",
    "games_learning",
    "corrected_gradients",
    "sampling_schemes",
    "lower_bounds",
    "temporal",
    "recursions",
    "noisy_games",
    "exploration",
    "concentration",
    "experiments",
    "adaptation",
    "sampled",
    "conjectures",
)
INDEX = pathlib.Path(__file__).with_name("index.json")
MOST_NEAR = 5
"""Names that the error about an unknown one offers."""


@functools.cache
def claims() -> dict[str, Claim]:
    """All claims by id, in the order of the catalogue; a claim's family is its module ("mirror-descent")."""
    from proofs_check.claim import Claim

    found: dict[str, Claim] = {}
    for module in MODULES:
        for value in vars(importlib.import_module(f"proofs_check.catalogue.{module}")).values():
            if isinstance(value, Claim):
                if value.id in found:
                    raise ValueError(f"two claims have the id {value.id!r}")
                object.__setattr__(value, "family", module.replace("_", "-"))
                found[value.id] = value
    return found


@functools.cache
def sampled_claims() -> dict[str, SampledClaim]:
    """The claims about expectations and probabilities of sampled quantities, by id: judged statistically, by an engine of their own."""
    from proofs_check.statistics.claims import SampledClaim

    found = vars(importlib.import_module("proofs_check.catalogue.sampled")).values()
    return {value.id: value for value in found if isinstance(value, SampledClaim)}


def all_claims() -> dict[str, Any]:
    """The exact claims, then the sampled ones."""
    return {**claims(), **sampled_claims()}


def get_claim(identifier: str) -> Any:
    """The claim of that id, exact or sampled; raises ModelError naming the nearest ones."""
    known = all_claims()
    if identifier not in known:
        raise unknown(identifier)
    return known[identifier]


@functools.cache
def index() -> list[dict[str, Any]]:
    """Id, title, family, source, forms and controls of every claim, read from a generated file so that listing loads no mathematics."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


def check_named(identifier: str, families: bool = False) -> None:
    """ModelError where the index has no claim (or family, where those will do) of that name: said without the catalogue, which takes seconds."""
    if not any(identifier == entry["id"] or (families and identifier == entry["family"]) for entry in index()):
        raise unknown(identifier, families)


def unknown(identifier: str, families: bool = False) -> ModelError:
    """The error about a name that no claim has; it offers those that hold it, then those that are spelt nearly so."""
    ids, groups = [entry["id"] for entry in index()], {entry["family"] for entry in index()}
    if identifier in groups and not families:
        return ModelError(f"there is no claim {identifier!r}; it is a family: `pgtheory claims list {identifier}` lists its claims")
    names = [*ids, *sorted(groups - set(ids))] if families else ids
    holding = sorted((name for name in names if identifier and identifier.lower() in name.lower()), key=lambda name: not name.startswith(identifier))
    if len(holding) > 1:
        more = f" and {len(holding) - MOST_NEAR} more" if len(holding) > MOST_NEAR else ""
        near = f" It stands in {', '.join(holding[:MOST_NEAR])}{more}."
    else:
        near = nearest(identifier, names) if not holding else f" Did you mean {holding[0]}?"
    return ModelError(f"there is no claim{' or family' if families else ''} {identifier!r}.{near} `pgtheory claims` lists all")


def build_index() -> list[dict[str, Any]]:
    """What `index.json` must hold: a test compares them, `pgtheory claims --rebuild-index` writes it."""
    return [
        {
            "id": claim.id,
            "title": claim.title,
            "family": claim.family,
            "source": claim.source.text or claim.source.key,
            "where": claim.source.where,
            "forms": [form.name for form in claim.forms],
            "controls": [control.name for control in claim.controls],
        }
        for claim in all_claims().values()
    ]
