"""The local roll-ups are the sums of the reads, for any writer and any order; so are the expectations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, SMALL_FLEET, TENANT, catalogue, checksums

from gridlens_core.clock import day_start
from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.schema import KPI_VIEWS
from gridlens_core.publishing import baseline
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.publishing.seeding import local_fleet, prepare_local
from gridlens_core.settings import Settings

ZONE = "America/Chicago"
DAY = date(2026, 11, 18)
YESTERDAY = date(2026, 11, 17)
ROLLUP = "feeder_interval_reads"
EXPECTATIONS = ("meter_expectation", "feeder_hour_expectation", "feeder_expectation")


def rows(connection: sa.Connection, statement: str) -> list[Any]:
    return sorted(tuple(row) for row in connection.exec_driver_sql(statement))


def state(connection: sa.Connection, *tables: str) -> dict[str, list[Any]]:
    return {table: rows(connection, f"SELECT * FROM {table}") for table in tables}


def hour_of(read_at: datetime, zone: str) -> tuple[date, int]:
    last = (read_at.astimezone(UTC) - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
    return last.date(), last.hour


def summed(connection: sa.Connection, zone: str = ZONE) -> list[Any]:
    """What the roll-up must hold, added up in Python."""
    found = connection.exec_driver_sql(
        "SELECT tenant_id, day, feeder_id, number - 1 AS hour, meter_id, h.kw AS mean_kw FROM meter_expectation e "
        "CROSS JOIN LATERAL unnest(e.mean_kw) WITH ORDINALITY AS h(kw, number)"
    )
    mean_kw = {tuple(row)[:5]: row.mean_kw for row in found}
    sums: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0), 0, 0, 0, Decimal(0)])
    for read in connection.exec_driver_sql(f"SELECT * FROM {READS}"):
        day, hour = hour_of(read.read_at, zone)
        one = sums[read.tenant_id, day, read.feeder_id, read.read_at]
        expected = mean_kw.get((read.tenant_id, day, read.feeder_id, hour, read.meter_id))
        one[0] += 1
        one[1] += read.kwh
        one[2] += not 114 <= read.voltage <= 126
        one[3] += read.voltage < 114
        one[4] += expected is not None
        one[5] += expected or 0
    return sorted((*key, *values) for key, values in sums.items())


def expect_exact(connection: sa.Connection, zone: str = ZONE) -> None:
    found = rows(connection, f"SELECT * FROM {ROLLUP}")
    assert found == summed(connection, zone)
    assert found


# --- any writer -----------------------------------------------------------------------------------------

LATER = FROZEN + timedelta(minutes=15)
OTHERS = f"""
    INSERT INTO {READS} VALUES ('{TENANT}', 'NEW', 'FEEDER_3', '{FROZEN}', 0.25, 113.9),
      ('{TENANT}', 'NEW', 'FEEDER_99', '{LATER}', 0, 126.1), ('OTHER', 'M', 'F', '{FROZEN}', 1, 114)
