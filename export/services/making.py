"""Making a release, whatever it is made from.

Order of steps, so that a kill at any moment does no harm:

1. Choose: write the selection, the votes and the soft labels beside the final name.
2. Copy the pictures there (many of them to a folder while others are still chosen), write the other files,
   check it all by the rules of `verify_release`.
3. One transaction: the Release and its ReleaseImages, and what else the recipe keeps. From now on the
   database keeps these test pictures in test.
4. Rename the folder to its final name.

Killed before 3, nothing is published; the next run goes on with the pictures that are there. Killed between 3
and 4, the next run of the same command makes the same bytes (a fingerprint says so) and renames them.
"""

from __future__ import annotations

import errno
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from export import layout, leakage
from export.build import write_pictures
from export.checks import fingerprint
from export.checks.soundness import listed
from export.models import Release, ReleaseImage
from export.pictures import Originals, UnreadablePicture
from export.places.bucket import BadAddress, BucketError, BucketFolder
from export.places.bucket_place import BucketPlace
from export.places.workplace import Busy, Workplace
from export.services.describe import describe
from export.services.plan import Plan, ReleaseRefused
from export.signals import release_published
from export.tables import give_back_memory, read_rows, use_systems_memory
from export.tally import Tally, warnings_of
from ingest.models import Dataset
from ingest.progress import progress

ROWS = 2_000
MANY = 2_000
"""From so many pictures on, several processes are worth their start."""
_INSERT = (
    "INSERT INTO export_releaseimage (release_id, image_id, category_id, split, confidence, votes) "
    "VALUES (%s, %s, %s, %s, %s, %s)"
)


class ReleaseFailed(RuntimeError):
    """The data make no release; one line for the user. Nothing was published."""


