"""What everybody who works on a dataset may read: the datasets, and their categories."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from annotation_site.api.access import LOGGED_IN, Name, dataset_of, user_of
from annotation_site.api.cursors import By, Cursor, Limit, page
from annotation_site.api.problems import READING
from annotation_site.models import Role, User
from annotation_site.services.access import datasets_for

router = Router(tags=["datasets"], auth=LOGGED_IN)


class DatasetOut(Schema):
    """A dataset, and what the caller may do in it."""

    name: str
    title: str
    description: str
    licence: str
    created: datetime
    roles: list[str]


class DatasetsOut(Schema):
    """Datasets by name; `next` is the address of the following ones, or null."""

    datasets: list[DatasetOut]
    next: str | None


class CategoryOut(Schema):
    """A category. `id` is what votes and files call it; a retired one is chosen no more."""

    id: str
    name: str
    gloss: str
    synonyms: list[str]
    parent: str | None
    retired: datetime | None
    merged_into: str | None


class CategoriesOut(Schema):
    """Categories in the order of the dataset; `next` is the address of the following ones, or null."""

    categories: list[CategoryOut]
    next: str | None


@router.get("datasets", response={200: DatasetsOut, **READING}, url_name="datasets")
def datasets(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The datasets in which the caller has a role."""
    user = user_of(request)
    rows, following = page(request, datasets_for(user, *Role.values), [By("name", str)], cursor, limit)
    roles = _roles(user)
    lines = [
        {
            "name": row.name,
            "title": row.title or row.name,
            "description": row.description,
            "licence": row.licence,
            "created": row.created,
            "roles": sorted(roles.get(None, set()) | roles.get(row.pk, set())),
        }
        for row in rows
    ]
    return {"datasets": lines, "next": following}


@router.get("datasets/{name}/categories", response={200: CategoriesOut, **READING}, url_name="categories")
def categories(request: HttpRequest, name: Name, cursor: Cursor, limit: Limit, retired: bool = False) -> Any:
    """The categories that can be chosen; `retired=true` gives those that were merged or split, too."""
    found = dataset_of(request, name, *Role.values).categories.select_related("parent", "merged_into")
    order = [By("position", int), By("key", str)]
    rows, following = page(request, found if retired else found.current(), order, cursor, limit)
    lines = [
        {
            "id": row.key,
            "name": row.name,
            "gloss": row.gloss,
            "synonyms": row.synonym_list,
            "parent": row.parent.key if row.parent else None,
            "retired": row.retired,
            "merged_into": row.merged_into.key if row.merged_into else None,
        }
        for row in rows
    ]
    return {"categories": lines, "next": following}


def _roles(user: User) -> dict[int | None, set[str]]:
    """Dataset id (None: every one) -> roles."""
    if user.is_superuser:
        return {None: set(Role.values)}
    found: dict[int | None, set[str]] = {}
    for dataset_id, role in user.memberships.values_list("dataset_id", "role"):
        found.setdefault(dataset_id, set()).add(role)
    return found
