"""`manage.py aggregate`: see `quality.services.consensus`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from quality.aggregation import METHODS, BadVotes
from quality.services.consensus import aggregate_round, pass_report


class Command(AssayCommand):
    """One quality-control pass."""

    help = "Compute consensus and worker skills from the votes; settle what is sure, ask for votes elsewhere."
    example = """python manage.py aggregate clothing
        python manage.py aggregate clothing --round 3 --method dawid_skene --json"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, round and method."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("--round", type=int, help="a round's number (default: every round not closed)")
        parser.add_argument("--method", default="auto", choices=METHODS, help="(default: auto)")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the pass over each round, oldest first."""
        rounds = _rounds(self.dataset(options["name"]), options["round"])
        reports = []
        for round in rounds:
            try:
                reports.append(pass_report(aggregate_round(round, options["method"])).as_dict())
            except BadVotes as error:
                raise BadInput(f"round {round.pk}: {error}") from None
        data = reports[0] if len(reports) == 1 else {"rounds": reports}
        self.report(options, data, "\n".join(in_words(report) for report in reports))


def _rounds(dataset: Dataset, number: int | None) -> list[Round]:
    if number is not None:
        found = list(dataset.rounds.filter(pk=number))
        if not found:
            raise BadInput(f"dataset {dataset.name} has no round {number}")
        return found
    # A repeat round is no evidence on its pictures: it measures people.
    every = list(dataset.rounds.exclude(access=Round.Access.REPEAT).order_by("id"))
    if not every:
        raise BadInput(
            f"dataset {dataset.name} has no round yet: run manage.py open_round {dataset.name} first"
        )
    # Where all are closed, the newest is what one means.
    return [round for round in every if round.state != Round.State.CLOSED] or every[-1:]


def in_words(report: dict[str, Any]) -> str:
    """One round's report for people."""
    sure = report["mean_confidence"]
    words = (
        f"round {report['round']}: {report['votes']} votes by {report['method']}; "
        f"{report['settled']} of {report['tasks']} tasks settled, "
        f"{report['exhausted']} unsure at the most votes, "
        f"{report['asked_again']} asked again ({report['votes_asked']} votes)"
        + ("" if sure is None else f"; mean confidence {sure:.1%}")
    )
    accuracy = report["estimated_label_accuracy"]
    if accuracy:
        words += (
            f"; label accuracy {accuracy['value']:.1%} ({accuracy['lo']:.1%} to {accuracy['hi']:.1%}, "
            f"{accuracy['n']} references)"
        )
    flagged = report["workers_flagged"]
    return words + (f"; {flagged} workers flagged" if flagged else "")
