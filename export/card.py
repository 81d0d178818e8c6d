"""The dataset card of a release: README.md, with a datasheet's questions answered from the database.

Questions after Gebru et al. 2021, "Datasheets for Datasets". Markdown with the front matter that the Hugging
Face hub reads. No clock and no machine's name inside: equal releases have equal cards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from export import layout
from export.selection import LEFT_OUT

TOP = 12


@dataclass(frozen=True)
class CardFacts:
    """What the card tells beyond release.json.

    `licences`, `hosts` and `sources`: released pictures by licence, by web host, and sources by kind.
    `rounds`: `{question, votes_min, votes_max, confidence, price}` of every round, oldest first.
    """

    title: str
    description: str
    licence: str
    release: dict[str, Any]
    categories: list[dict[str, Any]]
    licences: dict[str, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)


def dataset_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    release = facts.release
    name = layout.folder_name(release["name"], release["version"])
    counts = release["counts"]
    parts = [
        _front_matter(facts, name),
        f"# {facts.title or release['name']} {release['version']}",
        facts.description.strip(),
        f"{counts['images']:,} pictures in {len(counts['categories'])} categories; "
        f"{counts['votes']:,} votes by {counts['workers']:,} workers. {_accuracy(release)}",
        _loading(name),
        _composition(facts),
        _collection(facts),
        _labelling(facts),
        _left_out(counts["left_out"]),
        _files(),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(facts: CardFacts, name: str) -> str:
    licence = facts.licence or "other"
    return "\n".join(
        [
            "---",
            f"pretty_name: {_quoted(facts.title or facts.release['name'])}",
            "license: other",
            f"license_name: {_quoted(licence)}",
            "task_categories: [image-classification]",
            f"size_categories: [{_size(facts.release['counts']['images'])}]",
            f"tags: [{_quoted(name)}]",
            "---",
        ]
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _size(images: int) -> str:
    for limit, word in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if images < limit:
            return word
    return "n>1M"


def _accuracy(release: dict[str, Any]) -> str:
    found = release["label_accuracy"]
    if not found:
        return "Label accuracy was not measured: no picture has both votes and an expert's answer."
    return (
        f"Label accuracy {found['value']:.1%} (95% interval {found['lo']:.1%} to {found['hi']:.1%}, "
        f"{found['n']:,} pictures; {found['basis']})."
    )


def _loading(name: str) -> str:
    return f"""## How to load it

```python
from torchvision.datasets import ImageFolder
train = ImageFolder("{name}/train")
image, label = train[0]
```

Check it first with `python -m export.verify {name}` or `sha256sum --check SHA256SUMS`."""


def _composition(facts: CardFacts) -> str:
    names = {c["id"]: c for c in facts.categories}
    rows = []
    for key, splits in facts.release["counts"]["categories"].items():
        figures = " | ".join(f"{splits.get(split, 0):,}" for split in layout.SPLITS)
        node = names.get(key, {"name": key, "gloss": ""})
        rows.append(f"| `{key}` | {_cell(node['name'])} | {_cell(node['gloss'])} | {figures} |")
    counts = facts.release["counts"]
    rows.append("| | **all** | | " + " | ".join(f"{counts[split]:,}" for split in layout.SPLITS) + " |")
    head = "| id | name | definition | train | val | test |\n|---|---|---|---:|---:|---:|"
    return f"""## What is in it

{head}
{chr(10).join(rows)}

Near-duplicates were grouped and only one picture of a group is here, so no picture of test has a copy in
train or val. Splits were drawn per group by a keyed hash before any vote; a test picture stays in test."""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _collection(facts: CardFacts) -> str:
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in facts.sources.items()) or "none on record"
    hosts = ", ".join(f"{host} ({n:,})" for host, n in _top(facts.hosts))
    licences = "\n".join(f"- {licence}: {n:,}" for licence, n in _top(facts.licences))
    return f"""## Where the pictures come from

Sources: {kinds}. Hosts: {hosts or "none on record"}. Every row of `manifest.parquet` names the picture's
source address, page, licence and author as found. Camera data, location and comments were taken out of the
files. What these sources do not show, the dataset does not show.

Licences of the pictures:

{licences}"""


def _top(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The most frequent ones, and the rest as one line."""
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(n for _, n in ranked[TOP:])
    return ranked[:TOP] + ([(f"{len(ranked) - TOP} others", rest)] if rest else [])


def _labelling(facts: CardFacts) -> str:
    lines = [
        f"- {r['question']}: {r['votes_min']} to {r['votes_max']} votes a picture, until the consensus is "
        f"{r['confidence']:.0%} sure" + (f"; {r['price']} USD a vote" if float(r["price"]) else "; unpaid")
        for r in facts.rounds
    ]
    cost = facts.release["cost"]
    paid = f" {cost['votes']:,} votes cost {cost['usd']} USD." if cost else ""
    rounds = "\n".join(lines) or "- no round on record"
    return f"""## Who labelled it, and how

Workers voted blind: nobody saw another's answer. Rounds:

{rounds}

Train and val carry the workers' consensus, test carries the answer of experts who looked blind.
`confidence` is the consensus' probability, `posteriors.parquet` holds it for every category (given that the
picture shows one of them), `votes.parquet` holds every counted vote. Workers' names are pseudonyms that
differ from release to release.{paid}"""


def _left_out(left_out: dict[str, int]) -> str:
    rows = "\n".join(f"- {n:,}: {LEFT_OUT[reason]}" for reason, n in left_out.items() if n)
    return f"## What was left out\n\n{rows}" if rows else ""


def _files() -> str:
    return """## Files

| file | holds |
|---|---|
| `train/`, `val/`, `test/` | `<category>/<SHA-256 of the original>.<ext>` |
| `manifest.parquet` | one row a picture: label, confidence, votes, reference, provenance |
| `votes.parquet`, `posteriors.parquet` | every counted vote; soft labels |
| `categories.json`, `release.json` | classes and their index; parameters, counts, accuracy |
| `croissant.json` | the same for machines (MLCommons Croissant) |
| `SHA256SUMS` | every file's checksum; its own SHA-256 is the release's fingerprint |"""
