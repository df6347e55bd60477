"""The picture of a verdict as SVG: inlined with the page's own colours, and as a file of its own with CSV data beside it."""

from __future__ import annotations

import io
import re
from typing import Any

from proofs_check.plots import INK, MEASURED, SERIES, plot_curve
from proofs_check.report.words import direction, measured
from proofs_check.verdict import FormVerdict

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
_WIDTH, _HEIGHT, _TITLE = 4.7, 3.3, 17  # inches; the points at the top that hold the title of the file, which the page says in its own type


def pictures(form: FormVerdict, name: str, *, command: str, version: str) -> tuple[str, str]:
    """The curve of `form` twice as SVG: an element for the page, which takes ink and accent from it and so reads in light and in dark,
    and a file on white with title, and with command, seed and version in its metadata."""
    metadata = {"Title": name, "Description": f"{command} (seed {form.seed})", "Creator": f"pgtheory {version}", "Date": None}
    file = _draw(form, name, metadata)
    svg = file[file.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="(?:paper|title)">.*?</g>', "", svg, flags=re.S)
    svg = re.sub(r'(<svg [^>]*?) ?width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) ?height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', lambda m: f'viewBox="0 {_TITLE} {m[1]} {float(m[2]) - _TITLE:g}"', svg, count=1)
    svg = svg.replace(INK, "var(--plot-ink)").replace(MEASURED, "var(--plot-line)").replace(SERIES[1], "var(--plot-mark)")
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", rf"font: \1px {_FONT}", svg)
    return svg.replace("<svg ", '<svg class="plot" aria-hidden="true" focusable="false" ', 1), file


def _draw(form: FormVerdict, name: str, metadata: dict[str, Any]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
        figure.patch.set_gid("paper")
        ax = figure.add_axes((0.105, 0.145, 0.725, 0.71), facecolor="none")
        plot_curve({**(form.curve or {}), "label": measured(form.statement)[1]}, ax, direction=direction(form.statement))
        ax.title.set_gid("title")
        ax._left_title.set_gid("title")
        figure.savefig(out, format="svg", metadata=metadata)
    return out.getvalue()
