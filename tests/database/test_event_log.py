"""Rows of ami_events in the database: stored, found, and ended."""

from __future__ import annotations

import random
from datetime import UTC, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from helpers import FROZEN, TENANT, event_request

from gridlens_core.database.connection import Database
from gridlens_core.database.event_log import (
    end_all_events,
    end_event,
    events_in_window,
    get_event,
    insert_event,
    latest_events,
    unended_events,
)
from gridlens_core.errors import BadInputError, UnknownEventError
from gridlens_core.meters.events import EVENT_TYPES, NewEvent

HOUR = timedelta(hours=1)


def asked(**changes: object) -> NewEvent:
    return event_request(**changes).checked(TENANT, FROZEN)


# --- rows -----------------------------------------------------------------------------------------------


@pytest.fixture
def connection(local: Database) -> sa.Connection:
    with local.transaction() as connection:
        yield connection


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_is_stored_as_it_was_asked_for(connection: sa.Connection, event_type: str) -> None:
    event = asked(event_type=event_type, meter_id="MTR-00121", severity=Decimal("0.123456789012345678"))
    stored = insert_event(connection, event)
    asked_for = {name: value for name, value in vars(event).items() if name != "id"}
    assert {name: getattr(stored, name) for name in asked_for} == asked_for
    assert isinstance(stored.id, UUID)
    assert stored.created_at is not None
    assert stored.created_at.tzinfo is stored.starts_at.tzinfo is UTC
    assert get_event(connection, stored.id) == get_event(connection, str(stored.id)) == stored


def test_the_database_and_the_event_agree_on_every_window(connection: sa.Connection) -> None:
    chance = random.Random(7)
    for _ in range(60):
        start, length = chance.randrange(-60, 60), chance.choice([-5, 0, 0, 1, 5, 15, 30])
        times = {
            "starts_at": FROZEN + timedelta(minutes=start),
            "ends_at": FROZEN + timedelta(minutes=start + length),
        }
        insert_event(connection, NewEvent(**{**vars(asked()), **times}))
    stored = latest_events(connection, TENANT)
    assert len(stored) == 60
    for minute in range(-70, 70):
        start = FROZEN + timedelta(minutes=minute)
        end = start + timedelta(minutes=5)
        found = {event.id for event in events_in_window(connection, TENANT, start, end)}
        assert found == {event.id for event in stored if event.overlaps(start, end)}


def test_events_of_another_tenant_are_not_found(connection: sa.Connection) -> None:
    insert_event(connection, event_request().checked("ANOTHER", FROZEN))
    assert latest_events(connection, TENANT) == []
    assert events_in_window(connection, TENANT, FROZEN, FROZEN + HOUR) == []
    assert unended_events(connection, TENANT, FROZEN) == []
    assert end_all_events(connection, TENANT, FROZEN) == 0


@pytest.mark.parametrize(
    ("starts", "ended"),
    [
        pytest.param(-30, 0, id="a running event ends at the grid clock"),
        pytest.param(0, 0, id="one that has just begun ends at its start"),
        pytest.param(15, 15, id="one that lies ahead is cancelled at its start"),
        pytest.param(-120, -60, id="one that is over stays as it was"),
        pytest.param(-60, 0, id="one that ends now stays as it was"),
    ],
)
def test_ending(connection: sa.Connection, starts: int, ended: int) -> None:
    event = insert_event(connection, asked(starts_at=FROZEN + timedelta(minutes=starts)))
    after = end_event(connection, event.id, FROZEN)
    assert after.ends_at == FROZEN + timedelta(minutes=ended)
    assert (after.id, after.starts_at, after.severity) == (event.id, event.starts_at, event.severity)
    assert end_event(connection, event.id, FROZEN + HOUR) == after
    assert unended_events(connection, TENANT, FROZEN) == []


def test_all_running_and_coming_events_end_together(connection: sa.Connection) -> None:
    for start in (-120, -30, 0, 15):
        insert_event(connection, asked(starts_at=FROZEN + timedelta(minutes=start)))
    assert len(unended_events(connection, TENANT, FROZEN)) == 3
    assert end_all_events(connection, TENANT, FROZEN) == 3
    assert end_all_events(connection, TENANT, FROZEN) == 0
    assert events_in_window(connection, TENANT, FROZEN, FROZEN + 8 * HOUR) == []


def test_the_log_is_newest_first_and_the_running_ones_oldest_first(local: Database) -> None:
    written = []
    for _ in range(3):
        with local.transaction() as connection:  # created_at is the transaction's time
            written.append(insert_event(connection, asked()).id)
    with local.transaction() as connection:
        assert [event.id for event in unended_events(connection, TENANT, FROZEN)] == written
        assert [event.id for event in latest_events(connection, TENANT, most=2)] == written[:0:-1]


@pytest.mark.parametrize("event_id", ["no uuid", "", "7", "'; DROP TABLE ami_events; --"])
def test_an_id_that_is_no_uuid_is_bad_input(connection: sa.Connection, event_id: str) -> None:
    with pytest.raises(BadInputError, match="UUID"):
        end_event(connection, event_id, FROZEN)


def test_an_unknown_event_is_named(connection: sa.Connection) -> None:
    nobody = uuid4()
    with pytest.raises(UnknownEventError, match=str(nobody)):
        end_event(connection, nobody, FROZEN)
