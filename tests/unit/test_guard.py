"""What every request passes, and what every answer carries; without a server or a database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message

from gridlens_core.api import guard
from gridlens_core.api.guard import API_POLICY, MEDIA_POLICY, Guard, Rules
from pages._policy import page_policy


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.url.path} {len(await request.body())}")


def client(listens: str | None = "localhost", hosts: tuple[str, ...] = (), **options: Any) -> TestClient:
    rules = Rules(lambda: listens, hosts, page_policy="of pages", own_names=frozenset({"desk.local"}))
    app = Starlette(
        routes=[Route("/{path:path}", echo, methods=["GET", "POST"])], middleware=[Middleware(Guard, rules=rules)]
    )
    return TestClient(app, base_url="http://localhost", **options)


@pytest.mark.parametrize(
    ("path", "policy"),
    [("/", "of pages"), ("/losses", "of pages"), ("/api/health", API_POLICY), ("/media/brief.html", MEDIA_POLICY)],
)
def test_every_answer_carries_the_headers(path: str, policy: str) -> None:
    headers = client().get(path).headers
    assert headers["content-security-policy"] == policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_refusals_carry_them_too() -> None:
    for response in (
        client().get("/", headers={"Host": "evil.example"}),
        client().post("/api/x", content=b"x" * 70_000),
    ):
        assert response.status_code in (413, 421)
        assert response.headers["content-security-policy"] == API_POLICY
        assert response.headers["x-content-type-options"] == "nosniff"


def test_no_policy_lets_a_page_be_framed_or_a_script_be_written_into_it() -> None:
    for policy in (page_policy(), API_POLICY, MEDIA_POLICY):
        rules = dict(one.split(" ", 1) for one in policy.split("; ") if " " in one)
        assert rules["frame-ancestors"] == "'none'"
        assert "unsafe" not in rules.get("script-src", rules["default-src"])
    assert "'sha256-" in page_policy()


ALWAYS_ALLOWED = ["localhost", "localhost:8501", "127.0.0.1:9", "[::1]:8501", "LocalHost."]
BEYOND = ["192.168.1.20:8501", "10.0.0.4", "[fe80::1]:8501", "gridlens:8501", "desk.local"]
NEVER = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "x@localhost", "", "localhost:x"]


@pytest.mark.parametrize("host", ALWAYS_ALLOWED)
@pytest.mark.parametrize("listens", ["localhost", "0.0.0.0", None])
def test_the_loopback_names_are_always_allowed(host: str, listens: str | None) -> None:
    assert client(listens).get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", BEYOND)
def test_numbers_and_the_machine_s_own_name_are_allowed_where_it_listens_beyond_itself(host: str) -> None:
    assert client("0.0.0.0").get("/", headers={"Host": host}).status_code == 200
    assert client("localhost").get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", NEVER)
@pytest.mark.parametrize("listens", ["localhost", "0.0.0.0"])
def test_a_name_that_anybody_can_register_is_421_in_the_one_shape(host: str, listens: str) -> None:
    response = client(listens).get("/losses", headers={"Host": host})
    assert response.status_code == 421
    assert response.json()["error"]["code"] == "host_not_allowed"
    assert "GRIDLENS_ALLOWED_HOSTS" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (("demo.example.com",), "demo.example.com:443", True),
        (("demo.example.com",), "other.example.com", False),
        (("*.example.com",), "a.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "evilexample.com", False),
        (("*",), "anything.example", True),
    ],
)
def test_names_that_are_set_are_allowed(hosts: tuple[str, ...], host: str, allowed: bool) -> None:
    assert client(hosts=hosts).get("/", headers={"Host": host}).is_success is allowed


def test_a_probe_may_ask_for_health_by_any_name() -> None:
    assert client().get("/api/health", headers={"Host": "10.9.8.7.cluster.example"}).status_code == 200


def test_a_page_of_another_name_gets_no_websocket() -> None:
    async def ask(host: bytes) -> list[Message]:
        sent: list[Message] = []

        async def app(*_: object) -> None:
            sent.append({"type": "passed"})

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        scope = {"type": "websocket", "path": "/_stcore/stream", "headers": [(b"host", host)]}
        await Guard(app, Rules(lambda: "localhost"))(scope, receive, send)
        return sent

    assert asyncio.run(ask(b"localhost:8501")) == [{"type": "passed"}]
    assert asyncio.run(ask(b"evil.example"))[0]["type"] == "websocket.close"


def test_the_dashboard_does_not_answer_for_the_api() -> None:
    assert client().get("/api").text == "/api/ 0"
    assert client().get("/metrics").text == "/api/metrics 0"


def test_a_body_is_handed_on_whole() -> None:
    assert client().post("/api/x", content=b"x" * 65_536).text == "/api/x 65536"
    assert client().post("/api/x", content=iter([b"ab", b"", b"c"])).text == "/api/x 3"
    assert client().post("/upload", content=b"x" * 65_537).status_code == 413


def test_a_body_that_is_too_slow_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(*_: object) -> None:
        raise AssertionError("It was handed on.")

    headers = [(b"host", b"localhost"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/api/x", "headers": headers}
    asyncio.run(Guard(app, Rules(lambda: "localhost"))(scope, receive, send))
    assert sent[0]["status"] == 408
    assert b"body_too_slow" in sent[1]["body"]


def test_a_file_of_reads_may_be_longer_than_a_request() -> None:
    assert client().post("/_stcore/upload_file/a/b", content=b"x" * 70_000).text.endswith(" 70000")
