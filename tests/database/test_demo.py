from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from threading import enumerate as enumerate_threads
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, TENANT, MovableClock, catalogue, checksums, event_request, kpis_of, room_of

from gridlens_core.database.connection import Database, connect
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.database.schema import FEEDER_LOSS, KPI_VIEWS, OVERVIEW, SUSPICIOUS
from gridlens_core.demo import session as demo_session
from gridlens_core.demo.demo import MAX_CYCLES, Demo
from gridlens_core.errors import (
    BadInputError,
    DatabaseNotReadyError,
    DatabaseUnavailableError,
    GridLensError,
    StartingError,
    TenantNotAllowedError,
    UnknownEventError,
    UnknownFeederError,
    UnknownMeterError,
)
from gridlens_core.explanation.days import day_rows
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.meters.events import EventRequest
from gridlens_core.publishing import auto
from gridlens_core.settings import Settings

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
MakeDemo = Callable[..., Demo]


def theft(demo: Demo, **changes: Any) -> Any:
    return demo.trigger(TENANT, event_request(**changes))


def read_rows(demo: Demo, first: datetime = FROZEN) -> list[tuple[Any, ...]]:
    statement = sa.text(f"SELECT * FROM {READS} WHERE read_at >= :first ORDER BY read_at, meter_id")
    with demo.session.transaction(read_only=True) as connection:
        return [tuple(row) for row in connection.execute(statement, {"first": first})]


def view_rows(demo: Demo, view: str) -> list[dict[str, Any]]:
    """A view's rows of the moment, with its own column names, newest day first."""
    moment = demo.desk.fresh(TENANT)
    return [dict(row) for row in (*moment.rows[view], *moment.closed[view])]


# --- starting -------------------------------------------------------------------------------------------


def test_before_the_start_everything_says_that_it_is_starting(make_demo: MakeDemo) -> None:
    demo = make_demo(start=False)
    assert not demo.session.ready
    for ask in (
        lambda: demo.session.schema,
        lambda: demo.session.database,
        lambda: demo.desk.pulse(TENANT),
        lambda: kpis_of(demo, TENANT),
    ):
        with pytest.raises(StartingError, match="still starting"):
            ask()


def test_starting_again_does_nothing(demo: Demo) -> None:
    before = demo.session.database
    demo.session.start()
    assert demo.session.database is before
    assert (demo.session.ready, demo.session.progress.share) == (True, 1.0)


