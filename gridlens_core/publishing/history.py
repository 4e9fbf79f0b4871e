"""Learns a tenant's meters from its own recent reads: who they are, their feeders, level, shape and scatter.
A few bounded queries, whatever the size of the table; reads that an event touched are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mode

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES, as_utc, day_start
from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.reads import hops, latest_read_at, select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.fleet import Fleet, fleet_of
from gridlens_core.meters.habits import Habits
from gridlens_core.meters.learning import HOURS, Past, learn
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.profiles import SLOT_MINUTES
from gridlens_core.settings import Settings

FLEET_DAYS = 3  # a meter that has not been read for longer is not continued
MOST_DAYS = 14
MOST_READS = 600_000  # to learn from; fewer days of a larger fleet
SLICE_READS = 150_000  # in one statement: a second or two
SILENT_HOURS = 24  # after which a meter is not continued, unless a comms outage silenced it
REPLACED_HOURS = 2  # within which another meter of the feeder begins where one was exchanged
# Beyond these a number in a read is a mark of something else, as is NaN.
MOST_KWH = 100_000
MOST_V = 100_000
AWAY_SHARE = 0.2  # a meter that missed more of its reads was away, and says nothing about ordinary gaps


def learn_fleet(
    connection: sa.Connection, schema: Schema, settings: Settings, tenant_id: str, latest: datetime, today: date
) -> Fleet:
    """The tenant's meters with their habits, learned from before the local day `today`: the same all day long."""
    reads = schema.require_reads()
    last = learned_until(connection, schema, tenant_id, latest, today, settings.timezone)
    meters = _meters(connection, schema, tenant_id, last)
    if not meters:
        raise DatabaseNotReadyError(
            f"The recent reads of {tenant_id} name no feeder in {reads.name_of('feeder_id')!r}, so no fleet is learned."
        )
    fleet = fleet_of(tenant_id, list(meters), list(meters.values()), seed=settings.seed, timezone=settings.timezone)
    days = learned_days(len(fleet), interval_of(connection, schema, tenant_id, fleet.meter_ids[0], last))
    past = read_past(connection, schema, fleet, last - timedelta(days=days), last)
    stays = _stays(fleet, past, last, has_outages=_has_outages(connection, schema, tenant_id, last))
    if not stays.all():
        past = past.take(stays[past.meter])
        past = replace(past, meter=(np.cumsum(stays) - 1)[past.meter])
        fleet = fleet.take(stays)
    return fleet.with_habits(habits_of(fleet, past))


def learned_until(
    connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime, today: date, timezone: str
) -> datetime:
    """The newest interval before `today`; of a history that began today the newest there is."""
    return latest_read_at(connection, schema, tenant_id, day_start(today, timezone)) or latest


