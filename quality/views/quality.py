"""How good are the labels? The quality report as a page of the site."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role
from ingest.models import Dataset
from quality.services.honesty import NothingToReport, kept_quality_of
from quality.services.quality_page import page_context
from quality.views.rounds import may_act


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def quality(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """What `manage.py quality_report` writes, from the same functions. Researchers see no workers."""
    context: dict[str, Any] = {"dataset": dataset}

    def picture(sha: str) -> str:
        return reverse("image_thumb", args=[dataset.name, sha])

    try:
        found = kept_quality_of(dataset)
        context = page_context(dataset, found, picture, workers=may_act(request, dataset))
    except NothingToReport:
        pass
    return render(request, "quality/quality.html", {**context, "section": "quality"})
