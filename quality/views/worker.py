"""One worker: how well they label as of now, what was noticed, what is proposed, and what a curator does."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, Round, User, Vote, Worker
from annotation_site.services.voiding import CLOSED
from ingest.models import Dataset
from quality.charts import histogram, interval
from quality.jobs import settle_round
from quality.models import WorkerAction
from quality.policy import WHAT
from quality.services import report, workers
from quality.services.feedback import feedback_for
from quality.services.gold_trial import MOST_GOLD, USUAL_GOLD, trial_of

RECENT = 24
"""Latest votes on a worker's page."""
NOTES = (WorkerAction.Action.WARN, WorkerAction.Action.RETRAIN)


@require_safe
@dataset_page(Role.REVIEWER)
def worker_detail(request: HttpRequest, dataset: Dataset, code: str) -> HttpResponse:
    """Skill as of now, flags, what is proposed and done, confusions, pace, the latest votes."""
    worker = _worker(dataset, code)
    held = Vote.objects.filter(worker=worker, task__round__dataset=dataset)
    recent = held.select_related("category", "task__image", "task__category", "task__consensus")
    pace = report.pace(dataset, worker)
    participations = list(worker.participations.filter(round__dataset=dataset).select_related("round"))
    reviews = [_shown(told, worker, dataset) for told in workers.review(worker, dataset)]
    done = list(worker.actions.filter(dataset=dataset).select_related("round").order_by("-id"))
    proposed = next((p for p in workers.proposals(dataset) if p.worker == worker.code), None)
    context = {
        "dataset": dataset,
        "section": "workers",
        "worker": worker,
        "reviews": reviews,
        "newest": next((row for row in reviews if row["review"].votes), None),
        "flagged": [row for row in reviews if row["flags"]],
        "proposed": proposed.action.value if proposed else "",
        "proposed_words": WHAT[proposed.action] if proposed else "",
        "done": done,
        "seen": done[0].pk if done else 0,
        "trial": trial_of(worker, dataset),
        "usual_gold": USUAL_GOLD,
        "most_gold": MOST_GOLD,
        "votes": sum(p.votes for p in participations),
        "voidable": [p for p in participations if p.votes],
        "names": report.label_names(dataset),
        "confusions": report.worker_confusions(dataset, worker),
        "pace": pace,
        "pace_chart": _pace_chart(pace),
        "recent": list(recent.order_by("-id")[:RECENT]),
        "may_act": _is_curator(request, dataset),
    }
    return render(request, "quality/worker.html", context)


def _shown(told: workers.Review, worker: Worker, dataset: Dataset) -> dict[str, Any]:
    words = _("right in %(skill)s%% of votes, between %(lo)s%% and %(hi)s%%") % {
        "skill": f"{100 * told.skill:.0f}",
        "lo": f"{100 * told.lo:.0f}",
        "hi": f"{100 * told.hi:.0f}",
    }
    round = dataset.rounds.get(pk=told.round)
    lines = told.evidence + [""] * len(told.flags)
    return {
        "review": told,
        "round": round,
        "chart": interval(
            told.skill, told.lo, told.hi, title=words, colour="warn" if told.flags else "accent"
        ),
        "flags": [{"flag": flag, "evidence": line} for flag, line in zip(told.flags, lines, strict=False)],
        "gold": report.gold_right(round, [worker.pk]).get(worker.pk),
    }


def _is_curator(request: HttpRequest, dataset: Dataset) -> bool:
    return isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR)


@require_POST
@dataset_page()
def act(request: HttpRequest, dataset: Dataset, code: str) -> HttpResponse:
    """Suspend, restore, give more gold, or keep a note (`action`), always with a `reason`. Curators only."""
    worker = _worker(dataset, code)
    action, reason = request.POST.get("action", ""), request.POST.get("reason", "")
    by = request.user.get_username()
    try:
        if action == WorkerAction.Action.SUSPEND:
            workers.suspend_worker(worker, dataset, reason, by)
            messages.success(request, _("%(code)s gets no more work.") % {"code": worker.code})
        elif action == WorkerAction.Action.RESTORE:
            workers.restore_worker(worker, dataset, reason, by)
            messages.success(request, _("%(code)s gets work again.") % {"code": worker.code})
        elif action == WorkerAction.Action.MORE_GOLD:
            _more_gold(request, dataset, worker, reason)
        elif action in NOTES:
            workers.note(worker, dataset, action, reason, by)
            messages.success(request, _("Kept, with your name and the time."))
        else:
            messages.error(request, _("Choose one of the buttons."))
    except workers.UnusableReview as refusal:
        messages.error(request, str(refusal))
    return redirect("worker", dataset.name, worker.code)