def test_a_start_in_the_background_waits_for_a_database_that_is_away(
    make_demo: MakeDemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = make_demo(start=False)
    start, attempts = demo.session.start_database, []

    def away_at_first(data_dir: Any) -> str:
        attempts.append(data_dir)
        if len(attempts) < 3:
            raise DatabaseUnavailableError("away")
        return start(data_dir)

    demo.session.start_database = away_at_first
    monkeypatch.setattr(demo_session, "RETRY_SECONDS", 0.01)
    demo.session.keep_starting()
    assert demo.session.ready
    assert (len(attempts), demo.session.start_error) == (3, None)


def test_a_start_that_cannot_go_well_says_so(make_demo: MakeDemo) -> None:
    def broken(_: Any) -> str:
        raise ZeroDivisionError

    demo = make_demo(start=False)
    demo.session.start_database = broken
    demo.session.keep_starting()
    with pytest.raises(DatabaseNotReadyError, match="could not start"):
        demo.desk.pulse(TENANT)


# --- tenants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tenant", ["REAL_UTILITY", "", "demo_tenant", "DEMO_TENANT ", "'; --"])
def test_a_tenant_that_is_not_named_is_neither_shown_nor_emulated(demo: Demo, tenant: str) -> None:
    before = checksums(demo.session.database.engine)
    for call in (
        demo.desk.fleet,
        demo.desk.pulse,
        demo.desk.moment,
        demo.desk.fresh,
        demo.desk.explained,
        lambda t: demo.desk.at(t, FROZEN),
        demo.desk.trace,
        demo.events,
        demo.auto_state,
        demo.publish,
        demo.reset,
        lambda t: demo.rehearse(t, event_request()),
        lambda t: demo.trigger(t, event_request()),
    ):
        with pytest.raises(TenantNotAllowedError, match="allowed: DEMO_TENANT"):
            call(tenant)
    assert checksums(demo.session.database.engine) == before


def test_an_event_of_a_tenant_that_is_not_named_is_not_ended(demo: Demo) -> None:
    with demo.session.transaction() as connection:
        event_id = connection.exec_driver_sql(
            "INSERT INTO ami_events (tenant_id, event_type, starts_at, ends_at) "
            f"VALUES ('REAL_UTILITY', 'theft', '{FROZEN}', '{FROZEN + HOUR}') RETURNING id"
        ).scalar_one()
    with pytest.raises(TenantNotAllowedError):
        demo.end(event_id)


# --- publishing -----------------------------------------------------------------------------------------


def test_publishing_gives_the_cycles_and_the_kpis_before_and_after(demo: Demo) -> None:
    _, before = kpis_of(demo, TENANT)
    published = demo.publish(TENANT, cycles=3)
    assert [cycle.read_at for cycle in published.cycles] == [FROZEN, FROZEN + QUARTER, FROZEN + 2 * QUARTER]
    assert published.before == before
    assert published.after == kpis_of(demo, TENANT)[1] != before
    assert demo.desk.pulse(TENANT).grid_now == FROZEN + 2 * QUARTER


@pytest.mark.parametrize("cycles", [0, -1, MAX_CYCLES + 1])
def test_the_number_of_cycles_has_limits(demo: Demo, cycles: int) -> None:
    with pytest.raises(BadInputError, match=f"1 to {MAX_CYCLES}"):
        demo.publish(TENANT, cycles=cycles)


def test_any_batch_size_gives_the_same_reads(make_demo: MakeDemo) -> None:
    reads = []
    for batch_rows in (1, 50, 10**6):
        demo = make_demo()
        demo.publish(TENANT, batch_rows=batch_rows)
        reads.append(read_rows(demo))
    assert reads[0] == reads[1] == reads[2]
    assert len(reads[0]) == 200


def test_publishing_crosses_midnight_into_a_new_day(make_demo: MakeDemo) -> None:
    clock = MovableClock(datetime.fromisoformat("2026-11-19T06:00:00+00:00"))  # midnight in Chicago
    demo = make_demo(clock)
    published = demo.publish(TENANT, cycles=2)
    assert (published.before.day, published.after.day) == (date(2026, 11, 18), date(2026, 11, 19))
    days = [row["day"] for row in view_rows(demo, OVERVIEW)]
    assert days == [date(2026, 11, day) for day in (19, 18, 17, 16, 15, 14)]


def test_an_hour_of_any_event_is_four_cycles(demo: Demo) -> None:
    event = theft(demo, event_type="comms-outage")
    assert event.starts_at == demo.desk.pulse(TENANT).grid_now
    cycles = [demo.publish(TENANT).cycles[0] for _ in range(5)]
    assert [cycle.not_read for cycle in cycles] == [20, 20, 20, 20, 0]


def test_an_outage_of_every_feeder_passes_as_time_does(demo: Demo) -> None:
    theft(demo, event_type="comms-outage", feeder_id=None)
    cycles = [demo.publish(TENANT).cycles[0] for _ in range(5)]
    assert [cycle.read_at for cycle in cycles] == [FROZEN + number * QUARTER for number in range(5)]
    assert [cycle.inserted for cycle in cycles] == [0, 0, 0, 0, 200]
    assert demo.desk.pulse(TENANT).grid_now == FROZEN + 4 * QUARTER


# --- events ---------------------------------------------------------------------------------------------


def test_an_event_begins_at_the_grid_clock_and_bites_in_the_next_cycle(demo: Demo) -> None:
    demo.publish(TENANT, cycles=2)
    event = theft(demo)
    assert (event.starts_at, event.ends_at) == (FROZEN + QUARTER, FROZEN + QUARTER + HOUR)
    published = demo.publish(TENANT)
    assert published.cycles[0].events == (event,)
    assert published.after.feeder_loss_pct["FEEDER_7"] > published.before.feeder_loss_pct["FEEDER_7"] + 1


def test_an_event_may_be_planned_ahead_or_cancelled(demo: Demo) -> None:
    event = theft(demo, starts_at=FROZEN + HOUR)
    assert event.starts_at == FROZEN + HOUR
    assert demo.events(TENANT, active=True) == [event]
    assert demo.publish(TENANT).cycles[0].events == ()
    cancelled = demo.end(event.id)
    assert cancelled.starts_at == cancelled.ends_at == FROZEN + HOUR
    assert demo.events(TENANT, active=True) == []
    assert demo.events(TENANT) == [cancelled]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"feeder_id": "FEEDER_99"}, UnknownFeederError, id="an unknown feeder"),
        pytest.param({"meter_id": "MTR-00001"}, UnknownMeterError, id="a meter of another feeder"),
        pytest.param({"event_type": "fire"}, BadInputError, id="an unknown type"),
        pytest.param({"severity": 0}, BadInputError, id="no severity"),
        pytest.param({"duration_minutes": 0}, BadInputError, id="no duration"),
        pytest.param({"starts_at": FROZEN.replace(tzinfo=None)}, BadInputError, id="a naive start"),
    ],
)
def test_an_event_that_cannot_be_is_not_written(demo: Demo, changes: dict, error: type[GridLensError]) -> None:
    with pytest.raises(error):
        theft(demo, **changes)
    assert demo.events(TENANT) == []


