"""Connections on which no whole request arrives in time are dropped; the server itself would keep them for ever."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for the head of a request to arrive


def drop_slow_connections() -> None:
    """From here on uvicorn's connections are impatient ones.

    Streamlit makes the server, without a setting for it, and uvicorn chooses its class before it loads the application.
    """
    setattr(H11Protocol, "__new__", staticmethod(_impatient))  # noqa: B010


def _impatient(_: type[H11Protocol], *__: object, **___: object) -> ImpatientProtocol:
    return object.__new__(ImpatientProtocol)


class ImpatientProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, with a time limit on the head of each request."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_is_under_way:
            self._await_head()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop_waiting()
        super().handle_websocket_upgrade(event)
        self._upgraded = True

    _upgraded = False

    @property
    def _head_is_under_way(self) -> bool:
        return not self._upgraded and self.conn.their_state is h11.IDLE

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
