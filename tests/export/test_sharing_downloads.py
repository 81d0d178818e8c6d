"""Downloads: terms accepted and logged, signed links that end, whole and broken-off downloads, refusals."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.signals import request_finished
from django.test import Client

from annotation_site.models import Membership, User
from export import layout
from export.models import Acceptance, Release, Withdrawal
from export.services import downloads
from export.services.publish import publish_release
from export.services.sharing import share_release, unshare_release
from export.views import download
from ingest.management.base import BadInput
from tests.export.world import World, bytes_of

pytestmark = pytest.mark.django_db
TERMS = "/releases/birds/1.0.0/download"


@pytest.fixture
def release(world: World, tmp_path: Path) -> Release:
    """A release that everyone sees, on terms that ask for nothing."""
    made = publish_release(world.dataset, "1.0.0", tmp_path / "out").release
    share_release(made)
    return made


@pytest.fixture
def link(release: Release, client: Client) -> str:
    """A link that the terms page gave."""
    return accept(client)


def accept(client: Client, **more: str) -> str:
    shown = client.get(TERMS).content.decode()
    sha256 = re.search(r'name="terms" value="(\w{64})"', shown)[1]
    answer = client.post(TERMS, {"terms": sha256, "accept": "on", **more})
    assert answer.status_code == 302, html.unescape(answer.content.decode())
    return answer["Location"]


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)


def words(answer: object) -> str:
    return html.unescape(answer.content.decode())


def test_accepting_gives_links_and_is_kept(release, client):
    link = accept(client)
    row = Acceptance.objects.get()
    assert (row.release, row.user, row.name, row.email, row.purpose) == (release, None, "", "", "")
    assert row.terms == release.share.terms
    assert re.fullmatch(r"[0-9a-f]{64}", row.address_hash)
    assert row.address_hash != hashlib.sha256(b"127.0.0.1").hexdigest()
    page = words(client.get(link))
    assert f'curl -fLO --retry 9 -C - "http://testserver{link}birds-1.0.0.tar"' in page
    assert release.fingerprint in page
    assert client.get(link)["Referrer-Policy"] == "no-referrer"


def test_the_archive_is_the_release(release, link, client):
    answer = client.get(f"{link}birds-1.0.0.tar")
    data = body(answer)
    assert int(answer["Content-Length"]) == len(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        held = {m.name.removeprefix("birds-1.0.0/"): tar.extractfile(m).read() for m in tar}
    assert held == bytes_of(Path(release.location))
    assert hashlib.sha256(held["SHA256SUMS"]).hexdigest() == release.fingerprint


def test_a_broken_download_goes_on_where_it_stopped(release, link, client):
    address = f"{link}birds-1.0.0.tar"
    first = client.get(address)
    whole = body(first)
    rest = client.get(address, headers={"Range": "bytes=5000-", "If-Range": first["ETag"]})
    assert (rest.status_code, rest["Content-Range"]) == (206, f"bytes 5000-{len(whole) - 1}/{len(whole)}")
    assert body(rest) == whole[5000:]
    changed = client.get(address, headers={"Range": "bytes=5000-", "If-Range": '"another"'})
    assert changed.status_code == 200
    assert body(changed) == whole
    assert client.get(address, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.get(address, headers={"If-None-Match": first["ETag"]}).status_code == 304
    head = client.head(address)
    assert (head.status_code, head["Content-Length"], head.content) == (200, str(len(whole)), b"")


def test_downloads_are_counted_once_each(release, link, client):
    address = f"{link}birds-1.0.0.tar"
    body(client.get(address))
    body(client.get(address, headers={"Range": "bytes=700-"}))
    client.head(address)
    body(client.get(f"{link}files/manifest.parquet"))
    row = Acceptance.objects.get()
    assert (row.archives, row.files) == (1, 1)
    assert row.last_download is not None


def test_single_files_of_the_release_and_nothing_else(release, link, client):
    folder = Path(release.location)
    (folder / "answers.csv").write_text("image,category\n")
    (folder.parent / "birds-1.0.0-answers.csv").write_text("image,category\n")
    picture = next(p for p in folder.glob("train/*/*"))
    for path in (*layout.FILES, "figures/classes.svg", picture.relative_to(folder).as_posix()):
        answer = client.get(f"{link}files/{path}")
        assert answer.status_code == 200, path
        assert body(answer) == (folder / path).read_bytes()
    for path in (
        "answers.csv",
        "../birds-1.0.0-answers.csv",
        "%2e%2e/birds-1.0.0-answers.csv",
        "train",
        f"train/owl/{'0' * 64}.jpg",
        "/etc/passwd",
        "figures/none.svg",
    ):
        assert client.get(f"{link}files/{path}").status_code == 404, path
    assert client.get(f"{link}birds-1.0.1.tar").status_code == 404
    with tarfile.open(fileobj=io.BytesIO(body(client.get(f"{link}birds-1.0.0.tar")))) as tar:
        assert not [name for name in tar.getnames() if "answers" in name]


def test_a_link_that_points_out_of_the_folder_is_not_followed(release, link, client, tmp_path):
    (tmp_path / "secret").write_text("secret")
    card = Path(release.location) / "README.md"
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    assert client.get(f"{link}files/README.md").status_code == 404


def test_without_acceptance_there_is_no_download(release, client):
    forged = client.get(f"{TERMS}/eyJhIjoxfQ.x/birds-1.0.0.tar")
    assert forged.status_code == 403
    assert f'href="{TERMS}"' in words(forged)
    answer = client.post(TERMS, {"terms": release.share.terms.sha256})
    assert answer.status_code == 422
    assert "Tick this" in words(answer)
    answer = client.post(TERMS, {"terms": "0" * 64, "accept": "on"})
    assert answer.status_code == 422
    assert "not the terms of this release now" in words(answer)
    assert not Acceptance.objects.exists()


def test_a_tampered_link_is_refused(release, link, client):
    token = link.split("/")[-2]
    for bad in (
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        "A" + token,
        token + "A",
        token.split(".")[0],
    ):
        assert client.get(link.replace(token, bad)).status_code == 403


def test_a_link_is_for_one_release(release, link, world, tmp_path, client):
    other = publish_release(world.dataset, "1.1.0", tmp_path / "out").release
    share_release(other)
    assert client.get(link.replace("/1.0.0/", "/1.1.0/")).status_code == 403
    assert client.get(link.replace("/birds/", "/owls/")).status_code == 403


def test_a_link_ends(release, link, client, monkeypatch):
    now = time.time()
    monkeypatch.setattr(downloads.time, "time", lambda: now + downloads.LIFETIME - 60)
    assert client.get(link).status_code == 200
    monkeypatch.setattr(downloads.time, "time", lambda: now + downloads.LIFETIME + 60)
    gone = client.get(f"{link}birds-1.0.0.tar")
    assert gone.status_code == 410
    assert "expired" in words(gone)


def test_new_terms_must_be_accepted_anew(release, link, client):
    share_release(Release.objects.get(pk=release.pk), text="Stricter.")
    assert client.get(link).status_code == 410
    assert client.get(accept(client)).status_code == 200


def test_a_link_dies_when_sharing_stops(release, link, client):
    unshare_release(release)
    assert client.get(f"{link}birds-1.0.0.tar").status_code == 403


def test_what_the_terms_ask_for_must_be_told_and_only_that_is_kept(release, client):
    share_release(Release.objects.get(pk=release.pk), asks=["name", "email"])
    shown = client.get(TERMS).content.decode()
    assert 'type="email"' in shown
    assert "purpose" not in shown
    sha256 = Release.objects.get(pk=release.pk).share.terms.sha256
    answer = client.post(TERMS, {"terms": sha256, "accept": "on", "name": "<i>Ada</i>", "email": "nowhere"})
    assert answer.status_code == 422
    assert "no email address" in words(answer)
    assert 'value="&lt;i&gt;Ada&lt;/i&gt;"' in answer.content.decode()
    for missing in ("", "   ", "x" * 300):
        answer = client.post(TERMS, {"terms": sha256, "accept": "on", "name": missing, "email": "a@b"})
        assert answer.status_code == 422
    accept(client, name=" Ada  L. ", email="ada@example.org", purpose="secret plans")
    row = Acceptance.objects.get()
    assert (row.name, row.email, row.purpose) == ("Ada L.", "ada@example.org", "")


def test_one_address_cannot_accept_without_end(release, client, monkeypatch):
    monkeypatch.setattr(downloads, "MOST", 2)
    for _ in range(2):
        accept(client)
    answer = client.post(TERMS, {"terms": release.share.terms.sha256, "accept": "on"})
    assert answer.status_code == 429
    assert Acceptance.objects.count() == 2


def test_a_form_of_another_site_accepts_nothing(release):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(TERMS, {"terms": release.share.terms.sha256, "accept": "on"}).status_code == 403


def test_a_release_that_lost_pictures_is_given_out_no_more(release, link, client):
    row = release.release_images.select_related("image")[0]
    after = Release.objects.create(dataset=release.dataset, version="1.0.1", parent=release)
    Withdrawal.objects.create(image=row.image, release=after, reason="asked for")
    for address in (TERMS, link, f"{link}birds-1.0.0.tar", f"{link}files/manifest.parquet"):
        answer = client.get(address)
        assert answer.status_code == 410
        assert "taken down" in words(answer)


def test_a_lost_or_damaged_folder_is_said_and_not_sent(release, link, client):
    picture = next(Path(release.location).glob("train/*/*"))
    data = picture.read_bytes()
    picture.unlink()
    answer = client.get(f"{link}birds-1.0.0.tar")
    assert answer.status_code == 503
    assert "damaged" in words(answer)
    picture.write_bytes(data)
    assert client.get(link).status_code == 200
    shutil.rmtree(release.location)
    assert client.get(f"{link}birds-1.0.0.tar").status_code == 503
    answer = client.get(TERMS)
    assert (answer.status_code, "Come back later" in words(answer)) == (503, True)


def test_few_archives_at_a_time_and_every_place_comes_back(release, link, client, monkeypatch):
    # The end of a response ends the database connection too, which the test still needs.
    monkeypatch.setattr(request_finished, "send", lambda **told: None)
    address = f"{link}birds-1.0.0.tar"
    running = [client.get(address) for _ in range(download.AT_ONCE)]
    refused = client.get(address)
    assert (refused.status_code, refused["Retry-After"]) == (503, "60")
    next(iter(running[0].streaming_content))
    running[0].close()  # went away in the middle
    body(client.get(address))
    for answer in running[1:]:
        answer.close()  # went away before the first byte
    for _ in range(2 * download.AT_ONCE):
        body(client.get(address))
        assert client.get(address, headers={"Range": "bytes=999999999-"}).status_code == 416


def test_a_researcher_downloads_before_everyone_and_loses_it_with_the_role(world, tmp_path):
    release = publish_release(world.dataset, "1.0.0", tmp_path / "out").release
    user = User.objects.create(username="ada")
    role = Membership.objects.create(user=user, dataset=world.dataset, role="researcher")
    ada = Client()
    ada.force_login(user)
    link = accept(ada)
    assert Acceptance.objects.get().user == user
    assert ada.get(link).status_code == 200
    assert Client().get(f"{link}birds-1.0.0.tar").status_code == 200  # curl has no session
    role.delete()
    assert Client().get(f"{link}birds-1.0.0.tar").status_code == 403
    assert release.acceptances.count() == 1


def test_sealed_answers_are_in_no_download(world, tmp_path, client):
    call_command("export_release", "birds", "1.0.0", "--output", str(tmp_path / "out"), "--sealed", "--json")
    release = Release.objects.get()
    assert release.sealed
    share_release(release)
    link = accept(client)
    answers = [p for p in (tmp_path / "out").rglob("*") if "answers" in p.name]
    assert answers
    with tarfile.open(fileobj=io.BytesIO(body(client.get(f"{link}birds-1.0.0.tar")))) as tar:
        names = tar.getnames()
    assert not [name for name in names if "answers" in name]
    assert [name for name in names if "/test/unlabelled/" in name]
    for path in answers:
        assert client.get(f"{link}files/{path.name}").status_code == 404
        assert client.get(f"{link}{path.name}").status_code == 404
    picture = next(name for name in names if "/test/unlabelled/" in name).removeprefix("birds-1.0.0/")
    assert body(client.get(f"{link}files/{picture}"))


def forget(*words: str) -> int:
    out = io.StringIO()
    call_command("forget_downloader", *words, "--json", stdout=out)
    return json.loads(out.getvalue())["forgotten"]


def test_who_downloaded_can_be_forgotten(release, client):
    share_release(release, asks=["name", "email", "purpose"])
    told = {"name": "Ada", "email": "Ada@Example.org", "purpose": "birds"}
    kept = accept(client, **told)
    accept(client, **{**told, "email": "bob@example.org"})
    eve = User.objects.create_user("eve", email="eve@example.org")
    Acceptance.objects.filter(email="bob@example.org").update(user=eve)
    assert forget("ada@example.org") == 1
    ada, bob = Acceptance.objects.order_by("id")
    assert (ada.name, ada.email, ada.purpose, ada.address_hash, ada.user) == ("", "", "", "", None)
    assert (bob.name, bob.email, bob.user) == ("Ada", "bob@example.org", eve)
    assert ada.created
    assert client.get(kept).status_code == 200, "the link was given and goes on working"
    with pytest.raises(BadInput, match=r"nobody accepted terms as ada@example\.org"):
        forget("ada@example.org")
    assert forget("--older-than", "1") == 0
    assert forget("--user", "eve") == 1
    assert not Acceptance.objects.exclude(email="", user=None, address_hash="").exists()


def test_everybody_after_a_while(release, client):
    accept(client)
    assert forget("--older-than", "0") == 1
    assert forget("--older-than", "0") == 0
    for words in ([], ["  "], ["--older-than", "-1"]):
        with pytest.raises(BadInput):
            forget(*words)
