from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import FROZEN, READS, SMALL_FLEET, TENANT, Server, checksums, event, finish, start_python, url_of

from gridlens_core.clock import INTERVAL_MINUTES, day_start, local_day
from gridlens_core.database.connection import Database
from gridlens_core.database.discovery import discover
from gridlens_core.database.event_log import insert_event
from gridlens_core.database.newest import latest_read_at
from gridlens_core.database.queries import EVENTS_MIGRATION
from gridlens_core.database.schema import Schema
from gridlens_core.errors import BadInputError, DatabaseRefusedError
from gridlens_core.meters.emulator import Span, emulate
from gridlens_core.meters.events import EventRequest, NewEvent
from gridlens_core.meters.fleet import Fleet, fleet_of, synthetic_fleet
from gridlens_core.publishing import safe_insert
from gridlens_core.publishing.publisher import (
    Cycle,
    Plan,
    local_days,
    lock_tenant,
    publish_cycle,
    read_grid_now,
    write_reads,
)

ZONE = "America/Chicago"
QUARTER = timedelta(minutes=15)
SMALL = synthetic_fleet(
    TENANT,
    feeders=SMALL_FLEET["feeders"],
    meters_per_feeder=SMALL_FLEET["meters_per_feeder"],
    seed=7,
    timezone=ZONE,
)
FLEET = synthetic_fleet(TENANT, feeders=3, meters_per_feeder=4, seed=7, timezone=ZONE)

TEXT_KEYS = "tenant_id text, meter_id text, feeder_id text, read_at timestamptz"
NUMERIC = f"CREATE TABLE {READS} ({TEXT_KEYS}, kwh numeric, voltage numeric);"
SHAPES = [
    pytest.param(NUMERIC, id="no key"),
    pytest.param(f"{NUMERIC} ALTER TABLE {READS} ADD UNIQUE (tenant_id, meter_id, read_at)", id="a unique constraint"),
    pytest.param(f"{NUMERIC} CREATE UNIQUE INDEX ON {READS} (meter_id, read_at)", id="a unique index"),
    pytest.param(
        f"{NUMERIC} ALTER TABLE {READS} ADD UNIQUE (tenant_id, meter_id, read_at) DEFERRABLE INITIALLY DEFERRED",
        id="a deferrable constraint",
    ),
    pytest.param(
        f"{NUMERIC} CREATE UNIQUE INDEX ON {READS} (tenant_id, meter_id, read_at) WHERE kwh > 0",
        id="a partial unique index",
    ),
    pytest.param(
        f"""CREATE TABLE {READS} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL DEFAULT
              'head-end', voltage numeric, kwh numeric, kw numeric GENERATED ALWAYS AS (kwh * 4) STORED, {TEXT_KEYS},
              received_at timestamptz NOT NULL DEFAULT '2026-01-01Z', note text)""",
        id="extra columns, in another order",
    ),
    pytest.param(f"CREATE TABLE {READS} ({TEXT_KEYS}, kwh real, voltage double precision)", id="floating measures"),
    pytest.param(f"CREATE TABLE {READS} ({TEXT_KEYS}, kwh numeric(10,3), voltage numeric(4,1))", id="rounded measures"),
    pytest.param(
        f"""CREATE TABLE {READS} (tenant_id varchar(20), meter_id varchar(9), feeder_id char(12), read_at timestamptz,
              kwh numeric, voltage numeric, PRIMARY KEY (tenant_id, meter_id, read_at))""",
        id="short character types",
    ),
    pytest.param(
        f"""CREATE TABLE {READS} ({TEXT_KEYS}, kwh numeric, voltage numeric, UNIQUE (tenant_id, meter_id, read_at))
              PARTITION BY RANGE (read_at); CREATE TABLE all_reads PARTITION OF {READS} DEFAULT""",
        id="a partitioned table",
    ),
]


