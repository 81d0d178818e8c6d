"""Writing down what became of candidates, and adding it up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F
from django.utils import timezone

from ingest.crawl import Outcome
from ingest.facts import Facts
from ingest.models import Candidate, Dataset, Image, Source
from ingest.services.takedown import DETAIL, TAKEN_DOWN, discard_bytes, note_near, refused_among

State = Candidate.State
_STATES = {
    "rejected": State.REJECTED,
    "forbidden": State.FORBIDDEN,
    "gone": State.GONE,
    "failed": State.FAILED,
}


def image_of(dataset: Dataset, facts: Facts) -> Image:
    """A row for a picture, not saved yet."""
    return Image(
        dataset=dataset,
        sha256=facts.sha256,
        phash=facts.phash - 2**64 if facts.phash >= 2**63 else facts.phash,
        hash_version=facts.hash_version,
        format=facts.format,
        width=facts.width,
        height=facts.height,
        bytes=facts.bytes,
        animated=facts.animated,
    )


def record_outcomes(dataset: Dataset, outcomes: Sequence[tuple[Sequence[int], Outcome]]) -> int:
    """Settle candidates: images, candidates and the dataset's counter in one short transaction.

    The bytes of every picture taken are in the store already. A candidate that has been settled before is
    left as it is.

    Args:
        outcomes: `(candidate ids, what became of them)`; several ids found the same URL.

    Returns:
        How many images are new.
    """
    for last_try in (False, True):
        try:
            return _record(dataset, outcomes)
        except IntegrityError:  # another run stored the same picture between our look and our insert
            if last_try:
                raise
    raise AssertionError


def _record(dataset: Dataset, outcomes: Sequence[tuple[Sequence[int], Outcome]]) -> int:
    ids = [pk for found, _ in outcomes for pk in found]
    with transaction.atomic():
        # The crawler knows what was taken down when it began; this knows what was taken down since.
        refused = refused_among(dataset, {o.facts.sha256 for _, o in outcomes if o.facts is not None})
        if refused:
            outcomes = [(found, _without(refused, outcome)) for found, outcome in outcomes]
        open_rows = {
            row.pk: row for row in Candidate.objects.select_for_update().filter(pk__in=ids, state=State.FOUND)
        }
        images, new = _images(dataset, [o.facts for _, o in outcomes if o.facts is not None])
        unclaimed = {image.sha256 for image in new}
        now = timezone.now()
        for found, outcome in outcomes:
            for place, pk in enumerate(found):
                if pk in open_rows:
                    _settle(open_rows[pk], outcome, images, unclaimed, first=place == 0)
                    open_rows[pk].fetched = now
        Candidate.objects.bulk_update(
            open_rows.values(), ["state", "reason", "detail", "image", "attempts", "fetched"], batch_size=100
        )
        if new:
            Dataset.objects.filter(pk=dataset.pk).update(images_stored=F("images_stored") + len(new))
            note_near(dataset, new)
    if refused:
        discard_bytes(refused)
    return len(new)


def _without(refused: set[str], outcome: Outcome) -> Outcome:
    """What becomes of a picture that was taken down while it was on its way."""
    if outcome.facts is None or outcome.facts.sha256 not in refused:
        return outcome
    return replace(outcome, verdict="forbidden", reason=TAKEN_DOWN, detail=DETAIL, facts=None)


def _images(dataset: Dataset, facts: Iterable[Facts]) -> tuple[dict[str, Image], list[Image]]:
    """The image of every SHA-256, and those of them that are new."""
    wanted = {fact.sha256: fact for fact in facts}
    images = {image.sha256: image for image in dataset.images.filter(sha256__in=list(wanted))}
    new = Image.objects.bulk_create(
        image_of(dataset, fact) for sha256, fact in wanted.items() if sha256 not in images
    )
    return images | {image.sha256: image for image in new}, new


def _settle(
    row: Candidate, outcome: Outcome, images: dict[str, Image], unclaimed: set[str], *, first: bool
) -> None:
    row.attempts, row.detail = outcome.attempts, outcome.detail[:200]
    if outcome.facts is None:
        row.state, row.reason = _STATES[outcome.verdict], outcome.reason
        return
    sha256 = outcome.facts.sha256
    row.image = images[sha256]
    if sha256 in unclaimed:
        unclaimed.remove(sha256)
        row.state, row.reason = State.STORED, ""
    else:
        row.state, row.reason = State.SAME_BYTES, "same_bytes" if first else "same_url"


def settle_known_urls(dataset: Dataset, candidates: Sequence[Candidate]) -> set[int]:
    """Settle those whose URL another source of this dataset has brought home: nothing is fetched twice.

    Returns:
        The ids that were settled.
    """
    known = dict(
        Candidate.objects.filter(
            source__dataset=dataset,
            source__kind__in=("list", "page"),
            url_sha256__in=[c.url_sha256 for c in candidates],
            image__taken_down=None,
            image__isnull=False,
        ).values_list("url_sha256", "image")
    )
    done = [c for c in candidates if c.url_sha256 in known]
    for candidate in done:
        candidate.state, candidate.reason = State.SAME_BYTES, "same_url"
        candidate.image_id = known[candidate.url_sha256]
        candidate.fetched = timezone.now()
    Candidate.objects.bulk_update(done, ["state", "reason", "image", "fetched"], batch_size=100)
    return {c.pk for c in done}


@dataclass
class Tally:
    """What became of some candidates.

    Attributes:
        rejected, forbidden, failed: how many, by reason.
    """

    found: int = 0
    pending: int = 0
    stored: int = 0
    same_bytes: int = 0
    gone: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    forbidden: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def add(self, state: int, reason: str, count: int) -> None:
        """Count candidates of one state and reason."""
        self.found += count
        if state == State.FOUND:
            self.pending += count
        elif state == State.STORED:
            self.stored += count
        elif state == State.SAME_BYTES:
            self.same_bytes += count
        elif state == State.GONE:
            self.gone += count
        else:
            by_reason: dict[str, int] = getattr(self, State(state).label)
            by_reason[reason] = by_reason.get(reason, 0) + count

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "found": self.found,
            "pending": self.pending,
            "stored": self.stored,
            "same_bytes": self.same_bytes,
            "rejected": dict(sorted(self.rejected.items())),
            "forbidden": dict(sorted(self.forbidden.items())),
            "gone": self.gone,
            "failed": dict(sorted(self.failed.items())),
        }


def tally(sources: Iterable[Source]) -> tuple[Tally, dict[int, Tally]]:
    """What became of the candidates of these sources: all together, and by source id."""
    by_source = {source.pk: Tally() for source in sources}
    total = Tally()
    rows = (
        Candidate.objects.filter(source__in=list(by_source))
        .values_list("source", "state", "reason")
        .annotate(count=Count("id"))
        .order_by("source", "state", "reason")
    )
    for source, state, reason, count in rows:
        by_source[source].add(state, reason, count)
        total.add(state, reason, count)
    return total, by_source
