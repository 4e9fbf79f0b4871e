"""Every page as Streamlit runs it, on the real local database: what it shows, and who may do what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import streamlit as st
from helpers import TENANT, event_request, kpis_of
from screens import button, shown
from streamlit import config
from streamlit.testing.v1 import AppTest

from gridlens_core.database.embedded import KEY_FILE
from gridlens_core.demo.demo import Demo
from gridlens_core.demo.keys import AT_ONCE, KeyCheck
from gridlens_core.demo.viewer import is_local
from gridlens_core.errors import DatabaseUnavailableError
from gridlens_core.settings import Settings
from gridlens_core.show import Show, put_on_stage
from gridlens_core.walkthrough.story import load_story
from pages import _calm, _data, _frame

ROOT = Path(_data.__file__).parent.parent
SECONDS = 60  # for one run of a page on a busy machine
PAGES = ("control_room", "losses", "suspicious_meters", "field_operations", "cases", "worth", "events", "data_source")
CONTROLS = ("trigger_theft", "trigger_voltage_sag", "trigger_comms_outage", "publish_cycle", "rehearse", "reset_demo")

EVERY_PAGE = (*PAGES, "walkthrough", "time_lapse", "audience", "presenter")
SENT = {"Host": "localhost:8501", "Origin": "http://localhost:8501"}
HARMLESS = ("check_again", "why_", "worth_back")  # look, and change nothing
BUTTONS = (*CONTROLS, "auto_publish")


@pytest.fixture(autouse=True)
def _as_on_the_presenters_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of .streamlit/config.toml that pages ask for, what a browser sends, and no page's cached reads."""
    st.cache_data.clear()
    before = config.get_option("server.address")
    config.set_option("server.address", "localhost")
    monkeypatch.setattr(_frame, "peer", lambda: "127.0.0.1")
    monkeypatch.setattr(_frame, "is_local", lambda headers, *others, **more: is_local(SENT, *others, **more))
    yield
    config.set_option("server.address", before)


@pytest.fixture
def show() -> Callable[..., AppTest]:
    """`show(demo, page)` -> the page, run once on that demo."""

    def run(demo: Demo, page: str = "control_room", **state: object) -> AppTest:
        put_on_stage(Show(demo, load_story(demo.settings.data_dir)))
        app = AppTest.from_file(str(ROOT / "pages" / "entry.py"), default_timeout=SECONDS)
        for key, value in state.items():
            app.session_state[key] = value
        app.run()
        if page != "control_room":
            app.switch_page(f"{page}.py").run()
        assert not app.exception
        return app

    return run


def words_of(app: AppTest) -> str:
    """Everything a page says in text, cards and banners."""
    said = [one.value for one in (*app.markdown, *app.caption, *app.info, *app.error, *app.subheader)]
    return shown("\n".join([*said, *(f"{card.label} {card.value} {card.delta}" for card in app.metric)]))


def control(app: AppTest, key: str) -> Any:
    """The widget with a key of the contract."""
    return button(app, key) if key in BUTTONS else app.get_by_key(key)


def figures_of(app: AppTest) -> list[tuple[str, str, str]]:
    """Every card and metric of a page."""
    return [(one.label, one.value, one.delta) for one in app.metric]


def texts_of(app: AppTest) -> list[str]:
    """The texts of a page, without those that tell how the database is now: the header's, the preflight's and those
    of the check before the show."""
    of_now = ("Grid clock **", "database, live]", "passed: ", "blocked: ", "check_circle:] ", "warning:] ")
    return [one.value for one in app.markdown if not any(words in shown(one.value) for words in of_now)]


def away(*_: object, **__: object) -> object:
    raise DatabaseUnavailableError("The database does not answer: the connection was lost.")


