"""Rounds: opening, settling, asking for more votes, closing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from django.db.models import BooleanField, Case, F, Q, Value, When
from django.utils import timezone

from annotation_site import strategy
from annotation_site.models import Instructions, Invitation, Participation, Round, Task
from annotation_site.services.bulk import Plain, delete_rows, insert_rows
from annotation_site.services.expiry import expire_assignments
from annotation_site.services.locking import short_write
from ingest.models import Dataset

CHUNK = 5_000
INSERTED = 50_000
"""Tasks made in one transaction. They come in random order, so that each chunk changes almost every page of
an index, whatever its size; this many hold the database for less than a second."""
COLUMNS = (
    "round_id", "image_id", "category_id", "rank", "state", "gold", "audit", "votes", "leases", "wanted",
    "claimable", "turn",
)  # fmt: skip
T = TypeVar("T")
Pair = tuple[int, int | None]
"""Image id and, in a verify round, Category id."""

# What `Task.claimable` is to be, worked out by the database from the row's other columns.
HAS_ROOM = Case(
    When(Q(state=Task.State.OPEN, gold=False, wanted__gt=F("votes") + F("leases")), then=Value(True)),
    default=Value(False),
    output_field=BooleanField(),
)


def open_round(
    dataset: Dataset,
    question: str,
    *,
    tasks: Iterable[tuple[int, int | None]],
    gold_image_ids: Iterable[int] = frozenset(),
    title: str = "",
    votes_min: int = 3,
    votes_max: int = 9,
    confidence: float = 0.95,
    gold_rate: float = 0.0,
    audit_rate: float = 0.05,
    instructions: str = "",
    seed: int = 0,
    invited: Iterable[int] | None = None,
    repeated: Mapping[Pair, Collection[int]] | None = None,
    first: Collection[Pair] = frozenset(),
    first_votes: int = 1,
    made: Callable[[Round, int, int], object] = lambda round, done, of: None,
    **settings: Any,
) -> Round:
    """Make a round with its tasks and open it.

    The tasks are made in short transactions while the round is paused and says that it has none: it opens
    whole, and a round of a million tasks stops nobody else's votes. Where making it fails, nothing of it
    stays; where it is killed, `discard_unmade` clears away.

    Args:
        tasks: pairs of Image id and (verify rounds) Category id.
        gold_image_ids: images whose tasks are gold.
        votes_min: votes that every task gets at first; a random `audit_rate` of them gets `votes_max`.
        invited: ids of the only workers who are given tasks; None: everyone who labels the dataset.
        repeated: for a repeat round, which workers get each task of `tasks`, and nobody else.
        first: pairs of `tasks` handed out before all others (their ranks are 0 to len(first) - 1), which
            want `first_votes` votes at first; none of them gold.
        made: told of the round, its tasks so far and of how many, before the first and after each chunk.
        settings: other fields of Round (batch_size, lease_seconds, order, price, parent, stopping).

    Raises:
        ValueError: no tasks, or numbers that contradict each other.
    """
    pairs = list(tasks)
    _check_numbers(len(pairs), votes_min, votes_max, confidence, gold_rate, audit_rate)
    round = Round.objects.create(
        dataset=dataset,
        question=question,
        title=title,
        state=Round.State.PAUSED,
        votes_min=votes_min,
        votes_max=votes_max,
        confidence=confidence,
        gold_rate=gold_rate,
        audit_rate=audit_rate,
        access=_access(invited, repeated),
        **settings,
    )
    try:
        made(round, 0, len(pairs))
        Instructions.objects.create(round=round, version=1, text=instructions)
        rows = _task_rows(round, pairs, frozenset(gold_image_ids), seed, frozenset(first), first_votes)
        done = 0
        while chunk := list(islice(rows, INSERTED)):
            with short_write():
                insert_rows(Task, COLUMNS, chunk)
            done += len(chunk)
            made(round, done, len(pairs))
        _invite(round, invited, repeated)
    except BaseException:
        discard_unmade(round)
        raise
    round.tasks_total = len(pairs)
    round.state = Round.State.OPEN
    round.save(update_fields=["tasks_total", "state"])
    return round


def discard_unmade(round: Round) -> None:
    """Clear away a round that never opened, whole or in part; one that did is left alone.

    Nobody was ever given a task of it; they go in short transactions.
    """
    if Round.objects.filter(pk=round.pk, tasks_total__gt=0).exists():
        return
    Invitation.objects.filter(round=round).delete()
    tasks = Task.objects.filter(round=round).order_by("pk")
    while ids := list(tasks.values_list("pk", flat=True)[:INSERTED]):
        with short_write():
            delete_rows(Task.objects.filter(round=round, pk__lte=ids[-1]))
    Round.objects.filter(pk=round.pk).delete()


def _access(invited: Iterable[int] | None, repeated: Mapping[Pair, Collection[int]] | None) -> str:
    if repeated is not None:
        return Round.Access.REPEAT
    return Round.Access.EVERYONE if invited is None else Round.Access.INVITED


def _invite(
    round: Round, invited: Iterable[int] | None, repeated: Mapping[Pair, Collection[int]] | None
) -> None:
    """Write the invitations; a repeated task wants one vote from each worker who gets it."""
    rows: list[Invitation] = []
    if repeated is not None:
        by_number: dict[int, list[int]] = defaultdict(list)
        for pk, *pair in Task.objects.filter(round=round).values_list("pk", "image_id", "category_id"):
            workers = repeated[pair[0], pair[1]]
            by_number[len(workers)].append(pk)
            rows += [Invitation(round=round, worker_id=worker, task_id=pk) for worker in workers]
        for number, ids in by_number.items():
            for part in _chunks(ids, CHUNK):
                Task.objects.filter(pk__in=part).update(wanted=number)
    elif invited is not None:
        rows = [Invitation(round=round, worker_id=worker) for worker in sorted(set(invited))]
    for chunk in _chunks(rows, CHUNK):
        with short_write():
            Invitation.objects.bulk_create(chunk, batch_size=1_000)


def _check_numbers(
    tasks: int, votes_min: int, votes_max: int, confidence: float, gold_rate: float, audit_rate: float
) -> None:
    if not tasks:
        raise ValueError("the round would have no tasks")
    if not 1 <= votes_min <= votes_max <= 10_000:
        raise ValueError(f"votes: 1 <= least <= most <= 10,000 is needed, not {votes_min} and {votes_max}")
    if not 0 < confidence <= 1:
        raise ValueError(f"confidence is a probability above 0, not {confidence}")
    if not 0 <= gold_rate < 1 or not 0 <= audit_rate <= 1:
        raise ValueError("the gold rate is 0 or more and under 1, the audit rate 0 to 1")


def _task_rows(
    round: Round,
    pairs: Sequence[Pair],
    gold: frozenset[int],
    seed: int,
    first: frozenset[Pair],
    first_votes: int,
) -> Iterator[tuple[Plain, ...]]:
    """The rows of the round's tasks, as in `COLUMNS`."""
    ranks, insertion = strategy.ranks_and_order(len(pairs), seed)
    if round.question == Round.Question.VERIFY:
        ranks = strategy.by_category(ranks, [category for _, category in pairs])
    if first:
        ranks = strategy.with_first(ranks, [place for place, pair in enumerate(pairs) if pair in first])
    plain = [place for place, (image_id, _) in enumerate(pairs) if image_id not in gold]
    audited = {plain[n] for n in strategy.audited(len(plain), round.audit_rate, seed)}
    state = int(Task.State.OPEN)
    turn = strategy.first_turn(round.order)
    for place in insertion:
        image_id, category_id = pairs[place]
        audit = place in audited
        at_first = first_votes if pairs[place] in first else round.votes_min
        is_gold = image_id in gold
        wanted = round.votes_max if audit else at_first
        row = (round.pk, image_id, category_id, ranks[place], state, is_gold, audit)
        yield *row, 0, 0, wanted, not is_gold, turn


