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

from django.db import IntegrityError
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, Value, When
from django.utils import timezone

from annotation_site.models import Assignment, Lease, Participation, Receipt, Round, Task, Vote, Worker
from annotation_site.services.claims import locked_participation
from annotation_site.services.locking import short_write
from annotation_site.services.refusals import BadVotes, KeyReused, NoSuchAssignment

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
    votes: list[Vote] = field(default_factory=list)
    used_leases: list[Lease] = field(default_factory=list)
    from_lease: list[int] = field(default_factory=list)
    from_room: list[int] = field(default_factory=list)


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
    known = _receipt(worker, key, digest)
    if known is not None:
        return known
    assignment = (
        Assignment.objects.select_related("round__dataset").filter(pk=assignment_id, worker=worker).first()
    )
    if assignment is None:
        raise NoSuchAssignment(f"You have no assignment {assignment_id}.")
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
            Receipt.objects.create(worker=worker, key=key, request_sha256=digest, response=outcome.results)
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
    row = Receipt.objects.filter(worker=worker, key=key).first()
    if row is None:
        return None
    if row.request_sha256 != digest:
        raise KeyReused("This key was used for other votes; every batch needs a key of its own.")
    return [(task, status) for task, status in row.response]


def vote_codes(round: Round) -> dict[str, tuple[int, int | None]]:
    """label -> (answer code, Category id) for every label that a vote in this round may carry."""
    special = {str(label): int(code) for code, label in Vote.Answer.choices if code}
    categories: dict[str, int] = {}
    if round.question == Round.Question.CLASSIFY:
        categories = dict(round.categories().values_list("key", "pk"))
    return {
        label: (int(Vote.Answer.CATEGORY), categories[label])
        if label in categories
        else (special[label], None)
        for label in [*categories, *round.special_labels()]
    }


def _weigh(
    assignment: Assignment, answers: Sequence[Answer], codes: dict[str, tuple[int, int | None]]
) -> _Outcome:
    """Decide what becomes of each answer; reads and locks, writes nothing."""
    ids = {a.task for a in answers}
    worker_id = assignment.worker_id
    # Locks in one order everywhere (assignments, then tasks by number), and leases read after them: what
    # ended meanwhile is seen as ended.
    active = Assignment.objects.filter(
        worker=worker_id, round=assignment.round_id, state=Assignment.State.ACTIVE
    )
    live_ids = set(active.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    had = Exists(Lease.objects.filter(task=OuterRef("pk"), worker=worker_id))
    rows = Task.objects.filter(had, pk__in=ids, round=assignment.round_id)
    tasks = {task.pk: task for task in rows.select_for_update(no_key=True).order_by("pk")}
    leases = {lease.task_id: lease for lease in Lease.objects.filter(task__in=tasks, worker=worker_id)}
    given = _given(assignment, ids)
    outcome, now = _Outcome(), timezone.now()
    for a in answers:
        code, category_id = codes[a.label]
        before, lease = given.get(a.task), leases.get(a.task)
        live = lease is not None and lease.assignment_id in live_ids
        if before is not None and not (before[2] and live):
            same = before[:2] == (code, category_id)
            outcome.results.append((a.task, (LATE if before[2] else DUPLICATE) if same else REJECTED))
            continue
        if lease is None:
            outcome.results.append((a.task, REJECTED))
            continue
        task = tasks[a.task]
        counted = live or task.gold or task.votes + task.leases < task.wanted
        if counted:
            (outcome.from_lease if live and not task.gold else outcome.from_room).append(a.task)
        given[a.task] = (code, category_id, not counted)
        outcome.used_leases.append(leases.pop(a.task))
        outcome.results.append((a.task, STORED if counted else LATE))
        outcome.votes.append(
            Vote(
                task=task,
                worker_id=worker_id,
                assignment=assignment,
                answer=code,
                category_id=category_id,
                seconds=_seconds(a.seconds),
                instructions_version=assignment.instructions_version,
                voided=not counted,
                void_reason="" if counted else Vote.VoidReason.LATE,
                created=now,
            )
        )
    return outcome


def _given(assignment: Assignment, task_ids: set[int]) -> dict[int, tuple[int, int | None, bool]]:
    """What the worker answered to these tasks before: task -> (answer, category, came late)."""
    fields = ("task_id", "answer", "category_id", "worker_id", "task__round_id")
    rows = Vote.objects.filter(task__in=task_ids).values_list(*fields)
    # One question for each partial index, and nothing in it that could lead a database elsewhere: asked by
    # round or by worker, it may walk through the whole round, or all that the worker ever did.
    counted = rows.filter(voided=False, worker=assignment.worker_id)
    late = rows.filter(voided=True, void_reason=Vote.VoidReason.LATE)
    given: dict[int, tuple[int, int | None, bool]] = {}
    for came_late, votes in ((True, late), (False, counted)):
        for task, answer, category, worker, round_id in votes:
            if worker == assignment.worker_id and round_id == assignment.round_id:
                given[task] = (answer, category, came_late)
    return given


def _seconds(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), MAX_SECONDS)


def _write(part: Participation, assignment: Assignment, outcome: _Outcome) -> None:
    """Write an outcome: votes in, leases out, counters along. A fixed number of statements."""
    Vote.objects.bulk_create(outcome.votes)
    Lease.objects.filter(pk__in=[lease.pk for lease in outcome.used_leases]).delete()
    # A vote takes the place that its lease held, so `claimable` stays as it is.
    if outcome.from_lease:
        Task.objects.filter(pk__in=outcome.from_lease).update(votes=F("votes") + 1, leases=F("leases") - 1)
    if outcome.from_room:
        left = Q(claimable=True, wanted__gt=F("votes") + F("leases") + 1)
        Task.objects.filter(pk__in=outcome.from_room).update(
            votes=F("votes") + 1,
            claimable=Case(When(left, then=Value(True)), default=Value(False), output_field=BooleanField()),
        )
    counted = [vote for vote in outcome.votes if not vote.voided]
    part.votes += len(counted)
    part.gold_votes += sum(vote.task.gold for vote in counted)
    part.seconds += sum(vote.seconds or 0.0 for vote in counted)
    part.last_vote = timezone.now()
    part.save(update_fields=["votes", "gold_votes", "seconds", "last_vote"])
    touched = {assignment.pk, *(lease.assignment_id for lease in outcome.used_leases)}
    unfinished = Lease.objects.filter(assignment=OuterRef("pk"))
    Assignment.objects.filter(~Exists(unfinished), pk__in=touched, state=Assignment.State.ACTIVE).update(
        state=Assignment.State.DONE
    )
