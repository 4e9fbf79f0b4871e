"""A real browser for tests: the system's Chromium, and a window on the dashboard that records what went wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
# Nothing of the browser's own goes out to the network while the dashboard's requests are watched.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 20_000  # for what a busy machine may take; what is there at once is found at once
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# Loaded directly, a page below the root first looks for the server below its own path, and is answered 404, before
# it finds it at the root. Streamlit finds its base path this way; we cannot avoid the request.
PROBES = ("/_stcore/health", "/_stcore/host-config")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium. Without one the test is skipped; in CI that is a failure."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        missing = f"No browser found; looked for {', '.join(CHROMIUM)}."
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def busy_cores() -> Iterator[None]:
    """Both cores of a small machine kept busy by something else."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@dataclass
class Visit:
    """One browser window on the dashboard, with all that it should not have seen."""

    page: Page
    base_url: str
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def open(self, path: str = "") -> Visit:
        """Loads a page by its address."""
        self.page.goto(f"{self.base_url}/{path}")
        expect(self.keyed("header")).to_be_visible(timeout=PATIENCE_MS)
        return self

    def control_room(self) -> Visit:
        """Loads the control room and waits until its charts stand."""
        self.open()
        for key in ("energy_chart", "grid_chart", "card_loss_pct", "card_open_tasks", "trigger_theft"):
            expect(self.keyed(key)).to_be_visible(timeout=PATIENCE_MS)
        expect(self.keyed("energy_chart").get_by_text("metered", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        return self

    def keyed(self, key: str) -> Locator:
        """The element with a Streamlit key."""
        return self.page.locator(f".st-key-{key}")

    def click(self, key: str) -> None:
        """Clicks the button with that key."""
        self.keyed(key).locator("button").first.click()

    def choose(self, key: str, option: str) -> None:
        """Picks an option of the select box with that key."""
        self.keyed(key).locator("input").click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def card(self, kpi: str) -> Card:
        """A KPI card."""
        return Card(self.keyed(f"card_{kpi}"))

    def says(self, text: str) -> None:
        """Waits until the click is acknowledged with these words."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE_MS)

    def still(self) -> None:
        """Waits until what was drawn last is there whole and no longer fades in."""
        expect(self.page.locator("[data-stale=true]")).to_have_count(0, timeout=PATIENCE_MS)
        at_rest = "document.getAnimations().every(one => one.playState !== 'running')"
        self.until(lambda: bool(self.page.evaluate(at_rest)))  # the page's policy lets nothing in it wait for a text

    def next_interval(self, before: str) -> str:
        """Waits until the grid clock no longer says `before`, and returns what it says."""
        expect(self.keyed("header").get_by_text("Grid clock")).not_to_have_text(before, timeout=PATIENCE_MS)
        return self.grid_clock

    def until(self, true: Callable[[], bool]) -> None:
        """Waits until a condition holds that no element of the page shows."""
        deadline = monotonic() + PATIENCE_MS / 1000
        while not true():
            assert monotonic() < deadline, "It did not come true."
            self.page.wait_for_timeout(100)

    @property
    def grid_clock(self) -> str:
        return self.keyed("header").get_by_text("Grid clock").inner_text()

    def sideways_px(self) -> int:
        """By how much the page is wider than its window."""
        return int(self._main("main.scrollWidth - main.clientWidth"))

    def overlong_px(self) -> int:
        """By how much the page is longer than its window."""
        return int(self._main("main.scrollHeight - main.clientHeight"))

    def _main(self, expression: str) -> Any:
        return self.page.evaluate(f"(() => {{const main = document.querySelector('.stMain'); return {expression}}})()")


@dataclass
class Card:
    """A KPI card: value, and change with its cause."""

    locator: Locator

    @property
    def value(self) -> Locator:
        return self.locator.locator("[data-testid=stMetricValue]")

    @property
    def change(self) -> Locator:
        return self.locator.locator("[data-testid=stMetricDelta]")


@contextmanager
def visiting(browser: Browser, base_url: str, **options: Any) -> Iterator[Visit]:
    """A window of its own, as another person would have it."""
    context = browser.new_context(**{"viewport": DESK, "color_scheme": "light", **options})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    visit = Visit(page, base_url)
    page.on("console", _errors_into(visit))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("request", _strangers_into(visit))
    yield visit
    context.close()


def _errors_into(visit: Visit) -> Callable[[ConsoleMessage], None]:
    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith(PROBES):
            visit.errors.append(message.text)

    return note


def _strangers_into(visit: Visit) -> Callable[[Request], None]:
    def note(request: Request) -> None:
        if not request.url.startswith((visit.base_url, "data:", "blob:")):
            visit.outside.append(request.url)

    return note
