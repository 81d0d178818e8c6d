"""How long the server takes for a curator's pages at 1,000,000 tasks, on SQLite.

    .venv/bin/python -m benchmarks.dataset_page --work FOLDER [--tasks 1000000] [--open]

A dataset of as many pictures as tasks is written by bulk SQL into a database of its own under FOLDER (about
1.5 GB for a million; kept, and used again by the next run): 100 categories, three votes a task by 200 workers
over the last ten days, a consensus for each voted task, and a second round that takes up every twentieth
picture. The kept figures are counted as the end of a pass does. Then each page is asked for 40 times through
the whole of Django (middleware, session, view, template), in one process. The first call, which fills caches,
is told apart; `median_cpu_ms` is what the process itself worked, whatever else the machine did. `--open` also
times the opening of one more round on all pictures, which is taken away again.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import time
from pathlib import Path

CATEGORIES, WORKERS, DAYS, BATCH = 100, 200, 10, 20
CALLS = 40

# Picture n was found under category n % K. Of 20 tasks 17 have three votes and a consensus, 14 are settled,
# one is exhausted; in one of ten the label is the next category.
NUMBERS = (
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :{most}) SELECT i FROM n)"
)
LABEL = "1 + (t.image_id + (t.image_id % 10 = 0)) % :categories"
STATE = "CASE WHEN id % 20 < 14 THEN 1 WHEN id % 20 = 14 THEN 2 ELSE 0 END"
TASK = {"image_id": "id", "category_id": "NULL", "gold": "0", "leases": "0"}
AGO = "'-' || (:seconds - i * :seconds / :assignments) || ' seconds'"

# Model -> column -> what stands in it, and from where. Columns that are not named get the field's default.
ROWS: list[tuple[str, dict[str, str], str]] = [
    ("ingest.Image", {
        "id": "i", "dataset_id": "1", "sha256": "printf('%064x', i * 2654435761)", "phash": "i * 7919",
        "hash_version": "1", "format": "'jpeg'", "width": "640", "height": "480", "bytes": "90000",
        "created": ":now",
    }, NUMBERS.format(most="tasks")),
    ("ingest.DuplicateGroup", {
        "id": "id", "dataset_id": "1", "representative_id": "id", "draw": "(id % 1000) / 1000.0", "size": "1",
    }, "ingest_image"),
    ("ingest.Candidate", {
        "source_id": "1 + id % :categories", "url": "id || '.jpg'", "url_sha256": "printf('%032x', id)",
        "state": "1",
        "licence": "'CC0'", "image_id": "id", "found": ":now", "fetched": ":now",
    }, "ingest_image"),
    ("annotation_site.Task", TASK | {
        "id": "id", "round_id": "1", "rank": "(id * 7919) % :tasks", "state": STATE, "audit": "id % 20 = 3",
        "votes": "CASE WHEN id % 20 < 17 THEN 3 ELSE 0 END",
        "wanted": "CASE WHEN id % 20 < 17 THEN 4 ELSE 3 END",
        "claimable": "id % 20 > 14",
    }, "ingest_image"),
    ("annotation_site.Task", TASK | {
        "id": ":tasks + id", "round_id": "2", "rank": "id",
        "state": "CASE WHEN id % 40 = 14 THEN 1 ELSE 0 END",
        "audit": "0", "votes": "3", "wanted": "5", "claimable": "id % 40 <> 14",
    }, "ingest_image WHERE id % 20 = 14"),
    ("annotation_site.Assignment", {
        "id": "i", "round_id": "1", "worker_id": "1 + i % :workers", "state": "1", "tasks_given": ":batch",
        "created": f"strftime('%Y-%m-%d %H:%M:%f', :now, {AGO})", "expires": ":now",
    }, NUMBERS.format(most="assignments")),
    ("annotation_site.Vote", {
        "task_id": "t.id", "worker_id": "1 + (t.id * 3 + v.i) % :workers",
        "assignment_id": "1 + ((t.id % :tasks) * 3 + v.i) / :batch % :assignments", "answer": "0",
        "category_id": LABEL, "seconds": "2.5", "created": ":now",
    }, "annotation_site_task t, (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2) v WHERE t.votes = 3"),
    ("quality.Consensus", {
        "task_id": "t.id", "label": "c.key", "category_id": "c.id",
        "confidence": "0.5 + (t.id % 500) / 1000.0",
        "votes": "3", "method": "'auto'",
    }, f"annotation_site_task t JOIN ingest_category c ON c.id = {LABEL} WHERE t.votes = 3"),
    ("annotation_site.Participation", {
        "round_id": "t.round_id", "worker_id": "v.worker_id", "claimed": "COUNT(*)", "votes": "COUNT(*)",
        "seconds": "COUNT(*) * 2.5", "last_vote": ":now",
    }, "annotation_site_vote v JOIN annotation_site_task t ON t.id = v.task_id GROUP BY 1, 2"),
]  # fmt: skip
COUNT = """(SELECT COUNT(*) FROM annotation_site_task t
            WHERE t.round_id = annotation_site_round.id AND t.state IN"""
KEPT = " ".join(
    ["UPDATE annotation_site_round SET tasks_total =", COUNT, "(0, 1, 2)), tasks_settled =", COUNT,
     "(1)), tasks_exhausted =", COUNT, "(2))"]
)  # fmt: skip


def main() -> int:
    """Fill where need be, ask for the pages, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", required=True, type=Path, help="folder for the database; kept")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument(
        "--open", action="store_true", help="also time the opening of a round on all pictures"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    os.environ |= {"ASSAY_DATA": str(args.work), "DJANGO_SETTINGS_MODULE": "annotation_site.settings"}
    for name in ("DATABASE_URL", "CELERY_BROKER_URL"):
        os.environ.pop(name, None)
    import django

    django.setup()
    ready = args.work / f"filled-{args.tasks}"
    if not ready.exists():
        begun = time.perf_counter()
        fill(args.work, args.tasks)
        ready.touch()
        print(f"filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    rows = [prepare(), *measure()]
    if args.open:
        rows.append(time_opening())
    if args.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()))
    return 0


