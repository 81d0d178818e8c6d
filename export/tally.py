"""What a release holds and what was left out, counted; how even its classes are."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from annotation_site.figures import number_of
from export.layout import SPLITS
from export.selection import LEFT_OUT

UNEVEN = 10
"""A largest class of more than so many times the smallest is worth a warning."""


@dataclass
class Tally:
    """What was chosen and what was not, counted on the way.

    `kept_in_test`: pictures that stood in test before. `tested_outside`: such pictures that the scope of this
    new major version leaves out. `straddling`: pictures that a split file puts elsewhere than a copy of them.
    """

    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    votes: int = 0
    workers: set[str] = field(default_factory=set)
    unknown_licences: int = 0
    kept_in_test: int = 0
    tested_outside: int = 0
    straddling: int = 0
    kept_unsettled: int = 0
    # Label accuracy: consensus that would be released, where experts have answered. Test is a random sample.
    test_eligible: int = 0
    test_known: int = 0
    test_right: int = 0
    other_known: int = 0
    other_right: int = 0

    @property
    def test(self) -> tuple[int, int, int]:
        """(right, referenced, eligible) test pictures, for `export.accuracy`."""
        return self.test_right, self.test_known, self.test_eligible

    @property
    def others(self) -> tuple[int, int]:
        """(right, referenced) pictures of train and val, for `export.accuracy`."""
        return self.other_right, self.other_known


def counts_of(tally: Tally) -> dict[str, Any]:
    """As release.json has it: pictures by split and category, votes, workers, and what was left out, why."""
    per_split = {s: sum(n for (split, _), n in tally.labels.items() if split == s) for s in SPLITS}
    classes = sorted({category for _, category in tally.labels})
    return {
        **per_split,
        "images": sum(per_split.values()),
        "votes": tally.votes,
        "workers": len(tally.workers),
        "categories": {c: {s: tally.labels[s, c] for s in SPLITS} for c in classes},
        "imbalance": imbalance({c: tally.labels["train", c] for c in classes}),
        "left_out": {reason: tally.left_out[reason] for reason in LEFT_OUT if tally.left_out[reason]},
    }


def imbalance(pictures: dict[str, int]) -> dict[str, Any]:
    """How unevenly the training pictures are spread over the classes.

    `ratio` is the largest class over the smallest. `effective_classes` is the exponential of the entropy of
    the class shares (Hill's number of order 1): as many classes of equal size are as diverse.
    """
    largest = min(pictures, key=lambda c: (-pictures[c], c))
    smallest = min(pictures, key=lambda c: (pictures[c], c))
    total = sum(pictures.values())
    shares = [n / total for n in pictures.values() if n]
    effective = math.exp(-sum(p * math.log(p) for p in shares))
    return {
        "largest": {"category": largest, "images": pictures[largest]},
        "smallest": {"category": smallest, "images": pictures[smallest]},
        "ratio": round(pictures[largest] / pictures[smallest], 6) if pictures[smallest] else None,
        "effective_classes": round(effective, 6),
    }


def warnings_of(tally: Tally) -> list[str]:
    """What the curator should know; one line each."""
    told = (
        (tally.unknown_licences, "picture", "licence 'unknown' was written, as none is on record, for {}"),
        (
            tally.left_out["no_reference"],
            "test picture",
            "left out without a settled reference: {} (manage.py add_reference)",
        ),
        (tally.left_out["not_grouped"], "image", "left out, in no duplicate group: {} (manage.py dedup)"),
        (tally.left_out["no_source"], "image", "left out, with no source on record: {}"),
        (tally.kept_unsettled, "test picture", "experts differ now; the earlier category was kept for {}"),
        (
            tally.straddling,
            "picture",
            "left out, as the split file puts a copy into a more protected split: {}",
        ),
        (
            tally.tested_outside,
            "test picture",
            "outside of what was asked for, and still a test picture of the dataset: {} of earlier releases",
        ),
    )
    return [words.format(number_of(n, one)) for n, one, words in told if n] + _uneven(tally)


def _uneven(tally: Tally) -> list[str]:
    train = {category: tally.labels["train", category] for _, category in tally.labels}
    spread = imbalance(train)
    if spread["ratio"] is None or spread["ratio"] <= UNEVEN:
        return []
    most, least = spread["largest"], spread["smallest"]
    return [
        f"classes are uneven: {number_of(most['images'], 'training picture')} of {most['category']}, "
        f"{least['images']:,} of {least['category']} (--per-class N limits the large ones)"
    ]
