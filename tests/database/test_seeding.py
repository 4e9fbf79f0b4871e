from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, SMALL_FLEET, TENANT, MovableClock, Server, catalogue, checksums

from gridlens_core.clock import day_start, floor_to_interval
from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.schema import Schema
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import DatabaseNotReadyError, NotOnExistingDatabaseError
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import baseline, seeding
from gridlens_core.publishing.first_history import FirstHistory
from gridlens_core.publishing.progress import Progress
from gridlens_core.publishing.publisher import Plan, local_days, publish_cycle, publish_span
from gridlens_core.publishing.seeding import catch_up, fill_history, local_fleet, prepare_local
from gridlens_core.settings import Settings

QUARTER = timedelta(minutes=15)
ZONE = "America/Chicago"
# Four local days before the day of FROZEN, from midnight.
BEGINNING = day_start(date(2026, 11, 14), ZONE)


def settings(**changes: Any) -> Settings:
    return Settings(**{**SMALL_FLEET, **changes})


def prepare(database: Database, wall: datetime = FROZEN, **changes: Any) -> Schema:
    return prepare_local(database, settings(**changes), wall, lambda _: None)


def scalar(database: Database, statement: str) -> Any:
    with database.engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar_one()


@pytest.fixture
def empty(new_database: Callable[..., str], open_database: Callable[..., Database]) -> Database:
    return open_database(new_database(), is_local=True)


# --- a new database -------------------------------------------------------------------------------------


def test_a_new_database_is_filled_from_local_midnight_to_now(local: Database) -> None:
    intervals = int((FROZEN - BEGINNING) / QUARTER) - 1
    assert scalar(local, f"SELECT min(read_at) FROM {READS}") == BEGINNING + QUARTER
    assert scalar(local, f"SELECT max(read_at) FROM {READS}") == FROZEN - QUARTER
    assert scalar(local, "SELECT count(*) FROM feeder_supply") == 10 * intervals
    assert scalar(local, f"SELECT count(DISTINCT read_at) FROM {READS}") == intervals
    assert 0.98 < scalar(local, f"SELECT count(*) FROM {READS}") / (200 * intervals) <= 1


def test_the_history_is_what_the_emulator_would_have_sent(local: Database) -> None:
    fleet = local_fleet(local, settings(), TENANT)
    span = Span(BEGINNING, 15, int((FROZEN - BEGINNING) / QUARTER) - 1)
    reads = emulate(fleet, span, [])
    with local.engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT meter_id, read_at, kwh, voltage FROM {READS}")
        stored = {(row.meter_id, row.read_at): (row.kwh * 1_000_000, row.voltage * 10) for row in found}
    assert len(stored) == reads.sent.sum()
    for number, meter in enumerate(fleet.meter_ids):
        for interval, read_at in enumerate(span.read_times):
            if reads.sent[number, interval]:
                mwh, dv = int(reads.recorded_mwh[number, interval]), int(reads.voltage_dv[number, interval])
                assert stored[meter, read_at] == (mwh, dv)


def test_every_tenant_gets_a_fleet_of_its_own(empty: Database) -> None:
    prepare(empty, tenants=("ONE", "TWO"), feeders=2, meters_per_feeder=3, history_days=1)
    for tenant in ("ONE", "TWO"):
        assert scalar(empty, f"SELECT count(DISTINCT meter_id) FROM {READS} WHERE tenant_id = '{tenant}'") == 6
    one, two = (scalar(empty, f"SELECT sum(kwh) FROM {READS} WHERE tenant_id = '{t}'") for t in ("ONE", "TWO"))
    assert one != two


def test_the_start_tells_how_far_it_has_come(empty: Database) -> None:
    told: list[Progress] = []
    prepare_local(empty, settings(feeders=1, meters_per_feeder=2), FROZEN, told.append)
    shares = [progress.share for progress in told]
    assert len(told) == SMALL_FLEET["history_days"] + 1
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares)
    assert told[0].doing == "Reads of 2 meters for Saturday 14 November"


def test_the_start_tells_the_time_that_is_left(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 1000, 30))
    monkeypatch.setattr(seeding, "monotonic", lambda: next(seconds))
    told: list[str] = []
    prepare_local(empty, settings(feeders=1, meters_per_feeder=2), FROZEN, lambda progress: told.append(progress.doing))
    assert [one.partition(", ")[2] for one in told] == [
        "",
        "about 4 min left",
        "about 2 min left",
        "about 80 s left",
        "about 38 s left",
    ]


