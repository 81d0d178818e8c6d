"""Taking votes in: a batch at a time, every batch once, nothing lost.

The statuses of `record_votes` (CONTRACTS):
- `stored`: kept and counted;
- `duplicate`: this worker gave this very answer to this task before; nothing changed;
- `late`: kept but not counted: it came after its lease had ended and the places were taken;
- `rejected`: not kept: the task was never given to this worker, or the worker answered it otherwise before
  (a vote is never edited: the first answer stands).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, Value, When
from django.utils import timezone

from annotation_site.models import Assignment, Lease, Participation, Receipt, Round, Task, Vote, Worker
from annotation_site.services.claims import locked_participation
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import Change, Removal, insert, prepared, row_of
from annotation_site.services.refusals import BadVotes, KeyReused, NoSuchAssignment
from ingest.models import Category

MAX_VOTES = 1_000
"""Answers in one batch."""
MAX_SECONDS = 3_600.0
"""Longer times say that somebody left the page open."""
STORED, DUPLICATE, LATE, REJECTED = "stored", "duplicate", "late", "rejected"


@dataclass(frozen=True)
class Answer:
    """One answer as it was sent."""

    task: int
    label: str
    seconds: float | None = None


@dataclass
class _Outcome:
    """What a batch comes to: the answers given, the rows to write, and whose counters move."""

    results: list[tuple[int, str]] = field(default_factory=list)
    votes: list[tuple[Any, ...]] = field(default_factory=list)
    """Values of `VOTE`."""
    used_leases: list[int] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    """Assignments whose leases these are."""
    from_lease: list[int] = field(default_factory=list)
    from_room: list[int] = field(default_factory=list)
    counted: int = 0
    gold: int = 0
    seconds: float = 0.0


VOTE = (
    "task_id", "worker_id", "assignment_id", "answer", "category_id", "seconds", "instructions_version",
    "voided", "void_reason", "created",
)  # fmt: skip


def record_votes(
    worker: Worker, assignment_id: int, key: str, answers: Sequence[Answer]
) -> list[tuple[int, str]]:
    """Store a worker's answers to a batch, in one transaction. The same key again gives the same answer.

    Returns:
        (task, status) for each answer, in the order given; see the top of this file.

    Raises:
        NoSuchAssignment: no such assignment of this worker.
        BadVotes: a label that the round does not know, an unusable key, none or over `MAX_VOTES` answers.
        KeyReused: the key came before with other content.
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,64}", key):
        raise BadVotes("A key is 1 to 64 visible ASCII characters.")
    if not 1 <= len(answers) <= MAX_VOTES:
        raise BadVotes(f"A batch holds 1 to {MAX_VOTES:,} votes, not {len(answers):,}.")
    digest = _digest(assignment_id, answers)
    assignment = _assignment_of(worker, assignment_id)
    codes = vote_codes(assignment.round)
    unknown = next((a.label for a in answers if a.label not in codes), None)
    if unknown is not None:
        raise BadVotes(f"This round does not know the label {unknown[:100]!r}; nothing was stored.")
    try:
        with short_write():
            part = locked_participation(assignment.round, worker)
            known = _receipt(worker, key, digest)
            if known is not None:
                return known
            outcome = _weigh(assignment, answers, codes)
            _write(part, assignment, outcome)
            row = (worker.pk, key, digest, outcome.results, timezone.now())
            insert(Receipt, ["worker_id", "key", "request_sha256", "response", "created"], [row])
    except IntegrityError:
        # The same key at the same moment in another round: the other one was first.
        known = _receipt(worker, key, digest)
        if known is None:
            raise
        return known
    return outcome.results


def _digest(assignment_id: int, answers: Sequence[Answer]) -> str:
    body = [assignment_id, [[a.task, a.label, a.seconds] for a in answers]]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def _receipt(worker: Worker, key: str, digest: str) -> list[tuple[int, str]] | None:
    """What was answered under this key, if anything was."""
    for request_sha256, response in _receipts(worker=worker.pk, key=key):
        if request_sha256 != digest:
            raise KeyReused("This key was used for other votes; every batch needs a key of its own.")
        return [(task, status) for task, status in response]
    return None


