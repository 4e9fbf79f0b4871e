"""Rehearsal: the path each KPI would take, from publish cycles that are run and rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.clock import check_interval
from gridlens_core.database.schema import Schema
from gridlens_core.errors import BadInputError, DatabaseBusyError
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.movement import ReadKpis
from gridlens_core.meters.events import Event, NewEvent
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import publish_cycle, read_grid_now

MOST_CYCLES = 12
ATTEMPTS = 5  # when a real cycle came in between

# Of the event that never gets a row; random bits are not needed, for it meets no other.
REHEARSED_ID = UUID(int=0)


@dataclass(frozen=True)
class RehearsedCycle:
    """One cycle's KPIs with the event and without it."""

    read_at: datetime
    kpis: Kpis
    without: Kpis


@dataclass(frozen=True)
class Rehearsal:
    """What would happen: the KPIs now, and those of each cycle to come."""

    event: Event
    interval_minutes: int
    before: Kpis
    cycles: tuple[RehearsedCycle, ...]


def rehearse(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    event: NewEvent,
    read: ReadKpis,
    *,
    grid_now: datetime,
    wall: datetime,
    cycles: int,
    interval_minutes: int,
    supply: bool,
) -> Rehearsal:
    """Runs the cycles twice inside savepoints, without and with the event, and leaves nothing behind.

    Takes no lock on the tenant, so that real publishing goes on meanwhile: where a real cycle came in between, it
    begins again from there. Raises DatabaseBusyError where that happens time after time.
    """
    check_interval(interval_minutes)
    if not 1 <= cycles <= MOST_CYCLES:
        raise BadInputError.of("cycles", cycles, f"1 to {MOST_CYCLES}")
    rehearsed = as_event(event)

    def path(also: Sequence[Event]) -> list[tuple[datetime, Kpis]]:
        savepoint = connection.begin_nested()
        try:
            seen = []
            for _ in range(cycles):
                cycle = publish_cycle(
                    connection,
                    schema,
                    fleet,
                    wall=wall,
                    interval_minutes=interval_minutes,
                    supply=supply,
                    also=also,
                    lock=False,
                )
                seen.append((cycle.read_at, read(connection, cycle.read_at)))
            return seen
        finally:
            savepoint.rollback()

    for _ in range(ATTEMPTS):
        before = read(connection, grid_now)
        without, with_event = path(()), path((rehearsed,))
        since = read_grid_now(connection, schema, fleet.tenant_id, wall, interval_minutes)
        if since == grid_now:
            pairs = zip(with_event, without, strict=True)
            found = tuple(RehearsedCycle(read_at, kpis, clean) for (read_at, kpis), (_, clean) in pairs)
            return Rehearsal(rehearsed, interval_minutes, before, found)
        grid_now = since
    raise DatabaseBusyError("Cycles are being published too quickly for a rehearsal; stop the timer and try again.")


def as_event(event: NewEvent) -> Event:
    """The event as it would be stored."""
    return Event(
        id=event.id or REHEARSED_ID,
        tenant_id=event.tenant_id,
        feeder_id=event.feeder_id,
        meter_id=event.meter_id,
        event_type=event.event_type,
        severity=event.severity,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        created_at=None,
    )
