"""Who asks, and whether they may: the rules of the pages (`annotation_site.decorators`), for programs."""

from __future__ import annotations

from typing import Annotated

from django.http import Http404, HttpRequest
from ninja import Field
from ninja.errors import HttpError

from annotation_site.api.auth import Session, Token
from annotation_site.models import Role, User
from ingest.models import Dataset

LOGGED_IN = [Token(), Session()]
"""`auth` of every call that is not for strangers."""
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Name = Annotated[str, Field(max_length=64)]
"""A dataset's name in an address."""
NO_NUL = r"^[^\x00]*$"
"""Texts without the one character that no database column holds."""
Line = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
"""Why something is done: kept with it."""


def user_of(request: HttpRequest) -> User:
    """The person whom the call's `auth` found."""
    user = getattr(request, "auth", None)
    assert isinstance(user, User)
    return user


def dataset_of(request: HttpRequest, name: str, *roles: str) -> Dataset:
    """The dataset, for people with one of `roles` in it; curators always may.

    Raises:
        Http404: there is none of that name.
        HttpError: 403, no such role.
    """
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        raise Http404(f"There is no dataset {name}.")
    if not user_of(request).has_role(dataset, Role.CURATOR, *roles):
        raise HttpError(403, "Your account has no role in this dataset that may do that.")
    return dataset
