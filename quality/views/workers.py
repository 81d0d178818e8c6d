"""Who labels well: the workers of a dataset, one worker, and suspending one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, Round, Vote, Worker
from ingest.models import Dataset
from quality.charts import histogram, interval
from quality.models import WorkerSkill
from quality.paging import place_after, token
from quality.services import report
from quality.views.rounds import may_act

PAGE = 100
"""Workers on a page."""
RECENT = 24
"""Latest votes on a worker's page."""


@require_safe
@dataset_page(Role.REVIEWER)
def worker_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """The workers of one round, the most skilled first; the newest round that was aggregated by default."""
    rounds = list(dataset.rounds.filter(skills__isnull=False).distinct().order_by("-id")[:100])
    chosen = next((r for r in rounds if str(r.pk) == request.GET.get("round")), rounds[0] if rounds else None)
    context = {"dataset": dataset, "section": "workers", "rounds": rounds, "chosen_round": chosen}
    if chosen:
        context |= _workers_of(request, chosen)
    return render(request, "quality/workers.html", context)


def _workers_of(request: HttpRequest, round: Round) -> dict[str, Any]:
    every = WorkerSkill.objects.filter(round=round)
    flagged = every.exclude(flags="")
    only = request.GET.get("flagged") == "1"
    held = flagged if only else every
    place = place_after(request.GET.get("after", ""))
    if place:
        held = held.filter(Q(skill__lt=place[0]) | Q(skill=place[0], pk__gt=place[1]))
    skills = list(held.select_related("worker__user").order_by("-skill", "id")[: PAGE + 1])
    more, skills = len(skills) > PAGE, skills[:PAGE]
    right = report.gold_right(round, [skill.worker_id for skill in skills])
    kept = {"round": str(round.pk), **({"flagged": "1"} if only else {})}
    total = every.count()
    middle = every.order_by("-skill").values_list("skill", flat=True)[total // 2 : total // 2 + 1]
    return {
        "rows": [_row(skill, right.get(skill.worker_id)) for skill in skills],
        "total": total,
        "flagged": flagged.count(),
        "only_flagged": only,
        "median": next(iter(middle), None),
        "next": urlencode({**kept, "after": token(skills[-1].skill, skills[-1].pk)}) if more else "",
        "first_page": urlencode(kept) if place else None,
    }


def _row(skill: WorkerSkill, gold: tuple[int, int] | None) -> dict[str, Any]:
    return {
        "skill": skill,
        "worker": skill.worker,
        "gold": gold,
        "chart": skill_chart(skill),
        "flags": flags_of(skill),
    }


def skill_chart(skill: WorkerSkill) -> str:
    """The skill as a dot with its interval; amber where the worker is flagged."""
    words = _("right in %(skill)s%% of votes, between %(lo)s%% and %(hi)s%%") % {
        "skill": f"{100 * skill.skill:.0f}",
        "lo": f"{100 * skill.lo:.0f}",
        "hi": f"{100 * skill.hi:.0f}",
    }
    return interval(skill.skill, skill.lo, skill.hi, title=words, colour="warn" if skill.flags else "accent")


def flags_of(skill: WorkerSkill) -> list[dict[str, str]]:
    """Each flag with its line of evidence."""
    flags = [flag for flag in skill.flags.split(";") if flag]
    lines = skill.evidence.splitlines() + [""] * len(flags)
    return [{"flag": flag, "evidence": line} for flag, line in zip(flags, lines, strict=False)]


@require_safe
@dataset_page(Role.REVIEWER)
def worker_detail(request: HttpRequest, dataset: Dataset, code: str) -> HttpResponse:
    """How one worker labels in this dataset: skill, confusions, pace, the latest votes."""
    worker = _worker(dataset, code)
    skills = list(
        WorkerSkill.objects.filter(worker=worker, round__dataset=dataset)
        .select_related("round")
        .order_by("-round_id")
    )
    held = Vote.objects.filter(worker=worker, task__round__dataset=dataset)
    recent = held.select_related("category", "task__image", "task__category", "task__consensus")
    pace = report.pace(dataset, worker)
    participations = list(worker.participations.filter(round__dataset=dataset).select_related("round"))
    context = {
        "dataset": dataset,
        "section": "workers",
        "worker": worker,
        "skills": [
            {"skill": s, "chart": skill_chart(s), "flags": flags_of(s), "gold": gold}
            for s in skills
            for gold in [report.gold_right(s.round, [worker.pk]).get(worker.pk)]
        ],
        "votes": sum(p.votes for p in participations),
        "participations": participations,
        "names": report.label_names(dataset),
        "confusions": report.worker_confusions(dataset, worker),
        "pace": pace,
        "pace_chart": _pace_chart(pace),
        "recent": list(recent.order_by("-id")[:RECENT]),
        "may_act": may_act(request, dataset),
    }
    return render(request, "quality/worker.html", context)


@require_POST
@dataset_page(Role.REVIEWER)
def suspend(request: HttpRequest, dataset: Dataset, code: str) -> HttpResponse:
    """Stop giving a worker work (`suspended=1`) or take that back (`suspended=0`). Votes stay as they are."""
    worker = _worker(dataset, code)
    wanted = request.POST.get("suspended") == "1"
    Worker.objects.filter(pk=worker.pk).update(suspended=wanted)
    words = _("%(code)s gets no more work.") if wanted else _("%(code)s gets work again.")
    messages.success(request, words % {"code": worker.code})
    return redirect("worker", dataset.name, worker.code)


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
