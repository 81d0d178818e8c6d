"""The public pages of a shared release: who sees what, browsing, hidden pictures."""

from __future__ import annotations

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from export.models import Release, ReleaseImage, Withdrawal
from export.selection import LEFT_OUT
from export.services.plan import Wishes
from export.services.publish import publish_release
from export.services.sharing import share_release, unshare_release
from export.views import browse
from tests.export.visitors import HOME, person, text
from tests.export.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(world: World, tmp_path: Path) -> Release:
    """A release that nobody has shared."""
    return publish_release(world.dataset, "1.0.0", tmp_path / "out").release


@pytest.fixture
def shared(release: Release) -> Release:
    """A release that everyone sees."""
    share_release(release)
    return Release.objects.get(pk=release.pk)


def held(release: Release, split: str = "train") -> ReleaseImage:
    rows = release.release_images.filter(split=ReleaseImage.Split[split.upper()])
    return rows.select_related("image", "category").order_by("id")[0]


def every_address(release: Release) -> list[str]:
    sha256 = held(release).image.sha256
    below = ["", "card", "cite.bib", "CITATION.cff", "categories/", "categories/owl", "download"]
    pictures = [f"pictures/{sha256}", f"pictures/{sha256}/thumb", f"pictures/{sha256}/full"]
    return [HOME + place for place in [*below, *pictures, "figures/classes.svg"]]


def test_a_stranger_learns_nothing_of_a_release_that_is_not_shared(release, client):
    assert "Nothing is shared yet" in text(client, "/releases/")
    text(client, "/releases/birds/", 404)
    unknown = text(client, "/releases/birds/9.9.9/", 404)
    for address in every_address(release):
        assert text(client, address, 404) == unknown.replace("9.9.9/", "1.0.0/" + address.removeprefix(HOME))


def test_everyone_sees_a_shared_release_without_a_log_in(shared, client):
    assert "Birds 1.0.0" in text(client, "/releases/")
    text(client, "/releases/birds/")
    for address in every_address(shared):
        answer = client.get(address)
        assert answer.status_code == 200, address
        policy = answer["Content-Security-Policy"]
        assert (
            "'unsafe-inline'" not in policy.replace("style-src-attr 'unsafe-inline'", "")
            or "sandbox" in policy
        )
    page = text(client, HOME)
    assert "18 pictures in 2 categories" in page
    assert shared.fingerprint in page
    assert "@misc{birds-1-0-0," in page
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//(?!testserver)", client.get(HOME).content.decode())


def test_sharing_can_be_taken_back(shared, client):
    unshare_release(shared)
    for address in every_address(shared):
        text(client, address, 404)


@pytest.mark.parametrize("role", ["reviewer", "curator", "researcher"])
def test_those_who_look_after_a_dataset_see_its_release_before_everyone(release, world, role):
    page = text(person(role, world), HOME)
    assert "Only those who look after this dataset see this page." in page


def test_an_annotator_is_a_stranger_to_releases(release, world):
    text(person("annotator", world), HOME, 404)


def test_a_curator_of_another_dataset_is_a_stranger(release, world):
    other = World(name="cars", workers=0)
    text(person("curator", other), HOME, 404)


def test_the_category_tree_leads_to_pictures_with_licence_author_and_source(shared, world, client):
    owl, finch = world.categories["owl"], world.categories["finch"]
    bird = world.dataset.categories.create(key="bird", name="Bird <b>", gloss="Feathers & all.")
    world.dataset.categories.filter(pk__in=[owl.pk, finch.pk]).update(parent=bird)
    top = text(client, f"{HOME}categories/")
    assert "18 pictures, 2 categories below" in " ".join(top.split())
    raw = client.get(f"{HOME}categories/bird").content.decode()
    assert "<b>" not in raw
    assert "Bird &lt;b&gt;" in raw
    page = text(client, f"{HOME}categories/owl")
    assert page.count('<li class="thumb">') == 9
    for words in ("CC BY 4.0", "A. Person", 'href="http://127.0.0.1/page"', "Bird <b>"):
        assert words in page
    assert text(client, f"{HOME}categories/owl?split=test").count('<li class="thumb">') == 3
    text(client, f"{HOME}categories/eagle", 404)


def test_pages_of_pictures_follow_one_another_and_show_each_once(shared, client, monkeypatch):
    monkeypatch.setattr(browse, "PAGE", 4)
    seen, query = [], "?split=train"
    for _ in range(10):
        page = text(client, f"{HOME}categories/finch{query}")
        seen += re.findall(r'pictures/(\w{64})"', page)
        following = re.search(r'href="(\?split=train&after=\d+)"', page)
        if not following:
            break
        query = following[1]
    rows = shared.release_images.filter(category__key="finch", split=0)
    assert seen == list(rows.order_by("id").values_list("image__sha256", flat=True))
    assert len(seen) == 4
    for nonsense in ("?after=x", "?after=-1", "?after=99999999999999999999", "?split=nope", "?from=x"):
        text(client, f"{HOME}categories/finch{nonsense}")


