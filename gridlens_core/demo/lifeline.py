"""Health and status on connections of their own: they answer whatever else waits for the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import sqlalchemy as sa

from gridlens_core.database.connection import Database
from gridlens_core.demo.session import Session
from gridlens_core.explanation.moment import Pulse, read_pulse
from gridlens_core.meters.events import Event
from gridlens_core.publishing.auto import AutoPublishers, AutoState

CONNECTIONS = 3
ANSWER_S = 3.0  # for a statement


def not_over(pulse: Pulse, log: list[Event]) -> list[Event]:
    """The events of a log that run or lie ahead, newest first."""
    return [one for one in reversed(log) if one.ends_at > pulse.grid_now and one.ends_at > one.starts_at]


@dataclass(frozen=True)
class Status:
    """How a tenant stands: its pulse, the events that are not over, newest first, and its timer."""

    pulse: Pulse
    active: tuple[Event, ...]
    auto: AutoState


class Lifeline:
    """Connections of their own for health and status. Safe to share between threads."""

    def __init__(self, session: Session, auto: AutoPublishers) -> None:
        self._session = session
        self._auto = auto
        self._lock = Lock()
        self._of: Database | None = None
        self._apart: Database | None = None

    def ping(self) -> None:
        """Raises unless the database answers."""
        with self._transaction() as connection:
            connection.exec_driver_sql("SELECT 1")

    def status(self, tenant_id: str) -> Status:
        """How the tenant stands; raises TenantNotAllowedError."""
        session = self._session
        session.check_tenant(tenant_id)
        session.require_events_for_kpis()
        with self._transaction() as connection:
            pulse, log = read_pulse(connection, session.schema, tenant_id, session.wall(tenant_id))
            auto = self._auto.state(connection, tenant_id)
        return Status(pulse, () if session.schema.events_problem else tuple(not_over(pulse, log)), auto)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        session = self._session
        apart = self._connections(session.database)
        with session.transaction(read_only=True, statement_timeout_s=ANSWER_S, database=apart) as connection:
            yield connection

    def _connections(self, database: Database) -> Database:
        """Made for the session's database when first needed, and again when it is another one."""
        with self._lock:
            if self._apart is None or self._of is not database:
                self.close()
                self._of, self._apart = database, database.apart(CONNECTIONS)
            return self._apart

    def close(self) -> None:
        """Gives the connections back."""
        if self._apart is not None:
            self._apart.engine.dispose()
            self._apart = None
