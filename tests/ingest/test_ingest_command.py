"""`manage.py ingest`: every candidate ends in a state with its reason, and a run can be repeated."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.core.management import CommandError, call_command

from ingest.categories import CategoryRow
from ingest.models import Candidate, Dataset, Image
from ingest.services.datasets import create_dataset
from ingest.storage import FolderStore
from tests.ingest.local_web import Answer, Web, jpeg

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(settings, tmp_path: Path) -> Dataset:
    settings.STORAGE_URL = str(tmp_path / "store")
    return create_dataset("birds", [CategoryRow("owl", "Owl"), CategoryRow("jay", "Jay")])


def ingest(*sources: object, web: Web | None = None, **options: Any) -> dict[str, Any]:
    """Run it; its JSON."""
    if web is not None:
        options = {"rate": 1000, "allow_host": [web.place]} | options
    out = io.StringIO()
    call_command("ingest", "birds", *map(str, sources), json=True, stdout=out, **options)
    return json.loads(out.getvalue())


def ends(dataset: Dataset) -> dict[str, tuple[str, str]]:
    """State and reason of every candidate, by the last part of its URL."""
    rows = Candidate.objects.filter(source__dataset=dataset)
    return {row.url.rsplit("/", 1)[-1]: (row.get_state_display(), row.reason) for row in rows}


def counters_are_right(dataset: Dataset) -> bool:
    dataset.refresh_from_db()
    return (dataset.candidates_found, dataset.images_stored) == (
        Candidate.objects.filter(source__dataset=dataset).count(),
        dataset.images.count(),
    )


def lay_traps(web: Web) -> list[str]:
    """A page of pictures with every fault; its paths."""
    web.pages["/robots.txt"] = Answer("User-agent: *\nDisallow: /private/\n", kind="text/plain")
    web.picture("/good.jpg", 1)
    web.pages["/mistyped.jpg"] = Answer(jpeg(2), kind="text/plain")
    web.pages["/copy.jpg"] = Answer(jpeg(1))
    web.pages["/html.jpg"] = Answer("<!doctype html><title>Moved</title>")
    web.pages["/half.jpg"] = Answer(jpeg(3)[:-300])
    web.pages["/icon.jpg"] = Answer(jpeg(4, side=8))
    web.pages["/big.jpg"] = Answer(jpeg(5) + bytes(400_000), length=-1)
    web.picture("/private/p.jpg", 6)
    web.pages["/inside.jpg"] = Answer(status=302, headers={"Location": "http://127.0.0.1:9/x.jpg"})
    web.pages["/loop.jpg"] = Answer(status=302, headers={"Location": "/loop.jpg"})
    web.pages["/empty.jpg"] = Answer(b"")
    paths = ["/good.jpg", "/mistyped.jpg", "/copy.jpg", "/html.jpg", "/half.jpg", "/icon.jpg", "/big.jpg"]
    return [*paths, "/private/p.jpg", "/inside.jpg", "/loop.jpg", "/empty.jpg", "/dead.jpg"]


def test_each_trap_ends_in_its_state(web: Web, dataset: Dataset) -> None:
    paths = lay_traps(web)
    web.gallery("/owls/", paths[:6], '<link rel="next" href="?page=2">')
    web.gallery("/owls/?page=2", paths[6:], '<a rel="next" href="/owls/">')
    report = ingest(f"owl={web.url('/owls/')}", web=web, max_bytes=200_000)
    state = ends(dataset)
    # Which of two equal pictures came home first is a matter of chance.
    assert sorted([state.pop("good.jpg"), state.pop("copy.jpg")]) == [
        ("same bytes as another", "same_bytes"),
        ("stored", ""),
    ]
    assert state == {
        "mistyped.jpg": ("stored", ""),
        "html.jpg": ("rejected", "not_an_image"),
        "half.jpg": ("rejected", "truncated"),
        "icon.jpg": ("rejected", "too_small"),
        "big.jpg": ("rejected", "too_large"),
        "p.jpg": ("forbidden", "robots"),
        "inside.jpg": ("forbidden", "address"),
        "loop.jpg": ("failed", "too_many_redirects"),
        "empty.jpg": ("rejected", "empty"),
        "dead.jpg": ("gone", "http_404"),
    }
    assert web.hits["/private/p.jpg"] == 0
    assert report["found"] == 12
    assert (report["stored"], report["same_bytes"], report["gone"], report["pending"]) == (2, 1, 1, 0)
    assert report["forbidden"] == {"address": 1, "robots": 1}
    assert report["failed"] == {"too_many_redirects": 1}
    assert report["requests"] == {web.place: sum(web.hits.values())}
    (source,) = report["sources"]
    assert (source["category"], source["pages"], source["finished"]) == ("owl", 2, True)
    image = dataset.images.get(candidates__url=web.url("/mistyped.jpg"))
    assert (image.width, image.height, image.format, image.bytes) == (64, 64, "jpeg", len(jpeg(2)))
    assert counters_are_right(dataset)


def test_a_second_run_asks_for_pages_and_adds_what_is_new(web: Web, dataset: Dataset) -> None:
    for n in range(4):
        web.picture(f"/{n}.jpg", n)
    web.gallery("/g/", ["/0.jpg", "/1.jpg"])
    ingest(web.url("/g/"), web=web)
    web.gallery("/g/", ["/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg"])
    web.hits.clear()
    report = ingest(web.url("/g/"), web=web)
    assert report["new"] == {"found": 2, "stored": 2}
    assert report["stored"] == 4
    assert set(web.hits) == {"/robots.txt", "/g/", "/2.jpg", "/3.jpg"}
    assert counters_are_right(dataset)


def test_one_url_in_two_sources_is_fetched_once(web: Web, dataset: Dataset, tmp_path: Path) -> None:
    web.picture("/a.jpg", 1)
    web.gallery("/g/", ["/a.jpg"])
    urls = tmp_path / "urls.txt"
    urls.write_text(f"# mine\n{web.url('/a.jpg')}\n\n{web.url('/a.jpg')}#again\nftp://x.example/y.jpg\n")
    report = ingest(urls, f"jay={web.url('/g/')}", web=web)
    assert web.hits["/a.jpg"] == 1
    assert (report["found"], report["stored"], report["same_bytes"]) == (3, 1, 1)
    assert report["forbidden"] == {"scheme": 1}
    report = ingest(f"owl={urls}", web=web)
    assert web.hits["/a.jpg"] == 1
    assert report["same_bytes"] == 1
    assert Image.objects.count() == 1


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_a_list_says_more_than_addresses(web: Web, dataset: Dataset, tmp_path: Path, suffix: str) -> None:
    for n in range(3):
        web.picture(f"/{n}.jpg", n)
    frame = pd.DataFrame(
        {
            "license": ["CC0", "", "BY"],
            "url": [web.url("/0.jpg"), web.url("/1.jpg"), web.url("/2.jpg")],
            "category": ["owl", "jay", ""],
            "author": ["Ann", "Bob", ""],
            "caption": ["an owl, asleep", "", ""],
            "other": ["1", "2", "3"],
        }
    )
    path = tmp_path / f"urls{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=False)
    report = ingest(path, web=web)
    assert report["stored"] == 3
    assert sorted(str(source["category"]) for source in report["sources"]) == ["None", "jay", "owl"]
    first = Candidate.objects.get(url=web.url("/0.jpg"))
    assert (first.licence, first.author, first.caption) == ("CC0", "Ann", "an owl, asleep")
    assert first.source.category is not None
    assert first.source.category.key == "owl"


def test_a_folder_and_archives_hold_the_same(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for n, name in enumerate(["a.jpg", "deep/b.jpg"]):
        (folder / name).write_bytes(jpeg(n))
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_bytes(jpeg(9))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in ("a.jpg", "deep/b.jpg", "notes.txt"):
            archive.write(folder / name, name)
        archive.writestr("../../escape.jpg", jpeg(5))
        archive.writestr("/absolute.jpg", jpeg(6))
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        archive.add(folder, "photos")
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    report = ingest(folder, tmp_path / "p.zip", tmp_path / "p.tar.gz")
    by_kind = {Path(source["location"]).name: source for source in report["sources"]}
    # Which of the three brought a picture home first is a matter of chance.
    assert all(source["stored"] + source["same_bytes"] == 2 for source in by_kind.values())
    assert report["stored"] == 2
    assert by_kind["p.zip"]["rejected"] == {"not_an_image": 1, "unsafe_name": 2}
    assert by_kind["p.tar.gz"]["rejected"] == {"not_a_file": 1, "not_an_image": 1}
    assert dataset.images.count() == 2
    assert not list(tmp_path.parent.rglob("escape.jpg"))
    again = ingest(folder, tmp_path / "p.zip", tmp_path / "p.tar.gz")
    assert again["new"] == {"found": 0, "stored": 0}
    assert counters_are_right(dataset)


def test_the_bytes_of_every_image_are_in_the_store(dataset: Dataset, tmp_path: Path, settings) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.jpg").write_bytes(jpeg(n))
    ingest(folder, max=2)
    store = FolderStore(Path(settings.STORAGE_URL))
    images = {image.sha256 for image in dataset.images.all()}
    assert {store.get(sha256) for sha256 in images} == {jpeg(0), jpeg(1)}


def test_what_failed_is_tried_again_only_when_asked(web: Web, dataset: Dataset) -> None:
    web.pages["/loop.jpg"] = Answer(status=302, headers={"Location": "/loop.jpg"})
    web.gallery("/g/", ["/loop.jpg"])
    assert ingest(web.url("/g/"), web=web)["failed"] == {"too_many_redirects": 1}
    web.picture("/loop.jpg", 1)
    assert ingest(web.url("/g/"), web=web)["stored"] == 0
    assert ingest(web.url("/g/"), web=web, retry_failed=True)["stored"] == 1


def test_a_source_that_cannot_be_read_to_its_end_fails_the_run_but_not_the_rest(
    web: Web, dataset: Dataset
) -> None:
    web.picture("/0.jpg", 0)
    web.gallery("/g/", ["/0.jpg"], '<link rel="next" href="/missing">')
    with pytest.raises(CommandError, match=r"not read to its end: gone: http_404") as error:
        ingest(web.url("/g/"), web=web)
    assert error.value.returncode == 1
    assert dataset.images.count() == 1
    assert not dataset.sources.get().finished


def test_sources_that_make_no_sense_are_refused_before_anything_is_written(
    dataset: Dataset, tmp_path: Path
) -> None:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    bad = {
        "no such folder or file": tmp_path / "nothing-here",
        "what is this": write("notes.doc", "x"),
        "only http and https": "ftp://example.org/x",
        "no category has the id 'emu'": f"emu={tmp_path}",
        "no column called url": write("a.csv", "address,caption\nx,y\n"),
        "b.csv.*no category has the id 'emu'": write("b.csv", "url,category\nhttp://x.example/1.jpg,emu\n"),
        "broken.parquet: cannot be read": write("broken.parquet", "PAR1 not really"),
        "broken.zip: cannot be read as an archive": write("broken.zip", "PK not really"),
        "broken.tar: cannot be read as an archive": write("broken.tar", "not really"),
    }
    for message, source in bad.items():
        with pytest.raises(CommandError, match=message) as error:
            ingest(tmp_path, source)
        assert error.value.returncode == 2
    for options in ({"rate": 0.0}, {"max": 0}, {"allow_host": ["nowhere"]}, {"category": "emu"}):
        with pytest.raises(CommandError) as error:
            ingest(tmp_path, **options)
        assert error.value.returncode == 2
    with pytest.raises(CommandError, match="no dataset is called 'fish'") as error:
        call_command("ingest", "fish", str(tmp_path))
    assert error.value.returncode == 2
    assert not dataset.sources.exists()
