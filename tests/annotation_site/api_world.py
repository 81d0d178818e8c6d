"""One dataset with everything the API speaks of: rounds of both questions, gold, votes, a pass, a release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.db import transaction
from django.test import Client, override_settings

from annotation_site.models import (
    ApiToken,
    Membership,
    Quiz,
    QuizVersion,
    Role,
    Round,
    Task,
    User,
    Worker,
)
from annotation_site.services.accounts import worker_of
from annotation_site.services.claims import claim_batch
from annotation_site.services.consent import accept, save_text
from annotation_site.services.members import make_link
from annotation_site.services.rounds import open_round
from annotation_site.services.votes import Answer, record_votes
from export.models import Release
from export.services.publish import publish_release
from export.services.sharing import share_release, terms_of
from ingest.models import Dataset, NearTakedown, Takedown
from quality.models import Gold, PlannedRound, WorkerAction
from quality.services.adjudication import adjudicate
from quality.services.consensus import aggregate_round
from tests.export.world import World
from training.models import TrainingRun

OTHER = "someone-else"
"""The worker of votes that nobody but curators and reviewers may see."""


@dataclass
class ApiWorld:
    """What there is, and a token for each role."""

    dataset: Dataset
    labelled: Round
    verify: Round
    gold: Task
    plain: Task
    decided: Task
    release: Release
    run: TrainingRun
    assignment: int
    leased: list[int]
    other: Worker
    planned: PlannedRound
    near: NearTakedown
    tokens: dict[str, str]
    """By role; `stranger` has none, `outsider` is the curator of another dataset."""
    reader: str
    """The curator's token that may read, and nothing else."""

    def get(self, path: str, role: str = "curator", **headers: str) -> Any:
        """The answer to a GET of `/api/v1/PATH` (or a whole address) by the person of this role."""
        return self.ask("GET", path, role, None, headers)

    def post(self, path: str, body: Any, role: str = "curator", **headers: str) -> Any:
        """The answer to a POST of JSON."""
        return self.ask("POST", path, role, body, headers)

    def patch(self, path: str, body: Any, role: str = "curator") -> Any:
        """The answer to a PATCH with JSON."""
        return self.ask("PATCH", path, role, body, {})

    def put(self, path: str, body: Any, role: str = "curator") -> Any:
        """The answer to a PUT of JSON."""
        return self.ask("PUT", path, role, body, {})

    def delete(self, path: str, role: str = "curator") -> Any:
        """The answer to a DELETE."""
        return self.ask("DELETE", path, role, None, {})

    def ask(self, method: str, path: str, role: str, body: Any, headers: dict[str, str]) -> Any:
        """The answer to any request; `role` "" is nobody."""
        address = path if "/api/v1/" in path else f"/api/v1/{path}"
        if role:
            token = self.reader if role == "reader" else self.tokens[role]
            headers = {"Authorization": f"Bearer {token}", **headers}
        data = "" if body is None else json.dumps(body)
        return Client().generic(method, address, data, content_type="application/json", headers=headers)

    @cached_property
    def known(self) -> dict[str, list[Any]]:
        """Values that the names in the API's addresses and bodies may stand for, as it was built."""
        return {
            "name": [self.dataset.name],
            "dataset": [self.dataset.name],
            "version": [self.release.version],
            "round_id": [self.labelled.pk, self.verify.pk],
            "round": [self.labelled.pk],
            "run_id": [self.run.pk],
            "sha256": [self.gold.image.sha256, self.plain.image.sha256, terms_of(self.release).sha256],
            "task": [*self.leased, self.gold.pk, self.plain.pk],
            "task_id": [self.gold.pk, self.plain.pk, self.decided.pk],
            "code": [self.other.code],
            "assignment": [self.assignment],
            "label": ["finch", "yes", "__none__"],
            "category": ["finch"],
            "username": ["some-annotator"],
            "role": ["annotator"],
            "link_id": [self.dataset.invitation_links.order_by("pk").values_list("pk", flat=True)[0]],
            "group_id": [self.plain.image.group_id],
            "groups": [[self.gold.image.group_id, self.plain.image.group_id]],
            "images": [[self.plain.image.sha256], "all", "listed"],
            "image": [self.plain.image.sha256],
            "source_id": [self.dataset.sources.order_by("pk").values_list("pk", flat=True)[0]],
            "planned_id": [self.planned.pk],
            "token_id": [ApiToken.objects.get(name="reader").pk],
            "near_id": [self.near.pk],
            "quiz_id": [self.dataset.quizzes.get().pk],
            "key": ["finch"],
            "language": ["zh-hans"],
            "read": [1],
            "seen": [1],
            "password": ["some-password"],
            "reason": ["to see what happens"],
        }


