"""Why a picture of one release is not in the next: what the folders alone tell of it."""

from __future__ import annotations

from typing import Any

from export import layout
from export.reader import ReleaseFolder, rows_in
from export.selection import LEFT_OUT, with_descendants

_FILTERED = (
    "other_category",
    "other_licence",
    "few_votes",
    "unsure",
    "surplus",
    "reference_none",
    "none_of_these",
)
WHY: dict[str, str] = {
    "taken_down": "taken down",
    "merged": "turned out to show the same picture as another one, which stays",
    **{reason: LEFT_OUT[reason] for reason in _FILTERED},
    "no_consensus": "no vote decides on it any more",
}
"""Every reason that can be known for a picture's leaving, with its meaning."""


class Removals:
    """Why pictures of one release are not in the next one."""

    def __init__(self, old: ReleaseFolder, new: ReleaseFolder) -> None:
        self.new = new
        self.before: dict[str, Any] = old.about.get("parameters") or {}
        self.parameters: dict[str, Any] = new.about.get("parameters") or {}
        children: dict[str | None, list[str]] = {}
        for node in new.tree:
            children.setdefault(node.get("parent"), []).append(node["id"])
        self.below = with_descendants(self.parameters.get("categories") or [], children)
        self.taken_down = set(self.parameters.get("taken_down") or [])
        self._stands_for: dict[str, str] | None = None

    def why(self, row: dict[str, Any]) -> dict[str, Any]:
        """`{why}` (a key of `WHY` or None) of a row of the old manifest; `with`: the copy that stays."""
        if row["image"] in self.taken_down:
            return {"why": "taken_down"}
        merged = self.stands_for.get(row["image"]) or self.stands_for.get(row["duplicate_group"])
        if merged:
            return {"why": "merged", "with": merged}
        return {"why": self._filtered(row)}

    def _filtered(self, row: dict[str, Any]) -> str | None:
        """The filter of the new release that this picture, as the old one knew it, does not pass."""
        asked = self.parameters
        sure = row["confidence"]
        if self.below and row["category"] is not None and row["category"] not in self.below:
            return "other_category"
        if asked.get("licences") and row["licence"] not in asked["licences"]:
            return "other_licence"
        if row["split"] == "test":
            return None
        if (row["votes"] or 0) < asked.get("min_votes", 0):
            return "few_votes"
        if sure is not None and sure < asked.get("min_confidence", 0):
            return "unsure"
        per_class = asked.get("per_class")
        tighter = per_class is not None and per_class < self.before.get("per_class", per_class + 1)
        return "surplus" if tighter and row["split"] == "train" else None

    @property
    def stands_for(self) -> dict[str, str]:
        """Representative that is not released itself -> the picture of its group that is."""
        if self._stands_for is None:
            rows = rows_in(self.new.path, layout.MANIFEST, ["image", "duplicate_group"])
            odd = (row for row in rows if row["image"] != row["duplicate_group"])
            self._stands_for = {row["duplicate_group"]: row["image"] for row in odd}
        return self._stands_for
