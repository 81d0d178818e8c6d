"""The releases of a dataset in a row: what each holds, what it changed, what is thought of it now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q

from export.layout import SPLITS
from export.models import Release, ReleaseImage
from ingest.models import Dataset


def release_history(dataset: Dataset) -> list[dict[str, Any]]:
    """Every release as plain data, the newest first.

    `{release, version, parent, fingerprint, published, location, present, sealed, images, splits, categories,
    votes, workers, label_accuracy, parameters, deprecated, changes}`. `present`: whether a folder of this
    machine holds it; None for a bucket, which is not asked. `deprecated`: `{since, reason, instead}` or None.
    `changes`: `{added, removed, relabelled, moved, taken_down}`, counts against the parent; None for a first
    release.
    """
    releases = dataset.releases.select_related("parent", "replaced_by", "dataset").order_by("-id")
    return [_told(release) for release in releases]


def _told(release: Release) -> dict[str, Any]:
    counts = release.counts
    return {
        "release": str(release),
        "version": release.version,
        "parent": release.parent.version if release.parent else None,
        "fingerprint": release.fingerprint,
        "published": release.created.isoformat(),
        "location": release.location,
        "present": None if "://" in release.location else Path(release.location).is_dir(),
        "sealed": release.sealed,
        "images": counts["images"],
        "splits": {split: counts.get(split, 0) for split in SPLITS},
        "categories": len(counts["categories"]),
        "votes": counts["votes"],
        "workers": counts["workers"],
        "label_accuracy": release.label_accuracy,
        "parameters": release.parameters,
        "deprecated": _deprecated(release),
        "changes": changes(release, release.parent) if release.parent else None,
    }


def _deprecated(release: Release) -> dict[str, Any] | None:
    if release.deprecated is None:
        return None
    instead = release.replaced_by
    return {
        "since": release.deprecated.isoformat(),
        "reason": release.deprecation_reason,
        "instead": instead.version if instead else None,
    }


def changes(release: Release, parent: Release) -> dict[str, int]:
    """How many pictures came, left, were relabelled, moved between splits and were taken down."""
    before = ReleaseImage.objects.filter(release=parent, image=OuterRef("image"))
    held = ReleaseImage.objects.filter(release=release)
    counted = held.aggregate(
        images=Count("id"),
        kept=Count("id", filter=Exists(before)),
        relabelled=Count("id", filter=Exists(before.exclude(category=OuterRef("category")))),
        moved=Count("id", filter=Exists(before.exclude(split=OuterRef("split")))),
    )
    was = ReleaseImage.objects.filter(release=parent).count()
    down = Q(image__withdrawal__release=release)
    return {
        "added": counted["images"] - counted["kept"],
        "removed": was - counted["kept"],
        "relabelled": counted["relabelled"],
        "moved": counted["moved"],
        "taken_down": ReleaseImage.objects.filter(down, release=parent).count(),
    }
