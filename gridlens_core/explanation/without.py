"""With and without the events, on the local database: the touched reads are put right inside a savepoint, the views
are read, the events are added one at a time, and everything is rolled back. Any process can measure any moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import as_utc, day_start, local_day
from gridlens_core.database.queries import query
from gridlens_core.database.reads import Read, reads_of
from gridlens_core.database.schema import Schema
from gridlens_core.explanation.kpis import Kpis, ReadKpis
from gridlens_core.explanation.why import Measured
from gridlens_core.meters.emulator import Reads, Span, emulate, event_meters
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.profiles import Ints
from gridlens_core.publishing import baseline
from gridlens_core.publishing.detecting import detect

FILE = "put_right.sql"
MWH_PER_KWH, DV_PER_V = 1_000_000, 10
LEARNED_DAYS = timedelta(days=28)  # before today, whose reads the nightly estimation learns from


@dataclass(frozen=True)
class _Values:
    """What reads are, (n_meters, n_intervals): energy [mWh], voltage [tenths of a volt], and whether they are there."""

    recorded_mwh: Ints
    voltage_dv: Ints
    sent: Flags

    @classmethod
    def of(cls, reads: Reads) -> _Values:
        return cls(reads.recorded_mwh, reads.voltage_dv, reads.sent)

    def same_as(self, other: _Values) -> Flags:
        """Where two sets of reads agree; what is not there has no value."""
        alike = (self.recorded_mwh == other.recorded_mwh) & (self.voltage_dv == other.voltage_dv)
        return np.asarray((self.sent == other.sent) & (alike | ~self.sent), dtype=bool)

    def where(self, chosen: Flags, other: _Values) -> _Values:
        """These values where chosen, else the other ones."""
        return _Values(
            np.where(chosen, self.recorded_mwh, other.recorded_mwh),
            np.where(chosen, self.voltage_dv, other.voltage_dv),
            np.where(chosen, self.sent, other.sent),
        )


@dataclass(frozen=True)
class _Stretch:
    """Published intervals of even length with the reads that the events can touch.

    stages : what the reads would be with none of the events, with the first, with the first two, and so on
    """

    fleet: Fleet
    span: Span
    stages: tuple[_Values, ...]


@dataclass(frozen=True)
class Subject:
    """Whose KPIs are measured: what they are at the grid clock, and how they are read."""

    schema: Schema
    fleet: Fleet
    kpis: Kpis
    grid_now: datetime
    read: ReadKpis

    @property
    def midnight(self) -> datetime:
        """The beginning of the running day."""
        return day_start(local_day(self.grid_now, self.fleet.timezone), self.fleet.timezone)


def measure(
    connection: sa.Connection, subject: Subject, events: Sequence[Event], last: Measured | None = None
) -> Measured | None:
    """The KPIs at the grid clock with and without the events; None where none of today's has touched a read.

    events : of the tenant, in the order they were written; those of earlier days count through what the nightly
        estimation learned from their reads
    last : what was measured of the day before; what its KPIs were before the first event need not be measured again
    Leaves nothing behind: the caller's transaction is as it was.
    """
    grid_now, midnight, read = subject.grid_now, subject.midnight, subject.read
    acting = [one for one in events if one.overlaps(midnight - LEARNED_DAYS, grid_now)]
    stretches = _stretches(connection, subject, acting)
    begun = [max(one.starts_at, midnight) for one in acting if one.overlaps(midnight, grid_now)]
    if not stretches or not begun:
        return None
    with _rolled_back(connection):
        current = [stretch.stages[-1] for stretch in stretches]
        path: list[Kpis] = []
        for stage in range(len(acting)):
            current = _put(connection, stretches, current, stage, midnight)
            path.append(read(connection, grid_now))
            if stage == 0:
                since, before = _before(connection, subject, min(begun), last)
    ids, steps = _of_consequence(acting, [*path, subject.kpis], midnight, grid_now)
    return Measured(grid_now, since, before, ids, steps)


def _of_consequence(
    acting: Sequence[Event], path: Sequence[Kpis], midnight: datetime, grid_now: datetime
) -> tuple[tuple[str, ...], tuple[Kpis, ...]]:
    """Today's events, and of those of earlier days the ones that still change a KPI."""
    ids, steps = [], [path[0]]
    for event, earlier, later in zip(acting, path, path[1:], strict=False):
        if event.overlaps(midnight, grid_now) or later != earlier:
            ids.append(str(event.id))
            steps.append(later)
    return tuple(ids), tuple(steps)