@prepared()
def _receipts(worker: int, key: str) -> Any:
    return Receipt.objects.filter(worker=worker, key=key).values_list("request_sha256", "response")


def _assignment_of(worker: Worker, number: int) -> Assignment:
    """The worker's assignment, with its round."""
    for row in _assignments(worker=worker.pk, number=number):
        assignment = row_of(Assignment, ASSIGNMENT, row)
        assignment.round = row_of(Round, ROUND, row[len(ASSIGNMENT) :])
        return assignment
    raise NoSuchAssignment(f"You have no assignment {number}.")


ASSIGNMENT = ["id", "round_id", "worker_id", "state", "instructions_version"]
ROUND = ["id", "dataset_id", "question", "state", "created"]


@prepared()
def _assignments(worker: int, number: int) -> Any:
    columns = [*ASSIGNMENT, *(f"round__{name}" for name in ROUND)]
    return Assignment.objects.filter(pk=number, worker=worker).values_list(*columns)


def vote_codes(round: Round) -> dict[str, tuple[int, int | None]]:
    """label -> (answer code, Category id) for every label that a vote in this round may carry."""
    special = {str(label): int(code) for code, label in Vote.Answer.choices if code}
    categories: dict[str, int] = {}
    if round.question == Round.Question.CLASSIFY:
        categories = dict(_standing(dataset=round.dataset_id, created=round.created))
    return {
        label: (int(Vote.Answer.CATEGORY), categories[label])
        if label in categories
        else (special[label], None)
        for label in [*categories, *round.special_labels()]
    }


@prepared()
def _standing(dataset: int, created: datetime) -> Any:
    standing = Category.objects.filter(dataset=dataset).standing(created)
    return standing.values_list("key", "pk")


def _weigh(
    assignment: Assignment, answers: Sequence[Answer], codes: dict[str, tuple[int, int | None]]
) -> _Outcome:
    """Decide what becomes of each answer; reads and locks, writes nothing."""
    ids = sorted({a.task for a in answers})
    worker_id = assignment.worker_id
    # Locks in one order everywhere (assignments, then tasks by number), and leases read after them: what
    # ended meanwhile is seen as ended.
    live_ids = {pk for (pk,) in _active(worker=worker_id, round=assignment.round_id)}
    rows = _tasks(tasks=ids, worker=worker_id)
    tasks = {pk: (gold, full) for pk, round_id, gold, full in rows if round_id == assignment.round_id}
    held = _leases(tasks=sorted(tasks), worker=worker_id)
    leases = {task: (pk, assignment_id) for task, pk, assignment_id in held}
    given = _given(assignment, ids)
    outcome, now = _Outcome(), timezone.now()
    for a in answers:
        code, category_id = codes[a.label]
        before, lease = given.get(a.task), leases.get(a.task)
        live = lease is not None and lease[1] in live_ids
        if before is not None and not (before[2] and live):
            same = before[:2] == (code, category_id)
            outcome.results.append((a.task, (LATE if before[2] else DUPLICATE) if same else REJECTED))
            continue
        if lease is None:
            outcome.results.append((a.task, REJECTED))
            continue
        gold, full = tasks[a.task]
        counted = live or gold or not full
        if counted:
            (outcome.from_lease if live and not gold else outcome.from_room).append(a.task)
        given[a.task] = (code, category_id, not counted)
        del leases[a.task]
        outcome.used_leases.append(lease[0])
        outcome.touched.add(lease[1])
        outcome.results.append((a.task, STORED if counted else LATE))
        seconds = _seconds(a.seconds)
        outcome.counted += counted
        outcome.gold += counted and gold
        outcome.seconds += (seconds or 0.0) * counted
        why = "" if counted else str(Vote.VoidReason.LATE)
        told = (assignment.instructions_version, not counted, why, now)
        outcome.votes.append((a.task, worker_id, assignment.pk, code, category_id, seconds, *told))
    return outcome


@prepared()
def _active(worker: int, round: int) -> Any:
    rows = Assignment.objects.filter(worker=worker, round=round, state=Assignment.State.ACTIVE)
    return rows.select_for_update(no_key=True).order_by("pk").values_list("pk")


