"""The labelling page as an annotator sees it, for those who make a round; it stores and leases nothing."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from annotation_site.models import Role, Worker
from annotation_site.views.labelling import label_context
from ingest.models import Dataset
from quality.services.preview import preview_batch


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page(Role.REVIEWER)
def preview(request: HttpRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """A handful of the round's pictures as a worker gets them. An answer goes nowhere."""
    round = get_object_or_404(dataset.rounds, pk=pk)
    if request.method == "POST":
        messages.info(request, _("This is a preview: your answer was not stored."))
        return redirect("round_preview", dataset.name, round.pk)
    # Somebody who never labelled has no worker yet, and gets none by looking.
    worker = Worker.objects.filter(user__username=request.user.get_username()).first() or Worker(
        pk=0, code="preview"
    )
    template, context = label_context(worker, round, preview_batch(worker, round), preview=True)
    return render(request, template, context)
