"""Forms of the release pages; every one works without a script."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from export.services.downloads import LONGEST
from export.sharing.terms import ASKABLE, BadTerms, clean_text
from export.sharing.terms import LONGEST as LONGEST_TERMS

QUESTIONS = {
    "name": _("Your name"),
    "email": _("Your email address"),
    "purpose": _("What will you use it for?"),
}
AUTOCOMPLETE = {"name": "name", "email": "email", "purpose": "off"}


class AcceptForm(forms.Form):
    """Accepting the terms that were shown (their SHA-256 comes back), with what they ask for."""

    terms = forms.CharField(max_length=64, widget=forms.HiddenInput)
    accept = forms.BooleanField(error_messages={"required": _("Tick this to accept the terms.")})

    def __init__(self, asks: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for ask in asks:
            widget = forms.EmailInput if ask == "email" else forms.TextInput
            self.fields[ask] = forms.CharField(
                label=QUESTIONS[ask],
                max_length=LONGEST[ask],
                widget=widget(attrs={"autocomplete": AUTOCOMPLETE[ask]}),
                error_messages={"required": _("The terms ask for this.")},
            )
        self.asked = [self[ask] for ask in asks]


class ShareForm(forms.Form):
    """The terms on which a release is given away."""

    text = forms.CharField(
        label=_("Terms"), widget=forms.Textarea(attrs={"rows": 10}), max_length=LONGEST_TERMS
    )
    asks = forms.MultipleChoiceField(
        label=_("People must tell"),
        choices=[(ask, QUESTIONS[ask]) for ask in ASKABLE],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    authors = forms.CharField(label=_("Authors, for citations"), max_length=500, required=False)

    def clean_text(self) -> str:
        """The text as it is kept."""
        try:
            return clean_text(self.cleaned_data["text"])
        except BadTerms as error:
            raise forms.ValidationError(str(error)) from None
