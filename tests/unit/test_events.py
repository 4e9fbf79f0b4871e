"""What may be requested, what a row says, and the one table of event kinds."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from helpers import FROZEN, TENANT, event_request
from hypothesis import given
from hypothesis import strategies as st

from gridlens_core import colours
from gridlens_core.errors import BadInputError
from gridlens_core.explanation.catalogue import CATALOGUE
from gridlens_core.meters.events import (
    EVENT_KINDS,
    EVENT_TYPES,
    MAX_DURATION_MINUTES,
    Event,
    EventKind,
    NewEvent,
    colour_of,
    kind_of,
)

HOUR = timedelta(hours=1)
THEME = Path(__file__).parents[2] / ".streamlit" / "config.toml"


def asked(**changes: object) -> NewEvent:
    return event_request(**changes).checked(TENANT, FROZEN)


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
        pytest.param("70", 0.0, id="no fraction, which does nothing"),
        pytest.param("Infinity", 0.0, id="endless"),
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


minutes = st.integers(-40, 40)


@given(minutes, minutes, minutes, st.integers(1, 40))
def test_a_window_touches_an_interval_when_they_share_a_minute(starts: int, ends: int, first: int, length: int) -> None:
    event = row(FROZEN + timedelta(minutes=starts), FROZEN + timedelta(minutes=ends))
    start = FROZEN + timedelta(minutes=first)
    shared = set(range(starts, ends)) & set(range(first, first + length))
    assert event.overlaps(start, start + timedelta(minutes=length)) is bool(shared)


# --- kinds ----------------------------------------------------------------------------------------------


def test_every_event_type_has_its_kind() -> None:
    assert tuple(EVENT_KINDS) == EVENT_TYPES
    assert all(kind.event_type == event_type for event_type, kind in EVENT_KINDS.items())


@pytest.mark.parametrize("name", [field.name for field in fields(EventKind)])
def test_kinds_differ_in_everything(name: str) -> None:
    assert len({getattr(kind, name) for kind in EVENT_KINDS.values()}) == len(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_kind_names_a_kpi_and_a_material_icon(event_type: str) -> None:
    kind = EVENT_KINDS[event_type]
    assert kind.kpi in CATALOGUE
    assert kind.icon.startswith(":material/")
    assert kind.word in kind.name


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_the_theme_has_the_colour_of_a_kind_under_its_name(event_type: str) -> None:
    theme = tomllib.loads(THEME.read_text(encoding="utf-8"))["theme"]
    kind = EVENT_KINDS[event_type]
    assert theme["light"][f"{kind.colour_name}Color"] == theme["dark"][f"{kind.colour_name}Color"] == kind.colour


def test_a_type_of_another_service_is_gray_and_goes_by_its_own_name() -> None:
    event = row(FROZEN, FROZEN + HOUR, event_type="meter-swap")
    assert event.name == event.kind.name == event.kind.word == "meter-swap"
    assert (event.kind.colour, event.kind.colour_name) == (colours.GRAY, "gray")
    assert event.kind == kind_of("meter-swap")


def test_what_no_event_moved_is_gray() -> None:
    assert colour_of(None) == colours.GRAY
    assert colour_of("theft") == EVENT_KINDS["theft"].colour != colours.GRAY
