"""Kinds of databases that were read wrongly in silence: each is read rightly now, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_client import PUBLISH, QUICKCHECK, STATUS, WHY, client_of
from case_files import Case, demo_of, load_case, read_case, rows_of_tenant
from existing_shapes import SHAPES, engine_of, load
from helpers import TENANT, Server
from streamlit.testing.v1 import AppTest

from gridlens_core.database.bindings import BINDINGS_FILE, FEEDER_LOSS
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.explanation.ahead import Budget
from gridlens_core.explanation.kpis import why_absent
from gridlens_core.meters.events import EventRequest
from gridlens_core.preflight.checks import preflight
from gridlens_core.show import Show, put_on_stage
from gridlens_core.walkthrough.story import load_story
from pages import _data

ROOT = Path(_data.__file__).parent.parent
QUARTER = timedelta(minutes=15)
OnCase = Callable[..., tuple[Demo, str]]


@pytest.fixture
def on_case(server: Server, tmp_path: Path) -> Iterator[OnCase]:
    """`on_case(name, also="", bindings="", now=None)` -> (Demo, address) upon a case that SQL made another one."""
    demos: list[Demo] = []
    cases: list[Case] = []

    def make(name: str, also: str = "", bindings: str = "", now: datetime | None = None) -> tuple[Demo, str]:
        case = read_case(name, now)
        cases.append(case)
        url = load_case(server, case)
        if also:
            load(url, also)
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        (folder / BINDINGS_FILE).write_text(bindings, encoding="utf-8")
        demos.append(demo_of(case, url, folder))
        demos[-1].session.start()
        return demos[-1], url

    yield make
    for demo in demos:
        demo.stop()
    for case in cases:
        server.drop(case.database)


def theft(**more: Any) -> EventRequest:
    return EventRequest("theft", **{"feeder_id": "FEEDER_1", "severity": 0.5, "duration_minutes": 60, **more})


def said(demo: Demo, what: str) -> str:
    return "\n".join(f"{one.state}: {one.found}" for one in preflight(demo, TENANT) if one.what == what)


# --- units ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "nominal"), [("60", 7200.0), ("0.06", 7.2), ("1 / 120.0", 1.0), ("2", 240.0), ("1", 120.0)]
)
def test_a_sag_is_a_share_of_nominal_in_the_historys_own_unit(on_case: OnCase, scale: str, nominal: float) -> None:
    demo, url = on_case("r00_base", f"UPDATE meter_reads_electric SET voltage = voltage * {scale}")
    event = demo.trigger(TENANT, EventRequest("voltage-sag", feeder_id="FEEDER_1", severity=0.9, duration_minutes=60))
    demo.publish(TENANT)
    newest = max(row.at for row in rows_of_tenant(url, read_case("r00_base")))
    volts = {
        row.feeder: row.volts / nominal
        for row in rows_of_tenant(url, read_case("r00_base"))
        if row.at == newest and row.volts is not None
    }
    assert 0.9 <= volts["FEEDER_1"] < 0.95
    assert 0.97 < volts["FEEDER_2"] < 1.05
    moment = demo.desk.fresh(TENANT)
    truth = moment.truth(event)
    assert truth.reads_low_voltage == truth.reads_due
    assert truth.low_voltage_v == pytest.approx(
        0.95 * (120 if nominal == 1 else 1000 * nominal if nominal < 10 else nominal)
    )


def test_a_unit_that_cannot_be_settled_refuses_to_publish_until_it_is_set(on_case: OnCase) -> None:
    demo, url = on_case(
        "r00_base",
        "ALTER TABLE meter_reads_electric RENAME kwh TO energy; UPDATE meter_reads_electric SET energy = energy * 50",
    )
    before = rows_count(url)
    with pytest.raises(DatabaseNotReadyError, match="neither in Wh, kWh nor MWh"):
        demo.publish(TENANT)
    assert rows_count(url) == before
    assert "blocked" in said(demo, "Reads table")
    told = '[meter_reads_electric]\nkwh = { column = "energy", unit = "kWh" }\n'
    (demo.settings.data_dir / BINDINGS_FILE).write_text(told, encoding="utf-8")
    demo.look_again()
    assert demo.publish(TENANT).cycles[0].inserted > 30


def rows_count(url: str) -> int:
    with engine_of(url).connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM public.meter_reads_electric").scalar_one())


# --- time ----------------------------------------------------------------------------------------------


def test_an_outage_of_every_feeder_does_not_stop_the_clock_of_this_process_or_the_next(
    on_case: OnCase, server: Server
) -> None:
    demo, url = on_case("r00_base")
    began = demo.desk.pulse(TENANT).grid_now
    demo.trigger(TENANT, EventRequest("comms-outage", feeder_id=None, severity=1, duration_minutes=24 * 60))
    demo.publish(TENANT, cycles=3)
    assert demo.desk.pulse(TENANT).grid_now == began + 3 * QUARTER
    again = demo_of(read_case("r00_base"), url, demo.settings.data_dir)
    again.session.start()
    assert again.desk.fleet(TENANT) is not None
    assert again.publish(TENANT).cycles[0].read_at == began + 4 * QUARTER
    again.stop()


@pytest.mark.parametrize("index", [True, False], ids=["an index by meter", "no index by meter"])
def test_stray_reads_and_clocks_ahead_do_not_move_the_grid_clock(on_case: OnCase, index: bool) -> None:
    stray = (
        "INSERT INTO meter_reads_electric SELECT tenant_id, meter_id, feeder_id, read_at + interval '26 hours', kwh, "
        "voltage FROM meter_reads_electric WHERE meter_id = 'M2-002' ON CONFLICT DO NOTHING; "
        "INSERT INTO meter_reads_electric VALUES ('DEMO_TENANT', 'M1-001', 'FEEDER_1', '2099-01-01Z', 0.2, 120), "
        "('DEMO_TENANT', 'M1-003', 'FEEDER_1', '12000-01-01Z', 0.2, 120)"
    )
    drop = "ALTER TABLE meter_reads_electric DROP CONSTRAINT meter_reads_electric_tenant_id_meter_id_read_at_key"
    demo, _ = on_case("r00_base", stray if index else f"{stray}; {drop}")
    assert demo.session.schema.by_meter is index
    assert demo.desk.pulse(TENANT).grid_now == datetime(2026, 6, 10, 23, tzinfo=UTC)
    assert "the grid clock stays at 2026-06-10 23:00Z" in said(demo, "History: stray")


def test_a_label_that_starts_its_interval_is_set_and_goes_on_as_one(on_case: OnCase) -> None:
    told = '[meter_reads_electric]\nread_at = { column = "read_at", starts_minutes = 15 }\n'
    start = "UPDATE meter_reads_electric SET read_at = read_at - interval '15 min' WHERE read_at < '2026-06-11Z'"
    demo, url = on_case("r00_base", f"{start}", told)
    assert demo.desk.pulse(TENANT).grid_now == datetime(2026, 6, 10, 23, tzinfo=UTC)
    cycle = demo.publish(TENANT).cycles[0]
    assert cycle.read_at == datetime(2026, 6, 10, 23, 15, tzinfo=UTC)
    assert max(row.at for row in rows_of_tenant(url, read_case("r00_base"))) == datetime(2026, 6, 10, 23, tzinfo=UTC)
    assert "labels the start of 15 min" in said(demo, "Reads: read_at")


def test_the_zone_of_times_without_one_is_kept_when_a_demo_ran_ahead(on_case: OnCase) -> None:
    demo, url = on_case("r08_naive_local_time")
    began = demo.desk.pulse(TENANT).grid_now
    assert began == datetime(2026, 6, 10, 23, tzinfo=UTC)
    demo.publish(TENANT, cycles=20)  # five hours: in UTC the labels now end at the wall clock
    again = demo_of(read_case("r08_naive_local_time"), url, demo.settings.data_dir)
    again.session.start()
    assert again.desk.pulse(TENANT).grid_now == began + 20 * QUARTER
    again.stop()


# --- rows and days -------------------------------------------------------------------------------------


def test_in_the_evening_a_calendars_zero_row_for_tomorrow_is_not_todays(on_case: OnCase) -> None:
    demo, _ = on_case("20-zero-filled", now=datetime(2026, 11, 26, 2, 7, tzinfo=UTC))
    kpis = demo.desk.fresh(TENANT).kpis
    assert f"{kpis.day}" == "2026-11-25"
    assert kpis["loss_pct"]
    assert kpis["loss_pct"] > 1


def test_several_rows_a_day_are_no_ones_loss_and_the_reason_is_said(on_case: OnCase) -> None:
    demo, _ = on_case("21-rows-per-class")
    moment = demo.desk.fresh(TENANT)
    assert moment.kpis["loss_pct"] is None
    assert not moment.kpis.feeder_loss_pct
    assert "rows for one day" in why_absent(moment.schema, "loss_pct", {})
    answer = client_of(demo).get(QUICKCHECK, params={"tenantId": TENANT}).json()
    assert answer["currentLossPct"] is None
    assert "rows for one day" in answer["lossNote"]


@pytest.mark.parametrize("word", ["NULL", "''", "'OK'", "'none'"])
def test_a_meter_that_a_view_lists_without_an_issue_is_not_named(on_case: OnCase, word: str) -> None:
    view = (
        "CREATE OR REPLACE VIEW v_kpi_suspicious_meters_daily AS SELECT tenant_id, "
        "(read_at - interval '1 second')::date AS day, meter_id, "
        f"CASE WHEN meter_id = 'M1-001' THEN 'VOLTAGE_LOW' ELSE {word} END AS issue "
        "FROM meter_reads_electric GROUP BY 1, 2, 3"
    )
    demo, _ = on_case("r00_base", view)
    kpis = demo.desk.fresh(TENANT).kpis
    assert kpis.named == {"M1-001": "VOLTAGE_LOW"}
    assert kpis["suspicious_meters"] == 1


def test_a_loss_that_the_preflight_found_to_be_none_is_not_shown_as_one(on: Any) -> None:
    shape = next(shape for shape in SHAPES if shape.name == "mean_loss")
    demo, _ = on(shape)
    client = client_of(demo)
    before = client.get(QUICKCHECK, params={"tenantId": shape.tenant}).json()
    assert before["lossNote"] is None
    assert before["currentLossPct"] > 0
    preflight(demo, shape.tenant)
    after = client.get(QUICKCHECK, params={"tenantId": shape.tenant}).json()
    assert after["currentLossPct"] is None
    assert "falls when energy is stolen" in after["lossNote"]
    demo.look_again()
    assert demo.desk.fresh(shape.tenant).kpis["loss_pct"] is None


def test_a_view_too_slow_to_be_sampled_is_settled_by_its_rows(on_case: OnCase) -> None:
    demo, _ = on_case("31-slow-percent")
    assert demo.session.schema.views[FEEDER_LOSS].bindings["loss_pct"].certainty == "open"
    losses = demo.desk.fresh(TENANT).kpis.feeder_loss_pct
    assert losses
    assert all(1 < loss < 20 for loss in losses.values())


# --- events --------------------------------------------------------------------------------------------


def test_with_events_of_a_later_release_kpis_go_on_and_writing_is_refused(on_case: OnCase) -> None:
    demo, _ = on_case("25-events-later")
    client = client_of(demo, "a key")
    for path in (QUICKCHECK, STATUS, WHY):
        assert client.get(path, params={"tenantId": TENANT}).status_code == 200
    refused = client.post(PUBLISH, json={"tenantId": TENANT})
    assert refused.status_code == 503
    assert "start_at" in refused.json()["error"]["message"]
    assert "blocked: another table: no column starts_at" in said(demo, "ami_events")


@pytest.mark.parametrize("name", ["25-events-later", "27-events-infinity", "r09_infinity", "02-register"])
def test_no_page_fails(on_case: OnCase, name: str) -> None:
    demo, _ = on_case(name)
    put_on_stage(Show(demo, load_story(demo.settings.data_dir)))
    app = AppTest.from_file(str(ROOT / "pages" / "entry.py"), default_timeout=60).run()
    assert not app.exception
    for page in ("losses", "suspicious_meters", "field_operations", "cases", "worth", "events", "data_source"):
        app.switch_page(f"{page}.py").run()
        assert not app.exception, page


def test_a_severity_that_is_no_fraction_does_nothing_and_is_said(on_case: OnCase) -> None:
    row = (
        "INSERT INTO ami_events (tenant_id, feeder_id, event_type, severity, starts_at, ends_at) VALUES "
        "('DEMO_TENANT', 'FEEDER_1', '{}', {}, '0044-03-15 BC', '12000-01-01')"
    )
    demo, url = on_case("r00_base", f"{row.format('theft', 70)}; {row.format('THEFT', 0.5)}")
    demo.publish(TENANT)
    case = read_case("r00_base")
    by_time: dict[datetime, float] = {}
    for row_ in rows_of_tenant(url, case):
        if row_.feeder == "FEEDER_1":
            by_time[row_.at] = by_time.get(row_.at, 0) + row_.kwh
    newest = max(by_time)
    assert by_time[newest] > 0.8 * by_time[newest - timedelta(days=1)]
    found = said(demo, "ami_events")
    assert "no fraction, so nothing is done: 70" in found
    assert "'THEFT'" in found
    assert demo.desk.explained(TENANT).receipts


# --- words ---------------------------------------------------------------------------------------------


def test_what_went_in_is_counted_where_a_trigger_puts_it_elsewhere_and_reports_nothing(on_case: OnCase) -> None:
    child = (
        "CREATE TABLE reads_2026 (CHECK (read_at > '2026-01-01Z')) INHERITS (meter_reads_electric); "
        "CREATE FUNCTION to_child() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO reads_2026 VALUES (NEW.*); RETURN NULL; END $$; "
        "CREATE TRIGGER to_child BEFORE INSERT ON meter_reads_electric FOR EACH ROW EXECUTE FUNCTION to_child()"
    )
    demo, url = on_case("r00_base", child)
    before = rows_count(url)
    cycle = demo.publish(TENANT).cycles[0]
    assert cycle.inserted == rows_count(url) - before > 30
    assert cycle.already_there == 0


def test_a_supply_that_views_were_too_slow_to_show_is_looked_at_with_the_next_cycle(
    on_case: OnCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, _ = on_case("19-scada-to-now")
    in_time = demo.desk.budget
    monkeypatch.setattr(demo.desk, "budget", lambda tenant_id: Budget(demo.desk.reader(tenant_id), seconds=0))
    assert demo.publish(TENANT).before is None
    monkeypatch.setattr(demo.desk, "budget", in_time)
    with pytest.raises(DatabaseNotReadyError, match="Clean publishing alone moves the loss"):
        demo.publish(TENANT)


def test_a_loss_that_falls_under_a_theft_is_found_before_the_first_cycle(on: Any) -> None:
    shape = next(shape for shape in SHAPES if shape.name == "mean_loss")
    demo, _ = on(shape)
    client = client_of(demo, demo.session.api_key or "")
    published = client.post(PUBLISH, json={"tenantId": shape.tenant, "intervalMinutes": 60}).json()
    assert published["kpis"]["before"]["lossPct"] is published["kpis"]["after"]["lossPct"] is None
    answer = client.get(QUICKCHECK, params={"tenantId": shape.tenant}).json()
    assert answer["currentLossPct"] is None
    assert "falls when energy is stolen" in answer["lossNote"]


def test_a_share_that_arrives_is_no_loss_by_its_size(on_case: OnCase) -> None:
    efficiency = (
        "DROP VIEW public.v_kpi_electric_overview_daily; CREATE VIEW public.v_kpi_electric_overview_daily AS "
        "SELECT tenant_id, day, round((sum(sold_kwh) / sum(in_kwh) * 100)::numeric, 3) AS loss_percent_pct "
        "FROM public.v_feeder_day GROUP BY 1, 2"
    )
    demo, _ = on_case("00-control", also=efficiency)
    answer = client_of(demo).get(QUICKCHECK, params={"tenantId": TENANT}).json()
    assert answer["currentLossPct"] is None
    assert "no loss that a utility has" in answer["lossNote"]