def _before(
    connection: sa.Connection, subject: Subject, begun: datetime, last: Measured | None
) -> tuple[datetime, Kpis]:
    """The grid time before the first event, and the KPIs then; where the day began with it, after one interval."""
    fleet, grid_now = subject.fleet, subject.grid_now
    times = [moment for moment, _ in _intervals(connection, fleet, subject.midnight, grid_now)]
    since = max((moment for moment in times if moment <= begun), default=times[0])
    if last is not None and last.since == since and last.now.day == local_day(grid_now, fleet.timezone):
        return since, last.before
    with _rolled_back(connection):
        baseline.forget_after(connection, fleet.tenant_id, since, local_day(since, fleet.timezone))
        return since, subject.read(connection, since)


@contextmanager
def _rolled_back(connection: sa.Connection) -> Iterator[None]:
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()


# --- reads in their stages ------------------------------------------------------------------------------


def _intervals(connection: sa.Connection, fleet: Fleet, after: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """(end, minutes) of each interval that was published, oldest first."""
    parameters = {"tenant_id": fleet.tenant_id, "after": after, "until": until}
    rows = connection.execute(query(FILE, "published_intervals"), parameters)
    return [(as_utc(row.read_at), row.interval_minutes) for row in rows]


def _stretches(connection: sa.Connection, subject: Subject, events: Sequence[Event]) -> list[_Stretch]:
    """What the events can have touched, with what each read would be at every stage."""
    if not events:
        return []
    schema, fleet, grid_now = subject.schema, subject.fleet, subject.grid_now
    meters = np.logical_or.reduce([event_meters(event, fleet) for event in events])
    some = fleet.take(meters)
    first = min(event.starts_at for event in events)
    intervals = [
        (end, minutes)
        for end, minutes in _intervals(connection, fleet, first, grid_now)
        if any(event.overlaps(end - timedelta(minutes=minutes), end) for event in events)
    ]
    if not intervals or not len(some):
        return []
    stored = {
        (read.meter_id, read.read_at): read
        for read in reads_of(
            connection, schema, fleet.tenant_id, meters=some.meter_ids,
            after=intervals[0][0] - timedelta(microseconds=1), until=intervals[-1][0],
        )
    }  # fmt: skip
    found = []
    for span in even_spans(intervals):
        plain = [_Values.of(emulate(some, span, events[:n], some.missing_share)) for n in range(len(events) + 1)]
        found.append(_Stretch(some, span, _as_published(some, span, plain, stored)))
    return found


def even_spans(intervals: Sequence[tuple[datetime, int]]) -> Iterator[Span]:
    """Intervals, each by its end and minutes, joined to spans where one follows upon the other."""
    span: Span | None = None
    for end, minutes in intervals:
        if span is not None and minutes == span.minutes and end == span.end + timedelta(minutes=minutes):
            span = Span(span.start, minutes, span.count + 1)
            continue
        if span is not None:
            yield span
        span = Span.ending(end, minutes)
    if span is not None:
        yield span


def _as_published(
    fleet: Fleet, span: Span, plain: Sequence[_Values], stored: Mapping[tuple[str, datetime], Read]
) -> tuple[_Values, ...]:
    """The stages of reads as they stand: a read knows only the events that were written before it was published.

    Of all beginnings of the events' order, the longest one that gives the stored read did act.
    """
    there = _stored(fleet, span, stored, plain[-1])
    acted = np.zeros(there.sent.shape, dtype=np.int64)
    known = np.zeros(there.sent.shape, dtype=bool)
    for number, values in enumerate(plain):
        same = values.same_as(there)
        acted[same], known[same] = number, True
    stages, so_far = [], plain[0]
    for number, values in enumerate(plain):
        so_far = values.where(acted >= number, so_far)
        stages.append(so_far.where(known, there))  # a read that another writer changed stays as it is
    return (*stages[:-1], there)


def _stored(fleet: Fleet, span: Span, stored: Mapping[tuple[str, datetime], Read], otherwise: _Values) -> _Values:
    """The reads of a span as they stand in the database; `otherwise` gives the values of those that are not there."""
    recorded_mwh, voltage_dv = otherwise.recorded_mwh.copy(), otherwise.voltage_dv.copy()
    sent = np.zeros(otherwise.sent.shape, dtype=bool)
    for column, moment in enumerate(span.read_times):
        for row, meter_id in enumerate(fleet.meter_ids):
            read = stored.get((meter_id, moment))
            if read is not None and read.kwh is not None and read.volts is not None:
                sent[row, column] = True
                recorded_mwh[row, column] = round(read.kwh * MWH_PER_KWH)
                voltage_dv[row, column] = round(read.volts * DV_PER_V)
    return _Values(recorded_mwh, voltage_dv, sent)


def _put(
    connection: sa.Connection,
    stretches: Sequence[_Stretch],
    current: Sequence[_Values],
    stage: int,
    midnight: datetime,
) -> list[_Values]:
    """Brings the reads of every stretch to a stage; changes only those that differ, and returns what they are now."""
    touched: set[str] = set()
    of_earlier_days: set[str] = set()
    targets = [stretch.stages[stage] for stretch in stretches]
    for stretch, now, target in zip(stretches, current, targets, strict=True):
        differs = ~target.same_as(now)
        _write(connection, "change_reads", stretch, target, differs & target.sent & now.sent)
        _write(connection, "add_reads", stretch, target, target.sent & ~now.sent)
        _write(connection, "remove_reads", stretch, target, now.sent & ~target.sent)
        earlier = differs[:, [moment <= midnight for moment in stretch.span.read_times]].any(axis=1)
        of_earlier_days |= {stretch.fleet.feeder_ids[row] for row in np.flatnonzero(earlier)}
        touched |= {stretch.fleet.feeder_ids[row] for row in np.flatnonzero(differs.any(axis=1))}
    fleet = stretches[0].fleet
    today = local_day(midnight + timedelta(seconds=1), fleet.timezone)
    if of_earlier_days:
        baseline.relearn_expectations(connection, fleet.tenant_id, today, sorted(of_earlier_days))
    if touched - of_earlier_days:
        detect(connection, fleet.tenant_id, today, sorted(touched - of_earlier_days))
    return targets


def _write(connection: sa.Connection, statement: str, stretch: _Stretch, values: _Values, chosen: Flags) -> None:
    meter, interval = np.nonzero(chosen)
    if not len(meter):
        return
    times = stretch.span.read_times
    parameters: dict[str, object] = {
        "tenant_id": stretch.fleet.tenant_id,
        "meters": [stretch.fleet.meter_ids[row] for row in meter],
        "times": [times[column] for column in interval],
    }
    if statement != "remove_reads":
        parameters["kwh"] = [Decimal(value) / MWH_PER_KWH for value in values.recorded_mwh[meter, interval].tolist()]
        parameters["volts"] = [Decimal(value) / DV_PER_V for value in values.voltage_dv[meter, interval].tolist()]
    if statement == "add_reads":
        parameters["feeders"] = [stretch.fleet.feeder_ids[row] for row in meter]
    connection.execute(query(FILE, statement), parameters)
