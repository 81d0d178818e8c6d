"""The photo site: what it lays out, and what it answers."""

import http.client
import io
import re
import threading

import pytest
from PIL import Image

from demo.copies import KINDS, make_copy
from demo.plan import NONE, Plan, make_plan, photo_bytes, pick, read_category_names, read_labels
from demo.server import OVERSIZED_BYTES, PAGE_SIZE, DemoServer

CATEGORIES = list(read_category_names())


@pytest.fixture(scope="module")
def labels():
    return pick(read_labels(), 600)


@pytest.fixture(scope="module")
def plan(labels):
    return make_plan(labels, CATEGORIES, seed=7)


@pytest.fixture(scope="module")
def site(plan):
    server = DemoServer(plan)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(site, path):
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def first(plan, kind):
    return next(path for path, served in plan.files.items() if served.kind == kind)


def test_the_same_seed_lays_out_the_same_site(plan, labels, tmp_path):
    again = make_plan(labels, CATEGORIES, seed=7)
    assert again == plan
    assert make_plan(labels, CATEGORIES, seed=8) != plan
    plan.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == plan


def test_copies_are_planted_in_the_promised_share():
    plan = make_plan(read_labels(), CATEGORIES, seed=7)
    assert 380 <= sum(plan.count(kind) for kind in KINDS) <= 520
    assert min(plan.count(kind) for kind in KINDS) >= 80


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_has_the_same_bytes_each_time_and_never_the_original_ones(kind):
    photo = min(read_labels())
    original = photo_bytes(photo)
    copy = make_copy(original, kind, 7, photo)
    assert copy == make_copy(original, kind, 7, photo)
    assert copy != make_copy(original, kind, 8, photo)
    assert copy != original


def test_crops_and_resizes_stay_within_their_bounds():
    for photo in sorted(read_labels())[:25]:
        original = photo_bytes(photo)
        width, height = Image.open(io.BytesIO(original)).size
        cropped = Image.open(io.BytesIO(make_copy(original, "cropped", 7, photo))).size
        resized = Image.open(io.BytesIO(make_copy(original, "resized", 7, photo))).size
        assert 0.93 * width <= cropped[0] < width
        assert 0.93 * height <= cropped[1] < height
        assert 0.59 <= resized[0] / width <= 1.51
        assert abs(resized[0] / width - resized[1] / height) < 0.02


def test_an_unknown_kind_of_copy_is_refused():
    with pytest.raises(ValueError, match="mirrored"):
        make_copy(photo_bytes(min(read_labels())), "mirrored", 7, "x")


def test_noise_is_spread_and_some_photos_stand_in_two_galleries(plan, labels):
    homes = {}
    for category, paths in plan.galleries.items():
        for path in paths:
            homes.setdefault(path, set()).add(category)
    noise = {p for p, f in plan.files.items() if f.kind == "original" and labels[f.photo] == NONE}
    assert len({category for path in noise for category in homes[path]}) == len(CATEGORIES)
    assert any(len(categories) == 2 for categories in homes.values())


def test_following_the_pages_finds_every_link_of_a_gallery(site, plan):
    category = max(plan.galleries, key=lambda c: len(plan.galleries[c]))
    found, url = [], f"/gallery/{category}/"
    pages = 0
    while url:
        status, kind, body = get(site, url)
        text = body.decode()
        assert (status, kind) == (200, "text/html; charset=utf-8")
        found += re.findall(r'<img src="([^"]+)"', text)
        assert 'rel="license"' in text
        onward = re.search(r'<a rel="next" href="([^"]+)"', text)
        url = f"/gallery/{category}/{onward[1]}" if onward else ""
        pages += 1
    assert found == plan.galleries[category]
    assert pages == -(-len(found) // PAGE_SIZE) >= 2


def test_a_page_tells_no_label_but_its_own_category(site, plan, labels):
    category = "dress"
    body = get(site, f"/gallery/{category}/")[2].decode()
    others = [other for other in CATEGORIES if other != category]
    assert not [other for other in others if re.search(rf"\b{other}\b", body)]
    assert NONE not in body


@pytest.mark.parametrize(
    "path", ["/gallery/dress/?page=99", "/gallery/dress/?page=x", "/gallery/sofa/", "/x"]
)
def test_what_is_not_there_is_404(site, path):
    assert get(site, path)[0] == 404


def test_pictures_are_served_with_the_bytes_that_the_plan_names(site, plan):
    import hashlib

    for kind in ("original", *KINDS):
        path = first(plan, kind)
        status, content_type, body = get(site, path)
        assert (status, content_type) == (200, "image/jpeg")
        assert hashlib.sha256(body).hexdigest() == plan.files[path].sha256


def test_robots_forbids_the_folder_that_galleries_link_to_and_hits_are_counted(site, plan):
    assert b"Disallow: /private/" in get(site, "/robots.txt")[2]
    path = first(plan, "private")
    assert path.startswith("/private/")
    before = site.hits["private"]
    assert get(site, path)[0] == 200
    assert site.hits["private"] == before + 1


def test_the_faults_are_there(site, plan):
    assert get(site, first(plan, "dead"))[0] == 404
    assert get(site, first(plan, "page"))[2].startswith(b"<!doctype html>")
    assert get(site, first(plan, "mistyped"))[1] == "text/plain"
    cut = get(site, first(plan, "truncated"))[2]
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(cut)).load()
    assert len(get(site, first(plan, "oversized"))[2]) > 0.9 * OVERSIZED_BYTES
