"""Searches the certificates that a claim's class needs, and stores them.

    python -m proofs_check.engine.find_certificates ID FORM S A CHART

Run by hand when a class is added to the catalogue; verification only checks what is stored.
"""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

from proofs_check.claim import Case
from proofs_check.engine import charts, multipliers
from proofs_check.engine.sums_of_squares import STORE, as_data, digest, normal, search, stored, weights

MOST_TERMS = 600
"""Polynomials of more terms are left alone: the semidefinite program would take hours."""


def find(case: Case, states: int, actions: int, chart: str = "rewards", discount: Any = None, rounds: int = 60) -> list[str]:
    """Certificates for what is missing in the proof over that class, stored as they are found; what they are about."""
    found: list[str] = []
    for _ in range(rounds):
        missing: list[Any] = []
        ended = charts.prove_everywhere(case, states, actions, chart, discount, missing=missing)
        if ended.proved or not missing:
            return found
        polynomial, conditions, region = missing[0]
        about = f"{case.claim}:{case.name} over {charts.scope(case, states, actions, chart, discount)}"
        name = digest(polynomial)
        data = json.loads(STORE.read_text()) if STORE.exists() else {}
        entry = data.get(name, {"about": about})
        chosen = multipliers.search(polynomial, conditions, region) if conditions else None
        if chosen is not None:
            fresh = {key: str(q) for key, q in chosen.items()}
            if fresh in entry.get("multipliers", []):
                return found
            entry["multipliers"] = [*entry.get("multipliers", []), fresh]
        else:
            squares = _first(normal(polynomial), region) if len(polynomial.to_dict()) <= MOST_TERMS and "squares" not in entry else None
            if squares is None:
                return found
            entry |= as_data(squares, about)
        data[name] = entry
        STORE.write_text(json.dumps(dict(sorted(data.items())), indent=1) + "\n")
        stored.cache_clear()
        found.append(about)
    return found


def _first(polynomial: Any, region: Any) -> Any:
    """The certificate with the fewest weights: none, then one, then products of two."""
    used = _variables(polynomial, region)
    names = [name for name, weight in weights(region).items() if name != "1" and _variables(weight, region) <= used]
    singles = [("1",), *((name,) for name in names)]
    for products in ([("1",)], singles, [*singles, *itertools.combinations(names, 2)]):
        squares = search(polynomial, region, products)
        if squares is not None:
            return squares
    return None


def _variables(polynomial: Any, region: Any) -> set[str]:
    return {name for name, degree in zip(region.ring.names(), polynomial.degrees(), strict=True) if degree}


def main() -> None:
    from proofs_check.catalogue import get_claim

    parser = argparse.ArgumentParser(description="Searches and stores the certificates of a claim's class.")
    for word in ("id", "form", "states", "actions"):
        parser.add_argument(word, type=int if word in ("states", "actions") else str)
    parser.add_argument("chart", nargs="?", default="rewards", choices=charts.CHARTS)
    parser.add_argument("--discount", default=None)
    given = parser.parse_args()
    claim = get_claim(given.id)
    case = claim.case(claim.form(given.form))
    for about in find(case, given.states, given.actions, given.chart, given.discount):
        print("stored a certificate:", about)
    print(charts.prove_everywhere(case, given.states, given.actions, given.chart, given.discount))


if __name__ == "__main__":
    main()
