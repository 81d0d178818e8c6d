"""Training runs: where a trainer process stands and what it found; what publishing a release starts."""

from __future__ import annotations

from typing import Any

from django.db import models

from export.models import Release
from ingest.models import Dataset


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Questions about many runs."""

    def unfinished(self) -> TrainingRunQuerySet:
        """Those that can be performed, or performed further."""
        return self.exclude(state=TrainingRun.State.DONE)

    def begun_or_due(self) -> TrainingRunQuerySet:
        """Those that nobody has stopped and that have not ended: waiting, or under way when last heard of."""
        return self.filter(state__in=(TrainingRun.State.QUEUED, TrainingRun.State.RUNNING))


class TrainingRun(models.Model):
    """One retraining of the baseline on one release."""

    class State(models.TextChoices):
        """Failed and stopped runs can be started again: they resume."""

        QUEUED = "queued", "queued"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"
        STOPPED = "stopped", "stopped"

    release = models.ForeignKey(Release, models.CASCADE, related_name="runs")
    preset = models.CharField(max_length=40)
    arms = models.CharField(max_length=300, blank=True)
    seeds = models.PositiveSmallIntegerField(null=True, blank=True)
    config = models.TextField(blank=True, help_text="settings beside the preset, as TOML")
    suspects = models.BooleanField(default=False, help_text="whether train pictures are judged out of fold")
    folder = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    error = models.TextField(blank=True)
    metrics: Any = models.JSONField(null=True, blank=True, help_text="the summary part of metrics.json")
    process = models.CharField(max_length=200, blank=True, help_text="the trainer's, see training.process")
    created = models.DateTimeField(auto_now_add=True)
    begun = models.DateTimeField(null=True, blank=True, help_text="when its trainer was started last")
    finished = models.DateTimeField(null=True, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]

    @property
    def ended(self) -> bool:
        """Whether nobody works on it, as far as its row tells."""
        return self.state not in (self.State.QUEUED, self.State.RUNNING)


class PublishingPreset(models.Model):
    """The preset that publishing a release of a dataset starts. No row: none."""

    dataset = models.OneToOneField(Dataset, models.CASCADE, related_name="publishing_preset")
    preset = models.CharField(max_length=40)

    def __str__(self) -> str:
        return f"{self.dataset}: {self.preset}"
