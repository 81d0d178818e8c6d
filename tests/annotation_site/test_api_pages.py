"""What curators do on pages, programs do by the API: people, duplicates, images, rounds, takedowns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation_site.models import ApiToken, Entrance, Membership, Round, Task, User
from ingest.models import Candidate, DuplicateGroup, Image
from quality.models import Gold, PlannedRound
from tests.annotation_site.api_world import ApiWorld, one_world

pytestmark = pytest.mark.django_db
BIRDS = "datasets/birds"
IN_THE_GUIDE = {"name": "NAME", "sha256": "SHA256", "code": "CODE", "version": "VERSION", "username": "USER",
                "role": "ROLE", "language": "LANGUAGE"}  # fmt: skip


@pytest.fixture(scope="module")
def shared_world(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any
) -> Iterator[ApiWorld]:
    with one_world(tmp_path_factory.mktemp("api"), django_db_blocker) as built:
        yield built


@pytest.fixture
def world(shared_world: ApiWorld, db: None) -> ApiWorld:
    return shared_world


def told(answer: Any, status: int = 200) -> Any:
    """The body of an answer that has this status."""
    assert answer.status_code == status, answer.content
    return answer.json()


def walk(world: ApiWorld, path: str, key: str) -> list[Any]:
    """Every row of a list, one at a time."""
    rows: list[Any] = []
    at = f"{path}{'&' if '?' in path else '?'}limit=1"
    while at:
        body = told(world.get(at))
        rows += body[key]
        at = body["next"] and body["next"].removeprefix("http://testserver")
    return rows


def test_roles_are_given_listed_and_taken(world: ApiWorld) -> None:
    everybody = walk(world, f"{BIRDS}/members", "members")
    assert [row["username"] for row in everybody] == sorted(row["username"] for row in everybody)
    assert {row["username"]: row["consent"] for row in everybody}["some-annotator"] is True
    body = {"username": "a-stranger", "role": "reviewer"}
    assert told(world.post(f"{BIRDS}/members", body), 201) == body
    assert told(world.post(f"{BIRDS}/members", body), 200) == body
    [row] = told(world.get(f"{BIRDS}/members?search=A-STR&role=reviewer"))["members"]
    assert row == {"username": "a-stranger", "roles": ["reviewer"], "consent": False}
    assert world.delete(f"{BIRDS}/members/a-stranger/reviewer").status_code == 204
    assert not Membership.objects.filter(user__username="a-stranger").exists()
    for method, path, sent, status in (
        ("DELETE", "members/a-stranger/reviewer", None, 404),
        ("DELETE", "members/some-curator/curator", None, 403),
        ("POST", "members", {"username": "nobody", "role": "reviewer"}, 404),
        ("POST", "members", {"username": "a-stranger", "role": "curator"}, 403),
        ("POST", "members", {"username": "a-stranger", "role": "king"}, 422),
        ("POST", "members", {"username": "a\x00", "role": "reviewer"}, 422),
    ):
        assert told(world.ask(method, f"{BIRDS}/{path}", "curator", sent, {}), status)["detail"]
    assert Membership.objects.filter(user__username="some-curator", role="curator").exists()


def test_links_let_people_in_and_are_shown_once(world: ApiWorld) -> None:
    made = told(world.post(f"{BIRDS}/links", {"role": "annotator", "uses": 2, "note": "Class 7"}), 201)
    invitation = made["url"].rstrip("/").rpartition("/")[2]
    listed = walk(world, f"{BIRDS}/links", "links")
    assert (listed[0]["link"], listed[0]["note"]) == (made["link"], "Class 7")
    assert invitation not in str(listed)
    joined = {"dataset": "birds", "role": "annotator"}
    assert told(world.post("join", {"invitation": invitation}, "stranger"), 201) == joined
    assert told(world.post("join", {"invitation": invitation}, "stranger"), 200) == joined
    assert told(world.get(f"{BIRDS}/links"))["links"][0]["uses_left"] == 1
    told(world.post("join", {"invitation": "nonsense"}, "outsider"), 404)
    other = told(world.post(f"{BIRDS}/links", {"role": "annotator"}), 201)
    assert world.delete(f"{BIRDS}/links/{other['link']}").status_code == 204
    told(world.delete(f"{BIRDS}/links/{other['link']}"), 404)
    told(world.post("join", {"invitation": other["url"].rstrip("/").rpartition("/")[2]}, "outsider"), 410)
    for wrong in ({"role": "annotator", "uses": 0}, {"role": "annotator", "days": 400}, {}):
        told(world.post(f"{BIRDS}/links", wrong), 422)


def test_open_datasets_are_found_and_joined(world: ApiWorld) -> None:
    told(world.post(f"{BIRDS}/join", None, "stranger"), 404)
    assert told(world.put(f"{BIRDS}/sign-up", {"mode": "open"}))["page"].endswith("/d/birds/join/")
    assert [row["name"] for row in told(world.get("joinable", "stranger"))["datasets"]] == ["birds"]
    assert told(world.get("joinable", "annotator"))["datasets"] == []
    told(world.post(f"{BIRDS}/join", None, "stranger"), 201)
    told(world.post(f"{BIRDS}/join", None, "stranger"), 200)
    assert told(world.get("joinable", "stranger"))["datasets"] == []
    told(world.put(f"{BIRDS}/sign-up", {"mode": "shut"}), 422)
    assert told(world.put(f"{BIRDS}/sign-up", {"mode": "invitation"}))["mode"] == Entrance.SignUp.INVITATION
    assert told(world.get(f"{BIRDS}/sign-up"))["mode"] == "invitation"


def test_consent_is_asked_given_and_taken_back(world: ApiWorld) -> None:
    assert told(world.get(f"{BIRDS}/consent", "annotator"))["accepted"]
    claim = f"rounds/{world.verify.pk}/claim"
    told(world.put(f"{BIRDS}/consent", {"text": "Look, and stop at will.", "seen": 0}), 409)
    now = told(world.put(f"{BIRDS}/consent", {"text": "Look, and stop at will.", "seen": 1}))
    assert (now["version"], now["accepted"]) == (2, None)
    told(world.post(claim, {}, "annotator"), 403)
    told(world.post(f"{BIRDS}/consent/acceptance", {"version": 1}, "annotator"), 409)
    assert told(world.post(f"{BIRDS}/consent/acceptance", {"version": 2}, "annotator"))["accepted"]
    assert world.post(claim, {}, "annotator").status_code == 200
    assert [(v["version"], v["accepted"]) for v in walk(world, f"{BIRDS}/consent/versions", "versions")] == [
        (2, 1),
        (1, 1),
    ]
    assert world.delete(f"{BIRDS}/consent/acceptance", "annotator").status_code == 204
    told(world.delete(f"{BIRDS}/consent/acceptance", "annotator"), 409)
    told(world.put(f"{BIRDS}/consent", {"text": "", "seen": 2}))
    told(world.post(f"{BIRDS}/consent/acceptance", {"version": 3}, "annotator"), 409)


def test_ones_own_tokens_are_listed_and_revoked(world: ApiWorld) -> None:
    rows = walk(world, "me/tokens", "tokens")
    assert [(row["name"], row["scope"]) for row in rows] == [("reader", "read"), ("", "full")]
    told(world.delete(f"me/tokens/{rows[0]['token']}", "annotator"), 404)
    assert world.delete(f"me/tokens/{rows[0]['token']}").status_code == 204
    assert world.get("me", "reader").status_code == 401
    assert ApiToken.objects.filter(user__username="some-curator").count() == 1


def test_sources_and_what_was_found_there(world: ApiWorld) -> None:
    found = walk(world, f"{BIRDS}/sources", "sources")
    assert sum(row["outcomes"]["found"] for row in found) == Candidate.objects.count()
    path = f"{BIRDS}/sources/{found[0]['source']}/candidates"
    assert len(walk(world, path, "candidates")) == found[0]["outcomes"]["stored"] > 0
    assert told(world.get(f"{path}?state=rejected&reason=too_small"))["candidates"] == []
    told(world.get(f"{path}?state=lost"), 422)
    told(world.get(f"{BIRDS}/sources/99999/candidates"), 404)


def test_categories_are_translated(world: ApiWorld) -> None:
    path = f"{BIRDS}/categories/owl/translations/zh-hans"
    assert told(world.put(path, {"name": "猫头鹰"}))["translations"] == {"zh-hans": {"name": "猫头鹰"}}
    assert told(world.put(path, {"gloss": "夜行的鸟"}))["translations"]["zh-hans"]["name"] == "猫头鹰"
    rows = told(world.get(f"{BIRDS}/categories", "annotator"))["categories"]
    assert {row["id"]: row["translations"] for row in rows}["owl"]["zh-hans"]["gloss"] == "夜行的鸟"
    told(world.put(path, {"name": "a\x00"}), 422)
    told(world.put(path.replace("owl", "dodo"), {"name": "x"}), 404)
    told(world.put(path.replace("zh-hans", "Chinese!"), {"name": "x"}), 422)


def test_groups_are_joined_and_split(world: ApiWorld) -> None:
    first, second, third = world.dataset.images.select_related("group").order_by("pk")[:3]
    path = f"{BIRDS}/duplicates"
    assert told(world.get(path))["groups"] == []
    ids = [first.group_id, second.group_id]
    joined = told(world.post(f"{path}/join", {"groups": ids, "images": [third.sha256]}))
    assert (joined["size"], joined["more"]) == (3, 0)
    assert joined["files"][0]["image"] == joined["representative"]
    assert {row["image"] for row in joined["files"]} == {first.sha256, second.sha256, third.sha256}
    [listed] = walk(world, f"{path}?order=widest", "groups")
    assert listed == told(world.get(f"{path}/{joined['group']}"))
    going = joined["files"][1]["image"]
    new = told(world.post(f"{path}/{joined['group']}/split", {"images": [going]}), 201)
    assert [row["image"] for row in new["files"]] == [going]
    assert DuplicateGroup.objects.get(pk=joined["group"]).size == 2
    for at, sent, status in (
        ("join", {"groups": [ids[0]]}, 409),
        ("join", {"images": ["no-such-file.jpg"]}, 409),
        ("join", {"groups": ["x"]}, 422),
        (f"{joined['group']}/split", {"images": [going]}, 409),
        (f"{joined['group']}/split", {"images": []}, 422),
        (f"{joined['group']}/split", {"images": ["f" * 64]}, 409),
        ("99999/split", {"images": [going]}, 409),
    ):
        assert told(world.post(f"{path}/{at}", sent), status)["detail"], at
    told(world.get(f"{path}/99999"), 404)


def test_images_by_what_is_known_of_them(world: ApiWorld) -> None:
    every = walk(world, f"{BIRDS}/images", "images")
    newest = world.dataset.images.order_by("-pk").values_list("sha256", flat=True)
    assert [row["image"] for row in every] == list(newest)
    owls = walk(world, f"{BIRDS}/images?category=owl&order=sure", "images")
    assert owls
    assert [row["confidence"] for row in owls] == sorted(row["confidence"] for row in owls)
    assert {row["label"] for row in owls} == {"owl"}
    assert {
        r["image"] for r in walk(world, f"{BIRDS}/images?category=owl&least=0.5&once=true", "images")
    } <= {r["image"] for r in owls}
    group = world.plain.image.group_id
    assert [r["image"] for r in walk(world, f"{BIRDS}/images?group={group}", "images")] == [
        world.plain.image.sha256
    ]
    for wrong in (
        "category=dodo", "least=2", "least=0.9&most=0.1", "source=99999", "group=99999", "state=lost",
        "order=best", "cursor=WzFd", "licence=%00",
    ):  # fmt: skip
        told(world.get(f"{BIRDS}/images?{wrong}"), 422)


def test_a_picture_is_taken_down_and_shown_no_more(world: ApiWorld) -> None:
    sha, path = world.plain.image.sha256, f"{BIRDS}/takedowns"
    foreseen = told(
        world.post(f"{path}/preview", {"images": [sha], "urls": ["https://photos.example/new.jpg"]})
    )
    assert foreseen["images"] == [sha]
    assert foreseen["tasks"] == Task.objects.filter(image__sha256=sha).count() > 0
    assert foreseen["releases"] == ["birds-1.0.0"]
    assert Image.objects.get(sha256=sha).taken_down is None
    body = {"images": [sha], "urls": ["https://photos.example/new.jpg"], "reason": "asked for"}
    for wrong in (
        {**body, "reason": " "},
        {**body, "images": ["x"]},
        {"reason": "why"},
        {**body, "urls": ["file:///etc/passwd"]},
    ):
        told(world.post(path, wrong), 422)
    labelled = told(world.get(BIRDS))["pictures"]["labelled"]
    done = told(world.post(path, body), 201)
    assert told(world.get(BIRDS))["pictures"]["labelled"] == labelled - 1
    assert any("takedown_release" in line for line in done["commands"])
    listed = {row["image"]: row for row in walk(world, path, "takedowns")}
    assert (listed[sha]["reason"], listed[sha]["by"]) == ("asked for", "some-curator")
    assert "https://photos.example/new.jpg" in str(listed)
    story = told(world.get(f"{BIRDS}/images/{sha}"))
    assert story["taken_down"]["reason"] == "asked for"
    assert [row["version"] for row in story["releases"]] == ["1.0.0"]
    for shown in (f"{BIRDS}/images?limit=200", f"{BIRDS}/review?limit=200", f"{BIRDS}/takedowns/near"):
        assert sha not in world.get(shown).content.decode()
    [near] = told(world.get(f"{path}/near"))["near"]
    assert world.post(f"{path}/near/{near['near']}/keep", None).status_code == 204
    assert told(world.get(f"{path}/near"))["near"] == []
    told(world.post(f"{path}/near/99999/keep", None), 404)


def test_a_round_is_foreseen_and_made(world: ApiWorld) -> None:
    body = {"question": "classify", "title": "Again", "votes_min": 2, "votes_max": 4, "price": "0.50",
            "gold_rate": 0.2, "category_confidence": {"owl": 0.99}, "seed": 7}  # fmt: skip
    path, before = f"{BIRDS}/rounds", Round.objects.count()
    foreseen = told(world.post(f"{path}/preview", body))
    images = world.dataset.images.count()
    assert (foreseen["tasks"] + foreseen["gold"], foreseen["exact"]) == (images, True)
    assert foreseen["votes_most"] == 4 * foreseen["tasks"]
    assert Round.objects.count() == before
    made = told(world.post(path, {**body, "key": "one"}), 201)
    assert made["tasks"] == images
    assert made["wishes"] == {"category_confidence": {"owl": 0.99}}
    assert told(world.post(path, {**body, "key": "one"}), 201)["round"] == made["round"]
    told(world.post(path, {**body, "key": "one", "votes_max": 5}), 409)
    assert Round.objects.count() == before + 1
    assert told(world.get(f"{path}/planned/{PlannedRound.objects.latest('pk').pk}"))["round"] == made["round"]


def test_rounds_on_chosen_pictures(world: ApiWorld) -> None:
    path, sha = f"{BIRDS}/rounds", world.plain.image.sha256
    one = told(world.post(path, {"question": "classify", "images": "listed", "names": [sha]}), 201)
    assert list(Task.objects.filter(round=one["round"]).values_list("image__sha256", flat=True)) == [sha]
    proposals = [{"image": sha, "label": "finch", "probability": 0.7}, {"image": sha, "label": "owl"}]
    verify = told(world.post(path, {"question": "verify", "proposals": proposals, "origin": "net"}), 201)
    assert Task.objects.filter(round=verify["round"]).count() == 2
    assert set(Round.objects.get(pk=verify["round"]).tasks.values_list("proposal__origin", flat=True)) == {
        "net"
    }
    repeat = {"repeat": world.labelled.pk, "share": 1.0, "workers": [world.other.code]}
    foreseen = told(world.post(f"{path}/preview", repeat))
    again = told(world.post(path, repeat), 201)
    assert (again["parent"], again["access"]) == (world.labelled.pk, Round.Access.REPEAT)
    assert foreseen["votes_most"] == again["tasks"] > 0


def test_rounds_that_cannot_be(world: ApiWorld) -> None:
    before = Round.objects.count()
    for wrong, status in (
        ({}, 422),
        ({"question": "guess"}, 422),
        ({"question": "classify", "votes_min": 5, "votes_max": 3}, 422),
        ({"question": "classify", "images": "listed"}, 422),
        ({"question": "classify", "images": "listed", "names": ["no-such.jpg"]}, 422),
        ({"question": "verify", "proposals": [{"image": "no-such.jpg", "label": "owl"}]}, 422),
        ({"question": "classify", "proposals": [{"image": world.plain.image.sha256, "label": "owl"}]}, 422),
        ({"question": "classify", "images": "disputed", "repeat": world.labelled.pk}, 422),
        ({"question": "classify", "workers": ["nobody-here"]}, 422),
        ({"question": "classify", "price": "NaN"}, 422),
        ({"question": "classify", "quiz": 99_999}, 422),
        ({"question": "classify", "preset": "imagenet", "votes_max": 3}, 422),
        ({"question": "classify", "images": "listed", "names": ["x"] * 5_001}, 422),
        ({"repeat": 99_999}, 404),
        ({"repeat": world.labelled.pk, "preset": "imagenet"}, 422),
    ):
        for path in ("rounds/preview", "rounds"):
            assert told(world.post(f"{BIRDS}/{path}", wrong), status)["detail"], wrong
    assert Round.objects.count() == before


def test_a_large_round_is_made_elsewhere(world: ApiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """202 and where to look; the row says how far it is, and whoever finds it dead begins it again."""
    begun: list[int] = []
    monkeypatch.setattr("quality.jobs.AT_ONCE", 0)
    monkeypatch.setattr("quality.jobs.start_process", lambda *command: begun.append(int(command[-1])))
    answer = world.post(f"{BIRDS}/rounds", {"question": "classify", "title": "Large"})
    planned = told(answer, 202)
    assert (planned["state"], planned["round"], begun) == ("waiting", None, [planned["planned"]])
    assert told(world.get(planned["url"]))["made"] == 0
    assert planned["planned"] in [row["planned"] for row in walk(world, f"{BIRDS}/rounds/planned", "planned")]
    told(world.post(f"{BIRDS}/rounds/planned/{planned['planned']}/again", None), 202)
    assert len(begun) == 1  # somebody is at it, for all that is known
    PlannedRound.objects.filter(pk=planned["planned"]).update(state="failed", error="it failed")
    told(world.post(f"{BIRDS}/rounds/planned/{planned['planned']}/again", None), 202)
    assert len(begun) == 2
    told(world.get(f"{BIRDS}/rounds/planned/99999"), 404)


def test_a_change_is_foretold(world: ApiWorld) -> None:
    path = f"{BIRDS}/rounds/{world.labelled.pk}"
    assert told(world.post(f"{path}/foretell", {}))["told"] == []
    assert "votes" in " ".join(told(world.post(f"{path}/foretell", {"votes_max": 11}))["told"])
    assert told(world.get(path))["votes_max"] != 11
    told(world.post(f"{path}/foretell", {"votes_max": 1}), 409)
    told(world.post(f"{path}/foretell", {"quiz": 99_999}), 409)
    assert told(world.patch(path, {"tells_agreement": False}))["tells_agreement"] is False
    assert told(world.post(f"{path}/finish-change", None))["round"] == world.labelled.pk


def test_instructions_in_versions(world: ApiWorld) -> None:
    path = f"{BIRDS}/rounds/{world.labelled.pk}/instructions"
    first = told(world.get(path, "reviewer"))
    assert (first["version"], first["text"], first["examples"]) == (1, "Look twice.", [])
    shares = world.dataset.shares
    gold = Gold.objects.values("image")
    fit = world.dataset.images.filter(group__draw__gte=shares.test).exclude(pk__in=gold).first()
    assert fit is not None
    example = {"category": "owl", "image": fit.sha256, "good": True, "note": "the face"}
    body = {"text": "Look three times.", "examples": [example], "read": 1}
    now = told(world.put(path, body))
    assert (now["version"], now["examples"]) == (2, [example])
    assert told(world.put(path, {**body, "read": 2}))["version"] == 2
    told(world.put(path, {**body, "text": "No.", "read": 1}), 409)
    assert told(world.get(f"{path}?version=1"))["text"] == "Look twice."
    told(world.get(f"{path}?version=3"), 404)
    for wrong in (
        {**example, "category": "dodo"},
        {**example, "image": world.gold.image.sha256},
        {**example, "image": "e" * 64},
    ):
        told(world.put(path, {**body, "examples": [wrong], "read": 2}), 422)
    offered = told(world.get(f"{path}/offers?category=owl"))
    assert world.gold.image.sha256 not in str(offered)
    told(world.get(f"{path}/offers?category=dodo"), 404)


def test_quality_tells_researchers_nothing_of_workers(world: ApiWorld) -> None:
    full = told(world.get(f"{BIRDS}/quality", "reviewer"))
    some = told(world.get(f"{BIRDS}/quality", "researcher"))
    assert full["headline"] == some["headline"]
    assert {"skills", "flags", "repeats"} == full["figures"].keys() - some["figures"].keys()


def test_the_guide_names_every_call(world: ApiWorld) -> None:
    """Its table, "From programs", has each of them, and none that is not there."""
    there = set()
    for path, methods in told(world.get("openapi.json"))["paths"].items():
        words = path.removeprefix("/api/v1/").replace("datasets/{name}", "D", 1)
        words = re.sub(r"\{(\w+)\}", lambda name: IN_THE_GUIDE.get(name[1], "ID"), words)
        there |= {f"{method.upper()} {words}" for method in methods}
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    section = guide.partition("\n## From programs\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    spans = re.findall(r"`([A-Z, ]+) (\S+)`", "\n".join(rows))
    assert {f"{method} {path}" for methods, path in spans for method in methods.split(", ")} == there


def test_every_call_is_described_with_an_example(world: ApiWorld) -> None:
    document = told(world.get("openapi.json"))
    shapes = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert call["description"].endswith((".", ")")), (method, path)
            for parameter in call.get("parameters", []):
                assert parameter["in"] != "path" or "example" in parameter, (path, parameter["name"])
            if "requestBody" in call:
                named = call["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[
                    2
                ]
                assert shapes[named]["examples"], named
    assert User.objects.filter(username="mei").count() == 0
