"""The instances of a sweep: models by name or file, random models, bandits whose rewards are drawn.

chain(5), zoo:chain(5), gym:FrozenLake-v1, my.json     what MODEL means to every command
garnet(20, 3, branching=5, seed=1), dirichlet(4, 2), ...   `mdps.random`, with seed 0 (and 5 successors, or all) unless told
bernoulli(1/2, 1/3), signs(1/4, 0)                      bandits that pay 1 or 0, 1 or -1, with these means
"""

from __future__ import annotations

import inspect
from fractions import Fraction
from typing import Any

from mdps.errors import ModelError, nearest
from mdps.model import MDP

RANDOM = ("garnet", "dirichlet", "deterministic", "rational", "bandit", "birth_death", "grid", "hard")
BANDITS = ("bernoulli", "signs")
BRANCHING = 5
"""Successors of a pair of a Garnet, where the text does not say."""


def instance_of(text: str, discount: str | None) -> Any:
    """The MDP or `pgtheory.sampling.Bandit` that a text names.

    raises   ModelError: no such file or name (the nearest ones), arguments that do not fit, a discount for a bandit"""
    from mdps.io import load_model
    from mdps.zoo.registry import names, normal

    spec = text[4:].strip() if text.lower().startswith("zoo:") else text
    head = normal(spec.partition("(")[0])
    if "(" in spec and head in BANDITS:
        return _bandit(spec, head, discount)
    if "(" in spec and head in RANDOM:
        return _random(spec, head, discount)
    if "(" in spec and head not in names() and not spec.lower().startswith("gym:"):
        others = [*names(), *RANDOM, *BANDITS]
        raise ModelError(f"instance {text!r}: there is no model of that name.{nearest(head, others)}")
    try:
        return load_model(spec, discount=discount)
    except ModelError as error:
        raise ModelError(f"instance {text!r}: {error}") from None


def _bandit(spec: str, head: str, discount: str | None) -> Any:
    from mdps.zoo.registry import arguments, number
    from pgtheory.sampling import Bandit

    if discount is not None:
        raise ModelError(f"instance {spec!r}: a bandit has no discount")
    given, named = arguments(spec)
    if named or not given:
        raise ModelError(f"instance {spec!r}: give the means of the arms, such as {head}(1/2, 1/3)")
    means = [float(number(mean, f"mean {k} of {spec}")) for k, mean in enumerate(given)]
    least = 0 if head == "bernoulli" else -1
    for arm, mean in enumerate(means):
        if not least <= mean <= 1:
            raise ModelError(f"instance {spec!r}: arm {arm} has the mean {mean:g}; it must lie in [{least}, 1]")
    return getattr(Bandit, head)(means)


def _random(spec: str, head: str, discount: str | None) -> MDP:
    from mdps import random
    from mdps.zoo.registry import arguments, number

    given, named = arguments(spec)
    make = getattr(random, head)
    signature = inspect.signature(make)
    values = {key: float(value) if isinstance(value, Fraction) and head != "rational" else value for key, value in named.items()}
    if discount is not None and "discount" in signature.parameters:
        values["discount"] = discount if head == "rational" else float(number(discount, "discount"))
    try:
        bound = signature.bind_partial(*given, **values)
        if head == "garnet" and "num_states" in bound.arguments:
            bound.arguments.setdefault("branching", min(BRANCHING, bound.arguments["num_states"]))
        bound.arguments.setdefault("seed", 0)
        arguments_of = signature.bind(**bound.arguments)
        return make(*arguments_of.args, **arguments_of.kwargs)
    except TypeError as error:
        parameters = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}" for p in signature.parameters.values())
        raise ModelError(f"instance {spec!r}: {error}; it is {head}({parameters})") from None
    except ModelError as error:
        raise ModelError(f"instance {spec!r}: {error}") from None
