"""How far a dataset is, its releases, and one release."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.figures import percent
from annotation_site.models import Role, Round
from export import layout
from export.funnel import Next, Standing, next_step
from export.models import Release
from export.tables import read_rows
from ingest.models import Dataset
from quality.charts import Bar, Part, bars, interval, progress
from quality.models import Reference
from quality.services import report

LISTED = 100
SAMPLES = 18
"""Pictures shown of a release: a multiple of 2, 3 and 6 columns."""


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def overview(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """How far is this dataset? The funnel, what to do next, categories, rounds and the newest release."""
    releases = list(dataset.releases.all()[:5])
    open_rounds = list(dataset.rounds.exclude(state=Round.State.CLOSED)[:10])
    standing = _standing(dataset, releases, open_rounds)
    context = {
        "dataset": dataset,
        "section": "overview",
        "standing": standing,
        "next": next_step(standing).value,
        "todo": _command(next_step(standing), dataset, releases),
        "funnel_chart": _funnel_chart(standing),
        "categories": _categories(dataset, releases),
        "rounds": [{"round": r, "chart": _round_chart(r)} for r in open_rounds],
        "releases": [_card(r) for r in releases],
    }
    return render(request, "export/dataset.html", context)


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def release_list(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Every release, the newest first."""
    found = dataset.releases.select_related("parent").prefetch_related("runs")[:LISTED]
    cards = [_card(r) for r in found]
    return render(
        request, "export/releases.html", {"dataset": dataset, "section": "releases", "releases": cards}
    )


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def release_detail(request: HttpRequest, dataset: Dataset, version: str) -> HttpResponse:
    """What is in this release, what its labels are worth, and how to load it."""
    release = get_object_or_404(dataset.releases.select_related("parent"), version=version)
    categories = dataset.categories.filter(key__in=release.counts.get("categories", {}))
    context = {
        "dataset": dataset,
        "section": "releases",
        "release": release,
        "card": _card(release),
        "classes": _class_rows(release, dict(categories.values_list("key", "name"))),
        "left_out": _left_out(release),
        "samples": _samples(release),
        "folder": layout.folder_name(dataset.name, release.version),
        "children": list(release.children.all()[:10]),
    }
    return render(request, "export/release.html", context)


def _standing(dataset: Dataset, releases: list[Release], open_rounds: list[Round]) -> Standing:
    labels = report.funnel(dataset)
    return Standing(
        found=dataset.candidates_found,
        stored=dataset.images_stored,
        unique=dataset.groups_found,
        labelled=labels["labelled"],
        settled=labels["settled"],
        released=releases[0].counts["images"] if releases else 0,
        rounds=dataset.rounds.count(),
        open_rounds=sum(r.state == Round.State.OPEN for r in open_rounds),
        waiting=sum(max(0, r.tasks_total - r.tasks_settled - r.tasks_exhausted) for r in open_rounds),
        references=Reference.objects.filter(dataset=dataset).exists(),
        runs=releases[0].runs.count() if releases else 0,
        latest=str(releases[0]) if releases else "",
    )


def _command(step: Next, dataset: Dataset, releases: list[Release]) -> str:
    """The command line of the next step; none where there is nothing to type."""
    name = dataset.name
    lines = {
        Next.INGEST: f"ingest {name} https://…",
        Next.DEDUP: f"dedup {name}",
        Next.OPEN_ROUND: f"open_round {name} --question classify",
        Next.SETTLE: f"aggregate {name}",
        Next.REFER: f"add_reference {name} references.csv",
        Next.EXPORT: f"export_release {name} 1.0.0 --output releases",
        Next.RETRAIN: f"retrain {releases[0]}" if releases else "",
    }
    return f"python manage.py {lines[step]}" if step in lines else ""


def _funnel_chart(standing: Standing) -> str:
    words = {
        "found": _("found"),
        "unique": _("unique"),
        "labelled": _("labelled"),
        "settled": _("settled"),
        "released": _("released"),
    }
    rows = []
    for step, count, share in standing.steps():
        text = f"{count:,}" if share is None else f"{count:,} ({percent(share)})"
        rows.append(Bar(words[step], count, text))
    return bars(rows, title=_("Pictures from found to released"), label_width="6rem")


def _categories(dataset: Dataset, releases: list[Release]) -> list[dict[str, Any]]:
    """Every category that can be chosen, with what the consensus says and what the newest release holds."""
    found = {row["label"]: row for row in report.category_counts(dataset)}
    released = releases[0].counts.get("categories", {}) if releases else {}
    rows = []
    for category in dataset.categories.all():
        row = found.get(category.key, {"images": 0, "settled": 0})
        rows.append(
            {
                "category": category,
                "images": row["images"],
                "settled": row["settled"],
                "share": row["settled"] / row["images"] if row["images"] else None,
                "released": sum(released.get(category.key, {}).values()),
            }
        )
    return rows


def _round_chart(round: Round) -> str:
    waiting = max(0, round.tasks_total - round.tasks_settled - round.tasks_exhausted)
    parts = [
        Part(_("settled"), round.tasks_settled, "ok"),
        Part(_("still unsure at the most votes"), round.tasks_exhausted, "warn"),
        Part(_("collecting votes"), waiting, "line"),
    ]
    return progress(parts, title=_("Tasks by state"))


def _card(release: Release) -> dict[str, Any]:
    """A release with its accuracy as a chart, whether its folder is there, and its runs."""
    found = release.label_accuracy
    chart = interval(found["value"], found["lo"], found["hi"], title=_("Label accuracy")) if found else ""
    runs = [_run_row(run) for run in release.runs.all()]
    return {
        "release": release,
        "counts": release.counts,
        "accuracy": found,
        "accuracy_chart": chart,
        "present": Path(release.location).is_dir(),
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
        "held_back": _("stood in another split before, and nothing moves"),
        "test_closed": _("new for test; test grows only in a new major version"),
        "no_reference": _("drawn for test, without a settled reference"),
        "reference_none": _("none of the categories, experts say"),
        "no_consensus": _("without a consensus"),
        "none_of_these": _("none of the categories, by consensus"),
        "few_votes": _("with fewer votes than asked for"),
        "unsure": _("less sure than asked for"),
        "no_source": _("without a source on record"),
    }
    return [(n, words.get(reason, reason)) for reason, n in release.counts.get("left_out", {}).items()]


def _samples(release: Release) -> list[dict[str, Any]]:
    """The first rows of the manifest: sorted by SHA-256, they are a random sample that never changes."""
    try:
        rows = read_rows(Path(release.location) / layout.MANIFEST, ["image", "split", "category"])
        return list(islice(rows, SAMPLES))
    except (OSError, pa.ArrowException):
        return []
