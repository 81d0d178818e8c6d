"""Training runs: where a trainer process stands and what it found."""

from __future__ import annotations

from typing import Any

from django.db import models

from export.models import Release


class TrainingRun(models.Model):
    """One retraining of the baseline on one release."""

    class State(models.TextChoices):
        """Failed runs can be started again: they resume."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    release = models.ForeignKey(Release, models.CASCADE, related_name="runs")
    preset = models.CharField(max_length=40)
    arms = models.CharField(max_length=300, blank=True)
    seeds = models.PositiveSmallIntegerField(null=True, blank=True)
    folder = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    error = models.TextField(blank=True)
    metrics: Any = models.JSONField(null=True, blank=True, help_text="the summary part of metrics.json")
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
