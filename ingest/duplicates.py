"""Groups of pictures that show the same picture, from verified pairs alone.

Close hashes nominate a pair, the second look settles it (`ingest.second_look`), and groups are the connected
components of settled pairs. Nothing here knows of files or databases: pictures come from a callable.

Pairs are nominated in two ways: by their hashes, within the radius; and, two bits tighter, by the hash of one
picture against those of the other less up to 4 % of its sides (`CUTS`), which finds light crops that move the
plain hash too far.

Measured (`python -m ingest.dedup`, CC0 clothing photos at 160 px, default radius):

* 2,500 photos and 4,500 copies, on which the thresholds were chosen: no wrong pair. Found: all of resize 50
  to 150 %, JPEG quality 20 to 70, crop up to 5 % of a side, brightness and contrast, grey, and resize +
  crop + recompression together; 99.2 % of resize to 25 % or 200 to 400 %; 96.8 % of watermarks.
* 2,898 other photos and 1,449 copies (resized, recompressed, cropped, watermarked): no wrong pair, all
  found. Not untouched data: a first run on them showed one wrong pair and 92.5 % of the crops, and led to
  the present `second_look.ALIGNED` and to the corners in `CUTS`.
* The 5,398 photos as they are, long side 256: 5 pairs, seen by eye to be one photo with another crop; 13
  unsure, by eye some second photos of one garment, the rest other garments of one sender.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ingest import hamming
from ingest.fingerprint import phash, phash_cuts, phash_mirrored
from ingest.second_look import Look, compare, look

DEFAULT_RADIUS = 10
"""Bits. A hash has half its bits set, so distances are even: 11 finds no more. 12 costs the search five times
as much at a million pictures, and would find 1 % more of the watermarked copies."""
CUTS = (
    (0.02, 0.02, 0.02, 0.02),
    (0.04, 0.04, 0.04, 0.04),
    (0.04, 0.04, 0.0, 0.0),
    (0.04, 0.0, 0.0, 0.04),
    (0.0, 0.04, 0.04, 0.0),
    (0.0, 0.0, 0.04, 0.04),
)
"""Shares cut off left, top, right and bottom: around the middle and towards each corner."""
TIGHTER = 2
"""How much smaller the radius is for cuts: they have many more chances of a look-alike."""
MAX_PEERS = 16
"""In a bucket of equal hashes a picture is compared with so many others at most (and with its neighbour), so
that ten thousand pictures of one hash are not fifty million comparisons."""
CACHE = 1500
"""Looks kept at a time, about 100 KB each."""


@dataclass(frozen=True)
class Record:
    """A picture as the search sees it.

    Attributes:
        key: its SHA-256, or any other unique text.
        phash: `fingerprint.phash`, unsigned.
        width, height: pixels.
        bytes: size of the file.
        cuts: hashes of the picture less a little of its sides (`CUTS`); may be empty, then only crops of
            other pictures that have them are found.
        mirrored: `fingerprint.phash_mirrored` where mirrored copies are wanted.
    """

    key: str
    phash: int
    width: int
    height: int
    bytes: int
    cuts: tuple[int, ...] = ()
    mirrored: int | None = None


@dataclass(frozen=True, order=True)
class Candidate:
    """Two pictures that may be one: `a` and `b` are keys, `distance` bits between the hashes that met."""

    distance: int
    a: str
    b: str
    mirrored: bool = False


@dataclass(frozen=True, order=True)
class Pair:
    """A settled pair: `outcome` is `copy` or `unsure`; the rest as in `second_look.Verdict`."""

    a: str
    b: str
    outcome: str
    how: str
    distance: int
    agreement: float
    inliers: int
    mirrored: bool


def make_record(key: str, image: Image.Image, size: int, *, mirrored: bool = False) -> Record:
    """The record of a decoded picture; `size` is the file's, in bytes."""
    return Record(
        key=key,
        phash=phash(image),
        width=image.width,
        height=image.height,
        bytes=size,
        cuts=phash_cuts(image, CUTS),
        mirrored=phash_mirrored(image) if mirrored else None,
    )


