"""Training's background jobs. Without a broker they run where they are called."""

from __future__ import annotations

from celery import shared_task

from training.services.runs import perform_run


@shared_task
def retrain(run_id: int) -> int:
    """Perform a run; returns the trainer's exit code. Safe to run twice: it goes on where it was."""
    return perform_run(run_id).code
