"""The demo's own processes: stages that run and end, servers that run beside them."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
# Set in somebody's shell, these would send the demo's data to a real server.
FOREIGN = ("DATABASE_URL", "STORAGE_URL", "CELERY_BROKER_URL", "ASSAY_DATA", "DJANGO_SETTINGS_MODULE")


class DemoError(Exception):
    """The demo cannot go on; the message is one line for the user, `code` the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def environment(data: Path) -> dict[str, str]:
    """What every process of the demo sees: its own data folder and no other server."""
    own = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {
        **own,
        "ASSAY_DATA": str(data),
        "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port that nobody uses now on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int, what: str) -> None:
    """Raise DemoError where the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"port {port} on 127.0.0.1 cannot be used for {what} ({error.strerror}): "
                "free it, or choose another with --port and --fresh"
            ) from None


def check_space(folder: Path, wanted: int) -> None:
    """Raise DemoError with less than `wanted` bytes free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise DemoError(
            f"the disk of {folder} has {free // 2**20} MB free and the demo needs {wanted // 2**20} MB: "
            "free some and run it again"
        )


class Processes:
    """Starts the demo's processes in one data folder, and ends those that still run when it is left.

    Every process is started under `demo.keeper` and holds the demo's lock until it has ended.
    """

    def __init__(self, data: Path, lock: int | None = None) -> None:
        self.env = environment(data)
        self.lock = lock
        self.running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.running):
            self.end(process)

    def start(self, command: Sequence[str], log: Path | None = None) -> subprocess.Popen[str]:
        """Start a command; with `log` what it says goes there, otherwise stdout can be read."""
        inherited = [] if self.lock is None else [self.lock]
        out = log.open("a") if log else None
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "demo.keeper", *command],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=out or subprocess.PIPE,
                stderr=out,
                pass_fds=inherited,
                text=True,
            )
        except OSError as error:
            raise DemoError(f"{command[0]} could not be started: {error.strerror}") from None
        finally:
            if out:
                out.close()
        self.running.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """End one process and wait for it."""
        if process.stdin:
            process.stdin.close()
        if process.poll() is None:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()
        if process in self.running:
            self.running.remove(process)

    def run(self, command: Sequence[str], stage: str) -> str:
        """Run a command to its end; its progress goes to the terminal. Returns what it printed.

        Raises DemoError where it fails; its own line has then been shown.
        """
        process = self.start(command)
        try:
            printed = process.stdout.read() if process.stdout else ""
            code = process.wait()
        finally:
            self.end(process)
        if code:
            raise DemoError(
                f"{stage} stopped with exit code {code}: mend what its own line says, "
                "then run the demo again; it goes on from here"
            )
        return printed

    def manage(self, *arguments: str, stage: str) -> Any:
        """Run `manage.py …`; the JSON that it prints with `--json`, else None."""
        printed = self.run([sys.executable, "manage.py", *arguments], stage)
        if "--json" not in arguments:
            return None
        try:
            return json.loads(printed)
        except ValueError:
            last = printed.strip().splitlines()[-1:] or [""]
            try:
                return json.loads(last[0])
            except ValueError:
                raise DemoError(f"{stage}: `{shown(arguments)}` printed no JSON") from None

    @contextmanager
    def serving(self, command: Sequence[str], url: str, log: Path, what: str) -> Iterator[None]:
        """As `serve`, and end the server afterwards."""
        process = self.serve(command, url, log, what)
        try:
            yield
        finally:
            self.end(process)

    def serve(
        self, command: Sequence[str], url: str, log: Path, what: str, patience: float = 60
    ) -> subprocess.Popen[str]:
        """Start a server and wait until `url` answers 200.

        Raises DemoError where it ends or does not answer within `patience` seconds.
        """
        process = self.start(command, log)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if process.poll() is not None:
                raise DemoError(f"{what} did not start: see the end of {log}")
            if answers(url):
                return process
            time.sleep(0.1)
        raise DemoError(f"{what} did not answer within {patience:.0f} s: see the end of {log}")


def answers(url: str) -> bool:
    """Whether a GET is answered 200 now."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def shown(command: Sequence[str]) -> str:
    """A command as one would type it, without the path of Python."""
    words = ["python" if word == sys.executable else word for word in command]
    return " ".join(words)
