"""What the HTTP API and the command line answer: camelCase keys, times in UTC, exact numbers as JSON numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, create_model
from pydantic.alias_generators import to_camel

from gridlens_core.database.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS
from gridlens_core.demo.demo import Published
from gridlens_core.explanation.catalogue import CATALOGUE
from gridlens_core.explanation.kpis import Kpis, why_absent
from gridlens_core.explanation.moment import Moment
from gridlens_core.explanation.rehearsal import Rehearsal

# A JSON reader may hold numbers as doubles: whole ones are exact up to here.
EXACT_WHOLE = 2**53


def plain(value: Any) -> Any:
    """A value of the database as a JSON value; NaN and infinity, which JSON does not have, are null."""
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
Exact = Annotated[Decimal, PlainSerializer(lambda value: format(value, "f"), return_type=str)]
Row = Annotated[dict[str, Any], BeforeValidator(plain)]


class ApiModel(BaseModel):
    """A JSON object of the API, made from the object that carries its values."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True)


class EventFacts(ApiModel):
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


class _KpiFacts(ApiModel):
    """One day's KPIs as the views give them; null is what the database does not have."""

    day: date
    feeder_loss_pct: dict[str, Number]

    @classmethod
    def of(cls, kpis: Kpis) -> Self:
        values: Any = {"feeder_loss_pct": kpis.feeder_loss_pct, **{kpi: kpis[kpi] for kpi in CATALOGUE}}
        return cls(day=kpis.day, **values)


# One field for each KPI of the catalogue.
KpiFacts = create_model(
    "KpiFacts", __base__=_KpiFacts, __doc__=_KpiFacts.__doc__, **dict.fromkeys(CATALOGUE, (Number, ...))
)  # type: ignore[call-overload]


def kpi_facts(kpis: Kpis | None) -> Any:
    """The facts of a day's KPIs; None where they are not known."""
    return None if kpis is None else KpiFacts.of(kpis)


class AutoFacts(ApiModel):
    """Publishing on a timer; `here` tells whether this process does it or another one."""

    running: bool
    here: bool
    every_seconds: float | None
    interval_minutes: int | None
    problem: str | None


class HealthAnswer(ApiModel):
    ok: Literal[True] = True
    database: Literal["local", "existing"]


class BeforeAfter(ApiModel):
    """Null where the database's views did not answer in time."""

    before: KpiFacts | None  # type: ignore[valid-type]
    after: KpiFacts | None  # type: ignore[valid-type]


class PublishAnswer(ApiModel):
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
            kpis=BeforeAfter(before=kpi_facts(published.before), after=kpi_facts(published.after)),
        )


class RehearsedFacts(ApiModel):
    """One cycle's KPIs with the event and without it."""

    read_at: datetime
    kpis: KpiFacts  # type: ignore[valid-type]
    without: KpiFacts  # type: ignore[valid-type]


class RehearseAnswer(ApiModel):
    """What would happen; `before` are the KPIs now."""

    ok: Literal[True] = True
    tenant_id: str
    event: EventFacts
    interval_minutes: int
    before: KpiFacts  # type: ignore[valid-type]
    path: list[RehearsedFacts]

    @classmethod
    def of(cls, rehearsal: Rehearsal) -> RehearseAnswer:
        return cls(
            tenant_id=rehearsal.event.tenant_id,
            event=EventFacts.model_validate(rehearsal.event),
            interval_minutes=rehearsal.interval_minutes,
            before=kpi_facts(rehearsal.before),
            path=[
                RehearsedFacts(read_at=one.read_at, kpis=kpi_facts(one.kpis), without=kpi_facts(one.without))
                for one in rehearsal.cycles
            ],
        )


class EventAnswer(ApiModel):
    ok: Literal[True] = True
    event: EventFacts


class EventsAnswer(ApiModel):
    events: list[EventFacts]


