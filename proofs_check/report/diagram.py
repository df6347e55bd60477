"""A small decision process drawn as a graph, in SVG by hand: circles are states, dots are actions with their rewards, arrows the moves.

Colours come from the page, so one drawing reads in light, in dark and in print."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from proofs_check.report.words import figure

MOST_STATES, MOST_ACTIONS, MOST_CHANCES = 4, 3, 4
RADIUS, REACH, SPREAD = 17.0, 52.0, math.radians(46)
RINGS = {2: 115.0, 3: 110.0, 4: 125.0}


def diagram(data: Mapping[str, Any] | None) -> str | None:
    """The drawing of an instance in the verdict's JSON form; None where there is nothing to see (one state) or too much."""
    if not data or not data.get("transitions") or not data.get("rewards"):
        return None
    rows, rewards = data["transitions"], data["rewards"]
    states, actions = len(rows), max(len(row) for row in rows)
    chances = sum(0 < Fraction(str(p)) < 1 for row in rows for moves in row for p in moves)
    if not 1 < states <= MOST_STATES or actions > MOST_ACTIONS or chances > MOST_CHANCES:
        return None
    ring = RINGS[states]
    turn = math.pi if states == 2 else -math.pi / 2 if states == 3 else -3 * math.pi / 4
    places = [(ring * math.cos(turn + 2 * math.pi * s / states), ring * math.sin(turn + 2 * math.pi * s / states)) for s in range(states)]
    lines, dots, labels, extent = [], [], [], [p for x, y in places for p in ((x - RADIUS, y - RADIUS), (x + RADIUS, y + RADIUS))]
    for s in range(states):
        angles = _angles(places, s, [[float(Fraction(str(p))) for p in row] for row in rows[s]])
        for a, angle in enumerate(angles):
            x, y = places[s][0] + REACH * math.cos(angle), places[s][1] + REACH * math.sin(angle)
            lines.append(_line(_from_edge(places[s], (x, y)), (x, y), 'class="go"'))
            for t, p in enumerate(rows[s][a]):
                chance = Fraction(str(p))
                if chance > 0:
                    path, middle = _arrow((x, y), places[t], angle, t == s)
                    lines.append(path)
                    if chance < 1:
                        labels.append(_text(middle, figure(p), "chance"))
                        extent.append(middle)
            dots.append(f'<circle class="act" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
            side = (x + 12 * math.cos(angle), y + 12 * math.sin(angle) + 3)
            anchor = "middle" if abs(math.cos(angle)) < 0.5 else "start" if math.cos(angle) > 0 else "end"
            text = f"{chr(97 + a)}: {figure(rewards[s][a])}"
            labels.append(_text(side, text, "pay", anchor))
            width = 6.2 * len(text)
            left = side[0] - {"middle": width / 2, "start": 0.0, "end": width}[anchor]
            extent += [(left, side[1] - 10), (left + width, side[1] + 4)]
    nodes = [f'<circle class="state" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}"/>' + _text((x, y + 4), str(s), "name") for s, (x, y) in enumerate(places)]
    low = [min(p[k] for p in extent) - 8 for k in (0, 1)]
    size = [max(p[k] for p in extent) + 8 - low[k] for k in (0, 1)]
    return (
        f'<svg class="model-graph" role="img" aria-label="the model as a graph" viewBox="{low[0]:.0f} {low[1]:.0f} {size[0]:.0f} {size[1]:.0f}" '
        f'width="{size[0]:.0f}">{"".join(lines)}{"".join(dots)}{"".join(nodes)}{"".join(labels)}</svg>'
    )


def _angles(places: list[tuple[float, float]], s: int, rows: list[list[float]]) -> list[float]:
    """A direction for each action: towards where it leads, away from the middle where it stays, kept apart from one another."""
    x, y = places[s]
    away = math.atan2(y, x) if (x, y) != (0, 0) else -math.pi / 2
    wished = []
    for row in rows:
        dx = sum(p * (places[t][0] - x) for t, p in enumerate(row) if t != s)
        dy = sum(p * (places[t][1] - y) for t, p in enumerate(row) if t != s)
        wished.append(math.atan2(dy, dx) if math.hypot(dx, dy) > 1e-9 else away)
    order = sorted(range(len(rows)), key=lambda a: (_beside(wished[a], away), a))
    placed: dict[int, float] = {}
    for a in order:
        shift, sign = 0.0, 1.0
        while any(abs(_beside(wished[a] + sign * shift, other)) < SPREAD - 1e-9 for other in placed.values()):
            sign = -sign
            shift += SPREAD / 4 if sign < 0 else 0.0
        placed[a] = wished[a] + sign * shift
    return [placed[a] for a in range(len(rows))]


def _beside(angle: float, other: float) -> float:
    """angle - other in (-pi, pi]."""
    return math.atan2(math.sin(angle - other), math.cos(angle - other))


def _from_edge(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    size = math.hypot(dx, dy)
    return centre[0] + RADIUS * dx / size, centre[1] + RADIUS * dy / size


def _line(begin: tuple[float, float], end: tuple[float, float], attributes: str) -> str:
    return f'<line {attributes} x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'


def _arrow(begin: tuple[float, float], centre: tuple[float, float], angle: float, home: bool) -> tuple[str, tuple[float, float]]:
    """A bent arrow from an action's dot to the rim of a state, and the place of its label."""
    dx, dy = centre[0] - begin[0], centre[1] - begin[1]
    size = max(math.hypot(dx, dy), 1.0)
    bend = 26.0 if home else 0.16 * size
    middle = (begin[0] + dx / 2 - bend * dy / size, begin[1] + dy / 2 + bend * dx / size)
    back = math.atan2(middle[1] - centre[1], middle[0] - centre[0])
    tip = (centre[0] + (RADIUS + 1.5) * math.cos(back), centre[1] + (RADIUS + 1.5) * math.sin(back))
    inward = back + math.pi
    wings = [(tip[0] - 7 * math.cos(inward + w), tip[1] - 7 * math.sin(inward + w)) for w in (0.42, -0.42)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, *wings))
    course = f"M{begin[0]:.1f} {begin[1]:.1f} Q{middle[0]:.1f} {middle[1]:.1f} {tip[0]:.1f} {tip[1]:.1f}"
    path = f'<path class="move" d="{course}"/><polygon points="{head}"/>'
    on_curve = tuple(0.25 * b + 0.5 * m + 0.25 * t for b, m, t in zip(begin, middle, tip, strict=True))
    return path, (on_curve[0] - 7 * dy / size, on_curve[1] + 7 * dx / size + 3)


def _text(place: tuple[float, float], text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{place[0]:.1f}" y="{place[1]:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
