"""What changed between two release folders: pictures, labels, splits, categories, accuracy.

Both manifests are sorted by image and are read side by side, a few thousand rows at a time. Changes are kept
in files until they are printed, so that releases of any size need the same memory.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from annotation_site.figures import number_of
from export import layout
from export.diff.category_changes import category_changes, sentences
from export.diff.removals import WHY, Removals
from export.reader import ReleaseFolder, UnreadableRelease, rows_in, sorted_rows
from ingest.progress import progress

KINDS = ("added", "removed", "relabelled", "moved")
HEAD = 100
"""Changes of each kind that are at hand without reading them all."""
SHOWN = 20
BLOCK = 1_000
"""Relabelled and removed pictures that are looked up together."""
_COLUMNS = ["image", "split", "category", "confidence", "votes", "path", "duplicate_group", "licence"]
_COLUMNS += ["file_sha256"]

Row = dict[str, Any]
Reasons = Callable[[list[str]], dict[str, Row]]
"""Images that are gone -> `{why, …}` for those of which somebody (the database) knows it."""


def diff_releases(old: Path, new: Path, reasons: Reasons = lambda images: {}) -> ReleaseDiff:
    """Compare two folders; use the result as a context manager.

    Args:
        reasons: what is known of why pictures left, beside what the folders themselves tell.

    Raises:
        UnreadableRelease: a folder is no release, or its tables cannot be read.
    """
    found = ReleaseDiff(ReleaseFolder(old), ReleaseFolder(new))
    try:
        _compare(found, reasons)
    except BaseException:
        found.close()
        raise
    return found


class ReleaseDiff:
    """What changed. `counts`: changes by kind, `same`, and `rewritten`: pictures in both whose files differ,
    as the pixels of one release were made smaller. `heads`: the first `HEAD` of each kind.

    `added`: `{image, split, category}`; `removed`: the same and `why` (a key of `removals.WHY`, or None where
    nobody knows). `relabelled`: `{image, split, old, new, old_confidence, new_confidence, old_votes,
    new_votes}`, the votes by label. `moved`: `{image, old, new}` between splits. All sorted by image.
    `flow`: (old category, new category) -> pictures in both. `paths`: (kind, image) of `heads` -> where the
    picture is, in the newest folder that has it.
    """

    def __init__(self, old: ReleaseFolder, new: ReleaseFolder) -> None:
        self.old, self.new = old, new
        self.counts: Counter[str] = Counter()
        self.heads: dict[str, list[Row]] = {kind: [] for kind in KINDS}
        self.paths: dict[tuple[str, str], str] = {}
        self.whys: Counter[str] = Counter()
        self.flow: Counter[tuple[str, str]] = Counter()
        self.votes = {"old": 0, "new": 0}
        self._folder = tempfile.TemporaryDirectory(prefix="diff-")
        self._kept = {kind: (Path(self._folder.name) / kind).open("w+", encoding="utf-8") for kind in KINDS}

    def add(self, kind: str, change: Row, path: str) -> None:
        """Keep one more change."""
        self.counts[kind] += 1
        if len(self.heads[kind]) < HEAD:
            self.heads[kind].append(change)
            self.paths[kind, change["image"]] = path
        self._kept[kind].write(json.dumps(change, ensure_ascii=False) + "\n")

    def changes(self, kind: str) -> Iterator[Row]:
        """All changes of a kind."""
        file = self._kept[kind]
        file.seek(0)
        for line in file:
            yield json.loads(line)

    def categories(self) -> Row:
        """As `export.diff.category_changes` has it."""
        return category_changes(self.old.tree, self.new.tree, self.flow)

    def summary(self) -> Row:
        """Everything but the lists of pictures."""
        return {
            "old": _about(self.old, self.votes["old"]),
            "new": _about(self.new, self.votes["new"]),
            "same": self.counts["same"],
            "rewritten": self.counts["rewritten"],
            "counts": {kind: self.counts[kind] for kind in KINDS},
            "why_removed": dict(sorted(self.whys.items())),
            "categories": self.categories(),
        }

    def as_dict(self) -> Row:
        """All of it, in memory: for releases that differ a little."""
        return self.summary() | {kind: list(self.changes(kind)) for kind in KINDS}

    def write_json(self, write: Callable[[str], object]) -> None:
        """All of it as one line of JSON, change by change."""
        write(json.dumps(self.summary(), ensure_ascii=False)[:-1])
        for kind in KINDS:
            write(f', "{kind}": [')
            for place, change in enumerate(self.changes(kind)):
                write(("," if place else "") + json.dumps(change, ensure_ascii=False))
            write("]")
        write("}\n")

    def close(self) -> None:
        """Give the files back."""
        for file in self._kept.values():
            file.close()
        self._folder.cleanup()

    def __enter__(self) -> ReleaseDiff:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _about(release: ReleaseFolder, votes: int) -> Row:
    counts = release.about.get("counts") or {}
    return {
        "folder": release.path.name,
        "name": release.about["name"],
        "version": release.about["version"],
        "parent": release.about.get("parent"),
        "fingerprint": release.fingerprint,
        "images": len(release),
        "splits": {split: counts.get(split, 0) for split in layout.SPLITS},
        "votes": votes,
        "label_accuracy": release.about.get("label_accuracy"),
        "parameters": release.about.get("parameters") or {},
    }


def _compare(found: ReleaseDiff, reasons: Reasons) -> None:
    removed: list[Row] = []
    relabelled: list[tuple[Row, Row]] = []
    lookup = Removals(found.old, found.new)
    for before, after in _side_by_side(found):
        if before is None:
            assert after is not None
            change = {"image": after["image"], "split": after["split"], "category": after["category"]}
            found.add("added", change, after["path"])
            continue
        if after is None:
            removed.append(before)
        else:
            _compare_rows(found, before, after, relabelled)
        if len(removed) == BLOCK:
            _add_removed(found, removed, lookup, reasons)
            removed.clear()
        if len(relabelled) == BLOCK:
            _add_relabelled(found, relabelled)
            relabelled.clear()
    _add_removed(found, removed, lookup, reasons)
    _add_relabelled(found, relabelled)


def _side_by_side(found: ReleaseDiff) -> Iterator[tuple[Row | None, Row | None]]:
    """The rows of both manifests, image by image."""
    left, right = _rows(found.old, "reading the old release"), _rows(found.new, "reading the new release")
    before, after = next(left, None), next(right, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before["image"] < after["image"]):
            assert before is not None
            found.votes["old"] += before["votes"] or 0
            yield before, None
            before = next(left, None)
            continue
        found.votes["new"] += after["votes"] or 0
        if before is None or after["image"] < before["image"]:
            yield None, after
        else:
            found.votes["old"] += before["votes"] or 0
            yield before, after
            before = next(left, None)
        after = next(right, None)


def _rows(release: ReleaseFolder, what: str) -> Iterator[Row]:
    rows = rows_in(release.path, layout.MANIFEST, _COLUMNS)
    watched = progress(rows, total=len(release), what=what, unit="image")
    return sorted_rows(watched, str(release.path / layout.MANIFEST))


def _compare_rows(found: ReleaseDiff, before: Row, after: Row, relabelled: list[tuple[Row, Row]]) -> None:
    changed = False
    # A label that a sealed release keeps back is not another label.
    if before["category"] is not None and after["category"] is not None:
        found.flow[before["category"], after["category"]] += 1
        if before["category"] != after["category"]:
            relabelled.append((before, after))
            changed = True
    if before["split"] != after["split"]:
        change = {"image": after["image"], "old": before["split"], "new": after["split"]}
        found.add("moved", change, after["path"])
        changed = True
    found.counts["same"] += not changed
    found.counts["rewritten"] += before["file_sha256"] != after["file_sha256"]


def _add_removed(found: ReleaseDiff, rows: list[Row], lookup: Removals, reasons: Reasons) -> None:
    known = reasons([row["image"] for row in rows]) if rows else {}
    for row in rows:
        why = known.get(row["image"]) or lookup.why(row)
        change = {"image": row["image"], "split": row["split"], "category": row["category"]}
        found.whys[why["why"] or "unknown"] += 1
        found.add("removed", change | why, row["path"])


def _add_relabelled(found: ReleaseDiff, pairs: list[tuple[Row, Row]]) -> None:
    images = [after["image"] for _, after in pairs]
    old, new = _votes(found.old.path, images), _votes(found.new.path, images)
    for before, after in pairs:
        change = {
            "image": after["image"],
            "split": after["split"],
            "old": before["category"],
            "new": after["category"],
            "old_confidence": before["confidence"],
            "new_confidence": after["confidence"],
            "old_votes": old.get(after["image"], {}),
            "new_votes": new.get(after["image"], {}),
        }
        found.add("relabelled", change, after["path"])


def _votes(folder: Path, images: list[str]) -> dict[str, dict[str, int]]:
    """Image -> votes by label; images that are near each other in order stand in few row groups."""
    if not images:
        return {}
    try:
        wanted = [[("image", ">=", images[0]), ("image", "<=", images[-1]), ("image", "in", images)]]
        table = pq.read_table(folder / layout.VOTES, columns=["image", "label"], filters=wanted)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableRelease(f"{folder / layout.VOTES}: {' '.join(str(error).split())[:150]}") from None
    counted = table.group_by(["image", "label"]).aggregate([("label", "count")])
    counts: dict[str, dict[str, int]] = {}
    for row in counted.sort_by([("image", "ascending"), ("label", "ascending")]).to_pylist():
        counts.setdefault(row["image"], {})[row["label"]] = row["label_count"]
    return counts


def as_text(diff: ReleaseDiff) -> str:
    """The same for people."""
    told = diff.summary()
    old, new, counts = told["old"], told["new"], told["counts"]
    lines = [
        f"{old['folder']} ({number_of(old['images'], 'image')}) -> "
        f"{new['folder']} ({number_of(new['images'], 'image')})",
        f"added {counts['added']:,}, removed {counts['removed']:,}, relabelled {counts['relabelled']:,}, "
        f"moved between splits {counts['moved']:,}, the same {told['same']:,}",
        f"votes {old['votes']:,} -> {new['votes']:,}; label accuracy {accuracy(old)} -> {accuracy(new)}",
    ]
    if told["rewritten"]:
        lines.append(f"other pixels or another encoding: {number_of(told['rewritten'], 'picture')}")
    lines += [f"{name}: {was} -> {now}" for name, was, now in other_parameters(old, new)]
    lines += sentences(told["categories"])
    lines += [
        f"  removed {n}: {WHY.get(why, 'no reason on record')}" for why, n in told["why_removed"].items()
    ]
    lines += [f"  {row['image'][:12]} {relabelling(row)}" for row in islice(diff.heads["relabelled"], SHOWN)]
    if counts["relabelled"] > SHOWN:
        lines.append(f"  … and {counts['relabelled'] - SHOWN} more (--json has all)")
    return "\n".join(lines)


def other_parameters(old: Row, new: Row) -> list[tuple[str, str, str]]:
    """(name, old, new) of the parameters in which two releases differ, in few words."""
    before, after = old["parameters"], new["parameters"]
    told = ((key, str(before.get(key, "–")), str(after.get(key, "–"))) for key in sorted({**before, **after}))
    return [(key.replace("_", " "), was[:60], now[:60]) for key, was, now in told if was != now]


def relabelling(row: Row) -> str:
    """`cat (0.81; 3 cat, 1 dog) -> dog (0.93; 2 cat, 5 dog)`."""
    parts = []
    for side in ("old", "new"):
        sure = row[f"{side}_confidence"]
        votes = ", ".join(f"{n} {label}" for label, n in row[f"{side}_votes"].items()) or "no votes"
        parts.append(f"{row[side]} ({'' if sure is None else f'{sure:.2f}; '}{votes})")
    return " -> ".join(parts)


def accuracy(about: Row) -> str:
    """`97.1% (95.2% to 98.3%)`, or that it is unknown."""
    found = about["label_accuracy"]
    return f"{found['value']:.1%} ({found['lo']:.1%} to {found['hi']:.1%})" if found else "unknown"
