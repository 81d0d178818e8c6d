"""A release in other formats: each opened by the library it is for, and compared with the release."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import webdataset
from PIL import Image

from export import convert as convert_module
from export import layout
from export.convert import ConversionFailed, ConversionRefused, convert, main
from export.formats import Options, coco
from export.places import bucket_release
from export.places.bucket import BucketFolder
from export.places.workplace import Workplace
from export.services.plan import Wishes
from export.services.publish import publish_release
from tests.export.world import World, bytes_of

ROOT = Path(__file__).resolve().parents[2]
FORMATS = tuple(convert_module.WRITERS)
SPLITS = {"train": 8, "val": 4, "test": 6}


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    world.dataset.categories.filter(key="owl").update(name="Owl, the \"night\" bird: 'yes'")
    return publish_release(world.dataset, "1.0.0", tmp_path / "releases").folder


@pytest.fixture
def sealed(world: World, tmp_path: Path) -> Path:
    return publish_release(world.dataset, "1.0.0", tmp_path / "releases", Wishes(sealed=True)).folder


def manifest(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / layout.MANIFEST).set_index("image")


def indices(folder: Path) -> dict[str, int]:
    return {c["id"]: c["index"] for c in json.loads((folder / layout.CATEGORIES).read_text())}


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def read_shards(out: Path, split: str) -> list[dict[str, Any]]:
    shards = sorted(str(p) for p in out.glob(f"birds-1.0.0-{split}-*.tar"))
    return list(webdataset.WebDataset(shards, shardshuffle=False))


def load(out: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder as `datasets.load_dataset` gives it."""
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(out), cache_dir=str(out.parent / "cache"))


@pytest.mark.django_db
def test_webdataset_reads_the_shards(folder: Path, tmp_path: Path) -> None:
    made = convert(folder, "webdataset", tmp_path / "out", Options(shard_bytes=3_000))
    assert made["splits"] == SPLITS
    rows, index = manifest(folder), indices(folder)
    assert len(list((tmp_path / "out").glob("*-train-*.tar"))) > 2, "the shards were to be small"
    for split, count in SPLITS.items():
        samples = read_shards(tmp_path / "out", split)
        assert [s["__key__"] for s in samples] == list(rows.index[rows["split"] == split])
        assert len(samples) == count
        for sample in samples:
            row = rows.loc[sample["__key__"]]
            about = json.loads(sample["json"])
            assert int(sample["cls"]) == index[row["category"]]
            assert sample["jpg"] == (folder / row["path"]).read_bytes()
            assert about["category"] == row["category"]
            assert about["confidence"] == row["confidence"]
            assert about["source_url"] == row["source_url"]
            assert abs(sum(about["soft_labels"].values()) - 1) < 1e-5
    sizes = json.loads((tmp_path / "out" / "sizes.json").read_text())
    assert sum(sizes.values()) == 18
    decoded = webdataset.WebDataset(
        str(tmp_path / "out" / "birds-1.0.0-train-000000.tar"), shardshuffle=False
    )
    image, label = next(iter(decoded.decode("pil").to_tuple("jpg;png;webp", "cls")))
    assert image.size == (20, 14)
    assert label in (0, 1)


