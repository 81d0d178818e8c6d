"""`manage.py forget_downloader`: see `export.services.downloads.forget_downloaders`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from annotation_site.figures import number_of
from export.services.downloads import forget_downloaders
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Personal data out; that terms were accepted stays."""

    help = (
        "Forget who accepted the terms of releases: name, email, purpose, account and the hash of the "
        "network address. That terms were accepted, when, and what was downloaded stays, about nobody."
    )
    example = """
        manage.py forget_downloader ada@example.org
        manage.py forget_downloader --user ada --json
        manage.py forget_downloader --older-than 365
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("emails", nargs="*", metavar="EMAIL", help="as told when the terms were accepted")
        parser.add_argument(
            "--user", action="append", default=[], metavar="NAME", help="acceptances by this account"
        )
        parser.add_argument(
            "--older-than", type=int, metavar="DAYS", help="everybody's acceptances older than so many days"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Forget, and say how much there was."""
        emails = [email.strip() for email in options["emails"]]
        days = options["older_than"]
        if not (emails or options["user"] or days is not None) or "" in emails:
            raise BadInput("whom? name an email address, --user NAME or --older-than DAYS")
        if days is not None and not 0 <= days <= 36_500:
            raise BadInput("--older-than is a number of days, 0 or more")
        before = None if days is None else timezone.now() - timedelta(days=days)
        forgotten = forget_downloaders(emails=emails, usernames=options["user"], before=before)
        if not forgotten and before is None:
            named = ", ".join([*emails, *options["user"]])
            raise BadInput(f"nobody accepted terms as {named}, or they were forgotten before")
        words = f"{number_of(forgotten, 'acceptance')} forgotten: nothing says whose"
        self.report(options, {"forgotten": forgotten}, words)
