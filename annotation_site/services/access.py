"""What a person may label and see."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from annotation_site.models import Invitation, Membership, Role, Round, User
from annotation_site.services.accounts import worker_of
from annotation_site.services.prepared import prepared, row_of
from annotation_site.services.refusals import NotAllowed
from ingest.models import Dataset

LABELLERS = (Role.ANNOTATOR, Role.REVIEWER, Role.CURATOR)
LOOKERS = (Role.REVIEWER, Role.CURATOR, Role.RESEARCHER)


def datasets_for(user: User, *roles: str) -> QuerySet[Dataset]:
    """The datasets in which this person has one of `roles`."""
    if not user.is_active:
        return Dataset.objects.none()
    if user.is_superuser:
        return Dataset.objects.all()
    own = user.memberships.filter(role__in=roles)
    if own.filter(dataset=None).exists():
        return Dataset.objects.all()
    return Dataset.objects.filter(Q(pk__in=own.values("dataset")))


def rounds_to_label(user: User) -> QuerySet[Round]:
    """The open rounds that hand out work to this person, in all datasets in which they label."""
    asked = Exists(Invitation.objects.filter(worker=worker_of(user), round=OuterRef("pk")))
    return Round.objects.filter(
        Q(access=Round.Access.EVERYONE) | asked,
        dataset__in=datasets_for(user, *LABELLERS),
        state=Round.State.OPEN,
    )


def round_for_labelling(user: User, round_id: int) -> Round:
    """The round, for somebody who may vote in it.

    Raises:
        Http404: there is none.
        NotAllowed: the person has no role that votes in its dataset.
    """
    rows = _rounds(round=round_id)
    if not rows:
        raise Http404(f"There is no round {round_id}.")
    round = row_of(Round, ROUND, rows[0])
    round.dataset = row_of(Dataset, DATASET, rows[0][len(ROUND) :])
    if not _labels(user, round.dataset):
        raise NotAllowed(_("Your account may not label this dataset. Ask the person who runs it."))
    return round


ROUND = [column.attname for column in Round._meta.concrete_fields]
DATASET = [column.attname for column in Dataset._meta.concrete_fields]


@prepared()
def _rounds(round: int) -> Any:
    columns = [*ROUND, *(f"dataset__{name}" for name in DATASET)]
    return Round.objects.filter(pk=round).values_list(*columns)


def _labels(user: User, dataset: Dataset) -> bool:
    """`user.has_role(dataset, *LABELLERS)`, as it is asked for each claim."""
    if user.is_superuser or not user.is_active:
        return user.is_active
    return bool(_memberships(user=user.pk, dataset=dataset.pk))


@prepared()
def _memberships(user: int, dataset: int) -> Any:
    here = Q(dataset=None) | Q(dataset=dataset)
    return Membership.objects.filter(here, user=user, role__in=LABELLERS).values_list("pk")[:1]
