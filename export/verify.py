"""`python -m export.verify DIR`: is this release folder what it says? Needs no database."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from annotation_site.figures import number_of
from export.checks import Problem, check_release, files_to_check
from export.places.bucket import SCHEME, BadAddress, BucketError, BucketFolder
from export.places.bucket_place import check_bucket
from ingest.arguments import Arguments
from ingest.progress import progress

SHOWN = 20


def verify(release: str | Path) -> list[Problem]:
    """`check_release` with a progress bar, of a folder or of `s3://bucket/prefix/name-version`.

    Raises:
        NotADirectoryError: there is no such release.
        BadAddress, BucketError: it cannot be read.
    """
    if str(release).startswith(SCHEME):
        with progress(what="checking", unit="file") as bar:
            return check_bucket(BucketFolder.parse(str(release)), tick=bar.update)
    folder = Path(release)
    if not folder.is_dir():
        return check_release(folder)
    with progress(total=files_to_check(folder), what="checking", unit="file") as bar:
        return check_release(folder, tick=bar.update)


def as_report(problems: list[Problem]) -> dict[str, object]:
    """The JSON report: `{ok, errors: [{rule, path, detail}]}`."""
    return {"ok": not problems, "errors": [p.as_dict() for p in problems]}


def as_text(folder: str | Path, problems: list[Problem]) -> str:
    """The report for people."""
    if not problems:
        return f"{folder}: sound"
    lines = [f"{p.rule}: {p.path} {p.detail}" for p in problems[:SHOWN]]
    more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return "\n".join([*lines, *more])


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 sound, 1 a rule is broken, 2 no such folder."""
    parser = Arguments(
        prog="python -m export.verify",
        description="Check every checksum and rule of a release folder.",
        epilog="example:\n  python -m export.verify releases/birds-1.0.0 --json",
    )
    parser.add_argument("folder", help="the release folder, or s3://bucket/prefix/name-version")
    parser.add_argument("--json", action="store_true", help="print {ok, errors: [{rule, path, detail}]}")
    options = parser.parse_args(argv)
    try:
        problems = verify(options.folder)
    except (BadAddress, BucketError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadAddress) else 1
    except OSError as error:
        print(f"error: {options.folder}: {error.strerror or error}", file=sys.stderr)
        return 2 if isinstance(error, (NotADirectoryError, FileNotFoundError)) else 1
    print(json.dumps(as_report(problems)) if options.json else as_text(options.folder, problems))
    if problems:
        print(f"error: {options.folder}: {number_of(len(problems), 'broken rule')}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
