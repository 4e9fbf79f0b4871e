"""Publishing reads: the grid clock, the events and the safe insert, on a connection that is given.
Never commits, never updates a row: the caller decides whether a cycle stays or is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, check_interval, local_day
from gridlens_core.clock import grid_now as grid_clock
from gridlens_core.database import reads as stored
from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.newest import fleet_newest, latest_read_at
from gridlens_core.database.queries import query
from gridlens_core.database.schema import Schema
from gridlens_core.errors import BadInputError, DatabaseRefusedError
from gridlens_core.meters.emulator import Reads, Span, emulate
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing import baseline
from gridlens_core.publishing.bulk import copy_reads
from gridlens_core.publishing.detecting import detect
from gridlens_core.publishing.safe_insert import insert_reads

DEFAULT_BATCH_ROWS = 100_000
CHANGED_AT_MOST = 0.05  # of a first cycle's energy, by rounding; more is another energy
ROWS_REMEDY = (
    "A trigger, a rule or row security drops or moves reads, or a key is shared with another tenant; the table's owner "
    "must let GridLens's reads pass."
)


@dataclass(frozen=True)
class Cycle:
    """What one publish cycle did; `meters` = `inserted` + `already_there` + `not_read`."""

    tenant_id: str
    read_at: datetime
    interval_minutes: int
    meters: int
    inserted: int
    already_there: int
    not_read: int
    events: tuple[Event, ...]  # those of ami_events that the interval falls under

    @property
    def next_at(self) -> datetime:
        """The end of the interval after it."""
        return self.read_at + timedelta(minutes=self.interval_minutes)

    def is_last_of_day(self, timezone: str) -> bool:
        """Whether the next interval is of another local day."""
        return local_day(self.next_at, timezone) != local_day(self.read_at, timezone)


def lock_tenant(connection: sa.Connection, tenant_id: str) -> None:
    """Waits until no other session publishes for the tenant; holds to the end of the transaction."""
    connection.execute(query("reads.sql", "lock_tenant"), {"tenant_id": tenant_id})


def newest_interval(connection: sa.Connection, schema: Schema, tenant_id: str) -> datetime | None:
    """The end of the tenant's newest interval, None where it has none.

    The local database takes it from the supply, so that an outage of every meter does not stop the grid clock. In an
    existing one most of the fleet tells it, and while a comms outage runs also what was published before.
    """
    if schema.has_supply:
        newest = baseline.latest_supply_at(connection, tenant_id)
        return latest_read_at(connection, schema, tenant_id) if newest is None else newest
    newest = fleet_newest(connection, schema, tenant_id)
    published = schema.published.get(tenant_id)
    if newest is None or published is None or published <= newest or not schema.has_events:
        return newest
    silencing = events_in_window(connection, tenant_id, newest, published)
    return published if any(one.event_type == "comms-outage" for one in silencing) else newest


def read_grid_now(
    connection: sa.Connection, schema: Schema, tenant_id: str, wall: datetime, interval_minutes: int
) -> datetime:
    """The tenant's grid clock."""
    return grid_clock(newest_interval(connection, schema, tenant_id), wall, interval_minutes)


@dataclass(frozen=True)
class Plan:
    """What stays the same over the cycles of one publish.

    batch_rows : rows of one batch sent; any positive number gives the same reads
    supply : also report the feeders' supply and the nightly estimation (the local database only)
    """

    schema: Schema
    fleet: Fleet
    wall: datetime
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES
    batch_rows: int = DEFAULT_BATCH_ROWS
    supply: bool = False

    def grid_now(self, connection: sa.Connection) -> datetime:
        """The tenant's grid clock."""
        return read_grid_now(connection, self.schema, self.fleet.tenant_id, self.wall, self.interval_minutes)


def publish_cycle(
    connection: sa.Connection,
    plan: Plan,
    *,
    grid_now: datetime | None = None,
    events: Sequence[Event] | None = None,
    also: Sequence[Event] = (),
    lock: bool = True,
) -> Cycle:
    """Publishes the tenant's next interval within the caller's transaction.

    grid_now : given where the caller has read it under the tenant's lock already
    events : these alone act on the reads; None for those of ami_events
    also : these act as well, for a rehearsal, which takes no `lock` on the tenant
    """
    fleet, minutes = plan.fleet, check_interval(plan.interval_minutes)
    if lock:
        lock_tenant(connection, fleet.tenant_id)
    span = Span(plan.grid_now(connection) if grid_now is None else grid_now, minutes)
    acting = events_in_window(connection, fleet.tenant_id, span.start, span.end) if events is None else events
    reads = emulate(fleet, span, [*acting, *also], fleet.missing_share)
    stood = _standing(connection, plan.schema, reads) if plan.schema.miscounts else 0
    inserted = write_reads(connection, plan.schema, reads, batch_rows=plan.batch_rows, supply=plan.supply)
    if plan.schema.miscounts:
        inserted = _standing(connection, plan.schema, reads) - stood
    due = int(reads.sent.sum())
    return Cycle(
        tenant_id=fleet.tenant_id,
        read_at=span.end,
        interval_minutes=minutes,
        meters=len(fleet),
        inserted=inserted,
        already_there=due - inserted,
        not_read=len(fleet) - due,
        events=tuple(one for one in acting if one.overlaps(span.start, span.end)),
    )


