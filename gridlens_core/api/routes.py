"""Routes of the HTTP API (docs/contracts.md, "The HTTP API") and their authorisation."""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.types import ASGIApp, Receive, Scope, Send

from gridlens_core import __version__
from gridlens_core.api.answers import (
    AutoAnswer,
    AutoFacts,
    DatabaseFacts,
    EventAnswer,
    EventFacts,
    EventsAnswer,
    HealthAnswer,
    PublishAnswer,
    QuickcheckAnswer,
    RehearseAnswer,
    ResetAnswer,
    StatusAnswer,
    WhyAnswer,
    kpi_facts,
)
from gridlens_core.api.errors import ACCEPTED, answer_errors, error_answers
from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES, INTERVAL_MINUTES, check_interval
from gridlens_core.demo.demo import MAX_CYCLES, Demo
from gridlens_core.errors import DatabaseBusyError, KeyMissingError, KeyWrongError, WritesOffError
from gridlens_core.explanation.rehearsal import MOST_CYCLES
from gridlens_core.meters.events import EVENT_TYPES, MAX_DURATION_MINUTES, EventRequest, EventType
from gridlens_core.meters.patterns import PATTERNS, Pattern
from gridlens_core.publishing.auto import MAX_SECONDS, MIN_SECONDS
from gridlens_core.publishing.publisher import DEFAULT_BATCH_ROWS

MAX_BATCH_ROWS = 1_000_000  # a larger batch is sent as one of these
BEARER = HTTPBearer(auto_error=False, description="GRIDLENS_API_KEY")


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


TenantQuery = Annotated[str, Query(alias="tenantId", min_length=1, max_length=200)]
EventId = Annotated[UUID, Path(alias="id", description=ACCEPTED["id"])]


