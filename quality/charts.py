"""Small charts as inline SVG text, from plain numbers.

Widths are percentages: a chart fills whatever holds it while its text keeps its size. Colours come from the
page's stylesheet (`--accent`, `--line`, `--muted`, `--ok`, `--warn`, `--bad`), with a fallback for pages that
stand alone. Every chart says in words what it shows. Counts are drawn from zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from annotation_site.figures import percent

COLOURS = {
    "accent": "var(--accent, #2457c5)",
    "ok": "var(--ok, #1a7f4b)",
    "warn": "var(--warn, #9a6700)",
    "bad": "var(--bad, #b42318)",
    "line": "var(--line, #d4d4d4)",
    "muted": "var(--muted, #6b6b6b)",
    "ink": "var(--ink, currentColor)",
}
THICK = 10
"""Height of a horizontal bar in pixels."""
VISIBLE = 0.005
"""Probabilities below this would be written as 0%."""


class Bar(NamedTuple):
    """One row of a bar chart: `value` sets the length, `text` is written after the bar."""

    label: str
    value: float
    text: str
    colour: str = "accent"


class Part(NamedTuple):
    """One part of a whole: a count and the word for it."""

    label: str
    number: int
    colour: str


class Point(NamedTuple):
    """What a group of labels promises (`stated`) and how many of them are right, with an interval."""

    stated: float
    right: float
    lo: float
    hi: float


class Measured(NamedTuple):
    """A fraction with its interval."""

    value: float
    lo: float
    hi: float


class Line(NamedTuple):
    """One line over the places of a chart; None where nothing was measured."""

    label: str
    points: Sequence[Measured | None]
    colour: str = "accent"


def bars(
    rows: Sequence[Bar], *, title: str, most: float | None = None, label_width: str = "fit-content(11rem)"
) -> str:
    """Horizontal bars from zero, each with its label before and its figure after it.

    Args:
        title: what the chart shows, for those who do not see it.
        most: the value of a full-length bar; the largest value where not given.
        label_width: a CSS column width for the labels.
    """
    top = most if most is not None else max((row.value for row in rows), default=0)
    columns = f"{label_width} minmax(3rem,1fr) max-content"
    layout = f"display:grid;grid-template-columns:{columns};gap:4px 12px;align-items:center"
    cells = []
    for row in rows:
        share = _share(row.value, top)
        cells.append(
            f'<span style="overflow-wrap:anywhere">{escape(row.label)}</span>'
            f'<svg width="100%" height="{THICK}" aria-hidden="true">'
            f'<rect width="{share:.2f}%" height="{THICK}" fill="{COLOURS[row.colour]}"/></svg>'
            f'<span style="font-variant-numeric:tabular-nums;text-align:right">{escape(row.text)}</span>'
        )
    label = f'role="group" aria-label="{escape(title)}"'
    return f'<div class="chart" {label} style="{layout}">{"".join(cells)}</div>'


def progress(parts: Sequence[Part], *, title: str) -> str:
    """One bar parted by counts; each part that is there is named below, with its count and its colour."""
    total = sum(part.number for part in parts)
    x, rects, names = 0.0, [], []
    for part in parts:
        share = _share(part.number, total)
        colour = COLOURS[part.colour]
        if part.number:
            rects.append(f'<rect x="{x:.3f}%" width="{share:.3f}%" height="16" fill="{colour}"/>')
        x += share
        if not part.number and total:
            continue
        names.append(
            '<span style="white-space:nowrap"><svg width="10" height="10" aria-hidden="true">'
            f'<rect width="10" height="10" fill="{colour}"/></svg> '
            f"{part.number:,} {escape(part.label)}</span>"
        )
    svg = _svg(rects, 16, title)
    words = f'<div style="display:flex;flex-wrap:wrap;gap:4px 16px;margin-top:8px">{"".join(names)}</div>'
    return f'<div class="chart">{svg}{words}</div>'


def histogram(
    counts: Sequence[int], edges: Sequence[float], *, title: str, unit: str = "%", height: int = 120
) -> str:
    """Upright bars: `counts[i]` things between `edges[i]` and `edges[i + 1]`.

    Each bar carries its count; the edges stand under the axis, with `unit` at the last.

    Raises:
        ValueError: there must be one more edge than counts.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges; got {len(edges)}")
    top, step, base = max(counts, default=0), 100 / max(len(counts), 1), height - 20
    room = base - 18
    parts = []
    for place, count in enumerate(counts):
        x, tall = place * step, room * count / top if top else 0.0
        if count:
            parts.append(
                f'<rect x="{x + step * 0.08:.3f}%" y="{base - tall:.1f}" width="{step * 0.84:.3f}%" '
                f'height="{max(tall, 1):.1f}" fill="{COLOURS["accent"]}"/>'
            )
        parts.append(_text(x + step / 2, base - tall - 5, f"{count:,}" if count else "", "middle"))
    parts.append(f'<line x1="0" x2="100%" y1="{base}" y2="{base}" stroke="{COLOURS["line"]}"/>')
    every = 2 if len(counts) > 7 else 1  # on a phone ten figures would touch
    for place, edge in enumerate(edges):
        if (len(counts) - place) % every:
            continue
        anchor = "start" if place == 0 else "end" if place == len(counts) else "middle"
        word = f"{edge:g}{unit if place == len(counts) else ''}"
        parts.append(_text(place * step, height - 4, word, anchor, muted=True))
    return _svg(parts, height, title)


