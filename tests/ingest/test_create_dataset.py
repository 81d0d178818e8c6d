"""`manage.py create_dataset`: a checked tree, all or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ingest.models import Category, Dataset

pytestmark = pytest.mark.django_db
TREE = "id,name,gloss,parent,synonyms\nowl,Owl,Hoots,bird,strix | bubo\nbird,,,,\n007,Bond,,bird,\n"


def create(tmp_path: Path, text: str, name: str = "birds", **options: str) -> None:
    path = tmp_path / "categories.csv"
    path.write_text(text)
    call_command("create_dataset", name, categories=str(path), **options)


def test_a_tree_is_kept_as_it_was_written(tmp_path: Path) -> None:
    create(tmp_path, TREE, splits="70/10/20", title="Birds", licence="CC-BY-4.0")
    dataset = Dataset.objects.get(name="birds")
    assert (dataset.splits, dataset.title, dataset.licence) == ("70/10/20", "Birds", "CC-BY-4.0")
    assert [c.key for c in dataset.categories.all()] == ["owl", "bird", "007"]
    owl = dataset.categories.get(key="owl")
    assert owl.parent is not None
    assert owl.parent.key == "bird"
    assert owl.synonym_list == ["strix", "bubo"]
    assert dataset.categories.get(key="bird").name == "bird"
    create(tmp_path, "id\nx\n", "other")
    assert Dataset.objects.get(name="other").split_key != dataset.split_key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,gloss\na,b\n", "id"),
        ("id,parent\n", "no category in it"),
        ("id\na\na\n", "row 3: the id 'a' stands there twice"),
        ("id,parent\na,b\n", "the parent 'b' of 'a' is not in the list"),
        ("id,parent\na,b\nb,c\nc,a\n", "in a circle: a -> b -> c -> a"),
        ("id,parent\na,a\n", "in a circle: a -> a"),
        ("id\nno spaces\n", "row 2: 'no spaces' is no category id"),
        ("id\n../up\n", "is no category id"),
        ("id\n\n,\n", "more cells than its header"),
    ],
)
def test_lists_that_make_no_tree_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((CommandError, ValueError), match=message):
        create(tmp_path, text)
    assert not Dataset.objects.exists()
    assert not Category.objects.exists()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Birds", {}),
        ("a b", {}),
        ("../up", {}),
        ("x" * 65, {}),
        ("ok", {"splits": "80/10"}),
        ("ok", {"splits": "90/10/0"}),
        ("ok", {"splits": "50/50/50"}),
        ("ok", {"title": "x" * 201}),
    ],
)
def test_names_and_splits_are_checked(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    with pytest.raises(CommandError) as error:
        create(tmp_path, TREE, name, **options)
    assert error.value.returncode == 2
    assert not Dataset.objects.exists()


def test_a_name_is_given_once(tmp_path: Path) -> None:
    create(tmp_path, TREE)
    with pytest.raises(CommandError, match="exists already") as error:
        create(tmp_path, "id\nother\n")
    assert error.value.returncode == 2
    assert Category.objects.filter(key="other").count() == 0
