"""manage.py ingest: look through sources, fetch what is new, say what became of each picture."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from ingest.addresses import parse_host_port
from ingest.crawl import Crawler
from ingest.examiners import Examiners
from ingest.facts import MIN_SIDE
from ingest.fetch import Fetcher, Limits
from ingest.management.base import AssayCommand, BadInput, Failure
from ingest.models import Candidate, Category, Dataset
from ingest.progress import progress
from ingest.services.crawling import CrawlRun
from ingest.services.outcomes import Tally, tally
from ingest.sources.archive import find_in_archive
from ingest.sources.found import BadSource
from ingest.sources.kinds import Place, parse_place
from ingest.sources.url_list import find_in_list
from ingest.storage import open_store


class Command(AssayCommand):
    """Crawls."""

    help = (
        "Find pictures in folders, archives, lists of URLs and web pages, and keep them. "
        "Run it again after a stop, and it goes on; run it again later, and it adds what is new."
    )
    example = (
        "manage.py ingest clothing photos/ more.zip urls.csv\n"
        "manage.py ingest clothing dress=https://example.org/gallery/dress/ --rate 1\n"
        "manage.py ingest clothing http://127.0.0.1:8100/all/ --allow-host 127.0.0.1:8100 --rate 400 --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options of this command."""
        parser.add_argument("dataset")
        parser.add_argument(
            "sources",
            nargs="+",
            metavar="SOURCE",
            help="a folder; a .zip or .tar archive; a list of URLs (.txt, or .csv/.parquet with a column url "
            "and, if wanted, category, caption, licence, author); an http(s) page. "
            "CATEGORY=SOURCE names its category",
        )
        parser.add_argument("--category", default="", metavar="ID", help="what the sources were searched for")
        parser.add_argument(
            "--allow-host",
            action="append",
            default=[],
            metavar="HOST:PORT",
            help="this host may be asked though its address is not public (may be given again)",
        )
        parser.add_argument(
            "--rate", type=float, default=2.0, help="requests a second to one host (default %(default)g)"
        )
        parser.add_argument("--max", type=int, metavar="N", help="take the first N pictures of each source")
        parser.add_argument(
            "--max-pages",
            type=int,
            default=1000,
            metavar="N",
            help="of a gallery (default %(default)s)",
        )
        parser.add_argument(
            "--min-side",
            type=int,
            default=MIN_SIDE,
            metavar="PIXELS",
            help="least side (default %(default)s)",
        )
        parser.add_argument(
            "--max-bytes", type=int, default=Limits.picture_bytes, help="of one picture (default %(default)s)"
        )
        parser.add_argument(
            "--retry-failed", action="store_true", help="try again what failed in earlier runs"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Check every argument, then crawl."""
        dataset = self.dataset(options["dataset"])
        places = _places(dataset, options)
        if options["retry_failed"]:
            _reopen_failed(dataset, places)
        bar = progress(total=0, what="pictures", unit="pictures")

        def tick(settled: int, found: int) -> None:
            bar.total += found
            bar.update(settled)

        run = CrawlRun(dataset, places, _crawler(options), tick=tick)
        run.most, run.most_pages = options["max"], options["max_pages"]
        try:
            run.run()
        finally:
            bar.close()
        total, by_source = tally(run.rows)
        self.report(options, _as_dict(dataset, run, total, by_source), _as_text(dataset, run, total))
        broken = [search for search in run.searches if search.error]
        if broken:
            more = f" (and {len(broken) - 1} more sources)" if len(broken) > 1 else ""
            raise Failure(f"{broken[0].place.location} was not read to its end: {broken[0].error}{more}")


def _places(dataset: Dataset, options: dict[str, Any]) -> list[Place]:
    """Every source, checked as far as that costs little, before anything is written."""
    if not 0 < options["rate"] <= 10_000:
        raise BadInput(f"--rate {options['rate']:g}: requests a second, more than 0 and at most 10000")
    for name in ("max", "max_pages", "min_side", "max_bytes"):
        if options[name] is not None and options[name] < 1:
            raise BadInput(f"--{name.replace('_', '-')} {options[name]}: at least 1 is wanted")
    keys = set(Category.objects.filter(dataset=dataset).values_list("key", flat=True))
    try:
        places = [parse_place(text, keys, options["category"]) for text in options["sources"]]
        for place in places:
            _check_place(place, keys)
    except BadSource as error:
        raise BadInput(str(error)) from None
    return places


def _check_place(place: Place, keys: set[str]) -> None:
    if place.kind == "archive":
        list(islice(find_in_archive(Path(place.location)), 1))
    elif place.kind == "list":
        for found in find_in_list(Path(place.location)):
            if found.category and found.category not in keys:
                where = f"{place.location}: {found.url[:80]}"
                raise BadSource(f"{where}: no category has the id {found.category!r}")


def _crawler(options: dict[str, Any]) -> Crawler:
    try:
        allowed = tuple(parse_host_port(text) for text in options["allow_host"])
    except ValueError as error:
        raise BadInput(f"--allow-host: {error}") from None
    limits = Limits(rate=options["rate"], picture_bytes=options["max_bytes"])
    try:
        store = open_store(settings.STORAGE_URL)
    except ValueError as error:
        raise BadInput(str(error)) from None
    return Crawler(
        Fetcher(limits, allowed, settings.CRAWLER_CONTACT),
        Examiners(min(4, max(2, os.cpu_count() or 2)), min_side=options["min_side"]),
        store,
    )


def _reopen_failed(dataset: Dataset, places: list[Place]) -> None:
    locations = [place.location for place in places]
    Candidate.objects.filter(
        source__dataset=dataset, source__location__in=locations, state=Candidate.State.FAILED
    ).update(state=Candidate.State.FOUND, reason="", detail="")


def _as_dict(dataset: Dataset, run: CrawlRun, total: Tally, by_source: dict[int, Tally]) -> dict[str, Any]:
    keys = dict(Category.objects.filter(dataset=dataset).values_list("id", "key"))
    sources = [
        {
            "location": source.location,
            "kind": source.kind,
            "category": keys.get(source.category_id or 0),
            "pages": search.pages,
            "finished": source.finished,
            "error": search.error or None,
            **by_source[source.pk].as_dict(),
        }
        for search in run.searches
        for source in search.sources
    ]
    return {
        "dataset": dataset.name,
        "sources": sources,
        **total.as_dict(),
        "new": {"found": sum(search.new for search in run.searches), "stored": run.stored},
        "requests": dict(sorted(run.requests.items())),
    }


def _as_text(dataset: Dataset, run: CrawlRun, total: Tally) -> str:
    """For people: one line a kind of outcome."""
    new = sum(search.new for search in run.searches)
    lines = [
        f"{dataset.name}: {total.found} candidates in {len(run.rows)} sources ({new} new), "
        f"{total.stored} stored ({run.stored} new images)."
    ]
    if total.same_bytes:
        lines.append(f"  {total.same_bytes:>7}  found again (same URL or same bytes)")
    for word in ("rejected", "forbidden", "failed"):
        for reason, count in sorted(getattr(total, word).items()):
            lines.append(f"  {count:>7}  {word}: {reason}")
    if total.gone:
        lines.append(f"  {total.gone:>7}  gone")
    if total.pending:
        lines.append(f"  {total.pending:>7}  still to fetch: run the same command again")
    if run.requests:
        hosts = ", ".join(f"{host} {count}" for host, count in run.requests.most_common(5))
        lines.append(f"  Requests: {hosts}")
    return "\n".join(lines)
