"""Taking pictures down: a small new version that holds exactly what its parent holds, without them.

It is made from the parent's folder and not from the database, so that nothing else changes: the same
pictures, labels, votes and pseudonyms, byte for byte. This is the only way out of the test split. They never
come back, nor does a copy take their place (`export.selection.released_members`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from export import layout
from export.build import SELECTION_SCHEMA
from export.checks import fingerprint, sha256_of
from export.checks.soundness import listed
from export.models import Release, ReleaseImage, Withdrawal
from export.pictures import FromRelease
from export.places.bucket import SCHEME, BucketError, BucketFolder
from export.places.bucket_place import BucketShelf
from export.places.shelf import FolderShelf, Shelf
from export.places.workplace import Workplace
from export.selection import Filters
from export.services.find import UnknownRelease, release_folder
from export.services.making import Published, Recipe, ReleaseFailed, check_classes, make_release
from export.services.plan import Plan, ReleaseRefused, check_version
from export.tables import TableWriter, read_rows
from export.tally import Tally
from ingest.models import Dataset, Image
from ingest.progress import progress
from ingest.services.images import resolve_images

ROWS = 500


def take_down(
    dataset: Dataset, version: str, images: Sequence[str], reason: str, output: Path | str
) -> Published:
    """Publish the newest release once more without some images, and keep them out for ever.

    Args:
        images: SHA-256, or unique source paths or URLs.

    Raises:
        ReleaseRefused: a bad version, an image that the newest release does not hold, no reason.
        ReleaseFailed: the parent's folder is gone or damaged, or a class would be missing in a split.
    """
    if not reason.strip():
        raise ReleaseRefused("--reason must say why: it stands in the release")
    recorded = check_version(dataset, version)
    earlier = tuple(r for r in dataset.releases.order_by("id") if recorded is None or r.pk < recorded.pk)
    if not earlier:
        raise ReleaseRefused(f"{dataset.name} has no release to take a picture out of")
    parent = earlier[-1]
    gone = _images_of(parent, images)
    parameters = {
        **{k: v for k, v in parent.parameters.items() if k not in ("taken_down", "takedown_reason")},
        "taken_down": sorted(image.sha256 for image in gone),
        "takedown_reason": " ".join(reason.split()),
    }
    if recorded and recorded.parameters != parameters:
        raise ReleaseRefused(f"{recorded} exists already, with other parameters; choose a new version")
    plan = Plan(
        dataset=dataset,
        version=version,
        shares=dataset.shares,
        filters=Filters(),
        earlier=earlier,
        sealed=parent.sealed,
        parameters=parameters,
    )
    try:
        with _parent_files(parent) as (folder, shelf):
            recipe = Recipe(
                images=parent.counts["images"],
                choose=partial(_keep, plan, parent, folder, {image.sha256 for image in gone}),
                originals=FromRelease(shelf, parent.location),
                source=parent.fingerprint,
                inspect=lambda place: _check_same(parent, folder, place),
                told=_told(parent),
                tree=_tree(folder),
                keep=lambda release: _withdraw(release, gone),
            )
            made = make_release(plan, output, recorded, recipe)
    except BucketError as error:
        raise ReleaseFailed(str(error)) from None
    made.warnings.extend(_copies_left(made.release, gone))
    return made


def _images_of(parent: Release, names: Sequence[str]) -> list[Image]:
    resolved = resolve_images(parent.dataset, names)
    for name in names:
        if name not in resolved.found:
            several = name in resolved.ambiguous
            kind = "several images go" if several else "no image goes"
            raise ReleaseRefused(f"{kind} by the name {name} in {parent.dataset.name}")
    images = {image.pk: (name, image) for name, image in resolved.found.items()}
    held = ReleaseImage.objects.filter(release=parent, image__in=images).values_list("image_id", flat=True)
    for pk in sorted(images.keys() - set(held)):
        raise ReleaseRefused(f"{parent} does not hold {images[pk][0]}")
    if not images:
        raise ReleaseRefused("no image is named")
    return [image for _, image in images.values()]


@contextmanager
def _parent_files(parent: Release) -> Iterator[tuple[Path, Shelf]]:
    """A folder with the parent's tables, and the shelf with its pictures, on this machine or in a bucket."""
    if parent.location.startswith(SCHEME):
        target = BucketFolder.parse(parent.location)
        with TemporaryDirectory(prefix="assay-takedown-") as temporary:
            for name in (*layout.TABLES, layout.CATEGORIES, layout.SUMS):
                target.download(name, Path(temporary) / name)
            _check_parent(parent, Path(temporary))
            yield Path(temporary), BucketShelf(target)
        return
    try:
        folder = release_folder(parent.location if Path(parent.location).is_dir() else str(parent))
    except UnknownRelease as error:
        raise ReleaseFailed(f"the pictures come from {parent}: {error}") from None
    _check_parent(parent, folder)
    yield folder, FolderShelf(folder, folder)


