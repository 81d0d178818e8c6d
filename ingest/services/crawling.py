"""One run of `manage.py ingest`: look through the sources, get what is new, write down what became of it.

Resumable by construction: candidates are rows before they are fetched, and a row is settled in the
transaction that writes its image. What was under way at a kill is still `found`; the next run takes it up.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.utils import timezone

from ingest.addresses import origin_of
from ingest.crawl import Crawler, Job, Outcome
from ingest.models import Category, Dataset, Source
from ingest.services.feeds import Feed, Picture, feed_of
from ingest.services.finding import note_found, open_source
from ingest.services.outcomes import record_outcomes
from ingest.services.takedown import refused_hashes
from ingest.sources.archive import find_in_archive
from ingest.sources.folder import find_in_folder
from ingest.sources.found import BadSource, Found
from ingest.sources.kinds import Place
from ingest.sources.page import read_page
from ingest.sources.url_list import find_in_list

WINDOW = 256
"""Pictures under way at once, waiting for their host's turn included."""
ROWS = 1000
FLUSH_ROWS = 100
FLUSH_SECONDS = 0.5


@dataclass
class Search:
    """One source as this run goes through it.

    Attributes:
        sources: its rows; a list has one for each category that stands in it.
        new: candidates that this run was the first to find.
        error: why the source could not be read to its end; empty where it could.
    """

    place: Place
    sources: list[Source] = field(default_factory=list)
    new: int = 0
    seen: int = 0
    pages: int = 0
    error: str = ""
    looking: bool = False
    visited: set[str] = field(default_factory=set)


