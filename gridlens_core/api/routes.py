"""Routes of the HTTP API (docs/contracts.md, "The HTTP API") and their authorisation."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from gridlens_core import __version__
from gridlens_core.api.answers import (
    ApiCall,
    AutoAnswer,
    AutoFacts,
    CallsAnswer,
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
from gridlens_core.api.bodies import (
    AutoStartBody,
    EventBody,
    PublishBody,
    RehearseBody,
    TenantBody,
    TheftBody,
    check_fields_once,
)
from gridlens_core.api.errors import ACCEPTED, answer_errors, error_answers
from gridlens_core.api.waiting import Queue, Queues, Shared
from gridlens_core.demo.demo import Demo
from gridlens_core.errors import GridLensError, KeyWrongError
from gridlens_core.meters.events import EventRequest

HEALTH_PATIENCE_S = 3.0  # an image's health check waits a second longer
BEARER = HTTPBearer(auto_error=False, description="GRIDLENS_API_KEY")


TenantQuery = Annotated[str, Query(alias="tenantId", min_length=1, max_length=200)]
READ_ERRORS = error_answers(403, 421, 422, 429, 503)
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
    _add_signs_of_life(api, demo)
    _add_reads(api, demo)
    _add_writes(api, demo)
    _add_list(api)
    return api


def _add_signs_of_life(api: FastAPI, demo: Demo) -> None:
    """Health and status, which wait for nothing that others wait for."""
    health_shared: Shared[None] = Shared("health")
    status_shared: Shared[bytes] = Shared("status")

    @api.get("/health", responses=error_answers(421, 503))
    async def health() -> HealthAnswer:
        """200 when the database answers, else 503 with the reason."""
        await health_shared.get("", demo.lifeline.ping, HEALTH_PATIENCE_S)
        return HealthAnswer(database=_kind(demo))

    def status_of(tenant_id: str) -> bytes:
        found, wall = demo.lifeline.status(tenant_id), demo.session.wall(tenant_id)
        answer = StatusAnswer(
            tenant_id=tenant_id,
            grid_now=found.pulse.grid_now,
            wall_now=wall,
            ahead_minutes=round((found.pulse.grid_now - wall).total_seconds() / 60, 1),
            last_read_at=found.pulse.latest_read_at,
            active_events=[EventFacts.model_validate(event) for event in found.active],
            auto=AutoFacts.model_validate(found.auto),
            database=DatabaseFacts(kind=_kind(demo), healthy=True),
        )
        return _json(answer)

    @api.get("/ami/status", responses=READ_ERRORS, response_model=StatusAnswer)
    async def status(tenant_id: TenantQuery) -> Response:
        """Grid clock, last publish, active events, auto mode, database."""
        demo.session.check_tenant(tenant_id)
        return _said(await status_shared.get(tenant_id, lambda: status_of(tenant_id)))


def _add_reads(api: FastAPI, demo: Demo) -> None:
    """What anybody may ask: one answer for all who ask at once, however many they are."""
    reads = APIRouter(responses=READ_ERRORS)
    log, views, reasons = (Shared[bytes](name) for name in ("events", "quickcheck", "why"))

    @reads.get("/ami/events", response_model=EventsAnswer)
    async def events(tenant_id: TenantQuery, active: bool = False) -> Response:
        """The event log, newest first; with active=true those that are not over."""

        def ask() -> bytes:
            found = demo.events(tenant_id, active=active)
            return _json(EventsAnswer(events=[EventFacts.model_validate(event) for event in found]))

        demo.session.check_tenant(tenant_id)
        return _said(await log.get(f"{active} {tenant_id}", ask))

    async def of_kpis(shared: Shared[bytes], tenant_id: str, answer: Callable[[str], BaseModel]) -> Response:
        def ask() -> bytes:
            demo.session.require_events_for_kpis()
            return _json(answer(tenant_id))

        demo.session.check_tenant(tenant_id)
        return _said(await shared.get(tenant_id, ask))

    @reads.get("/ami/kpi/quickcheck", response_model=QuickcheckAnswer)
    async def quickcheck(tenant_id: TenantQuery) -> Response:
        """What the four KPI views say."""
        return await of_kpis(views, tenant_id, lambda tenant: QuickcheckAnswer.of(demo.desk.fresh(tenant)))

    @reads.get("/ami/kpi/why", response_model=WhyAnswer)
    async def why(tenant_id: TenantQuery) -> Response:
        """Why the KPIs of the running day are what they are: natural drift, and the effect of each event."""
        return await of_kpis(reasons, tenant_id, lambda tenant: WhyAnswer.of(demo.desk.explained(tenant)))

    api.include_router(reads)


def _add_writes(api: FastAPI, demo: Demo) -> None:
    """What needs the key. Publishes of a tenant wait in a queue of their own, everything else in another one."""
    errors = error_answers(401, 403, 404, 408, 413, 421, 422, 429, 503)
    writes = APIRouter(route_class=_behind_key(demo), dependencies=[Depends(BEARER)], responses=errors)
    publishes, others = Queues("publish"), Queue("write", threads=4)

    @writes.post("/ami/publish-once")
    async def publish_once(body: PublishBody) -> PublishAnswer:
        """Publishes the tenant's next intervals."""
        batch_rows = math.ceil(body.batch_size)

        def publish() -> PublishAnswer:
            return PublishAnswer.of(
                demo.publish(
                    body.tenant_id, interval_minutes=body.asked_interval, cycles=body.cycles, batch_rows=batch_rows
                )
            )

        return await publishes.of(demo.session.check_tenant(body.tenant_id)).do(publish)

    async def trigger(tenant_id: str, request: EventRequest) -> EventAnswer:
        return EventAnswer(event=EventFacts.model_validate(await others.do(lambda: demo.trigger(tenant_id, request))))

    @writes.post("/ami/event/theft", status_code=201)
    async def trigger_theft(body: TheftBody) -> EventAnswer:
        """Writes a theft; it begins at the grid clock unless startsAt says otherwise."""
        return await trigger(body.tenant_id, body.request("theft", body.pattern))

    @writes.post("/ami/event/voltage-sag", status_code=201)
    async def trigger_voltage_sag(body: EventBody) -> EventAnswer:
        """Writes a voltage sag; it begins at the grid clock unless startsAt says otherwise."""
        return await trigger(body.tenant_id, body.request("voltage-sag"))

    @writes.post("/ami/event/comms-outage", status_code=201)
    async def trigger_comms_outage(body: EventBody) -> EventAnswer:
        """Writes a comms outage; it begins at the grid clock unless startsAt says otherwise."""
        return await trigger(body.tenant_id, body.request("comms-outage"))

    @writes.post("/ami/rehearse")
    async def rehearse(body: RehearseBody) -> RehearseAnswer:
        """The KPI path an event would cause; nothing of it stays in the database."""
        request = body.request(body.event_type, body.pattern)

        def ask() -> RehearseAnswer:
            return RehearseAnswer.of(
                demo.rehearse(body.tenant_id, request, cycles=body.cycles, interval_minutes=body.asked_interval)
            )

        return await others.do(ask)

    @writes.post("/ami/event/{id}/end")
    async def end_event(event_id: EventId) -> EventAnswer:
        """Ends an event at the grid clock; one that is over stays as it was."""
        return EventAnswer(event=EventFacts.model_validate(await others.do(lambda: demo.end(event_id))))

    @writes.post("/ami/auto/start", responses=error_answers(409))
    async def auto_start(body: AutoStartBody) -> AutoAnswer:
        """Publishes on a timer until stopped; a timer that runs gets the new times."""

        def start() -> AutoAnswer:
            demo.desk.fleet(body.tenant_id)
            minutes = body.asked_interval or demo.usual_interval(body.tenant_id)
            state = demo.auto.start(demo.session.database, body.tenant_id, body.every_seconds, minutes)
            return AutoAnswer(tenant_id=body.tenant_id, auto=AutoFacts.model_validate(state))

        return await others.do(start)

    @writes.post("/ami/auto/stop")
    async def auto_stop(body: TenantBody) -> AutoAnswer:
        """Stops the timer of this process, if it has one."""

        def stop() -> AutoAnswer:
            demo.auto.stop(demo.session.check_tenant(body.tenant_id))
            return AutoAnswer(tenant_id=body.tenant_id, auto=AutoFacts.model_validate(demo.auto_state(body.tenant_id)))

        return await others.do(stop)

    @writes.post("/ami/demo/reset")
    async def reset(body: TenantBody) -> ResetAnswer:
        """Ends active events; on the local database also restores the baseline."""
        return await others.do(lambda: _reset(demo, body.tenant_id))

    api.include_router(writes)


