"""More gold for one worker, after a person decided so, and what came of it.

The labelling site mixes it into the worker's coming batches (`claims.promise_gold`); here it is decided how
much, kept who decided it, and told how all gold since then was answered. Gold from settled images counts too:
it is there to screen workers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from annotation_site.models import NONE, Assignment, Lease, Participation, Round, Vote, Worker
from annotation_site.services.claims import fresh_gold, locked_participation, promise_gold
from annotation_site.services.locking import short_write
from ingest.models import Dataset
from quality.models import Gold, WorkerAction
from quality.policy import GoldTrial
from quality.services.stored import ABSTAIN, as_answer

USUAL_GOLD = 20
"""Further gold tasks, unless the person says another number."""
MOST_GOLD = 200
MORE = WorkerAction.Action.MORE_GOLD


class Promise(NamedTuple):
    """What is kept of the decision, and how many further gold tasks each round (by number) holds for them."""

    action: WorkerAction
    per_round: dict[int, int]


def give_more_gold(
    worker: Worker,
    dataset: Dataset,
    count: int,
    reason: str,
    by: str = "",
    round: Round | None = None,
    seen: int | None = None,
) -> Promise | None:
    """Promise a worker further gold in each round that they work in, unless it is closed; in one transaction.

    The same decision sent twice is made once: while nothing of it was given out, and at any time where `seen`
    says that the person had not seen it.

    Args:
        count: gold tasks in each round; fewer where the worker has met the others already.
        round: this round only.
        seen: number of the newest action on this worker that the person knew of (0: of none).

    Returns:
        None: there is no gold that the worker has not met; nothing is kept.
    """
    with short_write():
        parts = [(locked_participation(each, worker), each) for each in _rounds(worker, dataset, round)]
        last = worker.actions.filter(dataset=dataset).last()
        same = last is not None and (last.action, last.reason, last.by, last.round_id) == (
            MORE, reason.strip()[:500], by, round and round.pk
        )  # fmt: skip
        waiting = {each.pk: part.more_gold for part, each in parts}
        if last and same and seen is not None and last.pk > seen:
            return Promise(last, waiting)
        if not any(fresh_gold(part, each, 1) for part, each in parts):
            return None
        promised = {each.pk: promise_gold(part, each, count) for part, each in parts}
        if last and same and promised == waiting and last.gold == sum(promised.values()):
            return Promise(last, promised)
        made = WorkerAction.objects.create(
            worker=worker, dataset=dataset, round=round, action=MORE, reason=reason.strip()[:500], by=by,
            gold=sum(promised.values()),
        )  # fmt: skip
        return Promise(made, promised)


def _rounds(worker: Worker, dataset: Dataset, only: Round | None) -> list[Round]:
    """In order of number, so that two decisions lock the worker's rows in one order."""
    found = dataset.rounds.filter(participations__worker=worker).exclude(state=Round.State.CLOSED)
    return list((found.filter(pk=only.pk) if only else found).order_by("pk"))


def trial_of(worker: Worker, dataset: Dataset) -> GoldTrial | None:
    """What came of the last decision to give more gold; None where there was none."""
    decided = worker.actions.filter(dataset=dataset, action=MORE).last()
    if decided is None:
        return None
    parts = Participation.objects.filter(worker=worker, round__dataset=dataset)
    waiting = parts.aggregate(n=Sum("more_gold"))["n"] or 0
    held = Vote.objects.counted().filter(
        worker=worker, task__round__dataset=dataset, task__gold=True, created__gt=decided.created
    )
    votes = list(
        held.select_related("category", "task__category", "task__image", "task__round").order_by("pk")
    )
    known = _known(dataset, votes)
    judged = [vote for vote in votes if vote.task_id in known]
    said = [vote for vote in judged if vote.label not in ABSTAIN]
    others_right, others = _others(worker, said, known)
    return GoldTrial(
        promised=decided.gold,
        given=max(decided.gold - waiting, 0),
        coming=_coming(worker, dataset, parts),
        right=sum(vote.label == known[vote.task_id] for vote in said),
        answered=len(said),
        unsure=len(judged) - len(said),
        others_right=others_right,
        others=others,
        blind=_blind(said, known),
    )


def _known(dataset: Dataset, votes: Sequence[Vote]) -> dict[int, str]:
    """Task id -> the right answer in the words of its question. Gold that was retired says nothing more."""
    images = {vote.task.image_id for vote in votes}
    groups = {vote.task.image.group_id for vote in votes} - {None}
    stands = Coalesce("image__group__representative_id", "image_id")
    gold = Gold.objects.filter(
        Q(image__in=images) | Q(image__group__in=groups), dataset=dataset, retired=None
    )
    label: dict[int, str] = {}
    for image_id, standing_id, key in gold.values_list("image_id", stands, "category__key"):
        label[image_id] = label[standing_id] = key or NONE
    return {
        task.pk: as_answer(task.round, label[task.image_id], task.category.key if task.category else "")
        for task in (vote.task for vote in votes)
        if task.image_id in label
    }


def _coming(worker: Worker, dataset: Dataset, parts: QuerySet[Participation]) -> int:
    """Gold in the worker's batches at hand, and what is promised and can still be given."""
    at_hand = Lease.objects.filter(
        worker=worker,
        task__gold=True,
        assignment__state=Assignment.State.ACTIVE,
        assignment__round__dataset=dataset,
    )
    promised = parts.filter(more_gold__gt=0).exclude(round__state=Round.State.CLOSED).select_related("round")
    return at_hand.count() + sum(fresh_gold(part, part.round, part.more_gold) for part in promised)


def _others(worker: Worker, said: Sequence[Vote], known: dict[int, str]) -> tuple[int, int]:
    """(right, given) of everybody else's definite answers to the same tasks."""
    tasks = [vote.task_id for vote in said]
    rows = (
        Vote.objects.counted()
        .filter(task__in=tasks)
        .exclude(worker=worker)
        .values_list("task_id", "answer", "category__key")
        .annotate(n=Count("id"))
    )
    right = given = 0
    for task_id, answer, key, n in rows:
        label = key or str(Vote.Answer(answer).label)
        if label not in ABSTAIN:
            given += n
            right += n * (label == known[task_id])
    return right, given


def _blind(said: Sequence[Vote], known: dict[int, str]) -> float:
    """The share right if the same answers were dealt out anew at random, question by question.

    With one answer's worth of doubt, spread over the labels: few answers do not show a habit.
    """
    rounds = {vote.task.round_id: vote.task.round for vote in said}
    by_question: dict[str, list[Vote]] = defaultdict(list)
    for vote in said:
        by_question[vote.task.round.question].append(vote)
    expected = 0.0
    for votes in by_question.values():
        labels = {label for label in rounds[votes[0].task.round_id].choices() if label not in ABSTAIN}
        given, true = (Counter(v.label for v in votes), Counter(known[v.task_id] for v in votes))
        hits = sum(given[label] * true[label] for label in given) / len(votes)
        expected += len(votes) * (hits + 1.0 / max(len(labels), 1)) / (len(votes) + 1.0)
    return expected / len(said) if said else 0.0
