"""Open a release folder and check that it can be trained on.

The trainer knows a dataset only through this module: the folder's tables, its checksums and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

MANIFEST_COLUMNS = ("image", "path", "split", "category", "reference")
VOTE_COLUMNS = ("image", "worker", "label")
SPLITS = ("train", "val", "test")
CHUNK = 1 << 20


class ReleaseError(ValueError):
    """A folder that is no release, or one that cannot be trained on; the message is one line for the user."""


@dataclass(frozen=True)
class Release:
    """A release, read and checked.

    `classes`: category ids in the order of their class index. `manifest`: one row per picture of the train,
    val and test splits, sorted by image, ids as text, missing labels as None. `votes` and `posteriors`: the
    release's tables, or empty frames where it carries none. `label_accuracy`: what release.json says of its
    labels (value, lo, hi, n, basis), or None. `parent`, `cost`: as it says, where it does.
    """

    path: Path
    name: str
    version: str
    fingerprint: str
    classes: tuple[str, ...]
    class_names: dict[str, str]
    manifest: pd.DataFrame
    votes: pd.DataFrame
    posteriors: pd.DataFrame
    label_accuracy: dict[str, Any] | None = None
    parent: str | None = None
    cost: dict[str, Any] | None = None

    def split(self, name: str) -> pd.DataFrame:
        """The manifest's rows of one split, sorted by image, index 0..n-1."""
        return self.manifest[self.manifest["split"] == name].reset_index(drop=True)

    def facts(self) -> dict[str, Any]:
        """What a run notes of its release, to be laid beside that of another."""
        return {
            "parent": self.parent,
            "pictures": {split: int((self.manifest["split"] == split).sum()) for split in SPLITS},
            "votes": len(self.votes),
            "label_accuracy": self.label_accuracy,
            "cost": self.cost,
        }

    def copies(self, images: Sequence[str]) -> list[list[str]]:
        """Those of `images` that show the same picture as another of them, by duplicate group, sorted."""
        if "duplicate_group" not in self.manifest:
            return []
        rows = self.manifest[self.manifest["image"].isin(images)]
        groups = rows.dropna(subset="duplicate_group").groupby("duplicate_group", sort=False)["image"]
        return sorted(sorted(map(str, members)) for _, members in groups if len(members) > 1)

    def class_index(self) -> dict[str, int]:
        """Category id -> class index."""
        return {category: index for index, category in enumerate(self.classes)}


def open_release(path: Path, verify: bool = True, workers: int = 2) -> Release:
    """Read a release folder; raise `ReleaseError` with one clear line if it cannot be used.

    `verify` re-hashes every file that SHA256SUMS lists, with `workers` threads.
    """
    sums = _read_sums(path)
    if verify:
        _verify(path, sums, workers)
    about = _read_json(path / "release.json")
    if not isinstance(about, dict) or not {"name", "version"} <= set(about):
        raise ReleaseError(f"{path / 'release.json'} names no release (needs name and version)")
    classes, names = _classes(path)
    manifest = _manifest(path, classes)
    accuracy = about.get("label_accuracy")
    release = Release(
        path=path,
        name=str(about["name"]),
        version=str(about["version"]),
        fingerprint=hashlib.sha256((path / "SHA256SUMS").read_bytes()).hexdigest(),
        classes=classes,
        class_names=names,
        manifest=manifest,
        votes=_table(path / "votes.parquet", VOTE_COLUMNS),
        posteriors=_table(path / "posteriors.parquet", ("image", "category", "probability")),
        label_accuracy=accuracy if isinstance(accuracy, dict) else None,
        parent=str(about["parent"]) if about.get("parent") else None,
        cost=about["cost"] if isinstance(about.get("cost"), dict) else None,
    )
    _check_trainable(release)
    return release


