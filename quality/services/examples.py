"""Pictures that would do as examples: what shows a category, and what was taken for it and is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from django.db.models import Q, QuerySet

from annotation_site.models import NO, NONE, YES, Round, Task
from annotation_site.services.instructions import why_not_shown
from ingest.models import Candidate, Category, Dataset
from quality.models import Consensus, Gold

LOOKED_AT = 200
"""Pictures that are looked at for each list: a page must not grow with the dataset."""
OFFERED = 12


class Offer(NamedTuple):
    """A picture that people may be told about; its label, and where from: gold, reference, settled."""

    sha256: str
    origin: str
    label: str


Found = tuple[int, Offer]
"""Image id, and what would be offered."""


def offers(round: Round, category: Category) -> tuple[list[Offer], list[Offer]]:
    """(what shows the category, what was taken for it and is not), up to `OFFERED` of each.

    None of them is of the test split, gold in this round, or taken down.
    """
    barred = partial(why_not_shown, round)
    dataset = round.dataset
    good = allowed(barred, [*gold_of(dataset, category), *settled_as(dataset, category)])
    return good, [offer for offer in allowed(barred, taken_for(dataset, category)) if offer not in good]


def gold_of(dataset: Dataset, category: Category | None) -> list[Found]:
    """Gold of a category; None: of none of them."""
    gold = Gold.objects.filter(dataset=dataset, retired=None, category=category).order_by("pk")
    label = category.key if category else NONE
    rows = gold.values_list("image_id", "image__sha256")[:LOOKED_AT]
    return [(pk, Offer(sha, "gold", label)) for pk, sha in rows]


def settled_as(dataset: Dataset, category: Category | None) -> list[Found]:
    """Pictures that settled as showing a category (None: none of them), the surest first."""
    if category is None:
        return _rows(_settled(dataset).filter(label=NONE, task__category=None))
    shows = Q(label=category.key, task__category=None) | Q(label=YES, task__category=category)
    return _rows(_settled(dataset).filter(shows))


def taken_for(dataset: Dataset, category: Category) -> list[Found]:
    """Pictures that were found or proposed as a category, and settled as something else."""
    settled = _settled(dataset)
    found_as = Candidate.objects.filter(source__category=category, image__isnull=False)
    searched = list(found_as.order_by("source", "image").values_list("image", flat=True)[:LOOKED_AT])
    other = settled.filter(Q(task__category=None, task__image__in=searched) & ~Q(label=category.key))
    denied = settled.filter(label=NO, task__category=category)
    return [*_rows(other), *_rows(denied)]


def _settled(dataset: Dataset) -> QuerySet[Consensus]:
    settled = Consensus.objects.filter(task__state=Task.State.SETTLED, task__round__dataset=dataset)
    return settled.exclude(task__round__access=Round.Access.REPEAT)


def _rows(found: QuerySet[Consensus]) -> list[Found]:
    """The surest first, of the first `LOOKED_AT`."""
    rows = found.values_list("task__image_id", "task__image__sha256", "label", "confidence")[:LOOKED_AT]
    ordered = sorted(rows, key=lambda row: (-row[3], row[1]))
    return [(pk, Offer(sha, "settled", label)) for pk, sha, label, _ in ordered]


def allowed(why_not: Callable[[list[int]], Mapping[int, str]], found: Iterable[Found]) -> list[Offer]:
    """The first `OFFERED` against which nothing speaks, each picture once."""
    each = dict(reversed(list(found)))
    barred = why_not(list(each))
    return [offer for pk, offer in reversed(each.items()) if pk not in barred][:OFFERED]
