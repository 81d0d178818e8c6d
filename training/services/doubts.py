"""What a run doubts goes back to the people who label: in the round that is open, or in a new one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from annotation_site.models import Round
from ingest.models import Dataset
from quality.services.forecast import vote_price
from quality.services.issues import Asked, Doubt, Doubted, ask_about, doubts_of_run, open_rounds_of
from quality.services.rounds import RoundPlan, open_labelling_round
from training.models import TrainingRun


class AskedBefore(ValueError):
    """A round asks about them already; `round` is that one."""

    def __init__(self, round: Round) -> None:
        super().__init__(f"round {round.pk} asks about what this run doubts already")
        self.round = round


@dataclass(frozen=True)
class InRound:
    """An open round: how many of the pictures it asks about, and what `votes` more would be at most."""

    round: Round
    pictures: int
    votes: int
    cost: float


@dataclass(frozen=True)
class Preview:
    """What asking about the `pictures` most doubtful of `doubted` would mean.

    `shown`: (sha256, label, what the run says) of the first of them. `rounds`: those that are open;
    `elsewhere`: pictures in none of them. A new round asks for `least` to `most` votes, gold aside; their
    costs are in USD, gold included.
    """

    doubted: int
    pictures: int
    shown: list[tuple[str, str, str]]
    rounds: list[InRound]
    elsewhere: int
    least: int
    most: int
    cost_least: float
    cost_most: float


def preview(run: TrainingRun, pictures: int, votes: int, shown: int = 12) -> Preview:
    """What would be asked, and what it would cost; nothing is changed.

    Raises:
        UnusableIssues: the run has judged no picture that it was not taught, or doubts none.
    """
    dataset = run.release.dataset
    found = doubts_of_run(dataset, Path(run.folder))
    taken = found.doubts[:pictures]
    rows = [
        InRound(round, n, n * votes, n * votes * vote_price(round))
        for round, n in open_rounds_of(dataset, taken).items()
    ]
    plan = _plan(run, votes)
    price = float(plan.price) / (1.0 - plan.gold_rate)
    least, most = len(taken) * plan.votes_min, len(taken) * plan.votes_max
    return Preview(
        doubted=len(found.doubts),
        pictures=len(taken),
        shown=_rows(found, taken[:shown]),
        rounds=rows,
        elsewhere=len(taken) - sum(row.pictures for row in rows),
        least=least,
        most=most,
        cost_least=least * price,
        cost_most=most * price,
    )


def ask_for_more(run: TrainingRun, pictures: int, votes: int) -> Asked:
    """Ask for `votes` more votes on each, where a round that is open has the picture; the same run asks once.

    Raises:
        UnusableIssues: as `preview`.
    """
    dataset = run.release.dataset
    found = doubts_of_run(dataset, Path(run.folder))
    return ask_about(dataset, found.doubts[:pictures], found.origin, votes)


def ask_in_new_round(run: TrainingRun, pictures: int, votes: int) -> Round:
    """Open a round that asks what these pictures show, with at least `votes` votes for each.

    Raises:
        UnusableIssues: as `preview`.
        UnusableRound: the round cannot be opened.
        AskedBefore: this run's round is still open.
    """
    dataset = run.release.dataset
    plan = _plan(run, votes)
    held = dataset.rounds.filter(title=plan.title).exclude(state=Round.State.CLOSED).first()
    if held is not None:
        raise AskedBefore(held)
    keys = [doubt.image for doubt in doubts_of_run(dataset, Path(run.folder)).doubts[:pictures]]
    return open_labelling_round(dataset, Round.Question.CLASSIFY, images=keys, plan=plan)


def _rows(found: Doubted, taken: Sequence[Doubt]) -> list[tuple[str, str, str]]:
    pairs = zip(taken, found.suggested, strict=False)
    return [(doubt.image, doubt.label, suggested) for doubt, suggested in pairs]


def _plan(run: TrainingRun, votes: int) -> RoundPlan:
    """A round like the newest in which people chose a category: same words, price and gold.

    No audit share: what a run doubts is no random sample of anything.
    """
    plan = RoundPlan(title=f"What run {run.pk} doubts", votes_min=votes, audit_rate=0.0)
    base = _newest_round(run.release.dataset)
    if base is None:
        return replace(plan, votes_max=max(votes, plan.votes_max))
    told = base.instructions.filter(version=base.instructions_version).first()
    return replace(
        plan,
        votes_max=max(votes, base.votes_max),
        confidence=base.confidence,
        gold_rate=base.gold_rate,
        batch_size=base.batch_size,
        instructions=told.text if told else "",
        price=Decimal(base.price),
    )


def _newest_round(dataset: Dataset) -> Round | None:
    asked = dataset.rounds.filter(question=Round.Question.CLASSIFY)
    return asked.exclude(access=Round.Access.REPEAT).order_by("-pk").first()
