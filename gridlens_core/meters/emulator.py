"""What the meters send: honest reads from the load model, changed by the events that touch them.
A pure function of its arguments: no database, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from gridlens_core.clock import as_utc
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.gaps import MISSING_SHARE, background_missing
from gridlens_core.meters.load_model import technical_loss_wh
from gridlens_core.meters.noise import NORMAL, Flags, counter_hash, field
from gridlens_core.meters.patterns import YEARLY_SHARE, Pattern, weights
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, Floats, Ints, quantised
from gridlens_core.meters.voltage_limits import NOMINAL_V, SAG_BAND

# A voltage sag, in tenths of a volt on a 120 V base.
SAG_TOP_DV = 1136
SAG_DEPTH_DV = 53
SAG_SPREAD_DV = 3  # meters keep part of their honest spread around the sagged level
SAG_REFERENCE_DV = 1210
SAG_LIMITS_DV = (round(10 * SAG_BAND[0] * NOMINAL_V), round(10 * SAG_BAND[1] * NOMINAL_V) - 1)  # 108.0 to 113.9 V

# The substation's meters are of class 0.2 (IEC 62053-22): within so much of the energy.
SUPPLY_CLASS = 0.002
SUPPLY_ERROR = quantised(np.clip(SUPPLY_CLASS / 2 * NORMAL, -SUPPLY_CLASS, SUPPLY_CLASS))

# A week of each season stands for a year; any year would do, for the model knows none.
SEASON_WEEKS = tuple(datetime(2025, month, day, tzinfo=UTC) for month, day in ((1, 13), (4, 14), (7, 14), (10, 13)))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """`count` consecutive intervals of `minutes` each, the first beginning at `start`."""

    start: datetime
    minutes: int
    count: int = 1

    @classmethod
    def ending(cls, read_at: datetime, minutes: int) -> Span:
        """The one interval whose read is stamped `read_at`."""
        return cls(as_utc(read_at, "read_at") - timedelta(minutes=minutes), minutes)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.minutes * self.count)

    @property
    def read_times(self) -> list[datetime]:
        """The `read_at` of each interval: its end."""
        return [self.start + timedelta(minutes=self.minutes * (k + 1)) for k in range(self.count)]


@dataclass(frozen=True)
class Reads:
    """The reads of a fleet over a span; arrays are (n_meters, n_intervals) unless said.

    honest_wh : energy the customer used [Wh]
    recorded_mwh : energy the meter recorded [mWh, a millionth of a kWh]
    voltage_dv : mean service voltage [tenths of a volt]
    sent : whether the read arrives at all
    supplied_wh : (n_feeders, n_intervals) energy the substation's meters report to have put into each feeder [Wh]
    due : whether a read was due at all; None where all were
    """

    fleet: Fleet
    span: Span
    honest_wh: Ints
    recorded_mwh: Ints
    voltage_dv: Ints
    sent: Flags
    supplied_wh: Ints
    due: Flags | None = None

    @property
    def meters_due(self) -> Ints:
        """(n_feeders, n_intervals) how many reads were due."""
        due = np.ones(self.sent.shape, np.int64) if self.due is None else self.due
        return self.fleet.sum_by_feeder(due)


def emulate(fleet: Fleet, span: Span, events: Sequence[Event], missing_share: float = MISSING_SHARE) -> Reads:
    """The fleet's reads over the span under these events.

    Technical loss and supply follow the honest energy: theft changes what is recorded, not what flows. An event
    of a type that is not emulated changes nothing.

    missing_share : part of the reads that do not arrive although no event touches them
    Raises BadInputError for a span that starts at a naive time.
    """
    honest_wh, honest_dv = honest_intervals(fleet, span)
    recorded_mwh = honest_wh * 1000
    voltage_dv = honest_dv.copy()
    sent = ~_missing(fleet, span, missing_share)
    for event in events:
        times = event_intervals(event, span)
        if not times.any() or not (event.severity_is_fraction or event.event_type == "comms-outage"):
            continue
        where = np.ix_(event_meters(event, fleet), times)
        if event.event_type == "theft":
            left = 1.0 - theft_share(event, span, fleet.timezone)[times]
            recorded_mwh[where] = np.rint(recorded_mwh[where] * left).astype(np.int64)
        elif event.event_type == "voltage-sag":
            nominal_v = fleet.nominal_v[where[0]]
            voltage_dv[where] = np.minimum(voltage_dv[where], sagged_dv(honest_dv[where], event.fraction, nominal_v))
        elif event.event_type == "comms-outage":
            sent[where] = False
    return Reads(fleet, span, honest_wh, recorded_mwh, voltage_dv, sent, supply_wh(fleet, honest_wh, span))


def honest_intervals(fleet: Fleet, span: Span) -> tuple[Ints, Ints]:
    """Honest energy [Wh] and voltage [tenths of a volt], each (n_meters, n_intervals).

    Intervals need not be slots: the energy of a slot is spread evenly over it, in whole Wh that add up to the slot.
    """
    first_minute = _minutes(span.start)
    last_minute = first_minute + span.minutes * span.count
    first_slot = first_minute // SLOT_MINUTES
    slots = -(-last_minute // SLOT_MINUTES) - first_slot
    reads = fleet.honest_slots(first_slot, slots)
    energy, voltage = reads.energy_wh.astype(np.int64), reads.voltage_dv.astype(np.int64)
    if span.minutes == SLOT_MINUTES and first_minute % SLOT_MINUTES == 0:
        return energy, voltage
    edges = np.arange(span.count + 1) * span.minutes + (first_minute - first_slot * SLOT_MINUTES)
    slot_of_edge, minute = edges // SLOT_MINUTES, edges % SLOT_MINUTES
    before = np.concatenate([np.zeros((len(fleet), 1), np.int64), np.cumsum(energy, axis=1)], axis=1)
    within = energy[:, np.minimum(slot_of_edge, slots - 1)] * minute // SLOT_MINUTES
    return np.diff(before[:, slot_of_edge] + within, axis=1), _mean_voltage(voltage, edges)


def _mean_voltage(voltage: Ints, edges: Ints) -> Ints:
    """Mean of the slots an interval touches, weighted by the minutes it spends in each."""
    by_minute = np.concatenate(
        [np.zeros((len(voltage), 1), np.int64), np.cumsum(np.repeat(voltage, SLOT_MINUTES, axis=1), axis=1)], axis=1
    )
    sums = np.diff(by_minute[:, edges], axis=1)
    length = int(edges[1] - edges[0])
    return np.asarray((2 * sums + length) // (2 * length), dtype=np.int64)


def supply_wh(fleet: Fleet, honest_wh: Ints, span: Span) -> Ints:
    """(n_feeders, n_intervals) honest energy of each feeder's meters plus its technical loss, as the substation's meter
    measures it [Wh]."""
    delivered = fleet.sum_by_feeder(honest_wh)
    flowed = delivered + feeder_loss_wh(fleet, delivered, span.minutes)
    return flowed + np.rint(flowed * supply_error(fleet, span)).astype(np.int64)


def supply_error(fleet: Fleet, span: Span) -> Floats:
    """(n_feeders, n_intervals) by how much of itself the substation's meter misstates each feeder's energy: that of
    the slot in which the interval ends. Each slot has its own error, which is harder to see through than a real
    meter's, most of which stays the same."""
    slots = _last_slots(span)
    of_feeder = fleet.traits.feeder_index[np.unique(fleet.feeder_index, return_index=True)[1]]
    keys = fleet.traits.feeder_keys[of_feeder]
    hashes = counter_hash(keys, "supply_meter", int(slots[0]), int(slots[-1] - slots[0]) + 1)
    return SUPPLY_ERROR[field(hashes, 0)][:, slots - slots[0]]


