"""Leases end: the places of batches that were not sent in time, or that may not be, are free for others."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Count, F, Q, Value, When
from django.utils import timezone

from annotation_site.models import Assignment, Lease, Round, Task
from annotation_site.services.locking import short_write
from annotation_site.services.prepared import prepared


def release_expired(round: Round) -> int:
    """Give back the places of batches whose time is over; returns how many batches.

    Looks without a lock first: almost always there is nothing to do.
    """
    over = Q(expires__lt=timezone.now())
    if not _over(round=round.pk, now=timezone.now()):
        return 0
    return expire_assignments(round, over)


@prepared()
def _over(round: int, now: datetime) -> Any:
    late = Assignment.objects.filter(expires__lt=now, round=round, state=Assignment.State.ACTIVE)
    return late.order_by("expires").values_list("pk")[:1]


def expire_assignments(round: Round, which: Q, limit: int = 100) -> int:
    """End up to `limit` active assignments of the round; their tasks are free for others. Returns how many.

    The lease rows stay, and say later that a late vote was asked for.
    """
    with short_write():
        rows = Assignment.objects.filter(which, round=round, state=Assignment.State.ACTIVE).order_by("pk")
        ended = list(rows.select_for_update(no_key=True, skip_locked=True)[:limit])
        if not ended:
            return 0
        held = Lease.objects.filter(assignment__in=ended, task__gold=False)
        ids = held.values_list("task_id", flat=True)
        list(
            Task.objects.filter(pk__in=list(ids))
            .select_for_update(no_key=True)
            .order_by("pk")
            .values_list("pk")
        )
        # Tasks by how many of these leases they lose (one, but for several workers expiring together).
        losses: dict[int, list[int]] = {}
        for task_id, lost in held.values("task_id").annotate(n=Count("pk")).values_list("task_id", "n"):
            losses.setdefault(lost, []).append(task_id)
        for lost, task_ids in losses.items():
            room = Q(state=Task.State.OPEN, gold=False, wanted__gt=F("votes") + F("leases") - lost)
            Task.objects.filter(pk__in=task_ids).update(
                leases=F("leases") - lost,
                turn=F("turn") - lost,
                claimable=Case(
                    When(room, then=Value(True)), default=Value(False), output_field=BooleanField()
                ),
            )
        Assignment.objects.filter(pk__in=[a.pk for a in ended]).update(state=Assignment.State.EXPIRED)
        return len(ended)
