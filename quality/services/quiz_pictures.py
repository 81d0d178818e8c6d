"""Pictures that a quiz may ask about, with the answer that is known: gold, references, settled pictures."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from annotation_site.models import NO, NONE, YES, Round
from annotation_site.services.quiz_making import why_not_asked
from ingest.models import Category, Dataset
from quality.models import Reference
from quality.services.examples import LOOKED_AT, Found, Offer, allowed, gold_of, settled_as, taken_for
from quality.services.known import settled_references


class Offered(NamedTuple):
    """A picture with the answer that is known; `category`: what a verify quiz would ask about, else empty.

    `label`: what it is known to show, and `origin`: by what.
    """

    sha256: str
    category: str
    answer: str
    label: str
    origin: str


def offered(dataset: Dataset, question: str, category: Category | None) -> list[Offered]:
    """Pictures of a category (None: of none of them), those that experts judged first.

    For a verify quiz, pictures of the category and others that were taken for it. Nothing of the test split,
    nothing that is gold in a round that is not closed, nothing taken down.
    """
    barred = partial(why_not_asked, dataset)
    known = [*gold_of(dataset, category), *_referenced(dataset, category), *settled_as(dataset, category)]
    shows = allowed(barred, known)
    if question == Round.Question.CLASSIFY:
        right = category.key if category else NONE
        return [Offered(o.sha256, "", right, o.label, o.origin) for o in shows]
    if category is None:
        return []
    others = [offer for offer in allowed(barred, taken_for(dataset, category)) if offer not in shows]
    rows = [(offer, YES) for offer in shows] + [(offer, NO) for offer in others]
    return [Offered(o.sha256, category.key, answer, o.label, o.origin) for o, answer in rows]


def _referenced(dataset: Dataset, category: Category | None) -> list[Found]:
    """Pictures on which the experts agree that they show the category."""
    rows = Reference.objects.filter(dataset=dataset, category=category).order_by("image_id")
    ids = list(rows.values_list("image_id", flat=True).distinct()[:LOOKED_AT])
    label = category.key if category else NONE
    agreed = {pk for pk, said in settled_references(dataset, ids).items() if said == label}
    shas = dataset.images.filter(pk__in=agreed).order_by("pk").values_list("pk", "sha256")
    return [(pk, Offer(sha, "reference", label)) for pk, sha in shas]
