"""The quality report in words and charts: the same for the site's page and for the file that stands alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.figures import percent
from ingest.models import Dataset
from quality.agreement import Estimate
from quality.charts import Bar, Point, bars, interval, reliability
from quality.services.honesty import Confusion, DatasetQuality
from quality.services.report import label_names

SHOWN_WORKERS = 30
SHOWN_CATEGORIES = 60


def headline(quality: DatasetQuality) -> str:
    """The answer in one sentence: how many labels are right, and how sure that is."""
    known, stated = quality.references, quality.promised
    if known.n:
        return ngettext(
            "About %(share)s of the labels are right (%(lo)s to %(hi)s), by %(n)s blind answer of experts.",
            "About %(share)s of the labels are right (%(lo)s to %(hi)s), by %(n)s blind answers of experts.",
            known.n,
        ) % {
            **_words(known),
            "n": f"{known.n:,}",
        }
    if not stated.n:
        return _("Nothing can be said of the labels yet: no picture has a consensus.")
    return _(
        "No expert has checked these labels. By their own confidence %(share)s are right; "
        "in other crowds such words meant %(lo)s to %(hi)s."
    ) % _words(stated)


def verdict_words(quality: DatasetQuality) -> str:
    """What the experts' answers and the confidences say together."""
    words = {
        "stated": percent(quality.promised.value, 1) if quality.promised.n else "",
        **_words(quality.references),
    }
    return {
        "unproven": _("Nothing here proves it; experts' blind answers do (manage.py add_reference)."),
        "agree": _("The confidences promise %(stated)s, which the answers of experts bear out."),
        "too_sure": _(
            "The confidences promise %(stated)s, more than the answers of experts allow (%(lo)s to %(hi)s): "
            "believe the experts. Workers share mistakes that more votes do not mend."
        ),
        "too_modest": _(
            "The confidences promise %(stated)s, less than the answers of experts show (%(lo)s to %(hi)s)."
        ),
    }[quality.verdict] % words  # fmt: skip


def basis_words(quality: DatasetQuality) -> str:
    """What the experts' answers were drawn from."""
    words = {"n": f"{quality.references.n:,}", "all": f"{quality.sample:,}"}
    return {
        "test": _(
            "%(n)s of the %(all)s labelled pictures of the test split, which was drawn before any vote"
        ),
        "audit": _("%(n)s of the %(all)s pictures that were drawn at random for audit"),
        "some": ngettext(
            "%(n)s picture, perhaps not drawn at random: the interval does not cover that",
            "%(n)s pictures, perhaps not drawn at random: the interval does not cover that",
            quality.references.n,
        ),
        "none": "",
    }[quality.basis] % words


def _words(figure: Estimate) -> dict[str, str]:
    if not figure.n:
        return {"share": "", "lo": "", "hi": ""}
    return {
        "share": percent(figure.value, 1),
        "lo": percent(figure.lo, 1),
        "hi": percent(figure.hi, 1),
    }


def _reasons() -> dict[str, str]:
    return {
        "abstained": _("votes that abstain (“not sure”): no evidence, and no disagreement"),
        "repeat": _("votes of repeat rounds: they measure people, not pictures"),
        "gold votes": _("votes on gold: its answer is known, and everybody gets it; left out of agreement"),
        "asked after a look at the answers": _(
            "votes that were asked for because people differed: they count for the labels, and are left out "
            "of agreement, which they would make look worse"
        ),
        "withdrawn pictures": _("withdrawn pictures"),
        "tasks without a consensus": _("tasks without a consensus: nobody has said anything definite yet"),
        "pictures on which experts differ": _("pictures on which experts differ: no settled reference"),
        "gold pictures": _("gold pictures: their label is the known one, so it proves nothing"),
        "voided: late": _("votes that came after their lease, when the places were taken"),
        "voided: undone": _("votes taken back by the worker"),
        "voided: worker": _("votes of workers that a curator voided"),
    }


