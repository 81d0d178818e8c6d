"""Logging in and out, one's e-mail address and password, and a new password by mail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
)
from django.contrib.auth.views import (
    LoginView,
    LogoutView,
    PasswordChangeView,
    PasswordResetConfirmView,
    PasswordResetView,
)
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.models import User
from annotation_site.services.joining import open_datasets
from annotation_site.services.logins import check_password
from annotation_site.services.passwords import RESETS_BY_ADDRESS, RESETS_BY_MAIL, in_background
from annotation_site.services.refusals import Refusal
from annotation_site.services.tokens import named_tokens, revoke_password_tokens

OPEN_SHOWN = 10
"""Open datasets that the log-in page names."""


class LoginForm(AuthenticationForm):
    """Django's form, with wrong passwords counted as the API counts them."""

    def clean(self) -> dict[str, Any]:
        """Check the password; the reason of a refusal stands above the form."""
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password and self.request is not None:
            try:
                user: User = check_password(self.request, username, password)
            except Refusal as refusal:
                raise ValidationError(str(refusal)) from None
            self.user_cache = user
        return self.cleaned_data


class Login(LoginView):
    """The log-in page; somebody logged in already goes on to where they wanted."""

    template_name = "annotation_site/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whoever has no account sees what can be joined without an invitation."""
        return super().get_context_data(**kwargs, open_datasets=open_datasets()[:OPEN_SHOWN])


class Logout(LogoutView):
    """POST only, so that no foreign page logs anybody out."""


class EmailForm(forms.Form):
    """An address, or none; the password shows that it is the person and not an unlocked screen."""

    email = forms.EmailField(required=False, max_length=254)
    current = forms.CharField(strip=False, max_length=1_000)

    def __init__(self, request: HttpRequest, data: Any = None) -> None:
        super().__init__(data, prefix="mail", initial={"email": getattr(request.user, "email", "")})
        self.request = request

    def clean_current(self) -> str:
        """The password, counted where it is wrong."""
        return _own_password(self.request, self.cleaned_data["current"])


class OwnPasswordForm(PasswordChangeForm):
    """Django's form, with wrong old passwords counted as those of the log-in page."""

    request: HttpRequest

    def clean_old_password(self) -> str:
        """The old password."""
        return _own_password(self.request, self.cleaned_data["old_password"])


def _own_password(request: HttpRequest, password: str) -> str:
    try:
        check_password(request, request.user.get_username(), password)
    except Refusal as refusal:
        raise ValidationError(str(refusal)) from None
    return password


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """`/me/account/`: e-mail address and password. POST changes the address."""
    assert isinstance(request.user, User)
    form = EmailForm(request, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        request.user.email = form.cleaned_data["email"]
        request.user.save(update_fields=["email"])
        messages.success(request, _("Saved."))
        return redirect("account")
    return _account_page(request, mail=form)


def _account_page(request: HttpRequest, **bound: Any) -> HttpResponse:
    """The page with its two forms; `bound` is the one that was sent and refused."""
    assert isinstance(request.user, User)
    refused = any(form.errors for form in bound.values())
    context = {"mail": EmailForm(request), "password": None, "can_mail": can_mail(), **bound}
    return render(request, "annotation_site/account.html", context, status=422 if refused else 200)


class PasswordChange(PasswordChangeView):
    """A new password: other log-ins end, and so do tokens that the old one gave."""

    form_class = OwnPasswordForm
    success_url = reverse_lazy("account")
    http_method_names = ["post"]

    def get_form(self, form_class: Any = None) -> OwnPasswordForm:
        """The form knows the request, to count wrong passwords."""
        form = super().get_form(form_class)
        assert isinstance(form, OwnPasswordForm)
        form.request = self.request
        return form

    def form_invalid(self, form: Any) -> HttpResponse:
        """The account page again, with the reasons."""
        return _account_page(self.request, password=form)

    def form_valid(self, form: Any) -> HttpResponse:
        """Save, and say what became of other log-ins."""
        response = super().form_valid(form)
        assert isinstance(self.request.user, User)
        revoke_password_tokens(self.request.user)
        said = _("Your password was changed. Other browsers and programs must log in anew.")
        if named_tokens(self.request.user).exists():
            said += " " + _("The tokens that you made yourself go on working.")
        messages.success(self.request, said)
        return response


def can_mail() -> bool:
    """Whether this site sends mail."""
    return bool(settings.EMAIL_HOST)


class ResetForm(PasswordResetForm):
    """Django's form. Whether an account has the address shows neither in the answer nor in its time."""

    def __init__(self, *args: Any, address: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = address

    def clean_email(self) -> str:
        """The address; asked too often, it is refused whether or not anybody has it."""
        email: str = self.cleaned_data["email"]
        if RESETS_BY_ADDRESS.reached(self.address) or RESETS_BY_MAIL.reached(email.casefold()):
            raise ValidationError(_("Too many requests. Wait an hour, then try again."))
        RESETS_BY_ADDRESS.spend(self.address)
        RESETS_BY_MAIL.spend(email.casefold())
        return email


class PasswordReset(PasswordResetView):
    """`/password/reset/`: ask for a mail; without a mail server the page says whom to ask."""

    template_name = "annotation_site/password_reset.html"
    email_template_name = "annotation_site/password_reset_email.txt"
    subject_template_name = "annotation_site/password_reset_subject.txt"
    form_class = ResetForm
    success_url = reverse_lazy("password_reset_sent")

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form counts by network address."""
        return {**super().get_form_kwargs(), "address": self.request.META.get("REMOTE_ADDR", "")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether there is any mail."""
        return super().get_context_data(**kwargs, can_mail=can_mail())

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Nothing is looked up where nothing can be sent."""
        return super().post(request, *args, **kwargs) if can_mail() else redirect("password_reset")

    def form_valid(self, form: Any) -> HttpResponse:
        """Look for accounts and mail them beside the answer."""
        options: dict[str, Any] = {
            "domain_override": self.request.get_host(),
            "use_https": self.request.is_secure(),
            "email_template_name": self.email_template_name,
            "subject_template_name": self.subject_template_name,
        }
        in_background(lambda: form.save(**options))
        return redirect(self.success_url)


@require_http_methods(["GET", "HEAD"])
def password_reset_sent(request: HttpRequest) -> HttpResponse:
    """The same words for everybody."""
    return render(request, "annotation_site/password_reset_sent.html")


class NewPasswordForm(SetPasswordForm):
    """Django's form; a new password ends the tokens that the old one gave."""

    def save(self, commit: bool = True) -> Any:
        """Save both."""
        user = super().save(commit)
        revoke_password_tokens(user)
        return user


class PasswordResetConfirm(PasswordResetConfirmView):
    """The page that the mailed link opens."""

    template_name = "annotation_site/password_new.html"
    form_class = NewPasswordForm
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        """On to the log-in page."""
        messages.success(self.request, _("Your new password is saved. Log in with it."))
        return super().form_valid(form)
