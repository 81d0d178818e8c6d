"""The Range header of HTTP (RFC 9110, section 14): one range of bytes, which is what download tools send."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


class Unsatisfiable(ValueError):
    """The range lies outside of the file: 416."""


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, stop) of the bytes asked for, `stop` exclusive; None for the whole.

    Several ranges, other units and what cannot be read mean the whole, as the standard has it.

    Raises:
        Unsatisfiable: it begins at or after the end, or asks for no byte.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.groups() == ("", "") or len(header) > 60:
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if not last else min(size, int(last) + 1)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable
    return start, stop
