"""Who may see this stage's pages. Roles belong to the labelling site, which stands downstream."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from ingest.models import Dataset

READERS = ("curator", "researcher", "reviewer")
CURATOR = ("curator",)


def dataset_for(request: HttpRequest, name: str, *roles: str) -> Dataset:
    """The dataset of this name, for a person with one of the roles in it.

    Raises:
        Http404: no such dataset.
        PermissionDenied: no such role.
    """
    dataset = get_object_or_404(Dataset, name=name)
    if not has_role(request, dataset, *roles):
        raise PermissionDenied(_("Your account has no role that opens this page."))
    return dataset


def has_role(request: HttpRequest, dataset: Dataset, *roles: str) -> bool:
    """Whether the person who is logged in has one of these roles in the dataset."""
    asked = getattr(request.user, "has_role", None)
    return asked is not None and bool(asked(dataset, *roles))
