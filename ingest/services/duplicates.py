"""What a person says about duplicate groups: these are one picture, or this file shows another one.

Three rules hold whatever is done, in any order:

1. The most protected split wins where groups are joined (the smallest draw), and a part that is split off
   keeps the draw of the whole: nothing ever leaves the test split, and no picture's split changes by parting.
2. Votes stay with the file that people saw. No task, vote or image is changed here.
3. The decision is kept (`DuplicateDecision`), and `dedup` heeds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from ingest.duplicates import Record, choose_representative
from ingest.models import Dataset, DuplicateDecision, DuplicateGroup, Image

MOST_PAIRS = 20_000
"""Decisions that one split may write: one for each file that goes with each that stays."""
CHUNK = 500
SamePair = tuple[str, str]


class CannotChange(ValueError):
    """The groups cannot be changed like that; the message says why, for people."""


@transaction.atomic
def join_groups(dataset: Dataset, group_ids: Iterable[int], by: str) -> DuplicateGroup:
    """Make one group of several: the most protected one, whose representative stays.

    Args:
        by: user name of the person who decides.

    Raises:
        CannotChange: fewer than two groups of this dataset, or one whose picture was taken down.
    """
    wanted = sorted(set(group_ids))
    groups = _locked(dataset, wanted)
    if len(wanted) < 2 or len(groups) != len(wanted):
        raise CannotChange("Choose at least two duplicate groups of this dataset.")
    if any(group.representative_id is None for group in groups):
        raise CannotChange("The picture of one of these groups was taken down.")
    survivor, *others = sorted(groups, key=lambda group: (group.draw, group.pk))
    _overrule(dataset, groups, by)
    _decide(
        dataset,
        [(survivor.representative_id, other.representative_id) for other in others],
        same=True,
        by=by,
    )
    Image.objects.filter(group__in=others).update(group=survivor)
    DuplicateGroup.objects.filter(pk__in=[group.pk for group in others]).delete()
    measure(survivor)
    fewer = Greatest(F("groups_found") - len(others), 0)
    Dataset.objects.filter(pk=dataset.pk).update(groups_found=fewer)
    return survivor


@transaction.atomic
def split_off(dataset: Dataset, group_id: int, image_ids: Iterable[int], by: str) -> DuplicateGroup:
    """Make a group of its own of some members; it keeps the draw, and so the split, of the whole.

    The representative goes on representing the part that it is in.

    Returns:
        The new group.

    Raises:
        CannotChange: no such group, an image that is not in it, all of its images, or too many.
    """
    groups = _locked(dataset, [group_id])
    if not groups:
        raise CannotChange("This dataset has no such duplicate group; it may have been joined to another.")
    whole = groups[0]
    members = {image.pk: image for image in whole.images.filter(taken_down=None)}
    going = set(image_ids)
    staying = members.keys() - going
    if not going or not going <= members.keys():
        raise CannotChange("Choose files of this group to split off.")
    if not staying:
        raise CannotChange("At least one file must stay in the group.")
    if len(going) * len(staying) > MOST_PAIRS:
        raise CannotChange(f"That is more than can be kept apart: {len(going)} from {len(staying)} files.")
    _decide(dataset, [(one, other) for one in going for other in staying], same=False, by=by)
    first = whole.representative_id if whole.representative_id in going else None
    if first is not None:
        whole.representative = members[_best(members[pk] for pk in staying)]
        whole.save(update_fields=["representative"])
    new = DuplicateGroup.objects.create(
        dataset=dataset,
        representative=members[first if first is not None else _best(members[pk] for pk in going)],
        draw=whole.draw,
    )
    Image.objects.filter(pk__in=going).update(group=new)
    measure(whole)
    measure(new)
    Dataset.objects.filter(pk=dataset.pk).update(groups_found=F("groups_found") + 1)
    return new


def measure(group: DuplicateGroup) -> None:
    """Count the members again, and how far the farthest is from the representative."""
    hashes = dict(group.images.filter(taken_down=None).values_list("pk", "phash"))
    first = hashes.get(group.representative_id or 0)
    group.size = len(hashes)
    group.widest = 0
    if first is not None:
        group.widest = max(distance(first, value) for value in hashes.values())
    group.save(update_fields=["size", "widest"])


def distance(one: int, other: int) -> int:
    """Bits that differ between two perceptual hashes, signed or not."""
    return ((one ^ other) % 2**64).bit_count()


def decisions(dataset: Dataset) -> tuple[list[SamePair], list[SamePair]]:
    """(pairs that people joined, pairs that people parted), by SHA-256: the newest word on each pair."""
    newest: dict[SamePair, bool] = {}
    rows = dataset.duplicate_decisions.order_by("id")
    for first, second, same in rows.values_list("first__sha256", "second__sha256", "same"):
        newest[first, second] = same
    joined = sorted(pair for pair, same in newest.items() if same)
    return joined, sorted(pair for pair, same in newest.items() if not same)


def _locked(dataset: Dataset, group_ids: Sequence[int]) -> list[DuplicateGroup]:
    held = DuplicateGroup.objects.filter(dataset=dataset, pk__in=group_ids).order_by("pk")
    return list(held.select_for_update())


def _overrule(dataset: Dataset, groups: Sequence[DuplicateGroup], by: str) -> None:
    """What was parted before and is joined now is the same picture from now on."""
    within = dataset.duplicate_decisions.filter(first__group__in=groups, second__group__in=groups)
    newest: dict[tuple[int, int], bool] = {}
    for first, second, same in within.order_by("id").values_list("first", "second", "same"):
        newest[first, second] = same
    _decide(dataset, [pair for pair, same in newest.items() if not same], same=True, by=by)


def _decide(dataset: Dataset, pairs: Iterable[tuple[int | None, int | None]], *, same: bool, by: str) -> None:
    rows = [
        DuplicateDecision(dataset=dataset, first_id=min(a, b), second_id=max(a, b), same=same, by=by[:150])
        for a, b in pairs
        if a is not None and b is not None
    ]
    DuplicateDecision.objects.bulk_create(rows, batch_size=CHUNK)


def new_representative(images: Sequence[Image]) -> Image | None:
    """The one of these that stands for them; None of none."""
    best = _best(images) if images else None
    return next((image for image in images if image.pk == best), None)


def _best(images: Iterable[Image]) -> int:
    """Id of the image that stands for these: the rule of `ingest.duplicates`."""
    by_key = {image.sha256: image for image in images}
    records = [
        Record(image.sha256, image.phash_unsigned, image.width, image.height, image.bytes)
        for image in by_key.values()
    ]
    return by_key[choose_representative(records).key].pk
