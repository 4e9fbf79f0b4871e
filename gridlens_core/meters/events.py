"""Events: the kinds there are, what may be requested, and what a row of public.ami_events says.
Pure: the rows themselves are written and read by database/event_log.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Literal, get_args
from uuid import UUID

from gridlens_core import colours
from gridlens_core.clock import as_utc
from gridlens_core.errors import BadInputError
from gridlens_core.meters.patterns import PATTERNS, Pattern, new_event_id, pattern_of

EventType = Literal["theft", "voltage-sag", "comms-outage"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
ColourName = Literal["orange", "yellow", "violet", "gray"]
MAX_DURATION_MINUTES = 7 * 24 * 60
# A start outside these years is a typing mistake; near the ends of the calendar a time has no local day.
EARLIEST_START, LATEST_START = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
# Another service may leave the severity null; a half shows an effect without being total.
SEVERITY_IF_ABSENT = Decimal("0.5")


@dataclass(frozen=True)
class EventKind:
    """What the program knows of one event type, for screens, brief and slides.

    name : the glossary's word, in small letters
    word : a shorter one, for cards
    colour : hex
    colour_name : the name under which the theme file has the same colour
    icon : a Material icon, as Streamlit names it
    kpi : the KPI that moves most
    """

    event_type: str
    name: str
    word: str
    colour: str
    colour_name: ColourName
    icon: str
    kpi: str


EVENT_KINDS: Mapping[str, EventKind] = MappingProxyType(
    {
        kind.event_type: kind
        for kind in (
            EventKind(
                "theft", "theft", "theft", colours.THEFT, "orange", ":material/electric_bolt:", "loss_pct"
            ),
            EventKind(
                "voltage-sag", "voltage sag", "sag", colours.SAG, "yellow", ":material/trending_down:",
                "voltage_compliance_pct",
            ),
            EventKind(
                "comms-outage", "comms outage", "outage", colours.OUTAGE, "violet", ":material/signal_disconnected:",
                "read_success_pct",
            ),
        )
    }
)  # fmt: skip


def kind_of(event_type: str) -> EventKind:
    """The kind of an event type; a gray one of that name for a type of another service, which is not emulated."""
    unknown = EventKind(event_type, event_type, event_type, colours.GRAY, "gray", ":material/help:", "loss_pct")
    return EVENT_KINDS.get(event_type, unknown)


def colour_of(cause: str | None) -> str:
    """The colour of what moved a KPI: of an event type, else gray, as of natural drift or several events."""
    return kind_of(cause or "").colour


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
        """Severity as a fraction from 0 to 1, whatever another service wrote; 0 where it is no fraction."""
        if not self.severity_is_fraction:
            return 0.0
        unknown = self.severity is None or self.severity.is_nan()
        severity = SEVERITY_IF_ABSENT if unknown else Decimal(self.severity or 0)
        return float(min(max(severity, Decimal(0)), Decimal(1)))

    @property
    def severity_is_fraction(self) -> bool:
        """Whether the severity is from 0 to 1, or not known; 70 may mean 70 % or anything, and does nothing."""
        return self.severity is None or self.severity.is_nan() or 0 <= self.severity <= 1

    @property
    def kind(self) -> EventKind:
        """Name, colour, icon and KPI of its type."""
        return kind_of(self.event_type)

    @property
    def pattern(self) -> Pattern:
        """When a theft takes its share; bypass for rows of other services."""
        return pattern_of(self.id)

    @property
    def name(self) -> str:
        """The glossary's word for the event type, with the pattern of a theft that has one."""
        if self.event_type == "theft" and self.pattern != "bypass":
            return f"{self.pattern} theft"
        return self.kind.name

    @property
    def where(self) -> str:
        """The meter, the feeder or all feeders."""
        return self.meter_id or self.feeder_id or "all feeders"

    @property
    def label(self) -> str:
        """theft FEEDER_7, where several stand together"""
        return f"{self.name} {self.where}"

    @property
    def title(self) -> str:
        """theft on FEEDER_7, in a sentence"""
        return f"{self.name} on {self.where}"

    @property
    def members(self) -> tuple[Event, ...]:
        """The rows it stands for: itself, or those of a ring."""
        return (self,)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its rows, as text."""
        return tuple(str(one.id) for one in self.members)

    def state(self, grid_now: datetime) -> str:
        """cancelled, to come, active or over, at a grid time."""
        if self.ends_at <= self.starts_at:
            return "cancelled"
        return "over" if self.ends_at <= grid_now else "to come" if self.starts_at > grid_now else "active"

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether the event's window [starts_at, ends_at) overlaps the interval [start, end)."""
        return self.starts_at < self.ends_at and self.starts_at < end and self.ends_at > start


@dataclass(frozen=True)
class NewEvent:
    """An event that may be inserted; made by `EventRequest.checked`."""

    tenant_id: str
    feeder_id: str | None
    meter_id: str | None
    event_type: EventType
    severity: Decimal
    starts_at: datetime
    ends_at: datetime
    id: UUID | None  # None where the database makes it


@dataclass(frozen=True)
class EventRequest:
    """An event as somebody asks for it, not checked yet.

    feeder_id, meter_id : None for every feeder, or every meter of the feeder
    severity : a fraction, over 0 to 1
    starts_at : None for the grid clock
    pattern : of a theft; one of PATTERNS
    """

    event_type: str
    _: KW_ONLY
    feeder_id: str | None
    severity: float | Decimal
    duration_minutes: float
    meter_id: str | None = None
    starts_at: datetime | None = None
    pattern: str = "bypass"

    def of_type(self, event_type: str) -> EventRequest:
        """The same request for an event of another type; only a theft keeps its pattern."""
        return replace(self, event_type=event_type, pattern=self.pattern if event_type == "theft" else "bypass")

    def checked(self, tenant_id: str, grid_now: datetime) -> NewEvent:
        """The event to insert; raises BadInputError naming the field and what is accepted."""
        event_type = self.event_type
        if event_type not in EVENT_TYPES:
            raise BadInputError.of("eventType", event_type, ", ".join(EVENT_TYPES))
        is_theft = event_type == "theft"
        if self.pattern not in PATTERNS or (self.pattern != "bypass" and not is_theft):
            accepted = ", ".join(PATTERNS) if is_theft else "none but bypass, for only a theft has a pattern"
            raise BadInputError.of("pattern", self.pattern, accepted)
        try:
            fraction = Decimal(str(self.severity))
        except InvalidOperation:
            fraction = Decimal("NaN")
        if not (fraction.is_finite() and 0 < fraction <= 1):
            raise BadInputError.of("severity", self.severity, "a fraction over 0 and up to 1, such as 0.7")
        if not 1 <= self.duration_minutes <= MAX_DURATION_MINUTES:
            raise BadInputError.of("durationMinutes", self.duration_minutes, f"1 to {MAX_DURATION_MINUTES} minutes")
        start = as_utc(self.starts_at or grid_now, "startsAt")
        if not EARLIEST_START <= start < LATEST_START:
            raise BadInputError.of("startsAt", start.isoformat(), "a time in the years 2000 to 2099")
        return NewEvent(
            tenant_id=tenant_id,
            feeder_id=self.feeder_id,
            meter_id=self.meter_id,
            event_type=event_type,
            severity=fraction,
            starts_at=start,
            ends_at=start + timedelta(minutes=self.duration_minutes),
            id=new_event_id(self.pattern),
        )
