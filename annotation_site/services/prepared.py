"""Queries that are put together once: what the path of a vote asks, a thousand times a second.

Django builds a query from Python objects and turns it into SQL anew each time, which takes ten times as long
as the database needs to answer it. A prepared query is written with the same querysets; the first call builds
it with stand-ins for its values and keeps the SQL, later calls only fill values in.

    @prepared("count")
    def open_tasks(round: int, cursor: int, count: int) -> Any:
        return Task.objects.filter(round=round, rank__gte=cursor).values_list("pk", "rank")[:count]

    open_tasks(round=7, cursor=0, count=20)  # -> [(pk, rank), ...]

Values are whole numbers, decimals, texts, moments, or lists of whole numbers; where a list is empty nothing
is asked. What decides on the form of the query (a limit, whether to lock) is named in the decorator, and each
such form is kept by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from typing import Any, TypeVar

from django.db import connection, models
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.db.models.sql import DeleteQuery, UpdateQuery

M = TypeVar("M", bound=models.Model)
Key = tuple[Any, ...]
NUMBER, MOMENT = 1_900_000_000, datetime(1901, 2, 3, tzinfo=UTC)
"""The first stand-ins: they fit any column, and stand in no query of ours."""


@dataclass(frozen=True)
class Change:
    """`rows.update(**values)`, as a prepared query gives it."""

    rows: models.QuerySet[Any]
    values: dict[str, Any]


@dataclass(frozen=True)
class Removal:
    """Delete `rows`, which no other row names."""

    rows: models.QuerySet[Any]


@dataclass
class _Statement:
    """SQL, where each of its parameters comes from, and how its columns become Python values."""

    sql: str
    sources: list[tuple[str, int] | None]
    constants: Sequence[Any]
    """What stood at a parameter's place when the query was built: its value where it has no source, else of
    the type that the database is told."""
    compiler: Any = None
    converters: dict[int, Any] = field(default_factory=dict)
    runs: int = 0

    def text(self) -> str:
        """The SQL; another text whenever it has run twice as often.

        PostgreSQL keeps the plan of a text. One that was made when tables were small may walk through them
        whole, and would go on so until the tables are analysed.
        """
        self.runs += 1
        return f"{self.sql} /* {self.runs.bit_length()} */"


class Prepared:
    """See the top of this file."""

    def __init__(self, make: Callable[..., Any], shape: Iterable[str]) -> None:
        self.make, self.shape = make, frozenset(shape)
        self.statements: dict[Key, _Statement] = {}
        update_wrapper(self, make)

    def __call__(self, **values: Any) -> list[Any]:
        """Run it; the rows of a selection, else none."""
        if any(value == [] for value in values.values()):
            return []
        key: Key = (
            connection.alias,
            *(
                (name, value) if name in self.shape else len(value) if type(value) is list else type(value)
                for name, value in values.items()
            ),
        )
        statement = self.statements.get(key)
        if statement is None:
            statement = self.statements[key] = self._compile(values)
        parameters = [
            constant if source is None else _filled(values[source[0]], source[1], type(constant))
            for source, constant in zip(statement.sources, statement.constants, strict=True)
        ]
        with _cursor() as cursor:
            cursor.execute(statement.text(), parameters)
            if statement.compiler is None:
                return []
            rows = cursor.fetchall()
        if statement.converters:
            return list(statement.compiler.apply_converters(rows, statement.converters))
        return list(rows)

    def _compile(self, values: dict[str, Any]) -> _Statement:
        """Build the query with stand-ins and see where they went."""
        stand_ins, origins = self._stand_ins(values)
        made = self.make(**stand_ins)
        query = _query_of(made)
        compiler = query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        sources = [origins.get(_comparable(parameter)) for parameter in parameters]
        if isinstance(made, Change | Removal):
            return _Statement(sql, sources, list(parameters))
        columns = [column[0] for column in compiler.select[: compiler.col_count]]
        return _Statement(sql, sources, list(parameters), compiler, compiler.get_converters(columns))

    def _stand_ins(self, values: dict[str, Any]) -> tuple[dict[str, Any], dict[Any, tuple[str, int]]]:
        """For each value one that is told apart from all others, and which it stands for."""
        given: dict[str, Any] = {}
        origins: dict[Any, tuple[str, int]] = {}
        for place, (name, value) in enumerate(values.items()):
            if name in self.shape:
                given[name] = value
            elif isinstance(value, list):
                first = NUMBER + 10_000 * (place + 1)
                given[name] = list(range(first, first + len(value)))
                origins |= {number: (name, n) for n, number in enumerate(given[name])}
            else:
                given[name] = _stand_in(value, place)
                origins[_comparable(given[name])] = (name, -1)
        return given, origins


def prepared(*shape: str) -> Callable[[Callable[..., Any]], Prepared]:
    """Make a function that gives a queryset (`values_list`), a `Change` or a `Removal` a prepared query."""
    return lambda make: Prepared(make, shape)


def _stand_in(value: Any, place: int) -> Any:
    if isinstance(value, str):
        return f"stand-in {place}"
    if isinstance(value, datetime):
        return MOMENT + timedelta(days=place)
    if isinstance(value, float):
        return NUMBER + place + 0.5
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a prepared query takes no {type(value).__name__} as a value")
    return NUMBER + place


def _query_of(made: Any) -> Any:
    if isinstance(made, Change):
        query: Any = made.rows.query.chain(UpdateQuery)
        query.add_update_values(made.values)
        return query
    if isinstance(made, Removal):
        return made.rows.query.chain(DeleteQuery)
    return made.query


def _comparable(value: Any) -> Any:
    """A value as it stands among the parameters: the databases' own types for it are told apart by none."""
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _filled(value: Any, place: int, kind: type) -> Any:
    value = value if place < 0 else value[place]
    if isinstance(value, int):
        return kind(value)
    return _comparable(value)