def interval(
    value: float, lo: float, hi: float, *, title: str, chance: float | None = None, colour: str = "accent"
) -> str:
    """A fraction on a line from 0 to 1: a dot at `value`, a band from `lo` to `hi`, a tick at `chance`."""
    value, lo, hi = (min(1.0, max(0.0, number)) for number in (value, lo, hi))
    # Two pixels at each end, so that a dot at 0 or 1 is whole.
    parts = [
        f'<line x1="0" x2="100%" y1="8" y2="8" stroke="{COLOURS["line"]}"/>',
        f'<rect x="{100 * lo:.2f}%" y="5" width="{100 * (hi - lo):.2f}%" height="6" fill="{COLOURS[colour]}" '
        'opacity="0.35"/>',
    ]
    if chance is not None:
        at = f"{100 * chance:.2f}%"
        parts.append(f'<line x1="{at}" x2="{at}" y1="2" y2="14" stroke="{COLOURS["muted"]}"/>')
    parts.append(f'<circle cx="{100 * value:.2f}%" cy="8" r="4" fill="{COLOURS[colour]}"/>')
    return _svg(parts, 16, title)


def reliability(points: Sequence[Point], *, title: str, across: str, up: str) -> str:
    """Stated against true shares: a dot and its interval for each point, beside the line where both agree.

    Both axes run from the tenth below the lowest figure to 1. `across` and `up` name them.
    """
    low = min([0.9, *(min(p.stated, p.lo) for p in points)])
    low = int(low * 10) / 10
    side, left, top = 240, 58, 12
    span = 1 - low

    def x(share: float) -> float:
        return left + side * (share - low) / span

    def y(share: float) -> float:
        return top + side * (1 - share) / span

    grey, ink = COLOURS["line"], COLOURS["accent"]
    parts = [
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="{grey}"/>',
        f'<line x1="{left}" y1="{top + side}" x2="{left + side}" y2="{top}" stroke="{COLOURS["muted"]}" '
        'stroke-dasharray="4 4"/>',
    ]
    for share in (low, (low + 1) / 2, 1.0):
        words, muted = percent(share), f'fill="{COLOURS["muted"]}" class="muted" font-size="12"'
        parts.append(f'<text x="{left - 6}" y="{y(share) + 4:.1f}" text-anchor="end" {muted}>{words}</text>')
        parts.append(
            f'<text x="{x(share):.1f}" y="{top + side + 18}" text-anchor="middle" {muted}>{words}</text>'
        )
    for point in points:
        at = f"{x(point.stated):.1f}"
        parts.append(
            f'<line x1="{at}" x2="{at}" y1="{y(point.lo):.1f}" y2="{y(point.hi):.1f}" stroke="{ink}" '
            'stroke-width="3" opacity="0.4"/>'
            f'<circle cx="{at}" cy="{y(point.right):.1f}" r="4" fill="{ink}"/>'
        )
    middle = left + side / 2
    named = f'text-anchor="middle" font-size="12" fill="{COLOURS["muted"]}" class="muted"'
    parts.append(f'<text x="{middle}" y="{top + side + 38}" {named}>{escape(across)}</text>')
    parts.append(f'<text transform="translate(12 {top + side / 2}) rotate(-90)" {named}>{escape(up)}</text>')
    wide, tall = left + side + 20, top + side + 46
    return (
        f'<svg viewBox="0 0 {wide} {tall}" role="img" aria-label="{escape(title)}" '
        f'style="display:block;width:100%;max-width:{wide}px;height:auto">{"".join(parts)}</svg>'
    )


