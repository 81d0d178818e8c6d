"""Quality's rows in Django's administration, to look things up: they are computed, not edited."""

from __future__ import annotations

from django.contrib import admin

from ingest.admin import ReadOnlyAdmin
from quality.models import Consensus, Gold, QCPass, Reference, WorkerSkill


@admin.register(Gold)
class GoldAdmin(ReadOnlyAdmin):
    """Known answers; `manage.py add_gold` writes them."""

    list_display = ["image", "dataset", "label", "origin", "created"]
    list_filter = ["dataset", "origin"]
    list_select_related = ["image", "dataset", "category"]
    search_fields = ["image__sha256__startswith"]


@admin.register(Reference)
class ReferenceAdmin(ReadOnlyAdmin):
    """Experts' answers; `manage.py add_reference` writes them."""

    list_display = ["image", "dataset", "label", "expert", "created"]
    list_filter = ["dataset", "expert"]
    list_select_related = ["image", "dataset", "category"]
    search_fields = ["image__sha256__startswith"]


@admin.register(QCPass)
class QCPassAdmin(ReadOnlyAdmin):
    """Passes, the newest first."""

    list_display = ["round", "number", "method", "votes", "settled", "exhausted", "votes_asked", "created"]
    list_select_related = ["round"]
    ordering = ["-id"]


@admin.register(WorkerSkill)
class WorkerSkillAdmin(ReadOnlyAdmin):
    """Skills with their intervals and flags."""

    list_display = ["worker", "round", "skill", "lo", "hi", "votes", "gold_votes", "flags"]
    list_select_related = ["worker__user", "round"]
    search_fields = ["worker__code__startswith"]


@admin.register(Consensus)
class ConsensusAdmin(ReadOnlyAdmin):
    """Present answers of tasks."""

    list_display = ["task_id", "label", "confidence", "votes", "tie", "method"]
    search_fields = ["task__image__sha256__startswith"]
