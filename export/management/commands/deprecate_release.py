"""`manage.py deprecate_release`: say that nobody should use a release any more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from export.services.deprecate import NotDeprecated, deprecate_release, restore_release
from export.services.find import UnknownRelease, find_release
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Arguments in, a mark in the database; the release itself stays as it is."""

    help = "Mark a release as deprecated, with the reason; its files and fingerprint never change."
    example = """
        manage.py deprecate_release clothing-1.0.0 --reason "labels of coats were mixed up" --use 1.0.1
        manage.py deprecate_release clothing-1.0.0 --undo
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("release", help="NAME-VERSION, or its folder")
        parser.add_argument("--reason", default="", help="why, in a sentence; pages show it")
        parser.add_argument("--use", metavar="VERSION", help="the release to use in its place")
        parser.add_argument("--undo", action="store_true", help="take the mark away")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Mark and report."""
        try:
            release = find_release(options["release"])
            name = options["use"]
            instead = (
                find_release(name if name and "-" in name else f"{release.dataset.name}-{name}")
                if name
                else None
            )
            if options["undo"]:
                restore_release(release)
            else:
                deprecate_release(release, options["reason"], instead)
        except (UnknownRelease, NotDeprecated) as error:
            raise BadInput(str(error)) from None
        data = {
            "release": str(release),
            "deprecated": release.deprecated and release.deprecated.isoformat(),
            "reason": release.deprecation_reason,
            "use": release.replaced_by and str(release.replaced_by),
        }
        use = f"; use {data['use']}" if data["use"] else ""
        state = f"deprecated: {data['reason']}{use}" if release.deprecated else "not deprecated"
        self.report(options, data, f"{release} is {state}")
