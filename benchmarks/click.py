"""How long a click takes to be seen: python -m benchmarks.click [--repeats 20] [--busy CORES]

A real server with the default fleet, the system's Chromium, three windows: the presenter's, another presenter's and
the audience's. Prints p50 and p95 in seconds beside the goals; --busy keeps that many cores at work meanwhile."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Page

from tests.serving import Served, start_server
from tests.visits import chromium

FLEET = {"GRIDLENS_FEEDERS": "10", "GRIDLENS_METERS_PER_FEEDER": "40", "GRIDLENS_HISTORY_DAYS": "8"}
TENANT = "DEMO_TENANT"
# What is measured, and the goals in seconds: on an idle machine, and with one core kept busy.
GOALS = {
    "click to acknowledgement": (0.3, 0.3),
    "click to KPI moved": (1.0, 2.0),
    "second browser": (1.5, 2.5),
    "audience": (1.5, 2.5),
    "first content, warm": (2.0, 2.0),
}
# Notes in each window when the text of an element first was what it is.
WATCH = """(selector) => {
  window.seenAt = [];
  const look = () => {
    const text = document.querySelector(selector)?.innerText ?? '';
    const last = window.seenAt.at(-1);
    if (!last || last[0] !== text) window.seenAt.push([text, Date.now() / 1000]);
    requestAnimationFrame(look);
  };
  look();
}"""
CHANGED = "() => window.seenAt"
CLOCK = ".st-key-card_loss_pct"
PATIENCE_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--busy", type=int, default=0, help="cores kept at work meanwhile")
    options = parser.parse_args()
    with ExitStack() as stack:
        served = stack.enter_context(server())
        browser = stack.enter_context(chromium())
        stack.enter_context(busy(options.busy))
        loads = []
        for _ in range(options.repeats):
            began = time.time()
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(served.base_url)
            page.locator(".st-key-card_loss_pct").wait_for(timeout=1000 * PATIENCE_S)
            loads.append(time.time() - began)
            page.close()
        windows = [browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(3)]
        for window, path in zip(windows, ("", "", "audience"), strict=True):
            window.goto(f"{served.base_url}/{path}")
            window.locator(CLOCK).wait_for(timeout=1000 * PATIENCE_S)
        found = [click_theft(served, *windows) for _ in range(options.repeats)]
    columns = [*zip(*found, strict=True), loads]
    print(f"{options.repeats} repetitions, {options.busy} cores kept busy; seconds")
    print(f"{'':28s}{'p50':>7s}{'p95':>7s}{'goal':>7s}")
    for (name, goals), values in zip(GOALS.items(), columns, strict=True):
        ordered = sorted(values)
        p50, p95 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.95))
        print(f"{name:28s}{p50:7.2f}{p95:7.2f}{goals[options.busy > 0]:7.1f}")


def click_theft(served: Served, presenter: Page, second: Page, audience: Page) -> tuple[float, float, float, float]:
    """One theft: seconds until the click is acknowledged, and until the loss has moved in each window."""
    said = presenter.locator(".st-key-said, [data-testid=stCaptionContainer]").last
    before = said.inner_text()
    for window in (presenter, second, audience):
        window.evaluate(WATCH, CLOCK)
    began = time.time()
    presenter.locator(".st-key-trigger_theft button").first.click()
    while said.inner_text() == before:
        time.sleep(0.01)
    acknowledged = time.time() - began
    moved = [moved_at(window) - began for window in (presenter, second, audience)]
    for event in call(served, f"events?tenantId={TENANT}&active=true")["events"]:
        call(served, f"event/{event['id']}/end", {})
    time.sleep(1.5)  # every window has settled
    return acknowledged, *moved


def moved_at(window: Page) -> float:
    """When the loss card showed another text than at first."""
    deadline = time.time() + PATIENCE_S
    while time.time() < deadline:
        seen = window.evaluate(CHANGED)
        if len(seen) > 1:
            return float(seen[1][1])
        time.sleep(0.02)
    raise TimeoutError("the loss did not move")


def call(served: Served, path: str, body: dict[str, object] | None = None) -> dict[str, list[dict[str, str]]]:
    request = urllib.request.Request(
        f"{served.base_url}/api/ami/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return dict(json.load(answer))


@contextmanager
def server() -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        served = start_server(Path(folder) / "data", FLEET)
        yield served
        served.stop()


@contextmanager
def busy(cores: int) -> Iterator[None]:
    workers = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(cores)]
    for worker in workers:
        worker.start()
    yield
    for worker in workers:
        worker.kill()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
