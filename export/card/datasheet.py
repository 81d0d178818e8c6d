"""The sections of a dataset card that answer a datasheet's questions: facts in, Markdown out.

Questions and their order after Gebru et al. 2021, "Datasheets for Datasets". What nobody recorded is said to
be unknown; nothing is made up. The section on labelling is `export.card.who_labelled`.
"""

from __future__ import annotations

import re
from typing import Any

from annotation_site.figures import number_of
from export import layout
from export.card.card_facts import CardFacts
from export.card.stratification import sentence
from export.selection import LEFT_OUT
from ingest.sources.kinds import REMOTE

TOP = 12
CLASSES = 200
"""Most rows of the class table; more classes stand in categories.json."""


def motivation(facts: CardFacts) -> str:
    """Why it was made, as far as its makers wrote that down."""
    told = facts.description.strip() or "Its makers have written down no purpose."
    return f"## Motivation\n\n{told}"


def composition(facts: CardFacts) -> str:
    """What is in it: classes, splits, copies across splits, what is missing."""
    counts = facts.release["counts"]
    held = "labels of test are kept back; " if facts.sealed else ""
    splits = _splits(facts)
    deviation = sentence(counts.get("stratification"))
    leak = f"Copies across splits: {facts.leakage.sentence()}" if facts.leakage else ""
    return section(
        "Composition",
        f"Each instance is a picture with one category, a confidence, its votes and its origin; {held}"
        "one picture a row of `manifest.parquet`, nothing in it refers to anything outside but the addresses "
        "where the pictures were found.",
        _class_table(facts),
        _imbalance(counts.get("imbalance")),
        splits,
        deviation,
        leak,
        _left_out(counts["left_out"]),
        "Whether people can be recognised in the pictures, and whether any picture is offensive, is not on "
        "record.",
    )


def _splits(facts: CardFacts) -> str:
    near = (
        "Near-duplicates were grouped and only one picture of a group is here, so no picture of test has a "
        "copy in train or val as far as they were found."
    )
    if "split_file" in facts.release["parameters"]:
        return f"{near} The splits came with the set; a picture stays in its split from release to release."
    return (
        f"{near} Splits were drawn per group by a keyed hash before any vote; a picture stays in its split "
        "from release to release."
    )


def _class_table(facts: CardFacts) -> str:
    names = {node["id"]: node for node in facts.categories}
    counts = facts.release["counts"]
    rows = []
    for key, splits in list(counts["categories"].items())[:CLASSES]:
        figures = " | ".join(f"{splits.get(split, 0):,}" for split in layout.SPLITS)
        node = names.get(key, {"name": key, "gloss": ""})
        rows.append(f"| `{key}` | {plain(node['name'])} | {plain(node['gloss'])} | {figures} |")
    if len(counts["categories"]) > CLASSES:
        rows.append(f"| … | {len(counts['categories']) - CLASSES:,} more in `categories.json` | | | | |")
    rows.append("| | **all** | | " + " | ".join(f"{counts[split]:,}" for split in layout.SPLITS) + " |")
    head = "| id | name | definition | train | val | test |\n|---|---|---|---:|---:|---:|"
    return "\n".join([head, *rows])


def _imbalance(found: dict[str, Any] | None) -> str:
    if not found or not found.get("ratio"):
        return ""
    most, least = found["largest"], found["smallest"]
    if most["images"] == least["images"]:
        return f"Every class has {number_of(most['images'], 'training picture')}."
    return (
        f"Training pictures a class: {least['images']:,} (`{least['category']}`) to {most['images']:,} "
        f"(`{most['category']}`), 1 to {found['ratio']:.1f}; as diverse as {found['effective_classes']:.1f} "
        "classes of equal size."
    )


def _left_out(left_out: dict[str, int]) -> str:
    rows = [f"- {n:,}: {LEFT_OUT.get(reason, reason)}" for reason, n in left_out.items() if n]
    return "\n".join(["Pictures that were collected and are not in this release:\n", *rows]) if rows else ""


def collection(facts: CardFacts) -> str:
    """Where the pictures come from, and what that leaves out."""
    kinds = ", ".join(number_of(n, kind) for kind, n in facts.sources.items()) or "none on record"
    hosts = ", ".join(f"{plain(host)} ({n:,})" for host, n in _top(facts.hosts)) or "none on record"
    fate = ", ".join(f"{n:,} {state}" for state, n in facts.candidates.items() if n)
    crawled = any(kind in REMOTE for kind in facts.sources)
    robots = ", from pages whose robots.txt allows it" if crawled else ""
    return section(
        "Collection process",
        f"Sources: {kinds}. Hosts of the released pictures: {hosts}.",
        f"Addresses that were looked at, by what became of them: {fate}." if fate else "",
        "Only what these sources offer could be collected, under the names and in the languages that they "
        f"were searched by{robots}: what they do not show, or show seldom, is missing or rare here too. "
        "Whether people in or behind the pictures were asked is not on record.",
    )


def uses(facts: CardFacts) -> str:
    """What it is good for and what not, as far as its making tells."""
    return section(
        "Uses",
        "Made to train and to compare classifiers of the categories above, and to study labels: votes, soft "
        "labels and references are all here. Test is for measuring; choose on val. The shares of the classes "
        "are those of this collection, not those of the world. Nothing here was collected or checked for "
        "decisions about people.",
    )


def distribution(facts: CardFacts) -> str:
    """Licences."""
    licences = "\n".join(f"- {plain(licence)}: {n:,}" for licence, n in _top(facts.licences))
    whole = plain(facts.licence) or "none on record"
    return section(
        "Distribution",
        f"Licence of the dataset as its makers state it: {whole}. Every picture keeps its own licence and "
        "author, as found; they stand in its row of `manifest.parquet`, with the page and the address. "
        "Licences of the pictures:",
        licences,
    )


def maintenance(facts: CardFacts) -> str:
    """What follows this release, and how it can be told from it."""
    parent = facts.release["parent"]
    before = f"It follows {facts.release['name']} {parent}. " if parent else ""
    gone = facts.release["parameters"].get("taken_down")
    if gone:
        before += f"It is the same without what was taken down: {number_of(len(gone), 'picture')}. "
    return section(
        "Maintenance",
        f"A release never changes. {before}`manage.py diff_releases` tells exactly what changed between two. "
        "Ids of classes keep their meaning. Test changes in a new major version only; a picture that must go "
        "is taken down by a small new version, which names this one as its parent. Use the newest, and "
        "delete what was taken down.",
    )


def section(title: str, *parts: str) -> str:
    """A heading and its paragraphs; empty ones are left out."""
    return "\n\n".join([f"## {title}", *(part for part in parts if part)])


def _top(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The most frequent ones, and the rest as one line."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(n for _, n in ranked[TOP:])
    return ranked[:TOP] + ([(f"{len(ranked) - TOP} others", rest)] if rest else [])


_MARKUP = re.compile(r"[\\`*_\[\]<>|~$]|&(?=#?\w+;)")


def plain(text: str) -> str:
    """A text as it stands, on one line: Markdown makes nothing of a name, nor of what the web said."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
