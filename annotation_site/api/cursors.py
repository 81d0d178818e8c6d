"""Lists by the page: each page begins after the last row of the one before it, so every page costs the same.

A cursor is opaque to the caller: the sort keys of that row, in JSON, in URL-safe base64.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from ninja import Query
from ninja.errors import HttpError

Row = TypeVar("Row", bound=Model)
MOST = 200
Limit = Annotated[int, Query(50, ge=1, le=MOST, description="rows in one answer")]
Cursor = Annotated[str, Query("", max_length=1000, description="from `next`: go on after that answer")]


class By(NamedTuple):
    """One sort key: a field that is never null, the type of its values; `falling`: the largest come first."""

    field: str
    kind: type
    falling: bool = False


NEWEST = (By("pk", int, falling=True),)
OLDEST = (By("pk", int),)


def page(
    request: HttpRequest, rows: QuerySet[Row], keys: Sequence[By], cursor: str, limit: int
) -> tuple[list[Row], str | None]:
    """The rows after `cursor` in the order of `keys` (the last of which is unique), and where it goes on.

    Returns:
        At most `limit` rows, and the address of the next answer; None at the end.

    Raises:
        HttpError: 422, a cursor that this list did not give.
    """
    if cursor:
        rows = rows.filter(_after(keys, read(cursor, keys)))
    order = [f"-{key.field}" if key.falling else key.field for key in keys]
    found = list(rows.order_by(*order)[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = [_value(found[limit - 1], key.field) for key in keys]
    return found[:limit], following(request, last)


def following(request: HttpRequest, last: Sequence[Any]) -> str:
    """The address of the answer that begins after the row with these sort keys."""
    asked = {**request.GET.dict(), "cursor": write(last)}
    return request.build_absolute_uri(f"{request.path}?{urlencode(asked)}")


def _after(keys: Sequence[By], values: Sequence[Any]) -> Q:
    """Rows behind the one with these values: larger in the first key, or as large and larger in the next.

    That the first key is no smaller is said once more: an index serves a range, and no OR.
    """
    first = f"{keys[0].field}__{'lte' if keys[0].falling else 'gte'}"
    found, equal = Q(), Q()
    for key, value in zip(keys, values, strict=True):
        found |= equal & Q(**{f"{key.field}__{'lt' if key.falling else 'gt'}": value})
        equal &= Q(**{key.field: value})
    return Q(**{first: values[0]}) & found


def _value(row: Model, field: str) -> Any:
    for part in field.split("__"):
        row = getattr(row, part)
    return row


def write(values: Sequence[Any]) -> str:
    """The cursor of a row with these sort keys."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read(cursor: str, keys: Sequence[By]) -> list[Any]:
    """The sort keys that `write` wrote.

    Raises:
        HttpError: 422, a cursor that no list of these keys gave.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        values = None
    sound = isinstance(values, list) and len(values) == len(keys)
    if not sound or not all(_fits(value, key.kind) for value, key in zip(values, keys, strict=True)):
        raise HttpError(422, "query/cursor: take the cursor from `next`, as it is.")
    return values


def _fits(value: Any, kind: type) -> bool:
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    if kind is float:
        return isinstance(value, float) and math.isfinite(value)
    return isinstance(value, str) and value.isprintable()
