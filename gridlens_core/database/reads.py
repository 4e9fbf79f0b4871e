"""The one place that composes a SELECT of reads: columns by role, times as moments, one tenant always."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.schema import Relation, Schema

WITNESSES = 20  # meters from which the intervals are taken; spread over the fleet, so that a silent feeder hides none

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
        double precision, {exact_kwh} as numeric, {newest} as the latest {read_at}; {meter_column}, {time_column} and
        {kwh_column} as they are
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
        "newest": reads.moment("read_at", "max(r.{})"),
        "meter_column": f"r.{reads['meter_id']}",
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
