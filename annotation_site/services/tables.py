"""Votes as tables, and votes from tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from django.db.models import Q, QuerySet

from annotation_site.models import Round, Vote
from ingest.models import Dataset

COLUMNS = ["task", "image", "worker", "label", "seconds", "created", "round", "gold", "audit", "status"]
CHUNK = 50_000

_FIELDS = (
    "task_id",
    "task__image__sha256",
    "worker__code",
    "answer",
    "category__key",
    "seconds",
    "created",
    "task__round_id",
    "task__gold",
    "task__audit",
    "voided",
    "void_reason",
)
_LABELS = {int(code): str(label) for code, label in Vote.Answer.choices}


def votes_table(scope: Round | Dataset, *, counted_only: bool = True) -> pd.DataFrame:
    """All votes of a round, or of all rounds of a dataset, in order of vote id.

    Columns: `task` (Task id), `image` (sha256), `worker` (pseudonym), `label`, `seconds` (float or NaN),
    `created` (UTC), `round` (id), `gold`, `audit` (bool), `status` (`counted`, or why it was voided).
    """
    frames = list(_frames(_votes(scope, counted_only).order_by("pk")))
    if not frames:
        return _frame([])
    return pd.concat(frames, ignore_index=True)


def votes_by_image(scope: Round | Dataset) -> Iterator[pd.DataFrame]:
    """All votes, voided ones too, in frames of at most `CHUNK` rows, sorted by image and then vote id."""
    return _frames(_votes(scope, False).order_by("task__image__sha256", "pk"))


def _votes(scope: Round | Dataset, counted_only: bool) -> QuerySet[Vote]:
    where = Q(task__round=scope) if isinstance(scope, Round) else Q(task__round__dataset=scope)
    votes = Vote.objects.filter(where)
    return votes.filter(voided=False) if counted_only else votes


def _frames(votes: QuerySet[Vote]) -> Iterator[pd.DataFrame]:
    rows: list[tuple[Any, ...]] = []
    for row in votes.values_list(*_FIELDS).iterator(chunk_size=CHUNK):
        rows.append(row)
        if len(rows) == CHUNK:
            yield _frame(rows)
            rows = []
    if rows:
        yield _frame(rows)


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(map(_row, rows), columns=COLUMNS)
    frame["created"] = pd.to_datetime(frame["created"], utc=True).astype("datetime64[us, UTC]")
    frame["seconds"] = frame["seconds"].astype("float64")
    for column in ("gold", "audit"):
        frame[column] = frame[column].astype(bool)
    return frame


def _row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of `_FIELDS` as a row of `COLUMNS`."""
    task, image, worker, answer, category, seconds, created, round_id, gold, audit, voided, reason = row
    status = (reason or "voided") if voided else "counted"
    label = category or _LABELS[answer]
    return (task, image, worker, label, seconds, created, round_id, gold, audit, status)
