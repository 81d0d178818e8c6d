"""A small labelled dataset, built through the real services: what quality's tests look at."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from annotation_site.models import Round, User, Worker
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import claim_batch
from annotation_site.services.votes import Answer, record_votes
from ingest.models import Candidate, Category, Dataset, DuplicateGroup, Image, Source

CATEGORIES = ("cat", "dog", "eel")
Say = Callable[[Image, str], str]


def make_dataset(images: int = 12, name: str = "pets") -> Dataset:
    """A dataset of `images` single pictures; picture i was found under category i modulo 3, which is true."""
    dataset = Dataset.objects.create(name=name)
    for position, key in enumerate(CATEGORIES):
        category = Category.objects.create(dataset=dataset, key=key, name=key.title(), position=position)
        Source.objects.create(dataset=dataset, kind="folder", location=f"/pictures/{key}", category=category)
    add_images(dataset, range(images))
    return dataset


def add_image(dataset: Dataset, number: int, group: DuplicateGroup | None = None) -> Image:
    """Picture `number`, alone in a group or as one more member of `group`; found as `NUMBER.jpg`."""
    return add_images(dataset, [number], group)[0]


def add_images(dataset: Dataset, numbers: Sequence[int], group: DuplicateGroup | None = None) -> list[Image]:
    """Pictures with these numbers, each alone in a group or all in `group`; found as `NUMBER.jpg`."""
    images = [
        Image(
            dataset=dataset,
            sha256=hashlib.sha256(f"{dataset.name} {number}".encode()).hexdigest(),
            phash=number,
            hash_version=1,
            format="jpeg",
            width=160,
            height=120,
            bytes=9000,
        )
        for number in numbers
    ]
    Image.objects.bulk_create(images)
    groups = [group or DuplicateGroup(dataset=dataset, representative=i, draw=0.5) for i in images]
    if group is None:
        DuplicateGroup.objects.bulk_create(groups)
    for image, own in zip(images, groups, strict=True):
        image.group = own
    Image.objects.bulk_update(images, ["group"])
    sources = list(dataset.sources.order_by("id"))
    Candidate.objects.bulk_create(
        Candidate(
            source=sources[number % len(CATEGORIES)],
            url=f"{number}.jpg",
            url_sha256=hashlib.sha256(f"{number}.jpg".encode()).hexdigest()[:32],
            state=Candidate.State.STORED,
            image=image,
            licence="CC0",
        )
        for number, image in zip(numbers, images, strict=True)
    )
    return images


def truth_of(image: Image) -> str:
    """The category under which the scene's picture was found."""
    return CATEGORIES[image.phash % len(CATEGORIES)]


def make_worker(name: str) -> Worker:
    """A worker with a log-in."""
    return worker_of(User.objects.create(username=name))


def always_right(image: Image, proposed: str) -> str:
    """Say the truth, in the words of the question."""
    if proposed:
        return "yes" if truth_of(image) == proposed else "no"
    return truth_of(image)


def right_with(chance: float, seed: int) -> Say:
    """Say the truth with this chance, else another category, drawn by seed and picture."""

    def say(image: Image, proposed: str) -> str:
        draw = random.Random(f"{seed} {image.sha256}")
        if draw.random() < chance:
            return always_right(image, proposed)
        return draw.choice([c for c in CATEGORIES if c != truth_of(image)])

    return say


def vote_all(round: Round, worker: Worker, say: Say, most: int = 1000) -> int:
    """Claim and answer through the site's services until nothing is left or `most` votes are given."""
    given = 0
    while given < most:
        batch = claim_batch(worker, round, min(most - given, 50))
        if batch is None:
            return given
        answers = [Answer(t.pk, say(t.image, t.category.key if t.category else ""), 1.5) for t in batch.tasks]
        record_votes(worker, batch.assignment.pk, f"{worker.pk}-{batch.assignment.pk}", answers)
        given += len(answers)
    return given


def crowd(round: Round, says: Sequence[Say]) -> list[Worker]:
    """One worker for each way of answering; each votes on all that is offered."""
    first = Worker.objects.count()
    workers = [make_worker(f"worker{first + number}") for number in range(len(says))]
    for worker, say in zip(workers, says, strict=True):
        vote_all(round, worker, say)
    return workers
