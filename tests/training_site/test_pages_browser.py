"""The pages of runs in a real Chromium: they follow a run, on a phone, by keyboard, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from playwright.sync_api import Browser, Page, expect, sync_playwright

from annotation_site.models import User
from export.models import Release
from tests.chromium import find_chromium
from tests.export.visitors import wait_for_the_server
from tests.training_site.test_history import finished
from training.models import TrainingRun
from training.services.runs import start_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
UNNAMED = """
  [...document.querySelectorAll('a, button, select, input:not([type=hidden]), [role=img]')]
  .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)
"""
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Its driver keeps an event loop in this thread; the database is used between its calls."""
    path = find_chromium()
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def visit(browser: Browser, live_server: Any, client: Any) -> Iterator[Open]:
    """Opens windows of a curator, in which no script may fail and no policy be broken."""
    faults: list[str] = []
    contexts = []
    client.force_login(User.objects.create(username="curie", is_superuser=True))
    cookie = client.cookies[site.SESSION_COOKIE_NAME].value

    def window(width: int = 1280, *, scripts: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 700}, base_url=live_server.url, java_script_enabled=scripts
        )
        context.set_default_timeout(30_000)
        context.add_cookies([{"name": site.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if "Content Security Policy" in m.text else None)
        return page

    yield window
    for context in contexts:
        context.close()
    wait_for_the_server()
    assert faults == []


def test_the_page_follows_a_run_to_its_end(live_server: Any, release: Release, visit: Open) -> None:
    run = start_run(release, arms="majority,consensus", seeds=2)
    TrainingRun.objects.update(state="running", begun="2026-01-01T00:00:00Z")
    page = visit()
    page.clock.install()
    page.goto(f"/d/birds/runs/{run.pk}")
    expect(page.get_by_text("0 of 4 trainings")).to_be_visible()
    stop = page.get_by_role("button", name="Stop the run")
    stop.focus()
    results = Path(run.folder) / "results"
    results.mkdir(parents=True)
    (results / "majority-0.npz").touch()
    page.clock.run_for(5_000)
    expect(page.get_by_text("1 of 4 trainings")).to_be_visible()
    expect(stop).to_be_focused()
    TrainingRun.objects.update(state="failed", error="retrain: it diverged")
    page.clock.run_for(5_000)
    expect(page.get_by_text("The run failed.")).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()


def test_a_run_is_started_and_stopped_without_a_script(
    live_server: Any, release: Release, workers: list[int], visit: Open
) -> None:
    page = visit(scripts=False)
    page.goto("/d/birds/releases/1.0.0")
    page.get_by_role("link", name="Train on this release").click()
    page.get_by_label("Labellings").fill("nonsense")
    page.get_by_role("button", name="Queue the run").click()
    expect(page.locator(".errorlist")).to_contain_text("nonsense")
    page.get_by_label("Labellings").fill("majority")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The run waits for its turn.")).to_be_visible()
    page.get_by_role("button", name="Stop the run").click()
    expect(page.get_by_text("The run was stopped.")).to_be_visible()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("The run is queued")).to_be_visible()
    assert workers == [1, 1]


def test_on_a_narrow_phone_nothing_is_cut_off(live_server: Any, release: Release, visit: Open) -> None:
    for number in range(12):
        finished(release.dataset, f"2.{number}.0", 0.6 + number / 50)
    run = start_run(release, arms="majority," * 20 + "consensus")
    TrainingRun.objects.filter(pk=run.pk).update(state="failed", error="/long" * 60)
    Path(f"{run.folder}.log").parent.mkdir(parents=True, exist_ok=True)
    Path(f"{run.folder}.log").write_text("endless" * 60)
    page = visit(320)
    done = TrainingRun.objects.filter(state="done").first()
    for address in [
        "/d/birds/runs/",
        f"/d/birds/runs/{run.pk}",
        f"/d/birds/runs/{done.pk}",
        f"/d/birds/runs/{done.pk}/doubts",
        "/d/birds/releases/1.0.0/train",
    ]:
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
        assert page.evaluate(UNNAMED) == [], address
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])")
        assert levels.count(1) == 1, address
        assert all(b <= a + 1 for a, b in pairwise(levels)), address
