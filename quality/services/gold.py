"""Gold that keeps its worth: fresh from settled images, watched for leaks, retired when it leaked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from annotation_site.figures import number_of
from annotation_site.models import NONE, Round, Task
from annotation_site.services.locking import short_write
from annotation_site.services.quiz_making import pictures_of
from annotation_site.services.tables import votes_table
from annotation_site.services.voiding import retire_gold_tasks
from ingest.models import Dataset, DuplicateGroup, Image
from ingest.services.images import representatives, resolve_images
from quality.gold import Leak, choose_settled, leaks
from quality.models import Consensus, Gold, Reference
from quality.services.known import UnusableAnswers
from quality.services.stored import ABSTAIN, as_answer, slices

SURE = 0.9
"""Consensus at this confidence tells how often a worker is right outside gold."""


@dataclass(frozen=True)
class GoldReport:
    """The dataset's gold in figures, and what seems to have leaked."""

    expert: int
    settled: int
    retired: int
    answers: int
    right: float | None
    leaks: list[Leak]

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**vars(self), "leaks": [leak._asdict() for leak in self.leaks]}


def add_settled_gold(dataset: Dataset, wanted: int, seed: int = 0) -> pd.DataFrame:
    """Take up to `wanted` settled images as gold that screens workers (see `quality.gold.choose_settled`).

    Never an image with an expert's reference, of the test split, in a quiz, or that was gold before. They are
    handed out in rounds opened from now on, and to nobody who voted on the image.

    Returns:
        The chosen rows: `image` (sha256), `label`, `confidence`, `votes`, `difficulty`.

    Raises:
        UnusableAnswers: no settled image may be taken.
    """
    chosen = choose_settled(_candidates(dataset), wanted, seed)
    if not len(chosen):
        raise UnusableAnswers(
            f"dataset {dataset.name} has no settled image outside the test split that is sure enough, has no "
            "reference and was not gold before"
        )
    category_of: dict[str, int | None] = {**dict(dataset.categories.values_list("key", "id")), NONE: None}
    ids = dict(
        Image.objects.filter(dataset=dataset, sha256__in=list(chosen["image"])).values_list("sha256", "id")
    )
    for part in slices(zip(chosen["image"], chosen["label"], strict=True)):
        new = [
            Gold(dataset=dataset, image_id=ids[i], category_id=category_of[c], origin=Gold.Origin.SETTLED)
            for i, c in part
        ]
        with short_write():
            Gold.objects.bulk_create(new, ignore_conflicts=True)
    return chosen


def _candidates(dataset: Dataset) -> pd.DataFrame:
    """Settled classify tasks as `image,label,confidence,votes`; the newest round that settled an image."""
    group = OuterRef("task__image__group")
    known = Q(image__group=group) | Q(image=OuterRef("task__image"))
    barred = DuplicateGroup.objects.filter(pk=group, draw__lt=dataset.shares.test)
    rows = (
        Consensus.objects.filter(task__round__dataset=dataset, task__state=Task.State.SETTLED)
        .filter(task__gold=False, task__category=None, tie=False)
        .filter(
            ~Exists(Reference.objects.filter(known)), ~Exists(Gold.objects.filter(known)), ~Exists(barred)
        )
        .exclude(task__round__access=Round.Access.REPEAT)
        .exclude(category__retired__isnull=False)
        .exclude(task__image__in=pictures_of(dataset))
        .order_by("task__image__sha256", "-task__round_id")
        .values_list("task__image__sha256", "label", "confidence", "votes")
    )
    table = pd.DataFrame(list(rows), columns=["image", "label", "confidence", "votes"])
    return table.drop_duplicates("image", ignore_index=True)


def retire_gold(dataset: Dataset, keys: Iterable[str]) -> tuple[int, int]:
    """Stop screening with these images; returns how many were retired, and how many tasks became ordinary.

    Nothing is deleted. An expert's answer stays known, so consensus stays there; an image that was gold from
    a settled task is settled by its votes. Their tasks are ordinary ones from now on: votes on them count
    like any, the next pass settles them, and later rounds ask about the image like about others.

    Args:
        keys: sha256, or unique source path or URL, as `add_gold` takes them.

    Raises:
        UnusableAnswers: an unknown image, or one that is no gold; nothing was changed.
    """
    wanted = list(dict.fromkeys(keys))
    resolved = resolve_images(dataset, wanted)
    unknown = [*resolved.unknown, *resolved.ambiguous]
    if unknown:
        raise UnusableAnswers(
            f"{number_of(len(unknown), 'image is', 'images are')} unknown, or several have that path: "
            f"{', '.join(unknown[:3])}"
        )
    standing = representatives(resolved.found.values())
    ids = {image.pk for image in resolved.found.values()} | {image.pk for image in standing.values()}
    groups = [image.group_id for image in standing.values() if image.group_id]
    held = Gold.objects.filter(Q(image__in=ids) | Q(image__group__in=groups), dataset=dataset)
    gold = dict(held.values_list("image_id", "retired"))
    none = [key for key, image in resolved.found.items() if not {image.pk, standing[image.pk].pk} & set(gold)]
    if none:
        raise UnusableAnswers(
            f"{number_of(len(none), 'image is', 'images are')} no gold: {', '.join(none[:3])}"
        )
    with short_write():
        now = held.filter(retired=None).update(retired=timezone.now())
    return now, retire_gold_tasks(sorted(ids | set(gold)))


def gold_report(dataset: Dataset) -> GoldReport:
    """How the dataset's gold is answered, and which of it seems to have leaked."""
    counts = list(Gold.objects.filter(dataset=dataset).values_list("origin", "retired"))
    live = [origin for origin, retired in counts if retired is None]
    frame = gold_answers(dataset)
    gold = frame[frame["gold"] & frame["right"].notna()]
    return GoldReport(
        live.count(Gold.Origin.EXPERT.value),
        live.count(Gold.Origin.SETTLED.value),
        len(counts) - len(live),
        len(gold),
        float(gold["right"].mean()) if len(gold) else None,
        leaks(frame),
    )


def gold_answers(dataset: Dataset) -> pd.DataFrame:
    """The dataset's counted votes in order as `task,worker,right,gold,seconds`; `task` is the image.

    `right` says whether the vote is the known answer (gold) or the sure consensus (else NaN).
    """
    votes = votes_table(dataset)
    votes = votes[~votes["label"].isin(ABSTAIN)].reset_index(drop=True)
    known = {}
    held = Gold.objects.filter(dataset=dataset, retired=None)
    for sha, key in held.values_list("image__sha256", "category__key"):
        known[sha] = key or NONE
    told: dict[int, str] = {}
    rounds = {round.pk: round for round in dataset.rounds.all()}
    tasks = Task.objects.filter(round__dataset=dataset, gold=True)
    fields = ("pk", "round_id", "image__sha256", "category__key")
    for pk, round_id, sha, proposed in tasks.values_list(*fields):
        if sha in known:
            told[pk] = as_answer(rounds[round_id], known[sha], proposed or "")
    sure = Consensus.objects.filter(task__round__dataset=dataset, task__gold=False, confidence__gte=SURE)
    told.update(sure.values_list("task_id", "label"))
    truth = votes["task"].map(told)
    right = (votes["label"] == truth).astype(float).where(truth.notna())
    return pd.DataFrame(
        {
            "task": votes["image"], "worker": votes["worker"], "right": right,
            "gold": votes["gold"] & votes["image"].isin(known), "seconds": votes["seconds"],
        }
    )  # fmt: skip
