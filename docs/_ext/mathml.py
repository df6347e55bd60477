"""Mathematics as MathML, written into the page: no script, no network, no installed TeX."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def _mathml(source: str, display: str) -> str:
    return convert(" ".join(source.split()), display=display)


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    source = node.astext()
    if "\\\\" in source and "\\begin" not in source:
        source = rf"\begin{{split}}{source}\end{{split}}"
    number = f' id="{html.escape(node["ids"][0])}"' if node.get("ids") else ""
    self.body.append(f'<div class="math"{number}>{_mathml(source, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
