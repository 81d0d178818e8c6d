"""Which pictures a release holds, in which split and under which category: the rules, on plain data.

Two questions a duplicate group must answer, in this order:

1. `released_members`: which of its images may be released, and where. A picture that stood in a release never
   changes its split, and one that stood in test never leaves it (DESIGN.md, "Release folder").
2. `decide`: what the label is. Train and val take the consensus, test takes the experts' reference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from export.layout import NONE, SPLITS
from quality.opinion import Finding, leading

LEFT_OUT: dict[str, str] = {
    "not_grouped": "no duplicate group yet: run dedup",
    "duplicate": "a copy; its group is represented by another picture",
    "taken_down": "taken down, or a copy of a picture that was",
    "held_back": "it stood in another split before, and nothing moves between splits",
    "given_elsewhere": "the split file puts a copy of it into a more protected split",
    "test_closed": "new for test; test grows only in a new major version",
    "no_reference": "drawn for test, but experts have not agreed on a reference",
    "reference_none": "experts say that it shows none of the categories",
    "no_consensus": "no vote decided on it",
    "none_of_these": "the consensus is that it shows none of the categories",
    "few_votes": "fewer votes than asked for",
    "unsure": "the consensus is less sure than asked for",
    "no_source": "nothing says where it comes from",
    "other_category": "its label is none of the categories asked for",
    "other_source": "it comes from none of the sources asked for",
    "other_licence": "its licence is none of those asked for",
    "surplus": "its class has as many training pictures as asked for",
}
"""Every reason for which an image is left out of a release, with its meaning."""


@dataclass(frozen=True)
class Member:
    """An image of a duplicate group.

    `earlier`: the splits it stood in, in earlier releases. `given`: the split that a split file gave it.
    """

    id: int
    sha256: str
    earlier: frozenset[str] = frozenset()
    given: str | None = None
    withdrawn: bool = False


@dataclass(frozen=True)
class Placement:
    """`split` of the group and the ids of its images that may be released; `reason` where there is none."""

    split: str
    members: tuple[int, ...]
    reason: str = ""


def released_members(
    split: str, members: Sequence[Member], representative: int | None, *, test_open: bool = True
) -> Placement:
    """Which images of one duplicate group may be released.

    Args:
        split: the split that the group's draw gives.
        members: its images.
        representative: id of the image that stands for the group.
        test_open: whether test may grow (a first release or a new major version).
    """
    tested = tuple(sorted(m.id for m in members if "test" in m.earlier and not m.withdrawn))
    if tested:
        return Placement("test", tested)
    if any(m.withdrawn for m in members):
        return Placement(split, (), "taken_down")  # no copy takes the place of what had to go
    if split == "test" and not test_open:
        return Placement(split, (), "test_closed")
    allowed = [m for m in members if m.earlier <= {split} and m.given in (None, split)]
    if not allowed:
        return Placement(split, (), "held_back")
    # One that a split file names, the representative, one that was released before, the smallest SHA-256.
    best = min(allowed, key=lambda m: (not m.given, m.id != representative, not m.earlier, m.sha256))
    return Placement(split, (best.id,))


def given_split(members: Iterable[Member]) -> str | None:
    """The most protected split that a split file gave to any image of a group; None where it names none."""
    given = [m.given for m in members if m.given is not None]
    return max(given, key=SPLITS.index) if given else None


@dataclass(frozen=True)
class Opinion:
    """What the crowd says of a picture: `label` is a category id or `__none__`, None where it says nothing.

    `confidence` is the label's probability; `posterior` maps categories and `__none__` to probabilities.
    `verified`: it comes from a verify round, which asks about one category at a time.
    """

    label: str | None = None
    confidence: float | None = None
    posterior: dict[str, float] = field(default_factory=dict)
    verified: bool = False


def opinion_of(findings: Iterable[Finding]) -> Opinion:
    """What the consensus rows of one duplicate group say together (`quality.opinion`)."""
    told = leading(findings)
    if told is None:
        return Opinion()
    label, row = told
    if row.proposed is not None:
        return Opinion(label, row.confidence, {label: row.confidence}, verified=True)
    return Opinion(label, row.confidence, row.posterior or {label: row.confidence})


@dataclass(frozen=True)
class Filters:
    """What train and val ask of a label. `rounds`: whose votes decide; empty: all of them."""

    min_confidence: float = 0.0
    min_votes: int = 1
    rounds: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Scope:
    """Which pictures a release is about, in every split; an empty set asks for nothing.

    The scope is fixed within a major version. A published test picture outside a later scope is still a test
    picture: that release does not show it, and no release ever shows it in train or val.
    """

    categories: frozenset[str] = frozenset()
    licences: frozenset[str] = frozenset()
    sources: frozenset[int] = frozenset()

    def holds_category(self, category: str) -> bool:
        """Whether a label is one of the categories asked for."""
        return not self.categories or category in self.categories


def with_descendants(roots: Iterable[str], children: Mapping[str | None, Sequence[str]]) -> set[str]:
    """The categories named and all below them. `children`: those straight below each."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += children.get(key, [])
    return found


@dataclass(frozen=True)
class Decision:
    """A label for release (`category` and `confidence`) or the `reason` why there is none."""

    category: str | None
    confidence: float | None = None
    reason: str = ""


def crowd_decision(opinion: Opinion, votes: int, filters: Filters) -> Decision:
    """The label that train and val would carry, by consensus alone."""
    if opinion.label is None or opinion.confidence is None:
        return Decision(None, reason="no_consensus")
    if opinion.label == NONE:
        return Decision(None, reason="none_of_these")
    if votes < filters.min_votes:
        return Decision(None, reason="few_votes")
    if opinion.confidence < filters.min_confidence:
        return Decision(None, reason="unsure")
    return Decision(opinion.label, opinion.confidence)


def decide(
    split: str,
    opinion: Opinion,
    votes: int,
    reference: str | None,
    filters: Filters,
    *,
    kept_category: str | None = None,
) -> Decision:
    """The label of one picture in a release.

    Args:
        reference: the settled reference: a category id, `__none__`, or None where experts have not agreed.
        kept_category: for a picture that stood in test before, the category it had there. It stays in test
            whatever became of its reference since.
    """
    if split != "test":
        if reference == NONE:
            return Decision(None, reason="reference_none")
        return crowd_decision(opinion, votes, filters)
    category = reference if reference not in (None, NONE) else kept_category
    if category is None:
        return Decision(None, reason="reference_none" if reference == NONE else "no_reference")
    return Decision(category, opinion.posterior.get(category, 0.0) if opinion.posterior else None)


def soft_labels(opinion: Opinion, categories: Collection[str] = ()) -> dict[str, float]:
    """Probabilities of the categories, given that the picture shows one of them, rounded to 1e-6.

    Args:
        categories: those that the release is about; empty: all.

    A verify round says nothing of the categories that were not proposed: its probabilities stay as they are,
    unless their sum is above 1.
    """
    inside = (c for c in sorted(opinion.posterior) if c != NONE and (not categories or c in categories))
    rows = {c: p for c in inside if (p := opinion.posterior[c]) > 0}
    total = sum(rows.values())
    scale = total if total > 1 or not opinion.verified else 1.0
    return {c: round(p / scale, 6) for c, p in rows.items()}
