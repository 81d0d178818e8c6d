"""`manage.py aggregate`: see `quality.services.consensus`."""

from __future__ import annotations

from typing import Any

import pandas as pd
from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from annotation_site.models import Round
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.tables import read_table
from quality.aggregation import METHODS, BadVotes
from quality.services.consensus import aggregate_round, pass_report
from quality.services.forecast import vote_price
from quality.services.pictures import in_round
from quality.services.settling import keep_least_gain


class Command(AssayCommand):
    """One quality-control pass."""

    help = "Compute consensus and worker skills from the votes; settle what is sure, ask for votes elsewhere."
    example = """python manage.py aggregate clothing
        python manage.py aggregate clothing --round 3 --method dawid_skene --json
        python manage.py aggregate clothing --round 3 --budget 2000
        python manage.py aggregate clothing --pictures probs.parquet
        python manage.py aggregate clothing --round 3 --error-price 0.5"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, round and method."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("--round", type=int, help="a round's number (default: every round not closed)")
        parser.add_argument("--method", default="auto", choices=METHODS, help="(default: auto)")
        parser.add_argument(
            "--budget", type=int, metavar="N",
            help="ask for at most N more votes a round in this pass, where they save most errors",
        )  # fmt: skip
        price = parser.add_mutually_exclusive_group()
        price.add_argument(
            "--least-gain", type=float, metavar="G",
            help="from now on ask the round no further vote that saves no more than G errors (0: no limit)",
        )  # fmt: skip
        price.add_argument(
            "--error-price", type=float, metavar="USD",
            help="the same, from what a wrong label costs you: G is the price of a vote by this price",
        )  # fmt: skip
        parser.add_argument(
            "--pictures", metavar="F",
            help="a classifier as one more voter: table of task (sha256, path or URL),label,probability",
        )  # fmt: skip
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the pass over each round, oldest first."""
        rounds = _rounds(self.dataset(options["name"]), options["round"])
        budget = options["budget"]
        if budget is not None and budget < 0:
            raise BadInput(f"--budget is a number of votes, 0 or more; got {budget}")
        pictures = _pictures(options["pictures"])
        gains = [_least_gain(round, options) for round in rounds]
        reports = []
        for round, gain in zip(rounds, gains, strict=True):
            try:
                if gain is not None:
                    keep_least_gain(round, gain)
                seen = None if pictures is None else in_round(round, pictures)
                made = aggregate_round(round, options["method"], budget, seen and seen.table)
                reports.append(pass_report(made).as_dict())
                if seen is not None:
                    reports[-1]["pictures_not_in_round"] = seen.unknown
            except BadVotes as error:
                raise BadInput(f"round {round.pk}: {error}") from None
        data = reports[0] if len(reports) == 1 else {"rounds": reports}
        self.report(options, data, "\n".join(in_words(report) for report in reports))


def _pictures(path: str | None) -> pd.DataFrame | None:
    names = {"image": "task", "item": "task"}
    return read_table(path, ("task", "label", "probability"), rename=names) if path else None


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


def _least_gain(round: Round, options: dict[str, Any]) -> float | None:
    """What the options say about this round; None: leave it as it is."""
    gain: float | None = options["least_gain"]
    if options["error_price"] is not None:
        if not options["error_price"] > 0:
            raise BadInput(f"--error-price must be above 0; got {options['error_price']:g}")
        if not round.price:
            raise BadInput(f"a vote in round {round.pk} has no price (open_round --price): give --least-gain")
        gain = vote_price(round) / options["error_price"]
    if gain is not None and not 0 <= gain < 1:
        raise BadInput(f"a vote must save from 0 to 1 errors to be asked for; got {gain:g}")
    return gain


def in_words(report: dict[str, Any]) -> str:
    """One round's report for people."""
    sure = report["mean_confidence"]
    words = (
        f"round {report['round']}: {number_of(report['votes'], 'vote')} by {report['method']}; "
        f"{report['settled']:,} of {number_of(report['tasks'], 'task')} settled, "
        f"{report['exhausted']} unsure at the most votes, "
        f"{report['asked_again']} asked again ({number_of(report['votes_asked'], 'vote')})"
        + ("" if sure is None else f"; mean confidence {sure:.1%}")
        + _outlook(report["forecast"])
        + ("; the preset's first sample has not all its votes yet" if report["waiting_for_sample"] else "")
    )
    accuracy = report["estimated_label_accuracy"]
    if accuracy:
        words += (
            f"; label accuracy {accuracy['value']:.1%} ({accuracy['lo']:.1%} to {accuracy['hi']:.1%}, "
            f"{number_of(accuracy['n'], 'reference')})"
        )
    if report.get("pictures_not_in_round"):
        not_here = number_of(
            report["pictures_not_in_round"], "picture of the classifier is", "pictures of the classifier are"
        )
        words += f"; {not_here} in no task of the round"
    flagged = report["workers_flagged"]
    return words + (f"; {number_of(flagged, 'worker')} flagged" if flagged else "")


def _outlook(forecast: dict[str, Any] | None) -> str:
    """What it still takes."""
    if not forecast or not forecast["tasks"]:
        return ""
    words = (
        f"; about {number_of(forecast['votes'], 'more vote')} to finish ({forecast['lo']} to {forecast['hi']}"
    )
    if forecast["cost"]:
        words += f", ${forecast['cost']:.2f}: ${forecast['cost_lo']:.2f} to ${forecast['cost_hi']:.2f}"
    return words + ")"
