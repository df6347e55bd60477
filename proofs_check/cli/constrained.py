"""`pgtheory solve MODEL --constraint "cost<=0.3"`: the optimum under thresholds, the random policy that attains it, what each threshold is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdps.errors import plural
from proofs_check.cli.models import MOST_ROWS, _short, check_ending, checked_discount, write_arrays
from proofs_check.cli.output import line, print_json, say, table
from proofs_check.cli.robust import _numbers
from proofs_check.files import to_json, write_whole

FREE = 1e-8
"""How far from V* the unconstrained optimum in floats may be."""
BAD_INPUT = 2
"""Exit status where no policy meets the thresholds."""


def solve_constrained_model(
    spec: str, discount: str | None, *, constraints: Sequence[str], costs: Path | None, exact: bool, as_json: bool, out: Path | None
) -> int:
    """Solves MODEL under the constraints and prints it; where nobody can meet them, who is in conflict and what would do."""
    check_ending(out, (".json", ".npz"))
    from mdps.io import load_constrained
    from pgtheory.constrained import InfeasibleError

    model = load_constrained(spec, constraints, checked_discount(discount), costs)
    gamma = str(model.exact.discount) if exact else float(model.discount)
    data: dict[str, Any] = {"model": spec, "states": model.num_states, "actions": model.num_actions, "discount": gamma}
    try:
        data |= _exactly(model) if exact else _in_floats(model)
    except InfeasibleError as error:
        return _refuse(data, error, as_json)
    if out is not None:
        _write(out, data)
    if as_json:
        print_json(data)
        return 0
    _print(model, data, exact)
    if out is not None:
        line(f" written: {out}")
    return 0


def _in_floats(model: Any) -> dict[str, Any]:
    import pgtheory
    from pgtheory.constrained import solve_constrained

    best = solve_constrained(model)
    free = pgtheory.solve(model.mdp, tol=FREE, on_limit="return")
    rows = [
        {"name": n, "direction": d, "threshold": float(b), "value": float(v), "multiplier": float(y), "violation": float(x)}
        for n, d, b, v, y, x in zip(model.names, model.directions, model.thresholds, best.cost_values, best.multipliers, best.violations, strict=True)
    ]
    return {
        "method": "linear program of occupancies (HiGHS)", "value": best.value, "upper": best.upper,
        "unconstrained": float(model.start @ free.values), "constraints": rows, "policy": best.policy, "occupancy": best.occupancy,
    }  # fmt: skip


def _exactly(model: Any) -> dict[str, Any]:
    import pgtheory
    from pgtheory.constrained import check_constrained, multiplier_ranges, solve_constrained_exactly

    best = solve_constrained_exactly(model)
    check_constrained(model, best.certificate)
    free = pgtheory.solve_exactly(model.mdp)
    exact = model.exact
    rows = []
    for i, found in enumerate(multiplier_ranges(model)):
        ends = {key: None if end is None else str(end) for key, end in (("holds_from", found.lowest), ("holds_to", found.highest))}
        rows.append(
            {"name": model.names[i], "direction": model.directions[i], "threshold": str(exact.thresholds[i]), "value": str(best.cost_values[i]),
             "multiplier": str(best.multipliers[i]), "least_multiplier": str(found.least),
             "most_multiplier": None if found.most is None else str(found.most), **ends}
        )  # fmt: skip
    words = {key: np.vectorize(str, otypes=[object])(getattr(best, key)).tolist() for key in ("policy", "occupancy")}
    return {
        "method": "linear program of occupancies in rationals", "certificate": "checked", "value": str(best.value), "upper": str(best.value),
        "unconstrained": str((exact.start * free.values).sum()), "constraints": rows, "extra_actions": best.extra_actions, **words,
    }  # fmt: skip


def _print(model: Any, data: dict[str, Any], exact: bool) -> None:
    mdp, policy, visits = model.mdp, _numbers(data["policy"]), _numbers(data["occupancy"])
    line(f" {data['model']}: {plural(mdp.num_states, 'state')}, {plural(mdp.num_actions, 'action')}, discount {data['discount']}; {data['method']}")
    if exact:
        line(f" V_r(start) = {_short(data['value'], 0)}; primal and dual checked in rationals")
    else:
        line(f" V_r(start) = {data['value']:.10g}; no policy under the thresholds is worth more than {data['upper']:.10g} (by the multipliers)")
    worth, free = (float(_numbers(data[key])) for key in ("value", "unconstrained"))
    lost = f"they cost {free - worth:.6g}" if free - worth > 2 * FREE * (1 + abs(free)) else "they cost nothing"
    line(f" without thresholds it would be {free:.8g}: {lost}")
    line()
    rows = []
    for row in data["constraints"]:
        shown = [_fit(row[key]) if exact else f"{row[key]:.10g}" for key in ("threshold", "value")]
        rows.append((row["name"], row["direction"], *shown, _price(row) if exact else f"{row['multiplier']:.10g}"))
    heading = "multiplier" if not exact else "multiplier (all optimal ones)"
    table(("constraint", "", "threshold", "policy's value", heading), rows, right=(2, 3))
    line()
    names = [mdp.action_names[a] if mdp.action_names else str(a) for a in range(mdp.num_actions)]
    used = visits.sum(axis=1)
    played = [
        (
            mdp.state_names[s] if mdp.state_names else str(s),
            f"{used[s]:.4g}",
            ", ".join(f"{names[a]}" + ("" if policy[s, a] == 1 else f" {_share(data, s, int(a), exact)}") for a in np.flatnonzero(policy[s] > 0)),
        )
        for s in range(min(mdp.num_states, MOST_ROWS))
    ]
    table(("state", "share of visits", "policy"), played, right=(1,), fold=2)
    if mdp.num_states > MOST_ROWS:
        line(f" {mdp.num_states - MOST_ROWS:,} more states: --json, or --out FILE")
    mixed = int(np.sum((policy > 0).sum(axis=1)[used > 0] > 1))
    if mixed:
        line(f" random in {plural(mixed, 'state')}; {plural(model.num_constraints, 'constraint')} may ask for as many actions beyond one a state")


def _share(data: dict[str, Any], state: int, action: int, exact: bool) -> str:
    probability = data["policy"][state][action]
    return _fit(probability) if exact else f"{probability:.4g}"


def _fit(number: str) -> str:
    """A fraction as text where it is short, else its decimal: --json holds the fraction."""
    from mdps.rational import rational
    from pgtheory.constrained.feasibility import figure

    return figure(rational(number))


def _price(row: dict[str, Any]) -> str:
    """'1', '[1, 2]' or '[1, ...)', and how far the threshold may move before it changes."""
    least, most, low, high = (None if row[k] is None else _fit(row[k]) for k in ("least_multiplier", "most_multiplier", "holds_from", "holds_to"))
    if most is None:
        return f"{least} or any larger one: no policy does better than this threshold"
    if row["least_multiplier"] != row["most_multiplier"]:
        return f"{least} to {most}: at a kink"
    if low is None or high is None:
        span = f"for thresholds from {low}" if low is not None else f"for thresholds up to {high}" if high is not None else "for all thresholds"
        return f"{least}, {span}"
    return f"{least}, for thresholds in [{low}, {high}]"


def _refuse(data: dict[str, Any], error: Any, as_json: bool) -> int:
    """What is known about thresholds that nobody can meet; status 2."""
    found = error.infeasibility
    if found is not None and (as_json or found.model.num_constraints > 1):
        exact = found.model.exact
        rows = [
            {
                "name": name, "direction": exact.directions[i], "threshold": str(exact.thresholds[i]), "best": str(found.best[i]),
                "alone": None if found.alone[i] is None else str(found.alone[i]), "relaxation": str(found.relaxation[i]),
                "certificate": str(found.certificate.multipliers[i]),
            }
            for i, name in enumerate(exact.names)
        ]  # fmt: skip
        if as_json:
            known = {"feasible": False, "conflict": found.conflict, "margin": str(found.margin), "common_relaxation": str(found.common)}
            print_json(data | known | {"constraints": rows, "certificate_values": [str(v) for v in found.certificate.values]})
        else:
            shown = [
                (r["name"], r["direction"], *("none" if r[k] is None else _fit(r[k]) for k in ("threshold", "best", "alone", "certificate")))
                for r in rows
            ]
            headings = ("constraint", "", "threshold", "best achievable", "would do if the others stay", "weight in the proof")
            table(headings, shown, right=(2, 3, 4, 5))
            line()
    say(f"pgtheory: {error}")
    return BAD_INPUT


def _write(path: Path, data: dict[str, Any]) -> None:
    if path.suffix.lower() == ".json":
        write_whole(path, to_json(data))
        return
    rows = data["constraints"]
    arrays = {key: _numbers(data[key]) for key in ("policy", "occupancy")}
    arrays |= {key + "s": _numbers([row[key] for row in rows]) for key in ("threshold", "multiplier")}
    write_arrays(path, **arrays, value=_numbers(data["value"]), names=np.array([row["name"] for row in rows]))
