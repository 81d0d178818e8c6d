"""A handful of a round's pictures as a worker would get them: nothing is leased, nothing is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from annotation_site.api.payloads import batch_payload
from annotation_site.models import Assignment, Round, Task, Worker
from annotation_site.services.claims import Batch

SHOWN = 24


def preview_batch(worker: Worker, round: Round) -> dict[str, Any] | None:
    """A made-up batch as the API would give it, of the round's first tasks; None where it has none.

    Its assignment is 0 and is nowhere in the database. Gold is left out: a page that anybody may look over a
    curator's shoulder at should not tell which pictures are.
    """
    tasks = Task.objects.filter(round=round, gold=False).exclude(state=Task.State.WITHDRAWN)
    open_first = tasks.filter(claimable=True).order_by("rank", "id")
    found = _of(open_first)
    if not found:
        # Nothing is open any more: those that were settled stand in.
        found = _of(tasks.filter(state=Task.State.SETTLED).order_by("state", "id"))
    if not found:
        return None
    now = timezone.now()
    made_up = Assignment(
        pk=0, round=round, worker=worker, expires=now + timedelta(seconds=round.lease_seconds)
    )
    return batch_payload(Batch(made_up, found), round)


def _of(tasks: Any) -> list[Task]:
    return list(tasks.select_related("image", "category")[:SHOWN])
