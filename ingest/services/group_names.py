"""Duplicate groups by what people call them: their numbers, or files that are in them."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _

from ingest.models import Dataset
from ingest.services.duplicates import CannotChange
from ingest.services.images import resolve_images

MOST_JOINED = 50
"""Groups that are joined at once."""


def groups_named(dataset: Dataset, group_ids: Iterable[int], names: Iterable[str]) -> list[int]:
    """Ids of the groups that are to be joined: these, and those of files by SHA-256, path or address.

    Raises:
        CannotChange: a name that no single picture goes by, a group of another dataset, or not two to fifty.
    """
    ids, named = set(group_ids), list(names)
    found = resolve_images(dataset, named)
    for missing in (*found.unknown, *found.ambiguous):
        raise CannotChange(_("No single picture of this dataset goes by %(name)s.") % {"name": missing[:200]})
    for image in found.found.values():
        if image.group_id is None:
            raise CannotChange(_("%(name)s has no group yet: run dedup first.") % {"name": image.sha256})
        ids.add(image.group_id)
    if named and len(ids) < 2:
        raise CannotChange(_("These two are in one group already."))
    if not 2 <= len(ids) <= MOST_JOINED or dataset.groups.filter(pk__in=ids).count() != len(ids):
        raise CannotChange(_("Choose from two to fifty duplicate groups of this dataset."))
    return sorted(ids)
