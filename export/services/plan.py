"""From what a curator asks for to a plan of a release, or one line why there can be none."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from annotation_site.figures import number_of
from annotation_site.models import Round
from export import layout
from export.models import Release
from export.pixels import Pixels
from export.selection import Filters, Scope, with_descendants
from export.split_file import digest, read_split_file, without_share
from ingest.models import Candidate, CategoryChange, Dataset, Image, Source
from ingest.services.images import resolve_images
from ingest.sources.kinds import REMOTE
from ingest.splits import Shares

SHOWN = 8


class ReleaseRefused(ValueError):
    """The arguments make no release; one line for the user. Nothing was changed."""


@dataclass(frozen=True)
class Wishes:
    """What a curator asks of a release, as typed; the defaults ask for everything there is.

    `splits`: train/val/test in percent. `categories`, `licences`, `sources`, `rounds`: names, which may be
    parted by commas. `per_class`: most training pictures of a class. `split_file`: splits that come with the
    set.
    """

    splits: str | None = None
    min_confidence: float = 0.0
    min_votes: int = 1
    categories: Sequence[str] = ()
    licences: Sequence[str] = ()
    sources: Sequence[str] = ()
    rounds: Sequence[str] = ()
    per_class: int | None = None
    longest_side: int | None = None
    quality: int = 90
    sealed: bool = False
    split_file: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What to release: `earlier` are the releases before this one, oldest first.

    `given`: image id -> split, where a split file comes with this (the first) release. `brought`: whether the
    dataset's splits came from such a file. `parameters`: as release.json records them.
    """

    dataset: Dataset
    version: str
    shares: Shares
    filters: Filters
    earlier: tuple[Release, ...]
    scope: Scope = field(default_factory=Scope)
    per_class: int | None = None
    pixels: Pixels = field(default_factory=Pixels)
    sealed: bool = False
    given: dict[int, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """The first number of the version."""
        return layout.parse_version(self.version)[0]

    @property
    def test_open(self) -> bool:
        """Test grows in a first release and in a new major version only."""
        return not self.siblings

    @cached_property
    def siblings(self) -> list[Release]:
        """Earlier releases of the same major version: they have the same test pictures, but for takedowns."""
        return [r for r in self.earlier if layout.parse_version(r.version)[0] == self.major]

    @property
    def brought(self) -> bool:
        """Whether the dataset's splits came with a split file."""
        return "split_file" in self.parameters


def plan_release(dataset: Dataset, version: str, wishes: Wishes) -> tuple[Plan, Release | None]:
    """The plan, and the release where this version is recorded already with the same parameters.

    Raises:
        ReleaseRefused: a bad or taken version, unknown names, other shares or splits than before, ...
    """
    recorded = check_version(dataset, version)
    releases = dataset.releases.order_by("id")
    earlier = tuple(releases.filter(pk__lt=recorded.pk) if recorded else releases)
    shares = _shares(dataset, wishes.splits, recorded)
    filters, rounds = _filters(dataset, wishes)
    scope, asked = _scope(dataset, wishes)
    pixels = _pixels(wishes)
    given, brought = _given(dataset, wishes.split_file, shares, (*earlier, *([recorded] if recorded else [])))
    if wishes.sealed and dataset.categories.filter(key=layout.UNLABELLED).exists():
        raise ReleaseRefused(f"a category is called {layout.UNLABELLED!r}: --sealed needs that folder name")
    parameters = {
        "splits": "/".join(str(int(part)) for part in (wishes.splits or dataset.splits).split("/")),
        "min_confidence": filters.min_confidence,
        "min_votes": filters.min_votes,
        **({"rounds": rounds} if rounds else {}),
        **asked,
        **({"per_class": wishes.per_class} if wishes.per_class is not None else {}),
        **pixels.as_parameters(),
        **({"sealed": True} if wishes.sealed else {}),
        **({"split_file": brought} if brought else {}),
    }
    plan = Plan(
        dataset=dataset,
        version=version,
        shares=shares,
        filters=filters,
        earlier=earlier,
        scope=scope,
        per_class=wishes.per_class,
        pixels=pixels,
        sealed=wishes.sealed,
        given=given,
        parameters=parameters,
    )
    if recorded and recorded.parameters != parameters:
        raise ReleaseRefused(f"{recorded} exists already, with other parameters; choose a new version")
    _check_scope(plan)
    if recorded is None:
        _check_classes(plan)
    return plan, recorded


def check_version(dataset: Dataset, version: str) -> Release | None:
    """The release of this version where it is recorded; versions only grow.

    Raises:
        ReleaseRefused: no X.Y.Z, or older than the newest.
    """
    try:
        wanted = layout.parse_version(version)
    except ValueError as error:
        raise ReleaseRefused(str(error)) from None
    releases = {layout.parse_version(r.version): r for r in dataset.releases.all()}
    if wanted in releases:
        return releases[wanted]
    if releases and max(releases) > wanted:
        newest = releases[max(releases)].version
        raise ReleaseRefused(f"versions only grow: {dataset.name} is at {newest} already, so not {version}")
    return None


def _shares(dataset: Dataset, splits: str | None, recorded: Release | None) -> Shares:
    if splits is None:
        return dataset.shares
    try:
        shares = Shares.parse(splits)
    except ValueError as error:
        raise ReleaseRefused(str(error)) from None
    if shares != dataset.shares and (recorded or dataset.releases.exists()):
        raise ReleaseRefused(
            f"{dataset.name} has releases split {dataset.splits}; pictures never move, so --splits must stay"
        )
    return shares


def _filters(dataset: Dataset, wishes: Wishes) -> tuple[Filters, list[int]]:
    if not 0 <= wishes.min_confidence <= 1:
        raise ReleaseRefused("--min-confidence is a probability, 0 to 1")
    if wishes.min_votes < 0:
        raise ReleaseRefused("--min-votes is 0 or more")
    if wishes.per_class is not None and wishes.per_class < 1:
        raise ReleaseRefused("--per-class is 1 or more")
    known = {str(pk) for pk in Round.objects.filter(dataset=dataset).values_list("pk", flat=True)}
    rounds = _chosen(wishes.rounds, known, "--round", "round")
    numbers = sorted(int(r) for r in rounds)
    return Filters(wishes.min_confidence, wishes.min_votes, frozenset(numbers)), numbers


def _pixels(wishes: Wishes) -> Pixels:
    try:
        return Pixels(wishes.longest_side, wishes.quality)
    except ValueError as error:
        raise ReleaseRefused(str(error)) from None


def _scope(dataset: Dataset, wishes: Wishes) -> tuple[Scope, dict[str, Any]]:
    """The scope, and what release.json says of it."""
    children: dict[str | None, list[str]] = {}
    merged = set()
    for key, parent, into in dataset.categories.values_list("key", "parent__key", "merged_into"):
        children.setdefault(parent, []).append(key)
        if into is not None:
            merged.add(key)
    keys = {key for below in children.values() for key in below} - merged
    categories = _chosen(wishes.categories, keys, "--category", "category")
    held = _licences(dataset) if wishes.licences else set()
    licences = _chosen(wishes.licences, held, "--licence", "licence")
    sources = _sources(dataset, wishes.sources) if wishes.sources else []
    asked: dict[str, Any] = {
        "categories": sorted(categories),
        "licences": sorted(licences),
        # A folder's location is a path of this machine, and nobody else's business.
        "sources": sorted(s.location if s.kind in REMOTE else f"{s.kind} {s.pk}" for s in sources),
    }
    scope = Scope(
        frozenset(with_descendants(categories, children)),
        frozenset(licences),
        frozenset(source.pk for source in sources),
    )
    return scope, {name: said for name, said in asked.items() if said}


def _sources(dataset: Dataset, asked: Sequence[str]) -> list[Source]:
    """Sources by id or location; a location that was searched for several categories is several sources."""
    called: dict[str, list[Source]] = {}
    for source in dataset.sources.order_by("pk"):
        called.setdefault(str(source.pk), []).append(source)
        called.setdefault(source.location, []).append(source)
    names = _chosen(asked, called, "--source", "source")
    return list({source.pk: source for name in sorted(names) for source in called[name]}.values())


def _licences(dataset: Dataset) -> set[str]:
    """Every licence that a row of the manifest could carry."""
    found = Candidate.objects.filter(source__dataset=dataset, image__isnull=False)
    known = set(found.order_by().values_list("licence", flat=True).distinct())
    return {licence or dataset.licence or layout.UNKNOWN for licence in known}


def _chosen(asked: Iterable[str], known: Collection[str], option: str, what: str) -> set[str]:
    """The names asked for: whole, or parted by commas."""
    names: list[str] = []
    for text in asked:
        names += [text] if text in known else [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=SHOWN) or sorted(known)[:SHOWN]
            hint = f"; there are: {', '.join(near)}" if near else ""
            raise ReleaseRefused(f"{option} {name}: no such {what}{hint}")
    if not names and list(asked):
        raise ReleaseRefused(f"{option} names no {what}")
    return set(names)


def _check_scope(plan: Plan) -> None:
    """Within a major version test stays the same, so the scope must."""
    for sibling in plan.siblings[-1:]:
        before = {k: sibling.parameters.get(k) for k in ("categories", "licences", "sources")}
        now = {k: plan.parameters.get(k) for k in before}
        changed = [k for k in before if before[k] != now[k]]
        if changed:
            raise ReleaseRefused(
                f"{plan.version} would hold other {changed[0]} than {sibling.version}, and so other test "
                f"pictures; a release of another subset is a new major version, {plan.major + 1}.0.0"
            )


def _check_classes(plan: Plan) -> None:
    """Within a major version the classes stay what they are: models are compared on them."""
    for sibling in plan.siblings[-1:]:
        since = plan.dataset.category_changes.filter(created__gt=sibling.created)
        change = since.exclude(kind=CategoryChange.Kind.RENAMED).first()
        if change is not None:
            raise ReleaseRefused(
                f"categories were {change.kind} after {sibling.version} ({', '.join(change.before)}); a "
                f"release of other classes is a new major version, {plan.major + 1}.0.0"
            )


def _given(
    dataset: Dataset, path: Path | None, shares: Shares, releases: Sequence[Release]
) -> tuple[dict[int, str], str | None]:
    """(image id -> split of a split file that comes with this release, what stands for it in parameters)."""
    brought = releases[0].parameters.get("split_file") if releases else None
    if path is None:
        return {}, brought  # its first release moved the draws
    named = read_split_file(path)
    for split, pictures in without_share(named.values(), shares):
        raise ReleaseRefused(
            f"{path} puts {number_of(pictures, 'picture')} into {split}, and --splits leaves {split} nothing"
        )
    resolved = resolve_images(dataset, named)
    for kind, names in (("no image", resolved.unknown), ("several images", resolved.ambiguous)):
        if names:
            some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            given = number_of(len(names), "name")
            raise ReleaseRefused(f"{path}: {kind} of {dataset.name} by {given}: {some}")
    splits: dict[int, str] = {}
    images: dict[int, Image] = {}
    for name, image in resolved.found.items():
        images[image.pk] = image
        if splits.setdefault(image.pk, named[name]) != named[name]:
            raise ReleaseRefused(f"{path}: image {image.sha256} is named twice, for different splits")
    said = digest((images[pk].sha256, split) for pk, split in splits.items())
    if releases and said != brought:
        raise ReleaseRefused(
            f"{dataset.name} has releases, and pictures never move: a split file comes with the first only"
        )
    return splits, said
