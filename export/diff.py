"""What changed between two release folders: pictures added and removed, labels, splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from export import layout
from export.checks import fingerprint


class UnreadableRelease(ValueError):
    """A folder that is no release. One line for the user."""


def diff_releases(old: Path, new: Path) -> dict[str, Any]:
    """`{old, new, same, added, removed, relabelled, moved, categories, votes}`; lists are sorted by image.

    `added` and `removed`: `{image, split, category}`. `relabelled`: `{image, split, old, new, old_votes,
    new_votes}` with the votes by label. `moved`: `{image, old, new}` between splits.

    Raises:
        UnreadableRelease: a folder lacks its tables.
    """
    before, after = _manifest(old), _manifest(new)
    both = before.merge(after, left_index=True, right_index=True, suffixes=("_old", "_new"))
    relabelled = both[both["category_old"] != both["category_new"]]
    moved = both[both["split_old"] != both["split_new"]]
    votes_old, votes_new = _votes(old, relabelled.index), _votes(new, relabelled.index)
    return {
        "old": {"folder": old.name, "fingerprint": fingerprint(old), "images": len(before)},
        "new": {"folder": new.name, "fingerprint": fingerprint(new), "images": len(after)},
        "same": len(both) - len(set(relabelled.index) | set(moved.index)),
        "added": _records(after.loc[~after.index.isin(before.index)], split="split", category="category"),
        "removed": _records(before.loc[~before.index.isin(after.index)], split="split", category="category"),
        "relabelled": [
            {
                **row,
                "old_votes": votes_old.get(row["image"], {}),
                "new_votes": votes_new.get(row["image"], {}),
            }
            for row in _records(relabelled, split="split_new", old="category_old", new="category_new")
        ],
        "moved": _records(moved, old="split_old", new="split_new"),
        "categories": {
            "added": sorted(set(after["category"]) - set(before["category"])),
            "removed": sorted(set(before["category"]) - set(after["category"])),
        },
        "votes": {"old": int(before["votes"].sum()), "new": int(after["votes"].sum())},
    }


def as_text(diff: dict[str, Any]) -> str:
    """The same for people."""
    old, new = diff["old"], diff["new"]
    lines = [
        f"{old['folder']} ({old['images']} images) -> {new['folder']} ({new['images']} images)",
        f"added {len(diff['added'])}, removed {len(diff['removed'])}, relabelled {len(diff['relabelled'])}, "
        f"moved between splits {len(diff['moved'])}, the same {diff['same']}",
    ]
    lines += [f"  {row['image'][:12]} {row['old']} -> {row['new']}" for row in diff["relabelled"][:20]]
    if len(diff["relabelled"]) > 20:
        lines.append(f"  … and {len(diff['relabelled']) - 20} more (--json has all)")
    return "\n".join(lines)


def _manifest(folder: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(folder / layout.MANIFEST, columns=["image", "split", "category", "votes"])
        if not (folder / layout.SUMS).is_file():
            raise UnreadableRelease(f"{folder}: no release: {layout.SUMS} is missing")
    except FileNotFoundError:
        raise UnreadableRelease(f"{folder}: no release: {layout.MANIFEST} is missing") from None
    except (OSError, pa.ArrowException) as error:
        raise UnreadableRelease(f"{folder}: {' '.join(str(error).split())[:150]}") from None
    return table.to_pandas().set_index("image").sort_index()


def _votes(folder: Path, images: pd.Index) -> dict[str, dict[str, int]]:
    """Image -> votes by label, for some images."""
    try:
        table = pq.read_table(
            folder / layout.VOTES, columns=["image", "label"], filters=[("image", "in", list(images))]
        )
    except (OSError, pa.ArrowException):
        return {}
    counts: dict[str, dict[str, int]] = {}
    for (image, label), n in table.to_pandas().groupby(["image", "label"]).size().items():
        counts.setdefault(image, {})[label] = int(n)
    return counts


def _records(frame: pd.DataFrame, **columns: str) -> list[dict[str, Any]]:
    """One dict an image: `image`, and the columns under their new names."""
    lists = {name: frame[column].tolist() for name, column in columns.items()}
    return [
        {"image": image, **{name: values[place] for name, values in lists.items()}}
        for place, image in enumerate(frame.index)
    ]