@contextmanager
def one_world(folder: Path, django_db_blocker: Any) -> Iterator[ApiWorld]:
    """The world for a file of tests: what a test changes is undone after it, and all of it at the end."""
    own = {"DATA_DIR": folder, "STORAGE_URL": str(folder / "store")}
    with django_db_blocker.unblock(), override_settings(**own), transaction.atomic():
        yield build(folder / "releases")
        transaction.set_rollback(True)


def build(folder: Path) -> ApiWorld:
    """Build it through the real services; the release goes into `folder`."""
    world = World(workers=3).fill({"train": 3, "val": 1, "test": 2})
    dataset = world.dataset
    release = publish_release(dataset, "1.0.0", folder).release
    share_release(release)
    people = {role: User.objects.create(username=f"some-{role}") for role in Role.values}
    people["stranger"] = User.objects.create(username="a-stranger")
    people["annotator"].set_password("some-password")
    people["annotator"].save()
    for role in Role.values:
        Membership.objects.create(user=people[role], dataset=dataset, role=role)
    people["outsider"] = User.objects.create(username="an-outsider")
    elsewhere = Dataset.objects.create(name="elsewhere")
    Membership.objects.create(user=people["outsider"], dataset=elsewhere, role=Role.CURATOR)
    tokens = {role: ApiToken.issue(user) for role, user in people.items()}
    reader = ApiToken.issue(people["curator"], "reader", ApiToken.Scope.READ)
    make_link(people["curator"], dataset, Role.ANNOTATOR)
    save_text(people["curator"], dataset, "Stop whenever you like.", seen=0)
    accept(people["annotator"], dataset, 1)
    images = list(dataset.images.order_by("pk"))
    for image in images[:2]:
        Gold.objects.create(dataset=dataset, image=image, category=world.categories["owl"])
    labelled = open_round(
        dataset,
        "classify",
        tasks=[(image.pk, None) for image in images],
        gold_image_ids={image.pk for image in images[:2]},
        gold_rate=0.2,
        title="Labelled",
        instructions="Look twice.",
        audit_rate=0.0,
    )
    other = Worker.objects.create(code=OTHER, provider="crowd")
    for worker in (other, *world.workers, worker_of(people["annotator"])):
        answer_some(worker, labelled)
    aggregate_round(labelled)
    WorkerAction.objects.create(worker=other, dataset=dataset, action="warn", reason="too quick", by="cora")
    verify = open_round(
        dataset,
        "verify",
        tasks=[(image.pk, world.categories["owl"].pk) for image in images],
        title="Verify",
        audit_rate=0.0,
    )
    batch = claim_batch(worker_of(people["annotator"]), verify, 2)
    assert batch is not None
    run = TrainingRun.objects.create(release=release, preset="quick", arms="majority")
    tasks = labelled.tasks.select_related("image").order_by("pk")
    gold, (plain, decided) = tasks.filter(gold=True)[0], tasks.filter(gold=False, vote_set__worker=other)[:2]
    adjudicate(decided, "owl", "ada")
    planned = PlannedRound.objects.create(
        dataset=dataset, key="k", asked={}, state="failed", error="no image"
    )
    gone = Takedown.objects.create(dataset=dataset, sha256="f" * 64, reason="asked for", by="cora")
    near = NearTakedown.objects.create(takedown=gone, image=images[0], distance=3)
    quiz = Quiz.objects.create(dataset=dataset, title="Owls", question="classify")
    version = QuizVersion.objects.create(quiz=quiz, number=1)
    version.categories.set(dataset.categories.all())
    version.questions.create(image=images[-1], answer="owl", why="It says hoo.")
    return ApiWorld(
        dataset, labelled, verify, gold, plain, decided, release, run, batch.assignment.pk,
        [task.pk for task in batch.tasks], other, planned, near, tokens, reader,
    )  # fmt: skip


def answer_some(worker: Worker, round: Round, most: int = 8) -> None:
    """Let a worker answer a batch: owl, which is right; `OTHER` says finch of every second picture."""
    batch = claim_batch(worker, round, most)
    if batch is None:
        return
    odd = worker.code == OTHER
    answers = [Answer(task.pk, "finch" if odd and task.pk % 2 else "owl", 1.5) for task in batch.tasks]
    record_votes(worker, batch.assignment.pk, f"{worker.pk}", answers)
