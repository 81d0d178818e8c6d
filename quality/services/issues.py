"""Pictures whose consensus looks wrong get more votes: a queue from `quality.issues` into an open round."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from django.db.models import Max
from django.db.models.functions import Coalesce

from annotation_site.figures import number_of
from annotation_site.models import YES, Round, Task
from annotation_site.services import rounds as site_rounds
from annotation_site.services.locking import short_write
from ingest.models import Dataset, Image
from ingest.services.images import representatives, resolve_images
from quality.issues import find_issues, run_probabilities
from quality.models import Consensus, VoteRequest
from quality.services.adjudication import decisions
from quality.services.stored import CHUNK, known_labels, read_tasks, slices

WAITING, CHANGED, FULL, CLOSED = "already_waiting", "label_changed", "at_the_most", "no_open_round"
GOLD, EXPERT, WITHDRAWN, NO_CONSENSUS = "gold", "decided_by_expert", "withdrawn", "no_consensus"
IN_WORDS = {
    WAITING: "asked for before by this very list",
    CHANGED: "have another label by now",
    FULL: "have the most votes of their round already",
    CLOSED: "are in no round that is open",
    GOLD: "have a known answer",
    EXPERT: "were decided by an expert",
    WITHDRAWN: "are withdrawn",
    NO_CONSENSUS: "have no consensus yet",
}


class UnusableIssues(ValueError):
    """Nothing can be asked as wanted; the message is one line for the user."""


class Doubt(NamedTuple):
    """A picture (sha256, path, URL, or the number of a task) and the label that is doubted ("": whatever)."""

    image: str
    label: str


@dataclass
class Asked:
    """`votes` more votes on `tasks` tasks of `rounds`; `left_out`: pictures by reason (IN_WORDS)."""

    tasks: int = 0
    votes: int = 0
    rounds: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as `request_votes --json` prints it."""
        return {
            "tasks": self.tasks,
            "votes": self.votes,
            "rounds": self.rounds,
            "left_out": dict(sorted(self.left_out.items())),
            "unknown": len(self.unknown),
        }


def ask_about(
    dataset: Dataset, doubts: Sequence[Doubt], origin: str, votes: int = 1, *, skip_unknown: bool = False
) -> Asked:
    """Ask for `votes` more votes on each doubted picture, in the newest labelling round that is not closed.

    1. Find each picture's task there; in a verify round, the tasks of the label doubted.
    2. Leave aside what is known (gold, an expert's decision), what has its round's most votes, what was asked
       for by the same list before, and what has another label by now.
    3. Keep the request and reopen the task, both in one transaction a chunk. No pass settles the task before
       the votes are there. A run that is killed is finished by the next one; nothing is asked twice.

    Args:
        origin: names the list (a file's name and digest): the same list asks once.

    Raises:
        UnusableIssues: unknown pictures (unless `skip_unknown`), or a number that makes no sense.
    """
    if not 1 <= votes <= 100:
        raise UnusableIssues(f"the votes to ask for must be from 1 to 100; got {votes}")
    asked = Asked()
    wanted = _images(dataset, doubts, asked)
    if asked.unknown and not skip_unknown:
        raise UnusableIssues(
            f"{number_of(len(asked.unknown), 'picture is', 'pictures are')} unknown, or several have that "
            f"path or URL ({', '.join(asked.unknown[:3])}); --skip-unknown leaves them out"
        )
    by_round: dict[int, dict[int, str]] = {}
    newest = _newest_rounds(dataset, wanted)
    for image_id, label in wanted.items():
        if image_id in newest:
            by_round.setdefault(newest[image_id], {})[image_id] = label
        else:
            asked.left_out[CLOSED] += 1
    for round_id, images in sorted(by_round.items()):
        round = Round.objects.get(pk=round_id)
        before = asked.tasks
        for part in slices(images):
            _ask(round, {image_id: images[image_id] for image_id in part}, origin[:100], votes, asked)
        asked.rounds += [round_id] if asked.tasks > before else []
    return asked


@dataclass(frozen=True)
class Doubted:
    """Pictures (sha256) whose consensus a run's nets doubt, the worst first; `suggested`: what they say of
    each; `origin`: names the list."""

    doubts: list[Doubt]
    suggested: list[str]
    origin: str


def doubts_of_run(dataset: Dataset, folder: Path, arm: str | None = None) -> Doubted:
    """What a run's out-of-fold predictions say of the consensus as it stands now; see `quality.issues`.

    Raises:
        UnusableIssues: no such run or arm, no such predictions, or no doubt.
    """
    file = folder / "predictions.parquet"
    categories = list(dataset.categories.values_list("key", flat=True))
    labels = consensus_labels(dataset)
    frame = pd.DataFrame({"task": list(labels), "label": list(labels.values())}, dtype=object)
    try:
        found = find_issues(frame, run_probabilities(file, arm, categories)).issues
    except ValueError as error:
        raise UnusableIssues(str(error)) from None
    worst = found[found["flagged"]].sort_values("rank")
    if not len(worst):
        raise UnusableIssues(f"{file}: its predictions doubt no consensus of dataset {dataset.name}")
    doubts = [Doubt(task, label) for task, label in zip(worst["task"], worst["label"], strict=True)]
    return Doubted(doubts, worst["suggested"].tolist(), origin_of(file, f"{folder.name}/{file.name}"))


