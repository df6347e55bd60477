"""Every argument of a public function is explained: in its docstring, in its module's, or in the table of the reference page."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import re
import sys
import types

REFERENCE = pathlib.Path(__file__).parent.parent / "docs" / "reference.md"
OURS = ("mdps", "pgtheory", "proofs_check")
LETTERS = "mdps.zoo"
"""An instance is headed by its expression, BLIND(x,g): its arguments are those letters."""
KEPT: dict[str, set[str]] = {
    "pgtheory.arithmetic.project_simplex": {"rows"},
    "pgtheory.sampling.bandits.replicate": {"bandit"},
    "pgtheory.online.linear.linear_fit": {"task"},
    "proofs_check.domains.snapped": {"coordinates", "scale"},
    "proofs_check.domains.floored": {"coordinates", "scale"},
    "proofs_check.quantities.registry.temporary": {"added"},
    "mdps.strategies.bandits": {"max_arms", "min_arms"},
    "mdps.strategies.accept.<locals>.constrained_mdps": {"max_constraints", "ragged"},
}
"""Known gaps; a name leaves this list and never joins it."""


def common() -> set[str]:
    """The arguments in the first column of the reference page's table."""
    rows = [line.split("|")[1] for line in REFERENCE.read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def public_functions() -> dict[str, types.FunctionType]:
    """module.name -> function, for all that the packages list, and for the functions of modules among them."""
    found: dict[str, types.FunctionType] = {}

    def add(value: object) -> None:
        home = getattr(value, "__module__", None) or ""
        if inspect.isfunction(value) and home.partition(".")[0] in OURS:
            found.setdefault(f"{home}.{value.__qualname__}", value)

    for package in OURS:
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            for inner in getattr(value, "__all__", ()) if isinstance(value, types.ModuleType) else ():
                add(getattr(value, inner))
            add(value)
    return found


def unexplained(function: types.FunctionType, known: set[str]) -> set[str]:
    text = f"{inspect.getdoc(function) or ''} {sys.modules[function.__module__].__doc__ or ''}"
    return {name for name in inspect.signature(function).parameters if name not in known and not re.search(rf"\b{re.escape(name)}\b", text)}


def test_the_table_of_the_reference_page_is_read():
    assert {"mdp", "policy", "discount", "step_size", "seed", "on_limit", "ax"} <= common()


def test_every_argument_is_explained():
    known = common() | {"args", "kwargs"}
    missing = {name: unexplained(function, known) for name, function in public_functions().items() if not name.startswith(LETTERS)}
    assert {name: gaps - KEPT.get(name, set()) for name, gaps in missing.items() if gaps - KEPT.get(name, set())} == {}


def test_a_gap_that_is_closed_leaves_the_list():
    functions, known = public_functions(), common()
    closed = {name: gaps - unexplained(functions[name], known) for name, gaps in KEPT.items() if name in functions}
    assert not any(closed.values()), closed


def test_every_public_function_says_what_it_does():
    assert [name for name, function in public_functions().items() if not (inspect.getdoc(function) or "").strip()] == []
