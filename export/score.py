"""`python -m export.score ANSWERS PREDICTIONS`: top-1 and top-5 error as ILSVRC counted them.

A picture is right at top 5 if its category is among its first five guesses (Russakovsky et al. 2015, section
4.1, with one label a picture). A picture without a prediction is wrong.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from annotation_site.figures import number_of
from ingest.arguments import Arguments
from ingest.tables import BadTable, read_table

GUESSES = [f"category{n}" for n in range(1, 6)]


def score(answers: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """`{images, missing, unknown, unknown_categories, top1_error, top5_error, per_category}`.

    Errors are fractions of the answers' images, 0 to 1. `missing`: images without a guess, which are wrong.
    `unknown`: predictions for images that are not asked for, which count for nothing. `unknown_categories`:
    guessed names that no answer has.

    Args:
        answers: columns `image`, `category`.
        predictions: `image`, `category1` and as many of `category2` … `category5` as there are; an empty
            cell is no guess.

    Raises:
        BadTable: no answers, an answer or an image without a name, an image that stands twice in a table.
    """
    answers, predictions = _checked(answers, "answers"), _checked(predictions, "predictions")
    if answers.empty:
        raise BadTable("the answers hold no row")
    empty = answers.index[answers["category"] == ""]
    if len(empty):
        raise BadTable(f"the answers give no category to {answers.loc[empty[0], 'image']}")
    columns = [c for c in GUESSES if c in predictions.columns]
    merged = answers[["image", "category"]].merge(predictions[["image", *columns]], on="image", how="left")
    guesses = merged[columns].fillna("")
    hits = guesses.eq(merged["category"], axis=0)
    merged["top1"], merged["top5"] = ~hits["category1"], ~hits.any(axis=1)
    per_category = {
        str(category): {
            "images": len(rows),
            "top1_error": round(float(rows["top1"].mean()), 6),
            "top5_error": round(float(rows["top5"].mean()), 6),
        }
        for category, rows in merged.groupby("category", sort=True)
    }
    return {
        "images": len(merged),
        "missing": int((guesses == "").all(axis=1).sum()),
        "unknown": int((~predictions["image"].isin(answers["image"])).sum()),
        "unknown_categories": len(set(guesses.to_numpy().ravel()) - {"", *answers["category"]}),
        "top1_error": round(float(merged["top1"].mean()), 6),
        "top5_error": round(float(merged["top5"].mean()), 6),
        "per_category": per_category,
    }


def _checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Every cell as text without spaces around it; one row an image."""
    table = table.fillna("").astype(str).apply(lambda column: column.str.strip())
    nameless = table.index[table["image"] == ""]
    if len(nameless):
        raise BadTable(f"the {name} have a row without an image: row {int(nameless[0]) + 2}")
    twice = table.loc[table["image"].duplicated(), "image"]
    if len(twice):
        raise BadTable(f"the {name} have {twice.iloc[0]} twice; one row an image")
    return table


def warnings_of(figures: dict[str, Any]) -> list[str]:
    """What looks like a mistake in the predictions; one line each."""
    found = []
    if figures["missing"] == figures["images"]:
        found.append("no image of the answers has a prediction: do both name images by their SHA-256?")
    elif figures["missing"]:
        found.append(f"without a prediction, and counted as wrong: {number_of(figures['missing'], 'image')}")
    if figures["unknown"]:
        found.append(f"for images that are not asked for: {number_of(figures['unknown'], 'prediction')}")
    if figures["unknown_categories"]:
        strange = number_of(figures["unknown_categories"], "category", "categories")
        found.append(
            f"guessed, and in no answer: {strange}; guesses must be category ids, not class indices or names"
        )
    return found


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 scored, 2 a table cannot be used."""
    parser = Arguments(
        prog="python -m export.score",
        description="Top-1 and top-5 error of predictions against the answers of a test split.",
        epilog="example:\n  python -m export.score answers.csv predictions.csv --json",
    )
    parser.add_argument("answers", type=Path, help="image,category (.csv, .csv.gz or .parquet)")
    parser.add_argument("predictions", type=Path, help="image,category1..category5, the best guess first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(argv)
    try:
        figures = score(
            read_table(options.answers, ["image", "category"]),
            read_table(options.predictions, ["image", "category1"]),
        )
    except BadTable as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    for warning in warnings_of(figures):
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        print(f"{number_of(figures['images'], 'image')}, {figures['missing']:,} without a prediction")
        print(f"top-1 error {figures['top1_error']:.4f}, top-5 error {figures['top5_error']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
