"""What everybody who works on a dataset may read: the datasets, and their categories."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import Http404, HttpRequest
from ninja import Field, Router, Schema

from annotation_site.api.access import LOGGED_IN, NO_NUL, Line, Name, dataset_of, user_of
from annotation_site.api.cursors import By, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import Role, User
from annotation_site.services.access import datasets_for
from ingest.categories import LANGUAGE
from ingest.models import KEY_PATTERN, Category
from ingest.services.translations import UnknownCategory, translate_categories

router = Router(tags=["datasets"], auth=LOGGED_IN)


Long = Annotated[str, Field(max_length=20_000, pattern=NO_NUL)]


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


class Words(Schema):
    """What a category is called in a language; what is left out is as in the dataset's own."""

    model_config = shown(name="燕雀", gloss="一种小型鸣禽", synonyms="雀|雀鸟")
    name: Line | None = None
    gloss: Annotated[str, Field(max_length=20_000, pattern=NO_NUL)] | None = None
    synonyms: Annotated[str, Field(max_length=20_000, pattern=NO_NUL, description="parted by |")] | None = (
        None
    )


class CategoryOut(Schema):
    """A category. `id` is what votes and files call it; a retired one is chosen no more."""

    id: str
    name: str
    gloss: str
    synonyms: list[str]
    parent: str | None
    retired: datetime | None
    merged_into: str | None
    translations: dict[str, dict[str, str]]


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
    return {"categories": [_category(row) for row in rows], "next": following}


@router.put(
    "datasets/{name}/categories/{key}/translations/{language}",
    response={200: CategoryOut, **PROBLEMS},
    url_name="category_translation",
)
def translate(
    request: HttpRequest,
    name: Name,
    key: Annotated[str, Field(pattern=KEY_PATTERN, max_length=100)],
    language: Annotated[str, Field(pattern=f"^{LANGUAGE.pattern}$", max_length=35)],
    body: Words,
) -> Any:
    """Say what a category is called in another language; its id, and what releases say, stay. Curators only.

    What is left out stays as it was.
    """
    dataset = dataset_of(request, name)
    words = {part: text for part, text in body.dict().items() if text is not None}
    try:
        translate_categories(dataset, {key: {language: words}} if words else {key: {}})
    except UnknownCategory as error:
        raise Http404(f"{error}.") from None
    return _category(dataset.categories.select_related("parent", "merged_into").get(key=key))


def _category(row: Category) -> dict[str, Any]:
    return {
        "id": row.key,
        "name": row.name,
        "gloss": row.gloss,
        "synonyms": row.synonym_list,
        "parent": row.parent.key if row.parent else None,
        "retired": row.retired,
        "merged_into": row.merged_into.key if row.merged_into else None,
        "translations": row.translations,
    }


def _roles(user: User) -> dict[int | None, set[str]]:
    """Dataset id (None: every one) -> roles."""
    if user.is_superuser:
        return {None: set(Role.values)}
    found: dict[int | None, set[str]] = {}
    for dataset_id, role in user.memberships.values_list("dataset_id", "role"):
        found.setdefault(dataset_id, set()).add(role)
    return found
