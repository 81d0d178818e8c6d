"""Which pictures does a dataset hold? A page of them at a time, with what the votes say of each.

A page costs the same at a million pictures as at a thousand. It follows one index in the order asked for (a
"walk"), from where the page before it ended, and tests the filters on a few hundred pictures at a time; after
`LOOKED_AT` it stops, shows what it has, and the next page goes on. Where a filter alone leaves few pictures
(`FEW`), these are sorted instead, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import QuerySet

from annotation_site.models import Round, Task
from ingest.models import Candidate, Dataset, Image
from quality.models import Consensus
from quality.services.image_filters import (
    DISPUTED,
    NEWEST,
    NO_LICENCE,
    SETTLED,
    SURE,
    VOTES,
    Judge,
    Place,
    Shown,
    Wanted,
    found_in,
)

LOOKED_AT = 6_000
"""Pictures that one page tests at most."""
STRETCH = 500
"""Rows of a walk read at a time."""
FEW = 3_000
"""So many are sorted and counted at once."""


@dataclass(frozen=True)
class Page:
    """`after`: the place where the next page begins; None at the end. `looked_at`: pictures tested.

    `count`: how many fit in all, None where that would have to be counted; `more_than`: whether it is only
    known that there are more than that.
    """

    pictures: list[Shown]
    after: Place | None
    looked_at: int
    count: int | None = None
    more_than: bool = False


def page_of_pictures(dataset: Dataset, wanted: Wanted, size: int, after: Place | None = None) -> Page:
    """The next `size` pictures that fit, after a place that an earlier page gave."""
    judge = Judge(dataset, wanted)
    few, many = _few(dataset, wanted)
    if few is not None:
        fitting = sorted(judge.of(few), key=lambda shown: _rank(shown.place, wanted.order))
        rest = [
            s for s in fitting if after is None or _rank(s.place, wanted.order) > _rank(after, wanted.order)
        ]
        following = rest[size - 1].place if len(rest) > size else None
        return Page(rest[:size], following, len(few), len(fitting))
    found, following, looked_at = _walked(judge, _walk(dataset, wanted, after), size)
    if wanted.anything and wanted.order == NEWEST:
        return Page(found, following, looked_at, dataset.images_stored)
    if after is None and following is None:
        return Page(found, None, looked_at, len(found))
    return Page(found, following, looked_at, FEW if many else None, more_than=many)


def _walked(
    judge: Judge, walk: Iterator[tuple[Place, int]], size: int
) -> tuple[list[Shown], Place | None, int]:
    """(the first `size` of a walk that fit, the place after which to go on, how many were tested)."""
    found: list[Shown] = []
    looked_at, chunk, last = 0, size + 1, None
    while looked_at < LOOKED_AT:
        places = list(islice(walk, chunk))
        judged = {(s.id, s.place[1]): s for s in judge.of_places(places)}
        for place, image_id in places:
            shown = judged.get((image_id, place[1]))
            if shown is not None:
                if len(found) == size:
                    return found, last, looked_at
                found.append(shown)
            looked_at, last = looked_at + 1, place
        if len(places) < chunk:
            return found, None, looked_at
        chunk = min(chunk * 2, 500)
    return found, last, looked_at


def _rank(place: Place, order: str) -> tuple[float, int]:
    """What pictures are sorted by: the newest or most voted first, the least sure first."""
    return place if order == SURE else (-place[0], -place[1])


# --- where the pictures come from ---------------------------------------------------------------------------


def _few(dataset: Dataset, wanted: Wanted) -> tuple[list[int] | None, bool]:
    """Ids of all images that a filter leaves (some may fail other filters), where it leaves `FEW` at most.

    The second value says that the only filter there is leaves more than that.
    """
    for ids in _narrow(dataset, wanted):
        some = list(ids[: FEW + 1])
        if len(some) <= FEW:
            return _with_copies(some), False
    alone = wanted == Wanted(category=wanted.category, order=wanted.order)
    return None, bool(wanted.category) and alone and dataset.rounds.count() == 1


def _with_copies(ids: list[int]) -> list[int]:
    """What people said of one member of a duplicate group holds for the others."""
    found = list(ids)
    for start in range(0, len(ids), 500):
        groups = Image.objects.filter(pk__in=ids[start : start + 500], group__size__gt=1).values("group")
        found += Image.objects.filter(group__in=groups).values_list("pk", flat=True)
    return found


def _narrow(dataset: Dataset, wanted: Wanted) -> Iterator[QuerySet]:
    """Ids of images by each filter that an index serves."""
    if wanted.group is not None:
        yield Image.objects.filter(dataset=dataset, group=wanted.group).values_list("pk", flat=True)
    if wanted.source is not None:
        yield found_in(wanted.source).values_list("image", flat=True)
    if wanted.licence and wanted.licence != NO_LICENCE:
        # Of any dataset: what is not of this one is left out when it is read.
        licensed = Candidate.objects.filter(licence=wanted.licence, image__isnull=False)
        yield licensed.values_list("image", flat=True)
    if wanted.state in (SETTLED, DISPUTED):
        state = Task.State.SETTLED if wanted.state == SETTLED else Task.State.EXHAUSTED
        rounds = [*dataset.rounds.order_by("pk").values_list("pk", flat=True)]
        yield Task.objects.filter(round__in=rounds, state=state).values_list("image", flat=True)
    labels = _labels(dataset, wanted)
    if labels:
        yield _said(dataset).filter(label__in=labels).values_list("task__image", flat=True)
    if wanted.least is not None or wanted.most is not None:
        yield _sure(_said(dataset), wanted).values_list("task__image", flat=True)


def _labels(dataset: Dataset, wanted: Wanted) -> list[str]:
    """What consensus rows of the category wanted say: its id, and those of categories merged into it.

    Nothing where people were asked "is it X?": there the row says yes, and the category stands in the task.
    """
    if not wanted.category or dataset.rounds.filter(question=Round.Question.VERIFY).exists():
        return []
    merged = dataset.categories.filter(merged_into__key=wanted.category)
    return [wanted.category, *merged.values_list("key", flat=True)]


def _said(dataset: Dataset) -> QuerySet[Consensus]:
    return Consensus.objects.filter(task__round__dataset=dataset).exclude(task__state=Task.State.WITHDRAWN)


def _sure(rows: QuerySet[Consensus], wanted: Wanted) -> QuerySet[Consensus]:
    if wanted.least is not None:
        rows = rows.filter(confidence__gte=wanted.least)
    return rows if wanted.most is None else rows.filter(confidence__lte=wanted.most)


def _walk(dataset: Dataset, wanted: Wanted, after: Place | None) -> Iterator[tuple[Place, int]]:
    """(place, image id) in the order asked for, from after a place; read as far as it is asked."""
    if wanted.order in (SURE, VOTES):
        yield from _walk_consensus(dataset, wanted, after)
        return
    last = after[1] if after else None
    while True:
        if wanted.source is not None:
            rows = found_in(wanted.source)
            rows = rows.filter(image__lt=last) if last is not None else rows
            ids = list(dict.fromkeys(rows.order_by("-image").values_list("image_id", flat=True)[:STRETCH]))
        else:
            images = Image.objects.filter(dataset=dataset)
            images = images.filter(pk__lt=last) if last is not None else images
            ids = list(images.order_by("-pk").values_list("pk", flat=True)[:STRETCH])
        for pk in ids:
            yield (float(pk), pk), pk
        if not ids:
            return
        last = ids[-1]


def _walk_consensus(dataset: Dataset, wanted: Wanted, after: Place | None) -> Iterator[tuple[Place, int]]:
    field = "confidence" if wanted.order == SURE else "votes"
    sign, beyond = ("", "gt") if wanted.order == SURE else ("-", "lt")
    rows = _said(dataset)
    if wanted.order == SURE:  # by votes it would sort all that are so sure
        rows = _sure(rows, wanted)
    labels = _labels(dataset, wanted)
    if len(labels) == 1:
        rows = rows.filter(label=labels[0])
    while True:
        stretches = [rows]
        if after is not None:
            # Each is one range of an index; asked for with an OR, a database would sort them anew.
            number, pk = after
            ties = rows.filter(**{field: number, f"pk__{beyond}": pk})
            stretches = [ties, rows.filter(**{f"{field}__{beyond}": number})]
        found: list[tuple[float, int, int]] = []
        for part in stretches:
            ordered = part.order_by(f"{sign}{field}", f"{sign}pk")
            if len(found) < STRETCH:
                found += ordered.values_list(field, "pk", "task__image")[: STRETCH - len(found)]
        for number, pk, image_id in found:
            yield (float(number), pk), image_id
        if len(found) < STRETCH:
            return
        after = (float(found[-1][0]), found[-1][1])
