"""`python -m export.leakage DIR`: has a picture of test (or val) a copy in a split that is learned from?

Duplicate groups never straddle splits; this measures what may have slipped through them. For every test
picture the nearest one in train and val is looked up by perceptual hash, for every val picture the nearest in
train, exactly and within the radius of `dedup`. Pairs within it get the second look at their pixels
(`ingest.second_look`) that decides in `dedup` too: close hashes alone are no copies.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from annotation_site.figures import number_of
from export import layout
from export.places.shelf import read_in
from export.reader import UnreadableRelease, count_rows, rows_in
from ingest import hamming
from ingest.arguments import Arguments
from ingest.decode import RejectedPicture, open_picture
from ingest.duplicates import DEFAULT_RADIUS, Candidate, examine
from ingest.progress import progress

LOOKS = 300
"""Most pairs that get the second look, the nearest first."""
LEARNED_FROM = {"test": ("train", "val"), "val": ("train",)}
"""Split -> the splits in which its pictures must have no copy."""
NAMED = 10


class Row(NamedTuple):
    """A picture: its id, its split, its perceptual hash and its path in the folder."""

    image: str
    split: str
    phash: int
    path: str


@dataclass
class Leakage:
    """What was measured. All counts are of pictures or of pairs of them.

    `nearest`: split -> distance in bits -> pictures whose nearest one in the splits of `LEARNED_FROM` is so
    far away; `farther`: split -> pictures that have none within the radius. `near_pairs` are within it; of
    the `looked_at`, `copies` show the same picture, `unsure` perhaps, the rest do not. `named`: the copies
    and the unsure ones, `{outcome, a, b, distance}`, at most `NAMED`.
    """

    radius: int
    nearest: dict[str, dict[str, int]] = field(default_factory=dict)
    farther: dict[str, int] = field(default_factory=dict)
    near_pairs: int = 0
    looked_at: int = 0
    copies: int = 0
    unsure: int = 0
    named: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """As release.json holds it."""
        return {key: value for key, value in asdict(self).items() if key != "named"}

    def sentence(self) -> str:
        """In words."""
        parts = []
        for split, others in LEARNED_FROM.items():
            if split in self.farther:
                near = sum(self.nearest[split].values())
                total = near + self.farther[split]
                where = " or ".join(others)
                parts.append(f"of one of {where}: {near:,} of {number_of(total, f'{split} picture')}")
        told = f"within {self.radius} of 64 bits of the perceptual hash {'; '.join(parts)}"
        if not parts:
            return "there is nothing to compare."
        if not self.near_pairs:
            return f"{told}."
        looked = "all" if self.looked_at == self.near_pairs else f"the nearest {self.looked_at:,}"
        return (
            f"{told}. Compared pixel by pixel: {looked} of {number_of(self.near_pairs, 'such pair')}; "
            f"{self.copies:,} of the same picture, {self.unsure:,} perhaps."
        )


def measure(
    rows: Callable[[], Iterable[Row]], load: Callable[[str], Image.Image], radius: int = DEFAULT_RADIUS
) -> Leakage:
    """Look for near copies across splits.

    Args:
        rows: gives all pictures of the release; called twice, so that ids need no room in memory.
        load: the upright RGB picture of a path.
        radius: bits, 0 to 64.
    """
    hashes = _hashes(rows())
    found = Leakage(radius)
    wanted: dict[tuple[str, int, int], int] = {}
    for split, others in LEARNED_FROM.items():
        if split not in hashes or not any(other in hashes for other in others):
            continue
        a, times = hashes[split]
        b, b_times = _together([hashes[other] for other in others if other in hashes])
        pairs = hamming.join(a, b, radius, light=True)
        distance = np.bitwise_count(a[pairs[:, 0]] ^ b[pairs[:, 1]]).astype(np.int64)
        nearest = np.full(len(a), 65)
        np.minimum.at(nearest, pairs[:, 0], distance)
        spread = np.bincount(nearest, weights=times, minlength=66).astype(int).tolist()
        found.nearest[split] = {str(bits): n for bits, n in enumerate(spread[:65]) if n}
        found.farther[split] = spread[65]
        found.near_pairs += int((times[pairs[:, 0]] * b_times[pairs[:, 1]]).sum())
        order = np.lexsort((b[pairs[:, 1]], a[pairs[:, 0]], distance))[:LOOKS]
        for place in order.tolist():
            one, other = pairs[place]
            wanted[split, int(a[one]), int(b[other])] = int(distance[place])
    _look(found, wanted, rows, load)
    return found


def warnings_of(counts: dict[str, Any]) -> list[str]:
    """What a curator should know of `Leakage.counts`; one line each."""
    if not counts["copies"]:
        return []
    return [
        f"the same picture in different splits: {number_of(counts['copies'], 'pair')} (python -m "
        "export.leakage names what it finds): run manage.py dedup, and publish a new version"
    ]


Hashes = tuple[np.ndarray, np.ndarray]
"""uint64[n], each once, and int64[n]: how often it is there."""


def _hashes(rows: Iterable[Row]) -> dict[str, Hashes]:
    held: dict[str, array[int]] = {}
    for row in rows:
        held.setdefault(row.split, array("Q")).append(row.phash)
    return {
        split: np.unique(np.frombuffer(values, dtype=np.uint64), return_counts=True)
        for split, values in held.items()
    }


def _together(parts: list[Hashes]) -> Hashes:
    values, place = np.unique(np.concatenate([values for values, _ in parts]), return_inverse=True)
    times = np.bincount(place, weights=np.concatenate([times for _, times in parts])).astype(np.int64)
    return values, times


def _look(
    found: Leakage,
    wanted: dict[tuple[str, int, int], int],
    rows: Callable[[], Iterable[Row]],
    load: Callable[[str], Image.Image],
) -> None:
    """Give the pairs of hashes the second look, the nearest first."""
    if not wanted:
        return
    held: dict[tuple[str, int], list[str]] = {}
    paths: dict[str, str] = {}
    asked = {(split, one) for split, one, _ in wanted}
    asked |= {(other, hash) for split, _, hash in wanted for other in LEARNED_FROM[split]}
    for row in rows():
        if (row.split, row.phash) in asked:
            held.setdefault((row.split, row.phash), []).append(row.image)
            paths[row.image] = row.path
    pairs = sorted(
        Candidate(distance, min(a, b), max(a, b))
        for (split, one, other), distance in wanted.items()
        for a in held.get((split, one), [])
        for place in LEARNED_FROM[split]
        for b in held.get((place, other), [])
    )[:LOOKS]
    found.looked_at = len(pairs)
    for pair in examine(pairs, lambda image: load(paths[image])):
        found.copies += pair.outcome == "copy"
        found.unsure += pair.outcome == "unsure"
        if len(found.named) < NAMED:
            found.named.append({"outcome": pair.outcome, "a": pair.a, "b": pair.b, "distance": pair.distance})


def measure_folder(
    folder: Path, radius: int = DEFAULT_RADIUS, read: Callable[[str], bytes] | None = None
) -> Leakage:
    """The same for a release folder, sealed or not, from its manifest and its pictures.

    Args:
        read: gives a picture's bytes by its path, where they are not in the folder.

    Raises:
        UnreadableRelease: it is no release, or a picture cannot be read.
    """
    if not (folder / layout.MANIFEST).is_file():
        raise UnreadableRelease(f"{folder}: no release: {layout.MANIFEST} is missing")
    return measure(
        partial(_rows, folder), partial(_picture, folder, read or partial(read_in, folder)), radius
    )


def _rows(folder: Path) -> Iterator[Row]:
    rows = rows_in(folder, layout.MANIFEST, ["image", "split", "phash", "path"])
    for row in progress(rows, total=count_rows(folder / layout.MANIFEST), what="looking for copies"):
        yield Row(row["image"], row["split"], int(row["phash"], 16), row["path"])


def _picture(folder: Path, read: Callable[[str], bytes], path: str) -> Image.Image:
    try:
        return open_picture(read(path)).image
    except (OSError, RejectedPicture) as error:
        raise UnreadableRelease(f"{folder / path}: {error}") from None


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 no copy was found, 1 some were, 2 no release."""
    parser = Arguments(
        prog="python -m export.leakage",
        description="Look for copies of test pictures in train and val, and of val pictures in train.",
        epilog="example:\n  python -m export.leakage releases/birds-1.0.0 --json",
    )
    parser.add_argument("folder", type=Path, help="the release folder")
    parser.add_argument(
        "--radius", type=int, default=DEFAULT_RADIUS, metavar="N", help="bits (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    options = parser.parse_args(argv)
    if not 0 <= options.radius <= 20:
        parser.error("--radius is 0 to 20 bits")
    try:
        found = measure_folder(options.folder, options.radius)
    except UnreadableRelease as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(found.as_dict()) if options.json else as_text(found))
    if found.copies:
        told = f"{number_of(found.copies, 'pair')} of copies across splits"
        print(f"error: {options.folder}: {told}", file=sys.stderr)
    return 1 if found.copies else 0


def as_text(found: Leakage) -> str:
    """The figures for people."""
    lines = [found.sentence()]
    for split, spread in found.nearest.items():
        counts = ", ".join(f"{bits} bits: {n:,}" for bits, n in spread.items())
        lines.append(f"{split}: {counts + ', ' if counts else ''}farther: {found.farther[split]:,}")
    lines += [f"{p['outcome']}: {p['a']} {p['b']} ({p['distance']} bits)" for p in found.named]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
