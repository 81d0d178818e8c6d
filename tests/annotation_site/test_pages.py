"""Pages as people meet them, without JavaScript; the fast page is in test_browser."""

from __future__ import annotations

import io
import re

import pytest
from django.conf import settings
from django.test import Client
from PIL import Image as Pillow

from annotation_site.models import Round, Vote
from annotation_site.services.logins import TRIES
from annotation_site.services.rounds import close_round, open_round
from ingest.services.images import store_image
from tests.annotation_site.world import jpeg, make_dataset, make_round, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def round(db: None) -> Round:
    dataset = make_dataset(images=3)
    person("ann", dataset=dataset)
    return make_round(dataset, title="Whose pet is it?", instructions="Look at the <b>ears</b>.")


@pytest.fixture
def ann(round: Round) -> Client:
    client = Client()
    assert client.login(username="ann", password="secret-ann")
    return client


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def test_who_is_not_logged_in_is_asked_to(client: Client, round: Round) -> None:
    for path in ("/", "/me/", f"/label/{round.pk}/"):
        assert client.get(path).url == f"/login/?next={path}"
    page = client.post("/login/", {"username": "ann", "password": "wrong", "next": "/me/"}).content.decode()
    assert "do not go together" in page
    assert client.post("/login/", {"username": "ann", "password": "secret-ann", "next": "/me/"}).url == "/me/"
    foreign = Client().post(
        "/login/", {"username": "ann", "password": "secret-ann", "next": "https://evil.example/"}
    )
    assert foreign.url == "/"


def test_the_page_slows_guessing_as_the_api_does(client: Client, round: Round) -> None:
    for _ in range(TRIES):
        client.post("/login/", {"username": "ann", "password": "guess"})
    page = client.post("/login/", {"username": "ann", "password": "secret-ann"}).content.decode()
    assert "Too many wrong passwords" in page


def test_an_annotator_sees_open_rounds_and_no_figures_of_others(ann: Client, round: Round) -> None:
    make_round(make_dataset("birds", images=1), title="Not for Ann")
    page = text(ann, "/")
    assert "Whose pet is it?" in page
    assert "Start labelling" in page
    assert "Not for Ann" not in page
    assert "How far are the datasets?" not in page
    close_round(round)
    assert "No round is open for you now" in text(ann, "/")


def test_a_curator_sees_the_datasets(round: Round, client: Client) -> None:
    person("cora", "curator")
    client.login(username="cora", password="secret-cora")
    page = text(client, "/")
    assert "How far are the datasets?" in page
    assert "Pets at home" in page


def test_labelling_works_as_a_plain_form(ann: Client, round: Round) -> None:
    for number in range(3):
        page = text(ann, f"/label/{round.pk}/")
        fields = dict(re.findall(r'name="(assignment|task|key)" value="(\w+)"', page))
        assert re.search(r'value="dog"[^>]*data-key="2"', page)
        assert "Look at the &lt;b&gt;ears&lt;/b&gt;." in page
        answered = ann.post(f"/label/{round.pk}/", {**fields, "label": "dog"})
        assert answered.url == f"/label/{round.pk}/"
        assert Vote.objects.filter(category__key="dog").count() == number + 1
    assert "nothing is left for you" in text(ann, f"/label/{round.pk}/")
    assert "You have given 3 votes" in text(ann, "/me/")
    assert "You have answered 3 of 3 pictures" in text(ann, "/")


def test_a_broken_form_says_so_and_keeps_the_picture(ann: Client, round: Round) -> None:
    first = text(ann, f"/label/{round.pk}/")
    fields = dict(re.findall(r'name="(assignment|task|key)" value="(\w+)"', first))
    for broken, said in (({}, "incomplete"), ({**fields, "label": "lion"}, "does not know the label")):
        ann.post(f"/label/{round.pk}/", broken)
        page = text(ann, f"/label/{round.pk}/")
        assert said in page
        assert f'name="task" value="{fields["task"]}"' in page
    assert not Vote.objects.exists()


def test_a_verify_round_of_many_categories_asks_of_one_picture(ann: Client, round: Round) -> None:
    images, cats = round.dataset.images.order_by("pk"), round.dataset.categories.all()
    pairs = [(image.pk, category.pk) for image, category in zip(images, cats, strict=False)]
    verify = open_round(round.dataset, "verify", tasks=pairs)
    page = text(ann, f"/label/{verify.pk}/")
    assert re.search("What a (cat|dog|eel) is.", page)
    assert re.search(r'value="yes"[^>]*data-key="y"', page)


