"""What a batch looks like to those who vote. Nothing in it tells gold from any other task."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from annotation_site.models import Round
from annotation_site.services.claims import Batch
from annotation_site.services.votes import vote_codes


def batch_payload(batch: Batch, round: Round) -> dict[str, Any]:
    """The answer to a claim (CONTRACTS)."""
    # One category after the other, the one that the last batch ended with first.
    order: dict[int | None, int] = {}
    for task in batch.tasks:
        order[task.category_id] = min(task.rank, order.get(task.category_id, task.rank))
    tasks = sorted(batch.tasks, key=lambda task: order[task.category_id])
    mark = "0" * 64
    full, thumb = (reverse(n, args=[round.dataset.name, mark]) for n in ("image_full", "image_thumb"))
    return {
        "assignment": batch.assignment.pk,
        "expires": batch.assignment.expires.isoformat(),
        "question": round.question,
        "choices": list(vote_codes(round)),
        "tasks": [
            {
                "task": task.pk,
                "image_url": full.replace(mark, task.image.sha256),
                "thumbnail_url": thumb.replace(mark, task.image.sha256),
                "category": task.category.key if task.category else None,
            }
            for task in tasks
        ],
    }
