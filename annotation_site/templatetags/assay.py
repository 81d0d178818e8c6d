"""Template tags that every stage's pages share."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from annotation_site import figures
from annotation_site.models import Role, User
from ingest.models import Dataset

register = template.Library()

# Section of a dataset's pages -> (name of its URL, title), in the order of the data's way.
SECTIONS = {
    "overview": ("dataset", _("Overview")),
    "sources": ("sources", _("Sources")),
    "images": ("images", _("Images")),
    "duplicates": ("duplicates", _("Duplicates")),
    "rounds": ("rounds", _("Rounds")),
    "review": ("review", _("Review")),
    "workers": ("workers", _("Workers")),
    "quality": ("quality", _("Quality")),
    "releases": ("releases", _("Releases")),
    "runs": ("runs", _("Runs")),
    "members": ("members", _("Members")),
}
CURATORS_ONLY = {"members"}


@register.inclusion_tag("annotation_site/_dataset_nav.html", takes_context=True)
def dataset_nav(context: Context, dataset: Dataset, section: str = "") -> dict[str, Any]:
    """Links to a dataset's pages; left out are those that no stage brings or that are not for this person."""
    user = context.get("user")
    hidden = set() if isinstance(user, User) and user.has_role(dataset, Role.CURATOR) else CURATORS_ONLY
    items = []
    for key, (url_name, title) in SECTIONS.items():
        if key in hidden:
            continue
        try:
            url = reverse(url_name, args=[dataset.name])
        except NoReverseMatch:
            continue
        items.append({"url": url, "title": title, "current": key == section})
    return {"items": items}


@register.filter
def percent(share: float | None, digits: int = 0) -> str:
    """0.934 -> "93%"; nothing where there is no figure."""
    return "" if share is None else figures.percent(share, digits)


@register.filter
def points(difference: float | None) -> str:
    """-0.037 -> "-3.7"; nothing where there is no figure."""
    return "" if difference is None else figures.points(difference)


@register.filter
def thousands(number: float | None) -> str:
    """12345 -> "12,345"; nothing where there is no figure."""
    return "" if number is None else f"{number:,.0f}"