def test_closed_foreign_and_missing_rounds(ann: Client, round: Round) -> None:
    foreign = make_round(make_dataset("birds", images=1))
    assert "not for your account" in text(ann, f"/label/{foreign.pk}/", 403)
    assert "nothing at this address" in text(ann, "/label/424242/", 404)
    close_round(round)
    assert "not open now" in text(ann, f"/label/{round.pk}/")


def test_names_with_markup_stay_text(ann: Client, round: Round) -> None:
    round.title = "</script><script>alert(1)</script>"
    round.save()
    round.dataset.categories.filter(key="cat").update(name="<img src=x>", gloss="</script><b>")
    for path in ("/", f"/label/{round.pk}/"):
        page = text(ann, path)
        assert "<script>alert" not in page
        assert "<img src=x>" not in page
        assert "</script><b>" not in page


def test_every_page_carries_a_strict_policy_and_no_inline_script(ann: Client, round: Round) -> None:
    for path in ("/", "/me/", f"/label/{round.pk}/", "/nowhere/"):
        response = ann.get(path)
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "script-src" not in policy
        page = response.content.decode()
        assert not re.search(r"<script(?![^>]*(src=|application/json))", page)
        assert not re.search(r'\s(on\w+|style)="', page)
        assert not re.search(r'(src|href)="(https?:)?//', page)


def test_programs_get_problem_documents_people_get_pages(client: Client) -> None:
    assert client.get("/api/nowhere")["Content-Type"] == "application/problem+json"
    assert "nothing at this address" in text(client, "/nowhere", 404)


def test_a_fault_is_answered_with_a_page_that_needs_no_database(settings: object, round: Round) -> None:
    from django.test import RequestFactory

    from annotation_site.views import broken

    page = broken(RequestFactory().get("/"))
    assert page.status_code == 500
    assert b"Something failed" in page.content
    assert broken(RequestFactory().get("/api/v1/votes"))["Content-Type"] == "application/problem+json"


def test_pictures_are_upright_small_and_say_nothing_of_camera_or_place(ann: Client, round: Round) -> None:
    image, _ = store_image(round.dataset, jpeg(size=(3000, 2000)))
    kinds = {"thumb": ("WEBP", (213, 320)), "full": ("JPEG", (1365, 2048))}
    for name, (kind, size) in kinds.items():
        response = ann.get(f"/images/pets/{image.sha256}/{name}")
        data = b"".join(response.streaming_content)
        picture = Pillow.open(io.BytesIO(data))
        assert (picture.format, picture.size) == (kind, size)
        assert not dict(picture.getexif())
        assert b"SpyCam" not in data
        assert "immutable" in response["Cache-Control"]
        assert "private" in response["Cache-Control"]
        again = ann.get(f"/images/pets/{image.sha256}/{name}", headers={"If-None-Match": response["ETag"]})
        assert again.status_code == 304
    kept = sorted((settings.DATA_DIR / "thumbs").rglob("*.*"))
    assert [path.name.split(".", 1)[1] for path in kept] == ["2048.jpg", "320.webp"]


def test_pictures_only_for_those_of_the_dataset(ann: Client, round: Round, client: Client) -> None:
    mine, _ = store_image(round.dataset, jpeg("blue"))
    birds = make_dataset("birds", images=0)
    theirs, _ = store_image(birds, jpeg("green"))
    assert client.get(f"/images/pets/{mine.sha256}/full").status_code == 401
    assert ann.get(f"/images/birds/{theirs.sha256}/thumb").status_code == 404
    assert ann.get(f"/images/pets/{theirs.sha256}/thumb").status_code == 404
    assert ann.get("/images/pets/nonsense/thumb").status_code == 404
    body = {"username": "ann", "password": "secret-ann"}
    token = client.post("/api/v1/login", body, content_type="application/json").json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/images/pets/{mine.sha256}/thumb", headers=bearer).status_code == 200
    wrong = {"Authorization": "Bearer wrong"}
    assert ann.get(f"/images/pets/{mine.sha256}/thumb", headers=wrong).status_code == 401


def test_a_lost_picture_is_a_404(ann: Client, round: Round) -> None:
    row = round.dataset.images.all()[0]
    assert ann.get(f"/images/pets/{row.sha256}/full").status_code == 404


def test_the_administration_is_for_superusers(ann: Client, round: Round) -> None:
    assert ann.get("/admin/").status_code == 302
    user = person("root", "curator")
    user.is_staff = user.is_superuser = True
    user.save()
    boss = Client()
    boss.login(username="root", password="secret-root")
    for path in ("", "annotation_site/user/", "annotation_site/round/", "annotation_site/vote/"):
        assert boss.get(f"/admin/{path}").status_code == 200
    assert boss.get("/admin/annotation_site/vote/add/").status_code == 403
