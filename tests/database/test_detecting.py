"""The detection job: what it writes follows from the reads and the supply that are stored, and from nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, TENANT, event

from gridlens_core.clock import local_day
from gridlens_core.database.discovery import discover
from gridlens_core.database.schema import Schema
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import baseline
from gridlens_core.publishing.detecting import detect
from gridlens_core.publishing.publisher import Plan, publish_cycle

ZONE = "America/Chicago"
DAY = local_day(FROZEN, ZONE)
QUARTER = timedelta(minutes=15)
NAMED = "SELECT meter_id FROM v_kpi_suspicious_meters_daily WHERE issue = 'CONSUMPTION_DROP'"


@pytest.fixture
def schema(connection: sa.Connection) -> Schema:
    return discover(connection)


def publish(connection: sa.Connection, schema: Schema, fleet: Fleet, thefts: list[Any], cycles: int = 3) -> None:
    for _ in range(cycles):
        publish_cycle(connection, Plan(schema, fleet, FROZEN, supply=True), events=thefts)


def findings(connection: sa.Connection) -> list[Any]:
    rows = connection.exec_driver_sql("SELECT * FROM detection_findings ORDER BY read_at, feeder_id, meter_id")
    return [tuple(row) for row in rows]


THEFTS = [event(severity=0.6, starts=FROZEN - QUARTER), event("theft", 1, feeder="FEEDER_2", starts=FROZEN)]


def test_a_theft_is_found_from_the_reads_and_nothing_without_it(
    connection: sa.Connection, schema: Schema, fleet: Fleet
) -> None:
    publish(connection, schema, fleet, [])
    assert findings(connection) == []
    publish(connection, schema, fleet, THEFTS)
    named = set(connection.exec_driver_sql(NAMED).scalars())
    stolen = {"FEEDER_7", "FEEDER_2"}
    assert named == {meter for meter, of in zip(fleet.meter_ids, fleet.feeder_ids, strict=True) if of in stolen}
    suspected = connection.exec_driver_sql(
        f"SELECT feeder_id, evidence FROM v_kpi_electric_feeder_loss_daily WHERE evidence IS NOT NULL AND day = '{DAY}'"
    ).all()
    assert {row.feeder_id for row in suspected} == stolen
    assert all("beyond what its conductors explain" in row.evidence for row in suspected)


def test_the_job_may_run_again_and_for_one_feeder_alone(
    connection: sa.Connection, schema: Schema, fleet: Fleet
) -> None:
    publish(connection, schema, fleet, THEFTS)
    before = findings(connection)
    detect(connection, TENANT, DAY)
    assert findings(connection) == before
    detect(connection, TENANT, DAY, ["FEEDER_2"])
    assert findings(connection) == before
    connection.exec_driver_sql("DELETE FROM detection_findings WHERE feeder_id = 'FEEDER_7'")
    detect(connection, TENANT, DAY, ["FEEDER_2"])
    assert {row[3] for row in findings(connection)} == {"FEEDER_2"}
    detect(connection, TENANT, DAY, ["FEEDER_7"])
    latest = max(row[2] for row in before)
    assert [row for row in findings(connection) if row[2] == latest] == [row for row in before if row[2] == latest]


def test_reads_that_are_put_right_take_their_findings_with_them(
    connection: sa.Connection, schema: Schema, fleet: Fleet
) -> None:
    savepoint = connection.begin_nested()
    publish(connection, schema, fleet, [], cycles=6)
    honest = f"CREATE TEMP TABLE honest ON COMMIT DROP AS SELECT * FROM {READS} WHERE read_at > '{FROZEN}'"
    kept = [tuple(row) for row in connection.exec_driver_sql(honest.split(" AS ")[1])]
    savepoint.rollback()
    publish(connection, schema, fleet, THEFTS, cycles=6)
    assert connection.exec_driver_sql(NAMED).scalars().all()
    connection.exec_driver_sql(f"DELETE FROM {READS} WHERE read_at > '{FROZEN}'")
    connection.execute(
        sa.text(f"INSERT INTO {READS} VALUES (:a, :b, :c, :d, :e, :f)"),
        [dict(zip("abcdef", row, strict=True)) for row in kept],
    )
    detect(connection, TENANT, DAY)
    assert connection.exec_driver_sql(NAMED).scalars().all() == []


def test_going_back_in_time_shows_what_was_found_then(connection: sa.Connection, schema: Schema, fleet: Fleet) -> None:
    publish(connection, schema, fleet, THEFTS, cycles=2)
    then = findings(connection)
    publish(connection, schema, fleet, THEFTS, cycles=2)
    assert findings(connection) != then
    baseline.forget_after(connection, TENANT, FROZEN + QUARTER, DAY)
    assert findings(connection) == then
    baseline.forget_after(connection, TENANT, FROZEN - 4 * QUARTER, DAY)
    assert findings(connection) == []
