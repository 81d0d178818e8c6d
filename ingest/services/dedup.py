"""Group near-duplicates of a dataset: new images among themselves and with those grouped before."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import asdict, dataclass, field

from django.conf import settings
from django.db import transaction
from django.db.models import F

from ingest.dedup import by_component, spread
from ingest.duplicates import (
    DEFAULT_RADIUS,
    Pair,
    Record,
    candidates,
    choose_representative,
    components,
)
from ingest.models import Dataset, DuplicateGroup, Image
from ingest.progress import progress
from ingest.services.duplicates import decisions, measure
from ingest.splits import draw
from ingest.stored import Unreadable, examine_stored, record_stored

BATCH = 64
"""Pictures, or pairs, given to a process at a time."""
CHUNK = 500
"""Components written in one transaction."""


@dataclass
class Summary:
    """What one run of dedup did and left.

    Attributes:
        new: images that had no group before.
        groups: groups in the dataset now, singletons included.
        copies: images in it that another image represents.
        merged: old groups that became one with another.
        unsure: pairs that the second look could not settle; they stay apart.
        unreadable: images that the store can no longer give, with the reason; they stay without a group.
    """

    dataset: str
    radius: int
    new: int = 0
    groups: int = 0
    copies: int = 0
    merged: int = 0
    unsure: list[tuple[str, str]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Plain data for `--json`."""
        return asdict(self)


def group_duplicates(dataset: Dataset, radius: int = DEFAULT_RADIUS) -> Summary:
    """Put every image without a group into one.

    1. Hash the new images; the pictures are read from the store in a pool of processes.
    2. Nominate pairs (new with new, new with old) and settle each by a second look. Nothing is written yet.
    3. Write whole components, some hundred to a transaction. A kill loses no decision: what has no group
       yet is new to the next run, which looks at it again.
    """
    summary = Summary(dataset.name, radius)
    fresh = _fresh_records(dataset, summary)
    if fresh:
        pairs = _settled_pairs(fresh, _grouped_records(dataset), radius)
        summary.new = len(fresh)
        summary.unsure = [(p.a, p.b) for p in pairs if p.outcome == "unsure"]
        summary.merged = _write(dataset, fresh, pairs)
    dataset.refresh_from_db(fields=["groups_found", "images_stored"])
    summary.groups = dataset.groups_found
    summary.copies = (
        dataset.images.filter(group__isnull=False, taken_down=None).count() - dataset.groups_found
    )
    return summary


def _fresh_records(dataset: Dataset, summary: Summary) -> list[Record]:
    """Records of the images without a group, the hashes of their cuts kept in the rows."""
    waiting = dict(
        dataset.images.filter(group=None, taken_down=None).order_by("sha256").values_list("sha256", "pk")
    )
    keys = list(waiting)
    jobs = [(settings.STORAGE_URL, keys[i : i + BATCH]) for i in range(0, len(keys), BATCH)]
    records: list[Record] = []
    with progress(total=len(keys), what="hashing", unit="picture") as bar:
        for job, made in spread(record_stored, jobs, os.cpu_count() or 1):
            done = made if made is not None else [Unreadable(k, "its decoder crashed") for k in job[1]]
            good = [r for r in done if isinstance(r, Record)]
            summary.unreadable.update({r.key: r.why for r in done if isinstance(r, Unreadable)})
            rows = [Image(pk=waiting[r.key], cut_hashes=_packed(r.cuts)) for r in good]
            Image.objects.bulk_update(rows, ["cut_hashes"])
            records += good
            bar.update(len(job[1]))
    return records


def _grouped_records(dataset: Dataset) -> list[Record]:
    """Records of the images that have a group, from their rows alone."""
    # What was taken down has no bytes any more for a second look.
    rows = dataset.images.filter(group__isnull=False, taken_down=None).values_list(
        "sha256", "phash", "width", "height", "bytes", "cut_hashes"
    )
    return [
        Record(key, value % 2**64, width, height, size, _unpacked(cuts))
        for key, value, width, height, size, cuts in rows.iterator(chunk_size=10_000)
    ]


def _settled_pairs(fresh: Sequence[Record], old: Sequence[Record], radius: int) -> list[Pair]:
    found = candidates(fresh, old, radius)
    jobs = [(settings.STORAGE_URL, batch) for batch in by_component(found)]
    pairs: list[Pair] = []
    with progress(total=len(found), what="comparing", unit="pair") as bar:
        for job, settled in spread(examine_stored, jobs, os.cpu_count() or 1):
            pairs += settled or []
            bar.update(len(job[1]))
    return sorted(pairs)


