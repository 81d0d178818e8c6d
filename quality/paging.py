"""Keyset pagination: a page begins after the last row of the one before it, so every page costs the same."""

from __future__ import annotations

import math


def place_after(token: str) -> tuple[float, int] | None:
    """Read a token `number,id`; None for anything else, which means the first page."""
    number, _, pk = token.partition(",")
    try:
        place = float(number), int(pk)
    except ValueError:
        return None
    return place if math.isfinite(place[0]) and 0 <= place[1] < 2**63 else None


def token(number: float, pk: int) -> str:
    """The token of the page that begins after a row with this sort key and id."""
    return f"{number!r},{pk}"
