"""`python -m export.convert DIR --to FORMAT -o OUT`: a release in the form that other tools read.

The release stays what is cited and checked; OUT is made from it, byte for byte the same each time. It is
written beside its name and renamed when it is whole, so a folder with the name OUT is always finished. The
release is checked first: a damaged one is not spread. It may stand in a bucket: its pictures then pass by.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from export import layout
from export.formats import MEGABYTE, Options, Writer
from export.formats.coco import CocoWriter
from export.formats.lists import ListWriter
from export.formats.parquet import ParquetWriter
from export.formats.shards import ShardWriter
from export.places.bucket import SCHEME, BadAddress, BucketError, BucketFolder
from export.places.bucket_release import BucketRelease
from export.places.workplace import Busy, Workplace
from export.reader import ReleaseFolder, UnreadableRelease
from export.verify import verify
from ingest.arguments import Arguments
from ingest.progress import progress

WRITERS: dict[str, type[Writer]] = {
    "webdataset": ShardWriter,
    "parquet": ParquetWriter,
    "coco": CocoWriter,
    "csv": ListWriter,
}
HIDDEN_LABELS = "The labels of the test pictures are kept back (a sealed release)."


class ConversionRefused(ValueError):
    """Arguments that cannot be used; one line for the user. Nothing was written."""


class ConversionFailed(RuntimeError):
    """The release is damaged or another process is at it; one line for the user. Nothing was left."""


def convert(folder: Path | str, kind: str, out: Path, options: Options | None = None) -> dict[str, Any]:
    """Write `out`; returns `{release, fingerprint, format, out, splits: {split: pictures}, files}`.

    Args:
        folder: a release folder, or `s3://bucket/prefix/name-version`.
        kind: a key of `WRITERS`.
        options: `pictures=False` leaves the files out of coco and csv; paths are then those of the release.

    Raises:
        ConversionRefused: no release, or `out` exists or lies in the release.
        ConversionFailed: the release is not sound, or `out` is being written by another process.
    """
    out, options = Path(out).absolute(), options or Options()
    _check_arguments(folder, kind, out, options.pictures)
    try:
        with _opened(folder, options.pictures) as release, Workplace(out) as place:
            shutil.rmtree(place.release, ignore_errors=True)  # what a killed run left
            place.begin()
            try:
                made = _write(release, kind, place.release, options)
                place.finish()
            except BaseException:
                place.discard()
                raise
    except Busy:
        raise ConversionFailed(f"another process is writing {out}") from None
    except BadAddress as error:
        raise ConversionRefused(str(error)) from None
    except (UnreadableRelease, BucketError) as error:
        raise ConversionFailed(str(error)) from None
    return made | {"out": str(out)}


@contextmanager
def _opened(folder: Path | str, pictures: bool) -> Iterator[ReleaseFolder]:
    """The release, which was found sound; a bucket's tables are here for as long as it is used."""
    with TemporaryDirectory(prefix="assay-convert-") as kept:
        try:
            if str(folder).startswith(SCHEME):
                target = BucketFolder.parse(str(folder))
                release: ReleaseFolder = BucketRelease(target, Path(kept) / target.name, pictures=pictures)
            else:
                release = ReleaseFolder(Path(folder))
        except UnreadableRelease as error:
            raise ConversionRefused(str(error)) from None
        problems = release.problems() if isinstance(release, BucketRelease) else verify(release.path)
        if problems:
            first = problems[0]
            raise ConversionFailed(
                f"{folder}: is not sound, {len(problems)} rules are broken, first: {first.rule}: "
                f"{first.path} {first.detail}; nothing was written"
            )
        yield release


def _check_arguments(folder: Path | str, kind: str, out: Path, pictures: bool) -> None:
    if kind not in WRITERS:
        raise ConversionRefused(f"no format is called {kind!r}; there are {', '.join(WRITERS)}")
    if not pictures and kind in ("webdataset", "parquet"):
        raise ConversionRefused(f"--no-pictures: {kind} holds the pictures themselves")
    if out.exists() or out.is_symlink():
        raise ConversionRefused(f"{out} exists already; choose another -o, or remove it first")
    inside = Path(folder).resolve()
    if inside.is_dir() and out.resolve().is_relative_to(inside):
        raise ConversionRefused(f"{out} lies in the release, which must not change; choose another -o")


