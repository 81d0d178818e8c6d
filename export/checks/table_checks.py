"""The rules that hold between the tables, the JSON files and the pictures of a release."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from annotation_site.figures import number_of
from export import layout
from export.sealed import is_sealed, leaks

Fault = tuple[str, str, str]
"""(rule, path, detail)."""
EXAMPLES = 3
SLACK = 1e-3
"""How far above 1 rounded probabilities may sum."""


def table_faults(
    manifest: pd.DataFrame,
    votes: pd.DataFrame,
    posteriors: pd.DataFrame,
    documents: dict[str, Any],
    pictures: dict[str, str],
    actual: dict[str, str],
    texts: dict[str, str],
) -> list[Fault]:
    """Everything wrong between the parts of a release.

    Args:
        manifest, votes, posteriors: the tables, with the columns of `export.layout`.
        documents: the parsed JSON files by name.
        pictures: path -> checksum of the picture files that are there.
        actual: path -> checksum of every file that is there.
        texts: the content of every text file by path; read for sealed releases only.
    """
    categories, release = documents[layout.CATEGORIES], documents[layout.RELEASE]
    sealed = is_sealed(release)
    # What must have a label: every picture, but for those of a sealed test split.
    open_rows = manifest[manifest["split"] != "test"] if sealed else manifest
    return [
        *_manifest_faults(manifest, pictures),
        *_split_faults(manifest),
        *class_faults(open_rows, categories, release),
        *row_faults(manifest, sealed),
        *_test_faults(manifest),
        *(_sealed_faults(manifest, votes, posteriors, release, texts) if sealed else ()),
        *_votes_faults(manifest, votes),
        *_posterior_faults(manifest, posteriors),
        *release_faults(manifest["split"].value_counts().to_dict(), release),
        *croissant_faults(documents[layout.CROISSANT], release, actual),
    ]


def _some(frame: pd.DataFrame | pd.Series, rule: str, column: str, detail: str) -> Iterator[Fault]:
    """One fault for the first few rows; a broken table has thousands of them."""
    values = list(frame[column] if isinstance(frame, pd.DataFrame) else frame)
    for value in values[:EXAMPLES]:
        yield rule, str(value), detail
    if len(values) > EXAMPLES:
        yield rule, layout.MANIFEST, f"{detail}: {number_of(len(values), 'row')} in all"


def _manifest_faults(manifest: pd.DataFrame, pictures: dict[str, str]) -> Iterator[Fault]:
    if manifest.empty:
        yield "manifest", layout.MANIFEST, "holds no picture"
        return
    yield from _some(manifest[manifest["image"].duplicated()], "manifest", "path", "its image stands twice")
    yield from _some(manifest[manifest["path"].duplicated()], "manifest", "path", "stands twice")
    if not manifest["image"].is_monotonic_increasing:
        yield "manifest", layout.MANIFEST, "is not sorted by image"
    known = set(manifest["path"])
    yield from _some(manifest[~manifest["path"].isin(pictures)], "manifest", "path", "is missing")
    extra = pd.Series(sorted(pictures.keys() - known), dtype=object)
    yield from _some(extra, "manifest", "path", "is a picture without a row")
    sums = manifest["path"].map(pictures)
    changed = manifest[sums.notna() & (sums != manifest["file_sha256"])]
    yield from _some(changed, "manifest", "path", "has another checksum than file_sha256")


def row_faults(manifest: pd.DataFrame, sealed: bool) -> Iterator[Fault]:
    """What is wrong with single rows of the manifest, whatever the others are."""
    extension = manifest["path"].str.rsplit(".", n=1).str[-1]
    folder = manifest["category"].fillna(layout.UNLABELLED)
    due = manifest["split"] + "/" + folder + "/" + manifest["image"] + "." + extension
    yield from _some(
        manifest[due != manifest["path"]],
        "manifest",
        "path",
        "is not <split>/<category>/<image>.<ext> of its row",
    )
    yield from _some(manifest[~manifest["split"].isin(layout.SPLITS)], "split", "path", "is in no split")
    # What must have a label: every picture, but for those of a sealed test split.
    open_rows = manifest[manifest["split"] != "test"] if sealed else manifest
    yield from _label_faults(open_rows)
    if not sealed:
        yield from _reference_faults(manifest)
    yield from _provenance_faults(manifest, open_rows)


def _test_faults(manifest: pd.DataFrame) -> Iterator[Fault]:
    if not (manifest["split"] == "test").any():
        yield "reference", layout.MANIFEST, "holds no test picture"


def _split_faults(manifest: pd.DataFrame) -> Iterator[Fault]:
    grouped = manifest.dropna(subset=["duplicate_group"])
    per_group = grouped.groupby("duplicate_group")["split"].nunique()
    for group in per_group.index[per_group > 1][:EXAMPLES]:
        yield "split", layout.MANIFEST, f"duplicate group {group} stands in several splits"
    # Two groups that were both in test may have merged since; test loses nobody.
    trained = grouped[grouped["split"] != "test"]
    yield from _some(
        trained[trained["duplicate_group"].duplicated()], "split", "path", "its duplicate group stands twice"
    )


def class_faults(manifest: pd.DataFrame, categories: Any, release: Any) -> Iterator[Fault]:
    """What is wrong with the classes: their indices, and splits that lack one.

    Args:
        manifest: `split,category` of labelled pictures; each pair once is enough.
    """
    try:
        index = {c["id"]: c["index"] for c in categories}
    except (TypeError, KeyError):
        yield "classes", layout.CATEGORIES, "is no list of {id, name, gloss, parent, synonyms, index}"
        return
    classes = sorted(manifest["category"].dropna().unique())
    due = {category: place for place, category in enumerate(classes)}
    for category in classes:
        if index.get(category) != due[category]:
            yield "classes", layout.CATEGORIES, f"{category} must have index {due[category]}"
    surplus = [c for c, place in index.items() if place is not None and c not in due]
    for category in surplus[:EXAMPLES]:
        yield "classes", layout.CATEGORIES, f"{category} has an index and no picture"
    there = set(zip(manifest["split"], manifest["category"], strict=True))
    for split in splits_due(release):
        for category in classes:
            if (split, category) not in there:
                yield "classes", f"{split}/{category}", "has no picture"


def splits_due(release: Any) -> tuple[str, ...]:
    """The splits that must show every class: val may have a share of nothing, a sealed test shows none."""
    parameters = release.get("parameters") if isinstance(release, dict) else None
    shares = str((parameters or {}).get("splits", "")).split("/")
    empty = {"val"} if len(shares) == 3 and shares[1].strip() == "0" else set()
    if is_sealed(release):
        empty.add("test")
    return tuple(split for split in layout.SPLITS if split not in empty)


def _label_faults(manifest: pd.DataFrame) -> Iterator[Fault]:
    unlabelled = manifest["category"].isna() | manifest["category"].isin([layout.NONE, ""])
    yield from _some(manifest[unlabelled], "label", "path", "has no category")
    sure = manifest["confidence"]
    yield from _some(manifest[(sure < 0) | (sure > 1)], "label", "path", "its confidence is no probability")
    yield from _some(
        manifest[sure.isna() & (manifest["split"] != "test")],
        "label",
        "path",
        "is a label without a confidence",
    )


def _reference_faults(manifest: pd.DataFrame) -> Iterator[Fault]:
    test = manifest[manifest["split"] == "test"]
    yield from _some(
        test[test["reference"].isna()], "reference", "path", "stands in test without a reference"
    )
    differs = test[test["reference"].notna() & (test["reference"] != test["category"])]
    yield from _some(differs, "reference", "path", "stands in test under another category than its reference")


def _provenance_faults(manifest: pd.DataFrame, open_rows: pd.DataFrame) -> Iterator[Fault]:
    for column, rows in (("source_url", open_rows), ("licence", manifest)):
        bare = rows[rows[column].isna() | (rows[column] == "")]
        yield from _some(bare, "provenance", "path", f"has no {column}")


def _sealed_faults(
    manifest: pd.DataFrame, votes: pd.DataFrame, posteriors: pd.DataFrame, release: Any, texts: dict[str, str]
) -> Iterator[Fault]:
    for path, detail in leaks(manifest, votes, posteriors, texts):
        yield "sealed", path, detail
    if not tells_answers(release, int((manifest["split"] == "test").sum())):
        yield "sealed", layout.RELEASE, "does not say where as many answers as test pictures are"


def tells_answers(release: Any, test: int) -> bool:
    """Whether release.json names the answers of so many sealed pictures."""
    told = release.get("answers")
    return isinstance(told, dict) and told.get("images") == test and len(str(told.get("sha256"))) == 64


def _votes_faults(manifest: pd.DataFrame, votes: pd.DataFrame) -> Iterator[Fault]:
    strangers = votes[~votes["image"].isin(manifest["image"])]
    if len(strangers):
        yield "votes", layout.VOTES, f"images that are not released have {number_of(len(strangers), 'vote')}"
    if votes[["image", "worker", "label"]].isna().any(axis=None):
        yield "votes", layout.VOTES, "some votes lack image, worker or label"
    cast = manifest["image"].map(votes.groupby("image").size()).fillna(0)
    yield from _some(
        manifest[cast != manifest["votes"]], "votes", "path", "has another number of votes in votes.parquet"
    )


def _posterior_faults(manifest: pd.DataFrame, posteriors: pd.DataFrame) -> Iterator[Fault]:
    if (~posteriors["image"].isin(manifest["image"])).any():
        yield "posteriors", layout.POSTERIORS, "some soft labels are for images that are not released"
    if posteriors.duplicated(["image", "category"]).any():
        yield "posteriors", layout.POSTERIORS, "an image has two probabilities for one category"
    chance = posteriors["probability"]
    if chance.isna().any() or (chance < 0).any() or (chance > 1).any():
        yield "posteriors", layout.POSTERIORS, "some probabilities are none"
    if (posteriors.groupby("image")["probability"].sum() > 1 + SLACK).any():
        yield "posteriors", layout.POSTERIORS, "some images' probabilities sum to more than 1"


def release_faults(there: dict[Any, int], release: Any) -> Iterator[Fault]:
    """What release.json says wrongly of a folder with so many pictures in each split."""
    wanted = ("name", "version", "parent", "parameters", "counts", "label_accuracy", "cost", "code_version")
    if not isinstance(release, dict) or any(key not in release for key in wanted):
        yield "release", layout.RELEASE, f"must have {', '.join(wanted)}"
        return
    try:
        layout.parse_version(release["version"])
    except (ValueError, TypeError) as error:
        yield "release", layout.RELEASE, str(error)
    for split in layout.SPLITS:
        if (release["counts"] or {}).get(split, 0) != int(there.get(split, 0)):
            yield "release", layout.RELEASE, f"counts {split} otherwise than the manifest"


def croissant_faults(croissant: Any, release: Any, actual: dict[str, str]) -> Iterator[Fault]:
    """What croissant.json says wrongly of the files that are there."""
    if not isinstance(croissant, dict) or croissant.get("name") != release.get("name"):
        yield "croissant", layout.CROISSANT, "does not name this dataset"
        return
    for part in croissant.get("distribution", []):
        path, said = part.get("contentUrl"), part.get("sha256")
        if path in actual and said != actual[path]:
            yield "croissant", layout.CROISSANT, f"has another checksum for {path}"
