"""Numbers as people read them."""

from __future__ import annotations


def percent(share: float, digits: int = 0) -> str:
    """0.934 -> "93%". What is not all never reads "100%", and what is not nothing never reads "0%".

    `share` is a fraction of 1; more digits are shown where rounding would say too much, three at most.
    """
    for places in range(digits, max(digits, 3) + 1):
        text = f"{100 * share:.{places}f}"
        if (share >= 1 or float(text) < 100) and (share <= 0 or float(text) != 0):
            return f"{text}%"
    return ">99.9%" if share > 0.5 else "<0.1%"


def number_of(number: int, one: str, many: str = "") -> str:
    """1 -> "1 vote", 2600 -> "2,600 votes", for commands; `many`: where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points, signed: -0.037 -> "-3.7"; zero has no sign."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if float(text) == 0 else text
