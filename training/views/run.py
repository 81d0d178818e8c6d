"""One run: where it stands, what it found, and what can be done about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role
from ingest.models import Dataset
from quality.charts import Part, interval, progress
from training.jobs import enqueue
from training.models import TrainingRun
from training.services.queue import is_worked_off
from training.services.runs import NoReleaseFolder, release_folder, stop_run, want_suspects
from training.services.standing import Standing, standing_of
from training.services.trainer import said_last
from training.views.runs import is_curator


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_detail(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Where a run stands and what it found."""
    run = run_of(dataset, pk)
    arms, standing = _arms(run), standing_of(run)
    metrics = run.metrics or {}
    live = not run.ended and not standing.abandoned
    context = {
        "dataset": dataset,
        "section": "runs",
        "run": run,
        "arms": arms,
        "consensus": next((arm for arm in arms if arm["name"] == "consensus"), None),
        "metrics": metrics,
        "answers": _answers(run),
        "warnings": metrics.get("warnings", []),
        "standing": standing,
        "live": live,
        "forgotten": _is_forgotten(run),
        "asked_arms": ", ".join(run.arms.split(",")),
        "time_left": _time_left(standing.seconds_left),
        "progress_chart": _progress(standing),
        "said": [] if run.state == TrainingRun.State.DONE or live else said_last(Path(run.folder)),
        "report": _report(run).is_file(),
        "may_act": is_curator(request, dataset),
        "judged": "cleaned" in (metrics.get("arms") or {}),
    }
    return render(request, "training/run.html", context)


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_report(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """The trainer's self-contained report. It may style itself and hold pictures, and nothing else."""
    run = run_of(dataset, pk)
    try:
        report = _report(run).read_bytes()
    except OSError:
        raise Http404(_("This run has written no report.")) from None
    response = HttpResponse(report, content_type="text/html; charset=utf-8")
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    )
    return response


@require_POST
@dataset_page()
def again(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Go on with a run that failed, was stopped, or was left in the middle. Curators only.

    With `suspects` also with one that is done but has not judged its train pictures.
    """
    run = run_of(dataset, pk)
    done = run.state == TrainingRun.State.DONE
    if done and not ("suspects" in request.POST and want_suspects(run)):
        messages.error(request, _("This run is done: there is nothing to go on with."))
    elif run.state == TrainingRun.State.RUNNING and not standing_of(run).abandoned:
        messages.error(request, _("This run is under way already."))
    else:
        queue(request, run)
    return redirect("run", dataset.name, run.pk)


@require_POST
@dataset_page()
def stop(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Stop a run that waits or is under way. Curators only."""
    run = run_of(dataset, pk)
    if stop_run(run):
        messages.success(request, _("The run is stopped. What it has finished is kept."))
    else:
        messages.error(request, _("This run has ended already."))
    return redirect("run", dataset.name, run.pk)


def queue(request: HttpRequest, run: TrainingRun) -> None:
    """Let it be performed, and say so, or why not."""
    try:
        release_folder(run.release)
    except NoReleaseFolder as error:
        messages.error(request, _("The run cannot be started: %(why)s.") % {"why": error})
        return
    if hindered := enqueue(run):
        messages.warning(request, _("The run %(why)s.") % {"why": hindered})
    else:
        messages.success(request, _("The run is queued; this page shows how far it is."))


def run_of(dataset: Dataset, pk: int) -> TrainingRun:
    """The run of this number, if it is one of the dataset's; else 404."""
    runs = TrainingRun.objects.select_related("release__dataset")
    return get_object_or_404(runs, pk=pk, release__dataset=dataset)


def _is_forgotten(run: TrainingRun) -> bool:
    """Whether it waits and nobody is at the queue: the worker was killed, or has not come up yet."""
    return run.state == TrainingRun.State.QUEUED and not settings.CELERY_BROKER_URL and not is_worked_off()


def _report(run: TrainingRun) -> Path:
    return Path(run.folder or "nowhere") / "report.html"


def _arms(run: TrainingRun) -> list[dict[str, Any]]:
    """The labellings from the most to the least accurate, each with its interval as a chart."""
    rows = []
    for name, row in ((run.metrics or {}).get("arms") or {}).items():
        top = row["top1"]
        chart = interval(top["value"], top["lo"], top["hi"], title=_("Test accuracy"))
        rows.append({"name": name, "chart": chart, **row})
    return sorted(rows, key=lambda row: (-row["top1"]["value"], row["name"]))


def _answers(run: TrainingRun) -> list[str]:
    """What label error costs and what the next votes would buy, in the trainer's words."""
    sections = ((run.metrics or {}).get(key) for key in ("label_error_cost", "next_votes"))
    return [section["words"] for section in sections if section]


def _progress(standing: Standing) -> str:
    if standing.epochs:
        done, of = standing.epochs
        names = _("epochs trained"), _("epochs to go")
    else:
        done, of = standing.done, standing.planned
        names = _("trainings done"), _("trainings to go")
    parts = [Part(names[0], done, "ok"), Part(names[1], max(0, of - done), "line")]
    return progress(parts, title=_("Progress"))


def _time_left(seconds: float | None) -> str:
    """As people say it; empty where nothing tells yet."""
    if seconds is None:
        return ""
    if seconds < 60:
        return _("less than a minute left")
    if seconds < 90 * 60:
        minutes = round(seconds / 60)
        return ngettext("about %(n)s minute left", "about %(n)s minutes left", minutes) % {"n": minutes}
    hours = round(seconds / 3600)
    return ngettext("about %(n)s hour left", "about %(n)s hours left", hours) % {"n": hours}
