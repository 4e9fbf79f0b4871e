"""The demo with a real server, a real browser and real clicks."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers import TENANT
from playwright.sync_api import Browser, expect
from serving import Served, start_server
from visits import DESK, PATIENCE_MS, PHONE, Visit, busy_cores, chromium, visiting

CONTROL_ROOM = "Control room"
GHOST_SECONDS = 20  # of opening and leaving pages
PAGES = {  # title -> what stands on the page once it is drawn
    "Walkthrough": "The story",
    "Time-lapse": "Grid time on screen",
    "Losses": "Feeders today",
    "Suspicious meters": "Named now, and why",
    "Field operations": "Open tasks by day",
    "Cases": "All cases",
    "Worth": "What is it worth to you?",
    "Events": "Timeline",
    "Data source": "HTTP API",
    CONTROL_ROOM: "Trigger an event",
}
KPIS = ("loss_pct", "at_risk", "read_success_pct", "voltage_compliance_pct", "suspicious_meters", "open_tasks")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a small fleet; not started where there is no browser."""
    server = start_server(tmp_path_factory.mktemp("served"))
    yield server
    server.stop()


@pytest.fixture
def api(served: Served) -> Callable[..., Any]:
    """`api(path, **body)` -> the answer of a POST with the key; without a body of a GET."""

    def call(path: str, **body: object) -> Any:
        request = urllib.request.Request(
            f"{served.base_url}/api/ami/{path}",
            data=json.dumps({"tenantId": TENANT, **body}).encode() if body or "?" not in path else None,
            headers={"Authorization": f"Bearer {served.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    return call


@pytest.fixture(scope="module")
def window(browser: Browser, served: Served) -> Iterator[Visit]:
    """The presenter's window, open through all tests."""
    with visiting(browser, served.base_url) as visit:
        yield visit.control_room()


@pytest.fixture
def visit(window: Visit, api: Callable[..., Any]) -> Iterator[Visit]:
    """The presenter's window on the control room, at the baseline; nothing may go wrong in it."""
    api("demo/reset")
    if not window.keyed("trigger_theft").count():
        window.page.get_by_role("link", name=CONTROL_ROOM, exact=True).click()
    expect(window.card("loss_pct").change).to_have_text("no event today", timeout=PATIENCE_MS)
    window.choose("event_feeder", "FEEDER_7")
    yield window
    assert window.errors == []
    assert window.outside == []


def events_of(api: Callable[..., Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(f"events?tenantId={TENANT}")["events"]
    return found


def trigger_all_three(api: Callable[..., Any]) -> None:
    for number, kind in enumerate(("theft", "voltage-sag", "comms-outage"), start=5):
        api(f"event/{kind}", feederId=f"FEEDER_{number}", durationMinutes=120, severity=0.7)
    api("publish-once")


def test_a_theft_click_moves_the_loss_and_says_why(visit: Visit, api: Callable[..., Any]) -> None:
    expect(visit.card("loss_pct").change).to_have_text("no event today")
    before = visit.card("loss_pct").value.inner_text()
    visit.click("trigger_theft")
    visit.says("Theft on FEEDER_7")
    expect(visit.card("loss_pct").change).to_have_text(re.compile(r"\+\d+\.\d\d\spt theft"), timeout=PATIENCE_MS)
    expect(visit.card("loss_pct").value).not_to_have_text(before)
    expect(visit.card("suspicious_meters").change).to_have_text(re.compile(r"\+\d+ theft"))
    expect(visit.card("at_risk").value).to_have_text(re.compile(r"\$\d"))
    expect(visit.keyed("story_panel")).to_contain_text("FEEDER_7's loss today went from")
    expect(visit.keyed("grid_chart")).to_contain_text("suspicious")
    expect(visit.keyed("energy_chart")).to_contain_text("theft FEEDER_7 70 %")
    (event,) = events_of(api)
    assert (event["eventType"], event["feederId"], event["severity"]) == ("theft", "FEEDER_7", 0.7)


def test_a_sag_click_moves_the_voltage(visit: Visit) -> None:
    visit.choose("event_feeder", "FEEDER_3")
    visit.click("trigger_voltage_sag")
    visit.says("Voltage sag on FEEDER_3")
    expect(visit.card("voltage_compliance_pct").change).to_have_text(re.compile(r"-\d.*\spt sag"), timeout=PATIENCE_MS)
    expect(visit.keyed("story_panel")).to_contain_text("under 114 V")
    expect(visit.keyed("grid_chart")).to_contain_text("low-voltage interval")


def test_an_outage_click_moves_read_success_and_not_the_loss(visit: Visit) -> None:
    visit.click("trigger_comms_outage")
    visit.says("Comms outage on FEEDER_7")
    expect(visit.card("read_success_pct").change).to_have_text(re.compile(r"-\d.*\spt outage"), timeout=PATIENCE_MS)
    expect(visit.keyed("story_panel")).to_contain_text("which is not a loss")
    expect(visit.keyed("grid_chart")).to_contain_text("no read")
    expect(visit.keyed("energy_chart")).to_contain_text("unread, no loss")
    # Early in the day a feeder's interval less may change the day's loss by a hundredth or two.
    expect(visit.card("loss_pct").change).not_to_have_text(re.compile(r"(0\.[1-9]|[1-9]\d*\.)\d*\spt outage"))


def test_end_now_ends_the_event_and_reset_goes_back_to_the_baseline(visit: Visit, api: Callable[..., Any]) -> None:
    before = visit.card("loss_pct").value.inner_text()
    visit.click("trigger_theft")
    visit.page.get_by_role("button", name="End now").click()
    visit.says("Theft on FEEDER_7 has ended")
    expect(visit.card("at_risk").change).to_have_text("no theft running", timeout=PATIENCE_MS)
    expect(visit.card("loss_pct").change).to_contain_text("theft")  # what it did to the day stays
    expect(visit.keyed("story_panel")).to_contain_text("ended at")
    visit.click("reset_demo")
    visit.says("Back to the baseline")
    expect(visit.card("loss_pct").value).to_have_text(before)
    assert events_of(api) == []


def test_a_click_on_the_picture_opens_a_feeder_and_a_meter(visit: Visit) -> None:
    picture = visit.keyed("grid_chart")
    picture.locator("[data-feeder=FEEDER_2] .hit").click(force=True)
    visit.says("Supplied and metered, FEEDER_2")
    expect(visit.keyed("event_feeder").locator("input")).to_have_value("FEEDER_2", timeout=PATIENCE_MS)
    picture.locator("[data-meter]").nth(12).dispatch_event("click")  # the picture may still be zooming
    expect(visit.page.get_by_role("dialog")).to_contain_text("kWh", timeout=PATIENCE_MS)
    visit.page.keyboard.press("Escape")
    visit.choose("chart_feeder", "Follow the event")


def test_a_double_click_is_one_event(visit: Visit, api: Callable[..., Any]) -> None:
    visit.keyed("trigger_theft").locator("button").dblclick()
    expect(visit.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
    before = grid_now(api)
    know(visit, api)
    visit.click("publish_cycle")  # clicks are done in their order, so the second one is over when this one is
    visit.until(lambda: grid_now(api) > before)
    assert len(events_of(api)) == 1


def test_a_double_click_on_publish_is_one_interval(visit: Visit, api: Callable[..., Any]) -> None:
    before = grid_now(api)
    know(visit, api)
    visit.keyed("publish_cycle").locator("button").dblclick()
    visit.until(lambda: grid_now(api) > before)
    visit.click("trigger_theft")  # done after both clicks; publishes an interval of its own
    expect(visit.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
    assert grid_now(api) - before == 2 * timedelta(minutes=15)


def know(visit: Visit, api: Callable[..., Any]) -> None:
    """Waits until the page is drawn for the grid clock as it is; a publish for an earlier one does nothing."""
    known = re.sub(r"[^\w-]", "-", f"st-key-publish_cycle_{grid_now(api)}")
    expect(visit.page.locator(f".{known}")).to_be_visible(timeout=PATIENCE_MS)
    visit.still()


def grid_now(api: Callable[..., Any]) -> datetime:
    return datetime.fromisoformat(api(f"status?tenantId={TENANT}")["gridNow"])


def test_auto_publishes_without_a_click(visit: Visit) -> None:
    before = visit.grid_clock
    visit.click("auto_publish")
    visit.says("Publishing an interval every")
    visit.next_interval(before)
    expect(visit.keyed("auto_publish")).to_contain_text("Auto: on", timeout=PATIENCE_MS)
    visit.click("auto_publish")
    visit.says("Publishing on a timer is off.")


@pytest.mark.parametrize("busy", [pytest.param(False, id="idle"), pytest.param(True, id="both cores busy")])
def test_opening_reloading_and_leaving_control_rooms_is_no_act(
    browser: Browser, served: Served, visit: Visit, api: Callable[..., Any], busy: bool
) -> None:
    """The timer is switched through the API alone, at a pace that no button of the page has."""

    def timer() -> tuple[bool, float | None]:
        auto = api(f"status?tenantId={TENANT}")["auto"]
        return auto["running"], auto["everySeconds"]

    with ExitStack() as opened:
        rooms = [opened.enter_context(visiting(browser, served.base_url)).control_room() for _ in range(3)]
        opened.enter_context(busy_cores() if busy else nullcontext())
        deadline, turn = monotonic() + GHOST_SECONDS, 0
        while monotonic() < deadline:
            if turn % 2:
                api("auto/stop")
            else:
                api("auto/start", everySeconds=3600)
            wanted = (False, None) if turn % 2 else (True, 3600)
            rooms[turn % 3].page.goto("about:blank")
            rooms[(turn + 1) % 3].open()
            expect(visit.keyed("auto_publish")).to_contain_text("off" if turn % 2 else "on", timeout=PATIENCE_MS)
            assert timer() == wanted
            turn += 1
        assert turn > 3
    assert timer() == wanted


def test_what_another_browser_or_the_api_does_shows_by_itself(
    visit: Visit, browser: Browser, served: Served, api: Callable[..., Any]
) -> None:
    with visiting(browser, served.base_url) as other:
        other.control_room()
        visit.click("trigger_theft")
        expect(other.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
        api("auto/start", everySeconds=3600)
        for one in (visit, other):
            expect(one.keyed("auto_publish")).to_contain_text("Auto: on", timeout=PATIENCE_MS)
        other.click("reset_demo")
        for one in (visit, other):
            expect(one.keyed("auto_publish")).to_contain_text("Auto: off", timeout=PATIENCE_MS)
            expect(one.card("loss_pct").change).to_have_text("no event today", timeout=PATIENCE_MS)
        before = other.grid_clock
        api("publish-once")
        for one in (visit, other):
            expect(one.keyed("header")).not_to_contain_text(before, timeout=PATIENCE_MS)


def test_the_keyboard_reaches_the_trigger(visit: Visit, api: Callable[..., Any]) -> None:
    visit.keyed("event_duration").locator("input").focus()
    for _ in range(8):
        visit.page.keyboard.press("Tab")
        if visit.keyed("trigger_theft").locator("button:focus").count():
            break
    visit.page.keyboard.press("Enter")
    expect(visit.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
    assert len(events_of(api)) == 1


def test_six_events_fit_the_presenters_screen_and_can_all_be_ended(visit: Visit, api: Callable[..., Any]) -> None:
    cards = visit.keyed("card_loss_pct").bounding_box()
    trigger_all_three(api)
    for number in (1, 2, 4):
        api("event/theft", feederId=f"FEEDER_{number}", durationMinutes=120, severity=0.7)
    ends = visit.page.get_by_role("button", name="End now")
    expect(ends).to_have_count(6, timeout=PATIENCE_MS)
    for number in range(6):
        expect(ends.nth(number)).to_be_in_viewport(ratio=1)
    assert visit.keyed("card_loss_pct").bounding_box() == cards
    assert visit.overlong_px() == 0
    assert visit.sideways_px() == 0
    for key in ("story_panel", "grid_chart", "trigger_comms_outage", "publish_cycle"):
        box = visit.keyed(key).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= DESK["height"]


def test_nothing_jumps_or_vanishes_while_intervals_come_in(visit: Visit, api: Callable[..., Any]) -> None:
    keys = [*(f"card_{kpi}" for kpi in KPIS), "energy_chart", "grid_chart", "chart_feeder", "trigger_theft", "header"]
    api("event/theft", feederId="FEEDER_7", durationMinutes=600, severity=0.7)
    api("publish-once")
    expect(visit.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
    expect(visit.keyed("energy_chart")).to_contain_text("without events")
    visit.page.evaluate(
        """keys => {
          window.boxes = Object.fromEntries(keys.map(key => [key, new Set()]));
          window.watch = setInterval(() => { for (const key of keys) {
            const found = document.querySelectorAll(`.st-key-${key}`), box = found[0]?.getBoundingClientRect();
            const hosts = [...found[0]?.querySelectorAll('*') ?? []].filter(one => one.shadowRoot);
            const drawn = [found[0], ...hosts.map(one => one.shadowRoot)];
            const lines = drawn.map(one => one?.querySelectorAll('svg path').length ?? 0);
            const empty = key.endsWith('_chart') && Math.max(...lines) < 5;
            window.boxes[key].add(found.length === 1 && !empty
              ? [box.x, box.y, box.width, box.height].map(Math.round).join() : 'not there');
          } }, 20);
        }""",
        keys,
    )
    clock = visit.grid_clock
    api("auto/start", everySeconds=1)
    for _ in range(4):
        clock = visit.next_interval(clock)
    api("auto/stop")
    boxes = visit.page.evaluate(
        "(clearInterval(window.watch), Object.fromEntries(Object.entries(window.boxes).map(([k, v]) => [k, [...v]])))"
    )
    assert {key: seen for key, seen in boxes.items() if len(seen) != 1 or "not there" in seen} == {}


def test_every_page_opens_from_the_navigation(visit: Visit, api: Callable[..., Any]) -> None:
    trigger_all_three(api)
    for title, shown in PAGES.items():
        visit.page.get_by_role("link", name=title, exact=True).click()
        visit.says(shown)
        expect(visit.keyed("header")).to_contain_text(f"Simulated events on {TENANT}")
        assert visit.sideways_px() == 0


def test_hotkeys_act_once_and_never_while_somebody_types(visit: Visit, api: Callable[..., Any]) -> None:
    def press_twice(key: str) -> None:
        event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
        visit.page.evaluate(f"() => {{ for (const turn of [1, 2]) document.body.dispatchEvent({event}); }}")

    before = grid_now(api)
    know(visit, api)
    visit.keyed("event_feeder").locator("input").press("p")
    visit.page.keyboard.press("Escape")
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.keyboard.press("?")
    expect(visit.page.get_by_role("dialog", name="Hotkeys")).to_contain_text("Publish cycle")
    press_twice("t")  # not while the list is open
    visit.page.keyboard.press("?")
    expect(visit.page.get_by_role("dialog", name="Hotkeys")).to_have_count(0)
    press_twice("p")
    visit.until(lambda: grid_now(api) > before)
    know(visit, api)
    press_twice("t")
    expect(visit.card("loss_pct").change).to_contain_text("theft", timeout=PATIENCE_MS)
    know(visit, api)
    visit.click("publish_cycle")  # done after all that was pressed
    visit.until(lambda: grid_now(api) - before >= 3 * timedelta(minutes=15))
    assert grid_now(api) - before == 3 * timedelta(minutes=15)
    assert [one["eventType"] for one in events_of(api)] == ["theft"]


def test_no_page_is_wider_than_a_phone(browser: Browser, served: Served, api: Callable[..., Any]) -> None:
    trigger_all_three(api)
    with visiting(browser, served.base_url, viewport=PHONE) as phone:
        phone.control_room()
        assert phone.sideways_px() == 0
        header = phone.keyed("header").bounding_box()
        assert header is not None
        assert header["height"] <= PHONE["height"] / 8
        for title, shown in PAGES.items():
            phone.open("" if title == CONTROL_ROOM else title.lower().replace(" ", "_").replace("-", "_"))
            phone.says(shown)
            assert phone.sideways_px() == 0


@pytest.mark.parametrize(
    ("theme", "options"),
    [
        pytest.param("light", {}, id="light"),
        pytest.param("dark", {"runOnly": ["color-contrast"]}, id="dark"),  # what else there is, is the same in both
    ],
)
def test_no_page_has_a_serious_accessibility_violation(
    browser: Browser, served: Served, api: Callable[..., Any], theme: str, options: dict[str, Any]
) -> None:
    trigger_all_three(api)
    found: list[tuple[str, ...]] = []
    with visiting(
        browser, served.base_url, color_scheme=theme, bypass_csp=True
    ) as visit:  # axe is written into the page
        visit.control_room()
        for title, shown in PAGES.items():
            visit.page.get_by_role("link", name=title, exact=True).click()
            visit.says(shown)
            visit.still()  # half-faded letters have no contrast
            for violation in Axe().run(visit.page, options=options).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    found += [(title, violation["id"], node["html"]) for node in violation["nodes"]]
    assert found == []


def test_behind_a_proxy_the_key_unlocks_and_is_never_shown(browser: Browser, served: Served) -> None:
    with visiting(browser, served.base_url, extra_http_headers={"X-Forwarded-For": "10.1.2.3"}) as visit:
        visit.control_room()
        trigger, field = visit.keyed("trigger_theft").locator("button"), visit.keyed("presenter_key").locator("input")
        expect(trigger).to_be_disabled()
        assert served.key not in visit.page.content()
        field.fill("not the key")
        field.press("Enter")
        visit.says("That is not the key")
        expect(trigger).to_be_disabled()
        field.fill(served.key)
        field.press("Enter")
        expect(trigger).to_be_enabled(timeout=PATIENCE_MS)
        expect(field).to_have_count(0)
        assert served.key not in visit.page.content()


def test_a_click_in_a_tab_that_closes_is_done_whole_or_not_at_all(
    browser: Browser, served: Served, visit: Visit, api: Callable[..., Any]
) -> None:
    with visiting(browser, served.base_url) as hasty:
        hasty.control_room().click("trigger_theft")
    before = visit.grid_clock
    visit.click("publish_cycle")
    visit.next_interval(before)

    def agree() -> bool:
        change = visit.card("loss_pct").change.inner_text()
        return ("theft" in change) == bool(events_of(api)) and ("no event today" in change) != bool(events_of(api))

    visit.until(agree)
    assert len(events_of(api)) <= 1


def test_a_database_that_goes_away_is_a_banner_and_comes_back_by_itself(visit: Visit, served: Served) -> None:
    seen = visit.card("loss_pct").value.inner_text()
    postmaster = int((served.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, getattr(signal, "SIGKILL", signal.SIGTERM))
    banner = visit.page.locator("[data-testid=stAlert]")
    expect(banner.first).to_contain_text("The database does not answer", timeout=PATIENCE_MS)
    expect(banner.first).to_contain_text(re.compile(r"Figures as of (\w{3} )?\d\d:\d\d, \d+ s ago"))
    expect(visit.keyed("header")).not_to_contain_text("live")
    expect(visit.keyed("trigger_theft").locator("button")).to_be_disabled()
    expect(visit.card("loss_pct").value).to_have_text(seen)
    expect(banner).to_have_count(0, timeout=2 * PATIENCE_MS)
    visit.click("publish_cycle")
    visit.says("reads published for")
    assert visit.page.locator("[data-testid=stException]").count() == 0
    assert "Traceback" not in served.log.read_text()
