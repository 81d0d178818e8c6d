"""Which images people disagree on, and the whole story of one image."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import NO, UNSURE, VERIFY_UNSURE, YES, Role, Task, Vote
from ingest.models import Candidate, Dataset
from quality.charts import posterior
from quality.models import Adjudication, Consensus, Gold, Reference
from quality.paging import place_after, token
from quality.services import report
from quality.services.followups import DECIDED
from quality.views.rounds import may_act

PAGE = 24
"""Pictures on a page: a multiple of 2, 3, 4 and 6 columns."""
COUNTED_TO = 1000
"""Where "how many" stops counting: beyond it, "more than 1,000" says enough."""
SHOWN = 500
"""Votes, candidates and copies shown of one image at most."""


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def review(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Pictures by how unsure their consensus is, the most uncertain first; gold left out."""
    rounds, names = list(dataset.rounds.order_by("-id")[:100]), report.label_names(dataset)
    chosen_round = next((r for r in rounds if str(r.pk) == request.GET.get("round")), None)
    category = request.GET.get("category", "")
    held = Consensus.objects.filter(task__gold=False, task__round__dataset=dataset)
    held = held.exclude(task__state=Task.State.WITHDRAWN)
    if chosen_round:
        held = held.filter(task__round=chosen_round)
    if category in (YES, NO):
        held = held.filter(label=category)
    elif category:
        held = held.filter(Q(label=category) | Q(task__category__key=category))
    unsure = held.exclude(task__state=Task.State.SETTLED)[: COUNTED_TO + 1].count()
    place = place_after(request.GET.get("after", ""))
    if place:
        held = held.filter(Q(confidence__gt=place[0]) | Q(confidence=place[0], pk__gt=place[1]))
    found = held.select_related("task__image", "task__category").order_by("confidence", "id")
    rows = list(found[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    kept = {k: v for k in ("category", "round") if (v := request.GET.get(k, ""))}
    context = {
        "dataset": dataset,
        "section": "review",
        "cards": _cards(rows, names),
        "may_act": may_act(request, dataset),
        "here": request.get_full_path(),
        "names": names,
        "next": urlencode({**kept, "after": token(rows[-1].confidence, rows[-1].pk)}) if more else "",
        "first_page": urlencode(kept) if place else None,
        "unsure": min(unsure, COUNTED_TO),
        "unsure_capped": unsure > COUNTED_TO,
        "labels": {key: name for key, name in names.items() if key not in (UNSURE, VERIFY_UNSURE)},
        "category": category,
        "rounds": rounds,
        "chosen_round": chosen_round,
    }
    return render(request, "quality/review.html", context)


def _cards(rows: list[Consensus], names: dict[str, str]) -> list[dict[str, Any]]:
    votes = report.votes_by_label(row.task_id for row in rows)
    decided = _decisions([row.task_id for row in rows if row.method == DECIDED])
    return [
        {
            "consensus": row,
            "task": row.task,
            "sha": row.task.image.sha256,
            "votes": votes.get(row.task_id, []),
            "choices": _likely_decisions(row, votes.get(row.task_id, [])),
            "decision": decided[row.task_id][-1] if row.task_id in decided else None,
            "chart": _posterior_chart(row, names, 3),
        }
        for row in rows
    ]


def _likely_decisions(row: Consensus, votes: list[tuple[str, int]]) -> list[str]:
    """The labels that an expert will most likely decide on: those that people gave."""
    if row.task.category_id:
        return [YES, NO]
    return [label for label, _n in votes if label != UNSURE][:4]


def _decisions(task_ids: list[int]) -> dict[int, list[Adjudication]]:
    """Every decision on these tasks, the newest last."""
    found: dict[int, list[Adjudication]] = {}
    if task_ids:
        for row in Adjudication.objects.filter(task__in=task_ids).order_by("id"):
            found.setdefault(row.task_id, []).append(row)
    return found


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def image(request: HttpRequest, dataset: Dataset, sha: str) -> HttpResponse:
    """Everything that is known about one image. A copy shows its group's votes, too."""
    shown = get_object_or_404(dataset.images.select_related("group__representative"), sha256=sha)
    group = shown.group
    members = list(group.images.order_by("id")[:SHOWN]) if group else [shown]
    ids = [member.pk for member in members]
    tasks = list(
        Task.objects.filter(image_id__in=ids)
        .select_related("round", "category", "consensus", "image")
        .order_by("-round_id", "id")
    )
    votes = (
        Vote.objects.filter(task__in=tasks)
        .select_related("worker", "category", "task__category")
        .order_by("task_id", "id")[:SHOWN]
    )
    by_task: dict[int, list[Vote]] = {}
    for vote in votes:
        by_task.setdefault(vote.task_id, []).append(vote)
    names = report.label_names(dataset)
    decided = _decisions([task.pk for task in tasks])
    stories = [_story(t, by_task.get(t.pk, []), names, decided.get(t.pk, [])) for t in tasks]
    context = {
        "dataset": dataset,
        "section": "images",
        "names": names,
        "told": next((story for story in stories if story["consensus"]), None),
        "may_see_workers": may_act(request, dataset),
        "image": shown,
        "represents": group is not None and group.representative_id == shown.pk,
        "representative": group.representative if group else None,
        "copies": [member for member in members if member.pk != shown.pk],
        "stories": stories,
        "candidates": _candidates(ids),
        "references": Reference.objects.filter(image_id__in=ids).select_related("category").order_by("id"),
        "gold": Gold.objects.filter(image_id__in=ids).select_related("category").first(),
    }
    return render(request, "quality/image.html", context)


def _story(
    task: Task, votes: list[Vote], names: dict[str, str], decisions: list[Adjudication]
) -> dict[str, Any]:
    consensus = getattr(task, "consensus", None)
    chart = _posterior_chart(consensus, names, 6) if consensus else ""
    return {"task": task, "votes": votes, "consensus": consensus, "chart": chart, "decisions": decisions}


def _posterior_chart(consensus: Consensus, names: dict[str, str], shown: int) -> str:
    likely = [(names.get(key, key), p) for key, p in consensus.posterior.items()]
    # Translators: how many further labels share what probability is left.
    return posterior(likely, title=_("How likely each label is"), shown=shown, more=_("{n} more"))


def _candidates(image_ids: list[int]) -> list[Candidate]:
    held = Candidate.objects.filter(image_id__in=image_ids)
    return list(held.select_related("source__category", "image").order_by("id")[:SHOWN])
