"""Meters and slots that the tests of the load model share."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from gridlens_core.meters.traits import MeterTraits, meter_traits

CHICAGO = "America/Chicago"
METERS_PER_FEEDER = 40


def slot_at(*utc: int) -> int:
    return int(datetime(*utc, tzinfo=UTC).timestamp()) // 900


def ids(n_meters: int) -> tuple[list[str], list[str]]:
    meters = [f"MTR-{number:05d}" for number in range(n_meters)]
    return meters, [f"FEEDER_{number // METERS_PER_FEEDER}" for number in range(n_meters)]


@cache
def fleet(n_meters: int = 60) -> MeterTraits:
    return meter_traits(7, "DEMO_TENANT", *ids(n_meters))
