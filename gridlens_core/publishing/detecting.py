"""The detection job of the local database: after each cycle it looks for thefts, in reads and supply alone.
What it writes follows from what is stored, whoever stored it and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core.database.queries import query
from gridlens_core.detection.balance import LATELY, Balance, Floats, losing_since
from gridlens_core.detection.findings import FeederDay, find

DETECTION = "local/detection.sql"
ALL_DAY = 1_000_000  # intervals, more than a day has


@dataclass(frozen=True)
class _Intervals:
    """One feeder's complete intervals, oldest first: (n,) ends since 1970 [s], local hours, and the balance."""

    feeder_id: str
    ends: Floats
    hours: Floats
    balance: Balance
    delivered_kwh: Floats

    @classmethod
    def of(cls, feeder_id: str, rows: Sequence[sa.Row[Any]]) -> _Intervals:
        complete = [row for row in rows if row.complete]
        ends = np.array([row.read_at.timestamp() for row in complete])
        hours, supplied, recorded, unread, minutes = (
            np.array([getattr(row, name) for row in complete], dtype=np.float64)
            for name in ("hour", "supplied_kwh", "recorded_kwh", "unread_kwh", "interval_minutes")
        )
        balance = Balance.of(supplied, recorded, unread, minutes, (rows[0].no_load_kw, rows[0].load_factor))
        return cls(feeder_id, ends, hours, balance, recorded + unread + balance.unexplained)


def detect(connection: sa.Connection, tenant_id: str, day: date, feeder_ids: Sequence[str] | None = None) -> None:
    """Writes what is found as of the latest interval of a day, in place of what was found as of it before.

    feeder_ids : of these alone; None for all
    """
    tenant_day = {"tenant_id": tenant_id, "day": day}
    chosen = {**tenant_day, "feeder_ids": None if feeder_ids is None else list(feeder_ids)}
    connection.execute(query(DETECTION, "forget_findings"), chosen)
    losing = [one.feeder_id for one in _intervals(connection, chosen, max(LATELY)) if _loses(one)]
    if not losing:
        return
    days = _intervals(connection, {**tenant_day, "feeder_ids": losing}, ALL_DAY)
    found = [finding for one in days for finding in find(_feeder_day(connection, tenant_day, one))]
    if found:
        parameters = {
            "feeders": [one.feeder_id for one in found],
            "meters": [one.meter_id for one in found],
            "confidences": [round(one.confidence, 2) for one in found],
            "evidences": [one.evidence for one in found],
        }
        connection.execute(query(DETECTION, "write_findings"), tenant_day | parameters)


def _loses(intervals: _Intervals) -> bool:
    return losing_since(intervals.balance) is not None


def _intervals(connection: sa.Connection, chosen: dict[str, Any], latest: int) -> Iterator[_Intervals]:
    rows = connection.execute(query(DETECTION, "balances"), {**chosen, "latest": latest}).all()
    for feeder_id, of_feeder in groupby(rows, key=lambda row: str(row.feeder_id)):
        yield _Intervals.of(feeder_id, list(of_feeder))


def _feeder_day(connection: sa.Connection, tenant_day: dict[str, Any], intervals: _Intervals) -> FeederDay:
    """The intervals with the feeder's reads, and with what is expected: its meters' habits, scaled to what it got."""
    parameters = {**tenant_day, "feeder_id": intervals.feeder_id}
    reads = {row.meter_id: row for row in connection.execute(query(DETECTION, "reads_of_day"), parameters)}
    usual = {row.meter_id: row.mean_kw for row in connection.execute(query(DETECTION, "expected_of_day"), parameters)}
    meter_ids = tuple(sorted(reads))
    recorded = np.full((len(meter_ids), len(intervals.ends)), np.nan)
    for row, meter_id in enumerate(meter_ids):
        ends = np.frombuffer(reads[meter_id].ends, ">i8")
        at = np.searchsorted(intervals.ends, ends)
        there = np.append(intervals.ends, -1)[at] == ends
        recorded[row, at[there]] = np.frombuffer(reads[meter_id].kwh, ">f8")[there]
    habits = np.array([usual[meter_id] for meter_id in sorted(usual)], dtype=np.float64).reshape(-1, 24)
    mean_kw = dict(zip(sorted(usual), habits, strict=True))
    own = np.array([mean_kw.get(meter_id, np.full(24, np.nan)) for meter_id in meter_ids]).reshape(-1, 24)
    together = np.nansum(habits, axis=0)
    shares = own / np.where(together > 0, together, np.nan)
    expected = shares[:, intervals.hours.astype(np.int64)] * intervals.delivered_kwh
    return FeederDay(intervals.feeder_id, meter_ids, intervals.balance, recorded, expected)
