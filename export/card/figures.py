"""The pictures of a dataset card: samples of each class, class sizes, whom the voters take for whom.

SVG is written by hand, as plain text with its own colours: it stands in files that any viewer opens. Equal
releases give equal bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from export import layout
from export.card.vote_statistics import VoteStatistics
from export.places.shelf import read_in
from export.reader import rows_in

SIDE = 96
"""Pixels of a sample's longer side."""
ROWS = 12
"""With so many classes or fewer, a class has a row of samples; with more, one sample each."""
COLUMNS = 8
MOST = 96
"""Classes that a sheet of one sample each shows."""
LISTED = 40
"""Classes that have a bar of their own; of more, the largest and the smallest are shown."""
CROSSED = 24
"""Classes that the table of confusions shows."""

_INK, _MUTED, _LINE, _PAPER = "#1a1a1a", "#5c5c5c", "#d4d4d4", "#ffffff"
_SPLIT_COLOURS = {"train": "#2457c5", "val": "#c98a00", "test": "#1a7f4b"}
_FONT = 'font-family="system-ui, sans-serif"'
CAPTION = 16
ABSENT = (layout.NONE, layout.UNSURE)
"""Labels that are no category, as columns of the table of confusions."""


class Named(NamedTuple):
    """A class as figures show it."""

    id: str
    name: str

    @property
    def short(self) -> str:
        """A name that fits beside a bar: the id where the name is long."""
        return self.name if self.name and len(self.name) <= 24 else self.id


def samples_due(classes: Sequence[Named]) -> dict[str, int]:
    """Class -> how many samples a sheet shows of it."""
    if len(classes) <= ROWS:
        return {c.id: COLUMNS for c in classes}
    step = max(1.0, len(classes) / MOST)
    chosen = [classes[int(place * step)] for place in range(min(MOST, len(classes)))]
    return {c.id: 1 for c in chosen}


def sample_sheet(classes: Sequence[Named], samples: Mapping[str, Sequence[Image.Image]]) -> bytes:
    """A JPEG: a row of samples for each class, or (many classes) one sample each, with its name above.

    Args:
        classes: all classes, in the order of their index.
        samples: class -> RGB pictures of at most `SIDE` pixels, as many as `samples_due` says.
    """
    due = samples_due(classes)
    shown = [c for c in classes if c.id in due]
    in_rows = len(classes) <= ROWS
    cell = SIDE + 4
    lines = len(shown) if in_rows else -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell + 4, lines * (cell + CAPTION) + 4), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for place, c in enumerate(shown):
        row, column = (place, 0) if in_rows else divmod(place, COLUMNS)
        x, y = column * cell + 4, row * (cell + CAPTION) + 4
        # The font at hand has no letters but Latin ones; an id always has those.
        words = c.short if c.short.isascii() else c.id
        room = COLUMNS * cell if in_rows else cell - 4
        pen.text((x, y), _fitted(words, font, room), fill=_INK, font=font)
        for step, picture in enumerate(samples.get(c.id, ())[: due[c.id]]):
            left, top = (SIDE - picture.width) // 2, (SIDE - picture.height) // 2
            sheet.paste(picture, (x + step * cell + left, y + CAPTION + top))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def draw(
    folder: Path,
    classes: Sequence[Named],
    counts: Mapping[str, Mapping[str, int]],
    votes: VoteStatistics,
    read: Callable[[str], bytes] | None = None,
) -> dict[str, bytes]:
    """Path in the release -> bytes of every figure that there is something to draw for.

    Args:
        folder: the release, its manifest and pictures written.
        classes: in the order of their index.
        counts: class -> split -> pictures.
        read: gives a picture's bytes by its path, where they are not in the folder.
    """
    read = read or partial(read_in, folder)
    drawn = {
        layout.SAMPLES: sample_sheet(classes, _samples(folder, samples_due(classes), read)),
        layout.CLASSES: class_chart(classes, counts).encode(),
    }
    chart = confusion_chart(classes, votes.matrix, ABSENT)
    if chart is not None:
        drawn[layout.CONFUSION] = chart.encode()
    return drawn


def _samples(folder: Path, due: dict[str, int], read: Callable[[str], bytes]) -> dict[str, list[Image.Image]]:
    """Training pictures in the order of the manifest, which is by SHA-256: a sample that nobody chose."""
    samples: dict[str, list[Image.Image]] = {}
    missing = sum(due.values())
    for row in rows_in(folder, layout.MANIFEST, ["split", "category", "path"]):
        held = samples.setdefault(row["category"], [])
        if row["split"] != "train" or len(held) >= due.get(row["category"], 0):
            continue
        with Image.open(io.BytesIO(read(row["path"]))) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = opened.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        held.append(small)
        missing -= 1
        if not missing:
            break
    return samples


