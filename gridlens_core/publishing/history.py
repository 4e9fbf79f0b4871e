"""Learns a tenant's meters from its own recent reads: who they are, their feeders, level, shape and scatter.
A few bounded queries, whatever the size of the table; reads that an event touched are left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mode

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES, as_utc, day_start, local_day
from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.newest import latest_read_at
from gridlens_core.database.reads import select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.events import Event
from gridlens_core.meters.fleet import Fleet, fleet_of
from gridlens_core.meters.habits import Habits
from gridlens_core.meters.learning import HOURS, Learned, Past, learn
from gridlens_core.meters.noise import Flags
from gridlens_core.meters.profiles import SLOT_MINUTES, Floats
from gridlens_core.publishing.past import Readings, Window, acting_events, meters_read, readings, touched_by
from gridlens_core.publishing.progress import Progress, Report, unreported
from gridlens_core.settings import Settings

FLEET_DAYS = 3  # a meter that has not been read for longer is not continued, whatever silenced it
MOST_DAYS = 14
MOST_READS = 7_200_000  # to learn from, which takes some 15 s; fewer days of a larger fleet
CHUNK_READS = 1_000_000  # learned from at once: what is held in memory
SILENT_HOURS = 24  # after which a meter is not continued, unless a comms outage silenced it
REPLACED_HOURS = 2  # within which another meter of the feeder begins where one was exchanged
AWAY_SHARE = 0.2  # a meter that missed more of its reads was away, and says nothing about ordinary gaps


def learn_fleet(
    connection: sa.Connection,
    schema: Schema,
    settings: Settings,
    tenant_id: str,
    last: datetime,
    report: Report = unreported,
) -> Fleet:
    """The tenant's meters with their habits, learned from what was read up to `last`, see `learned_until`."""
    reads = schema.require_reads()
    has_outages = _has_outages(connection, schema, tenant_id, last)
    silent = timedelta(days=FLEET_DAYS) if has_outages else timedelta(hours=SILENT_HOURS)
    meters = meters_read(connection, schema, tenant_id, (last - silent, last))
    minutes = interval_of(connection, schema, tenant_id, meters[0], last) if meters else SLOT_MINUTES
    windows = learned_windows(last, learned_days(len(meters), minutes), settings.timezone)
    events = acting_events(connection, schema, tenant_id, windows)
    parts = []
    for done, chunk in _chunks(connection, schema, tenant_id, meters, windows):
        if chunk.meter_ids:
            parts.append(_learned(chunk, events, settings.timezone, len(meters)))
        report(Progress(f"Learning {len(meters)} meters", done / len(meters)))
    ids = [meter for part in parts for meter in part.meter_ids]
    if not ids:
        raise DatabaseNotReadyError(
            f"The recent reads of {tenant_id} name no feeder in {reads.name_of('feeder_id')!r}, so no fleet is learned."
        )
    feeders = [feeder for part in parts for feeder in part.feeder_ids]
    fleet = fleet_of(tenant_id, ids, feeders, seed=settings.seed, timezone=settings.timezone)
    learned = Learned.joined([part.learned for part in parts])
    first, newest = (np.concatenate([getattr(part, name) for part in parts]) for name in ("first", "newest"))
    stays = _stays(fleet, (first, newest), last, has_outages=has_outages)
    if not stays.all():
        fleet, learned = fleet.take(stays), learned.take(stays)
    return fleet.with_habits(habits_from(fleet, learned))


def learned_until(
    connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime, today: date, timezone: str
) -> datetime:
    """The newest interval before `today`; of a history that began today the newest there is."""
    return latest_read_at(connection, schema, tenant_id, day_start(today, timezone)) or latest


