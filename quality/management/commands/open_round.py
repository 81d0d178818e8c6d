"""`manage.py open_round`: see `quality.services.rounds`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round
from ingest.management.base import AssayCommand, BadInput
from ingest.tables import read_table
from quality.services.rounds import (
    EVERY,
    UNLABELLED,
    RoundPlan,
    UnusableRound,
    open_labelling_round,
    round_summary,
)


class Command(AssayCommand):
    """Open a round."""

    help = "Open a labelling round: workers can claim its tasks at once."
    example = """python manage.py open_round clothing --question classify --votes-max 7 --gold-rate 0.1
        python manage.py open_round clothing --question verify --images unlabelled --json"""

    def add_arguments(self, parser: CommandParser) -> None:
        """The numbers of a round; defaults as `RoundPlan` has them."""
        plan = RoundPlan()
        parser.add_argument("name", help="dataset")
        parser.add_argument("--question", choices=Round.Question.values, required=True)
        parser.add_argument("--votes-min", type=int, default=plan.votes_min, help="votes every image gets")
        parser.add_argument(
            "--votes-max", type=int, default=plan.votes_max, help="votes an image gets at most"
        )
        parser.add_argument("--confidence", type=float, default=plan.confidence, help="settle when this sure")
        parser.add_argument(
            "--gold-rate",
            type=float,
            default=plan.gold_rate,
            help="share of gold among what workers are given",
        )
        parser.add_argument(
            "--audit", type=float, default=plan.audit_rate, help="random share that gets the most votes"
        )
        parser.add_argument("--batch-size", type=int, default=plan.batch_size, help="images a worker leases")
        parser.add_argument("--title", default="", help="what workers see as the round's name")
        parser.add_argument("--instructions", metavar="FILE", help="text file with what to tell workers")
        parser.add_argument("--seed", type=int, default=plan.seed, help="of the random order and the audit")
        parser.add_argument(
            "--images", default=EVERY, help="all, unlabelled, or a table with a column image (default: all)"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, open, say what was made."""
        dataset = self.dataset(options["name"])
        images: str | list[str] = options["images"]
        if images not in (EVERY, UNLABELLED):
            frame = read_table(str(images), ["image"], rename={"task": "image", "item": "image"})
            images = list(dict.fromkeys(frame["image"]))
        plan = RoundPlan(
            votes_min=options["votes_min"],
            votes_max=options["votes_max"],
            confidence=options["confidence"],
            gold_rate=options["gold_rate"],
            audit_rate=options["audit"],
            batch_size=options["batch_size"],
            title=options["title"],
            instructions=_text(options["instructions"]),
            seed=options["seed"],
        )
        try:
            made = open_labelling_round(dataset, options["question"], images=images, plan=plan)
        except UnusableRound as error:
            raise BadInput(str(error)) from None
        summary = round_summary(made)
        words = f"round {summary['round']} is open: {summary['tasks']} tasks, {summary['gold']} of them gold"
        self.report(options, summary, words)


def _text(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise BadInput(f"{path}: cannot be read as a text file") from None
