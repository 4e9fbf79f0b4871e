"""The local database's stand-in for the utility's own systems: registry, feeder supply, nightly estimation.
Never used on a database that came from DATABASE_URL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.queries import EVENTS_MIGRATION, blocks, query
from gridlens_core.meters.emulator import Reads, Span
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.detecting import DETECTION, detect

TABLES, THRESHOLDS, ROLLUPS = "local/tables.sql", "local/thresholds.sql", "local/rollups.sql"
VIEWS, QUERIES = "local/views.sql", "local/queries.sql"

LEARNED_METERS = 1_000  # in one statement: a second or so
LEARNED_DAYS = 28  # four weeks, as in sql/local/queries.sql
LEARNING_MEMORY = "64MB"  # keeps the hourly sums of a large fleet off the disk


def apply_baseline(connection: sa.Connection, timezone: str) -> None:
    """Tables, roll-ups, views and ami_events of the local database; leaves what is up to date alone.

    Of an older local database the reads stay as they are, and the roll-ups are filled from them.
    """
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('gridlens baseline', 0))")
    views, rollups = _digest(THRESHOLDS, VIEWS), _digest(TABLES, THRESHOLDS, ROLLUPS)
    marks = connection.execute(query(QUERIES, "baseline_marks")).mappings().one()
    if (marks["views"], marks["rollups"], marks["timezone"]) == (views, rollups, timezone):
        return
    connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    connection.execute(query(TABLES, "clock"), {"timezone": timezone})
    for file_name, name in ((TABLES, "tables"), (VIEWS, "drop_views"), (THRESHOLDS, "thresholds")):
        connection.execute(query(file_name, name))
    refill = (marks["rollups"], marks["timezone"]) != (rollups, timezone)
    if refill:
        connection.execute(query(TABLES, "older_tables"))
        connection.execute(query(ROLLUPS, "triggers"))
        connection.execute(query(ROLLUPS, "older_triggers"))
    connection.execute(query(VIEWS, "views"))
    if refill:
        connection.execute(query(ROLLUPS, "fill"))
    connection.execute(
        sa.text(
            "COMMENT ON VIEW public.v_kpi_electric_overview_daily IS :views; "
            "COMMENT ON TABLE public.feeder_interval_reads IS :rollups; "
            "COMMENT ON TABLE public.feeder_supply IS :timezone"
        ),
        {"views": views, "rollups": rollups, "timezone": timezone},
    )


def _digest(*file_names: str) -> str:
    return hashlib.sha256("".join("".join(blocks(name).values()) for name in file_names).encode()).hexdigest()


def register_meters(connection: sa.Connection, fleet: Fleet) -> None:
    """Enters the fleet into the registry of meters."""
    parameters = {
        "tenant_id": fleet.tenant_id,
        "meter_ids": list(fleet.meter_ids),
        "feeder_ids": list(fleet.feeder_ids),
    }
    connection.execute(query(QUERIES, "register_meters"), parameters)


def registered_meters(connection: sa.Connection, tenant_id: str) -> list[tuple[str, str]]:
    """(meter_id, feeder_id) of every registered meter, in the registry's order."""
    rows = connection.execute(query(QUERIES, "registered_meters"), {"tenant_id": tenant_id})
    return [(row.meter_id, row.feeder_id) for row in rows]


def record_supply(connection: sa.Connection, reads: Reads) -> None:
    """What the substation's meters would report for the span of these reads."""
    fleet = reads.fleet
    times = reads.span.read_times
    connection.execute(
        query(QUERIES, "insert_supply"),
        {
            "tenant_id": fleet.tenant_id,
            "interval_minutes": reads.span.minutes,
            "feeder_ids": [feeder for feeder in fleet.feeders for _ in times],
            "read_times": times * len(fleet.feeders),
            "supplied_wh": reads.supplied_wh.ravel().tolist(),
            "meters_due": reads.meters_due.ravel().tolist(),
        },
    )


def has_reads(connection: sa.Connection, tenant_id: str, span: Span) -> bool:
    """Whether any read of the span is there."""
    parameters = {"tenant_id": tenant_id, "start": span.start, "end": span.end}
    return bool(connection.execute(query(QUERIES, "has_reads"), parameters).scalar_one())


def latest_supply_at(connection: sa.Connection, tenant_id: str) -> datetime | None:
    """The end of the newest interval the substation's meters reported."""
    found = connection.execute(query(QUERIES, "latest_supply"), {"tenant_id": tenant_id}).scalar_one()
    return None if found is None else as_utc(found)


