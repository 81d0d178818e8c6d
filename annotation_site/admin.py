"""The administration pages: for superusers, to look and to mend. Votes are never edited there.

Roles are memberships and open nothing here: `create_user` makes nobody staff.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from annotation_site.models import ApiToken, Assignment, Instructions, Membership, Round, User, Vote, Worker
from ingest.admin import ReadOnlyAdmin


class MembershipInline(admin.TabularInline):
    """A person's roles, beside the person."""

    model = Membership
    extra = 0


@admin.register(User)
class PersonAdmin(UserAdmin):
    """People and their roles."""

    inlines = [MembershipInline]
    list_display = ["username", "is_active", "is_superuser", "last_login"]


@admin.register(Worker)
class WorkerAdmin(admin.ModelAdmin):
    """Workers; suspending one stops new batches, and voids nothing."""

    list_display = ["code", "user", "provider", "suspended", "created"]
    list_filter = ["provider", "suspended"]
    search_fields = ["code", "user__username"]
    raw_id_fields = ["user"]
    readonly_fields = ["code", "provider", "created"]
    show_full_result_count = False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens can be revoked, which is deleting them."""

    list_display = ["user", "name", "scope", "created", "last_used"]
    fields = ["user", "name", "scope", "created", "last_used"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_active and request.user.is_superuser)


class InstructionsInline(admin.TabularInline):
    """What workers were told, by version."""

    model = Instructions
    extra = 0


@admin.register(Round)
class RoundAdmin(admin.ModelAdmin):
    """Rounds: pausing and opening again. Counters are kept by the services."""

    list_display = ["id", "title", "dataset", "question", "state", "tasks_total", "tasks_settled"]
    list_filter = ["state", "question"]
    inlines = [InstructionsInline]
    readonly_fields = ["dataset", "question", "closed", "tasks_total", "tasks_settled", "tasks_exhausted"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rounds are opened by open_round, which also makes their tasks."""
        return False


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    """Votes, for looking one up."""

    list_display = ["id", "task", "worker", "label", "voided", "void_reason", "created"]
    list_select_related = ["worker__user", "category", "task"]
    search_fields = ["=worker__code"]
    raw_id_fields = ["task", "worker", "category", "assignment"]


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    """Batches under way and done."""

    list_display = ["id", "round", "worker", "state", "tasks_given", "created", "expires"]
    list_select_related = ["round", "worker__user"]
    list_filter = ["state"]
