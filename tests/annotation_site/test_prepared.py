"""A prepared query says what the queryset says that it was made of, whatever values it is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, QuerySet
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation_site.models import Lease, Participation, Receipt, Task
from annotation_site.services.bulk import delete_rows, insert_rows
from annotation_site.services.claims import claim_batch
from annotation_site.services.prepared import Change, Removal, insert, prepared, row_of
from tests.annotation_site.world import make_dataset, make_round, worker

pytestmark = pytest.mark.django_db
built: list[dict[str, Any]] = []


@prepared("count", "newest")
def some_tasks(round: int, first: int, ids: list[int], count: int, newest: bool) -> Any:
    built.append({"count": count})
    rows: QuerySet[Task] = Task.objects.filter(round=round, rank__gte=first, pk__in=ids)
    return rows.order_by("-rank" if newest else "rank").values_list("pk", "gold", "image__sha256")[:count]


@prepared()
def receipts(key: str, since: datetime) -> Any:
    return Receipt.objects.filter(key=key, created__gte=since).values_list("created", "response")


@prepared()
def worked(part: int, votes: int, seconds: float, last_vote: datetime) -> Any:
    values = {"votes": F("votes") + votes, "seconds": seconds, "last_vote": last_vote}
    return Change(Participation.objects.filter(pk=part), values)


@prepared()
def forgotten(keys: list[int]) -> Any:
    return Removal(Receipt.objects.filter(pk__in=keys))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.integers(0, 9), picked=st.sets(st.integers(0, 7)), count=st.integers(1, 9), newest=st.booleans()
)
def test_it_finds_what_its_queryset_finds(first: int, picked: set[int], count: int, newest: bool) -> None:
    round = (
        Task.objects.first().round if Task.objects.exists() else make_round(make_dataset(images=8), gold=2)
    )
    numbers = list(round.tasks.order_by("pk").values_list("pk", flat=True))
    ids = [numbers[n] for n in picked]
    found = some_tasks(round=round.pk, first=first, ids=ids, count=count, newest=newest)
    rows = Task.objects.filter(round=round, rank__gte=first, pk__in=ids)
    wanted = rows.order_by("-rank" if newest else "rank").values_list("pk", "gold", "image__sha256")[:count]
    assert [tuple(row) for row in found] == list(wanted)


def test_it_is_built_once_for_each_form() -> None:
    round = make_round(make_dataset(images=8))
    asked = {"round": round.pk, "first": 0, "newest": False}
    for count, ids in ((31, [1, 2]), (31, [3, 4]), (31, [5]), (32, [3, 4])):
        some_tasks(**asked, ids=ids, count=count)
    assert [form["count"] for form in built if form["count"] > 30] == [31, 31, 32]
    with CaptureQueriesContext(connection) as captured:
        some_tasks(**asked, ids=[3, 4], count=31)
        some_tasks(**asked, ids=[], count=31)  # nothing can be found: nothing is asked
    assert len(captured) == 1


def test_moments_and_json_come_and_go() -> None:
    me, now = worker("ann"), datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    columns = ["worker_id", "key", "request_sha256", "response", "created"]
    rows = [
        (me.pk, key, "0" * 64, [[7, "stored"]], now + timedelta(days=day)) for day, key in enumerate("ab")
    ]
    last = insert(Receipt, columns, rows, returning=True)
    assert [tuple(row) for row in receipts(key="a", since=now)] == [(now, [[7, "stored"]])]
    assert receipts(key="a", since=now + timedelta(seconds=1)) == []
    assert Receipt.objects.get(pk=last).key == "b"
    forgotten(keys=[last])
    assert [receipt.key for receipt in Receipt.objects.all()] == ["a"]


def test_rows_change() -> None:
    round, me = make_round(make_dataset(images=3)), worker("ann")
    part = Participation.objects.create(round=round, worker=me, votes=4)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    worked(part=part.pk, votes=3, seconds=1.25, last_vote=now)
    worked(part=part.pk, votes=40_000, seconds=2.5, last_vote=now)
    part.refresh_from_db()
    assert (part.votes, part.seconds, part.last_vote) == (40_007, 2.5, now)


def test_what_is_there_already_is_changed_instead() -> None:
    round, me = make_round(make_dataset(images=3)), worker("ann")
    batches = [claim_batch(me, round, 1, holding=[]), claim_batch(worker("bob"), round, 1)]
    assert batches[0]
    assert batches[1]
    task = batches[0].tasks[0].pk
    columns = ["assignment_id", "task_id", "worker_id"]
    insert(Lease, columns, [(batches[1].assignment.pk, task, me.pk)], instead=["task_id", "worker_id"])
    assert Lease.objects.get(task=task, worker=me).assignment == batches[1].assignment


def test_a_row_knows_its_columns_in_any_order() -> None:
    task = make_round(make_dataset(images=3)).tasks.order_by("rank")[1]
    read = row_of(Task, ["rank", "id"], (task.rank, task.pk, "left aside"))
    assert (read.pk, read.rank, read.image_id) == (task.pk, 1, task.image_id)  # the last is asked for


def test_values_that_decide_on_the_form_are_to_be_named() -> None:
    for value in (None, True, 1.5j):
        with pytest.raises(TypeError, match="takes no"):
            worked(part=value, votes=1, seconds=0.5, last_vote=datetime.now(UTC))


def test_many_rows_are_checked_by_the_database() -> None:
    round = make_round(make_dataset(images=3))
    task = round.tasks.first()
    columns = [field.attname for field in Task._meta.concrete_fields if not field.primary_key]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows(Task, columns, [tuple(getattr(task, name) for name in columns)])
    assert round.tasks.count() == 3
    delete_rows(round.tasks.filter(rank__gte=1))
    assert [task.rank for task in round.tasks.all()] == [0]
