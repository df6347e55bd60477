"""The reference: every public name of a package with its signature and docstring; a name without a docstring fails the build.

    ```{public} pgtheory
    ```

Docstrings here are laid out by hand (shapes, units, errors in aligned columns), so all but their first paragraph is shown as it is written.
"""

from __future__ import annotations

import importlib
import inspect
import types
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class PublicDirective(SphinxDirective):
    """All of `__all__` of the module in the argument, and the public functions of the modules among them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        self.seen: set[str] = set()
        lines: list[str] = []
        for name in sorted(package.__all__, key=lambda name: isinstance(_value(package, name), types.ModuleType)):
            value = _value(package, name)
            if isinstance(value, types.ModuleType):
                lines += ["", f".. rubric:: {value.__name__}", "", self._documented(value).splitlines()[0].replace("`", "``"), ""]
                lines += [line for member in _members(value) for line in self._entry(value, member)]
            else:
                lines += self._entry(package, name)
        return self.parse_text_to_nodes("\n".join(["````{eval-rst}", *lines, "````"]))

    def _entry(self, module: types.ModuleType, name: str) -> list[str]:
        """One object, the first time that it comes; of another library's, only the name."""
        value = _value(module, name)
        home = getattr(value, "__module__", None) or module.__name__
        if home.partition(".")[0] not in OURS:
            return [f"``{module.__name__}.{name}`` is that of {home.partition('.')[0]}.", ""]
        if f"{home}.{name}" in self.seen:
            return []
        self.seen.add(f"{home}.{name}")
        where = f"{module.__name__}.{name}"
        self._documented(value)
        return [f".. autoclass:: {where}", "   :members:", ""] if inspect.isclass(value) else [f".. autofunction:: {where}", ""]

    def _documented(self, value: Any) -> str:
        text = (inspect.getdoc(value) or "").strip()
        if not text:
            raise self.error(f"{value.__module__ if hasattr(value, '__module__') else ''} {value} is public and has no docstring")
        return text


OURS = {"mdps", "pgtheory", "proofs_check"}


def _value(module: types.ModuleType, name: str) -> Any:
    """The public object; where a module of the same name can be called, the function in it."""
    value = getattr(module, name)
    return getattr(value, name) if isinstance(value, types.ModuleType) and callable(value) else value


def _members(module: types.ModuleType) -> list[str]:
    """Public functions and classes of a module: its `__all__`, or what is defined in it."""
    own = [name for name, value in vars(module).items() if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", own)
    return [name for name in names if callable(getattr(module, name)) and not isinstance(getattr(module, name), types.ModuleType)]


def _as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """First paragraph as text, the rest as a literal block."""
    text = [line.replace("`", "``").replace("````", "``") for line in lines]
    end = next((i for i, line in enumerate(text) if not line.strip()), len(text))
    rest = lines[end:]
    while rest and not rest[-1].strip():
        rest.pop()
    body = ["", ".. code-block:: text", "", *("   " + line for line in rest[1:]), ""] if rest else [""]
    lines[:] = [line.replace("*", r"\*").replace("|", r"\|") for line in text[:end]] + body


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("public", PublicDirective)
    app.connect("autodoc-process-docstring", _as_written)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
