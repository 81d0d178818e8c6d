"""A labelling campaign through the site's own services: claims, votes, passes; nothing is short-cut.

Django must be set up before this is imported; tests have done so, `quality_campaign` does it itself.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from annotation_site.models import NONE, Round, Task, User, Worker
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import claim_batch
from annotation_site.services.votes import Answer, record_votes
from benchmarks.people import People
from ingest.models import Category, Dataset, DuplicateGroup, Image
from quality.models import Consensus, QCPass
from quality.services.consensus import aggregate_round
from quality.services.forecast import outcomes
from quality.services.rounds import RoundPlan, open_labelling_round

CHUNK = 500
MOST_PASSES = 40


@dataclass
class Campaign:
    """What a round came to. `votes`: counted; `error`: share of wrong labels; `passes`: oldest first."""

    round: Round
    votes: int
    error: float
    passes: list[QCPass] = field(default_factory=list)

    @property
    def votes_per_task(self) -> float:
        return self.votes / self.round.tasks_total

    def forecast_held(self) -> list[bool]:
        """Of each forecast made on the way, whether its interval holds what it took."""
        return [bool(row.held) for row in outcomes(self.passes)]


def make_dataset(name: str, people: People) -> Dataset:
    """Pictures without bytes, each alone in its group; picture i is `phash` i. Label 0 is "none of these"."""
    dataset = Dataset.objects.create(name=name)
    Category.objects.bulk_create(
        Category(dataset=dataset, key=key, name=key, position=n)
        for n, key in enumerate(label_names(people)[1:])
    )
    groups = DuplicateGroup.objects.bulk_create(
        [DuplicateGroup(dataset=dataset, draw=0.5) for _ in people.truth], batch_size=CHUNK
    )
    images = Image.objects.bulk_create(
        [
            Image(
                dataset=dataset, sha256=hashlib.sha256(f"{name} {number}".encode()).hexdigest(),
                phash=number, hash_version=1, format="jpeg", width=160, height=120, bytes=9000, group=group,
            )
            for number, group in enumerate(groups)
        ],
        batch_size=CHUNK,
    )  # fmt: skip
    for group, image in zip(groups, images, strict=True):
        group.representative = image
    DuplicateGroup.objects.bulk_update(groups, ["representative"], batch_size=CHUNK)
    return dataset


def label_names(people: People) -> list[str]:
    """What is answered for each label of the people's; every choice of the round is among them."""
    return [NONE, *(f"label{number}" for number in range(1, people.n_labels))]


def make_workers(name: str, people: People) -> list[Worker]:
    """One worker for each row of the answers."""
    users = [User.objects.create(username=f"{name}-{number}") for number in range(len(people.answers))]
    return [worker_of(user) for user in users]


def run(
    dataset: Dataset,
    people: People,
    workers: list[Worker],
    plan: RoundPlan,
    method: str = "auto",
    seed: int = 0,
) -> Campaign:
    """Open a round, let the workers vote and passes settle it in turn, until nothing is asked any more."""
    round = open_labelling_round(dataset, "classify", plan=plan)
    rng = np.random.default_rng(seed)
    for _ in range(MOST_PASSES):
        given = vote(round, people, workers, rng)
        aggregate_round(round, method)
        if not given or not round.tasks.filter(claimable=True).exists():
            break
    round.refresh_from_db()
    made = Campaign(round, round.votes_counted, error_of(round, people))
    made.passes = list(round.qc_passes.order_by("number"))
    return made


def vote(round: Round, people: People, workers: list[Worker], rng: np.random.Generator) -> int:
    """Everybody takes batches in turn, in a random order, until nothing is left for them; votes given."""
    given, names = 0, label_names(people)
    turns = deque(rng.permutation(len(workers)).tolist())
    while turns and round.tasks.filter(claimable=True).exists():
        number = turns.popleft()
        batch = claim_batch(workers[number], round)
        if batch is None:
            continue
        said = people.answers[number]
        answers = [Answer(task.pk, names[said[task.image.phash]], 2.0) for task in batch.tasks]
        record_votes(workers[number], batch.assignment.pk, f"{number}-{batch.assignment.pk}", answers)
        given += len(answers)
        turns.append(number)
    return given


def error_of(round: Round, people: People) -> float:
    """Share of the round's tasks, gold left out, whose consensus is wrong; without one it is wrong."""
    said = dict(Consensus.objects.filter(task__round=round).values_list("task__image__phash", "label"))
    names = label_names(people)
    asked = Task.objects.filter(round=round, gold=False).values_list("image__phash", flat=True)
    return float(np.mean([said.get(n) != names[people.truth[n]] for n in asked]))
