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

from ingest.arguments import Arguments
from ingest.tables import BadTable, read_table

GUESSES = [f"category{n}" for n in range(1, 6)]


def score(answers: pd.DataFrame, predictions: pd.DataFrame) -> dict[str, Any]:
    """`{images, missing, unknown, top1_error, top5_error, per_category}`; errors are fractions, 0 to 1.

    Args:
        answers: columns `image`, `category`.
        predictions: `image`, `category1` and as many of `category2` … `category5` as there are.

    Raises:
        BadTable: no answers, or an image that stands twice in a table.
    """
    for name, table in (("answers", answers), ("predictions", predictions)):
        twice = table.loc[table["image"].duplicated(), "image"]
        if len(twice):
            raise BadTable(f"the {name} have {twice.iloc[0]} twice; one row an image")
    if answers.empty:
        raise BadTable("the answers hold no row")
    columns = [c for c in GUESSES if c in predictions.columns]
    merged = answers[["image", "category"]].merge(predictions[["image", *columns]], on="image", how="left")
    hits = pd.DataFrame({c: merged[c] == merged["category"] for c in columns})
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
        "missing": int(merged["category1"].isna().sum()),
        "unknown": int((~predictions["image"].isin(answers["image"])).sum()),
        "top1_error": round(float(merged["top1"].mean()), 6),
        "top5_error": round(float(merged["top5"].mean()), 6),
        "per_category": per_category,
    }


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
    if options.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        print(f"{figures['images']} images, {figures['missing']} without a prediction")
        print(f"top-1 error {figures['top1_error']:.4f}, top-5 error {figures['top5_error']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
