"""Handing out work: one short transaction a batch, whatever the size of the round.

What a claim keeps true, with any number of workers asking at once:
1. a worker never gets a task that they hold or have answered;
2. no task but gold gets more votes and live leases than it wants (gold has no maximum);
3. nothing is counted or scanned: a partial index gives the open tasks in the round's order, from where this
   worker stopped the last time. At the end the worker starts over once, to find tasks that were reopened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation_site import strategy
from annotation_site.models import (
    Assignment,
    Invitation,
    Lease,
    Participation,
    Round,
    Task,
    TaskQuerySet,
    Vote,
    Worker,
)
from annotation_site.services.expiry import release_expired
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import Change, insert, prepared, row_of
from annotation_site.services.refusals import NotAllowed, RoundNotOpen, TooMuchHeld
from ingest.models import Category, Image

MAX_BATCH = 300
"""Tasks in one batch; ImageNet's grids held about as many."""
MAX_HELD = 3
"""Live batches of one worker in a round: the one at hand, the next, and one that another tab took."""


@dataclass(frozen=True)
class Batch:
    """Tasks leased to a worker, in the order in which they are shown."""

    assignment: Assignment
    tasks: list[Task]


def claim_batch(worker: Worker, round: Round, size: int = 0, *, holding: Iterable[int] = ()) -> Batch | None:
    """Lease up to `size` tasks to `worker` (0: as many as the round says).

    A batch that the worker has not finished is handed out again before a new one is made, so that a page
    that was loaded anew leases nothing more; `holding` names the batches that the caller still has.

    Returns:
        The batch, or None where nothing is left for this worker.

    Raises:
        NotAllowed: the worker is suspended, or the round is for invited workers and this one is none of them.
        RoundNotOpen: the round is paused or closed.
        TooMuchHeld: the worker has `MAX_HELD` batches at hand.
    """
    if worker.suspended:
        raise NotAllowed(_("Your work here is suspended. Ask the person who runs the dataset."))
    release_expired(round)
    try:
        return _claim(worker, round, size, holding, wait=False)
    except _NothingFreeError:
        return _claim(worker, round, size, holding, wait=True)


class _NothingFreeError(Exception):
    """Every open task that the worker could have is locked by another claim just now, or there is none."""


def _claim(worker: Worker, round: Round, size: int, holding: Iterable[int], *, wait: bool) -> Batch | None:
    with short_write():
        [(state,)] = _state_of(round=round.pk)
        if state != Round.State.OPEN:
            raise RoundNotOpen(f"The round is {state}: it hands out no work now.")
        if not invited(worker, round):
            raise NotAllowed(_("This round is for invited people only."))
        part = locked_participation(round, worker)
        live = [pk for (pk,) in _active_batches(worker=worker.pk, round=round.pk)]
        for number in sorted(set(live) - set(holding)):
            assignment = Assignment.objects.get(pk=number)
            return Batch(assignment, _leased_tasks(assignment))
        if len(live) >= MAX_HELD:
            raise TooMuchHeld(_("Send the answers of the batches you have first."))
        tasks = _choose(part, round, min(size or round.batch_size, MAX_BATCH), wait=wait)
        return _lease(part, round, tasks) if tasks else None


def invited(worker: Worker, round: Round) -> bool:
    """Whether this worker may be given tasks of the round; one index probe where it is not for everyone."""
    if round.access == Round.Access.EVERYONE:
        return True
    return Invitation.objects.filter(worker=worker, round=round).exists()


def locked_participation(round: Round, worker: Worker) -> Participation:
    """The worker's row in this round, locked: claims and votes of one worker run one after the other."""
    if not (rows := _participation(round=round.pk, worker=worker.pk)):
        Participation.objects.get_or_create(round=round, worker=worker)
        rows = _participation(round=round.pk, worker=worker.pk)
    return row_of(Participation, PARTICIPATION, rows[0])


PARTICIPATION = [column.attname for column in Participation._meta.concrete_fields]


@prepared()
def _participation(round: int, worker: int) -> Any:
    rows = Participation.objects.filter(round=round, worker=worker)
    return rows.select_for_update(no_key=True).values_list(*PARTICIPATION)


