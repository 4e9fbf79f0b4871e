"""Request bodies of the HTTP API: what each field accepts, and that a field stands there once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gridlens_core.api.errors import ACCEPTED, MAX_ECHO
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES, check_interval
from gridlens_core.demo.demo import MAX_CYCLES
from gridlens_core.errors import BadInputError
from gridlens_core.explanation.rehearsal import MOST_CYCLES
from gridlens_core.meters.events import EVENT_TYPES, MAX_DURATION_MINUTES, EventRequest, EventType
from gridlens_core.meters.patterns import PATTERNS, Pattern
from gridlens_core.publishing.auto import MAX_SECONDS, MIN_SECONDS
from gridlens_core.publishing.publisher import DEFAULT_BATCH_ROWS

MAX_BATCH_ROWS = 1_000_000  # a larger batch is sent as one of these


def _whole(value: object) -> object:
    """JSON has one kind of number: 15.0 is 15."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _bounded(value: object) -> object:
    """A whole number may be too large for a floating-point number; it is then cut to the bound."""
    return min(value, MAX_BATCH_ROWS) if isinstance(value, int) and not isinstance(value, bool) else value


def _moment(value: object) -> object:
    """A time given as text; anything else is left for the validation to refuse."""
    try:
        return datetime.fromisoformat(value.upper()) if isinstance(value, str) else value
    except ValueError:
        return value


# A description says what is accepted: it stands in the OpenAPI document, and in the answer to bad input.
TenantId = Annotated[str, Field(min_length=1, max_length=200, description=ACCEPTED["tenantId"])]
Name = Annotated[str | None, Field(max_length=200)]
Whole = Annotated[int, BeforeValidator(_whole)]
IntervalMinutes = Annotated[
    Whole,
    AfterValidator(check_interval),
    Field(description=", ".join(map(str, INTERVAL_MINUTES)), json_schema_extra={"enum": list(INTERVAL_MINUTES)}),
]


class Body(BaseModel):
    """A request body: camelCase keys, nothing unknown, no value taken for another type."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, allow_inf_nan=False)


class TenantBody(Body):
    tenant_id: TenantId


class IntervalBody(TenantBody):
    """The default of 15 minutes is that of a history of 15: where the key is left out, the history's own is meant."""

    interval_minutes: IntervalMinutes = DEFAULT_INTERVAL_MINUTES

    @property
    def asked_interval(self) -> int | None:
        """The interval that was asked for; None for that of the history."""
        return self.interval_minutes if "interval_minutes" in self.model_fields_set else None


class PublishBody(IntervalBody):
    batch_size: Annotated[float, BeforeValidator(_bounded)] = Field(
        DEFAULT_BATCH_ROWS, gt=0, description="rows per batch sent to the database, any positive number"
    )
    cycles: Whole = Field(1, ge=1, le=MAX_CYCLES, description=f"1 to {MAX_CYCLES}")


class EventBody(TenantBody):
    feeder_id: Name = Field(description="a feeder of the tenant; null for every feeder")
    duration_minutes: float = Field(ge=1, le=MAX_DURATION_MINUTES, description=f"1 to {MAX_DURATION_MINUTES} minutes")
    severity: float = Field(gt=0, le=1, description="a fraction over 0 and up to 1, such as 0.7")
    meter_id: Name = Field(None, description="a meter of the feeder; null for every meter")
    starts_at: Annotated[AwareDatetime | None, BeforeValidator(_moment)] = Field(
        None, description="a time with an offset, such as 2026-11-23T14:00:00Z; null for the grid clock"
    )

    def request(self, event_type: EventType, pattern: Pattern = "bypass") -> EventRequest:
        """The answer of a route for one tenant."""
        return EventRequest(
            event_type,
            feeder_id=self.feeder_id,
            meter_id=self.meter_id,
            severity=self.severity,
            duration_minutes=self.duration_minutes,
            starts_at=self.starts_at,
            pattern=pattern,
        )


class TheftBody(EventBody):
    pattern: Pattern = Field("bypass", description=", ".join(PATTERNS))


class RehearseBody(TheftBody, IntervalBody):
    event_type: EventType = Field(description=", ".join(EVENT_TYPES))
    cycles: Whole = Field(4, ge=1, le=MOST_CYCLES, description=f"1 to {MOST_CYCLES}")


class AutoStartBody(IntervalBody):
    every_seconds: float = Field(
        5, ge=MIN_SECONDS, le=MAX_SECONDS, description=f"{MIN_SECONDS} to {MAX_SECONDS} seconds"
    )


def check_fields_once(body: bytes) -> None:
    """Raises BadInputError naming a field that stands twice in a JSON text: readers differ in which one counts."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            seen: set[str] = set()
            name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise _stands_twice(name[:MAX_ECHO])
        return fields

    try:
        json.loads(body, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return  # refused where it is read


def _stands_twice(field: str) -> BadInputError:
    problem, accepted = "stands twice", "each field once"
    return BadInputError(f"{field}: {problem}; accepted: {accepted}", field=field, problem=problem, accepted=accepted)
