"""axe-core on a page: WCAG 2.2 A and AA and best practice, and nothing that scrolls sideways."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

EVERYTHING = {
    "type": "tag",
    "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}
LOOKED_AT = {"type": "rule", "values": ["color-contrast", "target-size", "scrollable-region-focusable"]}
"""What other colours and a narrow screen change; the rest is the same page, and axe takes its time."""
LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    {"color_scheme": "dark", "viewport": {"width": 320, "height": 700}},
]
LOOK_NAMES = ["light", "dark and narrow"]


def wrong_on(page: Page, name: str) -> list[str]:
    """What is wrong with the page as it stands, a line a rule that begins with `name`."""
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    options = {"runOnly": LOOKED_AT if dark else EVERYTHING}
    found = Axe().run(page, options=options).response["violations"]
    wrong = [f"{name}: {rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found]
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return wrong + [f"{name}: scrolls sideways: {width}"] * (width[0] > width[1])
