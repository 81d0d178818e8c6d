"""The files that describe a release: release.json, categories.json, croissant.json, the card, the sums."""

from __future__ import annotations

from typing import Any

from annotation_site.models import Round
from export import layout
from export.accuracy import label_accuracy
from export.build import category_rows, write_answers, write_json, write_sums
from export.card import CardFacts, dataset_card
from export.checks import sha256_of
from export.croissant import croissant
from export.services.plan import Plan
from export.tally import Tally, counts_of
from export.workplace import Workplace
from ingest.models import Dataset


def describe(
    plan: Plan, place: Workplace, tally: Tally, told: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write every file but the tables and the pictures, which are there already; returns release.json.

    Args:
        told: what release.json says other than the database does now.
    """
    dataset = plan.dataset
    document = {
        "name": dataset.name,
        "version": plan.version,
        "parent": plan.earlier[-1].version if plan.earlier else None,
        "parameters": plan.parameters,
        "counts": counts_of(tally),
        "label_accuracy": label_accuracy(tally.test, tally.others, drawn=not plan.brought),
        "cost": _cost(dataset),
        "code_version": layout.CODE_VERSION,
        **({"answers": write_answers(place)} if plan.sealed else {}),
        **(told or {}),
    }
    tree = _tree(dataset)
    write_json(place, layout.CATEGORIES, category_rows(tree, {c for _, c in tally.labels}))
    write_json(place, layout.RELEASE, document)
    checksums = {table: sha256_of(place.release / table) for table in layout.TABLES}
    described = croissant(
        name=dataset.name,
        version=plan.version,
        title=dataset.title,
        description=dataset.description,
        licence=dataset.licence,
        checksums=checksums,
    )
    write_json(place, layout.CROISSANT, described)
    place.put(layout.CARD, dataset_card(_card_facts(dataset, tally, document, tree)).encode())
    write_sums(place)
    return document


def _cost(dataset: Dataset) -> dict[str, Any] | None:
    """What the dataset's votes cost so far, in USD; None where nobody was paid."""
    rounds = [(r.votes_counted, r.price) for r in Round.objects.filter(dataset=dataset, price__gt=0)]
    if not rounds:
        return None
    return {
        "votes": sum(votes for votes, _ in rounds),
        "usd": round(float(sum(votes * price for votes, price in rounds)), 4),
    }


def _tree(dataset: Dataset) -> list[dict[str, Any]]:
    return [
        {"id": c.key, "name": c.name, "gloss": c.gloss, "parent": c.parent and c.parent.key}
        | {"synonyms": c.synonym_list}
        for c in dataset.categories.select_related("parent").order_by("key")
    ]


def _card_facts(
    dataset: Dataset, tally: Tally, document: dict[str, Any], tree: list[dict[str, Any]]
) -> CardFacts:
    kinds: dict[str, int] = {}
    for kind in dataset.sources.order_by("kind").values_list("kind", flat=True):
        kinds[kind] = kinds.get(kind, 0) + 1
    columns = ("question", "votes_min", "votes_max", "confidence", "price")
    rounds = list(Round.objects.filter(dataset=dataset).order_by("id").values(*columns))
    return CardFacts(
        title=dataset.title,
        description=dataset.description,
        licence=dataset.licence,
        release=document,
        categories=tree,
        licences=dict(tally.licences),
        hosts=dict(tally.hosts),
        sources=kinds,
        rounds=rounds,
    )
