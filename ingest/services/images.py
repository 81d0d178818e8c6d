"""Pictures of a dataset: keeping one, finding one by what people call it, and the one that stands for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ingest.addresses import BadUrl, clean_url
from ingest.facts import examine
from ingest.models import Candidate, Dataset, Image
from ingest.services.finding import url_key
from ingest.services.outcomes import image_of
from ingest.services.takedown import TakenDown, note_near, refused_among
from ingest.sources.kinds import REMOTE
from ingest.storage import open_store

CHUNK = 500
T = TypeVar("T")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Resolved:
    """Images by the names they were asked by.

    Attributes:
        found: image by name; any member of its duplicate group.
        unknown: names that nothing goes by.
        ambiguous: names that several images go by which do not show the same picture.
    """

    found: dict[str, Image] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)


def store_image(dataset: Dataset, data: bytes) -> tuple[Image, bool]:
    """Keep one trusted picture; returns its image and whether it is new. Bytes first, row second.

    Decodes in this process: bytes of strangers go through `ingest.crawl` instead.

    Raises:
        RejectedPicture: it is no picture that is taken.
        TakenDown: it was taken down from this dataset.
    """
    facts = examine(data, min_side=1)
    if refused_among(dataset, {facts.sha256}):
        raise TakenDown(f"{facts.sha256} was taken down from {dataset.name}")
    open_store(settings.STORAGE_URL).put(data)
    fresh = image_of(dataset, facts)
    with transaction.atomic():
        image, created = Image.objects.get_or_create(
            dataset=dataset,
            sha256=facts.sha256,
            defaults={
                name: getattr(fresh, name)
                for name in ("phash", "hash_version", "format", "width", "height", "bytes", "animated")
            },
        )
        if created:
            Dataset.objects.filter(pk=dataset.pk).update(images_stored=F("images_stored") + 1)
            note_near(dataset, [image])
    return image, created


def resolve_images(dataset: Dataset, keys: Iterable[str]) -> Resolved:
    """Find images by SHA-256, URL, path inside a folder or archive, or full path of such a file."""
    resolved = Resolved()
    for chunk in _chunks(dict.fromkeys(keys)):
        matches = _matches(dataset, chunk)
        for key in chunk:
            images = matches.get(key, {})
            pictures = {image.group_id or -image.pk for image in images.values()}
            if not images:
                resolved.unknown.append(key)
            elif len(pictures) > 1:
                resolved.ambiguous.append(key)
            else:
                resolved.found[key] = min(images.values(), key=lambda image: image.pk)
    return resolved


def representatives(images: Iterable[Image]) -> dict[int, Image]:
    """The image that stands for each, by image id: its group's representative, or the image itself."""
    stands: dict[int, Image] = {}
    for chunk in _chunks({image.pk: image for image in images}.values()):
        groups = {image.group_id for image in chunk if image.group_id}
        by_group = {
            image.represents.pk: image
            for image in Image.objects.filter(represents__in=groups).select_related("represents")
        }
        for image in chunk:
            stands[image.pk] = by_group.get(image.group_id, image) if image.group_id else image
    return stands


def _matches(dataset: Dataset, keys: list[str]) -> dict[str, dict[int, Image]]:
    """Every image that goes by each of these names, by name and image id."""
    matches: dict[str, dict[int, Image]] = {}
    hashes = [key.lower() for key in keys if _SHA256.fullmatch(key.lower())]
    by_sha256 = {image.sha256: image for image in dataset.images.filter(sha256__in=hashes)}
    for key in keys:
        image = by_sha256.get(key.lower())
        if image:
            matches.setdefault(key, {})[image.pk] = image
    names = _names(dataset, keys)
    keyed = {url_key(url) for _, url, _ in names}
    candidates = Candidate.objects.filter(
        source__dataset=dataset, url_sha256__in=keyed, image__isnull=False
    ).select_related("image")
    by_url: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_url.setdefault(candidate.url, []).append(candidate)
    for key, url, source in names:
        for candidate in by_url.get(url, []):
            if candidate.image is not None and source in (None, candidate.source_id):
                matches.setdefault(key, {})[candidate.image.pk] = candidate.image
    return matches


def _names(dataset: Dataset, keys: list[str]) -> list[tuple[str, str, int | None]]:
    """`(name, what a candidate's url would be, its source where that is known)`."""
    roots = [
        (f"{source.location}/", source.pk)
        for source in dataset.sources.exclude(kind__in=REMOTE).order_by("pk")
    ]
    names: list[tuple[str, str, int | None]] = []
    for key in keys:
        names.append((key, key, None))
        try:
            names.append((key, clean_url(key), None))
        except BadUrl:
            names += [(key, key.removeprefix(root), pk) for root, pk in roots if key.startswith(root)]
    return names


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
