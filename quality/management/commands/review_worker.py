"""`manage.py review_worker`: see `quality.services.workers`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.models import Round, Worker
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from quality.models import WorkerAction
from quality.policy import USUAL
from quality.services import workers

NOTES = {
    "warn": "keep that a person wrote to the worker; nothing else happens",
    "retrain": "let the worker see their wrong answers to experts' gold so far, with the right ones, at "
    "/d/NAME/feedback/",
    "more_gold": "keep that a person gave the worker more gold; nothing else happens",
}
STEPS = "; ".join(f"{flag}: {', then '.join(steps)}" for flag, steps in USUAL.items())


class Command(AssayCommand):
    """Look at workers and act on what was found."""

    help = (
        "Show flagged workers with what is proposed, or one worker; suspend, restore, or void their votes. "
        "Nothing is done without a person. Proposed is, the next step where one was taken: "
        f"{STEPS.replace('_', ' ')}."
    )
    example = """python manage.py review_worker clothing
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
        for action, words in NOTES.items():
            what.add_argument(f"--{action.replace('_', '-')}", metavar="REASON", help=words)
        parser.add_argument("--round", type=int, help="with --void: this round only (default: all rounds)")
        parser.add_argument("--by", default="", help="who decided (kept with the reason)")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Show, or act and say what was done."""
        dataset = self.dataset(options["name"])
        chosen = [a for a in ("suspend", "restore", "void", *NOTES) if options[a] is not None]
        if options["worker"] is None:
            if chosen:
                raise BadInput(f"--{chosen[0]} needs a worker")
            return self._flagged(dataset, options)
        worker = _worker(dataset, options["worker"])
        try:
            done = _act(worker, dataset, chosen[0], options) if chosen else []
        except workers.UnusableReview as error:
            raise BadInput(str(error)) from None
        told = [review.as_dict() for review in workers.review(worker, dataset)]
        worker.refresh_from_db()
        data = {
            "worker": worker.code,
            "suspended": worker.suspended,
            "done": [{"action": a.action, "round": a.round_id, "votes": a.votes} for a in done],
            "rounds": told,
        }
        self.report(options, data, "\n".join(_lines(worker, done, told)))

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


def _act(worker: Worker, dataset: Dataset, action: str, options: dict[str, Any]) -> list[WorkerAction]:
    reason, by = options[action], options["by"]
    if action == "suspend":
        return [workers.suspend_worker(worker, dataset, reason, by)]
    if action == "restore":
        return [workers.restore_worker(worker, dataset, reason, by)]
    if action != "void":
        return [workers.note(worker, dataset, action, reason, by)]
    rounds = Round.objects.filter(dataset=dataset, participations__worker=worker, participations__votes__gt=0)
    if options["round"] is not None:
        rounds = rounds.filter(pk=min(options["round"], 2**63 - 1))
    chosen = list(rounds.order_by("pk"))
    if not chosen:
        raise workers.UnusableReview(f"{worker.code} has no counted vote there")
    return [workers.void_votes(worker, round, reason, by) for round in chosen]


def _lines(worker: Worker, done: list[WorkerAction], told: list[dict[str, Any]]) -> list[str]:
    lines = []
    for action in done:
        votes = f": {action.votes} votes of round {action.round_id} voided" if action.votes else ""
        lines.append(f"{worker.code}: {action.get_action_display()}{votes} ({action.reason})")
    if worker.suspended and not done:
        lines.append(f"{worker.code} is suspended")
    for row in told:
        lines.append(
            f"round {row['round']}: right in {row['skill']:.0%} of votes ({row['lo']:.0%} to "
            f"{row['hi']:.0%}), {row['votes']} votes, {row['new_votes']} of them since the last pass"
        )
        lines += [f"  {flag}: {why}" for flag, why in zip(row["flags"], row["evidence"], strict=False)]
    return lines or [f"{worker.code} has not voted yet"]
