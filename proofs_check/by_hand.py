"""Complete exact instances written down number by number: the named hard cases that a claim's bounds and controls rest on.

A claim about matrices, laws or plans and no decision process has the domain `ALONE` with its arrays as extras; `alone` writes its instances."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from mdps.rational import rational_array
from proofs_check.domains import random_mdps
from proofs_check.instance import Instance

ALONE = random_mdps(policy="any", mu="any", rho="mu", max_states=1, max_actions=1, max_discount=Fraction(0))
"""One state, one action, discount 0: an instance is its extras."""


def by_hand(
    name: str,
    model: str | None = None,
    *,
    transitions: Any = None,
    rewards: Any = None,
    discount: Any = None,
    mu: Any = None,
    policy: Any = None,
    other: Any = None,
    settings: dict[str, Any] | None = None,
    extras: dict[str, Any] | None = None,
) -> Instance:
    """An instance of a zoo model ("loop(9/10)") or of the given arrays; numbers are integers, fractions or text such as "9/10".

    mu and the policy are uniform where left out; rho is mu.  Raises ModelError: no valid model, or rows that are no distributions."""
    data: dict[str, Any] = {}
    if model is not None:
        from mdps import zoo

        exact = zoo.load(model).exact
        data |= {"transitions": exact.transitions.tolist(), "rewards": exact.rewards.tolist(), "discount": exact.discount}
    given = {"transitions": transitions, "rewards": rewards, "discount": discount, "other": other}
    data |= {field: value for field, value in given.items() if value is not None}
    states, actions = np.shape(rational_array(data["rewards"]))
    data["mu"] = data["rho"] = [f"1/{states}"] * states if mu is None else mu
    data["policy"] = [[f"1/{actions}"] * actions] * states if policy is None else policy
    return Instance.from_json({"name": name, **data, "settings": settings or {}, "extras": extras or {}})


def alone(name: str, extras: dict[str, Any], settings: dict[str, Any] | None = None, discount: Any = 0) -> Instance:
    """An instance of `ALONE`; a discount other than 0 for claims that use the number."""
    return by_hand(name, transitions=[[[1]]], rewards=[[0]], discount=discount, extras=extras, settings=settings)
