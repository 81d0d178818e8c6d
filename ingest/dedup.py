"""`python -m ingest.dedup FOLDER -o GROUPS`: near-duplicates in a folder of pictures, without a database."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from PIL import Image
from tqdm import tqdm

from ingest.arguments import Arguments
from ingest.decode import RejectedPicture, open_picture
from ingest.duplicates import (
    DEFAULT_RADIUS,
    Candidate,
    Pair,
    Record,
    assemble,
    candidates,
    components,
    examine,
    make_record,
)
from ingest.fingerprint import to_hex
from ingest.tables import BadTable, table_kind, write_table

MAX_BYTES = 512 * 1024 * 1024
BATCH = 32
"""Files given to a process at a time; what is lost and done again one by one when a decoder kills it."""

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Read:
    """What came of one file: a record, or the reason why not."""

    path: str
    record: Record | None
    reason: str = ""


def read_file(folder: str, path: str, mirrored: bool) -> Read:
    """Hash one file, `path` relative to `folder`."""
    try:
        if (Path(folder) / path).stat().st_size > MAX_BYTES:
            return Read(path, None, "too_many_bytes")
        data = (Path(folder) / path).read_bytes()
        image = open_picture(data).image
    except OSError:
        return Read(path, None, "unreadable")
    except RejectedPicture as error:
        return Read(path, None, error.reason)
    return Read(path, make_record(hashlib.sha256(data).hexdigest(), image, len(data), mirrored=mirrored))


def read_batch(job: tuple[str, list[str], bool]) -> list[Read]:
    """`read_file` for several paths."""
    folder, paths, mirrored = job
    return [read_file(folder, path, mirrored) for path in paths]


def examine_batch(job: tuple[str, dict[str, str], list[Candidate]]) -> list[Pair]:
    """Second looks at a batch of candidates; the dictionary says where each key's picture is."""
    folder, paths, found = job

    def load(key: str) -> Image.Image:
        return open_picture((Path(folder) / paths[key]).read_bytes()).image

    return list(examine(found, load))


def list_files(folder: Path) -> list[str]:
    """Regular files below the folder, relative, with `/`, sorted; linked folders are not entered."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            if path.is_file():
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def read_folder(folder: Path, mirrored: bool, processes: int) -> list[Read]:
    """Hash every file; one that kills its decoder is `decoder_crashed` and harms no other."""
    paths = list_files(folder)
    jobs = [(str(folder), paths[i : i + BATCH], mirrored) for i in range(0, len(paths), BATCH)]
    done: list[Read] = []
    with _bar(len(paths), "hashing", "picture") as bar:
        for job, reads in spread(read_batch, jobs, processes):
            done += reads if reads is not None else [_read_alone(str(folder), p, mirrored) for p in job[1]]
            bar.update(len(job[1]))
    return sorted(done, key=lambda read: read.path)


def find_pairs(folder: Path, reads: Sequence[Read], radius: int, processes: int) -> list[Pair]:
    """Verified pairs among the records; the work is cut where no candidate is cut."""
    unique: dict[str, Record] = {}
    paths: dict[str, str] = {}
    for read in reads:
        if read.record is not None and read.record.key not in unique:
            unique[read.record.key] = read.record
            paths[read.record.key] = read.path
    found = candidates(list(unique.values()), [], radius)
    jobs = []
    for batch in by_component(found):
        keys = {key for candidate in batch for key in (candidate.a, candidate.b)}
        jobs.append((str(folder), {key: paths[key] for key in keys}, batch))
    pairs: list[Pair] = []
    with _bar(len(found), "comparing", "pair") as bar:
        for job, settled in spread(examine_batch, jobs, processes):
            settled = settled if settled is not None else _alone(examine_batch, job)
            if settled is None:
                raise BadTable(
                    f"a process died twice comparing pictures such as {next(iter(job[1].values()))}"
                )
            pairs += settled
            bar.update(len(job[2]))
    return sorted(pairs)


def by_component(found: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates in batches of whole components, so that no pair is looked at needlessly."""
    home: dict[str, int] = {}
    for number, keys in enumerate(components((c.a, c.b) for c in found)):
        home.update(dict.fromkeys(keys, number))
    parts: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in found:
        parts[home[candidate.a]].append(candidate)
    batch: list[Candidate] = []
    for part in parts.values():
        batch += part
        if len(batch) >= 4 * BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def spread(
    work: Callable[[Work], list[Result]], jobs: Iterable[Work], processes: int
) -> Iterator[tuple[Work, list[Result] | None]]:
    """Each job with its result, in order; None for a job that was lost when a process died."""
    waiting = list(jobs)
    while waiting:
        with ProcessPoolExecutor(processes) as pool:
            futures = [(job, _submitted(pool, work, job)) for job in waiting]
            waiting = []
            for job, future in futures:
                try:
                    yield job, future.result()
                except BrokenProcessPool:
                    if not waiting:
                        # The first lost job may be the one that did it: the caller takes it apart.
                        yield job, None
                    waiting.append(job)
            waiting = waiting[1:]


