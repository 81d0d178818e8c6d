"""`manage.py open_round`: see `quality.services.rounds`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.tables import read_table
from quality.services.followups import DISPUTED, UNSURE, UnusableRound, eligible_workers, read_proposals
from quality.services.rounds import (
    EVERY,
    UNLABELLED,
    RoundPlan,
    open_labelling_round,
    open_repeat_round,
    round_summary,
)


class Command(AssayCommand):
    """Open a round."""

    help = "Open a labelling round: workers can claim its tasks at once."
    example = """python manage.py open_round clothing --question classify --votes-max 7 --gold-rate 0.1
        python manage.py open_round clothing --question verify --images unlabelled --json
        python manage.py open_round clothing --question classify --images disputed --min-skill 0.8
        python manage.py open_round clothing --question verify --proposals model.csv
        python manage.py open_round clothing --repeat 1 --share 0.05"""

    def add_arguments(self, parser: CommandParser) -> None:
        """The numbers of a round; defaults as `RoundPlan` has them."""
        plan = RoundPlan()
        parser.add_argument("name", help="dataset")
        parser.add_argument("--question", choices=Round.Question.values, help="(not with --repeat)")
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
            "--images",
            default=EVERY,
            help="all, unlabelled, disputed (unsure at the most votes in earlier rounds), unsure[:BELOW] (a "
            "consensus below that confidence), or a table with a column image (default: all)",
        )
        self._add_follow_up(parser)
        self.add_json(parser)

    def _add_follow_up(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--min-skill", type=float, metavar="S", help="only workers surely this often right"
        )
        parser.add_argument("--workers", metavar="FILE", help="only these: a table with a column worker")
        parser.add_argument(
            "--proposals",
            metavar="FILE",
            help="labels to verify, from a model or another tool: columns image,label[,probability]",
        )
        parser.add_argument(
            "--repeat", type=int, metavar="ROUND", help="ask that round's workers again: do they agree with "
            "themselves?"
        )  # fmt: skip
        parser.add_argument(
            "--share", type=float, default=0.05, help="of each worker's answers to repeat (default: 0.05)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, open, say what was made."""
        dataset = self.dataset(options["name"])
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
            made = _open(dataset, plan, options)
        except UnusableRound as error:
            raise BadInput(str(error)) from None
        summary = round_summary(made)
        words = f"round {summary['round']} is open: {summary['tasks']} tasks, {summary['gold']} of them gold"
        if summary["workers"] is not None:
            words += f", for {summary['workers']} workers"
        self.report(options, summary, words)


def _open(dataset: Dataset, plan: RoundPlan, options: dict[str, Any]) -> Round:
    names = None
    if options["workers"]:
        names = list(read_table(options["workers"], ["worker"])["worker"])
    invited = eligible_workers(dataset, options["min_skill"], names)
    if options["repeat"] is not None:
        first = dataset.rounds.filter(pk=options["repeat"]).first()
        if first is None:
            raise BadInput(f"dataset {dataset.name} has no round {options['repeat']}")
        if options["question"] or options["proposals"] or options["images"] != EVERY:
            raise BadInput("a repeat asks what its round asked: leave out --question, --images, --proposals")
        return open_repeat_round(first, options["share"], plan=plan, invited=invited)
    if not options["question"]:
        raise BadInput("--question classify or --question verify is needed (or --repeat ROUND)")
    images: str | list[str] = options["images"]
    proposals = None
    if options["proposals"]:
        if images != EVERY:
            raise BadInput("--proposals names the images: leave out --images")
        proposals = read_proposals(dataset, _proposals(options["proposals"]), Path(options["proposals"]).name)
    elif images not in (EVERY, UNLABELLED) and str(images).partition(":")[0] not in (DISPUTED, UNSURE):
        frame = read_table(str(images), ["image"], rename={"task": "image", "item": "image"})
        images = list(dict.fromkeys(frame["image"]))
    return open_labelling_round(
        dataset, options["question"], images=images, plan=plan, proposals=proposals, invited=invited
    )


def _proposals(path: str) -> list[tuple[str, str, float | None]]:
    renamed = {"task": "image", "item": "image", "category": "label"}
    frame = read_table(path, ["image", "label"], numbers=["probability"], rename=renamed)
    if not len(frame):
        raise BadInput(f"{path}: no proposals in it")
    sure = [None] * len(frame) if "probability" not in frame.columns else frame["probability"].tolist()
    known = [None if p is None or math.isnan(p) else p for p in sure]
    return list(zip(frame["image"], frame["label"], known, strict=True))


def _text(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        raise BadInput(f"{path}: cannot be read as a text file") from None
