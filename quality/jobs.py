"""Background jobs of this stage. Without a broker they run where they are called, or in their own process."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from annotation_site.celery import app
from annotation_site.models import Round, RoundChange
from annotation_site.services.changing import carry_out
from annotation_site.services.refusals import RoundNotOpen
from quality.models import PlannedRound
from quality.services.consensus import aggregate_round
from quality.services.planned import AT_ONCE, make_planned, start_process
from quality.services.round_changes import AT_ONCE as AT_ONCE_CHANGED

log = logging.getLogger(__name__)


@app.task
def settle_round(round_id: int, method: str = "auto") -> int:
    """One quality-control pass; returns its QCPass's id. Safe to run twice: the second changes nothing."""
    return aggregate_round(Round.objects.get(pk=round_id), method).pk


@app.task
def make_round(planned_id: int) -> str:
    """Make a round that was ordered on the site; returns its state. Safe to run twice."""
    return make_planned(planned_id).state


@app.task
def follow_change(change_id: int) -> None:
    """Let a round's tasks follow a change of its votes. Safe to run twice."""
    carry_out(RoundChange.objects.get(pk=change_id))


def settle_now(round: Round) -> Any:
    """A pass that a person asks for; gives its job.

    Raises:
        RoundNotOpen: nothing settles in a closed round by hand.
    """
    round.refresh_from_db(fields=["state"])
    if round.state == Round.State.CLOSED:
        raise RoundNotOpen(_("The round is closed: what is settled stays, and nothing else settles."))
    return settle_round.delay(round.pk)


def begin_change(change: RoundChange) -> bool:
    """Have a change carried out: here where the round is small, else as `begin` does. Whether it is done."""
    if change.finished or change.round.tasks_total <= AT_ONCE_CHANGED:
        carry_out(change)
        return True
    try:
        if settings.CELERY_BROKER_URL:
            follow_change.apply_async((change.pk,), retry=False)
        else:
            start_process("change_round", str(change.round_id))
    except Exception:  # each broker's client has faults of its own
        log.exception("change %s of round %s: nobody could be told", change.pk, change.round_id)
    return False


def begin(planned: PlannedRound) -> PlannedRound:
    """Have the round made: here where it is small, else on a Celery worker or in a process of its own.

    Where nobody can be told it waits, and its row says so.
    """
    if planned.tasks <= AT_ONCE:
        return make_planned(planned.pk)
    try:
        if settings.CELERY_BROKER_URL:
            make_round.apply_async((planned.pk,), retry=False)
        else:
            start_process("open_round", planned.dataset.name, "--planned", str(planned.pk))
    except Exception:  # each broker's client has faults of its own
        log.exception("planned round %s: nobody could be told", planned.pk)
        planned.error = (
            f"nobody could be told: manage.py open_round {planned.dataset.name} --planned {planned.pk}"
        )
        planned.save(update_fields=["error"])
    return planned