def origin_of(file: Path, name: str) -> str:
    """A list by its name and what is in it: the same list asks once."""
    return f"{name[-80:]} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def open_rounds_of(dataset: Dataset, doubts: Sequence[Doubt]) -> dict[Round, int]:
    """The rounds that would be asked about these pictures, and about how many of them each; in no other is
    there room for them."""
    newest = _newest_rounds(dataset, _images(dataset, doubts, Asked()))
    counted = Counter(newest.values())
    return {round: counted[round.pk] for round in Round.objects.filter(pk__in=counted).order_by("pk")}


def votes_requested(round: Round, task_ids: np.ndarray) -> np.ndarray:
    """int64[n]: the counted votes that each task (sorted ids) must have before it settles; 0: no request."""
    least = np.zeros(len(task_ids), np.int64)
    held = VoteRequest.objects.filter(task__round=round).values_list("task_id").annotate(n=Max("votes"))
    for task_id, votes in held.order_by("task_id").iterator(CHUNK):
        place = int(np.searchsorted(task_ids, task_id))
        if place < len(task_ids) and task_ids[place] == task_id:
            least[place] = min(votes, round.votes_max)
    return least


def consensus_labels(dataset: Dataset) -> Mapping[str, str]:
    """sha256 -> category of every picture's newest consensus that names one (`consensus_by_image`'s rule is
    for releases; a doubt is about what a round says now)."""
    stands = Coalesce("task__image__group__representative__sha256", "task__image__sha256")
    rows = (
        Consensus.objects.filter(task__round__dataset=dataset, category__isnull=False)
        .exclude(task__state=Task.State.WITHDRAWN)
        .order_by("task__round_id", "task_id")
        .annotate(stands=stands)
        .values_list("stands", "category__key")
    )
    return dict(rows.iterator(CHUNK))


def _images(dataset: Dataset, doubts: Sequence[Doubt], asked: Asked) -> dict[int, str]:
    """Image id -> doubted label, in the order of the list; copies stand for their group, the first counts."""
    resolved = resolve_images(dataset, [doubt.image for doubt in doubts])
    found: dict[str, Image] = dict(resolved.found)
    numbers = [key for key in resolved.unknown if key.isascii() and key.isdigit() and len(key) < 19]
    for part in slices(numbers):
        tasks = Task.objects.filter(pk__in=[int(key) for key in part], round__dataset=dataset)
        of_task = {task.pk: task.image for task in tasks.select_related("image")}
        found |= {key: of_task[int(key)] for key in part if int(key) in of_task}
    asked.unknown = [key for key in (*resolved.unknown, *resolved.ambiguous) if key not in found]
    standing = representatives(found.values())
    wanted: dict[int, str] = {}
    for doubt in doubts:
        if doubt.image in found:
            wanted.setdefault(standing[found[doubt.image].pk].pk, doubt.label)
    return wanted


def _newest_rounds(dataset: Dataset, image_ids: Iterable[int]) -> dict[int, int]:
    """Image id -> the newest round not closed that asks about it; repeats measure people and are none."""
    newest: dict[int, int] = {}
    for part in slices(image_ids):
        tasks = Task.objects.filter(round__dataset=dataset, image_id__in=part)
        tasks = tasks.exclude(round__state=Round.State.CLOSED).exclude(round__access=Round.Access.REPEAT)
        newest |= dict(tasks.values_list("image_id").annotate(n=Max("round_id")))
    return newest


def _ask(round: Round, images: Mapping[int, str], origin: str, votes: int, asked: Asked) -> None:
    """One transaction: what is asked for is kept, and its task is open."""
    with short_write():
        tasks = read_tasks(round, images)
        ids = tasks["id"].tolist()
        known, decided = known_labels(round, tasks), decisions(round, ids)
        consensus = dict(Consensus.objects.filter(task_id__in=ids).values_list("task_id", "label"))
        before = set(
            VoteRequest.objects.filter(task_id__in=ids, origin=origin).values_list("task", flat=True)
        )
        keys = dict(round.dataset.categories.values_list("id", "key"))
        made: list[VoteRequest] = []
        totals: dict[int, int] = {}
        for task in tasks:
            task_id, label = int(task["id"]), consensus.get(int(task["id"]), "")
            proposed = keys.get(int(task["category"]), "")
            doubted = images[int(task["image"])]
            if proposed and (label != YES or doubted not in ("", proposed)):
                continue  # another proposal for the picture: nobody doubts that answer
            reason = _why_not(task, label, round.votes_max)
            reason = GOLD if task_id in known else EXPERT if task_id in decided else reason
            if not reason and task_id in before:
                reason = WAITING
            elif not reason and not proposed and doubted not in ("", label):
                reason = CHANGED
            if reason:
                asked.left_out[reason] += 1
                continue
            totals[task_id] = min(int(task["votes"]) + votes, round.votes_max)
            made.append(
                VoteRequest(task_id=task_id, votes=totals[task_id], label=proposed or label, origin=origin)
            )
            asked.votes += totals[task_id] - int(task["votes"])
        asked.tasks += len(made)
        VoteRequest.objects.bulk_create(made)
        site_rounds.request_votes(round, totals)
        # Those that had wanted as many all along and were settled before they came.
        site_rounds.reopen_tasks(round, totals)


def _why_not(task: np.void, label: str, most: int) -> str:
    if task["state"] == Task.State.WITHDRAWN:
        return WITHDRAWN
    if task["gold"]:
        return GOLD
    if not label:
        return NO_CONSENSUS
    return FULL if task["votes"] >= most else ""
