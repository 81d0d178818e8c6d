"""Publishing a release.

Order of steps, so that a kill at any moment does no harm:

1. Choose: write the selection, the votes and the soft labels beside the final name.
2. Copy the pictures there, write the other files, check it all by the rules of `verify_release`.
3. One transaction: the Release and its ReleaseImages (and the dataset's shares at its first release). From
   now on the database keeps these test pictures in test.
4. Rename the folder to its final name.

Killed before 3, nothing is published; the next run goes on with the pictures that are there. Killed between 3
and 4, the next run of the same command makes the same bytes (a fingerprint says so) and renames them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from export import layout
from export.build import UnreadablePicture, remove_strangers, write_pictures
from export.checks import check_release, files_to_check, fingerprint
from export.models import Release, ReleaseImage
from export.selection import Filters
from export.services.choose import Plan, Tally, choose
from export.services.describe import describe, warnings_of
from export.tables import read_rows
from export.workplace import Busy, Workplace
from ingest.models import Dataset
from ingest.progress import progress
from ingest.splits import Shares
from ingest.storage import open_store

ROWS = 2_000


class ReleaseRefused(ValueError):
    """The arguments make no release; one line for the user. Nothing was changed."""


class ReleaseFailed(RuntimeError):
    """The data make no release; one line for the user. Nothing was published."""


@dataclass(frozen=True)
class Published:
    """A finished release; `again` where the same release was only written once more."""

    folder: Path
    release: Release
    warnings: list[str]
    again: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As `export_release --json` prints it."""
        release = self.release
        return {
            "release": str(release),
            "folder": str(self.folder),
            "fingerprint": release.fingerprint,
            "parent": release.parent.version if release.parent else None,
            "counts": release.counts,
            "label_accuracy": release.label_accuracy,
            "again": self.again,
            "warnings": self.warnings,
        }


def publish_release(
    dataset: Dataset, version: str, output: Path, *, splits: str | None = None, filters: Filters | None = None
) -> Published:
    """Write `output/<name>-<version>/` and record it.

    A version that is recorded already can be written once more to a place where it is not, as long as the
    database still gives the same bytes.

    Args:
        splits: train/val/test in percent; left out, the dataset's own.
        filters: what train and val ask of a label.

    Raises:
        ReleaseRefused: a bad or taken version, other shares than before, an output that is no folder.
        ReleaseFailed: a class is missing in a split, an original is gone, ...
    """
    filters = filters or Filters()
    recorded = _check_version(dataset, version)
    shares = _check_splits(dataset, splits, recorded)
    final = Path(output).absolute() / layout.folder_name(dataset.name, version)
    if os.path.lexists(final):
        raise ReleaseRefused(f"{final} exists already; choose a new version, or another --output")
    earlier = dataset.releases.order_by("id")
    if recorded:
        earlier = earlier.filter(pk__lt=recorded.pk)
    plan = Plan(dataset, version, shares, filters, tuple(earlier))
    parameters = _parameters(plan, splits or dataset.splits)
    if recorded and recorded.parameters != parameters:
        raise ReleaseRefused(f"{recorded} exists already, with other parameters; choose a new version")
    try:
        with Workplace(final) as place:
            return _publish(plan, place, parameters, recorded)
    except Busy as error:
        raise ReleaseFailed(str(error)) from None


def _check_version(dataset: Dataset, version: str) -> Release | None:
    """The release of this version where it is recorded; versions only grow."""
    try:
        wanted = layout.parse_version(version)
    except ValueError as error:
        raise ReleaseRefused(str(error)) from None
    releases = {layout.parse_version(r.version): r for r in dataset.releases.all()}
    if wanted in releases:
        return releases[wanted]
    if releases and max(releases) > wanted:
        newest = releases[max(releases)].version
        raise ReleaseRefused(f"versions only grow: {dataset.name} is at {newest} already, so not {version}")
    return None


def _check_splits(dataset: Dataset, splits: str | None, recorded: Release | None) -> Shares:
    if splits is None:
        return dataset.shares
    try:
        shares = Shares.parse(splits)
    except ValueError as error:
        raise ReleaseRefused(str(error)) from None
    if shares != dataset.shares and (recorded or dataset.releases.exists()):
        raise ReleaseRefused(
            f"{dataset.name} has releases split {dataset.splits}; pictures never move, so --splits must stay"
        )
    return shares


def _parameters(plan: Plan, splits: str) -> dict[str, Any]:
    return {
        "splits": "/".join(str(int(part)) for part in splits.split("/")),
        "min_confidence": plan.filters.min_confidence,
        "min_votes": plan.filters.min_votes,
    }


