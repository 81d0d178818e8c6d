"""What a change of categories means for rounds and releases; the rows are `ingest.services.categories`'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import F
from django.db.models.functions import Coalesce

from annotation_site.models import Round, Task
from ingest.categories import BadCategories
from ingest.models import Dataset, Image
from ingest.splits import split_of
from quality.models import Consensus, Gold, Reference
from quality.opinion import YES
from quality.services.consensus import consensus_by_image
from quality.services.known import settled_references

CHUNK = 2000


class Unanswered(NamedTuple):
    """A picture that is known by a category that was split: it must be asked about again."""

    image: str
    split: str


def check_no_round_asks(dataset: Dataset) -> None:
    """Categories change between rounds only: nobody's choices change under their hands.

    Raises:
        BadCategories: a round is open or paused.
    """
    asking = dataset.rounds.exclude(state=Round.State.CLOSED).order_by("id").first()
    if asking is not None:
        raise BadCategories(
            f"round {asking.pk} ({asking}) is {asking.state} and asks for today's categories: close it first "
            f"(manage.py close_round {asking.pk})"
        )


def history(dataset: Dataset) -> list[dict[str, Any]]:
    """Every recorded change, oldest first, with who made it and when."""
    return [
        {
            "number": number,
            "kind": str(change.kind),
            "before": change.before,
            "after": change.after,
            "old_name": change.old_name,
            "new_name": change.new_name,
            "reason": change.reason,
            "by": change.by,
            "when": change.created.isoformat(),
        }
        for number, change in enumerate(dataset.category_changes.order_by("id"), start=1)
    ]


def unanswered(dataset: Dataset) -> Iterator[Unanswered]:
    """Pictures whose votes or references name a category that was split, and whose part is not known yet.

    Test pictures wait for references, others for votes. By SHA-256.
    """
    split = [key for key, today in dataset.categories.successors().items() if today is None]
    if not split:
        return
    voted, answered = _known_by(dataset, split)
    voted -= {row.image_id for row in consensus_by_image(dataset)}
    answered -= set(settled_references(dataset))
    shares = dataset.shares
    waiting = Image.objects.filter(pk__in=voted | answered, group__isnull=False).order_by("sha256")
    for pk, sha256, draw in waiting.values_list("pk", "sha256", "group__draw").iterator(CHUNK):
        place = split_of(draw, shares)
        if pk in (answered if place == "test" else voted):
            yield Unanswered(sha256, place)


def unusable_gold(dataset: Dataset) -> int:
    """Gold that new rounds do not hand out, because its category was merged or split."""
    live = Gold.objects.filter(dataset=dataset, retired=None)
    return live.filter(category__retired__isnull=False).count()


def _known_by(dataset: Dataset, keys: list[str]) -> tuple[set[int], set[int]]:
    """Images that votes, and that references, call by one of these categories."""
    stands = Coalesce("task__image__group__representative_id", "task__image_id")
    held = Consensus.objects.filter(task__round__dataset=dataset).exclude(task__state=Task.State.WITHDRAWN)
    said = held.filter(task__category=None, label__in=keys)
    verified = held.filter(task__category__key__in=keys, label=YES)
    voted = {pk for rows in (said, verified) for pk in rows.annotate(at=stands).values_list("at", flat=True)}
    named = Reference.objects.filter(dataset=dataset, category__key__in=keys).annotate(at=F("image_id"))
    return voted, set(named.values_list("at", flat=True))
