"""Taking pictures out of every round: nobody is asked about them any more, and no vote is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db.models import F

from annotation_site.models import Round, Task
from annotation_site.services.locking import short_write

CHUNK = 1_000
NOT_YET = [state for state in Task.State.values if state != Task.State.WITHDRAWN]


def withdraw_tasks(image_ids: Iterable[int]) -> int:
    """Withdraw the tasks of these images in all rounds, gold too; returns how many.

    Whoever holds a lease may still answer: the vote is stored, and counts for nothing. Short transactions, a
    round at a time: stopped in between, the next call finishes.
    """
    ids = list(image_ids)
    standing = Task.objects.filter(image__in=ids).exclude(state=Task.State.WITHDRAWN)
    withdrawn = 0
    for round_id in sorted(set(standing.values_list("round_id", flat=True))):
        for start in range(0, len(ids), CHUNK):
            withdrawn += _withdraw(round_id, ids[start : start + CHUNK])
    return withdrawn


def withdraw_open(round_id: int, image_ids: Iterable[int]) -> int:
    """Withdraw the tasks of these images in one round where they still collect votes; returns how many."""
    ids = list(image_ids)
    chunks = (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
    return sum(_withdraw(round_id, chunk, (Task.State.OPEN,)) for chunk in chunks)


def _withdraw(round_id: int, image_ids: list[int], states_of: Collection[int] = NOT_YET) -> int:
    with short_write():
        tasks = Task.objects.filter(round=round_id, image__in=image_ids, state__in=states_of)
        rows = list(tasks.select_for_update(no_key=True).order_by("pk").values_list("pk", "state"))
        if not rows:
            return 0
        states = [state for _, state in rows]
        Task.objects.filter(pk__in=[pk for pk, _ in rows]).update(state=Task.State.WITHDRAWN, claimable=False)
        held = Round.objects.filter(pk=round_id)
        total = held.select_for_update(no_key=True).values_list("tasks_total", flat=True).get()
        held.update(
            # A round whose last task is withdrawn keeps one in its count: none means that it is being made.
            tasks_total=max(1, total - len(rows)),
            tasks_settled=F("tasks_settled") - states.count(Task.State.SETTLED),
            tasks_exhausted=F("tasks_exhausted") - states.count(Task.State.EXHAUSTED),
        )
        return len(rows)
