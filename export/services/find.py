"""Finding a release by what people call it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from export import layout
from export.checks import fingerprint
from export.models import Release
from export.places.bucket import SCHEME
from export.sharing.opened import open_release


class UnknownRelease(LookupError):
    """No release or folder of this name; one line for the user."""


def find_release(text: str) -> Release:
    """The release called `NAME-VERSION`, or the one that this folder holds.

    Raises:
        UnknownRelease: there is none.
    """
    folder = Path(text)
    if (folder / layout.SUMS).is_file():
        held = Release.objects.filter(fingerprint=fingerprint(folder)).first()
        if held is None:
            raise UnknownRelease(f"{folder}: no release of this database has its fingerprint")
        return held
    name, _, version = text.rpartition("-")
    release = Release.objects.filter(dataset__name=name, version=version).first()
    if release is None:
        newest = ", ".join(str(r) for r in Release.objects.select_related("dataset")[:3])
        known = f"there are: {newest}" if newest else "publish one with manage.py export_release"
        raise UnknownRelease(f"no release is called {text!r}; {known}")
    return release


def release_folder(text: str) -> Path:
    """The folder of `NAME-VERSION`, or the folder itself.

    Raises:
        UnknownRelease: no such release, or its folder is gone.
    """
    if Path(text).is_dir():
        return Path(text)
    release = find_release(text)
    if "://" in release.location:
        raise UnknownRelease(f"{release} is at {release.location}: download it and name the folder")
    folder = Path(release.location)
    if not folder.is_dir():
        raise UnknownRelease(f"the folder of {release} is gone: {folder}; write it again with export_release")
    return folder


@contextmanager
def release_tables(text: str) -> Iterator[Path]:
    """The folder of a release, for reading its tables and descriptions.

    Where it stands in a bucket (`s3://…`, or the name of a release there), these are fetched for the time
    being; the pictures are not.

    Raises:
        UnknownRelease: no such release, or it is gone.
    """
    location = text
    if not (Path(text).is_dir() or text.startswith(SCHEME)):
        location = find_release(text).location
    if not location.startswith(SCHEME):
        yield release_folder(text)
        return
    with tempfile.TemporaryDirectory(prefix="release-") as kept:
        # Named as the release's folder is: what is said of a release names it.
        folder = Path(kept) / location.rstrip("/").rpartition("/")[2]
        opened = open_release(location, folder)
        missing = [name for name in layout.FILES if opened.local(name) is None]
        if missing:
            raise UnknownRelease(f"{location}: no release can be read there: {missing[0]} is missing")
        yield folder
