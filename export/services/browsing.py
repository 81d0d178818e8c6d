"""What a release shows of its pictures: by category, a page at a time, and beside another release.

Two kinds of pictures stay hidden: those that were taken down later, in every release that held them, and the
labels of a sealed test split.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from export.models import Release, ReleaseImage, Withdrawal
from export.services.evidence import provenance_of
from export.sharing.category_tree import Node, Row, Tree
from export.sharing.licences import short_name
from ingest.models import Category

TEST = ReleaseImage.Split.TEST


@dataclass(frozen=True)
class Shown:
    """A picture of a release with where it comes from. `category`: None where its label is sealed."""

    id: int
    sha256: str
    split: str
    category: str | None
    name: str
    confidence: float | None
    votes: int
    width: int
    height: int
    source_url: str = ""
    page_url: str = ""
    licence: str = ""
    author: str = ""

    @property
    def address(self) -> str:
        """The web page that it was found on, or its own address; empty where it came from no web."""
        return next((a for a in (self.page_url, self.source_url) if _on_the_web(a)), "")

    @property
    def licence_name(self) -> str:
        """Its licence as people call it."""
        return short_name(self.licence)

    @property
    def licence_url(self) -> str:
        """Where its licence can be read; empty where that was not said."""
        return self.licence if _on_the_web(self.licence) else ""


def _on_the_web(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def shown_images(release: Release) -> QuerySet[ReleaseImage]:
    """The images of a release that may be seen, in the order in which they were written."""
    return release.release_images.filter(image__withdrawal=None, image__taken_down=None).order_by("id")


def labelled_images(release: Release) -> QuerySet[ReleaseImage]:
    """Those whose label may be seen, too."""
    held = shown_images(release)
    return held.exclude(split=TEST) if release.sealed else held


def unlabelled_images(release: Release) -> QuerySet[ReleaseImage]:
    """The test pictures of a sealed release that may be seen, by SHA-256: that order tells no label."""
    return shown_images(release).filter(split=TEST)


def withdrawals_of(release: Release) -> QuerySet[Withdrawal]:
    """The pictures of this release that were taken down after it was published."""
    held = ReleaseImage.objects.filter(release=release, image=OuterRef("image"))
    return Withdrawal.objects.filter(Exists(held), release__dataset=release.dataset).order_by("id")


def hides_pictures(release: Release) -> bool:
    """Whether a picture of this release may not be seen any more."""
    gone = release.dataset.takedowns.exclude(sha256="").values("sha256")
    down = release.release_images.filter(image__in=release.dataset.images.filter(sha256__in=gone))
    return withdrawals_of(release).exists() or down.exists()


def taken_down_between(old: Release, new: Release) -> int:
    """How many pictures of one release another lacks because they were taken down."""
    held = ReleaseImage.objects.filter(release=new, image=OuterRef("image"))
    return withdrawals_of(old).exclude(Exists(held)).count()


def shown_image(release: Release, sha256: str) -> ReleaseImage | None:
    """One image of a release, where it may be seen. Looked up by index: the image first, then its row."""
    image = release.dataset.images.filter(sha256=sha256).first()
    rows = shown_images(release).filter(image=image).select_related("image", "category")
    return rows.first() if image else None


def category_images(release: Release, node: Node) -> QuerySet[ReleaseImage]:
    """The pictures of one category that may be seen, without those below it."""
    return labelled_images(release).filter(category_id=node.row.id)


def sample(release: Release, number: int) -> list[Shown]:
    """Some pictures of the fullest categories, as many of each; at random, and always the same ones.

    A category's rows were written in the order of their SHA-256, so the first are a random sample of it.
    """
    nodes = sorted(tree_of(release).classes(), key=lambda node: (-node.own, node.row.key))[:number]
    each = -(-number // max(1, len(nodes)))
    found = [list(category_images(release, n).select_related("image", "category")[:each]) for n in nodes]
    mixed = [row for turn in zip_longest(*found) for row in turn if row is not None]
    return with_provenance(mixed[:number], release)


def with_provenance(rows: list[ReleaseImage], release: Release) -> list[Shown]:
    """Pictures as pages and the API show them; three queries for any number."""
    found = provenance_of([row.image_id for row in rows])
    usual = release.dataset.licence or "unknown"
    shown = []
    for row in rows:
        url, page, licence, author = found.get(row.image_id, ("", "", "", ""))
        sealed = release.sealed and row.split == TEST
        if sealed:  # addresses name categories as often as not: `export.sealed`
            url = page = ""
        shown.append(
            Shown(
                id=row.pk,
                sha256=row.image.sha256,
                split=ReleaseImage.Split(row.split).label,
                category=None if sealed else row.category.key,
                name="" if sealed else row.category.name,
                confidence=None if sealed else row.confidence,
                votes=0 if sealed else row.votes,
                width=row.image.width,
                height=row.image.height,
                source_url=url,
                page_url=page,
                licence=licence or usual,
                author=author,
            )
        )
    return shown


def tree_of(release: Release) -> Tree:
    """The categories of a release with their counts; those of a sealed test split are not told."""
    counts = {
        key: sum(n for split, n in splits.items() if not (release.sealed and split == "test"))
        for key, splits in release.counts.get("categories", {}).items()
    }
    columns = ("key", "name", "gloss", "parent__key", "id")
    rows = release.dataset.categories.order_by("position", "key").values_list(*columns)
    return Tree([Row(key, name, gloss, parent or "", pk) for key, name, gloss, parent, pk in rows], counts)


def pictures_below(release: Release, node: Node, number: int) -> list[str]:
    """SHA-256 of a few pictures of the fullest categories below a node; always the same ones."""
    found: list[str] = []
    for below in node.classes():
        held = category_images(release, below)
        found += held.values_list("image__sha256", flat=True)[: number - len(found)]
        if len(found) == number:
            break
    return found


@dataclass(frozen=True)
class Change:
    """One picture with its old and new category names; empty where it was not there, or is sealed."""

    sha256: str
    old: str
    new: str
    split: str


@dataclass
class Comparison:
    """What changed from one release to another: how many, and the first of each."""

    added: int = 0
    removed: int = 0
    relabelled: int = 0
    moved: int = 0
    examples: dict[str, list[Change]] = field(default_factory=dict)


def compare(old: Release, new: Release, examples: int) -> Comparison:
    """Compare two releases of one dataset by their rows: one pass over each, and one for each kind found."""
    come, gone = _beside(new, old), _beside(old, new)
    relabelled = Q(other__id__isnull=False) & ~Q(other__category=F("category"))
    if old.sealed or new.sealed:
        relabelled &= ~Q(split=TEST)
    kinds = {
        "added": (come, Q(other__id=None)),
        "removed": (gone, Q(other__id=None)),
        "relabelled": (come, relabelled),
        "moved": (come, Q(other__id__isnull=False) & ~Q(other__split=F("split"))),
    }
    asked = {kind: Count("id", filter=rule) for kind, (rows, rule) in kinds.items() if rows is come}
    counts = {**come.aggregate(**asked), **gone.aggregate(removed=Count("id", filter=Q(other__id=None)))}
    result = Comparison(**counts)
    names = dict(Category.objects.filter(dataset=new.dataset).values_list("id", "name"))
    for kind, (rows, rule) in kinds.items():
        if not counts[kind]:
            continue
        found = rows.filter(rule).annotate(was=F("other__category")).select_related("image")[:examples]
        release = old if kind == "removed" else new
        result.examples[kind] = [_change(row, release, names, gone=kind == "removed") for row in found]
    return result


def _beside(release: Release, other: Release) -> QuerySet[ReleaseImage]:
    """The images of a release that may be seen, each with its row in another release as `other`, or none."""
    same = FilteredRelation("image__release_images", condition=Q(image__release_images__release=other))
    return shown_images(release).annotate(other=same)


def _change(row: ReleaseImage, release: Release, names: dict[int, str], *, gone: bool) -> Change:
    label = "" if release.sealed and row.split == TEST else names.get(row.category_id, "")
    split = ReleaseImage.Split(row.split).label
    was = getattr(row, "was", None)
    if gone:
        return Change(row.image.sha256, label, "", split)
    return Change(row.image.sha256, names.get(was, "") if was else "", label, split)
