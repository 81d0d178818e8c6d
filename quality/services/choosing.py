"""Which tasks a round would have: the images asked about, which of them are gold, what is proposed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from django.db.models import Exists, OuterRef
from django.db.models.functions import Coalesce

from annotation_site.figures import number_of
from annotation_site.models import NONE, Round, Task
from annotation_site.services.claims import MAX_BATCH
from annotation_site.services.quiz_making import check_quiz, pictures_of
from annotation_site.services.refusals import Refusal
from ingest.models import Candidate, Dataset, DuplicateGroup, Image
from ingest.services.images import representatives, resolve_images
from ingest.services.takedown import refused_hashes
from quality.models import Gold
from quality.presets import SAMPLE_VOTES
from quality.services.followups import (
    DISPUTED,
    UNSURE,
    Proposed,
    TakenUp,
    UnusableRound,
    nothing_taken_up,
    proposals_of,
    taken_up,
)
from quality.services.settling import Wish

CHUNK = 2000
"""Rows read at a time."""
EVERY, UNLABELLED = "all", "unlabelled"
Pair = tuple[int, int | None]
"""Image id and, in a verify round, Category id."""


BATCH, GRID = 20, 48
"""Pictures of a batch where nobody says how many: looked at one by one, and in the grid of a verify round."""


def usual_batch(question: str) -> int:
    """The batch of a round of this question where nobody says otherwise."""
    return GRID if question == Round.Question.VERIFY else BATCH


@dataclass(frozen=True)
class RoundPlan:
    """Who is asked how often. Rates and confidence are fractions, 0 to 1; `price`: of one vote, in USD.

    `quiz`: id of the one that annotators pass first; `tells_agreement`: whether they see, once the round is
    closed, how often they were right on gold.
    """

    votes_min: int = 3
    votes_max: int = 9
    confidence: float = 0.95
    gold_rate: float = 0.0
    audit_rate: float = 0.05
    batch_size: int = BATCH
    lease_seconds: int = 1800
    order: str = Round.Order.FINISH
    title: str = ""
    instructions: str = ""
    seed: int = 0
    price: Decimal = Decimal(0)
    quiz: int | None = None
    tells_agreement: bool = True
    wish: Wish = field(default_factory=Wish)

    def check(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            UnusableRound: with the number that is wrong.
        """
        if not 1 <= self.votes_min <= self.votes_max <= 1000:
            raise UnusableRound(
                f"votes must be 1 <= min <= max <= 1000; got min {self.votes_min}, max {self.votes_max}"
            )
        if not 0 < self.confidence < 1:
            raise UnusableRound(f"the confidence must be between 0 and 1; got {self.confidence}")
        if not 0 <= self.gold_rate <= 0.9:
            raise UnusableRound(f"the gold rate must be from 0 to 0.9; got {self.gold_rate}")
        if not 0 <= self.audit_rate <= 1:
            raise UnusableRound(f"the audit share must be from 0 to 1; got {self.audit_rate}")
        if not 1 <= self.batch_size <= MAX_BATCH:
            raise UnusableRound(f"the batch size must be from 1 to {MAX_BATCH}; got {self.batch_size}")
        if not 60 <= self.lease_seconds <= 86_400:
            raise UnusableRound(f"a lease lasts from 1 minute to 24 hours; got {self.lease_seconds} seconds")
        if self.order not in Round.Order.values:
            raise UnusableRound(f"the order is {', '.join(Round.Order.values)}; got {self.order!r}")
        if len(self.title) > 200:
            raise UnusableRound(f"the title has at most 200 characters; got {len(self.title)}")
        if not 0 <= self.price < 10_000:
            raise UnusableRound(f"the price of a vote must be from 0 to 9999 USD; got {self.price}")
        try:
            self.wish.check(self.votes_max)
        except ValueError as error:
            raise UnusableRound(str(error)) from None

    def settings(self) -> dict[str, Any]:
        """What the site's `open_round` takes of it."""
        fields = asdict(self)
        del fields["wish"]
        fields["quiz_id"] = fields.pop("quiz")
        return {**fields, "stopping": self.wish.as_dict()}


@dataclass(frozen=True)
class Chosen:
    """The tasks of a round that is not made yet. `gold`: images whose tasks are gold.

    `quizzed`: pictures that would be among them and are left out, since the round's quiz tells their answers.
    """

    pairs: list[Pair]
    gold: frozenset[int]
    parent: Round | None
    proposals: Sequence[Proposed]
    quizzed: int = 0


