"""The one place that composes a SELECT of reads: columns by role, times as moments, one tenant always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.schema import Relation, Schema

WITNESSES = 20  # meters from which the intervals are taken; spread over the fleet, so that a silent feeder hides none

CLOCKS = 400  # meters whose newest reads tell the fleet's newest interval
NEWEST_READS = 5_000  # to tell it by, where no index leads to a meter
REPORTS_WITHIN = timedelta(days=3)  # a meter that is silent for longer is not one that usually reports

ONE_READ = "{meter_id} AS meter_id, {feeder_id} AS feeder_id, {read_at} AS read_at, {kwh} AS kwh, {volts} AS volts"

# What a SELECT may be narrowed by; each names its parameter.
_CONDITIONS = {
    "after": "r.{read_at} > {moment}",
    "until": "r.{read_at} <= {moment}",
    "at": "r.{read_at} = {moment}",
    "meters": "r.{meter_id} = ANY(CAST(:meters AS {meter_type}[]))",
    "meter": "r.{meter_id} = CAST(:meter AS {meter_type})",
    "feeder": "r.{feeder_id} = CAST(:feeder AS {feeder_type})",
}


@dataclass(frozen=True)
class Read:
    """One read as it stands in the database; None is a value the read does not have."""

    meter_id: str
    feeder_id: str | None
    read_at: datetime
    kwh: float | None
    volts: float | None


def select_reads(
    connection: sa.Connection,
    schema: Schema,
    tenant_id: str,
    what: str,
    *,
    tail: str = "",
    values: Mapping[str, Any] | None = None,
    **by: Any,
) -> sa.CursorResult[Any]:
    """SELECT `what` of the tenant's reads.

    what : columns by role in braces: {meter_id}, {feeder_id} as text, {read_at} as timestamptz, {kwh}, {volts} as
        double precision, {exact_kwh} as numeric; {time_column} and {kwh_column} as they are
    by : after, until, at (a time), meters (ids), meter, feeder (an id); None where it does not narrow
    tail : GROUP BY, ORDER BY, LIMIT, or another condition that begins with AND
    values : of further parameters
    """
    reads = schema.require_reads()
    given = {name: value for name, value in by.items() if value is not None}
    conditions = [_condition(reads, name) for name in given]
    where = " AND ".join([f"r.{reads.of_tenant()}", *conditions])
    words = columns_of(reads)
    statement = f"SELECT {what.format_map(words)} FROM {reads.quoted} r WHERE {where} {tail.format_map(words)}"
    parameters = {name: list(value) if name == "meters" else value for name, value in given.items()}
    return connection.execute(sa.text(statement), {"tenant_id": tenant_id, **parameters, **(values or {})})


def columns_of(reads: Relation) -> Mapping[str, str]:
    """The SQL of each role of the table that is called r."""
    return {
        "meter_id": f"CAST(r.{reads['meter_id']} AS text)",
        "feeder_id": f"CAST(r.{reads['feeder_id']} AS text)",
        "read_at": reads.moment("read_at", "r.{}"),
        "kwh": reads.measure("kwh", f"CAST(r.{reads['kwh']} AS double precision)"),
        "time_column": f"r.{reads['read_at']}",
        "kwh_column": reads.measure("kwh", f"r.{reads['kwh']}"),
        "exact_kwh": reads.measure("kwh", f"CAST(r.{reads['kwh']} AS numeric)"),
        "volts": reads.measure("voltage", f"CAST(r.{reads['voltage']} AS double precision)")
        if reads.has("voltage")
        else "NULL::float8",
    }


def _condition(reads: Relation, name: str) -> str:
    return _CONDITIONS[name].format(
        read_at=reads["read_at"],
        meter_id=reads["meter_id"],
        feeder_id=reads["feeder_id"],
        moment=reads.from_moment("read_at", f":{name}"),
        meter_type=reads.type_of("meter_id"),
        feeder_type=reads.type_of("feeder_id"),
    )


def reads_of(connection: sa.Connection, schema: Schema, tenant_id: str, **by: Any) -> list[Read]:
    """Reads one by one, narrowed as in `select_reads`."""
    found = select_reads(connection, schema, tenant_id, ONE_READ, **by)
    return [Read(row.meter_id, row.feeder_id, as_utc(row.read_at), row.kwh, row.volts) for row in found]


def read_times(
    connection: sa.Connection,
    schema: Schema,
    tenant_id: str,
    meter_ids: Sequence[str],
    after: datetime,
    until: datetime,
) -> list[datetime]:
    """The ends of the intervals after one time and up to another, oldest first, taken from some of these meters."""
    witnesses = meter_ids[:: max(1, len(meter_ids) // WITNESSES)]
    what, order = "DISTINCT {read_at} AS read_at", "ORDER BY 1"
    found = select_reads(
        connection, schema, tenant_id, what, tail=order, after=after, until=until, meters=witnesses
    ).scalars()
    return [as_utc(moment) for moment in found]


def latest_read_at(
    connection: sa.Connection, schema: Schema, tenant_id: str, until: datetime | None = None
) -> datetime | None:
    """`read_at` of the tenant's newest read, up to `until` where that is given; None where it has none."""
    reads = schema.require_reads()
    newest = reads.moment("read_at", "max({})")
    bound = "" if until is None else f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':until')}"
    statement = sa.text(
        f"WITH RECURSIVE hop AS ({hops(reads, bound)}) SELECT {newest} FROM hop"
        if schema.newest_by_hops
        else f"SELECT {newest} FROM {reads.quoted} WHERE {reads.of_tenant()} {bound}"
    )
    parameters = {"tenant_id": tenant_id} | ({} if until is None else {"until": until})
    found = connection.execute(statement, parameters).scalar_one()
    return None if found is None else as_utc(found)


