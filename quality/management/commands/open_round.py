"""`manage.py open_round`: see `quality.services.rounds`."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from annotation_site.models import Round
from annotation_site.services.quiz_making import pictures_of
from ingest.management.base import AssayCommand, BadInput, Failure
from ingest.models import Dataset
from ingest.tables import read_table
from quality.models import PlannedRound
from quality.presets import IMAGENET, SAMPLE_VOTES
from quality.replay import read_confidences
from quality.services.choosing import BATCH, GRID, usual_batch
from quality.services.followups import DISPUTED, UNSURE, UnusableRound, eligible_workers, read_proposals
from quality.services.planned import make_planned
from quality.services.rounds import (
    EVERY,
    UNLABELLED,
    RoundPlan,
    open_labelling_round,
    open_repeat_round,
    round_summary,
)
from quality.services.settling import Wish

PRESET_VOTES_MIN = 2
"""Under the preset the number of agreeing votes is the rule; the least is low, to leave it room."""


class Command(AssayCommand):
    """Open a round."""

    help = "Open a labelling round: workers can claim its tasks at once."
    example = """python manage.py open_round clothing --question classify --votes-max 7 --gold-rate 0.1
        python manage.py open_round clothing --question verify --images unlabelled --json
        python manage.py open_round clothing --question classify --images disputed --min-skill 0.8
        python manage.py open_round clothing --question verify --proposals model.csv
        python manage.py open_round clothing --question classify --category-confidence coat=0.99,hat=0.9
        python manage.py open_round clothing --question verify --preset imagenet --price 0.01
        python manage.py open_round clothing --question classify --quiz "Coats and jackets"
        python manage.py open_round clothing --repeat 1 --share 0.05"""

    def add_arguments(self, parser: CommandParser) -> None:
        """The numbers of a round; defaults as `RoundPlan` has them."""
        plan = RoundPlan()
        parser.add_argument("name", help="dataset")
        parser.add_argument("--question", choices=Round.Question.values, help="(not with --repeat)")
        parser.add_argument(
            "--planned", type=int, metavar="ID",
            help="make a round that was ordered on the site and is not there yet; other options do not count",
        )  # fmt: skip
        parser.add_argument(
            "--votes-min", type=int,
            help=f"votes every image gets (default: {plan.votes_min}; {PRESET_VOTES_MIN} with --preset)",
        )  # fmt: skip
        parser.add_argument(
            "--votes-max", type=int,
            help=f"votes an image gets at most (default: {plan.votes_max}; {SAMPLE_VOTES} with --preset)",
        )  # fmt: skip
        parser.add_argument("--confidence", type=float, default=plan.confidence, help="settle when this sure")
        self._add_stopping(parser)
        parser.add_argument(
            "--gold-rate",
            type=float,
            default=plan.gold_rate,
            help="share of gold among what workers are given",
        )
        parser.add_argument(
            "--audit", type=float, default=plan.audit_rate, help="random share that gets the most votes"
        )
        parser.add_argument(
            "--batch-size",
            type=int,
            help=f"images a worker leases (default: {BATCH}, in a verify round {GRID})",
        )
        parser.add_argument(
            "--lease-minutes", type=int, default=plan.lease_seconds // 60,
            help="until a batch that was not sent is given to others (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--order", choices=Round.Order.values, default=plan.order,
            help="which open images come first: finish one after the other, those with the fewest votes, or "
            "those that the last pass is least sure of (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument("--category", default="", metavar="ID", help="verify this category alone")
        parser.add_argument("--title", default="", help="what workers see as the round's name")
        parser.add_argument(
            "--quiz", default="", metavar="TITLE",
            help="annotators pass this quiz first (see make_quiz); its pictures are left out of the round",
        )  # fmt: skip
        parser.add_argument(
            "--hide-agreement", action="store_true",
            help="never tell people how often they were right on gold (else once the round is closed)",
        )  # fmt: skip
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

    def _add_stopping(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--category-confidence", metavar="FILE|ID=P,...",
            help="settle these categories at another confidence; a table has columns category,confidence",
        )  # fmt: skip
        parser.add_argument(
            "--expected-accuracy", type=float, metavar="P",
            help="instead of --confidence: stop in each category once its labels are expected to be right so "
            "often; votes go where they save most errors",
        )  # fmt: skip
        parser.add_argument(
            "--preset", choices=[IMAGENET],
            help=f"as ImageNet did: a first sample of each category gets {SAMPLE_VOTES} votes and tells how "
            "many agreeing votes its other images need for --confidence",
        )  # fmt: skip
        parser.add_argument(
            "--least-gain", type=float, default=0.0, metavar="G",
            help="ask no further vote that is expected to save no more than G errors (default: 0)",
        )  # fmt: skip
        parser.add_argument(
            "--price", default="0", metavar="USD", help="of one vote, for forecasts and the release's cost"
        )

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
        if options["planned"] is not None:
            self._report(options, _make_planned(dataset, options["planned"]))
            return
        least, most = _votes(options)
        plan = RoundPlan(
            votes_min=least,
            votes_max=most,
            confidence=options["confidence"],
            gold_rate=options["gold_rate"],
            audit_rate=options["audit"],
            batch_size=_batch(options),
            lease_seconds=60 * options["lease_minutes"],
            order=options["order"],
            title=options["title"],
            instructions=_text(options["instructions"]),
            seed=options["seed"],
            price=price_of(options["price"]),
            quiz=quiz_of(dataset, options["quiz"]),
            tells_agreement=not options["hide_agreement"],
            wish=_wish(options),
        )
        try:
            made = _open(dataset, plan, options)
        except UnusableRound as error:
            raise BadInput(str(error)) from None
        self._report(options, made)

    def _report(self, options: dict[str, Any], made: Round) -> None:
        summary = round_summary(made)
        words = (
            f"round {made.pk} is open: {number_of(summary['tasks'], 'task')}, {summary['gold']} of them gold"
        )
        if summary["quiz"] is not None:
            left_out = number_of(len(pictures_of(made.dataset, made.quiz_id)), "picture is", "pictures are")
            words += f", for those who pass the quiz {summary['quiz']}, whose {left_out} left out"
        if summary["workers"] is not None:
            words += f", for {number_of(summary['workers'], 'worker')}"
        self.report(options, summary, words)


def _make_planned(dataset: Dataset, pk: int) -> Round:
    """The round that was ordered on the site; made now, unless it is there."""
    planned = dataset.planned_rounds.filter(pk=pk).first()
    if planned is None:
        raise BadInput(f"nobody ordered a round {pk} of dataset {dataset.name} on the site")
    planned = make_planned(planned.pk)
    if planned.state == PlannedRound.State.FAILED:
        raise Failure(f"it could not be made: {planned.error}")
    if planned.round is None or planned.state != PlannedRound.State.OPEN:
        raise Failure("somebody is making it now; its page shows how far it is")
    return planned.round


def _votes(options: dict[str, Any]) -> tuple[int, int]:
    """The least and the most votes; the usual ones are the preset's where there is one."""
    plan = RoundPlan()
    usual = (PRESET_VOTES_MIN, SAMPLE_VOTES) if options["preset"] else (plan.votes_min, plan.votes_max)
    told = (options["votes_min"], options["votes_max"])
    least, most = (b if a is None else a for a, b in zip(told, usual, strict=True))
    return least, most


