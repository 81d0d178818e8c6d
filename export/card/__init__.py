"""The dataset card of a release: README.md, with a datasheet's questions answered (`export.card.datasheet`).

Markdown with the front matter that the Hugging Face hub reads. No clock and no machine's name inside: equal
releases have equal cards.
"""

from __future__ import annotations

from annotation_site.figures import number_of
from export import layout
from export.card import datasheet
from export.card.card_facts import CardFacts
from export.card.who_labelled import accuracy, labelling

HUB_LICENCES = {f"cc-{kind}-4.0" for kind in ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")}
HUB_LICENCES |= {"cc0-1.0", "mit", "apache-2.0", "odbl", "pddl", "cdla-permissive-2.0"}
"""Licences that the hub knows by name; others have to be called `other`."""
_FIGURES = {
    layout.SAMPLES: ("Training pictures of each class, as chance chose them", "Authors: manifest.parquet."),
    layout.CLASSES: ("Pictures of each class, by split", ""),
    layout.CONFUSION: ("Votes by released label and label voted", ""),
}


def dataset_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    release = facts.release
    name = layout.folder_name(release["name"], release["version"])
    counts = release["counts"]
    parts = [
        _front_matter(facts, name),
        f"# {datasheet.plain(facts.title or release['name'])} {release['version']}",
        f"{number_of(counts['images'], 'picture')} in "
        f"{number_of(len(counts['categories']), 'category', 'categories')}; "
        f"{number_of(counts['votes'], 'vote')} by {number_of(counts['workers'], 'worker')}. "
        f"{accuracy(release)}",
        _sealed(facts),
        _figures(facts),
        _loading(name),
        datasheet.motivation(facts),
        datasheet.composition(facts),
        datasheet.collection(facts),
        labelling(facts),
        datasheet.uses(facts),
        datasheet.distribution(facts),
        datasheet.maintenance(facts),
        _parameters(facts),
        _files(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(facts: CardFacts, name: str) -> str:
    licence = facts.licence or "unknown"
    listed = licence.lower() in HUB_LICENCES
    named = [] if listed else [f"license_name: {_quoted(licence)}"]
    return "\n".join(
        [
            "---",
            f"pretty_name: {_quoted(facts.title or facts.release['name'])}",
            f"license: {licence.lower() if listed else 'other'}",
            *named,
            "task_categories: [image-classification]",
            "annotations_creators: [crowdsourced]",
            "source_datasets: [original]",
            f"size_categories: [{_size(facts.release['counts']['images'])}]",
            f"tags: [{_quoted(name)}]",
            "configs:",
            *_configs(facts),
            "---",
        ]
    )


def _configs(facts: CardFacts) -> list[str]:
    """Which folder is which split; pictures whose labels are kept back are no class of their own."""
    held = [split for split in layout.SPLITS if facts.release["counts"].get(split)]
    hidden = ["test"] if facts.sealed and "test" in held else []
    shown = [split for split in held if split not in hidden]
    lines = ["- config_name: default", "  data_files:", *_data_files(shown)]
    if hidden:
        lines += ["- config_name: test", "  drop_labels: true", "  data_files:", *_data_files(hidden)]
    return lines


def _data_files(splits: list[str]) -> list[str]:
    return [line for split in splits for line in (f"  - split: {split}", f"    path: {split}/**")]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _size(images: int) -> str:
    for limit, word in ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")):
        if images < limit:
            return word
    return "n>1M"


def _sealed(facts: CardFacts) -> str:
    if not facts.sealed:
        return ""
    return (
        "**Sealed**: the pictures of test stand in `test/unlabelled/` without their labels. Their answers "
        "are in a file beside the release, which `python -m export.score` compares predictions with; its "
        f"SHA-256 is `{facts.release['answers']['sha256']}`."
    )


def _figures(facts: CardFacts) -> str:
    lines = []
    for path in facts.figures:
        title, note = _FIGURES[path]
        lines.append(f"![{title}]({path})\n\n*{title}.{' ' + note if note else ''}*")
    return "\n\n".join(lines)


def _loading(name: str) -> str:
    return f"""## How to load it

```python
from torchvision.datasets import ImageFolder
train = ImageFolder("{name}/train")
image, label = train[0]
```

Check it first with `python -m export.verify {name}` or `sha256sum --check SHA256SUMS`; other forms are made
from it by `python -m export.convert`."""


def _parameters(facts: CardFacts) -> str:
    """What the release was asked to be."""
    rows = [f"- {key}: {_words(value)}" for key, value in sorted(facts.release["parameters"].items())]
    return "## Parameters\n\n" + "\n".join(rows) if rows else ""


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(held)}" for key, held in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(held) for held in value)
    return "`{}`".format(" ".join(str(value).replace("`", "'").split()))


def _files(facts: CardFacts) -> str:
    figures = "\n| `figures/` | the pictures of this card |" if facts.figures else ""
    return f"""## Files

| file | holds |
|---|---|
| `train/`, `val/`, `test/` | `<category>/<SHA-256 of the original>.<ext>` |
| `manifest.parquet` | one row a picture: label, confidence, votes, reference, provenance |
| `votes.parquet`, `posteriors.parquet` | every counted vote; soft labels |
| `categories.json`, `release.json` | classes and their index; parameters, counts, accuracy |
| `croissant.json` | the same for machines (MLCommons Croissant) |{figures}
| `SHA256SUMS` | every file's checksum; its own SHA-256 is the release's fingerprint |"""
