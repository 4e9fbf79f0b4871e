"""The HTTP API (DESIGN.md 7): JSON in camelCase, one error shape, no driver message in any answer."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from gridlens_core.clock import INTERVAL_MINUTES
from gridlens_core.demo import MAX_CYCLES, Demo
from gridlens_core.errors import GridLensError, KeyMissingError, KeyWrongError, WritesOffError
from gridlens_core.events import MAX_DURATION_MINUTES, Event
from gridlens_core.kpis import Kpis
from gridlens_core.schema import FEEDER_LOSS, FIELDOPS, OVERVIEW, SUSPICIOUS

TenantId = Annotated[str, Field(min_length=1, max_length=200, description="a tenant of GRIDLENS_TENANTS")]
IntervalMinutes = Annotated[
    Literal[5, 10, 15, 20, 30, 60], Field(description=f"one of {', '.join(map(str, INTERVAL_MINUTES))}")
]
BEARER = HTTPBearer(auto_error=False, description="GRIDLENS_API_KEY")
TenantQuery = Annotated[str, Query(alias="tenantId", min_length=1, max_length=200)]


class Body(BaseModel):
    """A request body: camelCase keys, nothing unknown."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=False)


class PublishBody(Body):
    tenant_id: TenantId
    interval_minutes: IntervalMinutes = 15
    batch_size: int = Field(20_000, ge=1, le=1_000_000, description="rows per batch sent to the database")
    cycles: int = Field(1, ge=1, le=MAX_CYCLES)


class EventBody(Body):
    tenant_id: TenantId
    feeder_id: str | None = Field(max_length=200, description="null means every feeder of the tenant")
    duration_minutes: float = Field(ge=1, le=MAX_DURATION_MINUTES)
    severity: float = Field(gt=0, le=1, description="a fraction")
    meter_id: str | None = Field(None, max_length=200)
    starts_at: AwareDatetime | None = None


class AutoStartBody(Body):
    tenant_id: TenantId
    every_seconds: float = Field(5, ge=1, le=3600)
    interval_minutes: IntervalMinutes = 15


class TenantBody(Body):
    tenant_id: TenantId


def build_api(demo: Demo) -> FastAPI:
    """The API over one demo, to be mounted under /api."""
    api = FastAPI(
        title="GridLens AMI pilot",
        version="0.1.0",
        description="Synthetic meter reads, events and KPI views of the tenants in GRIDLENS_TENANTS.",
        docs_url=None,  # the interactive page would load its scripts from the internet
        redoc_url=None,
        servers=[{"url": "/api"}],
    )
    _answer_errors(api)
    unlocked = [Depends(_key_check(demo))]
    writes: dict[str, Any] = {"dependencies": unlocked, "responses": _errors(401, 403, 404, 422, 503)}
    reads: dict[str, Any] = {"responses": _errors(403, 422, 503)}

    @api.get("/health", responses=_errors(503))
    def health() -> dict[str, Any]:
        """200 when the database answers, else 503 with the reason."""
        demo.database.ping()
        return {"ok": True, "database": _kind(demo), "ready": True}

    @api.post("/ami/publish-once", **writes)
    def publish_once(body: PublishBody) -> dict[str, Any]:
        """Publishes the tenant's next intervals."""
        published = demo.publish(
            body.tenant_id,
            interval_minutes=body.interval_minutes,
            cycles=body.cycles,
            batch_rows=body.batch_size,
        )
        last = published.cycles[-1]
        return answer(
            {
                "ok": True,
                "tenantId": body.tenant_id,
                "readAt": last.read_at,
                "intervalMinutes": last.interval_minutes,
                "cycles": len(published.cycles),
                "meters": last.meters,
                "inserted": sum(cycle.inserted for cycle in published.cycles),
                "alreadyThere": sum(cycle.already_there for cycle in published.cycles),
                "notRead": sum(cycle.not_read for cycle in published.cycles),
                "events": [event_json(event) for event in last.events],
                "kpis": {"before": kpis_json(published.before), "after": kpis_json(published.after)},
            }
        )

    def trigger(event_type: str) -> Callable[[EventBody], dict[str, Any]]:
        def write_event(body: EventBody) -> dict[str, Any]:
            event = demo.trigger(
                body.tenant_id,
                event_type,
                feeder_id=body.feeder_id,
                meter_id=body.meter_id,
                severity=body.severity,
                duration_minutes=body.duration_minutes,
                starts_at=body.starts_at,
            )
            return answer({"ok": True, "event": event_json(event)})

        return write_event

    for event_type in ("theft", "voltage-sag", "comms-outage"):
        api.post(f"/ami/event/{event_type}", status_code=201, name=f"trigger {event_type}", **writes)(
            trigger(event_type)
        )

    @api.post("/ami/event/{event_id}/end", **writes)
    def end_event(event_id: str) -> dict[str, Any]:
        """Ends an event at the grid clock."""
        return answer({"ok": True, "event": event_json(demo.end(event_id))})

    @api.get("/ami/events", **reads)
    def events(tenant_id: TenantQuery, active: bool = False) -> dict[str, Any]:
        """The event log, newest first; with active=true those that are not over."""
        return answer({"events": [event_json(event) for event in demo.events(tenant_id, active=active)]})

    @api.get("/ami/kpi/quickcheck", **reads)
    def quickcheck(tenant_id: TenantQuery) -> dict[str, Any]:
        """What the four KPI views say."""
        return answer(quickcheck_json(demo, tenant_id))

    @api.get("/ami/status", **reads)
    def status(tenant_id: TenantQuery) -> dict[str, Any]:
        """Grid clock, last publish, active events, auto mode, database."""
        return answer(status_json(demo, tenant_id))

    @api.post("/ami/auto/start", **{**writes, "responses": _errors(401, 403, 409, 422, 503)})
    def auto_start(body: AutoStartBody) -> dict[str, Any]:
        """Publishes on a timer until stopped."""
        demo.fleet(body.tenant_id)
        state = demo.auto.start(demo.database, body.tenant_id, body.every_seconds, body.interval_minutes)
        return answer({"ok": True, "tenantId": body.tenant_id, "auto": _camel(vars(state))})

    @api.post("/ami/auto/stop", **writes)
    def auto_stop(body: TenantBody) -> dict[str, Any]:
        """Stops the timer of this process."""
        demo.check_tenant(body.tenant_id)
        stopped = demo.auto.stop(body.tenant_id)
        return answer(
            {
                "ok": True,
                "tenantId": body.tenant_id,
                "stopped": stopped,
                "auto": _camel(vars(demo.auto_state(body.tenant_id))),
            }
        )

    @api.post("/ami/demo/reset", **writes)
    def reset(body: TenantBody) -> dict[str, Any]:
        """Ends active events; on the local database also restores the baseline."""
        ended = demo.reset(body.tenant_id)
        now, kpis = demo.kpis(body.tenant_id)
        return answer(
            {
                "ok": True,
                "tenantId": body.tenant_id,
                "eventsEnded": ended,
                "baselineRestored": demo.database.is_local,
                "gridNow": now,
                "kpis": kpis_json(kpis),
            }
        )

    return api