def learned_days(meters: int, minutes: int) -> int:
    """How many days are learned from: fewer of a larger fleet."""
    return min(MOST_DAYS, max(1, MOST_READS * minutes // (max(1, meters) * 24 * 60)))


def learned_windows(last: datetime, days: int, timezone: str) -> list[Window]:
    """The days up to `last` that are learned from, oldest first; of a few one is of a weekend, and one of a weekday."""
    chosen = list(range(days))
    if 1 < days < 7:
        kinds = [_is_weekend(last, day, timezone) for day in range(7)]
        if len(set(kinds[:days])) == 1:
            chosen[-1] = kinds.index(not kinds[0])
    windows: list[Window] = []
    for day in reversed(chosen):
        until = last - timedelta(days=day)
        after = until - timedelta(days=1)
        if windows and windows[-1][1] == after:
            after = windows.pop()[0]
        windows.append((after, until))
    return windows


def _is_weekend(last: datetime, days_before: int, timezone: str) -> bool:
    return local_day(last - timedelta(days=days_before, hours=12), timezone).weekday() >= 5


@dataclass(frozen=True)
class _Chunk:
    """Some meters that were read, and their reads; `past` by position in `meter_ids`."""

    meter_ids: Sequence[str]
    feeder_ids: Sequence[str]
    past: Past


@dataclass(frozen=True)
class _Part:
    """What was learned of some meters; first, newest : (n_meters,) ends of their reads [s since 1970]."""

    meter_ids: Sequence[str]
    feeder_ids: Sequence[str]
    learned: Learned
    first: Floats
    newest: Floats


def _chunks(
    connection: sa.Connection, schema: Schema, tenant_id: str, meters: Sequence[str], windows: Sequence[Window]
) -> Iterator[tuple[int, _Chunk]]:
    """How many meters are done, and the reads of the next; always the same meters together, for they are learned so."""
    days = sum(((until - after) / timedelta(days=1) for after, until in windows), 0.0)
    size = max(1, int(CHUNK_READS / (96 * days)))
    if schema.by_meter:
        for first in range(0, len(meters), size):
            some = meters[first : first + size]
            yield first + len(some), _chunk(some, readings(connection, schema, tenant_id, some, windows))
        return
    whole = _chunk(meters, readings(connection, schema, tenant_id, meters, windows))
    for first in range(0, len(whole.meter_ids), size):
        part = slice(first, first + size)
        bounds = np.searchsorted(whole.past.meter, (first, first + size))
        past = whole.past.take(slice(*bounds))
        yield (
            min(first + size, len(meters)),
            _Chunk(whole.meter_ids[part], whole.feeder_ids[part], replace(past, meter=past.meter - first)),
        )


def _chunk(meters: Sequence[str], found: Readings) -> _Chunk:
    """The meters that have a feeder."""
    has = np.array([meter in found.feeders for meter in meters], np.bool_)
    ids = [meter for meter in meters if meter in found.feeders]
    past = found.past
    if not has.all():
        past = past.take(has[past.meter])
        past = replace(past, meter=(np.cumsum(has) - 1)[past.meter])
    return _Chunk(ids, [found.feeders[meter] for meter in ids], past)


def _learned(chunk: _Chunk, events: Sequence[Event], timezone: str, fleet_meters: int) -> _Part:
    past = chunk.past.take(~touched_by(events, chunk.past, chunk.meter_ids, chunk.feeder_ids))
    n = len(chunk.meter_ids)
    return _Part(chunk.meter_ids, chunk.feeder_ids, learn(past, n, timezone, fleet_meters), *first_and_last(past, n))


def first_and_last(past: Past, n_meters: int) -> tuple[Floats, Floats]:
    """When each meter was read first, and last, each (n_meters,) [s since 1970]; never is infinity, and minus it."""
    first, newest = np.full(n_meters, np.inf), np.full(n_meters, -np.inf)
    bounds = np.searchsorted(past.meter, np.arange(n_meters + 1))
    read = bounds[1:] > bounds[:-1]
    first[read], newest[read] = past.end[bounds[:-1][read]], past.end[bounds[1:][read] - 1]
    return first, newest


def read_past(connection: sa.Connection, schema: Schema, fleet: Fleet, start: datetime, end: datetime) -> Past:
    """The fleet's reads after one time and up to another, but for those an event touched."""
    windows = [(start, end)]
    past = readings(connection, schema, fleet.tenant_id, fleet.meter_ids, windows).past
    events = acting_events(connection, schema, fleet.tenant_id, windows)
    return past.take(~touched_by(events, past, fleet.meter_ids, fleet.feeder_ids))


def _has_outages(connection: sa.Connection, schema: Schema, tenant_id: str, last: datetime) -> bool:
    """Whether a comms outage of ours may be why a meter was silent lately."""
    if not schema.has_events:
        return False
    events = events_in_window(connection, tenant_id, last - timedelta(hours=SILENT_HOURS), last)
    return any(event.event_type == "comms-outage" for event in events)


def _stays(fleet: Fleet, read: tuple[Floats, Floats], last: datetime, *, has_outages: bool) -> Flags:
    """(n_meters,) whether a meter goes on: not one that fell silent, or that another of its feeder has replaced.

    read : as of `first_and_last`
    """
    first, newest = read
    end = last.timestamp()
    stays = np.ones(len(fleet), np.bool_)
    if not has_outages:
        stays &= newest > end - 3600 * SILENT_HOURS
    began = first.min() + 86400
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


def habits_of(fleet: Fleet, past: Past) -> Habits:
    """Each meter's habits, from its reads."""
    return habits_from(fleet, learn(past, len(fleet), fleet.timezone))


def habits_from(fleet: Fleet, learned: Learned) -> Habits:
    """The habits of meters of which this was learned."""
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
        learned.days,
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
