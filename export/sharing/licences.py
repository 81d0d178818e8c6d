"""Short names of licences as they were found: addresses of Creative Commons, SPDX names, free words."""

from __future__ import annotations

import re

_CC = re.compile(
    r"https?://(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z-]+)(?:/(\d\.\d))?", re.ASCII
)
_PUBLIC = {"zero": "CC0", "mark": "Public Domain Mark"}


def short_name(licence: str) -> str:
    """`https://creativecommons.org/licenses/by-sa/4.0/` -> `CC BY-SA 4.0`; other words as they are."""
    match = _CC.match(licence.strip().lower())
    if not match:
        return licence.strip()
    kind, code, version = match.groups()
    name = _PUBLIC.get(code, code.upper()) if kind == "publicdomain" else f"CC {code.upper()}"
    return f"{name} {version}" if version else name
