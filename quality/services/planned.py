"""Rounds ordered on the site: made at once where they are small, else by a job; each of them once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from annotation_site.models import Round
from annotation_site.services.locking import short_write
from annotation_site.services.rounds import discard_unmade
from ingest.models import Dataset
from quality.models import PlannedRound
from quality.services.followups import UnusableRound
from quality.services.foresight import Asked
from quality.services.rounds import open_labelling_round, open_repeat_round

log = logging.getLogger(__name__)
State = PlannedRound.State
AT_ONCE = 10_000
"""Tasks that are made while the person waits: about a second."""
DEAD = timedelta(minutes=2)
"""Whoever gave no sign of life for so long is not making the round any more."""
LOG = "rounds.log"


class _Overtaken(Exception):
    """Somebody else makes this round now."""


def plan_round(dataset: Dataset, key: str, asked: dict[str, Any], by: str, tasks: int) -> PlannedRound:
    """Keep what was asked for. The same key again, from the same dataset, is the same round.

    Raises:
        UnusableRound: the key belongs to another dataset.
    """
    planned, _made = PlannedRound.objects.get_or_create(
        key=key, defaults={"dataset": dataset, "asked": asked, "by": by, "tasks": tasks}
    )
    if planned.dataset_id != dataset.pk:
        raise UnusableRound("this form belongs to another dataset: fill it in again")
    return planned


def is_stuck(planned: PlannedRound) -> bool:
    """Whether nobody is at it though it is not there: its process was killed, or never began."""
    return planned.state in (State.WAITING, State.MAKING) and planned.touched < timezone.now() - DEAD


def make_planned(pk: int) -> PlannedRound:
    """Make the round and open it, unless that was done, or somebody is at it. Safe to run twice.

    What a killed attempt left half made is cleared away first; a round that cannot be made says why in its
    row.
    """
    planned = _begin(pk)
    if planned is None:
        return PlannedRound.objects.get(pk=pk)
    mine = PlannedRound.objects.filter(pk=pk, attempt=planned.attempt, state=State.MAKING)

    def made(round: Round, done: int, of: int) -> None:
        if not mine.update(round=round, made=done, tasks=of, touched=timezone.now()):
            raise _Overtaken

    try:
        if planned.round is not None:
            discard_unmade(planned.round)
        round = _open(planned.dataset, Asked.of(planned.asked), made)
        mine.update(state=State.OPEN, round=round, made=F("tasks"), touched=timezone.now())
    except _Overtaken:
        log.warning("planned round %s is being made by somebody else", pk)
    except (UnusableRound, ValueError) as error:
        mine.update(state=State.FAILED, error=str(error)[:500], touched=timezone.now())
    except Exception:
        log.exception("planned round %s could not be made", pk)
        mine.update(state=State.FAILED, error="it failed; the log says why", touched=timezone.now())
    return PlannedRound.objects.get(pk=pk)


def _open(dataset: Dataset, asked: Asked, made: Callable[[Round, int, int], object]) -> Round:
    invited = asked.invited(dataset)
    if asked.repeat is not None:
        first = asked.repeated(dataset)
        return open_repeat_round(first, asked.share, plan=asked.plan, invited=invited, made=made)
    return open_labelling_round(
        dataset,
        asked.question,
        images=asked.which(),
        plan=asked.plan,
        proposals=asked.proposed(dataset),
        invited=invited,
        category=asked.category,
        made=made,
    )


def _begin(pk: int) -> PlannedRound | None:
    """The row, taken by this process; None where the round is there or somebody is at it."""
    with short_write():
        planned = PlannedRound.objects.select_for_update(of=("self",)).get(pk=pk)
        if planned.round is not None and planned.round.tasks_total:
            # Killed right after it had opened.
            PlannedRound.objects.filter(pk=pk).update(state=State.OPEN, made=F("tasks"))
            return None
        alive = planned.state == State.MAKING and not is_stuck(planned)
        if planned.state == State.OPEN or alive:
            return None
        planned.state, planned.error, planned.made = State.MAKING, "", 0
        planned.attempt += 1
        planned.save(update_fields=["state", "error", "made", "attempt", "touched"])
        return planned


def begun_or_due() -> list[int]:
    """Ids of the rounds that wait, or were left half made; the oldest first."""
    left = Q(state=State.WAITING) | Q(state=State.MAKING, touched__lt=timezone.now() - DEAD)
    return list(PlannedRound.objects.filter(left).order_by("pk").values_list("pk", flat=True))


def start_process(*command: str) -> None:
    """Let a `manage.py` process do it; it outlives the request. Raises OSError where none starts."""
    with (settings.DATA_DIR / LOG).open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), *command],
            cwd=settings.BASE_DIR,
            env={**os.environ, "ASSAY_PROGRESS": "0"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    # A web server lives on and has to hear of its end.
    threading.Thread(target=process.wait, daemon=True).start()
