"""Ground truth of an event: what the honest reads would have been against what was published.
The emulator's knowledge, labelled as such wherever it is shown; it is not a KPI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, as_utc
from gridlens_core.emulator import Span, event_intervals, event_meters, honest_intervals
from gridlens_core.events import Event
from gridlens_core.fleet import Fleet
from gridlens_core.load_model import SLOT_MINUTES
from gridlens_core.patterns import YEARLY_SHARE
from gridlens_core.schema import Schema

LOW_VOLTAGE_V = 114.0  # ANSI C84.1 Range A service voltage, 120 V nominal
SLOTS_PER_YEAR = 365.25 * 24 * 60 / SLOT_MINUTES


@dataclass(frozen=True)
class Truth:
    """What an event has done so far, to the meters in it and in the intervals published so far.

    kwh_not_recorded : delivered and read, but not recorded [kWh]
    kwh_unread : delivered, but no read arrived [kWh]
    kwh_a_year : what would go unrecorded in a year at this severity [kWh]
    """

    meters: int
    reads_due: int
    reads_altered: int
    reads_missing: int
    reads_low_voltage: int
    kwh_not_recorded: float
    kwh_unread: float
    kwh_a_year: float


def event_truth(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    event: Event,
    grid_now: datetime,
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES,
) -> Truth:
    """Reads the event's meters and intervals back and compares them with the honest reads."""
    chosen = fleet.take(event_meters(event, fleet))
    span = event_span(event, grid_now, interval_minutes)
    if span is None or not len(chosen):
        return Truth(len(chosen), 0, 0, 0, 0, 0.0, 0.0, kwh_a_year(chosen, event))
    honest_wh, _ = honest_intervals(chosen, span)
    recorded_wh, volts = _published(connection, schema, chosen, span)
    read = ~np.isnan(recorded_wh)
    shortfall = np.where(read, honest_wh - recorded_wh, 0.0)
    return Truth(
        meters=len(chosen),
        reads_due=int(read.size),
        reads_altered=int((np.abs(shortfall) > 1e-6).sum()),
        reads_missing=int((~read).sum()),
        reads_low_voltage=int((volts < LOW_VOLTAGE_V).sum()),
        kwh_not_recorded=float(shortfall.sum()) / 1000,
        kwh_unread=float(honest_wh[~read].sum()) / 1000,
        kwh_a_year=kwh_a_year(chosen, event),
    )


def kwh_not_recorded(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    events: Sequence[Event],
    start: datetime,
    grid_now: datetime,
    interval_minutes: int = DEFAULT_INTERVAL_MINUTES,
) -> float:
    """Energy that thefts kept from being recorded from `start` to the grid clock [kWh]; overlaps count once."""
    thefts = [event for event in events if event.event_type == "theft"]
    masks = [event_meters(event, fleet) for event in thefts]
    if not thefts or start >= grid_now:
        return 0.0
    touched = np.logical_or.reduce(masks)
    chosen = fleet.take(touched)
    span = Span(start, interval_minutes, int((grid_now - start) / timedelta(minutes=interval_minutes)))
    stolen = np.logical_or.reduce(
        [np.outer(mask[touched], event_intervals(event, span)) for mask, event in zip(masks, thefts, strict=True)]
    )
    recorded_wh, _ = _published(connection, schema, chosen, span)
    shortfall = honest_intervals(chosen, span)[0] - recorded_wh
    return float(np.nansum(shortfall[stolen])) / 1000


def event_span(event: Event, grid_now: datetime, interval_minutes: int) -> Span | None:
    """The published intervals the event touches, None where there are none yet."""
    step = timedelta(minutes=interval_minutes)
    end = min(event.ends_at, grid_now)
    if end <= event.starts_at:
        return None
    # Intervals are counted back from the grid clock, which stands at the end of one.
    back_to_start = -((event.starts_at - grid_now) // step)
    first = grid_now - back_to_start * step
    count = -((first - end) // step)
    return Span(first, interval_minutes, count)


def _published(connection: sa.Connection, schema: Schema, fleet: Fleet, span: Span) -> tuple[np.ndarray, np.ndarray]:
    """Recorded energy [Wh] and voltage [V], each (n_meters, n_intervals), NaN where there is no read."""
    reads = schema.require_reads()
    volts_column = f"CAST({reads['voltage']} AS double precision)" if reads.has("voltage") else "NULL::float8"
    statement = sa.text(
        f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, {reads.moment('read_at')} AS read_at, "
        f"CAST({reads['kwh']} AS double precision) * 1000 AS wh, {volts_column} AS volts "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':start')} "
        f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':end')} "
        f"AND {reads['meter_id']} = ANY(CAST(:meters AS {reads.type_of('meter_id')}[]))"
    )
    parameters = {
        "tenant_id": fleet.tenant_id,
        "start": span.start,
        "end": span.end,
        "meters": list(fleet.meter_ids),
    }
    row_of = {meter: row for row, meter in enumerate(fleet.meter_ids)}
    column_of = {moment: column for column, moment in enumerate(span.read_times)}
    recorded_wh = np.full((len(fleet), span.count), np.nan)
    volts = np.full_like(recorded_wh, np.nan)
    for found in connection.execute(statement, parameters):
        column = column_of.get(as_utc(found.read_at))
        if column is not None:
            recorded_wh[row_of[found.meter_id], column] = found.wh
            volts[row_of[found.meter_id], column] = found.volts
    return recorded_wh, volts


def kwh_a_year(fleet: Fleet, event: Event) -> float:
    """What the theft would keep from being recorded in a year, by the meters' long-run means [kWh]."""
    if event.event_type != "theft":
        return 0.0
    honest_kwh_a_year = float(fleet.mean_wh_per_slot.sum()) / 1000 * SLOTS_PER_YEAR
    return honest_kwh_a_year * event.fraction * YEARLY_SHARE[event.pattern]
