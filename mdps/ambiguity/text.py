"""Ambiguity sets in words: `l1:0.2`, `kl:1/10`, `l1:0.2,support=nominal`, `l1:0.2+reward-box:0.1`.

    l1 tv l2 linf kl chi2 contamination     balls of kernels with this radius
    wasserstein                             cost |i - j| of moving a unit from state i to state j; `cost=discrete`: 1 wherever i != j
    entropic                                KLPenalty with this beta
    reward-box, reward-ball                 sets of rewards

Numbers are read exactly: 0.2 is 1/5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mdps.ambiguity.balls import KL, L1, L2, Chi2, Contamination, Linf, TotalVariation, Wasserstein
from mdps.ambiguity.others import KLPenalty, RewardBall, RewardBox
from mdps.errors import ModelError, nearest
from mdps.rational import rational

BALLS: dict[str, Any] = {"l1": L1, "tv": TotalVariation, "l2": L2, "linf": Linf, "contamination": Contamination, "kl": KL, "chi2": Chi2}
OTHERS: dict[str, Any] = {"wasserstein": Wasserstein, "entropic": KLPenalty, "reward-box": RewardBox, "reward-ball": RewardBall}
FORM = "KIND:RADIUS, such as l1:0.2 or kl:1/10,support=nominal"


def read_ambiguity(text: str, num_states: int, rectangular: str = "sa") -> Any:
    """The set of a text such as "l1:0.2", or a tuple of two for "l1:0.2+reward-box:0.1".

    num_states    of the model it is for (the cost of wasserstein)
    rectangular   "sa" or "s", for the kinds that know both
    raises        ModelError: unknown kind (lists the nearest), no radius, radius out of range, unknown option
    """
    parts = tuple(_one(part.strip(), num_states, rectangular) for part in text.split("+"))
    return parts[0] if len(parts) == 1 else parts


def _one(text: str, num_states: int, rectangular: str) -> Any:
    kind, colon, rest = text.partition(":")
    kind = kind.strip().lower()
    known = [*BALLS, *OTHERS]
    if kind not in known:
        raise ModelError(f"{text!r}: there is no ambiguity set {kind!r}; there are {', '.join(known)}.{nearest(kind, known)}")
    size, *extra = (word.strip() for word in rest.split(","))
    if not colon or not size:
        raise ModelError(f"{text!r} has no radius; write {FORM}")
    try:
        radius = rational(size)
    except ModelError as error:
        raise ModelError(f"{text!r}: the radius {size!r} is no number; write {FORM}") from error
    options: dict[str, Any] = {}
    for word in extra:
        key, equals, value = word.partition("=")
        allowed = {"wasserstein": ("support", "cost")}.get(kind, ("support",) if kind in BALLS else ())
        if not equals or key.strip() not in allowed:
            raise ModelError(f"{text!r}: {word!r} is no option of {kind}; it has {', '.join(f'{k}=' for k in allowed) or 'none'}")
        options[key.strip()] = value.strip()
    if kind == "wasserstein":
        options["cost"] = _cost(options.pop("cost", "line"), num_states, text)
    if kind in BALLS or kind == "wasserstein":
        return (BALLS | OTHERS)[kind](radius, rectangular=rectangular, **options)
    only = {"reward-ball": "s"}.get(kind, "sa")
    if rectangular == "s" and only == "sa" and kind == "entropic":
        raise ModelError("entropic is (s, a)-rectangular; leave --rectangular out")
    return OTHERS[kind](radius)


def _cost(word: str, num_states: int, text: str) -> Any:
    place = np.arange(num_states)
    apart = np.abs(place[:, None] - place[None, :])
    if word not in ("line", "discrete"):
        raise ModelError(f"{text!r}: cost={word} is unknown; it is cost=line (|i - j|) or cost=discrete (1 where i != j)")
    return apart.astype(float) if word == "line" else (apart > 0).astype(float)
