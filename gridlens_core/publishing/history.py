"""Learns a tenant's meters from its own recent reads: who they are, their feeders, level, shape and scatter.
A few bounded queries, whatever the size of the table; reads that an event touched are left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mode

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES, as_utc, day_start
from gridlens_core.database.reads import hops, latest_read_at, select_reads
from gridlens_core.database.schema import Schema
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.fleet import Fleet, fleet_of
from gridlens_core.meters.habits import Habits
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES
from gridlens_core.settings import Settings

FLEET_DAYS = 3  # a meter that has not been read for longer is not continued
MOST_DAYS = 14
MOST_READS = 600_000  # to learn from; fewer days of a larger fleet
HOURS = 24
# Larger numbers in a read are error codes, as are NaN and negative numbers.
MOST_KWH = 100_000
MOST_V = 100_000
AWAY_SHARE = 0.2  # a meter that missed more of its reads was away, and says nothing about ordinary gaps


def learn_fleet(
    connection: sa.Connection, schema: Schema, settings: Settings, tenant_id: str, latest: datetime, today: date
) -> Fleet:
    """The tenant's meters with their habits, learned from before the local day `today`: the same all day long."""
    reads = schema.require_reads()
    # A history that began today is learned from its reads so far.
    last = latest_read_at(connection, schema, tenant_id, day_start(today, settings.timezone)) or latest
    meters = _meters(connection, schema, tenant_id, last)
    if not meters:
        raise DatabaseNotReadyError(
            f"The recent reads of {tenant_id} name no feeder in {reads.name_of('feeder_id')!r}, so no fleet is learned."
        )
    fleet = fleet_of(tenant_id, list(meters), list(meters.values()), seed=settings.seed, timezone=settings.timezone)
    minutes = interval_of(connection, schema, tenant_id, fleet.meter_ids[0], last)
    days = min(MOST_DAYS, max(1, MOST_READS * minutes // (len(fleet) * 24 * 60)))
    return fleet.with_habits(
        _habits(fleet, _hourly_sums(connection, schema, fleet, last - timedelta(days=days), last), minutes)
    )


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


def _hourly_sums(
    connection: sa.Connection, schema: Schema, fleet: Fleet, start: datetime, end: datetime
) -> Sequence[sa.RowMapping]:
    """Exact sums by meter and local hour, and by local quarter hour of the whole fleet."""
    local = "({read_at} AT TIME ZONE :timezone - interval '1 microsecond')"
    untouched = f"AND NOT {_touched_by_event()}" if schema.has_events else ""
    return (
        select_reads(
            connection, schema, fleet.tenant_id,
            f"""{{meter_id}} AS meter_id,
                CAST(extract(hour FROM {local}) AS int) AS hour,
                CAST(extract(hour FROM {local}) * 4 + floor(extract(minute FROM {local}) / 15) AS int) AS quarter,
                count(*) AS reads, sum({{exact_kwh}}) AS kwh, sum({{exact_kwh}} ^ 2) AS kwh2,
                avg({{volts}}) FILTER (WHERE {{volts}} BETWEEN 1 AND {MOST_V}) AS volts""",
            tail=f"AND {{kwh_column}} BETWEEN 0 AND {MOST_KWH} {untouched} GROUP BY GROUPING SETS ((1, 2), (3))",
            values={"timezone": fleet.timezone}, after=start, until=end,
            meters=fleet.meter_ids if schema.newest_by_hops else None,
        )
        .mappings()
        .all()
    )  # fmt: skip


def _touched_by_event() -> str:
    """Whether an event's window reaches into the hour before the read."""
    return (
        "EXISTS (SELECT 1 FROM public.ami_events e WHERE e.tenant_id = :tenant_id "
        "AND e.starts_at < {read_at} AND e.ends_at > {read_at} - interval '1 hour' AND e.ends_at > e.starts_at "
        "AND (e.feeder_id IS NULL OR e.feeder_id = {feeder_id}) AND (e.meter_id IS NULL OR e.meter_id = {meter_id}))"
    )


def _habits(fleet: Fleet, sums: Sequence[sa.RowMapping], minutes: int) -> Habits:
    """Each meter's level and shape by the hour, refined within the hour by the whole fleet's quarter hours."""
    row_of = {meter: row for row, meter in enumerate(fleet.meter_ids)}
    reads, kwh, kwh2 = (np.zeros((len(fleet), HOURS)) for _ in range(3))
    volts = np.full((len(fleet), HOURS), np.nan)
    fleet_wh = np.full(QUARTERS_PER_DAY, np.nan)
    to_slot = 1000.0 * SLOT_MINUTES / minutes
    for found in sums:
        if found["meter_id"] is None:
            fleet_wh[found["quarter"]] = float(found["kwh"]) * to_slot / found["reads"]
        elif found["meter_id"] in row_of:
            at = row_of[found["meter_id"]], found["hour"]
            reads[at], kwh[at], kwh2[at] = found["reads"], float(found["kwh"]), float(found["kwh2"])
            volts[at] = np.nan if found["volts"] is None else found["volts"]
    total = np.maximum(reads.sum(axis=1), 1)
    level = kwh.sum(axis=1) / total
    mean = np.where(reads > 0, kwh / np.maximum(reads, 1), level[:, None])
    spread = np.maximum(kwh2 - reads * mean**2, 0).sum(axis=1) / total
    scatter = np.sqrt(spread) / np.where(level > 0, level, 1)
    mean_wh = np.repeat(mean * to_slot, 4, axis=1) * _within_hour(fleet_wh)
    seen = np.nansum(volts * reads, axis=1) / np.maximum((reads * ~np.isnan(volts)).sum(axis=1), 1)
    mean_v = np.where(np.isnan(volts).all(axis=1), np.nan, seen)
    # To a hundredth of a watt-hour, so that the last bits of a sum cannot differ between machines.
    scatter = np.round(scatter, 4)
    noise_key, mirrored = _pairs(fleet, np.round(level * to_slot * scatter, 2))
    return Habits(
        np.round(mean_wh, 2),
        scatter,
        np.round(mean_v, 2).astype(np.float64),
        noise_key,
        mirrored,
        _missing_share(fleet, reads),
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


def _within_hour(fleet_wh: np.ndarray) -> np.ndarray:
    """(96,) each quarter hour of the fleet over the mean of its hour; 1 where the history is coarser."""
    by_hour = fleet_wh.reshape(HOURS, 4)
    if np.isnan(by_hour).any():
        return np.ones(QUARTERS_PER_DAY)
    mean = by_hour.mean(axis=1, keepdims=True)
    return np.asarray(by_hour / np.where(mean > 0, mean, 1)).ravel()
