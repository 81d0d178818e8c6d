"""`manage.py verify_release`: is a release folder what it says?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from export.places.bucket import BadAddress, BucketError
from export.verify import as_report, as_text, verify
from ingest.management.base import AssayCommand, BadInput, Failure


class Command(AssayCommand):
    """The same as `python -m export.verify`."""

    help = "Check every checksum and rule of a release folder."
    example = "manage.py verify_release releases/clothing-1.0.0 --json"

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("folder", help="the release folder, or s3://bucket/prefix/name-version")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check and report; exit 1 where a rule is broken."""
        folder = options["folder"]
        try:
            problems = verify(folder)
        except NotADirectoryError as error:
            raise BadInput(f"{folder}: {error.strerror}") from None
        except BadAddress as error:
            raise BadInput(str(error)) from None
        except BucketError as error:
            raise Failure(str(error)) from None
        self.report(options, as_report(problems), as_text(folder, problems))
        if problems:
            raise Failure(f"{folder}: {number_of(len(problems), 'broken rule')}")