def card(app: AppTest, label: str) -> tuple[str, str]:
    """(value, change) of a KPI card."""
    found = next(one for one in app.metric if one.label == label)
    return shown(found.value), shown(found.delta)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        pytest.param("control_room", ["Loss today", "Trigger an event", "The grid", "All quiet"], id="control-room"),
        pytest.param("losses", ["Lost energy today", "Loss by feeder today", "Feeders today"], id="losses"),
        pytest.param("suspicious_meters", ["Meters named now", "Nobody is named"], id="suspicious-meters"),
        pytest.param("field_operations", ["Open field tasks", "One task is one dispatch"], id="field-operations"),
        pytest.param("cases", ["No case yet", "A case opens by itself"], id="cases"),
        pytest.param("worth", ["in the first year, for", "customers, times use", "these numbers"], id="worth"),
        pytest.param("events", ["No event yet"], id="events"),
        pytest.param("data_source", ["embedded PostgreSQL", "Preflight", "BASE_URL"], id="data-source"),
    ],
)
def test_a_quiet_page_shows_what_the_database_has(
    show: Callable[..., AppTest], demo: Demo, page: str, expected: list[str]
) -> None:
    said = words_of(show(demo, page))
    for text in [*expected, f"Simulated events on {TENANT}", "Grid clock"]:
        assert text in said


def test_the_numbers_of_the_cards_are_those_of_the_views(show: Callable[..., AppTest], demo: Demo) -> None:
    _, kpis = kpis_of(demo, TENANT)
    app = show(demo)
    assert card(app, "Loss today") == (f"{kpis['loss_pct']:.2f} %", "no event today")
    assert card(app, "Read success")[0] == f"{kpis['read_success_pct']:.1f} %"
    assert card(app, "Suspicious meters")[0] == f"{kpis['suspicious_meters']:,.0f}"


