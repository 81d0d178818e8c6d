"""How far a dataset is: the funnel, what to do next, categories, rounds and the newest release."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.decorators import dataset_page
from annotation_site.figures import percent
from annotation_site.models import Role, Round, User
from export.funnel import Next, Standing, next_step
from export.models import Release
from export.services.outlook import Throughput, outlook, throughput
from export.views.releases import release_card
from ingest.models import Dataset
from quality.agreement import accuracy_interval
from quality.charts import Bar, Part, bars, interval, progress
from quality.models import Reference
from quality.services.label_figures import CategoryFigures, Figures, label_figures

LISTED = 50
"""Categories in the table: those with the most pictures to be judged."""


@require_safe
@dataset_page(Role.REVIEWER, Role.RESEARCHER)
def overview(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """How far is this dataset? The funnel, what to do next, categories, pace, rounds and the releases."""
    releases = list(dataset.releases.all()[:5])
    rounds = list(dataset.rounds.all())
    open_rounds = [r for r in rounds if r.state != Round.State.CLOSED and r.tasks_total][:10]
    figures = label_figures(dataset)
    standing = _standing(dataset, releases, rounds, figures)
    step = next_step(standing)
    pace = throughput(dataset)
    categories = _categories(dataset, releases, figures)
    context = {
        "dataset": dataset,
        "section": "overview",
        "standing": standing,
        "next": step.value,
        "todo": _command(step, dataset, releases),
        "may_make": isinstance(request.user, User) and request.user.has_role(dataset, Role.CURATOR),
        "funnel_chart": _funnel_chart(standing),
        "figures": figures,
        "categories": categories[:LISTED],
        "more_categories": max(0, len(categories) - LISTED),
        "yield": _overall(categories),
        "pace": pace,
        "pace_chart": _pace_chart(pace) if pace.votes else "",
        "outlook": outlook(dataset, rounds, pace.per_day),
        "rounds": [{"round": r, "chart": _round_chart(r)} for r in open_rounds],
        "releases": [release_card(r) for r in releases],
    }
    return render(request, "export/dataset.html", context)


def _standing(dataset: Dataset, releases: list[Release], rounds: list[Round], figures: Figures) -> Standing:
    going = [r for r in rounds if r.state != Round.State.CLOSED]
    return Standing(
        found=dataset.candidates_found,
        stored=dataset.images_stored,
        unique=dataset.groups_found,
        labelled=figures.labelled,
        settled=figures.settled,
        released=releases[0].counts["images"] if releases else 0,
        rounds=len(rounds),
        open_rounds=sum(r.state == Round.State.OPEN for r in going),
        waiting=sum(max(0, r.tasks_total - r.tasks_settled - r.tasks_exhausted) for r in going),
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


def _categories(dataset: Dataset, releases: list[Release], figures: Figures) -> list[dict[str, Any]]:
    """Every category that can be chosen: how far its candidates are judged, how many of them are confirmed,
    what is settled as it, and what the newest release holds."""
    released = releases[0].counts.get("categories", {}) if releases else {}
    rows = []
    for category in dataset.categories.current():
        row = figures.categories.get(category.key, CategoryFigures())
        rows.append(
            {
                "category": category,
                "row": row,
                "share": row.judged / row.found if row.found else None,
                "yield": row.confirmed / row.judged if row.judged else None,
                "released": sum(released.get(category.key, {}).values()),
            }
        )
    if len(rows) > LISTED:
        rows.sort(key=lambda found: (found["row"].judged - found["row"].found, -found["row"].images))
    for found in rows[:LISTED]:
        row = found["row"]
        if row.judged:
            lo, hi = accuracy_interval(row.confirmed, row.judged)
            title = _("Share of the candidates that are confirmed")
            found["chart"] = interval(found["yield"], lo, hi, title=title)
    return rows


def _overall(categories: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Share of all judged candidates that are what they were searched for."""
    judged = sum(found["row"].judged for found in categories)
    confirmed = sum(found["row"].confirmed for found in categories)
    return {"judged": judged, "confirmed": confirmed, "share": confirmed / judged} if judged else None


def _pace_chart(pace: Throughput) -> str:
    rows = [Bar(date_format(day, "j M"), n, f"{n:,}") for day, n in pace.days]
    return bars(rows, title=_("Votes a day"), label_width="4rem")


def _round_chart(round: Round) -> str:
    waiting = max(0, round.tasks_total - round.tasks_settled - round.tasks_exhausted)
    parts = [
        Part(_("settled"), round.tasks_settled, "ok"),
        Part(_("still unsure at the most votes"), round.tasks_exhausted, "warn"),
        Part(_("collecting votes"), waiting, "line"),
    ]
    return progress(parts, title=_("Tasks by state"))
