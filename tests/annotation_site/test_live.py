"""The real server under several clients at once, killed in the middle: no over-vote, no double, none lost."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import pytest
from django.db import connection, connections
from django.db.models import F

from annotation_site.models import Lease, Task, Vote
from annotation_site.services.claims import claim_batch
from annotation_site.services.votes import Answer, record_votes
from tests.annotation_site.site import ROOT, Site, gunicorn
from tests.annotation_site.world import CATEGORIES, make_dataset, make_round, worker

BOOKS = """
import django, json; django.setup()
from django.db.models import F
from annotation_site.models import Lease, Task, Vote
votes = Vote.objects.filter(task__round={round}, voided=False).select_related("category", "worker__user")
print(json.dumps({{
    "votes": [[v.worker.user.username, v.task_id, v.label] for v in votes],
    "over": Task.objects.filter(round={round}, gold=False, wanted__lt=F("votes") + F("leases")).count(),
    "open": Task.objects.filter(round={round}, gold=False).exclude(votes=F("wanted")).count(),
    "leases": Lease.objects.filter(task__round={round}).count(),
}}))
"""


class Client(threading.Thread):
    """One worker: claims and votes until nothing is left, and comes back after a dead connection."""

    def __init__(self, site: Site, round_id: int, number: int) -> None:
        super().__init__()
        self.address, self.round_id, self.number = urlparse(site.url), round_id, number
        self.confirmed: list[tuple[str, int, str]] = []
        self.fault: BaseException | None = None
        self.head = {"Content-Type": "application/json"}

    def call(self, path: str, body: Any) -> tuple[int, Any]:
        """POST, again and again until there is an answer."""
        for _ in range(300):
            try:
                line = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=20)
                line.request("POST", f"/api/v1/{path}", json.dumps(body), self.head)
                response = line.getresponse()
                data = response.read()
                return response.status, json.loads(data) if data else None
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
        raise AssertionError("the site stayed away")

    def run(self) -> None:
        """See the class."""
        try:
            self.work()
        except BaseException as fault:
            self.fault = fault

    def work(self) -> None:
        """Log in, then claim and vote."""
        rng, name = random.Random(self.number), f"w{self.number}"
        status, data = self.call("login", {"username": name, "password": f"secret-{self.number}"})
        assert status == 200, data
        self.head["Authorization"] = f"Bearer {data['token']}"
        for turn in range(1000):
            status, batch = self.call(f"rounds/{self.round_id}/claim", {"size": rng.randint(1, 12)})
            if status == 204:
                return
            assert status == 200, batch
            votes = [
                {"task": t["task"], "label": rng.choice(CATEGORIES), "seconds": 1} for t in batch["tasks"]
            ]
            body = {"assignment": batch["assignment"], "key": f"{name}-{turn}", "votes": votes}
            for _ in range(rng.choice((1, 1, 2))):  # now and then a retry that was not needed
                status, answer = self.call("votes", body)
                assert status == 200, answer
            for vote, result in zip(votes, answer["results"], strict=True):
                assert result["status"] == "stored", result
                self.confirmed.append((name, vote["task"], vote["label"]))


def test_eight_clients_and_a_killed_server_lose_and_double_nothing(site: Site) -> None:
    round_id = site.rounds["load"]
    clients = [Client(site, round_id, number) for number in range(8)]
    for client in clients:
        client.start()
    while sum(len(client.confirmed) for client in clients) < 150 and any(c.is_alive() for c in clients):
        time.sleep(0.05)
    site.stop(kill=True)
    site.start()
    for client in clients:
        client.join(timeout=120)
    assert [client.fault for client in clients if client.fault] == []
    confirmed = Counter(row for client in clients for row in client.confirmed)
    books = site.python(BOOKS.format(round=round_id))
    stored = Counter(tuple(row) for row in books["votes"])
    assert confirmed == stored  # none lost, none that nobody sent
    assert max(Counter((name, task) for name, task, _ in stored.elements()).values()) == 1
    assert (books["over"], books["open"], books["leases"]) == (0, 0, 0)


def test_a_second_web_process_on_sqlite_is_refused_with_the_reason(site: Site) -> None:
    second = subprocess.run(
        gunicorn("127.0.0.1:0"),
        cwd=ROOT,
        env=site.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert "another web process serves this database" in second.stderr
    assert "DATABASE_URL" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.django_db(transaction=True)
def test_threads_on_the_services_keep_the_books() -> None:
    """On PostgreSQL eight at once; on the in-memory SQLite of the tests one after the other."""
    together = 8 if connection.vendor == "postgresql" else 1
    round = make_round(make_dataset(images=60), gold=6, gold_rate=0.1, votes_min=3, votes_max=3)
    workers = [worker(f"w{n}") for n in range(8)]
    faults: list[BaseException] = []
    confirmed: Counter[tuple[int, int]] = Counter()

    def work(number: int) -> None:
        me = workers[number]
        try:
            for turn in range(200):
                batch = claim_batch(me, round, 1 + number)
                if batch is None:
                    return
                answers = [Answer(task.pk, "cat") for task in batch.tasks]
                for task, status in record_votes(me, batch.assignment.pk, f"{number}-{turn}", answers):
                    assert status == "stored"
                    confirmed[task, me.pk] += 1
        except BaseException as fault:
            faults.append(fault)
        finally:
            if together > 1:
                connections.close_all()

    if together == 1:
        for number in range(8):
            work(number)
    else:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert faults == []
    assert not Task.objects.filter(round=round, gold=False).exclude(votes=F("wanted")).exists()
    assert not Task.objects.exclude(leases=0).exists()
    assert not Lease.objects.exists()
    assert set(confirmed.values()) == {1}
    assert set(confirmed) == set(Vote.objects.values_list("task_id", "worker_id"))


def until_waiting(number: int, lock: str = "%") -> None:
    """Return once so many of the database's clients wait for a row; `lock` "tuple": behind another waiter."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype LIKE %s", [lock])
            if cursor.fetchone()[0] >= number:
                return
        time.sleep(0.02)
    raise AssertionError(f"fewer than {number} claims wait")


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_waits_for_a_task_holds_no_other() -> None:
    """A claim meets the tasks by rank, votes lock them by number: neither may wait for the other for ever.

    The first task by rank fills up while the claim waits for it; the next one is held by the votes, which
    then want the first. SQLite has one writer; there the same calls follow each other.
    """
    round = make_round(make_dataset(images=2), votes_min=2, votes_max=2)
    high, low = Task.objects.filter(round=round).order_by("-pk")
    for rank, task in enumerate((high, low)):
        Task.objects.filter(pk=task.pk).update(rank=rank)
    voter, late = worker("voter"), worker("late")
    batch = claim_batch(voter, round, 2)
    assert batch is not None
    outcome: dict[str, object] = {}

    def vote() -> None:
        sent = [Answer(task.pk, "cat") for task in batch.tasks]
        outcome["voter"] = {status for _, status in record_votes(voter, batch.assignment.pk, "k", sent)}

    def claim() -> None:
        found = claim_batch(late, round, 2)
        outcome["late"] = found and [task.pk for task in found.tasks]

    def alone(call: Callable[[], None], who: str) -> None:
        try:
            call()
        except BaseException as fault:
            outcome[who] = fault
        finally:
            connections.close_all()

    fill = f"UPDATE {Task._meta.db_table} SET leases = leases + 1, claimable = false WHERE id = {high.pk}"
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(fill)
        vote()
        claim()
    else:
        filler, holder = connection.copy(), connection.copy()
        for other, statement in ((filler, fill), (holder, fill.replace(str(high.pk), str(low.pk)))):
            other.set_autocommit(False)
            other.cursor().execute(statement)
        threads = [threading.Thread(target=alone, args=(claim, "late"))]
        threads.append(threading.Thread(target=alone, args=(vote, "voter")))
        for number, thread in enumerate(threads, start=1):
            thread.start()
            until_waiting(number)
        holder.rollback()  # the votes have the low task now and queue for the high one
        until_waiting(1, "tuple")
        filler.commit()
        for thread in threads:
            thread.join(timeout=60)
        filler.close()
        holder.close()
    assert outcome == {"voter": {"stored"}, "late": [low.pk]}
