"""Starting a dataset."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from ingest.categories import CategoryRow, check_categories
from ingest.models import NAME_PATTERN, Category, Dataset
from ingest.splits import Shares


class DatasetExists(ValueError):
    """A dataset of this name is already there."""


def create_dataset(
    name: str,
    categories: list[CategoryRow],
    *,
    splits: str = "80/10/10",
    split_key: str | None = None,
    title: str = "",
    licence: str = "",
) -> Dataset:
    """A dataset with its categories, all or nothing.

    Args:
        name: lower-case letters, digits, `_` and `-`; it stands in addresses and folder names.
        splits: train/val/test shares in percent.
        split_key: the secret that draws splits; left out, a new one (give one only to repeat a dataset).

    Raises:
        DatasetExists: the name is taken.
        BadCategories: the categories make no tree.
        ValueError: a bad name, title, licence or splits.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError(
            f"{name!r} is no name for a dataset: lower-case letters, digits, _ and -, up to 64, no space"
        )
    for field, text in (("title", title), ("licence", licence)):
        if len(text) > 200:
            raise ValueError(f"the {field} is longer than 200 characters")
    Shares.parse(splits)
    check_categories(categories)
    key = {"split_key": split_key} if split_key else {}
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(name=name, splits=splits, title=title, licence=licence, **key)
            _create_tree(dataset, categories)
    except IntegrityError:
        raise DatasetExists(f"the dataset {name!r} exists already; choose another name") from None
    return dataset


def _create_tree(dataset: Dataset, rows: list[CategoryRow]) -> None:
    """All categories, then their parents: a row may name a parent that comes later in the file."""
    made = Category.objects.bulk_create(
        Category(
            dataset=dataset,
            key=row.key,
            name=row.name,
            gloss=row.gloss,
            synonyms="|".join(row.synonyms),
            translations=dict(row.translations),
            position=position,
        )
        for position, row in enumerate(rows)
    )
    by_key = {category.key: category for category in made}
    children = []
    for row in rows:
        if row.parent:
            by_key[row.key].parent = by_key[row.parent]
            children.append(by_key[row.key])
    Category.objects.bulk_update(children, ["parent"], batch_size=500)