def _more_gold(request: HttpRequest, dataset: Dataset, worker: Worker, reason: str) -> None:
    """Promise it, and say how much, and where there is too little of it.

    Raises:
        UnusableReview: see `workers.more_gold`.
    """
    try:
        count, seen = (
            int(request.POST.get(name) or usual) for name, usual in (("gold", USUAL_GOLD), ("seen", 0))
        )
    except ValueError:
        raise workers.UnusableReview(_("How much further gold? Give a number.")) from None
    by = request.user.get_username()
    made = workers.more_gold(worker, dataset, reason, by, count, seen=seen)
    promised = made.action.gold
    words = ngettext(
        "%(n)s further gold task comes to %(code)s, mixed into the next batches.",
        "%(n)s further gold tasks come to %(code)s, mixed into the next batches.",
        promised,
    )
    messages.success(request, words % {"n": promised, "code": worker.code})
    for number, there in made.per_round.items():
        if there < count:
            words = _("Round %(round)s holds %(there)s of %(count)s: %(code)s has met its other gold.")
            told = {"round": number, "there": there, "count": count, "code": worker.code}
            messages.warning(request, words % told)


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def void(request: HttpRequest, dataset: Dataset, code: str, pk: int) -> HttpResponse:
    """Ask with the numbers (GET), then void the worker's votes in a round (POST). Curators only."""
    worker = _worker(dataset, code)
    round = get_object_or_404(dataset.rounds, pk=pk)
    if request.method == "POST":
        return _void(request, dataset, worker, round)
    held = Vote.objects.counted().filter(worker=worker, task__round=round)
    closed = held.filter(task__gold=False, task__state__in=CLOSED)
    context = {
        "dataset": dataset,
        "section": "workers",
        "worker": worker,
        "round": round,
        "votes": held.count(),
        "reopened": closed.count(),
        "cost": held.count() * round.price,
        "of": round.participations.aggregate(n=Sum("votes"))["n"] or 0,
    }
    return render(request, "quality/worker_void.html", context)


def _void(request: HttpRequest, dataset: Dataset, worker: Worker, round: Round) -> HttpResponse:
    try:
        done = workers.void_votes(
            worker, round, request.POST.get("reason", ""), request.user.get_username(), settle=False
        )
    except workers.UnusableReview as refusal:
        messages.error(request, str(refusal))
        return redirect("worker_void", dataset.name, worker.code, round.pk)
    if workers.may_settle(round):
        settle_round.delay(round.pk)
    words = ngettext("One vote of %(code)s is void.", "%(n)s votes of %(code)s are void.", done.votes)
    messages.success(request, words % {"code": worker.code, "n": f"{done.votes:,}"})
    return redirect("worker", dataset.name, worker.code)


@require_safe
@dataset_page(Role.ANNOTATOR, Role.REVIEWER)
def feedback(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """What the person who looks was asked to look at again; nobody sees another's."""
    worker = Worker.objects.filter(user__username=request.user.get_username()).first()
    told = feedback_for(worker, dataset) if worker else None
    context = {
        "dataset": dataset,
        "told": told,
        "names": report.label_names(dataset),
        "wrong": len(told.mistakes) if told else 0,
    }
    return render(request, "quality/feedback.html", context)


def _worker(dataset: Dataset, code: str) -> Worker:
    worker = get_object_or_404(Worker.objects.select_related("user"), code=code)
    if not worker.participations.filter(round__dataset=dataset).exists():
        raise Http404
    return worker


def _pace_chart(pace: dict[str, Any] | None) -> str:
    if not pace:
        return ""
    spread: report.Histogram = pace["histogram"]
    return histogram(spread.counts, spread.edges, title=_("Votes by seconds taken"), unit="+ s")