@pytest.mark.parametrize(("short", "room"), [("disk", 10**9), ("memory", 10**7)])
def test_a_fleet_without_room_for_it_is_refused_before_anything_is_written(
    empty: Database, monkeypatch: pytest.MonkeyPatch, short: str, room: int
) -> None:
    if short == "disk":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=room))
    else:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=room))
    with pytest.raises(DatabaseNotReadyError) as refused:
        prepare(empty, feeders=1000, meters_per_feeder=10, history_days=30)
    assert "10,000 meters with 30 days of history needs 7.4 GB of disk, 0.1 GB of memory and about 5 min" in str(
        refused.value
    )
    assert scalar(empty, "SELECT count(*) FROM meters") == 0


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25)], ids=["clocks go forward", "clocks go back"]
)
def test_the_day_the_clocks_change_is_as_long_as_it_is(empty: Database, day: date, hours: int) -> None:
    wall = day_start(day + timedelta(days=1), ZONE) + QUARTER
    prepare(empty, wall=wall, feeders=1, meters_per_feeder=2, history_days=1)
    assert scalar(empty, f"SELECT count(*) FROM feeder_supply WHERE day = '{day}'") == 4 * hours
    twice = scalar(empty, f"SELECT count(*) FROM feeder_supply WHERE day = '{day}' AND hour = 1")
    assert twice == (8 if hours == 25 else 4)
    skipped = scalar(empty, f"SELECT count(*) FROM feeder_supply WHERE day = '{day}' AND hour = 2")
    assert skipped == (0 if hours == 23 else 4)


class Outpaced(FirstHistory):
    """Stands for another process that has written: from the first span on, all is published like any other reads."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        self.end = FROZEN


@pytest.mark.parametrize(
    ("wall", "days"),
    [
        pytest.param(FROZEN, 4, id="some days"),
        pytest.param(day_start(date(2026, 11, 10), ZONE) + QUARTER, 33, id="beyond four weeks, and the clocks go back"),
        pytest.param(day_start(date(2026, 3, 10), ZONE) + QUARTER, 4, id="the clocks go forward"),
    ],
)
def test_a_history_written_at_once_is_what_publishing_would_have_written(
    new_database: Callable[..., str],
    open_database: Callable[..., Database],
    monkeypatch: pytest.MonkeyPatch,
    wall: datetime,
    days: int,
) -> None:
    at_once, published = (open_database(new_database(), is_local=True) for _ in range(2))
    size = {"feeders": 3, "meters_per_feeder": 4, "history_days": days}
    prepare(at_once, wall=wall, **size)
    monkeypatch.setattr(seeding, "FirstHistory", Outpaced)
    prepare(published, wall=wall, **size)
    assert checksums(at_once.engine) == checksums(published.engine)


# --- starting again -------------------------------------------------------------------------------------


def test_a_second_start_does_nothing(local: Database) -> None:
    before = checksums(local.engine), catalogue(local.engine)
    written = rows_written(local)
    prepare(local)
    prepare(local, wall=FROZEN + timedelta(minutes=14))
    assert (checksums(local.engine), catalogue(local.engine)) == before
    assert rows_written(local) == written


def rows_written(database: Database) -> int:
    """Rows inserted, updated or deleted since the database was made."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        connection.commit()
        return int(
            connection.exec_driver_sql(
                "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
            ).scalar_one()
        )


def test_a_gap_of_three_days_is_filled_as_if_there_had_been_none(
    local: Database, new_database: Callable[..., str], open_database: Callable[..., Database]
) -> None:
    later = FROZEN + timedelta(days=3, minutes=7)
    prepare(local, wall=later)
    never_slept = open_database(new_database(), is_local=True)
    prepare(never_slept, wall=later, history_days=SMALL_FLEET["history_days"] + 3)
    assert scalar(local, f"SELECT max(read_at) FROM {READS}") == FROZEN + timedelta(days=3, minutes=-15)
    assert checksums(local.engine) == checksums(never_slept.engine)


class PowerCutError(Exception):
    """The start ends here."""


@pytest.mark.parametrize("days", [0, 1, 4], ids=lambda days: f"after {days} days")
def test_a_start_that_was_interrupted_is_taken_up_again(empty: Database, local: Database, days: int) -> None:
    left = iter(range(days))

    def cut(_: Progress) -> None:
        if next(left, None) is None:
            raise PowerCutError

    with pytest.raises(PowerCutError):
        prepare_local(empty, settings(), FROZEN, cut)
    prepare(empty)
    assert checksums(empty.engine) == checksums(local.engine)