def _check_parent(parent: Release, folder: Path) -> None:
    """Its sums are those that were published, and its tables are those that the sums list."""
    sums = dict(listed(folder / layout.SUMS)) if fingerprint(folder) == parent.fingerprint else {}
    for name in (*layout.TABLES, layout.CATEGORIES):
        if sums.get(name) != sha256_of(folder / name):
            raise ReleaseFailed(f"{parent.location} is not {parent} any more: its fingerprint differs")


def _tree(folder: Path) -> list[dict[str, Any]]:
    """The parent's categories: what was renamed, merged or split since is for the next ordinary release."""
    nodes: list[dict[str, Any]] = json.loads((folder / layout.CATEGORIES).read_text("utf-8"))
    return [{name: said for name, said in node.items() if name != "index"} for node in nodes]


def _told(parent: Release) -> dict[str, Any]:
    """What was measured for the parent holds for what is left of it, and is said to be the parent's."""
    accuracy = parent.label_accuracy
    if accuracy and "measured for" not in accuracy["basis"]:
        accuracy = {**accuracy, "basis": f"{accuracy['basis']}; measured for {parent.version}"}
    return {"label_accuracy": accuracy}


def _keep(
    plan: Plan, parent: Release, folder: Path, gone: set[str], place: Workplace, tally: Tally
) -> Iterator[dict[str, Any]]:
    """The parent's tables without some images; gives the rows of its manifest that stay."""
    tally.left_out.update(parent.counts.get("left_out", {}))
    tally.left_out["taken_down"] += len(gone)
    with (
        TableWriter(place.fresh_selection, SELECTION_SCHEMA) as selection,
        progress(total=parent.counts["images"], what="choosing", unit="image") as bar,
    ):
        for rows in _batches(read_rows(folder / layout.MANIFEST)):
            kept = list(_selected(parent, [row for row in rows if row["image"] not in gone], tally))
            selection.add(kept)
            bar.update(len(rows))
            yield from kept
    for name, schema in ((layout.VOTES, layout.VOTES_SCHEMA), (layout.POSTERIORS, layout.POSTERIORS_SCHEMA)):
        with TableWriter(place.spare / name, schema) as table:
            for rows in _batches(read_rows(folder / name)):
                left = [row for row in rows if row["image"] not in gone]
                table.add(left)
                if name == layout.VOTES:
                    tally.votes += len(left)
                    tally.workers.update(row["worker"] for row in left)
        (place.spare / name).replace(place.release / name)
    check_classes(
        plan,
        tally,
        (),
        "label others, give test pictures references, publish a new major version and take this one out of "
        f"that; until then share_release {parent} --off keeps it from everyone",
    )


def _selected(parent: Release, rows: list[dict[str, Any]], tally: Tally) -> Iterator[dict[str, Any]]:
    """Rows of the parent's manifest as rows of a selection; labels of a sealed test from the database."""
    shas = [row["image"] for row in rows]
    held = ReleaseImage.objects.filter(release=parent, image__sha256__in=shas)
    columns = ("image__sha256", "image_id", "category_id", "category__key", "confidence", "votes")
    known = {sha256: rest for sha256, *rest in held.values_list(*columns)}
    for row in rows:
        image_id, category_id, category, confidence, votes = known[row["image"]]
        tally.labels[row["split"], category] += 1
        tally.licences[row["licence"]] += 1
        tally.unknown_licences += row["licence"] == layout.UNKNOWN
        tally.hosts[urlsplit(row["source_url"] or "").hostname or "files"] += 1
        told = {"category": category, "confidence": confidence, "votes": votes}
        yield (
            {name: row.get(name) for name in SELECTION_SCHEMA.names}
            | told
            | {
                "image_id": image_id,
                "category_id": category_id,
            }
        )


def _check_same(parent: Release, folder: Path, place: Workplace) -> None:
    """Every picture is the parent's, byte for byte: damage must not become a release."""
    columns = ["image", "file_sha256"]
    before = read_rows(folder / layout.MANIFEST, columns)
    for row in read_rows(place.release / layout.MANIFEST, columns):
        if row["file_sha256"] != next(r for r in before if r["image"] == row["image"])["file_sha256"]:
            raise ReleaseFailed(
                f"the picture {row['image']} of {parent} has changed; run verify_release on it"
            )


def _withdraw(release: Release, gone: Iterable[Image]) -> None:
    reason = release.parameters["takedown_reason"]
    Withdrawal.objects.bulk_create(
        [Withdrawal(image=image, release=release, reason=reason) for image in gone], ignore_conflicts=True
    )


def _copies_left(release: Release, gone: Iterable[Image]) -> list[str]:
    groups = {image.group_id for image in gone if image.group_id}
    left = ReleaseImage.objects.filter(release=release, image__group__in=groups)
    copies = sorted(left.values_list("image__sha256", flat=True))
    return [f"{release} still holds a copy of what was taken down: {sha256}" for sha256 in copies]


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, ROWS)):
        yield batch
