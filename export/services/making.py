"""Making a release, whatever it is made from.

Order of steps, so that a kill at any moment does no harm:

1. Choose: write the selection, the votes and the soft labels beside the final name.
2. Copy the pictures there, write the other files, check it all by the rules of `verify_release`.
3. One transaction: the Release and its ReleaseImages, and what else the recipe keeps. From now on the
   database keeps these test pictures in test.
4. Rename the folder to its final name.

Killed before 3, nothing is published; the next run goes on with the pictures that are there. Killed between 3
and 4, the next run of the same command makes the same bytes (a fingerprint says so) and renames them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import transaction

from export import layout, leakage
from export.build import Originals, UnreadablePicture, remove_strangers, write_pictures
from export.checks import check_release, files_to_check, fingerprint
from export.models import Release, ReleaseImage
from export.services.describe import describe
from export.services.plan import Plan, ReleaseRefused
from export.tables import read_rows
from export.tally import Tally, warnings_of
from export.workplace import Busy, Workplace
from ingest.progress import progress

ROWS = 2_000


class ReleaseFailed(RuntimeError):
    """The data make no release; one line for the user. Nothing was published."""


@dataclass(frozen=True)
class Published:
    """A finished release; `again` where the same release was only written once more.

    `answers`: the file beside a sealed release.
    """

    folder: Path
    release: Release
    warnings: list[str]
    again: bool = False
    answers: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """As `export_release --json` prints it."""
        release = self.release
        return {
            "release": str(release),
            "folder": str(self.folder),
            "answers": None if self.answers is None else str(self.answers),
            "fingerprint": release.fingerprint,
            "parent": release.parent.version if release.parent else None,
            "counts": release.counts,
            "label_accuracy": release.label_accuracy,
            "again": self.again,
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Recipe:
    """What differs between a release of the database and one that is made from another.

    `choose` writes the selection, the votes and the soft labels, or raises ReleaseFailed. `originals` gives
    the pictures. `told`: what release.json says other than the database does. `keep` writes further rows in
    the transaction that records the release.
    """

    choose: Callable[[Workplace], Tally]
    originals: Originals
    told: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[Release], None] = lambda release: None


def make_release(plan: Plan, output: Path, recorded: Release | None, recipe: Recipe) -> Published:
    """Write `output/<name>-<version>/` and record it, unless it is `recorded` already.

    Raises:
        ReleaseRefused: something stands there, or `recorded` had other bytes.
        ReleaseFailed: another process makes it, an original is gone, ...
    """
    final = Path(output).absolute() / layout.folder_name(plan.dataset.name, plan.version)
    if os.path.lexists(final):
        raise ReleaseRefused(f"{final} exists already; choose a new version, or another --output")
    try:
        with Workplace(final) as place:
            _check_answers(plan, place)
            return _make(plan, place, recorded, recipe)
    except Busy as error:
        raise ReleaseFailed(str(error)) from None


def _make(plan: Plan, place: Workplace, recorded: Release | None, recipe: Recipe) -> Published:
    if recorded and _left_complete(place, recorded):
        _check_folder(place)
        return _finished(place, recorded, [], again=True)
    place.begin()
    try:
        tally = recipe.choose(place)
        place.settle_selection(json.dumps(plan.parameters, sort_keys=True))
        _copy(plan, place, tally, recipe.originals)
        document = describe(plan, place, tally, recipe.told)
        mark = _check_folder(place)
        if recorded and recorded.fingerprint != mark:
            raise ReleaseRefused(
                f"{recorded} exists already, and the database has changed since; choose a new version"
            )
    except Exception:
        # What a kill leaves is picked up again; what failed would only fill the disk.
        place.discard()
        raise
    release = recorded or _record(plan, place, document, mark, recipe.keep)
    return _finished(place, release, _warnings(plan, tally, document), again=recorded is not None)


def _check_answers(plan: Plan, place: Workplace) -> None:
    """Answers that are there belong to a killed run of this release, or nobody may overwrite them."""
    if plan.sealed and place.final_answers.exists() and not place.resumed:
        place.discard()
        raise ReleaseRefused(
            f"{place.final_answers} exists already; choose a new version, or another --output"
        )


def _left_complete(place: Workplace, recorded: Release) -> bool:
    """Whether a run was killed after it recorded the release and before it renamed the folder."""
    return (place.release / layout.SUMS).is_file() and fingerprint(place.release) == recorded.fingerprint


def _warnings(plan: Plan, tally: Tally, document: dict[str, Any]) -> list[str]:
    """What the curator should know; one line each."""
    found = warnings_of(tally)
    if plan.sealed:
        shown = [str(r) for r in plan.earlier if not r.sealed]
        found += [f"{shown[-1]} shows the labels of test pictures already"] if shown else []
    found += leakage.warnings_of(document["counts"]["leakage"])
    if document["label_accuracy"] is None:
        found.append("label accuracy is unknown: no picture has both votes and a settled reference")
    return found


def _finished(place: Workplace, release: Release, warnings: list[str], *, again: bool) -> Published:
    """Give the folder its name. A release whose folder was lost is from now on where it was written again."""
    place.finish()
    if not Path(release.location).exists():
        release.location = str(place.final)
        release.save(update_fields=["location"])
    answers = place.final_answers if release.sealed else None
    return Published(place.final, release, warnings, again, answers)


def _copy(plan: Plan, place: Workplace, tally: Tally, originals: Originals) -> None:
    with progress(total=sum(tally.labels.values()), what="copying", unit="picture") as bar:
        try:
            write_pictures(place, originals, bar.update, sealed=plan.sealed)
        except UnreadablePicture as error:
            raise ReleaseFailed(str(error)) from None
    remove_strangers(place)


def check_classes(plan: Plan, tally: Tally, due: Iterable[str], hint: str) -> None:
    """Every class must stand in every split that has a share.

    Args:
        due: classes that must be there even if nothing was chosen for them.

    Raises:
        ReleaseFailed: naming what is missing, and the hint.
    """
    classes = sorted({category for _, category in tally.labels} | set(due))
    wanted = [s for s in layout.SPLITS if s != "val" or plan.shares.val]
    missing = [f"{c} in {s}" for c in classes for s in wanted if not tally.labels[s, c]]
    if missing:
        more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
        raise ReleaseFailed(f"no pictures of {', '.join(missing[:6])}{more}; {hint}")


def _check_folder(place: Workplace) -> str:
    """The rules of verify_release over what was written; returns the fingerprint."""
    with progress(total=files_to_check(place.release), what="checking", unit="file") as bar:
        problems = check_release(place.release, tick=bar.update, decode=False)
    if problems:
        first = problems[0]
        raise ReleaseFailed(
            f"the release breaks {len(problems)} rules, first: {first.rule}: {first.path} {first.detail}; "
            "the dataset may have changed meanwhile: run the same command again"
        )
    return fingerprint(place.release)


def _record(
    plan: Plan, place: Workplace, document: dict[str, Any], mark: str, keep: Callable[[Release], None]
) -> Release:
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
        keep(release)
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
