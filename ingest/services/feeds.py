"""What is still to fetch of a source, as jobs for the crawler, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from ingest.crawl import Job, Outcome
from ingest.models import Source
from ingest.services.outcomes import settle_known_urls
from ingest.services.takedown import settle_refused_urls
from ingest.sources.archive import read_members
from ingest.sources.found import BadSource
from ingest.sources.kinds import REMOTE

ROWS = 100
MEMBERS = 4
IN_MEMORY = 24
"""Archive members wait in memory; no more are read while so many pictures are under way."""


@dataclass
class Picture:
    """Candidates that share one URL or path, on their way together."""

    ids: list[int]
    url: str


Taken = list[tuple[Picture, Job | Outcome]]


class Feed(Protocol):
    """Pending candidates of one source."""

    source: Source
    empty: bool

    def take(self, under_way: int) -> Taken:
        """Some more, or none for now; some may be settled without a job. `empty` when there are no more."""

    def settled_early(self) -> int:
        """How many candidates `take` has settled by itself since the last call."""


def feed_of(source: Source, most: int) -> Feed:
    """The feed for a source's kind; `most` is the limit on a picture's bytes."""
    return ArchiveFeed(source, most) if source.kind == "archive" else RowFeed(source)


class RowFeed:
    """Candidates of a folder, a list or a page, in the order they were found."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._last = 0
        self._settled = 0
        self.empty = False

    def take(self, under_way: int) -> Taken:
        """See `Feed.take`. Rows found later have higher ids, so asking again after `empty` is fine."""
        rows = list(self.source.candidates.pending().filter(pk__gt=self._last).order_by("pk")[:ROWS])
        self.empty = not rows
        if not rows:
            return []
        self._last = rows[-1].pk
        if self.source.kind in REMOTE:
            refused = settle_refused_urls(self.source.dataset, rows)
            rows = [row for row in rows if row.pk not in refused]
            known = settle_known_urls(self.source.dataset, rows)
            self._settled += len(refused) + len(known)
            rows = [row for row in rows if row.pk not in known]
        return [(picture, self._job(picture)) for picture in (Picture([row.pk], row.url) for row in rows)]

    def settled_early(self) -> int:
        """See `Feed.settled_early`."""
        settled, self._settled = self._settled, 0
        return settled

    def _job(self, picture: Picture) -> Job:
        if self.source.kind in REMOTE:
            return Job(picture, url=picture.url)
        return Job(picture, path=Path(self.source.location) / picture.url)


class ArchiveFeed:
    """Candidates of an archive, in the archive's own order: a tar can only be read from its start."""

    def __init__(self, source: Source, most: int) -> None:
        self.source = source
        self._most = most
        self._pending: dict[str, int] | None = None
        self._members: Iterator[tuple[Picture, Job | Outcome]] = iter(())
        self.empty = False

    def take(self, under_way: int) -> Taken:
        """See `Feed.take`."""
        if self._pending is None:
            self._pending = dict(self.source.candidates.pending().values_list("url", "pk"))
            self._members = self._read(self._pending)
        if self.empty or under_way >= IN_MEMORY:
            return []
        taken = list(islice(self._members, MEMBERS))
        self.empty = not taken
        return taken

    def settled_early(self) -> int:
        """See `Feed.settled_early`."""
        return 0

    def _read(self, pending: dict[str, int]) -> Iterator[tuple[Picture, Job | Outcome]]:
        if not pending:
            return
        try:
            members = read_members(Path(self.source.location), lambda name: name in pending, self._most)
            for name, data, problem in members:
                picture = Picture([pending.pop(name)], name)
                if data is None:
                    detail = f"more than {self._most} bytes" if problem == "too_large" else "cannot be read"
                    yield picture, Outcome(picture, "rejected", problem, detail)
                else:
                    yield picture, Job(picture, data=data)
        except BadSource as error:
            for name, pk in pending.items():
                picture = Picture([pk], name)
                yield picture, Outcome(picture, "failed", "unreadable", str(error)[-200:])
            return
        for name, pk in pending.items():
            picture = Picture([pk], name)
            yield picture, Outcome(picture, "gone", "no_such_file", "not in the archive any more")