def lines(rows: Sequence[Line], places: Sequence[str], *, title: str, height: int = 240) -> str:
    """Fractions over places in their order, each with its interval; a line is named where it ends.

    Lines differ in shape too, not in colour alone. The axis does not begin at zero: these are no counts.
    """
    found = [point for row in rows for point in row.points if point]
    if not found:
        return ""
    low, high, step = _scale(min(p.lo for p in found), max(p.hi for p in found))
    top, base = 10, height - 26

    def y(share: float) -> float:
        return base - (base - top) * (share - low) / (high - low)

    ticks = [low + step * i for i in range(round((high - low) / step) + 1)]
    scale = "".join(
        f'<text x="40" y="{y(tick) + 4:.1f}" text-anchor="end" class="muted" font-size="12" '
        f'fill="{COLOURS["muted"]}">{percent(tick, 0 if step >= 0.01 else 1)}</text>'
        for tick in ticks
    )
    grid = [
        f'<line x1="0" x2="100%" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="{COLOURS["line"]}"/>'
        for tick in ticks
    ]
    wide = 100 / len(places)
    every, few = -(-len(places) // 12), -(-len(places) // 3)  # more would touch, and sooner on a phone
    for place, name in enumerate(places):
        back = len(places) - 1 - place
        if back % every == 0 or back % few == 0:
            text = _text(wide * (place + 0.5), height - 6, name, "middle", muted=True)
            grid.append(text if back % few == 0 else text.replace('class="', 'class="fine ', 1))
    ends: list[tuple[float, Line]] = []
    for number, row in enumerate(rows):
        aside = min(2.0, wide / 8) * (number - (len(rows) - 1) / 2)
        there = [(wide * (i + 0.5) + aside, p) for i, p in enumerate(row.points) if p]
        grid.append(_line(there, y, COLOURS[row.colour], SHAPES[number % len(SHAPES)]))
        if there:
            ends.append((y(there[-1][1].value), row))
    names = "".join(
        f'<text x="0" y="{at + 4:.1f}" font-size="12" fill="currentColor"><tspan '
        f'fill="{COLOURS[row.colour]}">{SIGNS[number % len(SIGNS)]}</tspan> {escape(row.label)}</text>'
        for at, row in _apart(ends, base)
        for number in [rows.index(row)]
    )
    longest = max(len(row.label) for row in rows) + 2
    return (
        f'<div class="chart" role="img" aria-label="{escape(title)}" style="display:grid;'
        'grid-template-columns:40px minmax(0,1fr) max-content;column-gap:8px">'
        f'<svg width="40" height="{height}" aria-hidden="true">{scale}</svg>'
        f'<svg width="100%" height="{height}" aria-hidden="true" overflow="visible">{"".join(grid)}</svg>'
        f'<svg width="{min(9 * longest, 130)}" height="{height}" aria-hidden="true">{names}</svg></div>'
    )


SIGNS = ("●", "■", "◆")
SHAPES = (
    '<circle r="4" fill="{0}"/>',
    '<rect x="-4" y="-4" width="8" height="8" fill="{0}"/>',
    '<path d="M0-6L6 0L0 6L-6 0Z" fill="{0}"/>',
)
"""What marks the points of the first, the second and the third line."""


def _line(points: Sequence[tuple[float, Measured]], y: Callable[[float], float], ink: str, shape: str) -> str:
    """One line with intervals and marks; places are percent of the width."""
    parts = [
        f'<line x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y(a.value):.1f}" y2="{y(b.value):.1f}" stroke="{ink}" '
        'stroke-width="1.5"/>'
        for (x1, a), (x2, b) in pairwise(points)
    ]
    for x, point in points:
        parts.append(
            f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{y(point.lo):.1f}" y2="{y(point.hi):.1f}" '
            f'stroke="{ink}" stroke-width="3" opacity="0.4"/>'
            f'<svg x="{x:.2f}%" y="{y(point.value):.1f}" overflow="visible">{shape.format(ink)}</svg>'
        )
    return "".join(parts)


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Ends of an axis that holds both, and the step between its marks: at most six of them."""
    steps = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    step = next((s for s in steps if high - low <= 4 * s + 1e-9), 0.2)
    below, above = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return below * step, max(above, below + 1) * step, step


def _apart(ends: Sequence[tuple[float, Line]], most: float, gap: float = 16.0) -> list[tuple[float, Line]]:
    """Heights of names that would else be written over each other; none below `most`."""
    placed: list[tuple[float, Line]] = []
    for at, row in sorted(ends, key=lambda end: end[0]):
        placed.append((max(at, placed[-1][0] + gap) if placed else at, row))
    over = max(0.0, placed[-1][0] - most) if placed else 0.0
    return [(at - over, row) for at, row in placed]


def posterior(
    likely: Iterable[tuple[str, float]], *, title: str, shown: int = 3, more: str = "{n} more"
) -> str:
    """The likeliest labels as bars in percent; the others are one row (`more`), so that all sum to 100."""
    ordered = sorted(likely, key=lambda pair: (-pair[1], pair[0]))
    named = [(label, p) for label, p in ordered[:shown] if p >= VISIBLE]
    rows = [Bar(label, p, percent(p)) for label, p in named]
    rest = sum(p for _, p in ordered[len(named) :])
    if rest >= VISIBLE:
        rows.append(Bar(more.format(n=len(ordered) - len(named)), rest, percent(rest), "muted"))
    return bars(rows, title=title, most=1.0, label_width="fit-content(8rem)")


def _share(value: float, top: float) -> float:
    """Percent of `top`, within 0 and 100."""
    return 100 * max(0.0, min(1.0, value / top)) if top > 0 else 0.0


def _text(x: float, y: float, words: str, anchor: str, muted: bool = False) -> str:
    if not words:
        return ""
    colour = f'class="muted" fill="{COLOURS["muted"]}"' if muted else 'fill="currentColor"'
    return (
        f'<text x="{x:.3f}%" y="{y:.1f}" text-anchor="{anchor}" font-size="12" {colour}>'
        f"{escape(words)}</text>"
    )


def _svg(parts: Iterable[str], height: int, title: str) -> str:
    return (
        f'<svg width="100%" height="{height}" role="img" aria-label="{escape(title)}" '
        f'style="display:block;overflow:visible;font-variant-numeric:tabular-nums">{"".join(parts)}</svg>'
    )
