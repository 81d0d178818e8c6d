"""What is known of workers now, what is proposed, and what a person decides about them.

The labelling site knows nothing of skills, and a vote writes nothing here: the kept numbers are those of
the last pass (`WorkerSkill`), and `current_record` adds the votes since then when a page or a command asks.
Such a vote was in no pass, so the consensus it is held against does not contain it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from annotation_site.models import UNSURE, VERIFY_UNSURE, Round, Vote, Worker
from annotation_site.services.agreement import ask_to_look_again
from annotation_site.services.locking import short_write
from annotation_site.services.voiding import set_suspended, void_worker_votes
from ingest.models import Dataset
from quality.aggregation import METHODS
from quality.flags import Flag
from quality.models import Consensus, WorkerAction, WorkerSkill
from quality.policy import USUAL, Action, Policy, Proposal, propose
from quality.services.consensus import aggregate_round
from quality.services.gold_trial import MOST_GOLD, USUAL_GOLD, Promise, give_more_gold, trial_of
from quality.skills import Record, update

MOST_NEW = 5_000
"""Votes since the last pass that are looked at; a pass is due long before."""


class UnusableReview(ValueError):
    """A decision that cannot be carried out; the message is one line for the user."""


@dataclass(frozen=True)
class Review:
    """One worker in one round, as of now."""

    worker: str
    round: int
    votes: int
    new_votes: int
    skill: float
    lo: float
    hi: float
    flags: list[str]
    evidence: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def current_record(worker: Worker, round: Round) -> tuple[Record, int]:
    """The worker's record of the last pass and every counted vote since, and how many these are.

    Votes on tasks that have no consensus yet, and abstentions, say nothing of skill.
    """
    kept = WorkerSkill.objects.filter(round=round, worker=worker).first()
    record = Record.kept(kept.skill, kept.lo, kept.hi, kept.votes) if kept else Record()
    held = Vote.objects.counted().filter(worker=worker, task__round=round).order_by("pk")
    seen = kept.votes if kept else 0
    new = list(held.select_related("category")[seen : seen + MOST_NEW])
    rows = Consensus.objects.filter(task__in=[vote.task_id for vote in new])
    belief = dict(rows.values_list("task_id", "posterior"))
    labels = len([label for label in round.choices() if label not in (UNSURE, VERIFY_UNSURE)])
    for vote in new:
        told = {} if vote.label in (UNSURE, VERIFY_UNSURE) else belief.get(vote.task_id, {})
        record = update(record, vote.label, told, labels)
    return record, len(new)


def review(worker: Worker, dataset: Dataset) -> list[Review]:
    """The worker in each round of the dataset that they voted in, the newest first."""
    found = []
    for part in (
        worker.participations.filter(round__dataset=dataset).select_related("round").order_by("-round")
    ):
        record, new = current_record(worker, part.round)
        kept = WorkerSkill.objects.filter(round=part.round, worker=worker).first()
        flags = kept.flags.split(";") if kept and kept.flags else []
        evidence = kept.evidence.splitlines() if kept else []
        skill, lo, hi = (round(x, 6) for x in (record.skill, *record.interval()))
        found.append(Review(worker.code, part.round_id, record.votes, new, skill, lo, hi, flags, evidence))
    return found


def proposals(dataset: Dataset, policy: Policy = USUAL) -> list[Proposal]:
    """What the policy proposes for every flagged worker of the dataset who still gets work or still counts.

    Workers whose votes were voided have no skill in that round any more, and so no flags. What is proposed
    after more gold depends on the answers to it.
    """
    taken: dict[str, set[str]] = defaultdict(set)
    for code, action in _standing(dataset):
        if action == WorkerAction.Action.RESTORE:
            taken[code].discard(WorkerAction.Action.SUSPEND.value)
        else:
            taken[code].add(action)
    flags = []
    rows = WorkerSkill.objects.filter(round__dataset=dataset).exclude(flags="")
    for kept in rows.select_related("worker").order_by("worker__code", "round_id"):
        lines = kept.evidence.splitlines()
        for place, slug in enumerate(kept.flags.split(";")):
            words = lines[place] if place < len(lines) else ""
            flags.append(Flag(kept.worker.code, slug, f"{words} (round {kept.round_id})".strip()))
    flagged = {flag.worker for flag in flags}
    given = [code for code, actions in taken.items() if Action.MORE_GOLD.value in actions and code in flagged]
    trials = {worker.code: trial_of(worker, dataset) for worker in Worker.objects.filter(code__in=given)}
    return propose(flags, taken, policy, {code: trial for code, trial in trials.items() if trial})


def _standing(dataset: Dataset) -> list[tuple[str, str]]:
    rows = WorkerAction.objects.filter(dataset=dataset).order_by("pk")
    return list(rows.values_list("worker__code", "action"))


def suspend_worker(worker: Worker, dataset: Dataset, reason: str, by: str = "") -> WorkerAction:
    """Give the worker no more work, in any dataset. What they hold is free for others at once."""
    _need(reason)
    set_suspended(worker, True)
    return note(worker, dataset, WorkerAction.Action.SUSPEND, reason, by)


def restore_worker(worker: Worker, dataset: Dataset, reason: str, by: str = "") -> WorkerAction:
    """Give the worker work again. Votes that were voided stay voided."""
    _need(reason)
    set_suspended(worker, False)
    return note(worker, dataset, WorkerAction.Action.RESTORE, reason, by)


def more_gold(
    worker: Worker,
    dataset: Dataset,
    reason: str,
    by: str = "",
    count: int = USUAL_GOLD,
    round: Round | None = None,
    seen: int | None = None,
) -> Promise:
    """Mix `count` further gold tasks into the worker's coming batches; see `gold_trial.give_more_gold`.

    Raises:
        UnusableReview: no usable number, a worker who gets no work, or no gold that they have not met.
    """
    _need(reason)
    if not 1 <= count <= MOST_GOLD:
        raise UnusableReview(f"further gold is 1 to {MOST_GOLD} tasks, not {count}")
    if worker.suspended:
        raise UnusableReview(f"{worker.code} is suspended and gets no work: give work again first")
    made = give_more_gold(worker, dataset, count, reason, by, round, seen)
    if made is None:
        where = f"round {round.pk}" if round else "any open round that they work in"
        raise UnusableReview(
            f"no gold that {worker.code} has not met is left in {where}: add some (manage.py add_gold "
            f"{dataset.name}) and open a round with --gold-rate"
        )
    return made


def void_votes(
    worker: Worker, round: Round, reason: str, by: str = "", *, settle: bool = True
) -> WorkerAction:
    """Void the worker's counted votes in a round after a person agreed to it, and bring the rest into line.

    Their tasks are open again where room is, and a pass over the round computes consensus and skills anew.

    Args:
        settle: run that pass here; False: the caller sees to it.

    Raises:
        UnusableReview: the worker has no counted vote in the round.
    """
    _need(reason)
    done = void_worker_votes(worker, round)
    if not done.votes:
        raise UnusableReview(f"{worker.code} has no counted vote in round {round.pk}")
    action = note(worker, round.dataset, WorkerAction.Action.VOID, reason, by, round, done.votes)
    if settle and may_settle(round):
        last = round.qc_passes.latest("number")
        aggregate_round(round, last.method if last.method in METHODS else "auto")
    return action


def may_settle(round: Round) -> bool:
    """Whether passes are run over this round: there was one, and it asks no pictures again."""
    return not round.is_repeat and round.qc_passes.exists()


def note(
    worker: Worker,
    dataset: Dataset,
    action: str,
    reason: str,
    by: str = "",
    round: Round | None = None,
    votes: int = 0,
) -> WorkerAction:
    """Keep what a person did about a worker, and why.

    Raises:
        UnusableReview: without a reason.
    """
    _need(reason)
    if action == WorkerAction.Action.RETRAIN:
        ask_to_look_again(worker, dataset)
    with short_write():
        return WorkerAction.objects.create(
            worker=worker, dataset=dataset, round=round, action=action, reason=reason.strip()[:500], by=by,
            votes=votes,
        )  # fmt: skip


def _need(reason: str) -> None:
    if not reason.strip():
        raise UnusableReview("say why: a reason is kept with every decision about a worker")
