"""What is done with events: checked, written together, ended together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.clock import DEFAULT_INTERVAL_MINUTES
from gridlens_core.database.event_log import end_event, get_event, insert_event
from gridlens_core.database.schema import READS_TABLE
from gridlens_core.demo.desk import KpiDesk
from gridlens_core.demo.session import Session
from gridlens_core.errors import DatabaseNotReadyError
from gridlens_core.meters.events import Event, EventRequest
from gridlens_core.meters.fleet import Fleet
from gridlens_core.publishing.publisher import lock_tenant, read_grid_now


class EventDesk:
    """The events of the tenants of one session. Safe to share between threads."""

    def __init__(self, session: Session, desk: KpiDesk) -> None:
        self._session = session
        self._desk = desk

    def why_not(self, event_type: str) -> str | None:
        """Why an event of this type cannot be shown in this database; None where it can."""
        if event_type == "voltage-sag" and not self._session.schema.require_reads().has("voltage"):
            return f"The table public.{READS_TABLE} has no voltage column, so a voltage sag has nothing to show."
        return None

    def check(self, tenant_id: str, *requests: EventRequest) -> Fleet:
        """The fleet, if the requests are about it and can be shown in this database."""
        fleet = self._desk.fleet(tenant_id)
        self._session.require_events()
        for request in requests:
            reason = self.why_not(request.event_type)
            if reason is not None:
                raise DatabaseNotReadyError(reason, event_type=request.event_type)
            fleet.check_target(request.feeder_id, request.meter_id)
        return fleet

    def write(self, tenant_id: str, requests: Sequence[EventRequest]) -> list[Event]:
        """Writes events that begin at the grid clock unless told otherwise, all of them in one transaction or none."""
        self.check(tenant_id, *requests)
        with self._session.transaction() as connection:
            lock_tenant(connection, tenant_id)  # a cycle under way was published without these events
            now = self.grid_now(connection, tenant_id)
            new = [request.checked(tenant_id, now) for request in requests]
            return [insert_event(connection, one) for one in new]

    def end(self, ids: Sequence[str | UUID]) -> list[Event]:
        """Ends events of one tenant at the grid clock, in one transaction; those that are over stay as they were."""
        self._session.require_events()
        with self._session.transaction() as connection:
            for event_id in ids:
                tenant_id = self._session.check_tenant(get_event(connection, event_id).tenant_id)
                lock_tenant(connection, tenant_id)  # a cycle under way still has this event in it
            return [end_event(connection, one, self.grid_now(connection, tenant_id)) for one in ids]

    def grid_now(self, connection: sa.Connection, tenant_id: str) -> datetime:
        """The grid clock, on a connection."""
        schema, wall = self._session.schema, self._session.wall(tenant_id)
        return read_grid_now(connection, schema, tenant_id, wall, DEFAULT_INTERVAL_MINUTES)
