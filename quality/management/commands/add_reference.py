"""`manage.py add_reference`: see `quality.services.known`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ingest.management.base import AssayCommand, BadInput
from ingest.tables import read_table
from quality.management.commands.add_gold import in_words
from quality.services.known import KnownRow, UnusableAnswers, add_references


class Command(AssayCommand):
    """Keep experts' blind answers."""

    help = (
        "Keep experts' blind answers (columns image,label[,expert]): they decide the test split and accuracy."
    )
    example = "python manage.py add_reference clothing refs.csv --expert anna"

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, file, the expert of rows without one, and what to do with rows that name nothing."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("file", help="table with image (sha256, or a unique path or URL), label, expert")
        parser.add_argument("--expert", default="expert", help="who answered the rows without an expert")
        parser.add_argument("--skip-unknown", action="store_true", help="leave out unknown images and labels")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, check, write."""
        dataset = self.dataset(options["name"])
        frame = read_table(options["file"], ["image", "label"], rename={"task": "image", "item": "image"})
        experts = frame["expert"] if "expert" in frame.columns else [""] * len(frame)
        rows = [KnownRow(*row) for row in zip(frame["image"], frame["label"], experts, strict=True)]
        long = [row.expert for row in rows if len(row.expert) > 64]
        if long or not 1 <= len(options["expert"]) <= 64:
            raise BadInput(
                f"an expert's name has 1 to 64 characters; got {(long or [options['expert']])[0]!r}"
            )
        try:
            summary = add_references(
                dataset, rows, skip_unknown=options["skip_unknown"], expert=options["expert"]
            )
        except UnusableAnswers as error:
            raise BadInput(f"{options['file']}: {error}") from None
        self.report(options, summary.as_dict(), in_words(summary, "reference"))
