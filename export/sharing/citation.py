"""How to cite a release: BibTeX and the Citation File Format 1.2.0 (citation-file-format.github.io)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Cited:
    """What a citation names. `authors` as BibTeX wants them (`A and B`); empty: the dataset's makers."""

    name: str
    title: str
    version: str
    fingerprint: str
    year: int
    date: str
    url: str
    authors: str = ""
    licence: str = ""

    @property
    def makers(self) -> str:
        """Who is named where nobody in particular is."""
        return f"The makers of {self.title}"


def bibtex(cited: Cited) -> str:
    """An entry that every BibTeX style understands; version and fingerprint stand in its note."""
    authors = _tex(cited.authors) if cited.authors else "{" + _tex(cited.makers) + "}"
    key = re.sub(r"[^a-z0-9]+", "-", f"{cited.name}-{cited.version}".lower())
    fields = {
        "author": authors,
        "title": "{" + _tex(cited.title) + "}",
        "year": str(cited.year),
        "version": cited.version,
        "howpublished": rf"\url{{{_url(cited.url)}}}",
        "url": _url(cited.url),
        "note": f"Dataset, version {cited.version}, fingerprint sha256:{cited.fingerprint}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{key},", *lines, "}"]) + "\n"


def cff(cited: Cited) -> str:
    """CITATION.cff. JSON strings are YAML strings, so any text is safe in it."""
    people = [part.strip() for part in re.split(r"\s+and\s+", cited.authors) if part.strip()]
    lines = [
        "cff-version: 1.2.0",
        "message: Please cite the release that you used.",
        "type: dataset",
        f"title: {_yaml(cited.title)}",
        f"version: {_yaml(cited.version)}",
        f"date-released: {_yaml(cited.date)}",
        f"url: {_yaml(cited.url)}",
        "identifiers:",
        "  - type: other",
        f"    value: {_yaml('sha256:' + cited.fingerprint)}",
        "    description: SHA-256 of the release's SHA256SUMS",
        "authors:",
        *(f"  - name: {_yaml(person)}" for person in people or [cited.makers]),
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "".join(_TEX.get(c, c) for c in " ".join(text.split()))


def _url(text: str) -> str:
    """A URL inside braces: nothing in it may close them."""
    return text.replace("{", "%7B").replace("}", "%7D").replace("\\", "%5C")


def _yaml(text: str) -> str:
    return json.dumps(" ".join(text.split()), ensure_ascii=False)
