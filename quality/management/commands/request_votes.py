"""`manage.py request_votes`: see `quality.services.issues`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from quality.issues import issues_in
from quality.services.issues import (
    CLOSED,
    FULL,
    IN_WORDS,
    Asked,
    Doubt,
    UnusableIssues,
    ask_about,
    doubts_of_run,
    origin_of,
)


class Command(AssayCommand):
    """Queue doubtful pictures for another vote."""

    help = "Ask for more votes on pictures whose consensus looks wrong; a task settles again once they came."
    example = """python -m quality.issues consensus.csv probs.csv -o issues.csv
        python manage.py request_votes clothing --issues issues.csv --votes 2 --most 200"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, where the doubts come from, and how much to ask for."""
        parser.add_argument("name", help="dataset")
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument(
            "--issues",
            metavar="FILE",
            help="what quality.issues wrote, or any table with a column task (or image): sha256, path or URL",
        )
        source.add_argument(
            "--from-run",
            metavar="RUN",
            help="a run's folder with out-of-fold predictions of its pictures",
        )
        parser.add_argument("--arm", help="with --from-run: whose predictions (default: consensus, if there)")
        parser.add_argument("--votes", type=int, default=1, help="more votes for each (default: 1)")
        parser.add_argument("--most", type=int, metavar="M", help="only the M most doubtful")
        parser.add_argument("--skip-unknown", action="store_true", help="leave out pictures that are unknown")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the doubts, ask, and say what was asked and what was left out."""
        dataset = self.dataset(options["name"])
        most = options["most"]
        if most is not None and most < 1:
            raise BadInput(f"--most must be 1 or more; got {most}")
        if options["arm"] and not options["from_run"]:
            raise BadInput("--arm goes with --from-run")
        doubts, origin = _doubts(dataset, options)
        try:
            asked = ask_about(
                dataset, doubts[:most], origin, options["votes"], skip_unknown=options["skip_unknown"]
            )
        except UnusableIssues as error:
            raise BadInput(str(error)) from None
        closed = asked.left_out[CLOSED]
        if closed and closed == asked.left_out.total() and not asked.tasks:
            told = f"{number_of(closed, 'picture')} {IN_WORDS[CLOSED]}"
            raise BadInput(f"{told}: {_new_round(dataset, options['issues'])}")
        self.report(options, asked.as_dict(), _in_words(dataset, asked, options["issues"]))


def _doubts(dataset: Dataset, options: dict[str, Any]) -> tuple[list[Doubt], str]:
    """The doubtful pictures, the worst first, and the name of the list."""
    if options["issues"]:
        file = Path(options["issues"])
        name = file.name
        doubts = [Doubt(task, label) for task, label in issues_in(options["issues"])]
        if not doubts:
            raise BadInput(f"{file}: no picture in it is flagged")
    else:
        try:
            doubted = doubts_of_run(dataset, Path(options["from_run"]), options["arm"])
        except UnusableIssues as error:
            raise BadInput(str(error)) from None
        return doubted.doubts, doubted.origin
    return doubts, origin_of(file, name)


def _new_round(dataset: Dataset, file: str | None) -> str:
    images = file or "FILE"
    return f"open one with manage.py open_round {dataset.name} --question classify --images {images}"


def _in_words(dataset: Dataset, asked: Asked, file: str | None) -> str:
    rounds = ", ".join(map(str, asked.rounds))
    words = f"{number_of(asked.votes, 'more vote')} asked for on {number_of(asked.tasks, 'task')}" + (
        f" of round {rounds}" * bool(rounds)
    )
    aside = [f"{number} {IN_WORDS[reason]}" for reason, number in sorted(asked.left_out.items())]
    if asked.unknown:
        aside.append(number_of(len(asked.unknown), "is unknown", "are unknown"))
    if aside:
        words += f"; left aside: {'; '.join(aside)}"
    if asked.left_out[CLOSED] or asked.left_out[FULL]:
        words += f" (a new round takes them up: {_new_round(dataset, file)})"
    return words
