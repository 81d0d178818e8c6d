"""Splits that a set brings along (`--split-file`): a table `image,split`, and draws that agree with it.

A duplicate group's draw in [0, 1) decides its split everywhere (`ingest.splits`). Where a set brings its own
splits, the draws of the groups that it names are moved into the stretch of their split, in order, so that
everything that reads draws (gold that keeps out of test, merges in which the most protected split wins) goes
on as if they had been drawn so.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from export.layout import SPLITS
from ingest.splits import Shares, split_of
from ingest.tables import BadTable, read_table


def read_split_file(path: Path) -> dict[str, str]:
    """Image (as the file names it) -> split.

    Raises:
        BadTable: no such table, no column `image` or `split`, another split than train, val and test, an
            image that is named twice with different splits, or no row at all.
    """
    frame = read_table(path, ["image", "split"])
    images = [str(image).strip() for image in frame["image"]]
    splits = [str(split).strip().lower() for split in frame["split"]]
    found: dict[str, str] = {}
    for row, (image, split) in enumerate(zip(images, splits, strict=True), start=2):
        if split not in SPLITS:
            raise BadTable(f"{path}: row {row}: {split!r} is no split; they are train, val and test")
        if not image:
            raise BadTable(f"{path}: row {row} names no image")
        if found.setdefault(image, split) != split:
            raise BadTable(f"{path}: row {row}: {image} is named twice, for {found[image]} and {split}")
    if not found:
        raise BadTable(f"{path}: holds no row")
    return found


def digest(splits: Iterable[tuple[str, str]]) -> str:
    """What stands for (SHA-256 of an image, split) pairs in release.json, whatever the file called them."""
    lines = sorted(f"{image},{split}\n" for image, split in splits)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def without_share(splits: Iterable[str], shares: Shares) -> list[tuple[str, int]]:
    """(split, pictures) for splits that the file fills and the shares leave nothing."""
    given = Counter(splits)
    return [(split, given[split]) for split in SPLITS if given[split] and not getattr(shares, split)]


def moved_draw(draw: float, split: str, shares: Shares) -> float:
    """The draw that puts a group into `split`; one that does so already stays as it is."""
    if split_of(draw, shares) == split:
        return draw
    lo = {"test": 0.0, "val": shares.test, "train": shares.test + shares.val}[split]
    hi = {"test": shares.test, "val": shares.test + shares.val, "train": 1.0}[split]
    return max(lo, min(lo + draw * (hi - lo), math.nextafter(hi, 0.0)))
