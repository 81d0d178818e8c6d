"""`manage.py diff_releases`: what changed from one release to another."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from export.diff import UnreadableRelease, as_text, diff_releases
from export.services.find import UnknownRelease, release_folder
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Works on two folders, or on releases by name."""

    help = "Show what changed between two releases: added, removed, relabelled, moved between splits."
    example = """
        manage.py diff_releases clothing-1.0.0 clothing-1.1.0
        manage.py diff_releases releases/clothing-1.0.0 elsewhere/clothing-1.1.0 --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("old", help="NAME-VERSION or a release folder")
        parser.add_argument("new", help="NAME-VERSION or a release folder")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare and report."""
        try:
            diff = diff_releases(release_folder(options["old"]), release_folder(options["new"]))
        except (UnknownRelease, UnreadableRelease) as error:
            raise BadInput(str(error)) from None
        self.report(options, diff, as_text(diff))
