"""Administration of what may be edited; rows that record facts can only be looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from ingest.models import Candidate, Category, CategoryChange, Dataset, DuplicateGroup, Image, Source


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that services keep, in any stage: to look at, never to change by hand."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: counters and releases rest on these rows."""
        return False


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):
    """Title and licence may be put right; the name stands in releases, the splits in every draw."""

    list_display = ["name", "title", "images_stored", "groups_found", "created"]
    fields = [
        "name",
        "title",
        "description",
        "licence",
        "splits",
        "candidates_found",
        "images_stored",
        "groups_found",
    ]
    readonly_fields = ["name", "splits", "candidates_found", "images_stored", "groups_found"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A dataset starts with its categories: manage.py create_dataset."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Votes are never deleted, and a dataset holds votes."""
        return False


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    """Words may be put right; the key stands in votes and releases, and names change for the record only."""

    list_display = ["key", "name", "dataset", "parent", "retired"]
    list_filter = ["dataset"]
    search_fields = ["key", "name", "synonyms"]
    readonly_fields = ["dataset", "key", "name", "parent", "position", "since", "retired", "merged_into"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Open rounds offer the categories that were there when they opened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Votes name it."""
        return False


@admin.register(CategoryChange)
class CategoryChangeAdmin(ReadOnlyAdmin):
    """Renames, merges and splits, made by manage.py change_category."""

    list_display = ["id", "dataset", "kind", "before", "after", "by", "created"]
    list_filter = ["dataset", "kind"]


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    """Where pictures were looked for."""

    list_display = ["location", "dataset", "kind", "category", "finished", "last_run"]
    list_filter = ["dataset", "kind", "finished"]
    list_select_related = ["dataset", "category"]


@admin.register(Candidate)
class CandidateAdmin(ReadOnlyAdmin):
    """What was found."""

    list_display = ["url", "state", "reason", "attempts", "fetched"]
    list_filter = ["state"]
    raw_id_fields = ["source", "image"]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    """Pictures."""

    list_display = ["sha256", "dataset", "format", "width", "height", "created"]
    list_filter = ["dataset", "format"]
    list_select_related = ["dataset"]
    search_fields = ["sha256"]


@admin.register(DuplicateGroup)
class DuplicateGroupAdmin(ReadOnlyAdmin):
    """Pictures that show the same."""

    list_display = ["id", "dataset", "size", "representative"]
    list_filter = ["dataset"]
    list_select_related = ["dataset", "representative"]
