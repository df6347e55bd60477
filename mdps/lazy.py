"""Names of a package that load their module when they are first used, so that importing the package costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def lazily(package: str, home: Mapping[str, str], modules: Collection[str] = ()) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """(`__getattr__`, `__dir__`) for the `__init__` of `package`.

    home     public name -> its module: "program" inside the package, or "pgtheory.run" anywhere
    modules  modules of the package that are public themselves
    """

    def get(name: str) -> Any:
        if name in home:
            place = home[name]
            value = getattr(importlib.import_module(place if "." in place else f"{package}.{place}"), name)
        elif name in modules or name in home.values():
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        vars(sys.modules[package])[name] = value
        return value

    def names() -> list[str]:
        return sorted({*home, *modules})

    return get, names
