"""robots.txt, pace and patience."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.manners import Pace, Robots, at_once_for, back_off, forbids_training, retry_after, user_agent

RULES = b"User-agent: *\nDisallow: /private/\nCrawl-delay: 3\n\nUser-agent: AssayCrawler\nDisallow: /ours/\n"


def test_the_rules_for_our_name_go_before_those_for_everyone() -> None:
    robots = Robots.from_answer(200, RULES)
    assert not robots.allows("http://h.example/ours/a.jpg")
    assert robots.allows("http://h.example/private/a.jpg")
    everyone = Robots.from_answer(200, RULES.replace(b"AssayCrawler", b"OtherBot"))
    assert not everyone.allows("http://h.example/private/a.jpg")
    assert everyone.allows("http://h.example/a.jpg")
    assert everyone.delay == 3.0


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (410, True), (500, False), (503, False), (429, False)]
)
def test_no_file_allows_everything_and_a_broken_server_nothing(status: int, allowed: bool) -> None:
    assert Robots.from_answer(status, b"User-agent: *\nDisallow: /\n").allows("http://h.example/a") is allowed


@given(st.binary(max_size=300))
def test_no_robots_txt_breaks_the_reader(body: bytes) -> None:
    robots = Robots.from_answer(200, body)
    robots.allows("http://h.example/a")
    assert robots.delay >= 0


def test_robots_txt_is_read_up_to_its_limit() -> None:
    padded = b"User-agent: *\nDisallow: /early\n#" + b"x" * 600 * 1024 + b"\nDisallow: /late\n"
    robots = Robots.from_answer(200, padded)
    assert not robots.allows("http://h.example/early")
    assert robots.allows("http://h.example/late")


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where somebody sleeps."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


def turns(pace_rate: float, count: int, before: str = "") -> list[float]:
    loop = Clock()
    times: list[float] = []

    async def one(pace: Pace) -> None:
        await pace.turn()
        times.append(loop.time() - 1000.0)

    async def main() -> None:
        pace = Pace(pace_rate, 2)
        if before == "slow":
            pace.slow_to(10)
        if before == "pause":
            pace.pause(30)
        await asyncio.gather(*(one(pace) for _ in range(count)))

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return times


def test_turns_come_at_the_rate() -> None:
    times = turns(2, 9)
    assert times == sorted(times)
    for window in (1.0, 2.0, 4.0):
        for start in times:
            assert sum(start <= t < start + window - 0.1 for t in times) <= 2 * window
    assert times[-1] == pytest.approx(4.0, abs=0.1)


def test_a_crawl_delay_and_a_pause_hold_everyone_up() -> None:
    assert turns(100, 3, "slow")[-1] == pytest.approx(20, abs=0.1)
    assert turns(100, 3, "pause")[0] >= 30


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after("17", now) == 17
    assert retry_after("Thu, 01 Jan 2026 12:01:00 GMT", now) == 60
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", now) == 0
    assert retry_after("soon", now) is None
    assert retry_after(None, now) is None


def test_waits_double_and_are_drawn() -> None:
    assert [back_off(n, lambda: 1.0) for n in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert back_off(3, lambda: 0.0) == 1.0
    assert back_off(40, lambda: 1.0) == 30.0


def test_small_manners() -> None:
    assert at_once_for(1) == 2
    assert at_once_for(400) == 64
    assert "me@example.org" in user_agent("me@\nexample.org".replace("\n", ""))
    assert "\n" not in user_agent("a\nb")
    assert forbids_training("noindex, NoAI")
    assert forbids_training("otherbot: noimageai")
    assert not forbids_training("noindex, nofollow")
    assert not forbids_training("")
