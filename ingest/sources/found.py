"""The one record that every kind of source yields."""

from __future__ import annotations

from dataclasses import dataclass


class BadSource(ValueError):
    """A place that cannot be read at all; the message is one line for the user."""


@dataclass(frozen=True)
class Found:
    """A picture's place, and what its source says about it.

    Attributes:
        url: the picture's http(s) URL, or its path inside a folder or an archive, with `/`.
        page_url: where it was found.
        licence: a URL or a name, as the source gives it; empty where it gives none.
        author, caption: likewise.
        category: the category the source itself files it under; empty where it does not say.
        unusable: why this place is not to be opened at all (a slug), such as `unsafe_name`.
    """

    url: str
    page_url: str = ""
    licence: str = ""
    author: str = ""
    caption: str = ""
    category: str = ""
    unusable: str = ""