def test_an_unknown_event_cannot_be_ended(demo: Demo) -> None:
    with pytest.raises(UnknownEventError):
        demo.end(uuid4())


def test_ending_an_event_brings_the_kpis_back(demo: Demo) -> None:
    event = theft(demo)
    during = demo.publish(TENANT, cycles=2).after
    assert during["suspicious_meters"] > 0
    assert during["open_tasks"] == 1
    ended = demo.end(event.id)
    assert ended.ends_at == FROZEN + QUARTER
    after = demo.publish(TENANT, cycles=2).after
    assert (after["suspicious_meters"], after["open_tasks"]) == (0, 0)
    assert after.feeder_loss_pct["FEEDER_7"] < during.feeder_loss_pct["FEEDER_7"]
    assert view_rows(demo, SUSPICIOUS) == []


# --- looking --------------------------------------------------------------------------------------------


def test_the_pulse_changes_with_whatever_a_page_shows_and_with_nothing_else(make_demo: MakeDemo) -> None:
    clock = MovableClock()
    demo = make_demo(clock)
    pulses = [demo.desk.pulse(TENANT)]
    kpis_of(demo, TENANT)
    demo.desk.fresh(TENANT)
    clock.move(minutes=14)
    assert demo.desk.pulse(TENANT) == pulses[0]
    clock.move(minutes=1)
    pulses.append(demo.desk.pulse(TENANT))  # the wall clock has passed a boundary
    demo.publish(TENANT)
    pulses.append(demo.desk.pulse(TENANT))
    event = theft(demo)
    pulses.append(demo.desk.pulse(TENANT))
    demo.end(event.id)
    pulses.append(demo.desk.pulse(TENANT))
    demo.reset(TENANT)
    pulses.append(demo.desk.pulse(TENANT))
    assert all(one != other for one, other in pairwise(pulses))


def test_closed_days_are_asked_for_once_and_today_each_time(demo: Demo) -> None:
    asked: list[dict[str, Any]] = []

    @sa.event.listens_for(demo.session.database.engine, "before_cursor_execute")
    def note(_: Any, __: Any, statement: str, parameters: dict[str, Any], *___: Any) -> None:
        if f'FROM public."{FEEDER_LOSS}"' in statement and "SELECT *" in statement:
            asked.append(parameters)

    first = view_rows(demo, FEEDER_LOSS)
    demo.publish(TENANT)
    asked.clear()
    demo.publish(TENANT)
    second = view_rows(demo, FEEDER_LOSS)
    assert [parameters["last"] for parameters in asked] == [date(2026, 11, 18)]
    assert len(first) == len(second) == 50
    assert [row["day"] for row in second] == sorted((row["day"] for row in second), reverse=True)
    assert first[10:] == second[10:]
    assert first[:10] != second[:10]


def test_a_quickcheck_is_what_the_views_say_at_one_moment(demo: Demo) -> None:
    event = theft(demo)
    demo.publish(TENANT, cycles=2)
    check = demo.desk.fresh(TENANT)
    now, kpis = kpis_of(demo, TENANT)
    assert (check.grid_now, check.kpis, check.running) == (now, kpis, [event])
    with demo.session.transaction(read_only=True) as connection:
        for view in KPI_VIEWS:
            today = date(2026, 11, 18)
            said = day_rows(connection, demo.session.schema, view, TENANT, date(2026, 11, 1), today)
            assert [*check.rows[view], *check.closed[view]] == said
            assert {row["day"] for row in check.rows[view]} <= {today}


def test_kpis_seen_on_the_way_are_remembered_also_by_the_next_process(make_demo: MakeDemo) -> None:
    demo = make_demo()
    _, before = kpis_of(demo, TENANT)
    theft(demo)
    demo.publish(TENANT, cycles=2)
    restarted = make_demo(data_dir=demo.settings.data_dir)
    first = restarted.desk.trace(TENANT).at(FROZEN - QUARTER)
    assert first is not None
    assert first.kpis == before
    assert restarted.desk.trace(TENANT).all() == demo.desk.trace(TENANT).all()
    assert kpis_of(restarted, TENANT) == kpis_of(demo, TENANT)


