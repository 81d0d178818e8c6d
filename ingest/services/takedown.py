"""The block list of a dataset: what was taken down, and that it never comes back.

An image that was taken down keeps its row, for the votes and releases that name it; everything else that
shows it goes. Its SHA-256, its perceptual hash and every URL it was found at are refused from then on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from ingest.duplicates import DEFAULT_RADIUS
from ingest.models import Candidate, Dataset, DuplicateGroup, Image, NearTakedown, RefusedUrl, Takedown
from ingest.services.duplicates import measure, new_representative
from ingest.services.finding import url_key
from ingest.sources.kinds import REMOTE
from ingest.storage import open_store

TAKEN_DOWN = "taken_down"
"""The reason that candidates end for."""
DETAIL = "it was taken down, and later crawls leave it out"
State = Candidate.State


class TakenDown(ValueError):
    """These bytes were taken down from this dataset."""


@transaction.atomic
def block(
    dataset: Dataset,
    images: Sequence[Image],
    hashes: Iterable[str],
    urls: Iterable[str],
    reason: str,
    by: str,
) -> list[Image]:
    """Take images down, and refuse what else is named. Run again, it changes nothing.

    Args:
        images: of this dataset.
        hashes: SHA-256s that the dataset does not hold, to be refused all the same.
        urls: to be refused, beside those that the images were found at.

    Returns:
        The images that were not taken down before.
    """
    held = Image.objects.select_for_update().filter(pk__in=[i.pk for i in images], dataset=dataset)
    rows = list(held.order_by("pk"))
    new = [image for image in rows if image.taken_down is None]
    said = {"reason": " ".join(reason.split())[:500], "by": by[:150]}
    for image in rows:
        entry, _ = Takedown.objects.get_or_create(
            dataset=dataset, sha256=image.sha256, defaults={"phash": image.phash, **said}
        )
        found = Candidate.objects.filter(image=image, source__kind__in=REMOTE)
        _refuse(entry, found.values_list("url", flat=True))
    for sha256 in sorted(set(hashes) - {image.sha256 for image in rows}):
        Takedown.objects.get_or_create(dataset=dataset, sha256=sha256, defaults=said)
    loose = [url for url in urls if not dataset.refused_urls.filter(url_sha256=url_key(url)).exists()]
    if loose:
        known = Takedown.objects.filter(dataset=dataset, sha256__in=[i.sha256 for i in rows]).first()
        _refuse(known or Takedown.objects.create(dataset=dataset, **said), loose)
    Image.objects.filter(pk__in=[image.pk for image in new]).update(taken_down=timezone.now())
    NearTakedown.objects.filter(image__in=new).delete()
    gone = _leave_groups(new)
    Dataset.objects.filter(pk=dataset.pk).update(
        images_stored=Greatest(F("images_stored") - len(new), 0),
        groups_found=Greatest(F("groups_found") - gone, 0),
    )
    return new


def _refuse(entry: Takedown, urls: Iterable[str]) -> None:
    RefusedUrl.objects.bulk_create(
        [
            RefusedUrl(dataset_id=entry.dataset_id, takedown=entry, url=url, url_sha256=url_key(url))
            for url in sorted(set(urls))
        ],
        ignore_conflicts=True,
        batch_size=500,
    )


def _leave_groups(images: Sequence[Image]) -> int:
    """Another file stands for a group that lost its representative; how many groups show nothing any more.

    Groups keep their draw, so that no picture's split changes.
    """
    gone = 0
    for group in DuplicateGroup.objects.filter(images__in=images).distinct().order_by("pk"):
        left = list(group.images.filter(taken_down=None))
        if group.representative_id not in {image.pk for image in left}:
            group.representative = new_representative(left)
            group.save(update_fields=["representative"])
        gone += not left
        measure(group)
    return gone


def discard_bytes(hashes: Iterable[str]) -> list[str]:
    """Remove bytes from the store that no dataset holds any more; returns which these were."""
    wanted = set(hashes)
    held = Image.objects.filter(sha256__in=wanted, taken_down=None).values_list("sha256", flat=True)
    store = open_store(settings.STORAGE_URL)
    removed = sorted(wanted - set(held))
    for sha256 in removed:
        store.remove(sha256)
    return removed


# --- what later crawls ask ----------------------------------------------------------------------------------


def refused_hashes(dataset: Dataset) -> frozenset[str]:
    """Every SHA-256 that the dataset refuses."""
    return frozenset(dataset.takedowns.exclude(sha256="").values_list("sha256", flat=True))


def settle_refused_urls(dataset: Dataset, candidates: Sequence[Candidate]) -> set[int]:
    """Settle those whose URL is refused: it is not asked for again. Returns their ids."""
    keys = {candidate.url_sha256 for candidate in candidates}
    known = set(dataset.refused_urls.filter(url_sha256__in=keys).values_list("url_sha256", flat=True))
    done = [candidate for candidate in candidates if candidate.url_sha256 in known]
    for candidate in done:
        candidate.state, candidate.reason, candidate.detail = State.FORBIDDEN, TAKEN_DOWN, DETAIL
        candidate.fetched = timezone.now()
    Candidate.objects.bulk_update(done, ["state", "reason", "detail", "fetched"], batch_size=100)
    return {candidate.pk for candidate in done}


def refused_among(dataset: Dataset, hashes: Collection[str]) -> set[str]:
    """Which of these SHA-256s the dataset refuses."""
    return set(dataset.takedowns.filter(sha256__in=hashes).values_list("sha256", flat=True)) - {""}


def note_near(dataset: Dataset, images: Sequence[Image]) -> int:
    """Write down new images whose hash is close to one that was taken down, for a person to look at."""
    known = list(dataset.takedowns.filter(phash__isnull=False).values_list("pk", "phash"))
    if not known or not images:
        return 0
    gone = np.array([phash % 2**64 for _, phash in known if phash is not None], np.uint64)
    rows = []
    for image in images:
        bits = np.bitwise_count(gone ^ np.uint64(image.phash_unsigned))
        place = int(bits.argmin())
        if bits[place] <= DEFAULT_RADIUS:
            rows.append(NearTakedown(takedown_id=known[place][0], image=image, distance=int(bits[place])))
    NearTakedown.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)
