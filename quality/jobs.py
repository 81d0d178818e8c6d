"""Quality's background jobs. Without a broker they run where they are called."""

from __future__ import annotations

from annotation_site.celery import app
from annotation_site.models import Round
from quality.services.consensus import aggregate_round


@app.task
def settle_round(round_id: int, method: str = "auto") -> int:
    """One quality-control pass; returns its QCPass's id. Safe to run twice: the second changes nothing."""
    return aggregate_round(Round.objects.get(pk=round_id), method).pk
