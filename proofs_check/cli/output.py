"""Tables and JSON on stdout, messages on stderr: plain and unwrapped when piped, coloured and folded to the terminal otherwise."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proofs_check.files import to_json, write_whole

COLOURS = {
    "proved": "green", "certified": "green", "supported": "cyan", "surviving": "cyan", "vacuous": "yellow", "undecided": "yellow",
    "refuted": "bold red", "not applicable": "bright_black",
}  # fmt: skip


def print_json(value: Any) -> None:
    """`value` as JSON on stdout."""
    sys.stdout.write(to_json(value))


def save_picture(figure: Any, path: Path, command: str) -> None:
    """A matplotlib figure into a .svg, .png or .pdf, whole or not at all, with the command that makes it again in the file's metadata."""
    ending = path.suffix[1:].lower()
    buffer = io.BytesIO()
    key = {"png": "Description", "svg": "Description", "pdf": "Subject"}[ending]
    figure.savefig(buffer, format=ending, metadata={key: command}, dpi=160, bbox_inches="tight", pad_inches=0.2)
    write_whole(path, buffer.getvalue())


def say(text: str = "") -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def line(text: str = "") -> None:
    """A line on stdout."""
    print(text, flush=True)


def is_terminal(stream: Any = None) -> bool:
    """Whether a person watches: a terminal that understands more than plain text."""
    stream = sys.stdout if stream is None else stream
    return bool(getattr(stream, "isatty", lambda: False)()) and os.environ.get("TERM") != "dumb"


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), fold: int | None = None, colour: int | None = None
) -> None:
    """An aligned table on stdout: columns `right` flush right, column `fold` folded on a terminal, column `colour` holds verdicts."""
    if not is_terminal():
        widths = [max(len(str(row[k])) for row in (headings, *rows)) for k in range(len(headings))]
        for row in (headings, *rows):
            cells = [str(cell).rjust(widths[k]) if k in right else str(cell).ljust(widths[k]) for k, cell in enumerate(row)]
            print((" " + "  ".join(cells)).rstrip())
        sys.stdout.flush()
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for k, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if k in right else "left", no_wrap=k != fold, overflow="fold", ratio=1 if k == fold else None)
    for row in rows:
        grid.add_row(*(Text(str(cell), style=COLOURS.get(str(cell).strip(), "") if k == colour else "") for k, cell in enumerate(row)))
    Console(highlight=False).print(grid)
