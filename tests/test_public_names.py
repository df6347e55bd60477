"""The public names of the three packages, one to a line in tests/data/public_names.txt: a name that comes or goes is a decision.

`python -m tests.test_public_names` writes the file again.
"""

from __future__ import annotations

import importlib
import pathlib
import types

KEPT = pathlib.Path(__file__).parent / "data" / "public_names.txt"


def public_names() -> list[str]:
    """package.name for every public name, and for those of the packages and modules among them."""
    found: set[str] = set()
    for package in ("mdps", "pgtheory", "proofs_check"):
        module = importlib.import_module(package)
        for name in module.__all__:
            found.add(f"{package}.{name}")
            value = getattr(module, name)
            if isinstance(value, types.ModuleType):
                found |= {f"{package}.{name}.{inner}" for inner in getattr(value, "__all__", ())}
    return sorted(found)


def test_public_names_are_those_that_were_decided():
    kept, now = set(KEPT.read_text().split()), set(public_names())
    assert sorted(now - kept) == [], "new public names: python -m tests.test_public_names, if they are meant"
    assert sorted(kept - now) == [], "public names are gone: somebody may use them"


if __name__ == "__main__":
    KEPT.write_text("\n".join(public_names()) + "\n")
