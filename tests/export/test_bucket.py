"""Releases straight into a bucket, on two real S3 servers started here: moto's and rclone's."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from export import layout
from export.models import Release
from export.places import bucket
from export.places.bucket import BadAddress, BucketError, BucketFolder
from export.places.bucket_place import BucketPlace, check_bucket
from export.services import making
from export.services.making import ReleaseFailed
from export.services.plan import ReleaseRefused, Wishes
from export.services.publish import publish_release
from export.services.takedown import take_down
from export.verify import main as verify
from tests.export.world import World, bytes_of

OUTPUT = "s3://shelves/data"


@pytest.fixture
def place(world: World, s3: object, settings: object, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path / "state"
    return tmp_path


def objects(s3: object) -> dict[str, bytes]:
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="shelves").get("Contents", [])]
    return {key: s3.get_object(Bucket="shelves", Key=key)["Body"].read() for key in keys}


def fetched(s3: object, folder: Path) -> Path:
    for key, data in objects(s3).items():
        path = folder / key.removeprefix("data/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://UP/x", "gs://shelves/x", "s3://a/x", "s3://abc/../x"]
)
def test_no_address(url: str) -> None:
    with pytest.raises(BadAddress, match="is no address such as"):
        BucketFolder.parse(url)


def test_an_address() -> None:
    folder = BucketFolder.parse("s3://shelves/a//b/")
    assert str(folder) == "s3://shelves/a/b"
    assert str(folder.below("c").parent) == "s3://shelves/a/b"
    assert folder.key("x/y") == "a/b/x/y"
    assert BucketFolder.parse("s3://shelves").key("x") == "x"


@pytest.mark.django_db
def test_a_bucket_holds_the_same_bytes_as_a_folder(world: World, s3: object, place: Path) -> None:
    made = publish_release(world.dataset, "1.0.0", OUTPUT, Wishes(sealed=True))
    assert made.location == "s3://shelves/data/birds-1.0.0"
    assert Release.objects.get().location == made.location
    assert made.answers == "s3://shelves/data/birds-1.0.0-answers.csv"
    again = publish_release(world.dataset, "1.0.0", place / "folder", Wishes(sealed=True))
    assert again.again
    assert bytes_of(fetched(s3, place / "fetched")) == bytes_of(place / "folder")
    assert not list((place / "state" / "exports").iterdir()), "nothing is left on this machine"
    assert check_bucket(BucketFolder.parse(made.location)) == []


@pytest.mark.django_db
def test_what_is_there_is_never_overwritten(world: World, s3: object, place: Path) -> None:
    publish_release(world.dataset, "1.0.0", OUTPUT)
    before = objects(s3)
    with pytest.raises(ReleaseRefused, match=r"s3://shelves/data/birds-1\.0\.0 exists already"):
        publish_release(world.dataset, "1.0.0", OUTPUT)
    s3.put_object(Bucket="shelves", Key="data/birds-1.0.1/notes.txt", Body=b"mine")
    with pytest.raises(ReleaseRefused, match="holds something else"):
        publish_release(world.dataset, "1.0.1", OUTPUT)
    assert objects(s3) == {**before, "data/birds-1.0.1/notes.txt": b"mine"}


class Killed(BaseException):
    """Stands for a kill: nothing that catches exceptions may tidy up after it."""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("endpoint", "moment", "elsewhere"),
    [
        ("rclone", "write_pictures", False),
        ("rclone", "describe", False),
        ("rclone", "describe", True),
        ("rclone", "_record", False),
        ("rclone", "finish", False),
        ("rclone", "the marker", False),
        ("rclone", "the marker", True),
        ("moto", "describe", False),
        ("moto", "the marker", True),
    ],
    indirect=["endpoint"],
)
def test_a_killed_export_is_no_release_and_goes_on(
    world: World,
    s3: object,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: object,
    moment: str,
    elsewhere: bool,
) -> None:
    whole = bytes_of(publish_release(world.dataset, "1.0.0", place / "whole").folder)
    Release.objects.all().delete()
    put = BucketFolder.put

    def dies(*args: object, **kwargs: object) -> None:
        raise Killed

    def dies_at_last(folder: BucketFolder, path: str, data: bytes, **options: object) -> None:
        if path == layout.SUMS:
            raise Killed
        put(folder, path, data, **options)

    with monkeypatch.context() as patch:
        if moment == "the marker":
            patch.setattr(BucketFolder, "put", dies_at_last)
        else:
            patch.setattr(BucketPlace if moment == "finish" else making, moment, dies)
        with pytest.raises(Killed):
            publish_release(world.dataset, "1.0.0", OUTPUT)
    assert "data/birds-1.0.0/SHA256SUMS" not in objects(s3)
    s3.put_object(Bucket="shelves", Key="data/birds-1.0.0/train/owl/stranger.jpg", Body=b"?")
    if elsewhere:
        settings.DATA_DIR = place / "other"
    sent: list[str] = []
    monkeypatch.setattr(BucketFolder, "put", lambda f, p, d, **o: (sent.append(p), put(f, p, d, **o)))
    made = publish_release(world.dataset, "1.0.0", OUTPUT)
    assert bytes_of(fetched(s3, place / "fetched") / "birds-1.0.0") == whole
    assert made.release.fingerprint == Release.objects.get().fingerprint
    assert [k for k in objects(s3) if "partial" in k] == []
    if moment != "write_pictures" and not elsewhere:
        assert not [p for p in sent if p.endswith(".jpg")], "pictures are sent once"


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ["rclone"], indirect=True)  # which checks who asks, and is quick
def test_a_failed_export_leaves_nothing(world: World, s3: object, place: Path) -> None:
    image = world.dataset.images.filter(group__draw__gte=0.2).last()
    world.store.path(image.sha256).unlink()
    with pytest.raises(ReleaseFailed, match=image.sha256):
        publish_release(world.dataset, "1.0.0", OUTPUT)
    assert objects(s3) == {}
    assert not Release.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ["rclone"], indirect=True)  # which checks who asks, and is quick
def test_a_takedown_from_a_bucket_into_a_bucket(world: World, s3: object, place: Path) -> None:
    world.vote(extra := world.add_image(), ["owl", "owl", "owl"])
    publish_release(world.dataset, "1.0.0", OUTPUT)
    before = {key: data for key, data in objects(s3).items() if "/train/" in key or "/test/" in key}
    made = take_down(world.dataset, "1.0.1", [extra.sha256], "asked for", OUTPUT)
    assert check_bucket(BucketFolder.parse(made.location)) == []
    after = {k: data for k, data in objects(s3).items() if "1.0.1/train/" in k or "1.0.1/test/" in k}
    gone = f"data/birds-1.0.0/train/owl/{extra.sha256}.jpg"
    assert after == {k.replace("1.0.0", "1.0.1"): data for k, data in before.items() if k != gone}
    s3.delete_object(Bucket="shelves", Key="data/birds-1.0.1/manifest.parquet")
    with pytest.raises(ReleaseFailed, match=r"birds-1\.0\.1/manifest\.parquet"):
        take_down(world.dataset, "1.0.2", [next(iter(after)).split("/")[-1][:64]], "asked for", OUTPUT)


@pytest.mark.django_db
@pytest.mark.parametrize("endpoint", ["rclone"], indirect=True)  # which checks who asks, and is quick
def test_verify_reads_a_bucket(
    world: World, s3: object, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = publish_release(world.dataset, "1.0.0", OUTPUT)
    assert verify([made.location]) == 0
    call_command("verify_release", made.location)
    picture = next(k for k in objects(s3) if k.endswith(".jpg"))
    data = objects(s3)[picture]
    s3.put_object(Bucket="shelves", Key=picture, Body=data[:-9] + b"x" + data[-8:])
    capsys.readouterr()
    assert verify([made.location]) == 1
    assert picture.removeprefix("data/birds-1.0.0/") in capsys.readouterr().out
    s3.delete_object(Bucket="shelves", Key=picture)
    assert verify([made.location]) == 1
    assert verify(["s3://shelves/data/birds-9.9.9"]) == 2
    assert verify(["s3://x"]) == 2
    assert verify(["s3://nobody-has-this/x"]) == 2
    with pytest.raises(CommandError) as caught:
        call_command("verify_release", "s3://shelves/nothing")
    assert caught.value.returncode == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("gs://shelves/x", 2, "is no address such as s3://"),
        ("s3://nobody-has-this/x", 1, "s3://nobody-has-this/x/birds-1.0.0"),
    ],
)
def test_a_place_that_is_none_is_one_line(
    world: World, place: Path, output: str, code: int, said: str
) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("export_release", "birds", "1.0.0", "--output", output)
    assert caught.value.returncode == code
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.django_db
def test_a_server_that_is_not_there_is_one_line(
    world: World, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    bucket.forget_client()
    with pytest.raises(ReleaseFailed, match="Could not connect"):
        publish_release(world.dataset, "1.0.0", OUTPUT)


def test_a_file_of_several_parts_arrives_whole(
    s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(bucket, "_PART", 5 << 20)
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 4 * 11_000)
    BucketFolder("shelves", "x").upload("large", file)
    assert s3.get_object(Bucket="shelves", Key="x/large")["Body"].read() == file.read_bytes()
    if "moto" in request.node.name:
        assert "-" in s3.head_object(Bucket="shelves", Key="x/large")["ETag"], "sent in parts"
    with pytest.raises(BucketError, match="shelves/x/nothing"):
        BucketFolder("shelves", "x").download("nothing", tmp_path / "y")