def candidates(new: Sequence[Record], old: Sequence[Record], radius: int = DEFAULT_RADIUS) -> list[Candidate]:
    """Pairs to look at twice: new with new and new with old, never old with old; nearest first.

    Args:
        new, old: no key twice, in either or both.
        radius: bits, 0 to 64.
    """
    # Old ones first: in a crowded bucket new pictures are then compared with pictures that have a group.
    records = [*old, *new]
    nominated: dict[tuple[int, int, bool], int] = {}
    for i, j, distance, mirrored in _nominate(records, len(old), radius):
        place = (min(i, j), max(i, j), mirrored)
        if distance < nominated.get(place, 65):
            nominated[place] = distance
    return sorted(
        Candidate(distance, records[i].key, records[j].key, mirrored)
        for (i, j, mirrored), distance in nominated.items()
    )


def verified_pairs(
    new: Sequence[Record],
    old: Sequence[Record],
    load: Callable[[str], Image.Image],
    radius: int = DEFAULT_RADIUS,
) -> list[Pair]:
    """Every pair (new with new, new with old) that the second look settled as `copy` or left `unsure`.

    `load` gives the upright RGB picture of a key. A pair is left out where the two are already connected by
    pairs verified before it: the components are the same, and a thousand copies need no half million looks.
    """
    return list(examine(candidates(new, old, radius), load))


def examine(found: Iterable[Candidate], load: Callable[[str], Image.Image]) -> Iterator[Pair]:
    """Give the candidates, in their order, the second look; yields `copy` and `unsure` pairs."""
    looks = _Looks(load)
    joined = _Forest()
    for candidate in found:
        if joined.root(candidate.a) == joined.root(candidate.b):
            continue
        verdict = compare(looks.get(candidate.a, mirrored=candidate.mirrored), looks.get(candidate.b))
        if verdict.outcome == "copy":
            joined.union(candidate.a, candidate.b)
        if verdict.outcome != "different":
            yield Pair(
                min(candidate.a, candidate.b),
                max(candidate.a, candidate.b),
                verdict.outcome,
                verdict.how,
                candidate.distance,
                round(verdict.agreement, 4),
                verdict.inliers,
                candidate.mirrored,
            )


def components(edges: Iterable[tuple[str, str]], apart: Iterable[tuple[str, str]] = ()) -> list[list[str]]:
    """Connected components of two or more keys, each sorted, in the order of their first keys.

    Args:
        apart: pairs that must not meet: an edge that would bring two of them together is passed over. Edges
            are then taken in the order given, the surest first.
    """
    forest = _Forest()
    foes: dict[str, set[str]] = defaultdict(set)
    for a, b in apart:
        foes[a].add(b)
        foes[b].add(a)
    for a, b in edges:
        one, other = forest.root(a), forest.root(b)
        if one == other or other in foes.get(one, ()):
            continue
        forest.union(a, b)
        if one in foes or other in foes:
            _inherit(foes, one, other, forest.root(a))
    members: dict[str, list[str]] = defaultdict(list)
    for key in forest.all_keys():
        members[forest.root(key)].append(key)
    return sorted(sorted(group) for group in members.values() if len(group) > 1)


def _inherit(foes: dict[str, set[str]], one: str, other: str, root: str) -> None:
    """Whoever must not meet one of two that were joined must not meet the root of both."""
    against = foes.pop(one, set()) | foes.pop(other, set())
    for foe in against:
        foes[foe] -= {one, other}
        foes[foe].add(root)
    foes[root] = against


def group_duplicates(
    records: Sequence[Record], load: Callable[[str], Image.Image], radius: int = DEFAULT_RADIUS
) -> list[list[Record]]:
    """All records in groups, singletons too, sorted; the representative first, the others by key."""
    return assemble(records, verified_pairs(records, [], load, radius))


def assemble(records: Sequence[Record], pairs: Iterable[Pair]) -> list[list[Record]]:
    """Groups as `group_duplicates` gives them, from pairs verified before (unsure ones are ignored)."""
    by_key = {record.key: record for record in records}
    grouped = components((p.a, p.b) for p in pairs if p.outcome == "copy")
    taken = {key for group in grouped for key in group}
    groups = [[by_key[key] for key in group] for group in grouped]
    groups += [[record] for record in records if record.key not in taken]
    ordered = []
    for group in groups:
        first = choose_representative(group)
        ordered.append([first, *sorted((r for r in group if r is not first), key=lambda r: r.key)])
    return sorted(ordered, key=lambda group: group[0].key)


