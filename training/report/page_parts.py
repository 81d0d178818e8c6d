"""Small pieces of the report: figures with their intervals as text, tables, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from annotation_site.figures import points


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent; an en dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.{digits}f}%"


def interval(row: Mapping[str, Any] | None, signed: bool = False) -> str:
    """`71.2% (69.0 to 73.3)`; signed figures are differences in points."""
    if row is None:
        return "–"
    if signed:
        return f"{points(row['value'])} ({points(row['lo'])} to {points(row['hi'])})"
    return f"{100 * row['value']:.1f}% ({100 * row['lo']:.1f} to {100 * row['hi']:.1f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], main: int | None = None) -> str:
    """An HTML table of escaped text; row `main` is set in bold."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr{' class=main' if index == main else ''}>"
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for index, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(source: str, caption: str) -> str:
    """A plot with a text for those who cannot see it."""
    return f'<figure><img class="plot" src="{source}" alt="{escape(caption)}"></figure>'


def section(title: str, words: str, *blocks: str) -> str:
    """A heading, a paragraph that answers it, and what it rests on."""
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>{''.join(blocks)}"


def note(words: str) -> str:
    """A remark in soft grey."""
    return f'<p class="soft">{escape(words)}</p>'


def listing(facts: Mapping[str, Any], columns: int = 3) -> str:
    """Names and values, in columns; lists as `a, b`, switches as yes and no."""
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(_spelt(value))}</dd></div>" for name, value in facts.items()
    )
    return f"<dl{' class=wide' if columns == 1 else ''}>{rows}</dl>"


def _spelt(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else str(value)
