"""Which split a duplicate group belongs to, by a keyed hash that is drawn before any vote.

The draw of a group is a number in [0, 1). The test split takes the low end, val the next stretch, train the
rest. Two properties follow, and releases rely on them:

* adding images never moves an old group, because a draw depends on nothing but the key and one image;
* where two groups merge, the smaller draw is the more protected split (test > val > train).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Shares:
    """Fractions of the duplicate groups in each split; they sum to 1."""

    train: float
    val: float
    test: float

    @classmethod
    def parse(cls, text: str) -> Shares:
        """Read `80/10/10` (train/val/test, percent).

        Raises:
            ValueError: not three whole numbers of at least 0 that sum to 100, or train or test is 0.
        """
        parts = text.strip().split("/")
        if len(parts) != 3 or not all(p.strip().isdigit() for p in parts):
            raise ValueError(f"splits are train/val/test in percent, such as 80/10/10; got {text!r}")
        train, val, test = (int(p) for p in parts)
        if train + val + test != 100 or not train or not test:
            raise ValueError(f"splits must sum to 100, with some train and some test; got {text!r}")
        return cls(train / 100, val / 100, test / 100)


def draw(key: str, sha256: str) -> float:
    """A number in [0, 1) from the dataset's secret key and an image's SHA-256 (HMAC-SHA-256, 53 bits)."""
    digest = hmac.new(key.encode(), sha256.encode(), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def split_of(drawn: float, shares: Shares) -> str:
    """The split of a group by its draw: test first, then val, then train."""
    if drawn < shares.test:
        return "test"
    return "val" if drawn < shares.test + shares.val else "train"
