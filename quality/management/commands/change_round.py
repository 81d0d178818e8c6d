"""`manage.py change_round`: see `annotation_site.services.changing`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round
from annotation_site.services.changing import NotChangeable, carry_out, pause_round, reopen_round
from ingest.management.base import AssayCommand, BadInput
from quality.management.commands.open_round import price_of, quiz_of
from quality.services.round_changes import apply_change


class Command(AssayCommand):
    """Change, pause or reopen a round."""

    help = "Change a round that is not closed. Without options: finish a change that was stopped half way."
    example = """python manage.py change_round 3 --votes-max 9 --confidence 0.97
        python manage.py change_round 3 --pause
        python manage.py change_round 3"""

    def add_arguments(self, parser: CommandParser) -> None:
        """The numbers that can be changed; what is not named stays."""
        parser.add_argument("round", type=int)
        parser.add_argument("--votes-min", type=int, help="votes every image gets")
        parser.add_argument("--votes-max", type=int, help="votes an image gets at most")
        parser.add_argument("--confidence", type=float, help="settle when this sure")
        parser.add_argument("--price", metavar="USD", help="of one vote")
        parser.add_argument("--batch-size", type=int, help="images a worker leases")
        parser.add_argument("--lease-minutes", type=int, help="until a batch is given to others")
        parser.add_argument("--title", help="what workers see as the round's name")
        parser.add_argument("--quiz", metavar="TITLE", help="annotators pass this quiz first; none: no quiz")
        state = parser.add_mutually_exclusive_group()
        state.add_argument("--pause", action="store_true", help="hand out no work for now")
        state.add_argument("--reopen", action="store_true", help="hand out work again")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change it, and let its tasks follow."""
        round = Round.objects.filter(pk=options["round"]).first()
        if round is None:
            raise BadInput(f"there is no round {options['round']}")
        for left in round.changes.filter(finished=False):
            carry_out(left)
        wanted = {
            name: options[name]
            for name in ("votes_min", "votes_max", "confidence", "batch_size", "title")
            if options[name] is not None
        }
        if options["price"] is not None:
            wanted["price"] = price_of(options["price"])
        if options["quiz"] is not None:
            wanted["quiz_id"] = quiz_of(round.dataset, "" if options["quiz"] == "none" else options["quiz"])
        if options["lease_minutes"] is not None:
            wanted["lease_seconds"] = 60 * options["lease_minutes"]
        try:
            made = apply_change(round, wanted, "") if wanted else None
            if made is not None:
                carry_out(made)
            if options["pause"]:
                pause_round(round)
            if options["reopen"]:
                reopen_round(round)
        except NotChangeable as error:
            raise BadInput(str(error)) from None
        after = {} if made is None else made.after
        told = (
            ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in after.items())
            or "nothing differs"
        )
        summary = {"round": round.pk, "state": round.state, "changed": after}
        self.report(options, summary, f"round {round.pk} is {round.state}: {told}")