def _cursor() -> Any:
    """A cursor; on PostgreSQL one that has the server keep the plan of each statement.

    Django's own sends each statement as a text, to be read and planned anew.
    """
    if connection.vendor != "postgresql":
        return connection.cursor()
    from psycopg import Cursor

    connection.ensure_connection()
    wrapper = CursorDebugWrapper if connection.queries_logged else CursorWrapper
    return wrapper(Cursor(connection.connection), connection)


def insert(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    instead: Sequence[str] = (),
    returning: bool = False,
) -> int | None:
    """Insert a few rows by one statement; gives the number of the last one, where it is asked for.

    Args:
        rows: values as the columns hold them; moments and (as a dict or list) JSON are adapted.
        instead: columns that are unique together: a row that is there with the same ones is changed.
    """
    name = connection.ops.quote_name
    places = f"({', '.join(['%s'] * len(columns))})"
    parts = ["INSERT INTO", name(model._meta.db_table), f"({', '.join(map(name, columns))})", "VALUES"]
    parts.append(", ".join([places] * len(rows)))
    if instead:
        others = [f"{name(column)} = EXCLUDED.{name(column)}" for column in columns if column not in instead]
        parts.append(f"ON CONFLICT ({', '.join(map(name, instead))}) DO UPDATE SET {', '.join(others)}")
    if returning:
        parts += ["RETURNING", name(str(model._meta.pk.column))]
    with connection.cursor() as cursor:
        cursor.execute(" ".join(parts), [_stored(value) for row in rows for value in row])
        return int(cursor.fetchall()[-1][0]) if returning else None


def _stored(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else _comparable(value)


def row_of(model: type[M], columns: Sequence[str], values: Sequence[Any]) -> M:
    """The first values of a row as an object that knows these columns; others are read when asked for."""
    given = dict(zip(columns, values, strict=False))
    in_order = [given[field.attname] for field in model._meta.concrete_fields if field.attname in given]
    return model.from_db(connection.alias, given, in_order)
