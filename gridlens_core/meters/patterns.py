"""Theft patterns: what part of the severity is taken when, within an event's window.
The pattern is coded in the event's id, so that ami_events keeps its columns (docs/architecture.md)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Pattern = Literal["bypass", "nightly", "weekend", "slow-ramp", "intermittent"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
PATTERN_WORDS: dict[Pattern, str] = {
    "bypass": "a constant share, day and night",
    "nightly": "only from 22:00 to 06:00",
    "weekend": "only on Saturday and Sunday",
    "slow-ramp": "growing from zero to the full share over a day",
    "intermittent": "on and off by the hour",
}
NIGHT_BEGINS, NIGHT_ENDS = 22, 6  # local hours
RAMP_HOURS = 24.0

# Share of a year's energy that patterns reach whatever the load; for the others it depends on when the meters use it.
YEARLY_SHARE: dict[Pattern, float] = {"bypass": 1.0, "slow-ramp": 1.0, "intermittent": 0.5}

# RFC 9562 leaves UUID version 8 to applications: "gl", the pattern's number, then random bits. An id made by
# gen_random_uuid() of PostgreSQL, as other services use, has version 4 and means bypass.
_MARK = b"gl"
_VERSION_8, _VARIANT = 0x80, 0x80


def new_event_id(pattern: Pattern) -> UUID | None:
    """An id that holds the pattern; None for bypass, whose id the database makes."""
    if pattern == "bypass":
        return None
    raw = bytearray(_MARK + bytes([PATTERNS.index(pattern)]) + secrets.token_bytes(13))
    raw[6] = raw[6] & 0x0F | _VERSION_8
    raw[8] = raw[8] & 0x3F | _VARIANT
    return UUID(bytes=bytes(raw))


def pattern_of(event_id: UUID) -> Pattern:
    """The pattern that an id holds; bypass for an id that holds none."""
    raw = event_id.bytes
    if raw[:2] == _MARK and raw[6] & 0xF0 == _VERSION_8 and 0 < raw[2] < len(PATTERNS):
        return PATTERNS[raw[2]]
    return "bypass"


def weights(
    pattern: Pattern, event_id: UUID, starts_at: datetime, interval_starts: Sequence[datetime], timezone: str
) -> NDArray[np.float64]:
    """The part of the severity that is taken in each interval.

    interval_starts : (n_intervals,) aware times
    timezone : IANA zone of the local hours and weekdays
    Returns (n_intervals,), 0 to 1.
    """
    if pattern == "bypass":
        return np.ones(len(interval_starts))
    zone = ZoneInfo(timezone)
    return np.array([_weight(pattern, event_id, starts_at, start, zone) for start in interval_starts], dtype=float)


def _weight(pattern: Pattern, event_id: UUID, starts_at: datetime, interval_start: datetime, zone: ZoneInfo) -> float:
    local = interval_start.astimezone(zone)
    hours = max((interval_start - starts_at).total_seconds() / 3600, 0.0)
    match pattern:
        case "nightly":
            return float(local.hour >= NIGHT_BEGINS or local.hour < NIGHT_ENDS)
        case "weekend":
            return float(local.weekday() >= 5)
        case "slow-ramp":
            return min(hours / RAMP_HOURS, 1.0)
        case "intermittent":
            # The first hour is always on; each later one follows from the id.
            hour = int(hours)
            return float(hour == 0 or blake2b(event_id.bytes + hour.to_bytes(8, "big")).digest()[0] < 128)
        case _:
            return 1.0
