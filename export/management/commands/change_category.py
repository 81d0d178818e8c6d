"""`manage.py change_category`: rename, merge or split categories, for the record."""

from __future__ import annotations

import csv
import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from export.services.categories import check_no_round_asks, history, unanswered, unusable_gold
from ingest.categories import BadCategories
from ingest.management.base import AssayCommand, BadInput
from ingest.models import CategoryChange, Dataset
from ingest.services.categories import merge_categories, rename_category, split_category


class Command(AssayCommand):
    """Arguments in, one recorded change out."""

    help = (
        "Rename, merge or split categories. Ids keep their meaning: a merged class and the parts of a split "
        "one get ids of their own, or are categories above or below it. Votes are never edited: those for "
        "merged categories count for the new one, those for a split one ask for a new round. Every change "
        "stands in later releases, and diff_releases tells it."
    )
    example = """
        manage.py change_category birds --rename n01503061 "Bird" --reason "singular, as the others"
        manage.py change_category birds --merge finch,sparrow songbird --name songbird=Songbird --reason alike
        manage.py change_category birds --split owl barn_owl,tawny_owl --reason "asked for" --list again.csv
        manage.py change_category birds --history
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("dataset", help="the dataset")
        act = parser.add_mutually_exclusive_group(required=True)
        act.add_argument("--rename", nargs=2, metavar=("ID", "NAME"), help="another name for the same thing")
        act.add_argument(
            "--merge",
            nargs=2,
            metavar=("A,B", "INTO"),
            help="INTO: a new id, or a category above all of them",
        )
        act.add_argument(
            "--split",
            nargs=2,
            metavar=("A", "B,C"),
            help="B, C: new ids, or categories below A; A becomes their parent and is no class any more",
        )
        act.add_argument("--history", action="store_true", help="show what was recorded; changes nothing")
        parser.add_argument(
            "--name", action="append", default=[], metavar="ID=NAME", help="what a new category is called"
        )
        parser.add_argument("--reason", default="", help="why, in a sentence; stands in every later release")
        parser.add_argument("--by", default="", help="who decided (kept here only; default: your login)")
        parser.add_argument(
            "--list",
            type=Path,
            metavar="FILE",
            help="write the pictures to ask about again (image,split), for open_round --images",
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Change, then tell what is left to do."""
        dataset = self.dataset(options["dataset"])
        target = options["list"]
        if target is not None and not target.absolute().parent.is_dir():
            raise BadInput(f"--list {target}: there is no folder {target.absolute().parent}")
        try:
            change = None if options["history"] else self._change(dataset, options)
        except BadCategories as error:
            raise BadInput(f"{error}; nothing was changed") from None
        told = history(dataset)
        waiting = list(unanswered(dataset))
        if target is not None:
            with target.open("w", newline="", encoding="utf-8") as out:
                csv.writer(out, lineterminator="\n").writerows([("image", "split"), *waiting])
        test = sum(row.split == "test" for row in waiting)
        changes = told if change is None else told[-1:]
        asked = {
            "votes": len(waiting) - test,
            "references": test,
            "gold": unusable_gold(dataset),
        }
        data = {"changes": changes, "ask_again": asked}
        lines = [_sentence(row) for row in changes] or [f"{dataset} has the categories it began with."]
        self.report(options, data, "\n".join(lines + _next(dataset, asked, target)))

    def _change(self, dataset: Dataset, options: dict[str, Any]) -> CategoryChange:
        who = {"reason": options["reason"], "by": (options["by"].strip() or _login())[:150]}
        names = dict(_named(text) for text in options["name"])
        if options["rename"]:
            key, name = options["rename"]
            _check_names(names, [])
            return rename_category(dataset, key, " ".join(name.split()), **who)
        check_no_round_asks(dataset)
        if options["merge"]:
            merged, into = _keys(options["merge"][0]), options["merge"][1]
            _check_names(names, [into])
            return merge_categories(dataset, merged, into, name=names.get(into, ""), **who)
        whole, parts = options["split"][0], _keys(options["split"][1])
        _check_names(names, parts)
        return split_category(dataset, whole, parts, names=names, **who)


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _named(text: str) -> tuple[str, str]:
    key, equals, name = text.partition("=")
    if not (equals and key.strip() and name.strip()):
        raise BadInput(f"--name is ID=NAME; got {text!r}")
    return key.strip(), " ".join(name.split())


def _check_names(names: dict[str, str], made: list[str]) -> None:
    for key in names.keys() - set(made):
        raise BadInput(f"--name {key}=…: this change makes no category {key}; a name changes by --rename")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _sentence(row: dict[str, Any]) -> str:
    before, after = ", ".join(row["before"]), ", ".join(row["after"])
    if row["kind"] == CategoryChange.Kind.RENAMED:
        what = f"{before}: the name {row['old_name']!r} is now {row['new_name']!r}"
    else:
        verb = "merged into" if row["kind"] == CategoryChange.Kind.MERGED else "split into"
        what = f"{before}: {verb} {after}"
    return f"{row['number']}. {what} ({row['when'][:10]}, {row['by']}: {row['reason']})"


def _next(dataset: Dataset, asked: dict[str, int], target: Path | None) -> list[str]:
    """What is left to do."""
    where = str(target) if target else "FILE (--list FILE writes it)"
    waiting = {
        "votes": ("picture", "new votes", f"open_round {dataset} --question classify --images {where}"),
        "references": ("test picture", "new references", f"add_reference {dataset} FILE"),
        "gold": ("gold answer", "a category of today", f"add_gold {dataset} FILE"),
    }
    return [
        f"still wanted: {words} for {number_of(asked[kind], what)}: manage.py {command}"
        for kind, (what, words, command) in waiting.items()
        if asked[kind]
    ]
