"""A web page: the pictures it shows or links to, what it says about them, and the page after it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urljoin

from lxml import etree, html

from ingest.addresses import BadUrl, clean_url
from ingest.manners import forbids_training
from ingest.sources.found import Found

MOST_PICTURES = 20_000
_PICTURE_NAME = re.compile(r"\.(jpe?g|jfif|png|webp|gif|bmp|tiff?|avif|heic)$", re.IGNORECASE)
_AUTHOR = (
    './/*[@itemprop="author" or @itemprop="creator" or @data-author or @rel="author" or '
    'contains(concat(" ", normalize-space(@class), " "), " author ")]'
)
_LICENCE = './/*[@itemprop="license" or contains(concat(" ", normalize-space(@rel), " "), " license ")]'


@dataclass(frozen=True)
class Page:
    """What one page holds.

    Attributes:
        found: its pictures, each URL once, in the page's order.
        next_url: the page that follows it by rel=next, or an empty text.
        noai: it asks not to be used for machine learning; nothing is found on it then.
    """

    found: list[Found] = field(default_factory=list)
    next_url: str = ""
    noai: bool = False


def read_page(body: bytes, url: str, charset: str = "") -> Page:
    """Read an HTML page.

    Args:
        body: as it came.
        url: its own address, after redirects.
        charset: what the server said, or an empty text.
    """
    tree = _parse(body, charset)
    if tree is None:
        return Page()
    robots = " ,".join(tree.xpath('//meta[translate(@name,"ROBTS","robts")="robots"]/@content'))
    if forbids_training(robots):
        return Page(noai=True)
    base = urljoin(url, next(iter(tree.xpath("//base/@href")), ""))
    reader = _Reader(tree, base, url)
    return Page(list(reader.pictures().values()), reader.next_url())


def _parse(body: bytes, charset: str) -> html.HtmlElement | None:
    try:
        parser = html.HTMLParser(encoding=charset or None, huge_tree=False)
    except LookupError:  # a charset that nobody knows
        parser = html.HTMLParser(huge_tree=False)
    try:
        return html.document_fromstring(body, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return None


class _Reader:
    """One page under the reader's eye."""

    def __init__(self, tree: html.HtmlElement, base: str, url: str) -> None:
        self.tree, self.base, self.url = tree, base, url
        self.structured = dict(self._structured())
        # How many pictures each element holds: what stands beside a single picture is about that picture.
        self.held: dict[Any, int] = {}
        for image in tree.iter("img"):
            for above in image.iterancestors():
                self.held[above] = self.held.get(above, 0) + 1
        self.page_licence = self._page_wide(_LICENCE)
        named = tree.xpath('//meta[@name="author"]/@content')
        self.page_author = named[0] if named else self._page_wide(_AUTHOR)

    def pictures(self) -> dict[str, Found]:
        """Every picture by its URL."""
        found: dict[str, Found] = {}
        for element, link, caption in self._links():
            url = self._absolute(link)
            if not url or url in found:
                continue
            found[url] = self._described(url, element, caption)
            if len(found) >= MOST_PICTURES:
                break
        return found

    def next_url(self) -> str:
        """The page after this one."""
        for link in self.tree.xpath("//link[@href]|//a[@href]"):
            if "next" in (link.get("rel") or "").lower().split():
                url = self._absolute(link.get("href"))
                if url and url != self.url:
                    return url
        return ""

    def _links(self) -> Iterator[tuple[Any, str, str]]:
        """Element, link and caption of every picture; where a thumbnail links to its picture, of that."""
        for element in self.tree.iter("img", "a", "meta"):
            if element.tag == "img":
                around = next(element.iterancestors("a"), None)
                if around is None or not _names_picture(around.get("href")):
                    caption = element.get("alt") or element.get("title") or ""
                    yield element, _largest(element), caption
            elif element.tag == "a":
                if _names_picture(element.get("href")):
                    shown = next(element.iter("img"), None)
                    caption = (shown.get("alt") or "") if shown is not None else element.text_content()
                    yield element, element.get("href"), caption
            elif (element.get("property") or element.get("name") or "").lower() in (
                "og:image",
                "og:image:url",
            ):
                yield element, element.get("content") or "", ""
        for url in self.structured:
            yield self.tree, url, ""

    def _absolute(self, link: str | None) -> str:
        link = (link or "").strip()
        try:
            return clean_url(urljoin(self.base, link)) if link else ""
        except (BadUrl, ValueError):
            return ""

    def _described(self, url: str, element: Any, caption: str) -> Found:
        said = self.structured.get(url, Found(url))
        beside = self._beside(element)
        return replace(
            said,
            page_url=self.url,
            licence=_short(said.licence or self._licence_in(beside) or self.page_licence, 200),
            author=_short(said.author or _author_in(beside) or self.page_author, 200),
            caption=_short(said.caption or caption or _figcaption(beside), 300),
        )

    def _beside(self, element: Any) -> Any:
        """The largest element around a picture that holds no other picture."""
        best = element
        for above in element.iterancestors():
            if self.held.get(above, 0) > 1 or above.tag in ("body", "html"):
                break
            best = above
        return best

    def _licence_in(self, element: Any) -> str:
        for hit in element.xpath(_LICENCE):
            link = hit.get("href") or hit.get("content")
            return self._absolute(link) or hit.text_content().strip() if link else hit.text_content().strip()
        return ""

    def _page_wide(self, path: str) -> str:
        """What the page says outside every picture's own corner."""
        for hit in self.tree.xpath(path):
            beside = self._beside(hit)
            if self.held.get(beside, 0) == 0:
                return self._licence_in(_only(hit)) if path == _LICENCE else _author_in(_only(hit))
        return ""

    def _structured(self) -> Iterator[tuple[str, Found]]:
        """schema.org ImageObjects in JSON-LD."""
        for script in self.tree.xpath('//script[@type="application/ld+json"]/text()'):
            try:
                entries = list(_objects(json.loads(script)))
            except (ValueError, RecursionError):
                continue
            for entry in entries:
                url = self._absolute(_word(entry.get("contentUrl")))
                if url:
                    yield (
                        url,
                        Found(
                            url,
                            licence=_word(entry.get("license")),
                            author=_word(entry.get("author") or entry.get("creator")),
                            caption=_word(entry.get("caption") or entry.get("name")),
                        ),
                    )


