"""Sealed releases: test pictures without their labels, and the answers in a file beside the release.

Inside the release nothing says what a test picture shows: no category, reference or confidence, no votes and
soft labels, and no address where it was found, because addresses and paths name categories as often as not.
Its licence and author stay: who shows a picture must name them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from annotation_site.figures import number_of
from export import layout

_HIDDEN = ("category", "confidence", "reference", "source_url", "page_url")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sealed_row(row: dict[str, Any]) -> dict[str, Any]:
    """A manifest row of a test picture without what gives its label away."""
    return {**row, **dict.fromkeys(_HIDDEN), "votes": 0}


def answers(rows: Iterable[dict[str, Any]]) -> bytes:
    """The answers as CSV, `image,category`, of the selection's test rows; what `export.score` reads."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["image", "category"])
    out.writerows([row["image"], row["category"]] for row in rows if row["split"] == "test")
    return text.getvalue().encode()


def is_sealed(release: Any) -> bool:
    """Whether release.json says that the release is sealed."""
    parameters = release.get("parameters") if isinstance(release, dict) else None
    return isinstance(parameters, dict) and bool(parameters.get("sealed"))


def names_of(text: str) -> set[str]:
    """Every SHA-256 that a text names."""
    return set(_SHA256.findall(text))


def leaks(
    manifest: pd.DataFrame,
    votes: pd.DataFrame | None,
    posteriors: pd.DataFrame | None,
    texts: dict[str, str],
) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) of everything in a sealed release that tells of a test picture's label.

    Args:
        manifest: its rows, or some of them.
        votes, posteriors: the tables, None where they are looked at elsewhere.
        texts: every other text file of the release, by path.
    """
    test = manifest[manifest["split"] == "test"]
    for column in (*_HIDDEN, "votes"):
        told = test[column].notna() & (test[column] != 0)
        if told.any():
            pictures = number_of(int(told.sum()), "sealed test picture")
            yield layout.MANIFEST, f"tells the {column} of {pictures}"
    extra = sorted(set(manifest.columns) - set(layout.MANIFEST_SCHEMA.names))
    if extra:
        yield layout.MANIFEST, f"has the column {extra[0]}, which a sealed release must not have"
    for name, table in ((layout.VOTES, votes), (layout.POSTERIORS, posteriors)):
        told = table["image"].isin(test["image"]) if table is not None else pd.Series(dtype=bool)
        if told.any():
            yield name, f"has {number_of(int(told.sum()), 'row')} of sealed test pictures"
    images = set(test["image"])
    for path, text in sorted(texts.items()):
        if not images.isdisjoint(names_of(text)):
            yield path, "names sealed test pictures"
