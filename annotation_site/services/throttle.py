"""Counting what one person or address does, so that guessing and flooding become slow.

The counts live in the cache: they forget by themselves, and a restart forgets them all.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.core.cache import cache


@dataclass(frozen=True)
class Limit:
    """At most `most` times in `seconds`, counted from the first, for each `who` (any texts)."""

    name: str
    most: int
    seconds: int

    def reached(self, *who: str) -> bool:
        """Whether the next one is too many."""
        return int(cache.get(self._slot(who), 0)) >= self.most

    def spend(self, *who: str) -> None:
        """Count one."""
        slot = self._slot(who)
        cache.add(slot, 0, self.seconds)
        try:
            cache.incr(slot)
        except ValueError:  # forgotten in this very moment: this one is the first again
            cache.set(slot, 1, self.seconds)

    def forget(self, *who: str) -> None:
        """Begin at nought."""
        cache.delete(self._slot(who))

    def _slot(self, who: tuple[str, ...]) -> str:
        return f"{self.name}:{hashlib.sha256(chr(10).join(who).encode()).hexdigest()}"
