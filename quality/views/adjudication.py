"""An expert decides a disputed picture on the review page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, Task
from ingest.models import Dataset
from quality.services import report
from quality.services.adjudication import UnusableDecision, adjudicate, take_back


@require_POST
@dataset_page(Role.REVIEWER)
def decide(request: HttpRequest, dataset: Dataset, task: int) -> HttpResponse:
    """Settle a task by `label`, or take an earlier decision back where `label` is empty."""
    disputed = get_object_or_404(Task.objects.select_related("round"), pk=task, round__dataset=dataset)
    label, expert = request.POST.get("label", ""), request.user.get_username()
    try:
        if label:
            adjudicate(disputed, label, expert)
            name = report.label_names(dataset).get(label, label)
            messages.success(request, _("Settled as “%(label)s” by you.") % {"label": name})
        else:
            take_back(disputed, expert)
            messages.success(request, _("Taken back: the next pass weighs its votes again."))
    except UnusableDecision as refusal:
        messages.error(request, str(refusal))
    back = request.POST.get("next", "")
    if back.startswith("/") and url_has_allowed_host_and_scheme(back, {request.get_host()}):
        return redirect(back)
    return redirect("review", dataset.name)
