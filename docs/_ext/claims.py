"""Directives that print what the library itself holds, so that no bound and no symbol is typed twice.

```{claim} npg-one-over-T      title, source, every form of the statement and the negative controls, from the claim object
```
```{quantities}                the table of named quantities, from their registry
```
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

UNPUBLISHED = "unpublished"
"""The key of a claim that is stated here and in no paper."""


class ClaimDirective(SphinxDirective):
    """One claim: its argument is the id."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from mdps import ModelError
        from proofs_check import get_claim

        try:
            claim = get_claim(self.arguments[0])
        except ModelError as error:
            raise self.error(str(error)) from error
        lines = ["::::{div} claim", "", f"**{claim.title}** (`{claim.id}`)", "", _sentence(claim.source), ""]
        for form in claim.forms:
            lines += [] if len(claim.forms) == 1 else [f"*{form.name}*", ""]
            lines += ["$$", form.statement.latex(), "$$", ""]
        departures = [claim.departs, *(f"({form.name}) {form.departs}" for form in claim.forms if form.departs)]
        lines += [f"Departs from the source: {'; '.join(filter(None, departures))}.", ""] if any(departures) else []
        if claim.controls:
            lines += ["Negative controls, each of which must be refuted:", ""]
            lines += [f"- *{control.name}*: {control.because}" for control in claim.controls]
        lines += ["", f"`pgtheory verify {claim.id}`", "::::"]
        return self.parse_text_to_nodes("\n".join(lines))


def _sentence(source: Any) -> str:
    """The source as a link to its entry in the references, with the place and the version."""
    if source.key == UNPUBLISHED:
        return f"Source: {source.where or 'derived here'}."
    parts = [f"[{source.text or source.key}](#{source.key})", source.where, source.version]
    return f"Source: {', '.join(part for part in parts if part)}."


class QuantitiesDirective(SphinxDirective):
    """The registry of named quantities as a table."""

    def run(self) -> list[nodes.Node]:
        from proofs_check import quantities

        rows = ["| name | symbol | meaning |", "|---|---|---|"]
        for quantity in quantities.quantities().values():
            symbol = quantity.latex.replace(r"\|", r"\Vert ").replace("|", r"\mid ")  # a bar would end the cell
            rows.append(f"| `{quantity.name}` | ${symbol}$ | {quantity.meaning.replace('|', '&#124;')} |")
        return self.parse_text_to_nodes("\n".join(rows))


class Div(SphinxDirective):
    """A block with a class of its own, for the style sheet."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        block = nodes.container("", *self.parse_content_to_nodes(), classes=[self.arguments[0]])
        return [block]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("claim", ClaimDirective)
    app.add_directive("quantities", QuantitiesDirective)
    app.add_directive("div", Div)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