def _write(dataset: Dataset, fresh: Sequence[Record], pairs: Iterable[Pair]) -> int:
    """Make groups of the components; returns how many old groups were merged into others."""
    by_key = {record.key: record for record in fresh}
    together = _together(dataset, by_key.keys(), pairs)
    taken = {key for component in together for key in component}
    together += [[record.key] for record in fresh if record.key not in taken]
    merged = 0
    for chunk in _chunks(together):
        merged += _write_chunk(dataset, chunk, by_key)
    return merged


def _together(dataset: Dataset, fresh: Set[str], pairs: Iterable[Pair]) -> list[list[str]]:
    """Components of verified pairs, as far as people's decisions allow: the nearest pairs come first.

    A group that is there already is one node, so that nothing joins two groups that a person has parted.
    """
    copies = [(p.a, p.b) for p in sorted(pairs, key=lambda p: (p.distance, p.a, p.b)) if p.outcome == "copy"]
    joined, parted = decisions(dataset)
    wanted = [(a, b) for a, b in joined if a in fresh or b in fresh]
    named = {key for pair in (*wanted, *copies, *parted) for key in pair} - fresh
    group_of = _groups_of(dataset, sorted(named))
    there = fresh | group_of.keys()
    edges = [(a, b) for a, b in (*wanted, *copies) if a in there and b in there]

    def node(key: str) -> str:
        return f"group {group_of[key]}" if key in group_of else key

    members: dict[str, str] = {node(key): key for pair in edges for key in pair}
    found = components(
        ((node(a), node(b)) for a, b in edges),
        apart=((node(a), node(b)) for a, b in parted if node(a) != node(b)),
    )
    return sorted([sorted(members[name] for name in component) for component in found])


def _groups_of(dataset: Dataset, keys: Sequence[str]) -> dict[str, int]:
    """Group by SHA-256, of those that have one."""
    found: dict[str, int] = {}
    for start in range(0, len(keys), CHUNK):
        rows = dataset.images.filter(sha256__in=keys[start : start + CHUNK], taken_down=None)
        found |= {sha256: group for sha256, group in rows.values_list("sha256", "group_id") if group}
    return found


@transaction.atomic
def _write_chunk(dataset: Dataset, together: Sequence[Sequence[str]], fresh: dict[str, Record]) -> int:
    keys = [key for component in together for key in component]
    images = {image.sha256: image for image in dataset.images.filter(sha256__in=keys).select_related("group")}
    made: list[tuple[DuplicateGroup, list[Image]]] = []
    merged = 0
    for component in together:
        members = [images[key] for key in component]
        groups = {image.group.pk: image.group for image in members if image.group}
        if groups:
            # The most protected split wins, and its representative stays: it may have votes already.
            survivor, *others = sorted(groups.values(), key=lambda group: (group.draw, group.pk))
            merged += len(others)
            _join(survivor, others, [image for image in members if image.group is None])
        else:
            made.append((_new_group(dataset, [fresh[key] for key in component], images), members))
    DuplicateGroup.objects.bulk_create([group for group, _ in made])
    for group, members in made:
        for image in members:
            image.group = group
    Image.objects.bulk_update([i for _, members in made for i in members], ["group"], batch_size=500)
    Dataset.objects.filter(pk=dataset.pk).update(groups_found=F("groups_found") + len(made) - merged)
    return merged


def _new_group(dataset: Dataset, records: Sequence[Record], images: dict[str, Image]) -> DuplicateGroup:
    """An unsaved group. Its draw hangs on the smallest SHA-256, not on the order of arrival in this run."""
    first = choose_representative(records)
    return DuplicateGroup(
        dataset=dataset,
        representative=images[first.key],
        draw=draw(dataset.split_key, min(record.key for record in records)),
        size=len(records),
        widest=max((record.phash ^ first.phash).bit_count() for record in records),
    )


def _join(survivor: DuplicateGroup, others: Sequence[DuplicateGroup], newcomers: Sequence[Image]) -> None:
    """New images and whole other groups join `survivor`; rows that nothing refers to any more go."""
    Image.objects.filter(group__in=others).update(group=survivor)
    Image.objects.filter(pk__in=[image.pk for image in newcomers]).update(group=survivor)
    DuplicateGroup.objects.filter(pk__in=[group.pk for group in others]).delete()
    measure(survivor)


def _chunks(items: Sequence[Sequence[str]]) -> Iterator[Sequence[Sequence[str]]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def _packed(values: Sequence[int]) -> bytes:
    """64-bit hashes as bytes, 8 each, big-endian."""
    return struct.pack(f">{len(values)}Q", *values)


def _unpacked(data: bytes | memoryview | None) -> tuple[int, ...]:
    """What `_packed` made; nothing where nothing was kept."""
    kept = bytes(data or b"")
    return struct.unpack(f">{len(kept) // 8}Q", kept)
