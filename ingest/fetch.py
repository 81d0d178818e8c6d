"""Asking web servers for pictures and pages, politely, and never further than allowed.

A request goes: address checked -> robots.txt asked (once for each host) -> this host's turn awaited ->
asked -> a redirect starts again at the address check -> the body is read up to its limit. What is temporary
(429, 5xx, a broken line) is tried again, later each time; everything else is an answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urljoin

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from ingest.addresses import BadUrl, Guard, RefusedAddress, clean_url, origin_of
from ingest.manners import (
    MOST_WAIT,
    ROBOTS_BYTES,
    Pace,
    Robots,
    at_once_for,
    back_off,
    forbids_training,
    retry_after,
    user_agent,
)

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})
DEAD_AFTER = 8
DEAD_SECONDS = 5.0
"""A host that could not be reached `DEAD_AFTER` times in a row, over at least `DEAD_SECONDS`, is left alone
for the rest of the run."""
UNREACHABLE = (aiohttp.ClientError, ConnectionError, TimeoutError, OSError)


class NotFetched(Exception):
    """A URL that gave nothing.

    Attributes:
        verdict: `rejected`, `forbidden`, `gone` or `failed`.
        reason: a slug, such as `robots`, `address`, `too_large`, `http_404`, `timeout`.
        detail: one line for people, at most 200 characters.
    """

    def __init__(self, verdict: str, reason: str, detail: str = "") -> None:
        self.verdict = verdict
        self.reason = reason
        self.detail = " ".join(detail.split())[:200]
        self.attempts = 1
        super().__init__(f"{verdict}: {reason}: {self.detail}")


class _TryAgain(Exception):
    """Something temporary. `wait`: what the server asked for, in seconds; `tries`: no more than so many."""

    def __init__(self, reason: str, detail: str, wait: float | None = None, tries: int = 100) -> None:
        self.reason, self.detail, self.wait, self.tries = reason, detail, wait, tries
        super().__init__(reason)


@dataclass(frozen=True)
class Limits:
    """How much of anything is enough.

    Attributes:
        rate: requests a second to one host.
        picture_bytes, page_bytes: more than this is not read.
        seconds: for one request from connecting to its last byte.
        tries: how often something temporary is tried.
        at_once: requests in flight over all hosts.
    """

    rate: float = 2.0
    picture_bytes: int = 20_000_000
    page_bytes: int = 10_000_000
    seconds: float = 60.0
    tries: int = 4
    at_once: int = 128


@dataclass(frozen=True)
class Fetched:
    """A body, whole.

    Attributes:
        url: where it was found in the end, after redirects.
        content_type: what the server calls it; a hint at best.
        charset: of a text, as the server says, or an empty text.
        attempts: tries it took.
    """

    url: str
    body: bytes
    content_type: str
    charset: str
    attempts: int


@dataclass
class _Host:
    """What is known of one scheme, host and port."""

    pace: Pace
    robots: asyncio.Task[Robots] | None = None
    unreachable: int = 0
    since: float = 0.0

    @property
    def dead(self) -> bool:
        """Whether it is no use to try again in this run."""
        down = asyncio.get_running_loop().time() - self.since
        return self.unreachable >= DEAD_AFTER and down >= DEAD_SECONDS


@dataclass
class Fetcher:
    """Fetches; use as `async with Fetcher(…) as fetcher`.

    Attributes:
        requests: how many requests each `host:port` got, robots.txt and redirects included.
    """

    limits: Limits = field(default_factory=Limits)
    allowed: tuple[tuple[str, int], ...] = ()
    contact: str = ""
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    requests: Counter[str] = field(default_factory=Counter)

    async def __aenter__(self) -> Fetcher:
        self._hosts: dict[tuple[str, str, int], _Host] = {}
        self._guard = Guard(self.allowed)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._guard, limit=self.limits.at_once, use_dns_cache=True, ttl_dns_cache=60
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.limits.seconds, sock_connect=15, sock_read=30),
            headers={"User-Agent": user_agent(self.contact), "Accept-Encoding": "identity"},
            trust_env=False,  # a proxy would resolve names for itself
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts.values():
            if host.robots is not None:
                host.robots.cancel()
        await self._session.close()
        await self._guard.close()

    async def picture(self, url: str) -> Fetched:
        """The bytes behind a picture's URL, whatever they turn out to be.

        Raises:
            NotFetched
        """
        return await self._patiently(url, self.limits.picture_bytes, "image/*,*/*;q=0.5")

    async def page(self, url: str) -> Fetched:
        """A web page's bytes.

        Raises:
            NotFetched
        """
        return await self._patiently(url, self.limits.page_bytes, "text/html,application/xhtml+xml,*/*;q=0.5")

    # --- one URL ------------------------------------------------------------------------------------------

    async def _patiently(self, url: str, most: int, accept: str) -> Fetched:
        """Try until there is an answer, `limits.tries` times at most."""
        for attempt in range(1, self.limits.tries + 1):
            try:
                final, response_type, charset, body = await self._follow(url, most, accept)
                return Fetched(final, body, response_type, charset, attempt)
            except NotFetched as error:
                error.attempts = attempt
                raise
            except _TryAgain as error:
                wait = error.wait if error.wait is not None else back_off(attempt)
                if attempt >= min(self.limits.tries, error.tries) or wait > MOST_WAIT:
                    failed = NotFetched("failed", error.reason, error.detail)
                    failed.attempts = attempt
                    raise failed from None
            await self.pause(wait)
        raise AssertionError("tries is at least 1")

    async def _follow(self, url: str, most: int, accept: str) -> tuple[str, str, str, bytes]:
        for _ in range(MAX_REDIRECTS + 1):
            url = self._checked(url)
            host = self._host(url)
            if not (await self._robots(url, host)).allows(url):
                raise NotFetched("forbidden", "robots", f"robots.txt of {URL(url).host} forbids it")
            async with host.pace.slots:
                await host.pace.turn()
                status, headers, charset, body = await self._ask(url, host, most, accept)
            if status not in REDIRECTS:
                return url, headers.get("Content-Type", "").split(";")[0].strip().lower(), charset, body
            url = urljoin(url, headers["Location"])
        raise NotFetched("failed", "too_many_redirects", f"more than {MAX_REDIRECTS}, the last to {url}")

    def _checked(self, url: str) -> str:
        try:
            url = clean_url(url)
            _, host, port = origin_of(url)
            self._guard.check_literal(host, port)
        except BadUrl as error:
            verdict = "forbidden" if error.reason == "scheme" else "rejected"
            raise NotFetched(verdict, error.reason, str(error)) from None
        except RefusedAddress as error:
            raise NotFetched("forbidden", "address", str(error)) from None
        return url

    async def _ask(
        self, url: str, host: _Host, most: int, accept: str
    ) -> tuple[int, CIMultiDictProxy[str], str, bytes]:
        """One request: its status, headers, charset, and the body of a success."""
        try:
            async with self._request(url, accept) as response:
                host.unreachable = 0
                self._judge(response, host)
                if response.status in REDIRECTS:
                    return response.status, response.headers, "", b""
                body = await _read(response, most)
                return response.status, response.headers, response.charset or "", body
        except RefusedAddress as error:
            raise NotFetched("forbidden", "address", str(error)) from None
        except aiohttp.InvalidURL:
            raise NotFetched("rejected", "bad_url", f"{url} cannot be asked") from None
        except aiohttp.ConnectionTimeoutError as error:
            raise self._unreachable(host, error) from None
        except TimeoutError:
            raise _TryAgain("timeout", f"no whole answer within {self.limits.seconds:g} s", tries=2) from None
        except aiohttp.ClientPayloadError as error:
            raise _TryAgain("cut_off", f"the answer broke off: {error}") from None
        except aiohttp.ClientResponseError as error:
            raise NotFetched("failed", "bad_answer", f"no HTTP: {error.message}") from None
        except UNREACHABLE as error:
            raise self._unreachable(host, error) from None

    def _request(self, url: str, accept: str) -> aiohttp.client._RequestContextManager:
        _, name, port = origin_of(url)
        self.requests[f"{name}:{port}"] += 1
        # The URL is asked as it is written: quoting it anew breaks signed addresses.
        return self._session.get(
            URL(url, encoded=url.isascii()), allow_redirects=False, headers={"Accept": accept}
        )

    def _unreachable(self, host: _Host, error: BaseException) -> Exception:
        if not host.unreachable:
            host.since = asyncio.get_running_loop().time()
        host.unreachable += 1
        detail = str(error) or type(error).__name__
        return NotFetched("failed", "unreachable", detail) if host.dead else _TryAgain("unreachable", detail)

    def _judge(self, response: aiohttp.ClientResponse, host: _Host) -> None:
        """Turn every status but a success or a redirect that says where to into its reason."""
        status = response.status
        detail = f"HTTP {status} {response.reason or ''}".strip()
        if status in (404, 410):
            raise NotFetched("gone", f"http_{status}", detail)
        if status in (401, 403, 451):
            raise NotFetched("forbidden", f"http_{status}", detail)
        if status in TEMPORARY:
            wait = retry_after(response.headers.get("Retry-After"))
            if wait is not None and wait <= MOST_WAIT:
                host.pace.pause(wait)
            raise _TryAgain(f"http_{status}", detail, wait)
        if status in REDIRECTS and "Location" in response.headers:
            return
        if not 200 <= status < 300:
            raise NotFetched("failed", f"http_{status}", detail)
        if forbids_training(",".join(response.headers.getall("X-Robots-Tag", []))):
            raise NotFetched("forbidden", "noai", "its X-Robots-Tag asks not to be used for machine learning")

    # --- hosts --------------------------------------------------------------------------------------------

    def _host(self, url: str) -> _Host:
        origin = origin_of(url)
        if origin not in self._hosts:
            self._hosts[origin] = _Host(Pace(self.limits.rate, at_once_for(self.limits.rate)))
        host = self._hosts[origin]
        if host.dead:
            raise NotFetched("failed", "unreachable", "this host could not be reached again and again")
        return host

    async def _robots(self, url: str, host: _Host) -> Robots:
        """The host's rules, asked once however many ask for them at the same time."""
        if host.robots is None:
            scheme, name, port = origin_of(url)
            place = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
            host.robots = asyncio.create_task(self._ask_robots(f"{scheme}://{place}/robots.txt", host))
        try:
            return await asyncio.shield(host.robots)
        except _TryAgain:
            host.robots = None
            raise

    async def _ask_robots(self, url: str, host: _Host) -> Robots:
        for _ in range(MAX_REDIRECTS + 1):
            url = self._checked(url)
            await self._host(url).pace.turn()
            try:
                async with self._request(url, "text/plain,*/*;q=0.5") as response:
                    if response.status in REDIRECTS and "Location" in response.headers:
                        url = urljoin(url, response.headers["Location"])
                        continue
                    body = await _read(response, ROBOTS_BYTES, cut=True)
                    robots = Robots.from_answer(response.status, body)
            except RefusedAddress as error:
                raise NotFetched("forbidden", "address", str(error)) from None
            except UNREACHABLE as error:
                raise self._unreachable(host, error) from None
            host.pace.slow_to(robots.delay)
            return robots
        return Robots.from_answer(404, b"")  # more than five redirects count as no such file (RFC 9309)


async def _read(response: aiohttp.ClientResponse, most: int, cut: bool = False) -> bytes:
    """The body, at most `most` bytes; more is refused (or, with `cut`, left unread)."""
    if not cut and response.content_length is not None and response.content_length > most:
        response.close()
        raise NotFetched("rejected", "too_large", f"{response.content_length} bytes, at most {most} are read")
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most:
            response.close()
            if cut:
                break
            raise NotFetched("rejected", "too_large", f"stopped reading after {most} bytes")
    return b"".join(parts)[:most]
