"""Taking a picture down from a dataset: it leaves every page and task, its bytes go, it never comes back.

Releases that hold it are folders that this does not touch: `Foreseen.commands` says how to publish the newest
one without it (`manage.py takedown_release`), and which older ones to stop giving away.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from annotation_site.models import Task, Vote
from annotation_site.services.withdrawing import withdraw_tasks
from annotation_site.views.pictures import forget_picture
from export import layout
from export.models import Release, ReleaseImage, Withdrawal
from ingest.addresses import BadUrl, clean_url
from ingest.models import Dataset, Image
from ingest.services.images import resolve_images
from ingest.services.takedown import block, discard_bytes
from quality.models import Gold, Reference

_SHA256 = re.compile(r"[0-9a-f]{64}")
MOST_NAMES = 1_000
MOST_REASON = 500


class TakedownRefused(ValueError):
    """Nothing was taken down; the message says why, for people."""


@dataclass(frozen=True)
class Foreseen:
    """What a takedown does, in numbers.

    Attributes:
        images: the files that go. `copies`: how many of them were not named, but show the same picture.
        others: further files of the same picture that stay, where copies were not asked for.
        hashes, urls: what is refused although the dataset holds nothing of it.
        tasks: tasks that are withdrawn, `votes` on them that are kept.
        elsewhere: files whose bytes stay, because other datasets hold them.
        releases: those that hold one of the files, the newest first.
    """

    dataset: Dataset
    images: tuple[Image, ...]
    copies: int = 0
    others: int = 0
    hashes: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    tasks: int = 0
    votes: int = 0
    gold: int = 0
    references: int = 0
    elsewhere: int = 0
    releases: tuple[Release, ...] = ()
    held: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def commands(self, reason: str) -> list[str]:
        """What to type next: a new version without the files, and an end of sharing those that hold them."""
        newest = self.dataset.releases.order_by("-id").first()
        lines = []
        if newest is not None and newest.pk in self.held:
            shas = " ".join(self.held[newest.pk])
            lines.append(
                f"python manage.py takedown_release {self.dataset.name} {_next_version(newest)} {shas} "
                f"--reason {shlex.quote(reason)} --output {shlex.quote(_beside(newest.location))}"
            )
        shared = [r for r in self.releases if (share := getattr(r, "share", None)) and share.public]
        lines += [f"python manage.py share_release {release} --off" for release in shared]
        return lines

    def as_dict(self, reason: str) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dataset": self.dataset.name,
            "images": [image.sha256 for image in self.images],
            "copies": self.copies,
            "other_files": self.others,
            "refused_hashes": list(self.hashes),
            "refused_urls": list(self.urls),
            "tasks": self.tasks,
            "votes_kept": self.votes,
            "gold": self.gold,
            "references": self.references,
            "bytes_held_elsewhere": self.elsewhere,
            "releases": [str(release) for release in self.releases],
            "commands": self.commands(reason),
        }


def foresee(
    dataset: Dataset, *, hashes: Sequence[str] = (), urls: Sequence[str] = (), copies: bool = True
) -> Foreseen:
    """What taking down these files would do. Files that were taken down before may be named again.

    Args:
        hashes: SHA-256s; one that the dataset does not hold is refused in advance.
        urls: addresses of the web; the same holds for them.
        copies: whether the other files of the same duplicate group go, too.

    Raises:
        TakedownRefused: nothing named, or something that is neither a SHA-256 nor an address.
    """
    wanted = [text.strip().lower() for text in hashes if text.strip()]
    addresses = [_address(text.strip()) for text in urls if text.strip()]
    bad = next((text for text in wanted if not _SHA256.fullmatch(text)), None)
    if bad is not None:
        raise TakedownRefused(f"{bad[:80]!r} is no SHA-256: 64 digits from 0 to 9 and a to f are wanted")
    if not 0 < len(wanted) + len(addresses) <= MOST_NAMES:
        raise TakedownRefused(f"name from 1 to {MOST_NAMES:,} pictures by SHA-256 or address")
    resolved = resolve_images(dataset, [*wanted, *addresses])
    if resolved.ambiguous:
        raise TakedownRefused(f"several pictures were found at {resolved.ambiguous[0]}: name them by SHA-256")
    named = {image.pk: image for image in resolved.found.values()}
    groups = {image.group_id for image in named.values() if image.group_id}
    family = {image.pk: image for image in Image.objects.filter(group__in=groups)} if groups else {}
    images = {**named, **family} if copies else named
    shas = {image.sha256 for image in images.values()}
    tasks = Task.objects.filter(image__in=images).exclude(state=Task.State.WITHDRAWN)
    held = _held(images)
    releases = Release.objects.filter(pk__in=held).select_related("share").order_by("-id")
    return Foreseen(
        dataset=dataset,
        images=tuple(sorted(images.values(), key=lambda image: image.pk)),
        copies=len(images.keys() - named.keys()),
        others=len(family.keys() - images.keys()),
        hashes=tuple(sorted(set(wanted) - shas)),
        urls=tuple(sorted(url for url in addresses if url in resolved.unknown)),
        tasks=tasks.count(),
        votes=Vote.objects.filter(task__image__in=images).count(),
        gold=Gold.objects.filter(image__in=images, retired=None).count(),
        references=Reference.objects.filter(image__in=images).count(),
        elsewhere=Image.objects.filter(sha256__in=shas, taken_down=None)
        .exclude(dataset=dataset)
        .values("sha256")
        .distinct()
        .count(),
        releases=tuple(releases),
        held=held,
    )


def take_picture_down(foreseen: Foreseen, reason: str, by: str) -> None:
    """Do what was foreseen. Run again after a kill, it finishes; what is done stays done.

    1. One transaction: the block list, and the mark on the images. From now on no page, crawl or release
       has them.
    2. Their tasks are withdrawn, and gold of them screens nobody any more.
    3. Bytes and thumbnails that no other dataset needs are removed.

    Raises:
        TakedownRefused: no reason.
    """
    said = " ".join(reason.split())
    if not said or len(said) > MOST_REASON or "\0" in said:
        raise TakedownRefused(f"say why, in 1 to {MOST_REASON} characters: the reason is kept")
    images = foreseen.images
    block(foreseen.dataset, images, foreseen.hashes, foreseen.urls, said, by)
    ids = [image.pk for image in images]
    Gold.objects.filter(image__in=ids, retired=None).update(retired=timezone.now())
    withdraw_tasks(ids)
    for sha256 in discard_bytes(image.sha256 for image in images):
        forget_picture(sha256)


def record_departures(release: Release) -> None:
    """Note which pictures of earlier releases were taken down since: this release is the first without."""
    gone = Image.objects.filter(dataset=release.dataset, taken_down__isnull=False, withdrawal=None)
    gone = gone.filter(sha256__in=release.dataset.takedowns.exclude(sha256="").values("sha256"))
    reasons = dict(release.dataset.takedowns.values_list("sha256", "reason"))
    earlier = ReleaseImage.objects.filter(image__in=gone).exclude(release=release)
    held = Image.objects.filter(pk__in=earlier.values("image")).order_by("pk")
    Withdrawal.objects.bulk_create(
        [Withdrawal(image=image, release=release, reason=reasons[image.sha256]) for image in held],
        ignore_conflicts=True,
    )


def _address(text: str) -> str:
    try:
        return clean_url(text)
    except BadUrl as error:
        raise TakedownRefused(f"{text[:200]!r} is no address of the web: {error}") from None


def _held(images: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Release id -> SHA-256s of these images that it holds."""
    found: dict[int, list[str]] = {}
    rows = ReleaseImage.objects.filter(image__in=list(images)).order_by("image__sha256")
    for release, sha256 in rows.values_list("release_id", "image__sha256"):
        found.setdefault(release, []).append(sha256)
    return {release: tuple(shas) for release, shas in found.items()}


def _next_version(release: Release) -> str:
    major, minor, patch = layout.parse_version(release.version)
    return f"{major}.{minor}.{patch + 1}"


def _beside(location: str) -> str:
    """Where the release's folder stands."""
    return location.rstrip("/").rpartition("/")[0] or "."
