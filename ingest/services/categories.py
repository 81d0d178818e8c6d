"""Renaming, merging and splitting categories: recorded for ever, with who decided it and why.

Votes are never edited. What they say is read under today's names wherever labels of several rounds meet:
votes for merged categories count for the one that took them in; those for a category that was split say
nothing about its parts, so its pictures are asked about again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from ingest.categories import BadCategories, Standing, check_merge, check_split
from ingest.models import Category, CategoryChange, Dataset

Kind = CategoryChange.Kind


def rename_category(dataset: Dataset, key: str, name: str, *, reason: str, by: str) -> CategoryChange:
    """Another name for the same thing; its id and its votes stay.

    Raises:
        BadCategories: no such category, the name is no name or the one that it has, no reason.
    """
    _check_words(reason, [name])
    if not name:
        raise BadCategories(f"{key} must be called something")
    with transaction.atomic():
        category = dataset.categories.select_for_update().filter(key=key).first()
        if category is None:
            raise BadCategories(f"there is no category {key}")
        if category.retired:
            raise BadCategories(f"{key} was merged or split before, and no longer stands")
        if category.name == name:
            raise BadCategories(f"{key} is called {name!r} already")
        words = {"old_name": category.name, "new_name": name}
        category.name = name
        category.save(update_fields=["name"])
        return _record(dataset, Kind.RENAMED, [key], [key], reason, by, timezone.now(), **words)


def merge_categories(
    dataset: Dataset, merged: Sequence[str], into: str, *, reason: str, by: str, name: str = ""
) -> CategoryChange:
    """Several categories become one: a new one, or one that stands above them all.

    Args:
        name: what a new category is called; left out, its id.

    Raises:
        BadCategories: see `ingest.categories.check_merge`; no reason.
    """
    _check_words(reason, [name])
    with transaction.atomic():
        now, held = timezone.now(), _held(dataset)
        check_merge(_tree(held), merged, into)
        if into in held:
            target = held[into]
        else:
            parents = {held[key].parent_id for key in merged}
            target = _create(dataset, into, name, now, parents.pop() if len(parents) == 1 else None)
            dataset.categories.filter(key__in=merged).update(parent=target)
        dataset.categories.filter(key__in=merged).update(retired=now, merged_into=target)
        # Those that were merged into one of them before go on with it, so that one step leads to today's.
        dataset.categories.filter(merged_into__key__in=merged).update(merged_into=target)
        return _record(dataset, Kind.MERGED, sorted(merged), [into], reason, by, now)


def split_category(
    dataset: Dataset,
    whole: str,
    parts: Sequence[str],
    *,
    reason: str,
    by: str,
    names: Mapping[str, str] | None = None,
) -> CategoryChange:
    """One category becomes several, which stand below it from now on.

    Args:
        names: id -> what a new category is called; left out, its id.

    Raises:
        BadCategories: see `ingest.categories.check_split`; no reason.
    """
    names = names or {}
    _check_words(reason, names.values())
    with transaction.atomic():
        now, held = timezone.now(), _held(dataset)
        check_split(_tree(held), whole, parts)
        for key in parts:
            if key not in held:
                _create(dataset, key, names.get(key, ""), now, held[whole].pk)
        dataset.categories.filter(key=whole).update(retired=now)
        # What was merged into it before is now as uncertain as it is.
        dataset.categories.filter(merged_into=held[whole]).update(merged_into=None)
        return _record(dataset, Kind.SPLIT, [whole], list(parts), reason, by, now)


def _check_words(reason: str, names: Any) -> None:
    if not reason.strip() or len(reason) > 500:
        raise BadCategories("the reason must say why, in 500 characters at most: it stands in every release")
    if any(len(name) > 200 for name in names):
        raise BadCategories("a name has 200 characters at most")


def _held(dataset: Dataset) -> dict[str, Category]:
    """Every category by key, locked."""
    rows = dataset.categories.select_for_update(of=("self",)).select_related("parent").order_by("key")
    return {category.key: category for category in rows}


def _tree(held: Mapping[str, Category]) -> dict[str, Standing]:
    return {
        key: Standing(category.parent.key if category.parent else "", category.retired is not None)
        for key, category in held.items()
    }


def _create(dataset: Dataset, key: str, name: str, now: datetime, parent: int | None) -> Category:
    last = dataset.categories.order_by("-position").values_list("position", flat=True).first()
    return Category.objects.create(
        dataset=dataset, key=key, name=name or key, parent_id=parent, since=now, position=(last or 0) + 1
    )


def _record(
    dataset: Dataset,
    kind: CategoryChange.Kind,
    before: Sequence[str],
    after: Sequence[str],
    reason: str,
    by: str,
    now: datetime,
    **words: str,
) -> CategoryChange:
    return CategoryChange.objects.create(
        dataset=dataset, kind=kind, before=list(before), after=list(after), reason=" ".join(reason.split()),
        by=by, created=now, **words,
    )  # fmt: skip
