"""The releases for programs, as a stranger and as a researcher, and the client of README.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import call_command
from django.test import Client

from annotation_site.models import ApiToken, Membership, User
from export.api import releases as releases_api
from export.models import Acceptance, Release, Withdrawal
from export.services.publish import publish_release
from export.services.sharing import share_release
from tests.export.visitors import wait_for_the_server
from tests.export.world import World, bytes_of

pytestmark = pytest.mark.django_db
LIST = "/api/v1/releases"
ONE = f"{LIST}/birds/1.0.0"
README = Path(__file__).resolve().parent.parent.parent / "README.md"


@pytest.fixture
def release(world: World, tmp_path: Path) -> Release:
    """A release that nobody has shared."""
    return publish_release(world.dataset, "1.0.0", tmp_path / "out").release


@pytest.fixture
def shared(release: Release) -> Release:
    """A release that everyone sees."""
    share_release(release)
    return Release.objects.get(pk=release.pk)


def bearer(world: World, role: str = "researcher") -> dict[str, str]:
    user = User.objects.create(username=role)
    Membership.objects.create(user=user, dataset=world.dataset, role=role)
    return {"Authorization": f"Bearer {ApiToken.issue(user)}"}


def rows(client: Client, address: str, **headers: str) -> list[dict[str, Any]]:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    return str(body["detail"])


def test_a_stranger_gets_404_for_what_is_not_shared(release, client):
    assert client.get(LIST).json() == {"releases": [], "next": None}
    unknown = problem(client.get(f"{LIST}/birds/7.0.0"), 404)
    for address in (ONE, f"{ONE}/manifest", f"{ONE}/terms"):
        assert problem(client.get(address), 404) == unknown
    sent = client.post(f"{ONE}/acceptances", {"sha256": "0" * 64}, content_type="application/json")
    assert problem(sent, 404) == unknown


def test_a_researchers_token_sees_them(release, world, client):
    head = bearer(world)
    assert [r["version"] for r in client.get(LIST, headers=head).json()["releases"]] == ["1.0.0"]
    assert client.get(ONE, headers=head).json()["public"] is False
    assert len(rows(client, f"{ONE}/manifest", **head)) == 18
    assert client.get(LIST).json()["releases"] == []


def test_a_token_that_is_no_good_is_said_and_not_taken_for_a_stranger(shared, client):
    assert "Log in" in problem(client.get(LIST, headers={"Authorization": "Bearer nonsense"}), 401)


def test_an_annotators_token_sees_no_more_than_a_stranger(release, world, client):
    problem(client.get(ONE, headers=bearer(world, "annotator")), 404)


def test_the_list_names_every_shared_release_page_by_page(shared, world, tmp_path, client, monkeypatch):
    share_release(publish_release(world.dataset, "1.1.0", tmp_path / "out").release)
    monkeypatch.setattr(releases_api, "PAGE", 1)
    first = client.get(LIST).json()
    second = client.get(first["next"]).json()
    assert [r["version"] for r in first["releases"] + second["releases"]] == ["1.1.0", "1.0.0"]
    assert second["next"] is None
    assert client.get(f"{LIST}?dataset=owls").json()["releases"] == []
    line = second["releases"][0]
    assert line["fingerprint"] == shared.fingerprint
    assert (line["images"], line["categories"], line["title"]) == (18, 2, "Birds")
    assert client.get(line["url"]).status_code == client.get(line["page"]).status_code == 200


def test_one_release_says_what_its_folder_says_and_its_state_now(shared, world, tmp_path, client):
    answer = client.get(ONE)
    told = answer.json()
    assert told["release"] == json.loads((Path(shared.location) / "release.json").read_text())
    assert (told["deprecation"], told["withdrawn"], told["sealed"]) == (None, 0, False)
    assert client.get(ONE, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    for address in told["links"].values():
        assert client.get(address).status_code == 200
    heir = publish_release(world.dataset, "1.1.0", tmp_path / "out").release
    Release.objects.filter(pk=shared.pk).update(
        deprecated="2026-01-02T00:00:00Z", deprecation_reason="wrong owls", replaced_by=heir
    )
    again = client.get(ONE, headers={"If-None-Match": answer["ETag"]}).json()["deprecation"]
    assert (again["reason"], again["use"]) == ("wrong owls", None)  # the heir is not shared yet
    share_release(heir)
    assert client.get(ONE).json()["deprecation"]["use"] == "1.1.0"


def test_the_manifest_streams_every_row_as_the_table_has_it(shared, client):
    found = rows(client, f"{ONE}/manifest")
    table = pd.read_parquet(Path(shared.location) / "manifest.parquet")
    assert [row["row"] for row in found] == list(range(1, 19))
    assert [row["image"] for row in found] == list(table["image"])
    assert [row["category"] for row in found] == list(table["category"])
    assert found[0]["source_url"] == table["source_url"][0]
    thumb = client.get(found[0]["thumbnail_url"])
    assert thumb["Content-Type"] == "image/webp"
    assert client.get(found[0]["picture_url"]).status_code == 200


@pytest.mark.parametrize("group", [3, 100])
def test_filters_and_going_on_after_a_row(shared, client, monkeypatch, tmp_path, group):
    path = Path(shared.location) / "manifest.parquet"
    table = pd.read_parquet(path)
    table.to_parquet(path, row_group_size=group)
    found = rows(client, f"{ONE}/manifest?split=train&category=owl")
    assert {(row["split"], row["category"]) for row in found} == {("train", "owl")}
    assert len(found) == 4
    every = rows(client, f"{ONE}/manifest")
    for after in (0, 1, 3, 7, 17, 18, 500):
        assert rows(client, f"{ONE}/manifest?after={after}") == every[after:]
    last = found[1]["row"]
    assert rows(client, f"{ONE}/manifest?split=train&category=owl&after={last}") == found[2:]
    assert rows(client, f"{ONE}/manifest?category=eagle") == []


def test_the_manifest_has_an_etag_that_a_takedown_changes(shared, client):
    first = client.get(f"{ONE}/manifest")
    tag = first["ETag"]
    sha256 = json.loads(b"".join(first.streaming_content).splitlines()[4])["image"]
    assert client.get(f"{ONE}/manifest", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"{ONE}/manifest?split=val", headers={"If-None-Match": tag}).status_code == 200
    after = Release.objects.create(dataset=shared.dataset, version="1.0.1", parent=shared)
    image = shared.dataset.images.get(sha256=sha256)
    Withdrawal.objects.create(image=image, release=after, reason="asked for")
    answer = client.get(f"{ONE}/manifest", headers={"If-None-Match": tag})
    left = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert sha256 not in [row["image"] for row in left]
    assert len(left) == 17
    assert client.get(ONE).json()["withdrawn"] == 1
    sent = client.post(
        f"{ONE}/acceptances", {"sha256": shared.share.terms.sha256}, content_type="application/json"
    )
    assert "taken down" in problem(sent, 410)


def test_a_sealed_release_tells_no_test_label(world, tmp_path, client):
    call_command("export_release", "birds", "1.0.0", "--output", str(tmp_path / "out"), "--sealed", "--json")
    share_release(Release.objects.get())
    found = rows(client, f"{ONE}/manifest?split=test")
    assert len(found) == 6
    assert {(row["category"], row["reference"]) for row in found} == {(None, None)}
    assert client.get(ONE).json()["sealed"] is True


@pytest.mark.parametrize(
    "query", ["split=other", "after=-1", "after=x", "after=99999999999999999999", f"category={'x' * 200}"]
)
def test_a_request_that_cannot_be_read_is_a_422(shared, client, query):
    problem(client.get(f"{ONE}/manifest?{query}"), 422)


def test_a_lost_folder_is_a_503_and_the_rest_still_answers(shared, client):
    Release.objects.update(location="/nowhere/birds-1.0.0")
    assert "not to be had" in problem(client.get(f"{ONE}/manifest"), 503)
    told = client.get(ONE).json()
    assert told["release"]["counts"]["images"] == 18
    sent = client.post(
        f"{ONE}/acceptances", {"sha256": shared.share.terms.sha256}, content_type="application/json"
    )
    problem(sent, 503)


def test_accepting_needs_the_terms_that_were_read_and_what_they_ask(shared, client):
    share_release(shared, asks=["name"])
    terms = client.get(f"{ONE}/terms").json()
    assert terms["asks"] == ["name"]

    def accept(**body: str) -> Any:
        return client.post(f"{ONE}/acceptances", body, content_type="application/json")

    assert "not the terms" in problem(accept(sha256="0" * 64, name="Ada"), 422)
    assert "The terms ask for this: name" in problem(accept(sha256=terms["sha256"]), 422)
    problem(accept(), 422)
    made = accept(sha256=terms["sha256"], name="Ada", purpose="not asked")
    assert made.status_code == 201
    row = Acceptance.objects.get()
    assert (row.name, row.purpose, row.user) == ("Ada", "", None)
    links = made.json()
    card = client.get(f"{links['files']}README.md")
    assert b"".join(card.streaming_content) == (Path(shared.location) / "README.md").read_bytes()
    assert client.head(links["archive"]).status_code == 200
    assert links["fingerprint"] == shared.fingerprint


def test_the_api_page_describes_the_calls(client):
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    below = {"", "/{name}/{version}", "/{name}/{version}/manifest", "/{name}/{version}/terms"}
    assert {f"{LIST}{path}" for path in below | {"/{name}/{version}/acceptances"}} <= set(paths)


def test_the_client_of_the_readme_downloads_and_opens_a_release(world, tmp_path, live_server):
    release = publish_release(world.dataset, "1.0.0", tmp_path / "out").release
    share_release(release)
    code = re.search(r"```python\n(import json.*?)```", README.read_text(), re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line]) == 10
    code = code.replace("http://127.0.0.1:8000", live_server.url).replace('"clothing"', '"birds"')
    code += "print(len(train), train.classes)"
    place = tmp_path / "elsewhere"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=240
    )
    wait_for_the_server()
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "8 ['finch', 'owl']"
    assert bytes_of(place / "birds-1.0.0") == bytes_of(Path(release.location))