def _write(release: ReleaseFolder, kind: str, out: Path, options: Options) -> dict[str, Any]:
    splits: dict[str, int] = {}
    writer = WRITERS[kind](release, out, options)
    with progress(total=len(release), what="converting", unit="picture") as bar:
        for picture in release.pictures():
            writer.add(picture)
            splits[picture.split] = splits.get(picture.split, 0) + 1
            bar.update(1)
    writer.close()
    for name in (layout.CATEGORIES, layout.RELEASE):
        shutil.copyfile(release.path / name, out / name)
    (out / layout.CARD).write_text(_card(release, writer), "utf-8")
    return {
        "release": release.name,
        "fingerprint": release.fingerprint,
        "format": kind,
        "splits": {split: splits[split] for split in layout.SPLITS if split in splits},
        "files": sum(1 for path in out.rglob("*") if path.is_file()),
    }


def _card(release: ReleaseFolder, writer: Writer) -> str:
    """README.md: what this was made from, and how to open it."""
    matter = writer.front_matter() if isinstance(writer, ParquetWriter) else ""
    front = f"---\n{matter}\n---\n\n" if matter else ""
    sealed = f"\n\n{HIDDEN_LABELS}" if release.sealed else ""
    return f"""{front}# {release.name}

Made from the release {release.name}, whose fingerprint is `{release.fingerprint}`. Cite and
check the release; its votes and its own card, with what is known of the labels, are there.

{writer.note()}{sealed}
"""


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 written, 1 the release is damaged or writing failed, 2 unusable arguments."""
    parser = Arguments(
        prog="python -m export.convert",
        description="Write a release in the form that other tools read.",
        epilog="example:\n"
        "  python -m export.convert releases/birds-1.0.0 --to webdataset -o shards\n"
        "  python -m export.convert releases/birds-1.0.0 --to coco -o coco --no-pictures\n"
        "  python -m export.convert s3://releases/birds/birds-1.3.0 --to parquet -o parquet",
    )
    parser.add_argument("folder", help="the release folder, or s3://bucket/prefix/name-version")
    parser.add_argument("--to", required=True, choices=tuple(WRITERS), help="the format")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="a new folder")
    parser.add_argument(
        "--shard-mb",
        type=float,
        default=Options.shard_bytes / MEGABYTE,
        metavar="N",
        help="megabytes of pictures a shard, webdataset and parquet (%(default)g)",
    )
    parser.add_argument(
        "--shard-pictures",
        type=int,
        default=Options.shard_pictures,
        metavar="N",
        help="most pictures a shard, webdataset and parquet (%(default)s)",
    )
    parser.add_argument(
        "--no-pictures", action="store_true", help="coco and csv: lists only, with the release's own paths"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    given = parser.parse_args(argv)
    if not (given.shard_mb > 0 and given.shard_pictures > 0):
        parser.error("--shard-mb and --shard-pictures must be more than 0")
    options = Options(int(given.shard_mb * MEGABYTE), given.shard_pictures, not given.no_pictures)
    try:
        made = convert(given.folder, given.to, given.output, options)
    except ConversionRefused as error:
        return _fail(str(error), 2)
    except ConversionFailed as error:
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(f"{error.filename or given.output}: {error.strerror or error}; nothing was left", 1)
    except KeyboardInterrupt:
        return _fail("stopped; nothing was left", 1)
    print(json.dumps(made, ensure_ascii=False) if given.json else as_text(made))
    return 0


def as_text(made: dict[str, Any]) -> str:
    """What was written, for people."""
    counts = ", ".join(f"{n:,} {split}" for split, n in made["splits"].items())
    return f"{made['out']}\n{made['format']}: {counts} pictures in {made['files']:,} files"


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
