from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, TENANT, catalogue, checksums, lost_wh

from gridlens_core.clock import day_start, local_day
from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.fleet import Fleet, fleet_of, synthetic_fleet
from gridlens_core.publishing import baseline
from gridlens_core.publishing.publisher import publish_span, write_reads

ZONE = "America/Chicago"
DAY = date(2026, 11, 18)


def test_applying_it_again_changes_nothing(local: Database) -> None:
    before = catalogue(local.engine), checksums(local.engine)
    for _ in range(2):
        with local.transaction() as connection:
            baseline.apply_baseline(connection, ZONE)
    assert (catalogue(local.engine), checksums(local.engine)) == before


def test_it_makes_the_events_table_of_the_contract(
    new_database: Callable[..., str], open_database: Callable[..., Database]
) -> None:
    database = open_database(new_database(), is_local=True)
    with database.transaction() as connection:
        baseline.apply_baseline(connection, ZONE)
    found = catalogue(database.engine)
    assert {what for kind, what in found if kind == "relation" and what.startswith("r ")} == {
        "r ami_events",
        "r detection_findings",
        "r feeder_expectation",
        "r feeder_hour_expectation",
        "r feeder_interval_reads",
        "r feeder_supply",
        "r meter_energy_to_date",
        f"r {READS}",
        "r meter_expectation",
        "r meters",
    }
    assert ("relation", "i idx_ami_events_tenant_time") in found


def test_a_read_can_stand_there_once_and_may_be_export(local: Database) -> None:
    row = f"INSERT INTO {READS} VALUES ('T', 'M', 'F', '{FROZEN}', %s, 120)"
    with pytest.raises(sa.exc.IntegrityError), local.engine.begin() as connection:
        connection.exec_driver_sql(f"{row % 1}; {row % 2}")
    with local.engine.begin() as connection:
        connection.exec_driver_sql(row % -1)


def test_meters_keep_their_order_and_are_registered_once(connection: sa.Connection, fleet: Fleet) -> None:
    before = baseline.registered_meters(connection, TENANT)
    assert before == list(zip(fleet.meter_ids, fleet.feeder_ids, strict=True))
    other = synthetic_fleet(TENANT, feeders=11, meters_per_feeder=20, seed=7, timezone=ZONE)
    baseline.register_meters(connection, other)
    after = baseline.registered_meters(connection, TENANT)
    assert set(before) < set(after)
    assert len(after) == 220


def test_supply_is_recorded_once(connection: sa.Connection, fleet: Fleet) -> None:
    reads = emulate(fleet, Span(FROZEN - timedelta(minutes=15), 15, 2), [])
    for _ in range(2):
        baseline.record_supply(connection, reads)
    rows = connection.exec_driver_sql(
        f"SELECT feeder_id, read_at, supplied_kwh FROM feeder_supply WHERE read_at >= '{FROZEN}'"
    )
    assert {tuple(row) for row in rows} == {
        (feeder, read_at, Decimal(int(wh)) / 1000)
        for feeder, supplied in zip(fleet.feeders, reads.supplied_wh, strict=True)
        for read_at, wh in zip(reads.span.read_times, supplied, strict=True)
    }
    assert baseline.latest_supply_at(connection, TENANT) == FROZEN + timedelta(minutes=15)
    assert baseline.latest_supply_at(connection, "OTHER") is None