@prepared()
def _tasks(tasks: list[int], worker: int) -> Any:
    """Those that the worker was given, locked: number, round, whether gold, whether no place is left.

    Asked for those of one round, SQLite may walk through the round.
    """
    had = Exists(Lease.objects.filter(task=OuterRef("pk"), worker=worker))
    rows = Task.objects.filter(had, pk__in=tasks).order_by("pk").select_for_update(no_key=True)
    full = Case(
        When(wanted__gt=F("votes") + F("leases"), then=Value(False)),
        default=Value(True),
        output_field=BooleanField(),
    )
    return rows.annotate(full=full).values_list("pk", "round_id", "gold", "full")


@prepared()
def _leases(tasks: list[int], worker: int) -> Any:
    return Lease.objects.filter(task__in=tasks, worker=worker).values_list("task", "pk", "assignment")


def _given(assignment: Assignment, task_ids: list[int]) -> dict[int, tuple[int, int | None, bool]]:
    """What the worker answered to these tasks before: task -> (answer, category, came late)."""
    # One question for each partial index, and nothing in it that could lead a database elsewhere: asked by
    # round, it may walk through the whole round.
    late = _late(tasks=task_ids)
    counted = _counted(tasks=task_ids, worker=assignment.worker_id)
    given: dict[int, tuple[int, int | None, bool]] = {}
    for came_late, votes in ((True, late), (False, counted)):
        for task, answer, category, worker, round_id in votes:
            if worker == assignment.worker_id and round_id == assignment.round_id:
                given[task] = (answer, category, came_late)
    return given


SAID = ("task_id", "answer", "category_id", "worker_id", "task__round_id")


@prepared()
def _late(tasks: list[int]) -> Any:
    late = Vote.objects.filter(task__in=tasks, voided=True, void_reason=Vote.VoidReason.LATE)
    return late.values_list(*SAID)


@prepared()
def _counted(tasks: list[int], worker: int) -> Any:
    return Vote.objects.filter(task__in=tasks, voided=False, worker=worker).values_list(*SAID)


def _seconds(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MAX_SECONDS)


def _write(part: Participation, assignment: Assignment, outcome: _Outcome) -> None:
    """Write an outcome: votes in, leases out, counters along. A fixed number of statements."""
    if outcome.votes:
        insert(Vote, VOTE, outcome.votes)
    _given_up(leases=outcome.used_leases)
    _from_lease(tasks=outcome.from_lease)
    _from_room(tasks=outcome.from_room)
    _worked(
        part=part.pk,
        votes=part.votes + outcome.counted,
        gold_votes=part.gold_votes + outcome.gold,
        seconds=part.seconds + outcome.seconds,
        last_vote=timezone.now(),
    )
    _done(assignments=sorted({assignment.pk, *outcome.touched}))


@prepared()
def _given_up(leases: list[int]) -> Any:
    return Removal(Lease.objects.filter(pk__in=leases))


@prepared()
def _from_lease(tasks: list[int]) -> Any:
    # A vote takes the place that its lease held, so `claimable` stays as it is.
    changed = {"votes": F("votes") + 1, "leases": F("leases") - 1}
    return Change(Task.objects.filter(pk__in=tasks), changed)


@prepared()
def _from_room(tasks: list[int]) -> Any:
    left = Q(claimable=True, wanted__gt=F("votes") + F("leases") + 1)
    room = Case(When(left, then=Value(True)), default=Value(False), output_field=BooleanField())
    changed = {"votes": F("votes") + 1, "claimable": room, "turn": F("turn") + 1}
    return Change(Task.objects.filter(pk__in=tasks), changed)


@prepared()
def _worked(part: int, **values: Any) -> Any:
    return Change(Participation.objects.filter(pk=part), values)


@prepared()
def _done(assignments: list[int]) -> Any:
    """Those of which nothing is left to answer."""
    unfinished = Lease.objects.filter(assignment=OuterRef("pk"))
    rows = Assignment.objects.filter(~Exists(unfinished), pk__in=assignments, state=Assignment.State.ACTIVE)
    return Change(rows, {"state": Assignment.State.DONE})
