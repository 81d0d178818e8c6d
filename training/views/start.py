"""Starting a run on a release."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from export.models import Release
from ingest.models import Dataset
from training.forms import StartForm
from training.services.runs import NoReleaseFolder, release_folder, start_run
from training.views.run import queue


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def start(request: HttpRequest, dataset: Dataset, version: str) -> HttpResponse:
    """Ask what to train, then queue it. Settings of a run that is not finished go on with that one."""
    release = get_object_or_404(dataset.releases.select_related("dataset"), version=version)
    form = StartForm(request.POST if request.method == "POST" else None)
    why_not = _why_not(release)
    if request.method == "POST" and not why_not and form.is_valid():
        wishes = form.wishes
        suspects = form.cleaned_data["suspects"]
        run = start_run(release, wishes.preset, wishes.arms, wishes.seeds, wishes.config, suspects)
        if run.state != run.State.RUNNING:
            queue(request, run)
        return redirect("run", dataset.name, run.pk)
    context = {
        "dataset": dataset,
        "section": "releases",
        "release": release,
        "form": form,
        "why_not": why_not,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "training/start.html", context, status=status)


def _why_not(release: Release) -> str:
    try:
        release_folder(release)
    except NoReleaseFolder as error:
        return str(error)
    return ""
