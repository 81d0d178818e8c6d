"""What changed between two releases, as one self-contained page for people, with the pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from PIL import Image

from annotation_site.figures import number_of
from export import layout
from export.diff import ReleaseDiff, accuracy, other_parameters
from export.diff.category_changes import sentences
from export.diff.removals import WHY

SIDE = 96
CSS = """
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5f6570;--line:#d9dce1;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#a5abb5;--line:#3a3d42;--paper:#17181a}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;
  max-width:980px;padding:32px 24px}
h1{font-size:26px;line-height:1.25;margin:0 0 8px}h2{font-size:18px;margin:40px 0 8px}
p{margin:8px 0;max-width:68ch}.soft{color:var(--soft)}.answer{font-size:18px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:6px 16px 6px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
ul.pictures{list-style:none;padding:0;display:grid;gap:16px;
  grid-template-columns:repeat(auto-fill,minmax(210px,1fr))}
ul.pictures li{font-size:14px;overflow-wrap:anywhere}
ul.pictures img,.none{display:block;width:96px;height:96px;object-fit:contain;background:#777;
  margin-bottom:4px}
code{font:12px/1.4 ui-monospace,monospace}del{color:var(--soft)}
"""


def diff_page(diff: ReleaseDiff) -> str:
    """The page as HTML; of each kind of change the pictures of `ReleaseDiff.heads` are shown."""
    told = diff.summary()
    old, new = told["old"], told["new"]
    title = f"What changed from {old['folder']} to {new['folder']}"
    names = {str(n["id"]): str(n.get("name") or n["id"]) for n in [*diff.old.tree, *diff.new.tree]}
    names |= {layout.NONE: "none of these", layout.UNSURE: "not sure"}

    def called(key: str | None) -> str:
        return escape(names.get(key or "", key or "not told"))

    parts = [
        _answer(told),
        _table(old, new),
        _list("Categories", [escape(line) for line in sentences(told["categories"])]),
        _section(diff, "relabelled", "Relabelled", lambda row: _relabelling(row, called)),
        _section(
            diff,
            "removed",
            "Removed",
            lambda row: f"{called(row['category'])}, {row['split']}<br>{escape(_why(row))}",
        ),
        _section(diff, "added", "Added", lambda row: f"{called(row['category'])}, {row['split']}"),
        _section(diff, "moved", "Moved between splits", lambda row: f"{row['old']} → {row['new']}"),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{CSS}</style></head>'
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def _answer(told: dict[str, Any]) -> str:
    counts = told["counts"]
    rewritten = ""
    if told["rewritten"]:
        number = number_of(told["rewritten"], "picture has", "pictures have")
        rewritten = f"<p>{number} other pixels or another encoding.</p>"
    if not any(counts.values()):
        return f'<p class="answer">No picture came, went or changed its label.</p>{rewritten}'
    words = {
        "added": "added",
        "removed": "removed",
        "relabelled": "relabelled",
        "moved": "moved between splits",
    }
    parts = [f"{counts[kind]:,} {word}" for kind, word in words.items() if counts[kind]]
    same = number_of(told["same"], "picture is", "pictures are")
    return f'<p class="answer">{", ".join(parts)}; {same} the same.</p>{rewritten}'


def _table(old: dict[str, Any], new: dict[str, Any]) -> str:
    rows = [("pictures", f"{old['images']:,}", f"{new['images']:,}")]
    rows += [(split, f"{old['splits'][split]:,}", f"{new['splits'][split]:,}") for split in layout.SPLITS]
    rows += [("votes", f"{old['votes']:,}", f"{new['votes']:,}")]
    rows += [("label accuracy", accuracy(old), accuracy(new))]
    rows += [("fingerprint", old["fingerprint"][:12], new["fingerprint"][:12])]
    rows += other_parameters(old, new)
    sides = "".join(f'<th scope="col">{escape(side["folder"])}</th>' for side in (old, new))
    head = f"<tr><td></td>{sides}</tr>"
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        '<div class="scroll" role="region" aria-label="Counts" tabindex="0">'
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>"


def _section(diff: ReleaseDiff, kind: str, title: str, words: Callable[[dict[str, Any]], str]) -> str:
    total = diff.counts[kind]
    if not total:
        return ""
    folders = [diff.new.path, diff.old.path] if kind != "removed" else [diff.old.path]
    items = []
    for row in diff.heads[kind]:
        image = row["image"]
        picture = next((p for p in (_thumbnail(f / diff.paths[kind, image]) for f in folders) if p), "")
        shown = f'<img src="{picture}" alt="">' if picture else '<div class="none"></div>'
        items.append(f"<li>{shown}{words(row)}<br><code>{escape(image[:12])}</code></li>")
    more = f'<p class="soft">The first {len(items):,} of {total:,}.</p>' if total > len(items) else ""
    return f'<h2>{escape(title)}: {total:,}</h2>{more}<ul class="pictures">{"".join(items)}</ul>'


def _relabelling(row: dict[str, Any], called: Callable[[str | None], str]) -> str:
    sides = []
    for side in ("old", "new"):
        sure = row[f"{side}_confidence"]
        votes = ", ".join(f"{n} {called(label)}" for label, n in row[f"{side}_votes"].items()) or "no votes"
        sides.append(f"{'' if sure is None else f'{sure:.0%}; '}{votes}")
    return (
        f"<del>{called(row['old'])}</del> → <strong>{called(row['new'])}</strong>, {row['split']}"
        f'<br><span class="soft">before: {sides[0]}<br>now: {sides[1]}</span>'
    )


def _why(row: dict[str, Any]) -> str:
    words = WHY.get(row["why"], "no reason on record")
    return f"{words}: {row['reason']}" if row.get("reason") else words


def _thumbnail(path: Any) -> str:
    """A small picture as a data URL; empty where there is none."""
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            small = opened.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
