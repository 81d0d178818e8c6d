"""Categories in other languages: from a table, later by a command, and on the pages of those who label."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from annotation_site.models import Membership, Role, User
from annotation_site.services.rounds import open_round
from ingest.models import Category, Dataset
from tests.annotation_site.world import image_row

pytestmark = pytest.mark.django_db
TABLE = (
    "id,name,gloss,synonyms,name:zh-hans,gloss:zh-hans,synonyms:zh-hans,name:fr\n"
    "owl,Owl,Hunts at night,hooter,猫头鹰,夜间捕食,鸮|夜猫子,chouette\n"
    "finch,Finch,Eats seeds,,燕雀,,,\n"
)


@pytest.fixture
def birds(tmp_path: Path) -> Dataset:
    (tmp_path / "birds.csv").write_text(TABLE, encoding="utf-8")
    call_command("create_dataset", "birds", categories=str(tmp_path / "birds.csv"))
    return Dataset.objects.get(name="birds")


def said(key: str, language: str) -> tuple[str, str, str]:
    return Category.objects.get(key=key).said(language)


def test_a_table_may_hold_other_languages(birds: Dataset) -> None:
    assert said("owl", "zh-hans") == ("猫头鹰", "夜间捕食", "鸮|夜猫子")
    assert said("owl", "zh-hans-cn") == said("owl", "zh-hans")
    assert said("owl", "fr-ca") == ("chouette", "Hunts at night", "hooter")
    assert said("finch", "zh-hans") == ("燕雀", "Eats seeds", "")
    for language in ("en", "", "zh", "de"):
        assert said("owl", language) == ("Owl", "Hunts at night", "hooter")


def test_a_command_adds_and_replaces(
    birds: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "more.csv"
    table.write_text("id,name:zh-hans,name:de\nowl,鸮,Eule\nfinch,燕雀,\n", encoding="utf-8")
    call_command("translate_categories", "birds", str(table))
    assert "1 categories of birds" in capsys.readouterr().out
    assert said("owl", "zh-hans") == ("鸮", "夜间捕食", "鸮|夜猫子")
    assert said("owl", "de")[0] == "Eule"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("id,name:zh-hans\nbat,蝙蝠\n", "birds has no category 'bat'"),
        ("id,name\nowl,Eule\n", "no column of another language"),
        ("id,name:Deutsch!\nowl,Eule\n", "'Deutsch!' is no language code"),
        ("id,name:de\nowl,Eule\nowl,Kauz\n", "the id 'owl' stands there twice"),
        ("name:de\nEule\n", "id"),
    ],
)
def test_a_table_that_cannot_be_used_changes_nothing(
    birds: Dataset, tmp_path: Path, table: str, words: str
) -> None:
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    before = list(Category.objects.values_list("key", "translations"))
    with pytest.raises((CommandError, ValueError), match=words):
        call_command("translate_categories", "birds", str(tmp_path / "t.csv"))
    assert list(Category.objects.values_list("key", "translations")) == before


def test_those_who_label_read_their_language(birds: Dataset, client: Client) -> None:
    image = image_row(birds, 1)
    image.save()
    owl = birds.categories.get(key="owl")
    classify = open_round(birds, "classify", tasks=[(image.pk, None)])
    verify = open_round(birds, "verify", tasks=[(image.pk, owl.pk)])
    ann = User.objects.create(username="ann")
    Membership.objects.create(user=ann, dataset=birds, role=Role.ANNOTATOR)
    client.force_login(ann)
    chinese = {"accept-language": "zh-CN"}
    choice = client.get(f"/label/{classify.pk}/", headers=chinese).context["choices"][0]
    assert (choice["name"], choice["gloss"]) == ("猫头鹰", "夜间捕食")
    assert choice["names"].split("|") == ["猫头鹰", "鸮", "夜猫子", "Owl", "hooter"]
    assert client.get(f"/label/{verify.pk}/", headers=chinese).context["first_category"]["name"] == "猫头鹰"
    assert client.get(f"/label/{verify.pk}/").context["first_category"]["name"] == "Owl"
