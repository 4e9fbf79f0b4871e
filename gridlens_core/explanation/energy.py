"""Energy by feeder and interval: what was supplied, metered and not read. Rows in, series out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from gridlens_core.clock import as_utc, local_day
from gridlens_core.database.queries import query
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.meters.fleet import Fleet


@dataclass(frozen=True)
class FeederInterval:
    """One feeder's interval; what only a supply meter can tell is None in an existing database.

    supplied_kwh, metered_kwh, unread_kwh : [kWh]; complete : whether enough reads came for a balance
    reads, meters_due, out_of_range : numbers of reads
    """

    feeder_id: str
    read_at: datetime
    metered_kwh: float
    supplied_kwh: float | None = None
    unread_kwh: float | None = None
    complete: bool = True
    reads: int | None = None
    meters_due: int | None = None
    out_of_range: int | None = None


def local_balance(
    connection: sa.Connection, schema: Schema, fleet: Fleet, after: datetime, until: datetime
) -> tuple[FeederInterval, ...]:
    """The local database's own balance of every feeder, oldest first."""
    parameters = {
        "tenant_id": fleet.tenant_id,
        "after": after,
        "until": until,
        "first_day": local_day(after, fleet.timezone),
        "last_day": local_day(until, fleet.timezone),
    }
    rows = connection.execute(query("reads.sql", "feeder_intervals"), parameters).mappings()
    return tuple(FeederInterval(**{**row, "read_at": as_utc(row["read_at"])}) for row in rows)


def metered_energy(
    connection: sa.Connection, schema: Schema, fleet: Fleet, after: datetime, until: datetime
) -> tuple[FeederInterval, ...]:
    """An existing database's metered energy of every feeder, oldest first; its supply is known to its views alone."""
    found = select_reads(
        connection, schema, fleet.tenant_id,
        "{feeder_id} AS feeder_id, {read_at} AS read_at, sum({kwh}) AS metered_kwh",
        tail="GROUP BY 1, 2 ORDER BY 2, 1", after=after, until=until,
        meters=fleet.meter_ids if schema.newest_by_hops else None,
    )  # fmt: skip
    return tuple(FeederInterval(row.feeder_id, as_utc(row.read_at), row.metered_kwh or 0.0) for row in found)


def times_of(rows: Sequence[FeederInterval]) -> list[datetime]:
    """The ends of the intervals, oldest first."""
    return sorted({row.read_at for row in rows})
