"""A tenant's newest reads, which tell the grid clock: asked of a bounded sample of meters, whatever the table's size.
No statement hops, joins or is correlated, so that tables distributed over servers can answer it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Relation, Schema

CLOCKS = 120  # meters whose newest reads tell the fleet's newest interval
FIRST_CLOCKS = 40  # before the fleet is known: from both ends of its ids
GUESSES = 7  # of them, whose newest reads tell where to look for those of all
NEWEST_READS = 5_000  # to tell it by, where no index leads to a meter
LATELY, ENOUGH = timedelta(hours=6), 0.8  # of them must have a read so lately, or all are looked at for longer
STEPS_BACK = 8  # intervals, from the newest one that any of these reads are of
AN_INSTANT = timedelta(seconds=1)  # less than any interval; some columns keep whole seconds
REPORTS_WITHIN = timedelta(days=3)  # a meter that is silent for longer is not one that usually reports


def latest_read_at(
    connection: sa.Connection, schema: Schema, tenant_id: str, until: datetime | None = None
) -> datetime | None:
    """`read_at` of the newest read, up to `until` where that is given; None where there is none.

    Where an index leads to it by time it is the tenant's; else that of most of the meters that usually report.
    """
    if schema.newest_by_hops:
        return half_have(_newest_of(connection, schema, tenant_id, witnesses(connection, schema, tenant_id), until))
    found = select_reads(connection, schema, tenant_id, "{newest}", until=until).scalar_one()
    return None if found is None else as_utc(found)


def fleet_newest(connection: sa.Connection, schema: Schema, tenant_id: str) -> datetime | None:
    """The end of the newest interval that at least half of the meters that usually report have a read for.

    Told by a bounded sample of meters, each by its newest read, so that neither a stray read of next year nor one late
    meter tells it.
    """
    if schema.by_meter:
        return half_have(_newest_of(connection, schema, tenant_id, witnesses(connection, schema, tenant_id), None))
    # No index leads to a meter: the newest reads of all tell which meters there are.
    reads = schema.require_reads()
    found = connection.execute(
        sa.text(
            f"SELECT {reads.moment('read_at', 'max({})')} FROM (SELECT {reads['meter_id']}, {reads['read_at']} "
            f"FROM {reads.quoted} WHERE {reads.of_tenant()} ORDER BY {reads['read_at']} DESC LIMIT {NEWEST_READS}) r "
            f"GROUP BY {reads['meter_id']}"
        ),
        {"tenant_id": tenant_id},
    ).scalars()
    newest = sorted((as_utc(moment) for moment in found if moment is not None), reverse=True)
    told, known = half_have(newest), schema.witnesses.get(tenant_id, ())
    is_whole = len(newest) < NEWEST_READS // 4  # else these reads are of one interval, and perhaps of half a fleet
    return told if told is None or is_whole or not known else _reached(connection, schema, tenant_id, known, told)


def newest_after(
    connection: sa.Connection, schema: Schema, tenant_id: str, meters: Sequence[str], after: datetime
) -> datetime | None:
    """The newest read of these meters after a time, None where there is none: a stray one, of a wrong clock."""
    some = meters if schema.by_meter else None
    found = select_reads(connection, schema, tenant_id, "{newest}", after=after, meters=some).scalar_one()
    return None if found is None else as_utc(found)


def half_have(newest: Sequence[datetime]) -> datetime | None:
    """Of the meters' newest reads, latest first, the time that half of those that usually report have reached."""
    if not newest:
        return None
    reference = newest[len(newest) // 10]  # a tenth of the clocks may be wrong
    usual = [moment for moment in newest if reference - moment <= REPORTS_WITHIN]
    return usual[(len(usual) - 1) // 2]


def witnesses(connection: sa.Connection, schema: Schema, tenant_id: str) -> Sequence[str]:
    """The meters that tell the grid clock: spread over the fleet once it is known, before that from its ends."""
    known = schema.witnesses.get(tenant_id)
    return known or some_meters(connection, schema.require_reads(), tenant_id, FIRST_CLOCKS)


def spread_over(meter_ids: Sequence[str]) -> tuple[str, ...]:
    """CLOCKS of the meters or fewer, evenly spread."""
    every = -(-len(meter_ids) // CLOCKS) or 1
    return tuple(meter_ids[::every])


def some_meters(connection: sa.Connection, reads: Relation, tenant_id: str, most: int) -> list[str]:
    """Some meter ids from either end of a tenant's, each by one short statement through an index that leads to them."""
    found: dict[str, None] = {}
    for up in (True, False):
        last: str | None = None
        for _ in range(most // 2):
            last = meter_beyond(connection, reads, tenant_id, last, up=up)
            if last is None or last in found:
                break
            found[last] = None
    return list(found)


def meter_beyond(
    connection: sa.Connection, reads: Relation, tenant_id: str, last: str | None, *, up: bool = True
) -> str | None:
    """The next meter id after one, or before it; the tenant's first, or last, for None."""
    meter, sign, order = reads["meter_id"], *((">", "ASC") if up else ("<", "DESC"))
    beyond = "" if last is None else f"AND {meter} {sign} CAST(:last AS {reads.type_of('meter_id')})"
    statement = (
        f"SELECT CAST({meter} AS text) FROM {reads.quoted} WHERE {reads.of_tenant()} {beyond} "
        f"ORDER BY {meter} {order} LIMIT 1"
    )
    found: str | None = connection.execute(
        sa.text(statement), {"tenant_id": tenant_id} | ({} if last is None else {"last": last})
    ).scalar()
    return found


def _newest_of(
    connection: sa.Connection, schema: Schema, tenant_id: str, meters: Sequence[str], until: datetime | None
) -> list[datetime]:
    """The newest reads of these meters, latest first, but for those that are far behind most of the others.

    First a few by themselves, each at the end of its own stretch of the index; then all, from there on.
    """
    every = max(1, len(meters) // GUESSES)
    guesses = [
        select_reads(connection, schema, tenant_id, "{newest}", meter=meter, until=until).scalar_one()
        for meter in meters[::every]
    ]
    known = sorted(as_utc(moment) for moment in guesses if moment is not None)
    if not known:
        return []
    for window, enough in ((LATELY, ENOUGH), (REPORTS_WITHIN, 0.0)):
        after = known[(len(known) - 1) // 2] - window
        found = select_reads(
            connection, schema, tenant_id, "{newest}", tail="GROUP BY {meter_column}", meters=meters, after=after,
            until=until,
        ).scalars()  # fmt: skip
        newest = sorted((as_utc(moment) for moment in found), reverse=True)
        if len(newest) >= enough * len(meters):
            break
    # Those that were silent lately count as late, unless so many are that it is known better.
    return newest + [after] * (len(meters) - len(newest) if window == LATELY else 0)


def _reached(
    connection: sa.Connection, schema: Schema, tenant_id: str, meters: Sequence[str], told: datetime
) -> datetime:
    """The newest time, from `told` back, that half of these meters have reached."""
    for _ in range(STEPS_BACK):
        have = select_reads(
            connection, schema, tenant_id, "count(DISTINCT {meter_column})", meters=meters,
            after=told - AN_INSTANT,
        ).scalar_one()  # fmt: skip
        if 2 * have >= len(meters):
            return told
        before = select_reads(connection, schema, tenant_id, "{newest}", until=told - AN_INSTANT).scalar_one()
        if before is None:
            return told
        told = as_utc(before)
    return told
