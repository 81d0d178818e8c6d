"""The rounds of a dataset: how far they are, and settling or closing one."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.figures import percent
from annotation_site.models import Role, Round, User
from annotation_site.services.refusals import RoundNotOpen
from annotation_site.services.rounds import close_round
from ingest.models import Dataset
from quality.charts import Bar, Part, bars, histogram, progress
from quality.jobs import settle_now
from quality.models import PlannedRound
from quality.services import report
from quality.services.consensus import estimated_accuracy
from quality.services.forecast import foretold, outcomes, vote_price
from quality.services.settling import Wish
from quality.views.round_changes import refused

log = logging.getLogger(__name__)
LISTED = 200
"""Rounds shown in the list: the newest."""
SHOWN = 50
"""Passes shown of a round: the newest."""


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def round_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Every round with its progress."""
    made = dataset.rounds.filter(tasks_total__gt=0)  # the others are being made
    found = list(made.order_by("-id")[:LISTED])
    votes = report.round_votes(found)
    rows = [{"round": r, "votes": votes[r.pk], "wish": Wish.of(r), **_progress(r)} for r in found]
    totals = {
        "open": sum(r.state == Round.State.OPEN for r in found),
        "tasks": sum(r.tasks_total for r in found),
        "settled": sum(r.tasks_settled for r in found),
        "votes": sum(votes.values()),
    }
    context = {"dataset": dataset, "section": "rounds", "rows": rows, "totals": totals}
    context |= {"may_make": may_change(request, dataset), "planned": _being_made(dataset)}
    return render(request, "quality/rounds.html", context)


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def round_detail(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """How far is this round?"""
    round = get_object_or_404(dataset.rounds, pk=pk)
    every = list(round.qc_passes.order_by("-number"))
    passes = every[:SHOWN]
    told = outcomes(every)
    by_pass = {row.number: row for row in told}
    spread = report.confidence_histogram(round)
    votes = round.votes_counted
    going, curator = round.state != Round.State.CLOSED, may_change(request, dataset)
    names = report.label_names(dataset)
    instructions = round.instructions.filter(version=round.instructions_version).first()
    context = {
        "dataset": dataset,
        "section": "rounds",
        "round": round,
        "votes": votes,
        "votes_per_task": votes / round.tasks_total if round.tasks_total else None,
        "passes": [(made, by_pass.get(made.number)) for made in passes],
        "last": passes[0] if passes else None,
        "forecast": foretold(passes[0], vote_price(round)) if passes else None,
        "outcome": told[0] if told and told[0].took is not None else None,
        "wish": Wish.of(round),
        "accuracy": estimated_accuracy(round) if passes else None,
        "instructions": instructions,
        "may_act": going and (curator or may_act(request, dataset)),
        "may_change": going and curator,
        "left": round.changes.filter(finished=False).first(),
        "children": list(round.children.order_by("pk")[:LISTED]),
        "by_category": report.category_progress(round),
        "names": names,
        "spread": spread,
        "spread_chart": _spread_chart(spread),
        "labels_chart": _labels_chart(report.label_counts(round), names),
        **_progress(round),
    }
    return render(request, "quality/round.html", context)


@require_POST
@dataset_page(Role.REVIEWER)
def settle(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Run a quality-control pass, here or on a Celery worker."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    try:
        job = settle_now(round)
    except RoundNotOpen as refusal:
        return refused(request, dataset, round, str(refusal))
    if job.failed():
        log.error("round %s could not be settled: %s", round.pk, job.traceback)
        messages.error(request, _("The pass failed; nothing was lost. The log says why."))
    elif job.successful():
        made = round.qc_passes.get(pk=job.result)
        told = {"settled": f"{made.settled:,}", "tasks": f"{round.tasks_total:,}"}
        settled = ngettext(
            "%(settled)s of %(tasks)s task is settled;",
            "%(settled)s of %(tasks)s tasks are settled;",
            round.tasks_total,
        )
        asked = ngettext(
            "%(asked)s more vote is asked for.", "%(asked)s more votes are asked for.", made.votes_asked
        )
        words = f"{settled % told} {asked % {'asked': f'{made.votes_asked:,}'}}"
        messages.success(request, words)
    else:
        messages.info(request, _("The pass has started; this page shows it when it is done."))
    return redirect("round", dataset.name, round.pk)


@require_POST
@dataset_page(Role.REVIEWER)
def close(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Hand out no more work of this round."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    if round.state == Round.State.CLOSED:
        return refused(request, dataset, round, _("The round is closed already."))
    if not round.tasks_total:
        return refused(request, dataset, round, _("The round is not made yet."))
    close_round(round)
    messages.success(request, _("The round is closed: it hands out no more work."))
    return redirect("round", dataset.name, round.pk)


def may_change(request: HttpRequest, dataset: Dataset) -> bool:
    """Whether this person may make rounds and change them."""
    return isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR)


def may_act(request: HttpRequest, dataset: Dataset) -> bool:
    """Whether this person may settle, close or suspend, and not only look."""
    return isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR, Role.REVIEWER)


def _being_made(dataset: Dataset) -> list[PlannedRound]:
    """Rounds that were ordered and are not there yet, the newest first."""
    return list(dataset.planned_rounds.exclude(state=PlannedRound.State.OPEN).order_by("-pk")[:SHOWN])


def _progress(round: Round) -> dict[str, Any]:
    collecting = max(0, round.tasks_total - round.tasks_settled - round.tasks_exhausted)
    parts = [
        Part(_("settled"), round.tasks_settled, "ok"),
        Part(_("still unsure at the most votes"), round.tasks_exhausted, "warn"),
        Part(_("collecting votes"), collecting, "line"),
    ]
    return {
        "collecting": collecting,
        "share": round.tasks_settled / round.tasks_total if round.tasks_total else None,
        "progress_chart": progress(parts, title=_("Tasks by state")),
    }


def _spread_chart(spread: report.Histogram) -> str:
    if not spread.total:
        return ""
    percents = [100 * edge for edge in spread.edges]
    return histogram(spread.counts, percents, title=_("Tasks by the confidence of their consensus"))


def _labels_chart(counts: list[tuple[str, int]], names: dict[str, str]) -> str:
    total = sum(n for _label, n in counts)
    rows = [Bar(names.get(label, label), n, f"{n:,} ({percent(n / total)})") for label, n in counts]
    return bars(rows, title=_("Tasks by label")) if rows else ""
