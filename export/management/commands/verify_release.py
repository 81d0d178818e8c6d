"""`manage.py verify_release`: is a release folder what it says?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from export.verify import as_report, as_text, verify
from ingest.management.base import AssayCommand, BadInput, Failure


class Command(AssayCommand):
    """The same as `python -m export.verify`."""

    help = "Check every checksum and rule of a release folder."
    example = "manage.py verify_release releases/clothing-1.0.0 --json"

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("folder", type=Path, help="the release folder")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report; exit 1 where a rule is broken."""
        folder = options["folder"]
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder")
        problems = verify(folder)
        self.report(options, as_report(problems), as_text(folder, problems))
        if problems:
            raise Failure(f"{folder}: {len(problems)} rules are broken")
