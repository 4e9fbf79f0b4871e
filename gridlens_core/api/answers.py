"""What the HTTP API and the command line answer: camelCase keys, times in UTC, exact numbers as JSON numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS
from gridlens_core.demo.demo import Published, Quickcheck
from gridlens_core.explanation.rehearsal import Rehearsal

# A JSON reader may hold numbers as doubles: whole ones are exact up to here.
EXACT_WHOLE = 2**53


def plain(value: Any) -> Any:
    """Any value of the database as JSON has it; what JSON cannot say (NaN, infinity) is null."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        if value.is_finite() and value.as_tuple().exponent == 0 and abs(value) < EXACT_WHOLE:
            return int(value)
        return plain(float(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if value is None or isinstance(value, int):
        return value
    return str(value).encode("utf-8", "replace").decode()


Number = Annotated[int | float | None, BeforeValidator(plain)]
Row = Annotated[dict[str, Any], BeforeValidator(plain)]


class Answer(BaseModel):
    """An answer, made from the object that carries its values."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class EventFacts(Answer):
    """One row of ami_events."""

    id: UUID
    tenant_id: str
    feeder_id: str | None
    meter_id: str | None
    event_type: str
    severity: Number
    starts_at: datetime
    ends_at: datetime
    created_at: datetime | None


class KpiFacts(Answer):
    """One day's KPIs as the views give them; null is what the database does not have."""

    day: date
    loss_pct: Number
    loss_kwh: Number
    supplied_kwh: Number
    metered_kwh: Number
    read_success_pct: Number
    voltage_compliance_pct: Number
    suspicious_meters: Number
    open_tasks: Number
    power_quality_tasks: Number
    revenue_or_meter_tasks: Number
    comms_tasks: Number
    feeder_loss_pct: dict[str, Number]


class AutoFacts(Answer):
    """Publishing on a timer; `here` tells whether this process does it or another one."""

    running: bool
    here: bool
    every_seconds: float | None
    interval_minutes: int | None
    problem: str | None


class HealthAnswer(Answer):
    ok: Literal[True] = True
    database: Literal["local", "existing"]


class BeforeAfter(Answer):
    """Null where the database's views are too slow to be waited for."""

    before: KpiFacts | None
    after: KpiFacts | None


class PublishAnswer(Answer):
    """What was published; `readAt` is the last interval's, the counts are of all cycles together."""

    ok: Literal[True] = True
    tenant_id: str
    read_at: datetime
    interval_minutes: int
    meters: int
    inserted: int
    already_there: int
    not_read: int
    events: list[EventFacts]
    kpis: BeforeAfter

    @classmethod
    def of(cls, published: Published) -> PublishAnswer:
        cycles, last = published.cycles, published.cycles[-1]
        events = {event.id: event for cycle in cycles for event in cycle.events}
        return cls(
            tenant_id=last.tenant_id,
            read_at=last.read_at,
            interval_minutes=last.interval_minutes,
            meters=last.meters,
            inserted=sum(cycle.inserted for cycle in cycles),
            already_there=sum(cycle.already_there for cycle in cycles),
            not_read=sum(cycle.not_read for cycle in cycles),
            events=[EventFacts.model_validate(event) for event in events.values()],
            kpis=BeforeAfter.model_validate(published),
        )


class RehearsedFacts(Answer):
    """One cycle's KPIs with the event and without it."""

    read_at: datetime
    kpis: KpiFacts
    without: KpiFacts


class RehearseAnswer(Answer):
    """What would happen; `before` are the KPIs now."""

    ok: Literal[True] = True
    tenant_id: str
    event: EventFacts
    interval_minutes: int
    before: KpiFacts
    path: list[RehearsedFacts]

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> RehearseAnswer:
        return cls(
            tenant_id=rehearsal.event.tenant_id,
            event=EventFacts.model_validate(rehearsal.event),
            interval_minutes=rehearsal.interval_minutes,
            before=KpiFacts.model_validate(rehearsal.before),
            path=[RehearsedFacts.model_validate(cycle) for cycle in rehearsal.cycles],
        )


class EventAnswer(Answer):
    ok: Literal[True] = True
    event: EventFacts


class EventsAnswer(Answer):
    events: list[EventFacts]


class QuickcheckAnswer(Answer):
    """What the four KPI views say; rows carry the views' own column names, newest day first."""

    tenant_id: str
    grid_now: datetime
    overview_last5: list[Row]
    current_loss_pct: Number
    active_events: list[EventFacts]
    feeder_loss_last10: list[Row]
    suspicious_meters_last10: list[Row]
    fieldops_last10: list[Row]

    @classmethod
    def of(cls, found: Quickcheck) -> QuickcheckAnswer:
        return cls(
            tenant_id=found.tenant_id,
            grid_now=found.grid_now,
            overview_last5=found.rows[OVERVIEW][:5],
            current_loss_pct=plain(found.kpis.loss_pct),
            active_events=[EventFacts.model_validate(event) for event in found.active_events],
            feeder_loss_last10=found.rows[FEEDER_LOSS][:10],
            suspicious_meters_last10=found.rows[SUSPICIOUS][:10],
            fieldops_last10=found.rows[FIELDOPS][:10],
        )


class DatabaseFacts(Answer):
    kind: Literal["local", "existing"]
    healthy: bool


class StatusAnswer(Answer):
    ok: Literal[True] = True
    tenant_id: str
    grid_now: datetime
    wall_now: datetime
    ahead_minutes: float
    last_read_at: datetime | None
    active_events: list[EventFacts]
    auto: AutoFacts
    database: DatabaseFacts


class AutoAnswer(Answer):
    ok: Literal[True] = True
    tenant_id: str
    auto: AutoFacts


class ResetAnswer(Answer):
    ok: Literal[True] = True
    tenant_id: str
    events_ended: int
    baseline_restored: bool
    grid_now: datetime
    kpis: KpiFacts


class ErrorFacts(Answer):
    code: str
    message: str
    details: dict[str, Any]


class ErrorAnswer(Answer):
    """The one shape of every error."""

    ok: Literal[False] = False
    error: ErrorFacts
