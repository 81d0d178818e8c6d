"""What categories are called in other languages; ids, and what releases say, stay as they are."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from ingest.models import Category, Dataset


class UnknownCategory(ValueError):
    """A translation of something that is no category of the dataset; nothing was stored."""


def translate_categories(dataset: Dataset, given: Mapping[str, Mapping[str, Mapping[str, str]]]) -> int:
    """Keep translations; what was there in the same language and is not given anew stays.

    Args:
        given: category id -> language -> name, gloss, synonyms (see `ingest.categories.read_translations`).

    Returns:
        How many categories have a translation now that they had not.

    Raises:
        UnknownCategory: an id that the dataset does not have.
    """
    with transaction.atomic():
        rows = {row.key: row for row in Category.objects.select_for_update().filter(dataset=dataset)}
        if unknown := [key for key in given if key not in rows]:
            raise UnknownCategory(f"{dataset} has no category {unknown[0]!r}")
        changed = []
        for key, languages in given.items():
            row, before = rows[key], rows[key].translations
            row.translations = {**before, **{at: {**before.get(at, {}), **w} for at, w in languages.items()}}
            if row.translations != before:
                changed.append(row)
        Category.objects.bulk_update(changed, ["translations"], batch_size=500)
    return len(changed)