@pytest.fixture
def existing(
    existing_url: Callable[..., str], open_database: Callable[..., Database]
) -> Callable[[str], tuple[Database, Schema]]:
    """An existing database with a reads table of the given shape, migrated."""

    def make(shape: str) -> tuple[Database, Schema]:
        database = open_database(existing_url(f"{shape};{EVENTS_MIGRATION.read_text(encoding='utf-8')}"))
        with database.transaction(read_only=True) as connection:
            return database, discover(connection)

    return make


@pytest.fixture
def local_schema(local: Database) -> Schema:
    with local.transaction(read_only=True) as connection:
        return discover(connection)


def publish(database: Database, schema: Schema, fleet: Fleet = FLEET, **changes: Any) -> Cycle:
    """One cycle; every read arrives unless `missing_share` says otherwise."""
    whole = replace(fleet, missing_share=changes.pop("missing_share", 0.0))
    with database.transaction() as connection:
        return publish_cycle(connection, Plan(schema, whole, changes.pop("wall", FROZEN), **changes))


def rows(database: Database) -> list[tuple[Any, ...]]:
    statement = f"SELECT tenant_id, trim(meter_id), trim(feeder_id), read_at, kwh, voltage FROM {READS} ORDER BY 4, 2"
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


# --- the safe insert ------------------------------------------------------------------------------------