def feeder_loss_wh(fleet: Fleet, delivered_wh: Ints, interval_minutes: int) -> Ints:
    """(n_feeders, n_intervals) technical loss of each feeder, by its own kind; delivered_wh : the same shape [Wh]."""
    mean_wh = np.bincount(fleet.feeder_index, weights=fleet.mean_wh_per_slot, minlength=len(fleet.feeders))
    slots = interval_minutes / SLOT_MINUTES
    return technical_loss_wh(mean_wh[:, None], delivered_wh, slots, fleet.loss_shares)


def sagged_dv(honest_dv: Ints, severity: float, nominal_v: Any = NOMINAL_V) -> Ints:
    """Voltage under a sag, within SAG_LIMITS_DV (docs/contracts.md, "What an event does to a read"), or the same
    shares of another nominal voltage.

    honest_dv : any shape [tenths of a volt]
    severity : fraction, 0 to 1
    nominal_v : one, or of a shape that is broadcast against honest_dv [V]
    Returns the same shape [tenths of a volt].
    """
    scale = nominal_v / NOMINAL_V
    on_base = np.rint(honest_dv / scale).astype(np.int64)
    spread = np.clip((on_base - SAG_REFERENCE_DV) // 10, -SAG_SPREAD_DV, SAG_SPREAD_DV)
    level = SAG_TOP_DV - round(SAG_DEPTH_DV * severity)
    return np.asarray(np.rint(np.clip(level + spread, *SAG_LIMITS_DV) * scale), dtype=np.int64)


def event_meters(event: Event, fleet: Fleet) -> Flags:
    """(n_meters,) the meters the event is about."""
    chosen = np.ones(len(fleet), dtype=bool)
    if event.feeder_id is not None:
        chosen &= np.array([feeder == event.feeder_id for feeder in fleet.feeder_ids], dtype=bool)
    if event.meter_id is not None:
        chosen &= np.array([meter == event.meter_id for meter in fleet.meter_ids], dtype=bool)
    return chosen


def event_intervals(event: Event, span: Span) -> Flags:
    """(n_intervals,) the intervals the event's window overlaps."""
    step = timedelta(minutes=span.minutes)
    return np.array(
        [event.overlaps(span.start + k * step, span.start + (k + 1) * step) for k in range(span.count)], dtype=bool
    )


def theft_share(event: Event, span: Span, timezone: str) -> Floats:
    """(n_intervals,) the fraction of the honest energy that is not recorded, by the theft's severity and pattern."""
    starts = [moment - timedelta(minutes=span.minutes) for moment in span.read_times]
    return event.fraction * weights(event.pattern, event.id, event.starts_at, starts, timezone)


def yearly_share(fleet: Fleet, chosen: Flags, pattern: Pattern) -> Floats:
    """(n_meters,) the share of a year's energy that falls into a pattern's hours, by each meter's own profile.

    chosen : (n_meters,) the meters asked for; the others are 0
    """
    share = np.zeros(len(fleet))
    if pattern in YEARLY_SHARE:
        share[chosen] = YEARLY_SHARE[pattern]
        return share
    taken, used = np.zeros(int(chosen.sum())), np.zeros(int(chosen.sum()))
    for monday in SEASON_WEEKS:
        week = Span(monday, SLOT_MINUTES, 7 * QUARTERS_PER_DAY)
        starts = [moment - timedelta(minutes=SLOT_MINUTES) for moment in week.read_times]
        honest_wh = np.maximum(honest_intervals(fleet.take(chosen), week)[0], 0)  # what panels feed in is no use
        taken += honest_wh @ weights(pattern, UUID(int=0), monday, starts, fleet.timezone)
        used += honest_wh.sum(axis=1)
    share[chosen] = taken / np.maximum(used, 1)
    return share


def _missing(fleet: Fleet, span: Span, share: float) -> Flags:
    """(n_meters, n_intervals) whether the read of the slot in which the interval ends is missing."""
    slots = _last_slots(span)
    missing = background_missing(fleet.traits, int(slots[0]), int(slots[-1] - slots[0]) + 1, share)
    return np.asarray(missing[:, slots - slots[0]], dtype=bool)


def _last_slots(span: Span) -> Ints:
    """(n_intervals,) the slot in which each interval ends."""
    ends = _minutes(span.start) + span.minutes * np.arange(1, span.count + 1) - 1
    return np.asarray(ends // SLOT_MINUTES, dtype=np.int64)


def _minutes(moment: datetime) -> int:
    return int((as_utc(moment) - _EPOCH).total_seconds()) // 60
