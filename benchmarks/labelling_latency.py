"""How long an annotator waits: from the key press to the next picture painted, in a real browser.

usage: python -m benchmarks.labelling_latency [--latency MS] [--pictures N] [--pace MS]

A site of its own (gunicorn, SQLite) on this machine, Chromium with MS of latency added to every request (its
own network emulation; 200 unless told), one key every `--pace` ms. Three ways to answer the same kind of
pictures, taking turns: the labelling page, the grid (Enter, until the whole next grid is painted), and the
plain form, which fetches the next picture after each answer, as pages of other tools do: it is the peer.
A picture counts as painted when it has been decoded and a frame after that was drawn. Prints medians and
the 95th percentile in ms; wanted for the first two: 100 at most at 200 ms latency.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from tests.annotation_site.site import Site, running_site
from tests.annotation_site.windows import log_in, until
from tests.chromium import find_chromium

# Told by the page itself: nothing of this program's own way to the browser is counted.
WATCH = """
window.waits = [];
const shown = () => [...document.querySelectorAll("main .stage img, main .cell img")];
const place = (image) => image?.closest(".cell") ?? image;
const frame = () => new Promise(requestAnimationFrame);
addEventListener("keydown", async (event) => {
  if (event.key !== "%(key)s") return;
  const before = place(shown()[0]);
  for (;;) {
    await frame();
    const now = shown();
    if (now.length && place(now[0]) !== before && now.every((image) => image.complete)) {
      await Promise.all(now.map((image) => image.decode().catch(() => {})));
      await frame();
      window.waits.push(performance.now() - event.timeStamp);
      return;
    }
  }
}, true);
"""


def slow(page: Page, latency: int) -> None:
    """Add latency to every request from here on."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1},
    )


def keyed(page: Page, site: Site, name: str, key: str, count: int, pace: int) -> list[float]:
    """Waits of a page that answers by `key`."""
    page.goto(f"/label/{site.rounds[name]}/")
    until(page, "document.querySelector('main form img')?.complete")
    page.wait_for_load_state("networkidle")
    page.evaluate(WATCH % {"key": key})
    for number in range(1, count + 1):
        page.keyboard.press(key)
        page.wait_for_timeout(pace)
        until(page, f"window.waits.length >= {number}")
    waits: list[float] = page.evaluate("window.waits")
    return waits


def plain(browser: Browser, site: Site, latency: int, count: int) -> list[float]:
    """Waits of the form without scripts: a load for each picture."""
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, 7)
    page.goto(f"/label/{site.rounds['Network']}/")
    slow(page, latency)
    waits = []
    for _ in range(count):
        with page.expect_navigation(wait_until="load"):
            page.get_by_role("button", name="Cat").click(no_wait_after=True)
        times = page.evaluate(
            "(([n]) => n.loadEventEnd - n.startTime)(performance.getEntriesByType('navigation'))"
        )
        waits.append(float(times))
    context.close()
    return waits


def told(name: str, waits: Sequence[float]) -> str:
    """One line of the table."""
    return (
        f"{name:>30} {np.median(waits):8.0f} {np.percentile(waits, 95):8.0f} {max(waits):8.0f} {len(waits):6}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--latency", type=int, default=200)
    parser.add_argument("--pictures", type=int, default=40, help="at most 40")
    parser.add_argument("--pace", type=int, default=500, help="ms between two keys")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_site(Path(folder)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        log_in(page, 7)
        slow(page, args.latency)
        print(f"latency {args.latency} ms\n{'':>30} {'median':>8} {'p95':>8} {'most':>8} {'n':>6}")
        print(told("one picture, a key", keyed(page, site, "Eyes", "1", args.pictures, args.pace)))
        print(told("a grid of 24, Enter", keyed(page, site, "Grid", "Enter", 3, 10 * args.pace)))
        print(told("plain form (the peer)", plain(browser, site, args.latency, min(args.pictures, 20))))


if __name__ == "__main__":
    main()
