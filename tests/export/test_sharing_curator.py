"""Sharing a release and its terms: on the curator's page and from the shell."""

from __future__ import annotations

import json
import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from export.models import Acceptance, Release, Share, Terms
from export.services.publish import publish_release
from export.services.sharing import share_release
from tests.export.visitors import HOME, person, text
from tests.export.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def release(world: World, tmp_path: Path) -> Release:
    """A release that nobody has shared."""
    return publish_release(world.dataset, "1.0.0", tmp_path / "out").release


def test_a_curator_shares_changes_the_terms_and_stops(release, world, client):
    curator = person("curator", world)
    detail = reverse("release", args=["birds", "1.0.0"])
    assert "Share it with everyone" in text(curator, detail)
    form = {"text": "Be kind.", "asks": ["name", "purpose"], "authors": "A. Ngo"}
    assert curator.post(f"{detail}/share", form).status_code == 302
    share = Share.objects.get(release=release)
    assert (share.public, share.terms.text, share.terms.asks) == (True, "Be kind.", ["name", "purpose"])
    assert "author = {A. Ngo}" in text(client, HOME)
    Acceptance.objects.create(release=release, terms=share.terms, archives=3, files=1, name="Bo")
    told = " ".join(text(curator, detail).split())
    assert "1 acceptance of the terms, 3 downloads of the archive, 1 of a single file" in told
    assert curator.post(f"{detail}/share", {**form, "text": " "}).status_code == 422
    assert curator.post(f"{detail}/share", {"off": "1"}).status_code == 302
    text(client, HOME, 404)
    assert Terms.objects.count() == 1


@pytest.mark.parametrize("role", ["reviewer", "researcher", "annotator"])
def test_only_a_curator_shares(release, world, role):
    other = person(role, world)
    answer = other.post(reverse("share", args=["birds", "1.0.0"]), {"text": "x"})
    assert answer.status_code == 403
    assert not Share.objects.exists()


def test_the_shell_shares_and_stops(release, client, tmp_path):
    out = StringIO()
    terms = tmp_path / "terms.txt"
    terms.write_text("Cite us.\r\n")
    call_command(
        "share_release", "birds-1.0.0", "--terms", str(terms), "--ask", "email", "--json", stdout=out
    )
    told = json.loads(out.getvalue())
    share = Share.objects.get()
    assert told == {"release": "birds-1.0.0", "public": True, "page": HOME, "terms": share.terms.sha256}
    assert (share.terms.text, share.terms.asks) == ("Cite us.", ["email"])
    call_command("share_release", release.location, "--authors", "A", stdout=StringIO())
    assert Share.objects.get().terms == share.terms
    text(client, HOME)
    call_command("share_release", "birds-1.0.0", "--off", stdout=StringIO())
    text(client, HOME, 404)


@pytest.mark.parametrize("lost", ["everything", "a picture"])
def test_sharing_what_nobody_can_download_is_said(release, lost):
    if lost == "everything":
        shutil.rmtree(release.location)
    else:
        next(Path(release.location).glob("val/*/*")).unlink()
    told = StringIO()
    call_command("share_release", "birds-1.0.0", stdout=StringIO(), stderr=told)
    assert "nobody can download it" in told.getvalue()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["owls-1.0.0"], "no release is called"),
        (["birds-1.0.0", "--terms", "no such file"], "No such file"),
        (["birds-1.0.0", "--terms", "EMPTY"], "terms are empty"),
        (["birds-1.0.0", "--terms", "BINARY"], "no text"),
        (["birds-1.0.0", "--ask", "age"], "cannot ask for 'age'"),
        (["birds-1.0.0", "--off", "--ask", "name"], "--off takes no terms"),
    ],
)
def test_unusable_arguments_get_one_line_and_change_nothing(release, tmp_path, arguments, words):
    (tmp_path / "EMPTY").write_text("\n")
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00")
    places = [str(tmp_path / a) if a.isupper() else a for a in arguments]
    with pytest.raises(CommandError, match=re.escape(words)) as caught:
        call_command("share_release", *places)
    assert caught.value.returncode == 2
    assert not Share.objects.exists()


def test_the_next_release_takes_the_terms_of_the_last(release, world, tmp_path):
    share_release(release, text="Ours.", asks=["name"])
    later = publish_release(world.dataset, "1.1.0", tmp_path / "out").release
    assert share_release(later).terms.text == "Ours."
