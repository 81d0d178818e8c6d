"""What `vote_path.py` votes in, made and audited with Django beside the site; prints JSON.

python -m benchmarks.vote_path_round make TASKS CLIENTS
python -m benchmarks.vote_path_round audit ROUND
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from benchmarks.dataset_page import insertion

LABELS = ["cat", "dog", "eel"]
GOLD, GOLD_RATE = 200, 0.05
NUMBERS = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) SELECT i FROM n)"
SHA256 = {"postgresql": "lpad(i::text, 64, '0')", "sqlite": "printf('%%064d', i)"}


def make(tasks: int, clients: int) -> dict[str, Any]:
    """Pictures by SQL, people, and a round on all pictures, opened as the command opens one (timed)."""
    from django.core.management import call_command
    from django.db import connection

    from annotation_site.models import ApiToken
    from annotation_site.services.accounts import AccountRow, create_users
    from ingest.models import Category, Dataset
    from quality.models import Gold
    from quality.services.rounds import RoundPlan, open_labelling_round

    call_command("migrate", verbosity=0)
    dataset = Dataset.objects.create(name="many", title="Many", images_stored=tasks, groups_found=tasks)
    categories = [
        Category.objects.create(dataset=dataset, key=key, name=key.title(), position=place)
        for place, key in enumerate(LABELS)
    ]
    add_pictures(dataset.pk, tasks)
    Gold.objects.bulk_create(
        Gold(dataset=dataset, image_id=n * (tasks // GOLD) + 1, category=categories[n % len(LABELS)])
        for n in range(GOLD)
    )
    people = create_users([AccountRow(f"w{n}", "annotator", dataset) for n in range(clients)])
    tokens = [
        {"name": user.username, "authorization": f"Bearer {ApiToken.issue(user)}"} for user, _ in people
    ]
    begun = time.perf_counter()
    made = open_labelling_round(dataset, "classify", plan=RoundPlan(title="Many", gold_rate=GOLD_RATE))
    opened = time.perf_counter() - begun
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {"round": made.pk, "tasks": made.tasks_total, "opened_in_s": round(opened, 1), "people": tokens}


def add_pictures(dataset: int, count: int) -> None:
    """Rows of pictures without bytes, each alone in its duplicate group."""
    from django.db import connection

    from ingest.models import DuplicateGroup, Image

    image = {"id": "i", "dataset_id": str(dataset), "sha256": SHA256[connection.vendor], "phash": "i",
             "hash_version": "1", "format": "'jpeg'", "width": "640", "height": "480", "bytes": "90000",
             "created": "CURRENT_TIMESTAMP"}  # fmt: skip
    group = {"id": "id", "dataset_id": str(dataset), "representative_id": "id", "draw": "0.5", "size": "1"}
    with connection.cursor() as cursor:
        cursor.execute(insertion("ingest.Image", image, f"{NUMBERS} AS numbered"), [count])
        cursor.execute(insertion("ingest.DuplicateGroup", group, Image._meta.db_table))
        cursor.execute(" ".join(["UPDATE", Image._meta.db_table, "SET group_id = id"]))
        if connection.vendor == "postgresql":
            for model in (Image, DuplicateGroup):
                after = "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)"
                cursor.execute(after, [model._meta.db_table, count])


def audit(round_id: int) -> dict[str, Any]:
    """What must be nothing, and every counted vote as [user name, task, label]."""
    from django.db.models import Count, F

    from annotation_site.models import Task, Vote

    tasks = Task.objects.filter(round=round_id)
    votes = Vote.objects.filter(task__round=round_id, voided=False).select_related("category")
    twice = votes.values("task", "worker").annotate(n=Count("id")).filter(n__gt=1)
    counted = tasks.filter(votes__gt=0).annotate(n=Count("vote_set"))
    return {
        "over": tasks.filter(gold=False, wanted__lt=F("votes") + F("leases")).count(),
        "double": twice.count(),
        "miscounted": counted.exclude(n=F("votes")).count(),
        "stored": [
            [v.worker.user.username, v.task_id, v.label] for v in votes.select_related("worker__user")
        ],
    }


if __name__ == "__main__":
    import django

    django.setup()
    numbers = [int(text) for text in sys.argv[2:]]
    json.dump({"make": make, "audit": audit}[sys.argv[1]](*numbers), sys.stdout)