def fleet_newest(connection: sa.Connection, schema: Schema, tenant_id: str) -> datetime | None:
    """The end of the newest interval that at least half of the meters that usually report have a read for.

    Told by a bounded sample of meters, each by its newest read, so that neither a stray read of next year nor one late
    meter tells it.
    """
    reads = schema.require_reads()
    if schema.by_meter:
        statement = (
            f"WITH RECURSIVE hop AS ({hops(reads, '')}) SELECT {reads.moment('read_at')} FROM hop LIMIT {CLOCKS}"
        )
    else:
        # No index leads to a meter: the newest reads of all tell which meters there are.
        statement = (
            f"SELECT {reads.moment('read_at', 'max({})')} FROM (SELECT {reads['meter_id']}, {reads['read_at']} "
            f"FROM {reads.quoted} WHERE {reads.of_tenant()} ORDER BY {reads['read_at']} DESC LIMIT {NEWEST_READS}) r "
            f"GROUP BY {reads['meter_id']}"
        )
    found = connection.execute(sa.text(statement), {"tenant_id": tenant_id}).scalars()
    newest = sorted((as_utc(moment) for moment in found if moment is not None), reverse=True)
    return half_have(newest)


def half_have(newest: Sequence[datetime]) -> datetime | None:
    """Of the meters' newest reads, latest first, the time that half of those that usually report have reached."""
    if not newest:
        return None
    reference = newest[len(newest) // 10]  # a tenth of the clocks may be wrong
    usual = [moment for moment in newest if reference - moment <= REPORTS_WITHIN]
    return usual[(len(usual) - 1) // 2]


def hops(reads: Relation, bound: str) -> str:
    """Steps from meter to meter through an index that leads with tenant and meter, where max() would read all of it."""
    columns = f"{reads['meter_id']}, {reads['read_at']}"
    newest_first = f"{bound} ORDER BY {reads['meter_id']} DESC, {reads['read_at']} DESC LIMIT 1"
    return (
        f"(SELECT {columns} FROM {reads.quoted} WHERE {reads.of_tenant()} {newest_first}) "
        f"UNION ALL SELECT n.* FROM hop CROSS JOIN LATERAL (SELECT {columns} FROM {reads.quoted} r "
        f"WHERE r.{reads.of_tenant()} AND r.{reads['meter_id']} < hop.{reads['meter_id']} {newest_first}) n"
    )
