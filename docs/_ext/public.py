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
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class PublicDirective(SphinxDirective):
    """All of `__all__` of the module in the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        package = importlib.import_module(self.arguments[0])
        lines: list[str] = []
        for name in package.__all__:
            value = getattr(package, name)
            if isinstance(value, types.ModuleType):
                if not (value.__doc__ or "").strip():
                    raise self.error(f"{package.__name__}.{name} is public and has no docstring")
                lines += [f"``{value.__name__}``: {value.__doc__.strip().splitlines()[0]}", ""]
                continue
            if callable(value) and not (inspect.getdoc(value) or "").strip():
                raise self.error(f"{package.__name__}.{name} is public and has no docstring")
            kind = "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else "autodata"
            lines += [f".. {kind}:: {package.__name__}.{name}", *(["   :members:"] if kind == "autoclass" else []), ""]
        node = nodes.container()
        self.state.nested_parse(StringList(lines, source=f"<{package.__name__}>"), 0, node)
        return node.children


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
