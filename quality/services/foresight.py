"""What a round would ask and cost, before it is opened; and what was asked for on the site, as a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from annotation_site.models import Round
from ingest.models import Candidate, Dataset
from quality.models import Gold
from quality.presets import SAMPLE_TASKS, SAMPLE_VOTES
from quality.services.choosing import (
    EVERY,
    UNLABELLED,
    RoundPlan,
    check_ready,
    choose_tasks,
    told_by_quiz,
    usual_batch,
)
from quality.services.followups import (
    DISPUTED,
    UNSURE,
    Proposed,
    UnusableRound,
    eligible_workers,
    read_proposals,
    repeats_among,
)
from quality.services.settling import Wish

COUNTED = 100_000
"""Up to so many images the tasks of a round are counted before it opens; beyond, kept counters bound them."""
LISTED = "listed"
INVITED = "invited"


@dataclass(frozen=True)
class Asked:
    """What a curator asked for; `RoundPlan` has the numbers. `keys`: images named one by one.

    `proposals`: (image, label, probability) to be verified, by `origin`; the images are left aside then.
    `repeat`: the round whose people are asked a `share` of their answers again; all else that says what is
    asked is left aside then.
    """

    question: str
    plan: RoundPlan
    images: str = EVERY
    below: float | None = None
    keys: tuple[str, ...] = ()
    category: str = ""
    least_skill: float | None = None
    workers: tuple[str, ...] | None = None
    everyone: bool = True
    proposals: tuple[tuple[str, str, float | None], ...] | None = None
    origin: str = ""
    repeat: int | None = None
    share: float = 0.05

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Asked:
        """From the fields of the form, as `PlannedRound.asked` keeps them (plain JSON).

        Those that only programs send, and earlier versions did not keep, may be missing.
        """
        plan = RoundPlan(
            votes_min=fields["votes_min"],
            votes_max=fields["votes_max"],
            confidence=fields["confidence"],
            gold_rate=fields["gold_rate"],
            audit_rate=fields["audit_rate"],
            batch_size=fields["batch_size"] or usual_batch(fields["question"]),
            lease_seconds=60 * fields["lease_minutes"],
            order=fields.get("order") or Round.Order.FINISH,
            title=fields["title"],
            instructions=fields["instructions"],
            price=Decimal(fields["price"]),
            quiz=fields.get("quiz"),
            tells_agreement=fields.get("tells_agreement", True),
            seed=fields.get("seed", 0),
            wish=Wish(
                category_confidence=fields.get("category_confidence", {}),
                expected_accuracy=fields.get("expected_accuracy"),
                least_gain=fields.get("least_gain", 0.0),
                preset=fields["preset"],
            ),
        )
        invited = fields["access"] == INVITED
        names = tuple(fields["workers"].split()) if invited else ()
        proposals = fields.get("proposals")
        return cls(
            question=fields["question"],
            plan=plan,
            images=fields["images"],
            below=fields["below"],
            keys=tuple(dict.fromkeys(line.strip() for line in fields["keys"].splitlines() if line.strip())),
            category=fields["category"] if fields["question"] == Round.Question.VERIFY else "",
            least_skill=fields["least_skill"] if invited else None,
            workers=names or None,
            everyone=not invited,
            proposals=None if proposals is None else tuple((i, label, p) for i, label, p in proposals),
            origin=fields.get("origin", ""),
            repeat=fields.get("repeat"),
            share=fields.get("share", 0.05),
        )

    def which(self) -> str | Sequence[str]:
        """The images as `open_labelling_round` takes them."""
        if self.images == LISTED:
            if not self.keys:
                raise UnusableRound("no image is named: one a line, by SHA-256, path or URL")
            return self.keys
        return f"{UNSURE}:{self.below}" if self.images == UNSURE and self.below else self.images

    def proposed(self, dataset: Dataset) -> list[Proposed] | None:
        """The labels to verify, if they are given one by one."""
        return None if self.proposals is None else read_proposals(dataset, self.proposals, self.origin)

    def repeated(self, dataset: Dataset) -> Round:
        """The round whose people are asked again."""
        found = dataset.rounds.filter(pk=self.repeat or 0).first()
        if found is None:
            raise UnusableRound(f"dataset {dataset.name} has no round {self.repeat}")
        if self.plan.wish != Wish():
            raise UnusableRound(
                "a repeat measures people and settles nothing: leave out preset, category_confidence, "
                "expected_accuracy and least_gain"
            )
        return found

    def invited(self, dataset: Dataset) -> list[int] | None:
        """Ids of the workers whom it is for; None: everyone."""
        if self.everyone:
            return None
        if self.least_skill is None and self.workers is None:
            raise UnusableRound("a round for invited people needs a least skill, or their names")
        return eligible_workers(dataset, self.least_skill, self.workers)


@dataclass(frozen=True)
class Foreseen:
    """What a round would be. `exact`: counted; else at most so many. Costs in USD, gold included.

    `images`: pictures asked about; `tasks`: of them with their categories, gold aside; `gold`: gold tasks.
    `workers`: how many are invited; None: everyone. `quizzed`: pictures left out, being in the round's quiz.
    """

    images: int
    tasks: int
    gold: int
    votes_least: int
    votes_most: int
    cost_least: Decimal
    cost_most: Decimal
    exact: bool
    workers: int | None = None
    quizzed: int = 0


def foresee(dataset: Dataset, asked: Asked) -> Foreseen:
    """What the round would ask, get and cost.

    Raises:
        UnusableRound: it cannot be opened; see the message.
    """
    invited = asked.invited(dataset)
    if asked.repeat is not None:
        return _repeated(dataset, asked, invited)
    if dataset.images_stored <= COUNTED or asked.images == LISTED or asked.proposals is not None:
        found = choose_tasks(
            dataset, asked.question, images=asked.which(), plan=asked.plan, invited=invited,
            category=asked.category, proposals=asked.proposed(dataset),
        )  # fmt: skip
        gold = sum(pair[0] in found.gold for pair in found.pairs)
        images, tasks, exact = len({pair[0] for pair in found.pairs}), len(found.pairs) - gold, True
        quizzed = found.quizzed
    else:
        asked.plan.check()
        asked.which()
        check_ready(dataset, asked.question)
        quizzed = len(told_by_quiz(dataset, asked.question, asked.plan))
        images, tasks = _bounds(dataset, asked)
        gold = Gold.objects.filter(dataset=dataset, retired=None).count() if asked.plan.gold_rate else 0
        exact = asked.images == EVERY and asked.question == Round.Question.CLASSIFY and not gold
    priced = _priced(dataset, asked.plan, images, tasks, gold, exact, invited)
    return replace(priced, quizzed=quizzed)


def _repeated(dataset: Dataset, asked: Asked, invited: Sequence[int] | None) -> Foreseen:
    """Each worker answers each of their own once more."""
    asked.plan.check()
    again = repeats_among(asked.repeated(dataset), asked.share, asked.plan.seed, invited)
    votes = sum(len(workers) for workers in again.values())
    cost = votes * asked.plan.price
    people = len({worker for workers in again.values() for worker in workers})
    return Foreseen(len({pair[0] for pair in again}), len(again), 0, votes, votes, cost, cost, True, people)


def _priced(
    dataset: Dataset, plan: RoundPlan, images: int, tasks: int, gold: int, exact: bool,
    invited: Sequence[int] | None,
) -> Foreseen:  # fmt: skip
    """With votes and cost. Fewer people than votes give as many votes as they are."""
    most_each = plan.votes_max if invited is None else min(plan.votes_max, len(invited))
    least_each = min(plan.votes_min, most_each)
    audited = round(plan.audit_rate * tasks)
    least = tasks * least_each + audited * (most_each - least_each)
    if plan.wish.preset:
        sample = min(tasks, SAMPLE_TASKS * max(1, dataset.categories.current().count()))
        least += max(0, sample - audited) * max(0, min(SAMPLE_VOTES, most_each) - least_each)
    most = tasks * most_each
    of_vote = plan.price / (1 - Decimal(str(plan.gold_rate)))
    return Foreseen(
        images, tasks, gold, least, most, least * of_vote, most * of_vote, exact,
        None if invited is None else len(invited),
    )  # fmt: skip


def _bounds(dataset: Dataset, asked: Asked) -> tuple[int, int]:
    """(images, tasks) at most, from kept counters."""
    rounds = [r for r in dataset.rounds.all() if not r.is_repeat]
    images = dataset.groups_found
    if asked.images == UNLABELLED:
        images -= max((r.tasks_settled for r in rounds if r.question == Round.Question.CLASSIFY), default=0)
    elif asked.images == DISPUTED:
        images = min(images, sum(r.tasks_exhausted for r in rounds))
    elif asked.images == UNSURE:
        images = min(images, sum(r.tasks_total for r in rounds))
    if images <= 0:
        raise UnusableRound("no image was chosen for the round")
    if asked.question == Round.Question.CLASSIFY:
        return images, images
    if not asked.category:
        return images, dataset.candidates_found
    sources = dataset.sources.filter(category__key=asked.category)
    found = Candidate.objects.filter(source__in=sources, image__isnull=False).count()
    return min(images, found), min(images, found)
