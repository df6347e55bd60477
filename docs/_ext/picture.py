"""A picture of the gallery, drawn when the documentation is built: no network, no stored image.

    ```{picture} NAME
    ```

The script `docs/gallery/NAME.py` has a docstring, whose first line is what the picture shows, and `draw()`, which returns a matplotlib figure.  The
page gets the picture and, below it, the script.
"""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import types
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = pathlib.Path(__file__).parent.parent / "gallery"
IMAGES = "_gallery"
DPI = 110


def load(name: str) -> types.ModuleType:
    """The script of that name as a module."""
    path = FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"the gallery has no script {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PictureDirective(SphinxDirective):
    """The picture of one script, and the script."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        module = load(name)
        self.env.note_dependency(str(FOLDER / f"{name}.py"))
        target = pathlib.Path(self.env.srcdir) / IMAGES / f"{name}.png"
        target.parent.mkdir(exist_ok=True)
        module.draw().savefig(target, dpi=DPI, metadata={"Description": f"docs/gallery/{name}.py"})
        caption = inspect.cleandoc(module.__doc__ or "").partition("\n")[0]
        lines = [
            f"![{caption}](/{IMAGES}/{name}.png)",
            "",
            f"*{caption}*",
            "",
            f"```{{literalinclude}} /gallery/{name}.py",
            ":language: python",
            "```",
        ]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("picture", PictureDirective)
    return {"version": "1", "parallel_read_safe": True}
