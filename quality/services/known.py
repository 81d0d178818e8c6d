"""Known answers from files: gold, which screens workers, and references, which prove accuracy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import NamedTuple, TypeVar

from django.db import models, transaction
from django.db.models.functions import Coalesce

from annotation_site.figures import number_of
from annotation_site.models import NONE
from ingest.models import Dataset
from ingest.services.images import representatives, resolve_images
from quality.models import Gold, Reference

T = TypeVar("T")
CHUNK = 1000
"""Rows written in one transaction."""
EXAMPLES = 3
"""Examples named in a message."""


class KnownRow(NamedTuple):
    """A line of a file: `image` is a sha256, or a unique path or URL; `label` a category id or `__none__`."""

    image: str
    label: str
    expert: str = ""


class UnusableAnswers(ValueError):
    """Rows that cannot be kept as they are; nothing was written. The message is one line for the user."""


@dataclass
class KnownSummary:
    """What became of the rows of a file."""

    rows: int = 0
    added: int = 0
    unchanged: int = 0
    changed: int = 0
    skipped: int = 0
    changes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


class _Answer(NamedTuple):
    image_id: int
    category_id: int | None
    expert: str
    key: str


def add_gold(dataset: Dataset, rows: Iterable[Sequence[str]], *, skip_unknown: bool = False) -> KnownSummary:
    """Keep expert answers as gold of the images' representatives; the same rows again change nothing.

    Args:
        rows: `KnownRow`s, or plain (image, label) pairs.
        skip_unknown: leave out rows with an unknown image or label instead of refusing the file.

    Raises:
        UnusableAnswers: unknown images or labels, or two answers for one picture; nothing was written.
    """
    answers, summary = _checked(dataset, rows, skip_unknown, per_expert=False)
    kept = dict(Gold.objects.filter(dataset=dataset).values_list("image_id", "category_id"))
    fresh, moved = _compare(answers, {(i, ""): c for i, c in kept.items()}, dataset, summary)
    for chunk in _chunks(fresh):
        new = [Gold(dataset=dataset, image_id=a.image_id, category_id=a.category_id) for a in chunk]
        Gold.objects.bulk_create(new, ignore_conflicts=True)
    _move(Gold.objects.filter(dataset=dataset), moved, origin=Gold.Origin.EXPERT)
    return summary


def add_references(
    dataset: Dataset, rows: Iterable[Sequence[str]], *, skip_unknown: bool = False, expert: str = "expert"
) -> KnownSummary:
    """Keep experts' blind answers for the images' representatives; the same rows again change nothing.

    Args:
        rows: `KnownRow`s, or plain (image, label[, expert]) tuples.
        expert: the name of the expert for rows without one.
        skip_unknown: leave out rows with an unknown image or label instead of refusing the file.

    Raises:
        UnusableAnswers: unknown images or labels, or one expert gives one picture two answers; nothing was
            written.
    """
    named = (KnownRow(*row) for row in rows)
    signed = [row if row.expert else row._replace(expert=expert) for row in named]
    answers, summary = _checked(dataset, signed, skip_unknown, per_expert=True)
    held = Reference.objects.filter(dataset=dataset).values_list("image_id", "expert", "category_id")
    fresh, moved = _compare(answers, {(i, e): c for i, e, c in held.iterator(CHUNK)}, dataset, summary)
    for chunk in _chunks(fresh):
        new = [
            Reference(dataset=dataset, image_id=a.image_id, category_id=a.category_id, expert=a.expert)
            for a in chunk
        ]
        Reference.objects.bulk_create(new, ignore_conflicts=True)
    by_expert: dict[str, list[_Answer]] = defaultdict(list)
    for answer in moved:
        by_expert[answer.expert].append(answer)
    for name, answers_of_one in by_expert.items():
        _move(Reference.objects.filter(dataset=dataset, expert=name), answers_of_one)
    return summary


def settled_references(dataset: Dataset, images: Collection[int] | None = None) -> dict[int, str]:
    """Image id -> label, for the images on which the experts agree.

    One expert's answer counts where only one was asked; otherwise more than half of the experts must say the
    same. Images where they differ without a majority are left out. A category that was merged is called what
    it is called today; an answer that names one that was split settles nothing.

    Args:
        images: ids of those that are asked about (default: all of the dataset).
    """
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    held = Reference.objects.filter(dataset=dataset).order_by("image_id", "id")
    if images is not None:
        held = held.filter(image_id__in=images)
    held = held.exclude(category__retired__isnull=False, category__merged_into=None)
    today = Coalesce("category__merged_into__key", "category__key")
    for image_id, key in held.values_list("image_id", today).iterator(CHUNK):
        votes[image_id][key or NONE] += 1
    settled = {}
    for image_id, labels in votes.items():
        label, most = labels.most_common(1)[0]
        if 2 * most > labels.total():
            settled[image_id] = label
    return settled


def _checked(
    dataset: Dataset, rows: Iterable[Sequence[str]], skip_unknown: bool, *, per_expert: bool
) -> tuple[list[_Answer], KnownSummary]:
    """The rows as answers for representatives, one per picture (and expert)."""
    named = [KnownRow(*row) for row in rows]
    summary = KnownSummary(rows=len(named))
    category_of: dict[str, int | None] = dict(dataset.categories.current().values_list("key", "id"))
    category_of[NONE] = None
    resolved = resolve_images(dataset, {row.image for row in named})
    standing = representatives(resolved.found.values())
    bad_images = [row.image for row in named if row.image not in resolved.found]
    bad_labels = [row.label for row in named if row.label not in category_of]
    if (bad_images or bad_labels) and not skip_unknown:
        raise UnusableAnswers(_complaint(bad_images, bad_labels, set(resolved.ambiguous)))
    answers: dict[tuple[int, str], _Answer] = {}
    conflicts: list[str] = []
    for row in named:
        if row.image not in resolved.found or row.label not in category_of:
            summary.skipped += 1
            continue
        image = standing[resolved.found[row.image].pk]
        answer = _Answer(image.pk, category_of[row.label], row.expert if per_expert else "", row.image)
        first = answers.setdefault((image.pk, answer.expert), answer)
        if first.category_id != answer.category_id:
            same = "" if first.key == row.image else f" and {row.image} (the same picture)"
            by = f" by {row.expert}" if per_expert else ""
            conflicts.append(f"{first.key}{same}{by}")
        elif first is not answer:
            summary.unchanged += 1
    if conflicts:
        raise UnusableAnswers(
            f"{number_of(len(conflicts), 'picture gets', 'pictures get')} two answers: {_some(conflicts)}"
        )
    return list(answers.values()), summary


def _complaint(images: list[str], labels: list[str], ambiguous: set[str]) -> str:
    unknown = [key for key in images if key not in ambiguous]
    several = [key for key in images if key in ambiguous]
    parts = []
    if unknown:
        parts.append(
            f"{number_of(len(unknown), 'row names', 'rows name')} an unknown image ({_some(unknown)})"
        )
    if several:
        parts.append(
            f"{number_of(len(several), 'row names', 'rows name')} a path or URL that several images have "
            f"({_some(several)})"
        )
    if labels:
        parts.append(f"{number_of(len(labels), 'row has', 'rows have')} an unknown label ({_some(labels)})")
    return "; ".join(parts) + "; nothing was written (--skip-unknown leaves such rows out)"


def _some(things: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(things))
    return ", ".join(distinct[:EXAMPLES]) + (", …" if len(distinct) > EXAMPLES else "")


def _compare(
    answers: list[_Answer], kept: dict[tuple[int, str], int | None], dataset: Dataset, summary: KnownSummary
) -> tuple[list[_Answer], list[_Answer]]:
    """Which answers are new and which differ from what is kept; counts go into the summary."""
    key_of: dict[int | None, str] = dict(dataset.categories.values_list("id", "key"))
    key_of[None] = NONE
    fresh, moved = [], []
    for answer in answers:
        place = (answer.image_id, answer.expert)
        if place not in kept:
            fresh.append(answer)
        elif kept[place] != answer.category_id:
            moved.append(answer)
            if len(summary.changes) < 100:
                old, new = key_of[kept[place]], key_of[answer.category_id]
                summary.changes.append(f"{answer.key}: {old} -> {new}")
        else:
            summary.unchanged += 1
    summary.added, summary.changed = len(fresh), len(moved)
    return fresh, moved


def _move(held: models.QuerySet, moved: list[_Answer], **fixed: object) -> None:
    """Give rows their new answer, a category at a time."""
    by_category: dict[int | None, list[int]] = defaultdict(list)
    for answer in moved:
        by_category[answer.category_id].append(answer.image_id)
    for category_id, image_ids in by_category.items():
        for chunk in _chunks(image_ids):
            with transaction.atomic():
                held.filter(image_id__in=chunk).update(category_id=category_id, **fixed)


def _chunks(things: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(things)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
