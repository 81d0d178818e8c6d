"""`manage.py export_release`: publish a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from annotation_site.figures import number_of
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import Published, ReleaseFailed, publish_release
from ingest.management.base import AssayCommand, BadInput, Failure


class Command(AssayCommand):
    """Arguments in, release out; the work is `export.services.publish`."""

    help = "Publish an immutable release: OUTPUT/NAME-VERSION/, an ImageFolder with votes and provenance."
    example = """
        manage.py export_release clothing 1.0.0 --output releases
        manage.py export_release clothing 1.1.0 --output releases --min-confidence 0.9 --per-class 500 --json
        manage.py export_release clothing 1.2.0 --output s3://releases/clothing
        manage.py export_release clothing 2.0.0 --output releases --licence "CC BY 4.0" --longest-side 256
    """

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("name", help="the dataset")
        parser.add_argument("version", help="X.Y.Z; only a new X adds test pictures or changes the subset")
        parser.add_argument(
            "--output",
            required=True,
            metavar="DIR|s3://…",
            help="folder or bucket for the release",
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
        self._add_labels(parser)
        self._add_subset(parser)
        self._add_splits(parser)
        self._add_pictures(parser)

    def _add_labels(self, parser: CommandParser) -> None:
        labels = parser.add_argument_group(
            "labels",
            "what train and val ask of a label; test carries the experts' references whatever they say",
        )
        labels.add_argument("--min-confidence", type=float, default=0.0, metavar="P", help="0 to 1")
        labels.add_argument("--min-votes", type=int, default=1, metavar="N", help="counted votes")
        labels.add_argument(
            "--round",
            action="append",
            default=[],
            metavar="R,R…",
            help="only these rounds' votes decide and are released",
        )
        labels.add_argument(
            "--per-class",
            type=int,
            metavar="N",
            help="at most N training pictures of a class, chosen by the draw of their duplicate groups: a "
            "larger N only adds",
        )

    def _add_subset(self, parser: CommandParser) -> None:
        subset = parser.add_argument_group(
            "subset",
            "which pictures the release is about, test too; another subset is a new major version. Test "
            "pictures that a subset leaves out stay test pictures of the dataset. Commas part names",
        )
        subset.add_argument(
            "--category", action="append", default=[], metavar="ID,ID…", help="these and all below them"
        )
        subset.add_argument("--licence", action="append", default=[], metavar="L,L…", help="as on record")
        subset.add_argument(
            "--source", action="append", default=[], metavar="S,S…", help="found there: id or location"
        )

    def _add_splits(self, parser: CommandParser) -> None:
        splits = parser.add_argument_group("splits")
        splits.add_argument("--splits", help="train/val/test in percent (80/10/10); first release only")
        splits.add_argument(
            "--split-file",
            type=Path,
            metavar="FILE",
            help="table image,split for a set that brings its own splits; first release only, kept for later "
            "ones. Images by sha256, path or URL; images that it does not name are drawn as usual. Where "
            "copies of a picture are named for several splits, test wins over val over train, and the others "
            "are left out",
        )
        splits.add_argument(
            "--sealed",
            action="store_true",
            help="test pictures without labels, votes and addresses in test/unlabelled/; the answers beside "
            "the release in NAME-VERSION-answers.csv, for python -m export.score",
        )

    def _add_pictures(self, parser: CommandParser) -> None:
        pictures = parser.add_argument_group(
            "pictures",
            "by default pixels stay as found, bit for bit, and camera data and location go; only pictures "
            "that lie on their side by EXIF are turned and encoded again, JPEG with its own tables. Formats "
            "other than JPEG, PNG and WebP become PNG. File names never change",
        )
        pictures.add_argument(
            "--longest-side",
            type=int,
            metavar="N",
            help="make larger pictures this small, in their own format",
        )
        pictures.add_argument(
            "--quality", type=int, default=90, metavar="Q", help="of JPEG and WebP made smaller, 1 to 95 (90)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish and report."""
        dataset = self.dataset(options["name"])
        wishes = Wishes(
            splits=options["splits"],
            min_confidence=options["min_confidence"],
            min_votes=options["min_votes"],
            categories=options["category"],
            licences=options["licence"],
            sources=options["source"],
            rounds=options["round"],
            per_class=options["per_class"],
            longest_side=options["longest_side"],
            quality=options["quality"],
            sealed=options["sealed"],
            split_file=options["split_file"],
        )
        try:
            made = publish_release(dataset, options["version"], options["output"], wishes)
        except ReleaseRefused as error:
            raise BadInput(str(error)) from None
        except ReleaseFailed as error:
            raise Failure(str(error)) from None
        for warning in made.warnings:
            self.stderr.write(f"warning: {warning}")
        self.report(options, made.as_dict(), as_text(made))


def as_text(made: Published) -> str:
    """What was published, for people."""
    counts = made.release.counts
    found = made.release.label_accuracy
    lines = [
        made.location,
        f"{number_of(counts['images'], 'picture')}: {counts['train']:,} train, {counts['val']:,} val, "
        f"{counts['test']:,} test; {number_of(counts['votes'], 'vote')} by "
        f"{number_of(counts['workers'], 'worker')}",
    ]
    if found:
        lines.append(f"label accuracy {found['value']:.1%} ({found['lo']:.1%} to {found['hi']:.1%})")
    if made.answers:
        lines.append(f"answers {made.answers}")
    lines += made.started
    return "\n".join([*lines, f"fingerprint {made.release.fingerprint}"])
