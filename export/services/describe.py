"""The files that describe a release: release.json, categories.json, croissant.json, the card, the sums."""

from __future__ import annotations

from typing import Any

from annotation_site.models import Round
from export import layout
from export.accuracy import label_accuracy
from export.build import category_rows, write_json, write_sums
from export.card import CardFacts, dataset_card
from export.checks import sha256_of
from export.croissant import croissant
from export.selection import LEFT_OUT
from export.services.choose import Plan, Tally
from export.workplace import Workplace
from ingest.models import Dataset


def describe(plan: Plan, place: Workplace, tally: Tally, parameters: dict[str, Any]) -> dict[str, Any]:
    """Write every file but the tables and the pictures, which are there already; returns release.json."""
    dataset = plan.dataset
    document = {
        "name": dataset.name,
        "version": plan.version,
        "parent": plan.earlier[-1].version if plan.earlier else None,
        "parameters": parameters,
        "counts": _counts(tally),
        "label_accuracy": label_accuracy(
            (tally.test_right, tally.test_known, tally.test_eligible), (tally.other_right, tally.other_known)
        ),
        "cost": _cost(dataset),
        "code_version": layout.CODE_VERSION,
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


def _counts(tally: Tally) -> dict[str, Any]:
    """Pictures by split and category, votes, workers, and what was left out by reason."""
    per_split = {s: sum(n for (split, _), n in tally.labels.items() if split == s) for s in layout.SPLITS}
    classes = sorted({category for _, category in tally.labels})
    return {
        **per_split,
        "images": sum(per_split.values()),
        "votes": tally.votes,
        "workers": len(tally.workers),
        "categories": {c: {s: tally.labels[s, c] for s in layout.SPLITS} for c in classes},
        "left_out": {reason: tally.left_out[reason] for reason in LEFT_OUT if tally.left_out[reason]},
    }


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


def warnings_of(tally: Tally, document: dict[str, Any]) -> list[str]:
    """What the curator should know; one line each."""
    found = []
    if tally.unknown_licences:
        found.append(f"{tally.unknown_licences} pictures have no licence on record: 'unknown' was written")
    if tally.left_out["no_reference"]:
        found.append(
            f"{tally.left_out['no_reference']} test pictures without a settled reference were left out "
            "(manage.py add_reference)"
        )
    if tally.left_out["not_grouped"]:
        found.append(f"{tally.left_out['not_grouped']} images are in no duplicate group (manage.py dedup)")
    if tally.left_out["no_source"]:
        found.append(f"{tally.left_out['no_source']} images were left out: no source is on record")
    if tally.kept_unsettled:
        found.append(f"{tally.kept_unsettled} test pictures keep their earlier category: experts differ now")
    if document["label_accuracy"] is None:
        found.append("label accuracy is unknown: no picture has both votes and a settled reference")
    return found
