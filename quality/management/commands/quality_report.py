"""`manage.py quality_report`: see `quality.services.honesty`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management.base import CommandParser
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from annotation_site.pictures import thumbnail
from ingest.decode import RejectedPicture
from ingest.management.base import AssayCommand, BadInput
from ingest.models import Dataset
from ingest.storage import MissingBytes, open_store
from quality.services.honesty import DatasetQuality, NothingToReport, quality_of
from quality.services.quality_page import headline, page_context, verdict_words


class Command(AssayCommand):
    """One self-contained page on a dataset's labels."""

    help = "Say how good the labels are and how sure that is, on a page that stands alone."
    example = """python manage.py quality_report clothing -o quality.html
        python manage.py quality_report clothing --json"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Dataset and where to write."""
        parser.add_argument("name", help="dataset")
        parser.add_argument(
            "-o", "--output", metavar="FILE.html", help="page to write (default: NAME-quality.html)"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Work out, write, say the answer."""
        dataset = self.dataset(options["name"])
        try:
            found = quality_of(dataset)
        except NothingToReport as error:
            raise BadInput(f"{error}: open a round first (manage.py open_round {dataset.name})") from None
        data = {"headline": headline(found), "verdict_words": verdict_words(found), **found.as_dict()}
        where = options["output"] or ("" if options["json"] else f"{dataset.name}-quality.html")
        if where:
            page = _page(dataset, found)
            try:
                Path(where).write_text(page, encoding="utf-8")
            except IsADirectoryError:
                raise BadInput(f"{where} is a folder; name a file") from None
            except FileNotFoundError:
                raise BadInput(f"{where}: its folder does not exist") from None
        words = f"{data['headline']} {data['verdict_words']}" + (f"\nwritten: {where}" if where else "")
        self.report(options, data, words)


def _page(dataset: Dataset, found: DatasetQuality) -> str:
    """The page with its style and pictures inside: it asks nothing of the network."""
    store = open_store(settings.STORAGE_URL)

    def picture(sha: str) -> str:
        try:
            data = base64.b64encode(thumbnail(store.get(sha))).decode()
        except (MissingBytes, RejectedPicture):
            return ""
        return f"data:image/webp;base64,{data}"

    newest = dataset.rounds.filter(qc_passes__isnull=False).order_by("-qc_passes__created").first()
    made = newest.qc_passes.order_by("-number").first() if newest else None
    when = made.created.strftime("%Y-%m-%d %H:%M") if made else _("no pass yet")
    context = page_context(dataset, found, picture)
    context["made"] = _("Dataset %(name)s; newest quality-control pass: %(when)s UTC.") % {
        "name": dataset.name,
        "when": when,
    }
    sheet = finders.find("annotation_site/assay.css")
    context["css"] = Path(str(sheet)).read_text(encoding="utf-8")
    return render_to_string("quality/quality_file.html", context)
