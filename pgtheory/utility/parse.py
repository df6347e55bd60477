"""Utilities by name: as data (`utility_of`, for the instances of the zoo) and as text of the command line (`parse_utility`).

    entropy                     of the law of the states;  entropy:pairs
    smoothed-entropy:0.01       sigma, then inside | both | log, then pairs: smoothed-entropy:0.01,both
    imitation:FILE              squared distance to a policy's occupancy, an occupancy or a law of states;  imitation:FILE,kl | forward-kl | l1
    quadratic:1                 reward minus half the squared length of the occupancy, times the number
    log-sum                     the sum of the logarithms of all visited shares
    worst:FILE  soft-worst:FILE,2  nash:FILE           of several rewards (m, S, A)
    reward                      the model's own reward

Terms are added: reward+0.1*entropy.  FILE is .npy, .npz (entries policy, policies, occupancy, states or rewards), .json or .csv.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError, nearest
from mdps.model import MDP
from mdps.rational import fraction, to_float
from pgtheory.exact.evaluation import occupancy
from pgtheory.utility import objectives, utilities
from pgtheory.utility.base import Utility

Array = np.ndarray
CLASSES: dict[str, type[Utility]] = {
    cls.name: cls
    for cls in (
        utilities.Entropy, utilities.KLDistance, utilities.L1Distance, utilities.Linear, utilities.LogSum, utilities.PowerSum, utilities.Quadratic,
        utilities.SmoothedEntropy, utilities.SquaredDistance, objectives.LogDet, objectives.Nash, objectives.SoftWorst, objectives.Worst,
    )
}  # fmt: skip
TEXTS = ("entropy", "imitation", "log-sum", "nash", "quadratic", "reward", "smoothed-entropy", "soft-worst", "worst")
DISTANCES = ("squared", "kl", "forward-kl", "l1")
EPSILON = 1e-9
"""How far the sum of a law read from a file may be from 1."""


def utility_of(name: str, parameters: Mapping[str, Any]) -> Utility:
    """The utility of that name with its parameters as data; exact numbers stay exact.

    raises   ModelError: an unknown name (lists the nearest), parameters that it does not take
    """
    if name not in CLASSES:
        raise ModelError(f"there is no utility {name!r}.{nearest(name, list(CLASSES)) or ' There are ' + ', '.join(CLASSES) + '.'}")
    try:
        return CLASSES[name](**{key: _exactly(value) for key, value in parameters.items()})
    except TypeError as error:
        raise ModelError(f"utility {name}: {error}") from error


def parse_utility(text: str, mdp: MDP) -> Utility:
    """The utility of a text such as "entropy", "imitation:expert.npz,kl" or "reward+0.1*entropy", for the model.

    raises   ModelError: an unknown name, a missing or wrong parameter, a file that cannot be read or does not fit the model
    """
    terms = [part.strip() for part in text.split("+")]
    if any(not part for part in terms):
        raise ModelError(f"--utility {text!r} has an empty term; write reward+0.1*entropy")
    parts = []
    for term in terms:
        weight, star, rest = term.partition("*")
        if star and ":" not in weight:
            size = _number(weight.strip(), f"the weight of {rest.strip()}")
            parts.append((size, _one(rest.strip(), mdp)))
        else:
            parts.append((1.0, _one(term, mdp)))
    if len(parts) == 1 and parts[0][0] == 1:
        parts[0][1].check((mdp.num_states, mdp.num_actions))
        return parts[0][1]
    return objectives.Sum(tuple(parts), (mdp.num_states, mdp.num_actions))


def _one(text: str, mdp: MDP) -> Utility:
    name, _, rest = text.partition(":")
    options = [part.strip() for part in rest.split(",")] if rest else []
    if name not in TEXTS:
        raise ModelError(f"there is no utility {name!r}.{nearest(name, TEXTS) or ' There are ' + ', '.join(TEXTS) + '.'}")
    model = mdp.float
    if name == "entropy":
        return utilities.Entropy(_over(options, text, "states"))
    if name == "log-sum":
        over = _over(options, text, "pairs")
        return utilities.LogSum(np.where(model.action_mask, 1.0, 0.0) if over == "pairs" else np.ones(model.num_states), over)
    if name == "reward":
        _none(options, text)
        return utilities.Linear(model.rewards)
    if name == "quadratic":
        size = _number(options[0], "the weight of quadratic") if options else 1.0
        return utilities.Quadratic(model.rewards.reshape(-1), size)
    if name == "smoothed-entropy":
        if not options:
            raise ModelError("smoothed-entropy needs its sigma: smoothed-entropy:0.01")
        forms: list[Any] = [o for o in options[1:] if o in ("inside", "both", "log")]
        over = _over([o for o in options[1:] if o not in forms], text, "states")
        return utilities.SmoothedEntropy(_number(options[0], "sigma"), forms[0] if forms else "inside", over)
    if not options:
        raise ModelError(f"{name} needs a file: {name}:FILE.npz")
    if name == "imitation":
        return _imitation(options, model, text)
    rewards = _table(options[0], ("rewards",))
    if rewards.ndim != 3 or rewards.shape[1:] != (model.num_states, model.num_actions):
        raise ModelError(f"{options[0]} holds an array of shape {rewards.shape}; {name} takes rewards (m, {model.num_states}, {model.num_actions})")
    if name == "soft-worst":
        return objectives.SoftWorst(rewards, beta=_number(options[1], "beta") if len(options) > 1 else 1.0)
    _none(options[1:], text)
    return objectives.Worst(rewards) if name == "worst" else objectives.Nash(rewards)


def _imitation(options: list[str], model: MDP, text: str) -> Utility:
    kind = options[1] if len(options) > 1 else "squared"
    if kind not in DISTANCES or len(options) > 2:
        raise ModelError(f"{text}: the distance is one of {', '.join(DISTANCES)}.{nearest(kind, DISTANCES)}")
    table = _table(options[0], ("occupancy", "policy", "policies", "states"))
    table = table[-1] if table.ndim == 3 else table
    shape = (model.num_states, model.num_actions)
    over: Any = "pairs"
    if table.shape == shape[:1] and abs(table.sum() - 1) <= EPSILON:
        over = "states"
    elif table.shape == shape and np.all(np.abs(table.sum(axis=1) - 1) <= EPSILON):
        table = occupancy(model, table)
    elif table.shape != shape or abs(table.sum() - 1) > EPSILON or np.any(table < 0):
        raise ModelError(
            f"{options[0]} holds an array of shape {table.shape} with sum {table.sum():.6g}; imitation takes a policy {shape} whose rows sum to 1, "
            f"an occupancy {shape} or a law of the states ({shape[0]},) with sum 1"
        )
    if kind == "squared":
        return utilities.SquaredDistance(table, over)
    return utilities.L1Distance(table, over) if kind == "l1" else utilities.KLDistance(table, over, forward=kind == "forward-kl")


def _table(name: str, keys: tuple[str, ...]) -> Array:
    """The array that a file holds; of an .npz the first of these entries."""
    path = Path(name)
    try:
        if path.suffix == ".npy":
            found = np.load(path, allow_pickle=False)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                key = next((k for k in keys if k in held), None)
                if key is None:
                    raise ModelError(f"{name} has the entries {', '.join(held)}; one of {', '.join(keys)} is wanted")
                found = held[key]
        elif path.suffix == ".json":
            data = json.loads(path.read_text(encoding="utf-8"), parse_float=str)
            if isinstance(data, dict):
                key = next((k for k in keys if k in data), None)
                if key is None:
                    raise ModelError(f"{name} has the entries {', '.join(data)}; one of {', '.join(keys)} is wanted")
                data = data[key]
            found = to_float(np.array(data, dtype=object)).astype(float)
        elif path.suffix == ".csv":
            found = np.loadtxt(path, delimiter=",", ndmin=1)
        else:
            raise ModelError(f"{name}: the ending must be .npy, .npz, .json or .csv")
    except ModelError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{name}: there is no such file") from error
    except OSError as error:
        raise ModelError(f"{name}: {'this is a folder' if path.is_dir() else error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{name} could not be read: {error}") from error
    table = np.asarray(found, dtype=float)
    if not np.all(np.isfinite(table)):
        raise ModelError(f"{name} holds numbers that are not finite")
    return table


def _over(options: list[str], text: str, default: str) -> Any:
    if not options:
        return default
    if options[0] not in ("states", "pairs") or len(options) > 1:
        raise ModelError(f"{text}: {options[0]!r} is neither states nor pairs")
    return options[0]


def _none(options: list[str], text: str) -> None:
    if options:
        raise ModelError(f"{text}: {', '.join(options)} is too much; this utility takes no more")


def _number(text: str, what: str) -> float:
    if not re.fullmatch(r"[-+0-9./eE]+", text):
        raise ModelError(f"{what} is {text!r}; write a number such as 0.1 or 1/10")
    size = float(fraction(text))
    if not math.isfinite(size):
        raise ModelError(f"{what} is {text!r}; it must be finite")
    return size


def _exactly(value: Any) -> Any:
    """Nested tuples of numbers as arrays of rationals; single numbers and words as they are."""
    from mdps.rational import rational_array

    if isinstance(value, tuple | list):
        return rational_array(np.array(value, dtype=object))
    return value