def test_a_page_of_pictures_asks_the_database_a_fixed_number_of_times(shared, client, monkeypatch):
    counts = []
    for size in (2, 8):
        monkeypatch.setattr(browse, "PAGE", size)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            text(client, f"{HOME}categories/finch")
        counts.append(len(queries))
    assert counts[0] == counts[1] < 15


def test_a_picture_tells_its_label_and_where_it_comes_from(shared, client):
    row = held(shared)
    page = text(client, f"{HOME}pictures/{row.image.sha256}")
    for words in (row.category.name, "CC BY 4.0", "A. Person", "http://127.0.0.1/page", row.image.sha256):
        assert words in page
    thumb = client.get(f"{HOME}pictures/{row.image.sha256}/thumb")
    assert thumb["Content-Type"] == "image/webp"
    assert thumb["Cache-Control"] == "public, max-age=3600"
    again = client.get(f"{HOME}pictures/{row.image.sha256}/thumb", headers={"If-None-Match": thumb["ETag"]})
    assert again.status_code == 304


def test_a_picture_of_the_dataset_that_is_not_in_the_release_is_not_given_out(shared, world, client):
    outside = world.add_image()
    for size in ("", "/thumb", "/full"):
        text(client, f"{HOME}pictures/{outside.sha256}{size}", 404)
        text(client, f"{HOME}pictures/{'0' * 64}{size}", 404)


def withdraw(row: ReleaseImage) -> None:
    after = Release.objects.create(dataset=row.release.dataset, version="1.0.1", parent=row.release)
    Withdrawal.objects.create(image=row.image, release=after, reason="asked for by its author")


def test_a_picture_that_was_taken_down_is_gone_from_the_old_release_too(shared, client):
    row = held(shared)
    category = f"{HOME}categories/{row.category.key}"
    assert row.image.sha256 in text(client, category)
    withdraw(row)
    for address in (category, f"{HOME}categories/", HOME, f"{HOME}changes/1.0.0"):
        assert row.image.sha256 not in text(client, address)
    for size in ("", "/thumb", "/full"):
        text(client, f"{HOME}pictures/{row.image.sha256}{size}", 404)
    text(client, f"{HOME}figures/samples.jpg", 404)
    assert "figures/samples.jpg" not in text(client, f"{HOME}card")
    page = text(client, HOME)
    assert "One picture was taken down" in page
    assert f'href="{HOME}download"' not in page
    assert "given out no more" in text(client, f"{HOME}download", 410)


def test_a_takedown_and_a_deprecation_by_command_reach_the_pages(shared, tmp_path, client):
    row = held(shared, "val")
    out = ["--output", str(tmp_path / "out"), "--reason", "asked for"]
    call_command("takedown_release", "birds", "1.0.1", row.image.sha256, *out, stdout=StringIO())
    assert "One picture was taken down" in text(client, HOME)
    text(client, f"{HOME}pictures/{row.image.sha256}/full", 404)
    share_release(Release.objects.get(version="1.0.1"))
    assert 'class="button primary" href="/releases/birds/1.0.1/"' in text(client, HOME)
    call_command("deprecate_release", "birds-1.0.0", "--reason", "Has a leak.", stdout=StringIO())
    page = text(client, HOME)
    assert "Has a leak. " in page
    told = text(client, "/releases/birds/1.0.1/changes/1.0.0")
    assert "1 picture was taken down. Nothing else:" in told
    assert "taken down." not in text(client, f"{HOME}changes/1.0.1")


def test_a_deprecated_release_says_so_and_names_its_heir(shared, world, tmp_path, client):
    heir = publish_release(world.dataset, "1.1.0", tmp_path / "out").release
    Release.objects.filter(pk=shared.pk).update(
        deprecated="2026-01-02T00:00:00Z", deprecation_reason="Owls were <wrong>.", replaced_by=heir
    )
    page = text(client, HOME)
    assert "Owls were <wrong>." in page
    assert "/releases/birds/1.1.0/" not in page  # not shared: a stranger hears nothing of it
    share_release(heir)
    assert 'href="/releases/birds/1.1.0/"' in text(client, HOME)
    assert "deprecated" in text(client, "/releases/")


def test_what_changed_between_two_releases(shared, world, tmp_path, client):
    new = world.add_image()
    world.vote(new, ["owl", "owl", "owl"])
    later = publish_release(world.dataset, "1.1.0", tmp_path / "out").release
    ReleaseImage.objects.filter(pk=held(later).pk).update(category=world.categories["owl"])
    address = "/releases/birds/1.1.0/changes/1.0.0"
    text(client, address, 404)
    share_release(later)
    page = text(client, address)
    assert "Pictures that came: 1; that went: 0;" in page
    assert new.sha256 in page
    back = text(client, f"{HOME}changes/1.1.0")
    assert "Pictures that came: 0; that went: 1;" in back
    assert 'href="/releases/birds/1.1.0/changes/1.0.0"' in text(client, HOME)
    text(client, f"{HOME}changes/7.0.0", 404)


