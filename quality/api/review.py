"""Disputed pictures: which ones people disagree on, and an expert's decision."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import Q
from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status

from annotation_site.api.access import LOGGED_IN, Id, Name, dataset_of, user_of
from annotation_site.api.cursors import By, Cursor, Limit, page
from annotation_site.api.examples import shown
from annotation_site.api.problems import PROBLEMS, READING
from annotation_site.models import NO, YES, Role, Task
from quality.models import Adjudication, Consensus
from quality.services import report
from quality.services.adjudication import adjudicate, take_back
from quality.services.followups import DECIDED

router = Router(tags=["review"], auth=LOGGED_IN)


class Said(Schema):
    """How many counted votes say this."""

    label: str
    votes: int


class DecisionOut(Schema):
    """An expert's decision on a task; an empty label took an earlier one back."""

    task: int
    label: str
    by: str
    created: datetime


class Disputed(Schema):
    """A task with a consensus. `category`: what a verify round proposed; `posterior`: by label."""

    task: int
    round: int
    image: str
    thumbnail_url: str
    category: str | None
    state: str
    label: str
    confidence: float
    tie: bool
    method: str
    posterior: dict[str, float]
    votes: list[Said]
    decision: DecisionOut | None


class ReviewOut(Schema):
    """Tasks, the most uncertain first; `next` is the address of the following ones, or null."""

    tasks: list[Disputed]
    next: str | None


class DecideIn(Schema):
    """The answer: a category id, `__none__`, `yes` or `no`."""

    model_config = shown(label="finch")
    label: Annotated[str, Field(min_length=1, max_length=100)]


@router.get("datasets/{name}/review", response={200: ReviewOut, **READING}, url_name="dataset_review")
def review(
    request: HttpRequest,
    name: Name,
    cursor: Cursor,
    limit: Limit,
    round: Annotated[int, Query(0, ge=0, le=2**63 - 1, description="a round; 0: all")],
    category: Annotated[str, Query("", max_length=100, description="a label, or a category proposed")],
) -> Any:
    """Tasks by how unsure their consensus is, the most uncertain first; gold left out."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    held = Consensus.objects.filter(task__gold=False, task__round__dataset=dataset)
    held = held.exclude(task__state=Task.State.WITHDRAWN).filter(task__image__taken_down=None)
    if round:
        held = held.filter(task__round=round)
    if category in (YES, NO):
        held = held.filter(label=category)
    elif category:
        held = held.filter(Q(label=category) | Q(task__category__key=category))
    found = held.select_related("task__image", "task__category")
    rows, following = page(request, found, [By("confidence", float), By("pk", int)], cursor, limit)
    votes = report.votes_by_label(row.task_id for row in rows)
    newest = _newest_decisions([row.task_id for row in rows if row.method == DECIDED])
    tasks = []
    for row in rows:
        task, decision = row.task, newest.get(row.task_id)
        tasks.append(
            {
                "task": task.pk,
                "round": task.round_id,
                "image": task.image.sha256,
                "thumbnail_url": reverse("image_thumb", args=[dataset.name, task.image.sha256]),
                "category": task.category.key if task.category else None,
                "state": task.get_state_display(),
                "label": row.label,
                "confidence": row.confidence,
                "tie": row.tie,
                "method": row.method,
                "posterior": row.posterior,
                "votes": [{"label": label, "votes": n} for label, n in votes.get(task.pk, [])],
                "decision": decision_line(decision) if decision else None,
            }
        )
    return {"tasks": tasks, "next": following}


@router.post(
    "datasets/{name}/tasks/{task_id}/decision", response={200: DecisionOut, **PROBLEMS}, url_name="decision"
)
def decide(request: HttpRequest, name: Name, task_id: Id, body: DecideIn) -> Any:
    """Settle a task by an expert's decision. It proves nothing: no vote and no reference is made of it."""
    task = _task(request, name, task_id)
    return decision_line(adjudicate(task, body.label, user_of(request).get_username()))


@router.delete(
    "datasets/{name}/tasks/{task_id}/decision", response={204: None, **PROBLEMS}, url_name="decision"
)
def undo(request: HttpRequest, name: Name, task_id: Id) -> Any:
    """Take the decision back: the task is open again, and the next pass weighs its votes."""
    take_back(_task(request, name, task_id), user_of(request).get_username())
    return Status(204, None)


def decision_line(row: Adjudication) -> dict[str, Any]:
    """A decision as it is sent."""
    return {"task": row.task_id, "label": row.label, "by": row.expert, "created": row.created}


def _task(request: HttpRequest, name: str, task_id: int) -> Task:
    dataset = dataset_of(request, name, Role.REVIEWER)
    found = Task.objects.select_related("round").filter(pk=task_id, round__dataset=dataset).first()
    if found is None:
        raise Http404(f"There is no task {task_id} in dataset {name}.")
    return found


def _newest_decisions(task_ids: list[int]) -> dict[int, Adjudication]:
    rows = Adjudication.objects.filter(task__in=task_ids).order_by("pk") if task_ids else []
    return {row.task_id: row for row in rows}
