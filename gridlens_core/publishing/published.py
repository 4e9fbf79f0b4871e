"""Which intervals a tenant has in the database, told by a few of its meters: cheap however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.schema import Schema
from gridlens_core.meters.fleet import Fleet

WITNESSES = 20  # spread over the fleet, so that a silent feeder hides no interval


def read_times(
    connection: sa.Connection, schema: Schema, fleet: Fleet, after: datetime, until: datetime
) -> list[datetime]:
    """The ends of the intervals after one time and up to another, oldest first."""
    reads = schema.require_reads()
    statement = sa.text(
        f"SELECT DISTINCT {reads.moment('read_at')} AS read_at FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} "
        f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':until')} "
        f"AND {reads['meter_id']} = ANY(CAST(:meters AS {reads.type_of('meter_id')}[])) ORDER BY 1"
    )
    witnesses = fleet.meter_ids[:: max(1, len(fleet) // WITNESSES)]
    parameters = {"tenant_id": fleet.tenant_id, "after": after, "until": until, "meters": list(witnesses)}
    times: Sequence[datetime] = connection.execute(statement, parameters).scalars().all()
    return [as_utc(moment) for moment in times]
