"""A dataset card's Markdown as safe HTML.

Headings, paragraphs, lists, tables, quotations, code, emphasis, links and figures.
Only what our own cards use (`export.card`) and what people write in a description. Every character of the
text is escaped; there is no way to pass HTML through, and links lead to http(s) addresses only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

Figure = Callable[[str], str]
"""The address under which a figure of the release can be seen; empty where it cannot."""

_CODE = re.compile(r"\\([!-/:-@\[-`{-~])|`([^`]+)`")
"""A character that is meant as it stands, or code: whichever comes first."""
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^()\s]+)\)")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^()\s]+)\)")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS = re.compile(r"(?<![\w*])[*_]([^*_\s](?:[^*_]*[^*_\s])?)[*_](?![\w*])")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+(.*)")
_RULE = re.compile(r"\|?\s*:?-{3,}:?\s*(\|\s*:?-{3,}:?\s*)*\|?")
_SLOT = "\ue000{}\ue001"


def render(text: str, figure: Figure = lambda path: "") -> str:
    """HTML of a card. Its front matter and its first heading (the page has its own) are left out."""
    lines = _body(text)
    parts: list[str] = []
    waiting = iter(_blocks(lines))
    for kind, block in waiting:
        parts.append(_WRITERS[kind](block, figure))
    return "\n".join(part for part in parts if part)


def _body(text: str) -> list[str]:
    lines = text.replace("\ue000", "").replace("\ue001", "").splitlines()
    if lines and lines[0].strip() == "---" and "---" in (line.strip() for line in lines[1:]):
        end = next(n for n, line in enumerate(lines[1:], 1) if line.strip() == "---")
        lines = lines[end + 1 :]
    first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
    return lines[first + 1 :] if first < len(lines) and lines[first].startswith("# ") else lines


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(kind, lines): code, heading, table, quotation, list or text."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("```"):
            end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("```")), len(lines))
            yield "code", lines[at + 1 : end]
            at = end + 1
            continue
        kind = _kind(line, lines[at + 1] if at + 1 < len(lines) else "")
        end = at + 1
        while kind != "heading" and end < len(lines) and _goes_on(kind, lines[end]):
            end += 1
        if kind != "empty":
            yield kind, lines[at:end]
        at = end


def _kind(line: str, following: str) -> str:
    if not line.strip():
        return "empty"
    if _HEADING.fullmatch(line):
        return "heading"
    if "|" in line and _RULE.fullmatch(following.strip()):
        return "table"
    if line.startswith(">"):
        return "quotation"
    return "list" if _ITEM.fullmatch(line) else "text"


def _goes_on(kind: str, line: str) -> bool:
    if kind == "empty":
        return not line.strip()
    if not line.strip() or line.startswith("```") or _HEADING.fullmatch(line):
        return False
    if kind == "quotation" or line.startswith(">"):
        return kind == "quotation" and line.startswith(">")
    return "|" in line if kind == "table" else kind == "list" or not _ITEM.fullmatch(line)


def _code(lines: list[str], figure: Figure) -> str:
    return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"


def _heading(lines: list[str], figure: Figure) -> str:
    match = _HEADING.fullmatch(lines[0])
    assert match is not None
    level = min(6, max(2, len(match[1])))
    return f"<h{level}>{_inline(match[2], figure)}</h{level}>"


def _text(lines: list[str], figure: Figure) -> str:
    return f"<p>{_inline(' '.join(line.strip() for line in lines), figure)}</p>"


def _quotation(lines: list[str], figure: Figure) -> str:
    """What somebody wrote, line by line as it was written."""
    said = "<br>".join(_inline(line.removeprefix(">").strip(), figure) for line in lines)
    return f"<blockquote><p>{said}</p></blockquote>"


def _list(lines: list[str], figure: Figure) -> str:
    items: list[str] = []
    for line in lines:
        match = _ITEM.fullmatch(line)
        if match:
            items.append(match[1])
        else:
            items[-1] += f" {line.strip()}"
    tag = "ol" if lines[0].lstrip()[0].isdigit() else "ul"
    return f"<{tag}>{''.join(f'<li>{_inline(item, figure)}</li>' for item in items)}</{tag}>"


def _table(lines: list[str], figure: Figure) -> str:
    head, rule, *rows = (_cells(line) for line in lines)
    right = [cell.endswith(":") for cell in rule]

    def row(cells: list[str], tag: str) -> str:
        written = []
        for at, cell in enumerate(cells[: len(head)]):
            kind = ' class="num"' if at < len(right) and right[at] else ""
            scope = ' scope="col"' if tag == "th" else ""
            written.append(f"<{tag}{scope}{kind}>{_inline(cell, figure)}</{tag}>")
        return f"<tr>{''.join(written)}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return (
        '<div class="scroll"><table class="data">'
        f"<thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table></div>"
    )


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _inline(text: str, figure: Figure) -> str:
    """What is meant as it stands is set aside first, so that nothing of it is read as markup."""
    kept: list[str] = []

    def keep(html: str) -> str:
        kept.append(html)
        return _SLOT.format(len(kept) - 1)

    def picture(match: re.Match[str]) -> str:
        address = figure(match[2])
        if not address:
            return match[1]
        return keep(f'<img src="{escape(address)}" alt="{escape(match[1])}" loading="lazy">')

    text = _CODE.sub(lambda m: keep(escape(m[1]) if m[1] else f"<code>{escape(m[2])}</code>"), text)
    text = _IMAGE.sub(picture, text)
    text = _LINK.sub(
        lambda m: keep(f'<a href="{escape(m[2])}" rel="nofollow noopener">') + m[1] + keep("</a>"), text
    )
    html = escape(text, quote=False)
    html = _STRONG.sub(r"<strong>\1</strong>", html)
    html = _EMPHASIS.sub(r"<em>\1</em>", html)
    return re.sub(r"\ue000(\d+)\ue001", lambda m: kept[int(m[1])], html)


_WRITERS: dict[str, Callable[[list[str], Figure], str]] = {
    "code": _code,
    "heading": _heading,
    "text": _text,
    "list": _list,
    "table": _table,
    "quotation": _quotation,
}
