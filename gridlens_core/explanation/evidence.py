"""Why a meter is named, or why it is not: its reads beside what was expected of it, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import mode

import numpy as np
import sqlalchemy as sa

from gridlens_core import words
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES, as_utc, local_day
from gridlens_core.database.queries import query
from gridlens_core.database.reads import reads_of
from gridlens_core.database.schema import Schema
from gridlens_core.explanation.detection import is_voltage_issue
from gridlens_core.explanation.kpis import Kpis
from gridlens_core.meters.fleet import Fleet
from gridlens_core.meters.profiles import QUARTERS_PER_DAY, SLOT_MINUTES, local_quarters

EVIDENCE_HOURS = 24
RECENT = timedelta(hours=1)  # what a sentence speaks of


@dataclass(frozen=True)
class Told:
    """What the views say besides the names.

    by_meter : the suspicious-meters view's own evidence by meter
    by_feeder : why a theft is suspected on a feeder, where one is
    rule_is_known : the view is GridLens's own, so that it can be said why a meter is not named
    """

    by_meter: Mapping[str, str | None]
    by_feeder: Mapping[str, str]
    rule_is_known: bool


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


@dataclass(frozen=True)
class ExpectedRead:
    """One interval of a meter: what it recorded, None for a read that did not arrive, and what was expected of it."""

    read_at: datetime
    recorded_kwh: float | None
    expected_kwh: float


def meter_evidence(
    meter_id: str, rows: Sequence[ExpectedRead], fleet: Fleet, kpis: Kpis, grid_now: datetime, told: Told
) -> MeterEvidence:
    """The evidence for or against one meter.

    rows : the meter's intervals of the last day, oldest first
    """
    return MeterEvidence(
        meter_id,
        _feeder_of(fleet, meter_id),
        tuple(row.read_at for row in rows),
        tuple(row.recorded_kwh for row in rows),
        tuple(row.expected_kwh for row in rows),
        meter_id in kpis.named,
        _sentence(meter_id, rows, grid_now, fleet, kpis.named, told),
    )


def _feeder_of(fleet: Fleet, meter_id: str) -> str:
    fleet.check_target(None, meter_id)
    return fleet.feeder_ids[fleet.meter_ids.index(meter_id)]


def local_rows(
    connection: sa.Connection, schema: Schema, fleet: Fleet, meter_id: str, grid_now: datetime
) -> list[ExpectedRead]:
    """The local database's own estimation of one meter, over the last day."""
    after = grid_now - timedelta(hours=EVIDENCE_HOURS)
    parameters = {
        "tenant_id": fleet.tenant_id,
        "meter_id": meter_id,
        "after": after,
        "first_day": local_day(after, fleet.timezone),
        "last_day": local_day(grid_now, fleet.timezone),
    }
    found = [
        ExpectedRead(as_utc(row.read_at), row.recorded_kwh, row.expected_kwh)
        for row in connection.execute(query("reads.sql", "meter_expected"), parameters)
    ]
    return [row for row in found if row.read_at <= grid_now]


def existing_rows(
    connection: sa.Connection, schema: Schema, fleet: Fleet, meter_id: str, grid_now: datetime
) -> list[ExpectedRead]:
    """One meter's reads over the last day beside its own habit."""
    after = grid_now - timedelta(hours=EVIDENCE_HOURS)
    found = reads_of(connection, schema, fleet.tenant_id, meter=meter_id, after=after, until=grid_now)
    found.sort(key=lambda read: read.read_at)
    number = fleet.meter_ids.index(meter_id)
    usual = np.full(QUARTERS_PER_DAY, fleet.mean_wh_per_slot[number])
    if fleet.habits is not None:
        usual = fleet.habits.mean_wh[number]
    minutes = _interval_minutes([read.read_at for read in found])
    return [
        ExpectedRead(read.read_at, read.kwh, _usual_kwh(usual, read.read_at, interval, fleet))
        for read, interval in zip(found, minutes, strict=True)
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
    rows: Sequence[ExpectedRead],
    grid_now: datetime,
    fleet: Fleet,
    named: Mapping[str, str],
    told: Told,
) -> str:
    if meter_id in named:
        why = told.by_meter.get(meter_id) or "the view says no more"
        return f"{meter_id} is named for {named[meter_id].replace('_', ' ').lower()}: {why}."
    recent = [row for row in rows if row.read_at > grid_now - RECENT]
    missing = sum(row.recorded_kwh is None for row in recent)
    if not recent or missing == len(recent):
        return f"{meter_id} is not named: it sent no read in the last hour. Silence is a comms task, not theft."
    recorded = sum(row.recorded_kwh or 0.0 for row in recent)
    expected = sum(row.expected_kwh or 0.0 for row in recent if row.recorded_kwh is not None)
    share = (
        ""
        if not expected
        else f", {words.percent(100 * recorded / expected, 0)} of the {words.energy(expected)} expected"
    )
    facts = f"it recorded {words.energy(recorded)} in the last hour{share}"
    if not told.rule_is_known:
        return f"{meter_id} is not named: {facts}. This database's view has a rule of its own."
    feeder_id = _feeder_of(fleet, meter_id)
    if feeder_id not in told.by_feeder:
        return (
            f"{meter_id} is not named: {facts}, and {feeder_id} lost no more lately than its conductors explain. "
            "A drop without a loss on the feeder is an empty home."
        )
    beside = sum(
        feeder == feeder_id and meter in named and not is_voltage_issue(named[meter])
        for meter, feeder in zip(fleet.meter_ids, fleet.feeder_ids, strict=True)
    )
    if not beside:
        return (
            f"{meter_id} is not named: {facts}. {told.by_feeder[feeder_id]}, but the reads do not tell yet "
            "whose meters it was."
        )
    return (
        f"{meter_id} is not named though {words.plural(beside, 'meter')} of {feeder_id} are: {facts}, but the loss "
        "does not follow its reads."
    )
