"""What lies beside each other: the facts of every run, so that a difference can be explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.comparison.paired import Comparison, Difference
from training.comparison.runs import Run
from training.comparison.words import answers, basis, settings_changed, warnings
from training.report.page_parts import interval
from training.statistics.bootstrap import Estimate

SCHEMA = 1
NOT_SAID = "–"


def facts(comparison: Comparison) -> list[list[str]]:
    """Rows of a table: what, then its value in each run."""
    rows = [_facts_of(run, comparison.arm) for run in comparison.runs]
    lines = [[what, *(row[what] for row in rows)] for what in rows[0]]
    return [line for line in lines if set(line[1:]) != {NOT_SAID}]


def _facts_of(run: Run, arm: str) -> dict[str, str]:
    metrics, row = run.metrics, run.metrics["arms"][arm]
    about: Mapping[str, Any] = metrics.get("release_facts") or {}
    cost, votes = about.get("cost") or {}, (metrics.get("next_votes") or {}).get("votes_per_picture")
    pictures = about.get("pictures") or {}
    return {
        "release": f"{run.release['name']} {run.release['version']}",
        "train pictures": f"{row['n_train']:,}",
        "label error": interval(row.get("label_error_interval")),
        "label accuracy of the release": interval(about.get("label_accuracy")),
        "pictures of the release": f"{sum(pictures.values()):,}" if pictures else NOT_SAID,
        "votes": f"{about['votes']:,}" if about.get("votes") else NOT_SAID,
        "votes a train picture": f"{votes:.1f}" if votes else NOT_SAID,
        "cost, USD": f"{cost['usd']:,.2f}" if "usd" in cost else NOT_SAID,
        "model": str(metrics.get("model") or NOT_SAID),
        "seeds": str(len(run.seeds[arm])),
        "own test pictures": f"{len(run.labels):,}",
        "accuracy on these": interval(row["top1"]),
    }


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """What `--json` prints. Fractions 0 to 1; differences are a run less the base."""
    shared = comparison.shared
    return {
        "schema": SCHEMA,
        "base": comparison.base.name,
        "arm": comparison.arm,
        "runs": [
            {
                "name": run.name,
                "path": run.path.as_posix(),
                "release": run.release,
                "release_facts": run.metrics.get("release_facts"),
                "model": run.metrics.get("model"),
                "n_train": run.metrics["arms"][comparison.arm]["n_train"],
                "label_error": run.metrics["arms"][comparison.arm].get("label_error"),
                "test_images": len(run.labels),
            }
            for run in comparison.runs
        ],
        "settings": settings_changed(comparison),
        "test_images": {
            "shared": len(shared.images),
            "not_shared": shared.only,
            "references_differ": shared.differing,
            "different_pictures": shared.units,
        },
        "accuracy": {
            arm: {name: _rounded(estimate) for name, estimate in row.items()}
            for arm, row in comparison.accuracy.items()
        },
        "differences": [_row(row) for row in comparison.primary],
        "arms": [_row(row) for row in comparison.others],
        "categories": [_row(row) for row in comparison.categories],
        "words": answers(comparison),
        "basis": basis(comparison),
        "warnings": warnings(comparison),
    }


def _rounded(estimate: Estimate) -> dict[str, float | None]:
    """The estimate; JSON has no number for what is not known."""
    return {key: None if value != value else value for key, value in estimate.as_dict().items()}


def _row(row: Difference) -> dict[str, Any]:
    pictures, seeds, _ = row.needs or (None, None, None)
    known = len(row.difference.draws) > 0
    return {
        "run": row.run,
        "of": row.of,
        "test_images": row.n,
        "seeds": row.seeds,
        "base": round(row.base, 6),
        "other": round(row.other, 6),
        **_rounded(row.difference),
        "p": round(row.p, 6),
        "p_holm": round(row.p_holm, 6),
        "told_apart": row.told_apart,
        "smallest_difference": round(row.smallest, 6) if known else None,
        "pictures_needed": None if pictures is None else round(pictures),
        "seeds_needed": None if seeds is None else round(seeds),
    }


def text(comparison: Comparison) -> str:
    """For the terminal: the answer, what it rests on, what lies beside it, arms and categories."""
    lines = [*answers(comparison), basis(comparison), ""]
    names = [run.name for run in comparison.runs]
    lines += _columns([["", *names], *facts(comparison)])
    changed = settings_changed(comparison)
    if changed:
        lines += ["", *_columns([["setting", *names], *([key, *row] for key, row in changed.items())])]
    head = ["arm", "run", "accuracy", "minus base, points", "p"]
    table = [[row.of, row.run, *cells(row)] for row in (*comparison.primary, *comparison.others)]
    lines += ["", *_columns([head, *table])]
    told = [row for row in comparison.categories if row.told_apart]
    if told:
        table = [[row.of, row.run, *cells(row)] for row in told]
        lines += ["", *_columns([["category", *head[1:]], *table])]
    else:
        lines += ["", "no category is told apart (Holm, 5%)"]
    return "\n".join([*lines, *(f"warning: {line}" for line in warnings(comparison))])


def cells(row: Difference) -> list[str]:
    """`70.1% -> 71.4%`, the difference with its interval, Holm's p."""
    accuracy = f"{100 * row.base:.1f}% -> {100 * row.other:.1f}%"
    if not len(row.difference.draws):
        return [accuracy, f"too few: {row.n}", NOT_SAID]
    return [accuracy, interval(row.difference.as_dict(), signed=True), f"{row.p_holm:.2g}"]


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