def test_a_history_at_odd_minutes_goes_on_without_counting_a_minute_twice(local: Database) -> None:
    schema, fleet = prepare(local), local_fleet(local, settings(), TENANT)
    for _ in range(2):
        with local.transaction() as connection:
            cycle = publish_cycle(connection, Plan(schema, fleet, FROZEN, 5, supply=True))
    assert cycle.read_at == FROZEN + timedelta(minutes=5)
    prepare(local, wall=FROZEN + timedelta(hours=1))
    overlapping = """
        SELECT count(*) FROM feeder_supply a JOIN feeder_supply b USING (tenant_id, feeder_id)
        WHERE a.read_at < b.read_at AND b.read_at - make_interval(mins => b.interval_minutes) < a.read_at
    """
    assert scalar(local, overlapping) == 0
    assert scalar(local, f"SELECT max(read_at) FROM {READS}") == FROZEN + timedelta(minutes=45)


# --- holes within the history ---------------------------------------------------------------------------


def gaps(database: Database) -> int:
    """How many intervals of a feeder do not follow upon the one before."""
    return scalar(
        database,
        "SELECT count(*) FROM (SELECT read_at - make_interval(mins => interval_minutes) AS start, "
        "lag(read_at) OVER (PARTITION BY feeder_id ORDER BY read_at) AS before FROM feeder_supply) i "
        "WHERE start <> before",
    )