def _only(hit: Any) -> Any:
    """`hit` inside a wrapper, so that a search below the wrapper sees it and nothing else."""
    wrapper = html.Element("div")
    twin = html.Element(hit.tag if isinstance(hit.tag, str) else "span", dict(hit.attrib))
    twin.text = hit.text_content()
    wrapper.append(twin)
    return wrapper


def _largest(image: Any) -> str:
    """The largest version that an img, or the picture around it, offers."""
    offers: list[tuple[float, str]] = []
    # libxml2 reads HTML 4, where a source may hold the img that follows it.
    around = next(image.iterancestors("picture"), None)
    sources = around.iter("source") if around is not None else []
    for element in [image, *sources]:
        offers += _srcset(element.get("srcset") or element.get("data-srcset") or "")
    if offers:
        return max(offers, key=lambda offer: offer[0])[1]
    src = image.get("src") or ""
    return src if src and not src.startswith("data:") else image.get("data-src") or ""


def _srcset(text: str) -> Iterator[tuple[float, str]]:
    """Size (width, or density) and URL of each entry of a srcset."""
    for match in re.finditer(r"(\S*[^\s,])(?:\s+(\d+(?:\.\d+)?)[wx])?\s*(?:,|$)", text):
        if not match[1].startswith("data:"):
            yield float(match[2] or 1), match[1]


def _names_picture(link: str | None) -> bool:
    return bool(_PICTURE_NAME.search((link or "").split("?")[0].split("#")[0].strip()))


def _author_in(element: Any) -> str:
    for hit in element.xpath(_AUTHOR):
        text = hit.get("data-author") or hit.get("content") or hit.text_content()
        if text.strip():
            return text
    return ""


def _figcaption(element: Any) -> str:
    return next((hit.text_content() for hit in element.iter("figcaption")), "")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every ImageObject anywhere in a JSON-LD value."""
    if isinstance(value, list):
        for entry in value:
            yield from _objects(entry)
    elif isinstance(value, dict):
        if "ImageObject" in (value.get("@type") or ""):
            yield value
        for entry in value.values():
            yield from _objects(entry)


def _word(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, dict):
        value = value.get("name") or value.get("url") or value.get("@id") or ""
    return value if isinstance(value, str) else ""


def _short(text: str, most: int) -> str:
    return " ".join(text.split())[:most]
