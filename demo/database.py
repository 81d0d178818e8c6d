"""What the demo's database holds: read for the report and for going on after a kill. Writes nothing."""

import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import django

from demo.processes import environment


def connect(data: Path) -> None:
    """Point Django of this process at the demo's folder. Once, before the other functions."""
    for name in set(os.environ) - set(environment(data)):
        del os.environ[name]
    os.environ.update(environment(data))
    django.setup()


def datasets(data: Path) -> list[str]:
    """Names of the datasets in the folder's database, without Django; none where there is no database."""
    path = data / "db.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return [row[0] for row in database.execute("SELECT name FROM ingest_dataset ORDER BY name")]
        except sqlite3.Error:
            return []


def groups(dataset: str) -> dict[str, str]:
    """SHA-256 of every stored image -> SHA-256 of its group's representative."""
    from ingest.models import Image

    rows = Image.objects.filter(dataset__name=dataset).values_list("sha256", "group__representative__sha256")
    return {image: representative or image for image, representative in rows}


def outcomes(dataset: str) -> dict[str, int]:
    """How many links ended how: `stored`, `same bytes as another`, or a reason such as `truncated`."""
    from ingest.models import Candidate

    counts: Counter[str] = Counter()
    for state, reason in Candidate.objects.filter(source__dataset__name=dataset).values_list(
        "state", "reason"
    ):
        counts[reason or Candidate.State(state).label] += 1
    return dict(counts)


def has_round(dataset: str, title: str) -> bool:
    """Whether a round of this title was opened."""
    from annotation_site.models import Round

    return Round.objects.filter(dataset__name=dataset, title=title).exists()


def open_round(dataset: str) -> int | None:
    """The newest round that is open."""
    from annotation_site.models import Round

    newest = Round.objects.filter(dataset__name=dataset, state=Round.State.OPEN).order_by("-id").first()
    return newest.pk if newest else None


def has_users(names: list[str]) -> bool:
    """Whether all of these people have an account."""
    from annotation_site.models import User

    return User.objects.filter(username__in=names).count() == len(set(names))
