"""Requests against a real server: what is asked, what is not, and when it is given up."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from ingest.fetch import Fetched, Fetcher, Limits, NotFetched
from tests.ingest.local_web import Answer, Web, jpeg

FAST = Limits(rate=1000, tries=3, picture_bytes=200_000, page_bytes=100_000, seconds=1.0)

REQUESTS: Counter[str] = Counter()
"""What the last fetcher says it asked."""


async def no_wait(seconds: float) -> None:
    """Back-off without the wait."""


def fetch(
    web: Web, *paths: str, limits: Limits = FAST, allow: Iterable[int] = (), page: bool = False, pause=no_wait
) -> list[Fetched | NotFetched]:
    """What comes of fetching these paths, or whole URLs, one after the other."""
    allowed = tuple(("127.0.0.1", port) for port in (allow or [web.port]))
    REQUESTS.clear()

    async def main() -> list[Fetched | NotFetched]:
        outcomes: list[Fetched | NotFetched] = []
        async with Fetcher(limits, allowed, "me@example.org", pause) as fetcher:
            for path in paths:
                url = path if "://" in path else web.url(path)
                try:
                    outcomes.append(await (fetcher.page(url) if page else fetcher.picture(url)))
                except NotFetched as error:
                    outcomes.append(error)
            REQUESTS.update(fetcher.requests)
        return outcomes

    return asyncio.run(main())


def refused(web: Web, path: str, **more) -> tuple[str, str]:
    (outcome,) = fetch(web, path, **more)
    assert isinstance(outcome, NotFetched), outcome
    return outcome.verdict, outcome.reason


def test_a_picture_comes_whole_with_a_name_to_write_to(web: Web) -> None:
    web.picture("/a.jpg", 1)
    (got,) = fetch(web, "/a.jpg")
    assert isinstance(got, Fetched)
    assert got.body == jpeg(1)
    assert got.attempts == 1
    assert all(agent.startswith("AssayCrawler/") and "me@example.org" in agent for agent in web.agents)


def test_robots_are_asked_once_and_obeyed(web: Web) -> None:
    web.pages["/robots.txt"] = Answer("User-agent: *\nDisallow: /private/\n", kind="text/plain")
    for path in ("/a.jpg", "/private/a.jpg"):
        web.picture(path, 1)
    good, closed, again = fetch(web, "/a.jpg", "/private/a.jpg", "/a.jpg")
    assert isinstance(good, Fetched)
    assert isinstance(again, Fetched)
    assert isinstance(closed, NotFetched)
    assert (closed.verdict, closed.reason) == ("forbidden", "robots")
    assert web.hits["/robots.txt"] == 1
    assert web.hits["/private/a.jpg"] == 0
    assert {web.place: sum(web.hits.values())} == REQUESTS


def test_a_redirect_into_a_forbidden_place_is_not_followed(web: Web) -> None:
    web.pages["/robots.txt"] = Answer("User-agent: *\nDisallow: /private/\n", kind="text/plain")
    web.picture("/private/a.jpg", 1)
    web.pages["/go"] = Answer(status=302, headers={"Location": "/private/a.jpg"})
    assert refused(web, "/go") == ("forbidden", "robots")
    assert web.hits["/private/a.jpg"] == 0


def test_a_broken_robots_txt_closes_the_host(web: Web) -> None:
    web.pages["/robots.txt"] = Answer(status=500)
    web.picture("/a.jpg", 1)
    assert refused(web, "/a.jpg") == ("forbidden", "robots")
    assert web.hits["/a.jpg"] == 0


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"])
def test_no_redirect_leads_inside_the_network(web: Web, name: str) -> None:
    inside = Web()
    try:
        inside.picture("/secret.jpg", 2)
        target = f"http://{name}:{inside.port}/secret.jpg"
        web.pages["/go"] = Answer(status=302, headers={"Location": target})
        assert refused(web, "/go") == ("forbidden", "address")
        assert not inside.hits
    finally:
        inside.close()


def test_nothing_local_is_asked_that_was_not_allowed(web: Web) -> None:
    web.picture("/a.jpg", 1)
    assert refused(web, "/a.jpg", allow=[web.port + 1]) == ("forbidden", "address")
    assert not web.hits


def test_redirects_are_followed_five_times_and_not_to_other_schemes(web: Web) -> None:
    web.picture("/5", 1)
    for n in range(5):
        web.pages[f"/{n}"] = Answer(status=(301, 302, 303, 307, 308)[n], headers={"Location": f"/{n + 1}"})
    web.pages["/round"] = Answer(status=302, headers={"Location": "/round"})
    web.pages["/file"] = Answer(status=302, headers={"Location": "file:///etc/passwd"})
    (got,) = fetch(web, "/0")
    assert isinstance(got, Fetched)
    assert got.url == web.url("/5")
    web.hits.clear()
    assert refused(web, "/round") == ("failed", "too_many_redirects")
    assert web.hits["/round"] == 6
    web.hits.clear()
    assert refused(web, "/file") == ("forbidden", "scheme")


@pytest.mark.parametrize("length", [-1, 5_000_000])
def test_too_many_bytes_are_not_read(web: Web, length: int) -> None:
    web.pages["/big.jpg"] = Answer(jpeg(1) + bytes(5_000_000 - len(jpeg(1))), length=length)
    assert refused(web, "/big.jpg") == ("rejected", "too_large")
    web.hits.clear()
    web.pages["/big"] = Answer(b"<p>" * 50_000, kind="text/html", length=-1)
    assert refused(web, "/big", page=True) == ("rejected", "too_large")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, ("gone", "http_404")),
        (410, ("gone", "http_410")),
        (403, ("forbidden", "http_403")),
        (401, ("forbidden", "http_401")),
        (418, ("failed", "http_418")),
    ],
)
def test_an_answer_is_not_asked_for_twice(web: Web, status: int, outcome: tuple[str, str]) -> None:
    web.pages["/a"] = Answer(status=status)
    assert refused(web, "/a") == outcome
    assert web.hits["/a"] == 1


def test_what_is_temporary_is_tried_again(web: Web) -> None:
    web.pages["/a"] = lambda count: Answer(status=503) if count < 3 else Answer(jpeg(1))
    web.pages["/b"] = Answer(status=500)
    got, failed = fetch(web, "/a", "/b")
    assert isinstance(got, Fetched)
    assert got.attempts == 3
    assert isinstance(failed, NotFetched)
    assert (failed.verdict, failed.reason, failed.attempts) == ("failed", "http_500", 3)
    assert web.hits["/b"] == 3


def test_retry_after_is_kept_and_a_long_one_is_left_for_another_day(web: Web) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    def busy(count: int) -> Answer:
        return Answer(status=429, headers={"Retry-After": "0"}) if count == 1 else Answer(jpeg(1))

    web.pages["/soon"] = busy
    web.pages["/late"] = Answer(status=503, headers={"Retry-After": "86400"})
    soon, late = fetch(web, "/soon", "/late", pause=note)
    assert isinstance(soon, Fetched)
    assert waits == [0.0]
    assert isinstance(late, NotFetched)
    assert late.reason == "http_503"
    assert web.hits["/late"] == 1


def test_a_broken_off_answer_and_a_slow_one_fail_after_their_tries(web: Web) -> None:
    web.pages["/half"] = Answer(jpeg(1), length=len(jpeg(1)) * 2)
    assert refused(web, "/half") == ("failed", "cut_off")
    assert web.hits["/half"] == 3

    def slow(count: int) -> Answer:
        time.sleep(0.5)
        return Answer(jpeg(1))

    web.pages["/slow"] = slow
    assert refused(web, "/slow", limits=Limits(rate=1000, seconds=0.25)) == ("failed", "timeout")
    assert web.hits["/slow"] == 2


def test_a_host_that_is_not_there_fails(web: Web) -> None:
    web.close()
    assert refused(web, "/a") == ("failed", "unreachable")
    assert {web.place: 3} == REQUESTS


def test_a_picture_that_must_not_be_learnt_from_is_left(web: Web) -> None:
    web.pages["/a.jpg"] = Answer(jpeg(1), headers={"X-Robots-Tag": "noindex, noai"})
    assert refused(web, "/a.jpg") == ("forbidden", "noai")


def test_one_host_gets_no_more_requests_at_once_than_its_share(web: Web) -> None:
    web.delay = 0.03
    paths = [f"/{n}" for n in range(12)]
    for n, path in enumerate(paths):
        web.picture(path, n)

    async def main() -> None:
        async with Fetcher(Limits(rate=12), (("127.0.0.1", web.port),)) as fetcher:
            host = fetcher._host(web.url("/"))
            host.pace.interval = 0.0
            await asyncio.gather(*(fetcher.picture(web.url(path)) for path in paths))

    asyncio.run(main())
    assert web.most_at_once <= 3
    assert sum(web.hits[path] for path in paths) == 12
