"""What a worker is shown when a curator chose to retrain them: wrong answers to gold, with the right ones.

Shown is gold that this worker answered before the curator's decision, and no other: gold is never given to a
worker twice, in no round, so for this worker it is used up. Gold answered later waits for the next decision,
so that nobody reads off the page what they are being tested on. Told to others, an answer leaks all the same:
`add_gold --check` watches for that, and few are shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from annotation_site.models import Instructions, Vote, Worker
from ingest.models import Dataset
from quality.models import Gold, WorkerAction
from quality.services.stored import ABSTAIN, as_answer

MOST_SHOWN = 12
MOST_READ = 2_000
"""Gold answers of one worker that are looked through, the newest first."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer to gold: image (sha256), what was asked about (verify rounds), what was said, what is
    right, each a label of CONTRACTS or empty."""

    image: str
    proposed: str
    said: str
    right: str


@dataclass(frozen=True)
class Feedback:
    """What to look at again; `instructions`: of the newest round in which a mistake was made."""

    mistakes: list[Mistake]
    given: int
    instructions: str


def feedback_for(worker: Worker, dataset: Dataset) -> Feedback | None:
    """The feedback that a curator asked for last; None where none was asked for."""
    asked = WorkerAction.objects.filter(
        worker=worker, dataset=dataset, action=WorkerAction.Action.RETRAIN
    ).last()
    if asked is None:
        return None
    held = (
        Vote.objects.counted()
        .filter(worker=worker, task__round__dataset=dataset, task__gold=True, created__lte=asked.created)
        .select_related("category", "task__category", "task__image", "task__round")
        .order_by("-pk")[:MOST_READ]
    )
    votes = [vote for vote in held if vote.label not in ABSTAIN]
    known = _known(dataset, votes)
    judged = [(vote, known[vote.task.image_id]) for vote in votes if vote.task.image_id in known]
    mistakes, told_in = [], None
    for vote, label in judged:
        proposed = vote.task.category.key if vote.task.category else ""
        right = as_answer(vote.task.round, label, proposed)
        if vote.label != right:
            told_in = told_in or vote.task.round
            mistakes.append(Mistake(vote.task.image.sha256, proposed, vote.label, right))
    text = ""
    if told_in is not None:
        kept = Instructions.objects.filter(round=told_in, version=told_in.instructions_version).first()
        text = kept.text if kept else ""
    return Feedback(mistakes[:MOST_SHOWN], len(judged), text)


def _known(dataset: Dataset, votes: Iterable[Vote]) -> dict[int, str]:
    """Image id -> what experts say it shows. Settled gold is the crowd's word: nobody is taught by it."""
    images = [vote.task.image_id for vote in votes]
    held = Gold.objects.filter(dataset=dataset, image__in=images, origin=Gold.Origin.EXPERT)
    return {gold.image_id: gold.label for gold in held.select_related("category")}
