"""`manage.py close_round`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round
from annotation_site.services.rounds import close_round
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Close a round."""

    help = "Close a round: it hands out no more work. Votes under way are still stored; twice is no error."
    example = "python manage.py close_round 3"

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("round", type=int, metavar="ROUND", help="the round's number")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Close it and say what it holds."""
        found = Round.objects.filter(pk=min(options["round"], 2**63 - 1)).first()
        if found is None:
            raise BadInput(f"no round has the number {options['round']}")
        done = close_round(found)
        data = {"round": done.pk, "state": done.state, "tasks": done.tasks_total, "votes": done.votes_counted}
        text = f"round {done.pk} is closed: {done.votes_counted:,} votes on {done.tasks_total:,} tasks"
        self.report(options, data, text)