def fill(work: Path, tasks: int) -> None:
    """The small rows by Django, the many by SQL."""
    from django.core.management import call_command
    from django.utils import timezone

    call_command("migrate", verbosity=0)
    from annotation_site.models import Instructions, Round, User, Worker
    from ingest.models import Category, Dataset, Source

    dataset = Dataset.objects.create(
        pk=1,
        name="million",
        title="A million",
        candidates_found=tasks,
        images_stored=tasks,
        groups_found=tasks,
    )
    for n in range(CATEGORIES):
        category = Category.objects.create(
            pk=n + 1, dataset=dataset, key=f"c{n:03}", name=f"Category {n}", position=n
        )
        Source.objects.create(pk=n + 1, dataset=dataset, kind="folder", location=f"/p/{n}", category=category)
    Worker.objects.bulk_create(Worker(pk=n + 1, code=f"w{n:04}") for n in range(WORKERS))
    User.objects.create_superuser("curator")
    for pk in (1, 2):
        Round.objects.create(pk=pk, dataset=dataset, question="classify", title=f"Round {pk}", price="0.01")
        Instructions.objects.create(round_id=pk, text="Look twice.")
    values = {
        "tasks": tasks, "categories": CATEGORIES, "workers": WORKERS, "batch": BATCH,
        "seconds": DAYS * 86_400, "assignments": 3 * tasks // BATCH,
        "now": timezone.now().strftime("%Y-%m-%d %H:%M:%S.%f"),
    }  # fmt: skip
    held = sqlite3.connect(work / "db.sqlite3")
    held.execute("PRAGMA synchronous=OFF")
    statements = [insertion(*row) for row in ROWS]
    statements.insert(2, "UPDATE ingest_image SET group_id = id")
    for statement in [*statements, KEPT, "ANALYZE"]:
        begun = time.perf_counter()
        held.execute(statement, {k: v for k, v in values.items() if f":{k}" in statement})
        held.commit()
        print(f"{time.perf_counter() - begun:6.1f} s  {' '.join(statement.split())[:60]}", file=sys.stderr)
    held.close()


def insertion(label: str, columns: dict[str, str], source: str) -> str:
    """INSERT ... SELECT with a value for each column that must have one."""
    from django.apps import apps

    model = apps.get_model(label)
    every = dict(columns)
    for field in model._meta.concrete_fields:
        if field.column not in every and not field.primary_key and not field.null:
            value = field.get_default()
            text = json.dumps(value) if isinstance(value, dict) else value
            every[field.column] = f"'{text}'" if isinstance(text, str) else str(value)
    names, values = ", ".join(every), ", ".join(every.values())
    return " ".join(["INSERT INTO", model._meta.db_table, "(", names, ") SELECT", values, "FROM", source])


def prepare() -> dict[str, object]:
    """The schema of today, and the figures that the end of a pass counts; seconds."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from ingest.models import Dataset
    from quality.services.label_figures import keep_figures

    begun = time.perf_counter()
    keep_figures(Dataset.objects.get(name="million"))
    return {"figures_counted_in_s": round(time.perf_counter() - begun, 1)}


def measure() -> list[dict[str, object]]:
    """Median and 95th percentile of the server's time for each page, in milliseconds."""
    from django.conf import settings
    from django.test import Client

    from annotation_site.models import User

    settings.ALLOWED_HOSTS.append("testserver")
    client = Client()
    client.force_login(User.objects.get(username="curator"))
    rows = []
    for path in ("/d/million/", "/d/million/rounds/", "/d/million/rounds/1", "/"):
        took, cpu = [], []
        for _ in range(CALLS + 1):
            begun, worked = time.perf_counter(), time.process_time()
            answer = client.get(path)
            took.append(1000 * (time.perf_counter() - begun))
            cpu.append(1000 * (time.process_time() - worked))
            assert answer.status_code == 200, (path, answer.status_code)
        first, rest = took[0], sorted(took[1:])
        p95 = rest[int(0.95 * len(rest)) - 1]
        told = {
            "median_ms": statistics.median(rest), "p95_ms": p95, "first_ms": first,
            "median_cpu_ms": statistics.median(cpu[1:]),
        }  # fmt: skip
        rows.append({"page": path, **{name: round(value, 1) for name, value in told.items()}})
    return rows


def time_opening() -> dict[str, object]:
    """Seconds to open one more round on every picture, as a job does."""
    from annotation_site.services.rounds import discard_unmade
    from ingest.models import Dataset
    from quality.services.rounds import RoundPlan, open_labelling_round

    begun = time.perf_counter()
    made = open_labelling_round(
        Dataset.objects.get(name="million"), "classify", plan=RoundPlan(title="Third")
    )
    took, tasks = round(time.perf_counter() - begun, 1), made.tasks_total
    type(made).objects.filter(pk=made.pk).update(tasks_total=0)
    discard_unmade(made)
    return {"round": made.pk, "tasks": tasks, "opened_in_s": took}


if __name__ == "__main__":
    sys.exit(main())
