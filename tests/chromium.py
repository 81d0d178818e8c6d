"""Find or fetch a Chromium for the browser tests: one that is there, else Playwright's own, else apt's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class ChromiumMissing(RuntimeError):
    """No browser here and none to be had; the message is one line that says what to do."""


def find_chromium() -> str:
    """The path of a Chromium, installed on the way if need be.

    Raises:
        ChromiumMissing: all three ways failed.
    """
    found = present() or playwrights_own(install=False)
    if found:
        return found
    print("No Chromium here: asking Playwright for its own …", file=sys.stderr, flush=True)
    found = playwrights_own(install=True)
    if found:
        return found
    if os.getuid() == 0 and shutil.which("apt-get"):
        print("Playwright cannot download one: installing Debian's …", file=sys.stderr, flush=True)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=env, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], env=env, **quiet)
        found = present()
        if found:
            return found
    raise ChromiumMissing(
        "The browser tests need Chromium: install it (`sudo apt-get install chromium`) and run again."
    )


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
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None
