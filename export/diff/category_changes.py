"""What became of the categories from one release to the next: names, places in the tree, splits and merges.

Curators record renames, merges and splits (`manage.py change_category`), and categories.json carries them
from release to release: these come first. What only shows in pictures and names is told as seen, and not
recorded. An id keeps its meaning for ever, so a new name or a new gloss under an old id is told, and so is a
class index that shifted because classes came or went: models trained on the one do not fit the other.
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
    """`{recorded, unrecorded, added, removed, renamed, redefined, moved, filled, emptied, index, split, …}`.

    `recorded`: the changes in the newer `history` that the older has not, in order, as categories.json has
    them and with `pictures`: `{old: {new: pictures}}`. The rest is what the releases show, recorded or not;
    `unrecorded`: `{kind, id}` of what no recorded change explains: renamed, split, merged, replaced.
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
    recorded = _recorded(old, new, flow)
    seen = {
        "renamed": _differing(both, before, after, "name"),
        "split": _split(flow, (has - had) - taken),
        "merged": _merged(flow, (had - has) - taken),
        "replaced": replaced,
    }
    return {
        "recorded": recorded,
        "unrecorded": _unrecorded(recorded, seen),
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "redefined": _differing(both, before, after, "gloss"),
        "moved": _differing(both, before, after, "parent"),
        "filled": sorted((has - had) & before.keys()),
        "emptied": sorted((had - has) & after.keys()),
        "index": [row for row in _differing(both, before, after, "index") if row["id"] in had & has],
        **seen,
    }


def _recorded(
    old: Sequence[Node], new: Sequence[Node], flow: Mapping[tuple[str, str], int]
) -> list[dict[str, Any]]:
    known = _history(old)
    fresh = {number: change for number, change in _history(new).items() if number not in known}
    return [
        {**change, "pictures": _moved(change["before"], change["after"], flow)}
        for _, change in sorted(fresh.items())
    ]


def _history(tree: Sequence[Node]) -> dict[int, Mapping[str, Any]]:
    """Every recorded change by its number; each stands at every category that it is about."""
    return {change["number"]: change for node in tree for change in node.get("history") or ()}


def _moved(
    before: Sequence[str], after: Sequence[str], flow: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, int]]:
    return {old: {new: flow.get((old, new), 0) for new in after} for old in before}


def _unrecorded(
    recorded: Sequence[Mapping[str, Any]], seen: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, str]]:
    """Kind and id of what was seen and is no consequence of what was recorded."""
    known = {
        "renamed": {key for c in recorded if c["kind"] == "renamed" for key in c["after"]},
        "split": {key for c in recorded if c["kind"] == "split" for key in c["before"]},
        "merged": {key for c in recorded if c["kind"] == "merged" for key in c["after"]},
        "replaced": {key for c in recorded if c["kind"] != "renamed" for key in c["before"]},
    }
    name = {"renamed": "id", "split": "old", "merged": "new", "replaced": "old"}
    found = [(kind, row[name[kind]]) for kind, rows in seen.items() for row in rows]
    return [{"kind": kind, "id": key} for kind, key in found if key not in known[kind]]


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
    """The changes in words, one line each, recorded ones first; none where nothing changed."""
    lines = [_recorded_sentence(change) for change in found["recorded"]]
    about = {key for c in found["recorded"] for key in (*c["before"], *c["after"]) if c["kind"] != "renamed"}
    lines += [f"category {key} is new" for key in found["added"] if key not in about]
    lines += [f"category {key} is gone" for key in found["removed"] if key not in about]
    lines += _seen_only(found)
    lines += [
        f"category {row['id']} has another definition: {row['new'] or 'none'}" for row in found["redefined"]
    ]
    lines += [
        f"category {row['id']} stands under {row['new'] or 'nothing'}, not {row['old'] or 'nothing'}"
        for row in found["moved"]
        if row["id"] not in about
    ]
    lines += [f"category {key} has pictures now" for key in found["filled"] if key not in about]
    lines += [f"category {key} has no pictures any more" for key in found["emptied"] if key not in about]
    if found["index"]:
        first = found["index"][0]
        lines.append(
            f"the class index of {len(found['index'])} categories shifted (first {first['id']}: "
            f"{first['old']} to {first['new']}): models trained on the old release need a mapping by id"
        )
    return lines


def _recorded_sentence(change: Mapping[str, Any]) -> str:
    why = f"({change['date']}: {change['reason']})"
    before, after, pictures = change["before"], change["after"], change["pictures"]
    if change["kind"] == "renamed":
        return f"category {after[0]} was renamed from {change['old_name']!r} to {change['new_name']!r} {why}"
    if change["kind"] == "merged":
        taken = _parts({old: pictures[old][after[0]] for old in before})
        return f"categories {taken} were merged into {after[0]} {why}"
    return f"category {before[0]} was split into {_parts(pictures[before[0]])} {why}"


def _seen_only(found: Mapping[str, Any]) -> list[str]:
    """What shows in names and pictures, and nobody recorded."""
    left = {(row["kind"], row["id"]) for row in found["unrecorded"]}
    lines = [
        f"category {row['old']} is now {row['new']} ({row['pictures']} pictures)"
        for row in found["replaced"]
        if ("replaced", row["old"]) in left
    ]
    lines += [
        f"category {row['old']} was split into {_parts(row['new'])}"
        for row in found["split"]
        if ("split", row["old"]) in left
    ]
    lines += [
        f"category {row['new']} was merged from {_parts(row['old'])}"
        for row in found["merged"]
        if ("merged", row["new"]) in left
    ]
    lines += [
        f"category {row['id']} is called {row['new']!r}, not {row['old']!r} any more"
        for row in found["renamed"]
        if ("renamed", row["id"]) in left
    ]
    return [f"{line} (seen, not recorded)" for line in lines]


def _parts(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{key} ({n} pictures)" for key, n in parts.items())
