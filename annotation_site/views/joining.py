"""Joining a dataset, by an invitation link or where it is open: with a new account or the one at hand."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from annotation_site.models import User
from annotation_site.services.joining import (
    FAILED_FORMS,
    NEW_ACCOUNTS,
    Door,
    LinkClosed,
    NameTaken,
    NoEntrance,
    door_of_link,
    is_inside,
    join,
    open_door,
    sign_up,
)


class SignUpForm(forms.Form):
    """A new account: user name, password twice, e-mail where one is wanted."""

    username = forms.CharField(max_length=150, validators=[User.username_validator])
    password = forms.CharField(max_length=1_000, strip=False)
    again = forms.CharField(max_length=1_000, strip=False)
    email = forms.EmailField(required=False)

    def clean(self) -> dict[str, Any]:
        """The two passwords are one, and Django's rules hold for it."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        password, again = data.get("password"), data.get("again")
        if password and again and password != again:
            self.add_error("again", _("This is not the same password."))
        elif password:
            person = User(username=data.get("username", ""), email=data.get("email", ""))
            try:
                validate_password(password, person)
            except ValidationError as error:
                self.add_error("password", error)
        return data


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def join_link(request: HttpRequest, token: str) -> HttpResponse:
    """`/join/TOKEN/`: what one joins, and the form for it."""
    try:
        return _at_the_door(request, door_of_link(token))
    except LinkClosed as refusal:
        return render(request, "annotation_site/join_closed.html", {"why": str(refusal)}, status=410)
    except NoEntrance as refusal:
        return render(request, "annotation_site/join_closed.html", {"why": str(refusal)}, status=404)


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def join_open(request: HttpRequest, name: str) -> HttpResponse:
    """`/d/NAME/join/`: the same, for a dataset that is open to everybody."""
    try:
        return _at_the_door(request, open_door(name))
    except NoEntrance as refusal:
        return render(request, "annotation_site/join_closed.html", {"why": str(refusal)}, status=404)


def _at_the_door(request: HttpRequest, door: Door) -> HttpResponse:
    if isinstance(request.user, User):
        return _with_account(request, request.user, door)
    form, status = SignUpForm(), 200
    if request.method == "POST":
        form = SignUpForm(request.POST)
        user = _new_person(request, door, form)
        if user is not None:
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            return _welcome(request, door)
        status = 422
    return render(request, "annotation_site/join.html", {"door": door, "form": form}, status=status)


def _with_account(request: HttpRequest, user: User, door: Door) -> HttpResponse:
    if request.method == "POST":
        join(user, door)
        return _welcome(request, door)
    context = {"door": door, "inside": is_inside(user, door)}
    return render(request, "annotation_site/join.html", context)


def _new_person(request: HttpRequest, door: Door, form: SignUpForm) -> User | None:
    """The account that the form asks for; None, with the reason in the form, where it cannot be made."""
    address = request.META.get("REMOTE_ADDR", "")
    if FAILED_FORMS.reached(address) or NEW_ACCOUNTS.reached(address):
        form.is_valid()
        form.add_error(None, _("Too many sign-ups from your network. Wait an hour, then try again."))
        return None
    if form.is_valid():
        data = form.cleaned_data
        try:
            user = sign_up(door, data["username"], data["password"], data["email"])
        except NameTaken as refusal:
            form.add_error("username", str(refusal))
        else:
            NEW_ACCOUNTS.spend(address)
            return user
    FAILED_FORMS.spend(address)
    return None


def _welcome(request: HttpRequest, door: Door) -> HttpResponse:
    name = door.dataset.title or door.dataset.name
    messages.success(
        request, _("Welcome to %(name)s. Your role: %(role)s.") % {"name": name, "role": door.role_name}
    )
    return redirect("home")
