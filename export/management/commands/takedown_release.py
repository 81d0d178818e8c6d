"""`manage.py takedown_release`: a new version without some pictures."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from export.management.commands.export_release import as_text
from export.services.making import ReleaseFailed
from export.services.plan import ReleaseRefused
from export.services.takedown import take_down
from ingest.management.base import AssayCommand, BadInput, Failure


class Command(AssayCommand):
    """Arguments in, release out; the work is `export.services.takedown`."""

    help = (
        "Publish the newest release once more without some pictures, which never come back: the only way out "
        "of the test split. Nothing else changes."
    )
    example = """
        manage.py takedown_release clothing 1.0.1 3f9a…64 --reason "asked for by its author" --output releases
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument("version", help="the new version, X.Y.Z; its parent is the newest release")
        parser.add_argument(
            "images",
            nargs="+",
            metavar="IMAGE",
            help="sha256, or unique source path or URL; commas part them",
        )
        parser.add_argument("--reason", required=True, help="why, in a sentence; stands in release.json")
        parser.add_argument("--output", required=True, metavar="DIR|s3://…", help="folder or bucket for it")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish and report."""
        dataset = self.dataset(options["name"])
        images = [name for text in options["images"] for name in text.split(",") if name]
        try:
            made = take_down(dataset, options["version"], images, options["reason"], options["output"])
        except ReleaseRefused as error:
            raise BadInput(str(error)) from None
        except ReleaseFailed as error:
            raise Failure(str(error)) from None
        for warning in made.warnings:
            self.stderr.write(f"warning: {warning}")
        self.report(options, made.as_dict(), as_text(made))