@prepared()
def _state_of(round: int) -> Any:
    return Round.objects.filter(pk=round).values_list("state")


@prepared()
def _active_batches(worker: int, round: int) -> Any:
    rows = Assignment.objects.filter(worker=worker, round=round, state=Assignment.State.ACTIVE)
    return rows.order_by("pk").values_list("pk")


def _leased_tasks(assignment: Assignment) -> list[Task]:
    return _with_pictures(_tasks_of(_leased(assignment=assignment.pk)))


@prepared()
def _leased(assignment: int) -> Any:
    leased = Task.objects.filter(live_leases__assignment=assignment)
    return leased.order_by("live_leases__pk").values_list(*TASK)


TASK = ["id", "round_id", "image_id", "category_id", "rank", "turn", "gold"]
"""What is read of a task that is handed out."""


def _tasks_of(rows: Iterable[Sequence[Any]]) -> list[Task]:
    return [row_of(Task, TASK, row) for row in rows]


def _with_pictures(tasks: list[Task]) -> list[Task]:
    """The same tasks; each knows what is shown of its image and category without another question."""
    images = {
        pk: row_of(Image, ["id", "sha256"], (pk, sha256))
        for pk, sha256 in _pictures(images=sorted({task.image_id for task in tasks}))
    }
    asked = sorted({task.category_id for task in tasks if task.category_id is not None})
    categories = {pk: row_of(Category, ["id", "key"], (pk, key)) for pk, key in _keys(categories=asked)}
    for task in tasks:
        task.image = images[task.image_id]
        if task.category_id is not None:
            task.category = categories[task.category_id]
    return tasks


@prepared()
def _pictures(images: list[int]) -> Any:
    return Image.objects.filter(pk__in=images).values_list("pk", "sha256")


@prepared()
def _keys(categories: list[int]) -> Any:
    return Category.objects.filter(pk__in=categories).values_list("pk", "key")


def _choose(part: Participation, round: Round, size: int, *, wait: bool) -> list[Task]:
    """The tasks of a new batch; moves the worker's cursors. Gold alone is never a batch's reason."""
    who = (settings.SECRET_KEY, round.pk, part.worker_id)
    usual = strategy.gold_count(*who, part.claimed, size, round.gold_rate)
    more = strategy.more_gold_count(*who, part.claimed, size, usual, part.more_gold) if part.more_gold else 0
    start = strategy.gold_start(*who, round.tasks_total)
    plain = _next_tasks(part, round, size, wait=wait)
    if not plain:
        return []
    asked = _categories_of(plain[: max(size - usual - more, 1)])  # of those that stay, whatever gold is found
    gold = _next_gold(part, round, start, usual + more, asked) if usual + more else []
    room = size - len(gold)
    if len(plain) < room:  # the last batches are short: further gold is at most half of them, too
        gold = gold[: max(usual, len(plain))]
    plain = plain[:room]
    if plain:
        part.turn, part.cursor = plain[-1].turn or 0, plain[-1].rank + 1
    if gold:
        if not asked:
            part.gold_cursor = strategy.gold_position(gold[-1].rank, start) + 1
        # Where gold is half of the work already there is no room beside it: it is the further gold.
        beside = 0 if round.gold_rate >= 0.5 else usual
        part.more_gold -= min(part.more_gold, max(len(gold) - beside, 0))
    return strategy.mixed(*who, part.claimed, [*plain, *gold])


def _next_tasks(part: Participation, round: Round, count: int, *, wait: bool) -> list[Task]:
    """Open tasks from the worker's cursor on, then from the start; the last one's rank is the new cursor.

    Rows that another claim holds are passed over. Where nothing else was found, one of them is waited for
    (`wait`), in a transaction of its own: it may well have room for one more.

    Raises:
        _NothingFreeError: to be tried again with `wait`. A row that filled up before it was locked stays
            locked though it is not returned, until the transaction ends.
    """
    asked: dict[str, Any] = {
        "round": round.pk,
        "worker": part.worker_id,
        "cursor": part.cursor,
        "turn": part.turn,
        "repeat": round.access == Round.Access.REPEAT,
        "in_turn": round.order != Round.Order.FINISH,
    }
    if not connection.features.has_select_for_update:
        return _first(asked, count)
    if wait:
        return _wait_for_one(asked)
    if not (tasks := _first(asked, count, lock=True)):
        raise _NothingFreeError
    return tasks


