"""What the database knows that a dataset card tells: sources, rounds, people, experts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.models import Count

from annotation_site.models import Instructions, Participation, Round, Vote
from export.card.card_facts import CardFacts, Experts, RoundFacts
from export.card.findings import Findings
from export.card.who_labelled import IMPORT
from export.tally import Tally
from ingest.models import Candidate, Dataset
from quality.models import Reference

CHUNK = 5_000


def sources_by_kind(dataset: Dataset) -> dict[str, int]:
    """Sources by kind."""
    return dict(sorted(dataset.sources.order_by().values_list("kind").annotate(n=Count("id"))))


def candidates_by_state(dataset: Dataset) -> dict[str, int]:
    """Addresses that were found, by what became of them, in the order of the states."""
    held = Candidate.objects.filter(source__dataset=dataset).values_list("state").annotate(n=Count("id"))
    return {str(Candidate.State(state).label): n for state, n in held.order_by("state")}


def round_facts(dataset: Dataset, ids: list[str]) -> list[RoundFacts]:
    """The rounds whose votes a release holds, oldest first.

    Args:
        ids: as votes.parquet names them.
    """
    rounds = Round.objects.filter(dataset=dataset, pk__in=[int(name) for name in ids]).order_by("id")
    elsewhere = _taken_over(ids)
    told = {(row.round_id, row.version): row.text for row in Instructions.objects.filter(round__in=rounds)}
    return [
        RoundFacts(
            id=str(r.pk),
            title=r.title,
            question=r.question,
            votes_min=r.votes_min,
            votes_max=r.votes_max,
            confidence=r.confidence,
            price=float(r.price),
            gold_rate=r.gold_rate,
            audit_rate=r.audit_rate,
            access=r.access,
            instructions_version=r.instructions_version,
            instructions=told.get((r.pk, r.instructions_version), ""),
            taken_over=r.pk in elsewhere,
        )
        for r in rounds
    ]


def _taken_over(ids: list[str]) -> set[int]:
    """Those of the rounds in which only workers of an import have voted."""
    held = Participation.objects.filter(round_id__in=[int(name) for name in ids], votes__gt=0)
    cast = set(held.order_by().values_list("round_id", "worker__provider").distinct())
    return {round_id for round_id, _ in cast} - {
        round_id for round_id, provider in cast if provider != IMPORT
    }


def workers_by_provider(ids: list[str]) -> dict[str, int]:
    """People with counted votes in these rounds, by where they came from."""
    held = Participation.objects.filter(round_id__in=[int(name) for name in ids], votes__gt=0)
    counts = held.values_list("worker__provider").annotate(n=Count("worker", distinct=True))
    return dict(sorted(counts.order_by()))


def voided_votes(ids: list[str]) -> dict[str, int]:
    """Votes of these rounds that do not count, by reason."""
    held = Vote.objects.filter(voided=True, task__round_id__in=[int(name) for name in ids])
    counts = held.order_by().values_list("void_reason").annotate(n=Count("id"))
    labels = dict(Vote.VoidReason.choices)
    return {str(labels.get(reason, reason or "no reason given")): n for reason, n in sorted(counts)}


def experts(dataset: Dataset) -> Experts:
    """How many experts answered how many pictures, and how often they agree."""
    held = Reference.objects.filter(dataset=dataset).order_by("image_id", "id")
    people: Counter[str] = Counter()
    pictures = twice = unanimous = 0
    rows = held.values_list("image_id", "category_id", "expert").iterator(CHUNK)
    for _, answers in groupby(rows, key=itemgetter(0)):
        said = [(category, expert) for _, category, expert in answers]
        people.update(expert for _, expert in said)
        pictures += 1
        twice += len(said) > 1
        unanimous += len(said) > 1 and len({category for category, _ in said}) == 1
    return Experts(len(people), people.total(), pictures, twice, unanimous)


def card_facts(
    dataset: Dataset,
    document: dict[str, Any],
    tally: Tally,
    tree: list[dict[str, Any]],
    found: Findings,
    figures: Iterable[str],
) -> CardFacts:
    """Everything that the card and croissant.json tell.

    Args:
        document: release.json.
        tree: every category of the dataset, as categories.json has them.
        figures: paths of the figures in the release.
    """
    ids = list(found.votes.rounds)
    return CardFacts(
        title=dataset.title,
        description=dataset.description,
        licence=dataset.licence,
        release=document,
        categories=tree,
        licences=dict(tally.licences),
        hosts=dict(tally.hosts),
        sources=sources_by_kind(dataset),
        candidates=candidates_by_state(dataset),
        rounds=round_facts(dataset, ids),
        providers=workers_by_provider(ids),
        experts=experts(dataset),
        voided=voided_votes(ids),
        votes=found.votes,
        leakage=found.leakage,
        figures=tuple(figures),
    )
