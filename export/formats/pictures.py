"""Picture files beside a list that names them."""

from __future__ import annotations

import shutil
from pathlib import Path

from export.reader import Picture, ReleaseFolder, UnreadableRelease


def copy_picture(release: ReleaseFolder, picture: Picture, out: Path) -> None:
    """A copy of its own under the same path: never a link into the release.

    Raises:
        UnreadableRelease: the picture is gone.
    """
    target = out / picture.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(release.path / picture.path, target)
    except FileNotFoundError:
        raise UnreadableRelease(f"{release.path / picture.path}: is gone") from None
