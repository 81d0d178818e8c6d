"""Taking votes out of the count, and gold out of circulation. Nothing is ever deleted.

Both are done in short transactions, a chunk each, and can be stopped and run again: what is done stays done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, F, Q

from annotation_site.models import Assignment, Lease, Round, Task, Vote, Worker
from annotation_site.services.claims import locked_participation
from annotation_site.services.expiry import expire_assignments
from annotation_site.services.locking import short_write
from annotation_site.services.rounds import HAS_ROOM

CHUNK = 1_000
CLOSED = (Task.State.SETTLED, Task.State.EXHAUSTED)


@dataclass
class Voided:
    """What voiding came to."""

    votes: int = 0
    tasks_reopened: int = 0


def set_suspended(worker: Worker, suspended: bool) -> None:
    """Stop giving a worker work, or give it again. The places that the worker held are free at once.

    Votes that the worker sends after that are late: stored, and counted where there is room.
    """
    with short_write():
        Worker.objects.filter(pk=worker.pk).update(suspended=suspended)
    worker.suspended = suspended
    if suspended:
        held = Assignment.objects.filter(worker=worker, state=Assignment.State.ACTIVE)
        for round in Round.objects.filter(pk__in=held.values("round")):
            while expire_assignments(round, Q(worker=worker)):
                pass


def void_worker_votes(worker: Worker, round: Round) -> Voided:
    """Void all counted votes of a worker in a round, and reopen the tasks that had them.

    A task that was settled or exhausted with such a vote is open again: with room it is handed out, and the
    next quality-control pass settles it, or not, by the votes that still count. Gold keeps its state.
    """
    done = Voided()
    while part := _void_some(worker, round):
        done.votes += part.votes
        done.tasks_reopened += part.tasks_reopened
    return done


def _void_some(worker: Worker, round: Round) -> Voided | None:
    with short_write():
        part = locked_participation(round, worker)
        held = Vote.objects.filter(worker=worker, task__round=round, voided=False).order_by("pk")
        rows = list(held.values_list("pk", "task_id", "task__gold", "seconds")[:CHUNK])
        if not rows:
            return None
        tasks = Task.objects.filter(pk__in=[task for _, task, _, _ in rows])
        list(tasks.select_for_update(no_key=True).order_by("pk").values_list("pk"))
        Vote.objects.filter(pk__in=[pk for pk, *_ in rows]).update(
            voided=True, void_reason=Vote.VoidReason.WORKER
        )
        tasks.update(votes=F("votes") - 1)
        reopened = _reopen(round, [task for _, task, gold, _ in rows if not gold])
        part.votes = max(part.votes - len(rows), 0)
        part.gold_votes = max(part.gold_votes - sum(gold for _, _, gold, _ in rows), 0)
        part.seconds = max(part.seconds - sum(seconds or 0.0 for *_, seconds in rows), 0.0)
        part.save(update_fields=["votes", "gold_votes", "seconds"])
        return Voided(len(rows), reopened)


def _reopen(round: Round, task_ids: list[int]) -> int:
    """Open tasks again inside the caller's transaction; keeps `claimable` and the round's counters."""
    tasks = Task.objects.filter(pk__in=task_ids).exclude(state=Task.State.WITHDRAWN)
    states = list(tasks.values_list("state", flat=True))
    settled, exhausted = (states.count(state) for state in CLOSED)
    tasks.filter(state__in=CLOSED).update(state=Task.State.OPEN)
    tasks.update(claimable=HAS_ROOM)
    if settled or exhausted:
        Round.objects.filter(pk=round.pk).update(
            tasks_settled=F("tasks_settled") - settled, tasks_exhausted=F("tasks_exhausted") - exhausted
        )
    return settled + exhausted


def retire_gold_tasks(image_ids: Iterable[int]) -> int:
    """Make the gold tasks of these images ordinary ones in every round; returns how many.

    1. The tasks are withdrawn, so that no further claim hands them out as gold.
    2. Then they stop being gold: the leases that are out are counted as places, and the task is open with
       its votes as they are. The next quality-control pass settles it or asks for more.
    Killed in between, the second run finishes the first: withdrawn gold is still gold.
    """
    ids = list(image_ids)
    retired = 0
    for start in range(0, len(ids), CHUNK):
        gold = Task.objects.filter(image__in=ids[start : start + CHUNK], gold=True)
        with short_write():
            withdrawn = list(gold.order_by("pk").values_list("pk", "round_id", "state"))
            for round_id in sorted({round_id for _, round_id, _ in withdrawn}):
                _forget_states(round_id, [state for _, its, state in withdrawn if its == round_id])
            gold.update(state=Task.State.WITHDRAWN, claimable=False)
        with short_write():
            # Waits for claims that are just leasing them: a lease row holds the key of its task.
            list(gold.select_for_update().order_by("pk").values_list("pk"))
            live = Lease.objects.filter(task__in=gold, assignment__state=Assignment.State.ACTIVE)
            for task_id, leases in live.values("task").annotate(n=Count("pk")).values_list("task", "n"):
                Task.objects.filter(pk=task_id).update(leases=leases)
            plain = Task.objects.filter(pk__in=[pk for pk, _, _ in withdrawn])
            plain.update(gold=False, state=Task.State.OPEN)
            plain.update(claimable=HAS_ROOM)
            retired += len(withdrawn)
    return retired


def _forget_states(round_id: int, states: list[int]) -> None:
    settled, exhausted = (states.count(state) for state in CLOSED)
    if settled or exhausted:
        Round.objects.filter(pk=round_id).update(
            tasks_settled=F("tasks_settled") - settled, tasks_exhausted=F("tasks_exhausted") - exhausted
        )