def build_api(demo: Demo) -> FastAPI:
    """The API over one demo, to be mounted under /api."""
    api = FastAPI(
        title="GridLens AMI pilot",
        version=__version__,
        description="Synthetic meter reads, events and KPI views of the tenants in GRIDLENS_TENANTS.",
        docs_url=None,  # the interactive pages would load their scripts from the internet
        redoc_url=None,
        servers=[{"url": "/api"}],
        redirect_slashes=False,
    )
    api.add_middleware(HeadAsGet)
    answer_errors(api)
    reads = APIRouter(responses=error_answers(403, 422, 503))
    writes = APIRouter(
        route_class=_behind_key(demo), dependencies=[Depends(BEARER)], responses=error_answers(401, 403, 404, 422, 503)
    )

    @api.get("/health", responses=error_answers(503))
    def health() -> HealthAnswer:
        """200 when the database answers, else 503 with the reason."""
        with demo.session.transaction(read_only=True) as connection:
            connection.exec_driver_sql("SELECT 1")
        return HealthAnswer(database=_kind(demo))

    @writes.post("/ami/publish-once")
    def publish_once(body: PublishBody) -> PublishAnswer:
        """Publishes the tenant's next intervals."""
        return PublishAnswer.of(
            demo.publish(
                body.tenant_id,
                interval_minutes=body.asked_interval,
                cycles=body.cycles,
                batch_rows=math.ceil(body.batch_size),
            )
        )

    def trigger(tenant_id: str, request: EventRequest) -> EventAnswer:
        return EventAnswer(event=EventFacts.model_validate(demo.trigger(tenant_id, request)))

    @writes.post("/ami/event/theft", status_code=201)
    def trigger_theft(body: TheftBody) -> EventAnswer:
        """Writes a theft; it begins at the grid clock unless startsAt says otherwise."""
        return trigger(body.tenant_id, body.request("theft", body.pattern))

    @writes.post("/ami/event/voltage-sag", status_code=201)
    def trigger_voltage_sag(body: EventBody) -> EventAnswer:
        """Writes a voltage sag; it begins at the grid clock unless startsAt says otherwise."""
        return trigger(body.tenant_id, body.request("voltage-sag"))

    @writes.post("/ami/event/comms-outage", status_code=201)
    def trigger_comms_outage(body: EventBody) -> EventAnswer:
        """Writes a comms outage; it begins at the grid clock unless startsAt says otherwise."""
        return trigger(body.tenant_id, body.request("comms-outage"))

    @writes.post("/ami/rehearse")
    def rehearse(body: RehearseBody) -> RehearseAnswer:
        """The KPI path an event would cause; nothing of it stays in the database."""
        return RehearseAnswer.of(
            demo.rehearse(
                body.tenant_id,
                body.request(body.event_type, body.pattern),
                cycles=body.cycles,
                interval_minutes=body.asked_interval,
            )
        )

    @writes.post("/ami/event/{id}/end")
    def end_event(event_id: EventId) -> EventAnswer:
        """Ends an event at the grid clock; one that is over stays as it was."""
        return EventAnswer(event=EventFacts.model_validate(demo.end(event_id)))

    @reads.get("/ami/events")
    def events(tenant_id: TenantQuery, active: bool = False) -> EventsAnswer:
        """The event log, newest first; with active=true those that are not over."""
        return EventsAnswer(events=_events(demo, tenant_id, active=active))

    @reads.get("/ami/kpi/quickcheck")
    def quickcheck(tenant_id: TenantQuery) -> QuickcheckAnswer:
        """What the four KPI views say."""
        demo.session.require_events_for_kpis()
        return QuickcheckAnswer.of(demo.desk.fresh(tenant_id))

    @reads.get("/ami/kpi/why")
    def why(tenant_id: TenantQuery) -> WhyAnswer:
        """Why the KPIs of the running day are what they are: natural drift, and the effect of each event."""
        demo.session.require_events_for_kpis()
        return WhyAnswer.of(demo.desk.explained(tenant_id))

    @reads.get("/ami/status")
    def status(tenant_id: TenantQuery) -> StatusAnswer:
        """Grid clock, last publish, active events, auto mode, database."""
        pulse, wall = demo.desk.pulse(tenant_id), demo.session.clock()
        return StatusAnswer(
            tenant_id=tenant_id,
            grid_now=pulse.grid_now,
            wall_now=wall,
            ahead_minutes=round((pulse.grid_now - wall).total_seconds() / 60, 1),
            last_read_at=pulse.latest_read_at,
            active_events=[] if demo.session.schema.events_problem else _events(demo, tenant_id, active=True),
            auto=AutoFacts.model_validate(demo.auto_state(tenant_id)),
            database=DatabaseFacts(kind=_kind(demo), healthy=True),
        )

    @writes.post("/ami/auto/start", responses=error_answers(409))
    def auto_start(body: AutoStartBody) -> AutoAnswer:
        """Publishes on a timer until stopped; a timer that runs gets the new times."""
        demo.desk.fleet(body.tenant_id)
        minutes = body.asked_interval or demo.usual_interval(body.tenant_id)
        state = demo.auto.start(demo.session.database, body.tenant_id, body.every_seconds, minutes)
        return AutoAnswer(tenant_id=body.tenant_id, auto=AutoFacts.model_validate(state))

    @writes.post("/ami/auto/stop")
    def auto_stop(body: TenantBody) -> AutoAnswer:
        """Stops the timer of this process, if it has one."""
        demo.auto.stop(demo.session.check_tenant(body.tenant_id))
        return AutoAnswer(tenant_id=body.tenant_id, auto=AutoFacts.model_validate(demo.auto_state(body.tenant_id)))

    @writes.post("/ami/demo/reset")
    def reset(body: TenantBody) -> ResetAnswer:
        """Ends active events; on the local database also restores the baseline."""
        ended = demo.reset(body.tenant_id)
        try:
            moment = demo.desk.fresh(body.tenant_id)
        except DatabaseBusyError:  # the reset is done all the same
            now, kpis = demo.desk.pulse(body.tenant_id).grid_now, None
        else:
            now, kpis = moment.grid_now, kpi_facts(moment.kpis)
        return ResetAnswer(
            tenant_id=body.tenant_id,
            events_ended=ended,
            baseline_restored=demo.session.site.may_put_right,
            grid_now=now,
            kpis=kpis,
        )

    api.include_router(reads)
    api.include_router(writes)
    return api


def _events(demo: Demo, tenant_id: str, *, active: bool) -> list[EventFacts]:
    return [EventFacts.model_validate(event) for event in demo.events(tenant_id, active=active)]


def _kind(demo: Demo) -> Literal["local", "existing"]:
    return demo.session.site.name


def _behind_key(demo: Demo) -> type[APIRoute]:
    """Routes that check the key before they read anything else of the request."""

    class BehindKey(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def check_and_handle(request: Request) -> Response:
                given = await BEARER(request)
                check_key(demo.session.api_key, None if given is None else given.credentials)
                return await handle(request)

            return check_and_handle

    return BehindKey


def check_key(expected: str | None, given: str | None) -> None:
    """Raises unless the key in the header is the expected one; compares in constant time."""
    if expected is None:
        raise WritesOffError
    if given is None:
        raise KeyMissingError
    # A header arrives as Latin-1, whatever its bytes meant.
    if not hmac.compare_digest(given.encode("latin-1"), expected.encode()):
        raise KeyWrongError


class HeadAsGet:
    """Answers HEAD as GET, whose body the server then leaves out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)
