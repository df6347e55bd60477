"""`pgtheory solve MODEL --answer EPSILON,LAMBDA`: rewards that fall by epsilon for each unit of what is done, with lambda / 2 |d|^2 taken off.

What is stable under repeated optimisation, beside what is best when the answer is foreseen (`pgtheory.performative`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import ModelError
from proofs_check.cli.models import MOST_ROWS, check_ending, checked_discount, number_in, write_arrays
from proofs_check.cli.output import line, print_json, table
from proofs_check.cli.runs import _described
from proofs_check.cli.utility import _law
from proofs_check.files import to_json, write_whole

ROUNDS = 2000
"""Rounds of retraining at most: enough for a factor of 0.98 and 16 digits."""
HOPELESS = 200
"""Rounds where no factor below 1 is known: it settles soon or never."""
SETTLED = 1e-12
"""Relative change of the occupancy at which retraining has settled."""


def _read(answer: str) -> tuple[float, float]:
    parts = answer.split(",")
    if len(parts) != 2:
        raise ModelError(f"--answer {answer!r} is not EPSILON,LAMBDA: how much a reward falls for each unit of what is done, and the regulariser")
    strength, weight = (float(number_in(part, "--answer")) for part in parts)
    if strength < 0 or weight <= 0:
        raise ModelError(f"--answer {answer}: epsilon must not be negative and lambda must be positive")
    return strength, weight


def _objective(mdp: Any, d: np.ndarray, strength: float, weight: float) -> float:
    return float((d * np.asarray(mdp.float.rewards)).sum() - (strength + weight / 2) * (d * d).sum())


def solve_answering_model(spec: str, discount: str | None, *, answer: str, as_json: bool, out: Path | None) -> int:
    """The stable and the optimal policy of a model whose rewards answer; 0, or 1 where retraining has not settled."""
    from mdps.io import load_model
    from pgtheory.performative import contraction_factor, linear_response, performative_optimum, policy_of, repeated_optimisation

    check_ending(out, (".json", ".npz"))
    strength, weight = _read(answer)
    mdp = load_model(spec, discount=checked_discount(discount))
    model = linear_response(mdp, strength)
    factor = contraction_factor(model, weight)
    rounds = HOPELESS if factor >= 1 else min(ROUNDS, 2 + math.ceil(math.log(SETTLED) / math.log(max(factor, 1e-3))))
    path = repeated_optimisation(model, weight, rounds)
    settled = bool(path.changes[-1] <= SETTLED)
    last, best = path.occupancies[-1], np.maximum(performative_optimum(mdp, strength, weight), 0.0)
    data = {
        "model": spec, "answer": strength, "regulariser": weight, "factor": factor, "settled": settled, "rounds": rounds,
        "last_change": float(path.changes[-1]), "stable_objective": _objective(mdp, last, strength, weight),
        "optimal_objective": _objective(mdp, best, strength, weight), "last_occupancy": last, "optimal_occupancy": best,
        "last_policy": policy_of(last), "optimal_policy": policy_of(best),
    }  # fmt: skip
    if out is not None and out.suffix.lower() == ".json":
        write_whole(out, to_json(data))
    elif out is not None:
        write_arrays(out, **{key: np.asarray(data[key]) for key in ("last_occupancy", "optimal_occupancy", "last_policy", "optimal_policy")})
    if as_json:
        print_json(data)
        return 0 if settled else 1
    line(f" {_described(spec, mdp)}; rewards fall by {strength:g} for each unit of what is done, regulariser {weight:g}")
    promise = "below 1: repeated optimisation converges" if factor < 1 else "not below 1: nothing is promised"
    line(f" contraction factor {factor:.4g}, {promise}")
    moves = "stable" if settled else "NOT settled"
    line(f" {moves} after {rounds:,} rounds (last relative change {path.changes[-1]:.1e}): objective {data['stable_objective']:.8g}")
    line(f" optimal when the answer is foreseen: objective {data['optimal_objective']:.8g}")
    line()
    rows = []
    for s in range(min(mdp.num_states, MOST_ROWS)):
        name = mdp.state_names[s] if mdp.state_names else s
        rows.append((str(name), *(_law(mdp, policy_of(d)[s]) for d in (last, best))))
    table(("state", "retrained policy", "optimal policy"), rows, fold=1)
    if mdp.num_states > MOST_ROWS:
        line(f" {mdp.num_states - MOST_ROWS:,} more states: --json, or --out FILE")
    if out is not None:
        line(f" written: {out}")
    return 0 if settled else 1