def test_sealed_labels_are_told_nowhere(world, tmp_path, client):
    sealed = publish_release(world.dataset, "1.0.0", tmp_path / "out").release
    share_release(sealed)
    Release.objects.filter(pk=sealed.pk).update(parameters={**sealed.parameters, "sealed": True})
    test = held(sealed, "test")
    pages = [text(client, f"{HOME}categories/{key}") for key in ("owl", "finch")]
    pages += [text(client, f"{HOME}categories/{key}?split=test") for key in ("owl", "finch")]
    pages += [text(client, f"{HOME}categories/"), text(client, HOME)]
    for row in sealed.release_images.filter(split=ReleaseImage.Split.TEST).select_related("image"):
        assert not any(row.image.sha256 in page for page in pages)
    page = text(client, f"{HOME}pictures/{test.image.sha256}")
    assert "sealed: kept back" in page
    assert "http://127.0.0.1/" not in page  # an address names its category as often as not
    assert "A. Person" in page
    assert "Votes" not in page
    assert test.category.name not in page.replace("Released datasets / Birds", "")


def test_sealed_test_pictures_are_an_unlabelled_list(world, tmp_path, client, monkeypatch):
    sealed = publish_release(world.dataset, "1.0.0", tmp_path / "out", Wishes(sealed=True)).release
    share_release(sealed)
    monkeypatch.setattr(browse, "PAGE", 4)
    assert f"{HOME}unlabelled/" in client.get(HOME).content.decode()
    address, seen = f"{HOME}unlabelled/", []
    while address:
        page = client.get(address).content.decode()
        assert not re.search("finch|owl|127.0.0.1", page.lower())
        seen += re.findall(r'pictures/(\w{64})"', page)
        following = re.search(r'href="\?(after=\d+)"', page)
        address = f"{HOME}unlabelled/?{following[1]}" if following else ""
    rows = sealed.release_images.filter(split=ReleaseImage.Split.TEST)
    assert seen == sorted(rows.values_list("image__sha256", flat=True))
    assert "python -m export.score birds-1.0.0-answers.csv" in text(client, f"{HOME}unlabelled/")
    withdraw(rows.select_related("image")[0])
    assert "5 pictures, without their labels" in text(client, f"{HOME}unlabelled/")


def test_an_open_release_has_no_unlabelled_list(shared, client):
    text(client, f"{HOME}unlabelled/", 404)
    assert "unlabelled/" not in client.get(HOME).content.decode()


def test_a_lost_folder_leaves_the_pages_and_says_what_cannot_be_had(shared, client):
    shutil.rmtree(shared.location)
    text(client, HOME)
    text(client, f"{HOME}categories/owl")
    assert "not to be had" in text(client, f"{HOME}card", 404)
    assert "Come back later" in text(client, f"{HOME}download", 503)


def test_markup_in_names_stays_text(shared, world, client):
    evil = '<script>alert("x")</script>{{ 7 }}'
    world.dataset.title, world.dataset.description = evil, evil
    world.dataset.save()
    world.categories["owl"].name = evil
    world.categories["owl"].save()
    share_release(shared, text=f"Terms {evil}", authors=evil)
    for place in ("", "categories/", "categories/owl", "download", "card"):
        raw = client.get(HOME + place).content.decode()
        assert "<script>alert" not in raw
        assert "&lt;script&gt;" in raw or place == "card"
    assert client.get("/releases/").content.decode().count("<script") == 1  # the theme's own


def test_figures_of_the_card_cannot_run_anything(shared, client):
    answer = client.get(f"{HOME}figures/classes.svg")
    assert answer["Content-Type"] == "image/svg+xml"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    for name in ("classes.html", "../release.json", "..%2Frelease.json", "none.svg"):
        assert client.get(f"{HOME}figures/{name}").status_code == 404


def test_the_curator_s_page_tells_in_words_how_it_was_made_and_what_is_left_out(world, tmp_path):
    wishes = Wishes(per_class=2, sealed=True, categories=["finch", "owl"])
    release = publish_release(world.dataset, "1.0.0", tmp_path / "out", wishes).release
    Release.objects.filter(pk=release.pk).update(
        counts=release.counts | {"left_out": dict.fromkeys(LEFT_OUT, 3)}
    )
    said = re.sub(
        r"\s*<[^>]*>\s*", " ", text(person("curator", world), f"/d/{world.dataset.name}/releases/1.0.0")
    )
    assert not [reason for reason in LEFT_OUT if "_" in reason and reason in said]
    for line in (
        "Most training pictures of a class 2",
        "Labels of test kept back yes",
        "Categories finch, owl",
    ):
        assert line in re.sub(r"\s+", " ", said), line
