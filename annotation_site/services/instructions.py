"""What workers of a round are told: a text, and pictures that show what a category is and is not.

Nothing that was told is ever edited: a change makes a new version, and each vote says which one it saw.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Q

from annotation_site.models import InstructionExample, Instructions, Round, Task
from annotation_site.services.locking import short_write
from annotation_site.services.refusals import Refusal
from ingest.models import Dataset, Image

MOST_EXAMPLES = 12
"""Pictures of one category."""
LONGEST_TEXT = 20_000
Example = tuple[str, bool, str]
"""SHA-256 of the picture, whether it shows the category, and what to look at."""


@dataclass(frozen=True)
class Told:
    """What workers are told now. `examples`: category id -> its pictures, those that show it first."""

    text: str = ""
    version: int = 1
    examples: dict[str, list[Example]] = field(default_factory=dict)


def told(round: Round, version: int | None = None) -> Told:
    """What workers of the round are told, or were told in an earlier `version`; two queries, no writes."""
    wanted = round.instructions_version if version is None else version
    held = Instructions.objects.filter(round=round, version=wanted).first()
    if held is None:
        return Told(version=wanted)
    shown = InstructionExample.objects.filter(instructions=held, image__taken_down=None)
    rows = shown.order_by("category__position", "category__key", "-good", "pk")
    examples: dict[str, list[Example]] = {}
    for key, sha, good, note in rows.values_list("category__key", "image__sha256", "good", "note"):
        examples.setdefault(key, []).append((sha, good, note))
    return Told(held.text, held.version, examples)


class BadInstructions(Refusal):
    """An unknown picture or category, one that must not be shown, or a closed round (422)."""


class ChangedMeanwhile(Refusal):
    """Somebody else changed the instructions since this person read them (409)."""


@dataclass(frozen=True)
class NewExample:
    """A picture to be shown with the instructions: by category id and SHA-256."""

    category: str
    sha256: str
    good: bool
    note: str = ""


def tell(round: Round, text: str, examples: Sequence[NewExample], *, read: int) -> int:
    """Tell workers something else from now on: a new version, unless it says what the last one does.

    Args:
        examples: all of them, in the order in which they are shown.
        read: the version that the person had before them.

    Returns:
        The version that holds now.

    Raises:
        BadInstructions: see the message; nothing was changed.
        ChangedMeanwhile: `read` is not the newest version.
    """
    if len(text) > LONGEST_TEXT:
        raise BadInstructions(f"The text has at most {LONGEST_TEXT:,} characters, not {len(text):,}.")
    rows = _checked(round, examples)
    with short_write():
        held = Round.objects.select_for_update(no_key=True).get(pk=round.pk)
        if held.state == Round.State.CLOSED:
            raise BadInstructions("The round is closed: nobody is told anything any more.")
        if held.instructions_version != read:
            raise ChangedMeanwhile(
                f"Somebody else changed the instructions meanwhile (version {held.instructions_version}): "
                "look at theirs first."
            )
        before = told(held)
        if text == before.text and _shown(examples) == before.examples:
            return read
        made = Instructions.objects.create(round=held, version=read + 1, text=text)
        for row in rows:
            row.instructions = made
        InstructionExample.objects.bulk_create(rows)
        Round.objects.filter(pk=held.pk).update(instructions_version=made.version)
    round.instructions_version = made.version
    return made.version


def _shown(examples: Iterable[NewExample]) -> dict[str, list[Example]]:
    """As `told` gives them."""
    found: dict[str, list[Example]] = {}
    for e in sorted(examples, key=lambda e: not e.good):
        found.setdefault(e.category, []).append((e.sha256, e.good, e.note))
    return found


def _checked(round: Round, examples: Sequence[NewExample]) -> list[InstructionExample]:
    """Rows to be written; each picture may be shown, once for its category."""
    categories = dict(round.categories().values_list("key", "pk"))
    unknown = [e.category for e in examples if e.category not in categories]
    if unknown:
        raise BadInstructions(f"The round has no category {unknown[0][:100]!r}.")
    most = Counter(e.category for e in examples).most_common(1)
    if most and most[0][1] > MOST_EXAMPLES:
        raise BadInstructions(
            f"A category has at most {MOST_EXAMPLES} examples; {most[0][0]} would have more."
        )
    if len({(e.category, e.sha256) for e in examples}) < len(examples):
        raise BadInstructions("A picture is named twice for one category.")
    if any(len(e.note) > 200 or "\0" in e.note for e in examples):
        raise BadInstructions("A note is text of at most 200 characters.")
    odd = [e.sha256 for e in examples if not re.fullmatch("[0-9a-f]{64}", e.sha256)]
    if odd:
        raise BadInstructions(f"{odd[0][:80]!r} is no SHA-256 of a picture.")
    named = {e.sha256 for e in examples}
    held = {image.sha256: image for image in round.dataset.images.filter(sha256__in=named)}
    missing = sorted(named - held.keys())
    if missing:
        raise BadInstructions(f"The dataset has no picture {missing[0][:80]!r}.")
    barred = why_not_shown(round, [image.pk for image in held.values()])
    for image in held.values():
        if image.pk in barred:
            raise BadInstructions(f"{image.sha256[:12]} cannot be an example: {barred[image.pk]}.")
    return [
        InstructionExample(
            category_id=categories[e.category], image_id=held[e.sha256].pk, good=e.good, note=e.note
        )
        for e in examples
    ]


def why_not_shown(round: Round, image_ids: Collection[int]) -> dict[int, str]:
    """Image id -> why workers of this round must not be shown it as an example, where there is a why."""
    return why_not_told(round.dataset, image_ids, gold_in=Q(round=round), where="this round")


def why_not_told(dataset: Dataset, image_ids: Collection[int], *, gold_in: Q, where: str) -> dict[int, str]:
    """Image id -> why workers must not be told what it shows; only those that have a why.

    A picture of the test split would teach workers what they are measured on, and a copy of it as well; gold
    of the rounds `gold_in` would tell its own answer. `where`: those rounds in words.
    """
    images = Image.objects.filter(pk__in=image_ids)
    why = dict.fromkeys(
        images.filter(group__draw__lt=dataset.shares.test).values_list("pk", flat=True),
        "it belongs to the test split",
    )
    gold = Task.objects.filter(gold_in, gold=True).filter(
        Q(image=OuterRef("pk")) | Q(image__group=OuterRef("group"))
    )
    why |= dict.fromkeys(images.filter(Exists(gold)).values_list("pk", flat=True), f"it is gold in {where}")
    gone = images.filter(taken_down__isnull=False).values_list("pk", flat=True)
    return why | dict.fromkeys(gone, "it was taken down")