@pytest.mark.parametrize(
    "zone", ["America/Chicago", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Kiritimati"]
)
def test_day_and_hour_are_those_of_the_interval_s_last_instant(
    new_database: Callable[..., str], open_database: Callable[..., Database], zone: str
) -> None:
    with open_database(new_database(), is_local=True).transaction() as connection:
        baseline.apply_baseline(connection, zone)
        # March, April, October and November hold every change of clocks of these zones.
        for month in (3, 4, 10, 11):
            connection.exec_driver_sql(
                "INSERT INTO feeder_supply SELECT 'T', 'F', t, 15, 0, 0 FROM "
                f"generate_series('2026-{month}-01Z'::timestamptz, '2026-{month}-09Z', '15 minutes') t"
            )
        for row in connection.exec_driver_sql("SELECT read_at, day, hour FROM feeder_supply"):
            last = (row.read_at.astimezone(UTC) - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
            assert (row.day, row.hour) == (last.date(), last.hour) == (local_day(row.read_at, zone), last.hour)


def test_a_meter_is_expected_to_do_what_it_did_at_that_hour(connection: sa.Connection, fleet: Fleet) -> None:
    days = emulate(fleet, Span(day_start(date(2026, 11, 14), ZONE), 15, 4 * 96), [])
    assert days.sent.all()
    mean_kw = days.honest_wh.reshape(len(fleet), 4, 24, 4).mean(axis=(1, 3)) * 4 / 1000
    rows = connection.exec_driver_sql(f"SELECT meter_id, mean_kw FROM meter_expectation WHERE day = '{DAY}'")
    found = np.full((len(fleet), 24), np.nan)
    for row in rows:
        found[fleet.meter_ids.index(row.meter_id)] = row.mean_kw
    assert np.allclose(found, mean_kw, rtol=1e-6)


def test_a_feeder_is_expected_to_lose_what_its_conductors_do(connection: sa.Connection, fleet: Fleet) -> None:
    days = emulate(fleet, Span(day_start(date(2026, 11, 14), ZONE), 15, 4 * 96), [])
    rows = connection.exec_driver_sql(
        f"SELECT feeder_id, no_load_kw, load_factor FROM feeder_expectation WHERE day = '{DAY}'"
    )
    for row in rows:
        number = fleet.feeders.index(row.feeder_id)
        kw = days.supplied_wh[number] * 4 / 1000
        expected = row.no_load_kw + row.load_factor * kw**2
        off = np.abs(expected - lost_wh(days)[number] * 4 / 1000)
        assert off.mean() < 0.001 * kw.mean()
        assert off.max() < 0.02 * kw.mean()  # an interval of a workshop or of several cars lies outside what was seen


def test_expectations_are_learned_once_and_from_the_days_before_alone(connection: sa.Connection) -> None:
    expectation = sa.text("SELECT md5(string_agg(e::text, ' ' ORDER BY e::text)) FROM meter_expectation e")
    before = connection.execute(expectation).scalar_one()
    connection.exec_driver_sql(f"UPDATE {READS} SET kwh = kwh * 2")
    baseline.learn_expectations(connection, TENANT, DAY)
    assert connection.execute(expectation).scalar_one() == before
    nothing_before = date(2026, 11, 14)
    baseline.learn_expectations(connection, TENANT, nothing_before)
    assert connection.execute(expectation).scalar_one() == before
    baseline.learn_expectations(connection, TENANT, DAY + timedelta(days=1))
    assert connection.execute(expectation).scalar_one() != before


@pytest.mark.parametrize("there", [0, 1, 3], ids=lambda number: f"{number} reads already there")
def test_a_stretch_of_history_is_written_as_its_cycles_would_be(connection: sa.Connection, there: int) -> None:
    odd_ids = ["tab\there", "back\\slash", "line\nend", "null \\N", "quote \" ' {,}", "\r", "é"]
    fleet = fleet_of(TENANT, odd_ids, ["FEEDER\t1"] * 4 + ["FEEDER 2"] * 3, seed=7, timezone=ZONE)
    schema, span = discover(connection), Span(FROZEN, 15, 4)
    reads = emulate(fleet, span, [])
    write_reads(connection, schema, reads)
    statement = f"SELECT * FROM {READS} WHERE read_at > '{FROZEN}' ORDER BY read_at, meter_id"
    written = connection.exec_driver_sql(statement).all()
    assert len(written) == reads.sent.sum() > 20
    for row in written[there:]:
        forget = sa.text(f"DELETE FROM {READS} WHERE meter_id = :meter_id AND read_at = :read_at")
        connection.execute(forget, {"meter_id": row.meter_id, "read_at": row.read_at})
    assert publish_span(connection, schema, fleet, span) == len(written) - there
    assert connection.exec_driver_sql(statement).all() == written


def test_the_history_goes_back_to_a_moment_of_one_tenant(connection: sa.Connection) -> None:
    moment = FROZEN - timedelta(days=1)
    connection.exec_driver_sql(f"INSERT INTO {READS} VALUES ('OTHER', 'M', 'F', '{FROZEN}', 1, 120)")
    baseline.forget_after(connection, TENANT, moment, date(2026, 11, 17))
    for table in (READS, "feeder_supply"):
        newest = f"SELECT max(read_at) FROM {table} WHERE tenant_id = '{TENANT}'"
        assert connection.exec_driver_sql(newest).scalar_one() == moment
    for table in ("meter_expectation", "feeder_expectation"):
        assert connection.exec_driver_sql(f"SELECT max(day) FROM {table}").scalar_one() == date(2026, 11, 17)
    others = f"SELECT count(*) FROM {READS} WHERE tenant_id = 'OTHER'"
    assert connection.exec_driver_sql(others).scalar_one() == 1
