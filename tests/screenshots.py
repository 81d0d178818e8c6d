"""The pictures of docs/, all remade by one command: `python -m tests.screenshots`.

It runs the demo in a folder of its own, adds what `tests.screenshot_scene` tells, serves the site and goes
through its pages. `--data` takes the folder of a demo that is there already (what is added stays in it),
`--only` some of the pictures. `--every FOLDER` is for people who change pages: each of them at three sizes,
light and dark, with a word where a page scrolls sideways. Needs the packages of requirements-dev.txt, and a
font with Chinese (Debian: fonts-wqy-microhei).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.annotation_site.site import gunicorn
from tests.chromium import find_chromium

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PASSWORD = "as-seen-in-the-docs"
DESK, PHONE = (1280, 800), (390, 844)
SIZES = {"desk": (1440, 900), "tablet": (768, 1024), "phone": (360, 740)}
TALLEST = 1500
"""Pixels of a page that are shown; what is below them says no more."""


def _help(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def _tick(page: Page) -> None:
    for nth in (1, 2, 4, 7, 8):
        page.locator("[data-cells] > li").nth(nth).locator("button, label").first.click()
    page.mouse.move(5, 5)


def _type(page: Page) -> None:
    page.get_by_role("searchbox").fill("s")
    page.wait_for_timeout(200)


def _foresee(page: Page) -> None:
    page.get_by_label("Title").fill("Which piece of clothing? Once more")
    page.get_by_label("Price of a vote, USD").fill("0.02")
    page.locator("main form button.primary, main form button[type=submit]").first.click()
    page.wait_for_load_state("networkidle")


def _answer(page: Page) -> None:
    start = page.get_by_role("button", name="Begin")
    if start.count():
        start.click()
        page.wait_for_load_state("networkidle")
    page.locator("[data-choices] button").first.click()
    page.wait_for_load_state("networkidle")


def _open_call(page: Page) -> None:
    call = page.locator("#operations-takedowns-export_api_takedowns_take_down")
    call.locator("button").first.click()
    call.scroll_into_view_if_needed()
    page.wait_for_timeout(800)
    page.mouse.wheel(0, -260)
    page.wait_for_timeout(300)


@dataclass(frozen=True)
class Shot:
    """A picture: `file` in docs/, who looks, at which address.

    `whole`: what is below the window, too, down to `tall` pixels.
    """

    file: str
    who: str
    path: str
    size: tuple[int, int] = DESK
    whole: bool = True
    tall: int = TALLEST
    dark: bool = False
    locale: str = "en"
    before: Callable[[Page], None] | None = None

    @property
    def name(self) -> str:
        """The file without its ending."""
        return self.file.partition(".")[0]


def shots(at: dict[str, str]) -> list[Shot]:
    """All of them, in the order of docs/pages.md."""
    d = "/d/clothing/"
    return [
        Shot("login.webp", "", "/login/", whole=False),
        Shot("join.webp", "", "/d/signs/join/"),
        Shot("consent.webp", "ben", f"{d}consent/", whole=False),
        Shot("quiz.webp", "mei", at["quiz"], whole=False, before=_answer),
        Shot("home.webp", "mei", "/"),
        Shot("label.png", "mei", at["label"], whole=False),
        Shot("help.webp", "mei", at["label"], whole=False, before=_help),
        Shot("grid.jpg", "mei", at["grid"], whole=False, before=_tick),
        Shot("type-ahead.webp", "mei", at["type-ahead"], whole=False, before=_type),
        Shot("label-phone.webp", "mei", at["label"], PHONE, whole=False),
        Shot("grid-phone.webp", "mei", at["grid"], PHONE, whole=False, before=_tick),
        Shot("label-chinese.webp", "mei", at["label"], whole=False, locale="zh-CN"),
        Shot("label-dark.webp", "mei", at["label"], whole=False, dark=True),
        Shot("me.webp", "mei", "/me/"),
        Shot("members.webp", "cora", f"{d}members/?role=curator"),
        Shot("dataset.png", "cora", d, tall=1000),
        Shot("sources.webp", "cora", f"{d}sources/"),
        Shot("images.jpg", "cora", f"{d}images/?order=sure", tall=1100),
        Shot("duplicates.jpg", "cora", f"{d}duplicates/?order=widest", tall=1100),
        Shot("rounds.webp", "cora", f"{d}rounds/"),
        Shot("new-round.webp", "cora", f"{d}rounds/new", before=_foresee),
        Shot("instructions.webp", "cora", at["instructions"]),
        Shot("quizzes.webp", "cora", f"{d}quizzes/"),
        Shot("round.webp", "cora", at["round"]),
        Shot("round-change.webp", "cora", at["round-change"]),
        Shot("review.png", "cora", f"{d}review/", tall=900),
        Shot("image.webp", "cora", at["image"]),
        Shot("workers.webp", "cora", f"{d}workers/"),
        Shot("worker.webp", "cora", at["worker"]),
        Shot("quality.png", "cora", f"{d}quality/", tall=1220),
        Shot("takedown.webp", "cora", at["takedown"]),
        Shot("release.png", "", "/releases/clothing/1.0.0/", tall=1000),
        Shot("run.webp", "cora", at["run"], tall=1060),
        Shot("report.png", "cora", f"{at['run']}/report", (960, 900), whole=False),
        Shot("api.webp", "cora", "/api/v1/docs", (1280, 1100), whole=False, before=_open_call),
    ]


@contextmanager
def served(data: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The site on the data of a demo, with what the pictures need; its address, and the scene's."""
    kept = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "STORAGE_URL")}
    env = {**kept, "ASSAY_DATA": str(data), "DJANGO_SETTINGS_MODULE": "annotation_site.settings"}
    run = [sys.executable, "manage.py", "migrate", "-v0"]
    subprocess.run(run, cwd=ROOT, env=env, check=True)
    scene = [sys.executable, "-m", "tests.screenshot_scene", PASSWORD]
    told = subprocess.run(scene, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bind = f"127.0.0.1:{probe.getsockname()[1]}"
    with (data / "screenshots.log").open("ab") as log:
        server = subprocess.Popen(gunicorn(bind), cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{bind}/healthz", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://{bind}", json.loads(told)
    finally:
        server.terminate()
        server.wait(timeout=30)


def window(browser: Browser, base: str, shot: Shot, sessions: dict[str, Any]) -> Page:
    """A window of the person who looks, logged in as a person does; `sessions` keeps who is."""
    width, height = shot.size
    context = browser.new_context(
        base_url=base, viewport={"width": width, "height": height}, locale=shot.locale,
        color_scheme="dark" if shot.dark else "light", device_scale_factor=1.5 if width < 500 else 1,
        reduced_motion="reduce", storage_state=sessions.get(shot.who),
    )  # fmt: skip
    page = context.new_page()
    if shot.who and shot.who not in sessions:
        page.goto("/login/")
        page.fill("input[name=username]", shot.who)
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{base}/")
        sessions[shot.who] = context.storage_state()
    return page


def take(browser: Browser, base: str, shot: Shot, sessions: dict[str, Any]) -> tuple[bytes, str]:
    """The picture as PNG, and what is wrong with the page in a word; nothing where all is well."""
    page = window(browser, base, shot, sessions)
    answer = page.goto(shot.path)
    page.wait_for_load_state("networkidle")
    if shot.before is not None:
        shot.before(page)
    status = answer.status if answer else 0
    wrong = "" if status == 200 else f"status {status}"
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wrong += " scrolls sideways"
    clip: Any = None
    if shot.whole:
        tall = page.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": shot.size[0], "height": min(tall, shot.tall)}
    data = page.screenshot(full_page=shot.whole, clip=clip)
    page.context.close()
    return data, wrong


def small(data: bytes, ending: str) -> bytes:
    """The same picture as a small file that stays readable."""
    picture, out = Image.open(io.BytesIO(data)).convert("RGB"), io.BytesIO()
    if ending == "png":
        picture.quantize(160, dither=Image.Dither.FLOYDSTEINBERG).save(out, "PNG", optimize=True)
    elif ending == "jpg":
        picture.save(out, "JPEG", quality=74, optimize=True, progressive=True)
    else:
        picture.save(out, "WEBP", quality=80, method=6)
    return out.getvalue()


def docs(browser: Browser, base: str, at: dict[str, str], only: list[str]) -> int:
    """Write the pictures of docs/; how many pages had something wrong."""
    faults, sessions = 0, dict[str, Any]()
    for shot in shots(at):
        if only and shot.name not in only:
            continue
        data, wrong = take(browser, base, shot, sessions)
        file = small(data, shot.file.rpartition(".")[2])
        (DOCS / shot.file).write_bytes(file)
        print(f"{shot.file:20} {len(file) / 1024:6.0f} KB {wrong}", flush=True)
        faults += bool(wrong)
    return faults


def every(browser: Browser, base: str, at: dict[str, str], only: list[str], folder: Path) -> int:
    """Write each page at each size, light and dark; how many had something wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    faults, sessions = 0, dict[str, Any]()
    for shot in shots(at):
        if only and shot.name not in only:
            continue
        for size, pixels in SIZES.items():
            for dark in (False, True):
                data, wrong = take(browser, base, replace(shot, size=pixels, dark=dark), sessions)
                name = f"{shot.name}-{size}-{'dark' if dark else 'light'}"
                (folder / f"{name}.png").write_bytes(data)
                print(f"{name:40} {wrong}", flush=True)
                faults += bool(wrong)
    return faults


def main() -> int:
    """Remake them; 1 where a page had something wrong."""
    parser = argparse.ArgumentParser(
        description="Remake the pictures of docs/.", epilog="python -m tests.screenshots"
    )
    parser.add_argument(
        "--data", type=Path, help="a finished demo's data folder (default: a new demo, 5 minutes)"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these pictures, without endings"
    )
    parser.add_argument("--every", type=Path, metavar="FOLDER", help="all sizes, light and dark, into FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        data = (options.data or Path(own) / "data").resolve()
        if options.data is None:
            subprocess.run([sys.executable, "-m", "demo.run", "--data", str(data)], cwd=ROOT, check=True)
        with served(data) as (base, at), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
            if options.every:
                faults = every(browser, base, at, options.only, options.every)
            else:
                faults = docs(browser, base, at, options.only)
            browser.close()
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