def make_holes(database: Database) -> None:
    """What a laptop that slept three times leaves: within a day, over midnight, and an hour ago."""
    with database.engine.begin() as connection:
        for hours, until in ((50, 46), (14, 9), (2, 1)):
            for table in (READS, "feeder_supply"):
                connection.exec_driver_sql(
                    f"DELETE FROM {table} WHERE read_at > '{FROZEN - timedelta(hours=hours)}' "
                    f"AND read_at <= '{FROZEN - timedelta(hours=until)}'"
                )
        for table in ("meter_expectation", "feeder_hour_expectation", "feeder_expectation"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE day > '2026-11-16'")
        for day in (date(2026, 11, 17), date(2026, 11, 18)):
            baseline.learn_expectations(connection, TENANT, day)


def test_a_start_fills_every_hole_as_if_there_had_been_none(local: Database) -> None:
    before = checksums(local.engine)
    make_holes(local)
    assert gaps(local) == 3 * 10
    prepare(local)
    assert gaps(local) == 0
    after = checksums(local.engine)
    # The energy to date of a day that is over is kept or made again by the next estimation.
    del before["meter_energy_to_date"], after["meter_energy_to_date"]
    assert after == before


def test_a_reset_fills_every_hole(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo()
    before = checksums(demo.session.database.engine)
    make_holes(demo.session.database)
    demo.reset(TENANT)
    assert gaps(demo.session.database) == 0
    after = checksums(demo.session.database.engine)
    del before["meter_energy_to_date"], after["meter_energy_to_date"]
    assert after == before


@pytest.mark.parametrize("minutes", [5, 15, 20, 60])
def test_a_publish_after_an_idle_time_leaves_no_hole(make_demo: Callable[..., Demo], minutes: int) -> None:
    clock = MovableClock()
    demo = make_demo(clock=clock)
    demo.publish(TENANT, interval_minutes=minutes)
    clock.move(hours=20, minutes=13)
    cycle = demo.publish(TENANT, interval_minutes=minutes).cycles[0]
    assert cycle.read_at >= floor_to_interval(clock.now, minutes)
    assert gaps(demo.session.database) == 0


# --- settings that change between starts ----------------------------------------------------------------


def test_the_meters_that_are_there_are_kept_whatever_the_settings_say(local: Database) -> None:
    before = checksums(local.engine)
    prepare(local, feeders=2, meters_per_feeder=1)
    assert checksums(local.engine) == before
    assert len(local_fleet(local, settings(feeders=2, meters_per_feeder=1), TENANT)) == 200


def test_days_follow_the_time_zone_also_when_it_changes(local: Database) -> None:
    # 06:15 UTC is a quarter past midnight in Chicago, and a quarter past three in the afternoon in Tokyo.
    where = f"WHERE read_at = '{BEGINNING + QUARTER}' AND feeder_id = 'FEEDER_7'"
    assert scalar(local, f"SELECT (day, hour)::text FROM feeder_supply {where}") == "(2026-11-14,0)"
    reads = checksums(local.engine)[READS]
    prepare(local, timezone="Asia/Tokyo")
    assert scalar(local, f"SELECT (day, hour)::text FROM feeder_supply {where}") == "(2026-11-14,15)"
    assert scalar(local, "SELECT count(*) FROM feeder_supply WHERE day = '2026-11-19'") == 10 * 4 * 3 - 10
    assert scalar(local, "SELECT max(day) FROM v_kpi_electric_overview_daily") == date(2026, 11, 19)
    assert checksums(local.engine)[READS] == reads
    prepare(local)
    assert scalar(local, f"SELECT (day, hour)::text FROM feeder_supply {where}") == "(2026-11-14,0)"


def test_views_that_were_changed_by_hand_are_put_right_with_the_next_version(local: Database) -> None:
    with local.engine.begin() as connection:
        connection.exec_driver_sql(
            "DROP VIEW v_kpi_fieldops_daily; COMMENT ON VIEW v_kpi_electric_overview_daily IS 'an older version'"
        )
    prepare(local)
    assert scalar(local, "SELECT count(*) FROM v_kpi_fieldops_daily") == 5


def test_of_two_that_start_at_once_the_second_waits(server: Server, empty: Database) -> None:
    first = empty.engine.connect()
    transaction = first.begin()
    first.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('gridlens baseline', 0))")
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND wait_event = 'advisory'")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(prepare, empty, feeders=1, meters_per_feeder=1, history_days=1)
        with server.engine.connect() as connection:
            while not connection.execute(waiting, {"name": empty.engine.url.database}).scalar_one():
                assert not second.done()
        transaction.commit()
        first.close()
        assert second.result(timeout=30).unique_key


# --- a database that came from DATABASE_URL -------------------------------------------------------------


@pytest.mark.parametrize(
    "touch",
    [
        pytest.param(lambda database: prepare(database), id="the baseline"),
        pytest.param(lambda database: local_fleet(database, settings(), TENANT), id="a fleet to register"),
    ],
)
def test_what_is_for_the_local_database_is_refused_on_any_other(
    existing_url: Callable[..., str], open_database: Callable[..., Database], touch: Callable
) -> None:
    database = open_database(
        existing_url("CREATE TABLE meters (tenant_id text, meter_id text, feeder_id text, position integer)")
    )
    before = catalogue(database.engine), checksums(database.engine)
    with pytest.raises(NotOnExistingDatabaseError):
        touch(database)
    assert (catalogue(database.engine), checksums(database.engine)) == before


def test_nothing_is_filled_where_nothing_is_missing(local: Database) -> None:
    with local.transaction() as connection:
        schema = discover(connection)
    fleet: Fleet = local_fleet(local, settings(), TENANT)
    before = checksums(local.engine)
    for wall in (FROZEN, FROZEN - timedelta(days=2), FROZEN + timedelta(minutes=14, seconds=59)):
        fill_history(local, schema, fleet, settings(), wall, lambda _: None)
    assert checksums(local.engine) == before


# --- local midnight -------------------------------------------------------------------------------------


def learned_feeders(database: Database, day: date) -> int:
    return scalar(database, f"SELECT count(DISTINCT feeder_id) FROM feeder_hour_expectation WHERE day = '{day}'")


def test_the_estimation_is_made_in_slices_before_the_first_cycle_of_a_day(
    local: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline, "LEARNED_METERS", 50)
    schema, fleet = prepare(local), local_fleet(local, settings(), TENANT)
    midnight = day_start(date(2026, 11, 19), ZONE)
    with local.transaction() as connection:
        for span in local_days(FROZEN - QUARTER, midnight, 15, ZONE):
            publish_span(connection, schema, fleet, span)
        assert baseline.learn_some(connection, TENANT, date(2026, 11, 19))
    assert learned_feeders(local, date(2026, 11, 19)) == 2  # of 20 meters each
    catch_up(local, Plan(schema, fleet, FROZEN, supply=True))
    assert learned_feeders(local, date(2026, 11, 19)) == 10
    written = rows_written(local)
    catch_up(local, Plan(schema, fleet, FROZEN, supply=True))
    assert rows_written(local) == written


def test_the_last_cycle_of_a_day_begins_the_estimation_for_the_next(make_demo: Callable[..., Demo]) -> None:
    demo = make_demo(now=day_start(date(2026, 11, 19), ZONE))
    demo.publish(TENANT)
    demo.nightly.wait()
    assert learned_feeders(demo.session.database, date(2026, 11, 19)) == 10
    expected = checksums(demo.session.database.engine)["meter_expectation"]
    demo.publish(TENANT)
    assert checksums(demo.session.database.engine)["meter_expectation"] == expected
