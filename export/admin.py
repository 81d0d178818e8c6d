"""Releases and who accepted their terms, in the administration: to look at; neither is ever edited."""

from __future__ import annotations

from django.contrib import admin

from export.models import Acceptance, Release
from ingest.admin import ReadOnlyAdmin


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    """Read only."""

    list_display = ("__str__", "created", "fingerprint", "location")
    list_filter = ("dataset",)


@admin.register(Acceptance)
class AcceptanceAdmin(ReadOnlyAdmin):
    """Read only: who took which release, on which terms, what for."""

    list_display = ("release", "created", "name", "email", "purpose", "terms", "archives", "files")
    list_filter = ("release__dataset",)
    list_select_related = ("release__dataset", "terms")
