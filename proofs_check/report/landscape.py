"""The tightness of the whole catalogue in one picture: a row for each family, a mark for each inequality, on a logarithmic axis up to 1."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from proofs_check.report.words import direction, tightness_figure
from proofs_check.verdict import ClaimVerdict, FormVerdict

LEFT, RIGHT, WIDTH, TOP, LOWEST = 170.0, 560.0, 690.0, 26.0, -6
MARK, PITCH = 4.6, 9.7
ATTAINED, ABREAST = 0.98, 11
"""Bounds that are attained up to two per cent stand side by side to the right of 1."""


def landscape(families: Mapping[str, Sequence[ClaimVerdict]], pages: Mapping[str, str]) -> str | None:
    """The drawing, each mark a link to its claim's page; None for fewer than five inequalities with a tightness."""
    marked = {family: [(claim, form) for claim in claims for form in claim.forms if _shown(form)] for family, claims in families.items()}
    if sum(map(len, marked.values())) < 5:
        return None
    body, y = [], TOP
    for family, found in marked.items():
        shown = sorted(found, key=lambda pair: -(pair[1].tightness or 0))
        if not shown:
            continue
        rows: list[float] = []  # the leftmost mark of each line of marks
        marks, attained = [], 0
        for claim, form in shown:
            x = _place(form.tightness or 0.0)
            if (form.tightness or 0.0) >= ATTAINED:
                line, column = divmod(attained, ABREAST)
                x, attained = RIGHT + 12 + PITCH * column, attained + 1
            else:
                line = next((k for k, edge in enumerate(rows) if edge - x >= PITCH), len(rows))
                rows[line:] = [x, *rows[line + 1 :]]
            marks.append((claim, form, x, line))
        height = max(18.0, PITCH * max(len(rows), -(-attained // ABREAST)) + 8)
        body.append(f'<text class="row" x="{LEFT - 14:.0f}" y="{y + height / 2 + 4:.1f}" text-anchor="end">{html.escape(family)}</text>')
        body.append(f'<line class="rule" x1="{LEFT:.0f}" x2="{WIDTH:.0f}" y1="{y + height:.1f}" y2="{y + height:.1f}"/>')
        for claim, form, x, line in marks:
            place = y + 4 + MARK + PITCH * line
            title = f"{claim.title}, {form.form}: {tightness_figure(form.tightness)}, {form.verdict}"
            body.append(
                f'<a href="{html.escape(pages[claim.id])}"><circle class="{form.verdict.replace(" ", "-")}" cx="{x:.1f}" cy="{place:.1f}" '
                f'r="{MARK - 0.6:.1f}"><title>{html.escape(title)}</title></circle></a>'
            )
        y += height
    axis = []
    for power in range(LOWEST, 1):
        x = LEFT + (RIGHT - LEFT) * (power - LOWEST) / -LOWEST
        axis.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6:.0f}" y2="{y:.1f}"/>')
        name = {0: "1", -1: "0.1", -2: "0.01"}.get(power)
        label = name or f'10<tspan dy="-4" font-size="8">{power}</tspan>'
        axis.append(f'<text class="tick" x="{x:.1f}" y="{TOP - 11:.0f}" text-anchor="middle">{"≤ " if power == LOWEST else ""}{label}</text>')
    axis.append(f'<text class="tick" x="{RIGHT + 12:.0f}" y="{TOP - 11:.0f}">attained</text>')
    return (
        f'<svg class="landscape" role="img" aria-label="tightness of every inequality, by family" viewBox="0 0 {WIDTH:.0f} {y + 8:.0f}">'
        f"{''.join(axis)}{''.join(body)}</svg>"
    )


def _shown(form: FormVerdict) -> bool:
    return form.tightness is not None and direction(form.statement) != "="


def _place(tightness: float) -> float:
    power = math.log10(tightness) if tightness > 0 else float(LOWEST)
    return LEFT + (RIGHT - LEFT) * (min(0.0, max(float(LOWEST), power)) - LOWEST) / -LOWEST
