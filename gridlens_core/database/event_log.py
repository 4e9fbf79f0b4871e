"""Rows of public.ami_events: written, ended and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from gridlens_core.clock import as_utc
from gridlens_core.database.queries import query
from gridlens_core.errors import BadInputError, UnknownEventError
from gridlens_core.meters.events import Event, NewEvent


def insert_event(connection: sa.Connection, event: NewEvent) -> Event:
    """Writes one row and returns it as stored."""
    row = connection.execute(query("events.sql", "insert_event"), vars(event)).mappings().one()
    return _event(row)


def get_event(connection: sa.Connection, event_id: str | UUID) -> Event:
    """The event, or UnknownEventError."""
    row = connection.execute(query("events.sql", "event_by_id"), {"id": _uuid(event_id)}).mappings().first()
    if row is None:
        raise UnknownEventError(f"There is no event {event_id}.", id=str(event_id))
    return _event(row)


def end_event(connection: sa.Connection, event_id: str | UUID, grid_now: datetime) -> Event:
    """Ends the event at the grid clock; one that is already over is returned as it is."""
    parameters = {"id": _uuid(event_id), "grid_now": grid_now}
    row = connection.execute(query("events.sql", "end_event"), parameters).mappings().first()
    return get_event(connection, event_id) if row is None else _event(row)


def end_all_events(connection: sa.Connection, tenant_id: str, grid_now: datetime) -> int:
    """Ends every event of the tenant that is not over; returns how many."""
    parameters = {"tenant_id": tenant_id, "grid_now": grid_now}
    return connection.execute(query("events.sql", "end_all_events"), parameters).rowcount


def events_in_window(connection: sa.Connection, tenant_id: str, start: datetime, end: datetime) -> list[Event]:
    """Events whose window overlaps [start, end), oldest first."""
    parameters = {"tenant_id": tenant_id, "from_time": start, "to_time": end}
    return _events(connection, "events_in_window", parameters)


def unended_events(connection: sa.Connection, tenant_id: str, grid_now: datetime) -> list[Event]:
    """Events that are active or still to come, oldest first."""
    return _events(connection, "unended_events", {"tenant_id": tenant_id, "grid_now": grid_now})


def latest_events(connection: sa.Connection, tenant_id: str, most: int = 200) -> list[Event]:
    """The event log, newest first."""
    return _events(connection, "latest_events", {"tenant_id": tenant_id, "most": most})


def all_events(connection: sa.Connection, tenant_id: str) -> list[Event]:
    """Every event of the tenant, oldest first."""
    return _events(connection, "all_events", {"tenant_id": tenant_id})


def put_events_back(connection: sa.Connection, tenant_id: str, events: Sequence[Event]) -> None:
    """Makes these the tenant's events, with the ends they have here; all others go."""
    ids = [str(one.id) for one in events]
    connection.execute(query("events.sql", "delete_other_events"), {"tenant_id": tenant_id, "ids": ids})
    for one in events:
        connection.execute(query("events.sql", "put_end_back"), {"id": one.id, "ends_at": one.ends_at})


def _events(connection: sa.Connection, name: str, parameters: Mapping[str, Any]) -> list[Event]:
    return [_event(row) for row in connection.execute(query("events.sql", name), parameters).mappings()]


def _event(row: sa.RowMapping) -> Event:
    values = dict(row)
    for column in ("starts_at", "ends_at", "created_at"):
        if values[column] is not None:
            values[column] = as_utc(values[column])
    return Event(**values)


def _uuid(event_id: str | UUID) -> str:
    try:
        return str(UUID(str(event_id)))
    except ValueError:
        raise BadInputError.of("id", str(event_id), "an event's UUID") from None
