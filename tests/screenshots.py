"""Pictures of every page: `python -m tests.screenshots URL CURATOR:PASSWORD ANNOTATOR:PASSWORD [FOLDER]`.

Needs a running site with what the demo built (`make demo && make serve`) and the packages of
requirements-dev.txt. Used by people who change pages: look at every size before calling a page done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.chromium import find_chromium

SIZES = {"desktop": (1440, 900), "tablet": (768, 1024), "phone": (360, 740)}
CURATOR_PAGES = {
    "home": "/",
    "dataset": "/d/clothing/",
    "sources": "/d/clothing/sources/",
    "rounds": "/d/clothing/rounds/",
    "round": "/d/clothing/rounds/1",
    "review": "/d/clothing/review/",
    "workers": "/d/clothing/workers/",
    "quality": "/d/clothing/quality/",
    "releases": "/d/clothing/releases/",
    "release": "/d/clothing/releases/1.0.0",
    "public": "/releases/clothing/1.0.0/",
    "categories": "/releases/clothing/1.0.0/categories/",
    "category": "/releases/clothing/1.0.0/categories/hat",
    "terms": "/releases/clothing/1.0.0/download",
    "run": "/d/clothing/runs/1",
}
ANNOTATOR_PAGES = {"work": "/", "label": "/label/2/", "verify": "/label/3/", "me": "/me/"}


def logged_in(browser: Browser, base: str, login: str, size: tuple[int, int], scheme: str) -> Page:
    """A page of a person who has logged in as a person does."""
    name, _, password = login.partition(":")
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(f"{base}/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    return page


def shoot(base: str, curator: str, annotator: str, folder: Path, chromium: str) -> None:
    """Every page at every size, light and dark, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for size, pixels in SIZES.items():
            for scheme in ("light", "dark"):
                for login, pages in ((curator, CURATOR_PAGES), (annotator, ANNOTATOR_PAGES)):
                    page = logged_in(browser, base, login, pixels, scheme)
                    for name, address in pages.items():
                        answer = page.goto(base + address)
                        page.wait_for_load_state("networkidle")
                        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
                        status = answer.status if answer else 0
                        print(f"{name:10} {size:8} {scheme:5} {status}{'  SCROLLS SIDEWAYS' if wide else ''}")
                        page.screenshot(
                            path=folder / f"{name}-{size}-{scheme}.png", full_page=name != "label"
                        )
                    page.context.close()
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: python -m tests.screenshots URL CURATOR:PASSWORD ANNOTATOR:PASSWORD [FOLDER]")
    where = Path(sys.argv[4] if len(sys.argv) > 4 else "data/screenshots")
    shoot(sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3], where, find_chromium())
