"""Claiming and voting at 1,000,000 tasks over real HTTP, beside Label Studio on the same machine.

    .venv/bin/python -m benchmarks.vote_path --work FOLDER [--on postgres sqlite] [--tasks 1000000]
        [--clients 8] [--seconds 20] [--sizes 1 20] [--peer PYTHON] [--json]

For each database: as many pictures as tasks are written by SQL, a round is opened on all of them by Assay's
own code (timed), the site is served by gunicorn, and `--clients` people with kept connections claim, answer
and send without pause, for `--seconds` with each batch size. Told: pairs (claim + votes) and votes a second,
percentiles of claims, votes and pairs; and from the database afterwards: tasks with more votes and leases
than they want, workers counted twice on a task, confirmed votes that are not stored.

`--peer`: a Python whose environment has label-studio (1.23.2). It is started as its package starts it, on a
database of the same server, with `--peer-tasks` (10,000) tasks that want three annotations each; the same
clients ask for the next task and send an annotation, as its page does. `--import` times the import of as many
tasks as the round has, and what its project page asks for.

The PostgreSQL server is the one of the tests, but durable: what is confirmed is on disk, as on SQLite.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.vote_path_peer import MOST, Peer, label_studio
from benchmarks.vote_path_round import LABELS
from tests.postgres import free_port, postgres_server

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run, print a table; 1 where a book does not balance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", required=True, type=Path, help="folder for databases; made, and kept")
    parser.add_argument("--on", nargs="+", choices=["postgres", "sqlite"], default=["postgres", "sqlite"])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--peer", type=Path, help="a Python with label-studio")
    parser.add_argument("--peer-tasks", type=int, default=10_000)
    parser.add_argument("--import", action="store_true", dest="imports", help="time the peer's import")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for kind in args.on:
        with database(kind) as url:
            rows += assay(args, kind, url)
            if args.peer:
                rows += peer(args, kind, url)
    compare(rows)
    if args.json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print("  ".join(f"{key} {value}" for key, value in row.items()))
    return int(any(row.get("over") or row.get("double") or row.get("lost") for row in rows if "site" in row
                   and row["site"] == "assay"))  # fmt: skip


@contextlib.contextmanager
def database(kind: str) -> Iterator[str]:
    """The address of a PostgreSQL server that runs as long, or nothing for SQLite."""
    if kind == "sqlite":
        yield ""
        return
    with postgres_server(durable=True) as url:
        yield url


def told(text: str) -> None:
    """Where the run is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def assay(args: argparse.Namespace, kind: str, url: str) -> list[dict[str, Any]]:
    """Fill, open, serve, vote, check."""
    with tempfile.TemporaryDirectory(dir=args.work, prefix=f"assay-{kind}-") as folder:
        env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "STORAGE_URL")}
        env |= {"ASSAY_DATA": folder, "DJANGO_SETTINGS_MODULE": "annotation_site.settings"}
        if url:
            env["DATABASE_URL"] = url
        told(f"Assay on {kind}: {args.tasks:,} tasks")
        made = beside(env, "make", args.tasks, args.clients)
        rows = [{"site": "assay", "on": kind, "tasks": made["tasks"], "opened_in_s": made["opened_in_s"]}]
        confirmed: list[list[Any]] = []
        with served(env, kind) as port:
            for size in args.sizes:
                plan = {"site": "assay", "host": "127.0.0.1", "port": port, "people": made["people"],
                        "round": made["round"], "size": size}  # fmt: skip
                load(plan | {"seconds": 2}, confirmed)  # first calls import and connect
                row = {"site": "assay", "on": kind, "tasks": made["tasks"], "batch": size}
                rows.append(row | load(plan | {"seconds": args.seconds}, confirmed))
        books = beside(env, "audit", made["round"])
        lost = Counter(map(tuple, confirmed)) - Counter(map(tuple, books.pop("stored")))
        rows.append({"site": "assay", "on": kind, "confirmed": len(confirmed), "lost": lost.total(), **books})
    return rows


