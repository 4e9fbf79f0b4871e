"""A client of a demo's HTTP API, and how its answers are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from helpers import FROZEN, TENANT, Server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient

from gridlens_core.api.guard import Guard, Rules
from gridlens_core.api.routes import build_api
from gridlens_core.demo.demo import Demo
from gridlens_core.meters.events import EVENT_TYPES
from gridlens_core.settings import Settings

PUBLISH, REHEARSE = "/api/ami/publish-once", "/api/ami/rehearse"
STATUS, QUICKCHECK, WHY = "/api/ami/status", "/api/ami/kpi/quickcheck", "/api/ami/kpi/why"
THEFT, AUTO_START, AUTO_STOP = "/api/ami/event/theft", "/api/ami/auto/start", "/api/ami/auto/stop"
KEY = "the key"
EVENT = {"tenantId": TENANT, "feederId": "FEEDER_7", "durationMinutes": 60, "severity": 0.7}
# Good bodies of the calls that need more than a tenant.
BODIES: dict[str, dict[str, Any]] = {
    REHEARSE: {**EVENT, "eventType": "theft"},
    **{f"/api/ami/event/{event_type}": EVENT for event_type in EVENT_TYPES},
}


def served(demo: Demo) -> Starlette:
    """The demo's API where app.py mounts it."""
    guard = Middleware(Guard, rules=Rules(lambda: "localhost", hosts=("testserver",)))
    return Starlette(routes=[Mount("/api", app=build_api(demo))], middleware=[guard])


@contextmanager
def shared_demo(server: Server, template: str, data_dir: Path) -> Iterator[Demo]:
    """A demo, on a database copied from the template, that many tests may share; its key is KEY."""
    name = f"shared_{data_dir.name}"
    demo = Demo(Settings(database_url=server.create(name, template), api_key=KEY, now=FROZEN, data_dir=data_dir))
    demo.session.start()
    yield demo
    demo.stop()
    server.drop(name)


def client_of(demo: Demo, key: str | None = None) -> TestClient:
    """A client of the demo's API; one that is given a key sends it."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return TestClient(served(demo), raise_server_exceptions=False, headers=headers)


def refused(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The facts of an error, which has the one shape and the expected status."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"ok", "error"}
    assert body["ok"] is False
    assert body["error"].keys() == {"code", "message", "details"}
    assert code in (None, body["error"]["code"])
    assert body["error"]["message"]
    return dict(body["error"])


def moment(text: str) -> datetime:
    """A time of an answer, which is in UTC and says so."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def grid_now(client: TestClient) -> datetime:
    """The tenant's grid clock."""
    return moment(client.get(STATUS, params={"tenantId": TENANT}).json()["gridNow"])


def event_log(client: TestClient, **query: str) -> list[dict[str, Any]]:
    """The tenant's events."""
    return list(client.get("/api/ami/events", params={"tenantId": TENANT, **query}).json()["events"])


def operations(client: TestClient, method: str) -> list[str]:
    """The paths of every operation with this method; an event's id is one that no event has."""
    paths = client.get("/api/openapi.json").json()["paths"]
    return ["/api" + path.replace("{id}", str(uuid4())) for path, item in paths.items() if method in item]


def reads(client: TestClient, tenant_id: str = TENANT) -> dict[str, Any]:
    """Path -> answer, of every operation that needs no key."""
    return {path: client.get(path, params={"tenantId": tenant_id}) for path in operations(client, "get")}


def writes(client: TestClient, tenant_id: str = TENANT) -> dict[str, Any]:
    """Path -> answer to a good request, of every operation that needs the key."""
    return {
        path: client.post(path, json={**BODIES.get(path, {}), "tenantId": tenant_id})
        for path in operations(client, "post")
    }
