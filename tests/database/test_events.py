from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from helpers import FROZEN, TENANT
from hypothesis import given
from hypothesis import strategies as st

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
from gridlens_core.meters.events import EVENT_TYPES, MAX_DURATION_MINUTES, Event, NewEvent, affecting, new_event

HOUR = timedelta(hours=1)


def asked(**changes: object) -> NewEvent:
    return new_event(
        **{
            "tenant_id": TENANT,
            "event_type": "theft",
            "feeder_id": "FEEDER_7",
            "severity": 0.7,
            "duration_minutes": 60,
            "starts_at": FROZEN,
            **changes,
        }
    )


def row(starts: datetime, ends: datetime, **changes: object) -> Event:
    values = {
        "id": uuid4(),
        "tenant_id": TENANT,
        "feeder_id": None,
        "meter_id": None,
        "event_type": "theft",
        "severity": Decimal("0.7"),
        "created_at": None,
    }
    return Event(starts_at=starts, ends_at=ends, **{**values, **changes})


# --- what may be asked for ------------------------------------------------------------------------------


def test_an_event_lasts_from_its_start_for_its_duration() -> None:
    event = asked(duration_minutes=90, severity=Decimal("0.25"))
    assert (event.starts_at, event.ends_at) == (FROZEN, FROZEN + timedelta(minutes=90))
    assert event.severity == Decimal("0.25")


@pytest.mark.parametrize(
    ("changes", "field", "accepted"),
    [
        pytest.param({"event_type": "fire"}, "eventType", "theft, voltage-sag, comms-outage", id="an unknown type"),
        pytest.param({"event_type": "voltage_sag"}, "eventType", "voltage-sag", id="another spelling"),
        pytest.param({"severity": 0}, "severity", "fraction", id="no severity at all"),
        pytest.param({"severity": -0.1}, "severity", "fraction", id="a negative severity"),
        pytest.param({"severity": 1.0000001}, "severity", "fraction", id="more than everything"),
        pytest.param({"severity": 70}, "severity", "fraction", id="percent for a fraction"),
        pytest.param({"severity": float("nan")}, "severity", "fraction", id="a severity that is no number"),
        pytest.param({"severity": float("inf")}, "severity", "fraction", id="an endless severity"),
        pytest.param({"duration_minutes": 0}, "durationMinutes", "1 to 10080", id="no duration"),
        pytest.param({"duration_minutes": -60}, "durationMinutes", "1 to 10080", id="a duration backwards"),
        pytest.param({"duration_minutes": 10081}, "durationMinutes", "1 to 10080", id="more than a week"),
        pytest.param({"duration_minutes": float("nan")}, "durationMinutes", "1 to 10080", id="a duration of nothing"),
        pytest.param({"starts_at": datetime(2026, 11, 18)}, "startsAt", "offset", id="a naive start"),  # noqa: DTZ001
        pytest.param({"starts_at": datetime.max.replace(tzinfo=UTC)}, "startsAt", "9999", id="an end beyond time"),
        pytest.param(
            {"starts_at": datetime.fromisoformat("0001-01-01T00:00+05:00")}, "startsAt", "", id="a start before time"
        ),
    ],
)
def test_what_may_not_be_asked_for_is_named_with_what_may(changes: dict, field: str, accepted: str) -> None:
    with pytest.raises(BadInputError) as raised:
        asked(**changes)
    assert raised.value.details["field"] == field
    assert accepted in raised.value.message


@given(st.floats(min_value=0, max_value=1, exclude_min=True), st.integers(1, MAX_DURATION_MINUTES))
def test_every_fraction_and_duration_in_the_range_is_taken_as_given(severity: float, minutes: int) -> None:
    event = asked(severity=severity, duration_minutes=minutes)
    assert float(event.severity) == severity
    assert event.ends_at - event.starts_at == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("severity", "fraction"),
    [
        pytest.param(None, 0.5, id="none written by another service"),
        pytest.param("NaN", 0.5, id="not a number"),
        pytest.param("0.7", 0.7, id="a fraction"),
        pytest.param("-3", 0.0, id="below the range"),
        pytest.param("70", 1.0, id="above the range"),
        pytest.param("Infinity", 1.0, id="endless"),
        pytest.param("0", 0.0, id="nothing"),
    ],
)
def test_a_severity_of_any_origin_becomes_a_fraction(severity: str | None, fraction: float) -> None:
    event = row(FROZEN, FROZEN + HOUR, severity=None if severity is None else Decimal(severity))
    assert event.fraction == fraction


# --- windows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts", "ends", "touches"),
    [
        pytest.param(0, 60, True, id="the same hour"),
        pytest.param(59, 61, True, id="the last minute"),
        pytest.param(-60, 1, True, id="the first minute"),
        pytest.param(-60, 120, True, id="all around"),
        pytest.param(20, 21, True, id="a minute within"),
        pytest.param(60, 120, False, id="beginning where the read ends"),
        pytest.param(-60, 0, False, id="ending where the read begins"),
        pytest.param(30, 30, False, id="ended at its own start"),
        pytest.param(40, 30, False, id="ending before it starts"),
    ],
)
def test_windows_are_half_open(starts: int, ends: int, touches: bool) -> None:
    event = row(FROZEN + timedelta(minutes=starts), FROZEN + timedelta(minutes=ends))
    assert event.overlaps(FROZEN, FROZEN + HOUR) is touches
    assert affecting([event], FROZEN, FROZEN + HOUR) == [event] * touches


minutes = st.integers(-40, 40)


@given(minutes, minutes, minutes, st.integers(1, 40))
def test_a_window_touches_an_interval_when_they_share_a_minute(starts: int, ends: int, first: int, length: int) -> None:
    event = row(FROZEN + timedelta(minutes=starts), FROZEN + timedelta(minutes=ends))
    start = FROZEN + timedelta(minutes=first)
    shared = set(range(starts, ends)) & set(range(first, first + length))
    assert event.overlaps(start, start + timedelta(minutes=length)) is bool(shared)


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
        assert found == {event.id for event in affecting(stored, start, end)}


def test_events_of_another_tenant_are_not_found(connection: sa.Connection) -> None:
    insert_event(connection, asked(tenant_id="ANOTHER"))
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
