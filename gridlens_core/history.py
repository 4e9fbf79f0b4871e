"""Learns a tenant's meters from its own recent reads: who they are, their feeders, level, shape and scatter.
A few bounded queries, whatever the size of the table; reads that an event touched are left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import mode

import numpy as np
import sqlalchemy as sa

from gridlens_core.clock import INTERVAL_MINUTES, as_utc, day_start, local_day
from gridlens_core.fleet import Fleet, fleet_of
from gridlens_core.habits import Habits
from gridlens_core.load_model import SLOT_MINUTES
from gridlens_core.profiles import QUARTERS_PER_DAY
from gridlens_core.schema import Relation, Schema

FLEET_DAYS = 3  # a meter that has not been read for longer is not continued
MOST_DAYS = 14
MOST_READS = 600_000  # to learn from; fewer days of a larger fleet
HOURS = 24


def learn_fleet(
    connection: sa.Connection, schema: Schema, tenant_id: str, latest: datetime, *, seed: int, timezone: str
) -> Fleet:
    """The tenant's meters with their habits, learned from the days before that of `latest`."""
    reads = schema.require_reads()
    meters = _meters(connection, reads, tenant_id, latest)
    fleet = fleet_of(tenant_id, list(meters), list(meters.values()), seed=seed, timezone=timezone)
    minutes = interval_of(connection, reads, tenant_id, fleet.meter_ids[0], latest)
    midnight = day_start(local_day(latest, timezone), timezone)
    days = min(MOST_DAYS, max(1, MOST_READS * minutes // (len(fleet) * 24 * 60)))
    sums = _hourly_sums(connection, schema, fleet, midnight - timedelta(days=days), midnight)
    if not sums:  # the history began today
        sums = _hourly_sums(connection, schema, fleet, latest - timedelta(days=days), latest)
    return fleet.with_habits(_habits(fleet, sums, minutes))


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


def _meters(connection: sa.Connection, reads: Relation, tenant_id: str, latest: datetime) -> dict[str, str]:
    """meter id -> its feeder in its newest read, of every meter read lately, in the order of their ids."""
    statement = sa.text(
        f"SELECT CAST({reads['meter_id']} AS text) AS meter_id, "
        f"(array_agg(CAST({reads['feeder_id']} AS text) ORDER BY {reads['read_at']} DESC))[1] AS feeder_id "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} "
        f"AND {reads['feeder_id']} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    parameters = {"tenant_id": tenant_id, "after": latest - timedelta(days=FLEET_DAYS)}
    return {row.meter_id: row.feeder_id for row in connection.execute(statement, parameters)}


def _hourly_sums(
    connection: sa.Connection, schema: Schema, fleet: Fleet, start: datetime, end: datetime
) -> Sequence[sa.RowMapping]:
    """Exact sums by meter and local hour, and by local quarter hour of the whole fleet."""
    reads = schema.require_reads()
    local = f"({reads.moment('read_at', 'r.{}')} AT TIME ZONE :timezone - interval '1 microsecond')"
    voltage = f"avg(CAST(r.{reads['voltage']} AS double precision))" if reads.has("voltage") else "NULL::float8"
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
          AND r.{reads["kwh"]} IS NOT NULL {untouched}
        GROUP BY GROUPING SETS ((1, 2), (3))"""
    )
    parameters = {"tenant_id": fleet.tenant_id, "start": start, "end": end, "timezone": fleet.timezone}
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
    return Habits(np.round(mean_wh, 2), np.round(scatter, 4), np.round(mean_v, 2).astype(np.float64))


def _within_hour(fleet_wh: np.ndarray) -> np.ndarray:
    """(96,) each quarter hour of the fleet over the mean of its hour; 1 where the history is coarser."""
    by_hour = fleet_wh.reshape(HOURS, 4)
    if np.isnan(by_hour).any():
        return np.ones(QUARTERS_PER_DAY)
    mean = by_hour.mean(axis=1, keepdims=True)
    return np.asarray(by_hour / np.where(mean > 0, mean, 1)).ravel()