@dataclass
class CrawlRun:
    """Go through `places` for `dataset`.

    Attributes:
        most: look at so many pictures of each source, at most.
        most_pages: and follow so many pages.
        tick: called with the number of candidates settled and found since the last call.
    """

    dataset: Dataset
    places: Sequence[Place]
    crawler: Crawler
    most: int | None = None
    most_pages: int = 1000
    tick: Callable[[int, int], None] = lambda settled, found: None
    stored: int = 0
    searches: list[Search] = field(default_factory=list)

    def run(self) -> None:
        """Until nothing is left to look at and to fetch; what is done survives any exception."""
        self._categories = {c.key: c for c in Category.objects.filter(dataset=self.dataset)}
        self._feeds: dict[int, Feed] = {}
        self._waiting: dict[str, Picture] = {}
        self._settled: list[tuple[Picture, Outcome]] = []
        self._flushed = time.monotonic()
        self.crawler.refused = refused_hashes(self.dataset)
        self.searches = [Search(place) for place in self.places]
        for search in self.searches:
            if search.place.kind != "page":
                self._look_locally(search)
        with self.crawler:
            try:
                for search in self.searches:
                    if search.place.kind == "page":
                        self._open(search, search.place.category)
                        self._ask_page(search, search.place.location)
                self._work()
            finally:
                self._flush()
        self._close()

    @property
    def requests(self) -> Counter[str]:
        """Requests each host got in this run."""
        return self.crawler.requests

    @property
    def rows(self) -> list[Source]:
        """Every source row that this run touched, each once."""
        return list({source.pk: source for search in self.searches for source in search.sources}.values())

    # --- looking ------------------------------------------------------------------------------------------

    def _open(self, search: Search, category: str) -> Source:
        """The row of this source and category, with a feed of what is still to fetch from it."""
        place = search.place
        wanted = self._categories[category] if category else None
        for source in search.sources:
            if source.category_id == (wanted.pk if wanted else None):
                return source
        source = open_source(self.dataset, place.kind, place.location, wanted)
        search.sources.append(source)
        if source.pk not in self._feeds:
            self._feeds[source.pk] = feed_of(source, self.crawler.picture_bytes)
        return source

    def _look_locally(self, search: Search) -> None:
        place = search.place
        try:
            found: Iterator[Found] = _FINDERS[place.kind](Path(place.location))
            while rows := list(islice(found, ROWS)):
                self._note(search, rows)
                if self.most is not None and search.seen >= self.most:
                    break
        except BadSource as error:
            search.error = str(error)
        if not search.sources:  # an empty source is a source, too
            self._open(search, place.category)

    def _note(self, search: Search, rows: Iterable[Found]) -> None:
        """Write down what was found, under the category that each row names, or else the source's."""
        by_category: dict[str, list[Found]] = {}
        for row in rows:
            if self.most is not None and search.seen >= self.most:
                break
            search.seen += 1
            by_category.setdefault(row.category or search.place.category, []).append(row)
        for category, found in by_category.items():
            if category and category not in self._categories:
                raise BadSource(f"{search.place.location}: no category has the id {category!r}")
            source = self._open(search, category)
            new = note_found(source, found)
            if new:
                self._feeds[source.pk].empty = False
            search.new += new
            self.tick(0, new)

    def _ask_page(self, search: Search, url: str) -> None:
        search.visited.add(url)
        search.looking = True
        self.crawler.submit(Job(search, page=url))

    def _read_page(self, search: Search, outcome: Outcome) -> None:
        """Note a page's pictures and go on to the next page of the same site."""
        search.looking = False
        page = outcome.page
        if page is None:
            search.error = f"{outcome.verdict}: {outcome.reason}: {outcome.detail}"
            return
        search.pages += 1
        if page.content_type.startswith("image/"):
            self._note(search, [Found(search.place.location)])
            return
        read = read_page(page.body, page.url, page.charset)
        if read.noai:
            search.error = "forbidden: noai: the page asks not to be used for machine learning"
            return
        self._note(search, read.found)
        following = read.next_url
        if not following or following in search.visited or origin_of(following) != origin_of(page.url):
            return
        if search.pages < self.most_pages and (self.most is None or search.seen < self.most):
            self._ask_page(search, following)

    # --- fetching -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            self._fill()
            if not self.crawler.under_way and not self._settled and not self._feeds_left():
                return
            outcome = self.crawler.outcome(timeout=FLUSH_SECONDS) if self.crawler.under_way else None
            if outcome is None:
                self._flush()
            elif isinstance(outcome.key, Search):
                self._read_page(outcome.key, outcome)
            elif isinstance(outcome.key, Picture):
                self._settled.append((outcome.key, outcome))
            late = time.monotonic() - self._flushed >= FLUSH_SECONDS
            if len(self._settled) >= FLUSH_ROWS or (late and self._settled):
                self._flush()

    def _fill(self) -> None:
        """Keep the window full, from every source in turn, so that a slow host holds up no other."""
        turns = deque(feed for feed in self._feeds.values() if not feed.empty)
        while turns and self.crawler.under_way < WINDOW:
            feed = turns.popleft()
            taken = feed.take(self.crawler.under_way)
            self.tick(feed.settled_early(), 0)
            for picture, job in taken:
                self._start(picture, job)
            if taken:
                turns.append(feed)

    def _start(self, picture: Picture, job: Job | Outcome) -> None:
        """Send a picture on its way; the same URL goes once, for all who found it."""
        if isinstance(job, Outcome):
            self._settled.append((picture, job))
        elif job.url is None:
            self.crawler.submit(job)
        elif picture.url in self._waiting:
            self._waiting[picture.url].ids += picture.ids
        else:
            self._waiting[picture.url] = picture
            self.crawler.submit(job)

    def _feeds_left(self) -> bool:
        return any(not feed.empty for feed in self._feeds.values())

    def _flush(self) -> None:
        """Settle what has come home; the rows are dropped only when they are written."""
        self._flushed = time.monotonic()
        if not self._settled:
            return
        batch = list(self._settled)
        self.stored += record_outcomes(self.dataset, [(picture.ids, outcome) for picture, outcome in batch])
        del self._settled[: len(batch)]
        for picture, _ in batch:
            self._waiting.pop(picture.url, None)
        self.tick(sum(len(picture.ids) for picture, _ in batch), 0)

    def _close(self) -> None:
        """Write down which sources were read to their end and have nothing left to fetch."""
        for search in self.searches:
            for source in search.sources:
                source.last_run = timezone.now()
                source.finished = not search.error and not source.candidates.pending().exists()
                source.save(update_fields=["last_run", "finished"])


_FINDERS: dict[str, Callable[[Path], Iterator[Found]]] = {
    "folder": find_in_folder,
    "archive": find_in_archive,
    "list": find_in_list,
}
