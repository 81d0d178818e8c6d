"""The files that describe a release: release.json, categories.json, croissant.json, the card, the sums."""

from __future__ import annotations

from typing import Any

from annotation_site.models import Round
from export import layout
from export.accuracy import label_accuracy
from export.build import category_rows, write_answers, write_json, write_sums
from export.card import dataset_card
from export.card.croissant import croissant
from export.card.figures import Named, draw
from export.card.findings import examine
from export.checks import sha256_of
from export.places.workplace import Workplace
from export.services.facts import card_facts
from export.services.plan import Plan
from export.tally import Tally, counts_of
from ingest.models import CategoryChange, Dataset


def describe(
    plan: Plan,
    place: Workplace,
    tally: Tally,
    told: dict[str, Any] | None = None,
    tree: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write every file but the tables and the pictures, which are there already; returns release.json.

    Args:
        told: what release.json says other than the database does now.
        tree: the categories, where they are not those of the database now.
    """
    dataset = plan.dataset
    counts = counts_of(tally)
    found = examine(place.release, counts["categories"], place.read)
    document = {
        "name": dataset.name,
        "version": plan.version,
        "parent": plan.earlier[-1].version if plan.earlier else None,
        "parameters": plan.parameters,
        "counts": counts | found.counts(),
        "label_accuracy": label_accuracy(tally.test, tally.others, drawn=not plan.brought),
        "cost": _cost(dataset),
        "code_version": layout.CODE_VERSION,
        **({"answers": write_answers(place)} if plan.sealed else {}),
        **(told or {}),
    }
    tree = _tree(dataset) if tree is None else tree
    categories = category_rows(tree, {c for _, c in tally.labels})
    write_json(place, layout.CATEGORIES, categories)
    write_json(place, layout.RELEASE, document)
    classes = [Named(node["id"], node["name"]) for node in categories if node["index"] is not None]
    figures = draw(place.release, classes, counts["categories"], found.votes, place.read)
    for path, data in figures.items():
        place.put(path, data)
    facts = card_facts(dataset, document, tally, tree, found, figures)
    checksums = {table: sha256_of(place.release / table) for table in layout.TABLES}
    write_json(place, layout.CROISSANT, croissant(facts, checksums))
    place.put(layout.CARD, dataset_card(facts).encode())
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
    """The categories; those that were renamed, merged or split have a `history`, oldest first."""
    history = _history(dataset)
    return [
        {"id": c.key, "name": c.name, "gloss": c.gloss, "parent": c.parent and c.parent.key}
        | {"synonyms": c.synonym_list}
        | ({"history": history[c.key]} if c.key in history else {})
        for c in dataset.categories.select_related("parent").order_by("key")
    ]


def _history(dataset: Dataset) -> dict[str, list[dict[str, Any]]]:
    """Category -> the recorded changes that it had a part in, numbered within the dataset.

    Who made them stays in the database; when is told by the day.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for number, change in enumerate(dataset.category_changes.order_by("id"), start=1):
        said: dict[str, Any] = {
            "number": number,
            "kind": str(change.kind),
            "before": change.before,
            "after": change.after,
            "reason": change.reason,
            "date": f"{change.created:%Y-%m-%d}",
        }
        if change.kind == CategoryChange.Kind.RENAMED:
            said |= {"old_name": change.old_name, "new_name": change.new_name}
        for key in sorted({*change.before, *change.after}):
            found.setdefault(key, []).append(said)
    return found
