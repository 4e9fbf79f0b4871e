"""The local database's stand-in for the utility's own systems: registry, feeder supply, nightly estimation.
Never used on a database that came from DATABASE_URL."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.queries import EVENTS_MIGRATION, blocks, query
from gridlens_core.meters.emulator import Reads
from gridlens_core.meters.fleet import Fleet

FILE = "local_baseline.sql"


def apply_baseline(connection: sa.Connection, timezone: str) -> None:
    """Tables, views and ami_events of the local database; leaves what is up to date alone."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('gridlens baseline', 0))")
    parts = blocks(FILE)
    mark = hashlib.sha256(parts["views"].encode()).hexdigest()
    marks = connection.execute(query(FILE, "baseline_marks")).mappings().one()
    if marks["views"] == mark and marks["timezone"] == timezone:
        return
    connection.exec_driver_sql(EVENTS_MIGRATION.read_text(encoding="utf-8"))
    connection.execute(query(FILE, "tables"), {"timezone": timezone})
    if marks["timezone"] not in (None, timezone):
        connection.execute(query(FILE, "timezone"), {"timezone": timezone})
    connection.execute(query(FILE, "views"))
    connection.execute(
        sa.text(
            "COMMENT ON VIEW public.v_kpi_electric_overview_daily IS :mark; "
            "COMMENT ON TABLE public.feeder_supply IS :timezone"
        ),
        {"mark": mark, "timezone": timezone},
    )


def register_meters(connection: sa.Connection, fleet: Fleet) -> None:
    """Enters the fleet into the registry of meters."""
    parameters = {
        "tenant_id": fleet.tenant_id,
        "meter_ids": list(fleet.meter_ids),
        "feeder_ids": list(fleet.feeder_ids),
    }
    connection.execute(query(FILE, "register_meters"), parameters)


def registered_meters(connection: sa.Connection, tenant_id: str) -> list[tuple[str, str]]:
    """(meter_id, feeder_id) of every registered meter, in the registry's order."""
    rows = connection.execute(query(FILE, "registered_meters"), {"tenant_id": tenant_id})
    return [(row.meter_id, row.feeder_id) for row in rows]


def record_supply(connection: sa.Connection, reads: Reads) -> None:
    """What the substation's meters would report for the span of these reads."""
    fleet = reads.fleet
    times = reads.span.read_times
    connection.execute(
        query(FILE, "insert_supply"),
        {
            "tenant_id": fleet.tenant_id,
            "interval_minutes": reads.span.minutes,
            "feeder_ids": [feeder for feeder in fleet.feeders for _ in times],
            "read_times": times * len(fleet.feeders),
            "supplied_wh": reads.supplied_wh.ravel().tolist(),
            "meters_due": [int(due) for due in fleet.meters_by_feeder for _ in times],
        },
    )


def latest_supply_at(connection: sa.Connection, tenant_id: str) -> datetime | None:
    """The end of the newest interval the substation's meters reported."""
    found = connection.execute(query(FILE, "latest_supply"), {"tenant_id": tenant_id}).scalar_one()
    return None if found is None else as_utc(found)


def learn_expectations(connection: sa.Connection, tenant_id: str, day: date) -> None:
    """The nightly estimation: what to expect on `day`, from the days before it. Does nothing twice."""
    parameters = {"tenant_id": tenant_id, "day": day}
    if not connection.execute(query(FILE, "has_expectation"), parameters).scalar_one():
        connection.execute(query(FILE, "learn_meters"), parameters)
        connection.execute(query(FILE, "learn_feeders"), parameters)


def forget_after(connection: sa.Connection, tenant_id: str, moment: datetime, day: date) -> None:
    """Takes the local history back to `moment`, which lies on local day `day`."""
    connection.execute(query(FILE, "forget_after"), {"tenant_id": tenant_id, "moment": moment})
    connection.execute(query(FILE, "forget_supply_after"), {"tenant_id": tenant_id, "moment": moment})
    for name in ("forget_expectations_after", "forget_feeder_expectations_after"):
        connection.execute(query(FILE, name), {"tenant_id": tenant_id, "day": day})
