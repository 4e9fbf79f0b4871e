"""Ground truth of an event: what the honest reads would have been against what was published.
The emulator's knowledge, labelled as such wherever it is shown; it is not a KPI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES, as_utc
from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.schema import Schema
from gridlens_core.meters.emulator import (
    Reads,
    Span,
    emulate,
    event_intervals,
    event_meters,
    sagged_dv,
    theft_share,
)
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.patterns import YEARLY_SHARE
from gridlens_core.meters.profiles import SLOT_MINUTES, Floats, Ints
from gridlens_core.meters.voltage_limits import LOW_VOLTAGE_V

SLOTS_PER_YEAR = 365.25 * 24 * 60 / SLOT_MINUTES

LONGEST = timedelta(minutes=max(INTERVAL_MINUTES))
WITNESSES = 20  # other meters, whose reads tell of intervals that none of the event's meters was read in
MISFIT = 0.15  # of the energy; the next shorter interval than was published is off by a third


@dataclass(frozen=True)
class Truth:
    """What an event has done so far, to the meters in it and in the intervals published so far.

    Events act one after another in the order they were written, so that the parts add up to the whole.

    reads_due : of its meters, in the intervals its window touches
    reads_altered : kWh or voltage differ from what they were without it; a read published before the event
        was written is not one
    reads_missing : did not arrive while it silenced them, and ordinarily would have; the same for any outage
        over the same reads
    reads_low_voltage : arrived under LOW_VOLTAGE_V while it sagged them; the same for any sag over the same reads
    kwh_not_recorded : delivered and read, but not recorded because of it [kWh]
    kwh_unread : honest energy of the missing reads [kWh]
    kwh_a_year : what would go unrecorded in a year at this severity, beside the thefts before it [kWh]
    """

    meters: int
    reads_due: int
    reads_altered: int
    reads_missing: int
    reads_low_voltage: int
    kwh_not_recorded: float
    kwh_unread: float
    kwh_a_year: float


@dataclass(frozen=True)
class _Account:
    """Published reads beside the honest ones; arrays are (n_meters, n_intervals), NaN where there is nothing."""

    honest: Reads
    arrived: Flags
    recorded_mwh: Floats
    voltage_dv: Floats

    def where(self, event: Event) -> Flags:
        """The reads the event is about."""
        return np.outer(event_meters(event, self.honest.fleet), event_intervals(event, self.honest.span))


def event_truth(connection: sa.Connection, schema: Schema, fleet: Fleet, event: Event, grid_now: datetime) -> Truth:
    """Reads the event's meters and intervals back and compares them with the honest reads."""
    meters = event_meters(event, fleet)
    end = min(grid_now, event.ends_at + LONGEST)
    events = events_in_window(connection, fleet.tenant_id, event.starts_at - LONGEST, end)
    due = altered = missing = low = kept_mwh = unread_wh = 0
    for account in _accounts(connection, schema, fleet, meters, events, event.starts_at, end):
        here = account.where(event)
        due += int(here.sum())
        if event.event_type == "theft":
            kept = _thefts_mwh(account, events)[0].get(event.id, np.zeros((1, 1), np.int64))
            altered += int((kept != 0).sum())
            kept_mwh += int(kept.sum())
        elif event.event_type == "voltage-sag":
            changed, sagged = _sag_reads(account, events, event)
            altered += int(changed.sum())
            low += int((sagged & (account.voltage_dv < 10 * LOW_VOLTAGE_V)).sum())
        elif event.event_type == "comms-outage":
            silenced = here & ~account.arrived & account.honest.sent
            missing += int(silenced.sum())
            unread_wh += int(account.honest.honest_wh[silenced].sum())
    return Truth(
        meters=int(meters.sum()),
        reads_due=due,
        reads_altered=altered,
        reads_missing=missing,
        reads_low_voltage=low,
        kwh_not_recorded=kept_mwh / 1_000_000,
        kwh_unread=unread_wh / 1000,
        kwh_a_year=_kwh_a_year(fleet, event, events, min(grid_now, event.ends_at)),
    )


