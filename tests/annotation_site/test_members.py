"""The page Members: roles given and taken, links, sign-up; who may do what there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from annotation_site.models import InvitationLink, Membership, Role, User
from annotation_site.services.members import MAX_LINKS, give_role, make_link, people_of, take_role
from annotation_site.services.refusals import NotAllowed
from ingest.models import Dataset
from tests.annotation_site.world import make_dataset, person

pytestmark = pytest.mark.django_db
HERE = "/d/pets/members/"


@pytest.fixture
def pets(db: None) -> Dataset:
    return make_dataset(images=0)


@pytest.fixture
def cora(pets: Dataset) -> User:
    return person("cora", "curator", pets)


@pytest.fixture
def curator(cora: User) -> Client:
    client = Client()
    client.login(username="cora", password="secret-cora")
    return client


@pytest.fixture
def root(db: None) -> Client:
    User.objects.create_superuser("root", password="secret-root")
    client = Client()
    client.login(username="root", password="secret-root")
    return client


def text(client: Client, path: str = HERE, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


@pytest.mark.parametrize("role", ["annotator", "reviewer", "researcher"])
def test_only_curators_see_it_and_its_tab(pets: Dataset, cora: User, curator: Client, role: str) -> None:
    person("ann", role, pets)
    client = Client()
    client.login(username="ann", password="secret-ann")
    membership = Membership.objects.get(user__username="ann")
    for path in (HERE, f"{HERE}{membership.pk}/take", f"{HERE}consent/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"action": "sign_up", "mode": "open"}).status_code == 403
        assert Client().get(path).url == f"/login/?next={path}"
    if role != "annotator":
        assert "Members" not in text(client, "/d/pets/")
    assert f'href="{HERE}"' in text(curator, "/d/pets/")


def test_a_curator_of_another_dataset_is_a_stranger(pets: Dataset, curator: Client) -> None:
    birds = make_dataset("birds", images=0)
    person("ann", dataset=birds)
    theirs = Membership.objects.get(user__username="ann")
    assert curator.get("/d/birds/members/").status_code == 403
    assert curator.post(f"{HERE}{theirs.pk}/take").status_code == 404
    link = (
        make_link(User.objects.get(username="cora"), birds, Role.ANNOTATOR) and InvitationLink.objects.get()
    )
    curator.post(HERE, {"action": "revoke", "link": link.pk})
    link.refresh_from_db()
    assert link.revoked is None


def test_giving_and_taking_a_role(pets: Dataset, curator: Client) -> None:
    ann = person("ann", "researcher", make_dataset("birds", images=0))
    give = {"action": "give", "username": "ann", "role": "reviewer"}
    curator.post(HERE, give)
    assert "ann has the role reviewer now" in text(curator)
    curator.post(HERE, give)
    assert "had the role reviewer already" in text(curator)
    membership = ann.memberships.get(dataset=pets)
    assert "Take the role reviewer from ann?" in text(curator, f"{HERE}{membership.pk}/take")
    assert ann.has_role(pets, "reviewer"), "asking takes nothing"
    assert curator.post(f"{HERE}{membership.pk}/take").url == HERE
    assert not ann.has_role(pets, "reviewer")
    assert curator.post(f"{HERE}{membership.pk}/take").status_code == 404


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"action": "give", "username": "nobody", "role": "annotator"}, "Nobody here is called “nobody”"),
        ({"action": "give", "username": "", "role": "annotator"}, "This field is required"),
        ({"action": "give", "username": "ann", "role": "king"}, "is not one of the available choices"),
        ({"action": "give", "username": "ann", "role": "curator"}, "Only administrators make curators"),
        ({"action": "link", "role": "curator", "uses": 1, "days": 1}, "Only administrators make curators"),
        ({"action": "link", "role": "annotator", "uses": 0, "days": 1}, "greater than or equal to 1"),
        ({"action": "link", "role": "annotator", "uses": "1e9", "days": 1}, "Enter a whole number"),
        ({"action": "link", "role": "annotator", "uses": 10**9, "days": 1}, "less than or equal to 10000"),
        ({"action": "link", "role": "annotator", "uses": 1, "days": 9999}, "less than or equal to 365"),
        ({"action": "link", "role": "annotator", "uses": 1, "days": 1, "note": "x" * 201}, "200 characters"),
        ({"action": "link", "role": "annotator", "uses": 1, "days": 1, "note": "\x00"}, "Null characters"),
    ],
)
def test_refused_forms_say_why_and_change_nothing(
    pets: Dataset, curator: Client, form: dict[str, object], said: str
) -> None:
    person("ann", dataset=pets)
    before = list(Membership.objects.values())
    response = curator.post(HERE, form)
    assert response.status_code == 422
    assert said in response.content.decode()
    assert list(Membership.objects.values()) == before
    assert not InvitationLink.objects.exists()


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"action": "explode"},
        {"action": "revoke"},
        {"action": "revoke", "link": "²"},
        {"action": "revoke", "link": "9" * 30},
    ],
)
def test_broken_forms_change_nothing(curator: Client, form: dict[str, str]) -> None:
    assert curator.post(HERE, form).url == HERE
    assert 'class="state-' in text(curator)
    assert curator.post(HERE, {"action": "sign_up", "mode": "ajar"}).status_code == 422


def test_nobody_locks_themselves_out_and_only_administrators_depose_curators(
    pets: Dataset, cora: User, curator: Client, root: Client
) -> None:
    other = person("otto", "curator", pets)
    own, others = (user.memberships.get(dataset=pets) for user in (cora, other))
    curator.post(f"{HERE}{own.pk}/take")
    assert "You would lock yourself out" in text(curator)
    curator.post(f"{HERE}{others.pk}/take")
    assert "Only administrators take the role of a curator away" in text(curator)
    assert f"{HERE}{others.pk}/take" not in text(curator), "what may not be done is not offered"
    Membership.objects.create(user=cora, dataset=None, role=Role.CURATOR)
    assert curator.post(f"{HERE}{own.pk}/take").url == HERE, "the role for all datasets is left"
    assert root.post(f"{HERE}{others.pk}/take").url == HERE
    assert not other.has_role(pets, Role.CURATOR)


def test_a_curator_elsewhere_may_not_leave_the_last_role_here(pets: Dataset, cora: User) -> None:
    Membership.objects.create(user=cora, dataset=make_dataset("birds", images=0), role=Role.CURATOR)
    with pytest.raises(NotAllowed):
        take_role(cora, cora.memberships.get(dataset=pets))


def test_administrators_make_curators(pets: Dataset, root: Client) -> None:
    ann = person("ann", dataset=pets)
    page = text(root)
    assert '<option value="curator"' in page
    assert "who may do everything: root." in page
    root.post(HERE, {"action": "give", "username": "ann", "role": "curator"})
    assert ann.has_role(pets, Role.CURATOR)
    assert root.post(HERE, {"action": "link", "role": "curator", "uses": 1, "days": 1}).status_code == 302


def test_a_link_is_shown_once_and_never_stored(pets: Dataset, curator: Client) -> None:
    done = curator.post(HERE, {"action": "link", "role": "annotator", "uses": 30, "days": 7, "note": "class"})
    assert done.url == HERE
    page = text(curator)
    [url] = re.findall(r'value="(http://testserver/join/[\w-]+/)"', page)
    assert Client().get(url).status_code == 200
    assert "/join/" not in re.sub(r"/d/pets/join/", "", text(curator)), "once"
    [link] = InvitationLink.objects.all()
    assert (link.uses_left, link.note, link.created_by.username) == (30, "class", "cora")
    stored = str(list(InvitationLink.objects.values())) + str(dict(curator.session))
    assert url.split("/")[-2] not in stored
    curator.post(HERE, {"action": "revoke", "link": link.pk})
    assert "It was revoked." in text(curator)
    assert Client().get(url).status_code == 410


def test_the_cookie_that_carries_the_link_is_no_use_to_scripts_or_forgers(curator: Client) -> None:
    done = curator.post(HERE, {"action": "link", "role": "annotator", "uses": 1, "days": 7})
    cookie = done.cookies["assay_link"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", HERE)
    curator.cookies["assay_link"] = "http://evil.example/:0:forged"
    assert "evil.example" not in text(curator)


def test_links_have_an_end(pets: Dataset, cora: User, curator: Client) -> None:
    for _ in range(MAX_LINKS):
        make_link(cora, pets, Role.ANNOTATOR)
    page = curator.post(HERE, {"action": "link", "role": "annotator", "uses": 1, "days": 7})
    assert page.status_code == 422
    assert "too many links" in page.content.decode()


def test_sign_up_is_switched(curator: Client) -> None:
    curator.post(HERE, {"action": "sign_up", "mode": "open"})
    assert "http://testserver/d/pets/join/" in text(curator)
    assert Client().get("/d/pets/join/").status_code == 200
    curator.post(HERE, {"action": "sign_up", "mode": "invitation"})
    assert Client().get("/d/pets/join/").status_code == 404


def test_people_are_listed_by_pages_and_found(pets: Dataset, cora: User, curator: Client) -> None:
    users = User.objects.bulk_create(User(username=f"w{n:03}") for n in range(120))
    Membership.objects.bulk_create(Membership(user=u, dataset=pets, role="annotator") for u in users)
    person("wanda", "reviewer")  # in all datasets
    seen: list[str] = []
    page, path = "", HERE
    while path:
        page = text(curator, path)
        seen += re.findall(r'<th scope="row">(w?\w+)', page)
        more = re.search(r'href="(\?[^"]*after=[^"]+)"', page)
        path = HERE + more[1].replace("&amp;", "&") if more else ""
    assert [name for name in seen if name.startswith("w")] == [f"w{n:03}" for n in range(120)]
    assert "wanda (reviewer)" in page
    found = text(curator, HERE + "?q=W11")
    assert re.findall(r"<th scope=\"row\">(w\d+)", found) == [f"w{n}" for n in range(110, 120)]
    assert "w001" not in text(curator, HERE + "?role=curator")
    assert "Nobody fits" in text(curator, HERE + "?q=%00&role=researcher")
    assert text(curator, HERE + "?role=king&after=%00")


def test_the_list_asks_as_much_for_many_as_for_few(
    pets: Dataset, cora: User, curator: Client, django_assert_max_num_queries: Any
) -> None:
    users = User.objects.bulk_create(User(username=f"w{n:03}") for n in range(40))
    Membership.objects.bulk_create(Membership(user=u, dataset=pets, role="annotator") for u in users)
    for _ in range(20):
        make_link(cora, pets, Role.ANNOTATOR)
    with django_assert_max_num_queries(16):
        text(curator)


def test_roles_of_one_person_stand_together(pets: Dataset, cora: User) -> None:
    give_role(cora, pets, "cora", "annotator")
    [row] = people_of(pets)
    assert [m.role for m in row.roles_here] == ["annotator", "curator"]


def test_names_and_notes_with_markup_stay_text(pets: Dataset, cora: User, curator: Client) -> None:
    make_link(cora, pets, Role.ANNOTATOR, note="<script>alert(1)</script>")
    assert "<script>alert" not in text(curator)
    page = curator.post(HERE, {"action": "give", "username": '"><b>x', "role": "annotator"}).content.decode()
    assert "<b>x" not in page
