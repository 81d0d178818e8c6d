"""Releases in the administration: to look at; a release is never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from export.models import Release


@admin.register(Release)
class ReleaseAdmin(admin.ModelAdmin):
    """Read only."""

    list_display = ("__str__", "created", "fingerprint", "location")
    list_filter = ("dataset",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Releases come from export_release."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A release is immutable."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Its test pictures stay in test for ever."""
        return False
