"""`manage.py share_release`: see `export.services.sharing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.urls import reverse

from export.services.downloads import Unavailable, archive_of, check_available
from export.services.find import UnknownRelease, find_release
from export.services.sharing import share_release, unshare_release
from export.sharing.opened import DamagedRelease
from export.sharing.terms import ASKABLE, BadTerms
from ingest.management.base import AssayCommand, BadInput


class Command(AssayCommand):
    """Switch the public pages of a release on or off."""

    help = (
        "Let everyone see a release and download it on its terms, without a log-in. Without --terms: those "
        "of this dataset's release that was shared last, or else the usual ones, which ask for nothing."
    )
    example = """
        manage.py share_release clothing-1.0.0
        manage.py share_release clothing-1.1.0 --terms t.txt --ask name,email --authors "A. Ngo and B. Ruiz"
        manage.py share_release clothing-1.0.0 --off
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("release", help="NAME-VERSION, or its folder")
        parser.add_argument(
            "--terms",
            type=Path,
            metavar="FILE",
            help="what people agree to when they download it (plain text)",
        )
        parser.add_argument(
            "--ask",
            metavar="A,B",
            help=f"what people must tell: {', '.join(ASKABLE)}; `nothing` for none (kept; ask for little)",
        )
        parser.add_argument("--authors", help="as a citation names them: 'A. Ngo and B. Ruiz'")
        parser.add_argument("--off", action="store_true", help="share it no longer; links stop working")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Share, or stop sharing."""
        try:
            release = find_release(options["release"])
        except UnknownRelease as error:
            raise BadInput(str(error)) from None
        address = reverse("public_release", args=[release.dataset.name, release.version])
        if options["off"]:
            if any(options[name] is not None for name in ("terms", "ask", "authors")):
                raise BadInput("--off takes no terms: it only stops sharing")
            unshare_release(release)
            answer = {"release": str(release), "public": False, "page": address, "terms": None}
            return self.report(options, answer, f"{release} is no longer shared")
        asks = None if options["ask"] is None else options["ask"].replace("nothing", "").split(",")
        try:
            text = _text_of(options["terms"])
            share = share_release(release, text=text, asks=asks, authors=options["authors"])
        except BadTerms as error:
            raise BadInput(str(error)) from None
        try:
            archive_of(release, check_available(release))
        except (Unavailable, DamagedRelease) as error:
            self.stderr.write(f"warning: everyone sees it, but nobody can download it: {error}")
        answer = {"release": str(release), "public": True, "page": address, "terms": share.terms.sha256}
        words = f"everyone can see {release} at {address}\nterms {share.terms.sha256}"
        self.report(options, answer, words)


def _text_of(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is no text in UTF-8") from None
