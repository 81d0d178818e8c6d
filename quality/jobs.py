"""Background jobs of this stage. Without a broker they run where they are called, or in their own process."""

from __future__ import annotations

import logging

from django.conf import settings

from annotation_site.celery import app
from annotation_site.models import Round
from quality.models import PlannedRound
from quality.services.consensus import aggregate_round
from quality.services.planned import AT_ONCE, make_planned, start_maker

log = logging.getLogger(__name__)


@app.task
def settle_round(round_id: int, method: str = "auto") -> int:
    """One quality-control pass; returns its QCPass's id. Safe to run twice: the second changes nothing."""
    return aggregate_round(Round.objects.get(pk=round_id), method).pk


@app.task
def make_round(planned_id: int) -> str:
    """Make a round that was ordered on the site; returns its state. Safe to run twice."""
    return make_planned(planned_id).state


def begin(planned: PlannedRound) -> PlannedRound:
    """Have the round made: here where it is small, else on a Celery worker or in a process of its own.

    Where nobody can be told it waits, and its row says so.
    """
    if planned.tasks <= AT_ONCE:
        return make_planned(planned.pk)
    try:
        if settings.CELERY_BROKER_URL:
            make_round.apply_async((planned.pk,), retry=False)
        else:
            start_maker(planned)
    except Exception:  # each broker's client has faults of its own
        log.exception("planned round %s: nobody could be told", planned.pk)
        planned.error = (
            f"nobody could be told: manage.py open_round {planned.dataset.name} --planned {planned.pk}"
        )
        planned.save(update_fields=["error"])
    return planned