def _standing(connection: sa.Connection, schema: Schema, reads: Reads) -> int:
    """How many reads of the fleet stand at the end of the span, whatever the server says of an insert."""
    found = stored.select_reads(
        connection, schema, reads.fleet.tenant_id, "count(*)", at=reads.span.end, meters=reads.fleet.meter_ids
    )
    return int(found.scalar_one())


def publish_span(connection: sa.Connection, schema: Schema, fleet: Fleet, span: Span) -> int:
    """Publishes a stretch of history on the local database, a local day at the most; returns reads written."""
    lock_tenant(connection, fleet.tenant_id)
    events = events_in_window(connection, fleet.tenant_id, span.start, span.end)
    reads = emulate(fleet, span, events, fleet.missing_share)
    if baseline.has_reads(connection, fleet.tenant_id, span):
        return write_reads(connection, schema, reads, supply=True)
    _report_supply(connection, reads)
    written = copy_reads(connection, reads)
    _detect(connection, reads)
    return written


def write_reads(
    connection: sa.Connection,
    schema: Schema,
    reads: Reads,
    *,
    batch_rows: int = DEFAULT_BATCH_ROWS,
    supply: bool = False,
) -> int:
    """Inserts the reads that were sent and are not there yet; returns how many went in."""
    if batch_rows < 1:
        raise BadInputError.of("batchSize", batch_rows, "a whole number of 1 or more")
    if supply:
        _report_supply(connection, reads)
    inserted = insert_reads(connection, schema, reads, batch_rows)
    if supply:
        _detect(connection, reads)
    else:
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")  # what fails fails here, not at the commit
    return inserted


def check_stands(connection: sa.Connection, schema: Schema, reads: Reads, before: Sequence[stored.Read]) -> None:
    """Raises DatabaseRefusedError, with the remedy, unless what was sent for one interval is what stands after it.

    before : the fleet's reads of that interval before the cycle; what was there already is not looked at
    """
    fleet, there = reads.fleet, {one.meter_id for one in before}
    rows: dict[str, list[stored.Read]] = {}
    for one in stored.reads_of(connection, schema, fleet.tenant_id, at=reads.span.end, meters=fleet.meter_ids):
        rows.setdefault(one.meter_id, []).append(one)
    new = [at for at, meter in enumerate(fleet.meter_ids) if reads.sent[at, 0] and meter not in there]
    stands = [(at, rows[fleet.meter_ids[at]][0]) for at in new if len(rows.get(fleet.meter_ids[at], ())) == 1]
    problem = ""
    if len(stands) < len(new):
        problem = f"{len(stands)} of {len(new)} reads stand once at their time and tenant"
        remedy = ROWS_REMEDY
    sent_kwh = [reads.recorded_mwh[at, 0] / 1e6 for at, _ in stands]
    kept_kwh = [float(one.kwh or 0) for _, one in stands]
    changed = sum(abs(kept - sent) for kept, sent in zip(kept_kwh, sent_kwh, strict=True))
    if not problem and changed > CHANGED_AT_MOST * sum(map(abs, sent_kwh)):
        problem = f"{sum(sent_kwh):,.1f} kWh were sent and {sum(kept_kwh):,.1f} kWh stand"
        remedy = (
            "The column's type rounds the energy, or a trigger changes it; its owner must let GridLens's reads pass."
        )
    lost_volts = sum(one.volts is None for at, one in stands if _has_volts(fleet, at))
    if not problem and schema.require_reads().has("voltage") and lost_volts:
        problem = f"{lost_volts} of {len(stands)} reads lost their voltage"
        remedy = "A trigger or rule removes it; its owner must let GridLens's reads pass."
    if problem:
        raise DatabaseRefusedError.of_finding(
            f"The database changes what is inserted: {problem}. Nothing was written.", remedy, reason=problem
        )


def _has_volts(fleet: Fleet, meter: int) -> bool:
    """Whether a meter's reads carry a voltage; those of a meter whose history has none do not."""
    return fleet.habits is None or not np.isnan(fleet.habits.mean_v[meter])


def _report_supply(connection: sa.Connection, reads: Reads) -> None:
    """What a local database has beside the reads: the feeders' supply, and before it the nightly estimation."""
    day = local_day(reads.span.read_times[0], reads.fleet.timezone)
    baseline.learn_expectations(connection, reads.fleet.tenant_id, day)
    baseline.record_supply(connection, reads)


def _detect(connection: sa.Connection, reads: Reads) -> None:
    """The detection job of a local database, after the reads."""
    detect(connection, reads.fleet.tenant_id, local_day(reads.span.end, reads.fleet.timezone))


def local_days(start: datetime, end: datetime, minutes: int, timezone: str) -> Iterator[Span]:
    """The intervals from `start` to `end`, cut into spans that stay within one local day."""
    step = timedelta(minutes=minutes)
    first = start
    while first + step <= end:
        day = local_day(first + step, timezone)
        last = first + step
        while last + step <= end and local_day(last + step, timezone) == day:
            last += step
        yield Span(first, minutes, int((last - first) / step))
        first = last
