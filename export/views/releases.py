"""The releases of a dataset, and one release, for those who look after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, User
from export import layout
from export.forms import ShareForm
from export.models import Release
from export.services.browsing import sample, withdrawals_of
from export.services.sharing import share_of, share_release, terms_of, unshare_release
from ingest.models import Dataset
from quality.charts import interval

LISTED = 100
SAMPLES = 18
"""Pictures shown of a release: a multiple of 2, 3 and 6 columns."""


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def release_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Every release, the newest first."""
    found = dataset.releases.select_related("parent").prefetch_related("runs")[:LISTED]
    cards = [release_card(r) for r in found]
    return render(
        request, "export/releases.html", {"dataset": dataset, "section": "releases", "releases": cards}
    )


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def release_detail(request: HttpRequest, dataset: Dataset, version: str) -> HttpResponse:
    """What is in this release, what its labels are worth, and how to load it."""
    release = get_object_or_404(dataset.releases.select_related("parent"), version=version)
    return _detail(request, release)


@require_POST
@dataset_page()
def share(request: HttpRequest, dataset: Dataset, version: str) -> HttpResponse:
    """Share a release with everyone, or stop."""
    release = get_object_or_404(dataset.releases.select_related("parent"), version=version)
    if "off" in request.POST:
        unshare_release(release)
        messages.success(
            request, _("The release is no longer shared; links that were given out stop working.")
        )
        return redirect("release", dataset.name, version)
    form = ShareForm(request.POST)
    if not form.is_valid():
        return _detail(request, release, form)
    share_release(release, **form.cleaned_data)
    messages.success(request, _("Everyone can see and download this release now."))
    return redirect("release", dataset.name, version)


def _detail(request: HttpRequest, release: Release, form: ShareForm | None = None) -> HttpResponse:
    dataset = release.dataset
    categories = dataset.categories.filter(key__in=release.counts.get("categories", {}))
    sharing = _sharing(request, release, form)
    context = {
        "dataset": dataset,
        "section": "releases",
        "release": release,
        "sharing": sharing,
        "may_act": sharing["form"] is not None,
        "withdrawn": withdrawals_of(release).count(),
        "card": release_card(release),
        "classes": _class_rows(release, dict(categories.values_list("key", "name"))),
        "left_out": _left_out(release),
        "asked_for": _asked_for(release),
        "samples": sample(release, SAMPLES),
        "folder": layout.folder_name(dataset.name, release.version),
        "children": list(release.children.all()[:10]),
    }
    status = 422 if form is not None else 200
    return render(request, "export/release.html", context, status=status)


def release_card(release: Release) -> dict[str, Any]:
    """A release with its accuracy as a chart, whether its folder is there, and its runs."""
    found = release.label_accuracy
    chart = interval(found["value"], found["lo"], found["hi"], title=_("Label accuracy")) if found else ""
    runs = [_run_row(run) for run in release.runs.all()]
    return {
        "release": release,
        "counts": release.counts,
        "accuracy": found,
        "accuracy_chart": chart,
        "present": "://" in release.location or Path(release.location).is_dir(),
        "runs": runs,
        # The newest run that says what the released labels are worth; failing that, the newest.
        "run": next((row for row in runs if row["top1"]), runs[0] if runs else None),
    }


def _run_row(run: Any) -> dict[str, Any]:
    """A training run with the test accuracy of the labels that were released."""
    arms = (run.metrics or {}).get("arms", {})
    return {"run": run, "top1": arms["consensus"]["top1"] if "consensus" in arms else None}


def _class_rows(release: Release, names: dict[str, str]) -> list[dict[str, Any]]:
    """Pictures per category and split, the largest category first."""
    rows = [
        {"key": key, "name": names.get(key, key), "total": sum(splits.values()), **splits}
        for key, splits in release.counts.get("categories", {}).items()
    ]
    return sorted(rows, key=lambda row: (-row["total"], row["key"]))


def _left_out(release: Release) -> list[tuple[int, str]]:
    words = {
        "not_grouped": _("in no duplicate group yet"),
        "duplicate": _("copies of a picture that is released or was looked at"),
        "taken_down": _("taken down, or a copy of a picture that was"),
        "held_back": _("stood in another split before, and nothing moves"),
        "given_elsewhere": _("a copy of theirs is in a more protected split by the split file"),
        "test_closed": _("new for test; test grows only in a new major version"),
        "no_reference": _("drawn for test, without a settled reference"),
        "reference_none": _("none of the categories, experts say"),
        "no_consensus": _("without a consensus"),
        "none_of_these": _("none of the categories, by consensus"),
        "few_votes": _("with fewer votes than asked for"),
        "unsure": _("less sure than asked for"),
        "no_source": _("without a source on record"),
        "other_category": _("of another category than those asked for"),
        "other_source": _("from another source than those asked for"),
        "other_licence": _("under another licence than those asked for"),
        "surplus": _("above the number of training pictures asked for"),
    }
    return [(n, words.get(reason, reason)) for reason, n in release.counts.get("left_out", {}).items()]


def _asked_for(release: Release) -> list[tuple[str, str]]:
    """What the release was made with, in words; options that were left out are not listed."""
    words = {
        "splits": _("Shares (train/val/test)"),
        "split_file": _("Splits by a file (its digest)"),
        "categories": _("Categories"),
        "licences": _("Licences"),
        "sources": _("Sources"),
        "rounds": _("Rounds"),
        "min_confidence": _("Least confidence"),
        "min_votes": _("Least votes"),
        "per_class": _("Most training pictures of a class"),
        "longest_side": _("Longest side in pixels"),
        "quality": _("Quality of pictures made smaller"),
        "sealed": _("Labels of test kept back"),
        "taken_down": _("Taken down"),
        "takedown_reason": _("Because"),
    }
    given = release.parameters
    return [(word, _said(given[name])) for name, word in words.items() if name in given]


def _said(value: Any) -> str:
    if value is True:
        return _("yes")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _sharing(request: HttpRequest, release: Release, form: ShareForm | None = None) -> dict[str, Any]:
    """How the release is shared, what was downloaded, and the form that changes it."""
    share, terms = share_of(release), terms_of(release)
    counts = release.acceptances.aggregate(archives=Sum("archives"), files=Sum("files"))
    may_share = isinstance(request.user, User) and request.user.has_role(release.dataset, Role.CURATOR)
    start = {"text": terms.text, "asks": terms.asks, "authors": share.authors if share else ""}
    return {
        "public": share is not None and share.public,
        "terms": terms,
        "acceptances": release.acceptances.count(),
        "archives": counts["archives"] or 0,
        "files": counts["files"] or 0,
        "form": form or ShareForm(initial=start) if may_share else None,
    }
