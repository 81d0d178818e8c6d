"""The runs of a dataset: accuracy from release to release, every run, and what publishing starts."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, User
from ingest.models import Dataset
from quality.charts import Line, Measured, lines
from training.forms import PublishingForm
from training.models import PublishingPreset, TrainingRun
from training.services.history import ARMS, History, accuracy_history, settings_of
from training.services.runs import is_abandoned
from training.settings import NONE

LISTED = 100
SHOWN = 12
"""Releases in the chart: the newest. The table has all."""
INK = dict(zip(ARMS, ("accent", "muted", "ink"), strict=True))


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def run_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """What are the labels worth? Accuracy over releases, then every run, the newest first."""
    found = TrainingRun.objects.filter(release__dataset=dataset).select_related("release__dataset")[:LISTED]
    runs = [
        {"run": run, "settings": settings_of(run), "best": best_arm(run), "abandoned": is_abandoned(run)}
        for run in found
    ]
    history = accuracy_history(dataset, request.GET.get("preset", "")[:60])
    chosen = PublishingPreset.objects.filter(dataset=dataset).first()
    context = {
        "dataset": dataset,
        "section": "runs",
        "runs": runs,
        "history": history,
        "history_rows": [
            (entry, [entry.arms.get(arm) for arm in history.arms]) for entry in reversed(history.entries)
        ],
        "history_chart": _chart(history),
        "change": _change(history),
        "may_act": is_curator(request, dataset),
        "newest": dataset.releases.first(),
        "on_publish": chosen.preset if chosen else "",
        "form": PublishingForm(initial={"preset": chosen.preset if chosen else NONE}),
    }
    return render(request, "training/runs.html", context)


@require_POST
@dataset_page()
def publishing(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Choose what publishing a release starts. Curators only."""
    form = PublishingForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose one of the presets, or none."))
    elif form.cleaned_data["preset"] == NONE:
        PublishingPreset.objects.filter(dataset=dataset).delete()
        messages.success(request, _("Publishing a release starts no training from now on."))
    else:
        preset = form.cleaned_data["preset"]
        PublishingPreset.objects.update_or_create(dataset=dataset, defaults={"preset": preset})
        words = _("Publishing a release starts preset %(preset)s from now on.")
        messages.success(request, words % {"preset": preset})
    return redirect("runs", dataset.name)


def is_curator(request: HttpRequest, dataset: Dataset) -> bool:
    """Whether this person may start, stop and ask, and not only look."""
    return isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR)


def best_arm(run: TrainingRun) -> dict[str, Any] | None:
    """The labelling whose nets were right most often."""
    arms = (run.metrics or {}).get("arms") or {}
    rows = [{"name": name, **row} for name, row in arms.items()]
    return min(rows, key=lambda row: (-row["top1"]["value"], row["name"]), default=None)


def _chart(history: History) -> str:
    entries = history.entries[-SHOWN:]
    rows = [
        Line(
            arm,
            [Measured(**_ends(entry.arms[arm])) if arm in entry.arms else None for entry in entries],
            INK[arm],
        )
        for arm in history.arms
    ]
    places = [entry.version for entry in entries]
    return lines(rows, places, title=_("Test accuracy by release, with 95% intervals")) if rows else ""


def _ends(row: dict[str, float]) -> dict[str, float]:
    return {key: row[key] for key in ("value", "lo", "hi")}


def _change(history: History) -> dict[str, Any] | None:
    """The first and the newest release's accuracy under their own labels."""
    own = [entry for entry in history.entries if "consensus" in entry.arms]
    if len(own) < 2:
        return None
    first, last = own[0], own[-1]
    return {
        "first": first,
        "last": last,
        "before": first.arms["consensus"],
        "after": last.arms["consensus"],
        "same_test": first.test_images == last.test_images,
    }
