"""Who may see a page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from annotation_site.models import Role, User
from ingest.models import Dataset

View = Callable[..., HttpResponse]


def dataset_page(*roles: str) -> Callable[[View], View]:
    """Wrap `view(request, dataset, ...)` for people with one of `roles`; curators always may.

    The URL's keyword `name` becomes the Dataset. Not logged in: the log-in page; unknown dataset: 404;
    no such role in this dataset: the 403 page.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(request: HttpRequest, name: str, *args: Any, **kwargs: Any) -> HttpResponse:
            dataset = get_object_or_404(Dataset, name=name)
            user = request.user
            if not isinstance(user, User) or not user.has_role(dataset, Role.CURATOR, *roles):
                raise PermissionDenied(_("Your account has no role that opens this page."))
            return view(request, dataset, *args, **kwargs)

        return guarded

    return wrap