def _batch(options: dict[str, Any]) -> int:
    given = options["batch_size"]
    return usual_batch(options["question"]) if given is None else int(given)


def price_of(text: str) -> Decimal:
    """A number of USD as it is typed."""
    try:
        price = Decimal(text).quantize(Decimal("0.0001"))
    except InvalidOperation:
        price = Decimal("nan")
    if price.is_nan():
        raise BadInput(f"--price is a number of USD; got {text!r}")
    return price


def quiz_of(dataset: Dataset, title: str) -> int | None:
    """Id of the quiz of this title; None for no title."""
    if not title:
        return None
    found = dataset.quizzes.filter(title=title).values_list("pk", flat=True).first()
    if found is None:
        known = ", ".join(dataset.quizzes.values_list("title", flat=True)[:5]) or "none"
        raise BadInput(f"dataset {dataset.name} has no quiz {title!r}; it has: {known}")
    return found


def _wish(options: dict[str, Any]) -> Wish:
    special: dict[str, float] = {}
    if options["category_confidence"]:
        try:
            special = read_confidences(options["category_confidence"])
        except ValueError as error:
            raise BadInput(str(error)) from None
    return Wish(
        category_confidence=special,
        expected_accuracy=options["expected_accuracy"],
        least_gain=options["least_gain"],
        preset=options["preset"] or "",
    )


def _open(dataset: Dataset, plan: RoundPlan, options: dict[str, Any]) -> Round:
    names = None
    if options["workers"]:
        names = list(read_table(options["workers"], ["worker"])["worker"])
    invited = eligible_workers(dataset, options["min_skill"], names)
    if options["repeat"] is not None:
        first = dataset.rounds.filter(pk=options["repeat"]).first()
        if first is None:
            raise BadInput(f"dataset {dataset.name} has no round {options['repeat']}")
        asked = (options["question"], options["proposals"], options["category"])
        if any(asked) or options["images"] != EVERY:
            raise BadInput(
                "a repeat asks what its round asked: leave out --question, --images, --proposals, --category"
            )
        if plan.wish != Wish():
            raise BadInput(
                "a repeat measures people and settles nothing: leave out --preset, --category-confidence, "
                "--expected-accuracy, --least-gain"
            )
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
        dataset,
        options["question"],
        images=images,
        plan=plan,
        proposals=proposals,
        invited=invited,
        category=options["category"],
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