class QuickcheckAnswer(ApiModel):
    """What the four KPI views say; rows carry the views' own column names, newest day first."""

    tenant_id: str
    grid_now: datetime
    overview_last5: list[Row]
    current_loss_pct: Number
    loss_note: str | None
    active_events: list[EventFacts]
    feeder_loss_last10: list[Row]
    suspicious_meters_last10: list[Row]
    fieldops_last10: list[Row]

    @classmethod
    def of(cls, at: Moment) -> QuickcheckAnswer:
        def rows(view: str, most: int) -> list[dict[str, Any]]:
            return [dict(row) for row in (*at.rows[view], *at.closed[view])][:most]

        return cls(
            tenant_id=at.tenant_id,
            grid_now=at.grid_now,
            overview_last5=rows(OVERVIEW, 5),
            current_loss_pct=plain(at.kpis["loss_pct"]),
            loss_note=_loss_note(at),
            active_events=[EventFacts.model_validate(event) for event in reversed(at.running)],
            feeder_loss_last10=rows(FEEDER_LOSS, 10),
            suspicious_meters_last10=rows(SUSPICIOUS, 10),
            fieldops_last10=rows(FIELDOPS, 10),
        )


def _loss_note(at: Moment) -> str | None:
    """Why there is no loss, or that its supply is modelled."""
    if at.kpis["loss_pct"] is None:
        return why_absent(at.schema, "loss_pct", at.kpis.failed)
    return at.supply_note or None


class EffectFacts(ApiModel):
    """What one event does to a KPI: with it less without it, at the same moment."""

    event_id: UUID
    change: Exact


class WhyFacts(ApiModel):
    """before + drift + effects = now, to the last digit; null is what was not measured."""

    kpi: str
    before: Exact | None
    without: Exact | None
    now: Exact
    drift: Exact | None
    effects: list[EffectFacts]


class WhyAnswer(ApiModel):
    """Why the KPIs of the running day are what they are, with and without its events.

    `exact` is false, with the reason in `note`, where parts are known only cycle by cycle or not at all.
    """

    tenant_id: str
    grid_now: datetime
    since: datetime
    exact: bool
    note: str
    kpis: list[WhyFacts]

    @classmethod
    def of(cls, at: Moment) -> WhyAnswer:
        measured = at.measured
        note = at.unmeasured if measured is None else measured.note
        return cls(
            tenant_id=at.tenant_id,
            grid_now=at.grid_now,
            since=at.grid_now if measured is None else measured.since,
            exact=not note,
            note=note,
            kpis=[_why_facts(at, kpi, now) for kpi in CATALOGUE if (now := at.kpis[kpi]) is not None],
        )


def _why_facts(at: Moment, kpi: str, now: Decimal) -> WhyFacts:
    why = at.why(kpi)
    if why is not None:
        effects = [EffectFacts(event_id=UUID(one.event_id), change=one.change) for one in why.effects]
        return WhyFacts(kpi=kpi, before=why.before, without=why.without, now=why.now, drift=why.drift, effects=effects)
    if at.unmeasured or at.measured is not None:
        return WhyFacts(kpi=kpi, before=None, without=None, now=now, drift=None, effects=[])
    # No event has touched the day: every movement is natural drift.
    return WhyFacts(kpi=kpi, before=now, without=now, now=now, drift=Decimal(0), effects=[])


class DatabaseFacts(ApiModel):
    kind: Literal["local", "existing"]
    healthy: bool


class StatusAnswer(ApiModel):
    ok: Literal[True] = True
    tenant_id: str
    grid_now: datetime
    wall_now: datetime
    ahead_minutes: float
    last_read_at: datetime | None
    active_events: list[EventFacts]
    auto: AutoFacts
    database: DatabaseFacts


class AutoAnswer(ApiModel):
    ok: Literal[True] = True
    tenant_id: str
    auto: AutoFacts


class ResetAnswer(ApiModel):
    ok: Literal[True] = True
    tenant_id: str
    events_ended: int
    baseline_restored: bool
    grid_now: datetime
    kpis: KpiFacts | None  # type: ignore[valid-type]


class ApiCall(ApiModel):
    """One call of the API, as the list of calls has it."""

    call: str
    does: str
    needs_key: bool


class CallsAnswer(ApiModel):
    ok: Literal[True] = True
    document: str = "/api/openapi.json"
    calls: list[ApiCall]


class ErrorFacts(ApiModel):
    code: str
    message: str
    details: dict[str, Any]


class ErrorAnswer(ApiModel):
    """The one shape of every error."""

    ok: Literal[False] = False
    error: ErrorFacts
