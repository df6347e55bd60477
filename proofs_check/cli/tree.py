"""`pgtheory claims tree ID`: the lemmas that a claim rests on, each with its newest verdict from the store, and what composing them gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdps.errors import ModelError
from proofs_check.cli.output import COLOURS, is_terminal, line, print_json

UNKNOWN = "not verified yet"


def print_tree(claim_id: str, store: Path | None, as_json: bool) -> None:
    """The graph of `uses` below one claim as a tree; a lemma that was shown already is named only."""
    from proofs_check.catalogue import check_named

    check_named(claim_id)
    data = branch(claim_id, verdicts(store), set())
    if as_json:
        print_json(data)
    elif is_terminal():
        from rich.console import Console

        Console(highlight=False).print(_rich(data))
    else:
        _plain(data, "", "")


def verdicts(store: Path | None) -> dict[str, str]:
    """ "claim:form" -> its newest verdict; none where there is no store yet."""
    from proofs_check.catalogue import claims
    from proofs_check.store import DEFAULT_PATH, Store

    path = Path(store if store is not None else DEFAULT_PATH)
    if not path.exists():
        if store is not None:
            raise ModelError(f"there is no evidence store {path}")
        return {}
    with Store(path) as evidence:
        return {f"{name}:{entry['form']}": entry["payload"].get("verdict", "") for name in claims() for entry in evidence.history(name)}


def branch(claim_id: str, known: dict[str, str], above: set[str]) -> dict[str, Any]:
    """One claim with its forms, what its chains give, and the claims it uses."""
    from proofs_check.catalogue import get_claim
    from proofs_check.composition import CompositionError, compose_case

    claim = get_claim(claim_id)
    shown = claim_id in above
    above.add(claim_id)
    data: dict[str, Any] = {"id": claim_id, "title": claim.title, "shown": shown, "forms": [], "uses": []}
    if shown:
        return data
    for form in claim.forms:
        entry: dict[str, Any] = {"form": form.name, "verdict": known.get(f"{claim_id}:{form.name}", UNKNOWN), "statement": form.statement.text()}
        if form.name in claim.chain:
            try:
                entry["composition"] = compose_case(claim.case(form)).text()
            except CompositionError as error:
                entry["composition"] = f"fails: {error}"
        data["forms"].append(entry)
    data["uses"] = [branch(other, known, above) for other in claim.uses]
    return data


def _forms(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(form, verdict, what composing its lemmas gives)."""
    return [(entry["form"], entry["verdict"], entry.get("composition", "")) for entry in data["forms"]]


def _plain(data: dict[str, Any], first: str, rest: str) -> None:
    line(f"{first}{data['id']}{'  (above)' if data['shown'] else ''}")
    below = len(data["uses"])
    bar = "|   " if below else "    "
    for form, verdict, composition in _forms(data):
        line(f"{rest}{bar}{form}: {verdict}")
        if composition:
            line(f"{rest}{bar}    {composition}")
    for k, other in enumerate(data["uses"]):
        last = k == below - 1
        _plain(other, f"{rest}{'`-- ' if last else '|-- '}", f"{rest}{'    ' if last else '|   '}")


def _rich(data: dict[str, Any], tree: Any = None) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    label = Text(data["id"], style="bold")
    if data["shown"]:
        label.append("  (above)", style="dim")
    for form, verdict, composition in _forms(data):
        label.append(f"\n{form}: ", style="not bold")
        label.append(verdict, style=f"not bold {COLOURS.get(verdict, 'bright_black')}")
        if composition:
            label.append(f"\n  {composition}", style="not bold dim")
    node = Tree(label) if tree is None else tree.add(label)
    for other in data["uses"]:
        _rich(other, node)
    return node
