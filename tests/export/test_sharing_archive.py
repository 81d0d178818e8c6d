"""The streamed archive: what tar reads, any range of it, and what can never get into it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.sharing import archive as archive_module
from export.sharing.archive import CHUNK
from export.sharing.byte_range import Unsatisfiable, parse_range
from export.sharing.opened import DamagedRelease, open_release


def Archive(folder: Path, top: str, mark: str, indexes: Path) -> archive_module.Archive:
    """The archive of a folder."""
    return archive_module.Archive(open_release(str(folder), indexes), top, mark, indexes)


LONG = f"train/{'c' * 100}/{'a' * 64}.jpg"


def make_release(folder: Path) -> tuple[Path, str]:
    """A folder with the one file that an archive reads: SHA256SUMS, and what it lists."""
    files = {
        "README.md": b"card\n",
        "empty.json": b"",
        "manifest.parquet": bytes(range(256)) * 2,
        LONG: b"x" * (CHUNK + 700),
        "val/owl/b.jpg": b"y" * 512,
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    lines = [f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(files.items())]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return folder, hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> archive_module.Archive:
    place = tmp_path_factory.mktemp("archive")
    folder, mark = make_release(place / "somewhere")
    return Archive(folder, "birds-1.0.0", mark, place / "indexes")


@pytest.fixture(scope="module")
def whole(archive: archive_module.Archive) -> bytes:
    return b"".join(archive.read())


def test_tar_reads_it_and_finds_every_file_as_it_was(archive, whole):
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        held = {m.name: tar.extractfile(m).read() for m in tar}
        members = tar.getmembers()
    assert len(whole) == archive.size
    assert len(held) == archive.members == 6
    assert next(iter(held)) == "birds-1.0.0/SHA256SUMS"
    for name, data in held.items():
        assert (archive.files.root / name.removeprefix("birds-1.0.0/")).read_bytes() == data
    assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o644)}


def test_the_bytes_follow_from_the_release_alone(archive, whole, tmp_path):
    folder, mark = make_release(tmp_path / "another place")
    (folder / "manifest.parquet").chmod(0o600)
    assert b"".join(Archive(folder, "birds-1.0.0", mark, tmp_path / "i").read()) == whole


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_range_is_a_part_of_the_whole(archive, whole, data):
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.one_of(st.none(), st.integers(start, len(whole) + 10)))
    assert b"".join(archive.read(start, stop)) == whole[start:stop]


@given(
    path=st.text(alphabet="ab/é.", min_size=1, max_size=200),
    size=st.one_of(st.integers(0, 10_000), st.integers(8**11 - 3, 8**11 + 3)),
)
def test_headers_are_those_of_tarfile(path, size):
    info = tarfile.TarInfo(f"top/{path}")
    info.size = size
    assert archive_module._header("top", path, size) == info.tobuf(tarfile.PAX_FORMAT)


def test_pieces_are_small_whatever_the_file(archive):
    assert max(map(len, archive.read())) <= CHUNK


def test_what_is_not_listed_stays_out(archive, whole, tmp_path):
    folder, mark = make_release(tmp_path / "r")
    (folder / "answers.csv").write_text("image,category\n")
    assert b"".join(Archive(folder, "birds-1.0.0", mark, tmp_path / "i").read()) == whole


@pytest.mark.parametrize("harm", ["lost", "longer", "link", "sums", "escape"])
def test_a_damaged_folder_is_not_given_out_as_whole(tmp_path, harm):
    folder, mark = make_release(tmp_path / "r")
    archive = Archive(folder, "r", mark, tmp_path / "i")
    file, indexes = folder / "val/owl/b.jpg", tmp_path / "i"
    if harm == "lost":
        file.unlink()
    elif harm == "longer":
        file.write_bytes(b"y" * 513)
    elif harm == "link":
        (tmp_path / "secret").write_bytes(b"s" * 512)
        file.unlink()
        file.symlink_to(tmp_path / "secret")
    elif harm == "sums":
        (folder / "SHA256SUMS").write_text("nothing\n")
        with pytest.raises(DamagedRelease):
            Archive(folder, "r", mark, indexes)
    else:
        lines = f"{'0' * 64}  ../secret\n"
        (folder / "SHA256SUMS").write_text(lines)
        (tmp_path / "secret").write_text("s")
        mark, indexes = hashlib.sha256(lines.encode()).hexdigest(), tmp_path / "others"
        with pytest.raises(DamagedRelease, match="no release has"):
            Archive(folder, "r", mark, indexes)
    with pytest.raises(DamagedRelease):
        list(archive.read())


def test_a_folder_that_is_not_the_release_is_refused(tmp_path):
    folder, _ = make_release(tmp_path / "r")
    with pytest.raises(DamagedRelease, match="not what was published"):
        Archive(folder, "r", "0" * 64, tmp_path / "i")
    assert not (tmp_path / "i").exists()
    with pytest.raises(DamagedRelease, match="gone"):
        Archive(tmp_path / "none", "r", "0" * 64, tmp_path / "i")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", None),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-1000", (10, 100)),
        ("bytes=-30", (70, 100)),
        ("bytes=-300", (0, 100)),
        ("bytes=99-", (99, 100)),
        ("bytes=0-9,20-29", None),
        ("lines=1-2", None),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=" + "9" * 90 + "-", None),
        ("bytes=٣-", None),
    ],
)
def test_ranges_as_the_standard_reads_them(header, span):
    assert parse_range(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=5000-6000", "bytes=-0"])
def test_ranges_outside_are_refused(header):
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)
