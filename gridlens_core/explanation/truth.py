"""Ground truth of an event: what the honest reads would have been against what was published.
The emulator's knowledge, labelled as such wherever it is shown; it is not a KPI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES
from gridlens_core.database.reads import WITNESSES, reads_of
from gridlens_core.database.schema import Schema
from gridlens_core.meters.emulator import (
    Reads,
    Span,
    emulate,
    event_intervals,
    event_meters,
    sagged_dv,
    theft_share,
    yearly_share,
)
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.profiles import SLOT_MINUTES, Floats, Ints
from gridlens_core.meters.voltage_limits import LOW_VOLTAGE_V, RANGE_A

SLOTS_PER_YEAR = 365.25 * 24 * 60 / SLOT_MINUTES

LONGEST = timedelta(minutes=max(INTERVAL_MINUTES))
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
    reads_low_voltage : arrived under 0.95 of their nominal voltage while it sagged them; the same for any sag over
        the same reads
    kwh_not_recorded : delivered and read, but not recorded because of it [kWh]
    kwh_unread : honest energy of the missing reads [kWh]
    kwh_a_year : what would go unrecorded in a year at this severity, beside the thefts before it [kWh]
    low_voltage_v : what that limit is for most of the meters [V]
    """

    meters: int
    reads_due: int
    reads_altered: int
    reads_missing: int
    reads_low_voltage: int
    kwh_not_recorded: float
    kwh_unread: float
    kwh_a_year: float
    low_voltage_v: float = LOW_VOLTAGE_V


def sum_of(truths: Sequence[Truth]) -> Truth:
    """What several events did together; each read and each kWh is one event's."""
    added = {one.name: sum(getattr(truth, one.name) for truth in truths) for one in fields(Truth)}
    return Truth(**(added | {"low_voltage_v": truths[0].low_voltage_v}))


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


class Ledger:
    """What was published of the meters and intervals that some events touch, beside the honest reads.

    Events act one after another in the order they were written, so that the parts add up to the whole.
    """

    def __init__(self, fleet: Fleet, events: Sequence[Event], accounts: Sequence[_Account]) -> None:
        self._fleet = fleet
        self._events = events
        self._accounts = accounts
        self._thefts = [_thefts_mwh(account, events)[0] for account in accounts]

    def truth(self, event: Event, grid_now: datetime) -> Truth:
        """What one of the events did, up to the grid clock."""
        due = altered = missing = low = kept_mwh = unread_wh = 0
        for account, thefts in zip(self._accounts, self._thefts, strict=True):
            until = np.array([moment <= grid_now for moment in account.honest.span.read_times], dtype=bool)
            here = account.where(event) & until
            if not here.any():
                continue
            due += int(here.sum())
            if event.event_type == "theft" and event.id in thefts:
                kept = np.where(until, thefts[event.id], 0)
                altered += int((kept != 0).sum())
                kept_mwh += int(kept.sum())
            elif event.event_type == "voltage-sag":
                changed, sagged = _sag_reads(account, self._events, event)
                altered += int((changed & until).sum())
                limit_dv = 10 * RANGE_A[0] * account.honest.fleet.nominal_v[:, None]
                low += int((sagged & until & (account.voltage_dv < limit_dv)).sum())
            elif event.event_type == "comms-outage":
                silenced = here & ~account.arrived & account.honest.sent
                missing += int(silenced.sum())
                unread_wh += int(account.honest.honest_wh[silenced].sum())
        return Truth(
            meters=int(event_meters(event, self._fleet).sum()),
            reads_due=due,
            reads_altered=altered,
            reads_missing=missing,
            reads_low_voltage=low,
            kwh_not_recorded=kept_mwh / 1_000_000,
            kwh_unread=unread_wh / 1000,
            kwh_a_year=_kwh_a_year(self._fleet, event, self._events, min(grid_now, event.ends_at)),
            low_voltage_v=self._fleet.low_voltage_v,
        )

    def kwh_not_recorded(self, start: datetime) -> float:
        """Energy that the thefts among the events kept from being recorded in the reads after `start` [kWh]."""
        kept_mwh = 0
        for account, thefts in zip(self._accounts, self._thefts, strict=True):
            after = np.array([moment > start for moment in account.honest.span.read_times], dtype=bool)
            kept_mwh += sum(int(np.where(after, kept, 0).sum()) for kept in thefts.values())
        return kept_mwh / 1_000_000


def read_ledger(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    events: Sequence[Event],
    grid_now: datetime,
    intervals: Sequence[datetime] = (),
) -> Ledger:
    """Reads back, in one statement, what was published of the events' meters while they ran.

    events : in the order they were written, with all that acted beside the ones that are asked for
    intervals : ends of intervals known to be published, also of those of which no read arrived
    """
    begun = [event for event in events if event.starts_at < min(grid_now, event.ends_at)]
    if not begun:
        return Ledger(fleet, events, ())
    meters = np.logical_or.reduce([event_meters(event, fleet) for event in begun])
    start = min(event.starts_at for event in begun)
    end = min(grid_now, max(event.ends_at for event in begun) + LONGEST)
    if not meters.any():
        return Ledger(fleet, events, ())
    # Other meters tell of intervals that none of the events' meters was read in.
    others = np.flatnonzero(~meters)
    meters[others[:: max(1, len(others) // WITNESSES)]] = True
    published = _published(connection, schema, fleet.take(meters), (start - LONGEST, end), intervals)
    return Ledger(fleet, events, tuple(_accounts(published, events, start)))


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
    for number, sag in enumerate(
        (one for one in events if one.event_type == "voltage-sag" and one.severity_is_fraction), 1
    ):
        nominal_v = account.honest.fleet.nominal_v[:, None]
        sagged = np.minimum(value, sagged_dv(honest_dv, sag.fraction, nominal_v))
        after = np.where(account.where(sag), sagged, value)
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
            left = left * (1.0 - _yearly_fraction(fleet, other) * event_meters(other, fleet))
    return float((left * _yearly_fraction(fleet, event)).sum()) / 1000 * SLOTS_PER_YEAR


def _yearly_fraction(fleet: Fleet, event: Event) -> Floats:
    """(n_meters,) the part of a year's energy that the theft would take of each of its meters."""
    return event.fraction * yearly_share(fleet, event_meters(event, fleet), event.pattern)


# --- published reads ------------------------------------------------------------------------------------


def _accounts(published: _Published, events: Sequence[Event], start: datetime) -> Iterator[_Account]:
    """The reads after `start`, in spans of even intervals.

    How long an interval was is told by the distance to the read before, unless the reads say otherwise: a demo
    that was left alone goes on with a gap.
    """
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


def _published(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    between: tuple[datetime, datetime],
    intervals: Sequence[datetime],
) -> _Published:
    """The fleet's reads after the one time and up to the other."""
    after, end = between
    found = reads_of(connection, schema, fleet.tenant_id, meters=fleet.meter_ids, after=after, until=end)
    times = tuple(sorted({read.read_at for read in found} | {at for at in intervals if after < at <= end}))
    row_of = {meter: row for row, meter in enumerate(fleet.meter_ids)}
    column_of = {moment: column for column, moment in enumerate(times)}
    arrived = np.zeros((len(fleet), len(times)), dtype=bool)
    kwh, volts = np.full(arrived.shape, np.nan), np.full(arrived.shape, np.nan)
    for read in found:
        at = row_of[read.meter_id], column_of[read.read_at]
        arrived[at], kwh[at], volts[at] = True, read.kwh, read.volts
    return _Published(fleet, times, arrived, np.rint(kwh * 1_000_000), np.rint(volts * 10))
