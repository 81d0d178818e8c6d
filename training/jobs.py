"""Training's background jobs: on Celery workers where there is a broker, else in a process of our own."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings

from annotation_site.celery import app
from export.models import Release
from training.models import PublishingPreset, TrainingRun
from training.services.queue import perform_queued, start_worker
from training.services.runs import NoReleaseFolder, RunBusy, fail_run, mark_queued, release_folder, start_run

log = logging.getLogger(__name__)
AGAIN = 60
"""Seconds until a job looks again at a run that somebody else performs."""


@app.task(bind=True, max_retries=None)
def retrain(self: Any, run_id: int) -> int | None:
    """Perform a run; returns the trainer's exit code. Safe to run twice: it goes on where it was.

    A trainer that has outlived its killed worker keeps its run; the job waits for it to end, so that what it
    found is recorded.
    """
    try:
        return perform_queued(run_id)
    except RunBusy as error:
        if self.request.is_eager:
            raise
        raise self.retry(exc=error, countdown=AGAIN) from None


def enqueue(run: TrainingRun) -> str:
    """Let the run be performed in the background; it shows as queued at once.

    Returns:
        What keeps it from being begun, in one line; empty where nothing does. It stays queued then, and
        `manage.py retrain --queued` begins it.
    """
    mark_queued(run)
    return send([run.pk])


def send(run_ids: list[int]) -> str:
    """Have somebody perform queued runs; returns what keeps them from being begun, as `enqueue` does."""
    try:
        if settings.CELERY_BROKER_URL:
            for pk in run_ids:
                retrain.apply_async((pk,), retry=False)
        else:
            start_worker()
    except Exception as error:  # each broker's client has faults of its own, its absence among them
        said = " ".join(str(error).split())[:300]
        why = f"waits: no worker can be told ({said}); manage.py retrain --queued begins it"
        log.info("training runs %s: %s", run_ids, why, exc_info=True)
        TrainingRun.objects.filter(pk__in=run_ids).update(error=why)
        return why
    return ""


def retrain_published(release: Release) -> str:
    """Start what the dataset wants to be started when a release is published, once for each release.

    Returns:
        One line for whoever published; empty where nothing was started.
    """
    chosen = PublishingPreset.objects.filter(dataset_id=release.dataset_id).first()
    if chosen is None or release.runs.filter(preset=chosen.preset).exists():
        return ""
    run = start_run(release, chosen.preset)
    try:
        release_folder(release)
    except NoReleaseFolder as error:
        fail_run(run, str(error))
        return f"run {run.pk} cannot be started: {error}"
    hindered = enqueue(run)
    return f"run {run.pk} ({chosen.preset}) {hindered or 'is queued'}"
