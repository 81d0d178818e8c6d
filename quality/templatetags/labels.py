"""Labels in people's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from django import template

from annotation_site.figures import percent
from quality.agreement import Estimate

register = template.Library()


@register.filter
def named(label: str, names: Mapping[str, str]) -> str:
    """A label's name by `report.label_names`; the label itself where it has none."""
    return names.get(label, label)


@register.filter
def money(amount: Decimal | float) -> str:
    """1234.5 -> "1,234.50", without the currency."""
    return f"{amount:,.2f}"


@register.filter
def figure(number: float) -> str:
    """0.7831 -> "0.78"; a dash where it is undefined."""
    return "–" if math.isnan(number) else f"{number:.2f}"


@register.filter
def share(number: float) -> str:
    """0.934 -> "93%"; a dash where it is undefined."""
    return "–" if math.isnan(number) else percent(number)


@register.filter
def estimate(found: Estimate) -> str:
    """An index with its interval: "0.78 (0.74 to 0.81)"."""
    if math.isnan(found.value):
        return "–"
    return f"{found.value:.2f} ({found.lo:.2f}–{found.hi:.2f})"


@register.filter
def estimate_percent(found: Estimate) -> str:
    """A share with its interval: "93% (90%–95%)"."""
    if math.isnan(found.value):
        return "–"
    return f"{percent(found.value)} ({percent(found.lo)}–{percent(found.hi)})"
