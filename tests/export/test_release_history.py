"""`release_history` tells every release, what it changed, and what is thought of it; the same as the diff."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from export.diff import diff_releases
from export.models import Release
from export.services.deprecate import deprecate_release
from export.services.plan import Wishes
from export.services.publish import publish_release
from export.services.takedown import take_down
from ingest.management.base import BadInput
from tests.export.world import World

pytestmark = pytest.mark.django_db


def history(name: str = "birds", *options: str) -> Any:
    out = io.StringIO()
    call_command("release_history", name, *options, stdout=out)
    return json.loads(out.getvalue()) if "--json" in options else out.getvalue()


def test_a_history_says_what_each_release_changed(
    world: World, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    gone, changed, down = (world.add_image() for _ in range(3))
    for image in (gone, changed, down):
        world.vote(image, ["owl", "owl", "owl"])
    first = publish_release(world.dataset, "1.0.0", tmp_path)
    world.refer(gone, "__none__")
    world.vote(changed, ["finch"], round=world.dataset.rounds.create(question="classify"))
    world.vote(world.add_image(split="val"), ["owl"] * 3)
    second = publish_release(world.dataset, "1.1.0", tmp_path, Wishes(sealed=True))
    third = take_down(world.dataset, "1.1.1", [down.sha256], "asked for", tmp_path)
    deprecate_release(first.release, "wrong labels", second.release)
    shutil.rmtree(first.folder)
    with django_assert_max_num_queries(12):
        told = history("birds", "--json")
    assert told["dataset"] == "birds"
    newest, middle, oldest = told["releases"]
    assert [r["version"] for r in told["releases"]] == ["1.1.1", "1.1.0", "1.0.0"]
    assert [r["parent"] for r in told["releases"]] == ["1.1.0", "1.0.0", None]
    assert oldest["changes"] is None
    assert middle["changes"] == {"added": 1, "removed": 1, "relabelled": 1, "moved": 0, "taken_down": 0}
    assert newest["changes"] == {"added": 0, "removed": 1, "relabelled": 0, "moved": 0, "taken_down": 1}
    assert [r["present"] for r in told["releases"]] == [True, True, False]
    assert [r["sealed"] for r in told["releases"]] == [True, True, False]
    assert oldest["deprecated"]["reason"] == "wrong labels"
    assert oldest["deprecated"]["instead"] == "1.1.0"
    assert newest["fingerprint"] == third.release.fingerprint
    with diff_releases(second.folder, third.folder) as diff:
        assert {kind: diff.counts[kind] for kind in ("added", "removed", "moved")} == {
            kind: newest["changes"][kind] for kind in ("added", "removed", "moved")
        }


def test_people_read_it_too(world: World, tmp_path: Path) -> None:
    assert "has no release yet" in history()
    made = publish_release(world.dataset, "1.0.0", tmp_path)
    deprecate_release(made.release, "wrong labels")
    publish_release(world.dataset, "1.0.1", tmp_path)
    text = history()
    assert text.index("birds-1.0.1, follows 1.0.0") < text.index("birds-1.0.0, the first")
    assert "18 pictures (8 train, 4 val, 6 test) in 2 categories; 54 votes by 3 workers" in text
    assert "label accuracy 100.0% (61.0% to 100.0%)" in text
    assert "changed: no picture" in text
    assert "DEPRECATED since" in text
    assert Release.objects.get(version="1.0.0").fingerprint in text
    with pytest.raises(BadInput):
        history("nobody")