@pytest.mark.django_db
def test_datasets_loads_the_parquet_with_its_features(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(folder, "parquet", tmp_path / "out", Options(shard_pictures=3))
    files = sorted(p.name for p in (tmp_path / "out" / "data").iterdir())
    assert files[:2] == ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"]
    assert len(files) == 2 + 3 + 2
    loaded = load(tmp_path / "out", monkeypatch)
    assert {name: len(rows) for name, rows in loaded.items()} == SPLITS
    features = loaded["train"].features
    assert type(features["image"]).__name__ == "Image"
    assert features["label"].names == ["finch", "owl"]
    rows = manifest(folder)
    for split in SPLITS:
        for found in loaded[split]:
            row = rows.loc[found["image_id"]]
            assert row["split"] == split
            assert features["label"].int2str(found["label"]) == row["category"]
            assert found["image"].convert("RGB").tobytes() == pixels((folder / row["path"]).read_bytes())
            assert found["confidence"] == row["confidence"]
            assert (found["licence"], found["author"]) == ("CC BY 4.0", "A. Person")
            assert abs(sum(found["soft_label"]) - 1) < 1e-5


@pytest.mark.django_db
@pytest.mark.parametrize("pictures", [True, False])
def test_coco_holds_every_picture_once(folder: Path, tmp_path: Path, pictures: bool) -> None:
    convert(folder, "coco", tmp_path / "out", Options(pictures=pictures))
    rows, seen = manifest(folder), set()
    root = tmp_path / "out" if pictures else folder
    assert (tmp_path / "out" / "train").exists() == pictures
    for split, count in SPLITS.items():
        told = json.loads((tmp_path / "out" / "annotations" / f"{split}.json").read_text())
        names = {c["id"]: c["name"] for c in told["categories"]}
        assert names == {1: "finch", 2: "owl"}
        licences = {licence["id"]: licence["name"] for licence in told["licenses"]}
        label = {a["image_id"]: names[a["category_id"]] for a in told["annotations"]}
        assert len(told["images"]) == len(label) == count
        for image in told["images"]:
            row = rows.loc[image["image"]]
            assert (row["split"], row["category"]) == (split, label[image["id"]])
            assert (image["width"], image["height"]) == (row["width"], row["height"])
            assert licences[image["license"]] == row["licence"]
            assert (root / image["file_name"]).read_bytes() == (folder / row["path"]).read_bytes()
            seen.add(image["id"])
    assert len(seen) == 18, "ids of images repeat between splits"


@pytest.mark.django_db
@pytest.mark.parametrize("pictures", [True, False])
def test_csv_lists_paths_and_labels(folder: Path, tmp_path: Path, pictures: bool) -> None:
    convert(folder, "csv", tmp_path / "out", Options(pictures=pictures))
    rows, index = manifest(folder), indices(folder)
    root = tmp_path / "out" if pictures else folder
    for split, count in SPLITS.items():
        told = pd.read_csv(tmp_path / "out" / f"{split}.csv", dtype={"label": str})
        assert len(told) == count
        for found in told.to_dict("records"):
            row = rows.loc[found["image"]]
            assert (found["label"], row["split"]) == (row["category"], split)
            assert found["index"] == index[row["category"]]
            assert (root / found["path"]).read_bytes() == (folder / row["path"]).read_bytes()


@pytest.mark.django_db
def test_no_format_tells_a_sealed_label(
    sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in FORMATS:
        assert convert(sealed, kind, tmp_path / kind)["splits"] == SPLITS, kind
        assert "kept back" in (tmp_path / kind / "README.md").read_text()
    samples = read_shards(tmp_path / "webdataset", "test")
    assert len(samples) == 6
    for sample in samples:
        assert "cls" not in sample
        assert not {"category", "reference", "soft_labels", "confidence"} & set(json.loads(sample["json"]))
    loaded = load(tmp_path / "parquet", monkeypatch)["test"]
    assert loaded["label"][:] == [-1] * 6
    assert set(loaded["category"][:]) | set(loaded["reference"][:]) == {None}
    assert loaded["soft_label"][:] == [None] * 6
    told = json.loads((tmp_path / "coco" / "annotations" / "test.json").read_text())
    assert (len(told["images"]), told["annotations"]) == (6, [])
    assert (told["images"][0]["width"], told["images"][0]["height"]) == (20, 14)
    assert (tmp_path / "coco" / told["images"][0]["file_name"]).is_file()
    lists = pd.read_csv(tmp_path / "csv" / "test.csv")
    assert lists["label"].isna().all()
    assert lists["path"].str.startswith("test/unlabelled/").all()


@pytest.mark.django_db
def test_equal_releases_give_equal_bytes_and_copies_are_their_own(folder: Path, tmp_path: Path) -> None:
    before = bytes_of(folder)
    for kind in FORMATS:
        convert(folder, kind, tmp_path / "a" / kind)
        convert(folder, kind, tmp_path / "b" / kind)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    for picture in (tmp_path / "a" / "coco").rglob("*.jpg"):
        picture.write_bytes(b"spoilt")
    assert bytes_of(folder) == before, "an edited copy damaged the release"


def code_of(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:  # argparse leaves by itself
        return int(stop.code or 0)


@pytest.mark.django_db
def test_what_cannot_be_used_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "empty").mkdir()
    for arguments in (
        [str(folder), "--to", "csv", "-o", str(tmp_path / "taken")],
        [str(folder), "--to", "csv", "-o", str(folder / "inside")],
        [str(tmp_path / "empty"), "--to", "csv", "-o", str(tmp_path / "out")],
        [str(tmp_path / "nowhere"), "--to", "csv", "-o", str(tmp_path / "out")],
        [str(folder), "--to", "parquet", "--no-pictures", "-o", str(tmp_path / "out")],
        [str(folder), "--to", "csv", "-o", str(tmp_path / "out"), "--shard-mb", "0"],
    ):
        assert code_of(arguments) == 2
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
    with pytest.raises(ConversionRefused):
        convert(folder, "tfrecord", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "taken").iterdir())


@pytest.mark.django_db
def test_a_damaged_release_is_not_spread(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = next((folder / "train").rglob("*.jpg"))
    victim.write_bytes(victim.read_bytes()[:-9])
    assert main([str(folder), "--to", "csv", "-o", str(tmp_path / "out")]) == 1
    assert "rules are broken" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.django_db
def test_failing_half_way_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convert_module, "verify", lambda folder: [])
    sorted((folder / "train").rglob("*.jpg"))[-1].unlink()
    for kind in FORMATS:
        with pytest.raises(ConversionFailed):
            convert(folder, kind, tmp_path / "out" / kind)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.django_db
@pytest.mark.parametrize("kind", FORMATS)
def test_a_release_in_a_bucket_gives_the_same_bytes(
    kind: str, folder: Path, tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the libraries open above is what they open here."""
    for path, data in bytes_of(folder).items():
        s3.put_object(Bucket="shelves", Key=f"data/birds-1.0.0/{path}", Body=data)
    options = Options(shard_pictures=3)
    convert(folder, kind, tmp_path / "here", options)
    address = "s3://shelves/data/birds-1.0.0"
    told = convert(address, kind, tmp_path / "there", options)
    assert told["splits"] == SPLITS
    assert bytes_of(tmp_path / "there") == bytes_of(tmp_path / "here")
    if kind == "csv":
        assert main([address, "--to", "csv", "-o", str(tmp_path / "bare"), "--no-pictures"]) == 0
        convert(folder, kind, tmp_path / "bare-here", Options(pictures=False))
        assert bytes_of(tmp_path / "bare") == bytes_of(tmp_path / "bare-here")


@pytest.mark.django_db
def test_a_bucket_s_pictures_are_fetched_few_ahead(
    folder: Path, tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, data in bytes_of(folder).items():
        s3.put_object(Bucket="shelves", Key=f"data/birds-1.0.0/{path}", Body=data)
    monkeypatch.setattr(bucket_release, "AHEAD", 3)
    asked: list[str] = []
    get = BucketFolder.get
    monkeypatch.setattr(BucketFolder, "get", lambda self, path: (asked.append(path), get(self, path))[1])
    target = BucketFolder.parse("s3://shelves/data/birds-1.0.0")
    release = bucket_release.BucketRelease(target, tmp_path / "birds-1.0.0")
    for place, picture in enumerate(release.pictures(), start=1):
        assert len(asked) <= place + 3
        assert release.read(picture) == (folder / picture.path).read_bytes()
    assert len(asked) == 18


@pytest.mark.django_db
def test_a_damaged_release_in_a_bucket_is_not_spread(
    folder: Path, tmp_path: Path, s3: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    held = bytes_of(folder)
    for path, data in held.items():
        s3.put_object(Bucket="shelves", Key=f"data/birds-1.0.0/{path}", Body=data)
    address = "s3://shelves/data/birds-1.0.0"
    picture = next(path for path in held if path.startswith("val/"))

    def refused(code: int, words: str, *more: str, url: str = address) -> None:
        assert main([url, "--to", "coco", "-o", str(tmp_path / "out" / "coco"), *more]) == code
        told = capsys.readouterr().err
        assert words in told
        assert told.count("\n") == 1
        assert not (tmp_path / "out" / "coco").exists()

    s3.put_object(Bucket="shelves", Key=f"data/birds-1.0.0/{picture}", Body=held[picture] + b"x")
    refused(1, f"{picture}: has another checksum than was published")
    refused(1, "is not sound", "--no-pictures")
    s3.delete_object(Bucket="shelves", Key=f"data/birds-1.0.0/{picture}")
    refused(1, f"first: sums: {picture} is listed and missing")
    s3.delete_object(Bucket="shelves", Key="data/birds-1.0.0/SHA256SUMS")
    refused(2, f"{address}: no release: SHA256SUMS is missing")
    refused(2, "is no address such as", url="s3://A/b")


@pytest.mark.django_db
def test_a_full_disk_is_one_line_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x.jpg")

    monkeypatch.setattr(coco, "copy_picture", full)
    assert main([str(folder), "--to", "coco", "-o", str(tmp_path / "out" / "coco")]) == 1
    assert capsys.readouterr().err == "error: x.jpg: No space left on device; nothing was left\n"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.django_db
def test_two_conversions_do_not_meet(folder: Path, tmp_path: Path) -> None:
    with Workplace(tmp_path / "out"), pytest.raises(ConversionFailed, match="another process"):
        convert(folder, "csv", tmp_path / "out")


@pytest.mark.django_db
def test_a_killed_conversion_leaves_no_folder_that_looks_finished(folder: Path, tmp_path: Path) -> None:
    convert(folder, "coco", tmp_path / "whole")
    script = (
        "import os, signal, sys\n"
        "import export.formats.coco as coco\n"
        "from export.convert import main\n"
        "copy, left = coco.copy_picture, [7]\n"
        "def dying(*args):\n"
        "    left[0] -= 1\n"
        "    copy(*args) if left[0] else os.kill(os.getpid(), signal.SIGKILL)\n"
        "coco.copy_picture = dying\n"
        "main(sys.argv[1:])\n"
    )
    out = tmp_path / "out" / "coco"
    arguments = [str(folder), "--to", "coco", "-o", str(out)]
    died = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, env=os.environ)
    assert died.returncode == -signal.SIGKILL
    assert not out.exists()
    convert(folder, "coco", out)
    assert bytes_of(out) == bytes_of(tmp_path / "whole")
    assert [p.name for p in out.parent.iterdir()] == ["coco"]
