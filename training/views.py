"""Training runs: what the labels are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role
from ingest.models import Dataset
from quality.charts import Part, interval, progress
from training.models import TrainingRun
from training.services.standing import pairs_done, trainings_planned

LISTED = 100


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Every run of every release, the newest first."""
    found = TrainingRun.objects.filter(release__dataset=dataset).select_related("release__dataset")[:LISTED]
    runs = [{"run": run, "arms": _arms(run)} for run in found]
    return render(request, "training/runs.html", {"dataset": dataset, "section": "runs", "runs": runs})


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_detail(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Where a run stands and what it found."""
    run = _run(dataset, pk)
    arms = _arms(run)
    done, planned = pairs_done(run), trainings_planned(run)
    parts = [Part(_("trained"), done, "ok"), Part(_("to go"), max(0, planned - done), "line")]
    consensus = next((arm for arm in arms if arm["name"] == "consensus"), None)
    context = {
        "dataset": dataset,
        "section": "runs",
        "run": run,
        "arms": arms,
        "consensus": consensus,
        "metrics": run.metrics or {},
        "answers": _answers(run),
        "warnings": (run.metrics or {}).get("warnings", []),
        "progress_chart": progress(parts, title=_("Trainings")),
        "report": (Path(run.folder) / "report.html").is_file() if run.folder else False,
    }
    return render(request, "training/run.html", context)


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_report(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """The trainer's self-contained report. It may style itself and hold pictures, and nothing else."""
    run = _run(dataset, pk)
    try:
        report = (Path(run.folder) / "report.html").read_bytes()
    except OSError:
        raise Http404(_("This run has written no report.")) from None
    response = HttpResponse(report, content_type="text/html; charset=utf-8")
    response["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    )
    return response


def _run(dataset: Dataset, pk: int) -> TrainingRun:
    runs = TrainingRun.objects.select_related("release__dataset")
    return get_object_or_404(runs, pk=pk, release__dataset=dataset)


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
