"""Read from the database what a release will hold, and write it down.

The images stream by in order of their SHA-256, a few hundred at a time with everything that is known of their
duplicate groups, so that memory does not grow with the dataset.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from annotation_site.models import Vote
from export import layout
from export.build import SELECTION_SCHEMA
from export.places.workplace import Workplace
from export.selection import (
    Decision,
    Member,
    Opinion,
    Placement,
    crowd_decision,
    decide,
    given_split,
    opinion_of,
    released_members,
    soft_labels,
)
from export.services.evidence import (
    Ballot,
    Evidence,
    ImageRow,
    Question,
    evidence_of,
    image_chunks,
    provenance_of,
    what_is_held,
)
from export.services.plan import Plan
from export.tables import TableWriter
from export.tally import Tally
from ingest.splits import split_of
from quality.opinion import in_todays_words

Tick = Callable[[int], object]


class Chosen(NamedTuple):
    """A picture that will be released, and why."""

    image: ImageRow
    split: str
    decision: Decision
    opinion: Opinion
    ballots: list[Ballot]


def passes(plan: Plan) -> int:
    """How often `choose` looks at every image."""
    return 1 if plan.per_class is None else 2


def choose(
    plan: Plan, place: Workplace, tally: Tally, tick: Tick = lambda n: None
) -> Iterator[dict[str, Any]]:
    """Write the selection, votes.parquet and posteriors.parquet, and count.

    Args:
        tally: what is counted on the way.
        tick: told how many images were looked at.

    Yields:
        Rows of the selection, as soon as they are known. The tables are whole when there are no more.
    """
    chooser = _Chooser(plan, tally, {} if plan.per_class is None else _cuts(plan, plan.per_class, tick))
    with (
        TableWriter(place.fresh_selection, SELECTION_SCHEMA) as selection,
        TableWriter(place.spare / layout.VOTES, layout.VOTES_SCHEMA) as votes,
        TableWriter(place.spare / layout.POSTERIORS, layout.POSTERIORS_SCHEMA) as posteriors,
    ):
        for chunk in image_chunks(plan.dataset):
            rows = []
            for row, ballots, soft in chooser.rows(chunk):
                rows.append(row)
                votes.add(ballots)
                posteriors.add(
                    {"image": row["image"], "category": c, "probability": p} for c, p in soft.items()
                )
            selection.add(rows)
            tick(len(chunk))
            yield from rows
    for name in (layout.VOTES, layout.POSTERIORS):
        (place.spare / name).replace(place.release / name)


Rank = tuple[float, int]
"""What `--per-class` ranks by: a group's draw, then the first 64 bits of the image's SHA-256."""


def _rank(image: ImageRow) -> Rank:
    assert image.draw is not None
    return image.draw, int(image.sha256[:16], 16)


def _cuts(plan: Plan, most: int, tick: Tick) -> dict[str, Rank]:
    """The last rank of each class that still has a place, where there are more than `most` pictures.

    The smallest draws are taken, so that a larger number only adds. Needs 16 bytes a training picture.
    """
    draws: dict[str, array[float]] = {}
    prefixes: dict[str, array[int]] = {}
    chooser = _Chooser(plan, Tally(), {})
    for chunk in image_chunks(plan.dataset):
        for image, split, decision, *_ in chooser.chosen(chunk)[0]:
            if split == "train" and decision.category is not None:
                draw, prefix = _rank(image)
                draws.setdefault(decision.category, array("d")).append(draw)
                prefixes.setdefault(decision.category, array("Q")).append(prefix)
        tick(len(chunk))
    cuts = {}
    for category, drawn in draws.items():
        if len(drawn) > most:
            last = np.lexsort((np.frombuffer(prefixes[category], np.uint64), np.frombuffer(drawn)))[most - 1]
            cuts[category] = (drawn[last], prefixes[category][last])
    return cuts


class _Chooser:
    """The rules of `export.selection` applied to chunks of images."""

    def __init__(self, plan: Plan, tally: Tally, cuts: dict[str, Rank]) -> None:
        self.plan = plan
        self.tally = tally
        self.cuts = cuts
        self.question = Question(
            plan.dataset,
            [release.pk for release in plan.earlier],
            {release.pk for release in plan.siblings},
            plan.filters.rounds,
            plan.given,
            what_is_held(plan.dataset),
        )
        self.category_ids = dict(plan.dataset.categories.values_list("key", "id"))
        self.successors = plan.dataset.categories.successors()
        key = plan.dataset.split_key
        self.pseudonyms = layout.pseudonym_key(key, plan.dataset.name, plan.version)
        self.names: dict[str, str] = {}
        self.licence = plan.dataset.licence

    def rows(
        self, chunk: list[ImageRow]
    ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], dict[str, float]]]:
        """(selection row, votes rows, soft label) of every image of the chunk that will be released.

        Votes and soft labels of a sealed release's test pictures stay in the database.
        """
        chosen, provenance, known = self.chosen(chunk)
        for image, split, decision, opinion, ballots in chosen:
            row = self._row(image, split, decision, len(ballots), provenance[image.id], known)
            self.tally.labels[split, row["category"]] += 1
            if self.plan.sealed and split == "test":
                yield row, [], {}
                continue
            self.tally.votes += len(ballots)
            soft = soft_labels(opinion, self.plan.scope.categories)
            yield row, self._vote_rows(image, ballots), soft

    def chosen(
        self, chunk: list[ImageRow]
    ) -> tuple[list[Chosen], dict[int, tuple[str, str, str, str]], Evidence]:
        """The images of the chunk that will be released, where they come from, what is known of them."""
        known = evidence_of({row.group for row in chunk if row.group is not None}, self.question)
        decided = [found for image in chunk if (found := self._decide(image, known)) is not None]
        scope = self.plan.scope
        provenance = provenance_of([found.image.id for found in decided], scope.sources)
        kept = []
        for found in decided:
            reason = self._objection(found, provenance.get(found.image.id))
            tested = "test" in self._member(found.image, known).earlier
            if not reason:
                kept.append(found)
                self.tally.kept_in_test += tested
                continue
            self.tally.left_out[reason] += 1
            if tested and reason != "no_source" and found.image.id not in known.bound:
                self.tally.tested_outside += 1
        return kept, provenance, known

    def _objection(self, found: Chosen, source: tuple[str, str, str, str] | None) -> str:
        """Why a picture that has its label is left out all the same; empty where it is not."""
        scope = self.plan.scope
        assert found.decision.category is not None
        if not scope.holds_category(found.decision.category):
            return "other_category"
        if source is None:
            return "other_source" if scope.sources else "no_source"
        if scope.licences and self._licence(source) not in scope.licences:
            return "other_licence"
        cut = self.cuts.get(found.decision.category)
        if found.split == "train" and cut is not None and _rank(found.image) > cut:
            return "surplus"
        return ""

    def _decide(self, image: ImageRow, known: Evidence) -> Chosen | None:
        """Whether and how an image is released; None (and a reason counted) where it is not."""
        if image.group is None or image.draw is None:
            self.tally.left_out["not_grouped"] += 1
            return None
        findings = known.findings[image.group]
        if self.successors:
            findings = list(in_todays_words(findings, self.successors))
        opinion = opinion_of(findings)
        ballots = known.ballots[image.group]
        reference = known.references.get(image.group)
        placement = self._placement(image, known)
        if image.id == image.representative:
            self._measure(image.group, placement.split, opinion, len(ballots), reference, known)
        if image.id not in placement.members:
            self.tally.left_out[self._why_not(image, placement, known)] += 1
            return None
        kept = known.kept_categories.get(image.id)
        if kept is not None:
            kept = self.successors.get(kept, kept)
        decision = decide(
            placement.split, opinion, len(ballots), reference, self.plan.filters, kept_category=kept
        )
        if decision.category is None:
            self.tally.left_out[decision.reason] += 1
            return None
        if image.id in known.bound and not self.plan.scope.holds_category(decision.category):
            # Experts call it something now that this major version is not about; it must stay all the same.
            decision = decide("test", opinion, len(ballots), None, self.plan.filters, kept_category=kept)
        if placement.split == "test" and reference != decision.category:
            self.tally.kept_unsettled += 1
        return Chosen(image, placement.split, decision, opinion, ballots)

    def _why_not(self, image: ImageRow, placement: Placement, known: Evidence) -> str:
        """The reason of an image that is no released member of its group."""
        member = self._member(image, known)
        if member.withdrawn:
            return "taken_down"
        if member.given not in (None, placement.split):
            self.tally.straddling += 1
            return "given_elsewhere"
        return placement.reason if not placement.members and image.id == image.representative else "duplicate"

    def _member(self, image: ImageRow, known: Evidence) -> Member:
        assert image.group is not None
        return next(m for m in known.members[image.group] if m.id == image.id)

    def _placement(self, image: ImageRow, known: Evidence) -> Placement:
        assert image.group is not None
        assert image.draw is not None
        members = known.members[image.group]
        # A file that comes with this release speaks first; its publication moves the draws to agree with it.
        given = given_split(members) if self.plan.given else None
        return released_members(
            given or split_of(image.draw, self.plan.shares),
            members,
            image.representative,
            test_open=self.plan.test_open,
        )

    def _measure(
        self, group: int, split: str, opinion: Opinion, votes: int, reference: str | None, known: Evidence
    ) -> None:
        """Count towards label accuracy. Gold is left out: the workers were screened by it."""
        decided = crowd_decision(opinion, votes, self.plan.filters)
        if decided.category is None or not self.plan.scope.holds_category(decided.category):
            return
        if group in known.gold:
            return
        right = int(reference == decided.category)
        if split == "test":
            self.tally.test_eligible += 1
            self.tally.test_known += reference is not None
            self.tally.test_right += right
        elif reference is not None:
            self.tally.other_known += 1
            self.tally.other_right += right

    def _licence(self, source: tuple[str, str, str, str]) -> str:
        """A picture's own licence, else the dataset's."""
        return source[2] or self.licence or layout.UNKNOWN

    def _row(
        self,
        image: ImageRow,
        split: str,
        decision: Decision,
        votes: int,
        source: tuple[str, str, str, str],
        known: Evidence,
    ) -> dict[str, Any]:
        """A row of the selection."""
        assert image.group is not None
        assert decision.category is not None
        url, page_url, _, author = source
        licence = self._licence(source)
        self.tally.unknown_licences += licence == layout.UNKNOWN
        self.tally.licences[licence] += 1
        self.tally.hosts[urlsplit(url).hostname or "files"] += 1
        reference = known.references.get(image.group)
        if split == "test":
            reference = decision.category
        sure = decision.confidence
        return {
            "image": image.sha256,
            "split": split,
            "category": decision.category,
            "confidence": None if sure is None else round(sure, 6),
            "votes": votes,
            "reference": reference,
            "source_url": url,
            "page_url": page_url or None,
            "licence": licence,
            "author": author or None,
            "phash": f"{image.phash % 2**64:016x}",
            "duplicate_group": image.represented_by or image.sha256,
            "image_id": image.id,
            "category_id": self.category_ids[decision.category],
        }

    def _today(self, category: str | None) -> str | None:
        """What a vote for a category says today; one for a category that was split goes on naming it."""
        return self.successors.get(category or "") or category

    def _asked(self, ballot: Ballot) -> str | None:
        """The category asked about: a yes holds for the one that took it in, a no for itself alone."""
        return self._today(ballot.proposed) if ballot.answer == Vote.Answer.YES else ballot.proposed

    def _vote_rows(self, image: ImageRow, ballots: list[Ballot]) -> list[dict[str, Any]]:
        """Rows of votes.parquet, in an order that tells nothing of the workers' real names."""
        rows = []
        for ballot in ballots:
            worker = self.names.get(ballot.worker)
            if worker is None:
                worker = self.names[ballot.worker] = layout.pseudonym(self.pseudonyms, ballot.worker)
                self.tally.workers.add(worker)
            rows.append(
                {
                    "image": image.sha256,
                    "worker": worker,
                    "label": self._today(ballot.category) or str(Vote.Answer(ballot.answer).label),
                    "seconds": None if ballot.seconds is None else round(ballot.seconds, 3),
                    "created": ballot.created,
                    "round": str(ballot.round_id),
                    "gold": ballot.gold,
                    "audit": ballot.audit,
                    "proposed": self._asked(ballot),
                }
            )
        return sorted(rows, key=lambda r: (len(r["round"]), r["round"], r["proposed"] or "", r["worker"]))
