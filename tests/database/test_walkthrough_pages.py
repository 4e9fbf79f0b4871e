"""Walkthrough, audience and time-lapse as pages: what they show, and who may do what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
import streamlit as st
from helpers import FROZEN, TENANT
from screens import ODD_NAME, READ, SHORT_STORY, button, odd_story, shown
from streamlit import config
from streamlit.testing.v1 import AppTest

import pages._audience_address
import pages._cues
import pages._data
import pages._frame
from gridlens_core.demo.demo import Demo
from gridlens_core.show import Show, on_stage, put_on_stage
from gridlens_core.walkthrough.story import STORY_FILE, load_story

ZONE = "America/Chicago"  # of the default settings
ENTRY = str(Path(pages.__file__).with_name("entry.py"))


@pytest.fixture(scope="module", autouse=True)
def _theme() -> Iterator[None]:
    """The theme file, which Streamlit finds from the folder it is started in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(ENTRY).parent.parent)
        config.get_config_options(force_reparse=True)
    yield
    config.get_config_options(force_reparse=True)


@pytest.fixture
def served(make_demo: Callable[..., Demo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Demo]:
    """A demo with a short story of a utility's own, as the pages find it, looked at from the machine itself."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / STORY_FILE).write_text(SHORT_STORY, encoding="utf-8")
    demo = make_demo(data_dir=folder)
    show = put_on_stage(Show(demo, load_story(folder)))
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: True)
    st.cache_data.clear()
    yield demo
    show.stop()


def opened(page: str, **query: str) -> AppTest:
    """A browser on a page, after its first drawing."""
    browser = AppTest.from_file(ENTRY, default_timeout=30)
    for name, value in query.items():
        browser.query_params[name] = value
    browser.run()
    browser.switch_page(page)
    return look(browser)


def look(browser: AppTest) -> AppTest:
    """Draws the page as it is now; nothing on it may fail."""
    pages._data.news.clear()
    browser.run()
    assert not browser.exception
    return browser


def words_of(browser: AppTest) -> str:
    """All the text of a page."""
    elements = [*browser.markdown, *browser.caption, *browser.title, *browser.subheader, *browser.info]
    return shown("\n".join(str(element.value) for element in elements))


def press(browser: AppTest, demo: Demo, key: str) -> AppTest:
    """Clicks, waits until the story has done what was asked, and looks again."""
    button(browser, key).click().run()
    assert not browser.exception
    on_stage().director(TENANT).wait()
    return look(browser)


def test_the_presenter_plays_the_story_act_by_act(served: Demo) -> None:
    page = opened("walkthrough.py")
    assert "The executive walkthrough" in words_of(page)
    assert button(page, "walk_back").disabled
    press(page, served, "walk_next")
    assert "All is quiet." in words_of(page)
    press(page, served, "walk_next")
    said = words_of(page)
    assert "Somebody takes energy on Quay." in said
    assert "FEEDER_7" not in said
    assert [shown(one.value) for one in page.metric if one.label == "Recovered a year"] == ["$0.00"]
    press(page, served, "walk_next")
    assert served.events(TENANT, active=True) == []
    assert [shown(one.value) for one in page.metric if one.label == "Recovered a year"] != ["$0.00"]
    assert button(page, "walk_next").disabled
    press(page, served, "walk_back")
    assert "Act 2 of 3" in words_of(page)
    assert [one.event_type for one in served.events(TENANT, active=True)] == ["theft"]
    press(page, served, "walk_replay")
    assert "Act 2 of 3" in words_of(page)
    button(page, "walk_jump_0").click().run()
    on_stage().director(TENANT).wait()
    assert "Act 1 of 3" in words_of(look(page))


def test_the_autopilot_and_a_pause_are_told_to_the_director(served: Demo) -> None:
    page = opened("walkthrough.py")
    button(page, "walk_autopilot").click().run()
    assert on_stage().director(TENANT).wait(1).act is not None
    button(look(page), "walk_pause").click().run()
    assert on_stage().director(TENANT).wait().paused
    button(look(page), "walk_pause").click().run()
    assert not on_stage().director(TENANT).scene().paused
    button(look(page), "walk_autopilot").click().run()
    assert not on_stage().director(TENANT).scene().autopilot


def test_without_the_key_nothing_can_be_played(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: False)
    page = opened("walkthrough.py")
    keys = ("walk_next", "walk_back", "walk_replay", "walk_pause", "walk_autopilot", "walk_jump_0")
    assert all(button(page, key).disabled for key in keys)
    lapse = opened("time_lapse.py")
    assert all(button(lapse, key).disabled for key in ("lapse_play_0", "lapse_step"))
    assert not lapse.select_slider[0].disabled  # looking back is for everybody


def test_the_audience_sees_the_act_and_has_nothing_to_click(served: Demo) -> None:
    page = opened("audience.py")
    assert "The grid, live" in words_of(page)
    director = on_stage().director(TENANT)
    director.jump(1)
    director.wait()
    said = words_of(look(page))
    assert "Energy disappears" in said
    assert "Northern Light" in said
    assert "Quay" in said
    assert "FEEDER_7" not in said
    assert "Simulated events on DEMO" in said
    widgets = [*page.button, *page.toggle, *page.selectbox, *page.slider, *page.text_input, *page.select_slider]
    assert widgets == []


def test_the_audience_is_never_unlocked_whatever_it_asks_for(served: Demo) -> None:
    page = opened("audience.py")
    page.session_state["unlocked"] = True  # even with the key of a presenter
    before = served.desk.pulse(TENANT)
    for other in ("control_room.py", "walkthrough.py", "time_lapse.py", "audience.py"):
        page.switch_page(other)
        look(page)
        assert [*page.button, *page.toggle, *page.selectbox, *page.slider, *page.text_input] == []
    assert page.session_state["audience"] is True
    assert served.desk.pulse(TENANT) == before


def test_an_audience_session_may_not_act_even_where_a_click_gets_through(
    served: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    state = {"audience": True, "unlocked": True}
    monkeypatch.setattr(pages._frame.st, "session_state", state)
    assert not pages._frame.unlocked()
    assert not pages._frame.act(lambda: done.append("written") or "written")
    assert done == []
    state.clear()
    assert pages._frame.unlocked()


def test_the_audience_of_an_unknown_tenant_sees_the_first_one(served: Demo) -> None:
    page = opened("audience.py", tenant="SOMEBODY")
    assert "The grid, live" in words_of(page)


def test_time_lapse_steps_plays_and_goes_back(served: Demo) -> None:
    served.publish(TENANT)
    page = opened("time_lapse.py")
    before = served.desk.pulse(TENANT).grid_now
    button(page, "lapse_step").click().run()
    after = served.desk.pulse(TENANT).grid_now
    assert after > before
    bar = look(page).select_slider[0]
    assert (bar.value, clock_of(page)) == ("now", after)
    bar.set_value(before).run()
    assert (page.select_slider[0].value, clock_of(look(page))) == (before, before)
    served.publish(TENANT)
    assert (page.select_slider[0].value, clock_of(look(page))) == (before, before)  # it stays where it was put
    button(page, "lapse_step").click().run()
    assert (look(page).select_slider[0].value, clock_of(page)) == ("now", served.desk.pulse(TENANT).grid_now)
    page.button(key="lapse_play_0").click().run()
    assert served.auto_state(TENANT).every_seconds == 0.6
    look(page).button(key="lapse_play_1").click().run()
    assert served.auto_state(TENANT).every_seconds == 1.25
    look(page).button(key="lapse_pause").click().run()
    assert not served.auto_state(TENANT).running


def clock_of(page: AppTest) -> datetime:
    """The grid time whose figures are on the page."""
    (said,) = re.findall(r"\*\*Grid time (.*)\*\*", words_of(page))
    local = datetime.strptime(f"{said} {FROZEN.year}", "%a %d %b %H:%M %Y").replace(tzinfo=ZoneInfo(ZONE))
    return local.astimezone(UTC)


def test_a_second_click_on_next_is_not_a_second_act(served: Demo) -> None:
    page = opened("walkthrough.py")
    first, director = button(page, "walk_next"), on_stage().director(TENANT)
    first.click().run()
    director.wait()
    director.next(-1)  # the second click of a double click, which saw no act yet
    assert director.wait().act == 0
    director.back(1)  # and one that saw another act
    assert director.wait().act == 0


def test_the_presenters_page_says_what_comes_now_and_next(served: Demo) -> None:
    page = opened("presenter.py")
    assert "Before the first act" in words_of(page)
    press(page, served, "cue_n")
    said = words_of(page)
    assert "All is quiet." in said
    assert "Somebody takes energy on Quay." in said
    assert "Views answer in" in said
    press(page, served, "cue_n")
    press(page, served, "cue_b")
    assert on_stage().director(TENANT).scene().act == 0
    before = served.desk.pulse(TENANT).grid_now
    button(look(page), "cue_p").click().run()
    button(look(page), "cue_t").click().run()
    assert served.desk.pulse(TENANT).grid_now - before == timedelta(minutes=30)
    assert [one.event_type for one in served.events(TENANT, active=True)] == ["theft"]


def test_cues_pressed_twice_are_done_once(served: Demo) -> None:
    seen = pages._data.news(TENANT)
    page = opened("presenter.py")
    for key in ("p", "t"):
        clicked = button(page, f"cue_{key}")
        clicked.click().run()
        clicked.click().run()
    assert served.desk.pulse(TENANT).grid_now - seen.pulse.grid_now == timedelta(minutes=30)
    assert len(served.events(TENANT)) == 1


def test_only_the_presenter_has_cues(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.type for one in opened("control_room.py").get("bidi_component")] != []
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: False)
    locked = opened("presenter.py")
    assert all(button(locked, f"cue_{key}").disabled for key in "nbpt")
    mounted = []
    monkeypatch.setattr(pages._cues, "_keys", lambda **_: mounted.append(True))
    pages._cues.hotkeys()
    assert mounted == []


def test_the_loop_is_switched_on_the_page_and_said_to_the_audience(served: Demo) -> None:
    page = opened("walkthrough.py")
    button(page, "walk_kiosk").click().run()
    on_stage().director(TENANT).wait_until(lambda scene: scene.act is not None, 20)
    on_stage().director(TENANT).pause()
    assert on_stage().director(TENANT).wait().loops
    assert "All is quiet." in words_of(opened("audience.py"))
    button(look(page), "walk_kiosk").click().run()
    assert not on_stage().director(TENANT).wait().loops


def test_a_second_click_on_replay_is_not_a_second_replay(served: Demo) -> None:
    director = on_stage().director(TENANT)
    director.next()
    seen = director.wait().plays
    director.replay(seen)
    director.replay(seen)
    assert director.wait().plays == seen + 1


@pytest.mark.parametrize(
    "page",
    [
        *("control_room", "walkthrough", "time_lapse", "losses", "suspicious_meters", "field_operations", "events"),
        *("cases", "worth", "data_source", "audience", "presenter"),
    ],
)
def test_a_name_full_of_signs_is_shown_as_it_is_on_every_page(
    make_demo: Callable[..., Demo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / STORY_FILE).write_text(odd_story(SHORT_STORY), encoding="utf-8")
    demo = make_demo(data_dir=folder)
    show = put_on_stage(Show(demo, load_story(folder)))
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: True)
    st.cache_data.clear()
    show.director(TENANT).next()
    show.director(TENANT).next()
    show.director(TENANT).wait()
    now = demo.desk.pulse(TENANT).grid_now
    with demo.session.transaction() as connection:  # another service may write any text
        connection.execute(
            sa.text("INSERT INTO ami_events (tenant_id, feeder_id, event_type, severity, starts_at, ends_at)"
                    " VALUES (:tenant, :odd, :kind, .5, :now, :now + interval '2 hours')"),
            [{"tenant": TENANT, "odd": ODD_NAME, "kind": kind, "now": now} for kind in ("theft", ODD_NAME)],
        )  # fmt: skip
    demo.publish(TENANT)
    drawn = opened(f"{page}.py")
    texts = [
        str(text)
        for one in [*drawn.main, *drawn.sidebar]
        if getattr(one, "proto", None) is not None
        and one.type not in ("arrow_data_frame", "code", "selectbox")  # those read no Markdown
        for text in (getattr(one.proto, name, "") for name in ("body", "label", "help", "text", "value", "delta"))
    ]
    assert [(text, sign) for text in texts for sign in READ if sign in text] == []
    assert any(ODD_NAME in shown(text) for text in texts)
    show.stop()


@pytest.mark.parametrize(
    ("server", "browser", "address", "alone"),
    [
        pytest.param(
            "localhost", "http://localhost:8501/walkthrough", "http://localhost:8501/audience", True, id="this machine"
        ),
        pytest.param(
            None, "http://localhost:8501/walkthrough", "http://10.1.2.3:8501/audience", False, id="the network"
        ),
        pytest.param(
            None, "http://demo.local:8501/walkthrough", "http://demo.local:8501/audience", False, id="by its name"
        ),
        pytest.param(
            "localhost", "https://demo.example/grid/walkthrough", "https://demo.example/grid/audience", False,
            id="behind a proxy",
        ),
    ],
)  # fmt: skip
def test_the_audiences_address_is_one_that_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, server: str | None, browser: str, address: str, alone: bool
) -> None:
    class Context:
        url = browser

    here = pages._audience_address
    monkeypatch.setattr(here.st, "get_option", lambda _: server)
    monkeypatch.setattr(here.st, "context", Context)
    monkeypatch.setattr(here, "own_address", lambda: "10.1.2.3")
    assert here.address(TENANT) == f"{address}?tenant={TENANT}"
    assert here.only_this_machine() is alone
