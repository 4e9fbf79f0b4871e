"""Why a meter is named, or why it is not: its reads beside what was expected of it, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import mode
from typing import Any

import numpy as np
import sqlalchemy as sa

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES, as_utc, local_day
from gridlens_core.database.queries import query
from gridlens_core.database.schema import Schema
from gridlens_core.explanation.detection import is_voltage_issue
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, local_quarters

EVIDENCE_HOURS = 24
RECENT = timedelta(hours=1)  # what a sentence speaks of
NAMED_UNDER = 0.85  # of expected: the local view's threshold


@dataclass(frozen=True)
class MeterEvidence:
    """One meter over the last day: None in `recorded_kwh` is a read that did not arrive.

    expected_kwh : the meter's own habit; on the local database scaled to what its feeder got
    """

    meter_id: str
    feeder_id: str
    read_at: tuple[datetime, ...]
    recorded_kwh: tuple[float | None, ...]
    expected_kwh: tuple[float, ...]
    named: bool
    sentence: str


def meter_evidence(
    connection: sa.Connection,
    schema: Schema,
    fleet: Fleet,
    meter_id: str,
    grid_now: datetime,
    named: Mapping[str, str],
    told: str | None,
    *,
    is_local: bool,
) -> MeterEvidence:
    """The evidence for or against one meter.

    named : issue by meter, of those the view names; told : the view's own evidence for this one
    """
    fleet.check_target(None, meter_id)
    feeder_id = fleet.feeder_ids[fleet.meter_ids.index(meter_id)]
    after = grid_now - timedelta(hours=EVIDENCE_HOURS)
    if is_local:
        rows = _local_rows(connection, fleet, meter_id, after, grid_now)
    else:
        rows = _existing_rows(connection, schema, fleet, meter_id, after)
    times, recorded, expected = (
        tuple(row[name] for row in rows) for name in ("read_at", "recorded_kwh", "expected_kwh")
    )
    return MeterEvidence(
        meter_id,
        feeder_id,
        times,
        recorded,
        expected,
        meter_id in named,
        _sentence(meter_id, feeder_id, rows, grid_now, fleet, named, told, is_local=is_local),
    )


def _local_rows(
    connection: sa.Connection, fleet: Fleet, meter_id: str, after: datetime, grid_now: datetime
) -> list[dict[str, Any]]:
    parameters = {
        "tenant_id": fleet.tenant_id,
        "meter_id": meter_id,
        "after": after,
        "first_day": local_day(after, fleet.timezone),
        "last_day": local_day(grid_now, fleet.timezone),
    }
    found = connection.execute(query("reads.sql", "meter_expected"), parameters).mappings()
    return [{**row, "read_at": as_utc(row["read_at"])} for row in found]


def _existing_rows(
    connection: sa.Connection, schema: Schema, fleet: Fleet, meter_id: str, after: datetime
) -> list[dict[str, Any]]:
    reads = schema.require_reads()
    statement = sa.text(
        f"SELECT {reads.moment('read_at')} AS read_at, CAST({reads['kwh']} AS double precision) AS recorded_kwh "
        f"FROM {reads.quoted} WHERE {reads.of_tenant()} "
        f"AND {reads['meter_id']} = CAST(:meter_id AS {reads.type_of('meter_id')}) "
        f"AND {reads['read_at']} > {reads.from_moment('read_at', ':after')} ORDER BY 1"
    )
    parameters = {"tenant_id": fleet.tenant_id, "meter_id": meter_id, "after": after}
    rows = [(as_utc(row.read_at), row.recorded_kwh) for row in connection.execute(statement, parameters)]
    number = fleet.meter_ids.index(meter_id)
    usual = np.full(QUARTERS_PER_DAY, fleet.mean_wh_per_slot[number])
    if fleet.habits is not None:
        usual = fleet.habits.mean_wh[number]
    minutes = _interval_minutes([moment for moment, _ in rows])
    return [
        {"read_at": moment, "recorded_kwh": kwh, "expected_kwh": _usual_kwh(usual, moment, interval, fleet)}
        for (moment, kwh), interval in zip(rows, minutes, strict=True)
    ]


def _interval_minutes(times: Sequence[datetime]) -> list[int]:
    """How long each read's interval was: the distance to the read before, no longer than the usual distance."""
    distances = [int((later - earlier).total_seconds()) // 60 for earlier, later in pairwise(times)]
    known = [minutes for minutes in distances if minutes in INTERVAL_MINUTES]
    usual = mode(known) if known else DEFAULT_INTERVAL_MINUTES
    return [min(minutes, usual) if minutes in INTERVAL_MINUTES else usual for minutes in (0, *distances)][: len(times)]


def _usual_kwh(usual_wh: np.ndarray, read_at: datetime, minutes: int, fleet: Fleet) -> float:
    """What the meter usually uses in an interval, from its usual energy in each quarter hour of the local day."""
    slots = -(-minutes // SLOT_MINUTES)
    first = (int(read_at.timestamp()) - 1) // (60 * SLOT_MINUTES) - slots + 1
    quarters = local_quarters(first, slots, fleet.timezone) % QUARTERS_PER_DAY
    return float(usual_wh[quarters].mean()) / 1000 * minutes / SLOT_MINUTES


def _sentence(
    meter_id: str,
    feeder_id: str,
    rows: list[dict[str, Any]],
    grid_now: datetime,
    fleet: Fleet,
    named: Mapping[str, str],
    told: str | None,
    *,
    is_local: bool,
) -> str:
    if meter_id in named:
        return f"{meter_id} is named for {named[meter_id].replace('_', ' ').lower()}: {told or 'no more is told'}."
    recent = [row for row in rows if row["read_at"] > grid_now - RECENT]
    missing = sum(row["recorded_kwh"] is None for row in recent)
    if not recent or missing == len(recent):
        return f"{meter_id} is not named: it sent no read in the last hour. Silence is a comms task, not theft."
    recorded = sum(row["recorded_kwh"] or 0.0 for row in recent)
    expected = sum(row["expected_kwh"] or 0.0 for row in recent if row["recorded_kwh"] is not None)
    share = (
        ""
        if not expected
        else f", {words.percent(100 * recorded / expected, 0)} of the {words.energy(expected)} expected"
    )
    facts = f"it recorded {words.energy(recorded)} in the last hour{share}"
    if not is_local:
        return f"{meter_id} is not named: {facts}. What this database's view goes by is its own."
    beside = sum(
        feeder == feeder_id and meter in named and not is_voltage_issue(named[meter])
        for meter, feeder in zip(fleet.meter_ids, fleet.feeder_ids, strict=True)
    )
    if not beside:
        return (
            f"{meter_id} is not named: {facts}, and {feeder_id} lost no more lately than its conductors explain. "
            "A drop without a loss on the feeder is an empty home."
        )
    if expected and recorded >= NAMED_UNDER * expected:
        return f"{meter_id} is not named though {words.plural(beside, 'meter')} of {feeder_id} are: {facts}."
    return (
        f"{meter_id} is not named though {words.plural(beside, 'meter')} of {feeder_id} are: {facts}, but the deeper "
        "drops of those already explain what the feeder lost."
    )
