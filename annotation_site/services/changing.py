"""Changing a round that has begun: pausing it, and other numbers for what it still asks.

A change of the votes reaches every task, in short transactions of some thousand rows; a change that was
killed goes on where it was (`RoundChange.cursor`). What was handed out before it still counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Case, F, IntegerField, Max, Min, Q, Value, When
from django.db.models.functions import Greatest, Least

from annotation_site.models import Round, RoundChange, Task
from annotation_site.services.locking import short_write
from annotation_site.services.quiz_making import BadQuiz, check_quiz, gold_among, leave_rounds
from annotation_site.services.refusals import Refusal
from annotation_site.services.rounds import HAS_ROOM

CHUNK = 5_000
CHANGEABLE = (
    "title", "votes_min", "votes_max", "confidence", "price", "batch_size", "lease_seconds", "quiz_id",
    "tells_agreement",
)  # fmt: skip
VOTES = ("votes_min", "votes_max")
State = Round.State


class NotChangeable(Refusal):
    """The round is closed or not made yet, or the numbers contradict each other (409)."""


def pause_round(round: Round) -> None:
    """Hand out no more work until `reopen_round`; batches that people hold can be finished.

    Raises:
        NotChangeable: the round is closed or not made yet.
    """
    _move(round, State.OPEN, State.PAUSED)


def reopen_round(round: Round) -> None:
    """Hand out work again after a pause.

    Raises:
        NotChangeable: the round is closed or not made yet.
    """
    _move(round, State.PAUSED, State.OPEN)


def _move(round: Round, old: str, new: str) -> None:
    with short_write():
        moved = Round.objects.filter(pk=round.pk, state=old, tasks_total__gt=0).update(state=new)
    round.refresh_from_db()
    if not moved and (round.state != new or not round.tasks_total):
        raise NotChangeable(_why(round))


def _why(round: Round) -> str:
    return "The round is closed." if round.state == State.CLOSED else "The round is not made yet."


def differences(round: Round, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of `wanted` (field -> value) the round does not have already.

    Raises:
        NotChangeable: the numbers contradict each other.
    """
    unknown = wanted.keys() - set(CHANGEABLE)
    if unknown:
        raise NotChangeable(f"These cannot be changed: {', '.join(sorted(unknown))}.")
    least = wanted.get("votes_min", round.votes_min)
    most = wanted.get("votes_max", round.votes_max)
    if not 1 <= least <= most <= 1_000:
        raise NotChangeable(f"Votes must be 1 <= least <= most <= 1000, not {least} and {most}.")
    if not 0 < wanted.get("confidence", round.confidence) < 1:
        raise NotChangeable("The confidence must be between 0 and 1.")
    if wanted.get("batch_size", 1) < 1 or wanted.get("lease_seconds", 60) < 60 or wanted.get("price", 0) < 0:
        raise NotChangeable("A batch has a picture and a lease a minute, or more; a price is not below 0.")
    new = {name: value for name, value in wanted.items() if getattr(round, name) != value}
    if new.get("quiz_id") is not None:
        _check_quiz(round, new["quiz_id"])
    return new


def _check_quiz(round: Round, quiz_id: int) -> None:
    try:
        quiz = check_quiz(round.dataset, round.question, quiz_id)
    except BadQuiz as refusal:
        raise NotChangeable(str(refusal)) from None
    if gold := gold_among(quiz, round):
        raise NotChangeable(
            f"{gold} of the quiz's pictures are gold in this round, and a quiz tells their answers: ask for "
            "another quiz, or for this one in a new round."
        )


def change_round(round: Round, wanted: Mapping[str, Any], by: str = "") -> RoundChange | None:
    """Change a round's numbers; its tasks follow by `carry_out`.

    Returns:
        The change, not yet carried out where it is one of the votes; None where nothing differs.

    Raises:
        NotChangeable: closed, not made yet, numbers that contradict each other, or an earlier change of the
            votes is still being carried out.
    """
    with short_write():
        held = Round.objects.select_for_update(no_key=True).get(pk=round.pk)
        if held.state == State.CLOSED or not held.tasks_total:
            raise NotChangeable(_why(held))
        new = differences(held, wanted)
        if not new:
            return None
        if held.changes.filter(finished=False).exists():
            raise NotChangeable("An earlier change is still being carried out: let it finish first.")
        old = {name: getattr(held, name) for name in new}
        for name, value in new.items():
            setattr(held, name, value)
        held.save(update_fields=list(new))
        made = RoundChange.objects.create(
            round=held,
            by=by,
            before=_plain(old | {name: old.get(name, getattr(held, name)) for name in VOTES}),
            after=_plain(new | {name: getattr(held, name) for name in VOTES}),
            finished=not new.keys() & set(VOTES),
        )
    round.refresh_from_db()
    if "quiz_id" in new and round.quiz is not None:
        leave_rounds(round.quiz)
        round.refresh_from_db()
    return made


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, Decimal) else v for name, v in values.items()}


def carry_out(change: RoundChange) -> None:
    """Let the round's tasks follow a change of its votes, chunk by chunk. Safe to run twice, and at once.

    Tasks that were not asked about beyond the least want the new least, audited ones the new most, and none
    more than that. A settled or exhausted task keeps its state: the next pass judges it by the new numbers.
    """
    tasks = Task.objects.filter(round=change.round_id)
    ends = [tasks.filter(state=state).aggregate(lo=Min("pk"), hi=Max("pk")) for state in Task.State.values]
    first = min((end["lo"] for end in ends if end["lo"]), default=1)
    last = max((end["hi"] for end in ends if end["hi"]), default=0)
    while True:
        with short_write():
            held = RoundChange.objects.select_for_update().get(pk=change.pk)
            begin = max(held.cursor, first - 1) + 1
            if held.finished or begin > last:
                held.finished = True
                held.save(update_fields=["finished"])
                break
            held.cursor = begin + CHUNK - 1
            _follow(Task.objects.filter(round=held.round_id, pk__range=(begin, held.cursor)), held)
            held.save(update_fields=["cursor"])
    change.refresh_from_db()


def _follow(rows: Any, change: RoundChange) -> None:
    """The tasks of one chunk; rows that stay as they are, are not written."""
    list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))  # one order for all locks
    old, new = change.before, change.after
    least, most = Value(new["votes_min"]), Value(new["votes_max"])
    asked = Case(
        When(audit=True, wanted__gte=old["votes_max"], then=most),
        When(wanted__lte=old["votes_min"], then=least),
        default=Greatest(F("wanted"), least),
        output_field=IntegerField(),
    )
    wanted = Case(
        When(state=Task.State.OPEN, then=Greatest(F("votes"), Least(asked, most))),
        default=Least(F("wanted"), Greatest(F("votes"), most)),
        output_field=IntegerField(),
    )
    rows.alias(becomes=wanted).exclude(wanted=F("becomes")).update(wanted=wanted)
    still_open = rows.filter(Q(state=Task.State.OPEN, gold=False))
    still_open.alias(room=HAS_ROOM).exclude(claimable=F("room")).update(claimable=HAS_ROOM)
