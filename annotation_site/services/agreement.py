"""How often a person was right on gold, told to that person once nothing they do can change it any more.

Told while a round is open, the figure would move with each answer and so give gold away. So it is told of
closed rounds alone, counts what was answered before they closed, is kept as of the last quality-control pass,
and needs several answers: nobody finds out by it which picture was gold. A later stage brings it here.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.utils import timezone

from annotation_site.models import Participation, Round, Worker
from annotation_site.services.locking import short_write
from ingest.models import Dataset

FEWEST = 10
"""Gold answers from which on a share is told."""


def agreement(part: Participation) -> float | None:
    """The share of gold that this worker answered rightly in a round; None where it is not told."""
    closed = part.round.state == Round.State.CLOSED and part.round.tells_agreement
    return part.gold_right / part.gold_judged if closed and part.gold_judged >= FEWEST else None


def keep_agreement(round: Round, found: Mapping[int, tuple[int, int]]) -> None:
    """Keep (judged, right) of each worker, by id; workers that are not named have none."""
    changed = []
    for part in Participation.objects.filter(round=round):
        now = found.get(part.worker_id, (0, 0))
        if (part.gold_judged, part.gold_right) != now:
            part.gold_judged, part.gold_right = now
            changed.append(part)
    with short_write():
        Participation.objects.bulk_update(changed, ["gold_judged", "gold_right"], batch_size=200)


def ask_to_look_again(worker: Worker, dataset: Dataset) -> None:
    """Let the worker's own page lead to what they should look at again in this dataset."""
    Participation.objects.filter(worker=worker, round__dataset=dataset).update(look_again=timezone.now())