def choose_tasks(
    dataset: Dataset,
    question: str,
    *,
    images: str | Sequence[str] = EVERY,
    plan: RoundPlan,
    proposals: Sequence[Proposed] | None = None,
    invited: Sequence[int] | None = None,
    category: str = "",
) -> Chosen:
    """Which tasks a round would have; nothing is made. As `open_labelling_round`, which opens it on them."""
    plan.check()
    if question not in Round.Question.values:
        raise UnusableRound(f"the question is classify or verify; got {question!r}")
    if proposals is not None and question != Round.Question.VERIFY:
        raise UnusableRound("proposals are answered by yes or no: they need a verify round")
    only = _only_category(dataset, question, category)
    check_ready(dataset, question)
    _check_wish(dataset, plan.wish, invited)
    told = told_by_quiz(dataset, question, plan)
    gold_ids = _gold_ids(dataset, plan)
    parent = None
    if proposals is None and isinstance(images, str) and images.partition(":")[0] in (DISPUTED, UNSURE):
        rows = list(taken_up(dataset, images, plan.confidence))
        if not rows:
            raise UnusableRound(nothing_taken_up(dataset, images))
        parent = dataset.rounds.get(pk=max(row.round_id for row in rows))
        tasks, proposals = _tasks_taken_up(dataset, question, rows)
    elif proposals is not None:
        tasks = iter([(p.image_id, p.category_id) for p in proposals])
    else:
        tasks = _tasks(dataset, question, images)
    gold = iter(sorted(gold_ids))
    known = (
        categories_found(dataset, gold) if question == Round.Question.VERIFY else ((i, None) for i in gold)
    )
    if only is not None:
        tasks, known = (filter(lambda pair: pair[1] == only, some) for some in (tasks, known))
        proposals = [p for p in proposals or () if p.category_id == only]
    gone = set(dataset.images.filter(sha256__in=refused_hashes(dataset)).values_list("pk", flat=True))
    asked = _each_once(chain(_at_least_one(tasks, question, images), known))
    standing = [pair for pair in asked if pair[0] not in gone]
    if not standing:
        raise UnusableRound("every image that was chosen was taken down")
    pairs = [pair for pair in standing if pair[0] not in told]
    if not pairs:
        raise UnusableRound("every image that was chosen is in the quiz, which tells its answer")
    proposals = [p for p in proposals or () if p.image_id not in gone | told]
    quizzed = len({pair[0] for pair in standing} & told)
    return Chosen(pairs, frozenset(gold_ids - gone), parent, proposals, quizzed)


def told_by_quiz(dataset: Dataset, question: str, plan: RoundPlan) -> set[int]:
    """Images whose answer the round's quiz tells."""
    if plan.quiz is None:
        return set()
    try:
        check_quiz(dataset, question, plan.quiz)
    except Refusal as refusal:
        raise UnusableRound(str(refusal)) from None
    return pictures_of(dataset, plan.quiz)


def _only_category(dataset: Dataset, question: str, key: str) -> int | None:
    """Id of the one category that a verify round asks about; None: about all."""
    if not key:
        return None
    if question != Round.Question.VERIFY:
        raise UnusableRound("a single category is asked about by yes or no: it needs a verify round")
    found = dataset.categories.current().filter(key=key).values_list("pk", flat=True).first()
    if found is None:
        raise UnusableRound(f"dataset {dataset.name} has no category {key[:100]}")
    return found


def check_ready(dataset: Dataset, question: str) -> None:
    """Refuse a dataset without images, groups or categories to ask about."""
    if not dataset.images.exists():
        raise UnusableRound(f"dataset {dataset.name} has no images yet: run manage.py ingest first")
    loose = dataset.images.filter(group=None, taken_down=None).count()
    if loose:
        raise UnusableRound(
            f"{number_of(loose, 'image is', 'images are')} in no duplicate group yet: "
            f"run manage.py dedup {dataset.name} first"
        )
    if question == Round.Question.CLASSIFY and not dataset.categories.current().exists():
        raise UnusableRound(f"dataset {dataset.name} has no categories to choose from")


def _check_wish(dataset: Dataset, wish: Wish, invited: Sequence[int] | None) -> None:
    known = set(dataset.categories.current().values_list("key", flat=True)) | {NONE}
    unknown = sorted(wish.category_confidence.keys() - known)
    if unknown:
        raise UnusableRound(
            f"{number_of(len(unknown), 'category', 'categories')} with a confidence not in dataset "
            f"{dataset.name}: "
            f"{', '.join(unknown[:3])}"
        )
    if wish.preset and invited is not None and len(invited) < SAMPLE_VOTES:
        raise UnusableRound(
            f"the preset gives its first sample {SAMPLE_VOTES} votes, but only "
            f"{number_of(len(invited), 'worker is', 'workers are')} invited"
        )


