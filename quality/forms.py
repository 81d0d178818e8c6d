"""Forms of the rounds' pages; every one works without a script. Shares are shown and typed in percent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation_site.models import Quiz, Round
from annotation_site.services.claims import MAX_BATCH
from annotation_site.services.quiz_making import MOST_TRIES
from ingest.models import Dataset
from quality.presets import IMAGENET, SAMPLE_VOTES
from quality.services.choosing import BATCH, EVERY, GRID, UNLABELLED, RoundPlan
from quality.services.followups import DISPUTED, UNSURE
from quality.services.foresight import INVITED, LISTED

USUAL = RoundPlan()
EVERYONE = "everyone"
LONGEST = 200_000
"""Characters of a list of images: some 3,000 SHA-256."""
MANY = 300
"""Categories in a drop-down list; with more of them the id is typed."""


def percent_field(label: Any, usual: float, help_text: Any = "", *, most: float = 100) -> forms.FloatField:
    """A share, typed in percent."""
    return forms.FloatField(
        label=label,
        min_value=0,
        max_value=most,
        initial=f"{100 * usual:g}",
        help_text=help_text,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )


class _Votes(forms.Form):
    """The numbers that a round begins with and that can be changed later."""

    votes_min = forms.IntegerField(
        label=_("Votes at least"), min_value=1, max_value=1000, initial=USUAL.votes_min,
        help_text=_("that every picture gets"),
    )  # fmt: skip
    votes_max = forms.IntegerField(
        label=_("Votes at most"), min_value=1, max_value=1000, initial=USUAL.votes_max,
        help_text=_("that an unsure picture gets"),
    )  # fmt: skip
    confidence = percent_field(
        _("Confidence, %"), USUAL.confidence, _("a picture settles once its label is this sure"), most=99.9999
    )
    price = forms.DecimalField(
        label=_("Price of a vote, USD"), min_value=0, max_value=9999, decimal_places=4, initial=Decimal(0)
    )
    batch_size = forms.IntegerField(
        label=_("Pictures in a batch"), min_value=1, max_value=MAX_BATCH, required=False,
        help_text=_("given to a person at once; empty: %(one)s, in a grid of yes and no %(grid)s")
        % {"one": BATCH, "grid": GRID},
    )  # fmt: skip
    lease_minutes = forms.IntegerField(
        label=_("Minutes for a batch"), min_value=1, max_value=1440, initial=USUAL.lease_seconds // 60,
        help_text=_("then it is given to others"),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """The most must not be below the least."""
        data = super().clean() or {}
        least, most = data.get("votes_min"), data.get("votes_max")
        if least is not None and most is not None and most < least:
            self.add_error("votes_max", _("The most votes must be as many as the least, or more."))
        return data

    def described(self) -> None:
        """Point each field at its help and its errors, for those who do not see them."""
        for name, field in self.fields.items():
            bound = self[name]
            told = [f"{bound.auto_id}_helptext"] if field.help_text else []
            told += [f"{bound.auto_id}_error"] if self.is_bound and bound.errors else []
            if told:
                field.widget.attrs["aria-describedby"] = " ".join(told)


class RoundForm(_Votes):
    """Everything that a new round is asked for."""

    question = forms.ChoiceField(label=_("Question"), choices=Round.Question.choices)
    category = forms.CharField(
        label=_("Category"),
        required=False,
        max_length=100,
        help_text=_("only where one category is verified"),
    )
    title = forms.CharField(
        label=_("Title"), required=False, max_length=200, help_text=_("what people see as its name")
    )
    images = forms.ChoiceField(
        label=_("Which pictures"),
        choices=[
            (EVERY, _("all")),
            (UNLABELLED, _("without a settled label so far")),
            (DISPUTED, _("disputed: the most votes were given and they stay unsure")),
            (UNSURE, _("unsure: the consensus is below a confidence")),
            (LISTED, _("those that I name")),
        ],
    )
    below = percent_field(
        _("Unsure below, %"), USUAL.confidence, _("counts only for unsure pictures"), most=100
    )
    keys = forms.CharField(
        label=_("Pictures by name"), required=False, max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("one a line: SHA-256, source path or URL; counts only for those that you name"),
    )  # fmt: skip
    gold_rate = percent_field(
        _("Gold, %"), USUAL.gold_rate, _("share of known pictures among what people get"), most=90
    )
    audit_rate = percent_field(
        _("Audit, %"), USUAL.audit_rate, _("random share that gets the most votes whatever the rule says")
    )
    order = forms.ChoiceField(
        label=_("Which come first"), required=False, choices=Round.Order.choices,
        help_text=_("of the pictures that still want votes"),
    )  # fmt: skip
    preset = forms.ChoiceField(
        label=_("Preset"), required=False,
        choices=[("", _("none")), (IMAGENET, _("as ImageNet did: a sample tells how many votes it takes"))],
    )  # fmt: skip
    access = forms.ChoiceField(
        label=_("Who may vote"),
        choices=[(EVERYONE, _("everyone who labels here")), (INVITED, _("only people I choose"))],
    )
    least_skill = forms.FloatField(
        label=_("Surely right, %"), required=False, min_value=0.01, max_value=99.99,
        help_text=_("people who are right so often, by their record here"),
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )  # fmt: skip
    workers = forms.CharField(
        label=_("People"), required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("user names or worker codes, parted by spaces or lines"),
    )  # fmt: skip
    quiz = forms.TypedChoiceField(
        label=_("Quiz"), required=False, coerce=int, empty_value=None,
        help_text=_("annotators pass it first; its pictures are left out of the round"),
    )  # fmt: skip
    tells_agreement = forms.BooleanField(
        label=_("Once it is closed, tell people how often they were right on gold"),
        required=False,
        initial=True,
    )
    instructions = forms.CharField(
        label=_("Instructions"), required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("what people are told; pictures as examples can be added once the round is there"),
    )  # fmt: skip

    def __init__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = list(dataset.categories.current().values_list("key", "name")[: MANY + 1])
        if len(rows) <= MANY:
            self.fields["category"].widget = forms.Select(choices=[("", _("all categories")), *rows])
        else:
            self.fields["category"].help_text = _("the id of the one that is verified; empty: all")
        set_quizzes(self.fields["quiz"], dataset.quizzes.all())
        self.described()

    def clean(self) -> dict[str, Any]:
        """What the preset needs stands beside its field."""
        data = super().clean()
        most = data.get("votes_max")
        if data.get("preset") == IMAGENET and most is not None and most < SAMPLE_VOTES:
            words = _("The preset gives its first sample %(n)s votes: the most must be that or more.")
            self.add_error("votes_max", words % {"n": SAMPLE_VOTES})
        return data

    def asked(self) -> dict[str, Any]:
        """The fields as plain JSON, shares as fractions: what `foresight.Asked.of` reads."""
        data = dict(self.cleaned_data)
        for name in ("confidence", "below", "gold_rate", "audit_rate", "least_skill"):
            data[name] = None if data[name] is None else round(data[name] / 100, 8)
        return data | {"price": str(data["price"])}


class ChangeForm(_Votes):
    """What can be changed of a round that is not closed."""

    title = forms.CharField(label=_("Title"), required=False, max_length=200)
    quiz_id = forms.TypedChoiceField(
        label=_("Quiz"), required=False, coerce=int, empty_value=None,
        help_text=_("annotators pass it before their next batch; its pictures leave the round"),
    )  # fmt: skip
    tells_agreement = forms.BooleanField(
        label=_("Once it is closed, tell people how often they were right on gold"), required=False
    )

    def __init__(self, round_: Round, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault(
            "initial",
            {
                "title": round_.title,
                "votes_min": round_.votes_min,
                "votes_max": round_.votes_max,
                "confidence": f"{100 * round_.confidence:g}",
                "price": round_.price,
                "batch_size": round_.batch_size,
                "lease_minutes": max(1, round_.lease_seconds // 60),
                "quiz_id": round_.quiz_id,
                "tells_agreement": round_.tells_agreement,
            },
        )
        super().__init__(*args, **kwargs)
        set_quizzes(self.fields["quiz_id"], round_.dataset.quizzes.filter(question=round_.question))
        self.fields["batch_size"].required = True
        self.fields["batch_size"].help_text = _("given to a person at once")
        self.described()

    def wanted(self) -> dict[str, Any]:
        """Field of Round -> the value that it is to have."""
        data = dict(self.cleaned_data)
        data["confidence"] = round(data["confidence"] / 100, 8)
        data["lease_seconds"] = 60 * data.pop("lease_minutes")
        return data


def set_quizzes(field: forms.Field, quizzes: QuerySet[Quiz]) -> None:
    """Offer these quizzes, and none."""
    assert isinstance(field, forms.ChoiceField)
    rows = quizzes.values_list("pk", "title", "question")
    field.choices = [("", _("none")), *((pk, f"{title} ({question})") for pk, title, question in rows)]


class QuizForm(forms.Form):
    """A quiz but for its pictures."""

    title = forms.CharField(label=_("Name"), max_length=100)
    question = forms.ChoiceField(label=_("Question"), choices=Round.Question.choices)
    pass_share = percent_field(_("Pass mark, %"), 0.8, _("share of right answers, rounded up to a picture"))
    tries = forms.IntegerField(
        label=_("Tries"), min_value=1, max_value=MOST_TRIES, initial=3,
        help_text=_("that everybody has; you can allow a person more"),
    )  # fmt: skip


class InstructionsForm(forms.Form):
    """What people are told in words."""

    text = forms.CharField(
        label=_("What people are told"), required=False, max_length=20_000, strip=False,
        widget=forms.Textarea(attrs={"rows": 10}),
    )  # fmt: skip
