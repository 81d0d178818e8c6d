"""`manage.py import_votes`."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from django.core.management.base import CommandParser

from annotation_site.models import NO, VERIFY_UNSURE, YES, Round, Task
from annotation_site.services.imports import ImportedVote, import_votes
from annotation_site.services.refusals import BadVotes
from annotation_site.services.rounds import open_round
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.services.images import representatives, resolve_images
from ingest.tables import read_table


class Command(AssayCommand):
    """Take in votes that were given elsewhere."""

    help = (
        "Take in votes that were given elsewhere: columns image (SHA-256, or a unique source path or URL) or "
        "task, then worker, label[, seconds, created]. Without --round a round is opened for the file. Run "
        "again, it goes on where it stopped: votes that are there already are left alone."
    )
    example = """
    python manage.py import_votes birds votes.csv
    python manage.py import_votes birds votes.parquet --round 3
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("name", metavar="NAME", help="the dataset")
        parser.add_argument("votes", type=Path, metavar="VOTES", help=".csv, .csv.gz or .parquet")
        parser.add_argument("--round", type=int, metavar="ROUND", help="a round that exists")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check the whole file, then store it."""
        dataset = self.dataset(options["name"])
        frame = read_table(options["votes"], ["worker", "label"], numbers=["seconds"])
        if frame.empty:
            raise BadInput(f"{options['votes']}: no votes in it")
        times = _times(frame, options["votes"])
        round = self._round(dataset, frame, options)
        tasks = self._tasks(dataset, round, frame, options["votes"])
        try:
            summary = import_votes(round, _rows(frame, tasks, times))
        except BadVotes as error:
            raise BadInput(f"{options['votes']}: {error}") from None
        data = {"round": round.pk, **summary.as_dict()}
        text = (
            f"round {round.pk}: {summary.stored:,} of {summary.read:,} votes stored, {summary.repeated:,} "
            f"repeated, {summary.already_there:,} there already, {summary.over_most:,} over the most votes"
        )
        self.report(options, data, text)

    def _round(self, dataset: Dataset, frame: pd.DataFrame, options: dict[str, Any]) -> Round:
        """The round named, the one that an earlier run opened for this file, or a new one."""
        if options["round"] is not None:
            found = dataset.rounds.filter(pk=min(max(options["round"], 0), 2**63 - 1)).first()
            if found is None:
                raise BadInput(f"dataset {dataset.name} has no round {options['round']}")
            return found
        if set(frame["label"]) <= {YES, NO, VERIFY_UNSURE}:
            raise BadInput("these are answers of a verify round: name it with --round, for its categories")
        if "image" not in frame.columns:
            raise BadInput(f"{options['votes']}: no column image, and task numbers need --round")
        title = f"imported from {options['votes'].name}"
        found = dataset.rounds.filter(title=title).first()
        return found or self._new_round(dataset, frame, title, options["votes"])

    def _new_round(self, dataset: Dataset, frame: pd.DataFrame, title: str, path: Path) -> Round:
        """A round whose tasks want exactly the votes of the file; more can be asked for later."""
        images = self._images(dataset, frame, path)
        most = Counter(images[key] for key in frame["image"]).most_common(1)[0][1]
        pairs = [(image_id, None) for image_id in dict.fromkeys(images.values())]
        labels = set(dataset.categories.current().values_list("key", flat=True))
        strange = sorted(set(frame["label"]) - labels - {"__none__", "__unsure__"})
        if strange:
            raise BadInput(f"{path}: dataset {dataset.name} does not know the label {strange[0][:100]!r}")
        return open_round(
            dataset,
            Round.Question.CLASSIFY,
            tasks=pairs,
            title=title,
            votes_min=1,
            votes_max=max(9, most),
            audit_rate=0.0,
        )

    def _images(self, dataset: Dataset, frame: pd.DataFrame, path: Path) -> dict[str, int]:
        """The `image` column's keys -> id of the image that stands for it."""
        resolved = resolve_images(dataset, dict.fromkeys(frame["image"]))
        for kind, keys in (("unknown", resolved.unknown), ("ambiguous", resolved.ambiguous)):
            if keys:
                more = f" and {len(keys) - 1:,} more" if len(keys) > 1 else ""
                raise BadInput(f"{path}: {kind} image {keys[0][:100]!r}{more}")
        stands = representatives(resolved.found.values())
        return {key: stands[image.pk].pk for key, image in resolved.found.items()}

    def _tasks(self, dataset: Dataset, round: Round, frame: pd.DataFrame, path: Path) -> list[int]:
        """The Task id of each row."""
        if "image" in frame.columns:
            if round.question == Round.Question.VERIFY:
                raise BadInput(
                    "a verify round asks about one image several times: give the column task instead"
                )
            images = self._images(dataset, frame, path)
            by_image = dict(Task.objects.filter(round=round).values_list("image_id", "pk"))
            missing = next((key for key in frame["image"] if images[key] not in by_image), None)
            if missing is not None:
                raise BadInput(f"{path}: image {missing[:100]!r} has no task in round {round.pk}")
            return [by_image[images[key]] for key in frame["image"]]
        if "task" not in frame.columns:
            raise BadInput(f"{path}: no column image or task")
        try:
            return [int(task) for task in frame["task"]]
        except ValueError:
            raise BadInput(f"{path}: the column task holds something that is no task number") from None


def _rows(frame: pd.DataFrame, tasks: list[int], times: list[datetime | None]) -> list[ImportedVote]:
    seconds = frame["seconds"] if "seconds" in frame.columns else [None] * len(frame)
    return [
        ImportedVote(task, worker, label, None if pd.isna(spent) else float(spent), time)
        for task, worker, label, spent, time in zip(
            tasks, frame["worker"], frame["label"], seconds, times, strict=True
        )
    ]


def _times(frame: pd.DataFrame, path: Path) -> list[datetime | None]:
    if "created" not in frame.columns:
        return [None] * len(frame)
    return [_time(text, path) for text in frame["created"]]


def _time(text: str, path: Path) -> datetime | None:
    """A time as ISO 8601, in UTC where it names no zone."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{path}: {text[:60]!r} is no time such as 2026-01-31T12:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