@dataclass(frozen=True)
class Published:
    """A finished release; `again` where the same release was only written once more.

    `location`: its folder, or its address in a bucket; `answers`: likewise of the file beside a sealed one.
    `started`: what later stages began because of it, a line each.
    """

    location: str
    release: Release
    warnings: list[str]
    again: bool = False
    answers: str | None = None
    started: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where it stands, if that is a folder on this machine."""
        return Path(self.location)

    def as_dict(self) -> dict[str, Any]:
        """As `export_release --json` prints it."""
        release = self.release
        return {
            "release": str(release),
            "folder": self.location,
            "answers": self.answers,
            "fingerprint": release.fingerprint,
            "parent": release.parent.version if release.parent else None,
            "counts": release.counts,
            "label_accuracy": release.label_accuracy,
            "again": self.again,
            "warnings": self.warnings,
            "started": self.started,
        }


@dataclass(frozen=True)
class Recipe:
    """What differs between a release of the database and one that is made from another.

    `images`: about how many there are. `choose` writes the selection, the votes and the soft labels, counts
    them and gives the rows of the selection on the way; it raises ReleaseFailed where they make no release.
    `originals` gives the pictures; `source` says in a word which, as what was taken from others is not kept.
    `inspect` may object to what was written. `told`: what release.json says other than the database does;
    `tree`: likewise categories.json. `keep` writes further rows in the transaction that records the release.
    """

    images: int
    choose: Callable[[Workplace, Tally], Iterator[dict[str, Any]]]
    originals: Originals
    source: str
    inspect: Callable[[Workplace], None] = lambda place: None
    told: dict[str, Any] = field(default_factory=dict)
    tree: list[dict[str, Any]] | None = None
    keep: Callable[[Release], None] = lambda release: None


def make_release(plan: Plan, output: Path | str, recorded: Release | None, recipe: Recipe) -> Published:
    """Write `output/<name>-<version>/` and record it, unless it is `recorded` already.

    Args:
        output: a folder, or `s3://bucket/prefix`.

    Raises:
        ReleaseRefused: no such place, something stands there, or `recorded` had other bytes.
        ReleaseFailed: another process makes it, an original is gone, a bucket refuses, ...
    """
    try:
        room = _room(output, layout.folder_name(plan.dataset.name, plan.version))
        if taken := room.taken():
            raise ReleaseRefused(f"{taken}; choose a new version, or another --output")
        with ExitStack() as stack:
            try:
                place = stack.enter_context(room)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise ReleaseRefused(
                    f"--output {output} cannot be used: {error.filename}: {error.strerror}"
                ) from None
            _map_no_database()
            use_systems_memory()
            made = _make(plan, place, recorded, recipe)
    except BadAddress as error:
        raise ReleaseRefused(f"--output {error}") from None
    except (Busy, BucketError) as error:
        raise ReleaseFailed(str(error)) from None
    answers = release_published.send_robust(Release, release=made.release)
    return replace(made, started=[words for _, words in answers if words and isinstance(words, str)])


def _room(output: Path | str, name: str) -> Workplace:
    if isinstance(output, str) and "://" in output:
        return BucketPlace(BucketFolder.parse(output).below(name), settings.DATA_DIR / "exports")
    if not str(output).strip():
        raise ReleaseRefused("--output is empty: name a folder or s3://…")
    folder = Path(output).absolute()
    if folder.exists() and not folder.is_dir():
        raise ReleaseRefused(f"--output {output}: is no folder")
    return Workplace(folder / name)


def _make(plan: Plan, place: Workplace, recorded: Release | None, recipe: Recipe) -> Published:
    if recorded and _left_complete(place, recorded):
        _check_folder(place)
        return _finished(place, recorded, [], again=True)
    try:
        _check_answers(plan, place)
        place.begin()
        place.keep_pictures(json.dumps([recipe.source, plan.parameters], sort_keys=True))
        tally = Tally()
        _choose_and_copy(plan, place, tally, recipe)
        give_back_memory()
        recipe.inspect(place)
        document = describe(plan, place, tally, recipe.told, recipe.tree)
        give_back_memory()
        mark = _check_folder(place)
        _check_answers(plan, place)
        if recorded and recorded.fingerprint != mark:
            raise ReleaseRefused(
                f"{recorded} exists already, and the database or Assay has changed since; choose a new "
                "version"
            )
        release = recorded or _record(plan, place, document, mark, recipe.keep)
    except Exception:
        # What a kill leaves is picked up again; what failed would only fill the disk.
        place.discard()
        raise
    return _finished(place, release, _warnings(plan, tally, document, place), again=recorded is not None)


def _check_answers(plan: Plan, place: Workplace) -> None:
    if plan.sealed and place.answers_taken():
        raise ReleaseRefused(
            f"{place.answers_location} exists already; choose a new version, or another --output"
        )


def _left_complete(place: Workplace, recorded: Release) -> bool:
    """Whether a run was killed after it recorded the release and before it renamed the folder."""
    return (place.release / layout.SUMS).is_file() and fingerprint(place.release) == recorded.fingerprint


def _warnings(plan: Plan, tally: Tally, document: dict[str, Any], place: Workplace) -> list[str]:
    """What the curator should know; one line each."""
    found = warnings_of(tally)
    if plan.sealed:
        shown = [str(r) for r in plan.earlier if not r.sealed]
        found += [f"{shown[-1]} shows the labels of test pictures already"] if shown else []
    found += leakage.warnings_of(document["counts"]["leakage"])
    found += [
        f"{path} was begun and not finished: export that version again, or remove it"
        for path in place.left_behind()
    ]
    if document["label_accuracy"] is None:
        found.append("label accuracy is unknown: no picture has both votes and a settled reference")
    return found


def _finished(place: Workplace, release: Release, warnings: list[str], *, again: bool) -> Published:
    """Give the folder its name. A release whose folder was lost is from now on where it was written again."""
    place.finish()
    if "://" not in release.location and not Path(release.location).exists():
        release.location = place.location
        release.save(update_fields=["location"])
    answers = place.answers_location if release.sealed else None
    return Published(place.location, release, warnings, again, answers)


def _choose_and_copy(plan: Plan, place: Workplace, tally: Tally, recipe: Recipe) -> None:
    """The selection and the pictures: many go to a folder while others are still chosen.

    Few wait until all are chosen, and so does what a network must carry: where they make no release, nothing
    was written in vain.
    """
    many = recipe.images >= MANY
    rows = recipe.choose(place, tally)
    if not (many and place.shelf.processes):
        deque(rows, maxlen=0)
        rows = read_rows(place.fresh_selection)
    with progress(total=tally.labels.total() or None, what="copying", unit="picture") as bar:
        try:
            write_pictures(place, recipe.originals, rows, bar.update, many=many, sealed=plan.sealed)
        except UnreadablePicture as error:
            raise ReleaseFailed(str(error)) from None
    place.settle_selection()
    place.remove_strangers()


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
    files = sum(1 for _ in listed(place.release / layout.SUMS))
    with progress(total=files, what="checking", unit="file") as bar:
        problems = place.check(bar.update)
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
        _check_alone(plan)
        if plan.dataset.splits != document["parameters"]["splits"]:
            plan.dataset.splits = document["parameters"]["splits"]
            plan.dataset.save(update_fields=["splits"])
        release = Release.objects.create(
            dataset=plan.dataset,
            version=plan.version,
            parent=plan.earlier[-1] if plan.earlier else None,
            fingerprint=mark,
            location=place.location,
            parameters=document["parameters"],
            counts=document["counts"],
            label_accuracy=document["label_accuracy"],
        )
        keep(release)
        _record_images(release, place)
    return release


def _check_alone(plan: Plan) -> None:
    """Nothing was published since the plan was made, which reads what test holds from the releases before."""
    Dataset.objects.select_for_update(no_key=True).get(pk=plan.dataset.pk)
    if set(plan.dataset.releases.values_list("pk", flat=True)) != {r.pk for r in plan.earlier}:
        raise ReleaseFailed(
            f"another release of {plan.dataset.name} was published meanwhile: run the same command again"
        )


def _record_images(release: Release, place: Workplace) -> None:
    """A row for each picture. Plain SQL: a model instance for each takes four times as long."""
    columns = ["image_id", "category_id", "split", "confidence", "votes"]
    rows = read_rows(place.selection, columns)
    with connection.cursor() as cursor:
        while batch := list(islice(rows, ROWS)):
            cursor.executemany(_INSERT, [_released(release.pk, row) for row in batch])


def _released(release: int, row: dict[str, Any]) -> tuple[int, int, int, int, float | None, int]:
    """A row of the selection as ReleaseImage keeps it."""
    split = ReleaseImage.Split[row["split"].upper()].value
    return release, row["image_id"], row["category_id"], split, row["confidence"], row["votes"]


def _map_no_database() -> None:
    """Read the database through a buffer: mapped into memory, as the site has it, all of it would stay."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA mmap_size=0")