def kwh_not_recorded(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    events: Sequence[Event],
    start: datetime,
    grid_now: datetime,
) -> float:
    """Energy that these thefts kept from being recorded, in the reads after `start` up to the grid clock [kWh]."""
    asked = [event for event in events if event.event_type == "theft"]
    if not asked or start >= grid_now:
        return 0.0
    acting = events_in_window(connection, fleet.tenant_id, start - LONGEST, grid_now)
    meters = np.logical_or.reduce([event_meters(event, fleet) for event in asked])
    first = max(start, min(event.starts_at for event in asked))
    kept_mwh = 0
    for account in _accounts(connection, schema, fleet, meters, acting, first, grid_now):
        kept = _thefts_mwh(account, acting)[0]
        kept_mwh += sum(int(kept[event.id].sum()) for event in asked if event.id in kept)
    return kept_mwh / 1_000_000


def _thefts_mwh(account: _Account, events: Sequence[Event]) -> tuple[dict[UUID, Ints], Floats]:
    """What each theft kept from being recorded [mWh], and how far the reads are from what the emulator says.

    A read knows only the thefts that were written before it was published. Those come first in the events' order:
    of all beginnings of that order, the one that comes nearest to what was recorded did act.
    """
    honest = account.honest
    value = honest.honest_wh * 1000
    steps: list[tuple[UUID, Ints]] = []
    misfit = np.abs(account.recorded_mwh - value)
    acted = np.zeros(value.shape, dtype=np.int64)
    for theft in (event for event in events if event.event_type == "theft"):
        here = account.where(theft)
        if not here.any():
            continue
        left = 1.0 - theft_share(theft, honest.span, honest.fleet.timezone)
        after = np.where(here, np.rint(value * left).astype(np.int64), value)
        steps.append((theft.id, value - after))
        value = after
        off = np.abs(account.recorded_mwh - value)
        nearer = off <= misfit
        misfit[nearer], acted[nearer] = off[nearer], len(steps)
    kept = {theft_id: np.where(acted >= number, step, 0) for number, (theft_id, step) in enumerate(steps, 1)}
    # What the column's type rounds away goes to the last theft that took something, so that the sum is exact.
    unexplained = honest.honest_wh * 1000 - np.nan_to_num(account.recorded_mwh).astype(np.int64)
    rest = unexplained - sum(kept.values(), np.zeros_like(value))
    for theft_id in reversed(kept):
        took = kept[theft_id] != 0
        kept[theft_id] = kept[theft_id] + np.where(took, rest, 0)
        rest = np.where(took, 0, rest)
    return kept, misfit


def _sag_reads(account: _Account, events: Sequence[Event], event: Event) -> tuple[Flags, Flags]:
    """The reads whose voltage the sag changed, and those it acted on, by the same rule as for thefts."""
    honest_dv = account.honest.voltage_dv
    value = honest_dv
    misfit = np.abs(account.voltage_dv - value)
    acted = np.zeros(value.shape, dtype=np.int64)
    own, changed = 0, np.zeros(value.shape, dtype=bool)
    for number, sag in enumerate((one for one in events if one.event_type == "voltage-sag"), 1):
        after = np.where(account.where(sag), np.minimum(value, sagged_dv(honest_dv, sag.fraction)), value)
        if sag.id == event.id:
            own, changed = number, after != value
        value = after
        off = np.abs(account.voltage_dv - value)
        nearer = off <= misfit
        misfit[nearer], acted[nearer] = off[nearer], number
    knew = (acted >= own) & (own > 0)
    return changed & knew, account.where(event) & knew


def _kwh_a_year(fleet: Fleet, event: Event, events: Sequence[Event], moment: datetime) -> float:
    """What the theft would keep from being recorded in a year, of what those before it leave, by long-run means."""
    if event.event_type != "theft":
        return 0.0
    left = fleet.mean_wh_per_slot * event_meters(event, fleet)
    for other in events:
        if other.id == event.id:
            break
        if other.event_type == "theft" and other.starts_at <= moment <= other.ends_at:
            left = left * (1.0 - _yearly_fraction(other) * event_meters(other, fleet))
    return float(left.sum()) / 1000 * SLOTS_PER_YEAR * _yearly_fraction(event)


def _yearly_fraction(event: Event) -> float:
    return event.fraction * YEARLY_SHARE[event.pattern]


# --- published reads ------------------------------------------------------------------------------------


