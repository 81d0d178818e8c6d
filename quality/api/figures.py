"""How good the labels of a dataset are: what its quality page says, as numbers."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router, Schema

from annotation_site.api.access import LOGGED_IN, Name, dataset_of, user_of
from annotation_site.api.problems import READING
from annotation_site.models import Role
from quality.services.honesty import NothingToReport, kept_quality_of
from quality.services.quality_page import headline, verdict_words

router = Router(tags=["quality"], auth=LOGGED_IN)
OF_WORKERS = ("skills", "flags", "repeats")
"""Figures of single workers: for reviewers and curators alone."""


class QualityOut(Schema):
    """`headline`: how many labels are right, in a sentence; `figures`: as `quality_report --json`."""

    headline: str
    verdict: str
    figures: dict[str, Any]


@router.get("datasets/{name}/quality", response={200: QualityOut, **READING}, url_name="dataset_quality")
def quality(request: HttpRequest, name: Name) -> Any:
    """How right the labels are by experts' answers, gold and the confidences, with 95% intervals."""
    dataset = dataset_of(request, name, Role.REVIEWER, Role.RESEARCHER)
    try:
        found = kept_quality_of(dataset)
    except NothingToReport as error:
        raise Http404(f"{error}.") from None
    figures = found.as_dict()
    if not user_of(request).has_role(dataset, Role.CURATOR, Role.REVIEWER):
        figures = {key: value for key, value in figures.items() if key not in OF_WORKERS}
    return {"headline": headline(found), "verdict": verdict_words(found), "figures": figures}
