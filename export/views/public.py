"""What everyone sees of a shared release: the list, the release, its card, its citation, what changed."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotation_site.api.auth import caller
from export import layout
from export.models import Release
from export.services.browsing import (
    compare,
    hides_pictures,
    sample,
    taken_down_between,
    tree_of,
    withdrawals_of,
)
from export.services.downloads import files_of
from export.services.sharing import is_public, share_of, visible_release, visible_releases
from export.sharing.category_tree import Tree
from export.sharing.citation import Cited, bibtex, cff
from export.sharing.markdown import render as markdown_to_html
from export.views.browse import figure_url
from export.views.visible import page, release_page
from quality.charts import Bar, bars, interval

LISTED = 200
"""Releases on a list: the newest."""
SAMPLES = 18
"""Pictures on a release's page: a multiple of 2, 3, 6 and 9 columns."""
CLASSES = 30
"""Categories in the histogram: the fullest."""
EXAMPLES = 24
"""Pictures of each kind of change."""


@require_safe
def public_list(request: HttpRequest) -> HttpResponse:
    """Every release that the visitor may see."""
    found = visible_releases(caller(request))
    return _list(request, found, "")


@require_safe
def public_dataset(request: HttpRequest, name: str) -> HttpResponse:
    """Every release of one dataset."""
    found = visible_releases(caller(request)).filter(dataset__name=name)
    if not found.exists():
        raise Http404(_("There is no such dataset, or nothing of it is shared."))
    return _list(request, found, name)


def _list(request: HttpRequest, found: Any, name: str) -> HttpResponse:
    releases = list(found.order_by("dataset__name", "-id") if not name else found)[:LISTED]
    context = {
        "rows": [{"release": r, "public": is_public(r), "title": _title(r)} for r in releases],
        "name": name,
        "title": _title(releases[0]) if name else "",
        "datasets": len({r.dataset_id for r in releases}),
    }
    return render(request, "export/public_list.html", context)


@require_safe
@release_page
def public_release(request: HttpRequest, release: Release) -> HttpResponse:
    """What is in this release, what its labels are worth, how to get and to cite it."""
    seen = visible_releases(caller(request)).filter(dataset=release.dataset)
    found = release.label_accuracy
    cited = _cited(request, release)
    tree = tree_of(release)
    classes = len(tree.classes())
    return page(
        request,
        "export/public_release.html",
        release,
        counts=release.counts,
        accuracy=found,
        accuracy_chart=interval(found["value"], found["lo"], found["hi"], title=_("Label accuracy"))
        if found
        else "",
        histogram=_histogram(tree),
        classes=classes,
        more_classes=max(0, classes - CLASSES),
        samples=sample(release, SAMPLES),
        withdrawn=withdrawals_of(release).count(),
        replacement=_replacement(release, seen),
        parent=seen.filter(children=release).first(),
        children=list(seen.filter(parent=release).order_by("id")[:10]),
        bibtex=bibtex(cited),
        cited=cited,
        folder=layout.folder_name(release.dataset.name, release.version),
        has_card=files_of(release).local(layout.CARD) is not None,
    )


@require_safe
@release_page
def card(request: HttpRequest, release: Release) -> HttpResponse:
    """The release's README.md, as it was published."""
    file = files_of(release).local(layout.CARD)
    if file is None:
        raise Http404(_("The files of this release are not to be had now, and its card with them."))
    text = file.read_text(encoding="utf-8", errors="replace")
    withdrawn = hides_pictures(release)

    def address(path: str) -> str:
        # A figure of sample pictures may show one that was taken down since.
        return figure_url(release, path, plots_only=withdrawn)

    return page(request, "export/public_card.html", release, card=markdown_to_html(text, address))


@require_safe
@release_page
def changes(request: HttpRequest, release: Release, old: str) -> HttpResponse:
    """What changed from another release of the dataset to this one."""
    before = visible_release(caller(request), release.dataset.name, old)
    gone = withdrawals_of(before).count() + withdrawals_of(release).count()
    # Both never change, but for pictures that are taken down.
    slot = f"changes:{before.pk}:{release.pk}:{gone}"
    found = cache.get_or_set(slot, lambda: compare(before, release, EXAMPLES), timeout=24 * 3600)
    down = taken_down_between(before, release)
    return page(request, "export/public_changes.html", release, old=before, found=found, down=down)


@require_safe
@release_page
def bibtex_file(request: HttpRequest, release: Release) -> HttpResponse:
    """The citation as a .bib file."""
    return _text_file(bibtex(_cited(request, release)), f"{release}.bib", "application/x-bibtex")


@require_safe
@release_page
def cff_file(request: HttpRequest, release: Release) -> HttpResponse:
    """The citation as CITATION.cff."""
    return _text_file(cff(_cited(request, release)), "CITATION.cff", "application/yaml")


def _text_file(text: str, name: str, kind: str) -> HttpResponse:
    head = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type=f"{kind}; charset=utf-8", headers=head)


def _title(release: Release) -> str:
    return release.dataset.title or release.dataset.name


def _cited(request: HttpRequest, release: Release) -> Cited:
    share = share_of(release)
    address = reverse("public_release", args=[release.dataset.name, release.version])
    return Cited(
        name=release.dataset.name,
        title=_title(release),
        version=release.version,
        fingerprint=release.fingerprint,
        year=release.created.year,
        date=release.created.date().isoformat(),
        url=request.build_absolute_uri(address),
        authors=share.authors if share else "",
        licence=release.dataset.licence,
    )


def _histogram(tree: Tree) -> str:
    fullest = sorted(tree.classes(), key=lambda node: (-node.own, node.row.key))[:CLASSES]
    rows = [Bar(node.row.name, node.own, f"{node.own:,}") for node in fullest]
    return bars(rows, title=_("Pictures by category"), label_width="minmax(4rem, 11rem)")


def _replacement(release: Release, seen: Any) -> Release | None:
    """What to use instead of a release that was deprecated or lost pictures: its heir, or the newest."""
    heir = seen.filter(pk=release.replaced_by_id).first() if release.replaced_by_id else None
    newest: Release | None = heir or seen.filter(pk__gt=release.pk, deprecated=None).order_by("-id").first()
    return newest