def _first(asked: dict[str, Any], count: int, *, lock: bool = False) -> list[Task]:
    """Up to `count` open tasks, those from the cursor on first."""
    rows: list[Any] = []
    for behind in (False, True) if asked["cursor"] or asked["turn"] else (False,):
        if len(rows) < count:
            rows += _open_tasks(**asked, behind=behind, count=count - len(rows), lock=lock)
    return _tasks_of(rows)


@prepared("repeat", "in_turn", "behind", "count", "lock")
def _open_tasks(
    round: int, worker: int, cursor: int, turn: int, repeat: bool, in_turn: bool, behind: bool, count: int,
    lock: bool,
) -> Any:  # fmt: skip
    """Open tasks from the cursor on, or those behind it."""
    if in_turn:
        tasks = Task.objects.claimable_in_turn().filter(round=round)
        if behind:
            tasks = tasks.filter(Q(turn__lt=turn) | Q(rank__lt=cursor), turn__lte=turn)
        else:
            tasks = tasks.filter(Q(turn__gt=turn) | Q(rank__gte=cursor), turn__gte=turn)
    else:
        tasks = Task.objects.claimable().filter(round=round)
        tasks = tasks.filter(rank__lt=cursor) if behind else tasks.filter(rank__gte=cursor)
    rows = _unseen(tasks, worker, round if repeat else None).values_list(*TASK)[:count]
    return rows.select_for_update(no_key=True, skip_locked=True) if lock else rows


@prepared("repeat")
def _same_task(task: int, round: int, worker: int, repeat: bool) -> Any:
    """The task, locked, if it is still open to the worker."""
    tasks = Task.objects.claimable().filter(pk=task, round=round)
    tasks = _unseen(tasks, worker, round if repeat else None)
    return tasks.values_list(*TASK).select_for_update(no_key=True)


def _wait_for_one(asked: dict[str, Any]) -> list[Task]:
    """Lock one open task, waiting for whoever holds it; none where none is open any more.

    One row is asked for by number and given up again before the next: who waits for a task holds no other, so
    that no two claims (or a claim and a vote) ever wait for each other.
    """
    whose = {name: asked[name] for name in ("round", "worker", "repeat")}
    while wanted := _first(asked, 1):
        with transaction.atomic():
            if found := _same_task(task=wanted[0].pk, **whose):
                return _tasks_of(found)
            transaction.set_rollback(True)
    return []


def _categories_of(tasks: Sequence[Task]) -> set[int]:
    """The categories that a grid of these tasks asks about; none where they are looked at one by one.

    A picture that is alone with its category beside whole rows of others would be known for gold.
    """
    asked = {task.category_id for task in tasks if task.category_id is not None}
    return asked if 2 * len(asked) <= len(tasks) else set()


def _next_gold(
    part: Participation, round: Round, start: int, count: int, categories: Collection[int] = ()
) -> list[Task]:
    """Gold that this worker has not met, in the worker's own order (from rank `start` on, then round).

    With `categories` only theirs, wherever the worker's cursor stands: it follows the whole round's order.
    """
    whose = {"round": round.pk, "worker": part.worker_id}
    among = sorted(categories) or [0]
    if categories:
        stretches = [(start, strategy.RANK_SPAN), (0, start)]
    else:
        turn = strategy.RANK_SPAN - start  # the position at which the order starts over at rank 0
        stretches = [(max(0, part.gold_cursor - turn), start)]
        if part.gold_cursor < turn:
            stretches.insert(0, (start + part.gold_cursor, strategy.RANK_SPAN))
    rows: list[Any] = []
    for first, end in stretches:
        if len(rows) < count:
            rows += _fresh_gold(**whose, first=first, end=end, categories=among, any=not categories,
                                count=count - len(rows))  # fmt: skip
    return _tasks_of(rows)


