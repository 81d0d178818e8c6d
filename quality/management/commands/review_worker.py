"""`manage.py review_worker`: see `quality.services.workers`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from annotation_site.models import Round, Worker
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from quality.models import WorkerAction
from quality.policy import USUAL, GoldTrial
from quality.services import workers
from quality.services.gold_trial import USUAL_GOLD, trial_of

NOTES = {
    "warn": "keep that a person wrote to the worker; nothing else happens",
    "retrain": "let the worker see their wrong answers to experts' gold so far, with the right ones, at "
    "/d/NAME/feedback/",
}
STEPS = "; ".join(f"{flag}: {', then '.join(steps)}" for flag, steps in USUAL.items())


class Command(AssayCommand):
    """Look at workers and act on what was found."""

    help = (
        "Show flagged workers with what is proposed, or one worker; suspend, restore, or void their votes. "
        "Nothing is done without a person. Proposed is, the next step where one was taken: "
        f"{STEPS.replace('_', ' ')}. What comes after more gold follows from the answers to it."
    )
    example = """python manage.py review_worker clothing
        python manage.py review_worker clothing w4f2a9c1d70 --more-gold 30 "the same pace for every picture"
        python manage.py review_worker clothing w4f2a9c1d70 --suspend "same answer 58 of 60 times"
        python manage.py review_worker clothing w4f2a9c1d70 --round 3 --void "same answer 58 of 60 times" """

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset, worker, and one decision with its reason."""
        parser.add_argument("name", help="dataset")
        parser.add_argument("worker", nargs="?", help="the worker's code or user name (default: all flagged)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--suspend", metavar="REASON", help="give the worker no more work")
        what.add_argument("--restore", metavar="REASON", help="give the worker work again")
        what.add_argument("--void", metavar="REASON", help="void the worker's votes; tasks open again")
        what.add_argument(
            "--more-gold", nargs="+", metavar=("[N]", "REASON"),
            help=f"a reason, or a number and a reason: mix N further gold tasks (default: {USUAL_GOLD}) into "
            "the worker's coming batches in each open round that they work in, at most half of a batch; how "
            "they are answered is told here",
        )  # fmt: skip
        for action, words in NOTES.items():
            what.add_argument(f"--{action}", metavar="REASON", help=words)
        parser.add_argument(
            "--round", type=int, help="with --void, --more-gold: this round only (default: all rounds)"
        )
        parser.add_argument("--by", default="", help="who decided (kept with the reason)")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Show, or act and say what was done."""
        dataset = self.dataset(options["name"])
        chosen = [a for a in ("suspend", "restore", "void", "more_gold", *NOTES) if options[a] is not None]
        if options["worker"] is None:
            if chosen:
                raise BadInput(f"--{chosen[0].replace('_', '-')} needs a worker")
            return self._flagged(dataset, options)
        worker = _worker(dataset, options["worker"])
        try:
            done, remarks = _act(worker, dataset, chosen[0], options) if chosen else ([], [])
        except workers.UnusableReview as error:
            raise BadInput(str(error)) from None
        told = [review.as_dict() for review in workers.review(worker, dataset)]
        worker.refresh_from_db()
        trial = trial_of(worker, dataset)
        data = {
            "worker": worker.code,
            "suspended": worker.suspended,
            "done": [
                {"action": a.action, "round": a.round_id, "votes": a.votes, "gold": a.gold} for a in done
            ],
            "further_gold": trial and trial.as_dict(),
            "rounds": told,
        }
        self.report(options, data, "\n".join(remarks + _lines(worker, done, trial, told)))

    def _flagged(self, dataset: Dataset, options: dict[str, Any]) -> None:
        found = workers.proposals(dataset)
        rows = [{"worker": p.worker, "proposed": p.action.value, "reasons": list(p.reasons)} for p in found]
        words = "\n".join(p.in_words() for p in found) or "no worker is flagged"
        self.report(options, {"proposals": rows}, words)


def _worker(dataset: Dataset, name: str) -> Worker:
    here = Worker.objects.filter(participations__round__dataset=dataset).distinct()
    found = here.filter(code=name).first() or here.filter(user__username=name).first()
    if found is None:
        raise BadInput(f"nobody called {name!r} has worked on dataset {dataset.name}")
    return found


def _act(
    worker: Worker, dataset: Dataset, action: str, options: dict[str, Any]
) -> tuple[list[WorkerAction], list[str]]:
    """What was done, and what could not be, in words."""
    reason, by = options[action], options["by"]
    if action == "suspend":
        return [workers.suspend_worker(worker, dataset, reason, by)], []
    if action == "restore":
        return [workers.restore_worker(worker, dataset, reason, by)], []
    if action == "void":
        return _void(worker, dataset, reason, options), []
    if action != "more_gold":
        return [workers.note(worker, dataset, action, reason, by)], []
    count, reason = _count_and_reason(reason)
    made = workers.more_gold(worker, dataset, reason, by, count, _round(dataset, options["round"]))
    return [made.action], [
        f"round {number} holds {there} of {count}: {worker.code} has met its other gold"
        for number, there in made.per_round.items()
        if there < count
    ]


def _round(dataset: Dataset, number: int | None) -> Round | None:
    if number is None:
        return None
    found = dataset.rounds.filter(pk=min(number, 2**63 - 1)).first()
    if found is None:
        raise BadInput(f"dataset {dataset.name} has no round {number}")
    return found


def _void(worker: Worker, dataset: Dataset, reason: str, options: dict[str, Any]) -> list[WorkerAction]:
    rounds = Round.objects.filter(dataset=dataset, participations__worker=worker, participations__votes__gt=0)
    if options["round"] is not None:
        rounds = rounds.filter(pk=min(options["round"], 2**63 - 1))
    chosen = list(rounds.order_by("pk"))
    if not chosen:
        raise workers.UnusableReview(f"{worker.code} has no counted vote there")
    return [workers.void_votes(worker, round, reason, options["by"]) for round in chosen]


def _count_and_reason(words: list[str]) -> tuple[int, str]:
    """What `--more-gold` was given: a reason, or a number and a reason."""
    *number, reason = words
    if len(number) > 1 or (number and not number[0].lstrip("-").isdecimal()):
        raise BadInput(f'--more-gold takes a number and a reason in quotes: --more-gold {USUAL_GOLD} "why"')
    if not number and reason.lstrip("-").isdecimal():
        raise BadInput("say why: a reason is kept with every decision about a worker")
    return int(number[0]) if number else USUAL_GOLD, reason


def _lines(
    worker: Worker, done: list[WorkerAction], trial: GoldTrial | None, told: list[dict[str, Any]]
) -> list[str]:
    lines = []
    for action in done:
        what = ""
        if action.votes:
            what = f": {number_of(action.votes, 'vote')} of round {action.round_id} voided"
        elif action.gold:
            what = f": {number_of(action.gold, 'further gold task')} to come, beside the usual share"
        lines.append(f"{worker.code}: {action.get_action_display()}{what} ({action.reason})")
    if trial:
        lines.append(trial.in_words() + (f"; {trial.coming} to come" if trial.coming else ""))
    if worker.suspended and not done:
        lines.append(f"{worker.code} is suspended")
    for row in told:
        lines.append(
            f"round {row['round']}: right in {row['skill']:.0%} of votes ({row['lo']:.0%} to "
            f"{row['hi']:.0%}), {number_of(row['votes'], 'vote')}, {row['new_votes']:,} since the last pass"
        )
        lines += [f"  {flag}: {why}" for flag, why in zip(row["flags"], row["evidence"], strict=False)]
    return lines or [f"{worker.code} has not voted yet"]
