"""Pages in Chinese: every string is translated, the compiled file is the written one, the person chooses."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client
from django.utils.translation.template import templatize

import annotation_site
from tests.annotation_site.world import make_dataset, make_round, person

APP = Path(annotation_site.__file__).parent
FILES = APP / "locale" / "zh_Hans" / "LC_MESSAGES"
CALL = re.compile(r"""\bn?gettext\(u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
NAMED = re.compile(r"%\(\w+\)s|\{\w+\}|%[ds]")


def written() -> Catalog:
    """What translators wrote."""
    with (FILES / "django.po").open("rb") as file:
        return read_po(file, locale="zh_Hans")


def forms(text: Any) -> tuple[str, ...]:
    """A string, or its plural forms."""
    return (text,) if isinstance(text, str) else tuple(text or ())


def asked_for() -> Iterator[str]:
    """Every string that the app's code and templates want translated (of plurals, the singular)."""
    for path in APP.rglob("*.py"):
        for _, message, _, _ in extract("python", io.BytesIO(path.read_bytes())):
            yield message if isinstance(message, str) else message[0]
    for path in (APP / "templates").rglob("*.*"):
        for text in CALL.findall(templatize(path.read_text("utf-8"))):
            yield ast.literal_eval(text)


def test_every_string_is_translated() -> None:
    catalog = written()
    known = {forms(message.id)[0]: message for message in catalog}
    asked = set(asked_for())
    assert len(asked) > 300
    assert sorted(asked - set(known)) == [], "run makemessages (CONTRIBUTING.md)"
    assert sorted(set(known) - asked - {""}) == [], "nobody asks for these any more"
    assert [text for text, message in known.items() if text and not message.string] == []


def test_a_translation_names_what_the_text_names() -> None:
    for message in written():
        for text in forms(message.string) if message.id else ():
            assert set(NAMED.findall(text)) == set(NAMED.findall(forms(message.id)[-1])), message.id
            assert "fuzzy" not in message.flags


def test_what_is_read_is_what_was_written() -> None:
    def texts(catalog: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
        return {forms(message.id): forms(message.string) for message in catalog if message.id}

    with (FILES / "django.mo").open("rb") as file:
        assert texts(read_mo(file)) == texts(written()), "run msgfmt (CONTRIBUTING.md)"


@pytest.mark.django_db
def test_the_browser_chooses_and_the_person_chooses_otherwise(client: Client) -> None:
    chinese = client.get("/login/", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.5"}).content.decode()
    assert '<html lang="zh-hans">' in chinese
    assert "用户名" in chinese
    assert '<html lang="en">' in client.get("/login/").content.decode()
    told = client.post("/language/", {"language": "zh-hans", "next": "/login/"})
    assert (told.status_code, told["Location"]) == (302, "/login/")
    assert "用户名" in client.get("/login/").content.decode()
    client.post("/language/", {"language": "en", "next": "/login/"})
    assert "User name" in client.get("/login/", headers={"accept-language": "zh-CN"}).content.decode()
    assert client.post("/language/", {"language": "xx", "next": "https://elsewhere.test/"})["Location"] == "/"


@pytest.mark.django_db
def test_labelling_is_translated_and_what_is_not_says_so(client: Client) -> None:
    dataset = make_dataset(images=3)
    made = make_round(dataset)
    client.force_login(person("ann", "curator"))
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    page = client.get(f"/label/{made.pk}/").content.decode()
    for text in ("图片显示的是哪个类别？", "无法判断", "正在保存"):
        assert text in page or text.encode("unicode-escape").decode() in page.lower()
    overview = client.get("/d/pets/").content.decode()
    assert '<html lang="en">' in overview
    assert "概览" not in overview
