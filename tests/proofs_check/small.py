"""What the tests of this floor share: a tiny budget, random exact instances, and one instance before the quantities in all three arithmetics."""

from __future__ import annotations

import dataclasses

import numpy as np

from mdps.rational import rational
from pgtheory import arithmetic
from proofs_check.claim import Claim
from proofs_check.domains import Domain
from proofs_check.engine.budget import Budget
from proofs_check.engine.shrink import rounded_instance
from proofs_check.instance import Batch, Instance, exact_context, float_context

TINY = Budget("tiny", 16, 2, (120, 60, 30), 4, 3, 4)
"""Seconds for one form: two generations of sixteen instances, at most four state-action pairs, four certified steps."""
ANYTHING = Domain(policy="interior", other="any", mu="positive", rho="any", max_discount=rational("9/10"))
SETTINGS = {"eta": "1/5", "tau": "1/2"}


def random_instances(seed: int, states: int, actions: int, count: int = 1, domain: Domain = ANYTHING, denominator: int = 12) -> list[Instance]:
    """Exact instances with numbers of few digits, drawn as the search draws them."""
    rng = np.random.default_rng(seed)
    batch = domain.decode(0.7 * rng.standard_normal((count, domain.length(states, actions, 0))), states, actions, {})
    settings = {name: rational(text) for name, text in SETTINGS.items()}
    return [dataclasses.replace(rounded_instance(batch[k], denominator), settings=settings) for k in range(count)]


def random_policies(seed: int, records: int, states: int, actions: int, denominator: int = 30) -> np.ndarray:
    """(R, S, A) exact policies with no probability 0."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, denominator, (records, states, actions))
    out = np.empty(counts.shape, dtype=object)
    for index in np.ndindex(counts.shape[:2]):
        out[index] = [rational(f"{k}/{counts[index].sum()}") for k in counts[index].tolist()]
    return out


def contexts(
    instance: Instance, policies: np.ndarray, *, pairs: bool = False, kinds: tuple[str, ...] = ("float", "rational", "ball")
) -> dict[str, object]:
    """The instance with the records `policies` (at the steps 0, 1, ...) in each arithmetic; balls at the present precision."""
    from mdps.rational import to_float

    times = np.arange(len(policies))
    out: dict[str, object] = {}
    if "float" in kinds:
        out["float"] = float_context(Batch.of([instance.as_float()]), times, to_float(policies)[None], pairs=pairs)
    if "rational" in kinds:
        out["rational"] = exact_context(instance, "rational", times, policies, pairs=pairs)
    if "ball" in kinds:
        out["ball"] = exact_context(instance, "ball", times, arithmetic.balls(policies), pairs=pairs)
    return out


def claim(statement: object, **fields: object) -> Claim:
    """A claim of one form, "main"."""
    return Claim(**{"id": "test-claim", "title": "test", "domain": Domain(max_states=3, max_actions=3), "statement": statement, **fields})


def the_case(made: Claim):
    return made.case(made.forms[0])
