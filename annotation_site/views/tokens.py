"""`/me/tokens/`: one's own tokens for programs."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from annotation_site.models import ApiToken, User
from annotation_site.services.tokens import (
    TooManyTokens,
    make_token,
    named_tokens,
    password_tokens,
    revoke_password_tokens,
    revoke_token,
)
from annotation_site.views.shown_once import forget, hand_over, handed_over

KIND = "token"


class TokenForm(forms.Form):
    """A name to know it by, and what it is for."""

    name = forms.CharField(max_length=100)
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The list, a form for a new one, and (once) the text of the one just made."""
    assert isinstance(request.user, User)
    form = TokenForm()
    if request.method == "POST":
        if "revoke" in request.POST:
            return _revoke(request, request.user)
        form = TokenForm(request.POST)
        answer = _make(request.user, form)
        if answer is not None:
            return answer
    text = handed_over(request, KIND)
    from_password = password_tokens(request.user)
    context = {
        "form": form,
        "scopes": _scopes(),
        "new": text,
        "named": named_tokens(request.user),
        "from_password": from_password.count(),
        "last": from_password.exclude(last_used=None).order_by("-last_used").first(),
    }
    response = render(request, "annotation_site/tokens.html", context, status=422 if form.errors else 200)
    return forget(response, KIND, reverse("tokens")) if text else response


def _make(user: User, form: TokenForm) -> HttpResponse | None:
    if not form.is_valid():
        return None
    try:
        text = make_token(user, form.cleaned_data["name"], form.cleaned_data["scope"])
    except TooManyTokens as refusal:
        form.add_error(None, str(refusal))
        return None
    return hand_over(redirect("tokens"), KIND, text, reverse("tokens"))


def _revoke(request: HttpRequest, user: User) -> HttpResponse:
    which = request.POST["revoke"]
    if which == "passwords":
        n = revoke_password_tokens(user)
        said = ngettext("%d token from log-ins was revoked.", "%d tokens from log-ins were revoked.", n) % n
        messages.success(request, said)
    elif which.isascii() and which.isdigit() and len(which) < 19 and revoke_token(user, int(which)):
        messages.success(request, _("The token was revoked: it opens nothing any more."))
    else:
        messages.warning(request, _("There is no such token of yours. Perhaps it was revoked before."))
    return redirect("tokens")


def _scopes() -> list[tuple[str, str]]:
    """What may be chosen, with what it means."""
    return [
        (ApiToken.Scope.READ, _("Read: whatever your roles let you see, and change nothing")),
        (ApiToken.Scope.LABEL, _("Label: claim pictures and vote, and nothing else")),
        (ApiToken.Scope.FULL, _("Everything that your roles allow")),
    ]
