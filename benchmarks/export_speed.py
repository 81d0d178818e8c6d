"""How fast a release is written, and in how much memory, beside `cp -r` and other tools' exports.

usage: python -m benchmarks.export_speed [--images 10000,100000] [--peer PYTHON] [--keep FOLDER] [--quick]

A dataset of so many pictures of each size (`benchmarks.export_dataset`: 22 kB at 256 x 256; 2 kB at 64 x 64,
so that what is paid for every file counts most) with five votes each is exported by the real command. Beside
it, in the same run on the same files: `cp -r` of the originals, and the stripping of camera data alone (read,
strip, open once, write none). Wall clock and CPU seconds of all processes; memory is the largest sum of what
the processes of a command held (RSS). `--peer` names a Python that has Datumaro: it exports the same pictures
from a folder to a folder of its own kind (imagenet), with no votes, no check and nothing stripped. FiftyOne
is not measured: it needs a MongoDB server.

Exits 1 where an export takes more than 1.5 times the wall clock of both together, or more than 512 MB.
Figures: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_TIMES, ALLOWED_MB = 1.5, 512
QUICK = 300
_DATUMARO = """
import sys
from datumaro.components.dataset import Dataset
Dataset.import_from(sys.argv[1], "imagenet").export(sys.argv[2], "imagenet", save_media=True)
"""


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the clock, seconds of all cores, and the most memory in MB."""

    wall: float
    cpu: float
    memory: float


def measure(command: Sequence[str], env: dict[str, str] | None = None) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    before, start = os.times(), time.monotonic()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=told
        )
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        code = process.wait()
        watcher.join()
        told.seek(0)
        if code:
            words = told.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"{command[-1]}: {words[-1] if words else f'exit code {code}'}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.monotonic() - start, cpu, peak[0])


def _watch(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], sum(_memory(pid) for pid in _family(process.pid)))
        time.sleep(0.05)


def _family(pid: int) -> list[int]:
    """A process and those that it started, as the kernel lists them."""
    found = [pid]
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _family(int(child))
    except OSError:  # it has ended
        pass
    return found


def _memory(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, IndexError):
        return 0.0


def strip(folder: Path) -> None:
    """Strip every picture of a folder, as an export does, and throw the result away."""
    from export.strip import clean_picture

    for path in folder.rglob("*"):
        if path.is_file():
            clean_picture(path.read_bytes())


def costs(images: int, side: int, folder: Path, peer: str | None) -> dict[str, Cost]:
    """Make a dataset of so many images in the folder (unless it is there) and measure everything on it.

    Nothing is deleted before the last is measured: for five minutes ext4 passes over the inodes of deleted
    files one by one, and every file made then takes ten times as long.
    """
    state, python = folder / f"{images}x{side}", sys.executable
    if not (state / "complete").exists():
        shutil.rmtree(state, ignore_errors=True)
        measure([python, "-m", "benchmarks.export_dataset", str(images), str(state), str(side)])
        (state / "complete").touch()
    env = {
        "ASSAY_DATA": str(state),
        "STORAGE_URL": str(state / "store"),
        "DATABASE_URL": f"sqlite:///{state / 'db.sqlite3'}",
    }
    originals, out = str(state / "originals"), folder / "out" / f"{images}x{side}"
    out.mkdir(parents=True)
    export = [python, "manage.py", "export_release", "speed", "1.0.0", "--output", str(out)]
    found = {
        "cp -r": measure(["cp", "-r", originals, str(out / "copy")]),
        "stripping": measure([python, "-m", "benchmarks.export_speed", "--strip", originals]),
        "export": measure(export, env),
        "verify": measure([python, "-m", "export.verify", str(out / "speed-1.0.0")]),
    }
    if peer:
        found["datumaro"] = measure([peer, "-c", _DATUMARO, originals, str(out / "datumaro")])
    return found


def report(images: int, side: int, found: dict[str, Cost]) -> bool:
    """Print a table; whether the export kept to what is allowed."""
    print(f"{images:,} pictures of {side} x {side}", flush=True)
    both = [found["cp -r"], found["stripping"]]
    wall, cpu = sum(c.wall for c in both), sum(c.cpu for c in both)
    print(f"{'':>16} {'wall s':>10} {'times':>6} {'CPU s':>8} {'times':>6} {'MB':>6}")
    for name, cost in {**found, "cp -r + stripping": Cost(wall, cpu, max(c.memory for c in both))}.items():
        print(
            f"{name:>16} {cost.wall:>10.1f} {cost.wall / wall:>6.2f} {cost.cpu:>8.1f} {cost.cpu / cpu:>6.2f} "
            f"{cost.memory:>6.0f}"
        )
    export = found["export"]
    return export.wall <= ALLOWED_TIMES * wall and export.memory <= ALLOWED_MB


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 as wanted, 1 slower or larger than wanted, 2 unusable arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export_speed", description=__doc__)
    parser.add_argument("--images", default="10000,100000", help="sizes, parted by commas")
    parser.add_argument("--sides", default="256,64", help="pixels of a picture's side, parted by commas")
    parser.add_argument("--peer", help="a Python that has datumaro")
    parser.add_argument("--keep", type=Path, help="folder that keeps the datasets for another run")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK} images; measures nothing worth telling"
    )
    parser.add_argument("--strip", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.strip:
        strip(options.strip)
        return 0
    sizes = [QUICK] if options.quick else [int(n) for n in options.images.split(",")]
    sides = [int(side) for side in options.sides.split(",")]
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        shutil.rmtree(folder / "out", ignore_errors=True)
        kept = [
            report(images, side, costs(images, side, folder, options.peer))
            for images in sizes
            for side in sides
        ]
        shutil.rmtree(folder / "out")
    return 0 if all(kept) or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
