"""Pictures that would do as examples: what shows a category, and what was taken for it and is not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Q, QuerySet

from annotation_site.models import NO, YES, Round, Task
from annotation_site.services.instructions import why_not_shown
from ingest.models import Candidate, Category
from quality.models import Consensus, Gold

LOOKED_AT = 200
"""Pictures that are looked at for each list: a page must not grow with the dataset."""
OFFERED = 12


class Offer(NamedTuple):
    """A picture that may become an example, and where its label is from: `gold` or `settled`."""

    sha256: str
    origin: str
    label: str


def offers(round: Round, category: Category) -> tuple[list[Offer], list[Offer]]:
    """(what shows the category, what was taken for it and is not), up to `OFFERED` of each.

    None of them is of the test split, gold in this round, or taken down.
    """
    dataset = round.dataset
    gold = Gold.objects.filter(dataset=dataset, retired=None, category=category).order_by("pk")
    known = [
        (pk, Offer(sha, "gold", category.key))
        for pk, sha in gold.values_list("image_id", "image__sha256")[:LOOKED_AT]
    ]
    settled = Consensus.objects.filter(task__state=Task.State.SETTLED, task__round__dataset=dataset)
    settled = settled.exclude(task__round__access=Round.Access.REPEAT)
    shows = settled.filter(Q(label=category.key, task__category=None) | Q(label=YES, task__category=category))
    found_as = Candidate.objects.filter(source__category=category, image__isnull=False)
    searched = list(found_as.order_by("source", "image").values_list("image", flat=True)[:LOOKED_AT])
    other = settled.filter(Q(task__category=None, task__image__in=searched) & ~Q(label=category.key))
    denied = settled.filter(label=NO, task__category=category)
    good = _allowed(round, [*known, *_rows(shows)])
    return good, [offer for offer in _allowed(round, [*_rows(other), *_rows(denied)]) if offer not in good]


def _rows(found: QuerySet[Consensus]) -> list[tuple[int, Offer]]:
    """The surest first, of the first `LOOKED_AT`."""
    rows = found.values_list("task__image_id", "task__image__sha256", "label", "confidence")[:LOOKED_AT]
    ordered = sorted(rows, key=lambda row: (-row[3], row[1]))
    return [(pk, Offer(sha, "settled", label)) for pk, sha, label, _ in ordered]


def _allowed(round: Round, found: Iterable[tuple[int, Offer]]) -> list[Offer]:
    each = dict(reversed(list(found)))
    barred = why_not_shown(round, list(each))
    return [offer for pk, offer in reversed(each.items()) if pk not in barred][:OFFERED]
