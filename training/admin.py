"""Training runs in the administration."""

from __future__ import annotations

from django.contrib import admin

from training.models import PublishingPreset, TrainingRun


@admin.register(TrainingRun)
class TrainingRunAdmin(admin.ModelAdmin):
    """To look at, and to delete a run that is not wanted."""

    list_display = ("id", "release", "preset", "state", "created", "begun", "finished")
    list_filter = ("state", "release__dataset")
    readonly_fields = (
        *("release", "preset", "arms", "seeds", "config", "suspects", "folder", "state", "error", "metrics"),
        *("process", "begun", "finished"),
    )


@admin.register(PublishingPreset)
class PublishingPresetAdmin(admin.ModelAdmin):
    """What publishing a release of a dataset starts; the page of its runs sets it too."""

    list_display = ("dataset", "preset")
