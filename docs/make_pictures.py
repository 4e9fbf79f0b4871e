"""Takes the pictures of every page, in both themes and three sizes: python -m docs.make_pictures

A fresh local demo under a frozen clock, the same small story each time, the system's Chromium.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.serving import ROOT, Served, start_server
from tests.visits import PATIENCE_MS, chromium

PICTURES = ROOT / "docs" / "pictures"
NOW = "2026-11-18T18:00:00+00:00"  # a Wednesday noon in Chicago
TENANT = "DEMO_TENANT"
FLEET = {"GRIDLENS_FEEDERS": "10", "GRIDLENS_METERS_PER_FEEDER": "40", "GRIDLENS_HISTORY_DAYS": "8"}
THEMES = ("light", "dark")
SIZES = ((1920, 1080), (1440, 900), (390, 844))
FAILED = "[data-testid=stException]"
BUSY = ", ".join(
    f"{what}:visible" for what in ("[data-testid=stSkeleton]", "[data-testid=stSpinner]", "[data-stale=true]")
)
MOST_BYTES = 150_000  # of one picture
STILL_SHOTS, SHOT_SECONDS, STILL_SECONDS = 3, 0.4, 60  # equal pictures in a row, how far apart, how long at most


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gridlens-", ignore_cleanup_errors=True) as folder:
        served = start_server(Path(folder).resolve(), {"GRIDLENS_NOW": NOW, **FLEET})
        try:
            play(served)
            with chromium() as browser:
                sizes = [take(browser, served.base_url, *which) for which in wanted()]
        finally:
            served.stop()
    sys.stdout.write(f"{len(sizes)} pictures, {sum(sizes) / 1e6:.1f} MB, in {PICTURES}\n")


def play(served: Served) -> None:
    """A voltage sag that is over, then a comms outage and a theft that run; charts follow the theft, the newest."""
    event(served, "voltage-sag", "FEEDER_3", minutes=30, severity=0.6)
    publish(served, 3)
    event(served, "comms-outage", "FEEDER_5", minutes=120, severity=1)
    publish(served, 2)
    event(served, "theft", "FEEDER_7", minutes=120, severity=0.7)
    publish(served, 4)


def event(served: Served, event_type: str, feeder: str, *, minutes: int, severity: float) -> None:
    about = {"tenantId": TENANT, "feederId": feeder, "durationMinutes": minutes, "severity": severity}
    call(served, f"/api/ami/event/{event_type}", about)


def publish(served: Served, cycles: int) -> None:
    call(served, "/api/ami/publish-once", {"tenantId": TENANT, "intervalMinutes": 15, "cycles": cycles})


def call(served: Served, path: str, body: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(served.base_url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60):
        pass


def pages() -> list[tuple[str, str]]:
    """(name, address) of every page of the navigation, in its order."""
    entry = (ROOT / "pages" / "entry.py").read_text(encoding="utf-8")
    found = re.findall(r'st\.Page\(\s*"(\w+)\.py"([^)]*)\)', entry)
    return [(name, "" if "default=True" in options else name) for name, options in found]


def wanted() -> Iterator[tuple[str, str, str, tuple[int, int]]]:
    """(name, address, theme, size) of every picture."""
    for theme in THEMES:
        for size in SIZES:
            for name, address in pages():
                yield name, address, theme, size


def take(browser: Browser, base_url: str, name: str, address: str, theme: str, size: tuple[int, int]) -> int:
    """Takes one picture in a browser window of its own and returns how many bytes it has."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    page = context.new_page()
    page.goto(f"{base_url}/{address}")
    page.get_by_text(f"Simulated events on {TENANT}").first.wait_for(state="attached", timeout=PATIENCE_MS)
    file = PICTURES / f"{name}-{theme}-{width}x{height}.png"
    file.write_bytes(small(standing_still(page)))
    context.close()
    sys.stdout.write(f"{file.name}: {file.stat().st_size / 1000:.0f} kB\n")
    return file.stat().st_size


def standing_still(page: Page) -> bytes:
    """The page as it looks when everything is drawn: nothing runs or waits for data, and nothing moves any more."""
    until = monotonic() + STILL_SECONDS
    last, same = b"", 0
    while same < STILL_SHOTS:
        if monotonic() > until:
            raise TimeoutError(f"{page.url} did not come to rest in {STILL_SECONDS} s.")
        if page.locator(FAILED).count():
            raise RuntimeError(f"{page.url} shows an error.")
        sleep(SHOT_SECONDS)
        shot = page.screenshot(animations="disabled")
        same = same + 1 if shot == last and not page.locator(BUSY).count() else 0
        last = shot
    return last


def small(png: bytes) -> bytes:
    """With as many colours of its own as fit into MOST_BYTES."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32, 16):
        file = BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()


if __name__ == "__main__":
    main()
