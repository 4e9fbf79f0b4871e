"""Pages in a real browser: names that are full of signs, and a server that is asked for every page as it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from helpers import server_folder
from playwright.sync_api import Browser, expect
from screens import ODD_NAME, ODD_TEXT, SHORT_STORY, odd_story
from serving import start_server
from visits import PATIENCE_MS, busy_cores, chromium, visiting

from gridlens_core.walkthrough.story import STORY_FILE
from pages._look import JOINER

ADDRESSES = (
    *("", "walkthrough", "time_lapse", "losses", "suspicious_meters", "field_operations", "cases", "worth", "events"),
    *("data_source", "audience"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def test_names_full_of_signs_are_shown_letter_by_letter(browser: Browser) -> None:
    with server_folder() as folder:
        (folder / STORY_FILE).write_text(odd_story(SHORT_STORY), encoding="utf-8")
        served = start_server(folder)
        try:
            with visiting(browser, served.base_url) as visit:
                visit.open("walkthrough").click("walk_next")
                panel = visit.keyed("say_panel")
                expect(panel).to_contain_text("Act 1 of", timeout=PATIENCE_MS)
                said = panel.inner_text().replace(JOINER, "")
                assert ODD_NAME in said
                assert " ".join(ODD_TEXT.split()) in said
                assert ODD_NAME in visit.keyed("header").inner_text().replace(JOINER, "")
                assert panel.locator("em, code, .katex, a, img, b, li, [data-testid=stIconMaterial]").count() == 0
        finally:
            served.stop()


def test_many_pages_open_at_once_on_a_server_that_has_just_started_on_a_busy_machine(browser: Browser) -> None:
    with server_folder() as folder, busy_cores(), ExitStack() as opened:
        served = start_server(folder)
        opened.callback(served.stop)
        addresses = ADDRESSES[::2]
        visits = [opened.enter_context(visiting(browser, served.base_url)) for _ in addresses]
        for visit, address in zip(visits, addresses, strict=True):
            visit.page.goto(f"{served.base_url}/{address}", wait_until="commit")
        for visit, address in zip(visits, addresses, strict=True):
            expect(visit.page.get_by_text("Grid clock").first).to_be_visible(timeout=3 * PATIENCE_MS)
            assert visit.page.locator("[data-testid=stException]").count() == 0, address
        log = served.log.read_text()
        assert "Traceback" not in log


def test_no_page_breaks_its_content_security_policy(browser: Browser) -> None:
    with server_folder() as folder:
        served = start_server(folder)
        try:
            with visiting(browser, served.base_url) as visit:
                broken: list[str] = []
                visit.page.on("console", lambda message: broken.append(message.text))
                visit.open().click("trigger_theft")  # which is also that a local browser needs no key
                visit.says("Theft on")
                for address in ADDRESSES:
                    answer = visit.page.goto(f"{served.base_url}/{address}")
                    assert answer is not None
                    assert "script-src 'self' 'sha256-" in answer.headers["content-security-policy"]
                    expect(visit.page.get_by_text("Grid clock").first).to_be_visible(timeout=PATIENCE_MS)
                    visit.still()
                assert [one for one in broken if "Content Security Policy" in one] == []
                written = "const one = document.createElement('script'); one.text = 'window.written = 1'; "
                visit.page.evaluate(f"() => {{{written} document.head.append(one)}}")
                assert visit.page.evaluate("window.written") is None
                assert any("Content Security Policy" in one for one in broken)
        finally:
            served.stop()


def test_without_protection_against_other_pages_a_local_browser_needs_the_key(browser: Browser) -> None:
    with server_folder() as folder:
        served = start_server(folder, {"STREAMLIT_SERVER_ENABLE_CORS": "false"})
        try:
            with visiting(browser, served.base_url) as visit:
                visit.open()
                expect(visit.keyed("presenter_key").locator("input")).to_be_visible(timeout=PATIENCE_MS)
                expect(visit.keyed("trigger_theft").locator("button")).to_be_disabled()
        finally:
            served.stop()
