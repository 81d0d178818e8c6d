"""Labels in people's words."""

from __future__ import annotations

from collections.abc import Mapping

from django import template

register = template.Library()


@register.filter
def named(label: str, names: Mapping[str, str]) -> str:
    """A label's name by `report.label_names`; the label itself where it has none."""
    return names.get(label, label)
