"""Picture files beside a list that names them."""

from __future__ import annotations

from pathlib import Path

from export.reader import Picture, ReleaseFolder


def copy_picture(release: ReleaseFolder, picture: Picture, out: Path) -> None:
    """A copy of its own under the same path: never a link into the release.

    Raises:
        UnreadableRelease: the picture is gone.
    """
    target = out / picture.path
    target.parent.mkdir(parents=True, exist_ok=True)
    release.copy(picture, target)
