"""`manage.py release_history`: every release of a dataset, and what each changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from export.diff import accuracy
from export.services.history import release_history
from ingest.management.base import AssayCommand


class Command(AssayCommand):
    """The newest first, as people read a history; from the database alone."""

    help = (
        "List every release of a dataset: parent, counts, accuracy, fingerprint, what changed, deprecation."
    )
    example = """
        manage.py release_history clothing
        manage.py release_history clothing --json
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the dataset")
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Report."""
        dataset = self.dataset(options["name"])
        releases = release_history(dataset)
        text = "\n\n".join(as_text(told) for told in releases)
        nothing = f"{dataset.name} has no release yet: publish one with manage.py export_release"
        self.report(options, {"dataset": dataset.name, "releases": releases}, text or nothing)


def as_text(told: dict[str, Any]) -> str:
    """One release, for people."""
    splits = ", ".join(f"{n:,} {split}" for split, n in told["splits"].items())
    marks = [
        word
        for word, given in (("sealed", told["sealed"]), ("folder gone", told["present"] is False))
        if given
    ]
    parent = f", follows {told['parent']}" if told["parent"] else ", the first"
    lines = [
        f"{told['release']}{parent}{''.join(f' [{mark}]' for mark in marks)}",
        f"  {number_of(told['images'], 'picture')} ({splits}) in "
        f"{number_of(told['categories'], 'category', 'categories')}; "
        f"{number_of(told['votes'], 'vote')} by {number_of(told['workers'], 'worker')}",
        f"  label accuracy {accuracy(told)}; published {told['published'][:10]}",
        f"  fingerprint {told['fingerprint']}",
    ]
    changed = told["changes"]
    if changed is not None:
        words = ", ".join(f"{n:,} {kind}" for kind, n in changed.items() if n and kind != "taken_down")
        down = f" ({changed['taken_down']:,} taken down)" if changed["taken_down"] else ""
        lines.append(f"  changed: {words or 'no picture'}{down}")
    if told["deprecated"]:
        instead = told["deprecated"]["instead"]
        use = f"; use {instead}" if instead else ""
        lines.append(
            f"  DEPRECATED since {told['deprecated']['since'][:10]}: {told['deprecated']['reason']}{use}"
        )
    return "\n".join(lines)
