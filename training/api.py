"""Training runs for programs: `/api/v1/datasets/NAME/runs`. Added to the API when its addresses are made."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import Http404, HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema
from ninja.errors import HttpError

from annotation_site.api import api
from annotation_site.api.routes import LOGGED_IN, Id, Problem
from annotation_site.models import Role, User
from ingest.models import Dataset
from training.models import TrainingRun
from training.services.history import settings_of
from training.services.standing import standing_of

router = Router(tags=["runs"], auth=LOGGED_IN)
PAGE = 100
"""Runs in one answer."""
PROBLEMS = {401: Problem, 403: Problem, 404: Problem, 422: Problem}


class RunLine(Schema):
    """A run in the list. `settings`: what runs share to be compared. `accuracy`: arm -> value, lo, hi."""

    run: int
    release: str
    version: str
    state: str
    settings: str
    created: str
    finished: str | None
    accuracy: dict[str, dict[str, float]]
    url: str
    page: str


class RunsOut(Schema):
    """Runs, the newest first; `next` is the address of the following ones, or null."""

    runs: list[RunLine]
    next: str | None


class RunOut(RunLine):
    """One run: what was asked, how far it is, and what it found (metrics.json without the single seeds)."""

    preset: str
    arms: str
    seeds: int | None
    config: str
    error: str
    trainings_done: int
    trainings_planned: int
    seconds_left: float | None
    abandoned: bool
    metrics: dict[str, Any] | None
    report: str | None


@router.get("datasets/{name}/runs", response={200: RunsOut, **PROBLEMS}, url_name="runs")
def runs(
    request: HttpRequest,
    name: str,
    version: Annotated[str, Field(max_length=20)] = "",
    state: Annotated[str, Field(pattern="^(|queued|running|done|failed|stopped)$")] = "",
    before: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0,
) -> Any:
    """The runs of a dataset, or of one version of it, or in one state."""
    found = _runs(request, name)
    asked = {key: value for key, value in (("version", version), ("state", state)) if value}
    if version:
        found = found.filter(release__version=version)
    if state:
        found = found.filter(state=state)
    if before:
        found = found.filter(pk__lt=before)
    rows = list(found[: PAGE + 1])
    following = None
    if len(rows) > PAGE:
        query = "&".join(f"{key}={value}" for key, value in {**asked, "before": rows[PAGE - 1].pk}.items())
        following = request.build_absolute_uri(f"{reverse('api:runs', args=[name])}?{query}")
    return {"runs": [_line(request, run) for run in rows[:PAGE]], "next": following}


@router.get("datasets/{name}/runs/{run_id}", response={200: RunOut, **PROBLEMS}, url_name="run")
def run(request: HttpRequest, name: str, run_id: Id) -> Any:
    """One run: how far it is, and what it found."""
    held = _runs(request, name).filter(pk=run_id).first()
    if held is None:
        raise Http404(f"There is no run {run_id} of dataset {name}.")
    standing = standing_of(held)
    done = held.state == TrainingRun.State.DONE
    return {
        **_line(request, held),
        "preset": held.preset,
        "arms": held.arms,
        "seeds": held.seeds,
        "config": held.config,
        "error": held.error,
        "trainings_done": standing.done,
        "trainings_planned": standing.planned,
        "seconds_left": standing.seconds_left,
        "abandoned": standing.abandoned,
        "metrics": held.metrics,
        "report": _address(request, "run_report", held) if done else None,
    }


def _runs(request: HttpRequest, name: str) -> Any:
    """The runs of the dataset, for those who may see them."""
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        raise Http404(f"There is no dataset {name}.")
    user = getattr(request, "auth", None)
    seeing = (Role.CURATOR, Role.REVIEWER, Role.RESEARCHER)
    if not isinstance(user, User) or not user.has_role(dataset, *seeing):
        raise HttpError(403, "Your account has no role that sees the runs of this dataset.")
    return TrainingRun.objects.filter(release__dataset=dataset).select_related("release__dataset")


def _line(request: HttpRequest, run: TrainingRun) -> dict[str, Any]:
    arms = (run.metrics or {}).get("arms") or {}
    return {
        "run": run.pk,
        "release": str(run.release),
        "version": run.release.version,
        "state": run.state,
        "settings": settings_of(run),
        "created": run.created.isoformat(),
        "finished": run.finished.isoformat() if run.finished else None,
        "accuracy": {arm: row["top1"] for arm, row in arms.items()},
        "url": request.build_absolute_uri(reverse("api:run", args=[run.release.dataset.name, run.pk])),
        "page": _address(request, "run", run),
    }


def _address(request: HttpRequest, name: str, run: TrainingRun) -> str:
    return request.build_absolute_uri(reverse(name, args=[run.release.dataset.name, run.pk]))


api.add_router("", router)
