"""Releases in the administration: to look at; a release is never edited."""

from __future__ import annotations

from django.contrib import admin

from export.models import Release
from ingest.admin import ReadOnlyAdmin


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    """Read only."""

    list_display = ("__str__", "created", "fingerprint", "location")
    list_filter = ("dataset",)
