"""Read from the database what a release will hold, and write it down before any picture is copied.

The images stream by in order of their SHA-256, a few hundred at a time with everything that is known of their
duplicate groups, so that memory does not grow with the dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from annotation_site.models import Vote
from export import layout
from export.build import SELECTION_SCHEMA
from export.models import Release
from export.selection import (
    Decision,
    Filters,
    Opinion,
    Placement,
    crowd_decision,
    decide,
    opinion_of,
    released_members,
    soft_labels,
)
from export.services.evidence import Ballot, Evidence, ImageRow, evidence_of, image_chunks, provenance_of
from export.tables import TableWriter
from export.workplace import Workplace
from ingest.models import Dataset
from ingest.splits import Shares, split_of
from quality.services.known import settled_references


@dataclass(frozen=True)
class Plan:
    """What to release: `earlier` are the releases before this one, oldest first."""

    dataset: Dataset
    version: str
    shares: Shares
    filters: Filters
    earlier: tuple[Release, ...]

    @property
    def test_open(self) -> bool:
        """Test grows in a first release and in a new major version only."""
        major = layout.parse_version(self.version)[0]
        return all(layout.parse_version(r.version)[0] < major for r in self.earlier)


@dataclass
class Tally:
    """What was chosen and what was not, counted on the way."""

    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    hosts: Counter[str] = field(default_factory=Counter)
    votes: int = 0
    workers: set[str] = field(default_factory=set)
    unknown_licences: int = 0
    kept_in_test: int = 0
    kept_unsettled: int = 0
    # Label accuracy: consensus that would be released, where experts have answered. Test is a random sample.
    test_eligible: int = 0
    test_known: int = 0
    test_right: int = 0
    other_known: int = 0
    other_right: int = 0


def choose(plan: Plan, place: Workplace, tick: Callable[[int], object] = lambda n: None) -> Tally:
    """Write the selection, votes.parquet and posteriors.parquet, and count.

    Args:
        tick: told how many images were looked at.
    """
    tally = Tally()
    chooser = _Chooser(plan, tally)
    with (
        TableWriter(place.fresh_selection, SELECTION_SCHEMA) as selection,
        TableWriter(place.spare / layout.VOTES, layout.VOTES_SCHEMA) as votes,
        TableWriter(place.spare / layout.POSTERIORS, layout.POSTERIORS_SCHEMA) as posteriors,
    ):
        for chunk in image_chunks(plan.dataset):
            for row, ballots, opinion in chooser.rows(chunk):
                selection.add([row])
                votes.add(ballots)
                soft = soft_labels(opinion).items()
                posteriors.add({"image": row["image"], "category": c, "probability": p} for c, p in soft)
            tick(len(chunk))
    for name in (layout.VOTES, layout.POSTERIORS):
        (place.spare / name).replace(place.release / name)
    return tally


class _Chooser:
    """The rules of `export.selection` applied to chunks of images."""

    def __init__(self, plan: Plan, tally: Tally) -> None:
        self.plan = plan
        self.tally = tally
        self.earlier = [release.pk for release in plan.earlier]
        self.settled = settled_references(plan.dataset)
        self.category_ids = dict(plan.dataset.categories.values_list("key", "id"))
        key = plan.dataset.split_key
        self.pseudonyms = layout.pseudonym_key(key, plan.dataset.name, plan.version)
        self.licence = plan.dataset.licence

    def rows(self, chunk: list[ImageRow]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]], Opinion]]:
        """(selection row, votes rows, opinion) of every image of the chunk that will be released."""
        known = evidence_of({row.group for row in chunk if row.group is not None}, self.earlier, self.settled)
        chosen: list[tuple[ImageRow, str, Decision, Opinion, list[Ballot]]] = []
        for image in chunk:
            found = self._decide(image, known)
            if found is not None:
                chosen.append(found)
        provenance = provenance_of([image.id for image, *_ in chosen])
        for image, split, decision, opinion, ballots in chosen:
            if image.id not in provenance:
                self.tally.left_out["no_source"] += 1
                continue
            source = provenance[image.id]
            row = self._row(image, split, decision, len(ballots), source, known)
            self.tally.labels[split, row["category"]] += 1
            self.tally.votes += len(ballots)
            self.tally.kept_in_test += self._was_in_test(image, known)
            yield row, self._vote_rows(image, ballots), opinion

    def _decide(
        self, image: ImageRow, known: Evidence
    ) -> tuple[ImageRow, str, Decision, Opinion, list[Ballot]] | None:
        """Whether and how an image is released; None (and a reason counted) where it is not."""
        if image.group is None or image.draw is None:
            self.tally.left_out["not_grouped"] += 1
            return None
        opinion = opinion_of(known.findings[image.group])
        ballots = known.ballots[image.group]
        reference = known.references.get(image.group)
        placement = self._placement(image, known)
        if image.id == image.representative:
            self._measure(image.group, placement.split, opinion, len(ballots), reference, known)
        if image.id not in placement.members:
            alone = not placement.members and image.id == image.representative
            self.tally.left_out[placement.reason if alone else "duplicate"] += 1
            return None
        kept = known.kept_categories.get(image.id)
        decision = decide(
            placement.split, opinion, len(ballots), reference, self.plan.filters, kept_category=kept
        )
        if decision.category is None:
            self.tally.left_out[decision.reason] += 1
            return None
        if placement.split == "test" and reference != decision.category:
            self.tally.kept_unsettled += 1
        return image, placement.split, decision, opinion, ballots

    def _placement(self, image: ImageRow, known: Evidence) -> Placement:
        assert image.group is not None
        assert image.draw is not None
        return released_members(
            split_of(image.draw, self.plan.shares),
            known.members[image.group],
            image.representative,
            test_open=self.plan.test_open,
        )

    def _measure(
        self, group: int, split: str, opinion: Opinion, votes: int, reference: str | None, known: Evidence
    ) -> None:
        """Count towards label accuracy. Gold is left out: the workers were screened by it."""
        decided = crowd_decision(opinion, votes, self.plan.filters)
        if decided.category is None or group in known.gold:
            return
        right = int(reference == decided.category)
        if split == "test":
            self.tally.test_eligible += 1
            self.tally.test_known += reference is not None
            self.tally.test_right += right
        elif reference is not None:
            self.tally.other_known += 1
            self.tally.other_right += right

    def _was_in_test(self, image: ImageRow, known: Evidence) -> int:
        assert image.group is not None
        return sum(1 for m in known.members[image.group] if m.id == image.id and "test" in m.earlier)

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
        url, page_url, licence, author = source
        licence = licence or self.licence
        self.tally.unknown_licences += not licence
        self.tally.licences[licence or "unknown"] += 1
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
            "licence": licence or "unknown",
            "author": author or None,
            "phash": f"{image.phash % 2**64:016x}",
            "duplicate_group": image.represented_by or image.sha256,
            "image_id": image.id,
            "category_id": self.category_ids[decision.category],
        }

    def _vote_rows(self, image: ImageRow, ballots: list[Ballot]) -> list[dict[str, Any]]:
        """Rows of votes.parquet, in an order that tells nothing of the workers' real names."""
        rows = []
        for ballot in ballots:
            worker = layout.pseudonym(self.pseudonyms, ballot.worker)
            self.tally.workers.add(worker)
            rows.append(
                {
                    "image": image.sha256,
                    "worker": worker,
                    "label": ballot.category or str(Vote.Answer(ballot.answer).label),
                    "seconds": None if ballot.seconds is None else round(ballot.seconds, 3),
                    "created": ballot.created,
                    "round": str(ballot.round_id),
                    "gold": ballot.gold,
                    "audit": ballot.audit,
                    "proposed": ballot.proposed,
                }
            )
        return sorted(rows, key=lambda r: (len(r["round"]), r["round"], r["proposed"] or "", r["worker"]))