# --- starting anew --------------------------------------------------------------------------------------


def story(demo: Demo) -> list[Kpis]:
    """A demo from the first look to the last, as the KPIs tell it."""
    told = [kpis_of(demo, TENANT)[1]]
    event = theft(demo)
    told.append(demo.publish(TENANT, cycles=2).after)
    demo.end(event.id)
    theft(demo, event_type="voltage-sag", feeder_id="FEEDER_3", severity=0.4, duration_minutes=240)
    told.append(demo.publish(TENANT, cycles=2, interval_minutes=30).after)
    theft(demo, event_type="comms-outage", feeder_id="FEEDER_5", duration_minutes=15)
    told.append(demo.publish(TENANT, cycles=5).after)
    return told


def test_the_same_story_gives_the_same_kpis_each_time_it_is_told(make_demo: MakeDemo) -> None:
    demo = make_demo()
    first = story(demo)
    demo.reset(TENANT)
    assert story(demo) == first
    assert story(make_demo()) == first
    assert len({kpis["loss_kwh"] for kpis in first}) == 4


def test_a_reset_leaves_the_database_as_it_was_before_the_story(demo: Demo) -> None:
    before = checksums(demo.session.database.engine)
    story(demo)
    assert demo.reset(TENANT) == 1  # the sag still ran; the outage was over
    assert checksums(demo.session.database.engine) == before
    assert demo.reset(TENANT) == 0
    assert checksums(demo.session.database.engine) == before
    assert demo.desk.trace(TENANT).all() == ()
    assert demo.events(TENANT) == []
    assert demo.desk.pulse(TENANT).grid_now == FROZEN - QUARTER


def test_a_reset_also_brings_back_days_that_were_over(make_demo: MakeDemo) -> None:
    clock = MovableClock()
    demo = make_demo(clock)
    theft(demo, duration_minutes=24 * 60)
    demo.publish(TENANT, cycles=13, interval_minutes=60)  # beyond the local midnight
    clock.move(days=1)
    during = view_rows(demo, FEEDER_LOSS)
    demo.reset(TENANT)
    after = view_rows(demo, FEEDER_LOSS)
    losses = [{r["day"]: r["loss_percent"] for r in rows if r["feeder_id"] == "FEEDER_7"} for rows in (during, after)]
    assert losses[0][date(2026, 11, 18)] > Decimal("0.1")
    assert losses[1][date(2026, 11, 18)] < Decimal("0.04")
    never = make_demo(clock)
    assert read_rows(demo, FROZEN - 2 * HOUR) == read_rows(never, FROZEN - 2 * HOUR)
    assert demo.desk.pulse(TENANT).grid_now == FROZEN + timedelta(days=1) - QUARTER


def test_a_reset_while_others_publish_leaves_no_gap(make_demo: MakeDemo) -> None:
    demo = make_demo()
    other = make_demo(data_dir=demo.settings.data_dir)
    theft(demo)
    demo.publish(TENANT, cycles=3)
    with ThreadPoolExecutor(2) as pool:
        publishing = pool.submit(other.publish, TENANT, cycles=12)
        for _ in range(3):
            demo.reset(TENANT)
        publishing.result(timeout=60)
    times = sorted({row[3] for row in read_rows(demo, FROZEN - 8 * HOUR)})
    assert all(later - time == QUARTER for time, later in pairwise(times))
    assert len(read_rows(demo, FROZEN - HOUR)) == 200 * len([time for time in times if time >= FROZEN - HOUR])


def test_a_reset_amid_publishing_on_a_timer_ends_it_and_restores_all(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "MIN_SECONDS", 0.01)
    before = checksums(demo.session.database.engine)
    theft(demo)
    demo.auto.start(demo.session.database, TENANT, 0.01, 15)
    deadline = time.monotonic() + 20
    while demo.desk.pulse(TENANT).grid_now < FROZEN + QUARTER:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    demo.reset(TENANT)
    assert not demo.auto_state(TENANT).running
    assert checksums(demo.session.database.engine) == before


# --- a database that came from DATABASE_URL -------------------------------------------------------------

UTILITY = f"""
CREATE TABLE {READS} (tenant_id text, meter_id text, feeder_id text, read_at timestamptz, kwh numeric, voltage real);
CREATE TABLE meters (tenant_id text, meter_id text, feeder_id text, position integer);
CREATE VIEW v_kpi_electric_overview_daily AS
  SELECT tenant_id, (read_at AT TIME ZONE 'UTC')::date AS day, 3.3 AS loss_percent_pct FROM {READS} GROUP BY 1, 2;
"""


