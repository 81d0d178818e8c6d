"""What is known of an image, and whether it is one of those asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from annotation_site.models import NONE, Task
from ingest.models import Candidate, Dataset, Image
from quality.models import Consensus
from quality.opinion import Finding, in_todays_words, leading

SURE, VOTES, NEWEST = "sure", "votes", "newest"
ORDERS = (NEWEST, SURE, VOTES)
UNLABELLED, ASKING, SETTLED, DISPUTED = "unlabelled", "asking", "settled", "disputed"
STATES = (UNLABELLED, ASKING, SETTLED, DISPUTED)
NO_LICENCE = "-"
"""Asks for pictures of which no licence is recorded."""
Place = tuple[float, int]
"""Where a picture stands in the order: its sort key, then its id."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for; empty values ask for nothing. `least`, `most`: confidence, 0 to 1.

    `source` and `group` are ids. `licence`: as recorded, or `NO_LICENCE`. `once`: one picture of each group.
    """

    category: str = ""
    least: float | None = None
    most: float | None = None
    source: int | None = None
    licence: str = ""
    state: str = ""
    group: int | None = None
    once: bool = False
    order: str = NEWEST

    @property
    def of_consensus(self) -> bool:
        """Whether only pictures that have a consensus can fit."""
        labelled = self.state in (ASKING, SETTLED, DISPUTED)
        return bool(self.category) or self.least is not None or self.most is not None or labelled

    @property
    def anything(self) -> bool:
        """Whether every picture fits."""
        return self == Wanted(order=self.order)


class BadFilter(ValueError):
    """A filter that makes no sense here; the message is for people."""


def sensible(dataset: Dataset, wanted: Wanted) -> Wanted:
    """What is asked for, once it is known to make sense in this dataset.

    Raises:
        BadFilter: with what does not.
    """
    if wanted.least is not None and wanted.most is not None and wanted.least > wanted.most:
        raise BadFilter(_("The confidence begins above where it ends."))
    if wanted.source is not None and not dataset.sources.filter(pk=wanted.source).exists():
        raise BadFilter(_("This dataset has no such source."))
    if wanted.group is not None and not dataset.groups.filter(pk=wanted.group).exists():
        raise BadFilter(_("This dataset has no such duplicate group; it may have been joined to another."))
    if not _is_label(dataset, wanted.category):
        raise BadFilter(_("This dataset has no such category."))
    if wanted.state and wanted.state not in STATES:
        raise BadFilter(_("Pictures are in no such state."))
    if "\0" in wanted.licence:  # a database may refuse to look for it
        raise BadFilter(_("No licence is called that."))
    if wanted.order not in ORDERS:
        raise BadFilter(_("Pictures cannot be ordered like that."))
    # Without a label there is nothing else to order by.
    return replace(wanted, order=NEWEST) if wanted.state == UNLABELLED else wanted


def _is_label(dataset: Dataset, key: str) -> bool:
    if key in ("", NONE):
        return True
    return "\0" not in key and dataset.categories.current().filter(key=key).exists()


@dataclass(frozen=True)
class Shown:
    """A picture and what is known of it. `label` is None without a consensus; `state`: one of `STATES`."""

    id: int
    sha256: str
    width: int
    height: int
    group: int | None
    copies: int
    label: str | None
    confidence: float | None
    votes: int
    state: str
    place: Place


def found_in(source: int) -> QuerySet[Candidate]:
    """Candidates of a source that became an image."""
    return Candidate.objects.filter(source=source, image__isnull=False)


_STATE_WORDS: dict[int, str] = {
    Task.State.OPEN: ASKING,
    Task.State.SETTLED: SETTLED,
    Task.State.EXHAUSTED: DISPUTED,
}


def _key(row: Finding) -> tuple[int, int, str | None]:
    return row.round, row.votes, row.proposed


class Judge:
    """Reads what is known of some images and keeps those that fit."""

    def __init__(self, dataset: Dataset, wanted: Wanted) -> None:
        self.dataset, self.wanted = dataset, wanted
        self.successors = dataset.categories.successors()
        self.ordered_by_consensus = wanted.order in (SURE, VOTES)

    def of(self, image_ids: Iterable[int]) -> Iterator[Shown]:
        """Those that fit, each once, at its own place."""
        ids = list(dict.fromkeys(image_ids))
        for start in range(0, len(ids), 500):
            for shown, speaks in self._read(ids[start : start + 500]):
                if speaks is not None or not self.ordered_by_consensus:
                    yield shown

    def of_places(self, places: list[tuple[Place, int]]) -> Iterator[Shown]:
        """Those that fit; by a consensus that does not speak for its picture, the picture is not shown."""
        walked = {place[1] for place, _id in places}
        for shown, _speaks in self._read(list(dict.fromkeys(image_id for _place, image_id in places))):
            if shown.place[1] in walked:
                yield shown

    def _read(self, ids: list[int]) -> Iterator[tuple[Shown, int | None]]:
        """(picture, id of the consensus row that speaks for it) of those that fit."""
        images = Image.objects.filter(pk__in=ids, dataset=self.dataset, taken_down=None)
        columns = ("pk", "sha256", "width", "height", "group", "group__size", "group__representative")
        rows = list(images.values_list(*columns))
        said = self._said({row[0]: (row[4], row[5]) for row in rows})
        found_there, licensed = self._provenance([row[0] for row in rows])
        for pk, sha256, width, height, group, size, representative in rows:
            label, confidence, votes, state, speaks, asked = said.get(
                pk, (None, None, 0, UNLABELLED, None, pk)
            )
            key = {SURE: confidence, VOTES: votes}.get(self.wanted.order)
            place = (float(key), speaks) if key is not None and speaks is not None else (float(pk), pk)
            shown = Shown(
                pk, sha256, width, height, group, (size or 1) - 1, label, confidence, votes, state, place
            )
            if self.wanted.once and representative not in (None, pk):
                continue
            if self.ordered_by_consensus and asked != pk:
                continue  # a copy: the picture that people were shown has the place
            if found_there(pk) and licensed(pk) and self._fits(shown):
                yield shown, speaks

    def _fits(self, shown: Shown) -> bool:
        wanted = self.wanted
        sure = shown.confidence
        if wanted.category and shown.label != wanted.category:
            return False
        if wanted.state and shown.state != wanted.state:
            return False
        if wanted.group is not None and shown.group != wanted.group:
            return False
        if wanted.least is not None and (sure is None or sure < wanted.least):
            return False
        return wanted.most is None or (sure is not None and sure <= wanted.most)

    def _said(
        self, groups: dict[int, tuple[int | None, int | None]]
    ) -> dict[int, tuple[str | None, float | None, int, str, int | None, int]]:
        """Image -> (label, confidence, votes, state, id of the consensus, image that was shown).

        What people say of one member of a duplicate group holds for the others.
        """
        stands = {pk: pk for pk in groups}
        many = {group for group, size in groups.values() if group is not None and (size or 1) > 1}
        if many:
            # Below zero, so that a group's number is never taken for an image's.
            members = Image.objects.filter(group__in=many).values_list("pk", "group_id")
            stands |= {pk: -group for pk, group in members if group is not None}
        rows = Consensus.objects.filter(task__image__in=list(stands)).exclude(
            task__state=Task.State.WITHDRAWN
        )
        told: dict[int, list[tuple[Finding, int, int, int]]] = defaultdict(list)
        columns = ("task__image_id", "task__state", "pk", "votes", "task__round_id", "label", "confidence")
        for image_id, state, pk, votes, round_id, label, confidence, posterior, proposed in rows.order_by(
            "pk"
        ).values_list(*columns, "posterior", "task__category__key"):
            done = state != Task.State.OPEN
            finding = Finding(round_id, label, confidence, posterior, proposed, done, votes)
            told[stands[image_id]].append((finding, state, pk, image_id))
        judged: dict[int, tuple[str | None, float | None, int, str, int | None, int]] = {}
        for picture, findings in told.items():
            told_by = leading(in_todays_words([finding for finding, *_ in findings], self.successors))
            if told_by is None:  # every label that was proposed was refused
                finding, state, _, image_id = findings[-1]
                judged[picture] = (None, None, finding.votes, _STATE_WORDS[state], None, image_id)
                continue
            said, row = told_by
            about = [s for s in findings if _key(s[0]) == _key(row)]
            _, state, pk, image_id = (about or findings)[0]
            judged[picture] = (said, row.confidence, row.votes, _STATE_WORDS[state], pk, image_id)
        return {
            pk: judged[key]
            for pk, (group, size) in groups.items()
            if (key := -group if group in many and group is not None else pk) in judged
        }

    def _provenance(self, ids: list[int]) -> tuple[Callable[[int], bool], Callable[[int], bool]]:
        """Tests for the source and the licence of these images."""
        wanted = self.wanted
        if wanted.source is None and not wanted.licence:
            return _any, _any
        # Asked by image alone: asked by source or licence, too, a database may read all that these have.
        held = Candidate.objects.filter(image__in=ids)
        rows = list(held.values_list("image_id", "source_id", "licence"))
        there: Callable[[int], bool] = _any
        licensed: Callable[[int], bool] = _any
        if wanted.source is not None:
            there = {image for image, source, _ in rows if source == wanted.source}.__contains__
        if wanted.licence:
            named = "" if wanted.licence == NO_LICENCE else wanted.licence
            licensed = {image for image, _, licence in rows if licence == named}.__contains__
        return there, licensed


def _any(_image: int) -> bool:
    return True
