"""Which images people disagree on, and the whole story of one image."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import NO, UNSURE, VERIFY_UNSURE, YES, Role, Task, User, Vote
from ingest.models import Candidate, Dataset, Image, Takedown
from ingest.sources.kinds import REMOTE
from quality.charts import posterior
from quality.models import Adjudication, Consensus, Gold, QCPass, Reference, WorkerSkill
from quality.paging import place_after, token
from quality.services import report
from quality.services.followups import DECIDED
from quality.views.rounds import may_act

PAGE = 24
"""Pictures on a page: a multiple of 2, 3, 4 and 6 columns."""
WEB = ("http://", "https://")
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
    held = held.exclude(task__state=Task.State.WITHDRAWN).filter(task__image__taken_down=None)
    if chosen_round:
        held = held.filter(task__round=chosen_round)
    if category in (YES, NO):
        held = held.filter(label=category)
    elif category:
        held = held.filter(Q(label=category) | Q(task__category__key=category))
    unsure = held.exclude(task__state=Task.State.SETTLED)[: COUNTED_TO + 1].count()
    place = place_after(request.GET.get("after", ""))
    if place:
        # One range of the index, and the ties before the place taken out: an OR would be sorted anew.
        held = held.filter(confidence__gte=place[0]).exclude(confidence=place[0], pk__lte=place[1])
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
    names = report.label_names(dataset)
    stories = _stories(tasks, names)
    context = {
        "dataset": dataset,
        "section": "images",
        "names": names,
        "told": next((story for story in stories if story["consensus"]), None),
        "may_see_workers": may_act(request, dataset),
        "may_take_down": isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR),
        "image": shown,
        "takedown": Takedown.objects.filter(dataset=dataset, sha256=sha).first()
        if shown.taken_down
        else None,
        "group": group,
        "represents": group is not None and group.representative_id == shown.pk,
        "representative": group.representative if group else None,
        "copies": _copies(shown, members),
        "stories": stories,
        "candidates": _candidates(ids),
        "references": Reference.objects.filter(image_id__in=ids).select_related("category").order_by("id"),
        "gold": Gold.objects.filter(image_id__in=ids).select_related("category").first(),
        "releases": _releases(shown),
    }
    return render(request, "quality/image.html", context)


def _copies(shown: Image, members: list[Image]) -> list[dict[str, Any]]:
    """The other members of the group that may be seen; `bits` between the perceptual hashes."""
    return [
        {"image": member, "bits": (member.phash_unsigned ^ shown.phash_unsigned).bit_count()}
        for member in members
        if member.pk != shown.pk and member.taken_down is None
    ]


def _releases(shown: Image) -> list[dict[str, Any]]:
    """The releases that hold this very file, the newest first. Its split there is the release's to tell."""
    held = shown.release_images.select_related("release", "category").order_by("-release_id")[:SHOWN]
    return [{"version": row.release.version, "label": row.category.name} for row in held]


def _stories(tasks: list[Task], names: dict[str, str]) -> list[dict[str, Any]]:
    """Each task with its votes, the skill of those who gave them, and what each pass made of it."""
    ids, rounds = [task.pk for task in tasks], {task.round_id for task in tasks}
    held = Vote.objects.filter(task__in=ids).select_related("worker", "category", "task__category")
    votes: dict[int, list[Vote]] = {}
    for vote in held.order_by("task_id", "id")[:SHOWN]:
        votes.setdefault(vote.task_id, []).append(vote)
    workers = {vote.worker_id for told in votes.values() for vote in told}
    skills = {
        (row.round_id, row.worker_id): row
        for row in WorkerSkill.objects.filter(round__in=rounds, worker__in=workers)
    }
    passes: dict[int, list[QCPass]] = {}
    for row in QCPass.objects.filter(round__in=rounds).order_by("-number")[:SHOWN]:
        passes.setdefault(row.round_id, []).insert(0, row)
    decided = _decisions(ids)
    return [
        {
            **_story(task, votes.get(task.pk, []), names, decided.get(task.pk, [])),
            "rows": [(vote, skills.get((task.round_id, vote.worker_id))) for vote in votes.get(task.pk, [])],
            "passes": _passes(passes.get(task.round_id, []), votes.get(task.pk, [])),
        }
        for task in tasks
    ]


def _passes(passes: list[QCPass], votes: list[Vote]) -> list[dict[str, Any]]:
    """What each pass had to go by: the votes that had come, and what most of them said.

    Passes that saw the same votes as the one before are left out. What a pass concluded is kept of the last
    one only; it is shown beside, as the consensus.
    """
    told: list[dict[str, Any]] = []
    for row in passes:
        said = Counter(v.label for v in votes if not v.voided and v.created <= row.created)
        total = said.total()
        if total and (not told or told[-1]["votes"] != total):
            label, most = min(said.items(), key=lambda pair: (-pair[1], pair[0]))
            told.append({"pass": row, "votes": total, "label": label, "share": most / total})
    return told


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


def _candidates(image_ids: list[int]) -> list[tuple[Candidate, bool, bool]]:
    """(where the images were found, whether its address may be a link, whether its page's may)."""
    held = Candidate.objects.filter(image_id__in=image_ids)
    rows = held.select_related("source__category", "image").order_by("id")[:SHOWN]
    return [
        (row, row.source.kind in REMOTE and row.url.startswith(WEB), row.page_url.startswith(WEB))
        for row in rows
    ]
