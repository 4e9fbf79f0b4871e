"""Learns a tenant's meters from its own recent reads: who they are, their feeders, level, shape and scatter.
A few bounded queries, whatever the size of the table; reads that an event touched are left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mode
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES, as_utc, day_start
from gridlens_core.database.schema import Relation, Schema
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.fleet import Fleet, fleet_of
from gridlens_core.meters.habits import Habits
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES

FLEET_DAYS = 3  # a meter that has not been read for longer is not continued
MOST_DAYS = 14
MOST_READS = 600_000  # to learn from; fewer days of a larger fleet
HOURS = 24
# Beyond these a number in a read is a mark of something else, as are NaN and less than nothing.
MOST_KWH = 100_000
MOST_V = 100_000
AWAY_SHARE = 0.2  # a meter that missed more of its reads was away, and is no measure of ordinary gaps


def latest_read_at(
    connection: sa.Connection, schema: Schema, tenant_id: str, until: datetime | None = None
) -> datetime | None:
    """`read_at` of the tenant's newest read, up to `until` where that is given; None where it has none."""
    reads = schema.require_reads()
    newest = reads.moment("read_at", "max({})")
    bound = "" if until is None else f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':until')}"
    statement = sa.text(
        f"WITH RECURSIVE hop AS ({_hops(reads, bound)}) SELECT {newest} FROM hop"
        if schema.newest_by_hops
        else f"SELECT {newest} FROM {reads.quoted} WHERE {reads.of_tenant()} {bound}"
    )
    parameters = {"tenant_id": tenant_id} | ({} if until is None else {"until": until})
    found = connection.execute(statement, parameters).scalar_one()
    return None if found is None else as_utc(found)


