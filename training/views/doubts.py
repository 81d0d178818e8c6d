"""What a run doubts goes back to people: how many pictures, at what cost, and where."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from ingest.models import Dataset
from quality.services.followups import UnusableRound
from quality.services.issues import IN_WORDS, UnusableIssues
from training.forms import DoubtsForm
from training.models import TrainingRun
from training.services.doubts import AskedBefore, ask_for_more, ask_in_new_round, preview
from training.views.run import run_of

USUAL = {"most": 100, "votes": 3, "way": DoubtsForm.NEW}


@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def doubts(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Choose and see what it costs (GET), then ask (POST). Curators only."""
    run = run_of(dataset, pk)
    given = request.POST if request.method == "POST" else request.GET
    form = DoubtsForm({**USUAL, **{key: given[key] for key in USUAL if key in given}})
    valid = form.is_valid()
    told, why_not = None, ""
    try:
        if valid and request.method == "POST":
            return _ask(request, run, form)
        if valid:
            told = preview(run, form.cleaned_data["most"], form.cleaned_data["votes"])
    except (UnusableIssues, UnusableRound, AskedBefore) as error:
        why_not = str(error)
    context = {
        "dataset": dataset,
        "section": "runs",
        "run": run,
        "form": form,
        "told": told,
        "why_not": why_not,
        "names": dict(dataset.categories.values_list("key", "name")),
    }
    status = 422 if not valid or request.method == "POST" else 200
    return render(request, "training/doubts.html", context, status=status)


def _ask(request: HttpRequest, run: TrainingRun, form: DoubtsForm) -> HttpResponse:
    """Do what was confirmed; the page that follows shows it."""
    wanted = form.cleaned_data
    dataset = run.release.dataset
    if wanted["way"] == DoubtsForm.NEW:
        opened = ask_in_new_round(run, wanted["most"], wanted["votes"])
        words = ngettext(
            "The round is open: it asks about %(n)s picture.",
            "The round is open: it asks about %(n)s pictures.",
            opened.tasks_total,
        )
        messages.success(request, words % {"n": f"{opened.tasks_total:,}"})
        return redirect("round", dataset.name, opened.pk)
    asked = ask_for_more(run, wanted["most"], wanted["votes"])
    words = ngettext("%(n)s more vote is asked for.", "%(n)s more votes are asked for.", asked.votes)
    aside = "; ".join(f"{number:,} {IN_WORDS[reason]}" for reason, number in sorted(asked.left_out.items()))
    said = f"{words % {'n': f'{asked.votes:,}'}} " + (_("Left aside: %(aside)s.") % {"aside": aside}) * bool(
        aside
    )
    (messages.success if asked.tasks else messages.warning)(request, said.strip())
    if len(asked.rounds) == 1:
        return redirect("round", dataset.name, asked.rounds[0])
    return redirect("rounds", dataset.name) if asked.rounds else redirect("run_doubts", dataset.name, run.pk)