def _submitted(
    pool: ProcessPoolExecutor, work: Callable[[Work], list[Result]], job: Work
) -> Future[list[Result]]:
    """A pool that is already broken refuses work at once; that counts as lost work like any other."""
    try:
        return pool.submit(work, job)
    except BrokenProcessPool as error:
        lost: Future[list[Result]] = Future()
        lost.set_exception(error)
        return lost


def _alone(work: Callable[[Work], list[Result]], job: Work) -> list[Result] | None:
    """A job in a process of its own; None where that process dies."""
    with ProcessPoolExecutor(1) as pool:
        try:
            return pool.submit(work, job).result()
        except BrokenProcessPool:
            return None


def _read_alone(folder: str, path: str, mirrored: bool) -> Read:
    reads = _alone(read_batch, (folder, [path], mirrored))
    return reads[0] if reads else Read(path, None, "decoder_crashed")


def groups_table(reads: Sequence[Read], pairs: Sequence[Pair]) -> pd.DataFrame:
    """`path,sha256,phash,group,representative`, a row for each readable file, sorted by path.

    `representative` is `true` in one row of each group: of the representative's bytes, the first path.
    """
    records = {read.record.key: read.record for read in reads if read.record is not None}
    home = {r.key: group[0].key for group in assemble(list(records.values()), pairs) for r in group}
    rows = []
    stood_for: set[str] = set()
    for read in reads:
        if read.record is None:
            continue
        key = read.record.key
        first = home[key] == key and key not in stood_for
        stood_for.update([key] if first else [])
        rows.append(
            (_shown(read.path), key, to_hex(read.record.phash), home[key], "true" if first else "false")
        )
    frame = pd.DataFrame(rows, columns=["path", "sha256", "phash", "group", "representative"], dtype=object)
    return frame.sort_values("path", kind="stable", ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    try:
        if not folder.is_dir():
            raise BadTable(f"{folder}: no such folder")
        for path in filter(None, (options.output, options.rejected)):
            table_kind(path)
            if not Path(path).absolute().parent.is_dir():
                raise BadTable(f"{path}: its folder does not exist; make it first")
        if not 0 <= options.radius <= 20:
            raise BadTable(f"--radius {options.radius}: 0 to 20 bits")
        if options.processes < 1:
            raise BadTable(f"--processes {options.processes}: at least 1")
    except BadTable as error:
        print(f"ingest.dedup: {error}", file=sys.stderr)
        return 2
    try:
        reads = read_folder(folder, options.mirrored, options.processes)
        pairs = find_pairs(folder, reads, options.radius, options.processes)
        table = groups_table(reads, pairs)
        write_table(table, options.output)
        refused = [(_shown(read.path), read.reason) for read in reads if read.record is None]
        if options.rejected:
            write_table(pd.DataFrame(refused, columns=["path", "reason"], dtype=object), options.rejected)
    except (BadTable, OSError) as error:
        print(f"ingest.dedup: {error}", file=sys.stderr)
        return 1
    _report(table, refused, pairs, as_json=options.json)
    return 0


def _report(
    table: pd.DataFrame, refused: Sequence[tuple[str, str]], pairs: Sequence[Pair], *, as_json: bool
) -> None:
    reasons: dict[str, int] = defaultdict(int)
    for _, reason in refused:
        reasons[reason] += 1
    summary = {
        "files": len(table) + len(refused),
        "images": len(table),
        "groups": int(table["group"].nunique()),
        "duplicates": len(table) - int(table["group"].nunique()),
        "unsure_pairs": sum(pair.outcome == "unsure" for pair in pairs),
        "rejected": dict(sorted(reasons.items())),
    }
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        print(
            f"{summary['images']} images in {summary['groups']} groups ({summary['duplicates']} duplicates), "
            f"{len(refused)} files refused, {summary['unsure_pairs']} pairs unsure (left apart)"
        )


def _shown(path: str) -> str:
    """A file name that is no valid UTF-8 is written with escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _bar(total: int, words: str, unit: str) -> tqdm:
    quiet = not (sys.stderr.isatty() or os.environ.get("ASSAY_PROGRESS") == "1")
    return tqdm(total=total, desc=words, unit=unit, disable=quiet, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        prog="python -m ingest.dedup",
        description="Find near-duplicates (resized, recompressed, marked, lightly cropped) among the "
        "pictures below a folder. Every pair is verified by its pixels; close hashes alone merge nothing.",
        epilog="example: python -m ingest.dedup photos -o groups.csv --rejected refused.csv",
    )
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument(
        "-o", "--output", metavar="GROUPS", required=True, help="table to write: .csv, .csv.gz or .parquet"
    )
    parser.add_argument(
        "--radius", type=int, default=DEFAULT_RADIUS, metavar="N", help="bits (default: %(default)s)"
    )
    parser.add_argument("--mirrored", action="store_true", help="find copies mirrored left to right, too")
    parser.add_argument("--rejected", metavar="F", help="table of refused files: path, reason")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="default: one for each core"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
