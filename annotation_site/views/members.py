"""`/d/NAME/members/`: who has which role, and how more people come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.decorators import dataset_page
from annotation_site.models import Consent, Entrance, Membership, Role, User
from annotation_site.services.access import LABELLERS
from annotation_site.services.consent import newest_text
from annotation_site.services.members import (
    MAX_DAYS,
    MAX_USES,
    administrators,
    counts_of,
    everywhere,
    give_role,
    links_of,
    make_link,
    people_of,
    revoke_link,
    roles_to_give,
    set_sign_up,
    sign_up_mode,
    take_role,
)
from annotation_site.services.refusals import Refusal
from annotation_site.views.shown_once import forget, hand_over, handed_over
from ingest.models import Dataset

PAGE = 50
"""People on a page."""
LINKS = 50
"""Links that are listed."""
KIND = "link"


class GiveForm(forms.Form):
    """A role for somebody who has an account."""

    username = forms.CharField(max_length=150)
    role = forms.ChoiceField(choices=Role.choices)


class LinkForm(forms.Form):
    """A new invitation link."""

    role = forms.ChoiceField(choices=Role.choices)
    note = forms.CharField(max_length=200, required=False)
    uses = forms.IntegerField(min_value=1, max_value=MAX_USES)
    days = forms.IntegerField(min_value=1, max_value=MAX_DAYS)


class SignUpModeForm(forms.Form):
    """Who may join."""

    mode = forms.ChoiceField(choices=Entrance.SignUp.choices)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def members(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """The page; each of its forms says in `action` what is to be done."""
    assert isinstance(request.user, User)
    refused: dict[str, forms.Form] = {}
    if request.method == "POST":
        action = request.POST.get("action", "")
        act = ACTIONS.get(action)
        if act is None:
            messages.error(request, _("The form was incomplete. Please send it again."))
            return redirect("members", name=dataset.name)
        done = act(request, request.user, dataset)
        if isinstance(done, HttpResponse):
            return done
        refused = {action: done}
    context = _context(request, request.user, dataset, refused)
    response = render(request, "annotation_site/members.html", context, status=422 if refused else 200)
    return forget(response, KIND, request.path) if context["new_link"] else response


def _give(request: HttpRequest, user: User, dataset: Dataset) -> HttpResponse | forms.Form:
    form = GiveForm(request.POST)
    if not form.is_valid():
        return form
    who, role = form.cleaned_data["username"], form.cleaned_data["role"]
    try:
        new = give_role(user, dataset, who, role)
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return form
    if new:
        said = _("%(name)s has the role %(role)s now.")
        messages.success(request, said % {"name": who, "role": Role(role).label})
    else:
        said = _("%(name)s had the role %(role)s already.")
        messages.warning(request, said % {"name": who, "role": Role(role).label})
    return redirect("members", name=dataset.name)


def _link(request: HttpRequest, user: User, dataset: Dataset) -> HttpResponse | forms.Form:
    form = LinkForm(request.POST)
    if not form.is_valid():
        return form
    data = form.cleaned_data
    try:
        token = make_link(
            user, dataset, data["role"], note=data["note"], uses=data["uses"], days=data["days"]
        )
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return form
    url = request.build_absolute_uri(reverse("join_link", args=[token]))
    return hand_over(redirect("members", name=dataset.name), KIND, url, request.path)


def _revoke(request: HttpRequest, user: User, dataset: Dataset) -> HttpResponse:
    number = request.POST.get("link", "")
    if number.isascii() and number.isdigit() and len(number) < 19 and revoke_link(user, dataset, int(number)):
        messages.success(request, _("The link was revoked: nobody gets in by it any more."))
    else:
        messages.warning(request, _("There is no such link, or it was closed before."))
    return redirect("members", name=dataset.name)


def _sign_up(request: HttpRequest, user: User, dataset: Dataset) -> HttpResponse | forms.Form:
    form = SignUpModeForm(request.POST)
    if not form.is_valid():
        return form
    set_sign_up(user, dataset, form.cleaned_data["mode"])
    messages.success(request, _("Saved."))
    return redirect("members", name=dataset.name)


ACTIONS: dict[str, Callable[[HttpRequest, User, Dataset], HttpResponse | forms.Form]] = {
    "give": _give,
    "link": _link,
    "revoke": _revoke,
    "sign_up": _sign_up,
}


def _context(
    request: HttpRequest, user: User, dataset: Dataset, refused: dict[str, forms.Form]
) -> dict[str, Any]:
    search = request.GET.get("q", "").replace("\x00", "")[:150]
    role = request.GET.get("role", "") if request.GET.get("role") in Role.values else ""
    after = request.GET.get("after", "").replace("\x00", "")[:150]
    people = list(people_of(dataset, search=search, role=role, after=after)[: PAGE + 1])
    more = people[PAGE - 1].username if len(people) > PAGE else ""
    here = Membership.objects.filter(dataset=dataset, user__in=people)
    text = newest_text(dataset)
    accepted = Consent.objects.filter(text=text, withdrawn=None, user__in=people[:PAGE]) if text else None
    now = timezone.now()
    links = links_of(dataset).select_related("created_by")[:LINKS]
    return {
        "dataset": dataset,
        "section": "members",
        "counts": counts_of(dataset),
        "people": people[:PAGE],
        "more": more,
        "search": search,
        "role": role,
        "after": after,
        "all_roles": Role.choices,
        "roles": roles_to_give(user),
        "administrators": administrators()[:PAGE],
        "everywhere": everywhere()[:PAGE],
        "links": [(link, link.closed_because(now)) for link in links],
        "new_link": handed_over(request, KIND),
        "mode": sign_up_mode(dataset),
        "modes": Entrance.SignUp.choices,
        "join_url": request.build_absolute_uri(reverse("join_open", args=[dataset.name])),
        "consent": text if text and text.text else None,
        "accepted": set(accepted.values_list("user_id", flat=True)) if accepted is not None else set(),
        "labellers": set(here.filter(role__in=LABELLERS).values_list("user_id", flat=True)),
        "give": refused.get("give", GiveForm()),
        "link": refused.get("link", LinkForm(initial={"uses": 1, "days": 14})),
        "max_uses": MAX_USES,
        "max_days": MAX_DAYS,
    }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@dataset_page()
def member_take(request: HttpRequest, dataset: Dataset, membership_id: int) -> HttpResponse:
    """Take a role away: asks once, then does it."""
    assert isinstance(request.user, User)
    rows = Membership.objects.select_related("user", "dataset")
    membership = rows.filter(dataset=dataset, pk=membership_id).first()
    if membership is None:
        raise Http404(_("This person does not have that role here (any more)."))
    if request.method == "POST":
        try:
            take_role(request.user, membership)
        except Refusal as refusal:
            messages.error(request, str(refusal))
            return redirect("members", name=dataset.name)
        said = _("%(name)s does not have the role %(role)s any more.")
        who = {"name": membership.user.username, "role": membership.get_role_display()}
        messages.success(request, said % who)
        own = membership.user_id == request.user.pk and not request.user.has_role(dataset, Role.CURATOR)
        return redirect("home") if own else redirect("members", name=dataset.name)
    context = {
        "dataset": dataset,
        "section": "members",
        "membership": membership,
        "open": sign_up_mode(dataset) == Entrance.SignUp.OPEN and membership.role == Role.ANNOTATOR,
    }
    return render(request, "annotation_site/member_take.html", context)
