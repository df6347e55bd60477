"""What the tests of this floor share: a tiny budget, random exact instances, one instance before the quantities in all three arithmetics, and the
figures of a named instance."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np

from mdps.rational import fraction, rational
from pgtheory import arithmetic
from proofs_check.claim import Claim
from proofs_check.domains import Domain
from proofs_check.engine.budget import Budget
from proofs_check.engine.shrink import rounded_instance
from proofs_check.instance import Batch, Instance, exact_context, float_context
from proofs_check.quantities import quantity

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


# Figures of an instance without a run


def settled(instance: Instance, **settings: object) -> Instance:
    """The instance with other settings."""
    return dataclasses.replace(instance, settings={**instance.settings, **{name: rational(value) for name, value in settings.items()}})


def exact(instance: Instance, name: str) -> list[Fraction]:
    """The entries of a quantity, in rationals."""
    context = exact_context(instance, "rational", np.zeros(1, dtype=np.int64), instance.policy[None], pairs=False)
    return [Fraction(fraction(x)) for x in quantity(name).code(context).reshape(-1)]


def ball(instance: Instance, name: str) -> list[float]:
    """The midpoints of a quantity in balls of 128 bits, whose radii are far below what the tests allow."""
    with arithmetic.precision(128):
        policies = arithmetic.balls(instance.policy)[None]
        values = quantity(name).code(exact_context(instance, "ball", np.zeros(1, dtype=np.int64), policies, pairs=False)).reshape(-1)
        assert max(float(x.rad()) for x in values) < 1e-9
        return [float(x.mid()) for x in values]


def floats(instance: Instance, name: str, **settings: float) -> np.ndarray:
    """The entries of a quantity in float64, with settings that need not be rational."""
    plain = instance.as_float()
    batch = Batch.of([dataclasses.replace(plain, settings={**plain.settings, **settings})])
    context = float_context(batch, np.zeros(1, dtype=np.int64), batch.policy[:, None], pairs=False)
    return np.asarray(quantity(name).code(context), dtype=float).reshape(-1)
