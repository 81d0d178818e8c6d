"""The terms on which a release is given away: a text and what a person must tell, known by their SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

ASKABLE = ("name", "email", "purpose")
"""What the terms can ask of a person. Less is better: all of it is kept."""
LONGEST = 40_000
"""Characters of a text."""


class BadTerms(ValueError):
    """Terms that nobody could accept; one line for the user."""


def clean_text(text: str) -> str:
    """The text with Unix line ends and without space around it, so that equal terms have equal hashes.

    Raises:
        BadTerms: empty, too long, or not text.
    """
    clean = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    clean = clean.strip()
    if not clean:
        raise BadTerms("the terms are empty; write what people agree to when they download the release")
    if len(clean) > LONGEST:
        raise BadTerms(f"the terms have {len(clean):,} characters; {LONGEST:,} are the most")
    if "\x00" in clean:
        raise BadTerms("the terms are no plain text")
    return clean


def clean_asks(asks: Iterable[str]) -> list[str]:
    """What is asked, in one order.

    Raises:
        BadTerms: something that the page has no field for.
    """
    wanted = {ask.strip() for ask in asks} - {""}
    unknown = sorted(wanted - set(ASKABLE))
    if unknown:
        raise BadTerms(f"terms cannot ask for {unknown[0]!r}; they can ask for {', '.join(ASKABLE)}")
    return [ask for ask in ASKABLE if ask in wanted]


def terms_sha256(text: str, asks: list[str]) -> str:
    """The version of these terms; text and questions as `clean_text` and `clean_asks` give them."""
    return hashlib.sha256(f"{json.dumps(asks)}\n{text}".encode()).hexdigest()


def default_terms(title: str, licence: str) -> str:
    """Terms for a dataset that has none of its own."""
    labels = (
        f"The labels, votes and descriptions are licensed under {licence}."
        if licence
        else "No licence has been named for the labels: ask the makers before you pass them on."
    )
    points = [
        "The pictures belong to their authors. The licence of each picture, as it was found, stands in "
        "manifest.parquet with its author and source; keep to it.",
        labels,
        "Do not try to find out who the workers behind the votes are, or who the people in the pictures are.",
        "When a picture is taken down, a newer version leaves it out. Use the newest version, and delete "
        "what was taken down from your copies.",
        "Cite the dataset with its version and fingerprint when you publish results.",
    ]
    return "\n".join(
        [f"Terms of use of {title}", ""] + [f"{n}. {point}" for n, point in enumerate(points, 1)]
    )
