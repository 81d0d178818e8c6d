"""Labels in people's words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from django import template
from django.utils.translation import ngettext

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
def days(number: float) -> str:
    """How long something takes, as roughly as it is known: "3 hours", "12 days", "5 months"."""
    if number < 1:
        hours = max(1, round(24 * number))
        return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": hours}
    if number < 90:
        return ngettext("%(n)s day", "%(n)s days", round(number)) % {"n": round(number)}
    months = round(number / 30.4)
    if months < 24:
        return ngettext("%(n)s month", "%(n)s months", months) % {"n": months}
    return ngettext("%(n)s year", "%(n)s years", round(number / 365)) % {"n": f"{round(number / 365):,}"}


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