def choose_representative(members: Sequence[Record]) -> Record:
    """The one that stands for the group: most pixels, then most bytes a pixel, then the smallest key."""
    return min(members, key=lambda r: (-r.width * r.height, -r.bytes, r.key))


def _nominate(records: Sequence[Record], old: int, radius: int) -> Iterator[tuple[int, int, int, bool]]:
    """(i, j, distance, mirrored) of index pairs; j is new or i is; may repeat a pair."""
    plain = _Buckets([r.phash for r in records], range(len(records)))
    yield from _within(plain, old)
    yield from _between(plain, plain, radius, old, mirrored=False)
    wide = [(h, i) for i, r in enumerate(records) for h in r.cuts]
    if wide and radius >= TIGHTER:
        cuts = _Buckets([h for h, _ in wide], [i for _, i in wide])
        yield from _between(cuts, plain, radius - TIGHTER, old, mirrored=False)
    turned = [(r.mirrored, i) for i, r in enumerate(records) if r.mirrored is not None]
    if turned:
        mirrors = _Buckets([h for h, _ in turned], [i for _, i in turned])
        yield from _between(mirrors, plain, radius, old, mirrored=True)


class _Buckets:
    """Distinct hashes, and who has each."""

    def __init__(self, hashes: Sequence[int], owners: Iterable[int]) -> None:
        members: dict[int, list[int]] = defaultdict(list)
        for value, owner in zip(hashes, owners, strict=True):
            members[value].append(owner)
        self.hashes: NDArray[np.uint64] = np.array(list(members), dtype=np.uint64)
        self.members = list(members.values())


def _within(buckets: _Buckets, old: int) -> Iterator[tuple[int, int, int, bool]]:
    for members in buckets.members:
        for place, j in enumerate(members):
            if j < old:
                continue
            peers = members[: min(place, MAX_PEERS)]
            if place > MAX_PEERS:
                peers = [*peers, members[place - 1]]
            for i in peers:
                yield i, j, 0, False


def _between(
    left: _Buckets, right: _Buckets, radius: int, old: int, *, mirrored: bool
) -> Iterator[tuple[int, int, int, bool]]:
    if left is right:
        met = hamming.self_join(left.hashes, radius)
    else:
        met = hamming.join(left.hashes, right.hashes, radius)
    distances = np.bitwise_count(left.hashes[met[:, 0]] ^ right.hashes[met[:, 1]])
    for (u, v), distance in zip(met.tolist(), distances.tolist(), strict=True):
        for i, j in _few_of(left.members[u], right.members[v]):
            if i != j and (i >= old or j >= old):
                yield i, j, distance, mirrored


def _few_of(one: list[int], other: list[int]) -> Iterator[tuple[int, int]]:
    """All pairs of two small buckets; of crowded ones each member with the other's first `MAX_PEERS`."""
    for place, i in enumerate(one):
        for j in other if place < MAX_PEERS else other[:MAX_PEERS]:
            yield i, j


class _Looks:
    """Looks of pictures by key, the last `CACHE` used."""

    def __init__(self, load: Callable[[str], Image.Image]) -> None:
        self._load = load
        self._kept: OrderedDict[tuple[str, bool], Look] = OrderedDict()

    def get(self, key: str, *, mirrored: bool = False) -> Look:
        place = (key, mirrored)
        if place not in self._kept:
            image = self._load(key)
            self._kept[place] = look(ImageOps.mirror(image) if mirrored else image)
            if len(self._kept) > CACHE:
                self._kept.popitem(last=False)
        self._kept.move_to_end(place)
        return self._kept[place]


class _Forest:
    """Union-find with path halving."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def all_keys(self) -> list[str]:
        return list(self._parent)

    def root(self, key: str) -> str:
        parent = self._parent
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def union(self, a: str, b: str) -> None:
        first, second = sorted((self.root(a), self.root(b)))
        self._parent[second] = first