def test_every_widget_key_of_the_contract_is_there_and_may_be_used(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    keys = (*CONTROLS, "event_feeder", "event_severity", "event_duration", "auto_publish", "tenant")
    assert [key for key in keys if control(app, key).disabled] == []


def test_a_theft_click_writes_the_event_and_publishes_its_first_interval(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    before, _ = kpis_of(demo, TENANT)
    app = show(demo)
    app.selectbox(key="event_feeder").select("FEEDER_3")
    app.slider(key="event_severity").set_value(50)
    app.selectbox(key="event_duration").select(30)
    app.button(key="trigger_theft").click().run()
    assert not app.exception
    (event,) = demo.events(TENANT)
    assert (event.event_type, event.feeder_id, event.fraction) == ("theft", "FEEDER_3", 0.5)
    assert event.starts_at == before
    assert (event.ends_at - event.starts_at).total_seconds() == 30 * 60
    assert kpis_of(demo, TENANT)[0] > before
    assert "theft" in card(app, "Loss today")[1]
    assert "Theft on FEEDER_3: " in words_of(app)


def test_the_same_click_again_is_not_a_second_event(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    for _ in range(2):
        app.button(key="trigger_voltage_sag").click().run()
    assert len(demo.events(TENANT)) == 1


def test_a_card_names_all_that_moved_it_and_not_the_drift_that_pulled_against_it(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    for number, event_type in enumerate(("theft", "voltage-sag", "comms-outage"), start=1):
        demo.trigger(TENANT, event_request(event_type, feeder_id=f"FEEDER_{number}"))
    demo.publish(TENANT, cycles=2)  # in the second cycle the clean interval would have taken the tasks away again
    demo.desk.explained(TENANT)
    value, change = card(show(demo), "Open field tasks")
    assert value == "3"
    assert change.startswith("+3 ")
    assert sorted(change[3:].replace(" and ", ", ").split(", ")) == ["outage", "sag", "theft"]


@pytest.mark.parametrize(
    ("target", "meters"),
    [pytest.param("Ring of 3", 3, id="ring of 3"), pytest.param("One customer", 1, id="one customer")],
)
def test_a_theft_may_be_aimed_at_a_ring_or_one_customer_and_a_second_click_adds_nothing(
    show: Callable[..., AppTest], demo: Demo, target: str, meters: int
) -> None:
    app = show(demo)
    app.selectbox(key="event_target").select(target).run()
    for _ in range(2):
        app.button(key="trigger_theft").click().run()
    assert not app.exception
    written = demo.events(TENANT)
    assert len(written) == meters
    assert {one.feeder_id for one in written} == {"FEEDER_7"}
    assert len({one.meter_id for one in written} - {None}) == meters


def test_a_preset_fills_the_panel_and_starts_in_one_click(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    button(app, "preset_storm").click().run()
    assert not app.exception
    assert {(one.event_type, one.feeder_id) for one in demo.events(TENANT)} == {
        ("comms-outage", "FEEDER_7"),
        ("comms-outage", "FEEDER_8"),
    }
    button(app, "preset_bypass_at_a_workshop").click().run()
    assert app.selectbox(key="event_feeder").value == "FEEDER_3"
    assert (app.selectbox(key="event_target").value, app.slider(key="event_severity").value) == ("One customer", 80)
    (theft,) = [one for one in demo.events(TENANT) if one.event_type == "theft"]
    assert demo.desk.fleet(TENANT).customers[str(theft.meter_id)] == "workshop"
    said = words_of(app)
    assert "FEEDER_7 has no workshop; the next one is on FEEDER_3." in said
    assert f"theft at a workshop ({theft.meter_id})" in said


def test_end_now_ends_the_event_at_the_grid_clock(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    app.button(key="trigger_comms_outage").click().run()
    (event,) = demo.events(TENANT)
    app.button(key=f"end_{event.id}").click().run()
    assert not app.exception
    assert demo.events(TENANT, active=True) == []
    assert "has ended" in words_of(app)


def test_reset_goes_back_to_the_baseline(show: Callable[..., AppTest], demo: Demo) -> None:
    before, kpis = kpis_of(demo, TENANT)
    app = show(demo)
    app.button(key="trigger_theft").click().run()
    button(app, "reset_demo").click().run()
    assert not app.exception
    assert kpis_of(demo, TENANT) == (before, kpis)
    assert "Back to the baseline; 1 event ended." in words_of(app)


def test_a_second_click_on_reset_is_not_a_second_reset(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    clicked, resets = button(app, "reset_demo"), demo.resets[TENANT]
    clicked.click().run()
    clicked.click().run()
    assert demo.resets[TENANT] == resets + 1


def test_the_auto_button_follows_the_timer_whoever_starts_it(show: Callable[..., AppTest], demo: Demo) -> None:
    app = show(demo)
    assert button(app, "auto_publish").label == "Auto: off"
    demo.auto.start(demo.session.database, TENANT, 3600, 15)
    _data.forget_pulse()
    assert button(app.run(), "auto_publish").label == "Auto: on"
    assert demo.auto_state(TENANT).every_seconds == 3600  # seeing it is no act
    button(app, "auto_publish").click().run()
    assert demo.auto_state(TENANT).running is False
    button(app, "auto_publish").click().run()
    assert demo.auto_state(TENANT).running is True
    button(app, "reset_demo").click().run()
    assert button(app, "auto_publish").label == "Auto: off"
    assert not app.exception


def test_a_click_does_what_its_label_said_whatever_has_happened_meanwhile(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    app = show(demo)
    demo.auto.start(demo.session.database, TENANT, 3600, 15)  # the page says still that it is off
    button(app, "auto_publish").click().run()
    assert demo.auto_state(TENANT).every_seconds == 3600
    demo.auto.stop(TENANT)
    button(app, "auto_publish").click().run()  # and now that it is on
    assert demo.auto_state(TENANT).running is False
    before = demo.desk.pulse(TENANT).grid_now
    _data.forget_pulse()
    late = button(app.run(), "publish_cycle")
    demo.publish(TENANT)
    after = demo.desk.pulse(TENANT).grid_now
    late.click().run()
    assert demo.desk.pulse(TENANT).grid_now == after > before
    assert not app.exception


@pytest.mark.parametrize("page", ["control_room", "walkthrough", "time_lapse", "events", "data_source"])
def test_no_widget_acts_on_the_server_when_its_value_changes(
    show: Callable[..., AppTest], demo: Demo, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """A browser's stale value counts as a change, so only what this browser shows may depend on one."""
    app = show(demo, page)
    acts: list[str] = []
    monkeypatch.setattr(_frame, "act", lambda what: acts.append(str(what)) or False)
    for one in [*app.toggle, *app.checkbox]:
        one.set_value(not one.value).run()
    for one in [one for one in app.selectbox if one.key != "event_duration"]:  # AppTest formats its options twice
        one.select_index(len(one.options) - 1).run()
    for one in app.select_slider:
        one.set_value(demo.desk.published(demo.desk.fresh(TENANT))[0]).run()
    for one in app.slider:
        one.set_value(one.min).run()
    for one in app.button_group:
        one.set_value(one.options[-1]).run()
    assert not app.exception
    assert acts == []


def test_until_the_demo_is_ready_a_bar_shows_how_far_the_start_has_come(
    show: Callable[..., AppTest], make_demo: Callable[..., Demo]
) -> None:
    app = show(make_demo(start=False))
    assert app.get("progress")
    assert not app.metric


def test_a_start_that_failed_says_why(show: Callable[..., AppTest], make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(start=False)
    demo.session.start_error = DatabaseUnavailableError(
        "The database does not answer: nothing listens at that address."
    )
    assert "nothing listens at that address" in show(demo).error[0].value


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_while_the_database_is_away_a_page_keeps_its_figures_and_says_of_when_they_are(
    show: Callable[..., AppTest], demo: Demo, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    demo.trigger(TENANT, event_request())
    demo.publish(TENANT)
    app = show(demo, page)
    seen = figures_of(app), texts_of(app)
    with monkeypatch.context() as patch:
        patch.setattr(demo.session, "transaction", away)
        st.cache_data.clear()
        app.run()
        assert not app.exception
        assert (figures_of(app), texts_of(app)) == seen
        said = words_of(app)
        assert re.search(r"the connection was lost. Figures as of \d\d:\d\d, \d+ s ago", said)
        assert "Nothing to show" not in " ".join(str(one.proto) for one in app.info)
        assert ", live" not in said.replace("The grid, live", "")
        assert [one.key for one in app.button if not one.disabled and not one.key.startswith(HARMLESS)] == []
    st.cache_data.clear()
    assert "Figures as of" not in words_of(app.run())
    if page != "audience":
        assert "Local database, live" in words_of(app)
        assert not button(app, "reset_demo").disabled


def test_a_page_opened_while_the_database_is_away_shows_what_others_have_seen(
    show: Callable[..., AppTest], demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = card(show(demo), "Loss today")
    monkeypatch.setattr(demo.session, "transaction", away)
    st.cache_data.clear()
    assert card(show(demo), "Loss today") == seen
    losses = show(demo, "losses")
    assert "Nothing to show just now" not in " ".join(str(one.proto) for one in losses.info)


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_an_error_that_nobody_foresaw_is_a_calm_sentence_and_a_line_in_the_log(
    show: Callable[..., AppTest],
    demo: Demo,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    page: str,
) -> None:
    app = show(demo, page)

    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("a secret of the house")

    with monkeypatch.context() as patch:
        patch.setattr(_data, "moment", broken)
        app.run()
    assert not app.exception
    said = words_of(app)
    assert _calm.FAILED in said
    assert "secret" not in said
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)
    assert _calm.FAILED not in words_of(app.run())


def test_a_click_that_fails_for_a_reason_nobody_foresaw_is_a_calm_sentence(
    show: Callable[..., AppTest], demo: Demo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = show(demo)
    monkeypatch.setattr(demo, "publish", lambda *_, **__: 1 / 0)
    button(app, "publish_cycle").click().run()
    assert not app.exception
    assert _frame.CLICK_FAILED in words_of(app)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("option", "value", "local"),
    [
        pytest.param("server.address", "127.0.0.1", True, id="listens-on-loopback"),
        pytest.param("server.address", "0.0.0.0", False, id="listens-everywhere"),
        pytest.param("server.address", None, False, id="address-not-set"),
        pytest.param("server.enableCORS", False, False, id="other-pages-may-ask"),
        pytest.param("server.enableXsrfProtection", False, False, id="other-pages-may-send"),
    ],
)
def test_a_local_viewer_is_one_by_the_server_s_own_options_too(option: str, value: object, local: bool) -> None:
    before = config.get_option(option)
    config.set_option(option, value)
    try:
        assert _frame.is_local_viewer() is local
    finally:
        config.set_option(option, before)


def test_wrong_keys_are_slowed_down_on_the_page_and_an_empty_one_opens_nothing(
    show: Callable[..., AppTest], demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(_frame, "sleep", waited.append)
    monkeypatch.setattr(demo, "keys", KeyCheck(lambda: 0.0))  # a busy machine draws a page in more than a turn
    config.set_option("server.address", "0.0.0.0")
    app = show(demo)
    for number in range(AT_ONCE + 3):
        app.text_input(key="presenter_key").set_value(f"guess {number}").run()
    assert waited[:AT_ONCE] == [0] * AT_ONCE
    assert waited[-1] > 1
    (demo.settings.data_dir / KEY_FILE).write_text("")
    app.text_input(key="presenter_key").set_value(" ").run()
    app.text_input(key="presenter_key").set_value("").run()
    assert control(app, "trigger_theft").disabled
    app.text_input(key="presenter_key").set_value(str(demo.session.api_key)).run()
    assert not control(app, "trigger_theft").disabled


def test_from_elsewhere_the_controls_are_locked_until_the_key_is_given(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    config.set_option("server.address", "0.0.0.0")
    app = show(demo)
    assert all(control(app, key).disabled for key in CONTROLS)
    app.text_input(key="presenter_key").set_value("not the key").run()
    assert all(control(app, key).disabled for key in CONTROLS)
    app.text_input(key="presenter_key").set_value(str(demo.session.api_key)).run()
    assert not any(control(app, key).disabled for key in CONTROLS)
    assert "presenter_key" not in {one.key for one in app.text_input}
    assert str(demo.session.api_key) not in repr(app.main)


def test_an_existing_database_without_a_key_has_its_controls_off_and_says_so(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    elsewhere = {**demo.settings.model_dump(), "database_url": "postgresql://elsewhere/utility"}
    demo.session.settings = Settings(**elsewhere)
    assert demo.session.api_key is None
    app = show(demo)
    assert all(control(app, key).disabled for key in CONTROLS)
    assert "Controls are off: GRIDLENS_API_KEY is not set" in words_of(app)


def test_the_place_of_the_key_is_not_shown_to_those_who_may_not_have_it(
    show: Callable[..., AppTest], demo: Demo
) -> None:
    assert str(demo.settings.data_dir) in words_of(show(demo, "data_source"))
    config.set_option("server.address", "0.0.0.0")
    assert str(demo.settings.data_dir) not in words_of(show(demo, "data_source"))


def test_many_browsers_at_once_ask_the_database_once(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    pulse = demo.desk.pulse
    put_on_stage(Show(demo, load_story(demo.settings.data_dir)))
    monkeypatch.setattr(demo.desk, "pulse", lambda tenant_id: (asked.append(tenant_id), pulse(tenant_id))[1])
    together = Barrier(20)

    def look() -> None:
        together.wait()
        _data.news(TENANT)

    browsers = [Thread(target=look) for _ in range(20)]
    for browser in browsers:
        browser.start()
    for browser in browsers:
        browser.join()
    assert asked == [TENANT]
