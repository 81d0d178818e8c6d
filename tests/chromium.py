"""Find or fetch a Chromium for the browser tests: one that is there, else Playwright's own, else apt's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class ChromiumMissing(RuntimeError):
    """No browser here and none to be had; the message is one line that says what to do."""


def find_chromium() -> str:
    """The path of a Chromium that Playwright can drive, installed on the way if need be.

    Raises:
        ChromiumMissing: all ways failed.
    """
    if not driver_runs():  # a bare Debian lacks a library of its Node
        apt_install("libatomic1")
        if not driver_runs():
            raise ChromiumMissing(
                "Playwright's driver does not start: install its library (`sudo apt-get install libatomic1`) "
                "and run again."
            )
    found = present() or playwrights_own(install=False)
    if found:
        return found
    print("No Chromium here: asking Playwright for its own …", file=sys.stderr, flush=True)
    found = playwrights_own(install=True)
    if found:
        return found
    print("Playwright cannot download one: installing Debian's …", file=sys.stderr, flush=True)
    apt_install("chromium")
    found = present()
    if found:
        return found
    raise ChromiumMissing(
        "The browser tests need Chromium: install it (`sudo apt-get install chromium`) and run again."
    )


def driver_runs() -> bool:
    """Whether the Node that Playwright brings starts on this machine."""
    node, _ = compute_driver_executable()
    return subprocess.run([node, "--version"], capture_output=True).returncode == 0


def apt_install(package: str) -> None:
    """Install a Debian or Ubuntu package where this user may; nothing otherwise."""
    if os.getuid() != 0 or not shutil.which("apt-get"):
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=env, capture_output=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", package], env=env, capture_output=True)


def present() -> str | None:
    """A Chromium on the PATH, or the one that CHROMIUM names."""
    named = os.environ.get("CHROMIUM", "")
    if named and Path(named).exists():
        return named
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def playwrights_own(install: bool) -> str | None:
    """The browser that Playwright keeps for itself, if it is on disk (or can be put there)."""
    if install:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        try:
            subprocess.run(command, capture_output=True, timeout=300, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None