"""
COPIES = f"INSERT INTO {READS} SELECT tenant_id, meter_id, feeder_id, read_at, 99, 1 FROM {READS}"
UPSERT = (
    "ON CONFLICT ON CONSTRAINT meter_reads_electric_once DO UPDATE SET kwh = excluded.kwh, voltage = excluded.voltage"
)
WRITES = {
    "reads of other meters, feeders and tenants": [OTHERS],
    "reads that are there already": [
        f"{COPIES} ON CONFLICT DO NOTHING",
        f"{OTHERS} ON CONFLICT DO NOTHING",
        f"{OTHERS} ON CONFLICT DO NOTHING",
    ],
    "reads put right": [
        f"UPDATE {READS} SET kwh = kwh * 0.3, voltage = 113 "
        f"WHERE feeder_id = 'FEEDER_7' AND read_at > '{FROZEN - timedelta(hours=9)}'",
    ],
    "an insert that updates": [f"{COPIES} WHERE meter_id < 'MTR-00010' {UPSERT}"],
    "meters that move to another feeder and reads to another time": [
        f"UPDATE {READS} SET feeder_id = 'FEEDER_1' WHERE meter_id IN ('MTR-00002', 'MTR-00041', 'MTR-00190')",
        f"UPDATE {READS} SET read_at = read_at + interval '1 min' WHERE feeder_id = 'FEEDER_4'",
    ],
    "reads that go, some and all of an interval": [
        f"DELETE FROM {READS} WHERE meter_id < 'MTR-00030'",
        f"DELETE FROM {READS} WHERE read_at > '{FROZEN - timedelta(days=2)}' AND feeder_id <> 'FEEDER_2'",
    ],
    "statements without a row": [f"DELETE FROM {READS} WHERE false", f"UPDATE {READS} SET kwh = 0 WHERE false"],
}


@pytest.mark.parametrize("statements", WRITES.values(), ids=WRITES)
def test_the_roll_up_is_the_sum_of_the_reads_after(connection: sa.Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)
    expect_exact(connection)


def test_what_is_rolled_back_to_a_savepoint_leaves_nothing(connection: sa.Connection) -> None:
    tables = (ROLLUP, "meter_energy_to_date", *EXPECTATIONS)
    before = state(connection, *tables)
    savepoint = connection.begin_nested()
    for statements in WRITES.values():
        connection.exec_driver_sql(statements[0])
    baseline.relearn_expectations(connection, TENANT, DAY, ["FEEDER_7", "FEEDER_1"])
    assert all(found != before[table] for table, found in state(connection, *tables).items())
    savepoint.rollback()
    assert state(connection, *tables) == before


def test_a_table_that_is_emptied_empties_the_roll_ups(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"TRUNCATE {READS}")
    assert state(connection, ROLLUP, "meter_energy_to_date") == {ROLLUP: [], "meter_energy_to_date": []}


def test_supply_may_come_before_or_after_the_reads(connection: sa.Connection) -> None:
    before = {view: rows(connection, f"SELECT * FROM {view}") for view in KPI_VIEWS}
    connection.exec_driver_sql("CREATE TEMP TABLE kept AS SELECT * FROM feeder_supply; DELETE FROM feeder_supply")
    assert rows(connection, "SELECT * FROM v_kpi_electric_overview_daily") == []
    assert rows(connection, "SELECT * FROM meter_energy_to_date") == []
    columns = "tenant_id, feeder_id, read_at, interval_minutes, supplied_kwh, meters_due"
    connection.exec_driver_sql(f"INSERT INTO feeder_supply ({columns}) SELECT {columns} FROM kept")
    assert {view: rows(connection, f"SELECT * FROM {view}") for view in KPI_VIEWS} == before
    expected = state(connection, *EXPECTATIONS)
    learn_at_once(connection, DAY)
    assert state(connection, *EXPECTATIONS) == expected


# --- expectations ---------------------------------------------------------------------------------------


def learn_at_once(connection: sa.Connection, day: date) -> None:
    """Learns one day as if nothing had been learned of it, or summed, before."""
    connection.exec_driver_sql("TRUNCATE meter_energy_to_date")
    for table in EXPECTATIONS:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE day = '{day}'")
    baseline.learn_expectations(connection, TENANT, day)


def test_an_expectation_is_the_mean_of_four_weeks_at_the_most(
    new_database: Callable[..., str], open_database: Callable[..., Database]
) -> None:
    database = open_database(new_database(), is_local=True)
    wall = day_start(date(2026, 11, 10), ZONE)
    settings = Settings(now=wall, feeders=2, meters_per_feeder=3, history_days=33)
    prepare_local(database, settings, wall, lambda _: None)
    with database.engine.connect() as connection:
        day = date(2026, 11, 9)  # the clocks went back on 1 November, within the weeks that count
        stored = state(connection, *EXPECTATIONS)
        sums: dict[Any, list[Any]] = defaultdict(lambda: [Decimal(0), 0])
        for read in connection.exec_driver_sql(f"SELECT * FROM {READS}"):
            on, hour = hour_of(read.read_at, ZONE)
            if day - timedelta(days=28) <= on < day:
                sums[read.feeder_id, read.meter_id, hour][0] += read.kwh
                sums[read.feeder_id, read.meter_id, hour][1] += 15
        expected = {key: round(kwh * 60 / minutes, 9) for key, (kwh, minutes) in sums.items()}
        found = connection.exec_driver_sql(
            f"SELECT feeder_id, meter_id, number - 1 AS hour, h.kw AS mean_kw FROM meter_expectation e "
            f"CROSS JOIN LATERAL unnest(e.mean_kw) WITH ORDINALITY AS h(kw, number) WHERE day = '{day}'"
        )
        assert {tuple(row)[:3]: row.mean_kw for row in found} == pytest.approx(expected, abs=Decimal("1e-9"))
        for again in (day, date(2026, 10, 20), day):
            learn_at_once(connection, again)
            assert state(connection, *EXPECTATIONS) == stored
        expect_exact(connection)


@pytest.mark.parametrize("changed", ["kwh = kwh * 0.3", "feeder_id = 'FEEDER_8'", "voltage = 1"])
def test_what_is_learned_again_is_what_would_have_been_learned(connection: sa.Connection, changed: str) -> None:
    earlier = state(connection, *EXPECTATIONS)
    connection.exec_driver_sql(
        f"UPDATE {READS} SET {changed} WHERE feeder_id IN ('FEEDER_3', 'FEEDER_7') "
        f"AND read_at > '{day_start(YESTERDAY, ZONE) + timedelta(hours=15)}'"
    )
    assert state(connection, *EXPECTATIONS) == earlier  # a night's estimation stands until it is asked for again
    baseline.relearn_expectations(connection, TENANT, DAY, ["FEEDER_3", "FEEDER_7", "FEEDER_8"])
    again = state(connection, *EXPECTATIONS)
    assert (again != earlier) == (changed != "voltage = 1")
    expect_exact(connection)
    rollup = state(connection, ROLLUP)
    learn_at_once(connection, DAY)
    assert state(connection, *EXPECTATIONS) == again
    assert state(connection, ROLLUP) == rollup


def test_only_the_named_feeders_are_learned_again_and_only_where_something_was(connection: sa.Connection) -> None:
    where = "WHERE feeder_id <> 'FEEDER_3'"
    others = {table: rows(connection, f"SELECT ctid::text, * FROM {table} {where}") for table in EXPECTATIONS}
    connection.exec_driver_sql(f"UPDATE {READS} SET kwh = 2 * kwh")
    baseline.relearn_expectations(connection, TENANT, DAY, ["FEEDER_3"])
    assert {table: rows(connection, f"SELECT ctid::text, * FROM {table} {where}") for table in EXPECTATIONS} == others
    before = state(connection, *EXPECTATIONS)
    for never_learned in (date(2026, 11, 14), DAY + timedelta(days=1)):
        baseline.relearn_expectations(connection, TENANT, never_learned, ["FEEDER_3"])
    assert state(connection, *EXPECTATIONS) == before


def test_late_reads_of_yesterday_count_in_tomorrow_s_estimation(connection: sa.Connection) -> None:
    late = (
        f"FROM {READS} WHERE feeder_id = 'FEEDER_5' AND read_at > '{day_start(YESTERDAY, ZONE) + timedelta(hours=20)}'"
    )
    connection.exec_driver_sql(f"CREATE TEMP TABLE late AS SELECT * {late}; DELETE {late}")
    baseline.learn_expectations(connection, TENANT, DAY + timedelta(days=1))
    connection.exec_driver_sql(f"INSERT INTO {READS} SELECT * FROM late")
    for table in EXPECTATIONS:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE day > '{DAY}'")
    baseline.learn_expectations(connection, TENANT, DAY + timedelta(days=1))
    incrementally = state(connection, *EXPECTATIONS)
    learn_at_once(connection, DAY + timedelta(days=1))
    assert state(connection, *EXPECTATIONS) == incrementally


def test_going_back_and_on_again_is_as_if_nothing_had_been(local: Database) -> None:
    fleet = local_fleet(local, Settings(**SMALL_FLEET), TENANT)
    moment = day_start(DAY, ZONE) - timedelta(hours=5)

    def on(connection: sa.Connection) -> None:
        schema = discover(connection)
        for _ in range(24):
            publish_cycle(connection, Plan(schema, fleet, moment, 15, supply=True))

    with local.transaction() as connection:
        baseline.forget_after(connection, TENANT, moment, YESTERDAY)
        expect_exact(connection)
        assert rows(connection, "SELECT max(day) FROM meter_energy_to_date") == [(date(2026, 11, 16),)]
        on(connection)
        expect_exact(connection)
    first = checksums(local.engine)
    with local.transaction() as connection:
        connection.exec_driver_sql(f"UPDATE {READS} SET kwh = 0 WHERE read_at > '{moment}'")
        baseline.forget_after(connection, TENANT, moment, YESTERDAY)
        on(connection)
    assert checksums(local.engine) == first


# --- older databases ------------------------------------------------------------------------------------

# What an earlier version left: no roll-ups, expectations as rounded numbers, days written out in the table.
OLDER = """
    DROP VIEW v_kpi_fieldops_daily, v_kpi_suspicious_meters_daily, v_kpi_electric_overview_daily,
      v_kpi_electric_feeder_loss_daily, v_feeder_latest, v_feeder_interval, local_thresholds;
    DROP FUNCTION roll_up, roll_up_truncated, forget_energy CASCADE;
    DROP TABLE feeder_interval_reads, feeder_hour_expectation, meter_energy_to_date, detection_findings;
    ALTER TABLE feeder_supply
      ALTER COLUMN day  SET EXPRESSION AS ((read_at AT TIME ZONE 'America/Chicago')::date),
      ALTER COLUMN hour SET EXPRESSION AS (0);
    DROP FUNCTION local_day, local_hour;
    CREATE TABLE hourly AS
      SELECT tenant_id, day, feeder_id, meter_id, (number - 1)::smallint AS hour, h.kw::real AS mean_kw
      FROM meter_expectation e CROSS JOIN LATERAL unnest(e.mean_kw) WITH ORDINALITY AS h(kw, number);
    DROP TABLE meter_expectation;
    ALTER TABLE hourly RENAME TO meter_expectation;
    ALTER TABLE meter_expectation ADD PRIMARY KEY (tenant_id, day, feeder_id, hour, meter_id);
    ALTER TABLE meter_reads_electric DROP CONSTRAINT meter_reads_electric_once,
      ADD CONSTRAINT meter_reads_electric_once UNIQUE (tenant_id, meter_id, read_at);
    DROP INDEX meter_reads_electric_by_feeder;
    CREATE INDEX meter_reads_electric_by_time ON meter_reads_electric (tenant_id, read_at, feeder_id);
    CREATE VIEW v_feeder_interval AS SELECT s.day, x.mean_kw FROM feeder_supply s CROSS JOIN meter_expectation x;
    CREATE VIEW v_feeder_balance AS SELECT * FROM v_feeder_interval;
    CREATE VIEW v_kpi_electric_overview_daily AS SELECT * FROM v_feeder_interval;
    COMMENT ON VIEW v_kpi_electric_overview_daily IS 'an older version';
