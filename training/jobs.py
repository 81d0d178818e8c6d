"""Training's background jobs. Without a broker they run where they are called."""

from __future__ import annotations

from annotation_site.celery import app
from training.services.runs import perform_run


@app.task
def retrain(run_id: int) -> int:
    """Perform a run; returns the trainer's exit code. Safe to run twice: it goes on where it was."""
    return perform_run(run_id).code
