"""Why pictures left from one release to the next, as far as the database knows it today."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from export.layout import NONE
from export.models import Release, ReleaseImage, Withdrawal
from export.selection import opinion_of
from export.services.evidence import CHUNK, Question, evidence_of
from ingest.models import Image


class Departures:
    """Call it with images that the release does not hold; see `export.diff.Reasons`."""

    def __init__(self, release: Release) -> None:
        self.release = release

    @cached_property
    def _question(self) -> Question:
        return Question(self.release.dataset, [], set())

    def __call__(self, images: list[str]) -> dict[str, dict[str, Any]]:
        """Image -> `{why, …}` for those of which something is known."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(images), CHUNK):
            found.update(self._chunk(images[start : start + CHUNK]))
        return found

    def _chunk(self, shas: list[str]) -> dict[str, dict[str, Any]]:
        held = Image.objects.filter(dataset=self.release.dataset, sha256__in=shas)
        rows = list(held.values_list("id", "sha256", "group_id"))
        groups = {group for _, _, group in rows if group is not None}
        gone = {
            group: {"why": "taken_down", "reason": reason}
            for group, reason in Withdrawal.objects.filter(image__group__in=groups)
            .order_by("-id")
            .values_list("image__group_id", "reason")
        }
        staying = dict(
            ReleaseImage.objects.filter(release=self.release, image__group__in=groups)
            .order_by("-image__sha256")
            .values_list("image__group_id", "image__sha256")
        )
        known = evidence_of(groups, self._question)
        found: dict[str, dict[str, Any]] = {}
        for _, sha256, group in rows:
            if group in gone:
                found[sha256] = gone[group]
            elif group in staying:
                found[sha256] = {"why": "merged", "with": staying[group]}
            elif group is not None and known.references.get(group) == NONE:
                found[sha256] = {"why": "reference_none"}
            elif group is not None:
                label = opinion_of(known.findings[group]).label
                if label in (None, NONE):
                    found[sha256] = {"why": "none_of_these" if label == NONE else "no_consensus"}
        return found
