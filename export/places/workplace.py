"""Where a release grows until it is finished: beside its final name, locked, picked up again after a kill.

    <output>/.<name>-<version>.partial/
        selection.parquet   what will be released
        stamp               the code and the policy that wrote the pictures
        answers.csv         of a sealed release, to be put beside the final name
        spare/              files being written; each is renamed into its place when it is whole
        release/            the folder that gets the final name in one rename

A folder with the final name is therefore always finished. What a killed run left is kept where it still fits
(the same code, the same wishes) and thrown away where not.
"""

from __future__ import annotations

import errno
import fcntl
import filecmp
import glob
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import PIL

from export import layout
from export.checks import Problem, check_release, files_in
from export.layout import CODE_VERSION
from export.places.shelf import FolderShelf, Shelf
from export.tables import read_rows

STAMP = f"{CODE_VERSION} pillow {PIL.__version__}\n"
_OURS = {"selection.parquet", "selection.new", "stamp", "answers.csv", "spare", "release"}
"""All that ever stands in the folder beside the final name; where there is more, it is somebody else's."""


class Busy(RuntimeError):
    """Another process is making this very release."""


class Workplace:
    """The folder beside the final name; a context manager that holds its lock."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.root = final.parent / f".{final.name}.partial"
        self.release = self.root / "release"
        self.selection = self.root / "selection.parquet"
        self.fresh_selection = self.root / "selection.new"
        self.spare = self.root / "spare"
        self.answers = self.root / "answers.csv"
        self.final_answers = final.with_name(f"{final.name}-answers.csv")
        self.resumed = False
        """Whether an earlier run left something here."""
        self.shelf: Shelf = FolderShelf(self.release, self.spare)
        self._lock = -1

    @property
    def location(self) -> str:
        """The final name."""
        return str(self.final)

    @property
    def answers_location(self) -> str:
        """The final name of a sealed release's answers."""
        return str(self.final_answers)

    def taken(self) -> str:
        """What keeps a release from being made here; empty where nothing does."""
        return f"{self.final} exists already" if os.path.lexists(self.final) else ""

    def answers_taken(self) -> bool:
        """Whether answers of something else stand where ours go: a killed run of ours left the same as ours.

        To be asked at first, and again when ours are written.
        """
        if not os.path.lexists(self.final_answers):
            return False
        if not self.answers.exists():
            return not self.resumed
        return not self.final_answers.is_file() or not filecmp.cmp(
            self.answers, self.final_answers, shallow=False
        )

    def __enter__(self) -> Workplace:
        """Make and lock the folder.

        Raises:
            Busy: another process holds it.
            OSError: the output folder cannot be made or written, or holds something else in this place.
        """
        while True:
            self.resumed = self.root.exists()
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.root, os.O_RDONLY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._lock)
                raise Busy(f"another process is exporting {self.final.name} to this folder") from None
            if self.root.exists() and os.path.samestat(os.fstat(self._lock), self.root.stat()):
                if {path.name for path in self.root.iterdir()} - _OURS:
                    os.close(self._lock)
                    raise FileExistsError(errno.EEXIST, "holds something else than a release", str(self.root))
                return self
            os.close(self._lock)  # its holder finished and removed it between our two steps

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def left_behind(self) -> list[Path]:
        """Where other versions were begun, here beside this one, and not finished."""
        dataset, _, _ = self.final.name.rpartition("-")
        found = self.root.parent.glob(f".{glob.escape(dataset)}-[0-9]*.[0-9]*.[0-9]*.partial")
        return sorted(path for path in found if path != self.root)

    def begin(self) -> None:
        """Room for a run: no half-written file of an earlier one is left."""
        shutil.rmtree(self.spare, ignore_errors=True)
        self.spare.mkdir(parents=True)
        self.release.mkdir(exist_ok=True)
        self.fresh_selection.unlink(missing_ok=True)
        self.answers.unlink(missing_ok=True)

    def keep_pictures(self, policy: str = "") -> bool:
        """Whether pictures of an earlier run can be kept; those that cannot are removed.

        They can where the same code wrote them under the same `policy` (where they come from, what becomes of
        their pixels, where they stand): what is under a name then depends on the original alone.
        """
        stamp = self.root / "stamp"
        wanted = STAMP + policy
        self.resumed = stamp.exists() and stamp.read_text() == wanted
        if not self.resumed:
            for left in self.release.iterdir():
                if left.is_dir():
                    shutil.rmtree(left)
            stamp.write_text(wanted)
        return self.resumed

    def settle_selection(self) -> None:
        """Take the new selection."""
        self.fresh_selection.replace(self.selection)

    def put(self, path: str, data: bytes) -> None:
        """Write one file of the release, whole or not at all."""
        FolderShelf(self.release, self.spare).put(path, data)

    def read(self, path: str) -> bytes:
        """A picture that was put here.

        Raises:
            FileNotFoundError: it was not.
        """
        data = self.shelf.get(path)
        if data is None:
            raise FileNotFoundError(errno.ENOENT, "no such picture", path)
        return data

    def remove_strangers(self) -> None:
        """Files of an earlier run that are no longer part of the release, and folders that are left empty."""
        if not self.resumed:
            return
        known = {row["path"] for row in read_rows(self.release / layout.MANIFEST, ["path"])}
        for path in list(files_in(self.release)):
            if path not in known and path not in layout.FILES:
                (self.release / path).unlink()
        for folder, _, _ in os.walk(self.release, topdown=False):
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()

    def check(self, tick: Callable[[int], object]) -> list[Problem]:
        """The rules of `verify_release` over what was made; pictures were opened when they were written."""
        return check_release(self.release, tick=tick, decode=False)

    def finish(self) -> None:
        """Everything to the disk, then the final name in one rename; answers first, so that none lack."""
        if self.answers.exists():
            shutil.copyfile(self.answers, self.spare / "answers")
            (self.spare / "answers").replace(self.final_answers)
        os.sync()
        self.release.rename(self.final)
        folder = os.open(self.final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.discard()

    def discard(self) -> None:
        """Remove what is left beside the final name."""
        shutil.rmtree(self.root, ignore_errors=True)
