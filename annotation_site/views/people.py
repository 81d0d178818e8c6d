"""Logging in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError

from annotation_site.models import User
from annotation_site.services.logins import check_password
from annotation_site.services.refusals import Refusal


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


class Logout(LogoutView):
    """POST only, so that no foreign page logs anybody out."""