@pytest.fixture
def utility(existing_url: Callable[..., str], tmp_path: Any) -> Any:
    """A demo on an existing database, with the events table applied."""
    demo = Demo(
        Settings(
            database_url=existing_url(UTILITY + EVENTS_MIGRATION.read_text(encoding="utf-8")),
            data_dir=tmp_path / "data",
            now=FROZEN,
            feeders=2,
            meters_per_feeder=3,
            may_synthesise=True,
        )
    )
    demo.session.start()
    yield demo
    demo.stop()


def test_on_an_existing_database_nothing_but_reads_and_events_is_ever_written(utility: Demo) -> None:
    before = catalogue(utility.session.database.engine)
    tables = checksums(utility.session.database.engine)
    utility.desk.pulse(TENANT)
    kpis_of(utility, TENANT)
    utility.desk.fresh(TENANT)
    room_of(utility, TENANT)
    utility.events(TENANT)
    assert checksums(utility.session.database.engine) == tables
    event = utility.trigger(TENANT, EventRequest("comms-outage", feeder_id="FEEDER_2", severity=1, duration_minutes=15))
    published = utility.publish(TENANT, cycles=2)
    assert [cycle.inserted for cycle in published.cycles] == [3, 6]
    assert utility.reset(TENANT) == 0
    assert utility.events(TENANT) == [event]
    after = checksums(utility.session.database.engine)
    assert {name for name in after if after[name] != tables[name]} == {READS, "ami_events"}
    assert after[READS][0] == 9
    assert catalogue(utility.session.database.engine) == before


def test_on_an_existing_database_a_reset_ends_events_and_keeps_every_read(utility: Demo) -> None:
    running = utility.trigger(TENANT, event_request("theft", feeder_id="FEEDER_1"))
    utility.publish(TENANT)
    before = checksums(utility.session.database.engine)[READS]
    assert utility.reset(TENANT) == 1
    assert checksums(utility.session.database.engine)[READS] == before
    assert utility.events(TENANT)[0].id == running.id
    assert utility.events(TENANT, active=True) == []


def test_an_existing_database_without_the_events_table_says_how_to_get_it(
    existing_url: Callable[..., str], tmp_path: Any
) -> None:
    url = existing_url(UTILITY)
    demo = Demo(Settings(database_url=url, data_dir=tmp_path / "data", now=FROZEN, may_synthesise=True))
    demo.session.start()
    before = catalogue(demo.session.database.engine)
    for call in (demo.events, demo.publish, demo.reset):
        with pytest.raises(DatabaseNotReadyError, match="gridlens_core migrate"):
            call(TENANT)
    assert catalogue(demo.session.database.engine) == before
    database: Database = connect(url, is_local=False)
    with database.transaction() as connection:
        connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    assert demo.events(TENANT) == []  # found without a restart
    database.engine.dispose()
    demo.stop()


def test_an_existing_database_is_not_revived_by_us(utility: Demo) -> None:
    started: list[Any] = []

    def start(data_dir: Any) -> str:
        started.append(data_dir)
        return ""

    def lose() -> None:
        with utility.session.transaction():
            raise DatabaseUnavailableError

    utility.session.start_database = start
    with pytest.raises(DatabaseUnavailableError):
        lose()
    for thread in enumerate_threads():
        if thread.name == "revive":
            thread.join()
    assert started == []


# --- after the commit -------------------------------------------------------------------------------------


def test_nothing_that_fails_after_the_commit_turns_a_published_cycle_into_an_error(
    make_demo: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = make_demo()
    data_dir = demo.settings.data_dir
    shutil.rmtree(data_dir)
    data_dir.write_text("a file in the place of the folder")
    published = demo.publish(TENANT, cycles=2)
    assert [cycle.inserted for cycle in published.cycles] == [200, 200]
    assert published.after is not None
    assert [said for said in demo.after.lost(TENANT) if "not kept beyond this process" in said]
    for owner, name in ((demo.nightly, "went_on"), (demo.desk, "kpis_at"), (demo.desk, "forget")):
        monkeypatch.setattr(owner, name, lambda *_, **__: 1 / 0)
    assert demo.publish(TENANT).cycles[0].inserted == 200
    assert demo.reset(TENANT) == 0
    assert demo.resets[TENANT] == 1
    assert len(demo.after.lost(TENANT)) == 4
    monkeypatch.undo()
    data_dir.unlink()
    demo.publish(TENANT)
    demo.reset(TENANT)
    assert demo.after.lost(TENANT) == []
