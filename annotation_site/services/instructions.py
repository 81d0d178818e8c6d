"""What workers of a round are told: a text, and pictures that show what a category is and is not.

Nothing that was told is ever edited: a change makes a new version, and each vote says which one it saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from annotation_site.models import InstructionExample, Instructions, Round

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
    rows = InstructionExample.objects.filter(instructions=held).order_by(
        "category__position", "category__key", "-good", "pk"
    )
    examples: dict[str, list[Example]] = {}
    for key, sha, good, note in rows.values_list("category__key", "image__sha256", "good", "note"):
        examples.setdefault(key, []).append((sha, good, note))
    return Told(held.text, held.version, examples)
