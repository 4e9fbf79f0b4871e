"""The picture of the grid: every meter by its state, events as tags, names escaped, a large fleet without marks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from helpers import FROZEN, TENANT

from gridlens_core.display import territory_svg
from gridlens_core.display.control_room import ControlRoom, MeterState
from gridlens_core.meters.events import Event

LOW = "1 low-voltage interval"
FRAME = territory_svg.Frame(800, 400)


@dataclass(frozen=True)
class Running:
    """What a picture needs to know of an event that is not over."""

    event: Event


@dataclass(frozen=True)
class Room:
    """What a picture needs to know of a control room."""

    meters: tuple[MeterState, ...]
    running: tuple[Running, ...] = ()
    feeder_loss_pct: dict[str, float] = field(default_factory=lambda: {"F1": 8.34})
    tenant_id: str = TENANT

    @property
    def feeders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(meter.feeder_id for meter in self.meters))


def room(size: int, *feeders: str, states: dict[int, str] | None = None, running: tuple[Running, ...] = ()) -> Any:
    meters = [
        MeterState(f"M{number}", feeder, (states or {}).get(number, "normal"), "0.30 kWh")
        for number, feeder in enumerate(one for one in feeders for _ in range(size))
    ]
    return cast(ControlRoom, Room(tuple(meters), running))


def event(event_type: str, feeder: str | None) -> Running:
    span = FROZEN, FROZEN + timedelta(hours=1)
    return Running(Event(UUID(int=1), TENANT, feeder, None, event_type, Decimal("0.7"), *span, FROZEN))


def parts(picture: str, class_name: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(picture).iter() if class_name in one.get("class", "").split()]


def letters(picture: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(picture).iter() if one.tag.endswith("text")]


def test_every_meter_is_marked_by_its_state() -> None:
    some = room(6, "F1", "F2", states={1: "named", 2: "low-voltage", 3: "silent"})
    marks = Counter(one.get("href") for one in parts(territory_svg.svg(some, FRAME), "mark"))
    assert marks == {"#t-normal": 9, "#t-named": 1, "#t-low-voltage": 1, "#t-silent": 1}
    assert ("t-silent", "no read 1") in territory_svg.legend(some)
    assert "1 suspicious, 1 low-voltage interval and 1 no read" in territory_svg.in_words(some)


@pytest.mark.parametrize(
    ("running", "states", "said"),
    [
        pytest.param(event("theft", "F1"), {}, ["F1", "theft 70 %", "loss today 8.3 %"], id="theft"),
        pytest.param(event("comms-outage", "F1"), {0: "silent"}, ["F1", "comms outage", "1 meter silent"], id="out"),
        pytest.param(event("voltage-sag", "F1"), {0: "low-voltage"}, ["F1", "voltage sag 70 %", LOW], id="low"),
    ],
)
def test_an_event_is_a_tag_on_its_feeder_in_its_colour(
    running: Running, states: dict[int, str], said: list[str]
) -> None:
    some = room(4, "F1", "F2", states=states, running=(running,))
    picture = territory_svg.svg(some, FRAME)
    (tag,) = parts(picture, "tag")
    assert [text.replace("\u00a0", " ") for text in letters(ET.tostring(tag, "unicode"))] == said
    assert running.event.kind.colour in (tag.get("style") or "")
    assert {one.get("data-feeder") for one in parts(picture, "affected")} == {"F1"}
    assert territory_svg.focus(some) == territory_svg.place_of(some).feeders[0].box


def test_a_quiet_grid_and_an_event_everywhere_are_shown_whole() -> None:
    assert territory_svg.focus(room(4, "F1", "F2")) is None
    everywhere = room(4, "F1", "F2", running=(event("theft", None),))
    assert territory_svg.focus(everywhere) is None
    assert len(parts(territory_svg.svg(everywhere, FRAME), "tag")) == 2


def test_of_a_large_fleet_only_what_is_opened_or_affected_has_marks() -> None:
    names = [f"F{number}" for number in range(40)]
    large = room(100, *names, running=(event("theft", "F7"),))
    picture = territory_svg.svg(large, FRAME, "F9")
    assert Counter(one.get("data-note", "").split(": ")[0].split(", ")[1] for one in parts(picture, "mark")) == {
        "F7": 100,
        "F9": 100,
    }
    assert len(parts(picture, "trunk")) == 40
    assert len(picture) < 300_000


def test_names_are_letters_and_nothing_else() -> None:
    odd = '<b x="1">&amp;'
    picture = territory_svg.svg(room(3, odd, "F2"), FRAME)
    assert "<b" not in picture
    assert any(odd in text for text in letters(picture))
