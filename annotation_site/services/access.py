"""What a person may label and see."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from annotation_site.models import Invitation, Role, Round, User
from annotation_site.services.accounts import worker_of
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
    round = Round.objects.select_related("dataset").filter(pk=round_id).first()
    if round is None:
        raise Http404(f"There is no round {round_id}.")
    if not user.has_role(round.dataset, *LABELLERS):
        raise NotAllowed(_("Your account may not label this dataset. Ask the person who runs it."))
    return round
