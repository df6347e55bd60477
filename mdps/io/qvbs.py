"""Explicit models of the Quantitative Verification Benchmark Set in compact .npz form.

Arrays: state_ptr (S + 1) first choice of each state, choice_ptr (C + 1) first transition of each choice, col successor, val_idx index into the
table of distinct probabilities prob_num / prob_den (exact), init the initial states, psi_<property> and phi_<property> packed bits (reach psi
while staying in phi), rew_<name> the reward of each choice.  A file `reference.json` beside it says what each property asks and its
published value.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError
from mdps.io.files import in_file, read_arrays, read_text, refuse
from mdps.model import MDP
from mdps.rational import rational
from mdps.rows import SparseRows
from mdps.total_reward import Labelled, Objective

Array = np.ndarray
ARRAYS = ("state_ptr", "choice_ptr", "col", "val_idx", "prob_num", "prob_den", "init")


def read_qvbs(path: str | Path, *, exact: bool = True, reference: str | Path | None = None) -> Labelled:
    """The labelled model in an .npz of the benchmark set, with the objectives of its reference.

    exact       keep the probabilities as fractions (`mdp.exact` is lossless); False saves memory on large models
    reference   the JSON file that describes the properties; `reference.json` in the same folder if left out (none there: no objectives)
    """
    arrays = read_arrays(path, ARRAYS)
    model = in_file(path, lambda: _model(arrays, Path(path).stem, exact))
    labels = {key: _bits(arrays[key], model.num_states, path, key) for key in arrays if key.startswith(("psi_", "phi_"))}
    rewards = {key[4:]: arrays[key] for key in arrays if key.startswith("rew_")}
    described = Path(reference) if reference is not None else Path(path).parent / "reference.json"
    objectives = _objectives(described, Path(path).stem, labels) if reference is not None or described.exists() else {}
    return in_file(path, lambda: Labelled(model, labels, rewards, objectives))


def _model(arrays: dict[str, Array], name: str, exact: bool) -> MDP:
    first_pair, indptr, successors, which = (arrays[key] for key in ARRAYS[:4])
    num_states, num_pairs = first_pair.size - 1, indptr.size - 1
    if successors.shape != which.shape or first_pair.ndim != 1 or int(first_pair[-1]) != num_pairs:
        raise ModelError(
            f"state_ptr ends at {first_pair[-1]}, choice_ptr has {num_pairs} choices, col {successors.size} and val_idx {which.size} entries"
        )
    if arrays["prob_num"].shape != arrays["prob_den"].shape or (which.size and int(which.max()) >= arrays["prob_num"].size):
        raise ModelError(f"val_idx goes up to {which.max()}; the table has {arrays['prob_num'].size} probabilities")
    start = np.zeros(num_states)
    init = arrays["init"].astype(np.int64)
    if init.size == 0 or init.min() < 0 or init.max() >= num_states:
        raise ModelError(f"init is {init.tolist()}; it must list at least one of the {num_states} states")
    start[init] = 1 / init.size
    if exact:
        table = np.empty(arrays["prob_num"].size, dtype=object)
        table[:] = [rational(Fraction(int(n), int(d))) for n, d in zip(arrays["prob_num"], arrays["prob_den"], strict=True)]
        choices: Any = SparseRows(indptr, successors, table[which], (num_pairs, num_states))
    else:
        from scipy.sparse import csr_array

        table = arrays["prob_num"] / arrays["prob_den"]
        choices = csr_array((table[which], successors, indptr), shape=(num_pairs, num_states))
    return MDP.from_choices(first_pair, choices, np.zeros(num_pairs), 0.0, start, name=name)


def _bits(packed: Array, count: int, path: str | Path, key: str) -> Array:
    bits = np.unpackbits(packed)
    if not count <= bits.size < count + 8:
        refuse(path, None, f"{key} has {bits.size} bits for {count} states")
    return bits[:count].astype(bool)


def _objectives(path: Path, name: str, labels: dict[str, Array]) -> dict[str, Objective]:
    try:
        described = json.loads(read_text(path)).get(name, {}).get("properties", {})
    except (json.JSONDecodeError, AttributeError) as error:
        refuse(path, None, f"this is no description of properties ({error})")
    objectives = {}
    for key, item in described.items():
        if f"psi_{key}" not in labels:
            refuse(path, None, f"{name} has no states psi_{key}")
        total = "total reward" in item["kind"]
        through = None if total else labels.get(f"phi_{key}")
        direction = "min" if re.match("min", item["direction"]) else "max"
        value = _published(item.get("published"))
        kind = "total reward" if total else "reachability"
        objectives[key] = Objective(kind, direction, labels[f"psi_{key}"], through, item.get("reward"), value)
    return objectives


def _published(value: Any) -> Fraction | float | None:
    """A published figure: exact where it is a whole number or given as a fraction; true is probability 1."""
    if isinstance(value, dict):
        return Fraction(value["num"], value["den"])
    if value is None or isinstance(value, float):
        return value
    return Fraction(int(value))
