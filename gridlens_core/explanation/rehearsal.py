"""Rehearsal: the path each KPI would take, from publish cycles that are run and rolled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.errors import BadInputError, DatabaseBusyError
from gridlens_core.explanation.kpis import Kpis, ReadKpis
from gridlens_core.meters.events import Event, NewEvent
from gridlens_core.meters.rings import together
from gridlens_core.publishing.publisher import Plan, publish_cycle

MOST_CYCLES = 12
ATTEMPTS = 5  # when a real cycle came in between


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


def run_ahead(
    connection: sa.Connection,
    plan: Plan,
    read: ReadKpis,
    *,
    events: Sequence[Event] | None = None,
    also: Sequence[Event] = (),
    goes_on: Callable[[int], bool],
) -> list[tuple[datetime, Kpis]]:
    """Publishes intervals inside a savepoint and rolls them back: (read_at, KPIs) of each.

    events, also : as of `publish_cycle`
    goes_on : asked before each interval, with how many there were
    """
    savepoint = connection.begin_nested()
    try:
        seen: list[tuple[datetime, Kpis]] = []
        now = plan.grid_now(connection)
        while goes_on(len(seen)):
            cycle = publish_cycle(connection, plan, grid_now=now, events=events, also=also, lock=False)
            now = cycle.read_at
            seen.append((now, read(connection, now)))
        return seen
    finally:
        savepoint.rollback()


def rehearse(
    connection: sa.Connection, plan: Plan, events: Sequence[NewEvent], read: ReadKpis, cycles: int
) -> Rehearsal:
    """Runs the cycles twice inside savepoints, without and with the events, and leaves nothing behind.

    events : one, or those of a ring

    Takes no lock on the tenant, so that real publishing goes on meanwhile: where a real cycle came in between, it
    begins again from there. Raises DatabaseBusyError where that happens time after time.
    """
    if not 1 <= cycles <= MOST_CYCLES:
        raise BadInputError.of("cycles", cycles, f"1 to {MOST_CYCLES}")
    rehearsed = [as_event(event, number) for number, event in enumerate(events)]
    for _ in range(ATTEMPTS):
        grid_now = plan.grid_now(connection)
        before = read(connection, grid_now)
        without = run_ahead(connection, plan, read, goes_on=lambda done: done < cycles)
        with_event = run_ahead(connection, plan, read, also=rehearsed, goes_on=lambda done: done < cycles)
        if plan.grid_now(connection) == grid_now:
            pairs = zip(with_event, without, strict=True)
            found = tuple(RehearsedCycle(read_at, kpis, clean) for (read_at, kpis), (_, clean) in pairs)
            return Rehearsal(together(rehearsed)[0], plan.interval_minutes, before, found)
    raise DatabaseBusyError("Cycles are being published too quickly for a rehearsal; stop the timer and try again.")


def as_event(event: NewEvent, number: int = 0) -> Event:
    """The event as it would be stored, with those of its ring; `number` is its place among them."""
    return Event(
        id=event.id or UUID(int=number),
        tenant_id=event.tenant_id,
        feeder_id=event.feeder_id,
        meter_id=event.meter_id,
        event_type=event.event_type,
        severity=event.severity,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        created_at=event.starts_at,
    )