def _gold_ids(dataset: Dataset, plan: RoundPlan) -> set[int]:
    """Images whose task is gold: none where no gold is given out, so that they get votes like the others."""
    if not plan.gold_rate:
        return set()
    live = Gold.objects.filter(dataset=dataset, retired=None, category__retired=None)
    held = set(live.values_list("image_id", flat=True))
    if not held:
        raise UnusableRound(
            f"a gold rate of {plan.gold_rate} needs gold: run manage.py add_gold {dataset.name} FILE first"
        )
    # Groups may have merged since the gold was given: its representative stands for it.
    standing = {image.pk for image in representatives(Image.objects.filter(pk__in=held)).values()}
    # People work in several rounds, so what any quiz has told measures nobody.
    untold = standing - pictures_of(dataset)
    if not untold:
        raise UnusableRound("all gold is in quizzes, which tell its answers: add more, or ask for no gold")
    return untold


def _chosen_ids(dataset: Dataset, images: str | Sequence[str]) -> Iterator[int]:
    if isinstance(images, str):
        if images not in (EVERY, UNLABELLED):
            raise UnusableRound(
                f"images are all, unlabelled, disputed, unsure or a list of keys; got {images!r}"
            )
        groups = DuplicateGroup.objects.filter(dataset=dataset, representative__isnull=False)
        if images == UNLABELLED:
            settled = Task.objects.filter(
                image=OuterRef("representative"), state=Task.State.SETTLED, round__question="classify"
            )
            groups = groups.filter(~Exists(settled))
        return (
            groups.order_by("representative_id").values_list("representative_id", flat=True).iterator(CHUNK)
        )
    resolved = resolve_images(dataset, images)
    unknown = [*resolved.unknown, *resolved.ambiguous]
    if unknown:
        raise UnusableRound(
            f"{number_of(len(unknown), 'image is', 'images are')} unknown, or several have that path or URL: "
            f"{', '.join(unknown[:3])}"
        )
    return iter(sorted({image.pk for image in representatives(resolved.found.values()).values()}))


def _tasks(dataset: Dataset, question: str, images: str | Sequence[str]) -> Iterator[Pair]:
    """(image, proposed category or None) of the chosen images."""
    chosen = _chosen_ids(dataset, images)
    return (
        categories_found(dataset, chosen)
        if question == Round.Question.VERIFY
        else ((i, None) for i in chosen)
    )


def _tasks_taken_up(
    dataset: Dataset, question: str, rows: Sequence[TakenUp]
) -> tuple[Iterator[Pair], Sequence[Proposed]]:
    """The tasks for pictures that earlier rounds left open; in a verify round with what is proposed."""
    standing: dict[int, Image] = {}
    ids = iter(dict.fromkeys(row.image_id for row in rows))
    while chunk := list(islice(ids, CHUNK)):
        standing |= representatives(Image.objects.filter(pk__in=chunk))
    rows = [row._replace(image_id=standing[row.image_id].pk) for row in rows]
    if question == Round.Question.CLASSIFY:
        return iter([(row.image_id, None) for row in rows]), ()
    proposals = proposals_of(dataset, rows)
    return iter([(p.image_id, p.category_id) for p in proposals]), proposals


def _at_least_one(tasks: Iterator[Pair], question: str, images: str | Sequence[str]) -> Iterator[Pair]:
    first = next(tasks, None)
    if first is not None:
        return chain([first], tasks)
    if images == UNLABELLED:
        raise UnusableRound("every image is settled already")
    if question == Round.Question.VERIFY:
        raise UnusableRound("no label is proposed for any image, so a verify round has nothing to ask")
    raise UnusableRound("no image was chosen for the round")


def _each_once(tasks: Iterable[Pair]) -> Iterator[Pair]:
    seen: set[Pair] = set()
    for task in tasks:
        if task not in seen:
            seen.add(task)
            yield task


def categories_found(dataset: Dataset, image_ids: Iterator[int]) -> Iterator[tuple[int, int | None]]:
    """(image, category) for every category under which a member of the image's group was found.

    What a merged category was searched for is proposed as the one that took it in; what a split one was
    searched for, as none.
    """
    today = Coalesce("source__category__merged_into", "source__category")
    while chunk := list(islice(image_ids, CHUNK)):
        found = (
            Candidate.objects.filter(
                image__group__representative__in=chunk,
                source__dataset=dataset,
                source__category__isnull=False,
            )
            .exclude(source__category__retired__isnull=False, source__category__merged_into=None)
            .annotate(proposed=today)
            .order_by("image__group__representative", "proposed")
            .values_list("image__group__representative", "proposed")
            .distinct()
        )
        yield from found
