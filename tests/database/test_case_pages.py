"""Cases on the real database: they open by themselves, outlive the event, and are decided by the presenter alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import sqlalchemy as sa
import streamlit as st
from existing_shapes import SHAPES
from helpers import TENANT, event_request
from screens import button, shown
from streamlit.testing.v1 import AppTest
from test_walkthrough_pages import look, opened, words_of

import pages._frame
from gridlens_core import words
from gridlens_core.database.connection import Database
from gridlens_core.demo.demo import Demo
from gridlens_core.display import case_words, tables
from gridlens_core.explanation.cases import Case
from gridlens_core.show import Show, put_on_stage
from gridlens_core.walkthrough.story import load_story
from pages import _cases


@pytest.fixture
def on_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Demo], Demo]]:
    """`on_screen(demo)` -> the demo, whose pages are then looked at from the machine itself."""

    def put(demo: Demo) -> Demo:
        put_on_stage(Show(demo, load_story(demo.settings.data_dir)))
        monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: True)
        st.cache_data.clear()
        return demo

    yield put
    st.cache_data.clear()


@pytest.fixture
def served(demo: Demo, on_screen: Callable[[Demo], Demo]) -> Demo:
    """A demo in which a theft runs on FEEDER_7 and has been named."""
    demo.trigger(TENANT, event_request())
    demo.publish(TENANT, cycles=2)
    return on_screen(demo)


def press(page: AppTest, key: str) -> AppTest:
    """Clicks a button and looks again."""
    button(page, key).click().run()
    return look(page)


def the_case(demo: Demo) -> Case:
    (case,) = demo.cases.all(TENANT)
    return case


def metric(page: AppTest, label: str) -> str:
    return next(shown(one.value) for one in page.metric if one.label == label)


def test_a_theft_is_a_case_from_the_first_name_and_is_decided_step_by_step(served: Demo) -> None:
    page = opened("cases.py")
    case, receipt = the_case(served), served.desk.fresh(TENANT).receipts[0]
    assert (case.feeder_id, case.state, case.basis) == ("FEEDER_7", "open", "truth")
    assert receipt.score is not None
    assert case.opened_at == receipt.score.detected_at
    assert case.lost_kwh == receipt.truth.kwh_not_recorded
    assert case.a_year_kwh == receipt.truth.kwh_a_year
    said = words_of(page)
    assert f"{words.dollars(receipt.usd)} lost so far (ground truth of the emulator)" in said
    assert "all meters of FEEDER_7 record 70 % too little" in said
    assert "A dispatch is due: a truck roll costs $250 to $1,000" in said
    assert (metric(page, "Open"), metric(page, "Confirmed"), metric(page, "Recovered")) == ("1", "0", "$0.00")

    press(page, "case_confirmed_1")
    served.publish(TENANT)
    look(page)
    after = served.desk.fresh(TENANT).receipts[0]
    billed = words.dollars(after.usd - receipt.usd)
    assert metric(page, "Recovered") == billed != "$0.00"
    assert f"Of it {billed} since it was confirmed" in words_of(page)

    for one in served.events(TENANT, active=True):
        served.end(one.id)
    served.publish(TENANT, cycles=4)
    look(page)
    press(page, "case_recovered_1")
    assert "Case 1 is recovered." in words_of(page)
    assert (metric(page, "Confirmed"), metric(page, "Recovered")) == ("0", billed)
    assert the_case(served).state == "recovered"  # it outlives the event
    press(page, "case_confirmed_1")  # that was a mistake
    assert the_case(served).state == "confirmed"


def test_a_click_on_a_button_that_is_out_of_date_does_no_harm(served: Demo) -> None:
    page = opened("cases.py")
    late = button(page, "case_confirmed_1")
    now = served.desk.pulse(TENANT).grid_now
    served.cases.decide(TENANT, 1, "dismissed", now)
    late.click().run()
    assert "Case 1 is dismissed by now." in words_of(look(page))
    assert the_case(served).state == "dismissed"


def test_the_table_is_a_file_with_every_case(served: Demo) -> None:
    page = opened("cases.py")
    (frame,) = page.dataframe
    prices = _cases.prices(served.desk.fresh(TENANT))
    row = case_words.row(the_case(served), prices)
    assert {name: str(value) for name, value in frame.value.iloc[0].items()} == row
    text = tables.csv_of([row], {name: name for name in row}, f"Simulated events on {TENANT}")
    (read,) = csv.DictReader(StringIO(text))
    assert (read["Feeder"], read["Lost"], read["Source"]) == (
        row["Feeder"],
        row["Lost"],
        f"Simulated events on {TENANT}",
    )


def test_field_operations_count_the_cases(served: Demo) -> None:
    assert "1 open, 0 confirmed" in words_of(opened("field_operations.py"))


def test_only_the_presenter_decides(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages._frame, "is_local_viewer", lambda: False)
    page = opened("cases.py")
    assert button(page, "case_confirmed_1").disabled
    assert button(page, "case_dismissed_1").disabled


def test_a_reset_takes_them_away_and_another_process_on_the_same_folder_knows_them(
    served: Demo, make_demo: Callable[..., Demo]
) -> None:
    opened("cases.py")
    other = make_demo(data_dir=served.settings.data_dir)
    assert other.cases.all(TENANT) == served.cases.all(TENANT) != ()
    other.cases.follow(other.desk.fresh(TENANT))
    other.cases.decide(TENANT, 1, "confirmed", other.desk.pulse(TENANT).grid_now)
    assert the_case(served).state == "confirmed"
    served.reset(TENANT)
    assert served.cases.all(TENANT) == other.cases.all(TENANT) == ()
    other.cases.follow(other.desk.fresh(TENANT))
    assert "No case yet" in words_of(opened("cases.py"))


def test_neither_a_sag_nor_an_outage_is_a_case(demo: Demo, on_screen: Callable[[Demo], Demo]) -> None:
    for event_type, feeder in (("voltage-sag", "FEEDER_2"), ("comms-outage", "FEEDER_3")):
        demo.trigger(TENANT, event_request(event_type, feeder_id=feeder))
    demo.publish(TENANT, cycles=2)
    on_screen(demo)
    assert "No case yet" in words_of(opened("cases.py"))


def test_a_theft_that_the_emulator_does_not_know_is_estimated_from_the_view(served: Demo) -> None:
    known = served.desk.fresh(TENANT).receipts[0].truth.kwh_not_recorded
    with served.session.transaction() as connection:
        connection.execute(sa.text("DELETE FROM ami_events"))
    served.cases.follow(served.desk.fresh(TENANT))
    case = the_case(served)
    assert case.basis == "estimate"
    assert case.lost_kwh == pytest.approx(known, rel=0.5)
    page = opened("cases.py")
    assert "estimated from the feeder-loss view" in words_of(page)


def test_a_list_that_cannot_be_kept_stops_neither_pages_nor_publishing(
    served: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(served.cases, "follow", broken)
    page = opened("control_room.py")
    assert served.publish(TENANT).cycles
    assert not look(page).exception
    assert served.after.lost(TENANT) == [
        "What the view named since the last look was lost; the server's log has the cause."
    ]


def test_an_existing_database_that_is_only_read_has_cases_from_its_views(
    on: Any, on_screen: Callable[[Demo], Demo], open_database: Callable[..., Database]
) -> None:
    shape = next(one for one in SHAPES if one.name == "variant_a")
    demo, url = on(shape, migrated=False, start=False, api_key=None)
    today = """
      INSERT INTO meter_reads_electric (tenant_id, meter_id, feeder_id, kwh, voltage, read_at)
      SELECT tenant_id, meter_id, feeder_id, kwh * CASE feeder_id WHEN 'FEEDER_3' THEN .3 ELSE 1 END, voltage,
             read_at + interval '1 day'
      FROM meter_reads_electric
      WHERE read_at > (SELECT max(read_at) - interval '1 day' FROM meter_reads_electric)
        AND read_at < :now - interval '1 day'
    """
    with open_database(url).transaction() as connection:
        connection.execute(sa.text(today), {"now": demo.session.clock()})
    demo.session.start()
    on_screen(demo)
    page = opened("cases.py")
    (case,) = demo.cases.all(shape.tenant)
    assert (case.feeder_id, case.meters, case.basis) == ("FEEDER_3", 25, "estimate")
    assert dict(case.evidence)["MTR-00051"] == "consumption drop"
    assert "25 meters named since" in words_of(page)
    assert "estimated from the feeder-loss view" in words_of(page)
    assert button(page, "case_confirmed_1").disabled