def _accounts(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    meters: Flags,
    events: Sequence[Event],
    start: datetime,
    end: datetime,
) -> Iterator[_Account]:
    """The chosen meters' reads after `start` and up to `end`, in spans of even intervals.

    How long an interval was is told by the distance to the read before, unless the reads say otherwise: a demo
    that was left alone goes on with a gap (docs/contracts.md, "The grid clock").
    """
    if start >= end or not meters.any():
        return
    others = np.flatnonzero(~meters)
    seen = meters.copy()
    seen[others[:: max(1, len(others) // WITNESSES)]] = True
    published = _published(connection, schema, fleet.take(seen), start - LONGEST, end)
    lengths: list[tuple[datetime, int]] = []
    for before, moment in pairwise([start - 2 * LONGEST, *published.times]):
        if moment > start:
            gap = int((moment - before).total_seconds()) // 60
            lengths.append((moment, gap if gap in INTERVAL_MINUTES else DEFAULT_INTERVAL_MINUTES))
    for span in _even(lengths):
        account = published.account(span)
        fits = _misfit(account, events) <= MISFIT
        if fits.all():
            yield account
            continue
        for moment, fit in zip(span.read_times, fits, strict=True):
            lengths_tried = (span.minutes,) if fit else (span.minutes, *INTERVAL_MINUTES)
            tried = [published.account(Span.ending(moment, minutes)) for minutes in lengths_tried]
            fitting = [one for one in tried if float(_misfit(one, events)[0]) <= MISFIT]
            yield min(fitting or tried[:1], key=lambda one: float(_misfit(one, events)[0]))


def _misfit(account: _Account, events: Sequence[Event]) -> Floats:
    """(n_intervals,) how far the reads are from what the emulator says, as a share of their energy."""
    off = np.nansum(_thefts_mwh(account, events)[1], axis=0)
    return np.asarray(off / np.maximum(np.nansum(account.recorded_mwh, axis=0), 1.0), dtype=np.float64)


def _even(lengths: Sequence[tuple[datetime, int]]) -> Iterator[Span]:
    """Intervals, each by its end and minutes, joined to spans where one follows upon the other."""
    span: Span | None = None
    for moment, minutes in lengths:
        if span is not None and minutes == span.minutes and moment == span.end + timedelta(minutes=minutes):
            span = Span(span.start, minutes, span.count + 1)
            continue
        if span is not None:
            yield span
        span = Span.ending(moment, minutes)
    if span is not None:
        yield span


@dataclass(frozen=True)
class _Published:
    """Reads as they stand in the database; arrays are (n_meters, n_times)."""

    fleet: Fleet
    times: tuple[datetime, ...]
    arrived: Flags
    recorded_mwh: Floats
    voltage_dv: Floats

    def account(self, span: Span) -> _Account:
        """The reads of a span, each of whose intervals was read in at least one meter."""
        columns = slice(first := self.times.index(span.read_times[0]), first + span.count)
        honest = emulate(self.fleet, span, [], self.fleet.missing_share)
        return _Account(honest, self.arrived[:, columns], self.recorded_mwh[:, columns], self.voltage_dv[:, columns])


def _published(connection: sa.Connection, schema: Schema, fleet: Fleet, after: datetime, end: datetime) -> _Published:
    """The fleet's reads after `after` and up to `end`."""
    reads = schema.require_reads()
    volts_column = f"CAST({reads['voltage']} AS double precision)" if reads.has("voltage") else "NULL::float8"
    statement = sa.text(
        f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, {reads.moment('read_at')} AS read_at, "
        f"CAST({reads['kwh']} AS double precision) AS kwh, {volts_column} AS volts "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} "
        f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':end')} "
        f"AND {reads['meter_id']} = ANY(CAST(:meters AS {reads.type_of('meter_id')}[]))"
    )
    parameters = {"tenant_id": fleet.tenant_id, "after": after, "end": end, "meters": list(fleet.meter_ids)}
    found = [
        (row.meter_id, as_utc(row.read_at), row.kwh, row.volts) for row in connection.execute(statement, parameters)
    ]
    times = tuple(sorted({moment for _, moment, _, _ in found}))
    row_of = {meter: row for row, meter in enumerate(fleet.meter_ids)}
    column_of = {moment: column for column, moment in enumerate(times)}
    arrived = np.zeros((len(fleet), len(times)), dtype=bool)
    kwh, volts = np.full(arrived.shape, np.nan), np.full(arrived.shape, np.nan)
    for meter, moment, energy, voltage in found:
        at = row_of[meter], column_of[moment]
        arrived[at], kwh[at], volts[at] = True, energy, voltage
    return _Published(fleet, times, arrived, np.rint(kwh * 1_000_000), np.rint(volts * 10))
