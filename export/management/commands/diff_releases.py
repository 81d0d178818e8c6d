"""`manage.py diff_releases`: what changed from one release to another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from export.diff import Reasons, as_text, diff_releases
from export.diff.diff_page import diff_page
from export.reader import UnreadableRelease
from export.services.departures import Departures
from export.services.find import UnknownRelease, find_release, release_tables
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Works on two folders, or on releases by name."""

    help = "Show what changed between two releases: pictures, labels with their votes, splits, categories."
    example = """
        manage.py diff_releases clothing-1.0.0 clothing-1.1.0 --html changes.html
        manage.py diff_releases releases/clothing-1.0.0 elsewhere/clothing-1.1.0 --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("old", help="NAME-VERSION, a release folder or its s3:// address")
        parser.add_argument("new", help="NAME-VERSION, a release folder or its s3:// address")
        parser.add_argument(
            "--html", type=Path, metavar="FILE", help="write a page with the pictures (of folders)"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare and report."""
        page = options["html"]
        if page is not None and not page.parent.is_dir():
            raise BadInput(f"--html {page}: there is no folder {page.parent}")
        try:
            with (
                release_tables(options["old"]) as old,
                release_tables(options["new"]) as new,
                diff_releases(old, new, _reasons(new)) as diff,
            ):
                if page is not None:
                    page.write_text(diff_page(diff), "utf-8")
                if options["json"]:
                    diff.write_json(partial(self.stdout.write, ending=""))
                else:
                    self.stdout.write(as_text(diff))
        except (UnknownRelease, UnreadableRelease) as error:
            raise BadInput(str(error)) from None


def _reasons(folder: Path) -> Reasons:
    """What the database knows, where the release is one of its own."""
    try:
        return Departures(find_release(str(folder)))
    except UnknownRelease:
        return lambda images: {}