def _reset(demo: Demo, tenant_id: str) -> ResetAnswer:
    ended = demo.reset(tenant_id)
    try:
        moment = demo.desk.fresh(tenant_id)
    except GridLensError:  # the reset is done all the same
        now, kpis = demo.desk.pulse(tenant_id).grid_now, None
    else:
        now, kpis = moment.grid_now, kpi_facts(moment.kpis)
    return ResetAnswer(
        tenant_id=tenant_id,
        events_ended=ended,
        baseline_restored=demo.session.site.may_put_right,
        grid_now=now,
        kpis=kpis,
    )


def _add_list(api: FastAPI) -> None:
    """What there is, at the address of the API itself."""
    calls = [
        ApiCall(call=f"{method.upper()} /api{path}", does=str(said["description"]), needs_key="security" in said)
        for path, methods in api.openapi()["paths"].items()
        for method, said in methods.items()
    ]

    @api.get("/", include_in_schema=False)
    async def list_calls() -> CallsAnswer:
        return CallsAnswer(calls=calls)


def _json(answer: BaseModel) -> bytes:
    return answer.model_dump_json(by_alias=True).encode()


def _said(answer: bytes) -> Response:
    return Response(answer, media_type="application/json")


def _kind(demo: Demo) -> Literal["local", "existing"]:
    return demo.session.site.name


def _behind_key(demo: Demo) -> type[APIRoute]:
    """Routes that check the key before they read anything else of the request."""

    class BehindKey(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def check_and_handle(request: Request) -> Response:
                given = await BEARER(request)
                await _check_key(demo, request, None if given is None else given.credentials)
                check_fields_once(await request.body())
                return await handle(request)

            return check_and_handle

    return BehindKey


async def _check_key(demo: Demo, request: Request, given: str | None) -> None:
    """Raises unless the key in the header is the right one; a wrong one is told so when its turn comes."""
    # A header arrives as Latin-1, whatever its bytes meant.
    key = given and given.encode("latin-1")
    wait_s = demo.keys.wait_if_wrong(demo.session.api_key, key or None, request.client and request.client.host)
    if wait_s is not None:
        await asyncio.sleep(wait_s)
        raise KeyWrongError


class HeadAsGet:
    """Answers HEAD as GET, whose body the server then leaves out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)
