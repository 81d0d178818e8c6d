"""How a crawler behaves: robots.txt, one pace for each host, waiting when told to.

robots.txt follows RFC 9309: no such file (4xx) allows everything, a server error forbids everything, only the
first 500 KiB are read.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from protego import Protego

AGENT = "AssayCrawler"
"""The name that robots.txt rules are looked up by."""
ROBOTS_BYTES = 500 * 1024
CATCH_UP = 0.05
"""Seconds of lateness (a busy event loop) that a host's pace makes up for."""
MOST_WAIT = 300.0
"""A host that asks for a longer wait than this (seconds) is left for another run."""


def user_agent(contact: str, version: str = "0.1") -> str:
    """The User-Agent header, with whom to write to."""
    about = " ".join(contact.split())
    return f"{AGENT}/{version} (+{about})" if about else f"{AGENT}/{version} (makes image datasets)"


class Robots:
    """The rules of one host."""

    def __init__(self, rules: Protego | None, everything: bool) -> None:
        self._rules = rules
        self._everything = everything

    @classmethod
    def from_answer(cls, status: int, body: bytes) -> Robots:
        """The rules by the answer to /robots.txt (RFC 9309, section 2.3.1)."""
        if 200 <= status < 300:
            text = body[:ROBOTS_BYTES].decode("utf-8", "replace")
            return cls(Protego.parse(text), True)
        return cls(None, status < 500 and status != 429)

    def allows(self, url: str) -> bool:
        """Whether this URL may be asked."""
        if self._rules is None:
            return self._everything
        return bool(self._rules.can_fetch(url, AGENT))

    @property
    def delay(self) -> float:
        """Crawl-delay in seconds, 0 where there is none."""
        wanted = self._rules.crawl_delay(AGENT) if self._rules is not None else None
        return max(0.0, float(wanted)) if wanted is not None and math.isfinite(float(wanted)) else 0.0


class Pace:
    """The pace of requests to one host: a rate, and how many at once.

    Args:
        rate: requests a second.
        at_once: requests in flight.
    """

    def __init__(self, rate: float, at_once: int) -> None:
        self.interval = 1.0 / rate
        self.slots = asyncio.Semaphore(at_once)
        self._turn = asyncio.Lock()
        self._next = 0.0
        self._paused_until = 0.0

    async def turn(self) -> None:
        """Wait for this request's turn; turns come in the order of asking."""
        clock = asyncio.get_running_loop().time
        async with self._turn:
            while (wait := max(self._next, self._paused_until) - clock()) > 0:
                await asyncio.sleep(wait)
            self._next = max(self._next, clock() - CATCH_UP) + self.interval

    def slow_to(self, delay: float) -> None:
        """Never again faster than one request in `delay` seconds."""
        self.interval = max(self.interval, delay)

    def pause(self, seconds: float) -> None:
        """Nobody asks this host for so long."""
        until = asyncio.get_running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)


def at_once_for(rate: float) -> int:
    """How many requests one host gets at once: two at polite rates, more only where the rate asks for it."""
    return min(64, max(2, math.ceil(rate / 4)))


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header (a number or a date), None where it says nothing."""
    text = (header or "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(min(int(text[:9]), 10**8))
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def back_off(attempt: int, draw: Callable[[], float] = random.random) -> float:
    """Seconds before try `attempt` + 1 (1, 2, …): doubling from 0.5, at most 30, half of it drawn."""
    most = min(30.0, 0.5 * 2 ** (attempt - 1))
    return most / 2 + most / 2 * draw()


def forbids_training(header: str) -> bool:
    """Whether an X-Robots-Tag header or a robots meta tag asks not to be used for machine learning."""
    words = {word.strip().lower() for part in header.split(",") for word in part.split(":")[-1:]}
    return bool(words & {"noai", "noimageai"})
