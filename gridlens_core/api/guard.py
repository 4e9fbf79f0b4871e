"""What every request passes before anything of ours reads it, and what every answer carries."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gridlens_core.api.errors import error_answer
from gridlens_core.demo.viewer import LOOPBACK_NAMES, host_name

MOST_BODY_BYTES = 64 * 1024
UPLOADS = "/_stcore/upload_file"  # a file of reads, whose length the dashboard limits itself
BODY_SECONDS = 10.0  # for a body to arrive
HEALTH = "/api/health"  # probes ask for it by any name
OURS = {"/api": "/api/", "/metrics": "/api/metrics"}  # addresses that the dashboard would answer with a page

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
# What a page that was downloaded, such as the brief, may do where it is opened at this address.
MEDIA_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class Rules:
    """What a guard goes by.

    listens : the address the server listens on, once it is known
    hosts : names allowed in addition; * for any, *.example.com for all below it
    page_policy : the Content-Security-Policy of pages
    """

    listens: Callable[[], str | None]
    hosts: tuple[str, ...] = ()
    page_policy: str = "default-src 'self'; frame-ancestors 'none'"
    own_names: frozenset[str] = field(default_factory=lambda: frozenset(_own_names()))

    def allows(self, host: str | None) -> bool:
        """Whether the server may be addressed so: another site can make a name of its own lead here.

        Loopback names always; where the server listens beyond the machine also numbers, names without a dot, which
        nobody can register, and the machine's own name.
        """
        name = host_name(host or "")
        if name is None:
            return False
        if name in LOOPBACK_NAMES or any(_matches(name, pattern) for pattern in self.hosts):
            return True
        return self.listens() not in LOOPBACK_NAMES and (_is_number(name) or name in self.own_names or "." not in name)


class Guard:
    """Refuses requests by a wrong name and bodies that are too long or too slow; adds headers to every answer."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = {**scope, "path": OURS.get(scope["path"], scope["path"])}
        headers = Headers(scope=scope)
        if scope["path"] != HEALTH and not self.rules.allows(headers.get("host")):
            await self._refuse_host(scope, receive, send, headers.get("host", ""))
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, receive, self._with_headers(scope["path"], send))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = receive if scope["path"].startswith(UPLOADS) else await _whole_body(scope, receive)
        if isinstance(body, Response):
            await body(scope, receive, send)
        else:
            await self.app(scope, body, send)

    def _with_headers(self, path: str, send: Send) -> Send:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**ALWAYS, "Content-Security-Policy": self._policy(path)}.items():
                    headers.setdefault(name, value)
            await send(message)

        return with_headers

    def _policy(self, path: str) -> str:
        if path.startswith("/api/"):
            return API_POLICY
        return MEDIA_POLICY if path.startswith("/media/") else self.rules.page_policy

    async def _refuse_host(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        message = "The server is not to be addressed by this name; GRIDLENS_ALLOWED_HOSTS names those that are allowed."
        refusal = error_answer(421, "host_not_allowed", message, {"host": host[:200]})
        await refusal(scope, receive, self._with_headers("/api/", send))


async def _whole_body(scope: Scope, receive: Receive) -> Receive | Response:
    """What gives out the body once it has arrived, or the refusal of one that is too long or too slow."""
    headers = Headers(scope=scope)
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return receive
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:20]) > MOST_BODY_BYTES:
        return _too_long()
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                parts.append(message.get("body", b""))
                if sum(map(len, parts)) > MOST_BODY_BYTES:
                    return _too_long()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return _replay(message if message["type"] == "http.disconnect" else b"".join(parts), receive)
    except TimeoutError:
        return error_answer(
            408,
            "body_too_slow",
            f"The body did not arrive within {BODY_SECONDS:g} seconds.",
            {},
            {"Connection": "close"},
        )


def _replay(first: Message | bytes, receive: Receive) -> Receive:
    """Gives out what was received once, and then what comes."""
    waiting = [first if not isinstance(first, bytes) else {"type": "http.request", "body": first, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _too_long() -> Response:
    message = f"The body is longer than {MOST_BODY_BYTES // 1024} KB."
    return error_answer(413, "body_too_long", message, {"mostBytes": MOST_BODY_BYTES}, {"Connection": "close"})


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.lower().rstrip(".")
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> Iterable[str]:
    name = socket.gethostname().lower()
    return name, f"{name.split('.')[0]}.local"
