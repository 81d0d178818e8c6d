"""How accurate the labels of a release are, by the pictures that experts have answered too."""

from __future__ import annotations

from typing import Any

from annotation_site.figures import number_of
from quality.agreement import accuracy_interval

NEARLY_ALL = 0.95


def label_accuracy(
    test: tuple[int, int, int], others: tuple[int, int], *, drawn: bool = True
) -> dict[str, Any] | None:
    """`{value, lo, hi, n, basis}` with a 95% Wilson interval, fractions; None where experts answered nothing.

    The test split was drawn before any vote, so where experts answered all of it, it is a random sample of
    what train and val hold. Referenced pictures elsewhere were chosen for some reason (a dispute, mostly) and
    speak only where test is silent.

    Args:
        test: (right, referenced, eligible): test pictures whose consensus would be released, those with a
            settled reference, and those where both say the same. Gold does not count.
        others: (right, referenced) in train and val.
        drawn: whether chance chose the test split; else it came with the set.
    """
    right, known, eligible = test
    if known:
        whole = known >= NEARLY_ALL * eligible
        kind = "the test split, a random sample" if whole else "part of the test split, perhaps not random"
        if not drawn:
            kind = "the test split that came with the set, perhaps not random"
        basis = f"{kind}: references of {known:,} of {number_of(eligible, 'eligible picture')}"
    else:
        right, known = others
        if not known:
            return None
        basis = "referenced pictures of train and val, not a random sample"
    lo, hi = accuracy_interval(right, known)
    return {
        "value": round(right / known, 6),
        "lo": round(lo, 6),
        "hi": round(hi, 6),
        "n": known,
        "basis": basis,
    }
