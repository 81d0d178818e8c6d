"""How far a dataset is: the funnel, what to do next, categories, rounds and the newest release."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.figures import percent
from annotation_site.models import Role, Round
from export.funnel import Next, Standing, next_step
from export.models import Release
from export.views.releases import release_card
from ingest.models import Dataset
from quality.charts import Bar, Part, bars, progress
from quality.models import Reference
from quality.services import report


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
        "releases": [release_card(r) for r in releases],
    }
    return render(request, "export/dataset.html", context)


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
    successors = dataset.categories.successors()
    found: dict[str | None, dict[str, int]] = {}
    for said in report.category_counts(dataset):
        row = found.setdefault(successors.get(said["label"], said["label"]), {"images": 0, "settled": 0})
        for what in row:
            row[what] += said[what]
    released = releases[0].counts.get("categories", {}) if releases else {}
    rows = []
    for category in dataset.categories.current():
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
