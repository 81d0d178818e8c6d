"""`manage.py add_gold`: see `quality.services.known`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from ingest.management.base import AssayCommand, BadInput
from ingest.tables import read_table
from quality.services.known import KnownRow, KnownSummary, UnusableAnswers, add_gold


class Command(AssayCommand):
    """Keep known answers that screen workers."""

    help = "Keep known answers (columns image,label) as gold, which screens workers."
    example = "python manage.py add_gold clothing gold.csv"

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, file, and what to do with rows that name nothing."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("file", help="table with image (sha256, or a unique path or URL) and label")
        parser.add_argument("--skip-unknown", action="store_true", help="leave out unknown images and labels")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, check, write."""
        dataset = self.dataset(options["name"])
        frame = read_table(options["file"], ["image", "label"], rename={"task": "image", "item": "image"})
        rows = [KnownRow(i, c) for i, c in zip(frame["image"], frame["label"], strict=True)]
        try:
            summary = add_gold(dataset, rows, skip_unknown=options["skip_unknown"])
        except UnusableAnswers as error:
            raise BadInput(f"{options['file']}: {error}") from None
        self.report(options, summary.as_dict(), in_words(summary, "gold answers"))


def in_words(summary: KnownSummary, what: str) -> str:
    """The summary for people; at most five of the changes are shown."""
    text = (
        f"{summary.rows} rows: {summary.added} {what} added, {summary.unchanged} unchanged, "
        f"{summary.changed} changed, {summary.skipped} skipped"
    )
    shown = "".join(f"\n  changed {change}" for change in summary.changes[:5])
    more = summary.changed - 5
    return text + shown + (f"\n  … and {more} more" if more > 0 else "")