@prepared("any", "count")
def _fresh_gold(
    round: int, worker: int, first: int, end: int, categories: list[int], any: bool, count: int
) -> Any:
    """Gold with a rank from `first` on and below `end` that the worker has not met."""
    gold = Task.objects.filter(round=round, gold=True, rank__gte=first, rank__lt=end)
    gold = _unseen(gold.exclude(state=Task.State.WITHDRAWN), worker)
    gold = gold.filter(~_answered_elsewhere(round, worker)).order_by("rank", "pk")
    return (gold if any else gold.filter(category__in=categories)).values_list(*TASK)[:count]


def fresh_gold(part: Participation, round: Round, most: int) -> int:
    """How much gold of the round the worker can still be given: what they never met; counted up to `most`."""
    start = strategy.gold_start(settings.SECRET_KEY, round.pk, part.worker_id, round.tasks_total)
    return len(_next_gold(part, round, start, most))


def promise_gold(part: Participation, round: Round, count: int) -> int:
    """Let the worker's coming batches hold `count` further gold tasks; returns how many there are to give.

    The caller holds the row (`locked_participation`). A promise replaces the one before, so that the same one
    made twice is made once.
    """
    part.more_gold = fresh_gold(part, round, count)
    part.save(update_fields=["more_gold"])
    return part.more_gold


def _answered_elsewhere(round_id: int, worker_id: int) -> Exists:
    """Whether the worker answered a task's image in another round: such gold would measure memory.

    Two index probes for each of the image's tasks. Asked as one join, a database may walk through all that
    the worker ever did.
    """
    answered = Vote.objects.filter(task=OuterRef("pk"), worker=worker_id, voided=False)
    others = Task.objects.filter(image=OuterRef("image")).exclude(round=round_id)
    return Exists(others.filter(Exists(answered)))


def _unseen(tasks: TaskQuerySet, worker_id: int, repeat: int | None = None) -> TaskQuerySet:
    """Tasks that the worker neither holds nor has answered; one index probe each (`repeat`: of a repeat)."""
    answered = Vote.objects.filter(task=OuterRef("pk"), worker=worker_id, voided=False)
    held = Lease.objects.filter(
        task=OuterRef("pk"), worker=worker_id, assignment__state=Assignment.State.ACTIVE
    )
    tasks = tasks.filter(~Exists(answered), ~Exists(held))
    if repeat is not None:
        # Led by the worker's own invitations, which are few, whatever the size of the round.
        own = Invitation.objects.filter(worker=worker_id, round=repeat)
        tasks = tasks.filter(pk__in=own.values("task"))
    return tasks


def _lease(part: Participation, round: Round, tasks: list[Task]) -> Batch:
    assignment = Assignment(
        round=round,
        worker_id=part.worker_id,
        tasks_given=len(tasks),
        instructions_version=round.instructions_version,
        expires=timezone.now() + timedelta(seconds=round.lease_seconds),
    )
    names = ["round_id", "worker_id", "state", "tasks_given", "instructions_version", "created", "expires"]
    assignment.created = timezone.now()
    row = [getattr(assignment, name) for name in names]
    assignment.pk = insert(Assignment, names, [row], returning=True)
    # A lease that ran out earlier remembers the same task for the same worker: it becomes this one.
    leases = [(assignment.pk, task.pk, part.worker_id) for task in tasks]
    insert(Lease, ["assignment_id", "task_id", "worker_id"], leases, instead=["task_id", "worker_id"])
    # Gold has no maximum, so its leases are not counted: no claim waits for rows that all workers share.
    _one_more_lease(tasks=sorted(task.pk for task in tasks if not task.gold))
    part.claimed += len(tasks)
    _moved(part=part.pk, **{name: getattr(part, name) for name in MOVED})
    return Batch(assignment, _with_pictures(tasks))


@prepared()
def _one_more_lease(tasks: list[int]) -> Any:
    full = Case(
        When(Q(claimable=True, wanted__gt=F("votes") + F("leases") + 1), then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )
    # A round without turns has none in its tasks: nothing plus one is nothing.
    changed = {"leases": F("leases") + 1, "claimable": full, "turn": F("turn") + 1}
    return Change(Task.objects.filter(pk__in=tasks), changed)


MOVED = ("turn", "cursor", "gold_cursor", "more_gold", "claimed")


@prepared()
def _moved(part: int, **values: int) -> Any:
    return Change(Participation.objects.filter(pk=part), values)
