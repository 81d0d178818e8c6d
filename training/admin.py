"""Training runs in the administration."""

from __future__ import annotations

from django.contrib import admin

from training.models import TrainingRun


@admin.register(TrainingRun)
class TrainingRunAdmin(admin.ModelAdmin):
    """To look at, and to delete a run that is not wanted."""

    list_display = ("id", "release", "preset", "state", "created", "finished")
    list_filter = ("state",)
    readonly_fields = (
        "release",
        "preset",
        "arms",
        "seeds",
        "folder",
        "state",
        "error",
        "metrics",
        "finished",
    )