"""


def test_an_older_local_database_is_brought_up_in_place(local: Database) -> None:
    before = catalogue(local.engine)
    with local.transaction() as connection:
        days = rows(connection, "SELECT * FROM feeder_supply")
        views = {view: rows(connection, f"SELECT * FROM {view}") for view in KPI_VIEWS[:2]}
        connection.exec_driver_sql(OLDER)
    with local.transaction() as connection:
        baseline.apply_baseline(connection, ZONE)
        expect_exact(connection)
        assert rows(connection, "SELECT * FROM feeder_supply") == days
        for view, earlier in views.items():
            assert [row[:2] for row in rows(connection, f"SELECT * FROM {view}")] == [row[:2] for row in earlier]
        baseline.learn_expectations(connection, TENANT, DAY + timedelta(days=1))
        incrementally = state(connection, *EXPECTATIONS)
        learn_at_once(connection, DAY + timedelta(days=1))
        assert state(connection, *EXPECTATIONS) == incrementally
    assert catalogue(local.engine) == before


def test_the_roll_ups_follow_the_time_zone_when_it_changes(local: Database) -> None:
    with local.transaction() as connection:
        baseline.apply_baseline(connection, "Asia/Kathmandu")
        expect_exact(connection, "Asia/Kathmandu")
        assert rows(connection, "SELECT * FROM meter_energy_to_date") == []
        connection.exec_driver_sql(f"UPDATE {READS} SET kwh = kwh / 2")
        expect_exact(connection, "Asia/Kathmandu")
