"""Forms of the pages of runs; every one works without a script."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from training.arms import ARMS
from training.presets import PRESETS
from training.settings import NONE, SettingsError
from training.wishes import LONGEST_ARMS, read_wishes

MOST_SEEDS = 100
"""Runs of each labelling that a page starts; a command may ask for more."""
PRESET_WORDS = {
    "quick": _("quick: a frozen backbone under a small head, minutes on two cores"),
    "probe": _("probe: the same under a linear head"),
    "baseline": _("baseline: a ResNet-18 from scratch, nearly all labellings"),
    "cifar": _("cifar: a ResNet-18 for pictures of 32 pixels"),
    "reference": _("reference: torchvision's published recipe"),
}


def preset_choices() -> list[tuple[str, Any]]:
    """Every preset with what it is, for a person who chooses."""
    return [(name, PRESET_WORDS.get(name, name)) for name in PRESETS]


class StartForm(forms.Form):
    """A run on a release: preset, labellings, seeds."""

    preset = forms.ChoiceField(label=_("Preset"), choices=preset_choices)
    arms = forms.CharField(
        label=_("Labellings"),
        required=False,
        max_length=LONGEST_ARMS,
        help_text=_("Empty: the preset's. Else names parted by commas, or all: %(arms)s")
        % {"arms": ", ".join(ARMS)},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    seeds = forms.IntegerField(
        label=_("Seeds"),
        required=False,
        min_value=1,
        max_value=MOST_SEEDS,
        help_text=_("Runs of each labelling. Empty: the preset's number."),
    )
    suspects = forms.BooleanField(
        label=_("Judge the train pictures too, by nets that were not taught them"),
        required=False,
        help_text=_("What looks wrong can go back to people then. Takes a few more trainings."),
    )

    def clean(self) -> dict[str, Any]:
        """Refuse what the trainer would refuse, in its words."""
        given = super().clean() or {}
        named = tuple(name.strip() for name in given.get("arms", "").split(",") if name.strip())
        flags = {"preset": given.get("preset"), "arms": named, "seeds": given.get("seeds")}
        if self.errors:
            return given
        try:
            self.wishes = read_wishes({key: value for key, value in flags.items() if value})
        except SettingsError as error:
            self.add_error("arms", str(error))
        return given


class PublishingForm(forms.Form):
    """What publishing a release starts."""

    preset = forms.ChoiceField(
        label=_("When a release is published"),
        choices=lambda: [(NONE, _("train nothing")), *preset_choices()],
    )


class DoubtsForm(forms.Form):
    """How many of the doubted pictures to ask about, how often, and where."""

    MORE, NEW = "more", "new"
    most = forms.IntegerField(label=_("Pictures, the most doubtful first"), min_value=1, max_value=100_000)
    votes = forms.IntegerField(label=_("Votes for each"), min_value=1, max_value=100)
    way = forms.ChoiceField(label=_("Where"), choices=[(MORE, ""), (NEW, "")])