def _read_sums(path: Path) -> dict[str, str]:
    """Relative path -> SHA-256, from SHA256SUMS."""
    if not path.is_dir():
        raise ReleaseError(f"{path} is not a folder; give the folder of a release (DATASET-VERSION)")
    file = path / "SHA256SUMS"
    if not file.is_file() or not (path / "manifest.parquet").is_file():
        raise ReleaseError(f"{path} is not a release: SHA256SUMS or manifest.parquet is missing in it")
    sums: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        digest, _, name = line.partition("  ")
        inside = PurePosixPath(name)
        if len(digest) != 64 or not name or inside.is_absolute() or ".." in inside.parts:
            raise ReleaseError(f"{file} line {number} is not 'SHA-256, two spaces, path inside the release'")
        sums[name] = digest
    if "manifest.parquet" not in sums:
        raise ReleaseError(f"{file} does not list manifest.parquet; export the release again")
    return sums


def _verify(path: Path, sums: dict[str, str], workers: int) -> None:
    """Hash every listed file; the first three that differ are named."""
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        actual = list(pool.map(lambda name: _digest(path / name), sums))
    bad = [name for (name, wanted), got in zip(sums.items(), actual, strict=True) if got != wanted]
    if bad:
        missing = sum(not (path / name).is_file() for name in bad)
        shown = ", ".join(bad[:3]) + (" ..." if len(bad) > 3 else "")
        raise ReleaseError(
            f"{path} fails its checksums: {missing} missing, {len(bad) - missing} changed ({shown}); "
            "copy or export the release again"
        )


def _digest(file: Path) -> str | None:
    """SHA-256 of a file in hex; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{file} cannot be read as JSON: {error}") from None


def _classes(path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """The released categories in class order, and their names.

    Class order is the sorted order of the ids, which is ImageFolder's; parents that hold no picture carry no
    index and are no class.
    """
    rows = _read_json(path / "categories.json")
    try:
        leaves = [row for row in rows if row.get("index") is not None]
        ordered = tuple(str(row["id"]) for row in sorted(leaves, key=lambda row: int(row["index"])))
        names = {str(row["id"]): str(row.get("name") or row["id"]) for row in leaves}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ReleaseError(
            f"{path / 'categories.json'} is not a list of categories with id and index"
        ) from None
    if ordered != tuple(sorted(set(ordered))):
        raise ReleaseError(f"{path / 'categories.json'}: the class index is not the sorted order of the ids")
    if len(ordered) < 2:
        raise ReleaseError(f"{path} has {len(ordered)} class; training needs at least 2")
    return ordered, names


def _table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A Parquet table with ids as text; an absent file is an empty table."""
    if not file.is_file():
        return pd.DataFrame(columns=list(columns))
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{file} cannot be read as Parquet: {error}") from None
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ReleaseError(f"{file} has no column {', '.join(missing)}")
    for column in set(columns) - {"probability"}:
        filled = frame[column].notna()
        frame[column] = frame[column].astype(object)
        frame.loc[filled, column] = frame.loc[filled, column].astype(str)
        frame.loc[~filled, column] = None
    return frame


def _manifest(path: Path, classes: tuple[str, ...]) -> pd.DataFrame:
    frame = _table(path / "manifest.parquet", MANIFEST_COLUMNS)
    strange = sorted(set(frame["split"]) - set(SPLITS), key=str)
    if strange:
        raise ReleaseError(f"{path}: the manifest has a split {strange[0]!r}; known are {', '.join(SPLITS)}")
    if frame["image"].duplicated().any():
        twice = frame.loc[frame["image"].duplicated(), "image"].iloc[0]
        raise ReleaseError(f"{path}: image {twice} stands twice in the manifest")
    train = frame["split"] == "train"
    foreign = sorted(set(frame.loc[train, "category"].map(str)) - set(classes))
    if foreign:
        raise ReleaseError(f"{path}: train pictures of {foreign[0]!r}, which categories.json does not list")
    return frame.sort_values("image").reset_index(drop=True)


def _check_trainable(release: Release) -> None:
    """Every class has a train picture, and the test split has references."""
    present = set(release.split("train")["category"])
    empty = [category for category in release.classes if category not in present]
    if empty:
        raise ReleaseError(
            f"{release.path}: no train picture of {', '.join(empty[:5])}; nothing to learn from"
        )
    test = release.split("test")
    if test.empty:
        raise ReleaseError(f"{release.path}: the test split is empty; accuracy cannot be measured")
    if test["reference"].isna().all():
        raise ReleaseError(
            f"{release.path}: no test picture has a reference (a sealed release?): nothing to measure by"
        )