@pytest.fixture(params=["arrays", "a temporary table"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How rows travel: as many do, or as few."""
    if request.param != "arrays":
        monkeypatch.setattr(safe_insert, "COPIED_FROM", 1)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_cycle_lands_whole_in_a_table_of_any_shape(existing: Callable, shape: str) -> None:
    database, schema = existing(shape)
    assert schema.may_use_temporary
    cycle = publish(database, schema)
    assert (cycle.meters, cycle.inserted, cycle.already_there, cycle.not_read) == (12, 12, 0, 0)
    reads = emulate(FLEET, Span.ending(FROZEN, 15), [], missing_share=0)
    expected = list(zip(FLEET.meter_ids, FLEET.feeder_ids, strict=True))
    assert [row[:4] for row in rows(database)] == [(TENANT, *pair, FROZEN) for pair in expected]
    kwh, volts = ([float(row[column]) for row in rows(database)] for column in (4, 5))
    assert kwh == pytest.approx((reads.recorded_mwh[:, 0] / 1e6).tolist(), abs=5.1e-4)
    assert volts == pytest.approx((reads.voltage_dv[:, 0] / 10).tolist(), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_interval_again_inserts_nothing_and_changes_nothing(existing: Callable, shape: str) -> None:
    database, schema = existing(shape)
    publish(database, schema)
    before = checksums(database.engine)
    changed = emulate(
        FLEET, Span.ending(FROZEN, 15), [event(feeder="FEEDER_2", starts=FROZEN - QUARTER)], missing_share=0
    )
    with database.transaction() as connection:
        assert write_reads(connection, schema, changed) == 0
    assert checksums(database.engine) == before


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", SHAPES)
def test_reads_that_are_already_there_stand_and_the_others_join_them(existing: Callable, shape: str) -> None:
    database, schema = existing(shape)
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO {READS} (tenant_id, meter_id, feeder_id, read_at, kwh, voltage) "
            f"VALUES ('{TENANT}', 'MTR-00002', 'FEEDER_1', '{FROZEN}', 99, 99), "
            f"('{TENANT}', 'MTR-00012', 'FEEDER_3', '{FROZEN}', 99, 99)"
        )
    reads = emulate(FLEET, Span.ending(FROZEN, 15), [], missing_share=0)
    with database.transaction() as connection:
        assert write_reads(connection, schema, reads, batch_rows=5) == 10
    after = rows(database)
    assert [row[1] for row in after] == list(FLEET.meter_ids)
    assert [row[1] for row in after if row[4] == 99] == ["MTR-00002", "MTR-00012"]


def test_another_tenant_s_meter_of_the_same_name_is_another_meter(existing: Callable) -> None:
    database, schema = existing(NUMERIC)
    other = fleet_of("OTHER", FLEET.meter_ids, FLEET.feeder_ids, seed=7, timezone=ZONE)
    assert publish(database, schema, other).inserted == 12
    assert publish(database, schema).inserted == 12
    assert latest(database, schema, "OTHER") == latest(database, schema) == FROZEN


def test_energies_are_stored_to_the_last_digit(local: Database, local_schema: Schema) -> None:
    with local.transaction() as connection:
        insert_event(connection, asked("theft", severity=0.123))
    publish(local, local_schema, SMALL, supply=True)
    with local.engine.connect() as connection:
        stored = connection.exec_driver_sql(f"SELECT meter_id, kwh FROM {READS} WHERE read_at = '{FROZEN}'")
        recorded = {row.meter_id: row.kwh for row in stored}
    honest = emulate(SMALL, Span.ending(FROZEN, 15), [], missing_share=0).honest_wh[:, 0]
    for meter, feeder, wh in zip(SMALL.meter_ids, SMALL.feeder_ids, honest.tolist(), strict=True):
        left = Decimal("0.877") if feeder == "FEEDER_7" else Decimal(1)
        assert recorded[meter] == Decimal(wh) * left / 1000, meter


ODD_NAMES = [
    "\\N",
    "a\tb",
    "\\.",
    'a"b',
    "a'b",
    "a\\b",
    "a,b",
    "{a}",
    "NULL",
    "null",
    " a ",
    "ä€😀",
    "%s",
    ":a",
    "a\nb",
    "a;--",
    "$1",
]


@pytest.mark.usefixtures("way")
def test_meters_and_feeders_may_have_any_name(existing: Callable) -> None:
    database, schema = existing(NUMERIC)
    fleet = fleet_of(TENANT, ODD_NAMES, [f"F {name}" for name in ODD_NAMES], seed=7, timezone=ZONE)
    assert publish(database, schema, fleet, batch_rows=3).inserted == len(ODD_NAMES)
    with database.engine.connect() as connection:
        stored = connection.execute(sa.text(f"SELECT meter_id, feeder_id FROM {READS}"))
        assert {tuple(row) for row in stored} == {(name, f"F {name}") for name in ODD_NAMES}


@pytest.mark.parametrize("batch_rows", [0, -1])
def test_a_batch_holds_at_least_a_row(local: Database, local_schema: Schema, batch_rows: int) -> None:
    with pytest.raises(BadInputError, match="batchSize"):
        publish(local, local_schema, SMALL, batch_rows=batch_rows)


def test_any_batch_size_gives_the_same_reads(local: Database, local_schema: Schema) -> None:
    published = []
    for batch_rows in (1, 7, 50, 10**6):
        with local.engine.connect() as connection:  # rolled back when closed
            insert_event(connection, asked("comms-outage"))
            cycle = publish_cycle(connection, Plan(local_schema, SMALL, FROZEN, batch_rows=batch_rows))
            stored = connection.exec_driver_sql(f"SELECT * FROM {READS} WHERE read_at = '{FROZEN}' ORDER BY meter_id")
            published.append((cycle.inserted, cycle.not_read, [tuple(row) for row in stored]))
    assert all(one == published[0] for one in published)
    assert published[0][0] == len(published[0][2]) == len(SMALL) - published[0][1]
    assert published[0][1] >= 20


# --- a cycle is published whole or not at all -----------------------------------------------------------


def test_a_cycle_that_is_rolled_back_leaves_the_database_as_it_was(local: Database, local_schema: Schema) -> None:
    before = checksums(local.engine)
    with local.engine.connect() as connection:
        insert_event(connection, asked("theft"))
        for _ in range(3):
            publish_cycle(connection, Plan(local_schema, SMALL, FROZEN, supply=True))
        assert latest_read_at(connection, local_schema, TENANT) == FROZEN + 2 * QUARTER
        connection.rollback()
    assert checksums(local.engine) == before
    assert before[READS][0] > 80_000


def test_a_cycle_the_database_refuses_leaves_nothing(existing: Callable) -> None:
    database, schema = existing(f"{NUMERIC} ALTER TABLE {READS} ADD CHECK (meter_id <> 'MTR-00012')")
    with pytest.raises(DatabaseRefusedError, match="nothing was written"):
        publish(database, schema, batch_rows=1)
    assert rows(database) == []


PUBLISH = """
import os, signal, sys
from dataclasses import replace
from datetime import datetime
import sqlalchemy as sa
from gridlens_core.database.connection import connect
from gridlens_core.publishing.publisher import Plan, publish_cycle
from gridlens_core.database.discovery import discover
from gridlens_core.publishing.seeding import local_fleet
from gridlens_core.settings import Settings

url, wall, dies_at = sys.argv[1], datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
database = connect(url, is_local=True)
fleet = local_fleet(database, Settings(), "DEMO_TENANT")
with database.transaction(read_only=True) as connection:
    schema = discover(connection)
inserts = 0

@sa.event.listens_for(database.engine, "after_cursor_execute")
def count(connection, cursor, statement, *rest):
    global inserts
    inserts += statement.startswith("INSERT INTO public.") and "meter_reads_electric" in statement
    if inserts == dies_at:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

print("ready", flush=True)
sys.stdin.readline()
with database.transaction() as connection:
    cycle = publish_cycle(connection, Plan(schema, replace(fleet, missing_share=0), wall, batch_rows=50, supply=True))
print(cycle.read_at.isoformat(), cycle.inserted)
database.engine.dispose()
"""


@pytest.mark.parametrize("dies_at", [1, 3, 4], ids=lambda batch: f"after batch {batch} of 4")
def test_a_publisher_killed_in_a_cycle_leaves_nothing_of_it(
    local: Database, local_schema: Schema, dies_at: int
) -> None:
    before = checksums(local.engine)
    killed = finish(start_python(PUBLISH, url_of(local), FROZEN.isoformat(), str(dies_at)), check=False)
    assert killed.returncode != 0
    assert killed.stdout == "ready\n", killed.stderr
    cycle = publish(local, local_schema, SMALL, supply=True)  # waits for the lock, which died with its session
    assert (cycle.read_at, cycle.inserted, cycle.already_there) == (FROZEN, 200, 0)
    with local.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {READS} WHERE read_at = '{FROZEN}'")
        connection.exec_driver_sql(f"DELETE FROM feeder_supply WHERE read_at = '{FROZEN}'")
    assert checksums(local.engine) == before


# --- many publishers at once ----------------------------------------------------------------------------


def expect_eight_consecutive_intervals(local: Database, published: list[datetime]) -> None:
    times = [FROZEN + number * QUARTER for number in range(8)]
    assert sorted(published) == times
    with local.engine.connect() as connection:
        stored = connection.exec_driver_sql(
            f"SELECT read_at, count(*), count(DISTINCT meter_id) FROM {READS} WHERE read_at >= '{FROZEN}' "
            "GROUP BY read_at ORDER BY read_at"
        )
        assert [tuple(row) for row in stored] == [(time, len(SMALL), len(SMALL)) for time in times]


def test_eight_threads_publish_eight_consecutive_intervals(local: Database, local_schema: Schema) -> None:
    together = Barrier(8)

    def one(_: int) -> datetime:
        together.wait(timeout=30)
        return publish(local, local_schema, SMALL, supply=True).read_at

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(one, range(8)))
    expect_eight_consecutive_intervals(local, published)


def test_eight_processes_publish_eight_consecutive_intervals(local: Database) -> None:
    processes = [start_python(PUBLISH, url_of(local), FROZEN.isoformat(), "-1") for _ in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [finish(process).stdout.split() for process in processes]
    assert {int(inserted) for _, inserted in answers} == {len(SMALL)}
    expect_eight_consecutive_intervals(local, [datetime.fromisoformat(read_at) for read_at, _ in answers])


def test_without_a_key_the_lock_alone_keeps_repeated_reads_out(existing: Callable) -> None:
    database, schema = existing(NUMERIC)
    together = Barrier(6)

    def one(_: int) -> int:
        reads = emulate(FLEET, Span.ending(FROZEN, 15), [], missing_share=0)
        together.wait(timeout=30)
        with database.transaction() as connection:
            lock_tenant(connection, TENANT)
            return write_reads(connection, schema, reads, batch_rows=5)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [0, 0, 0, 0, 0, 12]
    assert len(rows(database)) == 12


# --- a role that may do little --------------------------------------------------------------------------


@pytest.fixture
def writer(
    existing: Callable, server: Server, open_database: Callable[..., Database]
) -> Iterator[tuple[Database, Database]]:
    """A database as its owner sees it, and as a role that may only select and insert."""
    owner, _ = existing(NUMERIC)
    role, name = "meter_writer", owner.engine.url.database
    with owner.engine.begin() as connection:
        connection.exec_driver_sql(
            f'CREATE ROLE {role} LOGIN; REVOKE ALL ON DATABASE "{name}" FROM PUBLIC; '
            f'GRANT CONNECT ON DATABASE "{name}" TO {role}; GRANT SELECT, INSERT ON {READS}, ami_events TO {role}'
        )
    limited = open_database(server.url_of(str(name)).replace("postgres:@", f"{role}@"))
    yield owner, limited
    limited.engine.dispose()
    with owner.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.usefixtures("way")
def test_select_and_insert_are_all_a_role_needs(writer: tuple[Database, Database]) -> None:
    owner, limited = writer
    with limited.transaction() as connection:
        schema = discover(connection)
        assert not schema.may_use_temporary
        insert_event(connection, asked("comms-outage", feeder="FEEDER_2"))
    cycle = publish(limited, schema)
    assert (cycle.inserted, cycle.not_read, len(cycle.events)) == (8, 4, 1)
    assert len(rows(owner)) == 8


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("CREATE TEMPORARY TABLE t ()", id="temporary tables"),
        pytest.param("CREATE TABLE t ()", id="tables"),
        pytest.param(f"UPDATE {READS} SET kwh = 0", id="updates of reads"),
        pytest.param(f"DELETE FROM {READS}", id="deletes of reads"),
    ],
)
def test_that_role_may_indeed_not_do_more(writer: tuple[Database, Database], statement: str) -> None:
    with pytest.raises(DatabaseRefusedError, match="lacks the privilege"), writer[1].transaction() as connection:
        connection.exec_driver_sql(statement)


# --- grid clock and events ------------------------------------------------------------------------------


def test_each_cycle_publishes_the_interval_after_the_last(local: Database, local_schema: Schema) -> None:
    times = [
        publish(local, local_schema, SMALL, supply=True, interval_minutes=minutes).read_at
        for minutes in (15, 5, 60, 15)
    ]
    assert times == [FROZEN + timedelta(minutes=minutes) for minutes in (0, 5, 65, 80)]


def test_a_history_left_alone_catches_up_with_the_wall_clock(local: Database, local_schema: Schema) -> None:
    later = FROZEN + timedelta(days=2, minutes=7)
    with local.transaction(read_only=True) as connection:
        assert read_grid_now(connection, local_schema, TENANT, later, 15) == FROZEN + timedelta(days=2, minutes=-15)
    assert publish(local, local_schema, SMALL, wall=later).read_at == FROZEN + timedelta(days=2)


def test_a_tenant_without_reads_begins_at_the_wall_clock(existing: Callable) -> None:
    database, schema = existing(NUMERIC)
    assert latest(database, schema) is None
    assert publish(database, schema, wall=FROZEN + timedelta(minutes=14, seconds=59)).read_at == FROZEN
    assert latest(database, schema) == FROZEN


@pytest.mark.parametrize("minutes", [0, 7, 45, 120])
def test_an_odd_interval_is_refused_before_anything_is_written(
    local: Database, local_schema: Schema, minutes: int
) -> None:
    with pytest.raises(BadInputError, match="intervalMinutes"):
        publish(local, local_schema, SMALL, interval_minutes=minutes)
    assert latest(local, local_schema) == FROZEN - QUARTER


def test_an_event_bites_in_the_cycles_its_window_overlaps(local: Database, local_schema: Schema) -> None:
    with local.transaction() as connection:
        now = read_grid_now(connection, local_schema, TENANT, FROZEN, 15)
        written = insert_event(connection, asked("comms-outage", starts=now))
    cycles = [publish(local, local_schema, SMALL, supply=True) for _ in range(5)]
    assert [cycle.not_read for cycle in cycles] == [20, 20, 20, 20, 0]
    assert [cycle.events for cycle in cycles] == [(written,)] * 4 + [()]


def test_ordinary_gaps_are_neither_inserted_nor_counted_as_there(local: Database, local_schema: Schema) -> None:
    cycles = [publish(local, local_schema, SMALL, supply=True, missing_share=0.05) for _ in range(4)]
    assert sum(cycle.not_read for cycle in cycles) > 0
    assert all(cycle.meters == cycle.inserted + cycle.not_read for cycle in cycles)


def test_the_supply_is_reported_beside_the_reads(local: Database, local_schema: Schema) -> None:
    publish(local, local_schema, SMALL, supply=True, interval_minutes=30)
    reads = emulate(SMALL, Span.ending(FROZEN + QUARTER, 30), [])
    with local.engine.connect() as connection:
        supply = connection.exec_driver_sql(
            "SELECT feeder_id, supplied_kwh, interval_minutes, meters_due FROM feeder_supply "
            f"WHERE read_at > '{FROZEN}'"
        )
        stored = {row.feeder_id: tuple(row)[1:] for row in supply}
    expected = {
        feeder: (Decimal(int(wh)) / 1000, 30, int(meters))
        for feeder, wh, meters in zip(SMALL.feeders, reads.supplied_wh[:, 0], SMALL.meters_by_feeder, strict=True)
    }
    assert stored == expected


# --- stretches of history -------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", INTERVAL_MINUTES)
@pytest.mark.parametrize(
    ("first", "lengths"),
    [
        pytest.param(date(2026, 11, 16), [24, 24, 24], id="ordinary days"),
        pytest.param(date(2026, 3, 7), [24, 23, 24], id="clocks go forward"),
        pytest.param(date(2026, 10, 31), [24, 25, 24], id="clocks go back"),
    ],
)
def test_a_stretch_is_cut_into_local_days(minutes: int, first: date, lengths: list[int]) -> None:
    start, end = day_start(first, ZONE), day_start(first + timedelta(days=3), ZONE)
    spans = list(local_days(start, end, minutes, ZONE))
    assert [span.count * minutes for span in spans] == [hours * 60 for hours in lengths]
    assert (spans[0].start, spans[-1].end) == (start, end)
    assert all(one.end == other.start for one, other in pairwise(spans))
    assert all(len({local_day(time, ZONE) for time in span.read_times}) == 1 for span in spans)


def test_a_stretch_shorter_than_an_interval_holds_none() -> None:
    assert list(local_days(FROZEN, FROZEN + timedelta(minutes=14), 15, ZONE)) == []


# --- helpers --------------------------------------------------------------------------------------------


def asked(
    event_type: str, *, feeder: str = "FEEDER_7", severity: float = 0.7, starts: datetime = FROZEN - QUARTER
) -> NewEvent:
    return EventRequest(event_type, feeder_id=feeder, severity=severity, duration_minutes=60).checked(TENANT, starts)


def latest(database: Database, schema: Schema, tenant_id: str = TENANT) -> datetime | None:
    with database.transaction(read_only=True) as connection:
        return latest_read_at(connection, schema, tenant_id)
