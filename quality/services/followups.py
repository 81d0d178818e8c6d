"""What a later round takes up: disputed pictures, proposals, the people to ask, repeats."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from django.db.models import Exists, OuterRef

from annotation_site.figures import number_of
from annotation_site.models import YES, Round, Task, Vote, Worker
from ingest.models import Dataset
from ingest.services.images import representatives, resolve_images
from quality.models import Consensus, Proposal, WorkerSkill

CHUNK = 2000
"""Rows read or written at a time."""
DISPUTED, UNSURE = "disputed", "unsure"
DECIDED = "adjudication"
"""`Consensus.method` of a label that an expert decided."""


class UnusableRound(ValueError):
    """What was asked for makes no round; the message is one line for the user."""


class Proposed(NamedTuple):
    """A label proposed for an image: who proposed it, and how sure they were (0 to 1, or None)."""

    image_id: int
    category_id: int
    origin: str
    probability: float | None


class TakenUp(NamedTuple):
    """One picture that an earlier round left open: where, and what it says now."""

    image_id: int
    category_id: int | None
    round_id: int
    label: str
    confidence: float


def taken_up(dataset: Dataset, which: str, default_below: float) -> Iterator[TakenUp]:
    """The pictures that earlier rounds left open, by image id; each with what its newest round says.

    Args:
        which: `disputed` (exhausted: the most votes were given and they stay unsure) or `unsure[:BELOW]`
            (a consensus below that confidence).
        default_below: BELOW where none is given.

    What an expert has decided, gold, repeats and withdrawn tasks are never taken up again; nor is a picture
    that a newer round has settled or is asking about now.
    """
    below = _below(which, default_below)
    asking = Task.objects.filter(
        image=OuterRef("task__image"), round__gt=OuterRef("task__round"), state=Task.State.OPEN
    ).exclude(round__state=Round.State.CLOSED)
    asking = asking.exclude(round__access=Round.Access.REPEAT)
    rows = (
        Consensus.objects.filter(~Exists(asking), task__round__dataset=dataset)
        .exclude(task__state=Task.State.WITHDRAWN)
        .order_by("task__image_id", "-task__round_id", "-confidence", "task_id")
        .values_list(
            "task__image_id", "task__category_id", "task__round_id", "label", "confidence",
            "task__state", "task__gold", "method",
        )
    )  # fmt: skip
    newest: dict[int, int] = {}
    for image_id, category_id, round_id, label, confidence, state, gold, method in rows.iterator(CHUNK):
        if newest.setdefault(image_id, round_id) != round_id or gold or method == DECIDED:
            continue
        open_still = confidence < below if below is not None else state == Task.State.EXHAUSTED
        if open_still:
            yield TakenUp(image_id, category_id, round_id, label, confidence)


def nothing_taken_up(dataset: Dataset, which: str) -> str:
    """Why no picture is taken up, in one line: none was left open, or what was is being asked about."""
    asking = (
        Task.objects.filter(
            round__dataset=dataset, state=Task.State.OPEN, gold=False, consensus__isnull=False
        )
        .exclude(round__state=Round.State.CLOSED)
        .exclude(round__access=Round.Access.REPEAT)
    )
    words = f"no picture is {which.replace(':', ' below ')} in the rounds so far"
    if which != DISPUTED or not (n := asking.values("image").distinct().count()):
        return words
    rounds = ", ".join(map(str, asking.order_by("round").values_list("round", flat=True).distinct()))
    again = number_of(n, "unsure picture is", "unsure pictures are")
    return f"{words}: {again} still being asked about (round {rounds}), and disputed only at the most votes"


def _below(which: str, default: float) -> float | None:
    if which == DISPUTED:
        return None
    text = which.removeprefix(UNSURE).removeprefix(":")
    try:
        below = float(text) if text else default
    except ValueError:
        below = -1.0
    if not 0 < below <= 1:
        raise UnusableRound(f"unsure:BELOW needs a confidence from 0 to 1; got {which!r}")
    return below


def proposals_of(dataset: Dataset, rows: Sequence[TakenUp]) -> list[Proposed]:
    """What a verify round asks about pictures left open: the proposal itself, or the label that leads."""
    ids = dict(dataset.categories.values_list("key", "id"))
    today = dataset.categories.todays_ids()
    found: dict[tuple[int, int], Proposed] = {}
    for row in rows:
        category_id = today.get(row.category_id or ids.get(row.label) or 0)
        if category_id is not None:
            sure = row.confidence if row.category_id is None or row.label == YES else None
            made = Proposed(row.image_id, category_id, f"consensus of round {row.round_id}", sure)
            found.setdefault((row.image_id, category_id), made)
    return list(found.values())


def read_proposals(
    dataset: Dataset, rows: Iterable[tuple[str, str, float | None]], origin: str
) -> list[Proposed]:
    """Proposals of a file: (image, label, probability). A copy stands for its group.

    Raises:
        UnusableRound: an unknown image or category, a probability outside 0 to 1, or two for one pair.
    """
    told = list(rows)
    resolved = resolve_images(dataset, {image for image, _, _ in told})
    standing = representatives(resolved.found.values())
    ids = dict(dataset.categories.current().values_list("key", "id"))
    unknown = [image for image, _, _ in told if image not in resolved.found]
    many = "an unknown image, or several have that path or URL"
    _refuse(unknown, f"proposal names {many}", f"proposals name {many}")
    labels = [label for _, label, _ in told if label not in ids]
    none = "a label that is no category"
    _refuse(labels, f"proposal has {none}", f"proposals have {none}")
    odd = [f"{p:g}" for _, _, p in told if p is not None and not 0 <= p <= 1]
    _refuse(odd, "probability is not from 0 to 1", "probabilities are not from 0 to 1")
    found: dict[tuple[int, int], Proposed] = {}
    for image, label, probability in told:
        image_id = standing[resolved.found[image].pk].pk
        made = Proposed(image_id, ids[label], origin, probability)
        first = found.setdefault((image_id, ids[label]), made)
        if first.probability != probability:
            raise UnusableRound(f"{image} and {label} are proposed twice, with two probabilities")
    return list(found.values())


def _refuse(bad: list[str], *words: str) -> None:
    """`words`: what is wrong with one, and with several."""
    if bad:
        distinct = list(dict.fromkeys(bad))
        raise UnusableRound(f"{number_of(len(bad), *words)}: {', '.join(distinct[:3])}")


def keep_proposals(round: Round, proposals: Iterable[Proposed]) -> None:
    """Remember who proposed what, beside the tasks of a verify round."""
    held = Task.objects.filter(round=round).values_list("pk", "image_id", "category_id")
    task_of = {(image_id, category_id): pk for pk, image_id, category_id in held.iterator(CHUNK)}
    made = (
        Proposal(task_id=task_of[p.image_id, p.category_id], origin=p.origin[:100], probability=p.probability)
        for p in proposals
    )
    while chunk := list(islice(made, CHUNK)):
        Proposal.objects.bulk_create(chunk)


def eligible_workers(
    dataset: Dataset, least_skill: float | None, names: Sequence[str] | None
) -> list[int] | None:
    """Ids of the workers who may be asked; None: everyone.

    Args:
        least_skill: the lower end of a worker's skill interval, in the newest round that measured it, must
            reach this.
        names: codes or user names; both conditions hold where both are given.

    Raises:
        UnusableRound: unknown names, or nobody is left.
    """
    if least_skill is None and names is None:
        return None
    found: set[int] | None = None
    if names is not None:
        found = _named(names)
    if least_skill is not None:
        if not 0 < least_skill < 1:
            raise UnusableRound(f"the least skill must be between 0 and 1; got {least_skill}")
        lower = _skill_floors(dataset)
        able = {worker for worker, lo in lower.items() if lo >= least_skill}
        if not able:
            best = f"; the best has {max(lower.values()):.2f}" if lower else ": nobody's is known yet"
            raise UnusableRound(f"no worker has a skill of surely {least_skill} or more{best}")
        found = able if found is None else found & able
    active = Worker.objects.filter(pk__in=found or (), suspended=False)
    chosen = sorted(active.values_list("pk", flat=True))
    if not chosen:
        raise UnusableRound("no worker is left who may be asked")
    return chosen


def _named(names: Sequence[str]) -> set[int]:
    wanted = dict.fromkeys(names)
    by_code = dict(Worker.objects.filter(code__in=wanted).values_list("code", "pk"))
    by_user = dict(Worker.objects.filter(user__username__in=wanted).values_list("user__username", "pk"))
    _refuse(
        [n for n in wanted if n not in by_code and n not in by_user],
        "worker is unknown",
        "workers are unknown",
    )
    return {by_code.get(name, by_user.get(name, 0)) for name in wanted}


def _skill_floors(dataset: Dataset) -> dict[int, float]:
    """Worker -> lower end of the skill interval, from the newest round that measured it."""
    held = WorkerSkill.objects.filter(round__dataset=dataset).order_by("round_id")
    return dict(held.values_list("worker_id", "lo"))


def repeats_of(round: Round, share: float, seed: int) -> dict[tuple[int, int | None], list[int]]:
    """Which workers answer which of the round's (image, category) again: a random share of each one's votes.

    Every worker gets at least one, so that nobody goes unmeasured. Gold, abstaining or not, is left out: its
    answer may have been told. Suspended workers are left out, too.

    Raises:
        UnusableRound: a share outside 0 to 1, a repeat of a repeat, or no votes.
    """
    if not 0 < share <= 1:
        raise UnusableRound(f"the share to repeat must be above 0 and at most 1; got {share}")
    if round.is_repeat:
        raise UnusableRound(f"round {round.pk} is itself a repeat; repeat round {round.parent_id} instead")
    votes = Vote.objects.counted().filter(task__round=round, task__gold=False, worker__suspended=False)
    votes = votes.exclude(task__state=Task.State.WITHDRAWN).order_by("worker_id", "task_id")
    given: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    rows = votes.values_list("worker_id", "task__image_id", "task__category_id")
    for worker, image_id, category_id in rows.iterator(CHUNK):
        given[worker].append((image_id, category_id))
    if not given:
        raise UnusableRound(f"nobody has voted in round {round.pk} yet")
    again: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    for worker, pairs in given.items():
        count = max(1, -int(-share * len(pairs) // 1))
        for pair in random.Random(f"repeat {seed} {worker}").sample(pairs, count):
            again[pair].append(worker)
    return dict(again)


def repeats_among(
    round: Round, share: float, seed: int, invited: Sequence[int] | None
) -> dict[tuple[int, int | None], list[int]]:
    """`repeats_of`, for these workers alone; None: for everyone who voted.

    Raises:
        UnusableRound: as there, or none of these workers has voted.
    """
    again = repeats_of(round, share, seed)
    if invited is None:
        return again
    may = set(invited)
    kept = {pair: [w for w in workers if w in may] for pair, workers in again.items()}
    again = {pair: workers for pair, workers in kept.items() if workers}
    if not again:
        raise UnusableRound(f"none of these workers has voted in round {round.pk}")
    return again