def close_round(round: Round) -> Round:
    """Close a round: nothing more is handed out, and what was handed out no longer holds a place.

    Votes that are still under way when it closes are late votes: stored, and counted where there is room.
    """
    with short_write():
        Round.objects.filter(pk=round.pk).update(state=Round.State.CLOSED, closed=timezone.now())
    while expire_assignments(round, Q()):
        pass
    round.refresh_from_db()
    return round


def settle_tasks(round: Round, settled_ids: Iterable[int], exhausted_ids: Iterable[int] = ()) -> None:
    """Close tasks that are sure now (settled), or that got the most votes and stay unsure (exhausted)."""
    for ids, state in ((settled_ids, Task.State.SETTLED), (exhausted_ids, Task.State.EXHAUSTED)):
        for chunk in _chunks(list(ids), CHUNK):
            _move_tasks(round, chunk, state)


def _move_tasks(round: Round, ids: Sequence[int], state: int, **changes: Any) -> None:
    """Set the state of tasks and keep `claimable` and the round's counters in step."""
    with short_write():
        tasks = Task.objects.filter(round=round, pk__in=ids).exclude(state=Task.State.WITHDRAWN)
        before = list(tasks.select_for_update(no_key=True).order_by("pk").values_list("state", flat=True))
        tasks.update(state=state, claimable=False, **changes)
        if state == Task.State.OPEN:
            tasks.update(claimable=HAS_ROOM)
        after = len(before)
        settled = after * (state == Task.State.SETTLED) - before.count(Task.State.SETTLED)
        exhausted = after * (state == Task.State.EXHAUSTED) - before.count(Task.State.EXHAUSTED)
        if settled or exhausted:
            Round.objects.filter(pk=round.pk).update(
                tasks_settled=F("tasks_settled") + settled, tasks_exhausted=F("tasks_exhausted") + exhausted
            )


