"""Events: what may be asked for, and what a row of public.ami_events says. Pure; the rows are read elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal, get_args
from uuid import UUID

from gridlens_core.clock import as_utc
from gridlens_core.errors import BadInputError
from gridlens_core.meters.patterns import PATTERNS, Pattern, new_event_id, pattern_of

EventType = Literal["theft", "voltage-sag", "comms-outage"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
EVENT_NAMES: dict[str, str] = {
    "theft": "theft",
    "voltage-sag": "voltage sag",
    "comms-outage": "comms outage",
}
MAX_DURATION_MINUTES = 7 * 24 * 60
# Beyond these a time is a slip of the pen, and near the ends of the calendar it has no local day.
EARLIEST_START, LATEST_START = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# A row written by another service may leave the severity out; half is between harmless and total.
SEVERITY_IF_ABSENT = Decimal("0.5")


@dataclass(frozen=True)
class Event:
    """One row of ami_events; a null feeder means every feeder, a meter narrows it to that meter."""

    id: UUID
    tenant_id: str
    feeder_id: str | None
    meter_id: str | None
    event_type: str
    severity: Decimal | None
    starts_at: datetime
    ends_at: datetime
    created_at: datetime | None

    @property
    def fraction(self) -> float:
        """Severity as a fraction from 0 to 1, whatever another service wrote."""
        unknown = self.severity is None or self.severity.is_nan()
        severity = SEVERITY_IF_ABSENT if unknown else Decimal(self.severity or 0)
        return float(min(max(severity, Decimal(0)), Decimal(1)))

    @property
    def pattern(self) -> Pattern:
        """When a theft takes its share; bypass for rows of other services."""
        return pattern_of(self.id)

    @property
    def name(self) -> str:
        """The glossary's word for the event type, with the pattern of a theft that has one."""
        if self.event_type == "theft" and self.pattern != "bypass":
            return f"{self.pattern} theft"
        return EVENT_NAMES.get(self.event_type, self.event_type)

    @property
    def where(self) -> str:
        """The meter, the feeder or all feeders."""
        return self.meter_id or self.feeder_id or "all feeders"

    def state(self, grid_now: datetime) -> str:
        """cancelled, to come, active or over, at a grid time."""
        if self.ends_at <= self.starts_at:
            return "cancelled"
        return "over" if self.ends_at <= grid_now else "to come" if self.starts_at > grid_now else "active"

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether the event's window [starts_at, ends_at) overlaps [start, end)."""
        return self.starts_at < self.ends_at and self.starts_at < end and self.ends_at > start


@dataclass(frozen=True)
class NewEvent:
    """An event that may be inserted; made by `new_event`, which checks it."""

    tenant_id: str
    feeder_id: str | None
    meter_id: str | None
    event_type: EventType
    severity: Decimal
    starts_at: datetime
    ends_at: datetime
    id: UUID | None  # None where the database makes it


def new_event(
    *,
    tenant_id: str,
    event_type: str,
    feeder_id: str | None,
    severity: float | Decimal,
    duration_minutes: float,
    starts_at: datetime,
    meter_id: str | None = None,
    pattern: str = "bypass",
) -> NewEvent:
    """A checked event; raises BadInputError naming the field and what is accepted."""
    if event_type not in EVENT_TYPES:
        raise BadInputError.of("eventType", event_type, ", ".join(EVENT_TYPES))
    if pattern not in PATTERNS or (pattern != "bypass" and event_type != "theft"):
        accepted = ", ".join(PATTERNS) if event_type == "theft" else "none but bypass, for only a theft has a pattern"
        raise BadInputError.of("pattern", pattern, accepted)
    try:
        fraction = Decimal(str(severity))
    except InvalidOperation:
        fraction = Decimal("NaN")
    if not (fraction.is_finite() and 0 < fraction <= 1):
        raise BadInputError.of("severity", severity, "a fraction over 0 and up to 1, such as 0.7")
    if not 1 <= duration_minutes <= MAX_DURATION_MINUTES:
        raise BadInputError.of("durationMinutes", duration_minutes, f"1 to {MAX_DURATION_MINUTES} minutes")
    start = as_utc(starts_at, "startsAt")
    if not EARLIEST_START <= start < LATEST_START:
        raise BadInputError.of("startsAt", start.isoformat(), "a time in the years 2000 to 2099")
    end = start + timedelta(minutes=duration_minutes)
    return NewEvent(tenant_id, feeder_id, meter_id, event_type, fraction, start, end, new_event_id(pattern))


def affecting(events: Sequence[Event], start: datetime, end: datetime) -> list[Event]:
    """The events that touch a read of the interval [start, end)."""
    return [event for event in events if event.overlaps(start, end)]
