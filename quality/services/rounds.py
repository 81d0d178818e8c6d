"""Opening a round: on chosen images, or the same people again."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from annotation_site.models import Round
from annotation_site.services import rounds as site_rounds
from ingest.models import Dataset
from quality.presets import SAMPLE_TASKS, SAMPLE_VOTES
from quality.services.choosing import EVERY, UNLABELLED, Pair, RoundPlan, categories_found, choose_tasks
from quality.services.followups import Proposed, UnusableRound, keep_proposals, repeats_among

__all__ = [
    "EVERY",
    "UNLABELLED",
    "RoundPlan",
    "open_labelling_round",
    "open_repeat_round",
    "round_summary",
]


def open_labelling_round(
    dataset: Dataset,
    question: str,
    *,
    images: str | Sequence[str] = EVERY,
    plan: RoundPlan | None = None,
    proposals: Sequence[Proposed] | None = None,
    invited: Sequence[int] | None = None,
    category: str = "",
    made: Callable[[Round, int, int], object] = lambda round, done, of: None,
) -> Round:
    """Open a round on the representatives of duplicate groups.

    1. Check the plan, and that every image has a duplicate group.
    2. Choose the images: `all`, `unlabelled` (in no classify round settled yet), `disputed` or
       `unsure[:BELOW]` (what earlier rounds left open, see `followups.taken_up`), or a list of keys (sha256,
       unique source path or URL; a copy stands for its group).
    3. Where gold is given out, the gold images become tasks too and are marked.
    4. In a verify round each image is paired with the categories that `proposals` name; without them with
       the leading label of the disputed picture, or with every category under which its group was searched.

    Args:
        proposals: labels to verify; `images` is then left aside.
        invited: ids of the only workers who are given tasks; None: everyone who labels the dataset.
        category: in a verify round, ask about this category alone; nothing: about all.
        made: see `annotation_site.services.rounds.open_round`.

    Raises:
        UnusableRound: see the message; nothing was made.
    """
    plan = plan or RoundPlan()
    chosen = choose_tasks(
        dataset, question, images=images, plan=plan, proposals=proposals, invited=invited, category=category
    )
    sample: set[Pair] = set()
    if plan.wish.preset:
        sample = _first_sample(
            dataset, [pair for pair in chosen.pairs if pair[0] not in chosen.gold], plan.seed
        )
        plan = replace(plan, wish=replace(plan.wish, sample_below=len(sample)))
    opened = site_rounds.open_round(
        dataset,
        question,
        tasks=chosen.pairs,
        gold_image_ids=chosen.gold,
        invited=invited,
        parent=chosen.parent,
        first=sample,
        first_votes=SAMPLE_VOTES,
        made=made,
        **plan.settings(),
    )
    keep_proposals(opened, chosen.proposals)
    return opened


def open_repeat_round(
    first: Round,
    share: float = 0.05,
    *,
    plan: RoundPlan | None = None,
    invited: Sequence[int] | None = None,
    made: Callable[[Round, int, int], object] = lambda round, done, of: None,
) -> Round:
    """Ask the workers of a round again about a random share of the pictures that each of them answered.

    The answers measure how far people agree with themselves; no consensus is computed from them. Each task
    wants one vote from each worker it is for, and nobody else gets it.

    Raises:
        UnusableRound: see the message; nothing was made.
    """
    plan = plan or RoundPlan()
    plan.check()
    if plan.quiz is not None:
        raise UnusableRound("a repeat asks people who have labelled already: leave out the quiz")
    again = repeats_among(first, share, plan.seed, invited)
    most = max(len(workers) for workers in again.values())
    told = first.instructions.filter(version=first.instructions_version).first()
    settings = plan.settings() | {
        "title": plan.title or str(first),
        "instructions": plan.instructions or (told.text if told else ""),
        "votes_min": 1,
        "votes_max": most,
        "audit_rate": 0.0,
        "gold_rate": 0.0,
        "stopping": {},
    }
    return site_rounds.open_round(
        first.dataset, first.question, tasks=list(again), repeated=again, parent=first, made=made, **settings
    )


def round_summary(round: Round) -> dict[str, Any]:
    """`round`, `tasks`, `gold`, `parent`, `workers` (None: everyone) and `quiz`, for `open_round --json`."""
    everyone = round.access == Round.Access.EVERYONE
    return {
        "round": round.pk,
        "tasks": round.tasks_total,
        "gold": round.tasks.filter(gold=True).count(),
        "parent": round.parent_id,
        "workers": None if everyone else round.invitations.values("worker").distinct().count(),
        "quiz": None if round.quiz is None else round.quiz.title,
    }


def _first_sample(dataset: Dataset, pairs: Sequence[Pair], seed: int) -> set[Pair]:
    """A random SAMPLE_TASKS of each category's tasks: the one proposed, else one the image was found under.

    Images that were found under no category are sampled as if they were of all categories in equal shares.
    """
    category_of = dict(pairs)
    loose = iter([image_id for image_id, proposed in pairs if proposed is None])
    category_of |= dict(categories_found(dataset, loose))
    strata: dict[int | None, list[Pair]] = defaultdict(list)
    for pair in pairs:
        strata[pair[1] if pair[1] is not None else category_of[pair[0]]].append(pair)
    sample: set[Pair] = set()
    for category, members in strata.items():
        wanted = SAMPLE_TASKS * (1 if category is not None else max(1, dataset.categories.current().count()))
        rng = random.Random(f"first sample {seed} {category}")
        sample |= set(rng.sample(members, min(wanted, len(members))))
    return sample