def quickcheck_json(demo: Demo, tenant_id: str) -> dict[str, Any]:
    """The answer of /ami/kpi/quickcheck."""
    now, kpis = demo.kpis(tenant_id)
    return {
        "tenantId": tenant_id,
        "gridNow": now,
        "overviewLast5": demo.view_rows(tenant_id, OVERVIEW)[:5],
        "currentLossPct": kpis.loss_pct,
        "activeEvents": [event_json(event) for event in demo.events(tenant_id, active=True)],
        "feederLossLast10": demo.view_rows(tenant_id, FEEDER_LOSS)[:10],
        "suspiciousMetersLast10": demo.view_rows(tenant_id, SUSPICIOUS)[:10],
        "fieldopsLast10": demo.view_rows(tenant_id, FIELDOPS)[:10],
    }


def status_json(demo: Demo, tenant_id: str) -> dict[str, Any]:
    """The answer of /ami/status."""
    pulse = demo.pulse(tenant_id)
    return {
        "ok": True,
        "tenantId": tenant_id,
        "gridNow": pulse.grid_now,
        "wallNow": demo.clock(),
        "aheadMinutes": round((pulse.grid_now - demo.clock()).total_seconds() / 60, 1),
        "lastReadAt": pulse.latest_read_at,
        "activeEvents": [event_json(event) for event in demo.events(tenant_id, active=True)],
        "auto": _camel(vars(demo.auto_state(tenant_id))),
        "database": {"kind": _kind(demo), "address": demo.database.address, "healthy": True},
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event with the contract's keys."""
    return _camel(vars(event))


def kpis_json(kpis: Kpis) -> dict[str, Any]:
    """KPIs in camelCase, feeder ids as they are."""
    return {**_camel(vars(kpis)), "feederLossPct": dict(kpis.feeder_loss_pct)}


def answer(values: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's values as JSON has them."""
    return {key: plain(value) for key, value in values.items()}


def plain(value: Any) -> Any:
    """Values as JSON has them: times in ISO 8601 UTC, exact numbers as numbers."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _camel(values: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(key): value for key, value in values.items()}


def _kind(demo: Demo) -> str:
    return "local" if demo.settings.is_local else "existing"


def _key_check(demo: Demo) -> Callable[..., None]:
    """Writes need the bearer token; compared in constant time."""

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> None:
        expected = demo.api_key
        if expected is None:
            raise WritesOffError
        if given is None:
            raise KeyMissingError
        if not hmac.compare_digest(given.credentials.encode(), expected.encode()):
            raise KeyWrongError

    return check


class ErrorFacts(BaseModel):
    code: str
    message: str
    details: dict[str, Any]


class ErrorAnswer(BaseModel):
    """The one shape of every error."""

    ok: Literal[False]
    error: ErrorFacts


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer} for status in statuses}


def _error(status: int, code: str, message: str, details: Mapping[str, Any]) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    body = {"ok": False, "error": {"code": code, "message": message, "details": plain(_camel(details))}}
    return JSONResponse(body, status, headers)


def _answer_errors(api: FastAPI) -> None:
    @api.exception_handler(GridLensError)
    def on_gridlens_error(_: Request, error: GridLensError) -> JSONResponse:
        return _error(error.status, error.code, error.message, error.details)

    @api.exception_handler(RequestValidationError)
    def on_bad_request(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            {"field": ".".join(str(part) for part in problem["loc"][1:]) or "body", "problem": problem["msg"]}
            for problem in error.errors()
        ]
        message = "; ".join(f"{problem['field']}: {problem['problem']}" for problem in problems)
        return _error(422, "bad_input", message, {"fields": problems})

    @api.exception_handler(HTTPException)
    def on_http_error(_: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, "http", str(error.detail), {})

    @api.exception_handler(Exception)
    def on_unforeseen(_: Request, error: Exception) -> JSONResponse:
        return _error(500, "internal", "GridLens failed; the server's log has the cause.", {})