def order_by_confidence(round: Round, confidence: Mapping[int, float]) -> None:
    """Hand out the least sure of these open tasks first, in a round of that order; else nothing is done.

    Workers start at the front again: what is least sure now may lie behind them.
    """
    if round.order != Round.Order.UNSURE:
        return
    turns: dict[int, list[int]] = defaultdict(list)
    for pk, sure in confidence.items():
        turns[strategy.turn_of(sure)].append(pk)
    for turn, ids in sorted(turns.items()):
        elsewhere = Q(turn__lt=turn) | Q(turn__gte=turn + strategy.STRIDE)
        for chunk in _chunks(ids, CHUNK):
            with short_write():
                rows = Task.objects.filter(elsewhere, round=round, pk__in=chunk, state=Task.State.OPEN)
                held = list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
                Task.objects.filter(pk__in=held).update(turn=turn + F("leases"))
    with short_write():
        Participation.objects.filter(round=round).update(turn=0, cursor=0)


def reopen_tasks(round: Round, ids: Iterable[int]) -> None:
    """Let tasks that were settled or exhausted collect votes again, where they still want some."""
    for chunk in _chunks(list(ids), CHUNK):
        _move_tasks(round, chunk, Task.State.OPEN)


def request_votes(round: Round, wanted: Mapping[int, int]) -> int:
    """Ask for more votes: raise `wanted` of tasks to the given totals, at most `votes_max`, and reopen them.

    A task that already wants as many keeps its number; gold is left alone.

    Returns:
        How many more votes are wanted than before.
    """
    asked = 0
    for chunk in _chunks(sorted(wanted), CHUNK):
        with short_write():
            rows = Task.objects.filter(round=round, pk__in=chunk, gold=False)
            rows = rows.exclude(state=Task.State.WITHDRAWN).select_for_update(no_key=True).order_by("pk")
            raised: dict[int, list[int]] = defaultdict(list)
            # A pass takes a while; the most votes may have been changed under it.
            most = Round.objects.values_list("votes_max", flat=True).get(pk=round.pk)
            for pk, now in rows.values_list("pk", "wanted"):
                total = min(wanted[pk], most)
                if total > now:
                    raised[total].append(pk)
                    asked += total - now
            for total, ids in raised.items():
                _move_tasks(round, ids, Task.State.OPEN, wanted=total)
    return asked


def _chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
