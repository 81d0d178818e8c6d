"""Who labels well: the workers of a round, the most skilled first."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, Round
from ingest.models import Dataset
from quality.charts import interval
from quality.models import WorkerSkill
from quality.paging import place_after, token
from quality.services import report

PAGE = 100
"""Workers on a page."""


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