def beside(env: dict[str, str], *words: object) -> Any:
    """What `vote_path_round` says, on the site's database."""
    command = [sys.executable, "-m", "benchmarks.vote_path_round", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"vote_path: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def served(env: dict[str, str], kind: str) -> Iterator[int]:
    """The site as the guide serves it: on SQLite one process of eight threads, on PostgreSQL two."""
    port = free_port()
    program = str(Path(sys.executable).parent / "gunicorn")
    command = [program, "annotation_site.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    command += ["--workers", "1" if kind == "sqlite" else "2", "--threads", "8"]
    server = subprocess.Popen(command, cwd=ROOT, env=env)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            if time.monotonic() > deadline or server.poll() is not None:
                raise SystemExit("vote_path: the site did not start")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=60)


def load(plan: dict[str, Any], confirmed: list[list[Any]]) -> dict[str, Any]:
    """Let the people of the plan work; what they were told is stored goes into `confirmed`."""
    command = [sys.executable, "-m", "benchmarks.vote_path_clients"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(plan), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"vote_path: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    confirmed += found["confirmed"]
    percentiles = {
        f"{name}_ms": [round(at(found[name], share), 1) for share in (0.5, 0.95, 0.99)]
        for name in ("claims", "sends", "pairs")
    }
    return {
        "pairs_per_s": round(len(found["sends"]) / found["seconds"], 1),
        "votes_per_s": round(len(found["confirmed"]) / found["seconds"], 1),
        **percentiles,
        "errors": dict(Counter(found["errors"])),
    }


def at(values: list[float], share: float) -> float:
    """A percentile."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else float("nan")


def peer(args: argparse.Namespace, kind: str, url: str) -> list[dict[str, Any]]:
    """The same with Label Studio."""
    folder = Path(tempfile.mkdtemp(dir=args.work, prefix=f"label-studio-{kind}-"))
    told(f"Label Studio on {kind}: {args.peer_tasks:,} tasks")
    row: dict[str, Any] = {"site": "label-studio", "on": kind, "tasks": args.peer_tasks, "batch": 1}
    with label_studio(args.peer, folder, free_port(), settings_of(url)) as other:
        people = [other.sign_up(f"w{n}") for n in range(args.clients)]
        project = other.make_project(LABELS)
        row["imported_in_s"] = round(other.fill(project, args.peer_tasks), 1)
        plan = {"site": "label-studio", "host": other.host, "port": other.port, "people": people,
                "project": project, "labels": LABELS}  # fmt: skip
        confirmed: list[list[Any]] = []
        load(plan | {"seconds": 5}, confirmed)
        row |= load(plan | {"seconds": 2 * args.seconds}, confirmed)
        row["project_call_ms"] = round(other.project_call(project), 1)
        rows = [row, {"site": "label-studio", "on": kind, **books_of(folder, url)}]
        if args.imports:
            rows.append(imported(other, kind, args.tasks))
    shutil.rmtree(folder)
    return rows


def imported(other: Peer, kind: str, tasks: int) -> dict[str, Any]:
    """Its import of as many tasks as our round has, and what its project page then asks for."""
    told(f"Label Studio on {kind}: import of {tasks:,} tasks")
    project = other.make_project(LABELS)
    took = other.fill(project, tasks)
    return {"site": "label-studio", "on": kind, "tasks": tasks, "imported_in_s": round(took, 1),
            "project_call_ms": round(other.project_call(project), 1)}  # fmt: skip


def settings_of(url: str) -> dict[str, str]:
    """Label Studio's variables for a database of its own on the same server."""
    if not url:
        return {}
    import psycopg

    with psycopg.connect(url, autocommit=True) as held:
        held.execute("CREATE DATABASE peer")
    port = url.rpartition(":")[2].partition("/")[0]
    return {"POSTGRE_USER": "assay", "POSTGRE_PASSWORD": "", "POSTGRE_NAME": "peer",
            "POSTGRE_HOST": "127.0.0.1", "POSTGRE_PORT": port}  # fmt: skip


def books_of(folder: Path, url: str) -> dict[str, int]:
    """How many of its tasks got annotations, and how many of those more than they want."""
    query = "SELECT task_id, COUNT(*) FROM task_completion GROUP BY 1"
    if url:
        import psycopg

        with psycopg.connect(url.rpartition("/")[0] + "/peer") as held:
            rows = held.execute(query).fetchall()
    else:
        with contextlib.closing(sqlite3.connect(next(folder.glob("*.sqlite3")))) as held_file:
            rows = held_file.execute(query).fetchall()
    return {"touched": len(rows), "over": sum(count > MOST for _, count in rows)}


def compare(rows: list[dict[str, Any]]) -> None:
    """Add to each row of Assay's how many times the peer's votes a second it is, on the same database."""
    for row in rows:
        same = [
            r for r in rows if r["site"] == "label-studio" and r["on"] == row["on"] and r.get("votes_per_s")
        ]
        if row["site"] == "assay" and "votes_per_s" in row and same:
            row["times_peer"] = round(row["votes_per_s"] / same[0]["votes_per_s"], 1)


if __name__ == "__main__":
    sys.exit(main())