def _publish(plan: Plan, place: Workplace, parameters: dict[str, Any], recorded: Release | None) -> Published:
    if recorded and _left_complete(place, recorded):
        _check_folder(place)
        return _finished(place, recorded, [], again=True)
    place.begin()
    try:
        with progress(total=plan.dataset.images.count(), what="choosing", unit="image") as bar:
            tally = choose(plan, place, bar.update)
        _check_tally(plan, tally)
        place.settle_selection()
        _copy(place, tally)
        document = describe(plan, place, tally, parameters)
        mark = _check_folder(place)
        if recorded and recorded.fingerprint != mark:
            raise ReleaseRefused(
                f"{recorded} exists already, and the database has changed since; choose a new version"
            )
    except Exception:
        # What a kill leaves is picked up again; what failed would only fill the disk.
        place.discard()
        raise
    release = recorded or _record(plan, place, document, mark)
    return _finished(place, release, warnings_of(tally, document), again=recorded is not None)


def _left_complete(place: Workplace, recorded: Release) -> bool:
    """Whether a run was killed after it recorded the release and before it renamed the folder."""
    return (place.release / layout.SUMS).is_file() and fingerprint(place.release) == recorded.fingerprint


def _finished(place: Workplace, release: Release, warnings: list[str], *, again: bool) -> Published:
    """Give the folder its name. A release whose folder was lost is from now on where it was written again."""
    place.finish()
    if not Path(release.location).exists():
        release.location = str(place.final)
        release.save(update_fields=["location"])
    return Published(place.final, release, warnings, again)


def _copy(place: Workplace, tally: Tally) -> None:
    store = open_store(settings.STORAGE_URL)
    with progress(total=sum(tally.labels.values()), what="copying", unit="picture") as bar:
        try:
            write_pictures(place, store.get, bar.update)
        except UnreadablePicture as error:
            raise ReleaseFailed(str(error)) from None
    remove_strangers(place)


def _check_tally(plan: Plan, tally: Tally) -> None:
    """Refuse what could never be a release, before a picture is copied."""
    name = plan.dataset.name
    if not plan.dataset.images.exists():
        raise ReleaseFailed(f"{name} has no images yet: run manage.py ingest first")
    if not tally.labels:
        reasons = ", ".join(f"{n} {reason}" for reason, n in tally.left_out.most_common(4))
        raise ReleaseFailed(f"no picture of {name} can be released ({reasons})")
    tested = ReleaseImage.objects.filter(release__in=plan.earlier, split=ReleaseImage.Split.TEST)
    due = tested.values("image_id").distinct().count()
    if tally.kept_in_test != due:
        raise ReleaseFailed(
            f"{due - tally.kept_in_test} test pictures of earlier releases would be lost, and must stay"
        )
    leaves = plan.dataset.categories.filter(children=None).values_list("key", flat=True)
    classes = sorted({category for _, category in tally.labels} | set(leaves))
    wanted = [s for s in layout.SPLITS if s != "val" or plan.shares.val]
    missing = [f"{c} in {s}" for c in classes for s in wanted if not tally.labels[s, c]]
    if missing:
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        hint = "label more pictures, give test pictures references, or remove the category"
        raise ReleaseFailed(f"no pictures of {', '.join(missing[:6])}{more}; {hint}")


def _check_folder(place: Workplace) -> str:
    """The rules of verify_release over what was written; returns the fingerprint."""
    with progress(total=files_to_check(place.release), what="checking", unit="file") as bar:
        problems = check_release(place.release, tick=bar.update)
    if problems:
        first = problems[0]
        raise ReleaseFailed(
            f"the release breaks {len(problems)} rules, first: {first.rule}: {first.path} {first.detail}; "
            "the dataset may have changed meanwhile: run the same command again"
        )
    return fingerprint(place.release)


def _record(plan: Plan, place: Workplace, document: dict[str, Any], mark: str) -> Release:
    """The rows that keep this release's pictures in their splits; one transaction."""
    with transaction.atomic():
        if plan.dataset.splits != document["parameters"]["splits"]:
            plan.dataset.splits = document["parameters"]["splits"]
            plan.dataset.save(update_fields=["splits"])
        release = Release.objects.create(
            dataset=plan.dataset,
            version=plan.version,
            parent=plan.earlier[-1] if plan.earlier else None,
            fingerprint=mark,
            location=str(place.final),
            parameters=document["parameters"],
            counts=document["counts"],
            label_accuracy=document["label_accuracy"],
        )
        rows = _release_images(release, place)
        while batch := list(islice(rows, ROWS)):
            ReleaseImage.objects.bulk_create(batch)
    return release


def _release_images(release: Release, place: Workplace) -> Iterator[ReleaseImage]:
    for row in read_rows(place.selection, ["image_id", "category_id", "split", "confidence", "votes"]):
        yield ReleaseImage(
            release=release,
            image_id=row["image_id"],
            category_id=row["category_id"],
            split=ReleaseImage.Split[row["split"].upper()],
            confidence=row["confidence"],
            votes=row["votes"],
        )
