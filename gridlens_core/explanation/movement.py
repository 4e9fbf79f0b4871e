"""Why a KPI moved: natural drift and the effect of each event, measured through the database's own views.
Exact for any view definition, because nothing is assumed about it (docs/contracts.md, "With and without an event")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import MAX_PREC, Context, Decimal
from functools import reduce
from itertools import pairwise

import sqlalchemy as sa

from gridlens_core.database.schema import Schema
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.explanation.trace import Observation
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import DEFAULT_BATCH_ROWS, Cycle, publish_cycle

# More events than this in one interval are measured together, clean against actual; the sum still holds.
SPLIT_EVENTS_AT_MOST = 4

# The default context keeps 28 digits; a numeric column may give more, and a double may stand 300 places behind.
EXACT = Context(prec=MAX_PREC)

ReadKpis = Callable[[sa.Connection, datetime], Kpis]  # at a grid time


@dataclass(frozen=True)
class Part:
    """A part of a movement: natural drift (no event), or the effect of one event or of several together."""

    event_id: str | None
    change: Decimal


@dataclass(frozen=True)
class Movement:
    """A KPI from before to after, with the parts it is made of: after - before is the exact sum of the parts."""

    kpi: str
    before: Decimal
    after: Decimal
    parts: tuple[Part, ...]

    @property
    def change(self) -> Decimal:
        return difference(self.after, self.before)

    def effect_of(self, event_id: str) -> Decimal:
        """The part that is one event's."""
        return total(part.change for part in self.parts if part.event_id == event_id)

    @property
    def drift(self) -> Decimal:
        """The part that would have happened without any event."""
        return total(part.change for part in self.parts if part.event_id is None)


def total(values: Iterable[Decimal]) -> Decimal:
    """The sum, to the last digit."""
    return reduce(EXACT.add, values, Decimal(0))


def difference(after: Decimal, before: Decimal) -> Decimal:
    """after - before, to the last digit."""
    return EXACT.subtract(after, before)


def measured_cycle(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    read: ReadKpis,
    before: Kpis | None,
    *,
    wall: datetime,
    interval_minutes: int,
    batch_rows: int = DEFAULT_BATCH_ROWS,
    supply: bool = False,
) -> tuple[Cycle, Observation]:
    """Publishes the next interval and measures, inside savepoints, what its movement is made of.

    before : the KPIs before the cycle
    """

    def publish(events: Sequence[Event]) -> tuple[Cycle, Kpis]:
        cycle = publish_cycle(
            connection,
            schema,
            fleet,
            wall=wall,
            interval_minutes=interval_minutes,
            batch_rows=batch_rows,
            supply=supply,
            events=events,
        )
        return cycle, read(connection, cycle.read_at)

    def tried(events: Sequence[Event]) -> tuple[Cycle, Kpis]:
        savepoint = connection.begin_nested()
        try:
            return publish(events)
        finally:
            savepoint.rollback()

    trial, clean = tried([])
    events = trial.events
    steps: list[tuple[str, Kpis]] = []
    if 1 < len(events) <= SPLIT_EVENTS_AT_MOST:
        steps = [(str(events[number - 1].id), tried(events[:number])[1]) for number in range(1, len(events))]
    cycle, after = publish(events)
    cycle = replace(cycle, events=events)  # an event that another service wrote meanwhile acts in the next cycle
    if cycle.read_at != trial.read_at:  # other reads came in between: what was tried was another interval
        return cycle, Observation(cycle.read_at, after, before)
    if events:
        together = len(events) > SPLIT_EVENTS_AT_MOST
        last = "+".join(str(event.id) for event in events) if together else str(events[-1].id)
        steps.append((last, after))
    began_at = cycle.read_at - timedelta(minutes=interval_minutes)
    return cycle, Observation(cycle.read_at, after, before, clean, tuple(steps), began_at)


def movement_of(observation: Observation, kpi: str, feeder_id: str | None = None) -> Movement | None:
    """The movement of one cycle; None where the KPI is not in the database or the cycle was not measured.

    kpi : a field of Kpis, or "feeder_loss_pct" with a feeder
    """
    clean = value_of(observation.clean, kpi, feeder_id)
    tried = (observation.before, observation.clean, *(kpis for _, kpis in observation.steps))
    if any(kpis is None or kpis.day != observation.kpis.day for kpis in tried):
        return None
    before = value_of(observation.before, kpi, feeder_id)
    after = value_of(observation.kpis, kpi, feeder_id)
    if clean is None or before is None or after is None:
        return None
    parts = [Part(None, difference(clean, before))]
    last = clean
    for event_id, kpis in observation.steps:
        value = value_of(kpis, kpi, feeder_id)
        if value is None:
            return None
        parts.append(Part(event_id, difference(value, last)))
        last = value
    return Movement(kpi, before, after, tuple(parts))


def movement_since(
    observations: Sequence[Observation], start: datetime, kpi: str, feeder_id: str | None = None
) -> Movement | None:
    """The movement of all cycles after `start` together, part by part; None where one of them was not measured,
    or was not seen.

    A KPI of the day begins anew at midnight: the movement then begins with the first cycle of the day.
    """
    chosen = [one for one in observations if one.grid_now > start]
    if not chosen:
        return None
    chosen = [one for one in chosen if one.kpis.day == chosen[-1].kpis.day]
    movements = [movement_of(one, kpi, feeder_id) for one in chosen]
    if movements[0] is None and (chosen[0].before is None or chosen[0].before.day != chosen[0].kpis.day):
        movements, chosen = movements[1:], chosen[1:]  # the day's first cycle has nothing before it
    elif not _reaches_back(observations, chosen[0], start, kpi, feeder_id):
        return None
    known = [movement for movement in movements if movement is not None]
    if not known or len(known) != len(movements) or not _joined(known):
        return None
    totals: dict[str | None, Decimal] = {None: Decimal(0)}
    for movement in known:
        for part in movement.parts:
            totals[part.event_id] = total((totals.get(part.event_id, Decimal(0)), part.change))
    parts = tuple(Part(event_id, change) for event_id, change in totals.items())
    return Movement(kpi, known[0].before, known[-1].after, parts)


def _reaches_back(
    observations: Sequence[Observation], first: Observation, start: datetime, kpi: str, feeder_id: str | None
) -> bool:
    """Whether nothing happened unseen between `start` and the cycle."""
    if first.began_at is not None and first.began_at <= start:
        return True
    earlier = [one.kpis for one in observations if one.grid_now <= start]
    return bool(earlier) and value_of(earlier[-1], kpi, feeder_id) == value_of(first.before, kpi, feeder_id)


def _joined(movements: Sequence[Movement]) -> bool:
    """Whether each movement begins where the one before it ended: nothing happened unseen in between."""
    return all(one.after == next_one.before for one, next_one in pairwise(movements))


def value_of(kpis: Kpis | None, kpi: str, feeder_id: str | None = None) -> Decimal | None:
    """One KPI's value."""
    if kpis is None:
        return None
    if feeder_id is not None:
        by_feeder: Mapping[str, Decimal] = kpis.feeder_loss_pct
        return by_feeder.get(feeder_id)
    value: Decimal | None = getattr(kpis, kpi)
    return value