def _fitted(words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """The words, cut where they are wider than the room."""
    if font.getlength(words) <= room:
        return words
    while words and font.getlength(words + "…") > room:
        words = words[:-1]
    return words + "…"


def class_chart(classes: Sequence[Named], counts: Mapping[str, Mapping[str, int]]) -> str:
    """An SVG: pictures of each class, parted by split, the largest class first."""
    ranked = sorted(classes, key=lambda c: (-sum(counts.get(c.id, {}).values()), c.id))
    rows: list[Named | str] = list(ranked)
    if len(ranked) > LISTED:
        half = LISTED // 2
        rows = [*ranked[:half], f"… {len(ranked) - LISTED:,} classes between …", *ranked[-half:]]
    top = max((sum(counts.get(c.id, {}).values()) for c in ranked), default=0) or 1
    left, wide, step = 190, 420, 22
    parts = []
    for place, row in enumerate(rows):
        y = 34 + place * step
        if isinstance(row, str):
            parts.append(_text(left, y + 12, row, colour=_MUTED))
            continue
        parts.append(_text(left - 8, y + 12, row.short, anchor="end"))
        x = float(left)
        held = counts.get(row.id, {})
        for split in layout.SPLITS:
            width = wide * held.get(split, 0) / top
            if width:
                box = f'x="{x:.2f}" y="{y + 2}" width="{width:.2f}" height="14"'
                parts.append(f'<rect {box} fill="{_SPLIT_COLOURS[split]}"/>')
            x += width
        parts.append(_text(x + 6, y + 12, f"{sum(held.values()):,}"))
    legend, x = [], left
    for split, colour in _SPLIT_COLOURS.items():
        legend.append(f'<rect x="{x}" y="10" width="12" height="12" fill="{colour}"/>')
        legend.append(_text(x + 17, 20, split))
        x += 70
    height = 34 + len(rows) * step + 8
    return _svg([*legend, *parts], left + wide + 80, height, "Pictures of each class, by split")


def confusion_chart(
    classes: Sequence[Named], matrix: Mapping[tuple[str, str], int], others: Iterable[str] = ()
) -> str | None:
    """An SVG: of the votes on pictures released as a class (row), the share for each label (column).

    With more than `CROSSED` classes those with the greatest share of other votes are shown, and votes for
    the rest are one column. None where there are no votes.

    Args:
        matrix: (category released, label voted) -> votes.
        others: labels that are no category, in the order of their columns.
    """
    totals: dict[str, int] = {}
    wrong: dict[str, int] = {}
    for (category, label), n in matrix.items():
        totals[category] = totals.get(category, 0) + n
        wrong[category] = wrong.get(category, 0) + (n if label != category else 0)
    told = [c for c in classes if totals.get(c.id)]
    if not told:
        return None
    if len(told) > CROSSED:
        worst = sorted(told, key=lambda c: (-wrong[c.id] / totals[c.id], c.id))[:CROSSED]
        told = [c for c in told if c in worst]
    shown = {c.id for c in told}
    extra = [label for label in others if any(matrix.get((c.id, label)) for c in told)]
    columns = [*(c.id for c in told), *extra]
    rest = {c.id: totals[c.id] - sum(matrix.get((c.id, label), 0) for label in columns) for c in told}
    if any(rest.values()):
        columns.append("other classes")
    names = {c.id: c.short for c in told} | {layout.NONE: "none of these", layout.UNSURE: "not sure"}
    cell, left, top = 34, 190, 130
    caption = "percent of the votes on pictures released as … (row) that were for … (column)"
    parts = [_text(8, 16, caption, colour=_MUTED)]
    for place, label in enumerate(columns):
        at = f"translate({left + place * cell + cell / 2 + 4:.0f} {top - 8}) rotate(-50)"
        words = escape(names.get(label, label))
        parts.append(f'<text transform="{at}" font-size="12" {_FONT} fill="{_INK}">{words}</text>')
    for line, c in enumerate(told):
        y = top + line * cell
        parts.append(_text(left - 8, y + cell / 2 + 4, c.short, anchor="end"))
        for place, label in enumerate(columns):
            n = rest[c.id] if label not in shown and label not in extra else matrix.get((c.id, label), 0)
            parts += _cell(left + place * cell, y, cell, n / totals[c.id], own=label == c.id)
    wide, tall = max(540, left + len(columns) * cell + 60), top + len(told) * cell + 10
    return _svg(parts, wide, tall, "Votes by released label and label voted")


def _cell(x: float, y: float, side: int, share: float, *, own: bool) -> list[str]:
    """A square as dark as the share, with its percent; green on the diagonal, red elsewhere."""
    colour = "#1a7f4b" if own else "#b42318"
    strength = share if own else min(1.0, share**0.5)
    box = f'x="{x}" y="{y}" width="{side - 2}" height="{side - 2}"'
    parts = [f'<rect {box} fill="{colour}" fill-opacity="{strength:.3f}" stroke="{_LINE}"/>']
    if share >= 0.005:
        ink = "#ffffff" if strength > (0.93 if own else 0.8) else _INK
        parts.append(
            _text(x + side / 2 - 1, y + side / 2 + 3, f"{share:.0%}"[:-1], anchor="middle", colour=ink)
        )
    return parts


def _text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = _INK) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text {place} font-size="12" {_FONT} fill="{colour}">{escape(words)}</text>'


def _svg(parts: Iterable[str], width: float, height: float, title: str) -> str:
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    inner = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title)}</title>\n'
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>\n{inner}\n</svg>\n'
    )
