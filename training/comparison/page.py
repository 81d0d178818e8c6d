"""A comparison as one self-contained page; the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.axes import Axes

from training.comparison.changes import cells, facts
from training.comparison.paired import Comparison, Difference
from training.comparison.runs import Run
from training.comparison.words import answers, basis, categories_told, settings_changed, warnings
from training.report import CSS
from training.report.page_parts import figure, note, section, table
from training.report.plots import ACCENT, INK, SOFT, draw

MOST_DRAWN = 24


def render(comparison: Comparison) -> str:
    """The page as text."""
    names = [run.name for run in comparison.runs]
    title = f"{' and '.join(names)} compared" if len(names) == 2 else f"{names[0]} and what came after it"
    told = "".join(f'<p class="answer">{escape(line)}</p>' for line in answers(comparison))
    marked = "".join(f'<p class="warn">Note: {escape(line)}.</p>' for line in warnings(comparison))
    parts = [
        f"{told}{note(basis(comparison))}{marked}",
        _beside(comparison, names),
        _arms(comparison),
        *(_categories(comparison, run) for run in comparison.runs[1:]),
        _repeat(comparison),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{CSS}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def _beside(comparison: Comparison, names: list[str]) -> str:
    changed = settings_changed(comparison)
    rows = [[key, *values] for key, values in changed.items()]
    settings = table(("setting", *names), rows) if rows else note("All settings are the same.")
    return f"<h2>What changed</h2>{table(('', *names), facts(comparison))}{settings}"


def _arms(comparison: Comparison) -> str:
    rows = [[row.of, row.run, *cells(row)] for row in (*comparison.primary, *comparison.others)]
    head = ("arm", "run", "accuracy", f"minus {comparison.base.name}, points", "p")
    plot = figure(_history(comparison), "Accuracy of each arm in each run, on the shared test pictures")
    words = (
        f"On the shared test pictures, with all seeds of each run; {comparison.arm} was named before, the p "
        "of other arms is Holm's."
    )
    main = list(range(len(comparison.primary)))
    return section("Accuracy", words, plot, table(head, rows, main[0] if len(main) == 1 else None))


def _history(comparison: Comparison) -> str:
    """Accuracy against runs in their order, an interval each for the named arm, other arms thin."""
    names = [run.name for run in comparison.runs]

    def paint(axes: Axes) -> None:
        x = np.arange(len(names))
        last = []
        for arm, row in comparison.accuracy.items():
            middle = [100 * row[name].value for name in names]
            last.append((middle[-1], arm))
            if arm != comparison.arm:
                axes.plot(x, middle, color=SOFT, linewidth=0.9, marker="o", markersize=2.5)
                continue
            ends = ([100 * row[name].lo for name in names], [100 * row[name].hi for name in names])
            axes.vlines(x, *ends, color=ACCENT, linewidth=1.6, zorder=3)
            axes.plot(x, middle, color=ACCENT, linewidth=1.8, marker="o", markersize=5, zorder=4)
        low, high = axes.get_ylim()
        gap, at = 0.055 * (high - low), -np.inf
        for value, arm in sorted(last):
            at = max(value, at + gap)  # names of close lines are moved apart
            named = arm == comparison.arm
            axes.text(
                x[-1] + 0.06 * len(x),
                at,
                arm,
                va="center",
                color=ACCENT if named else INK,
                weight="bold" if named else "normal",
            )
        axes.set_xticks(x, names)
        axes.set_xlim(-0.3, x[-1] + 0.3)
        axes.set_ylabel("test accuracy, %")

    return draw(min(7.6, 3.6 + 0.8 * len(names)), 3.4, paint)


def _categories(comparison: Comparison, run: Run) -> str:
    rows = [row for row in comparison.categories if row.run == run.name]
    drawn = sorted(
        (row for row in rows if len(row.difference.draws)), key=lambda row: -abs(row.difference.value)
    )[:MOST_DRAWN]
    lines = [[row.of, f"{row.n:,}", *cells(row)] for row in rows]
    head = ("category", "test pictures", "accuracy", "points", "p")
    plot = figure(_differences(drawn), "Difference of each category, with its interval") if drawn else ""
    title = f"Categories: {run.name} minus {comparison.base.name}"
    return section(title, categories_told(comparison, run), plot, table(head, lines))


def _differences(rows: Sequence[Difference]) -> str:
    """Categories below each other, the largest change first; sure ones in colour."""

    def paint(axes: Axes) -> None:
        axes.axvline(0, color=SOFT, linewidth=1, linestyle=":")
        for at, row in enumerate(rows):
            colour = ACCENT if row.told_apart else INK
            axes.hlines(at, 100 * row.difference.lo, 100 * row.difference.hi, color=colour, linewidth=1.2)
            axes.plot(100 * row.difference.value, at, "o", color=colour, markersize=4.5)
        axes.set_yticks(range(len(rows)), [row.of for row in rows])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("points of test accuracy (blue: told apart)")

    return draw(6.4, 0.9 + 0.24 * len(rows), paint)


def _repeat(comparison: Comparison) -> str:
    rows = [[run.name, run.path.as_posix(), str(run.release["fingerprint"])[:16]] for run in comparison.runs]
    commands = "\n".join(str(run.metrics["command"]) for run in comparison.runs if run.metrics.get("command"))
    paths = " ".join(run.path.as_posix() for run in comparison.runs)
    again = f"python -m training.compare {paths} --arm {comparison.arm}"
    return (
        f"<h2>How to repeat it</h2><pre>{escape(commands)}\n{escape(again)}</pre>"
        f"{table(('run', 'folder', 'release fingerprint'), rows)}"
    )
