"""What became of the categories from one release to the next: names, places in the tree, splits and merges.

An id keeps its meaning for ever, so a new name or a new gloss under an old id is told, and so is a class
index that shifted because classes came or went before it: models trained on the one do not fit the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

PART = 0.05
"""A class is split into, or merged from, those that hold at least so much of the pictures in both."""
WHOLE = 0.9
"""From so large a share on, both ways, one class took over from another: its id was changed."""

Node = Mapping[str, Any]


def category_changes(
    old: Sequence[Node], new: Sequence[Node], flow: Mapping[tuple[str, str], int]
) -> dict[str, Any]:
    """`{added, removed, renamed, redefined, moved, filled, emptied, index, split, merged, replaced}`.

    `added`, `removed`: ids of the tree. `renamed`, `redefined` (gloss), `moved` (parent), `index`:
    `{id, old, new}`. `filled`, `emptied`: ids that have pictures now, or no more. `split`: `{old, new: {id:
    pictures}}`, a class whose pictures now stand in several, one of them new; `merged`: `{new, old: {id:
    pictures}}`, a class that took in several, one of which is gone; `replaced`: `{old, new, pictures}`.

    Args:
        old, new: categories.json.
        flow: (old category, new category) -> pictures that are in both releases.
    """
    before, after = {str(n["id"]): n for n in old}, {str(n["id"]): n for n in new}
    both = sorted(before.keys() & after.keys())
    had = {key for key, node in before.items() if node.get("index") is not None}
    has = {key for key, node in after.items() if node.get("index") is not None}
    replaced = _replaced(flow, had - has, has - had)
    taken = {row["old"] for row in replaced} | {row["new"] for row in replaced}
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "renamed": _differing(both, before, after, "name"),
        "redefined": _differing(both, before, after, "gloss"),
        "moved": _differing(both, before, after, "parent"),
        "filled": sorted((has - had) & before.keys()),
        "emptied": sorted((had - has) & after.keys()),
        "index": [row for row in _differing(both, before, after, "index") if row["id"] in had & has],
        "split": _split(flow, (has - had) - taken),
        "merged": _merged(flow, (had - has) - taken),
        "replaced": replaced,
    }


def _differing(
    keys: Sequence[str], before: Mapping[str, Node], after: Mapping[str, Node], what: str
) -> list[dict[str, Any]]:
    rows = ({"id": key, "old": before[key].get(what), "new": after[key].get(what)} for key in keys)
    return [row for row in rows if (row["old"] or None) != (row["new"] or None) or _zero(row)]


def _zero(row: Mapping[str, Any]) -> bool:
    """An index of 0 is not the same as none."""
    return (row["old"] is None) != (row["new"] is None) and 0 in (row["old"], row["new"])


def _replaced(flow: Mapping[tuple[str, str], int], gone: set[str], come: set[str]) -> list[dict[str, Any]]:
    left, entered = _totals(flow)
    return [
        {"old": old, "new": new, "pictures": n}
        for (old, new), n in sorted(flow.items())
        if old in gone and new in come and n >= WHOLE * left[old] and n >= WHOLE * entered[new]
    ]


def _split(flow: Mapping[tuple[str, str], int], come: set[str]) -> list[dict[str, Any]]:
    left, _ = _totals(flow)
    into: dict[str, dict[str, int]] = defaultdict(dict)
    for (old, new), n in sorted(flow.items()):
        if n >= PART * left[old]:
            into[old][new] = n
    return [
        {"old": old, "new": parts} for old, parts in into.items() if len(parts) > 1 and come & parts.keys()
    ]


def _merged(flow: Mapping[tuple[str, str], int], gone: set[str]) -> list[dict[str, Any]]:
    _, entered = _totals(flow)
    out_of: dict[str, dict[str, int]] = defaultdict(dict)
    for (old, new), n in sorted(flow.items(), key=lambda item: (item[0][1], item[0][0])):
        if n >= PART * entered[new]:
            out_of[new][old] = n
    return [
        {"new": new, "old": parts} for new, parts in out_of.items() if len(parts) > 1 and gone & parts.keys()
    ]


def _totals(flow: Mapping[tuple[str, str], int]) -> tuple[Counter[str], Counter[str]]:
    left: Counter[str] = Counter()
    entered: Counter[str] = Counter()
    for (old, new), n in flow.items():
        left[old] += n
        entered[new] += n
    return left, entered


def sentences(found: Mapping[str, Any]) -> list[str]:
    """The changes in words, one line each; none where nothing changed."""
    lines = [f"category {key} is new" for key in found["added"]]
    lines += [f"category {key} is gone" for key in found["removed"]]
    lines += [
        f"category {row['old']} is now {row['new']} ({row['pictures']} pictures)" for row in found["replaced"]
    ]
    lines += [f"category {row['old']} was split into {_parts(row['new'])}" for row in found["split"]]
    lines += [f"category {row['new']} was merged from {_parts(row['old'])}" for row in found["merged"]]
    lines += [
        f"category {row['id']} is called {row['new']!r}, not {row['old']!r} any more"
        for row in found["renamed"]
    ]
    lines += [
        f"category {row['id']} has another definition: {row['new'] or 'none'}" for row in found["redefined"]
    ]
    lines += [
        f"category {row['id']} stands under {row['new'] or 'nothing'}, not {row['old'] or 'nothing'}"
        for row in found["moved"]
    ]
    lines += [f"category {key} has pictures now" for key in found["filled"]]
    lines += [f"category {key} has no pictures any more" for key in found["emptied"]]
    if found["index"]:
        first = found["index"][0]
        lines.append(
            f"the class index of {len(found['index'])} categories shifted (first {first['id']}: "
            f"{first['old']} to {first['new']}): models trained on the old release need a mapping by id"
        )
    return lines


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{key} ({n} pictures)" for key, n in parts.items())
