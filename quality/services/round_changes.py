"""What a change of a round would do, in numbers and words; and doing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.figures import percent
from annotation_site.models import Round, RoundChange
from annotation_site.services.changing import NotChangeable, change_round, differences
from annotation_site.services.quiz_making import pictures_of
from quality.services.settling import Wish

AT_ONCE = 50_000
"""Tasks of a round whose change of votes is carried out while the person waits: some two seconds."""


def foretell(round: Round, wanted: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that the change does; none where nothing differs. From kept counters.

    Raises:
        NotChangeable: the numbers contradict each other or the round's preset.
    """
    check_preset(round, wanted)
    new = differences(round, wanted)
    told: list[str] = []
    if new.keys() & {"votes_min", "votes_max", "confidence"}:
        told.append(_states(round, new))
    for name, words in (
        ("votes_max", _most),
        ("votes_min", _least),
        ("confidence", _confidence),
        ("price", _price),
    ):
        if name in new:
            told.append(words(round, new[name]))
    if new.keys() & {"batch_size", "lease_seconds"}:
        told.append(_("From the next batch on; what people hold now stays as it is."))
    if "quiz_id" in new:
        told.append(_quiz(round, new["quiz_id"]))
    if "tells_agreement" in new:
        told.append(
            _("Once it is closed, people see on their own page how often they were right on gold.")
            if new["tells_agreement"]
            else _("People are not told how often they were right on gold.")
        )
    if "title" in new:
        told.append(_("People see the new title at once."))
    return told


def check_preset(round: Round, wanted: Mapping[str, Any]) -> None:
    """Refuse numbers that the round's own rule cannot work with.

    Raises:
        NotChangeable: with the number that is wrong.
    """
    try:
        Wish.of(round).check(wanted.get("votes_max", round.votes_max))
    except ValueError as error:
        raise NotChangeable(str(error)) from None


def apply_change(round: Round, wanted: Mapping[str, Any], by: str) -> RoundChange | None:
    """Change the round; its tasks follow by `annotation_site.services.changing.carry_out`.

    Raises:
        NotChangeable: see the message; nothing was changed.
    """
    check_preset(round, wanted)
    return change_round(round, wanted, by)


def collecting(round: Round) -> int:
    """Tasks that are neither settled nor exhausted, from the kept counters."""
    return max(0, round.tasks_total - round.tasks_settled - round.tasks_exhausted)


def _states(round: Round, new: Mapping[str, Any]) -> str:
    """What stays, and what goes on."""
    settled, going = round.tasks_settled, collecting(round)
    stays = ngettext("%(n)s settled task stays settled;", "%(n)s settled tasks stay settled;", settled) % {
        "n": f"{settled:,}"
    }
    most = new.get("votes_max", round.votes_max)
    goes = ngettext(
        "%(n)s open task may get up to %(most)s votes.",
        "%(n)s open tasks may get up to %(most)s votes.",
        going,
    ) % {"n": f"{going:,}", "most": f"{most:,}"}
    stricter = new.get("confidence", 0) > round.confidence or new.get("votes_min", 0) > round.votes_min
    if stricter and settled:
        stays = ngettext(
            "%(n)s settled task is weighed again by the next pass, and asked about again if not enough;",
            "%(n)s settled tasks are weighed again by the next pass, and asked about again if not enough;",
            settled,
        ) % {"n": f"{settled:,}"}
    return f"{stays} {goes}"


def _most(round: Round, most: int) -> str:
    if most > round.votes_max:
        tired = round.tasks_exhausted
        if not tired:
            return _("Votes that were given stay; people are asked for more only where a task stays unsure.")
        return ngettext(
            "%(n)s task that stayed unsure at %(old)s votes may be asked about again by the next pass.",
            "%(n)s tasks that stayed unsure at %(old)s votes may be asked about again by the next pass.",
            tired,
        ) % {"n": f"{tired:,}", "old": round.votes_max}
    return _("Every vote that was given stays, and so do the batches that people hold now.")


def _least(round: Round, least: int) -> str:
    if least > round.votes_min:
        return _("No task settles with fewer than %(least)s votes from now on.") % {"least": least}
    return _("Tasks that wait for their first %(old)s votes wait for %(least)s only.") % {
        "old": round.votes_min,
        "least": least,
    }


def _confidence(round: Round, confidence: float) -> str:
    return _("From the next pass on a task settles when its label is %(new)s sure, instead of %(old)s.") % {
        "new": percent(confidence),
        "old": percent(round.confidence),
    }


def _quiz(round: Round, quiz_id: int | None) -> str:
    if quiz_id is None:
        return _("Nobody has to pass a quiz any more.")
    pictures = len(pictures_of(round.dataset, quiz_id))
    return ngettext(
        "Annotators pass the quiz before their next batch. Its picture is asked about no more.",
        "Annotators pass the quiz before their next batch. Its %(n)s pictures are asked about no more where "
        "they still collect votes; votes are kept.",
        pictures,
    ) % {"n": pictures}


def _price(round: Round, price: Any) -> str:
    votes = round.votes_counted
    return ngettext(
        "The forecast and the release count each vote at $%(price)s; the %(n)s vote given so far, too.",
        "The forecast and the release count each vote at $%(price)s; the %(n)s votes given so far, too.",
        votes,
    ) % {"price": price, "n": f"{votes:,}"}