def page_context(
    dataset: Dataset, quality: DatasetQuality, picture: Callable[[str], str], *, workers: bool = True
) -> dict[str, Any]:
    """What `quality/_quality.html` needs.

    Args:
        picture: the address (or data URI) of a thumbnail by its sha256; empty where there is none.
        workers: whether the reader may see workers.
    """
    names = label_names(dataset)
    glosses = dict(dataset.categories.values_list("key", "gloss"))
    reasons = _reasons()
    return {
        "dataset": dataset,
        "quality": quality,
        "names": names,
        "headline": headline(quality),
        "verdict": verdict_words(quality),
        "basis": basis_words(quality),
        "claims": _claims(quality),
        "reliability": _reliability(quality),
        "agreement": quality.agreement,
        "categories": [row for part in quality.agreement for row in _categories(part.categories)],
        "pairs": [_pair(pair, names, glosses, picture) for pair in quality.confusions],
        "repeats": quality.repeats,
        "skills": [_skill(row) for row in quality.skills[:SHOWN_WORKERS]] if workers else [],
        "workers_more": max(0, len(quality.skills) - SHOWN_WORKERS),
        "may_see_workers": workers,
        "votes_chart": _votes_chart(quality),
        "left_out": [(n, reasons.get(why, why)) for why, n in quality.left_out.items()],
    }


def _claims(quality: DatasetQuality) -> list[dict[str, Any]]:
    """The share of right labels, by each kind of evidence that there is."""
    rows = [
        (_("Experts’ blind answers"), quality.references, basis_words(quality)),
        (
            _("Gold, untold"),
            quality.gold,
            _("what the crowd says on gold when it is not told, with as many votes as other pictures get"),
        ),
        (
            _("The confidences’ own word"),
            quality.promised,
            _("the mean confidence; the interval is how far other crowds’ words were from the truth"),
        ),
    ]
    return [
        {"name": name, "figure": figure, "basis": basis, "chart": _line(figure, name)}
        for name, figure, basis in rows
        if figure.n
    ]


def _line(figure: Estimate, title: str) -> str:
    return interval(figure.value, figure.lo, figure.hi, title=f"{title}: {percent(figure.value, 1)}")


def _reliability(quality: DatasetQuality) -> str:
    bins = quality.calibration.bins
    if not bins:
        return ""
    points = [Point(b.stated, b.right, b.right_lo, b.right_hi) for b in bins]
    return reliability(
        points, title=_("Stated confidence against the share that is right"),
        across=_("the confidence says"), up=_("right, by experts"),
    )  # fmt: skip


def _categories(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The categories that people agree on least come first."""
    ordered = sorted(rows, key=lambda row: (row["agreement"], row["label"]))[:SHOWN_CATEGORIES]
    return [
        {**row, "chart": interval(row["agreement"], row["lo"], row["hi"], title=percent(row["agreement"]))}
        for row in ordered
    ]


def _pair(
    pair: Confusion, names: dict[str, str], glosses: dict[str, str], picture: Callable[[str], str]
) -> dict[str, Any]:
    shown = [{"sha": sha, "src": picture(sha)} for sha in pair.images]
    sides = [
        {"name": names.get(key, key), "gloss": glosses.get(key, "")} for key in (pair.first, pair.second)
    ]
    return {"pair": pair, "sides": sides, "pictures": [p for p in shown if p["src"]]}


def _skill(row: dict[str, Any]) -> dict[str, Any]:
    colour = "warn" if row["flags"] else "accent"
    chart = interval(row["skill"], row["lo"], row["hi"], title=percent(row["skill"]), colour=colour)
    return {**row, "flag_list": [slug for slug in row["flags"].split(";") if slug], "chart": chart}


def _votes_chart(quality: DatasetQuality) -> str:
    total = sum(n for _votes, n in quality.votes_per_task)
    if not total:
        return ""
    few = quality.votes_per_task[:20]
    rest = sum(n for _votes, n in quality.votes_per_task[20:])
    rows = [Bar(str(votes), n, f"{n:,} ({percent(n / total)})") for votes, n in few]
    if rest:
        rows.append(Bar(_("more"), rest, f"{rest:,} ({percent(rest / total)})"))
    return bars(rows, title=_("Tasks by their number of votes"))