def learn_fleet(
    connection: sa.Connection,
    schema: Schema,
    tenant_id: str,
    latest: datetime,
    *,
    today: date,
    seed: int,
    timezone: str,
) -> Fleet:
    """The tenant's meters with their habits, learned from before the local day `today`: the same all day long."""
    reads = schema.require_reads()
    # A history that began today is learned from what there is of it.
    last = latest_read_at(connection, schema, tenant_id, day_start(today, timezone)) or latest
    meters = _meters(connection, schema, tenant_id, last)
    if not meters:
        raise DatabaseNotReadyError(
            f"The recent reads of {tenant_id} name no feeder in {reads.name_of('feeder_id')!r}, so no fleet can be had."
        )
    fleet = fleet_of(tenant_id, list(meters), list(meters.values()), seed=seed, timezone=timezone)
    minutes = interval_of(connection, reads, tenant_id, fleet.meter_ids[0], last)
    days = min(MOST_DAYS, max(1, MOST_READS * minutes // (len(fleet) * 24 * 60)))
    return fleet.with_habits(
        _habits(fleet, _hourly_sums(connection, schema, fleet, last - timedelta(days=days), last), minutes)
    )


def _hops(reads: Relation, bound: str) -> str:
    """From meter to meter down an index that leads with tenant and meter, where max() would read it all."""
    columns = f"{reads['meter_id']}, {reads['read_at']}"
    newest_first = f"{bound} ORDER BY {reads['meter_id']} DESC, {reads['read_at']} DESC LIMIT 1"
    return (
        f"(SELECT {columns} FROM {reads.quoted} WHERE {reads.of_tenant()} {newest_first}) "
        f"UNION ALL SELECT n.* FROM hop CROSS JOIN LATERAL (SELECT {columns} FROM {reads.quoted} r "
        f"WHERE r.{reads.of_tenant()} AND r.{reads['meter_id']} < hop.{reads['meter_id']} {newest_first}) n"
    )


def interval_of(connection: sa.Connection, reads: Relation, tenant_id: str, meter_id: str, latest: datetime) -> int:
    """Minutes between one meter's recent reads: the usual distance, if GridLens can publish it, else 15."""
    statement = sa.text(
        f"SELECT {reads.moment('read_at')} AS read_at FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['meter_id']} = CAST(:meter_id AS {reads.type_of('meter_id')}) "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} ORDER BY 1 DESC LIMIT 200"
    )
    parameters = {"tenant_id": tenant_id, "meter_id": meter_id, "after": latest - timedelta(days=FLEET_DAYS)}
    times = [as_utc(row.read_at) for row in connection.execute(statement, parameters)]
    steps = [int((later - earlier).total_seconds()) // 60 for later, earlier in pairwise(times)]
    usual = mode(steps) if steps else SLOT_MINUTES
    return usual if usual in INTERVAL_MINUTES else SLOT_MINUTES


def _meters(connection: sa.Connection, schema: Schema, tenant_id: str, last: datetime) -> dict[str, str]:
    """meter id -> its feeder in its newest read, of every meter read in the days up to `last`, in the order of ids."""
    reads = schema.require_reads()
    until = f"AND {reads['read_at']} <= {reads.from_moment('read_at', ':last')}"
    lately = f"{until} AND {reads['read_at']} > {reads.from_moment('read_at', ':after')}"
    if schema.newest_by_hops:
        meter, feeder = reads["meter_id"], reads["feeder_id"]
        statement = sa.text(
            f"WITH RECURSIVE hop AS ({_hops(reads, until)}) "
            f"SELECT CAST(hop.{meter} AS text) AS meter_id, CAST(n.{feeder} AS text) AS feeder_id FROM hop "
            f"CROSS JOIN LATERAL (SELECT {feeder} FROM {reads.quoted} r WHERE r.{reads.of_tenant()} "
            f"AND r.{meter} = hop.{meter} {lately} AND {feeder} IS NOT NULL "
            f"ORDER BY {reads['read_at']} DESC LIMIT 1) n ORDER BY 1"
        )
    else:
        statement = sa.text(
            f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, "
            f"(array_agg(CAST({reads['feeder_id']} AS text) ORDER BY {reads['read_at']} DESC))[1] AS feeder_id "
            f"FROM {reads.quoted} WHERE {reads.of_tenant()} {lately} "
            f"AND {reads['feeder_id']} IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
    parameters = {"tenant_id": tenant_id, "after": last - timedelta(days=FLEET_DAYS), "last": last}
    return {row.meter_id: row.feeder_id for row in connection.execute(statement, parameters)}


def _hourly_sums(
    connection: sa.Connection, schema: Schema, fleet: Fleet, start: datetime, end: datetime
) -> Sequence[sa.RowMapping]:
    """Exact sums by meter and local hour, and by local quarter hour of the whole fleet."""
    reads = schema.require_reads()
    local = f"({reads.moment('read_at', 'r.{}')} AT TIME ZONE :timezone - interval '1 microsecond')"
    volts = f"CAST(r.{reads['voltage']} AS double precision)" if reads.has("voltage") else ""
    voltage = f"avg({volts}) FILTER (WHERE {volts} BETWEEN 1 AND {MOST_V})" if volts else "NULL::float8"
    untouched = f"AND NOT {_touched_by_event(reads)}" if schema.has_events else ""
    statement = sa.text(
        f"""SELECT CAST(r.{reads["meter_id"]} AS text) AS meter_id,
               CAST(extract(hour FROM {local}) AS int) AS hour,
               CAST(extract(hour FROM {local}) * 4 + floor(extract(minute FROM {local}) / 15) AS int) AS quarter,
               count(*) AS reads, sum(CAST(r.{reads["kwh"]} AS numeric)) AS kwh,
               sum(CAST(r.{reads["kwh"]} AS numeric) ^ 2) AS kwh2, {voltage} AS volts
        FROM {reads.quoted} r
        WHERE r.{reads.of_tenant()} AND r.{reads["read_at"]} > {reads.from_moment("read_at", ":start")}
          AND r.{reads["read_at"]} <= {reads.from_moment("read_at", ":end")}
          AND r.{reads["kwh"]} BETWEEN 0 AND {MOST_KWH} {schema.of_meters("r.")} {untouched}
        GROUP BY GROUPING SETS ((1, 2), (3))"""
    )
    parameters: dict[str, Any] = {
        "tenant_id": fleet.tenant_id, "start": start, "end": end, "timezone": fleet.timezone,
    }  # fmt: skip
    if schema.newest_by_hops:
        parameters["meters"] = list(fleet.meter_ids)
    return connection.execute(statement, parameters).mappings().all()


def _touched_by_event(reads: Relation) -> str:
    """Whether an event's window reaches into the hour before the read."""
    moment = reads.moment("read_at", "r.{}")
    return (
        "EXISTS (SELECT 1 FROM public.ami_events e WHERE e.tenant_id = :tenant_id "
        f"AND e.starts_at < {moment} AND e.ends_at > {moment} - interval '1 hour' AND e.ends_at > e.starts_at "
        f"AND (e.feeder_id IS NULL OR e.feeder_id = CAST(r.{reads['feeder_id']} AS text)) "
        f"AND (e.meter_id IS NULL OR e.meter_id = CAST(r.{reads['meter_id']} AS text)))"
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
    """Neighbours on a feeder whose ups and downs are of like size mirror each other, two by two."""
    key, mirrored = fleet.traits.key.copy(), np.zeros(len(fleet), np.bool_)
    order = np.lexsort((np.arange(len(fleet)), swing_wh, fleet.feeder_index))
    feeder = fleet.feeder_index[order]
    first_on_feeder = np.searchsorted(feeder, feeder)
    second = np.flatnonzero((np.arange(len(fleet)) - first_on_feeder) % 2 == 1)
    key[order[second]] = key[order[second - 1]]
    mirrored[order[second]] = True
    return key, mirrored


def _missing_share(fleet: Fleet, reads: np.ndarray) -> float:
    """Of the reads due, those that are not there; due is what the most read meter of the feeder has in each hour.

    Meters that were away for long are left out: that is no gap of ordinary life.
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
