"""The history of a new local database: what day after day of publishing would have written, roll-ups and nightly
estimation too, worked out beside the emulated reads and written with COPY."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from zoneinfo import ZoneInfo

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from gridlens_core.clock import local_day
from gridlens_core.database.event_log import events_in_window
from gridlens_core.database.queries import query
from gridlens_core.meters.emulator import Reads, Span, emulate
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.profiles import Ints
from gridlens_core.publishing import baseline
from gridlens_core.publishing.bulk import copy_reads, copy_rows
from gridlens_core.publishing.detecting import detect

HOURS = 24
LOST_AT_MOST_PCT = 6
_EXACT = Context(prec=400)
UNKNOWN = np.iinfo(np.int64).min  # of a mean power
MWH_PER_KWH, NW_PER_KW = 10**6, 10**9  # the last decimals of the columns


@dataclass(frozen=True)
class _ToDate:
    """What the meters recorded up to the end of a day, (n_meters, 24): energy [mWh] and time [minutes]."""

    day: date
    recorded_mwh: Ints
    minutes: Ints


class FirstHistory:
    """Writes a tenant's history from its first read on, a span within a local day at a time."""

    def __init__(self, fleet: Fleet) -> None:
        self.end: datetime | None = None
        self._fleet = fleet
        self._to_date: deque[_ToDate] = deque(maxlen=baseline.LEARNED_DAYS + 1)
        self._losses: deque[list[NDArray[np.object_]]] = deque(maxlen=baseline.LEARNED_DAYS)  # of each feeder, by day

    def publish(self, connection: sa.Connection, span: Span) -> None:
        """Writes the next span; the caller holds the tenant's lock, and nobody else has written for the tenant."""
        events = events_in_window(connection, self._fleet.tenant_id, span.start, span.end)
        self.write(connection, emulate(self._fleet, span, events, self._fleet.missing_share))

    def write(self, connection: sa.Connection, reads: Reads) -> None:
        """Like `publish`, with reads that are known; of the same fleet."""
        span, day = reads.span, local_day(reads.span.end, self._fleet.timezone)
        mean_nw = self._expected()
        # The triggers would work out what is written here.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        if self._to_date:
            self._write_night(connection, day, mean_nw)
        baseline.record_supply(connection, reads)
        copy_reads(connection, reads)
        self._write_roll_up(connection, day, reads, mean_nw)
        connection.exec_driver_sql("SET LOCAL session_replication_role TO DEFAULT")
        detect(connection, self._fleet.tenant_id, day)
        self._add(day, reads)
        self.end = span.end

    def _add(self, day: date, reads: Reads) -> None:
        hours = hours_of(reads.span, self._fleet.timezone)
        of_hour = (hours[:, None] == np.arange(HOURS)).astype(np.int64)
        recorded_mwh = np.where(reads.sent, reads.recorded_mwh, 0) @ of_hour
        minutes = reads.sent.astype(np.int64) @ of_hour * reads.span.minutes
        if self._to_date:
            recorded_mwh, minutes = recorded_mwh + self._to_date[-1].recorded_mwh, minutes + self._to_date[-1].minutes
        self._to_date.append(_ToDate(day, recorded_mwh, minutes))
        self._losses.append(_losses(reads))

    def _expected(self) -> Ints:
        """(n_meters, 24) mean power over four weeks [nW], rounded as numeric is; UNKNOWN where there is no read."""
        if not self._to_date:
            return np.full((len(self._fleet), HOURS), UNKNOWN, dtype=np.int64)
        recorded_mwh, minutes = self._to_date[-1].recorded_mwh, self._to_date[-1].minutes
        if len(self._to_date) > baseline.LEARNED_DAYS:
            recorded_mwh, minutes = recorded_mwh - self._to_date[0].recorded_mwh, minutes - self._to_date[0].minutes
        size = (2 * np.abs(recorded_mwh) * 60 * (NW_PER_KW // MWH_PER_KWH) + minutes) // np.maximum(2 * minutes, 1)
        return np.where(minutes > 0, np.sign(recorded_mwh) * size, UNKNOWN)

    def _write_night(self, connection: sa.Connection, day: date, mean_nw: Ints) -> None:
        fleet, to_date = self._fleet, self._to_date[-1]
        tenant, ids = fleet.tenant_id, list(zip(fleet.feeder_ids, fleet.meter_ids, strict=True))
        copy_rows(
            connection, "meter_energy_to_date",
            ("tenant_id", "feeder_id", "day", "meter_id", "hours", "kwh", "minutes"),
            ((tenant, feeder, to_date.day, meter, *_energy(mwh, minutes)) for (feeder, meter), mwh, minutes
             in zip(ids, to_date.recorded_mwh.tolist(), to_date.minutes.tolist(), strict=True) if any(minutes)),
        )  # fmt: skip
        copy_rows(
            connection, "meter_expectation", ("tenant_id", "day", "feeder_id", "meter_id", "mean_kw"),
            ((tenant, day, feeder, meter, _array(_kw(value) for value in mean)) for (feeder, meter), mean
             in zip(ids, mean_nw.tolist(), strict=True) if max(mean) > UNKNOWN),
        )  # fmt: skip
        known = mean_nw > UNKNOWN
        meters, sums = fleet.sum_by_feeder(known.astype(np.int64)), fleet.sum_by_feeder(np.where(known, mean_nw, 0))
        copy_rows(
            connection, "feeder_hour_expectation", ("tenant_id", "day", "feeder_id", "hour", "meters", "mean_kw"),
            ((tenant, day, fleet.feeders[feeder], hour, meters[feeder, hour], _kw(int(sums[feeder, hour])))
             for feeder, hour in zip(*np.nonzero(meters), strict=True)),
        )  # fmt: skip
        losses = (sum(days) for days in zip(*self._losses, strict=True))
        copy_rows(
            connection, "feeder_expectation", ("tenant_id", "day", "feeder_id", "no_load_kw", "load_factor"),
            ((tenant, day, feeder, *_fit(*sums))
             for feeder, sums in zip(fleet.feeders, losses, strict=True) if sums[0]),
        )  # fmt: skip

    def _write_roll_up(self, connection: sa.Connection, day: date, reads: Reads, mean_nw: Ints) -> None:
        limits = connection.execute(query(baseline.QUERIES, "voltage_limits")).one()
        low_dv, high_dv = int(10 * limits.low_v), int(10 * limits.high_v)
        expected_nw = mean_nw[:, hours_of(reads.span, self._fleet.timezone)]
        expected = reads.sent & (expected_nw > UNKNOWN)
        low = reads.sent & (reads.voltage_dv < low_dv)
        out_of_range = low | reads.sent & (reads.voltage_dv > high_dv)
        count, recorded_mwh = reads.sent, np.where(reads.sent, reads.recorded_mwh, 0)
        of_each = (count, recorded_mwh, out_of_range, low, expected, np.where(expected, expected_nw, 0))
        sums = np.stack([self._fleet.sum_by_feeder(one.astype(np.int64)) for one in of_each], axis=-1)
        columns = (
            "tenant_id", "day", "feeder_id", "read_at",
            "reads", "recorded_kwh", "out_of_range", "low_voltage", "expected_reads", "expected_kw",
        )  # fmt: skip
        times = [moment.isoformat() for moment in reads.span.read_times]
        copy_rows(
            connection, "feeder_interval_reads", columns,
            ((self._fleet.tenant_id, day, feeder, moment, one[0], _kwh(one[1]), *one[2:5], _kw(one[5]))
             for feeder, of_feeder in zip(self._fleet.feeders, sums.tolist(), strict=True)
             for moment, one in zip(times, of_feeder, strict=True) if one[0]),
        )  # fmt: skip


def _losses(reads: Reads) -> list[NDArray[np.object_]]:
    """For each feeder the exact sums that a line through its losses needs: n, x, y, x * x and x * y, where x = kW^2 and
    y = lost kW over the intervals that count (learn_feeders in sql/local/queries.sql); in powers of mW."""
    fleet, per_hour = reads.fleet, 60 // reads.span.minutes
    supplied = reads.supplied_wh * 1000
    lost = supplied - fleet.sum_by_feeder(np.where(reads.sent, reads.recorded_mwh, 0))
    whole = fleet.sum_by_feeder(reads.sent) == reads.meters_due
    counts = whole & (supplied > 0) & (100 * lost <= LOST_AT_MOST_PCT * supplied)
    found = []
    for feeder, chosen in enumerate(counts):
        x = (supplied[feeder, chosen] * per_hour).astype(object) ** 2
        y = (lost[feeder, chosen] * per_hour).astype(object)
        found.append(np.array([len(x), x.sum(), y.sum(), (x * x).sum(), (x * y).sum()], dtype=object))
    return found


def _fit(n: int, x: int, y: int, xx: int, xy: int) -> tuple[float, float]:
    """No-load kW and load factor, each the quotient of two exact numbers that were rounded to double precision."""
    spread = n * xx - x * x
    if not spread:
        return float(_scaled(y, 1)) / n, 0.0
    return (
        float(_scaled(y * xx - x * xy, 5)) / float(_scaled(spread, 4)),
        float(_scaled(n * xy - x * y, 3)) / float(_scaled(spread, 4)),
    )


def _scaled(value: int, power: int) -> Decimal:
    """A whole number of mW to a power, in kW."""
    return Decimal(int(value)).scaleb(-6 * power, _EXACT)


def hours_of(span: Span, timezone: str) -> Ints:
    """(n_intervals,) the hour of the local day in which each interval ends."""
    zone, instant = ZoneInfo(timezone), timedelta(microseconds=1)
    return np.array([(moment - instant).astimezone(zone).hour for moment in span.read_times])


def _energy(mwh: list[int], minutes: list[int]) -> tuple[str, str, str]:
    """Hours with a read, their energy and their time."""
    there = [hour for hour in range(HOURS) if minutes[hour]]
    return _array(map(str, there)), _array(_kwh(mwh[hour]) for hour in there), _array(str(minutes[h]) for h in there)


def _array(values: Iterator[str] | map[str]) -> str:
    return "{" + ",".join(values) + "}"


def _kwh(mwh: int) -> str:
    return f"{'-' * (mwh < 0)}{abs(mwh) // MWH_PER_KWH}.{abs(mwh) % MWH_PER_KWH:06d}"


def _kw(nw: int) -> str:
    """NULL within an array where it is not known."""
    return "NULL" if nw == UNKNOWN else f"{'-' * (nw < 0)}{abs(nw) // NW_PER_KW}.{abs(nw) % NW_PER_KW:09d}"