def learned_days(meters: int, minutes: int) -> int:
    """How many days are learned from: fewer of a larger fleet."""
    return min(MOST_DAYS, max(1, MOST_READS * minutes // (meters * 24 * 60)))


def read_past(connection: sa.Connection, schema: Schema, fleet: Fleet, start: datetime, end: datetime) -> Past:
    """The fleet's reads after one time and up to another, but for those an event touched.

    In slices, of meters or of time, whichever the table's index serves: no statement is long.
    """
    untouched = f"AND NOT {_touched_by_event()}" if schema.has_events else ""
    row_of = {meter: row for row, meter in enumerate(fleet.meter_ids)}
    kwh = f"coalesce(CAST(CASE WHEN {{kwh}} BETWEEN -{MOST_KWH} AND {MOST_KWH} THEN {{kwh}} END AS text), 'nan')"
    volts = f"coalesce(CAST(CASE WHEN {{volts}} > 0 AND {{volts}} <= {MOST_V} THEN {{volts}} END AS text), 'nan')"
    parts = []
    for after, until, meters in _slices(fleet, start, end, by_meter=schema.newest_by_hops):
        found = select_reads(
            connection, schema, fleet.tenant_id,
            f"{{meter_id}} AS meter_id, string_agg(CAST(extract(epoch FROM {{read_at}}) AS bigint) || ' ' || {kwh} "
            f"|| ' ' || {volts}, ' ') AS reads",
            tail=f"{untouched} GROUP BY 1", after=after, until=until, meters=meters,
        )  # fmt: skip
        for row in found:
            if row.meter_id in row_of:
                values = np.array(row.reads.split(), dtype=np.float64).reshape(-1, 3)
                parts.append((np.full(len(values), row_of[row.meter_id]), *values.T))
    if not parts:
        return Past.of([], [], [], [])
    return Past.of(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _slices(
    fleet: Fleet, start: datetime, end: datetime, *, by_meter: bool
) -> Iterator[tuple[datetime, datetime, tuple[str, ...] | None]]:
    hours = max(1.0, (end - start).total_seconds() / 3600)
    if by_meter:
        size = max(1, int(SLICE_READS / (4 * hours)))
        for first in range(0, len(fleet), size):
            yield start, end, fleet.meter_ids[first : first + size]
        return
    step = timedelta(hours=max(1, SLICE_READS // (4 * len(fleet))))
    while start < end:
        yield start, min(start + step, end), None
        start += step


def _has_outages(connection: sa.Connection, schema: Schema, tenant_id: str, last: datetime) -> bool:
    """Whether a comms outage of ours may be why a meter was silent lately."""
    if not schema.has_events:
        return False
    events = events_in_window(connection, tenant_id, last - timedelta(hours=SILENT_HOURS), last)
    return any(event.event_type == "comms-outage" for event in events)


def _stays(fleet: Fleet, past: Past, last: datetime, *, has_outages: bool) -> Flags:
    """(n_meters,) whether a meter goes on: not one that fell silent, or that another of its feeder has replaced."""
    first, newest = np.full(len(fleet), np.inf), np.full(len(fleet), -np.inf)
    np.minimum.at(first, past.meter, past.end)
    np.maximum.at(newest, past.meter, past.end)
    end = last.timestamp()
    stays = np.ones(len(fleet), np.bool_)
    if not has_outages:
        stays &= newest > end - 3600 * SILENT_HOURS
    began = past.end.min() + 86400 if len(past) else 0
    for gone in np.flatnonzero(newest < end - 3600 * REPLACED_HOURS):
        beside = fleet.feeder_index == fleet.feeder_index[gone]
        came = beside & (first > max(began, newest[gone])) & (first <= newest[gone] + 3600 * REPLACED_HOURS)
        stays[gone] &= not came.any()
    return stays if stays.any() else np.ones(len(fleet), np.bool_)


def interval_of(connection: sa.Connection, schema: Schema, tenant_id: str, meter_id: str, latest: datetime) -> int:
    """Minutes between one meter's recent reads: the most frequent distance, if GridLens can publish it, else 15."""
    found = select_reads(
        connection, schema, tenant_id, "{read_at} AS read_at", tail="ORDER BY 1 DESC LIMIT 200",
        meter=meter_id, after=latest - timedelta(days=FLEET_DAYS),
    )  # fmt: skip
    times = [as_utc(row.read_at) for row in found]
    steps = [int((later - earlier).total_seconds()) // 60 for later, earlier in pairwise(times)]
    usual = mode(steps) if steps else SLOT_MINUTES
    return usual if usual in INTERVAL_MINUTES else SLOT_MINUTES


def _meters(connection: sa.Connection, schema: Schema, tenant_id: str, last: datetime) -> dict[str, str]:
    """meter id -> its feeder in its newest read, of every meter read in the days up to `last`, in the order of ids."""
    reads = schema.require_reads()
    after = last - timedelta(days=FLEET_DAYS)
    until = f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':last')}"
    lately = f"{until} AND {reads['read_at']} > {reads.from_moment('read_at', ':after')}"
    if schema.newest_by_hops:
        meter, feeder = reads["meter_id"], reads["feeder_id"]
        statement = sa.text(
            f"WITH RECURSIVE hop AS ({hops(reads, until)}) "
            f"SELECT CAST(hop.{meter} AS text) AS meter_id, CAST(n.{feeder} AS text) AS feeder_id FROM hop "
            f"CROSS JOIN LATERAL (SELECT {feeder} FROM {reads.quoted} r WHERE r.{reads.of_tenant()} "
            f"AND r.{meter} = hop.{meter} {lately} AND {feeder} IS NOT NULL "
            f"ORDER BY {reads['read_at']} DESC LIMIT 1) n ORDER BY 1"
        )
    else:
        found = select_reads(
            connection, schema, tenant_id,
            "{meter_id} AS meter_id, (array_agg({feeder_id} ORDER BY {time_column} DESC))[1] AS feeder_id",
            tail="AND {feeder_id} IS NOT NULL GROUP BY 1 ORDER BY 1",
            after=after, until=last,
        )  # fmt: skip
        return {row.meter_id: row.feeder_id for row in found}
    parameters = {"tenant_id": tenant_id, "after": after, "last": last}
    return {row.meter_id: row.feeder_id for row in connection.execute(statement, parameters)}


def _touched_by_event() -> str:
    """Whether an event's window reaches into the hour before the read."""
    return (
        "EXISTS (SELECT 1 FROM public.ami_events e WHERE e.tenant_id = :tenant_id "
        "AND (e.event_type = 'comms-outage' OR (e.event_type IN ('theft', 'voltage-sag') "
        "AND (e.severity IS NULL OR e.severity = 'NaN' OR e.severity BETWEEN 0 AND 1))) "
        "AND e.starts_at < {read_at} AND e.ends_at > {read_at} - interval '1 hour' AND e.ends_at > e.starts_at "
        "AND (e.feeder_id IS NULL OR e.feeder_id = {feeder_id}) AND (e.meter_id IS NULL OR e.meter_id = {meter_id}))"
    )


def habits_of(fleet: Fleet, past: Past) -> Habits:
    """Each meter's habits, from its reads."""
    learned = learn(past, len(fleet), fleet.timezone)
    # To a hundredth of a watt-hour, so that the last bits of a sum cannot differ between machines.
    scatter = np.round(learned.scatter, 4)
    noise_key, mirrored = _pairs(fleet, np.round(np.abs(learned.level_wh) * scatter, 2))
    known = learned.minutes[learned.minutes > 0].tolist()
    return Habits(
        np.round(learned.mean_wh, 2),
        scatter,
        np.round(learned.mean_v, 2).astype(np.float64),
        noise_key,
        mirrored,
        _missing_share(fleet, learned.reads),
        learned.memory,
        learned.weekend,
        mode(known) if known else SLOT_MINUTES,
    )


def _pairs(fleet: Fleet, swing_wh: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of meters on a feeder with scatter of similar size get noise of opposite sign."""
    key, mirrored = fleet.traits.key.copy(), np.zeros(len(fleet), np.bool_)
    order = np.lexsort((np.arange(len(fleet)), swing_wh, fleet.feeder_index))
    feeder = fleet.feeder_index[order]
    first_on_feeder = np.searchsorted(feeder, feeder)
    second = np.flatnonzero((np.arange(len(fleet)) - first_on_feeder) % 2 == 1)
    key[order[second]] = key[order[second - 1]]
    mirrored[order[second]] = True
    return key, mirrored


def _missing_share(fleet: Fleet, reads: np.ndarray) -> float:
    """Share of the reads due that are missing; due is what the most read meter of the feeder has in each hour.

    Meters that were away for long are left out: such gaps are not ordinary ones.
    """
    due = np.zeros((len(fleet.feeders), HOURS))
    np.maximum.at(due, fleet.feeder_index, reads)
    share = 1 - reads.sum(axis=1) / np.maximum(due.sum(axis=1)[fleet.feeder_index], 1)
    usual = share[share < AWAY_SHARE]
    return round(float(usual.mean()), 5) if usual.size else 0.0