def holes(connection: sa.Connection, tenant_id: str) -> list[tuple[datetime, datetime]]:
    """(start, end) of each stretch within the history for which the substation's meters reported nothing."""
    rows = connection.execute(query(QUERIES, "holes"), {"tenant_id": tenant_id})
    return [(as_utc(row.starts_at), as_utc(row.ends_at)) for row in rows]


def learn_expectations(connection: sa.Connection, tenant_id: str, day: date) -> None:
    """The nightly estimation: what to expect on `day`, from the days before it. Leaves one that was begun as it is."""
    if not _is_learned(connection, tenant_id, day):
        while learn_some(connection, tenant_id, day):
            pass


def learn_some(connection: sa.Connection, tenant_id: str, day: date, feeder_ids: Sequence[str] | None = None) -> bool:
    """One slice of the nightly estimation for `day`: some feeders, of LEARNED_METERS together or a single one.

    feeder_ids : of these alone; None for all
    Returns whether there was anything to learn.
    """
    parameters = {"tenant_id": tenant_id, "day": day, "feeder_ids": None if feeder_ids is None else list(feeder_ids)}
    group: list[str] = []
    meters = 0
    for feeder in connection.execute(query(QUERIES, "feeders_to_learn"), parameters):
        meters += feeder.meters
        if group and meters > LEARNED_METERS:
            break
        group.append(feeder.feeder_id)
    if group:
        connection.exec_driver_sql(f"SET LOCAL work_mem = '{LEARNING_MEMORY}'")
        _learn_feeders(connection, tenant_id, day, group)
        connection.exec_driver_sql("SET LOCAL work_mem TO DEFAULT")
    return bool(group)


def relearn_expectations(connection: sa.Connection, tenant_id: str, day: date, feeder_ids: Sequence[str]) -> None:
    """The estimation for `day` once more, for these feeders alone, where reads of the days before have changed.

    The result is what `learn_expectations` would have written from the changed reads, and what is detected by it. A
    day for which nothing was learned yet is left alone.
    """
    if _is_learned(connection, tenant_id, day):
        tenant_day = {"tenant_id": tenant_id, "day": day}
        for table in ("meter", "feeder_hour", "feeder"):
            parameters = {**tenant_day, "feeder_ids": list(feeder_ids)}
            connection.execute(query(QUERIES, f"forget_{table}_expectations"), parameters)
        while learn_some(connection, tenant_id, day, feeder_ids):
            pass
        detect(connection, tenant_id, day, feeder_ids)


def _is_learned(connection: sa.Connection, tenant_id: str, day: date) -> bool:
    """Whether the estimation for `day` was begun."""
    return bool(connection.execute(query(QUERIES, "is_learned"), {"tenant_id": tenant_id, "day": day}).scalar_one())


def _learn_feeders(connection: sa.Connection, tenant_id: str, day: date, feeder_ids: list[str]) -> None:
    """Brings the energy to date up to the evening before `day`, and writes what it says of the feeders' meters."""
    tenant = {"tenant_id": tenant_id}
    parameters = {**tenant, "day": day, "feeder_ids": feeder_ids}
    for to_sum in connection.execute(query(QUERIES, "days_to_sum"), parameters).all():
        missing = {**tenant, "day": to_sum.day, "feeder_ids": to_sum.feeder_ids}
        connection.execute(query(QUERIES, "forget_energy_from"), missing)
        connection.execute(query(QUERIES, "sum_day"), missing)
    for name in ("learn_meters", "learn_feeders", "expect_reads"):
        connection.execute(query(QUERIES, name), parameters)


def forget_after(connection: sa.Connection, tenant_id: str, moment: datetime, day: date) -> None:
    """Takes the local history back to `moment`, which lies on local day `day`; the roll-ups follow by triggers."""
    for name in ("forget_reads_after", "forget_supply_after"):
        connection.execute(query(QUERIES, name), {"tenant_id": tenant_id, "moment": moment})
    parameters = {"tenant_id": tenant_id, "moment": moment, "day": day}
    connection.execute(query(DETECTION, "forget_findings_after"), parameters)
    for table in ("meter", "feeder_hour", "feeder"):
        name = f"forget_{table}_expectations_after"
        connection.execute(query(QUERIES, name), {"tenant_id": tenant_id, "day": day})
    detect(connection, tenant_id, day)
