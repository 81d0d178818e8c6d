"""The whole test suite, as `make test` and CI run it: checks, tests on SQLite, database tests on PostgreSQL.

Nothing is skipped silently: every step runs, each failure is named at the end, and the exit code is 1 if any
step failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.chromium import ChromiumMissing, find_chromium
from tests.postgres import postgres_server

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def run(name: str, command: list[str], env: dict[str, str] | None = None) -> bool:
    """Run one step, show what it prints, say how long it took. True if it passed."""
    print(
        f"\n=== {name}: {' '.join(Path(c).name if i == 0 else c for i, c in enumerate(command))}", flush=True
    )
    start = time.monotonic()
    passed = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}).returncode == 0
    print(f"--- {name} {'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s", flush=True)
    return passed


def checks() -> dict[str, bool]:
    """Everything that reads the code without running it."""
    commands = {
        "lint": [str(BIN / "ruff"), "check", "--quiet", "."],
        "format": [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
        "architecture": [str(BIN / "lint-imports")],
        "types": [str(BIN / "mypy")],
        "migrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
    }
    return {name: run(name, command) for name, command in commands.items()}


def tests(workers: int) -> dict[str, bool]:
    """Everything on SQLite; on a real PostgreSQL what asks the database something that others do not."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--dist", "loadfile"]
    pytest += ["--no-loadscope-reorder", "--hypothesis-profile", "same"]
    results = {"tests on SQLite": run("tests on SQLite", pytest, {"DATABASE_URL": ""})}
    with postgres_server() as url:
        once = "pipeline or bucket or browser or files or simulation"
        on_postgres = [*pytest, "-m", f"django_db and not ({once})"]
        results["tests on PostgreSQL"] = run("tests on PostgreSQL", on_postgres, {"DATABASE_URL": url})
    return results


def main() -> int:
    """Run it all; 0 if everything passed."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the test processes share the cores
    try:
        os.environ["CHROMIUM"] = find_chromium()
    except ChromiumMissing as problem:
        print(problem, file=sys.stderr)
        return 1
    # One more than there are cores: a quarter of the time a test waits for a server, a browser or a lock.
    workers = min(8, (os.cpu_count() or 2) + 1)
    results = {**checks(), **tests(workers)}
    failed = [name for name, passed in results.items() if not passed]
    print("\n" + (f"FAILED: {', '.join(failed)}" if failed else f"All {len(results)} steps passed."))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
