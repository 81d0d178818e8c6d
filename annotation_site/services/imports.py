"""Votes that were given elsewhere: another tool, another crowd, an earlier campaign."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db.models import F
from django.utils import timezone

from annotation_site.models import Participation, Round, Task, Vote, Worker
from annotation_site.services.locking import short_write
from annotation_site.services.rounds import HAS_ROOM
from annotation_site.services.votes import BadVotes, vote_codes

CHUNK = 5_000


@dataclass(frozen=True)
class ImportedVote:
    """One vote of a file; `worker` is any stable name that the file uses."""

    task: int
    worker: str
    label: str
    seconds: float | None = None
    created: datetime | None = None


@dataclass
class ImportSummary:
    """What became of a file's rows."""

    read: int = 0
    stored: int = 0
    repeated: int = 0
    already_there: int = 0
    over_most: int = 0
    workers: int = 0

    def as_dict(self) -> dict[str, int]:
        """For `--json`."""
        return asdict(self)


def import_votes(round: Round, rows: Iterable[ImportedVote]) -> ImportSummary:
    """Store votes from elsewhere as counted votes of `round`; run again, it goes on where it was killed.

    The same worker on the same task twice: the last row counts. A vote that is in the database already is
    left alone, and no task gets more than the round's most votes.

    Raises:
        BadVotes: a label that the round does not know, a task that is not in it, or an unusable worker name;
            nothing was stored.
    """
    votes = list(rows)
    codes = vote_codes(round)
    tasks = dict(Task.objects.filter(round=round).values_list("pk", "gold"))
    for vote in votes:
        if vote.label not in codes:
            raise BadVotes(f"the round does not know the label {vote.label[:100]!r}")
        if vote.task not in tasks:
            raise BadVotes(f"task {vote.task} is not in round {round.pk}")
        if not 1 <= len(vote.worker) <= 64 or "\x00" in vote.worker:
            raise BadVotes(f"a worker's name is 1 to 64 characters, not {vote.worker[:80]!r}")
    last = {(vote.task, vote.worker): vote for vote in votes}
    summary = ImportSummary(read=len(votes), repeated=len(votes) - len(last))
    workers = _workers({vote.worker for vote in votes})
    summary.workers = len(workers)
    kept = list(last.values())
    for start in range(0, len(kept), CHUNK):
        _store(round, kept[start : start + CHUNK], workers, codes, summary)
    return summary


def _workers(names: set[str]) -> dict[str, Worker]:
    """The worker behind each name; new ones are made with the provider `import`."""
    with short_write():
        Worker.objects.bulk_create(
            [Worker(code=name, provider="import") for name in sorted(names)],
            ignore_conflicts=True,
            batch_size=1_000,
        )
    return {worker.code: worker for worker in Worker.objects.filter(code__in=names)}


def _store(
    round: Round,
    votes: Sequence[ImportedVote],
    workers: dict[str, Worker],
    codes: dict[str, tuple[int, int | None]],
    summary: ImportSummary,
) -> None:
    now = timezone.now()
    with short_write():
        ids = {vote.task for vote in votes}
        rows = Task.objects.filter(pk__in=ids).select_for_update(no_key=True).order_by("pk")
        room = {task.pk: None if task.gold else round.votes_max - task.votes - task.leases for task in rows}
        there = Vote.objects.filter(
            task__in=ids, worker__in={workers[v.worker].pk for v in votes}, voided=False
        )
        known = set(there.values_list("task_id", "worker_id"))
        new: list[Vote] = []
        for vote in votes:
            worker, left = workers[vote.worker], room[vote.task]
            if (vote.task, worker.pk) in known:
                summary.already_there += 1
                continue
            if left is not None and left <= 0:
                summary.over_most += 1
                continue
            if left is not None:
                room[vote.task] = left - 1
            answer, category_id = codes[vote.label]
            new.append(
                Vote(
                    task_id=vote.task,
                    worker=worker,
                    answer=answer,
                    category_id=category_id,
                    seconds=vote.seconds,
                    instructions_version=round.instructions_version,
                    created=vote.created or now,
                )
            )
        Vote.objects.bulk_create(new, batch_size=1_000)
        _count(round, new)
        summary.stored += len(new)


def _count(round: Round, votes: Sequence[Vote]) -> None:
    """Bring the counters of tasks and participations along."""
    by_number: dict[int, list[int]] = {}
    for task_id, number in Counter(vote.task_id for vote in votes).items():
        by_number.setdefault(number, []).append(task_id)
    for number, ids in by_number.items():
        tasks = Task.objects.filter(pk__in=ids)
        tasks.update(votes=F("votes") + number)
        tasks.update(claimable=HAS_ROOM)
    gold = set(Task.objects.filter(pk__in={v.task_id for v in votes}, gold=True).values_list("pk", flat=True))
    given: Counter[int] = Counter()
    on_gold: Counter[int] = Counter()
    seconds: defaultdict[int, float] = defaultdict(float)
    for vote in votes:
        given[vote.worker_id] += 1
        on_gold[vote.worker_id] += vote.task_id in gold
        seconds[vote.worker_id] += vote.seconds or 0
    parts = [Participation(round=round, worker_id=worker_id) for worker_id in given]
    Participation.objects.bulk_create(parts, ignore_conflicts=True)
    rows = list(
        Participation.objects.filter(round=round, worker__in=given)
        .select_for_update(no_key=True)
        .order_by("pk")
    )
    for row in rows:
        row.votes += given[row.worker_id]
        row.gold_votes += on_gold[row.worker_id]
        row.seconds += seconds[row.worker_id]
        row.last_vote = timezone.now()
    Participation.objects.bulk_update(rows, ["votes", "gold_votes", "seconds", "last_vote"], batch_size=200)
