"""Publishing a release of what the database holds; the steps are in `export.services.making`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation_site.figures import number_of
from export import layout
from export.models import GivenSplit, Release, ReleaseImage
from export.pictures import FromStore
from export.places.workplace import Workplace
from export.selection import LEFT_OUT
from export.services.choose import choose, passes
from export.services.image_takedown import record_departures
from export.services.making import Published, Recipe, ReleaseFailed, check_classes, make_release
from export.services.plan import Plan, ReleaseRefused, Wishes, plan_release
from export.split_file import moved_draw
from export.tally import Tally
from ingest.models import Dataset, DuplicateGroup
from ingest.progress import progress
from ingest.storage import open_store

ROWS = 2_000

__all__ = ["Published", "ReleaseFailed", "ReleaseRefused", "Wishes", "publish_release"]


def publish_release(
    dataset: Dataset, version: str, output: Path | str, wishes: Wishes | None = None
) -> Published:
    """Write `output/<name>-<version>/` and record it.

    A version that is recorded already can be written once more to a place where it is not, as long as the
    database still gives the same bytes.

    Raises:
        ReleaseRefused: a bad or taken version, other shares than before, an output that is no folder.
        ReleaseFailed: a class is missing in a split, an original is gone, ...
    """
    plan, recorded = plan_release(dataset, version, wishes or Wishes())

    images = dataset.images.count()

    def chosen(place: Workplace, tally: Tally) -> Iterator[dict[str, Any]]:
        with progress(total=images * passes(plan), what="choosing", unit="image") as bar:
            yield from choose(plan, place, tally, bar.update)
        _check_tally(plan, tally)

    recipe = Recipe(
        images=images,
        choose=chosen,
        originals=FromStore(open_store(settings.STORAGE_URL), plan.pixels),
        source="originals",
        keep=lambda release: _keep(plan, release),
    )
    return make_release(plan, output, recorded, recipe)


def _check_tally(plan: Plan, tally: Tally) -> None:
    """Refuse what could never be a release."""
    name = plan.dataset.name
    if not plan.dataset.images.exists():
        raise ReleaseFailed(f"{name} has no images yet: run manage.py ingest first")
    reasons = "; ".join(f"{n:,}: {LEFT_OUT[reason]}" for reason, n in tally.left_out.most_common(4))
    if not tally.labels:
        raise ReleaseFailed(
            f"no picture of {name} can be released ({reasons}); manage.py aggregate settles votes, and "
            "add_reference takes experts' answers"
        )
    tested = ReleaseImage.objects.filter(release__in=plan.earlier, split=ReleaseImage.Split.TEST)
    standing = tested.exclude(image__withdrawal__isnull=False).filter(image__taken_down=None)
    due = standing.values("image_id").distinct().count()
    lost = due - tally.kept_in_test - tally.tested_outside
    if lost:
        raise ReleaseFailed(
            f"of earlier releases {number_of(lost, 'test picture')} would be lost, and must stay; only a "
            f"takedown removes one (manage.py takedown_release){_split_since(plan)}"
        )
    current = plan.dataset.categories.current()
    above = current.filter(parent__isnull=False).values("parent")
    leaves = current.exclude(pk__in=above).values_list("key", flat=True)
    asked = [key for key in leaves if plan.scope.holds_category(key)]
    hint = "label more pictures, give test pictures references, or remove the category"
    check_classes(plan, tally, asked, f"{hint} (left out are {reasons})" if reasons else hint)


def _split_since(plan: Plan) -> str:
    """What may help where test pictures carry a category that was split."""
    split = [key for key, today in plan.dataset.categories.successors().items() if today is None]
    if not split:
        return ""
    return f"; give those of {', '.join(split)}, which was split, new references (manage.py add_reference)"


def _keep(plan: Plan, release: Release) -> None:
    """What is recorded in the transaction that records the release."""
    _keep_given(plan)
    record_departures(release)


def _keep_given(plan: Plan) -> None:
    """Keep the splits that came with the set, and move the draws of their groups to agree with them."""
    ids = iter(sorted(plan.given))
    while chunk := list(islice(ids, ROWS)):
        GivenSplit.objects.bulk_create(
            [GivenSplit(image_id=pk, split=layout.SPLITS.index(plan.given[pk])) for pk in chunk]
        )
    split_of_group: dict[int, str] = {}
    named = GivenSplit.objects.filter(image__dataset=plan.dataset, image__group__isnull=False)
    # In order of protection, so that the most protected split of a group is what stays.
    for group_id, split in named.order_by("split").values_list("image__group_id", "split").iterator(ROWS):
        split_of_group[group_id] = layout.SPLITS[split]
    waiting = iter(sorted(split_of_group))
    while chunk := list(islice(waiting, ROWS)):
        moved = []
        for group in DuplicateGroup.objects.filter(pk__in=chunk):
            draw = moved_draw(group.draw, split_of_group[group.pk], plan.shares)
            if draw != group.draw:
                group.draw = draw
                moved.append(group)
        DuplicateGroup.objects.bulk_update(moved, ["draw"], batch_size=500)
